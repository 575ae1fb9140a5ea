/* test_cuda.c: the CUDA operations against plain loops in double precision, and the CUDA backend against the CPU's
 * scalar path. Without a device everything is skipped; REQUIRE_GPU=1 makes that a failure. */
#include "tests/unit/cuda_fixture.h"

#ifndef ANTINOMY_CUDA
int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_built_without_cuda)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void linear_equals_plain_loops(bool gemm) {
    static const int shapes[][3] = {{1, 16, 64},     {3, 33, 64},     {8, 288, 1152}, {17, 129, 256},
                                    {64, 2304, 576}, {5, 1025, 4096}, {31, 64, 128},  {32, 16384, 128}};
    struct cuda_gemm *g = NULL; /* none for the gemv: a race checker then sees our kernels alone */
    if (gemm) OK(cuda_gemm_open(&g, 8 << 20, &err));
    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
        int T = shapes[k][0], N = shapes[k][1], K = shapes[k][2];
        uint16_t *dx, *dw;
        uint16_t *x = random_bf16((size_t)(T + 8) * (size_t)K, 1, &dx), *w = random_bf16((size_t)N * (size_t)K, 1, &dw);
        double *ref = malloc((size_t)T * (size_t)N * 8);
        struct cuda_matrix m = {.bf16 = dw, .n_out = N, .n_in = K}, q = {.n_out = N, .n_in = K};
        q.i8 = poisoned((size_t)N * (size_t)K), q.scale = poisoned((size_t)N * 4);
        OK(cuda_quantise_rows(q.i8, q.scale, dw, (size_t)N, (size_t)K, stream, &err));
        int8_t *qi = fetched(q.i8, (size_t)N * (size_t)K);
        float *qs = fetch_f32(q.scale, (size_t)N);
        for (int int8 = 0; int8 < 2; int8++) {
            for (int t = 0; t < T; t++)
                for (int o = 0; o < N; o++) {
                    double s = 0;
                    for (int i = 0; i < K; i++)
                        s += (double)f32_of(x[t * K + i]) *
                             (int8 ? (double)qi[o * K + i] * (double)qs[o] : (double)f32_of(w[o * K + i]));
                    ref[t * N + o] = s;
                }
            /* the GEMM multiplies int8 weights rounded to bf16 */
            const double limit32 = int8 ? 3e-3 : 1e-5;
            float *y32 = poisoned((size_t)T * (size_t)N * 4), *got;
            if (gemm && N % 8 == 0) { /* cuBLASLt wants rows of 16 bytes */
                OK(cuda_linear(g, int8 ? &q : &m, dx, K, T, NULL, y32, N, false, stream, &err));
                got = fetch_f32(y32, (size_t)T * (size_t)N);
                close_to("gemm f32", got, ref, (size_t)T * (size_t)N, limit32);
                free(got);
                OK(cuda_linear(g, int8 ? &q : &m, dx, K, T, NULL, y32, N, true, stream, &err));
                got = fetch_f32(y32, (size_t)T * (size_t)N);
                for (int i = 0; i < T * N; i++) got[i] /= 2;
                close_to("gemm f32 add", got, ref, (size_t)T * (size_t)N, limit32);
                free(got);
                uint16_t *y = poisoned((size_t)T * (size_t)N * 2);
                OK(cuda_linear(g, int8 ? &q : &m, dx, K, T, y, NULL, N, false, stream, &err));
                got = fetch_bf16(y, (size_t)T * (size_t)N);
                close_to("gemm bf16", got, ref, (size_t)T * (size_t)N, BF16_LIMIT + limit32);
                free(got);
                cuda_free(y);
            }
            if (gemm) {
                cuda_free(y32);
                continue;
            }
            int rows = T < CUDA_STEP_ROWS ? T : CUDA_STEP_ROWS;
            OK(cuda_gemv(int8 ? &q : &m, dx, K, rows, NULL, y32, N, false, stream, &err));
            got = fetch_f32(y32, (size_t)rows * (size_t)N);
            close_to("gemv f32", got, ref, (size_t)rows * (size_t)N, 1e-5);
            free(got);
            /* a row alone, and the same row among others */
            float *y1 = poisoned((size_t)N * 4);
            OK(cuda_gemv(int8 ? &q : &m, dx, K, 1, NULL, y1, N, false, stream, &err));
            float *a = fetch_f32(y1, (size_t)N), *b = fetch_f32(y32, (size_t)N);
            assert_memory_equal(a, b, (size_t)N * 4);
            FREE(a, b);
            CUDA_FREE(y1, y32);
        }
        FREE(x, w, ref, qi, qs);
        CUDA_FREE(dx, dw, q.i8, q.scale);
    }
    cuda_gemm_close(g);
}

static void test_gemm_equals_plain_loops(void **state) {
    (void)state;
    if (device()) linear_equals_plain_loops(true);
}
static void test_gemv_equals_plain_loops(void **state) {
    (void)state;
    if (device()) linear_equals_plain_loops(false);
}

