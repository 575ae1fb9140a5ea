/* real_256k.c: one real pass of 262,144 tokens through the bundled model on a GPU, and what must hold of it. Not in CI:
 * it needs a GPU and a quarter million tokens of text that nobody has to ship.
 *
 *     real_256k make MODEL IDS < TEXT      text with documents separated by lines "<|doc|>" (no GPU needed): the first
 * 262,144 tokens of its documents as a reading, five facts of our own planted between paragraphs real_256k run MODEL
 * IDS HIDDEN       the pass and its checks; leaves the hidden states for tests/golden/jamba_ref.py
 *
 * Gated (exit 1): the state after one pass equals the state after 16 chunks bit for bit; another token at position
 * 1,000 changes the logits behind the last; counted operations equal the formula's. Only recorded: which facts the
 * model quotes, behind forks of the reading.
 */
#include "engine/jamba/jamba.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef ANTINOMY_CUDA
#include "engine/jamba/cuda_backend.h"

#define N 262144u
#define CHUNKS 16
static const struct {
    uint32_t near;
    const char *text, *question;
} facts[] = {
    {1000, "The lighthouse at Halvorsen Pier was repainted in emerald green in March 2019.",
     "In which colour was the lighthouse at Halvorsen Pier repainted?"},
    {65000, "Quillmere Ferry Company pays a docking fee of 4,275 crowns for each berth at Brackwater.",
     "What docking fee does Quillmere Ferry Company pay for each berth at Brackwater?"},
    {131000, "The archive of the Tollgate Beekeepers Society is kept in room 318 of the old customs house.",
     "In which room is the archive of the Tollgate Beekeepers Society kept?"},
    {200000, "Dr. Ysolde Marchetti inspects the Pembury observatory on the second Tuesday of October.",
     "Who inspects the Pembury observatory?"},
    {261000, "The Ravensholt cable car closes when the wind is stronger than 72 kilometres an hour.",
     "At what wind does the Ravensholt cable car close?"},
};
#define N_FACTS (sizeof facts / sizeof facts[0])

static struct error err;
static void check(int rc) {
    if (!rc) return;
    fprintf(stderr, "%s: %s\n", err.where, err.message);
    exit(1);
}
static int n_failed;
static void gate(bool held, const char *what) {
    printf("%s: %s\n", held ? "ok" : "FAILED", what);
    fflush(stdout);
    n_failed += !held;
}

/* ---- make ---- */
static int make(const char *model, const char *out) {
    struct jamba_model *m;
    struct jamba_model_options o = {.device = "cpu"};
    check(jamba_model_open(&m, model, &o, &err));
    int32_t *ids = malloc((N + 4096) * sizeof *ids);
    uint32_t n = 0;
    size_t fact = 0, cap = 0;
    char *line = NULL;
    ssize_t len;
    if (!ids) return 1;
    ids[n++] = jamba_control_token(m, "<|docs|>");
    ids[n++] = jamba_control_token(m, "<|doc|>");
    while (n < N && (len = getline(&line, &cap, stdin)) >= 0) {
        int32_t *t;
        size_t k;
        if (strcmp(line, "<|doc|>\n") == 0) {
            if (ids[n - 1] != jamba_control_token(m, "<|doc|>")) ids[n++] = jamba_control_token(m, "<|doc|>");
            continue;
        }
        check(jamba_tokenize(m, line, (size_t)len, &t, NULL, &k, &err));
        if (k > N - n) k = N - n;
        memcpy(ids + n, t, k * sizeof *t);
        n += (uint32_t)k;
        free(t);
        if (fact < N_FACTS && n >= facts[fact].near && n + 64 < N) {
            check(jamba_tokenize(m, facts[fact].text, strlen(facts[fact].text), &t, NULL, &k, &err));
            fprintf(stderr, "fact %zu at %u\n", fact, n);
            memcpy(ids + n, t, k * sizeof *t);
            n += (uint32_t)k;
            free(t);
            check(jamba_tokenize(m, "\n", 1, &t, NULL, &k, &err));
            memcpy(ids + n, t, k * sizeof *t);
            n += (uint32_t)k;
            free(t);
            fact++;
        }
    }
    free(line);
    if (n < N) {
        fprintf(stderr, "the text has only %u tokens\n", n);
        return 1;
    }
    FILE *f = fopen(out, "wb");
    bool whole = f && fwrite(ids, sizeof *ids, N, f) == N;
    whole = f && fclose(f) == 0 && whole;
    free(ids);
    jamba_model_close(m);
    return whole ? 0 : 1;
}

