/* test_quantize.c: 16- and 32-bit matrices made into int8 and q4 blocks at load: the rounding, which matrices and where
 * they stand, the file they are kept in, and what is said when that file is no good. */
#include "engine/jamba/quantize.h"
#include "engine/jamba/weights.h"
#include "tests/unit/tiny_model.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64] = "/tmp/antinomy-quantize-XXXXXX", cache[80];

static const char *in_folder(const char *name) {
    static char path[2][200];
    static int turn;
    char *p = path[turn ^= 1];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void empty(const char *path) {
    DIR *d = opendir(path);
    if (!d) return;
    char file[512];
    for (const struct dirent *entry; (entry = readdir(d)) != NULL;) {
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.') remove(file);
    }
    closedir(d);
}

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(cache, sizeof cache, "%s/cache", folder);
    return setenv("ANTINOMY_CACHE", cache, 1);
}
static int drop_folder(void **state) {
    (void)state;
    empty(cache);
    rmdir(cache);
    empty(folder);
    return rmdir(folder);
}
static int empty_cache(void **state) {
    (void)state;
    empty(cache);
    return 0;
}

static struct jamba_model *open_ok(const char *path, const struct jamba_model_options *o) {
    struct jamba_model *m = NULL;
    struct error e = {0};
    if (jamba_model_open(&m, path, o, &e)) fail_msg("%s (%s)", e.message, e.where);
    return m;
}

/* ---- rows ---- */
static float noise(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(int32_t)*seed * 0x1p-31f;
}

static void test_an_int8_row_has_one_scale_and_rounds_to_the_nearest(void **state) {
    enum { N = 96 };
    static const float scales[] = {1, 3000, 127 * 65504.0f, 1e-3f, 1e-6f, 1e-9f, 0};
    uint32_t seed = 1;
    (void)state;
    for (size_t k = 0; k < sizeof scales / sizeof scales[0]; k++) {
        float x[N], back[N], max = 0, d;
        uint8_t row[N / 32 * 34];
        for (int i = 0; i < N; i++) x[i] = scales[k] * noise(&seed);
        x[40] = -scales[k];
        for (int i = 0; i < N; i++) max = fmaxf(max, fabsf(x[i]));
        assert_true(quantize_row_int8(x, N, row));
        tensor_row_to_f32(TENSOR_Q8_0, row, back, N);
        tensor_row_to_f32(TENSOR_F16, row, &d, 1);
        assert_memory_equal(row, row + 34, 2);
        assert_memory_equal(row, row + 68, 2);
        if (max >= 0.01f) assert_true(fabsf(d - max / 127) <= max / 127 * 0x1p-11f); /* absmax / 127 as a normal f16 */
        for (int i = 0; i < N; i++) /* half a step; the largest may be cut by half a step more */
            if (!(fabsf(x[i] - back[i]) <= 0.5001f * d)) fail_msg("%g of %g became %g, step %g", x[i], max, back[i], d);
        if (scales[k] == 0)
            for (int i = 0; i < N; i++) assert_true(back[i] == 0);
    }
}

/* Least squares over the scale the way it is usually done: the largest magnitude becomes -8. */
static double plain_q4_error(const float *x) {
    float largest = 0;
    double sum = 0;
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(largest)) largest = x[i];
    float d = largest / -8;
    for (int i = 0; i < 32; i++) {
        float q = fminf(7, fmaxf(-8, roundf(x[i] / d)));
        sum += pow((double)x[i] - (double)(d * q), 2);
    }
    return sum;
}

