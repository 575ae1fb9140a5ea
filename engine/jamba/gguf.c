/* gguf.c: reads GGUF version 3 (ggml docs/gguf.md), one file or llama.cpp's shards. Owns the byte format, knows the
 * jamba.* keys.
 *
 *     u32 magic "GGUF" | u32 version | u64 n_tensors | u64 n_values
 *     n_values  x  string key | u32 type | value           string: u64 length, bytes; array: u32 element type, u64 n,
 * elements n_tensors x  string name | u32 n_dims | u64 ne[n_dims] (fastest axis first) | u32 type | u64 offset padding
 * to `general.alignment`; then the data section, offsets relative to it, each a multiple of the alignment
 *
 * Every length is checked before it is used; tensors must lie inside the file and must not overlap. Shards hold
 * split.no (from 0), split.count and split.tensors.count; the first one holds the metadata.
 */
#include "engine/jamba/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GGUF_MAX_VALUES = 1 << 14,
    GGUF_MAX_ARRAY = 1 << 23,  /* elements; the largest vocabulary's merges */
    GGUF_MAX_STRING = 1 << 24, /* a chat template */
    GGUF_MAX_KEY = 1 << 12,
    GGUF_MAX_ALIGNMENT = 1 << 16
};

/* ---- a cursor that remembers that it failed ---- */
struct cursor {
    const uint8_t *base;
    size_t at, len;
    bool bad;
};

static const uint8_t *take(struct cursor *c, uint64_t n) {
    if (c->bad || n > c->len - c->at) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *p = c->base + c->at;
    c->at += (size_t)n;
    return p;
}

static uint32_t take_u32(struct cursor *c) {
    uint32_t v = 0;
    const uint8_t *p = take(c, sizeof v);
    if (p) memcpy(&v, p, sizeof v);
    return v;
}

static uint64_t take_u64(struct cursor *c) {
    uint64_t v = 0;
    const uint8_t *p = take(c, sizeof v);
    if (p) memcpy(&v, p, sizeof v);
    return v;
}

static struct slice take_string(struct cursor *c, uint64_t max) {
    uint64_t n = take_u64(c);
    if (n > max) c->bad = true;
    const uint8_t *p = take(c, n);
    return p ? (struct slice){(const char *)p, (size_t)n} : (struct slice){"", 0};
}

static size_t type_bytes(enum gguf_type t) {
    switch (t) {
    case GGUF_U8:
    case GGUF_I8:
    case GGUF_BOOL:
        return 1;
    case GGUF_U16:
    case GGUF_I16:
        return 2;
    case GGUF_U32:
    case GGUF_I32:
    case GGUF_F32:
        return 4;
    case GGUF_U64:
    case GGUF_I64:
    case GGUF_F64:
        return 8;
    default:
        return 0;
    }
}

static int bad_byte(const struct model_map *m, size_t at, struct error *e, const char *what) {
    char where[200];
    snprintf(where, sizeof where, "%s, byte %zu", path_base(m->path), at);
    return error_set(e, ERR_FORMAT, where, "The model file is cut short or damaged: %s. Copy or download it again.",
                     what);
}

/* ---- metadata ---- */
static int read_value(struct cursor *c, const struct model_map *m, struct gguf_value *v, struct error *e) {
    v->key = take_string(c, GGUF_MAX_KEY);
    size_t at = c->at;
    uint32_t type = take_u32(c);
    v->n = 1;
    if (!c->bad && type == GGUF_ARRAY) {
        v->is_array = true;
        type = take_u32(c);
        v->n = take_u64(c);
        if (!c->bad && v->n > GGUF_MAX_ARRAY) return bad_byte(m, at, e, "a metadata array is impossibly long");
    }
    if (c->bad) return bad_byte(m, at, e, "a metadata entry runs past its end");
    if (type > GGUF_F64 || type == GGUF_ARRAY) return bad_byte(m, at, e, "a metadata entry has an unknown type");
    v->type = (enum gguf_type)type;
    v->data = c->base + c->at;
    if (type == GGUF_STRING) {
        for (uint64_t i = 0; i < v->n && !c->bad; i++) (void)take_string(c, GGUF_MAX_STRING);
    } else {
        (void)take(c, v->n * type_bytes(v->type));
    }
    return c->bad ? bad_byte(m, at, e, "a metadata value runs past its end") : 0;
}

