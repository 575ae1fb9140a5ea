/* tiny_model.h: writes small Jamba models as GGUF files, well formed or broken on purpose, for tests. Weights are noise
 * of a seed, scaled so that activations stay finite. The vocabulary: four control tokens, a user token ",", the 256
 * bytes, a few merges, filler.
 *
 *     struct tiny_model t = TINY_MODEL;
 *     t.n_expert = 4, t.n_expert_used = 2;
 *     tiny_model_write(&t, "build/tiny.gguf");
 */
#ifndef ANTINOMY_TINY_MODEL_H
#define ANTINOMY_TINY_MODEL_H

#include "engine/jamba/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tiny_model {
    uint32_t n_layer, d_model, d_ff, n_head, n_kv_head, d_inner, d_state, d_conv, dt_rank, n_expert, n_expert_used,
        n_vocab;
    uint32_t attention_period, attention_offset, expert_period, expert_offset;
    bool tied;
    enum tensor_type matrix; /* of all matrices; those whose rows do not fit its blocks are F16 */
    bool fallback;           /* where blocks of 256 do not fit: the type that llama.cpp takes instead, then F16 */
    uint32_t seed;
    uint32_t n_shards, shard;    /* n_shards > 1: these bytes are those of one shard, from 0 */
    bool bare_first;             /* the first shard holds no tensor (gguf-split --no-tensor-first-split) */
    const char *name;            /* general.name; NULL = "tiny" */
    const char *const *controls; /* names of further control tokens, in place of filler; ends with NULL */
    /* sabotage: */
    const char *drop, *twice, *swap_axes, *not_finite, *positive; /* name of a tensor */
    const char *drop_key;                                         /* a metadata key without "jamba." */
    const char *overlap;                                          /* its offset is that of the tensor before it */
    const char *unaligned, *beyond;                               /* offset + 1; offset behind the file's end */
    uint32_t type_number;                                         /* != 0: type of the first tensor */
    uint64_t n_tensors, n_values;                                 /* != 0: counts claimed in the header */
    uint32_t version;                                             /* != 0 */
};
#define TINY_MODEL                                                                                                     \
    {                                                                                                                  \
        .n_layer = 4, .d_model = 64, .d_ff = 96, .n_head = 4, .n_kv_head = 2, .d_inner = 128, .d_state = 8,            \
        .d_conv = 4, .dt_rank = 5, .n_vocab = 300, .attention_period = 3, .attention_offset = 1, .expert_period = 2,   \
        .expert_offset = 1, .tied = true, .matrix = TENSOR_F32, .seed = 1                                              \
    }

struct tiny_writer {
    const struct tiny_model *t;
    struct buf values, infos, data;
    uint64_t n_values, n_tensors, last_offset, n_seen; /* n_seen: of all shards */
    uint32_t random;
};

static inline void tiny_u32(struct buf *b, uint32_t v) {
    buf_append(b, &v, sizeof v);
}
static inline void tiny_u64(struct buf *b, uint64_t v) {
    buf_append(b, &v, sizeof v);
}
static inline void tiny_string(struct buf *b, const char *s) {
    tiny_u64(b, strlen(s));
    buf_puts(b, s);
}

static inline bool tiny_key(struct tiny_writer *w, const char *key, uint32_t type) {
    if (w->t->drop_key && strcmp(w->t->drop_key, key) == 0) return false;
    tiny_string(&w->values, key);
    tiny_u32(&w->values, type);
    w->n_values++;
    return true;
}
static inline void tiny_key_u32(struct tiny_writer *w, const char *key, uint32_t v) {
    if (tiny_key(w, key, 4)) tiny_u32(&w->values, v);
}
static inline void tiny_key_string(struct tiny_writer *w, const char *key, const char *v) {
    if (tiny_key(w, key, 8)) tiny_string(&w->values, v);
}
static inline bool tiny_key_array(struct tiny_writer *w, const char *key, uint32_t type, uint64_t n) {
    if (!tiny_key(w, key, 9)) return false;
    tiny_u32(&w->values, type);
    tiny_u64(&w->values, n);
    return true;
}

static inline float tiny_noise(struct tiny_writer *w) { /* about uniform in -1..1 */
    w->random = w->random * 1664525u + 1013904223u;
    return (float)(int32_t)w->random * 0x1p-31f;
}

