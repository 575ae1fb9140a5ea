/* session.c: timelines and batches. Owns positions, limits, the prefix hash, chunking, cancel and deadline; the backend
 * owns the state and the arithmetic. Chunks are cut wherever the rows of a round run out: results do not depend on
 * where (jamba.h, Invariance). */
#include "engine/jamba/session.h"
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

/* Timelines that advance together in one round; more wait for the next. */
#define ROUND_ITEMS 64

int jamba_session_open(struct jamba_session **out, struct jamba_model *m, uint32_t max_tokens, struct error *e) {
    *out = NULL;
    if (max_tokens == 0) return error_set(e, ERR_ARG, "", "A session needs room for at least one token.");
    struct jamba_session *s = calloc(1, sizeof *s);
    if (!s) return error_set(e, ERR_NOMEM, "", "There is no memory for a session.");
    s->model = m;
    s->max_tokens = max_tokens;
    sha256_init(&s->hash);
    int rc = m->backend->state_open(&s->state, m->backend_ctx, max_tokens, e);
    if (rc)
        free(s);
    else
        *out = s;
    return rc;
}

int jamba_session_fork(struct jamba_session **out, const struct jamba_session *s, struct error *e) {
    *out = NULL;
    struct jamba_session *f = malloc(sizeof *f);
    if (!f) return error_set(e, ERR_NOMEM, "", "There is no memory for a session.");
    *f = *s;
    f->state = NULL;
    int rc = s->model->backend->state_fork(&f->state, s->model->backend_ctx, s->state, e);
    if (rc)
        free(f);
    else
        *out = f;
    return rc;
}

void jamba_session_close(struct jamba_session *s) {
    if (!s) return;
    s->model->backend->state_close(s->model->backend_ctx, s->state);
    free(s);
}

uint32_t jamba_session_n_tokens(const struct jamba_session *s) {
    return s->n_tokens;
}

void jamba_session_prefix_hash(const struct jamba_session *s, uint8_t out[32]) {
    struct sha256 h = s->hash;
    sha256_final(&h, out);
}

/* The hash is over the ids as 4-byte little-endian numbers, in order, whatever chunks they came in. */
void session_advance(struct jamba_session *s, const int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t v = (uint32_t)ids[i];
        uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
        sha256_update(&s->hash, bytes, 4);
    }
    s->n_tokens += (uint32_t)n;
}

static int stop_asked(const struct jamba_run *run, struct error *e) {
    if (!run) return 0;
    if (run->cancelled && run->cancelled(run->ctx)) return error_set(e, ERR_CANCELLED, "", "The work was cancelled.");
    if (run->deadline > 0 && clock_seconds() > run->deadline)
        return error_set(e, ERR_CANCELLED, "", "The work took longer than it was allowed to.");
    return 0;
}

static int check_item(const struct jamba_model *m, const struct jamba_batch_item *it, struct error *e) {
    const struct jamba_session *s = it->session;
    if (!s || s->model != m) return error_set(e, ERR_ARG, "", "A session of another model stands in the batch.");
    if (it->n_tokens == 0) return error_set(e, ERR_ARG, "", "There are no tokens to read.");
    if (it->n_tokens > s->max_tokens || s->n_tokens > s->max_tokens - it->n_tokens)
        return error_set(e, ERR_LIMIT, "",
                         "The session has room for %u tokens; %zu more than the %u it has read do not fit.",
                         s->max_tokens, it->n_tokens, s->n_tokens);
    for (size_t i = 0; i < it->n_tokens; i++)
        if (it->tokens[i] < 0 || (uint32_t)it->tokens[i] >= m->config.n_vocab)
            return error_set(e, ERR_ARG, "", "Token %d at place %zu is not in the model's vocabulary.", it->tokens[i],
                             i);
    if (it->want == JAMBA_WANT_LOGPROBS && s->n_tokens == 0)
        return error_set(e, ERR_ARG, "", "The first token's probability needs a session that has read something.");
    if (it->want != JAMBA_WANT_NOTHING && !it->out)
        return error_set(e, ERR_ARG, "", "There is no place for the result.");
    if (it->want == JAMBA_WANT_LOGITS && it->rows)
        for (size_t i = 0; i < it->n_rows; i++)
            if (it->rows[i] < 0 || (uint32_t)it->rows[i] >= m->config.n_vocab)
                return error_set(e, ERR_ARG, "", "Token %d is not in the model's vocabulary.", it->rows[i]);
    return 0;
}

