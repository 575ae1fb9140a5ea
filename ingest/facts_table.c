/* facts_table.c: rows of tables: a value a cell, named by the row's label and the column's header.
 *
 * A cell's fact: subject = the row's first cell with words, object = the column's header cell. A bare figure in a cell
 * becomes money when the header, the caption or the row says a currency ("USD", "$", "€ m"), a percentage when the
 * header says %, else a number; "(1,234)" alone in a cell is negative; "in thousands", "(000s)", "$m" in caption or
 * header scale the figures of the table that carry no scale themselves. A row labelled total, subtotal or sum gives
 * INGEST_TOTAL facts beside the values. Columns come from the readers' cells; in plain text from the bars. */
#include "ingest/facts.h"

#include <math.h>
#include <string.h>

enum { CELLS = 64, CAPTION_STATEMENTS = 3, CAPTION_BYTES = 400 };

struct cell {
    struct ingest_span span;
    uint32_t column, n_columns;
    bool remark; /* says no value */
};

/* Index of the first block at or behind `at`. */
static size_t block_at(const struct ingest_document *d, uint32_t at) {
    size_t lo = 0, hi = d->n_blocks;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (d->blocks[mid].span.end <= at && d->blocks[mid].span.start < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static size_t cells_of(const struct ingest_document *d, struct ingest_span span, struct cell *out) {
    size_t n = 0;
    if (d->n_blocks) {
        for (size_t i = block_at(d, span.start); i < d->n_blocks && d->blocks[i].span.start < span.end && n < CELLS;
             i++) {
            const struct ingest_block *b = &d->blocks[i];
            if (b->kind != INGEST_BLOCK_CELL || b->span.end <= b->span.start) continue;
            out[n++] =
                (struct cell){b->span, b->column, b->n_columns ? b->n_columns : 1, b->flags & INGEST_BLOCK_REMARK};
        }
        if (n) return n;
    }
    const char *t = d->text.data;
    uint32_t start = span.start, column = 0;
    for (uint32_t i = span.start; i <= span.end && n < CELLS; i++) {
        if (i < span.end && t[i] != '|') continue;
        struct slice s = slice_trim((struct slice){t + start, i - start});
        bool edge = s.len == 0 && (start == span.start || i == span.end); /* bars around the row */
        if (s.len)
            out[n++] =
                (struct cell){{(uint32_t)(s.data - t), (uint32_t)(s.data - t) + (uint32_t)s.len}, column, 1, false};
        if (!edge) column++;
        start = i + 1;
    }
    return n;
}

static bool contains(struct slice s, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.len; i++)
        if (strncasecmp(s.data + i, word, n) == 0) return true;
    return false;
}

/* Scale and currency that words above a table or in a header give its figures. */
static void read_context(const struct facts *f, struct slice s, struct table_context *t) {
    static const struct {
        const char *word;
        double scale;
    } scales[] = {{"in thousands", 1e3}, {"in millions", 1e6}, {"in billions", 1e9}, {"thousands of", 1e3},
                  {"millions of", 1e6},  {"(000)", 1e3},       {"000s", 1e3},        {"'000", 1e3},
                  {"’000", 1e3},         {"(thousands", 1e3},  {"(millions", 1e6},   {"$ million", 1e6},
                  {"€ million", 1e6},    {"eur million", 1e6}, {"usd million", 1e6}, {"£ million", 1e6},
                  {"gbp million", 1e6},  {"€m", 1e6},          {"$m", 1e6},          {"£m", 1e6},
                  {"eur m", 1e6},        {"usd m", 1e6},       {"$ bn", 1e9},        {"$bn", 1e9}};
    static const struct {
        const char *word, *iso;
    } money[] = {{"€", "EUR"},         {"£", "GBP"},    {"¥", "JPY"},           {"us$", "USD"},
                 {"usd", "USD"},       {"eur ", "EUR"}, {"(eur", "EUR"},        {"euro", "EUR"},
                 {"gbp", "GBP"},       {"chf", "CHF"},  {"(in dollars", "USD"}, {"u.s. dollars", "USD"},
                 {"cad", "CAD"},       {"aud", "AUD"},  {"sek", "SEK"},         {"nok", "NOK"},
                 {"dkk", "DKK"},       {"inr", "INR"},  {"jpy", "JPY"},         {"of dollars", "USD"},
                 {"dollars in", "USD"}};
    for (size_t i = 0; i < sizeof scales / sizeof *scales && t->scale == 1; i++)
        if (contains(s, scales[i].word)) t->scale = scales[i].scale;
    for (size_t i = 0; i < sizeof money / sizeof *money && !t->currency; i++)
        if (contains(s, money[i].word)) {
            if (strncmp(money[i].word, "cad", 3) == 0 && !contains(s, "CAD ")) continue;
            t->currency = money[i].iso;
        }
    if (slice_equal_nocase(s, SLICE_LITERAL("eur"))) t->currency = "EUR";
    if (!t->currency && memchr(s.data, '$', s.len)) t->currency = f->dollar;
    if (memchr(s.data, '%', s.len) || contains(s, "percent")) t->percent = true;
}

/* The paragraphs right above the table that may be its caption. */
static void read_caption(const struct facts *f, struct table_context *t) {
    const struct ingest_document *d = f->d;
    uint32_t first = f->statement;
    while (first > 0 && d->statements[first - 1].kind == INGEST_TABLE_ROW &&
           d->statements[first - 1].table == f->s->table)
        first--;
    for (uint32_t k = first; k-- > 0 && first - k <= CAPTION_STATEMENTS;) {
        const struct ingest_statement *s = &d->statements[k];
        if (s->kind == INGEST_TABLE_ROW) break;
        struct slice text = ingest_text(d, s->span);
        if (text.len > CAPTION_BYTES) break;
        /* prose with an amount of its own is no caption: only words that scale or name the currency of all figures */
        static const char *const words[] = {
            "in thousands", "in millions", "in billions", "in usd",          "in eur",       "in gbp",
            "in chf",       "in euro",     "in dollars",  "in u.s. dollars", "(000",         "amounts in",
            "prices in",    "all amounts", "all prices",  "all figures",     "thousands of", "millions of"};
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            if (contains(text, words[w])) {
                struct table_context c = {.scale = 1};
                read_context(f, text, &c);
                if (t->scale == 1) t->scale = c.scale;
                if (!t->currency) t->currency = c.currency;
                break;
            }
    }
}

/* A unit that a header or a label gives its figures: "Torque (Nm)", "Mass [kg]", "Operating time (h)", "Days". */
static bool named_unit(const struct ingest_document *d, struct ingest_span name, struct ingest_fact *t,
                       struct error *e) {
    struct lex x = {0};
    bool found = false;
    if (!lex_append(&x, d->text.data, name.start, name.end, e))
        for (size_t i = 0; i < x.n; i++) {
            bool alone = x.n == 1 && lex_has(&x, i, LEX_C_TIME) && x.tokens[i].len > 1;
            bool enclosed = i > 0 && ((lex_mark(&x, i - 1, '(') && lex_mark(&x, i + 1, ')')) ||
                                      (lex_mark(&x, i - 1, '[') && lex_mark(&x, i + 1, ']')));
            if (!alone && !enclosed) continue;
            const char *word = x.low + x.tokens[i].low;
            const char *time = vocabulary_time(word, x.tokens[i].len);
            struct slice unit = vocabulary_unit(word, x.tokens[i].len);
            if (time)
                t->unit = slice_of(time), t->kind = INGEST_PERIOD;
            else if (unit.len)
                t->unit = unit;
            found = time || unit.len;
        }
    lex_free(&x);
    return found;
}

static const struct cell *header_of(const struct cell *headers, size_t n, const struct cell *c) {
    const struct cell *best = NULL;
    for (size_t i = 0; i < n; i++)
        if (headers[i].column <= c->column && c->column < headers[i].column + headers[i].n_columns)
            best = &headers[i]; /* the lowest header row wins */
    return best;
}

static bool has_letter(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if ((s.data[i] | 32) >= 'a' && (s.data[i] | 32) <= 'z') return true;
    return false;
}

static bool is_total(struct slice s) {
    static const char *const words[] = {"total", "subtotal", "sub-total", "sum", "grand total"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if (s.len >= n && strncasecmp(s.data, words[i], n) == 0 &&
            (s.len == n || !((s.data[n] | 32) >= 'a' && (s.data[n] | 32) <= 'z')))
            return true;
        if (s.len > n && strncasecmp(s.data + s.len - n, words[i], n) == 0 && s.data[s.len - n - 1] == ' ') return true;
    }
    return false;
}

static int add_value(struct facts *f, struct value *v, struct ingest_span label, struct ingest_span header, bool total,
                     struct error *e) {
    facts_bound(f, v);
    v->fact.span = facts_span(f, v->first, v->end);
    v->fact.subject = label;
    v->fact.object = header;
    int rc = facts_add(f, &v->fact, e);
    if (!rc && total &&
        (v->fact.kind == INGEST_AMOUNT || v->fact.kind == INGEST_NUMBER || v->fact.kind == INGEST_PERCENTAGE)) {
        v->fact.kind = INGEST_TOTAL;
        rc = facts_add(f, &v->fact, e);
    }
    return rc;
}

/* A row that tells of cells (a sheet's formulas) and says nothing itself. */
static bool remark(const struct cell *cells, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!cells[i].remark) return false;
    return n > 0;
}

