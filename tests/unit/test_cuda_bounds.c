/* test_cuda_bounds.c: what the CUDA backend hands its kernels lies in memory that it has, and an error on the way
 * leaves nothing behind; without a GPU. The backend's files themselves run, the device and the operations of cuda_ops.h
 * are doubles: device memory is host memory in a ledger, an operation computes nothing (but a plan of routing) and asks
 * the ledger whether each of its operands is there, as many bytes as the kernel would touch. Any call can be told to
 * fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#ifndef ANTINOMY_CUDA
#define ANTINOMY_CUDA
#endif
#include "engine/jamba/cuda.c"
#include "engine/jamba/cuda_choose.c"
#include "engine/jamba/cuda_pad.c"
#include "engine/jamba/cuda_plan.c"
#include "engine/jamba/cuda_stage.c"
#include "engine/jamba/cuda_state.c"
#include "engine/jamba/cuda_weights.c"
#include "tests/unit/tiny_model.h"

#include <unistd.h>

/* ---- the ledger ---- */
static struct held {
    char *p;
    size_t bytes;
} held[4096];
static pthread_mutex_t ledger = PTHREAD_MUTEX_INITIALIZER;
static int n_held;
static size_t card_bytes;            /* free memory of the card */
static unsigned n_attempts, fail_at; /* calls that could fail; which one does (from 1), 0: none */
static char broken[300]; /* the first operand that was not there; a stage's thread may not jump out of a test */

static int attempt(const char *what, struct error *e) {
    pthread_mutex_lock(&ledger);
    const bool fails = ++n_attempts == fail_at || broken[0];
    pthread_mutex_unlock(&ledger);
    return fails ? error_set(e, ERR_DEVICE, what, "It was told to fail.") : 0;
}
static int hold(void **p, size_t bytes, struct error *e) {
    *p = NULL;
    int rc = attempt("memory", e);
    if (rc) return rc;
    pthread_mutex_lock(&ledger);
    if (n_held < (int)(sizeof held / sizeof held[0]) && (*p = malloc(bytes ? bytes : 1)))
        held[n_held++] = (struct held){*p, bytes};
    pthread_mutex_unlock(&ledger);
    return *p ? 0 : error_set(e, ERR_NOMEM, "memory", "The double has no more.");
}
static void let_go(void *p) {
    if (!p) return;
    pthread_mutex_lock(&ledger);
    int i = n_held - 1;
    while (i >= 0 && held[i].p != p) i--;
    if (i >= 0)
        held[i] = held[--n_held];
    else if (!broken[0])
        snprintf(broken, sizeof broken, "something is given back that is not held");
    pthread_mutex_unlock(&ledger);
    if (i >= 0) free(p);
}
/* bytes at p are in one piece of the ledger. */
static void in(const char *operation, const void *p, size_t bytes) {
    const char *at = p;
    bool found = bytes == 0;
    size_t left = 0;
    pthread_mutex_lock(&ledger);
    for (int i = 0; !found && i < n_held; i++)
        if (at >= held[i].p && at < held[i].p + held[i].bytes) {
            left = held[i].bytes - (size_t)(at - held[i].p);
            found = bytes <= left;
        }
    if (!found && !broken[0])
        snprintf(broken, sizeof broken, "%s touches %zu bytes where %zu are left", operation, bytes, left);
    pthread_mutex_unlock(&ledger);
}
/* n rows of `width` elements, ld apart. */
static void rows_in(const char *operation, const void *p, int n, int ld, int width, size_t element) {
    if (n > 0) in(operation, p, ((size_t)(n - 1) * (size_t)ld + (size_t)width) * element);
}
/* count matrices one behind the other. */
static void matrices_in(const char *operation, const struct cuda_matrix *w, size_t count) {
    const size_t n = count * (size_t)w->n_out;
    in(operation,
       w->bf16 ? (void *)w->bf16
       : w->i8 ? (void *)w->i8
               : (void *)w->e4m3,
       n * (size_t)w->n_in * (w->bf16 ? 2 : 1));
    if (!w->bf16) in(operation, w->scale, n * sizeof(float));
}
/* bf16 or, where y32 is given, f32. */
static void result_in(const char *operation, const uint16_t *y, const float *y32, int n, int ld, int width) {
    rows_in(operation, y32 ? (const void *)y32 : y, n, ld, width, y32 ? 4 : 2);
}

