/* facts_money.c: amounts of money and percentages.
 *
 * Money: "$1,250,000", "USD 5 million", "US$ 1.2bn", "€45m", "5,000 euros", "one million dollars ($1,000,000)", "Five
 * Hundred and No/100 Dollars", "50 cents", "$5 to $7 million", "USD 10,000 - 20,000"; codes are ISO 4217. "$" is what
 * the document says it is, else USD. Percent: "12.5 %", "twenty percent (20%)", "50 per centum", "75 basis points",
 * "one-half of one percent", "one quarter of the wages". value is in units of the currency (not cents) and in percent.
 * Figures in a table take the table's scale in facts_table.c. */
#include "ingest/facts.h"

#include <math.h>
#include <string.h>

static const char *currency_of(const struct lex *x, size_t i) {
    if (!lex_has(x, i, LEX_C_CURRENCY)) return NULL;
    return vocabulary_currency(x->low + x->tokens[i].low, x->tokens[i].len);
}

/* Is the word a code or sign that may stand before a figure? "pounds 5" is none, "won 3 prizes" neither. */
static bool may_precede(const struct lex *x, size_t i) {
    const struct lex_token *t = &x->tokens[i];
    if (t->kind == LEX_MARK) return true;
    return (t->flags & LEX_UPPER) && t->len == 3 && !lex_is(x, i, "won");
}

/* A currency before a figure: "$", "US$", "U.S. $", "CAD", "Rs.", "USD $". Returns tokens. */
static size_t prefix(const struct facts *f, size_t i, const char **iso) {
    const struct lex *x = &f->lex;
    static const struct {
        const char *word, *iso;
    } dollars[] = {{"us", "USD"}, {"u.s.", "USD"}, {"a", "AUD"},   {"au", "AUD"}, {"c", "CAD"},
                   {"ca", "CAD"}, {"cdn", "CAD"},  {"can", "CAD"}, {"hk", "HKD"}, {"nz", "NZD"},
                   {"s", "SGD"},  {"sg", "SGD"},   {"nt", "TWD"},  {"r", "BRL"},  {"mx", "MXN"}};
    if (i >= x->n) return 0;
    if (lex_mark(x, i, '$')) return *iso = f->dollar, 1;
    if (lex_mark(x, i + 1, '$') && (!lex_space(x, i + 1) || lex_in(x, i, "us u.s.")) &&
        (x->tokens[i].flags & LEX_CAPITAL))
        for (size_t k = 0; k < sizeof dollars / sizeof *dollars; k++)
            if (lex_is(x, i, dollars[k].word)) return *iso = dollars[k].iso, 2;
    if (lex_is(x, i, "rs")) {
        if (!(x->tokens[i].flags & LEX_CAPITAL)) return 0;
        *iso = "INR";
        return lex_mark(x, i + 1, '.') ? 2 : 1;
    }
    const char *c = currency_of(x, i);
    if (!c || !may_precede(x, i)) return 0;
    *iso = c;
    return lex_mark(x, i + 1, '$') || (lex_has(x, i + 1, LEX_C_CURRENCY) && x->tokens[i + 1].kind == LEX_MARK) ? 2 : 1;
}

/* A currency behind a number: "dollars", "U.S. dollars", "EUR", "€", "pounds sterling", "cents". Returns tokens; *cents
 * for hundredths. */
static size_t suffix(const struct facts *f, size_t i, const char **iso, bool *cents) {
    const struct lex *x = &f->lex;
    *cents = false;
    if (i >= x->n) return 0;
    static const struct {
        const char *phrase, *iso;
    } phrases[] = {{"u.s. dollars", "USD"},        {"us dollars", "USD"},        {"united states dollars", "USD"},
                   {"american dollars", "USD"},    {"canadian dollars", "CAD"},  {"australian dollars", "AUD"},
                   {"new zealand dollars", "NZD"}, {"hong kong dollars", "HKD"}, {"singapore dollars", "SGD"},
                   {"pounds sterling", "GBP"},     {"swiss francs", "CHF"},      {"indian rupees", "INR"},
                   {"japanese yen", "JPY"},        {"danish kroner", "DKK"},     {"swedish kronor", "SEK"},
                   {"norwegian kroner", "NOK"},    {"mexican pesos", "MXN"},     {"chinese yuan", "CNY"},
                   {"dollars u.s.", "USD"}};
    for (size_t k = 0; k < sizeof phrases / sizeof *phrases; k++) {
        size_t n = lex_phrase(x, i, phrases[k].phrase);
        if (n) return *iso = phrases[k].iso, n;
    }
    if (lex_in(x, i, "cents cent ¢") && !(lex_is(x, i, "cent") && i && lex_is(x, i - 1, "per")))
        return *iso = f->dollar, *cents = true, 1;
    const char *c = currency_of(x, i);
    if (!c) return 0;
    if (lex_in(x, i, "pound pounds") && !lex_is(x, i + 1, "sterling")) return 0; /* a weight unless it says otherwise */
    if (lex_in(x, i, "won try all sar rand real cop php ron")) {
        if (!(x->tokens[i].flags & LEX_UPPER)) return 0;
    }
    if (lex_in(x, i, "dollar dollars $")) c = f->dollar;
    if (lex_mark(x, i, '$') && lex_space(x, i)) return 0;
    *iso = c;
    return 1;
}

