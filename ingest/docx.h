/* docx.h: the parts of a DOCX file (ECMA-376): package.c opens the ZIP and feeds parts to expat, numbering.c knows
 * styles and numbering, docx.c reads the body. */
#ifndef ANTINOMY_INGEST_DOCX_H
#define ANTINOMY_INGEST_DOCX_H

#include "ingest/reader.h"

#include <expat.h>

#define DOCX_LEVELS 9
#define DOCX_NAME 80 /* bytes kept of style ids and names */

struct docx_style {
    char id[DOCX_NAME], name[DOCX_NAME], based_on[DOCX_NAME];
    int outline;    /* 0..8, -1 unset */
    int num, level; /* numId, ilvl; -1 unset */
    bool bold;
};
struct docx_level {
    long start;
    char format[24]; /* decimal, lowerLetter, upperRoman, bullet ... */
    char text[64];   /* "%1.%2" */
    bool legal;      /* all its numbers are decimal */
};
struct docx_abstract {
    int id;
    struct docx_level levels[DOCX_LEVELS];
    long count[DOCX_LEVELS]; /* while reading the body */
    bool begun[DOCX_LEVELS];
};
struct docx_num {
    int id, abstract;
    long override[DOCX_LEVELS]; /* -1: none */
    bool used[DOCX_LEVELS];
};
struct docx_numbering {
    struct docx_style *styles;
    size_t n_styles, cap_styles;
    struct docx_abstract *abstracts;
    size_t n_abstracts, cap_abstracts;
    struct docx_num *nums;
    size_t n_nums, cap_nums;
};

struct docx_part; /* an XML part being read */
typedef void (*docx_start)(void *context, const char *name, const char **attributes);
typedef void (*docx_end)(void *context, const char *name);
typedef void (*docx_text)(void *context, const char *s, int len);

struct docx_package;
/* ERR_UNSUPPORTED for other ZIP files (says which), ERR_FORMAT, ERR_ENCRYPTED, ERR_LIMIT. */
int docx_package_open(struct docx_package **out, struct writer *w, int fd);
void docx_package_close(struct docx_package *p);
/* Reads a part beside the main one ("styles.xml"; "" is the main part itself; "/docProps/core.xml" from the root).
 * Names come as local names of the WordprocessingML namespace ("p", "tbl"), others with their namespace's last word
 * before a colon. A missing part is no error. */
int docx_package_parse(struct docx_package *p, const char *part, docx_start start, docx_end end, docx_text text,
                       void *context);

const char *docx_attribute(const char **attributes, const char *name); /* by local name; NULL when absent */
bool docx_on(const char **attributes);                                 /* <w:b/>, w:val="1|true|on" */

int docx_numbering_read(struct docx_numbering *n, struct docx_package *p, struct writer *w);
void docx_numbering_free(struct docx_numbering *n);
const struct docx_style *docx_style(const struct docx_numbering *n, const char *id);
/* Advances the counters and writes the number of the next paragraph of this list level: "4.2", "(a)", "-"; false when
 * it shows none. */
bool docx_number(struct docx_numbering *n, int num, int level, char *out, size_t cap, bool *bullet);

#endif
