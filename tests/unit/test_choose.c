/* test_choose.c: the choice of a token (kernels/choose.h): the CPU's against a plain one that sorts, the GPU's against
 * the CPU's, and decoding by it. Without a device the GPU's part is skipped; REQUIRE_GPU=1 makes that a failure. */
#include "tests/unit/cuda_fixture.h"

#include "kernels/choose.h"
#include "kernels/kernels.h"

static uint64_t seed = 1;
static double uniform(void) { /* [0, 1) */
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) * 0x1p-53;
}
static float normal(void) {
    double s = 0;
    for (int i = 0; i < 12; i++) s += uniform();
    return (float)(s - 6);
}

/* ---- a plain one: sort, cut, add ---- */
struct entry {
    float logit;
    size_t index;
};
static int by_logit(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    if (x->logit != y->logit) return x->logit < y->logit ? 1 : -1;
    return x->index < y->index ? -1 : 1;
}
static size_t sorted_choose(const float *logits, size_t n, float temperature, float top_p, double u) {
    struct entry *t = malloc(n * sizeof *t);
    bool *kept = calloc(n, 1);
    for (size_t i = 0; i < n; i++) t[i] = (struct entry){logits[i], i};
    qsort(t, n, sizeof *t, by_logit);
    const float max = t[0].logit;
    size_t chosen = t[0].index;
    if (temperature > 0) {
        uint64_t all = 0, reached = 0, before = 0;
        for (size_t i = 0; i < n; i++) all += choose_weight(choose_distance(logits[i], max, temperature));
        const uint64_t goal = top_p > 0 && top_p < 1 ? choose_goal(top_p, all) : all;
        for (size_t i = 0; i < n && reached < goal; i++) {
            kept[t[i].index] = true;
            reached += choose_weight(choose_distance(t[i].logit, max, temperature));
        }
        const uint64_t place = choose_place(u, reached);
        for (size_t i = 0; i < n; i++) {
            if (kept[i]) before += choose_weight(choose_distance(logits[i], max, temperature));
            if (before > place) {
                chosen = i;
                break;
            }
        }
    }
    free(t), free(kept);
    return chosen;
}

/* Rows that are hard: 0 noise, 1 many equal values, 2 all equal, 3 one far above, 4 with -inf and NaN, 5 close together
 */
#define N_KINDS 6
static void fill(float *l, size_t n, int kind) {
    for (size_t i = 0; i < n; i++) {
        const float v = normal();
        l[i] = kind == 0   ? 4 * v
               : kind == 1 ? (float)(int)(2 * v)
               : kind == 2 ? -3.25f
               : kind == 3 ? v - (i == n / 3 ? 0.f : 40.f)
               : kind == 4 ? (i % 5 == 4   ? -INFINITY
                              : i % 7 == 6 ? NAN
                                           : 3 * v)
                           : 1e-3f * v;
    }
    if (kind == 1) l[n / 2] = -0.0f;
}

static void test_the_weight_is_an_exponential(void **state) {
    (void)state;
    assert_true(choose_weight(0) == CHOOSE_ONE);
    for (int i = 0; i < 100000; i++) {
        const double x = -30 * uniform(), want = exp(x) * (double)CHOOSE_ONE, got = (double)choose_weight(x);
        if (!(fabs(got - want) <= 0.51 + 1e-14 * want)) fail_msg("exp(%.17g): %.17g, not %.17g", x, got, want);
    }
    assert_true(choose_weight(-INFINITY) == 0 && choose_weight(NAN) == 0);
    assert_true(choose_key(0.0f) == choose_key(-0.0f) && choose_key(1) > choose_key(0) &&
                choose_key(-1) < choose_key(0));
    assert_true(choose_key(-INFINITY) > choose_key(NAN) && choose_key(-2) < choose_key(-1));
}

static void test_the_choice_equals_one_that_sorts(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 31, 257, 1000, 4099};
    float *l = malloc(5000 * sizeof *l), lp;
    for (int round = 0; round < 400; round++) {
        const size_t n = sizes[round % 7];
        const int kind = round % 4; /* without NaN, which does not sort */
        const float temperature = (const float[]){0, 0.3f, 1, 2.5f, 0.7f}[round % 5],
                    top_p = (const float[]){0, 0.1f, 0.5f, 0.95f, 1, 0.999f}[round % 6];
        fill(l, n, kind);
        const double u = uniform();
        const size_t got = kernel_choose(l, n, temperature, top_p, u, &lp),
                     want = sorted_choose(l, n, temperature, top_p, u);
        if (got != want)
            fail_msg("round %d (%zu logits, kind %d, temperature %g, top_p %g): %zu, not %zu", round, n, kind,
                     (double)temperature, (double)top_p, got, want);
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += exp((double)l[i] - (double)l[got]);
        assert_true(fabs((double)lp + log(sum)) <= 1e-6);
    }
    free(l);
}

