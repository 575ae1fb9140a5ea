/* selective_scan.cu: the Mamba-1 recurrence over a chunk of time, one sequence, time-major (Gu and Dao 2023, algorithm 2; the CPU twin is
 * kernels/cpu/mamba.c).
 *
 * A block's first W warps walk time. A walker's lane holds 4 of the 16 states of a channel in registers, four independent chains; its loads run
 * a group of 4 steps ahead of the arithmetic.
 *
 * The other 8 warps help: they copy x, z, dt, B and C into shared memory two tiles of 32 steps ahead (asynchronously, each thread waits for
 * its own pieces), make softplus(dt) and dt x for the next tile, and add the partial sums, the D skip and the gate of the last one. One barrier
 * of the whole block a tile is all that orders shared memory. Steps are taken in order whatever the tile, so chunk cuts do not show in any bit.
 *
 * A block has 8 W channels; W is the least of 4, 6 and 8 whose blocks fit on the device at once, and shows in no bit either: d_inner 8192 is 128
 * blocks of 64, 5120 is 107 of 48. On an H200, 32,768 steps: 1.72 ms at 8192 (104 cycles a step), 1.66 at 5120, 1.04 at 1152. With 64
 * channels the exponentials and logarithms keep the special function units busy for 80 of these cycles, and instructions (some 70 a
 * scheduler) share the rest; tests/bench/RESULTS.md has the profile.
 */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"

#define TT 32           /* steps a tile */
#define GROUP 4         /* steps a walker's loads run ahead */
#define SCAN_BLOCKS 128 /* multiprocessors counted on (H100 and H200: 132) */
#define HELPERS 256
#define S 4     /* states a lane */
#define PARTS 4 /* lanes that share a channel: 16 / S */

/* A tile is asked for in interval k - 2, prepared in k, walked in k + 1, finished in k + 2. */
template <int W> struct scan_smem {
    static constexpr int ch = 8 * W;
    static constexpr int row = ch + 8; /* distance of the parts' rows of sums: 8 or 24 modulo 32, so that the stores of a warp meet in different banks */
    float B[4][TT][16], C[4][TT][16];
    bf16 x[5][TT * ch], z[5][TT * ch], dt_raw[3][TT * ch];
    float2 dt[2][TT * ch]; /* softplus(dt), dt x */
    float y[2][TT][PARTS][row]; /* partial sums */
};

__device__ __forceinline__ float low(uint32_t v) {
    return __uint_as_float(v << 16);
}
__device__ __forceinline__ float high(uint32_t v) {
    return __uint_as_float(v & 0xffff0000u);
}
__device__ __forceinline__ uint32_t two(const bf16 *p) {
    return *(const uint32_t *)p;
}
__device__ __forceinline__ void load_floats(float (&to)[S], const float *from) {
    const float4 v = *(const float4 *)from;
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}

struct scan_args {
    bf16 *y;
    const bf16 *x, *dt_raw, *z;
    const float *B, *C, *A, *D, *dt_bias;
    float *state;
    int T, d_inner, x_stride, dt_stride, z_stride, y_stride, bc_stride;
    bool wide; /* rows of x, dt and z can be copied by 16 bytes */
};

