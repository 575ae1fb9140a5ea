/* test_cuda_fp8.c: e4m3 on the GPU: conversion against the format's definition, products against plain loops in double
 * precision, fused operations against plain ones bit for bit, the whole backend with quantize "fp8", and how far the
 * bundled model moves under each quantisation on real text. Without a device everything is skipped; REQUIRE_GPU=1 makes
 * that a failure. */
#include "tests/unit/cuda_fixture.h"

#ifndef ANTINOMY_CUDA
int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_built_without_cuda)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
/* ---- the format (OCP 8-bit floating point specification, section 5: E4M3) ---- */
static float e4m3_value(uint8_t code) {
    const int e = code >> 3 & 15, m = code & 7;
    const float v = e ? ldexpf(1 + (float)m / 8, e - 7) : ldexpf((float)m / 8, -6);
    return code & 0x80 ? -v : v;
}
static uint8_t e4m3_code(float x) { /* nearest, ties to the even code, at most 448 */
    uint8_t best = 0;
    const float a = fabsf(x);
    for (uint8_t c = 1; c < 127; c++) {
        const float d = fabsf(a - e4m3_value(c)), b = fabsf(a - e4m3_value(best));
        if (d < b || (d == b && c % 2 == 0)) best = c;
    }
    return signbit(x) ? best | 0x80 : best;
}

static void test_rows_become_e4m3_as_the_format_says_and_come_back(void **state) {
    (void)state;
    if (!device()) return;
    static const size_t widths[] = {8, 16, 576, 2048, 2056, 4096, 14336, 24576};
    for (size_t k = 0; k < sizeof widths / sizeof widths[0]; k++) {
        enum { T = 5 };
        const size_t n = widths[k];
        uint16_t *x = random_bf16(T * n, 1, NULL);
        for (size_t i = 0; i < n; i++) x[n + i] = 0; /* nothing to scale by */
        x[2 * n + 3] = bf16_of(-3000);               /* one channel far out, as Jamba's residual has */
        for (size_t i = 0; i < n; i++) x[3 * n + i] = bf16_of(1e-20f * noise()); /* a tiny row keeps its digits */
        for (size_t i = 0; i < n; i++) x[4 * n + i] = bf16_of(1e-36f * noise()); /* one too tiny is zero, not NaN */
        uint16_t *dx = on_device(x, T * n * 2), *back = poisoned(T * n * 2);
        uint8_t *dq = poisoned(T * n);
        float *ds = poisoned(T * 4);
        OK(cuda_quantise_e4m3(dq, ds, dx, T, n, stream, &err));
        OK(cuda_dequantise_e4m3(back, dq, ds, T, n, stream, &err));
        uint8_t *q = fetched(dq, T * n);
        float *s = fetched(ds, T * 4);
        uint16_t *b = fetched(back, T * n * 2);
        for (size_t t = 0; t < T; t++) {
            float m = 0;
            for (size_t i = 0; i < n; i++) m = fmaxf(m, fabsf(f32_of(x[t * n + i])));
            if (m < 1e-30f) m = 0;
            const float factor = m > 0 ? 448.f / m : 0;
            assert_true(s[t] == m / 448.f);
            for (size_t i = 0; i < n; i++) {
                const uint8_t want = e4m3_code(f32_of(x[t * n + i]) * factor);
                if (q[t * n + i] != want && (q[t * n + i] | want) != 0x80)
                    fail_msg("row %zu, value %zu of %zu: code %02x, expected %02x", t, i, n, q[t * n + i], want);
                assert_int_equal(b[t * n + i] & 0x7fff, bf16_of(e4m3_value(want) * s[t]) & 0x7fff);
            }
        }
        FREE(x, q, s, b);
        CUDA_FREE(dx, back, dq, ds);
    }
    assert_int_equal(cuda_quantise_e4m3(NULL, NULL, NULL, 1, 12, stream, &err), ERR_UNSUPPORTED);
}

