/* attention_decode.cu: one query row a timeline over its paged keys. The keys are cut in pieces of 512 aligned at position 0 (split-KV, as
 * Flash-Decoding, Dao et al. 2023); a block takes one piece of one KV head with up to 64 query rows: the heads of its group, for one timeline,
 * or for all timelines where they share the piece's pages (forks of one reading), so K and V are read once. Another kernel merges the
 * pieces in order. A row of a tensor-core product does not see its neighbours, so bits depend on the timeline's own keys only. Also the
 * append to the pages.
 *
 * Other devices than Hopper take the plain piece kernel, a warp a row.
 */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/wgmma.cuh"

#define PIECE 512

static __global__ void kv_append_kernel(bf16 *pool, const int32_t *pages, int n_layer, int layer, int position, const bf16 *k, const bf16 *v, int ld,
                                        int width) {
    int t = position + (int)blockIdx.x;
    size_t r = ((size_t)pages[t / CUDA_KV_PAGE] * n_layer + layer) * 2 * CUDA_KV_PAGE + t % CUDA_KV_PAGE;
    for (int i = (int)threadIdx.x; i < width / 8; i += blockDim.x) {
        ((uint4 *)(pool + r * width))[i] = ((const uint4 *)(k + (size_t)blockIdx.x * ld))[i];
        ((uint4 *)(pool + (r + CUDA_KV_PAGE) * width))[i] = ((const uint4 *)(v + (size_t)blockIdx.x * ld))[i];
    }
}
extern "C" int cuda_kv_append(const struct cuda_kv *kv, int layer, const int32_t *pages, int position, const uint16_t *k, const uint16_t *v, int ld,
                              int n_rows, cuda_stream s, struct error *e) {
    if (n_rows == 0) return 0;
    kv_append_kernel<<<(unsigned)n_rows, 128, 0, (cudaStream_t)s>>>((bf16 *)kv->pool, pages, kv->n_layer, layer, position, (const bf16 *)k,
                                                                   (const bf16 *)v, ld, kv->n_kv_head * kv->head_dim);
    return cuda_check(cudaGetLastError(), "kv_append", e);
}
/* Decode: row i of k, v goes to position n_keys[i] - 1 of timeline i. */
static __global__ void kv_append_step_kernel(bf16 *pool, const int32_t *const *pages, const int32_t *n_keys, int n_layer, int layer, const bf16 *k,
                                             const bf16 *v, int ld, int width) {
    let_next_start();
    wait_for_previous();
    int t = n_keys[blockIdx.x] - 1;
    size_t r = ((size_t)pages[blockIdx.x][t / CUDA_KV_PAGE] * n_layer + layer) * 2 * CUDA_KV_PAGE + t % CUDA_KV_PAGE;
    for (int i = (int)threadIdx.x; i < width / 8; i += blockDim.x) {
        ((uint4 *)(pool + r * width))[i] = ((const uint4 *)(k + (size_t)blockIdx.x * ld))[i];
        ((uint4 *)(pool + (r + CUDA_KV_PAGE) * width))[i] = ((const uint4 *)(v + (size_t)blockIdx.x * ld))[i];
    }
}
extern "C" int cuda_kv_append_step(const struct cuda_kv *kv, int layer, const int32_t *const *pages, const int32_t *n_keys, const uint16_t *k,
                                   const uint16_t *v, int ld, int n, cuda_stream s, struct error *e) {
    if (n == 0) return 0;
    return cuda_check(launch_step(kv_append_step_kernel, dim3((unsigned)n), dim3(128), 0, (cudaStream_t)s, (bf16 *)kv->pool, pages, n_keys, kv->n_layer, layer,
                                  (const bf16 *)k, (const bf16 *)v, ld, kv->n_kv_head * kv->head_dim),
                      "kv_append_step", e);
}

#define TILE 64 /* keys of a tile */
#define STAGES 3

