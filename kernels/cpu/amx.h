/* amx.h: the tiles of AMX for ops_amx.c and attention_amx.c. A thread's tiles have one of two shapes; the thread
 * remembers which, because to configure them costs 230 cycles, as much as eight products. Own words for loading in the
 * place of the compiler's: GCC 12 takes neither what _tile_loadconfig reads (8 bytes of 64) nor what _tile_loadd reads
 * for a use of memory, and drops the stores before them. */
#ifndef ANTINOMY_KERNELS_CPU_AMX_H
#define ANTINOMY_KERNELS_CPU_AMX_H

#include <immintrin.h>
#include <stdint.h>

/* AMX_INT8: tmm0-3 are 16 rows of 16 int32, tmm4-5 16 rows of 32 bytes, tmm6-7 8 rows of 64 bytes: one block of 32
 * values of 16 rows, and of 16 outputs. AMX_BF16: all eight are 16 rows of 64 bytes. */
enum amx_shape { AMX_NONE, AMX_INT8, AMX_BF16 };
/* Gives the calling thread's tiles a shape, if they have another. */
void amx_configure(enum amx_shape shape);

#define TILE_LOAD(t, from, stride)                                                                                     \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"((const void *)(from)), "r"((int64_t)(stride)) : "memory")
#define TILE_STORE(t, to, stride)                                                                                      \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"((void *)(to)), "r"((int64_t)(stride)) : "memory")

#endif
