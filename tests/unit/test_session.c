/* test_session.c: a session's results depend on its tokens only: not on chunks, batch mates, threads, forks. Limits,
 * cancel, memory budget, generation. CHUNKINGS=1000 in the environment runs the long version (make test-long); SEED=1,
 * 2,
 * ... gives processes shares of their own; KERNEL_PATH names another path than the processor's best. */
#include "engine/jamba/cpu.h"
#include "tests/unit/session_fixture.h"
#include "tests/unit/tiny_model.h"

#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic ignored "-Wunused-function"
#define COUNT_ALLOCATIONS 0
#define LONG_TEXT 900 /* ten times slower there */
#define DEFAULT_CHUNKINGS 1
#else
#define COUNT_ALLOCATIONS 1
#define LONG_TEXT 3000
#define DEFAULT_CHUNKINGS 2
/* Counts this program's allocations; glibc's own names do the work. */
extern void *__libc_malloc(size_t n), *__libc_calloc(size_t n, size_t size), *__libc_realloc(void *p, size_t n),
    *__libc_memalign(size_t align, size_t n);
static size_t n_allocations;
void *malloc(size_t n) {
    __atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t size) {
    __atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
    return __libc_calloc(n, size);
}
void *realloc(void *p, size_t n) {
    __atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
    return __libc_realloc(p, n);
}
void *aligned_alloc(size_t align, size_t n) {
    __atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
    return __libc_memalign(align, n);
}
#endif

static uint64_t seed = 11;
static uint32_t random_below(uint32_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 32) % n);
}

static uint64_t number_of(const char *name, uint64_t otherwise) { /* of the environment */
    const char *s = getenv(name);
    return s && *s ? strtoull(s, NULL, 10) : otherwise;
}

/* The long text in random chunks, alone and beside 1 to 15 mates that read it too, each at its own pace from its own
 * time on; one mate a chunking is compared with a fresh reading. With one thread and with two. */
static void test_chunks_mates_and_threads_do_not_change_a_bit(void **state) {
    (void)state;
    enum { N = LONG_TEXT, MATES = 15 };
    uint64_t own_seed = number_of("SEED", 11), n_chunkings = number_of("CHUNKINGS", DEFAULT_CHUNKINGS);
    const char *path = getenv("KERNEL_PATH");
    size_t n_chunks = 0, n_mates_compared = 0, sizes[MATES + 1] = {0}, threads[2] = {0};
    uint64_t before = seed;
    seed = own_seed * 0x9e3779b97f4a7c15u + 11;
    int32_t *ids = fixture_text(N);
    struct jamba_model *models[2] = {fixture_model(path, 1), fixture_model(path, 2)};
    struct jamba_session *whole = fixture_session(models[1], N);
    fixture_read(whole, ids, N);
    struct fixture_bytes want = fixture_state(whole);
    uint8_t want_hash[32], hash[32];
    jamba_session_prefix_hash(whole, want_hash);
    for (uint64_t round = 0; round < n_chunkings; round++) {
        struct error e = {0};
        struct jamba_model *m = models[(own_seed + round) % 2];
        size_t n_mates = (own_seed + 7 * round) % (MATES + 1), at = 0;
        bool all = random_below(2); /* every mate in every chunk */
        size_t longest = round % 3 == 0 ? 700 : round % 3 == 1 ? 150 : 3 + random_below(60);
        struct jamba_session *s = fixture_session(m, N), *mates[MATES];
        struct jamba_batch_item items[MATES + 1];
        for (size_t i = 0; i < n_mates; i++) mates[i] = fixture_session(m, N);
        for (; at < N; n_chunks++) {
            size_t n = 1 + random_below((uint32_t)longest), n_items = 0, place = random_below((uint32_t)n_mates + 1);
            if (at + n > N) n = N - at;
            for (size_t i = 0; i <= n_mates; i++) {
                if (i == place)
                    items[n_items++] =
                        (struct jamba_batch_item){.session = s, .tokens = ids + at, .n_tokens = n}; /* any place */
                if (i == n_mates || (!all && random_below(4) == 0)) continue;
                uint32_t have = jamba_session_n_tokens(mates[i]), more = 1 + random_below(4);
                if (have + more <= N)
                    items[n_items++] =
                        (struct jamba_batch_item){.session = mates[i], .tokens = ids + have, .n_tokens = more};
            }
            assert_int_equal(jamba_batch_run(m, items, n_items, NULL, &e), 0);
            sizes[n_items - 1]++;
            at += n;
        }
        struct fixture_bytes have = fixture_state(s);
        fixture_same(&want, &have);
        jamba_session_prefix_hash(s, hash);
        assert_memory_equal(hash, want_hash, 32);
        free(have.data);
        jamba_session_close(s);
        if (n_mates) {
            struct jamba_session *mate = mates[random_below((uint32_t)n_mates)];
            uint32_t n = jamba_session_n_tokens(mate);
            if (n > 0 && n <= 600) { /* a longer one takes as long as the text itself */
                struct jamba_session *alone = fixture_session(models[(own_seed + round + 1) % 2], N);
                fixture_read(alone, ids, n);
                struct fixture_bytes x = fixture_state(alone), y = fixture_state(mate);
                fixture_same(&x, &y);
                free(x.data), free(y.data);
                jamba_session_close(alone);
                n_mates_compared++;
            }
        }
        for (size_t i = 0; i < n_mates; i++) jamba_session_close(mates[i]);
        threads[(own_seed + round) % 2]++;
    }
    print_message(
        "seed %llu: %zu + %zu chunkings of %d tokens with 1 + 2 threads on %s: %zu chunks, %zu mates compared; "
        "chunks by batch size 1..16:",
        (unsigned long long)own_seed, threads[0], threads[1], N, jamba_model_kernel_path(models[0]), n_chunks,
        n_mates_compared);
    for (size_t i = 0; i <= MATES; i++) print_message(" %zu", sizes[i]);
    print_message("\n");
    free(want.data);
    jamba_session_close(whole);
    for (size_t i = 0; i < 2; i++) jamba_model_close(models[i]);
    free(ids);
    seed = before;
}

