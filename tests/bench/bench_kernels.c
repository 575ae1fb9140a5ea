/* bench_kernels.c: each CUDA operation alone, at the sizes of Mini and 3B: median time of 9 runs, GB/s or TFLOP/s, and
 * the share of what the card can do (ceilings measured here: device copy, bf16 GEMM). CSV:
 * kernel,size,ms,rate,unit,share. Inputs are noise; they exceed the L2 cache where the operation is bound by memory.
 */
#include "base.h"

#include <stdio.h>

#ifdef ANTINOMY_CUDA
#include "kernels/cuda/cuda_ops.h"

#include <stdlib.h>
#include <string.h>

#define RUNS 9
static struct error err;
static cuda_stream st;
static double copy_gbs, gemm_tflops;
static void ok(int rc) {
    if (!rc) return;
    fprintf(stderr, "%s: %s\n", err.where, err.message);
    exit(1);
}
static void *mem(size_t bytes) {
    void *p;
    ok(cuda_alloc(&p, bytes, &err));
    ok(cuda_random_bf16(p, bytes / 2, 0.5f, bytes, st, &err));
    return p;
}
static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}
/* BENCH(call): median ms. */
static float times[RUNS];
static cuda_timer timer;
#define BENCH(CALL)                                                                                                    \
    do {                                                                                                               \
        for (int run_ = -2; run_ < RUNS; run_++) {                                                                     \
            ok(cuda_timer_mark(timer, 0, st, &err));                                                                   \
            ok(CALL);                                                                                                  \
            ok(cuda_timer_mark(timer, 1, st, &err));                                                                   \
            float ms_;                                                                                                 \
            ok(cuda_timer_ms(timer, &ms_, &err));                                                                      \
            if (run_ >= 0) times[run_] = ms_;                                                                          \
        }                                                                                                              \
        qsort(times, RUNS, sizeof times[0], by_value);                                                                 \
    } while (0)
static void row(const char *kernel, const char *size, double bytes, double flop) {
    double ms = times[RUNS / 2];
    if (flop > 0)
        printf("%s,%s,%.4f,%.1f,TFLOP/s,%.3f\n", kernel, size, ms, flop / ms / 1e9,
               gemm_tflops > 0 ? flop / ms / 1e9 / gemm_tflops : 1);
    else
        printf("%s,%s,%.4f,%.1f,GB/s,%.3f\n", kernel, size, ms, bytes / ms / 1e6,
               copy_gbs > 0 ? bytes / ms / 1e6 / copy_gbs : 1);
    fflush(stdout);
}

enum form { BF16, INT8, E4M3 };
static void bench_gemv(const char *name, int n_out, int n_in, enum form form, int rows) {
    /* enough copies of the matrix that none is found in the cache */
    size_t n = (size_t)n_out * (size_t)n_in, bytes = n * (form == BF16 ? 2 : 1);
    int copies = (int)(((size_t)400 << 20) / bytes) + 1;
    struct cuda_matrix w[64];
    if (copies > 64) copies = 64;
    uint16_t *x = mem((size_t)n_in * 64), *y = mem((size_t)n_out * 64 * 4);
    float *scale = mem((size_t)n_out * 4);
    for (int i = 0; i < copies; i++)
        w[i] = (struct cuda_matrix){.bf16 = form == BF16 ? mem(bytes) : NULL,
                                    .i8 = form == INT8 ? mem(bytes) : NULL,
                                    .e4m3 = form == E4M3 ? mem(bytes) : NULL,
                                    .scale = scale,
                                    .n_out = n_out,
                                    .n_in = n_in};
    int at = 0;
    char size[64];
    snprintf(size, sizeof size, "%dx%d rows %d", n_out, n_in, rows);
    /* 20 calls a timing, so that the launch is not what is measured */
    for (int run = -2; run < RUNS; run++) {
        ok(cuda_timer_mark(timer, 0, st, &err));
        for (int k = 0; k < 20; k++) ok(cuda_gemv(&w[at++ % copies], x, n_in, rows, y, NULL, n_out, false, st, &err));
        ok(cuda_timer_mark(timer, 1, st, &err));
        float ms;
        ok(cuda_timer_ms(timer, &ms, &err));
        if (run >= 0) times[run] = ms / 20;
    }
    qsort(times, RUNS, sizeof times[0], by_value);
    row(name, size, (double)bytes, 0);
    for (int i = 0; i < copies; i++) cuda_free(w[i].bf16), cuda_free(w[i].i8), cuda_free(w[i].e4m3);
    cuda_free(x), cuda_free(y), cuda_free(scale);
}

