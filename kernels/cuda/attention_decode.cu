/* attention_decode.cu: one query row a timeline over its paged keys. The keys are cut in pieces of 512 aligned at position 0 (split-KV, as
 * Flash-Decoding, Dao et al. 2023); a block takes one piece and one KV head with all the query heads of its group, so K and V are read
 * once a group; a second kernel merges the pieces in order. So bits depend on the timeline's own keys only. Also the append to the pages.
 */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"

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

/* 8 warps; D / 8 lanes share a key (16 bytes of K and of V each), so a warp takes 2 (D 128) or 4 keys at once, for all heads of the group. */
template <int D, int G>
static __global__ void __launch_bounds__(256)
    attention_piece_kernel(float *po, float2 *pml, const bf16 *q, int ldq, const bf16 *pool, const int32_t *const *pages, const int32_t *n_keys,
                           int n_layer, int layer, int n_kv_head, int splits, int group, int n_pieces, float c) {
    constexpr int L = D / 8;      /* lanes a key: 16 bytes each */
    constexpr int KEYS = 32 / L;  /* keys a warp takes at once */
    __shared__ float so[8][G][D];
    __shared__ float sm[8][G], sl[8][G];
    let_next_start();
    wait_for_previous();
    const int piece = blockIdx.x, kv_head = blockIdx.y / splits, head0 = blockIdx.y * group, i = blockIdx.z;
    const int n = n_keys[i], first = piece * PIECE, last = min(first + PIECE, n);
    if (first >= n) return;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, sub = lane / L, part = lane % L;
    const int width = n_kv_head * D;
    const int32_t *pg = pages[i];
    float qv[G][8], o[G][8], m[G], l[G];
#pragma unroll
    for (int g = 0; g < G; g++) {
        m[g] = -INFINITY, l[g] = 0;
        uint4 v = make_uint4(0, 0, 0, 0);
        if (g < group) v = *(const uint4 *)(q + (size_t)i * ldq + (size_t)(head0 + g) * D + 8 * part);
        const uint32_t u[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int t = 0; t < 4; t++) qv[g][2 * t] = __uint_as_float(u[t] << 16) * c, qv[g][2 * t + 1] = __uint_as_float(u[t] & 0xffff0000u) * c;
#pragma unroll
        for (int t = 0; t < 8; t++) o[g][t] = 0;
    }
    for (int k0 = first + warp * KEYS; k0 < last; k0 += 8 * KEYS) {
        int k = k0 + sub;
        bool ok = k < last;
        int kk = ok ? k : last - 1;
        size_t r = ((size_t)pg[kk / CUDA_KV_PAGE] * n_layer + layer) * 2 * CUDA_KV_PAGE + kk % CUDA_KV_PAGE;
        const bf16 *kp = pool + r * width + kv_head * D + 8 * part;
        uint4 kv4 = *(const uint4 *)kp, vv4 = *(const uint4 *)(kp + (size_t)CUDA_KV_PAGE * width);
        float kx[8], vx[8];
        const uint32_t ku[4] = {kv4.x, kv4.y, kv4.z, kv4.w}, vu[4] = {vv4.x, vv4.y, vv4.z, vv4.w};
#pragma unroll
        for (int t = 0; t < 4; t++) {
            kx[2 * t] = __uint_as_float(ku[t] << 16), kx[2 * t + 1] = __uint_as_float(ku[t] & 0xffff0000u);
            vx[2 * t] = __uint_as_float(vu[t] << 16), vx[2 * t + 1] = __uint_as_float(vu[t] & 0xffff0000u);
        }
#pragma unroll
        for (int g = 0; g < G; g++) {
            float s = 0;
#pragma unroll
            for (int t = 0; t < 8; t++) s = fmaf(qv[g][t], kx[t], s);
#pragma unroll
            for (int d = L / 2; d; d >>= 1) s += __shfl_xor_sync(0xffffffffu, s, d);
            if (!ok) s = -INFINITY;
            float mx = fmaxf(m[g], s);
            float f = mx == -INFINITY ? 1.f : ex2(m[g] - mx), p = s == -INFINITY ? 0.f : ex2(s - mx);
            m[g] = mx;
            l[g] = fmaf(l[g], f, p);
#pragma unroll
            for (int t = 0; t < 8; t++) o[g][t] = fmaf(p, vx[t], o[g][t] * f);
        }
    }
    /* the keys of a warp, then the warps: in order */
#pragma unroll
    for (int g = 0; g < G; g++) {
#pragma unroll
        for (int d = L; d < 32; d <<= 1) {
            float m2 = __shfl_xor_sync(0xffffffffu, m[g], d), l2 = __shfl_xor_sync(0xffffffffu, l[g], d), mx = fmaxf(m[g], m2);
            float fa = m[g] == -INFINITY ? 0.f : ex2(m[g] - mx), fb = m2 == -INFINITY ? 0.f : ex2(m2 - mx);
            /* both partners must add in the same order: the lower lane's part first */
            bool low = !(lane & d);
            l[g] = low ? l[g] * fa + l2 * fb : l2 * fb + l[g] * fa;
#pragma unroll
            for (int t = 0; t < 8; t++) {
                float o2 = __shfl_xor_sync(0xffffffffu, o[g][t], d);
                o[g][t] = o[g][t] * fa + o2 * fb;
            }
            m[g] = mx;
        }
        if (sub == 0) {
#pragma unroll
            for (int t = 0; t < 8; t++) so[warp][g][8 * part + t] = o[g][t];
            if (part == 0) sm[warp][g] = m[g], sl[warp][g] = l[g];
        }
    }
    __syncthreads();
    for (int x = (int)threadIdx.x; x < group * D; x += 256) {
        int g = x / D, d = x % D;
        float mx = sm[0][g];
        for (int w = 1; w < 8; w++) mx = fmaxf(mx, sm[w][g]);
        float acc = 0, sum = 0;
        for (int w = 0; w < 8; w++) {
            float f = sm[w][g] == -INFINITY ? 0.f : ex2(sm[w][g] - mx);
            acc = fmaf(so[w][g][d], f, acc);
            sum = fmaf(sl[w][g], f, sum);
        }
        size_t at = ((size_t)i * gridDim.y * group + head0 + g) * n_pieces + piece;
        po[at * D + d] = acc;
        if (d == 0) pml[at] = make_float2(mx, sum);
    }
}

