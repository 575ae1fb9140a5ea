/* facts.c: statements -> typed facts. Step 6 of the reader's path: what each statement says, as values that rules can
 * compare.
 *
 * Owns the walk: tokens of lead-in and statement, readers in order of claim, bounds, subjects and flags, order of the
 * result (by statement, then by start). Table rows go cell by cell (facts_table.c). Headings give references only. Time
 * is linear in the text: a reader looks a bounded number of tokens back and ahead (CLAUSE_TOKENS in grammar.c). */
#include "ingest/facts.h"
#include "ingest/grammar.h"
#include "ingest/structure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FACTS_PER_STATEMENT = 4000, /* a statement of nothing but figures does not grow without bound */
    DOLLAR_WINDOW = 200000      /* where "dollars means ..." is looked for */
};

struct ingest_fact facts_blank(const struct facts *f, enum ingest_fact_kind kind) {
    uint32_t at = f->s->span.start;
    return (struct ingest_fact){.kind = kind,
                                .statement = f->statement,
                                .span = {at, at},
                                .subject = {at, at},
                                .object = {at, at},
                                .value = NAN,
                                .value2 = NAN,
                                .unit = {"", 0}};
}

int facts_add(struct facts *f, const struct ingest_fact *fact, struct error *e) {
    if (array_grow((void **)&f->out, &f->cap_out, f->n_out + 1, sizeof *f->out, e)) return ERR_NOMEM;
    f->out[f->n_out++] = *fact;
    return 0;
}

/* ---- flags that a whole sentence gives its facts ---- */
static bool has_condition(const struct lex *x, size_t first, size_t end) {
    for (size_t i = first; i < end; i++) {
        if (!lex_has(x, i, LEX_C_CONDITION) && !lex_in(x, i, "in so to other where upon only when")) continue;
        if (lex_in(x, i, "if unless except excepting notwithstanding absent")) {
            if (lex_is(x, i, "if") && lex_is(x, i + 1, "any") && i > first && lex_mark(x, i - 1, ','))
                continue; /* "the costs, if any," */
            return true;
        }
        if (lex_is(x, i, "provided") && (lex_in(x, i + 1, "that however , always further") &&
                                         !(i > first && lex_has(x, i - 1, LEX_C_BE | LEX_C_MODAL)))) {
            if (lex_mark(x, i + 1, ',') && !lex_is(x, i + 2, "however") && !lex_is(x, i + 2, "further")) continue;
            return true;
        }
        if (lex_phrase(x, i, "subject to") || lex_phrase(x, i, "in the event") || lex_phrase(x, i, "in case of") ||
            lex_phrase(x, i, "so long as") || lex_phrase(x, i, "to the extent") || lex_phrase(x, i, "other than") ||
            lex_phrase(x, i, "only if") || lex_phrase(x, i, "only when") || lex_phrase(x, i, "save as") ||
            lex_phrase(x, i, "save for"))
            return true;
        if (i == first && lex_in(x, i, "where when upon")) return true;
    }
    return false;
}

/* Somebody's word, not the document's: "the Seller alleges that", "according to the Buyer". Returns the first token it
 * covers. */
static size_t attributed_from(const struct lex *x, size_t first, size_t end) {
    for (size_t i = first; i < end; i++) {
        if (lex_phrase(x, i, "according to")) {
            bool opens = i == first || lex_mark(x, i - 1, ',');
            size_t k = i + 2;
            if (lex_has(x, k, LEX_C_DETERMINER)) k++;
            bool document = lex_has(x, k, LEX_C_REFERENCE) ||
                            lex_in(x, k,
                                   "terms provisions formula following instructions law laws manufacturer "
                                   "specifications plan agreement contract size type number order");
            if (!opens || document) continue;
            return first;
        }
        if (!lex_has(x, i, LEX_C_ATTRIBUTION)) continue;
        if (lex_in(x, i, "allegedly reportedly purportedly")) return first;
        bool strong = lex_in(x, i,
                             "alleges alleged contends contended asserts asserted argues argued denies denied "
                             "testified testifies disputes disputed insists insisted maintains maintained");
        if (i > first && lex_has(x, i - 1, LEX_C_DETERMINER | LEX_C_PREPOSITION) && !lex_is(x, i + 1, "that"))
            continue; /* "the alleged breach", "of claims" */
        if (i > first && lex_has(x, i - 1, LEX_C_MODAL) && !lex_is(x, i + 1, "that")) continue; /* "shall maintain" */
        if (lex_is(x, i + 1, "that")) {
            if (i > first && lex_has(x, i - 1, LEX_C_MODAL | LEX_C_BE))
                continue; /* "is said that" is impersonal, "may assert that" a right */
            return i;
        }
        if (strong && i > first && grammar_noun(x, i - 1) && !lex_in(x, i, "maintains maintained denied disputed"))
            return i;
        if (lex_in(x, i, "denies denied disputes disputed") && i > first && grammar_noun(x, i - 1) &&
            lex_has(x, i + 1, LEX_C_DETERMINER))
            return i;
        if (lex_in(x, i, "said says") && lex_mark(x, i + 1, ',')) return first;
    }
    return SIZE_MAX;
}

