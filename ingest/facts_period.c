/* facts_period.c: lengths of time, plain and technical quantities, and what only looks like one.
 *
 * Period: number [business|calendar|consecutive ...] unit: "thirty (30) days", "5 to 7 business days", "two-year",
 * "12-month", "24 hours", "one and one-half years", "a week's notice", "a period of a year", "30 days' notice".
 * Quarter, fortnight and decade become 3 months, 14 days, 10 years. "65 years of age", "100 hours of operation" are
 * quantities, "24/7" and "10:00 hours" nothing. Quantity: number and unit ("25 Nm", "-10 to 40 °C", "three copies"), or
 * a number alone (unit empty). Units are written as SI writes them. */
#include "ingest/facts.h"
#include "ingest/grammar.h"

#include <math.h>
#include <string.h>

/* ---- periods ---- */
struct period {
    double value, figure;
    bool differ, business;
    const char *unit;
    size_t unit_at;
};

/* Words that may stand between number and unit. Returns tokens, sets business. */
static size_t qualifiers(const struct lex *x, size_t i, bool *business) {
    size_t k = i;
    while (k < x->n && k - i < 6) {
        if (lex_has(x, k, LEX_C_BUSINESS) && x->tokens[k].kind == LEX_WORD) {
            *business = true;
            k++;
        } else if (lex_in(x, k,
                          "calendar consecutive full additional further successive complete clear continuous whole "
                          "more other natural running entire "
                          "short prior")) {
            k++;
        } else if (lex_in(x, k, "bank stock")) {
            if (!lex_has(x, k + 1, LEX_C_TIME | LEX_C_BUSINESS)) break;
            *business = true;
            k++;
        } else if (k > i && (lex_hyphen(x, k) || lex_in(x, k, "or and")) && lex_has(x, k + 1, LEX_C_BUSINESS)) {
            k++;
        } else {
            break;
        }
    }
    return k - i;
}

static size_t period_unit(const struct lex *x, size_t i, struct period *p) {
    size_t k = i;
    if (lex_hyphen(x, k)) k++;
    bool business = false;
    k += qualifiers(x, k, &business);
    if (!lex_has(x, k, LEX_C_TIME) || lex_is(x, k, "anniversary")) return 0;
    const char *unit = vocabulary_time(x->low + x->tokens[k].low, x->tokens[k].len);
    if (!unit) return 0;
    p->unit = unit;
    p->unit_at = k;
    p->business = business && (strcmp(unit, "day") == 0 || strcmp(unit, "hour") == 0 || strcmp(unit, "week") == 0);
    return k + 1 - i;
}

static size_t period_one(const struct lex *x, size_t i, struct period *p, bool need_unit) {
    struct number num;
    *p = (struct period){.value = NAN, .figure = NAN};
    if (lex_is(x, i, "half") && lex_in(x, i + 1, "a an") && lex_has(x, i + 2, LEX_C_TIME)) { /* "half an hour" */
        size_t u = period_unit(x, i + 2, p);
        p->value = 0.5;
        return u ? 2 + u : 0;
    }
    size_t n = number_read(x, i, &num);
    if (n) {
        p->value = num.value, p->figure = num.figure, p->differ = num.differ;
        size_t u = period_unit(x, i + n, p);
        if (u && lex_is(x, p->unit_at, "quarter") && num.fraction) return 0;
        if (u && lex_in(x, p->unit_at, "second seconds") && num.words && lex_is(x, p->unit_at, "second"))
            return 0; /* "one second ..." is rare; "two second" none */
        if (!u && num.words && !num.paren &&
            lex_mark(x, i + n, '(')) { /* "thirty (30 days)", "thirty days (30 days)" */
            struct number fig;
            size_t m = number_read_plain(x, i + n + 1, &fig);
            size_t u2 = m ? period_unit(x, i + n + 1 + m, p) : 0;
            if (u2 && lex_mark(x, i + n + 1 + m + u2, ')')) {
                p->figure = fig.value;
                p->differ = fabs(p->value - p->figure) > 1e-9;
                return n + 1 + m + u2 + 1;
            }
        }
        if (!u && !need_unit) return n;
        if (!u) return 0;
        n += u;
        /* "two years (24 months)", "thirty days (30)" */
        if (num.words && lex_mark(x, i + n, '(')) {
            struct number fig;
            size_t m = number_read_plain(x, i + n + 1, &fig);
            if (m && !fig.words && lex_mark(x, i + n + 1 + m, ')')) {
                p->figure = fig.value;
                p->differ = fabs(p->value - p->figure) > 1e-9;
                n += m + 2;
            }
        }
        return n;
    }
    return 0;
}