/* Walkers: tile k - 1 in interval k. */
template <int W> __device__ __forceinline__ void scan_walk(scan_smem<W> &sm, const scan_args &a, int n_tiles) {
    constexpr int CH = scan_smem<W>::ch, ROW = scan_smem<W>::row;
    const int lane = threadIdx.x % 32;
    /* which states; which channel. Lanes 1 and 2 apart read the same of B and C, or of dt: a shared-memory load then takes fewer passes */
    const int part = lane / 2 % PARTS, ch = threadIdx.x / 32 * 8 + lane % 2 + lane / 8 * 2, c = blockIdx.x * CH + ch;
    const size_t own = (size_t)(c < a.d_inner ? c : 0) * 16 + S * part;
    float A[S], h[S];
#pragma unroll
    for (int i = 0; i < S; i++) A[i] = a.A[own + i] * LOG2E, h[i] = a.state[own + i];
    for (int k = 0; k <= n_tiles + 1; k++) {
        if (k >= 1 && k <= n_tiles) {
            const float *B = &sm.B[(k - 1) % 4][0][S * part], *C = &sm.C[(k - 1) % 4][0][S * part];
            const float2 *dt = sm.dt[(k - 1) & 1] + ch;
            float *out = &sm.y[(k - 1) & 1][0][part][ch];
            float2 d[2][GROUP]; /* two groups of steps: one in work, one on its way */
            float b[2][GROUP][S], v[2][GROUP][S];
            auto fetch = [&](int to, int t0) {
#pragma unroll
                for (int i = 0; i < GROUP; i++)
                    d[to][i] = dt[(t0 + i) * CH], load_floats(b[to][i], B + (t0 + i) * 16), load_floats(v[to][i], C + (t0 + i) * 16);
            };
            fetch(0, 0);
#pragma unroll
            for (int g = 0; g < TT / GROUP; g++) {
                if (g + 1 < TT / GROUP) fetch((g + 1) & 1, (g + 1) * GROUP);
#pragma unroll
                for (int t = 0; t < GROUP; t++) {
                    const float2 dd = d[g & 1][t];
                    const float(&bb)[S] = b[g & 1][t], (&cc)[S] = v[g & 1][t];
#pragma unroll
                    for (int i = 0; i < S; i++) h[i] = fmaf(ex2(dd.x * A[i]), h[i], dd.y * bb[i]);
                    float p = h[0] * cc[0];
#pragma unroll
                    for (int i = 1; i < S; i++) p = fmaf(h[i], cc[i], p);
                    out[(g * GROUP + t) * PARTS * ROW] = p;
                }
            }
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < S; i++)
        if (c < a.d_inner) a.state[own + i] = h[i];
}

/* What a helper copies of every tile: a piece of B or C and, where rows can be copied by 16 bytes, one each of x, dt and z. */
template <int W> struct scan_copies {
    static constexpr int CH = scan_smem<W>::ch, chunks = CH / 8;
    const float *bc; /* this thread's piece of the next tile */
    const bf16 *x, *dt, *z;
    int row; /* of x, dt and z in a tile; TT or more: no piece */
    bool some;

    __device__ __forceinline__ scan_copies(const scan_args &a, int tid) {
        const int c = (int)blockIdx.x * CH + tid % chunks * 8;
        bc = (tid < HELPERS / 2 ? a.B : a.C) + (ptrdiff_t)(tid % 128 / 4) * a.bc_stride + tid % 4 * 4;
        row = tid / chunks, some = c < a.d_inner;
        x = a.x + (ptrdiff_t)row * a.x_stride + c, dt = a.dt_raw + (ptrdiff_t)row * a.dt_stride + c, z = a.z + (ptrdiff_t)row * a.z_stride + c;
    }
    /* Tiles in order, each once; nothing behind the last. What lies behind the last step or channel is 0. */
    __device__ __forceinline__ void ask(scan_smem<W> &sm, const scan_args &a, int tid, int tile, int stage5, int stage3) {
        const int left = a.T - tile * TT;
        if (left > 0) {
            cp_async16((tid < HELPERS / 2 ? sm.B : sm.C)[tile % 4][0] + tid % 128 * 4, bc, tid % 128 / 4 < left);
            bc += (ptrdiff_t)TT * a.bc_stride;
            if (a.wide) {
                if (row < TT) {
                    const bool ok = some && row < left;
                    cp_async16(sm.dt_raw[stage3] + tid * 8, dt, ok);
                    cp_async16(sm.x[stage5] + tid * 8, x, ok);
                    cp_async16(sm.z[stage5] + tid * 8, z, ok);
                }
                x += (ptrdiff_t)TT * a.x_stride, dt += (ptrdiff_t)TT * a.dt_stride, z += (ptrdiff_t)TT * a.z_stride;
            } else {
                for (int i = tid; i < TT * CH / 2; i += HELPERS) {
                    const int r = i / (CH / 2), c = (int)blockIdx.x * CH + i % (CH / 2) * 2;
                    const bool ok = r < left && c < a.d_inner;
                    const size_t t = ok ? (size_t)tile * TT + r : 0, from = ok ? c : 0;
                    cp_async4(sm.dt_raw[stage3] + 2 * i, a.dt_raw + t * a.dt_stride + from, ok);
                    cp_async4(sm.x[stage5] + 2 * i, a.x + t * a.x_stride + from, ok);
                    cp_async4(sm.z[stage5] + 2 * i, a.z + t * a.z_stride + from, ok);
                }
            }
        }
        cp_async_commit();
    }
};

/* Helpers: in interval k tile k + 2 is asked for, tile k prepared, tile k - 2 finished. */
template <int W> __device__ __forceinline__ void scan_help(scan_smem<W> &sm, const scan_args &a, int tid, int n_tiles) {
    constexpr int CH = scan_smem<W>::ch, ROW = scan_smem<W>::row, N = TT * CH / 2 / HELPERS; /* pairs of neighbouring channels of a tile, a helper */
    constexpr bool even = CH == 64; /* a lane's pairs are of the same channels, a row each */
    constexpr int M = even ? 1 : N;
    /* A warp has 4 rows of a tile; a lane's pairs are 32 apart in them. */
    const int lane = (int)((unsigned)tid & 31u), first = tid / 32 * (TT * 32 / HELPERS), c0 = blockIdx.x * CH, at = first * CH + 2 * lane;
    float2 bias[M], skip[M];
    int row[M], sums[M], place[M];
    bool mine[M];
#pragma unroll
    for (int i = 0; i < M; i++) {
        const int c = (lane + 32 * i) % (CH / 2) * 2;
        row[i] = first + (lane + 32 * i) / (CH / 2), sums[i] = row[i] * PARTS * ROW + c, place[i] = row[i] * a.y_stride + c;
        mine[i] = c0 + c < a.d_inner; /* both or none: d_inner is even */
        bias[i] = mine[i] ? *(const float2 *)(a.dt_bias + c0 + c) : make_float2(0, 0), skip[i] = mine[i] ? *(const float2 *)(a.D + c0 + c) : make_float2(0, 0);
    }
    int stage5 = 0, stage3 = 0; /* tile k modulo 5 and 3 */
    auto finish = [&](bf16 *out, const float *y, int stage, int left) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            const int m = even ? 0 : i, r = even ? i : 0;
            const uint32_t x = two(sm.x[stage] + at + 64 * i), z = two(sm.z[stage] + at + 64 * i);
            float2 p[PARTS];
#pragma unroll
            for (int j = 0; j < PARTS; j++) p[j] = *(const float2 *)(y + sums[m] + (r * PARTS + j) * ROW);
#pragma unroll
            for (int n = 1; n < PARTS; n *= 2)
#pragma unroll
                for (int j = 0; j < PARTS; j += 2 * n) p[j].x += p[j + n].x, p[j].y += p[j + n].y;
            const float lo = fmaf(skip[m].x, low(x), p[0].x) * silu(low(z)), hi = fmaf(skip[m].y, high(x), p[0].y) * silu(high(z));
            if (mine[m] && row[m] + r < left) *(uint32_t *)(out + place[m] + r * a.y_stride) = pack_bf16(lo, hi);
        }
    };
    auto prepare = [&](float2 *dt, int left) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            const int m = even ? 0 : i;
            const uint32_t x = two(sm.x[stage5] + at + 64 * i), d = two(sm.dt_raw[stage3] + at + 64 * i);
            float lo = softplus(low(d) + bias[m].x), hi = softplus(high(d) + bias[m].y);
            if (row[m] + (even ? i : 0) >= left) lo = hi = 0; /* behind the end dt is 0: exp(0) h + 0 leaves the state alone */
            *(float4 *)(dt + at + 64 * i) = make_float4(lo, lo * low(x), hi, hi * high(x));
        }
    };
    scan_copies<W> copies(a, tid);
    copies.ask(sm, a, tid, 0, 0, 0);
    copies.ask(sm, a, tid, 1, 1, 1);
    cp_async_wait<1>();
    __syncthreads();
    for (int k = 0; k <= n_tiles + 1; k++) {
        copies.ask(sm, a, tid, k + 2, stage5 >= 3 ? stage5 - 3 : stage5 + 2, stage3 >= 1 ? stage3 - 1 : 2);
        if (k >= 2) finish(a.y + (ptrdiff_t)(k - 2) * TT * a.y_stride + c0, sm.y[k & 1][0][0], stage5 >= 2 ? stage5 - 2 : stage5 + 3, a.T - (k - 2) * TT);
        if (k < n_tiles) {
            if (a.T - k * TT >= TT)
                prepare(sm.dt[k & 1], TT); /* a number: nothing is compared in a whole tile */
            else
                prepare(sm.dt[k & 1], a.T - k * TT);
        }
        stage5 = stage5 == 4 ? 0 : stage5 + 1, stage3 = stage3 == 2 ? 0 : stage3 + 1;
        cp_async_wait<1>(); /* this thread's pieces of tile k + 1 are there; the barrier tells the others */
        __syncthreads();
    }
}