/* "$5m", "€1.2bn", "$45k", "$3 MM": letters that scale an amount. */
static size_t letter_scale(const struct lex *x, size_t i, double *scale) {
    if (i >= x->n || x->tokens[i].kind != LEX_WORD) return 0;
    if (lex_in(x, i, "m mm mn mio") && (!lex_space(x, i) || lex_in(x, i, "mm mn mio"))) return *scale = 1e6, 1;
    if (lex_in(x, i, "bn b") && (!lex_space(x, i) || lex_is(x, i, "bn"))) return *scale = 1e9, 1;
    if (lex_is(x, i, "k") && !lex_space(x, i)) return *scale = 1e3, 1;
    if (lex_is(x, i, "t") && !lex_space(x, i)) return *scale = 1e12, 1;
    return 0;
}

/* "and No/100", "and 50/100" between the words and "Dollars". */
static size_t hundredths(const struct lex *x, size_t i, double *cents) {
    size_t k = i + (lex_is(x, i, "and") || lex_mark(x, i, '&') ? 1 : 0);
    if (!lex_mark(x, k + 1, '/') || k + 2 >= x->n || x->tokens[k + 2].value != 100) return 0;
    if (x->tokens[k].kind == LEX_NUMBER && x->tokens[k].value < 100)
        *cents = x->tokens[k].value / 100;
    else if (lex_in(x, k, "no xx zero 00"))
        *cents = 0;
    else
        return 0;
    return k + 3 - i;
}

struct money {
    double value, figure;
    const char *iso;
    bool differ, paren, prefixed;
    double scale; /* applied, so that "$5 to $7 million" can scale its first end too */
    bool words;
};

