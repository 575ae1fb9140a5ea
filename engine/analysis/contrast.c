/* contrast.c: what tells two statements of the same shape apart. Owns the tests for another word in the same place,
 * another case, time, scope or exception. Each looks at one thing and says nothing of the rest; subject.c weighs them.
 * The look-alikes they were made for stand in tests/unit/test_detect_pairs.c.
 */
#include "engine/analysis/contrast.h"
#include "engine/analysis/value.h"

#include <string.h>

/* ---- contrast: other words in the same place ---- */
#define SLOT_MAX 48
#define SLOT_START (UINT32_MAX - 1)
#define SLOT_END (UINT32_MAX - 2)
#define SLOT_NEAR 2 /* words, small ones counted, between a shared word and the one that differs */
struct slot {
    uint32_t id;
    uint32_t previous, next;         /* shared words before and behind; SLOT_START, SLOT_END where there is none */
    uint32_t from_previous, to_next; /* distance in words */
    bool predicate; /* behind a modal verb, "to" or a form of "be": most often a verb, which people vary freely */
    bool light;     /* a word that says little */
    bool condition; /* inside a condition */
    bool implied;   /* the other document's title has it */
    bool joined;    /* no punctuation between it and the shared word behind it */
    uint32_t
        relation; /* the preposition between it and the shared word before it; UINT32_MAX for none, "of" or "for" */
};

/* "cleaned with an agent" and "cleaned after the run" say two things of the cleaning, "the lid of the bucket" and "the
 * bucket lid" one: only what stands in the same relation to the shared word stands in the same place. */
static uint32_t relation(const struct detect_set *s, const struct subject_statement *u, uint32_t from, uint32_t to) {
    for (uint32_t i = to; i-- > from;)
        if (words_in(s, u->doc, &s->words[u->word + i],
                     "with after before during at upon on by within until in from through per as because while when "
                     "if unless except against under over above below without"))
            return s->words[u->word + i].id;
    return UINT32_MAX;
}

/* Places of a's words that b does not have. */
static uint32_t slots(const struct detect_set *s, const struct frame *a, const struct frame *b,
                      struct slot out[SLOT_MAX]) {
    const struct subject_statement *u = &s->units[a->unit];
    uint32_t other = s->units[b->unit].doc, n = 0, previous = SLOT_START, previous_at = 0;
    for (uint32_t i = 0; i < u->n_words && n < SLOT_MAX; i++) {
        const struct word *w = &s->words[u->word + i];
        const struct frame_word *f = w->class == WORD_FUNCTION || w->class == WORD_SKIP || w->class == WORD_NUMBER
                                         ? NULL
                                         : subject_find(s, a, w->id);
        if (!f || f->place == 2) continue;
        if (w->flags & WORD_LEAD && unit_statement(s, u)->kind == INGEST_TABLE_ROW) continue; /* heads of columns */
        if (subject_states(s, b, w->id)) {
            previous = w->id;
            previous_at = i;
            continue;
        }
        if (w->class == WORD_ENTITY) continue;
        struct slot x = {.id = w->id,
                         .light = s->lexicon.items[w->id].flags & LEXICON_LIGHT,
                         .condition = w->flags & WORD_CONDITION,
                         .implied = subject_in_title(s, other, w->id),
                         .previous = previous,
                         .from_previous = i - previous_at,
                         .next = SLOT_END,
                         .joined = true,
                         .relation = previous == SLOT_START ? UINT32_MAX : relation(s, u, previous_at + 1, i)};
        for (uint32_t k = i + 1; k < u->n_words; k++) {
            const struct word *v = &s->words[u->word + k];
            if (v->flags & WORD_EDGE && x.next == SLOT_END) x.joined = false;
            const struct frame_word *g = v->class == WORD_FUNCTION || v->class == WORD_SKIP || v->class == WORD_NUMBER
                                             ? NULL
                                             : subject_find(s, a, v->id);
            if (!g || g->place == 2 || !subject_states(s, b, v->id)) continue;
            x.next = v->id;
            x.to_next = k - i;
            break;
        }
        if (i) {
            const struct word *p = w - 1;
            if (!(w->flags & WORD_EDGE))
                x.predicate = words_in(
                    s, u->doc, p,
                    "shall must may will can should would to be is are was were been not has have had being by");
        }
        out[n++] = x;
    }
    return n;
}

