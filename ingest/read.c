/* read.c: one opened file -> a document: what it is (sniff.c), its bytes as UTF-8 (encoding.c), the reader of its
 * format, then the structure and the facts over the text. Steps 3 to 6 of the path from bytes to an answer. Runs in the
 * child process. */
#include "ingest/package.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_BYTES ((size_t)64 << 10)
#define DECLARED_WITHIN ((size_t)4096) /* bytes of HTML or XML in which a charset may be declared */

static int read_fd(int fd, uint64_t n_bytes, struct buf *b, const char *where, struct error *e) {
    char piece[65536];
    uint64_t at = 0;
    while (at < n_bytes) {
        size_t want = n_bytes - at < sizeof piece ? (size_t)(n_bytes - at) : sizeof piece;
        ssize_t n = pread(fd, piece, want, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(e, ERR_IO, where, "the file cannot be read: %s", strerror(errno));
        if (n == 0) break;
        buf_append(b, piece, (size_t)n);
        at += (uint64_t)n;
    }
    return b->failed ? error_set(e, ERR_NOMEM, where, "out of memory while reading the file") : 0;
}

static int hash_fd(int fd, uint8_t out[32], uint64_t *n_bytes, const char *where, struct error *e) {
    struct sha256 h;
    char piece[65536];
    *n_bytes = 0;
    sha256_init(&h);
    for (;;) {
        ssize_t n = pread(fd, piece, sizeof piece, (off_t)*n_bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(e, ERR_IO, where, "the file cannot be read: %s", strerror(errno));
        if (n == 0) break;
        sha256_update(&h, piece, (size_t)n);
        *n_bytes += (uint64_t)n;
    }
    sha256_final(&h, out);
    return 0;
}

/* charset=... of a <meta> or encoding="..." of an XML declaration, in the first bytes. */
static bool declared_charset(struct slice s, char out[40]) {
    if (s.len > DECLARED_WITHIN) s.len = DECLARED_WITHIN;
    static const char *const keys[] = {"charset", "encoding"};
    for (size_t k = 0; k < 2; k++) {
        size_t n = strlen(keys[k]);
        for (size_t i = 0; i + n < s.len; i++) {
            if (strncasecmp(s.data + i, keys[k], n)) continue;
            size_t j = i + n;
            while (j < s.len && isspace((unsigned char)s.data[j])) j++;
            if (j >= s.len || s.data[j] != '=') continue;
            j++;
            while (j < s.len && (isspace((unsigned char)s.data[j]) || s.data[j] == '"' || s.data[j] == '\'')) j++;
            size_t m = 0;
            while (j < s.len && m < 39 &&
                   (isalnum((unsigned char)s.data[j]) || (s.data[j] && strchr("-_.:", s.data[j]))))
                out[m++] = s.data[j++];
            out[m] = 0;
            if (m) return true;
        }
    }
    return false;
}

static bool has_extension(const char *name, const char *const *extensions) {
    const char *dot = strrchr(name, '.');
    for (; dot && *extensions; extensions++)
        if (strcasecmp(dot + 1, *extensions) == 0) return true;
    return false;
}

/* Text whose name doesn't tell: Markdown when at least two lines are its headings or the first one is front matter. */
static bool looks_markdown(const char *name, struct slice s) {
    static const char *const yes[] = {"md", "markdown", "mdown", "mkd", "mdx", NULL};
    static const char *const no[] = {"txt", "text", "csv", "log", "tsv", "asc", NULL};
    if (has_extension(name, yes)) return true;
    if (has_extension(name, no)) return false;
    size_t heads = 0, i = 0;
    while (i < s.len && i < HEAD_BYTES) {
        size_t k = 0;
        while (i + k < s.len && s.data[i + k] == '#') k++;
        heads += k >= 1 && k <= 6 && i + k < s.len && s.data[i + k] == ' ';
        const char *end = memchr(s.data + i, '\n', s.len - i);
        i = end ? (size_t)(end - s.data) + 1 : s.len;
    }
    return heads >= 2;
}

/* First heading with words, else the first block if it is short. */
static void find_title(struct ingest_document *d) {
    d->title = slice_trim(d->title);
    if (d->title.len) return;
    for (size_t i = 0; i < d->n_blocks && i < 200; i++) {
        const struct ingest_block *b = &d->blocks[i];
        if (b->kind != INGEST_BLOCK_HEADING || b->span.end - b->span.start > 200) continue;
        d->title = arena_slice(&d->arena, ingest_text(d, b->span));
        return;
    }
    if (d->n_blocks && d->blocks[0].kind == INGEST_BLOCK_PARAGRAPH &&
        d->blocks[0].span.end - d->blocks[0].span.start <= 120) {
        struct slice t = ingest_text(d, d->blocks[0].span);
        if (t.len && !strchr(".;:,", t.data[t.len - 1])) {
            d->title = arena_slice(&d->arena, t);
            return;
        }
    }
    d->title = d->name;
}

static int read_text(struct writer *w, int fd, uint64_t n_bytes, enum sniffed what) {
    struct ingest_document *d = w->d;
    struct buf bytes = {0}, text = {0};
    static const char *const tables[] = {"csv", "tsv", "tab", NULL};
    char charset[40], delimiter;
    int code = read_fd(fd, n_bytes, &bytes, w->o->name, w->e);
    if (!code) {
        bool declared = what != SNIFF_TEXT && declared_charset(buf_slice(&bytes), charset);
        code = encoding_decode(buf_slice(&bytes), declared ? charset : NULL, &text, w->e);
    }
    buf_free(&bytes);
    if (code) {
        w->code = code;
    } else if (what == SNIFF_HTML) {
        d->format = INGEST_HTML;
        html_read(w, buf_slice(&text));
    } else if (what == SNIFF_XML) {
        d->format = INGEST_HTML;
        xml_read(w, buf_slice(&text));
    } else if (has_extension(w->o->name, tables) && csv_delimiter(buf_slice(&text), &delimiter)) {
        d->format = INGEST_CSV;
        csv_read(w, buf_slice(&text), delimiter);
    } else if (looks_markdown(w->o->name, buf_slice(&text))) {
        d->format = INGEST_MARKDOWN;
        markdown_read(w, buf_slice(&text));
    } else {
        d->format = INGEST_TEXT;
        text_read(w, buf_slice(&text));
    }
    buf_free(&text);
    return w->code;
}

static int read_mail(struct writer *w, int fd, uint64_t n_bytes) {
    struct buf bytes = {0};
    w->d->format = INGEST_EML;
    w->code = read_fd(fd, n_bytes, &bytes, w->o->name, w->e);
    if (!w->code) eml_read(w, buf_slice(&bytes));
    buf_free(&bytes);
    return w->code;
}

int zip_read(struct writer *w, int fd) {
    struct package *p = NULL;
    if (package_open(&p, w, fd)) return w->code;
    switch (package_kind(p)) {
    case PACKAGE_DOCX:
        w->d->format = INGEST_DOCX;
        docx_read(w, p);
        break;
    case PACKAGE_XLSX:
        w->d->format = INGEST_XLSX;
        xlsx_read(w, p);
        break;
    case PACKAGE_PPTX:
        w->d->format = INGEST_PPTX;
        pptx_read(w, p);
        break;
    case PACKAGE_EPUB:
        w->d->format = INGEST_EPUB;
        epub_read(w, p);
        break;
    case PACKAGE_ODT:
        w->d->format = INGEST_ODT;
        odt_read(w, p);
        break;
    }
    package_close(p);
    return w->code;
}

int document_blocks(struct ingest_document *d, int fd, uint64_t n_bytes, const struct ingest_options *o,
                    unsigned nested, struct error *e) {
    struct buf head = {0};
    enum sniffed what = SNIFF_TEXT;
    int code = read_fd(fd, n_bytes < HEAD_BYTES ? n_bytes : HEAD_BYTES, &head, o->name, e);
    if (!code) code = sniff(buf_slice(&head), n_bytes, o->name, &what, e);
    buf_free(&head);
    if (code) return code;

    struct writer w;
    writer_open(&w, d, o, e);
    w.nested = nested;
    if (what == SNIFF_PDF) {
        d->format = INGEST_PDF;
        pdf_read(&w, fd);
    } else if (what == SNIFF_ZIP) {
        zip_read(&w, fd);
    } else if (what == SNIFF_MAIL) {
        read_mail(&w, fd, n_bytes);
    } else {
        read_text(&w, fd, n_bytes, what);
    }
    code = writer_finish(&w);
    writer_close(&w);
    if (!code && d->text.len == 0 && d->n_pages_without_text == 0)
        code = error_set(e, ERR_FORMAT, o->name, "there is no text in this file");
    return code;
}

int document_read(struct ingest_document *d, int fd, const struct ingest_options *o, struct error *e) {
    struct stat st;
    const char *where = o->name;
    if (fstat(fd, &st)) return error_set(e, ERR_IO, where, "the file cannot be read: %s", strerror(errno));
    if (!S_ISREG(st.st_mode)) return error_set(e, ERR_ARG, where, "this is not a regular file");
    if ((uint64_t)st.st_size > o->max_bytes)
        return error_set(e, ERR_LIMIT, where, "the file has %.1f MiB; at most %.1f MiB are read",
                         (double)st.st_size / 1048576.0, (double)o->max_bytes / 1048576.0);
    int code = hash_fd(fd, d->sha256, &d->n_bytes, where, e);
    if (code) return code;
    d->name = arena_slice(&d->arena, slice_of(where));
    code = document_blocks(d, fd, d->n_bytes, o, 0, e);
    if (code) return code;
    find_title(d);
    code = ingest_structure(d, e);
    if (!code) code = ingest_facts(d, e);
    return code;
}
