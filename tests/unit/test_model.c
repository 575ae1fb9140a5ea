/* test_model.c: opening a model: paths, folders, card, identity, random weights, what is refused. */
#include "engine/jamba/weights.h"
#include "tests/unit/tiny_model.h"

#include <setjmp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64] = "/tmp/antinomy-model-XXXXXX";

static char *in_folder(const char *name) {
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state) {
    (void)state;
    unlink(in_folder("a.gguf"));
    unlink(in_folder("b.gguf"));
    unlink(in_folder("card.json"));
    return rmdir(folder);
}

static struct jamba_model *open_ok(const char *path, const struct jamba_model_options *o) {
    struct jamba_model *m = NULL;
    struct error e = {0};
    if (jamba_model_open(&m, path, o, &e)) fail_msg("%s (%s)", e.message, e.where);
    assert_non_null(m);
    return m;
}

static void check_refused(const char *path, const struct jamba_model_options *o, int code, const char *word) {
    struct jamba_model *m = (struct jamba_model *)1;
    struct error e = {0};
    assert_int_equal(jamba_model_open(&m, path, o, &e), code);
    assert_null(m);
    assert_int_equal(e.code, code);
    if (!strstr(e.message, word) && !strstr(e.where, word))
        fail_msg("\"%s\" (%s) should say %s", e.message, e.where, word);
}

static void test_the_bundled_model_is_what_its_card_says(void **state) {
    struct jamba_model *m = open_ok("engine/models", NULL);
    const struct jamba_config *c = jamba_model_config(m);
    (void)state;
    assert_string_equal(jamba_model_name(m), "Antinomy Jamba 160M");
    assert_non_null(strstr(jamba_model_card(m), "\"effective_window\": 12000"));
    assert_string_not_equal(jamba_model_kernel_path(m), "");
    assert_true(jamba_model_bytes(m) > 100u << 20);
    const struct jamba_config want = {.n_layer = 30,
                                      .d_model = 576,
                                      .d_ff = 1536,
                                      .n_vocab = 49152,
                                      .n_head = 9,
                                      .n_kv_head = 3,
                                      .head_dim = 64,
                                      .d_inner = 1152,
                                      .d_state = 16,
                                      .d_conv = 4,
                                      .dt_rank = 32,
                                      .n_attention_layer = 10,
                                      .context_length = 262144,
                                      .rms_norm_eps = 1e-5f,
                                      .tied_embeddings = true,
                                      .bos = 0,
                                      .eos = {0, -1, -1, -1},
                                      .pad = 0};
    assert_int_equal(c->n_layer, want.n_layer);
    assert_int_equal(c->d_model, want.d_model);
    assert_int_equal(c->d_ff, want.d_ff);
    assert_int_equal(c->n_vocab, want.n_vocab);
    assert_int_equal(c->n_head, want.n_head);
    assert_int_equal(c->n_kv_head, want.n_kv_head);
    assert_int_equal(c->head_dim, want.head_dim);
    assert_int_equal(c->d_inner, want.d_inner);
    assert_int_equal(c->d_state, want.d_state);
    assert_int_equal(c->d_conv, want.d_conv);
    assert_int_equal(c->dt_rank, want.dt_rank);
    assert_int_equal(c->n_attention_layer, want.n_attention_layer);
    assert_int_equal(c->context_length, want.context_length);
    assert_true(c->rms_norm_eps == want.rms_norm_eps);
    assert_true(c->tied_embeddings && c->n_expert <= 1);
    assert_int_equal(c->bos, want.bos);
    assert_int_equal(c->pad, want.pad);
    assert_memory_equal(c->eos, want.eos, sizeof want.eos);
    for (uint32_t i = 0; i < c->n_layer; i++) assert_int_equal(m->weights.layers[i].is_attention, i % 3 == 1);
    jamba_model_close(m);
}

/* ---- identity ---- */
static void id_of(const struct tiny_model *t, uint8_t out[32]) {
    assert_int_equal(tiny_model_write(t, in_folder("a.gguf")), 0);
    struct jamba_model *m = open_ok(in_folder("a.gguf"), NULL);
    memcpy(out, jamba_model_id(m), 32);
    jamba_model_close(m);
}

static void test_the_id_tells_models_apart(void **state) {
    struct tiny_model t = TINY_MODEL;
    uint8_t first[32], again[32], other[32];
    (void)state;
    id_of(&t, first);
    id_of(&t, again);
    assert_memory_equal(first, again, 32);
    t.seed = 2; /* other weights */
    id_of(&t, other);
    assert_memory_not_equal(first, other, 32);
    t.seed = 1, t.attention_offset = 2; /* other layers attend */
    id_of(&t, other);
    assert_memory_not_equal(first, other, 32);
    t.attention_offset = 1, t.matrix = TENSOR_F16;
    id_of(&t, other);
    assert_memory_not_equal(first, other, 32);
}

