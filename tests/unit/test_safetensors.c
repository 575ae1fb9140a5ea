/* test_safetensors.c: eight random checkpoints in Hugging Face's layout (tests/golden/checkpoints), layer by layer
 * against transformers; and folders that are broken. */
#include "engine/jamba/safetensors.h"
#include "tests/unit/tiny_model.h"

#include <setjmp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define GOLDEN "tests/golden/checkpoints/"

struct seen {
    float *rows; /* [n_layer + 2][n_tokens][d_model] */
    size_t n_tokens, d_model;
};

static void on_layer(void *ctx, int layer, const float *rows, size_t n_rows) {
    struct seen *s = ctx;
    if (n_rows == s->n_tokens)
        memcpy(s->rows + (size_t)(layer + 1) * n_rows * s->d_model, rows, n_rows * s->d_model * sizeof *rows);
}

static double distance(const float *a, const float *b, size_t n) { /* 2-norm of the difference over that of b */
    double d = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        all += (double)b[i] * (double)b[i];
    }
    return sqrt(d / all);
}

static void check_checkpoint(const char *name) {
    struct jamba_model_options scalar = {.path = "scalar", .n_threads = 1};
    struct jamba_model *m;
    struct jamba_session *s;
    struct error e = {0};
    struct buf b = {0};
    char path[200];
    snprintf(path, sizeof path, GOLDEN "%s/expected.bin", name);
    if (file_read(path, 4 << 20, &b, &e)) fail_msg("%s", e.message);
    const int32_t *head = (const int32_t *)(const void *)b.data, *ids = head + 4;
    size_t n_tokens = (size_t)head[0], n_layer = (size_t)head[1], d = (size_t)head[2], n_vocab = (size_t)head[3];
    const float *hidden = (const float *)(const void *)(ids + n_tokens), *want = hidden + (n_layer + 2) * n_tokens * d;
    snprintf(path, sizeof path, GOLDEN "%s", name);
    if (jamba_model_open(&m, path, &scalar, &e)) fail_msg("%s: %s (%s)", name, e.message, e.where);
    assert_string_equal(jamba_model_name(m), name);
    assert_int_equal(jamba_model_config(m)->n_layer, n_layer);
    assert_int_equal(jamba_model_config(m)->eos[0], 0);
    assert_int_equal(jamba_model_config(m)->eos[1], 2);
    struct seen seen = {calloc((n_layer + 2) * n_tokens * d, sizeof(float)), n_tokens, d};
    float *logits = calloc(n_vocab, sizeof *logits);
    assert_true(seen.rows && logits);
    jamba_trace = (struct jamba_trace){on_layer, &seen};
    if (jamba_session_open(&s, m, 64, &e) || jamba_session_prefill(s, ids, n_tokens, NULL, &e) ||
        jamba_session_logits(s, logits, &e))
        fail_msg("%s: %s (%s)", name, e.message, e.where);
    jamba_trace = (struct jamba_trace){0};
    for (size_t layer = 0; layer < n_layer + 2; layer++) {
        double off = distance(seen.rows + layer * n_tokens * d, hidden + layer * n_tokens * d, n_tokens * d);
        if (!(off <= 1e-4)) fail_msg("%s: layer %zu (0 = embedding) is off by %g", name, layer, off);
    }
    double off = distance(logits, want, n_vocab);
    if (!(off <= 1e-4)) fail_msg("%s: logits are off by %g", name, off);
    jamba_session_close(s);
    jamba_model_close(m);
    free(seen.rows);
    free(logits);
    buf_free(&b);
}

static void test_checkpoints_compute_what_transformers_does(void **state) {
    static const char *const names[] = {"dense",     "dense_tied",  "mqa",       "mha_dt5", "moe_with_attention",
                                        "moe_fused", "bf16_shards", "conv3_top1"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) check_checkpoint(names[i]);
}

/* ---- broken folders: a copy of `dense` with one file changed ---- */
static char folder[64];

