/* pdf.c: words of a PDF -> lines -> paragraphs, in poppler's reading order. Owns: which lines make one paragraph (by
 * gaps, indents, what would have fitted), words hyphenated over line ends, raised figures, footnotes, titles by size.
 * Tables come from pdf_table.c, running heads are taken off by pdf_heads.c. Refuses nothing itself: pages without text
 * are counted and said. */
#include "ingest/pdf.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct line {
    float x0, y0, x1, y1;
    float right, left; /* edges of the column it stands in */
    float size;        /* height of its tallest usual word */
    uint32_t page, flow, block;
    uint32_t first, n; /* in layout.order */
    uint32_t table;    /* index of a table that stands here, or INGEST_NONE */
    bool mark, footnote;
};

struct layout {
    struct writer *w;
    struct pdf *p;
    struct line *lines;
    size_t n_lines, cap_lines;
    uint32_t *order; /* words line by line */
    size_t n_order, cap_order;
    uint64_t *vocabulary; /* hashes of the document's words, open addressing */
    size_t vocabulary_size;
    bool broken; /* the last word written ends with a hyphen that the next one continues */
};

/* ---- vocabulary: how the document itself spells a word tells whether a hyphen at a line's end is part of it ---- */
static uint64_t word_hash(const char *a, size_t na, const char *b, size_t nb) {
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < na; i++) h = (h ^ (uint64_t)tolower((unsigned char)a[i])) * 1099511628211u;
    for (size_t i = 0; i < nb; i++) h = (h ^ (uint64_t)tolower((unsigned char)b[i])) * 1099511628211u;
    return h ? h : 1;
}

static struct slice bare(struct slice s) { /* without punctuation around it */
    while (s.len && ispunct((unsigned char)s.data[0])) s.data++, s.len--;
    while (s.len && ispunct((unsigned char)s.data[s.len - 1])) s.len--;
    return s;
}

static bool knows(const struct layout *l, uint64_t h) {
    if (!l->vocabulary_size) return false;
    for (size_t i = h & (l->vocabulary_size - 1);; i = (i + 1) & (l->vocabulary_size - 1)) {
        if (l->vocabulary[i] == h) return true;
        if (!l->vocabulary[i]) return false;
    }
}

static int learn(struct layout *l) {
    size_t size = 1024;
    while (size < l->p->n_words * 2) size *= 2;
    l->vocabulary = calloc(size, sizeof *l->vocabulary);
    if (!l->vocabulary) return writer_fail(l->w, ERR_NOMEM, l->w->o->name, "out of memory while reading the PDF");
    l->vocabulary_size = size;
    for (size_t k = 0; k < l->p->n_words; k++) {
        struct slice s = pdf_text(l->p, &l->p->words[k]);
        if (s.len && s.data[s.len - 1] == '-') continue;
        s = bare(s);
        if (s.len < 2) continue;
        uint64_t h = word_hash(s.data, s.len, NULL, 0);
        size_t i = h & (size - 1);
        while (l->vocabulary[i] && l->vocabulary[i] != h) i = (i + 1) & (size - 1);
        l->vocabulary[i] = h;
    }
    return 0;
}

/* ---- lines ---- */
static float line_size(const struct layout *l, uint32_t first, uint32_t n) {
    float best = 0;
    size_t most = 0;
    for (uint32_t i = first; i < first + n; i++) { /* the height that most of its bytes have */
        const struct pdf_word *w = &l->p->words[l->order[i]];
        float h = w->y1 - w->y0;
        size_t bytes = 0;
        for (uint32_t k = first; k < first + n && k < first + 40; k++) {
            const struct pdf_word *v = &l->p->words[l->order[k]];
            if (fabsf((v->y1 - v->y0) - h) < 0.3f) bytes += v->len;
        }
        if (bytes > most) most = bytes, best = h;
        if (i - first > 40) break;
    }
    return best;
}

static size_t line_text(const struct layout *l, const struct line *k, char *out, size_t cap) {
    size_t n = 0;
    for (uint32_t i = k->first; i < k->first + k->n; i++) {
        struct slice s = pdf_text(l->p, &l->p->words[l->order[i]]);
        if (n + s.len + 2 > cap) break;
        if (n) out[n++] = ' ';
        memcpy(out + n, s.data, s.len);
        n += s.len;
    }
    out[n] = 0;
    return n;
}

static struct line *add_line(struct layout *l) {
    if (array_grow((void **)&l->lines, &l->cap_lines, l->n_lines + 1, sizeof *l->lines, l->w->e)) {
        writer_fail(l->w, ERR_NOMEM, l->w->o->name, "out of memory while reading the PDF");
        return NULL;
    }
    struct line *k = &l->lines[l->n_lines++];
    memset(k, 0, sizeof *k);
    k->table = INGEST_NONE;
    return k;
}

