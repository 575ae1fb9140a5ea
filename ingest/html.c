/* html.c: HTML -> headings, paragraphs, lists with their numbers, tables, preformatted text. libxml2's HTML parser
 * makes the tree (no network, no external entities); this file decides what a reader of the page sees: scripts, styles,
 * navigation, forms and hidden parts are out, line breaks made with <br> stay breaks between lines, raised figures stay
 * raised. Refuses nothing but depth. */
#include "ingest/html.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <libxml/parserInternals.h>

#define HTML_PRE_AS_TEXT 60 /* lines: a longer <pre> is a whole document in plain text (old EDGAR filings) */

struct html {
    struct writer *w;
    struct table *table; /* cells go here while inside one */
    struct buf pre;
    enum ingest_block_kind kind;
    uint32_t level, lists, bold, centered, flags;
    size_t n_text, n_bold; /* bytes of the open block that are letters or digits, and those of them in bold */
    struct slice number;
    char number_text[32];
    char last;  /* last byte of the open block that is no space */
    bool broke; /* a <br> stands behind the open block's text */
    bool in_pre, sup, struck;
    bool part; /* of a book or a message */
    const struct html_place *places;
    size_t n_places;
    const xmlNode *root; /* of what is read: <main> if there is one */
};

/* ---- attributes ---- */
static bool named(const xmlNode *n, const char *name) {
    return n->type == XML_ELEMENT_NODE && n->name && strcasecmp((const char *)n->name, name) == 0;
}

static bool is_one_of(const xmlNode *n, const char *const *names) {
    if (n->type != XML_ELEMENT_NODE || !n->name) return false;
    for (; *names; names++)
        if (strcasecmp((const char *)n->name, *names) == 0) return true;
    return false;
}

static bool attribute(const xmlNode *n, const char *name, char *out, size_t cap) {
    xmlChar *v = xmlGetProp(n, (const xmlChar *)name);
    if (!v) return false;
    size_t j = 0;
    for (size_t i = 0; v[i] && j + 1 < cap; i++)
        if (!isspace(v[i])) out[j++] = (char)tolower(v[i]);
    out[j] = 0;
    xmlFree(v);
    return true;
}

static long number_attribute(const xmlNode *n, const char *name, long fallback, long max) {
    char v[16];
    if (!attribute(n, name, v, sizeof v)) return fallback;
    char *end;
    long x = strtol(v, &end, 10);
    return end == v || x < 0 || x > max ? fallback : x;
}

static const char *const skipped[] = {
    "script", "style",    "template", "noscript", "head",  "nav",    "svg",   "math",     "button", "select", "iframe",
    "object", "textarea", "canvas",   "audio",    "video", "dialog", "input", "datalist", "footer", "aside",  NULL};
static const char *const blocks[] = {
    "p",          "div",     "section", "article",    "main",    "header",  "body",  "html",     "center",
    "blockquote", "address", "figure",  "figcaption", "details", "summary", "form",  "fieldset", "legend",
    "hr",         "dl",      "dt",      "dd",         "ul",      "ol",      "li",    "caption",  "footer",
    "aside",      "tr",      "td",      "th",         "table",   "tbody",   "thead", "tfoot",    NULL};

static bool hidden(const xmlNode *n) {
    char v[400];
    if (xmlHasProp(n, (const xmlChar *)"hidden")) return true;
    if (attribute(n, "style", v, sizeof v) && (strstr(v, "display:none") || strstr(v, "visibility:hidden")))
        return true;
    return attribute(n, "role", v, sizeof v) &&
           (!strcmp(v, "navigation") || !strcmp(v, "search") || !strcmp(v, "banner") || !strcmp(v, "contentinfo"));
}

/* ---- the open block ---- */
static void finish_block(struct html *h) {
    if (!h->table && h->w->in_block) {
        struct ingest_block *b = &h->w->blocks[h->w->n_blocks - 1];
        if (h->n_text && h->n_bold == h->n_text) b->flags |= INGEST_BLOCK_BOLD;
        writer_end(h->w);
    }
    h->n_text = h->n_bold = 0;
    h->last = 0;
    h->broke = false;
}

static void block_break(struct html *h) {
    if (h->table) {
        table_text(h->w, h->table, SLICE_LITERAL("\n"));
        h->broke = false;
    } else {
        finish_block(h);
    }
}