/* ---- the device ---- */
int cuda_device_count(void) {
    return 2;
}
int cuda_device_use(int device, char name[128], size_t *free_bytes, size_t *total_bytes, struct error *e) {
    snprintf(name, 128, "double %d sm_90", device);
    *free_bytes = *total_bytes = card_bytes;
    return attempt("device", e);
}
int cuda_device_set(int device, struct error *e) {
    (void)device;
    return attempt("device", e);
}
int cuda_peer_enable(int device, int peer, struct error *e) {
    (void)device, (void)peer;
    return attempt("peer", e);
}
int cuda_stream_open(cuda_stream *s, struct error *e) {
    return hold(s, 1, e);
}
void cuda_stream_close(cuda_stream s) {
    let_go(s);
}
int cuda_event_open(cuda_event *ev, struct error *e) {
    return hold(ev, 1, e);
}
void cuda_event_close(cuda_event ev) {
    let_go(ev);
}
int cuda_event_mark(cuda_event ev, cuda_stream s, struct error *e) {
    in("event", ev, 1), in("event", s, 1);
    return attempt("event", e);
}
int cuda_event_wait(cuda_event ev, cuda_stream s, struct error *e) {
    return cuda_event_mark(ev, s, e);
}
int cuda_sync(cuda_stream s, struct error *e) {
    in("sync", s, 1);
    return attempt("sync", e);
}
int cuda_alloc(void **p, size_t bytes, struct error *e) {
    return hold(p, bytes, e);
}
void cuda_free(void *p) {
    let_go(p);
}
int cuda_host_alloc(void **p, size_t bytes, struct error *e) {
    return hold(p, bytes, e);
}
void cuda_host_free(void *p) {
    let_go(p);
}
int cuda_zero(void *p, size_t bytes, cuda_stream s, struct error *e) {
    in("zero", p, bytes), in("zero", s, 1);
    return attempt("zero", e);
}
/* The pieces that the backend reads itself or that a double looks up are moved; in bounds, or not at all. */
static int move_bytes(void *to, const void *from, size_t bytes, bool device_to, bool device_from, struct error *e) {
    if (device_to) in("copy", to, bytes);
    if (device_from) in("copy", from, bytes);
    if (!broken[0] && bytes) memcpy(to, from, bytes);
    return attempt("copy", e);
}
int cuda_upload(void *device, const void *host, size_t bytes, cuda_stream s, struct error *e) {
    (void)s;
    return move_bytes(device, host, bytes, true, false, e);
}
int cuda_download(void *host, const void *device, size_t bytes, cuda_stream s, struct error *e) {
    (void)s;
    return move_bytes(host, device, bytes, false, true, e);
}
int cuda_upload_async(void *device, const void *pinned, size_t bytes, cuda_stream s, struct error *e) {
    (void)s;
    return move_bytes(device, pinned, bytes, true, true, e);
}
int cuda_download_async(void *pinned, const void *device, size_t bytes, cuda_stream s, struct error *e) {
    (void)s;
    return move_bytes(pinned, device, bytes, true, true, e);
}
int cuda_copy(void *to, const void *from, size_t bytes, cuda_stream s, struct error *e) {
    (void)s;
    return move_bytes(to, from, bytes, true, true, e);
}
int cuda_copy_peer(void *to, int to_device, const void *from, int from_device, size_t bytes, cuda_stream s,
                   struct error *e) {
    (void)to_device, (void)from_device;
    return cuda_copy(to, from, bytes, s, e);
}
int cuda_graph_begin(cuda_stream s, struct error *e) {
    in("graph", s, 1);
    return attempt("graph", e);
}
int cuda_graph_end(cuda_graph *g, cuda_stream s, struct error *e) {
    in("graph", s, 1);
    return hold(g, 1, e);
}
int cuda_graph_run(cuda_graph g, cuda_stream s, struct error *e) {
    in("graph", g, 1), in("graph", s, 1);
    return attempt("graph", e);
}
void cuda_graph_close(cuda_graph g) {
    let_go(g);
}
int cuda_random_bf16(uint16_t *out, size_t n, float scale, uint64_t seed, cuda_stream s, struct error *e) {
    (void)scale, (void)seed, (void)s;
    in("random", out, n * 2);
    return attempt("random", e);
}
int cuda_random_i8(int8_t *out, size_t n, uint64_t seed, cuda_stream s, struct error *e) {
    (void)seed, (void)s;
    in("random", out, n);
    return attempt("random", e);
}
int cuda_fill_f32(float *out, size_t n, float value, cuda_stream s, struct error *e) {
    (void)value, (void)s;
    in("fill", out, n * 4);
    return attempt("fill", e);
}

