/* html.h: what epub.c needs of html.c: the parser, and the reading of one file of a book. Inside ingest only. */
#ifndef ANTINOMY_INGEST_HTML_H
#define ANTINOMY_INGEST_HTML_H

#include "ingest/reader.h"

#include <libxml/HTMLparser.h>

struct html_place { /* where a chapter begins */
    const char *id; /* of the element */
    struct slice label;
};

/* The tree of HTML, XHTML or what looks like it: no network, no entities but HTML's own; NULL when there is nothing in
 * it. xmlFreeDoc ends it. */
htmlDocPtr html_parse(struct slice utf8);
/* Like html_read, but of a book: no title is taken, notes that stand apart (<aside>, <footer>) are text, a page begins
 * at each place. *struck: whether struck-through text was left out. */
int html_read_part(struct writer *w, struct slice utf8, const struct html_place *places, size_t n_places, bool *struck);

#endif
