/* pointer.c: the pointer constraint: what is decoded must be a run of tokens that stands in the corpus. All places
 * where the run so far stands are kept, as start positions in ascending order. Positions are bucketed by token once, so
 * the first token of a quote narrows a 256K-token corpus to its occurrences without a scan. */
#include "engine/jamba/jamba.h"

#include <stdlib.h>
#include <string.h>

struct jamba_pointer {
    const int32_t *corpus;
    size_t n;
    uint32_t n_ids;    /* ids in the corpus are below this */
    uint32_t *bucket;  /* [n_ids + 1] */
    uint32_t *by_id;   /* [n] positions, grouped by token, ascending inside */
    uint8_t *is_break; /* bit a position */
    int32_t *distinct; /* every token of the corpus, ascending */
    size_t n_distinct;
    bool everywhere;  /* nothing accepted and no start list: every position is a candidate */
    uint32_t *starts; /* candidates: runs of `length` accepted tokens that begin here */
    size_t n_starts, length;
    uint32_t *stamp; /* [n_ids]: last round an id was seen in */
    uint32_t round;
    int32_t *next; /* [n_ids] what jamba_pointer_next lends */
    size_t n_next;
    bool next_known;
};

void jamba_pointer_close(struct jamba_pointer *p) {
    if (!p) return;
    free(p->bucket);
    free(p->by_id);
    free(p->is_break);
    free(p->distinct);
    free(p->starts);
    free(p->stamp);
    free(p->next);
    free(p);
}

int jamba_pointer_open(struct jamba_pointer **out, const int32_t *corpus, size_t n, const uint32_t *breaks,
                       size_t n_breaks, struct error *e) {
    *out = NULL;
    if (n >= UINT32_MAX) return error_set(e, ERR_LIMIT, "", "The corpus has too many tokens to point into.");
    int32_t max = -1;
    for (size_t i = 0; i < n; i++) {
        if (corpus[i] < 0 || corpus[i] > (1 << 24))
            return error_set(e, ERR_ARG, "", "Token %d in the corpus is no token.", corpus[i]);
        if (corpus[i] > max) max = corpus[i];
    }
    struct jamba_pointer *p = calloc(1, sizeof *p);
    if (!p) return error_set(e, ERR_NOMEM, "", "There is no memory for the places of a quote.");
    p->corpus = corpus;
    p->n = n;
    p->n_ids = (uint32_t)(max + 1);
    p->bucket = calloc((size_t)p->n_ids + 2, sizeof *p->bucket);
    p->by_id = malloc((n + 1) * sizeof *p->by_id);
    p->is_break = calloc(n / 8 + 1, 1);
    p->distinct = malloc(((size_t)p->n_ids + 1) * sizeof *p->distinct);
    p->starts = malloc((n + 1) * sizeof *p->starts);
    p->stamp = calloc((size_t)p->n_ids + 1, sizeof *p->stamp);
    p->next = malloc(((size_t)p->n_ids + 1) * sizeof *p->next);
    if (!p->bucket || !p->by_id || !p->is_break || !p->distinct || !p->starts || !p->stamp || !p->next) {
        jamba_pointer_close(p);
        return error_set(e, ERR_NOMEM, "", "There is no memory for the places of a quote.");
    }
    for (size_t i = 0; i < n; i++) p->bucket[corpus[i] + 2]++;
    for (uint32_t id = 0; id < p->n_ids; id++) {
        if (p->bucket[id + 2]) p->distinct[p->n_distinct++] = (int32_t)id;
        p->bucket[id + 2] += p->bucket[id + 1];
    }
    for (size_t i = 0; i < n; i++)
        p->by_id[p->bucket[corpus[i] + 1]++] = (uint32_t)i; /* now bucket[id] .. bucket[id + 1] */
    for (size_t i = 0; i < n_breaks; i++)
        if (breaks[i] < n) p->is_break[breaks[i] / 8] |= (uint8_t)(1u << breaks[i] % 8);
    jamba_pointer_reset(p);
    *out = p;
    return 0;
}

void jamba_pointer_reset(struct jamba_pointer *p) {
    p->everywhere = true;
    p->n_starts = 0;
    p->length = 0;
    p->next_known = false;
}

int jamba_pointer_start_at(struct jamba_pointer *p, const uint32_t *at, size_t n, struct error *e) {
    for (size_t i = 0; i < n; i++)
        if (at[i] >= p->n || (i && at[i] <= at[i - 1]))
            return error_set(e, ERR_ARG, "", "Places to begin a quote must ascend and lie inside the corpus.");
    jamba_pointer_reset(p);
    p->everywhere = false;
    if (n) memcpy(p->starts, at, n * sizeof *at);
    p->n_starts = n;
    return 0;
}

/* The token behind the accepted run at a candidate, -1 where the corpus or the document ends. */
static int32_t token_after(const struct jamba_pointer *p, uint32_t start) {
    size_t at = start + p->length;
    if (at >= p->n) return -1;
    if (p->length && (p->is_break[at / 8] >> at % 8 & 1)) return -1;
    return p->corpus[at];
}

static int ascending(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

size_t jamba_pointer_next(struct jamba_pointer *p, const int32_t **ids) {
    if (p->everywhere) {
        *ids = p->distinct;
        return p->n_distinct;
    }
    if (!p->next_known) {
        p->n_next = 0;
        if (++p->round == 0) { /* wrapped */
            memset(p->stamp, 0, ((size_t)p->n_ids + 1) * sizeof *p->stamp);
            p->round = 1;
        }
        for (size_t i = 0; i < p->n_starts; i++) {
            int32_t id = token_after(p, p->starts[i]);
            if (id < 0 || p->stamp[id] == p->round) continue;
            p->stamp[id] = p->round;
            p->next[p->n_next++] = id;
        }
        qsort(p->next, p->n_next, sizeof p->next[0], ascending);
        p->next_known = true;
    }
    *ids = p->next;
    return p->n_next;
}

bool jamba_pointer_accept(struct jamba_pointer *p, int32_t id) {
    if (id < 0 || (uint32_t)id >= p->n_ids) return false;
    if (p->everywhere) {
        size_t n = p->bucket[id + 1] - p->bucket[id];
        if (n == 0) return false;
        memcpy(p->starts, p->by_id + p->bucket[id], n * sizeof *p->starts);
        p->n_starts = n;
        p->everywhere = false;
    } else {
        size_t keep = 0;
        for (size_t i = 0; i < p->n_starts && !keep; i++) keep += token_after(p, p->starts[i]) == id;
        if (!keep) return false; /* nothing changed */
        keep = 0;
        for (size_t i = 0; i < p->n_starts; i++)
            if (token_after(p, p->starts[i]) == id) p->starts[keep++] = p->starts[i];
        p->n_starts = keep;
    }
    p->length++;
    p->next_known = false;
    return true;
}

size_t jamba_pointer_length(const struct jamba_pointer *p) {
    return p->length;
}

size_t jamba_pointer_positions(struct jamba_pointer *p, const uint32_t **starts) {
    if (p->everywhere) { /* nothing accepted: the empty run stands everywhere */
        for (size_t i = 0; i < p->n; i++) p->starts[i] = (uint32_t)i;
        *starts = p->starts;
        return p->n;
    }
    *starts = p->starts;
    return p->n_starts;
}
