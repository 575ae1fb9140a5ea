/* pdf_heads.c: rows of a PDF page, and which of them are running heads, feet and page numbers. A row is a head when
 * nearly the same text (figures don't count) stands at the same height on at least three pages close together, outside
 * the body: nothing but such rows lies between it and the page's edge, and a gap, or the outer margin, parts it from
 * the text below. So the column names that a long table repeats on each page stay, and a document of one or two pages
 * loses nothing but a page number. */
#include "ingest/pdf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEAD_ROWS 4       /* rows from the edge that may be heads */
#define HEAD_DRIFT 3.0f   /* points by which its height may differ between pages */
#define HEAD_FIGURES 4    /* of a head that are looked at: "2022 Annual Report on Form 10-K, page 12 of 130" */
#define HEAD_MARGIN 0.08f /* of the page's height: so near to the edge no gap is asked for */

/* ---- rows ---- */
struct by_place {
    float y, x;
    uint32_t word;
};

static int compare_y(const void *a, const void *b) {
    const struct by_place *x = a, *y = b;
    if (x->y != y->y) return x->y < y->y ? -1 : 1;
    if (x->x != y->x) return x->x < y->x ? -1 : 1;
    return (x->word > y->word) - (x->word < y->word);
}

static int compare_x(const void *a, const void *b) {
    const struct by_place *x = a, *y = b;
    if (x->x != y->x) return x->x < y->x ? -1 : 1;
    return (x->word > y->word) - (x->word < y->word);
}

static int page_rows(struct pdf *p, struct pdf_page *page, struct error *e) {
    uint32_t n = 0;
    struct by_place *places = malloc((page->n + 1) * sizeof *places);
    page->order = malloc((page->n + 1) * sizeof *page->order);
    page->rows = malloc((page->n + 1) * sizeof *page->rows);
    if (!places || !page->order || !page->rows) {
        free(places);
        return error_set(e, ERR_NOMEM, "", "out of memory while laying out a page");
    }
    for (uint32_t i = page->first; i < page->first + page->n; i++) {
        const struct pdf_word *w = &p->words[i];
        if (!(w->flags & (PDF_VERTICAL | PDF_HEAD))) places[n++] = (struct by_place){(w->y0 + w->y1) / 2, w->x0, i};
    }
    qsort(places, n, sizeof *places, compare_y);
    page->n_rows = 0;
    for (uint32_t i = 0; i < n;) {
        /* the row's height is of its first full word; a word belongs to it when its middle lies within */
        const struct pdf_word *w = &p->words[places[i].word];
        struct pdf_row r = {w->x0, w->y0, w->x1, w->y1, i, 0};
        float top = w->y0, bottom = w->y1;
        uint32_t k = i;
        for (; k < n; k++) {
            const struct pdf_word *v = &p->words[places[k].word];
            float middle = places[k].y, vh = v->y1 - v->y0;
            if (middle > bottom || middle < top) break;
            /* of a taller word only the middle of its height counts, or it would draw the next line in */
            if (vh > (bottom - top) * 1.6f && middle > (top + bottom) / 2 + (bottom - top) * 0.3f) break;
            if (middle - (r.y0 + r.y1) / 2 > (bottom - top) * 0.55f) break;
            if (v->x0 < r.x0) r.x0 = v->x0;
            if (v->x1 > r.x1) r.x1 = v->x1;
            if (v->y0 < r.y0) r.y0 = v->y0;
            if (v->y1 > r.y1) r.y1 = v->y1;
        }
        r.n = k - i;
        qsort(places + i, r.n, sizeof *places, compare_x);
        for (uint32_t j = i; j < k; j++) page->order[j] = places[j].word;
        page->rows[page->n_rows++] = r;
        i = k;
    }
    free(places);
    return 0;
}

/* ---- heads printed over the text ---- */
#define OVER_ZONE 0.15f /* of the page's height, at its top and bottom */
#define OVER_WORDS 3u   /* a head has at least so many words at exactly its place */

static bool in_zone(const struct pdf_page *page, const struct pdf_word *w) {
    return w->y1 < OVER_ZONE * page->height || w->y0 > (1 - OVER_ZONE) * page->height;
}

static bool same_place(const struct pdf *p, const struct pdf_word *a, const struct pdf_word *b) {
    float dx = a->x0 - b->x0, dy = a->y0 - b->y0;
    return dx < 0.2f && dx > -0.2f && dy < 0.2f && dy > -0.2f && slice_equal(pdf_text(p, a), pdf_text(p, b));
}

static bool covers(const struct pdf_word *a, const struct pdf_word *b) {
    float w = (a->x1 < b->x1 ? a->x1 : b->x1) - (a->x0 > b->x0 ? a->x0 : b->x0),
          h = (a->y1 < b->y1 ? a->y1 : b->y1) - (a->y0 > b->y0 ? a->y0 : b->y0);
    return w > 1 && h > 0.3f * (a->y1 - a->y0);
}

