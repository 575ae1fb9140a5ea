/* words.c: statements -> words with a class, and marks of the mood a statement speaks in. Owns tokens, the parties'
 * names among them, numbers that name things ("Phase 2"), conditions, and who acts. Refuses grammar: a verb is a word
 * we know as one, a condition is what stands behind "if" up to the next border.
 */
#include "engine/analysis/detect.h"
#include "engine/analysis/entity.h"

#include <stdlib.h>
#include <string.h>

static bool is_letter(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}
static bool is_upper(unsigned char c) {
    return c >= 'A' && c <= 'Z';
}

/* Punctuation of more than one byte: U+2010..U+205E, U+00A0..U+00BF. Returns its length, 0 when s is a letter. */
static size_t wide_mark(const char *s, size_t len) {
    uint32_t cp;
    int k = utf8_decode(s, len, &cp);
    if (k <= 0) return 1;
    if ((cp >= 0xA0 && cp <= 0xBF && cp != 0xB5) || cp == 0xD7 || (cp >= 0x2000 && cp <= 0x206F) ||
        (cp >= 0x2190 && cp <= 0x2BFF) || cp == 0x20AC)
        return (size_t)k;
    return 0;
}

static int push_word(struct detect_set *s, struct word w) {
    void *p = s->words;
    if (array_grow(&p, &s->cap_words, s->n_words + 1, sizeof w, s->error)) return ERR_NOMEM;
    s->words = p;
    s->words[s->n_words++] = w;
    return 0;
}

