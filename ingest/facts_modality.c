/* facts_modality.c: who must, may, must not do what.
 *
 * A modal phrase gives one fact: span = the phrase ("shall not", "is entitled to"), subject = the actor (the clause
 * before it), object = the action (the clause behind it). An item of a list that has no verb of its own takes phrase
 * and actor from its lead-in. "No employee may" and "Neither party shall" are prohibitions, "need not" and "is not
 * required to" free from one, "shall mean" and "shall be deemed" declare. An imperative in a manual ("Do not open ...",
 * "Never ...") binds the reader: its actor is empty. */
#include "ingest/facts.h"
#include "ingest/grammar.h"

enum { MODALS_PER_STATEMENT = 64 };

struct phrase {
    const char *words;
    enum ingest_modality modality;
    bool negated;
};

/* Behind a modal ("shall", "will", "may" ...) or a form of to be or to have. Longest first. */
static const struct phrase tails[] = {
    {"not be required to", INGEST_NO_OBLIGATION, true},
    {"not be obligated to", INGEST_NO_OBLIGATION, true},
    {"not be obliged to", INGEST_NO_OBLIGATION, true},
    {"not be bound to", INGEST_NO_OBLIGATION, true},
    {"have no obligation to", INGEST_NO_OBLIGATION, true},
    {"have no duty to", INGEST_NO_OBLIGATION, true},
    {"be under no obligation to", INGEST_NO_OBLIGATION, true},
    {"not have to", INGEST_NO_OBLIGATION, true},
    {"not have any obligation to", INGEST_NO_OBLIGATION, true},
    {"have no responsibility to", INGEST_NO_OBLIGATION, true},
    {"not be entitled to", INGEST_PROHIBITION, true},
    {"not be permitted to", INGEST_PROHIBITION, true},
    {"not be allowed to", INGEST_PROHIBITION, true},
    {"not be authorized to", INGEST_PROHIBITION, true},
    {"not be authorised to", INGEST_PROHIBITION, true},
    {"have no right to", INGEST_PROHIBITION, true},
    {"not have the right to", INGEST_PROHIBITION, true},
    {"not have any right to", INGEST_PROHIBITION, true},
    {"not be liable", INGEST_DECLARATION, true},
    {"be prohibited from", INGEST_PROHIBITION, false},
    {"be forbidden to", INGEST_PROHIBITION, false},
    {"refrain from", INGEST_PROHIBITION, false},
    {"be entitled to", INGEST_PERMISSION, false},
    {"be permitted to", INGEST_PERMISSION, false},
    {"be allowed to", INGEST_PERMISSION, false},
    {"be authorized to", INGEST_PERMISSION, false},
    {"be authorised to", INGEST_PERMISSION, false},
    {"have the right to", INGEST_PERMISSION, false},
    {"have the option to", INGEST_PERMISSION, false},
    {"be free to", INGEST_PERMISSION, false},
    {"have the sole right to", INGEST_PERMISSION, false},
    {"have the right but not the obligation to", INGEST_PERMISSION, false},
    {"be required to", INGEST_OBLIGATION, false},
    {"be obligated to", INGEST_OBLIGATION, false},
    {"be obliged to", INGEST_OBLIGATION, false},
    {"have the obligation to", INGEST_OBLIGATION, false},
    {"be responsible for", INGEST_OBLIGATION, false},
    {"mean", INGEST_DECLARATION, false},
    {"be deemed", INGEST_DECLARATION, false},
    {"have the meaning", INGEST_DECLARATION, false},
    {"have the meanings", INGEST_DECLARATION, false},
    {"be construed", INGEST_DECLARATION, false},
    {"be understood", INGEST_DECLARATION, false},
    {"have the same meaning", INGEST_DECLARATION, false},
    {"be referred to", INGEST_DECLARATION, false},
    {"be considered", INGEST_DECLARATION, false},
    {"be interpreted", INGEST_DECLARATION, false},
    {"be treated as", INGEST_DECLARATION, false},
    {"not be construed", INGEST_DECLARATION, true},
    {"not be deemed", INGEST_DECLARATION, true},
    {"constitute", INGEST_DECLARATION, false},
    {"not constitute", INGEST_DECLARATION, true},
    {"be governed", INGEST_DECLARATION, false},
};