/* Browsers print a fixed head or foot over whatever text reaches there. Words that stand at exactly the same place on
 * the page before or behind, on one line, and lie over other words on at least one of the two pages, are such a head:
 * text that flows never overlaps. */
static void heads_over_text(struct pdf *p) {
    for (size_t i = 0; i + 1 < p->n_pages; i++) {
        struct pdf_page *a = &p->pages[i], *b = &p->pages[i + 1];
        uint32_t pairs[256][2], n = 0;
        for (uint32_t k = a->first; k < a->first + a->n && n < 256; k++) {
            if (!in_zone(a, &p->words[k])) continue;
            for (uint32_t m = b->first; m < b->first + b->n; m++)
                if (in_zone(b, &p->words[m]) && same_place(p, &p->words[k], &p->words[m])) {
                    pairs[n][0] = k, pairs[n][1] = m, n++;
                    break;
                }
        }
        for (uint32_t j = 0; j < n; j++) {
            float y = p->words[pairs[j][0]].y0;
            uint32_t on_line = 0;
            bool over = false;
            for (uint32_t k = 0; k < n; k++) {
                float d = p->words[pairs[k][0]].y0 - y;
                if (d > 0.2f || d < -0.2f) continue;
                on_line++;
                for (int side = 0; side < 2 && !over; side++) {
                    const struct pdf_page *page = side ? b : a;
                    const struct pdf_word *w = &p->words[pairs[k][side]];
                    for (uint32_t m = page->first; m < page->first + page->n && !over; m++) {
                        float away = p->words[m].y0 - w->y0;
                        over = m != pairs[k][side] && (away > 0.2f || away < -0.2f) && in_zone(page, &p->words[m]) &&
                               covers(w, &p->words[m]);
                    }
                }
            }
            if (on_line < OVER_WORDS || !(over || (p->words[pairs[j][0]].flags & PDF_HEAD))) continue;
            for (uint32_t k = 0; k < n; k++) {
                float d = p->words[pairs[k][0]].y0 - y;
                if (d > 0.2f || d < -0.2f) continue;
                p->words[pairs[k][0]].flags |= PDF_HEAD;
                p->words[pairs[k][1]].flags |= PDF_HEAD;
            }
        }
    }
}

int pdf_rows(struct pdf *p, struct error *e) {
    heads_over_text(p);
    for (size_t i = 0; i < p->n_pages; i++) {
        int code = page_rows(p, &p->pages[i], e);
        if (code) return code;
    }
    return 0;
}

/* ---- heads ---- */
struct figure {
    long value;
    uint32_t counts; /* figures near it that differ from it as their pages do */
    char printed[16];
};
struct head {
    uint32_t page, row;
    uint32_t depth;           /* rows between it and the edge */
    bool foot, number, again; /* number: nothing but a page number; again: stands on other pages too */
    float y;                  /* from the edge it is at */
    uint64_t key;             /* of its text without figures */
    uint32_t n_figures;
    struct figure figures[HEAD_FIGURES]; /* what may be its page number, in its order */
};

static bool roman_value(const char *s, size_t n, long *v) {
    static const char digits[] = "ivxlc";
    static const long values[] = {1, 5, 10, 50, 100};
    long sum = 0, last = 1000;
    if (n == 0 || n > 7) return false;
    for (size_t i = 0; i < n; i++) {
        const char *d = strchr(digits, tolower((unsigned char)s[i]));
        if (!d || !*d) return false;
        long x = values[d - digits];
        sum += x;
        if (x > last) sum -= 2 * last;
        last = x;
    }
    *v = sum;
    return true;
}