static void finish_line(struct layout *l, struct line *k) {
    char text[64];
    k->size = line_size(l, k->first, k->n);
    k->x0 = k->y0 = 1e9f;
    for (uint32_t i = k->first; i < k->first + k->n; i++) {
        const struct pdf_word *w = &l->p->words[l->order[i]];
        if (w->x0 < k->x0) k->x0 = w->x0;
        if (w->y0 < k->y0) k->y0 = w->y0;
        if (w->x1 > k->x1) k->x1 = w->x1;
        if (w->y1 > k->y1) k->y1 = w->y1;
    }
    size_t n = line_text(l, k, text, sizeof text);
    k->mark = list_mark((struct slice){text, n}) > 0;
}

/* A mark that poppler put into a block of its own ("(a)" left of its paragraph) goes to the start of the line right of
 * it. */
static bool only_mark(const struct layout *l, const struct line *k) {
    char text[24];
    size_t n = 0;
    for (uint32_t i = k->first; i < k->first + k->n; i++) n += l->p->words[l->order[i]].len + 1;
    if (n + 2 > sizeof text) return false;
    n = line_text(l, k, text, sizeof text - 2);
    text[n] = ' ', text[n + 1] = 0;
    if (list_mark((struct slice){text, n + 1}) == n) return true;
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)text[i])) return false;
    return n > 0 && n <= 3;
}

/* Reading order of a page in two columns: lines across both cut it into bands; in each the left column comes before the
 * right one. Poppler's own order starts with whatever block stands highest. */
struct column_line {
    uint32_t band, side; /* 0 across, 1 left, 2 right */
    float y, x;
    struct line line;
};

static int compare_columns(const void *a, const void *b) {
    const struct column_line *x = a, *y = b;
    if (x->band != y->band) return x->band < y->band ? -1 : 1;
    if (x->side != y->side) return x->side < y->side ? -1 : 1;
    if (x->y != y->y) return x->y < y->y ? -1 : 1;
    if (x->x != y->x) return x->x < y->x ? -1 : 1;
    return (x->line.first > y->line.first) - (x->line.first < y->line.first);
}