/* Every code, subnormals too, through the dequantising kernel and through the decode product: both convert by bits. */
static void test_every_code_is_read_exactly(void **state) {
    (void)state;
    if (!device()) return;
    enum { N = 256, K = 64 };
    static uint8_t w[N * K];
    static uint16_t x[K];
    static float scale[N];
    for (int o = 0; o < N; o++) {
        scale[o] = 1;
        for (int i = 0; i < K; i++) w[o * K + i] = i == o % K ? (uint8_t)o : 0;
        if ((o & 127) == 127) w[o * K + o % K] = 0; /* NaN */
    }
    for (int i = 0; i < K; i++) x[i] = bf16_of(1);
    struct cuda_matrix m = {
        .e4m3 = on_device(w, sizeof w), .scale = on_device(scale, sizeof scale), .n_out = N, .n_in = K};
    uint16_t *dx = on_device(x, sizeof x), *back = poisoned(sizeof w * 2);
    float *y = poisoned(N * 4);
    OK(cuda_dequantise_e4m3(back, m.e4m3, m.scale, N, K, stream, &err));
    OK(cuda_gemv(&m, dx, K, 1, NULL, y, N, false, stream, &err));
    uint16_t *b = fetched(back, sizeof w * 2);
    float *g = fetched(y, N * 4);
    for (int o = 0; o < N; o++) {
        const float v = e4m3_value(w[o * K + o % K]);
        assert_true(f32_of(b[o * K + o % K]) == v);
        if (g[o] != v) fail_msg("code %02x: %g, expected %g", w[o * K + o % K], (double)g[o], (double)v);
    }
    FREE(b, g);
    CUDA_FREE(m.e4m3, m.scale, dx, back, y);
}

/* Random e4m3 weights [N, K] on both sides. */
static uint8_t *random_matrix(struct cuda_matrix *m, int N, int K, float **scale) {
    const size_t n = (size_t)N * (size_t)K;
    uint16_t *dw, *w = random_bf16(n, 1, &dw);
    *m = (struct cuda_matrix){.n_out = N, .n_in = K, .e4m3 = poisoned(n), .scale = poisoned((size_t)N * 4)};
    OK(cuda_quantise_e4m3(m->e4m3, m->scale, dw, (size_t)N, (size_t)K, stream, &err));
    *scale = fetched(m->scale, (size_t)N * 4);
    free(w);
    cuda_free(dw);
    return fetched(m->e4m3, n);
}

static void test_decode_product_equals_plain_loops(void **state) {
    (void)state;
    if (!device()) return;
    static const int shapes[][2] = {{16, 64},    {33, 64},     {288, 1152}, {130, 256},
                                    {2304, 576}, {1025, 4096}, {16384, 128}};
    enum { T = CUDA_STEP_ROWS };
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
        const int N = shapes[k][0], K = shapes[k][1];
        struct cuda_matrix m;
        float *scale;
        uint8_t *w = random_matrix(&m, N, K, &scale);
        uint16_t *dx, *x = random_bf16((size_t)(T * K), 1, &dx);
        float *dy = poisoned((size_t)(T * N) * 4), *d1 = poisoned((size_t)N * 4);
        double *ref = malloc((size_t)(T * N) * 8);
        for (int t = 0; t < T; t++)
            for (int o = 0; o < N; o++) {
                double s = 0;
                for (int i = 0; i < K; i++) s += (double)f32_of(x[t * K + i]) * (double)e4m3_value(w[o * K + i]);
                ref[t * N + o] = s * (double)scale[o];
            }
        OK(cuda_gemv(&m, dx, K, T, NULL, dy, N, false, stream, &err));
        float *got = fetched(dy, (size_t)(T * N) * 4);
        close_to("gemv", got, ref, (size_t)(T * N), 1e-5);
        for (int t = 0; t < T; t += 9) { /* a row alone */
            OK(cuda_gemv(&m, dx + t * K, K, 1, NULL, d1, N, false, stream, &err));
            float *one = fetched(d1, (size_t)N * 4);
            assert_memory_equal(one, got + t * N, (size_t)N * 4);
            free(one);
        }
        if (N % 16 == 0) {
            uint16_t *ds = poisoned((size_t)(T * N / 2) * 2);
            OK(cuda_gemv_swiglu(&m, dx, K, T, ds, N / 2, stream, &err));
            float *s = fetch_bf16(ds, (size_t)(T * N / 2));
            double *gated = malloc((size_t)(T * N / 2) * 8);
            for (int t = 0; t < T; t++)
                for (int o = 0; o < N / 2; o++) {
                    const double g = ref[t * N + o], u = ref[t * N + N / 2 + o];
                    gated[t * (N / 2) + o] = silu(g) * u;
                }
            close_to("gemv_swiglu", s, gated, (size_t)(T * N / 2), 3e-3);
            FREE(s, gated);
            cuda_free(ds);
        }
        FREE(w, scale, x, ref, got);
        CUDA_FREE(m.e4m3, m.scale, dx, dy, d1);
    }
}