static void test_chances_are_as_the_weights(void **state) {
    (void)state;
    enum { DRAWS = 40000 };
    const float l[] = {1, 0, -1, 2, -INFINITY}; /* p = 0.2369 0.0871 0.0321 0.6439 0 */
    const double p[] = {0.236883, 0.087144, 0.032059, 0.643914, 0};
    int count[5] = {0}, cut[5] = {0};
    float lp;
    for (int i = 0; i < DRAWS; i++) {
        count[kernel_choose(l, 5, 1, 0, uniform(), &lp)]++;
        cut[kernel_choose(l, 5, 1, 0.7f, uniform(), &lp)]++; /* the two likeliest */
    }
    for (int i = 0; i < 5; i++)
        assert_true(fabs(count[i] - p[i] * DRAWS) <= 5 * sqrt(p[i] * DRAWS) + 1e-9); /* five deviations */
    assert_int_equal(cut[1] + cut[2] + cut[4], 0);
    assert_true(fabs(cut[0] - 0.26894 * DRAWS) <= 5 * sqrt(0.26894 * DRAWS));
    assert_int_equal(kernel_choose((const float[]){NAN, 2, 2, -1}, 4, 0, 0, 0, &lp), 1); /* the first of equals */
    assert_int_equal(kernel_choose((const float[]){-INFINITY, -INFINITY}, 2, 1, 0.5f, 0.9, &lp), 0);
}

/* ---- on a GPU ---- */
#ifdef ANTINOMY_CUDA
static void test_choices_on_a_gpu_equal_the_cpu(void **state) {
    (void)state;
    if (!device()) return;
    static const int sizes[] = {1, 2, 33, 1000, 1024, 1025, 5000, 65536, 100001};
    float *l = malloc(100001 * sizeof *l), *dl = poisoned(100001 * sizeof *l), want, got;
    struct {
        int32_t index;
        float logprob;
    } * chosen;
    OK(cuda_host_alloc((void **)&chosen, sizeof *chosen, &err));
    const char *few = getenv("CHOICES"); /* how many instead, of the smaller rows: for a race checker, which is slow */
    for (int round = 0; round < (few ? atoi(few) : 324); round++) {
        const int n = sizes[round % (few ? 7 : 9)], kind = round / (few ? 7 : 9) % N_KINDS;
        const float temperature = (const float[]){0, 0.3f, 1, 2.5f, 0.7f}[round % 5],
                    top_p = (const float[]){0, 0.1f, 0.5f, 0.95f, 1, 0.999f, 0.3f}[round % 7];
        const double u = uniform();
        fill(l, (size_t)n, kind);
        OK(cuda_upload(dl, l, (size_t)n * sizeof *l, stream, &err));
        for (int twice = 0; twice < 2; twice++) {
            chosen->index = -1;
            OK(cuda_choose(&chosen->index, &chosen->logprob, dl, n, temperature, top_p, u, stream, &err));
            OK(cuda_sync(stream, &err));
            const size_t i = kernel_choose(l, (size_t)n, temperature, top_p, u, &want);
            got = chosen->logprob;
            if (chosen->index != (int32_t)i || !(fabsf(got - want) <= 1e-6f * (1 + fabsf(want))))
                fail_msg("round %d (%d logits, kind %d, temperature %g, top_p %g): %d (%g), not %zu (%g)", round, n,
                         kind, (double)temperature, (double)top_p, chosen->index, (double)got, i, (double)want);
        }
    }
    cuda_host_free(chosen), cuda_free(dl), free(l);
}

static void test_picked_rows_of_a_matrix_give_the_same_bits(void **state) {
    (void)state;
    if (!device()) return;
    enum { V = 40000, H = 192, N = 77 };
    uint16_t *w = poisoned(V * H * 2), *x = poisoned(H * 2), *rows = poisoned(N * H * 2);
    int8_t *q = poisoned(V * H), *q_rows = poisoned(N * H);
    float *scale = poisoned(V * 4), *scale_rows = poisoned(N * 4), *all = poisoned(V * 4), *some = poisoned(N * 4);
    int32_t ids[N];
    for (int i = 0; i < N; i++) ids[i] = i * 519 + i % 3;
    int32_t *dids = on_device(ids, sizeof ids);
    OK(cuda_random_bf16(w, V * H, 1, 1, stream, &err));
    OK(cuda_random_bf16(x, H, 1, 2, stream, &err));
    OK(cuda_quantise_rows(q, scale, w, V, H, stream, &err));
    for (int int8 = 0; int8 < 2; int8++) {
        struct cuda_matrix head = {.n_out = V, .n_in = H}, picked = {.n_out = N, .n_in = H, .sum_as = V};
        if (int8)
            head.i8 = q, head.scale = scale, picked.i8 = q_rows, picked.scale = scale_rows;
        else
            head.bf16 = w, picked.bf16 = rows;
        OK(cuda_gemv(&head, x, H, 1, NULL, all, V, false, stream, &err));
        OK(cuda_pick_rows(int8 ? (void *)q_rows : (void *)rows, picked.scale, &head, dids, N, stream, &err));
        OK(cuda_gemv(&picked, x, H, 1, NULL, some, N, false, stream, &err));
        float *a = fetch_f32(all, V), *b = fetch_f32(some, N);
        for (int i = 0; i < N; i++) assert_true(a[ids[i]] == b[i]);
        FREE(a, b);
    }
    CUDA_FREE(w, x, rows, q, q_rows, scale, scale_rows, all, some, dids);
}