/* "after he ceases to be employed", "after the termination of his employment": as a point in time the same. */
static bool ends(const struct detect_set *s, uint32_t id) {
    struct slice t = s->lexicon.items[id].stem;
    return slice_equal(t, slice_of("end")) || slice_equal(t, slice_of("termin"));
}

/* The same sentence with another thing in one place: "defects of the lifts" against "defects of the heating". 0 none, 1
 * perhaps a verb, 2 a thing. */
int contrast_slots(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    struct slot x[SLOT_MAX], y[SLOT_MAX];
    uint32_t nx = slots(s, a, b, x), ny = nx ? slots(s, b, a, y) : 0;
    int found = 0;
    for (uint32_t i = 0; i < nx; i++)
        for (uint32_t k = 0; k < ny; k++) {
            if ((x[i].implied && y[k].implied) || (x[i].light && y[k].light) || x[i].condition != y[k].condition)
                continue;
            if (ends(s, x[i].id) && ends(s, y[k].id)) continue;
            bool strict = x[i].light || y[k].light;
            bool before = x[i].previous == y[k].previous && x[i].relation == y[k].relation,
                 behind = x[i].next == y[k].next;
            bool same =
                behind && x[i].next != SLOT_END && x[i].to_next == 1 && y[k].to_next == 1 && x[i].joined && y[k].joined;
            if (!strict) {
                same |= before && behind && (x[i].previous != SLOT_START || x[i].next != SLOT_END);
                same |= before && x[i].previous != SLOT_START && x[i].from_previous <= SLOT_NEAR + 1 &&
                        y[k].from_previous <= SLOT_NEAR + 1;
            }
            if (!same) continue;
            int kind = x[i].predicate || y[k].predicate ? 1 : 2;
            if (kind > found) found = kind;
        }
    return found;
}

/* Where a thing stands to time, space or company: "after the trial" against "during the trial", "with" against
 * "without". */
static int preposition(const struct detect_set *s, const struct subject_statement *u, uint32_t i) {
    static const char *const classes[] = {"after following upon since once",
                                          "before prior",
                                          "during throughout",
                                          "until",
                                          "without",
                                          "with",
                                          "above over exceeding",
                                          "below under",
                                          "inside",
                                          "outside",
                                          "except excluding"};
    for (uint32_t k = i, steps = 0; k-- > 0 && steps < 4; steps++) {
        const struct word *w = &s->words[u->word + k];
        if (w[1].flags & WORD_EDGE) return 0;
        for (size_t c = 0; c < sizeof classes / sizeof *classes; c++)
            if (words_in(s, u->doc, w, classes[c])) return (int)c + 1;
        if (w->class == WORD_FUNCTION && !words_in(s, u->doc, w, "the a an its their his her any each of to")) return 0;
    }
    return 0;
}

bool contrast_prepositions(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *ua = &s->units[a->unit], *ub = &s->units[b->unit];
    for (uint32_t i = 0; i < ua->n_words; i++) {
        const struct word *w = &s->words[ua->word + i];
        if (w->class != WORD_CONTENT || s->lexicon.items[w->id].flags & LEXICON_LIGHT) continue;
        int pa = preposition(s, ua, i);
        if (!pa) continue;
        bool found = false, differ = false;
        for (uint32_t k = 0; k < ub->n_words; k++) {
            if (s->words[ub->word + k].id != w->id) continue;
            int pb = preposition(s, ub, k);
            if (pb == pa)
                found = true;
            else if (pb)
                differ = true;
        }
        if (differ && !found) return true;
    }
    return false;
}

static bool upper(enum ingest_bound b) {
    return b == INGEST_AT_MOST || b == INGEST_LESS_THAN;
}
static bool lower(enum ingest_bound b) {
    return b == INGEST_AT_LEAST || b == INGEST_MORE_THAN;
}

