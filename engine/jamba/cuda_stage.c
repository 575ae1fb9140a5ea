/* cuda_stage.c: the layers first .. end - 1 of a model on one device: workspace, one pass over its rows, a recorded
 * step, and on the last stage what was asked of a row. Same forward pass as cpu.c; arithmetic is in kernels/cuda/. A
 * pass of prefill goes through the GEMMs and the chunk kernels; a step (one token each of at most CUDA_STEP_ROWS
 * timelines) goes through the decode kernels, recorded once as a graph and replayed. The two paths may differ in the
 * last bits; each of them gives the same bits for a row whatever stands beside it.
 */
#include "engine/jamba/cuda_backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t max2(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The device block of a step's tables: each table at a multiple of 16 bytes. */
static size_t step_tables_bytes(const struct cuda_stage *cm) {
    return CUDA_MAX_ITEMS * (sizeof(void *) + 2 * sizeof(int32_t) + cm->n_mamba * sizeof(struct cuda_mamba_state));
}

struct block {
    void **p;
    size_t bytes;
};
/* The buffers of a pass of `rows` rows. Returns how many there are. */
static size_t workspace(struct cuda_stage *cm, size_t rows, struct block *b) {
    const struct jamba_config *c = &cm->m->config;
    const size_t q = cm->n_attention ? (size_t)c->n_head * c->head_dim : 0,
                 kv = cm->n_attention ? (size_t)c->n_kv_head * c->head_dim : 0;
    const size_t pad = CUDA_STEP_ROWS;
    const size_t used = max2(c->n_expert_used, 1), experts = max2(c->n_expert, 1);
    size_t n = 0;
    if (rows < pad) rows = pad;
    const size_t wide = max2(max2(2 * (size_t)c->d_inner, q + 2 * kv), 2 * (size_t)c->d_ff);
#define BLOCK(P, BYTES)                                                                                                \
    b[n++] = (struct block) {                                                                                          \
        (void **)&cm->P, (BYTES)                                                                                       \
    }
    if (cm->index == 0) {
        BLOCK(h, rows * c->d_model * 4);
    } else { /* two passes may be on their way from the stage before */
        BLOCK(inbox[0], rows * c->d_model * 4);
        BLOCK(inbox[1], rows * c->d_model * 4);
    }
    BLOCK(x, rows * max2(c->d_model, q) * 2);
    BLOCK(wide, rows * wide * 2);
    BLOCK(u, max2(rows * max2(c->d_inner, c->d_ff), pad * used * c->d_ff) * 2);
    BLOCK(y, rows * max2(c->d_inner * 2, max2(c->d_model, q)));
    BLOCK(y_scale, rows * 4);
    BLOCK(u_scale, rows * 4);
    BLOCK(expert_scale, rows * 4);
    BLOCK(xdbc, rows * (c->dt_rank + 32) * 4);
    BLOCK(bc, rows * 32 * 4);
    BLOCK(dt, rows * c->dt_rank * 2);
    BLOCK(router_logits, rows * experts * 4);
    BLOCK(router_weight, rows * used * 4);
    BLOCK(router_expert, rows * used * 4);
    BLOCK(order, rows * used * 4);
    BLOCK(place, rows * used * 4);
    BLOCK(offset, (3 * experts + 1) * 4);
    BLOCK(expert_in, experts > 1 ? max2(rows, pad * used) * c->d_model * 2 : 16);
    BLOCK(expert_out, experts > 1 ? rows * used * c->d_model * 2 : 16);
    BLOCK(logits, cm->is_last ? (size_t)CUDA_MAX_ITEMS * c->n_vocab * 4 : 16);
    BLOCK(logprob, rows * 4);
    BLOCK(ids, rows * 4);
    BLOCK(targets, rows * 4);
    BLOCK(step_tables, step_tables_bytes(cm));
#undef BLOCK
    return n;
}
size_t cuda_stage_workspace(struct cuda_stage *cm, size_t rows) {
    struct block b[32];
    size_t sum = 0, n = workspace(cm, rows, b);
    for (size_t i = 0; i < n; i++) sum += (b[i].bytes + 511) & ~(size_t)511;
    return sum;
}