/* Calls take turns in the order they came: a plain mutex lets a long reading take the model again and again past a
 * waiting question. */
static void take_turn(struct jamba_model *m) {
    pthread_mutex_lock(&m->lock);
    uint64_t ticket = m->next_ticket++;
    while (ticket != m->serving) pthread_cond_wait(&m->turn, &m->lock);
    pthread_mutex_unlock(&m->lock);
}
static void end_turn(struct jamba_model *m) {
    pthread_mutex_lock(&m->lock);
    m->serving++;
    pthread_cond_broadcast(&m->turn);
    pthread_mutex_unlock(&m->lock);
}

/* One round, in the model's turn: the first items that are not done share `budget` rows. done[i] counts an item's
 * tokens read. */
static int run_round(struct jamba_model *m, struct jamba_batch_item *items, size_t n_items, size_t *first,
                     size_t *done_first, size_t budget, size_t *advanced, struct error *e) {
    struct backend_item round[ROUND_ITEMS];
    size_t n = 0, rows = 0, at = *done_first;
    for (size_t i = *first; i < n_items && n < ROUND_ITEMS && rows < budget; i++) {
        struct jamba_batch_item *it = &items[i];
        size_t take = it->n_tokens - at < budget - rows ? it->n_tokens - at : budget - rows;
        bool last = at + take == it->n_tokens;
        round[n] = (struct backend_item){.state = it->session->state, .tokens = it->tokens + at, .n_tokens = take};
        if (it->want == JAMBA_WANT_LOGPROBS) {
            round[n].want = it->want;
            round[n].out = it->out + at;
        } else if (last) {
            round[n].want = it->want;
            round[n].rows = it->rows;
            round[n].n_rows = it->n_rows;
            round[n].out = it->out;
        }
        n++;
        rows += take;
        at = 0;
    }
    int rc = m->backend->forward(m->backend_ctx, round, n, e);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        struct jamba_batch_item *it = &items[*first];
        session_advance(it->session, round[i].tokens, round[i].n_tokens);
        *done_first += round[i].n_tokens;
        if (*done_first == it->n_tokens) {
            (*first)++;
            *done_first = 0;
        }
    }
    *advanced = rows;
    return 0;
}

/* The budget grants all of a batch or nothing of it. */
static int grant(struct jamba_model *m, const struct jamba_batch_item *items, size_t n_items, struct error *e) {
    int rc = 0;
    size_t n = 0;
    if (!m->backend->state_grant) return 0;
    for (; !rc && n < n_items; n++)
        rc = m->backend->state_grant(m->backend_ctx, items[n].session->state, items[n].n_tokens, e);
    for (size_t i = 0; rc && i + 1 < n; i++) m->backend->state_grant(m->backend_ctx, items[i].session->state, 0, NULL);
    return rc;
}
static void grant_end(struct jamba_model *m, const struct jamba_batch_item *items, size_t n_items) {
    for (size_t i = 0; m->backend->state_grant && i < n_items; i++)
        m->backend->state_grant(m->backend_ctx, items[i].session->state, 0, NULL);
}

