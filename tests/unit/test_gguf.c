/* test_gguf.c: model files, well formed and broken: what is wrong and where must be said, and nothing may crash. Small
 * models are written by tiny_model.h; the bundled one is compared with the golden embeddings. */
#include "engine/jamba/gguf.h"
#include "tests/unit/tiny_model.h"

#include <jansson.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64] = "/tmp/antinomy-gguf-XXXXXX";
static char path[128];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/tiny.gguf", folder);
    return 0;
}

static int drop_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* What jamba_model_open does up to the tokenizer, without a backend. */
static int load(const char *file, struct error *e) {
    struct jamba_model m = {0};
    struct tensor_list l;
    struct gguf g;
    bool *is_attention;
    *e = (struct error){0};
    tensor_list_init(&l, &m.arena);
    int rc = gguf_open(&g, &l, file, e);
    if (!rc) rc = gguf_config(&g, &l, &m.config, &is_attention, e);
    if (!rc) rc = weights_bind(&m, &l, is_attention, e);
    tensor_list_free(&l);
    arena_free(&m.arena);
    return rc;
}

static int load_tiny(const struct tiny_model *t, struct error *e) {
    assert_int_equal(tiny_model_write(t, path), 0);
    return load(path, e);
}

static void check_fails(const struct tiny_model *t, int code, const char *where, const char *what) {
    struct error e;
    assert_int_equal(load_tiny(t, &e), code);
    if (!strstr(e.where, where) || !strstr(e.message, what))
        fail_msg("\"%s\" (%s) should name %s: %s", e.message, e.where, where, what);
    assert_non_null(strstr(e.where, "tiny.gguf"));
}

#define BROKEN(code, where, what, ...)                                                                                 \
    do {                                                                                                               \
        struct tiny_model t = TINY_MODEL;                                                                              \
        __VA_ARGS__;                                                                                                   \
        check_fails(&t, code, where, what);                                                                            \
    } while (0)

static void test_small_models_load(void **state) {
    struct error e;
    struct tiny_model t = TINY_MODEL;
    static const enum tensor_type types[] = {TENSOR_F32,  TENSOR_F16,  TENSOR_BF16,
                                             TENSOR_Q4_0, TENSOR_Q8_0, TENSOR_Q5_1};
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        t.matrix = types[i];
        if (load_tiny(&t, &e)) fail_msg("%s: %s (%s)", tensor_type_name(types[i]), e.message, e.where);
    }
    t.n_expert = 4, t.n_expert_used = 2, t.tied = false;
    if (load_tiny(&t, &e)) fail_msg("%s (%s)", e.message, e.where);
    t.matrix = TENSOR_Q4_K, t.d_model = t.d_ff = t.d_inner = 256; /* K-quants need rows of 256 */
    if (load_tiny(&t, &e)) fail_msg("%s (%s)", e.message, e.where);
}

static void test_broken_models_say_which_tensor(void **state) {
    (void)state;
    BROKEN(ERR_FORMAT, "", "token_embd.weight", t.drop = "token_embd.weight");
    BROKEN(ERR_FORMAT, "blk.2.ssm_x.weight", "lack", t.drop = "blk.2.ssm_x.weight");
    BROKEN(ERR_FORMAT, "blk.1.attn_k.weight", "lack", t.drop = "blk.1.attn_k.weight");
    BROKEN(ERR_FORMAT, "blk.3.ssm_dt_norm.weight", "lack", t.drop = "blk.3.ssm_dt_norm.weight");
    BROKEN(ERR_FORMAT, "output_norm.weight", "lack", t.drop = "output_norm.weight");
    BROKEN(ERR_FORMAT, "blk.1.ffn_up_exps.weight", "lack", t.n_expert = 4, t.n_expert_used = 2,
           t.drop = "blk.1.ffn_up_exps.weight");
    BROKEN(ERR_FORMAT, "blk.0.ssm_d", "twice", t.twice = "blk.0.ssm_d");
    BROKEN(ERR_FORMAT, "blk.0.ssm_out.weight", "[64, 128, 1, 1]", t.swap_axes = "blk.0.ssm_out.weight");
    BROKEN(ERR_FORMAT, "blk.2.attn_norm.weight", "not a number", t.not_finite = "blk.2.attn_norm.weight");
    BROKEN(ERR_FORMAT, "blk.2.ssm_a", "positive", t.positive = "blk.2.ssm_a");
    BROKEN(ERR_FORMAT, "blk.0.ffn_", "overlap", t.overlap = "blk.0.ffn_up.weight");
    BROKEN(ERR_FORMAT, "blk.0.ffn_up.weight", "aligned", t.unaligned = "blk.0.ffn_up.weight");
    BROKEN(ERR_FORMAT, "blk.0.ffn_up.weight", "end of its file", t.beyond = "blk.0.ffn_up.weight");
    BROKEN(ERR_UNSUPPORTED, "token_embd.weight", "Q2_K", t.type_number = 10);
    BROKEN(ERR_UNSUPPORTED, "token_embd.weight", "4711", t.type_number = 4711);
}

