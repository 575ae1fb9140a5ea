/* pdf_table.c: tables of a PDF page by the alignment of their words, since a PDF has no table structure. Rows are cut
 * into segments at wide gaps; a run of rows with two or more segments is a candidate; segments that overlap from row to
 * row make the columns. Refused: columns of prose (their segments fill the column from edge to edge), marks with their
 * text ("(a)   The Supplier"), runs whose columns don't hold. Rows that carry on a cell's text are joined with the row
 * above. */
#include "ingest/pdf.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define GAP_HEIGHTS 0.95f    /* of the row's height: wider than any justified space, narrower than most columns' gaps */
#define GAP_LINES 0.45f      /* the same where poppler too sees two lines */
#define ROW_GAP_HEIGHTS 2.2f /* more between two rows ends a table */
#define TABLE_MAX_ROWS 4000u
#define TABLE_MAX_SEGMENTS 64u /* of a row */

struct segment {
    float x0, x1;
    uint32_t first, n; /* in page.order */
    uint32_t column, n_columns;
};
struct trow {
    uint32_t row; /* of the page */
    float y0, y1;
    struct segment *s;
    uint32_t n;
    uint32_t logical;
};

static float word_height(const struct pdf *p, const struct pdf_page *page, const struct pdf_row *r) {
    float h = 0;
    for (uint32_t i = r->first; i < r->first + r->n; i++) {
        const struct pdf_word *w = &p->words[page->order[i]];
        if (w->y1 - w->y0 > h) h = w->y1 - w->y0;
    }
    return h;
}

/* "1.", "(a)", "4.2", "Section 3", "•": what stands before a paragraph with a tab behind it. */
static bool is_mark(const struct pdf *p, const struct pdf_page *page, const struct segment *s) {
    char text[40];
    size_t n = 0;
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        struct slice t = pdf_text(p, &p->words[page->order[i]]);
        if (n + t.len + 2 >= sizeof text) return false;
        memcpy(text + n, t.data, t.len);
        n += t.len;
        text[n++] = ' ';
    }
    text[n] = 0;
    if (n == 0) return false;
    struct slice all = {text, n};
    if (list_mark(all) == n - 1) return true;
    static const char *const words[] = {"section ", "article ", "clause ",   "\xc2\xa7 ", "\xc2\xa7", "schedule ",
                                        "exhibit ", "annex ",   "appendix ", "part ",     "item "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        if (n > len && slice_equal_nocase((struct slice){text, len}, slice_of(words[i])) && n - len <= 10) return true;
    }
    bool digits = n <= 5; /* "12 " before a paragraph: numbered without a dot */
    for (size_t i = 0; i + 1 < n; i++) digits = digits && isdigit((unsigned char)text[i]);
    return digits;
}

static size_t segment_letters(const struct pdf *p, const struct pdf_page *page, const struct segment *s) {
    size_t letters = 0;
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        struct slice t = pdf_text(p, &p->words[page->order[i]]);
        for (size_t k = 0; k < t.len; k++)
            letters += isalpha((unsigned char)t.data[k]) || (unsigned char)t.data[k] >= 0xc3;
    }
    return letters;
}

static int cut(const struct pdf *p, const struct pdf_page *page, const struct pdf_row *r, struct segment *out) {
    float height = word_height(p, page, r);
    uint32_t n = 0;
    const struct pdf_word *before = NULL;
    for (uint32_t i = r->first; i < r->first + r->n; i++) {
        const struct pdf_word *w = &p->words[page->order[i]];
        if (w->flags & (PDF_HEAD | PDF_TABLE)) continue;
        float gap = before ? w->x0 - out[n - 1].x1 : 0;
        bool split = !before || gap > GAP_HEIGHTS * height || (gap > GAP_LINES * height && before->line != w->line);
        if (split) {
            if (n == TABLE_MAX_SEGMENTS) return (int)n;
            out[n++] = (struct segment){w->x0, w->x1, i, 0, 0, 1};
        }
        struct segment *s = &out[n - 1];
        if (w->x1 > s->x1) s->x1 = w->x1;
        s->n = i + 1 - s->first;
        before = w;
    }
    /* a figure's sign in a column of its own: "$    1,200" */
    for (uint32_t i = 0; i + 1 < n; i++) {
        struct slice t = pdf_text(p, &p->words[page->order[out[i].first]]);
        bool sign =
            out[i].n == 1 && (slice_equal(t, SLICE_LITERAL("$")) || slice_equal(t, SLICE_LITERAL("\xe2\x82\xac")) ||
                              slice_equal(t, SLICE_LITERAL("\xc2\xa3")));
        struct slice v = pdf_text(p, &p->words[page->order[out[i + 1].first]]);
        if (!sign || !v.len ||
            !(isdigit((unsigned char)v.data[0]) || strchr("(-.", v.data[0]) || (unsigned char)v.data[0] >= 0xe2))
            continue;
        out[i].n = out[i + 1].first + out[i + 1].n - out[i].first;
        out[i].x1 = out[i + 1].x1;
        memmove(&out[i + 1], &out[i + 2], (n - i - 2) * sizeof *out);
        n--;
    }
    if (n == 2 && is_mark(p, page, &out[0]) && segment_letters(p, page, &out[1]) > 3) {
        out[0].n = out[1].first + out[1].n - out[0].first;
        out[0].x1 = out[1].x1;
        n = 1;
    }
    return (int)n;
}