void cuda_stage_close(struct cuda_stage *cm) {
    struct error ignored;
    if (!cm) return;
    cuda_device_set(cm->device, &ignored);
    struct block b[32];
    size_t n = workspace(cm, 1, b);
    for (size_t i = 0; i < n; i++) cuda_free(*b[i].p);
    cuda_free(cm->decode_scratch);
    cuda_host_free(cm->step_tables_host);
    cuda_host_free(cm->logits_host);
    for (int i = 0; i < cm->n_graphs; i++) cuda_graph_close(cm->graphs[i].graph);
    for (int i = 0; i < 2; i++) cuda_event_close(cm->sent[i]), cuda_event_close(cm->freed[i]);
    cuda_weights_close(cm);
    cuda_pool_close(cm);
    cuda_gemm_close(cm->gemm);
    cuda_stream_close(cm->stream);
    pthread_mutex_destroy(&cm->pool_lock);
    free(cm->expert_rows);
    free(cm);
}

/* Whether the library multiplies every e4m3 matrix of these layers by e4m3 rows, as the passes below ask it to. */
static bool e4m3_rows(const struct cuda_stage *cm) {
    const struct jamba_config *c = &cm->m->config;
    const int H = (int)c->d_model, I = (int)c->d_ff, D = (int)c->d_inner, q = (int)(c->n_head * c->head_dim);
    bool all = cm->form == CUDA_E4M3;
    for (uint32_t i = 0; all && i < cm->end - cm->first; i++) {
        const struct cuda_layer *l = &cm->layers[i];
        const struct {
            const struct cuda_matrix *w;
            int ldx, ldy;
            bool f32_add;
        } products[] = {{&l->qkv, H, l->qkv.n_out, false},   {&l->o, q, H, true},
                        {&l->ssm_in, H, 2 * D, false},       {&l->ssm_out, D, H, true},
                        {&l->gate_up, H, 2 * I, false},      {&l->down, I, H, true},
                        {&l->exps_gate_up, H, 2 * I, false}, {&l->exps_down, I, H, false}};
        for (size_t k = 0; all && k < sizeof products / sizeof products[0]; k++)
            if (products[k].w->e4m3)
                all = cuda_linear_e4m3_ready(cm->gemm, products[k].w, products[k].ldx, products[k].ldy,
                                             products[k].f32_add, products[k].f32_add);
    }
    return all;
}

int cuda_stage_load(struct cuda_stage *cm, const struct cuda_plan *plan, struct error *e) {
    const struct jamba_config *c = &cm->m->config;
    cm->form = plan->form;
    int rc = cuda_device_set(cm->device, e);
    if (!rc) rc = cuda_stream_open(&cm->stream, e);
    for (int i = 0; !rc && i < 2; i++) {
        rc = cuda_event_open(&cm->sent[i], e);
        if (!rc) rc = cuda_event_open(&cm->freed[i], e);
    }
    if (!rc) rc = cuda_weights_open(cm, e);
    if (!rc) rc = cuda_gemm_open(&cm->gemm, cm->largest_matrix, e);
    if (!rc) cm->e4m3_rows = e4m3_rows(cm);
    cm->chunk_rows = (int)plan->chunk_rows;
    if (!rc && c->n_attention_layer) rc = cuda_pool_open(cm, plan->positions, e);
    cm->decode_scratch_bytes = cm->n_attention ? cuda_attention_decode_scratch(CUDA_STEP_ROWS, (int)c->n_head,
                                                                               (int)c->head_dim, (int)plan->positions)
                                               : 0;
    if (!rc) rc = cuda_alloc(&cm->decode_scratch, cm->decode_scratch_bytes, e);
    struct block b[32];
    size_t n = workspace(cm, (size_t)cm->chunk_rows, b);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = cuda_alloc(b[i].p, b[i].bytes, e);
        if (!rc) rc = cuda_zero(*b[i].p, b[i].bytes, cm->stream, e);
    }
    cm->step_tables_bytes = step_tables_bytes(cm);
    cm->expert_rows = calloc((size_t)c->n_layer * max2(c->n_expert, 1), sizeof *cm->expert_rows);
    if (!rc && !cm->expert_rows) rc = error_set(e, ERR_NOMEM, "", "There is no memory for the model.");
    if (!rc) rc = cuda_host_alloc((void **)&cm->step_tables_host, cm->step_tables_bytes, e);
    if (!rc) rc = cuda_host_alloc((void **)&cm->logits_host, c->n_vocab * sizeof(float), e);
    if (rc) return rc;
    cm->page_tables = (const int32_t **)(void *)cm->step_tables;
    cm->n_keys = (int32_t *)(void *)(cm->step_tables + CUDA_MAX_ITEMS * sizeof(void *));
    cm->step_ids = cm->n_keys + CUDA_MAX_ITEMS;
    cm->mamba_states = (struct cuda_mamba_state *)(void *)(cm->step_ids + CUDA_MAX_ITEMS);
    return cuda_sync(cm->stream, e);
}