int jamba_batch_run(struct jamba_model *m, struct jamba_batch_item *items, size_t n_items, const struct jamba_run *run,
                    struct error *e) {
    size_t total = 0, done = 0, first = 0, done_first = 0, budget = m->backend->default_chunk;
    for (size_t i = 0; i < n_items; i++) {
        int rc = check_item(m, &items[i], e);
        if (rc) return rc;
        for (size_t j = 0; j < i; j++)
            if (items[j].session == items[i].session)
                return error_set(e, ERR_ARG, "", "A session stands in the batch twice.");
        total += items[i].n_tokens;
    }
    if (run && run->chunk && run->chunk < budget) budget = run->chunk;
    int rc = grant(m, items, n_items, e);
    if (rc) return rc;
    while (!rc && done < total) {
        size_t advanced = 0;
        rc = stop_asked(run, e);
        if (rc) break;
        take_turn(m); /* a round at a time: a short question waits for one round of a long reading */
        rc = run_round(m, items, n_items, &first, &done_first, budget, &advanced, e);
        end_turn(m);
        done += advanced;
        if (!rc && run && run->progress) run->progress(run->ctx, (uint32_t)done, (uint32_t)total);
    }
    grant_end(m, items, n_items);
    return rc;
}

int jamba_session_prefill(struct jamba_session *s, const int32_t *ids, size_t n, const struct jamba_run *run,
                          struct error *e) {
    if (n == 0) return 0;
    struct jamba_batch_item it = {.session = s, .tokens = ids, .n_tokens = n};
    return jamba_batch_run(s->model, &it, 1, run, e);
}

static int check_last(const struct jamba_session *s, const int32_t *rows, size_t n_rows, struct error *e) {
    if (s->n_tokens == 0)
        return error_set(e, ERR_ARG, "", "This session has read nothing yet, so it predicts nothing.");
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i] < 0 || (uint32_t)rows[i] >= s->model->config.n_vocab)
            return error_set(e, ERR_ARG, "", "Token %d is not in the model's vocabulary.", rows[i]);
    return 0;
}
static int last(struct jamba_session *s, enum jamba_want want, const int32_t *rows, size_t n_rows, float *out,
                struct error *e) {
    struct jamba_model *m = s->model;
    int rc = check_last(s, rows, n_rows, e);
    if (rc) return rc;
    take_turn(m);
    rc = m->backend->last(m->backend_ctx, s->state, want, rows, n_rows, out, e);
    end_turn(m);
    return rc;
}

int jamba_session_logits(struct jamba_session *s, float *out, struct error *e) {
    return last(s, JAMBA_WANT_LOGITS, NULL, 0, out, e);
}

int jamba_session_logits_rows(struct jamba_session *s, const int32_t *rows, size_t n_rows, float *out,
                              struct error *e) {
    return n_rows ? last(s, JAMBA_WANT_LOGITS, rows, n_rows, out, e) : 0;
}

int jamba_session_hidden(struct jamba_session *s, float *out, struct error *e) {
    return last(s, JAMBA_WANT_HIDDEN, NULL, 0, out, e);
}

int session_choose(struct jamba_session *s, const int32_t *ids, size_t n_ids, const struct jamba_sampling *sampling,
                   double u, float *scratch, size_t *index, float *logprob, struct error *e) {
    struct jamba_model *m = s->model;
    const float temperature = sampling ? sampling->temperature : 0, top_p = sampling ? sampling->top_p : 0;
    if (!ids) n_ids = m->config.n_vocab;
    if (!m->backend->choose) {
        int rc = ids ? jamba_session_logits_rows(s, ids, n_ids, scratch, e) : jamba_session_logits(s, scratch, e);
        if (!rc) *index = kernel_choose(scratch, n_ids, temperature, top_p, u, logprob);
        return rc;
    }
    int rc = check_last(s, ids, ids ? n_ids : 0, e);
    if (rc) return rc;
    take_turn(m);
    rc = m->backend->choose(m->backend_ctx, s->state, ids, n_ids, temperature, top_p, u, index, logprob, e);
    end_turn(m);
    return rc;
}