static void test_norms_and_swiglu_equal_plain_loops(void **state) {
    (void)state;
    if (!device()) return;
    static const int sizes[][2] = {{1, 8}, {3, 576}, {33, 4096}, {2, 2560}};
    for (size_t k = 0; k < 4; k++) {
        size_t T = (size_t)sizes[k][0], n = (size_t)sizes[k][1];
        float *dx, *dw;
        float *x = random_f32(T * n, 3, &dx), *w = random_f32(n, 1, &dw);
        double *ref = malloc(T * n * 8);
        for (size_t t = 0; t < T; t++) {
            double s = 0;
            for (size_t i = 0; i < n; i++) s += (double)x[t * n + i] * x[t * n + i];
            for (size_t i = 0; i < n; i++) ref[t * n + i] = x[t * n + i] / sqrt(s / (double)n + 1e-6) * w[i];
        }
        uint16_t *y = poisoned(T * n * 2);
        OK(cuda_rms_norm(y, dx, dw, (int)T, (int)n, 1e-6f, stream, &err));
        float *got = fetch_bf16(y, T * n);
        close_to("rms_norm", got, ref, T * n, BF16_LIMIT);
        free(got);
        uint16_t *dg;
        uint16_t *g = random_bf16(T * 2 * n, 2, &dg);
        for (size_t t = 0; t < T; t++)
            for (size_t i = 0; i < n; i++)
                ref[t * n + i] = silu((double)f32_of(g[t * 2 * n + i])) * (double)f32_of(g[t * 2 * n + n + i]);
        OK(cuda_swiglu(y, dg, (int)T, (int)n, stream, &err));
        got = fetch_bf16(y, T * n);
        close_to("swiglu", got, ref, T * n, BF16_LIMIT);
        FREE(got, x, w, ref, g);
        CUDA_FREE(dx, dw, dg, y);
    }
}