static bool blank(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (!isspace((unsigned char)s[i])) {
            if (i + 1 < len && !memcmp(s + i, "\xc2\xa0", 2)) {
                i++;
                continue;
            }
            return false;
        }
    return true;
}

static void put(struct html *h, struct slice s) {
    if (h->w->code || !s.len) return;
    if (h->table && h->table->in_cell) {
        table_text(h->w, h->table, s);
    } else if (h->in_pre) {
        buf_append(&h->pre, s.data, s.len);
        return;
    } else {
        bool nothing = blank(s.data, s.len);
        if (!h->w->in_block && nothing) return;
        if (h->broke && !nothing) { /* after <br>: a new line, unless the sentence clearly goes on */
            size_t i = 0;
            while (i < s.len && isspace((unsigned char)s.data[i])) i++;
            if (h->w->in_block && (h->last == 0 || strchr(".;:?!", h->last) || !islower((unsigned char)s.data[i])) &&
                h->kind != INGEST_BLOCK_HEADING) {
                finish_block(h);
            } else {
                writer_text(h->w, SLICE_LITERAL(" "));
                h->broke = false;
            }
        }
        if (!h->w->in_block) {
            struct ingest_block *b = writer_begin(h->w, h->kind, h->level);
            if (!b) return;
            b->flags |= h->flags | (h->centered ? INGEST_BLOCK_CENTERED : 0);
            writer_number(h->w, h->number);
            h->number.len = 0;
        }
        writer_text(h->w, s);
    }
    for (size_t i = 0; i < s.len; i++) {
        bool letter = isalnum((unsigned char)s.data[i]) != 0;
        h->n_text += letter;
        h->n_bold += letter && h->bold;
        if (!isspace((unsigned char)s.data[i])) h->last = s.data[i];
    }
    if (h->table && h->table->in_cell && h->table->n_cells) {
        struct table_cell *c = &h->table->cells[h->table->n_cells - 1];
        bool bold = h->n_text && h->n_bold == h->n_text;
        c->flags = (c->flags & ~(uint32_t)INGEST_BLOCK_BOLD) | (bold ? INGEST_BLOCK_BOLD : 0);
    }
}

/* ---- lists ---- */
static char list_style(const xmlNode *list) {
    char v[200];
    xmlChar *type = xmlGetProp(list, (const xmlChar *)"type");
    char c = type && type[0] && !type[1] && strchr("1aAiI", type[0]) ? (char)type[0] : 0;
    if (type) xmlFree(type);
    if (c) return c;
    if (attribute(list, "style", v, sizeof v) && strstr(v, "list-style")) {
        if (strstr(v, "none")) return '-';
        if (strstr(v, "lower-alpha") || strstr(v, "lower-latin")) return 'a';
        if (strstr(v, "upper-alpha") || strstr(v, "upper-latin")) return 'A';
        if (strstr(v, "lower-roman")) return 'i';
        if (strstr(v, "upper-roman")) return 'I';
    }
    return '1';
}

static void walk(struct html *h, const xmlNode *n, int depth);

static void walk_children(struct html *h, const xmlNode *n, int depth) {
    for (const xmlNode *c = n->children; c && !h->w->code; c = c->next) walk(h, c, depth + 1);
}

static void walk_list(struct html *h, const xmlNode *list, int depth) {
    bool ordered = named(list, "ol");
    char style = ordered ? list_style(list) : '-';
    unsigned long next = (unsigned long)number_attribute(list, "start", 1, 1000000);
    enum ingest_block_kind kind = h->kind;
    uint32_t level = h->level, flags = h->flags;
    block_break(h);
    if (h->lists < 9) h->lists++;
    for (const xmlNode *c = list->children; c && !h->w->code; c = c->next) {
        if (!named(c, "li")) {
            walk(h, c, depth + 1);
            continue;
        }
        if (hidden(c)) continue;
        next = (unsigned long)number_attribute(c, "value", (long)next, 1000000);
        char digits[26];
        if (style == 'i' || style == 'I')
            ordinal_roman(next, style == 'I', digits, sizeof digits);
        else if (style == 'a' || style == 'A')
            ordinal_letters(next, style == 'A', false, digits, sizeof digits);
        else
            snprintf(digits, sizeof digits, "%lu", next);
        if (style == '-')
            h->number = ordered ? (struct slice){"", 0} : SLICE_LITERAL("-");
        else
            h->number =
                (struct slice){h->number_text, (size_t)snprintf(h->number_text, sizeof h->number_text, "%s.", digits)};
        next++;
        h->kind = INGEST_BLOCK_LIST_ITEM;
        h->level = h->lists;
        h->flags = (flags & ~(uint32_t)INGEST_BLOCK_ORDERED) | (ordered ? INGEST_BLOCK_ORDERED : 0);
        if (h->table && h->table->in_cell) {
            table_text(h->w, h->table, h->number);
            table_text(h->w, h->table, SLICE_LITERAL(" "));
        }
        walk_children(h, c, depth + 1);
        block_break(h);
        h->number.len = 0;
    }
    h->lists--;
    h->kind = kind, h->level = level, h->flags = flags;
}