template <int D> struct decode_smem {
    bf16 q[D / 64][64][64]; /* rows of 128 bytes, 128-byte swizzle */
    bf16 k[STAGES][D / 64][TILE][64];
    bf16 v[STAGES][D / 64][TILE][64];
    uint64_t full[STAGES], empty[STAGES];
};

#ifdef ANTINOMY_SM90A
__device__ __forceinline__ void pv_tile(float (&o)[64], const uint32_t (&p)[16], const bf16 *v) {
    uint64_t d = wgmma_descriptor(v, TILE * 128, 1024);
#pragma unroll
    for (int i = 0; i < TILE / 16; i++) wgmma_m64n128k16_rs<1>(o, p + 4 * i, d + (uint64_t)(i * 2048 >> 4), 1);
}
__device__ __forceinline__ void pv_tile(float (&o)[32], const uint32_t (&p)[16], const bf16 *v) {
    uint64_t d = wgmma_descriptor(v, TILE * 128, 1024);
#pragma unroll
    for (int i = 0; i < TILE / 16; i++) wgmma_m64n64k16_rs<1>(o, p + 4 * i, d + (uint64_t)(i * 2048 >> 4), 1);
}
#endif

/* Rows of this block: shared false: timeline z, its `group` heads, keys from n_shared on; shared true: rows 64 z .. of the n * group rows, keys
 * before n_shared, pages of timeline 0. Row r is timeline r / group, head kv_head * group + r % group. */
struct decode_args {
    float *po;
    float2 *pml;
    const bf16 *q;
    int ldq;
    const int32_t *const *pages;
    const int32_t *n_keys;
    int n_layer, layer, group, n, n_head, n_pieces, n_shared;
    bool shared;
    float c;
};