/* Convolution and scan of a chunk, of the same rows in pieces, and of single steps. */
static void test_mamba_chunk_pieces_and_steps_agree(void **state) {
    (void)state;
    if (!device()) return;
    enum { T = 131, D = 96, K = 4, R = 16 };
    uint16_t *dx, *dz, *dwdt, *conv[3];
    float *dw, *db, *dxdbc, *da, *dd, *dbias, *dn, *ssm[3];
    uint16_t *x = random_bf16(T * D, 1, &dx), *z = random_bf16(T * D, 1, &dz), *wdt = random_bf16(D * R, 0.3f, &dwdt);
    float *w = random_f32(D * K, 0.5f, &dw), *b = random_f32(D, 0.2f, &db), *xdbc = random_f32(T * (R + 32), 1, &dxdbc),
          *a = random_f32(D * 16, 1, &da), *d = random_f32(D, 1, &dd), *bias = random_f32(D, 1, &dbias),
          *norms = random_f32(R + 32, 1, &dn);
    for (int i = 0; i < D * 16; i++) a[i] = -fabsf(a[i]) * 4 - 0.01f;
    OK(cuda_upload(da, a, D * 16 * 4, stream, &err));
    /* norms and dt_proj as the prefill does them; their own check first */
    float *dbc = poisoned(T * 32 * 4);
    uint16_t *dtn = poisoned(T * R * 2), *ddt = poisoned(T * D * 2);
    OK(cuda_mamba_norms(dtn, dbc, dxdbc, dn, dn + R, dn + R + 16, T, R, R, 16, 1e-6f, stream, &err));
    struct cuda_gemm *g;
    OK(cuda_gemm_open(&g, 0, &err));
    struct cuda_matrix mdt = {.bf16 = dwdt, .n_out = D, .n_in = R};
    OK(cuda_linear(g, &mdt, dtn, R, T, ddt, NULL, D, false, stream, &err));
    float *bc = fetch_f32(dbc, T * 32), *gdt = fetch_bf16(ddt, T * D);
    double *rbc = malloc(T * 32 * 8), *rdt = malloc(T * D * 8);
    for (int t = 0; t < T; t++) {
        const float *row = xdbc + t * (R + 32);
        double s = 0, sb = 0, sc = 0;
        for (int i = 0; i < R; i++) s += (double)row[i] * row[i];
        for (int i = 0; i < 16; i++)
            sb += (double)row[R + i] * row[R + i], sc += (double)row[R + 16 + i] * row[R + 16 + i];
        for (int i = 0; i < 16; i++) rbc[t * 32 + i] = row[R + i] / sqrt(sb / 16 + 1e-6) * norms[R + i];
        for (int i = 0; i < 16; i++) rbc[t * 32 + 16 + i] = row[R + 16 + i] / sqrt(sc / 16 + 1e-6) * norms[R + 16 + i];
        for (int c = 0; c < D; c++) {
            rdt[t * D + c] = 0;
            for (int i = 0; i < R; i++)
                rdt[t * D + c] += row[i] / sqrt(s / R + 1e-6) * norms[i] * (double)f32_of(wdt[c * R + i]);
        }
    }
    close_to("norms of B and C", bc, rbc, T * 32, 1e-5);
    close_to("norm of dt and dt_proj", gdt, rdt, T * D, 2 * BF16_LIMIT);
    cuda_gemm_close(g);
    for (int i = 0; i < 3; i++) conv[i] = zeroed((K - 1) * D * 2), ssm[i] = zeroed(D * 16 * 4);
    uint16_t *u = poisoned(T * D * 2), *y = poisoned(T * D * 2), *u2 = poisoned(T * D * 2), *y2 = poisoned(T * D * 2),
             *u3 = poisoned(T * D * 2), *y3 = poisoned(T * D * 2);
    OK(cuda_conv1d_silu(u, D, dx, D, dw, db, conv[0], T, D, K, stream, &err));
    OK(cuda_selective_scan(y, u, ddt, dz, dbc, dbc + 16, da, dd, dbias, ssm[0], T, D, D, D, D, D, 32, stream, &err));
    static const int cuts[] = {1, 2, 3, 25, 32, 33, 35};
    for (int i = 0, at = 0; i < 7; at += cuts[i++]) {
        OK(cuda_conv1d_silu(u2 + at * D, D, dx + at * D, D, dw, db, conv[1], cuts[i], D, K, stream, &err));
        OK(cuda_selective_scan(y2 + at * D, u2 + at * D, ddt + at * D, dz + at * D, dbc + at * 32, dbc + at * 32 + 16,
                               da, dd, dbias, ssm[1], cuts[i], D, D, D, D, D, 32, stream, &err));
    }
    struct cuda_mamba_state one = {conv[2], ssm[2]}, *ds = on_device(&one, sizeof one);
    for (int t = 0; t < T; t++) {
        OK(cuda_conv1d_step(u3 + t * D, D, dx + t * D, D, dw, db, ds, 1, D, K, stream, &err));
        OK(cuda_scan_step(y3 + t * D, D, u3 + t * D, D, dxdbc + t * (R + 32), dn, dn + R, dn + R + 16, dwdt, dz + t * D,
                          D, da, dd, dbias, ds, 1, D, R, R, 16, 1e-6f, stream, &err));
    }
    float *gu = fetch_bf16(u, T * D), *gu2 = fetch_bf16(u2, T * D), *gu3 = fetch_bf16(u3, T * D);
    float *gy = fetch_bf16(y, T * D), *gy2 = fetch_bf16(y2, T * D), *gy3 = fetch_bf16(y3, T * D);
    float *s0 = fetch_f32(ssm[0], D * 16), *s1 = fetch_f32(ssm[1], D * 16);
    assert_memory_equal(gu, gu2, T * D * 4);
    assert_memory_equal(gy, gy2, T * D * 4);
    assert_memory_equal(s0, s1, D * 16 * 4);
    double *ru = malloc(T * D * 8), *ry = malloc(T * D * 8), *h = calloc(D * 16, 8);
    for (int t = 0; t < T; t++)
        for (int c = 0; c < D; c++) {
            double v = b[c];
            for (int j = 0; j < K; j++)
                if (t - K + 1 + j >= 0) v += (double)w[c * K + j] * f32_of(x[(t - K + 1 + j) * D + c]);
            ru[t * D + c] = silu(v);
        }
    for (int t = 0; t < T; t++)
        for (int c = 0; c < D; c++) {
            double uu = gu[t * D + c], raw = (double)gdt[t * D + c] + bias[c], delta = raw > 20 ? raw : log1p(exp(raw)),
                   v = 0;
            for (int n = 0; n < 16; n++) {
                h[c * 16 + n] = exp(delta * a[c * 16 + n]) * h[c * 16 + n] + delta * bc[t * 32 + n] * uu;
                v += bc[t * 32 + 16 + n] * h[c * 16 + n];
            }
            ry[t * D + c] = (v + d[c] * uu) * silu((double)f32_of(z[t * D + c]));
        }
    close_to("conv1d", gu, ru, T * D, BF16_LIMIT);
    close_to("scan", gy, ry, T * D, BF16_LIMIT);
    close_to("scan state", s0, h, D * 16, 1e-5);
    for (int i = 0; i < T * D; i++) ru[i] = gu[i], ry[i] = gy[i];
    close_to("conv1d steps", gu3, ru, T * D, 1e-3); /* taps are added in another order: a rounding now and then */
    close_to("scan steps", gy3, ry, T * D, 3e-3);   /* dt_proj by other sums: a bf16 step of dt now and then */
    FREE(x, z, wdt, xdbc, norms, gdt, rbc, rdt, w, b, bc, a, d, bias, gu, gu2, gu3, gy, gy2, gy3, s0, s1, ru, ry, h);
    CUDA_FREE(dx, dz, ddt, dwdt, dtn, dxdbc, dn, dw, db, dbc, da, dd, dbias, u, y, u2, y2, u3, y3, ds);
    for (int i = 0; i < 3; i++) CUDA_FREE(conv[i], ssm[i]);
}

