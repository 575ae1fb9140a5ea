/* fuzz_child_blob.c: what a taken-over child could answer: blob_read refuses it or gives a document whose lookups are
 * safe. */
#include "ingest/blob.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct ingest_options o = options_resolve(NULL);
    struct error e = {0};
    struct ingest_document *d = NULL;
    o.name = "fuzz";
    if (blob_read((struct slice){(const char *)data, size}, &o, &d, &e)) return 0;
    struct ingest_rect r[8];
    for (uint32_t at = 0; at <= d->text.len && at < 64; at++) {
        (void)ingest_page_at(d, at);
        (void)ingest_statement_at(d, at);
        (void)ingest_section_at(d, at);
        (void)ingest_rects(d, (struct ingest_span){0, at}, r, 8);
    }
    ingest_document_free(d);
    return 0;
}
