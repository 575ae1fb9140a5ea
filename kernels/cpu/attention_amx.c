/* attention_amx.c: attention by AMX tiles over the pages of attention_avx512bf16.c: their K, pairs along the head, and
 * V, pairs along the keys, are tiles as they lie. 16 queries at a time: scores by tile products, softmax by AVX-512
 * with weights rounded to bf16, and the outputs, whose tiles are loaded from the states and stored back. The sum of the
 * weights is one more output, with ones for values. tdpbf16ps sums a row's elements in one order whatever the other
 * rows of a tile are, and takes numbers below 2^-126 for 0, which no weight's part in a sum of at least 1 feels. */
#include "kernels/cpu/vector_avx512.h"
#include "kernels/cpu/amx.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector_math.h"

#include <string.h>

#define PAGE KERNEL_KV_PAGE
#define TILE ((size_t)TILE_ROWS)
#define TILE_K ((size_t)32) /* bf16 values in a row of a tile */

/* The header of a state (max, sum) as a tile of outputs: what stands at the sum grows by the weights, the rest by 0. */
#define ONE 0x3f80, 0x3f80
#define ROW                                                                                                            \
    { 0, 0, ONE }
static const _Alignas(64) uint16_t ones[16][32] = {ROW, ROW, ROW, ROW, ROW, ROW, ROW, ROW,
                                                   ROW, ROW, ROW, ROW, ROW, ROW, ROW, ROW};

static bool fits(size_t hd) {
    return hd % TILE_K == 0 && hd <= BF16_MAX_HEAD_DIM;
}

/* Queries as bf16 in the first half of their places. */
static void amx_queries(float *q, size_t n_q, size_t hd) {
    if (!fits(hd)) return;
    for (size_t i = 0; i < n_q; i++)
        for (size_t d = 0; d < hd; d += 16) {
            __m256i half = (__m256i)_mm512_cvtneps_pbh(v_load(q + i * hd + d));
            _mm256_storeu_si256((__m256i *)(void *)(q + i * hd + d / 2), half);
        }
}

/* scores [16][page] of 16 queries; behind the last query lie other numbers, whose scores nobody reads */
static void scores_16(const float *q, const uint16_t *keys, float *s, size_t hd) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (size_t d = 0; d < hd; d += TILE_K, keys += TILE_K * PAGE) {
        TILE_LOAD(4, q + d / 2, hd * 4);
        TILE_LOAD(6, keys, PAGE * 4);
        _tile_dpbf16ps(0, 4, 6);
        TILE_LOAD(7, keys + 32, PAGE * 4);
        _tile_dpbf16ps(1, 4, 7);
        TILE_LOAD(6, keys + 64, PAGE * 4);
        _tile_dpbf16ps(2, 4, 6);
        TILE_LOAD(7, keys + 96, PAGE * 4);
        _tile_dpbf16ps(3, 4, 7);
    }
    TILE_STORE(0, s, PAGE * 4);
    TILE_STORE(1, s + 16, PAGE * 4);
    TILE_STORE(2, s + 32, PAGE * 4);
    TILE_STORE(3, s + 48, PAGE * 4);
}

INLINE void softmax_row(float *state, const float *s, int seen, size_t hd, uint16_t *weights) {
    bool whole = seen == PAGE; /* all but a row's last page */
    vf score[4];
    float max = page_scores(score, s, seen, state[0]);
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        vf weight = v_exp2(score[j] - v_set(max));
        if (!whole) weight = v_first(weight, v_set(0), seen - j * 16);
        _mm256_storeu_si256((__m256i *)(void *)(weights + j * 16), (__m256i)_mm512_cvtneps_pbh(weight));
    }
    state_shrink(state, max, hd);
}

/* states += weights times (ones, values) over the first one or two tiles of keys */
static void values_16(const uint16_t *weights, const uint16_t *values, float *state, size_t hd, bool second) {
    int64_t ld = (int64_t)ATTENTION_STATE(hd) * 4, ldv = (int64_t)hd * 4;
    TILE_LOAD(4, weights, PAGE * 2);
    TILE_LOAD(5, weights + 32, PAGE * 2);
    TILE_LOAD(0, state, ld);
    TILE_LOAD(6, ones, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (second) _tile_dpbf16ps(0, 5, 6);
    TILE_STORE(0, state, ld);
    for (size_t d = 0; d < hd; d += 32) {
        TILE_LOAD(0, state + 16 + d, ld);
        TILE_LOAD(6, values + d * 2, ldv);
        _tile_dpbf16ps(0, 4, 6);
        TILE_LOAD(1, state + 32 + d, ld);
        TILE_LOAD(7, values + d * 2 + 32, ldv);
        _tile_dpbf16ps(1, 4, 7);
        if (second) {
            TILE_LOAD(6, values + (16 * hd + d) * 2, ldv);
            _tile_dpbf16ps(0, 5, 6);
            TILE_LOAD(7, values + (16 * hd + d) * 2 + 32, ldv);
            _tile_dpbf16ps(1, 5, 7);
        }
        TILE_STORE(0, state + 16 + d, ld);
        TILE_STORE(1, state + 32 + d, ld);
    }
}

/* Values whose page is not full: what lies behind the last is no value, and 0 times it need not be 0. */
static const uint16_t *values_padded(const uint16_t *values, size_t n_keys, size_t hd, void *to) {
    uint16_t *out = to;
    memcpy(out, values, n_keys / 2 * hd * 4);
    memset(out + n_keys / 2 * hd * 2, 0, (PAGE / 2 - n_keys / 2) * hd * 4);
    if (n_keys % 2)
        for (size_t d = 0; d < hd; d++) out[(n_keys / 2 * hd + d) * 2] = values[(n_keys / 2 * hd + d) * 2];
    return out;
}

static void amx_step(struct attention_page *p, const void *page, float *k, float *v) {
    const uint16_t *keys = page, *values = keys + p->head_dim * PAGE;
    size_t hd = p->head_dim, ld = ATTENTION_STATE(hd), n_keys = (size_t)p->seen[p->n_q - 1]; /* the last sees most */
    if (!fits(hd)) {
        bf16_step(p, page, k, v);
        return;
    }
    amx_configure(AMX_BF16);
    if (n_keys < PAGE) values = values_padded(values, n_keys, hd, v);
    for (size_t i = 0; i < p->n_q; i += TILE) {
        size_t rows = p->n_q - i < TILE ? p->n_q - i : TILE;
        _Alignas(64) float scores[TILE_ROWS * PAGE], few[TILE_ROWS * ATTENTION_STATE(BF16_MAX_HEAD_DIM)];
        _Alignas(64) uint16_t weights[TILE_ROWS * PAGE];
        float *state = p->state + i * ld;
        scores_16(p->q + i * hd, keys, scores, hd);
        for (size_t r = 0; r < rows; r++)
            softmax_row(state + r * ld, scores + r * PAGE, p->seen[i + r], hd, weights + r * PAGE);
        if (rows < TILE) { /* no tile reaches behind the last query's state */
            memset(weights + rows * PAGE, 0, (TILE - rows) * PAGE * sizeof *weights);
            memcpy(few, state, rows * ld * sizeof *state);
            memset(few + rows * ld, 0, (TILE - rows) * ld * sizeof *state);
        }
        values_16(weights, values, rows < TILE ? few : state, hd, n_keys > TILE_K);
        if (rows < TILE) memcpy(state, few, rows * ld * sizeof *state);
    }
}

const struct kv_ops kv_ops_amx = {.value_bytes = 2, .append = bf16_append, .queries = amx_queries, .step = amx_step};