/* The scan alone (no library's kernels beside it, for a race checker), in its three layouts (up to 4,096 and 6,144
 * channels, and more) and both ways of copying rows (by eight channels, by two), with channels that fill no block and
 * steps that fill no tile: plain loops, and cuts. */
static void test_scan_equals_plain_loops(void **state) {
    (void)state;
    if (!device()) return;
    static const int cases[][2] = {/* steps, channels */ {1, 2},
                                   {31, 48},
                                   {33, 202},
                                   {97, 64},
                                   {33, 4098},
                                   {70, 4104},
                                   {70, 6202},
                                   {129, 6208}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const size_t T = (size_t)cases[k][0], D = (size_t)cases[k][1];
        const int d = (int)D;
        uint16_t *dx, *dz, *ddt;
        float *dbc, *da, *dd, *dbias, *ssm[2];
        uint16_t *x = random_bf16(T * D, 1, &dx), *z = random_bf16(T * 2 * D, 1, &dz),
                 *dt = random_bf16(T * D, 2, &ddt);
        float *bc = random_f32(T * 32, 1, &dbc), *a = random_f32(D * 16, 1, &da), *skip = random_f32(D, 1, &dd),
              *bias = random_f32(D, 1, &dbias), *h0 = random_f32(D * 16, 1, &ssm[0]);
        for (size_t i = 0; i < D * 16; i++) a[i] = -fabsf(a[i]) * 4 - 0.01f;
        OK(cuda_upload(da, a, D * 16 * 4, stream, &err));
        ssm[1] = on_device(h0, D * 16 * 4);
        uint16_t *y = poisoned(T * D * 2), *cut = poisoned(T * D * 2);
        OK(cuda_selective_scan(y, dx, ddt, dz + D, dbc, dbc + 16, da, dd, dbias, ssm[0], (int)T, d, d, d, 2 * d, d, 32,
                               stream, &err));
        for (size_t at = 0, n = 1; at < T; at += n, n = 31 + at % 7) {
            if (n > T - at) n = T - at;
            OK(cuda_selective_scan(cut + at * D, dx + at * D, ddt + at * D, dz + at * 2 * D + D, dbc + at * 32,
                                   dbc + at * 32 + 16, da, dd, dbias, ssm[1], (int)n, d, d, d, 2 * d, d, 32, stream,
                                   &err));
        }
        float *gy = fetch_bf16(y, T * D), *gcut = fetch_bf16(cut, T * D), *s0 = fetch_f32(ssm[0], D * 16),
              *s1 = fetch_f32(ssm[1], D * 16);
        assert_memory_equal(gy, gcut, T * D * 4);
        assert_memory_equal(s0, s1, D * 16 * 4);
        double *ry = malloc(T * D * 8), *h = malloc(D * 16 * 8);
        for (size_t i = 0; i < D * 16; i++) h[i] = (double)h0[i];
        for (size_t t = 0; t < T; t++)
            for (size_t c = 0; c < D; c++) {
                const double u = (double)f32_of(x[t * D + c]), raw = (double)f32_of(dt[t * D + c]) + (double)bias[c],
                             delta = raw > 20 ? raw : log1p(exp(raw));
                double v = (double)skip[c] * u;
                for (size_t n = 0; n < 16; n++) {
                    h[c * 16 + n] =
                        exp(delta * (double)a[c * 16 + n]) * h[c * 16 + n] + delta * (double)bc[t * 32 + n] * u;
                    v += (double)bc[t * 32 + 16 + n] * h[c * 16 + n];
                }
                ry[t * D + c] = v * silu((double)f32_of(z[t * 2 * D + D + c]));
            }
        /* where one of few values is most of the norm, its own rounding counts (2^-9) and softplus' (5e-4 near -8) */
        close_to("scan", gy, ry, T * D, 3e-3);
        close_to("scan state", s0, h, D * 16, 1e-4);
        FREE(x, z, dt, bc, a, skip, bias, h0, gy, gcut, s0, s1, ry, h);
        CUDA_FREE(dx, dz, ddt, dbc, da, dd, dbias, ssm[0], ssm[1], y, cut);
    }
}