static void test_every_path_is_invariant(void **state) {
    (void)state;
    enum { N = 90 };
    const char *paths[] = {"scalar", "avx2", "avx512-vnni", "avx512-bf16", "amx-int8"};
    int32_t *ids = fixture_text(N);
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
        struct error e = {0};
        struct jamba_model *m = NULL;
        struct jamba_model_options o = {.path = paths[p], .n_threads = 2};
        int rc = jamba_model_open(&m, "engine/models", &o, &e);
        if (rc == ERR_UNSUPPORTED) continue;
        assert_int_equal(rc, 0);
        assert_string_equal(jamba_model_kernel_path(m), paths[p]);
        struct jamba_session *a = fixture_session(m, N), *b = fixture_session(m, N);
        fixture_read(a, ids, N);
        for (size_t at = 0; at < N; at += at == 70 ? 20 : at < 3 ? 1 : 67)
            fixture_read(b, ids + at, at == 70 ? 20 : at < 3 ? 1 : 67);
        struct fixture_bytes want = fixture_state(a), have = fixture_state(b);
        fixture_same(&want, &have);
        free(want.data);
        free(have.data);
        jamba_session_close(a);
        jamba_session_close(b);
        jamba_model_close(m);
    }
    free(ids);
}

static void test_batch_mates_do_not_change_a_bit(void **state) {
    (void)state;
    enum { ITEMS = 16 };
    int32_t *ids = fixture_text(3000);
    struct jamba_model *m = fixture_model(NULL, 2);
    struct error e = {0};
    struct jamba_batch_item items[ITEMS];
    size_t V = m->config.n_vocab;
    const int32_t rows[3] = {12, 13, 14};
    for (size_t i = 0; i < ITEMS; i++) {
        items[i] = (struct jamba_batch_item){.session = fixture_session(m, 400),
                                             .tokens = ids + 100 * i,
                                             .n_tokens = 1 + 23 * i,
                                             .want = i % 3 == 0   ? JAMBA_WANT_LOGITS
                                                     : i % 3 == 1 ? JAMBA_WANT_HIDDEN
                                                                  : JAMBA_WANT_LOGITS,
                                             .out = malloc(V * 4)};
        if (i % 3 == 2) items[i].rows = rows, items[i].n_rows = 3;
    }
    assert_int_equal(jamba_batch_run(m, items, ITEMS, NULL, &e), 0);
    float *logits = malloc(V * 4), hidden[4096];
    for (size_t i = 0; i < ITEMS; i++) {
        struct jamba_session *alone = fixture_session(m, 400);
        fixture_read(alone, items[i].tokens, items[i].n_tokens);
        assert_int_equal(jamba_session_logits(alone, logits, &e), 0);
        assert_int_equal(jamba_session_hidden(alone, hidden, &e), 0);
        if (i % 3 == 0) assert_memory_equal(items[i].out, logits, V * 4);
        if (i % 3 == 1) assert_memory_equal(items[i].out, hidden, m->config.d_model * 4);
        if (i % 3 == 2)
            for (size_t k = 0; k < 3; k++) assert_memory_equal(&items[i].out[k], &logits[rows[k]], 4);
        struct fixture_bytes a = fixture_state(alone), b = fixture_state(items[i].session);
        fixture_same(&a, &b);
        free(a.data);
        free(b.data);
        jamba_session_close(alone);
        jamba_session_close(items[i].session);
        free(items[i].out);
    }
    free(logits);
    free(ids);
    jamba_model_close(m);
}

static void test_a_fork_equals_a_fresh_reading(void **state) {
    (void)state;
    int32_t *ids = fixture_text(1500);
    struct jamba_model *m = fixture_model(NULL, 2);
    struct error e = {0};
    struct jamba_session *reading = fixture_session(m, 1500), *fork[2], *fresh;
    fixture_read(reading, ids, 1000); /* ends inside a page */
    struct fixture_bytes before = fixture_state(reading);
    for (int i = 0; i < 2; i++) assert_int_equal(jamba_session_fork(&fork[i], reading, &e), 0);
    for (int i = 0; i < 2; i++) { /* two different questions, the second on the untouched reading */
        fixture_read(fork[i], ids + 1000 + 200 * i, 150);
        fresh = fixture_session(m, 1500);
        fixture_read(fresh, ids, 1000);
        fixture_read(fresh, ids + 1000 + 200 * i, 150);
        struct fixture_bytes a = fixture_state(fork[i]), b = fixture_state(fresh);
        fixture_same(&a, &b);
        free(a.data);
        free(b.data);
        jamba_session_close(fresh);
    }
    struct fixture_bytes after = fixture_state(reading);
    fixture_same(&before, &after);
    free(before.data);
    free(after.data);
    /* the reading may go before its forks */
    jamba_session_close(reading);
    fixture_read(fork[0], ids + 1150, 100);
    struct jamba_session *again;
    assert_int_equal(jamba_session_fork(&again, fork[0], &e), 0);
    jamba_session_close(fork[0]);
    jamba_session_close(fork[1]);
    fixture_read(again, ids + 1250, 50);
    fresh = fixture_session(m, 1500);
    fixture_read(fresh, ids, 1300);
    struct fixture_bytes a = fixture_state(again), b = fixture_state(fresh);
    fixture_same(&a, &b);
    free(a.data);
    free(b.data);
    jamba_session_close(again);
    jamba_session_close(fresh);
    jamba_model_close(m);
    free(ids);
}