/* ---- columns ---- */
static bool overlap(float a0, float a1, float b0, float b1) {
    return a0 < b1 - 1 && b0 < a1 - 1;
}

/* A segment over two or more of another row's segments is a heading over columns, and makes none itself. */
static bool spans(const struct trow *rows, size_t n, size_t at, const struct segment *s) {
    for (size_t i = 0; i < n; i++) {
        if (i == at) continue;
        uint32_t over = 0;
        for (uint32_t k = 0; k < rows[i].n; k++) over += overlap(s->x0, s->x1, rows[i].s[k].x0, rows[i].s[k].x1);
        if (over >= 2) return true;
    }
    return false;
}

struct column {
    float x0, x1;
};

static size_t columns(const struct trow *rows, size_t n, struct column *c) {
    size_t n_c = 0;
    for (size_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < rows[i].n; k++) {
            const struct segment *s = &rows[i].s[k];
            if (spans(rows, n, i, s)) continue;
            struct column x = {s->x0, s->x1};
            for (size_t j = 0; j < n_c;) { /* what it overlaps becomes one with it */
                if (!overlap(x.x0, x.x1, c[j].x0, c[j].x1)) {
                    j++;
                    continue;
                }
                if (c[j].x0 < x.x0) x.x0 = c[j].x0;
                if (c[j].x1 > x.x1) x.x1 = c[j].x1;
                c[j] = c[--n_c];
            }
            if (n_c == TABLE_MAX_SEGMENTS) return 0;
            c[n_c++] = x;
        }
    }
    for (size_t i = 1; i < n_c; i++)
        for (size_t j = i; j > 0 && c[j].x0 < c[j - 1].x0; j--) {
            struct column t = c[j];
            c[j] = c[j - 1], c[j - 1] = t;
        }
    return n_c;
}

static void assign(struct trow *rows, size_t n, const struct column *c, size_t n_c) {
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < rows[i].n; k++) {
            struct segment *s = &rows[i].s[k];
            s->column = INGEST_NONE;
            s->n_columns = 1;
            float nearest = 1e9f;
            for (uint32_t j = 0; j < n_c; j++) {
                if (overlap(s->x0, s->x1, c[j].x0, c[j].x1)) {
                    if (s->column == INGEST_NONE || nearest < 1e8f)
                        s->column = j, s->n_columns = 1, nearest = 1e9f;
                    else
                        s->n_columns = j + 1 - s->column;
                } else if (s->column == INGEST_NONE || nearest < 1e8f) {
                    float d = s->x0 > c[j].x1 ? s->x0 - c[j].x1 : c[j].x0 - s->x1;
                    if (d < nearest) nearest = d, s->column = j;
                }
            }
        }
}

/* Prose: most of its segments have four words or more and fill the column. */
static bool prose_column(const struct trow *rows, size_t n, uint32_t column, struct column c) {
    size_t m = 0, words = 0, full = 0;
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < rows[i].n; k++) {
            const struct segment *s = &rows[i].s[k];
            if (s->column != column || s->n_columns != 1) continue;
            m++;
            words += s->n;
            full += s->x1 - s->x0 > 0.75f * (c.x1 - c.x0);
        }
    return m >= 2 && words >= 4 * m && full * 10 >= m * 6;
}

/* ---- logical rows ---- */
static bool starts_lower(const struct pdf *p, const struct pdf_page *page, const struct segment *s) {
    struct slice t = pdf_text(p, &p->words[page->order[s->first]]);
    return t.len && islower((unsigned char)t.data[0]);
}

