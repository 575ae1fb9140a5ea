/* config.c: the numbers that describe a Jamba, checked against limits and each other. What reads them from a file lies
 * with the file's format (gguf.c); config.json of Hugging Face's layout is read here. The limits stand in weights.h. */
#include "engine/jamba/safetensors.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_MAX_BYTES = 4 << 20 };

static int bad(const char *where, struct error *e, const char *what) {
    return error_set(e, ERR_FORMAT, where, "The model's configuration cannot be: %s.", what);
}

int config_check(const struct jamba_config *c, const char *where, struct error *e) {
    if (!c->n_layer || c->n_layer > MODEL_MAX_LAYERS) return bad(where, e, "number of layers");
    if (!c->d_model || c->d_model > MODEL_MAX_D_MODEL) return bad(where, e, "hidden size");
    if (!c->d_ff || c->d_ff > MODEL_MAX_D_FF) return bad(where, e, "size of the feed-forward layer");
    if (!c->n_vocab || c->n_vocab > MODEL_MAX_VOCAB) return bad(where, e, "size of the vocabulary");
    if (!c->d_inner || c->d_inner > MODEL_MAX_D_INNER) return bad(where, e, "inner size of the Mamba layers");
    if (!c->d_state || c->d_state > MODEL_MAX_D_STATE) return bad(where, e, "state size of the Mamba layers");
    if (!c->d_conv || c->d_conv > MODEL_MAX_D_CONV) return bad(where, e, "convolution width of the Mamba layers");
    if (!c->dt_rank || c->dt_rank > MODEL_MAX_DT_RANK) return bad(where, e, "time step rank of the Mamba layers");
    if (c->n_expert > MODEL_MAX_EXPERTS) return bad(where, e, "number of experts");
    if (c->n_expert > 1 && (!c->n_expert_used || c->n_expert_used > c->n_expert))
        return bad(where, e, "number of experts used a token");
    if (!(c->rms_norm_eps > 0 && c->rms_norm_eps < 1)) return bad(where, e, "epsilon of the norms");
    if (c->n_attention_layer > c->n_layer) return bad(where, e, "number of attention layers");
    if (c->n_attention_layer) {
        if (!c->n_head || c->n_head > MODEL_MAX_HEADS) return bad(where, e, "number of attention heads");
        if (!c->n_kv_head || c->n_head % c->n_kv_head) return bad(where, e, "number of KV heads");
        if (!c->head_dim || c->head_dim > MODEL_MAX_HEAD_DIM) return bad(where, e, "size of an attention head");
    }
    return 0;
}

uint64_t config_parameters(const struct jamba_config *c, uint32_t n_moe_layer) {
    const uint64_t H = c->d_model, V = c->n_vocab, I = c->d_ff, d = c->d_inner, N = c->d_state, R = c->dt_rank,
                   E = c->n_expert, q = (uint64_t)c->n_head * c->head_dim, kv = (uint64_t)c->n_kv_head * c->head_dim;
    const uint64_t attention = 2 * H * q + 2 * H * kv;
    const uint64_t mamba = 2 * H * d + c->d_conv * d + d /* convolution */ + d * (R + 2 * N) + R * d + d /* dt */ +
                           d * N + d /* A_log, D */ + d * H + (R + 2 * N) /* the three norms */;
    const uint64_t moe = E * H + 3 * E * H * I, dense = 3 * H * I;
    const uint32_t n_attention = c->n_attention_layer, n_mamba = c->n_layer - n_attention;
    return V * H * (c->tied_embeddings ? 1 : 2) + H + 2 * H * c->n_layer + n_attention * attention + n_mamba * mamba +
           n_moe_layer * moe + (c->n_layer - n_moe_layer) * dense;
}

/* ---- config.json: keys and defaults of transformers' JambaConfig ---- */
struct reader {
    json_t *root;
    struct error *e;
    int rc;
};

static uint32_t number(struct reader *r, const char *key, json_int_t fallback, json_int_t min, json_int_t max) {
    json_t *v = json_object_get(r->root, key);
    json_int_t n = !v || json_is_null(v) ? fallback : json_is_integer(v) ? json_integer_value(v) : -1;
    if (!r->rc && (n < min || n > max))
        r->rc = error_set(r->e, ERR_FORMAT, "config.json", "%s is no number from %lld to %lld.", key, (long long)min,
                          (long long)max);
    return r->rc ? 0 : (uint32_t)n;
}