static void test_attention_equals_plain_loops_and_decode_equals_prefill(void **state) {
    (void)state;
    if (!device()) return;
    static const int cases[][5] = {/* n_q, q_start, heads, kv heads, head_dim */ {1, 0, 2, 1, 64},
                                   {33, 0, 9, 3, 64},
                                   {128, 0, 4, 2, 128},
                                   {129, 1000, 8, 2, 128},
                                   {70, 1020, 20, 1, 128},
                                   {300, 511, 9, 3, 64}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const int n = cases[k][0], q0 = cases[k][1], H = cases[k][2], KV = cases[k][3], D = cases[k][4], t = q0 + n;
        const int n_pages = (t + CUDA_KV_PAGE - 1) / CUDA_KV_PAGE + 1, L = 2, layer = 1;
        struct cuda_kv kv = {NULL, n_pages, L, KV, D};
        size_t pool = (size_t)(n_pages * L * 2 * CUDA_KV_PAGE) * (size_t)(KV * D);
        kv.pool = zeroed(pool * 2);
        int32_t pages[8]; /* in falling order, so that a page number is not its place */
        for (int i = 0; i < n_pages; i++) pages[i] = n_pages - 1 - i;
        int32_t *dpages = on_device(pages, (size_t)n_pages * 4);
        uint16_t *dk, *dv, *dq;
        uint16_t *hk = random_bf16((size_t)(t * KV * D), 1, &dk), *hv = random_bf16((size_t)(t * KV * D), 1, &dv),
                 *hq = random_bf16((size_t)(n * H * D), 1, &dq);
        OK(cuda_kv_append(&kv, layer, dpages, 0, dk, dv, KV * D, t, stream, &err));
        uint16_t *out = poisoned((size_t)(n * H * D) * 2), *cut = poisoned((size_t)(n * H * D) * 2),
                 *dec = poisoned((size_t)(H * D) * 2);
        const float scale = 1 / sqrtf((float)D);
        OK(cuda_attention_prefill(out, dq, H * D, &kv, layer, dpages, n, q0, H, scale, stream, &err));
        for (int at = 0, step = 1; at < n; at += step, step = 37) {
            if (step > n - at) step = n - at;
            OK(cuda_attention_prefill(cut + at * H * D, dq + at * H * D, H * D, &kv, layer, dpages, step, q0 + at, H,
                                      scale, stream, &err));
        }
        float *got = fetch_bf16(out, (size_t)(n * H * D)), *got2 = fetch_bf16(cut, (size_t)(n * H * D));
        assert_memory_equal(got, got2, (size_t)(n * H * D) * 4);
        double *ref = malloc((size_t)(n * H * D) * 8), *p = malloc((size_t)t * 8);
        for (int i = 0; i < n; i++)
            for (int h = 0; h < H; h++) {
                double m = -INFINITY, sum = 0;
                const int g = h / (H / KV);
                for (int j = 0; j <= q0 + i; j++) {
                    double s = 0;
                    for (int d = 0; d < D; d++)
                        s += (double)f32_of(hq[(i * H + h) * D + d]) * f32_of(hk[(j * KV + g) * D + d]);
                    p[j] = s * scale;
                    if (p[j] > m) m = p[j];
                }
                for (int j = 0; j <= q0 + i; j++) sum += p[j] = exp(p[j] - m);
                for (int d = 0; d < D; d++) {
                    double o = 0;
                    for (int j = 0; j <= q0 + i; j++) o += p[j] * f32_of(hv[(j * KV + g) * D + d]);
                    ref[(i * H + h) * D + d] = o / sum;
                }
            }
        close_to("attention prefill", got, ref, (size_t)(n * H * D), 4e-3); /* P is rounded to bf16 too */
        /* the last row again, by the decode kernel */
        const int32_t **dtables = on_device(&dpages, sizeof dpages);
        int32_t *dkeys = on_device(&t, sizeof t);
        void *scratch = poisoned(cuda_attention_decode_scratch(1, H, D, 4096));
        OK(cuda_attention_decode(dec, dq + (n - 1) * H * D, H * D, &kv, layer, dtables, dkeys, 4096, 0, 1, H, scale,
                                 scratch, stream, &err));
        float *gd = fetch_bf16(dec, (size_t)(H * D));
        close_to("attention decode", gd, ref + (size_t)((n - 1) * H * D), (size_t)(H * D), 4e-3);
        if (t > CUDA_KV_PAGE) { /* three timelines that share the first page: the same bits as alone */
            const int32_t *three[3] = {dpages, dpages, dpages}, keys3[3] = {t, t - 1, t};
            uint16_t *q3 = poisoned((size_t)(3 * H * D) * 2), *o3 = poisoned((size_t)(3 * H * D) * 2);
            for (int i = 0; i < 3; i++)
                OK(cuda_copy(q3 + i * H * D, dq + (n - 1) * H * D, (size_t)(H * D) * 2, stream, &err));
            const int32_t **dt3 = on_device(three, sizeof three);
            int32_t *dk3 = on_device(keys3, sizeof keys3);
            void *sc3 = poisoned(cuda_attention_decode_scratch(3, H, D, 4096));
            OK(cuda_attention_decode(o3, q3, H * D, &kv, layer, dt3, dk3, 4096, CUDA_KV_PAGE, 3, H, scale, sc3, stream,
                                     &err));
            float *g3 = fetch_bf16(o3, (size_t)(3 * H * D));
            assert_memory_equal(g3, gd, (size_t)(H * D) * 4);
            assert_memory_equal(g3 + 2 * H * D, gd, (size_t)(H * D) * 4);
            assert_memory_not_equal(g3 + H * D, gd, (size_t)(H * D) * 4); /* one key fewer */
            free(g3);
            CUDA_FREE(q3, o3, dt3, dk3, sc3);
        }
        FREE(hk, hv, hq, got, got2, ref, p, gd);
        CUDA_FREE(kv.pool, dpages, dk, dv, dq, out, cut, dec, dtables, dkeys, scratch);
    }
}

