/* known.c: whether a question is said in words that the model can read or the set holds. Owns what a word and a script
 * are here; refuses nothing: a question without words counts as known.
 *
 * A model of one language puts a question in another script somewhere among its vectors, and the nearest statement is
 * then an unrelated one; P(none) is no guard, for such a question is unlike all that the model was trained on. A word
 * of Latin letters or digits counts as known, for another word of the same meaning may stand in the set; a word of any
 * other script only when it stands there itself. So a question in the documents' own script is asked as ever: its small
 * words are theirs.
 */
#include "engine/analysis/inside.h"

#include <string.h>

enum { QUESTION_WORDS = 64 /* the first ones of a longer question */ };

/* Scripts written without spaces between words: each of their characters counts as a word. */
static bool stands_alone(uint32_t cp) {
    return (cp >= 0x0e00 && cp <= 0x0eff) || /* Thai, Lao */
           (cp >= 0x1000 && cp <= 0x109f) || /* Myanmar */
           (cp >= 0x1780 && cp <= 0x17ff) || /* Khmer */
           (cp >= 0x3040 && cp <= 0x30ff) || /* kana */
           (cp >= 0x3400 && cp <= 0x9fff) || /* Han */
           (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x20000 && cp <= 0x323af);
}

/* A letter or digit: ASCII's, and all above it but the signs of Latin-1, punctuation and symbols. */
static bool is_letter(uint32_t cp) {
    if (cp < 0x80) return (cp >= '0' && cp <= '9') || ((cp | 32) >= 'a' && (cp | 32) <= 'z');
    return cp >= 0xc0 && cp != 0xd7 && cp != 0xf7 && !(cp >= 0x2000 && cp <= 0x2bff) &&
           !(cp >= 0x3000 && cp <= 0x303f) && !(cp >= 0xff00 && cp <= 0xff0f) && !(cp >= 0xff1a && cp <= 0xff20);
}

static bool is_latin(uint32_t cp) {
    return cp < 0x250 || (cp >= 0x1e00 && cp <= 0x1eff); /* with all accents */
}

struct word {
    struct slice text;
    bool latin, known;
};

/* The next word of s from *at on; false at the end. */
static bool next_word(struct slice s, size_t *at, struct word *w) {
    size_t start = SIZE_MAX, i = *at;
    *w = (struct word){.latin = true};
    while (i < s.len) {
        uint32_t cp;
        int n = utf8_decode(s.data + i, s.len - i, &cp);
        if (n <= 0) n = 1, cp = ' ';
        bool letter = is_letter(cp), alone = letter && stands_alone(cp);
        if (start != SIZE_MAX && (!letter || alone)) break;
        if (letter && start == SIZE_MAX) start = i;
        if (letter && !is_latin(cp)) w->latin = false;
        i += (size_t)n;
        if (alone) break;
    }
    *at = i;
    if (start == SIZE_MAX) return false;
    w->text = (struct slice){s.data + start, i - start};
    return true;
}

bool words_known(const struct corpus *c, struct slice question, float share) {
    struct word words[QUESTION_WORDS], w;
    size_t n = 0, n_known = 0;
    for (size_t at = 0; n < QUESTION_WORDS && next_word(question, &at, &w); n++) {
        w.known = w.latin;
        n_known += w.known;
        words[n] = w;
    }
    for (size_t i = 0; i < c->n_docs; i++)
        for (size_t at = 0; (float)n_known < share * (float)n && next_word(c->docs[i].doc->text, &at, &w);)
            for (size_t k = 0; !w.latin && k < n; k++)
                if (!words[k].known && slice_equal(words[k].text, w.text)) words[k].known = true, n_known++;
    return (float)n_known >= share * (float)n;
}
