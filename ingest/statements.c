/* statements.c: pieces of text -> statements: sentences, list items with their lead-in, table rows with their header,
 * headings. Step 6 of the reader's path.
 *
 * Statements are ascending, disjoint ranges that lose nothing but white space. A statement is the smallest piece that
 * is ever shown, so a cut never parts a negation, an exception or a condition from its clause:
 *   - a sentence ends at . ! ? only where the next word can begin one; abbreviations, initials, decimals and clause
 * numbers end none;
 *   - a paragraph that begins in lower case goes on with the statement before it ("provided that ..." behind a list);
 *   - an inline list "(a) ...; (b) ..." is cut into items only in long sentences, and not where its tail has a
 * condition;
 *   - an item of a list inside a list has its lead-in from the outermost one on, as long as that stays short; else it
 * stays in its parent.
 */
#include "ingest/structure.h"

#include <stdlib.h>
#include <string.h>

/* ---- limits ---- */
enum {
    LISTS_DEEP = 8,
    LEAD_IN_BYTES = 900,     /* a nested lead-in that would be longer keeps its items whole */
    INLINE_LIST_BYTES = 420, /* shorter sentences with an inline list stay whole */
    INLINE_ITEMS = 40,
    JOINED_BYTES = 1500, /* paragraphs joined at a comma */
    PAREN_BYTES = 600    /* a parenthesis open for longer is taken for a stray one */
};

/* An open list: how its items are numbered and what introduces them. */
struct list {
    enum mark_style style;
    bool paren;
    uint32_t level; /* of marked list items */
    struct ingest_span lead_in;
};

struct cutter {
    struct structure *s;
    struct list lists[LISTS_DEEP];
    size_t n_lists;
    size_t last; /* statement that a list may hang on: index + 1; 0 = none */
};

static uint32_t page_of(const struct ingest_document *d, uint32_t at, uint32_t from) {
    while (from + 1 < d->n_pages && d->pages[from + 1].span.start <= at) from++;
    return from;
}

static int add(struct structure *s, uint32_t start, uint32_t end, struct ingest_span lead_in, uint32_t section,
               enum ingest_statement_kind kind, uint32_t table, struct error *e) {
    const char *t = s->d->text.data;
    while (start < end && (t[start] == ' ' || t[start] == '\n' || t[start] == '\t')) start++;
    while (end > start && (t[end - 1] == ' ' || t[end - 1] == '\n' || t[end - 1] == '\t')) end--;
    if (start >= end) return 0;
    if (array_grow((void **)&s->statements, &s->cap_statements, s->n_statements + 1, sizeof *s->statements, e))
        return ERR_NOMEM;
    uint32_t page = s->n_statements ? s->statements[s->n_statements - 1].page : 0;
    if (lead_in.start >= lead_in.end) lead_in = (struct ingest_span){start, start};
    s->statements[s->n_statements++] = (struct ingest_statement){.span = {start, end},
                                                                 .lead_in = lead_in,
                                                                 .section = section,
                                                                 .page = page_of(s->d, start, page),
                                                                 .kind = kind,
                                                                 .table = table};
    return 0;
}

/* ---- where a sentence ends ---- */
/* Words that begin sentences often: after an abbreviation that may or may not end one they decide. */
static bool starter(const struct lex *x, size_t i) {
    return i < x->n && (x->tokens[i].flags & LEX_CAPITAL) &&
           ((x->tokens[i].classes & (LEX_C_DETERMINER | LEX_C_PRONOUN | LEX_C_CONDITION | LEX_C_CONJUNCTION |
                                     LEX_C_PREPOSITION | LEX_C_ADVERB)) ||
            lex_in(x, i, "there here what when where how why please note see such provided upon"));
}

static bool closes(const struct lex *x, size_t i) {
    return lex_quote(x, i) || lex_mark(x, i, ')') || lex_mark(x, i, ']') || lex_mark(x, i, '\'') ||
           lex_in(x, i, "’ * _ **");
}

/* Token i is . ! or ?: does a sentence end with it? *last = the last token that still belongs to it (closing quotes and
 * brackets). */
