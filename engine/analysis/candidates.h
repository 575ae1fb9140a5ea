/* candidates.h (insiders of analysis/): frames that may speak of the same thing, found by shared words instead of all
 * pairs. */
#ifndef ANTINOMY_CANDIDATES_H
#define ANTINOMY_CANDIDATES_H

#include "engine/analysis/detect.h"

/* One compared pair of frames. */
struct candidate {
    uint32_t a, b; /* frames, a < b */
    struct sameness same;
    int verdict; /* the detector's: enum verdict */
};
enum verdict { VERDICT_NONE, VERDICT_AGREE, VERDICT_SOFT, VERDICT_CONFLICT };

struct candidate_list {
    struct candidate *items;
    size_t n, cap;
};
/* Calls compare for frames [first, end) of one run that share a dimension and words; keeps those with a verdict other
 * than NONE. */
int candidates_collect(struct detect_set *s, uint32_t first, uint32_t end, float least,
                       enum verdict (*compare)(const struct detect_set *s, const struct frame *a,
                                               const struct frame *b),
                       struct candidate_list *out);
void candidates_free(struct candidate_list *l);
/* Whether documents, tables and lists allow the two to be compared at all; adds to the doubt where they are neighbours.
 */
bool candidates_allowed(const struct detect_set *s, const struct frame *a, const struct frame *b, float *doubt);

#endif