/* Quarters and the like into the units of the contract. */
static void plain_unit(struct ingest_fact *t, const char *unit) {
    double k = 1;
    if (strcmp(unit, "quarter") == 0)
        k = 3, unit = "month";
    else if (strcmp(unit, "fortnight") == 0)
        k = 14, unit = "day";
    else if (strcmp(unit, "decade") == 0)
        k = 10, unit = "year";
    t->value *= k;
    t->value2 *= k;
    t->unit = slice_of(unit);
}

size_t facts_period_read(struct facts *f, size_t i, struct value *v) {
    const struct lex *x = &f->lex;
    struct period a, b;
    bool range = false;
    size_t n = period_one(x, i, &a, true);
    bool between = i > 0 && lex_is(x, i - 1, "between");
    if (n) {
        size_t c = facts_range_connector(x, i + n, between);
        size_t m = c ? period_one(x, i + n + c, &b, true) : 0;
        if (m && strcmp(a.unit, b.unit) == 0 && b.value > a.value) {
            n += c + m;
            range = true;
            a.business |= b.business;
        }
    } else {
        struct number num;
        size_t k = number_read(x, i, &num);
        size_t c = k && !num.fraction ? facts_range_connector(x, i + k, between) : 0;
        if (!c && k && lex_is(x, i + k, "or")) c = 1; /* "two or three days" */
        size_t m = c ? period_one(x, i + k + c, &b, true) : 0;
        if (m && b.value > num.value) {
            a = b;
            a.value = num.value;
            a.differ = false;
            n = k + c + m;
            range = true;
        } else if (lex_in(x, i, "a an one") && i > 0 && lex_has(x, i + 1, LEX_C_TIME) && !lex_is(x, i + 1, "second") &&
                   (lex_in(x, i - 1, "within for of after in least exceeding than exceed") &&
                    (lex_in(x, i - 1, "within") || lex_phrase_before(x, i, "period of") != SIZE_MAX ||
                     lex_phrase_before(x, i, "term of") != SIZE_MAX || lex_in(x, i + 2, "'s ’s ' ’")))) {
            /* "within a year", "a period of a month": but "$5 a year" and "the day of a year" are none */
            a = (struct period){.value = 1,
                                .figure = NAN,
                                .unit = vocabulary_time(x->low + x->tokens[i + 1].low, x->tokens[i + 1].len),
                                .unit_at = i + 1};
            if (!a.unit) return 0;
            n = 2;
        } else {
            return 0;
        }
    }
    size_t k = i + n;
    /* "65 years of age", "100 hours of operation", "five years old": quantities */
    bool age = (lex_is(x, k, "of") && lex_is(x, k + 1, "age")) || lex_is(x, k, "old") ||
               (lex_hyphen(x, k) && lex_is(x, k + 1, "old"));
    /* "30 days'": the apostrophe belongs to the unit */
    if (lex_in(x, k, "' ’") && !lex_space(x, k))
        n++;
    else if (lex_is(x, k, "'s") && !lex_space(x, k))
        n++;
    v->first = i;
    v->end = i + n;
    v->fact = facts_blank(f, INGEST_PERIOD);
    v->fact.value = a.value;
    if (range) v->fact.value2 = b.value;
    if (age) {
        v->fact.kind = INGEST_NUMBER;
        v->fact.unit = slice_of("year of age");
        v->end = i + n + (lex_is(x, k, "of") ? 2 : lex_is(x, k, "old") ? 1 : 2);
        return v->end - i;
    }
    if (a.business) v->fact.flags |= INGEST_BUSINESS;
    plain_unit(&v->fact, a.unit);
    if (!range && a.differ) {
        v->fact.value2 = a.figure;
        v->fact.flags |= INGEST_WORDS_DIFFER;
    }
    return v->end - i;
}

