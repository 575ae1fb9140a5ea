/* multipart.h: multipart/form-data in pieces of any size -> parts. */
#ifndef ANTINOMY_MULTIPART_H
#define ANTINOMY_MULTIPART_H

#include "api/api.h"

struct multipart_events { /* each returns 0 or an ERR_ code with e filled, which ends the parsing */
    int (*begin)(void *ctx, const char *name, const char *filename /* NULL: a plain field */, struct error *e);
    int (*data)(void *ctx, const char *bytes, size_t n, struct error *e);
    int (*end)(void *ctx, struct error *e);
    void *ctx;
};

struct multipart {
    struct multipart_events events;
    char delimiter[80]; /* CR LF -- boundary */
    size_t delimiter_len;
    int state;
    size_t matched; /* bytes of the delimiter that the input's end matches */
    char after[3];  /* what stands behind a delimiter */
    size_t n_after;
    struct buf header;
    int n_parts;
};

/* content_type: the request's header. ERR_ARG when it is not multipart/form-data with a usable boundary. */
int multipart_open(struct multipart *m, const char *content_type, const struct multipart_events *events,
                   struct error *e);
int multipart_feed(struct multipart *m, const char *bytes, size_t n, struct error *e);
/* The body has ended: ERR_FORMAT when it ended in the middle of a part. */
int multipart_close(struct multipart *m, struct error *e);
void multipart_free(struct multipart *m);

#endif
