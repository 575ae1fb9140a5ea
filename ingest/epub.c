/* epub.c: the files of an EPUB in the order of its spine (EPUB 3.3, 5.7; OPF 2.0), each through html.c -> pages by its
 * table of contents (NCX or the navigation document): a page is a chapter, its label the chapter's name as printed
 * there; a file that the contents don't name is called by its first heading, or goes on in the chapter before. Refuses
 * books under digital rights management; pictures are left out. */
#include "ingest/html.h"
#include "ingest/package.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EPUB_MAX_ITEMS 10000u
#define EPUB_MAX_PLACES 20000u /* entries of the table of contents */
#define EPUB_LABEL 90          /* bytes of a chapter's name that are kept */

struct item {
    char id[200], part[600], type[64]; /* part: from the root, with a slash before it */
    bool nav;
};
struct place {
    char *part, *id, *label; /* id: "" for the beginning of the file */
};
struct book {
    struct writer *w;
    struct package *package;
    char main[310]; /* the package document, from the root */
    struct item *items;
    size_t n_items, cap_items;
    size_t *spine; /* indices of items */
    size_t n_spine, cap_spine;
    char ncx[200]; /* id of the NCX */
    struct place *places;
    size_t n_places, cap_places;
    bool locked, struck;
};

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static int nomem(struct writer *w) {
    return writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading EPUB");
}

/* ---- the package document ---- */
/* A reference of a part: the part's name from the root, and what stands behind '#'. */
static void resolve(const char *from, const char *href, char *part, size_t cap, char *id, size_t id_cap) {
    char path[600];
    size_t n = 0;
    for (; *href && *href != '#' && n + 1 < sizeof path; href++) {
        unsigned c;
        if (*href == '%' && isxdigit((unsigned char)href[1]) && isxdigit((unsigned char)href[2]) &&
            sscanf(href + 1, "%2x", &c) == 1 && c)
            path[n++] = (char)c, href += 2;
        else
            path[n++] = *href;
    }
    path[n] = 0;
    const char *hash = strchr(href, '#');
    if (id) snprintf(id, id_cap, "%s", hash ? hash + 1 : "");
    if (path[0])
        package_resolve(from, path, part, cap);
    else
        snprintf(part, cap, "%s", from); /* "#id": the part itself */
}

static void opf_start(void *context, const char *name, const char **a) {
    struct book *b = context;
    name = package_bare(name);
    if (is(name, "item")) {
        const char *id = package_attribute(a, "id"), *href = package_attribute(a, "href"),
                   *type = package_attribute(a, "media-type"), *properties = package_attribute(a, "properties");
        if (!id || !href || b->n_items >= EPUB_MAX_ITEMS) return;
        if (array_grow((void **)&b->items, &b->cap_items, b->n_items + 1, sizeof *b->items, b->w->e)) {
            nomem(b->w);
            return;
        }
        struct item *i = &b->items[b->n_items++];
        snprintf(i->id, sizeof i->id, "%s", id);
        snprintf(i->type, sizeof i->type, "%s", type ? type : "");
        resolve(b->main, href, i->part, sizeof i->part, NULL, 0);
        i->nav = properties && strstr(properties, "nav");
    } else if (is(name, "spine")) {
        const char *toc = package_attribute(a, "toc");
        snprintf(b->ncx, sizeof b->ncx, "%s", toc ? toc : "");
    } else if (is(name, "itemref")) {
        const char *id = package_attribute(a, "idref");
        for (size_t i = 0; id && i < b->n_items; i++) {
            if (!is(b->items[i].id, id)) continue;
            if (array_grow((void **)&b->spine, &b->cap_spine, b->n_spine + 1, sizeof *b->spine, b->w->e))
                nomem(b->w);
            else if (b->n_spine < EPUB_MAX_ITEMS)
                b->spine[b->n_spine++] = i;
            return;
        }
    }
}

/* Fonts may be veiled; anything else that is encrypted is the book. */
static void lock_start(void *context, const char *name, const char **a) {
    struct book *b = context;
    const char *algorithm = package_attribute(a, "Algorithm");
    if (is(package_bare(name), "EncryptionMethod") && algorithm &&
        !is(algorithm, "http://www.idpf.org/2008/embedding") && !is(algorithm, "http://ns.adobe.com/pdf/enc#RC"))
        b->locked = true;
}

/* ---- the table of contents; read as HTML, which takes the NCX as well ---- */
static bool named(const xmlNode *n, const char *name) {
    return n->type == XML_ELEMENT_NODE && n->name && !strcasecmp((const char *)n->name, name);
}

static void add_place(struct book *b, const char *from, const xmlNode *link, const char *attribute,
                      const xmlNode *label) {
    char part[600], id[300];
    struct buf text = {0};
    xmlChar *href = xmlGetProp(link, (const xmlChar *)attribute), *words = xmlNodeGetContent(label);
    if (!href || !words || b->n_places >= EPUB_MAX_PLACES) goto done;
    resolve(from, (const char *)href, part, sizeof part, id, sizeof id);
    text_clean_line(&text, slice_of((const char *)words));
    if (!text.len) goto done;
    if (array_grow((void **)&b->places, &b->cap_places, b->n_places + 1, sizeof *b->places, b->w->e)) {
        nomem(b->w);
        goto done;
    }
    struct place *p = &b->places[b->n_places++];
    *p = (struct place){strdup(part), strdup(id), strdup(text.data)};
    if (!p->part || !p->id || !p->label) nomem(b->w);
done:
    if (href) xmlFree(href);
    if (words) xmlFree(words);
    buf_free(&text);
}

