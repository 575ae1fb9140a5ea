/* embed.c: vectors of statements and questions: <|doc|> statement <|embed|> or <|question|> question <|embed|>, the
 * final-norm hidden state at the last position, L2-normalised (the model's README). Owns the batching; refuses nothing:
 * a long statement is cut to the card's embed_max_tokens, as in training. A model without
 * vectors of its own (the card) is not asked.
 *
 * Short sequences run many at a time: a batch's rows share every matrix multiplication. Sorted by length so that a
 * batch is even.
 */
#include "engine/analysis/inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EMBED_BATCH = 32 /* sessions at a time: each holds 1.5 MB of Mamba state with the bundled model */ };

static void normalise(float *v, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += (double)v[i] * v[i];
    double inv = s > 0 ? 1.0 / sqrt(s) : 0;
    for (size_t i = 0; i < n; i++) v[i] = (float)(v[i] * inv);
}

/* malloc'd <|start|> text <|embed|> */
static int embed_sequence(struct analysis *an, struct slice text, bool as_question, int32_t **out, size_t *n,
                          struct error *e) {
    int32_t *ids = NULL;
    size_t len = 0;
    *out = NULL;
    int rc = jamba_tokenize(an->model, text.data, text.len, &ids, NULL, &len, e);
    if (rc) return rc;
    if (len > an->card.embed_max_tokens) len = an->card.embed_max_tokens;
    *out = malloc((len + 2) * sizeof **out);
    if (!*out) {
        free(ids);
        return error_set(e, ERR_NOMEM, "", "There is not enough memory to embed a statement.");
    }
    (*out)[0] = as_question ? an->prompts.embed_question : an->prompts.embed_doc;
    if (len) memcpy(*out + 1, ids, len * sizeof *ids);
    (*out)[len + 1] = an->prompts.embed;
    *n = len + 2;
    free(ids);
    return 0;
}

static int embed_batch(struct analysis *an, struct jamba_batch_item *items, size_t n, const struct jamba_run *run,
                       struct error *e) {
    int rc = 0;
    size_t opened = 0;
    for (; !rc && opened < n; opened++) {
        rc = jamba_session_open(&items[opened].session, an->model, (uint32_t)items[opened].n_tokens, e);
        if (rc) break;
    }
    if (!rc) rc = jamba_batch_run(an->model, items, n, run, e);
    for (size_t i = 0; i < opened; i++) jamba_session_close(items[i].session);
    uint32_t dim = jamba_model_config(an->model)->d_model;
    for (size_t i = 0; !rc && i < n; i++) normalise(items[i].out, dim);
    return rc;
}

int embed_text(struct analysis *an, struct slice text, bool as_question, float *out, const struct jamba_run *run,
               struct error *e) {
    int32_t *ids = NULL;
    size_t n = 0;
    int rc = embed_sequence(an, text, as_question, &ids, &n, e);
    if (rc) return rc;
    struct jamba_batch_item item = {.tokens = ids, .n_tokens = n, .want = JAMBA_WANT_HIDDEN, .out = out};
    rc = embed_batch(an, &item, 1, run, e);
    free(ids);
    return rc;
}

struct job_item {
    const struct store_statement *st;
    int32_t *ids;
    size_t n;
};

static int by_length(const void *a, const void *b) {
    const struct job_item *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return (x->st > y->st) - (x->st < y->st);
}

int embed_missing(struct analysis *an, int64_t set, const struct analysis_events *ev,
                  int (*progress)(void *ctx, size_t done, size_t total, struct error *e), void *ctx, struct error *e) {
    if (!an->model || !an->card.embeds) return 0;
    struct arena a = {0};
    struct store_statement *st = NULL;
    size_t n = 0;
    struct job_item *todo = NULL;
    float *vectors = NULL;
    uint32_t dim = jamba_model_config(an->model)->d_model;
    struct run_holder run;
    run_init(&run, ev, NULL, 0, 0);
    pthread_mutex_lock(&an->embed_lock);
    int rc = store_embeddings_missing(an->store, &a, set, jamba_model_id(an->model), &st, &n, e);
    if (rc || n == 0) goto done;
    todo = calloc(n, sizeof *todo);
    vectors = malloc((size_t)EMBED_BATCH * dim * sizeof *vectors);
    if (!todo || !vectors) {
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory to embed the statements.");
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        todo[i].st = &st[i];
        if ((rc = embed_sequence(an, st[i].text, false, &todo[i].ids, &todo[i].n, e))) goto done;
    }
    qsort(todo, n, sizeof *todo, by_length);
    for (size_t i = 0; i < n; i += EMBED_BATCH) {
        size_t m = n - i < EMBED_BATCH ? n - i : EMBED_BATCH;
        struct jamba_batch_item items[EMBED_BATCH] = {0};
        struct store_statement rows[EMBED_BATCH];
        for (size_t k = 0; k < m; k++) {
            items[k] = (struct jamba_batch_item){.tokens = todo[i + k].ids,
                                                 .n_tokens = todo[i + k].n,
                                                 .want = JAMBA_WANT_HIDDEN,
                                                 .out = vectors + k * dim};
            rows[k] = *todo[i + k].st;
        }
        event_stage(ev, "embed", i, n);
        if (event_cancelled(ev)) {
            rc = error_set(e, ERR_CANCELLED, "", "Stopped on request while the statements were being embedded.");
            goto done;
        }
        if (progress && (rc = progress(ctx, i, n, e))) goto done;
        if ((rc = embed_batch(an, items, m, &run.run, e))) goto done;
        if ((rc = store_embeddings_add(an->store, jamba_model_id(an->model), rows, vectors, m, dim, e))) goto done;
    }
    event_stage(ev, "embed", n, n);
done:
    pthread_mutex_unlock(&an->embed_lock);
    for (size_t i = 0; todo && i < n; i++) free(todo[i].ids);
    free(todo);
    free(vectors);
    arena_free(&a);
    return rc;
}