static bool flag(const struct reader *r, const char *key, bool fallback) {
    json_t *v = json_object_get(r->root, key);
    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

static void add_end(struct jamba_config *c, json_t *v) {
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= (json_int_t)c->n_vocab) return;
    int32_t id = (int32_t)json_integer_value(v);
    for (int i = 0; i < 3; i++) {
        if (c->eos[i] == id) return;
        if (c->eos[i] < 0) {
            c->eos[i] = id;
            return;
        }
    }
}

static void add_ends(struct jamba_config *c, json_t *v) {
    json_t *item;
    size_t i;
    if (json_is_integer(v)) add_end(c, v);
    json_array_foreach(v, i, item) add_end(c, item);
}

/* A list of one kind a layer stands above period and offset: transformers 5 writes it as well (`layer_types`), some
 * tools as `layers_block_type`. */
static void read_kinds(struct reader *r, const char *key, bool *is_attention, uint32_t n_layer) {
    const json_t *list = json_object_get(r->root, key);
    if (r->rc || !list || json_is_null(list)) return;
    if (json_array_size(list) != n_layer) {
        r->rc = error_set(r->e, ERR_FORMAT, "config.json", "%s is no list of one kind for each of the %u layers.", key,
                          n_layer);
        return;
    }
    for (uint32_t i = 0; i < n_layer; i++) {
        const char *kind = json_string_value(json_array_get(list, i));
        is_attention[i] = kind && (strcmp(kind, "full_attention") == 0 || strcmp(kind, "attention") == 0);
        if (!is_attention[i] && (!kind || strcmp(kind, "mamba") != 0)) {
            r->rc = error_set(r->e, ERR_UNSUPPORTED, "config.json",
                              "%s: layer %u is \"%.40s\"; attention and mamba can be.", key, i, kind ? kind : "");
            return;
        }
    }
}

static json_t *load_json(const char *folder, const char *name, struct arena *a, int *rc, struct error *e) {
    struct buf b = {0};
    json_error_t bad;
    json_t *root = NULL;
    struct slice path = arena_slice_printf(a, "%s/%s", folder, name);
    *rc = path.len ? file_read(path.data, CONFIG_MAX_BYTES, &b, e) : error_set(e, ERR_NOMEM, name, "Out of memory.");
    if (!*rc) root = json_loadb(b.data ? b.data : "", b.len, JSON_REJECT_DUPLICATES, &bad);
    if (!*rc && !json_is_object(root)) /* json_is_object is a macro that names its argument twice */
        *rc = error_set(e, ERR_FORMAT, name, "The file is no JSON object (line %d): %.200s.", bad.line, bad.text);
    buf_free(&b);
    if (!*rc) return root;
    json_decref(root);
    return NULL;
}

static int refuse(struct reader *r, const char *what) {
    return r->rc ? r->rc : (r->rc = error_set(r->e, ERR_UNSUPPORTED, "config.json", "%s", what));
}

