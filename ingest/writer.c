/* writer.c: owns the text of a document while a reader fills it: separators between blocks (blocks.h), white space,
 * pages, words, tables; enforces the limits. Refuses nothing but too much; knows no format. */
#include "ingest/reader.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void writer_open(struct writer *w, struct ingest_document *d, const struct ingest_options *o, struct error *e) {
    memset(w, 0, sizeof *w);
    w->d = d;
    w->o = o;
    w->e = e;
}

void writer_close(struct writer *w) {
    buf_free(&w->text);
    buf_free(&w->raw);
    free(w->blocks);
    free(w->words);
    free(w->pages);
    free(w->warnings);
    memset(w, 0, sizeof *w);
}

int writer_fail(struct writer *w, int code, const char *where, const char *fmt, ...) {
    if (w->code) return w->code;
    char message[sizeof w->e->message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    w->code = code;
    return error_set(w->e, code, where, "%s", message);
}

static int writer_nomem(struct writer *w) {
    return writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading the document");
}

void writer_warn(struct writer *w, uint32_t page, const char *fmt, ...) {
    if (w->code) return;
    if (w->n_warnings >= READER_MAX_WARNINGS) {
        w->n_more_warnings++;
        return;
    }
    char message[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (array_grow((void **)&w->warnings, &w->cap_warnings, w->n_warnings + 1, sizeof *w->warnings, w->e)) {
        writer_nomem(w);
        return;
    }
    struct slice m = arena_slice(&w->d->arena, slice_of(message));
    w->warnings[w->n_warnings++] = (struct ingest_warning){page, m};
}

static void flush_raw(struct writer *w);

/* ---- pages ---- */
/* Called when the bytes of the next page are about to be appended, or none will be. */
static void page_starts_here(struct writer *w) {
    if (!w->page_pending) return;
    w->page_pending = false;
    /* the first page owns what little came before it */
    w->pages[w->n_pages - 1].span.start = w->n_pages == 1 ? 0 : (uint32_t)w->text.len;
}

void writer_page(struct writer *w, struct slice label, float width_pt, float height_pt) {
    if (w->in_block) flush_raw(w); /* what came so far is on the page before */
    if (w->code) return;
    if (w->n_pages >= w->o->max_pages) {
        writer_fail(w, ERR_LIMIT, w->o->name, "the document has more than %u pages; split it and load the parts",
                    w->o->max_pages);
        return;
    }
    if (array_grow((void **)&w->pages, &w->cap_pages, w->n_pages + 1, sizeof *w->pages, w->e)) {
        writer_nomem(w);
        return;
    }
    page_starts_here(w); /* the one before, when it has no text */
    struct ingest_page *p = &w->pages[w->n_pages++];
    memset(p, 0, sizeof *p);
    p->label = label.len ? arena_slice(&w->d->arena, label) : arena_slice_printf(&w->d->arena, "%zu", w->n_pages);
    p->width_pt = width_pt;
    p->height_pt = height_pt;
    w->page_pending = true;
}

void writer_page_cancel(struct writer *w) {
    if (!w->page_pending) return;
    w->n_pages--;
    w->page_pending = false;
}

/* ---- bytes ---- */
static bool writer_room(struct writer *w, size_t more) {
    if (w->code) return false;
    if (w->text.len + more > w->o->max_text) {
        writer_fail(w, ERR_LIMIT, w->o->name,
                    "the document has more than %.0f MiB of text; split it and load the parts",
                    (double)w->o->max_text / 1048576.0);
        return false;
    }
    return true;
}

static void separator(struct writer *w) {
    if (w->in_row) {
        if (w->cell_separator) buf_puts(&w->text, " | ");
        w->cell_separator = false;
    } else if (w->text.len) {
        buf_puts(&w->text, "\n");
    }
}

/* Appends clean bytes to the block, its separator before the first. */
static void put(struct writer *w, const char *s, size_t len) {
    if (len == 0 || !writer_room(w, len + 4)) return;
    struct ingest_block *b = &w->blocks[w->n_blocks - 1];
    if (!w->any) {
        if (b->kind != INGEST_BLOCK_CELL) separator(w);
        page_starts_here(w);
        b->span.start = (uint32_t)w->text.len;
        w->any = true;
        w->space = false;
        if (w->in_row) w->row_any = true;
    } else if (w->space) {
        buf_puts(&w->text, " ");
        w->space = false;
    }
    page_starts_here(w);
    buf_append(&w->text, s, len);
}

/* Cleans and appends what came by writer_text since the last call. */
static void flush_raw(struct writer *w) {
    if (w->code || !w->raw.len) return;
    if (w->raw.failed) {
        writer_nomem(w);
        return;
    }
    bool pre = w->blocks[w->n_blocks - 1].kind == INGEST_BLOCK_PRE;
    struct buf clean = {0};
    text_clean(&clean, buf_slice(&w->raw), pre);
    w->raw.len = 0;
    if (clean.failed) {
        writer_nomem(w);
    } else if (pre) { /* lines stay; spaces at line ends and empty lines at both ends go */
        size_t i = 0, line = 0;
        struct buf lines = {0};
        while (i <= clean.len) {
            if (i == clean.len || clean.data[i] == '\n') {
                size_t end = i;
                while (end > line && clean.data[end - 1] == ' ') end--;
                if (end > line || lines.len) buf_append(&lines, clean.data + line, end - line);
                if (lines.len) buf_puts(&lines, "\n");
                line = i + 1;
            }
            i++;
        }
        while (lines.len && lines.data[lines.len - 1] == '\n') lines.len--;
        if (lines.failed)
            writer_nomem(w);
        else
            put(w, lines.data, lines.len);
        buf_free(&lines);
    } else {
        size_t i = 0;
        while (i < clean.len) {
            size_t start = i;
            while (i < clean.len && clean.data[i] != ' ') i++;
            if (i > start) put(w, clean.data + start, i - start);
            if (i < clean.len) {
                w->space = w->any;
                i++;
            }
        }
    }
    buf_free(&clean);
}

struct ingest_block *writer_begin(struct writer *w, enum ingest_block_kind kind, uint32_t level) {
    if (w->in_block) writer_end(w);
    if (w->code) return NULL;
    if (w->n_blocks >= READER_MAX_BLOCKS) {
        writer_fail(w, ERR_LIMIT, w->o->name, "the document has more than %u paragraphs and table cells",
                    READER_MAX_BLOCKS);
        return NULL;
    }
    if (array_grow((void **)&w->blocks, &w->cap_blocks, w->n_blocks + 1, sizeof *w->blocks, w->e)) {
        writer_nomem(w);
        return NULL;
    }
    struct ingest_block *b = &w->blocks[w->n_blocks++];
    memset(b, 0, sizeof *b);
    b->kind = kind;
    b->level = level;
    b->table = INGEST_NONE;
    b->n_columns = 1;
    w->in_block = true;
    w->any = w->space = false;
    w->block_text = w->text.len;
    w->block_words = w->n_words;
    w->raw.len = 0;
    return b;
}

void writer_number(struct writer *w, struct slice number) {
    if (w->code || !number.len) return;
    assert(w->in_block && !w->any);
    buf_append(&w->raw, number.data, number.len);
    flush_raw(w);
    if (w->code) return;
    struct ingest_block *b = &w->blocks[w->n_blocks - 1];
    if (!w->any) return;
    b->number = (struct ingest_span){b->span.start, (uint32_t)w->text.len};
    w->space = true;
}

void writer_text(struct writer *w, struct slice text) {
    if (w->code) return;
    assert(w->in_block);
    if (w->raw.len + text.len > w->o->max_text) {
        writer_room(w, w->raw.len + text.len);
        return;
    }
    buf_append(&w->raw, text.data, text.len);
}

void writer_word(struct writer *w, uint32_t page, float x0, float y0, float x1, float y1, struct slice text,
                 bool glued) {
    if (w->code) return;
    assert(w->in_block);
    flush_raw(w);
    struct buf clean = {0};
    text_clean(&clean, text, false);
    struct slice t = slice_trim(buf_slice(&clean));
    if (clean.failed) writer_nomem(w);
    if (t.len && !w->code) {
        w->space = !glued && w->any;
        put(w, t.data, t.len);
        if (w->n_words >= READER_MAX_WORDS) {
            writer_fail(w, ERR_LIMIT, w->o->name, "the document has more than %u words", READER_MAX_WORDS);
        } else if (array_grow((void **)&w->words, &w->cap_words, w->n_words + 1, sizeof *w->words, w->e)) {
            writer_nomem(w);
        } else if (!w->code) {
            uint32_t end = (uint32_t)w->text.len;
            w->words[w->n_words++] = (struct ingest_word){{end - (uint32_t)t.len, end}, page, x0, y0, x1, y1};
        }
    }
    buf_free(&clean);
}

void writer_end(struct writer *w) {
    if (!w->in_block) return;
    flush_raw(w);
    w->in_block = false;
    if (w->code) return;
    struct ingest_block *b = &w->blocks[w->n_blocks - 1];
    if (w->any) {
        b->span.end = (uint32_t)w->text.len;
    } else if (b->kind == INGEST_BLOCK_CELL) {
        b->span.start = b->span.end = (uint32_t)w->text.len;
    } else {
        w->n_blocks--;
    }
}

void writer_paragraph(struct writer *w, enum ingest_block_kind kind, uint32_t level, uint32_t flags,
                      struct slice number, struct slice text) {
    size_t i = 0;
    while (i < text.len && !w->code) {
        size_t end = i;
        while (end < text.len) { /* a line break stays one unless the sentence goes on in lower case */
            const char *nl = memchr(text.data + end, '\n', text.len - end);
            if (!nl) {
                end = text.len;
                break;
            }
            end = (size_t)(nl - text.data);
            size_t next = end;
            while (next < text.len && isspace((unsigned char)text.data[next])) next++;
            if (kind == INGEST_BLOCK_HEADING || (next < text.len && islower((unsigned char)text.data[next]) &&
                                                 end > i && !strchr(".;:?!", text.data[end - 1]))) {
                end = next;
                continue;
            }
            break;
        }
        struct slice piece = slice_trim((struct slice){text.data + i, end - i});
        i = end + 1;
        if (!piece.len) continue;
        struct ingest_block *k = writer_begin(w, kind, level);
        if (!k) return;
        k->flags |= flags;
        writer_number(w, number);
        number.len = 0;
        writer_text(w, piece);
        writer_end(w);
    }
}

void runs_add(struct writer *w, struct runs *r, struct slice s, bool raised, bool bold) {
    if (r->text.len + s.len > w->o->max_text) {
        writer_fail(w, ERR_LIMIT, w->o->name, "a paragraph has more text than is read");
        return;
    }
    if (raised)
        text_superscript(&r->text, s);
    else
        buf_append(&r->text, s.data, s.len);
    for (size_t i = 0; i < s.len; i++)
        if (isalnum((unsigned char)s.data[i])) r->n_letters++, r->n_bold += bold;
}

bool runs_bold(const struct runs *r) {
    return r->n_letters && r->n_bold == r->n_letters;
}

/* ---- tables ---- */
void writer_table_begin(struct writer *w) {
    if (w->in_block) writer_end(w);
    if (w->in_table) writer_table_end(w); /* readers flatten nested tables before they come here */
    w->in_table = true;
    w->row = 0;
    w->table_block = w->n_blocks;
}

void writer_row_begin(struct writer *w) {
    if (w->code) return;
    assert(w->in_table);
    if (w->in_block) writer_end(w);
    if (w->in_row) writer_row_end(w);
    w->row_block = w->n_blocks;
    w->row_text = w->text.len;
    if (w->text.len) buf_puts(&w->text, "\n");
    w->in_row = true;
    w->row_any = w->cell_separator = false;
    w->column = 0;
}

struct ingest_block *writer_cell(struct writer *w, uint32_t n_columns) {
    if (w->code) return NULL;
    assert(w->in_row);
    if (w->in_block) writer_end(w);
    if (w->column >= READER_MAX_COLUMNS) {
        writer_fail(w, ERR_LIMIT, w->o->name, "a table has more than %u columns", READER_MAX_COLUMNS);
        return NULL;
    }
    w->cell_separator = w->column > 0;
    if (!writer_room(w, 4)) return NULL;
    separator(w);
    struct ingest_block *b = writer_begin(w, INGEST_BLOCK_CELL, 0);
    if (!b) return NULL;
    if (n_columns == 0) n_columns = 1;
    if (n_columns > READER_MAX_COLUMNS) n_columns = READER_MAX_COLUMNS;
    b->table = w->n_tables;
    b->row = w->row;
    b->column = w->column;
    b->n_columns = n_columns;
    w->column += n_columns;
    return b;
}

void writer_row_end(struct writer *w) {
    if (!w->in_row) return;
    if (w->in_block) writer_end(w);
    w->in_row = false;
    if (w->code) return;
    if (!w->row_any) {
        w->n_blocks = w->row_block;
        w->text.len = w->row_text;
        if (w->text.data) w->text.data[w->text.len] = 0;
        return;
    }
    /* trailing empty cells: no " | " for them */
    size_t last = w->n_blocks;
    while (last > w->row_block && w->blocks[last - 1].span.start == w->blocks[last - 1].span.end) last--;
    w->text.len = w->blocks[last - 1].span.end;
    w->text.data[w->text.len] = 0;
    for (size_t i = last; i < w->n_blocks; i++) w->blocks[i].span.start = w->blocks[i].span.end = (uint32_t)w->text.len;
    w->row++;
}

static struct slice cell_text(const struct writer *w, const struct ingest_block *b) {
    return (struct slice){w->text.data + b->span.start, b->span.end - b->span.start};
}

static bool has_digit(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] >= '0' && s.data[i] <= '9') return true;
    return false;
}