/* One amount, no range. need_currency: else a bare number counts (second end of a range). */
static size_t one(const struct facts *f, size_t i, struct money *m, bool need_currency, const char *iso_before) {
    const struct lex *x = &f->lex;
    *m = (struct money){.value = NAN, .figure = NAN, .scale = 1};
    size_t at = i, n;
    bool minus = false;
    if (lex_dash(x, at) && lex_space(x, at) && !lex_space(x, at + 1) && (lex_has(x, at + 1, LEX_C_CURRENCY)))
        minus = true, at++;
    n = prefix(f, at, &m->iso);
    if (n) {
        m->prefixed = true;
        at += n;
        bool paren = lex_mark(x, at, '(') && x->tokens[at].start == x->tokens[at - 1].end; /* $(1,234) */
        struct number num;
        size_t k = number_read_plain(x, at + paren, &num);
        if (!k || (num.words && !(x->tokens[i].flags & LEX_UPPER))) return 0;
        if (num.words && lex_is(x, at + paren, "one") && k == 1) return 0;
        at += paren + k;
        m->value = num.value;
        if (num.scaled) m->scale = pow(10, floor(log10(fmax(1, num.value)) / 3) * 3);
        double scale;
        size_t s = num.scaled ? 0 : letter_scale(x, at, &scale);
        if (s) m->value *= scale, m->scale = scale, at += s;
        if (paren) {
            if (!lex_mark(x, at, ')')) return 0;
            at++;
            m->value = -m->value;
        }
        if (minus) m->value = -m->value;
        /* "$5,000 USD", "$1.00 (one dollar)" */
        const char *iso2;
        bool cents;
        size_t c = suffix(f, at, &iso2, &cents);
        if (c && !cents && x->tokens[at].kind == LEX_WORD) m->iso = iso2, at += c;
        if (lex_mark(x, at, '(')) {
            struct money w;
            struct number wn;
            size_t q = number_read_plain(x, at + 1, &wn);
            if (q && wn.words) {
                double part = 0;
                size_t h = hundredths(x, at + 1 + q, &part);
                size_t cur = suffix(f, at + 1 + q + h, &iso2, &cents);
                if ((cur || h) && lex_mark(x, at + 1 + q + h + cur, ')')) {
                    w.value = wn.value + part;
                    m->figure = m->value;
                    m->value = w.value;
                    m->paren = true;
                    m->differ = fabs(m->value - m->figure) > 0.005;
                    at += q + h + cur + 2;
                }
            }
        }
        return at - i;
    }
    /* number first */
    struct number num;
    n = number_read(x, at, &num);
    if (!n) return 0;
    double scale = 1, part = 0;
    m->words = num.words;
    size_t k = at + n;
    /* "Five Hundred Thousand and No/100 Dollars" */
    size_t h = num.words ? hundredths(x, k, &part) : 0;
    k += h;
    size_t s = !num.words && !num.scaled ? letter_scale(x, k, &scale) : 0;
    bool cents;
    size_t c = suffix(f, k + s, &m->iso, &cents);
    if (!c && lex_hyphen(x, k + s)) { /* "a five-million-dollar facility" */
        c = suffix(f, k + s + 1, &m->iso, &cents);
        if (c) c++;
    }
    if (!c) {
        /* "one million ($1,000,000) dollars": the currency in parentheses */
        if (num.words && lex_mark(x, k, '(')) {
            const char *iso2;
            size_t p = prefix(f, k + 1, &iso2);
            struct number fig;
            size_t q = p ? number_read_plain(x, k + 1 + p, &fig) : 0;
            double sc = 1;
            size_t ls = q ? letter_scale(x, k + 1 + p + q, &sc) : 0;
            if (q && lex_mark(x, k + 1 + p + q + ls, ')')) {
                m->iso = iso2;
                m->value = num.value + part;
                m->figure = fig.value * sc;
                m->paren = true;
                m->differ = fabs(m->value - m->figure) > 0.005;
                k += p + q + ls + 2;
                size_t c2 = suffix(f, k, &iso2, &cents);
                if (c2 && !cents) m->iso = iso2, k += c2;
                return k - i;
            }
        }
        if (need_currency || num.words) {
            if (need_currency) return 0;
        }
        if (lex_has(x, k, LEX_C_TIME) || lex_mark(x, k, '%')) return 0;
        m->iso = iso_before;
        m->value = num.value * (s ? scale : 1);
        m->scale = s ? scale : num.scaled ? pow(10, floor(log10(fmax(1, num.value)) / 3) * 3) : 1;
        return k + s - i;
    }
    k += s + c;
    m->value = (num.value + part) * scale * (cents ? 0.01 : 1);
    if (num.paren) {
        m->figure = num.figure * (cents ? 0.01 : 1);
        m->differ = num.differ;
        m->paren = true;
    }
    if (num.scaled) m->scale = pow(10, floor(log10(fmax(1, num.value)) / 3) * 3);
    if (s) m->scale = scale;
    /* "five dollars and fifty cents" */
    if (!cents && lex_is(x, k, "and")) {
        struct number cn;
        const char *iso2;
        bool is_cents;
        size_t q = number_read(x, k + 1, &cn);
        size_t r = q ? suffix(f, k + 1 + q, &iso2, &is_cents) : 0;
        if (r && is_cents) m->value += cn.value / 100, k += 1 + q + r;
    }
    /* "one million dollars ($1,000,000)", "(USD 5)", "(1,000,000)" */
    if (lex_mark(x, k, '(')) {
        const char *iso2 = m->iso;
        size_t p = prefix(f, k + 1, &iso2);
        struct number fig;
        size_t q = number_read_plain(x, k + 1 + p, &fig);
        double sc = 1;
        size_t ls = q ? letter_scale(x, k + 1 + p + q, &sc) : 0;
        if (q && !fig.words && (p || num.words) && lex_mark(x, k + 1 + p + q + ls, ')') && (num.words || num.scaled)) {
            m->figure = fig.value * sc;
            m->differ = fabs(m->value - m->figure) > 0.005;
            m->paren = true;
            if (p) m->iso = iso2;
            k += p + q + ls + 2;
        }
    }
    return k - i;
}