static int sort_columns(struct layout *l, size_t from, float gutter) {
    size_t n = l->n_lines - from;
    struct column_line *c = malloc((n + 1) * sizeof *c);
    if (!c) return writer_fail(l->w, ERR_NOMEM, l->w->o->name, "out of memory while reading the PDF");
    for (size_t i = 0; i < n; i++) {
        const struct line *k = &l->lines[from + i];
        uint32_t side = k->x1 <= gutter + 2 ? 1 : k->x0 >= gutter - 2 ? 2 : 0;
        c[i] = (struct column_line){0, side, k->y0, k->x0, *k};
        c[i].line.flow = side; /* edges are the column's */
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (c[k].side == 0 && (c[k].y < c[i].y - 1 || (i == k))) c[i].band++;
    qsort(c, n, sizeof *c, compare_columns);
    for (size_t i = 0; i < n; i++) l->lines[from + i] = c[i].line;
    free(c);
    return 0;
}

/* Reading order of other pages: poppler's blocks from top to bottom; blocks side by side in bands from left to right.
 * Poppler's own order puts indented blocks of a table of contents behind all others. */
struct block {
    float x0, y0, x1, y1;
    uint32_t first, n; /* lines */
    uint32_t band, column;
};

static int compare_tops(const void *a, const void *b) {
    const struct block *x = a, *y = b;
    if (x->y0 != y->y0) return x->y0 < y->y0 ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

static int compare_bands(const void *a, const void *b) {
    const struct block *x = a, *y = b;
    if (x->band != y->band) return x->band < y->band ? -1 : 1;
    if (x->column != y->column) return x->column < y->column ? -1 : 1;
    return compare_tops(a, b);
}

/* Columns of a band: blocks that overlap in width are one column; columns are numbered from the left. */
static void band_columns(struct block *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float x0 = b[i].x0, x1 = b[i].x1;
        for (bool grown = true; grown;) {
            grown = false;
            for (size_t k = 0; k < n; k++)
                if (b[k].x0 < x1 - 1 && x0 < b[k].x1 - 1 && (b[k].x0 < x0 || b[k].x1 > x1)) {
                    x0 = b[k].x0 < x0 ? b[k].x0 : x0;
                    x1 = b[k].x1 > x1 ? b[k].x1 : x1;
                    grown = true;
                }
        }
        b[i].column = x0 > 0 ? (uint32_t)(x0 * 4) : 0; /* its left edge stands for it */
    }
}

#define BAND_BLOCKS 64 /* side by side; more is a drawing, left as it is */

static int sort_blocks(struct layout *l, size_t from) {
    size_t n = l->n_lines - from, n_blocks = 0;
    struct block *b = malloc((n + 1) * sizeof *b);
    struct line *lines = malloc((n + 1) * sizeof *lines);
    if (!b || !lines) {
        free(b);
        free(lines);
        return writer_fail(l->w, ERR_NOMEM, l->w->o->name, "out of memory while reading the PDF");
    }
    for (size_t i = 0; i < n; i++) {
        const struct line *k = &l->lines[from + i];
        if (i == 0 || k->block != l->lines[from + i - 1].block)
            b[n_blocks++] = (struct block){k->x0, k->y0, k->x1, k->y1, (uint32_t)i, 0, 0, 0};
        struct block *last = &b[n_blocks - 1];
        if (k->x0 < last->x0) last->x0 = k->x0;
        if (k->y0 < last->y0) last->y0 = k->y0;
        if (k->x1 > last->x1) last->x1 = k->x1;
        if (k->y1 > last->y1) last->y1 = k->y1;
        last->n++;
    }
    qsort(b, n_blocks, sizeof *b, compare_tops);
    for (size_t i = 0, band = 0; i < n_blocks; band++) {
        size_t k = i;
        float bottom = b[i].y1;
        while (k < n_blocks && (k == i || b[k].y0 < bottom - 3)) {
            if (b[k].y1 > bottom) bottom = b[k].y1;
            b[k].band = (uint32_t)band;
            k++;
        }
        if (k - i > 1 && k - i <= BAND_BLOCKS) band_columns(b + i, k - i);
        i = k;
    }
    qsort(b, n_blocks, sizeof *b, compare_bands);
    size_t m = 0;
    for (size_t i = 0; i < n_blocks; i++)
        for (uint32_t k = 0; k < b[i].n; k++) lines[m++] = l->lines[from + b[i].first + k];
    memcpy(l->lines + from, lines, n * sizeof *lines);
    free(b);
    free(lines);
    return 0;
}

static int page_lines(struct layout *l, uint32_t page_index) {
    struct pdf *p = l->p;
    const struct pdf_page *page = &p->pages[page_index];
    size_t from = l->n_lines;
    for (uint32_t i = page->first; i < page->first + page->n;) {
        uint32_t id = p->words[i].line;
        struct line *k = add_line(l);
        if (!k) return l->w->code;
        k->page = page_index, k->flow = p->words[i].flow, k->block = p->words[i].block, k->first = (uint32_t)l->n_order;
        for (; i < page->first + page->n && p->words[i].line == id; i++) {
            if (p->words[i].flags & (PDF_HEAD | PDF_TABLE)) continue;
            if (array_grow((void **)&l->order, &l->cap_order, l->n_order + 1, sizeof *l->order, l->w->e))
                return writer_fail(l->w, ERR_NOMEM, l->w->o->name, "out of memory while reading the PDF");
            l->order[l->n_order++] = i;
        }
        k->n = (uint32_t)l->n_order - k->first;
        if (k->n == 0) {
            l->n_lines--;
            continue;
        }
        finish_line(l, k);
    }
    size_t end = l->n_lines;
    for (size_t i = from; i < end; i++) {
        struct line *m = &l->lines[i];
        if (m->n == 0 || !only_mark(l, m)) continue;
        struct line *best = NULL;
        float nearest = 90;
        for (size_t k = from; k < end; k++) {
            struct line *c = &l->lines[k];
            float middle = (m->y0 + m->y1) / 2;
            if (k == i || c->n == 0 || middle < c->y0 || middle > c->y1 || c->x0 < m->x1 || c->x0 - m->x1 > nearest)
                continue;
            if (k == i + 1 && c->block == m->block) break; /* in its place already */
            nearest = c->x0 - m->x1;
            best = c;
        }
        if (!best || only_mark(l, best)) continue;
        uint32_t first = (uint32_t)l->n_order, n = m->n + best->n;
        for (uint32_t j = 0; j < n; j++) {
            uint32_t word = j < m->n ? l->order[m->first + j] : l->order[best->first + j - m->n];
            if (array_grow((void **)&l->order, &l->cap_order, l->n_order + 1, sizeof *l->order, l->w->e))
                return writer_fail(l->w, ERR_NOMEM, l->w->o->name, "out of memory while reading the PDF");
            l->order[l->n_order++] = word;
        }
        best->first = first, best->n = n;
        best->x1 = 0;
        finish_line(l, best);
        best->mark = true;
        m->n = 0;
    }
    size_t kept = from;
    for (size_t i = from; i < end; i++)
        if (l->lines[i].n) l->lines[kept++] = l->lines[i];
    l->n_lines = kept;
    if (l->n_lines > from && (page->gutter > 0 ? sort_columns(l, from, page->gutter) : sort_blocks(l, from)))
        return l->w->code;
    /* edges: of the lines of the same flow */
    for (size_t i = from; i < l->n_lines; i++) {
        struct line *a = &l->lines[i];
        a->left = a->x0, a->right = a->x1;
        for (size_t k = from; k < l->n_lines && l->n_lines - from <= 2000; k++) {
            if (l->lines[k].flow != a->flow) continue;
            if (l->lines[k].x0 < a->left) a->left = l->lines[k].x0;
            if (l->lines[k].x1 > a->right) a->right = l->lines[k].x1;
        }
    }
    /* a flow of one short line knows no edge: the page's lines that begin near it do */
    for (size_t i = from; i < l->n_lines; i++) {
        struct line *a = &l->lines[i];
        size_t in_flow = 0;
        for (size_t k = from; k < l->n_lines; k++) in_flow += l->lines[k].flow == a->flow;
        if (in_flow >= 3 || l->n_lines - from > 2000) continue;
        for (size_t k = from; k < l->n_lines; k++)
            if (fabsf(l->lines[k].x0 - a->x0) < 40 && l->lines[k].right > a->right) a->right = l->lines[k].right;
    }
    return 0;
}

/* ---- paragraphs ---- */
static struct slice last_word(const struct layout *l, const struct line *k) {
    return pdf_text(l->p, &l->p->words[l->order[k->first + k->n - 1]]);
}

static struct slice first_word(const struct layout *l, const struct line *k) {
    return pdf_text(l->p, &l->p->words[l->order[k->first]]);
}

static bool ends_sentence(struct slice s) {
    while (s.len && strchr("\"')]", s.data[s.len - 1])) s.len--;
    while (s.len >= 3 &&
           (!memcmp(s.data + s.len - 3, "\xe2\x80\x9d", 3) || !memcmp(s.data + s.len - 3, "\xe2\x80\x99", 3)))
        s.len -= 3;
    return s.len && strchr(".;:?!", s.data[s.len - 1]) != NULL;
}

static bool starts_lower(struct slice s) {
    while (s.len && strchr("\"'([", s.data[0])) s.data++, s.len--;
    return s.len && islower((unsigned char)s.data[0]);
}

static bool hyphenated(struct slice s) {
    return s.len >= 2 && ((s.data[s.len - 1] == '-' && isalpha((unsigned char)s.data[s.len - 2])) ||
                          (s.len >= 4 && (!memcmp(s.data + s.len - 2, "\xc2\xad", 2) ||
                                          !memcmp(s.data + s.len - 3, "\xe2\x80\x90", 3))));
}

static bool same_row(const struct line *a, const struct line *b) {
    float top = a->y0 > b->y0 ? a->y0 : b->y0, bottom = a->y1 < b->y1 ? a->y1 : b->y1;
    return a->page == b->page && b->x0 >= a->x1 - 1 && bottom - top > 0.5f * (a->size < b->size ? a->size : b->size);
}

/* Would the first word of b have stood on line a? Then the line was ended on purpose. */
static bool had_room(const struct layout *l, const struct line *a, const struct line *b) {
    const struct pdf_word *w = &l->p->words[l->order[b->first]];
    return a->x1 + a->size * 0.25f + (w->x1 - w->x0) < a->right - 1;
}

static bool centered(const struct line *k, float page_width) {
    float left = k->x0, right = page_width - k->x1;
    return left > page_width * 0.15f && fabsf(left - right) < page_width * 0.02f;
}

/* Does b carry on the paragraph of a? start: the line that the paragraph began with. */
static bool continues(const struct layout *l, const struct line *start, const struct line *a, const struct line *b) {
    struct slice end = last_word(l, a), begin = first_word(l, b);
    if (a->table != INGEST_NONE || b->table != INGEST_NONE) return false;
    if (fabsf(a->size - b->size) > 0.12f * (a->size > b->size ? a->size : b->size)) return false;
    if (same_row(a, b)) return b->x0 - a->x1 < 4 * a->size || start == a;
    bool word_goes_on = hyphenated(end) && starts_lower(begin), lower = starts_lower(begin), ended = ends_sentence(end);
    if (b->mark && (ended || had_room(l, a, b) || a->mark)) return false;
    if (a->page != b->page || b->y0 < a->y0 - a->size) { /* over a page or column */
        if (word_goes_on) return true;
        return !ended && !b->mark &&
               (lower || (!had_room(l, a, b) && b->x0 <= b->left + 2 && a->size <= l->p->body * 1.12f &&
                          a->right - a->left > 150));
    }
    if (word_goes_on) return true;
    float pitch = b->y0 - a->y0;
    if (pitch > 2.6f * a->size) return false;
    bool wide = pitch > 1.75f * a->size; /* more than one and a half lines: a blank line, or double-spaced text */
    if (wide) return !ended && lower;
    /* indents: the second line of a paragraph may hang to the right of its mark or stand left of its indented first
     * line */
    if (b->x0 > a->x0 + 0.9f * a->size && !(a == start && a->mark)) {
        bool centred = centered(a, l->p->pages[a->page].width) && centered(b, l->p->pages[b->page].width);
        if (!centred && ended) return false;
        if (!centred && !lower && had_room(l, a, b)) return false;
    }
    if (b->x0 < a->x0 - 0.9f * a->size && a != start && ended) return false;
    if (lower && !ended) return true;
    if (had_room(l, a, b)) {
        bool centred = centered(a, l->p->pages[a->page].width) && centered(b, l->p->pages[b->page].width);
        return centred && a->size > l->p->body * 1.12f; /* a title over two lines */
    }
    return true;
}

/* ---- writing ---- */
/* Keeps the hyphen of "non-" + "exclusive"? The document's own spelling decides; else a hyphen between two words it
 * knows stays. */
static bool keep_hyphen(const struct layout *l, struct slice a, struct slice b) {
    struct slice x = bare(a), y = bare(b);
    if (knows(l, word_hash(x.data, x.len, y.data, y.len))) return false;
    char joined[200];
    if (x.len + y.len + 1 < sizeof joined) {
        memcpy(joined, x.data, x.len);
        joined[x.len] = '-';
        if (knows(l, word_hash(joined, x.len + 1, y.data, y.len))) return true;
    }
    return x.len >= 2 && y.len >= 2 && knows(l, word_hash(x.data, x.len, NULL, 0)) &&
           knows(l, word_hash(y.data, y.len, NULL, 0));
}

static void put_word(struct layout *l, uint32_t index, const struct pdf_word *before,
                     const struct pdf_word *next_line_word) {
    struct pdf *p = l->p;
    const struct pdf_word *w = &p->words[index];
    struct slice s = pdf_text(p, w);
    bool glued = l->broken;
    float height = w->y1 - w->y0;
    struct buf raised = {0};
    l->broken = false;
    if (before && !glued && (before->line == w->line || fabsf(before->y1 - w->y1) < 0.5f * height)) {
        float gap = w->x0 - before->x1, tall = before->y1 - before->y0;
        bool closing = s.len == 1 && strchr(",.;:)", s.data[0]); /* set apart by some printers: "$153 million ," */
        glued = gap < (closing ? 0.4f : 0.06f) * (height > tall ? height : tall) && gap > -0.5f * height;
        bool figures = s.len <= 3;
        for (size_t i = 0; i < s.len; i++) figures = figures && isdigit((unsigned char)s.data[i]);
        /* smaller and higher than the word before it */
        if (figures && height < 0.85f * tall && w->y1 < before->y1 - 0.12f * tall && gap < 0.3f * tall) {
            text_superscript(&raised, s);
            s = buf_slice(&raised);
            glued = true;
        }
    }
    if (next_line_word && hyphenated(s)) {
        struct slice n = pdf_text(p, next_line_word);
        if (starts_lower(n)) {
            l->broken = true;
            bool plain = s.data[s.len - 1] == '-';
            if (!keep_hyphen(l, s, n) || !plain) s.len -= plain ? 1 : (size_t)(s.data[s.len - 1] == '\xad' ? 2 : 3);
        } else if (s.data[s.len - 1] == '-' && n.len && isupper((unsigned char)n.data[0])) {
            l->broken = true; /* "Anglo-" "American" */
        }
    }
    writer_word(l->w, (uint32_t)0, w->x0, w->y0, w->x1, w->y1, s, glued);
    if (l->w->n_words && !l->w->code) l->w->words[l->w->n_words - 1].page = (uint32_t)l->w->n_pages - 1;
    buf_free(&raised);
}

static void put_line(struct layout *l, const struct line *k, const struct line *next) {
    for (uint32_t i = 0; i < k->n && !l->w->code; i++) {
        const struct pdf_word *before = i ? &l->p->words[l->order[k->first + i - 1]] : NULL;
        const struct pdf_word *after = i + 1 == k->n && next ? &l->p->words[l->order[next->first]] : NULL;
        put_word(l, l->order[k->first + i], before, after);
    }
}

static void put_table(struct layout *l, const struct pdf_table *t) {
    struct writer *w = l->w;
    writer_table_begin(w);
    uint32_t row = INGEST_NONE;
    for (size_t i = 0; i < t->n_cells && !w->code; i++) {
        const struct pdf_cell *c = &t->cells[i];
        if (c->row != row) {
            writer_row_begin(w);
            row = c->row;
        }
        struct ingest_block *b = writer_cell(w, c->n_columns);
        if (!b) break;
        l->broken = false;
        for (uint32_t k = 0; k < c->n; k++) {
            const struct pdf_word *before = k ? &l->p->words[t->words[c->first + k - 1]] : NULL;
            const struct pdf_word *after = k + 1 < c->n ? &l->p->words[t->words[c->first + k + 1]] : NULL;
            const struct pdf_word *word = &l->p->words[t->words[c->first + k]];
            if (after && after->y0 < word->y1 - 0.3f * (word->y1 - word->y0)) after = NULL; /* on the same line */
            put_word(l, t->words[c->first + k], before, after);
        }
        l->broken = false;
        writer_end(w);
    }
    writer_row_end(w);
    writer_table_end(w);
}

#define HEADING_MAX 200      /* bytes */
#define HEADING_LARGER 1.15f /* than the body: fonts of one size differ in height by up to a tenth */
#define HEADING_SIZES 6

static uint32_t heading_level(const float *sizes, size_t n, float size) {
    for (size_t i = 0; i < n; i++)
        if (size > sizes[i] - 0.4f) return (uint32_t)i + 1;
    return (uint32_t)n;
}

/* Sizes above the body's that short paragraphs have, largest first. */
static size_t heading_sizes(const struct layout *l, float *sizes) {
    size_t n = 0;
    for (size_t i = 0; i < l->n_lines; i++) {
        float s = l->lines[i].size;
        if (l->lines[i].table != INGEST_NONE || s < l->p->body * HEADING_LARGER) continue;
        size_t k = 0;
        while (k < n && fabsf(sizes[k] - s) > 0.4f) k++;
        if (k < n) continue;
        if (n < HEADING_SIZES) {
            sizes[n++] = s;
        } else {
            size_t least = 0;
            for (size_t j = 1; j < n; j++)
                if (sizes[j] < sizes[least]) least = j;
            if (s > sizes[least]) sizes[least] = s;
        }
    }
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && sizes[j] > sizes[j - 1]; j--) {
            float t = sizes[j];
            sizes[j] = sizes[j - 1], sizes[j - 1] = t;
        }
    return n;
}

