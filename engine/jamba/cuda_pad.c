/* cuda_pad.c: widens a model to what the kernels take, by rows and columns of zeros. The published models need none of
 * it; small and odd ones do. What the kernels take, and what is done about it:
 *
 *     head_dim 64 or 128         up to 128: rows of q, k, v and columns of o are added to each head
 *     d_state 16                 up to 16: x_proj gives zeros for B and C, A of the added states is 0, so they stay 0
 *     dt_rank a multiple of 16   up to 512: x_proj gives zeros, which dt_proj multiplies by zeros
 *     d_ff a multiple of 32      gate and up give zeros: silu(0) 0 = 0 (64 where weights are quantised)
 *     d_model, d_inner           multiples of the same 32 or 64, or refused: they are the widths of everything
 *     d_conv 2 to 4, at most 64 experts of which 8 are used, at most 64 query heads a KV head: or refused
 *
 * Zeros change no sum. What counts columns must know the real numbers: the norms of dt, B and C divide by them, and
 * attention scales by the real head_dim (struct cuda_stage, real).
 */
#include "engine/jamba/cuda_backend.h"

#include <string.h>

/* An axis: runs of pieces of `n` that become pieces of `to`, one after another. */
struct axis {
    uint64_t times[3];
    uint32_t n[3], to[3];
};
static struct axis whole(uint64_t n, uint64_t to) {
    return (struct axis){{1}, {(uint32_t)n}, {(uint32_t)to}};
}
static uint64_t axis_length(const struct axis *a, bool padded) {
    uint64_t sum = 0;
    for (int i = 0; i < 3; i++) sum += a->times[i] * (padded ? a->to[i] : a->n[i]);
    return sum;
}
/* Where element i of the axis goes. */
static uint64_t axis_place(const struct axis *a, uint64_t i) {
    uint64_t at = 0;
    for (int r = 0; r < 3; r++) {
        const uint64_t n = a->times[r] * a->n[r];
        if (i < n) return at + i / a->n[r] * a->to[r] + i % a->n[r];
        i -= n;
        at += a->times[r] * a->to[r];
    }
    return at;
}

struct padder {
    struct arena *arena;
    struct error *e;
    int rc;
};
/* *t becomes an f32 tensor [.., rows, columns] with zeros where the axes are widened; itself when they are not. */
static void pad(struct padder *p, const struct tensor **t, struct axis rows, struct axis columns) {
    const uint64_t n_in = axis_length(&columns, true), n_out = axis_length(&rows, true);
    if (p->rc || !*t || (n_in == (*t)->ne[0] && n_out == (*t)->ne[1])) return;
    struct tensor *w = arena_alloc(p->arena, sizeof *w);
    float *data = NULL, *row = arena_array(p->arena, (*t)->ne[0], sizeof *row);
    if (w) {
        *w = **t;
        w->type = TENSOR_F32;
        w->ne[0] = n_in, w->ne[1] = n_out;
        w->parts = NULL;
        w->bytes = n_in * n_out * w->ne[2] * sizeof(float);
        if ((*t)->data) data = arena_array(p->arena, n_in * n_out * w->ne[2], sizeof *data);
        w->data = data;
    }
    if (!w || !row || ((*t)->data && !data)) {
        p->rc = error_set(p->e, ERR_NOMEM, (*t)->name, "There is no memory to widen the model's weights.");
        return;
    }
    if (data) memset(data, 0, n_in * n_out * w->ne[2] * sizeof *data);
    const uint64_t row_bytes = tensor_row_bytes((*t)->type, (*t)->ne[0]);
    for (uint64_t x = 0; data && x < w->ne[2]; x++)
        for (uint64_t r = 0; r < (*t)->ne[1]; r++) {
            float *to = data + (x * n_out + axis_place(&rows, r)) * n_in;
            tensor_row_to_f32((*t)->type, (const char *)tensor_matrix(*t, x) + r * row_bytes, row, (*t)->ne[0]);
            for (uint64_t i = 0; i < (*t)->ne[0]; i++) to[axis_place(&columns, i)] = row[i];
        }
    *t = w;
}

static uint32_t round_up(uint32_t n, uint32_t to) {
    return (n + to - 1) / to * to;
}

