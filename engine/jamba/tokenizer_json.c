/* tokenizer_json.c: reads a Hugging Face tokenizer.json of the two kinds that Jamba models have: BPE with byte fallback
 * (SentencePiece's successor: spaces as U+2581, nothing else changed) and byte-level BPE after GPT-2's word rule,
 * digits apart or not. Anything else in "normalizer" or "pre_tokenizer" is refused by name: it would encode differently
 * from training.
 */
#include "engine/jamba/tokenizer.h"

#include <jansson.h>
#include <string.h>

#define SPACE_MARK "\xe2\x96\x81" /* U+2581 */

struct rules {
    bool byte_level, digits_apart, use_regex; /* byte-level words */
    bool spaces, spaces_apart;                /* spaces become U+2581; each starts a word */
};

static const char *text_of(json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static int unknown(const char *where, const char *part, const char *type, struct error *e) {
    return error_set(e, ERR_UNSUPPORTED, where, "The vocabulary's %s \"%.60s\" is not one that Jamba models use.", part,
                     type);
}

static int read_normalizer(json_t *n, struct rules *r, const char *where, struct error *e) {
    const char *type = text_of(n, "type");
    if (!n || json_is_null(n)) return 0;
    if (strcmp(type, "Sequence") == 0) {
        json_t *list = json_object_get(n, "normalizers"), *item;
        size_t i;
        int rc = 0;
        json_array_foreach(list, i, item) {
            if (!json_is_object(item) || strcmp(text_of(item, "type"), "Sequence") == 0)
                return unknown(where, "normalizer", type, e);
            if ((rc = read_normalizer(item, r, where, e))) return rc;
        }
        return 0;
    }
    if (strcmp(type, "Replace") == 0 && strcmp(text_of(json_object_get(n, "pattern"), "String"), " ") == 0 &&
        strcmp(text_of(n, "content"), SPACE_MARK) == 0) {
        r->spaces = true;
        return 0;
    }
    return unknown(where, "normalizer", type, e);
}

static int read_pre_tokenizer(json_t *p, struct rules *r, const char *where, struct error *e) {
    const char *type = text_of(p, "type");
    if (!p || json_is_null(p)) return 0;
    if (strcmp(type, "Sequence") == 0) {
        json_t *list = json_object_get(p, "pretokenizers"), *item;
        size_t i;
        int rc = 0;
        json_array_foreach(list, i, item) {
            if (!json_is_object(item) || strcmp(text_of(item, "type"), "Sequence") == 0)
                return unknown(where, "pre_tokenizer", type, e);
            if ((rc = read_pre_tokenizer(item, r, where, e))) return rc;
        }
        return 0;
    }
    if (strcmp(type, "Digits") == 0 && json_is_true(json_object_get(p, "individual_digits")) && !r->byte_level) {
        r->digits_apart = true;
        return 0;
    }
    if (strcmp(type, "ByteLevel") == 0 && !json_is_true(json_object_get(p, "add_prefix_space")) &&
        !json_is_false(json_object_get(p, "use_regex"))) {
        r->byte_level = true;
        return 0;
    }
    if (strcmp(type, "Metaspace") == 0 && strcmp(text_of(p, "replacement"), SPACE_MARK) == 0 &&
        (strcmp(text_of(p, "prepend_scheme"), "never") == 0 || json_is_false(json_object_get(p, "add_prefix_space")))) {
        r->spaces = true;
        r->spaces_apart = !json_is_false(json_object_get(p, "split"));
        return 0;
    }
    return unknown(where, "pre_tokenizer", type, e);
}

/* The vocabulary's size: one more than the highest id of tokens and added tokens. */
static int count_tokens(json_t *vocab, json_t *added, const char *where, uint32_t *n, struct error *e) {
    json_int_t top = -1;
    const char *key;
    json_t *v;
    size_t i;
    json_object_foreach(vocab, key, v) {
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= MODEL_MAX_VOCAB)
            return error_set(e, ERR_FORMAT, where, "Token \"%.60s\" of the vocabulary has no id below %d.", key,
                             MODEL_MAX_VOCAB);
        if (json_integer_value(v) > top) top = json_integer_value(v);
    }
    json_array_foreach(added, i, v) {
        json_t *id = json_object_get(v, "id");
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= MODEL_MAX_VOCAB)
            return error_set(e, ERR_FORMAT, where, "Added token %zu of the vocabulary has no id below %d.", i,
                             MODEL_MAX_VOCAB);
        if (json_integer_value(id) > top) top = json_integer_value(id);
    }
    if (top < 0) return error_set(e, ERR_FORMAT, where, "The vocabulary is empty.");
    *n = (uint32_t)top + 1;
    return 0;
}

static bool is_byte_name(const char *s, size_t len) {
    return len == 6 && memcmp(s, "<0x", 3) == 0 && s[5] == '>';
}