template <int W> static __global__ void __launch_bounds__(W * 32 + HELPERS, 1) selective_scan_kernel(const scan_args a) {
    extern __shared__ __align__(16) uint8_t raw[];
    scan_smem<W> &sm = *(scan_smem<W> *)raw;
    const int n_tiles = (a.T + TT - 1) / TT;
    if (threadIdx.x < W * 32) {
        __syncthreads(); /* tile 0 is there */
        scan_walk(sm, a, n_tiles);
    } else {
        scan_help(sm, a, threadIdx.x - W * 32, n_tiles);
    }
}

template <int W> static int launch(const scan_args &a, cudaStream_t stream, struct error *e) {
    static thread_local bool configured[CUDA_MAX_DEVICES];
    constexpr int CH = scan_smem<W>::ch, smem = (int)sizeof(scan_smem<W>);
    int rc = 0;
    if (cuda_first_use(configured))
        rc = cuda_check(cudaFuncSetAttribute(selective_scan_kernel<W>, cudaFuncAttributeMaxDynamicSharedMemorySize, smem), "selective_scan", e);
    if (rc) return rc;
    selective_scan_kernel<W><<<(unsigned)((a.d_inner + CH - 1) / CH), W * 32 + HELPERS, smem, stream>>>(a);
    return cuda_check(cudaGetLastError(), "selective_scan", e);
}

