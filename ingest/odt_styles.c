/* odt_styles.c: the styles of an OpenDocument text, and the numbers that its list styles and outline show but the file
 * does not write (OpenDocument 1.2 part 1, 16 and 19.880). */
#include "ingest/odt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STYLES 50000u
#define MAX_LIST_STYLES 5000u
#define MAX_BASED_ON 12 /* styles based on each other */

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static void copy(char *out, size_t cap, const char **a, const char *name) {
    const char *v = package_attribute(a, name);
    snprintf(out, cap, "%s", v ? v : "");
}

/* ---- reading ---- */
static void new_style(struct odt_styles *s, const char **a) {
    if (s->n_styles >= MAX_STYLES) return;
    if (array_grow((void **)&s->styles, &s->cap_styles, s->n_styles + 1, sizeof *s->styles, s->w->e)) {
        writer_fail(s->w, ERR_NOMEM, s->w->o->name, "out of memory while reading OpenDocument");
        return;
    }
    struct odt_style *y = &s->styles[s->n_styles++];
    memset(y, 0, sizeof *y);
    y->bold = y->struck = y->hidden = y->raised = y->centered = -1;
    copy(y->family, sizeof y->family, a, "family");
    copy(y->name, sizeof y->name, a, "name");
    copy(y->parent, sizeof y->parent, a, "parent-style-name");
    const char *list = package_attribute(a, "list-style-name");
    /* on a heading's own style it is how older programs wrote the outline's; on what is based on it it ends the numbers
     */
    y->no_list = list && !list[0] && !package_attribute(a, "default-outline-level");
    s->in_style = true;
}

static void begin_list(struct odt_styles *s, struct odt_list_style *l, const char **a) {
    memset(l, 0, sizeof *l);
    copy(l->name, sizeof l->name, a, "name");
    for (int i = 0; i < ODT_LEVELS; i++) l->levels[i].start = l->levels[i].display = 1;
    s->list = l;
}

static void new_list(struct odt_styles *s, const char **a) {
    if (s->n_lists >= MAX_LIST_STYLES) return;
    if (array_grow((void **)&s->lists, &s->cap_lists, s->n_lists + 1, sizeof *s->lists, s->w->e)) {
        writer_fail(s->w, ERR_NOMEM, s->w->o->name, "out of memory while reading OpenDocument");
        return;
    }
    begin_list(s, &s->lists[s->n_lists++], a);
}

static void read_level(struct odt_styles *s, const char **a, bool bullet) {
    long n = package_number(a, "level", 0, 1000000);
    if (n < 1 || n > ODT_LEVELS) return;
    struct odt_level *l = &s->list->levels[n - 1];
    l->bullet = bullet;
    l->doubled = package_true(a, "num-letter-sync");
    l->start = package_number(a, "start-value", 1, 1000000);
    l->display = (int)package_number(a, "display-levels", 1, 1000000);
    copy(l->format, sizeof l->format, a, "num-format");
    copy(l->prefix, sizeof l->prefix, a, "num-prefix");
    copy(l->suffix, sizeof l->suffix, a, "num-suffix");
    copy(l->pattern, sizeof l->pattern, a, "num-list-format");
}

static void read_look(struct odt_style *y, const char **a) {
    const char *v;
    if ((v = package_attribute(a, "font-weight")) != NULL) y->bold = is(v, "bold") || (v[0] >= '6' && v[0] <= '9');
    if ((v = package_attribute(a, "text-line-through-style")) != NULL ||
        (v = package_attribute(a, "text-line-through-type")) != NULL)
        y->struck = !is(v, "none");
    if ((v = package_attribute(a, "display")) != NULL) y->hidden = is(v, "none");
    if ((v = package_attribute(a, "text-position")) != NULL)
        y->raised = !strncmp(v, "super", 5) || strtol(v, NULL, 10) > 0;
    if ((v = package_attribute(a, "text-align")) != NULL) y->centered = is(v, "center");
}

void odt_styles_start(struct odt_styles *s, const char *name, const char **a) {
    if (is(name, "style:style"))
        new_style(s, a);
    else if (is(name, "style:text-properties") || is(name, "style:paragraph-properties")) {
        if (s->in_style) read_look(&s->styles[s->n_styles - 1], a);
    } else if (is(name, "text:list-style"))
        new_list(s, a);
    else if (is(name, "text:outline-style"))
        begin_list(s, &s->outline, a);
    else if (s->list && (is(name, "text:list-level-style-number") || is(name, "text:outline-level-style")))
        read_level(s, a, false);
    else if (s->list && (is(name, "text:list-level-style-bullet") || is(name, "text:list-level-style-image")))
        read_level(s, a, true);
}

void odt_styles_end(struct odt_styles *s, const char *name) {
    if (is(name, "style:style")) s->in_style = false;
    if (is(name, "text:list-style") || is(name, "text:outline-style")) s->list = NULL;
}

static void on_start(void *context, const char *name, const char **a) {
    odt_styles_start(context, name, a);
}

static void on_end(void *context, const char *name) {
    odt_styles_end(context, name);
}

int odt_styles_read(struct odt_styles *s, struct package *p) {
    return package_parse(p, "styles.xml", on_start, on_end, NULL, s);
}

static int by_name(const void *a, const void *b) {
    const struct odt_style *x = a, *y = b;
    int order = strcmp(x->family, y->family);
    return order ? order : strcmp(x->name, y->name);
}