static void test_moe_routing_is_stable_and_complete(void **state) {
    (void)state;
    if (!device()) return;
    enum { T = 1500, E = 16, K = 2 };
    float *dl, *l = random_f32(T * E, 1, &dl), *dw = poisoned(T * K * 4);
    for (int i = 0; i < E; i++) l[7 * E + i] = 0.5f; /* all equal: the lower numbers win */
    OK(cuda_upload(dl, l, T * E * 4, stream, &err));
    int32_t e[T * K], order[T * K], place[T * K], off[E + 1];
    int32_t *de = poisoned(sizeof e), *dorder = poisoned(sizeof e), *dplace = poisoned(sizeof e),
            *doff = poisoned((size_t)(2 * E + 1) * 4);
    OK(cuda_moe_route(de, dw, dorder, dplace, doff, dl, T, E, K, stream, &err));
    OK(cuda_download(e, de, sizeof e, stream, &err));
    OK(cuda_download(order, dorder, sizeof e, stream, &err));
    OK(cuda_download(place, dplace, sizeof e, stream, &err));
    OK(cuda_download(off, doff, sizeof off, stream, &err));
    float *w = fetch_f32(dw, T * K);
    assert_int_equal(e[7 * K], 0);
    assert_int_equal(e[7 * K + 1], 1);
    for (int t = 0; t < T; t++) {
        double m = -INFINITY, sum = 0;
        for (int i = 0; i < E; i++) m = fmax(m, l[t * E + i]);
        for (int i = 0; i < E; i++) sum += exp(l[t * E + i] - m);
        assert_int_not_equal(e[t * K], e[t * K + 1]);
        for (int s = 0; s < K; s++) { /* the probability over all experts, not renormalised */
            double p = exp(l[t * E + e[t * K + s]] - m) / sum;
            assert_true(fabs(p - w[t * K + s]) < 1e-5);
        }
        for (int i = 0; i < E; i++)
            if (i != e[t * K] && i != e[t * K + 1]) assert_true(l[t * E + i] <= l[t * E + e[t * K + 1]]);
    }
    assert_int_equal(off[0], 0);
    assert_int_equal(off[E], T * K);
    for (int i = 0; i < E; i++)
        for (int k = off[i]; k < off[i + 1]; k++) {
            assert_int_equal(e[order[k]], i);
            assert_int_equal(place[order[k]], k);
            if (k > off[i]) assert_true(order[k] > order[k - 1]);
        }
    /* the plan of a step is the plan of its rows */
    enum { S = 13 };
    int32_t order2[S * K], place2[S * K], off2[E + 1], active[E], n_active = 0, *dactive = poisoned(sizeof active);
    float *dw2 = poisoned(S * K * 4), *w2;
    OK(cuda_moe_route(de, dw, dorder, dplace, doff, dl, S, E, K, stream, &err));
    OK(cuda_download(order, dorder, S * K * 4, stream, &err));
    OK(cuda_download(place, dplace, S * K * 4, stream, &err));
    OK(cuda_download(off, doff, sizeof off, stream, &err));
    OK(cuda_moe_route_step(dw2, dorder, dplace, doff, dactive, dl, S, E, K, stream, &err));
    OK(cuda_download(order2, dorder, S * K * 4, stream, &err));
    OK(cuda_download(place2, dplace, S * K * 4, stream, &err));
    OK(cuda_download(off2, doff, sizeof off2, stream, &err));
    OK(cuda_download(active, dactive, sizeof active, stream, &err));
    w2 = fetch_f32(dw2, S * K);
    assert_memory_equal(w, w2, S * K * 4);
    assert_memory_equal(order, order2, S * K * 4);
    assert_memory_equal(place, place2, S * K * 4);
    assert_memory_equal(off, off2, sizeof off);
    for (int i = 0; i < E; i++)
        if (off[i + 1] > off[i]) assert_int_equal(active[n_active++], i);
    for (int i = n_active; i < E; i++) assert_int_equal(active[i], -1);
    FREE(l, w, w2);
    CUDA_FREE(dl, dw, dw2, de, dorder, dplace, doff, dactive);
}

/* ---- the backend ---- */
static struct jamba_model *open_model(const char *where, const char *path) {
    struct jamba_model *m;
    struct jamba_model_options o = {.device = where, .path = path, .kv_tokens = 16384};
    OK(jamba_model_open(&m, MODEL, &o, &err));
    return m;
}
/* Real text as tokens: the licence beside the source. */
static int32_t *licence_tokens(struct jamba_model *m, size_t *n) {
    const char *file = getenv("ANTINOMY_TEXT") ? getenv("ANTINOMY_TEXT") : "LICENSE";
    return text_tokens(m, &file, 1, n);
}

