/* cuda_backend.h: inside the CUDA backend only (cuda*.c, and shape.c, which prints its plan): the model on its devices,
 * and a session's state there.
 *
 * A model's layers are cut into stages, in order, one a device (option device "cuda:0,1"; one device: one stage). A
 * pass of prefill goes through the stages one after another; while a stage works on one pass, the stage before works on
 * the next. What crosses is the residual stream, by a copy between devices. The cut changes no bit.
 *
 * Storage: linear weights bf16, or int8 with a scale a row (option quantize "int8": ExpertsInt8's scheme for every
 * linear layer but the router and dt_proj), or e4m3 with a scale a row (option "fp8": all but router, dt_proj and
 * x_proj, the head int8). Under "fp8" a pass of prefill also rounds the rows it multiplies to e4m3, each with its own
 * scale, where the library can multiply them; a step does not. Norms, A, D, conv and biases f32. Residual stream f32,
 * activations bf16, Mamba state f32, conv state and KV bf16. A pass handles up to chunk_rows rows of all its items;
 * longer prefills are cut here, at any border, with the same bits.
 */
#ifndef ANTINOMY_JAMBA_CUDA_BACKEND_H
#define ANTINOMY_JAMBA_CUDA_BACKEND_H

#include "engine/jamba/model.h"
#include "kernels/cuda/cuda_ops.h"

#define CUDA_MAX_CHUNK 32768      /* rows of a pass at most */
#define CUDA_PIPELINE_CHUNK 16384 /* the same where passes follow each other through stages */
#define CUDA_MAX_ITEMS 64         /* timelines of a pass at most */
#define CUDA_MAX_STAGES 16

enum cuda_form { CUDA_BF16, CUDA_INT8, CUDA_E4M3 }; /* of the linear weights */

struct cuda_layer {
    float *attn_norm, *ffn_norm;
    struct cuda_matrix qkv, o; /* [q | k | v] rows */
    struct cuda_matrix ssm_in, ssm_x, ssm_dt, ssm_out;
    float *conv, *conv_bias, *dt_bias, *a, *d, *dt_norm, *b_norm, *c_norm;
    struct cuda_matrix gate_up, down; /* dense: gate rows, then up rows */
    struct cuda_matrix router;
    struct cuda_matrix exps_gate_up, exps_down; /* n_out is one expert's; experts stacked */
};

struct cuda_stage {
    struct jamba_model *m;
    int device;
    int index;                                                               /* 0: takes the token ids */
    bool is_last;                                                            /* has the final norm and the head */
    uint32_t first, end, first_attention, n_attention, first_mamba, n_mamba; /* its layers */
    struct {
        int head_dim, dt_rank, d_state;
    } real; /* as the model has them; the config's may be padded (cuda_pad.c) */
    enum cuda_form form;
    bool e4m3_rows; /* prefill multiplies e4m3 rows by the e4m3 weights; else these are dequantised */
    cuda_stream stream;
    struct cuda_gemm *gemm;
    struct cuda_layer *layers;
    struct cuda_matrix embedding, head;
    float *output_norm;
    uint64_t bytes, kv_bytes;
    size_t largest_matrix; /* elements of the largest quantised matrix: the dequantisation scratch */
    /* KV pool */
    struct cuda_kv kv;
    size_t page_bytes;
    int *page_refs;
    int32_t *page_free; /* stack */
    int n_page_free;
    pthread_mutex_t pool_lock;
    /* workspace of one pass */
    int chunk_rows;
    float *h; /* [rows, d_model] residual; behind the first stage it is one of the inboxes */
    float *inbox[2];
    cuda_event sent[2];  /* this stage's residual lies in the next one's inbox */
    cuda_event freed[2]; /* this stage is done with its inbox */
    uint16_t *x;         /* [rows, max(d_model, n_head head_dim)] normed input, attention output */
    uint16_t *wide;      /* [rows, max(2 d_inner, qkv, 2 d_ff)] */
    uint16_t *u, *y;     /* [rows, d_inner]; u also [rows, d_ff] */
    /* e4m3 rows lie where the bf16 ones of that moment are not needed: normed input and attention output in y, scan
     * output and SwiGLU in u, gathered rows in expert_in */
    float *y_scale, *u_scale, *expert_scale; /* [rows] */
    float *xdbc, *bc;
    uint16_t *dt;
    float *router_logits, *router_weight;
    int32_t *router_expert, *order, *place, *offset;
    uint16_t *expert_in, *expert_out; /* [rows, d_model]: one expert at a time; [rows * used, d_model] */
    float *logits, *logprob;
    int32_t *ids, *targets;
    /* What a step's kernels look up, one block on the device and its pinned twin, filled and sent once a step:
     * page tables [CUDA_MAX_ITEMS], n_keys [CUDA_MAX_ITEMS], ids [CUDA_MAX_ITEMS], mamba states
     * [n_mamba][CUDA_MAX_ITEMS] */
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
    /* counted over all passes of prefill */
    double flop;
    uint64_t *expert_rows; /* [n_layer, n_expert] */
};

/* What a stage's device is filled with, in bytes; made before anything is loaded (cuda_plan.c). */
struct cuda_plan {
    int device;
    char name[128];
    enum cuda_form form;
    uint32_t first, end; /* layers */
    uint64_t free, weights, kv, scratch /* GEMM and decode */, workspace,
        reserve /* cuBLAS, modules, states of a few sessions */;
    uint64_t total;         /* all of them */
    uint32_t positions;     /* of all sessions together */
    uint32_t max_positions; /* that would fit with the same workspace */
    uint32_t chunk_rows;
};

