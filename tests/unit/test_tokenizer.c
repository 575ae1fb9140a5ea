/* test_tokenizer.c: token ids of the bundled model against those of Hugging Face's tokenizers (tests/golden/bundled),
 * byte ends, text that looks like control tokens, invalid UTF-8, and vocabularies in memory for what the bundled one
 * cannot show. */
#include "engine/jamba/tokenizer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct jamba_model *model;

static int open_model(void **state) {
    struct error e = {0};
    (void)state;
    if (jamba_model_open(&model, "engine/models", NULL, &e)) {
        fprintf(stderr, "%s (%s)\n", e.message, e.where);
        return -1;
    }
    return 0;
}

static int close_model(void **state) {
    (void)state;
    jamba_model_close(model);
    return 0;
}

/* ---- the golden rows ---- */
static void check_row(json_t *row) {
    const char *name = json_string_value(json_object_get(row, "name"));
    json_t *text = json_object_get(row, "text"), *want = json_object_get(row, "ids");
    bool prompt = json_is_true(json_object_get(row, "parse_special"));
    const char *s = json_string_value(text);
    size_t len = json_string_length(text), n = 0;
    int32_t *ids = NULL;
    uint32_t *ends = NULL;
    struct error e = {0};
    int rc = prompt ? jamba_tokenize_prompt(model, s, len, &ids, &n, &e)
                    : jamba_tokenize(model, s, len, &ids, &ends, &n, &e);
    if (rc) fail_msg("%s: %s (%s)", name, e.message, e.where);
    for (size_t i = 0; i < n && i < json_array_size(want); i++)
        if (ids[i] != json_integer_value(json_array_get(want, i)))
            fail_msg("%s: token %zu is %d, not %lld", name, i, ids[i],
                     (long long)json_integer_value(json_array_get(want, i)));
    if (n != json_array_size(want)) fail_msg("%s: %zu tokens, not %zu", name, n, json_array_size(want));
    /* a token's bytes are the text's bytes before its end: nothing is lost but the control characters that the
     * vocabulary lacks */
    for (size_t i = 0; ends && i < n; i++) {
        struct slice b = jamba_token_bytes(model, ids[i]);
        assert_true(b.len <= ends[i]);
        assert_memory_equal(b.data, s + ends[i] - b.len, b.len);
        if (i && ends[i] - b.len != ends[i - 1]) assert_string_equal(name, "control characters");
    }
    free(ids);
    free(ends);
}

static void test_ids_equal_the_golden_rows(void **state) {
    FILE *f = fopen("tests/golden/bundled/token_ids.jsonl", "r");
    char *line = NULL;
    size_t cap = 0;
    int n_rows = 0;
    (void)state;
    assert_non_null(f);
    while (getline(&line, &cap, f) > 0) {
        json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(row);
        check_row(row);
        json_decref(row);
        n_rows++;
    }
    assert_int_equal(n_rows, 76);
    free(line);
    fclose(f);
}

/* ---- control tokens ---- */
static void test_document_text_never_yields_a_control_token(void **state) {
    (void)state;
    struct buf b = {0};
    for (int32_t id = 0; id < 17; id++) {
        struct slice name = jamba_token_bytes(model, id);
        assert_int_equal(jamba_control_token(model, name.data), id);
        buf_append(&b, name.data, name.len);
        buf_append(&b, id % 2 ? " " : "", (size_t)(id % 2));
    }
    int32_t *ids;
    size_t n;
    struct error e = {0};
    assert_int_equal(jamba_tokenize(model, b.data, b.len, &ids, NULL, &n, &e), 0);
    for (size_t i = 0; i < n; i++) assert_true(ids[i] > 16);
    free(ids);
    assert_int_equal(jamba_tokenize_prompt(model, b.data, b.len, &ids, &n, &e), 0);
    int control = 0;
    for (size_t i = 0; i < n; i++) control += ids[i] <= 16;
    assert_int_equal(control, 17);
    free(ids);
    buf_free(&b);
    assert_int_equal(jamba_control_token(model, "<|quote|>"), 6);
    assert_int_equal(jamba_control_token(model, "<|nothing|>"), -1);
    assert_int_equal(jamba_control_token(model, "the"), -1);
    assert_int_equal(jamba_control_token(model, ""), -1);
}

