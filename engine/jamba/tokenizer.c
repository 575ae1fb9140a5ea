/* tokenizer.c: text to token ids and back: control tokens, spans, words, merges, bytes. Owns struct tokenizer once it
 * is sealed.
 *
 * Document text is data: its encoding never yields a control token, whatever the text says. Control tokens have no
 * place in the table that merges and look-ups end in, and their names are searched for only in prompts of our own
 * making. User tokens that are words (Jamba's ",") count in both; user tokens in angle brackets (<think>, <tool_call>)
 * are mark-up and count as control tokens.
 */
#include "engine/jamba/tokenizer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENIZER_MAX_TEXT = 1 << 30 /* bytes a call; offsets are 32 bits */ };

/* ---- output ---- */
struct output {
    int32_t *ids;
    uint32_t *ends;
    size_t n, cap_ids, cap_ends;
};

static int put(struct output *o, int32_t id, uint32_t end, struct error *e) {
    int rc = 0;
    if (o->n == o->cap_ids) rc = array_grow((void **)&o->ids, &o->cap_ids, o->n + 1, sizeof *o->ids, e);
    if (!rc && o->n == o->cap_ends) rc = array_grow((void **)&o->ends, &o->cap_ends, o->n + 1, sizeof *o->ends, e);
    if (rc) return rc;
    o->ids[o->n] = id;
    o->ends[o->n++] = end;
    return 0;
}

/* ---- one span without control tokens ---- */
struct encoder {
    const struct tokenizer *t;
    const char *text; /* the caller's */
    struct merge_work work;
    struct buf spaced; /* PIECES: the span with U+2581 as a space */
    struct output out;
};

static int add_symbol(struct merge_work *w, uint32_t from, uint32_t len, uint32_t end, int32_t id, struct error *e) {
    if (w->n == w->cap) {
        int rc = array_grow((void **)&w->symbols, &w->cap, w->n + 1, sizeof *w->symbols, e);
        if (rc) return rc;
    }
    w->symbols[w->n++] = (struct merge_symbol){.from = from, .len = len, .end = end, .id = id};
    return 0;
}

/* Merges the symbols gathered and puts the tokens. An unknown character becomes its bytes. */
static int flush_word(struct encoder *c, const char *text, struct error *e) {
    const struct tokenizer *t = c->t;
    if (!c->work.n) return 0;
    int rc = tokenizer_merge(t, text, &c->work, e);
    for (uint32_t i = 0; !rc && i != UINT32_MAX; i = c->work.symbols[i].next) {
        const struct merge_symbol *s = &c->work.symbols[i];
        if (s->id >= 0) {
            rc = put(&c->out, s->id, s->end, e);
            continue;
        }
        bool all = true;
        for (uint32_t k = 0; k < s->len; k++) all = all && t->byte_id[(uint8_t)text[s->from + k]] >= 0;
        if (all)
            for (uint32_t k = 0; !rc && k < s->len; k++)
                rc = put(&c->out, t->byte_id[(uint8_t)text[s->from + k]], s->end - s->len + k + 1, e);
        else if (t->unknown >= 0)
            rc = put(&c->out, t->unknown, s->end, e);
    }
    c->work.n = 0;
    return rc;
}

/* A byte that the vocabulary lacks yields nothing and lets its neighbours meet, as Hugging Face's tokenizers do: such
 * bytes are control characters nobody trained on. */
static int encode_bytes(struct encoder *c, size_t from, size_t to, struct error *e) {
    int rc = 0;
    while (!rc && from < to) {
        size_t end = tokenizer_word_end(c->text, from, to, c->t->digits_apart);
        for (size_t i = from; !rc && i < end; i++) {
            int32_t id = c->t->byte_id[(uint8_t)c->text[i]];
            if (id >= 0) rc = add_symbol(&c->work, (uint32_t)i, 1, (uint32_t)i + 1, id, e);
        }
        if (!rc) rc = flush_word(c, c->text, e);
        from = end;
    }
    return rc;
}

static int encode_pieces(struct encoder *c, size_t from, size_t to, struct error *e) {
    const struct tokenizer *t = c->t;
    c->spaced.len = 0;
    buf_append(&c->spaced, "", 0);
    for (size_t i = from; i < to;) { /* U+2581 means a space to the vocabulary, also where the text itself holds one */
        if (to - i >= 3 && memcmp(c->text + i, "\xe2\x96\x81", 3) == 0) {
            buf_append(&c->spaced, " ", 1);
            i += 3;
        } else {
            size_t n = 1;
            while (i + n < to && c->text[i + n] != '\xe2') n++;
            buf_append(&c->spaced, c->text + i, n);
            i += n;
        }
    }
    if (c->spaced.failed) return error_set(e, ERR_NOMEM, "", "Out of memory.");
    int rc = 0;
    const char *text = c->spaced.data;
    size_t at = from;
    bool after_text = false;
    for (size_t i = 0; !rc && i < c->spaced.len;) {
        uint32_t cp;
        int n = utf8_decode(text + i, c->spaced.len - i, &cp);
        assert(n > 0);
        if (text[i] == ' ' && (t->spaces_apart || (t->spaces_lead && after_text))) rc = flush_word(c, text, e);
        after_text = text[i] != ' ';
        at += text[i] == ' ' && c->text[at] != ' ' ? 3 : (size_t)n;
        if (!rc)
            rc =
                add_symbol(&c->work, (uint32_t)i, (uint32_t)n, (uint32_t)at, tokenizer_find(t, text + i, (size_t)n), e);
        i += (size_t)n;
    }
    return rc ? rc : flush_word(c, text, e);
}

