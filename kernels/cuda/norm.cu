/* norm.cu: RMSNorm (Zhang and Sennrich 2019), the three norms inside Jamba's Mamba mixer, SwiGLU. One block or warp a row; sums in f32, in
 * one order. The *_e4m3 forms quantise the row they have just made. CPU twin: kernels/cpu/norm.c. */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/e4m3.cuh"

template <typename OUT> __device__ __forceinline__ void store4(OUT *y, float4 v);
template <> __device__ __forceinline__ void store4<bf16>(bf16 *y, float4 v) {
    *(uint2 *)y = make_uint2(pack_bf16(v.x, v.y), pack_bf16(v.z, v.w));
}
template <> __device__ __forceinline__ void store4<float>(float *y, float4 v) {
    *(float4 *)y = v;
}

__device__ __forceinline__ float squares(float4 v) {
    return v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
}
/* What a row of n values is multiplied by; sum: this thread's squares of them. All 256 threads of the block come here. */
__device__ __forceinline__ float rms_factor(float sum, int n, float eps) {
    __shared__ float part[8];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = part[0];
#pragma unroll
    for (int i = 1; i < 8; i++) sum += part[i];
    return rsqrtf(sum / (float)n + eps);
}

template <typename OUT>
static __global__ void __launch_bounds__(256) rms_norm_kernel(OUT *y, const float *x, const float *weight, int n, float eps) {
    let_next_start();
    wait_for_previous();
    const float4 *xr = (const float4 *)(x + (size_t)blockIdx.x * n);
    OUT *yr = y + (size_t)blockIdx.x * n;
    float sum = 0;
    for (int i = threadIdx.x; i < n / 4; i += 256) sum += squares(xr[i]);
    const float r = rms_factor(sum, n, eps);
    for (int i = threadIdx.x; i < n / 4; i += 256) {
        float4 v = xr[i], w = ((const float4 *)weight)[i];
        store4<OUT>(yr + 4 * i, make_float4(v.x * r * w.x, v.y * r * w.y, v.z * r * w.z, v.w * r * w.w));
    }
}
static int check_width(int n, const char *what, struct error *e) {
    return n % 8 ? error_set(e, ERR_UNSUPPORTED, what, "A width of %d is no multiple of 8", n) : 0;
}
extern "C" int cuda_rms_norm(uint16_t *y, const float *x, const float *weight, int n_rows, int n, float eps, cuda_stream s, struct error *e) {
    if (n_rows == 0 || check_width(n, "rms_norm", e)) return n_rows ? ERR_UNSUPPORTED : 0;
    return cuda_check(launch_step(rms_norm_kernel<bf16>, dim3((unsigned)n_rows), dim3(256), 0, (cudaStream_t)s, (bf16 *)y, x, weight, n, eps), "rms_norm", e);
}
extern "C" int cuda_rms_norm_f32(float *y, const float *x, const float *weight, int n_rows, int n, float eps, cuda_stream s, struct error *e) {
    if (n_rows == 0 || check_width(n, "rms_norm", e)) return n_rows ? ERR_UNSUPPORTED : 0;
    rms_norm_kernel<float><<<(unsigned)n_rows, 256, 0, (cudaStream_t)s>>>(y, x, weight, n, eps);
    return cuda_check(cudaGetLastError(), "rms_norm", e);
}

/* As rms_norm_kernel, with the same sum: thread t adds the squares of float4 t, t + 256, ... The row then stays in registers; a thread's pieces of 8 values
 * for e4m3_store_row are other ones than its float4, so they change hands in shared memory as bf16. */
