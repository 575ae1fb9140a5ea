/* test_store_delete.c: after a deletion returns, no byte of the document is in the data directory, whatever happened
 * before and whenever the process died; what other documents share with it stays findable. The bytes are read raw, by
 * grep. */
#include "tests/unit/store_fixture.h"

#include "store/database.h" /* embedding_quantise */

static const uint8_t model[32] = {42};

static void embed_all(struct store *s, int64_t set) {
    struct arena a = {0};
    struct store_statement *st;
    size_t n;
    OK(store_embeddings_missing(s, &a, set, model, &st, &n, &err));
    float *v = calloc(n + 1, 4 * sizeof *v);
    for (size_t i = 0; i < 4 * n; i++) v[i] = 0.5f;
    OK(store_embeddings_add(s, model, st, v, n, 4, &err));
    free(v);
    arena_free(&a);
}

/* An answer and a reading file that both hold the document's words. */
static void quote(struct store *s, int64_t set, int64_t document, const char *words) {
    struct arena a = {0};
    struct store_document d;
    struct slice path;
    int64_t id;
    uint8_t hash[32] = {(uint8_t)document};
    char text[300];
    OK(store_document_find(s, &a, document, &d, &err));
    snprintf(text, sizeof text, "{\"answer\":\"%s\"}", words);
    OK(store_answer_add(s, set, slice_of(words), slice_of(text), &d.content, 1, &id, &err));
    OK(store_report_add(s, set, slice_of(text), &d.content, 1, &id, &err));
    OK(store_reading_path(s, &a, &path, &err));
    OK(file_write_atomic(path.data, text, strlen(text), &err));
    OK(store_reading_add(s, set, model, hash, 10, &d.content, 1, path, &err));
    char hex[65];
    hex_encode(d.sha256, 32, hex);
    snprintf(text, sizeof text, "%s/pages/%s-0-100.png", store_dir(s), hex);
    OK(file_write_atomic(text, words, strlen(words), &err));
    arena_free(&a);
}

static size_t count_files(const char *dir, const char *sub) {
    char command[600], line[32] = "";
    snprintf(command, sizeof command, "ls '%s/%s' | wc -l", dir, sub);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_non_null(fgets(line, sizeof line, p));
    pclose(p);
    return (size_t)atoi(line);
}

static void integrity(const char *dir) {
    char path[600];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/antinomy.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "INSERT INTO statements_fts(statements_fts, rank) VALUES ('integrity-check', 1);"
                                  "INSERT INTO sections_fts(sections_fts, rank) VALUES ('integrity-check', 1)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
}

static void test_deleted_document_is_nowhere(void **state) {
    struct fixture *f = *state;
    struct store_hit *hits;
    struct slice receipt;
    int64_t kept = add_ready(f->s, f->set, "kept.txt", "# 1 Terms\nThe Supplier delivers turbines in Hamburg.\n");
    int64_t gone = add_ready(
        f->s, f->set, "qzgeheim.txt",
        "# 9 Xylovantine\nThe Supplier delivers qzvornite turbines.\n~The qzleadin party shall:\n- pay qzbetrag.\n");
    embed_all(f->s, f->set);
    quote(f->s, f->set, kept, "The Supplier delivers turbines in Hamburg.");
    quote(f->s, f->set, gone, "The Supplier delivers qzvornite turbines.");
    assert_int_equal(search(f->s, &f->a, f->set, "turbines supplier", &hits),
                     2 + 1); /* the item under the heading, too, by its section */
    static const char *const words[] = {"zgeheim", "zvornite", "zleadin", "zbetrag", "ylovantin", "\"qzgeheim"};
    for (size_t i = 0; i < 5; i++) assert_false(nowhere(f->dir, words[i])); /* the test can see them */
    OK(store_document_delete(f->s, gone, &f->a, &receipt, &err));
    for (size_t i = 0; i < 6; i++) assert_true(nowhere(f->dir, words[i])); /* server running */
    assert_non_null(strstr(receipt.data, "\"name\":\"qzgeheim.txt\""));
    assert_non_null(strstr(receipt.data, "\"content_removed\":true"));
    assert_non_null(strstr(receipt.data, "\"statements\":2"));
    assert_non_null(strstr(receipt.data, "\"embeddings\":2"));
    assert_non_null(strstr(receipt.data, "\"answers_and_reports\":2"));
    assert_non_null(strstr(receipt.data, "\"readings\":1"));
    assert_null(strstr(receipt.data, "turbines"));
    assert_int_equal(search(f->s, &f->a, f->set, "turbines supplier", &hits), 1);
    assert_int_equal(hits[0].document, kept);
    assert_int_equal(search(f->s, &f->a, f->set, "qzvornite", &hits), 0);
    assert_int_equal(count_files(f->dir, "originals"), 1);
    assert_int_equal(count_files(f->dir, "readings"), 1);
    assert_int_equal(count_files(f->dir, "pages"), 1);
    assert_false(nowhere(f->dir, "Hamburg"));
    store_close(f->s);
    for (size_t i = 0; i < 6; i++) assert_true(nowhere(f->dir, words[i]));
    integrity(f->dir);
    OK(store_open(&f->s, f->dir, &err));
    assert_int_equal(search(f->s, &f->a, f->set, "turbines", &hits), 1);
}

