/* precedence.c: what the documents say about each other's clauses. Owns amendments of single clauses ("Section 4.2 is
 * deleted and replaced by", "the amount X is replaced by Y"), clauses on what prevails, and from both the status of a
 * conflict. Refuses to call text superseded without a document that says so: an amendment, a later version, a clause on
 * earlier agreements.
 */
#include "engine/analysis/detect.h"

#include <ctype.h>
#include <string.h>

#define NEW_TEXT_STATEMENTS 40 /* "replaced by the following:" reaches at most so far */

size_t precedence_find(struct slice text, struct slice old) {
    for (size_t i = 0; old.len && i + old.len <= text.len; i++) {
        if (!slice_equal_nocase((struct slice){text.data + i, old.len}, old)) continue;
        /* whole words and numbers: "24" does not stand in "1,240" */
        if (i && isalnum((unsigned char)old.data[0]) &&
            (isalnum((unsigned char)text.data[i - 1]) ||
             ((text.data[i - 1] == ',' || text.data[i - 1] == '.') && isdigit((unsigned char)old.data[0]))))
            continue;
        size_t e = i + old.len;
        if (e < text.len && isalnum((unsigned char)old.data[old.len - 1]) &&
            (isalnum((unsigned char)text.data[e]) || ((text.data[e] == ',' || text.data[e] == '.') &&
                                                      e + 1 < text.len && isdigit((unsigned char)text.data[e + 1]))))
            continue;
        return i;
    }
    return SIZE_MAX;
}

/* ---- references to sections ---- */
/* "Section 4.2 " -> "4.2": the number without the word before it and without marks around it. */
static struct slice bare_number(struct slice t) {
    static const char *const words[] = {"sections",         "section",   "clauses", "clause",     "articles", "article",
                                        "paragraphs",       "paragraph", "sec.",    "art.",       "cl.",      "para.",
                                        "\xc2\xa7\xc2\xa7", "\xc2\xa7",  "rule",    "regulation", "item",     "no."};
    t = slice_trim(t);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if (t.len > n && slice_equal_nocase((struct slice){t.data, n}, (struct slice){words[i], n})) {
            t = slice_trim((struct slice){t.data + n, t.len - n});
            break;
        }
    }
    size_t n = 0;
    while (n < t.len && (isalnum((unsigned char)t.data[n]) || t.data[n] == '.' || t.data[n] == '(' ||
                         t.data[n] == ')' || t.data[n] == '-'))
        n++;
    t.len = n;
    while (t.len && (t.data[t.len - 1] == '.' || (t.data[t.len - 1] == ')' && !memchr(t.data, '(', t.len)))) t.len--;
    return t;
}

static bool has_digit(struct slice t) {
    for (size_t i = 0; i < t.len; i++)
        if (t.data[i] >= '0' && t.data[i] <= '9') return true;
    return false;
}

uint32_t precedence_section(const struct ingest_document *d, struct slice reference) {
    struct slice n = bare_number(reference);
    bool named = has_digit(n);
    for (int pass = 0; pass < 3; pass++) {
        for (uint32_t i = 1; i < d->n_sections; i++) {
            struct slice number = d->sections[i].number, path = d->sections[i].path;
            if (!number.len) continue;
            if (pass == 0 &&
                (slice_equal_nocase(path, slice_trim(reference)) || slice_equal_nocase(number, slice_trim(reference))))
                return i;
            if (pass == 1 && named &&
                (slice_equal_nocase(bare_number(path), n) || slice_equal_nocase(bare_number(number), n)))
                return i;
            /* roman articles, lettered exhibits: whole words only */
            if (pass == 2 && !named && n.len && n.len <= 5 && d->sections[i].level <= 2 &&
                slice_equal_nocase(bare_number(number), n))
                return i;
        }
    }
    return INGEST_NONE;
}

static bool inside_section(const struct ingest_document *d, uint32_t statement, uint32_t section) {
    for (uint32_t q = d->statements[statement].section; q != INGEST_NONE && q < d->n_sections;
         q = d->sections[q].parent)
        if (q == section) return true;
    return false;
}

/* ---- words of a unit ---- */
static bool stem_is(const struct detect_set *s, const struct word *w, const char *stem) {
    return slice_equal(s->lexicon.items[w->id].stem, slice_of(stem));
}
static bool raw_is(const struct detect_set *s, uint32_t doc, const struct word *w, const char *text) {
    return slice_equal_nocase(detect_text(s, doc, w->start, w->end), slice_of(text));
}
static bool amend_verb(const struct detect_set *s, const struct word *w) {
    static const char *const stems[] = {"amend",   "replac",   "delet", "restat", "modif",     "modifi",
                                        "modi",    "supersed", "revis", "strik",  "substitut", "chang",
                                        "increas", "decreas",  "renew", "vari",   "correct"};
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++)
        if (stem_is(s, w, stems[i])) return true;
    return false;
}

/* Next quoted run at or after `at` within the statement: the range between the marks. */
static bool quoted(const struct ingest_document *d, struct ingest_span in, uint32_t at, struct ingest_span *out) {
    const char *t = d->text.data;
    for (uint32_t i = at; i < in.end; i++) {
        uint32_t open = t[i] == '"' ? 1 : i + 2 < in.end && memcmp(t + i, "\xe2\x80\x9c", 3) == 0 ? 3 : 0;
        if (!open) continue;
        for (uint32_t k = i + open; k < in.end; k++) {
            bool close = t[k] == '"' || (k + 2 < in.end && memcmp(t + k, "\xe2\x80\x9d", 3) == 0);
            if (close) {
                *out = (struct ingest_span){i + open, k};
                return true;
            }
        }
        return false;
    }
    return false;
}

