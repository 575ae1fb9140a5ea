/* detect_value.c: conflicts of values: amounts, percentages, periods, dates, quantities. Owns the choice among the
 * candidates: what has a truer partner elsewhere, is explained by another value, or stands in a ladder of values is
 * left alone; what an amendment replaces is paired with its successor.
 */
#include "engine/analysis/value.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_SCORE 0.45f   /* below this two frames are not even proposed to the judge */
#define DECIDED_SCORE 0.66f /* above this the rules suffice */
#define PER_FRAME_MAX 4     /* findings on one value: more than that is a misunderstanding */

/* Values of one thing are seldom a hundred times apart. */
static float implausible(const struct frame *a, const struct frame *b) {
    if (a->class == ANALYSIS_DATE) return 0;
    double v[4];
    value_measure(a, b, v);
    double x = fabs(v[0]), y = fabs(v[2]), ratio = x > 0 && y > 0 ? fmax(x, y) / fmin(x, y) : 1;
    return ratio > 500 && a->class != ANALYSIS_PERIOD ? 0.6f : ratio > 100 ? 0.25f : ratio > 20 ? 0.1f : 0;
}

/* ---- choosing ---- */
static int by_score(const void *x, const void *y) {
    const struct candidate *a = x, *b = y;
    if (a->same.score != b->same.score) return a->same.score > b->same.score ? -1 : 1;
    if (a->a != b->a) return a->a < b->a ? -1 : 1;
    return a->b < b->b ? -1 : a->b > b->b;
}

/* Another value of the unit of `of` says the same as `other`. */
static bool agrees_elsewhere(const struct detect_set *s, const uint32_t *first_frame, const struct frame *of,
                             const struct frame *other) {
    for (uint32_t k = first_frame[of->unit]; k < first_frame[of->unit + 1]; k++) {
        const struct frame *g = &s->frames[k];
        if (g == of || g->dimension != other->dimension) continue;
        if (value_compare(s, g, other) == VERDICT_AGREE) return true;
    }
    return false;
}

/* "the amount X is replaced by Y" says which words go: the fact in the old clause against the new one, whatever else
 * the sentences share. */
static int replaced_values(struct detect_set *s, const uint32_t *first_frame) {
    for (size_t i = 0; i < s->n_amendments; i++) {
        const struct amendment *m = &s->amendments[i];
        if (!m->old_text.len || m->target == INGEST_NONE) continue;
        struct slice old = slice_trim(m->old_text);
        uint32_t unit = s->first_unit[m->doc] + m->statement;
        const struct subject_statement *u = &s->units[unit];
        const struct ingest_document *d = s->docs[m->doc], *t = s->docs[m->target];
        /* the new value: the first of the statement that is not the old one */
        for (uint32_t k = u->first_fact; k < u->first_fact + u->n_facts; k++) {
            const struct ingest_fact *f = &d->facts[k];
            const bool range = isfinite(f->value2) && d->text.data + f->span.start <= m->old_text.data &&
                               d->text.data + f->span.end >= m->old_text.data + m->old_text.len;
            if (f->kind > INGEST_PERIOD || (!range && precedence_is_old_text(s, m->doc, f->span)) ||
                (!range && d->text.data + f->span.start < m->old_text.data))
                continue;
            for (uint32_t q = s->first_unit[m->target]; q < s->first_unit[m->target + 1]; q++) {
                const struct subject_statement *o = &s->units[q];
                struct slice text = ingest_text(t, t->statements[o->statement].span);
                size_t found = precedence_find(text, old);
                if (found == SIZE_MAX) continue;
                const char *at = text.data + found;
                for (uint32_t z = o->first_fact; z < o->first_fact + o->n_facts; z++) {
                    const struct ingest_fact *g = &t->facts[z];
                    const char *from = t->text.data + g->span.start, *to = t->text.data + g->span.end;
                    if (g->kind != f->kind || at >= to || at + old.len <= from ||
                        g->value == (range ? f->value2 : f->value))
                        continue;
                    struct analysis_pair p = {.sameness = 0.95f, .decided = true};
                    bool drop;
                    p.status = precedence_status(s, unit, f->span, q, g->span, &p.by, &drop);
                    if (drop || p.status != ANALYSIS_SUPERSEDED || p.by.document != m->doc ||
                        p.by.statement != m->statement)
                        continue;
                    const struct frame *fa = NULL, *fb = NULL;
                    for (uint32_t x = first_frame[unit]; x < first_frame[unit + 1]; x++)
                        if (s->frames[x].fact == k) fa = &s->frames[x];
                    for (uint32_t x = first_frame[q]; x < first_frame[q + 1]; x++)
                        if (s->frames[x].fact == z) fb = &s->frames[x];
                    struct slice was = ingest_text(t, g->span), is = ingest_text(d, f->span);
                    static const enum analysis_class classes[] = {ANALYSIS_AMOUNT, ANALYSIS_PERCENTAGE,
                                                                  ANALYSIS_QUANTITY, ANALYSIS_DATE, ANALYSIS_PERIOD};
                    p.class = classes[f->kind];
                    p.a = (struct analysis_side){m->target, o->statement, g->span, z};
                    p.b = (struct analysis_side){m->doc, m->statement, f->span, k};
                    p.why = fa && fb ? value_explain(s, fb, fa)
                                     : arena_slice_printf(s->out, "%.*s is replaced by %.*s", (int)was.len, was.data,
                                                          (int)is.len, is.data);
                    if (!p.why.len || detect_add(s, p)) return ERR_NOMEM;
                }
            }
            break;
        }
    }
    return 0;
}