/* ---- linear ---- */
struct cuda_gemm {
    size_t scratch_elements;
};
int cuda_gemm_open(struct cuda_gemm **out, size_t scratch_elements, struct error *e) {
    int rc = hold((void **)out, sizeof **out, e);
    if (!rc) (*out)->scratch_elements = scratch_elements;
    return rc;
}
void cuda_gemm_close(struct cuda_gemm *g) {
    let_go(g);
}
int cuda_linear(struct cuda_gemm *g, const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y,
                float *y32, int ldy, bool add, cuda_stream s, struct error *e) {
    (void)add, (void)s;
    matrices_in("linear", w, 1);
    rows_in("linear", x, n_rows, ldx, w->n_in, 2);
    result_in("linear", y, y32, n_rows, ldy, w->n_out);
    if (!w->bf16 && (size_t)w->n_out * (size_t)w->n_in > g->scratch_elements)
        return error_set(e, ERR_LIMIT, "linear", "The scratch is too small.");
    return attempt("linear", e);
}
bool cuda_linear_e4m3_ready(struct cuda_gemm *g, const struct cuda_matrix *w, int ldx, int ldy, bool f32, bool add) {
    (void)g, (void)f32, (void)add;
    return w->e4m3 && (w->n_in | w->n_out | ldx | ldy) % 16 == 0;
}
int cuda_linear_e4m3(struct cuda_gemm *g, const struct cuda_matrix *w, const uint8_t *x, const float *x_scale, int ldx,
                     int n_rows, uint16_t *y, float *y32, int ldy, bool add, cuda_stream s, struct error *e) {
    (void)g, (void)add, (void)s;
    matrices_in("linear_e4m3", w, 1);
    rows_in("linear_e4m3", x, n_rows, ldx, w->n_in, 1);
    rows_in("linear_e4m3", x_scale, n_rows, 1, 1, 4);
    result_in("linear_e4m3", y, y32, n_rows, ldy, w->n_out);
    return attempt("linear_e4m3", e);
}
int cuda_gemv(const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, float *y32, int ldy,
              bool add, cuda_stream s, struct error *e) {
    (void)add, (void)s;
    if (n_rows > CUDA_STEP_ROWS || w->n_in % (w->bf16 ? 32 : 64))
        return error_set(e, ERR_UNSUPPORTED, "gemv", "%d rows of %d values", n_rows, w->n_in);
    matrices_in("gemv", w, 1);
    rows_in("gemv", x, n_rows, ldx, w->n_in, 2);
    result_in("gemv", y, y32, n_rows, ldy, w->n_out);
    return attempt("gemv", e);
}
int cuda_gemv_swiglu(const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, int ldy,
                     cuda_stream s, struct error *e) {
    (void)s;
    matrices_in("gemv_swiglu", w, 1);
    rows_in("gemv_swiglu", x, n_rows, ldx, w->n_in, 2);
    rows_in("gemv_swiglu", y, n_rows, ldy, w->n_out / 2, 2);
    return attempt("gemv_swiglu", e);
}
int cuda_quantise_rows(int8_t *q, float *scale, const uint16_t *w, size_t n_out, size_t n_in, cuda_stream s,
                       struct error *e) {
    (void)s;
    in("quantise_rows", q, n_out * n_in), in("quantise_rows", scale, n_out * 4);
    in("quantise_rows", w, n_out * n_in * 2);
    return attempt("quantise_rows", e);
}
int cuda_quantise_e4m3(uint8_t *q, float *scale, const uint16_t *x, size_t n_rows, size_t n, cuda_stream s,
                       struct error *e) {
    return cuda_quantise_rows((int8_t *)q, scale, x, n_rows, n, s, e);
}
int cuda_embedding(float *out, const struct cuda_matrix *table, const int32_t *ids, int n, cuda_stream s,
                   struct error *e) {
    (void)s;
    matrices_in("embedding", table, 1);
    in("embedding", ids, (size_t)n * 4);
    rows_in("embedding", out, n, table->n_in, table->n_in, 4);
    for (int i = 0; !broken[0] && i < n; i++)
        if (ids[i] < 0 || ids[i] >= table->n_out) snprintf(broken, sizeof broken, "embedding of token %d", (int)ids[i]);
    return attempt("embedding", e);
}

/* ---- norm and element-wise ---- */
int cuda_rms_norm(uint16_t *y, const float *x, const float *weight, int n_rows, int n, float eps, cuda_stream s,
                  struct error *e) {
    (void)eps, (void)s;
    rows_in("rms_norm", y, n_rows, n, n, 2), rows_in("rms_norm", x, n_rows, n, n, 4);
    in("rms_norm", weight, (size_t)n * 4);
    return attempt("rms_norm", e);
}
int cuda_rms_norm_f32(float *y, const float *x, const float *weight, int n_rows, int n, float eps, cuda_stream s,
                      struct error *e) {
    (void)eps, (void)s;
    rows_in("rms_norm_f32", y, n_rows, n, n, 4), rows_in("rms_norm_f32", x, n_rows, n, n, 4);
    in("rms_norm_f32", weight, (size_t)n * 4);
    return attempt("rms_norm_f32", e);
}
int cuda_rms_norm_e4m3(uint8_t *q, float *scale, uint16_t *y, const float *x, const float *weight, int n_rows, int n,
                       float eps, cuda_stream s, struct error *e) {
    (void)eps, (void)s;
    rows_in("rms_norm_e4m3", q, n_rows, n, n, 1), in("rms_norm_e4m3", scale, (size_t)n_rows * 4);
    if (y) rows_in("rms_norm_e4m3", y, n_rows, n, n, 2);
    rows_in("rms_norm_e4m3", x, n_rows, n, n, 4), in("rms_norm_e4m3", weight, (size_t)n * 4);
    return attempt("rms_norm_e4m3", e);
}
int cuda_to_bf16(uint16_t *y, const float *x, size_t n, cuda_stream s, struct error *e) {
    (void)s;
    in("to_bf16", y, n * 2), in("to_bf16", x, n * 4);
    return attempt("to_bf16", e);
}
int cuda_swiglu(uint16_t *y, const uint16_t *gate_up, int n_rows, int n, cuda_stream s, struct error *e) {
    (void)s;
    rows_in("swiglu", y, n_rows, n, n, 2), rows_in("swiglu", gate_up, n_rows, 2 * n, 2 * n, 2);
    return attempt("swiglu", e);
}
int cuda_swiglu_e4m3(uint8_t *q, float *scale, const uint16_t *gate_up, int n_rows, int n, cuda_stream s,
                     struct error *e) {
    (void)s;
    rows_in("swiglu_e4m3", q, n_rows, n, n, 1), in("swiglu_e4m3", scale, (size_t)n_rows * 4);
    rows_in("swiglu_e4m3", gate_up, n_rows, 2 * n, 2 * n, 2);
    return attempt("swiglu_e4m3", e);
}