static inline uint16_t tiny_f16(float f) { /* of normal numbers in range, cut */
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    int exponent = (int)(u >> 23 & 255) - 127 + 15;
    return exponent <= 0 ? 0 : (uint16_t)((u >> 16 & 0x8000) | (uint32_t)exponent << 10 | (u >> 13 & 1023));
}

/* One row of n values of about `scale`. */
static inline void tiny_row(struct tiny_writer *w, enum tensor_type type, uint64_t n, float scale, float base) {
    uint64_t bytes = tensor_row_bytes(type, n);
    if (type == TENSOR_F32 || type == TENSOR_F16 || type == TENSOR_BF16) {
        for (uint64_t i = 0; i < n; i++) {
            float f = base + scale * tiny_noise(w);
            uint16_t half = tiny_f16(f), top;
            memcpy(&top, (const char *)&f + 2, sizeof top);
            if (type == TENSOR_F32) buf_append(&w->data, &f, sizeof f);
            if (type == TENSOR_F16) buf_append(&w->data, &half, sizeof half);
            if (type == TENSOR_BF16) buf_append(&w->data, &top, sizeof top);
        }
        return;
    }
    uint8_t *row = malloc(bytes);
    if (!row) abort();
    for (uint64_t i = 0; i < bytes; i++) row[i] = (uint8_t)((int)(tiny_noise(w) * 127) + 128);
    uint64_t size = tensor_row_bytes(type, 256) / (n % 256 || type == TENSOR_Q8_0 || type < TENSOR_Q2_K ? 8 : 1);
    float d = scale / (type == TENSOR_Q8_0 ? 127 : type == TENSOR_Q4_0 ? 8 : type == TENSOR_Q6_K ? 32 * 64 : 16);
    if (type == TENSOR_Q4_K || type == TENSOR_Q5_K) d = scale / (16 * 32);
    for (uint64_t at = 0; at < bytes; at += size) {
        uint16_t half = tiny_f16(d), minus = tiny_f16(type == TENSOR_Q4_K || type == TENSOR_Q5_K ? d * 8 : -d * 8);
        memcpy(row + at + (type == TENSOR_Q6_K ? 208 : 0), &half, 2);
        if (type == TENSOR_Q4_1 || type == TENSOR_Q5_1 || type == TENSOR_Q4_K || type == TENSOR_Q5_K)
            memcpy(row + at + 2, &minus, 2);
    }
    buf_append(&w->data, row, bytes);
    free(row);
}

static inline bool tiny_is(const char *a, const char *b) {
    return a && strcmp(a, b) == 0;
}

/* jamba-spec 5.4 (llama.cpp's tensor_type_fallback) */
static inline enum tensor_type tiny_fallback(enum tensor_type type) {
    return type == TENSOR_Q4_K   ? TENSOR_Q5_0
           : type == TENSOR_Q5_K ? TENSOR_Q5_1
           : type == TENSOR_Q6_K ? TENSOR_Q8_0
                                 : type;
}