/* Words for values: a column name has letters; "1,200.00" and "-" have none. */
static bool has_letter(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0xc3) return true;
    }
    return false;
}

/* An empty corner over names of rows, and names or years in all else of the first row. */
static bool corner(const struct writer *w, size_t from, size_t end) {
    if (end >= w->n_blocks || cell_text(w, &w->blocks[from]).len || !has_letter(cell_text(w, &w->blocks[end])))
        return false;
    for (size_t i = from + 1; i < end; i++) {
        struct slice t = cell_text(w, &w->blocks[i]);
        if (t.len == 0 || t.len > 80 || !(has_letter(t) || text_is_year(t))) return false;
    }
    return true;
}

/* The second column's cells from block `from` on differ in their figures only: "USD 410", "USD 780". */
static bool alike(const struct writer *w, size_t from) {
    char first[64] = "";
    bool begun = false;
    for (size_t i = from; i < w->n_blocks; i++) {
        if (w->blocks[i].column != 1) continue;
        struct slice t = cell_text(w, &w->blocks[i]);
        char shape[64];
        size_t n = 0;
        for (size_t k = 0; k < t.len; k++)
            if (!strchr("0123456789.,' -()+", t.data[k]) && n + 1 < sizeof shape) shape[n++] = t.data[k];
        shape[n] = 0;
        if (begun && strcmp(first, shape)) return false;
        memcpy(first, shape, sizeof first);
        begun = true;
    }
    return begun;
}