static void test_logprobs_are_those_of_the_logits(void **state) {
    (void)state;
    int32_t *ids = fixture_text(700);
    struct jamba_model *m = fixture_model(NULL, 2);
    struct error e = {0};
    size_t V = m->config.n_vocab, n = 400; /* longer than a chunk */
    struct jamba_session *s = fixture_session(m, 700), *step = fixture_session(m, 700);
    fixture_read(s, ids, 100);
    float *out = malloc(n * 4), *again = malloc(n * 4), *logits = malloc(V * 4);
    struct jamba_session *other;
    assert_int_equal(jamba_session_fork(&other, s, &e), 0);
    struct jamba_batch_item it = {
        .session = s, .tokens = ids + 100, .n_tokens = n, .want = JAMBA_WANT_LOGPROBS, .out = out};
    assert_int_equal(jamba_batch_run(m, &it, 1, NULL, &e), 0);
    it.session = other, it.out = again;
    assert_int_equal(jamba_batch_run(m, &it, 1, &(struct jamba_run){.chunk = 37}, &e), 0);
    assert_memory_equal(out, again, n * 4);
    fixture_read(step, ids, 100);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(jamba_session_logits(step, logits, &e), 0);
        double max = -INFINITY, sum = 0;
        for (size_t v = 0; v < V; v++) max = fmax(max, (double)logits[v]);
        for (size_t v = 0; v < V; v++) sum += exp((double)logits[v] - max);
        assert_true(fabs((double)logits[ids[100 + i]] - max - log(sum) - (double)out[i]) < 2e-5);
        fixture_read(step, ids + 100 + i, 1);
    }
    /* a session that has read nothing cannot say how likely its first token is */
    struct jamba_session *empty = fixture_session(m, 10);
    it.session = empty, it.n_tokens = 2;
    assert_int_equal(jamba_batch_run(m, &it, 1, NULL, &e), ERR_ARG);
    jamba_session_close(empty);
    jamba_session_close(s);
    jamba_session_close(other);
    jamba_session_close(step);
    jamba_model_close(m);
    free(out), free(again), free(logits), free(ids);
}

static bool cancel_later(void *ctx) {
    return ++*(int *)ctx > 2;
}
static void count_progress(void *ctx, uint32_t done, uint32_t total) {
    (void)ctx;
    assert_true(done > 0 && done <= total);
}
static void test_a_cancelled_reading_stands_at_a_chunk_border_and_goes_on(void **state) {
    (void)state;
    int32_t *ids = fixture_text(300);
    struct jamba_model *m = fixture_model(NULL, 2);
    struct error e = {0};
    struct jamba_session *s = fixture_session(m, 300), *fresh = fixture_session(m, 300);
    int asked = 0;
    struct jamba_run run = {.cancelled = cancel_later, .progress = count_progress, .ctx = &asked, .chunk = 50};
    assert_int_equal(jamba_session_prefill(s, ids, 300, &run, &e), ERR_CANCELLED);
    assert_int_equal(jamba_session_n_tokens(s), 100);
    assert_int_equal(jamba_session_prefill(s, ids + 100, 200, &(struct jamba_run){.deadline = 1e-9}, &e),
                     ERR_CANCELLED);
    assert_int_equal(jamba_session_n_tokens(s), 100);
    fixture_read(s, ids + 100, 200);
    fixture_read(fresh, ids, 300);
    struct fixture_bytes a = fixture_state(s), b = fixture_state(fresh);
    fixture_same(&a, &b);
    free(a.data), free(b.data), free(ids);
    jamba_session_close(s);
    jamba_session_close(fresh);
    jamba_model_close(m);
}