static int set_tokens(struct tokenizer *t, json_t *vocab, json_t *added, json_t *model, const char *where,
                      struct error *e) {
    const char *key, *unk = text_of(model, "unk_token");
    bool fallback = json_is_true(json_object_get(model, "byte_fallback"));
    json_t *v;
    size_t i;
    int rc = 0;
    json_object_foreach(vocab, key, v) {
        size_t len = strlen(key);
        uint32_t id = (uint32_t)json_integer_value(v);
        enum token_type type = fallback && is_byte_name(key, len) ? TOKEN_BYTE
                               : *unk && strcmp(key, unk) == 0    ? TOKEN_UNKNOWN
                                                                  : TOKEN_NORMAL;
        if (t->tokens[id].type)
            return error_set(e, ERR_FORMAT, where, "Two tokens of the vocabulary have the id %u.", id);
        if ((rc = tokenizer_set(t, id, (struct slice){key, len}, type, 0, e))) return rc;
    }
    json_array_foreach(added, i, v) {
        json_t *content = json_object_get(v, "content");
        struct slice s = {json_string_value(content), json_string_length(content)};
        uint32_t id = (uint32_t)json_integer_value(json_object_get(v, "id"));
        bool special = json_is_true(json_object_get(v, "special"));
        if (!s.data || !s.len)
            return error_set(e, ERR_FORMAT, where, "Added token %zu of the vocabulary has no text.", i);
        if ((rc = tokenizer_set(t, id, s, special ? TOKEN_CONTROL : TOKEN_USER, 0, e))) return rc;
        if (*unk && slice_equal(s, slice_of(unk))) t->unknown = (int32_t)id;
    }
    /* ids that no token has stay unused: real checkpoints pad their vocabularies */
    for (uint32_t id = 0; id < t->n; id++)
        if (!t->tokens[id].type && (rc = tokenizer_set(t, id, (struct slice){"", 0}, TOKEN_UNUSED, 0, e))) return rc;
    return 0;
}

static int add_merges(struct tokenizer *t, json_t *merges, const char *where, struct error *e) {
    json_t *v;
    size_t i;
    int rc = 0;
    json_array_foreach(merges, i, v) {
        struct slice left = {"", 0}, right = {"", 0};
        if (json_is_string(v)) {
            const char *s = json_string_value(v), *space = *s ? strchr(s + 1, ' ') : NULL;
            if (space) left = (struct slice){s, (size_t)(space - s)}, right = slice_of(space + 1);
        } else if (json_array_size(v) == 2) {
            left = slice_of(json_string_value(json_array_get(v, 0)));
            right = slice_of(json_string_value(json_array_get(v, 1)));
        }
        if ((rc = tokenizer_add_merge(t, left, right, where, e))) return rc;
    }
    t->by_merges = true;
    return rc;
}

int tokenizer_from_json(struct tokenizer **out, struct slice file, const char *where, struct error *e) {
    json_error_t bad;
    json_t *root = json_loadb(file.data, file.len, JSON_REJECT_DUPLICATES, &bad);
    struct tokenizer *t = NULL;
    struct rules r = {0};
    uint32_t n = 0;
    int rc = 0;
    *out = NULL;
    if (!root)
        return error_set(e, ERR_FORMAT, where, "The vocabulary is no JSON (line %d): %.200s.", bad.line, bad.text);
    json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab"),
           *merges = json_object_get(model, "merges");
    json_t *added = json_object_get(root, "added_tokens");
    const char *type = text_of(model, "type");
    if (*type && strcmp(type, "BPE") != 0)
        rc = unknown(where, "model", type, e);
    else if (!json_is_object(vocab) || !json_is_array(merges))
        rc = error_set(e, ERR_FORMAT, where, "The vocabulary lacks model.vocab or model.merges.");
    else if (json_is_true(json_object_get(model, "ignore_merges")) || json_is_number(json_object_get(model, "dropout")))
        rc = unknown(where, "model setting", "ignore_merges or dropout", e);
    if (!rc) rc = read_normalizer(json_object_get(root, "normalizer"), &r, where, e);
    if (!rc) rc = read_pre_tokenizer(json_object_get(root, "pre_tokenizer"), &r, where, e);
    if (!rc && (r.byte_level == r.spaces || (r.digits_apart && !r.byte_level)))
        rc = unknown(where, "mixture of rules", "byte level and spaces as U+2581", e);
    if (!rc) rc = count_tokens(vocab, added, where, &n, e);
    if (!rc)
        rc = tokenizer_new(&t, r.byte_level ? TOKENIZER_BYTES : TOKENIZER_PIECES, n, (uint32_t)json_array_size(merges),
                           e);
    if (!rc) rc = set_tokens(t, vocab, added, model, where, e);
    if (!rc) rc = tokenizer_index(t, where, e);
    if (!rc) rc = add_merges(t, merges, where, e);
    json_decref(root);
    if (rc) {
        tokenizer_free(t);
        return rc;
    }
    t->digits_apart = r.digits_apart;
    t->spaces_apart = r.spaces_apart;
    tokenizer_seal(t);
    *out = t;
    return 0;
}
