/* test_store.c: opening, sets, documents by hash and name, the ingested document written and read back, readings,
 * results. */
#include "tests/unit/store_fixture.h"

#include "store/database.h" /* STORE_SCHEMA_VERSION */

#include <sqlite3.h>

static const char supply[] =
    "# 1 Definitions\n\"Products\" means the goods in Exhibit B.\n"
    "# 4.2 Renewal\nThis Agreement renews for one year unless a party gives 30 days notice.\n"
    "# 7 Payment\n~The Buyer shall:\n- pay within thirty (30) days;\n- pay USD 1,250,000 on 1 May 2024.\n";

/* ---- opening ---- */
static void test_second_owner_is_refused_and_a_dead_one_is_not(void **state) {
    struct fixture *f = *state;
    struct store *other = NULL;
    FAILS(ERR_BUSY, store_open(&other, f->dir, &err));
    assert_null(other);
    assert_non_null(strstr(err.message, "process")); /* says which */
    store_close(f->s);
    /* a process that is killed while it owns the directory leaves the lock file behind */
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *s;
        if (store_open(&s, f->dir, &err)) _exit(1);
        if (write(ready[1], "x", 1) != 1) _exit(1);
        pause();
        _exit(0);
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    FAILS(ERR_BUSY, store_open(&f->s, f->dir, &err));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    OK(store_open(&f->s, f->dir, &err));
    int64_t set;
    OK(store_set_find(f->s, SLICE_LITERAL("acme"), &set, &err));
    close(ready[0]), close(ready[1]);
}

