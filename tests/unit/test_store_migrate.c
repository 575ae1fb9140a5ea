/* test_store_migrate.c: a database of an older version comes to this one with all that stands in it. schema-1.sql is
 * the schema as version 1 wrote it; its rows are copied from a database of today, so that they are whole. */
#include "tests/unit/store_fixture.h"

#include "store/database.h" /* STORE_SCHEMA_VERSION, STORE_APPLICATION_ID */

static void run(sqlite3 *db, const char *format, ...) {
    char sql[4096], *message = NULL;
    va_list ap;
    va_start(ap, format);
    vsnprintf(sql, sizeof sql, format, ap);
    va_end(ap);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s: %s", sql, message);
}

/* Every column, index and foreign key of every table, a line each, in the order of their names. */
static int add_line(void *ctx, int n, char **values, char **names) {
    (void)names;
    for (int i = 0; i < n; i++) buf_printf(ctx, "%s%s", values[i] ? values[i] : "NULL", i + 1 < n ? "|" : "\n");
    return 0;
}

static void describe(const char *dir, struct buf *out) {
    char path[600];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/antinomy.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    static const char sql[] =
        "SELECT m.name, c.cid, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk FROM sqlite_schema m,"
        " pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1, 2;"
        "SELECT m.name, i.name, i.\"unique\", i.partial, x.seqno, x.name FROM sqlite_schema m,"
        " pragma_index_list(m.name) i, pragma_index_info(i.name) x WHERE m.type = 'table' ORDER BY 1, 2, 5;"
        "SELECT m.name, k.\"table\", k.\"from\", k.\"to\", k.on_delete FROM sqlite_schema m,"
        " pragma_foreign_key_list(m.name) k WHERE m.type = 'table' ORDER BY 1, 3, 2;"
        "SELECT name, strict, wr FROM pragma_table_list WHERE schema = 'main' ORDER BY 1";
    assert_int_equal(sqlite3_exec(db, sql, add_line, out, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Replaces the directory's database by one of version 1 with the same documents. */
static void back_to_1(const char *dir) {
    char path[600], older[600];
    struct buf schema = {0};
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/antinomy.db", dir);
    snprintf(older, sizeof older, "%s/older.db", dir);
    OK(file_read("tests/data/store/schema-1.sql", 1 << 20, &schema, &err));
    buf_append(&schema, "", 1);
    assert_int_equal(sqlite3_open(older, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, schema.data, NULL, NULL, NULL), SQLITE_OK);
    run(db, "ATTACH '%s' AS now", path);
    static const char *const same[] = {"sets", "entries", "statements",     "sections",
                                       "jobs", "results", "result_contents"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        run(db, "INSERT INTO main.%s SELECT * FROM now.%s", same[i], same[i]);
    run(db, "INSERT INTO contents SELECT id, sha256, n_bytes, state, title, mime, n_pages, n_statements, n_tokens,"
            " n_pages_without_text, n_words, n_section_words, error_code, error_message, error_where, added_at"
            " FROM now.contents");
    run(db, "INSERT INTO bodies SELECT b.content, version, ingest_version, format, text, pages, words, sections,"
            " statements, facts, c.warnings FROM now.bodies b JOIN now.contents c ON c.id = b.content");
    run(db, "INSERT INTO statements_fts(statements_fts) VALUES ('rebuild');"
            "INSERT INTO sections_fts(sections_fts) VALUES ('rebuild')");
    run(db, "PRAGMA main.user_version = 1; PRAGMA main.application_id = %d", STORE_APPLICATION_ID);
    sqlite3_close(db);
    assert_int_equal(rename(older, path), 0);
    buf_free(&schema);
}

static void test_version_1_comes_to_this_version_with_all_that_stands_in_it(void **state) {
    struct fixture *f = *state;
    struct store_job job;
    struct store_document row;
    struct store_hit *hits;
    struct buf fresh = {0}, migrated = {0};
    int64_t document, id, waiting;
    struct store_answer answer;
    upload(f->s, f->set, "scan.pdf", "bytes", &document, &id);
    OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &job, &err));
    struct ingest_document *d = doc_new("scan.pdf", "# 1 Terms\nThe Supplier delivers turbines.\n"), *back;
    struct ingest_warning warning = {0, SLICE_LITERAL("the page has no text layer")};
    d->warnings = &warning;
    d->n_warnings = 1;
    OK(store_document_write(f->s, job.id, d, 5, &err));
    upload(f->s, f->set, "next.txt", "Still to be read.\n", &waiting, &id);
    OK(store_document_find(f->s, &f->a, document, &row, &err));
    OK(store_answer_add(f->s, f->set, SLICE_LITERAL("What?"), SLICE_LITERAL("{\"answer\":\"turbines\"}"), &row.content,
                        1, &id, &err));
    store_close(f->s);
    f->s = NULL;
    describe(f->dir, &fresh);
    back_to_1(f->dir);
    OK(store_open(&f->s, f->dir, &err));
    OK(store_document_find(f->s, &f->a, document, &row, &err));
    assert_int_equal(row.n_warnings, 1);
    assert_int_equal(row.warnings[0].page, 0);
    assert_true(slice_equal(row.warnings[0].message, warning.message));
    OK(store_document_load(f->s, document, &back, &err));
    assert_true(slice_equal(back->text, d->text));
    assert_int_equal(back->n_warnings, 1);
    assert_int_equal(search(f->s, &f->a, f->set, "turbines", &hits), 1);
    OK(store_answer_find(f->s, &f->a, id, &answer, &err));
    assert_true(slice_equal(answer.json, SLICE_LITERAL("{\"answer\":\"turbines\"}")));
    ingest_one(f->s); /* what was waiting is read */
    OK(store_document_find(f->s, &f->a, waiting, &row, &err));
    assert_int_equal(row.state, STORE_READY);
    assert_int_equal(row.n_warnings, 0);
    OK(store_document_delete(f->s, document, &f->a, NULL, &err));
    assert_true(nowhere(f->dir, "turbines"));
    assert_true(nowhere(f->dir, "no text layer"));
    store_close(f->s);
    f->s = NULL;
    describe(f->dir, &migrated);
    buf_append(&fresh, "", 1);
    buf_append(&migrated, "", 1);
    assert_string_equal(migrated.data, fresh.data);
    OK(store_open(&f->s, f->dir, &err)); /* and stays what it is */
    buf_free(&fresh);
    buf_free(&migrated);
    doc_free(d);
    doc_free(back);
}

static void open_and_close(void *dir) {
    struct store *s;
    if (store_open(&s, dir, &err) == 0) store_close(s);
}

/* Killed before any statement of the migration, the next start ends it. */
static void test_a_migration_that_died_is_ended_by_the_next_start(void **state) {
    struct fixture *f = *state;
    add_ready(f->s, f->set, "a.txt", "# 1 Terms\nThe Supplier delivers turbines.\n");
    store_close(f->s);
    f->s = NULL;
    bool ended = false;
    for (int n = 1; !ended; n++) {
        back_to_1(f->dir);
        ended = survives(n, open_and_close, f->dir);
        struct store_hit *hits;
        struct store *s;
        OK(store_open(&s, f->dir, &err));
        assert_int_equal(search(s, &f->a, f->set, "turbines", &hits), 1);
        store_close(s);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_version_1_comes_to_this_version_with_all_that_stands_in_it),
        TEST(test_a_migration_that_died_is_ended_by_the_next_start),
    };
    return cmocka_run_group_tests_name("store_migrate", tests, NULL, NULL);
}