/* ---- tables ---- */
static bool has_descendant(const xmlNode *n, const char *const *names, int depth) {
    if (depth > READER_MAX_DEPTH) return false;
    for (const xmlNode *c = n->children; c; c = c->next)
        if (is_one_of(c, names) || has_descendant(c, names, depth + 1)) return true;
    return false;
}

/* A table with tables, headings or lists of text in it, or called a presentation, lays the page out. */
static bool is_layout(const xmlNode *t) {
    static const char *const inside[] = {"table", "h1", "h2", "h3", "main", "article", NULL};
    char role[40];
    if (attribute(t, "role", role, sizeof role) && (!strcmp(role, "presentation") || !strcmp(role, "none")))
        return true;
    return has_descendant(t, inside, 0);
}

static void walk_row(struct html *h, const xmlNode *tr, bool head, int depth) {
    bool all_th = true;
    size_t n = 0;
    for (const xmlNode *c = tr->children; c; c = c->next) {
        if (named(c, "td")) all_th = false;
        n += named(c, "td") || named(c, "th");
    }
    if (n == 0) return;
    table_row(h->w, h->table);
    for (const xmlNode *c = tr->children; c && !h->w->code; c = c->next) {
        bool th = named(c, "th");
        if ((!th && !named(c, "td")) || hidden(c)) continue;
        uint32_t flags = head || (th && all_th) ? INGEST_BLOCK_HEADER : th ? INGEST_BLOCK_ROW_HEADER : 0;
        table_cell(h->w, h->table, (uint32_t)number_attribute(c, "colspan", 1, 1000),
                   (uint32_t)number_attribute(c, "rowspan", 1, 65534), flags);
        h->n_text = h->n_bold = 0;
        if (h->w->code) return;
        walk_children(h, c, depth + 1);
        table_cell_end(h->table);
    }
}

static void walk_rows(struct html *h, const xmlNode *n, bool head, int depth) {
    if (depth > READER_MAX_DEPTH) return;
    for (const xmlNode *c = n->children; c && !h->w->code; c = c->next) {
        if (c->type != XML_ELEMENT_NODE || hidden(c)) continue;
        if (named(c, "tr"))
            walk_row(h, c, head, depth + 1);
        else if (named(c, "thead") || named(c, "tbody") || named(c, "tfoot"))
            walk_rows(h, c, named(c, "thead"), depth + 1);
    }
}

static void walk_table(struct html *h, const xmlNode *t, int depth) {
    if (h->table || is_layout(t)) { /* a table inside a cell is text of the cell */
        block_break(h);
        walk_children(h, t, depth);
        block_break(h);
        return;
    }
    finish_block(h);
    for (const xmlNode *c = t->children; c; c = c->next)
        if (named(c, "caption")) {
            uint32_t flags = h->flags;
            h->flags |= INGEST_BLOCK_CAPTION;
            walk_children(h, c, depth + 1);
            finish_block(h);
            h->flags = flags;
        }
    struct table table = {0};
    h->table = &table;
    walk_rows(h, t, false, depth);
    h->table = NULL;
    table_write(h->w, &table);
    h->n_text = h->n_bold = 0;
}

/* ---- all else ---- */
static void walk_pre(struct html *h, const xmlNode *n, int depth) {
    finish_block(h);
    h->in_pre = true;
    h->pre.len = 0;
    walk_children(h, n, depth);
    h->in_pre = false;
    if (h->pre.failed) writer_fail(h->w, ERR_NOMEM, h->w->o->name, "out of memory while reading HTML");
    size_t lines = 0;
    for (size_t i = 0; i < h->pre.len; i++) lines += h->pre.data[i] == '\n';
    if (h->w->code) return;
    if (lines > HTML_PRE_AS_TEXT) {
        text_read(h->w, buf_slice(&h->pre));
    } else {
        writer_begin(h->w, INGEST_BLOCK_PRE, 0);
        writer_text(h->w, buf_slice(&h->pre));
        writer_end(h->w);
    }
    h->pre.len = 0;
}