static inline void tiny_tensor(struct tiny_writer *w, const char *name, bool matrix, uint32_t n0, uint32_t n1,
                               uint32_t n2, float scale, float base) {
    const struct tiny_model *t = w->t;
    if (tiny_is(t->drop, name)) return;
    enum tensor_type type = matrix ? t->matrix : TENSOR_F32;
    if (t->fallback && !tensor_row_bytes(type, n0)) type = tiny_fallback(type);
    if (!tensor_row_bytes(type, n0)) type = TENSOR_F16;
    size_t n_infos = w->infos.len, n_data = w->data.len;
    uint64_t before = w->n_tensors, turn = w->n_seen++;
    for (int copy = 0; copy < (tiny_is(t->twice, name) ? 2 : 1); copy++) {
        while (w->data.len % 32) buf_append(&w->data, "", 1);
        uint64_t offset = tiny_is(t->overlap, name) ? w->last_offset : w->data.len;
        w->last_offset = w->data.len;
        if (tiny_is(t->unaligned, name)) offset++;
        if (tiny_is(t->beyond, name)) offset += (uint64_t)1 << 40;
        bool swap = tiny_is(t->swap_axes, name);
        tiny_string(&w->infos, name);
        tiny_u32(&w->infos, n2 ? 3 : n1 ? 2 : 1);
        tiny_u64(&w->infos, swap ? n1 : n0);
        if (n1) tiny_u64(&w->infos, swap ? n0 : n1);
        if (n2) tiny_u64(&w->infos, n2);
        tiny_u32(&w->infos, t->type_number && !w->n_tensors ? t->type_number : (uint32_t)type);
        tiny_u64(&w->infos, offset);
        w->n_tensors++;
        size_t start = w->data.len;
        for (uint64_t r = 0; r < (uint64_t)(n1 ? n1 : 1) * (n2 ? n2 : 1); r++) tiny_row(w, type, n0, scale, base);
        float bad = tiny_is(t->positive, name) ? 1.0f : (float)NAN;
        if (tiny_is(t->positive, name) || tiny_is(t->not_finite, name))
            memcpy(w->data.data + start + 4, &bad, sizeof bad);
    }
    if (t->n_shards < 2) return;
    uint64_t first = t->bare_first ? 1 : 0, mine = first + turn % (t->n_shards - first);
    if (mine == t->shard) return;
    w->infos.len = n_infos, w->data.len = n_data, w->n_tensors = before; /* another shard's */
}

static inline bool tiny_is_attention(const struct tiny_model *t, uint32_t layer) {
    return layer % t->attention_period == t->attention_offset;
}
static inline bool tiny_is_moe(const struct tiny_model *t, uint32_t layer) {
    return t->n_expert > 1 && layer % t->expert_period == t->expert_offset;
}

static inline void tiny_metadata(struct tiny_writer *w) {
    const struct tiny_model *t = w->t;
    float eps = 1e-6f;
    tiny_key_string(w, "general.architecture", "jamba");
    tiny_key_string(w, "general.name", t->name ? t->name : "tiny");
    tiny_key_u32(w, "jamba.block_count", t->n_layer);
    tiny_key_u32(w, "jamba.context_length", 4096);
    tiny_key_u32(w, "jamba.embedding_length", t->d_model);
    tiny_key_u32(w, "jamba.feed_forward_length", t->d_ff);
    tiny_key_u32(w, "jamba.attention.head_count", t->n_head);
    if (tiny_key_array(w, "jamba.attention.head_count_kv", 5, t->n_layer))
        for (uint32_t i = 0; i < t->n_layer; i++) tiny_u32(&w->values, tiny_is_attention(t, i) ? t->n_kv_head : 0);
    if (tiny_key(w, "jamba.attention.layer_norm_rms_epsilon", 6)) buf_append(&w->values, &eps, sizeof eps);
    tiny_key_u32(w, "jamba.ssm.conv_kernel", t->d_conv);
    tiny_key_u32(w, "jamba.ssm.inner_size", t->d_inner);
    tiny_key_u32(w, "jamba.ssm.state_size", t->d_state);
    tiny_key_u32(w, "jamba.ssm.time_step_rank", t->dt_rank);
    tiny_key_u32(w, "jamba.expert_count", t->n_expert);
    tiny_key_u32(w, "jamba.expert_used_count", t->n_expert_used);

    /* the vocabulary: GPT-2's byte alphabet */
    static const char *const NAMES[] = {"<|end|>", "<|doc|>", "<|question|>", "<think>", ","};
    static const char *const MERGES[] = {"t h", "th e", "Ġ the", "i n", "a b", "ab c"};
    enum { N_NAMES = 5, N_MERGES = 6, FIRST_FILLER = N_NAMES + 256 + N_MERGES };
    uint32_t n_controls = 0;
    while (t->controls && t->controls[n_controls]) n_controls++;
    tiny_key_string(w, "tokenizer.ggml.model", "gpt2");
    tiny_key_string(w, "tokenizer.ggml.pre", "smollm");
    if (tiny_key_array(w, "tokenizer.ggml.tokens", 8, t->n_vocab))
        for (uint32_t i = 0; i < t->n_vocab; i++) {
            char s[32] = "";
            uint32_t b = i - N_NAMES;
            if (i < N_NAMES) {
                snprintf(s, sizeof s, "%s", NAMES[i]);
            } else if (b < 256) {
                uint32_t k = b < 0x21 ? b : b < 0xa1 ? b - 0x7f + 33 : 67; /* the k-th byte that is not printable */
                bool printable = (b >= 0x21 && b < 0x7f) || (b >= 0xa1 && b != 0xad);
                utf8_encode(printable ? b : 0x100 + k, s);
            } else if (b - 256 < N_MERGES) {
                const char *m = MERGES[b - 256], *space = strchr(m, ' ');
                snprintf(s, sizeof s, "%.*s%s", (int)(space - m), m, space + 1);
            } else if (i - FIRST_FILLER < n_controls) {
                snprintf(s, sizeof s, "%s", t->controls[i - FIRST_FILLER]);
            } else {
                snprintf(s, sizeof s, "filler%u", i);
            }
            tiny_string(&w->values, s);
        }
    if (tiny_key_array(w, "tokenizer.ggml.token_type", 5, t->n_vocab))
        for (uint32_t i = 0; i < t->n_vocab; i++)
            tiny_u32(&w->values, i < 3 || (i >= FIRST_FILLER && i - FIRST_FILLER < n_controls) ? 3
                                 : i < N_NAMES                                                 ? 4
                                                                                               : 1);
    if (tiny_key_array(w, "tokenizer.ggml.merges", 8, N_MERGES))
        for (int i = 0; i < N_MERGES; i++) tiny_string(&w->values, MERGES[i]);
    tiny_key_u32(w, "tokenizer.ggml.bos_token_id", 1);
    tiny_key_u32(w, "tokenizer.ggml.eos_token_id", 0);
}

