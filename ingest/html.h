/* html.h: what epub.c and eml.c need of html.c: the parser, and the reading of a part of a book or message. Inside
 * ingest only. */
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
/* Like html_read, but of a book's file or a message's part: no title is taken, notes that stand apart (<aside>,
 * <footer>) are text, an empty one is no fault, a page begins at each place. *struck is set where struck-through text
 * was left out. */
int html_read_part(struct writer *w, struct slice utf8, const struct html_place *places, size_t n_places, bool *struck);

#endif
