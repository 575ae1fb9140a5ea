/* blob.h: a document as flat bytes, from the child process to its parent. The parent trusts nothing in it. */
#ifndef ANTINOMY_INGEST_BLOB_H
#define ANTINOMY_INGEST_BLOB_H

#include "ingest/reader.h"

/* Appends the document, or the error when code is not 0. */
void blob_write(struct buf *out, const struct ingest_document *d, int code, const struct error *e);
/* Makes the document of a blob (malloc'd, everything in its arena), or returns the error that it carries. ERR_FORMAT
 * for any blob that breaks a rule of ingest.h: ranges outside the text or between code points' bytes, out of order,
 * indices that point nowhere. */
int blob_read(struct slice blob, const struct ingest_options *o, struct ingest_document **out, struct error *e);

#endif