static int push_amendment(struct detect_set *s, struct amendment m) {
    void *p = s->amendments;
    if (array_grow(&p, &s->cap_amendments, s->n_amendments + 1, sizeof m, s->error)) return ERR_NOMEM;
    s->amendments = p;
    s->amendments[s->n_amendments++] = m;
    return 0;
}

/* The document of the set that a statement names by its title, other than its own; INGEST_NONE. */
uint32_t precedence_named(const struct detect_set *s, const struct subject_statement *u, uint32_t from, uint32_t to) {
    uint32_t best = INGEST_NONE;
    float best_score = 0;
    for (uint32_t d = 0; d < s->n_docs; d++) {
        if (d == u->doc || family_relation(s, u->doc, d) == RELATION_DIFFERENT) continue;
        const struct family_document *f = &s->family[d];
        float have = 0, all = 0;
        for (size_t i = 0; i < f->n_title; i++) {
            const struct lexeme *l = &s->lexicon.items[f->title[i]];
            bool own = false; /* words that this document's title has as well tell nothing */
            for (size_t k = 0; k < s->family[u->doc].n_title; k++) own |= s->family[u->doc].title[k] == f->title[i];
            float w = l->flags & LEXICON_LIGHT ? 0.25f : own ? 0.5f : 1;
            bool found = false;
            for (uint32_t k = from; k < to && !found; k++) found = s->words[u->word + k].id == f->title[i];
            all += w;
            if (found) have += w;
        }
        if (all > 0 && have >= 1 && have / all > 0.3f && have > best_score) best = d, best_score = have;
    }
    return best;
}

/* A document that begins with "Schedule 4"; without an id any schedule. */
static bool opens_as(const struct detect_set *s, uint32_t doc, uint32_t part, struct slice id) {
    uint32_t limit = s->first_unit[doc] + 4 < s->first_unit[doc + 1] ? s->first_unit[doc] + 4 : s->first_unit[doc + 1];
    for (uint32_t x = s->first_unit[doc]; x < limit; x++)
        for (uint32_t y = 0; y < s->units[x].n_words && y < 12; y++) {
            const struct word *v = &s->words[s->units[x].word + y];
            if (v->id != part) continue;
            if (!id.len ||
                (y + 1 < s->units[x].n_words && slice_equal_nocase(detect_text(s, doc, v[1].start, v[1].end), id)))
                return true;
        }
    return false;
}