static void patch(const char *dir, const char *sql) {
    char path[1024];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/antinomy.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_newer_foreign_and_damaged_databases_are_refused(void **state) {
    struct fixture *f = *state;
    store_close(f->s);
    f->s = NULL;
    patch(f->dir, "PRAGMA user_version = 99");
    FAILS(ERR_FORMAT, store_open(&f->s, f->dir, &err));
    assert_non_null(strstr(err.message, "newer"));
    assert_non_null(strstr(err.where, "antinomy.db"));
    char version[64];
    snprintf(version, sizeof version, "PRAGMA user_version = %d; PRAGMA application_id = 7", STORE_SCHEMA_VERSION);
    patch(f->dir, version);
    FAILS(ERR_FORMAT, store_open(&f->s, f->dir, &err));
    patch(f->dir, "PRAGMA application_id = 1097757801");
    OK(store_open(&f->s, f->dir, &err));
    store_close(f->s);
    f->s = NULL;
    shell("printf 'this is not a database, but it is long enough to be read as one' > '%s/antinomy.db'", f->dir);
    FAILS(ERR_FORMAT, store_open(&f->s, f->dir, &err));
}

static void test_originals_without_a_database_are_not_taken_for_litter(void **state) {
    struct fixture *f = *state;
    add_ready(f->s, f->set, "a.txt", supply);
    store_close(f->s);
    f->s = NULL;
    shell("rm '%s'/antinomy.db*", f->dir);
    FAILS(ERR_FORMAT, store_open(&f->s, f->dir, &err));
    assert_int_equal(shell("test $(ls '%s/originals' | wc -l) = 1", f->dir), 0);
}

static void test_files_that_no_row_names_go_at_start(void **state) {
    struct fixture *f = *state;
    add_ready(f->s, f->set, "a.txt", supply);
    store_close(f->s);
    shell("cd '%s'; touch originals/%064d readings/%032d pages/%064d-1-100.png originals/half.tmp;"
          "for k in originals/*; do case $k in *000|*.tmp) ;; *) touch pages/$(basename $k)-1-100.png;; esac; done",
          f->dir, 0, 0, 0);
    OK(store_open(&f->s, f->dir, &err));
    assert_int_equal(
        shell("cd '%s'; test $(ls originals | wc -l) = 1 -a $(ls readings | wc -l) = 0 -a $(ls pages | wc -l) = 1",
              f->dir),
        0);
}

static void test_permissions_keep_others_out(void **state) {
    struct fixture *f = *state;
    add_ready(f->s, f->set, "a.txt", supply);
    assert_int_equal(shell("test -z \"$(find '%s' -perm /077)\"", f->dir), 0);
}

/* ---- sets ---- */
static void test_sets_are_found_by_name(void **state) {
    struct fixture *f = *state;
    int64_t again, other;
    struct store_set *sets;
    size_t n;
    OK(store_set_create(f->s, SLICE_LITERAL("acme"), &again, &err));
    assert_int_equal(again, f->set);
    OK(store_set_create(f->s, slice_of("Zürich; DROP TABLE sets; --'\""), &other, &err));
    FAILS(ERR_NOT_FOUND, store_set_find(f->s, SLICE_LITERAL("Acme"), &again, &err));
    FAILS(ERR_ARG, store_set_create(f->s, SLICE_LITERAL("  "), &again, &err));
    FAILS(ERR_ARG, store_set_create(f->s, SLICE_LITERAL("a\0b"), &again, &err));
    FAILS(ERR_ARG, store_set_create(f->s, SLICE_LITERAL("\xff"), &again, &err));
    add_ready(f->s, f->set, "a.txt", supply);
    add_ready(f->s, f->set, "copy of a.txt", supply);
    OK(store_sets(f->s, &f->a, &sets, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(sets[1].id, f->set);
    assert_int_equal(sets[1].n_documents, 2);
    assert_int_equal(sets[1].n_tokens, strlen(supply) / 4); /* once a content */
    assert_true(sets[0].created_at > 1700000000);
}

/* ---- documents: acceptance test 7 ---- */
static void test_same_bytes_under_two_names_are_stored_once(void **state) {
    struct fixture *f = *state;
    int64_t a, b, c, job, job2, other;
    struct store_document d;
    struct store_hit *hits;
    upload(f->s, f->set, "a.txt", supply, &a, &job);
    assert_true(job > 0);
    upload(f->s, f->set, "b.txt", supply, &b, &job2);
    assert_int_equal(job2, job); /* one job for the bytes */
    assert_true(b != a);
    ingest_one(f->s);
    OK(store_document_find(f->s, &f->a, b, &d, &err));
    assert_int_equal(d.state, STORE_READY); /* both at once */
    assert_int_equal(d.duplicate_of, a);
    assert_int_equal(shell("test $(ls '%s/originals' | wc -l) = 1", f->dir), 0);
    assert_int_equal(search(f->s, &f->a, f->set, "renews", &hits), 1); /* indexed once */
    assert_int_equal(hits[0].document, a);
    OK(store_set_create(f->s, SLICE_LITERAL("other"), &other, &err));
    upload(f->s, other, "c.txt", supply, &c, &job);
    assert_int_equal(job, 0); /* nothing to do */
    OK(store_document_find(f->s, &f->a, c, &d, &err));
    assert_int_equal(d.state, STORE_READY);
    assert_int_equal(d.duplicate_of, 0); /* of the same set only */
    assert_true(slice_equal(d.title, SLICE_LITERAL("c.txt")));
}

static void test_changed_file_replaces_the_old_and_the_same_file_does_nothing(void **state) {
    struct fixture *f = *state;
    int64_t old = add_ready(f->s, f->set, "a.txt", "# 1 One\nThe fee is ten pounds.\n"), same, job;
    struct store_document d, *list;
    struct store_hit *hits;
    size_t n;
    upload(f->s, f->set, "a.txt", "# 1 One\nThe fee is ten pounds.\n", &same, &job);
    assert_int_equal(same, old);
    assert_int_equal(job, 0);
    int64_t new = add_ready(f->s, f->set, "a.txt", "# 1 One\nThe fee is twenty pounds.\n");
    assert_true(new != old);
    OK(store_document_find(f->s, &f->a, old, &d, &err));
    assert_int_equal(d.replaced_by, new);
    OK(store_document_by_name(f->s, &f->a, f->set, SLICE_LITERAL("a.txt"), &d, &err));
    assert_int_equal(d.id, new);
    assert_int_equal(d.replaced_by, 0);
    OK(store_documents(f->s, &f->a, f->set, &list, &n, &err));
    assert_int_equal(n, 2); /* history is kept */
    assert_int_equal(search(f->s, &f->a, f->set, "fee", &hits), 1);
    assert_int_equal(hits[0].document, new); /* the old version answers nothing */
    /* and back: the old bytes are current again, as a third entry */
    int64_t third = add_ready(f->s, f->set, "a.txt", "# 1 One\nThe fee is ten pounds.\n");
    assert_true(third != old && third != new);
    assert_int_equal(search(f->s, &f->a, f->set, "fee", &hits), 1);
    assert_int_equal(hits[0].document, third);
    /* the current one deleted: the old versions stay out of search, but can be named and deleted */
    OK(store_document_delete(f->s, third, &f->a, NULL, &err));
    assert_int_equal(search(f->s, &f->a, f->set, "fee", &hits), 0);
    OK(store_document_by_name(f->s, &f->a, f->set, SLICE_LITERAL("a.txt"), &d, &err));
    assert_int_equal(d.id, new);
    assert_int_equal(d.replaced_by, third);
}

static void test_wrong_arguments_are_answered(void **state) {
    struct fixture *f = *state;
    int64_t document, job;
    struct store_document d;
    struct ingest_document *loaded;
    FAILS(ERR_NOT_FOUND,
          store_document_add(f->s, f->set, "/nonexistent/file", SLICE_LITERAL("a"), &document, &job, &err));
    FAILS(ERR_ARG, store_document_add(f->s, f->set, "/tmp", SLICE_LITERAL("a"), &document, &job, &err));
    FAILS(ERR_ARG, store_document_add(f->s, f->set, "base.h", SLICE_LITERAL(""), &document, &job, &err));
    shell("cp base.h '%s/copy'", f->dir);
    char path[512];
    snprintf(path, sizeof path, "%s/copy", f->dir);
    FAILS(ERR_NOT_FOUND, store_document_add(f->s, 77, path, SLICE_LITERAL("a"), &document, &job, &err));
    assert_int_equal(access(path, F_OK), 0); /* not consumed by a failure */
    assert_int_equal(shell("test $(ls '%s/originals' | wc -l) = 0", f->dir), 0);
    FAILS(ERR_NOT_FOUND, store_document_find(f->s, &f->a, 77, &d, &err));
    FAILS(ERR_NOT_FOUND, store_document_by_name(f->s, &f->a, f->set, SLICE_LITERAL("none"), &d, &err));
    FAILS(ERR_NOT_FOUND, store_document_load(f->s, 77, &loaded, &err));
    FAILS(ERR_NOT_FOUND, store_document_delete(f->s, 77, &f->a, NULL, &err));
    FAILS(ERR_NOT_FOUND, store_set_delete(f->s, 77, &err));
    upload(f->s, f->set, "q.txt", "waiting", &document, &job);
    FAILS(ERR_BUSY, store_document_load(f->s, document, &loaded, &err));
}

/* ---- written and read back, field by field ---- */
static void same_slice(struct slice a, struct slice b) {
    assert_int_equal(a.len, b.len);
    if (a.len) assert_memory_equal(a.data, b.data, a.len);
}

static void same_span(struct ingest_span a, struct ingest_span b) {
    assert_int_equal(a.start, b.start);
    assert_int_equal(a.end, b.end);
}

static void same_document(const struct ingest_document *a, const struct ingest_document *b) {
    assert_int_equal(a->format, b->format);
    same_slice(a->name, b->name);
    same_slice(a->title, b->title);
    assert_memory_equal(a->sha256, b->sha256, 32);
    assert_int_equal(a->n_bytes, b->n_bytes);
    same_slice(a->text, b->text);
    assert_int_equal(a->n_pages_without_text, b->n_pages_without_text);
    assert_int_equal(a->n_pages, b->n_pages);
    for (size_t i = 0; i < a->n_pages; i++) {
        same_span(a->pages[i].span, b->pages[i].span);
        same_slice(a->pages[i].label, b->pages[i].label);
        assert_memory_equal(&a->pages[i].width_pt, &b->pages[i].width_pt, sizeof(float));
        assert_memory_equal(&a->pages[i].height_pt, &b->pages[i].height_pt, sizeof(float));
    }
    assert_int_equal(a->n_words, b->n_words);
    for (size_t i = 0; i < a->n_words; i++) {
        const struct ingest_word *p = &a->words[i], *q = &b->words[i];
        same_span(p->span, q->span);
        assert_int_equal(p->page, q->page);
        assert_memory_equal(&p->x0, &q->x0, 4 * sizeof(float));
    }
    assert_int_equal(a->n_sections, b->n_sections);
    for (size_t i = 0; i < a->n_sections; i++) {
        const struct ingest_section *p = &a->sections[i], *q = &b->sections[i];
        same_span(p->span, q->span);
        same_span(p->heading, q->heading);
        assert_int_equal(p->parent, q->parent);
        assert_int_equal(p->level, q->level);
        same_slice(p->number, q->number);
        same_slice(p->path, q->path);
    }
    assert_int_equal(a->n_statements, b->n_statements);
    for (size_t i = 0; i < a->n_statements; i++) {
        const struct ingest_statement *p = &a->statements[i], *q = &b->statements[i];
        same_span(p->span, q->span);
        same_span(p->lead_in, q->lead_in);
        assert_int_equal(p->section, q->section);
        assert_int_equal(p->page, q->page);
        assert_int_equal(p->kind, q->kind);
        assert_int_equal(p->table, q->table);
    }
    assert_int_equal(a->n_facts, b->n_facts);
    for (size_t i = 0; i < a->n_facts; i++) {
        const struct ingest_fact *p = &a->facts[i], *q = &b->facts[i];
        assert_int_equal(p->kind, q->kind);
        assert_int_equal(p->statement, q->statement);
        same_span(p->span, q->span);
        same_span(p->subject, q->subject);
        same_span(p->object, q->object);
        assert_memory_equal(&p->value, &q->value, sizeof(double)); /* bits: NaN too */
        assert_memory_equal(&p->value2, &q->value2, sizeof(double));
        same_slice(p->unit, q->unit);
        assert_int_equal(p->year, q->year);
        assert_int_equal(p->month, q->month);
        assert_int_equal(p->day, q->day);
        assert_int_equal(p->modality, q->modality);
        assert_int_equal(p->bound, q->bound);
        assert_int_equal(p->flags, q->flags);
    }
    assert_int_equal(a->n_warnings, b->n_warnings);
    for (size_t i = 0; i < a->n_warnings; i++) {
        assert_int_equal(a->warnings[i].page, b->warnings[i].page);
        same_slice(a->warnings[i].message, b->warnings[i].message);
    }
}

static uint32_t seed = 1;
static uint32_t roll(uint32_t n) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static struct ingest_span some_span(size_t len) {
    uint32_t a = roll((uint32_t)len + 1), b = roll((uint32_t)len + 1);
    return a < b ? (struct ingest_span){a, b} : (struct ingest_span){b, a};
}

/* Every field takes odd values: empty and full arrays, NaN, infinities, INGEST_NONE, negative years, empty and long
 * strings. */
static struct ingest_document *doc_random(size_t scale) {
    static const float floats[] = {0, -0.0f, 1.5f, -612.25f, 3.4e38f, 1e-42f};
    static const double doubles[] = {0, -1, 12.5, 1e300, 125000000};
    static const char *const strings[] = {
        "", "4.2", "(a)", "§ 1013.4", "Exhibit B > 3", "°C", "USD", "\xf0\x9f\x98\x80"};
#define SOME(list) list[roll(sizeof list / sizeof *list)]
    struct ingest_document *d = calloc(1, sizeof *d);
    struct buf text = {0};
    size_t len = 1 + roll(4000);
    for (size_t i = 0; i < len; i++) buf_append(&text, &(char){(char)('a' + roll(26))}, 1);
    d->format = (enum ingest_format)roll(INGEST_FORMATS);
    d->name = arena_slice(&d->arena, slice_of("random.pdf"));
    d->title = arena_slice(&d->arena, slice_of(roll(2) ? "A title" : "random.pdf"));
    d->text = arena_slice(&d->arena, buf_slice(&text));
    buf_free(&text);
    d->n_pages_without_text = roll(3);
    d->n_pages = 1 + roll(9);
    d->pages = arena_array(&d->arena, d->n_pages, sizeof *d->pages);
    for (size_t i = 0; i < d->n_pages; i++)
        d->pages[i] = (struct ingest_page){some_span(len), arena_slice(&d->arena, slice_of(SOME(strings))),
                                           SOME(floats), SOME(floats)};
    d->n_words = roll(2) ? scale * roll(50) : 0;
    d->words = arena_array(&d->arena, d->n_words, sizeof *d->words);
    for (size_t i = 0; i < d->n_words; i++)
        d->words[i] =
            (struct ingest_word){some_span(len), roll((uint32_t)d->n_pages), SOME(floats), SOME(floats), NAN, INFINITY};
    d->n_sections = 1 + roll(20);
    d->sections = arena_array(&d->arena, d->n_sections, sizeof *d->sections);
    for (size_t i = 0; i < d->n_sections; i++)
        d->sections[i] = (struct ingest_section){.span = some_span(len),
                                                 .heading = some_span(len),
                                                 .parent = i ? roll((uint32_t)i) : INGEST_NONE,
                                                 .level = roll(300),
                                                 .number = arena_slice(&d->arena, slice_of(SOME(strings))),
                                                 .path = arena_slice(&d->arena, slice_of(SOME(strings)))};
    d->n_statements = scale * roll(60);
    d->statements = arena_array(&d->arena, d->n_statements, sizeof *d->statements);
    for (size_t i = 0; i < d->n_statements; i++)
        d->statements[i] = (struct ingest_statement){.span = some_span(len),
                                                     .lead_in = roll(2) ? some_span(len) : (struct ingest_span){0, 0},
                                                     .section = roll((uint32_t)d->n_sections),
                                                     .page = roll((uint32_t)d->n_pages),
                                                     .kind = (enum ingest_statement_kind)roll(INGEST_HEADING + 1),
                                                     .table = roll(2) ? INGEST_NONE : roll(1000)};
    d->n_facts = d->n_statements ? scale * roll(60) : 0;
    d->facts = arena_array(&d->arena, d->n_facts, sizeof *d->facts);
    for (size_t i = 0; i < d->n_facts; i++)
        d->facts[i] = (struct ingest_fact){.kind = (enum ingest_fact_kind)roll(INGEST_TOTAL + 1),
                                           .statement = roll((uint32_t)d->n_statements),
                                           .span = some_span(len),
                                           .subject = some_span(len),
                                           .object = some_span(len),
                                           .value = SOME(doubles),
                                           .value2 = (double)NAN,
                                           .unit = arena_slice(&d->arena, slice_of(SOME(strings))),
                                           .year = (int32_t)roll(5000) - 2000,
                                           .month = (int32_t)roll(13),
                                           .day = (int32_t)roll(32),
                                           .modality = (enum ingest_modality)roll(INGEST_DECLARATION + 1),
                                           .bound = (enum ingest_bound)roll(INGEST_ABOUT + 1),
                                           .flags = roll(32)};
    d->n_warnings = roll(4);
    d->warnings = arena_array(&d->arena, d->n_warnings, sizeof *d->warnings);
    for (size_t i = 0; i < d->n_warnings; i++)
        d->warnings[i] = (struct ingest_warning){roll(2) ? INGEST_NONE : roll(9),
                                                 arena_slice(&d->arena, slice_of("page 7 has no text layer"))};
    return d;
}

static void test_document_comes_back_field_by_field(void **state) {
    struct fixture *f = *state;
    for (int round = 0; round < 40; round++) {
        char name[32], bytes[32];
        int64_t document, job;
        struct store_job taken;
        struct store_document row;
        struct ingest_document *d = doc_random(round % 10 == 0 ? 20 : 1), *back;
        snprintf(name, sizeof name, "random.pdf");
        snprintf(bytes, sizeof bytes, "bytes %d", round);
        upload(f->s, f->set, name, bytes, &document, &job);
        OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &taken, &err));
        OK(store_document_find(f->s, &f->a, document, &row, &err));
        memcpy(d->sha256, row.sha256, 32);
        d->n_bytes = row.n_bytes;
        OK(store_document_write(f->s, job, d, 17, &err));
        OK(store_document_load(f->s, document, &back, &err));
        same_document(d, back);
        OK(store_document_find(f->s, &f->a, document, &row, &err));
        assert_int_equal(row.n_statements, d->n_statements);
        assert_int_equal(row.n_pages, d->n_pages);
        assert_int_equal(row.n_tokens, 17);
        assert_int_equal(row.n_pages_without_text, d->n_pages_without_text);
        assert_int_equal(row.n_warnings, d->n_warnings);
        for (size_t i = 0; i < row.n_warnings; i++) {
            assert_int_equal(row.warnings[i].page, d->warnings[i].page);
            same_slice(row.warnings[i].message, d->warnings[i].message);
        }
        same_slice(row.title, d->title);
        doc_free(d);
        doc_free(back);
    }
}

static void test_ingested_file_comes_back_field_by_field(void **state) {
    struct fixture *f = *state;
    static const char *const files[] = {"LICENSE", "store/schema.sql"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct ingest_options o = ingest_options_default();
        struct ingest_document *d, *back;
        struct store_job taken;
        int64_t document, job;
        char path[600];
        o.in_process = true;
        OK(ingest_document_load(&d, files[i], &o, &err));
        assert_true(d->n_statements > 10);
        snprintf(path, sizeof path, "%s.upload", f->dir);
        assert_int_equal(shell("cp '%s' '%s'", files[i], path), 0);
        OK(store_document_add(f->s, f->set, path, d->name, &document, &job, &err));
        OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &taken, &err));
        OK(store_document_write(f->s, job, d, 1, &err)); /* checks the SHA-256 too */
        OK(store_document_load(f->s, document, &back, &err));
        same_document(d, back);
        ingest_document_free(d);
        ingest_document_free(back);
    }
}

