/* attention_fixed.h: keys and values as 16-bit fixed point with a scale a key, for instructions that multiply 16-bit
 * pairs and sum them by twos in int32: twice the arithmetic of f32 and nothing to unpack. Queries and softmax weights
 * become fixed point too. All are rounded to +-limit, about 12.5 bits and a sign, so that a sum over a head or a page
 * cannot leave int32; what is rounded away is about what f16 would round away. A weight carries its value's scale, and
 * the largest product of a page decides how fine they are: a page far below the running maximum keeps its digits.
 * Integer sums have no order, so a row's bits cannot depend on tiles. K: [head_dim / 2][page][2] pairs along the head,
 * V: [page / 2][head_dim][2] pairs along the keys, then the scales of K [page] and of V [page].
 *
 * For one file a path, behind its vector_<path>.h and vector_math.h, which defines before: TILE_Q queries x TILE_V
 * vectors of an attention tile; vi, a vector of VL int32 or 2 VL int16, with vi_zero, vi_load, vi_pair (one pair in all
 * lanes), vi_add_products (sums += pairs times pairs), vi_to_f; store_fixed (2 VL floats rounded to int16, in order)
 * and v_times_power (p 2^n, n in the low bits of t). */
#include <math.h>
#include <string.h>

#define PAGE KERNEL_KV_PAGE
#define PAGE_LIMIT 5792.0f /* PAGE * PAGE_LIMIT^2 < 2^31 */
#define TINY 1e-30f        /* less than this is nothing: its inverse would be infinite */

static float head_limit(size_t hd) {
    return hd <= PAGE ? PAGE_LIMIT : floorf(sqrtf(2147000000.0f / (float)hd));
}
static bool whole(size_t hd) {
    return hd % (2 * VL) == 0;
}

static int16_t fixed(float x) {
    return (int16_t)_mm_cvtss_si32(_mm_set_ss(x)); /* to nearest even; a conversion in C has no value for NaN */
}

/* An odd head_dim stores its values in order: the last pair would stand outside. */
static void fixed_append(const float *k, const float *v, void *page, size_t slot, size_t hd) {
    int16_t *keys = page, *values = keys + hd * PAGE;
    float *scales = (float *)(void *)(values + hd * PAGE), k_max = 0, v_max = 0;
    for (size_t d = 0; d < hd; d++) {
        k_max = fmaxf(k_max, fabsf(k[d]));
        v_max = fmaxf(v_max, fabsf(v[d]));
    }
    float limit = head_limit(hd), k_inverse = k_max > TINY ? limit / k_max : 0,
          v_inverse = v_max > TINY ? PAGE_LIMIT / v_max : 0;
    for (size_t d = 0; d < hd; d++) {
        size_t at = hd % 2 ? d * PAGE + slot : (d / 2 * PAGE + slot) * 2 + d % 2;
        keys[at] = fixed(k[d] * k_inverse);
        values[(slot / 2 * hd + d) * 2 + slot % 2] = fixed(v[d] * v_inverse);
    }
    scales[slot] = k_max / limit;
    scales[PAGE + slot] = v_max / PAGE_LIMIT;
}

/* A query's row becomes head_dim / 2 pairs and, behind them, its scale. */
static void fixed_queries(float *q, size_t n_q, size_t hd) {
    if (!whole(hd)) return;
    const float limit = head_limit(hd);
    for (size_t i = 0; i < n_q; i++, q += hd) {
        vf top = v_set(0);
        for (size_t d = 0; d < hd; d += VL) top = v_max(top, v_max(v_load(q + d), v_set(0) - v_load(q + d)));
        float max = v_top(top);
        vf inverse = v_set(max > TINY ? limit / max : 0);
        for (size_t d = 0; d < hd; d += 2 * VL) /* writes behind what it has read */
            store_fixed(q + d / 2, v_load(q + d) * inverse, v_load(q + d + VL) * inverse);
        q[hd / 2] = max / limit;
    }
}

