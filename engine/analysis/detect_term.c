/* detect_term.c: what a document says of its own words: a value whose words and figures disagree ("thirty (45) days"),
 * and a term that is defined twice with different meanings in one deal. Refuses definitions that only point elsewhere,
 * hold for one section alone, or name the parties.
 */
#include "engine/analysis/detect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TERM_MAX 80
#define DEFINITION_WORDS 4   /* content words: shorter ones name things ("the Agreement") and define nothing */
#define SAME_DEFINITION 0.6f /* shared words of the two definitions above which they are taken as one */

static struct slice base_name(struct slice name) {
    for (size_t i = name.len; i > 0; i--)
        if (name.data[i - 1] == '/') return (struct slice){name.data + i, name.len - i};
    return name;
}

/* ---- words and figures ---- */
static int words_and_figures(struct detect_set *s, uint32_t doc) {
    static const enum analysis_class classes[] = {[INGEST_AMOUNT] = ANALYSIS_AMOUNT,
                                                  [INGEST_PERCENTAGE] = ANALYSIS_PERCENTAGE,
                                                  [INGEST_NUMBER] = ANALYSIS_QUANTITY,
                                                  [INGEST_DATE] = ANALYSIS_DATE,
                                                  [INGEST_PERIOD] = ANALYSIS_PERIOD};
    const struct ingest_document *d = s->docs[doc];
    for (uint32_t i = 0; i < d->n_facts; i++) {
        const struct ingest_fact *f = &d->facts[i];
        if (!(f->flags & INGEST_WORDS_DIFFER) || f->kind > INGEST_PERIOD) continue;
        struct analysis_pair p = {
            .class = classes[f->kind], .status = ANALYSIS_CONTRADICTION, .sameness = 1, .decided = true};
        p.a = p.b = (struct analysis_side){doc, f->statement, f->span, i};
        struct slice t = ingest_text(d, f->span), name = base_name(d->name);
        bool drop;
        p.status = precedence_status(s, s->first_unit[doc] + f->statement, f->span, s->first_unit[doc] + f->statement,
                                     f->span, &p.by, &drop);
        p.why =
            arena_slice_printf(s->out, "\"%.*s\" (%.*s): the words say %.10g, the figures %.10g",
                               (int)(t.len < 80 ? t.len : 80), t.data, (int)name.len, name.data, f->value, f->value2);
        if (!p.why.len || detect_add(s, p)) return ERR_NOMEM;
    }
    return 0;
}

/* ---- terms ---- */
struct term {
    char key[TERM_MAX];
    uint32_t doc, fact;
};

static int by_key(const void *x, const void *y) {
    const struct term *a = x, *b = y;
    int c = strcmp(a->key, b->key);
    if (c) return c;
    if (a->doc != b->doc) return a->doc < b->doc ? -1 : 1;
    return a->fact < b->fact ? -1 : a->fact > b->fact;
}

/* Content words of a definition, sorted, each once. */
static uint32_t words_of(const struct detect_set *s, uint32_t doc, const struct ingest_fact *f, uint32_t out[64]) {
    const struct subject_statement *u = &s->units[s->first_unit[doc] + f->statement];
    uint32_t n = 0;
    for (uint32_t i = 0; i < u->n_words && n < 64; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->start < f->object.start || w->end > f->object.end || w->class == WORD_FUNCTION || w->class == WORD_SKIP)
            continue;
        if (s->lexicon.items[w->id].flags & LEXICON_LIGHT && w->class == WORD_CONTENT) continue;
        uint32_t k = 0;
        while (k < n && out[k] < w->id) k++;
        if (k < n && out[k] == w->id) continue;
        memmove(out + k + 1, out + k, (n - k) * sizeof *out);
        out[k] = w->id;
        n++;
    }
    return n;
}

/* "X means": the only form that defines in full; a term in brackets behind its first use just names it. */
static bool says_means(const struct detect_set *s, uint32_t doc, const struct ingest_fact *f) {
    const struct subject_statement *u = &s->units[s->first_unit[doc] + f->statement];
    uint32_t seen = 0;
    for (uint32_t i = 0; i < u->n_words && seen < 4; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->start < f->subject.end) continue;
        seen++;
        struct slice t = detect_text(s, doc, w->start, w->end);
        if (slice_equal_nocase(t, slice_of("means")) || slice_equal_nocase(t, slice_of("mean")) ||
            slice_equal_nocase(t, slice_of("refers")))
            return true;
    }
    return false;
}

/* Definitions that say nothing themselves or only for a part. */
static bool is_pointer(const struct detect_set *s, uint32_t doc, const struct ingest_fact *f) {
    struct slice t = ingest_text(s->docs[doc], s->docs[doc]->statements[f->statement].span);
    static const char *const phrases[] = {
        "has the meaning", "have the meaning",    "the meaning set forth", "meanings",        "as defined",
        "is defined in",   "shall have the same", "purposes of this",      "purpose of this", "as used in this",
        "in this section", "in this clause",      "in this article",       "set out in",      "set forth in",
        "described in",    "specified in"};
    for (size_t k = 0; k < sizeof phrases / sizeof *phrases; k++) {
        size_t n = strlen(phrases[k]);
        for (size_t i = 0; i + n <= t.len; i++)
            if (slice_equal_nocase((struct slice){t.data + i, n}, (struct slice){phrases[k], n})) return true;
    }
    return false;
}

