/* facts_reference.c: cross-references: "Section 4.2(a)(ii) of the Credit Agreement", "Sections 4.2 and 4.3", "Exhibit
 * B", "clause 7", "§ 1013.4".
 *
 * subject = the target as printed, keyword included for the first of a list ("Section 4.2"; then "4.3"); object = the
 * document it is in, when it says ("of the Credit Agreement", "hereof"). Numbers of a reference are claimed: they are
 * never quantities. */
#include "ingest/facts.h"

#include <string.h>

/* Keywords that need no capital; "part of", "item 3", "table", "page 12" and "line" are counts or prose more often than
 * targets. */
static bool keyword(const struct lex *x, size_t i) {
    if (i >= x->n) return false;
    const struct lex_token *t = &x->tokens[i];
    if (lex_in(x, i, "§ §§ ¶")) return true;
    if (!(t->classes & LEX_C_REFERENCE)) return false;
    if (lex_in(x, i,
               "section sections sec clause clauses article articles paragraph paragraphs subsection subsections "
               "subparagraph subparagraphs para paras subclause"))
        return true;
    return (t->flags & LEX_CAPITAL) != 0 ||
           lex_in(x, i, "page pages exhibit schedule annex appendix chapter rule rules");
}

static bool roman_like(const struct lex *x, size_t i) {
    const struct lex_token *t = &x->tokens[i];
    for (uint16_t k = 0; k < t->len; k++)
        if (!strchr("ivxlc", x->low[t->low + k])) return false;
    return t->len > 0 && (t->flags & LEX_CAPITAL);
}

/* One number of a reference: "4.2(a)(ii)", "IV", "B-1", "(a)". Returns tokens. */
static size_t target(const struct lex *x, size_t i, bool any_letter) {
    size_t k = i;
    if (k >= x->n) return 0;
    const struct lex_token *t = &x->tokens[k];
    if (t->kind == LEX_NUMBER || t->kind == LEX_CODE) {
        k++;
        if (k < x->n && !lex_space(x, k) && x->tokens[k].kind == LEX_WORD && x->tokens[k].len == 1)
            k++; /* "409A" is an ampere to the tokens */
        while (lex_hyphen(x, k) &&
               (x->tokens[k + 1].kind == LEX_NUMBER || x->tokens[k + 1].kind == LEX_CODE || x->tokens[k + 1].len == 1))
            k += 2;
        /* "12 bis", "1013a" is a code; "4A" a code too */
    } else if (t->kind == LEX_WORD && any_letter &&
               ((t->len == 1 && (t->flags & LEX_CAPITAL)) ||
                (t->len <= 6 && (t->flags & LEX_CAPITAL) && roman_like(x, k) &&
                 (t->len == 1 || (t->flags & LEX_UPPER))))) {
        if (lex_is(x, k, "i") && lex_has(x, k + 1, LEX_C_MODAL | LEX_C_BE | LEX_C_VERB)) return 0;
        if (lex_is(x, k, "a") && k + 1 < x->n && x->tokens[k + 1].kind == LEX_WORD &&
            !lex_has(x, k + 1, LEX_C_PREPOSITION | LEX_C_CONJUNCTION | LEX_C_MODAL | LEX_C_BE))
            return 0;
        k++;
        if (lex_hyphen(x, k) && x->tokens[k + 1].len <= 3)
            k += 2;
        else if (lex_mark(x, k, '.') && k + 1 < x->n && !lex_space(x, k + 1) && x->tokens[k + 1].kind == LEX_NUMBER)
            k += 2;
    } else if (!(lex_mark(x, k, '('))) {
        return 0;
    }
    while (
        lex_mark(x, k, '(') &&
        (k == i || !lex_space(x, k) ||
         (k > i && x->tokens[k].end - x->tokens[k].start == 1 && k + 1 < x->n && x->tokens[k + 1].len <= 2 &&
          x->tokens[k + 1].kind == LEX_WORD)) &&
        k + 2 < x->n && x->tokens[k + 1].len <= 5 && lex_mark(x, k + 2, ')') &&
        (x->tokens[k + 1].kind == LEX_WORD || x->tokens[k + 1].kind == LEX_NUMBER || x->tokens[k + 1].kind == LEX_CODE))
        k += 3;
    return k - i;
}

/* "of the Credit Agreement", "of this Agreement", "hereof", "thereof", "of the Code": the document, behind the targets.
 */
