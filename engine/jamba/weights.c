/* weights.c: binds a model's tensors to struct jamba_weights and checks every shape. Owns the tensor names of GGUF's
 * `jamba` architecture (MODEL.md has the table); after it nothing looks up a name.
 *
 * Vectors, norms, convolutions, ssm_a, ssm_d and routers are small and steer everything else, so they become F32 here
 * whatever the file holds; matrices stay as stored, block for block.
 */
#include "engine/jamba/weights.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WEIGHTS_ID_SAMPLES = 16, WEIGHTS_ID_SAMPLE_BYTES = 256 };

/* ---- binding ---- */
struct binder {
    struct jamba_model *m;
    const struct tensor_list *l;
    struct error *e;
    int rc; /* the first failure; later calls do nothing */
};

static void fail(struct binder *b, const struct tensor *t, const char *name, int code, const char *what) {
    const char *file = t ? tensor_list_file(b->l, t) : b->l->n_maps ? path_base(b->l->maps[0].path) : "";
    b->rc = tensor_error(b->e, code, file, name, "%s", what);
}

/* Finds `name` with the given shape (fastest axis first; 0 ends it). */
static struct tensor *find(struct binder *b, const char *name, uint64_t n0, uint64_t n1, uint64_t n2) {
    if (b->rc) return NULL;
    struct tensor *t = tensor_list_find(b->l, name);
    if (!t) {
        fail(b, NULL, name, ERR_FORMAT, "The model's files lack this tensor.");
        return NULL;
    }
    uint64_t want[4] = {n0, n1 ? n1 : 1, n2 ? n2 : 1, 1};
    if (memcmp(t->ne, want, sizeof want) != 0) {
        char what[200];
        snprintf(what, sizeof what,
                 "The tensor's shape is [%llu, %llu, %llu, %llu]; the configuration asks for [%llu, %llu, %llu, 1].",
                 (unsigned long long)t->ne[0], (unsigned long long)t->ne[1], (unsigned long long)t->ne[2],
                 (unsigned long long)t->ne[3], (unsigned long long)want[0], (unsigned long long)want[1],
                 (unsigned long long)want[2]);
        fail(b, t, name, ERR_FORMAT, what);
        return NULL;
    }
    return t;
}

static const struct tensor *matrix(struct binder *b, const char *prefix, const char *name, uint64_t n_in,
                                   uint64_t n_out, uint64_t n_expert) {
    char full[MODEL_MAX_NAME + 1];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return find(b, full, n_in, n_out, n_expert);
}

/* The same, as F32. */
static const struct tensor *plain(struct binder *b, const char *prefix, const char *name, uint64_t n0, uint64_t n1) {
    char full[MODEL_MAX_NAME + 1];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    struct tensor *t = find(b, full, n0, n1, 0);
    if (!t || t->type == TENSOR_F32) return t;
    uint64_t rows = t->ne[1], row = tensor_row_bytes(t->type, n0);
    float *data = arena_array(&b->m->arena, (size_t)(n0 * rows), sizeof *data);
    if (!data) {
        fail(b, t, full, ERR_NOMEM, "Out of memory.");
        return NULL;
    }
    for (uint64_t r = 0; r < rows; r++)
        tensor_row_to_f32(t->type, (const uint8_t *)t->data + r * row, data + r * n0, n0);
    t->type = TENSOR_F32;
    t->data = data;
    t->bytes = n0 * rows * sizeof *data;
    return t;
}

/* NaN or infinity in what steers the model would poison every answer; the matrices are too large to read at each start.
 */
static void check_finite(struct binder *b, const struct tensor *t, bool negative) {
    if (b->rc || !t) return;
    const float *x = t->data;
    uint64_t n = t->bytes / sizeof *x;
    for (uint64_t i = 0; i < n && !b->rc; i++) {
        if (!isfinite(x[i]))
            fail(b, t, t->name, ERR_FORMAT, "The tensor holds a value that is not a number.");
        else if (negative && x[i] > 0)
            fail(b, t, t->name, ERR_FORMAT, "The tensor must be -exp(A_log) but holds a positive value.");
    }
}

