/* detect_role.c: what only one can be or have: who bears a cost or risk, who owns a thing, whether a right is
 * exclusive, which law governs, which place decides, whether it costs extra, how many times it may be done. Owns the
 * sentence patterns and the table below. Refuses sentences under a condition, negated ones, and what two papers say
 * each of itself: a guarantee may have another law than the loan.
 *
 *   kind       pattern                                                        conflict
 *   bearer     E bears O; O is borne by E; E is responsible for O             other E, same O
 *   provider   E shall V O at its own expense, free of charge                 other E, same V and O
 *   owner      O vests in, belongs to, remains with, is the property of E;    other E, same O
 *              E owns O; E holds the copyright in O
 *   exclusive  exclusive | non-exclusive N                                    the one against the other, same N
 *   law        governed by the law of P; P law applies                        other P
 *   seat       the seat is P; arbitration in P; decided by the courts of P;   other P
 *              the courts of P have exclusive jurisdiction
 *   free       O is free of charge | O is not included in the fee             the one against the other, same O
 *   count      O once, twice, three times (not "a year")                      other count, same O
 *
 * E is a party of the set, O the heavy words of the sentence, P proper names. Same O: all heavy words of the one stand
 * in the other, and at most one more there.
 */
#include "engine/analysis/entity.h"

#include <stdlib.h>
#include <string.h>

enum role_kind { ROLE_BEARER, ROLE_PROVIDER, ROLE_OWNER, ROLE_EXCLUSIVE, ROLE_LAW, ROLE_SEAT, ROLE_FREE, ROLE_COUNT };
#define OBJECT_MAX 24
#define PLACE_MAX 6
struct role {
    enum role_kind kind;
    uint32_t unit;
    uint32_t holder; /* lexeme of the party; exclusive, free: 1 yes, 0 no; count: how many */
    uint32_t object[OBJECT_MAX], n_object;
    struct slice place[PLACE_MAX]; /* names of law and seat */
    uint32_t n_place;
    bool adjective; /* "German law" */
    struct ingest_span span;
};

static const struct word *at(const struct detect_set *s, const struct subject_statement *u, uint32_t i) {
    return &s->words[u->word + i];
}
static bool is(const struct detect_set *s, const struct subject_statement *u, uint32_t i, const char *words) {
    return i < u->n_words && words_in(s, u->doc, at(s, u, i), words);
}

/* The party that a word names: itself, or the one party of the set with this role ("the supplier"). */
static uint32_t party_at(const struct detect_set *s, const struct subject_statement *u, uint32_t i) {
    const struct word *w = at(s, u, i);
    if (w->class == WORD_ENTITY) return w->id;
    for (uint32_t k = s->lexicon.items[w->id].first_alias; k; k = s->aliases[k - 1].next) {
        const struct alias *al = &s->aliases[k - 1];
        if (al->role && al->n == 1 && (al->doc == INGEST_NONE || al->doc == u->doc)) return s->entities[al->entity].id;
    }
    return UINT32_MAX;
}
/* The party within the next words behind i, before any border. */
static uint32_t party_behind(const struct detect_set *s, const struct subject_statement *u, uint32_t i, uint32_t *end) {
    for (uint32_t k = i; k < u->n_words && k < i + 4 && !(at(s, u, k)->flags & WORD_EDGE && k > i); k++) {
        uint32_t e = party_at(s, u, k);
        if (e != UINT32_MAX) return *end = at(s, u, k)->end, e;
    }
    return UINT32_MAX;
}
/* The party that the sentence begins with, when the verb stands right behind it and its modal. */
static uint32_t party_before(const struct detect_set *s, const struct subject_statement *u, uint32_t i) {
    uint32_t found = UINT32_MAX;
    for (uint32_t k = 0; k < i; k++) {
        const struct word *w = at(s, u, k);
        uint32_t e = party_at(s, u, k);
        if (e != UINT32_MAX && found == UINT32_MAX)
            found = e;
        else if (e != UINT32_MAX || (w->class != WORD_FUNCTION && w->class != WORD_SKIP && w->class != WORD_NUMBER))
            return UINT32_MAX;
    }
    return found;
}

