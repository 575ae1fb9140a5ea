/* summary.c: a model described in numbers: weights counted, types of tensors, what a session of a length keeps. */
#include "engine/jamba/tokenizer.h"
#include "engine/jamba/weights.h"

#include <stdlib.h>
#include <string.h>

static void count(struct jamba_summary *s, const struct tensor *t) {
    const char *type = tensor_type_name(t->type);
    size_t i = 0;
    while (i < s->n_types && strcmp(s->types[i].type, type) != 0) i++;
    if (i == sizeof s->types / sizeof s->types[0]) return; /* there are fewer types than places */
    if (i == s->n_types) s->types[s->n_types++] = (struct jamba_type_count){.type = type};
    s->types[i].n_tensors++;
    s->types[i].bytes += t->bytes;
    s->n_parameters += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
}

static int by_bytes(const void *a, const void *b) {
    const struct jamba_type_count *x = a, *y = b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes) - (x->bytes > y->bytes) : strcmp(x->type, y->type);
}

static const char *device_of(const struct jamba_model *m) {
    if (!m->backend) return "none";
    return m->backend->where && m->backend_ctx ? m->backend->where(m->backend_ctx) : m->backend->name;
}

void jamba_model_summary(const struct jamba_model *m, struct jamba_summary *out) {
    const struct jamba_weights *w = &m->weights;
    *out = (struct jamba_summary){.device = device_of(m), .tokenizer = "none"};
    if (m->tokenizer) out->tokenizer = m->tokenizer->kind == TOKENIZER_BYTES ? "byte-level BPE" : "SentencePiece BPE";
    const struct tensor *top[] = {w->token_embd, w->output_norm, w->output == w->token_embd ? NULL : w->output};
    for (size_t i = 0; i < sizeof top / sizeof top[0]; i++)
        if (top[i]) count(out, top[i]);
    for (uint32_t i = 0; i < m->config.n_layer; i++) {
        const struct tensor *all[WEIGHTS_LAYER_TENSORS];
        size_t n = weights_layer_tensors(&w->layers[i], all);
        for (size_t k = 0; k < n; k++) count(out, all[k]);
        out->n_moe_layer += w->layers[i].is_moe;
    }
    qsort(out->types, out->n_types, sizeof out->types[0], by_bytes);
}

uint64_t jamba_session_bytes(const struct jamba_model *m, uint32_t n_tokens) {
    return m->backend->state_bytes(m->backend_ctx, NULL, n_tokens);
}
