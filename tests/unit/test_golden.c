/* test_golden.c: the bundled model against numbers that transformers' JambaForCausalLM computed in f32 from the same
 * dequantised weights (tests/golden/bundled/README.md). The scalar path is held to the reference layer by layer; the
 * int8 paths by what they predict. */
#include "tests/unit/head_fixture.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FOLDER "tests/golden/bundled/"

/* ---- the golden files ---- */
struct golden {
    json_t *json;
    struct buf bin;
};
static void golden_open(struct golden *g, const char *name) {
    char path[200];
    struct error e = {0};
    json_error_t je;
    snprintf(path, sizeof path, FOLDER "%s.json", name);
    g->json = json_load_file(path, 0, &je);
    assert_non_null(g->json);
    snprintf(path, sizeof path, FOLDER "%s.bin", name);
    g->bin = (struct buf){0};
    assert_int_equal(file_read(path, 1 << 24, &g->bin, &e), 0);
}
static void golden_close(struct golden *g) {
    json_decref(g->json);
    buf_free(&g->bin);
}
static const void *golden_array(const struct golden *g, const json_t *entry) {
    assert_non_null(entry);
    return g->bin.data + json_integer_value(json_object_get(entry, "offset"));
}
static int32_t *golden_ids(const json_t *array, size_t *n) {
    *n = json_array_size(array);
    int32_t *ids = malloc((*n + 1) * sizeof *ids);
    for (size_t i = 0; i < *n; i++) ids[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return ids;
}

static struct jamba_model *open_model(const char *path) {
    struct jamba_model *m = NULL;
    struct error e = {0};
    struct jamba_model_options o = {.path = path, .n_threads = 2};
    int rc = jamba_model_open(&m, "engine/models", &o, &e);
    if (rc == ERR_UNSUPPORTED) return NULL;
    if (rc) fail_msg("%s (%s)", e.message, e.where);
    return m;
}

/* Keeps the final-norm rows of everything read, and at wanted positions each layer's rows. */
struct capture {
    size_t d_model, n_layer;
    float *final; /* [n, d_model] */
    size_t n_final, at;
    const float *golden; /* [n_layer + 2][6][d_model], or NULL */
    size_t positions[6];
    double worst;
    int worst_layer;
};
static void on_layer(void *ctx, int layer, const float *rows, size_t n_rows) {
    struct capture *c = ctx;
    if (layer == -1) c->at = c->n_final;
    for (size_t p = 0; c->golden && p < 6; p++) {
        if (c->positions[p] < c->at || c->positions[p] >= c->at + n_rows) continue;
        const float *want = c->golden + ((size_t)(layer + 1) * 6 + p) * c->d_model,
                    *have = rows + (c->positions[p] - c->at) * c->d_model;
        double diff = 0, norm = 0;
        for (size_t i = 0; i < c->d_model; i++) {
            diff += pow((double)want[i] - (double)have[i], 2);
            norm += pow((double)want[i], 2);
        }
        double relative = sqrt(diff / norm);
        if (!(relative <= c->worst)) c->worst = relative, c->worst_layer = layer;
    }
    if (layer == (int)c->n_layer) {
        memcpy(c->final + c->n_final * c->d_model, rows, n_rows * c->d_model * sizeof(float));
        c->n_final += n_rows;
    }
}

static double relative_distance(const float *want, const float *have, size_t n) {
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        diff += pow((double)want[i] - (double)have[i], 2);
        norm += pow((double)want[i], 2);
    }
    return sqrt(diff / norm);
}

struct bytes {
    uint8_t *data;
    size_t len;
};
static int put_bytes(void *ctx, const void *data, size_t len) {
    struct bytes *b = ctx;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return 0;
}

