/* facts_subject.c: what a value measures: the range of text that names it.
 *
 * In this order:
 *   1. the noun behind it that it modifies: "$500 deposit", "30 days' prior written notice", "a 12-month term";
 *   2. the noun before it, joined by "of", "at", "equal to": "a fee of $500", "interest at the rate of 5 %";
 *   3. the subject of a copula: "The monthly rent is $5,000", "liability shall not exceed EUR 1m";
 *   4. the verb with its object: "pay all invoices within 30 days"; the whole clause when it is passive: "records are
 * kept for five years";
 *   5. a label: "Rent: $5,000".
 * object: an amount's basis ("per month"), a percentage's or count's whole ("of the Contract Price"), a period's anchor
 * ("after receipt of the invoice"), else the action a notice belongs to ("terminate this Agreement upon 30 days'
 * notice"). */
#include "ingest/facts.h"
#include "ingest/grammar.h"

#include <math.h>
#include <string.h>

enum { SUBJECT_BYTES = 200 };

static void put_all(struct facts *f, struct ingest_span *out, size_t first, size_t end) {
    grammar_trim(&f->lex, &first, &end);
    if (first >= end) return;
    struct ingest_span s = facts_span(f, first, end);
    while (s.end - s.start > SUBJECT_BYTES && first < end - 1) s = facts_span(f, first, --end);
    if (s.end - s.start > SUBJECT_BYTES) return;
    *out = s;
}

static void put(struct facts *f, struct ingest_span *out, size_t first, size_t end) {
    put_all(f, out, grammar_skip_adjunct(&f->lex, first, end), end);
}

/* Heads that say nothing by themselves: "the amount of", "a period of". */
static bool generic(const struct lex *x, size_t first, size_t end) {
    for (size_t k = first; k < end; k++) {
        if (x->tokens[k].kind != LEX_WORD) continue;
        if (lex_in(x, k,
                   "the a an amount amounts sum rate period periods maximum minimum total level aggregate equivalent "
                   "limit term value principal excess further initial "
                   "additional further full additional payment number quantity distance time price length duration "
                   "extent count cap ceiling"))
            continue;
        return false;
    }
    return true;
}
static bool weak(const struct lex *x, size_t i) {
    return lex_in(x, i,
                  "amount amounts sum rate period periods maximum minimum total level aggregate equivalent limit value "
                  "number quantity cap ceiling length duration excess");
}

static bool copula(const struct lex *x, size_t i) {
    return lex_has(x, i, LEX_C_BE) || lex_in(x, i,
                                             "equal equals exceed exceeds exceeded total totals totaled amount amounts "
                                             "amounted cost costs remain remains remained last lasts lasted run "
                                             "runs become becomes begin begins began commence commences commenced end "
                                             "ends ended expire expires expired terminate terminates start starts "
                                             "started reach reaches reached mean means comprise comprises constitute "
                                             "measures weighs has have consist consists");
}

size_t facts_range_connector(const struct lex *x, size_t i, bool between) {
    if (lex_is(x, i, "to") || lex_is(x, i, "through") || lex_is(x, i, "…")) return 1;
    if (between && lex_is(x, i, "and")) return 1;
    if (lex_dash(x, i)) return lex_space(x, i) == lex_space(x, i + 1) ? 1 : 0;
    if (lex_phrase(x, i, "up to")) return 0;
    return 0;
}

/* Start of the clause around i, back over commas until it has a verb: "shall pay salary, health and other benefits for
 * 18 months". */
static size_t predicate_start(const struct lex *x, size_t i, size_t from) {
    size_t start = grammar_clause_start(x, i, from);
    for (int hops = 0; hops < 8; hops++) {
        for (size_t k = start; k < i; k++)
            if (grammar_verb(x, k)) return start;
        if (start <= from + 1 || !lex_mark(x, start - 1, ',')) return start;
        size_t left = grammar_clause_start(x, start - 1, from);
        if (left >= start - 1) return start;
        start = left;
    }
    return start;
}