/* ---- quantities ---- */
/* A technical unit at i, maybe compound: "kg/h", "kWh", "°C", "% RH", "square feet". Returns tokens. */
static size_t unit_at(struct facts *f, size_t i, bool adjacent, struct slice *unit) {
    const struct lex *x = &f->lex;
    *unit = (struct slice){"", 0};
    if (i >= x->n) return 0;
    const struct lex_token *t = &x->tokens[i];
    if (t->kind != LEX_WORD && t->kind != LEX_MARK && t->kind != LEX_CODE) return 0;
    if (lex_is(x, i, "°") && lex_in(x, i + 1, "c f k")) {
        *unit = slice_of(lex_is(x, i + 1, "c") ? "°C" : lex_is(x, i + 1, "f") ? "°F" : "K");
        return 2;
    }
    if (lex_in(x, i, "degrees degree")) {
        if (lex_in(x, i + 1, "celsius centigrade c")) return *unit = slice_of("°C"), 2;
        if (lex_in(x, i + 1, "fahrenheit f")) return *unit = slice_of("°F"), 2;
    }
    if (lex_in(x, i, "square sq cubic")) {
        size_t k = i + 1 + (lex_mark(x, i + 1, '.') ? 1 : 0);
        bool cubic = lex_is(x, i, "cubic");
        if (lex_in(x, k, "feet foot ft")) return *unit = slice_of(cubic ? "ft³" : "ft²"), k + 1 - i;
        if (lex_in(x, k, "metres metre meters meter m")) return *unit = slice_of(cubic ? "m³" : "m²"), k + 1 - i;
        if (lex_in(x, k, "miles mile")) return *unit = slice_of("mi²"), k + 1 - i;
        if (lex_in(x, k, "kilometres kilometers km")) return *unit = slice_of("km²"), k + 1 - i;
        if (lex_in(x, k, "inches inch in")) return *unit = slice_of(cubic ? "in³" : "in²"), k + 1 - i;
        if (lex_in(x, k, "centimetres centimeters cm")) return *unit = slice_of(cubic ? "cm³" : "cm²"), k + 1 - i;
        return 0;
    }
    if (!(t->classes & LEX_C_UNIT)) return 0;
    /* letters that are also words: an ampere, a metre, an inch only as printed for it */
    const char *s = x->text + t->start;
    size_t len = t->end - t->start;
    if (lex_is(x, i, "a") && !(len == 1 && s[0] == 'A' &&
                               (adjacent || !(i + 1 < x->n && x->tokens[i + 1].kind == LEX_WORD &&
                                              !lex_has(x, i + 1, LEX_C_PREPOSITION | LEX_C_CONJUNCTION)))))
        return 0;
    if (lex_in(x, i, "in m g l v w n j ha mi yd mg ma db")) {
        bool lower = s[0] >= 'a';
        if (lex_in(x, i, "v w n j") && lower) return 0;
        if (lex_is(x, i, "in") && !adjacent && i + 1 < x->n &&
            (x->tokens[i + 1].kind == LEX_WORD || x->tokens[i + 1].kind == LEX_NUMBER))
            return 0;
        if (lex_is(x, i, "in") && !adjacent && !lex_mark(x, i + 1, '.') && i + 1 < x->n) return 0;
        if (lex_in(x, i, "m g l") && !lower) return 0;
        if (lex_in(x, i, "w n v") && lex_mark(x, i + 1, '.') && i + 2 < x->n && !adjacent && lex_has(x, i + 2, 0))
            return 0;
    }
    if (lex_is(x, i, "mpa") && len == 3 && s[0] == 'm') return *unit = slice_of("mPa"), 1;
    if (lex_is(x, i, "mw") && s[0] == 'm') return *unit = slice_of("mW"), 1;
    if (lex_is(x, i, "bar") && i + 1 < x->n && lex_in(x, i + 1, "association exam examination council")) return 0;
    *unit = vocabulary_unit(x->low + t->low, t->len);
    if (unit->len == 0) return 0;
    /* a unit over a unit: "l/min", "kg/h", "m/s" */
    if (lex_mark(x, i + 1, '/') && !lex_space(x, i + 1) && i + 2 < x->n && !lex_space(x, i + 2) &&
        x->tokens[i + 2].kind == LEX_WORD && x->tokens[i + 2].len <= 5) {
        struct slice under = {x->text + x->tokens[i + 2].start, x->tokens[i + 2].end - x->tokens[i + 2].start};
        struct slice both =
            arena_slice_printf(&f->d->arena, "%.*s/%.*s", (int)unit->len, unit->data, (int)under.len, under.data);
        *unit = both;
        return 3;
    }
    return 1;
}

