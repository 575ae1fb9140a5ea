/* session.h: what session.c, generate.c and snapshot.c share. */
#ifndef ANTINOMY_JAMBA_SESSION_H
#define ANTINOMY_JAMBA_SESSION_H

#include "engine/jamba/model.h"

/* Moves position and prefix hash behind n tokens that the backend has read. */
void session_advance(struct jamba_session *s, const int32_t *ids, size_t n);

#endif