static void bind_mixer(struct binder *b, struct jamba_layer *y, const char *p) {
    const struct jamba_config *c = &b->m->config;
    uint64_t d = c->d_model, di = c->d_inner, q = (uint64_t)c->n_head * c->head_dim,
             kv = (uint64_t)c->n_kv_head * c->head_dim;
    if (y->is_attention) {
        y->q = matrix(b, p, "attn_q.weight", d, q, 0);
        y->k = matrix(b, p, "attn_k.weight", d, kv, 0);
        y->v = matrix(b, p, "attn_v.weight", d, kv, 0);
        y->o = matrix(b, p, "attn_output.weight", q, d, 0);
        return;
    }
    y->ssm_in = matrix(b, p, "ssm_in.weight", d, 2 * di, 0);
    y->ssm_conv1d = plain(b, p, "ssm_conv1d.weight", c->d_conv, di);
    y->ssm_conv1d_bias = plain(b, p, "ssm_conv1d.bias", di, 0);
    y->ssm_x = matrix(b, p, "ssm_x.weight", di, c->dt_rank + 2ull * c->d_state, 0);
    y->ssm_dt = matrix(b, p, "ssm_dt.weight", c->dt_rank, di, 0);
    y->ssm_dt_bias = plain(b, p, "ssm_dt.bias", di, 0);
    y->ssm_dt_norm = plain(b, p, "ssm_dt_norm.weight", c->dt_rank, 0);
    y->ssm_b_norm = plain(b, p, "ssm_b_norm.weight", c->d_state, 0);
    y->ssm_c_norm = plain(b, p, "ssm_c_norm.weight", c->d_state, 0);
    y->ssm_a = plain(b, p, "ssm_a", c->d_state, di);
    y->ssm_d = plain(b, p, "ssm_d", di, 0);
    y->ssm_out = matrix(b, p, "ssm_out.weight", di, d, 0);
    const struct tensor *small[] = {y->ssm_conv1d, y->ssm_conv1d_bias, y->ssm_dt_bias, y->ssm_dt_norm,
                                    y->ssm_b_norm, y->ssm_c_norm,      y->ssm_d};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) check_finite(b, small[i], false);
    check_finite(b, y->ssm_a, true);
}

static void bind_ffn(struct binder *b, struct jamba_layer *y, const char *p) {
    const struct jamba_config *c = &b->m->config;
    uint64_t d = c->d_model, f = c->d_ff;
    char router[MODEL_MAX_NAME + 1];
    snprintf(router, sizeof router, "%sffn_gate_inp.weight", p);
    y->is_moe = c->n_expert > 1 && tensor_list_find(b->l, router) != NULL;
    if (!y->is_moe) {
        y->ffn_gate = matrix(b, p, "ffn_gate.weight", d, f, 0);
        y->ffn_up = matrix(b, p, "ffn_up.weight", d, f, 0);
        y->ffn_down = matrix(b, p, "ffn_down.weight", f, d, 0);
        return;
    }
    y->ffn_router = plain(b, p, "ffn_gate_inp.weight", d, c->n_expert);
    check_finite(b, y->ffn_router, false);
    y->ffn_gate_exps = matrix(b, p, "ffn_gate_exps.weight", d, f, c->n_expert);
    y->ffn_up_exps = matrix(b, p, "ffn_up_exps.weight", d, f, c->n_expert);
    y->ffn_down_exps = matrix(b, p, "ffn_down_exps.weight", f, d, c->n_expert);
}

int weights_bind(struct jamba_model *m, const struct tensor_list *l, const bool *is_attention, struct error *e) {
    struct binder b = {.m = m, .l = l, .e = e};
    const struct jamba_config *c = &m->config;
    struct jamba_weights *w = &m->weights;
    uint32_t n_attention = 0, n_mamba = 0;
    w->layers = arena_array(&m->arena, c->n_layer, sizeof *w->layers);
    if (!w->layers) return error_set(e, ERR_NOMEM, "", "Out of memory.");
    w->token_embd = matrix(&b, "", "token_embd.weight", c->d_model, c->n_vocab, 0);
    w->output_norm = plain(&b, "", "output_norm.weight", c->d_model, 0);
    w->output = c->tied_embeddings ? w->token_embd : matrix(&b, "", "output.weight", c->d_model, c->n_vocab, 0);
    check_finite(&b, w->output_norm, false);
    for (uint32_t i = 0; i < c->n_layer && !b.rc; i++) {
        struct jamba_layer *y = &w->layers[i];
        char p[32];
        snprintf(p, sizeof p, "blk.%u.", i);
        y->is_attention = is_attention[i];
        if (y->is_attention)
            y->attention_index = n_attention++;
        else
            y->mamba_index = n_mamba++;
        y->attn_norm = plain(&b, p, "attn_norm.weight", c->d_model, 0);
        y->ffn_norm = plain(&b, p, "ffn_norm.weight", c->d_model, 0);
        check_finite(&b, y->attn_norm, false);
        check_finite(&b, y->ffn_norm, false);
        bind_mixer(&b, y, p);
        bind_ffn(&b, y, p);
    }
    if (!b.rc) assert(n_attention == c->n_attention_layer);
    return b.rc;
}