static bool ends_sentence(const struct lex *x, size_t first, size_t i, size_t *last) {
    size_t j = i;
    while (j + 1 < x->n && (closes(x, j + 1) || lex_in(x, j + 1, ". ! ?")) && !(x->tokens[j + 1].flags & LEX_SPACE))
        j++;
    /* the mark of a note belongs to the sentence: "taxonomists.[5] Some" */
    if (lex_mark(x, j + 1, '[') && !(x->tokens[j + 1].flags & LEX_SPACE))
        for (size_t k = j + 2; k < x->n && k < j + 5; k++)
            if (lex_mark(x, k, ']')) {
                j = k;
                break;
            }
    *last = j;
    if (j + 1 >= x->n) return true;
    if (!(x->tokens[j + 1].flags & LEX_SPACE)) return false; /* "a.b", "4.2", "file.txt" */
    size_t next = j + 1;
    while (next < x->n &&
           (lex_quote(x, next) || lex_mark(x, next, '(') || lex_mark(x, next, '[') || lex_in(x, next, "‘ * _ # §")))
        next++;
    if (next >= x->n) return true;
    const struct lex_token *n = &x->tokens[next];
    bool capital = (n->flags & LEX_CAPITAL) || n->kind == LEX_NUMBER || n->kind == LEX_CODE ||
                   ((uint8_t)x->text[n->start] >= 0xC3 && n->kind == LEX_WORD);
    if (n->kind == LEX_MARK && !lex_dash(x, next) && !lex_has(x, next, LEX_C_CURRENCY) &&
        !lex_in(x, next, "• ● ▪ – — … § ¶"))
        return false;
    if (n->kind == LEX_WORD && !capital) return false;
    if (!lex_mark(x, i, '.')) return true; /* ! ? before a capital */
    if (i == first) return false;
    const struct lex_token *w = &x->tokens[i - 1];
    if (w->flags & LEX_SPACE && w->kind == LEX_MARK) return true;
    if (w->kind == LEX_WORD) {
        if (w->len == 1 && !(w->flags & LEX_CAPITAL) && n->kind == LEX_NUMBER) return false; /* "p. 12" */
        if (w->len == 1 && (w->flags & LEX_CAPITAL)) { /* an initial; but "Exhibit B. The", "Annex A. This" */
            if (i >= 2 && lex_has(x, i - 2, LEX_C_REFERENCE)) return starter(x, next);
            return lex_is(x, i - 1, "i") && starter(x, next);
        }
        if (lex_is(x, i - 1, "no") || lex_is(x, i - 1, "nos"))
            return n->kind != LEX_NUMBER && n->kind != LEX_CODE && starter(x, next);
        if (lex_is(x, i - 1, "may") || lex_is(x, i - 1, "max") || lex_is(x, i - 1, "min") || lex_is(x, i - 1, "app"))
            return n->kind == LEX_WORD;
        if (w->classes & LEX_C_ABBREVIATION) {
            if (n->kind == LEX_NUMBER || n->kind == LEX_CODE) {
                return lex_has(x, i - 1, LEX_C_COMPANY) || lex_in(x, i - 1, "etc est st");
            }
            if (lex_in(x, i - 1, "mr mrs ms dr prof hon gov gen capt col lt sgt rev messrs vs v cf")) return false;
            return starter(x, next);
        }
    }
    if (w->kind == LEX_NUMBER && i == first + 1) return false; /* a number alone is a mark */
    return true;
}

/* Abbreviations with inner stops carry their last stop: "U.S." may end a sentence, "e.g." never does. */
static bool abbreviation_ends(const struct lex *x, size_t i) {
    if (!(x->tokens[i].flags & LEX_ABBREV) || x->text[x->tokens[i].end - 1] != '.') return false;
    if (lex_in(x, i, "e.g. i.e. cf. a.k.a. d.b.a. f.k.a. n.b.")) return false;
    if (i + 1 >= x->n || !(x->tokens[i + 1].flags & LEX_SPACE)) return i + 1 >= x->n;
    if (lex_quote(x, i + 1)) return false;
    return starter(x, i + 1) && !lex_in(x, i + 1, "and or of for in");
}

/* ---- inline lists ---- */
struct inline_item {
    size_t token;   /* its "(" */
    uint32_t start; /* byte of the mark */
};

