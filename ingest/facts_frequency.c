/* facts_frequency.c: how often, and at what hour.
 *
 * Frequency: "twice a year", "four times per quarter", "every 6 weeks", "every other month", "once in three months",
 * "shall report quarterly". A quantity of unit "time/year", so that "quarterly" and "four times a year" have one value;
 * a day is 1/365 of a year, a week 7/365, an hour 1/8760. An adverb counts only as an adverb: "monthly rent" names a
 * rent, it says no frequency. Hour: "14:00", "9 a.m.", "5:30 p.m.", "noon", "midnight", "9 a.m. to 8 p.m.": unit "time
 * of day", value in hours from 0 to 24. */
#include "ingest/facts.h"
#include "ingest/grammar.h"

#include <math.h>
#include <string.h>

static double per_year(const char *unit) {
    static const struct {
        const char *unit;
        double times;
    } t[] = {{"day", 365},   {"week", 365.0 / 7},       {"month", 12},  {"year", 1}, {"hour", 8760}, {"minute", 525600},
             {"quarter", 4}, {"fortnight", 365.0 / 14}, {"decade", 0.1}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        if (strcmp(t[i].unit, unit) == 0) return t[i].times;
    return NAN;
}

static const char *time_at(const struct lex *x, size_t i) {
    if (!lex_has(x, i, LEX_C_TIME)) return NULL;
    return vocabulary_time(x->low + x->tokens[i].low, x->tokens[i].len);
}

/* "a year", "per quarter", "each contract year", "in every month", "every two weeks", "in three months": *times a year.
 * Returns tokens. */
static size_t rate(const struct lex *x, size_t i, double *times) {
    size_t k = i;
    if (lex_in(x, k, "in during")) k++;
    struct number span;
    bool in_span = lex_is(x, i, "in") && number_read(x, k, &span), every = in_span || lex_in(x, k, "every each");
    if (!every && !lex_in(x, k, "a an per")) return 0;
    if (!in_span) k++;
    double n = 1;
    if (every && lex_in(x, k, "other second")) {
        n = 2;
        k++;
    } else if (every) {
        struct number num;
        size_t m = number_read(x, k, &num);
        if (m && num.value > 0) n = num.value, k += m;
    }
    if (lex_in(x, k, "calendar contract fiscal financial working business full single")) k++;
    const char *unit = time_at(x, k);
    if (!unit || isnan(per_year(unit))) return 0;
    *times = per_year(unit) / n;
    return k + 1 - i;
}

static void set(struct facts *f, struct value *v, size_t i, size_t n, double value, const char *unit) {
    v->first = i;
    v->end = i + n;
    v->fact = facts_blank(f, INGEST_NUMBER);
    v->fact.value = value;
    v->fact.unit = slice_of(unit);
}

/* Adverbs of frequency: times a year. */
static double adverb(const struct lex *x, size_t i) {
    static const struct {
        const char *word;
        double times;
    } t[] = {{"hourly", 8760},  {"daily", 365},   {"weekly", 365.0 / 7}, {"fortnightly", 365.0 / 14},
             {"monthly", 12},   {"bimonthly", 6}, {"quarterly", 4},      {"semiannually", 2},
             {"biannually", 2}, {"annually", 1},  {"yearly", 1},         {"biennially", 0.5}};
    for (size_t k = 0; k < sizeof t / sizeof *t; k++)
        if (lex_is(x, i, t[k].word)) return t[k].times;
    return NAN;
}

static size_t frequency(struct facts *f, size_t i, struct value *v) {
    const struct lex *x = &f->lex;
    double count = NAN, times;
    size_t k = i;
    if (lex_in(x, i, "once twice thrice")) {
        count = lex_is(x, i, "once") ? 1 : lex_is(x, i, "twice") ? 2 : 3;
        k = i + 1;
        double a = adverb(x, k); /* "twice daily" */
        if (!isnan(a)) {
            set(f, v, i, 2, count * a, "time/year");
            return 2;
        }
    } else {
        struct number num;
        size_t n = number_read(x, i, &num);
        if (n && lex_in(x, i + n, "times time")) {
            count = num.value;
            k = i + n + 1;
            double a = adverb(x, k);
            if (!isnan(a)) {
                set(f, v, i, k + 1 - i, count * a, "time/year");
                return k + 1 - i;
            }
        }
    }
    if (!isnan(count)) {
        size_t n = rate(x, k, &times);
        if (!n) return 0;
        set(f, v, i, k + n - i, count * times, "time/year");
        return k + n - i;
    }
    if (lex_is(x, i, "every")) { /* "every six months"; "each month" says too little by itself */
        if (i > f->first && (lex_in(x, i - 1, "of in for per") || x->tokens[i - 1].kind == LEX_NUMBER)) return 0;
        size_t n = rate(x, i, &times);
        if (!n || grammar_noun(x, i + n)) return 0; /* "every year end" */
        set(f, v, i, n, times, "time/year");
        return n;
    }
    double a = adverb(x, i);
    if (isnan(a) || i == f->first) return 0;
    if (lex_mark(x, i - 1, '|') && (i + 1 >= x->n || lex_mark(x, i + 1, '|'))) { /* "Grease the pins | monthly" */
        set(f, v, i, 1, a, "time/year");
        return 1;
    }
    /* an adverb: behind a verb or its object, before a mark, a preposition or the end */
    bool ends =
        i + 1 >= x->n || x->tokens[i + 1].kind == LEX_MARK || lex_has(x, i + 1, LEX_C_PREPOSITION | LEX_C_CONJUNCTION);
    if (!ends || lex_hyphen(x, i + 1) || lex_has(x, i - 1, LEX_C_DETERMINER | LEX_C_PREPOSITION | LEX_C_CONJUNCTION))
        return 0;
    if (i >= f->first + 1 && x->tokens[i - 1].kind != LEX_WORD) return 0;
    bool verb = false; /* a clause with a verb before it */
    for (size_t q = grammar_clause_start(x, i, f->first); q < i && !verb; q++) verb = grammar_verb(x, q);
    if (!verb) return 0;
    set(f, v, i, 1, a, "time/year");
    return 1;
}

/* "14:00", "9 a.m.", "5:30 p.m.", "8.30 a.m.", "noon". Returns tokens. */
static size_t hour_one(const struct lex *x, size_t i, double *hour) {
    if (i >= x->n) return 0;
    const struct lex_token *t = &x->tokens[i];
    const char *s = x->low + t->low;
    double h;
    bool clock = false;
    size_t n = 1;
    if (lex_in(x, i, "noon midnight midday")) return *hour = lex_is(x, i, "midnight") ? 24 : 12, 1;
    if (t->kind == LEX_CODE && t->len >= 4 && t->len <= 5) {
        size_t colon = t->len - 3;
        if (s[colon] != ':') return 0;
        int hh = 0, mm = (s[colon + 1] - '0') * 10 + (s[colon + 2] - '0');
        for (size_t k = 0; k < colon; k++) {
            if (s[k] < '0' || s[k] > '9') return 0;
            hh = hh * 10 + (s[k] - '0');
        }
        if (hh > 24 || mm < 0 || mm > 59) return 0;
        h = hh + mm / 60.0;
        clock = true;
    } else if (t->kind == LEX_NUMBER && t->flags & LEX_DECIMAL && t->value >= 1 && t->value < 13 && t->len >= 4 &&
               s[t->len - 3] == '.' && s[t->len - 2] < '6') {
        h = floor(t->value) + ((s[t->len - 2] - '0') * 10 + (s[t->len - 1] - '0')) / 60.0;
    } else if (t->kind == LEX_NUMBER && t->value >= 1 && t->value <= 12 && !(t->flags & (LEX_DECIMAL | LEX_ORDINAL))) {
        h = t->value;
    } else {
        return 0;
    }
    if (lex_in(x, i + 1, "a.m. am a.m")) {
        if (h >= 12 && h < 13) h -= 12;
        n = 2;
    } else if (lex_in(x, i + 1, "p.m. pm p.m")) {
        if (h < 12) h += 12;
        n = 2;
    } else if (lex_in(x, i + 1, "noon midnight")) {
        h = lex_is(x, i + 1, "noon") ? 12 : 24;
        n = 2;
    } else if (!clock) {
        return 0;
    }
    *hour = h;
    return n;
}

static size_t hour(struct facts *f, size_t i, struct value *v) {
    const struct lex *x = &f->lex;
    double a, b;
    size_t n = hour_one(x, i, &a);
    bool range = false;
    if (!n) { /* "9 to 5 p.m." */
        if (i >= x->n || x->tokens[i].kind != LEX_NUMBER || x->tokens[i].value < 1 || x->tokens[i].value > 12) return 0;
        size_t c = facts_range_connector(x, i + 1, false), m = c ? hour_one(x, i + 1 + c, &b) : 0;
        if (!m) return 0;
        a = x->tokens[i].value;
        if (a > fmod(b, 12) && a < 12 && b >= 12) a += 0; /* nine to five: the first is in the morning */
        n = 1 + c + m;
        range = true;
    } else {
        /* "60:40 by volume" is no hour: outside the clock it was refused; a lone "10:30" needs no more */
        size_t c = facts_range_connector(x, i + n, i > 0 && lex_is(x, i - 1, "between"));
        if (!c && lex_in(x, i + n, "until till and") &&
            (lex_in(x, i + n, "until till") || (i > 0 && lex_is(x, i - 1, "between"))))
            c = 1;
        size_t m = c ? hour_one(x, i + n + c, &b) : 0;
        if (m && b > a) n += c + m, range = true;
    }
    set(f, v, i, n, a, "time of day");
    if (range) v->fact.value2 = b;
    return n;
}

size_t facts_frequency_read(struct facts *f, size_t i, struct value *v) {
    size_t n = frequency(f, i, v);
    return n ? n : hour(f, i, v);
}
