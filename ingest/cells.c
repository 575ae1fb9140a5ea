/* cells.c: places in a spreadsheet, as people write them: "B17", "A2:F9", "'Q1 2024'!B17". A spreadsheet's words are
 * its cells; their boxes count columns and rows (ingest.h). */
#include "ingest/sheet.h"

#include <ctype.h>
#include <string.h>

void sheet_column_name(uint32_t column, char out[8]) {
    char back[8];
    size_t n = 0, k = 0;
    for (uint64_t c = (uint64_t)column + 1; c && n < 7; c = (c - 1) / 26) back[n++] = (char)('A' + (c - 1) % 26);
    while (n) out[k++] = back[--n];
    out[k] = 0;
}

size_t sheet_reference(const char *s, uint32_t *row, uint32_t *column) {
    size_t i = 0, letters = 0, digits = 0;
    uint32_t r = 0, c = 0;
    if (s[i] == '$') i++;
    for (; letters < 3 && isalpha((unsigned char)s[i]); i++, letters++)
        c = c * 26 + (uint32_t)(toupper((unsigned char)s[i]) - 'A' + 1);
    if (letters && s[i] == '$') i++;
    for (; digits < 7 && isdigit((unsigned char)s[i]); i++, digits++) r = r * 10 + (uint32_t)(s[i] - '0');
    if (!letters || !r || c > SHEET_MAX_COLUMNS || r > SHEET_MAX_ROWS) return 0;
    *row = r - 1, *column = c - 1;
    return i;
}

bool ingest_cells_at(const struct ingest_document *d, struct ingest_span span, struct ingest_cells *out) {
    if (d->format != INGEST_XLSX && d->format != INGEST_CSV) return false;
    size_t lo = ingest_word_at(d, span.start);
    if (lo == d->n_words || d->words[lo].span.start >= span.end) return false;
    uint32_t page = d->words[lo].page;
    *out = (struct ingest_cells){UINT32_MAX, UINT32_MAX, 0, 0};
    for (; lo < d->n_words && d->words[lo].span.start < span.end && d->words[lo].page == page; lo++) {
        const struct ingest_word *w = &d->words[lo];
        uint32_t row = (uint32_t)w->y0, column = (uint32_t)w->x0;
        uint32_t row_end = (uint32_t)w->y1, column_end = (uint32_t)w->x1;
        if (row < out->row) out->row = row;
        if (column < out->column) out->column = column;
        if (row_end > out->row_end) out->row_end = row_end;
        if (column_end > out->column_end) out->column_end = column_end;
    }
    return true;
}

void ingest_cells_name(struct buf *out, const struct ingest_cells *c) {
    char column[8];
    sheet_column_name(c->column, column);
    buf_printf(out, "%s%u", column, c->row + 1);
    if (c->row_end <= c->row + 1 && c->column_end <= c->column + 1) return;
    sheet_column_name(c->column_end ? c->column_end - 1 : 0, column);
    buf_printf(out, ":%s%u", column, c->row_end);
}

/* A name that could be taken for something else stands in quotes: 'Q1 2024'!B17, 'A1'!B2. */
static bool plain(struct slice sheet) {
    uint32_t row, column;
    char name[16];
    bool ok = sheet.len > 0 && !isdigit((unsigned char)sheet.data[0]);
    for (size_t i = 0; i < sheet.len && ok; i++)
        ok = isalnum((unsigned char)sheet.data[i]) || sheet.data[i] == '_' || (uint8_t)sheet.data[i] >= 0x80;
    if (!ok || sheet.len >= sizeof name) return ok;
    memcpy(name, sheet.data, sheet.len);
    name[sheet.len] = 0;
    return sheet_reference(name, &row, &column) != sheet.len;
}

void ingest_cells_place(struct buf *out, const struct ingest_document *d, struct ingest_span span) {
    struct ingest_cells c;
    if (!ingest_cells_at(d, span, &c)) return;
    uint32_t page = ingest_page_at(d, span.start);
    struct slice sheet = d->format == INGEST_XLSX && page < d->n_pages ? d->pages[page].label : (struct slice){"", 0};
    bool quoted = !plain(sheet);
    if (sheet.len) {
        if (quoted) buf_puts(out, "'");
        for (size_t i = 0; i < sheet.len; i++) {
            if (sheet.data[i] == '\'') buf_puts(out, "'"); /* doubled, as Excel does */
            buf_append(out, sheet.data + i, 1);
        }
        buf_puts(out, quoted ? "'!" : "!");
    }
    ingest_cells_name(out, &c);
}
