/* test_constraint.c: choices and patterns. Patterns against PCRE2 on random patterns and texts, lists of allowed tokens
 * against each token tried by itself, generation against the plain path: full logits, one token at a time. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/jamba/pattern.h"
#include "engine/jamba/tokenizer.h"
#include "tests/unit/session_fixture.h"
#include "tests/unit/tiny_model.h"

#include <pcre2.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROUNDS 300
#else
#define ROUNDS 1000
#endif

enum { PATTERN_TOO_LONG = (1 << 16) + 1 };

static uint64_t seed = 3;
static uint32_t random_below(uint32_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 32) % n);
}

static struct jamba_model *bundled, *tiny; /* the tiny one's tokens are the bytes and a few merges */

static int open_models(void **state) {
    (void)state;
    struct tiny_model kind = TINY_MODEL;
    struct jamba_model_options o = {.n_threads = 1};
    struct error e = {0};
    if (tiny_model_open(&tiny, &kind, &o, &e)) return -1;
    bundled = fixture_model(NULL, 2);
    return 0;
}
static int close_models(void **state) {
    (void)state;
    jamba_model_close(tiny);
    jamba_model_close(bundled);
    return 0;
}

static struct jamba_pattern *open_pattern(struct jamba_model *m, const char *pattern) {
    struct jamba_pattern *p;
    struct error e = {0};
    if (jamba_pattern_open(&p, m, slice_of(pattern), &e)) fail_msg("%s: %s (%s)", pattern, e.message, e.where);
    return p;
}