/* "not", "never", "no" in the clause before the value, outside its own bound words. */
static bool negated(const struct lex *x, size_t i, size_t from) {
    size_t start = grammar_clause_start(x, i, from);
    for (size_t k = start; k < i; k++) {
        if (!lex_has(x, k, LEX_C_NEGATION)) continue;
        if (lex_in(x, k, "without nor")) continue;
        if (lex_is(x, k, "no") && lex_mark(x, k + 1, '.')) continue;
        if (lex_phrase(x, k, "not only") || lex_phrase(x, k, "whether or not")) continue;
        if (lex_in(
                x, k + 1,
                "later more less fewer longer earlier greater sooner exceed exceeding below above over higher lower"))
            continue;
        return true;
    }
    return false;
}

/* ---- what "$" means in this document ---- */
static const char *dollar_of(struct slice text) {
    static const struct {
        const char *word, *iso;
    } lands[] = {{"canad", "CAD"},       {"cad", "CAD"},       {"austral", "AUD"},   {"aud", "AUD"},
                 {"new zealand", "NZD"}, {"hong kong", "HKD"}, {"singapore", "SGD"}, {"united states", "USD"},
                 {"u.s.", "USD"},        {"usd", "USD"},       {"us dollars", "USD"}};
    size_t end = text.len < DOLLAR_WINDOW ? text.len : DOLLAR_WINDOW;
    for (size_t i = 0; i + 8 < end; i++) {
        const char *hit = memchr(text.data + i, 'o', end - i); /* dOllars */
        if (!hit) break;
        i = (size_t)(hit - text.data);
        if (i < 1 || i + 6 > end || strncasecmp(hit - 1, "dollar", 6) != 0) continue;
        /* "all references to dollars", "dollars" means, expressed in dollars: then a land within 80 bytes */
        size_t from = i > 60 ? i - 60 : 0, to = i + 100 < end ? i + 100 : end;
        bool rule = false;
        for (size_t k = from; k + 9 < to && !rule; k++)
            rule = strncasecmp(text.data + k, "reference", 9) == 0 || strncasecmp(text.data + k, "expressed", 9) == 0 ||
                   (k > i && strncasecmp(text.data + k, "means", 5) == 0) ||
                   (k > i && strncasecmp(text.data + k, "shall mean", 9) == 0) ||
                   strncasecmp(text.data + k, "all amounts", 9) == 0 || strncasecmp(text.data + k, "currency ", 9) == 0;
        if (!rule) continue;
        for (size_t k = from; k < to; k++)
            for (size_t l = 0; l < sizeof lands / sizeof *lands; l++) {
                size_t n = strlen(lands[l].word);
                if (k + n <= to && strncasecmp(text.data + k, lands[l].word, n) == 0) return lands[l].iso;
            }
    }
    return "USD";
}

/* ---- the walk ---- */
static int by_start(const void *a, const void *b) {
    const struct ingest_fact *x = a, *y = b;
    if (x->span.start != y->span.start) return x->span.start < y->span.start ? -1 : 1;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    return x->span.end < y->span.end ? -1 : x->span.end > y->span.end;
}

static size_t read_value(struct facts *f, size_t i, struct value *v) {
    size_t n;
    *v = (struct value){.first = i, .end = i};
    if ((n = facts_frequency_read(f, i, v)) || (n = facts_date_read(f, i, v)) || (n = facts_money_read(f, i, v)) ||
        (n = facts_percentage_read(f, i, v)) || (n = facts_period_read(f, i, v)))
        return n;
    return 0;
}

static void claim(struct facts *f, size_t first, size_t end) {
    for (size_t k = first; k < end && k < f->lex.n; k++) f->claimed[k] = true;
}

static bool total_before(const struct facts *f, size_t first, size_t i) {
    const struct lex *x = &f->lex;
    size_t from = i > first + 8 ? i - 8 : first;
    for (size_t k = i; k-- > from;) {
        if (f->claimed[k]) return false; /* that was the total */
        if (lex_in(x, k, "total totals subtotal totaling totalling totaled aggregate")) return true;
        if (lex_phrase(x, k, "sum of") && !lex_is(x, k + 2, "$")) return false;
        if (x->tokens[k].kind == LEX_MARK && !lex_in(x, k, ": $ € £")) return false;
    }
    return false;
}

