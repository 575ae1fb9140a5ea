/* detect_table.c: arithmetic: a total row against the rows above it, quantity times unit price against the amount, in a
 * row and in a sentence. Owns the reading of cells as numbers. Refuses tables it does not understand: a total that is
 * the sum of any block of rows right above it is right, and a table in which no other figure comes out is left alone.
 */
#include "engine/analysis/detect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 24
#define ROWS_MAX 400
#define FIGURES_MAX 3 /* totals of wider tables are accounts, often torn by their layout */

struct cell {
    struct ingest_span span;
    double value;
    bool number, blank;
    uint8_t decimals;
};
struct row {
    uint32_t statement;
    struct cell cells[COLUMNS_MAX];
    uint32_t n;
    bool total;
    bool torn; /* its label is the end of a longer one: "2022 and 2021, respectively)" */
};

/* A cell that is one number, with currency or percent sign around it; "(1,200)" is negative, a dash is nothing. */
static void read_cell(const char *t, struct cell *c) {
    uint32_t i = c->span.start, end = c->span.end;
    bool digits = false, negative = false, point = false, after = false;
    double v = 0, scale = 1;
    uint32_t letters = 0;
    c->blank = true;
    for (; i < end; i++) {
        unsigned char ch = (unsigned char)t[i];
        if (ch >= '0' && ch <= '9') {
            if (after) return; /* two numbers: a range, a date */
            digits = true;
            c->blank = false;
            if (point)
                v += (ch - '0') * (scale *= 0.1), c->decimals++;
            else
                v = v * 10 + (ch - '0');
        } else if (ch == ',' && digits && i + 3 < end && !point) {
            continue;
        } else if (ch == '.' && digits && !point && i + 1 < end && t[i + 1] >= '0' && t[i + 1] <= '9') {
            point = true;
        } else if (ch == '(' && !digits) {
            negative = true;
        } else if (ch == '-' && !digits) {
            negative = true;
        } else if (ch == '$' && digits) {
            return; /* the next column's sign: a torn table */
        } else if (ch == ' ' || ch == ')' || ch == '$' || ch == '%' || ch >= 0x80) {
            if (digits && ch != ')') after = after || ch == ' ';
        } else if ((ch | 32) >= 'a' && (ch | 32) <= 'z') {
            c->blank = false;
            letters++;
            if (digits) return;
        } else {
            c->blank = false;
            if (digits && ch != '*') return;
        }
    }
    if (memchr(t + c->span.start, '%', end - c->span.start)) return; /* shares are not added up */
    if (!digits || letters > 3) return;                              /* "USD 12" is a number, "Phase 2" is not */
    c->number = true;
    c->value = negative ? -v : v;
}

static bool has_word(struct slice t, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= t.len; i++)
        if (slice_equal_nocase((struct slice){t.data + i, n}, (struct slice){word, n}) &&
            (i == 0 || !(((unsigned char)t.data[i - 1] | 32) >= 'a' && ((unsigned char)t.data[i - 1] | 32) <= 'z')))
            return true;
    return false;
}

static void split(const struct ingest_document *d, struct ingest_span span, struct row *r) {
    const char *t = d->text.data;
    uint32_t from = span.start;
    r->n = 0;
    for (uint32_t i = span.start; i <= span.end && r->n < COLUMNS_MAX; i++) {
        if (i < span.end && t[i] != '|') continue;
        uint32_t a = from, b = i;
        while (a < b && (t[a] == ' ' || t[a] == '\n')) a++;
        while (b > a && (t[b - 1] == ' ' || t[b - 1] == '\n')) b--;
        r->cells[r->n] = (struct cell){.span = {a, b}};
        read_cell(t, &r->cells[r->n]);
        r->n++;
        from = i + 1;
    }
    r->total = r->torn = false;
    if (r->n && !r->cells[0].number) {
        struct slice label = ingest_text(d, r->cells[0].span);
        uint32_t words = 1;
        int depth = 0;
        for (size_t i = 0; i < label.len; i++) {
            words += label.data[i] == ' ';
            depth += label.data[i] == '(' ? 1 : label.data[i] == ')' ? -1 : 0;
            r->torn |= depth < 0 && (i == 0 || i > 3); /* "a) Rent" is a number */
        }
        r->total = words <= 4 && (has_word(label, "total") || has_word(label, "sum") || has_word(label, "subtotal"));
    }
}

