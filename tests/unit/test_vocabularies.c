/* test_vocabularies.c: vocabularies read from tokenizer.json, SentencePiece .model and GGUF, against the ids of
 * tokenizers and sentencepiece (tests/golden/vocabularies); AI21's own vocabulary where the file is at hand (its
 * licence keeps it out of this repository). */
#include "engine/jamba/tokenizer.h"
#include "tests/unit/tiny_model.h"

#include <jansson.h>
#include <setjmp.h>
#include <unistd.h>

#include <cmocka.h>

#define GOLDEN "tests/golden/vocabularies/"

typedef int reader(struct tokenizer **out, struct slice file, const char *where, struct error *e);

static struct jamba_model load(reader *read, const char *path) {
    struct jamba_model m = {0};
    struct buf b = {0};
    struct error e = {0};
    if (file_read(path, 16u << 20, &b, &e) || read(&m.tokenizer, buf_slice(&b), path_base(path), &e))
        fail_msg("%s (%s)", e.message, e.where);
    buf_free(&b);
    return m;
}

/* tokenizers finds special tokens in any text, as a prompt does; sentencepiece never finds control tokens, as in a
 * document. */
static void check_rows(const struct jamba_model *m, const char *path, bool prompt) {
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    int n_rows = 0;
    assert_non_null(f);
    for (; getline(&line, &cap, f) > 0; n_rows++) {
        json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL), *want = json_object_get(row, "ids"),
               *text = json_object_get(row, "text");
        int32_t *ids;
        size_t n;
        struct error e = {0};
        assert_non_null(row);
        const char *s = json_string_value(text);
        size_t len = json_string_length(text);
        if (prompt ? jamba_tokenize_prompt(m, s, len, &ids, &n, &e) : jamba_tokenize(m, s, len, &ids, NULL, &n, &e))
            fail_msg("%s", e.message);
        bool same = n == json_array_size(want);
        for (size_t i = 0; same && i < n; i++) same = ids[i] == json_integer_value(json_array_get(want, i));
        if (!same) {
            for (size_t i = 0; i < n; i++) fprintf(stderr, "%d ", ids[i]);
            fail_msg("%s, row %d: %s", path, n_rows, line);
        }
        free(ids);
        json_decref(row);
    }
    assert_true(n_rows > 80);
    free(line);
    fclose(f);
}

static void check_file(reader *read, const char *vocabulary, const char *rows) {
    struct jamba_model m = load(read, vocabulary);
    check_rows(&m, rows, read == tokenizer_from_json);
    tokenizer_free(m.tokenizer);
}

static void test_json_byte_level_with_digits_apart(void **state) {
    (void)state;
    check_file(tokenizer_from_json, GOLDEN "bytes.json", GOLDEN "bytes.jsonl");
}

static void test_json_byte_level_after_gpt2(void **state) {
    (void)state;
    check_file(tokenizer_from_json, GOLDEN "gpt2.json", GOLDEN "gpt2.jsonl");
}

static void test_json_with_byte_fallback(void **state) {
    (void)state;
    check_file(tokenizer_from_json, GOLDEN "pieces.json", GOLDEN "pieces.jsonl");
}

static void test_sentencepiece_model(void **state) {
    (void)state;
    check_file(tokenizer_from_sentencepiece, GOLDEN "pieces.model", GOLDEN "pieces_model.jsonl");
}

/* ---- AI21's vocabulary ---- */
static const char *jamba_model_file(void) {
    const char *path = getenv("JAMBA_TOKENIZER");
    if (!path) path = "../shared/data/tokenizer/jamba.model";
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f ? path : NULL;
}