/* The action left of token i: from its verb to i. */
static bool action(struct facts *f, size_t i, size_t from, struct ingest_span *out) {
    const struct lex *x = &f->lex;
    size_t start = predicate_start(x, i, from);
    for (size_t k = i; k-- > start;) {
        if (!grammar_verb(x, k) || lex_has(x, k, LEX_C_MODAL)) continue;
        if (lex_has(x, k, LEX_C_BE)) { /* passive or copula: the whole clause */
            put(f, out, start, i);
            return out->end > out->start;
        }
        if (k + 1 >= i) continue; /* a verb without an object says too little */
        /* "shall be paid": passive */
        size_t p = k;
        while (p > start && lex_has(x, p - 1, LEX_C_ADVERB)) p--;
        if (p > start && lex_has(x, p - 1, LEX_C_BE))
            put(f, out, start, i);
        else
            put(f, out, k, i);
        return out->end > out->start;
    }
    return false;
}

static void anchor(struct facts *f, struct value *v) {
    const struct lex *x = &f->lex;
    size_t i = v->end;
    /* over the noun it modifies: "30 days' notice before", "30 days prior written notice of" */
    size_t k = i;
    while (k < x->n && k < i + 6 && x->tokens[k].kind == LEX_WORD && (grammar_noun(x, k)) &&
           !lex_in(x, k, "prior following"))
        k++;
    if (lex_is(x, k, "prior") && !lex_is(x, k + 1, "to")) { /* "prior written notice" */
        while (k < x->n && k < i + 6 && x->tokens[k].kind == LEX_WORD && grammar_noun(x, k)) k++;
    }
    bool time = lex_in(x, k, "after from following before preceding since") || lex_phrase(x, k, "prior to") ||
                lex_phrase(x, k, "subsequent to");
    bool of = (k == i && lex_is(x, k, "of"));
    if (v->fact.kind == INGEST_PERIOD ? !(time || of) : !(of || lex_is(x, k, "per"))) return;
    size_t end = k + 1;
    while (end < x->n && end < k + 18) {
        if (x->tokens[end].kind == LEX_BREAK || lex_in(x, end, ", ; : . ) —") || lex_has(x, end, LEX_C_MODAL) ||
            lex_in(x, end, "if unless provided and or but"))
            break;
        end++;
    }
    if (end > k + 1) put_all(f, &v->fact.object, v->fact.kind == INGEST_PERIOD ? k : k + 1, end);
    /* grammar_trim leaves the preposition in front: "after receipt of the invoice" says more than "receipt" */
}

/* "The maximum pressure is 3 bar": the word that names it says that it is a limit. */
static void bound_by_name(struct facts *f, struct ingest_fact *t) {
    if (t->bound != INGEST_EXACT || t->kind == INGEST_DATE || !isnan(t->value2)) return;
    static const struct {
        const char *word;
        enum ingest_bound bound;
    } words[] = {{"maximum", INGEST_AT_MOST},  {"highest", INGEST_AT_MOST}, {"max", INGEST_AT_MOST},
                 {"minimum", INGEST_AT_LEAST}, {"lowest", INGEST_AT_LEAST}, {"min", INGEST_AT_LEAST}};
    /* the subject, or the clause around it: "The minimum order quantity is 4 pumps" */
    struct slice names[] = {ingest_text(f->d, t->subject), ingest_text(f->d, t->object)};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            size_t n = strlen(words[i].word);
            if (names[k].len > n && strncasecmp(names[k].data, words[i].word, n) == 0 &&
                (names[k].data[n] == ' ' || names[k].data[n] == '.')) {
                t->bound = words[i].bound;
                return;
            }
        }
}

static void find_subject(struct facts *f, struct value *v);

void facts_subject(struct facts *f, struct value *v) {
    find_subject(f, v);
    bound_by_name(f, &v->fact);
}