static void test_a_q4_block_is_closer_than_the_plain_scale_and_keeps_what_was_q4(void **state) {
    enum { N = 32 * 200 };
    static float x[N], back[N], again[N];
    static uint8_t row[N / 32 * 18], second[N / 32 * 18];
    double plain = 0, ours = 0;
    uint32_t seed = 7;
    (void)state;
    for (int i = 0; i < N; i++) x[i] = noise(&seed) + noise(&seed) + noise(&seed);
    memset(x + 64, 0, 32 * sizeof *x);
    assert_true(quantize_row_q4(x, N, row));
    tensor_row_to_f32(TENSOR_Q4_0, row, back, N);
    for (int b = 0; b < N / 32; b++) {
        double error = 0, usual = b == 2 ? 0 : plain_q4_error(x + 32 * b);
        for (int i = 32 * b; i < 32 * b + 32; i++) error += pow((double)x[i] - (double)back[i], 2);
        if (!(error <= usual * 1.01)) fail_msg("block %d: %g, the plain scale leaves %g", b, error, usual);
        plain += usual, ours += error;
    }
    assert_true(ours < 0.9 * plain);
    for (int i = 64; i < 96; i++) assert_true(back[i] == 0);

    for (int i = 0; i < N / 32 * 18; i++) row[i] = (uint8_t)(noise(&seed) * 127 + 128); /* blocks that use their -8 */
    for (int b = 0; b < N / 32; b++) {
        uint16_t d = (uint16_t)(0x2000 + (b & 1) * 0x8000 + b);
        memcpy(row + 18 * b, &d, 2);
        row[18 * b + 2 + b % 16] &= 0xf0;
    }
    tensor_row_to_f32(TENSOR_Q4_0, row, x, N);
    assert_true(quantize_row_q4(x, N, second));
    tensor_row_to_f32(TENSOR_Q4_0, second, again, N);
    assert_memory_equal(x, again, sizeof x);
    assert_memory_equal(row, second, sizeof row);
}

static void test_what_has_no_scale_is_refused(void **state) {
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f};
    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        float x[32] = {1, 2, [13] = bad[k]};
        uint8_t out[34];
        assert_false(quantize_row_int8(x, 32, out));
        assert_false(quantize_row_q4(x, 32, out));
    }
    struct tiny_model t = TINY_MODEL;
    t.tied = false;
    t.not_finite = "blk.2.ssm_in.weight";
    struct jamba_model_options o = {.path = "scalar", .n_threads = 1, .quantize = "q4"};
    struct jamba_model *m;
    struct error e = {0};
    assert_int_equal(tiny_model_write(&t, in_folder("a.gguf")), 0);
    assert_int_equal(jamba_model_open(&m, in_folder("a.gguf"), &o, &e), ERR_FORMAT);
    assert_non_null(strstr(e.where, "blk.2.ssm_in.weight"));
    o.quantize = "fp8";
    assert_int_equal(jamba_model_open(&m, in_folder("a.gguf"), &o, &e), ERR_ARG);
    assert_non_null(strstr(e.message, "int8"));
}

/* ---- models ---- */
enum { N_IDS = 40 };
static void logits_of(struct jamba_model *m, float *out) {
    struct error e = {0};
    struct jamba_session *s;
    int32_t ids[N_IDS];
    for (int i = 0; i < N_IDS; i++) ids[i] = 5 + i * 7 % 250;
    assert_int_equal(jamba_session_open(&s, m, N_IDS, &e), 0);
    assert_int_equal(jamba_session_prefill(s, ids, N_IDS, NULL, &e), 0);
    assert_int_equal(jamba_session_logits(s, out, &e), 0);
    jamba_session_close(s);
}

/* Those of a model that is opened for it. */
static void logits_when_opened(const char *path, const struct jamba_model_options *o, float *out) {
    struct jamba_model *m = open_ok(path, o);
    logits_of(m, out);
    jamba_model_close(m);
}

/* Every matrix of an F32 file, in the file's bytes, replaced by what its quantised rows mean; the reference reads that.
 */
static void replace_rows(struct buf *file, const struct jamba_model *m, const char *form) {
    const struct tensor *keep[] = {m->weights.token_embd, m->weights.output_norm};
    struct tensor *all[200];
    size_t n = weights_tensors(m, NULL), n_replaced = 0;
    assert_true(n <= 200);
    weights_tensors(m, all);
    for (size_t i = 0; i < n; i++) {
        const struct tensor *t = all[i];
        bool small = strstr(t->name, "norm") || strstr(t->name, "conv1d") || strstr(t->name, "ssm_a") ||
                     strstr(t->name, "gate_inp") || t->n_dims < 2;
        if (small || t == keep[0] || t == keep[1] || t->ne[0] % 32) continue;
        bool int8 = strcmp(form, "int8") == 0 || t == m->weights.output;
        float *rows = (float *)(void *)(file->data + ((const uint8_t *)t->data - m->maps[0].base));
        uint8_t blocks[512];
        for (uint64_t r = 0; r < t->ne[1] * t->ne[2]; r++, n_replaced++) {
            float *x = rows + r * t->ne[0];
            assert_true(int8 ? quantize_row_int8(x, t->ne[0], blocks) : quantize_row_q4(x, t->ne[0], blocks));
            tensor_row_to_f32(int8 ? TENSOR_Q8_0 : TENSOR_Q4_0, blocks, x, t->ne[0]);
        }
    }
    assert_true(n_replaced > 1000);
}