template <int D>
static __global__ void __launch_bounds__(160, 2) attention_piece_kernel(const __grid_constant__ CUtensorMap map_kv, const decode_args a) {
#ifdef ANTINOMY_SM90A
    extern __shared__ uint8_t raw[];
    decode_smem<D> &sm = *(decode_smem<D> *)(((uintptr_t)raw + 1023) & ~(uintptr_t)1023);
    let_next_start();
    wait_for_previous();
    const int z = blockIdx.z, kv_head = blockIdx.y, piece = blockIdx.x + (a.shared ? 0 : a.n_shared / PIECE);
    const int first_row = a.shared ? 64 * z : z * a.group, n_rows = a.shared ? min(64, a.n * a.group - first_row) : a.group;
    const int end = a.shared ? a.n_shared : a.n_keys[z], first = piece * PIECE, last = min(first + PIECE, end);
    if (first >= end) return;
    const int n_tiles = (last - first + TILE - 1) / TILE;
    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) mbarrier_init(&sm.full[i], 1), mbarrier_init(&sm.empty[i], 1);
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    if (threadIdx.x < 128) /* the query rows, swizzled as the copy engine would */
        for (int i = (int)threadIdx.x; i < 64 * D / 8; i += 128) {
            int r = i / (D / 8), x = i % (D / 8);
            uint4 v = make_uint4(0, 0, 0, 0);
            if (r < n_rows) {
                int row = first_row + r;
                v = *(const uint4 *)(a.q + (size_t)(row / a.group) * a.ldq + (size_t)(kv_head * a.group + row % a.group) * D + 8 * x);
            }
            *(uint4 *)((uint8_t *)&sm.q[x / 8][r][0] + ((x % 8) ^ (r & 7)) * 16) = v;
        }
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();

    if (threadIdx.x >= 128) { /* producer warp */
        if (threadIdx.x == 128) {
            const int32_t *pages = a.pages[a.shared ? 0 : z];
            for (int j = 0; j < n_tiles; j++) {
                int stage = j % STAGES, key = first + j * TILE;
                int row = (pages[key / CUDA_KV_PAGE] * a.n_layer + a.layer) * 2 * CUDA_KV_PAGE + key % CUDA_KV_PAGE;
                mbarrier_wait(&sm.empty[stage], (uint32_t)(j / STAGES & 1) ^ 1);
                mbarrier_expect(&sm.full[stage], TILE * D * 4);
                for (int x = 0; x < D / 64; x++) {
                    tma_load_2d(sm.k[stage][x], &map_kv, &sm.full[stage], kv_head * D + 64 * x, row);
                    tma_load_2d(sm.v[stage][x], &map_kv, &sm.full[stage], kv_head * D + 64 * x, row + CUDA_KV_PAGE);
                }
            }
        }
        return;
    }
    const int t = threadIdx.x, lane = t % 32, row0 = t / 32 * 16 + lane / 4;
    float o[D / 2], m[2] = {-INFINITY, -INFINITY}, l[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < D / 2; i++) o[i] = 0;
    for (int j = 0; j < n_tiles; j++) {
        const int stage = j % STAGES;
        float s[32];
        uint32_t p[16];
        mbarrier_wait(&sm.full[stage], (uint32_t)(j / STAGES & 1));
        wgmma_fence();
        uint64_t dq = wgmma_descriptor(&sm.q[0][0][0], 16, 1024), dk = wgmma_descriptor(&sm.k[stage][0][0][0], 16, 1024);
#pragma unroll
        for (int i = 0; i < D / 16; i++)
            wgmma_m64n64k16_ss<0>(s, dq + (uint64_t)(((i / 4) * (64 * 128) + (i % 4) * 32) >> 4), dk + (uint64_t)(((i / 4) * (TILE * 128) + (i % 4) * 32) >> 4), i > 0);
        wgmma_commit();
        wgmma_wait<0>();
        const int left = last - (first + j * TILE); /* keys of the tile that count */
        if (left < TILE) {
#pragma unroll
            for (int i = 0; i < 32; i++)
                if (8 * (i / 4) + 2 * (lane % 4) + (i & 1) >= left) s[i] = -INFINITY;
        }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float mx = m[h];
#pragma unroll
            for (int b = 0; b < 8; b++) mx = fmaxf(mx, fmaxf(s[4 * b + 2 * h], s[4 * b + 2 * h + 1]));
            mx = fmaxf(mx, __shfl_xor_sync(0xffffffffu, mx, 1));
            mx = fmaxf(mx, __shfl_xor_sync(0xffffffffu, mx, 2));
            const float f = ex2((m[h] - mx) * a.c), mc = mx * a.c;
            float sum = 0;
            m[h] = mx;
#pragma unroll
            for (int b = 0; b < 8; b++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    float x = ex2(fmaf(s[4 * b + 2 * h + e], a.c, -mc));
                    s[4 * b + 2 * h + e] = x;
                    sum += x;
                }
            l[h] = fmaf(l[h], f, sum);
#pragma unroll
            for (int b = 0; b < D / 8; b++) o[4 * b + 2 * h] *= f, o[4 * b + 2 * h + 1] *= f;
        }
#pragma unroll
        for (int i = 0; i < 16; i++) p[i] = pack_bf16(s[2 * i], s[2 * i + 1]);
        wgmma_fence();
        pv_tile(o, p, &sm.v[stage][0][0][0]);
        wgmma_commit();
        wgmma_wait<0>();
        if (t == 0) mbarrier_arrive(&sm.empty[stage]);
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        l[h] += __shfl_xor_sync(0xffffffffu, l[h], 1);
        l[h] += __shfl_xor_sync(0xffffffffu, l[h], 2);
        int r = row0 + 8 * h;
        if (r >= n_rows) continue;
        int row = first_row + r;
        size_t at = ((size_t)(row / a.group) * a.n_head + kv_head * a.group + row % a.group) * a.n_pieces + piece;
        float *to = a.po + at * D + 2 * (lane % 4);
