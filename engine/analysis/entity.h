/* entity.h (insiders of analysis/): parties of the set and the names they go by. */
#ifndef ANTINOMY_ENTITY_H
#define ANTINOMY_ENTITY_H

#include "engine/analysis/detect.h"

#define ALIAS_WORDS 8
struct entity {
    uint32_t id;               /* its lexeme, "@0" ... */
    uint32_t key[ALIAS_WORDS]; /* words of the full name without "Ltd" and the like */
    uint32_t n_key;
};
struct alias {
    uint32_t ids[ALIAS_WORDS];
    uint32_t n;
    uint32_t entity;
    uint32_t doc;  /* where it holds; INGEST_NONE everywhere */
    bool role;     /* a role word ("the Supplier"), not a name */
    bool brief;    /* one word of a longer name: "Acme" of Acme Steel Ltd, "the Trust"; read with care (words.c) */
    uint32_t next; /* alias with the same first word, + 1; lexemes keep the first */
};

#endif