/* The heavy words before word `to` other than word `skip`. */
static void add_object(const struct detect_set *s, const struct subject_statement *u, struct role *r, uint32_t to,
                       uint32_t skip) {
    for (uint32_t i = 0; i < to && r->n_object < OBJECT_MAX; i++) {
        const struct word *w = at(s, u, i);
        if ((w->class != WORD_CONTENT && w->class != WORD_NAME && w->class != WORD_CODE) || i == skip ||
            party_at(s, u, i) != UINT32_MAX || s->lexicon.items[w->id].flags & (LEXICON_LIGHT | LEXICON_NEGATION) ||
            is(s, u, i,
               "sole solely exclusive exclusively own owned full fully cost costs expense expenses charge "
               "charges free additional belongs belong property borne responsible "
               "appoint appointed basis grant grants granted licence license right rights "
               "fee fees price prices annual yearly include included supply supplies supplied separately extra"))
            continue;
        bool known = false;
        for (uint32_t k = 0; k < r->n_object; k++) known |= r->object[k] == w->id;
        if (!known) r->object[r->n_object++] = w->id;
    }
}

static void add_places(const struct detect_set *s, const struct subject_statement *u, struct role *r, uint32_t i) {
    const struct ingest_document *d = s->docs[u->doc];
    for (; i < u->n_words && r->n_place < PLACE_MAX; i++) {
        const struct word *w = at(s, u, i);
        char first = d->text.data[w->start];
        if (r->n_place && w->flags & WORD_EDGE) break;
        if (is(s, u, i, "the of and in state republic federal commonwealth province canton")) continue;
        if (first < 'A' || first > 'Z') break;
        r->place[r->n_place++] = detect_text(s, u->doc, w->start, w->end);
        r->span.end = w->end;
    }
}