/* ---- mamba ---- */
static void mamba_rows_in(const char *operation, uint16_t *y, int ldy, const uint16_t *x, int ldx, int n, int d_inner) {
    rows_in(operation, y, n, ldy, d_inner, 2), rows_in(operation, x, n, ldx, d_inner, 2);
}
static void states_in(const char *operation, const struct cuda_mamba_state *states, int n, size_t conv, size_t ssm) {
    in(operation, states, (size_t)n * sizeof *states);
    for (int i = 0; !broken[0] && i < n; i++)
        in(operation, states[i].conv, conv * 2), in(operation, states[i].ssm, ssm * 4);
}
int cuda_conv1d_silu(uint16_t *y, int ldy, const uint16_t *x, int ldx, const float *w, const float *bias,
                     uint16_t *conv_state, int T, int d_inner, int d_conv, cuda_stream s, struct error *e) {
    (void)s;
    const size_t D = (size_t)d_inner, K = (size_t)d_conv;
    mamba_rows_in("conv1d", y, ldy, x, ldx, T, d_inner);
    in("conv1d", w, D * K * 4), in("conv1d", bias, D * 4), in("conv1d", conv_state, (K - 1) * D * 2);
    return attempt("conv1d", e);
}
int cuda_conv1d_step(uint16_t *y, int ldy, const uint16_t *x, int ldx, const float *w, const float *bias,
                     const struct cuda_mamba_state *states, int n, int d_inner, int d_conv, cuda_stream s,
                     struct error *e) {
    (void)s;
    const size_t D = (size_t)d_inner, K = (size_t)d_conv;
    mamba_rows_in("conv1d_step", y, ldy, x, ldx, n, d_inner);
    in("conv1d_step", w, D * K * 4), in("conv1d_step", bias, D * 4);
    states_in("conv1d_step", states, n, (K - 1) * D, 0);
    return attempt("conv1d_step", e);
}
int cuda_mamba_norms(uint16_t *dt, float *bc, const float *xdbc, const float *dt_norm, const float *b_norm,
                     const float *c_norm, int n_rows, int dt_rank, int n_dt, int n_state, float eps, cuda_stream s,
                     struct error *e) {
    (void)n_dt, (void)n_state, (void)eps, (void)s;
    rows_in("mamba_norms", dt, n_rows, dt_rank, dt_rank, 2), rows_in("mamba_norms", bc, n_rows, 32, 32, 4);
    rows_in("mamba_norms", xdbc, n_rows, dt_rank + 32, dt_rank + 32, 4);
    in("mamba_norms", dt_norm, (size_t)dt_rank * 4), in("mamba_norms", b_norm, 64), in("mamba_norms", c_norm, 64);
    return attempt("mamba_norms", e);
}
int cuda_selective_scan(uint16_t *y, const uint16_t *x, const uint16_t *dt_raw, const uint16_t *z, const float *B,
                        const float *C, const float *A, const float *D, const float *dt_bias, float *state, int T,
                        int d_inner, int x_stride, int dt_stride, int z_stride, int y_stride, int bc_stride,
                        cuda_stream s, struct error *e) {
    (void)s;
    const size_t n = (size_t)d_inner;
    mamba_rows_in("scan", y, y_stride, x, x_stride, T, d_inner);
    rows_in("scan", dt_raw, T, dt_stride, d_inner, 2), rows_in("scan", z, T, z_stride, d_inner, 2);
    rows_in("scan", B, T, bc_stride, 16, 4), rows_in("scan", C, T, bc_stride, 16, 4);
    in("scan", A, n * 64), in("scan", D, n * 4), in("scan", dt_bias, n * 4), in("scan", state, n * 64);
    return attempt("scan", e);
}
int cuda_scan_step(uint16_t *y, int ldy, const uint16_t *x, int ldx, const float *xdbc, const float *dt_norm,
                   const float *b_norm, const float *c_norm, const uint16_t *w_dt, const uint16_t *z, int ldz,
                   const float *A, const float *D, const float *dt_bias, const struct cuda_mamba_state *states, int n,
                   int d_inner, int dt_rank, int n_dt, int n_state, float eps, cuda_stream s, struct error *e) {
    (void)n_dt, (void)n_state, (void)eps, (void)s;
    const size_t d = (size_t)d_inner, R = (size_t)dt_rank;
    mamba_rows_in("scan_step", y, ldy, x, ldx, n, d_inner);
    rows_in("scan_step", z, n, ldz, d_inner, 2), rows_in("scan_step", xdbc, n, dt_rank + 32, dt_rank + 32, 4);
    in("scan_step", dt_norm, R * 4), in("scan_step", b_norm, 64), in("scan_step", c_norm, 64);
    in("scan_step", w_dt, d * R * 2), in("scan_step", A, d * 64), in("scan_step", D, d * 4);
    in("scan_step", dt_bias, d * 4);
    states_in("scan_step", states, n, 0, d * 16);
    return attempt("scan_step", e);
}