/* ---- one pass ---- */
/* Floating-point operations of the passes, for whoever compares them with the formula: products and attention. */
static void count_gemm(struct cuda_stage *cm, const struct cuda_matrix *w, int rows) {
    cm->flop += 2.0 * rows * (double)w->n_out * (double)w->n_in;
}

/* Rows that are multiplied: bf16, or in a pass of prefill over e4m3 weights e4m3 with a scale a row. */
struct rows {
    const uint16_t *bf16;
    const uint8_t *e4m3;
    const float *scale;
    int ld;
};
/* Outputs in no whole pieces of 16 bytes are not for the library (a router over 3 experts). */
static int odd_rows(struct cuda_stage *cm, const struct cuda_matrix *w, const uint16_t *x, int ldx, int n, float *y32,
                    int ldy, struct error *e) {
    int rc = 0;
    for (int at = 0; !rc && at < n; at += CUDA_STEP_ROWS)
        rc = cuda_gemv(w, x + (size_t)at * (size_t)ldx, ldx, n - at < CUDA_STEP_ROWS ? n - at : CUDA_STEP_ROWS, NULL,
                       y32 + (size_t)at * (size_t)ldy, ldy, false, cm->stream, e);
    return rc;
}
static int multiply(struct cuda_pass *p, const struct cuda_matrix *w, const struct rows *x, int n, uint16_t *y,
                    float *y32, int ldy, bool add, struct error *e) {
    struct cuda_stage *cm = p->cm;
    if (p->step) return cuda_gemv(w, x->bf16, x->ld, n, y, y32, ldy, add, cm->stream, e);
    count_gemm(cm, w, n);
    if (w->n_out % 8) return odd_rows(cm, w, x->bf16, x->ld, n, y32, ldy, e);
    return x->e4m3 ? cuda_linear_e4m3(cm->gemm, w, x->e4m3, x->scale, x->ld, n, y, y32, ldy, add, cm->stream, e)
                   : cuda_linear(cm->gemm, w, x->bf16, x->ld, n, y, y32, ldy, add, cm->stream, e);
}
static int linear(struct cuda_pass *p, const struct cuda_matrix *w, const uint16_t *x, int ldx, uint16_t *y, float *y32,
                  int ldy, bool add, struct error *e) {
    return multiply(p, w, &(struct rows){.bf16 = x, .ld = ldx}, p->n_rows, y, y32, ldy, add, e);
}

static bool is_e4m3(const struct cuda_pass *p) {
    return p->cm->e4m3_rows && !p->step;
}
/* The normed residual as the products take it; e4m3: also as bf16 in x when `both`. */
static int norm(struct rows *x, struct cuda_pass *p, const float *weight, bool both, struct error *e) {
    struct cuda_stage *cm = p->cm;
    const int H = (int)cm->m->config.d_model;
    const float eps = cm->m->config.rms_norm_eps;
    *x = (struct rows){.bf16 = cm->x, .ld = H};
    if (!is_e4m3(p)) return cuda_rms_norm(cm->x, cm->h, weight, p->n_rows, H, eps, cm->stream, e);
    x->e4m3 = (uint8_t *)cm->y, x->scale = cm->y_scale;
    return cuda_rms_norm_e4m3((uint8_t *)cm->y, cm->y_scale, both ? cm->x : NULL, cm->h, weight, p->n_rows, H, eps,
                              cm->stream, e);
}
/* [rows, n] bf16 as the next product takes them: as they are, or as e4m3 in another buffer. */
static int prepare(struct rows *out, struct cuda_pass *p, const uint16_t *x, int n, uint16_t *buffer, float *scale,
                   struct error *e) {
    *out = (struct rows){.bf16 = x, .ld = n};
    if (!is_e4m3(p)) return 0;
    out->e4m3 = (uint8_t *)buffer, out->scale = scale;
    return cuda_quantise_e4m3((uint8_t *)buffer, scale, x, (size_t)p->n_rows, (size_t)n, p->cm->stream, e);
}
/* u = silu(gate) * up from `wide` [n, 2 d_ff]. */
static int swiglu(struct rows *out, struct cuda_pass *p, int n, struct error *e) {
    struct cuda_stage *cm = p->cm;
    const int I = (int)cm->m->config.d_ff;
    *out = (struct rows){.bf16 = cm->u, .ld = I};
    if (!is_e4m3(p)) return cuda_swiglu(cm->u, cm->wide, n, I, cm->stream, e);
    out->e4m3 = (uint8_t *)cm->u, out->scale = cm->u_scale;
    return cuda_swiglu_e4m3((uint8_t *)cm->u, cm->u_scale, cm->wide, n, I, cm->stream, e);
}

