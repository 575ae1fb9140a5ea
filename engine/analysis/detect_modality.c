/* detect_modality.c: who must, may, must not, need not do what. Owns the table of modalities that cannot both hold, and
 * negation of plain statements ("is refundable" / "is not refundable"). Refuses different actors, different verbs, and
 * rules that hold on a condition only the one side has: "without consent" against "with consent" is no conflict.
 *
 *                  permission   prohibition   no obligation
 *   obligation          -        conflict        conflict
 *   permission                   conflict           -
 */
#include "engine/analysis/candidates.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_SCORE 0.55f
#define DECIDED_SCORE 0.7f
#define ACTION_NEAR 3 /* verb and first objects */

static bool raw_is(const struct detect_set *s, uint32_t doc, const struct word *w, const char *text) {
    return slice_equal_nocase(detect_text(s, doc, w->start, w->end), slice_of(text));
}

/* Plain statements ("is not delivered") are no modality facts of the document: they are made here, in the scratch
 * arena. */
static const struct ingest_fact *fact_of(const struct detect_set *s, const struct frame *f) {
    return f->plain ? f->plain : &s->docs[s->units[f->unit].doc]->facts[f->fact];
}

/* The verb of the action: the first content word behind the modal. noun holds it. */
static int build_frame(struct detect_set *s, uint32_t unit, uint32_t fact, const struct ingest_fact *plain) {
    const struct subject_statement *u = &s->units[unit];
    const struct ingest_document *d = s->docs[u->doc];
    const struct ingest_fact *f = plain ? plain : &d->facts[fact];
    struct frame fr = {.plain = plain,
                       .verb = UINT32_MAX,
                       .unit = unit,
                       .fact = fact,
                       .class = ANALYSIS_MODALITY,
                       .actor = UINT32_MAX,
                       .noun = UINT32_MAX};
    struct ingest_span action = f->object.end > f->object.start
                                    ? f->object
                                    : (struct ingest_span){f->span.end, d->statements[u->statement].span.end};
    /* who */
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->start < f->subject.start || w->end > f->subject.end) continue;
        if (w->class == WORD_ENTITY) {
            fr.actor = w->id;
            break;
        }
        if (w->class == WORD_CONTENT || w->class == WORD_NAME) fr.actor = w->id;
        if (raw_is(s, u->doc, w, "party") || raw_is(s, u->doc, w, "parties")) {
            fr.actor = UINT32_MAX; /* each party: either side's duty meets it */
            break;
        }
    }
    struct slice modal = ingest_text(d, f->span);
    if (slice_starts_with(modal, slice_of("agree"))) /* "agrees to the terms" */
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->start < f->span.end) continue;
            if (raw_is(s, u->doc, w, "the") || raw_is(s, u->doc, w, "this") || raw_is(s, u->doc, w, "these") ||
                raw_is(s, u->doc, w, "our"))
                return 0;
            break;
        }
    for (uint32_t i = 0; i < u->n_words; i++) { /* "if the Borrower shall fail to": an event of default */
        const struct word *w = &s->words[u->word + i];
        if (w->start < f->span.end) continue;
        if (words_in(s, u->doc, w, "fail default cease suffer commit occur")) return 0;
        break;
    }
    /* not a rule: inside a condition, a perfect tense ("shall have occurred"), the head of a list */
    struct slice text = slice_trim(ingest_text(d, d->statements[u->statement].span));
    if (text.len && text.data[text.len - 1] == ':') return 0;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->start < f->span.start || w->end > f->span.end) continue;
        if (w->flags & WORD_CONDITION) return 0;
        const struct word *end = &s->words[u->word + u->n_words];
        if (w + 2 < end && raw_is(s, u->doc, &w[1], "have") && !raw_is(s, u->doc, &w[2], "the") &&
            !raw_is(s, u->doc, &w[2], "no") && !raw_is(s, u->doc, &w[2], "a") && !raw_is(s, u->doc, &w[2], "any"))
            return 0;
    }
    fr.dimension = lexicon_exact(&s->lexicon, "modality", 8);
    if (fr.dimension == UINT32_MAX || subject_frame_words(s, &fr, NULL)) return ERR_NOMEM;
    /* weights: the action counts, the rest of the statement a little */
    uint32_t near = ACTION_NEAR;
    struct frame_word *v = s->frame_words + fr.word;
    for (uint32_t k = 0; k < fr.n_words; k++) {
        v[k].near = 0;
        bool in_action = false, in_subject = false;
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->id != v[k].id) continue;
            in_action |= w->start >= action.start && w->end <= action.end && !(w->flags & WORD_CONDITION);
            in_subject |= w->start >= f->subject.start && w->end <= f->subject.end;
        }
        if (v[k].place < 2 && !in_action && !in_subject) v[k].weight *= 0.5f;
    }
    bool light = false; /* "require approval": approval is what is done */
    for (uint32_t i = 0; i < u->n_words && near; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->start < action.start || w->end > action.end || w->class == WORD_FUNCTION || w->class == WORD_NUMBER ||
            w->class == WORD_SKIP)
            continue;
        if (w->class == WORD_ENTITY) continue;
        for (uint32_t k = 0; k < fr.n_words; k++)
            if (v[k].id == w->id) v[k].near = 1;
        if (w->class == WORD_CONTENT && fr.verb == UINT32_MAX) fr.verb = w->id;
        if (w->class == WORD_CONTENT &&
            (fr.noun == UINT32_MAX || (light && !(s->lexicon.items[w->id].flags & LEXICON_LIGHT)))) {
            fr.noun = w->id;
            light = s->lexicon.items[w->id].flags & LEXICON_LIGHT;
        }
        if (!(s->lexicon.items[w->id].flags & LEXICON_LIGHT)) near--;
    }
    fr.total = 0;
    for (uint32_t k = 0; k < fr.n_words; k++)
        if (v[k].place < 2) fr.total += v[k].weight;
    if (fr.noun == UINT32_MAX) return 0;
    /* "in no event shall", "nor shall": turned around by a word before it */
    if (f->modality != INGEST_PROHIBITION && f->modality != INGEST_NO_OBLIGATION)
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->end > f->span.start) break;
            if ((f->span.start - w->end < 40 || w->flags & WORD_FIRST) &&
                (raw_is(s, u->doc, w, "nor") || raw_is(s, u->doc, w, "neither") || raw_is(s, u->doc, w, "event") ||
                 raw_is(s, u->doc, w, "no")))
                return 0;
        }
    for (uint32_t i = 0; i + 1 < u->n_words; i++) { /* "no more than three can": a bound, too */
        const struct word *w = &s->words[u->word + i];
        if (w->end <= f->span.start && words_in(s, u->doc, w, "no not") &&
            words_in(s, u->doc, &w[1], "more later less fewer"))
            return 0;
    }
    /* "shall not exceed", "may not be less than": a bound, not a ban */
    static const char *const bounds[] = {"exceed", "exce",  "less",    "more",   "later", "earlier",
                                         "longer", "fewer", "greater", "higher", "lower"};
    for (uint32_t i = 0, seen = 0; i < u->n_words && seen < 4; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->start < f->span.start) continue;
        seen++;
        for (size_t k = 0; k < sizeof bounds / sizeof *bounds; k++)
            if (raw_is(s, u->doc, w, bounds[k])) return 0;
    }
    void *p = s->frames;
    if (array_grow(&p, &s->cap_frames, s->n_frames + 1, sizeof fr, s->error)) return ERR_NOMEM;
    s->frames = p;
    s->frames[s->n_frames++] = fr;
    return 0;
}