/* Key, page number and whether it is nothing else: "12", "- 12 -", "Page 12 of 40", "iv", "A-12". */
static void describe(const struct pdf *p, const struct pdf_page *page, const struct pdf_row *row, struct head *h) {
    uint64_t key = 1469598103934665603u; /* FNV-1a */
    size_t n_numbers = 0, n_letters = 0;
    bool page_word = false;
    for (uint32_t i = row->first; i < row->first + row->n; i++) {
        struct slice s = pdf_text(p, &p->words[page->order[i]]);
        long v = 0;
        size_t from = 0, to = s.len;
        while (from < to && ispunct((unsigned char)s.data[from])) from++;
        while (to > from && ispunct((unsigned char)s.data[to - 1])) to--;
        bool digits = to > from && to - from <= 6;
        for (size_t k = from; digits && k < to; k++) {
            digits = isdigit((unsigned char)s.data[k]);
            v = v * 10 + (s.data[k] - '0');
        }
        bool roman = !digits && row->n <= 3 && roman_value(s.data + from, to - from, &v);
        if (digits || roman) {
            n_numbers++;
            if (h->n_figures < HEAD_FIGURES) {
                struct figure *f = &h->figures[h->n_figures++];
                f->value = v;
                snprintf(f->printed, sizeof f->printed, "%.*s", (int)(to - from), s.data + from);
            }
            key = (key ^ '#') * 1099511628211u;
            continue;
        }
        if (s.len >= 4 && s.len <= 6 && !strncasecmp(s.data, "page", 4)) page_word = true;
        for (size_t k = 0; k < s.len; k++) {
            unsigned char c = (unsigned char)s.data[k];
            n_letters += isalpha(c) || c >= 0x80;
            key = (key ^ (isdigit(c) ? '#' : c)) * 1099511628211u;
        }
    }
    h->key = key;
    h->number = n_numbers >= 1 && n_numbers <= 2 && (n_letters == 0 || (page_word && n_letters <= 6));
}

static int compare_heads(const void *a, const void *b) {
    const struct head *x = a, *y = b;
    if (x->foot != y->foot) return x->foot ? 1 : -1;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    if (x->page != y->page) return x->page < y->page ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int compare_position(const void *a, const void *b) {
    const struct head *x = a, *y = b;
    if (x->page != y->page) return x->page < y->page ? -1 : 1;
    if (x->foot != y->foot) return x->foot ? 1 : -1;
    return (x->depth > y->depth) - (x->depth < y->depth);
}

/* Three or more on pages at most two apart (left and right pages differ) at one height; two are enough for a bare page
 * number. */
static void mark_repeated(struct head *h, size_t n) {
    qsort(h, n, sizeof *h, compare_heads);
    for (size_t i = 0; i < n;) {
        size_t k = i + 1;
        while (k < n && h[k].foot == h[i].foot && h[k].key == h[i].key) k++;
        for (size_t j = i; j < k; j++) {
            size_t run = 1;
            uint32_t at = h[j].page;
            for (size_t m = j + 1; m < k && h[m].page - at <= 2; m++)
                if (h[m].page != at && h[m].y - h[j].y < HEAD_DRIFT && h[j].y - h[m].y < HEAD_DRIFT)
                    run++, at = h[m].page;
            if (run < (h[j].number ? 2u : 3u)) continue;
            at = h[j].page;
            h[j].again = true;
            for (size_t m = j + 1; m < k && h[m].page - at <= 2; m++)
                if (h[m].y - h[j].y < HEAD_DRIFT && h[j].y - h[m].y < HEAD_DRIFT) h[m].again = true, at = h[m].page;
        }
        i = k;
    }
}

/* A page number counts pages: its value moves with the page's index. One that stands alone is a head by that. A figure
 * beside other words must do so against figures at the same height. h is sorted by page. */
static void check_numbers(struct head *h, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n && h[k].page - h[i].page <= 3; k++) {
            bool alone = h[i].number && h[k].number;
            float drift = h[k].y - h[i].y;
            if (h[k].page == h[i].page) continue;
            if (!alone && (h[k].foot != h[i].foot || drift >= HEAD_DRIFT || drift <= -HEAD_DRIFT)) continue;
            for (uint32_t a = 0; a < h[i].n_figures; a++)
                for (uint32_t b = 0; b < h[k].n_figures; b++) {
                    if (h[k].figures[b].value - h[i].figures[a].value != (long)h[k].page - (long)h[i].page) continue;
                    h[i].figures[a].counts++;
                    h[k].figures[b].counts++;
                    if (alone) h[i].again = h[k].again = true;
                }
        }
}

/* The page number in a head: the figure that counts the pages best, not a year, a chapter or the name of a form beside
 * it. NULL without; a number that stands alone is one also where pages are left out. */
static const struct figure *page_number(const struct head *h) {
    const struct figure *best = h->number ? &h->figures[0] : NULL;
    for (uint32_t a = 0; a < h->n_figures; a++)
        if (h->figures[a].counts > (best ? best->counts : 0)) best = &h->figures[a];
    return best;
}