static void test_scalar_path_equals_the_reference_layer_by_layer(void **state) {
    (void)state;
    struct golden g;
    struct error e = {0};
    golden_open(&g, "hidden");
    struct jamba_model *m = open_model("scalar");
    const struct jamba_config *c = jamba_model_config(m);
    size_t n;
    int32_t *ids = golden_ids(json_object_get(g.json, "ids"), &n);
    struct capture cap = {.d_model = c->d_model,
                          .n_layer = c->n_layer,
                          .final = malloc(n * c->d_model * sizeof(float)),
                          .golden = golden_array(&g, json_object_get(g.json, "hidden")),
                          .worst_layer = -2};
    for (size_t p = 0; p < 6; p++)
        cap.positions[p] = (size_t)json_integer_value(json_array_get(json_object_get(g.json, "positions"), p));
    struct jamba_session *s;
    assert_int_equal(jamba_session_open(&s, m, 200, &e), 0);
    jamba_trace.layer = on_layer;
    jamba_trace.ctx = &cap;
    assert_int_equal(jamba_session_prefill(s, ids, n, NULL, &e), 0);
    jamba_trace.layer = NULL;
    print_message("worst layer %d: relative distance %.2e\n", cap.worst_layer, cap.worst);
    assert_int_equal(cap.n_final, n);
    assert_true(cap.worst <= 1e-4);

    /* The Mamba states, from the serialised state (layout in state.c). */
    struct bytes b = {malloc(m->backend->state_bytes(m->backend_ctx, s->state, (uint32_t)n)), 0};
    assert_int_equal(m->backend->state_write(m->backend_ctx, s->state, (uint32_t)n, put_bytes, &b, &e), 0);
    assert_int_equal(b.len, m->backend->state_bytes(m->backend_ctx, s->state, (uint32_t)n));
    size_t D = c->d_inner, N = c->d_state, K1 = c->d_conv - 1, n_mamba = c->n_layer - c->n_attention_layer;
    const float *conv = (const float *)(const void *)(b.data + 4), *ssm = conv + n_mamba * K1 * D;
    for (size_t i = 0; i < 2; i++) {
        size_t layer = (size_t)json_integer_value(json_array_get(json_object_get(g.json, "state_layers"), i));
        char name[40];
        snprintf(name, sizeof name, "layer %zu conv", layer);
        const float *want_conv = golden_array(&g, json_object_get(g.json, name));
        snprintf(name, sizeof name, "layer %zu ssm", layer);
        const float *want_ssm = golden_array(&g, json_object_get(g.json, name));
        size_t index = m->weights.layers[layer].mamba_index;
        float *a = malloc(D * N * sizeof *a), *w = malloc(D * N * sizeof *w);
        for (size_t d = 0; d < D; d++)
            for (size_t j = 0; j < K1; j++) {
                a[d * K1 + j] = conv[(index * K1 + j) * D + d];
                w[d * K1 + j] = want_conv[d * (K1 + 1) + j + 1];
            }
        double conv_distance = relative_distance(w, a, D * K1);
        for (size_t d = 0; d < D; d++)
            for (size_t j = 0; j < N; j++) a[d * N + j] = ssm[(index * N + j) * D + d];
        double ssm_distance = relative_distance(want_ssm, a, D * N);
        print_message("layer %zu: conv state %.2e, ssm state %.2e\n", layer, conv_distance, ssm_distance);
        assert_true(conv_distance <= 1e-4 && ssm_distance <= 1e-4);
        free(a);
        free(w);
    }
    free(b.data);
    free(cap.final);
    free(ids);
    jamba_session_close(s);
    jamba_model_close(m);
    golden_close(&g);
}

/* ---- logits ---- */
struct agreement {
    double kl, worst_logit; /* sums over the golden positions; relative distance of all logits */
    size_t n_kl, top1, positions;
    double top5; /* sum of |difference| of the top-5 log-probabilities */
};

static double log_sum(const float *x, size_t n) {
    double max = (double)x[0], sum = 0;
    for (size_t i = 1; i < n; i++)
        if ((double)x[i] > max) max = (double)x[i];
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - max);
    return max + log(sum);
}

static void compare_position(struct agreement *a, const float *logits, size_t V, const int32_t *top_ids,
                             const float *top_logprobs) {
    size_t best = 0;
    for (size_t i = 1; i < V; i++)
        if (logits[i] > logits[best]) best = i;
    double lse = log_sum(logits, V);
    for (size_t k = 0; k < 5; k++) a->top5 += fabs((double)logits[top_ids[k]] - lse - (double)top_logprobs[k]) / 5;
    a->top1 += (int32_t)best == top_ids[0];
    a->positions++;
}

