/* cpu.c: the CPU backend: repacks the weights for the device's path and walks the layers for all rows of a call. The
 * forward pass is jamba-spec's: pre-norm; mixer = Mamba-1 with norms on dt, B and C, or attention without positions;
 * FFN = SwiGLU or top-k experts whose weights are not renormalised. The residual stream and all states are f32.
 * Arithmetic is in kernels/. */
#include "engine/jamba/cpu.h"
#include "engine/jamba/weights.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Outputs of the head computed at a time where several rows want all of them: [256, 2048] f32 is 2 MB. */
#define LOGITS_PIECE ((size_t)2048)

struct jamba_trace jamba_trace;

static void source_row_to_f32(int type, const void *row, float *out, uint64_t n) {
    tensor_row_to_f32((enum tensor_type)type, row, out, n);
}

static struct kernel_source source_of(const struct tensor *t, size_t expert) {
    uint64_t row_bytes = tensor_row_bytes(t->type, t->ne[0]);
    return (struct kernel_source){.type = (int)t->type,
                                  .data = tensor_matrix(t, expert),
                                  .n_out = t->ne[1],
                                  .n_in = t->ne[0],
                                  .row_bytes = row_bytes,
                                  .row_to_f32 = source_row_to_f32};
}

/* ---- open and close ---- */
/* A matrix that was packed is not read from the file again: its pages go back to the system, so that a model does not
 * count twice. (The embedding is looked up there; its pages come back as they are touched.) */
static void drop_mapped(struct jamba_model *m, const char *data, uint64_t bytes) {
    for (size_t i = 0; i < m->n_maps; i++) {
        const char *base = (const char *)m->maps[i].base;
        if (data < base || data + bytes > base + m->maps[i].len) continue;
        size_t first = ((size_t)(data - base) + 4095) & ~(size_t)4095,
               end = ((size_t)(data - base) + bytes) & ~(size_t)4095;
        if (first < end && madvise((void *)(uintptr_t)(base + first), end - first, MADV_DONTNEED) == 0)
            m->given_back += end - first; /* read-only map: nothing is lost */
    }
}

static int open_matrix(struct cpu_model *cm, struct kernel_matrix *out, const struct tensor *t, size_t expert,
                       struct error *e) {
    if (!t) return 0;
    struct kernel_source s = source_of(t, expert);
    const struct quantized_matrix *q = quantized_find(&cm->quantized, t, expert);
    if (q) {
        drop_mapped(cm->m, s.data, s.n_out * s.row_bytes);
        s.type = (int)q->to;
        s.data = cm->quantized.base + q->offset;
        s.row_bytes = tensor_row_bytes(q->to, s.n_in);
    }
    int rc = kernel_matrix_open(out, cm->dev, &s, e);
    if (!rc) cm->bytes += out->bytes;
    if (!rc && out->packed && q) cm->bytes -= quantized_drop(&cm->quantized, q);
    if (!rc && out->packed && !q) drop_mapped(cm->m, s.data, s.n_out * s.row_bytes);
    return rc;
}

/* Blocks of what is not quantised yet, where the option asks for them; what there is to say about the cache is told. */
static int open_quantized(struct cpu_model *cm, const struct jamba_model_options *o, struct error *e) {
    enum quantize_form form;
    char file[4096] = "";
    struct error why;
    int rc = quantize_form_of(o->quantize, &form, e);
    if (rc || form == QUANTIZE_NONE) return rc;
    if (!o->random_weights) quantize_cache_file(cm->m, form, file, sizeof file);
    rc = quantized_open(&cm->quantized, cm->m, form, kernel_device_threads(cm->dev), file, &why, e);
    if (rc) return rc;
    cm->bytes += cm->quantized.len;
    if (cm->quantized.n_matrices)
        snprintf(cm->path, sizeof cm->path, "%s+%s", kernel_device_path(cm->dev), quantize_form_name(form));
    if (o->note && why.code) {
        char text[sizeof why.message + sizeof why.where + 4];
        snprintf(text, sizeof text, "%s (%s)", why.message, why.where);
        o->note(o->note_ctx, text);
    }
    if (o->note && !cm->quantized.n_matrices)
        o->note(o->note_ctx, "There is nothing to quantise in this model: its matrices stay as they are.");
    return 0;
}