int subject_tokenise(struct detect_set *s, uint32_t doc, uint32_t start, uint32_t end, uint16_t base) {
    const char *t = s->docs[doc]->text.data;
    uint16_t pending = WORD_FIRST;
    int depth = 0;
    bool quoted = false;
    size_t n_lower = 0, n_upper = 0;
    for (uint32_t k = start; k < end; k++) {
        n_lower += t[k] >= 'a' && t[k] <= 'z';
        n_upper += t[k] >= 'A' && t[k] <= 'Z';
    }
    bool shouting = n_upper > n_lower; /* a line in capitals tells nothing by them */
    for (uint32_t i = start; i < end;) {
        unsigned char c = (unsigned char)t[i];
        size_t wide = c >= 0x80 ? wide_mark(t + i, end - i) : 0;
        if (wide || (!is_letter(c) && !words_digit(c))) {
            if (c == ';' || c == '\n')
                pending |= WORD_BREAK | WORD_EDGE;
            else if (c == ',' || c == '.' || c == '?' || c == '!' || c == ':')
                pending |= WORD_EDGE;
            else if (c == '|' || c == '\t')
                pending |= WORD_CELL | WORD_BREAK | WORD_EDGE;
            else if (c == '(' || c == '[')
                depth++, pending |= WORD_EDGE;
            else if (c == ')' || c == ']')
                depth -= depth > 0, pending |= WORD_EDGE;
            else if (c == '"')
                quoted = !quoted, pending |= WORD_EDGE;
            else if (wide == 3 && memcmp(t + i, "\xe2\x80\x9c", 3) == 0)
                quoted = true, pending |= WORD_EDGE;
            else if (wide == 3 && memcmp(t + i, "\xe2\x80\x9d", 3) == 0)
                quoted = false, pending |= WORD_EDGE;
            else if (wide == 3 && (memcmp(t + i, "\xe2\x80\x93", 3) == 0 || memcmp(t + i, "\xe2\x80\x94", 3) == 0))
                pending |= WORD_EDGE;
            i += wide ? (uint32_t)wide : 1;
            continue;
        }
        uint32_t j = i;
        bool digits = false, letters = false;
        while (j < end) {
            unsigned char d = (unsigned char)t[j];
            if (words_digit(d))
                digits = true;
            else if (is_letter(d) && !(d >= 0x80 && wide_mark(t + j, end - j)))
                letters = true;
            else if ((d == '-' || d == '/' || d == '.') && j + 1 < end && words_digit((unsigned char)t[j + 1]) &&
                     letters && is_upper((unsigned char)t[i])) {
            } else if ((d == '.' || d == ',') && digits && !letters && j + 1 < end &&
                       words_digit((unsigned char)t[j + 1])) {
            } else
                break;
            j++;
        }
        uint32_t e = j;
        struct word w = {.start = i, .end = e, .flags = (uint16_t)(base | pending)};
        if (depth) w.flags |= WORD_PAREN;
        if (quoted) w.flags |= WORD_QUOTE;
        bool capital = is_upper(c) && !shouting;
        if (capital) w.flags |= WORD_CAPITAL;
        if (digits && letters && !words_digit(c)) {
            w.class = WORD_CODE;
            w.id = lexicon_exact(&s->lexicon, t + i, e - i);
        } else if (digits && letters) { /* "30th", "50kg", "2B" */
            w.class = WORD_NUMBER;
            w.id = lexicon_exact(&s->lexicon, t + i, e - i);
        } else if (digits) {
            bool year = e - i == 4 && ((t[i] == '1' && t[i + 1] == '9') || (t[i] == '2' && t[i + 1] == '0'));
            w.class = year ? WORD_CODE : WORD_NUMBER;
            w.id = lexicon_exact(&s->lexicon, t + i, e - i);
        } else {
            w.id = lexicon_word(&s->lexicon, t + i, e - i);
            if (w.id == UINT32_MAX) return error_set(s->error, ERR_NOMEM, "", "out of memory");
            struct lexeme *l = &s->lexicon.items[w.id];
            w.class = l->flags & LEXICON_FUNCTION ? WORD_FUNCTION
                      : l->flags & LEXICON_NUMBER ? WORD_NUMBER
                                                  : WORD_CONTENT;
            /* "Class A", "Exhibit B": a single capital letter names something; "s" and "t" of contractions do not */
            if (e - i == 1) {
                const struct word *p = s->n_words ? &s->words[s->n_words - 1] : NULL;
                bool names =
                    capital && c != 'I' && !(w.flags & (WORD_FIRST | WORD_EDGE)) && p &&
                    (p->class == WORD_CONTENT || p->class == WORD_CODE || p->class == WORD_NUMBER); /* "Class A" */
                w.class = names ? WORD_CODE : WORD_FUNCTION;
            }
            if (capital && e - i > 1 && e - i <= 4 && strspn(t + i, "IVX") >= e - i)
                w.class = WORD_CODE; /* "Phase II" */
            if (c == 'M' && e - i == 3 && memcmp(t + i, "May", 3) == 0 && !(w.flags & WORD_FIRST))
                w.class = WORD_CONTENT;
            /* cells begin with a capital letter, be it a name or "Figure" */
            if (!shouting && !(w.flags & (WORD_FIRST | WORD_CELL))) {
                if (capital)
                    l->n_upper++;
                else
                    l->n_lower++;
            }
        }
        if (w.id == UINT32_MAX) return error_set(s->error, ERR_NOMEM, "", "out of memory");
        if (push_word(s, w)) return ERR_NOMEM;
        pending = 0;
        i = j;
        /* a possessive 's belongs to its word */
        if (i + 1 < end && t[i] == '\'' && (t[i + 1] == 's' || t[i + 1] == 'S'))
            i += 2;
        else if (i + 3 < end && memcmp(t + i, "\xe2\x80\x99s", 4) == 0)
            i += 4;
    }
    return 0;
}

/* ---- moods ---- */
struct mood_word {
    const char *stem;
    uint32_t mark;
};
/* Stems as lexicon_stem gives them. */
static const struct mood_word moods[] = {
    {"alleg", MARK_ATTRIBUTED},
    {"allegat", MARK_ATTRIBUTED},
    {"contend", MARK_ATTRIBUTED},
    {"assert", MARK_ATTRIBUTED},
    {"argu", MARK_ATTRIBUTED},
    {"deni", MARK_ATTRIBUTED},
    {"purport", MARK_ATTRIBUTED},
    {"insist", MARK_ATTRIBUTED},
    {"rumour", MARK_ATTRIBUTED},
    {"previous", MARK_PAST},
    {"former", MARK_PAST},
    {"formerl", MARK_PAST},
    {"original", MARK_PAST},
    {"origin", MARK_PAST},
    {"supersed", MARK_PAST},
    {"propos", MARK_PROPOSAL},
    {"draft", MARK_PROPOSAL},
    {"forecast", MARK_PROPOSAL},
    {"expect", MARK_PROPOSAL},
    {"estim", MARK_PROPOSAL},
    {"estimat", MARK_PROPOSAL},
    {"budget", MARK_PROPOSAL},
    {"plan", MARK_PROPOSAL},
    {"intend", MARK_PROPOSAL},
    {"anticip", MARK_PROPOSAL},
    {"anticipat", MARK_PROPOSAL},
    {"suggest", MARK_PROPOSAL},
    {"hop", MARK_PROPOSAL},
    {"hope", MARK_PROPOSAL},
    {"indic", MARK_PROPOSAL},
    {"quot", MARK_PROPOSAL},
    {"recommend", MARK_PROPOSAL},
    {"target", MARK_PROPOSAL},
    {"project", 0},
    {"prefer", MARK_PROPOSAL},
    {"illustrat", MARK_EXAMPLE},
    {"illustr", MARK_EXAMPLE},
    {"exampl", MARK_EXAMPLE},
    {"suppos", MARK_EXAMPLE},
    {"assum", MARK_EXAMPLE},
    {"hypothet", MARK_EXAMPLE},
    {"instanc", MARK_EXAMPLE},
    {"inst", 0},
};