/* ---- attention ---- */
/* A timeline's first n_keys positions: its page table and its pages. */
static void keys_in(const char *operation, const struct cuda_kv *kv, int layer, const int32_t *pages, int n_keys) {
    const size_t row = (size_t)kv->n_kv_head * (size_t)kv->head_dim * 2;
    const int n = (n_keys + CUDA_KV_PAGE - 1) / CUDA_KV_PAGE;
    in(operation, pages, (size_t)n * 4);
    for (int i = 0; !broken[0] && i < n; i++) {
        const size_t first = ((size_t)pages[i] * (size_t)kv->n_layer + (size_t)layer) * 2 * CUDA_KV_PAGE;
        if (pages[i] < 0 || pages[i] >= kv->n_pages || layer >= kv->n_layer)
            snprintf(broken, sizeof broken, "%s: page %d, layer %d", operation, (int)pages[i], layer);
        else
            in(operation, (char *)kv->pool + first * row, 2 * CUDA_KV_PAGE * row);
    }
}
int cuda_kv_append(const struct cuda_kv *kv, int layer, const int32_t *pages, int position, const uint16_t *k,
                   const uint16_t *v, int ld, int n_rows, cuda_stream s, struct error *e) {
    (void)s;
    rows_in("kv_append", k, n_rows, ld, kv->n_kv_head * kv->head_dim, 2);
    rows_in("kv_append", v, n_rows, ld, kv->n_kv_head * kv->head_dim, 2);
    keys_in("kv_append", kv, layer, pages, position + n_rows);
    return attempt("kv_append", e);
}
static void steps_in(const char *operation, const struct cuda_kv *kv, int layer, const int32_t *const *pages,
                     const int32_t *n_keys, int n) {
    in(operation, pages, (size_t)n * sizeof *pages), in(operation, n_keys, (size_t)n * 4);
    for (int i = 0; !broken[0] && i < n; i++) keys_in(operation, kv, layer, pages[i], n_keys[i]);
}
int cuda_kv_append_step(const struct cuda_kv *kv, int layer, const int32_t *const *pages, const int32_t *n_keys,
                        const uint16_t *k, const uint16_t *v, int ld, int n, cuda_stream s, struct error *e) {
    (void)s;
    rows_in("kv_append_step", k, n, ld, kv->n_kv_head * kv->head_dim, 2);
    rows_in("kv_append_step", v, n, ld, kv->n_kv_head * kv->head_dim, 2);
    steps_in("kv_append_step", kv, layer, pages, n_keys, n);
    return attempt("kv_append_step", e);
}
int cuda_attention_prefill(uint16_t *out, const uint16_t *q, int ldq, const struct cuda_kv *kv, int layer,
                           const int32_t *pages, int n_q, int q_start, int n_head, float scale, cuda_stream s,
                           struct error *e) {
    (void)scale, (void)s;
    const int width = n_head * kv->head_dim;
    rows_in("attention_prefill", out, n_q, width, width, 2), rows_in("attention_prefill", q, n_q, ldq, width, 2);
    keys_in("attention_prefill", kv, layer, pages, q_start + n_q);
    return attempt("attention_prefill", e);
}
size_t cuda_attention_decode_scratch(int n, int n_head, int head_dim, int max_keys) {
    return (size_t)n * (size_t)n_head * (size_t)((max_keys + 511) / 512) * ((size_t)head_dim * 4 + 8) + 256;
}
int cuda_attention_decode(uint16_t *out, const uint16_t *q, int ldq, const struct cuda_kv *kv, int layer,
                          const int32_t *const *pages, const int32_t *n_keys, int max_keys, int n_shared, int n,
                          int n_head, float scale, void *scratch, cuda_stream s, struct error *e) {
    (void)scale, (void)s;
    const int width = n_head * kv->head_dim;
    rows_in("attention_decode", out, n, width, width, 2), rows_in("attention_decode", q, n, ldq, width, 2);
    steps_in("attention_decode", kv, layer, pages, n_keys, n);
    in("attention_decode", scratch, cuda_attention_decode_scratch(n, n_head, kv->head_dim, max_keys));
    for (int i = 0; !broken[0] && i < n; i++)
        if (n_keys[i] > max_keys || n_shared >= n_keys[i] || n_shared % CUDA_KV_PAGE)
            snprintf(broken, sizeof broken, "attention_decode: %d keys of at most %d, %d shared", (int)n_keys[i],
                     max_keys, n_shared);
    return attempt("attention_decode", e);
}