/* Another value on both sides besides the compared one, and none of it agrees: rows of two different cases. */
bool contrast_values(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *ua = &s->units[a->unit], *ub = &s->units[b->unit];
    const struct ingest_document *da = s->docs[ua->doc], *db = s->docs[ub->doc];
    static const struct ingest_fact none = {.kind = INGEST_MODALITY};
    const struct ingest_fact *fa = a->fact < da->n_facts ? &da->facts[a->fact] : &none;
    if (unit_statement(s, ua)->kind == INGEST_TABLE_ROW || unit_statement(s, ub)->kind == INGEST_TABLE_ROW)
        return false;
    bool differ = false;
    for (uint32_t i = ua->first_fact; i < ua->first_fact + ua->n_facts; i++) {
        const struct ingest_fact *x = &da->facts[i];
        bool same_measure = x->kind == fa->kind && (slice_equal(x->unit, fa->unit) || x->kind == INGEST_AMOUNT);
        if (!subject_is_value(x->kind) || same_measure || x->kind == INGEST_TOTAL)
            continue; /* a total is an amount, too */
        if (x->span.start < fa->span.end && x->span.end > fa->span.start) continue;
        bool agree = false, any = false;
        for (uint32_t k = ub->first_fact; k < ub->first_fact + ub->n_facts; k++) {
            const struct ingest_fact *y = &db->facts[k];
            if (y->kind != x->kind || !slice_equal(x->unit, y->unit)) continue;
            any = true;
            bool opposed =
                (upper(x->bound) && lower(y->bound)) || (lower(x->bound) && upper(y->bound)); /* above and below */
            agree |= fabs(x->value - y->value) <= 1e-9 * fabs(x->value) && !opposed;
        }
        if (any && agree) continue;
        if (any) differ = true;
    }
    return differ;
}

/* Before or from a day: "prior to", "until" against "from", "after". */
static int date_side(const struct detect_set *s, const struct subject_statement *u, const struct ingest_fact *f) {
    for (uint32_t i = u->n_words; i-- > 0;) {
        const struct word *w = &s->words[u->word + i];
        if (w->end > f->span.start) continue;
        const struct word *p = i ? w - 1 : w;
        if (words_in(s, u->doc, w, "before until through till by") ||
            (words_in(s, u->doc, w, "to") && words_in(s, u->doc, p, "prior up")))
            return -1;
        if (words_in(s, u->doc, w, "from after since on of") || words_in(s, u->doc, p, "from as")) return 1;
        return 0;
    }
    return 0;
}

/* Both sides name days, and not the same: they speak of different times. */
bool contrast_days(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *ua = &s->units[a->unit], *ub = &s->units[b->unit];
    const struct ingest_document *da = s->docs[ua->doc], *db = s->docs[ub->doc];
    uint32_t na = 0, nb = 0, same = 0;
    for (uint32_t k = ub->first_fact; k < ub->first_fact + ub->n_facts; k++)
        nb += db->facts[k].kind == INGEST_DATE && k != b->fact;
    for (uint32_t i = ua->first_fact; i < ua->first_fact + ua->n_facts; i++) {
        const struct ingest_fact *x = &da->facts[i];
        if (x->kind != INGEST_DATE || i == a->fact) continue;
        na++;
        for (uint32_t k = ub->first_fact; k < ub->first_fact + ub->n_facts; k++) {
            const struct ingest_fact *y = &db->facts[k];
            if (y->kind != INGEST_DATE || k == b->fact || x->year != y->year || x->month != y->month ||
                x->day != y->day)
                continue;
            if (date_side(s, ua, x) * date_side(s, ub, y) < 0) continue;
            same++;
            break;
        }
    }
    return na && nb && (same < na || same < nb);
}

