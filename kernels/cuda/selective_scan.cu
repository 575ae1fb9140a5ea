/* selective_scan.cu: the Mamba-1 recurrence over a chunk of time, one sequence, time-major (Gu and Dao 2023, algorithm 2; the CPU twin is
 * kernels/cpu/mamba.c).
 *
 * A block owns 32 channels. Its first 4 warps walk time: 4 neighbouring lanes share a channel and hold 4 of its 16 states in registers, so
 * that d_inner 8192 puts two of these warps on each scheduler, and the bound is the special function unit, one exp2 per channel, state and
 * step. The other 4 warps work one tile of 32 steps ahead and one behind: they bring tiles by asynchronous copies, make dt =
 * softplus(.) and dt x for the next tile, and apply D skip and gate to the last one. One barrier a tile joins the two. Steps are
 * taken in order whatever the tile, so chunk cuts do not show in any bit.
 */
#include "kernels/cuda/cuda_common.cuh"
#include "kernels/cuda/cuda_device.cuh"
#include "kernels/cuda/cuda_ops.h"

#define CH 32   /* channels a block */
#define TT 32   /* steps a tile */
#define AHEAD 3 /* tiles in flight */
#define SLOTS (AHEAD + 3)

struct scan_tile {
    bf16 x[TT][CH], dt[TT][CH], z[TT][CH]; /* 2 KiB each */
    float B[TT][16], C[TT][16];            /* 2 KiB each */
};
struct scan_smem {
    scan_tile tile[SLOTS];
    float2 dt[2][TT][CH]; /* softplus(dt), dt * x */
    float y[2][TT][CH + 4];
};

__global__ void __launch_bounds__(256)
    selective_scan_kernel(bf16 *y, const bf16 *x, const bf16 *dt_raw, const bf16 *z, const float *B, const float *C, const float *A,
                          const float *D, const float *dt_bias, float *state, int T, int x_stride, int dt_stride, int z_stride, int y_stride,
                          int bc_stride) {
    extern __shared__ __align__(16) uint8_t raw[];
    scan_smem &sm = *(scan_smem *)raw;
    const int c0 = blockIdx.x * CH, n_tiles = (T + TT - 1) / TT;

    if (threadIdx.x < 128) { /* the walkers: tile k - 1 in interval k */
        const int ch = threadIdx.x / 4, part = threadIdx.x % 4; /* channel in the block, and which 4 states */
        float *home = state + (size_t)(c0 + ch) * 16 + 4 * part;
        float4 av = *(const float4 *)(A + (size_t)(c0 + ch) * 16 + 4 * part), hv = *(const float4 *)home;
        const float a0 = av.x * LOG2E, a1 = av.y * LOG2E, a2 = av.z * LOG2E, a3 = av.w * LOG2E;
        float h0 = hv.x, h1 = hv.y, h2 = hv.z, h3 = hv.w;
        __syncthreads();
        for (int k = 1; k <= n_tiles + 1; k++) {
            if (k <= n_tiles) {
                const scan_tile &s = sm.tile[(k - 1) % SLOTS];
                const float2(*dt)[CH] = sm.dt[(k - 1) & 1];
                float(*out)[CH + 4] = sm.y[(k - 1) & 1];
#pragma unroll 2
                for (int t0 = 0; t0 < TT; t0 += 4) {
                    float p[4];
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        float2 d = dt[t0 + i][ch];
                        float4 b = *(const float4 *)&s.B[t0 + i][4 * part], c = *(const float4 *)&s.C[t0 + i][4 * part];
                        h0 = fmaf(ex2(d.x * a0), h0, d.y * b.x);
                        h1 = fmaf(ex2(d.x * a1), h1, d.y * b.y);
                        h2 = fmaf(ex2(d.x * a2), h2, d.y * b.z);
                        h3 = fmaf(ex2(d.x * a3), h3, d.y * b.w);
                        p[i] = fmaf(h3, c.w, fmaf(h2, c.z, fmaf(h1, c.y, h0 * c.x)));
                    }
                    /* 4 lanes x 4 steps: transpose and add, lane `part` ends with step t0 + part */
                    float s0 = part & 1 ? p[0] : p[1], s1 = part & 1 ? p[2] : p[3];
                    float k0 = part & 1 ? p[1] : p[0], k1 = part & 1 ? p[3] : p[2];
                    k0 += __shfl_xor_sync(0xffffffffu, s0, 1);
                    k1 += __shfl_xor_sync(0xffffffffu, s1, 1);
                    float send = part & 2 ? k0 : k1, keep = part & 2 ? k1 : k0;
                    keep += __shfl_xor_sync(0xffffffffu, send, 2);
                    out[t0 + part][ch] = keep;
                }
            }
            __syncthreads();
        }
        *(float4 *)home = make_float4(h0, h1, h2, h3);
        return;
    }

    /* the helpers: in interval k tile k is prepared, tile k - 2 is finished, tile k + AHEAD is asked for */
    const int tid = threadIdx.x - 128, ch = tid % CH, step = tid / CH;
    const float bias = dt_bias[c0 + ch], skip = D[c0 + ch];
    auto load = [&](int tile) {
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
#pragma unroll
    for (int i = 0; i < AHEAD; i++) load(i);
    for (int k = 0; k <= n_tiles + 1; k++) {
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
                float v = fmaf(skip, __bfloat162float(s.x[t][ch]), sm.y[k & 1][t][ch]) * silu(__bfloat162float(s.z[t][ch]));
                if (t < n) y[((size_t)(k - 2) * TT + (size_t)t) * y_stride + c0 + ch] = __float2bfloat16(v);
            }
        }
        __syncthreads();
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
    selective_scan_kernel<<<d_inner / CH, 256, sizeof(scan_smem), (cudaStream_t)stream>>>(
        (bf16 *)y, (const bf16 *)x, (const bf16 *)dt_raw, (const bf16 *)z, B, C, A, D, dt_bias, state, T, x_stride, dt_stride, z_stride,
        y_stride, bc_stride);
    return cuda_check(cudaGetLastError(), "selective_scan", e);
}
