/* cuda_ops.h: the CUDA side of kernels/, as C functions over device pointers and one stream. Used by engine/jamba/cuda*.c, tests and benchmarks.
 *
 * bf16 tensors are uint16_t here, row-major, last axis contiguous; strides are in elements. All functions return 0 or ERR_DEVICE with the
 * operation's name in e; launches are asynchronous on the stream, cuda_sync waits. Same inputs give the same bits; a row's bits do not
 * depend on the other rows of a call. The CPU twins are in kernels/kernels.h.
 */
#ifndef ANTINOMY_CUDA_OPS_H
#define ANTINOMY_CUDA_OPS_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void *cuda_stream; /* cudaStream_t */

/* ---- device and memory ---- */
int cuda_device_count(void); /* 0 where there is no driver or no device */
int cuda_device_use(int device, char name[128], size_t *free_bytes, size_t *total_bytes, struct error *e);
int cuda_device_set(int device, struct error *e); /* for the calling thread */
int cuda_peer_enable(int device, int peer, struct error *e); /* device may read and write peer's memory directly, where the hardware can */
int cuda_copy_peer(void *to, int to_device, const void *from, int from_device, size_t bytes, cuda_stream s, struct error *e);
/* A point of one stream that others wait for. */
typedef void *cuda_event;
int cuda_event_open(cuda_event *ev, struct error *e);
void cuda_event_close(cuda_event ev);
int cuda_event_mark(cuda_event ev, cuda_stream s, struct error *e);
int cuda_event_wait(cuda_event ev, cuda_stream s, struct error *e); /* an event never marked holds nobody up */
int cuda_stream_open(cuda_stream *s, struct error *e);
void cuda_stream_close(cuda_stream s);
int cuda_sync(cuda_stream s, struct error *e);
int cuda_alloc(void **p, size_t bytes, struct error *e); /* says how much was asked and how much is free */
void cuda_free(void *p);
int cuda_zero(void *p, size_t bytes, cuda_stream s, struct error *e);
int cuda_upload(void *device, const void *host, size_t bytes, cuda_stream s, struct error *e);   /* host memory may be reused on return */
int cuda_download(void *host, const void *device, size_t bytes, cuda_stream s, struct error *e); /* there on return */
/* Host memory that the device reads and writes directly; uploads and downloads through it are asynchronous: cuda_sync before it is reused. */
int cuda_host_alloc(void **p, size_t bytes, struct error *e);
void cuda_host_free(void *p);
int cuda_upload_async(void *device, const void *pinned, size_t bytes, cuda_stream s, struct error *e);
int cuda_download_async(void *pinned, const void *device, size_t bytes, cuda_stream s, struct error *e);
int cuda_copy(void *to, const void *from, size_t bytes, cuda_stream s, struct error *e);         /* device to device */
/* Uniform noise in [-scale, scale] by a counter-based hash, for benchmarks of shapes whose weights do not fit through a file. */
int cuda_random_bf16(uint16_t *out, size_t n, float scale, uint64_t seed, cuda_stream s, struct error *e);
int cuda_random_i8(int8_t *out, size_t n, uint64_t seed, cuda_stream s, struct error *e);
int cuda_fill_f32(float *out, size_t n, float value, cuda_stream s, struct error *e);
/* A recorded sequence of launches, replayed as one (CUDA graph). Between begin and end nothing runs. */
typedef void *cuda_graph;
int cuda_graph_begin(cuda_stream s, struct error *e);
int cuda_graph_end(cuda_graph *g, cuda_stream s, struct error *e);
int cuda_graph_run(cuda_graph g, cuda_stream s, struct error *e);
void cuda_graph_close(cuda_graph g);
/* Device time between two points of the stream. */
typedef void *cuda_timer;
int cuda_timer_open(cuda_timer *t, struct error *e);
void cuda_timer_close(cuda_timer t);
int cuda_timer_mark(cuda_timer t, int which /* 0 start, 1 stop */, cuda_stream s, struct error *e);
int cuda_timer_ms(cuda_timer t, float *ms, struct error *e); /* waits for the stop mark */

