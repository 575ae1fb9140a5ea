/* judge.c: the model's word on pairs: the logits of contradiction, consistent, unrelated behind a pair (prompt.c); both
 * orders (the model's README). Owns the batching; decides nothing: thresholds are the caller's, from
 * the card. */
#include "engine/analysis/inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { JUDGE_BATCH = 32 };

struct judge_item {
    struct judge_pair *pair;
    bool swapped;
    int32_t *ids;
    size_t n;
};

static int by_length(const void *a, const void *b) {
    const struct judge_item *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    if (x->pair != y->pair) return x->pair < y->pair ? -1 : 1;
    return (int)x->swapped - (int)y->swapped;
}

static void softmax3(float v[3]) {
    float m = fmaxf(v[0], fmaxf(v[1], v[2])), s = 0;
    for (int i = 0; i < 3; i++) s += v[i] = expf(v[i] - m);
    for (int i = 0; i < 3; i++) v[i] /= s;
}

int judge_pairs(struct analysis *an, struct judge_pair *pairs, size_t n, const struct analysis_events *ev,
                struct error *e) {
    if (!n) return 0;
    int rc = 0;
    const int32_t *rows = an->prompts.relation;
    struct judge_item *todo = calloc(2 * n, sizeof *todo);
    if (!todo) return error_set(e, ERR_NOMEM, "", "There is not enough memory to judge the pairs.");
    for (size_t i = 0; i < 2 * n; i++) {
        todo[i].pair = &pairs[i / 2];
        todo[i].swapped = i & 1;
        struct slice a = todo[i].swapped ? pairs[i / 2].b : pairs[i / 2].a,
                     b = todo[i].swapped ? pairs[i / 2].a : pairs[i / 2].b;
        if ((rc = prompt_pair(an, a, b, &todo[i].ids, &todo[i].n, e))) goto done;
    }
    qsort(todo, 2 * n, sizeof *todo, by_length);
    struct run_holder run;
    run_init(&run, ev, NULL, 0, 0);
    for (size_t i = 0; i < 2 * n; i += JUDGE_BATCH) {
        size_t m = 2 * n - i < JUDGE_BATCH ? 2 * n - i : JUDGE_BATCH, opened = 0;
        struct jamba_batch_item items[JUDGE_BATCH] = {0};
        event_stage(ev, "judge", i / 2, n);
        if (event_cancelled(ev)) {
            rc = error_set(e, ERR_CANCELLED, "", "Stopped on request while the pairs were being judged.");
            goto done;
        }
        for (; !rc && opened < m; opened++) {
            struct judge_item *t = &todo[i + opened];
            items[opened] = (struct jamba_batch_item){.tokens = t->ids,
                                                      .n_tokens = t->n,
                                                      .want = JAMBA_WANT_LOGITS,
                                                      .rows = rows,
                                                      .n_rows = 3,
                                                      .out = t->swapped ? t->pair->ba : t->pair->ab};
            if ((rc = jamba_session_open(&items[opened].session, an->model, (uint32_t)t->n, e))) break;
        }
        if (!rc) rc = jamba_batch_run(an->model, items, m, &run.run, e);
        for (size_t k = 0; k < opened; k++) jamba_session_close(items[k].session);
        if (rc) goto done;
        for (size_t k = 0; k < m; k++) softmax3(items[k].out);
    }
    event_stage(ev, "judge", n, n);
done:
    for (size_t i = 0; i < 2 * n; i++) free(todo[i].ids);
    free(todo);
    return rc;
}
