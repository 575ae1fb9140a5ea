/* facts_party.c: defined terms and parties.
 *
 * Terms: "X" means ..., "X" shall mean, "X" has the meaning, the term "X" ..., (the "X"), (hereinafter "X"),
 * (collectively, the "X"). subject = the term without its quotes; object = the definition: behind "means" to the
 * clause's end, or the words before the parenthesis. Parties: the preamble, "between A Inc., a Delaware corporation
 * (the "Supplier"), and B Ltd (the "Buyer")": subject = name, object = role; and lines like "Supplier: Acme Ltd",
 * "Buyer | Borg GmbH". Only in the first PREAMBLE statements of a document, so that every later "between" stays prose.
 * A company form (Inc., LLC, GmbH ...) or a role in quotes is needed to make a name a party. */
#include "ingest/facts.h"
#include "ingest/grammar.h"

enum {
    PREAMBLE = 60,         /* statements from the start of a document where parties are introduced */
    PREAMBLE_FAR = 1500,   /* with the words of an introduction */
    DEFINITION_TOKENS = 60 /* words before "(the "Term")" that may belong to the definition */
};

/* A term in quotes at i: its inner tokens [*first, *end). Returns tokens with the quotes; 0. */
static size_t quoted(const struct lex *x, size_t i, size_t *first, size_t *end) {
    bool quote = lex_quote(x, i) || lex_in(x, i, "‘ `");
    bool stars = lex_mark(x, i, '*') && lex_mark(x, i + 1, '*');
    if (!quote && !stars) return 0;
    size_t k = i + (stars ? 2 : 1);
    *first = k;
    while (k < x->n && k < *first + 12) {
        if (stars ? lex_mark(x, k, '*') && lex_mark(x, k + 1, '*')
                  : lex_quote(x, k) || (lex_in(x, k, "’ '") && lex_in(x, i, "‘ `"))) {
            if (k == *first) return 0;
            *end = k;
            if (lex_mark(x, k - 1, ',') && k - 1 > *first) (*end)--; /* "Supplier," as Americans set it */
            return k + (stars ? 2 : 1) - i;
        }
        if (x->tokens[k].kind == LEX_BREAK) return 0;
        k++;
    }
    return 0;
}

static int term(struct facts *f, size_t first, size_t end, size_t span_first, size_t span_end, size_t def_first,
                size_t def_end, struct error *e) {
    struct ingest_fact t = facts_blank(f, INGEST_TERM);
    t.span = facts_span(f, span_first, span_end);
    t.subject = facts_span(f, first, end);
    if (def_first < def_end) t.object = facts_span(f, def_first, def_end);
    for (size_t k = f->n_out;
         k-- > 0 && f->out[k].statement == f->statement;) /* a party's short name stands for its name */
        if (f->out[k].kind == INGEST_PARTY && f->out[k].object.start == t.subject.start) t.object = f->out[k].subject;
    return facts_add(f, &t, e);
}

/* Does a verb of definition begin at i? Returns its tokens. */
static size_t means(const struct lex *x, size_t i) {
    static const char *const verbs[] = {"shall mean",
                                        "will mean",
                                        "shall have the meaning",
                                        "shall have the meanings",
                                        "shall have the respective meanings",
                                        "has the meaning",
                                        "have the meaning",
                                        "have the meanings",
                                        "means",
                                        "mean",
                                        "is defined as",
                                        "are defined as",
                                        "refers to",
                                        "refer to",
                                        "shall refer to",
                                        "shall include",
                                        "includes",
                                        "is the",
                                        "are the"};
    for (size_t k = 0; k < sizeof verbs / sizeof *verbs; k++) {
        size_t n = lex_phrase(x, i, verbs[k]);
        if (n) return n;
    }
    return 0;
}

