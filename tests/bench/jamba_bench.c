/* jamba_bench.c: how fast a model runs here. Builds without anything but the engine (libjamba.a, jansson), so a bare
 * machine can measure.
 *
 *   build/jamba-bench MODEL.gguf [--prefill N] [--decode N] [--pairs N] [--second 1] [--threads N] [--path NAME]
 *                     [--device NAME] [--quantize NAME] [--rounds N] [--json]
 *
 * Prefill reads N tokens from nothing; decode then steps greedily behind them; --pairs judges N pairs of 180 tokens in
 * one batch. With --rounds, medians. The tokens are a fixed pseudo-random walk over the vocabulary: speed does not
 * depend on which tokens are read. */
#include "engine/jamba/jamba.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_ROUNDS 99
#define QUESTION_TOKENS 40 /* of a second question */

static int usage(void) {
    fprintf(
        stderr,
        "usage: jamba-bench MODEL.gguf [options]\n"
        "  --prefill N    tokens to read (default 512)\n"
        "  --decode N     tokens to decode behind them (default 64)\n"
        "  --pairs N      pairs of 180 tokens judged in one batch (default 0: none)\n"
        "  --second N     1: also a second question of 40 tokens behind the reading, kept and restored from a file\n"
        "  --threads N    worker threads (default: the processors this process may use)\n"
        "  --path NAME    kernel path (default: the best this processor has)\n"
        "  --quantize NAME int8 or q4, of weights that are not quantised yet (default: none)\n"
        "  --device NAME  cpu or cuda (default: cpu)\n"
        "  --rounds N     repeat and print medians (default 1)\n"
        "  --json         one JSON object on standard output\n");
    return 2;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static double median(double *v, int n) {
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void fill(int32_t *ids, size_t n, uint32_t n_vocab, uint32_t seed) {
    uint32_t floor = n_vocab > 1000 ? 256 : 0; /* above the control tokens */
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u; /* Numerical Recipes' generator */
        ids[i] = (int32_t)(floor + (seed >> 8) % (n_vocab - floor));
    }
}

static int judge_pairs(struct jamba_model *m, size_t n, double *seconds, struct error *e) {
    enum { LEN = 180 };
    int32_t rows[3] = {12, 13, 14}, *ids = malloc(n * LEN * sizeof *ids);
    struct jamba_batch_item *items = calloc(n, sizeof *items);
    float *out = malloc(3 * n * sizeof *out);
    int rc = ids && items && out ? 0 : error_set(e, ERR_NOMEM, "", "Out of memory.");
    double start = clock_seconds();
    for (size_t i = 0; !rc && i < n; i++) {
        fill(ids + i * LEN, LEN, jamba_model_config(m)->n_vocab, (uint32_t)i);
        rc = jamba_session_open(&items[i].session, m, LEN, e);
        items[i].tokens = ids + i * LEN;
        items[i].n_tokens = LEN;
        items[i].want = JAMBA_WANT_LOGITS;
        items[i].rows = rows;
        items[i].n_rows = 3;
        items[i].out = out + 3 * i;
    }
    if (!rc) rc = jamba_batch_run(m, items, n, NULL, e);
    *seconds = clock_seconds() - start;
    for (size_t i = 0; items && i < n; i++) jamba_session_close(items[i].session);
    free(ids);
    free(items);
    free(out);
    return rc;
}

static int decode(struct jamba_session *s, size_t n, uint32_t n_vocab, double *seconds, struct error *e) {
    float *logits = malloc(n_vocab * sizeof *logits);
    int rc = logits ? 0 : error_set(e, ERR_NOMEM, "", "Out of memory.");
    double start = clock_seconds();
    for (size_t i = 0; !rc && i < n; i++) {
        rc = jamba_session_logits(s, logits, e);
        int32_t best = 0;
        for (uint32_t v = 1; !rc && v < n_vocab; v++)
            if (logits[v] > logits[best]) best = (int32_t)v;
        if (!rc) rc = jamba_session_prefill(s, &best, 1, NULL, e);
    }
    *seconds = clock_seconds() - start;
    free(logits);
    return rc;
}

/* QUESTION_TOKENS behind s, until the logits of the answer's first token stand. */
static int question(struct jamba_session *s, uint32_t n_vocab, float *logits, struct error *e) {
    int32_t ids[QUESTION_TOKENS];
    fill(ids, QUESTION_TOKENS, n_vocab, 2);
    int rc = jamba_session_prefill(s, ids, QUESTION_TOKENS, NULL, e);
    return rc ? rc : jamba_session_logits(s, logits, e);
}

/* A second question: *kept_s behind a reading still in memory, as in a running service, until its first token;
 * *restored_s behind one saved in a file, as the first after a start, of which *restore_s until the reading stands
 * again. */
static int second_question(struct jamba_session *s, struct jamba_model *m, uint32_t max_tokens, double *kept_s,
                           double *restore_s, double *restored_s, struct error *e) {
    uint32_t n_vocab = jamba_model_config(m)->n_vocab;
    char file[64] = "/tmp/jamba-bench-XXXXXX";
    float *logits = malloc(n_vocab * sizeof *logits);
    struct jamba_session *fork = NULL, *again = NULL;
    int fd = mkstemp(file);
    if (fd < 0 || !logits) {
        free(logits);
        return error_set(e, ERR_IO, file, "The reading cannot be kept.");
    }
    close(fd);
    double start = clock_seconds();
    int rc = jamba_session_fork(&fork, s, e);
    if (!rc) rc = question(fork, n_vocab, logits, e);
    *kept_s = clock_seconds() - start;
    jamba_session_close(fork);
    if (!rc) rc = jamba_session_save(s, file, e);
    start = clock_seconds();
    if (!rc) rc = jamba_session_restore(&again, m, file, max_tokens, e);
    *restore_s = clock_seconds() - start;
    if (!rc) rc = question(again, n_vocab, logits, e);
    *restored_s = clock_seconds() - start;
    jamba_session_close(again);
    unlink(file);
    free(logits);
    return rc;
}

int main(int argc, char **argv) {
    const char *path = NULL;
    size_t n_prefill = 512, n_decode = 64, n_pairs = 0;
    int rounds = 1;
    bool json = false, second = false;
    struct jamba_model_options o = {0};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--json") == 0) {
            json = true;
        } else if (a[0] != '-') {
            if (path) return usage();
            path = a;
        } else if (!v) {
            return usage();
        } else {
            i++;
            if (strcmp(a, "--prefill") == 0)
                n_prefill = strtoul(v, NULL, 10);
            else if (strcmp(a, "--decode") == 0)
                n_decode = strtoul(v, NULL, 10);
            else if (strcmp(a, "--pairs") == 0)
                n_pairs = strtoul(v, NULL, 10);
            else if (strcmp(a, "--second") == 0)
                second = strtoul(v, NULL, 10) != 0;
            else if (strcmp(a, "--threads") == 0)
                o.n_threads = atoi(v);
            else if (strcmp(a, "--rounds") == 0)
                rounds = atoi(v);
            else if (strcmp(a, "--path") == 0)
                o.path = v;
            else if (strcmp(a, "--quantize") == 0)
                o.quantize = v;
            else if (strcmp(a, "--device") == 0)
                o.device = v;
            else
                return usage();
        }
    }
    if (!path || n_prefill == 0 || rounds < 1 || rounds > MAX_ROUNDS) return usage();

    struct error e = {0};
    struct jamba_model *m = NULL;
    struct jamba_session *s = NULL;
    double prefill_s[MAX_ROUNDS], decode_s[MAX_ROUNDS], pairs_s[MAX_ROUNDS] = {0}, kept_s[MAX_ROUNDS] = {0},
                                                        restore_s[MAX_ROUNDS] = {0}, restored_s[MAX_ROUNDS] = {0},
                                                        open_s = clock_seconds();
    int rc = jamba_model_open(&m, path, &o, &e);
    open_s = clock_seconds() - open_s;
    int32_t *ids = rc ? NULL : malloc(n_prefill * sizeof *ids);
    if (!rc && !ids) rc = error_set(&e, ERR_NOMEM, "", "Out of memory.");
    if (!rc) fill(ids, n_prefill, jamba_model_config(m)->n_vocab, 1);
    for (int r = 0; !rc && r < rounds; r++) {
        uint32_t room = (uint32_t)(n_prefill + n_decode) + QUESTION_TOKENS;
        rc = jamba_session_open(&s, m, room, &e);
        double start = clock_seconds();
        if (!rc) rc = jamba_session_prefill(s, ids, n_prefill, NULL, &e);
        prefill_s[r] = clock_seconds() - start;
        if (!rc && second) rc = second_question(s, m, room, &kept_s[r], &restore_s[r], &restored_s[r], &e);
        if (!rc) rc = decode(s, n_decode, jamba_model_config(m)->n_vocab, &decode_s[r], &e);
        jamba_session_close(s);
        s = NULL;
        if (!rc && n_pairs) rc = judge_pairs(m, n_pairs, &pairs_s[r], &e);
    }
    if (rc) {
        fprintf(stderr, "jamba-bench: %s%s%s\n", e.where, e.where[0] ? ": " : "", e.message);
        jamba_model_close(m);
        free(ids);
        return 1;
    }
    struct rusage usage_now;
    getrusage(RUSAGE_SELF, &usage_now);
    double prefill = (double)n_prefill / median(prefill_s, rounds),
           step = n_decode ? (double)n_decode / median(decode_s, rounds) : 0;
    double pairs = median(pairs_s, rounds);
    long long peak = (long long)usage_now.ru_maxrss * 1024;
    if (json) {
        printf("{\"prefill_tokens_per_s\": %.2f, \"decode_tokens_per_s\": %.2f, \"peak_rss_bytes\": %lld, "
               "\"kernel_path\": \"%s\", \"model\": \"",
               prefill, step, peak, jamba_model_kernel_path(m));
        for (const char *c = jamba_model_name(m); *c; c++) /* the name is foreign text */
            if (*c == '"' || *c == '\\')
                printf("\\%c", *c);
            else if ((unsigned char)*c < 32)
                printf("\\u%04x", *c);
            else
                putchar(*c);
        printf("\", \"prefill_tokens\": %zu, \"decode_tokens\": %zu, \"open_s\": %.3f", n_prefill, n_decode, open_s);
        if (n_pairs) printf(", \"pairs\": %zu, \"pair_s\": %.4f", n_pairs, pairs / (double)n_pairs);
        if (second)
            printf(", \"second_question_s\": %.4f, \"restore_s\": %.4f, \"restored_second_question_s\": %.4f",
                   median(kept_s, rounds), median(restore_s, rounds), median(restored_s, rounds));
        printf("}\n");
    } else {
        printf("%s on %s (opened in %.2f s)\n", jamba_model_name(m), jamba_model_kernel_path(m), open_s);
        printf("prefill %zu tokens: %.1f tokens/s\n", n_prefill, prefill);
        if (n_decode) printf("decode %zu tokens: %.1f tokens/s\n", n_decode, step);
        if (n_pairs) printf("judge %zu pairs of 180 tokens: %.4f s a pair\n", n_pairs, pairs / (double)n_pairs);
        if (second)
            printf("second question behind them: first token after %.3f s; restored from a file in %.3f s, first token "
                   "after %.3f s\n",
                   median(kept_s, rounds), median(restore_s, rounds), median(restored_s, rounds));
        printf("peak resident memory: %.1f MB\n", (double)peak / 1e6);
    }
    jamba_model_close(m);
    free(ids);
    return 0;
}