/* ---- run ---- */
struct bytes {
    uint8_t *data;
    uint64_t at;
    bool compare, same;
};
static int put(void *ctx, const void *data, size_t n) {
    struct bytes *b = ctx;
    if (b->compare)
        b->same = b->same && memcmp(b->data + b->at, data, n) == 0;
    else
        memcpy(b->data + b->at, data, n);
    b->at += n;
    return 0;
}
static double formula(const struct jamba_config *c) {
    const double H = c->d_model, I = c->d_ff, D = c->d_inner, R = c->dt_rank, S = c->d_state,
                 q = (double)c->n_head * c->head_dim, kv = (double)c->n_kv_head * c->head_dim;
    const double attention = 2 * H * (2 * q + 2 * kv), mamba = 2 * (3 * H * D + D * (R + 2 * S) + R * D), n = N;
    return n * (c->n_attention_layer * attention + (c->n_layer - c->n_attention_layer) * mamba +
                c->n_layer * 6 * H * I) +
           c->n_attention_layer * 4 * q * n * (n + 1) / 2;
}

static void ask(struct jamba_model *m, const struct jamba_session *reading, const int32_t *ids,
                struct jamba_pointer *corpus, size_t i, float *logits) {
    const struct jamba_config *c = jamba_model_config(m);
    const int32_t question = jamba_control_token(m, "<|question|>"), quote = jamba_control_token(m, "<|quote|>"),
                  none = jamba_control_token(m, "<|none|>"), answer = jamba_control_token(m, "<|answer|>");
    struct jamba_session *s;
    int32_t *t, *fact;
    size_t k, n_fact;
    uint32_t at = 0;
    check(jamba_tokenize(m, facts[i].text, strlen(facts[i].text), &fact, NULL, &n_fact, &err));
    while (at + n_fact < N && memcmp(ids + at, fact, n_fact * sizeof *fact) != 0) at++;
    double t0 = clock_seconds();
    check(jamba_session_fork(&s, reading, &err));
    check(jamba_session_prefill(s, &question, 1, NULL, &err));
    check(jamba_tokenize(m, facts[i].question, strlen(facts[i].question), &t, NULL, &k, &err));
    check(jamba_session_prefill(s, t, k, NULL, &err));
    check(jamba_session_logits(s, logits, &err));
    double first = clock_seconds() - t0, p_none = 1 / (1 + exp(logits[quote] - logits[none]));
    check(jamba_session_prefill(s, &quote, 1, NULL, &err));
    jamba_pointer_reset(corpus);
    while (jamba_pointer_length(corpus) < 40) {
        const int32_t *next;
        size_t n = jamba_pointer_next(corpus, &next);
        check(jamba_session_logits(s, logits, &err));
        int32_t best = -1;
        for (size_t j = 0; j < n; j++)
            if (best < 0 || logits[next[j]] > logits[best]) best = next[j];
        if (jamba_pointer_length(corpus) >= 3 &&
            (best < 0 || logits[answer] > logits[best] || logits[quote] > logits[best]))
            break;
        if (best < 0 || (uint32_t)best >= c->n_vocab || !jamba_pointer_accept(corpus, best)) break;
        check(jamba_session_prefill(s, &best, 1, NULL, &err));
    }
    const uint32_t *starts;
    size_t n = jamba_pointer_positions(corpus, &starts), length = jamba_pointer_length(corpus);
    bool right = false;
    for (size_t j = 0; j < n; j++) right = right || (starts[j] + length > at && starts[j] < at + n_fact);
    printf("fact at %u: first token of the answer after %.3f s, P(none) %.3f, quote of %zu tokens at %u: %s\n", at,
           first, p_none, length, n ? starts[0] : 0, right ? "right" : "wrong");
    free(t), free(fact);
    jamba_session_close(s);
}