static void test_bytes_stay_while_another_entry_has_them(void **state) {
    struct fixture *f = *state;
    static const char text[] = "# 1 Terms\nThe qzvornite clause.\n";
    int64_t other, id, a = add_ready(f->s, f->set, "qzfirst.txt", text);
    struct store_hit *hits;
    struct store_answer answer;
    struct slice receipt;
    struct store_document d;
    OK(store_set_create(f->s, SLICE_LITERAL("other"), &other, &err));
    int64_t b = add_ready(f->s, other, "second.txt", text);
    quote(f->s, f->set, a, "The qzvornite clause.");
    OK(store_document_find(f->s, &f->a, b, &d, &err));
    OK(store_answer_add(f->s, other, SLICE_LITERAL("q"), SLICE_LITERAL("{\"of\":\"other\"}"), &d.content, 1, &id,
                        &err));
    OK(store_document_delete(f->s, a, &f->a, &receipt, &err));
    assert_non_null(strstr(receipt.data, "\"content_removed\":false"));
    assert_true(nowhere(f->dir, "zfirst")); /* the name */
    assert_int_equal(search(f->s, &f->a, f->set, "qzvornite", &hits), 0);
    assert_int_equal(search(f->s, &f->a, other, "qzvornite", &hits), 1);
    assert_int_equal(count_files(f->dir, "readings"), 0);  /* those of the set it left */
    OK(store_answer_find(f->s, &f->a, id, &answer, &err)); /* those of the other set stay */
    OK(store_document_delete(f->s, b, &f->a, NULL, &err));
    assert_true(nowhere(f->dir, "zvornite"));
    FAILS(ERR_NOT_FOUND, store_answer_find(f->s, &f->a, id, &answer, &err));
}

/* An answer names its entry and leads to it, so it goes even where the set keeps the bytes under another name; the
 * reading holds only the bytes. */
static void test_an_answer_goes_with_its_entry_not_only_with_the_bytes(void **state) {
    struct fixture *f = *state;
    static const char text[] = "# 1 Terms\nThe same clause.\n";
    struct store_answer answer;
    struct store_document d;
    int64_t id, a = add_ready(f->s, f->set, "qzfirst.txt", text), b = add_ready(f->s, f->set, "second.txt", text);
    quote(f->s, f->set, b, "The same clause.");
    OK(store_document_find(f->s, &f->a, a, &d, &err));
    OK(store_answer_add(f->s, f->set, SLICE_LITERAL("q"), SLICE_LITERAL("{\"document\":\"qzfirst.txt\"}"), &d.content,
                        1, &id, &err));
    OK(store_document_delete(f->s, a, &f->a, NULL, &err));
    assert_true(nowhere(f->dir, "qzfirst"));
    FAILS(ERR_NOT_FOUND, store_answer_find(f->s, &f->a, id, &answer, &err));
    assert_int_equal(count_files(f->dir, "readings"), 1);
}

static void test_waiting_work_goes_on_in_another_name(void **state) {
    struct fixture *f = *state;
    int64_t a, b, job, same;
    struct store_job j;
    upload(f->s, f->set, "a.txt", "The clause.\n", &a, &job);
    upload(f->s, f->set, "b.txt", "The clause.\n", &b, &same);
    OK(store_document_delete(f->s, a, &f->a, NULL, &err));
    OK(store_job_find(f->s, &f->a, job, &j, &err));
    assert_int_equal(j.document, b);
    ingest_one(f->s);
    OK(store_job_find(f->s, &f->a, job, &j, &err));
    assert_int_equal(j.state, STORE_JOB_DONE);
    /* deleted while it is read in: the work ends without a trace */
    int64_t c;
    upload(f->s, f->set, "c.txt", "The qzvornite clause.\n", &c, &job);
    OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j, &err));
    struct ingest_document *d = doc_new("c.txt", "The qzvornite clause.\n");
    OK(store_document_delete(f->s, c, &f->a, NULL, &err));
    FAILS(ERR_CANCELLED, store_job_progress(f->s, job, "index", 1, 2, 60, &err));
    FAILS(ERR_CANCELLED, store_document_write(f->s, job, d, 3, &err));
    assert_true(nowhere(f->dir, "zvornite"));
    doc_free(d);
}

