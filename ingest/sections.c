/* sections.c: numbers and headings -> the section tree. Step 5 of the reader's path.
 *
 * A block opens a section when it is a heading by its mark (DOCX, HTML, Markdown), or begins with a number that
 * continues the numbering so far, or looks like a heading (all capitals, bold, centred; a short line of capitalised
 * words above a long paragraph). Numbers are read by marks.c; a number is believed only in
 * sequence: "1." after nothing, "4.3" after "4.2", "(c)" after "(b)", so that "30 days", "2019" or "1,250.00" at a
 * line's start stay text. "(i)" is the ninth letter after "(h)", else one in Roman.
 *
 * Open sections form a stack; a number closes everything down to its sibling. The stack is at most STACK_DEEP high; a
 * deeper number stays at that depth.
 */
#include "ingest/structure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- limits ---- */
enum {
    STACK_DEEP = 24,
    TITLE_BYTES = 80,    /* a numbered title that is not in capitals */
    HEADING_BYTES = 160, /* a heading by looks */
    RUN_IN_BYTES = 120,  /* a run-in heading */
    RUN_IN_WORDS = 14,
    PATH_HEADING_BYTES = 60, /* of a heading inside a path */
    QUOTED_CLAUSE = 99,      /* clauses that stand out of sequence have no higher number */
    GAP = 3,                 /* numbers that may be missing in a sequence ("[Reserved]" dropped, a page lost) */
};

/* ---- looks ---- */
struct looks {
    uint32_t n_words, n_capital, n_small; /* words; begin with a capital; small words that a title leaves small */
    uint32_t n_letters, n_upper;
    bool modal, digit, dangling, ends_stop,
        ends_open; /* a modal or "is"; ends with "of", "the"; '.' at the end; ',' ';' ':' at the end */
};

static struct looks looks_of(struct structure *s, uint32_t start, uint32_t end) {
    struct looks l = {0};
    const char *t = s->d->text.data;
    for (uint32_t i = start; i < end; i++) {
        bool up = t[i] >= 'A' && t[i] <= 'Z', low = t[i] >= 'a' && t[i] <= 'z';
        l.n_letters += up || low;
        l.n_upper += up;
        l.digit |= t[i] >= '0' && t[i] <= '9';
    }
    uint32_t i = start;
    while (i < end) {
        while (i < end && !((t[i] | 32) >= 'a' && (t[i] | 32) <= 'z') && (uint8_t)t[i] < 0xC3) i++;
        uint32_t w = i;
        char low[24];
        size_t n = 0;
        while (i < end && (((t[i] | 32) >= 'a' && (t[i] | 32) <= 'z') || (uint8_t)t[i] >= 0x80 || t[i] == '\'')) {
            if (n < sizeof low) low[n++] = (char)((t[i] >= 'A' && t[i] <= 'Z') ? t[i] + 32 : t[i]);
            i++;
        }
        if (i == w) {
            i++;
            continue;
        }
        l.n_words++;
        uint32_t c = vocabulary_classes(low, n);
        l.dangling =
            (c & (LEX_C_PREPOSITION | LEX_C_DETERMINER | LEX_C_CONJUNCTION | LEX_C_PRONOUN | LEX_C_RELATIVE)) && n > 1;
        if (t[w] >= 'A' && t[w] <= 'Z')
            l.n_capital++;
        else if (c & (LEX_C_PREPOSITION | LEX_C_DETERMINER | LEX_C_CONJUNCTION))
            l.n_small++;
        if (((c & LEX_C_MODAL) && !(c & LEX_C_MONTH)) || ((c & LEX_C_BE) && n < 4)) l.modal = true;
    }
    if (end > start) {
        l.ends_stop = t[end - 1] == '.';
        l.ends_open = t[end - 1] == ',' || t[end - 1] == ';' || t[end - 1] == ':';
    }
    return l;
}

