/* sampling.cu: what follows the output head. CPU twins: kernels/cpu/sampling.c, kernels/cpu/choose.c. */
#include "kernels/choose.h"
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

/* ---- the choice of a token: the rule is in kernels/choose.h; one block, since a row of 65,536 logits is 256 KiB ---- */
#define CHOOSERS 1024
#define BINS 1024    /* of (max - l) / temperature, 32 to a unit: the integers that weights are reach 28.5 */
#define LISTED 1536  /* tokens of the bin where the nucleus ends that fit in shared memory; of more the logits are read again and again */

struct chooser {
    uint64_t bin[BINS], part[CHOOSERS / 32];
    uint64_t weight[LISTED];
    uint32_t key[LISTED], index[LISTED];
    int n_listed, found;
};

__device__ __forceinline__ uint64_t add_up(uint64_t *part, uint64_t v) { /* over the block; all threads get it */
#pragma unroll
    for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
    __syncthreads();
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    __syncthreads();
    v = part[threadIdx.x % 32];
#pragma unroll
    for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}
__device__ __forceinline__ int bin_of(double x) {
    return x > -28.5 ? min((int)CHOOSE_MUL(x, -32.0), BINS - 1) : BINS - 1;
}

/* chosen = place among the n; logprob. */
static __global__ void __launch_bounds__(CHOOSERS) choose_kernel(int32_t *chosen, float *logprob, const float *logits, int n, float temperature, float top_p,
                                                                 double u) {
    __shared__ chooser sm;
    const int t = threadIdx.x, lane = t % 32, warp = t / 32;
    /* the largest, the first of equals: key and index in one number */
    uint64_t best = 0;
    for (int i = t; i < n; i += CHOOSERS) {
        const uint64_t v = (uint64_t)choose_key(logits[i]) << 32 | (uint32_t)~i;
        best = v > best ? v : best;
    }
#pragma unroll
    for (int o = 16; o; o >>= 1) {
        const uint64_t v = __shfl_xor_sync(0xffffffffu, best, o);
        best = v > best ? v : best;
    }
    if (lane == 0) sm.part[warp] = best;
    __syncthreads();
    for (int i = 0; i < CHOOSERS / 32; i++) best = sm.part[i] > best ? sm.part[i] : best;
    const int first = (int)~(uint32_t)best;
    const float max = logits[first];

    uint64_t sum = 0, all = 0;
    const bool samples = temperature > 0, cuts = samples && top_p > 0 && top_p < 1;
    for (int i = t; i < BINS; i += CHOOSERS) sm.bin[i] = 0;
    if (t == 0) sm.n_listed = 0, sm.found = first;
    __syncthreads();
    for (int i = t; i < n; i += CHOOSERS) {
        const float l = logits[i];
        sum += choose_weight(choose_distance(l, max, 1));
        if (samples) {
            const double x = choose_distance(l, max, temperature);
            const uint64_t w = choose_weight(x);
            all += w;
            if (cuts && w) atomicAdd((unsigned long long *)&sm.bin[bin_of(x)], (unsigned long long)w); /* integers: any order */
        }
    }
    sum = add_up(sm.part, sum), all = add_up(sm.part, all);
    if (samples && sum) {
        uint64_t reached = all;
        uint32_t edge = 0, last = 0xffffffffu; /* the nucleus: keys above edge, and those equal to it up to index last */
        if (cuts) {
            const uint64_t goal = choose_goal(top_p, all);
            uint64_t above = 0;
            int bin = 0;
            while (bin < BINS - 1 && above + sm.bin[bin] < goal) above += sm.bin[bin++];
            for (int i = t; i < n; i += CHOOSERS) { /* in any order: what is made of the list does not depend on it */
                const double x = choose_distance(logits[i], max, temperature);
                const uint64_t w = choose_weight(x);
                if (!w || bin_of(x) != bin) continue;
                const int at = atomicAdd(&sm.n_listed, 1);
                if (at < LISTED) sm.key[at] = choose_key(logits[i]), sm.index[at] = (uint32_t)i, sm.weight[at] = w;
            }
            __syncthreads();
            const int n_listed = sm.n_listed;
            const bool fits = n_listed <= LISTED;
            /* f(key, index, weight) added up over the bin */
            auto over_bin = [&](auto f) {
                uint64_t v = 0;
                if (fits) {
                    for (int i = t; i < n_listed; i += CHOOSERS) v += f(sm.key[i], sm.index[i], sm.weight[i]);
                } else {
                    for (int i = t; i < n; i += CHOOSERS) {
                        const double x = choose_distance(logits[i], max, temperature);
                        const uint64_t w = choose_weight(x);
                        if (w && bin_of(x) == bin) v += f(choose_key(logits[i]), (uint32_t)i, w);
                    }
                }
                return add_up(sm.part, v);
            };
            for (int bit = 31; bit >= 0; bit--) { /* the largest key from which on the weights reach the goal */
                const uint32_t key = edge | 1u << bit;
                if (above + over_bin([&](uint32_t k, uint32_t, uint64_t w) { return k >= key ? w : 0; }) >= goal) edge = key;
            }
            above += over_bin([&](uint32_t k, uint32_t, uint64_t w) { return k > edge ? w : 0; });
            const uint64_t ties = over_bin([&](uint32_t k, uint32_t, uint64_t w) { return k == edge ? w : 0; });
            const uint64_t n_equal = over_bin([&](uint32_t k, uint32_t, uint64_t) { return (uint64_t)(k == edge); });
            const uint64_t one = n_equal ? ties / n_equal : 1, want = (goal - above + one - 1) / one;
            reached = above + want * one;
            uint32_t before = 0; /* the largest index that leaves fewer than `want` of the equals up to it; then one more */
            for (int bit = 30; bit >= 0; bit--) {
                const uint32_t index = before | 1u << bit;
                if (over_bin([&](uint32_t k, uint32_t i, uint64_t) { return (uint64_t)(k == edge && i < index); }) < want) before = index;
            }
            last = before;
        }
        /* a warp takes a run of the row: which one holds the place, then where in it */
        const uint64_t place = choose_place(u, reached);
        const int per = ((n + CHOOSERS - 1) / CHOOSERS) * 32, from = warp * per, to = min(from + per, n);
        auto weight_at = [&](int i) -> uint64_t {
            if (i >= to) return 0;
            const uint32_t k = choose_key(logits[i]);
            if (cuts && (k < edge || (k == edge && (uint32_t)i > last))) return 0;
            return choose_weight(choose_distance(logits[i], max, temperature));
        };
        uint64_t mine = 0;
        for (int i = from + lane; i < from + per; i += 32) mine += weight_at(i);
#pragma unroll
        for (int o = 16; o; o >>= 1) mine += __shfl_xor_sync(0xffffffffu, mine, o);
        __syncthreads();
        if (lane == 0) sm.part[warp] = mine;
        __syncthreads();
        uint64_t before = 0;
        for (int i = 0; i < warp; i++) before += sm.part[i];
        if (before <= place && place < before + mine) { /* one warp */
            for (int i = from + lane; i < from + per; i += 32) {
                const uint64_t w = weight_at(i);
                uint64_t through = w; /* inclusive */
#pragma unroll
                for (int o = 1; o < 32; o *= 2) {
                    const uint64_t v = __shfl_up_sync(0xffffffffu, through, o);
                    if (lane >= o) through += v;
                }
                const unsigned beyond = __ballot_sync(0xffffffffu, before + through > place);
                if (beyond) {
                    if (lane == __ffs(beyond) - 1) sm.found = i;
                    break;
                }
                before += __shfl_sync(0xffffffffu, through, 31);
            }
        }
        __syncthreads();
    }
    if (t == 0) {
        *chosen = sm.found;
        *logprob = sum ? choose_logprob(logits[sm.found], max, sum) : 0;
    }
}
extern "C" int cuda_choose(int32_t *chosen, float *logprob, const float *logits, int n, float temperature, float top_p, double u, cuda_stream s,
                           struct error *e) {
    if (n <= 0) return error_set(e, ERR_ARG, "choose", "There is nothing to choose among");
    choose_kernel<<<1, CHOOSERS, 0, (cudaStream_t)s>>>(chosen, logprob, logits, n, temperature, top_p, u);
    return cuda_check(cudaGetLastError(), "choose", e);
}