static void test_parts_that_do_not_fit_the_text_are_refused(void **state) {
    struct fixture *f = *state;
    int64_t document, job;
    struct store_job taken;
    struct store_document row;
    upload(f->s, f->set, "a.txt", supply, &document, &job);
    OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &taken, &err));
    struct ingest_document *d = doc_new("a.txt", supply);
    d->statements[1].span.end = (uint32_t)d->text.len + 1;
    FAILS(ERR_FORMAT, store_document_write(f->s, job, d, 1, &err));
    assert_string_equal(err.where, "statement 1");
    d->statements[1].span.end--;
    d->statements[1].section = 99;
    FAILS(ERR_FORMAT, store_document_write(f->s, job, d, 1, &err));
    d->statements[1].section = 1;
    d->sections[1].parent = 1; /* its own parent: going up would not end */
    FAILS(ERR_FORMAT, store_document_write(f->s, job, d, 1, &err));
    d->sections[1].parent = 0;
    memset(d->sha256, 7, 32); /* another file's */
    FAILS(ERR_ARG, store_document_write(f->s, job, d, 1, &err));
    OK(store_document_find(f->s, &f->a, document, &row, &err));
    assert_int_equal(row.state, STORE_QUEUED); /* nothing of it went in */
    memset(d->sha256, 0, 32);
    OK(store_document_write(f->s, job, d, 1, &err));
    FAILS(ERR_CANCELLED, store_document_write(f->s, job, d, 1, &err)); /* ended: not twice */
    doc_free(d);
}

