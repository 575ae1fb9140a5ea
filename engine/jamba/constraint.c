/* constraint.c: choice among strings, and the constraints in the form that jamba_generate takes.
 *
 * A choice holds each string in its canonical tokenisation only (what jamba_tokenize makes of the string by itself), so
 * that probabilities of the strings are those of texts as the model has read them, and a tail that no other string
 * shares is a forced run. The sequences are sorted; the strings that are still possible are a range of them. */
#include "engine/jamba/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHOICE_MAX_STRINGS = 1 << 16, CHOICE_MAX_TOKENS = 1 << 22 };

struct sequence {
    int32_t *ids;
    size_t n, string; /* the caller's number */
};

struct jamba_choice {
    struct sequence *sequences; /* sorted by ids, shorter first */
    size_t n;
    size_t from, to, depth; /* those that begin with the `depth` tokens accepted */
    int32_t *next;          /* [n + 4] */
    const struct jamba_config *config;
    bool ended;
};

void jamba_choice_close(struct jamba_choice *c) {
    if (!c) return;
    for (size_t i = 0; c->sequences && i < c->n; i++) free(c->sequences[i].ids);
    free(c->sequences);
    free(c->next);
    free(c);
}

static int by_ids(const void *a, const void *b) {
    const struct sequence *x = a, *y = b;
    for (size_t i = 0; i < x->n && i < y->n; i++)
        if (x->ids[i] != y->ids[i]) return x->ids[i] < y->ids[i] ? -1 : 1;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return (x->string > y->string) - (x->string < y->string);
}

/* The tokens must spell the string: a vocabulary without byte tokens loses what it cannot write. */
static int check_spelling(const struct jamba_model *m, const struct sequence *q, struct slice string, struct error *e) {
    char where[40];
    size_t at = 0;
    snprintf(where, sizeof where, "string %zu", q->string);
    for (size_t i = 0; i < q->n; i++) {
        struct slice b = jamba_token_bytes(m, q->ids[i]);
        if (b.len > string.len - at || memcmp(b.data, string.data + at, b.len) != 0 ||
            config_is_eos(&m->config, q->ids[i]))
            return error_set(e, ERR_UNSUPPORTED, where, "The model's vocabulary cannot write this from byte %zu on.",
                             at);
        at += b.len;
    }
    if (at != string.len)
        return error_set(e, ERR_UNSUPPORTED, where, "The model's vocabulary cannot write this from byte %zu on.", at);
    return 0;
}

int jamba_choice_open(struct jamba_choice **out, const struct jamba_model *m, const struct slice *strings, size_t n,
                      struct error *e) {
    *out = NULL;
    if (n == 0) return error_set(e, ERR_ARG, "", "There is nothing to choose among.");
    if (n > CHOICE_MAX_STRINGS)
        return error_set(e, ERR_LIMIT, "", "A choice is among %d strings at most; these are %zu.", CHOICE_MAX_STRINGS,
                         n);
    if (m->config.eos[0] < 0)
        return error_set(e, ERR_UNSUPPORTED, "", "The model has no end token, so a choice could not end.");
    struct jamba_choice *c = calloc(1, sizeof *c);
    size_t total = 0;
    int rc = 0;
    if (c) {
        c->config = &m->config;
        c->sequences = calloc(n, sizeof *c->sequences);
        c->next = malloc((n + 4) * sizeof *c->next);
    }
    if (!c || !c->sequences || !c->next) rc = error_set(e, ERR_NOMEM, "", "There is no memory for the choice.");
    for (size_t i = 0; !rc && i < n; i++) {
        struct sequence *q = &c->sequences[c->n];
        q->string = i;
        rc = jamba_tokenize(m, strings[i].data, strings[i].len, &q->ids, NULL, &q->n, e);
        if (rc) break;
        c->n++;
        total += q->n;
        rc = check_spelling(m, q, strings[i], e);
        if (!rc && total > CHOICE_MAX_TOKENS)
            rc = error_set(e, ERR_LIMIT, "", "The strings to choose among are longer than %d tokens together.",
                           CHOICE_MAX_TOKENS);
    }
    if (rc) {
        jamba_choice_close(c);
        return rc;
    }
    qsort(c->sequences, n, sizeof *c->sequences, by_ids);
    jamba_choice_reset(c);
    *out = c;
    return 0;
}

void jamba_choice_reset(struct jamba_choice *c) {
    c->from = c->depth = 0;
    c->to = c->n;
    c->ended = false;
}

size_t jamba_choice_next(struct jamba_choice *c, const int32_t **ids) {
    size_t n = 0, i = c->from;
    *ids = c->next;
    if (c->ended) return 0;
    while (i < c->to && c->sequences[i].n == c->depth) i++; /* these end here */
    bool may_end = i > c->from;
    for (; i < c->to; i++) {
        int32_t id = c->sequences[i].ids[c->depth];
        if (!n || c->next[n - 1] != id) c->next[n++] = id;
    }
#ifdef MUTANT_CHOICE_FORGETS_END
    may_end = may_end && !n;
#endif
    if (may_end && !n)
        c->next[n++] = c->config->eos[0]; /* forced */
    else if (may_end)
        for (int k = 0; k < 4 && c->config->eos[k] >= 0; k++) { /* insertion keeps them ascending */
            size_t at = n++;
            for (; at > 0 && c->next[at - 1] > c->config->eos[k]; at--) c->next[at] = c->next[at - 1];
            c->next[at] = c->config->eos[k];
        }
    return n;
}

bool jamba_choice_accept(struct jamba_choice *c, int32_t id) {
    if (c->ended) return false;
    size_t from = c->from, to;
    while (from < c->to && c->sequences[from].n == c->depth) from++;
    if (config_is_eos(c->config, id)) return (c->ended = from > c->from);
    while (from < c->to && c->sequences[from].ids[c->depth] != id) from++;
    for (to = from; to < c->to && c->sequences[to].ids[c->depth] == id;) to++;
    if (from == to) return false;
    c->from = from;
    c->to = to;
    c->depth++;
    return true;
}

size_t jamba_choice_index(const struct jamba_choice *c) {
    return c->sequences[c->from].n == c->depth ? c->sequences[c->from].string : SIZE_MAX;
}

/* ---- in the form that jamba_generate takes ---- */
static size_t pointer_allowed(void *ctx, const int32_t **ids) {
    return jamba_pointer_next(ctx, ids);
}
static void pointer_accept(void *ctx, int32_t id) {
    jamba_pointer_accept(ctx, id);
}
struct jamba_constraint jamba_pointer_constraint(struct jamba_pointer *p) {
    return (struct jamba_constraint){pointer_allowed, pointer_accept, p};
}

static size_t choice_allowed(void *ctx, const int32_t **ids) {
    return jamba_choice_next(ctx, ids);
}
static void choice_accept(void *ctx, int32_t id) {
    jamba_choice_accept(ctx, id);
}
struct jamba_constraint jamba_choice_constraint(struct jamba_choice *c) {
    return (struct jamba_constraint){choice_allowed, choice_accept, c};
}

static size_t pattern_allowed(void *ctx, const int32_t **ids) {
    return jamba_pattern_next(ctx, ids);
}
static void pattern_accept(void *ctx, int32_t id) {
    jamba_pattern_accept(ctx, id);
}
struct jamba_constraint jamba_pattern_constraint(struct jamba_pattern *p) {
    return (struct jamba_constraint){pattern_allowed, pattern_accept, p};
}
