/* pdf_words.c: PDF -> words with boxes, by poppler's program pdftotext -bbox-layout (GPL: it stays a program of its
 * own). Owns the reading of its output: pages, flows, blocks, lines, words as XHTML elements with xMin yMin xMax yMax.
 * Refuses encrypted, cut off and broken files, too many pages or words. The output is scanned for exactly its elements
 * instead of parsed as XML: a control character in a word would end an XML parser's work, and is harmless here. */
#include "ingest/pdf.h"
#include "ingest/process.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PDFTOTEXT "/usr/bin/pdftotext"
#define PDFINFO "/usr/bin/pdfinfo"
#define PDF_MEMORY ((uint64_t)2 << 30) /* of poppler */
#define PDF_BYTES_A_WORD 400           /* of its output, for the limit on it */
#define PDF_TAIL 65536                 /* the end mark stands in these last bytes */
#define PDF_ELEMENT_MAX 65536          /* one element with its text */

struct scan {
    struct pdf *p;
    const struct ingest_options *o;
    struct error *e;
    struct buf carry;
    int code;
    uint32_t flow, block, line;
    bool in_doc;
};

static float number(const char *s, const char *end, const char *name) {
    size_t n = strlen(name);
    for (const char *at = s; (size_t)(end - at) > n; at++)
        if (!memcmp(at, name, n)) {
            char copy[32];
            size_t k = 0;
            at += n;
            while (at < end && *at != '"' && k + 1 < sizeof copy) copy[k++] = *at++;
            copy[k] = 0;
            float v = strtof(copy, NULL);
            return isfinite(v) && fabsf(v) < 1e6f ? v : 0;
        }
    return 0;
}

static void put_unescaped(struct buf *out, const char *s, size_t len) {
    static const struct {
        const char *name;
        size_t len;
        char c;
    } entities[] = {{"&amp;", 5, '&'}, {"&lt;", 4, '<'}, {"&gt;", 4, '>'}, {"&quot;", 6, '"'}, {"&apos;", 6, '\''}};
    for (size_t i = 0; i < len;) {
        size_t k = 0;
        if (s[i] == '&')
            for (; k < 5; k++)
                if (len - i >= entities[k].len && !memcmp(s + i, entities[k].name, entities[k].len)) break;
        if (s[i] == '&' && k < 5) {
            buf_append(out, &entities[k].c, 1);
            i += entities[k].len;
        } else {
            buf_append(out, s + i, 1);
            i++;
        }
    }
}

static int fail(struct scan *s, int code, const char *message) {
    if (!s->code) s->code = error_set(s->e, code, s->o->name, "%s", message);
    return s->code;
}

static void add_page(struct scan *s, const char *tag, const char *end) {
    struct pdf *p = s->p;
    if (p->n_pages >= s->o->max_pages) {
        if (!s->code)
            s->code = error_set(s->e, ERR_LIMIT, s->o->name,
                                "the document has more than %u pages; split it and load the parts", s->o->max_pages);
        return;
    }
    if (array_grow((void **)&p->pages, &p->cap_pages, p->n_pages + 1, sizeof *p->pages, s->e)) {
        fail(s, ERR_NOMEM, "out of memory while reading the PDF");
        return;
    }
    p->pages[p->n_pages] = (struct pdf_page){
        .first = (uint32_t)p->n_words, .width = number(tag, end, "width=\""), .height = number(tag, end, "height=\"")};
    struct pdf_page *page = &p->pages[p->n_pages];
    if (p->n_pages < p->n_turned &&
        p->turned[p->n_pages]) { /* poppler gives boxes as displayed, but the page's size as stored */
        float width = page->width;
        page->width = page->height, page->height = width;
    }
    p->n_pages++;
}

static void add_word(struct scan *s, const char *tag, const char *end, const char *text, size_t len) {
    struct pdf *p = s->p;
    if (p->n_pages == 0) return;
    if (p->n_words >= READER_MAX_WORDS) {
        fail(s, ERR_LIMIT, "the document has more words than are read (20 million); split it and load the parts");
        return;
    }
    if (p->text.len + len > s->o->max_text) {
        fail(s, ERR_LIMIT, "the document has more text than is read; split it and load the parts");
        return;
    }
    if (array_grow((void **)&p->words, &p->cap_words, p->n_words + 1, sizeof *p->words, s->e)) {
        fail(s, ERR_NOMEM, "out of memory while reading the PDF");
        return;
    }
    struct pdf_page *page = &p->pages[p->n_pages - 1];
    struct pdf_word w = {.x0 = number(tag, end, "xMin=\""),
                         .y0 = number(tag, end, "yMin=\""),
                         .x1 = number(tag, end, "xMax=\""),
                         .y1 = number(tag, end, "yMax=\"")};
    if (w.x1 < w.x0 || w.y1 < w.y0) return;
    /* what lies outside the page is not displayed */
    if (w.x1 < 0 || w.y1 < 0 || (page->width > 0 && w.x0 > page->width) || (page->height > 0 && w.y0 > page->height))
        return;
    w.text = (uint32_t)p->text.len;
    put_unescaped(&p->text, text, len);
    w.len = (uint32_t)(p->text.len - w.text);
    w.flow = s->flow, w.block = s->block, w.line = s->line;
    if (w.y1 - w.y0 > 2 * (w.x1 - w.x0) && utf8_count(text, len) >= 3) w.flags |= PDF_VERTICAL;
    p->words[p->n_words++] = w;
    page->n++;
    if (p->text.failed) fail(s, ERR_NOMEM, "out of memory while reading the PDF");
}

