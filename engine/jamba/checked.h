/* checked.h: inside engine/jamba only. What our own files (snapshot.c, quantize.c) share: numbers in little-endian
 * bytes, and the checksum of a block. */
#ifndef ANTINOMY_JAMBA_CHECKED_H
#define ANTINOMY_JAMBA_CHECKED_H

#include <stddef.h>
#include <stdint.h>

static inline void put_u32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> 8 * i);
}
static inline void put_u64(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> 8 * i);
}
static inline uint32_t take_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t take_u64(const uint8_t *p) {
    return (uint64_t)take_u32(p) | (uint64_t)take_u32(p + 4) << 32;
}

/* Over a block and its number, so that blocks which changed places are found too: a change in one word always changes
 * it. Against accidents, not forgers. Any thread. */
uint64_t block_checksum(const uint8_t *p, size_t len, uint64_t number);

#endif
