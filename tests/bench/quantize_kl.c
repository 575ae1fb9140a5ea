/* quantize_kl.c: what quantising at load costs. The next token's distribution of the same weights in f32 and as int8
 * and q4: Kullback-Leibler divergence in nats, likeliest tokens that agree, negative log-probability of the text.
 *
 *   build/bench/quantize_kl > tests/bench/runs/...csv      from the repository's root; about 2.5 GB of memory
 *
 * In the bundled model's file Mamba's in and out and the FFN are Q4_0, so they stand on q4's grid already and q4 loses
 * nothing there; attention, x_proj and the embedding are Q8_0, dt_proj is F32. Off the grid are the same weights with
 * noise of up to half a Q4_0 step, the size of what Q4_0 once took away. q4 rounds some of that noise off again, so its
 * divergence there is one from a noisy model. The golden checkpoints are random and small: nothing is predicted, many
 * logits lie close together, and their divergences bound nothing; they show that experts and odd shapes run. Nothing is
 * kept: no cache is read or written.
 */
#include "engine/jamba/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_STREAMS = 8, N_STEPS = 125, N_POSITIONS = N_STREAMS * N_STEPS };

static void check(int rc, const struct error *e) {
    if (!rc) return;
    fprintf(stderr, "quantize_kl: %s (%s)\n", e->message, e->where);
    exit(1);
}
static void *must(void *p) {
    if (p) return p;
    fprintf(stderr, "quantize_kl: out of memory\n");
    exit(1);
}

static float noise(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(int32_t)*seed * 0x1p-31f;
}

/* Every matrix becomes f32, with noise of up to `steps` eighths of its block's largest magnitude. Held until the end.
 */
static void to_f32(struct jamba_model *m, float steps) {
    size_t n = weights_tensors(m, NULL);
    struct tensor **all = must(calloc(n, sizeof(struct tensor *)));
    weights_tensors(m, all);
    uint32_t seed = 1;
    for (size_t i = 0; i < n; i++) {
        struct tensor *t = all[i];
        if (t->type == TENSOR_F32 && steps == 0) continue;
        uint64_t in = t->ne[0], rows = t->ne[1];
        if (t->n_dims < 2 || strstr(t->name, "norm") || strstr(t->name, "conv1d") || strstr(t->name, "ssm_a") ||
            strstr(t->name, "gate_inp"))
            continue;
        float *x = must(malloc((size_t)(in * rows * t->ne[2]) * sizeof *x));
        for (uint64_t k = 0; k < t->ne[2]; k++)
            for (uint64_t r = 0; r < rows; r++)
                tensor_row_to_f32(t->type, (const char *)tensor_matrix(t, k) + r * tensor_row_bytes(t->type, in),
                                  x + (k * rows + r) * in, in);
        for (uint64_t b = 0; steps > 0 && b + 32 <= in * rows * t->ne[2]; b += 32) {
            float max = 0;
            for (int j = 0; j < 32; j++) max = fmaxf(max, fabsf(x[b + (uint64_t)j]));
            for (int j = 0; j < 32; j++) x[b + (uint64_t)j] += steps * max / 8 * noise(&seed);
        }
        t->type = TENSOR_F32, t->data = x, t->parts = NULL, t->bytes = in * rows * t->ne[2] * sizeof *x;
    }
    free(all);
}

static void reopen(struct jamba_model *m, const char *quantize) {
    struct jamba_model_options o = {.quantize = quantize};
    struct error e = {0};
    m->backend->close(m->backend_ctx);
    check(m->backend->open(&m->backend_ctx, m, &o, &e), &e);
}

/* Reads eight pieces of the text side by side, all logits kept: [N_STEPS][N_STREAMS][n_vocab]. */
static void read_text(struct jamba_model *m, const int32_t *ids, float *logits) {
    struct jamba_batch_item items[N_STREAMS];
    struct jamba_session *s[N_STREAMS];
    struct error e = {0};
    size_t V = jamba_model_config(m)->n_vocab;
    for (size_t k = 0; k < N_STREAMS; k++) check(jamba_session_open(&s[k], m, N_STEPS, &e), &e);
    for (size_t i = 0; i < N_STEPS; i++) {
        for (size_t k = 0; k < N_STREAMS; k++)
            items[k] = (struct jamba_batch_item){.session = s[k],
                                                 .tokens = ids + k * N_STEPS + i,
                                                 .n_tokens = 1,
                                                 .want = JAMBA_WANT_LOGITS,
                                                 .out = logits + (i * N_STREAMS + k) * V};
        check(jamba_batch_run(m, items, N_STREAMS, NULL, &e), &e);
    }
    for (size_t k = 0; k < N_STREAMS; k++) jamba_session_close(s[k]);
}

