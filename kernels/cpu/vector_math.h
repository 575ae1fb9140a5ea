/* vector_math.h: what a path's files share over its vector type (behind vector_<path>.h): exp, log1p and SiLU, the same
 * bits for a value in whatever lane and call it stands; steps of attention; weights asked for ahead. */
#include "kernels/cpu/cpu.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#define INLINE static inline __attribute__((always_inline))

/* ---- exp, log1p ---- */
/* 2^f on [-1/2, 1/2]: our minimax fit of degree 6, relative error 2e-9 before rounding; the constant term is exactly 1,
 * because a Mamba state is multiplied by it thousands of times. */
INLINE vf v_exp2_fraction(vf f) {
    vf p = v_set(0x1.41d332p-13f);
    p = v_fma(p, f, v_set(0x1.5f456ap-10f));
    p = v_fma(p, f, v_set(0x1.3b2dbcp-7f));
    p = v_fma(p, f, v_set(0x1.c6aed4p-5f));
    p = v_fma(p, f, v_set(0x1.ebfbdap-3f));
    p = v_fma(p, f, v_set(0x1.62e43p-1f));
    return v_fma(p, f, v_set(1));
}
INLINE vf v_exp2(vf x) {
    vf n = v_round(x);
    return v_scale2(v_exp2_fraction(x - n), n);
}
/* e^x, clamped to where f32 holds it (below, about 1e-38 is returned for anything smaller). ln 2 in two parts keeps the
 * remainder exact. */
INLINE vf v_exp(vf x) {
    x = v_min(v_max(x, v_set(-87.0f)), v_set(88.0f));
    vf n = v_round(x * v_set(0x1.715476p+0f));
    vf r = v_fma(n, v_set(-0x1.62ep-1f), x);
    r = v_fma(n, v_set(-0x1.0bfbe8p-15f), r);
    return v_scale2(v_exp2_fraction(r * v_set(0x1.715476p+0f)), n);
}
/* log(1 + e) for e >= 0: log of the rounded sum, and what rounding took from e put back (Kahan). The series of atanh,
 * |s| <= 0.172. */
INLINE vf v_log1p(vf e) {
    vf u = v_set(1) + e, lost = e - (u - v_set(1)), k, m = v_mantissa(u, &k);
    vf s = (m - v_set(1)) / (m + v_set(1)), s2 = s * s;
    vf p = v_set(2.0f / 9);
    p = v_fma(p, s2, v_set(2.0f / 7));
    p = v_fma(p, s2, v_set(2.0f / 5));
    p = v_fma(p, s2, v_set(2.0f / 3));
    p = v_fma(p, s2, v_set(2));
    vf log = v_fma(k, v_set(0x1.0bfbe8p-15f), s * p);
    return v_fma(k, v_set(0x1.62ep-1f), log) + lost / u;
}
INLINE vf v_silu(vf x) {
    return x / (v_set(1) + v_exp(v_set(0) - x));
}

/* A softmax state (cpu.h) moved to a new maximum; where it stays, the factor would be exactly 1. */
INLINE void state_shrink(float *state, float max, size_t head_dim) {
    if (state[0] == max) return;
    vf shrink = state[0] == -INFINITY ? v_set(0) : v_exp2(v_set(state[0] - max));
    float f[VL];
    v_store(f, shrink);
    state[0] = max;
    state[1] *= f[0];
    for (size_t d = 0; d < head_dim; d += VL) v_store(state + 16 + d, v_load(state + 16 + d) * shrink);
}

/* A page's scores of a query, -inf for keys it does not see (from `seen` on); returns the largest of them and `top`. */
INLINE float page_scores(vf score[KERNEL_KV_PAGE / VL], const float *s, int seen, float top) {
    vf most = v_set(top);
#pragma GCC unroll 8
    for (int j = 0; j < KERNEL_KV_PAGE / VL; j++) {
        score[j] = v_load(s + j * VL);
        if (seen < KERNEL_KV_PAGE) score[j] = v_first(score[j], v_set(-INFINITY), seen - j * VL);
        most = v_max(most, score[j]);
    }
    return v_top(most);
}

/* ---- weights ---- */
/* A decode step streams the weights once, at the speed of memory. The processor's own prefetchers lose the second
 * stream (a group's scales), so both are asked for ahead, into the second-level cache (measured on Zen 4: 11.7 ms a
 * token of one core without, 6.5 with; into the first level, 10.5). group: bytes of a group, where the next group's
 * scales lie. */
#define PREFETCH_BYTES 8192
INLINE void prefetch_weights(const uint8_t *w, const uint8_t *scales, const size_t block, size_t group) {
    for (size_t i = 0; i < block; i += 64) _mm_prefetch((const char *)w + PREFETCH_BYTES + i, _MM_HINT_T1);
    _mm_prefetch((const char *)scales + group, _MM_HINT_T1);
}
