/* odt.c: the text of an ODT file (OpenDocument 1.2 part 1) -> headings, paragraphs and list items with their computed
 * numbers, tables, footnotes. What a reader of the printed page sees: tracked insertions are in and deletions out (they
 * lie apart in the file, so leaving them there is enough), struck-through and hidden text, comments, generated tables
 * of contents, headers and footers are out; the document says so in warnings. Text boxes come before the paragraph they
 * hang on. odt_styles.c knows styles and list styles. */
#include "ingest/odt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ODT_MAX_BOXES 8      /* paragraphs inside paragraphs: text boxes, footnotes */
#define ODT_MAX_SPANS 32     /* spans in each other; deeper ones look like the one around them */
#define ODT_MAX_NOTES 64     /* called by one paragraph or table; further ones stand in it */
#define ODT_MAX_LISTS 20000u /* top-level lists of a document */

struct para {
    struct runs runs;
    struct odt_look looks[ODT_MAX_SPANS]; /* the paragraph's own, then its spans' */
    size_t n_looks, too_deep;
    uint32_t heading;
    bool unnumbered, bullet;
    char number[ODT_NUMBER];
};

struct list { /* the counters of a list; a later one may go on with them */
    char id[ODT_NAME], style[ODT_NAME];
    struct odt_count count;
};

struct nested { /* a text:list around the paragraph */
    char style[ODT_NAME];
    size_t list;
    bool item, header, numbered; /* in an item; which shows no number; or has shown it */
};

struct note {
    char mark[24];
    char *text;
};

struct body {
    struct writer *w;
    struct odt_styles *styles;
    struct para stack[ODT_MAX_BOXES];
    size_t n_para;
    int skip; /* > 0 inside what is not shown */
    bool in_body, in_number, in_citation;
    bool tracked, struck;
    unsigned n_comments, n_objects;
    /* lists */
    struct list *lists;
    size_t n_lists, cap_lists;
    struct nested nested[ODT_LEVELS];
    int n_nested, deeper_lists; /* than ODT_LEVELS */
    struct odt_count outline;
    /* tables */
    struct table table;
    int tables, header_rows;
    /* notes */
    struct note notes[ODT_MAX_NOTES];
    size_t n_notes;
    bool in_note;
    size_t note_para; /* paragraphs open when the note began */
    char mark[24];
    struct buf note_text;
};

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static struct para *top(struct body *b) {
    return b->n_para ? &b->stack[b->n_para - 1] : NULL;
}

static void nomem(struct body *b) {
    writer_fail(b->w, ERR_NOMEM, b->w->o->name, "out of memory while reading OpenDocument");
}

/* ---- a paragraph's end ---- */
static void put_notes(struct body *b) {
    for (size_t i = 0; i < b->n_notes; i++) {
        if (writer_begin(b->w, INGEST_BLOCK_FOOTNOTE, 0)) {
            writer_number(b->w, slice_of(b->notes[i].mark));
            writer_text(b->w, slice_of(b->notes[i].text));
            writer_end(b->w);
        }
        free(b->notes[i].text);
    }
    b->n_notes = 0;
}

/* The number of the paragraph that begins: of its list, or of the outline where it is a heading. */
static void find_number(struct body *b, struct para *p, bool restarts, long start) {
    struct nested *in = b->n_nested ? &b->nested[b->n_nested - 1] : NULL;
    if (in && in->item && !in->header && !in->numbered) {
        odt_number(odt_list(b->styles, in->style), b->n_nested - 1, &b->lists[in->list].count, p->number,
                   sizeof p->number, &p->bullet);
        in->numbered = true;
    } else if (!in && p->heading && !p->unnumbered && !p->looks[0].no_list) {
        int level = (int)p->heading - 1;
        if (restarts) b->outline.begun[level] = false;
        odt_next(&b->styles->outline, level, &b->outline, restarts ? start : -1);
        odt_number(&b->styles->outline, level, &b->outline, p->number, sizeof p->number, &p->bullet);
    }
}

