/* attention_avx512bf16.c: keys and values as bf16 pairs for vdpbf16ps, which multiplies two bf16 pairs a lane and sums
 * in f32: twice the arithmetic of f32 and nothing to unpack. Queries and softmax weights are rounded to bf16 too (8
 * bits of mantissa: about as coarse as the 8-bit activations around it); a weight enters the softmax sum as rounded, so
 * the weights still sum to one. K: [head_dim / 2][page][2] pairs along the head, V: [page / 2][head_dim][2] pairs along
 * the keys. */
#include "kernels/cpu/vector_avx512.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector_math.h"

#include <math.h>
#include <string.h>

#define PAGE KERNEL_KV_PAGE

static uint16_t to_bf16(float f) { /* round to nearest even; NaN is not expected here but stays NaN */
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
static float from_bf16(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/* An odd head_dim leaves the second half of its last pair zero; page_bytes has no room for it, so such heads are stored
 * in order. */
void bf16_append(const float *k, const float *v, void *page, size_t slot, size_t hd) {
    uint16_t *keys = page, *values = keys + hd * PAGE;
    for (size_t d = 0; d < hd; d++) {
        if (hd % 2)
            keys[d * PAGE + slot] = to_bf16(k[d]);
        else
            keys[(d / 2 * PAGE + slot) * 2 + d % 2] = to_bf16(k[d]);
        values[(slot / 2 * hd + d) * 2 + slot % 2] = to_bf16(v[d]);
    }
}

/* Shapes the fast step does not take. */
static void plain_step(struct attention_page *p, const uint16_t *keys, float *k, float *v) {
    size_t hd = p->head_dim;
    const uint16_t *values = keys + hd * PAGE;
    for (size_t d = 0; d < hd; d++)
        for (size_t j = 0; j < PAGE; j++) {
            k[d * PAGE + j] = from_bf16(hd % 2 ? keys[d * PAGE + j] : keys[(d / 2 * PAGE + j) * 2 + d % 2]);
            v[j * hd + d] = from_bf16(values[(j / 2 * hd + d) * 2 + j % 2]);
        }
    p->k = k;
    p->v = v;
    scalar_attention_page(p);
}

INLINE __m512bh load_pairs(const void *p) {
    return (__m512bh)_mm512_loadu_si512(p);
}
INLINE __m512bh set_pair(uint32_t pair) {
    return (__m512bh)_mm512_set1_epi32((int)pair);
}

INLINE void scores_pairs(const uint32_t *q, const uint16_t *keys, float *s, size_t pairs, const int nq) {
    __m512 acc[4][4];
#pragma GCC unroll 4
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < 4; j++) acc[i][j] = _mm512_setzero_ps();
    for (size_t d = 0; d < pairs; d++) {
        __m512bh key[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) key[j] = load_pairs(keys + (d * PAGE + (size_t)j * 16) * 2);
#pragma GCC unroll 4
        for (int i = 0; i < nq; i++) {
            __m512bh x = set_pair(q[(size_t)i * pairs + d]);
#pragma GCC unroll 4
            for (int j = 0; j < 4; j++) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], x, key[j]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < 4; j++) v_store(s + i * PAGE + j * 16, acc[i][j]);
}

INLINE void values_pairs(const uint32_t *weights, const uint16_t *values, float *o, size_t ldo, size_t hd, size_t pairs,
                         const int nq, const int nv) {
    __m512 acc[4][4];
#pragma GCC unroll 4
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < nv; j++) acc[i][j] = v_load(o + (size_t)i * ldo + j * 16);
    for (size_t key = 0; key < pairs; key++) {
        __m512bh value[4];
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) value[j] = load_pairs(values + (key * hd + (size_t)j * 16) * 2);
#pragma GCC unroll 4
        for (int i = 0; i < nq; i++) {
            __m512bh x = set_pair(weights[(size_t)i * (PAGE / 2) + key]);
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], x, value[j]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < nq; i++)
        for (int j = 0; j < nv; j++) v_store(o + (size_t)i * ldo + j * 16, acc[i][j]);
}

