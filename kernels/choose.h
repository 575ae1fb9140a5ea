/* choose.h: how one of n tokens is chosen by its logits, so that the CPU (kernels/cpu/choose.c) and the GPU
 * (kernels/cuda/sampling.cu) choose the same one, whatever order they add in.
 *
 *   weight    w(l) = round(2^40 exp((l - max) / temperature)): an integer, so sums of any order are equal; exp by a
 *             polynomial in f64 whose operations are each rounded to nearest (never fused)
 *   nucleus   top_p in (0, 1): tokens by falling logit, equal ones by rising index, until their weights reach
 *             top_p of all (Holtzman et al. 2020); else all tokens
 *   choice    the first token of the nucleus, by index, whose weight added to those before exceeds u times the
 *             nucleus' weight; temperature 0: the largest logit, the lower index on ties
 *   logprob   l - max - log(sum of w at temperature 1): within all n, whatever the sampling
 *
 * A NaN is as -inf: weight 0 and never the largest. Inside kernels/ only.
 */
#ifndef ANTINOMY_KERNELS_CHOOSE_H
#define ANTINOMY_KERNELS_CHOOSE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define CHOOSE static __device__ __forceinline__
#define CHOOSE_MUL(A, B) __dmul_rn(A, B)
#define CHOOSE_ADD(A, B) __dadd_rn(A, B)
#else
#define CHOOSE static inline
#define CHOOSE_MUL(A, B) ((A) * (B)) /* -ffp-contract=off */
#define CHOOSE_ADD(A, B) ((A) + (B))
#endif

#define CHOOSE_ONE ((uint64_t)1 << 40) /* weight of the largest logit */

/* Larger for larger logits; 0.0 and -0.0 are one. */
CHOOSE uint32_t choose_key(float l) {
    uint32_t u;
    if (l != l) return 0;
    l += 0.0f;
    memcpy(&u, &l, 4);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

CHOOSE double choose_distance(float l, float max, float temperature) {
    return CHOOSE_ADD((double)l, -(double)max) / (double)temperature;
}

/* x <= 0; what is below 2^-41 is 0. */
CHOOSE uint64_t choose_weight(double x) {
    const double c[12] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
                          1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5,         1.0,        1.0};
    if (!(x > -28.5)) return 0; /* NaN too */
    const double k = rint(CHOOSE_MUL(x, 1.4426950408889634));
    double r =
        CHOOSE_ADD(x, CHOOSE_MUL(k, -0.693147180369123816490)); /* ln 2 in two parts: k times the first is exact */
    r = CHOOSE_ADD(r, CHOOSE_MUL(k, -1.90821492927058770002e-10));
    double p = c[0], scale;
    for (int i = 1; i < 12; i++) p = CHOOSE_ADD(CHOOSE_MUL(p, r), c[i]);
    const uint64_t bits = (uint64_t)(1023 + 40 + (int)k) << 52;
    memcpy(&scale, &bits, 8);
    return (uint64_t)CHOOSE_ADD(CHOOSE_MUL(p, scale), 0.5);
}

/* What the nucleus must reach, and where in what it reaches the choice falls (u in [0, 1)). */
CHOOSE uint64_t choose_goal(float top_p, uint64_t all) {
    const uint64_t goal = (uint64_t)CHOOSE_MUL((double)top_p, (double)all);
    return goal == 0 ? 1 : goal > all ? all : goal;
}
CHOOSE uint64_t choose_place(double u, uint64_t reached) {
    const uint64_t at = (uint64_t)CHOOSE_MUL(u, (double)reached);
    return at < reached ? at : reached - 1;
}
CHOOSE float choose_logprob(float l, float max, uint64_t sum) {
    return (float)((double)l - (double)max - log((double)sum / (double)CHOOSE_ONE));
}

#endif
