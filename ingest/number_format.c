/* number_format.c: a stored number and its format code -> the text that the cell shows (ECMA-376 part 1, 18.8.30 and
 * 18.8.31). Owns sections by sign and condition, digits, grouping, percent, scale, literals, dates of both date systems
 * with the 29 February 1900 that never was (18.17.4.1). Not done: fractions and Asian numerals come as plain numbers,
 * colours and padding are left out. */
#include "ingest/sheet.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_SECTIONS 4
#define MAX_DECIMALS 30

const char *number_format_builtin(unsigned id) {
    static const char *const codes[] = {[0] = "General",
                                        [1] = "0",
                                        [2] = "0.00",
                                        [3] = "#,##0",
                                        [4] = "#,##0.00",
                                        [5] = "\"$\"#,##0;(\"$\"#,##0)",
                                        [6] = "\"$\"#,##0;(\"$\"#,##0)",
                                        [7] = "\"$\"#,##0.00;(\"$\"#,##0.00)",
                                        [8] = "\"$\"#,##0.00;(\"$\"#,##0.00)",
                                        [9] = "0%",
                                        [10] = "0.00%",
                                        [11] = "0.00E+00",
                                        [12] = "# ?/?",
                                        [13] = "# ?\?/?\?",
                                        [14] = "m/d/yyyy",
                                        [15] = "d-mmm-yy",
                                        [16] = "d-mmm",
                                        [17] = "mmm-yy",
                                        [18] = "h:mm AM/PM",
                                        [19] = "h:mm:ss AM/PM",
                                        [20] = "h:mm",
                                        [21] = "h:mm:ss",
                                        [22] = "m/d/yyyy h:mm",
                                        [37] = "#,##0;(#,##0)",
                                        [38] = "#,##0;(#,##0)",
                                        [39] = "#,##0.00;(#,##0.00)",
                                        [40] = "#,##0.00;(#,##0.00)",
                                        [41] = "#,##0;(#,##0);\"-\"",
                                        [42] = "\"$\"#,##0;\"$\"(#,##0);\"$-\"",
                                        [43] = "#,##0.00;(#,##0.00);\"-\"",
                                        [44] = "\"$\"#,##0.00;\"$\"(#,##0.00);\"$-\"",
                                        [45] = "mm:ss",
                                        [46] = "[h]:mm:ss",
                                        [47] = "mm:ss.0",
                                        [48] = "##0.0E+0",
                                        [49] = "@"};
    if ((id >= 27 && id <= 36) || (id >= 50 && id <= 58)) return "yyyy-mm-dd"; /* dates of East Asian settings */
    return id < sizeof codes / sizeof *codes ? codes[id] : NULL;
}

/* ---- the code's sections ---- */
/* Bytes of the literal, bracket or escape at p; 0 where a token of another kind stands. */
static size_t enclosed(const char *p, const char *end) {
    if (*p == '\\' || *p == '_' || *p == '*') return p + 1 < end ? 2 : 1;
    if (*p != '"' && *p != '[') return 0;
    const char *close = memchr(p + 1, *p == '"' ? '"' : ']', (size_t)(end - p - 1));
    return close ? (size_t)(close - p) + 1 : (size_t)(end - p);
}

static int split(const char *code, struct slice out[MAX_SECTIONS]) {
    const char *end = code + strlen(code), *from = code, *p = code;
    int n = 0;
    while (p < end && n < MAX_SECTIONS) {
        size_t skip = enclosed(p, end);
        if (skip) {
            p += skip;
        } else if (*p == ';') {
            out[n++] = (struct slice){from, (size_t)(p - from)};
            from = ++p;
        } else {
            p++;
        }
    }
    if (n < MAX_SECTIONS) out[n++] = (struct slice){from, (size_t)(end - from)};
    return n;
}