/* "Service Hours" means 08.00 to 18.00, or 07.00 to 19.00: definitions by figures, of which one kind has none in
 * common. */
static bool values_differ(const struct detect_set *s, const struct term *tx, const struct term *ty) {
    const struct ingest_fact *xs = s->docs[tx->doc]->facts, *ys = s->docs[ty->doc]->facts;
    const struct subject_statement *u = &s->units[s->first_unit[tx->doc] + xs[tx->fact].statement],
                                   *v = &s->units[s->first_unit[ty->doc] + ys[ty->fact].statement];
    bool met = false;
    for (uint32_t i = u->first_fact; i < u->first_fact + u->n_facts; i++) {
        if (!subject_is_value(xs[i].kind) || xs[i].span.start < xs[tx->fact].object.start) continue;
        for (uint32_t k = v->first_fact; k < v->first_fact + v->n_facts; k++) {
            if (ys[k].kind != xs[i].kind || ys[k].span.start < ys[ty->fact].object.start ||
                !slice_equal(xs[i].unit, ys[k].unit))
                continue;
            if (xs[i].value == ys[k].value) return false;
            met = true;
        }
    }
    return met;
}

static int compare_terms(struct detect_set *s, const struct term *x, const struct term *y) {
    const struct ingest_document *dx = s->docs[x->doc], *dy = s->docs[y->doc];
    const struct ingest_fact *fx = &dx->facts[x->fact], *fy = &dy->facts[y->fact];
    enum document_relation r = family_relation(s, x->doc, y->doc);
    if (r == RELATION_DIFFERENT || r == RELATION_COMPATIBLE || r == RELATION_SIBLING ||
        (x->doc == y->doc && fx->statement == fy->statement))
        return 0;
    if (r != RELATION_SAME) { /* each agreement of one company with the world has its own "Services" */
        uint32_t shared = 0;
        for (uint32_t i = 0; i < s->family[x->doc].n_parties; i++)
            for (uint32_t k = 0; k < s->family[y->doc].n_parties; k++)
                shared += s->family[x->doc].parties[i] == s->family[y->doc].parties[k];
        if (shared < 2) return 0;
    }
    uint32_t a[64], b[64];
    uint32_t na = words_of(s, x->doc, fx, a), nb = words_of(s, y->doc, fy, b);
    bool figures = values_differ(s, x, y);
    if (!figures && (na < DEFINITION_WORDS || nb < DEFINITION_WORDS)) return 0;
    float dice = na + nb ? 2.0f * (float)family_shared(a, na, b, nb) / (float)(na + nb) : 0;
    if (dice >= SAME_DEFINITION) return 0; /* values inside near-equal definitions are the value detectors' part */
    struct analysis_pair p = {.class = ANALYSIS_TERM, .sameness = r == RELATION_SAME ? 0.75f : 0.62f};
    p.a = (struct analysis_side){x->doc, fx->statement, fx->object, x->fact};
    p.b = (struct analysis_side){y->doc, fy->statement, fy->object, y->fact};
    bool drop;
    p.status = precedence_status(s, s->first_unit[x->doc] + fx->statement, fx->object,
                                 s->first_unit[y->doc] + fy->statement, fy->object, &p.by, &drop);
    if (drop) return 0;
    struct slice term = ingest_text(dx, fx->subject), nx = base_name(dx->name), ny = base_name(dy->name);
    p.why = arena_slice_printf(s->out, "\"%.*s\" is defined twice, with different words: %.*s and %.*s", (int)term.len,
                               term.data, (int)nx.len, nx.data, (int)ny.len, ny.data);
    return p.why.len ? detect_add(s, p) : ERR_NOMEM;
}

int detect_terms(struct detect_set *s) {
    size_t n = 0, cap = 0;
    for (uint32_t doc = 0; doc < s->n_docs; doc++) {
        if (words_and_figures(s, doc)) return error_set(s->error, ERR_NOMEM, "", "out of memory");
        for (uint32_t i = 0; i < s->docs[doc]->n_facts; i++) cap += s->docs[doc]->facts[i].kind == INGEST_TERM;
    }
    struct term *terms = calloc(cap + 1, sizeof *terms);
    if (!terms) return error_set(s->error, ERR_NOMEM, "", "out of memory");
    for (uint32_t doc = 0; doc < s->n_docs; doc++) {
        const struct ingest_document *d = s->docs[doc];
        for (uint32_t i = 0; i < d->n_facts; i++) {
            const struct ingest_fact *f = &d->facts[i];
            if (f->kind != INGEST_TERM || f->subject.end <= f->subject.start || f->object.end <= f->object.start ||
                f->subject.end - f->subject.start >= TERM_MAX || is_pointer(s, doc, f) || !says_means(s, doc, f))
                continue;
            struct slice t = ingest_text(d, f->subject);
            struct term *x = &terms[n++];
            for (size_t k = 0; k < t.len; k++)
                x->key[k] = t.data[k] >= 'A' && t.data[k] <= 'Z' ? (char)(t.data[k] + 32) : t.data[k];
            x->doc = doc;
            x->fact = i;
        }
    }
    if (n) qsort(terms, n, sizeof *terms, by_key);
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++)
        for (size_t k = i + 1; k < n && k < i + 6 && !strcmp(terms[i].key, terms[k].key) && !rc; k++)
            rc = compare_terms(s, &terms[i], &terms[k]);
    free(terms);
    return rc ? error_set(s->error, ERR_NOMEM, "", "out of memory") : 0;
}
