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
    conv1d_step_kernel<<<dim3((unsigned)((d_inner + 127) / 128), (unsigned)n), 128, 0, (cudaStream_t)s>>>((bf16 *)y, ldy, (const bf16 *)x, ldx, w, bias,
                                                                                                         states, d_inner, d_conv);
    return cuda_check(cudaGetLastError(), "conv1d_step", e);
}

/* 4 lanes a channel, 4 states each; the same operations in the same order as the tiles of selective_scan.cu. */
static __global__ void scan_step_kernel(bf16 *y, int ldy, const bf16 *x, int ldx, const bf16 *dt_raw, int lddt, const bf16 *z, int ldz,
                                        const float *bc, const float *A, const float *D, const float *dt_bias,
                                        const struct cuda_mamba_state *states, int d_inner) {
    const int i = blockIdx.y, c = (int)(blockIdx.x * blockDim.x + threadIdx.x) / 4, part = threadIdx.x % 4;
    if (c >= d_inner) return;
    float4 *home = (float4 *)(states[i].ssm + (size_t)c * 16 + 4 * part);
    float4 h = *home, a = *(const float4 *)(A + (size_t)c * 16 + 4 * part);
    float4 b = *(const float4 *)(bc + (size_t)i * 32 + 4 * part), cc = *(const float4 *)(bc + (size_t)i * 32 + 16 + 4 * part);
    float xv = __bfloat162float(x[(size_t)i * ldx + c]), d = softplus(__bfloat162float(dt_raw[(size_t)i * lddt + c]) + dt_bias[c]), dx = d * xv;
    h.x = fmaf(ex2(d * (a.x * LOG2E)), h.x, dx * b.x);
    h.y = fmaf(ex2(d * (a.y * LOG2E)), h.y, dx * b.y);
    h.z = fmaf(ex2(d * (a.z * LOG2E)), h.z, dx * b.z);
    h.w = fmaf(ex2(d * (a.w * LOG2E)), h.w, dx * b.w);
    *home = h;
    float p = fmaf(h.w, cc.w, fmaf(h.z, cc.z, fmaf(h.y, cc.y, h.x * cc.x)));
    p += __shfl_xor_sync(0xffffffffu, p, 1);
    p += __shfl_xor_sync(0xffffffffu, p, 2);
    if (part == 0) y[(size_t)i * ldy + c] = __float2bfloat16(fmaf(D[c], xv, p) * silu(__bfloat162float(z[(size_t)i * ldz + c])));
}
extern "C" int cuda_scan_step(uint16_t *y, int ldy, const uint16_t *x, int ldx, const uint16_t *dt_raw, int lddt, const uint16_t *z, int ldz,
                              const float *bc, const float *A, const float *D, const float *dt_bias, const struct cuda_mamba_state *states, int n,
                              int d_inner, cuda_stream s, struct error *e) {
    if (n == 0) return 0;
    if (d_inner % 8) return error_set(e, ERR_UNSUPPORTED, "scan_step", "d_inner %d is no multiple of 8", d_inner);
    scan_step_kernel<<<dim3((unsigned)((4 * d_inner + 127) / 128), (unsigned)n), 128, 0, (cudaStream_t)s>>>(
        (bf16 *)y, ldy, (const bf16 *)x, ldx, (const bf16 *)dt_raw, lddt, (const bf16 *)z, ldz, bc, A, D, dt_bias, states, d_inner);
    return cuda_check(cudaGetLastError(), "scan_step", e);
}