static int mamba_mixer(struct cuda_pass *p, const struct cuda_layer *l, const struct rows *x, uint32_t mamba_index,
                       struct error *e) {
    struct cuda_stage *cm = p->cm;
    const struct jamba_config *c = &cm->m->config;
    const int D = (int)c->d_inner, R = (int)c->dt_rank, H = (int)c->d_model;
    cuda_stream st = cm->stream;
    struct rows y;
    int rc = multiply(p, &l->ssm_in, x, p->n_rows, cm->wide, NULL, 2 * D, false, e); /* [rows, 2 d_inner]: x then z */
    if (p->step) {
        const struct cuda_mamba_state *states = cm->mamba_states + (size_t)mamba_index * CUDA_MAX_ITEMS;
        if (!rc)
            rc = cuda_conv1d_step(cm->u, D, cm->wide, 2 * D, l->conv, l->conv_bias, states, p->n_rows, D,
                                  (int)c->d_conv, st, e);
    } else {
        for (int i = 0; !rc && i < p->n_seg; i++) {
            const struct cuda_segment *g = &p->seg[i];
            rc = cuda_conv1d_silu(cm->u + (size_t)g->first * c->d_inner, D,
                                  cm->wide + (size_t)g->first * 2 * c->d_inner, 2 * D, l->conv, l->conv_bias,
                                  g->s->conv + mamba_index * cuda_conv_elements(c), g->n, D, (int)c->d_conv, st, e);
        }
    }
    if (!rc) rc = linear(p, &l->ssm_x, cm->u, D, NULL, cm->xdbc, R + 32, false, e);
    if (p->step) {
        const struct cuda_mamba_state *states = cm->mamba_states + (size_t)mamba_index * CUDA_MAX_ITEMS;
        if (!rc)
            rc = cuda_scan_step(cm->y, D, cm->u, D, cm->xdbc, l->dt_norm, l->b_norm, l->c_norm, l->ssm_dt.bf16,
                                cm->wide + D, 2 * D, l->a, l->d, l->dt_bias, states, p->n_rows, D, R, cm->real.dt_rank,
                                cm->real.d_state, c->rms_norm_eps, st, e);
    } else {
        if (!rc)
            rc = cuda_mamba_norms(cm->dt, cm->bc, cm->xdbc, l->dt_norm, l->b_norm, l->c_norm, p->n_rows, R,
                                  cm->real.dt_rank, cm->real.d_state, c->rms_norm_eps, st, e);
        /* dt_proj overwrites the x half of `wide`, which the convolution is done with */
        if (!rc) rc = linear(p, &l->ssm_dt, cm->dt, R, cm->wide, NULL, 2 * D, false, e);
        for (int i = 0; !rc && i < p->n_seg; i++) {
            const struct cuda_segment *g = &p->seg[i];
            const size_t r = (size_t)g->first, d = c->d_inner;
            rc = cuda_selective_scan(cm->y + r * d, cm->u + r * d, cm->wide + r * 2 * d, cm->wide + r * 2 * d + d,
                                     cm->bc + r * 32, cm->bc + r * 32 + 16, l->a, l->d, l->dt_bias,
                                     g->s->ssm + mamba_index * cuda_ssm_elements(c), g->n, D, D, 2 * D, 2 * D, D, 32,
                                     st, e);
        }
    }
    if (!rc) rc = prepare(&y, p, cm->y, D, cm->u, cm->u_scale, e); /* the scan is done with u */
    return rc ? rc : multiply(p, &l->ssm_out, &y, p->n_rows, NULL, cm->h, H, true, e);
}