static bool tag_is(const char *s, size_t len, const char *tag) {
    size_t n = strlen(tag);
    return len >= n && !memcmp(s, tag, n);
}

/* Works off the complete elements in carry and leaves the rest. */
static void scan(struct scan *s) {
    size_t i = 0;
    const char *d = s->carry.data;
    size_t n = s->carry.len;
    while (i < n && !s->code) {
        const char *open = memchr(d + i, '<', n - i);
        if (!open) {
            i = n;
            break;
        }
        i = (size_t)(open - d);
        const char *close = memchr(open, '>', n - i);
        if (!close) break;
        size_t left = n - i;
        if (tag_is(open, left, "<word ") || (!s->in_doc && tag_is(open, left, "<title>"))) {
            bool word = tag_is(open, left, "<word ");
            const char *text = close + 1, *last = word ? "</word>" : "</title>";
            const char *end = memmem(text, n - (size_t)(text - d), last, strlen(last));
            if (!end) {
                if (left > PDF_ELEMENT_MAX) fail(s, ERR_FORMAT, "a word of this PDF is longer than 64 KiB");
                break;
            }
            if (word)
                add_word(s, open, close, text, (size_t)(end - text));
            else if (s->p->title.len == 0)
                put_unescaped(&s->p->title, text, (size_t)(end - text));
            i = (size_t)(end - d) + strlen(last);
            continue;
        }
        if (tag_is(open, left, "<doc>")) s->in_doc = true;
        if (tag_is(open, left, "<page ")) add_page(s, open, close);
        if (tag_is(open, left, "<flow>")) s->flow++;
        if (tag_is(open, left, "<block ")) s->block++;
        if (tag_is(open, left, "<line ")) s->line++;
        i = (size_t)(close - d) + 1;
    }
    if (i > n) i = n;
    if (n) memmove(s->carry.data, s->carry.data + i, n - i);
    s->carry.len = n - i;
    if (s->carry.len > 2 * PDF_ELEMENT_MAX) fail(s, ERR_FORMAT, "the PDF's text cannot be made out");
}

static int sink(void *context, const char *data, size_t len) {
    struct scan *s = context;
    buf_append(&s->carry, data, len);
    if (s->carry.failed) return fail(s, ERR_NOMEM, "out of memory while reading the PDF");
    scan(s);
    return s->code;
}

int pdf_words_parse(struct pdf *p, struct slice bbox, const struct ingest_options *o, struct error *e) {
    struct scan s = {.p = p, .o = o, .e = e};
    for (size_t i = 0; i < bbox.len && !s.code; i += 65536)
        sink(&s, bbox.data + i, bbox.len - i < 65536 ? bbox.len - i : 65536);
    buf_free(&s.carry);
    return s.code;
}

/* A PDF ends with "startxref", a number and "%%EOF" (ISO 32000-1, 7.5.5). Poppler would repair a file that was cut off
 * and give the pages that are left; half a contract read as a whole one is worse than none. */
static int check_end(int fd, const struct ingest_options *o, struct error *e) {
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > PDF_TAIL ? size - PDF_TAIL : 0;
    char *tail = malloc(PDF_TAIL);
    if (!tail) return error_set(e, ERR_NOMEM, o->name, "out of memory while reading the PDF");
    ssize_t n = pread(fd, tail, PDF_TAIL, from);
    bool ends = n > 0 && (memmem(tail, (size_t)n, "%%EOF", 5) || memmem(tail, (size_t)n, "startxref", 9));
    bool begins = n > 0 && from == 0 && !memmem(tail, (size_t)n, "endobj", 6);
    free(tail);
    if (ends && !begins) return 0;
    return error_set(e, ERR_FORMAT, o->name,
                     "this PDF breaks off at byte %lld: its end is missing, so it was not copied or uploaded whole",
                     (long long)size);
}

/* ---- which pages are turned by a quarter: pdfinfo's lines "Page    3 rot:  90" ---- */
struct turns {
    struct pdf *p;
    const struct ingest_options *o;
    struct buf line;
    struct error *e;
};