static int walk(struct facts *f, struct error *e) {
    struct lex *x = &f->lex;
    size_t begin = f->n_out;
    for (size_t i = f->first; i < x->n;) {
        if (f->n_out - begin > FACTS_PER_STATEMENT) break;
        if (x->tokens[i].kind == LEX_BREAK || f->claimed[i]) {
            i++;
            continue;
        }
        int rc = 0;
        size_t n = facts_reference_read(f, i, e, &rc);
        if (rc) return rc;
        if (n) {
            claim(f, i, i + n);
            i += n;
            continue;
        }
        struct value v;
        bool quick = x->tokens[i].kind == LEX_WORD &&
                     !(x->tokens[i].classes &
                       (LEX_C_NUMBER | LEX_C_SCALE | LEX_C_FRACTION | LEX_C_ORDINAL | LEX_C_MONTH | LEX_C_CURRENCY)) &&
                     !lex_in(x, i,
                             "a an minus negative us u.s. c ca cdn can au hk nz s sg nt r mx once twice thrice every "
                             "half noon midnight midday hourly daily weekly fortnightly monthly bimonthly quarterly "
                             "semiannually biannually annually yearly biennially fiscal fy calendar one-half");
        if (!quick ||
            lex_in(x, i,
                   "no nos number suite box form version release ext extension fax tel telephone phone apt building "
                   "floor flight unit model serial type class series level phase iso "
                   "ieee en din rfc isbn ein vat zip hull lot block parcel route interstate boeing windows tier grade "
                   "fas fasb asc sfas statement ias ifrs opinion bulletin issue revision rev numbers")) {
            n = read_value(f, i, &v);
            if (n) n = v.end - i;
            if (!n) {
                size_t skip = facts_nonvalue(f, i);
                if (skip) {
                    claim(f, i, i + skip);
                    i += skip;
                    continue;
                }
                n = facts_quantity_read(f, i, &v);
            }
            if (n) {
                size_t own_end = v.end;
                facts_bound(f, &v);
                v.fact.span = facts_span(f, v.first, v.end);
                facts_subject(f, &v);
                if (v.fact.kind != INGEST_DATE && negated(x, v.first, f->first)) {
                    /* "In no event shall liability exceed $5": a ceiling, not a negated floor */
                    if (v.fact.bound == INGEST_MORE_THAN)
                        v.fact.bound = INGEST_AT_MOST;
                    else if (v.fact.bound == INGEST_LESS_THAN)
                        v.fact.bound = INGEST_AT_LEAST;
                    else
                        v.fact.flags |= INGEST_NEGATED;
                }
                if (f->conditional) v.fact.flags |= INGEST_CONDITIONAL;
                if (f->attributed <= v.first) v.fact.flags |= INGEST_ATTRIBUTED;
                if ((rc = facts_add(f, &v.fact, e))) return rc;
                if ((v.fact.kind == INGEST_AMOUNT || v.fact.kind == INGEST_NUMBER) &&
                    total_before(f, f->first, v.first)) {
                    v.fact.kind = INGEST_TOTAL;
                    if ((rc = facts_add(f, &v.fact, e))) return rc;
                }
                claim(f, v.first, v.end);
                i = v.end > own_end ? v.end : own_end;
                continue;
            }
        }
        i++;
    }
    return 0;
}

/* Items of one list share its tail: a condition in a paragraph that goes on behind the last item speaks of all of them.
 */
static bool tail_condition(const struct ingest_document *d, const struct ingest_statement *s) {
    const char *t = d->text.data;
    const char *nl = memrchr(t + s->span.start, '\n', s->span.end - s->span.start);
    if (!nl) return false;
    struct slice rest = slice_trim((struct slice){nl, (size_t)(t + s->span.end - nl)});
    static const char *const tails[] = {"provided",        "except", "unless",     "subject to",
                                        "notwithstanding", "but ",   "other than", "if "};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (slice_starts_with(rest, slice_of(tails[i]))) return true;
    return false;
}

/* Behind the number or bullet that a statement begins with: a clause's number is neither a fact nor part of an actor.
 */
