/* tokenizer_vocab.c: a vocabulary's tables: tokens by bytes, merges by pair, special tokens by first byte; and the
 * reader of GGUF's tokenizer.ggml.* keys. Refuses vocabularies whose word rule it does not know, rather than encode
 * differently from training.
 *
 * GPT-2's byte alphabet: a byte that is printable in Latin-1 stands for itself, the 68 others are U+0100, U+0101, ...
 * in order of byte.
 */
#include "engine/jamba/tokenizer.h"

#include <stdlib.h>
#include <string.h>

enum { TOKEN_MAX_BYTES = 4096 };

static uint64_t text_hash(const char *s, size_t len) {
    uint64_t h = 0x243f6a8885a308d3u ^ len, w;
    for (; len >= 8; s += 8, len -= 8) {
        memcpy(&w, s, 8);
        h = (h ^ w) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    w = 0;
    if (len) memcpy(&w, s, len);
    h = (h ^ w) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

int32_t tokenizer_find(const struct tokenizer *t, const char *bytes, size_t len) {
    for (size_t i = text_hash(bytes, len) & (t->n_text_slots - 1); t->text_slots[i];
         i = (i + 1) & (t->n_text_slots - 1)) {
        const struct token *k = &t->tokens[t->text_slots[i] - 1];
        if (k->bytes.len == len && memcmp(k->bytes.data, bytes, len) == 0) return (int32_t)t->text_slots[i] - 1;
    }
    return -1;
}

static size_t power_of_two(size_t at_least) {
    size_t n = 16;
    while (n < at_least) n *= 2;
    return n;
}

int tokenizer_new(struct tokenizer **out, enum tokenizer_kind kind, uint32_t n, uint32_t max_merges, struct error *e) {
    struct tokenizer *t = calloc(1, sizeof *t);
    *out = t;
    if (!t) return error_set(e, ERR_NOMEM, "", "Out of memory.");
    t->kind = kind;
    t->n = n;
    t->unknown = -1;
    for (int i = 0; i < 256; i++) t->byte_id[i] = -1;
    t->n_text_slots = power_of_two(2 * (size_t)n);
    t->n_merge_slots = power_of_two(2 * (size_t)max_merges);
    t->tokens = arena_array(&t->arena, n ? n : 1, sizeof *t->tokens);
    t->text_slots = arena_array(&t->arena, t->n_text_slots, sizeof *t->text_slots);
    t->merge_slots = arena_array(&t->arena, t->n_merge_slots, sizeof *t->merge_slots);
    t->specials = arena_array(&t->arena, n ? n : 1, sizeof *t->specials);
    if (!t->tokens || !t->text_slots || !t->merge_slots || !t->specials)
        return error_set(e, ERR_NOMEM, "", "Out of memory.");
    for (size_t i = 0; i < t->n_merge_slots; i++) t->merge_slots[i].id = -1;
    return 0;
}

void tokenizer_free(struct tokenizer *t) {
    if (!t) return;
    arena_free(&t->arena);
    free(t);
}

/* ---- how files spell bytes ---- */
/* The byte that code point cp stands for in GPT-2's alphabet, -1 when it stands for none. */
static int alphabet_byte(uint32_t cp) {
    if ((cp >= 0x21 && cp <= 0x7e) || (cp >= 0xa1 && cp <= 0xff && cp != 0xad)) return (int)cp;
    if (cp < 0x100 || cp >= 0x100 + 68) return -1;
    uint32_t k = cp - 0x100; /* the k-th byte that is not printable: 00-20, 7f-a0, ad */
    return k < 33 ? (int)k : k < 67 ? (int)(k - 33 + 0x7f) : 0xad;
}

/* Undoes the file's spelling into out (as long as text at most). False: text is not spelled so. */
static bool unspell(enum tokenizer_kind kind, struct slice text, char *out, size_t *len) {
    *len = 0;
    for (size_t i = 0; i < text.len;) {
        uint32_t cp;
        int n = utf8_decode(text.data + i, text.len - i, &cp);
        if (n <= 0) return false;
        if (kind == TOKENIZER_BYTES) {
            int b = alphabet_byte(cp);
            if (b < 0) return false;
            out[(*len)++] = (char)b;
        } else if (cp == 0x2581) {
            out[(*len)++] = ' ';
        } else {
            memcpy(out + *len, text.data + i, (size_t)n);
            *len += (size_t)n;
        }
        i += (size_t)n;
    }
    return true;
}

/* <0x0A> */
static int byte_piece(struct slice s) {
    static const char digits[] = "0123456789ABCDEF";
    if (s.len != 6 || memcmp(s.data, "<0x", 3) != 0 || s.data[5] != '>') return -1;
    const char *hi = strchr(digits, s.data[3]), *lo = strchr(digits, s.data[4]);
    return hi && lo && *hi && *lo ? (int)(16 * (hi - digits) + (lo - digits)) : -1;
}

int tokenizer_set(struct tokenizer *t, uint32_t id, struct slice text, enum token_type type, float score,
                  struct error *e) {
    struct token *k = &t->tokens[id];
    char out[TOKEN_MAX_BYTES];
    size_t len = 0;
    int byte = -1;
    if (text.len > sizeof out)
        return error_set(e, ERR_LIMIT, "", "Token %u of the vocabulary is longer than %d bytes.", id, TOKEN_MAX_BYTES);
    k->score = score == score ? score : 0;
    if (type == TOKEN_BYTE) byte = byte_piece(text);
    if (byte >= 0) {
        out[0] = (char)byte;
        len = 1;
        t->byte_id[byte] = (int32_t)id;
    } else if (type == TOKEN_NORMAL && !unspell(t->kind, text, out, &len)) {
        type = TOKEN_UNUSED; /* an added token that text cannot become; kept for printing */
    }
    if (type != TOKEN_NORMAL && byte < 0) {
        memcpy(out, text.data, text.len);
        len = text.len;
    }
    k->type = (uint8_t)type;
    k->bytes = arena_slice(&t->arena, (struct slice){out, len});
    if (k->bytes.len != len) return error_set(e, ERR_NOMEM, "", "Out of memory.");
    bool brackets = len > 2 && out[0] == '<' && out[len - 1] == '>';
    k->special = len && (type == TOKEN_CONTROL || type == TOKEN_USER || (type == TOKEN_UNKNOWN && brackets));
    k->plain = k->special && type == TOKEN_USER && !brackets;
    if (type == TOKEN_UNKNOWN) t->unknown = (int32_t)id;
    return 0;
}

/* ---- tables ---- */
static int special_order(const void *a, const void *b, void *tokens) {
    const int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    const struct token *x = (const struct token *)tokens + i, *y = (const struct token *)tokens + j;
    if (x->bytes.data[0] != y->bytes.data[0]) return (uint8_t)x->bytes.data[0] < (uint8_t)y->bytes.data[0] ? -1 : 1;
    if (x->bytes.len != y->bytes.len) return x->bytes.len > y->bytes.len ? -1 : 1;
    return i < j ? -1 : i > j;
}

static bool has_inner_space(struct slice s) {
    for (size_t i = 1; i < s.len; i++)
        if (s.data[i] == ' ' && s.data[i - 1] != ' ') return true;
    return false;
}

int tokenizer_index(struct tokenizer *t, const char *where, struct error *e) {
    uint32_t n_special = 0;
    t->spaces_lead = true;
    for (uint32_t id = 0; id < t->n; id++) {
        const struct token *k = &t->tokens[id];
        if (!k->type) return error_set(e, ERR_FORMAT, where, "The vocabulary has no token %u.", id);
        if (k->special) t->specials[n_special++] = (int32_t)id;
        if (k->type != TOKEN_NORMAL || !k->bytes.len) continue;
        if (has_inner_space(k->bytes)) t->spaces_lead = false;
        if (t->kind == TOKENIZER_BYTES && k->bytes.len == 1) t->byte_id[(uint8_t)k->bytes.data[0]] = (int32_t)id;
        size_t i = text_hash(k->bytes.data, k->bytes.len) & (t->n_text_slots - 1);
        bool seen = false;
        for (; t->text_slots[i] && !seen; i = (i + 1) & (t->n_text_slots - 1))
            if (slice_equal(t->tokens[t->text_slots[i] - 1].bytes, k->bytes)) seen = true;
        if (!seen) t->text_slots[i] = id + 1; /* of equal spellings the lowest id counts */
    }
    qsort_r(t->specials, n_special, sizeof *t->specials, special_order, t->tokens);
    for (uint32_t b = 0, i = 0; b <= 256; b++) {
        t->special_at[b] = i;
        while (b < 256 && i < n_special && (uint8_t)t->tokens[t->specials[i]].bytes.data[0] == b) i++;
    }
    return 0;
}

static uint64_t mix(uint64_t x) { /* as in tokenizer_merge.c */
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 32;
}

static bool is_special(const struct tokenizer *t, const char *bytes, size_t len) {
    for (uint32_t i = t->special_at[(uint8_t)*bytes]; i < t->special_at[(uint8_t)*bytes + 1]; i++)
        if (slice_equal(t->tokens[t->specials[i]].bytes, (struct slice){bytes, len})) return true;
    return false;
}

int tokenizer_add_merge(struct tokenizer *t, struct slice left, struct slice right, const char *where,
                        struct error *e) {
    char bytes[2 * TOKEN_MAX_BYTES];
    size_t n_left, n_right;
    int32_t a = -1, b = -1, both = -1;
    if (left.len <= TOKEN_MAX_BYTES && right.len <= TOKEN_MAX_BYTES && unspell(t->kind, left, bytes, &n_left) &&
        unspell(t->kind, right, bytes + n_left, &n_right) && n_left && n_right) {
        a = tokenizer_find(t, bytes, n_left);
        b = tokenizer_find(t, bytes + n_left, n_right);
        both = tokenizer_find(t, bytes, n_left + n_right);
        /* a special token is cut out before any merge could reach it: its merges only take up a rank */
        if ((a < 0 && is_special(t, bytes, n_left)) || (b < 0 && is_special(t, bytes + n_left, n_right)) ||
            (both < 0 && is_special(t, bytes, n_left + n_right))) {
            t->n_merges++;
            return 0;
        }
    }
    if (a < 0 || b < 0 || both < 0)
        return error_set(e, ERR_FORMAT, where,
                         "Merge %zu of the vocabulary (%.*s %.*s) uses tokens that the vocabulary lacks.", t->n_merges,
                         (int)(left.len < 40 ? left.len : 40), left.data, (int)(right.len < 40 ? right.len : 40),
                         right.data);
    t->by_merges = true;
    uint64_t pair = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    size_t i = mix(pair) & (t->n_merge_slots - 1);
    while (t->merge_slots[i].id >= 0 && t->merge_slots[i].pair != pair) i = (i + 1) & (t->n_merge_slots - 1);
    if (t->merge_slots[i].id < 0) /* a pair named twice keeps its first rank */
        t->merge_slots[i] = (struct merge_slot){.pair = pair, .rank = (uint32_t)t->n_merges, .id = both};
    t->n_merges++;
    return 0;
}

void tokenizer_seal(struct tokenizer *t) {
    struct sha256 h;
    uint32_t head[] = {t->kind, t->digits_apart, t->by_merges, t->n, (uint32_t)t->n_merges};
    sha256_init(&h);
    sha256_update(&h, head, sizeof head);
    for (uint32_t id = 0; id < t->n; id++) {
        const struct token *k = &t->tokens[id];
        uint32_t len = (uint32_t)k->bytes.len;
        sha256_update(&h, &k->type, 1);
        sha256_update(&h, &len, sizeof len);
        sha256_update(&h, k->bytes.data, k->bytes.len);
        if (!t->by_merges) sha256_update(&h, &k->score, sizeof k->score);
    }
    for (size_t i = 0; i < t->n_merge_slots; i++) {
        const struct merge_slot *s = &t->merge_slots[i];
        if (s->id < 0) continue;
        sha256_update(&h, &s->pair, sizeof s->pair);
        sha256_update(&h, &s->rank, sizeof s->rank);
        sha256_update(&h, &s->id, sizeof s->id);
    }
    sha256_final(&h, t->digest);
}

/* ---- GGUF ---- */
static bool only_spaces(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] != ' ') return false;
    return s.len > 0;
}