static int turns_sink(void *context, const char *data, size_t len) {
    struct turns *t = context;
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\n') {
            if (t->line.len < 200) buf_append(&t->line, data + i, 1);
            continue;
        }
        unsigned page;
        int degrees;
        if (t->line.len && sscanf(t->line.data, "Page %u rot: %d", &page, &degrees) == 2 && page >= 1 &&
            page <= t->o->max_pages) {
            size_t cap = t->p->n_turned;
            if (page > cap) {
                bool *more = realloc(t->p->turned, page * 2 * sizeof *more);
                if (!more) return error_set(t->e, ERR_NOMEM, t->o->name, "out of memory while reading the PDF");
                memset(more + cap, 0, page * 2 - cap);
                t->p->turned = more;
                t->p->n_turned = page * 2;
            }
            t->p->turned[page - 1] = degrees == 90 || degrees == 270;
        }
        t->line.len = 0;
    }
    return 0;
}

static int find_turns(struct pdf *p, int fd, const struct ingest_options *o, struct error *e) {
    char last[24];
    snprintf(last, sizeof last, "%u", o->max_pages);
    const char *const argv[] = {PDFINFO, "-f", "1", "-l", last, "/dev/fd/3", NULL};
    struct process_limits limits = {.timeout_s = o->timeout_s,
                                    .memory_bytes = PDF_MEMORY,
                                    .cpu_s = (uint64_t)ceil(o->timeout_s) + 1,
                                    .max_output = (uint64_t)16 << 20};
    struct process_result r;
    struct turns t = {.p = p, .o = o, .e = e};
    int code = process_run(argv, fd, &limits, turns_sink, &t, &r, e);
    buf_free(&t.line);
    if (!code && r.timed_out)
        code =
            error_set(e, ERR_CANCELLED, o->name,
                      "reading the PDF took longer than %.0f seconds and was stopped at its first page", o->timeout_s);
    return code; /* whatever else went wrong, pdftotext says it better */
}

int pdf_words_read(struct pdf *p, int fd, const struct ingest_options *o, struct error *e) {
    int code = check_end(fd, o, e);
    if (code) return code;
    static const char *const argv[] = {PDFTOTEXT, "-bbox-layout", "-cropbox", "-enc", "UTF-8", "/dev/fd/3", "-", NULL};
    struct scan s = {.p = p, .o = o, .e = e};
    struct process_limits limits = {.timeout_s = o->timeout_s,
                                    .memory_bytes = PDF_MEMORY,
                                    .cpu_s = (uint64_t)ceil(o->timeout_s) + 1,
                                    .max_output = (uint64_t)READER_MAX_WORDS * PDF_BYTES_A_WORD};
    struct process_result r;
    if (access(PDFTOTEXT, X_OK))
        return error_set(
            e, ERR_UNSUPPORTED, o->name,
            "PDF files are read with pdftotext, which is not installed here (Debian package poppler-utils)");
    code = find_turns(p, fd, o, e);
    if (!code) code = process_run(argv, fd, &limits, sink, &s, &r, e);
    buf_free(&s.carry);
    if (!code) code = s.code;
    if (code) return code;
    size_t n_pages = p->n_pages;
    if (r.timed_out || r.signal == SIGXCPU)
        return error_set(e, ERR_CANCELLED, o->name,
                         "reading the PDF took longer than %.0f seconds and was stopped after page %zu", o->timeout_s,
                         n_pages);
    if (r.too_much)
        return error_set(e, ERR_LIMIT, o->name, "the PDF has more text than is read; split it and load the parts");
    if (strstr(r.errors, "Incorrect password"))
        return error_set(e, ERR_ENCRYPTED, o->name,
                         "this PDF asks for a password; save it without one and load it again");
    if (r.signal || r.exit_status != 0 || n_pages == 0) {
        const char *hint = strstr(r.errors, "Error");
        char line[160] = "";
        if (hint) snprintf(line, sizeof line, " (%.*s)", (int)strcspn(hint, "\n"), hint);
        for (char *c = line; *c; c++)
            if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f) *c = '?';
        if (r.signal)
            return error_set(e, ERR_FORMAT, o->name,
                             "this PDF is damaged: the reader gave up behind page %zu (signal %d)", n_pages, r.signal);
        return error_set(e, ERR_FORMAT, o->name, "this PDF is damaged: no page of it can be read%s", line);
    }
    return 0;
}

void pdf_free(struct pdf *p) {
    for (size_t i = 0; i < p->n_pages; i++) {
        free(p->pages[i].order);
        free(p->pages[i].rows);
    }
    free(p->words);
    free(p->turned);
    free(p->pages);
    buf_free(&p->text);
    buf_free(&p->title);
    memset(p, 0, sizeof *p);
}
