/* pdf.c: PDF is not read yet. */
#include "ingest/reader.h"

int pdf_read(struct writer *w, int fd) {
    (void)fd;
    return writer_fail(w, ERR_UNSUPPORTED, w->o->name, "PDF files are not read yet");
}