static void test_broken_headers_are_refused(void **state) {
    (void)state;
    BROKEN(ERR_UNSUPPORTED, "", "version 2", t.version = 2);
    BROKEN(ERR_LIMIT, "", "tensors", t.n_tensors = UINT64_MAX);
    BROKEN(ERR_FORMAT, "", "more entries than it can hold", t.n_tensors = 100000);
    BROKEN(ERR_LIMIT, "", "metadata", t.n_values = UINT64_MAX / 2);
    BROKEN(ERR_FORMAT, "byte", "", t.n_values = 40);
    static const char *const KEYS[] = {"jamba.block_count",
                                       "jamba.context_length",
                                       "jamba.embedding_length",
                                       "jamba.feed_forward_length",
                                       "jamba.attention.head_count",
                                       "jamba.attention.head_count_kv",
                                       "jamba.attention.layer_norm_rms_epsilon",
                                       "jamba.ssm.conv_kernel",
                                       "jamba.ssm.inner_size",
                                       "jamba.ssm.state_size",
                                       "jamba.ssm.time_step_rank"};
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++) BROKEN(ERR_FORMAT, "", KEYS[i], t.drop_key = KEYS[i]);
    BROKEN(ERR_UNSUPPORTED, "", "architecture", t.drop_key = "general.architecture");
    BROKEN(ERR_FORMAT, "", "vocabulary", t.drop_key = "tokenizer.ggml.tokens");
    BROKEN(ERR_FORMAT, "", "KV heads", t.n_kv_head = 3);
    BROKEN(ERR_FORMAT, "", "expert_used_count", t.n_expert = 2, t.n_expert_used = 3);
    BROKEN(ERR_FORMAT, "", "conv_kernel", t.d_conv = 17);
}

/* These two change one file in place: thousands of fresh files would drown a slow disk. */
static void test_a_file_cut_short_anywhere_is_refused(void **state) {
    struct tiny_model t = TINY_MODEL;
    struct error e;
    struct stat st;
    (void)state;
    assert_int_equal(load_tiny(&t, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 1), 0);
    assert_int_equal(load(path, &e), ERR_FORMAT);
    assert_non_null(strstr(e.where, "tensor blk.3.ffn_down.weight"));
    /* every 97th length, every length over the start of the header */
    for (off_t len = st.st_size - 1; len >= 0; len -= len <= 600 ? 1 : 97) {
        assert_int_equal(truncate(path, len), 0);
        if (load(path, &e) != ERR_FORMAT) fail_msg("%ld of %ld bytes: %s", (long)len, (long)st.st_size, e.message);
    }
}

static void test_any_changed_byte_is_read_or_refused(void **state) {
    struct tiny_model t = TINY_MODEL;
    t.n_layer = 2, t.d_model = 32, t.d_ff = 32, t.d_inner = 32, t.n_vocab = 270;
    struct buf b = tiny_model_bytes(&t);
    struct error e;
    size_t header = 12000 < b.len ? 12000 : b.len;
    int refused = 0;
    (void)state;
    FILE *f = tiny_write(path, b.data, b.len) ? NULL : fopen(path, "r+b");
    assert_non_null(f);
    for (size_t at = 0; at < header; at += at < 1200 || at > 9000 ? 1 : 13) {
        static const char xors[] = {1, (char)0x80, (char)0xff};
        char changed = (char)(b.data[at] ^ xors[at % 3]);
        assert_int_equal(pwrite(fileno(f), &changed, 1, (off_t)at), 1);
        refused += load(path, &e) != 0;
        assert_int_equal(pwrite(fileno(f), &b.data[at], 1, (off_t)at), 1);
    }
    assert_true(refused > 500);
    fclose(f);
    buf_free(&b);
}

