/* conv1d.cu: causal depthwise convolution of at most 4 taps with SiLU, and the one-step forms of convolution and scan for decode.
 * CPU twin: kernels/cpu/mamba.c. The state holds the last K - 1 raw inputs, oldest first. */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"

#define STEPS 16 /* steps a thread walks: each input is read once, plus K - 1 before the first */

static __global__ void conv1d_silu_kernel(bf16 *y, int ldy, const bf16 *x, int ldx, const float *w, const float *bias, const bf16 *state, int T,
                                          int d_inner, int K) {
    const int c = 2 * (int)(blockIdx.x * blockDim.x + threadIdx.x), t0 = (int)blockIdx.y * STEPS;
    if (c >= d_inner) return;
    float wa[4] = {0, 0, 0, 0}, wb[4] = {0, 0, 0, 0}; /* taps right-aligned: wa[3] is the current step's */
    for (int j = 0; j < K; j++) wa[4 - K + j] = w[(size_t)c * K + j], wb[4 - K + j] = w[(size_t)(c + 1) * K + j];
    const float ba = bias[c], bb = bias[c + 1];
    float xa[4], xb[4];
    auto load = [&](int t, float &a, float &b) {
        uint32_t v = 0;
        if (t >= 0) {
            v = *(const uint32_t *)(x + (size_t)t * ldx + c);
        } else if (t + K - 1 >= 0) {
            v = *(const uint32_t *)(state + (size_t)(t + K - 1) * d_inner + c);
        }
        a = __uint_as_float(v << 16), b = __uint_as_float(v & 0xffff0000u);
    };
#pragma unroll
    for (int j = 1; j < 4; j++) load(t0 - 4 + j, xa[j], xb[j]);
    for (int t = t0; t < min(t0 + STEPS, T); t++) {
#pragma unroll
        for (int j = 0; j < 3; j++) xa[j] = xa[j + 1], xb[j] = xb[j + 1];
        load(t, xa[3], xb[3]);
        float a = ba, b = bb;
#pragma unroll
        for (int j = 0; j < 4; j++) a = fmaf(wa[j], xa[j], a), b = fmaf(wb[j], xb[j], b);
        *(uint32_t *)(y + (size_t)t * ldy + c) = pack_bf16(silu(a), silu(b));
    }
}
/* The last K - 1 inputs, some of them perhaps from the old state: one thread a channel, read all before writing any. */
static __global__ void conv_state_kernel(bf16 *state, const bf16 *x, int ldx, int T, int d_inner, int K) {
    int c = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (c >= d_inner) return;
    bf16 v[3];
    for (int j = 0; j < K - 1; j++) {
        int t = T - (K - 1) + j;
        v[j] = t >= 0 ? x[(size_t)t * ldx + c] : state[(size_t)(t + K - 1) * d_inner + c];
    }
    for (int j = 0; j < K - 1; j++) state[(size_t)j * d_inner + c] = v[j];
}
extern "C" int cuda_conv1d_silu(uint16_t *y, int ldy, const uint16_t *x, int ldx, const float *w, const float *bias, uint16_t *conv_state, int T,
                                int d_inner, int d_conv, cuda_stream s, struct error *e) {
    if (T == 0) return 0;
    if (d_conv < 2 || d_conv > 4 || d_inner % 2 || ldx % 2 || ldy % 2)
        return error_set(e, ERR_UNSUPPORTED, "conv1d", "d_conv %d, d_inner %d: 2 to 4 taps and an even width are needed", d_conv, d_inner);
    conv1d_silu_kernel<<<dim3((unsigned)((d_inner / 2 + 127) / 128), (unsigned)((T + STEPS - 1) / STEPS)), 128, 0, (cudaStream_t)s>>>(
        (bf16 *)y, ldy, (const bf16 *)x, ldx, w, bias, (const bf16 *)conv_state, T, d_inner, d_conv);
    conv_state_kernel<<<(unsigned)((d_inner + 127) / 128), 128, 0, (cudaStream_t)s>>>((bf16 *)conv_state, (const bf16 *)x, ldx, T, d_inner, d_conv);
    return cuda_check(cudaGetLastError(), "conv1d", e);
}

static __global__ void conv1d_step_kernel(bf16 *y, int ldy, const bf16 *x, int ldx, const float *w, const float *bias,
                                          const struct cuda_mamba_state *states, int d_inner, int K) {
    let_next_start();
    wait_for_previous();
    int c = (int)(blockIdx.x * blockDim.x + threadIdx.x), i = blockIdx.y;
    if (c >= d_inner) return;
    bf16 *st = (bf16 *)states[i].conv, now = x[(size_t)i * ldx + c];
    float a = bias[c];
    for (int j = 0; j < K - 1; j++) {
        bf16 v = st[(size_t)j * d_inner + c];
        a = fmaf(w[(size_t)c * K + j], __bfloat162float(v), a);
        if (j > 0) st[(size_t)(j - 1) * d_inner + c] = v;
    }
    a = fmaf(w[(size_t)c * K + K - 1], __bfloat162float(now), a);
    st[(size_t)(K - 2) * d_inner + c] = now;
    y[(size_t)i * ldy + c] = __float2bfloat16(silu(a));
}
extern "C" int cuda_conv1d_step(uint16_t *y, int ldy, const uint16_t *x, int ldx, const float *w, const float *bias,
                                const struct cuda_mamba_state *states, int n, int d_inner, int d_conv, cuda_stream s, struct error *e) {
    if (n == 0) return 0;
    return cuda_check(launch_step(conv1d_step_kernel, dim3((unsigned)((d_inner + 127) / 128), (unsigned)n), dim3(128), 0, (cudaStream_t)s, (bf16 *)y, ldy,
                                  (const bf16 *)x, ldx, w, bias, states, d_inner, d_conv),
                      "conv1d_step", e);
}

