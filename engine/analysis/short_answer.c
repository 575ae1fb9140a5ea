/* short_answer.c: is the model's short answer in the words that are quoted? Owns the comparison after normalisation
 * (letter case, white space, typographic quotes and dashes, "thirty (30)" read as thirty or as 30) and the way back to
 * the document's own words; refuses an answer that stands nowhere, one that would drop a negation, and one that is as
 * good as the whole quote.
 *
 * A small model's free words are not shown. What is shown is the range of the statement that they name.
 */
#include "engine/analysis/inside.h"

#include <stdlib.h>
#include <string.h>

enum {
    NEGATION_REACH =
        64, /* bytes: a negation this close before the answer is taken into it; farther, the whole quote is shown */
    WHOLE_PERCENT = 85 /* an answer that covers more of the quote than this is the quote */
};

/* Normalised text with the byte of the source behind each byte. */
struct normal {
    char *s;
    uint32_t *at; /* [len + 1] */
    size_t len;
};

static void normal_free(struct normal *n) {
    free(n->s);
    free(n->at);
}

static bool normalise(struct slice t, struct normal *out) {
    *out = (struct normal){malloc(t.len + 1), malloc((t.len + 1) * sizeof(uint32_t)), 0};
    if (!out->s || !out->at) return false;
    size_t n = 0;
    for (size_t i = 0; i < t.len;) {
        uint32_t cp = 0;
        int k = utf8_decode(t.data + i, t.len - i, &cp);
        if (k <= 0) k = 1, cp = 0xFFFD;
        char ch = 0;
        bool drop = false;
        if (cp == ' ' || (cp >= 9 && cp <= 13) || cp == 0xA0 || cp == 0x2009 || cp == 0x202F || cp == 0x2007)
            ch = ' ';
        else if (cp == 0x2018 || cp == 0x2019 || cp == '`')
            ch = '\'';
        else if (cp == 0x201C || cp == 0x201D || cp == '"' || cp == 0xAD || cp == 0xAB || cp == 0xBB)
            drop = true;
        else if (cp >= 0x2010 && cp <= 0x2015)
            ch = '-';
        else if (cp >= 'A' && cp <= 'Z')
            ch = (char)(cp - 'A' + 'a');
        else if (cp < 0x80)
            ch = (char)cp;
        if (drop || (ch == ' ' && (n == 0 || out->s[n - 1] == ' '))) {
            i += (size_t)k;
            continue;
        }
        if (ch) {
            out->at[n] = (uint32_t)i;
            out->s[n++] = ch;
        } else {
            for (int b = 0; b < k; b++) {
                out->at[n] = (uint32_t)i + (uint32_t)b;
                out->s[n++] = t.data[i + (size_t)b];
            }
        }
        i += (size_t)k;
    }
    while (n && out->s[n - 1] == ' ') n--;
    out->at[n] = n ? out->at[n - 1] + 1 : 0;
    out->len = n;
    out->s[n] = 0;
    return true;
}

static bool word_byte(char ch) {
    return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || (unsigned char)ch >= 0x80;
}

static void remove_range(struct normal *n, size_t from, size_t to) {
    memmove(n->s + from, n->s + to, n->len - to + 1);
    memmove(n->at + from, n->at + to, (n->len - to + 1) * sizeof *n->at);
    n->len -= to - from;
}

static bool number_word(const char *s, size_t len) {
    static const char *const words[] = {
        "zero",    "one",       "two",      "three",    "four",    "five",     "six",      "seven",
        "eight",   "nine",      "ten",      "eleven",   "twelve",  "thirteen", "fourteen", "fifteen",
        "sixteen", "seventeen", "eighteen", "nineteen", "twenty",  "thirty",   "forty",    "fifty",
        "sixty",   "seventy",   "eighty",   "ninety",   "hundred", "thousand", "million",  "billion",
        "and",     "half",      "percent",  "per",      "cent",    "dollars",  "euros",    "pounds"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == len && memcmp(words[i], s, len) == 0) return true;
    return false;
}

