/* lex.c: see lex.h. One pass, no back-tracking; invalid UTF-8 bytes count as letters (the readers give valid text,
 * callers may not). */
#include "ingest/lex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_COMPARED = 60 }; /* longer words are cut: nothing in the vocabulary is longer */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
static bool is_alpha(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* What a code point above 0x7f is to us: 'L' letter, 'S' space, 'P' mark, '\'' apostrophe. */
static char class_of(uint32_t cp) {
    if (cp == 0xA0 || (cp >= 0x2000 && cp <= 0x200B) || cp == 0x202F || cp == 0x205F || cp == 0x3000 || cp == 0xFEFF)
        return 'S';
    if (cp == 0x2019 || cp == 0x2018 || cp == 0x02BC) return '\'';
    if (cp < 0xC0) return cp == 0xAA || cp == 0xB5 || cp == 0xBA ? 'L' : 'P';
    if (cp == 0xD7 || cp == 0xF7) return 'P';
    if (cp == 0x3A9 || cp == 0x2126) return 'L';  /* ohm */
    if (cp >= 0x2010 && cp <= 0x2BFF) return 'P'; /* punctuation, currency, arrows, mathematics, boxes */
    if (cp >= 0x3001 && cp <= 0x3003) return 'P';
    if (cp >= 0xE000 && cp <= 0xF8FF) return 'P'; /* private use: bullets of symbol fonts */
    return 'L';
}

static struct lex_token *push(struct lex *x, struct error *e) {
    if (array_grow((void **)&x->tokens, &x->cap, x->n + 1, sizeof *x->tokens, e)) return NULL;
    struct lex_token *t = &x->tokens[x->n++];
    *t = (struct lex_token){.value = NAN};
    return t;
}

static int finish(struct lex *x, struct lex_token *t, uint32_t start, uint32_t end, struct error *e) {
    const char *s = x->text + start;
    size_t len = end - start;
    t->start = start, t->end = end;
    if (array_grow((void **)&x->low, &x->low_cap, x->low_len + WORD_COMPARED + 4, 1, e)) return ERR_NOMEM;
    t->low = (uint32_t)x->low_len;
    char *o = x->low + x->low_len;
    size_t n = 0;
    for (size_t i = 0; i < len && n < WORD_COMPARED; i++) {
        char c = s[i];
        if (c == '\xe2' && len - i >= 3 && s[i + 1] == '\x80' && (s[i + 2] == '\x99' || s[i + 2] == '\x98')) {
            c = '\'';
            i += 2;
        }
        o[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    t->len = (uint16_t)n;
    x->low_len += n;
    t->classes = vocabulary_classes(o, n);
    return 0;
}

/* Reads digits with grouping at s: "1,250,000.50", ".5". Returns bytes; 0 when it is a code ("4.2.1", "11:59", "1,2,3"
 * is three numbers). */
static size_t read_number(const char *s, size_t len, double *value, uint8_t *flags, bool *code) {
    size_t i = 0, digits = 0;
    char plain[64];
    size_t n = 0;
    *code = false;
    while (i < len && is_digit(s[i])) {
        if (n < 40) plain[n++] = s[i];
        i++, digits++;
        /* a separator of thousands: three digits follow, and no fourth */
        size_t sep = i < len && s[i] == ',' ? 1 : 0;
        if (!sep && len - i >= 2 && memcmp(s + i, "\xc2\xa0", 2) == 0) sep = 2;
        if (!sep && len - i >= 3 && (memcmp(s + i, "\xe2\x80\xaf", 3) == 0 || memcmp(s + i, "\xe2\x80\x89", 3) == 0))
            sep = 3;
        if (sep && (digits <= 3) && len - i >= sep + 3 && is_digit(s[i + sep]) && is_digit(s[i + sep + 1]) &&
            is_digit(s[i + sep + 2]) && (len - i == sep + 3 || !is_digit(s[i + sep + 3]))) {
            if (n < 37) memcpy(plain + n, s + i + sep, 3), n += 3;
            i += sep + 3;
            digits = 3;
            *flags |= LEX_GROUPED;
            /* the next group is looked at from here */
            while (i < len) {
                size_t g = s[i] == ',' ? 1 : len - i >= 2 && memcmp(s + i, "\xc2\xa0", 2) == 0 ? 2 : 0;
                if (!g && len - i >= 3 &&
                    (memcmp(s + i, "\xe2\x80\xaf", 3) == 0 || memcmp(s + i, "\xe2\x80\x89", 3) == 0))
                    g = 3;
                if (!g || len - i < g + 3 || !is_digit(s[i + g]) || !is_digit(s[i + g + 1]) ||
                    !is_digit(s[i + g + 2]) || (len - i > g + 3 && is_digit(s[i + g + 3])))
                    break;
                if (n < 37) memcpy(plain + n, s + i + g, 3), n += 3;
                i += g + 3;
            }
            break;
        }
    }
    if (i + 1 < len && s[i] == '.' && is_digit(s[i + 1])) {
        size_t j = i + 1;
        plain[n++] = '.';
        while (j < len && is_digit(s[j])) {
            if (n < 60) plain[n++] = s[j];
            j++;
        }
        *flags |= LEX_DECIMAL;
        if (j + 1 < len && s[j] == '.' && is_digit(s[j + 1])) { /* 4.2.1 */
            while (j < len && (is_digit(s[j]) || (s[j] == '.' && j + 1 < len && is_digit(s[j + 1])))) j++;
            *code = true;
        }
        i = j;
    } else if (i + 2 < len && s[i] == ':' && is_digit(s[i + 1]) && is_digit(s[i + 2])) { /* 11:59, 11:59:00 */
        while (i + 2 < len && s[i] == ':' && is_digit(s[i + 1]) && is_digit(s[i + 2])) i += 3;
        *code = true;
    }
    plain[n] = 0;
    *value = strtod(plain, NULL);
    return i;
}

/* Letters that may stand right behind a number without making it a code: "$5m", "20mm", "12th", "30days". */
static bool suffix_ok(const char *s, size_t len) {
    char w[16];
    if (len >= sizeof w) return false;
    for (size_t i = 0; i < len; i++) w[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
    if (vocabulary_classes(w, len) & (LEX_C_UNIT | LEX_C_TIME | LEX_C_SCALE | LEX_C_CURRENCY)) return true;
    static const char *const scales[] = {"m", "mm", "mn", "mio", "bn", "b", "k", "x", "bps", "am", "pm", "%", "t"};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        if (strlen(scales[i]) == len && memcmp(scales[i], w, len) == 0) return true;
    return false;
}

int lex_append(struct lex *x, const char *text, uint32_t start, uint32_t end, struct error *e) {
    x->text = text;
    uint32_t i = start;
    bool space = true;
    while (i < end) {
        const char *s = text + i;
        size_t left = end - i;
        uint32_t cp = (uint8_t)s[0];
        int bytes = 1;
        char class = 'P';
        if (cp >= 0x80) {
            bytes = utf8_decode(s, left, &cp);
            if (bytes == 0)
                bytes = 1, class = 'L';
            else
                class = class_of(cp);
        } else if (is_alpha(s[0])) {
            class = 'L';
        } else if (is_digit(s[0]) || (s[0] == '.' && left > 1 && is_digit(s[1]) && (i == start || !is_digit(s[-1])))) {
            class = 'D';
        } else if (s[0] == ' ' || (s[0] >= '\t' && s[0] <= '\r')) {
            class = 'S';
        } else if (s[0] == '\'') {
            class = '\'';
        }
        if (class == 'S') {
            space = true;
            i += (uint32_t)bytes;
            continue;
        }
        struct lex_token *t = push(x, e);
        if (!t) return ERR_NOMEM;
        if (space) t->flags |= LEX_SPACE;
        space = false;
        uint32_t j = i + (uint32_t)bytes;
        if (class == 'D') {
            bool code;
            size_t n = read_number(s, left, &t->value, &t->flags, &code);
            if (n == 0) n = 1;
            j = i + (uint32_t)n;
            t->kind = code ? LEX_CODE : LEX_NUMBER;
            uint32_t k = j;
            while (k < end && (is_alpha(text[k]) || is_digit(text[k]))) k++;
            if (k > j) {
                uint32_t letters = j;
                while (letters < k && is_alpha(text[letters])) letters++;
                bool ordinal = letters == k && k - j == 2 &&
                               (strncasecmp(text + j, "st", 2) == 0 || strncasecmp(text + j, "nd", 2) == 0 ||
                                strncasecmp(text + j, "rd", 2) == 0 || strncasecmp(text + j, "th", 2) == 0);
                if (ordinal) {
                    t->flags |= LEX_ORDINAL;
                    j = k;
                } else if (!(letters == k && suffix_ok(text + j, k - j)) &&
                           !((text[k - 1] == '2' || text[k - 1] == '3') && suffix_ok(text + j, k - j))) {
                    t->kind = LEX_CODE;
                    j = k;
                } else if (code) {
                    j = j; /* "11:59pm": the code ends here, a word follows */
                }
            }
        } else if (class == 'L') {
            t->kind = LEX_WORD;
            bool dots = false, digit = false;
            bool upper = s[0] >= 'A' && s[0] <= 'Z';
            uint32_t letters = 1, capitals = upper;
            if (upper) t->flags |= LEX_CAPITAL;
            while (j < end) {
                const char *p = text + j;
                if (is_alpha(*p)) {
                    letters++;
                    if (*p <= 'Z') capitals++;
                    j++;
                } else if (is_digit(*p)) {
                    digit = true;
                    j++;
                } else if ((uint8_t)*p >= 0x80) {
                    uint32_t c2;
                    int b2 = utf8_decode(p, end - j, &c2);
                    char k2 = b2 ? class_of(c2) : 'L';
                    if (b2 == 0) b2 = 1;
                    if (k2 == 'L' || c2 == 0xB2 || c2 == 0xB3) {
                        letters++;
                        j += (uint32_t)b2;
                    } else if (k2 == '\'' && j + 3 < end && is_alpha(text[j + 3]) &&
                               !((text[j + 3] == 's' || text[j + 3] == 'S') &&
                                 (j + 4 >= end || !is_alpha(text[j + 4])))) {
                        j += (uint32_t)b2; /* don’t, O’Brien; but not ’s */
                    } else {
                        break;
                    }
                } else if (*p == '\'' && j + 1 < end && is_alpha(p[1]) &&
                           !((p[1] == 's' || p[1] == 'S') && (j + 2 >= end || !is_alpha(p[2])))) {
                    j++;
                } else if (*p == '.' && j + 1 < end && is_alpha(p[1]) && (j + 2 >= end || !is_alpha(p[2])) &&
                           (letters == 1 || dots) && !digit) {
                    dots = true; /* U.S., e.g., L.L.C. */
                    j++;
                } else {
                    break;
                }
            }
            if (dots && j < end && text[j] == '.') j++;
            if (dots) t->flags |= LEX_ABBREV;
            if (digit) t->kind = LEX_CODE;
            if (letters >= 2 && capitals == letters) t->flags |= LEX_UPPER;
        } else if (class == '\'') {
            t->kind = LEX_MARK;
            if (!(t->flags & LEX_SPACE) && x->n > 1 && j < end && (text[j] == 's' || text[j] == 'S') &&
                (j + 1 >= end || !is_alpha(text[j + 1]))) {
                t->kind = LEX_WORD; /* Buyer's */
                j++;
            }
        } else {
            t->kind = LEX_MARK;
            if (cp == '.')
                while (j < end && text[j] == '.') j++; /* "..." and the leaders of a table of contents: one mark, no full stop */
            if (cp == 0xB0 && j < end && (text[j] == 'C' || text[j] == 'F') && (j + 1 >= end || !is_alpha(text[j + 1])))
                j++;
        }
        if (finish(x, t, i, j, e)) return ERR_NOMEM;
        if (t->kind == LEX_MARK && t->len > 2 && (t->classes & LEX_C_UNIT)) t->kind = LEX_WORD; /* °C */
        i = j;
    }
    return 0;
}

int lex_append_break(struct lex *x, uint32_t at, struct error *e) {
    struct lex_token *t = push(x, e);
    if (!t) return ERR_NOMEM;
    t->kind = LEX_BREAK;
    t->flags = LEX_SPACE;
    t->start = t->end = at;
    return 0;
}

void lex_clear(struct lex *x) {
    x->n = 0;
    x->low_len = 0;
}

void lex_free(struct lex *x) {
    free(x->tokens);
    free(x->low);
    *x = (struct lex){0};
}

bool lex_is(const struct lex *x, size_t i, const char *word) {
    if (i >= x->n) return false;
    const struct lex_token *t = &x->tokens[i];
    size_t len = strlen(word);
    return t->len == len && t->kind != LEX_BREAK && memcmp(x->low + t->low, word, len) == 0;
}

bool lex_in(const struct lex *x, size_t i, const char *words) {
    if (i >= x->n || x->tokens[i].kind == LEX_BREAK) return false;
    const struct lex_token *t = &x->tokens[i];
    const char *low = x->low + t->low;
    while (*words) {
        size_t len = strcspn(words, " ");
        if (len == t->len && memcmp(words, low, len) == 0) return true;
        words += len;
        if (*words) words++;
    }
    return false;
}

bool lex_mark(const struct lex *x, size_t i, char c) {
    return i < x->n && x->tokens[i].kind == LEX_MARK && x->tokens[i].len == 1 && x->low[x->tokens[i].low] == c;
}

bool lex_has(const struct lex *x, size_t i, uint32_t classes) {
    return i < x->n && (x->tokens[i].classes & classes) != 0;
}

bool lex_dash(const struct lex *x, size_t i) {
    return i < x->n && x->tokens[i].kind == LEX_MARK && lex_in(x, i, "- ‐ ‑ ‒ – — ― −");
}

bool lex_hyphen(const struct lex *x, size_t i) {
    return i > 0 && i + 1 < x->n && lex_dash(x, i) && !(x->tokens[i].flags & LEX_SPACE) &&
           !(x->tokens[i + 1].flags & LEX_SPACE);
}

bool lex_quote(const struct lex *x, size_t i) {
    return i < x->n && x->tokens[i].kind == LEX_MARK && lex_in(x, i, "\" “ ” „ ‟ « »");
}

bool lex_space(const struct lex *x, size_t i) {
    return i >= x->n || i == 0 || (x->tokens[i].flags & LEX_SPACE);
}

size_t lex_phrase(const struct lex *x, size_t i, const char *phrase) {
    size_t j = i;
    while (*phrase) {
        size_t len = strcspn(phrase, " ");
        if (j > i && lex_hyphen(x, j)) j++;
        if (j >= x->n || x->tokens[j].len != len || x->tokens[j].kind == LEX_BREAK ||
            memcmp(x->low + x->tokens[j].low, phrase, len) != 0)
            return 0;
        j++;
        phrase += len;
        if (*phrase) phrase++;
    }
    return j - i;
}

size_t lex_phrase_before(const struct lex *x, size_t i, const char *phrase) {
    size_t words = 1;
    const char *last = phrase;
    for (const char *p = phrase; *p; p++)
        if (*p == ' ') words++, last = p + 1;
    if (i == 0 || i > x->n || !lex_is(x, i - 1, last)) return SIZE_MAX; /* spares nearly every call */
    /* hyphens may add tokens: try the plain length first, then up to two more */
    for (size_t extra = 0; extra <= 2; extra++)
        if (i >= words + extra && lex_phrase(x, i - words - extra, phrase) == words + extra) return i - words - extra;
    return SIZE_MAX;
}
