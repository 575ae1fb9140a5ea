/* test_kernels.c: every path of every CPU operation against the scalar one, over awkward sizes; int8 products bit for
 * bit and at the extremes; and that no operation's rows depend on how work is cut. */
#include "kernels/kernels.h"
#include "kernels/cpu/cpu.h"
#include "engine/jamba/model.h" /* tensor_row_to_f32, the reference of the block types */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const char *const fast_paths[] = {"avx2", "avx512-vnni", "amx-int8"};
enum { N_FAST = 3 };

static struct kernel_device *device(const char *path, int threads) {
    struct kernel_device *dev = NULL;
    struct error e = {0};
    int rc = kernel_device_open(&dev, path, threads, &e);
    if (rc == ERR_UNSUPPORTED) return NULL;
    assert_int_equal(rc, 0);
    return dev;
}

static uint64_t seed = 7;
static uint32_t random_u32(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
    return (uint32_t)(seed >> 32);
}
static float random_f32(float scale) {
    return ((float)(random_u32() >> 8) * 0x1p-23f - 1.0f) * scale;
}
static float *random_rows(size_t n, float scale) {
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = random_f32(scale);
    return x;
}

static void row_to_f32(int type, const void *row, float *out, uint64_t n) {
    tensor_row_to_f32((enum tensor_type)type, row, out, n);
}
static struct kernel_source source(int type, const void *data, size_t n_out, size_t n_in) {
    return (struct kernel_source){type, data, n_out, n_in, tensor_row_bytes((enum tensor_type)type, n_in), row_to_f32};
}
static const int int8_types[] = {KERNEL_Q4_0, KERNEL_Q8_0, KERNEL_Q4_1, KERNEL_Q5_0,
                                 KERNEL_Q5_1, KERNEL_Q4_K, KERNEL_Q5_K, KERNEL_Q6_K};
enum { N_INT8_TYPES = sizeof int8_types / sizeof int8_types[0] };
/* The rows of a type: n_in values, or the next whole number of its blocks. */
static size_t row_values(int type, size_t n_in) {
    return type >= KERNEL_Q4_K && type <= KERNEL_Q6_K ? (n_in + 255) / 256 * 256 : n_in;
}
/* Random bytes with sane scales; kind 1: every value at its extreme, and the scales of scales. */
static uint8_t *random_blocks(int type, size_t n_out, size_t n_in, int kind) {
    size_t row = (size_t)tensor_row_bytes((enum tensor_type)type, n_in),
           block = (size_t)tensor_row_bytes((enum tensor_type)type, row_values(type, 1) == 256 ? 256 : 32);
    if (type == KERNEL_F32) block = 4;
    uint8_t *data = malloc(row * n_out);
    for (size_t i = 0; i < row * n_out; i++) data[i] = (uint8_t)random_u32();
    for (size_t i = 0; i < row * n_out; i += block) {
        if (block == 4) {
            float v = random_f32(1);
            memcpy(data + i, &v, 4);
            continue;
        }
        bool sums = type == KERNEL_Q8_0 || type == KERNEL_Q6_K; /* values with a sign, scales with a sign */
        if (kind == 1) memset(data + i, random_u32() & 1 ? 0xff : 0x00, block);
        if (kind == 1 && sums)
            memset(data + i + (type == KERNEL_Q8_0 ? 2 : 192), random_u32() & 1 ? 0x80 : 0x7f,
                   type == KERNEL_Q8_0 ? 32 : 16);
        uint16_t d = f32_to_f16(random_f32(0.05f)), m = f32_to_f16(random_f32(0.4f));
        memcpy(data + i + (type == KERNEL_Q6_K ? 208 : 0), &d, 2);
        if (type == KERNEL_Q4_1 || type == KERNEL_Q5_1 || type == KERNEL_Q4_K || type == KERNEL_Q5_K)
            memcpy(data + i + 2, &m, 2);
    }
    return data;
}

static void multiply(struct kernel_device *dev, const struct kernel_source *s, const float *x, size_t n_rows, float *y,
                     bool add) {
    struct kernel_matrix m;
    struct kernel_rows rows;
    struct error e = {0};
    assert_int_equal(kernel_matrix_open(&m, dev, s, &e), 0);
    assert_int_equal(kernel_rows_open(&rows, n_rows, s->n_in, &e), 0);
    kernel_rows_prepare(dev, &rows, x, s->n_in, n_rows, s->n_in, m.int8);
    kernel_linear(dev, &rows, &(struct kernel_output){.w = &m, .y = y, .ldy = s->n_out, .add = add}, 1);
    kernel_rows_close(&rows);
    kernel_matrix_close(&m);
}