/* Files converted from a tokenizer.json hold one placeholder score for all tokens. A Jamba vocabulary's ordinary ids
 * stand in order of merging, so the id is the rank; runs of spaces merge last. */
static void mend_scores(struct tokenizer *t) {
    bool first = true;
    float score = 0;
    for (uint32_t id = 0; id < t->n; id++) {
        if (t->tokens[id].type != TOKEN_NORMAL) continue;
        if (!first && t->tokens[id].score != score) return;
        score = t->tokens[id].score;
        first = false;
    }
    for (uint32_t id = 0; id < t->n; id++) t->tokens[id].score = only_spaces(t->tokens[id].bytes) ? -1e7f : -(float)id;
}

static int merges_from_gguf(struct tokenizer *t, const struct gguf *g, const struct gguf_value *merges,
                            struct error *e) {
    const uint8_t *at = merges->data;
    int rc = 0;
    for (uint64_t i = 0; !rc && i < merges->n; i++) {
        struct slice s = gguf_next_string(&at), left = s, right = {"", 0};
        const char *space = s.len ? memchr(s.data + 1, ' ', s.len - 1) : NULL;
        if (space) {
            left.len = (size_t)(space - s.data);
            right = (struct slice){space + 1, s.len - left.len - 1};
        }
        rc = tokenizer_add_merge(t, left, right, g->file, e);
    }
    return rc;
}

int tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g, struct error *e) {
    struct slice model = gguf_string(g, "tokenizer.ggml.model"), pre = gguf_string(g, "tokenizer.ggml.pre");
    const struct gguf_value *tokens = gguf_find(g, "tokenizer.ggml.tokens"),
                            *types = gguf_find(g, "tokenizer.ggml.token_type");
    const struct gguf_value *scores = gguf_find(g, "tokenizer.ggml.scores"),
                            *merges = gguf_find(g, "tokenizer.ggml.merges");
    bool bytes = slice_equal(model, SLICE_LITERAL("gpt2")), pieces = slice_equal(model, SLICE_LITERAL("llama")),
         digits_apart = false;
    *out = NULL;
    if (!bytes && !pieces)
        return error_set(e, ERR_UNSUPPORTED, g->file,
                         "The vocabulary's kind (tokenizer.ggml.model) is \"%.*s\"; gpt2 and llama are supported.",
                         (int)(model.len < 40 ? model.len : 40), model.data);
    if (bytes) {
        digits_apart = slice_equal(pre, SLICE_LITERAL("smollm")) || slice_equal(pre, SLICE_LITERAL("starcoder"));
        if (!digits_apart && !slice_equal(pre, SLICE_LITERAL("gpt-2")))
            return error_set(e, ERR_UNSUPPORTED, g->file,
                             "The vocabulary's word rule (tokenizer.ggml.pre) is \"%.*s\"; smollm, starcoder and gpt-2 "
                             "are supported.",
                             (int)(pre.len < 40 ? pre.len : 40), pre.data);
    }
    if (!tokens || !tokens->is_array || tokens->type != GGUF_STRING || !tokens->n || tokens->n > MODEL_MAX_VOCAB)
        return error_set(e, ERR_FORMAT, g->file,
                         "The model's vocabulary (tokenizer.ggml.tokens) is missing or too large.");
    if (types && (!types->is_array || types->n != tokens->n))
        return error_set(e, ERR_FORMAT, g->file, "tokenizer.ggml.token_type has another length than the vocabulary.");
    if (pieces && (!scores || !scores->is_array || scores->type != GGUF_F32 || scores->n != tokens->n))
        return error_set(e, ERR_FORMAT, g->file,
                         "The vocabulary's scores (tokenizer.ggml.scores) are missing or have another length.");
    if (bytes && (!merges || !merges->is_array || merges->type != GGUF_STRING))
        return error_set(e, ERR_FORMAT, g->file, "The vocabulary's merges (tokenizer.ggml.merges) are missing.");

    struct tokenizer *t = NULL;
    int rc = tokenizer_new(&t, bytes ? TOKENIZER_BYTES : TOKENIZER_PIECES, (uint32_t)tokens->n,
                           bytes ? (uint32_t)merges->n : 0, e);
    const uint8_t *at = tokens->data;
    for (uint32_t id = 0; !rc && id < tokens->n; id++) {
        int64_t type = TOKEN_NORMAL;
        struct slice text = gguf_next_string(&at);
        if (types && (!gguf_integer_at(types, id, &type) || type < TOKEN_NORMAL || type > TOKEN_BYTE))
            rc = error_set(e, ERR_FORMAT, g->file, "Token %u of the vocabulary has an unknown type.", id);
        if (!rc) rc = tokenizer_set(t, id, text, (enum token_type)type, pieces ? gguf_f32_at(scores, id) : 0, e);
    }
    if (!rc && pieces) mend_scores(t);
    if (!rc) rc = tokenizer_index(t, g->file, e);
    if (!rc && bytes) rc = merges_from_gguf(t, g, merges, e);
    if (rc) {
        tokenizer_free(t);
        return rc;
    }
    t->by_merges = bytes;
    t->digits_apart = digits_apart;
    tokenizer_seal(t);
    *out = t;
    return 0;
}