static bool bold_style(const xmlNode *n) {
    char v[400];
    if (named(n, "b") || named(n, "strong")) return true;
    return attribute(n, "style", v, sizeof v) && (strstr(v, "font-weight:bold") || strstr(v, "font-weight:700"));
}

static bool centered(const xmlNode *n) {
    char v[400];
    if (named(n, "center")) return true;
    if (attribute(n, "align", v, sizeof v)) return strcmp(v, "center") == 0;
    return attribute(n, "style", v, sizeof v) && strstr(v, "text-align:center");
}

static void begin_page(struct html *h, const xmlNode *n) {
    xmlChar *id = xmlGetProp(n, (const xmlChar *)"id");
    for (size_t i = 0; id && i < h->n_places; i++) {
        struct slice label = h->places[i].label;
        if (strcmp((const char *)id, h->places[i].id)) continue;
        if (!slice_equal(h->w->pages[h->w->n_pages - 1].label, label)) writer_page(h->w, label, 0, 0);
        break;
    }
    if (id) xmlFree(id);
}

static void walk(struct html *h, const xmlNode *n, int depth) {
    if (n->type == XML_TEXT_NODE || n->type == XML_CDATA_SECTION_NODE) {
        struct slice s = slice_of((const char *)n->content);
        if (h->sup) {
            struct buf raised = {0};
            text_superscript(&raised, slice_trim(s));
            put(h, buf_slice(&raised));
            buf_free(&raised);
        } else {
            put(h, s);
        }
        return;
    }
    if (n->type != XML_ELEMENT_NODE || !n->name || hidden(n)) return;
    if (is_one_of(n, skipped) && !(h->part && (named(n, "aside") || named(n, "footer")))) return;
    if (h->n_places) begin_page(h, n);
    if (named(n, "del") || named(n, "s") || named(n, "strike")) { /* no longer says it */
        h->struck = true;
        return;
    }
    if (depth > READER_MAX_DEPTH) { /* deeper than any page made by people; what lies there must not be lost unsaid */
        writer_fail(h->w, ERR_LIMIT, h->w->o->name,
                    "the elements of this HTML page lie more than %d deep in each other; save it as PDF or text",
                    READER_MAX_DEPTH);
        return;
    }
    const char *name = (const char *)n->name;
    if (named(n, "br")) {
        if (h->in_pre)
            buf_puts(&h->pre, "\n");
        else if (h->table)
            table_text(h->w, h->table, SLICE_LITERAL("\n"));
        else if (h->broke)
            finish_block(h);
        else
            h->broke = h->w->in_block;
        return;
    }
    if (h->in_pre) {
        walk_children(h, n, depth);
        return;
    }
    bool bold = bold_style(n), is_block = is_one_of(n, blocks), middle = is_block && centered(n);
    h->bold += bold;
    h->centered += middle;
    if (named(n, "ul") || named(n, "ol") || named(n, "menu")) {
        walk_list(h, n, depth);
    } else if (named(n, "table")) {
        walk_table(h, n, depth);
    } else if (named(n, "pre") && !h->table) {
        walk_pre(h, n, depth);
    } else if ((name[0] == 'h' || name[0] == 'H') && name[1] >= '1' && name[1] <= '6' && !name[2] && !h->table) {
        enum ingest_block_kind kind = h->kind;
        uint32_t level = h->level;
        finish_block(h);
        h->kind = INGEST_BLOCK_HEADING;
        h->level = (uint32_t)(name[1] - '0');
        walk_children(h, n, depth);
        finish_block(h);
        h->kind = kind, h->level = level;
    } else if (named(n, "blockquote")) {
        enum ingest_block_kind kind = h->kind;
        block_break(h);
        if (kind == INGEST_BLOCK_PARAGRAPH) h->kind = INGEST_BLOCK_QUOTE;
        walk_children(h, n, depth);
        block_break(h);
        h->kind = kind;
    } else if (named(n, "sup")) {
        bool sup = h->sup;
        h->sup = true;
        walk_children(h, n, depth);
        h->sup = sup;
    } else if (named(n, "img")) {
        (void)0; /* a picture is no text; its alternative text is not what a reader sees */
    } else {
        if (is_block) block_break(h);
        walk_children(h, n, depth);
        if (is_block) block_break(h);
    }
    h->centered -= middle;
    h->bold -= bold;
}

