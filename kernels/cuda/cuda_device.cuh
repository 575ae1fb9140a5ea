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
#define CUDA_MAX_DEVICES 64
/* True the first time it is asked on the current device: a kernel's attributes are set once a device; and a thread, since of two stages on one device
 * the second must not launch before the first has set them. */
bool cuda_first_use(bool (&seen)[CUDA_MAX_DEVICES]);
/* Row-major bf16 matrix [rows, columns], rows ld elements apart, boxes of box_columns (64: 128 bytes, swizzled) x box_rows; out of bounds reads give 0. */
int cuda_tensor_map_2d(CUtensorMap *map, const void *data, uint64_t columns, uint64_t rows, uint64_t ld, uint32_t box_columns, uint32_t box_rows, struct error *e);

/* A launch that may overlap the end of the kernel before it in the stream (wait_for_previous in cuda_common.cuh). Every kernel of a decode
 * step is launched so, and every one waits before it reads or writes anything that another kernel touches. */
template <typename... P, typename... A>
static inline cudaError_t launch_step(void (*kernel)(P...), dim3 grid, dim3 block, size_t smem, cudaStream_t stream, A... args) {
    cudaLaunchAttribute attr[1];
    attr[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attr[0].val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid, config.blockDim = block, config.dynamicSmemBytes = smem, config.stream = stream;
    config.attrs = attr, config.numAttrs = cuda_is_hopper() ? 1 : 0;
    return cudaLaunchKernelEx(&config, kernel, (P)args...);
}

#endif
