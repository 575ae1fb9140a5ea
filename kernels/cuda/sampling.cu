/* sampling.cu: what follows the output head. CPU twin: kernels/cpu/sampling.c. */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"

/* A block a row: out = logits[row][target] - log sum exp(logits[row]); sums in f32 over 256 threads, then in order. */
static __global__ void __launch_bounds__(256) logprob_kernel(float *out, const float *logits, const int32_t *target, int n) {
    __shared__ float part[8];
    const float *l = logits + (size_t)blockIdx.x * n;
    float m = -INFINITY, sum = 0;
    for (int i = (int)threadIdx.x; i < n; i += 256) m = fmaxf(m, l[i]);
    m = warp_max(m);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = m;
    __syncthreads();
    m = part[0];
    for (int i = 1; i < 8; i++) m = fmaxf(m, part[i]);
    __syncthreads();
    for (int i = (int)threadIdx.x; i < n; i += 256) sum += expf(l[i] - m);
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        sum = part[0];
        for (int i = 1; i < 8; i++) sum += part[i];
        out[blockIdx.x] = l[target[blockIdx.x]] - m - logf(sum);
    }
}
extern "C" int cuda_logprobs(float *out, const float *logits, const int32_t *target, int n_rows, int n_vocab, cuda_stream s, struct error *e) {
    if (n_rows == 0) return 0;
    logprob_kernel<<<(unsigned)n_rows, 256, 0, (cudaStream_t)s>>>(out, logits, target, n_vocab);
    return cuda_check(cudaGetLastError(), "logprobs", e);
}