static int read_amendments(struct detect_set *s, uint32_t unit) {
    const struct subject_statement *u = &s->units[unit];
    const struct ingest_document *d = s->docs[u->doc];
    const struct ingest_statement *st = &d->statements[u->statement];
    uint32_t target = s->family[u->doc].amends;
    bool verb = false, be = false, remain = false, of_other = false, active = false;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->flags & WORD_QUOTE) continue;
        if (amend_verb(s, w)) verb = true;
        if (raw_is(s, u->doc, w, "is") || raw_is(s, u->doc, w, "are") || raw_is(s, u->doc, w, "be") ||
            raw_is(s, u->doc, w, "hereby"))
            be = true;
        if (raw_is(s, u->doc, w, "unchanged") || raw_is(s, u->doc, w, "unaffected") || raw_is(s, u->doc, w, "remain") ||
            raw_is(s, u->doc, w, "remains"))
            remain = true;
        if (i && raw_is(s, u->doc, &w[-1], "of") && raw_is(s, u->doc, w, "the")) of_other = true;
        /* "This bulletin replaces Section 5.5 of the Manual": all of this document is the new text */
        if (i >= 2 && words_in(s, u->doc, w, "replaces supersedes amends") &&
            (raw_is(s, u->doc, &w[-2], "this") || raw_is(s, u->doc, &w[-2], "these")))
            active = be = true;
    }
    if (target == INGEST_NONE) { /* any document may change another, but then it must name it */
        if (!verb || (!s->family[u->doc].amendment && (!be || !of_other))) return 0;
        target = precedence_named(s, u, 0, u->n_words);
        if (target == INGEST_NONE && !s->family[u->doc].amendment)
            return 0; /* else only the words it takes away are kept */
    }
    if (remain && !verb) return 0;
    /* "In paragraph 1.1 of Schedule 4": the schedule may be a document of its own, and the paragraph is what changes */
    uint32_t whole = UINT32_MAX;
    for (uint32_t i = 1; i + 1 < u->n_words && s->family[u->doc].amends != INGEST_NONE; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->flags & WORD_QUOTE || !raw_is(s, u->doc, &w[-1], "of") ||
            !words_in(s, u->doc, w, "schedule exhibit annex appendix attachment"))
            continue;
        for (uint32_t q = 0; q < s->n_docs; q++)
            if (q != u->doc && family_relation(s, u->doc, q) != RELATION_DIFFERENT &&
                opens_as(s, q, w->id, detect_text(s, u->doc, w[1].start, w[1].end)))
                target = q, whole = w->start;
    }
    struct amendment m = {.doc = u->doc,
                          .statement = u->statement,
                          .target = target,
                          .section = INGEST_NONE,
                          .last_statement = u->statement};
    /* new text behind a colon or an open quotation */
    struct slice t = slice_trim(ingest_text(d, st->span));
    bool colon = t.len && t.data[t.len - 1] == ':', open = false;
    for (size_t i = 0; i + 2 < t.len; i++) {
        if (memcmp(t.data + i, "\xe2\x80\x9c", 3) == 0) open = true;
        if (memcmp(t.data + i, "\xe2\x80\x9d", 3) == 0) open = false;
    }
    if (verb && (colon || open)) {
        uint32_t level = d->n_sections > st->section ? d->sections[st->section].level : 0;
        for (uint32_t k = u->statement + 1; k < d->n_statements && k <= u->statement + NEW_TEXT_STATEMENTS; k++) {
            const struct ingest_statement *q = &d->statements[k];
            if (!open && q->section != st->section && q->section < d->n_sections &&
                d->sections[q->section].level <= level && k > u->statement + 1)
                break;
            const struct subject_statement *uk = &s->units[s->first_unit[u->doc] + k];
            bool again = false, ref = false;
            for (uint32_t i = 0; i < uk->n_words; i++)
                again |= !(s->words[uk->word + i].flags & WORD_QUOTE) && amend_verb(s, &s->words[uk->word + i]);
            for (uint32_t f = uk->first_fact; f < uk->first_fact + uk->n_facts; f++)
                ref |= d->facts[f].kind == INGEST_REFERENCE;
            if (again && ref && !open) break;
            m.last_statement = k;
            struct slice x = ingest_text(d, q->span);
            bool closed = false;
            for (size_t i = 0; i + 2 < x.len; i++) closed |= memcmp(x.data + i, "\xe2\x80\x9d", 3) == 0;
            if (open && closed) break;
        }
    }
    if (active && s->units[unit].n_facts) m.last_statement = (uint32_t)d->n_statements - 1;
    /* replaced words: the first of two quotations, or "from X to Y" */
    struct ingest_span q1, q2;
    if (verb && quoted(d, st->span, st->span.start, &q1) && quoted(d, st->span, q1.end + 1, &q2) &&
        q1.end - q1.start < 200 && q2.start > q1.end) {
        /* a verb of replacing stands between them or before them; two defined terms or two titles are no replacement */
        bool swaps = false;
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->flags & WORD_QUOTE || !amend_verb(s, w)) continue;
            if ((w->start > q1.end && w->end < q2.start) || w->end < q1.start) swaps = true;
        }
        uint32_t p = q1.start;
        while (p > st->span.start && (unsigned char)d->text.data[p - 1] >= 0x80) p--;
        if (p > st->span.start && d->text.data[p - 1] == '"') p--;
        for (uint32_t k = p; k > st->span.start && k + 8 > p; k--) swaps &= d->text.data[k - 1] != '(';
        if (swaps) m.old_text = ingest_text(d, q1);
    }
    if (!m.old_text.len && verb)
        for (uint32_t f = u->first_fact; f < u->first_fact + u->n_facts; f++) {
            const struct ingest_fact *x = &d->facts[f];
            if (x->kind != INGEST_AMOUNT && x->kind != INGEST_PERCENTAGE && x->kind != INGEST_PERIOD &&
                x->kind != INGEST_DATE && x->kind != INGEST_NUMBER)
                continue;
            struct slice range = ingest_text(d, x->span);
            if (slice_starts_with(range, slice_of("from ")) && isfinite(x->value2)) {
                for (size_t i = 5; i + 4 <= range.len && !m.old_text.len; i++) /* one fact holds both values */
                    if (memcmp(range.data + i, " to ", 4) == 0) m.old_text = (struct slice){range.data + 5, i - 5};
                continue;
            }
            uint32_t p = x->span.start;
            while (p > st->span.start && d->text.data[p - 1] == ' ') p--;
            if (p >= st->span.start + 4 && slice_equal_nocase(detect_text(s, u->doc, p - 4, p), slice_of("from"))) {
                const struct ingest_fact *y = f + 1 < u->first_fact + u->n_facts ? &d->facts[f + 1] : NULL;
                if (y && y->kind == x->kind) m.old_text = range;
            }
        }
    bool any = false;
    if (target == INGEST_NONE) return m.old_text.len ? push_amendment(s, m) : 0;
    for (uint32_t f = u->first_fact; f < u->first_fact + u->n_facts; f++) {
        const struct ingest_fact *x = &d->facts[f];
        if (x->kind != INGEST_REFERENCE) continue;
        uint32_t section = precedence_section(s->docs[target],
                                              ingest_text(d, x->subject.end > x->subject.start ? x->subject : x->span));
        if (section == INGEST_NONE || (any && x->span.start == whole)) continue;
        /* inside quoted new text a reference is part of the new clause */
        bool in_quote = false;
        for (uint32_t i = 0; i < u->n_words; i++)
            if (s->words[u->word + i].start >= x->span.start && s->words[u->word + i].end <= x->span.end &&
                s->words[u->word + i].flags & WORD_QUOTE)
                in_quote = true;
        if (in_quote) continue;
        m.section = section;
        any = true;
        struct amendment soft = m;
        if (!verb) soft.section |= PRECEDENCE_SECTION; /* only against this statement itself */
        if (push_amendment(s, soft)) return ERR_NOMEM;
    }
    if (!any && verb && be && s->family[u->doc].amends != INGEST_NONE) {
        m.section = INGEST_NONE;
        if (push_amendment(s, m)) return ERR_NOMEM;
    }
    if (any || verb) s->units[unit].marks |= MARK_AMENDS;
    return 0;
}

