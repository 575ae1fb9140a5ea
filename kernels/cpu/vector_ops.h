/* vector_ops.h: the f32 operations written once over a vector type and compiled once a path (ops_avx2.c, ops_avx512.c
 * include it behind vector_<path>.h). Sums run in lanes and are folded in one order, so a path's results do not depend
 * on how work was cut. Shapes that are no whole number of vectors go to the scalar functions. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector_math.h"

#include <math.h>
#include <string.h>

/* ---- norm and element-wise ---- */
static void vector_rms_norm(const float *x, const float *weight, float *y, size_t n, float eps) {
    if (n % VL) {
        scalar_rms_norm(x, weight, y, n, eps);
        return;
    }
    vf sum = v_set(0);
    for (size_t i = 0; i < n; i += VL) {
        vf v = v_load(x + i);
        sum = v_fma(v, v, sum);
    }
    vf scale = v_set(1.0f / sqrtf(v_sum(sum) / (float)n + eps));
    for (size_t i = 0; i < n; i += VL) v_store(y + i, v_load(x + i) * scale * v_load(weight + i));
}

static void vector_swiglu(const float *gate, const float *up, float *y, size_t n) {
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, v_silu(v_load(gate + i)) * v_load(up + i));
    scalar_swiglu(gate + i, up + i, y + i, n - i);
}

static void vector_log_sum_exp(const float *x, size_t n, float *max, double *sum) {
    if (n % VL) {
        scalar_log_sum_exp(x, n, max, sum);
        return;
    }
    vf top = v_set(*max);
    for (size_t i = 0; i < n; i += VL) top = v_max(top, v_load(x + i));
    float m = v_top(top);
    vf part = v_set(0);
    for (size_t i = 0; i < n; i += VL) part += v_exp(v_load(x + i) - v_set(m));
    *sum = (*max == m ? *sum : *sum * exp((double)*max - (double)m)) + (double)v_sum(part);
    *max = m;
}

/* ---- linear, f32 activations: weights f32, f16 or bf16, widened as they are read ---- */
INLINE vf load_weights(const uint8_t *w, size_t i, const int type) {
    if (type == KERNEL_F16) return v_from_f16((const uint16_t *)(const void *)w + i);
    if (type == KERNEL_BF16) return v_from_bf16((const uint16_t *)(const void *)w + i);
    return v_load((const float *)(const void *)w + i);
}
INLINE void gemm_f32_rows(const struct gemm *g, size_t row, const int rows, const int type) {
    enum { N = GROUP / VL };
    const float *x = g->x + row * g->ldx;
    vf acc[8][N];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < N; j++) acc[r][j] = v_set(0);
    for (size_t k = 0; k < g->n_in; k++) {
        vf v[N];
        if (rows == 1 && k % 4 == 0)
            _mm_prefetch((const char *)g->w + k * GROUP * (type == KERNEL_F32 ? 4 : 2) + 8192, _MM_HINT_T1);
        for (int j = 0; j < N; j++) v[j] = load_weights(g->w, k * GROUP + (size_t)j * VL, type);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < N; j++) acc[r][j] = v_fma(v_set(x[(size_t)r * g->ldx + k]), v[j], acc[r][j]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        float *y = g->y + (row + (size_t)r) * g->ldy;
        for (size_t j = 0; j < N && j * VL < g->n_out; j++) {
            size_t left = g->n_out - j * VL;
            v_store_first(y + j * VL, acc[r][j], left < VL ? left : VL, g->add);
        }
    }
}
INLINE void gemm_f32_type(const struct gemm *g, const int type) {
    size_t row = 0;
    for (; row + 4 <= g->n_rows; row += 4) gemm_f32_rows(g, row, 4, type);
    for (; row < g->n_rows; row++) gemm_f32_rows(g, row, 1, type);
}
static void vector_gemm_f32(const struct gemm *g) {
    gemm_f32_type(g, KERNEL_F32);
}
static void vector_gemm_f16(const struct gemm *g) {
    gemm_f32_type(g, KERNEL_F16);
}
static void vector_gemm_bf16(const struct gemm *g) {
    gemm_f32_type(g, KERNEL_BF16);
}