static void test_invalid_utf8_is_refused_with_its_byte(void **state) {
    static const struct {
        const char *text;
        size_t len;
        const char *where;
    } cases[] = {
        {"ab\xff", 3, "byte 2"},          {"\xc3", 1, "byte 0"},
        {"x\xe2\x82", 3, "byte 1"},       {"\xc0\xaf", 2, "byte 0"},
        {"abc\xed\xa0\x80", 6, "byte 3"}, {"\xf4\x90\x80\x80", 4, "byte 0"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t *ids;
        uint32_t *ends;
        size_t n;
        struct error e = {0};
        assert_int_equal(jamba_tokenize(model, cases[i].text, cases[i].len, &ids, &ends, &n, &e), ERR_FORMAT);
        assert_string_equal(e.where, cases[i].where);
        assert_null(ids);
        assert_int_equal(jamba_tokenize_prompt(model, cases[i].text, cases[i].len, &ids, &n, &e), ERR_FORMAT);
    }
}

static void test_ids_out_of_range_have_no_bytes(void **state) {
    (void)state;
    assert_int_equal(jamba_token_bytes(model, -1).len, 0);
    assert_int_equal(jamba_token_bytes(model, 49152).len, 0);
    assert_int_equal(jamba_token_bytes(model, 49151).len, 7); /* "ectable" */
}

/* Long words go through a heap, short ones through a scan. Here the merges are applied in the order of their ranks, all
 * over the word at once, as BPE is trained. */
static size_t merge_by_rank(const struct tokenizer *t, int32_t *ids, size_t n) {
    const struct merge_slot **ranked = calloc(t->n_merges, sizeof(struct merge_slot *));
    assert_non_null(ranked);
    for (size_t k = 0; k < t->n_merge_slots; k++)
        if (t->merge_slots[k].id >= 0) ranked[t->merge_slots[k].rank] = &t->merge_slots[k];
    for (size_t r = 0; r < t->n_merges; r++)
        for (size_t i = 0; ranked[r] && i + 1 < n; i++) {
            if (ranked[r]->pair != ((uint64_t)(uint32_t)ids[i] << 32 | (uint32_t)ids[i + 1])) continue;
            ids[i] = ranked[r]->id;
            memmove(ids + i + 1, ids + i + 2, (n - i - 2) * sizeof *ids);
            n--;
        }
    free(ranked);
    return n;
}

static void test_words_of_any_length_merge_by_rank(void **state) {
    const struct tokenizer *t = model->tokenizer;
    static const size_t lengths[] = {1, 2, 3, 17, 31, 32, 33, 34, 64, 257, 1000};
    char word[1000];
    int32_t want[1000];
    uint32_t seed = 1;
    (void)state;
    for (size_t round = 0; round < sizeof lengths / sizeof lengths[0]; round++) {
        size_t len = lengths[round], n, n_want;
        int32_t *ids;
        struct error e = {0};
        for (size_t i = 0; i < len; i++) {
            seed = seed * 1664525u + 1013904223u;
            word[i] = "etaoinshrdlu"[(seed >> 16) % (round % 2 ? 12 : 4)];
            want[i] = t->byte_id[(uint8_t)word[i]];
        }
        assert_int_equal(jamba_tokenize(model, word, len, &ids, NULL, &n, &e), 0);
        n_want = merge_by_rank(t, want, len);
        assert_int_equal(n, n_want);
        assert_memory_equal(ids, want, n * sizeof *ids);
        free(ids);
    }
}

static void test_streamed_text_never_splits_a_character(void **state) {
    static const char text[] =
        "Stra\xc3\x9f"
        "e \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\xa6\x99 \xf0\x9f\x91\xa9\xe2\x80\x8d\xe2\x9a\x96\xef\xb8\x8f.";
    int32_t *ids;
    size_t n;
    struct error e = {0};
    struct buf b = {0};
    struct jamba_text t = {0};
    (void)state;
    assert_int_equal(jamba_tokenize(model, text, sizeof text - 1, &ids, NULL, &n, &e), 0);
    int held = 0;
    for (size_t i = 0; i < n; i++) {
        jamba_text_push(&t, model, ids[i], &b);
        jamba_text_push(&t, model, 6, &b); /* <|quote|> gives no text */
        assert_true(b.len == 0 || utf8_valid(b.data, b.len));
        held += t.n_held > 0;
    }
    jamba_text_end(&t, &b);
    assert_true(held > 3); /* the test would be idle if no token ended inside a character */
    assert_int_equal(b.len, sizeof text - 1);
    assert_memory_equal(b.data, text, b.len);
    b.len = 0;
    jamba_text_push(&t, model, model->tokenizer->byte_id[0xe6], &b); /* cut off, then plain text, then the end */
    jamba_text_push(&t, model, model->tokenizer->byte_id['a'], &b);
    jamba_text_push(&t, model, model->tokenizer->byte_id[0xe6], &b);
    jamba_text_end(&t, &b);
    assert_int_equal(b.len, 7);
    assert_memory_equal(b.data,
                        "\xef\xbf\xbd"
                        "a\xef\xbf\xbd",
                        7);
    free(ids);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_equal_the_golden_rows),
        cmocka_unit_test(test_document_text_never_yields_a_control_token),
        cmocka_unit_test(test_invalid_utf8_is_refused_with_its_byte),
        cmocka_unit_test(test_ids_out_of_range_have_no_bytes),
        cmocka_unit_test(test_words_of_any_length_merge_by_rank),
        cmocka_unit_test(test_streamed_text_never_splits_a_character),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
