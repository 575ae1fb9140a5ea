/* marks.c: the number at the start of a block, as it reads on its own: "4.2", "(a)", "ARTICLE IV", "§ 1013.4", "Exhibit
 * B", "-".
 *
 * PCRE2 patterns with match limits, tried by the first byte; whether the number is believed is the business of
 * sections.c. A letter may be a Roman number: both readings are kept. Refuses lower-case keywords ("part a of"), which
 * are prose. */
#include "ingest/structure.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- limits ---- */
enum {
    MARK_WINDOW = 96, /* a number with its keyword is no longer */
    MATCH_LIMIT = 5000
};

enum { P_KEYWORD, P_LETTER_DECIMAL, P_DECIMAL, P_PAREN, P_LETTER, P_BULLET, N_PATTERNS };
static const char *const patterns[N_PATTERNS] = {
    /* 1 sign or 2 keyword, 3 number, 4 parenthesised tail */
    [P_KEYWORD] = "^(?:(§§?)\\s*|(article|section|sections|sec\\.|clause|paragraph|schedule|exhibit|annex|annexure|"
                  "appendix|attachment|"
                  "chapter|part|title|addendum|subpart|rule)\\s+(?:no\\.?\\s*|number\\s+)?)"
                  "([0-9]{1,5}[a-z]?(?:[.-][0-9]{1,4}[a-z]?){0,5}|[ivxlc]{1,7}\\b|[a-z](?:-?[0-9]{1,3})?\\b|one\\b|"
                  "two\\b|three\\b|four\\b|"
                  "five\\b|six\\b|seven\\b|eight\\b|nine\\b|ten\\b)((?:\\s?\\([a-z0-9]{1,5}\\))*)(?=[\\s.:;,–—-]|$)",
    [P_LETTER_DECIMAL] = "^([a-z])\\.([0-9]{1,3}(?:\\.[0-9]{1,3}){0,4})\\.?(?=\\s|$)", /* "B.10", "A.1.2" */
    [P_DECIMAL] = "^([0-9]{1,4}(?:\\.[0-9]{1,3}){0,6})([.)]?)((?:\\([a-z0-9]{1,5}\\))*)"
                  "(?=\\s|$|(?<=[.)])(?-i:[A-Z][a-z]))", /* "1.Definitions" too */
    [P_PAREN] = "^\\(?([0-9]{1,2}|[a-z]{1,2}|[ivxl]{1,7})\\)(?=\\s|$|(?-i:[A-Z]))",
    [P_LETTER] = "^([a-z]|[ivxl]{1,7})\\.(?=\\s)",
    [P_BULLET] = "^([-*•●▪■◦‣·–—►➢✓o])(?=\\s|$)",
};
static pcre2_code *compiled[N_PATTERNS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void compile(void) {
    for (int i = 0; i < N_PATTERNS; i++) {
        int code;
        PCRE2_SIZE at;
        compiled[i] =
            pcre2_compile((PCRE2_SPTR)patterns[i], PCRE2_ZERO_TERMINATED, PCRE2_CASELESS | PCRE2_UTF, &code, &at, NULL);
    }
}

bool mark_reader_open(struct mark_reader *m) {
    pthread_once(&once, compile);
    m->data = pcre2_match_data_create(10, NULL);
    m->context = pcre2_match_context_create(NULL);
    if (!m->data || !m->context) return false;
    pcre2_set_match_limit(m->context, MATCH_LIMIT);
    pcre2_set_depth_limit(m->context, 500);
    pcre2_set_heap_limit(m->context, 1000);
    return true;
}

void mark_reader_close(struct mark_reader *m) {
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
}

static bool match(struct mark_reader *m, int pattern, const char *s, size_t len, PCRE2_SIZE **groups) {
    if (!compiled[pattern]) return false;
    int n = pcre2_match(compiled[pattern], (PCRE2_SPTR)s, len, 0, PCRE2_ANCHORED, m->data, m->context);
    *groups = pcre2_get_ovector_pointer(m->data);
    if (n <= 0) return false;
    for (int i = n; i < 10; i++) (*groups)[2 * i] = (*groups)[2 * i + 1] = 0;
    return true;
}

/* Value of a Roman number; 0 when it is none in its usual form. */
static uint32_t roman(const char *s, size_t len) {
    static const struct {
        const char *text;
        uint32_t value;
    } steps[] = {{"c", 100}, {"xc", 90}, {"l", 50}, {"xl", 40}, {"x", 10}, {"ix", 9}, {"v", 5}, {"iv", 4}, {"i", 1}};
    uint32_t v = 0;
    size_t i = 0;
    for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
        size_t w = strlen(steps[k].text);
        int times = 0;
        while (i + w <= len && strncasecmp(s + i, steps[k].text, w) == 0 &&
               times < (w == 1 && steps[k].value != 50 && steps[k].value != 5 ? 3 : 1)) {
            v += steps[k].value;
            i += w;
            times++;
        }
    }
    return i == len ? v : 0;
}

