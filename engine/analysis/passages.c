/* passages.c: part of a set, chosen by the search: windows of statements around the best ones (the short reading that
 * decides), or whole sections (the reading of a set that is larger than the window). Owns choosing and cutting; refuses
 * to cut inside a statement.
 *
 * A passage is one contiguous range of a document's text, on statement borders. In the token sequence each is a <|doc|>
 * of its own with the document's title, as the passages of the training rows were.
 */
#include "engine/analysis/inside.h"

#include <stdlib.h>
#include <string.h>

struct window { /* statements [first, last] of a document */
    size_t doc;
    uint32_t first, last;
    bool stuck; /* has no neighbour left that fits */
    bool wide;  /* a whole section: no neighbours wanted */
};

enum { LEAD_NEAR = 400, LEAD_MAX = 2000 /* bytes */ };

/* The range that is read; *header: of a table that begins far above it, else empty. A list item is read with its
 * lead-in when that stands close above it, a row behind its table's header wherever that stands: without the names of
 * its columns a row says nothing. */
static struct ingest_span window_span(const struct corpus *c, const struct window *w, struct ingest_span *header) {
    const struct ingest_statement *st = &c->docs[w->doc].doc->statements[w->first];
    struct ingest_span span = {st->span.start, c->docs[w->doc].doc->statements[w->last].span.end}, lead = st->lead_in;
    *header = (struct ingest_span){0, 0};
    if (lead.end <= lead.start || lead.start >= span.start) return span;
    if (span.start - lead.end < LEAD_NEAR)
        span.start = lead.start;
    else if (st->kind == INGEST_TABLE_ROW && lead.end - lead.start <= LEAD_MAX)
        *header = lead;
    return span;
}

static size_t window_tokens(const struct corpus *c, const struct window *w) {
    const struct corpus_document *d = &c->docs[w->doc];
    size_t first, last, header_first, header_last;
    struct ingest_span header;
    corpus_tokens(d, window_span(c, w, &header), &first, &last);
    corpus_tokens(d, header, &header_first, &header_last);
    return last - first + header_last - header_first + d->n_title_ids + 1;
}

static size_t all_tokens(const struct corpus *c, const struct window *ws, size_t n) {
    size_t t = c->n_open;
    for (size_t i = 0; i < n; i++) t += window_tokens(c, &ws[i]);
    return t;
}

/* Joins windows of a document that touch or overlap. Returns the new count. */
static size_t merge(struct window *ws, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n;)
            if (ws[i].doc == ws[k].doc && ws[k].first <= ws[i].last + 1 && ws[i].first <= ws[k].last + 1) {
                if (ws[k].first < ws[i].first) ws[i].first = ws[k].first;
                if (ws[k].last > ws[i].last) ws[i].last = ws[k].last;
                ws[i].stuck = ws[i].wide = false;
                ws[k] = ws[--n];
                k = i + 1;
            } else {
                k++;
            }
    return n;
}