template <int D>
static __global__ void attention_merge_kernel(bf16 *out, const float *po, const float2 *pml, const int32_t *n_keys, int n_head, int n_pieces) {
    let_next_start();
    wait_for_previous();
    const int head = blockIdx.x, i = blockIdx.y, d = threadIdx.x, n = (n_keys[i] + PIECE - 1) / PIECE;
    const size_t at = ((size_t)i * n_head + head) * n_pieces;
    float m = -INFINITY;
    for (int p = 0; p < n; p++) m = fmaxf(m, pml[at + p].x);
    float acc = 0, sum = 0;
    for (int p = 0; p < n; p++) {
        float2 ml = pml[at + p];
        float f = ex2(ml.x - m);
        acc = fmaf(po[(at + p) * D + d], f, acc);
        sum = fmaf(ml.y, f, sum);
    }
    out[((size_t)i * n_head + head) * D + d] = __float2bfloat16(acc / sum);
}

extern "C" size_t cuda_attention_decode_scratch(int n, int n_head, int head_dim, int max_keys) {
    size_t pieces = (size_t)((max_keys + PIECE - 1) / PIECE);
    return (size_t)n * n_head * pieces * ((size_t)head_dim * 4 + sizeof(float2)) + 256;
}

template <int D, int G>
static cudaError_t decode_launch(bf16 *out, const bf16 *q, int ldq, const struct cuda_kv *kv, int layer, const int32_t *const *pages, const int32_t *n_keys,
                          int pieces, int splits, int n, int n_head, float scale, void *scratch, cudaStream_t s) {
    float2 *pml = (float2 *)scratch;
    float *po = (float *)(pml + (size_t)n * n_head * pieces);
    cudaError_t rc = launch_step(attention_piece_kernel<D, G>, dim3((unsigned)pieces, (unsigned)(kv->n_kv_head * splits), (unsigned)n), dim3(256), 0, s, po, pml,
                                 q, ldq, (const bf16 *)kv->pool, pages, n_keys, kv->n_layer, layer, kv->n_kv_head, splits,
                                 n_head / kv->n_kv_head / splits, pieces, scale * LOG2E);
    if (rc != cudaSuccess) return rc;
    return launch_step(attention_merge_kernel<D>, dim3((unsigned)n_head, (unsigned)n), dim3(D), 0, s, out, (const float *)po, (const float2 *)pml, n_keys,
                       n_head, pieces);
}
extern "C" int cuda_attention_decode(uint16_t *out, const uint16_t *q, int ldq, const struct cuda_kv *kv, int layer, const int32_t *const *pages,
                                     const int32_t *n_keys, int max_keys, int n, int n_head, float scale, void *scratch, cuda_stream s,
                                     struct error *e) {
    if (n == 0) return 0;
    int group = n_head / kv->n_kv_head, pieces = (max_keys + PIECE - 1) / PIECE, splits = 1;
    while (group > 10 && group % 2 == 0) group /= 2, splits *= 2; /* more heads than registers: the group's keys are read `splits` times */
    bf16 *o = (bf16 *)out;
    const bf16 *qb = (const bf16 *)q;
    cudaStream_t st = (cudaStream_t)s;
    cudaError_t rc;
#define CASE(D, G) rc = decode_launch<D, G>(o, qb, ldq, kv, layer, pages, n_keys, pieces, splits, n, n_head, scale, scratch, st)
    if (kv->head_dim == 128 && group <= 1) CASE(128, 1);
    else if (kv->head_dim == 128 && group <= 4) CASE(128, 4);
    else if (kv->head_dim == 128 && group <= 8) CASE(128, 8);
    else if (kv->head_dim == 128 && group <= 10) CASE(128, 10);
    else if (kv->head_dim == 64 && group <= 1) CASE(64, 1);
    else if (kv->head_dim == 64 && group <= 4) CASE(64, 4);
    else if (kv->head_dim == 64 && group <= 8) CASE(64, 8);
    else return error_set(e, ERR_UNSUPPORTED, "attention_decode", "head dimension %d with %d query heads a KV head", kv->head_dim, group);
#undef CASE
    return cuda_check(rc, "attention_decode", e);
}