#define HEADER_CELL_MAX 80 /* bytes; longer cells are text, not names of columns */
#define HEADER_COLUMNS 64

/* The first row names the columns when each of its cells is a short name (letters, no repeated text), and either all of
 * it is bold while the next row is not, or at least one column has figures in every later row but not in the first. A
 * two-column table needs the bold: there "Customer | Acme" over "Fee | 300" looks the same as a header. */
static void guess_header(struct writer *w) {
    size_t from = w->table_block, end = from;
    while (end < w->n_blocks && w->blocks[end].row == 0) end++;
    size_t n = end - from, n_rows = w->row;
    if (n < 2 || n > HEADER_COLUMNS || n_rows < 2) return;
    if (corner(w, from, end)) {
        for (size_t i = 0; i < n; i++) w->blocks[from + i].flags |= INGEST_BLOCK_HEADER | INGEST_BLOCK_GUESSED;
        return;
    }
    bool bold = true, next_bold = true, digits[HEADER_COLUMNS];
    size_t n_named = 0;
    for (size_t i = 0; i < n; i++) {
        const struct ingest_block *b = &w->blocks[from + i];
        struct slice t = cell_text(w, b);
        digits[i] = !has_digit(t) && t.len > 0;
        if (t.len == 0) continue; /* the corner above the row names is often empty */
        if (t.len > HEADER_CELL_MAX || !has_letter(t)) return;
        for (size_t j = 0; j < i; j++)
            if (slice_equal(t, cell_text(w, &w->blocks[from + j]))) return;
        n_named++;
        bold = bold && (b->flags & INGEST_BLOCK_BOLD);
    }
    if (n_named < 2 || n_named + 1 < n) return;
    bool some[HEADER_COLUMNS] = {0};
    for (size_t i = end; i < w->n_blocks; i++) {
        const struct ingest_block *b = &w->blocks[i];
        struct slice t = cell_text(w, b);
        if (b->row == 1 && t.len) next_bold = next_bold && (b->flags & INGEST_BLOCK_BOLD);
        for (size_t j = 0; j < n; j++) {
            if (w->blocks[from + j].column != b->column || t.len == 0) continue;
            if (has_digit(t))
                some[j] = true;
            else
                digits[j] = false;
        }
    }
    bool figures = false;
    for (size_t i = 1; i < n; i++) figures = figures || (digits[i] && some[i]);
    if (!(bold && !next_bold) && !(figures && (n >= 3 || (n_rows >= 3 && alike(w, end))))) return;
    for (size_t i = 0; i < n; i++) w->blocks[from + i].flags |= INGEST_BLOCK_HEADER | INGEST_BLOCK_GUESSED;
}