static const struct {
    size_t n_rows, n_out, n_in;
} sizes[] = {{1, 16, 32},    {2, 1, 64},    {3, 17, 96},  {7, 31, 576}, {8, 32, 1152},  {9, 100, 320},
             {17, 48, 1536}, {131, 20, 64}, {22, 16, 32}, {64, 33, 96}, {150, 18, 3136}}; /* more blocks than an AMX
                                                                                             path unpacks at a time */
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static void test_int8_products_equal_the_scalar_twin_bit_for_bit(void **state) {
    (void)state;
    struct kernel_device *twin = device("scalar-int8", 1);
    for (size_t p = 0; p < N_FAST; p++) {
        struct kernel_device *dev = device(fast_paths[p], 2);
        if (!dev) continue;
        for (size_t i = 0; i < N_SIZES; i++)
            for (int kind = 0; kind < 2; kind++)
                for (size_t t = 0; t < N_INT8_TYPES; t++) {
                    int type = int8_types[t];
                    size_t n_rows = sizes[i].n_rows, n_out = sizes[i].n_out, n_in = row_values(type, sizes[i].n_in);
                    uint8_t *w = random_blocks(type, n_out, n_in, kind);
                    float *x = random_rows(n_rows * n_in, 3), *want = random_rows(n_rows * n_out, 1),
                          *have = malloc(n_rows * n_out * 4);
                    if (kind == 1) /* the largest products: every activation at +-absmax */
                        for (size_t k = 0; k < n_rows * n_in; k++) x[k] = x[k] > 0 ? 5.0f : -5.0f;
                    if (kind == 1)
                        for (size_t k = 0; k < n_in; k++) x[k] = 5.0f; /* one row where all products have one sign */
                    memcpy(have, want, n_rows * n_out * 4);
                    struct kernel_source s = source(type, w, n_out, n_in);
                    multiply(twin, &s, x, n_rows, want, true);
                    multiply(dev, &s, x, n_rows, have, true);
                    if (memcmp(want, have, n_rows * n_out * 4) != 0)
                        fail_msg("type %d on %s: %zu rows, %zu x %zu, kind %d", type, fast_paths[p], n_rows, n_out,
                                 n_in, kind);
                    free(w), free(x), free(want), free(have);
                }
        kernel_device_close(dev);
    }
    kernel_device_close(twin);
}