static uint32_t mood_of(const struct detect_set *s, const struct word *w) {
    const struct lexeme *l = &s->lexicon.items[w->id];
    for (size_t i = 0; i < sizeof moods / sizeof *moods; i++)
        if (slice_equal(l->stem, slice_of(moods[i].stem))) return moods[i].mark;
    return 0;
}

/* Raw lower-case comparison with the text, where the stem is not enough. */
static bool raw(const struct detect_set *s, uint32_t doc, const struct word *w, const char *word) {
    return slice_equal_nocase(detect_text(s, doc, w->start, w->end), slice_of(word));
}

bool words_in(const struct detect_set *s, uint32_t doc, const struct word *w, const char *words) {
    struct slice t = detect_text(s, doc, w->start, w->end);
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        if (slice_equal_nocase(t, (struct slice){p, n})) return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

/* "unless it is terminated by giving three months' notice": sets the notice, as "may be terminated on three months'
 * notice" does. */
static bool sets_notice(const struct detect_set *s, const struct subject_statement *u, uint32_t i) {
    const struct ingest_document *d = s->docs[u->doc];
    bool notice = false, period = false;
    uint32_t k = i + 1;
    for (; k < u->n_words && !(s->words[u->word + k].flags & (WORD_EDGE | WORD_BREAK)); k++)
        notice |= words_in(s, u->doc, &s->words[u->word + k], "notice");
    for (uint32_t q = u->first_fact; q < u->first_fact + u->n_facts; q++)
        period |= d->facts[q].kind == INGEST_PERIOD && d->facts[q].span.start > s->words[u->word + i].start &&
                  (k == u->n_words || d->facts[q].span.end < s->words[u->word + k].end);
    return notice && period;
}

static void mark_statement(struct detect_set *s, struct subject_statement *u) {
    const struct ingest_document *d = s->docs[u->doc];
    struct word *w = s->words + u->word;
    bool in_condition = false;
    uint32_t marks = 0;
    for (uint32_t i = 0; i < u->n_words; i++) {
        if (in_condition && (w[i].flags & (WORD_EDGE | WORD_BREAK))) in_condition = false;
        uint32_t m = w[i].flags & WORD_QUOTE ? 0 : mood_of(s, &w[i]);
        if (m & MARK_PROPOSAL && w[i].class == WORD_CONTENT && (w[i].flags & WORD_CAPITAL) && i)
            m &= ~(uint32_t)MARK_PROPOSAL;
        marks |= m;
        bool if_word = raw(s, u->doc, &w[i], "if") || raw(s, u->doc, &w[i], "unless") ||
                       raw(s, u->doc, &w[i], "whenever") || (raw(s, u->doc, &w[i], "when") && i + 1 < u->n_words) ||
                       (raw(s, u->doc, &w[i], "provided") && i + 1 < u->n_words && raw(s, u->doc, &w[i + 1], "that")) ||
                       (raw(s, u->doc, &w[i], "where") && (i == 0 || (w[i].flags & WORD_EDGE) || true)) ||
                       (raw(s, u->doc, &w[i], "case") && i && raw(s, u->doc, &w[i - 1], "in")) ||
                       (raw(s, u->doc, &w[i], "event") && i > 1 && raw(s, u->doc, &w[i - 2], "in"));
        bool except = raw(s, u->doc, &w[i], "unless") || raw(s, u->doc, &w[i], "except") ||
                      raw(s, u->doc, &w[i], "excluding") || raw(s, u->doc, &w[i], "save") ||
                      raw(s, u->doc, &w[i], "notwithstanding") ||
                      (raw(s, u->doc, &w[i], "than") && i && raw(s, u->doc, &w[i - 1], "other")) ||
                      (raw(s, u->doc, &w[i], "to") && i && raw(s, u->doc, &w[i - 1], "subject"));
        if (raw(s, u->doc, &w[i], "unless") && sets_notice(s, u, i)) if_word = except = false;
        if (words_in(s, u->doc, &w[i], "because")) if_word = true;
        if (words_in(s, u->doc, &w[i], "other") && i && words_in(s, u->doc, &w[i - 1], "all any every"))
            marks |= MARK_OTHER;
        if (words_in(s, u->doc, &w[i], "remaining rest otherwise")) marks |= MARK_OTHER;
        if (if_word) marks |= MARK_CONDITION;
        if (except) marks |= MARK_EXCEPTION;
        if (if_word || except) in_condition = true;
        if (in_condition) w[i].flags |= WORD_CONDITION;
        /* "... is USD 5 and is invoiced monthly": what follows is said of something else */
        if (words_in(s, u->doc, &w[i], "and but") && i + 1 < u->n_words &&
            words_in(s, u->doc, &w[i + 1], "is are was were shall must may will has have can"))
            w[i + 1].flags |= WORD_BREAK;
        if (w[i].flags & WORD_EDGE && words_in(s, u->doc, &w[i], "payable")) w[i].flags |= WORD_BREAK;
        /* "this Agreement": every document says it of itself */
        if (i && w[i].flags & WORD_CAPITAL && w[i].class == WORD_CONTENT &&
            words_in(s, u->doc, &w[i - 1], "this these")) {
            w[i].class = WORD_FUNCTION;
            marks |= MARK_SELF;
        }
        if (!(w[i].flags & WORD_LEAD) && !(w[i].flags & WORD_CAPITAL && i) && /* "May 27" */
            words_in(s, u->doc, &w[i],
                     "is are was were be been being shall must may will can has have had means mean amounts costs cost "
                     "takes ends ended begins began commences commenced started matures terminates terminated expired "
                     "accrues "
                     "rises bears "
                     "applies remains becomes expires lasts runs pays weighs starts falls requires needs "
                     "guarantees warrants provides grants offers receives includes contains comprises covers carries"))
            marks |= MARK_VERB;
        /* "the Operator cleans": what a party does */
        if (i && w[i - 1].class == WORD_ENTITY && w[i].class == WORD_CONTENT &&
            !(w[i].flags & (WORD_CAPITAL | WORD_EDGE | WORD_LEAD)) && d->text.data[w[i].end - 1] == 's')
            marks |= MARK_VERB;
        if (s->lexicon.items[w[i].id].flags & LEXICON_NEGATION) marks |= MARK_NEGATED;
        if ((raw(s, u->doc, &w[i], "earlier") || raw(s, u->doc, &w[i], "prior") || raw(s, u->doc, &w[i], "old")) &&
            i + 1 < u->n_words && !(w[i + 1].flags & WORD_EDGE) && w[i + 1].class == WORD_CONTENT &&
            !raw(s, u->doc, &w[i + 1], "notice") && !raw(s, u->doc, &w[i + 1], "written") &&
            !raw(s, u->doc, &w[i + 1], "consent") && !raw(s, u->doc, &w[i + 1], "approval") && !in_condition)
            marks |= MARK_PAST;
        if (raw(s, u->doc, &w[i], "longer") && i && raw(s, u->doc, &w[i - 1], "no")) marks |= MARK_PAST;
        if (raw(s, u->doc, &w[i], "to") && i && raw(s, u->doc, &w[i - 1], "used") &&
            (i < 2 || !s->lexicon.items[w[i - 2].id].flags))
            marks |= MARK_PAST;
        if (i && raw(s, u->doc, &w[i], "that") &&
            (raw(s, u->doc, &w[i - 1], "claims") || raw(s, u->doc, &w[i - 1], "maintains") ||
             raw(s, u->doc, &w[i - 1], "believes") || raw(s, u->doc, &w[i - 1], "complains")))
            marks |= MARK_ATTRIBUTED;
    }
    for (uint32_t i = 0; i + 1 < u->n_words && i < 9; i++)
        if (words_in(s, u->doc, &w[i], "these") && !(w[i].flags & (WORD_LEAD | WORD_CONDITION)) &&
            !(w[i + 1].flags & WORD_CAPITAL))
            marks |= MARK_ANAPHORA;
    for (uint32_t i = 0; i < u->n_words; i++) {
        if (w[i].flags & WORD_LEAD) continue;
        if (words_in(s, u->doc, &w[i], "this these such that it its they their his her") &&
            !(i + 1 < u->n_words && w[i + 1].flags & WORD_CAPITAL))
            marks |= MARK_ANAPHORA;
        break;
    }
    struct slice t = ingest_text(d, d->statements[u->statement].span);
    if (t.len && t.data[t.len - 1] == '?') marks |= MARK_QUESTION;
    u->marks |= marks;
}

/* ---- building ---- */
/* One word of a party's name is the party inside a sentence, not at a place ("at Larkmoor"), not in another name
 * ("Larkmoor Solar Farm"), not alone in a cell; what it is, not as "a Trust", "each Bank". */
static bool stands_for_party(const struct detect_set *s, const struct alias *al, uint32_t doc, uint32_t i,
                             uint32_t from, uint32_t to) {
    const struct word *w = &s->words[i];
    if (i == from || w->flags & (WORD_FIRST | WORD_CELL | WORD_EDGE)) return false;
    bool the = words_in(s, doc, w - 1, "the"), first = al->ids[0] == s->entities[al->entity].key[0];
    if (words_in(s, doc, w - 1, "at in near from to") || (!first && !the)) return false;
    if (w[-1].flags & WORD_CAPITAL && !the) return false;
    return i + 1 == to || !(w[1].flags & WORD_CAPITAL) || w[1].flags & WORD_EDGE;
}

/* Marks words of known parties: the longest alias that starts at a word wins. */
static void mark_entities(struct detect_set *s, uint32_t doc, uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to; i++) {
        const struct alias *best = NULL;
        for (uint32_t k = s->lexicon.items[s->words[i].id].first_alias; k; k = s->aliases[k - 1].next) {
            const struct alias *al = &s->aliases[k - 1];
            if (al->doc != INGEST_NONE && al->doc != doc) continue;
            if (i + al->n > to ||
                (best && al->n <= best->n && !(best->doc == INGEST_NONE && al->doc == doc && al->n == best->n)))
                continue;
            bool ok = true;
            for (uint32_t q = 0; q < al->n && ok; q++) ok = s->words[i + q].id == al->ids[q];
            /* "the supplier" in small letters is the party where the document defines it; other small words are not */
            if (ok && !(s->words[i].flags & WORD_CAPITAL) &&
                !(al->role && i > from &&
                  slice_equal_nocase(detect_text(s, doc, s->words[i - 1].start, s->words[i - 1].end), slice_of("the"))))
                ok = false;
            if (ok && al->brief && !stands_for_party(s, al, doc, i, from, to)) ok = false;
            if (ok) best = al;
        }
        if (!best) continue;
        s->words[i].class = WORD_ENTITY;
        s->words[i].id = s->entities[best->entity].id;
        for (uint32_t q = 1; q < best->n; q++) s->words[i + q].class = WORD_SKIP;
        uint32_t j = i + best->n;
        while (j < to && s->lexicon.items[s->words[j].id].flags & LEXICON_COMPANY && s->words[j].flags & WORD_CAPITAL)
            s->words[j++].class = WORD_SKIP;
        i = j - 1;
    }
}

