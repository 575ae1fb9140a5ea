/* facts_bound.c: the words around a value that say whether it is a ceiling, a floor or a guess. The span of a fact
 * covers them, so that "not more than USD 5,000" is marked whole, and "not" in "not more than" never counts as a
 * negation of the sentence. */
#include "ingest/facts.h"

#include <math.h>

struct bound_phrase {
    const char *phrase;
    enum ingest_bound bound;
};

/* Longest first where one ends like another. */
static const struct bound_phrase before[] = {
    {"in no event more than", INGEST_AT_MOST},
    {"in no event less than", INGEST_AT_LEAST},
    {"not be more than", INGEST_AT_MOST},
    {"not be less than", INGEST_AT_LEAST},
    {"be no more than", INGEST_AT_MOST},
    {"be no less than", INGEST_AT_LEAST},
    {"not in excess of", INGEST_AT_MOST},
    {"not more than", INGEST_AT_MOST},
    {"no more than", INGEST_AT_MOST},
    {"never more than", INGEST_AT_MOST},
    {"not greater than", INGEST_AT_MOST},
    {"no greater than", INGEST_AT_MOST},
    {"not longer than", INGEST_AT_MOST},
    {"no longer than", INGEST_AT_MOST},
    {"not later than", INGEST_AT_MOST},
    {"no later than", INGEST_AT_MOST},
    {"not higher than", INGEST_AT_MOST},
    {"no higher than", INGEST_AT_MOST},
    {"not less than", INGEST_AT_LEAST},
    {"no less than", INGEST_AT_LEAST},
    {"not fewer than", INGEST_AT_LEAST},
    {"no fewer than", INGEST_AT_LEAST},
    {"never less than", INGEST_AT_LEAST},
    {"not lower than", INGEST_AT_LEAST},
    {"no lower than", INGEST_AT_LEAST},
    {"not below", INGEST_AT_LEAST},
    {"not shorter than", INGEST_AT_LEAST},
    {"no sooner than", INGEST_AT_LEAST},
    {"not earlier than", INGEST_AT_LEAST},
    {"no earlier than", INGEST_AT_LEAST},
    {"not over", INGEST_AT_MOST},
    {"not above", INGEST_AT_MOST},
    {"not to exceed", INGEST_AT_MOST},
    {"shall not exceed", INGEST_AT_MOST},
    {"may not exceed", INGEST_AT_MOST},
    {"must not exceed", INGEST_AT_MOST},
    {"will not exceed", INGEST_AT_MOST},
    {"cannot exceed", INGEST_AT_MOST},
    {"never exceed", INGEST_AT_MOST},
    {"do not exceed", INGEST_AT_MOST},
    {"does not exceed", INGEST_AT_MOST},
    {"did not exceed", INGEST_AT_MOST},
    {"not exceed", INGEST_AT_MOST},
    {"not exceeding", INGEST_AT_MOST},
    {"exceed", INGEST_MORE_THAN},
    {"exceeds", INGEST_MORE_THAN},
    {"exceeding", INGEST_MORE_THAN},
    {"exceeded", INGEST_MORE_THAN},
    {"in excess of", INGEST_MORE_THAN},
    {"excess of", INGEST_MORE_THAN},
    {"greater than or equal to", INGEST_AT_LEAST},
    {"more than or equal to", INGEST_AT_LEAST},
    {"less than or equal to", INGEST_AT_MOST},
    {"equal to or greater than", INGEST_AT_LEAST},
    {"equal to or more than", INGEST_AT_LEAST},
    {"equal to or less than", INGEST_AT_MOST},
    {"more than", INGEST_MORE_THAN},
    {"greater than", INGEST_MORE_THAN},
    {"longer than", INGEST_MORE_THAN},
    {"higher than", INGEST_MORE_THAN},
    {"later than", INGEST_MORE_THAN},
    {"less than", INGEST_LESS_THAN},
    {"fewer than", INGEST_LESS_THAN},
    {"lower than", INGEST_LESS_THAN},
    {"shorter than", INGEST_LESS_THAN},
    {"earlier than", INGEST_LESS_THAN},
    {"up to and including", INGEST_AT_MOST},
    {"up to a maximum of", INGEST_AT_MOST},
    {"up to", INGEST_AT_MOST},
    {"at most", INGEST_AT_MOST},
    {"maximum of", INGEST_AT_MOST},
    {"limited to", INGEST_AT_MOST},
    {"capped at", INGEST_AT_MOST},
    {"a cap of", INGEST_AT_MOST},
    {"cap of", INGEST_AT_MOST},
    {"on or before", INGEST_AT_MOST},
    {"at or before", INGEST_AT_MOST},
    {"at the latest by", INGEST_AT_MOST},
    {"at the latest", INGEST_AT_MOST},
    {"within", INGEST_AT_MOST},
    {"within the first", INGEST_AT_MOST},
    {"within the next", INGEST_AT_MOST},
    {"at the maximum", INGEST_AT_MOST},
    {"as much as", INGEST_AT_MOST},
    {"as many as", INGEST_AT_MOST},
    {"as little as", INGEST_AT_LEAST},
    {"as few as", INGEST_AT_LEAST},
    {"at or below", INGEST_AT_MOST},
    {"at or under", INGEST_AT_MOST},
    {"at or above", INGEST_AT_LEAST},
    {"a little over", INGEST_MORE_THAN},
    {"little more than", INGEST_MORE_THAN},
    {"just over", INGEST_MORE_THAN},
    {"just under", INGEST_LESS_THAN},
    {"close to", INGEST_ABOUT},
    {"at least", INGEST_AT_LEAST},
    {"minimum of", INGEST_AT_LEAST},
    {"on or after", INGEST_AT_LEAST},
    {"from and after", INGEST_AT_LEAST},
    {"upwards of", INGEST_AT_LEAST},
    {"starting at", INGEST_AT_LEAST},
    {"over", INGEST_MORE_THAN},
    {"above", INGEST_MORE_THAN},
    {"under", INGEST_LESS_THAN},
    {"below", INGEST_LESS_THAN},
    {"approximately", INGEST_ABOUT},
    {"about", INGEST_ABOUT},
    {"around", INGEST_ABOUT},
    {"roughly", INGEST_ABOUT},
    {"circa", INGEST_ABOUT},
    {"approx", INGEST_ABOUT},
    {"approx .", INGEST_ABOUT},
    {"nearly", INGEST_ABOUT},
    {"almost", INGEST_ABOUT},
    {"some", INGEST_ABOUT},
    {"ca .", INGEST_ABOUT},
    {"~", INGEST_ABOUT},
    {"≈", INGEST_ABOUT},
    {"≤", INGEST_AT_MOST},
    {"≥", INGEST_AT_LEAST},
    {"< =", INGEST_AT_MOST},
    {"> =", INGEST_AT_LEAST},
    {"<", INGEST_LESS_THAN},
    {">", INGEST_MORE_THAN},
    {"max .", INGEST_AT_MOST},
    {"max", INGEST_AT_MOST},
    {"maximum", INGEST_AT_MOST},
    {"min .", INGEST_AT_LEAST},
    {"min", INGEST_AT_LEAST},
    {"minimum", INGEST_AT_LEAST},
    {"until", INGEST_AT_MOST},
    {"or before", INGEST_AT_MOST},
    {"by", INGEST_AT_MOST},
};