struct trace {
    float *rows[40];
    size_t n;
};
static void keep_layer(void *ctx, int layer, const float *rows, size_t n_rows) {
    struct trace *t = ctx;
    size_t n = n_rows * t->n;
    float **to = &t->rows[layer + 1];
    *to = realloc(*to, n * 4);
    memcpy(*to, rows, n * 4);
}

static void test_bundled_model_equals_the_cpu_layer_by_layer(void **state) {
    (void)state;
    if (!device()) return;
    struct jamba_model *cpu = open_model("cpu", "scalar"), *gpu = open_model("cuda", NULL);
    const struct jamba_config *c = jamba_model_config(cpu);
    size_t n;
    int32_t *ids = licence_tokens(cpu, &n);
    n = 256; /* rows of a CPU chunk, so that one call is one trace */
    struct trace tc = {.n = c->d_model}, tg = {.n = c->d_model};
    struct jamba_session *sc, *sg;
    OK(jamba_session_open(&sc, cpu, 1024, &err));
    OK(jamba_session_open(&sg, gpu, 1024, &err));
    float *lc = malloc(c->n_vocab * 4), *lg = malloc(c->n_vocab * 4);
    for (int part = 0; part < 2; part++) {
        jamba_trace = (struct jamba_trace){keep_layer, &tc};
        OK(jamba_session_prefill(sc, ids + part * 256, n, NULL, &err));
        jamba_trace.ctx = &tg;
        OK(jamba_session_prefill(sg, ids + part * 256, n, NULL, &err));
        jamba_trace = (struct jamba_trace){0};
        for (uint32_t i = 0; i <= c->n_layer; i++) {
            /* bf16 activations and weights round to 8 bits, 30 layers deep: errors of 2^-9 a product add up like noise
             */
            double worst = 0;
            for (size_t r = 0; r < n; r++) {
                double d = 0, s = 0;
                for (size_t k = 0; k < c->d_model; k++) {
                    double a = tc.rows[i][r * c->d_model + k], b = tg.rows[i][r * c->d_model + k];
                    d += (a - b) * (a - b), s += a * a;
                }
                if (!(sqrt(d / s) <= worst)) worst = sqrt(d / s);
            }
            print_message("layer %d: worst row %.2e\n", (int)i - 1, worst);
            if (!(worst <= 0.06)) fail_msg("layer %d of part %d: relative error %g of a row", (int)i - 1, part, worst);
        }
    }
    OK(jamba_session_logits(sc, lc, &err));
    OK(jamba_session_logits(sg, lg, &err));
    double mc = -INFINITY, mg = -INFINITY, zc = 0, zg = 0, kl = 0;
    for (uint32_t i = 0; i < c->n_vocab; i++) mc = fmax(mc, lc[i]), mg = fmax(mg, lg[i]);
    for (uint32_t i = 0; i < c->n_vocab; i++) zc += exp(lc[i] - mc), zg += exp(lg[i] - mg);
    for (uint32_t i = 0; i < c->n_vocab; i++) {
        double p = exp(lc[i] - mc) / zc;
        if (p > 0) kl += p * ((lc[i] - mc - log(zc)) - (lg[i] - mg - log(zg)));
    }
    print_message("KL of the next token: %.2e\n", kl);
    if (!(kl < 5e-3)) fail_msg("KL %g", kl);
    for (int i = 0; i < 40; i++) free(tc.rows[i]), free(tg.rows[i]);
    free(lc), free(lg), free(ids);
    jamba_session_close(sc), jamba_session_close(sg);
    jamba_model_close(cpu), jamba_model_close(gpu);
}