static int run(const char *model, const char *path, const char *hidden_path) {
    static const int sampled[] = {1, 2, 4, 6, 8, 10, 13, 16};
    struct jamba_model *m;
    struct jamba_model_options o = {.device = "cuda", .kv_tokens = 4 * N};
    struct buf file = {0};
    check(file_read(path, (size_t)N * 4, &file, &err));
    if (file.len != (size_t)N * 4) {
        fprintf(stderr, "%s: not %u tokens\n", path, N);
        return 1;
    }
    int32_t *ids = malloc((size_t)N * 4);
    if (!ids) return 1;
    memcpy(ids, file.data, (size_t)N * 4);
    buf_free(&file);
    check(jamba_model_open(&m, model, &o, &err));
    const struct jamba_config *c = jamba_model_config(m);
    printf("%s, %s\n", jamba_model_name(m), jamba_model_kernel_path(m));
    float *logits = malloc(c->n_vocab * sizeof *logits), *other = malloc(c->n_vocab * sizeof *other),
          *hidden = malloc(c->d_model * sizeof *hidden);
    struct jamba_session *one, *cut, *changed;

    check(jamba_session_open(&one, m, N + 1024, &err));
    struct cuda_model *cm = m->backend_ctx;
    cm->stage[0]->flop = 0;
    double t0 = clock_seconds();
    check(jamba_session_prefill(one, ids, N, NULL, &err));
    check(jamba_session_logits(one, logits, &err));
    double seconds = clock_seconds() - t0, counted = cm->stage[0]->flop;
    printf("one pass: %u tokens in %.3f s, %.0f tokens/s\n", jamba_session_n_tokens(one), seconds, N / seconds);
    printf("operations: counted %.6e, formula %.6e, %.1f TFLOP/s\n", counted, formula(c), counted / seconds / 1e12);
    gate(jamba_session_n_tokens(one) == N, "the session stands behind 262,144 tokens");
    gate(fabs(counted / formula(c) - 1) < 1e-6, "counted operations are the formula's");
    gate(isfinite(logits[0]), "logits are finite");

    check(jamba_session_open(&cut, m, N + 1024, &err));
    FILE *f = fopen(hidden_path, "wb");
    if (!f) return 1;
    fprintf(f, "positions 8");
    for (int i = 0; i < 8; i++) fprintf(f, " %u", (unsigned)sampled[i] * (N / CHUNKS));
    fprintf(f, " d_model %u\n", c->d_model);
    for (int i = 1, next = 0; i <= CHUNKS; i++) {
        check(jamba_session_prefill(cut, ids + (size_t)(i - 1) * (N / CHUNKS), N / CHUNKS, NULL, &err));
        if (sampled[next] != i) continue;
        check(jamba_session_hidden(cut, hidden, &err));
        fwrite(hidden, sizeof *hidden, c->d_model, f);
        next++;
    }
    if (fclose(f)) return 1;
    const uint64_t bytes = m->backend->state_bytes(cm, one->state, N);
    struct bytes b = {.data = malloc(bytes), .same = true};
    if (!b.data) return 1;
    check(m->backend->state_write(cm, one->state, N, put, &b, &err));
    b.compare = true, b.at = 0;
    check(m->backend->state_write(cm, cut->state, N, put, &b, &err));
    printf("state: %.3f GiB\n", (double)bytes / (1 << 30));
    gate(b.at == bytes && b.same, "the state after one pass is the state after 16 chunks, bit for bit");
    free(b.data);
    jamba_session_close(cut);

    check(jamba_session_open(&changed, m, N + 1024, &err));
    const int32_t was = ids[1000];
    ids[1000] = was == 500 ? 501 : 500;
    check(jamba_session_prefill(changed, ids, N, NULL, &err));
    check(jamba_session_logits(changed, other, &err));
    ids[1000] = was;
    double most = 0;
    for (uint32_t i = 0; i < c->n_vocab; i++) most = fmax(most, fabs((double)logits[i] - other[i]));
    printf("another token at position 1,000: largest change of a logit behind %u tokens: %.4f\n", N, most);
    gate(most > 0, "a token at position 1,000 is felt behind the last");
    jamba_session_close(changed);

    struct jamba_pointer *corpus;
    check(jamba_pointer_open(&corpus, ids, N, NULL, 0, &err));
    for (size_t i = 0; i < N_FACTS; i++) ask(m, one, ids, corpus, i, logits);
    jamba_pointer_close(corpus);
    jamba_session_close(one);
    jamba_model_close(m);
    free(ids), free(logits), free(other), free(hidden);
    return n_failed ? 1 : 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "make") == 0) return make(argv[2], argv[3]);
    if (argc == 5 && strcmp(argv[1], "run") == 0) return run(argv[2], argv[3], argv[4]);
    fprintf(stderr, "usage: real_256k make MODEL IDS < TEXT | real_256k run MODEL IDS HIDDEN\n");
    return 2;
}
#else
int main(void) {
    puts("skip: built without CUDA");
    return 0;
}
#endif
