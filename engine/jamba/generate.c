/* generate.c: decoding under a constraint. Where one token is allowed it is taken without asking the model; a run of
 * such tokens is read in one prefill before the next real choice (the same bits as token by token: jamba.h,
 * Invariance). When it returns, the session has read every token that was handed out, unless it was cancelled. */
#include "engine/jamba/session.h"

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

int jamba_generate(struct jamba_session *s, const struct jamba_constraint *c, const struct jamba_sampling *sampling,
                   uint32_t max_tokens, bool (*on_token)(void *ctx, int32_t id, float logprob), void *ctx,
                   const struct jamba_run *run, struct error *e) {
    size_t V = s->model->config.n_vocab, n_pending = 0;
    uint64_t random = sampling ? sampling->seed : 0;
    int32_t pending[PENDING];
    float *logits = malloc(V * sizeof *logits);
    int rc = logits ? 0 : error_set(e, ERR_NOMEM, "", "There is no memory for the next token's scores.");
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
            size_t i = 0;
            double u = sampling && sampling->temperature > 0 ? (double)(next_random(&random) >> 11) * 0x1p-53 : 0;
            rc = session_choose(s, all ? NULL : ids, n_ids, sampling, u, logits, &i, &logprob, e);
            if (rc) break;
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
        if (!go_on || config_is_eos(&s->model->config, id)) break;
    }
    if (!rc && n_pending) rc = jamba_session_prefill(s, pending, n_pending, &quiet, e);
    free(logits);
    return rc;
}
