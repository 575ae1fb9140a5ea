/* pattern.h: inside engine/jamba only. What pattern.c (automaton over the vocabulary) needs from pattern_parse.c (a
 * regular expression to an automaton over bytes) and token_trie.c (the vocabulary as a tree of bytes).
 *
 * The automaton is Thompson's (CACM 11, 1968): a state reads one byte of a range, or forks without reading, or is the
 * end. Code points of classes become runs of byte ranges (UTF-8, RFC 3629), so no state stands for half a set.
 */
#ifndef ANTINOMY_JAMBA_PATTERN_H
#define ANTINOMY_JAMBA_PATTERN_H

#include "engine/jamba/model.h"

enum {
    PATTERN_MAX_BYTES = 1 << 16,
    PATTERN_MAX_GROUPS = 100,         /* one inside the other */
    PATTERN_MAX_REPEAT = 1000,        /* m and n of {m,n} */
    PATTERN_MAX_STATES = 1 << 14,     /* of the automaton, repeats written out */
    PATTERN_MAX_WORK = 1 << 20,       /* nodes visited to write them out */
    PATTERN_MAX_TOKEN_BYTES = 1 << 10 /* longer tokens are never proposed */
};

struct nfa_state {
    uint16_t out, other; /* other: of a fork */
    uint8_t lo, hi;
    enum { NFA_BYTES, NFA_FORK, NFA_END } kind;
};
struct nfa {
    struct nfa_state *states; /* [n], malloc'd */
    size_t n;
    uint16_t start;
};
/* ERR_ARG (what and where), ERR_UNSUPPORTED, ERR_LIMIT, ERR_FORMAT (no UTF-8), ERR_NOMEM. */
int nfa_parse(struct nfa *out, struct slice pattern, struct error *e);
void nfa_free(struct nfa *nfa);

/* The tokens that text may become, as a tree over their bytes, nodes in preorder. */
struct token_trie {
    struct trie_node {
        uint32_t end;   /* the first node behind its subtree */
        uint32_t first; /* its tokens are ids[first] up to the next node's first */
        uint16_t depth; /* bytes from the root to behind it */
        uint8_t byte;
    } * nodes;           /* [n_nodes + 1] */
    int32_t *ids;        /* by their bytes */
    uint32_t n_nodes, n; /* tokens */
    uint32_t n_vocab;    /* ids are below this */
    uint32_t max_depth;
    uint8_t *is_text; /* bit an id of the model's vocabulary: it is in here */
    bool single[256]; /* this byte alone is a token */
};
/* Made on first use and kept with the model. Any thread. ERR_NOMEM. */
int token_trie_of(const struct token_trie **out, struct jamba_model *m, struct error *e);
void token_trie_free(struct token_trie *t);

#endif
