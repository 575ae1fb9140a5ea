/* subject.c: what a statement is about. Owns the words of statements (class, marks, who acts), the frame of each typed
 * fact and the sameness of two frames. Refuses to guess meaning: two frames are the same thing when the weighted words
 * around the values agree and nothing named, qualified or acting differs.
 *
 *   sameness = mix of   dice    2 shared / (all of a + all of b)
 *                       cover   shared / all of the smaller
 *                       anchor  how many of the words nearest to the value stand on the other side
 *   minus doubts (other condition, other mood, modifier of the same noun), and `apart` where a qualifier, name, code,
 * year, actor or "per" differs.
 */
#include "engine/analysis/detect.h"
#include "engine/analysis/entity.h"

#include <stdlib.h>
#include <string.h>

#define NEAR_WORDS 4
#define LIGHT_WEIGHT 0.25f
#define HEADING_WEIGHT 0.35f
#define OTHER_CLAUSE 0.5f

static bool is_letter(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}
static bool is_digit(unsigned char c) {
    return c >= '0' && c <= '9';
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
        if (wide || (!is_letter(c) && !is_digit(c))) {
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
            if (is_digit(d))
                digits = true;
            else if (is_letter(d) && !(d >= 0x80 && wide_mark(t + j, end - j)))
                letters = true;
            else if ((d == '-' || d == '/' || d == '.') && j + 1 < end && is_digit((unsigned char)t[j + 1]) &&
                     letters && is_upper((unsigned char)t[i])) {
            } else if ((d == '.' || d == ',') && digits && !letters && j + 1 < end &&
                       is_digit((unsigned char)t[j + 1])) {
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
        if (digits && letters && !is_digit(c)) {
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
                bool names = capital && c != 'I' && !(w.flags & (WORD_FIRST | WORD_EDGE)) && p &&
                             p->class == WORD_CONTENT; /* "Class A" */
                w.class = names ? WORD_CODE : WORD_FUNCTION;
            }
            if (capital && e - i > 1 && e - i <= 4 && strspn(t + i, "IVX") >= e - i)
                w.class = WORD_CODE; /* "Phase II" */
            if (c == 'M' && e - i == 3 && memcmp(t + i, "May", 3) == 0 && !(w.flags & WORD_FIRST))
                w.class = WORD_CONTENT;
            if (!shouting && !(w.flags & WORD_FIRST)) {
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
static bool is(const struct detect_set *s, const struct word *w, const char *word) {
    struct slice t = {s->docs[0]->text.data, 0};
    (void)t;
    const struct lexeme *l = &s->lexicon.items[w->id];
    return slice_equal(l->stem, slice_of(word));
}

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

static bool raw_in(const struct detect_set *s, uint32_t doc, const struct word *w, const char *words) {
    struct slice t = detect_text(s, doc, w->start, w->end);
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        if (slice_equal_nocase(t, (struct slice){p, n})) return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
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
        if (raw_in(s, u->doc, &w[i], "because")) if_word = true;
        if (raw_in(s, u->doc, &w[i], "other") && i && raw_in(s, u->doc, &w[i - 1], "all any every"))
            marks |= MARK_OTHER;
        if (raw_in(s, u->doc, &w[i], "remaining rest otherwise")) marks |= MARK_OTHER;
        if (if_word) marks |= MARK_CONDITION;
        if (except) marks |= MARK_EXCEPTION;
        if (if_word || except) in_condition = true;
        if (in_condition) w[i].flags |= WORD_CONDITION;
        /* "... is USD 5 and is invoiced monthly": what follows is said of something else */
        if (raw_in(s, u->doc, &w[i], "and but") && i + 1 < u->n_words &&
            raw_in(s, u->doc, &w[i + 1], "is are was were shall must may will has have can"))
            w[i + 1].flags |= WORD_BREAK;
        /* "this Agreement": every document says it of itself */
        if (i && w[i].flags & WORD_CAPITAL && w[i].class == WORD_CONTENT &&
            raw_in(s, u->doc, &w[i - 1], "this these")) {
            w[i].class = WORD_FUNCTION;
            marks |= MARK_SELF;
        }
        if (!(w[i].flags & WORD_LEAD) && !(w[i].flags & WORD_CAPITAL && i) && /* "May 27" */
            raw_in(s, u->doc, &w[i],
                   "is are was were be been being shall must may will can has have had means mean amounts costs cost "
                   "takes ends begins "
                   "applies remains becomes expires lasts runs pays weighs starts falls requires needs"))
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
    for (uint32_t i = 0; i < u->n_words; i++) {
        if (w[i].flags & WORD_LEAD) continue;
        if (raw_in(s, u->doc, &w[i], "this these such that it its they their his her") &&
            !(i + 1 < u->n_words && w[i + 1].flags & WORD_CAPITAL))
            marks |= MARK_ANAPHORA;
        break;
    }
    struct slice t = ingest_text(d, d->statements[u->statement].span);
    if (t.len && t.data[t.len - 1] == '?') marks |= MARK_QUESTION;
    u->marks |= marks;
}

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

static bool is_value(enum ingest_fact_kind k) {
    return k == INGEST_AMOUNT || k == INGEST_PERCENTAGE || k == INGEST_NUMBER || k == INGEST_PERIOD ||
           k == INGEST_TOTAL;
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
                    (is_value(g->kind) || (f && f->kind == INGEST_DATE && g->kind == INGEST_DATE))) {
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
    qsort(v, count, sizeof *v, by_id);
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
static bool in_title(const struct detect_set *s, uint32_t doc, uint32_t id) {
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
    return in_title(s, doc, id);
}

static const struct frame_word *find_word(const struct detect_set *s, const struct frame *f, uint32_t id) {
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
static bool mentions(const struct detect_set *s, const struct frame *f, uint32_t id) {
    if (find_word(s, f, id)) return true;
    const struct subject_statement *u = &s->units[f->unit];
    for (uint32_t i = 0; i < u->n_words; i++)
        if (s->words[u->word + i].id == id) return true;
    return false;
}

/* The same, its own sentence alone. */
static bool states(const struct detect_set *s, const struct frame *f, uint32_t id) {
    const struct subject_statement *u = &s->units[f->unit];
    for (uint32_t i = 0; i < u->n_words; i++)
        if (s->words[u->word + i].id == id) return true;
    return false;
}

#define GROUP_ORDER 1 /* the group of initial / renewal / second ... in lexicon.c */
#define GROUP_RATE 2  /* the group of annual / monthly / ... in lexicon.c */

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

/* ---- contrast: other words in the same place ---- */
#define SLOT_MAX 48
#define SLOT_START (UINT32_MAX - 1)
#define SLOT_END (UINT32_MAX - 2)
#define SLOT_NEAR 2 /* words, small ones counted, between a shared word and the one that differs */
struct slot {
    uint32_t previous, next;         /* shared words before and behind; SLOT_START, SLOT_END where there is none */
    uint32_t from_previous, to_next; /* distance in words */
    bool predicate; /* behind a modal verb, "to" or a form of "be": most often a verb, which people vary freely */
    bool implied;   /* the other document's title has it */
    bool joined;    /* no punctuation between it and the shared word behind it */
};

/* Places of a's words that b does not have. */
static uint32_t slots(const struct detect_set *s, const struct frame *a, const struct frame *b,
                      struct slot out[SLOT_MAX]) {
    const struct subject_statement *u = &s->units[a->unit];
    uint32_t other = s->units[b->unit].doc, n = 0, previous = SLOT_START, previous_at = 0;
    for (uint32_t i = 0; i < u->n_words && n < SLOT_MAX; i++) {
        const struct word *w = &s->words[u->word + i];
        const struct frame_word *f = w->class == WORD_FUNCTION || w->class == WORD_SKIP || w->class == WORD_NUMBER
                                         ? NULL
                                         : find_word(s, a, w->id);
        if (!f || f->place == 2) continue;
        if (states(s, b, w->id)) {
            previous = w->id;
            previous_at = i;
            continue;
        }
        if (s->lexicon.items[w->id].flags & LEXICON_LIGHT || w->class == WORD_ENTITY || w->flags & WORD_CONDITION)
            continue;
        struct slot x = {.implied = in_title(s, other, w->id),
                         .previous = previous,
                         .from_previous = i - previous_at,
                         .next = SLOT_END,
                         .joined = true};
        for (uint32_t k = i + 1; k < u->n_words; k++) {
            const struct word *v = &s->words[u->word + k];
            if (v->flags & WORD_EDGE && x.next == SLOT_END) x.joined = false;
            const struct frame_word *g = v->class == WORD_FUNCTION || v->class == WORD_SKIP || v->class == WORD_NUMBER
                                             ? NULL
                                             : find_word(s, a, v->id);
            if (!g || g->place == 2 || !states(s, b, v->id)) continue;
            x.next = v->id;
            x.to_next = k - i;
            break;
        }
        if (i) {
            const struct word *p = w - 1;
            if (!(w->flags & WORD_EDGE))
                x.predicate =
                    raw_in(s, u->doc, p,
                           "shall must may will can should would to be is are was were been not has have had being by");
        }
        out[n++] = x;
    }
    return n;
}

/* The same sentence with another thing in one place: "defects of the lifts" against "defects of the heating". 0 none, 1
 * perhaps a verb, 2 a thing. */
static int contrast(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    struct slot x[SLOT_MAX], y[SLOT_MAX];
    uint32_t nx = slots(s, a, b, x), ny = nx ? slots(s, b, a, y) : 0;
    int found = 0;
    for (uint32_t i = 0; i < nx; i++)
        for (uint32_t k = 0; k < ny; k++) {
            if (x[i].implied && y[k].implied) continue;
            bool before = x[i].previous == y[k].previous, behind = x[i].next == y[k].next;
            bool same = before && behind && (x[i].previous != SLOT_START || x[i].next != SLOT_END);
            same |= before && x[i].previous != SLOT_START && x[i].from_previous <= SLOT_NEAR + 1 &&
                    y[k].from_previous <= SLOT_NEAR + 1;
            same |=
                behind && x[i].next != SLOT_END && x[i].to_next == 1 && y[k].to_next == 1 && x[i].joined && y[k].joined;
            if (!same) continue;
            int kind = x[i].predicate || y[k].predicate ? 1 : 2;
            if (kind > found) found = kind;
        }
    return found;
}

/* Where a thing stands to time, space or company: "after the trial" against "during the trial", "with" against
 * "without". */
static int preposition(const struct detect_set *s, const struct subject_statement *u, uint32_t i) {
    static const char *const classes[] = {"after following upon",
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
            if (raw_in(s, u->doc, w, classes[c])) return (int)c + 1;
        if (w->class == WORD_FUNCTION && !raw_in(s, u->doc, w, "the a an its their his her any each full")) return 0;
    }
    return 0;
}

static bool prepositions_differ(const struct detect_set *s, const struct frame *a, const struct frame *b) {
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

/* Another value on both sides besides the compared one, and none of it agrees: rows of two different cases. */
static bool other_values_differ(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *ua = &s->units[a->unit], *ub = &s->units[b->unit];
    const struct ingest_document *da = s->docs[ua->doc], *db = s->docs[ub->doc];
    const struct ingest_fact *fa = &da->facts[a->fact];
    if (unit_statement(s, ua)->kind == INGEST_TABLE_ROW || unit_statement(s, ub)->kind == INGEST_TABLE_ROW)
        return false;
    bool differ = false;
    for (uint32_t i = ua->first_fact; i < ua->first_fact + ua->n_facts; i++) {
        const struct ingest_fact *x = &da->facts[i];
        if (!is_value(x->kind) || x->kind == fa->kind || x->kind == INGEST_TOTAL)
            continue; /* a total is an amount, too */
        if (x->span.start < fa->span.end && x->span.end > fa->span.start) continue;
        bool agree = false, any = false;
        for (uint32_t k = ub->first_fact; k < ub->first_fact + ub->n_facts; k++) {
            const struct ingest_fact *y = &db->facts[k];
            if (y->kind != x->kind || !slice_equal(x->unit, y->unit)) continue;
            any = true;
            agree |= fabs(x->value - y->value) <= 1e-9 * fabs(x->value);
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
        if (raw_in(s, u->doc, w, "before until through till by") ||
            (raw_in(s, u->doc, w, "to") && raw_in(s, u->doc, p, "prior up")))
            return -1;
        if (raw_in(s, u->doc, w, "from after since on of") || raw_in(s, u->doc, p, "from as")) return 1;
        return 0;
    }
    return 0;
}

/* Both sides name days, and not the same: they speak of different times. */
static bool days_differ(const struct detect_set *s, const struct frame *a, const struct frame *b) {
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
static bool negation_differs(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    bool negated[2] = {false, false};
    for (int side = 0; side < 2; side++) {
        const struct frame *f = side ? b : a;
        const struct subject_statement *u = &s->units[f->unit];
        const struct ingest_span v = s->docs[u->doc]->facts[f->fact].span;
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->start >= v.start && w->end <= v.end) continue;
            if (s->lexicon.items[w->id].flags & LEXICON_NEGATION) negated[side] = true;
        }
    }
    return negated[0] != negated[1];
}

static float condition_overlap(const struct detect_set *s, const struct frame *a, const struct frame *b, float *total) {
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
        if (mentions(s, b, w->id)) shared += x;
    }
    return *total > 0 ? shared / *total : 1;
}

/* The value stands inside a condition: it says when, not how much. */
static bool conditional_value(const struct detect_set *s, const struct frame *f) {
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

static bool parallel_blocks(const struct detect_set *s, const struct subject_statement *a,
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

/* Negations inside the conditions of a statement, odd or even; "unless" is one. */
static bool condition_negated(const struct detect_set *s, const struct subject_statement *u) {
    bool negated = false;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->flags & WORD_CONDITION &&
            (s->lexicon.items[w->id].flags & LEXICON_NEGATION || raw_in(s, u->doc, w, "unless")))
            negated = !negated;
    }
    return negated;
}

/* "For the yard at Canal Street the ...": a place or case that the other side does not speak of. */
static bool scoped(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *u = &s->units[a->unit];
    uint32_t i = 0, heavy = 0, shared = 0;
    while (i < u->n_words && (s->words[u->word + i].flags & WORD_LEAD || s->words[u->word + i].class == WORD_SKIP ||
                              s->words[u->word + i].class == WORD_NUMBER))
        i++;
    if (i >= u->n_words || !raw_in(s, u->doc, &s->words[u->word + i], "for in at during on under with as to"))
        return false;
    for (uint32_t k = i + 1; k < u->n_words && k < i + 7; k++) {
        const struct word *w = &s->words[u->word + k];
        if (w->flags & WORD_EDGE || (k > i + 2 && raw_in(s, u->doc, w, "the you it they is are shall must may"))) break;
        if ((w->class != WORD_CONTENT && w->class != WORD_NAME && w->class != WORD_CODE) ||
            s->lexicon.items[w->id].flags & LEXICON_LIGHT)
            continue;
        heavy++;
        shared += mentions(s, b, w->id);
    }
    return heavy && shared * 2 < heavy;
}

/* Another value inside what is measured: "the dose in patients over 75 years". */
static bool measured_value(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *ua = &s->units[a->unit], *ub = &s->units[b->unit];
    const struct ingest_document *da = s->docs[ua->doc], *db = s->docs[ub->doc];
    const struct ingest_span in = da->facts[a->fact].subject;
    if (unit_statement(s, ua)->kind == INGEST_TABLE_ROW) return false;
    for (uint32_t i = ua->first_fact; i < ua->first_fact + ua->n_facts; i++) {
        const struct ingest_fact *x = &da->facts[i];
        if (!is_value(x->kind) || i == a->fact || x->kind == INGEST_TOTAL || x->span.start < in.start ||
            x->span.end > in.end || !x->unit.len)
            continue;
        bool agree = false;
        for (uint32_t k = ub->first_fact; k < ub->first_fact + ub->n_facts && !agree; k++)
            agree = db->facts[k].kind == x->kind && fabs(db->facts[k].value - x->value) <= 1e-9 * fabs(x->value);
        if (!agree) return true;
    }
    return false;
}

/* Words of order ("first", "initial", "last") on one side alone. */
static bool ordinal_alone(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    bool have[2] = {false, false};
    for (int side = 0; side < 2; side++) {
        const struct frame *f = side ? b : a;
        for (uint32_t k = 0; k < f->n_words; k++) {
            const struct frame_word *w = &s->frame_words[f->word + k];
            const struct lexeme *l = &s->lexicon.items[w->id];
            for (int g = 0; g < 2; g++) /* the first member, "initial", is what is meant where nothing is said */
                if (w->place < 2 && l->group[g] == GROUP_ORDER && l->member[g] != 1) have[side] = true;
        }
    }
    return have[0] != have[1];
}

/* "each visit" against "the last visit": the rule and one case of it. */
static bool one_of_all(const struct detect_set *s, const struct frame *a, const struct frame *b) {
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
                    raw_in(s, v->doc, &s->words[v->word + k - 1], "each every all any per"))
                    return true;
        }
    }
    return false;
}

/* "Except for breaches of Article 3, ..." against what is said of breaches of Article 3: the rule and its exception. */
static bool excepted(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    const struct subject_statement *u = &s->units[a->unit], *v = &s->units[b->unit];
    if (!(u->marks & MARK_EXCEPTION)) return false;
    uint32_t heavy = 0, met = 0;
    bool inside = false;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (inside && w->flags & (WORD_EDGE | WORD_BREAK)) inside = false;
        if (raw_in(s, u->doc, w, "except excluding save unless") ||
            (i && raw_in(s, u->doc, w, "than") && raw_in(s, u->doc, w - 1, "other"))) {
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
            const struct frame_word *m = find_word(s, q, v[i].id);
            if (m && m->place == 2 && ua->doc == ub->doc) m = NULL;
            const struct lexeme *l = &s->lexicon.items[v[i].id];
            float w = v[i].weight;
            bool year = v[i].class == WORD_CODE && l->stem.len == 4 && is_digit((unsigned char)l->stem.data[0]);
            bool month = l->flags & (LEXICON_MONTH | LEXICON_WEEKDAY) && v[i].class != WORD_FUNCTION;
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
            bool implied = !m && (in_title(s, other_doc, v[i].id) || (v[i].class == WORD_ENTITY));
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
                if (m || implied || mentions(s, q, v[i].id)) met[side] += w;
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
            if (implied || mentions(s, q, v[i].id)) continue;
            if ((v[i].near || v[i].subject) && !(l->flags & LEXICON_LIGHT)) rest[side] += w;
            if ((v[i].class == WORD_NAME || (v[i].class == WORD_CODE && !year)) && s->n_units > 8 &&
                !in_document(s, other_doc, v[i].id))
                foreign++;
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
        else if (!mentions(s, a, b->actor) && !mentions(s, b, a->actor))
            r.doubt += 0.08f;
    }
    int other = contrast(s, a, b);
    if (other == 2)
        r.apart = true;
    else if (other == 1)
        r.doubt += 0.2f;
    if (a->class != ANALYSIS_MODALITY) {
        if (prepositions_differ(s, a, b) || days_differ(s, a, b) || other_values_differ(s, a, b) ||
            conditional_value(s, a) != conditional_value(s, b))
            r.apart = true;
        if (negation_differs(s, a, b)) r.doubt += 0.2f;
        if (measured_value(s, a, b) || measured_value(s, b, a)) r.apart = true;
        if (ordinal_alone(s, a, b)) r.doubt += 0.14f;
        if (one_of_all(s, a, b)) r.apart = true;
    }
    if (fminf(rest[0], rest[1]) > 0.6f) r.doubt += 0.14f; /* both name something more near the value */
    if (parallel_blocks(s, ua, ub)) r.doubt += 0.25f;
    if ((ua->marks ^ ub->marks) & MARK_ANAPHORA) r.doubt += 0.12f;
    if (measured[0] > 0 && measured[1] > 0 && fminf(met[0] / measured[0], met[1] / measured[1]) < 0.5f) r.doubt += 0.1f;
    if (measured[0] > 0.5f && measured[1] > 0.5f && met[0] >= measured[0] - 0.01f && met[1] >= measured[1] - 0.01f)
        r.exact = true, r.score = fminf(1, r.score + 0.12f); /* the very same thing is measured */
    if (precedence_links(s, ua, ub)) {                       /* the one names the other's section to change it */
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
    float oa = condition_overlap(s, a, b, &ca), ob = condition_overlap(s, b, a, &cb);
    if (ca > 0.6f && oa < 0.34f) r.doubt += 0.12f;
    if (cb > 0.6f && ob < 0.34f) r.doubt += 0.12f;
    if (ca > 0.6f && cb > 0.6f && oa < 0.34f && ob < 0.34f) r.apart = true;
    if (a->class == ANALYSIS_MODALITY && ca > 0.6f && cb > 0.6f && fminf(oa, ob) < 0.75f) r.apart = true;
    if (ca > 0 && cb > 0 && fminf(oa, ob) > 0.4f && condition_negated(s, ua) != condition_negated(s, ub))
        r.apart = true; /* if and unless */
    uint32_t differ = ua->marks ^ ub->marks;
    if (differ & (MARK_ATTRIBUTED | MARK_PAST) || (ua->marks | ub->marks) & (MARK_EXAMPLE | MARK_QUESTION))
        r.apart = true;
    if (excepted(s, a, b) || excepted(s, b, a)) r.apart = true;
    if (scoped(s, a, b) || scoped(s, b, a)) r.doubt += 0.2f;
    if (differ & MARK_OTHER) r.doubt += 0.2f;
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

/* ---- building ---- */
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
                            raw_in(s, u->doc, p, "no nr number"); /* "Addendum No. 1" */
            if (numbered) {
                w->class = WORD_CODE;
                continue;
            }
            if (w->class != WORD_NUMBER || w->flags & WORD_EDGE || w->start - p->end > 2) continue;
            if ((p->class != WORD_CONTENT && p->class != WORD_NAME) || s->lexicon.items[p->id].flags & LEXICON_MONTH)
                continue;
            if (raw_in(s, u->doc, p, "section sections clause clauses article articles paragraph usd eur gbp chf"))
                continue;
            /* "unit 2", "year three" end there; "sold 163,000 tickets" goes on */
            const struct word *q1 = k + 1 < u->n_words ? w + 1 : NULL;
            bool goes_on = q1 && !(q1->flags & WORD_EDGE) && q1->class == WORD_CONTENT;
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
                    if (k + 1 < u.word + u.n_words) w[1].flags |= WORD_FIRST; /* the sentence begins behind it */
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
    (void)is;
    return 0;
}
