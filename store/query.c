/* query.c: a question in free text -> an FTS5 expression that never is a syntax error, and the FTS5 function that
 * reports matches.
 *
 * The expression is an OR of quoted phrases only. First the words (without the small words of English questions, unless
 * nothing else is left), which BM25 ranks. Then the forms of exact items, which count apart: phrases in quotation
 * marks, numbers, amounts, dates, clause numbers ("4.2(a)"), labelled parts ("Exhibit B"), names of two or more
 * capitalised words. An item is looked for in several forms: 1,250,000 = 1250000 = 1.25 million; 1 May 2024 = May 1,
 * 2024 = 2024-05-01. */
#include "store/database.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tokens: runs of letters and digits, as unicode61 sees them nearly (FTS5 cuts each once more) ---- */
struct token {
    size_t start, end;
    bool digit, upper; /* holds a digit; begins with A-Z */
};

static bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Bytes of the letter or digit at i, 0 when a separator stands there (its length in *skip). */
static size_t letter_at(struct slice s, size_t i, size_t *skip) {
    *skip = 1;
    if ((unsigned char)s.data[i] < 0x80) return is_alnum(s.data[i]) ? 1 : 0;
    uint32_t cp;
    int n = utf8_decode(s.data + i, s.len - i, &cp);
    if (n == 0) return 0;
    *skip = (size_t)n;
    /* Latin-1 signs, general punctuation, currency, CJK punctuation */
    if (cp < 0xc0 || (cp >= 0x2000 && cp <= 0x20cf) || (cp >= 0x3000 && cp <= 0x303f)) return 0;
    return (size_t)n;
}

static bool next_token(struct slice s, size_t from, struct token *t) {
    size_t i = from, n, skip;
    while (i < s.len && (n = letter_at(s, i, &skip)) == 0) i += skip;
    if (i >= s.len) return false;
    *t = (struct token){.start = i, .upper = s.data[i] >= 'A' && s.data[i] <= 'Z'};
    while (i < s.len && (n = letter_at(s, i, &skip)) > 0) {
        t->digit = t->digit || is_digit(s.data[i]);
        i += n;
    }
    t->end = i;
    return true;
}

static struct slice token_text(struct slice s, const struct token *t) {
    return (struct slice){s.data + t->start, t->end - t->start};
}

static bool one_of(struct slice word, const char *const *list) {
    for (; *list; list++)
        if (slice_equal_nocase(word, slice_of(*list))) return true;
    return false;
}

/* Words that shape an English question and say nothing of its subject. */
static bool is_small_word(struct slice w) {
    static const char *const list[] = {
        "a",    "an",   "and",   "any",   "are",  "as",    "at",    "be",    "been", "by",   "can",   "could",
        "did",  "do",   "does",  "for",   "from", "had",   "has",   "have",  "how",  "i",    "if",    "in",
        "into", "is",   "it",    "its",   "me",   "my",    "of",    "on",    "or",   "our",  "shall", "should",
        "so",   "that", "the",   "their", "them", "then",  "there", "these", "they", "this", "those", "to",
        "us",   "was",  "we",    "were",  "what", "when",  "where", "which", "who",  "whom", "whose", "why",
        "will", "with", "would", "you",   "your", "about", "s",     "am",    "may",  "must", NULL};
    return one_of(w, list);
}

/* ---- building ---- */
static bool phrase_add(struct query_terms *q, struct slice text) {
    if (q->n_phrases >= STORE_QUERY_PHRASES) return false;
    buf_puts(&q->match, q->n_phrases ? " OR \"" : "\"");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '"') buf_append(&q->match, "\"", 1); /* FTS5: a quote inside is doubled */
        buf_append(&q->match, c ? &c : " ", 1);       /* an expression ends at a NUL */
    }
    buf_puts(&q->match, "\"");
    q->n_phrases++;
    return true;
}

static bool has_letter(struct slice s) {
    struct token t;
    return next_token(s, 0, &t);
}

