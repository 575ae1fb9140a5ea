/* model.h: inside engine/jamba only. A model's weights as tensors bound to fields, validated at load; after that nothing looks up names.
 *
 * Who fills what: gguf.c and safetensors.c map files and list tensors (struct tensor_list); weights.c binds and validates them
 * (struct jamba_weights); a backend (cpu.c, cuda.c) repacks what it wants and runs them. Tensor names, shapes, pitfalls: MODEL.md.
 */
#ifndef ANTINOMY_JAMBA_MODEL_H
#define ANTINOMY_JAMBA_MODEL_H

#include "engine/jamba/jamba.h"

#include <pthread.h>

/* GGUF's type numbers (ggml.h), used for every source. */
enum tensor_type {
    TENSOR_F32 = 0, TENSOR_F16 = 1, TENSOR_Q4_0 = 2, TENSOR_Q4_1 = 3, TENSOR_Q5_0 = 6, TENSOR_Q5_1 = 7, TENSOR_Q8_0 = 8,
    TENSOR_Q2_K = 10, TENSOR_Q3_K = 11, TENSOR_Q4_K = 12, TENSOR_Q5_K = 13, TENSOR_Q6_K = 14, TENSOR_BF16 = 30
};

/* A matrix or vector as stored: ne[0] is the fastest axis (a row's length). Data is borrowed from a map or owned by the model. */
struct tensor {
    const char *name;
    enum tensor_type type;
    uint32_t n_dims;
    uint64_t ne[4]; /* unused axes are 1 */
    const void *data;
    const void *const *parts; /* NULL; else [ne[2]]: experts that lie apart in their files, each ne[1] rows; data is parts[0] */
    uint64_t bytes;           /* of all parts together */
};
uint64_t tensor_row_bytes(enum tensor_type type, uint64_t n); /* 0: unknown type, or n is no whole number of blocks */
const char *tensor_type_name(enum tensor_type type);
/* Dequantises n values of one row to f32, exactly as ggml defines the block. The reference of every fast path. */
void tensor_row_to_f32(enum tensor_type type, const void *row, float *out, uint64_t n);
/* The i-th matrix of a stack of experts (0 of anything else). */
static inline const void *tensor_matrix(const struct tensor *t, uint64_t i) {
    return t->parts ? t->parts[i] : (const char *)t->data + i * t->ne[1] * tensor_row_bytes(t->type, t->ne[0]);
}

struct jamba_layer {
    bool is_attention, is_moe;
    uint32_t attention_index, mamba_index; /* running number among its kind: index of its KV / state */
    const struct tensor *attn_norm, *ffn_norm;                 /* [d_model] f32: before the mixer / the FFN */
    const struct tensor *q, *k, *v, *o;                        /* attention */
    const struct tensor *ssm_in, *ssm_conv1d, *ssm_conv1d_bias; /* [2 d_inner, d_model]; [d_inner, d_conv]; [d_inner] */
    const struct tensor *ssm_x, *ssm_dt, *ssm_dt_bias;         /* [dt_rank + 2 d_state, d_inner]; [d_inner, dt_rank]; [d_inner] */
    const struct tensor *ssm_dt_norm, *ssm_b_norm, *ssm_c_norm;
    const struct tensor *ssm_a, *ssm_d, *ssm_out;              /* ssm_a = -exp(A_log) [d_inner, d_state] f32 */
    const struct tensor *ffn_gate, *ffn_up, *ffn_down;         /* dense */
    const struct tensor *ffn_router;                           /* MoE: [n_expert, d_model] */
    const struct tensor *ffn_gate_exps, *ffn_up_exps, *ffn_down_exps; /* 3-D, slowest axis = expert */
};

struct jamba_weights {
    const struct tensor *token_embd, *output_norm, *output; /* output == token_embd when tied */
    struct jamba_layer *layers;                             /* [n_layer] */
};

struct tokenizer;  /* tokenizer.h */
struct token_trie; /* pattern.h */