/* Negations outside the compared value: "without load" against "with load". */
bool contrast_negation(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    bool negated[2] = {false, false};
    for (int side = 0; side < 2; side++) {
        const struct frame *f = side ? b : a;
        const struct subject_statement *u = &s->units[f->unit];
        const struct ingest_span v = s->docs[u->doc]->facts[f->fact].span;
        if (a->class == ANALYSIS_DATE && value_first_day(s, f)) continue; /* "not before 1 May" is "from 1 May" */
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->start >= v.start && w->end <= v.end) continue;
            if (w->flags & WORD_LEAD && unit_statement(s, u)->kind == INGEST_TABLE_ROW) continue; /* the column "No." */
            if (s->lexicon.items[w->id].flags & LEXICON_NEGATION) negated[side] = true;
        }
    }
    return negated[0] != negated[1];
}

float contrast_condition_overlap(const struct detect_set *s, const struct frame *a, const struct frame *b,
                                 float *total) {
    const struct subject_statement *u = &s->units[a->unit];
    float shared = 0;
    *total = 0;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (!(w->flags & WORD_CONDITION) || w->class == WORD_FUNCTION || w->class == WORD_SKIP ||
            w->class == WORD_NUMBER)
            continue;
        if (w->class == WORD_ENTITY) continue;
        float x = subject_weight(s, w->id);
        *total += x;
        if (subject_mentions(s, b, w->id)) shared += x;
    }
    return *total > 0 ? shared / *total : 1;
}

/* The value stands inside a condition: it says when, not how much. */
bool contrast_conditional_value(const struct detect_set *s, const struct frame *f) {
    const struct subject_statement *u = &s->units[f->unit];
    const struct ingest_span v = s->docs[u->doc]->facts[f->fact].span;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->start >= v.start && w->end <= v.end && w->flags & WORD_CONDITION) return true;
    }
    return false;
}

/* Two blocks of one document with the same sentences before or behind: parallel clauses for different cases. */
static float shared_words(const struct detect_set *s, const struct subject_statement *a,
                          const struct subject_statement *b) {
    uint32_t both = 0, n = 0;
    for (uint32_t i = 0; i < a->n_words; i++) {
        const struct word *w = &s->words[a->word + i];
        if (w->class == WORD_FUNCTION || w->class == WORD_NUMBER || w->class == WORD_SKIP || w->flags & WORD_LEAD)
            continue;
        n++;
        for (uint32_t k = 0; k < b->n_words; k++)
            if (s->words[b->word + k].id == w->id) {
                both++;
                break;
            }
    }
    return n >= 4 ? (float)both / (float)n : 0;
}

bool contrast_parallel(const struct detect_set *s, const struct subject_statement *a,
                       const struct subject_statement *b) {
    if (a->doc != b->doc) return false;
    const struct ingest_document *d = s->docs[a->doc];
    for (int step = -1; step <= 1; step += 2) {
        int64_t x = (int64_t)a->statement + step, y = (int64_t)b->statement + step;
        if (x < 0 || y < 0 || x >= (int64_t)d->n_statements || y >= (int64_t)d->n_statements ||
            x == (int64_t)b->statement)
            continue;
        const struct subject_statement *u = a + step, *v = b + step;
        if (shared_words(s, u, v) > 0.6f && shared_words(s, v, u) > 0.6f) return true;
    }
    return false;
}

/* A frame's heavy words in the statement, its lead-in or column header; parties aside. */
static uint32_t own_words(const struct detect_set *s, const struct frame *f) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < f->n_words; k++) {
        const struct frame_word *w = &s->frame_words[f->word + k];
        n += w->place < 2 && w->class != WORD_ENTITY && !(s->lexicon.items[w->id].flags & LEXICON_LIGHT);
    }
    return n;
}

/* "The discount rate applied was 9.5 %." after a sentence on one acquisition, "... was 16 %." after one on another: in
 * a long report a short sentence goes on with what the one before it names. Contracts repeat what they speak of. */
#define TOPIC_WORDS 4
bool contrast_topic(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *u = &s->units[a->unit], *v = &s->units[b->unit];
    const struct ingest_document *d = s->docs[u->doc];
    if (u->doc != v->doc || d->n_statements < LONG_STATEMENTS || s->family[u->doc].n_parties || !u->statement ||
        !v->statement || unit_statement(s, u)->kind == INGEST_TABLE_ROW ||
        unit_statement(s, v)->kind == INGEST_TABLE_ROW)
        return false;
    for (int side = 0; side < 2; side++) {
        const struct frame *f = side ? b : a;
        if (own_words(s, f) <= TOPIC_WORDS)
            return shared_words(s, u - 1, v - 1) < 0.6f || shared_words(s, v - 1, u - 1) < 0.6f;
    }
    return false;
}