static int encode_span(struct encoder *c, size_t from, size_t to, struct error *e) {
    if (from == to) return 0;
    return c->t->kind == TOKENIZER_BYTES ? encode_bytes(c, from, to, e) : encode_pieces(c, from, to, e);
}

/* The longest special token that stands at s, -1 when none does. */
static int32_t special_at(const struct tokenizer *t, const char *s, size_t len, bool plain_only) {
    for (uint32_t i = t->special_at[(uint8_t)*s]; i < t->special_at[(uint8_t)*s + 1]; i++) {
        const struct token *k = &t->tokens[t->specials[i]];
        if (plain_only && !k->plain) continue;
        if (k->bytes.len <= len && memcmp(k->bytes.data, s, k->bytes.len) == 0) return t->specials[i];
    }
    return -1;
}

static int encode(const struct tokenizer *t, const char *text, size_t len, bool prompt, struct output *out,
                  struct error *e) {
    struct encoder c = {.t = t, .text = text};
    size_t from = 0;
    int rc = 0;
    if (len > TOKENIZER_MAX_TEXT)
        return error_set(e, ERR_LIMIT, "", "A text of more than %d bytes cannot be read at once.", TOKENIZER_MAX_TEXT);
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        int n = (uint8_t)text[i] < 0x80 ? 1 : utf8_decode(text + i, len - i, &cp);
        if (n <= 0) {
            char where[40];
            snprintf(where, sizeof where, "byte %zu", i);
            return error_set(e, ERR_FORMAT, where, "The text is not valid UTF-8.");
        }
        i += (size_t)n;
    }
    for (size_t i = 0; !rc && i < len;) {
        if (t->special_at[(uint8_t)text[i]] == t->special_at[(uint8_t)text[i] + 1]) {
            i++;
            continue;
        }
        int32_t id = special_at(t, text + i, len - i, !prompt);
        if (id < 0) {
            i++;
            continue;
        }
        rc = encode_span(&c, from, i, e);
        i += t->tokens[id].bytes.len;
        from = i;
        if (!rc) rc = put(&c.out, id, (uint32_t)i, e);
    }
    if (!rc) rc = encode_span(&c, from, len, e);
    free(c.work.symbols);
    free(c.work.heap);
    buf_free(&c.spaced);
    *out = c.out;
    if (rc) {
        free(out->ids);
        free(out->ends);
    }
    return rc;
}

/* ---- the public functions ---- */
static int tokenize(const struct jamba_model *m, const char *text, size_t len, bool prompt, int32_t **ids,
                    uint32_t **ends, size_t *n, struct error *e) {
    struct output out = {0};
    *ids = NULL;
    *n = 0;
    if (ends) *ends = NULL;
    int rc = encode(m->tokenizer, text, len, prompt, &out, e);
    if (rc) return rc;
    *ids = out.ids;
    *n = out.n;
    if (ends)
        *ends = out.ends;
    else
        free(out.ends);
    return 0;
}

int jamba_tokenize(const struct jamba_model *m, const char *text, size_t len, int32_t **ids, uint32_t **ends, size_t *n,
                   struct error *e) {
    return tokenize(m, text, len, false, ids, ends, n, e);
}

int jamba_tokenize_prompt(const struct jamba_model *m, const char *text, size_t len, int32_t **ids, size_t *n,
                          struct error *e) {
    return tokenize(m, text, len, true, ids, NULL, n, e);
}

struct slice jamba_token_bytes(const struct jamba_model *m, int32_t id) {
    const struct tokenizer *t = m->tokenizer;
    return id >= 0 && (uint32_t)id < t->n ? t->tokens[id].bytes : (struct slice){"", 0};
}

int32_t jamba_control_token(const struct jamba_model *m, const char *name) {
    const struct tokenizer *t = m->tokenizer;
    struct slice s = slice_of(name);
    if (!s.len) return -1;
    for (uint32_t i = t->special_at[(uint8_t)*name]; i < t->special_at[(uint8_t)*name + 1]; i++)
        if (!t->tokens[t->specials[i]].plain && slice_equal(t->tokens[t->specials[i]].bytes, s)) return t->specials[i];
    return -1;
}