/* Heads the fast step does not take. */
static void plain_step(struct attention_page *p, const int16_t *keys, float *k, float *v) {
    size_t hd = p->head_dim;
    const int16_t *values = keys + hd * PAGE;
    const float *scales = (const float *)(const void *)(values + hd * PAGE);
    for (size_t d = 0; d < hd; d++)
        for (size_t j = 0; j < PAGE; j++) {
            k[d * PAGE + j] = (float)keys[hd % 2 ? d * PAGE + j : (d / 2 * PAGE + j) * 2 + d % 2] * scales[j];
            v[j * hd + d] = (float)values[(j / 2 * hd + d) * 2 + j % 2] * scales[PAGE + j];
        }
    p->k = k;
    p->v = v;
    scalar_attention_page(p);
}

/* acc[i][j] += pairs of x (`ldx` floats a row) times pairs of y (`ldy` values a step), over n steps */
INLINE void products(vi acc[TILE_Q][TILE_V], const float *x, size_t ldx, const int16_t *y, size_t ldy, size_t n,
                     const int nq, const int nv) {
#pragma GCC unroll 6
    for (int i = 0; i < nq; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) acc[i][j] = vi_zero();
    for (size_t d = 0; d < n; d++, y += ldy) {
        vi factor[TILE_V];
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) factor[j] = vi_load(y + 2 * VL * j);
#pragma GCC unroll 6
        for (int i = 0; i < nq; i++) {
            vi pair = vi_pair(x + (size_t)i * ldx + d);
#pragma GCC unroll 4
            for (int j = 0; j < nv; j++) vi_add_products(&acc[i][j], pair, factor[j]);
        }
    }
}

/* Scores without the query's scale, which the softmax takes in. */
INLINE void scores_pairs(const float *q, const int16_t *keys, const float *scales, float *s, size_t hd, const int nq) {
    vi acc[TILE_Q][TILE_V];
    products(acc, q, hd, keys, 2 * PAGE, hd / 2, nq, TILE_V);
#pragma GCC unroll 4
    for (int j = 0; j < TILE_V; j++) {
        vf scale = v_load(scales + j * VL);
#pragma GCC unroll 6
        for (int i = 0; i < nq; i++) v_store(s + i * PAGE + j * VL, vi_to_f(acc[i][j]) * scale);
    }
}
INLINE void values_pairs(const float *weights, const float *unit, const int16_t *values, float *o, size_t ldo,
                         size_t hd, size_t pairs, const int nq, const int nv) {
    vi acc[TILE_Q][TILE_V];
    products(acc, weights, PAGE / 2, values, 2 * hd, pairs, nq, nv);
#pragma GCC unroll 6
    for (int i = 0; i < nq; i++)
#pragma GCC unroll 4
        for (int j = 0; j < nv; j++) {
            float *to = o + (size_t)i * ldo + j * VL;
            v_store(to, v_fma(vi_to_f(acc[i][j]), v_set(unit[i]), v_load(to)));
        }
}

/* The whole tiles as functions of their own: inlined together they run out of registers and spill in the inner loop. */
static __attribute__((noinline)) void scores_whole(const float *q, const int16_t *keys, const float *scales, float *s,
                                                   size_t hd) {
    scores_pairs(q, keys, scales, s, hd, TILE_Q);
}
static __attribute__((noinline)) void values_whole(const float *weights, const float *unit, const int16_t *values,
                                                   float *o, size_t ldo, size_t hd, size_t pairs) {
    values_pairs(weights, unit, values, o, ldo, hd, pairs, TILE_Q, TILE_V);
}

/* 2^x for x <= 0: our minimax fit of degree 4, relative error 3e-6, a thirtieth of what fixed point rounds a weight by.
 * The sum leaves the rounded x in the low bits, where a shift finds the exponent. */
INLINE vf weight_exp2(vf x) {
    const vf round = v_set(0x1.8p23f);
    x = v_max(x, v_set(-126));
    vf t = x + round, f = x - (t - round), p = v_set(0x1.3997d6p-7f);
    p = v_fma(p, f, v_set(0x1.ca1440p-5f));
    p = v_fma(p, f, v_set(0x1.ec06dap-3f));
    p = v_fma(p, f, v_set(0x1.62e0dcp-1f));
    p = v_fma(p, f, v_set(0x1.ffffe8p-1f));
    return v_times_power(p, t);
}