bool precedence_is_old_text(const struct detect_set *s, uint32_t doc, struct ingest_span span) {
    const char *at = s->docs[doc]->text.data + span.start;
    for (size_t i = 0; i < s->n_amendments; i++) {
        const struct amendment *m = &s->amendments[i];
        if (m->doc == doc && m->old_text.len && at >= m->old_text.data && at < m->old_text.data + m->old_text.len)
            return true;
    }
    return false;
}

/* ---- what prevails ---- */
struct target_list {
    uint32_t items[16];
    uint32_t n;
};
static void add_target(struct target_list *l, uint32_t t) {
    for (uint32_t i = 0; i < l->n; i++)
        if (l->items[i] == t) return;
    if (l->n < 16) l->items[l->n++] = t;
}

/* "this policy" in small letters: a word of the document's own title. */
static bool own_kind(const struct detect_set *s, uint32_t doc, uint32_t id) {
    for (size_t k = 0; k < s->family[doc].n_title; k++)
        if (s->family[doc].title[k] == id) return true;
    return false;
}

/* "the Employer's Requirements": a capital word inside the sentence that the title of this document alone has. */
static bool names_alone(const struct detect_set *s, const struct subject_statement *u, uint32_t i, uint32_t doc) {
    const struct word *w = &s->words[u->word + i];
    if (!(w->flags & WORD_CAPITAL) || w->flags & (WORD_FIRST | WORD_LEAD) || w->class != WORD_CONTENT ||
        !subject_in_title(s, doc, w->id))
        return false;
    for (uint32_t d = 0; d < s->n_docs; d++)
        if (d != doc && subject_in_title(s, d, w->id)) return false;
    return true;
}

/* Documents and sections that words [from, to) of a unit speak of. */
static void targets(const struct detect_set *s, const struct subject_statement *u, uint32_t from, uint32_t to,
                    struct target_list *out) {
    static const char *const parts[] = {"schedule", "exhibit", "annex", "appendix", "attachment", "addendum"};
    const struct ingest_document *d = s->docs[u->doc];
    for (uint32_t i = from; i < to; i++) {
        const struct word *w = &s->words[u->word + i];
        /* "this Agreement", "these Terms" */
        if ((raw_is(s, u->doc, w, "this") || raw_is(s, u->doc, w, "these")) && i + 1 < to &&
            (w[1].flags & WORD_CAPITAL || own_kind(s, u->doc, w[1].id))) {
            bool part = false;
            for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
                part |= stem_is(s, &w[1], parts[k]) || raw_is(s, u->doc, &w[1], parts[k]);
            if (!part)
                add_target(out, u->doc);
            else
                add_target(out, d->statements[u->statement].section
                                    ? (d->statements[u->statement].section | PRECEDENCE_SECTION)
                                    : u->doc);
        }
        /* "should the House Rules contradict this lease, the lease shall control" */
        if (raw_is(s, u->doc, w, "the") && i + 1 < to && own_kind(s, u->doc, w[1].id))
            for (uint32_t k = 0; k + 1 < u->n_words; k++)
                if (raw_is(s, u->doc, &s->words[u->word + k], "this") && s->words[u->word + k + 1].id == w[1].id)
                    add_target(out, u->doc);
        if ((raw_is(s, u->doc, w, "amendment") && i && !raw_is(s, u->doc, &w[-1], "this")))
            for (uint32_t k = 0; k < s->n_docs; k++)
                if (s->family[k].amendment && family_relation(s, u->doc, k) != RELATION_DIFFERENT) add_target(out, k);
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
            size_t n = strlen(parts[k]);
            struct slice t = detect_text(s, u->doc, w->start, w->end);
            if (t.len < n || !slice_equal_nocase((struct slice){t.data, n}, (struct slice){parts[k], n})) continue;
            bool plural = t.len > n;
            struct slice id = {0};
            if (!plural && i + 1 < to && !(w[1].flags & WORD_EDGE) &&
                (isdigit((unsigned char)d->text.data[w[1].start]) ||
                 (w[1].flags & WORD_CAPITAL && w[1].end - w[1].start <= 3)))
                id = detect_text(s, u->doc, w[1].start, w[1].end);
            /* sections of this document, and documents whose title says so */
            for (uint32_t q = 1; q < d->n_sections; q++) {
                struct slice number = d->sections[q].number, head = ingest_text(d, d->sections[q].heading),
                             have = number;
                bool is_part = false;
                for (int h = 0; h < 2 && !is_part; h++, have = head)
                    if (have.len >= n &&
                        slice_equal_nocase((struct slice){have.data, n}, (struct slice){parts[k], n})) {
                        struct slice rest = slice_trim((struct slice){have.data + n, have.len - n});
                        is_part = !id.len || plural ||
                                  (rest.len >= id.len && slice_equal_nocase((struct slice){rest.data, id.len}, id));
                    }
                if (is_part) add_target(out, q | PRECEDENCE_SECTION);
            }
            for (uint32_t q = 0; q < s->n_docs; q++) {
                if (q == u->doc || family_relation(s, u->doc, q) == RELATION_DIFFERENT) continue;
                bool hit = opens_as(s, q, w->id, plural ? (struct slice){0} : id);
                for (size_t y = 0; y < s->family[q].n_title && !hit; y++)
                    hit = (!id.len || plural) && s->family[q].title[y] == w->id;
                if (hit) add_target(out, q);
            }
        }
    }
    /* titles: each document named by the words of its own title that stand close together */
    for (uint32_t q = 0; q < s->n_docs; q++) {
        if (q == u->doc || family_relation(s, u->doc, q) == RELATION_DIFFERENT) continue;
        const struct family_document *f = &s->family[q];
        for (uint32_t i = from; i < to; i++) {
            if (names_alone(s, u, i, q)) {
                add_target(out, q);
                break;
            }
            float have = 0, all = 0;
            uint32_t n_found = 0;
            for (size_t k = 0; k < f->n_title; k++) {
                const struct lexeme *l = &s->lexicon.items[f->title[k]];
                bool own = false;
                for (size_t z = 0; z < s->family[u->doc].n_title; z++) own |= s->family[u->doc].title[z] == f->title[k];
                float w = l->flags & LEXICON_LIGHT ? 0.3f : own ? 0.4f : 1;
                all += w;
                for (uint32_t x = i; x < to && x < i + 6; x++)
                    if (s->words[u->word + x].id == f->title[k]) {
                        have += w, n_found++;
                        break;
                    }
            }
            if (have >= 1 && have / all >= (n_found >= 2 ? 0.34f : 0.45f)) {
                add_target(out, q);
                break;
            }
        }
    }
}