/* Rows ids[i] of a matrix, 16 bytes a thread; scales with them. */
static __global__ void pick_rows_kernel(uint4 *to, float *to_scale, const uint4 *from, const float *from_scale, const int32_t *ids, size_t row16) {
    const size_t id = (size_t)ids[blockIdx.x];
    for (size_t i = threadIdx.x; i < row16; i += blockDim.x) to[blockIdx.x * row16 + i] = from[id * row16 + i];
    if (from_scale && threadIdx.x == 0) to_scale[blockIdx.x] = from_scale[id];
}
extern "C" int cuda_pick_rows(void *to, float *to_scale, const struct cuda_matrix *from, const int32_t *ids, int n, cuda_stream s, struct error *e) {
    const void *data = from->bf16 ? (const void *)from->bf16 : from->i8 ? (const void *)from->i8 : (const void *)from->e4m3;
    const size_t row = (size_t)from->n_in * (from->bf16 ? 2 : 1);
    if (n == 0) return 0;
    if (row % 16) return error_set(e, ERR_UNSUPPORTED, "pick_rows", "Rows of %zu bytes are no multiple of 16", row);
    pick_rows_kernel<<<(unsigned)n, 128, 0, (cudaStream_t)s>>>((uint4 *)to, to_scale, (const uint4 *)data, from->scale, ids, row / 16);
    return cuda_check(cudaGetLastError(), "pick_rows", e);
}

static __global__ void pick_kernel(float *to, const float *from, const int32_t *ids, int n) {
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) to[i] = from[ids[i]];
}
extern "C" int cuda_pick(float *to, const float *from, const int32_t *ids, int n, cuda_stream s, struct error *e) {
    if (n == 0) return 0;
    pick_kernel<<<(unsigned)((n + 255) / 256), 256, 0, (cudaStream_t)s>>>(to, from, ids, n);
    return cuda_check(cudaGetLastError(), "pick", e);
}
