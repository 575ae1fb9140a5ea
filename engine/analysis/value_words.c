/* value_words.c: a conflict of two values in one line for a person: both values, where they stand, what lies between
 * them. */
#include "engine/analysis/value.h"

#include <stdio.h>
#include <string.h>

static void put_number(struct buf *b, double v) {
    char digits[64];
    bool whole = fabs(v - round(v)) < 1e-9 * fmax(1, fabs(v));
    if (whole)
        snprintf(digits, sizeof digits, "%.0f", fabs(v));
    else
        snprintf(digits, sizeof digits, "%.6g", fabs(v));
    if (!whole && fabs(v) >= 1e5) snprintf(digits, sizeof digits, "%.2f", fabs(v));
    if (v < 0) buf_puts(b, "-");
    size_t n = strcspn(digits, ".");
    for (size_t i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0 && n > 3) buf_puts(b, ",");
        buf_append(b, digits + i, 1);
    }
    buf_puts(b, digits + n);
}

const char *const value_months[] = {"",     "January", "February",  "March",   "April",    "May",     "June",
                                    "July", "August",  "September", "October", "November", "December"};

static void put_value(struct buf *b, const struct detect_set *s, const struct frame *fr) {
    const struct ingest_fact *f = value_fact(s, fr);
    static const char *const bounds[] = {"", "at most ", "at least ", "more than ", "less than ", "about "};
    if (f->bound < sizeof bounds / sizeof *bounds && f->kind != INGEST_DATE) buf_puts(b, bounds[f->bound]);
    switch (f->kind) {
    case INGEST_DATE:
        if (f->day) buf_printf(b, "%d ", f->day);
        if (f->month >= 1 && f->month <= 12) buf_printf(b, "%s", value_months[f->month]);
        if (f->year) buf_printf(b, " %d", f->year);
        return;
    case INGEST_AMOUNT:
        buf_printf(b, "%.*s ", (int)f->unit.len, f->unit.data);
        break;
    default:
        break;
    }
    put_number(b, f->value);
    if (!isnan(f->value2) && f->value2 > f->value) buf_puts(b, " to "), put_number(b, f->value2);
    if (f->kind == INGEST_PERCENTAGE) buf_puts(b, " %");
    struct slice unit_name = fr->unit_name;
    if (fr->class == ANALYSIS_QUANTITY && unit_name.len) buf_printf(b, " %.*s", (int)unit_name.len, unit_name.data);
    if (fr->class == ANALYSIS_PERIOD)
        buf_printf(b, " %s%.*s%s", f->flags & INGEST_BUSINESS ? "business " : "", (int)unit_name.len, unit_name.data,
                   f->value == 1 ? "" : "s");
    if (fr->per_days > 0 && f->kind != INGEST_PERIOD)
        buf_printf(b, " per %s",
                   fr->per_days < 0.5   ? "hour"
                   : fr->per_days < 2   ? "day"
                   : fr->per_days < 10  ? "week"
                   : fr->per_days < 40  ? "month"
                   : fr->per_days < 100 ? "quarter"
                                        : "year");
}

static void put_place(struct buf *b, const struct detect_set *s, const struct frame *fr) {
    const struct subject_statement *u = &s->units[fr->unit];
    const struct ingest_document *d = s->docs[u->doc];
    const struct ingest_statement *st = unit_statement(s, u);
    struct slice path = st->section < d->n_sections ? d->sections[st->section].path : (struct slice){0}, name = d->name;
    for (size_t i = name.len; i > 0; i--)
        if (name.data[i - 1] == '/') {
            name = (struct slice){name.data + i, name.len - i};
            break;
        }
    if (path.len && path.len < 60)
        buf_printf(b, " (%.*s, %.*s)", (int)path.len, path.data, (int)name.len, name.data);
    else
        buf_printf(b, " (%.*s)", (int)name.len, name.data);
}

struct slice value_explain(struct detect_set *s, const struct frame *a, const struct frame *b) {
    struct buf out = {0};
    put_value(&out, s, a);
    put_place(&out, s, a);
    buf_puts(&out, " against ");
    put_value(&out, s, b);
    put_place(&out, s, b);
    double v[4];
    value_measure(a, b, v);
    const struct ingest_fact *fa = value_fact(s, a), *fb = value_fact(s, b);
    if (a->class == ANALYSIS_DATE) {
        if (fa->day && fb->day) {
            double diff = fabs(v[0] - v[2]);
            buf_printf(&out, ": %.0f day%s apart", diff, diff == 1 ? "" : "s");
        }
    } else if (a->class == ANALYSIS_PERIOD) {
        if (slice_equal(a->unit_name, b->unit_name) && (fa->flags & INGEST_BUSINESS) == (fb->flags & INGEST_BUSINESS)) {
            buf_puts(&out, ": difference ");
            put_number(&out, fabs(fa->value - fb->value));
            buf_printf(&out, " %.*s%s", (int)a->unit_name.len, a->unit_name.data,
                       fabs(fa->value - fb->value) == 1 ? "" : "s");
        }
    } else if (a->per_days > 0 && b->per_days > 0 && a->per_days != b->per_days) {
        buf_puts(&out, ": per year ");
        put_number(&out, round(a->low / a->per_days * 365.25 * 100) / 100);
        buf_puts(&out, " against ");
        put_number(&out, round(b->low / b->per_days * 365.25 * 100) / 100);
    } else {
        buf_puts(&out, ": difference ");
        if (a->class == ANALYSIS_AMOUNT) buf_printf(&out, "%.*s ", (int)a->unit_name.len, a->unit_name.data);
        if (a->class == ANALYSIS_QUANTITY && !slice_equal(a->unit_name, b->unit_name)) {
            buf_printf(&out, "%.2f %%", fabs(v[0] - v[2]) / fmax(fabs(v[0]), fabs(v[2])) * 100);
        } else {
            put_number(&out, round(fabs(fa->value - fb->value) * 1e6) / 1e6);
            if (a->class == ANALYSIS_PERCENTAGE) buf_puts(&out, " percentage points");
            if (a->class == ANALYSIS_QUANTITY) buf_printf(&out, " %.*s", (int)a->unit_name.len, a->unit_name.data);
        }
    }
    struct slice r = arena_slice(s->out, buf_slice(&out));
    buf_free(&out);
    return r;
}