static int read_precedence(struct detect_set *s, uint32_t unit) {
    const struct subject_statement *u = &s->units[unit];
    const struct ingest_document *d = s->docs[u->doc];
    struct slice t = ingest_text(d, d->statements[u->statement].span);
    (void)t;
    uint32_t verb = UINT32_MAX, conflict = UINT32_MAX, prior = UINT32_MAX, supersede = UINT32_MAX, order = UINT32_MAX,
             over = UINT32_MAX;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (raw_is(s, u->doc, w, "prevail") || raw_is(s, u->doc, w, "prevails") || raw_is(s, u->doc, w, "controls") ||
            raw_is(s, u->doc, w, "control") || raw_is(s, u->doc, w, "governs") || raw_is(s, u->doc, w, "govern") ||
            raw_is(s, u->doc, w, "precedence") || raw_is(s, u->doc, w, "priority") ||
            raw_is(s, u->doc, w, "controlling")) {
            if (verb == UINT32_MAX) verb = i;
            if (raw_is(s, u->doc, w, "precedence") && i && (raw_is(s, u->doc, &w[-1], "of"))) order = i;
        }
        if (stem_is(s, w, "differ") || stem_is(s, w, "deviat") || stem_is(s, w, "disagre") ||
            stem_is(s, w, "conflict") || stem_is(s, w, "inconsistenc") || stem_is(s, w, "inconsistent") ||
            stem_is(s, w, "inconsist") || stem_is(s, w, "inconsistenci") || stem_is(s, w, "discrepanc") ||
            stem_is(s, w, "discrepanci") || stem_is(s, w, "contradict") || stem_is(s, w, "diverg") ||
            stem_is(s, w, "ambigui") || stem_is(s, w, "ambiguiti"))
            if (conflict == UINT32_MAX) conflict = i;
        if (stem_is(s, w, "supersed") || (raw_is(s, u->doc, w, "replaces"))) supersede = i;
        if (raw_is(s, u->doc, w, "prior") || raw_is(s, u->doc, w, "previous") || raw_is(s, u->doc, w, "earlier"))
            prior = i;
        if (raw_is(s, u->doc, w, "over") && over == UINT32_MAX && verb != UINT32_MAX) over = i;
    }
    struct target_list winners = {0}, losers = {0};
    struct precedence p = {.doc = u->doc, .statement = u->statement};
    bool rules = verb != UINT32_MAX && (raw_is(s, u->doc, &s->words[u->word + verb], "prevail") ||
                                        raw_is(s, u->doc, &s->words[u->word + verb], "prevails") ||
                                        raw_is(s, u->doc, &s->words[u->word + verb], "precedence") ||
                                        raw_is(s, u->doc, &s->words[u->word + verb], "priority"));
    if (verb != UINT32_MAX && (conflict != UINT32_MAX || (rules && over != UINT32_MAX))) {
        /* the winner's name is what stands right before the verb, back to a border or to the verb's clause */
        uint32_t from = verb;
        while (from > 0 && !(s->words[u->word + from].flags & WORD_EDGE) && verb - from < 14) from--;
        if (from == verb && from > 0) from--;
        targets(s, u, from, verb, &winners);
        /* "the provisions of X shall prevail": a conflict phrase inside the stretch is not the winner */
        if (conflict != UINT32_MAX && conflict > from && conflict < verb) {
            winners.n = 0;
            uint32_t k = verb;
            while (k > conflict && verb - k < 7) k--;
            targets(s, u, k, verb, &winners);
        }
        /* "in a conflict between this Agreement and the Schedules, this Agreement prevails over Schedule 3" */
        if (over != UINT32_MAX) targets(s, u, over, u->n_words, &losers);
        if (!losers.n) {
            targets(s, u, 0, from, &losers);
            targets(s, u, verb, u->n_words, &losers);
        }
        if (losers.n == 0 ||
            (losers.n == winners.n && memcmp(losers.items, winners.items, losers.n * sizeof *losers.items) == 0)) {
            bool all = over == UINT32_MAX; /* "prevails over any other document"; over X, which is not in the set */
            for (uint32_t i = over; i < u->n_words && !all; i++)
                all = words_in(s, u->doc, &s->words[u->word + i], "any all other others every everything");
            if (!all) return 0;
            p.any_loser = true;
        }
    } else if (supersede != UINT32_MAX && prior != UINT32_MAX && prior > supersede) {
        add_target(&winners, u->doc);
        p.prior = true;
        p.any_loser = true;
    } else if (order != UINT32_MAX && conflict != UINT32_MAX) {
        return 0;
    } else {
        return 0;
    }
    if (!winners.n) return 0;
    uint32_t *keep = arena_array(&s->scratch, 32, sizeof *keep);
    if (!keep) return error_set(s->error, ERR_NOMEM, "", "out of memory");
    p.winners = keep;
    for (uint32_t i = 0; i < winners.n; i++) p.winners[p.n_winners++] = winners.items[i];
    p.losers = keep + 16;
    for (uint32_t i = 0; i < losers.n; i++) {
        bool wins = false;
        for (uint32_t k = 0; k < winners.n; k++) wins |= winners.items[k] == losers.items[i];
        if (!wins) p.losers[p.n_losers++] = losers.items[i];
    }
    if (!p.n_losers) p.any_loser = true;
    void *q = s->precedences;
    if (array_grow(&q, &s->cap_precedences, s->n_precedences + 1, sizeof p, s->error)) return ERR_NOMEM;
    s->precedences = q;
    s->precedences[s->n_precedences++] = p;
    return 0;
}