/* The file has a channel's values together; the kernels want channels side by side. */
static float *transposed(struct cpu_model *cm, const struct tensor *t) {
    size_t n = t->ne[0], rows = t->ne[1];
    const float *from = t->data;
    float *out = kernel_alloc(n * rows * sizeof(float));
    if (!out) return NULL;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++) out[i * rows + r] = from[r * n + i];
    cm->bytes += n * rows * sizeof(float);
    return out;
}

static int open_layer(struct cpu_model *cm, struct cpu_layer *out, const struct jamba_layer *l, struct error *e) {
    int rc = 0;
    const struct {
        struct kernel_matrix *to;
        const struct tensor *from;
    } all[] = {
        {&out->q, l->q},           {&out->k, l->k},         {&out->v, l->v},           {&out->o, l->o},
        {&out->ssm_in, l->ssm_in}, {&out->ssm_x, l->ssm_x}, {&out->ssm_dt, l->ssm_dt}, {&out->ssm_out, l->ssm_out},
        {&out->gate, l->ffn_gate}, {&out->up, l->ffn_up},   {&out->down, l->ffn_down}, {&out->router, l->ffn_router}};
    for (size_t i = 0; !rc && i < sizeof all / sizeof all[0]; i++) rc = open_matrix(cm, all[i].to, all[i].from, 0, e);
    if (!rc && !l->is_attention) {
        out->conv1d = transposed(cm, l->ssm_conv1d);
        out->a = transposed(cm, l->ssm_a);
        if (!out->conv1d || !out->a) rc = error_set(e, ERR_NOMEM, "", "There is no memory for the model's weights.");
    }
    if (!rc && l->is_moe) {
        size_t n = cm->m->config.n_expert;
        out->experts = calloc(3 * n, sizeof out->experts[0]);
        if (!out->experts) return error_set(e, ERR_NOMEM, "", "There is no memory for the model's experts.");
        for (size_t i = 0; !rc && i < n; i++) {
            rc = open_matrix(cm, &out->experts[3 * i], l->ffn_gate_exps, i, e);
            if (!rc) rc = open_matrix(cm, &out->experts[3 * i + 1], l->ffn_up_exps, i, e);
            if (!rc) rc = open_matrix(cm, &out->experts[3 * i + 2], l->ffn_down_exps, i, e);
        }
    }
    return rc;
}

static size_t max2(size_t a, size_t b) {
    return a > b ? a : b;
}

static int open_scratch(struct cpu_model *cm, struct error *e) {
    const struct jamba_config *c = &cm->m->config;
    size_t rows = CPU_MAX_ROWS, q = (size_t)c->n_head * c->head_dim, kv = (size_t)c->n_kv_head * c->head_dim;
    if (!c->n_attention_layer) q = kv = 0;
    cm->wide_ld = max2(max2(2 * (size_t)c->d_inner, q + 2 * kv), 2 * (size_t)c->d_ff);
    cm->u_ld = max2(c->d_inner, c->d_ff);
    cm->h_ld = max2(c->d_model, q);
    cm->dbc_ld = c->dt_rank + 2 * (size_t)c->d_state;
    size_t experts = max2(c->n_expert, 1), used = max2(c->n_expert_used, 1);
    const struct {
        void **p;
        size_t bytes;
    } all[] = {{(void **)&cm->x, rows * c->d_model * 4},
               {(void **)&cm->h, rows * cm->h_ld * 4},
               {(void **)&cm->wide, rows * cm->wide_ld * 4},
               {(void **)&cm->u, rows * cm->u_ld * 4},
               {(void **)&cm->dt, rows * c->d_inner * 4},
               {(void **)&cm->dbc, rows * cm->dbc_ld * 4},
               {(void **)&cm->logits, rows * LOGITS_PIECE * 4},
               {(void **)&cm->max, rows * 4},
               {(void **)&cm->sum, rows * 8},
               {(void **)&cm->target, rows * 4},
               {(void **)&cm->router_logits, rows * experts * 4},
               {(void **)&cm->router_weight, rows * used * 4},
               {(void **)&cm->router_expert, rows * used * 4},
               {(void **)&cm->expert_in, experts > 1 ? rows * c->d_model * 4 : 4},
               {(void **)&cm->expert_out, experts > 1 ? rows * c->d_model * 4 : 4},
               {(void **)&cm->expert_weight, rows * 4},
               {(void **)&cm->expert_rows, rows * 4}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!(*all[i].p = kernel_alloc(all[i].bytes)))
            return error_set(e, ERR_NOMEM, "", "There is no memory for the engine's scratch.");
    int rc = kernel_rows_open(&cm->rows, rows, max2(max2(cm->u_ld, cm->h_ld), c->dt_rank), e);
    if (!rc && c->n_attention_layer)
        rc = kernel_attention_reserve(cm->dev, c->n_head, c->head_dim, 4, c->context_length, e);
    return rc;
}