static void test_wrong_requests_are_refused_and_change_nothing(void **state) {
    (void)state;
    struct jamba_model *m = fixture_model(NULL, 1);
    struct error e = {0};
    struct jamba_session *s = fixture_session(m, 8), *t;
    float out[64];
    const int32_t good[10] = {20, 21, 22, 23, 24, 25, 26, 27, 28, 29}, bad[2] = {20, (int32_t)m->config.n_vocab},
                  negative[1] = {-1};
    assert_int_equal(jamba_session_open(&t, m, 0, &e), ERR_ARG);
    assert_int_equal(jamba_session_logits_rows(s, good, 2, out, &e), ERR_ARG); /* nothing read yet */
    assert_int_equal(jamba_session_prefill(s, good, 9, NULL, &e), ERR_LIMIT);
    assert_non_null(strstr(e.message, "8"));
    assert_int_equal(jamba_session_prefill(s, bad, 2, NULL, &e), ERR_ARG);
    assert_int_equal(jamba_session_prefill(s, negative, 1, NULL, &e), ERR_ARG);
    assert_int_equal(jamba_session_n_tokens(s), 0);
    fixture_read(s, good, 8); /* exactly full */
    assert_int_equal(jamba_session_prefill(s, good, 1, NULL, &e), ERR_LIMIT);
    assert_int_equal(jamba_session_logits_rows(s, bad, 2, out, &e), ERR_ARG);
    assert_int_equal(jamba_session_logits_rows(s, good, 2, out, &e), 0);
    jamba_session_close(s);
    s = fixture_session(m, 8);
    struct jamba_batch_item twice[2] = {{.session = s, .tokens = good, .n_tokens = 2},
                                        {.session = s, .tokens = good, .n_tokens = 2}};
    assert_int_equal(jamba_batch_run(m, twice, 2, NULL, &e), ERR_ARG);
    assert_int_equal(jamba_session_n_tokens(s), 0);
    jamba_session_close(s);
    jamba_model_close(m);
}

static void test_a_decode_step_allocates_nothing(void **state) {
    (void)state;
#if COUNT_ALLOCATIONS
    int32_t *ids = fixture_text(200);
    struct jamba_model *m = fixture_model(NULL, 2);
    struct error e = {0};
    struct jamba_session *s = fixture_session(m, 200);
    float *logits = malloc(m->config.n_vocab * 4);
    size_t before = n_allocations;
    assert_true(before > 0);           /* the counter counts */
    for (size_t i = 0; i < 140; i++) { /* across two pages of keys and values */
        assert_int_equal(jamba_session_prefill(s, ids + i, 1, NULL, &e), 0);
        assert_int_equal(jamba_session_logits(s, logits, &e), 0);
    }
    assert_int_equal(n_allocations, before);
    free(logits), free(ids);
    jamba_session_close(s);
    jamba_model_close(m);
#else
    print_message("skip: the sanitizer owns the allocator\n");
    skip();
#endif
}

/* Small random models with experts, odd shapes and every storage: the fast paths near the scalar one, and each path
 * invariant. */
static void test_models_with_experts_on_every_path(void **state) {
    (void)state;
    enum { N_KINDS = 8 };
    struct tiny_model kinds[N_KINDS];
    for (size_t k = 0; k < N_KINDS; k++) kinds[k] = (struct tiny_model)TINY_MODEL;
    kinds[0].n_expert = 4, kinds[0].n_expert_used = 2;
    kinds[1].n_expert = 8, kinds[1].n_expert_used = 3, kinds[1].matrix = TENSOR_Q8_0, kinds[1].tied = false,
    kinds[1].dt_rank = 32;
    kinds[2].n_expert = 4, kinds[2].n_expert_used = 2, kinds[2].matrix = TENSOR_Q4_0, kinds[2].n_kv_head = 1,
    kinds[2].attention_offset = 1, kinds[2].attention_period = 2; /* attention and experts in the same layers */
    kinds[3].matrix = TENSOR_F16, kinds[3].n_kv_head = 4, kinds[3].d_state = 16, kinds[3].d_inner = 136;
    kinds[4].matrix = TENSOR_Q4_1, kinds[4].n_expert = 4, kinds[4].n_expert_used = 2;
    for (size_t k = 5; k < N_KINDS; k++) { /* rows of 256 and more, but for those of ffn_down and ssm_dt */
        kinds[k].matrix = TENSOR_Q4_K + (enum tensor_type)(k - 5), kinds[k].fallback = true, kinds[k].tied = k % 2;
        kinds[k].n_layer = 2, kinds[k].d_model = 256, kinds[k].d_inner = 512, kinds[k].dt_rank = 32;
    }
    kinds[7].n_expert = 3, kinds[7].n_expert_used = 2;
    const char *paths[] = {"scalar", "scalar-int8", "avx2", "avx512-vnni", "avx512-bf16", "amx-int8"};
    char file[] = "/tmp/antinomy-tiny-XXXXXX.gguf";
    int fd = mkstemps(file, 5);
    assert_true(fd >= 0);
    close(fd);
    enum { N = 230 };
    int32_t ids[N];
    for (size_t i = 0; i < N; i++) ids[i] = 5 + (int32_t)random_below(250);
    for (size_t k = 0; k < N_KINDS; k++) {
        tiny_model_write(&kinds[k], file);
        float *want = NULL;
        size_t V = kinds[k].n_vocab;
        for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
            struct error e = {0};
            struct jamba_model *m = NULL;
            struct jamba_model_options o = {.path = paths[p], .n_threads = 2};
            int rc = jamba_model_open(&m, file, &o, &e);
            if (rc == ERR_UNSUPPORTED) continue;
            if (rc) fail_msg("%s %s", e.where, e.message);
            struct jamba_session *a = fixture_session(m, N), *b = fixture_session(m, N), *mate = fixture_session(m, N);
            fixture_read(a, ids, N);
            for (size_t at = 0; at < N;) { /* random chunks beside a batch mate */
                size_t n = 1 + random_below(40);
                if (at + n > N) n = N - at;
                struct jamba_batch_item items[2] = {{.session = mate, .tokens = ids + 3, .n_tokens = 1},
                                                    {.session = b, .tokens = ids + at, .n_tokens = n}};
                assert_int_equal(jamba_batch_run(m, items, 2, NULL, &e), 0);
                at += n;
            }
            struct fixture_bytes x = fixture_state(a), y = fixture_state(b);
            fixture_same(&x, &y);
            const float *logits = (const float *)(const void *)(x.data + x.len - V * 4);
            if (!want) {
                want = malloc(V * 4);
                memcpy(want, logits, V * 4);
            }
            double diff = 0, norm = 0;
            for (size_t v = 0; v < V; v++)
                diff += pow((double)(want[v] - logits[v]), 2), norm += pow((double)want[v], 2);
            /* rounding of activations and of f16 keys; noise weights damp nothing */
            if (!(sqrt(diff / norm) < 0.05))
                fail_msg("model %zu on %s: logits differ by %.3f", k, paths[p], sqrt(diff / norm));
            free(x.data), free(y.data);
            jamba_session_close(a);
            jamba_session_close(b);
            jamba_session_close(mate);
            jamba_model_close(m);
        }
        free(want);
    }
    unlink(file);
}

