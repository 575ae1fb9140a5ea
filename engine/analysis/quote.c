/* quote.c: what is shown of a document and where it stands. Owns the widening to the whole statement, the check word
 * for word, the other places of the same words, the change from byte to character offsets; refuses to show words that
 * are not in the text.
 *
 * A citation's `quote` is all that is shown: a list item behind its lead-in and a space, a table row behind its header
 * and a line end. `start` and `end` are the characters (code points) of the statement itself in the document's text;
 * `marks` are the words inside it that answer.
 */
#include "engine/analysis/inside.h"

#include <stdlib.h>
#include <string.h>

enum { SAME_MIN_BYTES = 16 /* shorter statements ("N/A", "None.") stand everywhere and say nothing */, SAME_MAX = 64 };

struct ingest_statement *place_statement(const struct corpus *c, const struct place *p) {
    return &c->docs[p->doc].doc->statements[p->statement];
}

bool place_has_lead_in(const struct corpus *c, const struct place *p) {
    const struct ingest_statement *st = place_statement(c, p);
    /* A lead-in that the span already holds is not said twice. */
    return st->lead_in.end > st->lead_in.start &&
           !(st->lead_in.start >= st->span.start && st->lead_in.end <= st->span.end);
}

struct slice place_text(const struct corpus *c, const struct place *p, struct arena *a) {
    const struct ingest_document *d = c->docs[p->doc].doc;
    const struct ingest_statement *st = place_statement(c, p);
    struct slice body = ingest_text(d, st->span);
    if (!place_has_lead_in(c, p)) return body;
    struct slice lead = slice_trim(ingest_text(d, st->lead_in));
    /* A table's header stands on a line of its own above its row. */
    const char *between = st->kind == INGEST_TABLE_ROW ? "\n" : " ";
    return arena_slice_printf(a, "%.*s%s%.*s", (int)lead.len, lead.data, between, (int)body.len, body.data);
}

static bool span_inside(const struct ingest_document *d, struct ingest_span s) {
    return s.start < s.end && s.end <= d->text.len && ((unsigned char)d->text.data[s.start] & 0xC0) != 0x80 &&
           (s.end == d->text.len || ((unsigned char)d->text.data[s.end] & 0xC0) != 0x80);
}

bool place_verify(const struct corpus *c, const struct place *p) {
    const struct corpus_document *d = &c->docs[p->doc];
    if (p->statement >= d->doc->n_statements) return false;
    const struct ingest_statement *st = &d->doc->statements[p->statement];
    if (!span_inside(d->doc, st->span)) return false;
    if (place_has_lead_in(c, p) && !span_inside(d->doc, st->lead_in)) return false;
    return utf8_valid(d->doc->text.data + st->span.start, st->span.end - st->span.start);
}

/* ---- positions for people ---- */
uint64_t text_characters(const struct ingest_document *d, uint32_t offset) {
    return utf8_count(d->text.data, offset < d->text.len ? offset : d->text.len);
}

uint32_t text_page_number(const struct ingest_document *d, uint32_t offset) {
    uint32_t p = d->n_pages ? ingest_page_at(d, offset) : 0;
    return p == INGEST_NONE ? 1 : p + 1;
}

struct slice text_page_label(const struct ingest_document *d, uint32_t offset) {
    uint32_t p = text_page_number(d, offset) - 1;
    return p < d->n_pages ? d->pages[p].label : (struct slice){0};
}

struct slice statement_section(const struct ingest_document *d, uint32_t statement, struct arena *a) {
    uint32_t s = d->statements[statement].section;
    if (s == INGEST_NONE || s >= d->n_sections || s == 0) return (struct slice){0};
    const struct ingest_section *sec = &d->sections[s];
    struct slice heading = slice_trim(ingest_text(d, sec->heading));
    if (!sec->path.len || !heading.len) return heading.len ? heading : sec->path;
    /* without a number the path ends with the heading already (or its beginning, where it is long) */
    struct slice before = sec->path;
    if (!sec->number.len) {
        before = sec->parent < d->n_sections ? d->sections[sec->parent].path : (struct slice){0};
        if (!before.len || !slice_starts_with(sec->path, before)) return heading;
    }
    return arena_slice_printf(a, sec->number.len ? "%.*s %.*s" : "%.*s > %.*s", (int)before.len, before.data,
                              (int)heading.len, heading.data);
}

/* ---- the same words elsewhere ---- */
struct found {
    struct span_place at;
    int32_t date;
    int64_t entry;
};

