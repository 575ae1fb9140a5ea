/* quants.h: inside kernels/cpu only. The packed form of ggml's blocks of 4, 5 and 6 bits with a minimum or with scales
 * of scales (Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K): multiplied as they are, by the rule of linear.c.
 *
 * A weight is scale * v - min with v unsigned. Over a block of 32 inputs with int8 activations q of scale dx
 *
 *     y += (scale * dx) * sum(v q)  and then  y += (min / 8) * (dx * s),  s = -8 sum(q)  (kernel_rows.s)
 *
 * sums are exact int32; each line is one f32 fma; scale and min are exact in f32 (f16 times 6 or 8 bits). Where min is
 * a whole number of scales (Q5_0: 16, Q6_K: 32) it is taken out of the int32 sum and the second line falls away. Q6_K
 * has a scale for 16 inputs: two half sums, two fmas.
 *
 * A packed group of 16 outputs: the values of all blocks, one after another, then their numbers.
 *   values of a block: 4 x 64 bytes of nibbles as in Q4_0 (byte 4 r + j of vector v: low = input 8 v + j, high = input
 *     8 v + 4 + j of output r), then planes of 64 bytes with the higher bits of the same places: one for 5 bits (bit i
 * of byte 4 r + j: input 4 i + j), two for 6 (bits 2 i, 2 i + 1 of plane p: input 16 p + 4 i + j). numbers: Q5_0 per
 * block d[16]; Q4_1, Q5_1 per block d[16], m[16], all f16; Q4_K, Q5_K per 8 blocks d[16], dmin[16] f16, then a block
 * scale[16], min[16] u8; Q6_K per 8 blocks d[16] f16, then a block scale[2][16] i8. Bits a weight (the file's own):
 * Q4_1 5 (5), Q5_0 5.5 (5.5), Q5_1 6 (6), Q4_K 4.625 (4.5), Q5_K 5.625 (5.5), Q6_K 6.5625 (the same). */
#ifndef ANTINOMY_KERNELS_QUANTS_H
#define ANTINOMY_KERNELS_QUANTS_H

#include "kernels/cpu/cpu.h"

#include <string.h>

#define QUANTS_INLINE static inline __attribute__((always_inline))

enum numbers { NUMBERS_D, NUMBERS_D_M, NUMBERS_K, NUMBERS_K6 };
struct quants {
    int bits;
    enum numbers numbers;
};

QUANTS_INLINE size_t quants_values(const int bits) {
    return 256 + 64 * (size_t)(bits - 4);
}
/* Where block b's numbers begin (with the scales of scales: where those of its eight begin). */
QUANTS_INLINE size_t quants_numbers(const enum numbers numbers, size_t b) {
    switch (numbers) {
    case NUMBERS_D:
        return 32 * b;
    case NUMBERS_D_M:
        return 64 * b;
    case NUMBERS_K:
        return b / 8 * (64 + 8 * 32);
    case NUMBERS_K6:
        break;
    }
    return b / 8 * (32 + 8 * 32);
}

bool quants_form(int type, struct quants *out);     /* false: no such type */
size_t quants_group_bytes(int type, uint64_t n_in); /* 0: no such type, or n_in is no whole number of its blocks */
void quants_pack_row(int type, const uint8_t *row, uint64_t n_in, uint8_t *group, size_t r); /* output r of a group */
void scalar_gemm_quants(const struct gemm *g);
void avx2_gemm_quants(const struct gemm *g);
void avx512_gemm_quants(const struct gemm *g);

#endif
