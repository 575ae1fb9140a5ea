/* linear.cu: y = x W^T. Prefill goes through cuBLASLt on bf16 (an int8 matrix is first dequantised into a scratch; in a pass over many rows
 * that costs little, see tests/bench/RESULTS.md); decode through a kernel that reads the weights once at memory speed.
 *
 * Invariance: cuBLASLt's choice is made once a shape (n_out, n_in, output type), for a large row count, with split sums forbidden, and used
 * for every row count; so the order of a row's sums is one. The gemv kernel adds in its own order (decode is another path).
 */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"

#include <cublasLt.h>
#include <stdlib.h>

#define WORKSPACE_BYTES ((size_t)64 << 20)
#define MAX_SHAPES 64
#define CHOICE_ROWS 8192 /* row count the algorithm is chosen for */

struct shape {
    int n_out, n_in, ldx, ldy;
    bool f32, add;
    cublasLtMatmulDesc_t desc;
    cublasLtMatmulAlgo_t algo;
};
struct cuda_gemm {
    cublasLtHandle_t handle;
    void *workspace;
    bf16 *scratch;
    size_t scratch_elements;
    const void *in_scratch; /* the int8 matrix that lies dequantised in the scratch */
    struct shape shapes[MAX_SHAPES];
    int n_shapes;
};

static int lt_check(cublasStatus_t rc, const char *what, struct error *e) {
    return rc == CUBLAS_STATUS_SUCCESS ? 0 : error_set(e, ERR_DEVICE, what, "cuBLASLt reported status %d", (int)rc);
}

extern "C" int cuda_gemm_open(struct cuda_gemm **out, size_t scratch_elements, struct error *e) {
    struct cuda_gemm *g = (struct cuda_gemm *)calloc(1, sizeof *g);
    *out = NULL;
    if (!g) return error_set(e, ERR_NOMEM, "gemm", "Out of memory");
    int rc = lt_check(cublasLtCreate(&g->handle), "gemm", e);
    if (!rc) rc = cuda_alloc(&g->workspace, WORKSPACE_BYTES, e);
    if (!rc && scratch_elements) rc = cuda_alloc((void **)&g->scratch, scratch_elements * 2, e);
    g->scratch_elements = scratch_elements;
    if (rc) {
        cuda_gemm_close(g);
        return rc;
    }
    *out = g;
    return 0;
}

extern "C" void cuda_gemm_close(struct cuda_gemm *g) {
    if (!g) return;
    for (int i = 0; i < g->n_shapes; i++) cublasLtMatmulDescDestroy(g->shapes[i].desc);
    cuda_free(g->workspace);
    cuda_free(g->scratch);
    if (g->handle) cublasLtDestroy(g->handle);
    free(g);
}

/* Row-major y = x W^T is, seen column-major, Y^T [n_out, rows] = W [n_in, n_out]^T x X^T [n_in, rows]. */
static int layouts(cublasLtMatrixLayout_t l[3], const struct shape *s, int rows, struct error *e) {
    l[0] = l[1] = l[2] = NULL;
    int rc = lt_check(cublasLtMatrixLayoutCreate(&l[0], CUDA_R_16BF, s->n_in, s->n_out, s->n_in), "gemm", e);
    if (!rc) rc = lt_check(cublasLtMatrixLayoutCreate(&l[1], CUDA_R_16BF, s->n_in, rows, s->ldx), "gemm", e);
    if (!rc) rc = lt_check(cublasLtMatrixLayoutCreate(&l[2], s->f32 ? CUDA_R_32F : CUDA_R_16BF, s->n_out, rows, s->ldy), "gemm", e);
    return rc;
}
static void layouts_free(cublasLtMatrixLayout_t l[3]) {
    for (int i = 0; i < 3; i++)
        if (l[i]) cublasLtMatrixLayoutDestroy(l[i]);
}

