/* linear.cu: y = x W^T. Prefill goes through cuBLASLt on bf16 (an int8 or e4m3 matrix is first dequantised into a scratch; in a pass over many rows
 * that costs little, see tests/bench/RESULTS.md), or on e4m3 where both the matrix and x are: with one scale a row of each
 * (CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F: cuBLAS 12.9 and later, sm_90), applied to the f32 sums. Decode goes through a kernel that reads the
 * weights once at memory speed and takes x as bf16 always.
 *
 * Invariance: cuBLASLt's choice is made once a shape (n_out, n_in, types), for a large row count, with split sums forbidden, and used
 * for every row count; so the order of a row's sums is one. The gemv kernel adds in its own order (decode is another path).
 */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/e4m3.cuh"

#include <cublasLt.h>
#include <stdlib.h>

#define WORKSPACE_BYTES ((size_t)64 << 20)
#define MAX_SHAPES 64
#define CHOICE_ROWS 8192 /* row count the algorithm is chosen for */
/* 1: e4m3 sums stay in the tensor cores' own accumulators (about 14 bits); 0: they are moved into f32 every few steps. */
#ifndef E4M3_FAST_ACCUMULATION
#define E4M3_FAST_ACCUMULATION 0
#endif

struct shape {
    int n_out, n_in, ldx, ldy;
    bool f32, add, e4m3;
    cublasLtMatmulDesc_t desc;
    cublasLtMatmulAlgo_t algo;
};
struct cuda_gemm {
    cublasLtHandle_t handle;
    void *workspace;
    bf16 *scratch;
    size_t scratch_elements;
    const void *in_scratch; /* the int8 or e4m3 matrix that lies dequantised in the scratch */
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
    const cudaDataType type = s->e4m3 ? CUDA_R_8F_E4M3 : CUDA_R_16BF;
    l[0] = l[1] = l[2] = NULL;
    int rc = lt_check(cublasLtMatrixLayoutCreate(&l[0], type, s->n_in, s->n_out, s->n_in), "gemm", e);
    if (!rc) rc = lt_check(cublasLtMatrixLayoutCreate(&l[1], type, s->n_in, rows, s->ldx), "gemm", e);
    if (!rc) rc = lt_check(cublasLtMatrixLayoutCreate(&l[2], s->f32 ? CUDA_R_32F : CUDA_R_16BF, s->n_out, rows, s->ldy), "gemm", e);
    return rc;
}
static void layouts_free(cublasLtMatrixLayout_t l[3]) {
    for (int i = 0; i < 3; i++)
        if (l[i]) cublasLtMatrixLayoutDestroy(l[i]);
}

/* e4m3: the scales are of a row each; where they lie is set anew for every product (here: somewhere aligned). */
static int e4m3_scales(const struct shape *s, const float *w_scale, const float *x_scale, struct error *e) {
    int rc = lt_check(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &w_scale, sizeof w_scale), "gemm", e);
    return rc ? rc : lt_check(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &x_scale, sizeof x_scale), "gemm", e);
}
static int e4m3_describe(const struct shape *s, const struct cuda_gemm *g, struct error *e) {
    const int32_t mode = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    const int8_t fast = E4M3_FAST_ACCUMULATION;
    int rc = lt_check(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &mode, sizeof mode), "gemm", e);
    if (!rc) rc = lt_check(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &mode, sizeof mode), "gemm", e);
    if (!rc) rc = lt_check(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &fast, sizeof fast), "gemm", e);
    return rc ? rc : e4m3_scales(s, (const float *)g->workspace, (const float *)g->workspace, e);
}

