/* tokenizer_sentencepiece.c: reads a SentencePiece .model (sentencepiece_model.proto) without protobuf: only the fields
 * that decide about ids. Refuses models that are not BPE and normalisers that change text, for both would encode
 * differently from training.
 *
 *     ModelProto:      1 pieces*, 2 trainer_spec, 3 normalizer_spec
 *     SentencePiece:   1 piece (string), 2 score (float), 3 type (1 normal, 2 unknown, 3 control, 4 user, 5 unused, 6
 * byte; absent: 1) TrainerSpec:     3 model_type (2 = BPE) NormalizerSpec:  2 precompiled_charsmap, 3 add_dummy_prefix
 * (absent: true), 4 remove_extra_whitespaces (absent: true)
 */
#include "engine/jamba/tokenizer.h"

#include <stdio.h>
#include <string.h>

/* ---- protobuf's wire format ---- */
struct wire {
    const uint8_t *p, *end;
    bool bad;
};
struct field {
    uint32_t number, kind; /* 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes */
    uint64_t value;        /* varint; fixed widths as their bits */
    struct slice bytes;
};

static uint64_t varint(struct wire *w) {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (w->p == w->end) break;
        uint8_t b = *w->p++;
        v |= (uint64_t)(b & 127) << shift;
        if (!(b & 128)) return v;
    }
    w->bad = true;
    return 0;
}

static bool next_field(struct wire *w, struct field *f) {
    if (w->bad || w->p == w->end) return false;
    uint64_t key = varint(w), n;
    *f = (struct field){.number = (uint32_t)(key >> 3), .kind = (uint32_t)(key & 7)};
    switch (f->kind) {
    case 0:
        f->value = varint(w);
        break;
    case 1:
    case 5:
        n = f->kind == 1 ? 8 : 4;
        if ((uint64_t)(w->end - w->p) < n) {
            w->bad = true;
            break;
        }
        memcpy(&f->value, w->p, n);
        w->p += n;
        break;
    case 2:
        n = varint(w);
        if (w->bad || n > (uint64_t)(w->end - w->p)) {
            w->bad = true;
            break;
        }
        f->bytes = (struct slice){(const char *)w->p, (size_t)n};
        w->p += n;
        break;
    default:
        w->bad = true; /* groups: nobody writes them */
    }
    return !w->bad;
}

static struct wire wire_of(struct slice s) {
    return (struct wire){.p = (const uint8_t *)s.data, .end = (const uint8_t *)s.data + s.len};
}

/* ---- the model ---- */
static int damaged(const char *where, struct error *e) {
    return error_set(e, ERR_FORMAT, where,
                     "The vocabulary is no SentencePiece model, or it is damaged. Copy or download it again.");
}

static int read_piece(struct tokenizer *t, uint32_t id, struct slice message, const char *where, struct error *e) {
    struct wire w = wire_of(message);
    struct field f;
    struct slice text = {"", 0};
    float score = 0;
    uint64_t type = TOKEN_NORMAL;
    while (next_field(&w, &f)) {
        uint32_t bits = (uint32_t)f.value;
        if (f.number == 1 && f.kind == 2) text = f.bytes;
        if (f.number == 2 && f.kind == 5) memcpy(&score, &bits, sizeof score);
        if (f.number == 3 && f.kind == 0) type = f.value;
    }
    if (w.bad || type < TOKEN_NORMAL || type > TOKEN_BYTE) return damaged(where, e);
    return tokenizer_set(t, id, text, (enum token_type)type, score, e);
}

static int check_specs(struct slice file, const char *where, uint32_t *n_pieces, struct error *e) {
    struct wire w = wire_of(file), inner;
    struct field f, g;
    uint64_t model_type = 1, dummy_prefix = 1, remove_spaces = 1, charsmap = 0, n = 0;
    while (next_field(&w, &f)) {
        if (f.kind != 2) continue;
        if (f.number == 1) n++;
        if (f.number != 2 && f.number != 3) continue;
        inner = wire_of(f.bytes);
        while (next_field(&inner, &g)) {
            if (f.number == 2 && g.number == 3 && g.kind == 0) model_type = g.value;
            if (f.number == 3 && g.number == 2 && g.kind == 2) charsmap = g.bytes.len;
            if (f.number == 3 && g.number == 3 && g.kind == 0) dummy_prefix = g.value;
            if (f.number == 3 && g.number == 4 && g.kind == 0) remove_spaces = g.value;
        }
        if (inner.bad) return damaged(where, e);
    }
    if (w.bad || !n || n > MODEL_MAX_VOCAB) return damaged(where, e);
    if (model_type != 2)
        return error_set(e, ERR_UNSUPPORTED, where, "The vocabulary is not of the kind BPE; Jamba's is.");
    if (charsmap || dummy_prefix || remove_spaces)
        return error_set(
            e, ERR_UNSUPPORTED, where,
            "The vocabulary changes text before it reads it (%s); Jamba's does not, and quotes would not be exact.",
            charsmap       ? "character map"
            : dummy_prefix ? "space in front"
                           : "spaces removed");
    *n_pieces = (uint32_t)n;
    return 0;
}

int tokenizer_from_sentencepiece(struct tokenizer **out, struct slice file, const char *where, struct error *e) {
    struct tokenizer *t = NULL;
    struct wire w = wire_of(file);
    struct field f;
    uint32_t n = 0, id = 0;
    *out = NULL;
    int rc = check_specs(file, where, &n, e);
    if (!rc) rc = tokenizer_new(&t, TOKENIZER_PIECES, n, 0, e);
    while (!rc && next_field(&w, &f))
        if (f.number == 1 && f.kind == 2) rc = read_piece(t, id++, f.bytes, where, e);
    if (!rc) rc = tokenizer_index(t, where, e);
    if (rc) {
        tokenizer_free(t);
        return rc;
    }
    tokenizer_seal(t);
    *out = t;
    return 0;
}