/* One role of a statement; false: it says none of these. */
static bool read_role(const struct detect_set *s, uint32_t unit, struct role *r) {
    const struct subject_statement *u = &s->units[unit];
    const struct ingest_statement *st = unit_statement(s, u);
    if (st->kind == INGEST_HEADING || st->kind == INGEST_TABLE_ROW ||
        u->marks & (MARK_CONDITION | MARK_EXCEPTION | MARK_PROPOSAL | MARK_EXAMPLE | MARK_QUESTION | MARK_PAST |
                    MARK_ATTRIBUTED | MARK_OTHER))
        return false;
    *r = (struct role){.unit = unit, .holder = UINT32_MAX, .span = st->span};
    for (uint32_t i = 0; i < u->n_words; i++) {
        if (at(s, u, i)->flags & WORD_LEAD) continue;
        r->span.start = at(s, u, i)->start;
        /* law and seat */
        if (is(s, u, i, "governed") && is(s, u, i + 1, "by")) {
            r->kind = ROLE_LAW;
            for (uint32_t k = i + 2; k < u->n_words && k < i + 12; k++) {
                if (!is(s, u, k, "law laws")) continue;
                if (is(s, u, k + 1, "of")) {
                    add_places(s, u, r, k + 2);
                } else {
                    r->adjective = true;
                    add_places(s, u, r, k - 1);
                    r->span.end = at(s, u, k)->end;
                }
                return r->n_place > 0;
            }
            return false;
        }
        if (is(s, u, i, "law laws") && is(s, u, i + 1, "of"))
            for (uint32_t k = i + 2; k < u->n_words && k < i + 10; k++)
                if (is(s, u, k, "govern governs")) {
                    r->kind = ROLE_LAW;
                    add_places(s, u, r, i + 2);
                    return r->n_place > 0;
                }
        if (is(s, u, i, "seat") && is(s, u, i + 1, "of") && u->n_words > i + 3) {
            for (uint32_t k = i + 2; k < i + 7 && k < u->n_words; k++)
                if (is(s, u, k, "is be")) {
                    r->kind = ROLE_SEAT;
                    add_places(s, u, r, k + 1);
                    return r->n_place > 0;
                }
        }
        if (is(s, u, i, "arbitration") && is(s, u, i + 1, "in")) {
            r->kind = ROLE_SEAT;
            add_places(s, u, r, i + 2);
            if (r->n_place) return true;
        }
        if (is(s, u, i, "courts court") && is(s, u, i + 1, "of in") && !is(s, u, i + 2, "competent")) {
            bool only = false;
            for (uint32_t k = 0; k < u->n_words; k++)
                only |= is(s, u, k, "exclusive") && is(s, u, k + 1, "jurisdiction") && !(k && is(s, u, k - 1, "non"));
            only |= i > 1 && is(s, u, i - 1, "the") && is(s, u, i - 2, "by"); /* "shall be decided by the courts of" */
            r->kind = ROLE_SEAT;
            add_places(s, u, r, i + 2);
            return only && r->n_place > 0;
        }
        /* free or not */
        bool extra = (is(s, u, i, "not") && is(s, u, i + 1, "included") && is(s, u, i + 2, "in")) ||
                     (is(s, u, i, "charged") && is(s, u, i + 1, "separately extra additionally")),
             gratis =
                 (is(s, u, i, "free") && is(s, u, i + 1, "of") && is(s, u, i + 2, "charge")) ||
                 (is(s, u, i, "without") && is(s, u, i + 1, "charge")) ||
                 (is(s, u, i, "included") && is(s, u, i + 1, "in") && is(s, u, i + 3, "fee fees price prices rent"));
        if (extra || gratis) {
            r->kind = ROLE_FREE;
            r->holder = gratis;
            r->span.end = at(s, u, i + 1)->end;
            add_object(s, u, r, u->n_words, UINT32_MAX);
            return r->n_object > 0;
        }
        if (is(s, u, i, "not nor neither never")) return false;
        /* how many times */
        uint32_t count = is(s, u, i, "once") ? 1 : is(s, u, i, "twice") ? 2 : 0, behind = i + 1;
        if (is(s, u, i + 1, "times") && is(s, u, i, "three four five")) {
            count = is(s, u, i, "three") ? 3 : is(s, u, i, "four") ? 4 : 5;
            behind = i + 2;
        }
        bool rate = behind < u->n_words && !(at(s, u, behind)->flags & WORD_EDGE) &&
                    is(s, u, behind, "a an per every each in during daily weekly monthly yearly annually the it");
        if (count && i && !rate && !is(s, u, i - 1, "at")) {
            r->kind = ROLE_COUNT;
            r->holder = count;
            r->span.end = at(s, u, behind - 1)->end;
            add_object(s, u, r, i, UINT32_MAX);
            return r->n_object > 0;
        }
        /* exclusive */
        if (is(s, u, i, "exclusive") && u->n_words > i + 1) {
            static const char *const nouns =
                "licence license right rights supplier distributor dealer agent agency basis "
                "appointment provider distribution representative";
            uint32_t k = i + 1;
            if (!is(s, u, k, nouns)) k++;
            if (!is(s, u, k, nouns)) continue;
            r->kind = ROLE_EXCLUSIVE;
            r->holder = !(i && is(s, u, i - 1, "non"));
            r->span.end = at(s, u, k)->end;
            if (!r->holder) r->span.start = at(s, u, i - 1)->start;
            add_object(s, u, r, u->n_words, UINT32_MAX);
            return true;
        }
        /* who bears, who owns */
        uint32_t end = at(s, u, i)->end;
        if (is(s, u, i, "bear bears") || (is(s, u, i, "pay pays") && is(s, u, i + 1, "for")) ||
            (is(s, u, i, "responsible") && is(s, u, i + 1, "for"))) {
            r->kind = ROLE_BEARER;
            r->holder = party_before(s, u, i);
        } else if ((is(s, u, i, "borne") && is(s, u, i + 1, "by")) ||
                   (is(s, u, i, "lie lies rest rests") && is(s, u, i + 1, "with"))) {
            r->kind = ROLE_BEARER;
            r->holder = party_behind(s, u, i + 2, &end);
        } else if ((is(s, u, i, "vest vests") && is(s, u, i + 1, "in")) ||
                   (is(s, u, i, "belong belongs") && is(s, u, i + 1, "to")) ||
                   (is(s, u, i, "remain remains") && is(s, u, i + 1, "with")) ||
                   (is(s, u, i, "property") && is(s, u, i + 1, "of") && i > 1 && !is(s, u, i - 1, "intellectual")) ||
                   (is(s, u, i, "owned") && is(s, u, i + 1, "by"))) {
            r->kind = ROLE_OWNER;
            r->holder = party_behind(s, u, i + 2, &end);
        } else if (is(s, u, i, "own owns") || (is(s, u, i, "hold holds retain retains") && is(s, u, i + 1, "the all") &&
                                               is(s, u, i + 2, "copyright copyrights title ownership"))) {
            r->kind = ROLE_OWNER;
            r->holder = party_before(s, u, i);
        } else if (is(s, u, i, "expense cost charge") && i > 1 &&
                   (is(s, u, i - 1, "own no additional of without") || is(s, u, i - 1, "its"))) {
            for (uint32_t k = u->first_fact; k < u->first_fact + u->n_facts; k++) {
                const struct ingest_fact *f = &s->docs[u->doc]->facts[k];
                if (f->kind != INGEST_MODALITY || f->modality != INGEST_OBLIGATION) continue;
                for (uint32_t q = 1; q < i; q++)
                    if (at(s, u, q)->start == f->span.start) r->holder = party_before(s, u, q);
                r->span.start = f->span.start;
            }
            r->kind = ROLE_PROVIDER;
        } else {
            continue;
        }
        if (r->holder == UINT32_MAX) continue;
        r->span.end = end > r->span.start ? end : at(s, u, i)->end;
        add_object(s, u, r, u->n_words, i);
        return r->n_object > 0;
    }
    return false;
}

