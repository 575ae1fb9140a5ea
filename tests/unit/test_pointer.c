/* test_pointer.c: the pointer constraint against a brute-force search of the corpus. */
#include "engine/jamba/jamba.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint64_t seed = 5;
static uint32_t random_below(uint32_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 32) % n);
}

static struct jamba_pointer *open_pointer(const int32_t *corpus, size_t n, const uint32_t *breaks, size_t n_breaks) {
    struct jamba_pointer *p;
    struct error e = {0};
    assert_int_equal(jamba_pointer_open(&p, corpus, n, breaks, n_breaks, &e), 0);
    return p;
}
static bool has(const int32_t *ids, size_t n, int32_t id) {
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id) return true;
    return false;
}

static void test_all_places_are_kept_until_the_run_tells_them_apart(void **state) {
    (void)state;
    /*                        0  1  2  3  4  5  6  7  8  9 */
    const int32_t corpus[] = {7, 8, 9, 4, 7, 8, 5, 7, 8, 9};
    struct jamba_pointer *p = open_pointer(corpus, 10, NULL, 0);
    const int32_t *ids;
    const uint32_t *starts;
    assert_int_equal(jamba_pointer_next(p, &ids), 5);
    assert_int_equal(ids[0], 4);
    assert_int_equal(ids[4], 9);
    assert_true(jamba_pointer_accept(p, 7));
    assert_int_equal(jamba_pointer_positions(p, &starts), 3);
    assert_true(jamba_pointer_accept(p, 8));
    assert_int_equal(jamba_pointer_next(p, &ids), 2);
    assert_int_equal(ids[0], 5);
    assert_int_equal(ids[1], 9);
    assert_false(jamba_pointer_accept(p, 7)); /* refused: nothing changed */
    assert_int_equal(jamba_pointer_length(p), 2);
    assert_true(jamba_pointer_accept(p, 9));
    assert_int_equal(jamba_pointer_positions(p, &starts), 2);
    assert_int_equal(starts[0], 0);
    assert_int_equal(starts[1], 7);
    assert_int_equal(jamba_pointer_next(p, &ids), 1); /* the other one ends with the corpus */
    assert_int_equal(ids[0], 4);
    jamba_pointer_reset(p);
    assert_int_equal(jamba_pointer_length(p), 0);
    assert_int_equal(jamba_pointer_next(p, &ids), 5);
    assert_false(jamba_pointer_accept(p, 6));
    assert_false(jamba_pointer_accept(p, -1));
    assert_false(jamba_pointer_accept(p, 1 << 20));
    jamba_pointer_close(p);
}

static void test_a_run_does_not_cross_a_document(void **state) {
    (void)state;
    const int32_t corpus[] = {1, 2, 3, 1, 2, 4};
    const uint32_t breaks[] = {0, 3};
    struct jamba_pointer *p = open_pointer(corpus, 6, breaks, 2);
    const int32_t *ids;
    assert_true(jamba_pointer_accept(p, 3));
    assert_int_equal(jamba_pointer_next(p, &ids), 0);
    assert_false(jamba_pointer_accept(p, 1));
    jamba_pointer_reset(p);
    assert_true(jamba_pointer_accept(p, 1)); /* a run may begin at a document's start */
    assert_int_equal(jamba_pointer_next(p, &ids), 1);
    jamba_pointer_close(p);
}

static void test_runs_that_begin_at_given_places(void **state) {
    (void)state;
    const int32_t corpus[] = {1, 2, 3, 1, 2, 4, 1, 9};
    const uint32_t at[] = {3, 7}, backwards[] = {4, 2}, beyond[] = {8};
    struct jamba_pointer *p = open_pointer(corpus, 8, NULL, 0);
    struct error e = {0};
    const int32_t *ids;
    const uint32_t *starts;
    assert_int_equal(jamba_pointer_start_at(p, backwards, 2, &e), ERR_ARG);
    assert_int_equal(jamba_pointer_start_at(p, beyond, 1, &e), ERR_ARG);
    assert_int_equal(jamba_pointer_start_at(p, at, 2, &e), 0);
    assert_int_equal(jamba_pointer_next(p, &ids), 2);
    assert_true(has(ids, 2, 1) && has(ids, 2, 9));
    assert_true(jamba_pointer_accept(p, 1));
    assert_int_equal(jamba_pointer_positions(p, &starts), 1);
    assert_int_equal(starts[0], 3);
    assert_true(jamba_pointer_accept(p, 2));
    assert_false(jamba_pointer_accept(p, 3));
    assert_true(jamba_pointer_accept(p, 4));
    assert_int_equal(jamba_pointer_start_at(p, NULL, 0, &e), 0);
    assert_int_equal(jamba_pointer_next(p, &ids), 0);
    jamba_pointer_close(p);
}