static void test_ai21_ids(void **state) {
    static const struct {
        const char *text;
        bool prompt;
        int32_t ids[40]; /* 0 ends */
    } rows[] = {
        {"Hello world!", false, {13654, 2620, 63028}},
        {"hello", false, {26928}},
        {" hello", false, {27164}},
        {"Hey how are you doing on this lovely evening?",
         false,
         {14169, 2242, 1929, 1876, 3499, 1870, 1970, 8668, 7036, 63052}},
        {"def f(x):  return x  # two  spaces",
         false,
         {3219, 1822, 62969, 62967, 3554, 62934, 3068, 3457, 62934, 3389, 2345, 62934, 9645}},
        {"2024-01-15 costs $1,234.56", false, {62970, 62963, 62970, 62995, 62960, 62963, 62965, 62960, 62965, 62993,
                                               5292,  2182,  62965, 1543,  62970, 62992, 62995, 62959, 62993, 63000}},
        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x83\x86\xe3\x82\xad\xe3\x82\xb9\xe3\x83\x88 \xf0\x9f\xa6\x99",
         false,
         {63451, 63290, 64300, 63717, 63990, 63291, 63289, 62934, 1784, 1703, 1710, 1697}},
        {"a\tb", false, {62937, 1553, 62954}},
        {"<|bom|><|system|> <|eom|><|bom|><|user|> Hello, how are you?<|eom|><|bom|><|assistant|>",
         true,
         {519, 520, 62934, 518, 519, 521, 22560, 1543, 2242, 1929, 1876, 63052, 518, 519, 522}},
    };
    const char *path = jamba_model_file();
    (void)state;
    if (!path) {
        print_message("skip: AI21's jamba.model is not at hand (JAMBA_TOKENIZER names it)\n");
        skip();
    }
    struct jamba_model m = load(tokenizer_from_sentencepiece, path);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        int32_t *ids;
        size_t n, want = 0;
        struct error e;
        int rc = rows[r].prompt ? jamba_tokenize_prompt(&m, rows[r].text, strlen(rows[r].text), &ids, &n, &e)
                                : jamba_tokenize(&m, rows[r].text, strlen(rows[r].text), &ids, NULL, &n, &e);
        assert_int_equal(rc, 0);
        while (rows[r].ids[want]) want++;
        assert_int_equal(n, want);
        assert_memory_equal(ids, rows[r].ids, n * sizeof *ids);
        free(ids);
    }
    check_rows(&m, GOLDEN "jamba.jsonl", false);
    /* document text yields none of the chat tokens, but the comma is an ordinary word */
    const char text[] = "<|bom|><|user|> a, b<|eom|><documents><|startoftext|><|mask_3|></documents>";
    int32_t *ids;
    uint32_t *ends;
    size_t n;
    struct error e;
    assert_int_equal(jamba_tokenize(&m, text, sizeof text - 1, &ids, &ends, &n, &e), 0);
    for (size_t i = 0; i < n; i++) assert_true(ids[i] >= 1543);
    assert_int_equal(ends[n - 1], sizeof text - 1);
    assert_int_equal(jamba_control_token(&m, "<|bom|>"), 519);
    assert_int_equal(jamba_control_token(&m, ","), -1);
    free(ids);
    free(ends);
    tokenizer_free(m.tokenizer);
}

/* ---- a GGUF's "llama" vocabulary: the two defects of converters ---- */
static void put_vocabulary(struct buf *b, const struct tokenizer *t, bool placeholder) {
    tiny_string(b, "tokenizer.ggml.model"), tiny_u32(b, 8), tiny_string(b, "llama");
    tiny_string(b, "tokenizer.ggml.add_space_prefix"), tiny_u32(b, 7),
        buf_append(b, "\1", 1); /* wrong for Jamba: not followed */
    tiny_string(b, "tokenizer.ggml.tokens"), tiny_u32(b, 9), tiny_u32(b, 8), tiny_u64(b, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        const struct token *k = &t->tokens[i];
        struct buf s = {0};
        if (k->type == TOKEN_BYTE) buf_printf(&s, "<0x%02X>", (unsigned)(uint8_t)k->bytes.data[0]);
        for (size_t j = 0; k->type != TOKEN_BYTE && j < k->bytes.len; j++)
            buf_append(&s, k->bytes.data[j] == ' ' ? "\xe2\x96\x81" : &k->bytes.data[j],
                       k->bytes.data[j] == ' ' ? 3 : 1);
        tiny_u64(b, s.len);
        buf_append(b, s.data, s.len);
        buf_free(&s);
    }
    tiny_string(b, "tokenizer.ggml.scores"), tiny_u32(b, 9), tiny_u32(b, 6), tiny_u64(b, t->n);
    for (uint32_t i = 0; i < t->n; i++) {
        float score = placeholder ? -1000.0f : t->tokens[i].score;
        buf_append(b, &score, sizeof score);
    }
    tiny_string(b, "tokenizer.ggml.token_type"), tiny_u32(b, 9), tiny_u32(b, 5), tiny_u64(b, t->n);
    for (uint32_t i = 0; i < t->n; i++) tiny_u32(b, t->tokens[i].type);
}

