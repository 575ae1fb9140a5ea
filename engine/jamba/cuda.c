/* cuda.c: the CUDA backend's table: opens a model over its devices and sends passes through the stages. A stage's own
 * work is in cuda_stage.c.
 *
 * With one stage a pass runs in the caller. With more, the caller runs the first stage of a pass, hands the pass to the
 * thread of the second, which runs it and hands it on; so n passes are under way at once. The inbox of a stage has two
 * slots, taken in turn:
 *
 *     stage k, when its layers are done:  waits for done[k + 1] (host) and freed[s] (device),
 *                                         copies to slot s of stage k + 1, marks sent[s]
 *     stage k + 1:                        waits for the hand-over (host) and sent[s] (device),
 *                                         runs, marks freed[s]
 *
 * A pass of which nothing is asked is not waited for: the next call finds it under way, and what looks at a state waits
 * for all of them first. When one fails behind the first stage, its sessions remember.
 */
#include "engine/jamba/cuda_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- passes through the stages ---- */
/* Waits until the stages are done with every pass handed to them. */
static void drain(struct cuda_model *cm) {
    if (cm->n_stages == 1) return;
    pthread_mutex_lock(&cm->lock);
    for (int k = 1; k < cm->n_stages; k++)
        while (cm->done[k] != cm->n_passes) pthread_cond_wait(&cm->moved, &cm->lock);
    pthread_mutex_unlock(&cm->lock);
}

/* 0, or what went wrong in a pass of this session that nobody waited for. */
static int session_check(struct cuda_model *cm, const struct cuda_session *s, struct error *e) {
    pthread_mutex_lock(&cm->lock);
    int rc = s->failed;
    if (rc && e) *e = s->error;
    pthread_mutex_unlock(&cm->lock);
    return rc;
}

/* Waits, then the same. */
static int settle(struct cuda_model *cm, const struct cuda_session *s, struct error *e) {
    drain(cm);
    return session_check(cm, s, e);
}

/* Stage k's share of a pass, and its way into the next stage's inbox. */
static int run_stage(struct cuda_model *cm, int k, struct cuda_pass *p, struct error *e) {
    struct cuda_stage *st = cm->stage[k], *next = k + 1 < cm->n_stages ? cm->stage[k + 1] : NULL;
    const unsigned slot = p->step ? 0 : p->number % 2;
    int rc = cuda_device_set(st->device, e);
    for (int i = 0; !rc && k && i < p->n_seg; i++)
        rc = session_check(cm, p->seg[i].session, e); /* a pass before this one */
    if (k) st->h = st->inbox[slot];
    if (!rc && k) rc = cuda_event_wait(cm->stage[k - 1]->sent[slot], st->stream, e);
    if (!rc) rc = cuda_stage_pass(st, p, e);
    if (next) {
        pthread_mutex_lock(&cm->lock);
        while (!p->step && !cm->stop && (int)(p->number - cm->done[k + 1]) > 1)
            pthread_cond_wait(&cm->moved, &cm->lock);
        pthread_mutex_unlock(&cm->lock);
        if (!rc) rc = cuda_event_wait(next->freed[slot], st->stream, e);
        if (!rc)
            rc = cuda_copy_peer(next->inbox[slot], next->device, st->h, st->device,
                                (size_t)p->n_rows * cm->m->config.d_model * sizeof(float), st->stream, e);
        if (!rc) rc = cuda_event_mark(st->sent[slot], st->stream, e);
    }
    if (!rc && k) rc = cuda_event_mark(st->freed[slot], st->stream, e);
    if (!rc && !next) rc = cuda_sync(st->stream, e);
    if (rc && k) {
        pthread_mutex_lock(&cm->lock);
        for (int i = 0; i < p->n_seg; i++) {
            struct cuda_session *s = p->seg[i].session;
            if (s->failed) continue;
            s->failed = rc;
            if (e) s->error = *e;
        }
        pthread_mutex_unlock(&cm->lock);
    }
    return rc;
}

/* To stage k's queue; the lock is held. */
static void hand_over(struct cuda_model *cm, int k, const struct cuda_pass *p) {
    *cm->queue[k][p->number % 2] = *p;
    cm->handed[k]++;
    pthread_cond_broadcast(&cm->moved);
}