static int shape_find(struct cuda_gemm *g, struct shape **out, int n_out, int n_in, int ldx, int ldy, bool f32, bool add, bool e4m3, struct error *e) {
    for (int i = 0; i < g->n_shapes; i++) {
        struct shape *s = &g->shapes[i];
        if (s->n_out == n_out && s->n_in == n_in && s->ldx == ldx && s->ldy == ldy && s->f32 == f32 && s->add == add && s->e4m3 == e4m3) {
            *out = s;
            return 0;
        }
    }
    if (g->n_shapes == MAX_SHAPES) return error_set(e, ERR_LIMIT, "gemm", "More than %d matrix shapes", MAX_SHAPES);
    struct shape *s = &g->shapes[g->n_shapes];
    *s = (struct shape){n_out, n_in, ldx, ldy, f32, add, e4m3, NULL, {}};
    cublasLtMatrixLayout_t l[3] = {NULL, NULL, NULL};
    cublasLtMatmulPreference_t pref = NULL;
    cublasOperation_t t = CUBLAS_OP_T;
    cublasLtMatmulHeuristicResult_t found[1];
    int n_found = 0;
    uint32_t mask = CUBLASLT_REDUCTION_SCHEME_NONE;
    size_t ws = WORKSPACE_BYTES;
    int rc = lt_check(cublasLtMatmulDescCreate(&s->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "gemm", e);
    if (!rc) rc = lt_check(cublasLtMatmulDescSetAttribute(s->desc, CUBLASLT_MATMUL_DESC_TRANSA, &t, sizeof t), "gemm", e);
    if (!rc && e4m3) rc = e4m3_describe(s, g, e);
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

static int multiply(struct cuda_gemm *g, const struct shape *sh, const void *w, const void *x, int n_rows, void *y, cuda_stream s, struct error *e) {
    cublasLtMatrixLayout_t l[3] = {NULL, NULL, NULL};
    const float alpha = 1, beta = sh->add ? 1.f : 0.f;
    int rc = layouts(l, sh, n_rows, e);
    if (!rc)
        rc = lt_check(cublasLtMatmul(g->handle, sh->desc, &alpha, w, l[0], x, l[1], &beta, y, l[2], y, l[2], &sh->algo, g->workspace, WORKSPACE_BYTES,
                                     (cudaStream_t)s),
                      "gemm", e);
    layouts_free(l);
    return rc;
}

extern "C" int cuda_linear(struct cuda_gemm *g, const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, float *y32,
                           int ldy, bool add, cuda_stream s, struct error *e) {
    if (n_rows == 0) return 0;
    struct shape *sh = NULL;
    int rc = shape_find(g, &sh, w->n_out, w->n_in, ldx, ldy, y32 != NULL, add, false, e);
    const void *weights = w->bf16, *source = w->i8 ? (const void *)w->i8 : (const void *)w->e4m3;
    if (!rc && source) {
        size_t n_out = (size_t)w->n_out, n_in = (size_t)w->n_in;
        uint16_t *to = (uint16_t *)g->scratch;
        if (n_out * n_in > g->scratch_elements)
            return error_set(e, ERR_LIMIT, "gemm", "The quantised matrix %d x %d is larger than the scratch", w->n_out, w->n_in);
        if (g->in_scratch != source)
            rc = w->i8 ? cuda_dequantise(to, w->i8, w->scale, n_out, n_in, s, e) : cuda_dequantise_e4m3(to, w->e4m3, w->scale, n_out, n_in, s, e);
        g->in_scratch = rc ? NULL : source;
        weights = g->scratch;
    }
    return rc ? rc : multiply(g, sh, weights, x, n_rows, y32 ? (void *)y32 : (void *)y, s, e);
}

extern "C" bool cuda_linear_e4m3_ready(struct cuda_gemm *g, const struct cuda_matrix *w, int ldx, int ldy, bool f32, bool add) {
    struct shape *sh = NULL;
    struct error ignored;
    return w->e4m3 && w->n_in % 16 == 0 && w->n_out % 16 == 0 && ldx % 16 == 0 && ldy % 16 == 0 &&
           shape_find(g, &sh, w->n_out, w->n_in, ldx, ldy, f32, add, true, &ignored) == 0;
}

extern "C" int cuda_linear_e4m3(struct cuda_gemm *g, const struct cuda_matrix *w, const uint8_t *x, const float *x_scale, int ldx, int n_rows, uint16_t *y,
                                float *y32, int ldy, bool add, cuda_stream s, struct error *e) {
    if (n_rows == 0) return 0;
    struct shape *sh = NULL;
    if (((uintptr_t)w->scale | (uintptr_t)x_scale) % 16) /* the library says no more than that it is not supported */
        return error_set(e, ERR_ARG, "gemm", "The scales of e4m3 rows begin at no multiple of 16 bytes");
    int rc = shape_find(g, &sh, w->n_out, w->n_in, ldx, ldy, y32 != NULL, add, true, e);
    if (!rc) rc = e4m3_scales(sh, w->scale, x_scale, e);
    return rc ? rc : multiply(g, sh, w->e4m3, x, n_rows, y32 ? (void *)y32 : (void *)y, s, e);
}

/* ---- int8, e4m3 <-> bf16 ---- */
enum form { BF16, INT8, E4M3 }; /* of the weights */

/* Two int8 (bytes of v picked by sel) to bf16 x 2, exactly: 128 + low 7 bits, minus 128 or 256 by the sign bit. (p & mask) | base is spelled as one
 * lop3: from the C operators the compiler makes two instructions, and these conversions are most of the kernel's. */
__device__ __forceinline__ uint32_t i8x2_to_bf16x2(uint32_t v, uint32_t sel) {
    const uint32_t p = __byte_perm(v, 0, sel);
    uint32_t lo, hi, r;
    asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(lo) : "r"(p), "r"(0x007f007fu), "r"(0x43004300u));
    asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(hi) : "r"(p), "r"(0x00800080u), "r"(0x43004300u));
#if __CUDA_ARCH__ >= 900
    asm("sub.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(lo), "r"(hi));
#else
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(hi), "r"(0xbf80bf80u), "r"(lo)); /* lo - hi; sm_80 has no bf16 subtraction */
#endif
    return r;
}
/* Two e4m3 (bytes of v picked by sel, which also spreads their signs) to bf16 x 2, exactly: the bits moved into place are the value times 2^-120, also
 * where e4m3 has subnormals; so one multiplication by 2^120 does all. */