static void cpu_close(void *ctx) {
    struct cpu_model *cm = ctx;
    if (!cm) return;
    for (size_t i = 0; cm->layers && i < cm->m->config.n_layer; i++) {
        struct cpu_layer *l = &cm->layers[i];
        struct kernel_matrix *all[] = {&l->q,      &l->k,       &l->v,    &l->o,  &l->ssm_in, &l->ssm_x,
                                       &l->ssm_dt, &l->ssm_out, &l->gate, &l->up, &l->down,   &l->router};
        for (size_t j = 0; j < sizeof all / sizeof all[0]; j++) kernel_matrix_close(all[j]);
        for (size_t j = 0; l->experts && j < 3 * (size_t)cm->m->config.n_expert; j++)
            kernel_matrix_close(&l->experts[j]);
        free(l->experts);
        kernel_free(l->conv1d);
        kernel_free(l->a);
    }
    free(cm->layers);
    kernel_matrix_close(&cm->head);
    kernel_rows_close(&cm->rows);
    void *all[] = {cm->x,
                   cm->h,
                   cm->wide,
                   cm->u,
                   cm->dt,
                   cm->dbc,
                   cm->logits,
                   cm->max,
                   cm->sum,
                   cm->target,
                   cm->router_logits,
                   cm->router_weight,
                   cm->router_expert,
                   cm->expert_in,
                   cm->expert_out,
                   cm->expert_weight,
                   cm->expert_rows};
    for (size_t j = 0; j < sizeof all / sizeof all[0]; j++) kernel_free(all[j]);
    quantized_close(&cm->quantized);
    kv_pool_close(&cm->pool);
    kernel_device_close(cm->dev);
    free(cm);
}

static int cpu_open(void **ctx, struct jamba_model *m, const struct jamba_model_options *o, struct error *e) {
    const struct jamba_config *c = &m->config;
    *ctx = NULL;
    struct cpu_model *cm = calloc(1, sizeof *cm);
    if (!cm) return error_set(e, ERR_NOMEM, "", "There is no memory for the model.");
    cm->m = m;
    kv_pool_init(&cm->pool);
    cm->pool.budget = o->session_bytes;
    cm->layers = calloc(c->n_layer, sizeof cm->layers[0]);
    int rc = cm->layers ? kernel_device_open(&cm->dev, o->path, o->n_threads, e)
                        : error_set(e, ERR_NOMEM, "", "There is no memory for the model.");
    if (!rc && c->n_attention_layer) {
        cm->layer_kv_bytes = kernel_kv_page_bytes(cm->dev, c->n_kv_head, c->head_dim);
        cm->pool.page_bytes = (cm->layer_kv_bytes * c->n_attention_layer + 4095) & ~(size_t)4095;
    }
    cm->embedding = source_of(m->weights.token_embd, 0);
    if (!rc) snprintf(cm->path, sizeof cm->path, "%s", kernel_device_path(cm->dev));
    if (!rc) rc = open_quantized(cm, o, e);
    if (!rc) rc = open_matrix(cm, &cm->head, m->weights.output, 0, e);
    for (size_t i = 0; !rc && i < c->n_layer; i++) rc = open_layer(cm, &cm->layers[i], &m->weights.layers[i], e);
    if (!rc) rc = open_scratch(cm, e);
    if (rc)
        cpu_close(cm);
    else
        *ctx = cm;
    return rc;
}