/* A ruled line, or boxes to tick ("☐ Yes ☒ No", U+2610 to U+2612): forms print them large, but they name nothing. */
static bool names_nothing(struct slice t) {
    bool word = false;
    for (size_t i = 0; i < t.len; i++) {
        uint8_t c = (uint8_t)t.data[i];
        if (c == 0xE2 && i + 2 < t.len && (uint8_t)t.data[i + 1] == 0x98 && (uint8_t)t.data[i + 2] >= 0x90 &&
            (uint8_t)t.data[i + 2] <= 0x92)
            return true;
        word = word || c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
    }
    return !word;
}
/* The first letter is a small one: the text goes on from above. */
static bool lower_start(const char *t, struct ingest_span s) {
    return s.start < s.end && t[s.start] >= 'a' && t[s.start] <= 'z';
}
static bool all_capitals(const struct looks *l) {
    return l->n_letters >= 3 && l->n_upper * 20 >= l->n_letters * 19 && l->n_words >= 1;
}
static bool title_case(const struct looks *l) {
    return l->n_words >= 1 && l->n_capital >= 1 && l->n_capital + l->n_small == l->n_words;
}

/* A heading in the run of a clause: "Payment Terms. The Buyer shall" -> "Payment Terms". Empty when there is none. */
static struct ingest_span run_in(struct structure *s, uint32_t start, uint32_t end) {
    const char *t = s->d->text.data;
    struct ingest_span none = {start, start};
    uint32_t limit = end - start > RUN_IN_BYTES ? start + RUN_IN_BYTES : end;
    for (uint32_t i = start; i < limit; i++) {
        bool stop = t[i] == '.' && (i + 1 >= end || t[i + 1] == ' ' || t[i + 1] == '\n');
        bool colon = t[i] == ':' && i + 1 < end && t[i + 1] == ' ';
        bool dash = i + 4 < end && t[i] == ' ' &&
                    ((uint8_t)t[i + 1] == 0xE2 && (uint8_t)t[i + 2] == 0x80 &&
                     ((uint8_t)t[i + 3] == 0x93 || (uint8_t)t[i + 3] == 0x94)) &&
                    t[i + 4] == ' ';
        if (t[i] == '"' || (uint8_t)t[i] == 0xE2) {
            if (!dash && t[i] == '"') return none;
        }
        if (t[i] == '(' || t[i] == ';') return none;
        if (!stop && !colon && !dash) continue;
        /* "Mr." or "No." is no end */
        if (stop) {
            uint32_t w = i;
            while (w > start && ((t[w - 1] | 32) >= 'a' && (t[w - 1] | 32) <= 'z')) w--;
            char low[12];
            size_t n = 0;
            for (uint32_t k = w; k < i && n < sizeof low; k++) low[n++] = (char)(t[k] | 32);
            if (n && n <= 4 && (vocabulary_classes(low, n) & LEX_C_ABBREVIATION) && !(i + 1 >= end)) continue;
        }
        struct looks l = looks_of(s, start, i);
        if (l.n_words == 0 || l.n_words > RUN_IN_WORDS || l.modal) return none;
        uint32_t next = i + (dash ? 5 : 1);
        while (next < end && (t[next] == ' ' || t[next] == '_')) next++;
        /* behind the heading a sentence begins */
        if (next < end && t[next] >= 'a' && t[next] <= 'z') return none;
        if (all_capitals(&l) || title_case(&l)) return (struct ingest_span){start, i};
        /* "Governing law. This" : one to four words, only the first a capital, none a verb */
        if (stop && next < end && l.n_words <= 4 && l.n_capital >= 1 && !l.digit && t[start] >= 'A' &&
            t[start] <= 'Z' && end - i > 20)
            return (struct ingest_span){start, i};
        return none;
    }
    return none;
}

/* ---- the stack ---- */
struct open {
    uint32_t section;
    enum mark_style style; /* MARK_NONE: a heading without a number */
    bool paren;
    uint32_t keyword;
    uint32_t ordinal;
    uint32_t components[MARK_COMPONENTS];
    uint32_t n_components;
    uint32_t heading_level; /* of marked headings; 0 */
    bool list;              /* a paragraph-level number such as (a) */
    bool titled;            /* its number has a title: clauses have, items of a list have none */
};