static void test_a_quantised_model_computes_as_one_of_the_rounded_weights(void **state) {
    static const char *const forms[] = {"int8", "q4"};
    (void)state;
    for (size_t f = 0; f < 2; f++) {
        struct tiny_model t = TINY_MODEL;
        t.tied = false, t.n_expert = 4, t.n_expert_used = 2;
        float want[300], got[300], plain[300];
        struct buf file = tiny_model_bytes(&t);
        assert_false(file.failed);
        assert_int_equal(tiny_write(in_folder("a.gguf"), file.data, file.len), 0);
        struct jamba_model_options o = {.path = "scalar", .n_threads = 2};
        struct jamba_model *m = open_ok(in_folder("a.gguf"), &o);
        logits_of(m, plain);
        replace_rows(&file, m, forms[f]);
        jamba_model_close(m);
        assert_int_equal(tiny_write(in_folder("b.gguf"), file.data, file.len), 0);
        logits_when_opened(in_folder("b.gguf"), &o, want);
        o.quantize = forms[f];
        m = open_ok(in_folder("a.gguf"), &o);
        assert_string_equal(jamba_model_kernel_path(m), f ? "scalar+q4" : "scalar+int8");
        logits_of(m, got);
        jamba_model_close(m);
        assert_memory_equal(got, want, sizeof got);
        assert_memory_not_equal(got, plain, sizeof got);
        buf_free(&file);
    }
}

static double divergence(const float *a, const float *b, size_t n) { /* KL(a || b) of two rows of logits */
    double za = 0, zb = 0, kl = 0;
    for (size_t i = 0; i < n; i++) za += exp((double)a[i]), zb += exp((double)b[i]);
    for (size_t i = 0; i < n; i++) kl += exp((double)a[i]) / za * ((double)a[i] - (double)b[i] - log(za) + log(zb));
    return kl;
}

static void test_every_path_and_source_stays_near_the_unquantised_model(void **state) {
    static const char *const paths[] = {"scalar", "scalar-int8", "avx2", "avx512-vnni", "avx512-bf16", "amx-int8"};
    static const enum tensor_type types[] = {TENSOR_F32, TENSOR_F16, TENSOR_BF16};
    (void)state;
    for (size_t k = 0; k < 6; k++) {
        const char *form = k % 2 ? "q4" : "int8";
        struct tiny_model t = TINY_MODEL;
        t.tied = k / 2 != 1, t.n_expert = 4, t.n_expert_used = 2, t.matrix = types[k / 2];
        float want[300], first[300], got[300];
        bool int8 = false;
        assert_int_equal(tiny_model_write(&t, in_folder("a.gguf")), 0);
        struct jamba_model *m;
        logits_when_opened(in_folder("a.gguf"), &(struct jamba_model_options){.path = "scalar", .n_threads = 1}, want);
        for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++) {
            struct jamba_model_options o = {.path = paths[p], .n_threads = 2, .quantize = form};
            struct error e = {0};
            int rc = jamba_model_open(&m, in_folder("a.gguf"), &o, &e);
            if (rc == ERR_UNSUPPORTED) continue; /* the processor lacks it */
            assert_int_equal(rc, 0);
            logits_of(m, got);
            jamba_model_close(m);
            double kl = divergence(want, got, 300);
            if (!(kl < (k % 2 ? 0.2 : 0.01))) fail_msg("%s, %s: KL %g", paths[p], form, kl);
            assert_true(kl > 0);
            if (int8 && strncmp(paths[p], "avx", 3) == 0 && k / 2 == 0)
                assert_true(divergence(first, got, 300) <
                            0.01); /* the same blocks; keys and values are kept otherwise */
            if (strcmp(paths[p], "scalar-int8") == 0) memcpy(first, got, sizeof got), int8 = true;
        }
    }
}

struct notes {
    int n;
    char last[700];
};
static void note(void *ctx, const char *text) {
    struct notes *t = ctx;
    t->n++;
    snprintf(t->last, sizeof t->last, "%s", text);
}

