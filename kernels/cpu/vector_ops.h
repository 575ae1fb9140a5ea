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

static void vector_to_f16(const float *x, uint16_t *y, size_t n) {
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_to_f16(y + i, v_load(x + i));
    scalar_to_f16(x + i, y + i, n - i);
}
static void vector_from_f16(const uint16_t *x, float *y, size_t n) {
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, v_from_f16(x + i));
    scalar_from_f16(x + i, y + i, n - i);
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
        float out[GROUP], *y = g->y + (row + (size_t)r) * g->ldy;
        for (int j = 0; j < N; j++) v_store(out + j * VL, acc[r][j]);
        for (size_t i = 0; i < g->n_out; i++) y[i] = g->add ? y[i] + out[i] : out[i];
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

/* A decode step streams the weights once, at the speed of memory. The processor's own prefetchers lose the second
 * stream (a group's scales), so both are asked for ahead, into the second-level cache (measured on Zen 4: 11.7 ms a
 * token of one core without, 6.5 with; into the first level, 10.5). group: bytes of a group, where the next group's
 * scales lie. */
#define PREFETCH_BYTES 8192
INLINE void prefetch_weights(const uint8_t *w, const uint8_t *scales, const size_t block, size_t group) {
    for (size_t i = 0; i < block; i += 64) _mm_prefetch((const char *)w + PREFETCH_BYTES + i, _MM_HINT_T1);
    _mm_prefetch((const char *)scales + group, _MM_HINT_T1);
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
 * times log2 e, so that a decay is one exp2. */
INLINE void scan_group(const struct kernel_scan *a, const struct kernel_mamba_item *it, size_t c, const size_t N, vf *h,
                       vf *a2) {
    size_t D = a->d_inner;
#pragma GCC unroll 16
    for (size_t n = 0; n < N; n++) {
        h[n] = v_load(it->ssm_state + n * D + c);
        a2[n] = v_load(a->a + n * D + c) * v_set(0x1.715476p+0f);
    }
    vf bias = v_load(a->dt_bias + c), skip = v_load(a->d + c);
    for (size_t t = 0; t < it->n_rows; t++) {
        size_t row = it->row + t;
        const float *b = a->b + row * a->ldbc, *cc = a->c + row * a->ldbc;
        vf raw = v_load(a->dt + row * a->lddt + c) + bias;
        vf delta = v_select_gt(raw, v_set(20), raw, v_log1p(v_exp(raw)));
        vf u = v_load(a->u + row * a->ldu + c), du = delta * u, y = v_set(0);
#pragma GCC unroll 16
        for (size_t n = 0; n < N; n++) {
            h[n] = v_fma(v_exp2(delta * a2[n]), h[n], du * v_set(b[n]));
            y = v_fma(v_set(cc[n]), h[n], y);
        }
        v_store(a->y + row * a->ldy + c, v_fma(skip, u, y) * v_silu(v_load(a->z + row * a->ldz + c)));
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

/* ---- attention ---- */
enum { PAGE_VECTORS = KERNEL_KV_PAGE / VL };

/* Scores of `nq` queries against four vectors of keys; each is one chain of fma over d. */
INLINE void scores_tile(const float *q, const float *k, float *s, size_t hd, const int nq) {
    vf acc[TILE_Q][4];
#pragma GCC unroll 4
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < 4; j++) acc[i][j] = v_set(0);
    for (size_t d = 0; d < hd; d++) {
        vf key[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) key[j] = v_load(k + d * KERNEL_KV_PAGE + j * VL);
#pragma GCC unroll 4
        for (int i = 0; i < nq; i++) {
            vf x = v_set(q[(size_t)i * hd + d]);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) acc[i][j] = v_fma(x, key[j], acc[i][j]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < 4; j++) v_store(s + i * KERNEL_KV_PAGE + j * VL, acc[i][j]);
}

/* o += p V over keys 0..n_keys-1 for `nq` queries and `nv` vectors of the head's values. */
INLINE void values_tile(const float *p, const float *v, float *o, size_t ldo, size_t hd, size_t n_keys, const int nq,
                        const int nv) {
    vf acc[TILE_Q][4];
#pragma GCC unroll 4
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < nv; j++) acc[i][j] = v_load(o + (size_t)i * ldo + j * VL);
    for (size_t key = 0; key < n_keys; key++) {
        vf value[4];
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) value[j] = v_load(v + key * hd + j * VL);
#pragma GCC unroll 4
        for (int i = 0; i < nq; i++) {
            vf x = v_set(p[i * KERNEL_KV_PAGE + (ptrdiff_t)key]);
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) acc[i][j] = v_fma(x, value[j], acc[i][j]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < nv; j++) v_store(o + (size_t)i * ldo + j * VL, acc[i][j]);
}

/* The whole tiles as functions of their own: inlined together they run out of registers and spill in the inner loop. */
static __attribute__((noinline)) void scores_whole(const float *q, const float *k, float *s, size_t hd) {
    scores_tile(q, k, s, hd, TILE_Q);
}
static __attribute__((noinline)) void values_whole(const float *p, const float *v, float *o, size_t ldo, size_t hd,
                                                   size_t n_keys) {
    values_tile(p, v, o, ldo, hd, n_keys, TILE_Q, 4);
}

INLINE void softmax_step(const struct attention_page *p, size_t i) {
    float *state = p->state + i * ATTENTION_STATE(p->head_dim), *s = p->scores + i * KERNEL_KV_PAGE;
    int seen = p->seen[i];
    bool whole = seen == KERNEL_KV_PAGE; /* all but a row's last page */
    vf score[PAGE_VECTORS], top = v_set(state[0]), sum = v_set(0);
    for (int j = 0; j < PAGE_VECTORS; j++) {
        score[j] = v_load(s + j * VL);
        if (!whole) score[j] = v_first(score[j], v_set(-INFINITY), seen - j * VL);
        top = v_max(top, score[j]);
    }
    float max = v_top(top);
    for (int j = 0; j < PAGE_VECTORS; j++) {
        score[j] = v_exp2(score[j] - v_set(max));
        if (!whole) score[j] = v_first(score[j], v_set(0), seen - j * VL);
        sum += score[j];
        v_store(s + j * VL, score[j]);
    }
    state_shrink(state, max, p->head_dim);
    state[1] += v_sum(sum);
}

INLINE void attention_tile(const struct attention_page *p, size_t i, const int nq) {
    size_t hd = p->head_dim, ldo = ATTENTION_STATE(hd);
    float *s = p->scores + i * KERNEL_KV_PAGE, *o = p->state + i * ldo + 16;
    for (int j = 0; j < PAGE_VECTORS; j += 4) {
        if (nq == TILE_Q)
            scores_whole(p->q + i * hd, p->k + j * VL, s + j * VL, hd);
        else
            scores_tile(p->q + i * hd, p->k + j * VL, s + j * VL, hd, nq);
    }
    for (int r = 0; r < nq; r++) softmax_step(p, i + (size_t)r);
    size_t n_keys = (size_t)p->seen[i + (size_t)nq - 1],
           d = 0; /* the last query sees most; the others' weights are 0 there */
    for (; d + 4 * VL <= hd; d += 4 * VL) {
        if (nq == TILE_Q)
            values_whole(s, p->v + d, o + d, ldo, hd, n_keys);
        else
            values_tile(s, p->v + d, o + d, ldo, hd, n_keys, nq, 4);
    }
    for (; d < hd; d += VL) values_tile(s, p->v + d, o + d, ldo, hd, n_keys, nq, 1);
}

static void vector_attention_page(const struct attention_page *p) {
    size_t i = 0;
    for (; i + TILE_Q <= p->n_q; i += TILE_Q) attention_tile(p, i, TILE_Q);
    for (; i < p->n_q; i++) attention_tile(p, i, 1);
}

/* Keys and values as f16: unpacked a page at a time, once for all queries of a task. */
static void f16_append(const float *k, const float *v, void *page, size_t slot, size_t hd) {
    uint16_t *half = page, *values = half + hd * KERNEL_KV_PAGE + slot * hd;
    vector_to_f16(k, values, hd); /* its own place is free until the value comes */
    for (size_t d = 0; d < hd; d++) half[d * KERNEL_KV_PAGE + slot] = values[d];
    vector_to_f16(v, values, hd);
}
static void f16_step(struct attention_page *p, const void *page, float *k, float *v) {
    const uint16_t *half = page;
    size_t n = p->head_dim * KERNEL_KV_PAGE;
    vector_from_f16(half, k, n);
    vector_from_f16(half + n, v, n);
    p->k = k;
    p->v = v;
    if (p->head_dim % 16)
        scalar_attention_page(p); /* the vectors want whole ones */
    else
        vector_attention_page(p);
}