/* A thread's tiles are configured once; that a child of fork keeps the shape (not the values) is what it relies on. */
static void test_a_forked_process_multiplies_too(void **state) {
    (void)state;
    for (size_t p = 0; p < N_FAST; p++) {
        struct kernel_device *dev = device(fast_paths[p], 1);
        if (!dev) continue;
        enum { ROWS = 20, OUT = 16, IN = 64 };
        uint8_t *w = random_blocks(KERNEL_Q8_0, OUT, IN, 0);
        float *x = random_rows(ROWS * IN, 1), want[ROWS * OUT], have[ROWS * OUT];
        struct kernel_source s = source(KERNEL_Q8_0, w, OUT, IN);
        multiply(dev, &s, x, ROWS, want, false);
        pid_t child = fork();
        if (child == 0) {
            multiply(dev, &s, x, ROWS, have, false);
            _exit(memcmp(want, have, sizeof want) != 0);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        free(w), free(x);
        kernel_device_close(dev);
    }
}

static void test_int8_products_lie_near_the_exact_ones(void **state) {
    (void)state;
    struct kernel_device *exact = device("scalar", 1), *dev = device("auto", 2);
    size_t n_rows = 9, n_out = 40;
    for (size_t t = 0; t < N_INT8_TYPES; t++) {
        int type = int8_types[t];
        size_t n_in = row_values(type, 576);
        uint8_t *w = random_blocks(type, n_out, n_in, 0);
        float *x = random_rows(n_rows * n_in, 1), want[9 * 40], have[9 * 40];
        x[5] = 3000; /* a massive activation spoils its own block of 32 only */
        struct kernel_source s = source(type, w, n_out, n_in);
        multiply(exact, &s, x, n_rows, want, false);
        multiply(dev, &s, x, n_rows, have, false);
        for (size_t r = 0; r < n_rows; r++) {
            double diff = 0, norm = 0;
            for (size_t i = 0; i < n_out; i++) {
                diff += pow((double)want[r * n_out + i] - (double)have[r * n_out + i], 2);
                norm += pow((double)want[r * n_out + i], 2);
            }
            assert_true(sqrt(diff / norm) < 0.01);
        }
        free(w), free(x);
    }
    kernel_device_close(exact);
    kernel_device_close(dev);
}

static void test_f32_and_foreign_block_types_multiply(void **state) {
    (void)state;
    const int types[] = {KERNEL_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q4_K, TENSOR_Q6_K, TENSOR_Q5_0};
    /* blocks by the exact path only: the others round the activations */
    const char *paths[] = {"scalar", "avx2", "avx512-vnni", "avx512-bf16", "amx-int8"};
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
        struct kernel_device *dev = device(paths[p], 2);
        if (!dev) continue;
        for (size_t t = 0; t < (p == 0 ? 6 : 3); t++) {
            size_t n_rows = 6, n_out = 21, n_in = types[t] == KERNEL_F32 ? 40 : 512,
                   row = (size_t)tensor_row_bytes((enum tensor_type)types[t], n_in);
            uint8_t *w = calloc(n_out, row);
            for (size_t i = 0; i < n_out * row; i++)
                w[i] = (uint8_t)(random_u32() % 48); /* small numbers: no infinite scales */
            if (types[t] == KERNEL_F32)
                for (size_t i = 0; i < n_out * n_in; i++) ((float *)(void *)w)[i] = random_f32(1);
            float *x = random_rows(n_rows * n_in, 1), have[6 * 21], wrow[512];
            struct kernel_source s = source(types[t], w, n_out, n_in);
            multiply(dev, &s, x, n_rows, have, false);
            for (size_t r = 0; r < n_rows; r++)
                for (size_t o = 0; o < n_out; o++) {
                    double want = 0, size = 0;
                    tensor_row_to_f32((enum tensor_type)types[t], w + o * row, wrow, n_in);
                    for (size_t k = 0; k < n_in; k++)
                        want += (double)wrow[k] * (double)x[r * n_in + k],
                            size += fabs((double)wrow[k] * (double)x[r * n_in + k]);
                    assert_true(fabs(want - (double)have[r * n_out + o]) <= 1e-5 * size + 1e-30);
                }
            free(w), free(x);
        }
        kernel_device_close(dev);
    }
}

static void test_picked_outputs_and_parts_equal_the_whole(void **state) {
    (void)state;
    const char *paths[] = {"scalar", "avx2", "avx512-vnni", "avx512-bf16", "amx-int8"};
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
        struct kernel_device *dev = device(paths[p], 2);
        if (!dev) continue;
        struct error e = {0};
        int type = int8_types[(2 * p + 1) % N_INT8_TYPES]; /* Q8_0, Q5_0, Q4_K, Q6_K, Q8_0 */
        size_t n_rows = 11, n_out = 150, n_in = row_values(type, 96);
        uint8_t *w = random_blocks(type, n_out, n_in, 0);
        float *x = random_rows(n_rows * n_in, 1), *whole = malloc(n_rows * n_out * 4), part[11 * 38], picked[5];
        struct kernel_source s = source(type, w, n_out, n_in);
        struct kernel_matrix m;
        struct kernel_rows rows;
        assert_int_equal(kernel_matrix_open(&m, dev, &s, &e), 0);
        assert_int_equal(kernel_rows_open(&rows, n_rows, n_in, &e), 0);
        kernel_rows_prepare(dev, &rows, x, n_in, n_rows, n_in, m.int8);
        kernel_linear(dev, &rows, &(struct kernel_output){.w = &m, .y = whole, .ldy = n_out}, 1);
        kernel_linear(dev, &rows, &(struct kernel_output){.w = &m, .y = part, .ldy = 38, .first = 112, .count = 38}, 1);
        for (size_t r = 0; r < n_rows; r++) assert_memory_equal(part + r * 38, whole + r * n_out + 112, 38 * 4);
        const int32_t ids[5] = {0, 3, 17, 31, 149};
        for (size_t r = 0; r < n_rows; r++) {
            kernel_linear_picked(dev, &rows, r, &m, ids, 5, picked);
            for (size_t i = 0; i < 5; i++) assert_memory_equal(&picked[i], &whole[r * n_out + (size_t)ids[i]], 4);
        }
        kernel_rows_close(&rows);
        kernel_matrix_close(&m);
        kernel_device_close(dev);
        free(w), free(x), free(whole);
    }
}

