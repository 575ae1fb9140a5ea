/* facts_render.h: a text through ingest_structure, its sections, statements or facts back as lines that people can
 * read; for the tests.
 *
 * A fact is a line: KIND [bound]value[..value2][ unit][ flags] | subject -> object
 *   AMOUNT 5000 USD | monthly rent          DATE 2021-03-01 | Agreement is made         MODAL prohibition NEG | Buyer
 * -> assign its rights
 */
#ifndef ANTINOMY_TESTS_FACTS_RENDER_H
#define ANTINOMY_TESTS_FACTS_RENDER_H

#include "ingest/ingest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static inline void render_span(struct buf *b, const struct ingest_document *d, struct ingest_span s) {
    for (uint32_t i = s.start; i < s.end; i++) {
        char c = d->text.data[i] == '\n' ? '/' : d->text.data[i];
        buf_append(b, &c, 1);
    }
}

static inline void render_fact(struct buf *b, const struct ingest_document *d, const struct ingest_fact *f) {
    static const char *const kinds[] = {"AMOUNT", "PERCENT", "NUMBER", "DATE",  "PERIOD",
                                        "MODAL",  "TERM",    "REF",    "PARTY", "TOTAL"};
    static const char *const modalities[] = {"",           "obligation", "permission", "prohibition", "no_obligation",
                                             "declaration"};
    static const char *const bounds[] = {"", "<=", ">=", ">", "<", "~"};
    buf_printf(b, "%s", kinds[f->kind]);
    if (f->kind == INGEST_DATE) {
        buf_printf(b, " %s%04d-%02d-%02d", bounds[f->bound], f->year, f->month, f->day);
        if (!isnan(f->value)) buf_printf(b, " (%g)", f->value);
    } else if (f->kind == INGEST_MODALITY) {
        buf_printf(b, " %s", modalities[f->modality]);
    } else if (!isnan(f->value)) {
        buf_printf(b, " %s%.10g", bounds[f->bound], f->value);
    }
    if (!isnan(f->value2) && f->kind != INGEST_DATE) buf_printf(b, "..%.10g", f->value2);
    if (f->unit.len) buf_printf(b, " %.*s", (int)f->unit.len, f->unit.data);
    if (f->flags & INGEST_NEGATED) buf_puts(b, " NEG");
    if (f->flags & INGEST_BUSINESS) buf_puts(b, " BUS");
    if (f->flags & INGEST_CONDITIONAL) buf_puts(b, " COND");
    if (f->flags & INGEST_ATTRIBUTED) buf_puts(b, " ATTR");
    if (f->flags & INGEST_WORDS_DIFFER) buf_puts(b, " DIFFER");
    if (f->subject.end > f->subject.start) {
        buf_puts(b, " | ");
        render_span(b, d, f->subject);
    }
    if (f->object.end > f->object.start) {
        buf_puts(b, " -> ");
        render_span(b, d, f->object);
    }
    buf_puts(b, "\n");
}

/* Facts of the kinds in `mask` (1 << kind); the span in quotes too when `spans`. */
static inline void render_facts(struct buf *b, const struct ingest_document *d, uint32_t mask, bool spans) {
    for (size_t i = 0; i < d->n_facts; i++) {
        if (!(mask >> d->facts[i].kind & 1)) continue;
        if (spans) {
            buf_puts(b, "\"");
            render_span(b, d, d->facts[i].span);
            buf_puts(b, "\" ");
        }
        render_fact(b, d, &d->facts[i]);
    }
}

static inline void render_statements(struct buf *b, const struct ingest_document *d) {
    static const char *const kinds[] = {"SENT", "ITEM", "ROW", "HEAD"};
    for (size_t i = 0; i < d->n_statements; i++) {
        const struct ingest_statement *s = &d->statements[i];
        buf_printf(b, "%s ", kinds[s->kind]);
        if (s->lead_in.end > s->lead_in.start) {
            buf_puts(b, "<");
            render_span(b, d, s->lead_in);
            buf_puts(b, "> ");
        }
        render_span(b, d, s->span);
        buf_puts(b, "\n");
    }
}

static inline void render_sections(struct buf *b, const struct ingest_document *d) {
    for (size_t i = 1; i < d->n_sections; i++) {
        const struct ingest_section *s = &d->sections[i];
        buf_printf(b, "%u %.*s: ", s->level, (int)s->path.len, s->path.data);
        render_span(b, d, s->heading);
        buf_puts(b, "\n");
    }
}

/* Bytes of the white space at text[k], ASCII and Unicode, and of the bars between cells; 0 = it is text. */
static inline uint32_t blank_at(struct slice text, uint32_t k) {
    uint32_t cp;
    int n = utf8_decode(text.data + k, text.len - k, &cp);
    if (n == 0) return 0;
    bool blank = cp <= ' ' || cp == '|' || cp == 0xA0 || (cp >= 0x2000 && cp <= 0x200B) || cp == 0x202F ||
                 cp == 0x205F || cp == 0x3000 || cp == 0xFEFF;
    return blank ? (uint32_t)n : 0;
}

