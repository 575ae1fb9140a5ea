/* tokenizer.h: inside engine/jamba only. Text to token ids and back; the public functions (jamba.h) are in tokenizer.c.
 *
 * Two kinds, one struct. BYTES: byte-level BPE; text is cut into words (tokenizer_words.c), a word's bytes are the
 * first symbols. PIECES: SentencePiece BPE; code points are the first symbols, a space counts as U+2581, code points
 * outside the vocabulary become byte tokens. Both then merge the best adjacent pair until none is left
 * (tokenizer_merge.c), by the rank of a merge or by a piece's score.
 *
 * Token texts are kept as the bytes they stand for: the byte alphabet of GPT-2 and U+2581 are undone at load.
 */
#ifndef ANTINOMY_JAMBA_TOKENIZER_H
#define ANTINOMY_JAMBA_TOKENIZER_H

#include "engine/jamba/gguf.h"

enum tokenizer_kind { TOKENIZER_BYTES, TOKENIZER_PIECES };

/* GGUF's and SentencePiece's numbers */
enum token_type {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6
};

struct token {
    struct slice bytes; /* what it stands for; a control token's name */
    float score;        /* higher merges first; only without merges */
    uint8_t type;       /* enum token_type */
    bool special;       /* found by its name in prompts: control tokens, and user tokens */
    bool plain;         /* a user token that may stand in document text too (Jamba's ",") */
};

struct tokenizer {
    enum tokenizer_kind kind;
    bool digits_apart; /* BYTES: each numeral is a word of its own */
    bool by_merges;    /* else by score */
    bool spaces_apart; /* PIECES: each space starts a new word, runs of spaces never merge */
    bool spaces_lead;  /* PIECES: no piece has a space behind another character, so a space starts a new word */
    uint32_t n;
    struct token *tokens; /* [n] */
    int32_t byte_id[256]; /* -1: the vocabulary lacks it */
    int32_t unknown;      /* -1: none */
    uint32_t *text_slots; /* id + 1 by bytes: tokens that text may become */
    size_t n_text_slots;
    struct merge_slot {
        uint64_t pair; /* left << 32 | right */
        uint32_t rank;
        int32_t id; /* -1: free */
    } * merge_slots;
    size_t n_merge_slots, n_merges;
    int32_t *specials; /* ids by first byte, longest name first */
    uint32_t special_at[257];
    struct arena arena;
    uint8_t digest[32];
};

/* ---- building: new, set every id, add merges in order of rank, finish ---- */
int tokenizer_new(struct tokenizer **out, enum tokenizer_kind kind, uint32_t n, uint32_t max_merges, struct error *e);
/* text: as the vocabulary file spells it; copied. */
int tokenizer_set(struct tokenizer *t, uint32_t id, struct slice text, enum token_type type, float score,
                  struct error *e);
/* left and right as the file spells them. ERR_FORMAT when one of the three tokens is not in the vocabulary. */
int tokenizer_add_merge(struct tokenizer *t, struct slice left, struct slice right, const char *where, struct error *e);
/* Builds the look-up tables; must be called before the first merge is added... */
int tokenizer_index(struct tokenizer *t, const char *where, struct error *e);
/* ...and this after the last one: digest. */
void tokenizer_seal(struct tokenizer *t);
void tokenizer_free(struct tokenizer *t);

/* From a GGUF's tokenizer.ggml.* keys. */
int tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g, struct error *e);

/* From the bytes of a SentencePiece .model or of a Hugging Face tokenizer.json; where names the file. */
int tokenizer_from_sentencepiece(struct tokenizer **out, struct slice file, const char *where, struct error *e);
int tokenizer_from_json(struct tokenizer **out, struct slice file, const char *where, struct error *e);

/* ---- inside ---- */
int32_t tokenizer_find(const struct tokenizer *t, const char *bytes, size_t len); /* -1: none */

/* The next word of text[at..len): returns its end. */
size_t tokenizer_word_end(const char *text, size_t at, size_t len, bool digits_apart);

struct merge_symbol {
    uint32_t from, len; /* in the text that pieces are looked up in */
    uint32_t end;       /* in the caller's text: byte behind it */
    int32_t id;         /* -1: unknown */
    uint32_t next, prev;
};
struct merge_candidate {
    double priority;    /* lower merges first */
    uint32_t left, len; /* left symbol, and the bytes of both: a merged symbol no longer fits */
    int32_t id;
};
struct merge_work {
    struct merge_symbol *symbols;
    size_t n, cap;
    struct merge_candidate *heap;
    size_t n_heap, cap_heap;
};
/* Merges work->symbols in place; what is left is chained from symbol 0 by `next` (UINT32_MAX ends). */
int tokenizer_merge(const struct tokenizer *t, const char *text, struct merge_work *work, struct error *e);

/* Unicode tables (unicode_tables.c, generated). */
bool unicode_is_letter(uint32_t cp);  /* general category L* */
bool unicode_is_numeral(uint32_t cp); /* general category N* */
bool unicode_is_space(uint32_t cp);   /* property White_Space */

#endif
