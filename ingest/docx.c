/* docx.c: the body of a DOCX file -> headings, paragraphs and list items with their computed numbers, tables, footnotes
 * (ECMA-376 part 1, 17). What a reader of the printed page sees: tracked insertions are in and deletions out (with a
 * warning), struck-through text (with one too), hidden text, comments, field codes, headers and footers are out, fields
 * show their last result, text boxes come before the paragraph they hang on. */
#include "ingest/docx.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DOCX_MAX_BOXES 8      /* paragraphs inside paragraphs: text boxes in text boxes */
#define DOCX_MAX_NOTES 20000u /* footnotes */

struct para {
    struct runs runs;
    char style[DOCX_NAME];
    int num, level, outline; /* -1: not said here */
    bool centered, mark_deleted, in_ppr, in_run, hidden, bold, bold_set, raised;
};

struct note {
    long id;
    char *text;
};

struct body {
    struct writer *w;
    struct docx_numbering *numbering;
    struct para stack[DOCX_MAX_BOXES];
    size_t n_para;
    bool joined; /* the paragraph mark before was deleted: the next paragraph goes on in it */
    int skip;    /* > 0 inside what is not shown: deletions, fallbacks */
    bool in_text, tracked, struck, in_tblpr;
    struct table table;
    int tables; /* nesting */
    /* of the cell being begun: its properties come before its text */
    uint32_t cell_span, cell_flags;
    bool cell_open, cell_continued, row_header;
    /* footnotes */
    struct note *notes;
    size_t n_notes, cap_notes;
    size_t pending[64];
    size_t n_pending;
    unsigned n_called, n_comments;
    bool reading_notes;
    long note_id;
    struct buf note_text;
};

static struct para *top(struct body *b) {
    return b->n_para ? &b->stack[b->n_para - 1] : NULL;
}

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

/* ---- a paragraph's end ---- */
static void cell_begin(struct body *b) {
    if (!b->cell_open) return;
    b->cell_open = false;
    uint32_t flags =
        b->cell_flags | (b->row_header ? INGEST_BLOCK_HEADER : 0) | (b->cell_continued ? INGEST_BLOCK_CONTINUED : 0);
    table_cell(b->w, &b->table, b->cell_span, 1, flags);
}

static bool caption_style(const struct docx_style *s) {
    return s && !strcasecmp(s->name, "caption");
}

/* Heading level from the paragraph, its style and the styles that one is based on; 0: none. */
static uint32_t heading_level(const struct body *b, const struct para *p, bool *title) {
    int outline = p->outline;
    const struct docx_style *s = docx_style(b->numbering, p->style);
    *title = false;
    for (int depth = 0; s && depth < 12; depth++, s = docx_style(b->numbering, s->based_on)) {
        if (!strcasecmp(s->name, "title")) {
            *title = true;
            return 1;
        }
        if (outline < 0 && s->outline >= 0) outline = s->outline;
        if (outline < 0 && !strncasecmp(s->name, "heading ", 8) && isdigit((unsigned char)s->name[8]))
            outline = s->name[8] - '1';
        if (outline >= 0) break;
    }
    return outline >= 0 && outline < 9 ? (uint32_t)outline + 1 : 0;
}

static void find_number(const struct body *b, const struct para *p, int *num, int *level) {
    *num = p->num, *level = p->level;
    const struct docx_style *s = docx_style(b->numbering, p->style);
    for (int depth = 0; s && depth < 12; depth++, s = docx_style(b->numbering, s->based_on)) {
        if (*num < 0 && s->num >= 0) *num = s->num;
        if (*level < 0 && s->level >= 0) *level = s->level;
    }
    if (*level < 0) *level = 0;
}