static const struct bound_phrase after[] = {
    {"or more", INGEST_AT_LEAST},   {"or greater", INGEST_AT_LEAST},   {"or longer", INGEST_AT_LEAST},
    {"or higher", INGEST_AT_LEAST}, {"or above", INGEST_AT_LEAST},     {"and above", INGEST_AT_LEAST},
    {"or over", INGEST_AT_LEAST},   {"or older", INGEST_AT_LEAST},     {"and older", INGEST_AT_LEAST},
    {"or younger", INGEST_AT_MOST}, {"and over", INGEST_AT_LEAST},     {"and up", INGEST_AT_LEAST},
    {"or later", INGEST_AT_LEAST},  {"at least", INGEST_AT_LEAST},     {"minimum", INGEST_AT_LEAST},
    {"or better", INGEST_AT_LEAST}, {"or less", INGEST_AT_MOST},       {"or fewer", INGEST_AT_MOST},
    {"or lower", INGEST_AT_MOST},   {"or below", INGEST_AT_MOST},      {"or under", INGEST_AT_MOST},
    {"or shorter", INGEST_AT_MOST}, {"or earlier", INGEST_AT_MOST},    {"or sooner", INGEST_AT_MOST},
    {"at most", INGEST_AT_MOST},    {"at the latest", INGEST_AT_MOST}, {"at the most", INGEST_AT_MOST},
    {"maximum", INGEST_AT_MOST},    {"max", INGEST_AT_MOST},           {"min", INGEST_AT_LEAST},
};

/* "over" and "by" bind only some kinds: "by 30 days" extends, "by 1 May" is a ceiling; "under 5 contracts" is a place.
 */