/* Negations inside the conditions of a statement, odd or even; "unless" is one. */
bool contrast_condition_negated(const struct detect_set *s, const struct subject_statement *u) {
    bool negated = false;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->flags & WORD_CONDITION &&
            (s->lexicon.items[w->id].flags & LEXICON_NEGATION || words_in(s, u->doc, w, "unless")))
            negated = !negated;
    }
    return negated;
}

/* "For the yard at Canal Street the ...": a place or case that the other side does not speak of. */
bool contrast_scope(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *u = &s->units[a->unit];
    uint32_t i = 0, heavy = 0, shared = 0;
    while (i < u->n_words && (s->words[u->word + i].flags & WORD_LEAD || s->words[u->word + i].class == WORD_SKIP ||
                              s->words[u->word + i].class == WORD_NUMBER))
        i++;
    if (i >= u->n_words || !words_in(s, u->doc, &s->words[u->word + i], "for in at during on under with as to"))
        return false;
    const struct ingest_document *d = s->docs[u->doc];
    for (uint32_t k = i + 1; k < u->n_words && k < i + 7; k++) {
        const struct word *w = &s->words[u->word + k];
        /* "For six months after the termination, ...": says how long, not where */
        if (a->fact < d->n_facts && a->class != ANALYSIS_MODALITY && w->start >= d->facts[a->fact].span.start &&
            w->end <= d->facts[a->fact].span.end)
            return false;
        if (w->flags & WORD_EDGE || (k > i + 2 && words_in(s, u->doc, w, "the you it they is are shall must may")))
            break;
        if ((w->class != WORD_CONTENT && w->class != WORD_NAME && w->class != WORD_CODE) ||
            s->lexicon.items[w->id].flags & LEXICON_LIGHT)
            continue;
        heavy++;
        shared += subject_mentions(s, b, w->id);
    }
    return heavy && shared * 2 < heavy;
}

/* Another value inside what is measured: "the dose in patients over 75 years". */
bool contrast_measured(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *ua = &s->units[a->unit], *ub = &s->units[b->unit];
    const struct ingest_document *da = s->docs[ua->doc], *db = s->docs[ub->doc];
    const struct ingest_span in = da->facts[a->fact].subject;
    if (unit_statement(s, ua)->kind == INGEST_TABLE_ROW) return false;
    for (uint32_t i = ua->first_fact; i < ua->first_fact + ua->n_facts; i++) {
        const struct ingest_fact *x = &da->facts[i];
        if (!subject_is_value(x->kind) || i == a->fact || x->kind == INGEST_TOTAL || x->span.start < in.start ||
            x->span.end > in.end || !x->unit.len)
            continue;
        bool agree = false;
        for (uint32_t k = ub->first_fact; k < ub->first_fact + ub->n_facts && !agree; k++)
            agree = db->facts[k].kind == x->kind && fabs(db->facts[k].value - x->value) <= 1e-9 * fabs(x->value);
        if (!agree) return true;
    }
    return false;
}

/* Whether the word stands behind a modal verb or a form of "be" wherever the statement has it: a verb, most often. */
bool contrast_predicate(const struct detect_set *s, const struct subject_statement *u, uint32_t id) {
    bool found = false;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->id != id) continue;
        if (i == 0 || w->flags & WORD_EDGE ||
            !words_in(s, u->doc, &w[-1], "shall must may will can should would be is are was were been has have"))
            return false;
        found = true;
    }
    return found;
}

