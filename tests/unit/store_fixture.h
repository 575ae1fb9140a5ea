/* store_fixture.h: for the store's tests: a fresh data directory, and documents made by hand, so that neither ingest
 * nor a model is needed.
 *
 * A document is written as lines: "# 4.2 Renewal" begins a section with its number, every other line is one statement,
 * " | " before a statement's end of lead-in is not needed: "~The Supplier shall:" is the lead-in of the lines that
 * begin with "- ". */
#ifndef ANTINOMY_TESTS_STORE_FIXTURE_H
#define ANTINOMY_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "store/store.h"

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        struct error *error_ = &err;                                                                                   \
        *error_ = (struct error){0};                                                                                   \
        int rc_ = (call);                                                                                              \
        if (rc_) fail_msg("%s -> %s: %s [%s]", #call, error_name(rc_), err.message, err.where);                        \
    } while (0)
#define FAILS(code_, call)                                                                                             \
    do {                                                                                                               \
        err = (struct error){0};                                                                                       \
        assert_int_equal((call), (code_));                                                                             \
        assert_int_equal(err.code, (code_));                                                                           \
        assert_true(err.message[0] != 0);                                                                              \
    } while (0)

__attribute__((unused)) static struct error err;

/* ---- a data directory that goes when the test ends ---- */
__attribute__((unused)) static char *dir_new(void) {
    const char *base = getenv("TMPDIR");
    char path[512];
    snprintf(path, sizeof path, "%s/antinomy-store-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(path));
    return strdup(path);
}

__attribute__((unused)) static int shell(const char *format, ...) {
    char command[4096];
    va_list ap;
    va_start(ap, format);
    vsnprintf(command, sizeof command, format, ap);
    va_end(ap);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

__attribute__((unused)) static void dir_free(char *dir) {
    shell("rm -rf '%s'", dir);
    free(dir);
}

/* True when no file under dir holds the bytes. Another process reads: closing the database's file here would drop
 * SQLite's locks. */
__attribute__((unused)) static bool nowhere(const char *dir, const char *word) {
    int rc = shell("grep -raqiF -- '%s' '%s'", word, dir);
    assert_true(rc == 0 || rc == 1);
    return rc == 1;
}

/* ---- death at a chosen point: the process is killed before the n-th SQL statement it runs ---- */
static int statements_left = -1;

static int count_down(unsigned type, void *context, void *p, void *x) {
    (void)type, (void)context, (void)p, (void)x;
    if (statements_left > 0 && --statements_left == 0) kill(getpid(), SIGKILL);
    return 0;
}

static int trace_every_connection(sqlite3 *db, char **message, const struct sqlite3_api_routines *api) {
    (void)message, (void)api;
    return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, count_down, NULL);
}

/* Runs work in a child that dies before its n-th statement. True when it ended by itself, so that no later point is
 * left to try. */
__attribute__((unused)) static bool survives(int n, void (*work)(void *context), void *context) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        statements_left = n;
        sqlite3_auto_extension((void (*)(void))trace_every_connection);
        work(context);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFEXITED(status);
}

/* ---- documents ---- */

static void *push(struct arena *a, void *items, size_t *n, size_t size) { /* grows by copying: tests are small */
    char *more = arena_array(a, *n + 1, size);
    if (*n) memcpy(more, items, *n * size);
    ++*n;
    return more;
}

static struct ingest_span put(struct buf *text, const char *s) {
    struct ingest_span span = {.start = (uint32_t)text->len};
    buf_puts(text, s);
    span.end = (uint32_t)text->len;
    buf_puts(text, "\n");
    return span;
}