static void put_notes(struct body *b) {
    for (size_t i = 0; i < b->n_pending && !b->w->code; i++) {
        const struct note *n = &b->notes[b->pending[i]];
        char mark[16];
        unsigned number = b->n_called - (unsigned)b->n_pending + (unsigned)i + 1;
        snprintf(mark, sizeof mark, "%u", number);
        if (!writer_begin(b->w, INGEST_BLOCK_FOOTNOTE, 0)) break;
        writer_number(b->w, slice_of(mark));
        writer_text(b->w, slice_of(n->text));
        writer_end(b->w);
    }
    b->n_pending = 0;
}

static void flush_para(struct body *b, struct para *p) {
    struct writer *w = b->w;
    if (p->runs.text.failed) {
        writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading DOCX");
        return;
    }
    struct slice text = slice_trim(buf_slice(&p->runs.text));
    bool title, bullet = false;
    int num, level;
    char number[128] = "";
    find_number(b, p, &num, &level);
    bool bold = runs_bold(&p->runs);
    if (b->tables) {
        cell_begin(b);
        if (b->cell_continued || !text.len) return;
        docx_number(b->numbering, num, level, number, sizeof number, &bullet);
        table_paragraph(w, &b->table, slice_of(number), text, bold);
        return;
    }
    if (!text.len) return; /* an empty numbered paragraph shows its number, but says nothing */
    uint32_t heading = heading_level(b, p, &title);
    bool numbered = docx_number(b->numbering, num, level, number, sizeof number, &bullet);
    uint32_t flags = (title ? INGEST_BLOCK_TITLE : 0) | (p->centered ? INGEST_BLOCK_CENTERED : 0) |
                     (bold ? INGEST_BLOCK_BOLD : 0) | (numbered && !bullet ? INGEST_BLOCK_ORDERED : 0) |
                     (caption_style(docx_style(b->numbering, p->style)) ? INGEST_BLOCK_CAPTION : 0);
    enum ingest_block_kind kind = heading    ? INGEST_BLOCK_HEADING
                                  : numbered ? INGEST_BLOCK_LIST_ITEM
                                             : INGEST_BLOCK_PARAGRAPH;
    writer_paragraph(w, kind, heading ? heading : numbered ? (uint32_t)level + 1 : 0, flags, slice_of(number), text);
    if (!b->n_para) put_notes(b); /* those called so far by the paragraph that a text box hangs on come behind it */
}

/* ---- elements ---- */
static void add(struct body *b, struct slice s) {
    struct para *p = top(b);
    if (!p || b->skip || (p->in_run && p->hidden)) return;
    const struct docx_style *style = p->bold_set ? NULL : docx_style(b->numbering, p->style);
    runs_add(b->w, &p->runs, s, p->raised, p->bold || (style && style->bold));
}

static void para_start(struct body *b) {
    if (b->joined && b->n_para) { /* goes on in the paragraph whose mark was deleted */
        b->joined = false;
        top(b)->mark_deleted = false;
        return;
    }
    if (b->n_para == DOCX_MAX_BOXES) {
        b->skip++;
        return;
    }
    struct para *p = &b->stack[b->n_para++];
    memset(p, 0, sizeof *p);
    p->num = p->level = p->outline = -1;
}

static void para_end(struct body *b) {
    struct para *p = top(b);
    if (!p) return;
    if (p->mark_deleted && !b->joined) {
        b->joined = true;
        return;
    }
    b->n_para--;
    if (b->reading_notes) {
        if (b->note_text.len) buf_puts(&b->note_text, " ");
        buf_append(&b->note_text, p->runs.text.data, p->runs.text.len);
    } else {
        flush_para(b, p);
    }
    buf_free(&p->runs.text);
}

static void call_note(struct body *b, const char **a) {
    const char *id = package_attribute(a, "id");
    struct para *p = top(b);
    if (!id || !p || b->reading_notes) return;
    long n = strtol(id, NULL, 10);
    for (size_t i = 0; i < b->n_notes; i++) {
        if (b->notes[i].id != n || b->n_pending == sizeof b->pending / sizeof *b->pending) continue;
        char mark[16];
        b->pending[b->n_pending++] = i;
        snprintf(mark, sizeof mark, "%u", ++b->n_called);
        text_superscript(&p->runs.text, slice_of(mark));
        return;
    }
}