template <int C>
static __global__ void __launch_bounds__(E4M3_THREADS)
    rms_norm_e4m3_kernel(uint2 *q, float *scale, uint4 *y, const float *x, const float *weight, int n, float eps) {
    extern __shared__ uint4 row[]; /* [n] bf16 */
    const float4 *xr = (const float4 *)(x + (size_t)blockIdx.x * n);
    float4 v[2 * C];
    float sum = 0;
#pragma unroll
    for (int k = 0; k < 2 * C; k++) {
        const int i = (int)threadIdx.x + k * E4M3_THREADS;
        if (i >= n / 4) continue;
        v[k] = xr[i];
        sum += squares(v[k]);
    }
    const float r = rms_factor(sum, n, eps);
#pragma unroll
    for (int k = 0; k < 2 * C; k++) {
        const int i = (int)threadIdx.x + k * E4M3_THREADS;
        if (i >= n / 4) continue;
        const float4 w = ((const float4 *)weight)[i];
        ((uint2 *)row)[i] = make_uint2(pack_bf16(v[k].x * r * w.x, v[k].y * r * w.y), pack_bf16(v[k].z * r * w.z, v[k].w * r * w.w));
    }
    __syncthreads();
    uint4 u[C];
#pragma unroll
    for (int k = 0; k < C; k++) {
        const int i = (int)threadIdx.x + k * E4M3_THREADS;
        if (i >= n / 8) continue;
        u[k] = row[i];
        if (y) y[(size_t)blockIdx.x * (n / 8) + i] = u[k];
    }
    e4m3_store_row<C>(q + (size_t)blockIdx.x * (n / 8), scale + blockIdx.x, u, n / 8);
}
static int check_row(int n, const char *what, struct error *e) {
    return n % 8 || n > E4M3_MAX_ROW / 2 ? error_set(e, ERR_UNSUPPORTED, what, "A width of %d is no multiple of 8 up to %d", n, E4M3_MAX_ROW / 2) : 0;
}
extern "C" int cuda_rms_norm_e4m3(uint8_t *q, float *scale, uint16_t *y, const float *x, const float *weight, int n_rows, int n, float eps, cuda_stream s,
                                  struct error *e) {
    int rc = check_row(n, "rms_norm_e4m3", e);
    if (rc || n_rows == 0) return rc;
    E4M3_DISPATCH(n, (rms_norm_e4m3_kernel<C><<<(unsigned)n_rows, E4M3_THREADS, (size_t)n * 2, (cudaStream_t)s>>>((uint2 *)q, scale, (uint4 *)y, x, weight, n, eps)));
    return cuda_check(cudaGetLastError(), "rms_norm_e4m3", e);
}

/* A warp a row: [R | 16 | 16] f32. */
static __global__ void mamba_norms_kernel(bf16 *dt, float *bc, const float *xdbc, const float *dt_norm, const float *b_norm, const float *c_norm,
                                          int n_rows, int R, float n_dt, float n_state, float eps) {
    int row = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= n_rows) return;
    const float *x = xdbc + (size_t)row * (R + 32);
    float sum = 0;
    for (int i = lane; i < R; i += 32) sum += x[i] * x[i];
#ifdef MUTANT_NO_DT_NORM
    float r = 1.f + 0.f * warp_sum(sum);
#else
    float r = rsqrtf(warp_sum(sum) / n_dt + eps);
#endif
    for (int i = lane; i < R; i += 32) dt[(size_t)row * R + i] = __float2bfloat16(x[i] * r * dt_norm[i]);
    /* lanes 0..15 hold B, 16..31 hold C */
    float v = x[R + lane], q = v * v;
#pragma unroll
    for (int o = 8; o; o >>= 1) q += __shfl_xor_sync(0xffffffffu, q, o);
    float w = lane < 16 ? b_norm[lane] : c_norm[lane - 16];
    bc[(size_t)row * 32 + lane] = v * rsqrtf(q / n_state + eps) * w;
}
extern "C" int cuda_mamba_norms(uint16_t *dt, float *bc, const float *xdbc, const float *dt_norm, const float *b_norm, const float *c_norm,
                                int n_rows, int dt_rank, int n_dt, int n_state, float eps, cuda_stream s, struct error *e) {
    if (n_rows == 0) return 0;
    mamba_norms_kernel<<<(unsigned)((n_rows + 7) / 8), 256, 0, (cudaStream_t)s>>>((bf16 *)dt, bc, xdbc, dt_norm, b_norm, c_norm, n_rows, dt_rank,
                                                                                  (float)n_dt, (float)n_state, eps);
    return cuda_check(cudaGetLastError(), "mamba_norms", e);
}