static void compare_logits(struct agreement *a, const float *logits, const float *want, size_t V) {
    double lse = log_sum(logits, V), want_lse = log_sum(want, V), kl = 0;
    for (size_t i = 0; i < V; i++) {
        double p = (double)want[i] - want_lse;
        kl += exp(p) * (p - ((double)logits[i] - lse));
    }
    a->kl += kl;
    a->n_kl++;
    double d = relative_distance(want, logits, V);
    if (!(d <= a->worst_logit)) a->worst_logit = d;
}

/* Reads one golden prompt and compares the prediction at every position. The head is the path's own, over the traced
 * final-norm rows. */
static void compare_prompt(struct jamba_model *m, const char *path, const struct golden *g, const json_t *prompt,
                           struct agreement *a) {
    const struct jamba_config *c = jamba_model_config(m);
    struct error e = {0};
    size_t n, V = c->n_vocab;
    int32_t *ids = golden_ids(json_object_get(prompt, "ids"), &n);
    struct capture cap = {
        .d_model = c->d_model, .n_layer = c->n_layer, .final = malloc(n * c->d_model * sizeof(float))};
    struct jamba_session *s;
    assert_int_equal(jamba_session_open(&s, m, (uint32_t)n + 32, &e), 0);
    jamba_trace.layer = on_layer;
    jamba_trace.ctx = &cap;
    assert_int_equal(jamba_session_prefill(s, ids, n, NULL, &e), 0);
    jamba_trace.layer = NULL;

    struct fixture_head head;
    fixture_head_open(&head, m, path);
    const int32_t *top_ids = golden_array(g, json_object_get(prompt, "top_ids"));
    const float *top_logprobs = golden_array(g, json_object_get(prompt, "top_logprobs"));
    const float *full = golden_array(g, json_object_get(prompt, "logits"));
    for (size_t at = 0; at < n; at += HEAD_ROWS) {
        size_t count = n - at < HEAD_ROWS ? n - at : HEAD_ROWS;
        fixture_head_run(&head, cap.final + at * c->d_model, count);
        for (size_t i = 0; i < count; i++) {
            const float *logits = head.logits + i * V;
            compare_position(a, logits, V, top_ids + (at + i) * 5, top_logprobs + (at + i) * 5);
            for (size_t k = 0; k < 4; k++)
                if ((size_t)json_integer_value(json_array_get(json_object_get(prompt, "logits_positions"), k)) ==
                    at + i)
                    compare_logits(a, logits, full + k * V, V);
        }
    }
    /* and what the session itself says of its last position is the same */
    float *own = malloc(V * sizeof *own);
    assert_int_equal(jamba_session_logits(s, own, &e), 0);
    assert_memory_equal(own, head.logits + (n - 1) % HEAD_ROWS * V, V * sizeof *own);
    int32_t picked[3] = {12, 13, 40000};
    float some[3];
    assert_int_equal(jamba_session_logits_rows(s, picked, 3, some, &e), 0);
    for (size_t i = 0; i < 3; i++) assert_memory_equal(&some[i], &own[picked[i]], 4);
    free(own);
    free(cap.final);
    free(ids);
    fixture_head_close(&head);
    jamba_session_close(s);
}

static void test_scalar_path_predicts_as_the_reference(void **state) {
    (void)state;
    struct golden g;
    golden_open(&g, "logits");
    struct jamba_model *m = open_model("scalar");
    struct agreement a = {0};
    compare_prompt(m, "scalar", &g, json_array_get(json_object_get(g.json, "prompts"), 0), &a);
    print_message("scalar: logits %.2e, KL %.2e, top-5 %.2e, top-1 %zu of %zu\n", a.worst_logit, a.kl / (double)a.n_kl,
                  a.top5 / (double)a.positions, a.top1, a.positions);
    assert_int_equal(a.n_kl, 4);
    assert_true(a.worst_logit <= 1e-4);
    assert_true(a.top5 / (double)a.positions <= 1e-3);
    assert_int_equal(a.top1, a.positions);
    jamba_model_close(m);
    golden_close(&g);
}