/* "thirty (30) days": keep_words gives "thirty days", else "30 days". */
static void unfold_figures(struct normal *n, bool keep_words) {
    for (size_t i = 1; i < n->len; i++) {
        if (n->s[i] != '(') continue;
        size_t close = i + 1;
        bool figure = false;
        while (close < n->len && n->s[close] != ')' && close - i < 32) {
            figure |= n->s[close] >= '0' && n->s[close] <= '9';
            close++;
        }
        if (!figure || close >= n->len || n->s[close] != ')') continue;
        size_t end = i; /* number words before it, joined by spaces or hyphens */
        while (end > 0 && n->s[end - 1] == ' ') end--;
        size_t from = end;
        for (;;) {
            size_t w = from;
            while (w > 0 && (n->s[w - 1] == ' ' || n->s[w - 1] == '-') && from != end) w--;
            size_t word_end = w;
            while (w > 0 && n->s[w - 1] >= 'a' && n->s[w - 1] <= 'z') w--;
            if (w == word_end || !number_word(n->s + w, word_end - w)) break;
            from = w;
        }
        if (from == end) continue;
        if (keep_words) {
            remove_range(n, end, close + 1);
            i = end;
        } else {
            uint32_t words_at = n->at[from];
            remove_range(n, close, close + 1);
            remove_range(n, from, i + 1);
            n->at[from] = words_at; /* who names the figure is shown the words too */
            i = from;
        }
    }
}

static bool find_words(const struct normal *n, const char *key, size_t len, size_t *at) {
    for (size_t i = 0; len && i + len <= n->len; i++) {
        if (memcmp(n->s + i, key, len) != 0) continue;
        if (i > 0 && word_byte(n->s[i - 1]) && word_byte(n->s[i])) continue;
        if (i + len < n->len && word_byte(n->s[i + len]) && word_byte(n->s[i + len - 1])) continue;
        /* "1" must not be found in "1.5" or "1,000". */
        if (i + len + 1 < n->len && (n->s[i + len] == '.' || n->s[i + len] == ',') && n->s[i + len + 1] >= '0' &&
            n->s[i + len + 1] <= '9' && n->s[i + len - 1] >= '0' && n->s[i + len - 1] <= '9')
            continue;
        if (i > 1 && (n->s[i - 1] == '.' || n->s[i - 1] == ',') && n->s[i - 2] >= '0' && n->s[i - 2] <= '9' &&
            n->s[i] >= '0' && n->s[i] <= '9')
            continue;
        *at = i;
        return true;
    }
    return false;
}

/* ---- negation ---- */
static bool is_negation(const char *w, size_t len) {
    static const char *const words[] = {"not",  "no",     "never",   "neither", "nor",
                                        "none", "cannot", "without", "nothing", "nobody"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == len && memcmp(words[i], w, len) == 0) return true;
    return len > 3 && memcmp(w + len - 3, "n't", 3) == 0;
}

/* Takes a negation near before the answer into it. false: one is left out that could turn the answer's sense. */
static bool keep_negations(struct slice shown, size_t *start, size_t end) {
    bool value = false; /* a figure keeps its sense when a far-off part of the sentence is negated */
    for (size_t i = *start; i < end; i++) value |= shown.data[i] >= '0' && shown.data[i] <= '9';
    size_t i = 0, first = *start;
    while (i < shown.len) {
        char low[24];
        size_t n = 0, at = i;
        while (i < shown.len && n < sizeof low) {
            unsigned char ch = (unsigned char)shown.data[i];
            char put = (char)ch;
            if (ch >= 'A' && ch <= 'Z')
                put = (char)(ch - 'A' + 'a');
            else if (ch == 0xE2 && i + 2 < shown.len && (unsigned char)shown.data[i + 1] == 0x80 &&
                     (unsigned char)shown.data[i + 2] == 0x99)
                put = '\'', i += 2;
            else if (!((ch >= 'a' && ch <= 'z') || ch == '\''))
                break;
            low[n++] = put;
            i++;
        }
        if (n == 0) {
            i++;
            continue;
        }
        if (!is_negation(low, n) || (at >= *start && at < end)) continue;
        if (at < *start) {
            bool broken = false; /* another sentence or clause lies between */
            for (size_t k = at; k < *start; k++)
                broken |= shown.data[k] == ';' || (shown.data[k] == '.' && k + 1 < *start && shown.data[k + 1] == ' ');
            if (*start - at <= NEGATION_REACH && !broken) {
                if (at < first) first = at;
                continue;
            }
        }
        if (!value) return false;
    }
    *start = first;
    return true;
}