/* "per month", "each year", "a day", "/month", "per share": behind an amount. Returns tokens. */
size_t facts_basis(const struct lex *x, size_t i) {
    if (lex_mark(x, i, '/') && i + 1 < x->n && x->tokens[i + 1].kind == LEX_WORD) return 2;
    if (!lex_in(x, i, "per each every a an") || (lex_is(x, i, "per") && lex_in(x, i + 1, "cent centum"))) return 0;
    if (lex_in(x, i, "a an") && !lex_has(x, i + 1, LEX_C_TIME)) return 0;
    size_t n = 1;
    while (n < 4 && i + n < x->n && x->tokens[i + n].kind == LEX_WORD &&
           !lex_has(x, i + n,
                    LEX_C_PREPOSITION | LEX_C_CONJUNCTION | LEX_C_MODAL | LEX_C_BE | LEX_C_PRONOUN | LEX_C_RELATIVE) &&
           !(n > 1 && lex_has(x, i + n, LEX_C_VERB))) {
        n++;
        if (lex_has(x, i + n - 1, LEX_C_TIME)) break;
    }
    return n > 1 ? n : 0;
}

void facts_measure(struct facts *f, struct value *v, double value, const double *upper, const double *figure) {
    v->fact.value = value;
    if (upper)
        v->fact.value2 = *upper;
    else if (figure)
        v->fact.value2 = *figure, v->fact.flags |= INGEST_WORDS_DIFFER;
    size_t per = facts_basis(&f->lex, v->end);
    if (per) v->basis = facts_span(f, v->end, v->end + per);
}

size_t facts_money_read(struct facts *f, size_t i, struct value *v) {
    const struct lex *x = &f->lex;
    struct money a, b;
    size_t n = one(f, i, &a, true, NULL);
    bool range = false;
    if (!n) {
        /* "5 to 7 million dollars": the currency behind the second end */
        struct number num;
        size_t k = number_read_plain(x, i, &num);
        if (!k || num.fraction) return 0;
        size_t c = facts_range_connector(x, i + k, i > 0 && lex_is(x, i - 1, "between"));
        if (!c) return 0;
        size_t m = one(f, i + k + c, &b, true, NULL);
        if (!m || b.prefixed) return 0;
        a = b;
        a.value = num.value * (num.scaled || num.value * b.scale > b.value ? 1 : b.scale);
        n = k + c + m;
        range = true;
    } else {
        size_t c = facts_range_connector(x, i + n, i > 0 && lex_is(x, i - 1, "between"));
        size_t m = c ? one(f, i + n + c, &b, false, a.iso) : 0;
        if (m && (b.iso != a.iso && (!b.iso || strcmp(b.iso, a.iso) != 0))) m = 0;
        /* "$5,000 to Buyer" gives no second number; "$100 - 3 days" neither */
        if (m && !b.prefixed && (lex_has(x, i + n + c + m, LEX_C_TIME) || b.words)) m = 0;
        if (m && b.value >= a.value) {
            if (a.scale == 1 && b.scale > 1 && a.value < 1000 && !a.paren) a.value *= b.scale; /* "$5 to $7 million" */
            n += c + m;
            range = true;
        }
    }
    v->first = i;
    v->end = i + n;
    v->fact = facts_blank(f, INGEST_AMOUNT);
    v->fact.unit = slice_of(a.iso);
    facts_measure(f, v, a.value, range ? &b.value : NULL, a.differ ? &a.figure : NULL);
    return n;
}

/* ---- percentages ---- */
/* "%", "percent", "per cent", "per centum", "percentage points", "basis points", "bps"; *factor into percent. */
static size_t percent_unit(const struct lex *x, size_t i, double *factor) {
    *factor = 1;
    if (lex_mark(x, i, '%') || lex_in(x, i, "percent pct pct. ％")) return lex_is(x, i + 1, "points") ? 2 : 1;
    if (lex_is(x, i, "per") && lex_in(x, i + 1, "cent centum"))
        return lex_mark(x, i + 2, '.') && lex_is(x, i + 1, "cent") && i + 3 < x->n &&
                       !(x->tokens[i + 3].flags & LEX_CAPITAL)
                   ? 3
                   : 2;
    if (lex_is(x, i, "percentage") && lex_in(x, i + 1, "point points")) return 2;
    if (lex_is(x, i, "‰")) return *factor = 0.1, 1;
    if (lex_is(x, i, "basis") && lex_in(x, i + 1, "point points")) return *factor = 0.01, 2;
    if (lex_is(x, i, "bps") || (lex_is(x, i, "bp") && !(x->tokens[i].flags & LEX_UPPER))) return *factor = 0.01, 1;
    return 0;
}

struct percent {
    double value, figure;
    bool differ;
};

