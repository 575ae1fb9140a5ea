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
    struct shape *sh = NULL;
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

/* ---- decode: weights are read once, 16 bytes a lane and load; activations come through the L1 cache. A warp takes two weight rows; where
 * rows are few, SPLIT warps share a pair of rows and their sums meet in shared memory in a fixed order. ---- */
#define GEMV_WARPS 8

__device__ __forceinline__ void bf16x8_to_f32(float *x, uint4 v) {
    const uint32_t u[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++) x[2 * i] = __uint_as_float(u[i] << 16), x[2 * i + 1] = __uint_as_float(u[i] & 0xffff0000u);
}
/* Four int8 to f32 without the conversion unit: byte + 128 in the mantissa of 2^23, minus (2^23 + 128). Exact. */
__device__ __forceinline__ void i8x4_to_f32(float *x, uint32_t v) {
    v ^= 0x80808080u;
    x[0] = __uint_as_float(__byte_perm(v, 0x4b000000u, 0x7650)) - 8388736.f;
    x[1] = __uint_as_float(__byte_perm(v, 0x4b000000u, 0x7651)) - 8388736.f;
    x[2] = __uint_as_float(__byte_perm(v, 0x4b000000u, 0x7652)) - 8388736.f;
    x[3] = __uint_as_float(__byte_perm(v, 0x4b000000u, 0x7653)) - 8388736.f;
}
template <bool I8> struct gemv_vector { /* what 16 bytes of weights are */
    enum { N = I8 ? 16 : 8 };
    static __device__ __forceinline__ void load(float *w, uint4 v) {
        if (I8) {
            i8x4_to_f32(w, v.x), i8x4_to_f32(w + 4, v.y), i8x4_to_f32(w + 8, v.z), i8x4_to_f32(w + 12, v.w);
        } else {
            bf16x8_to_f32(w, v);
        }
    }
};

/* acc[2][R] += two weight rows times R rows of x, over this lane's share of n_in. The first weights are asked for before x is touched. */
template <int R, bool I8>
static __device__ __forceinline__ void gemv_pair(float (&acc)[2][R], const uint4 *w0, const uint4 *w1, const bf16 *x, int ldx, int n_in, int first,
                                                 int step) {
    constexpr int N = gemv_vector<I8>::N;
    constexpr int U = R > 2 ? 1 : R > 1 ? 2 : 4; /* loads in flight a row */
    const int n = n_in / N;
    bool waited = false;
    for (int i0 = first; i0 < n || !waited; i0 += U * step) {
        uint4 a[U], b[U];
#pragma unroll
        for (int u = 0; u < U; u++) {
            int i = i0 + u * step;
            a[u] = i < n ? __ldcs(w0 + i) : make_uint4(0, 0, 0, 0);
            b[u] = i < n ? __ldcs(w1 + i) : make_uint4(0, 0, 0, 0);
        }
        if (!waited) wait_for_previous();
        waited = true;
#pragma unroll
        for (int u = 0; u < U; u++) {
            int i = i0 + u * step;
            if (i >= n) break;
            float wa[N], wb[N];
            gemv_vector<I8>::load(wa, a[u]);
            gemv_vector<I8>::load(wb, b[u]);
#pragma unroll
            for (int r = 0; r < R; r++) {
                const uint4 *xp = (const uint4 *)(x + (size_t)r * ldx) + (size_t)i * (N / 8);
#pragma unroll
                for (int k = 0; k < N / 8; k++) {
                    float xv[8];
                    bf16x8_to_f32(xv, xp[k]); /* not through the read-only path: the kernel before may still have been writing it */
#pragma unroll
                    for (int t = 0; t < 8; t++) acc[0][r] = fmaf(wa[8 * k + t], xv[t], acc[0][r]), acc[1][r] = fmaf(wb[8 * k + t], xv[t], acc[1][r]);
                }
            }
        }
    }
}

