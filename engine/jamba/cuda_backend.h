/* cuda_backend.h: inside the CUDA backend only (cuda_weights.c, cuda_state.c, cuda.c): the model on a device, and a session's state there.
 *
 * Storage: linear weights bf16, or int8 with a scale a row (option quantize "int8": ExpertsInt8's scheme for every linear layer but the
 * router and dt_proj); norms, A, D, conv and biases f32. Residual stream f32, activations bf16, Mamba state f32, conv state and KV bf16.
 * A pass handles up to chunk_rows rows of all its items; longer prefills are cut here, at any border, with the same bits.
 */
#ifndef ANTINOMY_JAMBA_CUDA_BACKEND_H
#define ANTINOMY_JAMBA_CUDA_BACKEND_H

#include "engine/jamba/model.h"
#include "kernels/cuda/cuda_ops.h"

#define CUDA_MAX_CHUNK 32768 /* rows of a pass at most */
#define CUDA_MAX_ITEMS 64    /* timelines of a pass at most */


struct cuda_layer {
    float *attn_norm, *ffn_norm;
    struct cuda_matrix qkv, o;                         /* [q | k | v] rows */
    struct cuda_matrix ssm_in, ssm_x, ssm_dt, ssm_out;
    float *conv, *conv_bias, *dt_bias, *a, *d, *dt_norm, *b_norm, *c_norm;
    struct cuda_matrix gate_up, down;                  /* dense: gate rows, then up rows */
    struct cuda_matrix router;
    struct cuda_matrix exps_gate_up, exps_down;        /* n_out is one expert's; experts stacked */
};

struct cuda_model {
    struct jamba_model *m;
    int device;
    char path[160];
    bool int8;
    cuda_stream stream;
    struct cuda_gemm *gemm;
    struct cuda_layer *layers;
    struct cuda_matrix embedding, head;
    float *output_norm;
    uint64_t bytes, workspace_bytes, kv_bytes;
    size_t largest_matrix; /* elements of the largest int8 matrix: the dequantisation scratch */
    /* KV pool */
    struct cuda_kv kv;
    size_t page_bytes;
    int *page_refs;
    int32_t *page_free; /* stack */
    int n_page_free;
    pthread_mutex_t pool_lock;
    /* workspace of one pass */
    int chunk_rows;
    float *h;            /* [rows, d_model] residual */
    uint16_t *x;         /* [rows, max(d_model, n_head head_dim)] normed input, attention output */
    uint16_t *wide;      /* [rows, max(2 d_inner, qkv, 2 d_ff)] */
    uint16_t *u, *y;     /* [rows, d_inner]; u also [rows, d_ff] */
    float *xdbc, *bc;
    uint16_t *dt;
    float *router_logits, *router_weight;
    int32_t *router_expert, *order, *place, *offset;
    uint16_t *expert_in, *expert_out; /* [rows * used, d_model] */
    float *logits, *logprob;
    int32_t *ids, *targets;
    /* What a step's kernels look up, one block on the device and its pinned twin, filled and sent once a step:
     * page tables [CUDA_MAX_ITEMS], n_keys [CUDA_MAX_ITEMS], ids [CUDA_MAX_ITEMS], mamba states [n_mamba][CUDA_MAX_ITEMS] */
    char *step_tables, *step_tables_host;
    size_t step_tables_bytes;
    const int32_t **page_tables;
    int32_t *n_keys, *step_ids;
    struct cuda_mamba_state *mamba_states;
    float *logits_host; /* pinned, [n_vocab] */
    void *decode_scratch;
    size_t decode_scratch_bytes;
    struct {
        int n_items, max_keys, n_shared;
        cuda_graph graph;
    } graphs[32];
    int n_graphs;
};

struct cuda_state {
    uint32_t n_tokens, max_tokens;
    bool has_last;
    int n_pages, max_pages;
    int32_t *pages, *pages_device;
    uint16_t *conv; /* [n_mamba, d_conv - 1, d_inner] */
    float *ssm;     /* [n_mamba, d_inner, 16] */
    float *last;    /* [d_model] final-norm row */
};

static inline size_t cuda_conv_elements(const struct jamba_config *c) {
    return (size_t)(c->d_conv - 1) * c->d_inner;
}
static inline size_t cuda_ssm_elements(const struct jamba_config *c) {
    return (size_t)c->d_inner * c->d_state;
}

int cuda_weights_open(struct cuda_model *cm, struct error *e);
void cuda_weights_close(struct cuda_model *cm);

int cuda_pool_open(struct cuda_model *cm, uint32_t positions, struct error *e);
void cuda_pool_close(struct cuda_model *cm);
int cuda_state_open(void **state, void *ctx, uint32_t max_tokens, struct error *e);
int cuda_state_fork(void **out, void *ctx, const void *state, struct error *e);
void cuda_state_close(void *ctx, void *state);
int cuda_state_extend(struct cuda_model *cm, struct cuda_state *s, size_t n_more, struct error *e); /* pages for n_more tokens */
uint64_t cuda_state_bytes(void *ctx, const void *state, uint32_t n_tokens);
int cuda_state_write(void *ctx, const void *state, uint32_t n_tokens, int (*put)(void *, const void *, size_t), void *put_ctx, struct error *e);
int cuda_state_read(void *ctx, void *state, uint32_t n_tokens, int (*get)(void *, void *, size_t), void *get_ctx, struct error *e);

#endif
