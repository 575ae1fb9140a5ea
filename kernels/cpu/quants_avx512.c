/* quants_avx512.c: quants.h by vpdpbusd, unsigned weights times signed activations summed in int32. A weight vector is
 * put together once (nibbles, and bits of a plane moved to places 4 and 5) for up to eight rows. */
#include "kernels/cpu/quants.h"
#include "kernels/cpu/vector_avx512.h"
#include "kernels/cpu/vector_math.h"

typedef uint16_t shorts __attribute__((vector_size(64), may_alias));

/* Bits of place `from` and on, to place 4 and on. */
QUANTS_INLINE __m512i to_place_4(__m512i v, const int from) {
    return from < 4 ? (__m512i)((shorts)v << (4 - from)) : (__m512i)((shorts)v >> (from - 4));
}
/* Inputs 4 i .. 4 i + 3 of a block. */
QUANTS_INLINE __m512i values(const uint8_t *w, const int i, const int bits) {
    __m512i v = _mm512_loadu_si512(w + 64 * (i / 2));
    if (i % 2) v = _mm512_srli_epi16(v, 4);
    v = _mm512_and_si512(v, _mm512_set1_epi8(15));
    if (bits == 5)
        v = _mm512_or_si512(v, _mm512_and_si512(to_place_4(_mm512_loadu_si512(w + 256), i), _mm512_set1_epi8(0x10)));
    if (bits == 6)
        v = _mm512_or_si512(v, _mm512_and_si512(to_place_4(_mm512_loadu_si512(w + 256 + 64 * (i / 4)), 2 * (i % 4)),
                                                _mm512_set1_epi8(0x30)));
    return v;
}
QUANTS_INLINE __m512 bytes(const uint8_t *p, const bool sign) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm512_cvtepi32_ps(sign ? _mm512_cvtepi8_epi32(v) : _mm512_cvtepu8_epi32(v));
}
/* The sums of a row's first 16 values of a block, in all lanes; of a whole panel they are made together. */
QUANTS_INLINE void half_sums(const int8_t *q, __m512i out[8], const int rows) {
    if (rows == PANEL) {
        __m256i sum = _mm256_setzero_si256();
        int32_t each[PANEL];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            sum = _mm256_dpbusd_epi32(sum, _mm256_set1_epi8(1),
                                      _mm256_loadu_si256((const __m256i *)(const void *)(q + 32 * i)));
        _mm256_storeu_si256((__m256i *)(void *)each, sum);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) out[r] = _mm512_set1_epi32(each[r]);
        return;
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        out[r] = _mm512_setzero_si512();
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            int32_t x;
            memcpy(&x, q + 32 * i + 4 * r, 4);
            out[r] = _mm512_dpbusd_epi32(out[r], _mm512_set1_epi8(1), _mm512_set1_epi32(x));
        }
    }
}

/* One group, `rows` rows of a panel from q on. */
QUANTS_INLINE void quants_rows(const struct gemm *g, const int8_t *q, const float *d, const int32_t *s, float *y,
                               const int bits, const enum numbers numbers, const int rows) {
    const bool k6 = numbers == NUMBERS_K6, minimum = numbers == NUMBERS_K || numbers == NUMBERS_D_M;
    const int vectors = k6 ? 4 : 8; /* of one int32 sum */
    size_t n_blocks = g->n_in / BLOCK, group = quants_group_bytes(g->type, g->n_in);
    const uint8_t *w = g->w, *all = g->w + n_blocks * quants_values(bits);
    __m512 acc[8];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) acc[r] = _mm512_setzero_ps();
    for (size_t b = 0; b < n_blocks; b++) {
        const uint8_t *n = all + quants_numbers(numbers, b), *of_block = n + (k6 ? 32 : 64) + b % 8 * 32;
        if (rows == 1) prefetch_weights(w, numbers == NUMBERS_K || k6 ? of_block : n, quants_values(bits), group);
        const uint16_t *f16 = (const uint16_t *)(const void *)n;
        __m512 scale = v_from_f16(f16), min = _mm512_setzero_ps();
        if (numbers == NUMBERS_D_M) min = v_from_f16(f16 + 16) * _mm512_set1_ps(-0.125f);
        if (numbers == NUMBERS_K) {
            scale = scale * bytes(of_block, false);
            min = v_from_f16(f16 + 16) * bytes(of_block + 16, false) * _mm512_set1_ps(0.125f);
        }
        __m512i sum[8], first[8];
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            sum[r] = numbers == NUMBERS_D ? _mm512_set1_epi32(2 * s[r]) : _mm512_setzero_si512();
        if (k6) {
            half_sums(q, first, rows);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
                sum[r] = first[r] = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(first[r], 5));
        }
#ifndef __SANITIZE_ADDRESS__ /* which turns the loop into one that cannot be annotated, an error here */
#pragma GCC unroll 2
#endif
        for (int half = 0; half < 8 / vectors; half++) {
#pragma GCC unroll 8
            for (int j = 0; j < vectors; j++) {
                const int i = half * vectors + j;
                __m512i v = values(w, i, bits);
#pragma GCC unroll 8
                for (int r = 0; r < rows; r++) {
                    int32_t x;
                    memcpy(&x, q + i * (4 * PANEL) + 4 * r, 4);
                    sum[r] = _mm512_dpbusd_epi32(sum[r], v, _mm512_set1_epi32(x));
                }
            }
            __m512 part = scale;
            if (k6) part = scale * bytes(of_block + 16 * half, true);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r]), part * _mm512_set1_ps(d[r]), acc[r]);
                if (k6) sum[r] = _mm512_sub_epi32(_mm512_set1_epi32(4 * s[r]), first[r]);
            }
        }
        if (minimum) {
            float x[8];
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) x[r] = d[r] * (float)s[r];
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) acc[r] = _mm512_fmadd_ps(min, _mm512_set1_ps(x[r]), acc[r]);
        }
        w += quants_values(bits);
        q += BLOCK * PANEL;
        d += PANEL;
        s += PANEL;
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) v_store_first(y + (size_t)r * g->ldy, acc[r], g->n_out, g->add);
}

#include "kernels/cpu/quants_gemm.h"

void avx512_gemm_quants(const struct gemm *g) {
    gemm_quants(g);
}
