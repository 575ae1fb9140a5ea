/* candidates.c: see candidates.h. An inverted list from (dimension, word) to frames; a frame asks the lists of its
 * heaviest words. Lists of words that occur everywhere are left out, so the work grows with the number of statements
 * and not with its square.
 */
#include "engine/analysis/candidates.h"

#include <stdlib.h>
#include <string.h>

#define QUERY_WORDS 10
#define LIST_MAX 400    /* frames that share one word; longer lists are asked only when a frame has no other word */
#define COMPARED_MAX 60 /* best partners of one frame, by shared weight */

struct posting {
    uint32_t dimension, id, frame;
    float weight;
};

static int by_key(const void *x, const void *y) {
    const struct posting *a = x, *b = y;
    if (a->dimension != b->dimension) return a->dimension < b->dimension ? -1 : 1;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return a->frame < b->frame ? -1 : a->frame > b->frame;
}

static size_t lower(const struct posting *p, size_t n, uint32_t dimension, uint32_t id) {
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (p[mid].dimension < dimension || (p[mid].dimension == dimension && p[mid].id < id))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* "Price: EUR 5": a line without a verb that states something all the same. */
static bool has_label(const struct detect_set *s, const struct subject_statement *u) {
    struct slice t = ingest_text(s->docs[u->doc], unit_statement(s, u)->span);
    return memchr(t.data, ':', t.len) != NULL;
}

/* A name or code that both rows show: "HP-200". */
static bool same_code(const struct detect_set *s, const struct frame *a, const struct frame *b, bool one_document) {
    for (uint32_t i = 0; i < a->n_words; i++) {
        const struct frame_word *w = &s->frame_words[a->word + i];
        if (w->place || (w->class != WORD_CODE && w->class != WORD_NAME)) continue;
        struct slice t = s->lexicon.items[w->id].stem;
        bool digit = false;
        for (size_t k = 0; k < t.len; k++) digit |= words_digit((unsigned char)t.data[k]);
        if (w->class == WORD_CODE && words_digit((unsigned char)t.data[0])) continue; /* a year */
        if (one_document && !(digit && w->class == WORD_CODE && t.len > 2))
            continue; /* names head many accounts of one report */
        const struct frame_word *x = subject_find(s, b, w->id);
        if (x && x->place == 0) return true;
    }
    return false;
}

bool candidates_allowed(const struct detect_set *s, const struct frame *a, const struct frame *b, float *doubt) {
    if (a->unit == b->unit) return false;
    const struct subject_statement *ua = &s->units[a->unit], *ub = &s->units[b->unit];
    enum document_relation r = family_relation(s, ua->doc, ub->doc);
    if (r == RELATION_DIFFERENT) return false;
    if (r == RELATION_SIBLING) *doubt += 0.14f;
    if (r == RELATION_COMPATIBLE) { /* nothing ties the documents: the statements must name the same thing */
        bool named = false;
        uint32_t solid = 0;
        for (uint32_t i = 0, k = 0; i < a->n_words && k < b->n_words;) {
            const struct frame_word *x = &s->frame_words[a->word + i], *y = &s->frame_words[b->word + k];
            if (x->id < y->id) {
                i++;
            } else if (x->id > y->id) {
                k++;
            } else {
                named |= x->class == WORD_NAME || x->class == WORD_CODE || x->class == WORD_ENTITY;
                solid += !(s->lexicon.items[x->id].flags & LEXICON_LIGHT) && x->place < 2 && y->place < 2;
                i++, k++;
            }
        }
        *doubt += named || solid >= (a->class == ANALYSIS_DATE ? 3u : 2u) ? 0.03f : 0.15f;
    }
    const struct ingest_statement *sa = unit_statement(s, ua), *sb = unit_statement(s, ub);
    bool lists = !((ua->marks | ub->marks) & MARK_VERB) && sa->table == INGEST_NONE && sb->table == INGEST_NONE;
    if (lists && (a->class == ANALYSIS_AMOUNT || a->class == ANALYSIS_DATE || a->class == ANALYSIS_PERCENTAGE) &&
        ua->doc != ub->doc && !has_label(s, ua) && !has_label(s, ub))
        return false;
    if (sa->kind == INGEST_TABLE_ROW && sb->kind == INGEST_TABLE_ROW && !same_code(s, a, b, ua->doc == ub->doc))
        return false; /* rows need an identifier in common */
    if (ua->doc == ub->doc) {
        if (!((ua->marks | ub->marks) & MARK_VERB) && sa->table == INGEST_NONE && sb->table == INGEST_NONE)
            return false; /* lists of things */
        if (sa->table != INGEST_NONE && sa->table == sb->table)
            return false; /* rows of one table are meant to differ */
        uint32_t pa =
            sa->section < s->docs[ua->doc]->n_sections ? s->docs[ua->doc]->sections[sa->section].parent : INGEST_NONE;
        uint32_t pb =
            sb->section < s->docs[ua->doc]->n_sections ? s->docs[ua->doc]->sections[sb->section].parent : INGEST_NONE;
        bool siblings = pa == pb && pa != INGEST_NONE && s->docs[ua->doc]->sections[sa->section].level > 1 &&
                        s->docs[ua->doc]->sections[sa->section].number.len &&
                        s->docs[ua->doc]->sections[sa->section].number.data[0] == '(';
        if (siblings) *doubt += 0.2f;                          /* "(i) ...; (iii) ..." */
        if (ua->marks & ub->marks & MARK_AMENDS) return false; /* one amendment changes many things */
        bool list = sa->lead_in.end > sa->lead_in.start && sa->lead_in.start == sb->lead_in.start;
        if (list)
            *doubt += 0.2f;
        else if (sa->section == sb->section && s->docs[ua->doc]->n_sections > 1)
            *doubt += 0.06f;
    }
    return true;
}

int candidates_collect(struct detect_set *s, uint32_t first, uint32_t end, float least,
                       enum verdict (*compare)(const struct detect_set *s, const struct frame *a,
                                               const struct frame *b),
                       struct candidate_list *out) {
    int rc = ERR_NOMEM;
    struct posting *p = NULL;
    float *sum = NULL;
    uint32_t *touched = NULL;
    size_t n = 0, cap = 0;
    for (uint32_t f = first; f < end; f++) cap += s->frames[f].n_words;
    if (cap == 0) return 0;
    p = malloc(cap * sizeof *p);
    sum = calloc(end - first, sizeof *sum);
    touched = malloc((end - first) * sizeof *touched);
    if (!p || !sum || !touched) goto done;
    for (uint32_t f = first; f < end; f++) {
        const struct frame *fr = &s->frames[f];
        for (uint32_t k = 0; k < fr->n_words; k++) {
            const struct frame_word *w = &s->frame_words[fr->word + k];
            if (w->place == 2 || w->class == WORD_ENTITY) continue;
            p[n++] = (struct posting){fr->dimension, w->id, f, w->weight};
        }
    }
    qsort(p, n, sizeof *p, by_key);
    for (uint32_t f = first; f < end; f++) {
        const struct frame *fr = &s->frames[f];
        /* its heaviest words */
        struct {
            uint32_t id;
            float weight;
        } top[QUERY_WORDS];
        uint32_t n_top = 0;
        for (uint32_t k = 0; k < fr->n_words; k++) {
            const struct frame_word *w = &s->frame_words[fr->word + k];
            if (w->place == 2 || w->class == WORD_ENTITY) continue;
            float weight = w->weight + (w->near ? 0.3f : 0);
            if (n_top == QUERY_WORDS && weight <= top[n_top - 1].weight) continue;
            uint32_t at = n_top < QUERY_WORDS ? n_top++ : QUERY_WORDS - 1;
            for (; at > 0 && top[at - 1].weight < weight; at--) top[at] = top[at - 1];
            top[at].id = w->id;
            top[at].weight = weight;
        }
        uint32_t n_touched = 0;
        for (uint32_t pass = 0; pass < 2 && n_touched == 0; pass++)
            for (uint32_t k = 0; k < n_top; k++) {
                size_t i = lower(p, n, fr->dimension, top[k].id), j = i;
                while (j < n && p[j].dimension == fr->dimension && p[j].id == top[k].id && j - i <= LIST_MAX) j++;
                if (j - i > LIST_MAX && pass == 0) continue;
                for (; i < j; i++) {
                    if (p[i].frame <= f) continue;
                    float *x = &sum[p[i].frame - first];
                    if (*x == 0) touched[n_touched++] = p[i].frame;
                    *x += p[i].weight;
                }
            }
        /* the best by shared weight */
        while (n_touched > COMPARED_MAX) {
            /* drop the weaker half: the threshold is the mean, repeated until few are left */
            double mean = 0;
            for (uint32_t k = 0; k < n_touched; k++) mean += sum[touched[k] - first];
            mean /= n_touched;
            uint32_t kept = 0;
            for (uint32_t k = 0; k < n_touched; k++) {
                if (sum[touched[k] - first] > mean || (kept < COMPARED_MAX && sum[touched[k] - first] >= mean))
                    touched[kept++] = touched[k];
                else
                    sum[touched[k] - first] = 0;
            }
            if (kept == n_touched) {
                for (uint32_t k = COMPARED_MAX; k < n_touched; k++) sum[touched[k] - first] = 0;
                kept = COMPARED_MAX;
            }
            n_touched = kept;
        }
        for (uint32_t k = 0; k < n_touched; k++) {
            sum[touched[k] - first] = 0;
            const struct frame *g = &s->frames[touched[k]];
            float doubt = 0;
            if (!candidates_allowed(s, fr, g, &doubt)) continue;
            struct sameness same = subject_sameness(s, fr, g);
            same.doubt += doubt;
            same.score -= doubt;
            if (same.apart || same.score < least) continue;
            enum verdict v = compare(s, fr, g);
            if (v == VERDICT_NONE) continue;
            void *q = out->items;
            if (array_grow(&q, &out->cap, out->n + 1, sizeof *out->items, s->error)) goto done;
            out->items = q;
            out->items[out->n++] = (struct candidate){f, touched[k], same, (int)v};
        }
    }
    rc = 0;
done:
    free(p);
    free(sum);
    free(touched);
    return rc ? error_set(s->error, ERR_NOMEM, "", "out of memory") : 0;
}

void candidates_free(struct candidate_list *l) {
    free(l->items);
    *l = (struct candidate_list){0};
}