__attribute__((unused)) static struct ingest_document *doc_new(const char *name, const char *lines) {
    struct ingest_document *d = calloc(1, sizeof *d);
    struct buf text = {0};
    struct ingest_span lead = {0, 0};
    char *copy = strdup(lines), *rest = copy;
    d->format = INGEST_TEXT;
    d->name = arena_slice(&d->arena, slice_of(name));
    d->title = d->name;
    d->sections = push(&d->arena, d->sections, &d->n_sections, sizeof *d->sections);
    d->sections[0] = (struct ingest_section){.parent = INGEST_NONE, .number = {"", 0}, .path = {"", 0}};
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (!*line) continue;
        if (strncmp(line, "# ", 2) == 0) {
            char *number = line + 2, *heading = strchr(number, ' ');
            if (heading) *heading++ = 0;
            d->sections = push(&d->arena, d->sections, &d->n_sections, sizeof *d->sections);
            struct ingest_section *s = &d->sections[d->n_sections - 1];
            struct ingest_span number_span = put(&text, number);
            s->heading = put(&text, heading ? heading : "");
            s->span = (struct ingest_span){number_span.start, (uint32_t)text.len};
            s->parent = 0;
            s->level = 1;
            s->number = arena_slice(&d->arena, slice_of(number));
            s->path = s->number;
            lead = (struct ingest_span){0, 0};
            continue;
        }
        if (*line == '~') {
            lead = put(&text, line + 1);
            continue;
        }
        bool item = strncmp(line, "- ", 2) == 0;
        d->statements = push(&d->arena, d->statements, &d->n_statements, sizeof *d->statements);
        d->statements[d->n_statements - 1] =
            (struct ingest_statement){.span = put(&text, item ? line + 2 : line),
                                      .lead_in = item ? lead : (struct ingest_span){0, 0},
                                      .section = (uint32_t)d->n_sections - 1,
                                      .kind = item ? INGEST_LIST_ITEM : INGEST_SENTENCE,
                                      .table = INGEST_NONE};
    }
    d->text = arena_slice(&d->arena, buf_slice(&text));
    d->sections[0].span = (struct ingest_span){0, (uint32_t)d->text.len};
    d->pages = push(&d->arena, d->pages, &d->n_pages, sizeof *d->pages);
    d->pages[0] =
        (struct ingest_page){.span = {0, (uint32_t)d->text.len}, .label = arena_slice(&d->arena, SLICE_LITERAL("1"))};
    buf_free(&text);
    free(copy);
    return d;
}

__attribute__((unused)) static void doc_free(struct ingest_document *d) {
    if (!d) return;
    arena_free(&d->arena);
    free(d);
}

/* ---- the usual path of a file: upload, take the job, write ---- */
__attribute__((unused)) static void upload(struct store *s, int64_t set, const char *name, const char *bytes,
                                           int64_t *document, int64_t *job) {
    char path[4096];
    snprintf(path, sizeof path, "%s.upload", store_dir(s));
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(bytes, f);
    fclose(f);
    OK(store_document_add(s, set, path, slice_of(name), document, job, &err));
    assert_int_equal(access(path, F_OK), -1); /* consumed */
}

__attribute__((unused)) static void ingest_one(struct store *s) {
    struct arena a = {0};
    struct store_job job;
    struct store_document row;
    struct buf b = {0};
    OK(store_job_take(s, &a, STORE_JOB_INGEST, 60, &job, &err));
    OK(store_document_find(s, &a, job.document, &row, &err));
    OK(file_read(store_document_path(s, &a, &row).data, 1 << 24, &b, &err));
    char *name = strndup(row.name.data, row.name.len);
    struct ingest_document *d = doc_new(name, b.data ? b.data : "");
    memcpy(d->sha256, row.sha256, 32);
    d->n_bytes = row.n_bytes;
    OK(store_document_write(s, job.id, d, (uint32_t)b.len / 4, &err));
    doc_free(d);
    free(name);
    buf_free(&b);
    arena_free(&a);
}

__attribute__((unused)) static int64_t add_ready(struct store *s, int64_t set, const char *name, const char *lines) {
    int64_t document, job;
    upload(s, set, name, lines, &document, &job);
    if (job) ingest_one(s);
    return document;
}

__attribute__((unused)) static size_t search(struct store *s, struct arena *a, int64_t set, const char *text,
                                             struct store_hit **hits) {
    size_t n;
    struct store_query q = {.text = slice_of(text), .top_k = 10};
    OK(store_search(s, a, set, &q, hits, &n, &err));
    return n;
}

/* A store in a folder of its own, with one set, for each test. */
struct fixture {
    char *dir;
    struct store *s;
    struct arena a;
    int64_t set;
};

static inline int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->dir = dir_new();
    OK(store_open(&f->s, f->dir, &err));
    OK(store_set_create(f->s, SLICE_LITERAL("acme"), &f->set, &err));
    *state = f;
    return 0;
}

static inline int teardown(void **state) {
    struct fixture *f = *state;
    store_close(f->s);
    arena_free(&f->a);
    dir_free(f->dir);
    free(f);
    return 0;
}

#endif
