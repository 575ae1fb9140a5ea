/* sheet.c: a sheet's cells -> titles, tables with their header rows, notes. Owns: where one table ends and the next
 * begins (empty rows and columns), which rows name the columns, a table that goes on behind an empty row, labels merged
 * over several rows. Knows no format.
 *
 * A sheet is cut at its empty rows, each band at those empty columns behind which a table with row names of its own
 * begins (an empty column is often but room between figures), and again. Of a piece, single cells on top are titles,
 * single cells at the end notes. Header rows are, in this order: what the file marks (a table, a filter, frozen rows);
 * rows of words or years over columns of figures; a bold row; in wide tables and CSV a first row of short words. */
#include "ingest/sheet.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADER_ROWS 4
#define HEADER_WITHIN 15 /* rows of a form above a table without an empty row between */
#define BODY_ROWS 200    /* rows that are looked at to know what a column holds */
#define NAME_BYTES 80    /* longer words are text, not the name of a column */
#define REPEAT_BYTES 120 /* longer text merged over rows is said once */
#define GOES_ON_ROWS 3   /* empty rows inside one table */
#define TITLE_ROWS 3     /* a title with its remarks; more lone cells are a list */
#define MAX_DEPTH 40     /* cuts in cuts */
#define MAX_TRIES 64     /* empty columns of a band that are looked at */

void sheet_free(struct sheet *s) {
    free(s->cells);
    free(s->hints);
    buf_free(&s->text);
    memset(s, 0, sizeof *s);
}

static void nomem(struct writer *w) {
    writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading a sheet");
}

void sheet_add(struct writer *w, struct sheet *s, struct sheet_cell cell, struct slice text) {
    if (w->code) return;
    cell.text = s->text.len;
    if (s->text.len + text.len > w->o->max_text) {
        writer_fail(w, ERR_LIMIT, w->o->name, "a sheet has more than %.0f MiB of text",
                    (double)w->o->max_text / 1048576.0);
        return;
    }
    text_clean_line(&s->text, text);
    cell.len = s->text.len - cell.text;
    if (s->text.failed) nomem(w);
    if (!cell.len || w->code) return;
    if (s->n_cells >= SHEET_MAX_CELLS) {
        writer_fail(w, ERR_LIMIT, w->o->name, "a sheet has more than %u cells", SHEET_MAX_CELLS);
    } else if (array_grow((void **)&s->cells, &s->cap_cells, s->n_cells + 1, sizeof *s->cells, w->e)) {
        nomem(w);
    } else {
        if (!cell.n_rows) cell.n_rows = 1;
        if (!cell.n_columns) cell.n_columns = 1;
        s->cells[s->n_cells++] = cell;
    }
}

void sheet_hint(struct writer *w, struct sheet *s, struct ingest_cells r) {
    if (w->code || s->n_hints >= SHEET_MAX_HINTS) return;
    if (array_grow((void **)&s->hints, &s->cap_hints, s->n_hints + 1, sizeof *s->hints, w->e))
        nomem(w);
    else
        s->hints[s->n_hints++] = r;
}

static int by_place(const void *a, const void *b) {
    const struct sheet_cell *x = a, *y = b;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    if (x->column != y->column) return x->column < y->column ? -1 : 1;
    return (x->text > y->text) - (x->text < y->text);
}

void sheet_sort(struct sheet *s) {
    bool sorted = true;
    for (size_t i = 1; i < s->n_cells && sorted; i++) sorted = by_place(&s->cells[i - 1], &s->cells[i]) < 0;
    if (!sorted) qsort(s->cells, s->n_cells, sizeof *s->cells, by_place);
    size_t n = 0;
    for (size_t i = 0; i < s->n_cells; i++) {
        const struct sheet_cell *c = &s->cells[i], *next = i + 1 < s->n_cells ? c + 1 : NULL;
        if (next && next->row == c->row && next->column == c->column) continue;
        s->cells[n++] = *c;
    }
    s->n_cells = n;
}

