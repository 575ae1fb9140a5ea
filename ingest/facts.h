/* facts.h (insiders of ingest/): what the readers of facts share.
 *
 * facts.c walks the tokens of a statement once; at each token the readers are asked in order, the first that recognises
 * something claims its tokens, so that "Section 365" is never a number and "May 2020" never a permission.
 */
#ifndef ANTINOMY_INGEST_FACTS_H
#define ANTINOMY_INGEST_FACTS_H

#include "ingest/blocks.h"
#include "ingest/ingest.h"
#include "ingest/lex.h"

/* ---- numbers.c: figures and number words ---- */
struct number {
    double value;  /* of the words where both are given */
    double figure; /* of the figures in parentheses (or the words behind a figure); NaN when absent */
    bool words;    /* begins with number words */
    bool differ;   /* words and figures disagree */
    bool fraction; /* a pure fraction: "one-half", "3/4", "two thirds" */
    bool scaled;   /* has hundred, thousand, million ... as a word */
    bool grouped, decimal;
    bool paren; /* a second form in parentheses was read */
};
/* Reads a number at token i; returns tokens used, 0 if there is none. Sees signs ("-5", "minus 5") too. */
size_t number_read(const struct lex *x, size_t i, struct number *out);
/* One form only: no parenthesis behind it. */
size_t number_read_plain(const struct lex *x, size_t i, struct number *out);

/* ---- the walk ---- */
struct table_context {    /* of a table row */
    double scale;         /* "in thousands" in its header or caption; 1 */
    const char *currency; /* ISO code when the header, caption or column says so; NULL */
    bool percent;         /* the column's header says % */
};

struct facts {
    struct ingest_document *d;
    const struct ingest_statement *s;
    uint32_t statement;
    struct lex lex;
    size_t first;  /* first token of the statement itself; before it the lead-in and a break */
    bool *claimed; /* per token */
    size_t claimed_cap;
    const char *dollar;           /* what "$" means here: "USD" unless the document says otherwise */
    struct table_context caption; /* what the words above table `caption_of` say: read once a table */
    uint32_t caption_of;
    uint64_t money_columns; /* columns of that table where a cell had the sign of a currency */
    const char *money_currency;
    size_t attributed; /* first token that is somebody's word, SIZE_MAX = none */
    bool conditional;  /* statement or the tail of its list has a condition */
    struct ingest_fact *out;
    size_t n_out, cap_out;
};

/* What a reader of values found: tokens [first, end) with the bound words outside. */
struct value {
    size_t first, end;
    struct ingest_fact fact;
    struct ingest_span basis; /* "per month", "each year" behind an amount: goes to fact.object */
};

/* Each: returns tokens used from i on, 0 if there is nothing. They fill kind, value, value2, unit, date, flags of
 * v->fact. */
size_t facts_date_read(struct facts *f, size_t i, struct value *v);
size_t facts_money_read(struct facts *f, size_t i, struct value *v);
size_t facts_percentage_read(struct facts *f, size_t i, struct value *v);
size_t facts_period_read(struct facts *f, size_t i, struct value *v);
size_t facts_frequency_read(struct facts *f, size_t i, struct value *v);
size_t facts_quantity_read(struct facts *f, size_t i, struct value *v);
/* What looks like a value and is none: "24/7", "401(k)", phone numbers, "P.O. Box 5"; returns tokens to pass over. */
size_t facts_nonvalue(const struct facts *f, size_t i);
/* A cross-reference at i; adds facts itself. */
size_t facts_reference_read(struct facts *f, size_t i, struct error *e, int *rc);

/* Whole-statement readers. */
int facts_modality(struct facts *f, struct error *e);
int facts_terms(struct facts *f, struct error *e);
int facts_parties(struct facts *f, struct error *e);
int facts_table_row(struct facts *f, struct error *e);

/* facts_bound.c: words around a value: "not more than", "at least", "or less", "within". Widens [first, end) over them.
 */
void facts_bound(struct facts *f, struct value *v);
/* facts_subject.c: what the value measures; fills subject, object. */
void facts_subject(struct facts *f, struct value *v);

int facts_add(struct facts *f, const struct ingest_fact *fact, struct error *e);

/* A fact of the statement at hand with everything absent. */
struct ingest_fact facts_blank(const struct facts *f, enum ingest_fact_kind kind);
static inline struct ingest_span facts_span(const struct facts *f, size_t first, size_t end) {
    if (first >= end) {
        uint32_t at = first < f->lex.n ? f->lex.tokens[first].start : f->s->span.end;
        return (struct ingest_span){at, at};
    }
    return (struct ingest_span){f->lex.tokens[first].start, f->lex.tokens[end - 1].end};
}
/* "per month", "each year", "a day", "/month", "per share" behind an amount or a count. Returns tokens. */
size_t facts_basis(const struct lex *x, size_t i);
/* The numbers of a value whose kind, unit and end are known, and its basis: value; the upper end of a range, or the
 * figure that differs from the words (each NULL: none). */
void facts_measure(struct facts *f, struct value *v, double value, const double *upper, const double *figure);
/* Does token range [i, end) begin a "to"-like connector of a range? Returns its tokens. between: "and" counts. */
size_t facts_range_connector(const struct lex *x, size_t i, bool between);

#endif
