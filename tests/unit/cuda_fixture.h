/* cuda_fixture.h: what the tests of the CUDA backend share: the device or a reason to skip, buffers on both sides,
 * noise, comparison with plain loops in double precision, a small model run on stages. Where the program was built
 * without CUDA only `err`, OK and what skips are here.
 *
 *     static void test_x(void **state) {
 *         if (!device()) return;
 *         float *dx, *x = random_f32(n, 1, &dx), *dy = poisoned(n * 4);
 *         OK(cuda_...(dy, dx, ..., stream, &err));
 *         float *y = fetched(dy, n * 4);
 *         close_to("what", y, want, n, limit);
 *         FREE(x, y);
 *         CUDA_FREE(dx, dy);
 *     }
 *     int main(void) { ...  cmocka_run_group_tests(tests, cuda_setup, cuda_teardown); }
 */
#ifndef ANTINOMY_TESTS_CUDA_FIXTURE_H
#define ANTINOMY_TESTS_CUDA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/jamba/model.h"

static struct error err;
static inline void ok_(int rc, int line) {
    if (rc) fail_msg("line %d: %s (%s)", line, err.message, err.where);
}
#define OK(x) ok_(x, __LINE__)

#ifndef ANTINOMY_CUDA
#define cuda_setup NULL
#define cuda_teardown NULL
/* The one test of a program that is for a device alone. */
static inline void test_built_without_cuda(void **state) {
    (void)state;
    if (getenv("REQUIRE_GPU")) fail_msg("REQUIRE_GPU is set, but the program was built without CUDA");
    print_message("skip: built without CUDA\n");
    skip();
}
#else
#include "engine/jamba/shape.h"
#include "kernels/cuda/cuda_ops.h"

#define MODEL (getenv("ANTINOMY_MODEL") ? getenv("ANTINOMY_MODEL") : "engine/models")

/* ---- the device ---- */
static cuda_stream stream;
static bool hopper; /* the device has the sm_90 paths */

static inline int cuda_setup(void **state) {
    char name[128];
    size_t f, t;
    (void)state;
    if (cuda_device_count() == 0) return 0;
    int rc = cuda_device_use(0, name, &f, &t, &err);
    hopper = strstr(name, "sm_90") != NULL;
    return rc ? rc : cuda_stream_open(&stream, &err);
}
static inline int cuda_teardown(void **state) {
    (void)state;
    cuda_stream_close(stream);
    return 0;
}
/* Without a device the test is skipped; REQUIRE_GPU=1 makes that a failure. */
static inline bool device(void) {
    if (cuda_device_count() > 0) return true;
    if (getenv("REQUIRE_GPU")) fail_msg("REQUIRE_GPU is set, but no GPU was found");
    print_message("skip: no GPU\n");
    skip();
    return false;
}

/* ---- buffers ---- */
static inline void *on_device(const void *host, size_t bytes) {
    void *p;
    OK(cuda_alloc(&p, bytes, &err));
    OK(cuda_upload(p, host, bytes, stream, &err));
    return p;
}
static inline void *poisoned(size_t bytes) { /* NaN everywhere, so that what is not written shows */
    void *h = malloc(bytes);
    memset(h, 0xff, bytes);
    void *p = on_device(h, bytes);
    free(h);
    return p;
}
static inline void *zeroed(size_t bytes) {
    void *p;
    OK(cuda_alloc(&p, bytes, &err));
    OK(cuda_zero(p, bytes, stream, &err));
    return p;
}
static inline void *fetched(const void *dev, size_t bytes) {
    void *h = malloc(bytes);
    OK(cuda_download(h, dev, bytes, stream, &err));
    return h;
}
static inline void free_all(void (*release)(void *), void *const *p, size_t n) {
    for (size_t i = 0; i < n; i++) release(p[i]);
}
#define FREE_BY(RELEASE, ...)                                                                                          \
    free_all(RELEASE, (void *[]){__VA_ARGS__}, sizeof((void *[]){__VA_ARGS__}) / sizeof(void *))
#define FREE(...) FREE_BY(free, __VA_ARGS__)
#define CUDA_FREE(...) FREE_BY(cuda_free, __VA_ARGS__)