static size_t container(const struct lex *x, size_t i, struct ingest_span *out) {
    if (lex_in(x, i, "hereof herein hereto thereof below above")) {
        *out = (struct ingest_span){x->tokens[i].start, x->tokens[i].end};
        return 1;
    }
    if (!lex_in(x, i, "of to in under")) return 0;
    size_t k = i + 1;
    if (lex_in(x, k, "this the such said that its")) k++;
    size_t first = k;
    while (k < x->n && k < first + 12 && x->tokens[k].kind == LEX_WORD &&
           ((x->tokens[k].flags & LEX_CAPITAL) || (k > first && lex_in(x, k, "of and for the on")) ||
            lex_in(x, k,
                   "agreement contract lease plan policy code act subpart part chapter title schedule exhibit section "
                   "regulation regulations")))
        k++;
    for (size_t q = first + 1; q < k;
         q++) /* "of the Code and Section 4.2": the next reference is no part of the name */
        if (lex_has(x, q, LEX_C_REFERENCE) && lex_in(x, q - 1, "and or")) k = q - 1;
    while (k > first && lex_in(x, k - 1, "of and for the on")) k--;
    if (k == first) return 0;
    if (lex_has(x, first, LEX_C_REFERENCE) && !lex_in(x, first, "amendment") &&
        (x->tokens[k].kind == LEX_NUMBER || k - first == 1))
        k += target(x, k, true);
    *out = (struct ingest_span){x->tokens[i].start, x->tokens[k - 1].end};
    return k - i;
}

size_t facts_reference_read(struct facts *f, size_t i, struct error *e, int *rc) {
    const struct lex *x = &f->lex;
    if (!keyword(x, i)) return 0;
    bool sign = x->tokens[i].kind == LEX_MARK;
    size_t k = i + 1;
    if (lex_mark(x, k, '.') && lex_in(x, i, "sec art para paras fig vol app sch exh")) k++;
    if (lex_in(x, k, "no nos number") && (lex_mark(x, k + 1, '.') || lex_is(x, k, "number")))
        k += lex_mark(x, k + 1, '.') ? 2 : 1;
    if (sign && lex_is(x, k, "§")) k++;
    bool outer =
        lex_in(x, i,
               "article articles exhibit exhibits schedule schedules annex annexes annexure appendix appendices "
               "attachment attachments part chapter addendum title section amendment recital recitals");
    size_t n = target(x, k, outer);
    if (!n) return 0;
    if (lex_in(x, i, "page pages form line volume vol step figure table item items title rule rules chapter"))
        return k + n - i; /* claimed, but no target inside the documents */
    /* "Section 3 months": a heading run into text; "schedule 5 days": a verb */
    if (!(x->tokens[i].flags & LEX_CAPITAL) && !sign && lex_has(x, k + n, LEX_C_TIME | LEX_C_CURRENCY) &&
        x->tokens[k].kind == LEX_NUMBER)
        return 0;
    struct ingest_fact t[12];
    size_t n_t = 0;
    size_t first = i;
    for (;;) {
        t[n_t] = facts_blank(f, INGEST_REFERENCE);
        t[n_t].span = t[n_t].subject = facts_span(f, first, k + n);
        n_t++;
        k += n;
        if (n_t == sizeof t / sizeof *t) break;
        /* ", 4.3", "and 4.4", "or (b)", "through 4.6" */
        size_t q = k;
        if (lex_mark(x, q, ',') || lex_in(x, q, "and or through to"))
            q++;
        else if (lex_dash(x, q) && !lex_hyphen(x, q))
            q++;
        if (q == k) break;
        if (lex_in(x, q, "and or")) q++;
        n = target(x, q, outer);
        if (!n || (x->tokens[q].kind == LEX_MARK && lex_mark(x, k, ',') && !lex_in(x, q - 1, "and or ,"))) break;
        /* "Section 4.2 and 30 days": the second is a value */
        if ((lex_has(x, q + n, LEX_C_TIME | LEX_C_CURRENCY | LEX_C_UNIT | LEX_C_SCALE) &&
             !lex_has(x, q + n, LEX_C_PREPOSITION | LEX_C_DETERMINER)) ||
            lex_mark(x, q + n, '%') || lex_is(x, q + n, "percent") || (x->tokens[q].flags & LEX_GROUPED))
            break;
        if (lex_mark(x, q, '(') && x->tokens[q + 1].kind == LEX_NUMBER && x->tokens[q + 1].value > 40) break;
        /* a plural keyword, or the same kind of number again */
        bool plural = lex_in(x, i,
                             "sections articles clauses paragraphs subsections subparagraphs exhibits schedules "
                             "annexes appendices attachments recitals §§ paras secs parts chapters titles rules items");
        if (!plural && !(x->tokens[q].kind == LEX_CODE || (x->tokens[q].flags & LEX_DECIMAL) || lex_mark(x, q, '(')))
            break;
        first = q;
        k = q;
    }
    struct ingest_span in = {0, 0};
    size_t c = container(x, k, &in);
    for (size_t j = 0; j < n_t; j++) {
        if (c) t[j].object = in;
        if (f->conditional) t[j].flags |= INGEST_CONDITIONAL;
        if ((*rc = facts_add(f, &t[j], e))) return 0;
    }
    return k - i;
}