const struct gguf_value *gguf_find(const struct gguf *g, const char *key) {
    struct slice k = slice_of(key);
    for (size_t i = 0; i < g->n_values; i++)
        if (slice_equal(g->values[i].key, k)) return &g->values[i];
    return NULL;
}

bool gguf_integer_at(const struct gguf_value *v, uint64_t i, int64_t *out) {
    size_t n = type_bytes(v->type);
    uint64_t u = 0;
    if (i >= v->n || v->type == GGUF_F32 || v->type == GGUF_F64 || n == 0) return false;
    memcpy(&u, v->data + i * n, n);
    switch (v->type) {
    case GGUF_I8:
        *out = (int8_t)u;
        return true;
    case GGUF_I16:
        *out = (int16_t)u;
        return true;
    case GGUF_I32:
        *out = (int32_t)u;
        return true;
    default:
        break;
    }
    if (v->type == GGUF_U64 && u > INT64_MAX) return false;
    *out = (int64_t)u;
    return true;
}

float gguf_f32_at(const struct gguf_value *v, uint64_t i) {
    float f;
    memcpy(&f, v->data + i * sizeof f, sizeof f);
    return f;
}

int gguf_u32(const struct gguf *g, const char *key, uint32_t min, uint32_t max, uint32_t *out, struct error *e) {
    const struct gguf_value *v = gguf_find(g, key);
    int64_t n;
    if (!v || v->is_array || !gguf_integer_at(v, 0, &n))
        return error_set(e, ERR_FORMAT, g->file, "The model's metadata lack the number %s.", key);
    if (n < (int64_t)min || n > (int64_t)max)
        return error_set(e, ERR_FORMAT, g->file, "The model's %s is %lld; %u to %u can be.", key, (long long)n, min,
                         max);
    *out = (uint32_t)n;
    return 0;
}

int gguf_f32(const struct gguf *g, const char *key, float *out, struct error *e) {
    const struct gguf_value *v = gguf_find(g, key);
    if (!v || v->is_array || v->type != GGUF_F32)
        return error_set(e, ERR_FORMAT, g->file, "The model's metadata lack the number %s.", key);
    *out = gguf_f32_at(v, 0);
    return 0;
}

bool gguf_bool(const struct gguf *g, const char *key, bool fallback) {
    const struct gguf_value *v = gguf_find(g, key);
    return v && !v->is_array && v->type == GGUF_BOOL ? v->data[0] != 0 : fallback;
}

struct slice gguf_next_string(const uint8_t **at) {
    uint64_t n;
    memcpy(&n, *at, sizeof n);
    struct slice s = {(const char *)*at + sizeof n, (size_t)n};
    *at += sizeof n + n;
    return s;
}

struct slice gguf_string(const struct gguf *g, const char *key) {
    const struct gguf_value *v = gguf_find(g, key);
    if (!v || v->is_array || v->type != GGUF_STRING) return (struct slice){"", 0};
    const uint8_t *at = v->data;
    return gguf_next_string(&at);
}

/* ---- tensors ---- */
static int bad_tensor(const struct model_map *m, const char *name, struct error *e, const char *what) {
    return tensor_error(e, ERR_FORMAT, path_base(m->path), name, "%s", what);
}