/* a=1 ... z=26, aa=27, bb=28 (legal lists double the letter) */
static uint32_t letters(const char *s, size_t len) {
    char c = (char)tolower((unsigned char)s[0]);
    if (len == 1) return (uint32_t)(c - 'a') + 1;
    if (len == 2 && tolower((unsigned char)s[1]) == c) return (uint32_t)(c - 'a') + 27;
    return 0;
}

/* "IV", "B", "Four" */
static uint32_t spelled(const char *s, size_t len) {
    static const char *const words[] = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"};
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == len && strncasecmp(s, words[i], len) == 0) return i + 1;
    uint32_t r = roman(s, len);
    return r ? r : (uint32_t)(tolower((unsigned char)s[0]) - 'a') + 1;
}

static uint32_t keyword_of(const char *s, size_t len) {
    static const char *const words[] = {"article", "section", "clause",   "paragraph",  "schedule",
                                        "exhibit", "annex",   "appendix", "attachment", "chapter",
                                        "part",    "title",   "addendum", "subpart",    "rule"};
    if (len >= 3 && strncasecmp(s, "sec", 3) == 0) return 2;
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++)
        if (len >= strlen(words[i]) && strncasecmp(s, words[i], strlen(words[i])) == 0) return i + 1;
    return 0;
}

static void components(struct mark *m, const char *s, size_t len) {
    size_t i = 0;
    while (i < len && m->n_components < MARK_COMPONENTS) {
        if (s[i] < '0' || s[i] > '9') break;
        uint32_t v = 0;
        while (i < len && s[i] >= '0' && s[i] <= '9') v = v * 10 + (uint32_t)(s[i++] - '0');
        while (i < len && s[i] != '.' && s[i] != '-') i++;
        i++;
        m->components[m->n_components++] = v;
    }
    if (m->n_components) m->ordinal = m->components[m->n_components - 1];
}

static void letter_styles(struct mark *m, const char *s, size_t len) {
    bool upper = s[0] >= 'A' && s[0] <= 'Z';
    uint32_t r = roman(s, len), l = letters(s, len);
    if (l && !(len == 2 && r)) {
        m->style = upper ? MARK_UPPER : MARK_LOWER;
        m->ordinal = l;
        if (r) m->other = upper ? MARK_UPPER_ROMAN : MARK_LOWER_ROMAN, m->other_ordinal = r;
    } else if (r) {
        m->style = upper ? MARK_UPPER_ROMAN : MARK_LOWER_ROMAN;
        m->ordinal = r;
        if (l) m->other = upper ? MARK_UPPER : MARK_LOWER, m->other_ordinal = l;
    }
}