struct greedy {
    const json_t *ids, *margin;
    size_t n, wrong;
    bool lost; /* a close call went the other way: the rest is another text */
};
static bool on_greedy(void *ctx, int32_t id, float logprob) {
    struct greedy *g = ctx;
    (void)logprob;
    size_t i = g->n++;
    if (g->lost || i >= json_array_size(g->ids)) return false;
    if (json_integer_value(json_array_get(g->ids, i)) == id) return true;
    if (json_real_value(json_array_get(g->margin, i)) > 0.25) g->wrong++;
    g->lost = true;
    return false;
}

static void fast_path(const char *path) {
    struct jamba_model *m = open_model(path);
    if (!m) {
        print_message("skip: this processor lacks the path %s\n", path);
        skip();
    }
    struct golden g;
    struct error e = {0};
    golden_open(&g, "logits");
    const json_t *prompts = json_object_get(g.json, "prompts");
    struct agreement a = {0};
    for (size_t i = 0; i < json_array_size(prompts); i++) {
        const json_t *prompt = json_array_get(prompts, i);
        compare_prompt(m, path, &g, prompt, &a);
        struct greedy greedy = {.ids = json_object_get(prompt, "greedy_ids"),
                                .margin = json_object_get(prompt, "greedy_margin")};
        size_t n;
        int32_t *ids = golden_ids(json_object_get(prompt, "ids"), &n);
        struct jamba_session *s;
        assert_int_equal(jamba_session_open(&s, m, (uint32_t)n + 40, &e), 0);
        assert_int_equal(jamba_session_prefill(s, ids, n, NULL, &e), 0);
        assert_int_equal(
            jamba_generate(s, NULL, NULL, (uint32_t)json_array_size(greedy.ids), on_greedy, &greedy, NULL, &e), 0);
        assert_int_equal(greedy.wrong, 0);
        jamba_session_close(s);
        free(ids);
    }
    double kl = a.kl / (double)a.n_kl;
    print_message("%s: KL %.2e (%zu positions), top-5 %.3f, top-1 %zu of %zu (%.2f %%)\n", path, kl, a.n_kl,
                  a.top5 / (double)a.positions, a.top1, a.positions, 100.0 * (double)a.top1 / (double)a.positions);
    assert_true(kl <= 5e-3);
    assert_true((double)a.top1 >= 0.97 * (double)a.positions);
    golden_close(&g);
    jamba_model_close(m);
}
static void test_avx2_path_predicts_as_the_reference(void **state) {
    (void)state;
    fast_path("avx2");
}
static void test_avx512_path_predicts_as_the_reference(void **state) {
    (void)state;
    fast_path("avx512-vnni");
}
static void test_bf16_path_predicts_as_the_reference(void **state) {
    (void)state;
    fast_path("avx512-bf16");
}
static void test_amx_path_predicts_as_the_reference(void **state) {
    (void)state;
    fast_path("amx-int8");
}

/* ---- pairs: the bundled model's main work; golden/pairs_dev.jsonl holds the reference's probabilities,
 * pairs_subset.jsonl some of the texts. PAIRS=file in the environment judges another choice of rows (all of them, where
 * the evaluation data is at hand). ---- */
static int32_t *pair_prompt(struct jamba_model *m, const char *a, const char *b, size_t *n) {
    struct error e = {0};
    const char *texts[2] = {a, b}, *marks[3] = {"<|pair|>", "<|sep|>", "<|relation|>"};
    int32_t *out = malloc((strlen(a) + strlen(b) + 3) * sizeof *out);
    *n = 0;
    for (size_t i = 0; i < 3; i++) {
        out[(*n)++] = jamba_control_token(m, marks[i]);
        if (i == 2) break;
        int32_t *ids;
        size_t n_ids;
        assert_int_equal(jamba_tokenize(m, texts[i], strlen(texts[i]), &ids, NULL, &n_ids, &e), 0);
        memcpy(out + *n, ids, n_ids * sizeof *ids);
        *n += n_ids;
        free(ids);
    }
    return out;
}

