/* generate.c: decoding under a constraint. Where one token is allowed it is taken without asking the model; a run of
 * such tokens is read in one prefill before the next real choice (the same bits as token by token: jamba.h,
 * Invariance). When it returns, the session has read every token that was handed out, unless it was cancelled. */
#include "engine/jamba/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tokens taken but not yet read: a forced run is read in pieces of this at the latest. */
#define PENDING 256

static uint64_t next_random(uint64_t *state) { /* splitmix64 (Steele, Lea, Flood 2014) */
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct choice {
    float p;
    uint32_t index;
};
static int by_probability(const void *a, const void *b) {
    const struct choice *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? 1 : -1;
    return x->index < y->index ? -1 : 1;
}

/* Chooses among n logits; returns the index, *logprob within the n at temperature 1. */
static size_t choose(const float *logits, size_t n, const struct jamba_sampling *sampling, uint64_t *random,
                     struct choice *work, float *logprob) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i; /* a tie keeps the lower id */
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)logits[i] - (double)logits[best]);
    size_t chosen = best;
    if (sampling && sampling->temperature > 0) {
        double total = 0;
        for (size_t i = 0; i < n; i++) {
            work[i] = (struct choice){
                (float)exp(((double)logits[i] - (double)logits[best]) / (double)sampling->temperature), (uint32_t)i};
            total += (double)work[i].p;
        }
        size_t keep = n;
        if (sampling->top_p > 0 && sampling->top_p < 1) { /* the fewest likeliest tokens that reach top_p */
            qsort(work, n, sizeof work[0], by_probability);
            double reached = 0;
            for (keep = 0; keep < n && reached < (double)sampling->top_p * total; keep++)
                reached += (double)work[keep].p;
            total = reached;
        }
        double at = (double)(next_random(random) >> 11) * 0x1p-53 * total;
        size_t i = 0;
        for (; i + 1 < keep && at >= (double)work[i].p; i++) at -= (double)work[i].p;
        chosen = work[i].index;
    }
    *logprob = (float)((double)logits[chosen] - (double)logits[best] - log(sum));
    return chosen;
}

static bool is_eos(const struct jamba_config *c, int32_t id) {
    for (size_t i = 0; i < sizeof c->eos / sizeof c->eos[0] && c->eos[i] >= 0; i++)
        if (c->eos[i] == id) return true;
    return false;
}

int jamba_generate(struct jamba_session *s, const struct jamba_constraint *c, const struct jamba_sampling *sampling,
                   uint32_t max_tokens, bool (*on_token)(void *ctx, int32_t id, float logprob), void *ctx,
                   const struct jamba_run *run, struct error *e) {
    size_t V = s->model->config.n_vocab, n_pending = 0;
    uint64_t random = sampling ? sampling->seed : 0;
    int32_t pending[PENDING];
    bool sample = sampling && sampling->temperature > 0;
    float *logits = malloc(V * sizeof *logits);
    struct choice *work = sample ? malloc(V * sizeof *work) : NULL;
    int rc = logits && (!sample || work)
                 ? 0
                 : error_set(e, ERR_NOMEM, "", "There is no memory for the next token's scores.");
    struct jamba_run quiet = {0}; /* the progress of a prefill is not the progress of decoding */
    if (run)
        quiet = (struct jamba_run){
            .cancelled = run->cancelled, .ctx = run->ctx, .deadline = run->deadline, .chunk = run->chunk};

    for (uint32_t n = 0; !rc && n < max_tokens; n++) {
        const int32_t *ids = NULL;
        size_t n_ids = c ? c->allowed(c->ctx, &ids) : SIZE_MAX;
        if (n_ids == 0) break;
        int32_t id;
        float logprob = 0;
        if (n_ids == 1) {
            id = ids[0];
        } else {
#ifdef MUTANT_FORCED_RUN
            n_pending -= n_pending > 1;
#endif
            if (n_pending) rc = jamba_session_prefill(s, pending, n_pending, &quiet, e);
            n_pending = 0;
            if (rc) break;
            bool all = n_ids == SIZE_MAX;
            rc = all ? jamba_session_logits(s, logits, e) : jamba_session_logits_rows(s, ids, n_ids, logits, e);
            if (rc) break;
            size_t i = choose(logits, all ? V : n_ids, sampling, &random, work, &logprob);
            id = all ? (int32_t)i : ids[i];
        }
        if (id < 0 || (size_t)id >= V) {
            rc = error_set(e, ERR_ARG, "", "The constraint allows token %d, which is not in the model's vocabulary.",
                           id);
            break;
        }
        if (n_pending == PENDING) {
            rc = jamba_session_prefill(s, pending, n_pending, &quiet, e);
            n_pending = 0;
            if (rc) break;
        }
        pending[n_pending++] = id;
        if (c && c->accept) c->accept(c->ctx, id);
        bool go_on = on_token ? on_token(ctx, id, logprob) : true;
        if (run && run->progress) run->progress(run->ctx, n + 1, max_tokens);
        if (!go_on || is_eos(&s->model->config, id)) break;
    }
    if (!rc && n_pending) rc = jamba_session_prefill(s, pending, n_pending, &quiet, e);
    free(logits);
    free(work);
    return rc;
}
