/* session.h: inside engine/jamba only. What session.c, generate.c and snapshot.c share. */
#ifndef ANTINOMY_JAMBA_SESSION_H
#define ANTINOMY_JAMBA_SESSION_H

#include "engine/jamba/model.h"

/* Moves position and prefix hash behind n tokens that the backend has read. */
void session_advance(struct jamba_session *s, const int32_t *ids, size_t n);

/* Chooses the next token of everything read, among n_ids ids (NULL: all): *index is its place in ids, or its id. u in
 * [0, 1) is the chance. By the backend where it chooses itself, else from the logits, which need n_vocab of `scratch`;
 * the same choice from the same logits (kernels/choose.h). */
int session_choose(struct jamba_session *s, const int32_t *ids, size_t n_ids, const struct jamba_sampling *sampling,
                   double u, float *scratch, size_t *index, float *logprob, struct error *e);

#endif
