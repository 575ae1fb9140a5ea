/* safetensors.c: tensors of a Hugging Face checkpoint under GGUF's names. The file format: u64 n, n bytes of JSON
 * {name: {dtype, shape, data_offsets [from, to)}}, data. Shapes are slowest axis first there, fastest first here.
 *
 * Names and shapes after transformers' modeling_jamba.py; two layouts of experts (one tensor each, or fused
 * gate_up_proj [E, 2I, H] and down_proj [E, H, I]) and the names of the first community checkpoints (`moe`,
 * `pre_moe_layernorm`, `B_layernorm`). A stored lm_head of a tied model is ignored, as transformers does.
 */
#include "engine/jamba/safetensors.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAFETENSORS_MAX_HEADER = 100 << 20, SAFETENSORS_MAX_INDEX = 64 << 20 };

/* ---- one file ---- */
static enum tensor_type type_of(const char *dtype) {
    return strcmp(dtype, "F32") == 0    ? TENSOR_F32
           : strcmp(dtype, "F16") == 0  ? TENSOR_F16
           : strcmp(dtype, "BF16") == 0 ? TENSOR_BF16
                                        : TENSOR_Q2_K;
}

static int add_entry(struct tensor_list *l, size_t map, uint64_t start, const char *name, json_t *entry,
                     struct error *e) {
    const struct model_map *m = &l->maps[map];
    const char *file = path_base(m->path), *dtype = json_string_value(json_object_get(entry, "dtype"));
    json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    size_t n_dims = json_array_size(shape);
    if (strlen(name) > MODEL_MAX_NAME)
        return error_set(e, ERR_LIMIT, file, "A tensor's name is longer than %d bytes.", MODEL_MAX_NAME);
    if (!dtype || !json_is_array(shape) || n_dims > 4 || json_array_size(offsets) != 2)
        return tensor_error(e, ERR_FORMAT, file, name, "The tensor's entry lacks dtype, shape or data_offsets.");
    struct tensor t = {
        .name = name, .type = type_of(dtype), .n_dims = n_dims ? (uint32_t)n_dims : 1, .ne = {1, 1, 1, 1}};
    if (t.type == TENSOR_Q2_K)
        return tensor_error(e, ERR_UNSUPPORTED, file, name,
                            "The tensor's type is %.20s; F32, F16 and BF16 are supported.", dtype);
    uint64_t n = 1;
    for (size_t d = 0; d < n_dims; d++) {
        json_int_t x = json_integer_value(json_array_get(shape, n_dims - 1 - d));
        if (x <= 0 || x > UINT32_MAX || n > m->len / (uint64_t)x)
            return tensor_error(e, ERR_FORMAT, file, name, "The tensor's shape is impossible.");
        t.ne[d] = (uint64_t)x;
        n *= (uint64_t)x;
    }
    json_int_t from = json_integer_value(json_array_get(offsets, 0)),
               to = json_integer_value(json_array_get(offsets, 1));
    t.bytes = n * (t.type == TENSOR_F32 ? 4 : 2);
    if (from < 0 || to < from || (uint64_t)to > m->len - start || (uint64_t)(to - from) != t.bytes)
        return tensor_error(e, ERR_FORMAT, file, name,
                            "The tensor's bytes do not fit its shape or end behind the file; the file is cut short.");
    t.data = m->base + start + from;
    return tensor_list_add(l, &t, map, e);
}

static int read_file(struct tensor_list *l, const char *path, struct error *e) {
    size_t map;
    uint64_t n;
    int rc = tensor_list_map(l, path, &map, e);
    if (rc) return rc;
    const struct model_map *m = &l->maps[map];
    const char *file = path_base(m->path);
    if (m->len < sizeof n || (memcpy(&n, m->base, sizeof n), n > SAFETENSORS_MAX_HEADER || n > m->len - sizeof n))
        return error_set(e, ERR_FORMAT, file, "The file is no safetensors file, or it is cut short.");
    json_error_t bad;
    json_t *head = json_loadb((const char *)m->base + sizeof n, (size_t)n, JSON_REJECT_DUPLICATES, &bad), *entry;
    const char *name;
    if (!json_is_object(head))
        rc = error_set(e, ERR_FORMAT, file, "The file's table of tensors is no JSON (position %d): %.160s.",
                       bad.position, bad.text);
    else
        json_object_foreach(head, name, entry) {
            if (rc) break;
            if (strcmp(name, "__metadata__") != 0) rc = add_entry(l, map, sizeof n + n, name, entry, e);
        }
    json_decref(head);
    return rc;
}