/* Without a modal: "is required to", "are not permitted to". */
static const struct phrase plain[] = {
    {"is not required to", INGEST_NO_OBLIGATION, true},
    {"are not required to", INGEST_NO_OBLIGATION, true},
    {"is not obligated to", INGEST_NO_OBLIGATION, true},
    {"are not obligated to", INGEST_NO_OBLIGATION, true},
    {"is not obliged to", INGEST_NO_OBLIGATION, true},
    {"are not obliged to", INGEST_NO_OBLIGATION, true},
    {"is under no obligation to", INGEST_NO_OBLIGATION, true},
    {"are under no obligation to", INGEST_NO_OBLIGATION, true},
    {"has no obligation to", INGEST_NO_OBLIGATION, true},
    {"have no obligation to", INGEST_NO_OBLIGATION, true},
    {"has no duty to", INGEST_NO_OBLIGATION, true},
    {"have no duty to", INGEST_NO_OBLIGATION, true},
    {"does not have to", INGEST_NO_OBLIGATION, true},
    {"do not have to", INGEST_NO_OBLIGATION, true},
    {"does not need to", INGEST_NO_OBLIGATION, true},
    {"do not need to", INGEST_NO_OBLIGATION, true},
    {"need not", INGEST_NO_OBLIGATION, true},
    {"needn't", INGEST_NO_OBLIGATION, true},
    {"is required to", INGEST_OBLIGATION, false},
    {"are required to", INGEST_OBLIGATION, false},
    {"is obligated to", INGEST_OBLIGATION, false},
    {"are obligated to", INGEST_OBLIGATION, false},
    {"is obliged to", INGEST_OBLIGATION, false},
    {"are obliged to", INGEST_OBLIGATION, false},
    {"has to", INGEST_OBLIGATION, false},
    {"have to", INGEST_OBLIGATION, false},
    {"has the duty to", INGEST_OBLIGATION, false},
    {"has a duty to", INGEST_OBLIGATION, false},
    {"have a duty to", INGEST_OBLIGATION, false},
    {"hereby agrees to", INGEST_OBLIGATION, false},
    {"agrees to", INGEST_OBLIGATION, false},
    {"agree to", INGEST_OBLIGATION, false},
    {"agrees not to", INGEST_PROHIBITION, true},
    {"agree not to", INGEST_PROHIBITION, true},
    {"undertakes to", INGEST_OBLIGATION, false},
    {"undertake to", INGEST_OBLIGATION, false},
    {"covenants to", INGEST_OBLIGATION, false},
    {"undertakes not to", INGEST_PROHIBITION, true},
    {"covenants not to", INGEST_PROHIBITION, true},
    {"is responsible for", INGEST_OBLIGATION, false},
    {"are responsible for", INGEST_OBLIGATION, false},
    {"is not responsible for", INGEST_NO_OBLIGATION, true},
    {"are not responsible for", INGEST_NO_OBLIGATION, true},
    {"is prohibited from", INGEST_PROHIBITION, false},
    {"are prohibited from", INGEST_PROHIBITION, false},
    {"is forbidden to", INGEST_PROHIBITION, false},
    {"are forbidden to", INGEST_PROHIBITION, false},
    {"is forbidden from", INGEST_PROHIBITION, false},
    {"are forbidden from", INGEST_PROHIBITION, false},
    {"is not permitted to", INGEST_PROHIBITION, true},
    {"are not permitted to", INGEST_PROHIBITION, true},
    {"is not allowed to", INGEST_PROHIBITION, true},
    {"are not allowed to", INGEST_PROHIBITION, true},
    {"is not entitled to", INGEST_PROHIBITION, true},
    {"are not entitled to", INGEST_PROHIBITION, true},
    {"is not authorized to", INGEST_PROHIBITION, true},
    {"are not authorized to", INGEST_PROHIBITION, true},
    {"has no right to", INGEST_PROHIBITION, true},
    {"have no right to", INGEST_PROHIBITION, true},
    {"is strictly prohibited", INGEST_PROHIBITION, false},
    {"are strictly prohibited", INGEST_PROHIBITION, false},
    {"is prohibited", INGEST_PROHIBITION, false},
    {"are prohibited", INGEST_PROHIBITION, false},
    {"is forbidden", INGEST_PROHIBITION, false},
    {"are forbidden", INGEST_PROHIBITION, false},
    {"is not permitted", INGEST_PROHIBITION, true},
    {"are not permitted", INGEST_PROHIBITION, true},
    {"is not allowed", INGEST_PROHIBITION, true},
    {"are not allowed", INGEST_PROHIBITION, true},
    {"is entitled to", INGEST_PERMISSION, false},
    {"are entitled to", INGEST_PERMISSION, false},
    {"is permitted to", INGEST_PERMISSION, false},
    {"are permitted to", INGEST_PERMISSION, false},
    {"is allowed to", INGEST_PERMISSION, false},
    {"are allowed to", INGEST_PERMISSION, false},
    {"is authorized to", INGEST_PERMISSION, false},
    {"are authorized to", INGEST_PERMISSION, false},
    {"is authorised to", INGEST_PERMISSION, false},
    {"are authorised to", INGEST_PERMISSION, false},
    {"has the right to", INGEST_PERMISSION, false},
    {"have the right to", INGEST_PERMISSION, false},
    {"reserves the right to", INGEST_PERMISSION, false},
    {"reserve the right to", INGEST_PERMISSION, false},
    {"has the option to", INGEST_PERMISSION, false},
    {"is free to", INGEST_PERMISSION, false},
    {"are free to", INGEST_PERMISSION, false},
    {"is permitted", INGEST_PERMISSION, false},
    {"are permitted", INGEST_PERMISSION, false},
    {"is allowed", INGEST_PERMISSION, false},
    {"are allowed", INGEST_PERMISSION, false},
    {"is mandatory", INGEST_OBLIGATION, false},
    {"are mandatory", INGEST_OBLIGATION, false},
    {"is optional", INGEST_NO_OBLIGATION, false},
    {"does not require", INGEST_NO_OBLIGATION, true},
    {"do not require", INGEST_NO_OBLIGATION, true},
    {"requires", INGEST_OBLIGATION, false},
    {"is required", INGEST_OBLIGATION, false},
    {"are required", INGEST_OBLIGATION, false},
    {"is not required", INGEST_NO_OBLIGATION, true},
    {"are not required", INGEST_NO_OBLIGATION, true},
    {"is obligatory", INGEST_OBLIGATION, false},
    {"is compulsory", INGEST_OBLIGATION, false},
};