static void test_what_a_file_has_quantised_stays(void **state) {
    struct tiny_model t = TINY_MODEL;
    struct notes told = {0};
    float want[300], got[300];
    (void)state;
    t.matrix = TENSOR_Q4_0, t.dt_rank = 32;
    assert_int_equal(tiny_model_write(&t, in_folder("a.gguf")), 0);
    struct jamba_model_options o = {.n_threads = 1, .path = "scalar", .note = note, .note_ctx = &told};
    char file[200];
    logits_when_opened(in_folder("a.gguf"), &o, want);
    assert_int_equal(told.n, 0);
    o.quantize = "int8";
    struct jamba_model *m = open_ok(in_folder("a.gguf"), &o);
    logits_of(m, got);
    assert_string_equal(jamba_model_kernel_path(m), "scalar");
    quantize_cache_file(m, QUANTIZE_INT8, file, sizeof file);
    jamba_model_close(m);
    assert_memory_equal(want, got, sizeof got);
    assert_int_equal(told.n, 1);
    assert_non_null(strstr(told.last, "nothing to quantise"));
    assert_true(mkdir(cache, 0700) == 0 ||
                errno == EEXIST); /* nor is what lies where its blocks would be kept looked at */
    assert_int_equal(tiny_write(file, "not ours", 8), 0);
    logits_when_opened(in_folder("a.gguf"), &o, got);
    assert_memory_equal(want, got, sizeof got);
    assert_int_equal(told.n, 2);
    assert_non_null(strstr(told.last, "nothing to quantise"));
}

static void test_a_snapshot_of_other_weights_is_refused_by_name(void **state) {
    struct tiny_model t = TINY_MODEL;
    struct jamba_model_options o = {.path = "scalar", .n_threads = 1, .quantize = "int8"};
    struct jamba_session *s;
    struct error e = {0};
    int32_t ids[3] = {10, 11, 12};
    (void)state;
    assert_int_equal(tiny_model_write(&t, in_folder("a.gguf")), 0);
    struct jamba_model *m = open_ok(in_folder("a.gguf"), &o);
    assert_int_equal(jamba_session_open(&s, m, 8, &e), 0);
    assert_int_equal(jamba_session_prefill(s, ids, 3, NULL, &e), 0);
    assert_int_equal(jamba_session_save(s, in_folder("s.snap"), &e), 0);
    jamba_session_close(s);
    jamba_model_close(m);
    static const char *const others[] = {NULL, "q4"};
    for (int i = 0; i < 2; i++) {
        o.quantize = others[i];
        m = open_ok(in_folder("a.gguf"), &o);
        assert_int_equal(jamba_session_restore(&s, m, in_folder("s.snap"), 8, &e), ERR_UNSUPPORTED);
        assert_non_null(strstr(e.message, "\"scalar+int8\""));
        assert_non_null(strstr(e.message, i ? "\"scalar+q4\"" : "\"scalar\""));
        jamba_model_close(m);
    }
}

/* ---- the file ---- */
static struct jamba_model *small_model(uint32_t seed) {
    struct tiny_model t = TINY_MODEL;
    t.seed = seed, t.n_layer = 2, t.d_model = 32, t.d_ff = 32, t.d_inner = 32;
    if (tiny_model_write(&t, in_folder("a.gguf"))) fail_msg("%s", "the model cannot be written");
    return open_ok(in_folder("a.gguf"), &(struct jamba_model_options){.path = "scalar", .n_threads = 1});
}

