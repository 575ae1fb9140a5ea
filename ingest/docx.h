/* docx.h: the parts of a DOCX file (ECMA-376): numbering.c knows styles and numbering, docx.c reads the body. */
#ifndef ANTINOMY_INGEST_DOCX_H
#define ANTINOMY_INGEST_DOCX_H

#include "ingest/package.h"

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

int docx_numbering_read(struct docx_numbering *n, struct package *p, struct writer *w);
void docx_numbering_free(struct docx_numbering *n);
const struct docx_style *docx_style(const struct docx_numbering *n, const char *id);
/* Advances the counters and writes the number of the next paragraph of this list level: "4.2", "(a)", "-"; false when
 * it shows none. */
bool docx_number(struct docx_numbering *n, int num, int level, char *out, size_t cap, bool *bullet);

#endif