static int attention_mixer(struct cuda_pass *p, const struct cuda_layer *l, const struct rows *x,
                           uint32_t attention_index, struct error *e) {
    struct cuda_stage *cm = p->cm;
    const struct jamba_config *c = &cm->m->config;
    const int H = (int)c->d_model, layer = (int)attention_index;
    const int q = (int)(c->n_head * c->head_dim), kv = (int)(c->n_kv_head * c->head_dim), ld = q + 2 * kv;
    const float scale = 1.0f / sqrtf((float)cm->real.head_dim);
    cuda_stream st = cm->stream;
    struct rows y;
    int rc = multiply(p, &l->qkv, x, p->n_rows, cm->wide, NULL, ld, false, e);
    if (p->step) {
        if (!rc)
            rc = cuda_kv_append_step(&cm->kv, layer, cm->page_tables, cm->n_keys, cm->wide + q, cm->wide + q + kv, ld,
                                     p->n_rows, st, e);
        if (!rc)
            rc = cuda_attention_decode(cm->x, cm->wide, ld, &cm->kv, layer, cm->page_tables, cm->n_keys, p->max_keys,
                                       p->n_shared, p->n_rows, (int)c->n_head, scale, cm->decode_scratch, st, e);
    } else {
        for (int i = 0; !rc && i < p->n_seg; i++) {
            const struct cuda_segment *g = &p->seg[i];
            const uint16_t *row = cm->wide + (size_t)g->first * (size_t)ld;
            cm->flop += 4.0 * (double)(c->n_head * c->head_dim) * g->n * ((double)g->s->n_tokens + 0.5 * (g->n + 1));
            rc = cuda_kv_append(&cm->kv, layer, g->s->pages_device, (int)g->s->n_tokens, row + q, row + q + kv, ld,
                                g->n, st, e);
            if (!rc)
                rc =
                    cuda_attention_prefill(cm->x + (size_t)g->first * (size_t)q, row, ld, &cm->kv, layer,
                                           g->s->pages_device, g->n, (int)g->s->n_tokens, (int)c->n_head, scale, st, e);
        }
    }
    if (!rc) rc = prepare(&y, p, cm->x, q, cm->y, cm->y_scale, e);
    return rc ? rc : multiply(p, &l->o, &y, p->n_rows, NULL, cm->h, H, true, e);
}

static int dense_ffn(struct cuda_pass *p, const struct cuda_layer *l, const struct rows *x, struct error *e) {
    struct cuda_stage *cm = p->cm;
    const int H = (int)cm->m->config.d_model, I = (int)cm->m->config.d_ff;
    struct rows u = {.bf16 = cm->u, .ld = I};
    int rc;
    if (p->step) {
        rc = cuda_gemv_swiglu(&l->gate_up, x->bf16, H, p->n_rows, cm->u, I, cm->stream, e);
    } else {
        rc = multiply(p, &l->gate_up, x, p->n_rows, cm->wide, NULL, 2 * I, false, e);
        if (!rc) rc = swiglu(&u, p, p->n_rows, e);
    }
    return rc ? rc : multiply(p, &l->down, &u, p->n_rows, NULL, cm->h, H, true, e);
}

/* One expert of a stack. */
static struct cuda_matrix expert_of(const struct cuda_matrix *w, size_t i) {
    const size_t n = (size_t)w->n_out * (size_t)w->n_in;
    return (struct cuda_matrix){.bf16 = w->bf16 ? w->bf16 + i * n : NULL,
                                .i8 = w->i8 ? w->i8 + i * n : NULL,
                                .e4m3 = w->e4m3 ? w->e4m3 + i * n : NULL,
                                .scale = w->scale ? w->scale + i * (size_t)w->n_out : NULL,
                                .n_out = w->n_out,
                                .n_in = w->n_in};
}