/* "[<=100]" in a section: true and whether the value meets it. */
static bool condition(struct slice s, double v, bool *holds) {
    for (size_t i = 0; i + 1 < s.len; i++) {
        if (s.data[i] != '[' || !strchr("<>=", s.data[i + 1])) continue;
        char op[3] = {s.data[i + 1], 0, 0};
        size_t k = i + 2;
        if (k < s.len && s.data[k] && strchr(">=", s.data[k])) op[1] = s.data[k++];
        double than = strtod(s.data + k, NULL); /* the code is terminated */
        *holds = !strcmp(op, "<")    ? v < than
                 : !strcmp(op, "<=") ? v <= than
                 : !strcmp(op, ">")  ? v > than
                 : !strcmp(op, ">=") ? v >= than
                 : !strcmp(op, "<>") ? v != than
                                     : v == than;
        return true;
    }
    return false;
}

/* The section for the value; *bare: it writes the sign itself, so the number comes without. */
static struct slice choose(const struct slice *sections, int n, double v, bool *bare) {
    bool holds = false;
    *bare = false;
    if (n > 1 && condition(sections[0], v, &holds)) {
        if (holds) return sections[0];
        if (n > 2 && condition(sections[1], v, &holds) && !holds) return sections[2];
        return sections[1];
    }
    if (n > 1 && v < 0) {
        *bare = true;
        return sections[1];
    }
    return n > 2 && v == 0 ? sections[2] : sections[0];
}

/* ---- dates ---- */
struct date_parts {
    bool year, month, day, hour, minute, second, elapsed, name; /* name: the month is written as a word */
};

static bool date_parts(struct slice s, struct date_parts *d) {
    const char *p = s.data, *end = s.data + s.len;
    char last = 0;
    memset(d, 0, sizeof *d);
    for (; p < end;) {
        char c = (char)tolower((unsigned char)*p);
        size_t skip = enclosed(p, end), run = 1;
        if (*p == '[' && p + 1 < end && strchr("hHmMsS", p[1]) && skip > 2) {
            d->elapsed = true;
            c = (char)tolower((unsigned char)p[1]);
        } else if (skip) {
            p += skip;
            continue;
        } else if (!strncasecmp(p, "am/pm", 5) || !strncasecmp(p, "a/p", 3)) {
            p += *p && p[1] == '/' ? 3 : 5;
            continue;
        } else if (!strchr("ymdhs", c)) {
            if (strchr("0#?", c) && last != 's') return false; /* figures: no date */
            p++;
            continue;
        } else {
            while (p + run < end && tolower((unsigned char)p[run]) == c) run++;
            skip = run;
        }
        if (c == 'y') {
            d->year = true;
        } else if (c == 'd') {
            d->day = true;
        } else if (c == 'h') {
            d->hour = true;
        } else if (c == 's') {
            d->second = true;
            if (last == 'm' && !d->hour && d->month && !d->minute) d->month = d->name = false, d->minute = true;
        } else if (last == 'h' || d->elapsed) {
            d->minute = true;
        } else {
            d->month = true;
            d->name = d->name || run >= 3;
        }
        last = c;
        p += skip;
    }
    return d->year || d->month || d->day || d->hour || d->minute || d->second;
}

/* Days since 1970-01-01 -> date (proleptic Gregorian). */
static void civil(int64_t z, int *y, int *m, int *d) {
    z += 719468;
    int64_t era = z / 146097, doe = z % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = (int)(yoe + era * 400 + (*m <= 2));
}

