/* attention_prefill.cu: causal attention of a chunk of queries over the KV cache, tensor cores.
 *
 * Hopper path, after the scheme of FlashAttention-3 (Shah et al. 2024, section 3): a block has one producer warp that brings K and V
 * tiles of 128 keys by the bulk tensor copy engine into a ring, and two consumer warpgroups with 64 query rows each. In a warpgroup the
 * product S_j = Q K_j runs beside O += P_(j-1) V_(j-1), so that the softmax of one tile hides behind the products of its neighbours.
 * Softmax is the online one (Milakov and Gimelshein 2018) in base 2.
 *
 * Invariance: key tiles are aligned at position 0 and taken in ascending order; a tile that is wholly masked for a row changes nothing
 * (maximum stays, factor 1, adds 0). So a row's bits depend on its own query and the keys before it only.
 *
 * Other devices (sm_80 and later) take the plain kernel at the end: one warp a query row and head, same order of tiles, f32.
 */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/wgmma.cuh"

#include <cuda.h>

#define BLOCK_Q 128
#define BLOCK_K 128
#define STAGES 2

template <int D> struct attention_smem {
    bf16 q[D / 64][BLOCK_Q][64]; /* blocks of 64 columns, rows of 128 bytes, 128-byte swizzle */
    bf16 k[STAGES][D / 64][BLOCK_K][64];
    bf16 v[STAGES][D / 64][BLOCK_K][64];
    uint64_t q_full, k_full[STAGES], v_full[STAGES], k_empty[STAGES], v_empty[STAGES];
};

#ifdef ANTINOMY_SM90A
/* S = Q K^T for 64 rows and 128 keys: D / 16 steps. */
template <int D> __device__ __forceinline__ void qk_product(float (&s)[64], const bf16 *q, const bf16 *k) {
    uint64_t dq = wgmma_descriptor(q, 16, 1024), dk = wgmma_descriptor(k, 16, 1024);
#pragma unroll
    for (int i = 0; i < D / 16; i++) {
        uint64_t oq = (uint64_t)((i / 4) * (BLOCK_Q * 128) + (i % 4) * 32) >> 4, ok = (uint64_t)((i / 4) * (BLOCK_K * 128) + (i % 4) * 32) >> 4;
        wgmma_m64n128k16_ss<0>(s, dq + oq, dk + ok, i > 0);
    }
}
/* O += P V: 8 steps of 16 keys; V tile is [keys, D] with D contiguous, hence MN-major. */
__device__ __forceinline__ void pv_product(float (&o)[64], const uint32_t (&p)[32], const bf16 *v) {
    uint64_t dv = wgmma_descriptor(v, BLOCK_K * 128, 1024);
#pragma unroll
    for (int i = 0; i < 8; i++) wgmma_m64n128k16_rs<1>(o, p + 4 * i, dv + (uint64_t)(i * 2048 >> 4), 1);
}
__device__ __forceinline__ void pv_product(float (&o)[32], const uint32_t (&p)[32], const bf16 *v) {
    uint64_t dv = wgmma_descriptor(v, BLOCK_K * 128, 1024);
#pragma unroll
    for (int i = 0; i < 8; i++) wgmma_m64n64k16_rs<1>(o, p + 4 * i, dv + (uint64_t)(i * 2048 >> 4), 1);
}