/* ---- readings ---- */
static void save(const char *path, const char *bytes) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(bytes, f);
    fclose(f);
}

static void test_readings_are_kept_replaced_and_evicted_by_use(void **state) {
    struct fixture *f = *state;
    uint8_t model[32] = {1}, hash[3][32] = {{1}, {2}, {3}};
    struct store_document d;
    struct store_reading *r;
    struct slice path[4];
    size_t n;
    OK(store_document_find(f->s, &f->a, add_ready(f->s, f->set, "a.txt", supply), &d, &err));
    for (int i = 0; i < 3; i++) {
        OK(store_reading_path(f->s, &f->a, &path[i], &err));
        save(path[i].data, "0123456789");
        OK(store_reading_add(f->s, f->set, model, hash[i], 100u + (uint32_t)i, &d.content, 1, path[i], &err));
    }
    OK(store_readings(f->s, &f->a, f->set, model, &r, &n, &err));
    assert_int_equal(n, 3);
    assert_int_equal(r[0].n_tokens, 102); /* longest first */
    assert_int_equal(r[0].bytes, 10);
    assert_memory_equal(r[0].prefix_hash, hash[2], 32);
    assert_int_equal(r[0].n_contents, 1);
    assert_int_equal(r[0].contents[0], d.content);
    same_slice(r[0].path, path[2]);
    /* the same prefix again takes the place of the old file */
    OK(store_reading_path(f->s, &f->a, &path[3], &err));
    save(path[3].data, "abc");
    OK(store_reading_add(f->s, f->set, model, hash[1], 101, &d.content, 1, path[3], &err));
    assert_int_equal(access(path[1].data, F_OK), -1);
    OK(store_readings(f->s, &f->a, f->set, model, &r, &n, &err));
    assert_int_equal(n, 3);
    OK(store_reading_use(f->s, r[2].id, &err)); /* hash[0], the oldest */
    OK(store_readings_evict(f->s, 13, &err));
    OK(store_readings(f->s, &f->a, f->set, model, &r, &n, &err));
    assert_int_equal(n, 2);
    assert_memory_equal(r[0].prefix_hash, hash[1], 32);
    assert_memory_equal(r[1].prefix_hash, hash[0], 32);
    assert_int_equal(access(path[2].data, F_OK), -1);
    uint8_t other[32] = {9};
    OK(store_readings(f->s, &f->a, f->set, other, &r, &n, &err));
    assert_int_equal(n, 0);
    FAILS(ERR_ARG,
          store_reading_add(f->s, f->set, model, hash[0], 1, &d.content, 1, SLICE_LITERAL("/etc/passwd"), &err));
    OK(store_reading_path(f->s, &f->a, &path[0], &err));
    FAILS(ERR_NOT_FOUND,
          store_reading_add(f->s, f->set, model, hash[0], 1, &d.content, 1, path[0], &err)); /* never written */
}