struct client {
    struct jamba_model *m;
    const int32_t *ids;
    size_t n, first;
    struct fixture_bytes state;
    bool failed;
};
static void *client_main(void *ctx) { /* forks, reads and closes while the others do */
    struct client *c = ctx;
    struct error e = {0};
    struct jamba_session *s = NULL, *f = NULL;
    c->failed = jamba_session_open(&s, c->m, 400, &e) != 0;
    for (size_t at = 0; !c->failed && at < c->n; at += 20) {
        c->failed |= jamba_session_prefill(s, c->ids + c->first + at, 20, NULL, &e) != 0;
        c->failed |= jamba_session_fork(&f, s, &e) != 0;
        if (!c->failed) c->failed |= jamba_session_prefill(f, c->ids + at, 10, NULL, &e) != 0;
        jamba_session_close(f);
        f = NULL;
    }
    if (!c->failed) c->state = fixture_state(s);
    jamba_session_close(s);
    return NULL;
}
static void test_sessions_on_several_threads(void **state) {
    (void)state;
    enum { N = 200, CLIENTS = 3 };
    struct tiny_model kind = TINY_MODEL;
    struct error e = {0};
    kind.n_expert = 4, kind.n_expert_used = 2, kind.matrix = TENSOR_Q4_0;
    int32_t ids[N + 10 * CLIENTS];
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) ids[i] = 5 + (int32_t)random_below(250);
    struct jamba_model *m = NULL;
    struct jamba_model_options o = {.n_threads = 2};
    if (tiny_model_open(&m, &kind, &o, &e)) fail_msg("%s %s", e.where, e.message);
    struct client clients[CLIENTS];
    pthread_t threads[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.m = m, .ids = ids, .n = N, .first = 10 * i};
        assert_int_equal(pthread_create(&threads[i], NULL, client_main, &clients[i]), 0);
    }
    for (size_t i = 0; i < CLIENTS; i++) pthread_join(threads[i], NULL);
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_false(clients[i].failed);
        struct jamba_session *s = fixture_session(m, 400);
        fixture_read(s, ids + 10 * i, N);
        struct fixture_bytes want = fixture_state(s);
        fixture_same(&want, &clients[i].state);
        free(want.data);
        free(clients[i].state.data);
        jamba_session_close(s);
    }
    jamba_model_close(m);
}

/* A question that is asked while a long reading runs is answered between two of the reading's chunks. */
struct question {
    struct jamba_model *m;
    const int32_t *ids;
    pthread_t thread;
    int asked, answered; /* atomics */
    uint32_t read_then;  /* how far the reading was at the first progress call behind the answer */
};
static void *question_main(void *ctx) {
    struct question *q = ctx;
    struct error e = {0};
    struct jamba_session *s = NULL;
    __atomic_store_n(&q->asked, 1, __ATOMIC_SEQ_CST);
    int rc = jamba_session_open(&s, q->m, 8, &e);
    for (size_t i = 0; !rc && i < 4; i++) rc = jamba_session_prefill(s, q->ids + i, 1, NULL, &e);
    jamba_session_close(s);
    __atomic_store_n(&q->answered, rc ? -1 : 1, __ATOMIC_SEQ_CST);
    return NULL;
}
static void reading_progress(void *ctx, uint32_t done, uint32_t total) {
    struct question *q = ctx;
    (void)total;
    if (!q->asked) {
        assert_int_equal(pthread_create(&q->thread, NULL, question_main, q), 0);
        while (!__atomic_load_n(&q->asked, __ATOMIC_SEQ_CST)) sched_yield();
    }
    for (;;) { /* until the question waits for its turn, or has been answered */
        pthread_mutex_lock(&q->m->lock);
        bool waits = q->m->next_ticket != q->m->serving;
        pthread_mutex_unlock(&q->m->lock);
        bool answered = __atomic_load_n(&q->answered, __ATOMIC_SEQ_CST) != 0;
        if (answered && !q->read_then) q->read_then = done;
        if (waits || answered) return;
        sched_yield();
    }
}
static void test_a_question_does_not_wait_for_a_whole_reading(void **state) {
    (void)state;
    struct tiny_model kind = TINY_MODEL;
    struct error e = {0};
    int32_t ids[200];
    for (size_t i = 0; i < 200; i++) ids[i] = 5 + (int32_t)random_below(250);
    struct jamba_model *m = NULL;
    struct jamba_model_options o = {.n_threads = 1};
    if (tiny_model_open(&m, &kind, &o, &e)) fail_msg("%s %s", e.where, e.message);
    struct jamba_session *reading = fixture_session(m, 200);
    struct question q = {.m = m, .ids = ids};
    struct jamba_run run = {.progress = reading_progress, .ctx = &q, .chunk = 5};
    assert_int_equal(jamba_session_prefill(reading, ids, 200, &run, &e), 0);
    pthread_join(q.thread, NULL);
    assert_int_equal(q.answered, 1);
    assert_true(q.read_then > 0 &&
                q.read_then <= 40); /* four steps, a chunk of 5 between two of them, and some slack */
    jamba_session_close(reading);
    jamba_model_close(m);
}