static void check_gguf(const struct tokenizer *from, bool placeholder, const char *rows) {
    char path[] = "/tmp/antinomy-vocabulary-XXXXXX";
    struct buf b = {0};
    struct jamba_model m = {0};
    struct tensor_list l;
    struct gguf g;
    struct error e = {0};
    buf_puts(&b, "GGUF");
    tiny_u32(&b, 3), tiny_u64(&b, 0), tiny_u64(&b, 5);
    put_vocabulary(&b, from, placeholder);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(tiny_write(path, b.data, b.len), 0);
    tensor_list_init(&l, &m.arena);
    if (gguf_open(&g, &l, path, &e) || tokenizer_from_gguf(&m.tokenizer, &g, &e))
        fail_msg("%s (%s)", e.message, e.where);
    check_rows(&m, rows, false);
    tokenizer_free(m.tokenizer);
    tensor_list_free(&l);
    arena_free(&m.arena);
    buf_free(&b);
    close(fd);
    unlink(path);
}

static void test_gguf_llama_vocabularies(void **state) {
    (void)state;
    struct jamba_model m = load(tokenizer_from_sentencepiece, GOLDEN "pieces.model");
    check_gguf(m.tokenizer, false, GOLDEN "pieces_model.jsonl");
    tokenizer_free(m.tokenizer);
    const char *path = jamba_model_file();
    if (!path) return;
    m = load(tokenizer_from_sentencepiece, path);
    check_gguf(m.tokenizer, false, GOLDEN "jamba.jsonl");
    check_gguf(m.tokenizer, true, GOLDEN "jamba.jsonl"); /* placeholder scores: the id is the rank */
    tokenizer_free(m.tokenizer);
}

static void test_broken_vocabularies_are_refused(void **state) {
    static reader *const readers[] = {tokenizer_from_json, tokenizer_from_sentencepiece};
    static const char *const files[] = {GOLDEN "pieces.json", GOLDEN "pieces.model"};
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct buf b = {0};
        struct error e;
        struct tokenizer *t;
        int refused = 0;
        assert_int_equal(file_read(files[k], 1 << 20, &b, &e), 0);
        assert_int_equal(readers[k](&t, (struct slice){b.data, 0}, "v", &e), ERR_FORMAT);
        assert_null(t);
        for (size_t i = 0; i < b.len; i += b.len / 300 + 1) {
            if (readers[k](&t, (struct slice){b.data, i}, "v",
                           &e)) /* cut short: a model's pieces may end there by chance */
                refused++;
            else
                tokenizer_free(t);
            char old = b.data[i];
            b.data[i] = (char)(old ^ 0x55);
            if (!readers[k](&t, buf_slice(&b), "v", &e)) tokenizer_free(t);
            b.data[i] = old;
        }
        assert_true(refused > 200);
        buf_free(&b);
    }
    static const char *const unknown[] = {
        "{\"model\":{\"type\":\"Unigram\",\"vocab\":{},\"merges\":[]}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},\"normalizer\":{\"type\":\"NFKC\"}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},\"pre_tokenizer\":{\"type\":\"Whitespace\"}}",
        "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
    };
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        struct tokenizer *t;
        struct error e;
        assert_int_equal(tokenizer_from_json(&t, slice_of(unknown[i]), "v", &e), ERR_UNSUPPORTED);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_byte_level_with_digits_apart),
        cmocka_unit_test(test_json_byte_level_after_gpt2),
        cmocka_unit_test(test_json_with_byte_fallback),
        cmocka_unit_test(test_sentencepiece_model),
        cmocka_unit_test(test_ai21_ids),
        cmocka_unit_test(test_gguf_llama_vocabularies),
        cmocka_unit_test(test_broken_vocabularies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