static void paragraph_property(struct body *b, struct para *p, const char *name, const char **a) {
    const char *v = package_attribute(a, "val");
    if (is(name, "pStyle"))
        snprintf(p->style, sizeof p->style, "%s", v ? v : "");
    else if (is(name, "numId"))
        p->num = v ? (int)strtol(v, NULL, 10) : -1;
    else if (is(name, "ilvl"))
        p->level = v && v[0] >= '0' && v[0] <= '8' ? v[0] - '0' : 0;
    else if (is(name, "outlineLvl"))
        p->outline = v && v[0] >= '0' && v[0] <= '9' ? v[0] - '0' : -1;
    else if (is(name, "jc"))
        p->centered = v && is(v, "center");
    else if (is(name, "del"))
        p->mark_deleted = b->tracked = true;
    else if (is(name, "ins"))
        b->tracked = true;
}

static void run_property(struct body *b, struct para *p, const char *name, const char **a) {
    const char *v = package_attribute(a, "val");
    if (is(name, "vanish") && package_on(a))
        p->hidden = true;
    else if ((is(name, "strike") || is(name, "dstrike")) && package_on(a)) /* a deletion shown by hand */
        p->hidden = b->struck = true;
    else if (is(name, "b"))
        p->bold = package_on(a), p->bold_set = true;
    else if (is(name, "vertAlign"))
        p->raised = v && is(v, "superscript");
}

static bool skipped(const char *name) {
    return is(name, "del") || is(name, "moveFrom") || is(name, "2006:Fallback") || is(name, "pPrChange") ||
           is(name, "rPrChange") || is(name, "tblPrChange") || is(name, "tcPrChange") || is(name, "trPrChange") ||
           is(name, "sectPr") || is(name, "numPrChange");
}

static void on_start(void *context, const char *name, const char **a) {
    struct body *b = context;
    struct para *p = top(b);
    if (b->skip) {
        b->skip++;
        return;
    }
    if (p && p->in_ppr) {
        if (is(name, "rPr") || is(name, "numPr")) return;
        if (skipped(name) && !is(name, "del")) {
            b->skip = 1;
            return;
        }
        paragraph_property(b, p, name, a);
        return;
    }
    if (skipped(name)) {
        b->tracked = b->tracked || is(name, "del") || is(name, "moveFrom");
        b->skip = 1;
        return;
    }
    if (is(name, "p")) {
        para_start(b);
    } else if (is(name, "pPr") && p) {
        p->in_ppr = true;
    } else if (is(name, "r") && p) {
        p->in_run = true;
        p->hidden = p->bold = p->bold_set = p->raised = false;
    } else if (is(name, "t") && p) {
        b->in_text = true;
    } else if (is(name, "ins") || is(name, "moveTo")) {
        b->tracked = true;
    } else if (is(name, "tab") && p && p->in_run) {
        add(b, SLICE_LITERAL(" "));
    } else if ((is(name, "br") || is(name, "cr")) && p) {
        add(b, SLICE_LITERAL("\n"));
    } else if (is(name, "noBreakHyphen") && p) {
        add(b, SLICE_LITERAL("-"));
    } else if (is(name, "footnoteReference") || is(name, "endnoteReference")) {
        call_note(b, a);
    } else if (is(name, "commentReference")) {
        b->n_comments++;
    } else if ((is(name, "footnote") || is(name, "endnote")) && b->reading_notes) {
        const char *id = package_attribute(a, "id"), *type = package_attribute(a, "type");
        b->note_id = id && !type ? strtol(id, NULL, 10) : -1;
        b->note_text.len = 0;
    } else if (is(name, "tbl") && !b->reading_notes) {
        b->tables++;
        b->cell_open = b->tables == 1 ? false : b->cell_open;
    } else if (is(name, "tr") && b->tables == 1) {
        table_row(b->w, &b->table);
        b->row_header = false;
    } else if (is(name, "tblHeader") && b->tables == 1) {
        b->row_header = package_on(a);
    } else if (is(name, "tc") && b->tables == 1) {
        b->cell_open = true;
        b->cell_span = 1;
        b->cell_flags = 0;
        b->cell_continued = false;
    } else if (is(name, "gridSpan") && b->tables == 1) {
        b->cell_span = (uint32_t)package_number(a, "val", 1, READER_MAX_COLUMNS);
    } else if (is(name, "vMerge") && b->tables == 1) {
        const char *v = package_attribute(a, "val");
        b->cell_continued = !v || !is(v, "restart");
    } else if (p && p->in_run) {
        run_property(b, p, name, a);
    }
}

