/* document.h: what a reader makes of any bytes must hold as a document: blob_read, which checks every range, takes
 * what blob_write wrote of it. */
#ifndef ANTINOMY_TESTS_FUZZ_DOCUMENT_H
#define ANTINOMY_TESTS_FUZZ_DOCUMENT_H

#include "ingest/blob.h"

#include <assert.h>

static void check_holds(const struct ingest_document *d, const struct ingest_options *o) {
    struct buf blob = {0};
    struct ingest_document *again = NULL;
    struct error e = {0};
    blob_write(&blob, d, 0, &e);
    int code = blob_read(buf_slice(&blob), o, &again, &e);
    assert(code == 0);
    ingest_document_free(again);
    buf_free(&blob);
}

#endif