/* ---- generation ---- */
struct script { /* allows at step i: one forced token, or a few, or all */
    const int32_t *forced;
    size_t n, at;
    int32_t choice[3];
    int32_t taken[64];
    float logprob[64];
    size_t n_taken, stop_after;
};
static size_t script_allowed(void *ctx, const int32_t **ids) {
    struct script *s = ctx;
    if (s->at >= s->n) return 0;
    if (s->at % 10 == 9) {
        *ids = s->choice;
        return 3;
    }
    *ids = s->forced + s->at;
    return 1;
}
static void script_accept(void *ctx, int32_t id) {
    struct script *s = ctx;
    (void)id;
    s->at++;
}
static bool script_token(void *ctx, int32_t id, float logprob) {
    struct script *s = ctx;
    s->taken[s->n_taken] = id;
    s->logprob[s->n_taken++] = logprob;
    return s->n_taken != s->stop_after;
}

static void test_a_forced_run_reads_as_token_by_token(void **state) {
    (void)state;
    int32_t *ids = fixture_text(200);
    struct jamba_model *m = fixture_model(NULL, 2);
    struct error e = {0};
    struct jamba_session *s = fixture_session(m, 200), *plain = fixture_session(m, 200);
    fixture_read(s, ids, 60);
    fixture_read(plain, ids, 60);
    struct script script = {.forced = ids + 60, .n = 35, .choice = {100, 500, 900}};
    struct jamba_constraint c = {script_allowed, script_accept, &script};
    assert_int_equal(jamba_generate(s, &c, NULL, 64, script_token, &script, NULL, &e), 0);
    assert_int_equal(script.n_taken, 35);
    assert_int_equal(jamba_session_n_tokens(s), 95); /* all that was handed out has been read */
    for (size_t i = 0; i < 35; i++) {
        if (i % 10 == 9) {
            float l[3];
            assert_int_equal(jamba_session_logits_rows(plain, script.choice, 3, l, &e), 0);
            size_t best = l[1] > l[0] ? 1 : 0;
            if (l[2] > l[best]) best = 2;
            assert_int_equal(script.taken[i], script.choice[best]);
            double sum = exp((double)l[0] - (double)l[best]) + exp((double)l[1] - (double)l[best]) +
                         exp((double)l[2] - (double)l[best]);
            assert_true(fabs((double)script.logprob[i] + log(sum)) < 1e-5);
        } else {
            assert_int_equal(script.taken[i], ids[60 + i]);
            assert_true(script.logprob[i] == 0);
        }
        fixture_read(plain, &script.taken[i], 1);
    }
    struct fixture_bytes a = fixture_state(s), b = fixture_state(plain);
    fixture_same(&a, &b);
    free(a.data), free(b.data), free(ids);
    jamba_session_close(s);
    jamba_session_close(plain);
    jamba_model_close(m);
}

static void test_generation_stops_where_it_should_and_samples_by_seed(void **state) {
    (void)state;
    int32_t *ids = fixture_text(1503);
    struct jamba_model *m = fixture_model(NULL, 2);
    struct error e = {0};
    struct jamba_session *s = fixture_session(m, 1600), *f;
    fixture_read(s, ids, 1503); /* the reference says <|none|> <|endoftext|> here */
    struct script script = {0};
    assert_int_equal(jamba_session_fork(&f, s, &e), 0);
    assert_int_equal(jamba_generate(f, NULL, NULL, 60, script_token, &script, NULL, &e), 0);
    assert_true(script.n_taken >= 1 && script.n_taken < 60);
    assert_int_equal(script.taken[script.n_taken - 1], m->config.eos[0]);
    jamba_session_close(f);
    script = (struct script){.stop_after = 1};
    assert_int_equal(jamba_session_fork(&f, s, &e), 0);
    assert_int_equal(jamba_generate(f, NULL, NULL, 60, script_token, &script, NULL, &e), 0);
    assert_int_equal(script.n_taken, 1);
    jamba_session_close(f);
    int32_t first[3][10];
    for (uint64_t round = 0; round < 3; round++) { /* seeds 1, 1, 2 */
        struct jamba_sampling sampling = {.temperature = 5, .top_p = 0.95f, .seed = 1 + round / 2};
        script = (struct script){0};
        assert_int_equal(jamba_session_fork(&f, s, &e), 0);
        assert_int_equal(jamba_generate(f, NULL, &sampling, 10, script_token, &script, NULL, &e), 0);
        memset(first[round], 0, sizeof first[round]);
        memcpy(first[round], script.taken, script.n_taken * 4);
        jamba_session_close(f);
    }
    assert_memory_equal(first[0], first[1], sizeof first[0]);
    assert_memory_not_equal(first[0], first[2], sizeof first[0]);
    jamba_session_close(s);
    jamba_model_close(m);
    free(ids);
}