/* Footnotes: the last lines of a page, smaller than the body, the first of them with a figure or star before its text.
 */
static void find_footnotes(struct layout *l, size_t from, size_t end) {
    size_t k = end;
    while (k > from && l->lines[k - 1].table == INGEST_NONE && l->lines[k - 1].size < 0.93f * l->p->body &&
           l->lines[k - 1].y0 > l->p->pages[l->lines[k - 1].page].height * 0.5f)
        k--;
    if (k == end || k == from) return;
    const struct line *f = &l->lines[k];
    struct slice s = first_word(l, f);
    bool mark =
        s.len >= 1 && (isdigit((unsigned char)s.data[0]) || s.data[0] == '*' || (unsigned char)s.data[0] >= 0xc2);
    if (!mark) return;
    for (; k < end; k++) l->lines[k].footnote = true;
}

/* Writes the lines [from, end) that are (or are not) footnotes; the last paragraph stays open. */
static const struct line *put_lines(struct layout *l, size_t from, size_t end, const struct pdf_table *tables,
                                    const float *sizes, size_t n_sizes, const struct line *open,
                                    const struct line **start) {
    struct writer *w = l->w;
    for (size_t i = from; i < end && !w->code; i++) {
        const struct line *k = &l->lines[i];
        if (k->table != INGEST_NONE) {
            if (w->in_block) writer_end(w);
            put_table(l, &tables[k->table]);
            open = NULL;
            continue;
        }
        if (open && w->in_block && open->footnote == k->footnote && continues(l, *start, open, k)) {
            put_line(l, k, i + 1 < end ? &l->lines[i + 1] : NULL);
            open = k;
            continue;
        }
        if (w->in_block) writer_end(w);
        l->broken = false;
        struct ingest_block *b = writer_begin(w, k->footnote ? INGEST_BLOCK_FOOTNOTE : INGEST_BLOCK_PARAGRAPH, 0);
        if (!b) break;
        b->size_pt = k->size;
        b->indent_pt = k->x0;
        if (centered(k, l->p->pages[k->page].width)) b->flags |= INGEST_BLOCK_CENTERED;
        if (!k->footnote && k->size >= l->p->body * HEADING_LARGER && k->n <= 30) {
            b->kind = INGEST_BLOCK_HEADING;
            b->level = heading_level(sizes, n_sizes, k->size);
            b->flags |= INGEST_BLOCK_GUESSED;
        }
        *start = open = k;
        put_line(l, k, i + 1 < end ? &l->lines[i + 1] : NULL);
    }
    return open;
}

