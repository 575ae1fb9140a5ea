/* moe.cu: routing of Jamba's sparse FFN: softmax over all experts in f32, top-k, weights as they are; rows sorted by expert without atomics,
 * so that two runs give the same order. CPU twin: kernels/cpu/moe.c. */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"

#define MAX_EXPERTS 64
#define MAX_TOP_K 8

static __global__ void top_k_kernel(int32_t *expert, float *weight, const float *logits, int n_rows, int E, int k) {
    let_next_start();
    wait_for_previous();
    int row = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (row >= n_rows) return;
    const float *l = logits + (size_t)row * E;
    float m = l[0], sum = 0;
    for (int i = 1; i < E; i++) m = fmaxf(m, l[i]);
    for (int i = 0; i < E; i++) sum += ex2((l[i] - m) * LOG2E);
    uint64_t taken = 0;
    for (int j = 0; j < k; j++) {
        int best = -1;
        for (int i = 0; i < E; i++)
            if (!(taken >> i & 1) && (best < 0 || l[i] > l[best])) best = i;
        taken |= 1ull << best;
        expert[(size_t)row * k + j] = best;
        weight[(size_t)row * k + j] = ex2((l[best] - m) * LOG2E) / sum;
    }
}

/* One block an expert walks all choices in order: counts, then places. 1024 threads, each a contiguous run, so the order is stable. */
static __global__ void __launch_bounds__(1024) count_kernel(int32_t *count, const int32_t *expert, int n) {
    __shared__ int total;
    if (threadIdx.x == 0) total = 0;
    __syncthreads();
    int c = 0;
    for (int i = (int)threadIdx.x; i < n; i += 1024) c += expert[i] == (int)blockIdx.x;
    c = (int)__reduce_add_sync(0xffffffffu, (unsigned)c);
    if (threadIdx.x % 32 == 0) atomicAdd(&total, c); /* integers: any order gives the same sum */
    __syncthreads();
    if (threadIdx.x == 0) count[blockIdx.x] = total;
}
static __global__ void __launch_bounds__(1024) place_kernel(int32_t *order, int32_t *place, int32_t *offset, const int32_t *count,
                                                            const int32_t *expert, int n, int E) {
    __shared__ int warp_total[32];
    const int e = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int base = 0;
    for (int i = 0; i < e; i++) base += count[i];
    if (threadIdx.x == 0) {
        offset[e] = base;
        if (e == E - 1) offset[E] = base + count[e];
    }
    for (int i0 = 0; i0 < n; i0 += 1024) {
        int i = i0 + (int)threadIdx.x;
        bool mine = i < n && expert[i] == e;
        unsigned votes = __ballot_sync(0xffffffffu, mine);
        if (lane == 0) warp_total[warp] = __popc(votes);
        __syncthreads();
        int before = 0, all = 0;
        for (int w = 0; w < 32; w++) {
            if (w < warp) before += warp_total[w];
            all += warp_total[w];
        }
        if (mine) {
            int at = base + before + __popc(votes & ((1u << lane) - 1));
            order[at] = i;
            place[i] = at;
        }
        base += all;
        __syncthreads();
    }
}
extern "C" int cuda_moe_route(int32_t *expert, float *weight, int32_t *order, int32_t *place, int32_t *offset, const float *logits, int n_rows,
                              int n_expert, int top_k, cuda_stream s, struct error *e) {
    if (n_expert > MAX_EXPERTS || top_k > MAX_TOP_K || top_k > n_expert)
        return error_set(e, ERR_UNSUPPORTED, "moe", "%d experts, %d used: at most %d and %d", n_expert, top_k, MAX_EXPERTS, MAX_TOP_K);
    int rc = cuda_check(launch_step(top_k_kernel, dim3((unsigned)((n_rows + 127) / 128)), dim3(128), 0, (cudaStream_t)s, expert, weight, logits, n_rows, n_expert, top_k),
                        "moe_route", e);
    if (rc) return rc;
    if (order) {
        int32_t *count = offset + n_expert + 1; /* offset has room for 2 n_expert + 1 */
        count_kernel<<<(unsigned)n_expert, 1024, 0, (cudaStream_t)s>>>(count, expert, n_rows * top_k);
        place_kernel<<<(unsigned)n_expert, 1024, 0, (cudaStream_t)s>>>(order, place, offset, count, expert, n_rows * top_k, n_expert);
    }
    return cuda_check(cudaGetLastError(), "moe_route", e);
}

static __global__ void gather_kernel(uint4 *y, const uint4 *x, const int32_t *order, int top_k, int w8) {
    const uint4 *from = x + (size_t)(order[blockIdx.x] / top_k) * w8;
    for (int i = (int)threadIdx.x; i < w8; i += blockDim.x) y[(size_t)blockIdx.x * w8 + i] = from[i];
}
extern "C" int cuda_moe_gather(uint16_t *y, const uint16_t *x, const int32_t *order, int n, int top_k, int width, cuda_stream s, struct error *e) {
    if (n == 0) return 0;
    gather_kernel<<<(unsigned)n, 128, 0, (cudaStream_t)s>>>((uint4 *)y, (const uint4 *)x, order, top_k, width / 8);
    return cuda_check(cudaGetLastError(), "moe_gather", e);
}

static __global__ void combine_kernel(float *h, const bf16 *y, const int32_t *place, const float *weight, int top_k, int width) {
    let_next_start();
    wait_for_previous();
    const int row = blockIdx.x;
    for (int i = 2 * (int)threadIdx.x; i < width; i += 2 * (int)blockDim.x) {
        float2 v = *(float2 *)(h + (size_t)row * width + i);
        for (int s = 0; s < top_k; s++) {
            int at = place ? place[(size_t)row * top_k + s] : row * top_k + s;
            uint32_t u = *(const uint32_t *)(y + (size_t)at * width + i);
            float w = weight[(size_t)row * top_k + s];
            v.x = fmaf(w, __uint_as_float(u << 16), v.x), v.y = fmaf(w, __uint_as_float(u & 0xffff0000u), v.y);
        }
        *(float2 *)(h + (size_t)row * width + i) = v;
    }
}
extern "C" int cuda_moe_combine(float *h, const uint16_t *y, const int32_t *place, const float *weight, int n_rows, int top_k, int width,
                                cuda_stream s, struct error *e) {
    if (n_rows == 0) return 0;
    return cuda_check(launch_step(combine_kernel, dim3((unsigned)n_rows), dim3(256), 0, (cudaStream_t)s, h, (const bf16 *)y, place, weight, top_k, width),
                      "moe_combine", e);
}
extern "C" int cuda_moe_add(float *h, const uint16_t *y, const float *weight, int n_rows, int top_k, int width, cuda_stream s, struct error *e) {
    return cuda_moe_combine(h, y, NULL, weight, n_rows, top_k, width, s, e);
}