static uint32_t actor_of(const struct detect_set *s, const struct subject_statement *u, struct ingest_span span) {
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->start < span.start || w->end > span.end) continue;
        if (w->class == WORD_ENTITY) return w->id;
        if (w->class == WORD_CONTENT || w->class == WORD_NAME) last = w->id;
    }
    return last;
}

/* "Sarno 4", "Phase 2": a number behind a capitalised word names a thing, unless a fact reader took it for a value or a
 * reference. */
static int name_numbers(struct detect_set *s) {
    for (size_t i = 0; i < s->n_units; i++) {
        const struct subject_statement *u = &s->units[i];
        const struct ingest_document *d = s->docs[u->doc];
        for (uint32_t k = 1; k < u->n_words; k++) {
            struct word *w = &s->words[u->word + k], *p = w - 1;
            bool numbered = w->class == WORD_NUMBER && w->start - p->end <= 3 &&
                            words_in(s, u->doc, p, "no nr number"); /* "Addendum No. 1" */
            if (numbered) {
                w->class = WORD_CODE;
                continue;
            }
            if (w->class != WORD_NUMBER || w->flags & WORD_EDGE || w->start - p->end > 2) continue;
            if ((p->class != WORD_CONTENT && p->class != WORD_NAME) || s->lexicon.items[p->id].flags & LEXICON_MONTH)
                continue;
            if (words_in(s, u->doc, p, "section sections clause clauses article articles paragraph usd eur gbp chf"))
                continue;
            /* "unit 2", "year three" end there; "sold 163,000 tickets" goes on */
            const struct word *q1 = k + 1 < u->n_words ? w + 1 : NULL;
            bool goes_on = q1 && !(q1->flags & WORD_EDGE) && q1->class == WORD_CONTENT &&
                           d->text.data[q1->end - 1] == 's'; /* counted things are many */
            if (goes_on && !(p->flags & WORD_CAPITAL)) continue;
            bool taken = false;
            for (uint32_t q = u->first_fact; q < u->first_fact + u->n_facts && !taken; q++) {
                const struct ingest_fact *f = &d->facts[q];
                taken = f->span.start <= w->start && w->end <= f->span.end && f->kind != INGEST_MODALITY &&
                        f->kind != INGEST_TERM && f->kind != INGEST_PARTY &&
                        !(f->kind == INGEST_NUMBER && !f->unit.len);
            }
            if (!taken) w->class = WORD_CODE;
        }
    }
    return 0;
}

