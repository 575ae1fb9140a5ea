/* table.c: a table of HTML or DOCX, held until its end and then written as what it is. Owns: grid positions with spans,
 * empty spacer columns, currency signs in cells of their own, tables that only lay out paragraphs. Knows no format. */
#include "ingest/reader.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_MAX_CELLS 1000000u /* of one table */
#define LAYOUT_CELL 300          /* bytes: a row of one table row with longer cells is text beside text */

static void nomem(struct writer *w) {
    writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading a table");
}

void table_free(struct table *t) {
    free(t->cells);
    free(t->spans);
    buf_free(&t->text);
    memset(t, 0, sizeof *t);
}

static struct table_cell *add(struct writer *w, struct table *t, uint32_t n_columns, uint32_t flags) {
    if (w->code) return NULL;
    if (t->n_cells >= TABLE_MAX_CELLS || t->column + n_columns > READER_MAX_COLUMNS) {
        writer_fail(w, ERR_LIMIT, w->o->name, "a table has more than %u cells or %u columns", TABLE_MAX_CELLS,
                    READER_MAX_COLUMNS);
        return NULL;
    }
    if (array_grow((void **)&t->cells, &t->cap_cells, t->n_cells + 1, sizeof *t->cells, w->e)) {
        nomem(w);
        return NULL;
    }
    struct table_cell *c = &t->cells[t->n_cells++];
    *c = (struct table_cell){t->n_rows - 1, t->column, n_columns, flags, t->text.len, 0};
    t->column += n_columns;
    return c;
}

/* Cells that come down from above are written where the row reaches their column. */
static void covered(struct writer *w, struct table *t) {
    while (!w->code && t->spans && t->column < READER_MAX_COLUMNS && t->spans[t->column]) {
        t->spans[t->column]--;
        add(w, t, 1, INGEST_BLOCK_CONTINUED);
    }
}

void table_row(struct writer *w, struct table *t) {
    if (w->code) return;
    table_cell_end(t);
    if (t->in_row) covered(w, t);
    if (!t->spans && !(t->spans = calloc(READER_MAX_COLUMNS, sizeof *t->spans))) {
        nomem(w);
        return;
    }
    t->in_row = true;
    t->n_rows++;
    t->column = 0;
}

void table_cell(struct writer *w, struct table *t, uint32_t n_columns, uint32_t n_rows, uint32_t flags) {
    if (!t->in_row) table_row(w, t);
    table_cell_end(t);
    covered(w, t);
    if (n_columns == 0) n_columns = 1;
    if (n_columns > READER_MAX_COLUMNS) n_columns = READER_MAX_COLUMNS;
    if (n_columns > 1 && t->column + n_columns > READER_MAX_COLUMNS) n_columns = 1;
    uint32_t from = t->column;
    if (!add(w, t, n_columns, flags)) return;
    for (uint32_t i = from; i < t->column; i++) t->spans[i] = n_rows > 1 ? n_rows - 1 : 0;
    t->in_cell = true;
}

void table_text(struct writer *w, struct table *t, struct slice text) {
    if (w->code || !t->in_cell) return;
    if (t->text.len + text.len > w->o->max_text) {
        writer_fail(w, ERR_LIMIT, w->o->name, "a table has more than %.0f MiB of text",
                    (double)w->o->max_text / 1048576.0);
        return;
    }
    buf_append(&t->text, text.data, text.len);
    if (t->text.failed) nomem(w);
}

void table_paragraph(struct writer *w, struct table *t, struct slice number, struct slice text, bool bold) {
    if (w->code || !t->in_cell) return;
    struct table_cell *c = &t->cells[t->n_cells - 1];
    bool first = c->text == t->text.len;
    if (number.len) {
        table_text(w, t, number);
        table_text(w, t, SLICE_LITERAL(" "));
    }
    table_text(w, t, text);
    table_text(w, t, SLICE_LITERAL("\n"));
    if (bold && (first || c->flags & INGEST_BLOCK_BOLD))
        c->flags |= INGEST_BLOCK_BOLD;
    else
        c->flags &= ~(uint32_t)INGEST_BLOCK_BOLD;
}