/* ---- linear ---- */
/* A weight matrix [n_out, n_in] on the device: bf16, or with one f32 scale a row int8 (ExpertsInt8: absmax / 127) or e4m3 (absmax / 448). */
struct cuda_matrix {
    uint16_t *bf16;
    int8_t *i8;
    uint8_t *e4m3;
    float *scale;
    int n_out, n_in;
    int sum_as; /* rows picked from a larger matrix: its n_out, whose order of sums cuda_gemv then takes; else 0 */
};
struct cuda_gemm; /* cuBLASLt handle, chosen algorithms, workspace, dequantisation scratch */
int cuda_gemm_open(struct cuda_gemm **out, size_t scratch_elements, struct error *e); /* scratch: the largest quantised matrix */
void cuda_gemm_close(struct cuda_gemm *g);
/* y[n_rows, n_out] = x[n_rows, n_in] W^T, f32 accumulation. y is bf16, or f32 when y32 is given; add: y32 += . One algorithm without split sums a shape, whatever
 * n_rows, so a row's bits do not depend on n_rows. int8 and e4m3 matrices are dequantised into the scratch; once per consecutive use of the same matrix,
 * known by its address: it must not change while g is open. */
int cuda_linear(struct cuda_gemm *g, const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, float *y32, int ldy,
                bool add, cuda_stream s, struct error *e);
/* The same product with both sides e4m3: w->e4m3, and x with one scale a row (cuda_quantise_e4m3 and the *_e4m3 operations below). Which shapes the library has
 * it for is asked first (sm_90, cuBLAS 12.9; n_in, n_out, ldx, ldy multiples of 16); ldx, ldy, f32 and add as in the call that follows.
 * Both scale arrays begin at a multiple of 16 bytes (ERR_ARG). */
bool cuda_linear_e4m3_ready(struct cuda_gemm *g, const struct cuda_matrix *w, int ldx, int ldy, bool f32, bool add);
int cuda_linear_e4m3(struct cuda_gemm *g, const struct cuda_matrix *w, const uint8_t *x, const float *x_scale, int ldx, int n_rows, uint16_t *y, float *y32,
                     int ldy, bool add, cuda_stream s, struct error *e);
/* The same for up to CUDA_STEP_ROWS rows at memory speed (decode). A row's bits do not depend on n_rows (another order than cuda_linear's).
 * n_in a multiple of 64 (int8, e4m3) or 32 (bf16). */
#define CUDA_STEP_ROWS 32
int cuda_gemv(const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, float *y32, int ldy, bool add, cuda_stream s,
              struct error *e);
/* y [n_rows, I] = silu(gate) * up for w = [gate rows | up rows], n_out = 2 I. */
int cuda_gemv_swiglu(const struct cuda_matrix *w, const uint16_t *x, int ldx, int n_rows, uint16_t *y, int ldy, cuda_stream s, struct error *e);
int cuda_dequantise(uint16_t *out, const int8_t *q, const float *scale, size_t n_out, size_t n_in, cuda_stream s, struct error *e);
int cuda_quantise_rows(int8_t *q, float *scale, const uint16_t *w, size_t n_out, size_t n_in, cuda_stream s, struct error *e);
/* Rows of bf16 [n_rows, n] to e4m3 with scale[row] = absmax / 448, and back; weights and activations alike. n a multiple of 8, at most 32768. */
int cuda_quantise_e4m3(uint8_t *q, float *scale, const uint16_t *x, size_t n_rows, size_t n, cuda_stream s, struct error *e);
int cuda_dequantise_e4m3(uint16_t *out, const uint8_t *q, const float *scale, size_t n_out, size_t n_in, cuda_stream s, struct error *e);
/* out[i] = table[ids[i]] as f32; ids on the device. */
int cuda_embedding(float *out, const struct cuda_matrix *table, const int32_t *ids, int n, cuda_stream s, struct error *e);

/* ---- norm and element-wise ---- */
int cuda_rms_norm(uint16_t *y, const float *x, const float *weight, int n_rows, int n, float eps, cuda_stream s, struct error *e);
int cuda_rms_norm_f32(float *y, const float *x, const float *weight, int n_rows, int n, float eps, cuda_stream s, struct error *e);
/* The same, then cuda_quantise_e4m3 of the row, in one kernel and with the same bits; y (may be NULL) gets the bf16 row too. */
int cuda_rms_norm_e4m3(uint8_t *q, float *scale, uint16_t *y, const float *x, const float *weight, int n_rows, int n, float eps, cuda_stream s,
                       struct error *e);
int cuda_to_bf16(uint16_t *y, const float *x, size_t n, cuda_stream s, struct error *e);
/* gate_up [n_rows, 2 n] (gate first) -> y [n_rows, n] = silu(gate) * up. */
int cuda_swiglu(uint16_t *y, const uint16_t *gate_up, int n_rows, int n, cuda_stream s, struct error *e);
int cuda_swiglu_e4m3(uint8_t *q, float *scale, const uint16_t *gate_up, int n_rows, int n, cuda_stream s, struct error *e); /* then quantised: same bits */

