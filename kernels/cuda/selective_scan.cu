/* selective_scan.cu: the Mamba-1 recurrence over a chunk of time, one sequence, time-major (Gu and Dao 2023, algorithm 2; the CPU twin is
 * kernels/cpu/mamba.c).
 *
 * A block's first four warps walk time, one on each of a multiprocessor's schedulers. A walker's lane holds S of the 16 states of C neighbouring
 * channels in registers, S C independent chains, and what it reads of B and C serves all its channels. Loads run a group of 4 steps ahead of
 * the arithmetic.
 *
 * The other 8 warps work one tile of 32 steps ahead and one behind. What they read of dt, x and z stays with the thread that read it, in
 * registers: they make dt = softplus(.) and dt x for the next tile, and add the partial sums, the D skip and the gate of the last one. B and C
 * of the next tile come by asynchronous copies, each waited for by the thread that started it. One barrier of the whole block a tile is all
 * that orders shared memory. Steps are taken in order whatever the tile, so chunk cuts do not show in any bit.
 *
 * Two layouts: 64 channels a block (S 4, C 2) and 48 (S 2, C 3), which is taken where its blocks fit on the device at once: d_inner 8192 is 128
 * blocks of 64, 5120 is 107 of 48. On an H200, 32,768 steps: 2.02 ms at 8192, 1.94 ms at 5120. The time of a block does not depend on how many
 * run beside it: a step is some 120 cycles, of which exp2 keeps the special function unit busy for 64 (48). More walkers of fewer channels, or exp2 written
 * a step ahead, change nothing (tests/bench/RESULTS.md).
 */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"

#define TT 32   /* steps a tile */
#define GROUP 4 /* steps a walker's loads run ahead */
#define SCAN_BLOCKS 128 /* multiprocessors that the narrow layout counts on (H100 and H200: 132); a number, so that all devices sum alike */
#define WALKERS 128
#define HELPERS 256
#define PER (TT * 32 / HELPERS) /* steps of a tile a helper has, of two channels */

/* S states of C channels a lane: 16 / S lanes a channel, 2 S C channels a warp. */
template <int S, int C> struct scan_layout {
    static constexpr int parts = 16 / S, ch = 4 * 2 * S * C; /* lanes that share a channel; channels a block */
    /* distance of the parts' rows of sums, so that the stores of a warp meet in different banks: 8 and 4 modulo 32 */
    static constexpr int row = C == 2 ? ch + 8 : ch + 20;
};
template <int S, int C> struct scan_smem {
    float B[3][TT][16], C_[3][TT][16];
    float2 dt[2][TT][scan_layout<S, C>::ch]; /* softplus(dt), dt x */
    float y[2][TT][scan_layout<S, C>::parts][scan_layout<S, C>::row]; /* partial sums */
};
/* A helper's share of a tile: two channels, every eighth step. */
struct scan_rows {
    uint32_t dt[PER], x[PER], z[PER];
};

__device__ __forceinline__ float low(uint32_t v) {
    return __uint_as_float(v << 16);
}
__device__ __forceinline__ float high(uint32_t v) {
    return __uint_as_float(v & 0xffff0000u);
}
__device__ __forceinline__ void load_floats(float (&to)[4], const float *from) {
    const float4 v = *(const float4 *)from;
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}
__device__ __forceinline__ void load_floats(float (&to)[2], const float *from) {
    const float2 v = *(const float2 *)from;
    to[0] = v.x, to[1] = v.y;
}
__device__ __forceinline__ void load_floats(float (&to)[6], const float *from) {
#pragma unroll
    for (int i = 0; i < 3; i++) {
        const float2 v = ((const float2 *)from)[i];
        to[2 * i] = v.x, to[2 * i + 1] = v.y;
    }
}

struct scan_args {
    bf16 *y;
    const bf16 *x, *dt_raw, *z;
    const float *B, *C, *A, *D, *dt_bias;
    float *state;
    int T, d_inner, x_stride, dt_stride, z_stride, y_stride, bc_stride;
};

