/* test_snapshot.c: a saved reading goes on as the unbroken one would, bit for bit; damaged, cut and foreign files are
 * refused by name. */
#include "tests/unit/session_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], file[96];
static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/antinomy-snapshot-XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(file, sizeof file, "%s/reading", folder);
    return 0;
}
static int remove_folder(void **state) {
    (void)state;
    unlink(file);
    return rmdir(folder); /* fails when a .tmp was left behind */
}

static void test_a_restored_session_goes_on_bit_for_bit(void **state) {
    (void)state;
    int32_t *ids = fixture_text(1000);
    struct jamba_model *m = fixture_model(NULL, 2);
    struct error e = {0};
    const size_t lengths[] = {1, 64, 333};
    for (size_t i = 0; i < 3; i++) {
        struct jamba_session *s = fixture_session(m, 1000), *r = NULL;
        fixture_read(s, ids, lengths[i]);
        assert_int_equal(jamba_session_save(s, file, &e), 0);
        assert_int_equal(jamba_session_restore(&r, m, file, 900, &e), 0);
        assert_int_equal(jamba_session_n_tokens(r), lengths[i]);
        uint8_t a_hash[32], b_hash[32];
        fixture_read(s, ids + lengths[i], 200);
        fixture_read(r, ids + lengths[i], 200);
        struct fixture_bytes a = fixture_state(s), b = fixture_state(r);
        fixture_same(&a, &b);
        jamba_session_prefix_hash(s, a_hash);
        jamba_session_prefix_hash(r, b_hash);
        assert_memory_equal(a_hash, b_hash, 32);
        free(a.data), free(b.data);
        jamba_session_close(s);
        jamba_session_close(r);
    }
    /* a session that has read nothing can be kept too */
    struct jamba_session *s = fixture_session(m, 10), *r = NULL;
    float logit;
    int32_t row = 5;
    assert_int_equal(jamba_session_save(s, file, &e), 0);
    assert_int_equal(jamba_session_restore(&r, m, file, 10, &e), 0);
    assert_int_equal(jamba_session_logits_rows(r, &row, 1, &logit, &e), ERR_ARG);
    jamba_session_close(s);
    jamba_session_close(r);
    jamba_model_close(m);
    free(ids);
}

static void test_damaged_and_cut_files_are_refused(void **state) {
    (void)state;
    int32_t *ids = fixture_text(100);
    struct jamba_model *m = fixture_model(NULL, 2);
    struct error e = {0};
    struct jamba_session *s = fixture_session(m, 100), *r;
    fixture_read(s, ids, 100);
    assert_int_equal(jamba_session_save(s, file, &e), 0);
    struct buf good = {0};
    assert_int_equal(file_read(file, 1u << 30, &good, &e), 0);
    /* in the header, the states, and both pages, which two threads read */
    const size_t at[] = {0,   9,    13,   20,   30,     60,           90,           160,
                         200, 4000, 4100, 5000, 100000, good.len / 2, good.len - 9, good.len - 1};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) { /* one bit */
        good.data[at[i]] ^= 0x10;
        assert_int_equal(file_write_atomic(file, good.data, good.len, &e), 0);
        good.data[at[i]] ^= 0x10;
        int rc = jamba_session_restore(&r, m, file, 100, &e);
        assert_int_equal(rc, ERR_FORMAT);
        assert_null(r);
        assert_string_equal(e.where, file);
    }
    const size_t lengths[] = {0, 5, 4096, 4104, 4105, 50000, good.len - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        assert_int_equal(file_write_atomic(file, good.data, lengths[i], &e), 0);
        assert_int_equal(jamba_session_restore(&r, m, file, 100, &e), ERR_FORMAT);
    }
    buf_append(&good, "x", 1);
    assert_int_equal(file_write_atomic(file, good.data, good.len, &e), 0);
    assert_int_equal(jamba_session_restore(&r, m, file, 100, &e), ERR_FORMAT);
    /* two whole blocks that changed places */
    char *one = good.data + 4104 * 3, *two = good.data + 4104 * 4, keep[4104];
    memcpy(keep, one, 4104);
    memcpy(one, two, 4104);
    memcpy(two, keep, 4104);
    assert_int_equal(file_write_atomic(file, good.data, good.len - 1, &e), 0);
    assert_int_equal(jamba_session_restore(&r, m, file, 100, &e), ERR_FORMAT);
    unlink(file);
    assert_int_equal(jamba_session_restore(&r, m, file, 100, &e), ERR_NOT_FOUND);
    buf_free(&good);
    jamba_session_close(s);
    jamba_model_close(m);
    free(ids);
}

static void test_foreign_snapshots_are_refused_by_name(void **state) {
    (void)state;
    int32_t *ids = fixture_text(20);
    struct jamba_model *m = fixture_model(NULL, 1), *scalar = fixture_model("scalar", 1), *other = NULL;
    struct error e = {0};
    struct jamba_session *s = fixture_session(m, 20), *r;
    fixture_read(s, ids, 20);
    assert_int_equal(jamba_session_save(s, file, &e), 0);
    assert_int_equal(jamba_session_restore(&r, m, file, 19, &e), ERR_LIMIT);
    assert_int_equal(jamba_session_restore(&r, scalar, file, 20, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.message, "scalar"));
    assert_non_null(strstr(e.message, jamba_model_kernel_path(m)));
    struct jamba_model_options o = {.n_threads = 1, .random_weights = true, .random_seed = 3};
    assert_int_equal(jamba_model_open(&other, "engine/models", &o, &e), 0);
    assert_int_equal(jamba_session_restore(&r, other, file, 20, &e), ERR_UNSUPPORTED);
    char ours[65];
    hex_encode(jamba_model_id(m), 32, ours);
    ours[12] = 0;
    assert_non_null(strstr(e.message, ours));
    jamba_session_close(s);
    jamba_model_close(m);
    jamba_model_close(scalar);
    jamba_model_close(other);
    free(ids);
}

static void test_a_save_that_fails_leaves_the_old_file(void **state) {
    (void)state;
    int32_t *ids = fixture_text(20);
    struct jamba_model *m = fixture_model(NULL, 1);
    struct error e = {0};
    struct jamba_session *s = fixture_session(m, 20);
    fixture_read(s, ids, 20);
    assert_int_equal(jamba_session_save(s, "/nowhere/at/all", &e), ERR_IO);
    assert_int_equal(jamba_session_save(s, "/dev/full/x", &e), ERR_IO);
    struct stat st;
    assert_int_equal(jamba_session_save(s, file, &e), 0);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600); /* it is the documents' text */
    jamba_session_close(s);
    jamba_model_close(m);
    free(ids);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_restored_session_goes_on_bit_for_bit, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_damaged_and_cut_files_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_foreign_snapshots_are_refused_by_name, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_a_save_that_fails_leaves_the_old_file, make_folder, remove_folder),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* tests/mutants.sh runs single ones */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
