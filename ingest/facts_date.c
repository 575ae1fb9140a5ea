/* facts_date.c: dates in the styles of English documents.
 *
 *   January 1, 2015 | Jan. 1st 2015 | 1 January 2015 | the 1st day of March, 2021 | this 19th day of August 2004 | the
 * first day of May 2020 2015-01-01 | 2015/01/01 | 31/12/2020 | 12/31/2020 | 31.12.2020 | January 2015 | 1 January |
 * March 31 | Q1 2021 | first quarter of 2021 fiscal (year) 2008 | FY2008 | in 2008 03/04/2020 can be read two ways:
 * year is set, month and day stay 0 (never guessed), value and value2 hold the two fields as printed. value holds the
 * quarter for quarters (month 0). Years 1500 to 2199. */
#include "ingest/facts.h"

#include <math.h>
#include <string.h>

static int month_at(const struct lex *x, size_t i) {
    if (i >= x->n || x->tokens[i].kind != LEX_WORD || !(x->tokens[i].flags & LEX_CAPITAL)) return 0;
    return vocabulary_month(x->low + x->tokens[i].low, x->tokens[i].len);
}

static int whole(const struct lex *x, size_t i, int low, int high) {
    if (i >= x->n || x->tokens[i].kind != LEX_NUMBER || (x->tokens[i].flags & (LEX_DECIMAL | LEX_GROUPED))) return -1;
    double v = x->tokens[i].value;
    return v >= low && v <= high && v == floor(v) ? (int)v : -1;
}

static int year_at(const struct lex *x, size_t i) {
    int y = whole(x, i, 1500, 2199);
    return y > 0 && x->tokens[i].end - x->tokens[i].start == 4 && !(x->tokens[i].flags & LEX_ORDINAL) ? y : -1;
}

static int day_at(const struct lex *x, size_t i) {
    return whole(x, i, 1, 31);
}

static int days_in(int month, int year) {
    static const int n[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month == 2 && year > 0 && !(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))) return 28;
    return n[month - 1];
}

/* An ordinal day in words: "first", "twenty-first", "thirty-first". Returns tokens. */
static size_t ordinal_word(const struct lex *x, size_t i, int *day) {
    if (lex_in(x, i, "twenty thirty") && lex_hyphen(x, i + 1) && lex_has(x, i + 2, LEX_C_ORDINAL)) {
        double v = vocabulary_number(x->low + x->tokens[i + 2].low, x->tokens[i + 2].len);
        if (v >= 1 && v <= 9) {
            *day = (lex_is(x, i, "twenty") ? 20 : 30) + (int)v;
            return *day <= 31 ? 3 : 0;
        }
    }
    if (lex_has(x, i, LEX_C_ORDINAL)) {
        double v = vocabulary_number(x->low + x->tokens[i].low, x->tokens[i].len);
        if (v >= 1 && v <= 30) return *day = (int)v, 1;
    }
    return 0;
}

static void set(struct value *v, struct facts *f, size_t i, size_t n, int year, int month, int day) {
    v->first = i;
    v->end = i + n;
    v->fact = facts_blank(f, INGEST_DATE);
    v->fact.year = year > 0 ? year : 0;
    v->fact.month = month;
    v->fact.day = day;
}

/* ", 2015" or " 2015" behind a day; returns tokens. */
static size_t year_behind(const struct lex *x, size_t i, int *year) {
    size_t k = i;
    if (lex_mark(x, k, ',')) k++;
    if (lex_is(x, k, "of") || lex_is(x, k, "in")) k++;
    int y = year_at(x, k);
    /* "June 30, 2004 shares": a year all the same; "June 30, 1,500" is grouped and refused */
    if (y < 0) return 0;
    *year = y;
    return k + 1 - i;
}

