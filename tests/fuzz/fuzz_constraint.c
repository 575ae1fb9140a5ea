/* fuzz_constraint.c: the first line as a pattern, the rest as a text. Holds: a refusal says what and where; what this
 * engine and PCRE2 both take, both match alike; the text taken token by token is taken as far as it can be; a walk
 * over allowed tokens that the text's bytes choose never gets stuck, and where it ends its text matches. Few states
 * are kept here, so that forgetting is met too. */
#define PCRE2_CODE_UNIT_WIDTH 8
#define PATTERN_STATES 8
#define PATTERN_MEMBERS 64
#define PATTERN_LISTED 64
#include "engine/jamba/pattern.c" /* the library's own copy is then not linked */
#include "tests/unit/tiny_model.h"

#include <pcre2.h>

#define MAX_PATTERN 200
#define MAX_TEXT 200

static struct jamba_model *model;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    struct tiny_model t = TINY_MODEL;
    struct error e = {0};
    t.n_layer = 2;
    if (tiny_model_open(&model, &t, &(struct jamba_model_options){.n_threads = 1}, &e)) abort();
    return 0;
}

static void compare(struct jamba_pattern *p, struct slice pattern, struct slice text) {
    int code;
    PCRE2_SIZE at;
    pcre2_code *re =
        pcre2_compile((PCRE2_SPTR)pattern.data, pattern.len,
                      PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY, &code, &at, NULL);
    if (!re) return; /* \uHHHH */
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_set_match_limit(limits, 20000);
    int rc = pcre2_match(re, (PCRE2_SPTR)text.data, text.len, 0, 0, data, limits);
    bool gave_up = rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT;
    if (!gave_up && (rc >= 0) != jamba_pattern_matches(p, text)) abort();
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
    pcre2_code_free(re);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    const uint8_t *end = memchr(data, '\n', len);
    if (!end || end - data > MAX_PATTERN || len > MAX_PATTERN + MAX_TEXT) return 0;
    struct slice pattern = {(const char *)data, (size_t)(end - data)};
    struct slice text = {(const char *)end + 1, len - pattern.len - 1};
    struct jamba_pattern *p;
    struct error e = {0};
    const int32_t *ids;
    if (jamba_pattern_open(&p, model, pattern, &e)) {
        if (p || !e.code || !e.message[0] || !e.where[0]) abort();
        return 0;
    }
    if (p->nfa.n <= 2000) compare(p, pattern, text); /* PCRE2 takes its time over more */
    /* byte by byte, then by what is allowed */
    size_t at = 0;
    while (at < text.len && jamba_pattern_accept(p, 5 + (uint8_t)text.data[at])) at++;
    if ((at == text.len && jamba_pattern_complete(p)) != jamba_pattern_matches(p, text)) abort();
    jamba_pattern_reset(p);
    char walked[MAX_TEXT * 8];
    size_t n_walked = 0;
    for (size_t i = 0; i < text.len && i < 40; i++) {
        size_t n = jamba_pattern_next(p, &ids);
        if (n == 0) abort();
        int32_t id = ids[(uint8_t)text.data[i] * 7u % n];
        if (!jamba_pattern_accept(p, id)) abort();
        if (id == model->config.eos[0]) {
            if (!jamba_pattern_matches(p, (struct slice){walked, n_walked}) || jamba_pattern_next(p, &ids)) abort();
            break;
        }
        struct slice bytes = jamba_token_bytes(model, id);
        if (n_walked + bytes.len <= sizeof walked) memcpy(walked + n_walked, bytes.data, bytes.len);
        n_walked += bytes.len;
        if (n_walked > sizeof walked) break;
    }
    jamba_pattern_close(p);
    return 0;
}