/* Words of order ("first", "initial", "last") on one side alone. */
bool contrast_ordinal(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    bool have[2] = {false, false};
    for (int side = 0; side < 2; side++) {
        const struct frame *f = side ? b : a;
        for (uint32_t k = 0; k < f->n_words; k++) {
            const struct frame_word *w = &s->frame_words[f->word + k];
            const struct lexeme *l = &s->lexicon.items[w->id];
            for (int g = 0; g < 2; g++) /* the first member, "initial", is what is meant where nothing is said */
                if (w->place < 2 && l->group[g] == GROUP_ORDER &&
                    (l->member[g] != 1 || slice_equal(l->stem, slice_of("first"))) &&
                    !contrast_predicate(s, &s->units[f->unit], w->id)) /* "it is extended" */
                    have[side] = true;
        }
    }
    return have[0] != have[1];
}

/* "each visit" against "the last visit": the rule and one case of it. */
bool contrast_one_of_all(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    for (int side = 0; side < 2; side++) {
        const struct subject_statement *u = &s->units[side ? b->unit : a->unit],
                                       *v = &s->units[side ? a->unit : b->unit];
        for (uint32_t i = 1; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            const struct lexeme *l = &s->lexicon.items[w[-1].id];
            bool ordered = false;
            for (int g = 0; g < 2; g++) ordered |= l->group[g] == GROUP_ORDER && l->member[g] != 1;
            if (!ordered || w->flags & WORD_EDGE || w->class != WORD_CONTENT) continue;
            for (uint32_t k = 1; k < v->n_words; k++)
                if (s->words[v->word + k].id == w->id &&
                    words_in(s, v->doc, &s->words[v->word + k - 1], "each every all any per"))
                    return true;
        }
    }
    return false;
}

/* "Except for breaches of Article 3, ..." against what is said of breaches of Article 3: the rule and its exception. */
bool contrast_exception(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *u = &s->units[a->unit], *v = &s->units[b->unit];
    if (!(u->marks & MARK_EXCEPTION)) return false;
    uint32_t heavy = 0, met = 0;
    bool inside = false;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (inside && w->flags & (WORD_EDGE | WORD_BREAK)) inside = false;
        if (words_in(s, u->doc, w, "except excluding save unless") ||
            (i && words_in(s, u->doc, w, "than") && words_in(s, u->doc, w - 1, "other"))) {
            inside = true;
            continue;
        }
        if (!inside || w->class == WORD_FUNCTION || w->class == WORD_SKIP || w->class == WORD_ENTITY ||
            s->lexicon.items[w->id].flags & LEXICON_LIGHT)
            continue;
        heavy++;
        for (uint32_t k = 0; k < v->n_words; k++)
            if (s->words[v->word + k].id == w->id && !(s->words[v->word + k].flags & WORD_CONDITION)) {
                met++;
                break;
            }
    }
    return heavy && met * 5 >= heavy * 3;
}

/* "RT8" against "RT8 hybrid", "Tour 9" against "Tour 9 S": one name goes on. 0 no, 1 by a plain word, 2 by a name or
 * code. */
int contrast_longer_name(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    int found = 0;
    for (int side = 0; side < 2; side++) {
        const struct frame *f = side ? b : a, *g = side ? a : b;
        const struct subject_statement *u = &s->units[f->unit];
        for (uint32_t i = 0; i + 1 < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            bool digits = words_digit((unsigned char)s->lexicon.items[w->id].stem.data[0]);
            if (w->class != WORD_CODE && w->class != WORD_NAME) continue;
            if (digits && (i == 0 || w[-1].class == WORD_FUNCTION)) continue; /* a year */
            if (w[1].flags & WORD_EDGE || !subject_states(s, g, w->id) || subject_states(s, g, w[1].id)) continue;
            /* it may stand alone elsewhere in the sentence: "Severity 1 ... and Severity 2" */
            bool both = false;
            const struct subject_statement *v = &s->units[g->unit];
            for (uint32_t k = 0; k + 1 < v->n_words && !both; k++)
                for (uint32_t q = 0; q + 1 < u->n_words && !both && s->words[v->word + k].id == w->id; q++)
                    both = s->words[u->word + q].id == w->id &&
                           s->words[u->word + q + 1].id == s->words[v->word + k + 1].id;
            if (both) continue;
            if (w[1].class == WORD_CODE || w[1].class == WORD_NAME) return 2;
            bool singular = s->docs[u->doc]->text.data[w[1].end - 1] != 's'; /* "prints", "needs" are verbs */
            if (w[1].class == WORD_CONTENT && singular && !(s->lexicon.items[w[1].id].flags & LEXICON_LIGHT) &&
                subject_find(s, f, w[1].id))
                found = 1;
        }
    }
    return found;
}