static void form_add(struct query_terms *q, struct slice text) {
    if (has_letter(text) && phrase_add(q, text)) q->item_of[q->n_phrases - 1] = (uint8_t)(q->n_items - 1);
}

static bool item_begin(struct query_terms *q) {
    if (q->n_items >= STORE_QUERY_ITEMS || q->n_phrases + 8 > STORE_QUERY_PHRASES) return false;
    q->items[q->n_items++] = (struct query_item){.clause = {"", 0}};
    return true;
}

struct slice clause_normalise(struct slice text, char *out, size_t cap) {
    static const char *const labels[] = {"section", "sections",  "sec",  "clause", "clauses",
                                         "article", "paragraph", "para", "no",     NULL};
    size_t n = 0;
    text = slice_trim(text);
    struct token t;
    if (next_token(text, 0, &t) && t.start == 0 && one_of(token_text(text, &t), labels))
        text.data += t.end, text.len -= t.end;
    for (size_t i = 0; i < text.len && n + 1 < cap; i++) {
        char c = text.data[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c + 32);
        if (c == '>') c = '.'; /* "Exhibit B > 3" */
        if (is_alnum(c) || c == '.' || c == '(' || c == ')' || c == '-') out[n++] = c;
    }
    while (n > 0 && (out[n - 1] == '.' || out[n - 1] == '-')) n--;
    size_t from = 0;
    while (from < n && out[from] == '.') from++;
    out[n] = 0;
    return (struct slice){out + from, n - from};
}

static void words_parse(struct query_terms *q, struct slice text, bool small) {
    struct token t, seen[STORE_QUERY_WORDS];
    size_t n_seen = 0;
    for (size_t at = 0; n_seen < STORE_QUERY_WORDS && next_token(text, at, &t); at = t.end) {
        struct slice w = token_text(text, &t);
        bool skip = !small && (is_small_word(w) || (w.len == 1 && !t.digit));
        for (size_t i = 0; i < n_seen && !skip; i++) skip = slice_equal_nocase(w, token_text(text, &seen[i]));
        if (skip || !phrase_add(q, w)) continue;
        seen[n_seen++] = t;
    }
    q->n_words = q->n_phrases;
}

/* ---- dates ---- */
static const char *const months[] = {"january", "february", "march",     "april",   "may",      "june",
                                     "july",    "august",   "september", "october", "november", "december"};

static int month_of(struct slice w) {
    for (int m = 0; m < 12; m++) {
        struct slice name = slice_of(months[m]);
        bool short_form = w.len >= 3 && w.len <= 4 &&
                          slice_equal_nocase(w, (struct slice){name.data, w.len < name.len ? w.len : name.len});
        if (slice_equal_nocase(w, name) || short_form) return m + 1;
    }
    return 0;
}

static int number_of(struct slice w, int max) { /* "1", "01", "1st"; 0 = not a number in 1..max */
    int v = 0;
    size_t i = 0;
    for (; i < w.len && is_digit(w.data[i]) && v <= max; i++) v = 10 * v + (w.data[i] - '0');
    struct slice rest = {w.data + i, w.len - i};
    static const char *const ordinal[] = {"st", "nd", "rd", "th", NULL};
    if (i == 0 || v < 1 || v > max || (rest.len && !one_of(rest, ordinal))) return 0;
    return v;
}

static void date_add(struct query_terms *q, int year, int month, int day) {
    char form[64];
    if (!item_begin(q)) return;
    const char *name = months[month - 1];
    snprintf(form, sizeof form, "%d %s %d", day, name, year);
    form_add(q, slice_of(form));
    snprintf(form, sizeof form, "%s %d %d", name, day, year);
    form_add(q, slice_of(form));
    snprintf(form, sizeof form, "%d %02d %02d", year, month, day);
    form_add(q, slice_of(form));
    snprintf(form, sizeof form, "%d %.3s %d", day, name, year);
    form_add(q, slice_of(form));
    const char *ending = day % 10 == 1 && day != 11   ? "st"
                         : day % 10 == 2 && day != 12 ? "nd"
                         : day % 10 == 3 && day != 13 ? "rd"
                                                      : "th";
    snprintf(form, sizeof form, "%d%s day of %s %d", day, ending, name, year);
    form_add(q, slice_of(form));
    snprintf(form, sizeof form, "%s %d%s %d", name, day, ending, year);
    form_add(q, slice_of(form));
    snprintf(form, sizeof form, "%d%s %s %d", day, ending, name, year);
    form_add(q, slice_of(form));
}

