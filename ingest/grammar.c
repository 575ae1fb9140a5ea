/* grammar.c: see grammar.h. No tagger: closed classes and the neighbours of a word decide; what is unknown counts as a
 * noun. */
#include "ingest/grammar.h"

enum { CLAUSE_TOKENS = 160, NP_TOKENS = 10 };

bool grammar_verb(const struct lex *x, size_t i) {
    if (i >= x->n || x->tokens[i].kind != LEX_WORD) return false;
    uint32_t c = x->tokens[i].classes;
    if (c & (LEX_C_MODAL | LEX_C_BE)) return !(c & LEX_C_MONTH) || lex_is(x, i, "may");
    if (!(c & LEX_C_VERB)) return false;
    if (lex_in(x, i, "dated effective payable date notified")) return false;
    if (i == 0) return true;
    const struct lex_token *p = &x->tokens[i - 1];
    if (p->kind == LEX_BREAK || p->kind == LEX_MARK) return !lex_hyphen(x, i - 1) && !lex_hyphen(x, i + 1);
    if (lex_hyphen(x, i + 1)) return false;
    if ((p->classes & (LEX_C_MODAL | LEX_C_BE | LEX_C_PRONOUN)) || lex_in(x, i - 1, "to not never and or")) return true;
    if (p->classes & (LEX_C_DETERMINER | LEX_C_PREPOSITION | LEX_C_NUMBER)) return false;
    if (lex_in(x, i - 1, "'s ’s") || p->kind == LEX_NUMBER) return false;
    /* before a finite verb it is the head of a noun phrase: "the license cost is" */
    if (lex_has(x, i + 1, LEX_C_BE | LEX_C_MODAL)) return false;
    const char *low = x->low + x->tokens[i].low;
    size_t len = x->tokens[i].len;
    bool ing = len > 4 && low[len - 1] == 'g' && low[len - 2] == 'n' && low[len - 3] == 'i';
    if (ing) return false;
    /* a noun of the same spelling mostly has no object behind it */
    bool noun_like =
        lex_in(x, i,
               "charge charges purchase purchases cost costs use uses work works return returns refund refunds limit "
               "limits cap caps increase increases "
               "decrease decreases report reports issue issues end ends set sets fix hold holds need needs grant "
               "grants award awards ship ships total totals "
               "amount amounts call calls file files sign signs show shows run runs read stand purchase invest torque "
               "amount remedy remedies cure store stores "
               "means interest exercise exercises reply notice cause causes lend serve earn owe find show go reach");
    if (noun_like)
        return lex_has(x, i + 1, LEX_C_DETERMINER | LEX_C_NUMBER) ||
               (i + 1 < x->n && (x->tokens[i + 1].kind == LEX_NUMBER || lex_is(x, i + 1, "$")));
    return true;
}

bool grammar_noun(const struct lex *x, size_t i) {
    if (i >= x->n) return false;
    const struct lex_token *t = &x->tokens[i];
    if (t->kind == LEX_CODE) return true;
    if (t->kind != LEX_WORD) return false;
    if (lex_in(x, i, "'s ’s")) return true;
    if (t->classes & (LEX_C_CONJUNCTION | LEX_C_PRONOUN | LEX_C_RELATIVE | LEX_C_NEGATION | LEX_C_MODAL | LEX_C_BE))
        return false;
    if ((t->classes & LEX_C_PREPOSITION) && !lex_in(x, i, "following like")) return false;
    if ((t->classes & LEX_C_CONDITION)) return false;
    if (t->classes & LEX_C_DETERMINER) return false;
    if ((t->classes & LEX_C_ADVERB) && !lex_in(x, i, "monthly annually weekly daily quarterly")) return false;
    return !grammar_verb(x, i);
}

