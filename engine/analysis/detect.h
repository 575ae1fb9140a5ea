/* detect.h (insiders of analysis/): what the typed detectors share. The path of one run:
 *
 * - lexicon.c: words -> stems with an id, light thesaurus, groups of qualifiers that exclude each other
 * - words.c: statements -> words with classes and marks (condition, past, proposal ...)
 * - subject.c: facts -> frames; sameness of two frames; contrast.c: what tells two alike statements apart
 * - family.c: documents -> parties, kind, date, version; which speak of the same deal
 * - precedence.c: amendments of single clauses, clauses on what prevails, status of a conflict
 * - candidates.c: pairs of frames that share words, without comparing all with all
 * - value.c, value_words.c, detect_value.c; detect_modality.c, detect_table.c, detect_term.c, detect_role.c: conflicts
 * - detect.c: runs all, sorts, says each conflict once
 *
 * Everything lives in one scratch arena for the run; only the pairs and their `why` go to the caller's arena.
 * One thread.
 */
#ifndef ANTINOMY_DETECT_H
#define ANTINOMY_DETECT_H

#include "engine/analysis/analysis.h"

#include <math.h>

/* ---- lexicon ---- */
enum {
    LEXICON_FUNCTION = 1,
    LEXICON_LIGHT = 2,
    LEXICON_MONTH = 4,
    LEXICON_WEEKDAY = 8,
    LEXICON_NEGATION = 16,
    LEXICON_NUMBER = 32,
    LEXICON_COMPANY = 64,
    LEXICON_TIME = 128
};
struct lexeme {
    struct slice stem;
    uint32_t flags;
    uint32_t df;               /* statements it occurs in */
    uint32_t n_lower, n_upper; /* occurrences that begin with a small, a capital letter (not at a statement's start) */
    uint16_t group[2], member[2]; /* qualifier groups it belongs to; group 0 = none */
    uint32_t first_alias;         /* names of parties that begin with it: index + 1 into set->aliases */
};
struct lexicon {
    struct arena *arena;
    struct lexeme *items;
    size_t n, cap;
    uint32_t *slots; /* hash of stem -> id + 1 */
    size_t n_slots;
};
int lexicon_init(struct lexicon *x, struct arena *a, struct error *e);
void lexicon_free(struct lexicon *x);
/* Id of a raw word (any case): lower-cased, stemmed, thesaurus applied; UINT32_MAX when out of memory. */
uint32_t lexicon_word(struct lexicon *x, const char *s, size_t len);
/* Id of a string kept as it is (codes, entities). */
uint32_t lexicon_exact(struct lexicon *x, const char *s, size_t len);
bool lexicon_is_role(uint16_t group); /* a group of parties: landlord / tenant */
size_t lexicon_stem(const char *s, size_t len, char out[64]);

/* ---- words of a statement ---- */
enum word_class { WORD_FUNCTION, WORD_CONTENT, WORD_NUMBER, WORD_CODE, WORD_NAME, WORD_ENTITY, WORD_SKIP };
enum {
    WORD_LEAD = 1,
    WORD_CAPITAL = 2,
    WORD_BREAK = 4 /* clause border before it */,
    WORD_CELL = 8 /* table cell border before it */,
    WORD_FIRST = 16,
    WORD_PAREN = 32 /* inside round brackets */,
    WORD_EDGE = 64 /* any punctuation before it */,
    WORD_QUOTE = 128 /* inside quotation marks */,
    WORD_CONDITION = 256 /* inside a condition or exception */
};
struct word {
    uint32_t start, end; /* bytes of the document's text */
    uint32_t id;
    uint16_t flags;
    uint8_t class;
};

/* Marks of a statement: in which mood it speaks. */
enum {
    MARK_CONDITION = 1,
    MARK_EXCEPTION = 2,
    MARK_ATTRIBUTED = 4,
    MARK_PAST = 8,
    MARK_PROPOSAL = 16,
    MARK_EXAMPLE = 32,
    MARK_AMENDS = 64,
    MARK_NEGATED = 128,
    MARK_QUESTION = 256,
    MARK_VERB = 512,     /* has a verb we know: it states something */
    MARK_OTHER = 2048,   /* "all other", "remaining": the rest of something */
    MARK_SELF = 4096,    /* "this Agreement": speaks of its own document */
    MARK_ANAPHORA = 1024 /* begins with "this amount", "it": speaks of the sentence before */
};
struct subject_statement {
    uint32_t doc, statement;
    uint32_t word, n_words; /* range of set->words */
    uint32_t head_word,
        n_head_words; /* words of the section headings above it, innermost first (range of set->words) */
    uint32_t first_fact, n_facts;
    uint32_t marks;
    uint32_t actor; /* lexeme of who acts, UINT32_MAX unknown */
};