/* ---- memory budget ---- */
static struct jamba_model *tiny_with_budget(uint64_t bytes) {
    struct tiny_model kind = TINY_MODEL;
    struct jamba_model_options o = {.n_threads = 1, .session_bytes = bytes};
    struct jamba_model *m = NULL;
    struct error e = {0};
    if (tiny_model_open(&m, &kind, &o, &e)) fail_msg("%s %s", e.where, e.message);
    return m;
}
static void assert_refused(int rc, const struct error *e, uint64_t needed, uint64_t left) {
    char number[40];
    assert_int_equal(rc, ERR_NOMEM);
    snprintf(number, sizeof number, " %llu more bytes", (unsigned long long)needed);
    if (!strstr(e->message, number)) fail_msg("no \"%s\" in: %s", number, e->message);
    snprintf(number, sizeof number, " %llu are free", (unsigned long long)left);
    if (!strstr(e->message, number)) fail_msg("no \"%s\" in: %s", number, e->message);
}
static void test_a_memory_budget_refuses_and_changes_nothing(void **state) {
    (void)state;
    enum { PAGE_TOKENS = KERNEL_KV_PAGE };
    int32_t ids[6 * PAGE_TOKENS];
    struct error e = {0};
    float logits[2];
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) ids[i] = 5 + (int32_t)random_below(250);
    struct jamba_model *m = tiny_with_budget(0);
    struct jamba_session *whole = fixture_session(m, 400), *a, *b, *c;
    const uint64_t fixed = ((struct cpu_model *)m->backend_ctx)->pool.charged,
                   page = ((struct cpu_model *)m->backend_ctx)->pool.page_bytes;
    assert_true(fixed > 0 && page > 0);
    fixture_read(whole, ids, 5 * PAGE_TOKENS);
    struct fixture_bytes want = fixture_state(whole);
    jamba_session_close(whole);
    jamba_model_close(m);

    m = tiny_with_budget(2 * fixed + 4 * page);
    const struct kv_pool *pool = &((struct cpu_model *)m->backend_ctx)->pool;
    a = fixture_session(m, 400);
    fixture_read(a, ids, 3 * PAGE_TOKENS);
    assert_int_equal(jamba_session_fork(&b, a, &e), 0); /* its pages are shared */
    assert_int_equal(pool->charged, 2 * fixed + 3 * page);
    fixture_read(b, ids, 10);
    assert_int_equal(pool->charged, 2 * fixed + 4 * page);

    struct fixture_bytes before_a = fixture_state(a), before_b = fixture_state(b);
    assert_refused(jamba_session_open(&c, m, 8, &e), &e, fixed, 0);
    assert_null(c);
    assert_refused(jamba_session_fork(&c, a, &e), &e, fixed, 0);
    assert_null(c);
    assert_refused(jamba_session_prefill(a, ids, 100, NULL, &e), &e, 2 * page, 0);
    struct jamba_batch_item items[2] = {{.session = b, .tokens = ids, .n_tokens = 5},
                                        {.session = a, .tokens = ids, .n_tokens = 1}};
    assert_refused(jamba_batch_run(m, items, 2, NULL, &e), &e, page, 0);
    assert_int_equal(jamba_session_n_tokens(a), 3 * PAGE_TOKENS);
    assert_int_equal(jamba_session_n_tokens(b), 3 * PAGE_TOKENS + 10);
    struct fixture_bytes after_a = fixture_state(a), after_b = fixture_state(b);
    fixture_same(&before_a, &after_a);
    fixture_same(&before_b, &after_b);
    free(before_a.data), free(before_b.data), free(after_a.data), free(after_b.data);
    fixture_read(b, ids, PAGE_TOKENS - 10); /* what its page still holds */
    assert_refused(jamba_session_prefill(b, ids, 1, NULL, &e), &e, page, 0);
    assert_int_equal(jamba_session_logits_rows(b, ids, 2, logits, &e), 0);

    jamba_session_close(b); /* a page and a state are free again */
    fixture_read(a, ids + 3 * PAGE_TOKENS, 1);
    assert_int_equal(jamba_session_fork(&b, a, &e), 0);
    assert_refused(jamba_session_prefill(b, ids, 1, NULL, &e), &e, page, 0); /* would copy the page that both write */
    assert_refused(jamba_generate(b, NULL, NULL, 3, NULL, NULL, NULL, &e), &e, page, 0);
    jamba_session_close(b);
    /* a reading that was cancelled keeps what it took alone */
    int asked = 0;
    struct jamba_run run = {.cancelled = cancel_later, .ctx = &asked, .chunk = 10};
    jamba_session_close(a);
    assert_int_equal(pool->charged, 0);
    a = fixture_session(m, 400);
    assert_int_equal(jamba_session_prefill(a, ids, 4 * PAGE_TOKENS, &run, &e), ERR_CANCELLED);
    assert_int_equal(jamba_session_n_tokens(a), 20);
    assert_int_equal(pool->charged, fixed + page);
    /* a restored reading counts as one that was read */
    char file[] = "/tmp/antinomy-reading-XXXXXX";
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    fixture_read(a, ids + 20, 3 * PAGE_TOKENS - 20);
    assert_int_equal(jamba_session_save(a, file, &e), 0);
    assert_refused(jamba_session_restore(&b, m, file, 400, &e), &e, 3 * page, page);
    assert_int_equal(pool->charged, fixed + 3 * page);
    jamba_session_close(a);
    assert_int_equal(jamba_session_restore(&b, m, file, 400, &e), 0);
    assert_int_equal(pool->charged, fixed + 3 * page);
    unlink(file);
    /* two states of the budget are worth pages too: a page is 4,096 bytes here and a state larger */
    fixture_read(b, ids + 3 * PAGE_TOKENS, 2 * PAGE_TOKENS);
    struct fixture_bytes have = fixture_state(b);
    fixture_same(&want, &have);
    free(want.data), free(have.data);
    jamba_session_close(b);
    assert_int_equal(pool->charged, 0);
    jamba_model_close(m);
}