static const char *cpu_path(void *ctx) {
    return ((struct cpu_model *)ctx)->path;
}
static uint64_t cpu_bytes(void *ctx) {
    return ((struct cpu_model *)ctx)->bytes;
}

/* ---- the layers ---- */
/* One call's rows: item i has rows first[i] .. first[i] + n_tokens - 1. */
struct forward {
    struct cpu_model *cm;
    struct backend_item *items;
    size_t n_items, n_rows;
    size_t first[CPU_MAX_ROWS];
    union {
        struct kernel_mamba_item mamba[CPU_MAX_ROWS];
        struct kernel_attention_item attention[CPU_MAX_ROWS];
    } of;
};

static void linear(struct forward *f, const float *x, size_t ldx, const struct kernel_matrix *w, float *y, size_t ldy,
                   bool add) {
    struct cpu_model *cm = f->cm;
    kernel_rows_prepare(cm->dev, &cm->rows, x, ldx, f->n_rows, w->source.n_in, w->int8);
    kernel_linear(cm->dev, &cm->rows, &(struct kernel_output){.w = w, .y = y, .ldy = ldy, .add = add}, 1);
}

static void norm(struct forward *f, const float *x, size_t ldx, const struct tensor *weight, float *y, size_t ldy) {
    kernel_rms_norm(f->cm->dev, x, ldx, weight->data, y, ldy, f->n_rows, weight->ne[0], f->cm->m->config.rms_norm_eps);
}

static void mamba_mixer(struct forward *f, size_t index) {
    struct cpu_model *cm = f->cm;
    const struct jamba_config *c = &cm->m->config;
    const struct jamba_layer *w = &cm->m->weights.layers[index];
    const struct cpu_layer *l = &cm->layers[index];
    size_t D = c->d_inner, N = c->d_state, R = c->dt_rank;
    for (size_t i = 0; i < f->n_items; i++) {
        struct cpu_state *s = f->items[i].state;
#ifdef MUTANT_LOSE_STATE_AT_CHUNK
        if (s->n_tokens) memset(s->conv + w->mamba_index * cpu_conv_floats(c), 0, cpu_conv_floats(c) * sizeof(float));
#endif
        f->of.mamba[i] =
            (struct kernel_mamba_item){f->first[i], f->items[i].n_tokens, s->conv + w->mamba_index * cpu_conv_floats(c),
                                       s->ssm + w->mamba_index * cpu_ssm_floats(c)};
    }
    linear(f, cm->h, cm->h_ld, &l->ssm_in, cm->wide, 2 * D, false); /* [n_rows, 2 d_inner]: x then z */
    struct kernel_conv1d conv = {D, c->d_conv, l->conv1d, w->ssm_conv1d_bias->data, cm->wide, 2 * D, cm->u, D};
    kernel_conv1d_silu(cm->dev, &conv, f->of.mamba, f->n_items);
    linear(f, cm->u, D, &l->ssm_x, cm->dbc, cm->dbc_ld, false); /* [n_rows, dt_rank + 2 d_state] */
#ifndef MUTANT_NO_DT_NORM
    norm(f, cm->dbc, cm->dbc_ld, w->ssm_dt_norm, cm->dbc, cm->dbc_ld);
#endif
    norm(f, cm->dbc + R, cm->dbc_ld, w->ssm_b_norm, cm->dbc + R, cm->dbc_ld);
    norm(f, cm->dbc + R + N, cm->dbc_ld, w->ssm_c_norm, cm->dbc + R + N, cm->dbc_ld);
    linear(f, cm->dbc, cm->dbc_ld, &l->ssm_dt, cm->dt, D, false);
    struct kernel_scan scan = {.d_inner = D,
                               .d_state = N,
                               .a = l->a,
                               .d = w->ssm_d->data,
                               .dt_bias = w->ssm_dt_bias->data,
                               .u = cm->u,
                               .ldu = D,
                               .dt = cm->dt,
                               .lddt = D,
                               .b = cm->dbc + R,
                               .c = cm->dbc + R + N,
                               .ldbc = cm->dbc_ld,
                               .z = cm->wide + D,
                               .ldz = 2 * D,
                               .y = cm->u,
                               .ldy = D};
#ifdef MUTANT_SWAP_BC
    const float *b = scan.b;
    scan.b = scan.c, scan.c = b;
#endif
    kernel_selective_scan(cm->dev, &scan, f->of.mamba, f->n_items);
    linear(f, cm->u, D, &l->ssm_out, cm->x, c->d_model, true);
}

