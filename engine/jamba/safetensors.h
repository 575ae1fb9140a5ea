/* safetensors.h: inside engine/jamba only. A folder in Hugging Face's layout: config.json, *.safetensors,
 * tokenizer.json or tokenizer.model. */
#ifndef ANTINOMY_JAMBA_SAFETENSORS_H
#define ANTINOMY_JAMBA_SAFETENSORS_H

#include "engine/jamba/weights.h"

/* Reads folder/config.json (and generation_config.json's ends). is_attention, is_moe: arrays [n_layer] of the arena. */
int config_from_json(struct arena *a, const char *folder, struct jamba_config *c, bool **is_attention, bool **is_moe,
                     struct error *e);

/* Maps folder/model.safetensors, or what model.safetensors.index.json names, and lists the tensors twice: under their
 * own names, and under GGUF's as weights_bind wants them (A_log becomes -exp(A_log), a copy in the arena; experts
 * become one tensor with parts, each where it lies in its file). */
int safetensors_open(struct tensor_list *l, const char *folder, const struct jamba_config *c, const bool *is_attention,
                     const bool *is_moe, struct error *e);

#endif
