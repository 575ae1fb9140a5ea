/* vector_avx2.h: the vector type of the AVX2 path (8 lanes), for vector_ops.h. */
#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256 vf;
#define VL 8
/* Keeps a running sum running: the compiler would make a tree of the additions and spill what does not fit in 16
 * registers (3 times as slow on Zen 4). */
#define KEEP(v) __asm__("" : "+x"(v))

static inline vf v_load(const float *p) {
    return _mm256_loadu_ps(p);
}
static inline void v_store(float *p, vf v) {
    _mm256_storeu_ps(p, v);
}
static inline vf v_set(float x) {
    return _mm256_set1_ps(x);
}
static inline vf v_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
static inline vf v_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
static inline vf v_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
/* To a whole number, ties to even, for |a| < 2^22: what is behind the point falls off the large sum. Additions, because
 * they leave the two units that multiply alone; vroundps takes them twice. */
#define ROUNDER 0x1.8p23f
static inline vf v_round(vf a) {
    return a + v_set(ROUNDER) - v_set(ROUNDER);
}
/* p * 2^n, n in the low bits of t, as in a sum with ROUNDER */
static inline vf v_times_power(vf p, vf t) {
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
/* p * 2^n for whole n; n is clamped, so the least result is about 2^-126. */
static inline vf v_scale2(vf p, vf n) {
    return v_times_power(p, v_max(v_min(n, v_set(127)), v_set(-126)) + v_set(ROUNDER));
}
/* lanes below n keep a, the others get b */
static inline vf v_first(vf a, vf b, int n) {
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane)));
}
/* y[0..n) = v, or += v; all 8 where n is more */
static inline void v_store_first(float *y, vf v, size_t n, bool add) {
    if (n >= VL) {
        if (add) v = v_load(y) + v;
        v_store(y, v);
    } else if (n) {
        __m256i m = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        if (add) v = _mm256_maskload_ps(y, m) + v;
        _mm256_maskstore_ps(y, m, v);
    }
}
static inline vf v_select_gt(vf x, vf y, vf a, vf b) { /* x > y ? a : b */
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_GT_OQ));
}
/* x = m 2^k with m in [sqrt(1/2), sqrt(2)), for x >= 1 */
static inline vf v_mantissa(vf x, vf *k) {
    __m256i bits = _mm256_castps_si256(x), shifted = _mm256_sub_epi32(bits, _mm256_set1_epi32(0x3f3504f3));
    __m256i e = _mm256_srai_epi32(shifted, 23);
    *k = _mm256_cvtepi32_ps(e);
    return _mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(e, 23)));
}
static inline float v_sum(vf a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
static inline float v_top(vf a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}
static inline vf v_from_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vf v_from_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)), 16));
}
