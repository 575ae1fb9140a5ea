/* sse.c: event streams, written (bounded queue from the working thread to the sending one) and read (by our own
 * client). A slow reader never holds the work: progress is dropped first, then the stream is given up. Source: WHATWG
 * HTML Living Standard, section 9.2 "Server-sent events" (parsing: CR, LF or CRLF; comment lines begin with ':'). */
#include "api/sse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- limits ---- */
#define QUEUE_SOFT (64u << 10) /* bytes waiting: progress events are dropped from here on */
#define QUEUE_HARD (16u << 20) /* bytes waiting: the stream is given up */
#define READER_MAX (64u << 20) /* bytes of one event that our client accepts (a report) */

struct sse_stream {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct buf queue;
    size_t sent; /* bytes of queue already copied out */
    uint64_t next_id;
    bool ended;
    atomic_bool abandoned;
    int owners;
};

struct sse_stream *sse_stream_new(void) {
    struct sse_stream *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->more, &attr);
    pthread_condattr_destroy(&attr);
    s->next_id = 1;
    s->owners = 2;
    return s;
}

void sse_stream_drop(struct sse_stream *s) {
    if (s == NULL) return;
    pthread_mutex_lock(&s->lock);
    int left = --s->owners;
    pthread_mutex_unlock(&s->lock);
    if (left > 0) return;
    buf_free(&s->queue);
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void sse_format(struct buf *b, uint64_t id, const char *name, struct slice json) {
    buf_printf(b, "id: %llu\nevent: %s\n", (unsigned long long)id, name);
    size_t i = 0;
    do {
        size_t j = i;
        while (j < json.len && json.data[j] != '\n' && json.data[j] != '\r') j++;
        buf_puts(b, "data: ");
        buf_append(b, json.data + i, j - i);
        buf_puts(b, "\n");
        i = j + 1;
    } while (i < json.len);
    buf_puts(b, "\n");
}

bool sse_stream_put(struct sse_stream *s, const char *name, struct slice json) {
    if (atomic_load(&s->abandoned)) return false;
    bool progress = strcmp(name, "stage") == 0 || strcmp(name, "job") == 0;
    pthread_mutex_lock(&s->lock);
    size_t waiting = s->queue.len - s->sent;
    bool ok = true;
    if (waiting + json.len > QUEUE_HARD) {
        atomic_store(&s->abandoned, true);
        ok = false;
    } else if (!(progress && waiting > QUEUE_SOFT)) {
        if (s->sent > QUEUE_SOFT) { /* what was sent makes room */
            memmove(s->queue.data, s->queue.data + s->sent, waiting);
            s->queue.len = waiting;
            s->sent = 0;
        }
        sse_format(&s->queue, s->next_id++, name, json);
        if (s->queue.failed) {
            atomic_store(&s->abandoned, true);
            ok = false;
        }
    }
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void sse_stream_end(struct sse_stream *s) {
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
}

void sse_stream_abandon(struct sse_stream *s) {
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->abandoned, true);
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
}

bool sse_stream_abandoned(const struct sse_stream *s) {
    return atomic_load(&s->abandoned);
}

long sse_stream_read(struct sse_stream *s, char *out, size_t cap, double ping_s) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)ping_s;
    long nsec = until.tv_nsec + (long)((ping_s - (double)(time_t)ping_s) * 1e9);
    until.tv_sec += nsec / 1000000000;
    until.tv_nsec = nsec % 1000000000;

    long n = 0;
    pthread_mutex_lock(&s->lock);
    int timed_out = 0;
    while (s->queue.len == s->sent && !s->ended && !atomic_load(&s->abandoned) && timed_out == 0)
        timed_out = pthread_cond_timedwait(&s->more, &s->lock, &until);
    size_t waiting = s->queue.len - s->sent;
    if (atomic_load(&s->abandoned)) {
        n = -1;
    } else if (waiting > 0) {
        size_t take = waiting < cap ? waiting : cap;
        memcpy(out, s->queue.data + s->sent, take);
        s->sent += take;
        if (s->sent == s->queue.len) s->sent = s->queue.len = 0;
        n = (long)take;
    } else if (s->ended) {
        n = -1;
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---- reading ---- */
void sse_reader_free(struct sse_reader *r) {
    buf_free(&r->line);
    buf_free(&r->data);
    memset(r, 0, sizeof *r);
}

static bool reader_line(struct sse_reader *r, bool (*event)(void *, const char *, struct slice), void *ctx) {
    if (r->line.len == 0) { /* an empty line ends the event */
        bool ok = true;
        if (r->data.len > 0) {
            struct slice data = {r->data.data, r->data.len - 1}; /* the last line end is not part of it */
            ok = event(ctx, r->name[0] != '\0' ? r->name : "message", data);
        }
        r->data.len = 0;
        r->name[0] = '\0';
        return ok;
    }
    struct slice value = buf_slice(&r->line);
    size_t colon = 0;
    while (colon < value.len && value.data[colon] != ':') colon++;
    struct slice field = {value.data, colon};
    value.data += colon;
    value.len -= colon;
    if (value.len > 0) { /* ':' and one space behind it */
        value.data++;
        value.len--;
    }
    if (value.len > 0 && value.data[0] == ' ') {
        value.data++;
        value.len--;
    }
    if (slice_equal(field, SLICE_LITERAL("data"))) {
        buf_append(&r->data, value.data, value.len);
        buf_puts(&r->data, "\n");
    } else if (slice_equal(field, SLICE_LITERAL("event")) && value.len < sizeof r->name) {
        memcpy(r->name, value.data, value.len);
        r->name[value.len] = '\0';
    }
    r->line.len = 0;
    return !r->data.failed;
}

bool sse_reader_feed(struct sse_reader *r, const char *bytes, size_t n,
                     bool (*event)(void *ctx, const char *name, struct slice data), void *ctx) {
    for (size_t i = 0; i < n;) {
        if (r->skip_lf) { /* CRLF cut between two reads */
            r->skip_lf = false;
            if (bytes[i] == '\n') {
                i++;
                continue;
            }
        }
        size_t j = i;
        while (j < n && bytes[j] != '\n' && bytes[j] != '\r') j++;
        buf_append(&r->line, bytes + i, j - i);
        if (r->line.failed || r->line.len + r->data.len > READER_MAX) return false;
        if (j == n) return true;
        r->skip_lf = bytes[j] == '\r';
        if (!reader_line(r, event, ctx)) return false;
        i = j + 1;
    }
    return true;
}