static void test_norm_and_swiglu_near_scalar(void **state) {
    (void)state;
    const size_t ns[] = {16, 24, 32, 160, 576, 577};
    for (size_t p = 0; p < N_FAST; p++) {
        struct kernel_device *dev = device(fast_paths[p], 2);
        if (!dev) continue;
        for (size_t i = 0; i < 6; i++) {
            size_t n = ns[i], rows = 19;
            float *x = random_rows(rows * n, 2), *w = random_rows(rows * n, 1), *a = malloc(rows * n * 4),
                  *b = malloc(rows * n * 4);
            x[3] = 3000, x[n - 1] = -95, x[n - 2] = 95;
            for (size_t r = 0; r < rows; r++) scalar_rms_norm(x + r * n, w, a + r * n, n, 1e-5f);
            kernel_rms_norm(dev, x, n, w, b, n, rows, n, 1e-5f);
            for (size_t k = 0; k < rows * n; k++) assert_true(fabsf(a[k] - b[k]) <= 2e-6f * fabsf(a[k]) + 1e-9f);
            scalar_swiglu(x, w, a, rows * n);
            kernel_swiglu(dev, x, w, n, b, n, rows, n);
            for (size_t k = 0; k < rows * n; k++) assert_true(fabsf(a[k] - b[k]) <= 2e-6f * fabsf(a[k]) + 1e-30f);
            free(x), free(w), free(a), free(b);
        }
        kernel_device_close(dev);
    }
}

/* ---- mamba ---- */
struct mamba_case {
    size_t T, D, N, K;
    float *conv_w, *bias, *x, *a, *d, *dt_bias, *dt, *b, *c, *z;
};
static struct mamba_case mamba_case(size_t T, size_t D, size_t N, size_t K) {
    struct mamba_case m = {.T = T, .D = D, .N = N, .K = K};
    m.conv_w = random_rows(K * D, 1), m.bias = random_rows(D, 1), m.x = random_rows(T * D, 2);
    m.a = random_rows(N * D, 1), m.d = random_rows(D, 1), m.dt_bias = random_rows(D, 3);
    m.dt = random_rows(T * D, 4), m.b = random_rows(T * N, 1), m.c = random_rows(T * N, 1), m.z = random_rows(T * D, 3);
    for (size_t i = 0; i < N * D; i++) m.a[i] = -expf(3 * m.a[i]);
    m.dt[0] = 30, m.dt[D - 1] = -40; /* both ends of softplus */
    return m;
}
static void mamba_free(struct mamba_case *m) {
    free(m->conv_w), free(m->bias), free(m->x), free(m->a), free(m->d), free(m->dt_bias), free(m->dt), free(m->b),
        free(m->c), free(m->z);
}
/* Convolution and scan over rows [t0, t1) going on from the states. */
static void mamba_run(struct kernel_device *dev, const struct mamba_case *m, size_t t0, size_t t1, float *conv_state,
                      float *ssm_state, float *u, float *y) {
    size_t D = m->D;
    struct kernel_mamba_item it = {t0, t1 - t0, conv_state, ssm_state};
    struct kernel_conv1d conv = {D, m->K, m->conv_w, m->bias, m->x, D, u, D};
    kernel_conv1d_silu(dev, &conv, &it, 1);
    struct kernel_scan scan = {.d_inner = D,
                               .d_state = m->N,
                               .a = m->a,
                               .d = m->d,
                               .dt_bias = m->dt_bias,
                               .u = u,
                               .ldu = D,
                               .dt = m->dt,
                               .lddt = D,
                               .b = m->b,
                               .c = m->c,
                               .ldbc = m->N,
                               .z = m->z,
                               .ldz = D,
                               .y = y,
                               .ldy = D};
    kernel_selective_scan(dev, &scan, &it, 1);
}