#ifdef MUTANT_ROPE
static void mutant_rope(struct forward *f, float *rows, size_t ld, size_t n_head, size_t hd) {
    for (size_t i = 0; i < f->n_items; i++)
        for (size_t t = 0; t < f->items[i].n_tokens; t++)
            for (size_t h = 0; h < n_head; h++)
                for (size_t d = 0; d < hd / 2; d++) {
                    float *v = rows + (f->first[i] + t) * ld + h * hd + d;
                    float angle = (float)(((struct cpu_state *)f->items[i].state)->n_tokens + t) *
                                  powf(10000, -2.0f * (float)d / (float)hd);
                    float a = v[0], b = v[hd / 2];
                    v[0] = a * cosf(angle) - b * sinf(angle);
                    v[hd / 2] = a * sinf(angle) + b * cosf(angle);
                }
}
#endif

static void attention_mixer(struct forward *f, size_t index) {
    struct cpu_model *cm = f->cm;
    const struct jamba_config *c = &cm->m->config;
    const struct cpu_layer *l = &cm->layers[index];
    size_t q = (size_t)c->n_head * c->head_dim, kv = (size_t)c->n_kv_head * c->head_dim, ld = q + 2 * kv;
    kernel_rows_prepare(cm->dev, &cm->rows, cm->h, cm->h_ld, f->n_rows, c->d_model,
                        l->q.int8 || l->k.int8 || l->v.int8);
    struct kernel_output qkv[3] = {{.w = &l->q, .y = cm->wide, .ldy = ld},
                                   {.w = &l->k, .y = cm->wide + q, .ldy = ld},
                                   {.w = &l->v, .y = cm->wide + q + kv, .ldy = ld}};
    kernel_linear(cm->dev, &cm->rows, qkv, 3);
#ifdef MUTANT_ROPE
    mutant_rope(f, cm->wide, ld, c->n_head, c->head_dim);
    mutant_rope(f, cm->wide + q, ld, c->n_kv_head, c->head_dim);
#endif
    for (size_t i = 0; i < f->n_items; i++) {
        struct cpu_state *s = f->items[i].state;
        f->of.attention[i] =
            (struct kernel_attention_item){f->first[i], f->items[i].n_tokens, s->n_tokens, s->page_data};
    }
    struct kernel_attention a = {.n_head = c->n_head,
                                 .n_kv_head = c->n_kv_head,
                                 .head_dim = c->head_dim,
                                 .scale = 1.0f / sqrtf((float)c->head_dim),
                                 .page_offset = cm->m->weights.layers[index].attention_index * cm->layer_kv_bytes,
                                 .q = cm->wide,
                                 .k = cm->wide + q,
                                 .v = cm->wide + q + kv,
                                 .ldq = ld,
                                 .ldk = ld,
                                 .ldv = ld,
                                 .out = cm->h,
                                 .ldout = cm->h_ld};
    kernel_kv_append(cm->dev, &a, f->of.attention, f->n_items);
    kernel_attention(cm->dev, &a, f->of.attention, f->n_items);
    linear(f, cm->h, cm->h_ld, &l->o, cm->x, c->d_model, true);
}