/* "the following order of precedence: (a) the Agreement; (b) the Schedules": items below the lead-in, first wins. */
static int read_order(struct detect_set *s, uint32_t doc) {
    const struct ingest_document *d = s->docs[doc];
    for (uint32_t i = 0; i < d->n_statements; i++) {
        const struct ingest_statement *st = &d->statements[i];
        const struct subject_statement *u = &s->units[s->first_unit[doc] + i];
        bool order = false;
        for (uint32_t k = 0; k < u->n_words; k++) {
            const struct word *w = &s->words[u->word + k];
            if (raw_is(s, doc, w, "order") && k + 2 < u->n_words &&
                (raw_is(s, doc, &w[2], "precedence") || raw_is(s, doc, &w[2], "priority")))
                order = true;
        }
        if (!order) continue;
        /* the items: this statement's own, in its words, or the statements with the same lead-in */
        struct target_list ranks[12];
        uint32_t statements[12], n = 0;
        for (uint32_t k = i; k < d->n_statements && k < i + 12 && n < 12; k++) {
            const struct ingest_statement *q = &d->statements[k];
            if (k > i &&
                (q->lead_in.end <= q->lead_in.start ||
                 q->lead_in.start < st->span.start - (st->lead_in.end > st->lead_in.start ? 0 : 0)) &&
                q->section != st->section)
                break;
            const struct subject_statement *v = &s->units[s->first_unit[doc] + k];
            uint32_t from = 0;
            while (from < v->n_words && s->words[v->word + from].flags & WORD_LEAD) from++;
            if (k == i && from == 0) { /* "order of precedence: the A, then the B, then the C" */
                uint32_t begin = 0;
                for (uint32_t x = 0; x < v->n_words; x++)
                    if (raw_is(s, doc, &s->words[v->word + x], "precedence") ||
                        raw_is(s, doc, &s->words[v->word + x], "priority"))
                        begin = x + 1;
                for (uint32_t x = begin; x < v->n_words && n < 12;) {
                    uint32_t y = x + 1;
                    while (y < v->n_words && !(s->words[v->word + y].flags & WORD_EDGE)) y++;
                    ranks[n].n = 0;
                    targets(s, v, x, y, &ranks[n]);
                    if (ranks[n].n) statements[n++] = k;
                    x = y;
                }
                continue;
            }
            ranks[n].n = 0;
            targets(s, v, from, v->n_words, &ranks[n]);
            if (ranks[n].n) statements[n++] = k;
        }
        for (uint32_t a = 0; a + 1 < n; a++) {
            struct precedence p = {.doc = doc, .statement = statements[a] == i ? i : statements[a]};
            uint32_t *keep = arena_array(&s->scratch, 16 * 13, sizeof *keep);
            if (!keep) return error_set(s->error, ERR_NOMEM, "", "out of memory");
            p.winners = keep;
            p.losers = keep + 16;
            for (uint32_t x = 0; x < ranks[a].n; x++) p.winners[p.n_winners++] = ranks[a].items[x];
            for (uint32_t b = a + 1; b < n; b++)
                for (uint32_t x = 0; x < ranks[b].n; x++)
                    if (p.n_losers < 16 * 12 - 1) p.losers[p.n_losers++] = ranks[b].items[x];
            void *q = s->precedences;
            if (array_grow(&q, &s->cap_precedences, s->n_precedences + 1, sizeof p, s->error)) return ERR_NOMEM;
            s->precedences = q;
            s->precedences[s->n_precedences++] = p;
        }
    }
    return 0;
}