static const char *join(struct tensor_list *l, const char *folder, const char *file) {
    struct slice s = arena_slice_printf(l->arena, "%s/%s", folder, file);
    return s.len ? s.data : NULL;
}

static int read_index(struct tensor_list *l, const char *folder, struct slice text, struct error *e) {
    static const char where[] = "model.safetensors.index.json";
    json_t *root = json_loadb(text.data, text.len, 0, NULL), *weights = json_object_get(root, "weight_map"),
           *seen = json_object(), *file;
    const char *name;
    int rc = json_is_object(weights) && seen ? 0 : error_set(e, ERR_FORMAT, where, "The index has no weight_map.");
    if (!rc) json_object_foreach(weights, name, file) {
            const char *s = json_string_value(file);
            if (rc) break;
            if (!s || !*s || strchr(s, '/')) {
                rc = error_set(e, ERR_FORMAT, where, "The index names no file beside it for %.100s.", name);
            } else if (!json_object_get(seen, s)) {
                const char *path = join(l, folder, s);
                if (json_object_size(seen) >= MODEL_MAX_SHARDS)
                    rc = error_set(e, ERR_LIMIT, where, "The model has more than %d files.", MODEL_MAX_SHARDS);
                else if (!path || json_object_set_new(seen, s, json_true()))
                    rc = error_set(e, ERR_NOMEM, where, "Out of memory.");
                else
                    rc = read_file(l, path, e);
                if (rc == ERR_NOT_FOUND) error_set(e, rc, s, "A file of the model is missing.");
            }
        }
    json_decref(seen);
    json_decref(root);
    return rc;
}

/* ---- GGUF's names ---- */
struct names {
    struct tensor_list *l;
    uint32_t layer;
    bool conv_bias; /* a layer before had one: then all do, and one that lacks it has lost it */
    struct error *e;
    int rc;
};

static const char *first_file(const struct tensor_list *l) {
    return l->n_maps ? path_base(l->maps[0].path) : "";
}

/* The layer's tensor by the first of up to three spellings (NULL ends), NULL when it has none. */
static struct tensor *find(struct names *s, const char *a, const char *b, const char *c) {
    const char *const spellings[] = {a, b, c};
    char name[MODEL_MAX_NAME + 1];
    for (int i = 0; i < 3 && spellings[i]; i++) {
        snprintf(name, sizeof name, "model.layers.%u.%s", s->layer, spellings[i]);
        struct tensor *t = tensor_list_find(s->l, name);
        if (t) return t;
    }
    return NULL;
}

static void missing(struct names *s, const char *name) {
    char full[MODEL_MAX_NAME + 1];
    snprintf(full, sizeof full, "model.layers.%u.%s", s->layer, name);
    s->rc = tensor_error(s->e, ERR_FORMAT, first_file(s->l), full, "The model's files lack this tensor.");
}

static size_t map_of(const struct tensor_list *l, const void *data) {
    const uint8_t *p = data;
    for (size_t i = 0; i < l->n_maps; i++)
        if (p >= l->maps[i].base && p < l->maps[i].base + l->maps[i].len) return i;
    return SIZE_MAX;
}

/* The values themselves, or a copy where the file does not align them. */
static const void *aligned(struct names *s, enum tensor_type type, const void *data, uint64_t bytes) {
    if ((uintptr_t)data % (type == TENSOR_F32 ? 4 : 2) == 0) return data;
    void *copy = arena_alloc(s->l->arena, (size_t)bytes);
    if (copy)
        memcpy(copy, data, (size_t)bytes);
    else
        s->rc = error_set(s->e, ERR_NOMEM, first_file(s->l), "Out of memory.");
    return copy;
}

/* Lists t under GGUF's name. */
static void put(struct names *s, struct tensor t, const char *name, bool in_layer) {
    char full[MODEL_MAX_NAME + 1];
    if (in_layer)
        snprintf(full, sizeof full, "blk.%u.%s", s->layer, name);
    else
        snprintf(full, sizeof full, "%s", name);
    t.name = full;
    size_t map = map_of(s->l, t.data);
    t.data = aligned(s, t.type, t.data, t.bytes);
    if (!s->rc) s->rc = tensor_list_add(s->l, &t, map, s->e);
}

static void rename_one(struct names *s, const char *gguf, const char *a, const char *b, const char *c) {
    if (s->rc) return;
    const struct tensor *t = find(s, a, b, c);
    if (t)
        put(s, *t, gguf, true);
    else
        missing(s, a);
}

