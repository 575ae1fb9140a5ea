/* ops_amx.c: int8 products by AMX tiles. A product of tiles is 16 rows times 16 outputs over one block of 32 values:
 * the exact int32 sum of every (row, output). It is stored, and AVX-512 adds it to the f32 accumulators as the other
 * int8 paths do, one fma a block in order: the same bits as theirs. A tile of rows lies together [16][32]
 * (kernel_rows.t), a tile of weights [8][16][4] is a block of Q8_0 as packed; nibbles become such bytes, less 8, once
 * for the rows of a task. All but these products is the AVX-512 path's. */
#include "kernels/cpu/vector_avx512.h"
#include "kernels/cpu/amx.h"
#include "kernels/cpu/cpu.h"

#include <string.h>

/* A tile product takes 16 cycles (measured) however few rows it has, so a few rows are left to the AVX-512 products;
 * where they meet was estimated, not measured. */
#define FEW_ROWS 5
#define TILE ((size_t)TILE_ROWS)
#define CHUNK_BLOCKS ((size_t)48) /* unpacked at a time: 24 KiB, half of the first-level cache */
#define BAND_ROWS ((size_t)128)   /* whose sums wait for the next chunk */
#define LAG 2                     /* products between storing one and reading it */

static _Thread_local enum amx_shape shape_now;

void amx_configure(enum amx_shape shape) {
    if (shape_now == shape) return;
    struct { /* Intel's Software Developer's Manual, volume 1, 18.2: palette 1 */
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = shape == AMX_INT8 && (i == 4 || i == 5) ? 32 : 64;
        config.rows[i] = shape == AMX_INT8 && i > 5 ? 8 : 16;
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(config) : "memory");
    shape_now = shape;
}

/* A panel [n / 4][8][4] into its half of a tile of 16 rows: [n / 32][16][32]. */
static void amx_tile(const int8_t *panel, size_t n, int8_t *t) {
    const __m256i step = _mm256_setr_epi32(0, 8, 16, 24, 32, 40, 48, 56); /* of four bytes: a row's values in a panel */
    for (size_t b = 0; b < n / BLOCK; b++, panel += BLOCK * PANEL, t += BLOCK * TILE)
        for (size_t r = 0; r < PANEL; r++)
            _mm256_storeu_si256((__m256i *)(void *)(t + BLOCK * r),
                                _mm256_i32gather_epi32((const int *)(const void *)(panel + 4 * r), step, 4));
}

static void unpack_q4(const uint8_t *w, size_t n_blocks, int8_t *out) {
    const __m512i low = _mm512_set1_epi8(15), eight = _mm512_set1_epi8(8);
    for (size_t v = 0; v < 4 * n_blocks; v++) {
        __m512i both = _mm512_loadu_si512(w + 64 * v);
        __m512i first = _mm512_and_si512(both, low), second = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
        _mm512_storeu_si512(out + 128 * v, _mm512_sub_epi8(first, eight));
        _mm512_storeu_si512(out + 128 * v + 64, _mm512_sub_epi8(second, eight));
    }
}

/* sums [16][16] of one block into the accumulators; d: the block's scales of the rows' two panels. */
static inline __attribute__((always_inline)) void block_end(__m512 acc[TILE_ROWS], const int32_t *sums, __m512 scale,
                                                            const float *d0, const float *d1) {
#pragma GCC unroll 16
    for (size_t r = 0; r < TILE; r++) {
        __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums + 16 * r));
        acc[r] = _mm512_fmadd_ps(sum, _mm512_mul_ps(scale, _mm512_set1_ps(r < PANEL ? d0[r] : d1[r - PANEL])), acc[r]);
    }
}