static size_t percent_one(const struct lex *x, size_t i, struct percent *p) {
    struct number num;
    size_t n = number_read(x, i, &num);
    if (!n) return 0;
    double factor;
    *p = (struct percent){.value = num.value, .figure = num.figure, .differ = num.differ};
    size_t k = i + n;
    if (lex_hyphen(x, k) && percent_unit(x, k + 1, &factor)) k++; /* "a 25-percent share" */
    size_t u = percent_unit(x, k, &factor);
    if (!u && num.fraction && lex_is(x, k, "of")) { /* "one-half of one percent", "1/2 of 1%" */
        struct number base;
        size_t m = number_read_plain(x, k + 1, &base);
        size_t u2 = m ? percent_unit(x, k + 1 + m, &factor) : 0;
        if (!u2) return 0;
        p->value = num.value * base.value * factor;
        k += 1 + m + u2;
        goto paren;
    }
    if (!u && num.words && lex_mark(x, k, '(')) { /* "twenty (20%) of", "twenty (20%) percent" */
        struct number fig;
        size_t m = number_read_plain(x, k + 1, &fig);
        size_t u2 = m ? percent_unit(x, k + 1 + m, &factor) : 0;
        if (!u2 || !lex_mark(x, k + 1 + m + u2, ')')) return 0;
        p->value *= factor;
        p->figure = fig.value * factor;
        p->differ = fabs(p->value - p->figure) > 1e-6;
        k += m + u2 + 2;
        double again;
        k += percent_unit(x, k, &again);
        return k - i;
    }
    if (!u) return 0;
    p->value *= factor;
    p->figure *= factor;
    k += u;
paren:
    if (lex_mark(x, k, '(')) { /* "twenty percent (20%)" */
        struct number fig;
        double f2;
        size_t m = number_read_plain(x, k + 1, &fig);
        size_t u2 = m ? percent_unit(x, k + 1 + m, &f2) : 0;
        if (u2 && lex_mark(x, k + 1 + m + u2, ')') && fig.words != num.words) {
            double words = num.words ? p->value : fig.value * f2, figures = num.words ? fig.value * f2 : p->value;
            p->value = words, p->figure = figures;
            p->differ = fabs(words - figures) > 1e-6;
            k += m + u2 + 2;
        }
    }
    return k - i;
}

size_t facts_percentage_read(struct facts *f, size_t i, struct value *v) {
    const struct lex *x = &f->lex;
    struct percent a, b;
    double one;
    if (lex_mark(x, i, '(') && i + 2 < x->n && x->tokens[i + 1].kind == LEX_NUMBER && lex_mark(x, i + 2, ')') &&
        percent_unit(x, i + 3, &one) && lex_mark(x, i + 3, '%') && (lex_space(x, i) || i == f->first)) { /* "(4)%" */
        v->first = i;
        v->end = i + 4;
        v->fact = facts_blank(f, INGEST_PERCENTAGE);
        v->fact.value = -x->tokens[i + 1].value;
        v->fact.unit = slice_of("%");
        return 4;
    }
    size_t n = percent_one(x, i, &a);
    bool range = false;
    if (n) {
        size_t c = facts_range_connector(x, i + n, i > 0 && lex_is(x, i - 1, "between"));
        size_t m = c ? percent_one(x, i + n + c, &b) : 0;
        if (m && b.value >= a.value) n += c + m, range = true;
    } else {
        struct number num;
        size_t k = number_read(x, i, &num);
        if (!k) return 0;
        size_t c = facts_range_connector(x, i + k, i > 0 && lex_is(x, i - 1, "between"));
        size_t m = c ? percent_one(x, i + k + c, &b) : 0;
        double factor;
        if (m && b.value >= num.value && !num.fraction && num.value <= 1000) { /* "5 to 7 percent" */
            /* both ends in the unit of the second */
            size_t u = i + k + c;
            struct number tmp;
            u += number_read(x, u, &tmp);
            percent_unit(x, u, &factor);
            a = (struct percent){.value = num.value * factor, .figure = NAN};
            n = k + c + m;
            range = true;
        } else if (num.fraction && num.value < 1 &&
                   ((lex_is(x, i + k, "of") && !lex_has(x, i + k + 1, LEX_C_TIME | LEX_C_NUMBER)) ||
                    (lex_has(x, i + k, LEX_C_DETERMINER) && lex_is(x, i, "half") &&
                     !lex_has(x, i + k + 1, LEX_C_TIME)))) {
            /* "one quarter of the gross wages": a share */
            a = (struct percent){.value = num.value * 100, .figure = NAN};
            n = k;
        } else {
            return 0;
        }
    }
    v->first = i;
    v->end = i + n;
    v->fact = facts_blank(f, INGEST_PERCENTAGE);
    v->fact.unit = slice_of("%");
    facts_measure(f, v, a.value, range ? &b.value : NULL, a.differ ? &a.figure : NULL);
    return n;
}