static uint32_t behind_mark(const struct ingest_document *d, const struct ingest_statement *s, uint32_t start) {
    const struct ingest_section *sec = &d->sections[s->section];
    const char *t = d->text.data;
    uint32_t end = s->span.end, i = start;
    if (start != s->span.start) return start;
    if (sec->number.len && sec->span.start == start && sec->number.len < end - start) {
        i = start + (uint32_t)sec->number.len;
        while (i < end && (t[i] == '.' || t[i] == ':' || t[i] == ')')) i++;
    } else {
        struct mark m;
        char c = t[start];
        bool may = c == '(' || c == '-' || c == '*' || (uint8_t)c == 0xE2 ||
                   (s->kind == INGEST_LIST_ITEM && ((c | 32) >= 'a' || (c >= '0' && c <= '9')));
        if (may && mark_read(t, start, end, &m) && m.style != MARK_KEYWORD) i = m.span.end;
    }
    while (i < end && (t[i] == ' ' || t[i] == '\t')) i++;
    return i < end ? i : start;
}

static int one_statement(struct facts *f, uint32_t index, bool tail, struct error *e) {
    struct ingest_document *d = f->d;
    f->statement = index;
    f->s = &d->statements[index];
    size_t before = f->n_out;
    int rc;
    if (structure_leaders(ingest_text(d, f->s->span))) return 0; /* page numbers of a table of contents */
    lex_clear(&f->lex);
    const struct ingest_span lead = f->s->lead_in;
    if (f->s->kind != INGEST_TABLE_ROW && lead.end > lead.start) {
        uint32_t at = ingest_statement_at(d, lead.start);
        uint32_t start = at == INGEST_NONE ? lead.start : behind_mark(d, &d->statements[at], lead.start);
        if ((rc = lex_append(&f->lex, d->text.data, start < lead.end ? start : lead.end, lead.end, e)) ||
            (rc = lex_append_break(&f->lex, f->s->span.start, e)))
            return rc;
    }
    f->first = f->lex.n;
    uint32_t start = f->s->kind == INGEST_TABLE_ROW ? f->s->span.start : behind_mark(d, f->s, f->s->span.start);
    if ((rc = lex_append(&f->lex, d->text.data, start, f->s->span.end, e))) return rc;
    if (array_grow((void **)&f->claimed, &f->claimed_cap, f->lex.n + 1, sizeof *f->claimed, e)) return ERR_NOMEM;
    memset(f->claimed, 0, (f->lex.n + 1) * sizeof *f->claimed);
    f->conditional = tail || has_condition(&f->lex, 0, f->lex.n);
    f->attributed = attributed_from(&f->lex, f->first, f->lex.n);
    if (f->attributed == SIZE_MAX && f->first > 0) f->attributed = attributed_from(&f->lex, 0, f->first);
    if (f->s->kind == INGEST_TABLE_ROW) {
        if ((rc = facts_table_row(f, e))) return rc;
    } else {
        if (f->s->kind != INGEST_HEADING && ((rc = facts_parties(f, e)) || (rc = facts_terms(f, e)))) return rc;
        bool words = false; /* a page number or the like alone is no fact */
        for (size_t k = f->first; k < f->lex.n && !words; k++)
            words =
                f->lex.tokens[k].kind == LEX_WORD || lex_has(&f->lex, k, LEX_C_CURRENCY) || lex_mark(&f->lex, k, '%');
        if (words && (rc = walk(f, e))) return rc;
        if (f->s->kind != INGEST_HEADING && (rc = facts_modality(f, e))) return rc;
    }
    if (f->n_out > before + 1) qsort(f->out + before, f->n_out - before, sizeof *f->out, by_start);
    return 0;
}

int ingest_facts(struct ingest_document *d, struct error *e) {
    if (d->facts) return 0; /* ingest_structure drops them when it cuts anew */
    struct facts f = {.d = d, .caption = {.scale = 1}, .caption_of = INGEST_NONE};
    int rc = 0;
    f.dollar = dollar_of(d->text);
    for (uint32_t i = 0; i < d->n_statements && !rc; i++) {
        /* the last item of this statement's list, if it is in one */
        bool tail = false;
        const struct ingest_statement *s = &d->statements[i];
        if (s->kind == INGEST_LIST_ITEM && s->lead_in.end > s->lead_in.start) {
            uint32_t last = i;
            while (last + 1 < d->n_statements && last < i + 60 && d->statements[last + 1].kind == INGEST_LIST_ITEM &&
                   d->statements[last + 1].lead_in.start == s->lead_in.start)
                last++;
            tail = tail_condition(d, &d->statements[last]);
        }
        rc = one_statement(&f, i, tail, e);
    }
    if (!rc) {
        struct ingest_fact *out = arena_array(&d->arena, f.n_out ? f.n_out : 1, sizeof *out);
        if (!out) {
            rc = error_set(e, ERR_NOMEM, "", "Out of memory while facts were collected.");
        } else {
            if (f.n_out) memcpy(out, f.out, f.n_out * sizeof *out);
            d->facts = out;
            d->n_facts = f.n_out;
        }
    }
    free(f.out);
    free(f.claimed);
    lex_free(&f.lex);
    return rc;
}