#define E4M3_LOW 0x9180u
#define E4M3_HIGH 0xb3a2u
__device__ __forceinline__ uint32_t e4m3x2_to_bf16x2(uint32_t v, uint32_t sel) {
    uint32_t p, r;
    asm("prmt.b32 %0, %1, 0, %2;" : "=r"(p) : "r"(v), "r"(sel)); /* __byte_perm promises nothing about the sign bit of a selector */
    p = p << 4 & 0x87f087f0u;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(p), "r"(0x7b807b80u), "r"(0x80008000u)); /* plus -0: sm_80 has no bf16 product */
    return r;
}
template <form F, int HIGH> __device__ __forceinline__ uint32_t byte_pair(uint32_t v) {
    return F == INT8 ? i8x2_to_bf16x2(v, HIGH ? 0x4342 : 0x4140) : e4m3x2_to_bf16x2(v, HIGH ? E4M3_HIGH : E4M3_LOW);
}

template <form F> static __global__ void dequantise_kernel(uint4 *out, const uint2 *q, const float *scale, size_t n_in8) {
    const size_t row = blockIdx.y;
    const float s = scale[row];
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n_in8; i += (size_t)gridDim.x * blockDim.x) {
        const uint2 v = q[row * n_in8 + i];
        const uint32_t u[4] = {byte_pair<F, 0>(v.x), byte_pair<F, 1>(v.x), byte_pair<F, 0>(v.y), byte_pair<F, 1>(v.y)};
        uint32_t r[4];
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const float2 f = unpack_bf16(u[k]);
            r[k] = pack_bf16(f.x * s, f.y * s);
        }
        out[row * n_in8 + i] = make_uint4(r[0], r[1], r[2], r[3]);
    }
}
template <form F> static int dequantise(uint16_t *out, const void *q, const float *scale, size_t n_out, size_t n_in, cuda_stream s, struct error *e) {
    if (n_in % 8) return error_set(e, ERR_UNSUPPORTED, "dequantise", "Rows of %zu values are no multiple of 8", n_in);
    for (size_t r = 0; r < n_out; r += 65535) { /* gridDim.y */
        size_t n = n_out - r < 65535 ? n_out - r : 65535;
        dequantise_kernel<F><<<dim3((unsigned)((n_in / 8 + 255) / 256), (unsigned)n), 256, 0, (cudaStream_t)s>>>(
            (uint4 *)(out + r * n_in), (const uint2 *)((const char *)q + r * n_in), scale + r, n_in / 8);
    }
    return cuda_check(cudaGetLastError(), F == INT8 ? "dequantise" : "dequantise_e4m3", e);
}
extern "C" int cuda_dequantise(uint16_t *out, const int8_t *q, const float *scale, size_t n_out, size_t n_in, cuda_stream s, struct error *e) {
    return dequantise<INT8>(out, q, scale, n_out, n_in, s, e);
}
extern "C" int cuda_dequantise_e4m3(uint16_t *out, const uint8_t *q, const float *scale, size_t n_out, size_t n_in, cuda_stream s, struct error *e) {
    return dequantise<E4M3>(out, q, scale, n_out, n_in, s, e);
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

template <int C> static __global__ void __launch_bounds__(E4M3_THREADS) quantise_e4m3_kernel(uint2 *q, float *scale, const uint4 *x, int n8) {
    const size_t row = blockIdx.x;
    uint4 v[C];
#pragma unroll
    for (int k = 0; k < C; k++) {
        const int i = (int)threadIdx.x + k * E4M3_THREADS;
        if (i < n8) v[k] = x[row * n8 + i];
    }
    e4m3_store_row<C>(q + row * n8, scale + row, v, n8);
}
extern "C" int cuda_quantise_e4m3(uint8_t *q, float *scale, const uint16_t *x, size_t n_rows, size_t n, cuda_stream s, struct error *e) {
    if (n_rows == 0) return 0;
    if (n % 8 || n > E4M3_MAX_ROW)
        return error_set(e, ERR_UNSUPPORTED, "quantise_e4m3", "Rows of %zu values are no multiple of 8 up to %d", n, E4M3_MAX_ROW);
    E4M3_DISPATCH((int)n, (quantise_e4m3_kernel<C><<<(unsigned)n_rows, E4M3_THREADS, 0, (cudaStream_t)s>>>((uint2 *)q, scale, (const uint4 *)x, (int)(n / 8))));
    return cuda_check(cudaGetLastError(), "quantise_e4m3", e);
}

/* ---- decode: weights are read once, 16 bytes a lane and load. A warp takes 16 weight rows against up to 8 NT rows of x with mma.m16n8k16: the
 * weights are operand A, converted to bf16 in registers (int8 and e4m3 exactly), the rows of x operand B through the L1 cache. Which k a lane calls
 * its own is free as long as A and B agree: a lane of the four takes 16 (int8, e4m3) or 8 (bf16) neighbouring values, so a load is 16 bytes. `split` warps
 * of a block share a tile's k; their sums meet in shared memory in a fixed order. The order of a row's sums depends on the matrix only, so
 * a timeline's bits do not depend on how many step together. ---- */
/* Chunks of k that a warp has in flight, side by side in memory. Measured on an H100, int8 28672 x 4096: ring 4 with 2 blocks a multiprocessor 2801 GB/s;
 * 4 with 3 blocks (80 registers: x can no longer be fetched ahead) 2168; 2 with 4 blocks 2614; 8 with 2 blocks 2474. */
#define GEMV_RING 4
__device__ __forceinline__ void mma_bf16(float (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
/* Weights pass through once: not into the L1 cache, which is for x; a row's next 256 bytes are on their way into L2 with the first. */
__device__ __forceinline__ uint4 load_weights(const char *p) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
}
/* One chunk of k: u, v are 16 bytes of weight rows g and g + 8; x of NT rows for the same k. */
template <int NT, form F> __device__ __forceinline__ void mma_chunk(float (&c)[NT][4], uint4 u, uint4 v, const char *const (&x)[NT], int at) {
    if (F != BF16) {
        const uint32_t uu[4] = {u.x, u.y, u.z, u.w}, vv[4] = {v.x, v.y, v.z, v.w};
        uint4 x0[NT], x1[NT];
#pragma unroll
        for (int i = 0; i < NT; i++) x0[i] = ((const uint4 *)(x[i] + at))[0], x1[i] = ((const uint4 *)(x[i] + at))[1];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const uint32_t a0 = byte_pair<F, 0>(uu[j]), a1 = byte_pair<F, 0>(vv[j]), a2 = byte_pair<F, 1>(uu[j]), a3 = byte_pair<F, 1>(vv[j]);
#pragma unroll
            for (int i = 0; i < NT; i++) {
                const uint4 q = j < 2 ? x0[i] : x1[i];
                mma_bf16(c[i], a0, a1, a2, a3, j % 2 ? q.z : q.x, j % 2 ? q.w : q.y);
            }
        }
    } else {
#pragma unroll
        for (int i = 0; i < NT; i++) {
            const uint4 q = *(const uint4 *)(x[i] + at);
            mma_bf16(c[i], u.x, v.x, u.y, v.y, q.x, q.y);
            mma_bf16(c[i], u.z, v.z, u.w, v.w, q.z, q.w);
        }
    }
}

struct gemv_args {
    bf16 *y;
    float *y32;
    int ldy;
    const void *w; /* experts stacked, or one matrix */
    const float *scale;
    const bf16 *x;
    int ldx, n_out, n_in, n_rows;
    bool add;
    int sum_as;            /* n_out that split is chosen by */
    int split;             /* warps that share a tile: 1, 2, 4, 8 or 16 */
    const int32_t *offset; /* mixture of experts: rows offset[e] .. offset[e + 1] of x and y are expert e's; e = active[blockIdx.y / chunks] */
    const int32_t *active; /* the experts that have rows, then -1 */
    int chunks;
};

/* SWIGLU: w is [gate rows | up rows], n_out = 2 I; a tile is 8 gate rows and their 8 up rows; y [., I] gets silu(gate) * up. */
template <int NT, form F, bool SWIGLU, int WARPS>
static __global__ void __launch_bounds__(32 * WARPS, 16 / WARPS) gemv_kernel(const gemv_args a) {
    constexpr int K = F == BF16 ? 32 : 64, RING = GEMV_RING; /* k of a chunk: 64 bytes of weights, 2 K of x */
    __shared__ float part[WARPS][16][8 * NT + 1];
    let_next_start();
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4, split = warp % a.split;
    const int tile = (int)blockIdx.x * (WARPS / a.split) + warp / a.split;
    const int row0 = SWIGLU ? 8 * tile + g : 16 * tile + g, row1 = SWIGLU ? row0 + a.n_out / 2 : row0 + 8;
    const bool mine0 = SWIGLU ? row0 < a.n_out / 2 : row0 < a.n_out, mine1 = SWIGLU ? mine0 : row1 < a.n_out;
    const bool busy = SWIGLU ? 8 * tile < a.n_out / 2 : 16 * tile < a.n_out; /* for the whole warp */
    int first = 0, n_rows = a.n_rows;
    size_t matrix = 0;
    bool waited = false;
    if (a.offset) { /* which rows an expert has says the kernel before */
        wait_for_previous();
        waited = true;
        int e = a.active[blockIdx.y / a.chunks], at = (int)(blockIdx.y % a.chunks) * 8 * NT;
        if (e < 0) return;
        first = a.offset[e] + at;
        n_rows = min(a.offset[e + 1] - first, 8 * NT);
        matrix = (size_t)e * a.n_out;
        if (n_rows <= 0) return;
    }
    float c[NT][4];
#pragma unroll
    for (int i = 0; i < NT; i++) c[i][0] = c[i][1] = c[i][2] = c[i][3] = 0;
    if (busy) {
        const size_t row_bytes = (size_t)a.n_in * (F == BF16 ? 2 : 1);
        const int n = a.n_in / K, n_group = n / RING; /* groups of RING chunks; what is left over is done last */
        const char *w = (const char *)a.w + 16 * t;
        const char *w0 = w + (matrix + (mine0 ? row0 : 0)) * row_bytes, *w1 = w + (matrix + (mine1 ? row1 : 0)) * row_bytes;
        const char *p0 = w0 + (size_t)split * RING * 64, *p1 = w1 + (size_t)split * RING * 64;
        uint4 u[RING], v[RING];
        if (split < n_group) {
#pragma unroll
            for (int i = 0; i < RING; i++) u[i] = load_weights(p0 + 64 * i), v[i] = load_weights(p1 + 64 * i);
        }
        if (!waited) wait_for_previous();
        const char *x0[NT], *x[NT];
#pragma unroll
        for (int i = 0; i < NT; i++) {
            x0[i] = (const char *)(a.x + (size_t)(first + min(8 * i + g, n_rows - 1)) * a.ldx) + t * (K / 2);
            x[i] = x0[i] + (size_t)split * RING * 2 * K;
        }
        const int step = a.split * RING; /* chunks */
        for (int j = split; j < n_group; j += a.split) {
            const bool more = j + a.split < n_group;
            p0 += step * 64, p1 += step * 64;
#pragma unroll
            for (int i = 0; i < RING; i++) {
                const uint4 uu = u[i], vv = v[i];
                if (more) u[i] = load_weights(p0 + 64 * i), v[i] = load_weights(p1 + 64 * i);
                mma_chunk<NT, F>(c, uu, vv, x, i * 2 * K);
            }
#pragma unroll
            for (int i = 0; i < NT; i++) x[i] += step * 2 * K;
        }
        if (split == n_group % a.split)
            for (int k = n_group * RING; k < n; k++) mma_chunk<NT, F>(c, load_weights(w0 + 64 * k), load_weights(w1 + 64 * k), x0, k * 2 * K);
    }
    if (a.split > 1) {
#pragma unroll
        for (int j = 0; j < NT; j++) {
            part[warp][g][8 * j + 2 * t] = c[j][0], part[warp][g][8 * j + 2 * t + 1] = c[j][1];
            part[warp][g + 8][8 * j + 2 * t] = c[j][2], part[warp][g + 8][8 * j + 2 * t + 1] = c[j][3];
        }
        __syncthreads();
        if (split == 0)
            for (int i = 1; i < a.split; i++)
#pragma unroll
                for (int j = 0; j < NT; j++) {
                    c[j][0] += part[warp + i][g][8 * j + 2 * t], c[j][1] += part[warp + i][g][8 * j + 2 * t + 1];
                    c[j][2] += part[warp + i][g + 8][8 * j + 2 * t], c[j][3] += part[warp + i][g + 8][8 * j + 2 * t + 1];
                }
    }
    if (split || !busy) return;
    const float s0 = F != BF16 && mine0 ? a.scale[matrix + row0] : 1.f, s1 = F != BF16 && mine1 ? a.scale[matrix + row1] : 1.f;
#pragma unroll
    for (int j = 0; j < NT; j++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            int r = 8 * j + 2 * t + h;
            if (r >= n_rows) continue;
            float p = c[j][h] * s0, q = c[j][2 + h] * s1;
            if constexpr (SWIGLU) {
                if (mine0) a.y[(size_t)(first + r) * a.ldy + row0] = __float2bfloat16(silu(p) * q);
            } else if (a.y32) {
                float *to = a.y32 + (size_t)(first + r) * a.ldy;
                if (mine0) to[row0] = a.add ? to[row0] + p : p;
                if (mine1) to[row1] = a.add ? to[row1] + q : q;
            } else {
                bf16 *to = a.y + (size_t)(first + r) * a.ldy;
                if (mine0) to[row0] = __float2bfloat16(p);
                if (mine1) to[row1] = __float2bfloat16(q);
            }
        }
}

template <int NT, form F, bool SWIGLU> static cudaError_t gemv_launch(gemv_args &a, int n_matrices, cudaStream_t s) {
    /* 132 processors want some 30 warps each. By the matrix alone: split is part of the order of the sums. */
    const int tiles = (a.n_out + 15) / 16, of = (a.sum_as + 15) / 16;
    const unsigned y = (unsigned)n_matrices;
    a.split = of > 2048 ? 1 : of > 1024 ? 2 : of > 512 ? 4 : of > 64 || SWIGLU ? 8 : 16;
    if constexpr (!SWIGLU)
        if (a.split == 16) return launch_step(gemv_kernel<NT, F, false, 16>, dim3((unsigned)tiles, y), dim3(512), 0, s, a);
    const int per_block = 8 / a.split;
    return launch_step(gemv_kernel<NT, F, SWIGLU, 8>, dim3((unsigned)((tiles + per_block - 1) / per_block), y), dim3(256), 0, s, a);
}
template <form F, bool SWIGLU> static cudaError_t gemv_rows(gemv_args &a, int n_matrices, int rows, cudaStream_t s) {
    return rows <= 8    ? gemv_launch<1, F, SWIGLU>(a, n_matrices, s)
           : rows <= 16 ? gemv_launch<2, F, SWIGLU>(a, n_matrices, s)
                        : gemv_launch<4, F, SWIGLU>(a, n_matrices, s);
}
template <bool SWIGLU> static int gemv(const struct cuda_matrix *w, gemv_args &a, int n_matrices, int rows, cuda_stream s, struct error *e) {
    if (w->n_in % (w->bf16 ? 32 : 64) || a.ldx % 8 || rows > CUDA_STEP_ROWS)
        return error_set(e, ERR_UNSUPPORTED, "gemv", "%d rows of %d values are not for this kernel", rows, w->n_in);
    cudaStream_t st = (cudaStream_t)s;
    a.w = w->bf16 ? (const void *)w->bf16 : w->i8 ? (const void *)w->i8 : (const void *)w->e4m3;
    a.scale = w->scale, a.n_out = w->n_out, a.n_in = w->n_in, a.sum_as = w->sum_as ? w->sum_as : w->n_out;
    cudaError_t rc = w->bf16 ? gemv_rows<BF16, SWIGLU>(a, n_matrices, rows, st)
                     : w->i8 ? gemv_rows<INT8, SWIGLU>(a, n_matrices, rows, st)
                             : gemv_rows<E4M3, SWIGLU>(a, n_matrices, rows, st);
    return cuda_check(rc, "gemv", e);
}
extern "C" int cuda_gemv(const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, float *y32, int ldy, bool add,
                         cuda_stream s, struct error *e) {
    gemv_args a = {};
    a.y = (bf16 *)y, a.y32 = y32, a.ldy = ldy, a.x = (const bf16 *)x, a.ldx = ldx, a.n_rows = n_rows, a.add = add;
    return n_rows ? gemv<false>(w, a, 1, n_rows, s, e) : 0;
}
extern "C" int cuda_gemv_swiglu(const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, int ldy, cuda_stream s, struct error *e) {
    gemv_args a = {};
    a.y = (bf16 *)y, a.ldy = ldy, a.x = (const bf16 *)x, a.ldx = ldx, a.n_rows = n_rows;
    return n_rows ? gemv<true>(w, a, 1, n_rows, s, e) : 0;
}
extern "C" int cuda_moe_gemv(const struct cuda_matrix *w, const int32_t *offset, const int32_t *active, int max_active, const uint16_t *x, int max_rows,
                             bool swiglu, uint16_t *y, cuda_stream s, struct error *e) {
    gemv_args a = {};
    /* An expert has at most max_rows rows, mostly few: chunks of 8, each reads the expert's weights once. */
    a.y = (bf16 *)y, a.ldy = swiglu ? w->n_out / 2 : w->n_out, a.x = (const bf16 *)x, a.ldx = w->n_in;
    a.offset = offset, a.active = active, a.chunks = (max_rows + 7) / 8;
    return swiglu ? gemv<true>(w, a, max_active * a.chunks, 8, s, e) : gemv<false>(w, a, max_active * a.chunks, 8, s, e);
}

static __global__ void embedding_kernel(float *out, const bf16 *table, const int8_t *table8, const float *scale, const int32_t *ids, int n) {
    let_next_start();
    wait_for_previous();
    size_t row = (size_t)ids[blockIdx.x];
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        out[(size_t)blockIdx.x * n + i] = table8 ? (float)table8[row * n + i] * scale[row] : __bfloat162float(table[row * n + i]);
}
extern "C" int cuda_embedding(float *out, const struct cuda_matrix *table, const int32_t *ids, int n, cuda_stream s, struct error *e) {
    return cuda_check(launch_step(embedding_kernel, dim3((unsigned)n), dim3(256), 0, (cudaStream_t)s, out, (const bf16 *)table->bf16, table->i8, table->scale, ids,
                                  table->n_in),
                      "embedding", e);
}