bool short_answer_find(struct slice shown, struct slice answer, size_t *start, size_t *end) {
    struct normal q = {0}, x = {0};
    bool ok = false;
    answer = slice_trim(answer);
    while (answer.len && memchr(".,;:", answer.data[answer.len - 1], 4)) answer.len--;
    if (!normalise(answer, &x) || x.len == 0) goto done;
    for (int variant = 0; variant < 3 && !ok; variant++) {
        normal_free(&q);
        if (!normalise(shown, &q)) goto done;
        if (variant) unfold_figures(&q, variant == 1);
        size_t at;
        if (find_words(&q, x.s, x.len, &at)) {
            *start = q.at[at];
            size_t last = q.at[at + x.len - 1];
            uint32_t cp;
            int k = utf8_decode(shown.data + last, shown.len - last, &cp);
            *end = last + (size_t)(k > 0 ? k : 1);
            int open = 0;
            for (size_t i = *start; i < *end; i++) open += (shown.data[i] == '(') - (shown.data[i] == ')');
            if (open > 0 && *end < shown.len && shown.data[*end] == ')') ++*end;
            ok = true;
        }
    }
    if (ok) ok = keep_negations(shown, start, *end);
    if (ok && (*end - *start) * 100 > shown.len * WHOLE_PERCENT) ok = false;
done:
    normal_free(&q);
    normal_free(&x);
    return ok;
}

bool short_answer_place(const struct corpus *c, const struct place *p, struct slice answer, struct ingest_span *words) {
    struct arena a = {0};
    const struct ingest_document *d = c->docs[p->doc].doc;
    const struct ingest_statement *st = place_statement(c, p);
    struct slice shown = place_text(c, p, &a);
    size_t start, end;
    bool ok = shown.data && short_answer_find(shown, answer, &start, &end);
    if (ok && place_has_lead_in(c, p)) {
        struct slice lead = slice_trim(ingest_text(d, st->lead_in));
        uint32_t lead_at = (uint32_t)(lead.data - d->text.data);
        if (end <= lead.len)
            *words = (struct ingest_span){lead_at + (uint32_t)start, lead_at + (uint32_t)end};
        else if (start > lead.len) {
            uint32_t base = st->span.start - (uint32_t)lead.len - 1;
            *words = (struct ingest_span){base + (uint32_t)start, base + (uint32_t)end};
        } else
            ok = false; /* over the gap between lead-in and item: no one range of the document */
    } else if (ok) {
        *words = (struct ingest_span){st->span.start + (uint32_t)start, st->span.start + (uint32_t)end};
    }
    arena_free(&a);
    return ok;
}

struct slice side_words(const struct corpus *c, const struct place *p, struct ingest_span span, struct arena *a) {
    const struct ingest_document *d = c->docs[p->doc].doc;
    struct ingest_span st = place_statement(c, p)->span;
    if (span.end <= span.start || span.start < st.start || span.end > st.end) return place_text(c, p, a);
    struct slice shown = ingest_text(d, st);
    size_t start = span.start - st.start, end = span.end - st.start;
    if (!keep_negations(shown, &start, end)) return place_text(c, p, a);
    return (struct slice){shown.data + start, end - start};
}
