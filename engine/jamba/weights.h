/* weights.h: inside engine/jamba only. What stands between a model's files and struct jamba_weights.
 *
 * A reader (gguf.c, safetensors.c) maps the files and lists their tensors under GGUF's names; weights.c finds each
 * tensor a Jamba needs, checks its shape against the config, and binds it to a field. Names are looked up only there.
 */
#ifndef ANTINOMY_JAMBA_WEIGHTS_H
#define ANTINOMY_JAMBA_WEIGHTS_H

#include "engine/jamba/model.h"

/* A file mapped read-only and private. A file that somebody cuts short while it is mapped kills the reader (SIGBUS):
 * model files are replaced by renaming, never in place. */
struct model_map {
    char *path;
    const uint8_t *base;
    size_t len;
};
int model_map_open(struct model_map *m, const char *path,
                   struct error *e); /* ERR_NOT_FOUND, ERR_IO, ERR_FORMAT (empty) */
void model_map_close(struct model_map *m);
const char *path_base(const char *path); /* behind the last '/' */

/* error_set with "file, tensor name" as where. */
int tensor_error(struct error *e, int code, const char *file, const char *tensor, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* All tensors of a model, whatever files they came from. Memory is the arena's that tensor_list_init was given; maps
 * are malloc'd. */
struct tensor_list {
    struct arena *arena;
    struct model_map *maps;
    size_t n_maps, cap_maps;
    struct tensor_entry {
        struct tensor *tensor;
        size_t map; /* index of its file */
    } * entries;
    size_t n_tensors, cap_tensors;
    uint32_t *slots; /* open addressing by name: index + 1 */
    size_t n_slots;
};
void tensor_list_init(struct tensor_list *l, struct arena *a);
void tensor_list_free(struct tensor_list *l); /* closes maps that were not taken over */
int tensor_list_map(struct tensor_list *l, const char *path, size_t *index, struct error *e);
/* Adds a tensor whose data lies in maps[map]; ERR_FORMAT when the name is already there. */
int tensor_list_add(struct tensor_list *l, const struct tensor *t, size_t map, struct error *e);
struct tensor *tensor_list_find(const struct tensor_list *l, const char *name); /* NULL: none */
const char *tensor_list_file(const struct tensor_list *l,
                             const struct tensor *t); /* base name of the file it came from, or "" */

/* Limits of what a model may say about itself: far above every published Jamba, low enough that no product of two
 * overflows 64 bits and no table can exhaust memory. */
enum {
    MODEL_MAX_LAYERS = 1024,
    MODEL_MAX_D_MODEL = 1 << 16,
    MODEL_MAX_D_FF = 1 << 20,
    MODEL_MAX_VOCAB = 1 << 21,
    MODEL_MAX_HEADS = 4096,
    MODEL_MAX_HEAD_DIM = 4096,
    MODEL_MAX_D_INNER = 1 << 20,
    MODEL_MAX_D_STATE = 1024,
    MODEL_MAX_D_CONV = 16,
    MODEL_MAX_DT_RANK = 1 << 16,
    MODEL_MAX_EXPERTS = 1024,
    MODEL_MAX_TENSORS = 1 << 17,
    MODEL_MAX_SHARDS = 1024,
    MODEL_MAX_NAME = 255
};

/* Checks the config's own numbers against the limits and each other. where: the file that said so. */
int config_check(const struct jamba_config *c, const char *where, struct error *e);

/* Weights of a whole model, a tied head counted once, n_moe_layer of its layers holding experts. Equals the totals that
 * were published (51,570,323,328 for Mini; tests/unit/test_published.c). A checkpoint without convolution biases has
 * d_inner fewer for each Mamba layer. */
uint64_t config_parameters(const struct jamba_config *c, uint32_t n_moe_layer);

/* Finds, checks and binds all tensors into m->weights (m->config is set; is_attention[n_layer] says the layers' kinds).
 * Vectors, norms, convolutions, ssm_a, ssm_d and routers come out as F32 whatever they were stored as; matrices keep
 * their type. ERR_FORMAT names file and tensor. */
int weights_bind(struct jamba_model *m, const struct tensor_list *l, const bool *is_attention, struct error *e);

/* The tensors that a layer has, in a fixed order; returns how many. */
enum { WEIGHTS_LAYER_TENSORS = 25 };
size_t weights_layer_tensors(const struct jamba_layer *y, const struct tensor *out[WEIGHTS_LAYER_TENSORS]);
/* Every bound tensor in a fixed order; returns how many. out may be NULL. A tied output head counts once. */
size_t weights_tensors(const struct jamba_model *m, struct tensor **out);

/* Replaces each tensor's data by a copy whose values (blocks, and bytes within blocks) stand in an order drawn from the
 * seed: shapes, types and the distribution of values stay, so activations stay in range, and what the model learned is
 * gone. */
int weights_randomize(struct jamba_model *m, uint64_t seed, struct error *e);

/* SHA-256 over the config, the tensor table, small tensors whole and evenly spaced pieces of the others, and the
 * vocabulary's digest. */
int weights_id(struct jamba_model *m, const uint8_t vocab[32], uint8_t out[32], struct error *e);

#endif