static bool has_digit(const struct pdf *p, const struct pdf_page *page, const struct trow *r) {
    for (uint32_t k = 0; k < r->n; k++)
        for (uint32_t i = r->s[k].first; i < r->s[k].first + r->s[k].n; i++) {
            struct slice t = pdf_text(p, &p->words[page->order[i]]);
            for (size_t j = 0; j < t.len; j++)
                if (isdigit((unsigned char)t.data[j])) return true;
        }
    return false;
}

static bool fills(const struct trow *r, uint32_t column) {
    for (uint32_t k = 0; k < r->n; k++)
        if (r->s[k].column <= column && column < r->s[k].column + r->s[k].n_columns) return true;
    return false;
}

/* Gives each row the number of the logical row it belongs to. */
static void join_rows(const struct pdf *p, const struct pdf_page *page, struct trow *rows, size_t n) {
    float tight = 1e9f, wide = 0;
    for (size_t i = 1; i < n; i++) {
        float pitch = rows[i].y0 - rows[i - 1].y0;
        if (pitch < tight) tight = pitch;
        if (pitch > wide) wide = pitch;
    }
    bool two_pitches = wide > 1.3f * tight;
    uint32_t logical = 0;
    rows[0].logical = 0;
    for (size_t i = 1; i < n; i++) {
        const struct trow *r = &rows[i];
        float pitch = r->y0 - rows[i - 1].y0;
        bool close = pitch <= 1.15f * tight, lower = true, first = fills(r, 0), inside = true;
        uint32_t filled = 0, filled_above = 0;
        for (uint32_t k = 0; k < r->n; k++) {
            lower = lower && starts_lower(p, page, &r->s[k]);
            bool above = false;
            for (size_t j = i; j-- > 0 && rows[j].logical == logical;) above = above || fills(&rows[j], r->s[k].column);
            inside = inside && above;
            filled++;
        }
        for (uint32_t k = 0; k < rows[i - 1].n; k++) filled_above++;
        /* "Purchases of property and equipment," above "net of proceeds | (4,589)": a name over two lines, its values
         * on the last */
        bool label = close && rows[i - 1].n == 1 && rows[i - 1].s[0].column == 0 && first && r->n > 1 &&
                     r->s[0].column == 0 && starts_lower(p, page, &r->s[0]);
        bool carries = close && inside &&
                       (lower || (!first && !has_digit(p, page, r)) || (two_pitches && filled < filled_above) ||
                        (two_pitches && !first));
        /* names of columns that begin higher than the first one's: "        | Unit" over "Item | price" */
        bool header = close && !fills(&rows[i - 1], 0) && first && logical == 0 && i == 1 && !has_digit(p, page, r) &&
                      !has_digit(p, page, &rows[0]);
        if (!carries && !header && !label) logical++;
        rows[i].logical = logical;
    }
}

/* ---- one table ---- */
static int add_cell_words(struct pdf_table *t, struct pdf *p, const struct pdf_page *page, const struct segment *s,
                          struct error *e) {
    for (uint32_t i = s->first; i < s->first + s->n; i++) {
        struct pdf_word *w = &p->words[page->order[i]];
        if (w->flags & (PDF_HEAD | PDF_TABLE)) continue;
        if (array_grow((void **)&t->words, &t->cap_words, t->n_words + 1, sizeof *t->words, e)) return ERR_NOMEM;
        t->words[t->n_words++] = page->order[i];
        w->flags |= PDF_TABLE;
        if (page->order[i] < t->first_word) t->first_word = page->order[i];
    }
    return 0;
}

