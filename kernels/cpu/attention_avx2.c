/* attention_avx2.c: attention in fixed point (attention_fixed.h) by vpmaddwd. */
#include "kernels/cpu/vector_avx2.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vector_math.h"

/* 6 queries x 2 vectors: 8 loads for 12 products (3 x 4, which has as many sums, takes 15 and waits for them). */
#define TILE_Q 6
#define TILE_V 2

typedef __m256i vi;
INLINE vi vi_zero(void) {
    return _mm256_setzero_si256();
}
INLINE vi vi_load(const int16_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
INLINE vi vi_pair(const float *p) {
    return _mm256_castps_si256(_mm256_broadcast_ss(p));
}
/* Added where the sum stands: left to itself the compiler makes trees of the additions and copies (12 of 43
 * instructions). */
INLINE void vi_add_products(vi *sum, vi x, vi y) {
    vi product = _mm256_madd_epi16(x, y);
    __asm__("vpaddd %1, %0, %0" : "+x"(*sum) : "x"(product));
}
INLINE vf vi_to_f(vi x) {
    return _mm256_cvtepi32_ps(x);
}
INLINE void store_fixed(float *to, vf a, vf b) {
    vi pairs = _mm256_packs_epi32(_mm256_cvtps_epi32(a), _mm256_cvtps_epi32(b)); /* by halves of a register */
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_permute4x64_epi64(pairs, 0xd8));
}

#include "kernels/cpu/attention_fixed.h"

const struct kv_ops kv_ops_fixed_avx2 = FIXED_KV_OPS;