static void find_subject(struct facts *f, struct value *v) {
    const struct lex *x = &f->lex;
    struct ingest_fact *t = &v->fact;
    size_t from = f->first, i = v->first, end = v->end;
    if (v->basis.end > v->basis.start)
        t->object = v->basis;
    else if (t->kind != INGEST_DATE && t->kind != INGEST_AMOUNT)
        anchor(f, v);

    /* in a definition the term is what the value measures: "Default Rate" means a rate of 1.5 % */
    for (size_t k = f->n_out; k-- > 0 && f->out[k].statement == f->statement;)
        if (f->out[k].kind == INGEST_TERM && f->out[k].object.start >= f->out[k].span.end &&
            f->out[k].object.start <= x->tokens[i].start && x->tokens[i].start < f->out[k].object.end) {
            t->subject = f->out[k].subject;
            return;
        }

    /* 1. the noun behind */
    bool apostrophe = end > 0 && lex_in(x, end - 1, "' ’ 's ’s");
    bool determined = i > from && (lex_has(x, i - 1, LEX_C_DETERMINER) || lex_in(x, i - 1, "upon with giving without"));
    bool basis = v->basis.end > v->basis.start;
    if (!basis && t->kind != INGEST_DATE && end < x->n) {
        size_t np = end;
        if (lex_hyphen(x, np)) np++;
        size_t stop = grammar_np_after(x, np, x->n);
        bool begins = stop > np && !lex_has(x, np, LEX_C_DETERMINER) &&
                      !lex_in(x, np, "following prior each due payable outstanding owing available thereof then");
        if (lex_is(x, np, "prior") && !lex_is(x, np + 1, "to")) begins = stop > np;
        if (begins && t->kind == INGEST_PERIOD)
            begins = apostrophe || determined || lex_in(x, stop - 1, "notice period term warning leave grace warranty");
        if (begins && t->kind == INGEST_NUMBER) begins = t->unit.len == 0 || determined;
        if (begins &&
            (lex_has(x, np, LEX_C_ADVERB) || (i > from && lex_is(x, i - 1, "of") && lex_has(x, np, LEX_C_VERB))))
            begins = false;                         /* "a penalty of $50 applies" */
        if (begins && lex_has(x, np, LEX_C_VERB)) { /* "a guarantee of $5 issued by": a participle */
            uint32_t last = x->tokens[np].end;
            if (last - x->tokens[np].start > 4 &&
                (memcmp(x->text + last - 2, "ed", 2) == 0 || memcmp(x->text + last - 3, "ing", 3) == 0))
                begins = false;
        }
        if (begins) {
            put(f, &t->subject, np, stop);
            /* "interest of 5% per annum", "5% interest": a lone unit word is no subject */
            if (t->subject.end > t->subject.start) {
                if (t->object.end == t->object.start) action(f, i, from, &t->object);
                return;
            }
        }
    }
    if (i <= from) goto table_or_label;

    /* 2. the noun before; "the Deposit (EUR 10,000)" */
    if (i > from + 1 && lex_mark(x, i - 1, '(')) {
        size_t np = grammar_np_before(x, i - 1, from);
        if (np < i - 1) put(f, &t->subject, np, i - 1);
        if (t->subject.end > t->subject.start) return;
    }
    size_t p = i;
    if (p > from && lex_in(x, p - 1, "a an the")) p--;
    size_t joint = SIZE_MAX;
    if (p > from && (lex_is(x, p - 1, "of") || (lex_is(x, p - 1, "at") && t->kind != INGEST_NUMBER))) joint = p - 1;
    if (joint == SIZE_MAX && p > from && lex_phrase_before(x, p, "equal to") != SIZE_MAX)
        joint = lex_phrase_before(x, p, "equal to");
    if (joint == SIZE_MAX && p > from && lex_in(x, p - 1, "totaling totalling worth exceeding")) joint = p - 1;
    /* the bound took "exceeding" or "up to" into the value: "a fee not exceeding $5", "orders over $500" */
    if (joint == SIZE_MAX && p == i && t->bound != INGEST_EXACT && !lex_has(x, i, LEX_C_MODAL) &&
        !lex_in(x, i, "exceed exceeds exceeded no never do does not") && grammar_noun(x, p - 1) &&
        t->kind != INGEST_DATE && t->kind != INGEST_PERIOD)
        joint = p;
    if (joint != SIZE_MAX) {
        size_t np = grammar_np_before(x, joint, from);
        size_t np_end = joint;
        if (np > from && lex_has(x, np - 1, LEX_C_BE | LEX_C_MODAL)) np = np_end; /* "is enrolled at": a participle */
        if (np > from + 1 && np_end - np <= 2 && lex_is(x, np - 1, "per")) {      /* "a rate per annum equal to" */
            np_end = np - 1;
            np = grammar_np_before(x, np_end, from);
        }
        for (int hops = 0; hops < 3 && np < np_end && generic(x, np, np_end) && np > from; hops++) {
            /* "interest at the rate of", "a deposit in the amount of" */
            size_t q = np - 1;
            if (!lex_has(x, q, LEX_C_PREPOSITION) || lex_in(x, q, "for within")) break;
            size_t left = grammar_np_before(x, q, from);
            if (left == q) break;
            np = left, np_end = q;
        }
        if (np < np_end && !generic(x, np, np_end)) {
            /* "a fee for late delivery of $5": the NP may itself hang on "of": "termination of employment of" */
            while (np > from + 1 && lex_in(x, np - 1, "of for") && grammar_noun(x, np - 2)) {
                size_t left = grammar_np_before(x, np - 1, from);
                if (left == np - 1) break;
                np = left;
            }
            put(f, &t->subject, np, np_end);
            if (t->subject.end > t->subject.start) {
                if (t->object.end == t->object.start && t->kind == INGEST_PERIOD) action(f, np, from, &t->object);
                return;
            }
        }
    }

    /* 3. and 4. by the verb; "for a period of" adds nothing to either */
    {
        if (joint != SIZE_MAX) {
            size_t np = grammar_np_before(x, joint, from);
            if (np < joint && np > from && generic(x, np, joint) && lex_has(x, np - 1, LEX_C_PREPOSITION)) i = np;
        }
        size_t start = predicate_start(x, i, from);
        for (size_t k = i; k-- > start;) {
            if (!grammar_verb(x, k) && !(copula(x, k) && k > start &&
                                         lex_has(x, k - 1, LEX_C_MODAL | LEX_C_BE | LEX_C_NEGATION | LEX_C_ADVERB)))
                continue;
            size_t verb = k;
            if (copula(x, k) && !lex_in(x, k, "has have")) {
                /* back over "shall not", "is hereby" */
                size_t g = k;
                while (g > start && (lex_has(x, g - 1, LEX_C_MODAL | LEX_C_BE | LEX_C_NEGATION) ||
                                     (lex_has(x, g - 1, LEX_C_ADVERB) &&
                                      !lex_in(x, g - 1, "monthly annually weekly daily quarterly")) ||
                                     lex_in(x, g - 1, "in any no event to")))
                    g--;
                /* "is payable within", "are kept for": the words between belong to it */
                size_t s = grammar_clause_start(x, g, from);
                bool lasting = lex_in(x, k,
                                      "remain remains remained last lasts lasted run runs begin begins began commence "
                                      "commences commenced end ends ended expire expires "
                                      "expired terminate terminates start starts started reach reaches reached become "
                                      "becomes continue continues");
                bool participle =
                    lex_has(x, k, LEX_C_BE) && k + 1 < i && !lex_has(x, k + 1, LEX_C_PREPOSITION | LEX_C_NEGATION) &&
                    x->tokens[k + 1].kind == LEX_WORD && !lex_in(x, k + 1, "equal set fixed limited capped");
                if (lasting || participle) {
                    put(f, &t->subject, s, i);
                } else {
                    put(f, &t->subject, s, g);
                }
                if (t->subject.end > t->subject.start) return;
                break;
            }
            if (lex_has(x, k, LEX_C_MODAL)) { /* a modal with an unknown verb behind it: "shall indemnify" */
                verb = k + 1;
                while (verb < i && lex_has(x, verb, LEX_C_NEGATION | LEX_C_ADVERB)) verb++;
                if (verb >= i) { /* the bound took the verb: "shall not exceed $5" */
                    size_t s = grammar_clause_start(x, k, from);
                    if (t->kind == INGEST_PERIOD && t->bound == INGEST_AT_MOST &&
                        lex_is(x, i, "within")) /* "shall within ten days notify Builder" */
                        put_all(f, &t->subject, v->end,
                                grammar_clause_end(x, v->end, v->end + 20 < x->n ? v->end + 20 : x->n));
                    else
                        put(f, &t->subject, s, k);
                    if (t->subject.end > t->subject.start) return;
                    break;
                }
            }
            size_t g = verb;
            while (g > start && lex_has(x, g - 1, LEX_C_ADVERB)) g--;
            if (g > start && lex_has(x, g - 1, LEX_C_BE))
                put(f, &t->subject, grammar_clause_start(x, g - 1, from), i);
            else {
                /* with a modal the actor stands in the modality's fact; without one the whole clause says more: "the
                 * notice takes effect" */
                bool modal = g > start && lex_in(x, g - 1, "to by");
                for (size_t q = start; q < g && !modal; q++) modal = lex_has(x, q, LEX_C_MODAL);
                put(f, &t->subject, modal ? verb : start, i);
                if (modal && t->subject.end > t->subject.start &&
                    !memchr(x->text + t->subject.start, ' ', t->subject.end - t->subject.start))
                    put(f, &t->subject, start, i); /* "accrue at": one word says too little */
            }
            if (t->subject.end > t->subject.start) return;
            break;
        }
        /* the bound took the verb: "liability exceeds $5", "shall not exceed" */
        if (t->bound != INGEST_EXACT && start < i &&
            lex_in(x, i, "not shall may must will never exceed exceeds exceeding no cannot in")) {
            size_t e2 = i;
            while (e2 > start && lex_has(x, e2 - 1, LEX_C_MODAL | LEX_C_BE | LEX_C_ADVERB)) e2--;
            put(f, &t->subject, start, e2);
            if (t->subject.end > t->subject.start && !(weak(x, start) && e2 == start + 1)) return;
        }
        if (t->subject.end == t->subject.start && start < i) {
            bool noun = false;
            for (size_t k = start; k < i; k++) noun |= grammar_noun(x, k);
            if (noun) {
                put(f, &t->subject, start, i);
                if (t->subject.end > t->subject.start) return;
            }
        }
    }

table_or_label:
    /* 5. "Rent: $5,000", "Rent – $5,000" */
    {
        size_t k = i;
        if (k > from &&
            (lex_mark(x, k - 1, ':') || lex_dash(x, k - 1) || lex_mark(x, k - 1, '|') || lex_mark(x, k - 1, '='))) {
            size_t e2 = k - 1, s = e2;
            while (s > from && x->tokens[s - 1].kind != LEX_BREAK && !lex_in(x, s - 1, "; . : |") && e2 - s < 14) s--;
            put(f, &t->subject, s, e2);
        }
        /* "Within five days after the order, the Supplier shall confirm it": the main clause stands behind */
        if (t->subject.end == t->subject.start && (t->kind == INGEST_PERIOD || t->kind == INGEST_DATE)) {
            size_t comma = v->end;
            while (comma < x->n && comma < v->end + 30 && !lex_mark(x, comma, ',') && !lex_in(x, comma, "; . :"))
                comma++;
            if (lex_mark(x, comma, ',')) {
                size_t stop = grammar_clause_end(x, comma + 1, x->n), verb = comma + 1;
                if (stop > comma + 30) stop = comma + 30;
                while (verb < stop && !lex_has(x, verb, LEX_C_MODAL)) verb++;
                if (verb + 1 < stop) {
                    verb++;
                    if (lex_has(x, verb, LEX_C_BE)) verb = comma + 1; /* "it shall be paid": the whole clause */
                    size_t last = verb;
                    while (last < stop && last < verb + 14 && !(lex_mark(x, last, ',') && last > verb + 2)) last++;
                    put(f, &t->subject, verb, last);
                }
            }
        }
        /* "$2.0 billion of senior notes" */
        if (t->kind == INGEST_AMOUNT && t->subject.end == t->subject.start && lex_is(x, v->end, "of")) {
            size_t stop = grammar_np_after(x, v->end + 1, x->n);
            if (stop > v->end + 1) put(f, &t->subject, v->end + 1, stop);
        }
        /* "0.5 % of the price, but not more than 5 %": what the value before it measures */
        if (t->subject.end == t->subject.start)
            for (size_t q = f->n_out; q-- > 0 && f->out[q].statement == f->statement;)
                if (f->out[q].kind == t->kind) {
                    t->subject = f->out[q].subject;
                    break;
                }
        /* an item that is only a value: its lead-in names it */
        if (t->subject.end == t->subject.start && f->first > 1 && !action(f, f->first - 1, 0, &t->subject)) {
            size_t start = grammar_clause_start(x, f->first - 1, 0);
            put(f, &t->subject, start, f->first - 1);
        }
    }
}