/* A date that begins at token t: its end, or 0. */
static size_t date_at(struct query_terms *q, struct slice s, const struct token *t) {
    struct token t2, t3;
    if (!next_token(s, t->end, &t2) || !next_token(s, t2.end, &t3)) return 0;
    struct slice a = token_text(s, t), b = token_text(s, &t2), c = token_text(s, &t3);
    int day, month, year;
    if (a.len == 4 && b.len == 2 && c.len == 2) { /* 2024-05-01 */
        year = number_of(a, 9999), month = number_of(b, 12), day = number_of(c, 31);
    } else if ((month = month_of(b))) { /* 1 May 2024 */
        day = number_of(a, 31), year = c.len == 4 ? number_of(c, 9999) : 0;
    } else if ((month = month_of(a))) { /* May 1, 2024 */
        day = number_of(b, 31), year = c.len == 4 ? number_of(c, 9999) : 0;
    } else {
        return 0;
    }
    if (!day || !month || year < 1000) return 0;
    date_add(q, year, month, day);
    return t3.end;
}

/* ---- numbers, amounts, clause numbers ---- */
static void digits_grouped(const char *digits, char *out) { /* 1250000 -> 1,250,000 */
    size_t n = strlen(digits), k = 0;
    for (size_t i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0) out[k++] = ',';
        out[k++] = digits[i];
    }
    out[k] = 0;
}

static const char *const scale_names[] = {"thousand", "million", "billion", NULL};
static const double scale_factor[] = {1e3, 1e6, 1e9};

static bool is_scale(struct slice w) {
    return one_of(w, scale_names);
}

/* A number as printed with its scale word: forms with and without thousands separators, and with a scale word. */
static void number_forms(struct query_terms *q, struct slice printed, struct slice scale) {
    char plain[40], form[96];
    size_t n = 0;
    for (size_t i = 0; i < printed.len && n + 1 < sizeof plain; i++)
        if (printed.data[i] != ',') plain[n++] = printed.data[i];
    plain[n] = 0;
    char *end;
    double v = strtod(plain, &end);
    if (*end || !isfinite(v)) return;
    bool scaled = false;
    for (int i = 0; i < 3; i++)
        if (slice_equal_nocase(scale, slice_of(scale_names[i]))) v *= scale_factor[i], scaled = true;
    if (v < 1e15 && v == floor(v)) {
        snprintf(plain, sizeof plain, "%.0f", v);
        if (!slice_equal(printed, slice_of(plain))) form_add(q, slice_of(plain));
        digits_grouped(plain, form);
        if (v >= 1000 && !slice_equal(printed, slice_of(form))) form_add(q, slice_of(form));
    }
    for (int i = 1; i < 3 && (scaled || v >= 1e5); i++) {
        double part = v / scale_factor[i];
        if (part < 0.1 || part >= 1000 || part * 1000 != floor(part * 1000)) continue;
        snprintf(form, sizeof form, "%g %s", part, scale_names[i]);
        form_add(q, slice_of(form));
    }
}

static bool starts_clause(struct slice before) {
    static const char *const labels[] = {"section", "sections", "sec",       "clause", "clauses",
                                         "article", "articles", "paragraph", "para",   NULL};
    return one_of(before, labels);
}

/* The sign stands right before i, or with one space between. */
static bool sign_before(struct slice s, size_t i, const char *sign) {
    size_t n = strlen(sign);
    if (i > n && s.data[i - 1] == ' ' && memcmp(s.data + i - 1 - n, sign, n) == 0) return true;
    return i >= n && memcmp(s.data + i - n, sign, n) == 0;
}