/* "English" and "England" are one place, "Dutch" and "the Netherlands", too. */
static bool same_place(const struct role *a, const struct role *b) {
    for (uint32_t i = 0; i < a->n_place; i++)
        for (uint32_t k = 0; k < b->n_place; k++) {
            if (slice_equal_nocase(a->place[i], b->place[k])) return true;
            if (a->adjective == b->adjective) continue;
            struct slice adjective = a->adjective ? a->place[i] : b->place[k];
            if ((a->place[i].data[0] | 32) == (b->place[k].data[0] | 32) ||
                slice_equal_nocase(adjective, slice_of("dutch")))
                return true;
        }
    return false;
}

static uint32_t shared_object(const struct role *a, const struct role *b) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->n_object; i++)
        for (uint32_t k = 0; k < b->n_object; k++) n += a->object[i] == b->object[k];
    return n;
}

/* What the sentence calls the paper ("the shareholders' agreement", "the guarantee") is what the other's paper is. */
static bool same_paper(const struct detect_set *s, const struct subject_statement *u, const struct role *r,
                       const struct subject_statement *other) {
    for (uint32_t i = 0; i < u->n_words && at(s, u, i)->start < r->span.start; i++) {
        const struct word *w = at(s, u, i);
        if (w->flags & WORD_LEAD || (w->class != WORD_CONTENT && w->class != WORD_NAME)) continue;
        if (is(s, u, i, "dispute disputes claim claims refer referred settle settled resolve resolved decide decided"))
            continue; /* what every clause on the seat says */
        if (s->lexicon.items[w->id].flags & LEXICON_LIGHT || w[1].start >= r->span.start ||
            is(s, u, i, "seat arbitration"))
            return true; /* "agreement": what stands behind it tells no paper apart */
        bool known = subject_in_title(s, other->doc, w->id);
        for (uint32_t k = 0; k < other->n_words && !known; k++) known = at(s, other, k)->id == w->id;
        if (!known) return false;
    }
    return true;
}