static void test_mamba_near_scalar_and_independent_of_cuts(void **state) {
    (void)state;
    const size_t shapes[][4] = {{37, 64, 16, 4}, {9, 40, 16, 4}, {12, 136, 8, 3}, {5, 19, 4, 4}};
    struct kernel_device *scalar = device("scalar", 1);
    for (size_t p = 0; p < N_FAST; p++) {
        struct kernel_device *dev = device(fast_paths[p], 2);
        if (!dev) continue;
        for (size_t i = 0; i < 4; i++) {
            struct mamba_case m = mamba_case(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3]);
            size_t T = m.T, D = m.D, n_conv = (m.K - 1) * D, n_ssm = m.N * D;
            float *conv[3], *ssm[3], *u[3], *y[3], *start_conv = random_rows(n_conv, 1),
                                                   *start_ssm = random_rows(n_ssm, 1);
            for (int j = 0; j < 3; j++) {
                conv[j] = malloc(n_conv * 4), ssm[j] = malloc(n_ssm * 4), u[j] = malloc(T * D * 4),
                y[j] = malloc(T * D * 4);
                memcpy(conv[j], start_conv, n_conv * 4);
                memcpy(ssm[j], start_ssm, n_ssm * 4);
            }
            mamba_run(scalar, &m, 0, T, conv[0], ssm[0], u[0], y[0]);
            mamba_run(dev, &m, 0, T, conv[1], ssm[1], u[1], y[1]);
            for (size_t t = 0; t < T;) { /* pieces of 1, 2, 3... rows */
                size_t piece = t % 4 + 1, end = t + piece < T ? t + piece : T;
                mamba_run(dev, &m, t, end, conv[2], ssm[2], u[2], y[2]);
                t = end;
            }
            assert_memory_equal(conv[0], conv[1], n_conv * 4);
            assert_memory_equal(conv[1], conv[2], n_conv * 4);
            assert_memory_equal(ssm[1], ssm[2], n_ssm * 4);
            assert_memory_equal(y[1], y[2], T * D * 4);
            for (size_t k = 0; k < n_ssm; k++)
                assert_true(fabsf(ssm[0][k] - ssm[1][k]) <= 2e-5f * (fabsf(ssm[0][k]) + 0.1f));
            for (size_t k = 0; k < T * D; k++) assert_true(fabsf(y[0][k] - y[1][k]) <= 5e-5f * (fabsf(y[0][k]) + 1));
            for (int j = 0; j < 3; j++) free(conv[j]), free(ssm[j]), free(u[j]), free(y[j]);
            free(start_conv), free(start_ssm);
            mamba_free(&m);
        }
        kernel_device_close(dev);
    }
    kernel_device_close(scalar);
}

/* A state that nothing decays must not drift: exp(0) is exactly 1. */
static void test_a_scan_without_decay_keeps_its_state(void **state) {
    (void)state;
    for (size_t p = 0; p < N_FAST; p++) {
        struct kernel_device *dev = device(fast_paths[p], 1);
        if (!dev) continue;
        struct mamba_case m = mamba_case(500, 16, 16, 4);
        for (size_t i = 0; i < 16 * 16; i++) m.a[i] = 0;
        for (size_t i = 0; i < 500 * 16; i++) m.b[i] = 0;
        float conv[3 * 16] = {0}, ssm[16 * 16], before[16 * 16], *u = malloc(500 * 16 * 4), *y = malloc(500 * 16 * 4);
        for (size_t i = 0; i < 16 * 16; i++) ssm[i] = before[i] = random_f32(1);
        mamba_run(dev, &m, 0, 500, conv, ssm, u, y);
        assert_memory_equal(ssm, before, sizeof ssm);
        free(u), free(y);
        mamba_free(&m);
        kernel_device_close(dev);
    }
}

/* ---- attention ---- */
static void attend(struct kernel_device *dev, struct kernel_attention *a, void *const *page, size_t position,
                   size_t n_rows, size_t row) {
    struct kernel_attention_item it = {row, n_rows, position, page};
    kernel_kv_append(dev, a, &it, 1);
    kernel_attention(dev, a, &it, 1);
}

