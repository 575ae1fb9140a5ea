/* shape.c: see shape.h. Geometry: jamba-spec, the published config.json of each line. */
#include "engine/jamba/shape.h"
#include "engine/jamba/weights.h"
#ifdef ANTINOMY_CUDA
#include "engine/jamba/cuda_backend.h"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
    const char *name;
    struct jamba_config c;
    uint32_t attn_period, attn_offset, expert_period, expert_offset;
};
static const struct shape shapes[] = {
    {"mini",
     {.n_layer = 32,
      .d_model = 4096,
      .d_ff = 14336,
      .n_vocab = 65536,
      .n_head = 32,
      .n_kv_head = 8,
      .head_dim = 128,
      .d_inner = 8192,
      .d_state = 16,
      .d_conv = 4,
      .dt_rank = 256,
      .n_expert = 16,
      .n_expert_used = 2,
      .context_length = 262144,
      .rms_norm_eps = 1e-6f},
     8,
     4,
     2,
     1},
    {"large",
     {.n_layer = 72,
      .d_model = 8192,
      .d_ff = 24576,
      .n_vocab = 65536,
      .n_head = 64,
      .n_kv_head = 8,
      .head_dim = 128,
      .d_inner = 16384,
      .d_state = 16,
      .d_conv = 4,
      .dt_rank = 512,
      .n_expert = 16,
      .n_expert_used = 2,
      .context_length = 262144,
      .rms_norm_eps = 1e-6f},
     8,
     4,
     2,
     1},
    {"3b",
     {.n_layer = 28,
      .d_model = 2560,
      .d_ff = 8192,
      .n_vocab = 65536,
      .n_head = 20,
      .n_kv_head = 1,
      .head_dim = 128,
      .d_inner = 5120,
      .d_state = 16,
      .d_conv = 4,
      .dt_rank = 160,
      .n_expert = 1,
      .n_expert_used = 1,
      .context_length = 262144,
      .rms_norm_eps = 1e-6f,
      .tied_embeddings = true},
     14,
     7,
     0,
     0},
    {"bundled",
     {.n_layer = 30,
      .d_model = 576,
      .d_ff = 1536,
      .n_vocab = 49152,
      .n_head = 9,
      .n_kv_head = 3,
      .head_dim = 64,
      .d_inner = 1152,
      .d_state = 16,
      .d_conv = 4,
      .dt_rank = 32,
      .n_expert = 1,
      .n_expert_used = 1,
      .context_length = 262144,
      .rms_norm_eps = 1e-5f,
      .tied_embeddings = true},
     3,
     1,
     0,
     0},
    {"tiny",
     {.n_layer = 8,
      .d_model = 256,
      .d_ff = 512,
      .n_vocab = 1024,
      .n_head = 4,
      .n_kv_head = 2,
      .head_dim = 64,
      .d_inner = 512,
      .d_state = 16,
      .d_conv = 4,
      .dt_rank = 16,
      .n_expert = 4,
      .n_expert_used = 2,
      .context_length = 16384,
      .rms_norm_eps = 1e-6f},
     4,
     2,
     2,
     1},
};

static int find_shape(const struct shape **out, const char *name, struct error *e) {
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        *out = &shapes[i];
        if (strcmp(shapes[i].name, name) == 0) return 0;
    }
    return error_set(e, ERR_ARG, name, "There is no shape of this name; mini, large, 3b, bundled and tiny can be.");
}

int jamba_shape_parameters(const char *shape, uint64_t *n, struct error *e) {
    const struct shape *s;
    int rc = find_shape(&s, shape, e);
    if (rc) return rc;
    struct jamba_config c = s->c;
    uint32_t n_moe = 0;
    for (uint32_t i = 0; i < c.n_layer; i++) {
        c.n_attention_layer += i % s->attn_period == s->attn_offset;
        n_moe += c.n_expert > 1 && i % s->expert_period == s->expert_offset;
    }
    *n = config_parameters(&c, n_moe);
    return 0;
}

#ifdef ANTINOMY_CUDA
static const struct tensor *dummy(struct arena *a, const char *name, uint64_t ne0, uint64_t ne1, uint64_t ne2) {
    struct tensor *t = arena_alloc(a, sizeof *t);
    if (!t) return NULL;
    *t = (struct tensor){.name = name,
                         .type = TENSOR_F32,
                         .n_dims = ne2 > 1   ? 3
                                   : ne1 > 1 ? 2
                                             : 1,
                         .ne = {ne0, ne1, ne2, 1}};
    return t;
}
#endif