struct modal {
    size_t first, end; /* tokens of the phrase */
    enum ingest_modality modality;
    bool negated;
};

/* "may" the month, "will" the testament, "can" the vessel, "must" the noun. */
static bool modal_word(const struct facts *f, size_t i) {
    const struct lex *x = &f->lex;
    if (!lex_has(x, i, LEX_C_MODAL) || f->claimed[i]) return false;
    if (lex_is(x, i, "may") && (x->tokens[i].flags & LEX_CAPITAL) && i > 0 && x->tokens[i - 1].kind != LEX_BREAK &&
        !(x->tokens[i].flags & LEX_UPPER) &&
        (lex_has(x, i - 1, LEX_C_PREPOSITION) || (i + 1 < x->n && x->tokens[i + 1].kind == LEX_NUMBER)))
        return false;
    if (lex_in(x, i, "will can must might") && i > 0 && lex_has(x, i - 1, LEX_C_DETERMINER | LEX_C_PREPOSITION))
        return lex_in(x, i - 1, "that this which all each any");
    if (lex_is(x, i, "will") && lex_in(x, i + 1, "was is were are has had")) return false; /* a testament */
    if (lex_in(x, i, "would could might")) return false; /* hypothetical: states no rule */
    return true;
}

/* "damages that may arise", "a party which shall": a clause that describes, and states no rule of its own. */
static bool relative(const struct lex *x, size_t i) {
    size_t k = i;
    while (k > 0 && lex_has(x, k - 1, LEX_C_ADVERB) && !lex_has(x, k - 1, LEX_C_NEGATION)) k--;
    if (k > 0 && lex_is(x, k - 1, "as")) return true; /* "as may be required" */
    if (k == 0 || !lex_in(x, k - 1, "that which who")) return false;
    return k < 2 || !lex_in(x, k - 2, "provided agree agrees ; : so ensure") || lex_in(x, k - 1, "which who");
}