static bool hard_stop(const struct lex *x, size_t i) {
    const struct lex_token *t = &x->tokens[i];
    if (t->kind == LEX_BREAK) return true;
    if (t->kind != LEX_MARK) return false;
    /* "Alan R. Steel", "Acme Inc. shall" */
    if (lex_mark(x, i, '.') && i > 0 && x->tokens[i - 1].kind == LEX_WORD &&
        (x->tokens[i - 1].len == 1 || (x->tokens[i - 1].classes & LEX_C_ABBREVIATION)))
        return false;
    return lex_in(x, i, "; : . ! ? ( ) • | — –");
}

size_t grammar_clause_start(const struct lex *x, size_t i, size_t from) {
    size_t k = i;
    size_t bottom = i > from + CLAUSE_TOKENS ? i - CLAUSE_TOKENS : from;
    if (k > bottom && lex_mark(x, k - 1, ',')) { /* "The fee, as adjusted, shall": over the insertion */
        size_t q = k - 1;
        while (q > bottom && !lex_mark(x, q - 1, ',') && !hard_stop(x, q - 1)) q--;
        if (q > bottom && lex_mark(x, q - 1, ',') && q - 1 > bottom) k = q - 1;
    }
    int depth = 0;
    size_t start = bottom;
    while (k > bottom) {
        size_t p = k - 1;
        if (lex_mark(x, p, ')')) {
            depth++;
        } else if (lex_mark(x, p, '(')) {
            if (depth == 0) {
                start = k;
                break;
            }
            depth--;
        } else if (depth == 0) {
            bool between_marks = lex_mark(x, p, ',') && p > bottom && lex_mark(x, p - 1, ')') &&
                                 lex_mark(x, k, '('); /* "(a), (b) and (c)" */
            if (hard_stop(x, p) || (lex_mark(x, p, ',') && !between_marks)) {
                start = k;
                break;
            }
            if (lex_is(x, p, "as") && lex_has(x, k, LEX_C_DETERMINER) && p > bottom &&
                !lex_in(x, p - 1, "well such same") && i - k > 1) { /* "duties as the Board shall" */
                start = k;
                break;
            }
            if (lex_is(x, p, "provided") && !lex_in(x, k, "that however , always further")) {
                k--;
                continue;
            }
            if (x->tokens[p].kind == LEX_WORD &&
                lex_in(
                    x, p,
                    "if unless whether that which who where when while whereas because until although provided but")) {
                start = k;
                break;
            }
        } else if (x->tokens[p].kind == LEX_BREAK) {
            start = k;
            break;
        }
        k--;
    }
    /* "Any claim, its enforcement, or breach shall": an enumeration before the verb goes on to the left */
    for (int hops = 0;
         hops < 8 && start > bottom + 1 && start < i && lex_in(x, start, "and or") && lex_mark(x, start - 1, ',');
         hops++) {
        size_t q = start - 1;
        bool verb = false;
        while (q > bottom && !lex_mark(x, q - 1, ',') && !hard_stop(x, q - 1)) {
            q--;
            verb |= grammar_verb(x, q);
        }
        if (verb || q == start - 1 || lex_has(x, q, LEX_C_PREPOSITION | LEX_C_CONDITION)) break;
        start = q;
        if (q > bottom && lex_mark(x, q - 1, ',') && !lex_in(x, start, "and or")) { /* further members before it */
            size_t r = q - 1;
            bool predicate = false;
            while (r > bottom && !lex_mark(x, r - 1, ',') && !hard_stop(x, r - 1)) predicate |= grammar_verb(x, --r);
            if (!predicate && r < q - 1 &&
                !lex_has(x, r, LEX_C_PREPOSITION | LEX_C_CONDITION | LEX_C_ADVERB | LEX_C_RELATIVE) && q - 1 - r <= 14)
                start = r;
        }
    }
    /* an "and" behind a finished predicate joins clauses */
    bool predicate = false;
    for (size_t q = start; q < i; q++) {
        if (lex_has(x, q, LEX_C_MODAL | LEX_C_BE)) predicate = true;
        if (predicate && lex_in(x, q, "and or")) {
            start = q + 1;
            predicate = false;
        }
    }
    return start;
}