/* Tokens a, sep, b, sep, c without spaces: "2015-01-01", "31/12/2020". */
static size_t numeric(struct facts *f, size_t i, struct value *v) {
    const struct lex *x = &f->lex;
    if (i + 4 >= x->n || x->tokens[i].kind != LEX_NUMBER) return 0;
    for (size_t k = 1; k < 5; k++)
        if (x->tokens[i + k].flags & LEX_SPACE) return 0;
    bool dash = lex_dash(x, i + 1) && lex_dash(x, i + 3), slash = lex_mark(x, i + 1, '/') && lex_mark(x, i + 3, '/');
    if (!dash && !slash) return 0;
    if (lex_hyphen(x, i + 5) || (lex_mark(x, i + 5, '/') && !lex_space(x, i + 5)))
        return 0; /* a longer number: telephone, part */
    if (i > 0 && !lex_space(x, i) && (lex_dash(x, i - 1) || lex_mark(x, i - 1, '/'))) return 0;
    int y = year_at(x, i);
    if (y > 0) {
        int m = whole(x, i + 2, 1, 12), d = whole(x, i + 4, 1, 31);
        if (m < 0 || d < 0 || d > days_in(m, y)) return 0;
        set(v, f, i, 5, y, m, d);
        return 5;
    }
    int a = whole(x, i, 1, 31), b = whole(x, i + 2, 1, 31);
    y = year_at(x, i + 4);
    if (y < 0) { /* two figures of a year: 12/31/99 */
        int s = whole(x, i + 4, 0, 99);
        if (s < 0 || x->tokens[i + 4].end - x->tokens[i + 4].start != 2 || !slash) return 0;
        y = s < 50 ? 2000 + s : 1900 + s;
    }
    if (a < 0 || b < 0 || (a > 12 && b > 12)) return 0;
    if (a > 12)
        set(v, f, i, 5, y, b, a);
    else if (b > 12 || a == b)
        set(v, f, i, 5, y, a, b);
    else {
        set(v, f, i, 5, y, 0, 0);
        v->fact.value = a;
        v->fact.value2 = b;
    }
    if (v->fact.month && v->fact.day > days_in(v->fact.month, y)) return 0;
    return 5;
}

/* "31.12.2020" is one code token. */
static size_t dotted(struct facts *f, size_t i, struct value *v) {
    const struct lex *x = &f->lex;
    if (x->tokens[i].kind != LEX_CODE || x->tokens[i].len < 8 || x->tokens[i].len > 10) return 0;
    char c[16];
    memcpy(c, x->low + x->tokens[i].low, x->tokens[i].len);
    c[x->tokens[i].len] = 0;
    int a = 0, b = 0, y = 0, used = 0;
    const char *p = c;
    int *part[] = {&a, &b, &y};
    for (int k = 0; k < 3; k++) {
        int digits = 0;
        while (*p >= '0' && *p <= '9' && digits < 4) *part[k] = *part[k] * 10 + (*p++ - '0'), digits++;
        if (digits == 0 || (k == 2 && digits != 4) || (k < 2 && digits > 2)) return 0;
        used++;
        if (k < 2 && *p++ != '.') return 0;
    }
    if (*p || used != 3 || y < 1500 || y > 2199 || a < 1 || b < 1 || b > 12 || a > 31) return 0;
    /* full stops: day first by convention */
    if (a > days_in(b, y)) return 0;
    set(v, f, i, 1, y, b, a);
    return 1;
}

static size_t quarter(struct facts *f, size_t i, struct value *v) {
    const struct lex *x = &f->lex;
    int q = 0, y = 0;
    size_t n = 0;
    static const char *const codes[] = {"q1", "q2", "q3", "q4"};
    for (int k = 0; k < 4; k++)
        if (lex_is(x, i, codes[k])) q = k + 1, n = 1;
    if (!q) {
        static const char *const words[] = {"first quarter", "second quarter", "third quarter", "fourth quarter"};
        for (int k = 0; k < 4; k++)
            if ((n = lex_phrase(x, i, words[k]))) {
                q = k + 1;
                break;
            }
    }
    if (!q) return 0;
    size_t k = i + n;
    if (lex_is(x, k, "of")) k++;
    if (lex_in(x, k, "fiscal fy calendar")) k++;
    if (lex_is(x, k, "year")) k++;
    y = year_at(x, k);
    if (y < 0) return 0;
    set(v, f, i, k + 1 - i, y, 0, 0);
    v->fact.value = q;
    v->fact.unit = slice_of("quarter");
    return v->end - i;
}

