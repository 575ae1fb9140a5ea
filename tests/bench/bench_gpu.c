/* bench_gpu.c: a published shape with weights of noise on one or more GPUs: memory plan, prefill at several lengths,
 * decode, second question, forks, a digest of the state, tokens an expert got, memory. Random token ids, so that
 * routing spreads. CSV on stdout: shape,weights,what,tokens,value,unit. See tests/bench/gpu.sh.
 *
 *     bench_gpu --shape mini --quantize int8 --prefill 4096,32768,262144 --decode 64 --forks 8 --device cuda:0,1
 * --digest 1
 */
#include "engine/jamba/shape.h"

#ifdef ANTINOMY_CUDA
#include "engine/jamba/cuda_backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct error err;
static void check(int rc) {
    if (!rc) return;
    fprintf(stderr, "%s: %s\n", err.where, err.message);
    exit(1);
}
/* Of all devices together. */
static double used_gib(void) {
    char name[128];
    size_t f, t;
    double sum = 0;
    for (int d = 0; d < cuda_device_count(); d++) {
        check(cuda_device_use(d, name, &f, &t, &err));
        sum += (double)(t - f) / (1 << 30);
    }
    return sum;
}
static void print_plan(void *ctx, const char *text) {
    (void)ctx;
    printf("# plan: %s\n", text);
}
/* FNV-1a over words of 8 bytes instead of bytes: a state of gigabytes in seconds. */
static int fold(void *ctx, const void *data, size_t n) {
    uint64_t h = *(uint64_t *)ctx, w = 0;
    for (size_t i = 0; i < n; i += 8) {
        memcpy(&w, (const char *)data + i, n - i < 8 ? n - i : 8);
        h = (h ^ w) * 0x100000001b3ull;
        h ^= h >> 29;
    }
    *(uint64_t *)ctx = h;
    return 0;
}
static uint64_t digest(const struct jamba_session *s) {
    uint64_t h = 0xcbf29ce484222325ull;
    check(s->model->backend->state_write(s->model->backend_ctx, s->state, s->n_tokens, fold, &h, &err));
    return h;
}
/* Of all tokens read so far: least and most that one expert of one layer got, and what all passes multiplied. */
static void counts(const struct jamba_model *m, const char *shape, const char *quantize, uint32_t n, bool reset) {
    struct cuda_model *cm = m->backend_ctx;
    const uint32_t E = m->config.n_expert;
    uint64_t least = UINT64_MAX, most = 0;
    double flop = 0;
    for (int k = 0; k < cm->n_stages; k++) {
        struct cuda_stage *st = cm->stage[k];
        for (uint32_t i = st->first; i < st->end; i++)
            for (uint32_t x = 0; x < E && m->weights.layers[i].is_moe; x++) {
                uint64_t rows = st->expert_rows[i * E + x];
                if (rows < least) least = rows;
                if (rows > most) most = rows;
                if (reset) st->expert_rows[i * E + x] = 0;
            }
        flop += st->flop;
        if (reset) st->flop = 0;
    }
    if (reset) return;
    printf("%s,%s,flop_counted,%u,%.4f,PFLOP\n", shape, quantize, n, flop / 1e15);
    if (most)
        printf("%s,%s,expert_tokens_least,%u,%llu,tokens\n%s,%s,expert_tokens_most,%u,%llu,tokens\n", shape, quantize,
               n, (unsigned long long)least, shape, quantize, n, (unsigned long long)most);
}

