/* xml.c: XML of unknown vocabulary -> paragraphs, as well as its shape tells. An element with text of its own is a
 * block and all inside it is inline; an element without is a container. Titles (title, heading, subject, caption) of
 * containers are headings; an element's `marker`, `num` or `enum` attribute is its paragraph's number. Tables of
 * contents are left out, as their lines stand again below. libxml2 reads it with no network and no entities but the
 * built-in ones. Refuses text that is not well formed, with its line. */
#include "ingest/reader.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <libxml/parser.h>

struct xml {
    struct writer *w;
    struct slice number; /* of the next block */
    xmlChar *number_text;
    bool run_in; /* the next block goes on in the open one (a paragraph's own title before its text) */
};

static bool named(const xmlNode *n, const char *const *names) {
    for (; *names; names++)
        if (strcasecmp((const char *)n->name, *names) == 0) return true;
    return false;
}

static bool blank(const xmlChar *s) {
    for (; s && *s; s++)
        if (!isspace(*s)) return false;
    return true;
}

static bool has_text(const xmlNode *n) {
    for (const xmlNode *c = n->children; c; c = c->next)
        if ((c->type == XML_TEXT_NODE || c->type == XML_CDATA_SECTION_NODE) && !blank(c->content)) return true;
    return false;
}

static void inline_text(struct xml *x, const xmlNode *n, int depth) {
    if (depth > READER_MAX_DEPTH) return;
    for (const xmlNode *c = n->children; c && !x->w->code; c = c->next) {
        if ((c->type == XML_TEXT_NODE || c->type == XML_CDATA_SECTION_NODE) && c->content)
            writer_text(x->w, slice_of((const char *)c->content));
        else if (c->type == XML_ELEMENT_NODE)
            inline_text(x, c, depth + 1);
    }
}

/* ---- records: containers that hold only short values ("effectiveDate", "agency") ---- */
#define DATA_VALUE_MAX 80 /* bytes */

static bool only_values(const xmlNode *n, size_t *count, int depth) {
    if (depth > READER_MAX_DEPTH || xmlHasProp(n, (const xmlChar *)"marker")) return false;
    bool text = has_text(n);
    for (const xmlNode *c = n->children; c; c = c->next) {
        if (c->type == XML_ELEMENT_NODE && (text || !only_values(c, count, depth + 1))) return false;
        if (text && c->content && strlen((const char *)c->content) > DATA_VALUE_MAX &&
            !strstr((const char *)c->content, "://"))
            return false;
    }
    *count += text;
    return true;
}

static bool is_data(const xmlNode *n, int depth) {
    size_t count = 0;
    return only_values(n, &count, depth) && count >= 3;
}

/* "effectiveDate" -> "Effective date: 2015-01-01" */
static void put_data(struct xml *x, const xmlNode *n, int depth) {
    if (depth > READER_MAX_DEPTH) return;
    if (!has_text(n)) {
        for (const xmlNode *c = n->children; c && !x->w->code; c = c->next)
            if (c->type == XML_ELEMENT_NODE) put_data(x, c, depth + 1);
        return;
    }
    if (!writer_begin(x->w, INGEST_BLOCK_PARAGRAPH, 0)) return;
    for (const char *s = (const char *)n->name; *s; s++) {
        bool upper = isupper((unsigned char)*s) != 0,
             follows = s > (const char *)n->name && islower((unsigned char)s[-1]);
        bool acronym = upper && isupper((unsigned char)s[1]);
        char c = s == (const char *)n->name     ? (char)toupper((unsigned char)*s)
                 : upper && follows && !acronym ? (char)tolower((unsigned char)*s)
                                                : *s;
        if ((upper && follows) || *s == '_' || *s == '-') writer_text(x->w, SLICE_LITERAL(" "));
        if (*s != '_' && *s != '-') writer_text(x->w, (struct slice){&c, 1});
    }
    writer_text(x->w, SLICE_LITERAL(": "));
    inline_text(x, n, depth);
    writer_end(x->w);
    static const char *const title[] = {"title", NULL};
    if (!x->w->d->title.len && named(n, title)) {
        xmlChar *s = xmlNodeGetContent(n);
        x->w->d->title = arena_slice(&x->w->d->arena, slice_trim(slice_of(s ? (const char *)s : "")));
        if (s) xmlFree(s);
    }
}