/* What must hold for every document: returns NULL or what is broken. */
static inline const char *structure_flaw(const struct ingest_document *d) {
    static char flaw[160];
    uint32_t at = 0;
    for (size_t i = 0; i < d->n_statements; i++) {
        const struct ingest_statement *s = &d->statements[i];
        if (s->span.start >= s->span.end || s->span.end > d->text.len)
            return snprintf(flaw, sizeof flaw, "statement %zu is empty or outside", i), flaw;
        if (s->span.start < at) return snprintf(flaw, sizeof flaw, "statement %zu overlaps the one before it", i), flaw;
        for (uint32_t k = at; k < s->span.start;) { /* nothing but white space and bars between cells is lost */
            uint32_t n = blank_at(d->text, k);
            if (n == 0)
                return snprintf(flaw, sizeof flaw, "text is lost before statement %zu, byte %u: %.40s", i, k,
                                d->text.data + k),
                       flaw;
            k += n;
        }
        at = s->span.end;
        if (s->section >= d->n_sections || d->sections[s->section].span.start > s->span.start ||
            d->sections[s->section].span.end < s->span.end)
            return snprintf(flaw, sizeof flaw, "statement %zu lies outside its section %u", i, s->section), flaw;
        if (s->lead_in.end > s->span.start && s->lead_in.end > s->lead_in.start)
            return snprintf(flaw, sizeof flaw, "statement %zu has a lead-in behind it", i), flaw;
        if (((uint8_t)d->text.data[s->span.start] & 0xC0) == 0x80)
            return snprintf(flaw, sizeof flaw, "statement %zu cuts a character", i), flaw;
    }
    for (uint32_t k = at; k < d->text.len;) {
        uint32_t n = blank_at(d->text, k);
        if (n == 0) return snprintf(flaw, sizeof flaw, "text is lost behind the last statement"), flaw;
        k += n;
    }
    for (size_t i = 1; i < d->n_sections; i++) {
        const struct ingest_section *s = &d->sections[i];
        if (s->parent >= i) return snprintf(flaw, sizeof flaw, "section %zu stands before its parent", i), flaw;
        const struct ingest_section *p = &d->sections[s->parent];
        if (s->span.start < p->span.start || s->span.end > p->span.end ||
            s->span.start < d->sections[i - 1].span.start || s->level != p->level + 1)
            return snprintf(flaw, sizeof flaw, "section %zu does not fit in its parent", i), flaw;
    }
    uint32_t statement = 0, start = 0;
    for (size_t i = 0; i < d->n_facts; i++) {
        const struct ingest_fact *f = &d->facts[i];
        if (f->statement < statement || (f->statement == statement && i && f->span.start < start))
            return snprintf(flaw, sizeof flaw, "fact %zu is out of order", i), flaw;
        statement = f->statement, start = f->span.start;
        if (statement >= d->n_statements) return snprintf(flaw, sizeof flaw, "fact %zu has no statement", i), flaw;
        const struct ingest_statement *s = &d->statements[statement];
        bool inside = f->span.start >= s->span.start && f->span.end <= s->span.end;
        bool in_lead = f->span.start >= s->lead_in.start && f->span.end <= s->lead_in.end;
        if (f->span.start >= f->span.end || !(inside || (in_lead && f->kind == INGEST_MODALITY)))
            return snprintf(flaw, sizeof flaw, "fact %zu lies outside its statement", i), flaw;
        if (f->subject.end > d->text.len || f->object.end > d->text.len || f->subject.start > f->subject.end ||
            f->object.start > f->object.end)
            return snprintf(flaw, sizeof flaw, "fact %zu has a range outside the text", i), flaw;
    }
    return NULL;
}

/* One row of a table: the text's structure, rendered, is `want`, and the structure has no flaw. Prints what is wrong; 1
 * for a wrong row. A mask of facts renders these facts; RENDER_STATEMENTS and RENDER_SECTIONS what they say. */
#define RENDER_STATEMENTS UINT32_MAX
#define RENDER_SECTIONS (UINT32_MAX - 1)
static inline size_t rendered_wrong(const char *name, const char *text, const char *want, uint32_t mask) {
    struct ingest_document d = {.text = slice_of(text)};
    struct error e;
    struct buf b = {0};
    size_t wrong = 0;
    assert_int_equal(ingest_structure(&d, &e), 0);
    if (mask == RENDER_STATEMENTS)
        render_statements(&b, &d);
    else if (mask == RENDER_SECTIONS)
        render_sections(&b, &d);
    else
        render_facts(&b, &d, mask, false);
    if (strcmp(b.data ? b.data : "", want) != 0) {
        print_error("%s\n  is:\n%s  should be:\n%s", name, b.data ? b.data : "", want);
        wrong++;
    }
    const char *flaw = structure_flaw(&d);
    if (flaw) print_error("%s: %s\n", name, flaw), wrong++;
    buf_free(&b);
    arena_free(&d.arena);
    return wrong;
}

#endif