void table_cell_end(struct table *t) {
    if (!t->in_cell) return;
    struct table_cell *c = &t->cells[t->n_cells - 1];
    c->len = t->text.len - c->text;
    t->in_cell = false;
}

static struct slice cell_text(const struct table *t, const struct table_cell *c) {
    return slice_trim((struct slice){c->len ? t->text.data + c->text : "", c->len});
}

static bool is_currency(struct slice s) {
    static const char *const signs[] = {"$", "\xe2\x82\xac", "\xc2\xa3", "\xc2\xa5", "US$", "($", "$(", "(", "-$"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (slice_equal(s, slice_of(signs[i]))) return true;
    return false;
}

static bool is_tail(struct slice s) {
    return slice_equal(s, SLICE_LITERAL(")")) || slice_equal(s, SLICE_LITERAL("%")) ||
           slice_equal(s, SLICE_LITERAL(")%")) || slice_equal(s, SLICE_LITERAL("%)"));
}

/* "$" before a figure and ")" or "%" behind one belong to it: the text of both cells goes into one. */
static void merge_signs(struct writer *w, struct table *t) {
    for (size_t i = 0; i + 1 < t->n_cells && !w->code; i++) {
        struct table_cell *a = &t->cells[i];
        size_t j = i + 1; /* over empty cells of the row */
        while (j < t->n_cells && t->cells[j].row == a->row && cell_text(t, &t->cells[j]).len == 0) j++;
        if (j == t->n_cells || t->cells[j].row != a->row) continue;
        struct table_cell *b = &t->cells[j];
        struct slice x = cell_text(t, a), y = cell_text(t, b);
        if (x.len == 0) continue;
        bool sign = is_currency(x) && y.len && (isdigit((unsigned char)y.data[0]) || strchr("(-.", y.data[0]));
        bool tail = is_tail(y) && (isdigit((unsigned char)x.data[x.len - 1]) || x.data[x.len - 1] == ')');
        if (!sign && !tail) continue;
        struct buf both = {0};
        buf_append(&both, x.data, x.len);
        buf_append(&both, y.data, y.len);
        struct table_cell *to = sign ? b : a, *from = sign ? a : b;
        to->text = t->text.len;
        to->len = both.len;
        from->len = 0;
        buf_append(&t->text, both.data, both.len);
        if (both.failed || t->text.failed) nomem(w);
        buf_free(&both);
        if (tail) i--; /* the same figure may have another behind it: "5 | ) | %" */
    }
}

static void put_paragraphs(struct writer *w, struct slice s, uint32_t flags, struct slice mark) {
    size_t i = 0;
    while (i <= s.len && !w->code) {
        size_t end = i;
        while (end < s.len && s.data[end] != '\n') end++;
        struct slice p = slice_trim((struct slice){s.data + i, end - i});
        i = end + 1;
        if (!p.len && !mark.len) continue;
        struct ingest_block *b = writer_begin(w, INGEST_BLOCK_PARAGRAPH, 0);
        if (!b) return;
        b->flags |= flags & (INGEST_BLOCK_BOLD | INGEST_BLOCK_CENTERED);
        if (mark.len) {
            writer_text(w, mark);
            writer_text(w, SLICE_LITERAL(" "));
            mark.len = 0;
        }
        writer_text(w, p);
        writer_end(w);
    }
}

/* A mark and its paragraph side by side: "(a) | The Supplier". */
static bool is_mark(struct slice s) {
    char padded[16];
    if (s.len == 0 || s.len + 1 >= sizeof padded) return false;
    memcpy(padded, s.data, s.len);
    padded[s.len] = ' ', padded[s.len + 1] = 0;
    return list_mark((struct slice){padded, s.len + 2}) == s.len;
}

struct shape {
    uint32_t used[READER_MAX_COLUMNS]; /* the column's number among those with text */
    uint32_t n_columns, widest, longest;
    bool marks; /* every row is a mark and its text */
};

static void measure(const struct table *t, struct shape *s) {
    memset(s, 0, sizeof *s);
    s->marks = true;
    uint32_t in_row = 0, row = INGEST_NONE;
    bool first = false;
    for (size_t i = 0; i < t->n_cells; i++) {
        const struct table_cell *c = &t->cells[i];
        struct slice x = cell_text(t, c);
        if (x.len == 0) continue;
        if (c->row != row) {
            row = c->row;
            in_row = 0;
            first = is_mark(x);
            if (!first) s->marks = false;
        }
        in_row++;
        if (in_row > 2) s->marks = false;
        if (in_row > s->widest) s->widest = in_row;
        if (x.len > s->longest) s->longest = (uint32_t)x.len;
        if (c->n_columns == 1) s->used[c->column] = 1;
    }
    for (size_t i = 0; i < t->n_cells; i++) { /* a heading over columns makes none of its own unless it stands alone */
        const struct table_cell *c = &t->cells[i];
        bool alone = c->n_columns > 1 && cell_text(t, c).len > 0;
        for (uint32_t k = c->column; k < c->column + c->n_columns && k < READER_MAX_COLUMNS; k++)
            alone = alone && !s->used[k];
        if (alone) s->used[c->column] = 1;
    }
    for (uint32_t i = 0; i < READER_MAX_COLUMNS; i++)
        if (s->used[i]) s->used[i] = ++s->n_columns;
}

static void write_layout(struct writer *w, struct table *t) {
    for (size_t i = 0; i < t->n_cells && !w->code; i++) {
        const struct table_cell *c = &t->cells[i];
        struct slice x = cell_text(t, c), mark = {"", 0};
        if (x.len == 0) continue;
        uint32_t flags = c->flags;
        if (is_mark(x)) {
            size_t j = i + 1;
            while (j < t->n_cells && t->cells[j].row == c->row && cell_text(t, &t->cells[j]).len == 0) j++;
            if (j < t->n_cells && t->cells[j].row == c->row) {
                mark = x;
                x = cell_text(t, &t->cells[j]);
                flags = t->cells[j].flags;
                i = j;
            }
        }
        put_paragraphs(w, x, flags, mark);
    }
}

static void write_grid(struct writer *w, struct table *t, const struct shape *s) {
    writer_table_begin(w);
    for (size_t i = 0; i < t->n_cells && !w->code;) {
        uint32_t row = t->cells[i].row, at = 0;
        writer_row_begin(w);
        for (; i < t->n_cells && t->cells[i].row == row && !w->code; i++) {
            const struct table_cell *c = &t->cells[i];
            uint32_t n = 0, place = 0; /* columns of those it covers that are in use */
            for (uint32_t k = c->column; k < c->column + c->n_columns && k < READER_MAX_COLUMNS; k++)
                if (s->used[k]) {
                    if (!n) place = s->used[k];
                    n++;
                }
            if (n == 0) continue;
            while (at + 1 < place && !w->code) { /* a short row: cells missing before this one */
                writer_cell(w, 1);
                writer_end(w);
                at++;
            }
            struct ingest_block *b = writer_cell(w, n);
            if (!b) break;
            b->flags |= c->flags;
            at += n;
            writer_text(w, cell_text(t, c));
            writer_end(w);
        }
        writer_row_end(w);
    }
    writer_table_end(w);
}

void table_write(struct writer *w, struct table *t) {
    table_cell_end(t);
    if (t->in_row) covered(w, t);
    t->in_row = false;
    merge_signs(w, t);
    struct shape *s = malloc(sizeof *s);
    if (!s) nomem(w);
    if (s && !w->code) {
        measure(t, s);
        bool one_row = true;
        for (size_t i = 1; i < t->n_cells; i++)
            one_row = one_row && (t->cells[i].row == t->cells[0].row || cell_text(t, &t->cells[i]).len == 0);
        if (s->widest <= 1 || s->marks || (one_row && (s->widest <= 2 || s->longest > LAYOUT_CELL)))
            write_layout(w, t);
        else
            write_grid(w, t, s);
    }
    free(s);
    table_free(t);
}
