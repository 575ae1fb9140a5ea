/* test_store_jobs.c: leases, restarts, the third death, cancelling; kill -9 at every statement of an upload and of a
 * write; a full disk. */
#include "tests/unit/store_fixture.h"

#include <sys/resource.h>

static void restart(struct fixture *f) {
    store_close(f->s);
    f->s = NULL;
    OK(store_open(&f->s, f->dir, &err));
}

static const char text[] = "# 1 Terms\nThe fee is ten pounds.\nThe term is one year.\n";

static enum store_document_state state_of(struct fixture *f, int64_t document) {
    struct store_document d;
    OK(store_document_find(f->s, &f->a, document, &d, &err));
    return d.state;
}

static void test_jobs_are_taken_in_order_once_and_end(void **state) {
    struct fixture *f = *state;
    int64_t d[2], job[2];
    struct store_job j, *list;
    size_t n;
    FAILS(ERR_NOT_FOUND, store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j, &err));
    upload(f->s, f->set, "a.txt", text, &d[0], &job[0]);
    upload(f->s, f->set, "b.txt", "another", &d[1], &job[1]);
    for (int i = 0; i < 2; i++) {
        OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j, &err));
        assert_int_equal(j.id, job[i]);
        assert_int_equal(j.document, d[i]);
        assert_int_equal(j.set, f->set);
        assert_int_equal(j.state, STORE_JOB_RUNNING);
        assert_int_equal(j.attempts, 1);
    }
    FAILS(ERR_NOT_FOUND, store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j, &err));
    OK(store_job_progress(f->s, job[0], "index", 3, 7, 60, &err));
    OK(store_job_find(f->s, &f->a, job[0], &j, &err));
    assert_true(slice_equal(j.stage, SLICE_LITERAL("index")));
    assert_int_equal(j.done, 3);
    assert_int_equal(j.total, 7);
    FAILS(ERR_ARG, store_job_finish(f->s, job[0], NULL, &err)); /* done is said by the write alone */
    struct error why;
    error_set(&why, ERR_ENCRYPTED, "b.txt, page 3", "It asks for a password");
    OK(store_job_finish(f->s, job[1], &why, &err));
    struct store_document row;
    OK(store_document_find(f->s, &f->a, d[1], &row, &err));
    assert_int_equal(row.state, STORE_FAILED);
    assert_true(slice_equal(row.error_code, SLICE_LITERAL("encrypted")));
    assert_true(slice_equal(row.error_message, SLICE_LITERAL("It asks for a password")));
    assert_true(slice_equal(row.error_where, SLICE_LITERAL("b.txt, page 3")));
    OK(store_jobs(f->s, &f->a, 0, &list, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(list[0].id, job[1]); /* newest first */
    assert_int_equal(list[0].state, STORE_JOB_FAILED);
    assert_true(list[0].finished_at >= list[0].started_at && list[0].started_at > 0);
    OK(store_jobs(f->s, &f->a, f->set + 1, &list, &n, &err));
    assert_int_equal(n, 0);
    struct ingest_document *doc = doc_new("a.txt", text);
    OK(store_document_write(f->s, job[0], doc, 9, &err));
    OK(store_job_finish(f->s, job[0], NULL, &err)); /* already ended by the write: fine */
    assert_int_equal(state_of(f, d[0]), STORE_READY);
    doc_free(doc);
}

static void test_a_lease_that_ran_out_is_taken_again(void **state) {
    struct fixture *f = *state;
    int64_t d, job;
    struct store_job j;
    upload(f->s, f->set, "a.txt", text, &d, &job);
    OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, -1, &j, &err)); /* over at once */
    OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, -1, &j, &err));
    assert_int_equal(j.id, job);
    assert_int_equal(j.attempts, 2);
    OK(store_job_progress(f->s, job, "extract", 0, 0, 60, &err)); /* renewed */
    FAILS(ERR_NOT_FOUND, store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j, &err));
}