static inline void tiny_layer(struct tiny_writer *w, uint32_t i) {
    const struct tiny_model *t = w->t;
    uint32_t d = t->d_model, di = t->d_inner, kv = t->n_kv_head * (d / t->n_head);
    char n[64];
#define TINY(name, matrix, n0, n1, n2, scale, base)                                                                    \
    (snprintf(n, sizeof n, "blk.%u." name, i), tiny_tensor(w, n, matrix, n0, n1, n2, (float)(scale), (float)(base)))
    double s = 1.5 / sqrt(d), si = 1.5 / sqrt(di), sf = 1.5 / sqrt(t->d_ff);
    TINY("attn_norm.weight", false, d, 0, 0, 0.2, 1);
    TINY("ffn_norm.weight", false, d, 0, 0, 0.2, 1);
    if (tiny_is_attention(t, i)) {
        TINY("attn_q.weight", true, d, d, 0, s, 0);
        TINY("attn_k.weight", true, d, kv, 0, s, 0);
        TINY("attn_v.weight", true, d, kv, 0, s, 0);
        TINY("attn_output.weight", true, d, d, 0, s, 0);
    } else {
        TINY("ssm_in.weight", true, d, 2 * di, 0, s, 0);
        TINY("ssm_conv1d.weight", false, t->d_conv, di, 0, 0.5, 0);
        TINY("ssm_conv1d.bias", false, di, 0, 0, 0.1, 0);
        TINY("ssm_x.weight", true, di, t->dt_rank + 2 * t->d_state, 0, si, 0);
        TINY("ssm_dt.weight", true, t->dt_rank, di, 0, 0.5, 0);
        TINY("ssm_dt.bias", false, di, 0, 0, 1, -2);
        TINY("ssm_dt_norm.weight", false, t->dt_rank, 0, 0, 0.2, 1);
        TINY("ssm_b_norm.weight", false, t->d_state, 0, 0, 0.2, 1);
        TINY("ssm_c_norm.weight", false, t->d_state, 0, 0, 0.2, 1);
        TINY("ssm_a", false, t->d_state, di, 0, 3, -4);
        TINY("ssm_d", false, di, 0, 0, 0.5, 1);
        TINY("ssm_out.weight", true, di, d, 0, si, 0);
    }
    if (tiny_is_moe(t, i)) {
        TINY("ffn_gate_inp.weight", false, d, t->n_expert, 0, 2 * s, 0);
        TINY("ffn_gate_exps.weight", true, d, t->d_ff, t->n_expert, s, 0);
        TINY("ffn_up_exps.weight", true, d, t->d_ff, t->n_expert, s, 0);
        TINY("ffn_down_exps.weight", true, t->d_ff, d, t->n_expert, sf, 0);
    } else {
        TINY("ffn_gate.weight", true, d, t->d_ff, 0, s, 0);
        TINY("ffn_up.weight", true, d, t->d_ff, 0, s, 0);
        TINY("ffn_down.weight", true, t->d_ff, d, 0, sf, 0);
    }
#undef TINY
}

