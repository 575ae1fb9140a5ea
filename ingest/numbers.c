/* numbers.c: figures and English number words -> values.
 *
 *   number  := plain [ "(" plain ")" ]                      thirty (30); 30 (thirty)
 *   plain   := [sign] figure [fraction] [scale] | words
 *   words   := "one million two hundred fifty thousand", "twelve and one-half", "two-thirds", "a hundred", "two dozen"
 *   fraction:= 1/2 | ½ | digits-digits/digits ("1-1/2")
 *
 * A number of words ends where the words stop to make one number: "two three" is two, then three. Refuses ordinals,
 * codes and years are the business of others. */
#include "ingest/facts.h"

#include <math.h>
#include <string.h>

static double word_value(const struct lex *x, size_t i) {
    return vocabulary_number(x->low + x->tokens[i].low, x->tokens[i].len);
}

static bool is_scale(const struct lex *x, size_t i) {
    return lex_has(x, i, LEX_C_SCALE) && !lex_in(x, i, "hundreds thousands");
}

/* ½ ¼ ¾ ⅓ ⅔ ⅛ ⅜ ⅝ ⅞ as a token */
static double glyph_fraction(const struct lex *x, size_t i) {
    static const struct {
        const char *glyph;
        double value;
    } glyphs[] = {{"½", 0.5},   {"¼", 0.25},  {"¾", 0.75},  {"⅓", 1.0 / 3}, {"⅔", 2.0 / 3},
                  {"⅛", 0.125}, {"⅜", 0.375}, {"⅝", 0.625}, {"⅞", 0.875}};
    for (size_t k = 0; k < sizeof glyphs / sizeof *glyphs; k++)
        if (lex_is(x, i, glyphs[k].glyph)) return glyphs[k].value;
    return NAN;
}

static bool figure(const struct lex *x, size_t i) {
    return i < x->n && x->tokens[i].kind == LEX_NUMBER && !(x->tokens[i].flags & LEX_ORDINAL);
}

/* "1/2" at i: two small whole figures around a slash without spaces. */
static size_t slash_fraction(const struct lex *x, size_t i, double *value) {
    if (!figure(x, i) || !lex_mark(x, i + 1, '/') || !figure(x, i + 2) || lex_space(x, i + 1) || lex_space(x, i + 2))
        return 0;
    double a = x->tokens[i].value, b = x->tokens[i + 2].value;
    if (lex_mark(x, i + 3, '/') && !lex_space(x, i + 3)) return 0; /* a date */
    if (b < 2 || b > 100 || a < 1 || a != floor(a) || b != floor(b) || a >= 100) return 0;
    if (a >= b) return 0; /* 24/7 */
    if (!(b == 2 || b == 3 || b == 4 || b == 5 || b == 6 || b == 8 || b == 10 || b == 12 || b == 16 || b == 20 ||
          b == 32 || b == 64 || b == 100))
        return 0; /* "52/53 weeks" */
    *value = a / b;
    return 3;
}

static size_t read_figure(const struct lex *x, size_t i, struct number *out) {
    size_t n = slash_fraction(x, i, &out->value);
    if (n) {
        out->fraction = true;
        return n;
    }
    if (!figure(x, i)) {
        double g = glyph_fraction(x, i);
        if (isnan(g)) return 0;
        out->value = g;
        out->fraction = true;
        return 1;
    }
    out->value = x->tokens[i].value;
    out->grouped = x->tokens[i].flags & LEX_GROUPED;
    out->decimal = x->tokens[i].flags & LEX_DECIMAL;
    n = 1;
    double part;
    size_t hyphen = lex_hyphen(x, i + 1) ? 1 : 0, m;
    if (!out->decimal && !isnan(glyph_fraction(x, i + 1)) && !lex_space(x, i + 1)) {
        out->value += glyph_fraction(x, i + 1);
        n = 2;
    } else if (!out->decimal && (m = slash_fraction(x, i + 1 + hyphen, &part)) && x->tokens[i].value < 1000) {
        out->value += part;
        n = 1 + hyphen + m;
    }
    /* "5 million", "5-million" */
    size_t s = n;
    if (lex_hyphen(x, i + s)) s++;
    while (is_scale(x, i + s) && !lex_is(x, i + s, "dozen")) {
        out->value *= word_value(x, i + s);
        out->scaled = true;
        n = ++s;
    }
    return n;
}

/* Token i can go on a number of words that has one behind it (hyphens between are passed over). */
static size_t hyphen_over(const struct lex *x, size_t i) {
    return lex_hyphen(x, i) ? 1 : 0;
}

static bool number_word(const struct lex *x, size_t i) {
    return lex_has(x, i, LEX_C_NUMBER) && x->tokens[i].kind == LEX_WORD;
}

/* A fraction behind a numerator: "half", "thirds"; not "second", and "quarter", "third" only where a fraction is meant.
 */
static double denominator(const struct lex *x, size_t i, double numerator, bool hyphen) {
    if (!lex_has(x, i, LEX_C_FRACTION)) return NAN;
    if (lex_in(x, i, "half halves")) return 0.5 * numerator;
    double d = word_value(x, i);
    bool plural = x->text[x->tokens[i].end - 1] == 's';
    if (numerator > 1 && !plural) return NAN;
    if (numerator == 1 && plural) return NAN;
    bool of = lex_is(x, i + 1, "of") || lex_in(x, i + 1, "percent %") ||
              (lex_is(x, i + 1, "per") && lex_in(x, i + 2, "cent centum"));
    if (lex_in(x, i, "quarter quarters") && !of && !hyphen) return NAN;
    if (!hyphen && !of && !lex_in(x, i, "eighths sixteenths tenths hundredths thirds fourths fifths")) return NAN;
    return numerator / d;
}

