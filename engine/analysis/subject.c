/* subject.c: what a value or a rule is about. Owns the frame of each typed fact (the words around it with their
 * weights) and the sameness of two frames. Refuses to guess meaning: two frames are the same thing when the weighted
 * words around the values agree and nothing named, qualified or acting differs (contrast.c).
 *
 *   sameness = mix of   dice    2 shared / (all of a + all of b)
 *                       cover   shared / all of the smaller
 *                       anchor  how many of the words nearest to the value stand on the other side
 *   minus doubts (other condition, other mood, other words in the same place), and `apart` where a qualifier, name,
 * code, year, actor or "per" differs.
 */
#include "engine/analysis/contrast.h"

#include <stdlib.h>
#include <string.h>

#define NEAR_WORDS 4
#define LIGHT_WEIGHT 0.25f
#define WORTH_SCORE 0.4f /* no detector looks at less */
#define HEADING_WEIGHT 0.35f
#define OTHER_CLAUSE 0.5f

/* ---- weights ---- */
float subject_weight(const struct detect_set *s, uint32_t id) {
    const struct lexeme *l = &s->lexicon.items[id];
    if (l->flags & LEXICON_FUNCTION) return 0;
    float w = l->flags & LEXICON_LIGHT ? LIGHT_WEIGHT : 1;
    /* in a large set a word of every tenth statement says little; in a small one nothing is known about words */
    if (s->n_units > 60) {
        double rarity = log((double)(s->n_units + 1) / (double)(l->df + 1)) / s->log_n;
        double f = 0.35 + 0.85 * rarity;
        w *= (float)(f > 1 ? 1 : f);
    }
    return w;
}

static int push_frame_word(struct detect_set *s, struct frame_word w) {
    void *p = s->frame_words;
    if (array_grow(&p, &s->cap_frame_words, s->n_frame_words + 1, sizeof w, s->error)) return ERR_NOMEM;
    s->frame_words = p;
    s->frame_words[s->n_frame_words++] = w;
    return 0;
}

static int by_id(const void *a, const void *b) {
    const struct frame_word *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->weight > y->weight ? -1 : x->weight < y->weight;
}

/* Which cell of a row a byte lies in: the number of " | " before it. */
static uint32_t cell_of(const struct word *w, uint32_t n, uint32_t at, const char *text, uint32_t from) {
    (void)w, (void)n;
    uint32_t cell = 0;
    for (uint32_t k = from; k < at; k++) cell += text[k] == '|';
    return cell;
}