static int value_order(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static void test_random_weights_keep_scale_and_shape_only(void **state) {
    struct tiny_model t = TINY_MODEL;
    struct jamba_model_options one = {.random_weights = true, .random_seed = 1},
                               two = {.random_weights = true, .random_seed = 2};
    (void)state;
    t.n_expert = 4, t.n_expert_used = 2;
    assert_int_equal(tiny_model_write(&t, in_folder("a.gguf")), 0);
    struct jamba_model *m = open_ok(in_folder("a.gguf"), NULL), *r1 = open_ok(in_folder("a.gguf"), &one);
    struct jamba_model *r1_again = open_ok(in_folder("a.gguf"), &one), *r2 = open_ok(in_folder("a.gguf"), &two);
    assert_memory_equal(jamba_model_id(r1), jamba_model_id(r1_again), 32);
    assert_memory_not_equal(jamba_model_id(r1), jamba_model_id(r2), 32);
    assert_memory_not_equal(jamba_model_id(r1), jamba_model_id(m), 32);
    struct tensor *a[200], *b[200];
    size_t n = weights_tensors(m, NULL);
    assert_true(n <= 200);
    weights_tensors(m, a);
    assert_int_equal(weights_tensors(r1, b), n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(a[i]->type, b[i]->type);
        assert_memory_equal(a[i]->ne, b[i]->ne, sizeof a[i]->ne);
        assert_int_equal(a[i]->type, TENSOR_F32);
        size_t k = a[i]->bytes / sizeof(float);
        if (k > 8) assert_memory_not_equal(a[i]->data, b[i]->data, a[i]->bytes);
        float *x = malloc(a[i]->bytes), *y = malloc(a[i]->bytes);
        assert_true(x && y);
        memcpy(x, a[i]->data, a[i]->bytes);
        memcpy(y, b[i]->data, a[i]->bytes);
        qsort(x, k, sizeof *x, value_order);
        qsort(y, k, sizeof *y, value_order);
        assert_memory_equal(x, y, a[i]->bytes); /* the same values in another order */
        free(x);
        free(y);
    }
    jamba_model_close(m);
    jamba_model_close(r1);
    jamba_model_close(r1_again);
    jamba_model_close(r2);
}

/* ---- paths ---- */
static void test_a_folder_holds_one_model_and_its_card(void **state) {
    struct tiny_model t = TINY_MODEL;
    (void)state;
    unlink(in_folder("a.gguf"));
    check_refused(folder, NULL, ERR_NOT_FOUND, "no model");
    assert_int_equal(tiny_model_write(&t, in_folder("a.gguf")), 0);
    struct jamba_model *m = open_ok(folder, NULL);
    assert_string_equal(jamba_model_name(m), "tiny");
    assert_string_equal(jamba_model_card(m), "");
    jamba_model_close(m);
    assert_int_equal(tiny_write(in_folder("card.json"), "{\"x\":1}", 7), 0);
    m = open_ok(folder, NULL);
    assert_string_equal(jamba_model_card(m), "{\"x\":1}");
    jamba_model_close(m);
    assert_int_equal(tiny_write(in_folder("card.json"), "\xff", 1), 0);
    check_refused(folder, NULL, ERR_FORMAT, "card");
    unlink(in_folder("card.json"));
    assert_int_equal(tiny_model_write(&t, in_folder("b.gguf")), 0);
    check_refused(folder, NULL, ERR_ARG, "several");
    m = open_ok(in_folder("b.gguf"), NULL);
    jamba_model_close(m);
    unlink(in_folder("b.gguf"));
    unlink(in_folder("a.gguf"));
    assert_int_equal(tiny_model_write(&t, in_folder("x-00002-of-00003.gguf")), 0);
    check_refused(folder, NULL, ERR_NOT_FOUND, "first shard");
    unlink(in_folder("x-00002-of-00003.gguf"));
}

static void test_what_cannot_be_opened_is_said(void **state) {
    struct jamba_model_options no_device = {.device = "abacus"}, no_path = {.path = "mmx"};
    (void)state;
    check_refused("no/such/model", NULL, ERR_NOT_FOUND, "no/such/model");
    check_refused("engine/models/card.json", NULL, ERR_FORMAT, "card.json");
    check_refused("engine/models", &no_device, ERR_ARG, "abacus");
    check_refused("engine/models", &no_path, ERR_UNSUPPORTED, "mmx");
    assert_int_equal(tiny_write(in_folder("a.gguf"), "", 0), 0);
    check_refused(in_folder("a.gguf"), NULL, ERR_FORMAT, "empty");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bundled_model_is_what_its_card_says),
        cmocka_unit_test(test_the_id_tells_models_apart),
        cmocka_unit_test(test_random_weights_keep_scale_and_shape_only),
        cmocka_unit_test(test_a_folder_holds_one_model_and_its_card),
        cmocka_unit_test(test_what_cannot_be_opened_is_said),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