static void test_work_that_gave_way_waits_under_its_number(void **state) {
    struct fixture *f = *state;
    int64_t job, later;
    struct store_job j;
    OK(store_job_add(f->s, STORE_JOB_REPORT, f->set, &job, &err));
    for (int i = 0; i < 5; i++) { /* giving way is no death: three would be the end */
        OK(store_job_take(f->s, &f->a, STORE_JOB_REPORT, 60, &j, &err));
        assert_int_equal(j.id, job);
        assert_int_equal(j.attempts, 1);
        OK(store_job_progress(f->s, job, "judge", 3, 7, 60, &err));
        OK(store_job_yield(f->s, job, &err));
        OK(store_job_find(f->s, &f->a, job, &j, &err));
        assert_int_equal(j.state, STORE_JOB_QUEUED);
        assert_int_equal(j.done, 0);
        assert_int_equal(j.stage.len, 0);
    }
    OK(store_job_add(f->s, STORE_JOB_REPORT, f->set, &later, &err));
    assert_int_equal(later, job); /* still one queued job a set and kind */
    restart(f);
    OK(store_job_take(f->s, &f->a, STORE_JOB_REPORT, 60, &j, &err));
    assert_int_equal(j.id, job);
    OK(store_job_cancel(f->s, job, &err)); /* asked to stop while it gives way: the next look says so */
    OK(store_job_yield(f->s, job, &err));
    OK(store_job_take(f->s, &f->a, STORE_JOB_REPORT, 60, &j, &err));
    FAILS(ERR_CANCELLED, store_job_progress(f->s, job, "rules", 0, 0, 60, &err));
    OK(store_job_finish(f->s, job, NULL, &err));
    OK(store_job_yield(f->s, job, &err)); /* what has ended stays so */
    OK(store_job_find(f->s, &f->a, job, &j, &err));
    assert_int_equal(j.state, STORE_JOB_DONE);
}

static void test_restart_requeues_and_the_third_death_fails(void **state) {
    struct fixture *f = *state;
    int64_t d, job, again;
    struct store_job j;
    struct store_document row;
    upload(f->s, f->set, "a.txt", text, &d, &job);
    for (int i = 1; i <= 3; i++) {
        OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 3600, &j, &err));
        assert_int_equal(j.attempts, i);
        restart(f); /* whatever the lease says: its owner is gone */
    }
    FAILS(ERR_NOT_FOUND, store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j, &err));
    OK(store_job_find(f->s, &f->a, job, &j, &err));
    assert_int_equal(j.state, STORE_JOB_FAILED);
    OK(store_document_find(f->s, &f->a, d, &row, &err));
    assert_int_equal(row.state, STORE_FAILED);
    assert_non_null(strstr(row.error_message.data, "three times"));
    /* by hand it is tried once more, with fresh attempts */
    OK(store_job_retry(f->s, d, &again, &err));
    assert_int_not_equal(again, job);
    assert_int_equal(state_of(f, d), STORE_QUEUED);
    OK(store_job_retry(f->s, d, &job, &err)); /* asked twice: the same job */
    assert_int_equal(job, again);
    ingest_one(f->s);
    assert_int_equal(state_of(f, d), STORE_READY);
    FAILS(ERR_ARG, store_job_retry(f->s, d, &job, &err));
}

static void test_failed_bytes_uploaded_again_are_tried_again(void **state) {
    struct fixture *f = *state;
    int64_t d, job, same, again;
    struct error why;
    upload(f->s, f->set, "a.txt", text, &d, &job);
    error_set(&why, ERR_CANCELLED, "", "took too long");
    OK(store_job_finish(f->s, job, &why, &err));
    upload(f->s, f->set, "a.txt", text, &same, &again);
    assert_int_equal(same, d);
    assert_true(again > job);
    ingest_one(f->s);
    assert_int_equal(state_of(f, d), STORE_READY);
}

static void test_cancel_reaches_waiting_and_running_jobs(void **state) {
    struct fixture *f = *state;
    int64_t d, job, read_job, same;
    struct store_job j;
    upload(f->s, f->set, "a.txt", text, &d, &job);
    OK(store_job_cancel(f->s, job, &err));
    FAILS(ERR_NOT_FOUND, store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j, &err));
    assert_int_equal(state_of(f, d), STORE_FAILED);
    OK(store_job_add(f->s, STORE_JOB_READ, f->set, &read_job, &err));
    OK(store_job_add(f->s, STORE_JOB_READ, f->set, &same, &err));
    assert_int_equal(same, read_job); /* one queued a set and kind */
    OK(store_job_take(f->s, &f->a, STORE_JOB_READ, 60, &j, &err));
    assert_int_equal(j.document, 0);
    OK(store_job_add(f->s, STORE_JOB_READ, f->set, &same, &err));
    assert_int_not_equal(same, read_job); /* the running one may have begun before the news */
    OK(store_job_cancel(f->s, read_job, &err));
    struct error why = {0};
    why.code = store_job_progress(f->s, read_job, "read", 1, 2, 60, &why);
    assert_int_equal(why.code, ERR_CANCELLED);
    OK(store_job_finish(f->s, read_job, &why, &err));
    OK(store_job_find(f->s, &f->a, read_job, &j, &err));
    assert_int_equal(j.state, STORE_JOB_CANCELLED);
    FAILS(ERR_NOT_FOUND, store_job_cancel(f->s, 999, &err));
    FAILS(ERR_ARG, store_job_add(f->s, STORE_JOB_INGEST, f->set, &job, &err));
    FAILS(ERR_NOT_FOUND, store_job_add(f->s, STORE_JOB_READ, 999, &job, &err));
}

