/* contrast.h (insiders of analysis/): differences between two frames that otherwise look the same. */
#ifndef ANTINOMY_CONTRAST_H
#define ANTINOMY_CONTRAST_H

#include "engine/analysis/detect.h"

#define GROUP_ORDER 1 /* the group of initial / renewal / second ... in lexicon.c */

/* The same sentence with another thing in one place: "defects of the lifts" against "defects of the heating". 0 none, 1
 * perhaps a verb, 2 a thing. */
int contrast_slots(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* "after the trial" against "during the trial", "with" against "without". */
bool contrast_prepositions(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* Another value on both sides besides the compared one, and none of it agrees: rows of two different cases. */
bool contrast_values(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* Both sides name days, and not the same: they speak of different times. */
bool contrast_days(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* Negations outside the compared value: "without load" against "with load". */
bool contrast_negation(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* How much of the conditions of a's statement b's statement speaks of, 0..1; 1 without conditions. *total: their
 * weight. */
float contrast_condition_overlap(const struct detect_set *s, const struct frame *a, const struct frame *b,
                                 float *total);
/* The value stands inside a condition: it says when, not how much. */
bool contrast_conditional_value(const struct detect_set *s, const struct frame *f);
/* Two blocks of one document with the same sentences before or behind: parallel clauses for different cases. */
bool contrast_parallel(const struct detect_set *s, const struct subject_statement *a,
                       const struct subject_statement *b);
/* Short sentences of a long report behind sentences on different things. */
bool contrast_topic(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* Negations inside the conditions of a statement, odd or even; "unless" is one. */
bool contrast_condition_negated(const struct detect_set *s, const struct subject_statement *u);
/* "For the yard at Canal Street the ...": a place or case that the other side does not speak of. */
bool contrast_scope(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* Another value inside what is measured: "the dose in patients over 75 years". */
bool contrast_measured(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* Whether the word stands behind a modal verb or a form of "be" wherever the statement has it. */
bool contrast_predicate(const struct detect_set *s, const struct subject_statement *u, uint32_t id);
/* "all other sums", "the remaining copies": the rest of something, said in the clause of the value. */
bool contrast_rest(const struct detect_set *s, const struct frame *f);
/* Words of order ("first", "initial", "last") on one side alone. */
bool contrast_ordinal(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* "each visit" against "the last visit": the rule and one case of it. */
bool contrast_one_of_all(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* "Except for breaches of Article 3, ..." against what is said of breaches of Article 3: the rule and its exception. */
bool contrast_exception(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* "RT8" against "RT8 hybrid", "Tour 9" against "Tour 9 S": one name goes on. 0 no, 1 by a plain word, 2 by a name. */
int contrast_longer_name(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* "The Employee gives the Company notice" against "The Company gives the Employee notice". */
bool contrast_agents(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* What happened against what is required: "reported a ratio of 5.2 %" and "the required ratio is 3 %". */
bool contrast_report(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* "Pallets for air freight" against "a pallet": what follows "for" narrows the thing. */
bool contrast_purpose(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* "non-residents" against "residents". */
bool contrast_non(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* "including the substation" on one side alone. */
bool contrast_including(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* The actors of two active rules change places: each is somebody else in the other sentence. */
bool contrast_swapped(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* "revenue was up 14 %": how something moved, told for one part of a report after the other. */
bool contrast_movement(const struct detect_set *s, const struct frame *f);
/* Short sentences under different headings of one document: what they speak of stands above them. */
bool contrast_headings(const struct detect_set *s, const struct frame *a, const struct frame *b);

#endif
