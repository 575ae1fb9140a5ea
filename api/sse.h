/* sse.h: event streams (WHATWG HTML, "Server-sent events"), both ends. */
#ifndef ANTINOMY_SSE_H
#define ANTINOMY_SSE_H

#include "base.h"

/* ---- writing: a bounded queue between the thread that works and the thread that sends ---- */
struct sse_stream;
struct sse_stream *sse_stream_new(void);
/* Two owners (worker, sender); the last one frees. */
void sse_stream_drop(struct sse_stream *s);
/* Queues an event; never blocks. Progress events ("stage", "job") give way when the client is slow; false: the client
 * has gone, or is so slow that the stream was given up. */
bool sse_stream_put(struct sse_stream *s, const char *name, struct slice json);
void sse_stream_end(struct sse_stream *s);     /* worker: nothing more will come */
void sse_stream_abandon(struct sse_stream *s); /* sender: nobody reads any more */
bool sse_stream_abandoned(const struct sse_stream *s);
/* Copies what is due: bytes copied; 0 after ping_s without anything (then send a ping); -1 at the end. */
long sse_stream_read(struct sse_stream *s, char *out, size_t cap, double ping_s);
/* One event as bytes: id, event, data; a line end in json would end the field, so each line gets its own "data:". */
void sse_format(struct buf *b, uint64_t id, const char *name, struct slice json);

/* ---- reading: bytes in pieces of any size -> events ---- */
struct sse_reader {
    struct buf line, data;
    char name[32];
    bool skip_lf;
};
/* Calls event for each complete event; false when it returned false or memory ended. */
bool sse_reader_feed(struct sse_reader *r, const char *bytes, size_t n,
                     bool (*event)(void *ctx, const char *name, struct slice data), void *ctx);
void sse_reader_free(struct sse_reader *r);

#endif
