/* package.h: a document that is a ZIP file of XML parts (ECMA-376 part 2): the archive by libzip, its parts by expat,
 * with the limits on hostile ones. Says which format it holds; read.c hands it to that format's reader. Inside ingest
 * only. */
#ifndef ANTINOMY_INGEST_PACKAGE_H
#define ANTINOMY_INGEST_PACKAGE_H

#include "ingest/reader.h"

enum package_kind { PACKAGE_DOCX, PACKAGE_XLSX, PACKAGE_PPTX, PACKAGE_EPUB, PACKAGE_ODT };

/* ERR_UNSUPPORTED for ZIP files that hold none of these (says which), ERR_FORMAT, ERR_ENCRYPTED, ERR_LIMIT. */
int package_open(struct package **out, struct writer *w, int fd);
void package_close(struct package *p);
enum package_kind package_kind(const struct package *p);

typedef void (*package_start)(void *context, const char *name, const char **attributes);
typedef void (*package_end)(void *context, const char *name);
typedef void (*package_text)(void *context, const char *s, int len);
/* Reads a part beside the main one ("styles.xml"; "" is the main part itself; "/docProps/core.xml" from the root).
 * Names come as local names of the format's own namespace ("p", "tbl"; "row", "c"), others with their namespace's last
 * word before a colon, OpenDocument's with their usual prefix ("text:p"). A missing part is no error. */
int package_parse(struct package *p, const char *part, package_start start, package_end end, package_text text,
                  void *context);
bool package_has(struct package *p, const char *part);
/* The bytes of a part, appended to out; nothing of a missing one. */
int package_read(struct package *p, const char *part, struct buf *out);
void package_main(const struct package *p, char *out, size_t cap); /* the main part's name from the root */
/* What `target` names in the part `from` (from the root): "../images/a.png", "/ppt/media/a.png" -> from the root. */
void package_resolve(const char *from, const char *target, char *out, size_t cap);

/* The parts that a part leads to ("" is the main one, "/" the file itself): each relationship's id, the last word of
 * its type ("slide") and the part's name from the root ("/ppt/slides/slide1.xml"). Links out of the file are left out.
 */
typedef void (*package_relation)(void *context, const char *id, const char *type, const char *target);
int package_relations(struct package *p, const char *part, package_relation relation, void *context);
/* r:id, r:dm of an element that has plain ids too; NULL when absent. */
const char *package_relation_id(const char **attributes, const char *name);

/* Gives the document the title that its properties say, if they say one. */
int package_title(struct package *p);

const char *package_bare(const char *name); /* an element's name without what package_parse puts before a colon */
const char *package_attribute(const char **attributes, const char *name); /* by local name; NULL when absent */
/* A whole number of 0 to max; `fallback` for anything else. */
long package_number(const char **attributes, const char *name, long fallback, long max);
bool package_true(const char **attributes, const char *name); /* it says "1" or "true" */
bool package_on(const char **attributes);                     /* <w:b/>, w:val="1|true|on" */

#endif