static void test_shards_are_found_and_checked(void **state) {
    static const char *const parts[] = {"antinomy-jamba-160m-q4-00001-of-00003.gguf",
                                        "antinomy-jamba-160m-q4-00002-of-00003.gguf",
                                        "antinomy-jamba-160m-q4-00003-of-00003.gguf"};
    char here[4096], link[3][200], from[4400];
    struct error e;
    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    for (int i = 0; i < 3; i++) {
        snprintf(link[i], sizeof link[i], "%s/%s", folder, parts[i]);
        snprintf(from, sizeof from, "%s/engine/models/%s", here, parts[i]);
        assert_int_equal(symlink(from, link[i]), 0);
    }
    assert_int_equal(load(link[0], &e), 0);
    assert_int_equal(load(link[1], &e), ERR_ARG);
    unlink(link[2]);
    assert_int_equal(load(link[0], &e), ERR_NOT_FOUND);
    assert_string_equal(e.where, parts[2]);
    snprintf(from, sizeof from, "%s/engine/models/%s", here, parts[1]); /* the second in the third's place */
    assert_int_equal(symlink(from, link[2]), 0);
    assert_int_equal(load(link[0], &e), ERR_FORMAT);
    assert_string_equal(e.where, parts[2]);
    unlink(link[2]);
    char alone[200];
    snprintf(alone, sizeof alone, "%s/renamed.gguf",
             folder); /* a first shard under another name cannot find its siblings */
    assert_int_equal(rename(link[0], alone), 0);
    assert_int_equal(load(alone, &e), ERR_FORMAT);
    unlink(alone);
    unlink(link[1]);
}

static void test_bundled_embeddings_equal_the_golden_ones(void **state) {
    struct arena a = {0};
    struct tensor_list l;
    struct gguf g;
    struct error e;
    struct buf golden = {0};
    json_t *head = json_load_file("tests/golden/bundled/hidden.json", 0, NULL);
    float row[576], want[576];
    (void)state;
    assert_non_null(head);
    assert_int_equal(file_read("tests/golden/bundled/hidden.bin", 1 << 20, &golden, &e), 0);
    tensor_list_init(&l, &a);
    assert_int_equal(gguf_open(&g, &l, "engine/models/antinomy-jamba-160m-q4-00001-of-00003.gguf", &e), 0);
    assert_int_equal(l.n_tensors, 432);
    const struct tensor *t = tensor_list_find(&l, "token_embd.weight");
    assert_non_null(t);
    json_t *ids = json_object_get(head, "ids"), *positions = json_object_get(head, "positions");
    for (size_t i = 0; i < json_array_size(positions); i++) { /* names[0] is the embedding, offset 0 */
        json_int_t at = json_integer_value(json_array_get(positions, i)),
                   id = json_integer_value(json_array_get(ids, (size_t)at));
        tensor_row_to_f32(t->type, (const uint8_t *)t->data + (uint64_t)id * tensor_row_bytes(t->type, 576), row, 576);
        memcpy(want, golden.data + i * sizeof want, sizeof want);
        assert_memory_equal(row, want, sizeof want);
    }
    json_decref(head);
    buf_free(&golden);
    tensor_list_free(&l);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_models_load),
        cmocka_unit_test(test_broken_models_say_which_tensor),
        cmocka_unit_test(test_broken_headers_are_refused),
        cmocka_unit_test(test_a_file_cut_short_anywhere_is_refused),
        cmocka_unit_test(test_any_changed_byte_is_read_or_refused),
        cmocka_unit_test(test_shards_are_found_and_checked),
        cmocka_unit_test(test_bundled_embeddings_equal_the_golden_ones),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