/* ---- mamba ---- */
INLINE void conv1d_group(const struct kernel_conv1d *a, const struct kernel_mamba_item *it, size_t c, const size_t K) {
    vf bias = v_load(a->bias + c), w[16], x[16];
#pragma GCC unroll 16
    for (size_t j = 0; j < K; j++) w[j] = v_load(a->weight + j * a->d_inner + c);
#pragma GCC unroll 16
    for (size_t j = 0; j + 1 < K; j++) x[j] = v_load(it->conv_state + j * a->d_inner + c);
    for (size_t t = 0; t < it->n_rows; t++) {
        x[K - 1] = v_load(a->x + (it->row + t) * a->ldx + c);
        vf sum = bias;
#pragma GCC unroll 16
        for (size_t j = 0; j < K; j++) sum = v_fma(w[j], x[j], sum);
        v_store(a->y + (it->row + t) * a->ldy + c, v_silu(sum));
#pragma GCC unroll 16
        for (size_t j = 0; j + 1 < K; j++) x[j] = x[j + 1];
    }
}
static void vector_conv1d(const struct kernel_conv1d *a, const struct kernel_mamba_item *it, size_t c0, size_t c1) {
    size_t c = c0;
    for (; c + VL <= c1 && a->d_conv == 4; c += VL) conv1d_group(a, it, c, 4); /* every published Jamba */
    if (c < c1) scalar_conv1d(a, it, c, c1);
}

/* VL channels through all rows of an item; the state stays in registers (AVX-512) or the first-level cache. A is taken
 * times log2 e, so that a decay is one exp2. What does not hang on the state is computed for some rows ahead: in one
 * loop with the recurrence the latencies of softplus, decay and output would follow one another row by row. */
#define SCAN_AHEAD ((size_t)16)
INLINE void scan_group(const struct kernel_scan *a, const struct kernel_mamba_item *it, size_t c, const size_t N, vf *h,
                       vf *a2) {
    size_t D = a->d_inner;
#pragma GCC unroll 16
    for (size_t n = 0; n < N; n++) {
        h[n] = v_load(it->ssm_state + n * D + c);
        a2[n] = v_load(a->a + n * D + c) * v_set(0x1.715476p+0f);
    }
    vf bias = v_load(a->dt_bias + c), skip = v_load(a->d + c), step[SCAN_AHEAD], gate[SCAN_AHEAD];
    for (size_t t0 = 0; t0 < it->n_rows; t0 += SCAN_AHEAD) {
        size_t first = it->row + t0, rows = it->n_rows - t0 < SCAN_AHEAD ? it->n_rows - t0 : SCAN_AHEAD;
        for (size_t t = 0; t < rows; t++) {
            vf raw = v_load(a->dt + (first + t) * a->lddt + c) + bias;
            step[t] = v_select_gt(raw, v_set(20), raw, v_log1p(v_exp(raw)));
            gate[t] = v_silu(v_load(a->z + (first + t) * a->ldz + c));
        }
        for (size_t t = 0; t < rows; t++) {
            const float *b = a->b + (first + t) * a->ldbc, *cc = a->c + (first + t) * a->ldbc;
            vf delta = step[t], u = v_load(a->u + (first + t) * a->ldu + c), du = delta * u, y = v_set(0);
#pragma GCC unroll 16
            for (size_t n = 0; n < N; n++) {
                h[n] = v_fma(v_exp2(delta * a2[n]), h[n], du * v_set(b[n]));
                y = v_fma(v_set(cc[n]), h[n], y);
            }
            v_store(a->y + (first + t) * a->ldy + c, v_fma(skip, u, y) * gate[t]);
        }
    }
#pragma GCC unroll 16
    for (size_t n = 0; n < N; n++) v_store(it->ssm_state + n * D + c, h[n]);
}
#define SCAN_MAX_STATE 256
static void vector_scan(const struct kernel_scan *a, const struct kernel_mamba_item *it, size_t c0, size_t c1) {
    size_t c = c0;
    for (; c + VL <= c1 && a->d_state <= SCAN_MAX_STATE; c += VL) {
        if (a->d_state == 16) {
            vf h[16], a2[16];
            scan_group(a, it, c, 16, h, a2);
        } else {
            vf h[SCAN_MAX_STATE], a2[SCAN_MAX_STATE];
            scan_group(a, it, c, a->d_state, h, a2);
        }
    }
    if (c < c1) scalar_scan(a, it, c, c1);
}