/* "is delivered", "are not delivered" where the fact reader saw no modality: a declaration, negated or not. */
static int build_plain(struct detect_set *s, uint32_t unit) {
    const struct subject_statement *u = &s->units[unit];
    const struct ingest_document *d = s->docs[u->doc];
    for (uint32_t k = u->first_fact; k < u->first_fact + u->n_facts; k++)
        if (d->facts[k].kind == INGEST_MODALITY) return 0;
    for (uint32_t i = 1; i + 1 < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->flags & (WORD_LEAD | WORD_CONDITION)) continue;
        bool be = raw_is(s, u->doc, w, "is") || raw_is(s, u->doc, w, "are"),
             act = raw_is(s, u->doc, w, "does") || raw_is(s, u->doc, w, "do");
        if (!be && !act) continue;
        bool negated = raw_is(s, u->doc, &w[1], "not") || raw_is(s, u->doc, &w[1], "never");
        if (act && !negated) continue;
        if (!negated && raw_is(s, u->doc, &s->words[u->word], "no")) negated = true;
        const struct word *verb =
            &w[negated && (raw_is(s, u->doc, &w[1], "not") || raw_is(s, u->doc, &w[1], "never")) ? 2 : 1];
        if (verb >= &s->words[u->word + u->n_words] || verb->class != WORD_CONTENT || verb->flags & WORD_EDGE) continue;
        struct ingest_fact *f = arena_array(&s->scratch, 1, sizeof *f);
        if (!f) return error_set(s->error, ERR_NOMEM, "", "out of memory");
        const struct ingest_statement *st = &d->statements[u->statement];
        *f = (struct ingest_fact){.kind = INGEST_MODALITY,
                                  .statement = u->statement,
                                  .span = {w->start, verb[-1].end},
                                  .modality = INGEST_DECLARATION,
                                  .flags = negated ? INGEST_NEGATED : 0};
        if (act && (raw_is(s, u->doc, verb, "require") || raw_is(s, u->doc, verb, "need")))
            f->modality = INGEST_NO_OBLIGATION;
        f->subject = (struct ingest_span){st->span.start, w->start};
        f->object = (struct ingest_span){verb->start, st->span.end};
        return build_frame(s, unit, INGEST_NONE, f);
    }
    return 0;
}

