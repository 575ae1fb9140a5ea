/* test_cuda_stages.c: how passes go through the stages of a model that is spread over GPUs (engine/jamba/cuda.c),
 * without a GPU: the file itself runs, the devices, stages and states below it are doubles. A stage's double counts:
 * the first writes each token's id and position into the residual, every other adds 1 and checks the position, the last
 * sums. So a pass that is lost, doubled, out of order or mixed up with its neighbour shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#ifndef ANTINOMY_CUDA
#define ANTINOMY_CUDA
#endif
#include "engine/jamba/cuda.c"

#include <unistd.h>

#define WIDTH 16 /* d_model */
#define ROWS 64  /* of a pass */
#define BAD 777  /* a token that the second stage cannot bear */

static int n_stages, running[CUDA_MAX_STAGES];
static unsigned seed;
static unsigned next_random(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* ---- doubles ---- */
int cuda_device_set(int device, struct error *e) {
    (void)device, (void)e;
    return 0;
}
int cuda_peer_enable(int device, int peer, struct error *e) {
    (void)device, (void)peer, (void)e;
    return 0;
}
int cuda_event_wait(cuda_event ev, cuda_stream s, struct error *e) {
    (void)ev, (void)s, (void)e;
    return 0;
}
int cuda_event_mark(cuda_event ev, cuda_stream s, struct error *e) {
    (void)ev, (void)s, (void)e;
    return 0;
}
int cuda_sync(cuda_stream s, struct error *e) {
    (void)s, (void)e;
    return 0;
}
int cuda_copy_peer(void *to, int to_device, const void *from, int from_device, size_t bytes, cuda_stream s,
                   struct error *e) {
    (void)to_device, (void)from_device, (void)s, (void)e;
    memcpy(to, from, bytes);
    return 0;
}
int cuda_plan_make(struct cuda_plan plan[CUDA_MAX_STAGES], int *n, const struct jamba_model *m,
                   const struct jamba_model_options *o, struct error *e) {
    (void)m, (void)o, (void)e;
    memset(plan, 0, CUDA_MAX_STAGES * sizeof *plan);
    *n = n_stages;
    return 0;
}
void cuda_stage_init(struct cuda_stage *cm, const struct jamba_model *m, int index, int n, uint32_t first,
                     uint32_t end) {
    (void)m, (void)first, (void)end;
    cm->index = index;
    cm->is_last = index == n - 1;
}
int cuda_pad_model(struct jamba_model *out, const struct jamba_model *m, const struct jamba_model_options *o,
                   struct error *e) {
    (void)o, (void)e;
    out->config = m->config;
    return 0;
}
int cuda_stage_load(struct cuda_stage *cm, const struct cuda_plan *plan, struct error *e) {
    (void)plan, (void)e;
    cm->chunk_rows = ROWS;
    for (int i = 0; i < 2; i++) cm->inbox[i] = calloc(ROWS * WIDTH, sizeof(float));
    if (cm->index == 0) cm->h = cm->inbox[0];
    return 0;
}
void cuda_stage_close(struct cuda_stage *cm) {
    if (!cm) return;
    free(cm->inbox[0]), free(cm->inbox[1]);
    pthread_mutex_destroy(&cm->pool_lock);
    free(cm);
}
int cuda_state_extend(struct cuda_stage *cm, struct cuda_state *s, size_t n_more, struct error *e) {
    (void)cm, (void)s, (void)n_more, (void)e;
    return 0;
}
int cuda_state_open(struct cuda_state **state, struct cuda_stage *cm, uint32_t max_tokens, struct error *e) {
    (void)cm, (void)max_tokens, (void)e;
    *state = calloc(1, sizeof **state);
    (*state)->last = calloc(1, sizeof(float));
    return 0;
}
int cuda_state_fork(struct cuda_state **out, struct cuda_stage *cm, const struct cuda_state *from, struct error *e) {
    cuda_state_open(out, cm, 0, e);
    (*out)->n_tokens = from->n_tokens;
    (*out)->has_last = from->has_last;
    (*out)->last[0] = from->last[0];
    return 0;
}
void cuda_state_close(struct cuda_stage *cm, struct cuda_state *s) {
    (void)cm;
    if (s) free(s->last);
    free(s);
}
uint64_t cuda_session_bytes(const struct cuda_model *cm, uint32_t n_tokens) {
    (void)cm;
    return n_tokens;
}
int cuda_session_move(struct cuda_model *cm, struct cuda_session *s, uint32_t n_tokens,
                      int (*put)(void *, const void *, size_t), int (*get)(void *, void *, size_t, uint64_t), void *ctx,
                      struct error *e) {
    (void)cm, (void)s, (void)n_tokens, (void)put, (void)get, (void)ctx, (void)e;
    return 0;
}
int cuda_stage_last(struct cuda_stage *cm, const struct cuda_state *s, const struct backend_item *it, struct error *e) {
    (void)cm, (void)e;
    it->out[0] = s->last[0];
    return 0;
}
int cuda_stage_choose(struct cuda_stage *cm, const struct cuda_state *s, const int32_t *ids, size_t n_ids,
                      float temperature, float top_p, double u, size_t *index, float *logprob, struct error *e) {
    (void)cm, (void)s, (void)ids, (void)n_ids, (void)temperature, (void)top_p, (void)u, (void)e;
    *index = (size_t)s->last[0];
    *logprob = 0;
    return 0;
}
int cuda_stage_pass(struct cuda_stage *cm, struct cuda_pass *p, struct error *e) {
    int rc = 0;
    if (__atomic_add_fetch(&running[cm->index], 1, __ATOMIC_SEQ_CST) != 1)
        rc = error_set(e, ERR_DEVICE, "", "Two passes run in one stage.");
    if (cm->index) usleep((useconds_t)((p->number * 37u + (unsigned)cm->index * 113u) % 300)); /* at their own speed */
    for (int i = 0; !rc && i < p->n_seg; i++) {
        struct cuda_segment *g = &p->seg[i];
        g->s = g->session->part[cm->index];
        for (int r = 0; !rc && r < g->n; r++) {
            float *h = cm->h + (size_t)(g->first + r) * WIDTH, position = (float)(g->s->n_tokens + (uint32_t)r);
            if (cm->index == 0)
                h[0] = (float)g->tokens[r], h[1] = position;
            else if (h[1] != position)
                rc = error_set(e, ERR_DEVICE, "", "Rows of another pass.");
            else
                h[0] += 1;
            if (cm->index == 1 && h[0] == BAD + 1) rc = error_set(e, ERR_DEVICE, "", "A bad token.");
            if (cm->is_last) g->s->last[0] += h[0];
        }
        g->s->has_last = true;
        g->s->n_tokens += (uint32_t)g->n;
        if (!rc && cm->is_last && g->is_end && g->item.want == JAMBA_WANT_LOGITS) g->item.out[0] = g->s->last[0];
    }
    if (!rc && p->trace.layer) p->trace.layer(p->trace.ctx, cm->index, cm->h, (size_t)p->n_rows);
    __atomic_sub_fetch(&running[cm->index], 1, __ATOMIC_SEQ_CST);
    return rc;
}

/* ---- tests ---- */
static struct error err;
static struct jamba_model model;
static void *opened(int stages) {
    void *ctx;
    struct jamba_model_options o = {.device = "cuda"};
    n_stages = stages;
    model.config = (struct jamba_config){
        .d_model = WIDTH, .d_state = 16, .d_conv = 4, .d_ff = 16, .d_inner = 32, .dt_rank = 16, .n_vocab = 1024};
    assert_int_equal(backend_cuda.open(&ctx, &model, &o, &err), 0);
    return ctx;
}

static void test_passes_reach_the_last_stage_once_and_in_order(void **state) {
    (void)state;
    for (int stages = 1; stages <= 4; stages++) {
        void *ctx = opened(stages), *s, *f;
        int32_t ids[900];
        double want = 0; /* below 2^24: exact in a float */
        float got = 0;
        assert_int_equal(backend_cuda.state_open(&s, ctx, 1 << 20, &err), 0);
        for (int round = 0; round < 40; round++) {
            size_t n = round % 4 == 2 ? 1 : 1 + next_random() % 900;
            for (size_t i = 0; i < n; i++) {
                ids[i] = (int32_t)(next_random() % 500);
                want += ids[i] + stages - 1;
            }
            struct backend_item it = {.state = s, .tokens = ids, .n_tokens = n};
            if (round % 7 == 3) it.want = JAMBA_WANT_LOGITS, it.out = &got;
            assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), 0);
            if (round % 7 == 3) assert_true(got == (float)want);
            if (round % 5 == 4) {
                assert_int_equal(backend_cuda.last(ctx, s, JAMBA_WANT_LOGITS, NULL, 0, &got, &err), 0);
                assert_true(got == (float)want);
            }
            if (round % 6 == 5) { /* a fork stands where the session stands, passes under way or not */
                assert_int_equal(backend_cuda.state_fork(&f, ctx, s, &err), 0);
                assert_int_equal(backend_cuda.last(ctx, f, JAMBA_WANT_LOGITS, NULL, 0, &got, &err), 0);
                assert_true(got == (float)want);
                backend_cuda.state_close(ctx, f);
            }
        }
        backend_cuda.state_close(ctx, s);
        backend_cuda.close(ctx);
    }
}