static size_t read_words(const struct lex *x, size_t i, struct number *out) {
    size_t at = i;
    double total = 0, current = 0;
    bool any = false, had_unit = false, had_ten = false;
    /* "a hundred", "a million", "half a million", "a dozen" */
    if (lex_in(x, i, "a an") && is_scale(x, i + 1)) {
        at = i + 1;
        current = 1;
        had_unit = true;
    } else if (lex_is(x, i, "half") && lex_is(x, i + 1, "a") && is_scale(x, i + 2)) {
        out->value = 0.5 * word_value(x, i + 2);
        out->scaled = true;
        return 3;
    } else if (lex_in(x, i, "half one-half")) {
        if (!lex_in(x, i + 1, "of the a its their his her")) return 0;
        out->value = 0.5;
        out->fraction = true;
        return 1;
    } else if (!number_word(x, i)) {
        return 0;
    }
    size_t end = i;
    while (at < x->n) {
        size_t h = at > i ? hyphen_over(x, at) : 0;
        size_t w = at + h;
        if (number_word(x, w)) {
            double v = word_value(x, w);
            if (v >= 20) {
                if (had_ten || had_unit) break;
                had_ten = true;
            } else {
                if (had_unit || (had_ten && v >= 10) || (had_ten && v == 0)) break;
                had_unit = true;
            }
            /* "one-third": a numerator, not part of the whole number */
            size_t d = w + 1 + hyphen_over(x, w + 1);
            double part = denominator(x, d, v, d > w + 1);
            if (!isnan(part) && v < 20 && !any && current == 0 && !had_ten) {
                out->value = part;
                out->fraction = true;
                return d + 1 - i;
            }
            current += v;
            any = true;
            at = end = w + 1;
            continue;
        }
        if (is_scale(x, w) && (any || at > i)) {
            double v = word_value(x, w);
            out->scaled = true;
            if (v == 100 || v == 12) {
                if (current == 0 || current >= 100) break;
                current *= v;
            } else {
                total += (current == 0 ? 1 : current) * v;
                current = 0;
            }
            had_unit = had_ten = false;
            any = true;
            at = end = w + 1;
            continue;
        }
        /* "two hundred and fifty", "twelve and one-half", "one million, two hundred thousand" */
        bool and = lex_is(x, w, "and") || (lex_mark(x, w, ',') && out->scaled);
        if (and&&any) {
            size_t k = w + 1;
            double g;
            if (lex_is(x, k, "a") && lex_is(x, k + 1, "half")) {
                out->value = total + current + 0.5;
                return k + 2 - i;
            }
            if (number_word(x, k)) {
                g = word_value(x, k);
                size_t d = k + 1 + hyphen_over(x, k + 1);
                double part =
                    lex_is(x, w, "and") ? denominator(x, d, g, d > k + 1 || lex_has(x, d, LEX_C_FRACTION)) : NAN;
                if (!isnan(part) &&
                    !(lex_in(x, d, "quarter quarters third") && d == k + 1 && !lex_is(x, d + 1, "percent"))) {
                    out->value = total + current + part;
                    return d + 1 - i;
                }
                /* after a scale only: "two hundred and fifty", not "two and three" */
                if (out->scaled && current < 1e3 && !had_unit && !had_ten &&
                    (lex_is(x, w, "and") || lex_has(x, k + 1, LEX_C_SCALE) || lex_hyphen(x, k + 1))) {
                    at = k;
                    continue;
                }
            }
            break;
        }
        break;
    }
    if (!any) return 0;
    out->value = total + current;
    return end - i;
}

size_t number_read_plain(const struct lex *x, size_t i, struct number *out) {
    *out = (struct number){.value = NAN, .figure = NAN};
    size_t n = 0;
    if (i >= x->n) return 0;
    bool minus = lex_dash(x, i) && lex_space(x, i) && !lex_space(x, i + 1) && figure(x, i + 1);
    bool word_minus = lex_in(x, i, "minus negative") && figure(x, i + 1);
    bool plus = (lex_mark(x, i, '+') || lex_is(x, i, "±")) && figure(x, i + 1) && !lex_space(x, i + 1);
    if (minus || word_minus || plus) {
        n = read_figure(x, i + 1, out);
        if (!plus) out->value = -out->value;
        return n ? n + 1 : 0;
    }
    if (x->tokens[i].kind == LEX_NUMBER || x->tokens[i].kind == LEX_MARK) return read_figure(x, i, out);
    if (x->tokens[i].kind != LEX_WORD) return 0;
    n = read_words(x, i, out);
    out->words = n > 0;
    return n;
}

size_t number_read(const struct lex *x, size_t i, struct number *out) {
    size_t n = number_read_plain(x, i, out);
    if (!n || !lex_mark(x, i + n, '(')) return n;
    struct number other;
    size_t m = number_read_plain(x, i + n + 1, &other);
    if (!m || !lex_mark(x, i + n + 1 + m, ')')) return n;
    if (other.words == out->words) return n; /* "Section 5 (2)", "three (four)" */
    if (!out->words && !other.words) return n;
    out->paren = true;
    out->figure = other.value;
    if (!out->words) { /* 30 (thirty): value is of the words */
        out->figure = out->value;
        out->value = other.value;
    }
    out->differ = fabs(out->value - out->figure) > 1e-9 * fmax(1, fabs(out->value));
    return n + m + 2;
}