static int newest_first(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    if (x->date != y->date) return x->date > y->date ? -1 : 1;
    if (x->entry != y->entry) return x->entry > y->entry ? -1 : 1;
    return (x->at.span.start > y->at.span.start) - (x->at.span.start < y->at.span.start);
}

static bool word_byte(unsigned char ch) {
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch >= 0x80;
}

/* Bytes of a printed number, letter or bullet before the words: "4.1 ", "(a) ", "b) ", "• ". The same words may be
 * numbered otherwise, or not at all, elsewhere. */
static size_t numbering(struct slice t) {
    size_t i = 0, n = 0;
    bool mark = false, open = t.len && t.data[0] == '(';
    if (open) i++;
    while (i < t.len && n < 8 && ((t.data[i] >= '0' && t.data[i] <= '9') || t.data[i] == '.')) i++, n++;
    mark = n > 0;
    if (!n) {
        while (i < t.len && n < 5 && ((t.data[i] >= 'a' && t.data[i] <= 'z') || (t.data[i] >= 'A' && t.data[i] <= 'Z')))
            i++, n++;
        mark = open && n && i < t.len && t.data[i] == ')';
        mark = mark || (!open && n == 1 && i < t.len && (t.data[i] == ')' || t.data[i] == '.'));
    }
    if (n && i < t.len && (t.data[i] == ')' || t.data[i] == '.')) i++;
    if (!n && !open) {
        uint32_t cp = 0;
        int k = t.len ? utf8_decode(t.data, t.len, &cp) : 0;
        mark = k > 0 && (cp == 0x2022 || cp == 0x2013 || cp == 0x25AA || cp == 0x25CF || cp == '-' || cp == '*');
        i = mark ? (size_t)k : 0;
    }
    size_t words = i;
    while (i < t.len && (t.data[i] == ' ' || t.data[i] == '\n' || t.data[i] == '\t')) i++;
    return mark && i > words ? i : 0;
}

int places_same(const struct corpus *c, const struct place *p, struct arena *a, struct span_place **out, size_t *n,
                struct error *e) {
    *out = NULL;
    *n = 0;
    const struct ingest_document *d = c->docs[p->doc].doc;
    struct ingest_span own = place_statement(c, p)->span;
    struct slice text = ingest_text(d, own);
    size_t skip = numbering(text);
    text.data += skip;
    text.len -= skip;
    char *key = arena_alloc(a, text.len + 1);
    struct found *found = arena_array(a, SAME_MAX, sizeof *found);
    if (!key || !found) return error_set(e, ERR_NOMEM, "", "There is not enough memory for the search of equal words.");
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char ch = (unsigned char)text.data[i];
        bool nbsp = ch == 0xC2 && i + 1 < text.len && (unsigned char)text.data[i + 1] == 0xA0;
        if (nbsp || ch == ' ' || (ch >= '\t' && ch <= '\r')) {
            if (len && key[len - 1] != ' ') key[len++] = ' ';
            if (nbsp) i++;
        } else {
            key[len++] = (char)ch;
        }
    }
    while (len && (key[len - 1] == ' ' || key[len - 1] == '.' || key[len - 1] == ';' || key[len - 1] == ',')) len--;
    if (len < SAME_MIN_BYTES) return 0;
    size_t m = 0;
    for (size_t i = 0; i < c->n_docs; i++) {
        const struct corpus_document *o = &c->docs[i];
        const char *from = o->folded.data, *end = from + o->folded.len, *hit;
        while (m < SAME_MAX && from < end && (hit = memmem(from, (size_t)(end - from), key, len))) {
            size_t at = (size_t)(hit - o->folded.data);
            from = hit + len;
            if (at > 0 && word_byte((unsigned char)hit[-1]) && word_byte((unsigned char)*hit)) continue;
            if (at + len < o->folded.len && word_byte((unsigned char)hit[len]) &&
                word_byte((unsigned char)hit[len - 1]))
                continue;
            struct ingest_span s = {o->folded_at[at], o->folded_at[at + len]};
            while (s.end > s.start && (o->doc->text.data[s.end - 1] == ' ' || o->doc->text.data[s.end - 1] == '\n'))
                s.end--;
            if (i == p->doc && s.start < own.end && s.end > own.start) continue; /* itself */
            found[m++] = (struct found){{i, s}, o->date, o->entry.id};
        }
    }
    if (m) qsort(found, m, sizeof *found, newest_first);
    *out = arena_array(a, m ? m : 1, sizeof **out);
    if (!*out) return error_set(e, ERR_NOMEM, "", "There is not enough memory for the search of equal words.");
    for (size_t i = 0; i < m; i++) (*out)[i] = found[i].at;
    *n = m;
    return 0;
}

