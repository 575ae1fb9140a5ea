/* kernels.h: every tensor operation with its shapes. Knows no model, no file format beyond the block types named below.
 *
 * The functions here run on the CPU (kernels/cpu/, one file an operation, one more file an instruction set). A CUDA
 * twin of an operation is called cuda_<op>, lives in kernels/cuda/<op>.cu, takes device pointers and a stream in the
 * place of the device, and computes the same; tests compare the two. No CUDA header is included here.
 *
 * Rules of all operations:
 * - Matrices are row-major; `ld` is the distance between rows in elements. Activations are f32 [n_rows, n].
 * - A row's result never depends on the other rows of the call, on how rows are cut into calls, or on the number of
 * threads: work is divided over outputs, rows, channels and heads, never inside a sum, and every sum has one order (bit
 * for bit, per path).
 * - Operations run on the calling thread and the device's own workers and return when done. One call at a time a
 * device.
 * - Operations cannot fail; what needs memory is allocated by the *_open functions.
 *
 *     struct kernel_device *dev; struct kernel_matrix w; struct kernel_rows x;
 *     kernel_device_open(&dev, "auto", 0, &e);
 *     kernel_matrix_open(&w, dev, &source, &e); kernel_rows_open(&x, 256, 1536, &e);
 *     kernel_rows_prepare(dev, &x, h, ld, n_rows, n, true);
 *     kernel_linear(dev, &x, &(struct kernel_output){.w = &w, .y = y, .ldy = ldy}, 1);
 */
#ifndef ANTINOMY_KERNELS_H
#define ANTINOMY_KERNELS_H

#include "base.h"

/* ---- device: the path (instructions and storage types) and the worker threads ---- */
struct kernel_device;
/* path: NULL or "auto" = the best this processor has; "scalar" (f32 activations, f32 KV: the reference), "scalar-int8"
 * (twin of the fast paths' int8 linear), "avx2", "avx512-vnni" (also "avx512"), "avx512-bf16", "amx-int8" (also "amx").
 * n_threads 0: the CPUs this process may use. ERR_UNSUPPORTED (unknown or not on this processor), ERR_NOMEM. */
int kernel_device_open(struct kernel_device **out, const char *path, int n_threads, struct error *e);
void kernel_device_close(struct kernel_device *dev);
const char *kernel_device_path(const struct kernel_device *dev);
int kernel_device_threads(const struct kernel_device *dev);

/* ---- memory ---- */
void *kernel_alloc(size_t bytes); /* zeroed, aligned to 64 bytes; NULL when there is none */
void kernel_free(void *p);

/* ---- linear: y = x W^T ---- */
/* Block types as GGUF numbers them; any other number works through row_to_f32. */
enum kernel_type {
    KERNEL_F32 = 0,
    KERNEL_F16 = 1,
    KERNEL_Q4_0 = 2,
    KERNEL_Q4_1 = 3,
    KERNEL_Q5_0 = 6,
    KERNEL_Q5_1 = 7,
    KERNEL_Q8_0 = 8,
    KERNEL_Q4_K = 12,
    KERNEL_Q5_K = 13,
    KERNEL_Q6_K = 14,
    KERNEL_BF16 = 30
};
struct kernel_source {
    int type;
    const void *data; /* [n_out] rows of row_bytes; borrowed for the matrix's life */
    uint64_t n_out, n_in, row_bytes;
    void (*row_to_f32)(int type, const void *row, float *out, uint64_t n); /* dequantises n values of one row */
};
/* A weight matrix as a path wants it: the types named above are interleaved in groups of 16 outputs. Same values, same
 * size, but for Q4_K and Q5_K, whose scales of 6 bits become bytes (1/8 bit a weight more). Any other type, and all block
 * types on the path "scalar", stay as they are and are dequantised a group at a time. */
struct kernel_matrix {
    struct kernel_source source;
    uint8_t *packed; /* NULL: computed from source.data */
    uint64_t bytes;  /* of packed */
    bool int8;       /* wants its input quantised (kernel_rows_prepare(quantize)) */
    size_t group_bytes;
};
int kernel_matrix_open(struct kernel_matrix *m, struct kernel_device *dev, const struct kernel_source *s,
                       struct error *e);