static void test_a_reading_of_a_document_deleted_meanwhile_is_not_kept(void **state) {
    struct fixture *f = *state;
    uint8_t model[32] = {1}, hash[32] = {2};
    struct store_document d;
    struct slice path, late;
    OK(store_document_find(f->s, &f->a, add_ready(f->s, f->set, "a.txt", supply), &d, &err));
    OK(store_reading_path(f->s, &f->a, &path, &err));
    OK(store_reading_path(f->s, &f->a, &late, &err));
    save(path.data, "being written");
    OK(store_document_delete(f->s, d.id, &f->a, NULL, &err));
    assert_int_equal(access(path.data, F_OK), -1); /* what was being written goes too */
    save(late.data, "written after");
    FAILS(ERR_NOT_FOUND, store_reading_add(f->s, f->set, model, hash, 5, &d.content, 1, late, &err));
    assert_int_equal(access(late.data, F_OK), -1);
    int64_t id;
    FAILS(ERR_NOT_FOUND,
          store_answer_add(f->s, f->set, SLICE_LITERAL("q"), SLICE_LITERAL("{}"), &d.content, 1, &id, &err));
}

/* ---- results ---- */
static void test_answers_and_reports_come_back_as_shown(void **state) {
    struct fixture *f = *state;
    struct store_document d;
    int64_t id, report;
    struct store_answer answer, latest;
    OK(store_document_find(f->s, &f->a, add_ready(f->s, f->set, "a.txt", supply), &d, &err));
    int64_t twice[] = {d.content, d.content};
    OK(store_answer_add(f->s, f->set, SLICE_LITERAL("When?"), SLICE_LITERAL("{\"answer\":\"1 May\"}"), twice, 2, &id,
                        &err));
    FAILS(ERR_NOT_FOUND, store_report_latest(f->s, &f->a, f->set, &latest, &err));
    OK(store_report_add(f->s, f->set, SLICE_LITERAL("{\"findings\":[]}"), &d.content, 1, &report, &err));
    OK(store_report_add(f->s, f->set, SLICE_LITERAL("{\"findings\":[1]}"), &d.content, 1, &report, &err));
    OK(store_answer_find(f->s, &f->a, id, &answer, &err));
    same_slice(answer.json, SLICE_LITERAL("{\"answer\":\"1 May\"}"));
    same_slice(answer.question, SLICE_LITERAL("When?"));
    assert_int_equal(answer.id, id);
    assert_int_equal(answer.set, f->set);
    assert_true(answer.asked_at > 0);
    FAILS(ERR_NOT_FOUND, store_answer_find(f->s, &f->a, report, &answer, &err)); /* a report is no answer */
    OK(store_report_latest(f->s, &f->a, f->set, &latest, &err));
    assert_int_equal(latest.id, report);
    same_slice(latest.json, SLICE_LITERAL("{\"findings\":[1]}"));
    OK(store_document_delete(f->s, d.id, &f->a, NULL, &err));
    FAILS(ERR_NOT_FOUND, store_answer_find(f->s, &f->a, id, &answer, &err));
    FAILS(ERR_NOT_FOUND, store_report_latest(f->s, &f->a, f->set, &latest, &err));
}