static bool put_date(const struct date_parts *d, double v, bool date1904, struct buf *out) {
    static const char *const names[] = {"January", "February", "March",     "April",   "May",      "June",
                                        "July",    "August",   "September", "October", "November", "December"};
    if (!(v >= 0 && v < 2958466)) return false; /* 9999-12-31 is the last day there is */
    int64_t days = (int64_t)v, seconds = (int64_t)floor((v - (double)days) * 86400 + 0.5);
    if (!d->second) seconds = (seconds + 30) / 60 * 60;
    if (seconds >= 86400) days++, seconds -= 86400;
    int y, m, day;
    const char *gap = "";
    if (d->elapsed) {
        int64_t all = days * 86400 + seconds;
        if (d->hour)
            buf_printf(out, "%lld:%02lld", (long long)(all / 3600), (long long)(all / 60 % 60));
        else
            buf_printf(out, "%lld", (long long)(d->minute ? all / 60 : all));
        if (d->second && (d->hour || d->minute)) buf_printf(out, ":%02lld", (long long)(all % 60));
        return true;
    }
    if (date1904)
        civil(days - 24107, &y, &m, &day);
    else
        civil(days - (days < 60 ? 25568 : 25569), &y, &m, &day);
    if (!date1904 && days == 60) y = 1900, m = 2, day = 29; /* Excel's, kept from Lotus 1-2-3 */
    if (!date1904 && days == 0 && (d->year || d->month || d->day) && !d->hour) return false; /* "January 0, 1900" */
    if (d->day && (d->month || !d->year)) {
        if (d->name)
            buf_printf(out, "%d %s %d", day, names[m - 1], y);
        else
            buf_printf(out, "%04d-%02d-%02d", y, m, day);
        gap = " ";
    } else if (d->month) {
        buf_puts(out, names[m - 1]);
        if (d->year) buf_printf(out, " %d", y);
        gap = " ";
    } else if (d->year) {
        buf_printf(out, "%d", y);
        gap = " ";
    }
    if (d->hour)
        buf_printf(out, "%s%02d:%02d", gap, (int)(seconds / 3600), (int)(seconds / 60 % 60));
    else if (d->minute)
        buf_printf(out, "%s%02d", gap, (int)(seconds / 60 % 60));
    if (d->second) buf_printf(out, "%s%02d", d->hour || d->minute ? ":" : gap, (int)(seconds % 60));
    return true;
}

/* ---- figures ---- */
/* As Excel's General: whole numbers whole, others with ten significant digits (a stored 0.1 + 0.2 is 0.3). */
static void put_general(double v, struct buf *out) {
    if (floor(v) == v && fabs(v) < 1e15)
        buf_printf(out, "%.0f", v == 0 ? 0.0 : v);
    else
        buf_printf(out, "%.10g", v);
}

struct figure {
    unsigned places, decimals, least; /* least: decimals that are always shown */
    bool group, exponent, fraction, general;
    double scale;
};

static bool is_place(char c) {
    return c == '0' || c == '#' || c == '?';
}

static void measure(struct slice s, struct figure *f) {
    *f = (struct figure){.scale = 1};
    const char *p = s.data, *end = s.data + s.len, *last = NULL;
    bool point = false;
    unsigned commas = 0;
    for (; p < end;) {
        size_t skip = enclosed(p, end);
        if (skip) {
            p += skip;
            continue;
        }
        if (!strncasecmp(p, "general", 7) && end - p >= 7) {
            f->general = true;
            p += 7;
            continue;
        }
        if (is_place(*p)) {
            if (commas && !point) f->group = true;
            commas = 0;
            if (point)
                f->decimals++, f->least = *p == '0' ? f->decimals : f->least;
            else
                f->places++;
            last = p;
        } else if (*p == ',' && last) {
            commas++; /* behind the last figure: thousands */
        } else if (*p == '.' && !point) {
            point = true;
        } else if (*p == '%') {
            f->scale *= 100;
        } else if ((*p == 'E' || *p == 'e') && p + 1 < end && (p[1] == '+' || p[1] == '-')) {
            f->exponent = true;
            break;
        } else if (*p == '/' && last) {
            f->fraction = true;
        }
        p++;
    }
    for (; commas && !f->exponent; commas--) f->scale /= 1000;
    if (f->decimals > MAX_DECIMALS) f->decimals = MAX_DECIMALS;
    if (f->least > f->decimals) f->least = f->decimals;
}

/* Writes what the literal, bracket or escape at *at shows and steps behind it; false where a token of another kind
 * stands. "[$€-407]" -> "€"; other brackets (colours, conditions) show nothing. */
static bool put_enclosed(const char **at, const char *end, struct buf *out) {
    const char *p = *at;
    size_t len = enclosed(p, end);
    if (!len) return false;
    if (*p == '"' && len >= 2) {
        buf_append(out, p + 1, len - (p[len - 1] == '"' ? 2 : 1));
    } else if (*p == '\\' && len == 2) {
        buf_append(out, p + 1, 1);
    } else if (*p == '_') {
        buf_puts(out, " ");
    } else if (*p == '[' && len > 2 && p[1] == '$') {
        const char *dash = memchr(p + 2, '-', len - 2);
        size_t n = dash ? (size_t)(dash - p) - 2 : len - 3;
        buf_append(out, p + 2, n);
        if (n == 3 && isalpha((unsigned char)p[2])) buf_puts(out, " "); /* "EUR" would stick to its figures */
    }
    *at += len;
    return true;
}