static float *floats(struct names *s, uint64_t n) {
    float *p = arena_array(s->l->arena, (size_t)n, sizeof *p);
    if (!p) s->rc = error_set(s->e, ERR_NOMEM, first_file(s->l), "Out of memory.");
    return p;
}

static void mamba(struct names *s, const struct jamba_config *c) {
    const struct tensor *log = find(s, "mamba.A_log", NULL, NULL), *conv = find(s, "mamba.conv1d.weight", NULL, NULL);
    if (find(s, "mamba.in_proj.bias", "mamba.out_proj.bias", NULL))
        s->rc = error_set(s->e, ERR_UNSUPPORTED, "config.json",
                          "Mamba layers with biases on their projections are not supported.");
    if (!s->rc && !log) missing(s, "mamba.A_log");
    if (!s->rc && !conv) missing(s, "mamba.conv1d.weight");
    if (s->rc) return;
    rename_one(s, "ssm_in.weight", "mamba.in_proj.weight", NULL, NULL);
    struct tensor t = *conv; /* [d, 1, K]: the middle axis goes */
    if (t.ne[1] == 1 && t.n_dims == 3) t.ne[1] = t.ne[2], t.ne[2] = 1, t.n_dims = 2;
    put(s, t, "ssm_conv1d.weight", true);
    if (s->conv_bias || find(s, "mamba.conv1d.bias", NULL, NULL)) {
        s->conv_bias = true;
        rename_one(s, "ssm_conv1d.bias", "mamba.conv1d.bias", NULL, NULL);
    } else if (!s->rc) {
        t = (struct tensor){.type = TENSOR_F32, .n_dims = 1, .ne = {c->d_inner, 1, 1, 1}, .bytes = 4ull * c->d_inner};
        t.data = floats(s, c->d_inner);
        if (!s->rc) put(s, t, "ssm_conv1d.bias", true);
    }
    rename_one(s, "ssm_x.weight", "mamba.x_proj.weight", NULL, NULL);
    rename_one(s, "ssm_dt.weight", "mamba.dt_proj.weight", NULL, NULL);
    rename_one(s, "ssm_dt.bias", "mamba.dt_proj.bias", NULL, NULL);
    rename_one(s, "ssm_dt_norm.weight", "mamba.dt_layernorm.weight", NULL, NULL);
    rename_one(s, "ssm_b_norm.weight", "mamba.b_layernorm.weight", "mamba.B_layernorm.weight", NULL);
    rename_one(s, "ssm_c_norm.weight", "mamba.c_layernorm.weight", "mamba.C_layernorm.weight", NULL);
    rename_one(s, "ssm_d", "mamba.D", NULL, NULL);
    rename_one(s, "ssm_out.weight", "mamba.out_proj.weight", NULL, NULL);
    t = *log;
    uint64_t rows = t.ne[1] * t.ne[2] * t.ne[3];
    float *a = s->rc ? NULL : floats(s, t.ne[0] * rows);
    if (!a) return;
    tensor_row_to_f32(t.type, t.data, a, t.ne[0] * rows);
    for (uint64_t i = 0; i < t.ne[0] * rows; i++) a[i] = -expf(a[i]);
    t.type = TENSOR_F32, t.data = a, t.bytes = 4 * t.ne[0] * rows;
    put(s, t, "ssm_a", true);
}

/* The experts' matrices where they lie in the files (nothing is copied: they are most of a model): part (gate, up or
 * down) of n_in x n_out values each. */