static void body_size(struct pdf *p) {
    double sums[400] = {0}; /* by quarter points */
    for (size_t i = 0; i < p->n_words; i++) {
        const struct pdf_word *w = &p->words[i];
        float h = w->y1 - w->y0;
        if (h > 0 && h < 99 && !(w->flags & (PDF_HEAD | PDF_VERTICAL))) sums[(size_t)(h * 4)] += w->len;
    }
    size_t best = 0;
    for (size_t i = 1; i + 1 < 400; i++)
        if (sums[i] > sums[best]) best = i;
    p->body = (float)best / 4 + 0.125f;
}

/* "3-7, 12" of the pages without words. */
static void warn_empty(struct writer *w, const struct pdf *p) {
    struct buf list = {0};
    size_t n = 0;
    for (size_t i = 0; i < p->n_pages; i++) {
        if (p->pages[i].n) continue;
        size_t k = i;
        while (k + 1 < p->n_pages && p->pages[k + 1].n == 0) k++;
        n += k + 1 - i;
        if (list.len < 160) buf_printf(&list, k > i ? "%s%zu-%zu" : "%s%zu", list.len ? ", " : "", i + 1, k + 1);
        i = k;
    }
    w->d->n_pages_without_text = (uint32_t)n;
    if (n)
        writer_warn(w, INGEST_NONE, "%zu of %zu pages have no text and were not read (scans or empty): %s", n,
                    p->n_pages, list.data ? list.data : "");
    buf_free(&list);
}