static void flush_para(struct body *b, struct para *p) {
    struct writer *w = b->w;
    struct slice text = slice_trim(buf_slice(&p->runs.text));
    if (p->runs.text.failed) {
        nomem(b);
        return;
    }
    if (p->looks[0].hidden || !text.len) return;
    bool bold = runs_bold(&p->runs);
    struct slice mark = slice_of(p->number);
    if (b->tables) {
        table_paragraph(w, &b->table, mark, text, bold);
        return;
    }
    bool item = b->n_nested > 0 && !p->heading && b->nested[b->n_nested - 1].item;
    uint32_t level = p->heading ? p->heading : item ? (uint32_t)b->n_nested : 0;
    uint32_t flags = (p->looks[0].title ? INGEST_BLOCK_TITLE : 0) | (p->looks[0].centered ? INGEST_BLOCK_CENTERED : 0) |
                     (bold ? INGEST_BLOCK_BOLD : 0) | (p->looks[0].caption ? INGEST_BLOCK_CAPTION : 0) |
                     (mark.len && !p->bullet ? INGEST_BLOCK_ORDERED : 0);
    writer_paragraph(w,
                     p->heading ? INGEST_BLOCK_HEADING
                     : item     ? INGEST_BLOCK_LIST_ITEM
                                : INGEST_BLOCK_PARAGRAPH,
                     level, flags, mark, text);
    if (!b->n_para) put_notes(b); /* those called so far by the paragraph that a text box hangs on come behind it */
}

static void para_start(struct body *b, bool heading, const char **a) {
    if (b->n_para == ODT_MAX_BOXES) {
        b->skip = 1;
        return;
    }
    struct para *p = &b->stack[b->n_para++];
    const char *style = package_attribute(a, "style-name");
    memset(p, 0, sizeof *p);
    odt_look(b->styles, "paragraph", style ? style : "", &p->looks[0]);
    p->n_looks = 1;
    if (p->looks[0].title) p->heading = 1;
    if (heading) {
        long level = package_number(a, "outline-level", 1, ODT_LEVELS);
        p->heading = level < 1 ? 1 : level > 9 ? 9 : (uint32_t)level;
        p->unnumbered = package_true(a, "is-list-header");
        find_number(b, p, package_true(a, "restart-numbering"), package_number(a, "start-value", -1, 1000000));
    } else {
        p->unnumbered = true;
        find_number(b, p, false, -1);
    }
}

static void para_end(struct body *b) {
    struct para *p = top(b);
    if (!p) return;
    b->n_para--;
    if (b->in_note) {
        if (b->note_text.len) buf_puts(&b->note_text, " ");
        buf_append(&b->note_text, p->runs.text.data, p->runs.text.len);
    } else {
        flush_para(b, p);
    }
    buf_free(&p->runs.text);
}

/* ---- text ---- */
static void add(struct body *b, struct slice s) {
    struct para *p = top(b);
    if (!p) return;
    const struct odt_look *look = &p->looks[p->n_looks - 1];
    b->struck = b->struck || look->struck;
    if (!look->hidden && !look->struck) runs_add(b->w, &p->runs, s, look->raised, look->bold);
}

static void on_text(void *context, const char *s, int len) {
    struct body *b = context;
    struct para *p = top(b);
    if (b->skip || !p) return;
    if (b->in_citation) {
        size_t n = strlen(b->mark);
        snprintf(b->mark + n, sizeof b->mark - n, "%.*s", len, s);
        return;
    }
    if (b->in_number) {
        size_t n = strlen(p->number);
        if (!p->bullet) snprintf(p->number + n, sizeof p->number - n, "%.*s", len, s);
        return;
    }
    for (int from = 0, i = 0; i <= len; i++) { /* line breaks of the file are spaces; text:line-break is one */
        if (i < len && s[i] != '\n' && s[i] != '\t' && s[i] != '\r') continue;
        if (i > from) add(b, (struct slice){s + from, (size_t)(i - from)});
        if (i < len) add(b, SLICE_LITERAL(" "));
        from = i + 1;
    }
}

/* ---- lists ---- */
/* The list that goes on: the one of this id, or the last of this style. n_lists when there is none. */
static size_t continued(const struct body *b, const char *id, const char *style) {
    for (size_t i = b->n_lists; i > 0; i--)
        if (id ? is(b->lists[i - 1].id, id) : is(b->lists[i - 1].style, style)) return i - 1;
    return b->n_lists;
}

static void list_start(struct body *b, const char **a) {
    const char *style = package_attribute(a, "style-name"), *id = package_attribute(a, "id");
    const char *after = package_attribute(a, "continue-list");
    if (b->n_nested == ODT_LEVELS) {
        b->deeper_lists++;
        return;
    }
    struct nested *n = &b->nested[b->n_nested++];
    memset(n, 0, sizeof *n);
    snprintf(n->style, sizeof n->style, "%s", style ? style : b->n_nested > 1 ? n[-1].style : "");
    if (b->n_nested > 1) { /* a list in a list counts in the same one */
        n->list = n[-1].list;
        return;
    }
    n->list = after || package_true(a, "continue-numbering") ? continued(b, after, n->style) : b->n_lists;
    if (n->list == b->n_lists) {
        if (b->n_lists == ODT_MAX_LISTS) {
            writer_fail(b->w, ERR_LIMIT, b->w->o->name, "the document has more than %u lists", ODT_MAX_LISTS);
            return;
        }
        if (array_grow((void **)&b->lists, &b->cap_lists, b->n_lists + 1, sizeof *b->lists, b->w->e)) {
            nomem(b);
            return;
        }
        memset(&b->lists[b->n_lists], 0, sizeof *b->lists);
        snprintf(b->lists[b->n_lists++].style, ODT_NAME, "%s", n->style);
    }
    struct list *l = &b->lists[n->list];
    if (!style) snprintf(n->style, sizeof n->style, "%s", l->style);
    if (id) snprintf(l->id, sizeof l->id, "%s", id);
}