/* Who does it, where the sentence begins with a person or party and is active. */
static uint32_t agent(const struct detect_set *s, const struct subject_statement *u) {
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->flags & (WORD_LEAD | WORD_CONDITION) || w->class == WORD_SKIP || w->class == WORD_FUNCTION ||
            w->class == WORD_NUMBER)
            continue;
        bool person = w->class == WORD_ENTITY || w->class == WORD_NAME;
        const struct lexeme *l = &s->lexicon.items[w->id];
        for (int g = 0; g < 2; g++) person |= l->group[g] && lexicon_is_role(l->group[g]);
        if (!person) return UINT32_MAX;
        for (uint32_t k = i + 1; k < u->n_words && k < i + 4; k++) /* passive: it is done to them */
            if (words_in(s, u->doc, &s->words[u->word + k], "be is are was were")) return UINT32_MAX;
        return w->id;
    }
    return UINT32_MAX;
}

bool contrast_agents(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    uint32_t x = agent(s, &s->units[a->unit]), y = agent(s, &s->units[b->unit]);
    return x != UINT32_MAX && y != UINT32_MAX && x != y && (subject_states(s, b, x) || subject_states(s, a, y));
}

bool contrast_report(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    bool report[2], rule[2];
    for (int side = 0; side < 2; side++) {
        const struct subject_statement *u = &s->units[side ? b->unit : a->unit];
        report[side] = rule[side] = false;
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            report[side] |= words_in(s, u->doc, w, "was were had reported recorded achieved stood counted sold");
            rule[side] |= words_in(s, u->doc, w, "shall must may required requirement requires limit minimum maximum");
        }
        if (rule[side]) report[side] = false;
    }
    return (report[0] && rule[1]) || (report[1] && rule[0]);
}

/* "Pallets for air freight" against "a pallet": what follows "for" narrows the thing. */
bool contrast_purpose(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    for (int side = 0; side < 2; side++) {
        const struct frame *f = side ? b : a, *g = side ? a : b;
        const struct subject_statement *u = &s->units[f->unit], *v = &s->units[g->unit];
        for (uint32_t i = 0; i + 2 < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->class != WORD_CONTENT || w[1].flags & WORD_EDGE || !words_in(s, u->doc, &w[1], "for") ||
                !subject_states(s, g, w->id))
                continue;
            bool also = false; /* the other side says what for, too */
            for (uint32_t k = 0; k + 1 < v->n_words; k++)
                also |= s->words[v->word + k].id == w->id && words_in(s, v->doc, &s->words[v->word + k + 1], "for of");
            if (also) continue;
            for (uint32_t k = i + 2; k < u->n_words && k < i + 5; k++) {
                const struct word *x = &s->words[u->word + k];
                if (x->flags & WORD_EDGE || x->class == WORD_NUMBER) break;
                if ((x->class == WORD_CONTENT || x->class == WORD_NAME) &&
                    !(s->lexicon.items[x->id].flags & LEXICON_LIGHT)) {
                    if (!subject_states(s, g, x->id)) return true;
                    break;
                }
            }
        }
    }
    return false;
}

/* "non-residents" against "residents"; "including the substation" on one side alone. */
bool contrast_non(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    for (int side = 0; side < 2; side++) {
        const struct frame *f = side ? b : a, *g = side ? a : b;
        const struct subject_statement *u = &s->units[f->unit], *v = &s->units[g->unit];
        for (uint32_t i = 0; i + 1 < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (!words_in(s, u->doc, w, "non")) continue;
            bool plain = false, non = false;
            for (uint32_t k = 0; k < v->n_words; k++) {
                if (s->words[v->word + k].id != w[1].id) continue;
                if (k && words_in(s, v->doc, &s->words[v->word + k - 1], "non"))
                    non = true;
                else
                    plain = true;
            }
            if (plain && !non) return true;
        }
    }
    return false;
}
bool contrast_including(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    bool have[2] = {false, false};
    for (int side = 0; side < 2; side++) {
        const struct subject_statement *u = &s->units[side ? b->unit : a->unit];
        for (uint32_t i = 0; i < u->n_words; i++)
            have[side] |=
                words_in(s, u->doc, &s->words[u->word + i], "including includes inclusive excluding exclusive plus");
    }
    return have[0] != have[1];
}