/* Both sides e4m3. The tensor cores add e4m3 products with fewer bits than f32 has; measured 1.3e-4. */
#define E4M3_GEMM_LIMIT 5e-4
static void test_prefill_product_equals_plain_loops_and_keeps_a_rows_bits(void **state) {
    (void)state;
    if (!device()) return;
    static const int shapes[][3] = {{1, 16, 64},     {3, 64, 1152},    {40, 288, 1152},  {17, 128, 256},
                                    {300, 960, 576}, {131, 576, 1536}, {64, 1024, 4096}, {33, 256, 14336}};
    struct cuda_gemm *g;
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
        const int T = shapes[k][0], N = shapes[k][1], K = shapes[k][2];
        OK(cuda_gemm_open(&g, 8 << 20, &err)); /* one a matrix: it remembers by address what it has dequantised */
        const size_t n = (size_t)(T * N);
        struct cuda_matrix m;
        float *w_scale;
        uint8_t *w = random_matrix(&m, N, K, &w_scale);
        uint16_t *dxb, *xb = random_bf16((size_t)(T * K), 1, &dxb);
        uint8_t *dx = poisoned((size_t)(T * K));
        float *dxs = poisoned((size_t)T * 4), *dy32 = poisoned(n * 4);
        uint16_t *dy = poisoned(n * 2);
        OK(cuda_quantise_e4m3(dx, dxs, dxb, (size_t)T, (size_t)K, stream, &err));
        uint8_t *x = fetched(dx, (size_t)(T * K));
        float *x_scale = fetched(dxs, (size_t)T * 4);
        double *ref = malloc(n * 8), *ref_bf16 = malloc(n * 8);
        for (int t = 0; t < T; t++)
            for (int o = 0; o < N; o++) {
                double s = 0, b = 0;
                for (int i = 0; i < K; i++) {
                    const double v = (double)e4m3_value(w[o * K + i]);
                    s += (double)e4m3_value(x[t * K + i]) * v, b += (double)f32_of(xb[t * K + i]) * v;
                }
                ref[t * N + o] = s * (double)x_scale[t] * (double)w_scale[o];
                ref_bf16[t * N + o] = b * (double)w_scale[o];
            }
        /* bf16 rows: the matrix is dequantised */
        OK(cuda_linear(g, &m, dxb, K, T, NULL, dy32, N, false, stream, &err));
        float *got = fetched(dy32, n * 4);
        close_to("dequantised", got, ref_bf16, n, 3e-3);
        free(got);
        const bool ready = cuda_linear_e4m3_ready(g, &m, K, N, true, false) &&
                           cuda_linear_e4m3_ready(g, &m, K, N, true, true) &&
                           cuda_linear_e4m3_ready(g, &m, K, N, false, false);
        if (hopper && !ready) fail_msg("%d x %d: the library has no e4m3 product", N, K);
        if (ready) {
            OK(cuda_linear_e4m3(g, &m, dx, dxs, K, T, NULL, dy32, N, false, stream, &err));
            float *one = fetched(dy32, n * 4);
            close_to("e4m3 to f32", one, ref, n, E4M3_GEMM_LIMIT);
            OK(cuda_linear_e4m3(g, &m, dx, dxs, K, T, NULL, dy32, N, true, stream, &err));
            got = fetched(dy32, n * 4);
            for (size_t i = 0; i < n; i++) got[i] /= 2;
            close_to("e4m3 added to f32", got, ref, n, E4M3_GEMM_LIMIT);
            free(got);
            OK(cuda_linear_e4m3(g, &m, dx, dxs, K, T, dy, NULL, N, false, stream, &err));
            got = fetch_bf16(dy, n);
            close_to("e4m3 to bf16", got, ref, n, BF16_LIMIT + E4M3_GEMM_LIMIT);
            free(got);
            /* other rows beside it, any number of them; scales begin at 16 bytes */
            for (int from = 0, count = 1; from + count <= T; from += 4, count = count * 2 + 1) {
                float *part = poisoned((size_t)(count * N) * 4);
                OK(cuda_linear_e4m3(g, &m, dx + from * K, dxs + from, K, count, NULL, part, N, false, stream, &err));
                got = fetched(part, (size_t)(count * N) * 4);
                if (memcmp(got, one + from * N, (size_t)(count * N) * 4))
                    fail_msg("%d x %d: %d rows from %d have other bits than among %d", N, K, count, from, T);
                free(got);
                cuda_free(part);
            }
            if (T > 1)
                assert_int_equal(cuda_linear_e4m3(g, &m, dx + K, dxs + 1, K, 1, NULL, dy32, N, false, stream, &err),
                                 ERR_ARG);
            free(one);
        }
        FREE(w, w_scale, xb, x, x_scale, ref, ref_bf16);
        CUDA_FREE(m.e4m3, m.scale, dxb, dx, dxs, dy32, dy);
        cuda_gemm_close(g);
    }
    OK(cuda_gemm_open(&g, 0, &err));
    struct cuda_matrix odd = {.e4m3 = (uint8_t *)1, .n_out = 24, .n_in = 64};
    assert_false(cuda_linear_e4m3_ready(g, &odd, 64, 24, false, false));
    cuda_gemm_close(g);
}