/* Words that tie a permission or a ban to somebody's yes. */
static bool has_consent(const struct detect_set *s, const struct subject_statement *u) {
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (raw_is(s, u->doc, w, "consent") || raw_is(s, u->doc, w, "approval") || raw_is(s, u->doc, w, "permission") ||
            raw_is(s, u->doc, w, "authorisation") || raw_is(s, u->doc, w, "authorization") ||
            raw_is(s, u->doc, w, "agreement of"))
            return true;
    }
    return false;
}
static bool has_raw(const struct detect_set *s, const struct subject_statement *u, const char *text) {
    for (uint32_t i = 0; i < u->n_words; i++)
        if (raw_is(s, u->doc, &s->words[u->word + i], text)) return true;
    return false;
}

/* "only" that limits the rule itself: not the one of a clause before "and must". */
static bool has_only(const struct detect_set *s, const struct frame *f) {
    const struct subject_statement *u = &s->units[f->unit];
    const uint32_t at = fact_of(s, f)->span.start;
    bool only = false;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->end <= at && words_in(s, u->doc, w, "and but")) only = false;
        if (raw_is(s, u->doc, w, "only")) only = true;
    }
    return only;
}

/* What a rule says of somebody's yes: 1 it is needed ("shall not ... without the consent", "may ... only with the
 * consent"), 2 it is not ("may ... without asking"), 0 nothing that can be told. */
static int consent_needed(const struct detect_set *s, const struct frame *f) {
    const struct subject_statement *u = &s->units[f->unit];
    const enum ingest_modality m = fact_of(s, f)->modality;
    const uint32_t at = fact_of(s, f)->span.end;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->start < at || !words_in(s, u->doc, w, "without with after upon")) continue;
        bool without = raw_is(s, u->doc, w, "without"), only = i && words_in(s, u->doc, &w[-1], "only"), yes = false;
        for (uint32_t k = i + 1; k < u->n_words && k < i + 7 && !yes; k++) {
            const struct word *x = &s->words[u->word + k];
            if (x->flags & WORD_BREAK) break;
            yes = words_in(s, u->doc, x, "consent approval permission authorisation authorization asking");
        }
        if (!yes) continue;
        if (m == INGEST_PROHIBITION && without) return 1;
        if (m == INGEST_PERMISSION && only && !without) return 1;
        if (m == INGEST_PERMISSION && without) return 2;
    }
    return 0;
}