static double log_sum(const float *x, size_t n, size_t *best) {
    double sum = 0;
    *best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[*best]) *best = i;
    for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - (double)x[*best]);
    return (double)x[*best] + log(sum);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void compare(const char *model, const char *what, const struct jamba_model *m, const int32_t *ids,
                    const float *want, const float *got, double open_s) {
    double kl[N_POSITIONS], sum = 0, nll = 0;
    size_t V = m->config.n_vocab, agree = 0, n_nll = 0;
    for (size_t at = 0; at < N_POSITIONS; at++) {
        const float *p = want + at * V, *q = got + at * V;
        size_t best_p, best_q, step = at / N_STREAMS, stream = at % N_STREAMS;
        double zp = log_sum(p, V, &best_p), zq = log_sum(q, V, &best_q);
        kl[at] = 0;
        for (size_t i = 0; i < V; i++) kl[at] += exp((double)p[i] - zp) * ((double)p[i] - zp - (double)q[i] + zq);
        sum += kl[at];
        agree += best_p == best_q;
        if (step + 1 == N_STEPS) continue;
        nll += zq - (double)q[ids[stream * N_STEPS + step + 1]];
        n_nll++;
    }
    qsort(kl, N_POSITIONS, sizeof *kl, by_value);
    printf("%s,%s,%s,%.3e,%.3e,%.4f,%.4f,%.2f\n", model, what, jamba_model_kernel_path(m), sum / N_POSITIONS,
           kl[N_POSITIONS * 99 / 100], (double)agree / N_POSITIONS, nll / (double)n_nll, open_s);
    fflush(stdout);
}

static void measure(const char *name, const char *path, float steps, const int32_t *text) {
    static const char *const forms[] = {"none", "int8", "q4"};
    struct jamba_model *m;
    struct error e = {0};
    check(jamba_model_open(&m, path, NULL, &e), &e);
    size_t V = m->config.n_vocab, n = (size_t)N_POSITIONS * V;
    float *file = must(malloc(n * sizeof *file)), *want = must(malloc(n * sizeof *want)),
          *got = must(malloc(n * sizeof *got));
    int32_t ids[N_POSITIONS];
    uint32_t seed = 3;
    for (size_t i = 0; i < N_POSITIONS; i++)
        ids[i] = text ? text[i] : (int32_t)((seed = seed * 1664525u + 1013904223u) >> 8) % (int32_t)V;
    read_text(m, ids, file);
    to_f32(m, steps);
    for (size_t f = 0; f < 3; f++) {
        double start = clock_seconds();
        reopen(m, forms[f]);
        double open_s = clock_seconds() - start;
        read_text(m, ids, f ? got : want);
        if (f) compare(name, forms[f], m, ids, want, got, open_s);
        if (!f) compare(name, "file against f32", m, ids, want, file, open_s);
        if (!f) compare(name, "f32", m, ids, want, want, open_s);
    }
    jamba_model_close(m);
    free(file);
    free(want);
    free(got);
}

int main(void) {
    static const char *const golden[] = {"dense", "dense_tied", "mha_dt5",    "moe_fused", "moe_with_attention",
                                         "mqa",   "conv3_top1", "bf16_shards"};
    struct buf file = {0};
    struct error e = {0};
    unsetenv("ANTINOMY_CACHE"), unsetenv("XDG_CACHE_HOME"), unsetenv("HOME");
    check(file_read("tests/golden/peer/bundled_q4.bin", 1 << 20, &file, &e), &e);
    if (file.len < N_POSITIONS * sizeof(int32_t)) return 1;
    const int32_t *text = (const int32_t *)(const void *)file.data;
    printf("model,weights,path,kl_mean,kl_99,top1_agree,nll,open_s\n");
    measure("bundled", "engine/models", 0, text);
    measure("bundled + half a step", "engine/models", 0.5f, text);
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        char path[80];
        snprintf(path, sizeof path, "tests/golden/checkpoints/%s", golden[i]);
        measure(golden[i], path, 0, NULL);
    }
    buf_free(&file);
    return 0;
}