static void walk(struct xml *x, const xmlNode *n, uint32_t heads, uint32_t items, int depth) {
    static const char *const titles[] = {"title", "heading", "head", "subject", "caption", "hd", "header", NULL};
    static const char *const contents[] = {"toc", "tableofcontents", "script", "style", NULL};
    static const char *const marks[] = {"marker", "num", "enum", NULL};
    if (depth > READER_MAX_DEPTH || x->w->code || named(n, contents)) return;
    bool item = false;
    for (const char *const *m = marks; *m && !item; m++) {
        xmlChar *v = xmlGetProp(n, (const xmlChar *)*m);
        if (!v) continue;
        item = true;
        if (x->number_text) xmlFree(x->number_text);
        x->number_text = v;
        x->number = slice_trim(slice_of((const char *)v));
    }
    if (item) {
        writer_end(x->w);
        items++;
    }
    if (has_text(n)) {
        bool title = named(n, titles), in_item = items > 0;
        if (x->run_in && x->w->in_block) {
            writer_text(x->w, SLICE_LITERAL(" "));
        } else {
            enum ingest_block_kind kind = title && !in_item ? INGEST_BLOCK_HEADING
                                          : in_item         ? INGEST_BLOCK_LIST_ITEM
                                                            : INGEST_BLOCK_PARAGRAPH;
            uint32_t level = kind == INGEST_BLOCK_HEADING ? (heads > 9 ? 9 : heads) : items > 9 ? 9 : items;
            struct ingest_block *b = writer_begin(x->w, kind, level);
            if (!b) return;
            if (x->number.len) b->flags |= INGEST_BLOCK_ORDERED;
            writer_number(x->w, x->number);
            x->number.len = 0;
        }
        inline_text(x, n, depth);
        x->run_in = title && in_item; /* "(a) Authority." + " The regulation in this part ..." */
        if (!x->run_in && x->w->in_block) writer_end(x->w);
        return;
    }
    if (!item && items == 0 && is_data(n, depth)) {
        put_data(x, n, depth);
        return;
    }
    bool headed = false;
    for (const xmlNode *c = n->children; c; c = c->next)
        headed = headed || (c->type == XML_ELEMENT_NODE && named(c, titles) && has_text(c));
    for (const xmlNode *c = n->children; c && !x->w->code; c = c->next)
        if (c->type == XML_ELEMENT_NODE) walk(x, c, heads + (headed && !item), items, depth + 1);
    if (item) {
        if (x->w->in_block) writer_end(x->w);
        x->run_in = false;
    }
}

int xml_read(struct writer *w, struct slice utf8) {
    if (utf8.len > INT_MAX / 2) return writer_fail(w, ERR_LIMIT, w->o->name, "the XML file is larger than 1 GiB");
    xmlParserCtxtPtr ctxt = xmlNewParserCtxt();
    if (!ctxt) return writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading XML");
    xmlDocPtr doc = xmlCtxtReadMemory(ctxt, utf8.data, (int)utf8.len, NULL, "UTF-8",
                                      XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT);
    if (!doc) {
        const xmlError *err = xmlCtxtGetLastError(ctxt);
        writer_fail(w, ERR_FORMAT, w->o->name,
                    "this XML file is not well formed: it breaks off or goes wrong at line %d", err ? err->line : 0);
    } else {
        struct xml x = {.w = w};
        const xmlNode *root = xmlDocGetRootElement(doc);
        if (root) walk(&x, root, 0, 0, 0);
        if (w->in_block) writer_end(w);
        if (x.number_text) xmlFree(x.number_text);
        xmlFreeDoc(doc);
    }
    xmlFreeParserCtxt(ctxt);
    return w->code;
}