static bool has_id(const struct detect_set *s, const struct frame *f, uint32_t id) {
    for (uint32_t k = 0; k < f->n_words; k++)
        if (s->frame_words[f->word + k].id == id && s->frame_words[f->word + k].place < 2) return true;
    return false;
}

static bool is_near(const struct detect_set *s, const struct frame *f, uint32_t id) {
    for (uint32_t k = 0; k < f->n_words; k++)
        if (s->frame_words[f->word + k].id == id && s->frame_words[f->word + k].near) return true;
    return false;
}

/* A word near the modal that says more than "use" or "be": without it two rules only look alike. */
static bool shares_heavy(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    uint32_t n = 0;
    for (uint32_t k = 0; k < a->n_words; k++) {
        const struct frame_word *w = &s->frame_words[a->word + k];
        if (w->place < 2 && w->class != WORD_ENTITY && !(s->lexicon.items[w->id].flags & LEXICON_LIGHT) &&
            has_id(s, b, w->id))
            n++;
    }
    return n >= (a->verb != UINT32_MAX && s->lexicon.items[a->verb].flags & LEXICON_LIGHT ? 2u : 1u);
}

static bool names_day(const struct detect_set *s, const struct subject_statement *u) {
    for (uint32_t k = u->first_fact; k < u->first_fact + u->n_facts; k++)
        if (s->docs[u->doc]->facts[k].kind == INGEST_DATE) return true;
    return false;
}
/* A ban that ends on a day: "before 1 May", "until 30 April". */
static bool until_day(const struct detect_set *s, const struct subject_statement *u) {
    return names_day(s, u) && (has_raw(s, u, "before") || has_raw(s, u, "until") || has_raw(s, u, "prior"));
}

static enum verdict compare(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct ingest_fact *fa = fact_of(s, a), *fb = fact_of(s, b);
    enum ingest_modality x = fa->modality, y = fb->modality;
    if (x > y) {
        enum ingest_modality t = x;
        x = y, y = t;
    }
    bool conflict = (x == INGEST_OBLIGATION && (y == INGEST_PROHIBITION || y == INGEST_NO_OBLIGATION)) ||
                    (x == INGEST_PERMISSION && y == INGEST_PROHIBITION);
    bool soft = false;
    const int ya = consent_needed(s, a), yb = consent_needed(s, b);
    const bool consent = ya && yb && ya != yb;
    if (consent) conflict = true;
    if (x == INGEST_DECLARATION && y == INGEST_DECLARATION) {
        conflict = (fa->flags ^ fb->flags) & INGEST_NEGATED;
    } else if (y == INGEST_DECLARATION) {
        const struct ingest_fact *m = fa->modality == INGEST_DECLARATION ? fb : fa, *decl = m == fa ? fb : fa;
        bool negative = m->modality == INGEST_PROHIBITION;
        soft = m->modality != INGEST_NO_OBLIGATION && m->modality != INGEST_PERMISSION &&
               negative != !!(decl->flags & INGEST_NEGATED);
    }
    if (!conflict && !soft) return x == y ? VERDICT_AGREE : VERDICT_NONE;
    /* the same verb, as the verb or right behind it */
    if (a->verb != b->verb && a->noun != b->noun && !(is_near(s, b, a->noun) && is_near(s, a, b->noun)))
        return VERDICT_NONE;
    if (!shares_heavy(s, a, b)) return VERDICT_NONE;
    const struct subject_statement *ua = &s->units[a->unit], *ub = &s->units[b->unit];
    /* "must not deliver without a test": a rule on how, unless the other side speaks of the same */
    for (int k = 0; k < 2 && !consent; k++) {
        const struct frame *f = k ? b : a, *g = k ? a : b;
        const struct subject_statement *u = k ? ub : ua;
        if (fact_of(s, f)->modality != INGEST_PROHIBITION) continue;
        for (uint32_t i = 0; i + 1 < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->start < fact_of(s, f)->span.end || !raw_is(s, u->doc, w, "without")) continue;
            bool shared = true;
            for (uint32_t q = i + 1; q < u->n_words && q < i + 6; q++)
                if (s->words[u->word + q].class == WORD_CONTENT) shared &= has_id(s, g, s->words[u->word + q].id);
            if (!shared && fact_of(s, g)->modality == INGEST_OBLIGATION) return VERDICT_NONE;
            if (!shared) soft = true;
        }
    }
    /* "shall not be sold before 1 May" and "may be sold from 1 May": which day it is is for the dates to say */
    for (int k = 0; k < 2; k++) {
        const struct subject_statement *ban = k ? ub : ua, *leave = k ? ua : ub;
        if (fact_of(s, k ? b : a)->modality != INGEST_PROHIBITION || !until_day(s, ban)) continue;
        if (names_day(s, leave)) return VERDICT_NONE;
        soft = true;
    }
    bool ca = has_consent(s, ua), cb = has_consent(s, ub);
    if (ca && cb && !consent) return VERDICT_NONE;
    if (ca != cb && !consent) soft = true;
    if ((!consent && has_only(s, a) != has_only(s, b)) ||
        has_raw(s, ua, "unreasonably") != has_raw(s, ub, "unreasonably"))
        soft = true;
    if (a->actor != UINT32_MAX && b->actor != UINT32_MAX && a->actor != b->actor && !has_id(s, b, a->actor) &&
        !has_id(s, a, b->actor))
        return VERDICT_NONE;
    return soft ? VERDICT_SOFT : VERDICT_CONFLICT;
}