static int moe_ffn(struct cuda_pass *p, const struct cuda_layer *l, const struct rows *x, uint32_t layer,
                   struct error *e) {
    struct cuda_stage *cm = p->cm;
    const struct jamba_config *c = &cm->m->config;
    const int H = (int)c->d_model, I = (int)c->d_ff, E = (int)c->n_expert, K = (int)c->n_expert_used;
    cuda_stream st = cm->stream;
    int rc = linear(p, &l->router, cm->x, H, NULL, cm->router_logits, E, false, e);
    int32_t offset[65];
    int32_t *active = cm->offset + 2 * E + 1;
    if (!rc)
        rc = p->step ? cuda_moe_route_step(cm->router_weight, cm->order, cm->place, cm->offset, active,
                                           cm->router_logits, p->n_rows, E, K, st, e)
                     : cuda_moe_route(cm->router_expert, cm->router_weight, cm->order, cm->place, cm->offset,
                                      cm->router_logits, p->n_rows, E, K, st, e);
    if (p->step) { /* all experts in one launch: nobody has to know here how many rows each got */
        const int most = p->n_rows * K < E ? p->n_rows * K : E;
        if (!rc) rc = cuda_moe_gather(cm->expert_in, x->bf16, cm->order, p->n_rows * K, K, H, st, e);
        if (!rc)
            rc =
                cuda_moe_gemv(&l->exps_gate_up, cm->offset, active, most, cm->expert_in, p->n_rows, true, cm->u, st, e);
        if (!rc)
            rc = cuda_moe_gemv(&l->exps_down, cm->offset, active, most, cm->u, p->n_rows, false, cm->expert_out, st, e);
    } else if (!rc) {
        rc = cuda_download(offset, cm->offset, ((size_t)E + 1) * sizeof *offset, st, e);
    }
    for (int i = 0; !rc && !p->step && i < E; i++) {
        cm->expert_rows[layer * (uint32_t)E + (uint32_t)i] += (uint64_t)(offset[i + 1] - offset[i]);
        /* rows of one expert may be more than the buffers of a pass hold: at most chunk_rows at a time */
        for (int at = offset[i]; !rc && at < offset[i + 1]; at += cm->chunk_rows) {
            int n = offset[i + 1] - at < cm->chunk_rows ? offset[i + 1] - at : cm->chunk_rows;
            struct cuda_matrix gate_up = expert_of(&l->exps_gate_up, (size_t)i),
                               down = expert_of(&l->exps_down, (size_t)i);
            struct rows in = {.bf16 = cm->expert_in, .ld = H}, u;
            const int32_t *order = cm->order + at;
            if (x->e4m3) {
                in.e4m3 = (uint8_t *)cm->expert_in, in.scale = cm->expert_scale;
                rc = cuda_moe_gather_e4m3((uint8_t *)cm->expert_in, cm->expert_scale, x->e4m3, x->scale, order, n, K, H,
                                          st, e);
            } else {
                rc = cuda_moe_gather(cm->expert_in, x->bf16, order, n, K, H, st, e);
            }
            if (!rc) rc = multiply(p, &gate_up, &in, n, cm->wide, NULL, 2 * I, false, e);
            if (!rc) rc = swiglu(&u, p, n, e);
            if (!rc) rc = multiply(p, &down, &u, n, cm->expert_out + (size_t)at * c->d_model, NULL, H, false, e);
        }
    }
    return rc ? rc : cuda_moe_combine(cm->h, cm->expert_out, cm->place, cm->router_weight, p->n_rows, K, H, st, e);
}

static int trace_rows(struct cuda_pass *p, int layer, struct error *e) {
    if (!p->trace.layer) return 0;
    size_t n = (size_t)p->n_rows * p->cm->m->config.d_model;
    float *host = malloc(n * sizeof *host);
    if (!host) return error_set(e, ERR_NOMEM, "", "There is no memory for the trace.");
    int rc = cuda_download(host, p->cm->h, n * sizeof *host, p->cm->stream, e);
    if (!rc) p->trace.layer(p->trace.ctx, layer, host, (size_t)p->n_rows);
    free(host);
    return rc;
}

static int layers(struct cuda_pass *p, struct error *e) {
    struct cuda_stage *cm = p->cm;
    int rc = 0;
    if (cm->index == 0) {
        rc = cuda_embedding(cm->h, &cm->embedding, p->step ? cm->step_ids : cm->ids, p->n_rows, cm->stream, e);
        if (!rc) rc = trace_rows(p, -1, e);
    }
    for (uint32_t i = cm->first; !rc && i < cm->end; i++) {
        const struct jamba_layer *l = &cm->m->weights.layers[i];
        const struct cuda_layer *w = &cm->layers[i - cm->first];
        struct rows x;
        rc = norm(&x, p, w->attn_norm, false, e);
        if (!rc)
            rc = l->is_attention ? attention_mixer(p, w, &x, l->attention_index - cm->first_attention, e)
                                 : mamba_mixer(p, w, &x, l->mamba_index - cm->first_mamba, e);
        if (!rc) rc = norm(&x, p, w->ffn_norm, l->is_moe, e); /* the router takes bf16 */
        if (!rc) rc = l->is_moe ? moe_ffn(p, w, &x, i, e) : dense_ffn(p, w, &x, e);
        if (!rc) rc = trace_rows(p, (int)i, e);
    }
    return rc;
}