/* ---- kill -9 ---- */
struct work {
    const char *dir;
    int64_t set;
};

static void upload_in_child(void *context) {
    struct work *w = context;
    struct store *s;
    struct error e;
    int64_t document, job;
    char path[600];
    snprintf(path, sizeof path, "%s.upload", w->dir);
    if (store_open(&s, w->dir, &e)) _exit(3);
    if (store_document_add(s, w->set, path, SLICE_LITERAL("a.txt"), &document, &job, &e)) _exit(4);
    store_close(s);
}

static void test_death_at_any_statement_of_an_upload(void **state) {
    struct fixture *f = *state;
    struct store_document *d;
    size_t n;
    bool done = false, before = false, after = false;
    char path[600];
    snprintf(path, sizeof path, "%s.upload", f->dir);
    for (int i = 1; !done; i++) {
        struct work w = {f->dir, f->set};
        store_close(f->s);
        OK(file_write_atomic(path, text, sizeof text - 1, &err));
        done = survives(i, upload_in_child, &w);
        OK(store_open(&f->s, f->dir, &err));
        OK(store_documents(f->s, &f->a, f->set, &d, &n, &err));
        assert_true(n <= 1);
        before = before || n == 0;
        after = after || n == 1;
        if (n == 0) { /* no row, then no file; the caller has it still, or uploads it again */
            assert_int_equal(shell("test $(ls '%s/originals' | wc -l) = 0", f->dir), 0);
        } else {
            struct store_job *jobs;
            OK(store_jobs(f->s, &f->a, 0, &jobs, &n, &err));
            assert_int_equal(n, 1);
            assert_int_equal(jobs[0].state, STORE_JOB_QUEUED);
            assert_int_equal(access(store_document_path(f->s, &f->a, &d[0]).data, R_OK), 0);
            OK(store_document_delete(f->s, d[0].id, &f->a, NULL, &err));
        }
    }
    unlink(path);
    assert_true(before && after);
}

static void write_in_child(void *context) {
    struct work *w = context;
    struct store *s;
    struct error e;
    struct arena a = {0};
    struct store_job j;
    if (store_open(&s, w->dir, &e)) _exit(3);
    if (store_job_take(s, &a, STORE_JOB_INGEST, 60, &j, &e)) _exit(4);
    struct ingest_document *d = doc_new("a.txt", text);
    if (store_document_write(s, j.id, d, 9, &e)) _exit(5);
    store_close(s);
}

static void test_death_at_any_statement_of_a_write(void **state) {
    struct fixture *f = *state;
    int64_t d, job;
    struct store_hit *hits;
    bool done = false, before = false, after = false;
    upload(f->s, f->set, "a.txt", text, &d, &job);
    store_close(f->s);
    char base[600];
    snprintf(base, sizeof base, "%s.base", f->dir);
    assert_int_equal(shell("cp -r '%s' '%s'", f->dir, base), 0);
    for (int i = 1; !done; i++) {
        struct work w = {f->dir, f->set};
        struct ingest_document *doc;
        done = survives(i, write_in_child, &w);
        OK(store_open(&f->s, f->dir, &err));
        size_t found = search(f->s, &f->a, f->set, "fee term", &hits);
        if (state_of(f, d) == STORE_READY) {
            after = true;
            assert_int_equal(found, 2);
            OK(store_document_load(f->s, d, &doc, &err));
            assert_int_equal(doc->n_statements, 2);
            doc_free(doc);
        } else {
            before = true;
            assert_int_equal(found, 0); /* nothing half-indexed answers */
            assert_int_equal(state_of(f, d), STORE_QUEUED);
            ingest_one(f->s); /* and it can be done again */
            assert_int_equal(search(f->s, &f->a, f->set, "fee term", &hits), 2);
        }
        store_close(f->s);
        f->s = NULL;
        assert_int_equal(shell("rm -rf '%s' && cp -r '%s' '%s'", f->dir, base, f->dir), 0);
    }
    shell("rm -rf '%s'", base);
    assert_true(before && after);
}