/* ---- JSON ---- */
static json_t *mark_json(const struct ingest_document *d, struct ingest_span s) {
    return json_pack("{s:I,s:I}", "start", (json_int_t)text_characters(d, s.start), "end",
                     (json_int_t)text_characters(d, s.end));
}

/* In a spreadsheet the place is a cell: "cell", with "sheet" where it has a name, and as the page's label "Prices!B17".
 */
static void add_cell(json_t *j, const struct ingest_document *d, struct ingest_span at) {
    struct buf name = {0}, place = {0};
    struct ingest_cells cells;
    if (!ingest_cells_at(d, at, &cells)) return;
    ingest_cells_name(&name, &cells);
    ingest_cells_place(&place, d, at);
    json_object_set_new(j, "page_label", json_slice(buf_slice(&place)));
    json_object_set_new(j, "cell", json_slice(buf_slice(&name)));
    if (place.len > name.len) json_object_set_new(j, "sheet", json_slice(text_page_label(d, at.start)));
    buf_free(&name);
    buf_free(&place);
}

/* `at`: the words that answer, for the cell of a spreadsheet; the span itself where none are marked. */
static json_t *position_json(const struct corpus *c, size_t doc, uint32_t statement, struct ingest_span span,
                             struct ingest_span at, struct slice quote, struct arena *a) {
    const struct corpus_document *d = &c->docs[doc];
    json_t *j = json_object();
    json_object_set_new(j, "document", json_slice(d->entry.name));
    json_object_set_new(j, "document_id", json_integer(d->entry.id));
    json_object_set_new(j, "page", json_integer(text_page_number(d->doc, span.start)));
    json_object_set_new(j, "page_label", json_slice(text_page_label(d->doc, span.start)));
    add_cell(j, d->doc, at);
    json_object_set_new(
        j, "section",
        json_slice(statement != INGEST_NONE ? statement_section(d->doc, statement, a) : (struct slice){0}));
    json_object_set_new(j, "quote", json_slice(quote));
#ifdef MUTANT_QUOTE_OFFSET
    span.start++;
#endif
    json_object_set_new(j, "start", json_integer((json_int_t)text_characters(d->doc, span.start)));
    json_object_set_new(j, "end", json_integer((json_int_t)text_characters(d->doc, span.end)));
    return j;
}

json_t *place_citation(const struct corpus *c, const struct place *p, const struct ingest_span *marks, size_t n_marks,
                       bool with_also, struct error *e) {
    struct arena a = {0};
    json_t *j = NULL;
    const struct ingest_document *d = c->docs[p->doc].doc;
    struct slice quote = place_text(c, p, &a);
    if (!place_verify(c, p) || !quote.data) {
        error_set(e, ERR_FORMAT, "",
                  "A quote could not be verified against the text of its document, so it is not shown.");
        goto done;
    }
    struct ingest_span span = place_statement(c, p)->span, at = n_marks ? marks[0] : span;
    for (size_t i = 1; i < n_marks; i++) {
        if (marks[i].start < at.start) at.start = marks[i].start;
        if (marks[i].end > at.end) at.end = marks[i].end;
    }
    j = position_json(c, p->doc, p->statement, span, at, quote, &a);
    json_t *m = json_array();
    for (size_t i = 0; i < n_marks; i++) json_array_append_new(m, mark_json(d, marks[i]));
    json_object_set_new(j, "marks", m);
    json_t *also = json_array();
    if (with_also) {
        struct span_place *same = NULL;
        size_t n = 0;
        if (places_same(c, p, &a, &same, &n, e)) {
            json_decref(also);
            json_decref(j);
            j = NULL;
            goto done;
        }
        for (size_t i = 0; i < n; i++) {
            const struct ingest_document *o = c->docs[same[i].doc].doc;
            uint32_t st = o->n_statements ? ingest_statement_at(o, same[i].span.start) : INGEST_NONE;
            json_array_append_new(
                also, position_json(c, same[i].doc, st, same[i].span, same[i].span, ingest_text(o, same[i].span), &a));
        }
    }
    json_object_set_new(j, "also", also);
done:
    arena_free(&a);
    return j;
}
