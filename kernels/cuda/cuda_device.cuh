/* cuda_device.cuh: host side helpers of the CUDA kernels: error check, device kind, tensor maps. */
#ifndef ANTINOMY_CUDA_DEVICE_CUH
#define ANTINOMY_CUDA_DEVICE_CUH

#include "base.h"

#include <cuda.h>
#include <cuda_runtime.h>

/* 0, or ERR_DEVICE with the operation's name. */
int cuda_check(cudaError_t rc, const char *operation, struct error *e);
/* The current device runs the sm_90a paths this program was built with. */
bool cuda_is_hopper(void);
/* Row-major bf16 matrix [rows, columns], rows ld elements apart, boxes of box_columns (64: 128 bytes, swizzled) x box_rows; out of bounds reads give 0. */
int cuda_tensor_map_2d(CUtensorMap *map, const void *data, uint64_t columns, uint64_t rows, uint64_t ld, uint32_t box_columns, uint32_t box_rows, struct error *e);

#endif