static void warn_unmapped(struct writer *w, const struct pdf *p) {
    for (size_t i = 0; i < p->n_pages; i++) {
        size_t bad = 0;
        for (uint32_t k = p->pages[i].first; k < p->pages[i].first + p->pages[i].n; k++) {
            struct slice s = pdf_text(p, &p->words[k]);
            bool unmapped = false;
            for (size_t j = 0; j < s.len && !unmapped;) {
                uint32_t cp;
                int n = utf8_decode(s.data + j, s.len - j, &cp);
                unmapped = n == 0 || cp == 0xfffd || (cp >= 0xe000 && cp < 0xf000);
                j += n ? (size_t)n : 1;
            }
            bad += unmapped;
        }
        if (bad)
            writer_warn(w, (uint32_t)i,
                        "%zu words of page %zu have letters that the file does not name; they may read wrong", bad,
                        i + 1);
    }
}

static void take_title(struct writer *w, const struct pdf *p) {
    struct slice t = slice_trim(buf_slice(&p->title));
    static const char *const programs[] = {"microsoft ", "untitled", "powerpoint", "layout 1"};
    static const char *const endings[] = {".doc", ".docx", ".indd", ".pdf", ".qxd", ".xls", ".xlsx",
                                          ".ppt", ".tex",  ".dvi",  ".rtf", ".wpd", ".htm", ".html"};
    if (t.len < 3 || t.len > 300 || !utf8_valid(t.data, t.len)) return;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (t.len >= strlen(programs[i]) && !strncasecmp(t.data, programs[i], strlen(programs[i]))) return;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]);
        if (t.len > n && !strncasecmp(t.data + t.len - n, endings[i], n)) return;
    }
    struct buf clean = {0};
    text_clean(&clean, t, false);
    w->d->title = arena_slice(&w->d->arena, buf_slice(&clean));
    buf_free(&clean);
}