static void put_figure(struct slice s, const struct figure *f, double v, struct buf *out) {
    char digits[400];
    int n = snprintf(digits, sizeof digits, "%.*f", (int)f->decimals, v * f->scale);
    if (n < 0 || n >= (int)sizeof digits) {
        put_general(v, out);
        return;
    }
    char *point = strchr(digits, '.');
    size_t whole = point ? (size_t)(point - digits) : (size_t)n, decimals = point ? (size_t)n - whole - 1 : 0;
    while (decimals > f->least && point[decimals] == '0') decimals--;
    if (whole == 1 && digits[0] == '0') whole = 0; /* "#" shows no zero */
    unsigned place = 0;
    bool any = false, in_decimals = false;
    const char *p = s.data, *end = s.data + s.len;
    while (p < end) {
        if (put_enclosed(&p, end, out)) continue;
        if (is_place(*p) && !in_decimals) {
            unsigned right = f->places - 1 - place; /* places behind this one */
            for (size_t k = place ? right + 1 : whole > right + 1 ? whole : right + 1; k-- > right;) {
                if (k < whole)
                    buf_append(out, digits + (whole - 1 - k), 1);
                else if (*p == '0')
                    buf_puts(out, "0");
                else
                    continue;
                any = true;
                if (f->group && k > 0 && k % 3 == 0) buf_puts(out, ",");
            }
            place++;
        } else if (*p == '.' && !in_decimals) {
            in_decimals = true;
            if (!any && whole) buf_append(out, digits, whole); /* ".00" */
            if (!any && !whole && f->places == 0) buf_puts(out, "0");
            if (decimals) buf_printf(out, ".%.*s", (int)decimals, point + 1);
        } else if (*p != ',' && !is_place(*p)) {
            buf_append(out, p, 1);
        }
        p++;
    }
}

enum sheet_kind number_format(const char *code, double v, bool date1904, struct buf *out) {
    struct slice sections[MAX_SECTIONS];
    struct figure f;
    struct date_parts d;
    bool bare = false;
    if (!isfinite(v)) {
        buf_puts(out, "#NUM!");
        return SHEET_FIGURE;
    }
    struct slice s = choose(sections, split(code ? code : "General", sections), v, &bare);
    measure(s, &f);
    if (!f.general && date_parts(s, &d) && put_date(&d, v, date1904, out)) return SHEET_DATE;
    size_t before = out->len;
    if (f.fraction || (f.places == 0 && f.decimals == 0 && !f.general && !memchr(s.data, '"', s.len))) {
        put_general(v, out); /* text, fractions, dates outside the calendar */
        return SHEET_FIGURE;
    }
    if (bare) v = fabs(v);
    if (v < 0 && !f.general && !f.exponent) {
        struct buf text = {0};
        put_figure(s, &f, -v, &text);
        bool zero = true; /* "-0.00" is 0.00 */
        for (size_t i = 0; i < text.len; i++) zero = zero && !(text.data[i] >= '1' && text.data[i] <= '9');
        if (!zero) buf_puts(out, "-");
        buf_append(out, text.data, text.len);
        if (text.failed) out->failed = true;
        buf_free(&text);
    } else if (f.exponent) {
        buf_printf(out, "%.*E", (int)f.decimals, v);
    } else if (f.general) {
        const char *p = s.data, *end = s.data + s.len;
        while (p < end) {
            if (put_enclosed(&p, end, out)) continue;
            if (!strncasecmp(p, "general", 7)) {
                put_general(v, out);
                p += 7;
            } else {
                buf_append(out, p++, 1);
            }
        }
    } else {
        put_figure(s, &f, v, out);
    }
    if (out->len == before) put_general(v, out); /* "#" of zero shows an empty cell; its value is said */
    return SHEET_FIGURE;
}