static double step_of(const struct cell *c) {
    double s = 1;
    for (uint8_t i = 0; i < c->decimals; i++) s *= 0.1;
    return s;
}

static void put(struct buf *b, double v, uint8_t decimals) {
    char digits[64];
    int n = snprintf(digits, sizeof digits, "%.*f", decimals, v < 0 ? -v : v);
    size_t whole = strcspn(digits, ".");
    if (v < 0) buf_puts(b, "-");
    for (int i = 0; i < n; i++) {
        if (i && (size_t)i < whole && (whole - (size_t)i) % 3 == 0) buf_puts(b, ",");
        buf_append(b, digits + i, 1);
    }
}

static int report(struct detect_set *s, uint32_t doc, const struct row *a, const struct cell *ca, const struct row *b,
                  const struct cell *cb, struct buf *why) {
    struct analysis_pair p = {
        .class = ANALYSIS_TOTAL, .status = ANALYSIS_CONTRADICTION, .sameness = 0.95f, .decided = true};
    p.a = (struct analysis_side){doc, a->statement, ca->span, INGEST_NONE};
    p.b = (struct analysis_side){doc, b->statement, cb->span, INGEST_NONE};
    struct slice name = s->docs[doc]->name;
    for (size_t i = name.len; i > 0; i--)
        if (name.data[i - 1] == '/') {
            name = (struct slice){name.data + i, name.len - i};
            break;
        }
    buf_printf(why, " (%.*s)", (int)name.len, name.data);
    p.why = arena_slice(s->out, buf_slice(why));
    buf_free(why);
    if (!p.why.len) return ERR_NOMEM;
    bool drop;
    p.status = precedence_status(s, s->first_unit[doc] + a->statement, ca->span, s->first_unit[doc] + b->statement,
                                 cb->span, &p.by, &drop);
    return detect_add(s, p);
}

