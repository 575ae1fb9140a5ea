/* column.c: which cell of a table's row answers a question. Owns: the cells of a row and the names of their columns, by
 * the places that a spreadsheet's words carry; refuses to guess: the cell is the answer only when the question says
 * more words of its column's name than of any other's. "What is the lead time of valve B-109?" -> the cell under "Lead
 * time (days)" in the row of B-109. Words that stand in the row itself tell which row is meant, not which column. */
#include "engine/analysis/inside.h"

#include <ctype.h>
#include <string.h>

enum { COLUMNS_MAX = 256, STEM_MIN = 4 };

struct name {
    struct ingest_span cell;
    uint32_t column, column_end;
    unsigned said, words; /* how many words of its name the question says; how many it has */
};

static bool word_byte(unsigned char c) {
    return isalnum(c) || c >= 0x80;
}

/* Marks inside a word belong to it: "B-109", "12.5", "A/4". */
static bool next_word(struct slice s, size_t *at, struct slice *word) {
    size_t i = *at;
    while (i < s.len && !word_byte((unsigned char)s.data[i])) i++;
    size_t from = i;
    while (i < s.len &&
           (word_byte((unsigned char)s.data[i]) ||
            (i > from && strchr("-./_", s.data[i]) && i + 1 < s.len && word_byte((unsigned char)s.data[i + 1]))))
        i++;
    *at = i;
    *word = (struct slice){s.data + from, i - from};
    return word->len > 0;
}

/* Equal, or one of four letters or more begins the other: "ordered" and "order". */
static bool same_word(struct slice a, struct slice b) {
    struct slice less = a.len < b.len ? a : b, more = a.len < b.len ? b : a;
    if (!slice_equal_nocase(less, (struct slice){more.data, less.len})) return false;
    return less.len == more.len || (less.len >= STEM_MIN && more.len - less.len <= 3) ||
           (less.len + 1 == more.len && less.len > 2 && (more.data[less.len] | 32) == 's');
}

static bool says(struct slice text, struct slice word) {
    struct slice other;
    for (size_t at = 0; next_word(text, &at, &other);)
        if (same_word(word, other)) return true;
    return false;
}

static bool asks_only(struct slice word) { /* in every question: no name of a column */
    static const char *const words[] = {"what", "which", "who", "when", "where", "how", "is",  "are", "was", "were",
                                        "the",  "a",     "an",  "of",   "in",    "on",  "for", "to",  "and", "or",
                                        "does", "do",    "did", "has",  "have",  "by",  "at",  "its", "per", "with"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_equal_nocase(word, slice_of(words[i]))) return true;
    return false;
}

bool column_named(const struct corpus *c, const struct place *p, struct slice question, struct ingest_span *cell) {
    const struct ingest_document *d = c->docs[p->doc].doc;
    const struct ingest_statement *st = place_statement(c, p);
    struct name names[COLUMNS_MAX];
    size_t n = 0;
    if (!column_row(c, p) || st->lead_in.end <= st->lead_in.start) return false;
    for (size_t i = ingest_word_at(d, st->span.start); i < d->n_words && d->words[i].span.start < st->span.end; i++)
        if (n < COLUMNS_MAX)
            names[n++] = (struct name){d->words[i].span, (uint32_t)d->words[i].x0, (uint32_t)d->words[i].x1, 0, 0};
    for (size_t k = 0; k < n; k++)
        for (size_t i = ingest_word_at(d, st->lead_in.start);
             i < d->n_words && d->words[i].span.start < st->lead_in.end; i++) {
            if ((uint32_t)d->words[i].x1 <= names[k].column || (uint32_t)d->words[i].x0 >= names[k].column_end)
                continue;
            struct slice text = ingest_text(d, d->words[i].span), word;
            for (size_t at = 0; next_word(text, &at, &word); names[k].words++)
                names[k].said += !asks_only(word) && says(question, word) && !says(ingest_text(d, st->span), word);
        }
    const struct name *best = NULL;
    bool tie = false;
    for (size_t k = 0; k < n; k++) {
        if (!names[k].said) continue;
        bool more = !best || names[k].said > best->said;
        bool equal = best && names[k].said == best->said;
        if (more || (equal && names[k].words < best->words)) {
            best = &names[k];
            tie = false;
        } else if (equal && names[k].words == best->words) {
            tie = true;
        }
    }
    if (!best || tie) return false;
    *cell = best->cell;
    return true;
}

/* Letters and digits, or digits parted by marks: the name of one thing. */
static bool is_code(struct slice word) {
    bool digit = false, other = false;
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.data[i];
        if (isdigit(c))
            digit = true;
        else
            other = other || isalpha(c) || c == '-' || c == '/';
    }
    return digit && other;
}

bool column_row(const struct corpus *c, const struct place *p) {
    struct ingest_cells ignored;
    const struct ingest_statement *st = place_statement(c, p);
    return st->kind == INGEST_TABLE_ROW && ingest_cells_at(c->docs[p->doc].doc, st->span, &ignored);
}

/* Column names themselves: the rows behind have them for their header. */
static bool is_header(const struct ingest_document *d, uint32_t statement) {
    const struct ingest_statement *st = &d->statements[statement];
    for (uint32_t i = statement + 1; i < d->n_statements && d->statements[i].table == st->table; i++) {
        struct ingest_span lead = d->statements[i].lead_in;
        if (lead.end > lead.start) return lead.start <= st->span.start && st->span.end <= lead.end;
    }
    return false;
}

bool column_row_asked(const struct corpus *c, const struct place *p, struct slice question) {
    const struct ingest_document *d = c->docs[p->doc].doc;
    const struct ingest_statement *st = place_statement(c, p);
    struct ingest_span ignored;
    struct slice row = ingest_text(d, st->span), word, around[8] = {ingest_text(d, st->lead_in), d->name, d->title};
    size_t n_around = 3;
    if (is_header(d, p->statement)) return false;
    for (uint32_t s = st->section; s != INGEST_NONE && s < d->n_sections && n_around < 8; s = d->sections[s].parent)
        around[n_around++] = ingest_text(d, d->sections[s].heading);
    size_t found = 0, missing = 0;
    for (size_t at = 0; next_word(question, &at, &word);) {
        bool known = asks_only(word);
        for (size_t i = 0; i < n_around && !known; i++) known = says(around[i], word);
        if (known) continue;
        if (says(row, word))
            found++;
        else if (is_code(word))
            return false;
        else
            missing++;
    }
    return found || !missing || !column_named(c, p, question, &ignored);
}

bool column_repeats(const struct corpus *c, const struct place *p, struct ingest_span words) {
    const struct ingest_document *d = c->docs[p->doc].doc;
    const struct ingest_statement *st = place_statement(c, p);
    unsigned n = 0;
    if (!column_row(c, p)) return false;
    for (size_t i = ingest_word_at(d, st->span.start); i < d->n_words && d->words[i].span.start < st->span.end; i++) {
        struct slice text = ingest_text(d, d->words[i].span), key = ingest_text(d, words);
        n += key.len <= text.len && memmem(text.data, text.len, key.data, key.len) != NULL;
    }
    return n > 1;
}
