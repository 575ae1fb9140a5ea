/* selective_scan.cu: the Mamba-1 recurrence over a chunk of time, one sequence, time-major (Gu and Dao 2023, algorithm 2; the CPU twin is
 * kernels/cpu/mamba.c).
 *
 * A block owns 32 channels. Two of its warps walk time: a lane holds 4 of the 16 states of two neighbouring channels in registers, 8
 * independent chains, so that one warp keeps a scheduler's special function unit busy (one exp2 per channel, state and step is the bound) and what
 * it reads of B and C serves two channels. Its loads run a group of 4 steps ahead of its arithmetic. The other 4 warps work one tile of 32
 * steps ahead and one behind: they bring tiles by asynchronous copies, make dt = softplus(.) and dt x for the next tile, and add the four
 * partial sums, the D skip and the gate of the last one. One barrier a tile joins the two. Steps are taken in order whatever the tile, so
 * chunk cuts do not show in any bit.
 */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"

#define CH 32   /* channels a block */
#define TT 32   /* steps a tile */
#define AHEAD 3 /* tiles in flight */
#define SLOTS (AHEAD + 3)
#define GROUP 4    /* steps a walker's loads run ahead */
#define WALKERS 64 /* threads; the 128 others help */

struct scan_tile {
    bf16 x[TT][CH], dt[TT][CH], z[TT][CH]; /* 2 KiB each */
    float B[TT][16], C[TT][16];            /* 2 KiB each */
};
struct scan_smem {
    scan_tile tile[SLOTS];
    float2 dt[2][TT][CH]; /* softplus(dt), dt * x */
    float4 y[2][TT][CH];  /* a channel's 4 partial sums */
};