void kernel_matrix_close(struct kernel_matrix *m);

/* Activations ready to be multiplied. The f32 rows are borrowed; with quantize, each block of 32 values of a row also
 * becomes int8 with its own f32 scale (absmax / 127, round half to even). Small blocks because single channels of
 * Jamba's residual stream reach |x| ~ 3000. */
struct kernel_rows {
    const float *x; /* [n_rows, n] */
    size_t ldx, n_rows, n;
    int8_t *q;  /* panels of 8 rows: [n_rows / 8][n / 4][8][4] */
    float *d;   /* [n_rows / 8][n / 32][8] scales */
    int32_t *s; /* like d: -8 times the sum of the block's int8 values (takes the offset out of unsigned weights) */
    int8_t *t;  /* paths with tiles, more than 8 rows: q once more, [n_rows / 16][n / 32][16][32] */
    size_t max_rows, max_n;
};
int kernel_rows_open(struct kernel_rows *r, size_t max_rows, size_t max_n, struct error *e);
void kernel_rows_close(struct kernel_rows *r);
void kernel_rows_prepare(struct kernel_device *dev, struct kernel_rows *r, const float *x, size_t ldx, size_t n_rows,
                         size_t n, bool quantize);

struct kernel_output {
    const struct kernel_matrix *w;
    float *y; /* [n_rows, n_out] */
    size_t ldy;
    size_t first, count; /* outputs first..first+count-1 only (first a multiple of 16); count 0 = all. y[.][0] is output
                            `first` */
    bool add;            /* y += instead of y = */
};
/* Several matrices over the same input in one parallel region (q, k, v; gate, up). */
void kernel_linear(struct kernel_device *dev, const struct kernel_rows *x, const struct kernel_output *out,
                   size_t n_out);
/* y[i] = row `row` of x times row ids[i] of w: the output head over allowed tokens only. Same bits as kernel_linear. */
void kernel_linear_picked(struct kernel_device *dev, const struct kernel_rows *x, size_t row,
                          const struct kernel_matrix *w, const int32_t *ids, size_t n_ids, float *y);
void kernel_embedding(struct kernel_device *dev, const struct kernel_source *table, const int32_t *ids, size_t n,
                      float *out, size_t ld);

/* ---- norm and element-wise ---- */
/* y = x * rsqrt(mean(x^2) + eps) * weight, a row at a time; y may be x. */
void kernel_rms_norm(struct kernel_device *dev, const float *x, size_t ldx, const float *weight, float *y, size_t ldy,
                     size_t n_rows, size_t n, float eps);
/* y = silu(gate) * up, all [n_rows, n]; silu(v) = v / (1 + exp(-v)). */
void kernel_swiglu(struct kernel_device *dev, const float *gate, const float *up, size_t ld, float *y, size_t ldy,
                   size_t n_rows, size_t n);

/* ---- mamba (Mamba-1; D = d_inner, N = d_state, K = d_conv) ---- */
/* One timeline's rows in the call and its state of this layer. */
struct kernel_mamba_item {
    size_t row, n_rows;
    float *conv_state; /* [K-1, D]: the last raw inputs, oldest first */
    float *ssm_state;  /* [N, D] */
};
/* y[t,c] = silu(bias[c] + sum_j weight[j,c] * x[t-K+1+j,c]); rows before the call's first come from conv_state, which
 * is moved on. */
struct kernel_conv1d {
    size_t d_inner, d_conv;
    const float *weight; /* [K, D] (transposed from the file's [D, K]) */
    const float *bias;   /* [D] */
    const float *x;      /* [n_rows, D] */
    size_t ldx;
    float *y; /* [n_rows, D] */
    size_t ldy;
};
void kernel_conv1d_silu(struct kernel_device *dev, const struct kernel_conv1d *a, const struct kernel_mamba_item *items,
                        size_t n_items);
/* delta = softplus(dt + dt_bias); h[n,c] = exp(delta A[n,c]) h[n,c] + delta B[t,n] u[t,c]; y[t,c] = (sum_n C[t,n]
 * h[n,c] + D[c] u[t,c]) silu(z[t,c]). softplus(v) = v for v > 20, else log1p(exp(v)). y may be u. */