/* The file's bytes; the caller frees. */
static inline struct buf tiny_model_bytes(const struct tiny_model *t) {
    struct tiny_writer w = {.t = t, .random = t->seed};
    struct buf b = {0};
    if (!t->shard) tiny_metadata(&w);
    tiny_tensor(&w, "token_embd.weight", true, t->d_model, t->n_vocab, 0, 1, 0);
    tiny_tensor(&w, "output_norm.weight", false, t->d_model, 0, 0, 0.2f, 1);
    if (!t->tied) tiny_tensor(&w, "output.weight", true, t->d_model, t->n_vocab, 0, 0.2f, 0);
    for (uint32_t i = 0; i < t->n_layer; i++) tiny_layer(&w, i);
    if (t->n_shards > 1) {
        const uint16_t no = (uint16_t)t->shard, count = (uint16_t)t->n_shards;
        if (tiny_key(&w, "split.no", 2)) buf_append(&w.values, &no, sizeof no);
        if (tiny_key(&w, "split.count", 2)) buf_append(&w.values, &count, sizeof count);
        if (tiny_key(&w, "split.tensors.count", 5)) tiny_u32(&w.values, (uint32_t)w.n_seen);
    }
    buf_puts(&b, "GGUF");
    tiny_u32(&b, t->version ? t->version : 3);
    tiny_u64(&b, t->n_tensors ? t->n_tensors : w.n_tensors);
    tiny_u64(&b, t->n_values ? t->n_values : w.n_values);
    buf_append(&b, w.values.data, w.values.len);
    buf_append(&b, w.infos.data, w.infos.len);
    while (b.len % 32) buf_append(&b, "", 1);
    buf_append(&b, w.data.data, w.data.len);
    buf_free(&w.values);
    buf_free(&w.infos);
    buf_free(&w.data);
    return b;
}

static inline int tiny_write(const char *path, const void *data,
                             size_t len) { /* without the fsync of file_write_atomic */
    FILE *f = fopen(path, "wb");
    size_t n = f ? fwrite(data, 1, len, f) : 0;
    return !f || fclose(f) || n != len ? ERR_IO : 0;
}

/* PREFIX-00001-of-0000N.gguf and so on, as llama.cpp's gguf-split names them. */
static inline int tiny_model_write_shards(const struct tiny_model *t, const char *prefix) {
    int rc = 0;
    for (uint32_t i = 0; i < t->n_shards && !rc; i++) {
        struct tiny_model one = *t;
        char path[256];
        one.shard = i;
        snprintf(path, sizeof path, "%s-%05u-of-%05u.gguf", prefix, i + 1, t->n_shards);
        struct buf b = tiny_model_bytes(&one);
        rc = b.failed ? ERR_NOMEM : tiny_write(path, b.data, b.len);
        buf_free(&b);
    }
    return rc;
}

static inline int tiny_model_write(const struct tiny_model *t, const char *path) {
    struct buf b = tiny_model_bytes(t);
    int rc = b.failed ? ERR_NOMEM : tiny_write(path, b.data, b.len);
    buf_free(&b);
    return rc;
}

/* Written to a file that is gone again when the model is open: its maps stay. */
static inline int tiny_model_open(struct jamba_model **out, const struct tiny_model *t,
                                  const struct jamba_model_options *o, struct error *e) {
    char file[] = "/tmp/antinomy-tiny-XXXXXX.gguf";
    int fd = mkstemps(file, 5);
    if (fd < 0 || close(fd)) return error_set(e, ERR_IO, file, "The small model's file cannot be made.");
    int rc = tiny_model_write(t, file);
    rc = rc ? error_set(e, rc, file, "The small model cannot be written.") : jamba_model_open(out, file, o, e);
    unlink(file);
    return rc;
}

#endif