/* Rows of noise as e4m3 with their scales. */
static uint8_t *mem_e4m3(float **scale, int rows, int n) {
    uint16_t *x = mem((size_t)rows * (size_t)n * 2);
    uint8_t *q = mem((size_t)rows * (size_t)n);
    *scale = mem((size_t)rows * 4);
    ok(cuda_quantise_e4m3(q, *scale, x, (size_t)rows, (size_t)n, st, &err));
    ok(cuda_sync(st, &err));
    cuda_free(x);
    return q;
}
static void bench_gemm_e4m3(struct cuda_gemm *g, int rows, int n_out, int n_in, bool f32) {
    struct cuda_matrix w = {.n_out = n_out, .n_in = n_in};
    w.e4m3 = mem_e4m3(&w.scale, n_out, n_in);
    float *x_scale, *y32 = f32 ? mem((size_t)rows * (size_t)n_out * 4) : NULL;
    uint8_t *x = mem_e4m3(&x_scale, rows, n_in);
    uint16_t *y = f32 ? NULL : mem((size_t)rows * (size_t)n_out * 2);
    char size[64];
    snprintf(size, sizeof size, "%dx%dx%d%s", rows, n_out, n_in, f32 ? " f32 add" : "");
    if (cuda_linear_e4m3_ready(g, &w, n_in, n_out, f32, f32)) {
        BENCH(cuda_linear_e4m3(g, &w, x, x_scale, n_in, rows, y, y32, n_out, f32, st, &err));
        row("gemm_e4m3", size, 0, 2.0 * rows * n_out * n_in);
    } else {
        printf("# gemm_e4m3 %s: the library has none\n", size);
    }
    cuda_free(w.e4m3), cuda_free(w.scale), cuda_free(x), cuda_free(x_scale), cuda_free(y), cuda_free(y32);
}
static void bench_e4m3(struct cuda_gemm *g) {
    static const struct {
        int n_out, n_in;
        bool f32;
    } products[] = {{28672, 4096, false}, {4096, 14336, true}, {4096, 14336, false}, {16384, 4096, false},
                    {4096, 8192, true},   {6144, 4096, false}, {4096, 4096, true},   {16384, 2560, false},
                    {10240, 2560, false}, {2560, 8192, true},  {2560, 5120, true}};
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++)
        for (int rows = 4096; rows <= 32768; rows *= 8)
            bench_gemm_e4m3(g, rows, products[i].n_out, products[i].n_in, products[i].f32);
    bench_gemm_e4m3(g, 40, 28672, 4096, false);
    float *h = mem((size_t)32768 * 4096 * 4), *w = mem(4096 * 4), *scale = mem(65536 * 4), *scale2 = mem(65536 * 4);
    uint16_t *wide = mem((size_t)32768 * 28672 * 2);
    uint8_t *q = mem((size_t)32768 * 14336);
    int32_t *order;
    ok(cuda_alloc((void **)&order, 65536 * 4, &err));
    ok(cuda_zero(order, 65536 * 4, st, &err));
    BENCH(cuda_rms_norm_e4m3(q, scale, NULL, h, w, 32768, 4096, 1e-6f, st, &err));
    row("rms_norm_e4m3", "32768x4096", 32768.0 * 4096 * 5, 0);
    BENCH(cuda_rms_norm_e4m3(q, scale, wide, h, w, 32768, 4096, 1e-6f, st, &err));
    row("rms_norm_e4m3", "32768x4096 and bf16", 32768.0 * 4096 * 7, 0);
    BENCH(cuda_swiglu_e4m3(q, scale, wide, 32768, 14336, st, &err));
    row("swiglu_e4m3", "32768x14336", 32768.0 * 14336 * 5, 0);
    BENCH(cuda_swiglu_e4m3(q, scale, wide, 32768, 8192, st, &err));
    row("swiglu_e4m3", "32768x8192", 32768.0 * 8192 * 5, 0);
    BENCH(cuda_quantise_e4m3(q, scale, wide, 32768, 8192, st, &err));
    row("quantise_e4m3", "32768x8192", 32768.0 * 8192 * 3, 0);
    BENCH(cuda_moe_gather_e4m3((uint8_t *)wide, scale2, q, scale, order, 65536, 2, 4096, st, &err));
    row("moe_gather_e4m3", "65536x4096 (of one row: writing alone)", 65536.0 * 4096, 0);
    cuda_free(h), cuda_free(w), cuda_free(scale), cuda_free(scale2), cuda_free(wide), cuda_free(q), cuda_free(order);
}

