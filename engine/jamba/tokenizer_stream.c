/* tokenizer_stream.c: tokens to text while they come. A token may end inside a UTF-8 character; what goes out never
 * does. */
#include "engine/jamba/tokenizer.h"

#include <string.h>

/* Could these bytes still become a character by more bytes? (RFC 3629; n >= 1, and they are no whole one yet) */
static bool unfinished(const char *s, unsigned n) {
    uint8_t a = (uint8_t)s[0], b = n > 1 ? (uint8_t)s[1] : 0;
    unsigned want = a >= 0xc2 && a <= 0xdf ? 2 : (a & 0xf0) == 0xe0 ? 3 : a >= 0xf0 && a <= 0xf4 ? 4 : 0;
    if (n >= want) return false;
    if (n > 1 && ((b & 0xc0) != 0x80 || (a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f) || (a == 0xf0 && b < 0x90) ||
                  (a == 0xf4 && b > 0x8f)))
        return false;
    return n < 3 || ((uint8_t)s[2] & 0xc0) == 0x80;
}

static void push_byte(struct jamba_text *t, char byte, struct buf *out) {
    t->held[t->n_held++] = byte;
    for (;;) {
        uint32_t cp;
        if (!t->n_held) return;
        if (utf8_decode(t->held, t->n_held, &cp) == (int)t->n_held) {
            buf_append(out, t->held, t->n_held);
            t->n_held = 0;
            return;
        }
        if (unfinished(t->held, t->n_held)) return;
        /* the last byte broke it: what stood before is lost, the byte may begin another character */
        buf_puts(out, "\xef\xbf\xbd");
        if (t->n_held == 1) {
            t->n_held = 0;
            return;
        }
        t->held[0] = byte;
        t->n_held = 1;
    }
}

void jamba_text_push(struct jamba_text *t, const struct jamba_model *m, int32_t id, struct buf *out) {
    const struct tokenizer *k = m->tokenizer;
    if (id < 0 || (uint32_t)id >= k->n || (k->tokens[id].special && !k->tokens[id].plain)) return;
    struct slice s = k->tokens[id].bytes;
    for (size_t i = 0; i < s.len; i++) push_byte(t, s.data[i], out);
}

void jamba_text_end(struct jamba_text *t, struct buf *out) {
    if (t->n_held) buf_puts(out, "\xef\xbf\xbd");
    t->n_held = 0;
}
