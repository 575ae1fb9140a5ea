/* extract.c: ingest_document_load: opens the file and has it read. */
#include "ingest/reader.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ingest_document_load(struct ingest_document **out, const char *path, const struct ingest_options *options,
                         struct error *e) {
    struct ingest_options o = options_resolve(options);
    *out = NULL;
    if (!o.name) o.name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, o.name, "the file cannot be opened: %s",
                         strerror(errno));
    struct ingest_document *d = calloc(1, sizeof *d);
    int code = d ? document_read(d, fd, &o, e) : error_set(e, ERR_NOMEM, o.name, "out of memory");
    close(fd);
    if (code)
        ingest_document_free(d);
    else
        *out = d;
    return code;
}