static void stack(struct names *s, const struct jamba_config *c, const char *gguf, const char *part, uint64_t n_in,
                  uint64_t n_out) {
    bool down = strcmp(part, "down") == 0;
    if (s->rc) return;
    const struct tensor *fused =
        find(s, down ? "feed_forward.experts.down_proj" : "feed_forward.experts.gate_up_proj", NULL, NULL);
    struct tensor t = {.n_dims = 3, .ne = {n_in, n_out, c->n_expert, 1}};
    const void **parts = arena_array(s->l->arena, c->n_expert, sizeof *parts);
    if (!parts) {
        s->rc = error_set(s->e, ERR_NOMEM, gguf, "Out of memory.");
        return;
    }
    for (uint32_t i = 0; i < c->n_expert && !s->rc; i++) {
        char name[3][80];
        snprintf(name[0], sizeof name[0], "feed_forward.experts.%u.%s_proj.weight", i, part);
        snprintf(name[1], sizeof name[1], "moe.experts.%u.%s_proj.weight", i, part);
        const struct tensor *one = fused ? fused : find(s, name[0], name[1], NULL);
        if (!one) {
            missing(s, name[0]);
            break;
        }
        uint64_t rows = fused && !down ? 2 * n_out : n_out, size = tensor_row_bytes(one->type, n_in) * n_out;
        bool fits =
            one->ne[0] == n_in && one->ne[1] == rows && one->ne[2] == (fused ? c->n_expert : 1) && one->ne[3] == 1;
        if (!fits || (i && one->type != t.type)) {
            s->rc = tensor_error(s->e, ERR_FORMAT, tensor_list_file(s->l, one), one->name,
                                 "The expert's shape or type is not the configuration's.");
            break;
        }
        const uint8_t *from = one->data;
        bool second = strcmp(part, "up") == 0; /* behind the gate's rows */
#ifdef MUTANT_FUSED_HALVES
        second = strcmp(part, "gate") == 0;
#endif
        if (fused) from += i * tensor_row_bytes(one->type, n_in) * rows + (second ? size : 0);
        t.type = one->type;
        t.bytes += size;
        parts[i] = aligned(s, t.type, from, size);
    }
    t.data = parts[0];
    t.parts = parts;
    if (!s->rc) put(s, t, gguf, true);
}

static void feed_forward(struct names *s, const struct jamba_config *c, bool moe) {
    if (!moe) {
        rename_one(s, "ffn_gate.weight", "feed_forward.gate_proj.weight", "feed_forward.experts.0.gate_proj.weight",
                   "moe.experts.0.gate_proj.weight");
        rename_one(s, "ffn_up.weight", "feed_forward.up_proj.weight", "feed_forward.experts.0.up_proj.weight",
                   "moe.experts.0.up_proj.weight");
        rename_one(s, "ffn_down.weight", "feed_forward.down_proj.weight", "feed_forward.experts.0.down_proj.weight",
                   "moe.experts.0.down_proj.weight");
        return;
    }
    rename_one(s, "ffn_gate_inp.weight", "feed_forward.router.weight", "moe.router.weight", NULL);
    stack(s, c, "ffn_gate_exps.weight", "gate", c->d_model, c->d_ff);
    stack(s, c, "ffn_up_exps.weight", "up", c->d_model, c->d_ff);
    stack(s, c, "ffn_down_exps.weight", "down", c->d_ff, c->d_model);
}

static void top(struct names *s, const char *gguf, const char *name) {
    if (s->rc) return;
    const struct tensor *t = tensor_list_find(s->l, name);
    if (t)
        put(s, *t, gguf, false);
    else
        s->rc = tensor_error(s->e, ERR_FORMAT, first_file(s->l), name, "The model's files lack this tensor.");
}

int safetensors_open(struct tensor_list *l, const char *folder, const struct jamba_config *c, const bool *is_attention,
                     const bool *is_moe, struct error *e) {
    struct names s = {.l = l, .e = e};
    struct buf index = {0};
    const char *path = join(l, folder, "model.safetensors.index.json"), *single = join(l, folder, "model.safetensors");
    if (!path || !single) return error_set(e, ERR_NOMEM, folder, "Out of memory.");
    int rc = file_read(path, SAFETENSORS_MAX_INDEX, &index, e);
    if (!rc)
        rc = read_index(l, folder, buf_slice(&index), e);
    else if (rc == ERR_NOT_FOUND)
        rc = read_file(l, single, e);
    buf_free(&index);
    if (rc) return rc;
    top(&s, "token_embd.weight", "model.embed_tokens.weight");
    top(&s, "output_norm.weight", "model.final_layernorm.weight");
    if (!c->tied_embeddings) top(&s, "output.weight", "lm_head.weight");
    for (s.layer = 0; s.layer < c->n_layer && !s.rc; s.layer++) {
        rename_one(&s, "attn_norm.weight", "input_layernorm.weight", NULL, NULL);
        rename_one(&s, "ffn_norm.weight", "pre_ff_layernorm.weight", "pre_moe_layernorm.weight", NULL);
        if (is_attention[s.layer]) {
            rename_one(&s, "attn_q.weight", "self_attn.q_proj.weight", NULL, NULL);
            rename_one(&s, "attn_k.weight", "self_attn.k_proj.weight", NULL, NULL);
            rename_one(&s, "attn_v.weight", "self_attn.v_proj.weight", NULL, NULL);
            rename_one(&s, "attn_output.weight", "self_attn.o_proj.weight", NULL, NULL);
        } else if (!s.rc) {
            mamba(&s, c);
        }
        feed_forward(&s, c, is_moe[s.layer]);
    }
    return s.rc;
}