static void test_random_runs_against_brute_force(void **state) {
    (void)state;
    enum { N = 300 };
    for (int round = 0; round < 200; round++) {
        int32_t corpus[N], run[N];
        uint32_t breaks[N];
        size_t n = 1 + random_below(N - 1), n_breaks = 0, len = 0;
        for (size_t i = 0; i < n; i++) corpus[i] = (int32_t)random_below(4);
        for (size_t i = 0; i < n; i++)
            if (random_below(20) == 0) breaks[n_breaks++] = (uint32_t)i;
        struct jamba_pointer *p = open_pointer(corpus, n, breaks, n_breaks);
        for (;;) {
            uint32_t want[N];
            size_t n_want = 0;
            bool next_want[4] = {0};
            for (size_t s = 0; s < n; s++) {
                bool stands = s + len <= n;
                for (size_t i = 0; stands && i < len; i++) {
                    stands = corpus[s + i] == run[i];
                    for (size_t b = 0; i && b < n_breaks; b++) stands &= breaks[b] != s + i;
                }
                if (!stands) continue;
                want[n_want++] = (uint32_t)s;
                bool ends = s + len >= n;
                for (size_t b = 0; len && b < n_breaks; b++) ends |= breaks[b] == s + len;
                if (!ends) next_want[corpus[s + len]] = true;
            }
            const uint32_t *starts;
            const int32_t *ids;
            size_t n_next = jamba_pointer_next(p, &ids), n_next_want = 0;
            for (int32_t id = 0; id < 4; id++) {
                n_next_want += next_want[id];
                assert_int_equal(has(ids, n_next, id), next_want[id]);
            }
            assert_int_equal(n_next, n_next_want);
            assert_int_equal(jamba_pointer_positions(p, &starts), n_want);
            assert_memory_equal(starts, want, n_want * sizeof want[0]);
            if (n_next == 0) break;
            run[len] = ids[random_below((uint32_t)n_next)];
            assert_true(jamba_pointer_accept(p, run[len]));
            len++;
        }
        jamba_pointer_close(p);
    }
}

static void test_an_empty_and_a_long_corpus(void **state) {
    (void)state;
    struct error e = {0};
    const int32_t *ids;
    struct jamba_pointer *p = open_pointer(NULL, 0, NULL, 0);
    assert_int_equal(jamba_pointer_next(p, &ids), 0);
    assert_false(jamba_pointer_accept(p, 0));
    jamba_pointer_close(p);
    const int32_t bad[] = {3, -4};
    assert_int_equal(jamba_pointer_open(&p, bad, 2, NULL, 0, &e), ERR_ARG);
    size_t n = 262144;
    int32_t *corpus = malloc(n * sizeof *corpus);
    for (size_t i = 0; i < n; i++) corpus[i] = 17 + (int32_t)(random_below(300) * random_below(160));
    p = open_pointer(corpus, n, NULL, 0);
    for (size_t i = 0; i < 200; i++) { /* quotes of 30 tokens from anywhere */
        size_t at = random_below((uint32_t)n - 40);
        jamba_pointer_reset(p);
        for (size_t j = 0; j < 30; j++) {
            size_t k = jamba_pointer_next(p, &ids);
            assert_true(k > 0);
            assert_true(jamba_pointer_accept(p, corpus[at + j]));
        }
        const uint32_t *starts;
        assert_int_equal(jamba_pointer_positions(p, &starts), 1);
        assert_int_equal(starts[0], at);
    }
    jamba_pointer_close(p);
    free(corpus);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_places_are_kept_until_the_run_tells_them_apart),
        cmocka_unit_test(test_a_run_does_not_cross_a_document),
        cmocka_unit_test(test_runs_that_begin_at_given_places),
        cmocka_unit_test(test_random_runs_against_brute_force),
        cmocka_unit_test(test_an_empty_and_a_long_corpus),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* tests/mutants.sh runs single ones */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
