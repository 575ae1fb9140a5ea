/* moe.cu: routing of Jamba's sparse FFN: softmax over all experts in f32, top-k, weights as they are; rows sorted by expert without atomics,
 * so that two runs give the same order. CPU twin: kernels/cpu/moe.c. */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"

#define MAX_EXPERTS 64
#define MAX_TOP_K 8

/* The choices of one row: expert and weight [k]. */
static __device__ void choose(int32_t *expert, float *weight, const float *l, int E, int k) {
    float m = l[0], sum = 0;
    for (int i = 1; i < E; i++) m = fmaxf(m, l[i]);
    for (int i = 0; i < E; i++) sum += ex2((l[i] - m) * LOG2E);
    uint64_t taken = 0;
    for (int j = 0; j < k; j++) {
        int best = -1;
        for (int i = 0; i < E; i++)
            if (!(taken >> i & 1) && (best < 0 || l[i] > l[best])) best = i;
        taken |= 1ull << best;
        expert[j] = best;
        weight[j] = ex2((l[best] - m) * LOG2E) / sum;
    }
}
static __global__ void top_k_kernel(int32_t *expert, float *weight, const float *logits, int n_rows, int E, int k) {
    int row = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (row < n_rows) choose(expert + (size_t)row * k, weight + (size_t)row * k, logits + (size_t)row * E, E, k);
}
/* A whole step in one block: choices, then each choice counts those before it. */
static __global__ void __launch_bounds__(256) route_step_kernel(float *weight, int32_t *order, int32_t *place, int32_t *offset, int32_t *active,
                                                                const float *logits, int n_rows, int E, int k) {
    __shared__ int32_t expert[256], at[MAX_EXPERTS + 1];
    __shared__ float l[32 * MAX_EXPERTS];
    let_next_start();
    wait_for_previous();
    const int n = n_rows * k, t = threadIdx.x;
    for (int i = t; i < n_rows * E; i += 256) l[i] = logits[i];
    __syncthreads();
    if (t < n_rows) choose(expert + t * k, weight + t * k, l + t * E, E, k);
    __syncthreads();
    if (t <= E) { /* how many choices go to experts before t */
        int c = 0;
        for (int i = 0; i < n; i++) c += expert[i] < t;
        offset[t] = at[t] = c;
    }
    __syncthreads();
    if (t < n) {
        int p = at[expert[t]];
        for (int i = 0; i < t; i++) p += expert[i] == expert[t];
        order[p] = t;
        place[t] = p;
    }
    if (t < E) {
        int before = 0, all = 0;
        for (int i = 0; i < E; i++) {
            bool has = at[i + 1] > at[i];
            before += has && i < t;
            all += has;
        }
        if (at[t + 1] > at[t]) active[before] = t;
        if (t >= all) active[t] = -1;
    }
}
extern "C" int cuda_moe_route_step(float *weight, int32_t *order, int32_t *place, int32_t *offset, int32_t *active, const float *logits, int n_rows,
                                   int n_expert, int top_k, cuda_stream s, struct error *e) {
    if (n_expert > MAX_EXPERTS || top_k > n_expert || n_rows * top_k > 256 || n_rows > 32)
        return error_set(e, ERR_UNSUPPORTED, "moe", "%d rows of %d from %d experts are not for a step", n_rows, top_k, n_expert);
    return cuda_check(launch_step(route_step_kernel, dim3(1), dim3(256), 0, (cudaStream_t)s, weight, order, place, offset, active, logits, n_rows, n_expert, top_k),
                      "moe_route_step", e);
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
    cudaStream_t st = (cudaStream_t)s;
    int32_t *count = offset + n_expert + 1; /* offset has room for 2 n_expert + 1 */
    top_k_kernel<<<(unsigned)((n_rows + 127) / 128), 128, 0, st>>>(expert, weight, logits, n_rows, n_expert, top_k);
    count_kernel<<<(unsigned)n_expert, 1024, 0, st>>>(count, expert, n_rows * top_k);
    place_kernel<<<(unsigned)n_expert, 1024, 0, st>>>(order, place, offset, count, expert, n_rows * top_k, n_expert);
    return cuda_check(cudaGetLastError(), "moe_route", e);
}

static __global__ void gather_kernel(uint4 *y, const uint4 *x, const int32_t *order, int top_k, int w8) {
    let_next_start();
    wait_for_previous();
    const uint4 *from = x + (size_t)(order[blockIdx.x] / top_k) * w8;
    for (int i = (int)threadIdx.x; i < w8; i += blockDim.x) y[(size_t)blockIdx.x * w8 + i] = from[i];
}
extern "C" int cuda_moe_gather(uint16_t *y, const uint16_t *x, const int32_t *order, int n, int top_k, int width, cuda_stream s, struct error *e) {
    if (n == 0) return 0;
    return cuda_check(launch_step(gather_kernel, dim3((unsigned)n), dim3(128), 0, (cudaStream_t)s, (uint4 *)y, (const uint4 *)x, order, top_k, width / 8),
                      "moe_gather", e);
}

static __global__ void gather_e4m3_kernel(uint4 *y, float *y_scale, const uint4 *x, const float *x_scale, const int32_t *order, int top_k, int w16) {
    const int row = order[blockIdx.x] / top_k;
    for (int i = (int)threadIdx.x; i < w16; i += blockDim.x) y[(size_t)blockIdx.x * w16 + i] = x[(size_t)row * w16 + i];
    if (threadIdx.x == 0) y_scale[blockIdx.x] = x_scale[row];
}
extern "C" int cuda_moe_gather_e4m3(uint8_t *y, float *y_scale, const uint8_t *x, const float *x_scale, const int32_t *order, int n, int top_k, int width,
                                    cuda_stream s, struct error *e) {
    if (n == 0) return 0;
    if (width % 16) return error_set(e, ERR_UNSUPPORTED, "moe_gather_e4m3", "A width of %d is no multiple of 16", width);
    gather_e4m3_kernel<<<(unsigned)n, 128, 0, (cudaStream_t)s>>>((uint4 *)y, y_scale, (const uint4 *)x, x_scale, order, top_k, width / 16);
    return cuda_check(cudaGetLastError(), "moe_gather_e4m3", e);
}

static __global__ void combine_kernel(float *h, const bf16 *y, const int32_t *place, const float *weight, int top_k, int width) {
    let_next_start();
    wait_for_previous();
    const int row = blockIdx.x;
    for (int i = 2 * (int)threadIdx.x; i < width; i += 2 * (int)blockDim.x) {
        float2 v = *(float2 *)(h + (size_t)row * width + i);
        for (int s = 0; s < top_k; s++) {
            int at = place[(size_t)row * top_k + s];
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