size_t grammar_clause_end(const struct lex *x, size_t i, size_t to) {
    size_t top = to > i + CLAUSE_TOKENS ? i + CLAUSE_TOKENS : to;
    int depth = 0;
    for (size_t k = i; k < top; k++) {
        if (lex_mark(x, k, '('))
            depth++;
        else if (lex_mark(x, k, ')')) {
            if (depth == 0) return k;
            depth--;
        } else if (depth == 0 && (x->tokens[k].kind == LEX_BREAK || lex_mark(x, k, ';') ||
                                  (lex_mark(x, k, '.') && lex_space(x, k + 1)))) {
            return k;
        }
    }
    return top;
}

size_t grammar_np_before(const struct lex *x, size_t i, size_t from) {
    size_t k = i;
    while (k > from && i - k < NP_TOKENS) {
        size_t p = k - 1;
        if (grammar_noun(x, p))
            k--;
        else if (lex_hyphen(x, p) && p > from)
            k--;
        else if (lex_has(x, p, LEX_C_DETERMINER) && x->tokens[p].kind == LEX_WORD) {
            k--;
            break;
        } else if (lex_quote(x, p) && k == i)
            k--;
        else
            break;
    }
    return k;
}

size_t grammar_np_after(const struct lex *x, size_t i, size_t to) {
    size_t k = i;
    while (k < to && k - i < NP_TOKENS) {
        if (k == i && lex_has(x, k, LEX_C_DETERMINER) && x->tokens[k].kind == LEX_WORD) {
            k++;
            continue;
        }
        if (grammar_noun(x, k) || (k > i && lex_hyphen(x, k)))
            k++;
        else
            break;
    }
    return k;
}

size_t grammar_skip_adjunct(const struct lex *x, size_t first, size_t end) {
    if (first >= end ||
        !lex_in(x, first, "in on during after before upon at within from for throughout under following until"))
        return first;
    for (size_t k = end; k-- > first + 2;) {
        if (!(lex_has(x, k, LEX_C_DETERMINER) && x->tokens[k].kind == LEX_WORD)) continue;
        if (grammar_noun(x, k - 1) && !lex_has(x, k - 1, LEX_C_VERB)) return k;
    }
    return first;
}

void grammar_trim(const struct lex *x, size_t *first, size_t *end) {
    size_t a = *first, b = *end;
    while (a < b && (x->tokens[a].kind == LEX_MARK || x->tokens[a].kind == LEX_BREAK ||
                     (x->tokens[a].kind == LEX_WORD &&
                      (lex_in(x, a, "the a an and or but such said any each then that also 's") ||
                       lex_has(x, a, LEX_C_CONJUNCTION)))))
        a++;
    while (b > a &&
           ((x->tokens[b - 1].kind == LEX_MARK && !lex_mark(x, b - 1, ')')) || x->tokens[b - 1].kind == LEX_BREAK ||
            (x->tokens[b - 1].kind == LEX_WORD &&
             ((lex_has(x, b - 1, LEX_C_PREPOSITION | LEX_C_DETERMINER | LEX_C_CONJUNCTION) &&
               !lex_has(x, b - 1, LEX_C_UNIT) &&
               !(lex_has(x, b - 1, LEX_C_COMPANY) && (x->tokens[b - 1].flags & LEX_UPPER))) ||
              lex_in(x, b - 1, "equal")))))
        b--;
    /* a closing parenthesis without its opening one */
    if (b > a && lex_mark(x, b - 1, ')')) {
        int depth = 0;
        size_t k = b;
        while (k-- > a) {
            depth += lex_mark(x, k, ')') - lex_mark(x, k, '(');
            if (depth == 0) break;
        }
        if (depth != 0) b--;
    }
    *first = a;
    *end = b;
}
