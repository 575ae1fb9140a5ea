/* body.c: the arrays of an ingest_document as compact BLOBs, and back, field for field.
 *
 * A BLOB is: count, then the items. Integers are LEB128 varints (7 bits a byte, low first); what may be negative or
 * grows slowly is a zigzag difference to the item before. Floats and doubles are their little-endian bits. Strings are
 * length and bytes. A range is start (difference to the start before) and length.
 *
 *   page       span, label, width, height
 *   word       span, page (difference), x0 y0 x1 y1
 *   section    span, heading, parent + 1 (0 = none), level, number, path
 *   statement  span, lead_in, section, page, kind, table + 1 (0 = none)
 *   fact       kind, statement, span, subject, object, value, value2, unit, year, month, day, modality, bound, flags
 *   warning    page + 1 (0 = none), message
 *
 * The reader trusts nothing: a damaged file gives ERR_FORMAT, never a range outside the text or an index outside its
 * array. */
#include "store/database.h"

#include <string.h>

/* ---- writing ---- */
static void put_uint(struct buf *b, uint64_t v) {
    uint8_t out[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    buf_append(b, out, n);
}

static void put_int(struct buf *b, int64_t v) {
    put_uint(b, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

static void put_float(struct buf *b, float v) {
    buf_append(b, &v, sizeof v);
}

static void put_double(struct buf *b, double v) {
    buf_append(b, &v, sizeof v);
}

static void put_slice(struct buf *b, struct slice s) {
    put_uint(b, s.len);
    buf_append(b, s.data, s.len);
}

static void put_span(struct buf *b, struct ingest_span s, uint32_t *last) {
    put_int(b, (int64_t)s.start - (int64_t)*last);
    put_uint(b, s.end - s.start);
    *last = s.start;
}

int body_encode(struct body *b, const struct ingest_document *d, struct error *e) {
    *b = (struct body){0};
    int rc = body_check(d, e); /* what could not be read back is refused here, with the same words */
    if (rc) return rc;
    uint32_t at = 0, page = 0;
    put_uint(&b->pages, d->n_pages);
    for (size_t i = 0; i < d->n_pages; i++) {
        const struct ingest_page *p = &d->pages[i];
        put_span(&b->pages, p->span, &at);
        put_slice(&b->pages, p->label);
        put_float(&b->pages, p->width_pt);
        put_float(&b->pages, p->height_pt);
    }
    at = 0;
    put_uint(&b->words, d->n_words);
    for (size_t i = 0; i < d->n_words; i++) {
        const struct ingest_word *w = &d->words[i];
        put_span(&b->words, w->span, &at);
        put_int(&b->words, (int64_t)w->page - (int64_t)page);
        page = w->page;
        put_float(&b->words, w->x0);
        put_float(&b->words, w->y0);
        put_float(&b->words, w->x1);
        put_float(&b->words, w->y1);
    }
    at = 0;
    put_uint(&b->sections, d->n_sections);
    for (size_t i = 0; i < d->n_sections; i++) {
        const struct ingest_section *s = &d->sections[i];
        put_span(&b->sections, s->span, &at);
        put_span(&b->sections, s->heading, &at);
        put_uint(&b->sections, s->parent == INGEST_NONE ? 0 : (uint64_t)s->parent + 1);
        put_uint(&b->sections, s->level);
        put_slice(&b->sections, s->number);
        put_slice(&b->sections, s->path);
    }
    at = 0;
    put_uint(&b->statements, d->n_statements);
    for (size_t i = 0; i < d->n_statements; i++) {
        const struct ingest_statement *s = &d->statements[i];
        put_span(&b->statements, s->span, &at);
        put_span(&b->statements, s->lead_in, &at);
        put_uint(&b->statements, s->section);
        put_uint(&b->statements, s->page);
        put_uint(&b->statements, (uint64_t)s->kind);
        put_uint(&b->statements, s->table == INGEST_NONE ? 0 : (uint64_t)s->table + 1);
    }
    at = 0;
    put_uint(&b->facts, d->n_facts);
    for (size_t i = 0; i < d->n_facts; i++) {
        const struct ingest_fact *f = &d->facts[i];
        put_uint(&b->facts, (uint64_t)f->kind);
        put_uint(&b->facts, f->statement);
        put_span(&b->facts, f->span, &at);
        put_span(&b->facts, f->subject, &at);
        put_span(&b->facts, f->object, &at);
        put_double(&b->facts, f->value);
        put_double(&b->facts, f->value2);
        put_slice(&b->facts, f->unit);
        put_int(&b->facts, f->year);
        put_int(&b->facts, f->month);
        put_int(&b->facts, f->day);
        put_uint(&b->facts, (uint64_t)f->modality);
        put_uint(&b->facts, (uint64_t)f->bound);
        put_uint(&b->facts, f->flags);
    }
    put_uint(&b->warnings, d->n_warnings);
    for (size_t i = 0; i < d->n_warnings; i++) {
        put_uint(&b->warnings, d->warnings[i].page == INGEST_NONE ? 0 : (uint64_t)d->warnings[i].page + 1);
        put_slice(&b->warnings, d->warnings[i].message);
    }
    if (b->pages.failed || b->words.failed || b->sections.failed || b->statements.failed || b->facts.failed ||
        b->warnings.failed)
        return store_nomem(e);
    return 0;
}

void body_free(struct body *b) {
    buf_free(&b->pages);
    buf_free(&b->words);
    buf_free(&b->sections);
    buf_free(&b->statements);
    buf_free(&b->facts);
    buf_free(&b->warnings);
}

/* ---- reading ---- */
struct reader {
    const uint8_t *p, *end;
    struct arena *arena;
    bool bad, nomem;
};

static uint64_t take_uint(struct reader *r) {
    uint64_t v = 0;
    for (int shift = 0; shift < 64 && r->p < r->end; shift += 7) {
        uint8_t c = *r->p++;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) return v;
    }
    r->bad = true;
    return 0;
}

static int64_t take_int(struct reader *r) {
    uint64_t v = take_uint(r);
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static uint32_t take_u32(struct reader *r) {
    uint64_t v = take_uint(r);
    if (v > UINT32_MAX) r->bad = true;
    return (uint32_t)v;
}

static uint32_t take_index(struct reader *r) { /* index + 1, 0 = none */
    uint64_t v = take_uint(r);
    if (v > UINT32_MAX) r->bad = true;
    return v == 0 ? INGEST_NONE : (uint32_t)(v - 1);
}

static int32_t take_i32(struct reader *r) {
    int64_t v = take_int(r);
    if (v > INT32_MAX || v < INT32_MIN) r->bad = true;
    return (int32_t)v;
}

static int take_enum(struct reader *r, int max) {
    uint64_t v = take_uint(r);
    if (v > (uint64_t)max) r->bad = true;
    return r->bad ? 0 : (int)v;
}

static void take_bytes(struct reader *r, void *out, size_t len) {
    if ((size_t)(r->end - r->p) < len) {
        r->bad = true;
        memset(out, 0, len);
        return;
    }
    memcpy(out, r->p, len);
    r->p += len;
}

static float take_float(struct reader *r) {
    float v;
    take_bytes(r, &v, sizeof v);
    return v;
}

static double take_double(struct reader *r) {
    double v;
    take_bytes(r, &v, sizeof v);
    return v;
}

static struct slice take_slice(struct reader *r) {
    uint64_t len = take_uint(r);
    if (len > (uint64_t)(r->end - r->p)) {
        r->bad = true;
        return (struct slice){"", 0};
    }
    struct slice s = arena_slice(r->arena, (struct slice){(const char *)r->p, (size_t)len});
    if (s.len != len) r->nomem = true;
    r->p += len;
    return s;
}

static struct ingest_span take_span(struct reader *r, uint32_t *last) {
    int64_t delta = take_int(r);
    uint64_t len = take_uint(r);
    if (delta < -(int64_t)UINT32_MAX || delta > (int64_t)UINT32_MAX || len > UINT32_MAX) r->bad = true;
    int64_t start = r->bad ? -1 : (int64_t)*last + delta;
    if (r->bad || start < 0 || start + (int64_t)len > (int64_t)UINT32_MAX) {
        r->bad = true;
        return (struct ingest_span){0, 0};
    }
    *last = (uint32_t)start;
    return (struct ingest_span){(uint32_t)start, (uint32_t)(start + (int64_t)len)};
}

/* Begins a BLOB: count checked against the least bytes an item takes, so that a damaged count cannot ask for memory. */
static void *take_array(struct reader *r, struct slice blob, size_t least, size_t size, size_t *n) {
    r->p = (const uint8_t *)blob.data;
    r->end = r->p + blob.len;
    uint64_t count = take_uint(r);
    if (count > (uint64_t)(r->end - r->p) / least) r->bad = true;
    *n = 0;
    if (r->bad || r->nomem) return NULL;
    void *items = arena_array(r->arena, (size_t)count, size);
    if (!items) r->nomem = true;
    if (items) *n = (size_t)count;
    return items;
}

static void take_end(struct reader *r) {
    if (r->p != r->end) r->bad = true;
}

static int take_outcome(const struct reader *r, struct error *e) {
    if (r->nomem) return store_nomem(e);
    if (r->bad)
        return error_set(e, ERR_FORMAT, "",
                         "The stored form of this document is damaged; delete it and add the file again");
    return 0;
}

int body_warnings(struct slice blob, struct arena *a, struct ingest_warning **out, size_t *n, struct error *e) {
    struct reader r = {.arena = a};
    *out = take_array(&r, blob, 2, sizeof **out, n);
    for (size_t i = 0; i < *n && !r.bad; i++) {
        (*out)[i].page = take_index(&r);
        (*out)[i].message = take_slice(&r);
    }
    take_end(&r);
    return take_outcome(&r, e);
}

int body_decode(struct ingest_document *d, const struct body_blobs *b, struct error *e) {
    struct reader r = {.arena = &d->arena};
    uint32_t at = 0, page = 0;
    d->pages = take_array(&r, b->pages, 11, sizeof *d->pages, &d->n_pages);
    for (size_t i = 0; i < d->n_pages && !r.bad; i++) {
        struct ingest_page *p = &d->pages[i];
        p->span = take_span(&r, &at);
        p->label = take_slice(&r);
        p->width_pt = take_float(&r);
        p->height_pt = take_float(&r);
    }
    take_end(&r);
    at = 0;
    if (!r.bad) d->words = take_array(&r, b->words, 19, sizeof *d->words, &d->n_words);
    for (size_t i = 0; i < d->n_words && !r.bad; i++) {
        struct ingest_word *w = &d->words[i];
        w->span = take_span(&r, &at);
        int64_t delta = take_int(&r);
        if (delta < -(int64_t)page || delta > (int64_t)(UINT32_MAX - page)) r.bad = true;
        page = w->page = r.bad ? 0 : (uint32_t)((int64_t)page + delta);
        w->x0 = take_float(&r);
        w->y0 = take_float(&r);
        w->x1 = take_float(&r);
        w->y1 = take_float(&r);
    }
    take_end(&r);
    at = 0;
    if (!r.bad) d->sections = take_array(&r, b->sections, 8, sizeof *d->sections, &d->n_sections);
    for (size_t i = 0; i < d->n_sections && !r.bad; i++) {
        struct ingest_section *s = &d->sections[i];
        s->span = take_span(&r, &at);
        s->heading = take_span(&r, &at);
        s->parent = take_index(&r);
        s->level = take_u32(&r);
        s->number = take_slice(&r);
        s->path = take_slice(&r);
    }
    take_end(&r);
    at = 0;
    if (!r.bad) d->statements = take_array(&r, b->statements, 8, sizeof *d->statements, &d->n_statements);
    for (size_t i = 0; i < d->n_statements && !r.bad; i++) {
        struct ingest_statement *s = &d->statements[i];
        s->span = take_span(&r, &at);
        s->lead_in = take_span(&r, &at);
        s->section = take_u32(&r);
        s->page = take_u32(&r);
        s->kind = (enum ingest_statement_kind)take_enum(&r, INGEST_HEADING);
        s->table = take_index(&r);
    }
    take_end(&r);
    at = 0;
    if (!r.bad) d->facts = take_array(&r, b->facts, 31, sizeof *d->facts, &d->n_facts);
    for (size_t i = 0; i < d->n_facts && !r.bad; i++) {
        struct ingest_fact *f = &d->facts[i];
        f->kind = (enum ingest_fact_kind)take_enum(&r, INGEST_TOTAL);
        f->statement = take_u32(&r);
        f->span = take_span(&r, &at);
        f->subject = take_span(&r, &at);
        f->object = take_span(&r, &at);
        f->value = take_double(&r);
        f->value2 = take_double(&r);
        f->unit = take_slice(&r);
        f->year = take_i32(&r);
        f->month = take_i32(&r);
        f->day = take_i32(&r);
        f->modality = (enum ingest_modality)take_enum(&r, INGEST_DECLARATION);
        f->bound = (enum ingest_bound)take_enum(&r, INGEST_ABOUT);
        f->flags = take_u32(&r);
    }
    take_end(&r);
    int rc = take_outcome(&r, e);
    if (rc == 0) rc = body_warnings(b->warnings, &d->arena, &d->warnings, &d->n_warnings, e);
    return rc ? rc : body_check(d, e);
}

/* ---- what both sides promise ---- */
static bool span_ok(struct ingest_span s, size_t len) {
    return s.start <= s.end && s.end <= len;
}

static int broken(struct error *e, const char *what, size_t i) {
    char where[64];
    struct buf b = {0};
    buf_printf(&b, "%s %zu", what, i);
    memset(where, 0, sizeof where);
    if (b.data) memcpy(where, b.data, b.len < sizeof where - 1 ? b.len : sizeof where - 1);
    buf_free(&b);
    return error_set(e, ERR_FORMAT, where,
                     "The parts of this document do not fit its text; delete it and add the file again");
}

int body_check(const struct ingest_document *d, struct error *e) {
    size_t len = d->text.len;
    size_t n_pages = d->n_pages ? d->n_pages : 1,
           n_sections = d->n_sections ? d->n_sections : 1; /* 0 may be named in an empty document */
    if (len >= UINT32_MAX) return error_set(e, ERR_LIMIT, "", "The text of this document is too long");
    for (size_t i = 0; i < d->n_pages; i++)
        if (!span_ok(d->pages[i].span, len)) return broken(e, "page", i);
    for (size_t i = 0; i < d->n_words; i++)
        if (!span_ok(d->words[i].span, len) || d->words[i].page >= n_pages) return broken(e, "word", i);
    for (size_t i = 0; i < d->n_sections; i++) {
        const struct ingest_section *s = &d->sections[i];
        bool parent_ok = s->parent == INGEST_NONE || s->parent < i; /* so that going up ends */
        if (!span_ok(s->span, len) || !span_ok(s->heading, len) || !parent_ok) return broken(e, "section", i);
    }
    for (size_t i = 0; i < d->n_statements; i++) {
        const struct ingest_statement *s = &d->statements[i];
        if (!span_ok(s->span, len) || !span_ok(s->lead_in, len) || s->section >= n_sections || s->page >= n_pages)
            return broken(e, "statement", i);
    }
    for (size_t i = 0; i < d->n_facts; i++) {
        const struct ingest_fact *f = &d->facts[i];
        if (!span_ok(f->span, len) || !span_ok(f->subject, len) || !span_ok(f->object, len) ||
            f->statement >= d->n_statements)
            return broken(e, "fact", i);
    }
    return 0;
}
