/* blob.c: see blob.h. Layout: "ANTI", version, kind (document or error), then fields one after another in the machine's
 * byte order (both ends are one program on one machine): numbers as they are, strings as length and bytes, arrays as
 * count and items. Each item is written field by field, so that no padding travels. The child may have been taken over
 * by the file it read: the reader checks every length against what is left, every range against the text, every enum
 * against its values. */
#include "ingest/blob.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLOB_MAGIC 0x49544e41u /* "ANTI" */
#define BLOB_VERSION 1u
enum { BLOB_DOCUMENT = 1, BLOB_ERROR = 2 };

/* One description of the layout for both ways: `io` writes or reads by its mode, so the two cannot drift apart. */
struct io {
    struct buf *out; /* writing */
    struct slice in; /* reading: what is left */
    struct arena *arena;
    bool reading, bad;
};

static void bytes(struct io *io, void *p, size_t n) {
    if (!io->reading) {
        buf_append(io->out, p, n);
    } else if (io->bad || io->in.len < n) {
        io->bad = true;
        memset(p, 0, n);
    } else {
        memcpy(p, io->in.data, n);
        io->in.data += n, io->in.len -= n;
    }
}

#define FIELD(io, x) bytes(io, &(x), sizeof(x))

static void string(struct io *io, struct slice *s) {
    uint32_t n = (uint32_t)s->len;
    FIELD(io, n);
    if (!io->reading) {
        buf_append(io->out, s->data, s->len);
        return;
    }
    if (io->bad || io->in.len < n) {
        io->bad = true;
        *s = (struct slice){"", 0};
        return;
    }
    *s = arena_slice(io->arena, (struct slice){io->in.data, n});
    if (s->len != n) io->bad = true;
    io->in.data += n, io->in.len -= n;
}

/* Reads a count and makes the array; `least` is the size of an item in the blob, so that a count can't ask for more
 * than is there. */
static void *array(struct io *io, void *items, size_t *n, size_t size, size_t least) {
    uint64_t count = *n;
    FIELD(io, count);
    if (!io->reading) return items;
    *n = 0;
    if (io->bad || count > io->in.len / least) {
        io->bad = true;
        return NULL;
    }
    void *p = arena_array(io->arena, count ? (size_t)count : 1, size);
    if (!p) {
        io->bad = true;
        return NULL;
    }
    *n = (size_t)count;
    return p;
}

static void span(struct io *io, struct ingest_span *s) {
    FIELD(io, s->start);
    FIELD(io, s->end);
}

#define ENUM(io, x, type)                                                                                              \
    do {                                                                                                               \
        uint32_t value_ = (uint32_t)(x);                                                                               \
        FIELD(io, value_);                                                                                             \
        (x) = (type)value_;                                                                                            \
    } while (0)

static void fields(struct io *io, struct ingest_document *d) {
    ENUM(io, d->format, enum ingest_format);
    string(io, &d->name);
    string(io, &d->title);
    bytes(io, d->sha256, sizeof d->sha256);
    FIELD(io, d->n_bytes);
    FIELD(io, d->n_pages_without_text);
    string(io, &d->text);
    d->pages = array(io, d->pages, &d->n_pages, sizeof *d->pages, 20);
    for (size_t i = 0; i < d->n_pages && !io->bad; i++) {
        struct ingest_page *p = &d->pages[i];
        span(io, &p->span);
        string(io, &p->label);
        FIELD(io, p->width_pt);
        FIELD(io, p->height_pt);
    }
    d->words = array(io, d->words, &d->n_words, sizeof *d->words, 28);
    for (size_t i = 0; i < d->n_words && !io->bad; i++) {
        struct ingest_word *w = &d->words[i];
        span(io, &w->span);
        FIELD(io, w->page);
        FIELD(io, w->x0);
        FIELD(io, w->y0);
        FIELD(io, w->x1);
        FIELD(io, w->y1);
    }
    d->sections = array(io, d->sections, &d->n_sections, sizeof *d->sections, 32);
    for (size_t i = 0; i < d->n_sections && !io->bad; i++) {
        struct ingest_section *s = &d->sections[i];
        span(io, &s->span);
        span(io, &s->heading);
        FIELD(io, s->parent);
        FIELD(io, s->level);
        string(io, &s->number);
        string(io, &s->path);
    }
    d->statements = array(io, d->statements, &d->n_statements, sizeof *d->statements, 32);
    for (size_t i = 0; i < d->n_statements && !io->bad; i++) {
        struct ingest_statement *s = &d->statements[i];
        span(io, &s->span);
        span(io, &s->lead_in);
        FIELD(io, s->section);
        FIELD(io, s->page);
        ENUM(io, s->kind, enum ingest_statement_kind);
        FIELD(io, s->table);
    }
    d->facts = array(io, d->facts, &d->n_facts, sizeof *d->facts, 76);
    for (size_t i = 0; i < d->n_facts && !io->bad; i++) {
        struct ingest_fact *f = &d->facts[i];
        ENUM(io, f->kind, enum ingest_fact_kind);
        FIELD(io, f->statement);
        span(io, &f->span);
        span(io, &f->subject);
        span(io, &f->object);
        FIELD(io, f->value);
        FIELD(io, f->value2);
        string(io, &f->unit);
        FIELD(io, f->year);
        FIELD(io, f->month);
        FIELD(io, f->day);
        ENUM(io, f->modality, enum ingest_modality);
        ENUM(io, f->bound, enum ingest_bound);
        FIELD(io, f->flags);
    }
    d->blocks = array(io, d->blocks, &d->n_blocks, sizeof *d->blocks, 52);
    for (size_t i = 0; i < d->n_blocks && !io->bad; i++) {
        struct ingest_block *b = &d->blocks[i];
        span(io, &b->span);
        ENUM(io, b->kind, enum ingest_block_kind);
        FIELD(io, b->flags);
        span(io, &b->number);
        FIELD(io, b->level);
        FIELD(io, b->table);
        FIELD(io, b->row);
        FIELD(io, b->column);
        FIELD(io, b->n_columns);
        FIELD(io, b->size_pt);
        FIELD(io, b->indent_pt);
    }
    d->warnings = array(io, d->warnings, &d->n_warnings, sizeof *d->warnings, 8);
    for (size_t i = 0; i < d->n_warnings && !io->bad; i++) {
        FIELD(io, d->warnings[i].page);
        string(io, &d->warnings[i].message);
    }
}

