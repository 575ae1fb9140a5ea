/* session_fixture.h: what test_session.c and test_snapshot.c share: the bundled model, a long real text as tokens, a
 * session's whole state as bytes. */
#ifndef ANTINOMY_TESTS_SESSION_FIXTURE_H
#define ANTINOMY_TESTS_SESSION_FIXTURE_H

#include "engine/jamba/model.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct jamba_model *fixture_model(const char *path, int threads) {
    struct jamba_model *m = NULL;
    struct error e = {0};
    struct jamba_model_options o = {.path = path, .n_threads = threads};
    if (jamba_model_open(&m, "engine/models", &o, &e)) fail_msg("%s (%s)", e.message, e.where);
    return m;
}

/* The longest golden prompt, again and again up to n tokens. */
static int32_t *fixture_text(size_t n) {
    json_error_t je;
    json_t *json = json_load_file("tests/golden/bundled/logits.json", 0, &je);
    assert_non_null(json);
    json_t *ids = json_object_get(json_array_get(json_object_get(json, "prompts"), 2), "ids");
    int32_t *out = malloc(n * sizeof *out);
    for (size_t i = 0; i < n; i++) out[i] = (int32_t)json_integer_value(json_array_get(ids, i % json_array_size(ids)));
    json_decref(json);
    return out;
}

struct fixture_bytes {
    uint8_t *data;
    size_t len;
};
static int fixture_put(void *ctx, const void *data, size_t len) {
    struct fixture_bytes *b = ctx;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}
/* Everything a session keeps; the logits of the next token follow the state. */
static struct fixture_bytes fixture_state(struct jamba_session *s) {
    struct jamba_model *m = s->model;
    struct error e = {0};
    size_t V = m->config.n_vocab;
    struct fixture_bytes b = {malloc((size_t)m->backend->state_bytes(m->backend_ctx, s->state, s->n_tokens) + V * 4),
                              0};
    assert_int_equal(m->backend->state_write(m->backend_ctx, s->state, s->n_tokens, fixture_put, &b, &e), 0);
    assert_int_equal(jamba_session_logits(s, (float *)(void *)(b.data + b.len), &e), 0); /* len is a multiple of 4 */
    b.len += V * 4;
    return b;
}
static void fixture_same(const struct fixture_bytes *a, const struct fixture_bytes *b) {
    assert_int_equal(a->len, b->len);
    for (size_t i = 0; i < a->len; i++)
        if (a->data[i] != b->data[i]) fail_msg("states differ from byte %zu of %zu on", i, a->len);
}

static struct jamba_session *fixture_session(struct jamba_model *m, uint32_t max_tokens) {
    struct jamba_session *s;
    struct error e = {0};
    assert_int_equal(jamba_session_open(&s, m, max_tokens, &e), 0);
    return s;
}
static void fixture_read(struct jamba_session *s, const int32_t *ids, size_t n) {
    struct error e = {0};
    if (jamba_session_prefill(s, ids, n, NULL, &e)) fail_msg("%s", e.message);
}

#endif