struct stack {
    struct open items[STACK_DEEP];
    size_t n;
    uint32_t last[16]; /* by keyword: last ordinal seen, so "ARTICLE V" continues after everything inside IV */
};

static int section_add(struct structure *s, uint32_t parent, const struct piece *p, struct slice number,
                       struct slice path, struct error *e) {
    if (array_grow((void **)&s->sections, &s->cap_sections, s->n_sections + 1, sizeof *s->sections, e))
        return ERR_NOMEM;
    s->sections[s->n_sections++] = (struct ingest_section){.span = {p->block.span.start, p->block.span.start},
                                                           .heading = p->heading,
                                                           .parent = parent,
                                                           .level = s->sections[parent].level + 1,
                                                           .number = number,
                                                           .path = path};
    return 0;
}

/* Does mark m (read as style, ordinal) follow the open section o directly? */
static bool follows(const struct open *o, const struct mark *m, enum mark_style style, uint32_t ordinal) {
    if (o->style != style || o->paren != m->paren) return false;
    if (style == MARK_KEYWORD && o->keyword != m->keyword) return false;
    if ((style == MARK_DECIMAL || style == MARK_KEYWORD) && m->n_components > 1) {
        if (o->n_components != m->n_components) return false;
        for (uint32_t i = 0; i + 1 < m->n_components; i++)
            if (o->components[i] != m->components[i]) return false;
    } else if (o->n_components > 1) {
        return false;
    }
    return ordinal > o->ordinal && ordinal - o->ordinal <= GAP;
}

/* Number "4.2" under an open "4." (or "ARTICLE IV", "Section 4"). */
static bool is_parent(const struct open *o, const struct mark *m) {
    if (m->n_components < 2) return false;
    if (o->style == MARK_KEYWORD || o->style == MARK_DECIMAL) {
        if (o->n_components == 0) return o->ordinal == m->components[0] && m->n_components == 2;
        if (o->n_components >= m->n_components) return false;
        for (uint32_t i = 0; i < o->n_components; i++)
            if (o->components[i] != m->components[i]) return false;
        return true;
    }
    return (o->style == MARK_UPPER_ROMAN && o->ordinal == m->components[0]) ||
           (o->style == MARK_UPPER && o->ordinal + MARK_LETTER == m->components[0]);
}

static void push_open(struct stack *st, size_t depth, const struct open *o) {
    if (depth >= STACK_DEEP) depth = STACK_DEEP - 1;
    st->items[depth] = *o;
    st->n = depth + 1;
}

