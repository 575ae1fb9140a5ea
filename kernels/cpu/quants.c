/* quants.c: packs ggml's blocks of 4, 5 and 6 bits and multiplies them in plain C (the twin of quants_avx2.c and
 * quants_avx512.c, bit for bit). Form and formula: quants.h. Block layouts: ggml's ggml-common.h and ggml-quants.c, as
 * engine/jamba/tensor.c unpacks them. */
#include "kernels/cpu/quants.h"

#include <math.h>

bool quants_form(int type, struct quants *out) {
    switch (type) {
    case KERNEL_Q4_1:
        *out = (struct quants){4, NUMBERS_D_M};
        return true;
    case KERNEL_Q5_0:
        *out = (struct quants){5, NUMBERS_D};
        return true;
    case KERNEL_Q5_1:
        *out = (struct quants){5, NUMBERS_D_M};
        return true;
    case KERNEL_Q4_K:
        *out = (struct quants){4, NUMBERS_K};
        return true;
    case KERNEL_Q5_K:
        *out = (struct quants){5, NUMBERS_K};
        return true;
    case KERNEL_Q6_K:
        *out = (struct quants){6, NUMBERS_K6};
        return true;
    default:
        return false;
    }
}

size_t quants_group_bytes(int type, uint64_t n_in) {
    struct quants f;
    if (!quants_form(type, &f)) return 0;
    size_t n_blocks = n_in / BLOCK;
    bool super = f.numbers == NUMBERS_K || f.numbers == NUMBERS_K6;
    if (n_in % (super ? 8 * BLOCK : BLOCK)) return 0;
    return (n_blocks * quants_values(f.bits) + quants_numbers(f.numbers, n_blocks) + 63) & ~(size_t)63;
}

/* ---- packing; four values at a time, a byte each in a word ---- */
static uint32_t word(const uint8_t *p, size_t i) {
    uint32_t w;
    memcpy(&w, p + 4 * i, 4);
    return w;
}

/* Values of a block of 32: words [8]. */
static void pack_values(uint8_t *out, size_t r, const uint32_t v[8], int bits) {
    for (size_t i = 0; i < 4; i++) {
        uint32_t both = (v[2 * i] & 0x0f0f0f0f) | (v[2 * i + 1] & 0x0f0f0f0f) << 4;
        memcpy(out + 64 * i + 4 * r, &both, 4);
    }
    uint32_t plane[2] = {0};
    for (size_t i = 0; i < 8; i++)
        if (bits == 5)
            plane[0] |= (v[i] >> 4 & 0x01010101) << i;
        else if (bits == 6)
            plane[i / 4] |= (v[i] >> 4 & 0x03030303) << 2 * (i % 4);
    for (int p = 0; p < bits - 4; p++) memcpy(out + 256 + 64 * p + 4 * (int)r, &plane[p], 4);
}

/* Q4_1, Q5_0, Q5_1: d, perhaps m, perhaps the word of fifth bits, nibbles: byte k holds inputs k and k + 16. */
static void pack_block(int type, const uint8_t *block, uint8_t *out, size_t r, struct quants f, uint8_t *numbers) {
    memcpy(numbers + 2 * r, block, 2);
    if (f.numbers == NUMBERS_D_M) memcpy(numbers + 32 + 2 * r, block + 2, 2);
    const uint8_t *high = block + (f.numbers == NUMBERS_D_M ? 4 : 2), *low = high + (type == KERNEL_Q4_1 ? 0 : 4);
    uint32_t v[8], fifth = type == KERNEL_Q4_1 ? 0 : word(high, 0);
    for (size_t i = 0; i < 8; i++) {
        v[i] = i < 4 ? word(low, i) & 0x0f0f0f0f : word(low, i - 4) >> 4 & 0x0f0f0f0f;
        /* four bits to bit 4 of four bytes: copies 7 apart, so that bit j of copy j is bit 8 j */
        v[i] |= ((fifth >> 4 * i & 15) * 0x00204081 & 0x01010101) << 4;
    }
    pack_values(out, r, v, f.bits);
}

/* Q4_K, Q5_K: d, dmin, 12 bytes of scales and minima, perhaps 32 of fifth bits, 128 of nibbles. */
static void pack_q45_k(const uint8_t *block, uint8_t *out, size_t r, int bits, uint8_t *numbers) {
    const uint8_t *s = block + 4, *high = block + 16, *low = block + (bits == 5 ? 48 : 16);
    memcpy(numbers + 2 * r, block, 2);
    memcpy(numbers + 32 + 2 * r, block + 2, 2);
    for (size_t j = 0; j < 8; j++) {
        uint32_t v[8];
        for (size_t i = 0; i < 8; i++) {
            v[i] = word(low + 32 * (j / 2), i) >> 4 * (j % 2) & 0x0f0f0f0f;
            if (bits == 5) v[i] |= (word(high, i) >> j & 0x01010101) << 4;
        }
        pack_values(out + j * quants_values(bits), r, v, bits);
        uint8_t *n = numbers + 64 + 32 * j + r;
        n[0] = (uint8_t)(j < 4 ? s[j] & 63 : (s[j + 4] & 15) | s[j - 4] >> 6 << 4);
        n[16] = (uint8_t)(j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | s[j] >> 6 << 4);
    }
}