/* Column totals. Returns the number of totals that came out right, so that a table of misread cells is recognised. */
static int check_sums(struct detect_set *s, uint32_t doc, struct row *rows, uint32_t n) {
    for (uint32_t pass = 0, right = 0, wrong = 0; pass < 2; pass++) {
        if (pass == 1 && (wrong == 0 || wrong > 2 || wrong > right + 1)) return 0;
        for (uint32_t r = 2; r < n; r++) {
            if (!rows[r].total) continue;
            uint32_t figures = 0;
            for (uint32_t c = 1; c < rows[r].n; c++) figures += rows[r].cells[c].number;
            if (figures > FIGURES_MAX) continue;
            for (uint32_t c = 1; c < rows[r].n; c++) {
                if (!rows[r].cells[c].number) continue;
                double sum = 0, all = 0, totals = 0, largest = 0;
                uint32_t items = 0, first = r;
                bool match = false, stop = false, negative = false, torn = false;
                double step = step_of(&rows[r].cells[c]);
                for (uint32_t k = r; k-- > 0 && !stop;) {
                    if (rows[k].n != rows[r].n || c >= rows[k].n ||
                        (!rows[k].cells[c].number && !rows[k].cells[c].blank))
                        break;
                    if (rows[k].total) {
                        totals += rows[k].cells[c].value;
                        if (items == 0) stop = true; /* total under total: a grand total over blocks */
                        if (fabs(totals - rows[r].cells[c].value) <= step * 1.01) match = true;
                        sum += rows[k].cells[c].value; /* carried forward */
                    } else {
                        if (rows[k].cells[c].number) items++, first = k;
                        negative |= rows[k].cells[c].value < 0;
                        torn |= rows[k].torn;
                        largest = fmax(largest, rows[k].cells[c].value);
                        sum += rows[k].cells[c].value;
                        all += rows[k].cells[c].value;
                    }
                    double tolerance = step * (0.01 + (items > 2 ? 0.5 * items : 0.5) * (step < 1 ? 1 : 0));
                    if (items >= 1 && (fabs(sum - rows[r].cells[c].value) <= tolerance ||
                                       fabs(all - rows[r].cells[c].value) <= tolerance))
                        match = true;
                }
                if (items < 2) continue;
                if (match) {
                    right += pass == 0;
                    continue;
                }
                if (totals != 0) continue; /* blocks with subtotals that do not come out: not understood */
                if (pass == 0) {
                    wrong++;
                    continue;
                }
                /* far off, or less than one of its parts, is a column that is not summed (averages, prices) */
                if (torn || (!negative && rows[r].cells[c].value < largest)) continue;
                if (fabs(all) < 1e-9 || fabs(rows[r].cells[c].value / all - 1) > 0.4) continue;
                struct buf why = {0};
                buf_printf(&why, "%u rows add up to ", items);
                put(&why, all, rows[r].cells[c].decimals);
                buf_puts(&why, ", the total row says ");
                put(&why, rows[r].cells[c].value, rows[r].cells[c].decimals);
                buf_puts(&why, ": difference ");
                put(&why, fabs(all - rows[r].cells[c].value), rows[r].cells[c].decimals);
                if (report(s, doc, &rows[first], &rows[first].cells[c], &rows[r], &rows[r].cells[c], &why))
                    return ERR_NOMEM;
            }
        }
    }
    return 0;
}

static int check_products(struct detect_set *s, uint32_t doc, struct row *rows, uint32_t n, struct ingest_span header) {
    struct row head = {0};
    if (header.end <= header.start) return 0;
    split(s->docs[doc], header, &head);
    uint32_t q = COLUMNS_MAX, p = COLUMNS_MAX, m = COLUMNS_MAX;
    for (uint32_t c = 0; c < head.n; c++) {
        struct slice t = ingest_text(s->docs[doc], head.cells[c].span);
        if (q == COLUMNS_MAX && (has_word(t, "quantity") || has_word(t, "qty") || has_word(t, "units") ||
                                 has_word(t, "pieces") || has_word(t, "hours") || has_word(t, "days")))
            q = c;
        else if (p == COLUMNS_MAX && (has_word(t, "unit price") || has_word(t, "price") || has_word(t, "rate")))
            p = c;
        else if (q < COLUMNS_MAX && p < COLUMNS_MAX && m == COLUMNS_MAX &&
                 (has_word(t, "amount") || has_word(t, "total") || has_word(t, "value") || has_word(t, "price") ||
                  has_word(t, "sum") || has_word(t, "cost")))
            m = c;
    }
    if (m == COLUMNS_MAX) return 0;
    uint32_t right = 0;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t r = 0; r < n; r++) {
            if (rows[r].total || m >= rows[r].n || q >= rows[r].n || p >= rows[r].n) continue;
            const struct cell *x = &rows[r].cells[q], *y = &rows[r].cells[p], *z = &rows[r].cells[m];
            if (!x->number || !y->number || !z->number) continue;
            double product = x->value * y->value;
            bool ok = fabs(product - z->value) <= step_of(z) * 0.51 + 1e-9;
            if (pass == 0)
                right += ok;
            else if (!ok && right >= 1) {
                struct buf why = {0};
                put(&why, x->value, x->decimals);
                buf_puts(&why, " times ");
                put(&why, y->value, y->decimals);
                buf_puts(&why, " is ");
                put(&why, product, z->decimals);
                buf_puts(&why, ", the row says ");
                put(&why, z->value, z->decimals);
                if (report(s, doc, &rows[r], y, &rows[r], z, &why)) return ERR_NOMEM;
            }
        }
    return 0;
}

