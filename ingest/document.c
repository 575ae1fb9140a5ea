/* document.c: the document as a value: its life, its options, and the lookups by byte offset. Owns no reading of files.
 */
#include "ingest/reader.h"

#include <stdlib.h>

struct ingest_options ingest_options_default(void) {
    return (struct ingest_options){.max_bytes = (uint64_t)256 << 20,
                                   .max_pages = 5000,
                                   .max_text = (uint64_t)64 << 20,
                                   .timeout_s = 120,
                                   .in_process = false,
                                   .name = NULL};
}

/* Offsets are 32 bits wide: text stays below 1 GiB whatever the caller asks for. */
#define MAX_TEXT_EVER ((uint64_t)1 << 30)

struct ingest_options options_resolve(const struct ingest_options *o) {
    struct ingest_options d = ingest_options_default();
    if (!o) return d;
    struct ingest_options r = *o;
    if (r.max_bytes == 0) r.max_bytes = d.max_bytes;
    if (r.max_pages == 0) r.max_pages = d.max_pages;
    if (r.max_text == 0) r.max_text = d.max_text;
    if (r.max_text > MAX_TEXT_EVER) r.max_text = MAX_TEXT_EVER;
    if (!(r.timeout_s > 0)) r.timeout_s = d.timeout_s;
    return r;
}

void ingest_document_free(struct ingest_document *d) {
    if (!d) return;
    arena_free(&d->arena);
    free(d);
}

/* ---- lookups ---- */
uint32_t ingest_page_at(const struct ingest_document *d, uint32_t offset) {
    if (d->n_pages == 0) return 0;
    size_t lo = 0,
           hi = d->n_pages; /* last page with start <= offset; pages without text share their start with the next */
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (d->pages[mid].span.start <= offset)
            lo = mid;
        else
            hi = mid;
    }
    while (lo > 0 && d->pages[lo].span.start == d->pages[lo].span.end && d->pages[lo - 1].span.end > offset) lo--;
    return (uint32_t)lo;
}

uint32_t ingest_statement_at(const struct ingest_document *d, uint32_t offset) {
    size_t lo = 0, hi = d->n_statements;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (offset < d->statements[mid].span.start)
            hi = mid;
        else if (offset >= d->statements[mid].span.end)
            lo = mid + 1;
        else
            return (uint32_t)mid;
    }
    return INGEST_NONE;
}

/* Sections nest and are in document order, so the last one that begins at or before the byte is in the right branch:
 * its innermost ancestor that still covers the byte is the answer. */
uint32_t ingest_section_at(const struct ingest_document *d, uint32_t offset) {
    if (d->n_sections == 0) return INGEST_NONE;
    size_t lo = 0, hi = d->n_sections;
    while (hi - lo > 1) {
        size_t mid = (lo + hi) / 2;
        if (d->sections[mid].span.start <= offset)
            lo = mid;
        else
            hi = mid;
    }
    uint32_t s = (uint32_t)lo;
    while (s != INGEST_NONE && s < d->n_sections && offset >= d->sections[s].span.end && d->sections[s].parent < s)
        s = d->sections[s].parent;
    return s < d->n_sections ? s : 0;
}

/* Words of one line: they overlap in height by half of the lower one and go on to the right (or, in right-to-left
 * script, to the left). */
static bool same_line(const struct ingest_rect *r, const struct ingest_word *w) {
    if (r->page != w->page) return false;
    float top = r->y0 > w->y0 ? r->y0 : w->y0, bottom = r->y1 < w->y1 ? r->y1 : w->y1;
    float h = r->y1 - r->y0 < w->y1 - w->y0 ? r->y1 - r->y0 : w->y1 - w->y0;
    if (bottom - top < h / 2) return false;
    float gap = w->x0 > r->x1 ? w->x0 - r->x1 : r->x0 > w->x1 ? r->x0 - w->x1 : 0;
    return gap <= 3 * (r->y1 - r->y0); /* wider: the next column or cell, which gets its own rectangle */
}

size_t ingest_word_at(const struct ingest_document *d, uint32_t offset) {
    size_t lo = 0, hi = d->n_words;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (d->words[mid].span.end <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

size_t ingest_rects(const struct ingest_document *d, struct ingest_span span, struct ingest_rect *out, size_t cap) {
    size_t lo = ingest_word_at(d, span.start), n = 0;
    struct ingest_rect r = {0};
    for (size_t i = lo; i < d->n_words && d->words[i].span.start < span.end; i++) {
        const struct ingest_word *w = &d->words[i];
        if (n && same_line(&r, w)) {
            if (w->x0 < r.x0) r.x0 = w->x0;
            if (w->y0 < r.y0) r.y0 = w->y0;
            if (w->x1 > r.x1) r.x1 = w->x1;
            if (w->y1 > r.y1) r.y1 = w->y1;
        } else {
            r = (struct ingest_rect){w->page, w->x0, w->y0, w->x1, w->y1};
            n++;
        }
        if (n <= cap) out[n - 1] = r;
    }
    return n;
}