/* A run without spaces that holds a digit: "4.2(a)", "$1,250,000", "12.5%", "A-17". Returns its end. */
static size_t number_at(struct query_terms *q, struct slice s, const struct token *t, struct slice before) {
    size_t end = t->start, parens = 0;
    while (end < s.len) {
        char c = s.data[end];
        size_t skip, n = letter_at(s, end, &skip);
        if (n == 0 && !strchr(".,()-/", c)) break;
        if (n == 0 && c == 0) break;
        if (c == '(') parens++;
        if (c == ')' && parens-- == 0) break;
        end += n ? n : 1;
    }
    while (end > t->end && strchr(".,-/(", s.data[end - 1])) end--;
    if (parens && s.data[end - 1] != ')' &&
        memchr(s.data + t->start, '(', end - t->start)) { /* "30 (thirty" is not a clause */
        const char *open = memchr(s.data + t->start, '(', end - t->start);
        end = (size_t)(open - s.data);
    }
    if (end < t->end) end = t->end;
    struct slice run = {s.data + t->start, end - t->start};
    bool plain = true, dots = false, comma = false;
    for (size_t i = 0; i < run.len; i++) {
        plain = plain && (is_digit(run.data[i]) || run.data[i] == ',' || run.data[i] == '.');
        dots = dots || run.data[i] == '.' || run.data[i] == '(';
        comma = comma || run.data[i] == ',';
    }
    bool labelled = starts_clause(before) || sign_before(s, t->start, "\xc2\xa7"); /* § */
    bool money = sign_before(s, t->start, "$") || sign_before(s, t->start, "\xe2\x82\xac") ||
                 sign_before(s, t->start, "\xc2\xa3");
    struct token after = {0};
    struct slice scale = plain && next_token(s, end, &after) ? token_text(s, &after) : SLICE_LITERAL("");
    bool percent =
        end < s.len && (s.data[end] == '%' || (s.data[end] == ' ' && end + 1 < s.len && s.data[end + 1] == '%'));
    /* a year, a count, a short number: common, and BM25 has it as a word already */
    bool bare = plain && !dots && !comma && run.len <= 4;
    if (bare && !labelled && !money && !percent && !is_scale(scale)) return end;
    if (!item_begin(q)) return end;
    form_add(q, run);
    if (plain && !labelled) number_forms(q, run, scale);
    if ((dots || labelled) && !comma && !money && !percent) {
        char clause[64];
        q->items[q->n_items - 1].clause = arena_slice(&q->arena, clause_normalise(run, clause, sizeof clause));
    }
    return end;
}

static bool is_part_label(struct slice w) {
    static const char *const labels[] = {"exhibit", "schedule", "annex", "appendix", "attachment", "addendum", NULL};
    return one_of(w, labels);
}

/* "Exhibit B" or "Acme Holdings Limited": as one phrase. Returns its end, or 0. */
static size_t name_at(struct query_terms *q, struct slice s, const struct token *t) {
    struct token last = *t, next;
    size_t n = 1;
    bool label = is_part_label(token_text(s, t));
    while (n < 6 && next_token(s, last.end, &next) && next.start == last.end + 1 && s.data[last.end] == ' ') {
        bool part = label && n == 1 && (next.digit || next.upper || next.end - next.start == 1);
        if (!part && !(next.upper && !next.digit && !is_small_word(token_text(s, &next)))) break;
        last = next;
        n++;
        if (part) break;
    }
    if (n < 2 || !item_begin(q)) return 0;
    struct slice whole = {s.data + t->start, last.end - t->start};
    form_add(q, whole);
    char part_name[64];
    if (label)
        q->items[q->n_items - 1].clause = arena_slice(&q->arena, clause_normalise(whole, part_name, sizeof part_name));
    return last.end;
}