/* One channel of a row far out, as Jamba's residual stream has them: its product must not swallow the digits of what
 * the other 4095 add. Sums that stay in the tensor cores' accumulators (E4M3_FAST_ACCUMULATION) are cut at some 14 bits
 * of the largest so far, and would. */
static void test_a_channel_far_out_leaves_the_others_their_digits(void **state) {
    (void)state;
    if (!device()) return;
    enum { N = 256, K = 4096, AT = 7 };
    struct cuda_gemm *g;
    struct cuda_matrix m;
    float *w_scale;
    OK(cuda_gemm_open(&g, 0, &err));
    uint8_t *w = random_matrix(&m, N, K, &w_scale);
    uint16_t *xb = random_bf16(K, 1, NULL);
    xb[AT] = bf16_of(3000);
    uint16_t *dxb = on_device(xb, K * 2);
    uint8_t *dx = poisoned(K);
    float *dxs = poisoned(4), *dy = poisoned(N * 4);
    OK(cuda_quantise_e4m3(dx, dxs, dxb, 1, K, stream, &err));
    if (cuda_linear_e4m3_ready(g, &m, K, N, true, false)) {
        OK(cuda_linear_e4m3(g, &m, dx, dxs, K, 1, NULL, dy, N, false, stream, &err));
        uint8_t *x = fetched(dx, K);
        float *scale = fetched(dxs, 4), *got = fetched(dy, N * 4);
        double d = 0, r = 0;
        for (int o = 0; o < N; o++) {
            double rest = 0;
            for (int i = 0; i < K; i++)
                if (i != AT) rest += (double)e4m3_value(x[i]) * (double)e4m3_value(w[o * K + i]);
            const double unit = (double)*scale * (double)w_scale[o];
            const double far = (double)e4m3_value(x[AT]) * (double)e4m3_value(w[o * K + AT]) * unit;
            d += (got[o] - far - rest * unit) * (got[o] - far - rest * unit), r += rest * unit * rest * unit;
        }
        print_message("error of the others' part: %.3g\n", sqrt(d / r));
        if (!(sqrt(d / r) <= 0.1)) fail_msg("the others' part is off by %g", sqrt(d / r));
        FREE(x, scale, got);
    } else if (hopper) {
        fail_msg("the library has no e4m3 product");
    }
    FREE(w, w_scale, xb);
    CUDA_FREE(m.e4m3, m.scale, dxb, dx, dxs, dy);
    cuda_gemm_close(g);
}