/* ---- mixture of experts: every row to the first top_k experts, the most that these can get ---- */
static void plan_in(int32_t *order, int32_t *place, int32_t *offset, const float *logits, float *weight, int n_rows,
                    int n_expert, int top_k) {
    const int n = n_rows * top_k;
    in("moe_route", order, (size_t)n * 4), in("moe_route", place, (size_t)n * 4),
        in("moe_route", weight, (size_t)n * 4);
    in("moe_route", logits, (size_t)(n_rows * n_expert) * 4), in("moe_route", offset, ((size_t)n_expert + 1) * 4);
    if (broken[0]) return;
    for (int i = 0; i < n; i++) {
        place[i] = i % top_k * n_rows + i / top_k;
        order[place[i]] = i;
    }
    for (int i = 0; i <= n_expert; i++) offset[i] = (i < top_k ? i : top_k) * n_rows;
}
int cuda_moe_route(int32_t *expert, float *weight, int32_t *order, int32_t *place, int32_t *offset, const float *logits,
                   int n_rows, int n_expert, int top_k, cuda_stream s, struct error *e) {
    (void)s;
    in("moe_route", expert, (size_t)(n_rows * top_k) * 4);
    in("moe_route", offset, (2 * (size_t)n_expert + 1) * 4);
    plan_in(order, place, offset, logits, weight, n_rows, n_expert, top_k);
    return attempt("moe_route", e);
}
int cuda_moe_route_step(float *weight, int32_t *order, int32_t *place, int32_t *offset, int32_t *active,
                        const float *logits, int n_rows, int n_expert, int top_k, cuda_stream s, struct error *e) {
    (void)s;
    in("moe_route_step", active, (size_t)n_expert * 4);
    plan_in(order, place, offset, logits, weight, n_rows, n_expert, top_k);
    return attempt("moe_route_step", e);
}
/* The rows that a gather reads, as a count from the first. */
static int rows_of(const int32_t *order, int n, int top_k) {
    int most = 0;
    in("moe_gather", order, (size_t)n * 4);
    for (int i = 0; !broken[0] && i < n; i++)
        if (order[i] / top_k >= most) most = order[i] / top_k + 1;
    return most;
}
int cuda_moe_gather(uint16_t *y, const uint16_t *x, const int32_t *order, int n, int top_k, int width, cuda_stream s,
                    struct error *e) {
    (void)s;
    rows_in("moe_gather", y, n, width, width, 2);
    rows_in("moe_gather", x, rows_of(order, n, top_k), width, width, 2);
    return attempt("moe_gather", e);
}
int cuda_moe_gather_e4m3(uint8_t *y, float *y_scale, const uint8_t *x, const float *x_scale, const int32_t *order,
                         int n, int top_k, int width, cuda_stream s, struct error *e) {
    (void)s;
    const int rows = rows_of(order, n, top_k);
    rows_in("moe_gather_e4m3", y, n, width, width, 1), in("moe_gather_e4m3", y_scale, (size_t)n * 4);
    rows_in("moe_gather_e4m3", x, rows, width, width, 1), in("moe_gather_e4m3", x_scale, (size_t)rows * 4);
    return attempt("moe_gather_e4m3", e);
}
int cuda_moe_combine(float *h, const uint16_t *y, const int32_t *place, const float *weight, int n_rows, int top_k,
                     int width, cuda_stream s, struct error *e) {
    (void)s;
    const size_t n = (size_t)(n_rows * top_k);
    rows_in("moe_combine", h, n_rows, width, width, 4), rows_in("moe_combine", y, n_rows * top_k, width, width, 2);
    in("moe_combine", place, n * 4), in("moe_combine", weight, n * 4);
    return attempt("moe_combine", e);
}
int cuda_moe_gemv(const struct cuda_matrix *w, const int32_t *offset, const int32_t *active, int max_active,
                  const uint16_t *x, int max_rows, bool swiglu, uint16_t *y, cuda_stream s, struct error *e) {
    (void)s;
    const int width = swiglu ? w->n_out / 2 : w->n_out, n = max_active * max_rows;
    matrices_in("moe_gemv", w, (size_t)max_active);
    in("moe_gemv", active, (size_t)max_active * 4), in("moe_gemv", offset, ((size_t)max_active + 1) * 4);
    if (!broken[0] && offset[max_active] > n)
        snprintf(broken, sizeof broken, "moe_gemv: %d rows of at most %d", (int)offset[max_active], n);
    if (broken[0]) return attempt("moe_gemv", e);
    rows_in("moe_gemv", x, offset[max_active], w->n_in, w->n_in, 2);
    rows_in("moe_gemv", y, offset[max_active], width, width, 2);
    return attempt("moe_gemv", e);
}

/* ---- sampling ---- */
int cuda_logprobs(float *out, const float *logits, const int32_t *target, int n_rows, int n_vocab, cuda_stream s,
                  struct error *e) {
    (void)s;
    in("logprobs", out, (size_t)n_rows * 4), in("logprobs", target, (size_t)n_rows * 4);
    rows_in("logprobs", logits, n_rows, n_vocab, n_vocab, 4);
    return attempt("logprobs", e);
}
int cuda_choose(int32_t *chosen, float *logprob, const float *logits, int n, float temperature, float top_p, double u,
                cuda_stream s, struct error *e) {
    (void)temperature, (void)top_p, (void)u, (void)s;
    in("choose", chosen, 4), in("choose", logprob, 4), in("choose", logits, (size_t)n * 4);
    if (!broken[0]) *chosen = n - 1, *logprob = 0;
    return attempt("choose", e);
}
int cuda_pick_rows(void *to, float *to_scale, const struct cuda_matrix *from, const int32_t *ids, int n, cuda_stream s,
                   struct error *e) {
    (void)s;
    const int bytes = from->n_in * (from->bf16 ? 2 : 1);
    matrices_in("pick_rows", from, 1);
    rows_in("pick_rows", to, n, bytes, bytes, 1), in("pick_rows", ids, (size_t)n * 4);
    if (!from->bf16) in("pick_rows", to_scale, (size_t)n * 4);
    return attempt("pick_rows", e);
}
int cuda_pick(float *to, const float *from, const int32_t *ids, int n, cuda_stream s, struct error *e) {
    (void)s;
    in("pick", to, (size_t)n * 4), in("pick", ids, (size_t)n * 4);
    for (int i = 0; !broken[0] && i < n; i++) in("pick", from + ids[i], 4);
    return attempt("pick", e);
}