int facts_table_row(struct facts *f, struct error *e) {
    struct ingest_document *d = f->d;
    struct lex *x = &f->lex;
    struct cell cells[CELLS], headers[CELLS];
    size_t n = cells_of(d, f->s->span, cells), n_headers = 0;
    int rc = 0;
    struct table_context table = {.scale = 1};
    if (f->s->lead_in.end > f->s->lead_in.start) n_headers = cells_of(d, f->s->lead_in, headers);
    for (size_t i = 0; i < n_headers; i++) {
        struct table_context c = {.scale = 1};
        read_context(f, ingest_text(d, headers[i].span), &c);
        if (c.scale != 1 && headers[i].column == 0) table.scale = c.scale; /* a stub head speaks for the table */
        if (headers[i].column == 0 && c.currency) table.currency = c.currency;
    }
    if (f->caption_of != f->s->table) {
        f->caption = (struct table_context){.scale = 1};
        f->caption_of = f->s->table;
        f->money_columns = 0;
        read_caption(f, &f->caption);
    }
    if (table.scale == 1) table.scale = f->caption.scale;
    if (!table.currency) table.currency = f->caption.currency;
    struct ingest_span label = {0, 0};
    for (size_t i = 0; i < n && label.end == label.start; i++)
        if (has_letter(ingest_text(d, cells[i].span)) && ingest_text(d, cells[i].span).len <= 200)
            label = cells[i].span;
    if (label.end == label.start && n && n_headers == 0) label = cells[0].span;
    bool total = is_total(ingest_text(d, label));
    bool heading_row = n_headers == 0 && f->statement + 1 < d->n_statements &&
                       d->statements[f->statement + 1].lead_in.start == f->s->span.start &&
                       d->statements[f->statement + 1].lead_in.end > f->s->span.start;
    if (heading_row || remark(cells, n)) return 0;

    for (size_t i = 0; i < n; i++) {
        struct slice text = ingest_text(d, cells[i].span);
        const struct cell *h = header_of(headers, n_headers, &cells[i]);
        struct ingest_span header = h                         ? h->span
                                    : label.start < label.end ? (struct ingest_span){label.start, label.start}
                                                              : f->s->span;
        if (!h) header.end = header.start;
        struct table_context here = {.scale = 1};
        if (h) read_context(f, ingest_text(d, h->span), &here);
        if (here.scale == 1) here.scale = table.scale;
        if (!here.currency) here.currency = table.currency;
        uint64_t column = cells[i].column < 64 ? (uint64_t)1 << cells[i].column : 0;
        /* accounts put the sign on the first figure of a column and on its total only */
        if (!here.currency && (f->money_columns & column) && !contains(ingest_text(d, label), "number") &&
            !contains(ingest_text(d, label), "shares"))
            here.currency = f->money_currency;
        if (contains(ingest_text(d, label), "per share")) here.scale = 1;
        /* tokens of this cell */
        size_t first = f->first;
        while (first < x->n && x->tokens[first].start < cells[i].span.start) first++;
        size_t end = first;
        while (end < x->n && x->tokens[end].start < cells[i].span.end) end++;
        if (first == end || cells[i].remark) continue;
        bool is_label = cells[i].span.start == label.start && cells[i].span.end == label.end;
        bool sentence = text.len > 80 && has_letter(text);
        /* "(1,234)" and "-" and "$ (5)" */
        size_t a = first, b = end;
        bool negative = lex_mark(x, a, '(') && lex_mark(x, b - 1, ')') && b - a <= 5;
        if (negative) a++, b--;
        for (size_t k = a; k < b && !rc;) {
            struct value v = {.first = k, .end = k};
            size_t used = facts_reference_read(f, k, e, &rc);
            if (rc) break;
            if (used) {
                k += used;
                continue;
            }
            if (!f->claimed[k] &&
                (facts_frequency_read(f, k, &v) || facts_date_read(f, k, &v) || facts_money_read(f, k, &v) ||
                 facts_percentage_read(f, k, &v) || facts_period_read(f, k, &v))) {
                if (v.end > b) v.end = b;
                if (negative && v.fact.kind != INGEST_DATE && v.fact.kind != INGEST_PERIOD)
                    v.fact.value = -v.fact.value;
                if (v.fact.kind == INGEST_AMOUNT && x->tokens[v.first].kind == LEX_MARK)
                    f->money_columns |= column, f->money_currency = v.fact.unit.data;
                if (v.fact.kind == INGEST_AMOUNT &&
                    here.scale != 1) { /* "$ 1,025" in a table in thousands; not "$1.2 million" */
                    bool scaled = false;
                    for (size_t q = v.first; q < v.end; q++)
                        scaled |= lex_has(x, q, LEX_C_SCALE) || lex_in(x, q, "m bn k");
                    if (!scaled) v.fact.value *= here.scale, v.fact.value2 *= here.scale;
                }
                size_t own_end = v.end;
                if (is_label && v.fact.kind != INGEST_DATE) { /* "Extra support (24 hours)": part of the label */
                    k = v.end;
                    continue;
                }
                struct ingest_span what = label;
                if (is_label) what.end = what.start;
                if ((rc = add_value(f, &v, what, header, total, e))) return rc;
                k = v.end > own_end ? v.end : own_end;
                continue;
            }
            size_t skip = f->claimed[k] ? 1 : facts_nonvalue(f, k);
            if (skip) {
                k += skip;
                continue;
            }
            if (!is_label && facts_quantity_read(f, k, &v)) {
                if (v.end > b) v.end = b;
                /* a bare figure is what its column is */
                bool bare = v.fact.unit.len == 0 && v.first == a && v.end == b;
                if (bare && here.percent && !here.currency) {
                    v.fact.kind = INGEST_PERCENTAGE;
                    v.fact.unit = slice_of("%");
                } else if (bare && here.currency &&
                           !(h && (contains(ingest_text(d, h->span), "qty") ||
                                   contains(ingest_text(d, h->span), "quantity") ||
                                   contains(ingest_text(d, h->span), "units")))) {
                    v.fact.kind = INGEST_AMOUNT;
                    v.fact.unit = slice_of(here.currency);
                    v.fact.value *= here.scale;
                } else if (bare) {
                    v.fact.value *= here.scale;
                    if (!h || !named_unit(d, h->span, &v.fact, e)) named_unit(d, label, &v.fact, e);
                }
                if (negative) v.fact.value = -v.fact.value;
                bool in_text = !bare && v.fact.unit.len == 0 && sentence;
                if (!in_text && (rc = add_value(f, &v, label, header, total, e))) return rc;
                k = v.end > k ? v.end : k + 1;
                continue;
            }
            k++;
        }
        if (rc) return rc;
    }
    return facts_modality(f, e);
}
