/* cpu.h: inside kernels/cpu only. The worker pool, the packed layouts, and the table of row- and tile-level functions
 * that a path fills. kernels/cpu/<op>.c cuts work into tasks and calls through the table; <op>_scalar parts are the
 * plain reference, <op>_avx2.c and <op>_avx512.c the fast ones. */
#ifndef ANTINOMY_KERNELS_CPU_H
#define ANTINOMY_KERNELS_CPU_H

#include "kernels/kernels.h"

/* ---- pool ---- */
struct pool;
typedef void (*pool_task)(void *ctx, size_t task, int thread);
int pool_open(struct pool **out, int n_threads, struct error *e);
void pool_close(struct pool *p);
/* Runs task 0..n_tasks-1 on the caller (thread 0) and the workers; returns when all are done. */
void pool_run(struct pool *p, size_t n_tasks, pool_task fn, void *ctx);

/* ---- layouts ---- */
#define GROUP 16     /* outputs interleaved in a packed matrix */
#define PANEL 8      /* rows interleaved in prepared activations */
#define TILE_ROWS 16 /* rows of an AMX tile: two panels */
#define BLOCK 32     /* values a quantisation block */
/* A packed group: the values of all blocks of 32 inputs, one after another, then 16 f16 scales a block.
 *   Q4_0: 4 x 64 bytes a block. Byte 4 r + j of vector v: low nibble = input 8 v + j, high nibble = input 8 v + 4 + j
 * of output r. Q8_0: 8 x 64 bytes a block. Byte 4 r + j of vector v: input 4 v + j of output r. F32:  [n_in][16]. */
#define Q4_GROUP_BLOCK ((size_t)256)
#define Q8_GROUP_BLOCK ((size_t)512)

struct gemm { /* one group of outputs times n_rows rows */
    const uint8_t *w;
    int type; /* of the blocks: gemm_quants has several */
    size_t n_in;
    const int8_t *q; /* int8: at the first row's place in its panel */
    const int8_t *t; /* the same rows in tiles; NULL where the path makes none or the first row is not a tile's first */
    const float *d;
    const int32_t *s;
    const float *x; /* f32 */
    size_t ldx;
    size_t n_rows; /* int8: rows go on panel after panel */
    float *y;
    size_t ldy, n_out; /* n_out <= 16 */
    bool add;
};

/* One page of keys against a run of queries of one KV head: an online softmax step (Milakov and Gimelshein 2018) a
 * query. */
struct attention_page {
    size_t n_q, head_dim;
    const float *q;      /* [n_q, head_dim], scaled, and by log2 e: weights are 2^(score - max) */
    const float *k, *v;  /* [head_dim][KERNEL_KV_PAGE], [KERNEL_KV_PAGE][head_dim] */
    const int32_t *seen; /* [n_q] keys of this page that the query sees: 1..KERNEL_KV_PAGE, ascending */
    float *state;        /* [n_q][ATTENTION_STATE(head_dim)]: max, sum, unnormalised output from float 16 on */
    float *scores;       /* [n_q][KERNEL_KV_PAGE] scratch */
};
#define ATTENTION_STATE(head_dim) ((head_dim) + 16)
/* Rows of one attention task (times the heads that share the KV head). */
#define ATTENTION_ROWS ((size_t)32)

struct cpu_ops {
    bool int8;
    void (*quantize)(const float *x, size_t n, int8_t *q, float *d, int32_t *s); /* one row into its place of a panel */
    void (*tile)(const int8_t *panel, size_t n, int8_t *t); /* NULL, or a panel into its half of a tile */
    void (*gemm_q4)(const struct gemm *g);
    void (*gemm_q8)(const struct gemm *g);
    void (*gemm_quants)(const struct gemm *g); /* quants.h: Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K */
    void (*gemm_f32)(const struct gemm *g);
    void (*gemm_f16)(const struct gemm *g);  /* NULL: such weights are dequantised a group at a time */
    void (*gemm_bf16)(const struct gemm *g); /* likewise */
    void (*rms_norm)(const float *x, const float *weight, float *y, size_t n, float eps);
    void (*swiglu)(const float *gate, const float *up, float *y, size_t n);
    void (*conv1d)(const struct kernel_conv1d *a, const struct kernel_mamba_item *it, size_t c0, size_t c1);
    void (*scan)(const struct kernel_scan *a, const struct kernel_mamba_item *it, size_t c0, size_t c1);
    void (*log_sum_exp)(const float *x, size_t n, float *max, double *sum);
};
extern const struct cpu_ops cpu_ops_scalar, cpu_ops_scalar_int8, cpu_ops_avx2, cpu_ops_avx512;
void cpu_ops_to_amx(struct cpu_ops *ops); /* the AVX-512 path's with the products of AMX */

/* How a path keeps keys and values, and one page's step over them. */
struct kv_ops {
    size_t value_bytes; /* of one stored value */
    size_t scale_bytes; /* behind a head's K and V in its page */
    /* One token's key and value [head_dim] into its slot of a head's page. Half-precision staging is the thread's
     * scratch. */
    void (*append)(const float *k, const float *v, void *page, size_t slot, size_t head_dim);
    /* NULL, or brings a task's scaled queries [n_q, head_dim] in place into the form that step wants */
    void (*queries)(float *q, size_t n_q, size_t head_dim);
    /* page: a head's K and V as stored; k, v: f32 scratch of a page each, if the step wants them unpacked */
    void (*step)(struct attention_page *p, const void *page, float *k, float *v);
};
extern const struct kv_ops kv_ops_f32, kv_ops_fixed_avx2, kv_ops_fixed_avx512, kv_ops_bf16_avx512, kv_ops_amx;

struct kernel_device {
    const char *path;
    struct cpu_ops own; /* of a path that changes another's functions; ops points here then */
    const struct cpu_ops *ops;
    const struct kv_ops *kv;
    struct pool *pool;
    int n_threads;
    float **tile; /* [n_threads] a dequantised group: [max n_in][16] */
    size_t tile_n_in;
    float **attention; /* [n_threads] scratch of attention tasks */
    size_t attention_floats;
    float *partial; /* segments of split decode steps */
    size_t partial_floats;
};

float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f); /* round to nearest even, as F16C does */

/* the scalar functions, for the other paths' odd shapes */
void scalar_quantize(const float *x, size_t n, int8_t *q, float *d, int32_t *s);
void scalar_gemm_q4(const struct gemm *g);
void scalar_gemm_q8(const struct gemm *g);
void scalar_gemm_f32(const struct gemm *g);
void scalar_rms_norm(const float *x, const float *weight, float *y, size_t n, float eps);
void scalar_swiglu(const float *gate, const float *up, float *y, size_t n);
void scalar_conv1d(const struct kernel_conv1d *a, const struct kernel_mamba_item *it, size_t c0, size_t c1);
void scalar_scan(const struct kernel_scan *a, const struct kernel_mamba_item *it, size_t c0, size_t c1);
void scalar_attention_page(const struct attention_page *p);
void scalar_log_sum_exp(const float *x, size_t n, float *max, double *sum);
/* of avx512-bf16, for the AMX path: the same pages */
#define BF16_MAX_HEAD_DIM 512 /* of the fast steps: tiles of queries lie on the stack */
void bf16_append(const float *k, const float *v, void *page, size_t slot, size_t hd);
void bf16_step(struct attention_page *p, const void *page, float *k, float *v);

#endif