/* "25,000 shares at GBP 48 per share, a total of GBP 1,200,000": one count, one price of one, one total. */
static int check_sentence(struct detect_set *s, uint32_t unit) {
    const struct subject_statement *u = &s->units[unit];
    const struct ingest_document *d = s->docs[u->doc];
    const struct ingest_fact *count = NULL, *price = NULL, *total = NULL;
    uint32_t amounts = 0;
    for (uint32_t k = u->first_fact; k < u->first_fact + u->n_facts; k++) {
        const struct ingest_fact *f = &d->facts[k];
        if (f->kind == INGEST_PERCENTAGE || isfinite(f->value2) || f->bound != INGEST_EXACT) return 0; /* "less 5 %" */
        if (f->kind == INGEST_NUMBER) {
            if (count) return 0;
            count = f;
        } else if (f->kind == INGEST_TOTAL) {
            if (total) return 0;
            total = f;
        } else if (f->kind == INGEST_AMOUNT) {
            struct slice basis = ingest_text(d, f->object);
            amounts++;
            if (slice_starts_with(basis, slice_of("per ")) || slice_starts_with(basis, slice_of("each"))) price = f;
        }
    }
    if (!count || !price || !total || amounts != 2 || !count->unit.len || !(count->value > 1)) return 0;
    struct slice basis = ingest_text(d, price->object);
    bool same = slice_starts_with(basis, slice_of("each"));
    for (size_t i = 0; i + count->unit.len <= basis.len && !same; i++)
        same = slice_equal_nocase((struct slice){basis.data + i, count->unit.len}, count->unit);
    double product = count->value * price->value;
    if (!same || fabs(product - total->value) <= 0.005 * product) return 0;
    struct cell x = {.span = price->span}, y = {.span = total->span};
    struct row r = {.statement = u->statement};
    struct buf why = {0};
    put(&why, count->value, 0);
    buf_puts(&why, " times ");
    put(&why, price->value, price->value == floor(price->value) ? 0 : 2);
    buf_puts(&why, " is ");
    put(&why, product, product == floor(product) ? 0 : 2);
    buf_puts(&why, ", the sentence says ");
    put(&why, total->value, total->value == floor(total->value) ? 0 : 2);
    return report(s, u->doc, &r, &x, &r, &y, &why);
}

int detect_tables(struct detect_set *s) {
    struct row *rows = malloc(ROWS_MAX * sizeof *rows);
    if (!rows) return error_set(s->error, ERR_NOMEM, "", "out of memory");
    int rc = 0;
    for (uint32_t doc = 0; doc < s->n_docs && !rc; doc++) {
        const struct ingest_document *d = s->docs[doc];
        for (uint32_t i = 0; i < d->n_statements && !rc;) {
            uint32_t table = d->statements[i].table, n = 0;
            if (d->statements[i].kind != INGEST_TABLE_ROW || table == INGEST_NONE) {
                i++;
                continue;
            }
            struct ingest_span header = d->statements[i].lead_in;
            for (; i < d->n_statements && d->statements[i].kind == INGEST_TABLE_ROW && d->statements[i].table == table;
                 i++)
                if (n < ROWS_MAX) {
                    rows[n].statement = i;
                    split(d, d->statements[i].span, &rows[n]);
                    n++;
                }
            if (n < ROWS_MAX) rc = check_sums(s, doc, rows, n);
            if (!rc && n < ROWS_MAX) rc = check_products(s, doc, rows, n, header);
        }
    }
    free(rows);
    for (uint32_t i = 0; i < s->n_units && !rc; i++)
        if (unit_statement(s, &s->units[i])->kind != INGEST_TABLE_ROW) rc = check_sentence(s, i);
    return rc ? error_set(s->error, ERR_NOMEM, "", "out of memory") : 0;
}
