/* gguf.h: inside engine/jamba only. GGUF version 3 files as key-value pairs and tensors, mapped, nothing copied. */
#ifndef ANTINOMY_JAMBA_GGUF_H
#define ANTINOMY_JAMBA_GGUF_H

#include "engine/jamba/weights.h"

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64
};

struct gguf_value {
    struct slice key;
    enum gguf_type type; /* of an array: of its elements */
    bool is_array;
    uint64_t n;          /* 1, or the array's elements */
    const uint8_t *data; /* little-endian, unaligned; strings: u64 length + bytes, n times, checked */
};

struct gguf {
    const char *file; /* base name of the first shard, for messages */
    struct gguf_value *values;
    size_t n_values;
};

/* Opens path (one file, or the first shard `NAME-00001-of-0000N.gguf`, its siblings beside it), appends all tensors to
 * l. Memory is l's arena's. ERR_FORMAT: file, tensor or byte; ERR_LIMIT, ERR_UNSUPPORTED (version, tensor type),
 * ERR_NOT_FOUND (a missing shard). */
int gguf_open(struct gguf *g, struct tensor_list *l, const char *path, struct error *e);

const struct gguf_value *gguf_find(const struct gguf *g, const char *key); /* NULL: none */
/* An integer of any width in min..max. ERR_FORMAT when it is missing, no integer, or out of range. */
int gguf_u32(const struct gguf *g, const char *key, uint32_t min, uint32_t max, uint32_t *out, struct error *e);
int gguf_f32(const struct gguf *g, const char *key, float *out, struct error *e);
bool gguf_bool(const struct gguf *g, const char *key, bool fallback);
struct slice gguf_string(const struct gguf *g, const char *key);            /* empty: none */
bool gguf_integer_at(const struct gguf_value *v, uint64_t i, int64_t *out); /* element i of integers or booleans */
float gguf_f32_at(const struct gguf_value *v, uint64_t i);                  /* v->type is GGUF_F32 */
/* Steps through an array of strings; *at starts as v->data. */
struct slice gguf_next_string(const uint8_t **at);

/* Fills c from jamba.* keys and says which layers are attention (arena array [n_layer]). */
int gguf_config(const struct gguf *g, const struct tensor_list *l, struct jamba_config *c, bool **is_attention,
                struct error *e);

#endif