static void test_a_failed_pass_is_remembered_by_its_session_alone(void **state) {
    (void)state;
    for (int stages = 2; stages <= 4; stages++) {
        void *ctx = opened(stages), *good, *bad;
        int32_t ids[300];
        float got = 0;
        for (int i = 0; i < 300; i++) ids[i] = i == 100 ? BAD : 1;
        assert_int_equal(backend_cuda.state_open(&good, ctx, 1 << 20, &err), 0);
        assert_int_equal(backend_cuda.state_open(&bad, ctx, 1 << 20, &err), 0);
        struct backend_item it = {.state = bad, .tokens = ids, .n_tokens = 300};
        backend_cuda.forward(ctx, &it, 1, &err); /* not waited for: may come back before the token is met */
        it = (struct backend_item){
            .state = good, .tokens = ids + 101, .n_tokens = 199, .want = JAMBA_WANT_LOGITS, .out = &got};
        assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), 0);
        assert_true(got == 199.f * (float)stages);
        /* waiting for another session did not take the message from its own */
        assert_int_equal(backend_cuda.last(ctx, bad, JAMBA_WANT_LOGITS, NULL, 0, &got, &err), ERR_DEVICE);
        assert_string_equal(err.message, "A bad token.");
        it = (struct backend_item){.state = bad, .tokens = ids, .n_tokens = 1};
        assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), ERR_DEVICE);
        backend_cuda.state_close(ctx, bad);
        backend_cuda.state_close(ctx, good);
        backend_cuda.close(ctx);
    }
}

