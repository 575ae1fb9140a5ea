/* quants_avx2.c: quants.h by vpmaddubsw, which sums pairs of products in int16. A product is at most 15, 31 or 63 times
 * 127, so that 8, 4 or 2 results (30480, 31496, 32004) are added in int16 before they are widened. */
#include "kernels/cpu/quants.h"
#include "kernels/cpu/vector_avx2.h"
#include "kernels/cpu/vector_math.h"

typedef uint16_t shorts __attribute__((vector_size(32), may_alias));

QUANTS_INLINE __m256i load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}
/* Bits of place `from` and on, to place 4 and on. */
QUANTS_INLINE __m256i to_place_4(__m256i v, const int from) {
    return from < 4 ? (__m256i)((shorts)v << (4 - from)) : (__m256i)((shorts)v >> (from - 4));
}
/* Inputs 4 i .. 4 i + 3 of a block, of eight outputs. */
QUANTS_INLINE __m256i values(const uint8_t *w, const int i, const int bits) {
    __m256i v = load(w + 64 * (i / 2));
    if (i % 2) v = _mm256_srli_epi16(v, 4);
    v = _mm256_and_si256(v, _mm256_set1_epi8(15));
    if (bits == 5) v = _mm256_or_si256(v, _mm256_and_si256(to_place_4(load(w + 256), i), _mm256_set1_epi8(0x10)));
    if (bits == 6)
        v = _mm256_or_si256(
            v, _mm256_and_si256(to_place_4(load(w + 256 + 64 * (i / 4)), 2 * (i % 4)), _mm256_set1_epi8(0x30)));
    return v;
}
QUANTS_INLINE __m256 bytes(const uint8_t *p, const bool sign) {
    __m128i v = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return _mm256_cvtepi32_ps(sign ? _mm256_cvtepi8_epi32(v) : _mm256_cvtepu8_epi32(v));
}
/* The sums of each row's first 16 values of a block. */
QUANTS_INLINE void half_sums(const int8_t *q, int32_t out[8], const int rows) {
    if (rows == PANEL) {
        __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(_mm256_set1_epi8(1), load(q + 32 * i)));
        _mm256_storeu_si256((__m256i *)(void *)out, _mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
        return;
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        int32_t x[4];
        for (int i = 0; i < 4; i++) memcpy(&x[i], q + 32 * i + 4 * r, 4);
        __m128i sum = _mm_maddubs_epi16(_mm_set1_epi8(1), _mm_set_epi32(x[3], x[2], x[1], x[0]));
        sum = _mm_madd_epi16(sum, _mm_set1_epi16(1));
        sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
        sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
        out[r] = _mm_cvtsi128_si32(sum);
    }
}

/* Half a group (8 outputs), `rows` rows of a panel from q on. */
QUANTS_INLINE void half_group(const struct gemm *g, const int8_t *q, const float *d, const int32_t *s, float *y,
                              const size_t part, const int bits, const enum numbers numbers, const int rows) {
    const bool k6 = numbers == NUMBERS_K6, minimum = numbers == NUMBERS_K || numbers == NUMBERS_D_M;
    const int room = bits == 4 ? 8 : bits == 5 ? 4 : 2, vectors = k6 ? 4 : 8; /* of one int32 sum */
    const __m256i one = _mm256_set1_epi16(1);
    size_t n_blocks = g->n_in / BLOCK, group = quants_group_bytes(g->type, g->n_in);
    const uint8_t *w = g->w + 32 * part, *all = g->w + n_blocks * quants_values(bits) + 16 * part;
    __m256 acc[8];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) acc[r] = _mm256_setzero_ps();
    for (size_t b = 0; b < n_blocks; b++) {
        /* 16 f16 are 32 bytes, 16 bytes are 16: half a group lies 16 or 8 bytes on */
        const uint8_t *n = all + quants_numbers(numbers, b), *of_block = n + (k6 ? 32 : 64) + b % 8 * 32 - 8 * part;
        if (rows == 1 && part == 0)
            prefetch_weights(w, numbers == NUMBERS_K || k6 ? of_block : n, quants_values(bits), group);
        const uint16_t *f16 = (const uint16_t *)(const void *)n;
        __m256 scale = v_from_f16(f16), min = _mm256_setzero_ps();
        if (numbers == NUMBERS_D_M) min = v_from_f16(f16 + 16) * _mm256_set1_ps(-0.125f);
        if (numbers == NUMBERS_K) {
            scale = scale * bytes(of_block, false);
            min = v_from_f16(f16 + 16) * bytes(of_block + 16, false) * _mm256_set1_ps(0.125f);
        }
        int32_t start[8];
        if (k6) half_sums(q, start, rows);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) start[r] = k6 ? -32 * start[r] : numbers == NUMBERS_D ? 2 * s[r] : 0;
#ifndef __SANITIZE_ADDRESS__ /* which turns the loop into one that cannot be annotated, an error here */
#pragma GCC unroll 2
#endif
        for (int half = 0; half < 8 / vectors; half++) {
            __m256i wide[8];
#ifndef __SANITIZE_ADDRESS__ /* which turns the loop into one that cannot be annotated, an error here */
#pragma GCC unroll 2
#endif
            for (int chunk = 0; chunk < vectors / room; chunk++) {
                __m256i sum[8];
#pragma GCC unroll 8
                for (int j = 0; j < room; j++) {
                    const int i = half * vectors + chunk * room + j;
                    __m256i v = values(w, i, bits);
#pragma GCC unroll 8
                    for (int r = 0; r < rows; r++) {
                        int32_t x;
                        memcpy(&x, q + i * (4 * PANEL) + 4 * r, 4);
                        __m256i p = _mm256_maddubs_epi16(v, _mm256_set1_epi32(x));
                        sum[r] = j ? _mm256_add_epi16(sum[r], p) : p;
                        KEEP(sum[r]);
                    }
                }
#pragma GCC unroll 8
                for (int r = 0; r < rows; r++) {
                    sum[r] = _mm256_madd_epi16(sum[r], one);
                    wide[r] = chunk ? _mm256_add_epi32(wide[r], sum[r]) : sum[r];
                }
            }
            __m256 factor = scale;
            if (k6) factor = scale * bytes(of_block + 16 * half, true);
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) {
                if (k6 || numbers == NUMBERS_D)
                    wide[r] = _mm256_add_epi32(wide[r], _mm256_set1_epi32(half ? 4 * s[r] - start[r] : start[r]));
                acc[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(wide[r]), factor * _mm256_set1_ps(d[r]), acc[r]);
            }
        }
        if (minimum) {
            float x[8];
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) x[r] = d[r] * (float)s[r];
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) acc[r] = _mm256_fmadd_ps(min, _mm256_set1_ps(x[r]), acc[r]);
        }
        w += quants_values(bits);
        q += BLOCK * PANEL;
        d += PANEL;
        s += PANEL;
    }
    size_t n_out = g->n_out > part * 8 ? g->n_out - part * 8 : 0;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) v_store_first(y + (size_t)r * g->ldy + 8 * part, acc[r], n_out, g->add);
}

QUANTS_INLINE void quants_rows(const struct gemm *g, const int8_t *q, const float *d, const int32_t *s, float *y,
                               const int bits, const enum numbers numbers, const int rows) {
    for (size_t part = 0; part < 2; part++) half_group(g, q, d, s, y, part, bits, numbers, rows);
}

#include "kernels/cpu/quants_gemm.h"

void avx2_gemm_quants(const struct gemm *g) {
    gemm_quants(g);
}