static int build(struct pdf *p, uint32_t page_index, struct trow *rows, size_t n, size_t n_columns, struct pdf_table *t,
                 struct error *e) {
    const struct pdf_page *page = &p->pages[page_index];
    *t = (struct pdf_table){.page = page_index,
                            .x0 = 1e9f,
                            .y0 = rows[0].y0,
                            .x1 = 0,
                            .y1 = rows[n - 1].y1,
                            .first_word = UINT32_MAX,
                            .n_columns = (uint32_t)n_columns};
    join_rows(p, page, rows, n);
    for (size_t i = 0; i < n;) {
        size_t k = i;
        while (k < n && rows[k].logical == rows[i].logical) k++;
        for (uint32_t c = 0; c < n_columns; c++) {
            struct pdf_cell cell = {rows[i].logical, c, 1, (uint32_t)t->n_words, 0};
            for (size_t r = i; r < k; r++)
                for (uint32_t s = 0; s < rows[r].n; s++) {
                    const struct segment *seg = &rows[r].s[s];
                    if (seg->column != c) continue;
                    if (seg->n_columns > cell.n_columns) cell.n_columns = seg->n_columns;
                    if (seg->x0 < t->x0) t->x0 = seg->x0;
                    if (seg->x1 > t->x1) t->x1 = seg->x1;
                    if (add_cell_words(t, p, page, seg, e)) return ERR_NOMEM;
                }
            cell.n = (uint32_t)t->n_words - cell.first;
            if (array_grow((void **)&t->cells, &t->cap_cells, t->n_cells + 1, sizeof *t->cells, e)) return ERR_NOMEM;
            t->cells[t->n_cells++] = cell;
            /* columns under a span have no cell of their own unless something stands there */
            for (uint32_t covered = 1; covered < cell.n_columns && c + 1 < n_columns; covered++) {
                bool used = false;
                for (size_t r = i; r < k; r++)
                    for (uint32_t s = 0; s < rows[r].n; s++) used = used || rows[r].s[s].column == c + 1;
                if (used) {
                    t->cells[t->n_cells - 1].n_columns = covered;
                    break;
                }
                c++;
            }
        }
        i = k;
    }
    return 0;
}

/* Is the run of rows a table? Fills columns. */
static size_t judge(struct trow *rows, size_t n, struct column *c) {
    size_t n_c = columns(rows, n, c), filled = 0, multi = 0;
    if (n_c < 2) return 0;
    assign(rows, n, c, n_c);
    bool all_prose = true;
    for (uint32_t k = 0; k < n_c; k++) all_prose = all_prose && prose_column(rows, n, k, c[k]);
    if (all_prose) return 0;
    for (size_t i = 0; i < n; i++) {
        filled += rows[i].n;
        multi += rows[i].n >= 2;
    }
    /* columns that hold: on average a row fills at least two fifths of them */
    if (multi < 2 || filled * 5 < n * n_c * 2) return 0;
    return n_c;
}

void pdf_tables_free(struct pdf_table *t, size_t n) {
    for (size_t i = 0; t && i < n; i++) {
        free(t[i].cells);
        free(t[i].words);
    }
    free(t);
}

/* A page in two columns of prose has no tables that its rows could show: its rows go across the columns. Such a page
 * has a gutter: a strip near its middle with poppler's lines of prose on both sides, side by side, and few lines across
 * it. */
struct pline {
    float x0, y0, x1, y1;
    uint32_t n;
};

static bool side_is_prose(const struct pline *l, size_t n, float gutter, bool left, float page_width, float *top,
                          float *bottom, size_t *count) {
    float widest = 0, sum = 0;
    size_t m = 0;
    *top = 1e9f, *bottom = 0;
    for (size_t i = 0; i < n; i++) {
        if (l[i].n < 4 || (left ? l[i].x1 > gutter : l[i].x0 < gutter)) continue;
        float w = l[i].x1 - l[i].x0;
        if (w > widest) widest = w;
        if (l[i].y0 < *top) *top = l[i].y0;
        if (l[i].y1 > *bottom) *bottom = l[i].y1;
        sum += w;
        m++;
    }
    *count = m;
    return m >= 5 && widest > 0.25f * page_width && sum > 0.7f * widest * (float)m;
}

static float gutter(const struct pdf *p, const struct pdf_page *page) {
    struct pline *l = malloc((page->n + 1) * sizeof *l);
    size_t n = 0;
    float found = 0;
    if (!l) return 0;
    for (uint32_t i = page->first; i < page->first + page->n;) {
        struct pline k = {1e9f, 1e9f, 0, 0, 0};
        for (uint32_t id = p->words[i].line; i < page->first + page->n && p->words[i].line == id; i++) {
            const struct pdf_word *w = &p->words[i];
            if (w->flags & (PDF_HEAD | PDF_VERTICAL)) continue;
            if (w->x0 < k.x0) k.x0 = w->x0;
            if (w->y0 < k.y0) k.y0 = w->y0;
            if (w->x1 > k.x1) k.x1 = w->x1;
            if (w->y1 > k.y1) k.y1 = w->y1;
            k.n++;
        }
        if (k.n) l[n++] = k;
    }
    for (float x = 0.35f * page->width; x < 0.65f * page->width && found <= 0; x += 3) {
        float top[2], bottom[2];
        size_t count[2], crossing = 0;
        if (!side_is_prose(l, n, x, true, page->width, &top[0], &bottom[0], &count[0]) ||
            !side_is_prose(l, n, x, false, page->width, &top[1], &bottom[1], &count[1]))
            continue;
        for (size_t i = 0; i < n; i++) crossing += l[i].n >= 4 && l[i].x0 < x - 2 && l[i].x1 > x + 2;
        float shared = (bottom[0] < bottom[1] ? bottom[0] : bottom[1]) - (top[0] > top[1] ? top[0] : top[1]);
        float shorter = bottom[0] - top[0] < bottom[1] - top[1] ? bottom[0] - top[0] : bottom[1] - top[1];
        if (crossing * 4 <= count[0] + count[1] && shared > 0.5f * shorter) found = x;
    }
    free(l);
    return found;
}