#pragma unroll
        for (int b = 0; b < D / 8; b++) *(float2 *)(to + 8 * b) = make_float2(o[4 * b + 2 * h], o[4 * b + 2 * h + 1]);
        if (lane % 4 == 0) a.pml[at] = make_float2(m[h] * a.c, l[h]);
    }
#endif
}

/* ---- plain: a warp a row and piece ---- */
template <int D>
static __global__ void attention_piece_plain_kernel(const bf16 *pool, int n_kv_head, const decode_args a) {
    constexpr int per = D / 32;
    const int piece = blockIdx.x, head = blockIdx.y, i = blockIdx.z, lane = threadIdx.x, kv_head = head / a.group, width = n_kv_head * D;
    const int end = a.n_keys[i], first = piece * PIECE, last = min(first + PIECE, end);
    if (first >= end) return;
    float qv[per], o[per], m = -INFINITY, l = 0;
    for (int x = 0; x < per; x++) qv[x] = __bfloat162float(a.q[(size_t)i * a.ldq + (size_t)head * D + lane * per + x]), o[x] = 0;
    for (int k = first; k < last; k++) {
        size_t r = ((size_t)a.pages[i][k / CUDA_KV_PAGE] * a.n_layer + a.layer) * 2 * CUDA_KV_PAGE + k % CUDA_KV_PAGE;
        const bf16 *kr = pool + r * width + kv_head * D + lane * per, *vr = kr + (size_t)CUDA_KV_PAGE * width;
        float s = 0;
        for (int x = 0; x < per; x++) s += qv[x] * __bfloat162float(kr[x]);
        s = warp_sum(s) * a.c;
        float mx = fmaxf(m, s), f = ex2(m - mx), p = ex2(s - mx);
        m = mx;
        l = l * f + p;
        for (int x = 0; x < per; x++) o[x] = o[x] * f + p * __bfloat162float(vr[x]);
    }
    size_t at = ((size_t)i * a.n_head + head) * a.n_pieces + piece;
    for (int x = 0; x < per; x++) a.po[at * D + lane * per + x] = o[x];
    if (lane == 0) a.pml[at] = make_float2(m, l);
}

/* Eight threads a value take every eighth piece; their sums are then added in order. */
template <int D>
static __global__ void __launch_bounds__(8 * D) attention_merge_kernel(bf16 *out, const float *po, const float2 *pml, const int32_t *n_keys, int n_head, int n_pieces) {
    __shared__ float so[8][D], sl[8];
    let_next_start();
    wait_for_previous();
    const int head = blockIdx.x, i = blockIdx.y, d = threadIdx.x % D, part = threadIdx.x / D, n = (n_keys[i] + PIECE - 1) / PIECE;
    const size_t at = ((size_t)i * n_head + head) * n_pieces;
    float m = -INFINITY;
    for (int p = 0; p < n; p++) m = fmaxf(m, pml[at + p].x);
    float acc = 0, sum = 0;
#pragma unroll 4
    for (int p = part; p < n; p += 8) {
        float2 ml = pml[at + p];
        float f = ex2(ml.x - m);
        acc = fmaf(po[(at + p) * D + d], f, acc);
        sum = fmaf(ml.y, f, sum);
    }
    so[part][d] = acc;
    if (d == 0) sl[part] = sum;
    __syncthreads();
    if (part) return;
    for (int p = 1; p < 8; p++) acc += so[p][d];
    sum = sl[0];
    for (int p = 1; p < 8; p++) sum += sl[p];
    out[((size_t)i * n_head + head) * D + d] = __float2bfloat16(acc / sum);
}

extern "C" size_t cuda_attention_decode_scratch(int n, int n_head, int head_dim, int max_keys) {
    size_t pieces = (size_t)((max_keys + PIECE - 1) / PIECE);
    return (size_t)n * n_head * pieces * ((size_t)head_dim * 4 + sizeof(float2)) + 256;
}