/* ---- models and what is asked of them ---- */
static struct error err;
static struct jamba_model *tiny(const struct tiny_model *t) {
    char path[] = "/tmp/antinomy-bounds-XXXXXX.gguf";
    struct jamba_model_options o = {.device = "cpu", .path = "scalar", .n_threads = 1};
    struct jamba_model *m = NULL;
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(tiny_model_write(t, path), 0);
    const int rc = jamba_model_open(&m, path, &o, &err);
    remove(path);
    if (rc) fail_msg("%s (%s)", err.message, err.where);
    return m;
}

/* Timelines that are read together in chunks, then step together: every path of a pass, and what may be asked of it.
 * Stops at the first error. */
#define N_LINES CUDA_STEP_ROWS
static unsigned n_used; /* attempts before the sessions were closed */
static int use(void *ctx, const struct jamba_config *c, int lines, size_t n_tokens) {
    static int32_t ids[5000], rising[5000];
    static float out[5000];
    void *s[N_LINES] = {NULL}, *f = NULL;
    struct backend_item items[N_LINES];
    size_t index;
    float logprob;
    int rc = 0;
    assert_true(n_tokens + 8 <= sizeof ids / sizeof ids[0] && c->n_vocab <= sizeof out / sizeof out[0]);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        ids[i] = (int32_t)(i * 7 % c->n_vocab), rising[i] = (int32_t)i;
    for (int i = 0; !rc && i < lines; i++) rc = backend_cuda.state_open(&s[i], ctx, 8192, &err);
    for (int i = 0; i < lines; i++)
        items[i] = (struct backend_item){.state = s[i], .tokens = ids + i, .n_tokens = n_tokens};
    if (!rc) rc = backend_cuda.forward(ctx, items, (size_t)lines, &err);
    for (int i = 0; i < lines; i++) items[i].n_tokens = 1, items[i].want = JAMBA_WANT_LOGITS, items[i].out = out;
    for (int i = 0; !rc && i < 3; i++) rc = backend_cuda.forward(ctx, items, (size_t)lines, &err);
    items[0].n_tokens = n_tokens, items[0].want = JAMBA_WANT_LOGPROBS;
    if (!rc) rc = backend_cuda.forward(ctx, items, 1, &err);
    if (!rc) rc = backend_cuda.state_fork(&f, ctx, s[0], &err);
    for (size_t n = 1; !rc && n <= c->n_vocab; n = n * 3 + 1) {
        rc = backend_cuda.choose(ctx, f, rising, n, 0, 0, 0, &index, &logprob, &err);
        if (!rc) assert_true(index < n);
    }
    if (!rc) rc = backend_cuda.choose(ctx, f, NULL, c->n_vocab, 0, 0, 0, &index, &logprob, &err);
    if (!rc) rc = backend_cuda.last(ctx, f, JAMBA_WANT_HIDDEN, NULL, 0, out, &err);
    n_used = n_attempts;
    backend_cuda.state_close(ctx, f);
    for (int i = 0; i < lines; i++) backend_cuda.state_close(ctx, s[i]);
    return rc;
}

/* ---- tests ---- */
static void test_operands_of_every_pass_lie_in_their_buffers(void **state) {
    (void)state;
    static const struct {
        const char *what;
        uint32_t d_model, d_ff, d_inner, dt_rank, n_expert, n_expert_used;
        size_t mib; /* of the card: with little, passes are small */
    } cases[] = {{"as it is", 64, 96, 128, 5, 0, 0, 4096},
                 {"experts", 64, 96, 128, 5, 4, 2, 4096},
                 {"a dt_rank wider than all else", 64, 32, 64, 500, 0, 0, 4096},
                 {"all of eight experts", 64, 256, 128, 5, 8, 8, 4096},
                 {"all of eight experts in small passes", 64, 256, 128, 5, 8, 8, 0}};
    static const char *const forms[] = {"none", "int8", "fp8"}, *const devices[] = {"cuda:0", "cuda:0,1", "cuda:0,1,0"};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t k = 0; k < 9; k++) {
            struct tiny_model t = TINY_MODEL;
            struct jamba_model_options o = {.device = devices[k / 3], .quantize = forms[k % 3], .kv_tokens = 64 * 1024};
            void *ctx;
            t.d_model = cases[i].d_model, t.d_ff = cases[i].d_ff, t.d_inner = cases[i].d_inner;
            t.dt_rank = cases[i].dt_rank, t.n_expert = cases[i].n_expert, t.n_expert_used = cases[i].n_expert_used;
            struct jamba_model *m = tiny(&t);
            n_attempts = fail_at = 0, broken[0] = 0;
            card_bytes = (size_t)1 << 40;
            if (!cases[i]
                     .mib) { /* just enough for the smallest passes: what a plan of plenty says, less its workspace */
                struct cuda_plan plan[CUDA_MAX_STAGES];
                int n;
                struct jamba_model wide = {0};
                assert_int_equal(cuda_pad_model(&wide, m, &o, &err), 0);
                assert_int_equal(cuda_plan_make(plan, &n, &wide, &o, &err), 0);
                card_bytes = (size_t)plan[0].reserve;
                for (int d = 0; d < n; d++) card_bytes += (size_t)(plan[d].total - plan[d].workspace / 2);
                while (cuda_plan_make(plan, &n, &wide, &o, &err) == 0 && plan[0].chunk_rows > 128)
                    card_bytes -= 1 << 16;
                arena_free(&wide.arena);
            }
            if (backend_cuda.open(&ctx, m, &o, &err)) fail_msg("%s: %s (%s)", cases[i].what, err.message, err.where);
            const int rc = use(ctx, &m->config, N_LINES, 40);
            backend_cuda.close(ctx);
            if (broken[0]) fail_msg("%s, %s, %s: %s", cases[i].what, o.device, o.quantize, broken);
            if (rc) fail_msg("%s, %s, %s: %s (%s)", cases[i].what, o.device, o.quantize, err.message, err.where);
            assert_int_equal(n_held, 0);
            jamba_model_close(m);
        }
}

