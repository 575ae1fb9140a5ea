/* tokenizer_words.c: cuts text into the words of byte-level BPE; tokens never cross a word's border.
 *
 * GPT-2's rule (openai/gpt-2, encoder.py), tried in this order at each place:
 *     's 't 're 've 'm 'll 'd  |  one optional space + letters  |  one optional space + numerals
 *     |  one optional space + characters that are none of these  |  white space not followed by more text  |  white
 * space With digits apart (SmolLM) every numeral is first cut out as a word of its own, and the rule sees only the
 * pieces in between: white space before a numeral ends its piece, so it stays whole.
 */
#include "engine/jamba/tokenizer.h"

#include <string.h>

enum class { SPACE, LETTER, NUMERAL, OTHER };

/* Class of the character at text[at]; *n its bytes. The text is valid UTF-8. */
static enum class class_at(const char *text, size_t at, size_t len, size_t *n) {
    uint32_t cp = 0; int used = utf8_decode(text + at, len - at, &cp); *n = used > 0 ? (size_t)used : 1;
    if (unicode_is_letter(cp)) return LETTER;
    if (unicode_is_numeral(cp)) return NUMERAL;
    return unicode_is_space(cp) ? SPACE : OTHER;
}

static size_t contraction(const char *text, size_t at, size_t len) {
    static const char *const TAILS[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    for (size_t i = 0; i < sizeof TAILS / sizeof TAILS[0]; i++) {
        size_t n = strlen(TAILS[i]);
        if (len - at > n && memcmp(text + at + 1, TAILS[i], n) == 0) return 1 + n;
    }
    return 0;
}

size_t tokenizer_word_end(const char *text, size_t at, size_t len, bool digits_apart) {
    size_t n, end, start = at;
    if (text[at] == '\'' && (n = contraction(text, at, len)) != 0) return at + n;
    enum class c = class_at(text, at, len, &n);
    if (c == NUMERAL && digits_apart) return at + n;
    if (c == SPACE && text[at] == ' ' && at + 1 < len) {
        size_t m;
        enum class behind = class_at(text, at + 1, len, &m);
        if (behind != SPACE && !(behind == NUMERAL && digits_apart)) {
            c = behind;
            start = at + 1;
            n = m;
        }
    }
    size_t last = start; /* start of the run's last character */
    for (end = start + n; end < len;) {
        size_t m;
        enum class k = class_at(text, end, len, &m);
        if (k != c) {
            /* a run of white space leaves its last character to what follows, unless its piece ends here */
            if (c == SPACE && last > start && !(k == NUMERAL && digits_apart)) return last;
            break;
        }
        last = end;
        end += m;
    }
    return end;
}
