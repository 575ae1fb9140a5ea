/* value.h (insiders of analysis/): values of facts as frames, and whether two of them can both hold. */
#ifndef ANTINOMY_VALUE_H
#define ANTINOMY_VALUE_H

#include "engine/analysis/candidates.h"

/* Adds the frame of a fact; adds nothing where the fact states no value (a line of contents, a date of the document
 * itself). */
int value_frame(struct detect_set *s, uint32_t unit, uint32_t fact);
const struct ingest_fact *value_fact(const struct detect_set *s, const struct frame *f);
/* Both values in one measure: out = low and high of a, low and high of b. Periods in days or months, rates per day. */
void value_measure(const struct frame *a, const struct frame *b, double out[4]);
enum verdict value_compare(const struct detect_set *s, const struct frame *a, const struct frame *b);
/* "shall not be sold before 1 May": the day is the first on which it may be. */
bool value_first_day(const struct detect_set *s, const struct frame *f);
/* Days since 1970-01-01. */
int32_t value_civil(int y, int m, int d);
/* One line for a person, in s->out; empty when out of memory. */
struct slice value_explain(struct detect_set *s, const struct frame *a, const struct frame *b);
extern const char *const value_months[13];

#endif
