/* odt.h: the styles of an OpenDocument text (OpenDocument 1.2 part 1, 16): odt_styles.c knows what a style makes of its
 * text and how list styles number; odt.c reads the body. */
#ifndef ANTINOMY_INGEST_ODT_H
#define ANTINOMY_INGEST_ODT_H

#include "ingest/package.h"

#define ODT_LEVELS 10
#define ODT_NAME 80    /* bytes kept of style names and ids */
#define ODT_NUMBER 128 /* bytes of a computed number */

/* What a style, with those that it is based on, makes of the text. */
struct odt_look {
    bool bold, struck, hidden, raised, centered;
    bool title, caption; /* of a paragraph */
    bool no_list;        /* a heading that is taken out of the outline's numbering */
};
struct odt_style {
    char family[12], name[ODT_NAME], parent[ODT_NAME];
    signed char bold, struck, hidden, raised, centered; /* -1: not said */
    bool no_list;
};
struct odt_level {
    char format[8];                           /* "1", "a", "A", "i", "I"; empty: no number */
    char prefix[24], suffix[24], pattern[64]; /* pattern: "%1%.%2%", which newer programs write */
    long start;
    int display; /* how many levels it shows */
    bool bullet, doubled;
};
struct odt_list_style {
    char name[ODT_NAME];
    struct odt_level levels[ODT_LEVELS];
};
struct odt_styles {
    struct writer *w;
    struct odt_style *styles;
    size_t n_styles, cap_styles;
    struct odt_list_style *lists, outline;
    size_t n_lists, cap_lists;
    /* while reading */
    bool in_style;
    struct odt_list_style *list;
};
struct odt_count {
    long count[ODT_LEVELS];
    bool begun[ODT_LEVELS];
};

/* styles.xml. Those of content.xml come by odt_styles_start and _end as its reader meets them, then _sort, and from
 * then on the questions below may be asked. */
int odt_styles_read(struct odt_styles *s, struct package *p);
void odt_styles_start(struct odt_styles *s, const char *name, const char **a);
void odt_styles_end(struct odt_styles *s, const char *name);
void odt_styles_sort(struct odt_styles *s);
void odt_styles_free(struct odt_styles *s);

/* Changes what the style and its ancestors say, leaves the rest as it is. */
void odt_look(const struct odt_styles *s, const char *family, const char *name, struct odt_look *look);
const struct odt_list_style *odt_list(const struct odt_styles *s, const char *name); /* NULL when unknown */
/* Counts one up on this level, or to `start` where it is not negative; the levels below begin anew. */
void odt_next(const struct odt_list_style *l, int level, struct odt_count *c, long start);
/* The number as shown: "4.2", "(a)", "-"; false when it shows none. */
bool odt_number(const struct odt_list_style *l, int level, struct odt_count *c, char *out, size_t cap, bool *bullet);

#endif
