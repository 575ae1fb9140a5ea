/* asked.c: which kinds of value a question asks for: how much, how long, when, what fee. Owns the English words that
 * say so; refuses to guess: a question that asks for no value (who, why, may) and one in another language ask for none.
 *
 *   how   many / much [unit of time]     a count, a sum, a period
 *         long, soon, far, old, ...      a period, a sum, an age
 *   when  as the first word              a date or a period
 *   what  [is] ... noun                  what the noun is measured in; it stands last before a verb or preposition
 *         does ... cost                  a sum
 */
#include "engine/analysis/inside.h"

#include <string.h>

enum {
    WORDS = 48,         /* the first ones of a longer question */
    WORD_MAX_BYTES = 16 /* longer ones are in no list */
};
#define KIND(k) (1u << (k))
static const unsigned SUM = KIND(INGEST_AMOUNT) | KIND(INGEST_PERCENTAGE) | KIND(INGEST_NUMBER) | KIND(INGEST_TOTAL),
                      COUNT = KIND(INGEST_NUMBER) | KIND(INGEST_TOTAL), PERIOD = KIND(INGEST_PERIOD),
                      AGE = COUNT | PERIOD, TIME = PERIOD | KIND(INGEST_DATE), RATE = KIND(INGEST_PERCENTAGE);

struct question_word {
    char text[WORD_MAX_BYTES];
    bool first; /* of the question or of a sentence in it */
};

/* Each list is words with a space on either side. */
static bool listed(const char *list, const struct question_word *w) {
    char key[WORD_MAX_BYTES + 2];
    size_t n = strlen(w->text);
    key[0] = ' ';
    memcpy(key + 1, w->text, n);
    memcpy(key + 1 + n, " ", 2);
    return n && strstr(list, key);
}

static const char UNITS[] = " day days week weeks month months quarters year years hour hours minute minutes time ";
static const char DEGREES_OF_TIME[] = " long soon quickly fast late early ";
static const char DEGREES[] = " far large big high low tall wide heavy deep small ";
static const char BEFORE_WHEN[] = " by until till since from ";
static const char BE[] = " is are was were ";
static const char DO[] = " do does did has have had must may might can could shall should will would ";
static const char PAY[] = " cost pay owe earn ";
static const char NOUN_ENDS[] = " of for in on at to by from under per with about a an the if when after before "
                                "between that which who and or be been ";
static const char TIMES[] = " date dates day year month deadline hour ";
static const char PERIODS[] = " period term duration length notice ";
static const char RATES[] = " percentage percent proportion share part rate ";
static const char SUMS[] = " price cost costs fee fees salary amount sum balance bonus rent premium compensation pay "
                           "payment penalty fine charge charges royalty deposit budget discount commission allowance "
                           "limit cap minimum maximum value total ratio size threshold ";

/* Words of ASCII letters in lower case; "what's" is two. */
static size_t words_of(struct slice q, struct question_word *out) {
    size_t n = 0, len = 0;
    bool first = true;
    for (size_t i = 0; i <= q.len && n < WORDS; i++) {
        char ch = i < q.len ? q.data[i] : ' ';
        if (ch >= 'A' && ch <= 'Z') ch = (char)(ch - 'A' + 'a');
        if (ch >= 'a' && ch <= 'z') {
            if (len + 1 < WORD_MAX_BYTES) out[n].text[len] = ch;
            len++;
            continue;
        }
        if (len) {
            out[n].text[len < WORD_MAX_BYTES ? len : 0] = 0;
            out[n++].first = first;
            first = false;
            len = 0;
        }
        if (ch == '.' || ch == '?' || ch == '!') first = true;
    }
    return n;
}

static bool ends_noun(const struct question_word *w) {
    return listed(NOUN_ENDS, w) || listed(BE, w) || listed(DO, w);
}

static unsigned how(const struct question_word *w, size_t n) {
    if (!n) return 0;
    if (listed(DEGREES_OF_TIME, w)) return PERIOD;
    if (listed(DEGREES, w)) return SUM;
    if (strcmp(w->text, "old") == 0) return AGE;
    bool many = strcmp(w->text, "many") == 0;
    if (!many && strcmp(w->text, "much") != 0) return 0;
    for (size_t i = 1; i < n && i < 4 && !ends_noun(&w[i]); i++)
        if (listed(UNITS, &w[i])) return PERIOD;
    return many ? COUNT : SUM;
}

static unsigned what(const struct question_word *w, size_t n) {
    size_t i = 0;
    while (i < n && (listed(BE, &w[i]) || strcmp(w[i].text, "s") == 0 || strcmp(w[i].text, "the") == 0)) i++;
    if (i == 0 && n && listed(DO, w)) {
        while (i < n && !listed(PAY, &w[i])) i++;
        return i < n ? SUM : 0;
    }
    size_t end = i;
    while (end < n && !ends_noun(&w[end])) end++;
    unsigned kinds = 0;
    for (size_t tries = 0; !kinds && tries < 2 && end > i; tries++, end--) { /* "what fee", "what fee applies" */
        const struct question_word *noun = &w[end - 1];
        kinds = listed(TIMES, noun)              ? TIME
                : listed(PERIODS, noun)          ? PERIOD
                : listed(RATES, noun)            ? RATE
                : listed(SUMS, noun)             ? SUM
                : strcmp(noun->text, "age") == 0 ? AGE
                                                 : 0;
    }
    return kinds;
}

unsigned asked_values(struct slice question) {
    struct question_word w[WORDS];
    size_t n = words_of(question, w);
    unsigned kinds = 0;
    for (size_t i = 0; i < n && !kinds; i++) {
        if (strcmp(w[i].text, "how") == 0)
            kinds = how(w + i + 1, n - i - 1);
        else if (strcmp(w[i].text, "when") == 0)
            kinds = w[i].first || (i && w[i - 1].first && listed(BEFORE_WHEN, &w[i - 1])) ? TIME : 0;
        else if (strcmp(w[i].text, "what") == 0 || strcmp(w[i].text, "which") == 0)
            kinds = what(w + i + 1, n - i - 1);
    }
    return kinds;
}

bool states_value(const struct ingest_document *d, uint32_t statement, unsigned kinds) {
    size_t low = 0, high = d->n_facts;
    while (low < high) { /* ascending by statement */
        size_t mid = low + (high - low) / 2;
        if (d->facts[mid].statement < statement)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < d->n_facts && d->facts[low].statement == statement; low++)
        if (kinds >> d->facts[low].kind & 1) return true;
    return false;
}

/* The next figure of s from *at on: digits with points and commas inside. */
static bool next_figure(struct slice s, size_t *at, struct slice *figure) {
    size_t i = *at;
    while (i < s.len && !(s.data[i] >= '0' && s.data[i] <= '9')) i++;
    size_t start = i, end = i;
    for (; i < s.len && ((s.data[i] >= '0' && s.data[i] <= '9') || s.data[i] == '.' || s.data[i] == ','); i++)
        if (s.data[i] >= '0') end = i + 1;
    *at = i;
    *figure = (struct slice){s.data + start, end - start};
    return end > start;
}

bool states_figures(struct slice text, struct slice question) {
    struct slice wanted, found;
    for (size_t at = 0; next_figure(question, &at, &wanted);) {
        bool stands = false;
        for (size_t k = 0; !stands && next_figure(text, &k, &found);) stands = slice_equal(wanted, found);
        if (!stands) return false;
    }
    return true;
}
