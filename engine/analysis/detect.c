/* detect.c: the typed detectors over documents in memory (step 11 of the reader's path: rules propose). Owns the order
 * of work, the list of pairs, and what is said once: the same conflict of two statements is reported in its most
 * telling class. Knows no store, no model.
 */
#include "engine/analysis/detect.h"
#include "engine/analysis/entity.h"

#include <stdlib.h>
#include <string.h>

static bool before(const struct analysis_side *a, const struct analysis_side *b) {
    if (a->document != b->document) return a->document < b->document;
    if (a->statement != b->statement) return a->statement < b->statement;
    return a->span.start <= b->span.start;
}

int detect_add(struct detect_set *s, struct analysis_pair p) {
    if (!before(&p.a, &p.b)) {
        struct analysis_side t = p.a;
        p.a = p.b;
        p.b = t;
    }
    if (p.sameness > 1) p.sameness = 1;
    if (p.status == ANALYSIS_CONTRADICTION || p.status == ANALYSIS_UNCERTAIN)
        p.by = (struct analysis_side){.document = INGEST_NONE, .fact = INGEST_NONE};
    void *q = s->pairs;
    if (array_grow(&q, &s->cap_pairs, s->n_pairs + 1, sizeof p, s->error)) return ERR_NOMEM;
    s->pairs = q;
    s->pairs[s->n_pairs++] = p;
    return 0;
}

static int by_place(const void *x, const void *y) {
    const struct analysis_pair *a = x, *b = y;
#define ORDER(f)                                                                                                       \
    if (a->f != b->f) return a->f < b->f ? -1 : 1
    ORDER(a.document);
    ORDER(a.statement);
    ORDER(b.document);
    ORDER(b.statement);
    ORDER(class);
    if (a->sameness != b->sameness) return a->sameness > b->sameness ? -1 : 1;
    ORDER(a.span.start);
    ORDER(b.span.start);
#undef ORDER
    return 0;
}

int analysis_detect(const struct ingest_document *const *docs, size_t n_docs, struct arena *a,
                    struct analysis_pair **out, size_t *n, struct error *e) {
    struct error local;
    struct detect_set s = {.docs = docs, .n_docs = n_docs, .out = a, .error = e ? e : &local};
    int rc;
    *out = NULL;
    *n = 0;
    if (n_docs == 0) return 0;
    if ((rc = lexicon_init(&s.lexicon, &s.scratch, s.error))) goto done;
    if ((rc = family_entities(&s)) || (rc = subject_build(&s)) || (rc = family_build(&s)) ||
        (rc = precedence_build(&s)))
        goto done;
    if ((rc = detect_values(&s)) || (rc = detect_modality(&s)) || (rc = detect_tables(&s)) || (rc = detect_terms(&s)) ||
        (rc = detect_roles(&s)))
        goto done;
    if (s.n_pairs) qsort(s.pairs, s.n_pairs, sizeof *s.pairs, by_place);
    /* one finding a class and pair of statements: the surest */
    size_t kept = 0;
    for (size_t i = 0; i < s.n_pairs; i++) {
        const struct analysis_pair *p = &s.pairs[i], *q = kept ? &s.pairs[kept - 1] : NULL;
        if (q && q->class == p->class && q->a.document == p->a.document && q->a.statement == p->a.statement &&
            q->b.document == p->b.document && q->b.statement == p->b.statement)
            continue;
        s.pairs[kept++] = *p;
    }
    *out = arena_array(a, kept ? kept : 1, sizeof **out);
    if (!*out) {
        rc = error_set(s.error, ERR_NOMEM, "", "out of memory");
        goto done;
    }
    if (kept) memcpy(*out, s.pairs, kept * sizeof **out);
    *n = kept;
done:
    lexicon_free(&s.lexicon);
    free(s.words);
    free(s.units);
    free(s.frame_words);
    free(s.frames);
    free(s.entities);
    free(s.aliases);
    free(s.amendments);
    free(s.precedences);
    free(s.pairs);
    arena_free(&s.scratch);
    return rc;
}