/* Values of the same measure in a statement; a row of a table has one a column. */
static uint32_t crowded(const struct detect_set *s, const uint32_t *first_frame, const struct frame *f) {
    if (unit_statement(s, &s->units[f->unit])->kind == INGEST_TABLE_ROW) return 1;
    uint32_t n = 0;
    for (uint32_t k = first_frame[f->unit]; k < first_frame[f->unit + 1]; k++)
        n += s->frames[k].dimension == f->dimension;
    return n;
}

/* A row of accounts: several figures of one measure under heads that are years. */
static bool is_account(const struct detect_set *s, const struct frame *f) {
    const struct subject_statement *u = &s->units[f->unit];
    const struct ingest_statement *st = unit_statement(s, u);
    if (st->kind != INGEST_TABLE_ROW) return false;
    uint32_t years = 0;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        years += w->flags & WORD_LEAD && w->class == WORD_CODE && s->lexicon.items[w->id].stem.len == 4 &&
                 words_digit((unsigned char)s->lexicon.items[w->id].stem.data[0]);
    }
    return years >= 2;
}

#define BETTER 0.1f /* by so much another partner must fit better */
static bool has_better(const struct detect_set *s, const struct candidate_list *l, const struct candidate *c) {
    uint32_t da = s->units[s->frames[c->a].unit].doc, db = s->units[s->frames[c->b].unit].doc;
    /* the list is sorted by score, best first */
    for (const struct candidate *q = l->items;
         q < c && q->same.score > c->same.score + (q->verdict == VERDICT_AGREE ? 0.05f : BETTER); q++) {
        for (int k = 0; k < 2; k++) {
            uint32_t f = k ? c->b : c->a, other = k ? da : db;
            uint32_t partner = q->a == f ? q->b : q->b == f ? q->a : UINT32_MAX;
            if (partner == UINT32_MAX) continue;
            if (da == db || s->units[s->frames[partner].unit].doc == other) return true;
        }
    }
    return false;
}

/* What a third paper repeats of one that prevails prevails with it: a note's "38 MW" is the contract's, and the
 * contract goes before the requirements' 40 MW. */
static bool repeats_winner(const struct detect_set *s, const struct candidate_list *l, uint32_t note, uint32_t loser,
                           struct analysis_side *by) {
    const struct frame *a = &s->frames[note], *b = &s->frames[loser];
    for (const struct candidate *q = l->items; q < l->items + l->n && q->same.score >= LEAST_SCORE; q++) {
        uint32_t source = q->a == loser ? q->b : q->b == loser ? q->a : UINT32_MAX;
        if (q->verdict != VERDICT_CONFLICT || source == UINT32_MAX || source == note) continue;
        const struct frame *c = &s->frames[source];
        uint32_t doc = s->units[c->unit].doc;
        if (doc == s->units[a->unit].doc || doc == s->units[b->unit].doc || value_compare(s, c, a) != VERDICT_AGREE)
            continue;
        struct analysis_side clause;
        bool drop;
        if (precedence_status(s, c->unit, value_fact(s, c)->span, b->unit, value_fact(s, b)->span, &clause, &drop) ==
                ANALYSIS_RESOLVED &&
            precedence_prevails(s, &clause, c->unit) && !precedence_prevails(s, &clause, b->unit)) {
            *by = clause;
            return true;
        }
    }
    return false;
}