/* ---- mamba ---- */
/* What a decode step needs of each timeline, arrays of n on the device. */
struct cuda_mamba_state {
    uint16_t *conv; /* [d_conv - 1, d_inner], oldest first */
    float *ssm;     /* [d_inner, 16] */
};
/* y[t] = silu(bias + sum_j w[c,j] x[t - K + 1 + j]) for one timeline; x [T, ldx]; conv_state is read and moved on. w [d_inner, K] f32, K <= 4. */
int cuda_conv1d_silu(uint16_t *y, int ldy, const uint16_t *x, int ldx, const float *w, const float *bias, uint16_t *conv_state, int T,
                     int d_inner, int d_conv, cuda_stream s, struct error *e);
/* xdbc [n_rows, R + 32] f32 -> dt [n_rows, R] bf16, bc [n_rows, 32] f32, each part RMS-normed with its weight. n_dt, n_state: what the means divide by: R
 * and 16, or fewer where the columns behind them are zeros (cuda_pad.c). */
int cuda_mamba_norms(uint16_t *dt, float *bc, const float *xdbc, const float *dt_norm, const float *b_norm, const float *c_norm, int n_rows,
                     int dt_rank, int n_dt, int n_state, float eps, cuda_stream s, struct error *e);
/* Mamba-1 selective scan, softplus, D skip and gate fused; time-major as the GEMMs write.
 *   dt = softplus(dt_raw + dt_bias); h = exp(dt A) h + dt B x; y = (C . h + D x) * silu(z)
 * x, dt_raw, z, y bf16 [T, .]; B, C [T, bc_stride] f32, 16 each; A [d_inner, 16], D, dt_bias [d_inner] f32; state [d_inner, 16] f32, carried
 * in and out. d_state is 16; d_inner and the strides even, bc_stride a multiple of 4. */
int cuda_selective_scan(uint16_t *y, const uint16_t *x, const uint16_t *dt_raw, const uint16_t *z, const float *B, const float *C,
                        const float *A, const float *D, const float *dt_bias, float *state, int T, int d_inner, int x_stride,
                        int dt_stride, int z_stride, int y_stride, int bc_stride, cuda_stream s, struct error *e);
/* One step for n timelines: row i of the inputs belongs to states[i] (an array on the device). */
int cuda_conv1d_step(uint16_t *y, int ldy, const uint16_t *x, int ldx, const float *w, const float *bias, const struct cuda_mamba_state *states,
                     int n, int d_inner, int d_conv, cuda_stream s, struct error *e);
/* From x_proj's output on: xdbc [n, R + 32] f32, norms and dt_proj (w_dt [d_inner, R]) included. */
int cuda_scan_step(uint16_t *y, int ldy, const uint16_t *x, int ldx, const float *xdbc, const float *dt_norm, const float *b_norm,
                   const float *c_norm, const uint16_t *w_dt, const uint16_t *z, int ldz, const float *A, const float *D, const float *dt_bias,
                   const struct cuda_mamba_state *states, int n, int d_inner, int dt_rank, int n_dt, int n_state, float eps, cuda_stream s, struct error *e);

/* ---- attention over a paged KV cache ---- */
/* One pool for all timelines and attention layers: page p holds CUDA_KV_PAGE positions; layer a's K rows start at row
 * ((p * n_layer + a) * 2) * CUDA_KV_PAGE of the pool, its V rows one page later; a row is [n_kv_head * head_dim] bf16. */
#define CUDA_KV_PAGE 1024
struct cuda_kv {
    uint16_t *pool;
    int n_pages, n_layer, n_kv_head, head_dim;
};
/* Copies k, v [n_rows, ld] to positions position.. of a timeline; pages: its page numbers on the device. */
int cuda_kv_append(const struct cuda_kv *kv, int layer, const int32_t *pages, int position, const uint16_t *k, const uint16_t *v, int ld,
                   int n_rows, cuda_stream s, struct error *e);
int cuda_kv_append_step(const struct cuda_kv *kv, int layer, const int32_t *const *pages, const int32_t *n_keys, const uint16_t *k,
                        const uint16_t *v, int ld, int n, cuda_stream s, struct error *e); /* row i to position n_keys[i] - 1 of timeline i */
