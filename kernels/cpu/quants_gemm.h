/* quants_gemm.h: a group times all its rows, by the form of its blocks: written once, compiled once a path.
 * quants_avx2.c and quants_avx512.c include it behind their
 *
 *     quants_rows(g, q, d, s, y, bits, numbers, rows)     one group, 8, 4, 2 or 1 rows of a panel from q on
 */
#include "kernels/cpu/quants.h"

QUANTS_INLINE void gemm_form(const struct gemm *g, const int bits, const enum numbers numbers) {
    size_t n_blocks = g->n_in / BLOCK, step;
    for (size_t row = 0; row < g->n_rows; row += step) {
        size_t left = g->n_rows - row, at = row % PANEL; /* g->q may stand inside a panel for one row only */
        const int8_t *q = g->q + (row - at) * g->n_in + at * 4;
        const float *d = g->d + (row - at) * n_blocks + at;
        const int32_t *s = g->s + (row - at) * n_blocks + at;
        float *y = g->y + row * g->ldy;
        step = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        if (step == 8)
            quants_rows(g, q, d, s, y, bits, numbers, 8);
        else if (step == 4)
            quants_rows(g, q, d, s, y, bits, numbers, 4);
        else if (step == 2)
            quants_rows(g, q, d, s, y, bits, numbers, 2);
        else
            quants_rows(g, q, d, s, y, bits, numbers, 1);
    }
}

QUANTS_INLINE void gemm_quants(const struct gemm *g) {
    switch (g->type) {
    case KERNEL_Q4_1:
        gemm_form(g, 4, NUMBERS_D_M);
        break;
    case KERNEL_Q5_0:
        gemm_form(g, 5, NUMBERS_D);
        break;
    case KERNEL_Q5_1:
        gemm_form(g, 5, NUMBERS_D_M);
        break;
    case KERNEL_Q4_K:
        gemm_form(g, 4, NUMBERS_K);
        break;
    case KERNEL_Q5_K:
        gemm_form(g, 5, NUMBERS_K);
        break;
    default:
        gemm_form(g, 6, NUMBERS_K6);
        break;
    }
}