static uint32_t marker_ordinal(const struct lex *x, size_t i, bool roman) {
    static const char *const romans[] = {"i",  "ii", "iii", "iv",  "v",    "vi",  "vii", "viii",
                                         "ix", "x",  "xi",  "xii", "xiii", "xiv", "xv",  "xvi"};
    if (i >= x->n) return 0;
    const struct lex_token *t = &x->tokens[i];
    if (roman) {
        for (uint32_t r = 0; r < sizeof romans / sizeof *romans; r++)
            if (lex_is(x, i, romans[r])) return r + 1;
        return 0;
    }
    if (t->kind == LEX_NUMBER && !(t->flags & LEX_DECIMAL) && t->value > 0 && t->value < 60) return (uint32_t)t->value;
    char c = x->low[t->low];
    return t->kind == LEX_WORD && t->len == 1 && c >= 'a' && c <= 'z' ? (uint32_t)(c - 'a') + 1 : 0;
}

/* Finds "(a) ... (b) ... (c)" in tokens [first, end): markers in sequence, each after white space. Returns how many. */
static size_t inline_items(const struct lex *x, size_t first, size_t end, struct inline_item *out) {
    size_t n = 0;
    bool roman = false, digit = false;
    uint32_t want = 1;
    for (size_t i = first; i + 2 < end && n < INLINE_ITEMS; i++) {
        if (!lex_mark(x, i, '(') || !lex_mark(x, i + 2, ')') || !(x->tokens[i].flags & LEX_SPACE) ||
            (x->tokens[i + 2].flags & LEX_SPACE))
            continue;
        if (i + 3 >= end || !(x->tokens[i + 3].flags & LEX_SPACE)) continue;
        /* "clause (a)" is a reference, no item */
        if (i > first && (lex_has(x, i - 1, LEX_C_REFERENCE) || lex_in(x, i - 1, "clauses (") ||
                          x->tokens[i - 1].kind == LEX_NUMBER))
            continue;
        if (n == 0) {
            roman = lex_is(x, i + 1, "i");
            digit = x->tokens[i + 1].kind == LEX_NUMBER;
            if (!roman && !digit && !lex_is(x, i + 1, "a")) continue;
            if (digit && i > first && (x->tokens[i - 1].classes & (LEX_C_NUMBER | LEX_C_SCALE))) continue;
            if (marker_ordinal(x, i + 1, roman) != 1) continue;
        } else {
            if (digit != (x->tokens[i + 1].kind == LEX_NUMBER) || marker_ordinal(x, i + 1, roman) != want) continue;
            /* items are parted by marks or "and", "or" */
            if (!(lex_mark(x, i - 1, ';') || lex_mark(x, i - 1, ',') || lex_in(x, i - 1, "and or and/or"))) continue;
        }
        out[n++] = (struct inline_item){i, x->tokens[i].start};
        want++;
    }
    return n;
}

static bool condition_word(const struct lex *x, size_t i) {
    return lex_in(x, i, "except unless notwithstanding provided if but however excluding") ||
           lex_phrase(x, i, "subject to") || lex_phrase(x, i, "other than");
}

/* A sentence, or its inline list. */
static int add_sentence(struct cutter *c, size_t first, size_t last, struct ingest_span lead_in, uint32_t section,
                        enum ingest_statement_kind kind, uint32_t from, struct error *e) {
    struct structure *s = c->s;
    const struct lex *x = &s->lex;
    uint32_t start = from < x->tokens[first].start ? from : x->tokens[first].start, end = x->tokens[last].end;
    struct inline_item items[INLINE_ITEMS];
    if (end - start > INLINE_LIST_BYTES) {
        size_t n = inline_items(x, first, last + 1, items);
        bool cut = n >= 2 && n < INLINE_ITEMS && items[0].token > first;
        /* a condition in the last item may speak of all of them: cut only where the sentence would be far too long to
         * show */
        if (cut)
            for (size_t i = items[n - 1].token; i <= last && cut; i++)
                if ((lex_mark(x, i, ',') || lex_mark(x, i, ';')) && condition_word(x, i + 1)) cut = false;
        if (cut && items[0].start - start > LEAD_IN_BYTES) cut = false;
        if (cut && !span_empty(lead_in) && items[0].start - lead_in.start > LEAD_IN_BYTES) cut = false;
        if (cut) {
            struct ingest_span own = {span_empty(lead_in) ? start : lead_in.start, items[0].start};
            const char *t = s->d->text.data;
            while (own.end > own.start && t[own.end - 1] == ' ') own.end--;
            if (add(s, start, items[0].start, lead_in, section, kind, INGEST_NONE, e)) return ERR_NOMEM;
            for (size_t i = 0; i < n; i++)
                if (add(s, items[i].start, i + 1 < n ? items[i + 1].start : end, own, section, INGEST_LIST_ITEM,
                        INGEST_NONE, e))
                    return ERR_NOMEM;
            return 0;
        }
    }
    return add(s, start, end, lead_in, section, kind, INGEST_NONE, e);
}