size_t facts_date_read(struct facts *f, size_t i, struct value *v) {
    const struct lex *x = &f->lex;
    size_t n;
    if (i >= x->n) return 0;
    if ((n = numeric(f, i, v)) || (n = dotted(f, i, v)) || (n = quarter(f, i, v))) return n;
    int year = 0, day, m = month_at(x, i);
    if (m) { /* January 1, 2015 | January 2015 | Jan. 1 */
        size_t k = i + 1;
        if (lex_mark(x, k, '.') && x->tokens[i].len <= 4) k++;
        day = day_at(x, k);
        bool may = lex_is(x, i, "may"), march = lex_is(x, i, "march");
        if (day > 0 && !(x->tokens[k].flags & LEX_DECIMAL)) {
            /* "May 5 persons": a modal; a date needs a year, or a month that is no other word */
            size_t y = year_behind(x, k + 1, &year);
            if (may && !y && !(i > 0 && lex_has(x, i - 1, LEX_C_PREPOSITION | LEX_C_TIME)) &&
                !(x->tokens[k].flags & LEX_ORDINAL))
                return 0;
            if (y == 0 && (lex_mark(x, k + 1, '%') || lex_has(x, k + 1, LEX_C_SCALE))) return 0;
            if (day > days_in(m, year)) return 0;
            set(v, f, i, k + 1 + y - i, year, m, day);
            return v->end - i;
        }
        int od;
        size_t o = ordinal_word(x, k, &od);
        if (o) {
            size_t y = year_behind(x, k + o, &year);
            set(v, f, i, k + o + y - i, year, m, od);
            return v->end - i;
        }
        size_t y = year_behind(x, k, &year);
        if (y && !(lex_mark(x, k, ',') && may && 0)) {
            set(v, f, i, k + y - i, year, m, 0);
            return v->end - i;
        }
        /* a month alone: only where it cannot be another word */
        if (!may && !march && x->tokens[i].len > 3 && i > 0 &&
            lex_in(x, i - 1, "in by of until through since each every")) {
            set(v, f, i, 1, 0, m, 0);
            return v->end - i;
        }
        return 0;
    }
    /* the 1st day of March, 2021 | 1 January 2015 | 1st of March | the first day of May 2020 */
    size_t k = i;
    day = day_at(x, k);
    size_t used = day > 0 && !(x->tokens[k].flags & LEX_DECIMAL) ? 1 : ordinal_word(x, k, &day);
    if (used) {
        bool ordinal = used == 3 || (x->tokens[k].flags & LEX_ORDINAL) || lex_has(x, k, LEX_C_ORDINAL);
        k += used;
        if (lex_mark(x, k, '(') && day_at(x, k + 1) == day && lex_mark(x, k + 2, ')'))
            k += 3; /* "first (1st) day of May" */
        if (ordinal && lex_is(x, k, "day")) k++;
        if (ordinal && lex_is(x, k, "of"))
            k++;
        else if (lex_hyphen(x, k))
            k++; /* 1-Jan-2015 */
        m = month_at(x, k);
        if (!m) {
            /* "the 15th day of each month": a recurring day */
            if (ordinal && k > i + used && lex_in(x, k, "each every the") &&
                lex_in(x, k + 1, "month calendar following next")) {
                size_t end = k + 2;
                if (lex_is(x, end, "month")) end++;
                set(v, f, i, end - i, 0, 0, day);
                return v->end - i;
            }
            return 0;
        }
        size_t end = k + 1;
        if (lex_mark(x, end, '.') && x->tokens[k].len <= 4 && year_at(x, end + 1) > 0) end++;
        if (lex_hyphen(x, end) && year_at(x, end + 1) > 0) end++;
        size_t y = year_behind(x, end, &year);
        if (!y && lex_is(x, k, "may") && !ordinal && !(i > 0 && lex_has(x, i - 1, LEX_C_PREPOSITION))) return 0;
        if (day > days_in(m, year)) return 0;
        set(v, f, i, end + y - i, year, m, day);
        return v->end - i;
    }
    /* fiscal 2008, FY 2008, FY2008, in 2008, since 2008 */
    if (lex_in(x, i, "fiscal fy calendar")) {
        k = i + 1;
        if (lex_is(x, k, "year")) k++;
        if (lex_is(x, k, "ended") || lex_is(x, k, "ending")) return 0;
        int y = year_at(x, k);
        if (y > 0) {
            set(v, f, i, k + 1 - i, y, 0, 0);
            v->fact.unit = slice_of(lex_is(x, i, "calendar") ? "year" : "fiscal year");
            return v->end - i;
        }
    }
    int y = year_at(x, i);
    if (y > 0 && y >= 1900 && i > 0 &&
        lex_in(x, i - 1, "in since during year through until before after by of for from and to or fiscal") &&
        !lex_has(x, i + 1, LEX_C_UNIT | LEX_C_TIME | LEX_C_CURRENCY | LEX_C_SCALE) && !lex_mark(x, i + 1, '%') &&
        !lex_hyphen(x, i + 1) && !lex_mark(x, i + 1, '/')) {
        if (i + 1 < x->n && x->tokens[i + 1].kind == LEX_WORD &&
            !lex_has(x, i + 1,
                     LEX_C_PREPOSITION | LEX_C_CONJUNCTION | LEX_C_VERB | LEX_C_MODAL | LEX_C_BE | LEX_C_DETERMINER |
                         LEX_C_PRONOUN | LEX_C_RELATIVE) &&
            !lex_in(x, i - 1, "in since during year"))
            return 0; /* "of 2000 shares" */
        set(v, f, i, 1, y, 0, 0);
        return 1;
    }
    return 0;
}