static int by_position(const void *a, const void *b) {
    const struct window *x = a, *y = b;
    if (x->doc != y->doc) return x->doc < y->doc ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

static int emit(const struct corpus *c, struct window *ws, size_t n, struct arena *a, struct passage **out,
                size_t *n_out, struct error *e) {
    qsort(ws, n, sizeof *ws, by_position);
    *out = arena_array(a, n ? n : 1, sizeof **out);
    if (!*out) return error_set(e, ERR_NOMEM, "", "There is not enough memory to choose passages.");
    for (size_t i = 0; i < n; i++) {
        struct passage *p = &(*out)[i];
        *p = (struct passage){.doc = ws[i].doc, .n_tokens = (uint32_t)window_tokens(c, &ws[i])};
        p->span = window_span(c, &ws[i], &p->header);
    }
    *n_out = n;
    return 0;
}

int passages_around(struct analysis *an, const struct corpus *c, const struct place *places, size_t n, uint32_t window,
                    uint32_t max_passages, struct arena *a, struct passage **out, size_t *n_out, struct error *e) {
    (void)an;
    struct window *ws = calloc(max_passages + 1, sizeof *ws);
    if (!ws) return error_set(e, ERR_NOMEM, "", "There is not enough memory to choose passages.");
    size_t m = 0;
    for (size_t i = 0; i < n && m < max_passages; i++) {
        bool held = false;
        for (size_t k = 0; k < m; k++)
            held |=
                ws[k].doc == places[i].doc && places[i].statement >= ws[k].first && places[i].statement <= ws[k].last;
        if (held) continue;
        ws[m] = (struct window){.doc = places[i].doc, .first = places[i].statement, .last = places[i].statement};
        if (all_tokens(c, ws, m + 1) > window && m > 0) continue;
        m = merge(ws, m + 1);
    }
    /* Neighbours, in turn: the best passage first, one below and one above, until the window is full. */
    bool grew = true;
    while (grew) {
        grew = false;
        for (size_t i = 0; i < m; i++) {
            if (ws[i].stuck) continue;
            const struct ingest_document *d = c->docs[ws[i].doc].doc;
            ws[i].stuck = true;
            for (int side = 0; side < 2; side++) {
                struct window before = ws[i];
                if (side == 0 && ws[i].last + 1 < d->n_statements)
                    ws[i].last++;
                else if (side == 1 && ws[i].first > 0)
                    ws[i].first--;
                else
                    continue;
                if (all_tokens(c, ws, m) > window) {
                    ws[i] = before;
                } else {
                    ws[i].stuck = false;
                    grew = true;
                }
            }
        }
        if (grew) m = merge(ws, m);
    }
    int rc = emit(c, ws, m, a, out, n_out, e);
    free(ws);
    return rc;
}

/* The statements whose spans lie in a section (subsections included). */
static void section_window(const struct ingest_document *d, uint32_t section, struct window *w) {
    struct ingest_span s = d->sections[section].span;
    uint32_t first = INGEST_NONE, last = 0;
    for (uint32_t i = 0; i < d->n_statements; i++)
        if (d->statements[i].span.start >= s.start && d->statements[i].span.end <= s.end) {
            if (first == INGEST_NONE) first = i;
            last = i;
        }
    if (first == INGEST_NONE) return;
    if (first < w->first) w->first = first;
    if (last > w->last) w->last = last;
    w->wide = true;
}

int passages_sections(struct analysis *an, const struct corpus *c, const struct place *places, size_t n,
                      uint32_t window, struct arena *a, struct passage **out, size_t *n_out, struct error *e) {
    (void)an;
    struct window *ws = calloc(n + 1, sizeof *ws);
    if (!ws) return error_set(e, ERR_NOMEM, "", "There is not enough memory to choose passages.");
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        const struct ingest_document *d = c->docs[places[i].doc].doc;
        bool held = false;
        for (size_t k = 0; k < m; k++)
            held |=
                ws[k].doc == places[i].doc && places[i].statement >= ws[k].first && places[i].statement <= ws[k].last;
        if (held) continue;
        struct window lone = {.doc = places[i].doc, .first = places[i].statement, .last = places[i].statement},
                      best = lone;
        /* The largest section around it that takes at most an eighth of the window: a clause with its heading, not a
         * chapter. */
        for (uint32_t s = d->statements[places[i].statement].section; s != INGEST_NONE && s < d->n_sections;
             s = d->sections[s].parent) {
            struct window w = lone;
            section_window(d, s, &w);
            if (window_tokens(c, &w) > window / 8) break;
            best = w;
        }
        ws[m] = best;
        if (all_tokens(c, ws, m + 1) > window) {
            ws[m] = lone;
            if (all_tokens(c, ws, m + 1) > window) continue;
        }
        m = merge(ws, m + 1);
    }
    int rc = emit(c, ws, m, a, out, n_out, e);
    free(ws);
    return rc;
}

int passages_sequence(struct analysis *an, const struct corpus *c, const struct passage *ps, size_t n, int32_t **ids,
                      size_t *n_ids, struct error *e) {
    size_t cap = c->n_open, k = 0;
    for (size_t i = 0; i < n; i++) cap += ps[i].n_tokens + 8u;
    int32_t *out = malloc(cap * sizeof *out);
    if (!out) return error_set(e, ERR_NOMEM, "", "There is not enough memory to read passages.");
    int rc = 0;
    memcpy(out, an->prompts.docs.ids, an->prompts.docs.n * sizeof *out);
    k += an->prompts.docs.n;
    for (size_t i = 0; i < n; i++) {
        const struct corpus_document *d = &c->docs[ps[i].doc];
        int32_t *text = NULL;
        size_t n_text = 0;
        /* Tokenised again: a passage begins as a text of its own, without the space that stood before it in the
         * document. */
        struct slice s = ingest_text(d->doc, ps[i].span), header = ingest_text(d->doc, ps[i].header);
        struct arena both = {0};
        if (header.len) s = arena_slice_printf(&both, "%.*s\n%.*s", (int)header.len, header.data, (int)s.len, s.data);
        rc = jamba_tokenize(an->model, s.data, s.len, &text, NULL, &n_text, e);
        arena_free(&both);
        if (rc) break;
        if (k + 1 + d->n_title_ids + n_text > cap) {
            cap = (k + 1 + d->n_title_ids + n_text) * 2;
            int32_t *grown = realloc(out, cap * sizeof *out);
            if (!grown) {
                free(text);
                rc = error_set(e, ERR_NOMEM, "", "There is not enough memory to read passages.");
                break;
            }
            out = grown;
        }
        if (an->prompts.doc >= 0) out[k++] = an->prompts.doc;
        if (d->n_title_ids) memcpy(out + k, d->title_ids, d->n_title_ids * sizeof *out);
        k += d->n_title_ids;
        if (n_text) memcpy(out + k, text, n_text * sizeof *out);
        k += n_text;
        free(text);
    }
    if (rc) {
        free(out);
        return rc;
    }
    *ids = out;
    *n_ids = k;
    return 0;
}