static bool suits(const struct facts *f, const struct value *v, const char *phrase, size_t first) {
    const struct lex *x = &f->lex;
    enum ingest_fact_kind k = v->fact.kind;
    if (phrase[0] == 'b' && phrase[1] == 'y')
        return k == INGEST_DATE && !lex_in(x, first ? first - 1 : first, "prepared executed signed");
    if (lex_in(x, v->first - 1, "until")) return k == INGEST_DATE;
    if (lex_is(x, v->first - 1, "over") || lex_is(x, v->first - 1, "under")) {
        if (k == INGEST_DATE || k == INGEST_PERIOD) return false; /* "over five years" is a span of time */
        if (k == INGEST_NUMBER && v->fact.unit.len == 0) return false;
        return true;
    }
    if (lex_in(x, v->first - 1, "above below"))
        return k != INGEST_DATE && !(k == INGEST_NUMBER && v->fact.unit.len == 0);
    if (lex_in(x, v->first - 1, "some around about") && k == INGEST_DATE)
        return lex_phrase_before(x, v->first, "on or about") != SIZE_MAX;
    if (lex_is(x, v->first - 1, "within")) return k == INGEST_PERIOD || k == INGEST_PERCENTAGE || k == INGEST_NUMBER;
    if (lex_in(x, v->first - 1, "max min maximum minimum")) return k != INGEST_DATE;
    return true;
}

/* Words that may stand between "not" and "more than": "shall not, in any event, be more than", but no noun. */
static bool between_negation(const struct lex *x, size_t i) {
    return lex_mark(x, i, ',') || lex_in(x, i, "event case circumstances be") ||
           (x->tokens[i].kind == LEX_WORD && !lex_has(x, i, LEX_C_CONJUNCTION | LEX_C_VERB) &&
            lex_has(x, i, LEX_C_MODAL | LEX_C_BE | LEX_C_ADVERB | LEX_C_PREPOSITION | LEX_C_DETERMINER));
}

void facts_bound(struct facts *f, struct value *v) {
    const struct lex *x = &f->lex;
    size_t at = v->first;
    /* "between 5 and 7": the range says it all */
    if (!isnan(v->fact.value2) && !(v->fact.flags & INGEST_WORDS_DIFFER)) {
        if (at > f->first && lex_in(x, at - 1, "between from")) v->first = at - 1;
        return;
    }
    /* an article may stand between: "at least a 30 day", "not less than the sum of" is too far */
    size_t gap = at > f->first && lex_in(x, at - 1, "a an the") ? 1 : 0;
    for (size_t k = 0; k < sizeof before / sizeof *before; k++) {
        size_t first = lex_phrase_before(x, at, before[k].phrase);
        size_t use_gap = 0;
        if (first == SIZE_MAX && gap) {
            first = lex_phrase_before(x, at - 1, before[k].phrase);
            use_gap = 1;
        }
        if (first == SIZE_MAX || first < f->first) continue;
        struct value probe = *v;
        probe.first = at - use_gap;
        if (probe.first == 0 || !suits(f, &probe, before[k].phrase, first)) continue;
        v->fact.bound = before[k].bound;
        v->first = first;
        /* "not, in any event, more than", "shall in no event exceed", "shall never exceed" */
        if (v->fact.bound == INGEST_MORE_THAN) {
            size_t from = first > 8 ? first - 8 : 0;
            for (size_t q = first; q-- > from && q >= f->first;) {
                if (lex_has(x, q, LEX_C_NEGATION) && !lex_is(x, q, "without")) {
                    v->fact.bound = INGEST_AT_MOST;
                    v->first = q;
                    break;
                }
                if (!between_negation(x, q)) break;
            }
        } else if (v->fact.bound == INGEST_LESS_THAN) {
            size_t from = first > 8 ? first - 8 : 0;
            for (size_t q = first; q-- > from && q >= f->first;) {
                if (lex_has(x, q, LEX_C_NEGATION) && !lex_is(x, q, "without")) {
                    v->fact.bound = INGEST_AT_LEAST;
                    v->first = q;
                    break;
                }
                if (!between_negation(x, q)) break;
            }
        }
        return;
    }
    if (v->fact.kind == INGEST_DATE && lex_phrase_before(x, at, "on or about") != SIZE_MAX) {
        v->fact.bound = INGEST_ABOUT;
        return;
    }
    for (size_t k = 0; k < sizeof after / sizeof *after; k++) {
        size_t n = lex_phrase(x, v->end, after[k].phrase);
        if (!n) continue;
        v->fact.bound = after[k].bound;
        v->end += n;
        return;
    }
    if (lex_mark(x, v->end, '+') && !lex_space(x, v->end)) v->fact.bound = INGEST_AT_LEAST, v->end++;
}