static void ingest_all_in_child(void *context) {
    struct work *w = context;
    struct store *s;
    struct error e;
    struct arena a = {0};
    struct store_job j;
    if (store_open(&s, w->dir, &e)) _exit(3);
    while (store_job_take(s, &a, STORE_JOB_INGEST, 60, &j, &e) == 0) {
        struct store_document row;
        struct buf b = {0};
        if (store_document_find(s, &a, j.document, &row, &e)) _exit(4);
        if (store_job_progress(s, j.id, "extract", 0, 1, 60, &e)) _exit(5);
        if (file_read(store_document_path(s, &a, &row).data, 1 << 20, &b, &e)) _exit(6);
        struct ingest_document *d = doc_new("x", b.data);
        if (store_document_write(s, j.id, d, 9, &e)) _exit(7);
        doc_free(d);
        buf_free(&b);
    }
    store_close(s);
}

static void test_twenty_files_and_many_deaths(void **state) {
    struct fixture *f = *state;
    struct store_document *d;
    struct store_hit *hits;
    struct store_job *jobs;
    size_t n;
    for (int i = 0; i < 20; i++) {
        char name[32], content[64];
        int64_t document, job;
        snprintf(name, sizeof name, "%d.txt", i);
        snprintf(content, sizeof content, "Clause number%d of turbines.\n", i);
        upload(f->s, f->set, name, content, &document, &job);
    }
    store_close(f->s);
    struct work w = {f->dir, f->set};
    int deaths = 0;
    while (!survives(150 + 17 * (deaths % 5), ingest_all_in_child, &w)) assert_true(++deaths < 200);
    assert_true(deaths > 5);
    OK(store_open(&f->s, f->dir, &err));
    OK(store_documents(f->s, &f->a, f->set, &d, &n, &err));
    assert_int_equal(n, 20);
    for (size_t i = 0; i < n; i++) assert_int_equal(d[i].state, STORE_READY);
    struct store_query q = {.text = SLICE_LITERAL("turbines"), .top_k = 100};
    OK(store_search(f->s, &f->a, f->set, &q, &hits, &n, &err));
    assert_int_equal(n, 20); /* none twice */
    OK(store_jobs(f->s, &f->a, 0, &jobs, &n, &err));
    assert_int_equal(n, 20);
}

/* ---- a full disk ---- */
static int pages_allowed;

static int limit_every_connection(sqlite3 *db, char **message, const struct sqlite3_api_routines *api) {
    (void)message, (void)api;
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %d", pages_allowed);
    return pages_allowed ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_OK;
}

/* While the file lies there, not a byte goes into the WAL, as on a disk that is full to the last one. */
static const char *full_while;
static sqlite3_vfs full_vfs;
static sqlite3_io_methods full_methods;
static const sqlite3_io_methods *real_methods;

static int full_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at) {
    return access(full_while, F_OK) == 0 ? SQLITE_FULL : real_methods->xWrite(file, data, n, at);
}

static int full_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
    int rc = ((sqlite3_vfs *)vfs->pAppData)->xOpen(vfs->pAppData, name, file, flags, out);
    if (rc != SQLITE_OK || !(flags & SQLITE_OPEN_WAL)) return rc;
    real_methods = file->pMethods;
    full_methods = *real_methods;
    full_methods.xWrite = full_write;
    file->pMethods = &full_methods;
    return rc;
}

static char *long_text(void) {
    struct buf b = {0};
    for (int i = 0; i < 4000; i++) buf_printf(&b, "Clause %d speaks of turbine%d and of pump%d.\n", i, i * 7, i * 13);
    return b.data;
}