/* One step: the norms of dt, B and C, dt_proj, and the recurrence, in one kernel. 4 lanes a channel, 4 states each, and a quarter of the
 * channel's row of dt_proj each. The recurrence is the same operations in the same order as in selective_scan.cu. */
static __global__ void __launch_bounds__(128)
    scan_step_kernel(bf16 *y, int ldy, const bf16 *x, int ldx, const float *xdbc, const float *dt_norm, const float *b_norm, const float *c_norm,
                     const bf16 *w_dt, const bf16 *z, int ldz, const float *A, const float *D, const float *dt_bias,
                     const struct cuda_mamba_state *states, int d_inner, int R, float n_dt, float n_state, float eps) {
    __shared__ __align__(16) float dt[512], bc[32];
    let_next_start();
    const int i = blockIdx.y, c = (int)(blockIdx.x * blockDim.x + threadIdx.x) / 4, part = threadIdx.x % 4;
    const int cc = c < d_inner ? c : d_inner - 1, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float4 a = *(const float4 *)(A + (size_t)cc * 16 + 4 * part);
    const float bias = dt_bias[cc], skip = D[cc];
    wait_for_previous();
    const float *row = xdbc + (size_t)i * (R + 32);
    if (warp == 0) {
        float sum = 0;
        for (int k = lane; k < R; k += 32) sum += row[k] * row[k];
#ifdef MUTANT_NO_DT_NORM
        float r = 1.f + 0.f * warp_sum(sum);
#else
        float r = rsqrtf(warp_sum(sum) / n_dt + eps);
#endif
        for (int k = lane; k < R; k += 32) dt[k] = __bfloat162float(__float2bfloat16(row[k] * r * dt_norm[k]));
    } else if (warp == 1) {
        float v = row[R + lane], q = v * v;
#pragma unroll
        for (int o = 8; o; o >>= 1) q += __shfl_xor_sync(0xffffffffu, q, o);
        bc[lane] = v * rsqrtf(q / n_state + eps) * (lane < 16 ? b_norm[lane] : c_norm[lane - 16]);
    }
    __syncthreads();
    float s = 0;
    for (int k = 8 * part; k < R; k += 32) {
        uint4 v = *(const uint4 *)(w_dt + (size_t)cc * R + k);
        const uint32_t u[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int t = 0; t < 4; t++)
            s = fmaf(__uint_as_float(u[t] << 16), dt[k + 2 * t], s), s = fmaf(__uint_as_float(u[t] & 0xffff0000u), dt[k + 2 * t + 1], s);
    }
    s += __shfl_xor_sync(0xffffffffu, s, 1);
    s += __shfl_xor_sync(0xffffffffu, s, 2);
    s = __bfloat162float(__float2bfloat16(s)); /* as the GEMM stores it */
    if (c >= d_inner) return;
    float4 *home = (float4 *)(states[i].ssm + (size_t)c * 16 + 4 * part);
    float4 h = *home, b = *(const float4 *)(bc + 4 * part), cv = *(const float4 *)(bc + 16 + 4 * part);
    float xv = __bfloat162float(x[(size_t)i * ldx + c]), d = softplus(s + bias), dx = d * xv;
    h.x = fmaf(ex2(d * (a.x * LOG2E)), h.x, dx * b.x);
    h.y = fmaf(ex2(d * (a.y * LOG2E)), h.y, dx * b.y);
    h.z = fmaf(ex2(d * (a.z * LOG2E)), h.z, dx * b.z);
    h.w = fmaf(ex2(d * (a.w * LOG2E)), h.w, dx * b.w);
    *home = h;
    float p = fmaf(h.w, cv.w, fmaf(h.z, cv.z, fmaf(h.y, cv.y, h.x * cv.x)));
    p += __shfl_xor_sync(0xffffffffu, p, 1);
    p += __shfl_xor_sync(0xffffffffu, p, 2);
    if (part == 0) y[(size_t)i * ldy + c] = __float2bfloat16(fmaf(skip, xv, p) * silu(__bfloat162float(z[(size_t)i * ldz + c])));
}
extern "C" int cuda_scan_step(uint16_t *y, int ldy, const uint16_t *x, int ldx, const float *xdbc, const float *dt_norm, const float *b_norm,
                              const float *c_norm, const uint16_t *w_dt, const uint16_t *z, int ldz, const float *A, const float *D, const float *dt_bias,
                              const struct cuda_mamba_state *states, int n, int d_inner, int dt_rank, int n_dt, int n_state, float eps, cuda_stream s,
                              struct error *e) {
    if (n == 0) return 0;
    if (dt_rank % 8 || dt_rank > 512) return error_set(e, ERR_UNSUPPORTED, "scan_step", "dt_rank %d: a multiple of 8, at most 512, is needed", dt_rank);
    return cuda_check(launch_step(scan_step_kernel, dim3((unsigned)((4 * d_inner + 127) / 128), (unsigned)n), dim3(128), 0, (cudaStream_t)s, (bf16 *)y, ldy,
                                  (const bf16 *)x, ldx, xdbc, dt_norm, b_norm, c_norm, (const bf16 *)w_dt, (const bf16 *)z, ldz, A, D, dt_bias, states, d_inner,
                                  dt_rank, (float)n_dt, (float)n_state, eps),
                      "scan_step", e);
}
