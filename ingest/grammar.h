/* grammar.h (insiders of ingest/): the little syntax that subjects and actors need: clauses, verbs, noun phrases, by
 * closed word classes. */
#ifndef ANTINOMY_INGEST_GRAMMAR_H
#define ANTINOMY_INGEST_GRAMMAR_H

#include "ingest/lex.h"

/* Is token i used as a verb here? "the purchase price" has none, "shall purchase" has one. */
bool grammar_verb(const struct lex *x, size_t i);
/* A word that can stand in a noun phrase: no preposition, pronoun, modal, verb in use ... */
bool grammar_noun(const struct lex *x, size_t i);
/* First token of the clause that holds token i, not before `from`: behind ; : . or a subordinating word, or behind an
 * "and" that joins clauses. Commas end a clause too, unless they enclose what stands right before i. */
size_t grammar_clause_start(const struct lex *x, size_t i, size_t from);
/* One past the last token of the clause that holds i: before ; . or the tokens of the next clause. */
size_t grammar_clause_end(const struct lex *x, size_t i, size_t to);
/* The noun phrase that ends right before token i ("a monthly fee" in "a monthly fee of"): its first token; i when there
 * is none. */
size_t grammar_np_before(const struct lex *x, size_t i, size_t from);
/* The noun phrase that begins at i: one past its last token; i when there is none. */
size_t grammar_np_after(const struct lex *x, size_t i, size_t to);
/* "On termination the Supplier shall": over a phrase of time or place before the subject; first where there is none. */
size_t grammar_skip_adjunct(const struct lex *x, size_t first, size_t end);
/* Trims determiners, conjunctions and marks off the front, prepositions and marks off the back. */
void grammar_trim(const struct lex *x, size_t *first, size_t *end);

#endif
