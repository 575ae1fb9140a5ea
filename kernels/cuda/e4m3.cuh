/* e4m3.cuh: a row of bf16 values, spread over a block, to e4m3 (OCP FP8: 4 bits of exponent, 3 of mantissa, largest 448, no infinity) with one
 * f32 scale: scale = absmax / 448, q = x / scale rounded to nearest even. Shared by the kernels that write rows for the next product (linear.cu,
 * norm.cu), so that a fused one gives the bits of the plain one. A row's result depends on the row alone.
 */
#ifndef ANTINOMY_E4M3_CUH
#define ANTINOMY_E4M3_CUH

#include "kernels/cuda/cuda_common.cuh"

#include <cuda_fp8.h>

#define E4M3_MAX 448.f
#define E4M3_THREADS 256

__device__ __forceinline__ float2 unpack_bf16(uint32_t v) {
    return make_float2(__uint_as_float(v << 16), __uint_as_float(v & 0xffff0000u));
}
__device__ __forceinline__ uint32_t pack_e4m3(uint32_t lo, uint32_t hi, float factor) { /* two pairs of bf16 */
    const float2 a = unpack_bf16(lo), b = unpack_bf16(hi);
    const uint32_t x = __nv_cvt_float2_to_fp8x2(make_float2(a.x * factor, a.y * factor), __NV_SATFINITE, __NV_E4M3);
    const uint32_t y = __nv_cvt_float2_to_fp8x2(make_float2(b.x * factor, b.y * factor), __NV_SATFINITE, __NV_E4M3);
    return x | y << 16;
}

/* v[k]: values 8 i .. 8 i + 7 of the row, i = threadIdx.x + k E4M3_THREADS < n8; the others are not looked at. All threads of the block come here. */
template <int C> __device__ __forceinline__ void e4m3_store_row(uint2 *q, float *scale, const uint4 (&v)[C], int n8) {
    __shared__ float part[E4M3_THREADS / 32];
    float m = 0;
#pragma unroll
    for (int k = 0; k < C; k++) {
        if ((int)threadIdx.x + k * E4M3_THREADS >= n8) continue;
        const uint32_t u[4] = {v[k].x, v[k].y, v[k].z, v[k].w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float2 f = unpack_bf16(u[i]);
            m = fmaxf(m, fmaxf(fabsf(f.x), fabsf(f.y)));
        }
    }
    m = warp_max(m);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = m;
    __syncthreads();
    m = part[0];
#pragma unroll
    for (int i = 1; i < E4M3_THREADS / 32; i++) m = fmaxf(m, part[i]);
    m = m > 1e-30f ? m : 0.f; /* below that the factor would overflow */
    const float factor = m > 0 ? E4M3_MAX / m : 0.f;
    if (threadIdx.x == 0) *scale = m / E4M3_MAX;
#pragma unroll
    for (int k = 0; k < C; k++) {
        const int i = (int)threadIdx.x + k * E4M3_THREADS;
        if (i < n8) q[i] = make_uint2(pack_e4m3(v[k].x, v[k].y, factor), pack_e4m3(v[k].z, v[k].w, factor));
    }
}

/* CALL with the constant C: the pieces of 8 values that a thread keeps of a row of n values. */
#define E4M3_MAX_ROW (16 * 8 * E4M3_THREADS)
#define E4M3_DISPATCH(N, CALL)                                                                                                                                 \
    do {                                                                                                                                                       \
        const int pieces_ = ((N) / 8 + E4M3_THREADS - 1) / E4M3_THREADS;                                                                                       \
        if (pieces_ <= 1) {                                                                                                                                    \
            constexpr int C = 1;                                                                                                                               \
            CALL;                                                                                                                                              \
        } else if (pieces_ <= 2) {                                                                                                                             \
            constexpr int C = 2;                                                                                                                               \
            CALL;                                                                                                                                              \
        } else if (pieces_ <= 4) {                                                                                                                             \
            constexpr int C = 4;                                                                                                                               \
            CALL;                                                                                                                                              \
        } else if (pieces_ <= 7) { /* d_ff 14336 */                                                                                                            \
            constexpr int C = 7;                                                                                                                               \
            CALL;                                                                                                                                              \
        } else {                                                                                                                                               \
            constexpr int C = 16;                                                                                                                              \
            CALL;                                                                                                                                              \
        }                                                                                                                                                      \
    } while (0)

#endif