static void same_rows(const char *what, const uint8_t *q, const float *s, const uint8_t *q2, const float *s2, size_t T,
                      size_t n) {
    uint8_t *a = fetched(q, T * n), *b = fetched(q2, T * n);
    float *c = fetched(s, T * 4), *d = fetched(s2, T * 4);
    for (size_t t = 0; t < T; t++) {
        if (c[t] != d[t])
            fail_msg("%s: scale of row %zu of width %zu: %g and %g", what, t, n, (double)c[t], (double)d[t]);
        if (memcmp(a + t * n, b + t * n, n)) fail_msg("%s: row %zu of width %zu differs", what, t, n);
    }
    FREE(a, b, c, d);
}
static void test_fused_operations_equal_plain_ones_bit_for_bit(void **state) {
    (void)state;
    if (!device()) return;
    static const size_t widths[] = {8, 576, 1536, 2560, 4096, 8192, 14336};
    for (size_t k = 0; k < sizeof widths / sizeof widths[0]; k++) {
        enum { T = 33, K = 2 };
        const size_t n = widths[k];
        float *dx, *x = random_f32(T * n, 3, &dx), *dw, *w = random_f32(n, 1, &dw);
        float *s0 = poisoned(T * 4), *s1 = poisoned(T * 4);
        uint16_t *dgu, *gate_up = random_bf16(T * 2 * n, 2, &dgu);
        uint16_t *y0 = poisoned(T * n * 2), *y1 = poisoned(T * n * 2);
        uint8_t *q0 = poisoned(T * n), *q1 = poisoned(T * n);
        OK(cuda_rms_norm(y0, dx, dw, T, (int)n, 1e-6f, stream, &err));
        OK(cuda_quantise_e4m3(q0, s0, y0, T, n, stream, &err));
        OK(cuda_rms_norm_e4m3(q1, s1, y1, dx, dw, T, (int)n, 1e-6f, stream, &err));
        same_rows("rms_norm", q0, s0, q1, s1, T, n);
        uint16_t *a = fetched(y0, T * n * 2), *b = fetched(y1, T * n * 2);
        assert_memory_equal(a, b, T * n * 2);
        FREE(a, b);
        CUDA_FREE(q1, s1);
        q1 = poisoned(T * n), s1 = poisoned(T * 4);
        OK(cuda_rms_norm_e4m3(q1, s1, NULL, dx, dw, T, (int)n, 1e-6f, stream, &err));
        same_rows("rms_norm without bf16", q0, s0, q1, s1, T, n);
        OK(cuda_swiglu(y0, dgu, T, (int)n, stream, &err));
        OK(cuda_quantise_e4m3(q0, s0, y0, T, n, stream, &err));
        OK(cuda_swiglu_e4m3(q1, s1, dgu, T, (int)n, stream, &err));
        same_rows("swiglu", q0, s0, q1, s1, T, n);
        if (n % 16 == 0) {
            int32_t order[T * K];
            for (int i = 0; i < T * K; i++) order[i] = (i * 7) % (T * K);
            int32_t *dorder = on_device(order, sizeof order);
            uint8_t *dg = poisoned(T * K * n);
            float *dgs = poisoned(T * K * 4);
            OK(cuda_moe_gather_e4m3(dg, dgs, q0, s0, dorder, T * K, K, (int)n, stream, &err));
            uint8_t *got = fetched(dg, T * K * n), *from = fetched(q0, T * n);
            float *gs = fetched(dgs, T * K * 4), *fs = fetched(s0, T * 4);
            for (size_t i = 0; i < T * K; i++) {
                assert_memory_equal(got + i * n, from + (size_t)(order[i] / K) * n, n);
                assert_true(gs[i] == fs[order[i] / K]);
            }
            FREE(got, from, gs, fs);
            CUDA_FREE(dorder, dg, dgs);
        }
        FREE(x, w, gate_up);
        CUDA_FREE(dx, dw, s0, s1, dgu, y0, y1, q0, q1);
    }
}