static bool read_modal(const struct facts *f, size_t i, struct modal *m) {
    const struct lex *x = &f->lex;
    *m = (struct modal){.first = i};
    if (lex_has(x, i, LEX_C_MODAL | LEX_C_BE) && relative(x, i)) return false;
    if (modal_word(f, i)) {
        size_t k = i + 1;
        bool neg = lex_in(x, i, "cannot can't won't mustn't shan't shouldn't needn't couldn't wouldn't");
        /* adverbs and insertions between: "shall, at its own cost, deliver", "may at any time" stay in the action */
        size_t tail = k;
        while (lex_has(x, tail, LEX_C_ADVERB) && !lex_has(x, tail, LEX_C_NEGATION)) tail++;
        if (lex_in(x, tail, "not never")) {
            neg = true;
            k = tail + 1;
        } else if (lex_phrase(x, tail, "in no event") || lex_phrase(x, tail, "under no circumstances") ||
                   lex_phrase(x, tail, "in no case") || lex_phrase(x, tail, "at no time")) {
            neg = true;
            k = tail + 3;
        } else if (lex_mark(x, k, ',') &&
                   (lex_phrase(x, k + 1, "in no event") || lex_phrase(x, k + 1, "under no circumstances"))) {
            neg = true;
            k += 4;
            if (lex_mark(x, k, ',')) k++;
        }
        size_t at = neg && k > i + 1 ? k - 1 : tail; /* tails spell their "not" themselves */
        for (size_t t = 0; t < sizeof tails / sizeof *tails; t++) {
            size_t n = lex_phrase(x, at, tails[t].words);
            if (!n && neg &&
                !tails[t].negated) { /* "shall not ... be deemed" is listed; other tails behind a "not" turn round */
                n = lex_phrase(x, k, tails[t].words);
                if (n) {
                    *m = (struct modal){i, k + n,
                                        tails[t].modality == INGEST_OBLIGATION    ? INGEST_NO_OBLIGATION
                                        : tails[t].modality == INGEST_PERMISSION  ? INGEST_PROHIBITION
                                        : tails[t].modality == INGEST_PROHIBITION ? INGEST_PERMISSION
                                                                                  : tails[t].modality,
                                        true};
                    return true;
                }
                continue;
            }
            if (!n) continue;
            *m = (struct modal){i, at + n, tails[t].modality, tails[t].negated};
            return true;
        }
        m->end = k;
        m->negated = neg;
        if (lex_in(x, i, "may can might can't cannot couldn't"))
            m->modality = neg ? INGEST_PROHIBITION : INGEST_PERMISSION;
        else if (lex_is(x, i, "needn't"))
            m->modality = INGEST_NO_OBLIGATION;
        else
            m->modality = neg ? INGEST_PROHIBITION : INGEST_OBLIGATION;
        /* "can" and "may" of mere possibility: "may be subject to", "may result in" */
        if (m->modality == INGEST_PERMISSION && (lex_phrase(x, k, "be subject to") || lex_phrase(x, k, "result in") ||
                                                 lex_phrase(x, k, "have been") || lex_phrase(x, k, "be liable")))
            m->modality = INGEST_DECLARATION;
        return true;
    }
    if (!lex_has(x, i, LEX_C_BE) && !lex_in(x, i,
                                            "has have need needn't does do hereby agrees agree undertakes undertake "
                                            "covenants reserves reserve requires"))
        return false;
    if (f->claimed[i]) return false;
    for (size_t t = 0; t < sizeof plain / sizeof *plain; t++) {
        size_t n = lex_phrase(x, i, plain[t].words);
        if (!n) continue;
        if (i > 0 && lex_has(x, i - 1, LEX_C_MODAL)) return false; /* read with its modal */
        *m = (struct modal){i, i + n, plain[t].modality, plain[t].negated};
        return true;
    }
    return false;
}