/* What a backend does for the public functions; one table each in cpu.c and cuda.c. `state` is the session's backend half. */
struct backend_item {
    void *state;
    const int32_t *tokens;
    size_t n_tokens;
    enum jamba_want want;
    const int32_t *rows;
    size_t n_rows;
    float *out;
};
struct backend {
    const char *name;
    int (*open)(void **ctx, struct jamba_model *m, const struct jamba_model_options *o, struct error *e); /* repacks or uploads */
    void (*close)(void *ctx);
    const char *(*path)(void *ctx); /* "avx2", "cuda sm_90" */
    uint64_t (*bytes)(void *ctx);
    int (*state_open)(void **state, void *ctx, uint32_t max_tokens, struct error *e);
    int (*state_fork)(void **out, void *ctx, const void *state, struct error *e);
    void (*state_close)(void *ctx, void *state);
    /* May be NULL. Before a call that advances the state by n: charges what it will take to the model's budget, or ERR_NOMEM and nothing
     * changed; n = 0 behind the call gives back what it did not use. */
    int (*state_grant)(void *ctx, void *state, size_t n, struct error *e);
    /* Advances every item's state by its tokens: one chunk, all rows in one pass over the layers. Items have distinct states. */
    int (*forward)(void *ctx, struct backend_item *items, size_t n_items, struct error *e);
    /* Logits or hidden of the last position again, from what the state keeps (its last final-norm row). */
    int (*last)(void *ctx, void *state, enum jamba_want want, const int32_t *rows, size_t n_rows, float *out, struct error *e);
    /* Serialises / restores KV, conv, SSM and the last row; the header and checksums are snapshot.c's. put takes the bytes in order; get gives
     * those from an offset on, to several threads at once. Both have said what failed. */
    uint64_t (*state_bytes)(void *ctx, const void *state, uint32_t n_tokens);
    int (*state_write)(void *ctx, const void *state, uint32_t n_tokens, int (*put)(void *, const void *, size_t), void *put_ctx, struct error *e);
    int (*state_read)(void *ctx, void *state, uint32_t n_tokens, int (*get)(void *, void *, size_t, uint64_t), void *get_ctx, struct error *e);
    uint32_t default_chunk;
    /* Optional, may be NULL (the caller then takes the logits and kernel_choose): the choice of session.h's session_choose where the logits
     * are, so that an id comes back and no row of logits. ids NULL: all n_ids = n_vocab. */
    int (*choose)(void *ctx, void *state, const int32_t *ids, size_t n_ids, float temperature, float top_p, double u, size_t *index,
                  float *logprob, struct error *e);
    /* Optional: where the model lies, for people: "cuda:0 NVIDIA H200, layers 0 to 31, 52.1 GiB". */
    const char *(*where)(void *ctx);
};
extern const struct backend backend_cpu;
#ifdef ANTINOMY_CUDA
extern const struct backend backend_cuda;
#endif

struct jamba_model {
    struct jamba_config config;
    struct jamba_weights weights;
    struct tokenizer *tokenizer;
    struct token_trie *trie; /* made by the first pattern, under `lock` */
    char *name, *card;
    uint8_t id[32];
    const struct backend *backend;
    void *backend_ctx;
    pthread_mutex_t lock;  /* one computation at a time, first come first served (session.c): guards the three below and `trie` */
    pthread_cond_t turn; /* all zero is PTHREAD_COND_INITIALIZER */
    uint64_t next_ticket, serving;
    struct arena arena;   /* tensors, layers, names */
    struct model_map *maps; /* files kept mapped; freed by model.c */
    size_t n_maps;
    uint64_t given_back;    /* bytes of the maps that a backend repacked and will not read again */
};

/* One of the tokens that end a text. */
static inline bool config_is_eos(const struct jamba_config *c, int32_t id) {
    for (int i = 0; i < 4 && c->eos[i] >= 0; i++)
        if (c->eos[i] == id) return true;
    return false;
}

struct jamba_session {
    struct jamba_model *model;
    void *state;
    uint32_t n_tokens, max_tokens;
    struct sha256 hash; /* over the tokens read; finalised on a copy */
};

/* Test hook: called with the residual stream behind the embedding (layer = -1), behind each layer and, by the CPU
 * backend, behind the final norm (layer = n_layer). rows [n_rows, d_model], lent for the call; NULL = off. For each chunk
 * of a reading the layers come in order, one call at a time, all before the function that reads returns; a GPU's stages
 * call from their own threads and run one after another while a trace is set. Set and taken away between two calls. */
struct jamba_trace {
    void (*layer)(void *ctx, int layer, const float *rows, size_t n_rows);
    void *ctx;
};
extern struct jamba_trace jamba_trace;

#endif
