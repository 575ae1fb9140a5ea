/* test_peer.c: what llama.cpp predicts from the same weights and token ids (tests/golden/peer/README.md): its ten
 * likeliest next tokens at 1,000 positions of real text. In f32 on both sides the log-probabilities agree to 0.001;
 * where both round activations to 8 bits, each in its own way, their mean difference stays below 0.1. The scalar path
 * reads the first 100 positions of the bundled model; ALL=1 in the environment reads all. */
#include "tests/unit/head_fixture.h"
#include "tests/unit/tiny_model.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define FOLDER "tests/golden/peer/"
#define POSITIONS ((size_t)1000)
#define TOP ((size_t)10)

struct predictions { /* a golden file, little-endian */
    int32_t ids[POSITIONS], top[POSITIONS][TOP];
    float logprob[POSITIONS][TOP];
};

struct rows {
    float *final; /* [n, d_model] output of the final norm */
    size_t d_model, n_layer, n;
};
static void keep_final_rows(void *ctx, int layer, const float *x, size_t n_rows) {
    struct rows *r = ctx;
    if (layer != (int)r->n_layer) return;
    memcpy(r->final + r->n * r->d_model, x, n_rows * r->d_model * sizeof *x);
    r->n += n_rows;
}

struct difference {
    double worst, sum, spread; /* spread: sum of the peer's distance from its likeliest to its tenth token */
    size_t worst_position, n, n_top1;
};
static void compare(struct difference *d, const struct predictions *want, size_t position, const float *logits,
                    size_t V) {
    size_t best = 0;
    double sum = 0;
    for (size_t i = 1; i < V; i++)
        if (logits[i] > logits[best]) best = i;
    for (size_t i = 0; i < V; i++) sum += exp((double)logits[i] - (double)logits[best]);
    double lse = (double)logits[best] + log(sum);
    for (size_t k = 0; k < TOP; k++) {
        size_t id = (size_t)want->top[position][k];
        assert_true(id < V);
        double off = fabs((double)logits[id] - lse - (double)want->logprob[position][k]);
        if (!(off <= d->worst)) d->worst = off, d->worst_position = position;
        d->sum += off;
        d->n++;
    }
    d->spread += (double)want->logprob[position][0] - (double)want->logprob[position][TOP - 1];
    d->n_top1 += (int32_t)best == want->top[position][0];
}

/* Reads the first n tokens of a golden file on a path; false where the processor lacks it. */
static bool read_and_compare(const char *model, const char *path, const char *golden, size_t n, struct difference *d) {
    struct error e = {0};
    struct buf file = {0};
    struct jamba_model *m = NULL;
    *d = (struct difference){0};
    int rc = jamba_model_open(&m, model, &(struct jamba_model_options){.path = path, .n_threads = 2}, &e);
    if (rc == ERR_UNSUPPORTED) return false;
    if (rc) fail_msg("%s (%s)", e.message, e.where);
    assert_int_equal(file_read(golden, 1 << 20, &file, &e), 0);
    assert_int_equal(file.len, sizeof(struct predictions));
    const struct predictions *want = (const struct predictions *)(const void *)file.data;
    const struct jamba_config *c = jamba_model_config(m);
    const size_t V = c->n_vocab, H = c->d_model;
    struct rows r = {.final = malloc(n * H * sizeof(float)), .d_model = H, .n_layer = c->n_layer};
    struct jamba_session *s;
    assert_int_equal(jamba_session_open(&s, m, (uint32_t)n, &e), 0);
    jamba_trace.layer = keep_final_rows;
    jamba_trace.ctx = &r;
    assert_int_equal(jamba_session_prefill(s, want->ids, n, NULL, &e), 0);
    jamba_trace.layer = NULL;
    assert_int_equal(r.n, n);

    struct fixture_head head;
    fixture_head_open(&head, m, path);
    assert_true(n % HEAD_ROWS == 0);
    for (size_t at = 0; at < n; at += HEAD_ROWS) {
        fixture_head_run(&head, r.final + at * H, HEAD_ROWS);
        for (size_t i = 0; i < HEAD_ROWS; i++) compare(d, want, at + i, head.logits + i * V, V);
    }
    print_message("%s, %s: %zu log-probabilities, mean difference %.2e, worst %.2e (position %zu), likeliest token the "
                  "same %zu of %zu, the peer's ten lie %.2f apart\n",
                  golden, path, d->n, d->sum / (double)d->n, d->worst, d->worst_position, d->n_top1, n,
                  d->spread / (double)n);
    fixture_head_close(&head);
    free(r.final);
    jamba_session_close(s);
    jamba_model_close(m);
    buf_free(&file);
    return true;
}

static void test_f32_equals_the_peer_on_the_bundled_weights(void **state) {
    (void)state;
    struct difference d;
    assert_true(
        read_and_compare("engine/models", "scalar", FOLDER "bundled_f32.bin", getenv("ALL") ? POSITIONS : 100, &d));
    assert_true(d.worst <= 1e-3);
    assert_true(d.spread >= (double)d.n / TOP); /* not degenerate: ten tokens alike would agree by themselves */
}

static void test_f32_equals_the_peer_on_four_experts(void **state) {
    (void)state;
    struct difference d;
    char file[] = "/tmp/antinomy-peer-XXXXXX";
    struct tiny_model t = TINY_MODEL;
    t.n_layer = 6, t.d_model = 128, t.d_ff = 192, t.d_inner = 256, t.d_state = 16, t.dt_rank = 8;
    t.n_expert = 4, t.n_expert_used = 2, t.seed = 7;
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    fclose(fdopen(fd, "wb"));
    assert_int_equal(tiny_model_write(&t, file), 0);
    bool read = read_and_compare(file, "scalar", FOLDER "four_experts_f32.bin", POSITIONS, &d);
    unlink(file);
    assert_true(read);
    assert_true(d.worst <= 1e-3);
    assert_true(d.spread >= (double)d.n / TOP);
}

static void test_int8_paths_stay_near_the_peer_on_the_q4_file(void **state) {
    (void)state;
    const char *const paths[] = {"avx2", "avx512-vnni"};
    size_t n_read = 0;
    for (size_t i = 0; i < 2; i++) {
        struct difference d;
        if (!read_and_compare("engine/models", paths[i], FOLDER "bundled_q4.bin", POSITIONS, &d)) continue;
        n_read++;
        assert_true(d.sum / (double)d.n <= 0.1);
    }
    if (!n_read) {
        print_message("skip: this processor lacks the path avx2\n");
        skip();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f32_equals_the_peer_on_the_bundled_weights),
        cmocka_unit_test(test_f32_equals_the_peer_on_four_experts),
        cmocka_unit_test(test_int8_paths_stay_near_the_peer_on_the_q4_file),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* tests/mutants.sh runs single ones */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