__global__ void __launch_bounds__(WALKERS + 128, 2)
    selective_scan_kernel(bf16 *y, const bf16 *x, const bf16 *dt_raw, const bf16 *z, const float *B, const float *C, const float *A,
                          const float *D, const float *dt_bias, float *state, int T, int x_stride, int dt_stride, int z_stride, int y_stride,
                          int bc_stride) {
    extern __shared__ __align__(16) uint8_t raw[];
    scan_smem &sm = *(scan_smem *)raw;
    const int c0 = blockIdx.x * CH, n_tiles = (T + TT - 1) / TT;

    const bool walks = threadIdx.x < WALKERS;
    /* a walker: first of two channels in the block, and which 4 states; a helper: one channel, every fourth step */
    const int tid = walks ? threadIdx.x : threadIdx.x - WALKERS, part = tid % 4;
    const int ch = walks ? tid / 4 * 2 : tid % CH, step = tid / CH;
    float *home = state + (size_t)(c0 + ch) * 16 + 4 * part;
    float a[8], h[8], bias = 0, skip = 0;
    if (walks) {
        const float *ap = A + (size_t)(c0 + ch) * 16 + 4 * part;
#pragma unroll
        for (int i = 0; i < 8; i++) a[i] = ap[i / 4 * 16 + i % 4] * LOG2E, h[i] = home[i / 4 * 16 + i % 4];
    } else {
        bias = dt_bias[c0 + ch], skip = D[c0 + ch];
    }
    auto load = [&](int tile) { /* helpers */
        if (tile < n_tiles) {
            scan_tile &s = sm.tile[tile % SLOTS];
            int row = tid / 4, col = tid % 4; /* 32 rows of 4 x 16 bytes */
            size_t t = (size_t)tile * TT + (size_t)row;
            bool ok = t < (size_t)T;
            size_t ts = ok ? t : 0;
            cp_async16(&s.x[row][8 * col], x + ts * x_stride + c0 + 8 * col, ok);
            cp_async16(&s.dt[row][8 * col], dt_raw + ts * dt_stride + c0 + 8 * col, ok);
            cp_async16(&s.z[row][8 * col], z + ts * z_stride + c0 + 8 * col, ok);
            cp_async16(&s.B[row][4 * col], B + ts * bc_stride + 4 * col, ok);
            cp_async16(&s.C[row][4 * col], C + ts * bc_stride + 4 * col, ok);
        }
        cp_async_commit();
    };
    if (!walks) {
#pragma unroll
        for (int i = 0; i < AHEAD; i++) load(i);
    }
    /* in interval k tile k + AHEAD is asked for, tile k prepared, tile k - 1 walked, tile k - 2 finished */
    for (int k = 0; k <= n_tiles + 1; k++) {
        if (walks) {
            if (k >= 1 && k <= n_tiles) {
                const scan_tile &s = sm.tile[(k - 1) % SLOTS];
                const float2 *dt = &sm.dt[(k - 1) & 1][0][ch];
                float *out = (float *)&sm.y[(k - 1) & 1][0][ch] + part;
                float4 d[2][GROUP], b[2][GROUP], c[2][GROUP]; /* two groups of steps: one in work, one on its way */
                auto fetch = [&](int to, int t0) {
#pragma unroll
                    for (int i = 0; i < GROUP; i++) {
                        d[to][i] = *(const float4 *)(dt + (size_t)(t0 + i) * CH); /* dt, dt x of both channels */
                        b[to][i] = *(const float4 *)&s.B[t0 + i][4 * part];
                        c[to][i] = *(const float4 *)&s.C[t0 + i][4 * part];
                    }
                };
                fetch(0, 0);
#pragma unroll
                for (int g = 0; g < TT / GROUP; g++) {
                    if (g + 1 < TT / GROUP) fetch((g + 1) & 1, (g + 1) * GROUP);
                    float p[GROUP][2];
#pragma unroll
                    for (int i = 0; i < GROUP; i++) {
                        const float4 dd = d[g & 1][i], bb = b[g & 1][i], cc = c[g & 1][i];
                        h[0] = fmaf(ex2(dd.x * a[0]), h[0], dd.y * bb.x), h[1] = fmaf(ex2(dd.x * a[1]), h[1], dd.y * bb.y);
                        h[2] = fmaf(ex2(dd.x * a[2]), h[2], dd.y * bb.z), h[3] = fmaf(ex2(dd.x * a[3]), h[3], dd.y * bb.w);
                        h[4] = fmaf(ex2(dd.z * a[4]), h[4], dd.w * bb.x), h[5] = fmaf(ex2(dd.z * a[5]), h[5], dd.w * bb.y);
                        h[6] = fmaf(ex2(dd.z * a[6]), h[6], dd.w * bb.z), h[7] = fmaf(ex2(dd.z * a[7]), h[7], dd.w * bb.w);
                        p[i][0] = fmaf(h[3], cc.w, fmaf(h[2], cc.z, fmaf(h[1], cc.y, h[0] * cc.x)));
                        p[i][1] = fmaf(h[7], cc.w, fmaf(h[6], cc.z, fmaf(h[5], cc.y, h[4] * cc.x)));
                    }
#pragma unroll
                    for (int i = 0; i < GROUP; i++) out[(size_t)(g * GROUP + i) * CH * 4] = p[i][0], out[(size_t)(g * GROUP + i) * CH * 4 + 4] = p[i][1];
                }
            }
        } else {
            if (k < n_tiles) {
                load(k + AHEAD);
                cp_async_wait<AHEAD>();
                asm volatile("bar.sync 1, 128;" ::: "memory");
                const scan_tile &s = sm.tile[k % SLOTS];
                const int n = min(TT, T - k * TT);
#pragma unroll
                for (int i = 0; i < TT / 4; i++) {
                    int t = step + 4 * i;
                    float d = softplus(__bfloat162float(s.dt[t][ch]) + bias);
                    if (t >= n) d = 0; /* behind the end: exp(0) h + 0 leaves the state alone */
                    sm.dt[k & 1][t][ch] = make_float2(d, d * __bfloat162float(s.x[t][ch]));
                }
            }
            if (k >= 2) {
                const scan_tile &s = sm.tile[(k - 2) % SLOTS];
                const int n = min(TT, T - (k - 2) * TT);
#pragma unroll
                for (int i = 0; i < TT / 4; i++) {
                    int t = step + 4 * i;
                    float4 q = sm.y[k & 1][t][ch];
                    float v = fmaf(skip, __bfloat162float(s.x[t][ch]), (q.x + q.y) + (q.z + q.w)) * silu(__bfloat162float(s.z[t][ch]));
                    if (t < n) y[((size_t)(k - 2) * TT + (size_t)t) * y_stride + c0 + ch] = __float2bfloat16(v);
                }
            }
        }
        __syncthreads();
    }
    if (walks) {
#pragma unroll
        for (int i = 0; i < 8; i++) home[i / 4 * 16 + i % 4] = h[i];
    }
}

extern "C" int cuda_selective_scan(uint16_t *y, const uint16_t *x, const uint16_t *dt_raw, const uint16_t *z, const float *B, const float *C,
                                   const float *A, const float *D, const float *dt_bias, float *state, int T, int d_inner, int x_stride,
                                   int dt_stride, int z_stride, int y_stride, int bc_stride, cuda_stream stream, struct error *e) {
    if (d_inner % CH || x_stride % 8 || dt_stride % 8 || z_stride % 8 || bc_stride % 4)
        return error_set(e, ERR_UNSUPPORTED, "selective_scan", "d_inner %d must be a multiple of %d and the strides of 16 bytes", d_inner, CH);
    int rc = cuda_check(cudaFuncSetAttribute(selective_scan_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)sizeof(scan_smem)),
                        "selective_scan", e);
    if (rc) return rc;
    selective_scan_kernel<<<d_inner / CH, WALKERS + 128, sizeof(scan_smem), (cudaStream_t)stream>>>(
        (bf16 *)y, (const bf16 *)x, (const bf16 *)dt_raw, (const bf16 *)z, B, C, A, D, dt_bias, state, T, x_stride, dt_stride, z_stride,
        y_stride, bc_stride);
    return cuda_check(cudaGetLastError(), "selective_scan", e);
}