/* What the stages show, kept at a place that the reader moves on between two calls, as test_cuda_golden.c does: rows
 * that come when the call is over lie in the wrong place or behind the last. A stage's thread may not jump out of a
 * test, so it counts what is wrong. */
struct kept {
    float *rows; /* [n_stages, n_tokens, WIDTH] */
    size_t n_tokens, seen, at;
    int next, busy, wrong;
};
static void keep(void *ctx, int layer, const float *rows, size_t n_rows) {
    struct kept *t = ctx;
    const bool alone = __atomic_add_fetch(&t->busy, 1, __ATOMIC_SEQ_CST) == 1;
    if (!alone || layer != t->next) t->wrong++;
    memcpy(t->rows + ((size_t)layer * t->n_tokens + t->seen + t->at) * WIDTH, rows, n_rows * WIDTH * sizeof *rows);
    t->next = (layer + 1) % n_stages;
    if (t->next == 0) t->at += n_rows;
    __atomic_sub_fetch(&t->busy, 1, __ATOMIC_SEQ_CST);
}

static void test_a_trace_sees_one_stage_after_another_before_the_call_returns(void **state) {
    (void)state;
    for (int stages = 1; stages <= 4; stages++) {
        enum { T = 300, CALLS = 3 }; /* five passes a call */
        static int32_t ids[CALLS * T];
        void *ctx = opened(stages), *s;
        struct kept t = {.rows = calloc((size_t)stages * CALLS * T * WIDTH, sizeof(float)), .n_tokens = CALLS * T};
        assert_non_null(t.rows);
        for (int i = 0; i < CALLS * T; i++) ids[i] = (int32_t)(next_random() % 500);
        assert_int_equal(backend_cuda.state_open(&s, ctx, 1 << 20, &err), 0);
        struct backend_item it = {.state = s, .tokens = ids, .n_tokens = ROWS};
        assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), 0); /* still under way when the trace is set */
        jamba_trace = (struct jamba_trace){keep, &t};
        for (; t.seen < CALLS * T; t.seen += T, t.at = 0) {
            it = (struct backend_item){.state = s, .tokens = ids + t.seen, .n_tokens = T}; /* nothing is asked */
            assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), 0);
            assert_int_equal(t.at, T);
            assert_int_equal(t.next, 0);
        }
        jamba_trace = (struct jamba_trace){0};
        it = (struct backend_item){.state = s, .tokens = ids, .n_tokens = T};
        assert_int_equal(backend_cuda.forward(ctx, &it, 1, &err), 0); /* not seen */
        backend_cuda.state_close(ctx, s);
        assert_int_equal(t.at, 0);
        assert_int_equal(t.wrong, 0);
        for (int k = 0; k < stages; k++)
            for (int i = 0; i < CALLS * T; i++)
                assert_true(t.rows[((size_t)k * CALLS * T + (size_t)i) * WIDTH] == (float)(ids[i] + k));
        free(t.rows);
        backend_cuda.close(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes_reach_the_last_stage_once_and_in_order),
        cmocka_unit_test(test_a_failed_pass_is_remembered_by_its_session_alone),
        cmocka_unit_test(test_a_trace_sees_one_stage_after_another_before_the_call_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