static int shape_find(struct cuda_gemm *g, struct shape **out, int n_out, int n_in, int ldx, int ldy, bool f32, bool add, struct error *e) {
    for (int i = 0; i < g->n_shapes; i++) {
        struct shape *s = &g->shapes[i];
        if (s->n_out == n_out && s->n_in == n_in && s->ldx == ldx && s->ldy == ldy && s->f32 == f32 && s->add == add) {
            *out = s;
            return 0;
        }
    }
    if (g->n_shapes == MAX_SHAPES) return error_set(e, ERR_LIMIT, "gemm", "More than %d matrix shapes", MAX_SHAPES);
    struct shape *s = &g->shapes[g->n_shapes];
    *s = (struct shape){n_out, n_in, ldx, ldy, f32, add, NULL, {}};
    cublasLtMatrixLayout_t l[3] = {NULL, NULL, NULL};
    cublasLtMatmulPreference_t pref = NULL;
    cublasOperation_t t = CUBLAS_OP_T;
    cublasLtMatmulHeuristicResult_t found[1];
    int n_found = 0;
    uint32_t mask = CUBLASLT_REDUCTION_SCHEME_NONE;
    size_t ws = WORKSPACE_BYTES;
    int rc = lt_check(cublasLtMatmulDescCreate(&s->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "gemm", e);
    if (!rc) rc = lt_check(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_TRANSA, &t, sizeof t), "gemm", e);
    if (!rc) rc = layouts(l, s, CHOICE_ROWS, e);
    if (!rc) rc = lt_check(cublasLtMatmulPreferenceCreate(&pref), "gemm", e);
    if (!rc) rc = lt_check(cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &ws, sizeof ws), "gemm", e);
    if (!rc) rc = lt_check(cublasLtMatmulPreferenceSetAttribute(pref, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &mask, sizeof mask), "gemm", e);
    if (!rc) rc = lt_check(cublasLtMatmulAlgoGetHeuristic(g->handle, s->desc, l[0], l[1], l[2], l[2], pref, 1, found, &n_found), "gemm", e);
    if (!rc && n_found == 0) rc = error_set(e, ERR_DEVICE, "gemm", "cuBLASLt has no algorithm for %d x %d", n_out, n_in);
    if (!rc) {
        s->algo = found[0].algo;
        g->n_shapes++;
        *out = s;
    } else if (s->desc) {
        cublasLtMatmulDescDestroy(s->desc);
    }
    if (pref) cublasLtMatmulPreferenceDestroy(pref);
    layouts_free(l);
    return rc;
}

extern "C" int cuda_linear(struct cuda_gemm *g, const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, float *y32,
                           int ldy, bool add, cuda_stream s, struct error *e) {
    if (n_rows == 0) return 0;
    struct shape *sh;
    int rc = shape_find(g, &sh, w->n_out, w->n_in, ldx, ldy, y32 != NULL, add, e);
    const void *weights = w->bf16;
    if (!rc && w->i8) {
        size_t n = (size_t)w->n_out * (size_t)w->n_in;
        if (n > g->scratch_elements) return error_set(e, ERR_LIMIT, "gemm", "The int8 matrix %d x %d is larger than the scratch", w->n_out, w->n_in);
        if (g->in_scratch != w->i8) rc = cuda_dequantise((uint16_t *)g->scratch, w->i8, w->scale, (size_t)w->n_out, (size_t)w->n_in, s, e);
        g->in_scratch = rc ? NULL : w->i8;
        weights = g->scratch;
    }
    cublasLtMatrixLayout_t l[3] = {NULL, NULL, NULL};
    if (!rc) rc = layouts(l, sh, n_rows, e);
    float alpha = 1, beta = add ? 1.f : 0.f;
    void *c = y32 ? (void *)y32 : (void *)y;
    if (!rc)
        rc = lt_check(cublasLtMatmul(g->handle, sh->desc, &alpha, weights, l[0], x, l[1], &beta, c, l[2], c, l[2], &sh->algo, g->workspace,
                                     WORKSPACE_BYTES, (cudaStream_t)s),
                      "gemm", e);
    layouts_free(l);
    return rc;
}