static void test_pairs_are_decided_as_by_the_reference(void **state) {
    (void)state;
    enum { BATCH = 32 };
    struct error e = {0};
    struct buf golden = {0};
    const char *file = getenv("PAIRS") ? getenv("PAIRS") : FOLDER "pairs_subset.jsonl";
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    json_t *reference = json_array();
    assert_int_equal(file_read(FOLDER "pairs_dev.jsonl", 1 << 24, &golden, &e), 0);
    for (char *line = strtok(golden.data, "\n"); line; line = strtok(NULL, "\n"))
        json_array_append_new(reference, json_loads(line, 0, NULL));
    struct jamba_model *m = open_model(NULL);
    const int32_t rows[3] = {jamba_control_token(m, "<|contradiction|>"), jamba_control_token(m, "<|consistent|>"),
                             jamba_control_token(m, "<|unrelated|>")};
    static char line[1 << 16];
    size_t n_pairs = 0, same_class = 0, same_call = 0;
    double worst = 0;
    bool more = true;
    while (more) {
        struct jamba_batch_item items[BATCH];
        float out[BATCH][3];
        int row_of[BATCH];
        size_t n = 0;
        while (n < BATCH && (more = fgets(line, sizeof line, f) != NULL)) {
            json_t *pair = json_loads(line, 0, NULL);
            const char *a = json_string_value(json_object_get(pair, "a")),
                       *b = json_string_value(json_object_get(pair, "b"));
            for (size_t order = 0; order < 2; order++, n++) {
                size_t n_ids;
                int32_t *ids = pair_prompt(m, order ? b : a, order ? a : b, &n_ids);
                items[n] = (struct jamba_batch_item){.tokens = ids,
                                                     .n_tokens = n_ids,
                                                     .want = JAMBA_WANT_LOGITS,
                                                     .rows = rows,
                                                     .n_rows = 3,
                                                     .out = out[n]};
                assert_int_equal(jamba_session_open(&items[n].session, m, (uint32_t)n_ids, &e), 0);
                row_of[n] = (int)json_integer_value(json_object_get(pair, "row"));
            }
            json_decref(pair);
        }
        if (n && jamba_batch_run(m, items, n, NULL, &e)) fail_msg("%s", e.message);
        for (size_t i = 0; i < n; i += 2) {
            double p[2][3], q[2][3], mean[3] = {0}, mean_q[3] = {0};
            for (size_t order = 0; order < 2; order++) {
                const json_t *want = json_object_get(json_array_get(reference, (size_t)row_of[i]), order ? "ba" : "ab");
                double lse = log_sum(out[i + order], 3);
                for (size_t k = 0; k < 3; k++) {
                    p[order][k] = exp((double)out[i + order][k] - lse);
                    q[order][k] = json_number_value(json_array_get(want, k));
                    worst = fmax(worst, fabs(p[order][k] - q[order][k]));
                    mean[k] += p[order][k], mean_q[k] += q[order][k];
                }
            }
            size_t best = 0, best_q = 0;
            for (size_t k = 1; k < 3; k++) {
                if (mean[k] > mean[best]) best = k;
                if (mean_q[k] > mean_q[best_q]) best_q = k;
            }
            same_class += best == best_q;
            same_call += (p[0][0] > 0.5 && p[1][0] > 0.5) == (q[0][0] > 0.5 && q[1][0] > 0.5);
            n_pairs++;
        }
        for (size_t i = 0; i < n; i++) {
            jamba_session_close(items[i].session);
            free((void *)(uintptr_t)items[i].tokens);
        }
    }
    print_message("%zu pairs: same relation %.2f %%, same call of a contradiction %.2f %%, largest difference %.3f\n",
                  n_pairs, 100.0 * (double)same_class / (double)n_pairs, 100.0 * (double)same_call / (double)n_pairs,
                  worst);
    assert_true(n_pairs >= 48);
    assert_true((double)same_class >= 0.97 * (double)n_pairs - 1); /* one close call among the few rows of a subset */
    assert_true((double)same_call >= 0.97 * (double)n_pairs - 1);
    fclose(f);
    json_decref(reference);
    buf_free(&golden);
    jamba_model_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalar_path_equals_the_reference_layer_by_layer),
        cmocka_unit_test(test_scalar_path_predicts_as_the_reference),
        cmocka_unit_test(test_avx2_path_predicts_as_the_reference),
        cmocka_unit_test(test_avx512_path_predicts_as_the_reference),
        cmocka_unit_test(test_bf16_path_predicts_as_the_reference),
        cmocka_unit_test(test_amx_path_predicts_as_the_reference),
        cmocka_unit_test(test_pairs_are_decided_as_by_the_reference),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* tests/mutants.sh runs single ones */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