/* The whole tiles as functions of their own: inlined together they run out of registers and spill in the inner loop. */
static __attribute__((noinline)) void scores_4(const uint32_t *q, const uint16_t *keys, float *s, size_t pairs) {
    scores_pairs(q, keys, s, pairs, 4);
}
static __attribute__((noinline)) void values_4(const uint32_t *weights, const uint16_t *values, float *o, size_t ldo,
                                               size_t hd, size_t pairs) {
    values_pairs(weights, values, o, ldo, hd, pairs, 4, 4);
}

/* softmax_step of ops_avx512.c with weights rounded to bf16 */
INLINE void softmax_pairs(const struct attention_page *p, size_t i, uint32_t *weights) {
    float *state = p->state + i * ATTENTION_STATE(p->head_dim);
    const float *s = p->scores + i * PAGE;
    int seen = p->seen[i];
    bool whole = seen == PAGE; /* all but a row's last page */
    vf score[4], sum = v_set(0);
    float max = page_scores(score, s, seen, state[0]);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        vf weight = v_exp2(score[j] - v_set(max));
        if (!whole) weight = v_first(weight, v_set(0), seen - j * 16);
        __m256i half = (__m256i)_mm512_cvtneps_pbh(weight);
        _mm256_storeu_si256((__m256i *)(void *)(weights + j * 8), half);
        sum += _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
    }
    state_shrink(state, max, p->head_dim);
    state[1] += v_sum(sum);
}

INLINE void tile_pairs(const struct attention_page *p, const uint16_t *keys, size_t i, const int nq) {
    size_t hd = p->head_dim, pairs = hd / 2, ldo = ATTENTION_STATE(hd), d = 0;
    uint32_t q[4 * BF16_MAX_HEAD_DIM / 2], weights[4 * PAGE / 2];
    for (size_t j = 0; j < (size_t)nq * hd; j += 16) {
        __m256i half = (__m256i)_mm512_cvtneps_pbh(v_load(p->q + i * hd + j));
        _mm256_storeu_si256((__m256i *)(void *)(q + j / 2), half);
    }
    float *o = p->state + i * ldo + 16;
    const uint16_t *values = keys + hd * PAGE;
    if (nq == 4)
        scores_4(q, keys, p->scores + i * PAGE, pairs);
    else
        scores_pairs(q, keys, p->scores + i * PAGE, pairs, nq);
    for (int r = 0; r < nq; r++) softmax_pairs(p, i + (size_t)r, weights + r * (PAGE / 2));
    size_t key_pairs =
        ((size_t)p->seen[i + (size_t)nq - 1] + 1) / 2; /* the last query sees most; the others' weights are 0 there */
    for (; d + 64 <= hd; d += 64) {
        if (nq == 4)
            values_4(weights, values + d * 2, o + d, ldo, hd, key_pairs);
        else
            values_pairs(weights, values + d * 2, o + d, ldo, hd, key_pairs, nq, 4);
    }
    for (; d < hd; d += 16) values_pairs(weights, values + d * 2, o + d, ldo, hd, key_pairs, nq, 1);
}

void bf16_step(struct attention_page *p, const void *page, float *k, float *v) {
    const uint16_t *keys = page;
    if (p->head_dim % 16 || p->head_dim > BF16_MAX_HEAD_DIM) {
        plain_step(p, keys, k, v);
        return;
    }
    size_t i = 0;
    for (; i + 4 <= p->n_q; i += 4) tile_pairs(p, keys, i, 4);
    for (; i < p->n_q; i++) tile_pairs(p, keys, i, 1);
}

const struct kv_ops kv_ops_bf16_avx512 = {.value_bytes = 2, .append = bf16_append, .step = bf16_step};