/* One segment: rows of one timeline in a pass. */
struct cuda_session;
struct cuda_segment {
    struct cuda_session *session;
    struct cuda_state *s; /* the session's half in the stage that runs */
    int first, n;
    int32_t token; /* the first one: all there is in a step */
    const int32_t *tokens;
    size_t from; /* place of the first token in the item */
    bool is_end; /* the item's last tokens */
    struct backend_item item;
};
struct cuda_pass {
    struct cuda_stage *cm;
    struct cuda_segment seg[CUDA_MAX_ITEMS];
    int n_seg, n_rows;
    unsigned number;
    struct jamba_trace trace; /* as it was when the pass was made: a stage's thread may run when it is set or gone */
    bool skip;                /* it failed in a stage before: goes on for the count alone */
    bool step;                /* one row each, few: decode kernels */
    int max_keys;             /* step: of any timeline, own row included, rounded up */
    int n_shared;             /* step: keys that lie in the same full pages for all */
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

/* A session: its state in every stage. A pass that failed behind the first stage, when its caller may have gone on,
 * leaves it `failed`: the stages no longer stand at the same token, so every later call on it says what happened. Under
 * the model's lock. */
struct cuda_session {
    struct cuda_state *part[CUDA_MAX_STAGES];
    int failed;
    struct error error;
};

/* What the kernels compute with: m's weights and config, head_dim, dt_rank, d_state and d_ff widened to what they want
 * by rows and columns of zeros where m's are others. Shares m's tensors where nothing changes; the rest lies in
 * out->arena. ERR_UNSUPPORTED: no padding helps (cuda_pad.c says what the kernels take). */
int cuda_pad_model(struct jamba_model *out, const struct jamba_model *m, const struct jamba_model_options *o,
                   struct error *e);

/* The model: its stages, and the threads that drive those behind the first (the caller drives that one). */
struct cuda_model {
    struct jamba_model *m; /* = &padded */
    struct jamba_model padded;
    int n_stages;
    struct cuda_stage *stage[CUDA_MAX_STAGES];
    struct cuda_plan plan[CUDA_MAX_STAGES];
    char path[160];
    char where[CUDA_MAX_STAGES * 96]; /* for people: each device, its layers, what it holds */
    pthread_mutex_t lock;
    pthread_cond_t moved;
    pthread_t thread[CUDA_MAX_STAGES];
    int n_threads;
    bool stop;
    unsigned n_passes, handed[CUDA_MAX_STAGES], done[CUDA_MAX_STAGES];
    struct cuda_pass pass;                       /* the caller's: one computes at a time */
    struct cuda_pass *queue[CUDA_MAX_STAGES][2]; /* by pass number, as the inboxes */
};

static inline size_t cuda_conv_elements(const struct jamba_config *c) {
    return (size_t)(c->d_conv - 1) * c->d_inner;
}
static inline size_t cuda_ssm_elements(const struct jamba_config *c) {
    return (size_t)c->d_inner * c->d_state;
}

/* The forms that x_proj and the head have where the linear layers have this one. */
enum cuda_form cuda_form_x_proj(enum cuda_form form);
enum cuda_form cuda_form_head(enum cuda_form form);
/* Fills plans for the model's devices (options device, quantize, kv_tokens; m needs only its config and which layer is
 * what). ERR_NOMEM with what would fit when it does not. */
int cuda_plan_make(struct cuda_plan plan[CUDA_MAX_STAGES], int *n_stages, const struct jamba_model *m,
                   const struct jamba_model_options *o, struct error *e);
/* Sets a stage's layers; allocates nothing. */
void cuda_stage_init(struct cuda_stage *cm, const struct jamba_model *m, int index, int n_stages, uint32_t first,
                     uint32_t end);

size_t cuda_stage_workspace(struct cuda_stage *cm, size_t rows);
int cuda_stage_load(struct cuda_stage *cm, const struct cuda_plan *plan, struct error *e);
void cuda_stage_close(struct cuda_stage *cm);
int cuda_stage_pass(struct cuda_stage *cm, struct cuda_pass *p,
                    struct error *e); /* h is what the stage before left, then what this one leaves */
int cuda_stage_last(struct cuda_stage *cm, const struct cuda_state *s, const struct backend_item *it, struct error *e);
int cuda_stage_choose(struct cuda_stage *cm, const struct cuda_state *s, const int32_t *ids, size_t n_ids,
                      float temperature, float top_p, double u, size_t *index, float *logprob,
                      struct error *e); /* struct backend's choose, on the last stage */

int cuda_weights_open(struct cuda_stage *cm, struct error *e);
void cuda_weights_close(struct cuda_stage *cm);

int cuda_pool_open(struct cuda_stage *cm, uint32_t positions, struct error *e);
void cuda_pool_close(struct cuda_stage *cm);
int cuda_state_open(struct cuda_state **state, struct cuda_stage *cm, uint32_t max_tokens, struct error *e);
int cuda_state_fork(struct cuda_state **out, struct cuda_stage *cm, const struct cuda_state *from, struct error *e);
void cuda_state_close(struct cuda_stage *cm, struct cuda_state *s);
int cuda_state_extend(struct cuda_stage *cm, struct cuda_state *s, size_t n_more,
                      struct error *e); /* pages for n_more tokens */
uint64_t cuda_session_bytes(const struct cuda_model *cm, uint32_t n_tokens);
/* put: out to a file; get: from it. The bytes do not depend on the stages. */
int cuda_session_move(struct cuda_model *cm, struct cuda_session *s, uint32_t n_tokens,
                      int (*put)(void *, const void *, size_t), int (*get)(void *, void *, size_t, uint64_t), void *ctx,
                      struct error *e);

#endif