/* A noun that is counted: "three directors", "12 monthly instalments" (one adjective may stand between). */
static size_t counted(struct facts *f, size_t i, struct slice *unit) {
    const struct lex *x = &f->lex;
    size_t n = unit_at(f, i, false, unit);
    /* "50 user accounts": the accounts are counted */
    if (n == 1 && unit->len >= 4 && unit->len == x->tokens[i].len && grammar_noun(x, i + 1) &&
        x->tokens[i + 1].kind == LEX_WORD && x->text[x->tokens[i].end - 1] != 's') {
        *unit = (struct slice){"", 0};
        return 0;
    }
    if (n) return n;
    /* an adjective, then a unit we know; not "3 and seats" */
    if (i + 1 < x->n && x->tokens[i].kind == LEX_WORD &&
        !lex_has(x, i,
                 LEX_C_PREPOSITION | LEX_C_CONJUNCTION | LEX_C_MODAL | LEX_C_BE | LEX_C_PRONOUN | LEX_C_DETERMINER |
                     LEX_C_RELATIVE | LEX_C_TIME | LEX_C_CURRENCY | LEX_C_REFERENCE) &&
        x->tokens[i + 1].kind == LEX_WORD && x->tokens[i + 1].len >= 4 &&
        (x->text[x->tokens[i + 1].end - 1] == 's' || lex_is(x, i + 1, "people"))) {
        n = unit_at(f, i + 1, false, unit);
        if (n) return n + 1;
    }
    return 0;
}

/* Does the word have a capital: "Vessel", "eServer", "LV"? */
static bool named(const struct lex *x, size_t i) {
    for (uint32_t k = x->tokens[i].start; k < x->tokens[i].end; k++)
        if (x->text[k] >= 'A' && x->text[k] <= 'Z') return true;
    return false;
}