static void walk_contents(struct book *b, const char *from, const xmlNode *n, int depth) {
    if (depth > READER_MAX_DEPTH) return;
    for (; n && !b->w->code; n = n->next) {
        xmlChar *type = named(n, "nav") ? xmlGetProp(n, (const xmlChar *)"epub:type") : NULL;
        bool other = type && !strstr((const char *)type, "toc"); /* landmarks, numbers of printed pages */
        if (type) xmlFree(type);
        if (other) continue;
        if (named(n, "a")) {
            add_place(b, from, n, "href", n);
        } else if (named(n, "navpoint")) {
            const xmlNode *label = NULL, *link = NULL;
            for (const xmlNode *c = n->children; c; c = c->next) {
                if (named(c, "navlabel")) label = c;
                if (named(c, "content")) link = c;
            }
            if (label && link) add_place(b, from, link, "src", label);
        }
        if (!named(n, "pagelist") && !named(n, "navlist")) walk_contents(b, from, n->children, depth + 1);
    }
}

static int part_text(struct book *b, const char *part, struct buf *text) {
    struct buf bytes = {0};
    text->len = 0;
    if (!package_read(b->package, part, &bytes) && encoding_decode(buf_slice(&bytes), NULL, text, b->w->e)) nomem(b->w);
    buf_free(&bytes);
    return b->w->code;
}

static int read_contents(struct book *b) {
    const struct item *contents = NULL;
    struct buf text = {0};
    for (size_t i = 0; i < b->n_items; i++) /* the newer one is preferred */
        if (b->items[i].nav || (!contents && is(b->items[i].id, b->ncx))) contents = &b->items[i];
    if (contents && !part_text(b, contents->part, &text) && text.len) {
        htmlDocPtr doc = html_parse(buf_slice(&text));
        if (doc) {
            walk_contents(b, contents->part, xmlDocGetRootElement(doc), 0);
            xmlFreeDoc(doc);
        }
    }
    buf_free(&text);
    return b->w->code;
}

/* ---- chapters ---- */
/* "Introduction" is a name, not the number of a page. */
static struct slice label_of(struct book *b, struct slice name) {
    name = text_cut(name, EPUB_LABEL);
    bool words = name.len && memchr(name.data, ' ', name.len);
    return arena_slice_printf(&b->w->d->arena, "%s%.*s", words ? "" : "chapter ", (int)name.len, name.data);
}

static struct slice first_heading(const struct writer *w, size_t from) {
    for (size_t i = from; i < w->n_blocks; i++) {
        struct ingest_span s = w->blocks[i].span;
        if (w->blocks[i].kind == INGEST_BLOCK_HEADING && s.end > s.start)
            return (struct slice){w->text.data + s.start, s.end - s.start};
    }
    return (struct slice){"", 0};
}

static void read_chapter(struct book *b, const struct item *item, struct buf *text) {
    struct writer *w = b->w;
    struct html_place *places = calloc(b->n_places + 1, sizeof *places);
    size_t n = 0, n_blocks = w->n_blocks;
    struct slice start = {"", 0};
    if (!places) {
        nomem(w);
        return;
    }
    for (size_t i = 0; i < b->n_places; i++) {
        const struct place *p = &b->places[i];
        if (!is(p->part, item->part)) continue;
        struct slice label = label_of(b, slice_of(p->label));
        if (!start.len) start = label; /* what stands before the first mark belongs to it */
        if (p->id[0]) places[n++] = (struct html_place){p->id, label};
    }
    size_t page = w->n_pages;
    writer_page(w, start, 0, 0);
    if (!part_text(b, item->part, text)) {
        html_read_part(w, buf_slice(text), places, n, &b->struck);
    }
    if (!w->code && !start.len && !w->page_pending) { /* the contents don't name it */
        struct slice heading = first_heading(w, n_blocks);
        if (heading.len || !page)
            w->pages[page].label = label_of(b, heading.len ? heading : SLICE_LITERAL("the beginning"));
        else
            w->n_pages = page; /* it goes on in the chapter before */
    }
    if (!w->code) writer_page_cancel(w);
    free(places);
}

int epub_read(struct writer *w, struct package *package) {
    struct book b = {.w = w, .package = package};
    struct buf text = {0};
    unsigned n_others = 0;
    if (package_parse(package, "/META-INF/encryption.xml", lock_start, NULL, NULL, &b)) goto done;
    if (b.locked) {
        writer_fail(w, ERR_ENCRYPTED, w->o->name, "this e-book is protected against reading by other programs (DRM)");
        goto done;
    }
    package_main(package, b.main, sizeof b.main);
    if (package_parse(package, "", opf_start, NULL, NULL, &b) || read_contents(&b)) goto done;
    for (size_t i = 0; i < b.n_spine && !w->code; i++) {
        const struct item *item = &b.items[b.spine[i]];
        if (item->nav && b.n_spine > 1) continue; /* its lines stand again as headings */
        if (!package_has(package, item->part))
            writer_fail(w, ERR_FORMAT, w->o->name, "this EPUB file is damaged: its part %s is missing", item->part + 1);
        else if (strstr(item->type, "html") || strstr(item->type, "oeb1-document"))
            read_chapter(&b, item, &text);
        else
            n_others++;
    }
    if (n_others) writer_warn(w, INGEST_NONE, "parts of the book that are no text were not read (%u)", n_others);
    if (b.struck) writer_warn(w, INGEST_NONE, "struck-through text was not read");
    package_title(package);
done:
    for (size_t i = 0; i < b.n_places; i++) {
        free(b.places[i].part);
        free(b.places[i].id);
        free(b.places[i].label);
    }
    free(b.places);
    free(b.items);
    free(b.spine);
    buf_free(&text);
    return w->code;
}