static int lists_by_name(const void *a, const void *b) {
    return strcmp(((const struct odt_list_style *)a)->name, ((const struct odt_list_style *)b)->name);
}

void odt_styles_sort(struct odt_styles *s) {
    if (s->n_styles) qsort(s->styles, s->n_styles, sizeof *s->styles, by_name);
    if (s->n_lists) qsort(s->lists, s->n_lists, sizeof *s->lists, lists_by_name);
}

void odt_styles_free(struct odt_styles *s) {
    free(s->styles);
    free(s->lists);
}

/* ---- looks ---- */
static const struct odt_style *find(const struct odt_styles *s, const char *family, const char *name) {
    struct odt_style key;
    if (!s->n_styles) return NULL;
    snprintf(key.family, sizeof key.family, "%s", family);
    snprintf(key.name, sizeof key.name, "%s", name);
    return bsearch(&key, s->styles, s->n_styles, sizeof *s->styles, by_name);
}

void odt_look(const struct odt_styles *s, const char *family, const char *name, struct odt_look *look) {
    signed char bold = -1, struck = -1, hidden = -1, raised = -1, centered = -1;
    bool paragraph = is(family, "paragraph"), subtitle = false;
    for (int depth = 0; name[0] && depth < MAX_BASED_ON; depth++) {
        if (paragraph) {
            subtitle = subtitle || is(name, "Subtitle");
            look->title = look->title || (is(name, "Title") && !subtitle);
            look->caption = look->caption || is(name, "Caption");
        }
        const struct odt_style *y = find(s, family, name);
        if (!y) break;
        if (bold < 0) bold = y->bold;
        if (struck < 0) struck = y->struck;
        if (hidden < 0) hidden = y->hidden;
        if (raised < 0) raised = y->raised;
        if (centered < 0) centered = y->centered;
        look->no_list = look->no_list || y->no_list;
        name = y->parent;
    }
    if (bold >= 0) look->bold = bold;
    if (struck >= 0) look->struck = struck;
    if (hidden >= 0) look->hidden = hidden;
    if (raised >= 0) look->raised = raised;
    if (centered >= 0) look->centered = centered;
}

/* ---- numbers ---- */
const struct odt_list_style *odt_list(const struct odt_styles *s, const char *name) {
    struct odt_list_style key;
    if (!s->n_lists) return NULL;
    snprintf(key.name, sizeof key.name, "%s", name);
    return bsearch(&key, s->lists, s->n_lists, sizeof *s->lists, lists_by_name);
}

static long first(const struct odt_list_style *l, int level) {
    return l ? l->levels[level].start : 1;
}

void odt_next(const struct odt_list_style *l, int level, struct odt_count *c, long start) {
    c->count[level] = start >= 0 ? start : c->begun[level] ? c->count[level] + 1 : first(l, level);
    c->begun[level] = true;
    for (int i = level + 1; i < ODT_LEVELS; i++) c->begun[i] = false;
}

/* One level's figure; nothing where the level shows none. */
static void figure(const struct odt_list_style *l, int level, struct odt_count *c, struct buf *out) {
    const struct odt_level *v = &l->levels[level];
    char text[32] = "";
    if (!c->begun[level]) { /* a level that was skipped shows its start */
        c->count[level] = v->start;
        c->begun[level] = true;
    }
    unsigned long n = (unsigned long)c->count[level];
    if (v->format[0] == 'a' || v->format[0] == 'A')
        ordinal_letters(n, v->format[0] == 'A', v->doubled, text, sizeof text);
    else if ((v->format[0] == 'i' || v->format[0] == 'I') && n < 5000)
        ordinal_roman(n, v->format[0] == 'I', text, sizeof text);
    else if (v->format[0])
        snprintf(text, sizeof text, "%lu", n);
    buf_puts(out, text);
}

bool odt_number(const struct odt_list_style *l, int level, struct odt_count *c, char *out, size_t cap, bool *bullet) {
    struct buf b = {0};
    out[0] = 0;
    *bullet = l && l->levels[level].bullet;
    if (!l) return false;
    const struct odt_level *v = &l->levels[level];
    if (*bullet) {
        buf_puts(&b, "-");
    } else if (v->pattern[0]) {
        for (const char *p = v->pattern; *p; p++) {
            char *end;
            long n = *p == '%' ? strtol(p + 1, &end, 10) : 0;
            if (n >= 1 && n <= level + 1 && *end == '%') {
                figure(l, (int)n - 1, c, &b);
                p = end;
            } else {
                buf_append(&b, p, 1);
            }
        }
    } else {
        int from = level + 1 - v->display;
        buf_puts(&b, v->prefix);
        for (int i = from < 0 ? 0 : from; i <= level && v->format[0]; i++) {
            if (i > from && i > 0 && b.len > strlen(v->prefix) && l->levels[i].format[0]) buf_puts(&b, ".");
            figure(l, i, c, &b);
        }
        buf_puts(&b, v->suffix);
    }
    struct slice s = slice_trim(buf_slice(&b));
    bool any = s.len > 0 && (v->format[0] || *bullet || v->prefix[0]);
    if (any) snprintf(out, cap, "%.*s", (int)s.len, s.data);
    buf_free(&b);
    return any;
}