static void item_start(struct body *b, bool header, const char **a) {
    if (!b->n_nested || b->deeper_lists) return;
    struct nested *n = &b->nested[b->n_nested - 1];
    n->item = true;
    n->header = header;
    n->numbered = false;
    if (!header)
        odt_next(odt_list(b->styles, n->style), b->n_nested - 1, &b->lists[n->list].count,
                 package_number(a, "start-value", -1, 1000000));
}

/* ---- tables ---- */
static void cell_start(struct body *b, const char **a) {
    uint32_t columns = (uint32_t)package_number(a, "number-columns-spanned", 1, READER_MAX_COLUMNS);
    uint32_t rows = (uint32_t)package_number(a, "number-rows-spanned", 1, 65534);
    table_cell(b->w, &b->table, columns, rows, b->header_rows ? INGEST_BLOCK_HEADER : 0);
}

/* ---- elements ---- */
/* Shown nowhere, or said in another place; counted where a reader should know of it. */
static bool skipped(struct body *b, const char *name, const char **a) {
    static const char *const names[] = {"text:tracked-changes",     "office:forms",
                                        "text:table-of-content",    "text:illustration-index",
                                        "text:table-index",         "text:object-index",
                                        "text:alphabetical-index",  "text:ruby-text",
                                        "text:hidden-text",         "text:script",
                                        "svg-compatible:title",     "svg-compatible:desc",
                                        "table:covered-table-cell", NULL};
    if (is(name, "office:annotation")) {
        b->n_comments++;
        return true;
    }
    if (is(name, "drawing:object") || is(name, "drawing:object-ole")) {
        b->n_objects++;
        return true;
    }
    if (is(name, "text:section")) {
        const char *display = package_attribute(a, "display");
        return display && is(display, "none");
    }
    for (const char *const *n = names; *n; n++) {
        if (!is(name, *n)) continue;
        b->tracked = b->tracked || n == names;
        return true;
    }
    return false;
}

static void inline_start(struct body *b, struct para *p, const char *name, const char **a) {
    if (is(name, "text:span")) {
        const char *style = package_attribute(a, "style-name");
        if (p->n_looks == ODT_MAX_SPANS) {
            p->too_deep++;
            return;
        }
        p->looks[p->n_looks] = p->looks[p->n_looks - 1];
        odt_look(b->styles, "text", style ? style : "", &p->looks[p->n_looks++]);
    } else if (is(name, "text:s") || is(name, "text:tab")) {
        add(b, SLICE_LITERAL(" "));
    } else if (is(name, "text:line-break")) {
        add(b, SLICE_LITERAL("\n"));
    } else if (is(name, "text:number")) { /* the number as the program that wrote the file shows it */
        b->in_number = true;
        if (!p->bullet) p->number[0] = 0;
    } else if (is(name, "text:note") && !b->in_note && b->n_notes < ODT_MAX_NOTES) {
        b->in_note = true;
        b->note_para = b->n_para;
        b->mark[0] = 0;
        b->note_text.len = 0;
    } else if (is(name, "text:note-citation")) {
        const char *label = package_attribute(a, "label");
        b->in_citation = true;
        snprintf(b->mark, sizeof b->mark, "%s", label ? label : "");
    }
}

