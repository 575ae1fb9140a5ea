/* cuda_common.cuh: what the CUDA kernels share: error check, conversions, warp reductions, and thin names for the Hopper instructions
 * (PTX ISA 8.x: mbarrier, cp.async.bulk.tensor, wgmma, setmaxnreg). Included by kernels/cuda/ only. */
#ifndef ANTINOMY_CUDA_COMMON_CUH
#define ANTINOMY_CUDA_COMMON_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

typedef __nv_bfloat16 bf16;

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}
__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
    for (int o = 16; o; o >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
    return v;
}
__device__ __forceinline__ float ex2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float lg2(float x) {
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#define LOG2E 1.4426950408889634f
#define LN2 0.6931471805599453f
/* softplus(y) = y for y > 20, else log1p(exp(y)) (state-spaces/mamba selective_scan_fwd_kernel.cuh). Below -8 the logarithm of 1 + e loses
 * digits, so the first two terms of its series stand in. */
__device__ __forceinline__ float softplus(float y) {
    float e = ex2(fminf(y, 20.f) * LOG2E), r = lg2(1.f + e) * LN2;
    r = y < -8.f ? e - 0.5f * e * e : r;
    return y > 20.f ? y : r;
}
__device__ __forceinline__ float silu(float x) {
    return __fdividef(x, 1.f + ex2(fmaxf(-x, -88.f) * LOG2E)); /* division by 2^126 and more would give 0 anyway */
}
__device__ __forceinline__ uint32_t pack_bf16(float lo, float hi) {
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
    return r;
}
__device__ __forceinline__ uint32_t smem_u32(const void *p) {
    return (uint32_t)__cvta_generic_to_shared(p);
}

/* ---- asynchronous copies of 16 and of 4 bytes, zeros where not valid (sm_80) ---- */
__device__ __forceinline__ void cp_async16(void *smem, const void *global, bool valid) {
    int n = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(smem_u32(smem)), "l"(global), "r"(n));
}
__device__ __forceinline__ void cp_async4(void *smem, const void *global, bool valid) {
    int n = valid ? 4 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(smem_u32(smem)), "l"(global), "r"(n));
}
__device__ __forceinline__ void cp_async_commit() {
    asm volatile("cp.async.commit_group;");
}
template <int N> __device__ __forceinline__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(N));
}

/* Programmatic dependent launch (CUDA Programming Guide, "Programmatic Dependent Launch"): a decode step is hundreds of short kernels; each
 * may start while the one before still runs, load what does not depend on it (weights), and wait here before it touches the rest.
 * Outside such a launch both do nothing. */
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void let_next_start() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define ANTINOMY_SM90A 1
#endif

#ifdef ANTINOMY_SM90A
/* ---- Hopper ---- */
__device__ __forceinline__ void mbarrier_init(uint64_t *bar, int count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(smem_u32(bar)), "r"(count));
}
__device__ __forceinline__ void mbarrier_expect(uint64_t *bar, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(smem_u32(bar)), "r"(bytes) : "memory");
}
__device__ __forceinline__ void mbarrier_arrive(uint64_t *bar) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(smem_u32(bar)) : "memory");
}
__device__ __forceinline__ void mbarrier_wait(uint64_t *bar, uint32_t parity) {
    asm volatile("{\n .reg .pred p;\n wait_%=:\n mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n @p bra done_%=;\n bra wait_%=;\n done_%=:\n}" ::"r"(
                     smem_u32(bar)),
                 "r"(parity)
                 : "memory");
}
__device__ __forceinline__ void tma_load_2d(void *smem, const void *map, uint64_t *bar, int x, int y) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(smem_u32(smem)),
                 "l"(map), "r"(smem_u32(bar)), "r"(x), "r"(y)
                 : "memory");
}
__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int N> __device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}
/* Shared-memory matrix descriptor, 128-byte swizzle. K-major: lbo unused, sbo = bytes between groups of 8 rows. MN-major: lbo = bytes
 * between blocks of 64 elements along MN, sbo = bytes between groups of 8 along K. */
__device__ __forceinline__ uint64_t wgmma_descriptor(const void *smem, uint32_t lbo, uint32_t sbo) {
    uint64_t d = (uint64_t)((smem_u32(smem) & 0x3ffff) >> 4);
    d |= (uint64_t)(lbo >> 4) << 16;
    d |= (uint64_t)(sbo >> 4) << 32;
    d |= (uint64_t)1 << 62;
    return d;
}
#endif

#endif