static void test_cancel_and_deadline_in_batches_and_generation(void **state) {
    (void)state;
    struct jamba_model *m = tiny_with_budget(0);
    struct error e = {0};
    int32_t ids[300];
    for (size_t i = 0; i < 300; i++) ids[i] = 5 + (int32_t)random_below(250);
    struct jamba_session *s[3], *fresh;
    struct jamba_batch_item items[3];
    for (size_t i = 0; i < 3; i++) {
        s[i] = fixture_session(m, 300);
        items[i] = (struct jamba_batch_item){.session = s[i], .tokens = ids + 100 * i, .n_tokens = 60};
    }
    assert_int_equal(jamba_batch_run(m, items, 3, &(struct jamba_run){.deadline = 1e-9}, &e), ERR_CANCELLED);
    for (size_t i = 0; i < 3; i++) assert_int_equal(jamba_session_n_tokens(s[i]), 0);
    int asked = 0;
    struct jamba_run run = {.cancelled = cancel_later, .ctx = &asked, .chunk = 40};
    assert_int_equal(jamba_batch_run(m, items, 3, &run, &e), ERR_CANCELLED); /* behind two rounds of 40 rows */
    assert_int_equal(jamba_session_n_tokens(s[0]), 60);
    assert_int_equal(jamba_session_n_tokens(s[1]), 20);
    assert_int_equal(jamba_session_n_tokens(s[2]), 0);
    items[1].tokens += 20, items[1].n_tokens -= 20; /* go on from there */
    assert_int_equal(jamba_batch_run(m, items + 1, 2, NULL, &e), 0);
    for (size_t i = 0; i < 3; i++) {
        fresh = fixture_session(m, 300);
        fixture_read(fresh, ids + 100 * i, 60);
        struct fixture_bytes x = fixture_state(fresh), y = fixture_state(s[i]);
        fixture_same(&x, &y);
        free(x.data), free(y.data);
        jamba_session_close(fresh);
    }
    /* generation: the session stands behind the tokens it has read, some of those handed out */
    struct script script = {.choice = {100, 101, 102}};
    asked = 0;
    run.chunk = 0;
    assert_int_equal(jamba_generate(s[0], NULL, &(struct jamba_sampling){.temperature = 9, .seed = 1}, 50, script_token,
                                    &script, &run, &e),
                     ERR_CANCELLED);
    uint32_t read = jamba_session_n_tokens(s[0]) - 60;
    assert_int_equal(read, 2);
    assert_int_equal(script.n_taken, 3);
    fresh = fixture_session(m, 300);
    fixture_read(fresh, ids, 60);
    fixture_read(fresh, script.taken, read);
    struct fixture_bytes x = fixture_state(fresh), y = fixture_state(s[0]);
    fixture_same(&x, &y);
    free(x.data), free(y.data);
    script = (struct script){0};
    assert_int_equal(
        jamba_generate(s[1], NULL, NULL, 50, script_token, &script, &(struct jamba_run){.deadline = 1e-9}, &e),
        ERR_CANCELLED);
    assert_int_equal(jamba_session_n_tokens(s[1]), 60);
    jamba_session_close(fresh);
    for (size_t i = 0; i < 3; i++) jamba_session_close(s[i]);
    jamba_model_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_THREAD__ /* the small models meet the same locks and threads in a fiftieth of the time */
        cmocka_unit_test(test_chunks_mates_and_threads_do_not_change_a_bit),
        cmocka_unit_test(test_every_path_is_invariant),
        cmocka_unit_test(test_batch_mates_do_not_change_a_bit),
        cmocka_unit_test(test_a_fork_equals_a_fresh_reading),
        cmocka_unit_test(test_logprobs_are_those_of_the_logits),
        cmocka_unit_test(test_a_cancelled_reading_stands_at_a_chunk_border_and_goes_on),
#endif
        cmocka_unit_test(test_wrong_requests_are_refused_and_change_nothing),
        cmocka_unit_test(test_a_decode_step_allocates_nothing),
        cmocka_unit_test(test_models_with_experts_on_every_path),
        cmocka_unit_test(test_sessions_on_several_threads),
        cmocka_unit_test(test_a_question_does_not_wait_for_a_whole_reading),
        cmocka_unit_test(test_a_memory_budget_refuses_and_changes_nothing),
        cmocka_unit_test(test_cancel_and_deadline_in_batches_and_generation),
#ifndef __SANITIZE_THREAD__
        cmocka_unit_test(test_a_forced_run_reads_as_token_by_token),
        cmocka_unit_test(test_generation_stops_where_it_should_and_samples_by_seed),
#endif
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* tests/mutants.sh runs single ones */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
