/* vector_avx512.h: the vector type of the AVX-512 path (16 lanes), for vector_ops.h. */
#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vf;
#define VL 16

static inline vf v_load(const float *p) {
    return _mm512_loadu_ps(p);
}
static inline void v_store(float *p, vf v) {
    _mm512_storeu_ps(p, v);
}
static inline vf v_set(float x) {
    return _mm512_set1_ps(x);
}
static inline vf v_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
static inline vf v_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
static inline vf v_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
static inline vf v_round(vf a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* p * 2^n for whole n */
static inline vf v_scale2(vf p, vf n) {
    return _mm512_scalef_ps(p, n);
}
/* lanes below n keep a, the others get b */
static inline vf v_first(vf a, vf b, int n) {
    __mmask16 m = (__mmask16)(n >= 16 ? 0xffffu : n <= 0 ? 0u : (1u << n) - 1);
    return _mm512_mask_blend_ps(m, b, a);
}
/* y[0..n) = v, or += v; n <= 16 */
static inline void v_store_first(float *y, vf v, size_t n, bool add) {
    __mmask16 m = (__mmask16)((1u << n) - 1);
    if (add) v = _mm512_maskz_loadu_ps(m, y) + v;
    _mm512_mask_storeu_ps(y, m, v);
}
static inline vf v_select_gt(vf x, vf y, vf a, vf b) { /* x > y ? a : b */
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, y, _CMP_GT_OQ), b, a);
}
/* x = m 2^k with m in [sqrt(1/2), sqrt(2)), for x >= 1 */
static inline vf v_mantissa(vf x, vf *k) {
    __m512i bits = _mm512_castps_si512(x), shifted = _mm512_sub_epi32(bits, _mm512_set1_epi32(0x3f3504f3));
    __m512i e = _mm512_srai_epi32(shifted, 23);
    *k = _mm512_cvtepi32_ps(e);
    return _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32(e, 23)));
}
static inline float v_sum(vf a) {
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
static inline float v_top(vf a) {
    __m256 h = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}
static inline vf v_from_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vf v_from_bf16(const uint16_t *p) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p)), 16));
}