/* ---- the other engine ---- */
static pcre2_code *other_open(const char *pattern, size_t len) {
    int code;
    PCRE2_SIZE at;
    return pcre2_compile((PCRE2_SPTR)pattern, len,
                         PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
}
/* 1 yes, 0 no, -1 gave up */
static int other_matches(const pcre2_code *re, struct slice text) {
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    int rc = pcre2_match(re, (PCRE2_SPTR)text.data, text.len, 0, 0, data, NULL);
    pcre2_match_data_free(data);
    if (rc >= 0) return 1;
    return rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT ? -1 : 0;
}

/* ---- random patterns ---- */
static const char *const CHARACTERS[] = {
    "a", "b", "c", "0", "7", ",", "-", " ", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
#define N_CHARACTERS (sizeof CHARACTERS / sizeof CHARACTERS[0])

static void random_class(struct buf *b) {
    static const char *const items[] = {"a",
                                        "b-c",
                                        "0-9",
                                        "\\d",
                                        "\\w",
                                        "\\s",
                                        "\\D",
                                        "\\W",
                                        "\xc3\xa9",
                                        "\xc3\xa0-\xc3\xbf",
                                        "\xe2\x82\xac",
                                        "\\n",
                                        ",",
                                        "\\x{7f}-\\x{10ffff}",
                                        "\\x61",
                                        " ",
                                        "\\]",
                                        "\\-",
                                        "\\x{d000}-\\x{efff}",
                                        "\\x{800}-\\x{ffff}"};
    buf_puts(b, random_below(3) ? "[" : "[^");
    for (uint32_t n = 1 + random_below(3); n > 0; n--) buf_puts(b, items[random_below(sizeof items / sizeof items[0])]);
    buf_puts(b, "]");
}

static void random_pattern(struct buf *b, int depth) {
    static const char *const repeats[] = {"*", "+", "?", "{2}", "{0}", "{1,}", "{0,2}", "{2,3}", "*?", "+?", "{1,2}?"};
    for (uint32_t n = random_below(5); n > 0; n--) {
        uint32_t kind = random_below(12);
        if (kind < 6) {
            buf_puts(b, CHARACTERS[random_below(N_CHARACTERS)]);
        } else if (kind == 6) {
            buf_puts(b, ".");
        } else if (kind == 7) {
            buf_puts(b, random_below(2) ? "\\d" : "\\S");
        } else if (kind < 10 || depth == 0) {
            random_class(b);
        } else {
            buf_puts(b, random_below(2) ? "(" : "(?:");
            random_pattern(b, depth - 1);
            for (uint32_t k = random_below(3); k > 0; k--) {
                buf_puts(b, "|");
                random_pattern(b, depth - 1);
            }
            buf_puts(b, ")");
        }
        if (random_below(3) == 0) buf_puts(b, repeats[random_below(sizeof repeats / sizeof repeats[0])]);
    }
}

static void random_text(struct buf *b) {
    for (uint32_t n = random_below(7); n > 0; n--) buf_puts(b, CHARACTERS[random_below(N_CHARACTERS)]);
}

/* Something near the text: a byte or a character changed, dropped or doubled. */
static void change(struct buf *b) {
    if (b->len == 0) return;
    size_t at = random_below((uint32_t)b->len);
    switch (random_below(4)) {
    case 0:
        b->data[at] = (char)random_below(256);
        break;
    case 1:
        b->len--;
        break;
    case 2:
        buf_puts(b, CHARACTERS[random_below(N_CHARACTERS)]);
        break;
    default:
        buf_append(b, "a", 1);
        memmove(b->data + at + 1, b->data + at, b->len - at - 1);
    }
}

/* Chooses among the allowed tokens until the end; true: an end token was chosen. Text that is allowed never gets stuck.
 */
static bool random_walk(struct jamba_pattern *p, struct jamba_model *m, struct buf *text, size_t max) {
    text->len = 0;
    jamba_pattern_reset(p);
    for (size_t i = 0; i < max; i++) {
        const int32_t *ids;
        size_t n = jamba_pattern_next(p, &ids);
        assert_true(n > 0);
        int32_t id = ids[random_below((uint32_t)n)], end = m->config.eos[0];
        for (size_t k = 1; k < n; k++) assert_true(ids[k] > ids[k - 1]);
        for (size_t k = 0; k < n && i > 3; k++)
            if (ids[k] == end && random_below(2)) id = end;
        assert_true(jamba_pattern_accept(p, id));
        if (id == end) {
            assert_int_equal(jamba_pattern_next(p, &ids), 0);
            return true;
        }
        struct slice bytes = jamba_token_bytes(m, id);
        buf_append(text, bytes.data, bytes.len);
    }
    return false;
}

static void test_patterns_match_as_pcre2_does(void **state) {
    (void)state;
    size_t compared = 0, matched = 0, walked = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        struct buf pattern = {0}, text = {0};
        struct error e = {0};
        random_pattern(&pattern, 3);
        while (random_below(3) == 0) buf_puts(&pattern, "|"), random_pattern(&pattern, 2);
        buf_append(&pattern, "", 0);
        const char *source = pattern.data ? pattern.data : "";
        struct jamba_pattern *p = NULL;
        pcre2_code *re = other_open(source, pattern.len);
        if (!re) fail_msg("PCRE2 does not take %s", source);
        int rc = jamba_pattern_open(&p, tiny, (struct slice){source, pattern.len}, &e);
        if (rc) {
            if (!strstr(e.message, "matches no character")) fail_msg("%s: %s", source, e.message);
            pcre2_code_free(re);
            buf_free(&pattern);
            continue;
        }
        for (int k = 0; k < 12; k++) {
            if (k < 6) {
                bool ended = random_walk(p, tiny, &text, 40);
                walked += ended;
                assert_int_equal(jamba_pattern_matches(p, buf_slice(&text)), jamba_pattern_complete(p));
                if (ended) assert_true(jamba_pattern_complete(p));
                if (k % 2) change(&text);
            } else {
                text.len = 0;
                random_text(&text);
            }
            struct slice t = {text.data ? text.data : "", text.len};
            int want = other_matches(re, t);
            if (want < 0) continue;
            compared++;
            matched += want == 1;
            if (jamba_pattern_matches(p, t) != (want == 1))
                fail_msg("pattern %s, text \"%.*s\": PCRE2 says %d", source, (int)t.len, t.data, want);
        }
        pcre2_code_free(re);
        jamba_pattern_close(p);
        buf_free(&pattern);
        buf_free(&text);
    }
    assert_true(compared > ROUNDS * 8 && matched > ROUNDS * 3 && walked > ROUNDS);
}

/* Every token of both vocabularies, by itself, along random walks. */
static void test_allowed_tokens_are_those_that_may_be_accepted(void **state) {
    (void)state;
    static const char *const patterns[] = {".*",
                                           "[a-z]+(?: [a-z]+)*\\.",
                                           "(?:yes|no|not stated)",
                                           "\"[^\"\\\\]*\"",
                                           "\\d{1,3}(?:,\\d{3})*(?:\\.\\d+)?",
                                           "[\\x{80}-\\x{7ff}]+",
                                           "[^\\x00-\\x7f]{2,9}",
                                           "(?:19|20)\\d\\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])",
                                           ""};
    for (size_t i = 0; i < 2 * sizeof patterns / sizeof patterns[0]; i++) {
        struct jamba_model *m = i % 2 ? tiny : bundled;
        struct jamba_pattern *p = open_pattern(m, patterns[i / 2]), *q = open_pattern(m, patterns[i / 2]);
        int32_t taken[12];
        size_t n_taken = 0;
        for (; n_taken < sizeof taken / sizeof taken[0]; n_taken++) {
            const int32_t *ids;
            size_t n = jamba_pattern_next(p, &ids), at = 0;
            if (n == 0) break;
            for (int32_t id = -1; id <= (int32_t)m->config.n_vocab; id++) {
                bool allowed = at < n && ids[at] == id;
                at += allowed;
                /* try it on the other one, and bring that back where it was */
                bool accepted = jamba_pattern_accept(q, id);
                if (accepted && m->config.eos[0] == id && n == 1) assert_true(allowed);
                if (accepted != allowed)
                    fail_msg("%s behind %zu tokens: token %d is %s but %s", patterns[i / 2], n_taken, id,
                             allowed ? "allowed" : "not allowed", accepted ? "accepted" : "refused");
                if (!accepted) continue;
                jamba_pattern_reset(q);
                for (size_t k = 0; k < n_taken; k++) assert_true(jamba_pattern_accept(q, taken[k]));
            }
            assert_int_equal(at, n);
            taken[n_taken] = ids[random_below((uint32_t)n)];
            assert_true(jamba_pattern_accept(p, taken[n_taken]) && jamba_pattern_accept(q, taken[n_taken]));
        }
        jamba_pattern_close(p);
        jamba_pattern_close(q);
    }
}

static void test_what_a_pattern_lets_through_matches(void **state) {
    (void)state;
    static const char *const patterns[] = {"[A-Z][a-z]{1,6}(?:, [A-Z][a-z]{1,6}){0,4} and [A-Z][a-z]{1,6}",
                                           "\\{\"answer\": (?:\"[^\"\\\\\\x00-\\x1f]{1,40}\"|null)\\}",
                                           "(?:[\\x{4e00}-\\x{9fff}]{3}|[\\x{1f600}-\\x{1f64f}]{2})+x?",
                                           "[^a]{1,8}",
                                           "USD \\d{1,3}(?:,\\d{3}){0,3}(?:\\.\\d\\d)?",
                                           "(?:\xc3\xa4|\xc3\xb6|\xc3\xbc|\xe2\x82\xac)+"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct jamba_pattern *p = open_pattern(bundled, patterns[i]);
        pcre2_code *re = other_open(patterns[i], strlen(patterns[i]));
        struct buf text = {0};
        size_t ended = 0;
        for (int k = 0; k < 60; k++) {
            if (!random_walk(p, bundled, &text, 300)) continue;
            ended++;
            assert_true(utf8_valid(text.data, text.len));
            if (other_matches(re, buf_slice(&text)) != 1) fail_msg("%s lets through %s", patterns[i], text.data);
        }
        assert_true(ended > 10);
        buf_free(&text);
        pcre2_code_free(re);
        jamba_pattern_close(p);
    }
}

/* A vocabulary of pieces writes every byte as <0xHH> too, and some texts in more than one way. */
static void test_patterns_over_a_vocabulary_of_pieces(void **state) {
    (void)state;
    struct jamba_model m = {0};
    struct buf file = {0}, text = {0};
    struct error e = {0};
    size_t bytes = 0, ended = 0;
    assert_int_equal(file_read("tests/golden/vocabularies/pieces.model", 1 << 24, &file, &e), 0);
    assert_int_equal(tokenizer_from_sentencepiece(&m.tokenizer, buf_slice(&file), "pieces.model", &e), 0);
    m.config.n_vocab = m.tokenizer->n;
    for (int i = 0; i < 4; i++) m.config.eos[i] = -1;
    for (int32_t id = 0; id < (int32_t)m.tokenizer->n && m.config.eos[0] < 0; id++)
        if (m.tokenizer->tokens[id].type == TOKEN_CONTROL) m.config.eos[0] = id;
    const char *source = "(?:[^\\x00-\\x7f] ?|the[a-z]{0,3} ){1,12}";
    struct jamba_pattern *p = open_pattern(&m, source);
    pcre2_code *re = other_open(source, strlen(source));
    for (int round = 0; round < 100; round++) {
        if (!random_walk(p, &m, &text, 200)) continue;
        ended++;
        if (other_matches(re, buf_slice(&text)) != 1) fail_msg("%s lets through %s", source, text.data);
    }
    const int32_t *ids;
    jamba_pattern_reset(p);
    size_t n = jamba_pattern_next(p, &ids);
    for (size_t i = 0; i < n; i++) {
        assert_true(m.tokenizer->tokens[ids[i]].type != TOKEN_CONTROL);
        bytes += m.tokenizer->tokens[ids[i]].type == TOKEN_BYTE;
    }
    assert_int_equal(bytes, 0xf4 - 0xc2 + 1 + 1); /* what begins a character, and "t" */
    assert_true(ended > 50);
    pcre2_code_free(re);
    jamba_pattern_close(p);
    token_trie_free(m.trie);
    tokenizer_free(m.tokenizer);
    buf_free(&file);
    buf_free(&text);
}

/* 2^13 states, more than are kept: they are forgotten on the way and nothing is lost. */
static void test_a_pattern_with_more_states_than_are_kept(void **state) {
    (void)state;
    const char *source = "(?:a|b)*a(?:a|b){12}";
    struct jamba_pattern *p = open_pattern(tiny, source);
    char text[20000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = "ab"[random_below(2)];
    for (size_t n = sizeof text - 200; n < sizeof text; n++)
        assert_int_equal(jamba_pattern_matches(p, (struct slice){text, n}), text[n - 13] == 'a');
    for (size_t i = 0; i < sizeof text; i++) {
        const int32_t *ids;
        size_t n = jamba_pattern_next(p, &ids);
        bool end = i >= 13 && text[i - 13] == 'a'; /* tokens a, b, ab: and eos, which comes first */
        if (n != 3u + end || (end && ids[0] != tiny->config.eos[0])) fail_msg("%zu allowed behind %zu bytes", n, i);
        assert_int_equal(jamba_pattern_complete(p), end);
        int32_t id = 5 + text[i];
        struct slice bytes = jamba_token_bytes(tiny, id);
        assert_true(bytes.len == 1 && bytes.data[0] == text[i]);
        assert_true(jamba_pattern_accept(p, id));
        if (i % 100 == 0) assert_true(!jamba_pattern_accept(p, 5 + 'c'));
    }
    jamba_pattern_close(p);
}

static void test_bad_patterns_are_refused_with_their_place(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *where, *message;
        int code;
    } cases[] = {
        {"ab(c", "byte 2", "does not end", ERR_ARG},
        {"ab)c", "byte 2", "closes nothing", ERR_ARG},
        {"x[a-", "byte 1", "does not end", ERR_ARG},
        {"[]", "byte 0", "does not end", ERR_ARG},
        {"[z-a]", "byte 1", "ends before it begins", ERR_ARG},
        {"[a-\\d]", "byte 1", "from one character to another", ERR_ARG},
        {"[[:alpha:]]", "byte 1", "Named classes", ERR_UNSUPPORTED},
        {"[^\\x{0}-\\x{10ffff}]", "byte 0", "matches no character", ERR_ARG},
        {"a|*", "byte 2", "nothing to repeat", ERR_ARG},
        {"a**", "byte 2", "repeat of a repeat", ERR_ARG},
        {"a{2}{3}", "byte 4", "repeat of a repeat", ERR_ARG},
        {"a++", "byte 2", "Possessive", ERR_UNSUPPORTED},
        {"a{3,2}", "byte 1", "ends before it begins", ERR_ARG},
        {"a{,2}", "byte 1", "{m}", ERR_ARG},
        {"a{1001}", "byte 1", "1000", ERR_LIMIT},
        {"(?=a)", "byte 0", "(?:", ERR_UNSUPPORTED},
        {"(a)\\1", "byte 3", "not known", ERR_UNSUPPORTED},
        {"a\\b", "byte 1", "not known", ERR_UNSUPPORTED},
        {"a^b", "byte 1", "^", ERR_UNSUPPORTED},
        {"(a$)", "byte 2", "$", ERR_UNSUPPORTED},
        {"\\x4", "byte 3", "hexadecimal", ERR_ARG},
        {"\\ud800", "byte 0", "no character", ERR_ARG},
        {"\\x{110000}", "byte 0", "no character", ERR_ARG},
        {"a\\", "byte 1", "backslash", ERR_ARG},
        {"ab\xff", "byte 2", "UTF-8", ERR_FORMAT},
        {"(?:(?:a{1000}){1000}){1000}", "pattern, byte", "too large", ERR_LIMIT},
        {"(?:(?:(?:){1000}){1000}){1000}", "pattern, byte", "multiply", ERR_LIMIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jamba_pattern *p = (struct jamba_pattern *)(void *)&seed; /* a failure must clear it */
        struct error e = {0};
        int rc = jamba_pattern_open(&p, tiny, slice_of(cases[i].pattern), &e);
        if (rc != cases[i].code || p || !strstr(e.where, cases[i].where) || !strstr(e.message, cases[i].message))
            fail_msg("%s: %d %s (%s)", cases[i].pattern, rc, e.message, e.where);
    }
    char deep[400];
    struct jamba_pattern *p;
    struct error e = {0};
    memset(deep, '(', 200);
    memset(deep + 200, ')', 200);
    assert_int_equal(jamba_pattern_open(&p, tiny, (struct slice){deep, 400}, &e), ERR_LIMIT);
    assert_int_equal(jamba_pattern_open(&p, tiny, (struct slice){deep + 101, 198}, &e), 0);
    jamba_pattern_close(p);
    char *large = malloc(PATTERN_TOO_LONG);
    memset(large, 'a', PATTERN_TOO_LONG);
    assert_int_equal(jamba_pattern_open(&p, tiny, (struct slice){large, PATTERN_TOO_LONG}, &e), ERR_LIMIT);
    assert_int_equal(jamba_pattern_open(&p, tiny, (struct slice){large, 20000}, &e), ERR_LIMIT); /* states */
    assert_int_equal(jamba_pattern_open(&p, tiny, (struct slice){large, 16000}, &e), 0);
    assert_true(jamba_pattern_matches(p, (struct slice){large, 16000}));
    assert_false(jamba_pattern_matches(p, (struct slice){large, 15999}));
    jamba_pattern_close(p);
    free(large);
}

/* ---- choice ---- */
static void test_a_choice_is_one_of_its_strings_and_can_end_inside_another(void **state) {
    (void)state;
    static const char *const strings[] = {
        " yes", " no",         " not stated",    " not", " yes, with effect from the closing date",
        "",     " not stated", " \xe2\x82\xac 5"};
    enum { N = sizeof strings / sizeof strings[0] };
    struct slice slices[N];
    struct jamba_choice *c;
    struct error e = {0};
    size_t reached[N] = {0};
    for (size_t i = 0; i < N; i++) slices[i] = slice_of(strings[i]);
    assert_int_equal(jamba_choice_open(&c, bundled, slices, N, &e), 0);
    int32_t end = bundled->config.eos[0];
    for (size_t i = 0; i < N; i++) { /* each one, by its canonical tokens */
        int32_t *ids;
        size_t n;
        assert_int_equal(jamba_tokenize(bundled, strings[i], strlen(strings[i]), &ids, NULL, &n, &e), 0);
        jamba_choice_reset(c);
        for (size_t k = 0; k < n; k++) assert_true(jamba_choice_accept(c, ids[k]));
        assert_int_equal(jamba_choice_index(c), i == 6 ? 2 : i); /* the first of equal ones */
        assert_true(jamba_choice_accept(c, end));
        const int32_t *next;
        assert_int_equal(jamba_choice_next(c, &next), 0);
        assert_int_equal(jamba_choice_index(c), i == 6 ? 2 : i);
        free(ids);
    }
    for (int round = 0; round < 300; round++) { /* any way through leads to one of them */
        struct buf text = {0};
        jamba_choice_reset(c);
        for (;;) {
            const int32_t *ids;
            size_t n = jamba_choice_next(c, &ids);
            assert_true(n > 0);
            for (size_t k = 1; k < n; k++) assert_true(ids[k] > ids[k - 1]);
            int32_t id = ids[random_below((uint32_t)n)];
            /* eos stands there exactly where a string stands complete */
            bool may_end = false;
            for (size_t k = 0; k < n; k++) may_end |= ids[k] == end;
            assert_int_equal(may_end, jamba_choice_index(c) != SIZE_MAX);
            for (int32_t other = 0; other < (int32_t)bundled->config.n_vocab && round == 0; other++) {
                bool listed = false;
                for (size_t k = 0; k < n; k++) listed |= ids[k] == other;
                if (!listed) assert_false(jamba_choice_accept(c, other));
            }
            assert_true(jamba_choice_accept(c, id));
            if (id == end) break;
            buf_append(&text, jamba_token_bytes(bundled, id).data, jamba_token_bytes(bundled, id).len);
        }
        struct slice want = slice_of(strings[jamba_choice_index(c)]);
        assert_true(slice_equal(want, buf_slice(&text)));
        reached[jamba_choice_index(c)]++;
        buf_free(&text);
    }
    for (size_t i = 0; i < N; i++) assert_int_equal(reached[i] > 0, i != 6);
    jamba_choice_close(c);
    assert_int_equal(jamba_choice_open(&c, bundled, slices, 0, &e), ERR_ARG);
    struct slice broken[2] = {slice_of("a"), {"\xff", 1}};
    assert_int_equal(jamba_choice_open(&c, bundled, broken, 2, &e), ERR_FORMAT);
}

/* ---- generation ---- */
struct taken {
    int32_t ids[400];
    float logprob[400];
    size_t n;
};
static bool take(void *ctx, int32_t id, float logprob) {
    struct taken *t = ctx;
    t->ids[t->n] = id;
    t->logprob[t->n++] = logprob;
    return true;
}

static size_t n_forward;
static void count_forward(void *ctx, int layer, const float *rows, size_t n_rows) {
    (void)ctx, (void)rows, (void)n_rows;
    n_forward += layer == -1;
}

/* What jamba_generate promises, in the plainest way: logits of the whole vocabulary, one token read at a time. */
static void plain_generate(struct jamba_session *s, const struct jamba_constraint *c, uint32_t max, struct taken *t) {
    struct error e = {0};
    float *logits = malloc(s->model->config.n_vocab * sizeof *logits);
    for (t->n = 0; t->n < max;) {
        const int32_t *ids;
        size_t n = c->allowed(c->ctx, &ids), best = 0;
        if (n == 0) break;
        assert_int_equal(jamba_session_logits(s, logits, &e), 0);
        for (size_t i = 1; i < n; i++)
            if (logits[ids[i]] > logits[ids[best]]) best = i;
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += exp((double)logits[ids[i]] - (double)logits[ids[best]]);
        int32_t id = ids[best];
        t->ids[t->n] = id;
        t->logprob[t->n++] = (float)-log(sum);
        c->accept(c->ctx, id);
        fixture_read(s, &id, 1);
        if (id == s->model->config.eos[0]) break;
    }
    free(logits);
}

/* Runs both and compares tokens, probabilities and the whole state; returns calls of the model in jamba_generate. */
static size_t same_as_plain(struct jamba_session *reading, const struct jamba_constraint *c, void (*reset)(void *),
                            uint32_t max, struct taken *out) {
    struct jamba_session *a, *b;
    struct taken want;
    struct error e = {0};
    assert_int_equal(jamba_session_fork(&a, reading, &e), 0);
    assert_int_equal(jamba_session_fork(&b, reading, &e), 0);
    out->n = 0;
    n_forward = 0;
    jamba_trace = (struct jamba_trace){count_forward, NULL};
    reset(c->ctx);
    assert_int_equal(jamba_generate(a, c, NULL, max, take, out, NULL, &e), 0);
    jamba_trace = (struct jamba_trace){0};
    size_t calls = n_forward;
    reset(c->ctx);
    plain_generate(b, c, max, &want);
    assert_int_equal(out->n, want.n);
    for (size_t i = 0; i < want.n; i++) {
        assert_int_equal(out->ids[i], want.ids[i]);
        if (!(fabsf(out->logprob[i] - want.logprob[i]) < 1e-5f))
            fail_msg("token %zu: log-probability %a, plain %a", i, (double)out->logprob[i], (double)want.logprob[i]);
    }
    struct fixture_bytes x = fixture_state(a), y = fixture_state(b);
    fixture_same(&x, &y);
    free(x.data), free(y.data);
    jamba_session_close(a);
    jamba_session_close(b);
    return calls;
}

static void reset_pointer(void *p) {
    jamba_pointer_reset(p);
}
static void reset_choice(void *c) {
    jamba_choice_reset(c);
}
static void reset_pattern(void *p) {
    jamba_pattern_reset(p);
}

static void test_forced_runs_are_read_at_once_to_the_same_bits(void **state) {
    (void)state;
    enum { READ = 120, CORPUS = 420 };
    int32_t *ids = fixture_text(READ + CORPUS);
    struct jamba_session *reading = fixture_session(bundled, 1200);
    struct error e = {0};
    struct taken t;
    fixture_read(reading, ids, READ);

    /* a pointer into a corpus: after a few tokens one place is left, and its tail is one run */
    struct jamba_pointer *pointer;
    assert_int_equal(jamba_pointer_open(&pointer, ids, READ + CORPUS, NULL, 0, &e), 0);
    struct jamba_constraint c = jamba_pointer_constraint(pointer);
    size_t calls = same_as_plain(reading, &c, reset_pointer, 100, &t);
    size_t choices = 0;
    for (size_t i = 0; i < t.n; i++) choices += t.logprob[i] != 0;
    assert_true(t.n > 30 && choices >= 1);
    if (calls > 2 * (choices + 2))
        fail_msg("%zu calls of the model for %zu choices in %zu tokens", calls, choices, t.n);
    jamba_pointer_close(pointer);

    /* strings: the model is asked where they part */
    const struct slice strings[3] = {
        SLICE_LITERAL(" The obligation to pay survives the termination of this agreement for a period of five years."),
        SLICE_LITERAL(" The obligation to pay ends with the termination of this agreement."),
        SLICE_LITERAL(" The obligation to pay")};
    struct jamba_choice *choice;
    assert_int_equal(jamba_choice_open(&choice, bundled, strings, 3, &e), 0);
    c = jamba_choice_constraint(choice);
    calls = same_as_plain(reading, &c, reset_choice, 300, &t);
    assert_true(jamba_choice_index(choice) < 3);
    assert_int_equal(t.ids[t.n - 1], bundled->config.eos[0]);
    assert_int_equal(calls, 2); /* the common beginning, and all behind the one choice */
    size_t n_choices = 0;
    for (size_t i = 0; i < t.n; i++) n_choices += t.logprob[i] != 0;
    assert_int_equal(n_choices, 1);
    jamba_choice_close(choice);

    /* a pattern: many tokens are allowed almost everywhere */
    struct jamba_pattern *pattern = open_pattern(bundled, " [A-Z][a-z]+ \\d{1,3}(?:, [a-z ]{3,30})?\\.");
    c = jamba_pattern_constraint(pattern);
    same_as_plain(reading, &c, reset_pattern, 60, &t);
    if (t.ids[t.n - 1] == bundled->config.eos[0]) assert_true(jamba_pattern_complete(pattern));
    jamba_pattern_close(pattern);
    /* digits are tokens of their own, so a fixed number is one forced run */
    pattern = open_pattern(bundled, "202611282359|202611282300");
    c = jamba_pattern_constraint(pattern);
    calls = same_as_plain(reading, &c, reset_pattern, 60, &t);
    assert_int_equal(t.n, 13);
    assert_int_equal(calls, 2);
    jamba_pattern_close(pattern);
    jamba_session_close(reading);
    free(ids);
}

static void test_continuations_of_one_reading_are_judged_in_one_batch(void **state) {
    (void)state;
    enum { READ = 300, N = 5 };
    static const char *const texts[N] = {" yes", " no", " The parties may terminate this agreement at any time.",
                                         " the", " Neither party may assign this agreement without consent."};
    int32_t *ids = fixture_text(READ), *tokens[N];
    size_t n_tokens[N];
    struct jamba_session *reading = fixture_session(bundled, READ + 64), *fork[N];
    struct jamba_batch_item items[N];
    float logprobs[N][64], alone[64];
    struct error e = {0};
    fixture_read(reading, ids, READ);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(jamba_tokenize(bundled, texts[i], strlen(texts[i]), &tokens[i], NULL, &n_tokens[i], &e), 0);
        assert_int_equal(jamba_session_fork(&fork[i], reading, &e), 0);
        items[i] = (struct jamba_batch_item){.session = fork[i],
                                             .tokens = tokens[i],
                                             .n_tokens = n_tokens[i],
                                             .want = JAMBA_WANT_LOGPROBS,
                                             .out = logprobs[i]};
    }
    n_forward = 0;
    jamba_trace = (struct jamba_trace){count_forward, NULL};
    assert_int_equal(jamba_batch_run(bundled, items, N, NULL, &e), 0);
    jamba_trace = (struct jamba_trace){0};
    assert_int_equal(n_forward, 1);
    for (size_t i = 0; i < N; i++) {
        struct jamba_session *s;
        assert_int_equal(jamba_session_fork(&s, reading, &e), 0);
        struct jamba_batch_item item = items[i];
        item.session = s, item.out = alone;
        assert_int_equal(jamba_batch_run(bundled, &item, 1, NULL, &e), 0);
        assert_memory_equal(alone, logprobs[i], n_tokens[i] * sizeof alone[0]);
        for (size_t k = 0; k < n_tokens[i]; k++) assert_true(alone[k] < 0 && isfinite(alone[k]));
        struct fixture_bytes x = fixture_state(s), y = fixture_state(fork[i]);
        fixture_same(&x, &y);
        free(x.data), free(y.data);
        jamba_session_close(s);
        jamba_session_close(fork[i]);
        free(tokens[i]);
    }
    jamba_session_close(reading);
    free(ids);
}

static void *open_and_walk(void *ctx) {
    struct jamba_pattern *p;
    struct error e = {0};
    const int32_t *ids;
    if (jamba_pattern_open(&p, ctx, slice_of("[a-z ]+\\."), &e)) return NULL;
    size_t n = jamba_pattern_next(p, &ids);
    jamba_pattern_close(p);
    return (void *)n;
}
static void test_threads_share_a_models_vocabulary_tree(void **state) {
    (void)state;
    struct tiny_model kind = TINY_MODEL;
    struct jamba_model_options o = {.n_threads = 1};
    struct jamba_model *m;
    struct error e = {0};
    assert_int_equal(tiny_model_open(&m, &kind, &o, &e), 0);
    pthread_t threads[4];
    void *n[4];
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, open_and_walk, m), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], &n[i]);
    for (int i = 0; i < 4; i++) assert_true(n[i] == n[0] && n[i]);
    jamba_model_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns_match_as_pcre2_does),
        cmocka_unit_test(test_allowed_tokens_are_those_that_may_be_accepted),
        cmocka_unit_test(test_what_a_pattern_lets_through_matches),
        cmocka_unit_test(test_patterns_over_a_vocabulary_of_pieces),
        cmocka_unit_test(test_a_pattern_with_more_states_than_are_kept),
        cmocka_unit_test(test_bad_patterns_are_refused_with_their_place),
        cmocka_unit_test(test_a_choice_is_one_of_its_strings_and_can_end_inside_another),
        cmocka_unit_test(test_forced_runs_are_read_at_once_to_the_same_bits),
        cmocka_unit_test(test_continuations_of_one_reading_are_judged_in_one_batch),
        cmocka_unit_test(test_threads_share_a_models_vocabulary_tree),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* tests/mutants.sh runs single ones */
    return cmocka_run_group_tests(tests, open_models, close_models);
}