/* y (+)= W_down (silu(W_gate x) * (W_up x)) for n_rows rows. */
static void swiglu(struct cpu_model *cm, const float *x, size_t ldx, size_t n_rows, const struct kernel_matrix *gate,
                   const struct kernel_matrix *up, const struct kernel_matrix *down, float *y, size_t ldy, bool add) {
    size_t F = cm->m->config.d_ff;
    kernel_rows_prepare(cm->dev, &cm->rows, x, ldx, n_rows, cm->m->config.d_model, gate->int8 || up->int8);
    struct kernel_output both[2] = {{.w = gate, .y = cm->wide, .ldy = 2 * F},
                                    {.w = up, .y = cm->wide + F, .ldy = 2 * F}};
    kernel_linear(cm->dev, &cm->rows, both, 2);
    kernel_swiglu(cm->dev, cm->wide, cm->wide + F, 2 * F, cm->u, F, n_rows, F);
    kernel_rows_prepare(cm->dev, &cm->rows, cm->u, F, n_rows, F, down->int8);
    kernel_linear(cm->dev, &cm->rows, &(struct kernel_output){.w = down, .y = y, .ldy = ldy, .add = add}, 1);
}

/* Experts in ascending order, each over the rows that chose it; a row adds its experts' outputs in that order whatever
 * its neighbours do. */
static void moe(struct forward *f, size_t index) {
    struct cpu_model *cm = f->cm;
    const struct jamba_config *c = &cm->m->config;
    const struct cpu_layer *l = &cm->layers[index];
    size_t used = c->n_expert_used;
    linear(f, cm->h, cm->h_ld, &l->router, cm->router_logits, c->n_expert, false);
    kernel_router_top_k(cm->router_logits, c->n_expert, f->n_rows, c->n_expert, used, cm->router_expert,
                        cm->router_weight);
    for (size_t expert = 0; expert < c->n_expert; expert++) {
        size_t n = 0;
        for (size_t i = 0; i < f->n_rows * used; i++)
            if (cm->router_expert[i] == (int32_t)expert) {
                cm->expert_rows[n] = (int32_t)(i / used);
                cm->expert_weight[n++] = cm->router_weight[i];
            }
        if (!n) continue;
        const struct kernel_matrix *w = &l->experts[3 * expert];
        kernel_gather_rows(cm->dev, cm->h, cm->h_ld, cm->expert_rows, n, c->d_model, cm->expert_in, c->d_model);
        swiglu(cm, cm->expert_in, c->d_model, n, &w[0], &w[1], &w[2], cm->expert_out, c->d_model, false);
        kernel_scatter_add(cm->dev, cm->expert_out, c->d_model, cm->expert_rows, cm->expert_weight, n, c->d_model,
                           cm->x, c->d_model);
    }
}

/* ---- the head ---- */
/* Logits of all outputs for n_rows normed rows x, piece by piece, handed to `take`. */
static void head_pieces(struct cpu_model *cm, const float *x, size_t ldx, size_t n_rows,
                        void (*take)(void *ctx, size_t first, size_t count), void *ctx) {
    size_t V = cm->m->config.n_vocab;
    kernel_rows_prepare(cm->dev, &cm->rows, x, ldx, n_rows, cm->m->config.d_model, cm->head.int8);
    for (size_t first = 0; first < V; first += LOGITS_PIECE) {
        size_t count = V - first < LOGITS_PIECE ? V - first : LOGITS_PIECE;
        struct kernel_output o = {.w = &cm->head, .y = cm->logits, .ldy = LOGITS_PIECE, .first = first, .count = count};
        kernel_linear(cm->dev, &cm->rows, &o, 1);
        take(ctx, first, count);
    }
}