static int read_tensor(struct cursor *c, const struct model_map *m, char name[MODEL_MAX_NAME + 1], struct tensor *t,
                       uint64_t *offset, struct error *e) {
    size_t at = c->at;
    struct slice s = take_string(c, MODEL_MAX_NAME);
    uint32_t n_dims = take_u32(c);
    if (c->bad || !s.len || !utf8_valid(s.data, s.len) || memchr(s.data, 0, s.len))
        return bad_byte(m, at, e, "a tensor's name is missing");
    memcpy(name, s.data, s.len);
    name[s.len] = 0;
    *t = (struct tensor){.name = name, .n_dims = n_dims, .ne = {1, 1, 1, 1}};
    if (n_dims < 1 || n_dims > 4) return bad_tensor(m, name, e, "The tensor has no shape of one to four axes.");
    uint64_t rows = 1;
    for (uint32_t d = 0; d < n_dims; d++) {
        t->ne[d] = take_u64(c);
        if (!c->bad && (t->ne[d] == 0 || t->ne[d] > UINT32_MAX))
            return bad_tensor(m, name, e, "The tensor has an impossible length of an axis.");
        if (d && rows > UINT64_MAX / (t->ne[d] ? t->ne[d] : 1))
            return bad_tensor(m, name, e, "The tensor's shape overflows.");
        if (d) rows *= t->ne[d];
    }
    uint32_t type = take_u32(c);
    *offset = take_u64(c);
    if (c->bad) return bad_byte(m, at, e, "the table of tensors runs past its end");
    t->type = (enum tensor_type)type;
    uint64_t row = tensor_row_bytes(t->type, t->ne[0]);
    if (!row && tensor_row_bytes(t->type, 256) == 0) {
        return tensor_error(e, ERR_UNSUPPORTED, path_base(m->path), name,
                            "The tensor's type (%s, number %u) is not supported.", tensor_type_name(t->type), type);
    }
    if (!row) return bad_tensor(m, name, e, "The tensor's rows are no whole number of blocks.");
    if (rows > m->len / row)
        return bad_tensor(m, name, e, "The tensor is larger than its file; the file is cut short.");
    t->bytes = rows * row;
    return 0;
}

struct extent {
    uint64_t from, to;
    const char *name;
};