static int cmp_id(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int build_vocabulary(struct detect_set *s) {
    s->vocabulary = arena_array(&s->scratch, s->n_words + 1, sizeof *s->vocabulary);
    s->vocabulary_first = arena_array(&s->scratch, s->n_docs + 1, sizeof *s->vocabulary_first);
    if (!s->vocabulary || !s->vocabulary_first) return error_set(s->error, ERR_NOMEM, "", "out of memory");
    uint32_t n = 0;
    for (uint32_t d = 0; d < s->n_docs; d++) {
        uint32_t from = n, kept = from;
        s->vocabulary_first[d] = from;
        for (uint32_t u = s->first_unit[d]; u < s->first_unit[d + 1]; u++)
            for (uint32_t k = 0; k < s->units[u].n_words; k++) {
                const struct word *w = &s->words[s->units[u].word + k];
                if (!(w->flags & WORD_LEAD)) s->vocabulary[n++] = w->id;
            }
        qsort(s->vocabulary + from, n - from, sizeof *s->vocabulary, cmp_id);
        for (uint32_t i = from; i < n; i++)
            if (kept == from || s->vocabulary[kept - 1] != s->vocabulary[i]) s->vocabulary[kept++] = s->vocabulary[i];
        n = kept;
    }
    s->vocabulary_first[s->n_docs] = n;
    return 0;
}

int subject_build(struct detect_set *s) {
    /* statements */
    s->first_unit = arena_array(&s->scratch, s->n_docs + 1, sizeof *s->first_unit);
    if (!s->first_unit) return error_set(s->error, ERR_NOMEM, "", "out of memory");
    for (uint32_t d = 0; d < s->n_docs; d++) {
        const struct ingest_document *doc = s->docs[d];
        s->first_unit[d] = (uint32_t)s->n_units;
        void *p = s->units;
        if (array_grow(&p, &s->cap_units, s->n_units + doc->n_statements + 1, sizeof *s->units, s->error))
            return ERR_NOMEM;
        s->units = p;
        uint32_t fact = 0, last_section = INGEST_NONE, head_word = 0, n_head = 0;
        for (uint32_t i = 0; i < doc->n_statements; i++) {
            const struct ingest_statement *st = &doc->statements[i];
            struct subject_statement u = {.doc = d, .statement = i, .actor = UINT32_MAX};
            if (st->section != last_section) {
                last_section = st->section;
                head_word = (uint32_t)s->n_words;
                for (uint32_t q = st->section, depth = 0; q != INGEST_NONE && q && q < doc->n_sections && depth < 3;
                     q = doc->sections[q].parent, depth++)
                    if (subject_tokenise(s, d, doc->sections[q].heading.start, doc->sections[q].heading.end, 0))
                        return ERR_NOMEM;
                n_head = (uint32_t)s->n_words - head_word;
                mark_entities(s, d, head_word, head_word + n_head);
            }
            u.head_word = head_word;
            u.n_head_words = n_head;
            u.word = (uint32_t)s->n_words;
            if (st->lead_in.end > st->lead_in.start &&
                subject_tokenise(s, d, st->lead_in.start, st->lead_in.end, WORD_LEAD))
                return ERR_NOMEM;
            if (subject_tokenise(s, d, st->span.start, st->span.end, 0)) return ERR_NOMEM;
            u.n_words = (uint32_t)s->n_words - u.word;
            mark_entities(s, d, u.word, u.word + u.n_words);
            /* the section's own number is no name: "B.12", "4.2" */
            for (uint32_t k = u.word; k < u.word + u.n_words && st->kind != INGEST_TABLE_ROW; k++) {
                struct word *w = &s->words[k];
                if (!(w->flags & WORD_FIRST) || w->flags & WORD_LEAD) continue;
                struct slice t = detect_text(s, d, w->start, w->end);
                bool own = st->section < doc->n_sections && slice_equal_nocase(t, doc->sections[st->section].number),
                     dotted = false;
                for (size_t q = 0; q < t.len; q++) dotted |= t.data[q] == '.';
                if (own || (dotted && w->class != WORD_CONTENT)) {
                    w->class = WORD_SKIP;
                    if (k + 1 < u.word + u.n_words) { /* the sentence begins behind it: "2.2 A day is" */
                        w[1].flags |= WORD_FIRST;
                        if (w[1].class == WORD_CODE && w[1].end - w[1].start == 1) w[1].class = WORD_FUNCTION;
                    }
                }
                break;
            }
            while (fact < doc->n_facts && doc->facts[fact].statement < i) fact++;
            u.first_fact = fact;
            while (fact < doc->n_facts && doc->facts[fact].statement == i) fact++;
            u.n_facts = fact - u.first_fact;
            s->units[s->n_units++] = u;
        }
    }
    s->first_unit[s->n_docs] = (uint32_t)s->n_units;
    s->log_n = log((double)s->n_units + 1);
    /* document frequency, names, moods, actors */
    uint32_t *seen = calloc(s->lexicon.n + 1, sizeof *seen);
    if (!seen) return error_set(s->error, ERR_NOMEM, "", "out of memory");
    for (size_t i = 0; i < s->n_units; i++)
        for (uint32_t k = 0; k < s->units[i].n_words; k++) {
            const struct word *w = &s->words[s->units[i].word + k];
            if (seen[w->id] == i + 1 || w->class == WORD_SKIP) continue;
            seen[w->id] = (uint32_t)i + 1;
            s->lexicon.items[w->id].df++;
        }
    free(seen);
    for (size_t i = 0; i < s->n_words; i++) {
        struct word *w = &s->words[i];
        const struct lexeme *l = &s->lexicon.items[w->id];
        if (w->class == WORD_CONTENT && w->flags & WORD_CAPITAL && !(w->flags & WORD_FIRST) && l->n_lower == 0 &&
            l->n_upper && !l->group[0] && !l->flags)
            w->class = WORD_NAME;
    }
    if (name_numbers(s) || build_vocabulary(s)) return ERR_NOMEM;
    for (size_t i = 0; i < s->n_units; i++) {
        struct subject_statement *u = &s->units[i];
        mark_statement(s, u);
        const struct ingest_document *doc = s->docs[u->doc];
        for (uint32_t k = u->first_fact; k < u->first_fact + u->n_facts; k++) {
            if (doc->facts[k].flags & INGEST_ATTRIBUTED) u->marks |= MARK_ATTRIBUTED;
            if (doc->facts[k].kind == INGEST_MODALITY && u->actor == UINT32_MAX &&
                doc->facts[k].subject.end > doc->facts[k].subject.start)
                u->actor = actor_of(s, u, doc->facts[k].subject);
        }
    }
    return 0;
}