/* Causal attention without positions. Query row i stands at position q_start + i and sees keys 0 .. q_start + i, which are in the pages.
 * q [n_q, ldq], out [n_q, n_head * head_dim]. head_dim 64 or 128. Keys are taken in tiles of 128 aligned at position 0, ascending, so a
 * row's bits do not depend on n_q or q_start. scale = head_dim^-0.5. */
int cuda_attention_prefill(uint16_t *out, const uint16_t *q, int ldq, const struct cuda_kv *kv, int layer, const int32_t *pages, int n_q,
                           int q_start, int n_head, float scale, cuda_stream s, struct error *e);
/* One query row a timeline, n timelines: pages[i] and n_keys[i] on the device (n_keys includes the row's own). The first n_shared keys, a multiple
 * of CUDA_KV_PAGE, lie in the same pages for all of them and are read once for all. Keys are split in pieces of 512, merged in order: a
 * row's bits do not depend on n or n_shared. scratch: cuda_attention_decode_scratch bytes. max_keys bounds all n_keys. */
size_t cuda_attention_decode_scratch(int n, int n_head, int head_dim, int max_keys);
int cuda_attention_decode(uint16_t *out, const uint16_t *q, int ldq, const struct cuda_kv *kv, int layer, const int32_t *const *pages,
                          const int32_t *n_keys, int max_keys, int n_shared, int n, int n_head, float scale, void *scratch, cuda_stream s,
                          struct error *e);

/* ---- mixture of experts ---- */
/* router logits [n_rows, n_expert] f32 -> softmax over all experts, top_k (ties: lower index), not renormalised; expert and weight
 * [n_rows, top_k]. Then the plan: rows sorted by expert, stable: order[k] = row * top_k + slot in expert order; place[row * top_k + slot] = k;
 * offset[n_expert + 1], with room for 2 n_expert + 1.  n_expert <= 64, top_k <= 8. */
int cuda_moe_route(int32_t *expert, float *weight, int32_t *order, int32_t *place, int32_t *offset, const float *logits, int n_rows, int n_expert,
                   int top_k, cuda_stream s, struct error *e);
int cuda_moe_gather(uint16_t *y, const uint16_t *x, const int32_t *order, int n, int top_k, int width, cuda_stream s, struct error *e);
int cuda_moe_gather_e4m3(uint8_t *y, float *y_scale, const uint8_t *x, const float *x_scale, const int32_t *order, int n, int top_k, int width, cuda_stream s,
                         struct error *e);
/* h[row] += sum over slots of weight * y[place]. */
int cuda_moe_combine(float *h, const uint16_t *y, const int32_t *place, const float *weight, int n_rows, int top_k, int width, cuda_stream s,
                     struct error *e);
/* The same plan for a step (n_rows * top_k <= 256) by one small kernel, which also lists the experts that have rows: active[n_expert], then -1. */
int cuda_moe_route_step(float *weight, int32_t *order, int32_t *place, int32_t *offset, int32_t *active, const float *logits, int n_rows, int n_expert,
                        int top_k, cuda_stream s, struct error *e);
/* Decode: rows offset[e] .. offset[e + 1] of x (gathered by plan) times expert e, for all active experts (at most max_active); none has more than
 * max_rows rows. w->n_out is one expert's; swiglu: w is [gate | up] and y gets silu(gate) * up. */
int cuda_moe_gemv(const struct cuda_matrix *w, const int32_t *offset, const int32_t *active, int max_active, const uint16_t *x, int max_rows,
                  bool swiglu, uint16_t *y, cuda_stream s, struct error *e);

/* ---- sampling ---- */
/* out[r] = natural log-probability of target[r] under logits [n_rows, n_vocab] f32. */
int cuda_logprobs(float *out, const float *logits, const int32_t *target, int n_rows, int n_vocab, cuda_stream s, struct error *e);
/* Chooses one of n logits (f32, one row), as kernel_choose does and always the same one: *chosen is its place, *logprob its natural log-probability within
 * the n. Both on the device, or in host memory that it writes directly. */
int cuda_choose(int32_t *chosen, float *logprob, const float *logits, int n, float temperature, float top_p, double u, cuda_stream s, struct error *e);
/* Rows ids[i] of a matrix, one after another, with their scales where it has some: the head over allowed tokens only. */
int cuda_pick_rows(void *to, float *to_scale, const struct cuda_matrix *from, const int32_t *ids, int n, cuda_stream s, struct error *e);
int cuda_pick(float *to, const float *from, const int32_t *ids, int n, cuda_stream s, struct error *e); /* to[i] = from[ids[i]] */

#ifdef __cplusplus
}
#endif
#endif