static int extent_order(const void *a, const void *b) {
    const struct extent *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

static int check_overlaps(struct extent *x, size_t n, const struct model_map *m, struct error *e) {
    qsort(x, n, sizeof *x, extent_order);
    for (size_t i = 1; i < n; i++)
        if (x[i].from < x[i - 1].to) return bad_tensor(m, x[i].name, e, "The tensor's bytes overlap another tensor's.");
    return 0;
}

/* Reads one file's header into g (its values are replaced) and its tensors into l. no > 0: it must be that shard (from
 * 0) of count. */
static int read_file(struct gguf *g, struct tensor_list *l, const char *path, uint32_t no, uint32_t count,
                     struct error *e) {
    size_t map;
    int rc = tensor_list_map(l, path, &map, e);
    if (rc) return rc;
    struct model_map m = l->maps[map];
    struct cursor c = {.base = m.base, .len = m.len};
    struct extent *extents = NULL;
    const uint8_t *magic = take(&c, 4);
    if (!magic || memcmp(magic, "GGUF", 4) != 0)
        return error_set(e, ERR_FORMAT, path_base(path), "The file is not a GGUF model.");
    uint32_t version = take_u32(&c);
    if (c.bad) return bad_byte(&m, c.at, e, "its header is incomplete");
    if (version != 3)
        return error_set(e, ERR_UNSUPPORTED, path_base(path), "The file is GGUF version %u; version 3 is supported.",
                         version);
    uint64_t n_tensors = take_u64(&c), n_values = take_u64(&c);
    if (c.bad) return bad_byte(&m, c.at, e, "its header is incomplete");
    if (n_values > GGUF_MAX_VALUES || n_tensors > MODEL_MAX_TENSORS)
        return error_set(e, ERR_LIMIT, path_base(path),
                         "The file claims %llu metadata entries and %llu tensors; at most %d and %d can be.",
                         (unsigned long long)n_values, (unsigned long long)n_tensors, GGUF_MAX_VALUES,
                         MODEL_MAX_TENSORS);
    /* the smallest entry takes 13 bytes, the smallest tensor 33: a header cannot make us allocate more than its file's
     * size */
    if (n_values > m.len / 13 || n_tensors > m.len / 33)
        return bad_byte(&m, c.at, e, "it claims more entries than it can hold");
    g->values = arena_array(l->arena, n_values ? (size_t)n_values : 1, sizeof *g->values);
    g->n_values = 0;
    if (!g->values) return error_set(e, ERR_NOMEM, path_base(path), "Out of memory.");
    for (uint64_t i = 0; i < n_values; i++) {
        if ((rc = read_value(&c, &m, &g->values[i], e))) return rc;
        g->n_values++;
    }

    if (no) {
        uint32_t n = 0, of = 0;
        if ((rc = gguf_u32(g, "split.no", 0, MODEL_MAX_SHARDS, &n, e))) return rc;
        if ((rc = gguf_u32(g, "split.count", 1, MODEL_MAX_SHARDS, &of, e))) return rc;
        if (n != no || of != count)
            return error_set(e, ERR_FORMAT, g->file,
                             "The file is shard %u of %u of some model, where shard %u of %u belongs.", n + 1, of,
                             no + 1, count);
    }

    uint32_t alignment = 32;
    const struct gguf_value *v = gguf_find(g, "general.alignment");
    int64_t a;
    if (v) {
        if (v->is_array || !gguf_integer_at(v, 0, &a) || a < 8 || a > GGUF_MAX_ALIGNMENT || (a & (a - 1)))
            return error_set(e, ERR_FORMAT, path_base(path), "general.alignment is no power of two from 8 to %d.",
                             GGUF_MAX_ALIGNMENT);
        alignment = (uint32_t)a;
    }

    size_t first = l->n_tensors;
    extents = calloc(n_tensors ? (size_t)n_tensors : 1, sizeof *extents);
    if (!extents) return error_set(e, ERR_NOMEM, path_base(path), "Out of memory.");
    for (uint64_t i = 0; i < n_tensors; i++) {
        char name[MODEL_MAX_NAME + 1];
        struct tensor t;
        if ((rc = read_tensor(&c, &m, name, &t, &extents[i].from, e))) goto done;
        if ((rc = tensor_list_add(l, &t, map, e))) goto done;
    }
    uint64_t start = (c.at + (uint64_t)alignment - 1) / alignment * alignment;
    for (uint64_t i = 0; i < n_tensors; i++) {
        struct tensor *t = l->entries[first + i].tensor;
        uint64_t offset = extents[i].from;
        if (offset % alignment) {
            rc = bad_tensor(&m, t->name, e, "The tensor's offset is not aligned.");
            goto done;
        }
        if (start > m.len || offset > m.len - start || t->bytes > m.len - start - offset) {
            rc = bad_tensor(&m, t->name, e, "The tensor ends behind the end of its file; the file is cut short.");
            goto done;
        }
        t->data = m.base + start + offset;
        extents[i].to = offset + t->bytes;
        extents[i].name = t->name;
    }
    rc = check_overlaps(extents, (size_t)n_tensors, &m, e);
done:
    free(extents);
    return rc;
}

/* `…-00001-of-00003.gguf`: how many shards and where their number stands; 0: no such name. */
static uint32_t shard_name(const char *path, uint32_t *no) {
    size_t n = strlen(path), tail = sizeof("-00001-of-00003.gguf") - 1;
    if (n < tail) return 0;
    const char *p = path + n - tail;
    if (p[0] != '-' || memcmp(p + 6, "-of-", 4) != 0 || strcmp(p + 15, ".gguf") != 0) return 0;
    uint32_t count = 0;
    *no = 0;
    for (int i = 0; i < 5; i++) {
        if (p[1 + i] < '0' || p[1 + i] > '9' || p[10 + i] < '0' || p[10 + i] > '9') return 0;
        *no = *no * 10 + (uint32_t)(p[1 + i] - '0');
        count = count * 10 + (uint32_t)(p[10 + i] - '0');
    }
    return count;
}

int gguf_open(struct gguf *g, struct tensor_list *l, const char *path, struct error *e) {
    uint32_t no = 0, named = shard_name(path, &no), split_no = 0, count = 1, total = 0;
    *g = (struct gguf){0};
    if (named && no != 1)
        return error_set(e, ERR_ARG, path_base(path), "This is shard %u of %u. Name the first shard or the folder.", no,
                         named);
    int rc = read_file(g, l, path, 0, 0, e);
    if (rc) return rc;
    struct slice file = arena_slice(l->arena, slice_of(path_base(path)));
    g->file = file.data;
    if (!gguf_find(g, "split.count")) {
        if (named > 1)
            return error_set(e, ERR_FORMAT, g->file,
                             "The file's name says shard 1 of %u, its metadata (split.count) do not.", named);
        return 0;
    }
    if ((rc = gguf_u32(g, "split.count", 1, MODEL_MAX_SHARDS, &count, e))) return rc;
    if ((rc = gguf_u32(g, "split.no", 0, MODEL_MAX_SHARDS, &split_no, e))) return rc;
    if (count == 1) return 0;
    if (named != count || split_no != 0)
        return error_set(
            e, ERR_FORMAT, g->file,
            "The file says that it is shard %u of %u; a first shard must be named NAME-00001-of-%05u.gguf.",
            split_no + 1, count, count);
    size_t stem = strlen(path) - (sizeof("00001-of-00003.gguf") - 1);
    for (uint32_t i = 1; i < count; i++) {
        struct gguf shard = {0};
        struct slice name = arena_slice_printf(l->arena, "%.*s%05u-of-%05u.gguf", (int)stem, path, i + 1, count);
        if (!name.len) return error_set(e, ERR_NOMEM, g->file, "Out of memory.");
        shard.file = path_base(name.data);
        if ((rc = read_file(&shard, l, name.data, i, count, e))) {
            if (rc == ERR_NOT_FOUND)
                error_set(e, rc, shard.file, "The model has %u files; this one is missing beside %s.", count, g->file);
            return rc;
        }
    }
    if (gguf_find(g, "split.tensors.count")) {
        if ((rc = gguf_u32(g, "split.tensors.count", 0, MODEL_MAX_TENSORS, &total, e))) return rc;
        if (total != l->n_tensors)
            return error_set(e, ERR_FORMAT, g->file, "The model should have %u tensors, its files hold %zu.", total,
                             l->n_tensors);
    }
    return 0;
}

/* ---- jamba.* ---- */
static int32_t token_id(const struct gguf *g, const char *key, uint32_t n_vocab) {
    const struct gguf_value *v = gguf_find(g, key);
    int64_t id;
    return v && !v->is_array && gguf_integer_at(v, 0, &id) && id >= 0 && id < (int64_t)n_vocab ? (int32_t)id : -1;
}

int gguf_config(const struct gguf *g, const struct tensor_list *l, struct jamba_config *c, bool **is_attention,
                struct error *e) {
    struct slice architecture = gguf_string(g, "general.architecture");
    int rc;
    *c = (struct jamba_config){0};
    if (!slice_equal(architecture, SLICE_LITERAL("jamba")))
        return error_set(e, ERR_UNSUPPORTED, g->file,
                         "The model's architecture is \"%.*s\"; only jamba models can run.",
                         (int)(architecture.len < 60 ? architecture.len : 60), architecture.data);
    if ((rc = gguf_u32(g, "jamba.block_count", 1, MODEL_MAX_LAYERS, &c->n_layer, e))) return rc;
    if ((rc = gguf_u32(g, "jamba.context_length", 1, INT32_MAX, &c->context_length, e))) return rc;
    if ((rc = gguf_u32(g, "jamba.embedding_length", 1, MODEL_MAX_D_MODEL, &c->d_model, e))) return rc;
    if ((rc = gguf_u32(g, "jamba.feed_forward_length", 1, MODEL_MAX_D_FF, &c->d_ff, e))) return rc;
    if ((rc = gguf_u32(g, "jamba.attention.head_count", 1, MODEL_MAX_HEADS, &c->n_head, e))) return rc;
    if ((rc = gguf_f32(g, "jamba.attention.layer_norm_rms_epsilon", &c->rms_norm_eps, e))) return rc;
    if ((rc = gguf_u32(g, "jamba.ssm.conv_kernel", 1, MODEL_MAX_D_CONV, &c->d_conv, e))) return rc;
    if ((rc = gguf_u32(g, "jamba.ssm.inner_size", 1, MODEL_MAX_D_INNER, &c->d_inner, e))) return rc;
    if ((rc = gguf_u32(g, "jamba.ssm.state_size", 1, MODEL_MAX_D_STATE, &c->d_state, e))) return rc;
    if ((rc = gguf_u32(g, "jamba.ssm.time_step_rank", 1, MODEL_MAX_DT_RANK, &c->dt_rank, e))) return rc;
    if (gguf_find(g, "jamba.expert_count") &&
        (rc = gguf_u32(g, "jamba.expert_count", 0, MODEL_MAX_EXPERTS, &c->n_expert, e)))
        return rc;
    if (c->n_expert > 1 && (rc = gguf_u32(g, "jamba.expert_used_count", 1, c->n_expert, &c->n_expert_used, e)))
        return rc;

    /* which layers attend: jamba.attention.head_count_kv holds 0 for a Mamba layer */
    const struct gguf_value *v = gguf_find(g, "jamba.attention.head_count_kv");
    if (!v || !v->is_array || v->n != c->n_layer)
        return error_set(e, ERR_FORMAT, g->file,
                         "jamba.attention.head_count_kv must be an array of one number a layer (%u).", c->n_layer);
    *is_attention = arena_array(l->arena, c->n_layer, sizeof **is_attention);
    if (!*is_attention) return error_set(e, ERR_NOMEM, g->file, "Out of memory.");
    for (uint32_t i = 0; i < c->n_layer; i++) {
        int64_t n;
        if (!gguf_integer_at(v, i, &n) || n < 0 || n > (int64_t)c->n_head)
            return error_set(e, ERR_FORMAT, g->file, "jamba.attention.head_count_kv of layer %u is no number of heads.",
                             i);
        if (n && c->n_kv_head && n != (int64_t)c->n_kv_head)
            return error_set(e, ERR_UNSUPPORTED, g->file,
                             "Attention layers differ in their number of KV heads (layer %u).", i);
        if (n) c->n_kv_head = (uint32_t)n;
        (*is_attention)[i] = n != 0;
        c->n_attention_layer += n != 0;
    }
    if (gguf_find(g, "jamba.attention.key_length")) {
        if ((rc = gguf_u32(g, "jamba.attention.key_length", 1, MODEL_MAX_HEAD_DIM, &c->head_dim, e))) return rc;
    } else {
        c->head_dim = c->d_model / c->n_head;
    }

    const struct tensor *embd = tensor_list_find(l, "token_embd.weight");
    const struct gguf_value *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    if (!embd) return error_set(e, ERR_FORMAT, g->file, "The model's files lack the tensor token_embd.weight.");
    if (!tokens || !tokens->is_array || tokens->type != GGUF_STRING || tokens->n != embd->ne[1])
        return error_set(e, ERR_FORMAT, g->file, "The model has %llu embeddings but %llu tokens in its vocabulary.",
                         (unsigned long long)embd->ne[1], (unsigned long long)(tokens ? tokens->n : 0));
    if (embd->ne[1] > MODEL_MAX_VOCAB)
        return error_set(e, ERR_LIMIT, g->file, "The vocabulary is larger than %d.", MODEL_MAX_VOCAB);
    c->n_vocab = (uint32_t)embd->ne[1];
    c->tied_embeddings = tensor_list_find(l, "output.weight") == NULL;

    c->bos = token_id(g, "tokenizer.ggml.bos_token_id", c->n_vocab);
    c->pad = token_id(g, "tokenizer.ggml.padding_token_id", c->n_vocab);
    static const char *const ENDS[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    size_t n_eos = 0;
    for (size_t i = 0; i < sizeof ENDS / sizeof ENDS[0]; i++) {
        int32_t id = token_id(g, ENDS[i], c->n_vocab);
        bool seen = id < 0;
        for (size_t j = 0; j < n_eos; j++) seen = seen || c->eos[j] == id;
        if (!seen) c->eos[n_eos++] = id;
    }
    for (; n_eos < 4; n_eos++) c->eos[n_eos] = -1;
    return config_check(c, g->file, e);
}