struct driver {
    struct cuda_model *cm;
    int stage;
};
static void *drive(void *arg) {
    struct driver d = *(struct driver *)arg;
    struct cuda_model *cm = d.cm;
    const int k = d.stage;
    free(arg);
    pthread_mutex_lock(&cm->lock);
    for (;;) {
        while (cm->handed[k] == cm->done[k] && !cm->stop) pthread_cond_wait(&cm->moved, &cm->lock);
        if (cm->stop) break;
        struct cuda_pass *p =
            cm->queue[k][cm->done[k] % 2]; /* its place is taken again only when done[k] has moved on */
        pthread_mutex_unlock(&cm->lock);
        struct error e = {0}; /* a session keeps it */
        if (!p->skip && run_stage(cm, k, p, &e)) p->skip = true;
        pthread_mutex_lock(&cm->lock);
        if (k + 1 < cm->n_stages) {
            /* a pass that was skipped has not waited for a place */
            while (!cm->stop && (int)(p->number - cm->done[k + 1]) > 1) pthread_cond_wait(&cm->moved, &cm->lock);
            hand_over(cm, k + 1, p);
        }
        cm->done[k]++;
        pthread_cond_broadcast(&cm->moved);
    }
    pthread_mutex_unlock(&cm->lock);
    return NULL;
}

static int run_pass(struct cuda_model *cm, struct cuda_pass *p, struct error *e) {
    int rc = 0;
    if (cm->n_stages == 1) return run_stage(cm, 0, p, e);
    if (p->step) { /* one after another: a step waits for its token anyway */
        for (int k = 0; !rc && k < cm->n_stages; k++) rc = run_stage(cm, k, p, e);
        return rc;
    }
    p->number = cm->n_passes;
    rc = run_stage(cm, 0, p, e);
    if (rc) return rc; /* nobody else has heard of it */
    pthread_mutex_lock(&cm->lock);
    cm->n_passes++;
    hand_over(cm, 1, p);
    pthread_mutex_unlock(&cm->lock);
    return 0;
}

static int cuda_forward(void *ctx, struct backend_item *items, size_t n_items, struct error *e) {
    struct cuda_model *cm = ctx;
    const int chunk = cm->stage[0]->chunk_rows;
    size_t item = 0, done = 0; /* next item, its tokens that are read */
    struct cuda_pass *p = &cm->pass;
    p->trace = jamba_trace;
    bool step = n_items <= CUDA_STEP_ROWS, asked = p->trace.layer != NULL;
    for (size_t i = 0; i < n_items; i++) {
        step = step && items[i].n_tokens == 1;
        asked = asked || items[i].want != JAMBA_WANT_NOTHING;
    }
    int rc = 0;
    if (step) drain(cm);
    for (size_t i = 0; !rc && i < n_items;
         i++) { /* room for all of it before any of it is read: a full pool leaves every session where it stood */
        struct cuda_session *s = items[i].state;
        rc = session_check(cm, s, e);
        if (!rc) rc = cuda_device_set(cm->stage[0]->device, e);
        if (!rc) rc = cuda_state_extend(cm->stage[0], s->part[0], items[i].n_tokens, e);
    }
    while (!rc && item < n_items) {
        p->step = step, p->skip = false;
        p->n_seg = p->n_rows = 0;
        while (item < n_items && p->n_seg < CUDA_MAX_ITEMS && p->n_rows < chunk) {
            size_t left = items[item].n_tokens - done, room = (size_t)(chunk - p->n_rows),
                   take = left < room ? left : room;
            p->seg[p->n_seg++] = (struct cuda_segment){.session = items[item].state,
                                                       .first = p->n_rows,
                                                       .n = (int)take,
                                                       .token = items[item].tokens[done],
                                                       .tokens = items[item].tokens + done,
                                                       .from = done,
                                                       .is_end = take == left,
                                                       .item = items[item]};
            p->n_rows += (int)take;
            done += take;
            if (take == left) item++, done = 0;
        }
        rc = run_pass(cm, p, e);
        if (p->trace.layer) drain(cm); /* a trace sees one layer after another, and nothing behind the call */
    }
    if (rc || asked || step) drain(cm); /* the results are there, and nobody holds on to the caller's tokens */
    for (size_t i = 0; !rc && (asked || step) && i < n_items; i++) rc = session_check(cm, items[i].state, e);
    return rc;
}