/* One tile's online softmax for the two rows of this thread. s becomes exp2(s c - m c); m, l move on; factor is what O must be scaled by. */
__device__ __forceinline__ void softmax_tile(float (&s)[64], float (&m)[2], float (&l)[2], float (&factor)[2], float c, bool masked, int row0, int col0) {
    if (masked) {
#pragma unroll
        for (int b = 0; b < 16; b++)
#pragma unroll
            for (int h = 0; h < 2; h++)
#pragma unroll
                for (int e = 0; e < 2; e++)
                    if (col0 + 8 * b + e > row0 + 8 * h) s[4 * b + 2 * h + e] = -INFINITY;
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float mx = m[h];
#pragma unroll
        for (int b = 0; b < 16; b++) mx = fmaxf(mx, fmaxf(s[4 * b + 2 * h], s[4 * b + 2 * h + 1]));
        mx = fmaxf(mx, __shfl_xor_sync(0xffffffffu, mx, 1));
        mx = fmaxf(mx, __shfl_xor_sync(0xffffffffu, mx, 2));
        factor[h] = ex2((m[h] - mx) * c); /* first tile: m = -inf, factor 0; key 0 is visible to every row, so mx is finite */
        m[h] = mx;
        float mc = mx * c, sum = 0;
#pragma unroll
        for (int b = 0; b < 16; b++) {
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float x = ex2(fmaf(s[4 * b + 2 * h + e], c, -mc));
                s[4 * b + 2 * h + e] = x;
                sum += x;
            }
        }
        l[h] = fmaf(l[h], factor[h], sum); /* this thread's part of the row; the four threads of a row are added at the end */
    }
}
__device__ __forceinline__ void to_bf16(uint32_t (&p)[32], const float (&s)[64]) {
#pragma unroll
    for (int i = 0; i < 32; i++) p[i] = pack_bf16(s[2 * i], s[2 * i + 1]);
}
#endif