/* SWIGLU: w is [gate rows | up rows], n_out = 2 I; the pair of a warp is gate i and up i, and y [., I] gets silu(gate) * up. */
template <int R, bool I8, int SPLIT, bool SWIGLU>
static __global__ void __launch_bounds__(32 * GEMV_WARPS)
    gemv_kernel(bf16 *y, float *y32, int ldy, const void *w, const float *scale, const bf16 *x, int ldx, int n_out, int n_in, int n_rows, bool add) {
    __shared__ float part[GEMV_WARPS][2][R];
    let_next_start();
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, pair = (int)(blockIdx.x * (GEMV_WARPS / SPLIT) + warp / SPLIT);
    const int row = SWIGLU ? pair : 2 * pair, other = SWIGLU ? pair + n_out / 2 : row + 1 < n_out ? row + 1 : row;
    const bool mine = SWIGLU ? pair < n_out / 2 : row < n_out;
    const size_t row_bytes = (size_t)n_in * (I8 ? 1 : 2);
    float acc[2][R] = {};
    if (mine)
        gemv_pair<R, I8>(acc, (const uint4 *)((const char *)w + row * row_bytes), (const uint4 *)((const char *)w + other * row_bytes), x, ldx, n_in,
                         warp % SPLIT * 32 + lane, 32 * SPLIT);
#pragma unroll
    for (int h = 0; h < 2; h++)
#pragma unroll
        for (int r = 0; r < R; r++) acc[h][r] = warp_sum(acc[h][r]);
    if (SPLIT > 1) {
        if (lane == 0)
            for (int h = 0; h < 2; h++)
                for (int r = 0; r < R; r++) part[warp][h][r] = acc[h][r];
        __syncthreads();
        if (warp % SPLIT == 0)
            for (int i = 1; i < SPLIT; i++)
                for (int h = 0; h < 2; h++)
                    for (int r = 0; r < R; r++) acc[h][r] += part[warp + i][h][r];
    }
    if (lane || warp % SPLIT || !mine) return;
    if constexpr (SWIGLU) {
        float sg = I8 ? scale[row] : 1.f, su = I8 ? scale[other] : 1.f;
#pragma unroll
        for (int r = 0; r < R; r++)
            if (r < n_rows) y[(size_t)r * ldy + row] = __float2bfloat16(silu(acc[0][r] * sg) * (acc[1][r] * su));
    } else {
        for (int h = 0; h < 2; h++) {
            int o = row + h;
            if (o >= n_out) break;
            float s = I8 ? scale[o] : 1.f;
#pragma unroll
            for (int r = 0; r < R; r++) {
                if (r >= n_rows) break;
                float v = acc[h][r] * s;
                if (y32) {
                    float *to = y32 + (size_t)r * ldy + o;
                    *to = add ? *to + v : v;
                } else {
                    y[(size_t)r * ldy + o] = __float2bfloat16(v);
                }
            }
        }
    }
}

template <int R, bool I8, bool SWIGLU>
static cudaError_t gemv_launch(const struct cuda_matrix *w, const bf16 *x, int ldx, int n_rows, bf16 *y, float *y32, int ldy, bool add, cudaStream_t s) {
    const void *data = I8 ? (const void *)w->i8 : (const void *)w->bf16;
    const int pairs = (w->n_out + 1) / 2; /* 132 processors want some 16 warps each */
    if (pairs >= 1024)
        return launch_step(gemv_kernel<R, I8, 1, SWIGLU>, dim3((unsigned)((pairs + 7) / 8)), dim3(32 * GEMV_WARPS), 0, s, y, y32, ldy, data, w->scale, x, ldx,
                           w->n_out, w->n_in, n_rows, add);
    if (pairs >= 512)
        return launch_step(gemv_kernel<R, I8, 2, SWIGLU>, dim3((unsigned)((pairs + 3) / 4)), dim3(32 * GEMV_WARPS), 0, s, y, y32, ldy, data, w->scale, x, ldx,
                           w->n_out, w->n_in, n_rows, add);
    return launch_step(gemv_kernel<R, I8, 8, SWIGLU>, dim3((unsigned)pairs), dim3(32 * GEMV_WARPS), 0, s, y, y32, ldy, data, w->scale, x, ldx, w->n_out,
                       w->n_in, n_rows, add);
}
template <int R, bool SWIGLU>
static cudaError_t gemv_rows(const struct cuda_matrix *w, const bf16 *x, int ldx, int n_rows, bf16 *y, float *y32, int ldy, bool add, cudaStream_t s) {
    return w->i8 ? gemv_launch<R, true, SWIGLU>(w, x, ldx, n_rows, y, y32, ldy, add, s) : gemv_launch<R, false, SWIGLU>(w, x, ldx, n_rows, y, y32, ldy, add, s);
}
template <bool SWIGLU>
static int gemv(const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, float *y32, int ldy, bool add, cuda_stream s,
                struct error *e) {
    if (w->n_in % 16 || ldx % 8 || n_rows > 8) return error_set(e, ERR_UNSUPPORTED, "gemv", "%d rows of %d values are not for this kernel", n_rows, w->n_in);
    const bf16 *xb = (const bf16 *)x;
    bf16 *yb = (bf16 *)y;
    cudaStream_t st = (cudaStream_t)s;
    if (n_rows == 0) return 0;
    cudaError_t rc = n_rows == 1   ? gemv_rows<1, SWIGLU>(w, xb, ldx, n_rows, yb, y32, ldy, add, st)
                     : n_rows == 2 ? gemv_rows<2, SWIGLU>(w, xb, ldx, n_rows, yb, y32, ldy, add, st)
                     : n_rows <= 4 ? gemv_rows<4, SWIGLU>(w, xb, ldx, n_rows, yb, y32, ldy, add, st)
                                   : gemv_rows<8, SWIGLU>(w, xb, ldx, n_rows, yb, y32, ldy, add, st);
    return cuda_check(rc, "gemv", e);
}
/* x must have max(1, 2, 4 or 8 >= n_rows) readable rows. */
extern "C" int cuda_gemv(const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, float *y32, int ldy, bool add,
                         cuda_stream s, struct error *e) {
    return gemv<false>(w, x, ldx, n_rows, y, y32, ldy, add, s, e);
}
extern "C" int cuda_gemv_swiglu(const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, int ldy, cuda_stream s, struct error *e) {
    return gemv<true>(w, x, ldx, n_rows, y, NULL, ldy, false, s, e);
}