/* Walkers: tile k - 1 in interval k. */
template <int S, int C> __device__ __forceinline__ void scan_walk(scan_smem<S, C> &sm, const scan_args &a, int n_tiles) {
    constexpr int parts = scan_layout<S, C>::parts, CH = scan_layout<S, C>::ch, ROW = scan_layout<S, C>::row;
    const int lane = threadIdx.x % 32;
    /* which states; first channel. Lanes 1 and 2 apart read the same of B and C, or of dt: a shared-memory load then takes fewer passes */
    const int part = lane / 2 % parts, ch = (threadIdx.x / 32 * 2 * S + lane % 2 + lane / (2 * parts) * 2) * C;
    const int c0 = blockIdx.x * CH + ch;
    float A[C][S], h[C][S];
#pragma unroll
    for (int j = 0; j < C; j++)
#pragma unroll
        for (int i = 0; i < S; i++) {
            const size_t at = (size_t)(c0 + j < a.d_inner ? c0 + j : 0) * 16 + S * part + i;
            A[j][i] = a.A[at] * LOG2E, h[j][i] = a.state[at];
        }
    for (int k = 0; k <= n_tiles + 1; k++) {
        if (k >= 1 && k <= n_tiles) {
            const float *B = &sm.B[(k - 1) % 3][0][S * part], *Cv = &sm.C_[(k - 1) % 3][0][S * part], *dt = (const float *)&sm.dt[(k - 1) & 1][0][ch];
            float *out = &sm.y[(k - 1) & 1][0][part][ch];
            float d[2][GROUP][2 * C], b[2][GROUP][S], v[2][GROUP][S]; /* two groups of steps: one in work, one on its way */
            auto fetch = [&](int to, int t0) {
#pragma unroll
                for (int i = 0; i < GROUP; i++)
                    load_floats(d[to][i], dt + (t0 + i) * 2 * CH), load_floats(b[to][i], B + (t0 + i) * 16), load_floats(v[to][i], Cv + (t0 + i) * 16);
            };
            fetch(0, 0);
#pragma unroll
            for (int g = 0; g < TT / GROUP; g++) {
                if (g + 1 < TT / GROUP) fetch((g + 1) & 1, (g + 1) * GROUP);
#pragma unroll
                for (int t = 0; t < GROUP; t++) {
                    const float(&dd)[2 * C] = d[g & 1][t], (&bb)[S] = b[g & 1][t], (&cc)[S] = v[g & 1][t];
                    float p[C];
#pragma unroll
                    for (int j = 0; j < C; j++)
#pragma unroll
                        for (int i = 0; i < S; i++) h[j][i] = fmaf(ex2(dd[2 * j] * A[j][i]), h[j][i], dd[2 * j + 1] * bb[i]);
#pragma unroll
                    for (int j = 0; j < C; j++) {
                        p[j] = h[j][0] * cc[0];
#pragma unroll
                        for (int i = 1; i < S; i++) p[j] = fmaf(h[j][i], cc[i], p[j]);
                    }
                    float *to = out + (g * GROUP + t) * parts * ROW;
                    if (C == 2) {
                        *(float2 *)to = make_float2(p[0], p[1]);
                    } else {
#pragma unroll
                        for (int j = 0; j < C; j++) to[j] = p[j];
                    }
                }
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int j = 0; j < C; j++)
#pragma unroll
        for (int i = 0; i < S; i++)
            if (c0 + j < a.d_inner) a.state[(size_t)(c0 + j) * 16 + S * part + i] = h[j][i];
}

/* Helpers: in interval k tile k + 1 is asked for, tile k prepared, tile k - 2 finished. */
template <int S, int C> __device__ __forceinline__ void scan_help(scan_smem<S, C> &sm, const scan_args &a, int n_tiles) {
    constexpr int parts = scan_layout<S, C>::parts, CH = scan_layout<S, C>::ch;
    const int tid = threadIdx.x - WALKERS, lane = tid % 32, step = tid / 32, c = blockIdx.x * CH + 2 * lane;
    const bool mine = 2 * lane < CH && c < a.d_inner; /* both or none: d_inner is even */
    const float2 bias = mine ? *(const float2 *)(a.dt_bias + c) : make_float2(0, 0), skip = mine ? *(const float2 *)(a.D + c) : make_float2(0, 0);
    scan_rows now, next;                                     /* tiles k and k + 1 */
    uint32_t x1[PER] = {}, z1[PER] = {}, x2[PER], z2[PER]; /* tiles k - 1 and k - 2 */
    auto load = [&](scan_rows &r, int tile) {
        const float *from = tid < 128 ? a.B : a.C; /* 32 rows of 4 x 16 bytes of each */
        float *to = tid < 128 ? &sm.B[tile % 3][tid / 4][tid % 4 * 4] : &sm.C_[tile % 3][(tid - 128) / 4][tid % 4 * 4];
        int t = tile * TT + tid % 128 / 4;
        if (tile < n_tiles) cp_async16(to, from + (size_t)(t < a.T ? t : 0) * a.bc_stride + tid % 4 * 4, t < a.T);
        cp_async_commit();
#pragma unroll
        for (int i = 0; i < PER; i++) {
            t = tile * TT + step + HELPERS / 32 * i;
            bool ok = mine && t < a.T;
            r.dt[i] = ok ? *(const uint32_t *)(a.dt_raw + (size_t)t * a.dt_stride + c) : 0;
            r.x[i] = ok ? *(const uint32_t *)(a.x + (size_t)t * a.x_stride + c) : 0;
            r.z[i] = ok ? *(const uint32_t *)(a.z + (size_t)t * a.z_stride + c) : 0;
        }
    };
    load(now, 0);
    for (int k = 0; k <= n_tiles + 1; k++) {
        load(next, k + 1);
        if (k >= 2) {
#pragma unroll
            for (int i = 0; i < PER; i++) {
                const int s = step + HELPERS / 32 * i, t = (k - 2) * TT + s;
                float2 p[parts];
#pragma unroll
                for (int j = 0; j < parts; j++) p[j] = mine ? *(const float2 *)&sm.y[k & 1][s][j][2 * lane] : make_float2(0, 0);
#pragma unroll
                for (int n = 1; n < parts; n *= 2)
#pragma unroll
                    for (int j = 0; j < parts; j += 2 * n) p[j].x += p[j + n].x, p[j].y += p[j + n].y;
                const float lo = fmaf(skip.x, low(x2[i]), p[0].x) * silu(low(z2[i])), hi = fmaf(skip.y, high(x2[i]), p[0].y) * silu(high(z2[i]));
                if (mine && t < a.T) *(uint32_t *)(a.y + (size_t)t * a.y_stride + c) = pack_bf16(lo, hi);
            }
        }
        if (k < n_tiles) {
#pragma unroll
            for (int i = 0; i < PER; i++) {
                const int s = step + HELPERS / 32 * i;
                const bool in = k * TT + s < a.T; /* behind the end dt is 0: exp(0) h + 0 leaves the state alone */
                const float lo = in ? softplus(low(now.dt[i]) + bias.x) : 0.f, hi = in ? softplus(high(now.dt[i]) + bias.y) : 0.f;
                if (2 * lane < CH) *(float4 *)&sm.dt[k & 1][s][2 * lane] = make_float4(lo, lo * low(now.x[i]), hi, hi * high(now.x[i]));
            }
        }
#pragma unroll
        for (int i = 0; i < PER; i++) x2[i] = x1[i], z2[i] = z1[i], x1[i] = now.x[i], z1[i] = now.z[i];
        now = next;
        cp_async_wait<1>(); /* this thread's piece of B and C of tile k is there; the barrier tells the walkers */
        __syncthreads();
    }
}

template <int S, int C> static __global__ void __launch_bounds__(WALKERS + HELPERS, 1) selective_scan_kernel(const scan_args a) {
    extern __shared__ __align__(16) uint8_t raw[];
    scan_smem<S, C> &sm = *(scan_smem<S, C> *)raw;
    const int n_tiles = (a.T + TT - 1) / TT;
    if (threadIdx.x < WALKERS)
        scan_walk<S, C>(sm, a, n_tiles);
    else
        scan_help<S, C>(sm, a, n_tiles);
}

template <int S, int C> static int launch(const scan_args &a, cudaStream_t stream, struct error *e) {
    static bool configured[CUDA_MAX_DEVICES];
    constexpr int CH = scan_layout<S, C>::ch, smem = (int)sizeof(scan_smem<S, C>);
    int rc = 0;
    if (cuda_first_use(configured))
        rc = cuda_check(cudaFuncSetAttribute(selective_scan_kernel<S, C>, cudaFuncAttributeMaxDynamicSharedMemorySize, smem), "selective_scan", e);
    if (rc) return rc;
    selective_scan_kernel<S, C><<<(unsigned)((a.d_inner + CH - 1) / CH), WALKERS + HELPERS, smem, stream>>>(a);
    return cuda_check(cudaGetLastError(), "selective_scan", e);
}

extern "C" int cuda_selective_scan(uint16_t *y, const uint16_t *x, const uint16_t *dt_raw, const uint16_t *z, const float *B, const float *C,
                                   const float *A, const float *D, const float *dt_bias, float *state, int T, int d_inner, int x_stride,
                                   int dt_stride, int z_stride, int y_stride, int bc_stride, cuda_stream stream, struct error *e) {
    if (T == 0) return 0;
    if ((d_inner | x_stride | dt_stride | z_stride | y_stride) % 2 || bc_stride % 4)
        return error_set(e, ERR_UNSUPPORTED, "selective_scan", "d_inner %d and the strides must be even, that of B and C a multiple of 4", d_inner);
    const scan_args a = {(bf16 *)y, (const bf16 *)x, (const bf16 *)dt_raw, (const bf16 *)z, B, C, A, D, dt_bias, state, T, d_inner, x_stride,
                         dt_stride, z_stride, y_stride, bc_stride};
    /* a model's d_inner decides, never T: a channel's bits must not depend on the cut */
    const int narrow = scan_layout<2, 3>::ch;
    return (d_inner + narrow - 1) / narrow <= SCAN_BLOCKS ? launch<2, 3>(a, (cudaStream_t)stream, e) : launch<4, 2>(a, (cudaStream_t)stream, e);
}