/* ---- frames: a typed fact with the words that say what it is about ---- */
struct frame_word {
    uint32_t id;
    float weight;
    uint8_t class;
    uint8_t near;    /* among the nearest content words of the fact */
    uint8_t subject; /* inside the range that the fact reader found to be measured */
    uint8_t place;   /* 0 statement, 1 lead-in or column header, 2 heading */
};
struct frame {
    uint32_t unit;                   /* index of subject_statement */
    uint32_t fact;                   /* index into the document's facts */
    uint8_t class;                   /* enum analysis_class */
    const struct ingest_fact *plain; /* modality: a declaration that is no fact of the document; NULL */
    uint32_t dimension;              /* lexeme-like key: frames of different dimensions are never compared */
    uint32_t word, n_words;          /* range of set->frame_words, sorted by id */
    float total;                     /* sum of weights */
    double low, high;                /* normalised value or range */
    double given;                    /* value as written, for why */
    struct slice unit_name;          /* the unit of the fact, or the one in the label of a table row */
    enum ingest_bound bound;
    uint32_t per;    /* lexeme of "per X"; 0 none */
    double per_days; /* length of the time in "per month"; 0 none */
    float digits;    /* rounding half-width of the value as written (e.g. 0.05 million) */
    bool business, calendar, about;
    uint32_t actor;
    uint32_t noun; /* what is counted; of a modality: the first heavy word of the action */
    uint32_t verb; /* of a modality: the first word of the action */
};

/* ---- documents ---- */
/* SIBLING: two contracts of the same parties in other roles (contractor and operator), neither of which names the other
 */
enum document_relation {
    RELATION_SAME,
    RELATION_FAMILY,
    RELATION_COMPATIBLE,
    RELATION_VERSION,
    RELATION_DIFFERENT,
    RELATION_SIBLING
};
#define FAMILY_PARTIES 12
#define LONG_STATEMENTS 300 /* of reports and the like; the papers of a deal that list no parties are shorter */
#define FAMILY_ISSUER 6
struct family_document {
    uint32_t parties[FAMILY_PARTIES];
    uint32_t n_parties;
    uint32_t *title; /* content lexemes of title and name */
    size_t n_title;
    struct slice title_text;
    int32_t date;   /* days since 1970 of the document or its taking effect; INT32_MIN unknown */
    double version; /* 0 unknown */
    bool amendment, preliminary, restated;
    uint32_t amends;   /* document it amends, INGEST_NONE */
    uint32_t names[8]; /* proper names it uses most */
    uint32_t n_names;
    uint32_t issuer[FAMILY_ISSUER]; /* the name of who says "we" in it: a company alone on a line of the title page */
    uint32_t n_issuer;
    uint32_t *shingles; /* sorted hashes */
    size_t n_shingles;
    uint32_t title_statement; /* first statement that shows title or date */
};
/* One change: statement `by` of document `doc` replaces or changes section `section` of `target`. */
struct amendment {
    uint32_t doc, statement;
    uint32_t target;
    uint32_t section;        /* section of the target, or INGEST_NONE = the whole document */
    struct slice old_text;   /* only statements that contain it; empty = all of the section */
    uint32_t last_statement; /* new text runs from `statement` to here */
};
struct precedence {
    uint32_t doc, statement;
    uint32_t *winners, *losers; /* documents, or section of `doc` with PRECEDENCE_SECTION set */
    size_t n_winners, n_losers;
    bool any_loser; /* prevails over everything else of the family */
    bool prior;     /* "supersedes all prior ...": only earlier or preliminary documents lose */
};
#define PRECEDENCE_SECTION 0x80000000u

struct detect_set {
    const struct ingest_document *const *docs;
    size_t n_docs;
    struct arena scratch;
    struct arena *out;
    struct lexicon lexicon;
    struct word *words;
    size_t n_words, cap_words;
    struct subject_statement *units;
    size_t n_units, cap_units;
    uint32_t *first_unit; /* per document: index of its first unit; n_docs + 1 entries. Unit of statement s =
                             first_unit[doc] + s */
    struct frame_word *frame_words;
    size_t n_frame_words, cap_frame_words;
    struct frame *frames;
    size_t n_frames, cap_frames;
    struct family_document *family;
    uint8_t *relation; /* [n_docs, n_docs] enum document_relation */
    uint32_t
        *vocabulary; /* per document: sorted lexemes of its words and title, [first_word_of[d], first_word_of[d + 1]) */
    uint32_t *vocabulary_first; /* n_docs + 1 */
    struct amendment *amendments;
    size_t n_amendments, cap_amendments;
    struct precedence *precedences;
    size_t n_precedences, cap_precedences;
    struct entity *entities;
    size_t n_entities, cap_entities;
    struct alias *aliases;
    size_t n_aliases, cap_aliases;
    struct analysis_pair *pairs;
    size_t n_pairs, cap_pairs;
    double log_n;
    struct error *error;
};