static void bench_gemm(struct cuda_gemm *g, int rows, int n_out, int n_in, bool f32) {
    struct cuda_matrix w = {.bf16 = mem((size_t)n_out * (size_t)n_in * 2), .n_out = n_out, .n_in = n_in};
    uint16_t *x = mem((size_t)rows * (size_t)n_in * 2), *y = f32 ? NULL : mem((size_t)rows * (size_t)n_out * 2);
    float *y32 = f32 ? mem((size_t)rows * (size_t)n_out * 4) : NULL;
    char size[64];
    snprintf(size, sizeof size, "%dx%dx%d%s", rows, n_out, n_in, f32 ? " f32 add" : "");
    BENCH(cuda_linear(g, &w, x, n_in, rows, y, y32, n_out, f32, st, &err));
    row("gemm_bf16", size, 0, 2.0 * rows * n_out * n_in);
    if (gemm_tflops == 0) gemm_tflops = 2.0 * rows * n_out * n_in / times[RUNS / 2] / 1e9;
    cuda_free(w.bf16), cuda_free(x), cuda_free(y), cuda_free(y32);
}

static void bench_scan(int T, int D) {
    uint16_t *x = mem((size_t)T * (size_t)D * 2), *dt = mem((size_t)T * (size_t)D * 4),
             *y = mem((size_t)T * (size_t)D * 2);
    float *bc = mem((size_t)T * 32 * 4), *a = mem((size_t)D * 64), *d = mem((size_t)D * 4),
          *state = mem((size_t)D * 64), *conv_w = mem((size_t)D * 16);
    uint16_t *conv_state = mem((size_t)D * 6);
    ok(cuda_fill_f32(a, (size_t)D * 16, -2, st, &err));
    ok(cuda_fill_f32(d, (size_t)D, 1, st, &err));
    ok(cuda_fill_f32(bc, (size_t)T * 32, 0.3f, st, &err));
    ok(cuda_zero(state, (size_t)D * 64, st, &err));
    char size[64];
    snprintf(size, sizeof size, "%dx%d", T, D);
    BENCH(cuda_selective_scan(y, x, dt, dt + D, bc, bc + 16, a, d, d, state, T, D, D, 2 * D, 2 * D, D, 32, st, &err));
    row("selective_scan", size, (double)T * D * 8 + (double)T * 128, 0);
    BENCH(cuda_conv1d_silu(y, D, dt, 2 * D, conv_w, d, conv_state, T, D, 4, st, &err));
    row("conv1d_silu", size, (double)T * D * 4, 0);
    cuda_free(x), cuda_free(dt), cuda_free(y), cuda_free(bc), cuda_free(a), cuda_free(d), cuda_free(state),
        cuda_free(conv_w), cuda_free(conv_state);
}

static void bench_attention(int T, int H, int KV, int D) {
    int pages = (T + CUDA_KV_PAGE - 1) / CUDA_KV_PAGE;
    struct cuda_kv kv = {mem((size_t)pages * 2 * CUDA_KV_PAGE * (size_t)(KV * D) * 2), pages, 1, KV, D};
    int32_t *table, *keys, *host = malloc((size_t)pages * 4);
    const int32_t **tables;
    for (int i = 0; i < pages; i++) host[i] = i;
    ok(cuda_alloc((void **)&table, (size_t)pages * 4, &err));
    ok(cuda_upload(table, host, (size_t)pages * 4, st, &err));
    ok(cuda_alloc((void **)&keys, 4, &err));
    ok(cuda_upload(keys, &T, 4, st, &err));
    ok(cuda_alloc((void **)&tables, sizeof *tables, &err));
    ok(cuda_upload(tables, &table, sizeof *tables, st, &err));
    int n_q = T < 32768 ? T : 32768; /* the last chunk of a long prefill */
    uint16_t *q = mem((size_t)n_q * (size_t)(H * D) * 2), *out = mem((size_t)n_q * (size_t)(H * D) * 2);
    void *scratch = mem(cuda_attention_decode_scratch(1, H, D, T));
    const float scale = 0.0884f;
    char size[64];
    snprintf(size, sizeof size, "%d queries behind %d heads %d/%d dim %d", n_q, T - n_q, H, KV, D);
    BENCH(cuda_attention_prefill(out, q, H * D, &kv, 0, table, n_q, T - n_q, H, scale, st, &err));
    row("attention_prefill", size, 0, 4.0 * H * D * ((double)n_q * (T - n_q) + (double)n_q * n_q / 2));
    snprintf(size, sizeof size, "%d keys heads %d/%d dim %d", T, H, KV, D);
    BENCH(cuda_attention_decode(out, q, H * D, &kv, 0, tables, keys, T, 0, 1, H, scale, scratch, st, &err));
    row("attention_decode", size, (double)T * KV * D * 4, 0);
    cuda_free(kv.pool), cuda_free(table), cuda_free(keys), cuda_free(tables), cuda_free(q), cuda_free(out),
        cuda_free(scratch);
    free(host);
}