int precedence_build(struct detect_set *s) {
    for (uint32_t i = 0; i < s->n_units; i++)
        if (read_amendments(s, i) || read_precedence(s, i)) return ERR_NOMEM;
    for (uint32_t d = 0; d < s->n_docs; d++)
        if (read_order(s, d)) return ERR_NOMEM;
    return 0;
}

/* ---- status ---- */
static bool is_target(const struct detect_set *s, const struct precedence *p, const uint32_t *list, size_t n,
                      const struct subject_statement *u) {
    for (size_t i = 0; i < n; i++) {
        if (list[i] & PRECEDENCE_SECTION) {
            if (u->doc == p->doc && inside_section(s->docs[u->doc], u->statement, list[i] & ~PRECEDENCE_SECTION))
                return true;
        } else if (list[i] == u->doc) {
            /* a document wins with its body; where its own parts are named on the other side they are not its body (see
             * caller) */
            return true;
        }
    }
    return false;
}

/* A section named as a target is more exact than the document around it. */
static bool is_section_target(const struct detect_set *s, const struct precedence *p, const uint32_t *list, size_t n,
                              const struct subject_statement *u) {
    for (size_t i = 0; i < n; i++)
        if (list[i] & PRECEDENCE_SECTION && u->doc == p->doc &&
            inside_section(s->docs[u->doc], u->statement, list[i] & ~PRECEDENCE_SECTION))
            return true;
    return false;
}

static bool covers(const struct detect_set *s, const struct amendment *m, const struct subject_statement *u,
                   struct ingest_span span) {
    uint32_t section = m->section == INGEST_NONE ? INGEST_NONE : m->section & ~PRECEDENCE_SECTION;
    if (u->doc != m->target || (section != INGEST_NONE && !inside_section(s->docs[u->doc], u->statement, section)))
        return false;
    if (!m->old_text.len) return section != INGEST_NONE;
    struct slice t = ingest_text(s->docs[u->doc], s->docs[u->doc]->statements[u->statement].span),
                 old = slice_trim(m->old_text);
    (void)span;
    return precedence_find(t, old) != SIZE_MAX;
}

static bool is_new(const struct amendment *m, const struct subject_statement *u) {
    return u->doc == m->doc && u->statement >= m->statement && u->statement <= m->last_statement;
}

bool precedence_links(const struct detect_set *s, const struct subject_statement *a,
                      const struct subject_statement *b) {
    for (size_t i = 0; i < s->n_amendments && a->doc != b->doc; i++) {
        const struct amendment *m = &s->amendments[i];
        if (m->section == INGEST_NONE || m->old_text.len) continue;
        for (int k = 0; k < 2; k++) {
            const struct subject_statement *x = k ? b : a, *y = k ? a : b;
            if (is_new(m, x) && covers(s, m, y, (struct ingest_span){0, 0})) return true;
        }
    }
    return false;
}

/* An exception that names the other side's section: "Notwithstanding Section 4.2", "except as provided in clause 7". */
static bool excepts(const struct detect_set *s, const struct subject_statement *a, const struct subject_statement *b) {
    if (!(a->marks & MARK_EXCEPTION)) return false;
    const struct ingest_document *da = s->docs[a->doc];
    for (uint32_t k = a->first_fact; k < a->first_fact + a->n_facts; k++) {
        const struct ingest_fact *f = &da->facts[k];
        if (f->kind != INGEST_REFERENCE) continue;
        uint32_t section = precedence_section(
            s->docs[b->doc], ingest_text(da, f->subject.end > f->subject.start ? f->subject : f->span));
        if (section != INGEST_NONE && inside_section(s->docs[b->doc], b->statement, section)) return true;
    }
    return false;
}

static struct analysis_side side_of(const struct detect_set *s, uint32_t doc, uint32_t statement) {
    if (statement >= s->docs[doc]->n_statements)
        return (struct analysis_side){.document = INGEST_NONE, .fact = INGEST_NONE};
    return (struct analysis_side){
        .document = doc, .statement = statement, .span = s->docs[doc]->statements[statement].span, .fact = INGEST_NONE};
}

static bool newer(const struct detect_set *s, uint32_t a, uint32_t b) {
    const struct family_document *x = &s->family[a], *y = &s->family[b];
    if (x->restated != y->restated) return x->restated;
    if (x->version > 0 && y->version > 0 && x->version != y->version) return x->version > y->version;
    if (x->date != INT32_MIN && y->date != INT32_MIN && x->date != y->date) return x->date > y->date;
    return a > b;
}