int pdf_tables(struct pdf *p, uint32_t page_index, struct pdf_table **out, size_t *n_out, struct error *e) {
    struct pdf_page *page = &p->pages[page_index];
    struct pdf_table *tables = NULL;
    size_t n_tables = 0, cap = 0;
    int code = 0;
    uint32_t n = page->n_rows < TABLE_MAX_ROWS ? page->n_rows : TABLE_MAX_ROWS;
    struct trow *rows = calloc(n + 1, sizeof *rows);
    struct segment *pool = malloc(((size_t)page->n + 1) * sizeof *pool);
    size_t used = 0;
    *out = NULL;
    *n_out = 0;
    if (!rows || !pool) {
        code = error_set(e, ERR_NOMEM, "", "out of memory while looking for tables");
        goto done;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct segment s[TABLE_MAX_SEGMENTS];
        rows[i] = (struct trow){.row = i, .y0 = page->rows[i].y0, .y1 = page->rows[i].y1, .s = pool + used};
        rows[i].n = (uint32_t)cut(p, page, &page->rows[i], s);
        memcpy(pool + used, s, rows[i].n * sizeof *s);
        used += rows[i].n;
    }
    if ((page->gutter = gutter(p, page)) > 0) goto done;
    for (uint32_t i = 0; i < n && !code;) {
        if (rows[i].n < 2) {
            i++;
            continue;
        }
        uint32_t last = i, k = i + 1, singles = 0;
        for (; k < n; k++) {
            float height = rows[k].y1 - rows[k].y0, gap = rows[k].y0 - rows[k - 1].y1;
            if (gap > ROW_GAP_HEIGHTS * height || rows[k].n == 0) break;
            if (rows[k].n >= 2) {
                last = k;
                singles = 0;
            } else if (++singles > 3) {
                break;
            }
        }
        /* the longest run from here whose columns hold; a wrapped last cell below its last full row belongs to it */
        size_t n_c = 0;
        struct column c[TABLE_MAX_SEGMENTS];
        uint32_t end = last + 1;
        for (; end > i + 1; end--) {
            if (rows[end - 1].n < 2) continue;
            if ((n_c = judge(rows + i, end - i, c)) > 0) break;
            if (end - i > 12) end -= (end - i) / 8; /* long runs: don't try each length */
        }
        if (n_c == 0) {
            i++;
            continue;
        }
        while (end < n && rows[end].n == 1 && rows[end].y0 - rows[end - 1].y1 < 0.6f * (rows[end].y1 - rows[end].y0)) {
            const struct segment *s = &rows[end].s[0];
            size_t over = 0, which = 0;
            for (size_t j = 0; j < n_c; j++)
                if (overlap(s->x0, s->x1, c[j].x0, c[j].x1)) over++, which = j;
            if (over != 1 || (which == 0 && !starts_lower(p, page, s)) || s->x1 > c[which].x1 + 4 ||
                s->x0 < c[which].x0 - 4)
                break;
            end++;
        }
        assign(rows + i, end - i, c, n_c);
        if (array_grow((void **)&tables, &cap, n_tables + 1, sizeof *tables, e)) {
            code = ERR_NOMEM;
            break;
        }
        n_tables++;
        code = build(p, page_index, rows + i, end - i, n_c, &tables[n_tables - 1], e);
        i = end;
    }
done:
    free(rows);
    free(pool);
    if (code) {
        pdf_tables_free(tables, n_tables);
    } else {
        *out = tables;
        *n_out = n_tables;
    }
    return code;
}