/* ---- subject.c ---- */
int subject_build(struct detect_set *s);
int subject_tokenise(struct detect_set *s, uint32_t doc, uint32_t start, uint32_t end, uint16_t flags);
float subject_weight(const struct detect_set *s, uint32_t id);
static inline struct slice detect_text(const struct detect_set *s, uint32_t doc, uint32_t start, uint32_t end) {
    return (struct slice){s->docs[doc]->text.data + start, end - start};
}
static inline const struct ingest_statement *unit_statement(const struct detect_set *s,
                                                            const struct subject_statement *u) {
    return &s->docs[u->doc]->statements[u->statement];
}

bool words_in(const struct detect_set *s, uint32_t doc, const struct word *w,
              const char *words); /* one of the space-separated words, any case */
static inline bool words_digit(unsigned char c) {
    return c >= '0' && c <= '9';
}
static inline bool subject_is_value(enum ingest_fact_kind k) {
    return k == INGEST_AMOUNT || k == INGEST_PERCENTAGE || k == INGEST_NUMBER || k == INGEST_PERIOD ||
           k == INGEST_TOTAL;
}
/* A word of a frame by its lexeme; whether frame or statement has it at all; whether the statement itself says it;
 * whether a title does. */
const struct frame_word *subject_find(const struct detect_set *s, const struct frame *f, uint32_t id);
bool subject_mentions(const struct detect_set *s, const struct frame *f, uint32_t id);
bool subject_states(const struct detect_set *s, const struct frame *f, uint32_t id);
bool subject_in_title(const struct detect_set *s, uint32_t doc, uint32_t id);

/* What two frames have in common, and what keeps them apart. */
struct sameness {
    float score;               /* 0..1 */
    float dice, cover, anchor; /* parts of it: shared of both, shared of the smaller, nearest words shared */
    bool apart;                /* a named thing, qualifier, actor, period ... differs: never a contradiction */
    bool exact;                /* the words of what is measured are the same on both sides */
    float doubt;               /* what the score was reduced by */
};
/* Fills fr's words from its unit, around the fact f (NULL: the whole statement). */
int subject_frame_words(struct detect_set *s, struct frame *fr, const struct ingest_fact *f);
struct sameness subject_sameness(const struct detect_set *s, const struct frame *a, const struct frame *b);

/* ---- family.c, precedence.c ---- */
int family_entities(struct detect_set *s); /* before subject_build: parties and their names */
int family_build(struct detect_set *s);
int precedence_build(struct detect_set *s);
/* Section of a document that a reference names ("Section 4.2", "clause 7(a)", "Exhibit B"), INGEST_NONE if there is
 * none. */
uint32_t precedence_section(const struct ingest_document *d, struct slice reference);
/* The document of the set that words [from, to) of a statement name by its title, other than its own; INGEST_NONE. */
uint32_t precedence_named(const struct detect_set *s, const struct subject_statement *u, uint32_t from, uint32_t to);
/* Where `old` stands in the text as whole words; SIZE_MAX if it does not. */
size_t precedence_find(struct slice text, struct slice old);
/* Whether one statement changes the section that the other stands in. */
bool precedence_links(const struct detect_set *s, const struct subject_statement *a, const struct subject_statement *b);
/* True where the fact only repeats what an amendment takes away. */
bool precedence_is_old_text(const struct detect_set *s, uint32_t doc, struct ingest_span span);
/* How many ids two lists share; each ascending, without doubles. */
size_t family_shared(const uint32_t *a, size_t na, const uint32_t *b, size_t nb);
enum document_relation family_relation(const struct detect_set *s, uint32_t a, uint32_t b);
/* Status of a conflict of two statements by the document graph; fills `by`. drop = true: not a finding at all. */
enum analysis_status precedence_status(const struct detect_set *s, uint32_t unit_a, struct ingest_span span_a,
                                       uint32_t unit_b, struct ingest_span span_b, struct analysis_side *by,
                                       bool *drop);

/* Whether the clause on precedence that settled a conflict (its `by`) lets this statement prevail. */
bool precedence_prevails(const struct detect_set *s, const struct analysis_side *by, uint32_t unit);

/* ---- detectors ---- */
int detect_values(struct detect_set *s);
int detect_modality(struct detect_set *s);
int detect_tables(struct detect_set *s);
int detect_terms(struct detect_set *s);
int detect_roles(struct detect_set *s);
/* Adds a pair (orders its sides). `why` must live in s->out. */
int detect_add(struct detect_set *s, struct analysis_pair p);

#endif