size_t weights_layer_tensors(const struct jamba_layer *y, const struct tensor *out[WEIGHTS_LAYER_TENSORS]) {
    const struct tensor *all[] = {y->attn_norm,
                                  y->ffn_norm,
                                  y->q,
                                  y->k,
                                  y->v,
                                  y->o,
                                  y->ssm_in,
                                  y->ssm_conv1d,
                                  y->ssm_conv1d_bias,
                                  y->ssm_x,
                                  y->ssm_dt,
                                  y->ssm_dt_bias,
                                  y->ssm_dt_norm,
                                  y->ssm_b_norm,
                                  y->ssm_c_norm,
                                  y->ssm_a,
                                  y->ssm_d,
                                  y->ssm_out,
                                  y->ffn_gate,
                                  y->ffn_up,
                                  y->ffn_down,
                                  y->ffn_router,
                                  y->ffn_gate_exps,
                                  y->ffn_up_exps,
                                  y->ffn_down_exps};
    _Static_assert(sizeof all / sizeof all[0] == WEIGHTS_LAYER_TENSORS, "every tensor of a layer");
    size_t n = 0;
    for (size_t i = 0; i < WEIGHTS_LAYER_TENSORS; i++)
        if (all[i]) out[n++] = all[i];
    return n;
}

size_t weights_tensors(const struct jamba_model *m, struct tensor **out) {
    const struct jamba_weights *w = &m->weights;
    const struct tensor *all[WEIGHTS_LAYER_TENSORS] = {w->token_embd, w->output_norm, w->output};
    size_t n = 0, n_here = w->output == w->token_embd ? 2 : 3;
    for (uint32_t i = 0;; i++) {
        for (size_t k = 0; k < n_here; k++, n++)
            if (out) out[n] = (struct tensor *)(uintptr_t)all[k];
        if (i == m->config.n_layer) return n;
        n_here = weights_layer_tensors(&w->layers[i], all);
    }
}