/* ---- open and close ---- */
static void cuda_close(void *ctx) {
    struct cuda_model *cm = ctx;
    if (!cm) return;
    if (cm->n_threads == cm->n_stages - 1) drain(cm); /* else it was never opened */
    pthread_mutex_lock(&cm->lock);
    cm->stop = true;
    pthread_cond_broadcast(&cm->moved);
    pthread_mutex_unlock(&cm->lock);
    for (int i = 0; i < cm->n_threads; i++) pthread_join(cm->thread[i], NULL);
    for (int k = 0; k < CUDA_MAX_STAGES; k++) {
        cuda_stage_close(cm->stage[k]);
        free(cm->queue[k][0]), free(cm->queue[k][1]);
    }
    pthread_mutex_destroy(&cm->lock);
    pthread_cond_destroy(&cm->moved);
    arena_free(&cm->padded.arena);
    free(cm);
}

static int start_threads(struct cuda_model *cm, struct error *e) {
    for (int k = 0; k < cm->n_stages; k++)
        for (int i = 0; i < 2; i++)
            if (!(cm->queue[k][i] = malloc(sizeof *cm->queue[k][i])))
                return error_set(e, ERR_NOMEM, "", "There is no memory for the model.");
    for (int k = 1; k < cm->n_stages; k++) {
        struct driver *d = malloc(sizeof *d);
        if (!d) return error_set(e, ERR_NOMEM, "", "There is no memory for the model.");
        *d = (struct driver){cm, k};
        if (pthread_create(&cm->thread[cm->n_threads], NULL, drive, d)) {
            free(d);
            return error_set(e, ERR_NOMEM, "", "A thread for a GPU could not be started.");
        }
        cm->n_threads++;
    }
    return 0;
}

static int cuda_open(void **ctx, struct jamba_model *m, const struct jamba_model_options *o, struct error *e) {
    *ctx = NULL;
    struct cuda_model *cm = calloc(1, sizeof *cm);
    if (!cm) return error_set(e, ERR_NOMEM, "", "There is no memory for the model.");
    if (pthread_mutex_init(&cm->lock, NULL)) {
        free(cm);
        return error_set(e, ERR_NOMEM, "", "There is no memory for the model.");
    }
    if (pthread_cond_init(&cm->moved, NULL)) {
        pthread_mutex_destroy(&cm->lock);
        free(cm);
        return error_set(e, ERR_NOMEM, "", "There is no memory for the model.");
    }
    cm->m = &cm->padded;
    int rc = cuda_pad_model(cm->m, m, o, e);
    if (!rc) rc = cuda_plan_make(cm->plan, &cm->n_stages, cm->m, o, e);
    for (int k = 0; !rc && k < cm->n_stages; k++) {
        const struct cuda_plan *p = &cm->plan[k];
        struct cuda_stage *st = calloc(1, sizeof *st);
        if (!st || pthread_mutex_init(&st->pool_lock, NULL)) {
            free(st);
            rc = error_set(e, ERR_NOMEM, "", "There is no memory for the model.");
            break;
        }
        cm->stage[k] = st;
        cuda_stage_init(st, cm->m, k, cm->n_stages, p->first, p->end);
        st->device = p->device;
        st->real.head_dim = (int)m->config.head_dim, st->real.dt_rank = (int)m->config.dt_rank;
        st->real.d_state = (int)m->config.d_state;
        rc = cuda_stage_load(st, p, e);
        if (!rc && k) rc = cuda_peer_enable(cm->stage[k - 1]->device, st->device, e);
        if (!rc && k) rc = cuda_peer_enable(st->device, cm->stage[k - 1]->device, e);
        size_t at = strlen(cm->where);
        snprintf(cm->where + at, sizeof cm->where - at, "%scuda:%d %.40s, layers %u to %u, %.1f GiB", k ? "; " : "",
                 p->device, p->name, p->first, p->end - 1, (double)p->total / (1 << 30));
        const char *arch = strstr(p->name, "sm_");
        if (k == 0)
            snprintf(cm->path, sizeof cm->path, "cuda %s %s", arch ? arch : p->name,
                     st->form == CUDA_BF16   ? "bf16"
                     : st->form == CUDA_INT8 ? "int8"
                     : st->e4m3_rows         ? "fp8"
                                             : "fp8 weights");
    }
    if (!rc && cm->n_stages > 1) rc = start_threads(cm, e);
    if (rc)
        cuda_close(cm);
    else
        *ctx = cm;
    return rc;
}

static const char *cuda_path(void *ctx) {
    return ((struct cuda_model *)ctx)->path;
}
static const char *cuda_where(void *ctx) {
    return ((struct cuda_model *)ctx)->where;
}
static uint64_t cuda_bytes(void *ctx) {
    const struct cuda_model *cm = ctx;
    uint64_t sum = 0;
    for (int k = 0; k < cm->n_stages; k++) sum += cm->stage[k]->bytes;
    return sum;
}