/* ---- checks ---- */
struct check {
    const struct ingest_document *d;
    const char *broken; /* the first rule that does not hold */
};

static bool border(const struct ingest_document *d, uint32_t at) { /* of a code point */
    return at == d->text.len || ((unsigned char)d->text.data[at] & 0xc0) != 0x80;
}

static void require(struct check *c, bool holds, const char *rule) {
    if (!holds && !c->broken) c->broken = rule;
}

static bool good_span(const struct ingest_document *d, struct ingest_span s) {
    return s.start <= s.end && s.end <= d->text.len && border(d, s.start) && border(d, s.end);
}

static bool good_string(struct slice s, size_t max) {
    return s.len <= max && utf8_valid(s.data, s.len);
}

static bool good_float(float x) {
    return isfinite(x) && fabsf(x) < 1e7f;
}

static void check_pages(struct check *c, const struct ingest_options *o) {
    const struct ingest_document *d = c->d;
    require(c, d->n_pages >= 1 && d->n_pages <= o->max_pages, "number of pages");
    for (size_t i = 0; i < d->n_pages && !c->broken; i++) {
        const struct ingest_page *p = &d->pages[i];
        require(c, good_span(d, p->span) && p->span.start == (i ? d->pages[i - 1].span.end : 0), "order of pages");
        require(c, good_string(p->label, 200) && good_float(p->width_pt) && good_float(p->height_pt), "a page");
    }
    if (!c->broken) require(c, d->pages[d->n_pages - 1].span.end == d->text.len, "end of the last page");
    require(c, d->n_pages_without_text <= d->n_pages, "pages without text");
}

static void check_words_blocks(struct check *c) {
    const struct ingest_document *d = c->d;
    uint32_t end = 0;
    for (size_t i = 0; i < d->n_words && !c->broken; i++) {
        const struct ingest_word *w = &d->words[i];
        require(c, good_span(d, w->span) && w->span.start >= end && w->page < d->n_pages, "a word");
        require(c, good_float(w->x0) && good_float(w->y0) && good_float(w->x1) && good_float(w->y1), "a word's box");
        end = w->span.end;
    }
    end = 0;
    for (size_t i = 0; i < d->n_blocks && !c->broken; i++) {
        const struct ingest_block *b = &d->blocks[i];
        require(c, good_span(d, b->span) && b->span.start >= end && (unsigned)b->kind < INGEST_BLOCK_KINDS, "a block");
        require(c,
                b->number.start == b->number.end ||
                    (good_span(d, b->number) && b->number.start >= b->span.start && b->number.end <= b->span.end),
                "a block's number");
        require(c, good_float(b->size_pt) && good_float(b->indent_pt) && b->level <= 100, "a block's level or size");
        end = b->span.end;
    }
    for (size_t i = 0; i < d->n_warnings && !c->broken; i++)
        require(c,
                good_string(d->warnings[i].message, 1000) &&
                    (d->warnings[i].page == INGEST_NONE || d->warnings[i].page < d->n_pages),
                "a warning");
}