/* A model of the shape without weights and without a backend. */
static int build(struct jamba_model **out, const char *shape, const struct jamba_model_options *o, struct error *e) {
    const struct shape *s;
    *out = NULL;
    int found = find_shape(&s, shape, e);
    if (found) return found;
    if (!o || !o->device || strncmp(o->device, "cuda", 4) != 0)
        return error_set(e, ERR_UNSUPPORTED, shape,
                         "Weights of noise are made on a GPU: open the shape with device cuda.");
#ifndef ANTINOMY_CUDA
    return error_set(e, ERR_UNSUPPORTED, o->device, "This program was built without CUDA.");
#else
    struct jamba_model *m = calloc(1, sizeof *m);
    if (!m || pthread_mutex_init(&m->lock, NULL)) {
        free(m);
        return error_set(e, ERR_NOMEM, "", "Out of memory.");
    }
    struct arena *a = &m->arena;
    m->config = s->c;
    struct jamba_config *c = &m->config;
    c->bos = 1, c->pad = 0, c->eos[0] = 2, c->eos[1] = c->eos[2] = c->eos[3] = -1;
    m->name = strdup(shape);
    m->card = strdup("");
    m->backend = &backend_cuda;
    struct jamba_weights *w = &m->weights;
    w->layers = arena_array(a, c->n_layer, sizeof *w->layers);
    w->token_embd = dummy(a, "token_embd.weight", c->d_model, c->n_vocab, 1);
    w->output = c->tied_embeddings ? w->token_embd : dummy(a, "output.weight", c->d_model, c->n_vocab, 1);
    w->output_norm = dummy(a, "output_norm.weight", c->d_model, 1, 1);
    bool whole = m->name && m->card && w->layers && w->token_embd && w->output && w->output_norm;
    uint32_t n_attention = 0, n_mamba = 0;
    const uint64_t q = (uint64_t)c->n_head * c->head_dim, kv = (uint64_t)c->n_kv_head * c->head_dim, H = c->d_model,
                   D = c->d_inner, I = c->d_ff;
    for (uint32_t i = 0; whole && i < c->n_layer; i++) {
        struct jamba_layer *l = &w->layers[i];
        l->is_attention = i % s->attn_period == s->attn_offset;
        l->is_moe = c->n_expert > 1 && i % s->expert_period == s->expert_offset;
        whole &= (l->attn_norm = dummy(a, "attn_norm", H, 1, 1)) && (l->ffn_norm = dummy(a, "ffn_norm", H, 1, 1));
        if (l->is_attention) {
            l->attention_index = n_attention++;
            whole &= (l->q = dummy(a, "attn_q", H, q, 1)) && (l->k = dummy(a, "attn_k", H, kv, 1)) &&
                     (l->v = dummy(a, "attn_v", H, kv, 1)) && (l->o = dummy(a, "attn_out", q, H, 1));
        } else {
            l->mamba_index = n_mamba++;
            whole &= (l->ssm_in = dummy(a, "ssm_in", H, 2 * D, 1)) &&
                     (l->ssm_conv1d = dummy(a, "ssm_conv1d", c->d_conv, D, 1)) &&
                     (l->ssm_conv1d_bias = dummy(a, "ssm_conv1d.bias", D, 1, 1)) &&
                     (l->ssm_x = dummy(a, "ssm_x", D, c->dt_rank + 2 * c->d_state, 1)) &&
                     (l->ssm_dt = dummy(a, "ssm_dt", c->dt_rank, D, 1)) &&
                     (l->ssm_dt_bias = dummy(a, "ssm_dt.bias", D, 1, 1)) &&
                     (l->ssm_dt_norm = dummy(a, "ssm_dt_norm", c->dt_rank, 1, 1)) &&
                     (l->ssm_b_norm = dummy(a, "ssm_b_norm", c->d_state, 1, 1)) &&
                     (l->ssm_c_norm = dummy(a, "ssm_c_norm", c->d_state, 1, 1)) &&
                     (l->ssm_a = dummy(a, "ssm_a", c->d_state, D, 1)) && (l->ssm_d = dummy(a, "ssm_d", D, 1, 1)) &&
                     (l->ssm_out = dummy(a, "ssm_out", D, H, 1));
        }
        if (l->is_moe)
            whole &= (l->ffn_router = dummy(a, "ffn_router", H, c->n_expert, 1)) &&
                     (l->ffn_gate_exps = dummy(a, "ffn_gate_exps", H, I, c->n_expert)) &&
                     (l->ffn_up_exps = dummy(a, "ffn_up_exps", H, I, c->n_expert)) &&
                     (l->ffn_down_exps = dummy(a, "ffn_down_exps", I, H, c->n_expert));
        else
            whole &= (l->ffn_gate = dummy(a, "ffn_gate", H, I, 1)) && (l->ffn_up = dummy(a, "ffn_up", H, I, 1)) &&
                     (l->ffn_down = dummy(a, "ffn_down", I, H, 1));
    }
    c->n_attention_layer = n_attention;
    int rc = whole ? 0 : error_set(e, ERR_NOMEM, "", "Out of memory.");
    if (rc)
        jamba_model_close(m);
    else
        *out = m;
    return rc;
#endif
}

int jamba_model_open_shape(struct jamba_model **out, const char *shape, const struct jamba_model_options *o,
                           struct error *e) {
    struct jamba_model *m = NULL;
    *out = NULL;
    int rc = build(&m, shape, o, e);
    if (!rc) rc = m->backend->open(&m->backend_ctx, m, o, e);
    if (rc)
        jamba_model_close(m);
    else
        *out = m;
    return rc;
}

int jamba_shape_plan(const char *shape, const struct jamba_model_options *o, void (*line)(void *ctx, const char *text),
                     void *ctx, struct error *e) {
    struct jamba_model *m = NULL;
    int rc = build(&m, shape, o, e);
#ifdef ANTINOMY_CUDA
    struct cuda_plan plan[CUDA_MAX_STAGES];
    int n = 0;
    if (!rc) rc = cuda_plan_make(plan, &n, m, o, e);
    for (int k = 0; !rc && k < n; k++) {
        const struct cuda_plan *p = &plan[k];
        const double g = 1 << 30;
        char text[400];
        snprintf(text, sizeof text,
                 "device %d, layers %u to %u: %.3f GiB of weights, %.3f for %u tokens of context, %.3f of scratch, "
                 "%.3f to work in (%u rows a pass): %.3f in all, of "
                 "%.3f free; %u tokens of context would fit",
                 p->device, p->first, p->end - 1, (double)p->weights / g, (double)p->kv / g, p->positions,
                 (double)p->scratch / g, (double)p->workspace / g, p->chunk_rows, (double)p->total / g,
                 (double)p->free / g, p->max_positions);
        line(ctx, text);
    }
#else
    (void)line, (void)ctx;
#endif
    jamba_model_close(m);
    return rc;
}