/* Scores to weights times their values' scales, in fixed point; returns what one unit of them is worth. */
INLINE float softmax_keys(const struct attention_page *p, size_t i, const float *s, const float *scales, float *weights,
                          const bool all) {
    float *state = p->state + i * ATTENTION_STATE(p->head_dim);
    const int seen = all ? (int)PAGE : p->seen[i];
    vf score[PAGE / VL], sum = v_set(0), most = v_set(0);
    float q_scale = p->q[i * p->head_dim + p->head_dim / 2], top = page_scores(score, s, seen, -INFINITY) * q_scale,
          max = top > state[0] ? top : state[0];
#pragma GCC unroll 8
    for (int j = 0; j < PAGE / VL; j++) {
        vf weight = weight_exp2(v_fma(score[j], v_set(q_scale), v_set(-max))),
           scaled = weight * v_load(scales + j * VL);
        if (!all) {
            weight = v_first(weight, v_set(0), seen - j * VL);
            scaled = v_first(scaled, v_set(0), seen - j * VL);
        }
        sum += weight;
        most = v_max(most, scaled);
        score[j] = scaled;
    }
    float largest = v_top(most);
    vf inverse = v_set(largest > TINY ? PAGE_LIMIT / largest : 0);
#pragma GCC unroll 4
    for (int j = 0; j < PAGE / VL; j += 2)
        store_fixed(weights + j * VL / 2, score[j] * inverse, score[j + 1] * inverse);
    state_shrink(state, max, p->head_dim);
    state[1] += v_sum(sum);
    return largest / PAGE_LIMIT;
}

/* Functions of their own as well: a row's last page, and all others, which need not look for its end. */
static __attribute__((noinline)) float softmax_last(const struct attention_page *p, size_t i, const float *s,
                                                    const float *scales, float *weights) {
    return softmax_keys(p, i, s, scales, weights, false);
}
static __attribute__((noinline)) float softmax_whole(const struct attention_page *p, size_t i, const float *s,
                                                     const float *scales, float *weights) {
    return softmax_keys(p, i, s, scales, weights, true);
}

INLINE void tile_pairs(const struct attention_page *p, const int16_t *keys, size_t i, const int nq) {
    size_t hd = p->head_dim, ldo = ATTENTION_STATE(hd), d = 0;
    const int16_t *values = keys + hd * PAGE;
    const float *scales = (const float *)(const void *)(values + hd * PAGE), *q = p->q + i * hd;
    float weights[TILE_Q * PAGE / 2], unit[TILE_Q], s[TILE_Q * PAGE], *o = p->state + i * ldo + 16;
    for (size_t j = 0; j < PAGE; j += TILE_V * VL) {
        if (nq == TILE_Q)
            scores_whole(q, keys + 2 * j, scales + j, s + j, hd);
        else
            scores_pairs(q, keys + 2 * j, scales + j, s + j, hd, nq);
    }
    for (size_t r = 0; r < (size_t)nq; r++)
        unit[r] = (p->seen[i + r] == PAGE ? softmax_whole : softmax_last)(p, i + r, s + r * PAGE, scales + PAGE,
                                                                          weights + r * (PAGE / 2));
    size_t pairs =
        ((size_t)p->seen[i + (size_t)nq - 1] + 1) / 2; /* the last query sees most; the others' weights are 0 there */
    for (; d + TILE_V * VL <= hd; d += TILE_V * VL) {
        if (nq == TILE_Q)
            values_whole(weights, unit, values + 2 * d, o + d, ldo, hd, pairs);
        else
            values_pairs(weights, unit, values + 2 * d, o + d, ldo, hd, pairs, nq, TILE_V);
    }
    for (; d < hd; d += 2 * VL) values_pairs(weights, unit, values + 2 * d, o + d, ldo, hd, pairs, nq, 2);
}

static void fixed_step(struct attention_page *p, const void *page, float *k, float *v) {
    if (!whole(p->head_dim)) {
        plain_step(p, page, k, v);
        return;
    }
    size_t i = 0;
    for (; i + TILE_Q <= p->n_q; i += TILE_Q) tile_pairs(p, page, i, TILE_Q);
    for (; i + 3 <= p->n_q; i += 3) tile_pairs(p, page, i, 3); /* a decode step's heads */
    for (; i < p->n_q; i++) tile_pairs(p, page, i, 1);
}

#define FIXED_KV_OPS                                                                                                   \
    {                                                                                                                  \
        .value_bytes = 2, .scale_bytes = 2 * PAGE * sizeof(float), .append = fixed_append, .queries = fixed_queries,   \
        .step = fixed_step                                                                                             \
    }