/* ---- values ---- */
static uint32_t noise_seed = 1;
static inline float noise(void) { /* about unit variance */
    noise_seed = noise_seed * 1664525u + 1013904223u;
    return ((float)(noise_seed >> 8) / (float)(1 << 23) - 1) * 1.7f;
}
static inline uint16_t bf16_of(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static inline float f32_of(uint16_t b) {
    uint32_t u = (uint32_t)b << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
/* Noise on both sides, or on the host alone (dev NULL). */
static inline uint16_t *random_bf16(size_t n, float scale, uint16_t **dev) {
    uint16_t *h = malloc(n * 2);
    for (size_t i = 0; i < n; i++) h[i] = bf16_of(noise() * scale);
    if (dev) *dev = on_device(h, n * 2);
    return h;
}
static inline float *random_f32(size_t n, float scale, float **dev) {
    float *h = malloc(n * 4);
    for (size_t i = 0; i < n; i++) h[i] = noise() * scale;
    if (dev) *dev = on_device(h, n * 4);
    return h;
}
static inline float *fetch_bf16(const uint16_t *dev, size_t n) {
    uint16_t *h = fetched(dev, n * 2);
    float *f = malloc(n * 4);
    for (size_t i = 0; i < n; i++) f[i] = f32_of(h[i]);
    free(h);
    return f;
}
static inline float *fetch_f32(const float *dev, size_t n) {
    return fetched(dev, n * 4);
}
static inline double silu(double v) {
    return v / (1 + exp(-v));
}
/* bf16 results are rounded to 8 bits: 2^-9 at most, 1.7e-3 in the mean. */
#define BF16_LIMIT 2.5e-3
/* ||a - b|| / ||b||; NaN never passes. */
static inline void close_to(const char *what, const float *a, const double *b, size_t n, double limit) {
    double d = 0, s = 0;
    for (size_t i = 0; i < n; i++) d += (a[i] - b[i]) * (a[i] - b[i]), s += b[i] * b[i];
    double rel = sqrt(d) / (sqrt(s) + 1e-30);
    if (!(rel <= limit)) fail_msg("%s: relative error %g, limit %g", what, rel, limit);
}

/* ---- models and sessions ---- */
/* The files' text as tokens, one after another. */
static inline int32_t *text_tokens(struct jamba_model *m, const char *const *files, size_t n_files, size_t *n) {
    struct buf b = {0};
    int32_t *ids;
    for (size_t i = 0; i < n_files; i++) {
        struct buf one = {0};
        OK(file_read(files[i], 1 << 20, &one, &err));
        buf_append(&b, one.data, one.len);
        buf_free(&one);
    }
    OK(jamba_tokenize(m, b.data, b.len, &ids, NULL, n, &err));
    buf_free(&b);
    return ids;
}
/* An empty file of a new name. */
static inline void temporary(char path[64]) {
    snprintf(path, 64, "/tmp/antinomy-test-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    fclose(fdopen(fd, "w"));
}
/* The state after the tokens, as bytes of its snapshot. */
static inline void snapshot(struct jamba_session *s, struct buf *b) {
    char path[64];
    temporary(path);
    OK(jamba_session_save(s, path, &err));
    OK(file_read(path, (size_t)1 << 30, b, &err));
    remove(path);
}

/* The shape "tiny" (a small mixture of experts) reads n noise tokens in chunks of `chunk`, the last n_steps one by one,
 * then its forks read one each together: everything that comes out, to be the same bits however the model is spread. */
#define TINY_VOCAB 1024
struct tiny_run {
    struct jamba_model *m;
    struct jamba_session *s, *fork[3];
    float logits[5][TINY_VOCAB]; /* behind the chunks, behind the steps, of each fork */
    struct buf state;            /* behind the steps */
    int32_t ids[3000];
};
static inline void tiny_run_open(struct tiny_run *r, const struct jamba_model_options *o, size_t n, size_t n_steps,
                                 uint32_t chunk) {
    struct jamba_run run = {.chunk = chunk};
    struct jamba_batch_item items[3];
    uint32_t x = 12345;
    memset(r, 0, sizeof *r);
    assert_true(n <= sizeof r->ids / sizeof r->ids[0]);
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        r->ids[i] = (int32_t)(x >> 8) % TINY_VOCAB;
    }
    OK(jamba_model_open_shape(&r->m, "tiny", o, &err));
    assert_int_equal(jamba_model_config(r->m)->n_vocab, TINY_VOCAB);
    OK(jamba_session_open(&r->s, r->m, 4096, &err));
    OK(jamba_session_prefill(r->s, r->ids, n - n_steps, &run, &err));
    OK(jamba_session_logits(r->s, r->logits[0], &err));
    for (size_t i = n - n_steps; i < n; i++) OK(jamba_session_prefill(r->s, r->ids + i, 1, NULL, &err));
    OK(jamba_session_logits(r->s, r->logits[1], &err));
    for (size_t i = 0; i < TINY_VOCAB; i++) assert_true(isfinite(r->logits[0][i]) && isfinite(r->logits[1][i]));
    snapshot(r->s, &r->state);
    for (int i = 0; i < 3; i++) {
        OK(jamba_session_fork(&r->fork[i], r->s, &err));
        items[i] = (struct jamba_batch_item){.session = r->fork[i],
                                             .tokens = r->ids + 5 * i,
                                             .n_tokens = 1,
                                             .want = JAMBA_WANT_LOGITS,
                                             .out = r->logits[2 + i]};
    }
    OK(jamba_batch_run(r->m, items, 3, NULL, &err));
}
static inline void tiny_runs_equal(const struct tiny_run *a, const struct tiny_run *b) {
    assert_int_equal(a->state.len, b->state.len);
    assert_memory_equal(a->state.data, b->state.data, b->state.len);
    assert_memory_equal(a->logits, b->logits, sizeof b->logits);
}
static inline void tiny_run_close(struct tiny_run *r) {
    for (int i = 0; i < 3; i++) jamba_session_close(r->fork[i]);
    jamba_session_close(r->s);
    jamba_model_close(r->m);
    r->m = NULL, r->s = NULL;
}
#endif

#endif