static void test_attention_near_exact_and_independent_of_cuts(void **state) {
    (void)state;
    const char *paths[] = {"scalar", "avx2", "avx512-vnni", "avx512-bf16", "amx-int8"};
    const size_t shapes[][3] = {
        {3, 1, 64}, {4, 2, 32}, {2, 2, 24}, {5, 1, 80}, {6, 2, 128}}; /* n_head, n_kv_head, head_dim */
    enum { T = 1300 };                                                /* across a segment's edge */
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
        struct kernel_device *dev = device(paths[p], 2);
        if (!dev) continue;
        for (size_t i = 0; i < 5; i++) {
            if (p == 0 && i) continue; /* slow */
            size_t A = shapes[i][0], KV = shapes[i][1], hd = shapes[i][2], q_ld = A * hd, kv_ld = KV * hd;
            struct error e = {0};
            assert_int_equal(kernel_attention_reserve(dev, A, hd, 4, T, &e), 0);
            float *q = random_rows(T * q_ld, 2), *k = random_rows(T * kv_ld, 2), *v = random_rows(T * kv_ld, 1);
            float *whole = malloc(T * q_ld * 4), *cut = malloc(T * q_ld * 4);
            size_t bytes = kernel_kv_page_bytes(dev, KV, hd), offset = 128;
            void *page[T / KERNEL_KV_PAGE + 1], *again[T / KERNEL_KV_PAGE + 1];
            for (size_t j = 0; j <= T / KERNEL_KV_PAGE; j++)
                page[j] = kernel_alloc(bytes + offset), again[j] = kernel_alloc(bytes + offset);
            struct kernel_attention a = {.n_head = A,
                                         .n_kv_head = KV,
                                         .head_dim = hd,
                                         .scale = 1 / sqrtf((float)hd),
                                         .page_offset = offset,
                                         .q = q,
                                         .k = k,
                                         .v = v,
                                         .ldq = q_ld,
                                         .ldk = kv_ld,
                                         .ldv = kv_ld,
                                         .out = whole,
                                         .ldout = q_ld};
            attend(dev, &a, page, 0, T, 0);
            a.out = cut;
            size_t t = 0, piece = 200;
            while (t < T) { /* long pieces, then single steps across position 1024, then pieces again */
                if (t + piece > 1000 && t < 1030)
                    piece = 1;
                else if (t >= 1030)
                    piece = 61;
                size_t n = t + piece < T ? piece : T - t;
                attend(dev, &a, again, t, n, t);
                t += n;
            }
            assert_memory_equal(whole, cut, T * q_ld * 4);
            /* the last rows against plain f64 attention */
            for (size_t row = T - 3; row < T; row++)
                for (size_t h = 0; h < A; h++) {
                    double max = -INFINITY, sum = 0, s[T], out[128] = {0};
                    size_t kh = h / (A / KV);
                    for (size_t j = 0; j <= row; j++) {
                        s[j] = 0;
                        for (size_t d = 0; d < hd; d++)
                            s[j] += (double)q[row * q_ld + h * hd + d] * (double)k[j * kv_ld + kh * hd + d];
                        s[j] /= sqrt((double)hd);
                        if (s[j] > max) max = s[j];
                    }
                    for (size_t j = 0; j <= row; j++) {
                        double w = exp(s[j] - max);
                        sum += w;
                        for (size_t d = 0; d < hd; d++) out[d] += w * (double)v[j * kv_ld + kh * hd + d];
                    }
                    for (size_t d = 0; d < hd; d++) /* 16-bit keys and values on the fast paths */
                        assert_true(fabs(out[d] / sum - (double)whole[row * q_ld + h * hd + d]) <= (p >= 3 ? 2e-2
                                                                                                    : p    ? 2e-3
                                                                                                           : 1e-5));
                }
            for (size_t j = 0; j <= T / KERNEL_KV_PAGE; j++) kernel_free(page[j]), kernel_free(again[j]);
            free(q), free(k), free(v), free(whole), free(cut);
        }
        kernel_device_close(dev);
    }
}

