/* ingest_fixture.h: for tests of the readers: a file made of bytes, its blocks as lines, an archive made of parts, a
 * refusal. */
#ifndef ANTINOMY_TESTS_INGEST_FIXTURE_H
#define ANTINOMY_TESTS_INGEST_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ingest/blocks.h"
#include "ingest/ingest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#define UNUSED __attribute__((unused)) /* not every test program calls all */

UNUSED static int load_bytes(struct ingest_document **d, const char *name, const void *bytes, size_t n,
                             const struct ingest_options *given, struct error *e) {
    struct ingest_options o = given ? *given : ingest_options_default();
    struct error io;
    char path[128];
    memset(e, 0, sizeof *e);
    snprintf(path, sizeof path, "/tmp/antinomy-readers-%d", (int)getpid());
    assert_int_equal(file_write_atomic(path, bytes, n, &io), 0);
    o.name = name;
    int code = ingest_document_load(d, path, &o, e);
    unlink(path);
    return code;
}

static const char *const block_kinds[] = {"P", "H", "L", "C", "PRE", "F", "Q"};

/* Blocks as lines: "H1 Title", "L2[(a)] text", "C0.1.2 cell" (table.row.column, * for a header); "@ label" where one of
 * several pages begins. */
static void dump(const struct ingest_document *d, struct buf *out) {
    for (size_t i = 0, page = 0; i < d->n_blocks; i++) {
        const struct ingest_block *b = &d->blocks[i];
        for (; d->n_pages > 1 && page < d->n_pages && d->pages[page].span.start <= b->span.start; page++)
            buf_printf(out, "@ %s\n", d->pages[page].label.data);
        struct slice t = ingest_text(d, b->span), number = ingest_text(d, b->number);
        buf_puts(out, block_kinds[b->kind]);
        if (b->kind == INGEST_BLOCK_CELL)
            buf_printf(out, "%u.%u.%u%s", b->table, b->row, b->column, b->flags & INGEST_BLOCK_HEADER ? "*" : "");
        if (b->level) buf_printf(out, "%u", b->level);
        if (number.len) buf_printf(out, "[%.*s]", (int)number.len, number.data);
        buf_printf(out, " %.*s\n", (int)t.len, t.data);
    }
}

static void check_lines(const char *name, const char *bytes, size_t n, bool warnings, const char *expected) {
    struct ingest_document *d = NULL;
    struct error e;
    struct buf out = {0};
    int code = load_bytes(&d, name, bytes, n, NULL, &e);
    if (code) print_message("%s: %s\n", name, e.message);
    assert_int_equal(code, 0);
    dump(d, &out);
    for (size_t i = 0; warnings && i < d->n_warnings; i++) buf_printf(&out, "! %s\n", d->warnings[i].message.data);
    assert_string_equal(out.data ? out.data : "", expected);
    buf_free(&out);
    ingest_document_free(d);
}

UNUSED static void check_blocks(const char *name, const char *bytes, size_t n, const char *expected) {
    check_lines(name, bytes, n, false, expected);
}
#define CHECK(name, bytes, expected) check_blocks(name, bytes, sizeof(bytes) - 1, expected)

/* Blocks, then "! warning". */
UNUSED static void check_document(const char *name, const char *bytes, size_t n, const char *expected) {
    check_lines(name, bytes, n, true, expected);
}

/* Letters and figures only, lower case: markup of the two sides differs, the words may not. */
static void letters(struct buf *out, struct slice s, bool markdown) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (markdown && c == '<' && i + 4 < s.len && !memcmp(s.data + i, "<!--", 4)) {
            const char *end = memmem(s.data + i, s.len - i, "-->", 3);
            if (end) i = (size_t)(end - s.data) + 2;
            continue;
        }
        if (markdown && c == ']' && i + 1 < s.len && s.data[i + 1] == '(') { /* where a link leads */
            const char *end = memchr(s.data + i, ')', s.len - i);
            if (end) i = (size_t)(end - s.data);
            continue;
        }
        if (markdown && c == '~' && i + 2 < s.len && s.data[i + 1] == '~') { /* struck through */
            const char *end = memmem(s.data + i + 2, s.len - i - 2, "~~", 2);
            if (end) i = (size_t)(end - s.data) + 1;
            continue;
        }
        if (c == '\xc2' && i + 1 < s.len && s.data[i + 1] == '\xb2') c = '2'; /* raised here, not there */
        if (isalnum((unsigned char)c)) {
            c = (char)tolower((unsigned char)c);
            buf_append(out, &c, 1);
        }
    }
}

/* A file of tests/data/ingest gives the words that somebody else's program found in it, each `theirs` read as `ours`
 * (which is shorter). */
UNUSED static void check_published_but(const char *file, const char *theirs, const char *ours) {
    char name[200];
    struct ingest_document *d = NULL;
    struct error e = {0};
    struct buf raw = {0}, want = {0}, have = {0};
    snprintf(name, sizeof name, "tests/data/ingest/%s", file);
    assert_int_equal(ingest_document_load(&d, name, NULL, &e), 0);
    strcat(name, ".expected.md");
    assert_int_equal(file_read(name, 1 << 20, &raw, &e), 0);
    letters(&want, buf_slice(&raw), true);
    for (size_t k = 0; k < d->n_blocks; k++) letters(&have, ingest_text(d, d->blocks[k].span), false);
    for (char *at; theirs[0] && (at = strstr(want.data, theirs)) != NULL;) {
        memmove(at + strlen(ours), at + strlen(theirs), strlen(at + strlen(theirs)) + 1);
        memcpy(at, ours, strlen(ours));
    }
    assert_string_equal(have.data, want.data);
    buf_free(&raw);
    buf_free(&want);
    buf_free(&have);
    ingest_document_free(d);
}

UNUSED static void check_published(const char *file) {
    check_published_but(file, "", "");
}

struct entry {
    const char *name, *text;
};

UNUSED static size_t make_zip(char *out, size_t cap, const struct entry *entries, size_t n) {
    char name[128];
    int err = 0;
    snprintf(name, sizeof name, "/tmp/antinomy-zip-%d", (int)getpid());
    unlink(name);
    zip_t *z = zip_open(name, ZIP_CREATE | ZIP_TRUNCATE, &err);
    assert_non_null(z);
    for (size_t i = 0; i < n; i++)
        assert_true(zip_file_add(z, entries[i].name, zip_source_buffer(z, entries[i].text, strlen(entries[i].text), 0),
                                 ZIP_FL_ENC_UTF_8) >= 0);
    assert_int_equal(zip_close(z), 0);
    FILE *f = fopen(name, "rb");
    assert_non_null(f);
    size_t len = fread(out, 1, cap, f);
    fclose(f);
    unlink(name);
    return len;
}

UNUSED static void refuse(const char *name, const void *bytes, size_t n, int code, const char *says) {
    struct ingest_document *d = NULL;
    struct error e;
    int got = load_bytes(&d, name, bytes, n, NULL, &e);
    if (got != code || !strstr(e.message, says)) print_message("%s: %d, \"%s\"\n", name, got, e.message);
    assert_int_equal(got, code);
    assert_non_null(strstr(e.message, says));
    assert_null(d);
}

#endif