/* Cuts tokens of one piece into sentences. `from`: byte where the first one begins (its mark). The first takes lead_in
 * and kind. */
static int cut_sentences(struct cutter *c, const struct piece *p, uint32_t from, struct ingest_span lead_in,
                         enum ingest_statement_kind kind, struct error *e) {
    struct structure *s = c->s;
    struct lex *x = &s->lex;
    lex_clear(x);
    if (lex_append(x, s->d->text.data, p->body, p->block.span.end, e)) return ERR_NOMEM;
    if (x->n == 0) return add(s, from, p->block.span.end, lead_in, p->section, kind, INGEST_NONE, e);
    size_t first = 0, open_at = 0;
    int depth = 0;
    for (size_t i = 0; i < x->n; i++) {
        if (lex_mark(x, i, '(')) {
            if (depth++ == 0) open_at = i;
        } else if (lex_mark(x, i, ')')) {
            if (depth > 0) depth--;
        }
        if (depth > 0 && x->tokens[i].end - x->tokens[open_at].start > PAREN_BYTES) depth = 0;
        size_t last = i;
        bool stop = lex_mark(x, i, '.') || lex_mark(x, i, '!') || lex_mark(x, i, '?');
        bool end = stop ? ends_sentence(x, first, i, &last) : abbreviation_ends(x, i);
        if (!end) continue;
        if (depth > 0) { /* inside parentheses only if they close right here */
            bool closed = false;
            for (size_t k = i; k <= last; k++) closed |= lex_mark(x, k, ')');
            if (!closed && i + 1 < x->n) continue;
            depth = 0;
        }
        if (add_sentence(c, first, last, lead_in, p->section, kind, from, e)) return ERR_NOMEM;
        i = last;
        first = last + 1;
        if (first < x->n) from = x->tokens[first].start;
        lead_in = (struct ingest_span){0, 0};
        kind = INGEST_SENTENCE;
    }
    if (first < x->n && add_sentence(c, first, x->n - 1, lead_in, p->section, kind, from, e)) return ERR_NOMEM;
    return 0;
}

/* ---- lists ---- */
static char last_char(const struct structure *s, struct ingest_span span) {
    uint32_t end = span.end;
    const char *t = s->d->text.data;
    if (end - span.start >= 3 &&
        (memcmp(t + end - 3, "\xe2\x80\x94", 3) == 0 || memcmp(t + end - 3, "\xe2\x80\x93", 3) == 0))
        return '-';
    return end > span.start ? t[end - 1] : 0;
}

/* "The parties agree as follows:" introduces a whole contract, not a list. */
static bool opens_contract(const struct structure *s, struct ingest_span span) {
    struct slice t = structure_text(s, span);
    static const char *const ends[] = {
        "agree as follows:", "follows:", "agree:", "agree that:", "witnesseth:", "witnesseth that:", "recitals:"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i]);
        if (t.len >= n && strncasecmp(t.data + t.len - n, ends[i], n) == 0) {
            if (i != 1) return true;
            for (size_t k = 0; k + 5 <= t.len; k++)
                if (strncasecmp(t.data + k, "agree", 5) == 0 ||
                    strncasecmp(t.data + k, "resolved", 8 <= t.len - k ? 8 : t.len - k) == 0)
                    return true;
        }
    }
    return false;
}

static bool is_item(const struct piece *p) {
    return (p->block.kind == INGEST_BLOCK_LIST_ITEM || p->mark.style != MARK_NONE) && !p->is_heading &&
           p->block.kind != INGEST_BLOCK_CELL;
}