static int check(const struct jamba_config *c, uint32_t piece, struct error *e) {
    if (c->d_state > 16)
        return error_set(e, ERR_UNSUPPORTED, "cuda", "The GPU scan takes d_state up to 16; this model has %u.",
                         c->d_state);
    if (c->d_conv < 2 || c->d_conv > 4)
        return error_set(e, ERR_UNSUPPORTED, "cuda", "The GPU convolution takes 2 to 4 taps; this model has %u.",
                         c->d_conv);
    if (c->dt_rank > 512)
        return error_set(e, ERR_UNSUPPORTED, "cuda", "The GPU scan takes dt_rank up to 512; this model has %u.",
                         c->dt_rank);
    if (c->n_attention_layer && c->head_dim > 128)
        return error_set(e, ERR_UNSUPPORTED, "cuda",
                         "The GPU attention takes head dimensions up to 128; this model has %u.", c->head_dim);
    if (c->n_attention_layer && c->n_head / c->n_kv_head > 64)
        return error_set(e, ERR_UNSUPPORTED, "cuda",
                         "The GPU attention takes up to 64 query heads a KV head; this model has %u.",
                         c->n_head / c->n_kv_head);
    if (c->d_model % piece || c->d_inner % piece)
        return error_set(e, ERR_UNSUPPORTED, "cuda",
                         "The GPU kernels take d_model and d_inner in multiples of %u%s; this model has %u and %u.",
                         piece, piece == 64 ? " where weights are quantised" : "", c->d_model, c->d_inner);
    if (c->n_expert > 64 || c->n_expert_used > 8)
        return error_set(e, ERR_UNSUPPORTED, "cuda", "%u experts with %u used are more than the GPU router takes.",
                         c->n_expert, c->n_expert_used);
    return 0;
}

int cuda_pad_model(struct jamba_model *out, const struct jamba_model *m, const struct jamba_model_options *o,
                   struct error *e) {
    const struct jamba_config *c = &m->config;
    const uint32_t piece = o->quantize && strcmp(o->quantize, "none") != 0 ? 64 : 32, N = c->d_state, R = c->dt_rank,
                   d = c->head_dim, I = c->d_ff, H = c->d_model, D = c->d_inner;
    struct padder p = {.arena = &out->arena, .e = e, .rc = check(c, piece, e)};
    if (p.rc) return p.rc;
    out->config = *c;
    out->weights = m->weights;
    if (c->n_attention_layer) out->config.head_dim = d <= 64 ? 64 : 128;
    out->config.d_state = 16;
    out->config.dt_rank = round_up(R, 16);
    out->config.d_ff = round_up(I, piece);
    const uint32_t to_d = out->config.head_dim, to_R = out->config.dt_rank, to_I = out->config.d_ff;
    if (to_d == d && N == 16 && to_R == R && to_I == I) return 0;
    out->weights.layers = arena_array(&out->arena, c->n_layer, sizeof *out->weights.layers);
    if (!out->weights.layers) return error_set(e, ERR_NOMEM, "", "There is no memory to widen the model's weights.");
    memcpy(out->weights.layers, m->weights.layers, c->n_layer * sizeof *out->weights.layers);
    const struct axis one = whole(1, 1), model = whole(H, H), inner = whole(D, D), ff = whole(I, to_I),
                      rank = whole(R, to_R), state = whole(N, 16), heads = {{c->n_head}, {d}, {to_d}},
                      kv_heads = {{c->n_kv_head}, {d}, {to_d}}, dt_b_c = {{1, 1, 1}, {R, N, N}, {to_R, 16, 16}};
    for (uint32_t i = 0; i < c->n_layer; i++) {
        struct jamba_layer *l = &out->weights.layers[i];
        if (l->is_attention) {
            pad(&p, &l->q, heads, model);
            pad(&p, &l->k, kv_heads, model);
            pad(&p, &l->v, kv_heads, model);
            pad(&p, &l->o, model, heads);
        } else {
            pad(&p, &l->ssm_x, dt_b_c, inner);
            pad(&p, &l->ssm_dt, inner, rank);
            pad(&p, &l->ssm_dt_norm, one, rank);
            pad(&p, &l->ssm_b_norm, one, state);
            pad(&p, &l->ssm_c_norm, one, state);
            pad(&p, &l->ssm_a, inner, state);
        }
        if (l->is_moe) {
            pad(&p, &l->ffn_gate_exps, ff, model);
            pad(&p, &l->ffn_up_exps, ff, model);
            pad(&p, &l->ffn_down_exps, model, ff);
        } else {
            pad(&p, &l->ffn_gate, ff, model);
            pad(&p, &l->ffn_up, ff, model);
            pad(&p, &l->ffn_down, model, ff);
        }
    }
    return p.rc;
}