/* Each call of device or library fails once: it is told, and whatever was made by then is given back. */
static void test_a_failure_anywhere_is_told_and_leaves_nothing_behind(void **state) {
    (void)state;
    static const char *const devices[] = {"cuda:0,1", "cuda:0"};
    struct tiny_model t = TINY_MODEL;
    t.n_layer = 3, t.n_expert = 2, t.n_expert_used = 1;
    struct jamba_model *m = tiny(&t);
    struct jamba_model_options o = {.device = devices[0], .quantize = "fp8", .kv_tokens = 3 * CUDA_KV_PAGE};
    void *ctx;
    int rc = 1;
    card_bytes = (size_t)1 << 40, broken[0] = 0;
    for (unsigned at = 1; rc; at++) {
        n_attempts = 0, fail_at = at;
        rc = backend_cuda.open(&ctx, m, &o, &err);
        const unsigned n_opened = n_attempts;
        if (!rc) backend_cuda.close(ctx);
        if (rc) assert_string_equal(err.message, "It was told to fail.");
        if (!rc) assert_true(at > n_opened && at > 100);
        assert_string_equal(broken, "");
        if (n_held) fail_msg("call %u of opening failed, and %d pieces were left behind", at, n_held);
    }
    for (size_t d = 0; d < 2; d++) {
        o.device = devices[d];
        fail_at = 0, rc = 1;
        assert_int_equal(backend_cuda.open(&ctx, m, &o, &err), 0);
        for (unsigned at = 1; rc; at++) { /* the model goes on */
            n_attempts = 0, fail_at = at;
            rc = use(ctx, &m->config, 2, 20);
            if (rc) assert_string_equal(err.message, "It was told to fail.");
            if (!rc && at <= n_used) fail_msg("%s: call %u of %u failed, and nobody said so", o.device, at, n_used);
            assert_string_equal(broken, "");
        }
        backend_cuda.close(ctx);
        assert_int_equal(n_held, 0);
    }
    fail_at = 0;
    jamba_model_close(m);
}

/* Also where the first stage has no attention layer: what is asked before anything is read. */
static void test_a_full_pool_leaves_every_session_where_it_stood(void **state) {
    (void)state;
    static const char *const devices[] = {"cuda:0", "cuda:0,1", "cuda:0,1,0,1"};
    struct tiny_model t = TINY_MODEL; /* attention is layer 1 of 0 to 3 */
    struct jamba_model *m = tiny(&t);
    int32_t ids[3000] = {0};
    float out[300];
    card_bytes = (size_t)1 << 40, n_attempts = fail_at = 0, broken[0] = 0;
    for (size_t d = 0; d < sizeof devices / sizeof devices[0]; d++) {
        struct jamba_model_options o = {.device = devices[d], .kv_tokens = 3 * CUDA_KV_PAGE};
        void *ctx, *a, *b, *f;
        assert_int_equal(backend_cuda.open(&ctx, m, &o, &err), 0);
        assert_int_equal(backend_cuda.state_open(&a, ctx, 8192, &err), 0);
        assert_int_equal(backend_cuda.state_open(&b, ctx, 8192, &err), 0);
        struct backend_item it = {.state = a, .tokens = ids, .n_tokens = CUDA_KV_PAGE + 1}; /* two pages */
        assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), 0);
        it = (struct backend_item){.state = b, .tokens = ids, .n_tokens = 100};
        assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), 0);
        it.n_tokens = CUDA_KV_PAGE; /* nothing is asked that one would wait for: it is told all the same */
        assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), ERR_NOMEM);
        assert_int_equal(backend_cuda.state_fork(&f, ctx, a, &err), ERR_NOMEM); /* its second page would be a copy */
        it.n_tokens = CUDA_KV_PAGE - 100, it.want = JAMBA_WANT_LOGITS, it.out = out; /* there is room for this */
        assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), 0);
        backend_cuda.state_close(ctx, a);
        assert_int_equal(backend_cuda.state_fork(&f, ctx, b, &err), 0); /* a full page is shared */
        it.state = f, it.n_tokens = 2 * CUDA_KV_PAGE;
        assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), 0);
        it.state = b, it.n_tokens = 1;
        assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), ERR_NOMEM);
        backend_cuda.state_close(ctx, f);
        assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), 0);
        backend_cuda.state_close(ctx, b);
        backend_cuda.close(ctx);
        assert_string_equal(broken, "");
        assert_int_equal(n_held, 0);
    }
    jamba_model_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operands_of_every_pass_lie_in_their_buffers),
        cmocka_unit_test(test_a_failure_anywhere_is_told_and_leaves_nothing_behind),
        cmocka_unit_test(test_a_full_pool_leaves_every_session_where_it_stood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