/* ---- int8 <-> bf16 ---- */
static __global__ void dequantise_kernel(uint4 *out, const uint2 *q, const float *scale, size_t n_in8) {
    size_t row = blockIdx.y;
    float s = scale[row];
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n_in8; i += (size_t)gridDim.x * blockDim.x) {
        union {
            uint2 v;
            int8_t b[8];
        } u;
        u.v = q[row * n_in8 + i];
        uint4 r;
        r.x = pack_bf16((float)u.b[0] * s, (float)u.b[1] * s), r.y = pack_bf16((float)u.b[2] * s, (float)u.b[3] * s);
        r.z = pack_bf16((float)u.b[4] * s, (float)u.b[5] * s), r.w = pack_bf16((float)u.b[6] * s, (float)u.b[7] * s);
        out[row * n_in8 + i] = r;
    }
}
extern "C" int cuda_dequantise(uint16_t *out, const int8_t *q, const float *scale, size_t n_out, size_t n_in, cuda_stream s, struct error *e) {
    if (n_in % 8) return error_set(e, ERR_UNSUPPORTED, "dequantise", "Rows of %zu values are no multiple of 8", n_in);
    for (size_t r = 0; r < n_out; r += 65535) { /* gridDim.y */
        size_t n = n_out - r < 65535 ? n_out - r : 65535;
        dequantise_kernel<<<dim3((unsigned)((n_in / 8 + 255) / 256), (unsigned)n), 256, 0, (cudaStream_t)s>>>(
            (uint4 *)(out + r * n_in), (const uint2 *)(q + r * n_in), scale + r, n_in / 8);
    }
    return cuda_check(cudaGetLastError(), "dequantise", e);
}

static __global__ void quantise_rows_kernel(int8_t *q, float *scale, const bf16 *w, size_t n_in) {
    size_t row = blockIdx.x;
    __shared__ float part[8];
    float m = 0;
    for (size_t i = threadIdx.x; i < n_in; i += blockDim.x) m = fmaxf(m, fabsf(__bfloat162float(w[row * n_in + i])));
    m = warp_max(m);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = m;
    __syncthreads();
    m = part[0];
    for (int i = 1; i < 8; i++) m = fmaxf(m, part[i]);
    float s = m / 127.f, inv = m > 0 ? 127.f / m : 0.f;
    if (threadIdx.x == 0) scale[row] = s;
    for (size_t i = threadIdx.x; i < n_in; i += blockDim.x) q[row * n_in + i] = (int8_t)__float2int_rn(__bfloat162float(w[row * n_in + i]) * inv);
}
extern "C" int cuda_quantise_rows(int8_t *q, float *scale, const uint16_t *w, size_t n_out, size_t n_in, cuda_stream s, struct error *e) {
    quantise_rows_kernel<<<(unsigned)n_out, 256, 0, (cudaStream_t)s>>>(q, scale, (const bf16 *)w, n_in);
    return cuda_check(cudaGetLastError(), "quantise_rows", e);
}

/* ---- decode: one warp a weight row (two rows a warp where there are many), 16 bytes a lane and load, activations in shared memory as f32 ---- */
__device__ __forceinline__ void fma_bf16x8(float &acc, uint4 w, const float *x) {
    const uint32_t v[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        acc = fmaf(__uint_as_float(v[i] << 16), x[2 * i], acc);
        acc = fmaf(__uint_as_float(v[i] & 0xffff0000u), x[2 * i + 1], acc);
    }
}
__device__ __forceinline__ float i8_to_f32(uint32_t v, int byte) {
    return (float)(int8_t)(v >> (8 * byte));
}

#define GEMV_WARPS 8
/* R rows of x at once. x is staged as f32 in shared memory, [R][n_in], in an order that lets a lane read float4. */
template <int R, bool I8>
static __device__ __forceinline__ void gemv_row(float (&acc)[R], const void *w, const float *xs, int n_in, int lane) {
    if (I8) {
        const uint4 *p = (const uint4 *)w;
#pragma unroll 4
        for (int i = lane; i < n_in / 16; i += 32) {
            uint4 v = __ldcs(p + i);
            const uint32_t u[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (int r = 0; r < R; r++) {
                const float4 *x = (const float4 *)(xs + (size_t)r * n_in) + 4 * (size_t)i;
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    float4 xv = x[j ^ (lane >> 1 & 3)];
                    uint32_t uu = u[j ^ (lane >> 1 & 3)];
                    acc[r] = fmaf(i8_to_f32(uu, 0), xv.x, acc[r]);
                    acc[r] = fmaf(i8_to_f32(uu, 1), xv.y, acc[r]);
                    acc[r] = fmaf(i8_to_f32(uu, 2), xv.z, acc[r]);
                    acc[r] = fmaf(i8_to_f32(uu, 3), xv.w, acc[r]);
                }
            }
        }
    } else {
        const uint4 *p = (const uint4 *)w;
#pragma unroll 4
        for (int i = lane; i < n_in / 8; i += 32) {
            uint4 v = __ldcs(p + i);
#pragma unroll
            for (int r = 0; r < R; r++) {
                const float4 *x = (const float4 *)(xs + (size_t)r * n_in) + 2 * (size_t)i;
                float xv[8];
                *(float4 *)xv = x[0], *(float4 *)(xv + 4) = x[1];
                fma_bf16x8(acc[r], v, xv);
            }
        }
    }
}

