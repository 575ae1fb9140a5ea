/* structure.h (insiders of ingest/): what sections.c and statements.c share while ingest_structure works. */
#ifndef ANTINOMY_INGEST_STRUCTURE_H
#define ANTINOMY_INGEST_STRUCTURE_H

#include "ingest/blocks.h"
#include "ingest/ingest.h"
#include "ingest/lex.h"

enum mark_style {
    MARK_NONE,
    MARK_KEYWORD,     /* "Section 9.03", "ARTICLE IV", "Exhibit B" */
    MARK_DECIMAL,     /* "1.", "4.2", "4.2.1" */
    MARK_DIGIT_PAREN, /* "(1)", "1)" */
    MARK_LOWER,       /* "(a)", "a." */
    MARK_LOWER_ROMAN, /* "(i)" */
    MARK_UPPER,       /* "(A)", "A." */
    MARK_UPPER_ROMAN, /* "(I)", "IV." */
    MARK_BULLET       /* "-", "*" */
};
enum {
    MARK_COMPONENTS = 8,
    MARK_LETTER = 1000 /* a letter as first component: "B.10" -> MARK_LETTER + 2, 10 */
};

/* The number at a block's start, as it reads on its own. "(i)" may be the ninth letter or one in Roman: both are kept
 * until the sequence decides. */
struct mark {
    enum mark_style style;
    enum mark_style other; /* second reading, MARK_NONE when there is none */
    bool paren;            /* in parentheses */
    bool bare;             /* a number without full stop or parenthesis: only looks can make it a mark */
    uint32_t ordinal, other_ordinal;
    uint32_t components[MARK_COMPONENTS]; /* of a decimal or of a keyword's decimal: 4.2.1 -> 4, 2, 1 */
    uint32_t n_components;
    uint32_t keyword;         /* keyword marks: which kind, 1.. (section, article, exhibit ...) */
    struct ingest_span span;  /* the mark, with keyword and trailing full stop */
    struct ingest_span shown; /* without trailing full stop */
};

/* A block with what was found at its start. */
struct piece {
    struct ingest_block block;
    struct mark mark;           /* style MARK_NONE when the block has no (plausible) number */
    uint32_t section;           /* innermost section of the block's text */
    bool is_heading;            /* the whole block is a heading */
    bool opens;                 /* it opens `section` */
    struct ingest_span heading; /* heading or run-in heading; empty when none */
    uint32_t body;              /* where sentences begin: behind mark and run-in heading */
};

struct structure {
    struct ingest_document *d;
    struct piece *pieces;
    size_t n_pieces, cap_pieces;
    struct ingest_section *sections;
    size_t n_sections, cap_sections;
    struct ingest_statement *statements;
    size_t n_statements, cap_statements;
    struct lex lex; /* scratch */
};

/* marks.c */
struct mark_reader { /* scratch of the patterns: one a thread */
    void *data, *context;
};
bool mark_reader_open(struct mark_reader *m);
void mark_reader_close(struct mark_reader *m);
bool mark_read_with(struct mark_reader *m, const char *text, uint32_t start, uint32_t end, struct mark *out);
bool mark_read(const char *text, uint32_t start, uint32_t end, struct mark *out);
/* Keywords that stand above all clauses: a schedule has its own clause 1. */
static inline bool keyword_is_outer(uint32_t k) {
    return k >= 5 && k <= 9;
}

/* sections.c */
int sections_build(struct structure *s, struct error *e);
/* statements.c */
int statements_build(struct structure *s, struct error *e);

static inline struct slice structure_text(const struct structure *s, struct ingest_span p) {
    return (struct slice){s->d->text.data + p.start, p.end - p.start};
}
/* A line of a table of contents: "Fees ........ 12", ". . . . ." */
bool structure_leaders(struct slice t);
static inline bool span_empty(struct ingest_span p) {
    return p.start >= p.end;
}

#endif