/* Where does this number belong? Returns the depth at which it opens, or SIZE_MAX when it continues nothing. */
static size_t place(const struct stack *st, struct mark *m, bool looks_like_heading, bool certain) {
    /* the innermost sibling, in either reading; a title looks for one with a title first, an item for one without */
    size_t second = SIZE_MAX;
    for (size_t i = st->n; i-- > 1;) {
        const struct open *o = &st->items[i];
        bool first_reading = follows(o, m, m->style, m->ordinal);
        if (first_reading || (m->other && follows(o, m, m->other, m->other_ordinal))) {
            if (!first_reading) m->style = m->other, m->ordinal = m->other_ordinal, m->other = MARK_NONE;
            if (o->titled == looks_like_heading || o->list || m->n_components > 1) return i;
            if (second == SIZE_MAX) second = i;
        }
        if (keyword_is_outer(o->keyword) && o->style == MARK_KEYWORD && m->style != MARK_KEYWORD)
            break; /* an exhibit's own numbers */
    }
    if (second != SIZE_MAX) return second;
    if (m->style == MARK_KEYWORD) {
        if (m->n_components > 1)
            for (size_t i = st->n; i-- > 1;)
                if (is_parent(&st->items[i], m)) return i + 1;
        if (keyword_is_outer(m->keyword)) return 1;
        /* a section below an article, part or chapter; else as deep as the last of its kind, or top */
        for (size_t i = st->n; i-- > 1;)
            if (st->items[i].style == MARK_KEYWORD && st->items[i].keyword == m->keyword) return i;
        for (size_t i = st->n; i-- > 1;)
            if (st->items[i].style == MARK_KEYWORD || st->items[i].heading_level) return i + 1;
        return 1;
    }
    if (m->style == MARK_DECIMAL && m->n_components > 1) {
        for (size_t i = st->n; i-- > 1;)
            if (is_parent(&st->items[i], m) && (m->ordinal <= GAP || certain || looks_like_heading)) return i + 1;
        /* 2.1 behind 1.7, the heading "2." having no number of its own */
        for (size_t i = st->n; i-- > 1;) {
            const struct open *o = &st->items[i];
            if (o->style == MARK_DECIMAL && o->n_components == m->n_components && m->components[0] > o->components[0] &&
                m->components[0] - o->components[0] <= GAP && m->ordinal <= 1 + (uint32_t)certain * GAP)
                return i;
        }
        /* a first clause may begin anywhere when it has a title: amendments quote clauses out of their sequence */
        bool quoted =
            looks_like_heading && (m->ordinal <= 1 || m->n_components > 2) && m->components[0] <= QUOTED_CLAUSE;
        if (quoted || (m->ordinal <= 1 && (m->components[0] <= 1 + GAP || m->components[0] > MARK_LETTER))) {
            size_t depth = 1;
            for (size_t i = st->n; i-- > 1;)
                if (st->items[i].style == MARK_NONE || st->items[i].style == MARK_KEYWORD) {
                    depth = i + 1;
                    break;
                }
            return depth;
        }
        return certain ? st->n : SIZE_MAX;
    }
    /* a first number: a child of whatever is open, below headings and numbers of another kind */
    if (m->ordinal == 1 || (m->other && m->other_ordinal == 1)) {
        if (m->ordinal != 1) m->style = m->other, m->ordinal = m->other_ordinal;
        size_t depth = st->n;
        /* "1." does not begin below "(c)" or a bullet: lists inside lists change style the other way */
        if (m->style == MARK_DECIMAL && !m->paren)
            while (depth > 1 && st->items[depth - 1].list) depth--;
        /* nor below a sibling of its own style: the list starts again */
        for (size_t i = st->n; i-- > 1;) {
            const struct open *o = &st->items[i];
            if (o->style == MARK_KEYWORD || o->style == MARK_NONE) break;
            if (o->style == m->style && o->paren == m->paren && o->n_components == m->n_components) {
                /* "1." without a title inside clause 1.5 is a list there, not clause 1 again */
                if (m->style == MARK_DECIMAL && o->titled && !looks_like_heading && i + 1 < st->n) return st->n;
                return i;
            }
        }
        return depth;
    }
    return certain || looks_like_heading ? st->n : SIZE_MAX;
}

/* A heading on one line: inside a path a line break would be one in every citation. */
static struct slice on_one_line(struct arena *a, struct slice t) {
    if (!memchr(t.data, '\n', t.len)) return t;
    char *copy = arena_array(a, t.len, 1);
    if (!copy) return t;
    for (size_t i = 0; i < t.len; i++) copy[i] = t.data[i] == '\n' ? ' ' : t.data[i];
    return (struct slice){copy, t.len};
}

