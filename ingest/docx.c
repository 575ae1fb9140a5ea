/* docx.c: DOCX is not read yet. */
#include "ingest/reader.h"

int docx_read(struct writer *w, int fd, uint64_t n_bytes) {
    (void)fd;
    (void)n_bytes;
    return writer_fail(w, ERR_UNSUPPORTED, w->o->name, "DOCX files are not read yet");
}