/* The first cell at or behind a place. */
static size_t lower(const struct sheet *s, uint32_t row, uint32_t column) {
    size_t lo = 0, hi = s->n_cells;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct sheet_cell *c = &s->cells[mid];
        if (c->row < row || (c->row == row && c->column < column))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct sheet_cell *sheet_at(const struct sheet *s, uint32_t row, uint32_t column) {
    size_t i = lower(s, row, column);
    return i < s->n_cells && s->cells[i].row == row && s->cells[i].column == column ? &s->cells[i] : NULL;
}

struct slice sheet_text(const struct sheet *s, const struct sheet_cell *c) {
    return (struct slice){s->text.data + c->text, c->len};
}

void sheet_merge(struct sheet *s, struct ingest_cells r) {
    struct sheet_cell *c = sheet_at(s, r.row, r.column);
    if (!c || r.row_end <= r.row || r.column_end <= r.column) return;
    c->n_rows = r.row_end - r.row;
    c->n_columns = r.column_end - r.column;
}

enum sheet_kind sheet_kind_of(struct slice t) {
    t = slice_trim(t);
    size_t i = 0, digits = 0, marks = 0;
    if (t.len > 4 && t.data[3] == ' ' && isupper((unsigned char)t.data[0]) && isupper((unsigned char)t.data[1]) &&
        isupper((unsigned char)t.data[2]))
        i = 4; /* "EUR 45" */
    if (t.len > 4 && t.data[t.len - 4] == ' ' && isdigit((unsigned char)t.data[t.len - 5]) &&
        isupper((unsigned char)t.data[t.len - 3]) && isupper((unsigned char)t.data[t.len - 2]) &&
        isupper((unsigned char)t.data[t.len - 1]))
        t.len -= 4; /* "45 EUR" */
    while (i < t.len && (strchr("$(+-<>~ ", t.data[i]) || (uint8_t)t.data[i] >= 0x80)) i++;
    for (; i < t.len; i++) {
        unsigned char c = (unsigned char)t.data[i];
        if (isdigit(c)) {
            digits++;
        } else if (c == '-' || c == '/' || c == ':' || (c == 'T' && digits)) {
            marks++; /* of a date or a time */
        } else if (!strchr(",.' %)$", c) && c < 0x80) {
            return SHEET_TEXT;
        }
    }
    return !digits ? SHEET_TEXT : marks >= 1 && digits >= 3 ? SHEET_DATE : SHEET_FIGURE;
}

/* ---- pieces ---- */
struct piece {
    const struct sheet_cell **cells; /* by row, then column */
    size_t n;
    struct ingest_cells r;
};
struct layout {
    struct writer *w;
    const struct sheet *s;
    /* the table that may go on behind an empty row */
    bool open;
    struct ingest_cells table;
    uint32_t *columns; /* sheet columns that the open table writes, ascending */
    size_t n_columns;
    bool *figures; /* which of them hold figures */
};

static struct ingest_cells extent(const struct sheet_cell *const *cells, size_t n) {
    struct ingest_cells r = {cells[0]->row, cells[0]->column, 0, 0};
    for (size_t i = 0; i < n; i++) {
        const struct sheet_cell *c = cells[i];
        if (c->column < r.column) r.column = c->column;
        if (c->row + c->n_rows > r.row_end) r.row_end = c->row + c->n_rows;
        if (c->column + c->n_columns > r.column_end) r.column_end = c->column + c->n_columns;
    }
    return r;
}

static size_t row_length(const struct piece *p, size_t i) {
    size_t n = 1;
    while (i + n < p->n && p->cells[i + n]->row == p->cells[i]->row) n++;
    return n;
}

static bool one_column(const struct piece *p) {
    for (size_t i = 1; i < p->n; i++)
        if (p->cells[i]->column != p->cells[0]->column) return false;
    return true;
}

/* Do cells right of an empty column make a table of their own? They stand in other rows; or most of their rows hold
 * figures and begin with a name, each with another; or they begin lower or higher, with a row of words. A lone column
 * is a part of what is beside it. */
static bool apart(const struct sheet *s, const struct piece *left, const struct piece *right) {
    if (right->r.row >= left->r.row_end || left->r.row >= right->r.row_end) return true;
    if (one_column(left) || one_column(right)) return false;
    size_t rows = 0, figures = 0, named = 0, distinct = 0, words = 0, first = row_length(right, 0);
    struct slice before = {"", 0};
    for (size_t i = 0; i < first; i++) words += right->cells[i]->kind == SHEET_TEXT;
    for (size_t i = 0, n; i < right->n; i += n, rows++) {
        const struct sheet_cell *c = right->cells[i];
        bool figure = false;
        n = row_length(right, i);
        for (size_t k = 0; k < n; k++) figure = figure || right->cells[i + k]->kind != SHEET_TEXT;
        if (!figure) continue;
        figures++;
        if (c->column != right->r.column || c->kind != SHEET_TEXT) continue;
        struct slice t = sheet_text(s, c);
        named++;
        distinct += !slice_equal(t, before);
        before = t;
    }
    if (figures * 2 >= rows && named && named * 10 >= figures * 6 && distinct * 10 >= named * 7) return true;
    uint32_t a = left->r.row, b = right->r.row;
    return (a > b ? a - b : b - a) >= 2 && words == first && first >= 2;
}

static void write_piece(struct layout *l, const struct piece *p);

static void cut(struct layout *l, const struct sheet_cell **cells, size_t n, int depth);

/* Cuts a band without empty rows at the first empty column behind which another table stands. */
static void cut_columns(struct layout *l, const struct sheet_cell **cells, size_t n, int depth) {
    struct writer *w = l->w;
    struct piece all = {cells, n, extent(cells, n)};
    uint32_t width = all.r.column_end - all.r.column;
    bool *used = depth < MAX_DEPTH && width > 2 ? calloc(width, sizeof *used) : NULL;
    const struct sheet_cell **sides = used ? malloc(n * sizeof *sides) : NULL;
    bool done = false;
    for (size_t i = 0; used && i < n; i++) /* a title over several columns says nothing of them */
        if (cells[i]->n_columns == 1) used[cells[i]->column - all.r.column] = true;
    for (uint32_t c = 1, tries = 0; sides && c + 1 < width && !done && tries < MAX_TRIES; c++) {
        if (used[c] || !used[c + 1]) continue;
        tries++;
        size_t left = 0, right = 0;
        for (size_t i = 0; i < n; i++)
            if (cells[i]->column <= all.r.column + c) sides[left++] = cells[i];
        for (size_t i = 0; i < n; i++)
            if (cells[i]->column > all.r.column + c) sides[left + right++] = cells[i];
        if (!left || !right) continue;
        struct piece a = {sides, left, extent(sides, left)}, b = {sides + left, right, extent(sides + left, right)};
        if (!apart(l->s, &a, &b)) continue;
        done = true;
        cut(l, a.cells, a.n, depth + 1);
        cut(l, b.cells, b.n, depth + 1);
    }
    free(used);
    free(sides);
    if (!done && !w->code) write_piece(l, &all);
}

static void cut(struct layout *l, const struct sheet_cell **cells, size_t n, int depth) {
    size_t from = 0;
    uint32_t end = cells[0]->row;
    for (size_t i = 0; i <= n && !l->w->code; i++) {
        if (i == n || cells[i]->row > end) {
            cut_columns(l, cells + from, i - from, depth);
            from = i;
        }
        if (i < n && cells[i]->row + cells[i]->n_rows > end) end = cells[i]->row + cells[i]->n_rows;
    }
}

/* ---- header rows ---- */
static bool year_like(const struct sheet *s, const struct sheet_cell *c) {
    return c->kind == SHEET_DATE || text_is_year(sheet_text(s, c));
}

/* Which columns of the piece hold figures or dates from cell `from` on: most of their cells are some. [width], to be
 * freed; NULL after an error. */
static bool *figure_columns(const struct layout *l, const struct piece *p, size_t from) {
    uint32_t width = p->r.column_end - p->r.column;
    bool *mostly = calloc(width, sizeof *mostly);
    struct {
        uint32_t figures, all;
    } *count = calloc(width, sizeof *count);
    if (!mostly || !count) {
        nomem(l->w);
        free(mostly);
        free(count);
        return NULL;
    }
    for (size_t i = from; i < p->n && p->cells[i]->row < p->cells[from]->row + BODY_ROWS; i++) {
        const struct sheet_cell *c = p->cells[i];
        count[c->column - p->r.column].all++;
        count[c->column - p->r.column].figures += c->kind != SHEET_TEXT;
    }
    for (uint32_t k = 0; k < width; k++) mostly[k] = count[k].all && count[k].figures * 10 >= count[k].all * 6;
    free(count);
    return mostly;
}

/* Is the row at cell i a row of column names, by words (or years) over columns of figures? `next`: the cell behind it.
 */
static bool names_figures(const struct layout *l, const struct piece *p, size_t i, size_t next, bool first) {
    uint32_t width = p->r.column_end - p->r.column;
    bool *figures = figure_columns(l, p, next);
    if (!figures) return false;
    size_t over = 0, years = 0, words = 0, last = p->n - 1;
    /* two columns: "Customer | Acme" over "Fee | 300" looks the same, so all that follows must be figures of a kind */
    bool names = next - i != 2 || width > 2 || p->cells[last]->row > p->cells[next]->row;
    for (size_t k = next; next - i == 2 && width == 2 && k < p->n && names; k++)
        names = p->cells[k]->column == p->r.column || p->cells[k]->kind == p->cells[last]->kind;
    for (size_t k = i; k < next && names; k++) {
        const struct sheet_cell *c = p->cells[k];
        bool above = false;
        for (uint32_t q = c->column; q < c->column + c->n_columns; q++) above = above || figures[q - p->r.column];
        if (c->kind == SHEET_TEXT) {
            words++;
            over += above;
            names = c->len <= NAME_BYTES * 2;
        } else if (year_like(l->s, c) && first) {
            years++;
            over += above;
            const struct sheet_cell *below = sheet_at(l->s, c->row + 1, c->column);
            names = c->column > p->r.column && !(below && year_like(l->s, below)); /* a year over years is a value */
        } else {
            names = false;
        }
    }
    free(figures);
    return names && over && (next - i >= 2 || p->cells[i]->n_columns > 1 || !first) && (words || years >= 2);
}

/* All cells short words, each another. */
static bool short_words(const struct layout *l, const struct piece *p, size_t i, size_t next) {
    if (next - i > READER_MAX_COLUMNS) return false;
    for (size_t k = i; k < next; k++) {
        struct slice t = sheet_text(l->s, p->cells[k]);
        if (p->cells[k]->kind != SHEET_TEXT || t.len > NAME_BYTES || strchr(".;:", t.data[t.len - 1])) return false;
        for (size_t q = i; q < k; q++)
            if (slice_equal(t, sheet_text(l->s, p->cells[q]))) return false;
    }
    return next > i + 1;
}

static bool bold_row(const struct piece *p, size_t i, size_t next) {
    bool bold = true;
    for (size_t k = i; k < next; k++) bold = bold && p->cells[k]->bold;
    return bold;
}

static bool merged_across(const struct piece *p, size_t i, size_t next) {
    for (size_t k = i; k < next; k++)
        if (p->cells[k]->n_columns > 1) return true;
    return false;
}

/* Header rows from cell i on: the index of the first cell behind them; i when there are none. */
static size_t header_end(const struct layout *l, const struct piece *p, size_t i) {
    const struct sheet *s = l->s;
    uint32_t row = p->cells[i]->row;
    for (size_t k = 0; k < s->n_hints; k++) {
        const struct ingest_cells *h = &s->hints[k];
        if (h->row < row || h->row >= row + MAX_HEADER_ROWS || h->row + 1 >= p->r.row_end ||
            h->column >= p->r.column_end || h->column_end <= p->r.column)
            continue;
        size_t end = i; /* rows above the named one belong to the header when a name spreads over columns in them */
        bool header = true;
        while (end < p->n && p->cells[end]->row <= h->row) {
            size_t next = end + row_length(p, end);
            header = header && (p->cells[end]->row == h->row || merged_across(p, end, next));
            end = next;
        }
        if (header && end < p->n) return end;
    }
    size_t end = i, one = i + row_length(p, i), two = one < p->n ? one + row_length(p, one) : one;
    for (int n = 0; n < MAX_HEADER_ROWS && end < p->n && !l->w->code; n++) {
        size_t next = end + row_length(p, end);
        bool first = n == 0 || merged_across(p, i, end);
        if (next >= p->n || !names_figures(l, p, end, next, first)) break;
        end = next;
    }
    /* "Supplier | Acme" over "Item | Count | Weight" is a form's line over the header */
    if (end > one && two - one > one - i && p->cells[i]->column == p->r.column && !merged_across(p, i, one) &&
        p->cells[one]->column == p->r.column)
        return i;
    if (end > i) return end;
    if (one >= p->n || one - i < 2) return i;
    if (s->frozen_rows > row && s->frozen_rows <= row + MAX_HEADER_ROWS && s->frozen_rows < p->r.row_end) {
        size_t next = one;
        while (next < p->n && p->cells[next]->row < s->frozen_rows) next += row_length(p, next);
        if (next < p->n) return next;
    }
    if (bold_row(p, i, one) && !bold_row(p, one, two) && short_words(l, p, i, one)) return one;
    uint32_t width = p->r.column_end - p->r.column;
    bool wide = one - i >= 3 && one - i == width && p->r.row_end - row >= 3;
    return (wide || s->first_row_names) && short_words(l, p, i, one) ? one : i;
}

/* ---- writing ---- */
static void put_cell_text(struct layout *l, const struct sheet_cell *c, uint32_t row) {
    struct writer *w = l->w;
    writer_word(w, (uint32_t)(w->n_pages ? w->n_pages - 1 : 0), (float)c->column, (float)row,
                (float)(c->column + c->n_columns), (float)(row + 1), sheet_text(l->s, c), false);
}

static void put_paragraph(struct layout *l, const struct sheet_cell *c, bool heading) {
    struct ingest_block *b =
        writer_begin(l->w, heading ? INGEST_BLOCK_HEADING : INGEST_BLOCK_PARAGRAPH, heading ? 2 : 0);
    if (!b) return;
    b->flags |= (heading ? INGEST_BLOCK_GUESSED : 0) | (c->bold ? INGEST_BLOCK_BOLD : 0);
    put_cell_text(l, c, c->row);
    writer_end(l->w);
}

/* A title: short words without a full stop, that say nothing of a unit ("in EUR thousands") and no figure but a year.
 */
static bool is_title(const struct layout *l, const struct sheet_cell *c) {
    struct slice t = sheet_text(l->s, c);
    if (c->kind != SHEET_TEXT || t.len > NAME_BYTES || strchr(".:;,", t.data[t.len - 1])) return false;
    bool letter = false;
    for (size_t i = 0, n = 0; i <= t.len; i++) {
        if (i < t.len && isdigit((unsigned char)t.data[i])) {
            n++;
        } else {
            if (n && n != 4) return false;
            n = 0;
        }
    }
    for (size_t i = 0; i < t.len; i++)
        letter = letter || isalpha((unsigned char)t.data[i]) || (uint8_t)t.data[i] >= 0xc3;
    return letter && t.data[0] != '(' && t.data[0] != '*' && !(t.len > 3 && !memcmp(t.data, "in ", 3)) &&
           !(t.len > 3 && !memcmp(t.data, "In ", 3));
}

/* Does a row of several cells come after a few empty ones? */
static bool table_below(const struct sheet *s, uint32_t row) {
    size_t i = lower(s, row, 0);
    return i + 1 < s->n_cells && s->cells[i].row - row <= GOES_ON_ROWS && s->cells[i + 1].row == s->cells[i].row;
}

static void close_table(struct layout *l) {
    if (!l->open) return;
    writer_table_end(l->w);
    free(l->columns);
    free(l->figures);
    l->columns = NULL, l->figures = NULL;
    l->open = false;
}

static void open_table(struct layout *l, const struct piece *p, size_t body) {
    uint32_t width = p->r.column_end - p->r.column;
    bool *used = calloc(width, sizeof *used), *figures = figure_columns(l, p, body);
    l->columns = malloc(width * sizeof *l->columns);
    l->figures = calloc(width, sizeof *l->figures);
    l->n_columns = 0;
    l->table = p->r;
    l->open = true;
    if (!used || !figures || !l->columns || !l->figures) {
        nomem(l->w);
    } else {
        for (size_t i = 0; i < p->n; i++)
            if (p->cells[i]->n_columns == 1) used[p->cells[i]->column - p->r.column] = true;
        for (size_t i = 0; i < p->n; i++) { /* one that spreads over columns nobody else uses takes the first */
            const struct sheet_cell *c = p->cells[i];
            bool any = false;
            for (uint32_t k = 0; k < c->n_columns; k++) any = any || used[c->column - p->r.column + k];
            used[c->column - p->r.column] = used[c->column - p->r.column] || !any;
        }
        for (uint32_t k = 0; k < width; k++) {
            if (!used[k]) continue;
            l->figures[l->n_columns] = figures[k];
            l->columns[l->n_columns++] = p->r.column + k;
        }
        writer_table_begin(l->w);
    }
    free(used);
    free(figures);
}

/* A formula is shown where its value is not known. */
static uint32_t remark(const struct sheet *s, const struct sheet_cell *c) {
    return sheet_text(s, c).data[0] == '=' ? INGEST_BLOCK_REMARK : 0;
}

/* Cells [i, next) are a row. A label merged over rows is said again in each, so that a row says what it is about. */
static void put_row(struct layout *l, const struct piece *p, size_t i, size_t next, uint32_t flags,
                    const struct sheet_cell **above) {
    struct writer *w = l->w;
    uint32_t row = p->cells[i]->row;
    writer_row_begin(w);
    for (size_t k = 0; k < l->n_columns && !w->code;) {
        uint32_t column = l->columns[k], n = 1;
        while (i < next && p->cells[i]->column < column) i++;
        const struct sheet_cell *c = i < next && p->cells[i]->column == column ? p->cells[i] : NULL;
        const struct sheet_cell *over = above[k] && row < above[k]->row + above[k]->n_rows ? above[k] : NULL;
        if (c) over = NULL;
        if (c || over)
            while (k + n < l->n_columns && l->columns[k + n] < column + (c ? c : over)->n_columns) n++;
        struct ingest_block *b = writer_cell(w, n);
        if (!b) return;
        b->flags |= flags | (c && c->bold ? INGEST_BLOCK_BOLD : 0) | (over ? INGEST_BLOCK_CONTINUED : 0);
        if (c || over) b->flags |= remark(l->s, c ? c : over);
        if (c) {
            put_cell_text(l, c, row);
            above[k] = c->n_rows > 1 ? c : NULL;
        } else if (over && over->len <= REPEAT_BYTES) {
            b->flags &= ~(uint32_t)INGEST_BLOCK_CONTINUED;
            put_cell_text(l, over, row);
        }
        writer_end(w);
        k += n;
    }
    writer_row_end(w);
}

/* Does the piece go on with the open table? Its rows have figures where that one has, and it names no columns. */
static bool goes_on(const struct layout *l, const struct piece *p) {
    if (!l->open || p->r.column < l->table.column || p->r.column_end > l->table.column_end ||
        p->r.row < l->table.row_end || p->r.row - l->table.row_end > GOES_ON_ROWS)
        return false;
    for (size_t i = 0; i < p->n;) {
        size_t next = i + row_length(p, i);
        if (next - i < 2) {
            i = next;
            continue;
        }
        if (header_end(l, p, i) > i) return false;
        for (size_t k = i; k < next; k++)
            for (size_t q = 0; q < l->n_columns; q++)
                if (p->cells[k]->kind != SHEET_TEXT && l->columns[q] == p->cells[k]->column && l->figures[q])
                    return true;
        return false;
    }
    return false;
}

static void put_rows(struct layout *l, const struct piece *p, size_t from, size_t header, size_t end) {
    const struct sheet_cell **above = calloc(l->n_columns + 1, sizeof *above);
    if (!above) {
        nomem(l->w);
        return;
    }
    for (size_t i = from; i < end && !l->w->code;) {
        size_t next = i + row_length(p, i);
        put_row(l, p, i, next, i < header ? INGEST_BLOCK_HEADER : 0, above);
        i = next;
    }
    free(above);
}

static void write_piece(struct layout *l, const struct piece *p) {
    struct writer *w = l->w;
    if (goes_on(l, p)) {
        put_rows(l, p, 0, 0, p->n);
        l->table.row_end = p->r.row_end;
        return;
    }
    close_table(l);
    size_t widest = 0, from = 0, end = p->n;
    for (size_t i = 0; i < p->n;) {
        size_t n = row_length(p, i);
        widest = n > widest ? n : widest;
        i += n;
    }
    for (; from < p->n && (widest < 2 || row_length(p, from) == 1) && p->cells[from]->kind == SHEET_TEXT; from++) {
        /* a name that spreads over some columns; over all of them it is a title */
        if (widest >= 2 && p->cells[from]->column > p->r.column && header_end(l, p, from) > from) break;
        bool alone = widest < 2 && (p->n > TITLE_ROWS || !table_below(l->s, p->r.row_end));
        put_paragraph(l, p->cells[from], from == 0 && !alone && is_title(l, p->cells[from]));
    }
    if (widest < 2)
        for (; from < p->n; from++) put_paragraph(l, p->cells[from], false);
    while (end > from + 1 && p->cells[end - 2]->row != p->cells[end - 1]->row &&
           p->cells[end - 1]->kind == SHEET_TEXT && p->cells[end - 1]->n_rows == 1)
        end--; /* notes below the table */
    struct piece t = {p->cells + from, end - from, {0, 0, 0, 0}};
    if (t.n) {
        t.r = extent(t.cells, t.n);
        size_t start = 0, header = header_end(l, &t, 0);
        /* "Supplier | Acme" and the like above a table's header, without an empty row between */
        for (size_t i = 0, rows = 0; header == 0 && rows < HEADER_WITHIN && i < t.n && !w->code; rows++) {
            size_t n = row_length(&t, i);
            if (rows && n >= 3 && n == widest && (start = i, (header = header_end(l, &t, i)) > i)) break;
            header = start = 0;
            if (n >= widest) break; /* a row of the table itself */
            i += n;
        }
        if (start) {
            struct piece form = {t.cells, start, extent(t.cells, start)};
            open_table(l, &form, 0);
            if (!w->code) put_rows(l, &form, 0, 0, form.n);
            close_table(l);
            t = (struct piece){t.cells + start, t.n - start, {0, 0, 0, 0}};
            t.r = extent(t.cells, t.n);
            header -= start;
        }
        open_table(l, &t, header);
        if (!w->code) put_rows(l, &t, 0, header, t.n);
    }
    if (end < p->n) close_table(l);
    for (; end < p->n; end++) put_paragraph(l, p->cells[end], false);
}

void sheet_write(struct writer *w, const struct sheet *s) {
    if (w->code || !s->n_cells) return;
    struct layout l = {.w = w, .s = s};
    const struct sheet_cell **cells = malloc(s->n_cells * sizeof *cells);
    if (!cells) {
        nomem(w);
        return;
    }
    for (size_t i = 0; i < s->n_cells; i++) cells[i] = &s->cells[i];
    cut(&l, cells, s->n_cells, 0);
    close_table(&l);
    free(cells);
}