void writer_table_end(struct writer *w) {
    if (!w->in_table) return;
    if (w->in_row) writer_row_end(w);
    w->in_table = false;
    if (w->code || w->row == 0) return;
    bool marked = false;
    for (size_t i = w->table_block; i < w->n_blocks; i++) marked = marked || (w->blocks[i].flags & INGEST_BLOCK_HEADER);
    if (!marked) guess_header(w);
    w->n_tables++;
}

/* ---- a document in the document ---- */
#define LABEL_MAX 99 /* bytes of a page's label */

static void attached_page(struct writer *w, const struct ingest_document *part, size_t i, struct slice name) {
    const struct ingest_page *p = &part->pages[i];
    struct slice own = p->label;
    struct buf label = {0};
    if (part->n_pages == 1 && p->width_pt <= 0) own.len = 0; /* a format without pages */
    if (slice_starts_with(own, SLICE_LITERAL("attached "))) {
        buf_append(&label, own.data, own.len);
    } else {
        const char *before = !own.len                         ? ""
                             : part->format == INGEST_XLSX    ? ", sheet "
                             : memchr(own.data, ' ', own.len) ? ", "
                                                              : ", page ";
        own = text_cut(own, LABEL_MAX / 2);
        name = text_cut(name, LABEL_MAX - strlen("attached ") - strlen(before) - own.len);
        buf_printf(&label, "attached %.*s%s%.*s", (int)name.len, name.data, before, (int)own.len, own.data);
    }
    if (label.failed) writer_nomem(w);
    writer_page(w, buf_slice(&label), 0, 0);
    buf_free(&label);
}