static void test_set_goes_with_all_that_is_only_its_own(void **state) {
    struct fixture *f = *state;
    struct store_hit *hits;
    int64_t other, found;
    OK(store_set_create(f->s, SLICE_LITERAL("qzgeheimset"), &other, &err));
    add_ready(f->s, f->set, "shared.txt", "# 1 Terms\nShared hamburgium clause.\n");
    add_ready(f->s, other, "qzshared.txt", "# 1 Terms\nShared hamburgium clause.\n");
    int64_t own = add_ready(f->s, other, "own.txt", "# 1 Terms\nOwn qzvornite clause.\n");
    add_ready(f->s, other, "own.txt", "# 1 Terms\nOwn qzsecond clause.\n"); /* replaced versions too */
    quote(f->s, other, own, "Own qzvornite clause.");
    int64_t job;
    OK(store_job_add(f->s, STORE_JOB_READ, other, &job, &err));
    OK(store_set_delete(f->s, other, &err));
    FAILS(ERR_NOT_FOUND, store_set_find(f->s, SLICE_LITERAL("qzgeheimset"), &found, &err));
    static const char *const words[] = {"zgeheimset", "zshared", "zvornite", "zsecond"};
    for (size_t i = 0; i < 4; i++) assert_true(nowhere(f->dir, words[i]));
    assert_int_equal(search(f->s, &f->a, f->set, "hamburgium", &hits), 1);
    assert_int_equal(count_files(f->dir, "originals"), 1);
    assert_int_equal(count_files(f->dir, "readings"), 0);
}

/* Many documents come and go; FTS5 has segments on several levels by then, so optimize has real work. Each document has
 * words of its own
 * ("qz" + number in letters + "xv") that no neighbour shares a prefix with, so that FTS5's prefix compression cannot
 * hide them from grep. */
static uint32_t seed = 7;
static uint32_t roll(uint32_t n) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void rare_word(char out[24], uint32_t doc, uint32_t k) {
    uint32_t x = doc * 2654435761u ^ (k + 1) * 40503u;
    for (int i = 0; i < 12; i++, x = x * 1664525u + 1013904223u) out[i] = (char)('a' + (x >> 16) % 26);
    out[12] = 0;
}

enum { DOCS = 40, WORDS = 30 };

static void test_random_life_leaves_no_deleted_word(void **state) {
    struct fixture *f = *state;
    int64_t entry[DOCS] = {0};
    bool there[DOCS] = {false};
    struct store_hit *hits;
    for (int round = 0; round < 90; round++) {
        uint32_t i = roll(DOCS);
        if (!there[i]) {
            struct buf b = {0};
            char name[32], word[24];
            buf_printf(&b, "# %u Heading of %u\n", i, i);
            for (uint32_t k = 0; k < WORDS; k++) {
                rare_word(word, i, k);
                buf_printf(&b, "Common turbine clause %s is binding.\n", word);
            }
            snprintf(name, sizeof name, "d%u.txt", i);
            entry[i] = add_ready(f->s, f->set, name, b.data);
            there[i] = true;
            buf_free(&b);
        } else if (round > 30) {
            OK(store_document_delete(f->s, entry[i], &f->a, NULL, &err));
            there[i] = false;
            struct buf b = {0};
            for (uint32_t k = 0; k < WORDS; k++) {
                char word[24];
                rare_word(word, i, k);
                buf_printf(&b, "%s\n", word + 3); /* without a beginning that a neighbour may lend */
            }
            char patterns[600];
            snprintf(patterns, sizeof patterns, "%s.patterns", f->dir);
            OK(file_write_atomic(patterns, b.data, b.len, &err));
            buf_free(&b);
            assert_int_equal(shell("grep -raqiF -f '%s' '%s'", patterns, f->dir), 1);
            unlink(patterns);
        }
    }
    size_t left = 0;
    for (uint32_t i = 0; i < DOCS; i++) {
        char word[24];
        rare_word(word, i, 5);
        size_t n = search(f->s, &f->a, f->set, word, &hits);
        left += there[i];
        if (there[i]) {
            assert_true(n >= 1);
            assert_int_equal(hits[0].document, entry[i]);
            assert_int_equal(hits[0].statement, 5);
        } else {
            assert_int_equal(n, 0);
        }
    }
    assert_true(left > 5 && left < DOCS);
    store_close(f->s);
    integrity(f->dir);
    OK(store_open(&f->s, f->dir, &err));
}