/* Words around one fact (f may be NULL: the whole statement, for modality). */
int subject_frame_words(struct detect_set *s, struct frame *fr, const struct ingest_fact *f) {
    struct subject_statement *u = &s->units[fr->unit];
    const struct ingest_document *d = s->docs[u->doc];
    const struct ingest_statement *st = &d->statements[u->statement];
    const struct word *w = s->words + u->word;
    uint32_t n = u->n_words, first = (uint32_t)s->n_frame_words;
    bool row = st->kind == INGEST_TABLE_ROW;
    uint32_t column = 0;
    if (row && f) column = cell_of(w, n, f->span.start, d->text.data, st->span.start);
    /* position of the fact among the words */
    uint32_t from = n, to = n;
    if (f)
        for (uint32_t i = 0; i < n; i++)
            if (w[i].start < f->span.end && w[i].end > f->span.start) {
                if (from == n) from = i;
                to = i;
            }
    /* the clause the fact stands in */
    uint32_t left = 0, right = n;
    if (f && from < n && !row) {
        for (left = from; left > 0 && !(w[left].flags & (WORD_BREAK)); left--) {
        }
        for (right = to + 1; right < n && !(w[right].flags & (WORD_BREAK)); right++) {
        }
    }
    uint32_t near_left = NEAR_WORDS, near_right = 3;
    int direction;
    for (direction = 0; direction < 2; direction++) {
        bool rival = false; /* passed another value of the same kind on this side */
        for (uint32_t step = 0;; step++) {
            int64_t i;
            if (direction == 0)
                i = (int64_t)(from < n ? from : n) - 1 - step;
            else
                i = (int64_t)(from < n ? to + 1 : n) + step;
            if (i < 0 || i >= n) break;
            const struct word *x = &w[i];
            if (x->class == WORD_FUNCTION || x->class == WORD_SKIP || x->class == WORD_NUMBER) continue;
            bool lead = x->flags & WORD_LEAD;
            float weight = subject_weight(s, x->id);
            if (row && lead) { /* header row: only the own column */
                if (f && cell_of(w, n, x->start, d->text.data, st->lead_in.start) != column) continue;
            } else if (row && f) {
                if (cell_of(w, n, x->start, d->text.data, st->span.start) == column && x->class != WORD_CODE) continue;
            }
            /* values are not subjects */
            bool inside = false;
            for (uint32_t q = u->first_fact; q < u->first_fact + u->n_facts; q++) {
                const struct ingest_fact *g = &d->facts[q];
                if (g->span.start <= x->start && x->end <= g->span.end &&
                    !(x->class == WORD_CODE && g->kind == INGEST_NUMBER && !g->unit.len) &&
                    (subject_is_value(g->kind) || (f && f->kind == INGEST_DATE && g->kind == INGEST_DATE))) {
                    inside = true;
                    if (f && g != f && g->kind == f->kind) rival = true;
                }
            }
            if (inside) continue;
            struct frame_word out = {.id = x->id, .class = x->class, .place = lead ? 1 : 0};
            if (x->class == WORD_ENTITY) weight = 0.5f;
            if (x->class == WORD_CODE || x->class == WORD_NAME) weight = 1;
            bool mine = !f || row || ((uint32_t)i >= left && (uint32_t)i < right);
            if (!mine && !lead) weight *= OTHER_CLAUSE;
            if (rival && !row) weight *= OTHER_CLAUSE;
            if (x->flags & WORD_CONDITION) weight *= 0.7f;
            if (lead && !row) weight *= 0.9f;
            uint32_t *near = direction ? &near_right : &near_left;
            if (row)
                out.near = 1;
            else if (f && mine && !rival && *near && x->class != WORD_ENTITY && !(x->flags & WORD_CONDITION)) {
                out.near = 1;
                if (!(s->lexicon.items[x->id].flags & LEXICON_LIGHT)) --*near;
            }
            if (f && x->start >= f->subject.start && x->end <= f->subject.end) {
                out.subject = 1;
                if (weight < 1 && x->class == WORD_CONTENT && !mine) weight /= OTHER_CLAUSE;
            }
            out.weight = weight;
            if (push_frame_word(s, out)) return ERR_NOMEM;
        }
    }
    /* "Its deposit is": what the sentence before names goes along */
    if (n && u->statement > 0 && unit_statement(s, u)->section == d->statements[u->statement - 1].section) {
        const struct word *x = w;
        while (x < w + n && x->flags & WORD_LEAD) x++;
        struct slice t = x < w + n ? detect_text(s, u->doc, x->start, x->end) : (struct slice){"", 0};
        if (slice_equal_nocase(t, slice_of("its")) || slice_equal_nocase(t, slice_of("it")) ||
            slice_equal_nocase(t, slice_of("their")) || slice_equal_nocase(t, slice_of("they")) ||
            slice_equal_nocase(t, slice_of("his")) || slice_equal_nocase(t, slice_of("her"))) {
            const struct subject_statement *v = u - 1;
            for (uint32_t i = 0; i < v->n_words; i++) {
                const struct word *y = &s->words[v->word + i];
                if (y->class != WORD_NAME && y->class != WORD_CODE) continue;
                if (push_frame_word(s, (struct frame_word){.id = y->id, .class = y->class, .place = 1, .weight = 0.5f}))
                    return ERR_NOMEM;
            }
        }
    }
    for (uint32_t i = 0; i < u->n_head_words; i++) {
        const struct word *x = &s->words[u->head_word + i];
        if (x->class == WORD_FUNCTION || x->class == WORD_SKIP || x->class == WORD_NUMBER || x->class == WORD_CODE)
            continue;
        if (push_frame_word(s, (struct frame_word){.id = x->id,
                                                   .class = x->class,
                                                   .place = 2,
                                                   .weight = HEADING_WEIGHT * subject_weight(s, x->id)}))
            return ERR_NOMEM;
    }
    /* sort, keep each word once with its best weight */
    struct frame_word *v = s->frame_words + first;
    size_t count = s->n_frame_words - first, kept = 0;
    if (count) qsort(v, count, sizeof *v, by_id);
    for (size_t i = 0; i < count; i++) {
        if (kept && v[kept - 1].id == v[i].id) {
            v[kept - 1].near |= v[i].near;
            v[kept - 1].subject |= v[i].subject;
            if (v[i].place < v[kept - 1].place) v[kept - 1].place = v[i].place;
            continue;
        }
        v[kept++] = v[i];
    }
    s->n_frame_words = first + kept;
    fr->word = first;
    fr->n_words = (uint32_t)kept;
    fr->total = 0;
    for (size_t i = 0; i < kept; i++)
        if (v[i].place < 2) fr->total += v[i].weight;
    return 0;
}