struct scatter_logits {
    struct cpu_model *cm;
    float **out;
    size_t n_rows;
};
static void scatter_piece(void *ctx, size_t first, size_t count) {
    struct scatter_logits *s = ctx;
    for (size_t i = 0; i < s->n_rows; i++)
        memcpy(s->out[i] + first, s->cm->logits + i * LOGITS_PIECE, count * sizeof(float));
}

/* What the items want of their last rows; `last` holds the row of item i at i * d_model. */
static void want_last(struct cpu_model *cm, const struct backend_item *items, size_t n_items, float *last,
                      float **out) {
    const struct jamba_config *c = &cm->m->config;
    size_t n_full = 0;
    for (size_t i = 0; i < n_items; i++) {
        const struct backend_item *it = &items[i];
        const float *row = last + i * c->d_model;
        if (it->want == JAMBA_WANT_HIDDEN) memcpy(it->out, row, c->d_model * sizeof(float));
        if (it->want == JAMBA_WANT_LOGITS && it->rows) {
            kernel_rows_prepare(cm->dev, &cm->rows, row, c->d_model, 1, c->d_model, cm->head.int8);
            kernel_linear_picked(cm->dev, &cm->rows, 0, &cm->head, it->rows, it->n_rows, it->out);
        }
        if (it->want == JAMBA_WANT_LOGITS && !it->rows) {
            out[n_full] = it->out;
            if (n_full < i)
                memcpy(last + n_full * c->d_model, row, c->d_model * sizeof(float)); /* full ones move to the front */
            n_full++;
        }
    }
    if (n_full) head_pieces(cm, last, c->d_model, n_full, scatter_piece, &(struct scatter_logits){cm, out, n_full});
}

struct logprobs {
    struct cpu_model *cm;
    const int32_t *tokens;
    size_t n;
};
static void logprobs_piece(void *ctx, size_t first, size_t count) {
    struct logprobs *p = ctx;
    struct cpu_model *cm = p->cm;
    kernel_log_sum_exp(cm->dev, cm->logits, LOGITS_PIECE, p->n, count, cm->max, cm->sum);
    for (size_t i = 0; i < p->n; i++) {
        size_t token = (size_t)p->tokens[i];
        if (token >= first && token < first + count) cm->target[i] = cm->logits[i * LOGITS_PIECE + token - first];
    }
}
/* Log-probability of each of an item's tokens: the first from the row before the call, the others from the rows before
 * them. `normed`: the item's final-norm rows; `before`: the last row of what was read earlier. */
static void want_logprobs(struct cpu_model *cm, const struct backend_item *it, const float *normed,
                          const float *before) {
    size_t H = cm->m->config.d_model, n = it->n_tokens;
    float *x = cm->wide; /* free now; [n, d_model] */
    memcpy(x, before, H * sizeof(float));
    for (size_t i = 1; i < n; i++) memcpy(x + i * H, normed + (i - 1) * H, H * sizeof(float));
    for (size_t i = 0; i < n; i++) cm->max[i] = -INFINITY, cm->sum[i] = 0;
    head_pieces(cm, x, H, n, logprobs_piece, &(struct logprobs){cm, it->tokens, n});
    for (size_t i = 0; i < n; i++) it->out[i] = (float)((double)cm->target[i] - (double)cm->max[i] - log(cm->sum[i]));
}