/* Forks of one reading: how many keys lie in the same full pages for every timeline of the step. */
static int shared_keys(const struct cuda_pass *p) {
    const struct cuda_state *a = p->seg[0].s;
    int n = p->n_rows > 1 ? (int)(a->n_tokens / CUDA_KV_PAGE) : 0;
    for (int i = 1; i < p->n_rows; i++) {
        const struct cuda_state *b = p->seg[i].s;
        int full = (int)(b->n_tokens / CUDA_KV_PAGE);
        if (full < n) n = full;
        for (int k = 0; k < n; k++)
            if (a->pages[k] != b->pages[k]) n = k;
    }
    return p->cm->n_attention ? n * CUDA_KV_PAGE : 0;
}

/* A step's tables, then the recorded graph for this number of timelines and this reach of keys. */
static int run_step(struct cuda_pass *p, struct error *e) {
    struct cuda_stage *cm = p->cm;
    const struct jamba_config *c = &cm->m->config;
    const uint32_t n_mamba = cm->n_mamba;
    const int32_t **tables = (const int32_t **)(void *)cm->step_tables_host;
    int32_t *keys = (int32_t *)(void *)(cm->step_tables_host + CUDA_MAX_ITEMS * sizeof(void *)),
            *ids = keys + CUDA_MAX_ITEMS;
    struct cuda_mamba_state *states = (struct cuda_mamba_state *)(void *)(ids + CUDA_MAX_ITEMS);
    int longest = 1;
    for (int i = 0; i < p->n_rows; i++) {
        const struct cuda_state *s = p->seg[i].s;
        tables[i] = s->pages_device;
        keys[i] = (int32_t)s->n_tokens + 1;
        ids[i] = p->seg[i].token;
        if (keys[i] > longest) longest = keys[i];
        for (uint32_t m = 0; m < n_mamba; m++)
            states[(size_t)m * CUDA_MAX_ITEMS + (size_t)i] =
                (struct cuda_mamba_state){s->conv + m * cuda_conv_elements(c), s->ssm + m * cuda_ssm_elements(c)};
    }
    int rc = cuda_upload_async(cm->step_tables, cm->step_tables_host, cm->step_tables_bytes, cm->stream, e);
    if (rc) return rc;
    p->max_keys =
        1024; /* a power of two, so that few graphs serve all lengths; at most what the scratch was made for */
    while (p->max_keys < longest) p->max_keys *= 2;
    int cap = cm->kv.n_pages * CUDA_KV_PAGE;
    if (cm->n_attention && p->max_keys > cap) p->max_keys = cap;
    p->n_shared = shared_keys(p);
    if (p->trace.layer) return layers(p, e);
    for (int i = 0; i < cm->n_graphs; i++)
        if (cm->graphs[i].n_items == p->n_rows && cm->graphs[i].max_keys == p->max_keys &&
            cm->graphs[i].n_shared == p->n_shared)
            return cuda_graph_run(cm->graphs[i].graph, cm->stream, e);
    if (cm->n_graphs == (int)(sizeof cm->graphs / sizeof cm->graphs[0])) { /* the oldest makes room */
        cuda_graph_close(cm->graphs[0].graph);
        memmove(&cm->graphs[0], &cm->graphs[1], sizeof cm->graphs - sizeof cm->graphs[0]);
        cm->n_graphs--;
    }
    cuda_graph g = NULL;
    struct error first = {0};
    rc = cuda_graph_begin(cm->stream, e);
    if (rc) return rc;
    int failed = layers(p, &first);
    rc = cuda_graph_end(&g, cm->stream, e); /* ends the recording also when a launch was refused */
    if (failed) {
        cuda_graph_close(g);
        if (e) *e = first;
        return failed;
    }
    if (rc) return rc;
    cm->graphs[cm->n_graphs].n_items = p->n_rows;
    cm->graphs[cm->n_graphs].max_keys = p->max_keys;
    cm->graphs[cm->n_graphs].n_shared = p->n_shared;
    cm->graphs[cm->n_graphs++].graph = g;
    return cuda_graph_run(g, cm->stream, e);
}

/* Head over n final-norm rows (f32 on the device, [n, d_model]) -> cm->logits [n, n_vocab]. */
static int head(struct cuda_stage *cm, const uint16_t *rows, int n, struct error *e) {
    const int H = (int)cm->m->config.d_model, V = (int)cm->m->config.n_vocab;
    int rc = 0;
    for (int at = 0; !rc && at < n; at += CUDA_STEP_ROWS) {
        int take = n - at < CUDA_STEP_ROWS ? n - at : CUDA_STEP_ROWS;
        rc = cuda_gemv(&cm->head, rows + (size_t)at * cm->m->config.d_model, H, take, NULL,
                       cm->logits + (size_t)at * cm->m->config.n_vocab, V, false, cm->stream, e);
    }
    return rc;
}

