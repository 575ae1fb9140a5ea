/* test_cuda_plan.c: which cards a model goes to (engine/jamba/cuda_plan.c), without a GPU: the file itself runs, the
 * cards are doubles that say how much memory they have and whether anybody asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/jamba/cuda_plan.c"

#define LAYERS 8

static int n_cards;
static size_t free_gib[20];
static int touched[20];

/* ---- doubles ---- */
int cuda_device_count(void) {
    return n_cards;
}
int cuda_device_use(int device, char name[128], size_t *free_bytes, size_t *total_bytes, struct error *e) {
    (void)e;
    touched[device]++;
    snprintf(name, 128, "card %d sm_90", device);
    *free_bytes = *total_bytes = free_gib[device] << 30;
    return 0;
}
size_t cuda_attention_decode_scratch(int n, int n_head, int head_dim, int max_keys) {
    return (size_t)n * (size_t)n_head * (size_t)head_dim * 4 * (size_t)(max_keys / 512 + 1);
}
size_t cuda_stage_workspace(struct cuda_stage *cm, size_t rows) {
    (void)cm;
    return rows * 131072; /* 4 GiB for a pass of 32,768 rows */
}

/* ---- tests ---- */
static struct error err;
static struct jamba_layer layers[LAYERS];
static struct tensor embedding;
static struct jamba_model model = {.config = {.n_layer = LAYERS,
                                              .n_attention_layer = 1,
                                              .d_model = 4096,
                                              .d_ff = 14336,
                                              .n_vocab = 65536,
                                              .n_head = 32,
                                              .n_kv_head = 8,
                                              .head_dim = 128,
                                              .d_inner = 8192,
                                              .d_state = 16,
                                              .d_conv = 4,
                                              .dt_rank = 256,
                                              .n_expert = 1,
                                              .context_length = 65536},
                                   .weights = {.layers = layers, .token_embd = &embedding, .output = &embedding}};
static struct cuda_plan plan[CUDA_MAX_STAGES];

/* About 5.5 GiB of weights with 8 layers of a Mini without experts; 4 to work in. */
static int planned(const char *device, int cards, const size_t *gib, int *n) {
    struct jamba_model_options o = {.device = device};
    n_cards = cards;
    for (int i = 0; i < cards; i++) free_gib[i] = gib[i], touched[i] = 0;
    layers[4].is_attention = true;
    return cuda_plan_make(plan, n, &model, &o, &err);
}

static void test_one_card_when_it_fits_and_the_others_stay_untouched(void **state) {
    (void)state;
    int n;
    assert_int_equal(planned("cuda", 4, (const size_t[]){80, 80, 80, 80}, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(plan[0].device, 0);
    assert_int_equal(plan[0].chunk_rows, CUDA_MAX_CHUNK);
    assert_int_equal(touched[1] + touched[2] + touched[3], 0);
}

static void test_a_card_with_room_before_one_that_is_nearly_full(void **state) {
    (void)state;
    int n;
    assert_int_equal(planned("cuda", 3, (const size_t[]){3, 80, 80}, &n), 0); /* does not fit on the first */
    assert_int_equal(n, 1);
    assert_int_equal(plan[0].device, 1);
    assert_int_equal(planned("cuda", 3, (const size_t[]){7, 8, 7}, &n), 0); /* smaller passes everywhere: the largest */
    assert_int_equal(n, 1);
    assert_int_equal(plan[0].device, 1);
    assert_true(plan[0].chunk_rows < CUDA_MAX_CHUNK);
}

static void test_all_cards_when_one_is_not_enough(void **state) {
    (void)state;
    int n;
    assert_int_equal(planned("cuda", 3, (const size_t[]){4, 4, 4}, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(plan[0].first, 0);
    for (int k = 0; k < 3; k++) {
        assert_int_equal(plan[k].device, k);
        assert_true(plan[k].end > plan[k].first);
        assert_int_equal(k ? plan[k - 1].end : 0, plan[k].first);
    }
    assert_int_equal(plan[2].end, LAYERS);
    assert_int_equal(planned("cuda", 2, (const size_t[]){1, 1}, &n), ERR_NOMEM);
    assert_non_null(strstr(err.message, "does not fit"));
    assert_int_equal(planned("cuda", 1, (const size_t[]){2}, &n), ERR_NOMEM);
}

static void test_named_cards_are_taken_as_named(void **state) {
    (void)state;
    int n;
    const size_t gib[] = {80, 80, 80};
    assert_int_equal(planned("cuda:2", 3, gib, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(plan[0].device, 2);
    assert_int_equal(planned("cuda:2,0", 3, gib, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(plan[0].device, 2);
    assert_int_equal(plan[1].device, 0);
    assert_int_equal(planned("cuda:all", 3, gib, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(planned("cuda:3", 3, gib, &n), ERR_ARG);
    assert_int_equal(planned("cuda:0;1", 3, gib, &n), ERR_ARG);
    assert_int_equal(planned("cuda:", 3, gib, &n), ERR_ARG);
    assert_int_equal(planned("cuda", 0, gib, &n), ERR_DEVICE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_card_when_it_fits_and_the_others_stay_untouched),
        cmocka_unit_test(test_a_card_with_room_before_one_that_is_nearly_full),
        cmocka_unit_test(test_all_cards_when_one_is_not_enough),
        cmocka_unit_test(test_named_cards_are_taken_as_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