static void strip(struct pdf *p, struct head *h, size_t n) {
    qsort(h, n, sizeof *h, compare_position);
    for (size_t i = 0; i < n;) {
        struct pdf_page *page = &p->pages[h[i].page];
        size_t k = i;
        while (k < n && h[k].page == h[i].page && h[k].foot == h[i].foot) k++;
        /* from the edge inwards as long as each is one; then the innermost must be parted from the body */
        size_t last = i;
        while (last < k && h[last].again) last++;
        for (; last > i; last--) {
            const struct head *inner = &h[last - 1];
            const struct pdf_row *row = &page->rows[inner->row];
            float gap = 1e9f, height = row->y1 - row->y0;
            if (!inner->foot && inner->row + 1 < page->n_rows) gap = page->rows[inner->row + 1].y0 - row->y1;
            if (inner->foot && inner->row > 0) gap = row->y0 - page->rows[inner->row - 1].y1;
            float edge = inner->foot ? page->height - row->y1 : row->y0;
            if (inner->number && inner->depth == 0) break; /* it counts the pages: no gap is needed */
            if (gap > 0.7f * height || edge < HEAD_MARGIN * page->height) break;
        }
        for (size_t j = i; j < last; j++) {
            const struct pdf_row *row = &page->rows[h[j].row];
            for (uint32_t w = row->first; w < row->first + row->n; w++) p->words[page->order[w]].flags |= PDF_HEAD;
            const struct figure *f = page_number(&h[j]);
            if (f && (h[j].number || !page->label[0])) memcpy(page->label, f->printed, sizeof page->label);
        }
        i = k;
    }
}

/* Where every line of the document would be a head (a card or a slip a page), they are its text: all but the page
 * numbers are given back. */
static void keep_some_text(struct pdf *p, const struct head *h, size_t n) {
    for (size_t i = 0; i < p->n_pages; i++)
        for (uint32_t r = 0; r < p->pages[i].n_rows; r++)
            if (!(p->words[p->pages[i].order[p->pages[i].rows[r].first]].flags & PDF_HEAD)) return;
    for (size_t i = 0; i < n; i++) {
        const struct pdf_page *page = &p->pages[h[i].page];
        const struct pdf_row *row = &page->rows[h[i].row];
        for (uint32_t w = row->first; w < row->first + row->n && !h[i].number; w++)
            p->words[page->order[w]].flags &= ~(uint32_t)PDF_HEAD;
    }
}

/* A label that doesn't move with the pages is no page number (a year alone on each page): such labels are taken back.
 */
static void check_labels(struct pdf *p) {
    for (size_t i = 0; i < p->n_pages; i++) {
        char *label = p->pages[i].label;
        if (!label[0]) continue;
        bool moves = p->n_pages == 1;
        if (i > 0 && p->pages[i - 1].label[0]) moves = moves || strcmp(label, p->pages[i - 1].label) != 0;
        if (i + 1 < p->n_pages && p->pages[i + 1].label[0]) moves = moves || strcmp(label, p->pages[i + 1].label) != 0;
        if (!moves) label[0] = 1; /* decided after the walk: a neighbour still looks at it */
    }
    for (size_t i = 0; i < p->n_pages; i++)
        if (p->pages[i].label[0] == 1) p->pages[i].label[0] = 0;
}

/* Pages that carry no number (a chapter's first, a picture) between two whose numbers go on over them are counted. */
static void fill_labels(struct pdf *p) {
    size_t before = 0;
    long from = -1;
    for (size_t i = 0; i < p->n_pages; i++) {
        char *end, *label = p->pages[i].label;
        if (!label[0]) continue;
        long value = strtol(label, &end, 10);
        if (*end) value = -1;
        if (from >= 0 && value - from == (long)(i - before))
            for (size_t k = before + 1; k < i; k++)
                snprintf(p->pages[k].label, sizeof p->pages[k].label, "%ld", from + (long)(k - before));
        before = i;
        from = value;
    }
}

int pdf_heads(struct pdf *p, struct error *e) {
    struct head *h = malloc((p->n_pages * 2 * HEAD_ROWS + 1) * sizeof *h);
    size_t n = 0;
    if (!h) return error_set(e, ERR_NOMEM, "", "out of memory while looking for running heads");
    for (uint32_t i = 0; i < p->n_pages; i++) {
        const struct pdf_page *page = &p->pages[i];
        for (uint32_t side = 0; side < 2; side++) {
            uint32_t rows = page->n_rows < HEAD_ROWS ? page->n_rows : HEAD_ROWS;
            for (uint32_t d = 0; d < rows; d++) {
                uint32_t r = side ? page->n_rows - 1 - d : d;
                const struct pdf_row *row = &page->rows[r];
                float y = side ? page->height - row->y1 : row->y0;
                h[n] = (struct head){.page = i, .row = r, .depth = d, .foot = side == 1, .y = y};
                describe(p, page, row, &h[n]);
                /* a page that is not full may carry its number right behind the text */
                if (y > page->height * 0.25f && !(d == 0 && side && h[n].number)) break;
                n++;
            }
        }
    }
    qsort(h, n, sizeof *h, compare_position);
    check_numbers(h, n);
    mark_repeated(h, n);
    strip(p, h, n);
    keep_some_text(p, h, n);
    check_labels(p);
    fill_labels(p);
    free(h);
    return 0;
}