static const char *const names[] = {"states", "obliges", "permits", "prohibits", "says there is no duty", "states"};

static void put_side(struct buf *b, const struct detect_set *s, const struct frame *f) {
    const struct subject_statement *u = &s->units[f->unit];
    const struct ingest_document *d = s->docs[u->doc];
    const struct ingest_fact *m = fact_of(s, f);
    struct slice words = ingest_text(d, m->span), name = d->name;
    for (size_t i = name.len; i > 0; i--)
        if (name.data[i - 1] == '/') {
            name = (struct slice){name.data + i, name.len - i};
            break;
        }
    const struct ingest_statement *st = unit_statement(s, u);
    struct slice path = st->section < d->n_sections ? d->sections[st->section].path : (struct slice){0};
    if (path.len && path.len < 60)
        buf_printf(b, "%.*s (%.*s)", (int)path.len, path.data, (int)name.len, name.data);
    else
        buf_printf(b, "%.*s", (int)name.len, name.data);
    buf_printf(b, " %s: \"%.*s\"",
               m->modality == INGEST_DECLARATION && m->flags & INGEST_NEGATED
                   ? "denies"
                   : names[m->modality <= INGEST_DECLARATION ? m->modality : 0],
               (int)(words.len < 80 ? words.len : 80), words.data);
}

static int by_score(const void *x, const void *y) {
    const struct candidate *a = x, *b = y;
    if (a->same.score != b->same.score) return a->same.score > b->same.score ? -1 : 1;
    if (a->a != b->a) return a->a < b->a ? -1 : 1;
    return a->b < b->b ? -1 : a->b > b->b;
}

/* The unit of `in` says of the same verb what `of` says, elsewhere: a sentence that gives both rule and exception. */
static bool repeats(const struct detect_set *s, uint32_t first, uint32_t end, const struct frame *of,
                    const struct frame *in) {
    for (uint32_t k = (uint32_t)(in - s->frames); k > first && s->frames[k - 1].unit == in->unit; k--)
        if (s->frames[k - 1].noun == of->noun && fact_of(s, &s->frames[k - 1])->modality == fact_of(s, of)->modality)
            return true;
    for (uint32_t k = (uint32_t)(in - s->frames) + 1; k < end && s->frames[k].unit == in->unit; k++)
        if (s->frames[k].noun == of->noun && fact_of(s, &s->frames[k])->modality == fact_of(s, of)->modality)
            return true;
    /* the very same sentence in two places */
    const struct subject_statement *x = &s->units[of->unit], *y = &s->units[in->unit];
    struct slice tx = ingest_text(s->docs[x->doc], unit_statement(s, x)->span),
                 ty = ingest_text(s->docs[y->doc], unit_statement(s, y)->span);
    return slice_equal_nocase(tx, ty);
}

