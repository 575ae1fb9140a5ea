/* checked.c: the checksum of a block of a snapshot or of quantised weights. Four lanes side by side, because a file of
 * weights is summed whole at each start. */
#include "engine/jamba/checked.h"

#include <string.h>

/* Each word goes through bijections only, so a change in one word of a lane always changes the sum. */
static uint64_t mix(uint64_t h, uint64_t word) {
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

uint64_t block_checksum(const uint8_t *p, size_t len, uint64_t number) {
    uint64_t lane[4] = {number, ~number, len, 0x6a09e667f3bcc909u};
    size_t i = 0;
    for (; i + 32 <= len; i += 32)
        for (size_t l = 0; l < 4; l++) {
            uint64_t word;
            memcpy(&word, p + i + 8 * l, 8);
            lane[l] = mix(lane[l], word);
        }
    for (; i < len; i++) lane[i % 4] = mix(lane[i % 4], p[i]);
    return mix(mix(mix(mix(0, lane[0]), lane[1]), lane[2]), lane[3]);
}