/* ---- moe, sampling, f16, pool ---- */
static void test_router_takes_the_largest_with_their_own_weights(void **state) {
    (void)state;
    const float logits[2][4] = {{1, 3, 2, 0}, {5, 7, 7, 7}};
    int32_t expert[4];
    float weight[4];
    kernel_router_top_k(&logits[0][0], 4, 2, 4, 2, expert, weight);
    double sum = exp(1) + exp(3) + exp(2) + exp(0);
    assert_int_equal(expert[0], 1);
    assert_int_equal(expert[1], 2);
    assert_true(fabs((double)weight[0] - exp(3) / sum) < 1e-6); /* not renormalised over the two */
    assert_true(fabs((double)weight[1] - exp(2) / sum) < 1e-6);
    assert_int_equal(expert[2], 1); /* ties: the lower index */
    assert_int_equal(expert[3], 2);
}

static void test_log_sum_exp_in_pieces(void **state) {
    (void)state;
    const char *paths[] = {"scalar", "avx2", "avx512-vnni", "avx512-bf16", "amx-int8"};
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
        struct kernel_device *dev = device(paths[p], 2);
        if (!dev) continue;
        enum { N = 4096 };
        float *x = random_rows(N, 20), max = -INFINITY;
        double sum = 0, want = 0;
        for (size_t i = 0; i < N; i++) want += exp((double)x[i]);
        for (size_t i = 0; i < N; i += 1024) kernel_log_sum_exp(dev, x + i, N, 1, 1024, &max, &sum);
        assert_true(fabs((double)max + log(sum) - log(want)) < 1e-5);
        free(x);
        kernel_device_close(dev);
    }
}

/* Against the compiler's own conversions. */
static void test_f16_conversions_agree(void **state) {
    (void)state;
    __extension__ typedef _Float16 half;
    for (uint32_t h = 0; h < 65536; h++) {
        uint16_t bits = (uint16_t)h;
        half theirs;
        memcpy(&theirs, &bits, 2);
        float f = f16_to_f32(bits);
        assert_true(f == (float)theirs || (isnan(f) && isnan((float)theirs)));
        if ((h & 0x7c00) == 0x7c00) continue;
        float next = f16_to_f32((uint16_t)(h + 1));
        for (int j = 0; j < 5; j++) { /* on, between and halfway between two; the largest goes to infinity */
            float between = isinf(next) ? f * (1 + 0.0002f * (float)j) : f + (next - f) * (0.25f * (float)j);
            theirs = (half)between;
            memcpy(&bits, &theirs, 2);
            assert_int_equal(f32_to_f16(between), bits);
        }
    }
}

static void count_task(void *ctx, size_t task, int thread) {
    (void)thread;
    ((uint32_t *)ctx)[task]++;
}
static void test_pool_runs_every_task_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        struct pool *p;
        struct error e = {0};
        assert_int_equal(pool_open(&p, threads, &e), 0);
        uint32_t done[100] = {0};
        for (uint32_t round = 0; round < 300; round++) pool_run(p, round % 101, count_task, done);
        for (size_t i = 0; i < 100; i++) {
            uint32_t want = 0;
            for (uint32_t round = 0; round < 300; round++) want += i < round % 101;
            assert_int_equal(done[i], want);
        }
        pool_close(p);
    }
}

static void test_unknown_paths_are_refused(void **state) {
    (void)state;
    struct kernel_device *dev;
    struct error e = {0};
    assert_int_equal(kernel_device_open(&dev, "sse9", 1, &e), ERR_UNSUPPORTED);
    assert_null(dev);
    assert_non_null(strstr(e.message, "scalar"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int8_products_equal_the_scalar_twin_bit_for_bit),
        cmocka_unit_test(test_a_forked_process_multiplies_too),
        cmocka_unit_test(test_int8_products_lie_near_the_exact_ones),
        cmocka_unit_test(test_f32_and_foreign_block_types_multiply),
        cmocka_unit_test(test_picked_outputs_and_parts_equal_the_whole),
        cmocka_unit_test(test_norm_and_swiglu_near_scalar),
        cmocka_unit_test(test_mamba_near_scalar_and_independent_of_cuts),
        cmocka_unit_test(test_a_scan_without_decay_keeps_its_state),
        cmocka_unit_test(test_attention_near_exact_and_independent_of_cuts),
        cmocka_unit_test(test_router_takes_the_largest_with_their_own_weights),
        cmocka_unit_test(test_log_sum_exp_in_pieces),
        cmocka_unit_test(test_f16_conversions_agree),
        cmocka_unit_test(test_pool_runs_every_task_once),
        cmocka_unit_test(test_unknown_paths_are_refused),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* tests/mutants.sh runs single ones */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