static const char *in_folder(const char *name) {
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void copy(const char *name) {
    char from[200];
    struct buf b = {0};
    struct error e;
    snprintf(from, sizeof from, GOLDEN "dense/%s", name);
    assert_int_equal(file_read(from, 4 << 20, &b, &e), 0);
    assert_int_equal(tiny_write(in_folder(name), b.data, b.len), 0);
    buf_free(&b);
}

static void replace(const char *name, const char *old, const char *new) { /* of the same length or shorter, in place */
    struct buf b = {0};
    struct error e;
    assert_int_equal(file_read(in_folder(name), 4 << 20, &b, &e), 0);
    char *at = memmem(b.data, b.len, old, strlen(old));
    assert_non_null(at);
    memset(at, ' ', strlen(old));
    memcpy(at, new, strlen(new));
    assert_int_equal(tiny_write(in_folder(name), b.data, b.len), 0);
    buf_free(&b);
}

static void check_refused(int code, const char *word) {
    struct jamba_model *m;
    struct error e = {0};
    assert_int_equal(jamba_model_open(&m, folder, NULL, &e), code);
    assert_null(m);
    if (!strstr(e.message, word) && !strstr(e.where, word))
        fail_msg("\"%s\" (%s) should say %s", e.message, e.where, word);
}

static void test_broken_folders_say_what_is_wrong(void **state) {
    static const char *const files[] = {"config.json", "model.safetensors", "tokenizer.json"};
    static const struct {
        const char *file, *old, *new, *word;
        int code;
    } cases[] = {
        {"config.json", "\"jamba\"", "\"mamba\"", "model_type", ERR_UNSUPPORTED},
        {"config.json", "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 0", "num_hidden_layers", ERR_FORMAT},
        {"config.json", "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 5", "model.layers.4.", ERR_FORMAT},
        {"config.json", "\"hidden_size\": 32", "\"hidden_size\": 40", "token_embd.weight", ERR_FORMAT},
        {"config.json", "\"attn_layer_offset\": 1", "\"attn_layer_offset\": 7", "period", ERR_FORMAT},
        {"config.json", "{", "[", "config.json", ERR_FORMAT},
        {"model.safetensors", "model.layers.2.mamba.A_log", "model.layers.2.mamba.B_log", "model.layers.2.mamba.A_log",
         ERR_FORMAT},
        {"model.safetensors", "\"F32\"", "\"F64\"", "F64", ERR_UNSUPPORTED},
        {"model.safetensors", "\"data_offsets\"", "\"data_offzets\"", "data_offsets", ERR_FORMAT},
        {"tokenizer.json", "\"BPE\"", "\"XYZ\"", "XYZ", ERR_UNSUPPORTED},
    };
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/antinomy-safetensors-XXXXXX");
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t k = 0; k < 3; k++) copy(files[k]);
        replace(cases[i].file, cases[i].old, cases[i].new);
        check_refused(cases[i].code, cases[i].word);
    }
    for (size_t k = 0; k < 3; k++) copy(files[k]);
    struct stat st;
    assert_int_equal(stat(in_folder("model.safetensors"), &st), 0);
    for (off_t len = st.st_size - 1; len > 0; len -= len / 7 + 1) {
        assert_int_equal(truncate(in_folder("model.safetensors"), len), 0);
        check_refused(ERR_FORMAT, "model.safetensors");
    }
    unlink(in_folder("model.safetensors"));
    check_refused(ERR_NOT_FOUND, "model.safetensors");
    copy("model.safetensors");
    unlink(in_folder("tokenizer.json"));
    check_refused(ERR_NOT_FOUND, "vocabulary");
    static const char index[] = "{\"weight_map\":{\"a\":\"../x\"}}";
    assert_int_equal(tiny_write(in_folder("model.safetensors.index.json"), index, sizeof index - 1), 0);
    check_refused(ERR_FORMAT, "index");
    unlink(in_folder("model.safetensors.index.json"));
    unlink(in_folder("model.safetensors"));
    unlink(in_folder("config.json"));
    assert_int_equal(rmdir(folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoints_compute_what_transformers_does),
        cmocka_unit_test(test_broken_folders_say_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