template <int D>
__global__ void __launch_bounds__(384, 1)
    attention_prefill_kernel(const __grid_constant__ CUtensorMap map_q, const __grid_constant__ CUtensorMap map_kv, const int32_t *pages,
                             int n_layer, int layer, bf16 *out, int n_q, int q_start, int n_head, int n_group, float c) {
#ifdef ANTINOMY_SM90A
    extern __shared__ uint8_t raw[];
    attention_smem<D> &sm = *(attention_smem<D> *)(((uintptr_t)raw + 1023) & ~(uintptr_t)1023);
    const int head = blockIdx.x, kv_head = head / n_group;
    const int tile = gridDim.y - 1 - blockIdx.y; /* the longest first */
    const int q0 = tile * BLOCK_Q;
    const int last = min(q0 + BLOCK_Q, n_q) - 1;
    const int n_tiles = (q_start + last) / BLOCK_K + 1;
    const int group = threadIdx.x / 128;

    if (threadIdx.x == 0) {
        mbarrier_init(&sm.q_full, 1);
        for (int i = 0; i < STAGES; i++) {
            mbarrier_init(&sm.k_full[i], 1);
            mbarrier_init(&sm.v_full[i], 1);
            mbarrier_init(&sm.k_empty[i], 2);
            mbarrier_init(&sm.v_empty[i], 2);
        }
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    __syncthreads();

    if (group == 0) { /* producer */
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        if (threadIdx.x == 0) {
            mbarrier_expect(&sm.q_full, BLOCK_Q * D * 2);
            for (int x = 0; x < D / 64; x++) tma_load_2d(sm.q[x], &map_q, &sm.q_full, head * D + 64 * x, q0);
            for (int j = 0; j < n_tiles; j++) {
                int stage = j % STAGES;
                uint32_t parity = (uint32_t)(j / STAGES & 1);
                int row = (__ldg(pages + j / (CUDA_KV_PAGE / BLOCK_K)) * n_layer + layer) * 2 * CUDA_KV_PAGE + j % (CUDA_KV_PAGE / BLOCK_K) * BLOCK_K;
                mbarrier_wait(&sm.k_empty[stage], parity ^ 1);
                mbarrier_expect(&sm.k_full[stage], BLOCK_K * D * 2);
                for (int x = 0; x < D / 64; x++) tma_load_2d(sm.k[stage][x], &map_kv, &sm.k_full[stage], kv_head * D + 64 * x, row);
                mbarrier_wait(&sm.v_empty[stage], parity ^ 1);
                mbarrier_expect(&sm.v_full[stage], BLOCK_K * D * 2);
                for (int x = 0; x < D / 64; x++) tma_load_2d(sm.v[stage][x], &map_kv, &sm.v_full[stage], kv_head * D + 64 * x, row + CUDA_KV_PAGE);
            }
        }
    } else { /* consumers */
        asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
        const int wg = group - 1, t = threadIdx.x % 128, lane = t % 32;
        const int row0 = 64 * wg + (t / 32) * 16 + lane / 4;    /* in the block; the second row is row0 + 8 */
        const int row_abs = q_start + q0 + row0;
        const int first_masked = (q_start + q0 + 64 * wg) / BLOCK_K; /* tiles from here on meet the diagonal */
        float s[64], o[D / 2], m[2] = {-INFINITY, -INFINITY}, l[2] = {0, 0}, factor[2];
        uint32_t p[32];
#pragma unroll
        for (int i = 0; i < D / 2; i++) o[i] = 0;

        mbarrier_wait(&sm.q_full, 0);
        mbarrier_wait(&sm.k_full[0], 0);
        wgmma_fence();
        qk_product<D>(s, &sm.q[0][64 * wg][0], &sm.k[0][0][0][0]);
        wgmma_commit();
        wgmma_wait<0>();
        if (t == 0) mbarrier_arrive(&sm.k_empty[0]);
        softmax_tile(s, m, l, factor, c, 0 >= first_masked, row_abs, 2 * (lane % 4));
        to_bf16(p, s);

        for (int j = 1; j < n_tiles; j++) {
            int stage = j % STAGES, prev = (j - 1) % STAGES;
            mbarrier_wait(&sm.k_full[stage], (uint32_t)(j / STAGES & 1));
            wgmma_fence();
            qk_product<D>(s, &sm.q[0][64 * wg][0], &sm.k[stage][0][0][0]);
            wgmma_commit();
            mbarrier_wait(&sm.v_full[prev], (uint32_t)((j - 1) / STAGES & 1));
            pv_product(o, p, &sm.v[prev][0][0][0]);
            wgmma_commit();
            wgmma_wait<1>();
            if (t == 0) mbarrier_arrive(&sm.k_empty[stage]);
            softmax_tile(s, m, l, factor, c, j >= first_masked, row_abs, j * BLOCK_K + 2 * (lane % 4));
            wgmma_wait<0>();
            if (t == 0) mbarrier_arrive(&sm.v_empty[prev]);
#pragma unroll
            for (int b = 0; b < D / 8; b++) {
                o[4 * b] *= factor[0], o[4 * b + 1] *= factor[0];
                o[4 * b + 2] *= factor[1], o[4 * b + 3] *= factor[1];
            }
            to_bf16(p, s);
        }
        {
            int prev = (n_tiles - 1) % STAGES;
            mbarrier_wait(&sm.v_full[prev], (uint32_t)((n_tiles - 1) / STAGES & 1));
            wgmma_fence();
            pv_product(o, p, &sm.v[prev][0][0][0]);
            wgmma_commit();
            wgmma_wait<0>();
        }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            l[h] += __shfl_xor_sync(0xffffffffu, l[h], 1);
            l[h] += __shfl_xor_sync(0xffffffffu, l[h], 2);
            float inv = 1.f / l[h];
            int row = q0 + row0 + 8 * h;
            if (row < n_q) {
                uint32_t *to = (uint32_t *)(out + ((size_t)row * n_head + head) * D + 2 * (lane % 4));
#pragma unroll
                for (int b = 0; b < D / 8; b++) to[4 * b] = pack_bf16(o[4 * b + 2 * h] * inv, o[4 * b + 2 * h + 1] * inv);
            }
        }
    }
#endif
}