enum analysis_status precedence_status(const struct detect_set *s, uint32_t unit_a, struct ingest_span span_a,
                                       uint32_t unit_b, struct ingest_span span_b, struct analysis_side *by,
                                       bool *drop) {
    const struct subject_statement *a = &s->units[unit_a], *b = &s->units[unit_b];
    *drop = false;
    *by = (struct analysis_side){.document = INGEST_NONE, .fact = INGEST_NONE};
    if (excepts(s, a, b) || excepts(s, b, a)) {
        *drop = true;
        return ANALYSIS_UNCERTAIN;
    }
    const struct amendment *hit = NULL, *new_a = NULL, *new_b = NULL;
    for (size_t i = 0; i < s->n_amendments; i++) {
        const struct amendment *m = &s->amendments[i];
        bool soft = m->section != INGEST_NONE && m->section & PRECEDENCE_SECTION;
        bool ca = covers(s, m, a, span_a), cb = covers(s, m, b, span_b), na = is_new(m, a), nb = is_new(m, b);
        if ((ca || cb) && (!soft || (ca && nb) || (cb && na))) {
            /* among several the one that holds the other side's text */
            if (!hit || (ca && nb) || (cb && na)) hit = m;
        }
        if (na && m->section != INGEST_NONE) new_a = m;
        if (nb && m->section != INGEST_NONE) new_b = m;
        /* "the Term is extended to 2027": no section named, so only against this very statement */
        if (m->section == INGEST_NONE && !hit && ((na && b->doc == m->target) || (nb && a->doc == m->target))) hit = m;
    }
    if (!hit && new_a && new_b && new_a != new_b && new_a->doc != new_b->doc && new_a->target == new_b->target &&
        (new_a->section & ~PRECEDENCE_SECTION) == (new_b->section & ~PRECEDENCE_SECTION))
        hit = newer(s, new_a->doc, new_b->doc) ? new_a : new_b; /* the later amendment of the same section */
    if (hit) {
        *by = side_of(s, hit->doc, hit->statement);
        return ANALYSIS_SUPERSEDED;
    }
    if (family_relation(s, a->doc, b->doc) == RELATION_VERSION) {
        uint32_t n = newer(s, a->doc, b->doc) ? a->doc : b->doc;
        *by = side_of(s, n, s->family[n].title_statement);
        return ANALYSIS_SUPERSEDED;
    }
    /* an old version of a document against a third one */
    for (int k = 0; k < 2; k++) {
        const struct subject_statement *u = k ? b : a, *v = k ? a : b;
        for (uint32_t d = 0; d < s->n_docs; d++)
            if (d != u->doc && d != v->doc && u->doc != v->doc && family_relation(s, u->doc, d) == RELATION_VERSION &&
                newer(s, d, u->doc)) {
                *by = side_of(s, d, s->family[d].title_statement);
                return ANALYSIS_SUPERSEDED;
            }
    }
    for (size_t i = 0; i < s->n_precedences; i++) {
        const struct precedence *p = &s->precedences[i];
        for (int k = 0; k < 2; k++) {
            const struct subject_statement *w = k ? b : a, *l = k ? a : b;
            if (!is_target(s, p, p->winners, p->n_winners, w)) continue;
            if (is_section_target(s, p, p->losers, p->n_losers, w)) continue;
            bool loses =
                is_target(s, p, p->losers, p->n_losers, l) &&
                !(is_target(s, p, p->winners, p->n_winners, l) && !is_section_target(s, p, p->losers, p->n_losers, l));
            if (!loses && p->any_loser && l->doc != w->doc && !is_target(s, p, p->winners, p->n_winners, l)) {
                if (!p->prior)
                    loses = family_relation(s, p->doc, l->doc) != RELATION_DIFFERENT;
                else
                    loses = s->family[l->doc].preliminary ||
                            (s->family[l->doc].date != INT32_MIN && s->family[w->doc].date != INT32_MIN &&
                             s->family[l->doc].date < s->family[w->doc].date && s->family[l->doc].n_parties);
            }
            if (!loses) continue;
            *by = side_of(s, p->doc, p->statement);
            return ANALYSIS_RESOLVED;
        }
    }
    /* a term sheet that an agreement of the same deal supersedes, against a third document */
    for (size_t i = 0; i < s->n_precedences; i++) {
        const struct precedence *p = &s->precedences[i];
        if (!p->prior) continue;
        for (int k = 0; k < 2; k++) {
            const struct subject_statement *u = k ? b : a, *v = k ? a : b;
            if (u->doc == v->doc || !s->family[u->doc].preliminary || s->family[v->doc].preliminary ||
                family_relation(s, p->doc, u->doc) != RELATION_FAMILY)
                continue;
            *by = side_of(s, p->doc, p->statement);
            return ANALYSIS_RESOLVED;
        }
    }
    /* an amendment that states something else without saying what it replaces: later text of the same parties on the
     * same thing */
    for (int k = 0; k < 2; k++) {
        const struct subject_statement *u = k ? b : a, *v = k ? a : b;
        if (s->family[u->doc].amends != v->doc) continue;
        bool keeps = false;
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            keeps |= raw_is(s, u->doc, w, "remains") || raw_is(s, u->doc, w, "remain") ||
                     raw_is(s, u->doc, w, "unchanged") || raw_is(s, u->doc, w, "continues") ||
                     raw_is(s, u->doc, w, "whereas") || raw_is(s, u->doc, w, "currently") ||
                     raw_is(s, u->doc, w, "dated") || raw_is(s, u->doc, w, "existing");
        }
        if (!keeps && u->statement > 2) {
            *by = side_of(s, u->doc, u->statement);
            return ANALYSIS_SUPERSEDED;
        }
    }
    return ANALYSIS_CONTRADICTION;
}

bool precedence_prevails(const struct detect_set *s, const struct analysis_side *by, uint32_t unit) {
    for (size_t i = 0; i < s->n_precedences; i++) {
        const struct precedence *p = &s->precedences[i];
        if (p->doc == by->document && p->statement == by->statement &&
            is_target(s, p, p->winners, p->n_winners, &s->units[unit]))
            return true;
    }
    return false;
}