/* Chosen experts of a decode step: blockIdx.y = row * top_k + slot. */
template <bool I8, bool SWIGLU>
static __global__ void __launch_bounds__(32 * GEMV_WARPS)
    moe_gemv_kernel(bf16 *y, const void *w, const float *scale, const int32_t *expert, const bf16 *x, bool x_per_slot, int top_k, int n_out, int n_in) {
    let_next_start();
    const int slot = blockIdx.y, lane = threadIdx.x % 32, pair = (int)(blockIdx.x * GEMV_WARPS + threadIdx.x / 32);
    const bf16 *xr = x + (size_t)(x_per_slot ? slot : slot / top_k) * n_in;
    const int row = SWIGLU ? pair : 2 * pair, other = SWIGLU ? pair + n_out / 2 : row + 1 < n_out ? row + 1 : row;
    wait_for_previous(); /* which expert it is says the kernel before */
    if (SWIGLU ? pair >= n_out / 2 : row >= n_out) return;
    const size_t first = (size_t)expert[slot] * n_out, row_bytes = (size_t)n_in * (I8 ? 1 : 2);
    float acc[2][1] = {};
    gemv_pair<1, I8>(acc, (const uint4 *)((const char *)w + (first + row) * row_bytes), (const uint4 *)((const char *)w + (first + other) * row_bytes), xr,
                     n_in, n_in, lane, 32);
    float a = warp_sum(acc[0][0]) * (I8 ? scale[first + row] : 1.f), b = warp_sum(acc[1][0]) * (I8 ? scale[first + other] : 1.f);
    if (lane) return;
    if (SWIGLU) {
        y[(size_t)slot * (n_out / 2) + row] = __float2bfloat16(silu(a) * b);
    } else {
        y[(size_t)slot * n_out + row] = __float2bfloat16(a);
        if (row + 1 < n_out) y[(size_t)slot * n_out + row + 1] = __float2bfloat16(b);
    }
}
extern "C" int cuda_moe_gemv(const struct cuda_matrix *w, const int32_t *expert, const uint16_t *x, bool x_per_slot, int n_rows, int top_k, bool swiglu,
                             uint16_t *y, cuda_stream s, struct error *e) {
    if (w->n_in % 16) return error_set(e, ERR_UNSUPPORTED, "moe_gemv", "Rows of %d values are no multiple of 16", w->n_in);
    dim3 grid((unsigned)((w->n_out + 2 * GEMV_WARPS - 1) / (2 * GEMV_WARPS)), (unsigned)(n_rows * top_k)), block(32 * GEMV_WARPS);
    void (*kernel)(bf16 *, const void *, const float *, const int32_t *, const bf16 *, bool, int, int, int) =
        w->i8 ? swiglu ? moe_gemv_kernel<true, true> : moe_gemv_kernel<true, false>
              : swiglu ? moe_gemv_kernel<false, true> : moe_gemv_kernel<false, false>;
    const void *data = w->i8 ? (const void *)w->i8 : (const void *)w->bf16;
    return cuda_check(launch_step(kernel, grid, block, 0, (cudaStream_t)s, (bf16 *)y, data, w->scale, expert, (const bf16 *)x, x_per_slot, top_k, w->n_out, w->n_in),
                      "moe_gemv", e);
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