static void test_damaged_word_index_does_not_stop_a_delete(void **state) {
    struct fixture *f = *state;
    struct store_hit *hits;
    int64_t kept = add_ready(f->s, f->set, "kept.txt", "# 1 Terms\nThe turbine clause.\n");
    int64_t gone = add_ready(f->s, f->set, "gone.txt", "# 1 Terms\nThe qzvornite turbine clause.\n");
    store_close(f->s);
    char path[600];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/antinomy.db", f->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "UPDATE statements_fts_data SET block = x'ffffffffffffffff' WHERE id = 10", NULL, NULL, NULL),
        SQLITE_OK); /* FTS5's list of segments */
    sqlite3_close(db);
    OK(store_open(&f->s, f->dir, &err));
    struct store_query q = {.text = SLICE_LITERAL("turbine")};
    size_t n;
    FAILS(ERR_FORMAT, store_search(f->s, &f->a, f->set, &q, &hits, &n, &err));
    OK(store_document_delete(f->s, gone, &f->a, NULL, &err));
    assert_true(nowhere(f->dir, "zvornite"));
    assert_int_equal(search(f->s, &f->a, f->set, "turbine", &hits), 1);
    assert_int_equal(hits[0].document, kept);
}

/* ---- death in the middle ---- */
struct work {
    const char *dir;
    int64_t document;
};

static void delete_in_child(void *context) {
    struct work *w = context;
    struct store *s;
    struct arena a = {0};
    struct error e;
    if (store_open(&s, w->dir, &e)) _exit(3);
    if (store_document_delete(s, w->document, &a, NULL, &e)) _exit(4);
    store_close(s);
}

static void test_death_at_any_statement_of_a_delete_is_made_good(void **state) {
    struct fixture *f = *state;
    struct store_hit *hits;
    int64_t kept = add_ready(f->s, f->set, "kept.txt", "# 1 Terms\nThe turbine clause.\n");
    int64_t gone = add_ready(f->s, f->set, "qzgeheim.txt", "# 1 Terms\nThe qzvornite turbine clause.\n");
    embed_all(f->s, f->set);
    quote(f->s, f->set, gone, "The qzvornite turbine clause.");
    store_close(f->s);
    char base[600];
    snprintf(base, sizeof base, "%s.base", f->dir);
    assert_int_equal(shell("cp -r '%s' '%s'", f->dir, base), 0);
    bool done = false, seen_before = false, seen_after = false;
    for (int n = 1; !done; n++) {
        struct work w = {f->dir, gone};
        done = survives(n, delete_in_child, &w);
        OK(store_open(&f->s, f->dir, &err));
        size_t found = search(f->s, &f->a, f->set, "turbine", &hits);
        if (found == 2) { /* it did not happen */
            seen_before = true;
            assert_int_equal(count_files(f->dir, "originals"), 2);
            assert_int_equal(count_files(f->dir, "readings"), 1);
        } else { /* it did, and the start has finished it */
            seen_after = true;
            assert_int_equal(found, 1);
            assert_int_equal(hits[0].document, kept);
            assert_true(nowhere(f->dir, "zvornite"));
            assert_true(nowhere(f->dir, "zgeheim"));
        }
        assert_false(done && found == 2);
        store_close(f->s);
        f->s = NULL;
        assert_int_equal(shell("rm -rf '%s' && cp -r '%s' '%s'", f->dir, base, f->dir), 0);
    }
    assert_true(seen_before && seen_after);
    shell("rm -rf '%s'", base);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_deleted_document_is_nowhere),
        TEST(test_bytes_stay_while_another_entry_has_them),
        TEST(test_an_answer_goes_with_its_entry_not_only_with_the_bytes),
        TEST(test_waiting_work_goes_on_in_another_name),
        TEST(test_set_goes_with_all_that_is_only_its_own),
        TEST(test_random_life_leaves_no_deleted_word),
        TEST(test_damaged_word_index_does_not_stop_a_delete),
        TEST(test_death_at_any_statement_of_a_delete_is_made_good),
    };
    return cmocka_run_group_tests_name("store_delete", tests, NULL, NULL);
}