int config_from_json(struct arena *a, const char *folder, struct jamba_config *c, bool **is_attention, bool **is_moe,
                     struct error *e) {
    struct reader r = {.e = e};
    *c = (struct jamba_config){.bos = -1, .pad = -1, .eos = {-1, -1, -1, -1}};
    r.root = load_json(folder, "config.json", a, &r.rc, e);
    if (r.rc) return r.rc;
    const char *type = json_string_value(json_object_get(r.root, "model_type")),
               *act = json_string_value(json_object_get(r.root, "hidden_act"));
    json_t *window = json_object_get(r.root, "sliding_window"), *quant = json_object_get(r.root, "quantization_config");
    if (!type || strcmp(type, "jamba") != 0) refuse(&r, "The model is no Jamba (model_type).");
    if (act && strcmp(act, "silu") != 0) refuse(&r, "An activation other than silu is not supported.");
    if (window && !json_is_null(window)) refuse(&r, "A sliding window is not supported.");
    if (quant && !json_is_null(quant))
        refuse(&r, "A checkpoint that is quantised already (quantization_config) is not supported.");
    if (flag(&r, "mamba_proj_bias", false))
        refuse(&r, "Mamba layers with biases on their projections are not supported.");
    c->n_vocab = number(&r, "vocab_size", 65536, 1, MODEL_MAX_VOCAB);
    c->d_model = number(&r, "hidden_size", 4096, 1, MODEL_MAX_D_MODEL);
    c->d_ff = number(&r, "intermediate_size", 14336, 1, MODEL_MAX_D_FF);
    c->n_layer = number(&r, "num_hidden_layers", 32, 1, MODEL_MAX_LAYERS);
    c->n_head = number(&r, "num_attention_heads", 32, 1, MODEL_MAX_HEADS);
    c->n_kv_head = number(&r, "num_key_value_heads", json_object_get(r.root, "num_key_value_heads") ? c->n_head : 8, 1,
                          MODEL_MAX_HEADS);
    c->head_dim = number(&r, "head_dim", c->n_head ? c->d_model / c->n_head : 0, 1, MODEL_MAX_HEAD_DIM);
    c->d_state = number(&r, "mamba_d_state", 16, 1, MODEL_MAX_D_STATE);
    c->d_conv = number(&r, "mamba_d_conv", 4, 1, MODEL_MAX_D_CONV);
    c->d_inner = c->d_model * number(&r, "mamba_expand", 2, 1, 16);
    json_t *rank = json_object_get(r.root, "mamba_dt_rank");
    bool automatic = !rank || (json_is_string(rank) && strcmp(json_string_value(rank), "auto") == 0);
    c->dt_rank = automatic ? (c->d_model + 15) / 16 : number(&r, "mamba_dt_rank", 0, 1, MODEL_MAX_DT_RANK);
    c->n_expert = number(&r, json_object_get(r.root, "num_experts") ? "num_experts" : "num_local_experts", 16, 1,
                         MODEL_MAX_EXPERTS);
    c->n_expert_used = c->n_expert > 1 ? number(&r, "num_experts_per_tok", 2, 1, c->n_expert) : 0;
    c->context_length = number(&r, "max_position_embeddings", 262144, 1, INT32_MAX);
    c->tied_embeddings = flag(&r, "tie_word_embeddings", false);
    json_t *eps = json_object_get(r.root, "rms_norm_eps");
    c->rms_norm_eps = json_is_number(eps) ? (float)json_number_value(eps) : 1e-6f;
    uint32_t a_period = number(&r, "attn_layer_period", 8, 1, MODEL_MAX_LAYERS),
             a_offset = number(&r, "attn_layer_offset", 4, 0, MODEL_MAX_LAYERS);
    uint32_t e_period = number(&r, "expert_layer_period", 2, 1, MODEL_MAX_LAYERS),
             e_offset = number(&r, "expert_layer_offset", 1, 0, MODEL_MAX_LAYERS);
    if (!r.rc && (a_offset >= a_period || e_offset >= e_period))
        r.rc = error_set(e, ERR_FORMAT, "config.json", "A layer offset must be smaller than its period.");
    json_t *bos = json_object_get(r.root, "bos_token_id"), *pad = json_object_get(r.root, "pad_token_id"),
           *eos = json_object_get(r.root, "eos_token_id");
    if (!r.rc) {
        c->bos = bos ? json_is_integer(bos) ? (int32_t)number(&r, "bos_token_id", 0, 0, c->n_vocab - 1) : -1
                 : c->n_vocab > 1 ? 1
                                  : -1;
        c->pad = pad ? json_is_integer(pad) ? (int32_t)number(&r, "pad_token_id", 0, 0, c->n_vocab - 1) : -1 : 0;
        add_ends(c, eos);
        int ignored;
        struct error unused;
        json_t *generation = load_json(folder, "generation_config.json", a, &ignored,
                                       &unused); /* chat models end by a second token named here */
        add_ends(c, json_object_get(generation, "eos_token_id"));
        json_decref(generation);
        if (c->eos[0] < 0 && c->n_vocab > 2) c->eos[0] = 2;
        *is_attention = arena_array(a, c->n_layer, sizeof **is_attention);
        *is_moe = arena_array(a, c->n_layer, sizeof **is_moe);
        if (!*is_attention || !*is_moe) r.rc = error_set(e, ERR_NOMEM, "config.json", "Out of memory.");
    }
    for (uint32_t i = 0; !r.rc && i < c->n_layer; i++) {
#ifdef MUTANT_ATTENTION_OFFSET
        (*is_attention)[i] = (i + 1) % a_period == a_offset;
#else
        (*is_attention)[i] = i % a_period == a_offset;
#endif
        (*is_moe)[i] = c->n_expert > 1 && i % e_period == e_offset;
    }
    read_kinds(&r, "layers_block_type", *is_attention, c->n_layer);
    read_kinds(&r, "layer_types", *is_attention, c->n_layer);
    for (uint32_t i = 0; !r.rc && i < c->n_layer; i++) c->n_attention_layer += (*is_attention)[i];
    json_decref(r.root);
    return r.rc ? r.rc : config_check(c, "config.json", e);
}
