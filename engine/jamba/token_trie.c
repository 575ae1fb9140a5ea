/* token_trie.c: the vocabulary as a tree over bytes, so that "which tokens may come next" visits each common beginning
 * once and leaves a branch at the first byte that cannot be. Without control tokens, end tokens, unused ones: what
 * document text never becomes is never proposed as text. */
#include "engine/jamba/pattern.h"
#include "engine/jamba/tokenizer.h"

#include <stdlib.h>
#include <string.h>

void token_trie_free(struct token_trie *t) {
    if (!t) return;
    free(t->nodes);
    free(t->ids);
    free(t->is_text);
    free(t);
}

static bool is_text(const struct jamba_model *m, uint32_t id) {
    const struct token *t = &m->tokenizer->tokens[id];
    return t->bytes.len > 0 && !config_is_eos(&m->config, (int32_t)id) && t->bytes.len <= PATTERN_MAX_TOKEN_BYTES &&
           (!t->special || t->plain) && (t->type == TOKEN_NORMAL || t->type == TOKEN_USER || t->type == TOKEN_BYTE);
}

struct entry {
    struct slice bytes;
    int32_t id;
};
static int by_bytes(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    size_t n = x->bytes.len < y->bytes.len ? x->bytes.len : y->bytes.len;
    int order = memcmp(x->bytes.data, y->bytes.data, n);
    if (order) return order;
    if (x->bytes.len != y->bytes.len) return x->bytes.len < y->bytes.len ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static int build(struct token_trie **out, const struct jamba_model *m, struct error *e) {
    uint32_t V = m->tokenizer->n < m->config.n_vocab ? m->tokenizer->n : m->config.n_vocab;
    struct token_trie *t = calloc(1, sizeof *t);
    struct entry *entries = malloc(((size_t)V + 1) * sizeof *entries);
    uint32_t open[PATTERN_MAX_TOKEN_BYTES]; /* nodes from the root to the last token */
    size_t depth = 0, n_bytes = 0;
    int rc = 0;
    if (t && entries) {
        t->n_vocab = V;
        for (uint32_t id = 0; id < V; id++) {
            if (!is_text(m, id)) continue;
            entries[t->n++] = (struct entry){m->tokenizer->tokens[id].bytes, (int32_t)id};
            n_bytes += m->tokenizer->tokens[id].bytes.len;
        }
        t->ids = malloc(((size_t)t->n + 1) * sizeof *t->ids);
        t->nodes = malloc((n_bytes + 1) * sizeof *t->nodes);
        t->is_text = calloc((size_t)V / 8 + 1, 1);
    }
    if (!t || !entries || !t->ids || !t->nodes || !t->is_text || n_bytes >= UINT32_MAX) {
        rc = error_set(e, ERR_NOMEM, "", "There is no memory for the vocabulary's tree.");
        goto done;
    }
    qsort(entries, t->n, sizeof *entries, by_bytes);
    for (uint32_t k = 0; k < t->n; k++) {
        const struct slice b = entries[k].bytes;
        size_t common = 0;
        while (common < depth && common < b.len && t->nodes[open[common]].byte == (uint8_t)b.data[common]) common++;
        for (; depth > common; depth--) t->nodes[open[depth - 1]].end = t->n_nodes;
        for (; depth < b.len; depth++) {
            open[depth] = t->n_nodes;
            t->nodes[t->n_nodes++] =
                (struct trie_node){.first = k, .depth = (uint16_t)(depth + 1), .byte = (uint8_t)b.data[depth]};
        }
        t->ids[k] = entries[k].id;
        t->is_text[entries[k].id / 8] |= (uint8_t)(1u << entries[k].id % 8);
        if (b.len == 1) t->single[(uint8_t)b.data[0]] = true;
        if (b.len > t->max_depth) t->max_depth = (uint32_t)b.len;
    }
    for (; depth > 0; depth--) t->nodes[open[depth - 1]].end = t->n_nodes;
    t->nodes[t->n_nodes] = (struct trie_node){.first = t->n};
    *out = t;
    t = NULL;
done:
    free(entries);
    token_trie_free(t);
    return rc;
}

int token_trie_of(const struct token_trie **out, struct jamba_model *m, struct error *e) {
    int rc = 0;
    pthread_mutex_lock(&m->lock);
    if (!m->trie) rc = build(&m->trie, m, e);
    *out = m->trie;
    pthread_mutex_unlock(&m->lock);
    return rc;
}