static void check_structure(struct check *c) {
    const struct ingest_document *d = c->d;
    for (size_t i = 0; i < d->n_sections && !c->broken; i++) {
        const struct ingest_section *s = &d->sections[i];
        require(c, good_span(d, s->span) && good_span(d, s->heading), "a section");
        require(c, i == 0 ? s->parent == INGEST_NONE : s->parent < i && s->span.start >= d->sections[i - 1].span.start,
                "order of sections");
        require(c, good_string(s->number, 1000) && good_string(s->path, 4000), "a section's number");
    }
    uint32_t end = 0;
    for (size_t i = 0; i < d->n_statements && !c->broken; i++) {
        const struct ingest_statement *s = &d->statements[i];
        require(c, good_span(d, s->span) && s->span.start >= end && good_span(d, s->lead_in), "a statement");
        require(c, s->section < d->n_sections && s->page < d->n_pages && (unsigned)s->kind <= INGEST_HEADING,
                "a statement's section or page");
        end = s->span.end;
    }
    for (size_t i = 0; i < d->n_facts && !c->broken; i++) {
        const struct ingest_fact *f = &d->facts[i];
        require(c, f->statement < d->n_statements && (i == 0 || f->statement >= d->facts[i - 1].statement),
                "order of facts");
        require(c, good_span(d, f->span) && good_span(d, f->subject) && good_span(d, f->object), "a fact");
        require(c,
                (unsigned)f->kind <= INGEST_TOTAL && (unsigned)f->modality <= INGEST_DECLARATION &&
                    (unsigned)f->bound <= INGEST_ABOUT,
                "a fact's kind");
        require(c, good_string(f->unit, 100), "a fact's unit");
    }
}

/* ---- both ways ---- */
void blob_write(struct buf *out, const struct ingest_document *d, int code, const struct error *e) {
    struct io io = {.out = out};
    uint32_t magic = BLOB_MAGIC, version = BLOB_VERSION, kind = code ? BLOB_ERROR : BLOB_DOCUMENT;
    FIELD(&io, magic);
    FIELD(&io, version);
    FIELD(&io, kind);
    if (code) {
        int32_t c = code;
        struct slice message = slice_of(e->message), where = slice_of(e->where);
        FIELD(&io, c);
        string(&io, &message);
        string(&io, &where);
    } else {
        struct ingest_document copy = *d;
        fields(&io, &copy);
    }
    FIELD(&io, magic); /* the end: a blob that breaks off is seen */
}

static int read_error(struct io *io, struct error *e, const char *name) {
    int32_t code;
    struct slice message = {"", 0}, where = {"", 0};
    uint32_t magic = 0;
    FIELD(io, code);
    string(io, &message);
    string(io, &where);
    FIELD(io, magic);
    if (io->bad || magic != BLOB_MAGIC || code < ERR_NOMEM || code > ERR_ENCRYPTED ||
        !utf8_valid(message.data, message.len) || !utf8_valid(where.data, where.len))
        return error_set(e, ERR_FORMAT, name, "the reader of this file failed without a reason that can be trusted");
    char at[200];
    size_t n = where.len < sizeof at - 1 ? where.len : sizeof at - 1;
    memcpy(at, where.data, n);
    at[n] = 0;
    return error_set(e, code, at, "%.*s", (int)(message.len < 399 ? message.len : 399), message.data);
}

int blob_read(struct slice blob, const struct ingest_options *o, struct ingest_document **out, struct error *e) {
    struct ingest_document *d = calloc(1, sizeof *d);
    *out = NULL;
    if (!d) return error_set(e, ERR_NOMEM, o->name, "out of memory while taking over the document");
    struct io io = {.in = blob, .arena = &d->arena, .reading = true};
    uint32_t magic = 0, version = 0, kind = 0, last = 0;
    FIELD(&io, magic);
    FIELD(&io, version);
    FIELD(&io, kind);
    int code;
    if (io.bad || magic != BLOB_MAGIC || version != BLOB_VERSION || (kind != BLOB_DOCUMENT && kind != BLOB_ERROR)) {
        code = error_set(e, ERR_FORMAT, o->name, "the reader of this file answered nothing that can be understood");
    } else if (kind == BLOB_ERROR) {
        code = read_error(&io, e, o->name);
    } else {
        fields(&io, d);
        FIELD(&io, last);
        struct check c = {.d = d};
        require(&c, !io.bad && last == BLOB_MAGIC && io.in.len == 0, "its length");
        require(&c, d->text.len <= o->max_text && utf8_valid(d->text.data, d->text.len), "the text");
        require(&c, good_string(d->name, 4096) && good_string(d->title, 4096) && (unsigned)d->format < INGEST_FORMATS,
                "name or title");
        if (!c.broken) check_pages(&c, o);
        if (!c.broken) check_words_blocks(&c);
        if (!c.broken) check_structure(&c);
        code = c.broken
                   ? error_set(e, ERR_FORMAT, o->name,
                               "the reader of this file answered something impossible (%s); the file was not taken",
                               c.broken)
                   : 0;
    }
    if (code) {
        ingest_document_free(d);
        return code;
    }
    *out = d;
    return 0;
}