/* "the Lease dated 5 May" in one document, "This Lease is made on 4 May" in the other: the same paper with two dates.
 */
static int named_dates(struct detect_set *s) {
    static const char *const cues[] = {"dated", "made", "entered", "executed", "signed"};
    for (uint32_t i = 0; i < s->n_units; i++) {
        const struct subject_statement *u = &s->units[i];
        const struct ingest_document *d = s->docs[u->doc];
        for (uint32_t k = u->first_fact; k < u->first_fact + u->n_facts; k++) {
            const struct ingest_fact *f = &d->facts[k];
            if (f->kind != INGEST_DATE || !f->year || !f->month || !f->day) continue;
            uint32_t at = 0, cue = UINT32_MAX;
            while (at < u->n_words && s->words[u->word + at].start < f->span.start) at++;
            for (uint32_t q = at; q-- > 0 && at - q <= 3 && cue == UINT32_MAX;)
                if (slice_equal_nocase(detect_text(s, u->doc, s->words[u->word + q].start, s->words[u->word + q].end),
                                       slice_of("dated")))
                    cue = q;
            if (cue == UINT32_MAX || cue == 0) continue;
            uint32_t from = cue > 6 ? cue - 6 : 0, other = precedence_named(s, u, from, cue);
            if (other == INGEST_NONE || family_relation(s, u->doc, other) != RELATION_FAMILY) continue;
            const struct family_document *fam = &s->family[other];
            if (fam->date == INT32_MIN || fam->title_statement > 3 ||
                fam->date == value_civil(f->year, f->month, f->day))
                continue;
            const struct subject_statement *o = &s->units[s->first_unit[other] + fam->title_statement];
            const struct ingest_document *t = s->docs[other];
            for (uint32_t z = o->first_fact; z < o->first_fact + o->n_facts; z++) {
                const struct ingest_fact *g = &t->facts[z];
                if (g->kind != INGEST_DATE || !g->day || value_civil(g->year, g->month, g->day) != fam->date) continue;
                bool own = false;
                for (uint32_t q = 0, seen = 0; q < o->n_words && s->words[o->word + q].start < g->span.start;
                     q++, seen++)
                    for (size_t c = 0; c < sizeof cues / sizeof *cues; c++)
                        own |= slice_equal_nocase(
                            detect_text(s, other, s->words[o->word + q].start, s->words[o->word + q].end),
                            slice_of(cues[c]));
                if (!own) break;
                struct analysis_pair p = {.class = ANALYSIS_DATE, .sameness = 0.7f};
                p.a = (struct analysis_side){u->doc, u->statement, f->span, k};
                p.b = (struct analysis_side){other, o->statement, g->span, z};
                p.why = arena_slice_printf(
                    s->out, "the document is dated %d %s %d; here it is called the one of %d %s %d: %.0f days apart",
                    g->day, value_months[g->month], g->year, f->day, value_months[f->month], f->year,
                    fabs((double)fam->date - value_civil(f->year, f->month, f->day)));
                if (!p.why.len || detect_add(s, p)) return ERR_NOMEM;
                break;
            }
        }
    }
    return 0;
}