static void test_full_disk_loses_nothing_and_says_so(void **state) {
    struct fixture *f = *state;
    struct store_hit *hits;
    struct store_job j;
    int64_t d, job;
    char *big = long_text();
    add_ready(f->s, f->set, "kept.txt", text);
    upload(f->s, f->set, "big.txt", big, &d, &job);
    store_close(f->s);
    pages_allowed = 90;
    sqlite3_auto_extension((void (*)(void))limit_every_connection);
    OK(store_open(&f->s, f->dir, &err));
    OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j, &err));
    struct ingest_document *doc = doc_new("big.txt", big);
    FAILS(ERR_IO, store_document_write(f->s, j.id, doc, 9, &err));
    assert_non_null(strstr(err.message, "disk is full"));
    assert_non_null(strstr(err.where, "antinomy.db"));
    assert_int_equal(state_of(f, d), STORE_QUEUED);
    assert_int_equal(search(f->s, &f->a, f->set, "fee turbine7", &hits),
                     2); /* what was there answers, the new one is not half there */
    pages_allowed = 0;
    sqlite3_reset_auto_extension();
    restart(f);
    OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j, &err));
    OK(store_document_write(f->s, j.id, doc, 9, &err)); /* space again: it goes on */
    assert_true(search(f->s, &f->a, f->set, "fee turbine7", &hits) > 2);
    doc_free(doc);
    free(big);
}

static void write_failing(void *context) { /* the file system refuses to let a file grow */
    struct work *w = context;
    struct store *s;
    struct error e;
    struct arena a = {0};
    struct store_job j;
    char *big = long_text();
    if (store_open(&s, w->dir, &e)) _exit(3);
    if (store_job_take(s, &a, STORE_JOB_INGEST, 60, &j, &e)) _exit(4);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {300 << 10, 300 << 10};
    setrlimit(RLIMIT_FSIZE, &limit);
    struct ingest_document *d = doc_new("big.txt", big);
    if (store_document_write(s, j.id, d, 9, &e) != ERR_IO) _exit(5);
    int64_t set;
    if (store_set_find(s, SLICE_LITERAL("acme"), &set, &e)) _exit(6); /* still serves */
    store_close(s);
}

/* Not a byte can be written at the start: the reserve is given up for it, and a delete frees the rest. */
static void test_a_full_disk_does_not_bar_the_way_in(void **state) {
    struct fixture *f = *state;
    char path[4200];
    struct stat st;
    int64_t kept = add_ready(f->s, f->set, "kept.txt", text), d, job;
    upload(f->s, f->set, "waits.txt", "Another fee.", &d, &job);
    struct store_job j;
    OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j,
                      &err)); /* a running job: the start has something to write */
    store_close(f->s);
    snprintf(path, sizeof path, "%s/reserve", f->dir);
    assert_int_equal(stat(path, &st), 0);
    full_while = path;
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    full_vfs = *real;
    full_vfs.zName = "full";
    full_vfs.pAppData = real;
    full_vfs.xOpen = full_open;
    sqlite3_vfs_register(&full_vfs, 1);
    int rc = store_open(&f->s, f->dir, &err);
    OK(rc);
    assert_int_equal(state_of(f, d), STORE_QUEUED);
    OK(store_document_delete(f->s, kept, &f->a, NULL, &err));
    store_close(f->s);
    sqlite3_vfs_register(real, 1);
    sqlite3_vfs_unregister(&full_vfs);
    OK(store_open(&f->s, f->dir, &err));
}

static void test_failing_writes_lose_nothing(void **state) {
    struct fixture *f = *state;
    struct store_hit *hits;
    int64_t d, job;
    char *big = long_text();
    add_ready(f->s, f->set, "kept.txt", text);
    upload(f->s, f->set, "big.txt", big, &d, &job);
    store_close(f->s);
    struct work w = {f->dir, f->set};
    assert_true(survives(-1, write_failing, &w));
    OK(store_open(&f->s, f->dir, &err));
    assert_int_equal(state_of(f, d), STORE_QUEUED);
    assert_int_equal(search(f->s, &f->a, f->set, "fee turbine7", &hits), 2);
    ingest_one(f->s);
    assert_int_equal(state_of(f, d), STORE_READY);
    free(big);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_jobs_are_taken_in_order_once_and_end),       TEST(test_a_lease_that_ran_out_is_taken_again),
        TEST(test_restart_requeues_and_the_third_death_fails), TEST(test_failed_bytes_uploaded_again_are_tried_again),
        TEST(test_cancel_reaches_waiting_and_running_jobs),    TEST(test_death_at_any_statement_of_an_upload),
        TEST(test_death_at_any_statement_of_a_write),          TEST(test_twenty_files_and_many_deaths),
        TEST(test_full_disk_loses_nothing_and_says_so),        TEST(test_failing_writes_lose_nothing),
        TEST(test_a_full_disk_does_not_bar_the_way_in),        TEST(test_work_that_gave_way_waits_under_its_number),
    };
    return cmocka_run_group_tests_name("store_jobs", tests, NULL, NULL);
}