static bool in_conflict(const struct detect_set *s, const struct role *a, const struct role *b) {
    const struct subject_statement *u = &s->units[a->unit], *v = &s->units[b->unit];
    enum document_relation r = family_relation(s, u->doc, v->doc);
    if (a->kind != b->kind || r == RELATION_DIFFERENT || r == RELATION_COMPATIBLE || r == RELATION_SIBLING)
        return false;
    if (a->kind == ROLE_LAW || a->kind == ROLE_SEAT) {
        /* each paper says "this Agreement", or nothing, of itself */
        if (u->doc != v->doc && (u->marks & v->marks & MARK_SELF)) return false;
        if (!same_paper(s, u, a, v) || !same_paper(s, v, b, u)) return false;
        return !same_place(a, b);
    }
    uint32_t both = shared_object(a, b), least = a->n_object < b->n_object ? a->n_object : b->n_object,
             most = a->n_object > b->n_object ? a->n_object : b->n_object;
    if (a->holder == b->holder) return false;
    if (a->kind == ROLE_EXCLUSIVE) {
        bool party = false; /* "the Supplier is appointed on a non-exclusive basis" */
        for (uint32_t i = 0; i < u->n_words; i++) {
            uint32_t e = party_at(s, u, i);
            for (uint32_t k = 0; k < v->n_words && e != UINT32_MAX; k++) party |= party_at(s, v, k) == e;
        }
        return u->doc != v->doc && (both >= 2 || (party && both == least));
    }
    if (a->kind == ROLE_PROVIDER) return both >= 2 && both == least && most <= both + 2;
    if (a->kind == ROLE_FREE) return both == least && most <= both + 1;
    if (a->kind == ROLE_COUNT) return both == most && both >= 2; /* "may be extended once" */
    uint32_t more = a->kind == ROLE_OWNER ? 2 : 1;               /* "the drawings prepared by the Contractor" */
    return both == least && both >= (u->doc == v->doc ? 2u : 1u) && most <= both + more;
}

static struct slice why(struct detect_set *s, const struct role *a, const struct role *b) {
    static const char *const says[] = {"who bears it",
                                       "who provides it",
                                       "whose it is",
                                       "whether it is exclusive",
                                       "which law governs",
                                       "which place decides",
                                       "whether it costs extra",
                                       "how many times"};
    struct slice x = ingest_text(s->docs[s->units[a->unit].doc], a->span),
                 y = ingest_text(s->docs[s->units[b->unit].doc], b->span);
    return arena_slice_printf(s->out, "they differ in %s: \"%.*s\" against \"%.*s\"", says[a->kind],
                              (int)(x.len < 80 ? x.len : 80), x.data, (int)(y.len < 80 ? y.len : 80), y.data);
}

int detect_roles(struct detect_set *s) {
    static const enum analysis_class classes[] = {
        [ROLE_BEARER] = ANALYSIS_PARTY,       [ROLE_PROVIDER] = ANALYSIS_PARTY, [ROLE_OWNER] = ANALYSIS_PARTY,
        [ROLE_EXCLUSIVE] = ANALYSIS_MODALITY, [ROLE_LAW] = ANALYSIS_SEMANTIC,   [ROLE_SEAT] = ANALYSIS_SEMANTIC,
        [ROLE_FREE] = ANALYSIS_MODALITY,      [ROLE_COUNT] = ANALYSIS_QUANTITY};
    struct role *roles = NULL;
    size_t n = 0, cap = 0;
    int rc = 0;
    for (uint32_t i = 0; i < s->n_units && !rc; i++) {
        struct role r;
        if (!read_role(s, i, &r)) continue;
        void *p = roles;
        if (!(rc = array_grow(&p, &cap, n + 1, sizeof r, s->error))) roles = p, roles[n++] = r;
    }
    for (size_t i = 0; i < n && !rc; i++)
        for (size_t k = i + 1; k < n && !rc; k++) {
            const struct role *a = &roles[i], *b = &roles[k];
            if (!in_conflict(s, a, b)) continue;
            const struct subject_statement *u = &s->units[a->unit], *v = &s->units[b->unit];
            struct analysis_pair p = {.class = classes[a->kind], .sameness = 0.8f, .decided = true};
            p.a = (struct analysis_side){u->doc, u->statement, a->span, INGEST_NONE};
            p.b = (struct analysis_side){v->doc, v->statement, b->span, INGEST_NONE};
            bool drop;
            p.status = precedence_status(s, a->unit, a->span, b->unit, b->span, &p.by, &drop);
            if (drop || (p.status == ANALYSIS_SUPERSEDED && u->doc == v->doc)) continue;
            p.why = why(s, a, b);
            rc = p.why.len ? detect_add(s, p) : ERR_NOMEM;
        }
    free(roles);
    return rc ? error_set(s->error, ERR_NOMEM, "", "out of memory") : 0;
}