/* The lead-in of an item: finds or opens its list. */
static struct ingest_span lead_in_of(struct cutter *c, const struct piece *p) {
    struct structure *s = c->s;
    struct ingest_span none = {0, 0};
    bool marked = p->block.kind == INGEST_BLOCK_LIST_ITEM;
    enum mark_style style = p->mark.style;
    for (size_t i = c->n_lists; i-- > 0;) {
        const struct list *l = &c->lists[i];
        bool same = marked && l->level ? l->level == p->block.level
                                       : l->style == style && l->paren == p->mark.paren && !l->level;
        /* a first number opens a list of its own below an unfinished item */
        if (same && i + 1 == c->n_lists && !marked && p->mark.ordinal == 1 && style != MARK_BULLET && c->last) {
            char end = last_char(s, s->statements[c->last - 1].span);
            if (end == ':' || end == '-') same = false;
        }
        if (same) {
            c->n_lists = i + 1;
            return c->lists[i].lead_in;
        }
    }
    /* a new list: it hangs on the statement before, if that is unfinished; else it has no lead-in, but siblings know it
     */
    struct ingest_span lead = none;
    if (c->last) {
        const struct ingest_statement *above = &s->statements[c->last - 1];
        char end = last_char(s, above->span);
        bool first = style == MARK_BULLET || p->mark.ordinal <= 1;
        bool unfinished = end == ':' || end == '-' || (first && ((end >= 'a' && end <= 'z') || end == ','));
        if (above->kind == INGEST_HEADING) unfinished = end == ':';
        if (above->kind != INGEST_TABLE_ROW && unfinished && !opens_contract(s, above->span)) {
            lead = above->span;
            if (!span_empty(above->lead_in)) lead.start = above->lead_in.start;
            if (lead.end - lead.start > 2 * LEAD_IN_BYTES) lead = none;
        }
    }
    /* marked lists: an item deeper than the list it hangs on */
    while (marked && c->n_lists && c->lists[c->n_lists - 1].level >= p->block.level) c->n_lists--;
    if (c->n_lists < LISTS_DEEP)
        c->lists[c->n_lists++] = (struct list){
            .style = style, .paren = p->mark.paren, .level = marked ? p->block.level : 0, .lead_in = lead};
    return lead;
}

/* Is the block a continuation of the statement before it? */
static bool continues(const struct cutter *c, const struct piece *p) {
    const struct structure *s = c->s;
    if (!s->n_statements || p->is_heading || p->opens || p->mark.style != MARK_NONE ||
        p->block.kind == INGEST_BLOCK_LIST_ITEM)
        return false;
    if (p->block.kind != INGEST_BLOCK_PARAGRAPH && p->block.kind != INGEST_BLOCK_PRE) return false;
    const struct ingest_statement *last = &s->statements[s->n_statements - 1];
    if (last->kind == INGEST_TABLE_ROW || last->kind == INGEST_HEADING) return false;
    const char *t = s->d->text.data;
    if (p->block.span.start - last->span.end > 4) return false; /* something lies between */
    char first = t[p->block.span.start], end = last_char(s, last->span);
    if (p->block.kind == INGEST_BLOCK_PRE) return false;
    /* "dated November 13," above "2007.": a comma ends no paragraph */
    if (end == ',' && last->kind == INGEST_SENTENCE &&
        last->span.end - last->span.start + p->block.span.end - p->block.span.start < JOINED_BYTES)
        return true;
    /* "more than fifty percent" above "(50%) of": a long line without an end goes on in parentheses or figures */
    if ((first == '(' || (first >= '0' && first <= '9')) && p->block.span.end - p->block.span.start > 12 &&
        end >= 'a' && end <= 'z' && last->span.end - last->span.start > 60)
        return true;
    if (!(first >= 'a' && first <= 'z')) return false;
    if (end == '.' || end == '!' || end == '?' || end == ':') {
        static const char *const tails[] = {"provided",   "except",          "unless", "but ",
                                            "subject to", "notwithstanding", "however"};
        for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
            if (slice_starts_with(structure_text(s, p->block.span), slice_of(tails[i]))) return end != ':';
        return false;
    }
    return true;
}

/* ---- tables ---- */

/* A cell that is a value: it begins with a figure, maybe behind a sign or a currency; a year is a name ("2021"), "Model
 * 4" too. */