int detect_values(struct detect_set *s) {
    int rc = ERR_NOMEM;
    struct candidate_list list = {0};
    uint32_t *first_frame = NULL, *used = NULL;
    uint32_t first = (uint32_t)s->n_frames;
    first_frame = calloc(s->n_units + 1, sizeof *first_frame);
    if (!first_frame) goto done;
    for (uint32_t i = 0; i < s->n_units; i++) {
        first_frame[i] = (uint32_t)s->n_frames;
        const struct subject_statement *u = &s->units[i];
        const struct ingest_document *d = s->docs[u->doc];
        if (unit_statement(s, u)->kind == INGEST_HEADING && u->n_facts == 0) continue;
        for (uint32_t k = u->first_fact; k < u->first_fact + u->n_facts; k++) {
            if (d->facts[k].flags & INGEST_WORDS_DIFFER || precedence_is_old_text(s, u->doc, d->facts[k].span))
                continue;
            if (value_frame(s, i, k)) goto done;
        }
    }
    first_frame[s->n_units] = (uint32_t)s->n_frames;
    if (replaced_values(s, first_frame) || named_dates(s)) goto done;
    if (candidates_collect(s, first, (uint32_t)s->n_frames, LEAST_SCORE - 0.05f, value_compare, &list)) goto done;
    if (list.n) qsort(list.items, list.n, sizeof *list.items, by_score);
    used = calloc(s->n_frames + 1, sizeof *used);
    if (!used) goto done;
    for (size_t i = 0; i < list.n; i++) {
        const struct candidate *c = &list.items[i];
        const struct frame *a = &s->frames[c->a], *b = &s->frames[c->b];
        if (c->verdict == VERDICT_AGREE) continue;
        float score = c->same.score - (c->verdict == VERDICT_SOFT ? 0.08f : 0);
        if ((a->per_days > 0) != (b->per_days > 0) && a->class != ANALYSIS_PERIOD) score -= 0.06f;
        if ((a->per != 0) != (b->per != 0) && !a->per_days && !b->per_days) score -= 0.03f;
        score -= implausible(a, b);
        if (score < LEAST_SCORE) continue;
        if (agrees_elsewhere(s, first_frame, a, b) || agrees_elsewhere(s, first_frame, b, a)) continue;
        /* whoever has a truer partner on the other side is not meant here, whether that partner agrees or not */
        if (has_better(s, &list, c)) continue;
        if (used[c->a] >= PER_FRAME_MAX || used[c->b] >= PER_FRAME_MAX) continue;
        used[c->a]++, used[c->b]++;
        const struct subject_statement *ua = &s->units[a->unit], *ub = &s->units[b->unit];
        struct analysis_pair p = {.class = (enum analysis_class)a->class, .sameness = score};
        const struct ingest_fact *fa = value_fact(s, a), *fb = value_fact(s, b);
        p.a = (struct analysis_side){ua->doc, ua->statement, fa->span, a->fact};
        p.b = (struct analysis_side){ub->doc, ub->statement, fb->span, b->fact};
        bool drop;
        p.status = precedence_status(s, a->unit, fa->span, b->unit, fb->span, &p.by, &drop);
        if (drop || (p.status == ANALYSIS_SUPERSEDED && ua->doc == ub->doc)) continue;
        if (p.status == ANALYSIS_CONTRADICTION &&
            (repeats_winner(s, &list, c->a, c->b, &p.by) || repeats_winner(s, &list, c->b, c->a, &p.by)))
            p.status = ANALYSIS_RESOLVED;
        bool one_document = ua->doc == ub->doc;
        uint32_t crowd = crowded(s, first_frame, a) > crowded(s, first_frame, b) ? crowded(s, first_frame, a)
                                                                                 : crowded(s, first_frame, b);
        if (crowd > 3) continue; /* a ladder of values: which of them is meant cannot be told */
        if (crowd == 3) p.sameness = score -= 0.1f;
        if ((is_account(s, a) || is_account(s, b)) && !c->same.exact) continue;
        bool counted = a->class != ANALYSIS_QUANTITY || a->noun != UINT32_MAX || a->unit_name.len || c->same.exact;
        counted &= !is_account(s, a) && !is_account(s, b);
        p.decided = counted && c->verdict == VERDICT_CONFLICT && score >= DECIDED_SCORE + (one_document ? 0.08f : 0) &&
                    c->same.doubt < 0.13f && crowd < 3;
        p.why = value_explain(s, a, b);
        if (!p.why.len || detect_add(s, p)) goto done;
    }
    rc = 0;
done:
    candidates_free(&list);
    free(used);
    free(first_frame);
    return rc ? error_set(s->error, ERR_NOMEM, "", "out of memory") : 0;
}