static void on_start(void *context, const char *name, const char **a) {
    struct body *b = context;
    struct para *p = top(b);
    if (!b->in_body) {
        if (is(name, "office:body")) {
            b->in_body = true;
            odt_styles_sort(b->styles);
        } else {
            odt_styles_start(b->styles, name, a);
        }
        return;
    }
    if (b->skip || skipped(b, name, a)) {
        b->skip++;
        return;
    }
    if (is(name, "office:spreadsheet") || is(name, "office:presentation") || is(name, "office:drawing")) {
        writer_fail(b->w, ERR_UNSUPPORTED, b->w->o->name,
                    "this is an OpenDocument %s, which is not read; save it as %s", strchr(name, ':') + 1,
                    is(name, "office:spreadsheet") ? "XLSX or PDF" : "PPTX or PDF");
    } else if (is(name, "text:p") || is(name, "text:h")) {
        para_start(b, is(name, "text:h"), a);
    } else if (is(name, "text:list")) {
        list_start(b, a);
    } else if (is(name, "text:list-item") || is(name, "text:list-header")) {
        item_start(b, is(name, "text:list-header"), a);
    } else if (b->in_note && is(name, "table:table")) {
        return; /* its paragraphs are words of the note */
    } else if (is(name, "table:table")) {
        b->tables++;
    } else if (b->tables == 1 && is(name, "table:table-header-rows")) {
        b->header_rows++;
    } else if (b->tables == 1 && is(name, "table:table-row") && !b->in_note) {
        table_row(b->w, &b->table);
    } else if (b->tables == 1 && is(name, "table:table-cell") && !b->in_note) {
        cell_start(b, a);
    } else if (p) {
        inline_start(b, p, name, a);
    }
}

static void note_end(struct body *b) {
    struct para *p = top(b);
    if (!b->in_note || !p || b->n_para != b->note_para) return;
    b->in_note = false;
    struct note *n = &b->notes[b->n_notes];
    snprintf(n->mark, sizeof n->mark, "%s", b->mark);
    n->text = strdup(b->note_text.data ? b->note_text.data : "");
    if (!n->text || b->note_text.failed) {
        free(n->text);
        nomem(b);
        return;
    }
    b->n_notes++;
    text_superscript(&p->runs.text, slice_trim(slice_of(b->mark)));
}

static void on_end(void *context, const char *name) {
    struct body *b = context;
    struct para *p = top(b);
    if (!b->in_body) {
        odt_styles_end(b->styles, name);
        return;
    }
    if (b->skip) {
        b->skip--;
        return;
    }
    if (is(name, "text:p") || is(name, "text:h")) {
        para_end(b);
    } else if (is(name, "text:span") && p) {
        if (p->too_deep)
            p->too_deep--;
        else if (p->n_looks > 1)
            p->n_looks--;
    } else if (is(name, "text:number")) {
        b->in_number = false;
    } else if (is(name, "text:note-citation")) {
        b->in_citation = false;
    } else if (is(name, "text:note")) {
        note_end(b);
    } else if (is(name, "text:list")) {
        if (b->deeper_lists)
            b->deeper_lists--;
        else if (b->n_nested)
            b->n_nested--;
    } else if ((is(name, "text:list-item") || is(name, "text:list-header")) && b->n_nested && !b->deeper_lists) {
        b->nested[b->n_nested - 1].item = false;
    } else if (b->in_note) {
        return;
    } else if (is(name, "table:table-cell") && b->tables == 1) {
        table_cell_end(&b->table);
    } else if (is(name, "table:table-header-rows") && b->tables == 1) {
        b->header_rows--;
    } else if (is(name, "table:table") && b->tables && --b->tables == 0) {
        table_write(b->w, &b->table);
        put_notes(b);
    }
}

static void find_encryption(void *context, const char *name, const char **a) {
    (void)a;
    if (strstr(name, ":encryption-data")) *(bool *)context = true;
}

int odt_read(struct writer *w, struct package *package) {
    struct odt_styles styles = {.w = w};
    struct body *b = calloc(1, sizeof *b);
    bool encrypted = false;
    if (!b) return writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading OpenDocument");
    b->w = w;
    b->styles = &styles;
    if (package_parse(package, "/META-INF/manifest.xml", find_encryption, NULL, NULL, &encrypted)) goto done;
    if (encrypted) {
        writer_fail(w, ERR_ENCRYPTED, w->o->name,
                    "this OpenDocument file asks for a password; save it without one and load it again");
        goto done;
    }
    if (odt_styles_read(&styles, package)) goto done;
    if (package_parse(package, "", on_start, on_end, on_text, b)) goto done;
    if (b->tracked)
        writer_warn(w, INGEST_NONE, "the document has tracked changes: insertions were read, deletions were not");
    if (b->struck) writer_warn(w, INGEST_NONE, "struck-through text was not read");
    if (b->n_comments) writer_warn(w, INGEST_NONE, "comments were not read (%u)", b->n_comments);
    if (b->n_objects)
        writer_warn(w, INGEST_NONE, "embedded objects (charts, formulas) were not read (%u)", b->n_objects);
    package_title(package);
done:
    while (b->n_para) buf_free(&b->stack[--b->n_para].runs.text);
    while (b->n_notes) free(b->notes[--b->n_notes].text);
    free(b->lists);
    buf_free(&b->note_text);
    table_free(&b->table);
    odt_styles_free(&styles);
    free(b);
    return w->code;
}
