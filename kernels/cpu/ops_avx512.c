/* ops_avx512.c: the path for AVX-512 with VNNI. vpdpbusd multiplies unsigned weights by signed activations and sums in
 * int32: nibbles are 0..15 as they are, Q8_0 weights are moved up by 128, and the start value takes the offset out
 * again (kernel_rows.s). It cannot saturate. */
#include "kernels/cpu/quants.h"
#include "kernels/cpu/vector_avx512.h"
#include "kernels/cpu/vector_ops.h"

static void avx512_quantize(const float *x, size_t n, int8_t *q, float *d, int32_t *s) {
    for (size_t b = 0; b < n / BLOCK; b++) {
        vf lo = v_load(x + b * BLOCK), hi = v_load(x + b * BLOCK + 16);
        float max = v_top(v_max(_mm512_abs_ps(lo), _mm512_abs_ps(hi)));
        vf inverse = v_set(max > 0 ? 127.0f / max : 0);
        __m512i a = _mm512_cvtps_epi32(lo * inverse), c = _mm512_cvtps_epi32(hi * inverse);
        int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(a, c));
        uint32_t packed[8];
        _mm_storeu_si128((__m128i *)(void *)packed, _mm512_cvtepi32_epi8(a));
        _mm_storeu_si128((__m128i *)(void *)(packed + 4), _mm512_cvtepi32_epi8(c));
        for (size_t i = 0; i < 8; i++) memcpy(q + (b * 8 + i) * (4 * PANEL), &packed[i], 4);
        d[b * PANEL] = max / 127.0f;
        s[b * PANEL] = -8 * sum;
    }
}

/* One group, `rows` rows from q on (a panel's interleaved rows). */
INLINE void q_rows(const struct gemm *g, const int8_t *q, const float *d, const int32_t *s, float *y,
                   const bool four_bits, const int rows) {
    size_t n_blocks = g->n_in / BLOCK;
    const uint8_t *w = g->w, *scales = g->w + n_blocks * (four_bits ? 256 : 512);
    __m512 acc[8];
    const __m512i low = _mm512_set1_epi8(15), offset = _mm512_set1_epi8((char)0x80);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) acc[r] = _mm512_setzero_ps();
    for (size_t b = 0; b < n_blocks; b++) {
        __m512i sum[8];
        if (rows == 1) prefetch_weights(w, scales + 32 * b, four_bits ? 256 : 512, n_blocks * (four_bits ? 288 : 544));
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            sum[r] = _mm512_set1_epi32(s[r]);
            if (!four_bits) sum[r] = _mm512_slli_epi32(sum[r], 4); /* 128 instead of 8 */
        }
        if (four_bits) {
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                __m512i both = _mm512_loadu_si512(w + 64 * v);
                __m512i first = _mm512_and_si512(both, low), second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
#pragma GCC unroll 8
                for (int r = 0; r < rows; r++) {
                    int32_t x0, x1;
                    memcpy(&x0, q + (2 * v) * (4 * PANEL) + 4 * r, 4);
                    memcpy(&x1, q + (2 * v + 1) * (4 * PANEL) + 4 * r, 4);
                    sum[r] = _mm512_dpbusd_epi32(sum[r], first, _mm512_set1_epi32(x0));
                    sum[r] = _mm512_dpbusd_epi32(sum[r], second, _mm512_set1_epi32(x1));
                }
            }
            w += 256;
        } else {
#pragma GCC unroll 8
            for (int v = 0; v < 8; v++) {
                __m512i first = _mm512_xor_si512(_mm512_loadu_si512(w + 64 * v), offset);
#pragma GCC unroll 8
                for (int r = 0; r < rows; r++) {
                    int32_t x0;
                    memcpy(&x0, q + v * (4 * PANEL) + 4 * r, 4);
                    sum[r] = _mm512_dpbusd_epi32(sum[r], first, _mm512_set1_epi32(x0));
                }
            }
            w += 512;
        }
        __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(scales + 32 * b)));
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r]), scale * _mm512_set1_ps(d[r]), acc[r]);
        q += BLOCK * PANEL;
        d += PANEL;
        s += PANEL;
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) v_store_first(y + (size_t)r * g->ldy, acc[r], g->n_out, g->add);
}

INLINE void gemm_q(const struct gemm *g, const bool four_bits) {
    size_t n_blocks = g->n_in / BLOCK, row = 0;
    const int8_t *q = g->q;
    const float *d = g->d;
    const int32_t *s = g->s;
    for (; row + PANEL <= g->n_rows; row += PANEL) {
        q_rows(g, q, d, s, g->y + row * g->ldy, four_bits, PANEL);
        q += PANEL * g->n_in, d += PANEL * n_blocks, s += PANEL * n_blocks;
    }
    float *y = g->y + row * g->ldy;
    switch (g->n_rows - row) {
    case 1:
        q_rows(g, q, d, s, y, four_bits, 1);
        break;
    case 2:
        q_rows(g, q, d, s, y, four_bits, 2);
        break;
    case 3:
        q_rows(g, q, d, s, y, four_bits, 3);
        break;
    case 4:
        q_rows(g, q, d, s, y, four_bits, 4);
        break;
    case 5:
        q_rows(g, q, d, s, y, four_bits, 5);
        break;
    case 6:
        q_rows(g, q, d, s, y, four_bits, 6);
        break;
    case 7:
        q_rows(g, q, d, s, y, four_bits, 7);
        break;
    default:
        break;
    }
}
static void avx512_gemm_q4(const struct gemm *g) {
    gemm_q(g, true);
}
static void avx512_gemm_q8(const struct gemm *g) {
    gemm_q(g, false);
}

const struct cpu_ops cpu_ops_avx512 = {.int8 = true,
                                       .quantize = avx512_quantize,
                                       .gemm_q4 = avx512_gemm_q4,
                                       .gemm_q8 = avx512_gemm_q8,
                                       .gemm_quants = avx512_gemm_quants,
                                       .gemm_f32 = vector_gemm_f32,
                                       .gemm_f16 = vector_gemm_f16,
                                       .gemm_bf16 = vector_gemm_bf16,
                                       .rms_norm = vector_rms_norm,
                                       .swiglu = vector_swiglu,
                                       .conv1d = vector_conv1d,
                                       .scan = vector_scan,
                                       .log_sum_exp = vector_log_sum_exp};