int main(int argc, char **argv) {
    char name[128];
    size_t f, t;
    const bool only_gemv =
        argc > 1 && strcmp(argv[1], "gemv") == 0; /* the decode matrices alone, to compare variants */
    const bool only_e4m3 = argc > 1 && strcmp(argv[1], "e4m3") == 0;
    ok(cuda_device_use(0, name, &f, &t, &err));
    ok(cuda_stream_open(&st, &err));
    ok(cuda_timer_open(&timer, &err));
    printf("# %s\nkernel,size,ms,rate,unit,share\n", name);
    char *a = mem((size_t)1 << 30), *b = mem((size_t)1 << 30);
    BENCH(cuda_copy(b, a, (size_t)1 << 30, st, &err));
    copy_gbs = 2.0 * (1 << 30) / times[RUNS / 2] / 1e6;
    row("copy", "1 GiB", 2.0 * (1 << 30), 0);
    cuda_free(a), cuda_free(b);
    struct cuda_gemm *g;
    ok(cuda_gemm_open(&g, (size_t)28672 * 4096, &err));
    bench_gemm(g, 8192, 16384, 4096, false);
    if (only_gemv) goto gemv;
    if (only_e4m3) goto e4m3;
    bench_gemm(g, 8192, 28672, 4096, false);
    bench_gemm(g, 4096, 28672, 4096, false);
    bench_gemm(g, 8192, 4096, 14336, true);
    bench_gemm(g, 8192, 4096, 8192, true);
    bench_gemm(g, 8192, 6144, 4096, false);
    bench_gemm(g, 8192, 8192, 256, false);
    bench_gemm(g, 8192, 288, 8192, true);
    bench_gemm(g, 8192, 10240, 2560, false);
    bench_gemm(g, 8192, 16384, 2560, false);
    bench_gemm(g, 8192, 2560, 8192, true);
    bench_gemm(g, 40, 28672, 4096, false);
    {
        struct cuda_matrix w = {.i8 = mem((size_t)28672 * 4096), .scale = mem(28672 * 4), .n_out = 28672, .n_in = 4096};
        uint16_t *out = mem((size_t)28672 * 4096 * 2);
        BENCH(cuda_dequantise(out, w.i8, w.scale, 28672, 4096, st, &err));
        row("dequantise", "28672x4096", 28672.0 * 4096 * 3, 0);
        cuda_free(w.i8), cuda_free(w.scale), cuda_free(out);
    }
    bench_scan(32768, 8192);
    bench_scan(32768, 5120);
    bench_scan(32768, 1152);
    bench_attention(32768, 32, 8, 128);
    bench_attention(262144, 32, 8, 128);
    bench_attention(262144, 20, 1, 128);
    bench_attention(32768, 9, 3, 64);
    {
        float *h = mem((size_t)32768 * 4096 * 4), *w = mem(4096 * 4);
        uint16_t *y = mem((size_t)32768 * 28672 * 2), *u = mem((size_t)32768 * 14336 * 2);
        BENCH(cuda_rms_norm(u, h, w, 32768, 4096, 1e-6f, st, &err));
        row("rms_norm", "32768x4096", 32768.0 * 4096 * 6, 0);
        BENCH(cuda_swiglu(u, y, 32768, 14336, st, &err));
        row("swiglu", "32768x14336", 32768.0 * 14336 * 6, 0);
        cuda_free(h), cuda_free(w), cuda_free(y), cuda_free(u);
    }
e4m3:
    bench_e4m3(g);
gemv:
    for (enum form form = only_e4m3 ? E4M3 : BF16; form <= E4M3; form++) {
        const char *n = form == BF16 ? "gemv_bf16" : form == INT8 ? "gemv_int8" : "gemv_e4m3";
        static const int mini[][2] = {{16384, 4096}, {28672, 4096}, {4096, 14336}, {4096, 8192},
                                      {6144, 4096},  {4096, 4096},  {288, 8192},   {65536, 4096}};
        static const int b3[][2] = {{10240, 2560}, {16384, 2560}, {2560, 8192},
                                    {2560, 5120},  {192, 5120},   {65536, 2560}};
        for (size_t i = 0; i < sizeof mini / sizeof mini[0]; i++) bench_gemv(n, mini[i][0], mini[i][1], form, 1);
        for (size_t i = 0; i < sizeof b3 / sizeof b3[0]; i++) bench_gemv(n, b3[i][0], b3[i][1], form, 1);
        bench_gemv(n, 16384, 4096, form, 4);
        bench_gemv(n, 16384, 4096, form, 8);
        bench_gemv(n, 16384, 4096, form, 32);
    }
    cuda_gemm_close(g);
    cuda_timer_close(timer);
    cuda_stream_close(st);
    return 0;
}
#else
int main(void) {
    puts("skip: built without CUDA");
    return 0;
}
#endif