size_t facts_quantity_read(struct facts *f, size_t i, struct value *v) {
    const struct lex *x = &f->lex;
    struct number a, b;
    size_t n = number_read(x, i, &a);
    if (!n) return 0;
    bool range = false, between = i > 0 && lex_is(x, i - 1, "between");
    struct slice unit = {"", 0}, unit2 = {"", 0};
    size_t k = i + n, u = 0;
    bool hyphen = lex_hyphen(x, k);
    u = unit_at(f, k + hyphen, hyphen || !lex_space(x, k), &unit);
    if (hyphen && lex_in(x, k + 1, "time times point step line page")) u = 0; /* "one-time fee", "two-step check" */
    struct slice probe;
    if (u == 1 && !hyphen && lex_space(x, k) && counted(f, k, &probe) == 0) u = 0, unit = (struct slice){"", 0};
    if (u)
        k += u + hyphen;
    else if (!hyphen)
        u = counted(f, k, &unit), k += u;
    size_t c = facts_range_connector(x, k, between);
    if (!c && lex_is(x, k, "±")) c = 1;
    if (c) {
        size_t m = number_read(x, k + c, &b);
        if (m) {
            size_t q = k + c + m;
            size_t u2 = unit_at(f, q, !lex_space(x, q), &unit2);
            if (!u2) u2 = counted(f, q, &unit2);
            bool plus_minus = lex_is(x, k, "±");
            if ((u2 && (!u || slice_equal(unit, unit2)) && (b.value >= a.value || plus_minus)) ||
                (!u && !u2 && !lex_hyphen(x, k) && b.value > a.value && between)) {
                if (u2) unit = unit2;
                u = u2;
                k = q + u2;
                range = !plus_minus;
            }
        }
    }
    /* a ratio: "3.50 to 1.00", "3.5:1", "3.75x" */
    if (!u && !range && !a.words) {
        bool to = lex_is(x, k, "to") || (lex_mark(x, k, ':') && !lex_space(x, k));
        if (to && k + 1 < x->n && x->tokens[k + 1].kind == LEX_NUMBER && x->tokens[k + 1].value == 1 && a.value > 1 &&
            !lex_has(x, k + 2, LEX_C_TIME))
            k += 2;
        else if (lex_is(x, k, "x") && !lex_space(x, k))
            k++;
    }
    v->first = i;
    v->end = k;
    v->fact = facts_blank(f, INGEST_NUMBER);
    v->fact.unit = unit;
    /* with a basis: "two reports a year", "1,000 calls per second" */
    facts_measure(f, v, a.value, range ? &b.value : NULL, a.differ ? &a.figure : NULL);
    if (u) {
        return v->end - i;
    }
    /* a year: "the 2018 Proxy Statement", "2016, 2015 and 2014" */
    if (!a.words && !a.decimal && !a.grouped && !range && a.value >= 1950 && a.value < 2070 &&
        a.value == floor(a.value) && !hyphen && v->end == i + 1) {
        v->fact = facts_blank(f, INGEST_DATE);
        v->fact.year = (int32_t)a.value;
        return 1;
    }
    /* a number alone: "one" and "first" are mostly no counts; figures in running text need to stand free */
    bool bound =
        i > f->first && lex_in(x, i - 1, "than least most only exactly to maximum minimum") && !lex_is(x, i + 1, "of");
    if (a.words && !a.paren && (a.value < 1 || a.fraction || (a.value <= 1 && !bound))) return 0;
    if (a.fraction) return 0;
    if (!a.words && !a.grouped && i > f->first && lex_quote(x, i - 1))
        return 0; /* "“Account” 1": the page in a table of contents */
    /* "Vessel 1", "Tranche 2", "Ward 6": a name */
    if (!a.words && !a.grouped &&
        (a.value < 1000 || (a.value >= 1900 && a.value < 2100) || (i > 0 && (x->tokens[i - 1].flags & LEX_UPPER))) &&
        i > f->first && x->tokens[i - 1].kind == LEX_WORD && named(x, i - 1) && x->tokens[i - 1].len > 1 &&
        !lex_has(x, i - 1,
                 LEX_C_PREPOSITION | LEX_C_DETERMINER | LEX_C_CONJUNCTION | LEX_C_BE | LEX_C_MODAL | LEX_C_VERB |
                     LEX_C_ADVERB | LEX_C_TOTAL | LEX_C_NEGATION))
        return 0;
    if (hyphen) return 0; /* "10-K", "two-factor" */
    if (i > 0 && !lex_space(x, i) && !lex_mark(x, i - 1, '(') && !lex_quote(x, i - 1) &&
        !(x->tokens[i - 1].kind == LEX_BREAK))
        return 0;
    if (lex_hyphen(x, i)) return 0;
    return v->end - i;
}