static void test_the_second_start_maps_what_the_first_made(void **state) {
    struct jamba_model *m = small_model(1), *other = small_model(2);
    struct quantized q, again;
    struct error e = {0}, why;
    struct stat before, after;
    char file[200], theirs[200], q4[200];
    (void)state;
    quantize_cache_file(m, QUANTIZE_INT8, file, sizeof file);
    quantize_cache_file(m, QUANTIZE_Q4, q4, sizeof q4);
    quantize_cache_file(other, QUANTIZE_INT8, theirs, sizeof theirs);
    assert_memory_equal(file, cache, strlen(cache));
    assert_string_not_equal(file, q4);
    assert_string_not_equal(file, theirs);
    assert_int_equal(quantized_open(&q, m, QUANTIZE_INT8, 2, file, &why, &e), 0);
    assert_true(!q.from_cache && q.kept && !why.code);
    assert_int_equal(stat(file, &before), 0);
    assert_int_equal(before.st_mode & 0777, 0600);
    assert_int_equal(quantized_open(&again, m, QUANTIZE_INT8, 1, file, &why, &e), 0);
    assert_true(again.from_cache && again.kept && !why.code);
    assert_int_equal(stat(file, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(q.len, again.len);
    assert_memory_equal(q.base, again.base, q.len);
    quantized_close(&again);
    assert_int_equal(quantized_map(&again, other, QUANTIZE_INT8, 1, file, &e), ERR_FORMAT);
    assert_non_null(strstr(e.message, "another model"));
    assert_int_equal(quantized_map(&again, m, QUANTIZE_Q4, 1, file, &e), ERR_FORMAT);
    assert_int_equal(quantized_map(&again, m, QUANTIZE_INT8, 1, theirs, &e), ERR_NOT_FOUND);
    quantized_close(&q);
    jamba_model_close(m);
    jamba_model_close(other);
}

static void test_no_damage_to_the_file_goes_unseen(void **state) {
    struct jamba_model *m = small_model(1);
    struct quantized q;
    struct error e = {0}, why;
    char file[200];
    (void)state;
    quantize_cache_file(m, QUANTIZE_INT8, file, sizeof file);
    assert_int_equal(quantized_open(&q, m, QUANTIZE_INT8, 1, file, &why, &e), 0);
    struct buf bytes = {0};
    buf_append(&bytes, q.base, q.len);
    const size_t len = q.len;
    quantized_close(&q);
    assert_false(bytes.failed);
    const char *bad = in_folder("bad");
    int fd = open(bad, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes.data, len, 0), len);
    assert_int_equal(quantized_map(&q, m, QUANTIZE_INT8, 1, bad, &e), 0);
    quantized_close(&q);
    for (size_t at = 0; at < len; at++) {
        char flipped = (char)(bytes.data[at] ^ 1 << at % 8);
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
        if (quantized_map(&q, m, QUANTIZE_INT8, 1, bad, &e) != ERR_FORMAT) fail_msg("byte %zu of %zu", at, len);
        assert_null(q.base);
        assert_int_equal(pwrite(fd, &bytes.data[at], 1, (off_t)at), 1);
    }
    for (size_t k = 0; k <= len / 64 + 1; k++) { /* longer, then ever shorter, to nothing */
        size_t at = k ? len - (k - 1) * 64 : len + 64;
        if (at == len) continue;
        assert_int_equal(ftruncate(fd, (off_t)at), 0);
        if (quantized_map(&q, m, QUANTIZE_INT8, 1, bad, &e) != ERR_FORMAT) fail_msg("%zu of %zu bytes", at, len);
    }
    close(fd);
    buf_free(&bytes);
    jamba_model_close(m);
}

/* The small model's first start in a form: what it predicts, and where its blocks and their first writing stand. */
struct first_start {
    struct jamba_model_options o;
    struct notes told;
    char file[200], tmp[210];
    float want[300];
};
static void start_first(struct first_start *s, const char *form) {
    enum quantize_form kind;
    struct error e = {0};
    struct jamba_model *m = small_model(1);
    *s = (struct first_start){.o = {.path = "scalar", .n_threads = 1, .quantize = form, .note = note}};
    s->o.note_ctx = &s->told;
    assert_int_equal(quantize_form_of(form, &kind, &e), 0);
    quantize_cache_file(m, kind, s->file, sizeof s->file);
    snprintf(s->tmp, sizeof s->tmp, "%s.tmp", s->file);
    jamba_model_close(m);
    logits_when_opened(in_folder("a.gguf"), &s->o, s->want);
    assert_int_equal(s->told.n, 0);
}
static void start_again(const struct first_start *s) {
    float got[300];
    logits_when_opened(in_folder("a.gguf"), &s->o, got);
    assert_memory_equal(s->want, got, sizeof got);
}

static void test_a_damaged_file_is_made_anew_and_said(void **state) {
    struct first_start s;
    (void)state;
    start_first(&s, "q4");
    for (int kind = 0; kind < 3; kind++) {
        s.told.n = 0;
        if (kind == 0) assert_int_equal(truncate(s.file, 1000), 0);
        if (kind == 1) assert_int_equal(tiny_write(s.file, "not ours", 8), 0);
        if (kind == 2) { /* one weight */
            int fd = open(s.file, O_RDWR);
            struct stat st;
            char c;
            assert_true(fd >= 0 && fstat(fd, &st) == 0);
            assert_int_equal(pread(fd, &c, 1, st.st_size / 2), 1);
            c ^= 4;
            assert_int_equal(pwrite(fd, &c, 1, st.st_size / 2), 1);
            close(fd);
        }
        start_again(&s);
        assert_int_equal(s.told.n, 1);
        assert_non_null(strstr(s.told.last, kind == 2 ? "damaged" : "cut short"));
        start_again(&s);
        assert_int_equal(s.told.n, 1); /* it is whole again */
    }
    assert_int_equal(access(s.tmp, F_OK), -1);
}

static void test_what_cannot_be_kept_is_said_once_and_computes_all_the_same(void **state) {
    struct first_start s;
    (void)state;
    start_first(&s, "int8");
    assert_int_equal(setenv("ANTINOMY_CACHE", in_folder("a.gguf"), 1), 0); /* no folder */
    start_again(&s);
    assert_int_equal(setenv("ANTINOMY_CACHE", cache, 1), 0);
    assert_int_equal(s.told.n, 1);

    assert_int_equal(unlink(s.file), 0); /* somebody else writes it now */
    int fd = open(s.tmp, O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    start_again(&s);
    assert_int_equal(s.told.n, 2);
    assert_non_null(strstr(s.told.last, "another process"));
    assert_int_equal(access(s.file, F_OK), -1);
    assert_int_equal(access(s.tmp, F_OK), 0); /* left to its writer */
    close(fd);
    start_again(&s); /* what a crash left is written over */
    assert_int_equal(s.told.n, 2);
    assert_int_equal(access(s.file, F_OK), 0);
    assert_int_equal(access(s.tmp, F_OK), -1);
}

static void test_the_cache_stands_where_the_environment_says(void **state) {
    struct jamba_model *m = small_model(1);
    char file[200];
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME");
    char *old_home = home ? strdup(home) : NULL, *old_xdg = xdg ? strdup(xdg) : NULL;
    (void)state;
    setenv("HOME", "/h", 1), setenv("XDG_CACHE_HOME", "/x", 1);
    quantize_cache_file(m, QUANTIZE_Q4, file, sizeof file);
    assert_memory_equal(file, cache, strlen(cache));
    unsetenv("ANTINOMY_CACHE");
    quantize_cache_file(m, QUANTIZE_Q4, file, sizeof file);
    assert_memory_equal(file, "/x/antinomy/", 12);
    unsetenv("XDG_CACHE_HOME");
    quantize_cache_file(m, QUANTIZE_Q4, file, sizeof file);
    assert_memory_equal(file, "/h/.cache/antinomy/", 19);
    assert_non_null(strstr(file, "-q4.quantized"));
    quantize_cache_file(m, QUANTIZE_Q4, file, 30);
    assert_string_equal(file, "");
    unsetenv("HOME");
    quantize_cache_file(m, QUANTIZE_Q4, file, sizeof file);
    assert_string_equal(file, "");
    if (old_home) setenv("HOME", old_home, 1);
    if (old_xdg) setenv("XDG_CACHE_HOME", old_xdg, 1);
    setenv("ANTINOMY_CACHE", cache, 1);
    free(old_home);
    free(old_xdg);
    jamba_model_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_int8_row_has_one_scale_and_rounds_to_the_nearest),
        cmocka_unit_test(test_a_q4_block_is_closer_than_the_plain_scale_and_keeps_what_was_q4),
        cmocka_unit_test(test_what_has_no_scale_is_refused),
        cmocka_unit_test_setup(test_a_quantised_model_computes_as_one_of_the_rounded_weights, empty_cache),
        cmocka_unit_test_setup(test_every_path_and_source_stays_near_the_unquantised_model, empty_cache),
        cmocka_unit_test_setup(test_what_a_file_has_quantised_stays, empty_cache),
        cmocka_unit_test_setup(test_a_snapshot_of_other_weights_is_refused_by_name, empty_cache),
        cmocka_unit_test_setup(test_the_second_start_maps_what_the_first_made, empty_cache),
        cmocka_unit_test_setup(test_no_damage_to_the_file_goes_unseen, empty_cache),
        cmocka_unit_test_setup(test_a_damaged_file_is_made_anew_and_said, empty_cache),
        cmocka_unit_test_setup(test_what_cannot_be_kept_is_said_once_and_computes_all_the_same, empty_cache),
        cmocka_unit_test(test_the_cache_stands_where_the_environment_says),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER"));
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