int facts_terms(struct facts *f, struct error *e) {
    const struct lex *x = &f->lex;
    int rc;
    size_t after = f->first; /* behind the last "(the "Term")": the next definition begins there at the earliest */
    /* "Residual value means ...", as regulations define, without quotes */
    size_t head = f->first;
    while (head < x->n && head < f->first + 7 &&
           (grammar_noun(x, head) || lex_hyphen(x, head) || (head > f->first && lex_in(x, head, "of and or"))))
        head++;
    if (head > f->first && lex_in(x, head, "means mean") && (x->tokens[f->first].flags & LEX_CAPITAL) &&
        !lex_is(x, head + 1, "of")) {
        size_t b = x->n;
        while (b > head + 1 && x->tokens[b - 1].kind == LEX_MARK && !lex_mark(x, b - 1, ')')) b--;
        if ((rc = term(f, f->first, head, f->first, head + 1, head + 1, b, e))) return rc;
    }
    for (size_t i = f->first; i < x->n; i++) {
        size_t first, end, n;
        /* (the "Term"), (hereinafter referred to as "Term"), (collectively, the "Terms"), ("Term") */
        if (lex_mark(x, i, '(')) {
            size_t k = i + 1;
            bool term_follows = false;
            while (k < x->n && k < i + 14 && !lex_mark(x, k, ')')) {
                if (lex_quote(x, k) || (lex_mark(x, k, '*') && lex_mark(x, k + 1, '*'))) {
                    term_follows = true;
                    break;
                }
                if (!lex_in(x, k,
                            "the each a an and any collectively together individually , hereinafter hereafter referred "
                            "to as called in this agreement such herein also known or defined being its all as amended "
                            "our we us you"))
                    break;
                k++;
            }
            if (!term_follows) continue;
            size_t close = k;
            int depth = 0;
            while (close < x->n && close < i + 60) {
                if (lex_mark(x, close, '(')) depth++;
                if (lex_mark(x, close, ')') && depth-- == 0) break;
                close++;
            }
            size_t start =
                grammar_clause_start(x, i, i > f->first + DEFINITION_TOKENS ? i - DEFINITION_TOKENS : f->first);
            if (start < after && after < i) start = after;
            after = close < x->n ? close + 1 : close;
            while (k < close && (n = quoted(x, k, &first, &end))) {
                size_t a = start, b = i;
                grammar_trim(x, &a, &b);
                if ((rc = term(f, first, end, i, close < x->n ? close + 1 : close, a, b, e))) return rc;
                k += n;
                /* (the "Buyer" or the "Customer") */
                while (k < close && lex_in(x, k, "or and the , each a")) k++;
            }
            i = close;
            continue;
        }
        n = quoted(x, i, &first, &end);
        if (!n) continue;
        size_t k = i + n;
        /* "X" or "Y" means; "X" (as used here) means */
        size_t firsts[4] = {first}, ends[4] = {end}, terms = 1;
        while (terms < 4 && lex_in(x, k, "or and ,")) {
            size_t m = k + 1;
            if (lex_in(x, m, "or and")) m++;
            if (lex_is(x, m, "the")) m++;
            size_t a, b, q = quoted(x, m, &a, &b);
            if (!q) break;
            firsts[terms] = a, ends[terms++] = b;
            k = m + q;
        }
        if (lex_mark(x, k, ':')) k++;
        if (lex_mark(x, k, ',') || lex_phrase(x, k, "as used")) { /* "X", when used herein, means */
            size_t q = k;
            while (q < x->n && q < k + 14 && !means(x, q) && !lex_mark(x, q, '.')) q++;
            if (means(x, q) && !lex_in(x, q, "is are includes")) k = q;
        }
        size_t verb = means(x, k);
        bool loose = lex_in(x, k, "is are includes refer") || lex_phrase(x, k, "shall include");
        bool at_start = i == f->first || (i == f->first + 1) || lex_is(x, i - 1, "term") || lex_is(x, i - 1, "terms") ||
                        (lex_is(x, i - 1, "the") && i <= f->first + 3);
        for (size_t p = f->first; p < i && p < f->first + 6; p++) /* "(a) "X" means", "1.5 "X" means" */
            if (x->tokens[p].kind == LEX_WORD && x->tokens[p].len > 2) {
                at_start |= lex_in(x, p, "the term terms");
                break;
            } else if (p + 1 == i) {
                at_start = true;
            }
        if (!verb || (loose && !at_start)) {
            i += n - 1;
            continue;
        }
        size_t def = k + verb, def_end = x->n;
        size_t a = def, b = def_end;
        while (b > a && x->tokens[b - 1].kind == LEX_MARK && !lex_mark(x, b - 1, ')') && !lex_quote(x, b - 1)) b--;
        while (a < b && (lex_mark(x, a, ',') || lex_mark(x, a, ':'))) a++;
        for (size_t q = 0; q < terms; q++)
            if ((rc = term(f, firsts[q], ends[q], i, k + verb, a, b, e))) return rc;
        i = k + verb - 1;
    }
    return 0;
}

/* ---- parties ---- */
static const char *const roles =
    "supplier buyer seller customer client landlord tenant lender borrower employer employee licensor licensee "
    "contractor subcontractor company lessor lessee guarantor purchaser vendor "
    "provider distributor agent principal executive consultant owner operator manager bank trustee issuer party "
    "manufacturer insurer insured franchisor franchisee hirer carrier shipper";

static bool has_company_form(const struct lex *x, size_t first, size_t end) {
    for (size_t k = first; k < end; k++)
        if (lex_has(x, k, LEX_C_COMPANY) && (x->tokens[k].flags & LEX_CAPITAL || (x->tokens[k].flags & LEX_ABBREV)))
            return true;
    return false;
}

/* The name that a party's segment begins with: up to ", a Delaware corporation", "whose", "having", "(", "with its". */
static size_t name_end(const struct lex *x, size_t first, size_t end) {
    size_t k = first;
    while (k < end) {
        if (lex_mark(x, k, '(') || lex_mark(x, k, ';') ||
            lex_in(x, k, "whose having organized organised incorporated registered located residing acting") ||
            lex_quote(x, k)) {
            if (k == first || !lex_is(x, k, "incorporated") || !(x->tokens[k].flags & LEX_CAPITAL)) break;
        }
        if (lex_mark(x, k, ',')) { /* ", Inc." stays; ", a Delaware", ", with", ", located" ends */
            if (!(lex_has(x, k + 1, LEX_C_COMPANY) && (x->tokens[k + 1].flags & LEX_CAPITAL))) break;
        }
        if (lex_in(x, k, "a an") && k > first && !(x->tokens[k].flags & LEX_CAPITAL)) break;
        k++;
    }
    while (k > first && x->tokens[k - 1].kind == LEX_MARK && !lex_mark(x, k - 1, '.')) k--;
    return k;
}