/* ---- what is no value ---- */
size_t facts_nonvalue(const struct facts *f, size_t i) {
    const struct lex *x = &f->lex;
    if (i >= x->n) return 0;
    const struct lex_token *t = &x->tokens[i];
    if (t->kind == LEX_NUMBER) {
        if (t->value == 24 && lex_mark(x, i + 1, '/') && i + 2 < x->n && x->tokens[i + 2].value == 7) return 3;
        /* telephone numbers: three or more groups, or (212) 555-1234 */
        size_t k = i, groups = 0, digits = 0;
        while (k < x->n && (x->tokens[k].kind == LEX_NUMBER || x->tokens[k].kind == LEX_CODE) &&
               x->tokens[k].end - x->tokens[k].start >= 2) {
            groups++;
            digits += x->tokens[k].end - x->tokens[k].start;
            k++;
            if (!(lex_dash(x, k) && !lex_space(x, k))) break;
            k++;
        }
        if (groups >= 3 && digits >= 7) return k - i;
        if (groups == 2 && digits == 7 && x->tokens[i].end - x->tokens[i].start == 3) return k - i; /* 555-1234 */
        /* 401(k), 12(b), 10(b)(5): provisions */
        if (lex_mark(x, i + 1, '(') && !lex_space(x, i + 1) && i + 3 < x->n && x->tokens[i + 2].len <= 4 &&
            x->tokens[i + 2].end - x->tokens[i + 2].start <= 4 && lex_mark(x, i + 3, ')') &&
            (x->tokens[i + 2].kind == LEX_WORD || x->tokens[i + 2].kind == LEX_NUMBER)) {
            k = i + 4;
            while (lex_mark(x, k, '(') && !lex_space(x, k) && lex_mark(x, k + 2, ')')) k += 3;
            return k - i;
        }
        /* 10-K, 8-A */
        if (lex_hyphen(x, i + 1) && x->tokens[i + 2].kind == LEX_WORD &&
            x->tokens[i + 2].end - x->tokens[i + 2].start <= 2 && (x->tokens[i + 2].flags & LEX_CAPITAL))
            return 3;
        /* 17 CFR 240.10b, 15 U.S.C. 78 */
        if (lex_in(x, i + 1, "cfr u.s.c. usc c.f.r. fed stat f.r.")) {
            k = i + 2;
            while (k < x->n && k < i + 6 &&
                   (lex_mark(x, k, '.') || lex_is(x, k, "§") || lex_is(x, k, "§§") ||
                    lex_in(x, k, "reg part sections section") || x->tokens[k].kind == LEX_NUMBER ||
                    x->tokens[k].kind == LEX_CODE))
                k++;
            return k - i;
        }
        /* street numbers and postcodes: "500 Fifth Avenue", "NY 10017" */
        if (!(t->flags & (LEX_GROUPED | LEX_DECIMAL)) && !(t->flags & LEX_ORDINAL)) {
            for (k = i + 1;
                 k < i + 5 && k < x->n && x->tokens[k].kind == LEX_WORD && (x->tokens[k].flags & LEX_CAPITAL); k++)
                if (lex_in(x, k,
                           "street avenue road boulevard drive lane highway parkway plaza square court row way terrace "
                           "mews close st ave blvd rd "
                           "dr ln hwy floor suite"))
                    return k + 1 - i;
            if (t->end - t->start == 5 && i > 0 && (x->tokens[i - 1].flags & LEX_UPPER) && x->tokens[i - 1].len == 2)
                return lex_hyphen(x, i + 1) ? 3 : 1;
            if (t->end - t->start == 5 && i > 1 && (x->tokens[i - 1].flags & LEX_CAPITAL) && lex_mark(x, i - 2, ',') &&
                x->tokens[i - 1].kind == LEX_WORD && !lex_has(x, i + 1, LEX_C_UNIT | LEX_C_TIME | LEX_C_CURRENCY))
                return 1;
        }
        if (x->text[t->start] == '0' && t->end - t->start > 1 && !(t->flags & LEX_DECIMAL))
            return 1; /* "0011": a code */
        if ((t->flags & LEX_ORDINAL)) return 1;
        /* a clock: "5 p.m.", "10 am" */
        if (lex_in(x, i + 1, "a.m. p.m. am pm o'clock")) return 2;
    }
    if (t->kind == LEX_CODE || (t->kind == LEX_NUMBER && lex_is(x, i + 1, "a") && !lex_space(x, i + 1) &&
                                lex_mark(x, i + 2, '('))) { /* 409A(a)(2) */
        size_t k = i + (t->kind == LEX_CODE ? 1 : 2);
        while (lex_mark(x, k, '(') && !lex_space(x, k) && lex_mark(x, k + 2, ')')) k += 3;
        return k - i;
    }
    if (lex_mark(x, i, '(') && i + 2 < x->n && x->tokens[i + 1].kind == LEX_NUMBER && x->tokens[i + 1].value < 100 &&
        !(x->tokens[i + 1].flags & LEX_DECIMAL) && lex_mark(x, i + 2, ')') &&
        !lex_has(x, i - (i > 0), LEX_C_NUMBER | LEX_C_SCALE))
        return 3; /* "(1)" in a row of items */
    if (t->kind == LEX_WORD) {
        /* "No. 333-1234", "Suite 400", "P.O. Box 55", "Form 10-K", "Version 2.1", "ext. 5", "Hull No. S188" */
        if (lex_in(x, i,
                   "no nos number numbers suite box form version release ext extension fax tel telephone phone apt "
                   "building floor flight unit model serial type class "
                   "series level phase iso ieee en din rfc isbn ein vat zip hull lot block parcel route interstate "
                   "boeing windows tier grade fas fasb asc sfas "
                   "statement level ias ifrs opinion bulletin issue revision rev") &&
            i + 1 < x->n) {
            size_t k = i + 1;
            if (lex_in(x, i,
                       "unit lot block class numbers level statement issue type")) { /* only with a capital, and a
                                                                                               number right behind it */
                if (!(t->flags & LEX_CAPITAL)) return 0;
            }
            if (lex_is(x, i, "no") && !lex_mark(x, k, '.')) return 0;
            while (k < i + 3 && (lex_mark(x, k, '.') || lex_mark(x, k, '#') || lex_mark(x, k, ':'))) k++;
            if (lex_in(x, k, "no nos")) k += lex_mark(x, k + 1, '.') ? 2 : 1;
            if (k < x->n && (x->tokens[k].kind == LEX_NUMBER || x->tokens[k].kind == LEX_CODE)) {
                k++;
                while (lex_in(x, i, "number no") && k < x->n && x->tokens[k].kind == LEX_NUMBER &&
                       x->tokens[k].end - x->tokens[k].start <= 4)
                    k++; /* "register number 918 440 276" */
                while (k + 1 < x->n &&
                       (lex_dash(x, k) || lex_mark(x, k, '/') || lex_mark(x, k, '(') || lex_mark(x, k, ')')) &&
                       !lex_space(x, k) && !lex_space(x, k + 1))
                    k += 2;
                if (lex_mark(x, k, ')') && !lex_space(x, k) && lex_mark(x, k - 2, '(')) k++;
                return k - i;
            }
        }
        /* "one of the parties", "one another", "no one", "one or more", "at one time" */
        if (lex_is(x, i, "one")) {
            if (lex_in(x, i + 1, "of another or such who which that")) {
                if (lex_phrase(x, i, "one or more")) return 3;
                if (!lex_is(x, i + 1, "or")) return 1;
            }
        }
    }
    if (lex_mark(x, i, '+') && i + 2 < x->n && x->tokens[i + 1].kind == LEX_NUMBER &&
        x->tokens[i + 2].kind == LEX_NUMBER) { /* +1 212-555-1234 */
        size_t k = i + 1;
        while (k < x->n &&
               (x->tokens[k].kind == LEX_NUMBER || lex_dash(x, k) || lex_mark(x, k, '(') || lex_mark(x, k, ')')))
            k++;
        return k - i;
    }
    if (lex_mark(x, i, '#') && i + 1 < x->n && x->tokens[i + 1].kind == LEX_NUMBER) return 2;
    /* (212) 555-1234 */
    if (lex_mark(x, i, '(') && i + 5 < x->n && x->tokens[i + 1].kind == LEX_NUMBER &&
        x->tokens[i + 1].end - x->tokens[i + 1].start == 3 && lex_mark(x, i + 2, ')') &&
        x->tokens[i + 3].kind == LEX_NUMBER && lex_hyphen(x, i + 4) && x->tokens[i + 5].kind == LEX_NUMBER)
        return 6;
    return 0;
}