enum { N_IDS = 300000, MAX_FORKS = 64 };
int main(int argc, char **argv) {
    const char *shape = "mini", *quantize = "none", *prefill = "4096", *device = "cuda";
    int n_decode = 64, n_forks = 8, want_digest = 0, rounds = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--shape")) shape = argv[i + 1];
        if (!strcmp(argv[i], "--quantize")) quantize = argv[i + 1];
        if (!strcmp(argv[i], "--prefill")) prefill = argv[i + 1];
        if (!strcmp(argv[i], "--decode")) n_decode = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--forks")) n_forks = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--device")) device = argv[i + 1];
        if (!strcmp(argv[i], "--digest")) want_digest = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--rounds")) rounds = atoi(argv[i + 1]);
    }
    bool fits = n_forks <= MAX_FORKS;
    for (const char *p = prefill; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        fits &= atoi(p) > 0 && atoi(p) <= N_IDS;
    if (!fits) {
        fprintf(stderr, "bench_gpu: --prefill takes 1 to %d tokens, --forks at most %d\n", N_IDS, MAX_FORKS);
        return 2;
    }
    struct jamba_model *m;
    struct jamba_model_options o = {.device = device, .quantize = quantize};
    check(jamba_shape_plan(shape, &o, print_plan, NULL, &err));
    double before = used_gib(), t0 = clock_seconds();
    check(jamba_model_open_shape(&m, shape, &o, &err));
    const struct jamba_config *c = jamba_model_config(m);
    printf("%s,%s,path,0,%s,\n", shape, quantize, jamba_model_kernel_path(m));
    printf("%s,%s,open,0,%.2f,s\n", shape, quantize, clock_seconds() - t0);
    printf("%s,%s,weights,0,%.3f,GiB\n", shape, quantize, (double)jamba_model_bytes(m) / (1 << 30));
    printf("%s,%s,memory_open,0,%.3f,GiB\n", shape, quantize, used_gib() - before);
    fflush(stdout);
    float *logits = malloc(c->n_vocab * sizeof *logits);
    int32_t *ids = malloc(N_IDS * sizeof *ids);
    uint64_t x = 88172645463325252ull;
    for (int i = 0; i < N_IDS; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17; /* xorshift64 (Marsaglia 2003) */
        ids[i] = (int32_t)(x % c->n_vocab);
    }
    struct jamba_session *s;
    for (const char *p = prefill; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        uint32_t n = (uint32_t)atoi(p);
        double best = 1e9;
        const int n_rounds = rounds ? rounds : n > 100000 ? 2 : 3;
        for (int round = 0; round < n_rounds; round++) { /* the first warms up: algorithms are chosen then */
            check(jamba_session_open(&s, m, n + 1024, &err));
            counts(m, shape, quantize, n, true);
            t0 = clock_seconds();
            check(jamba_session_prefill(s, ids, n, NULL, &err));
            check(jamba_session_logits(s, logits, &err));
            double t = clock_seconds() - t0;
            if (t < best) best = t;
            printf("%s,%s,prefill_round,%u,%.4f,s\n", shape, quantize, n, t);
            fflush(stdout);
            if (round + 1 < n_rounds) jamba_session_close(s);
        }
        if (!isfinite(logits[0])) fprintf(stderr, "logits are not finite\n");
        printf("%s,%s,prefill,%u,%.1f,tokens/s\n", shape, quantize, n, n / best);
        counts(m, shape, quantize, n, false);
        if (want_digest) printf("%s,%s,state_digest,%u,%016llx,\n", shape, quantize, n, (unsigned long long)digest(s));
        /* second question over the same context: 40 tokens read behind a fork, first token */
        struct jamba_session *f;
        t0 = clock_seconds();
        check(jamba_session_fork(&f, s, &err));
        double t_fork = clock_seconds() - t0;
        check(jamba_session_prefill(f, ids + 1000, 40, NULL, &err));
        check(jamba_session_logits(f, logits, &err));
        printf("%s,%s,second_question,%u,%.4f,s\n", shape, quantize, n, clock_seconds() - t0);
        printf("%s,%s,fork,%u,%.5f,s\n", shape, quantize, n, t_fork);
        for (int i = 0; i < 4; i++) check(jamba_session_prefill(f, ids + i, 1, NULL, &err));
        t0 = clock_seconds();
        struct jamba_batch_item it = {.session = f, .n_tokens = 1, .want = JAMBA_WANT_LOGITS, .out = logits};
        for (int i = 0; i < n_decode; i++) {
            it.tokens = ids + i;
            check(jamba_batch_run(m, &it, 1, NULL, &err));
        }
        printf("%s,%s,decode,%u,%.2f,tokens/s\n", shape, quantize, n, n_decode / (clock_seconds() - t0));
        jamba_session_close(f);
        if (n_forks > 1) {
            struct jamba_session *g[MAX_FORKS];
            struct jamba_batch_item items[MAX_FORKS];
            for (int i = 0; i < n_forks; i++) check(jamba_session_fork(&g[i], s, &err));
            for (int round = 0; round < 2; round++) {
                t0 = clock_seconds();
                for (int k = 0; k < 16; k++) {
                    for (int i = 0; i < n_forks; i++)
                        items[i] =
                            (struct jamba_batch_item){.session = g[i], .tokens = ids + 64 * k + i, .n_tokens = 1};
                    check(jamba_batch_run(m, items, (size_t)n_forks, NULL, &err));
                }
            }
            printf("%s,%s,decode_%d_forks,%u,%.2f,tokens/s\n", shape, quantize, n_forks, n,
                   16 * n_forks / (clock_seconds() - t0));
            for (int i = 0; i < n_forks; i++) jamba_session_close(g[i]);
        }
        printf("%s,%s,memory,%u,%.3f,GiB\n", shape, quantize, n, used_gib() - before);
        fflush(stdout);
        jamba_session_close(s);
    }
    jamba_model_close(m);
    free(ids);
    free(logits);
    return 0;
}
#else
#include <stdio.h>
int main(void) {
    puts("skip: built without CUDA");
    return 0;
}
#endif
