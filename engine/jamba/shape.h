/* shape.h: models without a file, for measuring: the geometry of a published Jamba, weights made as noise on the device
 * (cuda_weights.c). */
#ifndef ANTINOMY_JAMBA_SHAPE_H
#define ANTINOMY_JAMBA_SHAPE_H

#include "engine/jamba/jamba.h"

/* shape: "mini" (51.57 B: v0.1 to 1.7 Mini, Jamba2 Mini), "large" (398.6 B: 1.5 to 1.7 Large), "3b" (Reasoning-3B,
 * Jamba2-3B), "bundled" (160 M), "tiny" (a
 * small mixture of experts). Needs a device (o->device "cuda"): ERR_UNSUPPORTED on the CPU. No tokenizer. Close with
 * jamba_model_close. */
int jamba_model_open_shape(struct jamba_model **out, const char *shape, const struct jamba_model_options *o,
                           struct error *e);
/* Weights of the shape (a tied head counted once). ERR_ARG. */
int jamba_shape_parameters(const char *shape, uint64_t *n, struct error *e);
/* What opening the shape would put on each device, and what context would fit: one line a device. Loads nothing.
 * ERR_NOMEM as opening would give. */
int jamba_shape_plan(const char *shape, const struct jamba_model_options *o, void (*line)(void *ctx, const char *text),
                     void *ctx, struct error *e);

#endif