template <int R, bool I8>
static __global__ void __launch_bounds__(32 * GEMV_WARPS)
    gemv_kernel(bf16 *y, float *y32, int ldy, const void *w, const float *scale, const bf16 *x, int ldx, int n_out, int n_in, int n_rows, bool add) {
    extern __shared__ float xs[];
    for (int i = threadIdx.x; i < R * n_in / 2; i += blockDim.x) {
        int r = i / (n_in / 2), c = i % (n_in / 2);
        uint32_t v = r < n_rows ? *(const uint32_t *)(x + (size_t)r * ldx + 2 * c) : 0;
        xs[r * n_in + 2 * c] = __uint_as_float(v << 16);
        xs[r * n_in + 2 * c + 1] = __uint_as_float(v & 0xffff0000u);
    }
    __syncthreads();
    const int lane = threadIdx.x % 32;
    for (int row = blockIdx.x * GEMV_WARPS + threadIdx.x / 32; row < n_out; row += gridDim.x * GEMV_WARPS) {
        float acc[R];
#pragma unroll
        for (int r = 0; r < R; r++) acc[r] = 0;
        gemv_row<R, I8>(acc, (const char *)w + (size_t)row * n_in * (I8 ? 1 : 2), xs, n_in, lane);
        float s = I8 ? scale[row] : 1.f;
#pragma unroll
        for (int r = 0; r < R; r++) {
            float v = warp_sum(acc[r]) * s;
            if (lane == 0 && r < n_rows) {
                if (y32) {
                    float *to = y32 + (size_t)r * ldy + row;
                    *to = add ? *to + v : v;
                } else {
                    y[(size_t)r * ldy + row] = __float2bfloat16(v);
                }
            }
        }
    }
}

template <int R>
static int gemv_launch(const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, float *y32, int ldy, bool add,
                       cudaStream_t s, struct error *e) {
    size_t smem = (size_t)R * (size_t)w->n_in * 4;
    unsigned blocks = (unsigned)((w->n_out + GEMV_WARPS - 1) / GEMV_WARPS);
    if (blocks > 132 * 8) blocks = 132 * 8;
    int rc = 0;
    if (w->i8) {
        if (smem > 48 << 10) rc = cuda_check(cudaFuncSetAttribute(gemv_kernel<R, true>, cudaFuncAttributeMaxDynamicSharedMemorySize, 220 << 10), "gemv", e);
        if (!rc) gemv_kernel<R, true><<<blocks, 32 * GEMV_WARPS, smem, s>>>((bf16 *)y, y32, ldy, w->i8, w->scale, (const bf16 *)x, ldx, w->n_out, w->n_in, n_rows, add);
    } else {
        if (smem > 48 << 10) rc = cuda_check(cudaFuncSetAttribute(gemv_kernel<R, false>, cudaFuncAttributeMaxDynamicSharedMemorySize, 220 << 10), "gemv", e);
        if (!rc) gemv_kernel<R, false><<<blocks, 32 * GEMV_WARPS, smem, s>>>((bf16 *)y, y32, ldy, w->bf16, NULL, (const bf16 *)x, ldx, w->n_out, w->n_in, n_rows, add);
    }
    return rc ? rc : cuda_check(cudaGetLastError(), "gemv", e);
}
extern "C" int cuda_gemv(const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, float *y32, int ldy, bool add,
                         cuda_stream s, struct error *e) {
    if (w->n_in % 16 || ldx % 2 || n_rows > 8 || (size_t)(n_rows > 4 ? 8 : n_rows > 2 ? 4 : n_rows) * (size_t)w->n_in * 4 > 220 << 10)
        return error_set(e, ERR_UNSUPPORTED, "gemv", "%d rows of %d values are not for this kernel", n_rows, w->n_in);
    switch (n_rows) {
    case 0: return 0;
    case 1: return gemv_launch<1>(w, x, ldx, n_rows, y, y32, ldy, add, (cudaStream_t)s, e);
    case 2: return gemv_launch<2>(w, x, ldx, n_rows, y, y32, ldy, add, (cudaStream_t)s, e);
    case 3:
    case 4: return gemv_launch<4>(w, x, ldx, n_rows, y, y32, ldy, add, (cudaStream_t)s, e);
    default: return gemv_launch<8>(w, x, ldx, n_rows, y, y32, ldy, add, (cudaStream_t)s, e);
    }
}