/* ---- noise of the same scale ---- */
static uint64_t next_random(uint64_t *s) { /* SplitMix64 (Steele, Lea, Flood 2014) */
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t below(uint64_t *s, uint64_t n) {
    return next_random(s) % n; /* the bias is below 2^-30 for the counts here */
}

/* Fisher-Yates over n items of `size` bytes. */
static void shuffle(uint8_t *p, uint64_t n, size_t size, uint64_t *seed) {
    uint8_t tmp[256];
    assert(size <= sizeof tmp);
    for (uint64_t i = n; i > 1; i--) {
        uint64_t j = below(seed, i);
        memcpy(tmp, p + (i - 1) * size, size);
        memmove(p + (i - 1) * size, p + j * size, size);
        memcpy(p + j * size, tmp, size);
    }
}

/* Where a block keeps its quantised values (bytes that may change places), and how large a block is. */
static size_t block_parts(enum tensor_type type, size_t *from, size_t *len) {
    *from = *len = 0;
    switch (type) {
    case TENSOR_F32:
        return 4;
    case TENSOR_F16:
    case TENSOR_BF16:
        return 2;
    case TENSOR_Q4_0:
        *from = 2, *len = 16;
        return 18;
    case TENSOR_Q4_1:
        *from = 4, *len = 16;
        return 20;
    case TENSOR_Q5_0:
        *from = 6, *len = 16;
        return 22;
    case TENSOR_Q5_1:
        *from = 8, *len = 16;
        return 24;
    case TENSOR_Q8_0:
        *from = 2, *len = 32;
        return 34;
    case TENSOR_Q4_K:
        *from = 16, *len = 128;
        return 144;
    case TENSOR_Q5_K:
        *from = 48, *len = 128;
        return 176;
    case TENSOR_Q6_K:
        *from = 0, *len = 128;
        return 210;
    default:
        return 0;
    }
}

int weights_randomize(struct jamba_model *m, uint64_t seed, struct error *e) {
    size_t n = weights_tensors(m, NULL);
    struct tensor **all = arena_array(&m->arena, n ? n : 1, sizeof(struct tensor *));
    if (!all) return error_set(e, ERR_NOMEM, "", "Out of memory.");
    weights_tensors(m, all);
    for (size_t i = 0; i < n; i++) {
        struct tensor *t = all[i];
        uint64_t s = seed ^ (0x517cc1b727220a95u * (i + 1));
        size_t from, len, size = block_parts(t->type, &from, &len);
        uint8_t *copy = arena_alloc(&m->arena, (size_t)t->bytes);
        if (!copy) return error_set(e, ERR_NOMEM, t->name, "Out of memory.");
        uint64_t part = t->parts ? t->bytes / t->ne[2] : t->bytes;
        for (uint64_t k = 0; k * part < t->bytes; k++)
            memcpy(copy + k * part, t->parts ? t->parts[k] : t->data, (size_t)part);
        shuffle(copy, t->bytes / size, size, &s);
        for (uint64_t at = 0; len && at < t->bytes; at += size) shuffle(copy + at + from, len, 1, &s);
        t->data = copy;
        t->parts = NULL;
    }
    return 0;
}

/* ---- identity ---- */
/* Bytes at .. at + n of a tensor whose parts stand one behind the other: a model's id does not depend on its layout. */
static void hash_bytes(struct sha256 *h, const struct tensor *t, uint64_t at, uint64_t n) {
    uint64_t part = t->parts ? t->bytes / t->ne[2] : t->bytes;
    while (n) {
        uint64_t k = at / part, in = at - k * part, take = part - in < n ? part - in : n;
        sha256_update(h, (const uint8_t *)(t->parts ? t->parts[k] : t->data) + in, (size_t)take);
        at += take, n -= take;
    }
}

int weights_id(struct jamba_model *m, const uint8_t vocab[32], uint8_t out[32], struct error *e) {
    const struct jamba_config *c = &m->config;
    size_t n = weights_tensors(m, NULL);
    struct tensor **all = arena_array(&m->arena, n ? n : 1, sizeof(struct tensor *));
    if (!all) return error_set(e, ERR_NOMEM, "", "Out of memory.");
    weights_tensors(m, all);
    struct sha256 h;
    sha256_init(&h);
    uint32_t numbers[] = {c->n_layer,   c->d_model,  c->d_ff,          c->n_vocab,           c->n_head,
                          c->n_kv_head, c->head_dim, c->d_inner,       c->d_state,           c->d_conv,
                          c->dt_rank,   c->n_expert, c->n_expert_used, c->n_attention_layer, c->tied_embeddings};
    sha256_update(&h, numbers, sizeof numbers);
    sha256_update(&h, &c->rms_norm_eps, sizeof c->rms_norm_eps);
    sha256_update(&h, vocab, 32);
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = all[i];
        uint32_t type = t->type;
        sha256_update(&h, t->name, strlen(t->name) + 1);
        sha256_update(&h, &type, sizeof type);
        sha256_update(&h, t->ne, sizeof t->ne);
        if (t->bytes <= WEIGHTS_ID_SAMPLES * WEIGHTS_ID_SAMPLE_BYTES) {
            hash_bytes(&h, t, 0, t->bytes);
            continue;
        }
        for (uint64_t k = 0; k < WEIGHTS_ID_SAMPLES; k++) { /* the first and the last bytes are among them */
            uint64_t at = (t->bytes - WEIGHTS_ID_SAMPLE_BYTES) / (WEIGHTS_ID_SAMPLES - 1) * k;
            if (k == WEIGHTS_ID_SAMPLES - 1) at = t->bytes - WEIGHTS_ID_SAMPLE_BYTES;
            hash_bytes(&h, t, at, WEIGHTS_ID_SAMPLE_BYTES);
        }
    }
    sha256_final(&h, out);
    return 0;
}