/* The actors of two active rules change places: each is somebody else in the other sentence. */
static bool active(const struct detect_set *s, const struct subject_statement *u) {
    const struct ingest_document *d = s->docs[u->doc];
    for (uint32_t k = u->first_fact; k < u->first_fact + u->n_facts; k++) {
        if (d->facts[k].kind != INGEST_MODALITY) continue;
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->start < d->facts[k].span.end) continue;
            return !words_in(s, u->doc, w, "be");
        }
    }
    return false;
}
bool contrast_swapped(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *x = &s->units[a->unit], *y = &s->units[b->unit];
    return x->actor != UINT32_MAX && y->actor != UINT32_MAX && x->actor != y->actor && subject_states(s, b, x->actor) &&
           subject_states(s, a, y->actor) && active(s, x) && active(s, y);
}

/* "every remaining copy", "all other sums": the rest of something, said in the clause of the value. */
bool contrast_rest(const struct detect_set *s, const struct frame *f) {
    const struct subject_statement *u = &s->units[f->unit];
    const struct ingest_document *d = s->docs[u->doc];
    if (!(u->marks & MARK_OTHER)) return false;
    if (f->class == ANALYSIS_MODALITY || f->fact >= d->n_facts) return true;
    uint32_t left = 0, right = u->n_words;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (!(w->flags & WORD_BREAK)) continue;
        if (w->start <= d->facts[f->fact].span.start)
            left = i;
        else if (right == u->n_words)
            right = i;
    }
    for (uint32_t i = left; i < right; i++)
        if (words_in(s, u->doc, &s->words[u->word + i], "remaining rest otherwise") ||
            (i && words_in(s, u->doc, &s->words[u->word + i], "other") &&
             words_in(s, u->doc, &s->words[u->word + i - 1], "all any every")))
            return true;
    return false;
}

/* "revenue was up 14 %": how something moved, told for one part of a report after the other. */
bool contrast_movement(const struct detect_set *s, const struct frame *f) {
    const struct subject_statement *u = &s->units[f->unit];
    for (uint32_t i = 1; i < u->n_words; i++)
        if (words_in(s, u->doc, &s->words[u->word + i], "down grew rose fell decreased increased") ||
            (words_in(s, u->doc, &s->words[u->word + i], "up") &&
             !(i + 1 < u->n_words && words_in(s, u->doc, &s->words[u->word + i + 1], "to"))))
            return true;
    return false;
}

/* Short sentences under different headings of one document: what they speak of stands above them ("A trial is scheduled
 * to begin in May"). */
bool contrast_headings(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *x = &s->units[a->unit], *y = &s->units[b->unit];
    if (x->doc != y->doc || x->head_word == y->head_word) return false;
    uint32_t heavy[2] = {0, 0}, shared = 0;
    for (int side = 0; side < 2; side++) {
        const struct subject_statement *u = side ? y : x, *v = side ? x : y;
        for (uint32_t i = 0; i < u->n_head_words; i++) {
            const struct word *w = &s->words[u->head_word + i];
            if ((w->class != WORD_CONTENT && w->class != WORD_NAME && w->class != WORD_CODE) ||
                s->lexicon.items[w->id].flags & LEXICON_LIGHT)
                continue;
            heavy[side]++;
            for (uint32_t k = 0; k < v->n_head_words; k++) shared += s->words[v->head_word + k].id == w->id;
        }
    }
    if (!heavy[0] || !heavy[1] || shared) return false;
    for (int side = 0; side < 2; side++) {
        const struct frame *f = side ? b : a;
        if (own_words(s, f) <= 3) return true;
    }
    return false;
}