/* "may withhold a sum, provided that it gives notice" in one document, "shall not withhold" without any exception in
 * the other: the proviso does not make the ban one that knows it. The ban with a condition may be the exception. */
static bool absolute(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct frame *ban = fact_of(s, a)->modality == INGEST_PROHIBITION ? a : b, *leave = ban == a ? b : a;
    const struct subject_statement *x = &s->units[ban->unit], *y = &s->units[leave->unit];
    return x->doc != y->doc && !(x->marks & (MARK_CONDITION | MARK_EXCEPTION)) && !(y->marks & MARK_EXCEPTION) &&
           y->marks & MARK_CONDITION && fact_of(s, ban)->modality == INGEST_PROHIBITION &&
           fact_of(s, leave)->modality == INGEST_PERMISSION;
}

int detect_modality(struct detect_set *s) {
    int rc = ERR_NOMEM;
    struct candidate_list list = {0};
    uint32_t first = (uint32_t)s->n_frames;
    for (uint32_t i = 0; i < s->n_units; i++) {
        const struct subject_statement *u = &s->units[i];
        const struct ingest_document *d = s->docs[u->doc];
        if (unit_statement(s, u)->kind == INGEST_HEADING) continue;
        for (uint32_t k = u->first_fact; k < u->first_fact + u->n_facts; k++)
            if (d->facts[k].kind == INGEST_MODALITY && build_frame(s, i, k, NULL)) goto done;
        if (unit_statement(s, u)->kind != INGEST_TABLE_ROW && build_plain(s, i)) goto done;
    }
    if (candidates_collect(s, first, (uint32_t)s->n_frames, LEAST_SCORE, compare, &list)) goto done;
    if (list.n) qsort(list.items, list.n, sizeof *list.items, by_score);
    for (size_t i = 0; i < list.n; i++) {
        const struct candidate *c = &list.items[i];
        if (c->verdict == VERDICT_AGREE) continue;
        const struct frame *a = &s->frames[c->a], *b = &s->frames[c->b];
        if (repeats(s, first, (uint32_t)s->n_frames, a, b) || repeats(s, first, (uint32_t)s->n_frames, b, a)) continue;
        float score = c->same.score - (c->verdict == VERDICT_SOFT ? 0.1f : 0);
        if (absolute(s, a, b)) score += 0.03f; /* what the condition of the one cost */
        if (score < LEAST_SCORE) continue;
        const struct subject_statement *ua = &s->units[a->unit], *ub = &s->units[b->unit];
        const struct ingest_fact *fa = fact_of(s, a), *fb = fact_of(s, b);
        struct analysis_pair p = {.class = ANALYSIS_MODALITY, .sameness = score};
        p.a = (struct analysis_side){ua->doc, ua->statement, fa->span, a->fact};
        p.b = (struct analysis_side){ub->doc, ub->statement, fb->span, b->fact};
        bool drop;
        p.status = precedence_status(s, a->unit, fa->span, b->unit, fb->span, &p.by, &drop);
        if (drop) continue;
        p.decided = c->verdict == VERDICT_CONFLICT && score >= DECIDED_SCORE && c->same.doubt < 0.13f &&
                    fa->modality != INGEST_DECLARATION && fb->modality != INGEST_DECLARATION &&
                    (!((ua->marks ^ ub->marks) & (MARK_CONDITION | MARK_EXCEPTION)) || absolute(s, a, b));
        struct buf why = {0};
        put_side(&why, s, a);
        buf_puts(&why, " against ");
        put_side(&why, s, b);
        p.why = arena_slice(s->out, buf_slice(&why));
        buf_free(&why);
        if (!p.why.len || detect_add(s, p)) goto done;
    }
    rc = 0;
done:
    candidates_free(&list);
    return rc ? error_set(s->error, ERR_NOMEM, "", "out of memory") : 0;
}