/* ---- a session's state: one part a stage ---- */
static void session_close(void *ctx, void *state) {
    struct cuda_model *cm = ctx;
    struct cuda_session *s = state;
    if (!s) return;
    drain(cm);
    for (int k = 0; k < cm->n_stages; k++) cuda_state_close(cm->stage[k], s->part[k]);
    free(s);
}

static int session_make(void **out, struct cuda_model *cm, uint32_t max_tokens, const struct cuda_session *from,
                        struct error *e) {
    *out = NULL;
    struct cuda_session *s = calloc(1, sizeof *s);
    if (!s) return error_set(e, ERR_NOMEM, "", "There is no memory for a session.");
    int rc = from ? settle(cm, from, e) : 0;
    for (int k = 0; !rc && k < cm->n_stages; k++) {
        rc = cuda_device_set(cm->stage[k]->device, e);
        if (rc) break;
        rc = from ? cuda_state_fork(&s->part[k], cm->stage[k], from->part[k], e)
                  : cuda_state_open(&s->part[k], cm->stage[k], max_tokens, e);
    }
    if (rc)
        session_close(cm, s);
    else
        *out = s;
    return rc;
}
static int session_open(void **state, void *ctx, uint32_t max_tokens, struct error *e) {
    return session_make(state, ctx, max_tokens, NULL, e);
}
static int session_fork(void **out, void *ctx, const void *state, struct error *e) {
    return session_make(out, ctx, 0, state, e);
}
static uint64_t session_bytes(void *ctx, const void *state, uint32_t n_tokens) {
    (void)state;
    return cuda_session_bytes(ctx, n_tokens);
}
static int session_write(void *ctx, const void *state, uint32_t n_tokens, int (*put)(void *, const void *, size_t),
                         void *put_ctx, struct error *e) {
    struct cuda_session s = *(const struct cuda_session *)state;
    int rc = settle(ctx, state, e);
    return rc ? rc : cuda_session_move(ctx, &s, n_tokens, put, NULL, put_ctx, e);
}
static int session_read(void *ctx, void *state, uint32_t n_tokens, int (*get)(void *, void *, size_t, uint64_t),
                        void *get_ctx, struct error *e) {
    int rc = settle(ctx, state, e);
    return rc ? rc : cuda_session_move(ctx, state, n_tokens, NULL, get, get_ctx, e);
}

/* The session's half in the stage with the head, with all that was asked of it before done. */
static int last_stage(struct cuda_stage **st, struct cuda_state **s, struct cuda_model *cm, void *state,
                      struct error *e) {
    *st = cm->stage[cm->n_stages - 1];
    *s = ((struct cuda_session *)state)->part[cm->n_stages - 1];
    int rc = settle(cm, state, e);
    if (!rc) rc = cuda_device_set((*st)->device, e);
    if (!rc && !(*s)->has_last)
        rc = error_set(e, ERR_ARG, "", "This session has read nothing yet, so it predicts nothing.");
    return rc;
}
static int cuda_last(void *ctx, void *state, enum jamba_want want, const int32_t *rows, size_t n_rows, float *out,
                     struct error *e) {
    struct cuda_stage *st;
    struct cuda_state *s;
    int rc = last_stage(&st, &s, ctx, state, e);
    struct backend_item it = {.state = state, .want = want, .rows = rows, .n_rows = n_rows, .out = out};
    return rc ? rc : cuda_stage_last(st, s, &it, e);
}
static int choose(void *ctx, void *state, const int32_t *ids, size_t n_ids, float temperature, float top_p, double u,
                  size_t *index, float *logprob, struct error *e) {
    struct cuda_stage *st;
    struct cuda_state *s;
    int rc = last_stage(&st, &s, ctx, state, e);
    return rc ? rc : cuda_stage_choose(st, s, ids, n_ids, temperature, top_p, u, index, logprob, e);
}

const struct backend backend_cuda = {.name = "cuda",
                                     .open = cuda_open,
                                     .close = cuda_close,
                                     .path = cuda_path,
                                     .bytes = cuda_bytes,
                                     .state_open = session_open,
                                     .state_fork = session_fork,
                                     .state_close = session_close,
                                     .forward = cuda_forward,
                                     .last = cuda_last,
                                     .state_bytes = session_bytes,
                                     .state_write = session_write,
                                     .state_read = session_read,
                                     .default_chunk = CUDA_MAX_CHUNK,
                                     .choose = choose,
                                     .where = cuda_where};