/* Opening quotation mark at i: bytes of it and its closing partner. */
static size_t quote_open(struct slice s, size_t i, struct slice *close) {
    static const char *const pairs[][2] = {
        {"\"", "\""}, {"\xe2\x80\x9c", "\xe2\x80\x9d"}, {"\xe2\x80\x9e", "\xe2\x80\x9c"}, {"\xc2\xab", "\xc2\xbb"}};
    for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
        struct slice open = slice_of(pairs[k][0]), rest = {s.data + i, s.len - i};
        if (!slice_starts_with(rest, open)) continue;
        *close = slice_of(pairs[k][1]);
        return open.len;
    }
    return 0;
}

static void quoted_parse(struct query_terms *q, struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        struct slice close;
        size_t open = quote_open(s, i, &close), from = i + open;
        if (!open || from >= s.len) continue;
        const char *end = memmem(s.data + from, s.len - from, close.data, close.len);
        if (!end) continue;
        struct slice inside = {s.data + from, (size_t)(end - s.data) - from};
        if (has_letter(inside) && inside.len <= 300 && item_begin(q)) form_add(q, inside);
        i = (size_t)(end - s.data) + close.len - 1;
    }
}

static void items_parse(struct query_terms *q, struct slice s) {
    struct token t;
    struct slice before = SLICE_LITERAL("");
    bool first = true;
    for (size_t at = 0; next_token(s, at, &t); first = false) {
        size_t end = date_at(q, s, &t);
        if (!end && t.digit) end = number_at(q, s, &t, before);
        /* the first word of a question is capitalised anyway */
        if (!end && t.upper && !first && !is_small_word(token_text(s, &t))) end = name_at(q, s, &t);
        if (!end && t.upper && is_part_label(token_text(s, &t))) end = name_at(q, s, &t);
        before = token_text(s, &t);
        at = end > t.end ? end : t.end;
    }
}

int query_parse(struct query_terms *q, struct slice text, struct error *e) {
    *q = (struct query_terms){0};
    words_parse(q, text, false);
    if (q->n_words == 0) words_parse(q, text, true);
    quoted_parse(q, text);
    items_parse(q, text);
    return q->match.failed ? store_nomem(e) : 0;
}

void query_free(struct query_terms *q) {
    buf_free(&q->match);
    arena_free(&q->arena);
}

/* ---- store_terms(table): what of the expression stands in a row ---- */
static void terms_function(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *ctx, int n_arg,
                           sqlite3_value **arg) {
    uint8_t out[4 + STORE_QUERY_PHRASES] = {0};
    int n = api->xPhraseCount(fts), n_tokens = 0, rc, n_inst = 0;
    (void)n_arg, (void)arg;
    if (n > STORE_QUERY_PHRASES) n = STORE_QUERY_PHRASES;
    rc = api->xColumnSize(fts, -1, &n_tokens);
    if (rc == SQLITE_OK) rc = api->xInstCount(fts, &n_inst);
    uint32_t len = n_tokens > 0 ? (uint32_t)n_tokens : 0;
    memcpy(out, &len, 4);
    for (int i = 0; i < n_inst && rc == SQLITE_OK; i++) {
        int phrase, column, offset;
        rc = api->xInst(fts, i, &phrase, &column, &offset);
        if (rc == SQLITE_OK && phrase >= 0 && phrase < n && out[4 + phrase] < 255) out[4 + phrase]++;
    }
    if (rc == SQLITE_OK)
        sqlite3_result_blob(ctx, out, 4 + n, SQLITE_TRANSIENT);
    else
        sqlite3_result_error_code(ctx, rc);
}

int query_register(sqlite3 *db, struct error *e) {
    fts5_api *api = NULL;
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &st, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_bind_pointer(st, 1, &api, "fts5_api_ptr", NULL);
    if (rc == SQLITE_OK) sqlite3_step(st);
    sqlite3_finalize(st);
    if (rc != SQLITE_OK || !api) return error_set(e, ERR_UNSUPPORTED, "", "This SQLite library is built without FTS5");
    rc = api->xCreateFunction(api, "store_terms", NULL, terms_function, NULL);
    return rc == SQLITE_OK ? 0 : db_error(db, rc, "Cannot prepare the search", e);
}
