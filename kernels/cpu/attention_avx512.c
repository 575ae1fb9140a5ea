/* attention_avx512.c: attention in fixed point (attention_fixed.h) by vpdpwssd of AVX-512 VNNI, which adds as well. */
#include "kernels/cpu/vector_avx512.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector_math.h"

/* 6 queries x 4 vectors (a page's keys, or 64 of a head's values): 24 sums, 4 factors and a pair of 32 registers. */
#define TILE_Q 6
#define TILE_V 4

typedef __m512i vi;
INLINE vi vi_zero(void) {
    return _mm512_setzero_si512();
}
INLINE vi vi_load(const int16_t *p) {
    return _mm512_loadu_si512(p);
}
INLINE vi vi_pair(const float *p) {
    return _mm512_castps_si512(_mm512_set1_ps(*p));
}
/* Added where the sum stands: of the intrinsic the compiler makes copies and spills most sums in the inner loop. */
INLINE void vi_add_products(vi *sum, vi x, vi y) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(*sum) : "v"(x), "v"(y));
}
INLINE vf vi_to_f(vi x) {
    return _mm512_cvtepi32_ps(x);
}
INLINE void store_fixed(float *to, vf a, vf b) {
    _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(a)));
    _mm256_storeu_si256((__m256i *)(void *)(to + VL / 2), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(b)));
}
INLINE vf v_times_power(vf p, vf t) {
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}

#include "kernels/cpu/attention_fixed.h"

const struct kv_ops kv_ops_fixed_avx512 = FIXED_KV_OPS;