static struct slice path_of(struct structure *s, const struct stack *st, size_t depth, const struct open *o,
                            struct slice number, struct slice heading) {
    struct arena *a = &s->d->arena;
    struct slice parent = {"", 0};
    if (depth > 1 && depth <= st->n) parent = s->sections[st->items[depth - 1].section].path;
    struct slice own = number;
    if (own.len == 0) {
        own = heading;
        if (own.len > PATH_HEADING_BYTES) {
            own.len = PATH_HEADING_BYTES;
            while (own.len && ((uint8_t)own.data[own.len] & 0xC0) == 0x80) own.len--;
        }
        own = on_one_line(a, own);
    }
    bool complete =
        o->n_components > 1 || (o->style == MARK_KEYWORD &&
                                !(depth > 1 && st->items[depth - 1].style == MARK_KEYWORD && o->n_components <= 1));
    /* a complete number names itself; inside an exhibit it names itself there */
    if (complete && parent.len) {
        for (size_t i = depth; i-- > 1;)
            if (st->items[i].style == MARK_KEYWORD && keyword_is_outer(st->items[i].keyword)) {
                struct slice outer = s->sections[st->items[i].section].path;
                return arena_slice_printf(a, "%.*s > %.*s", (int)outer.len, outer.data, (int)own.len, own.data);
            }
        return own;
    }
    if (parent.len == 0) return own;
    if (o->list && st->items[depth - 1].style != MARK_NONE)
        return arena_slice_printf(a, o->paren ? "%.*s%.*s" : "%.*s.%.*s", (int)parent.len, parent.data, (int)own.len,
                                  own.data);
    return arena_slice_printf(a, "%.*s > %.*s", (int)parent.len, parent.data, (int)own.len, own.data);
}

/* Closes sections from `depth` up, their ranges ending at `at`. */
static void close_to(struct structure *s, struct stack *st, size_t depth, uint32_t at) {
    const char *t = s->d->text.data;
    while (st->n > depth) {
        struct ingest_section *c = &s->sections[st->items[--st->n].section];
        uint32_t end = at;
        while (end > c->span.start && (t[end - 1] == '\n' || t[end - 1] == ' ')) end--;
        c->span.end = end;
    }
}

static bool is_list_style(const struct mark *m) {
    return m->paren || m->style == MARK_LOWER || m->style == MARK_LOWER_ROMAN || m->style == MARK_DIGIT_PAREN;
}

static int open_section(struct structure *s, struct stack *st, size_t depth, struct piece *p, struct error *e) {
    struct mark *m = &p->mark;
    if (depth > st->n) depth = st->n;
    if (depth < 1) depth = 1;
    if (depth >= STACK_DEEP) depth = STACK_DEEP - 1;
    close_to(s, st, depth, p->block.span.start);
    struct open o = {.style = m->style,
                     .paren = m->paren,
                     .keyword = m->style == MARK_KEYWORD ? m->keyword : 0,
                     .ordinal = m->ordinal,
                     .n_components = m->n_components,
                     .heading_level = p->block.kind == INGEST_BLOCK_HEADING ? p->block.level : 0};
    memcpy(o.components, m->components, sizeof o.components);
    o.list = m->style != MARK_NONE && is_list_style(m);
    o.titled = !span_empty(p->heading);
    struct slice number = {"", 0};
    if (m->style != MARK_NONE && m->style != MARK_BULLET) number = structure_text(s, m->shown);
    struct slice path = path_of(s, st, depth, &o, number, structure_text(s, p->heading));
    o.section = (uint32_t)s->n_sections;
    if (section_add(s, st->items[depth - 1].section, p, number, path, e)) return ERR_NOMEM;
    push_open(st, depth, &o);
    p->section = o.section;
    p->opens = true;
    return 0;
}

/* "(a)" or "4.2" on a line of its own is the number of the paragraph below it (HTML tables, text from web pages). */
static void join_lonely_marks(struct structure *s, struct mark_reader *mm) {
    const char *t = s->d->text.data;
    size_t n = 0;
    for (size_t i = 0; i < s->n_pieces; i++) {
        struct piece *p = &s->pieces[n++];
        *p = s->pieces[i];
        struct mark m;
        if (p->block.kind != INGEST_BLOCK_PARAGRAPH || p->block.span.end - p->block.span.start > 12 ||
            i + 1 >= s->n_pieces)
            continue;
        const struct ingest_block *next = &s->pieces[i + 1].block;
        if (next->kind != INGEST_BLOCK_PARAGRAPH || next->span.start - p->block.span.end > 4) continue;
        if (!mark_read_with(mm, t, p->block.span.start, p->block.span.end, &m) || m.span.end != p->block.span.end)
            continue;
        if (m.style == MARK_KEYWORD || m.bare || (m.style == MARK_BULLET && t[p->block.span.start] == 'o')) continue;
        struct mark other;
        if (mark_read_with(mm, t, next->span.start, next->span.end, &other) && other.style != MARK_BULLET &&
            other.span.end == next->span.end)
            continue;
        p->block.span.end = next->span.end;
        i++;
    }
    s->n_pieces = n;
}