/* Chosen experts of a decode step: block (row group, slot), one warp a weight row. */
template <bool I8>
static __global__ void __launch_bounds__(32 * GEMV_WARPS)
    moe_gemv_kernel(bf16 *y, const void *w, const float *scale, const int32_t *expert, const bf16 *x, bool x_per_slot, int top_k, int n_out, int n_in) {
    extern __shared__ float xs[];
    const int slot = blockIdx.y; /* row * top_k + s */
    const bf16 *xr = x + (size_t)(x_per_slot ? slot : slot / top_k) * n_in;
    for (int i = threadIdx.x; i < n_in / 2; i += blockDim.x) {
        uint32_t v = *(const uint32_t *)(xr + 2 * i);
        xs[2 * i] = __uint_as_float(v << 16), xs[2 * i + 1] = __uint_as_float(v & 0xffff0000u);
    }
    __syncthreads();
    const size_t first = (size_t)expert[slot] * n_out;
    const int lane = threadIdx.x % 32;
    for (int row = blockIdx.x * GEMV_WARPS + threadIdx.x / 32; row < n_out; row += gridDim.x * GEMV_WARPS) {
        float acc[1] = {0};
        gemv_row<1, I8>(acc, (const char *)w + (first + row) * n_in * (I8 ? 1 : 2), xs, n_in, lane);
        float v = warp_sum(acc[0]) * (I8 ? scale[first + row] : 1.f);
        if (lane == 0) y[(size_t)slot * n_out + row] = __float2bfloat16(v);
    }
}
extern "C" int cuda_moe_gemv(const struct cuda_matrix *w, const int32_t *expert, const uint16_t *x, bool x_per_slot, int n_rows, int top_k,
                             uint16_t *y, cuda_stream s, struct error *e) {
    size_t smem = (size_t)w->n_in * 4;
    unsigned blocks = (unsigned)((w->n_out + GEMV_WARPS - 1) / GEMV_WARPS);
    if (blocks > 132 * 4) blocks = 132 * 4;
    dim3 grid(blocks, (unsigned)(n_rows * top_k));
    int rc = 0;
    if (w->i8) {
        if (smem > 48 << 10) rc = cuda_check(cudaFuncSetAttribute(moe_gemv_kernel<true>, cudaFuncAttributeMaxDynamicSharedMemorySize, 220 << 10), "moe_gemv", e);
        if (!rc) moe_gemv_kernel<true><<<grid, 32 * GEMV_WARPS, smem, (cudaStream_t)s>>>((bf16 *)y, w->i8, w->scale, expert, (const bf16 *)x, x_per_slot, top_k, w->n_out, w->n_in);
    } else {
        if (smem > 48 << 10) rc = cuda_check(cudaFuncSetAttribute(moe_gemv_kernel<false>, cudaFuncAttributeMaxDynamicSharedMemorySize, 220 << 10), "moe_gemv", e);
        if (!rc) moe_gemv_kernel<false><<<grid, 32 * GEMV_WARPS, smem, (cudaStream_t)s>>>((bf16 *)y, w->bf16, NULL, expert, (const bf16 *)x, x_per_slot, top_k, w->n_out, w->n_in);
    }
    return rc ? rc : cuda_check(cudaGetLastError(), "moe_gemv", e);
}

static __global__ void embedding_kernel(float *out, const bf16 *table, const int8_t *table8, const float *scale, const int32_t *ids, int n) {
    size_t row = (size_t)ids[blockIdx.x];
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        out[(size_t)blockIdx.x * n + i] = table8 ? (float)table8[row * n + i] * scale[row] : __bfloat162float(table[row * n + i]);
}
extern "C" int cuda_embedding(float *out, const struct cuda_matrix *table, const int32_t *ids, int n, cuda_stream s, struct error *e) {
    embedding_kernel<<<(unsigned)n, 256, 0, (cudaStream_t)s>>>(out, (const bf16 *)table->bf16, table->i8, table->scale, ids, table->n_in);
    return cuda_check(cudaGetLastError(), "embedding", e);
}
