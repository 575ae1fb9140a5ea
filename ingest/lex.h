/* lex.h (insiders of ingest/): text -> tokens with classes, for the sentence splitter and the fact readers.
 *
 * A token is a run of letters, a number, or one mark. Every token keeps its exact byte range and a lower-case copy of
 * its characters (ASCII case, U+2019 as '), so that readers compare plain words. A word's classes come from one
 * vocabulary (vocabulary.c): what the readers know about English stands there and nowhere else.
 *
 * Splits: "thirty-day" is three tokens (the hyphen has no space beside it), "Buyer's" two ("buyer", "'s"), "days'" two,
 * "U.S." and "e.g." one, "don't" one, "1,250,000.50" one number, "4.2.1" and "11:59" one code, "$5m" three.
 */
#ifndef ANTINOMY_INGEST_LEX_H
#define ANTINOMY_INGEST_LEX_H

#include "base.h"

enum lex_kind {
    LEX_WORD,   /* letters */
    LEX_NUMBER, /* digits with grouping and decimals; value is set */
    LEX_CODE,   /* what only looks like a number: "4.2.1", "11:59", "S48", "A1B2", a URL */
    LEX_MARK,   /* one punctuation mark or symbol */
    LEX_BREAK   /* the border between lead-in and item */
};

enum lex_flag {
    LEX_SPACE = 1,    /* white space before it */
    LEX_CAPITAL = 2,  /* begins with a capital letter */
    LEX_UPPER = 4,    /* two or more letters, all capital */
    LEX_ORDINAL = 8,  /* "1st", "30th" */
    LEX_DECIMAL = 16, /* has a decimal point */
    LEX_GROUPED = 32, /* has thousands separators */
    LEX_ABBREV = 64   /* letters with inner full stops: "U.S." (includes its last stop) */
};

/* What the vocabulary says of a word; a word may be in several classes. */
enum lex_class {
    LEX_C_NUMBER = 1 << 0,   /* one ... ninety */
    LEX_C_SCALE = 1 << 1,    /* hundred, thousand, million ... */
    LEX_C_FRACTION = 1 << 2, /* half, third(s), quarter(s), eighths ... */
    LEX_C_ORDINAL = 1 << 3,  /* first ... thirty-first */
    LEX_C_TIME = 1 << 4,     /* day(s), week(s), month(s), year(s), hour(s) ... */
    LEX_C_MONTH = 1 << 5,    /* January, Jan ... ("may" too) */
    LEX_C_CURRENCY = 1 << 6, /* dollars, euro, usd ... */
    LEX_C_MODAL = 1 << 7,    /* shall, must, may, will, can, should ... */
    LEX_C_DETERMINER = 1 << 8,
    LEX_C_PREPOSITION = 1 << 9,
    LEX_C_CONJUNCTION = 1 << 10,
    LEX_C_PRONOUN = 1 << 11,
    LEX_C_BE = 1 << 12,          /* is, are, was, be, been ... */
    LEX_C_VERB = 1 << 13,        /* frequent verbs in any form */
    LEX_C_NEGATION = 1 << 14,    /* not, no, never, neither, nor, without */
    LEX_C_CONDITION = 1 << 15,   /* if, unless, except, provided, notwithstanding ... */
    LEX_C_ATTRIBUTION = 1 << 16, /* alleges, claims, contends, denied ... */
    LEX_C_REFERENCE = 1 << 17,   /* section, article, clause, exhibit ... */
    LEX_C_ADVERB = 1 << 18,
    LEX_C_UNIT = 1 << 19,         /* technical units and things counted */
    LEX_C_BUSINESS = 1 << 20,     /* business, working, banking, trading (before "days") */
    LEX_C_ABBREVIATION = 1 << 21, /* takes a full stop that ends no sentence: inc, ltd, no, sec, art */
    LEX_C_RELATIVE = 1 << 22,     /* which, that, who, whose, where, when */
    LEX_C_COMPANY = 1 << 23,      /* inc, llc, ltd, gmbh ... */
    LEX_C_TOTAL = 1 << 24         /* total, subtotal, sum, aggregate */
};

struct lex_token {
    uint32_t start, end; /* bytes of the document's text */
    uint32_t low;        /* its lower-case form begins here in lex.low */
    uint16_t len;        /* bytes of the lower-case form; longer words are cut for comparison only */
    uint8_t kind, flags;
    uint32_t classes;
    double value;
};

struct lex {
    const char *text;
    struct lex_token *tokens;
    size_t n, cap;
    char *low;
    size_t low_len, low_cap;
};

/* Appends the tokens of text[start, end). Linear. ERR_NOMEM. */
int lex_append(struct lex *x, const char *text, uint32_t start, uint32_t end, struct error *e);
int lex_append_break(struct lex *x, uint32_t at, struct error *e);
void lex_clear(struct lex *x); /* keeps the memory */
void lex_free(struct lex *x);

/* All of these answer false or 0 past the end, so readers need no bounds of their own. */
bool lex_is(const struct lex *x, size_t i, const char *word);
bool lex_in(const struct lex *x, size_t i, const char *words); /* one of the space-separated words */
bool lex_mark(const struct lex *x, size_t i, char c);
bool lex_has(const struct lex *x, size_t i, uint32_t classes);
bool lex_dash(const struct lex *x, size_t i);   /* - or any Unicode dash, minus included */
bool lex_hyphen(const struct lex *x, size_t i); /* a dash without space on either side, between two tokens */
bool lex_quote(const struct lex *x, size_t i);  /* any double quotation mark */
bool lex_space(const struct lex *x, size_t i);  /* white space before token i (true at the ends) */
/* Words in a row: "in the event of"; returns how many tokens matched, 0 if not. Hyphens in the text count as spaces. */
size_t lex_phrase(const struct lex *x, size_t i, const char *phrase);
/* The phrase ends right before token i: returns the index of its first token, or SIZE_MAX. */
size_t lex_phrase_before(const struct lex *x, size_t i, const char *phrase);

/* vocabulary.c */
uint32_t vocabulary_classes(const char *word, size_t len);
double vocabulary_number(const char *word, size_t len); /* value of a number, scale, ordinal or fraction word; NaN */
const char *vocabulary_currency(const char *word, size_t len); /* ISO 4217 of a currency word, code or sign; NULL */
struct slice vocabulary_unit(const char *word, size_t len);    /* canonical unit of a unit word, static; empty */
const char *vocabulary_time(const char *word, size_t len);     /* "day" for "days"; NULL */
int vocabulary_month(const char *word, size_t len);            /* 1..12, 0 */

#endif