static int cpu_forward(void *ctx, struct backend_item *items, size_t n_items, struct error *e) {
    struct cpu_model *cm = ctx;
    const struct jamba_config *c = &cm->m->config;
    struct forward f = {.cm = cm, .items = items, .n_items = n_items};
    (void)e; /* nothing can fail: sessions reserve their memory when they are opened */
    for (size_t i = 0; i < n_items; i++) {
        f.first[i] = f.n_rows;
        f.n_rows += items[i].n_tokens;
        assert(items[i].n_tokens > 0 && f.n_rows <= CPU_MAX_ROWS);
        cpu_state_extend(cm, items[i].state, items[i].n_tokens);
        kernel_embedding(cm->dev, &cm->embedding, items[i].tokens, items[i].n_tokens, cm->x + f.first[i] * c->d_model,
                         c->d_model);
    }
    if (jamba_trace.layer) jamba_trace.layer(jamba_trace.ctx, -1, cm->x, f.n_rows);
    for (size_t i = 0; i < c->n_layer; i++) {
        const struct jamba_layer *l = &cm->m->weights.layers[i];
        norm(&f, cm->x, c->d_model, l->attn_norm, cm->h, cm->h_ld);
        if (l->is_attention)
            attention_mixer(&f, i);
        else
            mamba_mixer(&f, i);
        norm(&f, cm->x, c->d_model, l->ffn_norm, cm->h, cm->h_ld);
        if (l->is_moe)
            moe(&f, i);
        else
            swiglu(cm, cm->h, cm->h_ld, f.n_rows, &cm->layers[i].gate, &cm->layers[i].up, &cm->layers[i].down, cm->x,
                   c->d_model, true);
        if (jamba_trace.layer) jamba_trace.layer(jamba_trace.ctx, (int)i, cm->x, f.n_rows);
    }
    const float *weight = cm->m->weights.output_norm->data;
    size_t H = c->d_model;
    bool all_rows = jamba_trace.layer != NULL;
    for (size_t i = 0; i < n_items; i++) all_rows |= items[i].want == JAMBA_WANT_LOGPROBS;
    if (all_rows) norm(&f, cm->x, H, cm->m->weights.output_norm, cm->x, H);
    if (jamba_trace.layer) jamba_trace.layer(jamba_trace.ctx, (int)c->n_layer, cm->x, f.n_rows);
    for (size_t i = 0; i < n_items; i++) {
        struct cpu_state *s = items[i].state;
        if (items[i].want == JAMBA_WANT_LOGPROBS) want_logprobs(cm, &items[i], cm->x + f.first[i] * H, s->last);
    }
    float *last = cm->h; /* [n_items, d_model] */
    for (size_t i = 0; i < n_items; i++) {
        struct cpu_state *s = items[i].state;
        const float *row = cm->x + (f.first[i] + items[i].n_tokens - 1) * H;
        if (all_rows)
            memcpy(s->last, row, H * sizeof(float));
        else
            kernel_rms_norm(cm->dev, row, H, weight, s->last, H, 1, H, c->rms_norm_eps);
        memcpy(last + i * H, s->last, H * sizeof(float));
        s->has_last = true;
        s->n_tokens += (uint32_t)items[i].n_tokens;
    }
    float *out[CPU_MAX_ROWS];
    want_last(cm, items, n_items, last, out);
    return 0;
}

static int cpu_last(void *ctx, void *state, enum jamba_want want, const int32_t *rows, size_t n_rows, float *out,
                    struct error *e) {
    struct cpu_model *cm = ctx;
    struct cpu_state *s = state;
    if (!s->has_last) return error_set(e, ERR_ARG, "", "This session has read nothing yet, so it predicts nothing.");
    struct backend_item it = {.state = state, .want = want, .rows = rows, .n_rows = n_rows, .out = out};
    float *full[1];
    memcpy(cm->h, s->last, cm->m->config.d_model * sizeof(float));
    want_last(cm, &it, 1, cm->h, full);
    return 0;
}

const struct backend backend_cpu = {.name = "cpu",
                                    .open = cpu_open,
                                    .close = cpu_close,
                                    .path = cpu_path,
                                    .bytes = cpu_bytes,
                                    .state_open = cpu_state_open,
                                    .state_fork = cpu_state_fork,
                                    .state_close = cpu_state_close,
                                    .state_grant = cpu_state_grant,
                                    .forward = cpu_forward,
                                    .last = cpu_last,
                                    .state_bytes = cpu_state_bytes,
                                    .state_write = cpu_state_write,
                                    .state_read = cpu_state_read,
                                    .default_chunk = CPU_MAX_ROWS};