/* ---- the backend ---- */
/* A small mixture of experts with weights as fp8: chunks, forks, steps and stages keep every bit; a snapshot of another
 * form of the weights is refused by name. */
static void test_fp8_keeps_every_bit_and_its_snapshots_apart(void **state) {
    (void)state;
    if (!device()) return;
    static const struct {
        const char *device;
        uint32_t chunk;
    } runs[] = {{"cuda", 0}, {"cuda", 128}, {"cuda", 77}, {"cuda:0,0", 256}};
    static struct tiny_run first, now;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        struct tiny_run *r = i ? &now : &first;
        struct jamba_model_options o = {.device = runs[i].device, .quantize = "fp8", .kv_tokens = 8192};
        tiny_run_open(r, &o, 1500, 4, runs[i].chunk);
        const char *path = jamba_model_kernel_path(r->m);
        if (hopper) assert_true(strlen(path) > 4 && strcmp(path + strlen(path) - 4, " fp8") == 0);
        if (i) {
            tiny_runs_equal(r, &first);
            buf_free(&r->state);
        } else {
            static const char *const others[] = {"none", "int8"};
            char file[64];
            temporary(file);
            OK(jamba_session_save(r->s, file, &err));
            for (int k = 0; k < 2; k++) {
                struct jamba_model *other;
                struct jamba_session *none;
                o.quantize = others[k];
                OK(jamba_model_open_shape(&other, "tiny", &o, &err));
                assert_int_equal(jamba_session_restore(&none, other, file, 4096, &err), ERR_UNSUPPORTED);
                assert_non_null(strstr(err.message, path));
                assert_non_null(strstr(err.message, jamba_model_kernel_path(other)));
                jamba_model_close(other);
            }
            remove(file);
        }
        tiny_run_close(r);
    }
    buf_free(&first.state);
    struct jamba_model *m;
    struct jamba_model_options o = {.device = "cuda", .quantize = "fp9"};
    assert_int_equal(jamba_model_open_shape(&m, "tiny", &o, &err), ERR_ARG);
}

/* ---- what quantising does to the bundled model's predictions on real text ---- */
/* LINES timelines of EACH tokens beside each other, the text cut in so many pieces: log-probabilities after every
 * second token, row r of line l at out + (r * LINES + l) n_vocab. Two tokens a call go the way of a prefill, which
 * gives a row the bits of any other cut; or one after the other as steps. */