void writer_append(struct writer *w, const struct ingest_document *part, const char *name) {
    for (size_t i = 0; i < part->n_pages && !w->code; i++) {
        attached_page(w, part, i, slice_of(name));
        if (i == 0 && writer_begin(w, INGEST_BLOCK_HEADING, 1)) {
            writer_text(w, SLICE_LITERAL("Attachment: "));
            writer_text(w, slice_of(name));
            writer_end(w);
            if (part->text.len) buf_puts(&w->text, "\n");
        } else if (i && !w->code) {
            w->pages[w->n_pages - 1].span.start = (uint32_t)w->text.len + part->pages[i].span.start;
            w->page_pending = false;
        }
    }
    if (!writer_room(w, part->text.len)) return;
    uint32_t base = (uint32_t)w->text.len, n_tables = w->n_tables;
    buf_append(&w->text, part->text.data, part->text.len);
    if (array_grow((void **)&w->blocks, &w->cap_blocks, w->n_blocks + part->n_blocks, sizeof *w->blocks, w->e)) {
        writer_nomem(w);
        return;
    }
    for (size_t i = 0; i < part->n_blocks; i++) {
        struct ingest_block b = part->blocks[i];
        b.span.start += base, b.span.end += base;
        b.number.start += base, b.number.end += base;
        if (b.table != INGEST_NONE) {
            b.table += n_tables;
            w->n_tables = b.table + 1;
        }
        w->blocks[w->n_blocks++] = b;
    }
    w->d->n_pages_without_text += part->n_pages_without_text;
    for (size_t i = 0; i < part->n_warnings; i++)
        writer_warn(w, INGEST_NONE, "attachment \"%s\": %.*s", name, (int)part->warnings[i].message.len,
                    part->warnings[i].message.data);
}