template <int D>
static int decode(bf16 *out, const struct cuda_kv *kv, decode_args a, int max_keys, void *scratch, cudaStream_t s, struct error *e) {
    static thread_local bool configured[CUDA_MAX_DEVICES];
    int rc = 0;
    a.pml = (float2 *)scratch;
    a.po = (float *)(a.pml + (size_t)a.n * a.n_head * a.n_pieces);
    if (cuda_is_hopper()) {
        CUtensorMap map;
        const size_t smem = sizeof(decode_smem<D>) + 1024;
        rc = cuda_tensor_map_2d(&map, kv->pool, (uint64_t)kv->n_kv_head * D, (uint64_t)kv->n_pages * kv->n_layer * 2 * CUDA_KV_PAGE,
                                (uint64_t)kv->n_kv_head * D, 64, TILE, e);
        if (!rc && cuda_first_use(configured))
            rc = cuda_check(cudaFuncSetAttribute(attention_piece_kernel<D>, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)smem), "attention_decode", e);
        if (!rc && a.n_shared) {
            a.shared = true;
            rc = cuda_check(launch_step(attention_piece_kernel<D>, dim3((unsigned)(a.n_shared / PIECE), (unsigned)kv->n_kv_head, (unsigned)((a.n * a.group + 63) / 64)),
                                        dim3(160), smem, s, map, a),
                            "attention_decode", e);
            a.shared = false;
        }
        int tail = (max_keys - a.n_shared + PIECE - 1) / PIECE;
        if (!rc && tail > 0)
            rc = cuda_check(launch_step(attention_piece_kernel<D>, dim3((unsigned)tail, (unsigned)kv->n_kv_head, (unsigned)a.n), dim3(160), smem, s, map, a),
                            "attention_decode", e);
    } else {
        attention_piece_plain_kernel<D><<<dim3((unsigned)a.n_pieces, (unsigned)a.n_head, (unsigned)a.n), 32, 0, s>>>((const bf16 *)kv->pool, kv->n_kv_head, a);
        rc = cuda_check(cudaGetLastError(), "attention_decode", e);
    }
    if (!rc)
        rc = cuda_check(launch_step(attention_merge_kernel<D>, dim3((unsigned)a.n_head, (unsigned)a.n), dim3(8 * D), 0, s, out, (const float *)a.po,
                                    (const float2 *)a.pml, a.n_keys, a.n_head, a.n_pieces),
                        "attention_decode", e);
    return rc;
}
extern "C" int cuda_attention_decode(uint16_t *out, const uint16_t *q, int ldq, const struct cuda_kv *kv, int layer, const int32_t *const *pages,
                                     const int32_t *n_keys, int max_keys, int n_shared, int n, int n_head, float scale, void *scratch, cuda_stream s,
                                     struct error *e) {
    if (n == 0) return 0;
    decode_args a = {};
    a.q = (const bf16 *)q, a.ldq = ldq, a.pages = pages, a.n_keys = n_keys, a.n_layer = kv->n_layer, a.layer = layer;
    a.group = n_head / kv->n_kv_head, a.n = n, a.n_head = n_head, a.n_pieces = (max_keys + PIECE - 1) / PIECE, a.n_shared = n_shared, a.c = scale * LOG2E;
    if (a.group > 64) return error_set(e, ERR_UNSUPPORTED, "attention_decode", "%d query heads a KV head are more than 64", a.group);
    if (kv->head_dim == 128) return decode<128>((bf16 *)out, kv, a, max_keys, scratch, (cudaStream_t)s, e);
    if (kv->head_dim == 64) return decode<64>((bf16 *)out, kv, a, max_keys, scratch, (cudaStream_t)s, e);
    return error_set(e, ERR_UNSUPPORTED, "attention_decode", "The GPU kernels know head dimensions 64 and 128, not %d", kv->head_dim);
}
