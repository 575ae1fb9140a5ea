/* bench_gpu.c: a published shape with weights of noise on one GPU: prefill at several lengths, decode, second question, snapshot, memory.
 * Random token ids, so that routing spreads. CSV on stdout: shape,weights,what,tokens,value,unit. See tests/bench/gpu.sh.
 *
 *     bench_gpu --shape mini --quantize int8 --prefill 4096,32768,262144 --decode 64 --forks 8
 */
#include "engine/jamba/shape.h"

#ifdef ANTINOMY_CUDA
#include "kernels/cuda/cuda_ops.h"

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
static double used_gib(void) {
    char name[128];
    size_t f, t;
    check(cuda_device_use(0, name, &f, &t, &err));
    return (double)(t - f) / (1 << 30);
}

int main(int argc, char **argv) {
    const char *shape = "mini", *quantize = "none", *prefill = "4096";
    int n_decode = 64, n_forks = 8;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--shape")) shape = argv[i + 1];
        if (!strcmp(argv[i], "--quantize")) quantize = argv[i + 1];
        if (!strcmp(argv[i], "--prefill")) prefill = argv[i + 1];
        if (!strcmp(argv[i], "--decode")) n_decode = atoi(argv[i + 1]);
        if (!strcmp(argv[i], "--forks")) n_forks = atoi(argv[i + 1]);
    }
    struct jamba_model *m;
    struct jamba_model_options o = {.device = "cuda", .quantize = quantize};
    double before = used_gib(), t0 = clock_seconds();
    check(jamba_model_open_shape(&m, shape, &o, &err));
    const struct jamba_config *c = jamba_model_config(m);
    printf("%s,%s,path,0,%s,\n", shape, quantize, jamba_model_kernel_path(m));
    printf("%s,%s,open,0,%.2f,s\n", shape, quantize, clock_seconds() - t0);
    printf("%s,%s,weights,0,%.3f,GiB\n", shape, quantize, (double)jamba_model_bytes(m) / (1 << 30));
    printf("%s,%s,memory_open,0,%.3f,GiB\n", shape, quantize, used_gib() - before);
    fflush(stdout);
    float *logits = malloc(c->n_vocab * sizeof *logits);
    int32_t *ids = malloc(300000 * sizeof *ids);
    uint64_t x = 88172645463325252ull;
    for (int i = 0; i < 300000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17; /* xorshift64 (Marsaglia 2003) */
        ids[i] = (int32_t)(x % c->n_vocab);
    }
    struct jamba_session *s;
    for (const char *p = prefill; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        uint32_t n = (uint32_t)atoi(p);
        double best = 1e9;
        for (int round = 0; round < (n > 100000 ? 2 : 3); round++) { /* the first warms up: algorithms are chosen then */
            check(jamba_session_open(&s, m, n + 1024, &err));
            t0 = clock_seconds();
            check(jamba_session_prefill(s, ids, n, NULL, &err));
            check(jamba_session_logits(s, logits, &err));
            double t = clock_seconds() - t0;
            if (t < best) best = t;
            printf("%s,%s,prefill_round,%u,%.4f,s\n", shape, quantize, n, t);
            fflush(stdout);
            if (round < (n > 100000 ? 1 : 2)) jamba_session_close(s);
        }
        if (!isfinite(logits[0])) fprintf(stderr, "logits are not finite\n");
        printf("%s,%s,prefill,%u,%.1f,tokens/s\n", shape, quantize, n, n / best);
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
            struct jamba_session *g[64];
            struct jamba_batch_item items[64];
            for (int i = 0; i < n_forks; i++) check(jamba_session_fork(&g[i], s, &err));
            for (int round = 0; round < 2; round++) {
                t0 = clock_seconds();
                for (int k = 0; k < 16; k++) {
                    for (int i = 0; i < n_forks; i++) items[i] = (struct jamba_batch_item){.session = g[i], .tokens = ids + 64 * k + i, .n_tokens = 1};
                    check(jamba_batch_run(m, items, (size_t)n_forks, NULL, &err));
                }
            }
            printf("%s,%s,decode_%d_forks,%u,%.2f,tokens/s\n", shape, quantize, n_forks, n, 16 * n_forks / (clock_seconds() - t0));
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