/* Q6_K: 128 bytes of nibbles, 64 of two bits, 16 scales, d. */
static void pack_q6_k(const uint8_t *block, uint8_t *out, size_t r, uint8_t *numbers) {
    memcpy(numbers + 2 * r, block + 208, 2);
    for (size_t j = 0; j < 8; j++) {
        size_t half = j / 4, part = j % 4;
        const uint8_t *low = block + 64 * half + 32 * (part % 2), *high = block + 128 + 32 * half;
        uint32_t v[8];
        for (size_t i = 0; i < 8; i++)
            v[i] = (word(low, i) >> (part < 2 ? 0 : 4) & 0x0f0f0f0f) | (word(high, i) >> 2 * part & 0x03030303) << 4;
        pack_values(out + j * quants_values(6), r, v, 6);
        uint8_t *n = numbers + 32 + 32 * j + r;
        n[0] = block[192 + 2 * j];
        n[16] = block[192 + 2 * j + 1];
    }
}

void quants_pack_row(int type, const uint8_t *row, uint64_t n_in, uint8_t *group, size_t r) {
    struct quants f;
    if (!quants_form(type, &f)) return;
    size_t n_blocks = n_in / BLOCK, values = quants_values(f.bits);
    uint8_t *numbers = group + n_blocks * values;
    if (f.numbers == NUMBERS_K || f.numbers == NUMBERS_K6) {
        size_t bytes = type == KERNEL_Q4_K ? 144 : type == KERNEL_Q5_K ? 176 : 210;
        for (size_t b = 0; b < n_blocks; b += 8, row += bytes)
            if (type == KERNEL_Q6_K)
                pack_q6_k(row, group + b * values, r, numbers + quants_numbers(f.numbers, b));
            else
                pack_q45_k(row, group + b * values, r, f.bits, numbers + quants_numbers(f.numbers, b));
        return;
    }
    size_t bytes = type == KERNEL_Q4_1 ? 20 : type == KERNEL_Q5_0 ? 22 : 24;
    for (size_t b = 0; b < n_blocks; b++, row += bytes)
        pack_block(type, row, group + b * values, r, f, numbers + quants_numbers(f.numbers, b));
}

/* ---- scalar ---- */
static float f16_at(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return f16_to_f32(h);
}

/* Value k of output r of a block. */
static int32_t quants_value(const uint8_t *w, size_t r, size_t k, int bits) {
    size_t i = k / 4, at = 4 * r + k % 4;
    int32_t v = w[64 * (i / 2) + at] >> (i % 2 ? 4 : 0) & 15;
    if (bits == 5) v |= (w[256 + at] >> i & 1) << 4;
    if (bits == 6) v |= (w[256 + 64 * (i / 4) + at] >> 2 * (i % 4) & 3) << 4;
    return v;
}

void scalar_gemm_quants(const struct gemm *g) {
    struct quants f = {0};
    quants_form(g->type, &f);
    size_t n_blocks = g->n_in / BLOCK, halves = f.numbers == NUMBERS_K6 ? 2 : 1;
    int32_t offset = f.numbers == NUMBERS_K6 ? 32 : f.numbers == NUMBERS_D ? 16 : 0;
    for (size_t row = 0; row < g->n_rows; row++) {
        float acc[GROUP] = {0};
        for (size_t b = 0; b < n_blocks; b++) {
            const uint8_t *w = g->w + b * quants_values(f.bits);
            const uint8_t *n = g->w + n_blocks * quants_values(f.bits) + quants_numbers(f.numbers, b);
            const uint8_t *of_block = n + (f.numbers == NUMBERS_K6 ? 32 : 64) + b % 8 * 32; /* of the K types */
            const int8_t *q = g->q + row / PANEL * PANEL * g->n_in + row % PANEL * 4 + b * BLOCK * PANEL;
            size_t at = row / PANEL * PANEL * n_blocks + row % PANEL + b * PANEL;
            for (size_t r = 0; r < GROUP; r++) {
                float d = f16_at(n + 2 * r);
                for (size_t half = 0; half < halves; half++) {
                    int32_t sum = 0;
                    for (size_t k = half * 16; k < (halves == 2 ? half * 16 + 16 : BLOCK); k++)
                        sum += (quants_value(w, r, k, f.bits) - offset) * q[k / 4 * (4 * PANEL) + k % 4];
                    float scale = d;
                    if (f.numbers == NUMBERS_K) scale = d * (float)of_block[r];
                    if (f.numbers == NUMBERS_K6) scale = d * (float)(int8_t)of_block[16 * half + r];
                    acc[r] = fmaf((float)sum, scale * g->d[at], acc[r]);
                }
                float min = 0; /* an eighth of it */
                if (f.numbers == NUMBERS_K) min = f16_at(n + 32 + 2 * r) * (float)of_block[16 + r] * 0.125f;
                if (f.numbers == NUMBERS_D_M) min = f16_at(n + 32 + 2 * r) * -0.125f;
                if (f.numbers == NUMBERS_K || f.numbers == NUMBERS_D_M)
                    acc[r] = fmaf(min, g->d[at] * (float)g->s[at], acc[r]);
            }
        }
        float *y = g->y + row * g->ldy;
        for (size_t r = 0; r < g->n_out; r++) y[r] = g->add ? y[r] + acc[r] : acc[r];
    }
}