static bool is_value(struct slice t) {
    size_t i = 0;
    if (t.len > 4 && t.data[0] >= 'A' && t.data[0] <= 'Z' && t.data[1] >= 'A' && t.data[1] <= 'Z' && t.data[2] >= 'A' &&
        t.data[2] <= 'Z' && t.data[3] == ' ')
        i = 4; /* "EUR 45" */
    while (i < t.len && (strchr("$(+-<>~ .=", t.data[i]) || (uint8_t)t.data[i] >= 0x80)) i++;
    if (i >= t.len || t.data[i] < '0' || t.data[i] > '9') return false;
    size_t digits = 0;
    while (i + digits < t.len && t.data[i + digits] >= '0' && t.data[i + digits] <= '9') digits++;
    return !(
        i == 0 && digits == 4 &&
        (t.len == 4 || t.data[4] == '-' || t.data[4] == '/' || (uint8_t)t.data[4] == 0xE2)); /* "2022", "2022-2021" */
}

/* Values behind the first column of a row in bars. */
static bool bars_have_value(struct slice t) {
    size_t start = 0;
    bool first = true;
    for (size_t i = 0; i <= t.len; i++) {
        if (i < t.len && t.data[i] != '|') continue;
        struct slice cell = slice_trim((struct slice){t.data + start, i - start});
        if (cell.len && !first && is_value(cell)) return true;
        if (cell.len) first = false;
        start = i + 1;
    }
    return false;
}

/* Pieces [i, end) are the cells of one table. */
static int cut_table(struct cutter *c, size_t i, size_t end, struct error *e) {
    struct structure *s = c->s;
    uint32_t table = s->pieces[i].block.table;
    struct ingest_span header = {0, 0};
    /* header rows by mark; else the first row when it has no values and a later row has */
    size_t row_end = i, header_end = i;
    bool marked = false;
    while (row_end < end) {
        size_t r = row_end;
        bool all = true, any = false;
        while (row_end < end && s->pieces[row_end].block.row == s->pieces[r].block.row) {
            const struct ingest_block *b = &s->pieces[row_end++].block;
            if (span_empty(b->span)) continue;
            any = true;
            if (!(b->flags & INGEST_BLOCK_HEADER)) all = false;
        }
        if (!(any && all)) break;
        header_end = row_end;
        marked = true;
    }
    if (marked && header_end == end) header_end = i; /* nothing but headers: rows like any other */
    if (!marked) {
        size_t r = i, filled = 0;
        bool value = false, later = false;
        while (r < end && s->pieces[r].block.row == s->pieces[i].block.row) {
            struct slice t = structure_text(s, s->pieces[r].block.span);
            if (t.len) filled++, value |= filled > 1 && is_value(t);
            r++;
        }
        for (size_t k = r; k < end && !later; k++)
            later = s->pieces[k].block.column > 0 && is_value(structure_text(s, s->pieces[k].block.span));
        if (filled >= 2 && later && !value) header_end = r;
    }
    if (header_end > i) {
        header.start = s->pieces[i].block.span.start;
        header.end = header.start;
        for (size_t k = i; k < header_end; k++)
            if (s->pieces[k].block.span.end > header.end) header.end = s->pieces[k].block.span.end;
    }
    for (size_t r = i; r < end;) {
        size_t k = r;
        uint32_t start = UINT32_MAX, stop = 0;
        while (k < end && s->pieces[k].block.row == s->pieces[r].block.row) {
            struct ingest_span sp = s->pieces[k].block.span;
            if (!span_empty(sp)) {
                if (sp.start < start) start = sp.start;
                if (sp.end > stop) stop = sp.end;
            }
            k++;
        }
        if (start < stop) {
            struct ingest_span lead = r >= header_end ? header : (struct ingest_span){0, 0};
            if (add(s, start, stop, lead, s->pieces[r].section, INGEST_TABLE_ROW, table, e)) return ERR_NOMEM;
        }
        r = k;
    }
    return 0;
}

/* A table in plain text: "a | b | c" on a line of its own. */
static bool is_bar_row(const struct structure *s, const struct piece *p) {
    if (p->block.kind != INGEST_BLOCK_PARAGRAPH && p->block.kind != INGEST_BLOCK_PRE) return false;
    struct slice t = structure_text(s, p->block.span);
    size_t bars = 0;
    for (size_t i = 0; i + 1 < t.len; i++)
        bars += t.data[i] == '|' && (t.data[i + 1] == ' ' || i + 2 >= t.len) && (i == 0 || t.data[i - 1] == ' ');
    return bars >= 1 && t.len < 2000;
}

