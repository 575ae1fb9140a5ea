/* ops_avx512.c: the path for AVX-512 with VNNI. vpdpbusd multiplies unsigned weights by signed activations and sums in
 * int32: nibbles are 0..15 as they are, Q8_0 weights are moved up by 128, and the start value takes the offset out
 * again (kernel_rows.s). It cannot saturate. */
#include "kernels/cpu/quants.h"
#include "kernels/cpu/vector_avx512.h"
#include "kernels/cpu/vector_ops.h"

static void avx512_quantize(const float *x, size_t n, int8_t *q, float *d, int32_t *s) {
    for (size_t b = 0; b < n / BLOCK; b++) {
        vf lo = v_load(x + b * BLOCK), hi = v_load(x + b * BLOCK + 16);
        float max = v_top(v_max(_mm512_abs_ps(lo), _mm512_abs_ps(hi)));
        vf inverse = v_set(max > 0 ? 127.0f / max : 0);
        __m512i a = _mm512_cvtps_epi32(lo * inverse), c = _mm512_cvtps_epi32(hi * inverse);
        int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(a, c));
        uint32_t packed[8];
        _mm_storeu_si128((__m128i *)(void *)packed, _mm512_cvtepi32_epi8(a));
        _mm_storeu_si128((__m128i *)(void *)(packed + 4), _mm512_cvtepi32_epi8(c));
        for (size_t i = 0; i < 8; i++) memcpy(q + (b * 8 + i) * (4 * PANEL), &packed[i], 4);
        d[b * PANEL] = max / 127.0f;
        s[b * PANEL] = -8 * sum;
    }
}

/* One group, `rows` rows from q on (a panel's interleaved rows). */
INLINE void q_rows(const struct gemm *g, const int8_t *q, const float *d, const int32_t *s, float *y,
                   const bool four_bits, const int rows) {
    size_t n_blocks = g->n_in / BLOCK;
    const uint8_t *w = g->w, *scales = g->w + n_blocks * (four_bits ? 256 : 512);
    __m512 acc[8];
    const __m512i low = _mm512_set1_epi8(15), offset = _mm512_set1_epi8((char)0x80);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) acc[r] = _mm512_setzero_ps();
    for (size_t b = 0; b < n_blocks; b++) {
        __m512i sum[8];
        if (rows == 1) prefetch_weights(w, scales + 32 * b, four_bits ? 256 : 512, n_blocks * (four_bits ? 288 : 544));
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            sum[r] = _mm512_set1_epi32(s[r]);
            if (!four_bits) sum[r] = _mm512_slli_epi32(sum[r], 4); /* 128 instead of 8 */
        }
        if (four_bits) {
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                __m512i both = _mm512_loadu_si512(w + 64 * v);
                __m512i first = _mm512_and_si512(both, low), second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
#pragma GCC unroll 8
                for (int r = 0; r < rows; r++) {
                    int32_t x0, x1;
                    memcpy(&x0, q + (2 * v) * (4 * PANEL) + 4 * r, 4);
                    memcpy(&x1, q + (2 * v + 1) * (4 * PANEL) + 4 * r, 4);
                    sum[r] = _mm512_dpbusd_epi32(sum[r], first, _mm512_set1_epi32(x0));
                    sum[r] = _mm512_dpbusd_epi32(sum[r], second, _mm512_set1_epi32(x1));
                }
            }
            w += 256;
        } else {
#pragma GCC unroll 8
            for (int v = 0; v < 8; v++) {
                __m512i first = _mm512_xor_si512(_mm512_loadu_si512(w + 64 * v), offset);
#pragma GCC unroll 8
                for (int r = 0; r < rows; r++) {
                    int32_t x0;
                    memcpy(&x0, q + v * (4 * PANEL) + 4 * r, 4);
                    sum[r] = _mm512_dpbusd_epi32(sum[r], first, _mm512_set1_epi32(x0));
                }
            }
            w += 512;
        }
        __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(scales + 32 * b)));
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r]), scale * _mm512_set1_ps(d[r]), acc[r]);
        q += BLOCK * PANEL;
        d += PANEL;
        s += PANEL;
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) v_store_first(y + (size_t)r * g->ldy, acc[r], g->n_out, g->add);
}

INLINE void gemm_q(const struct gemm *g, const bool four_bits) {
    size_t n_blocks = g->n_in / BLOCK, row = 0;
    const int8_t *q = g->q;
    const float *d = g->d;
    const int32_t *s = g->s;
    for (; row + PANEL <= g->n_rows; row += PANEL) {
        q_rows(g, q, d, s, g->y + row * g->ldy, four_bits, PANEL);
        q += PANEL * g->n_in, d += PANEL * n_blocks, s += PANEL * n_blocks;
    }
    float *y = g->y + row * g->ldy;
    switch (g->n_rows - row) {
    case 1:
        q_rows(g, q, d, s, y, four_bits, 1);
        break;
    case 2:
        q_rows(g, q, d, s, y, four_bits, 2);
        break;
    case 3:
        q_rows(g, q, d, s, y, four_bits, 3);
        break;
    case 4:
        q_rows(g, q, d, s, y, four_bits, 4);
        break;
    case 5:
        q_rows(g, q, d, s, y, four_bits, 5);
        break;
    case 6:
        q_rows(g, q, d, s, y, four_bits, 6);
        break;
    case 7:
        q_rows(g, q, d, s, y, four_bits, 7);
        break;
    default:
        break;
    }
}
static void avx512_gemm_q4(const struct gemm *g) {
    gemm_q(g, true);
}
static void avx512_gemm_q8(const struct gemm *g) {
    gemm_q(g, false);
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
    vf score[PAGE_VECTORS], sum = v_set(0);
    float max = page_scores(score, s, seen, state[0]);
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

const struct cpu_ops cpu_ops_avx512 = {.int8 = true,
                                       .quantize = avx512_quantize,
                                       .gemm_q4 = avx512_gemm_q4,
                                       .gemm_q8 = avx512_gemm_q8,
                                       .gemm_quants = avx512_gemm_quants,
                                       .gemm_f32 = vector_gemm_f32,
                                       .gemm_f16 = vector_gemm_f16,
                                       .gemm_bf16 = vector_gemm_bf16,
                                       .rms_norm = vector_rms_norm,
                                       .swiglu = vector_swiglu,
                                       .conv1d = vector_conv1d,
                                       .scan = vector_scan,
                                       .to_f16 = vector_to_f16,
                                       .from_f16 = vector_from_f16,
                                       .log_sum_exp = vector_log_sum_exp};
const struct kv_ops kv_ops_f16_avx512 = {.value_bytes = 2, .append = f16_append, .step = f16_step};