static void actor(struct facts *f, size_t i, size_t from, struct ingest_span *out, bool *no) {
    const struct lex *x = &f->lex;
    *no = false;
    size_t start = grammar_clause_start(x, i, from), end = i;
    /* "shall A and shall B": the second has the actor of the first; found by the caller */
    if (start >= end) return;
    if (lex_in(x, start, "no neither none nobody") || lex_phrase(x, start, "in no event") ||
        lex_phrase(x, start, "under no circumstances") || lex_phrase(x, start, "at no time") ||
        lex_phrase(x, start, "in no case"))
        *no = true;
    if (lex_is(x, start, "nothing")) *no = true;
    start = grammar_skip_adjunct(x, start, end);
    if (lex_in(x, start, "no neither none nobody nothing")) *no = true;
    grammar_trim(x, &start, &end);
    if (start < end) *out = facts_span(f, start, end);
}

static int add(struct facts *f, const struct modal *m, struct ingest_span who, struct ingest_span what, bool no,
               struct error *e) {
    struct ingest_fact t = facts_blank(f, INGEST_MODALITY);
    const struct lex *x = &f->lex;
    t.span = facts_span(f, m->first, m->end);
    t.subject = who;
    t.object = what;
    t.modality = m->modality;
    if (no) { /* "No employee shall", "Neither party may" */
        if (m->modality == INGEST_OBLIGATION || m->modality == INGEST_PERMISSION) {
            bool duty = lex_phrase(x, m->first, "is required") || lex_phrase(x, m->first, "are required") ||
                        lex_phrase(x, m->first + 1, "be required") || lex_phrase(x, m->first + 1, "be obligated") ||
                        lex_phrase(x, m->first + 1, "be obliged");
            t.modality = duty ? INGEST_NO_OBLIGATION : INGEST_PROHIBITION;
            t.flags |= INGEST_NEGATED;
        }
    }
    if (m->negated) t.flags |= INGEST_NEGATED;
    if (f->conditional) t.flags |= INGEST_CONDITIONAL;
    if (f->attributed <= m->first) t.flags |= INGEST_ATTRIBUTED;
    return facts_add(f, &t, e);
}

/* A base verb at the start of a sentence of a manual. */
static bool imperative(const struct facts *f, size_t i, struct modal *m) {
    const struct lex *x = &f->lex;
    if (i >= x->n || !(x->tokens[i].flags & LEX_CAPITAL)) return false;
    if (lex_phrase(x, i, "do not") || lex_phrase(x, i, "please do not")) {
        size_t n = lex_is(x, i, "please") ? 3 : 2;
        *m = (struct modal){i, i + n, INGEST_PROHIBITION, true};
        return true;
    }
    if (lex_in(x, i, "don't never")) {
        if (lex_has(x, i + 1, LEX_C_MODAL | LEX_C_BE)) return false;
        *m = (struct modal){i, i + 1, INGEST_PROHIBITION, true};
        return true;
    }
    if (lex_is(x, i, "always") && i + 1 < x->n && !lex_has(x, i + 1, LEX_C_MODAL | LEX_C_BE)) {
        *m = (struct modal){i, i + 1, INGEST_OBLIGATION, false};
        return true;
    }
    if (lex_is(x, i, "avoid")) {
        *m = (struct modal){i, i + 1, INGEST_PROHIBITION, false};
        return true;
    }
    if (lex_in(x, i,
               "ensure keep use install tighten replace check remove set store clean apply connect disconnect turn "
               "switch close open inspect operate make press wear wait submit send notify return deliver") &&
        (lex_has(x, i + 1, LEX_C_DETERMINER) || lex_is(x, i + 1, "that") || lex_is(x, i + 1, "only"))) {
        *m = (struct modal){i, i + 1, INGEST_OBLIGATION, false};
        return true;
    }
    return false;
}