static void test_answers_are_listed_in_pages_newest_first(void **state) {
    struct fixture *f = *state;
    struct store_document d;
    struct store_answer *page;
    int64_t ids[5], other, ignored;
    size_t n;
    bool more;
    OK(store_set_create(f->s, SLICE_LITERAL("other"), &other, &err));
    OK(store_document_find(f->s, &f->a, add_ready(f->s, other, "b.txt", supply), &d, &err));
    OK(store_answer_add(f->s, other, SLICE_LITERAL("not of this set"), SLICE_LITERAL("{}"), &d.content, 1, &ignored,
                        &err));
    OK(store_document_find(f->s, &f->a, add_ready(f->s, f->set, "a.txt", supply), &d, &err));
    OK(store_answers(f->s, &f->a, f->set, 0, 3, &page, &n, &more, &err));
    assert_int_equal(n, 0);
    assert_false(more);
    for (int i = 0; i < 5; i++) {
        char question[16];
        snprintf(question, sizeof question, "question %d", i);
        OK(store_answer_add(f->s, f->set, slice_of(question), SLICE_LITERAL("{}"), &d.content, 1, &ids[i], &err));
        OK(store_report_add(f->s, f->set, SLICE_LITERAL("{}"), &d.content, 1, &ignored, &err)); /* not listed */
    }
    OK(store_answers(f->s, &f->a, f->set, 0, 3, &page, &n, &more, &err));
    assert_int_equal(n, 3);
    assert_true(more);
    for (int i = 0; i < 3; i++) assert_int_equal(page[i].id, ids[4 - i]);
    same_slice(page[0].question, SLICE_LITERAL("question 4"));
    OK(store_answer_add(f->s, f->set, SLICE_LITERAL("late"), SLICE_LITERAL("{}"), &d.content, 1, &ignored, &err));
    OK(store_answers(f->s, &f->a, f->set, page[2].id, 3, &page, &n, &more, &err)); /* a new one moves no page */
    assert_int_equal(n, 2);
    assert_false(more);
    for (int i = 0; i < 2; i++) assert_int_equal(page[i].id, ids[1 - i]);
    OK(store_answers(f->s, &f->a, f->set, ids[3], 3, &page, &n, &more, &err)); /* exactly full */
    assert_int_equal(n, 3);
    assert_false(more);
    FAILS(ERR_NOT_FOUND, store_answers(f->s, &f->a, 99, 0, 3, &page, &n, &more, &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_second_owner_is_refused_and_a_dead_one_is_not),
        TEST(test_newer_foreign_and_damaged_databases_are_refused),
        TEST(test_originals_without_a_database_are_not_taken_for_litter),
        TEST(test_files_that_no_row_names_go_at_start),
        TEST(test_permissions_keep_others_out),
        TEST(test_sets_are_found_by_name),
        TEST(test_same_bytes_under_two_names_are_stored_once),
        TEST(test_changed_file_replaces_the_old_and_the_same_file_does_nothing),
        TEST(test_wrong_arguments_are_answered),
        TEST(test_document_comes_back_field_by_field),
        TEST(test_ingested_file_comes_back_field_by_field),
        TEST(test_parts_that_do_not_fit_the_text_are_refused),
        TEST(test_readings_are_kept_replaced_and_evicted_by_use),
        TEST(test_a_reading_of_a_document_deleted_meanwhile_is_not_kept),
        TEST(test_answers_and_reports_come_back_as_shown),
        TEST(test_answers_are_listed_in_pages_newest_first),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