__device__ __forceinline__ uint4 swiglu8(uint4 g, uint4 u) {
    const uint32_t gv[4] = {g.x, g.y, g.z, g.w}, uv[4] = {u.x, u.y, u.z, u.w};
    uint32_t r[4];
#pragma unroll
    for (int k = 0; k < 4; k++)
        r[k] = pack_bf16(silu(__uint_as_float(gv[k] << 16)) * __uint_as_float(uv[k] << 16),
                         silu(__uint_as_float(gv[k] & 0xffff0000u)) * __uint_as_float(uv[k] & 0xffff0000u));
    return make_uint4(r[0], r[1], r[2], r[3]);
}
static __global__ void swiglu_kernel(uint4 *y, const uint4 *gate_up, size_t n8, size_t total) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < total; i += (size_t)gridDim.x * blockDim.x) {
        size_t row = i / n8, c = i % n8;
        y[i] = swiglu8(gate_up[row * 2 * n8 + c], gate_up[row * 2 * n8 + n8 + c]);
    }
}
template <int C> static __global__ void __launch_bounds__(E4M3_THREADS) swiglu_e4m3_kernel(uint2 *q, float *scale, const uint4 *gate_up, int n8) {
    const uint4 *g = gate_up + (size_t)blockIdx.x * 2 * n8;
    uint4 v[C];
#pragma unroll
    for (int k = 0; k < C; k++) {
        const int i = (int)threadIdx.x + k * E4M3_THREADS;
        if (i < n8) v[k] = swiglu8(g[i], g[n8 + i]);
    }
    e4m3_store_row<C>(q + (size_t)blockIdx.x * n8, scale + blockIdx.x, v, n8);
}
extern "C" int cuda_swiglu(uint16_t *y, const uint16_t *gate_up, int n_rows, int n, cuda_stream s, struct error *e) {
    if (n_rows == 0 || check_width(n, "swiglu", e)) return n_rows ? ERR_UNSUPPORTED : 0;
    size_t total = (size_t)n_rows * (size_t)(n / 8), blocks = (total + 255) / 256;
    swiglu_kernel<<<(unsigned)(blocks > 8192 ? 8192 : blocks), 256, 0, (cudaStream_t)s>>>((uint4 *)y, (const uint4 *)gate_up, (size_t)(n / 8), total);
    return cuda_check(cudaGetLastError(), "swiglu", e);
}

extern "C" int cuda_swiglu_e4m3(uint8_t *q, float *scale, const uint16_t *gate_up, int n_rows, int n, cuda_stream s, struct error *e) {
    if (n % 8 || n > E4M3_MAX_ROW) return error_set(e, ERR_UNSUPPORTED, "swiglu_e4m3", "A width of %d is no multiple of 8 up to %d", n, E4M3_MAX_ROW);
    if (n_rows == 0) return 0;
    E4M3_DISPATCH(n, (swiglu_e4m3_kernel<C><<<(unsigned)n_rows, E4M3_THREADS, 0, (cudaStream_t)s>>>((uint2 *)q, scale, (const uint4 *)gate_up, n / 8)));
    return cuda_check(cudaGetLastError(), "swiglu_e4m3", e);
}

static __global__ void to_bf16_kernel(bf16 *y, const float *x, size_t n) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) y[i] = __float2bfloat16(x[i]);
}
extern "C" int cuda_to_bf16(uint16_t *y, const float *x, size_t n, cuda_stream s, struct error *e) {
    to_bf16_kernel<<<(unsigned)((n + 255) / 256), 256, 0, (cudaStream_t)s>>>((bf16 *)y, x, n);
    return cuda_check(cudaGetLastError(), "to_bf16", e);
}