/* 16 rows times one group over n_blocks blocks, on top of sums [16][16] and back into them. */
static void tile_rows(const int8_t *t, const int8_t *w, const uint8_t *scales, const float *d, size_t panel_d,
                      size_t n_blocks, float *sums) {
    _Alignas(64) int32_t ring[LAG + 1][TILE_ROWS * GROUP];
    __m512 acc[TILE_ROWS];
#pragma GCC unroll 16
    for (size_t r = 0; r < TILE; r++) acc[r] = _mm512_load_ps(sums + r * GROUP);
    for (size_t b = 0, in = 0, out = 1; b < n_blocks + LAG; b++) {
        if (b < n_blocks) {
            TILE_LOAD(4, t + b * BLOCK * TILE, 32);
            TILE_LOAD(6, w + b * BLOCK * GROUP, 64);
            _tile_zero(0);
            _tile_dpbssd(0, 4, 6);
            TILE_STORE(0, ring[in], 64);
        }
        if (b >= LAG) {
            const float *dd = d + (b - LAG) * PANEL;
            __m512 scale =
                _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(scales + 32 * (b - LAG))));
            block_end(acc, ring[out], scale, dd, dd + panel_d);
        }
        in = in == LAG ? 0 : in + 1;
        out = out == LAG ? 0 : out + 1;
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < TILE; r++) _mm512_store_ps(sums + r * GROUP, acc[r]);
}

static void gemm_band(const struct gemm *g, const bool four_bits) {
    _Alignas(64) float sums[BAND_ROWS * GROUP];
    _Alignas(64) int8_t unpacked[CHUNK_BLOCKS * BLOCK * GROUP];
    size_t n_blocks = g->n_in / BLOCK, block_bytes = four_bits ? Q4_GROUP_BLOCK : Q8_GROUP_BLOCK;
    const uint8_t *scales = g->w + n_blocks * block_bytes;
    memset(sums, 0, (g->n_rows + TILE - 1) / TILE * TILE * GROUP * sizeof *sums);
    for (size_t b = 0; b < n_blocks; b += CHUNK_BLOCKS) {
        size_t n = n_blocks - b < CHUNK_BLOCKS ? n_blocks - b : CHUNK_BLOCKS;
        const int8_t *w = (const int8_t *)g->w + b * block_bytes;
        if (four_bits) {
            unpack_q4(g->w + b * block_bytes, n, unpacked);
            w = unpacked;
        }
        for (size_t row = 0; row < g->n_rows; row += TILE)
            tile_rows(g->t + row * g->n_in + b * BLOCK * TILE, w, scales + 32 * b, g->d + row * n_blocks + b * PANEL,
                      PANEL * n_blocks, n, sums + row * GROUP);
    }
    for (size_t row = 0; row < g->n_rows; row++)
        v_store_first(g->y + row * g->ldy, v_load(sums + row * GROUP), g->n_out, g->add);
}

static void gemm_q(const struct gemm *g, const bool four_bits) {
    size_t rest = g->n_rows % TILE > FEW_ROWS ? 0 : g->n_rows % TILE, whole = g->t ? g->n_rows - rest : 0;
    if (whole) amx_configure(AMX_INT8);
    struct gemm part = *g;
    for (size_t row = 0; row < g->n_rows; row += part.n_rows) {
        part.n_rows = row == whole ? g->n_rows - row : whole - row < BAND_ROWS ? whole - row : BAND_ROWS;
        if (row < whole)
            gemm_band(&part, four_bits);
        else if (four_bits)
            cpu_ops_avx512.gemm_q4(&part);
        else
            cpu_ops_avx512.gemm_q8(&part);
        part.y += part.n_rows * g->ldy;
        part.q += part.n_rows * g->n_in;
        part.d += part.n_rows * (g->n_in / BLOCK);
        part.s += part.n_rows * (g->n_in / BLOCK);
        if (part.t) part.t += part.n_rows * g->n_in;
    }
}
static void amx_gemm_q4(const struct gemm *g) {
    gemm_q(g, true);
}
static void amx_gemm_q8(const struct gemm *g) {
    gemm_q(g, false);
}

void cpu_ops_to_amx(struct cpu_ops *ops) {
    ops->tile = amx_tile;
    ops->gemm_q4 = amx_gemm_q4;
    ops->gemm_q8 = amx_gemm_q8;
}