int sections_build(struct structure *s, struct error *e) {
    struct ingest_document *d = s->d;
    const char *t = d->text.data;
    struct mark_reader mm = {0};
    struct stack *st = calloc(1, sizeof *st);
    int rc = 0;
    if (!st || !mark_reader_open(&mm)) {
        rc = error_set(e, ERR_NOMEM, "", "Out of memory while headings were read.");
        goto done;
    }
    if (array_grow((void **)&s->sections, &s->cap_sections, 1, sizeof *s->sections, e)) {
        rc = ERR_NOMEM;
        goto done;
    }
    s->sections[0] = (struct ingest_section){
        .span = {0, (uint32_t)d->text.len}, .parent = INGEST_NONE, .number = {"", 0}, .path = {"", 0}};
    s->n_sections = 1;
    st->items[0] = (struct open){0};
    st->n = 1;
    bool titled = false;
    join_lonely_marks(s, &mm);

    for (size_t i = 0; i < s->n_pieces; i++) {
        struct piece *p = &s->pieces[i];
        struct ingest_block *b = &p->block;
        p->section = st->items[st->n - 1].section;
        p->body = b->span.start;
        p->heading = (struct ingest_span){b->span.start, b->span.start};
        if (b->kind == INGEST_BLOCK_CELL || b->kind == INGEST_BLOCK_FOOTNOTE || (b->flags & INGEST_BLOCK_CAPTION))
            continue;
        if (structure_leaders(structure_text(s, b->span))) continue; /* a table of contents opens nothing */
        struct mark m;
        bool numbered = mark_read_with(&mm, t, b->span.start, b->span.end, &m);
        if ((!numbered || b->kind == INGEST_BLOCK_HEADING) && names_nothing(structure_text(s, b->span))) continue;
        bool bullet = numbered && m.style == MARK_BULLET;
        bool bare = numbered && m.bare;
        uint32_t body = numbered ? m.span.end : b->span.start;
        while (body < b->span.end && (t[body] == ' ' || t[body] == '\t' || t[body] == '\n')) body++;
        /* "ARTICLE 4 – TERM": the dash belongs to the mark */
        if (numbered && m.style == MARK_KEYWORD && body + 3 < b->span.end) {
            if ((t[body] == '-' || t[body] == ':') && t[body + 1] == ' ')
                body += 2;
            else if (memcmp(t + body, "\xe2\x80\x93", 3) == 0 || memcmp(t + body, "\xe2\x80\x94", 3) == 0)
                body += 3;
            while (body < b->span.end && t[body] == ' ') body++;
        }
        struct ingest_span rest = {body, b->span.end};
        struct looks l = looks_of(s, rest.start, rest.end);
        bool marked = b->kind == INGEST_BLOCK_HEADING;
        bool item = b->kind == INGEST_BLOCK_LIST_ITEM;
        bool pre = b->kind == INGEST_BLOCK_PRE;
        bool short_line = rest.end - rest.start <= HEADING_BYTES && l.n_words <= 20;
        bool caps = short_line && all_capitals(&l) && !l.ends_open;
        struct ingest_span run = {body, body};
        if (numbered && !bullet && !marked) run = run_in(s, rest.start, rest.end);
        bool run_whole = run.end > run.start && run.end + 1 >= rest.end;
        if (run_whole && is_list_style(&m) &&
            i + 1 < s->n_pieces) { /* "(d) None." above "(e) ..." is an item, "(b) Scope." above text a heading */
            struct mark next;
            const struct ingest_block *nb = &s->pieces[i + 1].block;
            if (mark_read_with(&mm, t, nb->span.start, nb->span.end, &next) && next.paren == m.paren &&
                (next.style == m.style || next.other == m.style || next.style == m.other) && next.ordinal != 1)
                run_whole = false, run.end = run.start;
        }
        bool short_title =
            short_line && !l.modal && !l.ends_open && (caps || (title_case(&l) && l.n_words <= 14)) && !l.ends_stop;
        /* "4.2 What is a package?": a question alone behind a clause number */
        if (numbered && !bullet && m.n_components > 1 && short_line && rest.end > rest.start &&
            t[rest.end - 1] == '?' && l.n_words > 0 && !memchr(t + rest.start, '.', rest.end - rest.start))
            short_title = true;

        bool plain_title = false;
        /* "5. Invoices and payment": a short line that is no sentence, unless its sibling follows at once (a list) */
        if (numbered && !bullet && !short_title && !is_list_style(&m) && rest.end > rest.start &&
            rest.end - rest.start <= TITLE_BYTES && l.n_words <= 8 && l.n_words > 0 && !l.modal && !l.ends_stop &&
            !l.ends_open && !l.digit && t[rest.start] >= 'A' && t[rest.start] <= 'Z' && i + 1 < s->n_pieces) {
            const struct ingest_block *nb = &s->pieces[i + 1].block;
            struct mark next;
            bool sibling = mark_read_with(&mm, t, nb->span.start, nb->span.end, &next) && next.style == m.style &&
                           next.n_components == m.n_components && next.ordinal == m.ordinal + 1;
            if (!sibling && nb->kind != INGEST_BLOCK_LIST_ITEM) short_title = plain_title = true;
        }
        if (numbered && bare && !marked) { /* "30 days after": a number alone needs a title behind it */
            if (!(short_title || run.end > run.start) || m.ordinal > 199) numbered = false;
        }
        if (numbered && m.style == MARK_KEYWORD && !marked) {
            /* "Section 4.2 applies to ..." is a sentence: a heading ends, or a title or a stop follows the number */
            bool stop = m.span.end > m.shown.end;
            bool title = rest.end == rest.start || short_title || run.end > run.start || stop;
            if (!title) numbered = false;
        }
        if (numbered && (m.style == MARK_UPPER || m.style == MARK_UPPER_ROMAN) && !m.paren && !marked && !item) {
            /* "A. Smith" or "I. Overview": a single capital with a stop is a heading's number only before a title or a
             * sentence in sequence */
            if (!(short_title || run.end > run.start) && l.n_words < 3) numbered = false;
        }
        if (pre && !(numbered && (short_title || run_whole))) numbered = false;

        if (numbered && !bullet) {
            p->mark = m;
            size_t depth = place(st, &p->mark, (short_title && !plain_title) || run.end > run.start, marked || item);
            if (marked && b->level) { /* marked levels: siblings by level when numbers say nothing */
                size_t by_level = st->n;
                while (by_level > 1 &&
                       !(st->items[by_level - 1].heading_level && st->items[by_level - 1].heading_level < b->level))
                    by_level--;
                if (depth == SIZE_MAX || depth > by_level) depth = by_level;
                if (depth < by_level && p->mark.n_components <= 1 && p->mark.style != MARK_KEYWORD) depth = by_level;
            }
            if (depth != SIZE_MAX) {
                if (marked || run_whole || (short_title && !is_list_style(&p->mark)) ||
                    (rest.end == rest.start && p->mark.style == MARK_KEYWORD)) {
                    p->is_heading = true;
                    p->heading = run_whole ? run : rest;
                } else {
                    p->heading = run;
                }
                p->body = p->is_heading ? b->span.end : run.end > run.start ? run.end : body;
                if (!p->is_heading && run.end > run.start) {
                    while (p->body < b->span.end && (t[p->body] == '.' || t[p->body] == ':' || t[p->body] == ' '))
                        p->body++;
                    if (p->body < b->span.end && (uint8_t)t[p->body] == 0xE2) p->body += 3;
                    while (p->body < b->span.end && t[p->body] == ' ') p->body++;
                }
                if ((rc = open_section(s, st, depth, p, e))) goto done;
                continue;
            }
            p->mark = (struct mark){0};
        }
        if (bullet && !marked) {
            p->mark = m;
            p->body = body;
            continue;
        }
        if (item && !numbered &&
            b->number.end > b->number.start) { /* a number the patterns do not know: the reader saw it */
            p->mark = (struct mark){.style = MARK_BULLET, .span = b->number, .shown = b->number};
            p->body = b->number.end;
            while (p->body < b->span.end && t[p->body] == ' ') p->body++;
            continue;
        }
        /* headings without a number */
        bool heading = marked;
        bool bars = t[b->span.start] == '[' || t[b->span.start] == '*' ||
                    memmem(t + b->span.start, b->span.end - b->span.start, " | ", 3) !=
                        NULL; /* a row of a table in plain text */
        if (!bars && !heading && !item && !pre && b->kind == INGEST_BLOCK_PARAGRAPH && short_line && !l.ends_open &&
            l.n_words > 0) {
            const struct piece *next = i + 1 < s->n_pieces ? &s->pieces[i + 1] : NULL;
            bool quoted =
                t[rest.start] == '"' || memcmp(t + rest.start, "\xe2\x80\x9c", rest.end - rest.start >= 3 ? 3 : 1) == 0;
            bool goes_on =
                quoted ||
                (next && lower_start(t, next->block.span)); /* a term on a line of its own: "PBGC" / shall mean */
            bool above_text =
                i == 0 || (next && next->block.span.end - next->block.span.start > 80); /* or the first line */
            if (caps && !goes_on && !l.ends_stop && l.n_words <= 14 && l.n_letters >= 4)
                heading = true;
            else if ((b->flags & (INGEST_BLOCK_BOLD | INGEST_BLOCK_CENTERED)) && !l.ends_stop && l.n_words <= 14 &&
                     !l.modal)
                heading = true;
            else if (above_text && title_case(&l) && !l.dangling && !goes_on && !l.ends_stop && !l.modal &&
                     l.n_words <= 8 && !l.digit && rest.end - rest.start <= 60 && t[rest.start] >= 'A' &&
                     t[rest.start] <= 'Z')
                heading = true;
        }
        if (!heading) continue;
        p->is_heading = true;
        p->heading = b->span;
        p->body = b->span.end;
        /* a schedule's or article's title on the line below its number joins that section */
        if (i > 0 && s->pieces[i - 1].is_heading && s->pieces[i - 1].opens && span_empty(s->pieces[i - 1].heading) &&
            st->n > 1) {
            s->sections[s->pieces[i - 1].section].heading = b->span;
            p->section = s->pieces[i - 1].section;
            continue;
        }
        if (!titled && s->n_sections == 1 && !(marked && b->level > 1)) { /* the first heading is the document's own */
            titled = true;
            s->sections[0].heading = b->span;
            p->section = 0;
            continue;
        }
        size_t depth = 1;
        if (marked && b->level) {
            depth = st->n;
            while (depth > 1 && !(st->items[depth - 1].heading_level && st->items[depth - 1].heading_level < b->level))
                depth--;
        } else {
            /* below an exhibit or an article, beside clauses: numbering goes on behind it */
            while (depth < st->n &&
                   (st->items[depth].style == MARK_KEYWORD && keyword_is_outer(st->items[depth].keyword)))
                depth++;
            while (depth < st->n && st->items[depth].heading_level) depth++;
        }
        if ((rc = open_section(s, st, depth, p, e))) goto done;
    }
    close_to(s, st, 1, (uint32_t)d->text.len);
done:
    free(st);
    mark_reader_close(&mm);
    return rc;
}