int pdf_write(struct writer *w, struct pdf *p) {
    struct layout l = {.w = w, .p = p};
    int code = pdf_rows(p, w->e);
    if (!code) code = pdf_heads(p, w->e);
    if (code) {
        w->code = code;
        return code;
    }
    body_size(p);
    learn(&l);
    float sizes[HEADING_SIZES];
    struct {
        size_t from, end;
        struct pdf_table *tables;
        size_t n_tables;
    } *pages = calloc(p->n_pages + 1, sizeof *pages);
    if (!pages) writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading the PDF");
    for (uint32_t i = 0; i < p->n_pages && !w->code; i++) {
        if ((code = pdf_tables(p, i, &pages[i].tables, &pages[i].n_tables, w->e)) != 0) {
            w->code = code;
            break;
        }
        pages[i].from = l.n_lines;
        page_lines(&l, i);
        /* tables stand where their first word stood in reading order */
        for (size_t t = 0; t < pages[i].n_tables && !w->code; t++) {
            if (!add_line(&l)) break;
            size_t at = l.n_lines - 1;
            struct line k = {.page = i,
                             .table = (uint32_t)t,
                             .first = 0,
                             .n = 0,
                             .y0 = pages[i].tables[t].y0,
                             .y1 = pages[i].tables[t].y1};
            while (at > pages[i].from) {
                const struct line *b = &l.lines[at - 1];
                bool behind = b->table != INGEST_NONE ? false
                              : b->y0 >= k.y1 - 2 && b->x0 < pages[i].tables[t].x1 && b->x1 > pages[i].tables[t].x0
                                  ? true
                              : b->y1 <= k.y0 + 2 && b->x0 < pages[i].tables[t].x1 && b->x1 > pages[i].tables[t].x0
                                  ? false
                                  : l.order[b->first] > pages[i].tables[t].first_word;
                if (!behind) break;
                l.lines[at] = l.lines[at - 1];
                at--;
            }
            l.lines[at] = k;
        }
        pages[i].end = l.n_lines;
        find_footnotes(&l, pages[i].from, pages[i].end);
    }
    size_t n_sizes = w->code ? 0 : heading_sizes(&l, sizes);
    const struct line *open = NULL, *start = NULL;
    for (uint32_t i = 0; i < p->n_pages && !w->code; i++) {
        writer_page(w, slice_of(p->pages[i].label), p->pages[i].width, p->pages[i].height);
        size_t body_end = pages[i].end;
        while (body_end > pages[i].from && l.lines[body_end - 1].footnote) body_end--;
        if (body_end < pages[i].end) {
            /* footnotes go before the page's last paragraph, which may run on to the next page: pages stay in order in
             * the text */
            size_t last = body_end;
            while (last > pages[i].from + 1 && l.lines[last - 1].table == INGEST_NONE &&
                   continues(&l, &l.lines[last - 2], &l.lines[last - 2], &l.lines[last - 1]))
                last--;
            if (last > pages[i].from) last--;
            if (last > pages[i].from) {
                open = put_lines(&l, pages[i].from, last, pages[i].tables, sizes, n_sizes, open, &start);
                open = put_lines(&l, body_end, pages[i].end, pages[i].tables, sizes, n_sizes, open, &start);
                if (w->in_block) writer_end(w);
                open = NULL;
                open = put_lines(&l, last, body_end, pages[i].tables, sizes, n_sizes, open, &start);
            } else {
                open = put_lines(&l, pages[i].from, pages[i].end, pages[i].tables, sizes, n_sizes, open, &start);
            }
        } else {
            open = put_lines(&l, pages[i].from, body_end, pages[i].tables, sizes, n_sizes, open, &start);
        }
        /* a word broken over the page's end: the next page's first line finishes it */
        if (open && w->in_block && !l.broken && i + 1 < p->n_pages && pages[i + 1].from < pages[i + 1].end &&
            hyphenated(last_word(&l, open)) && l.lines[pages[i + 1].from].table == INGEST_NONE &&
            starts_lower(first_word(&l, &l.lines[pages[i + 1].from]))) {
            l.broken = true;
            size_t n = w->text.len;
            bool keep = keep_hyphen(&l, last_word(&l, open), first_word(&l, &l.lines[pages[i + 1].from]));
            if (!keep && n && w->text.data[n - 1] == '-' && w->n_words && w->words[w->n_words - 1].span.end == n &&
                n - w->words[w->n_words - 1].span.start > 1) {
                w->text.len--;
                w->text.data[w->text.len] = 0;
                w->words[w->n_words - 1].span.end--;
            }
        }
    }
    if (w->in_block) writer_end(w);
    warn_empty(w, p);
    warn_unmapped(w, p);
    take_title(w, p);
    for (size_t i = 0; pages && i < p->n_pages; i++) pdf_tables_free(pages[i].tables, pages[i].n_tables);
    free(pages);
    free(l.lines);
    free(l.order);
    free(l.vocabulary);
    return w->code;
}

int pdf_read(struct writer *w, int fd) {
    struct pdf p = {0};
    int code = pdf_words_read(&p, fd, w->o, w->e);
    if (code)
        w->code = code;
    else
        pdf_write(w, &p);
    pdf_free(&p);
    return w->code;
}