static int cut_bar_table(struct cutter *c, size_t i, size_t end, uint32_t table, struct error *e) {
    struct structure *s = c->s;
    bool later = false;
    for (size_t k = i + 1; k < end && !later; k++) later = bars_have_value(structure_text(s, s->pieces[k].block.span));
    bool header = later && !bars_have_value(structure_text(s, s->pieces[i].block.span));
    for (size_t k = i; k < end; k++) {
        struct ingest_span sp = s->pieces[k].block.span;
        if (add(s, sp.start, sp.end, header && k > i ? s->pieces[i].block.span : (struct ingest_span){0, 0},
                s->pieces[k].section, INGEST_TABLE_ROW, table, e))
            return ERR_NOMEM;
    }
    return 0;
}

int statements_build(struct structure *s, struct error *e) {
    struct cutter c = {.s = s};
    uint32_t next_table = 0;
    for (size_t i = 0; i < s->d->n_blocks; i++)
        if (s->d->blocks[i].kind == INGEST_BLOCK_CELL && s->d->blocks[i].table != INGEST_NONE &&
            s->d->blocks[i].table >= next_table)
            next_table = s->d->blocks[i].table + 1;
    for (size_t i = 0; i < s->n_pieces; i++) {
        struct piece *p = &s->pieces[i];
        if (p->block.kind == INGEST_BLOCK_CELL) {
            size_t end = i;
            while (end < s->n_pieces && s->pieces[end].block.kind == INGEST_BLOCK_CELL &&
                   s->pieces[end].block.table == p->block.table)
                end++;
            if (cut_table(&c, i, end, e)) return ERR_NOMEM;
            i = end - 1;
            c.n_lists = 0, c.last = 0;
            continue;
        }
        if (!p->is_heading && p->mark.style == MARK_NONE && is_bar_row(s, p)) {
            size_t end = i;
            while (end < s->n_pieces && is_bar_row(s, &s->pieces[end]) && !s->pieces[end].is_heading) end++;
            if (cut_bar_table(&c, i, end, next_table++, e)) return ERR_NOMEM;
            i = end - 1;
            c.n_lists = 0, c.last = 0;
            continue;
        }
        struct ingest_span none = {0, 0};
        if (p->is_heading) {
            if (add(s, p->block.span.start, p->block.span.end, none, p->section, INGEST_HEADING, INGEST_NONE, e))
                return ERR_NOMEM;
            c.n_lists = 0;
            c.last = s->n_statements;
            continue;
        }
        if (continues(&c, p)) {
            struct ingest_statement *last = &s->statements[s->n_statements - 1];
            size_t before = s->n_statements;
            uint32_t start = last->span.start;
            /* its first sentence goes on with the statement before; the rest are sentences of their own */
            if (cut_sentences(&c, p, p->block.span.start, none, INGEST_SENTENCE, e)) return ERR_NOMEM;
            if (s->n_statements > before) {
                s->statements[before - 1].span = (struct ingest_span){start, s->statements[before].span.end};
                memmove(&s->statements[before], &s->statements[before + 1],
                        (s->n_statements - before - 1) * sizeof *s->statements);
                s->n_statements--;
                for (size_t k = before; k < s->n_statements; k++) /* items of its inline list hang on the whole */
                    if (!span_empty(s->statements[k].lead_in) && s->statements[k].lead_in.start == p->block.span.start)
                        s->statements[k].lead_in.start = start;
            }
            c.last = s->n_statements;
            continue;
        }
        uint32_t from = p->block.span.start;
        if (!span_empty(p->heading)) { /* number and run-in heading are a heading of their own */
            if (add(s, from, p->body, none, p->section, INGEST_HEADING, INGEST_NONE, e)) return ERR_NOMEM;
            from = p->body;
            c.n_lists = 0;
        }
        bool item = is_item(p) && span_empty(p->heading);
        struct ingest_span lead = none;
        if (item) {
            if (p->block.kind == INGEST_BLOCK_LIST_ITEM && p->mark.style == MARK_NONE && c.last &&
                s->statements[c.last - 1].kind == INGEST_LIST_ITEM)
                item = false; /* a further paragraph of an item */
            else
                lead = lead_in_of(&c, p);
        } else {
            c.n_lists = 0;
        }
        if (cut_sentences(&c, p, from, lead, item ? INGEST_LIST_ITEM : INGEST_SENTENCE, e)) return ERR_NOMEM;
        c.last = s->n_statements;
    }
    return 0;
}
