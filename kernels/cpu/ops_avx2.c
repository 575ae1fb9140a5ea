/* ops_avx2.c: the path for AVX2. vpmaddubsw sums pairs of products in int16, which saturates: a nibble (0..15) times an
 * activation
 * (-127..127) is at most 1905, so the 16 products of a block that meet in a lane stay below 30480 and are widened once
 * a block; 8-bit weights go in as absolute values with their sign moved to the activation, at most 2 * 128 * 127 =
 * 32512 a pair, widened at once. */
#include "kernels/cpu/quants.h"
#include "kernels/cpu/vector_avx2.h"
#include "kernels/cpu/vector_ops.h"

static void avx2_quantize(const float *x, size_t n, int8_t *q, float *d, int32_t *s) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    for (size_t b = 0; b < n / BLOCK; b++) {
        vf v[4], top = v_set(0);
        for (int i = 0; i < 4; i++) {
            v[i] = v_load(x + b * BLOCK + i * 8);
            top = v_max(top, _mm256_andnot_ps(sign, v[i]));
        }
        float max = v_top(top);
        vf inverse = v_set(max > 0 ? 127.0f / max : 0);
        __m256i k[4], sum = _mm256_setzero_si256();
        for (int i = 0; i < 4; i++) {
            k[i] = _mm256_cvtps_epi32(v[i] * inverse);
            sum = _mm256_add_epi32(sum, k[i]);
        }
        /* the packs work in halves: four values of each source, twice; the permutation puts them in order */
        __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(k[0], k[1]), _mm256_packs_epi32(k[2], k[3]));
        bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        uint32_t packed[8];
        _mm256_storeu_si256((__m256i *)(void *)packed, bytes);
        for (size_t i = 0; i < 8; i++) memcpy(q + (b * 8 + i) * (4 * PANEL), &packed[i], 4);
        __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
        half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
        d[b * PANEL] = max / 127.0f;
        s[b * PANEL] = -8 * _mm_cvtsi128_si32(half);
    }
}

/* Half a group (8 outputs), `rows` rows from q on. */
INLINE void q_rows(const struct gemm *g, const int8_t *q, const float *d, const int32_t *s, float *y, const int half,
                   const bool four_bits, const int rows) {
    size_t n_blocks = g->n_in / BLOCK;
    const uint8_t *w = g->w + 32 * half, *scales = g->w + n_blocks * (four_bits ? 256 : 512) + 16 * half;
    const __m256i low = _mm256_set1_epi8(15), one = _mm256_set1_epi16(1);
    __m256 acc[8];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) acc[r] = _mm256_setzero_ps();
    for (size_t b = 0; b < n_blocks; b++) {
        __m256i sum[8];
        if (rows == 1 && half == 0)
            prefetch_weights(w, scales + 32 * b, four_bits ? 256 : 512, n_blocks * (four_bits ? 288 : 544));
        if (four_bits) {
#pragma GCC unroll 4
            for (int v = 0; v < 4; v++) {
                __m256i both = _mm256_loadu_si256((const __m256i *)(const void *)(w + 64 * v));
                __m256i first = _mm256_and_si256(both, low), second = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
#pragma GCC unroll 8
                for (int r = 0; r < rows; r++) {
                    int32_t x0, x1;
                    memcpy(&x0, q + (2 * v) * (4 * PANEL) + 4 * r, 4);
                    memcpy(&x1, q + (2 * v + 1) * (4 * PANEL) + 4 * r, 4);
                    __m256i p0 = _mm256_maddubs_epi16(first, _mm256_set1_epi32(x0)),
                            p1 = _mm256_maddubs_epi16(second, _mm256_set1_epi32(x1));
                    sum[r] = v ? _mm256_add_epi16(sum[r], p0) : p0;
                    sum[r] = _mm256_add_epi16(sum[r], p1);
                    KEEP(sum[r]);
                }
            }
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
                sum[r] = _mm256_add_epi32(_mm256_madd_epi16(sum[r], one), _mm256_set1_epi32(s[r]));
            w += 256;
        } else {
#pragma GCC unroll 8
            for (int v = 0; v < 8; v++) {
                __m256i weight = _mm256_loadu_si256((const __m256i *)(const void *)(w + 64 * v)),
                        magnitude = _mm256_abs_epi8(weight);
#pragma GCC unroll 8
                for (int r = 0; r < rows; r++) {
                    int32_t x0;
                    memcpy(&x0, q + v * (4 * PANEL) + 4 * r, 4);
                    __m256i p = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(_mm256_set1_epi32(x0), weight));
                    p = _mm256_madd_epi16(p, one);
                    sum[r] = v ? _mm256_add_epi32(sum[r], p) : p;
                    KEEP(sum[r]);
                }
            }
            w += 512;
        }
        __m256 scale = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(scales + 32 * b)));
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            acc[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r]), scale * _mm256_set1_ps(d[r]), acc[r]);
        q += BLOCK * PANEL;
        d += PANEL;
        s += PANEL;
    }
    size_t n_out = g->n_out > (size_t)half * 8 ? g->n_out - (size_t)half * 8 : 0;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) v_store_first(y + (size_t)r * g->ldy + 8 * half, acc[r], n_out, g->add);
}

INLINE void q_panel(const struct gemm *g, const int8_t *q, const float *d, const int32_t *s, float *y,
                    const bool four_bits, const int rows) {
    for (int half = 0; half < 2; half++) {
        if (half)
            q_rows(g, q, d, s, y, 1, four_bits, rows);
        else
            q_rows(g, q, d, s, y, 0, four_bits, rows);
    }
}

INLINE void gemm_q(const struct gemm *g, const bool four_bits) {
    size_t n_blocks = g->n_in / BLOCK, row = 0;
    while (row < g->n_rows) {
        size_t left = g->n_rows - row,
               in_panel = row % PANEL; /* row counts from g->q, which may stand inside a panel for one row only */
        const int8_t *q = g->q + row / PANEL * PANEL * g->n_in + in_panel * 4;
        const float *d = g->d + row / PANEL * PANEL * n_blocks + in_panel;
        const int32_t *s = g->s + row / PANEL * PANEL * n_blocks + in_panel;
        float *y = g->y + row * g->ldy;
        size_t step = left >= 8 ? 8 : left >= 4 ? 4 : left;
        switch (step) {
        case 1:
            q_panel(g, q, d, s, y, four_bits, 1);
            break;
        case 2:
            q_panel(g, q, d, s, y, four_bits, 2);
            break;
        case 3:
            q_panel(g, q, d, s, y, four_bits, 3);
            break;
        case 4:
            q_panel(g, q, d, s, y, four_bits, 4);
            break;
        default:
            q_panel(g, q, d, s, y, four_bits, 8);
            break;
        }
        row += step;
    }
}
static void avx2_gemm_q4(const struct gemm *g) {
    gemm_q(g, true);
}
static void avx2_gemm_q8(const struct gemm *g) {
    gemm_q(g, false);
}

const struct cpu_ops cpu_ops_avx2 = {.int8 = true,
                                     .quantize = avx2_quantize,
                                     .gemm_q4 = avx2_gemm_q4,
                                     .gemm_q8 = avx2_gemm_q8,
                                     .gemm_quants = avx2_gemm_quants,
                                     .gemm_f32 = vector_gemm_f32,
                                     .gemm_f16 = vector_gemm_f16,
                                     .gemm_bf16 = vector_gemm_bf16,
                                     .rms_norm = vector_rms_norm,
                                     .swiglu = vector_swiglu,
                                     .conv1d = vector_conv1d,
                                     .scan = vector_scan,
                                     .log_sum_exp = vector_log_sum_exp};