/* ---- sameness ---- */
bool subject_in_title(const struct detect_set *s, uint32_t doc, uint32_t id) {
    const struct family_document *f = &s->family[doc];
    for (size_t i = 0; i < f->n_title; i++)
        if (f->title[i] == id) return true;
    return false;
}

static bool in_document(const struct detect_set *s, uint32_t doc, uint32_t id) {
    size_t lo = s->vocabulary_first[doc], hi = s->vocabulary_first[doc + 1];
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->vocabulary[mid] == id) return true;
        if (s->vocabulary[mid] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return subject_in_title(s, doc, id);
}

const struct frame_word *subject_find(const struct detect_set *s, const struct frame *f, uint32_t id) {
    const struct frame_word *v = s->frame_words + f->word;
    size_t lo = 0, hi = f->n_words;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (v[mid].id == id) return &v[mid];
        if (v[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* Whether the statement of f mentions the word anywhere, values and far clauses included. */
bool subject_mentions(const struct detect_set *s, const struct frame *f, uint32_t id) {
    if (subject_find(s, f, id)) return true;
    const struct subject_statement *u = &s->units[f->unit];
    for (uint32_t i = 0; i < u->n_words; i++)
        if (s->words[u->word + i].id == id) return true;
    return false;
}

/* The same, its own sentence alone. */
bool subject_states(const struct detect_set *s, const struct frame *f, uint32_t id) {
    const struct subject_statement *u = &s->units[f->unit];
    for (uint32_t i = 0; i < u->n_words; i++)
        if (s->words[u->word + i].id == id) return true;
    return false;
}

#define GROUP_RATE 2 /* the group of annual / monthly / ... in lexicon.c */

static bool groups_apart(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct frame_word *va = s->frame_words + a->word, *vb = s->frame_words + b->word;
    for (uint32_t i = 0; i < a->n_words; i++) {
        const struct lexeme *l = &s->lexicon.items[va[i].id];
        if (va[i].place == 2) continue;
        for (int g = 0; g < 2; g++) {
            if (!l->group[g]) continue;
            if (l->group[g] == GROUP_RATE && ((a->per_days > 0 && b->per_days > 0) || a->class == ANALYSIS_PERIOD))
                continue;
            uint64_t ma = 0, mb = 0;
            for (uint32_t k = 0; k < a->n_words; k++)
                for (int h = 0; h < 2; h++)
                    if (va[k].place < 2 && s->lexicon.items[va[k].id].group[h] == l->group[g])
                        ma |= 1ull << s->lexicon.items[va[k].id].member[h];
            for (uint32_t k = 0; k < b->n_words; k++)
                for (int h = 0; h < 2; h++)
                    if (vb[k].place < 2 && s->lexicon.items[vb[k].id].group[h] == l->group[g])
                        mb |= 1ull << s->lexicon.items[vb[k].id].member[h];
            if (mb && !(ma & mb)) return true;
        }
    }
    return false;
}

struct sameness subject_sameness(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    struct sameness r = {0};
    const struct subject_statement *ua = &s->units[a->unit], *ub = &s->units[b->unit];
    const struct frame_word *va = s->frame_words + a->word, *vb = s->frame_words + b->word;
    float shared = 0, ta = 0, tb = 0, na = 0, nb = 0, sa = 0, sb = 0;
    float rest[2] = {0};                   /* words near the value that the other side lacks */
    float measured[2] = {0}, met[2] = {0}; /* words of what is measured, and those that stand on the other side */
    uint32_t foreign = 0;                  /* names that the other document does not know at all */
    uint32_t codes_a = 0, codes_b = 0, names_a = 0, names_b = 0, names_both = 0, years_a = 0, years_b = 0,
             years_both = 0, solid = 0;
    uint32_t months_a = 0, months_b = 0, months_both = 0;
    for (int side = 0; side < 2; side++) {
        const struct frame *p = side ? b : a, *q = side ? a : b;
        const struct frame_word *v = side ? vb : va;
        uint32_t other_doc = side ? ua->doc : ub->doc;
        for (uint32_t i = 0; i < p->n_words; i++) {
            const struct frame_word *m = subject_find(s, q, v[i].id);
            if (m && m->place == 2 && ua->doc == ub->doc) m = NULL;
            const struct lexeme *l = &s->lexicon.items[v[i].id];
            float w = v[i].weight;
            bool year = v[i].class == WORD_CODE && l->stem.len == 4 && words_digit((unsigned char)l->stem.data[0]);
            /* of the clause of the value: "the fee is EUR 9,600, payable by 31 January" */
            bool month = l->flags & (LEXICON_MONTH | LEXICON_WEEKDAY) && v[i].class != WORD_FUNCTION &&
                         w > OTHER_CLAUSE * subject_weight(s, v[i].id) + 0.01f;
            if (v[i].place == 2 && ua->doc == ub->doc) continue; /* within one document headings tell what differs */
            if (v[i].place == 2) { /* a heading's word counts only where it meets a word of the other side */
                if (m && m->place < 2 && !side) {
                    shared += w;
                    ta += w;
                } else if (m && m->place < 2) {
                    tb += w;
                } else if (m && !side) {
                    shared += w * 0.5f, ta += w * 0.5f, tb += w * 0.5f;
                }
                continue;
            }
            bool implied = !m && (subject_in_title(s, other_doc, v[i].id) || (v[i].class == WORD_ENTITY));
            float full = implied ? w * 0.25f : w;
            if (!side)
                ta += full;
            else
                tb += full;
            if (v[i].near || v[i].subject) {
                float near = (implied ? w * 0.25f : w) * (v[i].subject ? 1.5f : 1);
                if (!side)
                    na += near, sa += m ? near : 0;
                else
                    nb += near, sb += m ? near : 0;
            }
            if (v[i].subject && !(l->flags & LEXICON_LIGHT) && v[i].class != WORD_ENTITY) {
                measured[side] += w;
                if (m || implied || subject_mentions(s, q, v[i].id)) met[side] += w;
            }
            if (m) {
                if (!side) {
                    shared += m->place == 2 ? m->weight : fminf(w, m->weight) + 0.5f * fabsf(w - m->weight);
                    if (!(l->flags & LEXICON_LIGHT) && v[i].class != WORD_ENTITY && m->place < 2) solid++;
                    if (v[i].class == WORD_NAME) names_both++;
                    if (year) years_both++;
                    if (month) months_both++;
                }
                continue;
            }
            if (implied || subject_mentions(s, q, v[i].id)) continue;
            if ((v[i].near || v[i].subject) && !(l->flags & LEXICON_LIGHT) &&
                !contrast_predicate(s, &s->units[p->unit], v[i].id)) /* "must stand", where the other says "leave" */
                rest[side] += w;
            if ((v[i].class == WORD_NAME || (v[i].class == WORD_CODE && !year)) && s->n_units > 8 &&
                !in_document(s, other_doc, v[i].id))
                foreign++;
            /* a column headed by a year, a model, a name speaks of nothing else */
            if (v[i].place == 1 && (v[i].class == WORD_CODE || v[i].class == WORD_NAME) &&
                unit_statement(s, &s->units[p->unit])->kind == INGEST_TABLE_ROW)
                r.apart = true;
            uint32_t *codes = side ? &codes_b : &codes_a, *names = side ? &names_b : &names_a;
            if (year)
                ++*(side ? &years_b : &years_a);
            else if (month)
                ++*(side ? &months_b : &months_a);
            else if (v[i].class == WORD_CODE)
                ++*codes;
            else if (v[i].class == WORD_NAME)
                ++*names;
        }
    }
    if (ta <= 0 || tb <= 0 || shared <= 0) return r;
    r.dice = fminf(1, 2 * shared / (ta + tb));
    r.cover = fminf(1, shared / fminf(ta, tb));
    float aa = na > 0 ? sa / na : r.dice, ab = nb > 0 ? sb / nb : r.dice;
    r.anchor = 0.5f * (fminf(aa, ab) + fmaxf(aa, ab) * 0.5f + 0.5f * (aa + ab) * 0.5f);
    r.anchor = fminf(1, r.anchor);
    r.score = 0.45f * r.dice + 0.2f * r.cover + 0.35f * r.anchor;
    if (solid == 0)
        r.score *= 0.5f; /* nothing but light words and parties in common */
    else if (solid == 1 && fminf(ta, tb) > 1.6f)
        r.score *= 0.85f;

    /* the costly questions only where the answer can matter: bonuses below add at most so much */
    bool links = precedence_links(s, ua, ub); /* the one names the other's section to change it */
    if (r.score + 0.12f + (links ? 0.25f : 0) < WORTH_SCORE) return r;

    if (codes_a && codes_b) r.apart = true;
    if (years_a && years_b && !years_both && a->class != ANALYSIS_DATE) r.apart = true;
    if (months_a && months_b && !months_both && a->class != ANALYSIS_DATE) r.apart = true;
    if (names_a && names_b) {
        if (!names_both)
            r.apart = true;
        else
            r.doubt += 0.12f;
    } else if (names_a + names_b > 1) {
        r.doubt += 0.06f;
    }
    if (codes_a || codes_b) r.doubt += 0.12f;
    if (years_a + years_b && a->class != ANALYSIS_DATE) r.doubt += 0.1f;
    if (groups_apart(s, a, b)) r.apart = true;
    if (a->actor != UINT32_MAX && b->actor != UINT32_MAX && a->actor != b->actor) {
        bool ea = s->lexicon.items[a->actor].stem.data[0] == '@', eb = s->lexicon.items[b->actor].stem.data[0] == '@';
        if (ea && eb)
            r.apart = true;
        else if (!subject_mentions(s, a, b->actor) && !subject_mentions(s, b, a->actor))
            r.doubt += 0.08f;
    }
    int longer = contrast_longer_name(s, a, b);
    if (longer == 2)
        r.apart = true;
    else if (longer)
        r.doubt += 0.14f;
    if (contrast_agents(s, a, b)) r.apart = true;
    if (contrast_report(s, a, b)) r.doubt += 0.2f;
    if (a->class != ANALYSIS_MODALITY && contrast_headings(s, a, b)) r.doubt += 0.14f;
    if (a->class != ANALYSIS_MODALITY && ua->doc == ub->doc && (contrast_movement(s, a) || contrast_movement(s, b)))
        r.doubt += 0.14f;
    if (contrast_non(s, a, b) || contrast_swapped(s, a, b)) r.apart = true;
    if (a->class != ANALYSIS_MODALITY && contrast_including(s, a, b)) r.doubt += 0.14f;
    if (contrast_purpose(s, a, b)) r.doubt += 0.14f;
    if ((months_a > 0) != (months_b > 0) && a->class != ANALYSIS_DATE) r.doubt += 0.12f;
    if (a->class == ANALYSIS_MODALITY && contrast_values(s, a, b)) r.apart = true;
    int other = contrast_slots(s, a, b);
    if (other == 2)
        r.apart = true;
    else if (other == 1)
        r.doubt += 0.2f;
    if (a->class != ANALYSIS_MODALITY) {
        if (contrast_prepositions(s, a, b) || contrast_days(s, a, b) || contrast_values(s, a, b) ||
            contrast_conditional_value(s, a) != contrast_conditional_value(s, b))
            r.apart = true;
        if (contrast_negation(s, a, b)) r.doubt += 0.2f;
        if (contrast_measured(s, a, b) || contrast_measured(s, b, a)) r.apart = true;
        if (contrast_ordinal(s, a, b)) r.doubt += 0.14f;
        if (contrast_one_of_all(s, a, b)) r.apart = true;
    }
    if (fminf(rest[0], rest[1]) > 0.6f) r.doubt += 0.14f; /* both name something more near the value */
    if (contrast_parallel(s, ua, ub)) r.doubt += 0.25f;
    if (contrast_topic(s, a, b)) r.doubt += 0.25f;
    if ((ua->marks ^ ub->marks) & MARK_ANAPHORA) r.doubt += 0.15f;
    if (measured[0] > 0 && measured[1] > 0 && fminf(met[0] / measured[0], met[1] / measured[1]) < 0.5f) r.doubt += 0.1f;
    if (measured[0] > 0.5f && measured[1] > 0.5f && met[0] >= measured[0] - 0.01f && met[1] >= measured[1] - 0.01f)
        r.exact = true, r.score = fminf(1, r.score + 0.12f); /* the very same thing is measured */
    if (links) {
        r.score = fminf(1, r.score + 0.25f);
        years_a = years_b = 0;
        r.doubt = 0;
        foreign = 0;
    }
    if (foreign) r.doubt += 0.2f;
    if (measured[0] > 1.5f && met[0] <= 0) r.doubt += 0.1f;
    if (measured[1] > 1.5f && met[1] <= 0) r.doubt += 0.1f;
    if (ua->doc == ub->doc && names_a + names_b) r.doubt += 0.14f;
    if (measured[0] > 0 && measured[1] > 0 && (met[0] <= 0 || met[1] <= 0))
        r.doubt += met[0] <= 0 && met[1] <= 0 ? 0.4f : 0.3f;
    float ca, cb;
    float oa = contrast_condition_overlap(s, a, b, &ca), ob = contrast_condition_overlap(s, b, a, &cb);
    if (ca > 0.6f && oa < 0.34f) r.doubt += 0.15f;
    if (cb > 0.6f && ob < 0.34f) r.doubt += 0.15f;
    if (ca > 0.6f && cb > 0.6f && oa < 0.34f && ob < 0.34f) r.apart = true;
    if (a->class == ANALYSIS_MODALITY && ca > 0.6f && cb > 0.6f && fminf(oa, ob) < 0.75f) r.apart = true;
    if (ca > 0 && cb > 0 && fminf(oa, ob) > 0.4f &&
        contrast_condition_negated(s, ua) != contrast_condition_negated(s, ub))
        r.apart = true; /* if and unless */
    uint32_t differ = ua->marks ^ ub->marks;
    if (differ & (MARK_ATTRIBUTED | MARK_PAST) || (ua->marks | ub->marks) & (MARK_EXAMPLE | MARK_QUESTION))
        r.apart = true;
    if (contrast_exception(s, a, b) || contrast_exception(s, b, a)) r.apart = true;
    if (contrast_scope(s, a, b) || contrast_scope(s, b, a)) r.doubt += 0.2f;
    if (contrast_rest(s, a) != contrast_rest(s, b)) r.doubt += 0.2f;
    /* "this Agreement" of one document is not "this Policy" of another */
    if (ua->doc != ub->doc && family_relation(s, ua->doc, ub->doc) != RELATION_VERSION &&
        s->family[ua->doc].amends != ub->doc && s->family[ub->doc].amends != ua->doc) {
        if (ua->marks & ub->marks & MARK_SELF) {
            if (a->class == ANALYSIS_DATE)
                r.apart = true;
            else
                r.doubt += 0.1f;
        }
        if (a->class == ANALYSIS_DATE && ((ua->marks & MARK_SELF && s->family[ua->doc].amendment) ||
                                          (ub->marks & MARK_SELF && s->family[ub->doc].amendment)))
            r.apart = true;
    }
    if (a->class == ANALYSIS_MODALITY && differ & MARK_CONDITION) r.doubt += ua->doc == ub->doc ? 0.15f : 0.03f;
    if (differ & MARK_PROPOSAL) r.doubt += 0.3f;
    if (differ & MARK_EXCEPTION) r.doubt += 0.08f;
    r.score = fmaxf(0, r.score - r.doubt);
    return r;
}