/* ---- the document ---- */
static const xmlNode *find(const xmlNode *n, const char *name, int depth, size_t *count) {
    const xmlNode *found = NULL;
    if (depth > READER_MAX_DEPTH) return NULL;
    for (; n; n = n->next) {
        if (named(n, name)) {
            ++*count;
            if (!found) found = n;
        }
        const xmlNode *below =
            n->children && n->type == XML_ELEMENT_NODE ? find(n->children, name, depth + 1, count) : NULL;
        if (!found) found = below;
    }
    return found;
}

static size_t text_bytes(const xmlNode *n, int depth) {
    size_t sum = 0;
    if (depth > READER_MAX_DEPTH || is_one_of(n, skipped)) return 0;
    if (n->type == XML_TEXT_NODE && n->content) return strlen((const char *)n->content);
    for (const xmlNode *c = n->type == XML_ELEMENT_NODE ? n->children : NULL; c; c = c->next)
        sum += text_bytes(c, depth + 1);
    return sum;
}

static void take_title(struct html *h, const xmlNode *root) {
    size_t count = 0;
    const xmlNode *title = find(root, "title", 0, &count);
    xmlChar *s = title ? xmlNodeGetContent(title) : NULL;
    if (!s) return;
    struct buf clean = {0};
    text_clean_line(&clean, slice_of((const char *)s));
    h->w->d->title = arena_slice(&h->w->d->arena, buf_slice(&clean));
    buf_free(&clean);
    xmlFree(s);
}

/* libxml2 stops for good at an element 257 deep and calls what came before a whole page: its own limit is off, ours is
 * in walk(), and says so. */
htmlDocPtr html_parse(struct slice utf8) {
    htmlParserCtxtPtr c = htmlCreateMemoryParserCtxt(utf8.data, (int)utf8.len);
    if (!c) return NULL;
    htmlCtxtUseOptions(c, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
                              HTML_PARSE_COMPACT);
    c->options |= XML_PARSE_HUGE;
    xmlCharEncodingHandlerPtr encoding = xmlFindCharEncodingHandler("UTF-8");
    if (encoding) xmlSwitchToEncoding(c, encoding);
    htmlParseDocument(c);
    htmlDocPtr doc = c->myDoc;
    c->myDoc = NULL;
    htmlFreeParserCtxt(c);
    return doc;
}

static int read_tree(struct html *h, struct slice utf8) {
    struct writer *w = h->w;
    if (utf8.len > INT_MAX / 2) return writer_fail(w, ERR_LIMIT, w->o->name, "the HTML file is larger than 1 GiB");
    htmlDocPtr doc = html_parse(utf8);
    if (!doc && h->part) return w->code; /* an empty part is none of its faults */
    if (!doc) return writer_fail(w, ERR_FORMAT, w->o->name, "this HTML file has nothing in it that can be read");
    const xmlNode *root = xmlDocGetRootElement(doc);
    if (root) {
        size_t count = 0;
        const xmlNode *main = h->part ? NULL : find(root, "main", 0, &count);
        if (!h->part) take_title(h, root);
        /* the page's own mark of its content, when it holds a third of the text or more */
        if (count == 1 && text_bytes(main, 0) * 3 >= text_bytes(root, 0)) root = main;
        walk(h, root, 0);
        finish_block(h);
    }
    buf_free(&h->pre);
    xmlFreeDoc(doc);
    return w->code;
}

int html_read(struct writer *w, struct slice utf8) {
    struct html h = {.w = w, .kind = INGEST_BLOCK_PARAGRAPH};
    read_tree(&h, utf8);
    if (h.struck) writer_warn(w, INGEST_NONE, "struck-through text was not read");
    return w->code;
}

int html_read_part(struct writer *w, struct slice utf8, const struct html_place *places, size_t n_places,
                   bool *struck) {
    struct html h = {.w = w, .kind = INGEST_BLOCK_PARAGRAPH, .part = true, .places = places, .n_places = n_places};
    read_tree(&h, utf8);
    if (h.struck) *struck = true;
    return w->code;
}