static void on_end(void *context, const char *name) {
    struct body *b = context;
    struct para *p = top(b);
    if (b->skip) {
        b->skip--;
        return;
    }
    if (is(name, "p")) {
        para_end(b);
    } else if (is(name, "pPr") && p) {
        p->in_ppr = false;
    } else if (p && p->in_ppr) {
        return;
    } else if (is(name, "r") && p) {
        p->in_run = false;
    } else if (is(name, "t")) {
        b->in_text = false;
    } else if (is(name, "tc") && b->tables == 1) {
        cell_begin(b);
        table_cell_end(&b->table);
    } else if (is(name, "tbl") && !b->reading_notes) {
        if (--b->tables == 0) {
            table_write(b->w, &b->table);
            put_notes(b);
        }
    } else if ((is(name, "footnote") || is(name, "endnote")) && b->reading_notes && b->note_id >= 0) {
        if (b->n_notes >= DOCX_MAX_NOTES) return;
        if (array_grow((void **)&b->notes, &b->cap_notes, b->n_notes + 1, sizeof *b->notes, b->w->e)) {
            writer_fail(b->w, ERR_NOMEM, b->w->o->name, "out of memory while reading DOCX");
            return;
        }
        char *text = strdup(b->note_text.data ? b->note_text.data : "");
        if (!text) {
            writer_fail(b->w, ERR_NOMEM, b->w->o->name, "out of memory while reading DOCX");
            return;
        }
        b->notes[b->n_notes++] = (struct note){b->note_id, text};
    }
}

static void on_text(void *context, const char *s, int len) {
    struct body *b = context;
    if (b->in_text && !b->skip) add(b, (struct slice){s, (size_t)len});
}

int docx_read(struct writer *w, struct package *package) {
    struct docx_numbering numbering = {0};
    struct body *b = calloc(1, sizeof *b);
    if (!b) return writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading DOCX");
    b->w = w;
    b->numbering = &numbering;
    if (docx_numbering_read(&numbering, package, w)) goto done;
    b->reading_notes = true;
    b->note_id = -1;
    if (package_parse(package, "footnotes.xml", on_start, on_end, on_text, b)) goto done;
    while (b->n_para) buf_free(&b->stack[--b->n_para].runs.text);
    b->reading_notes = b->joined = false;
    b->skip = 0;
    if (package_parse(package, "", on_start, on_end, on_text, b)) goto done;
    while (b->n_para && !w->code) { /* its mark was deleted and none came behind */
        struct para *p = &b->stack[--b->n_para];
        flush_para(b, p);
        buf_free(&p->runs.text);
    }
    if (b->tables) table_write(w, &b->table);
    if (b->tracked)
        writer_warn(w, INGEST_NONE, "the document has tracked changes: insertions were read, deletions were not");
    if (b->struck) writer_warn(w, INGEST_NONE, "struck-through text was not read");
    if (b->n_comments) writer_warn(w, INGEST_NONE, "comments were not read (%u)", b->n_comments);
    package_title(package);
done:
    while (b->n_para) buf_free(&b->stack[--b->n_para].runs.text);
    for (size_t i = 0; i < b->n_notes; i++) free(b->notes[i].text);
    free(b->notes);
    buf_free(&b->note_text);
    table_free(&b->table);
    docx_numbering_free(&numbering);
    free(b);
    return w->code;
}