struct kernel_scan {
    size_t d_inner, d_state;
    const float *a;       /* [N, D]: -exp(A_log), transposed */
    const float *d;       /* [D] */
    const float *dt_bias; /* [D] */
    const float *u, *dt;  /* [n_rows, D] */
    size_t ldu, lddt;
    const float *b, *c; /* [n_rows, N] */
    size_t ldbc;
    const float *z; /* [n_rows, D] */
    size_t ldz;
    float *y; /* [n_rows, D] */
    size_t ldy;
};
void kernel_selective_scan(struct kernel_device *dev, const struct kernel_scan *a,
                           const struct kernel_mamba_item *items, size_t n_items);

/* ---- attention (grouped-query, causal, no positions) ---- */
/* KV pages hold KERNEL_KV_PAGE positions of one layer: a KV head after another, K transposed [head_dim][page], then V
 * [page][head_dim]; each path in its own form, f32 on the scalar ones. */
#define KERNEL_KV_PAGE 64
/* Softmax runs over pages in order inside segments of this many positions (aligned to absolute positions); segments are
 * then merged in order. So a long decode step can be shared among threads and still sums as a prefill does. */
#define KERNEL_KV_SEGMENT 1024
size_t kernel_kv_page_bytes(const struct kernel_device *dev, size_t n_kv_head,
                            size_t head_dim); /* one layer's part of a page */
struct kernel_attention_item {
    size_t row, n_rows;
    size_t position;   /* of the item's first row: it sees positions 0..position */
    void *const *page; /* page[p / KERNEL_KV_PAGE]; holds everything before `position` and, after kv_append, the rows
                          themselves */
};
struct kernel_attention {
    size_t n_head, n_kv_head, head_dim;
    float scale;        /* head_dim^-0.5 */
    size_t page_offset; /* bytes from page[i] to this layer's part */
    const float *q;     /* [n_rows, n_head * head_dim]; query head a uses KV head a / (n_head / n_kv_head) */
    const float *k, *v; /* [n_rows, n_kv_head * head_dim] */
    size_t ldq, ldk, ldv;
    float *out; /* [n_rows, n_head * head_dim] */
    size_t ldout;
};
void kernel_kv_append(struct kernel_device *dev, const struct kernel_attention *a,
                      const struct kernel_attention_item *items, size_t n_items);
void kernel_attention(struct kernel_device *dev, const struct kernel_attention *a,
                      const struct kernel_attention_item *items, size_t n_items);
/* Makes room for the longest context an attention call will see (scratch of split decode steps). */
int kernel_attention_reserve(struct kernel_device *dev, size_t n_head, size_t head_dim, size_t max_rows,
                             size_t max_position, struct error *e);

/* ---- moe ---- */
/* p = softmax(logits) over all experts; the top_k largest (ties: lower index), NOT renormalised, in descending order.
 */
void kernel_router_top_k(const float *logits, size_t ld, size_t n_rows, size_t n_expert, size_t top_k, int32_t *expert,
                         float *weight);
void kernel_gather_rows(struct kernel_device *dev, const float *x, size_t ldx, const int32_t *rows, size_t n_rows,
                        size_t n, float *y, size_t ldy);
/* y[rows[i]] += weight[i] * x[i]; rows distinct. */
void kernel_scatter_add(struct kernel_device *dev, const float *x, size_t ldx, const int32_t *rows, const float *weight,
                        size_t n_rows, size_t n, float *y, size_t ldy);

/* ---- sampling ---- */
/* Running log-sum-exp over pieces of a row: start with max = -INFINITY, sum = 0; result is max + log(sum). Pieces in a
 * fixed order. */
void kernel_log_sum_exp(struct kernel_device *dev, const float *x, size_t ld, size_t n_rows, size_t n, float *max,
                        double *sum);
/* Chooses one of n logits and returns its place; *logprob: its natural log-probability within the n, at temperature 1.
 * temperature 0: the largest, the first of equals; top_p 0 or 1: off; u in [0, 1) is the chance. The rule is in
 * kernels/choose.h; cuda_choose follows it to the bit. */
size_t kernel_choose(const float *logits, size_t n, float temperature, float top_p, double u, float *logprob);

#endif