int facts_modality(struct facts *f, struct error *e) {
    const struct lex *x = &f->lex;
    struct modal found[MODALS_PER_STATEMENT];
    size_t n = 0;
    int rc;
    struct modal m;
    size_t begin = f->first;
    while (begin < x->n && (f->claimed[begin] || x->tokens[begin].kind == LEX_MARK)) begin++;
    /* the item's own modals */
    for (size_t i = f->first; i < x->n && n < MODALS_PER_STATEMENT; i++)
        if (read_modal(f, i, &m)) {
            found[n++] = m;
            i = m.end - 1;
        }
    /* an item whose lead-in ends with the modal: "The Supplier shall: (a) deliver" */
    if (f->first > 1) {
        size_t lead_end = f->first - 1; /* the break */
        struct modal lead = {0};
        bool has = false;
        for (size_t i = 0; i < lead_end; i++)
            if (read_modal(f, i, &m)) {
                lead = m;
                has = true;
                i = m.end - 1;
            }
        /* the first word of the item goes on with it: a verb, not a new subject with its own modal */
        bool own_subject = n > 0 && found[0].first > begin && found[0].first < begin + 12 && !grammar_verb(x, begin);
        /* "shall occur if:" makes the items conditions, "shall mean:" a definition */
        bool hangs = lead_end > 1 && (lex_in(x, lead_end - 1, "if when where unless that") ||
                                      lex_in(x, lead_end - 2, "if when where unless that"));
        if (has && lead_end - lead.end < 30 && !own_subject && !hangs && lead.modality != INGEST_DECLARATION) {
            struct ingest_span who = facts_blank(f, INGEST_MODALITY).subject, what = who;
            bool no;
            actor(f, lead.first, 0, &who, &no);
            size_t first = begin, end = n ? found[0].first : grammar_clause_end(x, begin, x->n);
            grammar_trim(x, &first, &end);
            if (lex_in(x, begin, "not never")) { /* "shall: (c) not disclose" */
                lead.modality = lead.modality == INGEST_PROHIBITION ? lead.modality : INGEST_PROHIBITION;
                lead.negated = true;
                if (first == begin) first++;
            }
            if (first < end) what = facts_span(f, first, end);
            if ((rc = add(f, &lead, who, what, no, e))) return rc;
        }
    }
    if (n == 0 && f->first == 0 && imperative(f, begin, &m)) {
        struct ingest_span who = facts_blank(f, INGEST_MODALITY).subject, what = who;
        size_t first = m.modality == INGEST_OBLIGATION && !lex_is(x, m.first, "always") ? m.first : m.end,
               end = grammar_clause_end(x, m.end, x->n);
        grammar_trim(x, &first, &end);
        if (first < end) what = facts_span(f, first, end);
        return add(f, &m, who, what, false, e);
    }
    struct ingest_span last_who = facts_blank(f, INGEST_MODALITY).subject;
    for (size_t k = 0; k < n; k++) {
        struct ingest_span who = facts_blank(f, INGEST_MODALITY).subject, what = who;
        bool no;
        size_t from = f->first;
        if (k > 0) from = found[k - 1].end;
        actor(f, found[k].first, from, &who, &no);
        /* "and shall pay", ", and may": the actor before */
        bool bare = who.start >= who.end;
        if (!bare && k > 0) { /* only words of the action before it, no noun phrase of its own? "deliver the goods and
                                 shall" has "and" behind its action */
            size_t p = found[k].first;
            if (p > 0 && (lex_in(x, p - 1, "and or but") || lex_mark(x, p - 1, ','))) bare = true;
        }
        if (bare) who = last_who;
        size_t first = found[k].end, end = grammar_clause_end(x, found[k].end, x->n);
        /* "In no event shall the Supplier be liable": the actor stands behind the modal */
        if (no && who.end > who.start && first < x->n) {
            size_t head = found[k].first;
            while (head > from && x->tokens[head - 1].start >= who.start) head--;
            if (lex_in(x, head, "in under at")) {
                size_t np = grammar_np_after(x, first, end);
                if (np > first) {
                    size_t a = first, b = np;
                    grammar_trim(x, &a, &b);
                    if (a < b) who = facts_span(f, a, b), first = np;
                }
            }
        }
        if (k + 1 < n && found[k + 1].first < end &&
            !lex_mark(x, found[k].end, ',')) { /* up to the next modal's own subject */
            size_t cut = grammar_clause_start(x, found[k + 1].first, found[k].end);
            if (cut > first && cut < end)
                end = cut;
            else if (found[k + 1].first < end)
                end = found[k + 1].first;
        }
        grammar_trim(x, &first, &end);
        if (first < end) what = facts_span(f, first, end);
        if ((rc = add(f, &found[k], who, what, no, e))) return rc;
        last_who = who;
    }
    return 0;
}