static int party(struct facts *f, size_t first, size_t end, struct ingest_span role, struct error *e) {
    const struct lex *x = &f->lex;
    while (first < end &&
           (x->tokens[first].kind != LEX_WORD ||
            (lex_in(x, first, "and the by between among 1 2 a i ii b to") && !(x->tokens[first].flags & LEX_CAPITAL))))
        first++;
    if (first >= end || !(x->tokens[first].flags & LEX_CAPITAL) || end - first > 14) return 0;
    struct ingest_fact t = facts_blank(f, INGEST_PARTY);
    t.span = t.subject = facts_span(f, first, end);
    if (role.end > role.start) t.object = role;
    return facts_add(f, &t, e);
}

int facts_parties(struct facts *f, struct error *e) {
    const struct lex *x = &f->lex;
    size_t i = f->first, rc;
    bool strong =
        false; /* "This Agreement is made between": an introduction wherever it stands (behind a table of contents) */
    bool agreement = false;
    for (size_t k = 0; k < x->n && k < i + 60; k++) {
        agreement |=
            lex_in(x, k, "agreement contract lease amendment deed note indenture guaranty plan made entered dated");
        if (agreement && lex_in(x, k, "between among")) strong = true;
        if (k > i + 50) break;
    }
    if (f->statement >= PREAMBLE && !(strong && f->statement < PREAMBLE_FAR)) return 0;
    /* "Supplier: Acme Ltd" */
    size_t k = i;
    while (k < x->n && (lex_mark(x, k, '*') || lex_mark(x, k, '-') || lex_is(x, k, "the") || lex_is(x, k, "•"))) k++;
    if (lex_in(x, k, roles)) {
        size_t role = k++;
        while (lex_mark(x, k, '*')) k++;
        if (lex_mark(x, k, ':') || lex_mark(x, k, '|')) {
            k++;
            while (lex_mark(x, k, '*')) k++;
            size_t end = name_end(x, k, x->n);
            if (end > k && has_company_form(x, k, end) && end - k <= 10)
                return party(f, k, end, facts_span(f, role, role + 1), e);
        }
    }
    /* the preamble */
    size_t at = SIZE_MAX;
    for (k = i; k < x->n; k++)
        if (lex_in(x, k, "between among")) {
            at = k + 1;
            if (lex_in(x, at, "and") && lex_in(x, at + 1, "among between")) at += 2;
            break;
        }
    if (at == SIZE_MAX) { /* "A Inc. ("Supplier") and B Ltd ("Buyer") agree" and "(1) A Inc. (the "Supplier");" */
        size_t first = i;
        while (first < x->n && (x->tokens[first].kind != LEX_WORD || x->tokens[first].len <= 2) && first < i + 4)
            first++;
        if (first < x->n && (f->statement < PREAMBLE / 2 || strong)) {
            size_t end = name_end(x, first, x->n);
            if (end > first && end - first <= 10 && has_company_form(x, first, end) &&
                (x->tokens[first].flags & LEX_CAPITAL))
                at = first;
        }
        if (at == SIZE_MAX) return 0;
    }
    size_t segment = at, found = 0;
    for (k = at; k < x->n && found < 12; k++) {
        size_t a, b;
        if (!lex_mark(x, k, '(')) continue;
        size_t q = k + 1;
        while (q < x->n && q < k + 12 && !lex_quote(x, q) && !lex_mark(x, q, ')') &&
               !(lex_mark(x, q, '*') && lex_mark(x, q + 1, '*')))
            q++;
        size_t n = quoted(x, q, &a, &b);
        size_t close = q;
        while (close < x->n && close < k + 60 && !lex_mark(x, close, ')')) close++;
        if (n) {
            bool whole = false; /* (the "Agreement"), (collectively, the "Parties") name no party */
            for (size_t w = a; w < b; w++)
                whole |=
                    lex_in(x, w, "agreement parties contract effective date amendment lease note plan transaction");
            bool many = lex_in(x, k + 1, "collectively together each individually") || lex_in(x, q - 1, "collectively");
            size_t first = segment;
            while (first < k && (lex_mark(x, first, ',') || lex_mark(x, first, ';') ||
                                 lex_in(x, first, "and on the one hand other part by ( )")))
                first++;
            size_t end = name_end(x, first, k);
            if (!whole && !many && end > first && (has_company_form(x, first, end) || found > 0 || at > i + 1)) {
                if ((rc = (size_t)party(f, first, end, facts_span(f, a, b), e))) return (int)rc;
                found++;
            }
            segment = close + 1;
        }
        k = close;
    }
    return 0;
}