/* ---- decoding ---- */
struct run_of {
    int32_t ids[64];
    float logprobs[64];
    size_t n;
    const struct jamba_model *m;
    size_t n_allowed; /* 0: all */
    int32_t allowed[30000];
};
static bool keep(void *ctx, int32_t id, float logprob) {
    struct run_of *r = ctx;
    r->ids[r->n] = id, r->logprobs[r->n++] = logprob;
    return true;
}
static size_t allowed(void *ctx, const int32_t **ids) {
    struct run_of *r = ctx;
    *ids = r->allowed;
    return r->n_allowed ? r->n_allowed : SIZE_MAX;
}
static void generate(struct run_of *r, struct jamba_session *s, const struct jamba_sampling *sampling) {
    struct jamba_session *f;
    struct jamba_constraint c = {.allowed = allowed, .ctx = r};
    r->n = 0;
    OK(jamba_session_fork(&f, s, &err));
    OK(jamba_generate(f, &c, sampling, 24, keep, r, NULL, &err));
    jamba_session_close(f);
}

/* With all tokens, with few (their rows of the head are gathered) and with many (their logits are): what is chosen is
 * what kernel_choose chooses from the logits that come back otherwise, and the same again with the same seed. */
static void test_decoding_chooses_on_the_gpu_what_the_cpu_would(void **state) {
    (void)state;
    if (!device()) return;
    struct jamba_model *m;
    struct jamba_model_options o = {.device = "cuda", .kv_tokens = 16384};
    OK(jamba_model_open(&m, MODEL, &o, &err));
    const struct jamba_config *c = jamba_model_config(m);
    static const char text[] = "The tenant shall pay the rent on the first day of each month. The notice period is";
    int32_t *ids;
    size_t n;
    struct jamba_session *s, *f;
    static struct run_of a, b;
    OK(jamba_tokenize(m, text, sizeof text - 1, &ids, NULL, &n, &err));
    OK(jamba_session_open(&s, m, 1024, &err));
    OK(jamba_session_prefill(s, ids, n, NULL, &err));
    float *l = malloc(c->n_vocab * sizeof *l);
    for (int kind = 0; kind < 3; kind++)
        for (int sampled = 0; sampled < 3; sampled++) {
            struct jamba_sampling sampling = {
                .temperature = sampled ? 1.3f : 0, .top_p = sampled == 2 ? 0.9f : 0, .seed = 7 + (uint64_t)kind};
            a.n_allowed = kind == 0 ? 0 : kind == 1 ? 700 : 25000;
            for (size_t i = 0; i < a.n_allowed; i++) a.allowed[i] = (int32_t)(i * (kind == 1 ? 37 : 1) + 3);
            b = a;
            generate(&a, s, &sampling);
            generate(&b, s, &sampling);
            assert_int_equal(a.n, b.n);
            assert_memory_equal(a.ids, b.ids, a.n * sizeof *a.ids);
            assert_memory_equal(a.logprobs, b.logprobs, a.n * sizeof *a.logprobs);
            if (sampled) continue;
            OK(jamba_session_fork(&f, s, &err));
            for (size_t t = 0; t < a.n; t++) { /* greedy, from the logits */
                const size_t k = a.n_allowed ? a.n_allowed : c->n_vocab;
                float lp;
                if (a.n_allowed)
                    OK(jamba_session_logits_rows(f, a.allowed, k, l, &err));
                else
                    OK(jamba_session_logits(f, l, &err));
                const size_t i = kernel_choose(l, k, 0, 0, 0, &lp);
                assert_int_equal(a.ids[t], a.n_allowed ? a.allowed[i] : (int32_t)i);
                assert_true(fabsf(lp - a.logprobs[t]) <= 1e-5f);
                OK(jamba_session_prefill(f, &a.ids[t], 1, NULL, &err));
            }
            jamba_session_close(f);
        }
    free(l), free(ids);
    jamba_session_close(s);
    jamba_model_close(m);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_weight_is_an_exponential),
        cmocka_unit_test(test_the_choice_equals_one_that_sorts),
        cmocka_unit_test(test_chances_are_as_the_weights),
#ifdef ANTINOMY_CUDA
        cmocka_unit_test(test_choices_on_a_gpu_equal_the_cpu),
        cmocka_unit_test(test_picked_rows_of_a_matrix_give_the_same_bits),
        cmocka_unit_test(test_decoding_chooses_on_the_gpu_what_the_cpu_would),
#endif
    };
    if (getenv("ONLY")) cmocka_set_test_filter(getenv("ONLY"));
    return cmocka_run_group_tests(tests, cuda_setup, cuda_teardown);
}