enum { LINES = 8, EACH = 192, ROWS = LINES * EACH / 2 };
static void predict(float *out, struct jamba_model *m, const int32_t *ids, bool steps) {
    const size_t V = jamba_model_config(m)->n_vocab;
    struct jamba_batch_item items[LINES];
    memset(items, 0, sizeof items);
    for (int l = 0; l < LINES; l++) OK(jamba_session_open(&items[l].session, m, EACH, &err));
    for (int i = 0; i < EACH; i += 2) {
        for (int k = 0; k < (steps ? 2 : 1); k++) {
            for (int l = 0; l < LINES; l++) {
                items[l].tokens = ids + l * EACH + i + k;
                items[l].n_tokens = steps ? 1 : 2;
                items[l].want = steps && k == 0 ? JAMBA_WANT_NOTHING : JAMBA_WANT_LOGITS;
                items[l].out = out + (size_t)(i / 2 * LINES + l) * V;
            }
            OK(jamba_batch_run(m, items, LINES, NULL, &err));
        }
    }
    for (size_t r = 0; r < ROWS; r++) {
        float *row = out + r * V, top = -INFINITY;
        double sum = 0;
        for (size_t v = 0; v < V; v++) top = fmaxf(top, row[v]);
        for (size_t v = 0; v < V; v++) sum += exp((double)row[v] - (double)top);
        for (size_t v = 0; v < V; v++) row[v] -= top + (float)log(sum);
    }
    for (int l = 0; l < LINES; l++) jamba_session_close(items[l].session);
}
/* Mean negative log-probability of the text's tokens. */
static double surprise(const float *p, size_t V, const int32_t *ids) {
    double sum = 0;
    int n = 0;
    for (int i = 0; i + 2 < EACH; i += 2)
        for (int l = 0; l < LINES; l++, n++)
            sum -= (double)p[(size_t)(i / 2 * LINES + l) * V + (size_t)ids[l * EACH + i + 2]];
    return sum / n;
}
static size_t likeliest(const float *p, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (p[i] > p[best]) best = i;
    return best;
}
static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static void test_quantised_predictions_stay_near_the_reference(void **state) {
    (void)state;
    if (!device()) return;
    static const struct {
        const char *quantize;
        double kl_limit;     /* mean; twice what was measured (tests/bench/RESULTS.md) */
        double least_agreed; /* of the likeliest tokens */
    } forms[] = {{"none", 6e-4, 0.975}, {"int8", 3e-3, 0.96}, {"fp8", 4e-2, 0.90}};
    static const char *const texts[] = {"tests/data/samples/github-acceptable-use.md",
                                        "tests/data/samples/github-dmca.md"};
    struct jamba_model *cpu;
    struct jamba_model_options o = {.device = "cpu", .path = "scalar"};
    OK(jamba_model_open(&cpu, MODEL, &o, &err));
    const size_t V = jamba_model_config(cpu)->n_vocab;
    size_t n;
    int32_t *ids = text_tokens(cpu, texts, sizeof texts / sizeof texts[0], &n);
    assert_true(n >= LINES * EACH);
    float *want = malloc(ROWS * V * sizeof *want), *got = malloc(ROWS * V * sizeof *got);
    predict(want, cpu, ids, false);
    jamba_model_close(cpu);
    print_message("reference: mean negative log-probability of the text %.4f\n", surprise(want, V, ids));
    print_message("weights,path,positions,kl_mean,kl_median,kl_99,top1_agreed,nll\n");
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        struct jamba_model *m;
        o = (struct jamba_model_options){.device = "cuda", .quantize = forms[f].quantize, .kv_tokens = 8192};
        OK(jamba_model_open(&m, MODEL, &o, &err));
        for (int steps = 0; steps < 2; steps++) {
            double kl[ROWS], mean = 0;
            size_t agreed = 0;
            predict(got, m, ids, steps);
            for (size_t r = 0; r < ROWS; r++) {
                const float *p = want + r * V, *q = got + r * V;
                kl[r] = 0;
                for (size_t v = 0; v < V; v++) kl[r] += exp((double)p[v]) * ((double)p[v] - (double)q[v]);
                mean += kl[r] / ROWS;
                agreed += likeliest(p, V) == likeliest(q, V);
            }
            qsort(kl, ROWS, sizeof *kl, by_value);
            print_message("%s,%s,%d,%.3e,%.3e,%.3e,%.4f,%.4f\n", forms[f].quantize, steps ? "steps" : "prefill", ROWS,
                          mean, kl[ROWS / 2], kl[ROWS * 99 / 100], (double)agreed / ROWS, surprise(got, V, ids));
            if (!(mean <= forms[f].kl_limit))
                fail_msg("%s: KL %g, limit %g", forms[f].quantize, mean, forms[f].kl_limit);
            if ((double)agreed / ROWS < forms[f].least_agreed)
                fail_msg("%s: %zu of %d likeliest tokens agree", forms[f].quantize, agreed, ROWS);
        }
        jamba_model_close(m);
    }
    FREE(want, got, ids);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_become_e4m3_as_the_format_says_and_come_back),
        cmocka_unit_test(test_every_code_is_read_exactly),
        cmocka_unit_test(test_decode_product_equals_plain_loops),
        cmocka_unit_test(test_fused_operations_equal_plain_ones_bit_for_bit),
        cmocka_unit_test(test_prefill_product_equals_plain_loops_and_keeps_a_rows_bits),
        cmocka_unit_test(test_a_channel_far_out_leaves_the_others_their_digits),
        cmocka_unit_test(test_fp8_keeps_every_bit_and_its_snapshots_apart),
        cmocka_unit_test(test_quantised_predictions_stay_near_the_reference),
    };
    if (getenv("ONLY")) cmocka_set_test_filter(getenv("ONLY")); /* with wildcards */
    return cmocka_run_group_tests(tests, cuda_setup, cuda_teardown);
}
#endif