/* ---- plain kernel: one warp a row and head ---- */
template <int D>
__global__ void attention_prefill_plain_kernel(bf16 *out, const bf16 *q, int ldq, const bf16 *pool, const int32_t *pages, int n_layer, int layer,
                                               int n_q, int q_start, int n_head, int n_kv_head, float c) {
    int row = blockIdx.y * (blockDim.x / 32) + threadIdx.x / 32, head = blockIdx.x, lane = threadIdx.x % 32;
    if (row >= n_q) return;
    constexpr int per = D / 32;
    const int kv_head = head / (n_head / n_kv_head), kv_stride = n_kv_head * D;
    const bf16 *qr = q + (size_t)row * ldq + head * D;
    float qv[per], o[per];
    for (int i = 0; i < per; i++) qv[i] = __bfloat162float(qr[lane * per + i]), o[i] = 0;
    float m = -INFINITY, l = 0;
    for (int t = 0; t <= q_start + row; t++) {
        size_t r = ((size_t)pages[t / CUDA_KV_PAGE] * n_layer + layer) * 2 * CUDA_KV_PAGE + t % CUDA_KV_PAGE;
        const bf16 *kr = pool + r * kv_stride + kv_head * D + lane * per, *vr = kr + (size_t)CUDA_KV_PAGE * kv_stride;
        float s = 0;
        for (int i = 0; i < per; i++) s += qv[i] * __bfloat162float(kr[i]);
        s = warp_sum(s);
        float mx = fmaxf(m, s), f = ex2((m - mx) * c), p = ex2((s - mx) * c);
        m = mx;
        l = l * f + p;
        for (int i = 0; i < per; i++) o[i] = o[i] * f + p * __bfloat162float(vr[i]);
    }
    for (int i = 0; i < per; i++) out[((size_t)row * n_head + head) * D + lane * per + i] = __float2bfloat16(o[i] / l);
}

template <int D>
static int launch(bf16 *out, const bf16 *q, int ldq, const struct cuda_kv *kv, int layer, const int32_t *pages, int n_q, int q_start, int n_head,
                  float scale, cudaStream_t stream, struct error *e) {
    static thread_local bool configured[CUDA_MAX_DEVICES];
    if (!cuda_is_hopper()) {
        attention_prefill_plain_kernel<D><<<dim3((unsigned)n_head, (unsigned)((n_q + 3) / 4)), 128, 0, stream>>>(
            out, q, ldq, (const bf16 *)kv->pool, pages, kv->n_layer, layer, n_q, q_start, n_head, kv->n_kv_head, scale * LOG2E);
        return cuda_check(cudaGetLastError(), "attention_prefill", e);
    }
    CUtensorMap mq, mkv;
    int rc = cuda_tensor_map_2d(&mq, q, (uint64_t)n_head * D, (uint64_t)n_q, (uint64_t)ldq, 64, BLOCK_Q, e);
    if (!rc)
        rc = cuda_tensor_map_2d(&mkv, kv->pool, (uint64_t)kv->n_kv_head * D, (uint64_t)kv->n_pages * kv->n_layer * 2 * CUDA_KV_PAGE,
                                (uint64_t)kv->n_kv_head * D, 64, BLOCK_K, e);
    int smem = (int)sizeof(attention_smem<D>) + 1024;
    if (!rc && cuda_first_use(configured))
        rc = cuda_check(cudaFuncSetAttribute(attention_prefill_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, smem), "attention_prefill", e);
    if (rc) return rc;
    dim3 grid((unsigned)n_head, (unsigned)((n_q + BLOCK_Q - 1) / BLOCK_Q));
    attention_prefill_kernel<D><<<grid, 384, smem, stream>>>(mq, mkv, pages, kv->n_layer, layer, out, n_q, q_start, n_head, n_head / kv->n_kv_head,
                                                             scale * LOG2E);
    return cuda_check(cudaGetLastError(), "attention_prefill", e);
}

extern "C" int cuda_attention_prefill(uint16_t *out, const uint16_t *q, int ldq, const struct cuda_kv *kv, int layer, const int32_t *pages,
                                      int n_q, int q_start, int n_head, float scale, cuda_stream s, struct error *e) {
    if (kv->head_dim == 128)
        return launch<128>((bf16 *)out, (const bf16 *)q, ldq, kv, layer, pages, n_q, q_start, n_head, scale, (cudaStream_t)s, e);
    if (kv->head_dim == 64) return launch<64>((bf16 *)out, (const bf16 *)q, ldq, kv, layer, pages, n_q, q_start, n_head, scale, (cudaStream_t)s, e);
    return error_set(e, ERR_UNSUPPORTED, "attention_prefill", "The GPU kernels know head dimensions 64 and 128, not %d", kv->head_dim);
}