extern "C" int cuda_selective_scan(uint16_t *y, const uint16_t *x, const uint16_t *dt_raw, const uint16_t *z, const float *B, const float *C,
                                   const float *A, const float *D, const float *dt_bias, float *state, int T, int d_inner, int x_stride,
                                   int dt_stride, int z_stride, int y_stride, int bc_stride, cuda_stream stream, struct error *e) {
    if (T == 0) return 0;
    if ((d_inner | x_stride | dt_stride | z_stride | y_stride) % 2 || bc_stride % 4)
        return error_set(e, ERR_UNSUPPORTED, "selective_scan", "d_inner %d and the strides must be even, that of B and C a multiple of 4", d_inner);
    const bool wide = (d_inner | x_stride | dt_stride | z_stride) % 8 == 0 && ((uintptr_t)x | (uintptr_t)dt_raw | (uintptr_t)z) % 16 == 0;
    const scan_args a = {(bf16 *)y, (const bf16 *)x, (const bf16 *)dt_raw, (const bf16 *)z, B, C, A, D, dt_bias, state, T, d_inner, x_stride,
                         dt_stride, z_stride, y_stride, bc_stride, wide};
    if (d_inner <= SCAN_BLOCKS * 32 || !cuda_is_hopper()) return launch<4>(a, (cudaStream_t)stream, e); /* 98 KiB of shared memory: sm_80 on */
    if (d_inner <= SCAN_BLOCKS * 48) return launch<6>(a, (cudaStream_t)stream, e);
    return launch<8>(a, (cudaStream_t)stream, e);
}