static void test_chunks_forks_and_snapshots_keep_every_bit(void **state) {
    (void)state;
    if (!device()) return;
    struct jamba_model *m = open_model("cuda", NULL);
    const struct jamba_config *c = jamba_model_config(m);
    size_t n;
    int32_t *ids = licence_tokens(m, &n);
    if (n > 2048) n = 2048;
    float *l0 = malloc(c->n_vocab * 4), *l1 = malloc(c->n_vocab * 4);
    struct jamba_session *one, *cut, *f, *back;
    OK(jamba_session_open(&one, m, 4096, &err));
    OK(jamba_session_open(&cut, m, 4096, &err));
    OK(jamba_session_prefill(one, ids, n, NULL, &err));
    struct jamba_run run = {.chunk = 128};
    OK(jamba_session_prefill(cut, ids, n, &run, &err));
    struct buf b0 = {0}, b1 = {0};
    snapshot(one, &b0);
    snapshot(cut, &b1);
    assert_int_equal(b0.len, b1.len);
    assert_memory_equal(b0.data, b1.data, b0.len);
    /* a fork and a restored snapshot go on as the original does */
    char path[64];
    temporary(path);
    OK(jamba_session_save(one, path, &err));
    OK(jamba_session_fork(&f, one, &err));
    OK(jamba_session_restore(&back, m, path, 4096, &err));
    remove(path);
    static const int32_t more[] = {5, 504, 314, 260, 3159, 282, 260, 1568, 47};
    struct jamba_session *all[] = {f, back, cut, one};
    for (int i = 0; i < 4; i++) {
        OK(jamba_session_prefill(all[i], more, 8, NULL, &err));
        OK(jamba_session_prefill(all[i], more + 8, 1, NULL, &err)); /* a step: the decode kernels */
        OK(jamba_session_logits(all[i], i ? l1 : l0, &err));
        if (i) assert_memory_equal(l0, l1, c->n_vocab * 4);
    }
    /* four forks step together as one alone does */
    struct jamba_batch_item items[4];
    struct jamba_session *g[5];
    float *lg[5];
    for (int i = 0; i < 5; i++) {
        OK(jamba_session_fork(&g[i], one, &err));
        lg[i] = malloc(c->n_vocab * 4);
    }
    for (int i = 0; i < 4; i++)
        items[i] = (struct jamba_batch_item){
            .session = g[i], .tokens = more + 1, .n_tokens = 1, .want = JAMBA_WANT_LOGITS, .out = lg[i]};
    OK(jamba_batch_run(m, items, 4, NULL, &err));
    for (int i = 1; i < 4; i++) assert_memory_equal(lg[0], lg[i], c->n_vocab * 4);
    items[0].session = g[4], items[0].out = lg[4];
    OK(jamba_batch_run(m, items, 1, NULL, &err));
    assert_memory_equal(lg[4], lg[0], c->n_vocab * 4);
    for (int i = 0; i < 5; i++) jamba_session_close(g[i]), free(lg[i]);
    /* log-probabilities of a continuation agree with the logits step by step */
    float lp[8];
    struct jamba_session *h;
    OK(jamba_session_fork(&h, one, &err));
    struct jamba_batch_item it = {.session = h, .tokens = more, .n_tokens = 8, .want = JAMBA_WANT_LOGPROBS, .out = lp};
    OK(jamba_session_logits(one, l0, &err));
    OK(jamba_batch_run(m, &it, 1, NULL, &err));
    double z = 0, mx = -INFINITY;
    for (uint32_t i = 0; i < c->n_vocab; i++) mx = fmax(mx, l0[i]);
    for (uint32_t i = 0; i < c->n_vocab; i++) z += exp(l0[i] - mx);
    assert_true(fabs(lp[0] - (l0[more[0]] - mx - log(z))) < 2e-2);
    jamba_session_close(h);
    for (int i = 0; i < 4; i++) jamba_session_close(all[i]);
    buf_free(&b0), buf_free(&b1);
    free(l0), free(l1), free(ids);
    jamba_model_close(m);
}

/* A small mixture of experts, its layers in one, two and three stages on one device, and over two where there are two:
 * passes in flight, and still the same bits. */
static void test_stages_keep_every_bit(void **state) {
    (void)state;
    if (!device()) return;
    enum { N = 3000, LP = 300 };
    static const char *const devices[] = {"cuda", "cuda:0,0", "cuda:0,0,0", "cuda:0,1"};
    static struct tiny_run first, now;
    float lp[LP], first_lp[LP];
    for (int d = 0; d < (cuda_device_count() > 1 ? 4 : 3); d++) {
        struct tiny_run *r = d ? &now : &first;
        struct jamba_model_options o = {.device = devices[d], .kv_tokens = 16384};
        struct jamba_run run = {.chunk =
                                    256}; /* nothing is asked of a chunk: the next one enters while it is under way */
        tiny_run_open(r, &o, N, 8, run.chunk);
        struct jamba_batch_item it = {.session = r->fork[0],
                                      .tokens = r->ids + 100,
                                      .n_tokens = LP,
                                      .want = JAMBA_WANT_LOGPROBS,
                                      .out = d ? lp : first_lp};
        OK(jamba_batch_run(r->m, &it, 1, &run, &err));
        if (d) {
            tiny_runs_equal(r, &first);
            assert_memory_equal(lp, first_lp, sizeof lp);
            buf_free(&r->state);
        }
        tiny_run_close(r);
    }
    buf_free(&first.state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemm_equals_plain_loops),
        cmocka_unit_test(test_gemv_equals_plain_loops),
        cmocka_unit_test(test_norms_and_swiglu_equal_plain_loops),
        cmocka_unit_test(test_mamba_chunk_pieces_and_steps_agree),
        cmocka_unit_test(test_scan_equals_plain_loops),
        cmocka_unit_test(test_attention_equals_plain_loops_and_decode_equals_prefill),
        cmocka_unit_test(test_moe_routing_is_stable_and_complete),
        cmocka_unit_test(test_bundled_model_equals_the_cpu_layer_by_layer),
        cmocka_unit_test(test_chunks_forks_and_snapshots_keep_every_bit),
        cmocka_unit_test(test_stages_keep_every_bit),
    };
    if (getenv("ONLY")) cmocka_set_test_filter(getenv("ONLY")); /* with wildcards: test_*_plain_loops */
    if (getenv("SKIP")) cmocka_set_skip_filter(getenv("SKIP"));
    return cmocka_run_group_tests(tests, cuda_setup, cuda_teardown);
}
#endif