bool mark_read_with(struct mark_reader *mm, const char *text, uint32_t start, uint32_t end, struct mark *out) {
    *out = (struct mark){0};
    const char *s = text + start;
    size_t len = end - start;
    PCRE2_SIZE *g;
    if (len == 0) return false;
    /* a cheap look at the first byte spares most paragraphs the patterns */
    uint8_t c = (uint8_t)s[0];
    bool letter = (c | 32) >= 'a' && (c | 32) <= 'z';
    if (!letter && !(c >= '0' && c <= '9') && c != '(' && c != '-' && c != '*' && c < 0x80) return false;
    if (len > MARK_WINDOW) {
        len = MARK_WINDOW;
        while (len && ((uint8_t)s[len] & 0xC0) == 0x80) len--;
    }
    if (!utf8_valid(s, len)) return false;
    size_t mark_end = 0, shown_end = 0;
    if ((letter || c == 0xC2) && match(mm, P_KEYWORD, s, len, &g)) {
        const char *n = s + g[6];
        size_t n_len = g[7] - g[6];
        out->style = MARK_KEYWORD;
        out->keyword = g[3] > g[2] ? 2 : keyword_of(s + g[4], g[5] - g[4]);
        if (*n >= '0' && *n <= '9')
            components(out, n, n_len);
        else
            out->ordinal = spelled(n, n_len);
        /* "part a", "title i": lower-case words of running text are no headings */
        if (letter && s[0] >= 'a') return *out = (struct mark){0}, false;
        if (*n >= 'a' && *n <= 'z' && (keyword_is_outer(out->keyword) || n_len <= 2))
            return *out = (struct mark){0}, false;
        shown_end = mark_end = g[9] > g[8] ? g[9] : g[7];
        if (mark_end < len && (s[mark_end] == '.' || s[mark_end] == ':')) mark_end++;
    } else if (c >= '0' && c <= '9' && match(mm, P_DECIMAL, s, len, &g)) {
        bool stop = g[5] > g[4];
        components(out, s + g[2], g[3] - g[2]);
        if (out->components[0] == 0 && out->n_components == 1) return *out = (struct mark){0}, false;
        out->style = stop && s[g[4]] == ')' ? MARK_DIGIT_PAREN : MARK_DECIMAL;
        shown_end = g[7] > g[6] ? g[7] : stop && s[g[4]] == ')' ? g[5] : g[3];
        mark_end = g[7] > g[6] ? g[7] : g[5] > g[3] ? g[5] : g[3];
        if (out->n_components == 1 && !stop && g[7] <= g[6]) out->bare = true;
    } else if (c >= 'A' && c <= 'Z' && match(mm, P_LETTER_DECIMAL, s, len, &g)) {
        out->style = MARK_DECIMAL;
        out->components[out->n_components++] = MARK_LETTER + (uint32_t)(c - 'A') + 1;
        components(out, s + g[4], g[5] - g[4]);
        shown_end = g[5];
        mark_end = g[1];
    } else if (match(mm, P_PAREN, s, len, &g)) {
        out->paren = true;
        if (s[g[2]] >= '0' && s[g[2]] <= '9') {
            out->style = MARK_DIGIT_PAREN;
            out->ordinal = (uint32_t)strtoul((char[4]){s[g[2]], g[3] - g[2] > 1 ? s[g[2] + 1] : 0, 0, 0}, NULL, 10);
        } else {
            letter_styles(out, s + g[2], g[3] - g[2]);
        }
        shown_end = mark_end = g[1];
    } else if (letter && match(mm, P_LETTER, s, len, &g)) {
        letter_styles(out, s + g[2], g[3] - g[2]);
        shown_end = g[3];
        mark_end = g[1];
    } else if (match(mm, P_BULLET, s, len, &g)) {
        out->style = MARK_BULLET;
        shown_end = mark_end = g[3];
    }
    if (out->style == MARK_NONE) return false;
    out->span = (struct ingest_span){start, start + (uint32_t)mark_end};
    out->shown = (struct ingest_span){start, start + (uint32_t)shown_end};
    return true;
}

bool mark_read(const char *text, uint32_t start, uint32_t end, struct mark *out) {
    struct mark_reader m;
    bool found = mark_reader_open(&m) && mark_read_with(&m, text, start, end, out);
    mark_reader_close(&m);
    return found;
}