int cuda_stage_last(struct cuda_stage *cm, const struct cuda_state *s, const struct backend_item *it, struct error *e) {
    const struct jamba_config *c = &cm->m->config;
    const int H = (int)c->d_model;
    if (it->want == JAMBA_WANT_HIDDEN)
        return cuda_download(it->out, s->last, c->d_model * sizeof(float), cm->stream, e);
    if (it->want != JAMBA_WANT_LOGITS) return 0;
    int rc = cuda_to_bf16(cm->x, s->last, (size_t)H, cm->stream, e);
    if (!rc) rc = head(cm, cm->x, 1, e);
    if (!rc) rc = cuda_download_async(cm->logits_host, cm->logits, c->n_vocab * sizeof(float), cm->stream, e);
    if (!rc) rc = cuda_sync(cm->stream, e);
    if (!rc && !it->rows) memcpy(it->out, cm->logits_host, c->n_vocab * sizeof(float));
    for (size_t i = 0; !rc && it->rows && i < it->n_rows; i++) it->out[i] = cm->logits_host[it->rows[i]];
    return rc;
}

/* Log-probabilities of n tokens of a timeline: row i - 1 predicts token i; `before` (the row before the pass) predicts
 * the first. */
static int want_logprobs(struct cuda_stage *cm, const float *before, int first, int n, const int32_t *tokens,
                         float *out, struct error *e) {
    const struct jamba_config *c = &cm->m->config;
    const int H = (int)c->d_model;
    uint16_t *rows = cm->wide; /* free behind the layers: [n, d_model] bf16 */
    int rc = cuda_to_bf16(rows, before, (size_t)H, cm->stream, e);
    if (!rc && n > 1)
        rc = cuda_rms_norm(rows + H, cm->h + (size_t)first * c->d_model, cm->output_norm, n - 1, H, c->rms_norm_eps,
                           cm->stream, e);
    if (!rc) rc = cuda_upload(cm->targets, tokens, (size_t)n * sizeof *tokens, cm->stream, e);
    for (int at = 0; !rc && at < n; at += CUDA_MAX_ITEMS) {
        int take = n - at < CUDA_MAX_ITEMS ? n - at : CUDA_MAX_ITEMS;
        const uint16_t *row = rows + (size_t)at * c->d_model;
        rc = cm->head.n_out % 8 ? odd_rows(cm, &cm->head, row, H, take, cm->logits, (int)c->n_vocab, e)
                                : cuda_linear(cm->gemm, &cm->head, row, H, take, NULL, cm->logits, (int)c->n_vocab,
                                              false, cm->stream, e);
        if (!rc)
            rc = cuda_logprobs(cm->logprob + at, cm->logits, cm->targets + at, take, (int)c->n_vocab, cm->stream, e);
    }
    return rc ? rc : cuda_download(out, cm->logprob, (size_t)n * sizeof *out, cm->stream, e);
}

int cuda_stage_pass(struct cuda_stage *cm, struct cuda_pass *p, struct error *e) {
    const struct jamba_config *c = &cm->m->config;
    int rc = 0;
    p->cm = cm;
    for (int i = 0; !rc && i < p->n_seg; i++) {
        struct cuda_segment *g = &p->seg[i];
        g->s = g->session->part[cm->index];
        rc = cuda_state_extend(cm, g->s, (size_t)g->n, e);
        if (!rc && cm->index == 0 && !p->step)
            rc = cuda_upload(cm->ids + g->first, g->tokens, (size_t)g->n * sizeof(int32_t), cm->stream, e);
    }
    if (!rc) rc = p->step ? run_step(p, e) : layers(p, e);
    for (int i = 0; !rc && i < p->n_seg; i++) {
        struct cuda_segment *g = &p->seg[i];
        if (cm->is_last) {
            if (g->item.want == JAMBA_WANT_LOGPROBS)
                rc = want_logprobs(cm, g->s->last, g->first, g->n, g->tokens, g->item.out + g->from, e);
            if (!rc)
                rc = cuda_rms_norm_f32(g->s->last, cm->h + (size_t)(g->first + g->n - 1) * c->d_model, cm->output_norm,
                                       1, (int)c->d_model, c->rms_norm_eps, cm->stream, e);
            g->s->has_last = true;
        }
        g->s->n_tokens += (uint32_t)g->n;
        if (!rc && cm->is_last && g->is_end) rc = cuda_stage_last(cm, g->s, &g->item, e);
    }
    return rc;
}