/* ---- end ---- */
static void *into_arena(struct writer *w, const void *items, size_t n, size_t size) {
    void *p = arena_array(&w->d->arena, n ? n : 1, size);
    if (!p) {
        writer_nomem(w);
        return NULL;
    }
    if (n) memcpy(p, items, n * size);
    return p;
}

#define TITLE_MAX 500 /* bytes; an unclosed <title> would hold the whole page */

int writer_finish(struct writer *w) {
    if (w->in_block) writer_end(w);
    if (w->in_table) writer_table_end(w);
    if (!w->code && w->n_pages == 0) writer_page(w, (struct slice){"", 0}, 0, 0);
    if (w->text.failed) writer_nomem(w);
    if (w->n_more_warnings) {
        size_t more = w->n_more_warnings;
        w->n_warnings--;
        writer_warn(w, INGEST_NONE, "and %zu more warnings", more + 1);
    }
    if (w->code) return w->code;
    struct ingest_document *d = w->d;
    d->title = text_cut(slice_trim(d->title), TITLE_MAX);
    page_starts_here(w); /* the last one, when it has no text */
    for (size_t i = 0; i < w->n_pages; i++)
        w->pages[i].span.end = i + 1 < w->n_pages ? w->pages[i + 1].span.start : (uint32_t)w->text.len;
    d->text = arena_slice(&d->arena, buf_slice(&w->text));
    if (w->text.len && !d->text.len) return writer_nomem(w);
    d->blocks = into_arena(w, w->blocks, w->n_blocks, sizeof *w->blocks);
    d->words = into_arena(w, w->words, w->n_words, sizeof *w->words);
    d->pages = into_arena(w, w->pages, w->n_pages, sizeof *w->pages);
    d->warnings = into_arena(w, w->warnings, w->n_warnings, sizeof *w->warnings);
    if (w->code) return w->code;
    d->n_blocks = w->n_blocks;
    d->n_words = w->n_words;
    d->n_pages = w->n_pages;
    d->n_warnings = w->n_warnings;
    return 0;
}
