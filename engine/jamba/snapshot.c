/* snapshot.c: a session's whole state in a file, restored bit for bit. Owns the container; the backend writes and reads
 * the payload.
 *
 *     file:   header, zeros up to BLOCK, then the payload, cut into blocks of BLOCK bytes (the last one less);
 *             behind each block, the header's too, its checksum u64
 *     header:   0 "ANTSNAP1"   8 version u32   12 n_tokens u32   16 payload bytes u64
 *              24 model id [32]   56 prefix hash [32]   88 kernel path [64], NUL-padded
 *             152 hash state: 8 x u32, bytes u64, block [64]
 *
 * All numbers little-endian. Checksums guard against accidents, not against forgers: snapshots lie in our own data
 * directory. Written to path.tmp, fsynced, renamed. */
#include "engine/jamba/checked.h"
#include "engine/jamba/session.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SNAPSHOT_VERSION 3u /* 2: the avx2 path keeps keys and values in fixed point; 3: avx512-vnni too */
#define BLOCK ((size_t)4096)
#define BUFFER_BLOCKS ((size_t)64)
#define READ_BLOCKS ((size_t)16)
#define BLOCK_BYTES (BLOCK + 8)
static const char magic[8] = {'A', 'N', 'T', 'S', 'N', 'A', 'P', '1'};
static const char tmp_suffix[] = ".tmp";

struct stream {
    int fd;
    const char *path;
    uint8_t *buffer; /* BUFFER_BLOCKS blocks with their checksums */
    size_t used;     /* content bytes in the buffer */
    uint64_t block;  /* number of the buffer's first block */
    struct error *e;
};

static uint8_t *content(const struct stream *s, size_t at) {
    return s->buffer + at / BLOCK * BLOCK_BYTES + at % BLOCK;
}

/* ---- writing ---- */
static int write_all(const struct stream *s, const uint8_t *p, size_t len) {
    while (len) {
        ssize_t n = write(s->fd, p, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(s->e, ERR_IO, s->path, "The saved reading cannot be written: %s.", strerror(errno));
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Checksums the buffer's blocks and writes them; all are full but, at the end of the file, the last. */
static int flush(struct stream *s) {
    size_t bytes = 0;
    for (size_t at = 0; at < s->used; at += BLOCK) {
        size_t len = s->used - at < BLOCK ? s->used - at : BLOCK;
        uint8_t *p = s->buffer + at / BLOCK * BLOCK_BYTES;
        put_u64(p + len, block_checksum(p, len, s->block++));
        bytes += len + 8;
    }
    s->used = 0;
    return write_all(s, s->buffer, bytes);
}

static int put(void *ctx, const void *data, size_t len) {
    struct stream *s = ctx;
    const uint8_t *p = data;
    while (len) {
        if (s->used == BUFFER_BLOCKS * BLOCK) {
            int rc = flush(s);
            if (rc) return rc;
        }
        size_t room = BLOCK - s->used % BLOCK, n = len < room ? len : room;
        memcpy(content(s, s->used), p, n);
        s->used += n;
        p += n;
        len -= n;
    }
    return 0;
}

int jamba_session_save(const struct jamba_session *s, const char *path, struct error *e) {
    struct jamba_model *m = s->model;
    struct stream out = {.fd = -1, .path = path, .e = e, .buffer = malloc(BUFFER_BLOCKS * BLOCK_BYTES)};
    struct slice tmp = {0};
    struct arena arena = {0};
    uint8_t header[BLOCK] = {0};
    int rc = 0;
    tmp = arena_slice_printf(&arena, "%s%s", path, tmp_suffix);
    if (!out.buffer || !tmp.len) {
        rc = error_set(e, ERR_NOMEM, path, "There is no memory to save the reading.");
        goto done;
    }
    out.fd = open(tmp.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out.fd < 0) {
        rc = error_set(e, ERR_IO, path, "The saved reading cannot be created: %s.", strerror(errno));
        goto done;
    }
    memcpy(header, magic, 8);
    put_u32(header + 8, SNAPSHOT_VERSION);
    put_u32(header + 12, s->n_tokens);
    put_u64(header + 16, m->backend->state_bytes(m->backend_ctx, s->state, s->n_tokens));
    memcpy(header + 24, m->id, 32);
    jamba_session_prefix_hash(s, header + 56);
    snprintf((char *)header + 88, 64, "%s", m->backend->path(m->backend_ctx));
    for (size_t i = 0; i < 8; i++) put_u32(header + 152 + 4 * i, s->hash.state[i]);
    put_u64(header + 184, s->hash.n_bytes);
    memcpy(header + 192, s->hash.block, 64);
    rc = put(&out, header, BLOCK);
    if (!rc) rc = m->backend->state_write(m->backend_ctx, s->state, s->n_tokens, put, &out, e);
    if (!rc) rc = flush(&out);
    if (!rc && fsync(out.fd))
        rc = error_set(e, ERR_IO, path, "The saved reading cannot be written: %s.", strerror(errno));
    if (close(out.fd) && !rc)
        rc = error_set(e, ERR_IO, path, "The saved reading cannot be written: %s.", strerror(errno));
    if (!rc && rename(tmp.data, path))
        rc = error_set(e, ERR_IO, path, "The saved reading cannot be put in place: %s.", strerror(errno));
    if (rc) unlink(tmp.data);
done:
    free(out.buffer);
    arena_free(&arena);
    return rc;
}

/* ---- reading: any place, by several threads at once ---- */
struct source {
    int fd;
    const char *path;
    uint64_t payload; /* bytes */
    pthread_mutex_t mutex;
    uint64_t failed; /* the first block found bad, UINT64_MAX: none; it and e are under the mutex */
    int code;        /* of that fault */
    struct error *e;
};

/* Of the faults that threads find before they stop, the one nearest the beginning is told. */
__attribute__((format(printf, 4, 5))) static int fault(struct source *s, uint64_t block, int code, const char *format,
                                                       ...) {
    va_list args;
    char text[256];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pthread_mutex_lock(&s->mutex);
    if (block < s->failed) {
        s->failed = block;
        s->code = code;
        error_set(s->e, code, s->path, "%s", text);
    }
    pthread_mutex_unlock(&s->mutex);
    return code;
}

/* Blocks from `first` on, len bytes of content, with their checksums into p; checked. */
static int read_blocks(struct source *s, uint64_t first, uint8_t *p, size_t len) {
    size_t want = len + (len + BLOCK - 1) / BLOCK * 8, have = 0;
    while (have < want) {
        ssize_t n = pread(s->fd, p + have, want - have, (off_t)(first * BLOCK_BYTES + have));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fault(s, first, ERR_IO, "The saved reading cannot be read: %s.", strerror(errno));
        if (n == 0)
            return fault(s, first + have / BLOCK_BYTES, ERR_FORMAT, "The saved reading is cut short in block %llu.",
                         (unsigned long long)(first + have / BLOCK_BYTES));
        have += (size_t)n;
    }
    for (size_t at = 0; at < len; at += BLOCK) {
        size_t n = len - at < BLOCK ? len - at : BLOCK;
        const uint8_t *block = p + at / BLOCK * BLOCK_BYTES;
        uint64_t number = first + at / BLOCK;
        if (take_u64(block + n) != block_checksum(block, n, number))
            return fault(s, number, ERR_FORMAT, "The saved reading is damaged in block %llu (byte %llu).",
                         (unsigned long long)number, (unsigned long long)(number * BLOCK_BYTES));
    }
    return 0;
}

/* Payload bytes from `at` on. */
static int take(void *ctx, void *data, size_t len, uint64_t at) {
    struct source *s = ctx;
    uint8_t *p = data, buffer[READ_BLOCKS * BLOCK_BYTES];
    int rc = 0;
    if (at > s->payload || len > s->payload - at)
        rc = fault(s, 1 + at / BLOCK, ERR_FORMAT, "The saved reading holds less than its header says.");
    while (!rc && len) {
        uint64_t start = at / BLOCK * BLOCK, left = s->payload - start;
        size_t have = left < READ_BLOCKS * BLOCK ? (size_t)left : READ_BLOCKS * BLOCK;
        size_t skip = (size_t)(at - start), blocks = (skip + len + BLOCK - 1) / BLOCK;
        if (blocks * BLOCK < have) have = blocks * BLOCK;
        rc = read_blocks(s, 1 + start / BLOCK, buffer, have);
        while (!rc && len && skip < have) {
            size_t in_block = BLOCK - skip % BLOCK, n = len < in_block ? len : in_block;
            memcpy(p, buffer + skip / BLOCK * BLOCK_BYTES + skip % BLOCK, n);
            p += n, at += n, skip += n, len -= n;
        }
    }
    return rc;
}

static int check_header(const struct jamba_model *m, const uint8_t *h, const char *path, uint32_t max_tokens,
                        struct error *e) {
    char saved[65] = {0}, ours[65], theirs[65];
    memcpy(saved, h + 88, 64);
    if (take_u32(h + 8) != SNAPSHOT_VERSION)
        return error_set(e, ERR_UNSUPPORTED, path,
                         "The saved reading has format version %u; this program reads version %u.", take_u32(h + 8),
                         SNAPSHOT_VERSION);
    if (memcmp(h + 24, m->id, 32)) {
        hex_encode(m->id, 32, ours);
        hex_encode(h + 24, 32, theirs);
        return error_set(e, ERR_UNSUPPORTED, path, "The saved reading belongs to model %.12s, the one in use is %.12s.",
                         theirs, ours);
    }
    const char *in_use = m->backend->path(m->backend_ctx);
    if (strcmp(saved, in_use))
        return error_set(e, ERR_UNSUPPORTED, path,
                         "The saved reading was made on the kernel path \"%s\", the one in use is \"%s\".", saved,
                         in_use);
    if (take_u32(h + 12) > max_tokens)
        return error_set(e, ERR_LIMIT, path, "The saved reading holds %u tokens; the session has room for %u.",
                         take_u32(h + 12), max_tokens);
    return 0;
}

int jamba_session_restore(struct jamba_session **out, struct jamba_model *m, const char *path, uint32_t max_tokens,
                          struct error *e) {
    struct source in = {.path = path, .e = e, .failed = UINT64_MAX, .mutex = PTHREAD_MUTEX_INITIALIZER};
    struct jamba_session *s = NULL;
    uint8_t hash[32], header[BLOCK_BYTES], extra;
    *out = NULL;
    in.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (in.fd < 0)
        return error_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, path, "The saved reading cannot be opened: %s.",
                         strerror(errno));
    int rc = 0;
    if (pread(in.fd, header, 8, 0) == 8 && memcmp(header, magic, 8))
        rc = error_set(e, ERR_FORMAT, path, "This file is not a saved reading.");
    if (!rc) rc = read_blocks(&in, 0, header, BLOCK);
    if (!rc) rc = check_header(m, header, path, max_tokens, e);
    if (!rc) rc = jamba_session_open(&s, m, max_tokens, e);
    if (rc) goto done;
    uint32_t n_tokens = take_u32(header + 12);
    in.payload = take_u64(header + 16);
    if (in.payload != m->backend->state_bytes(m->backend_ctx, s->state, n_tokens)) {
        rc = error_set(e, ERR_FORMAT, path, "The saved reading's size does not fit its %u tokens.", n_tokens);
        goto done;
    }
    rc = m->backend->state_read(m->backend_ctx, s->state, n_tokens, take, &in, e);
    if (rc && in.failed != UINT64_MAX) rc = in.code; /* what e tells */
    uint64_t end = BLOCK_BYTES + in.payload + (in.payload + BLOCK - 1) / BLOCK * 8;
    if (!rc && pread(in.fd, &extra, 1, (off_t)end) != 0)
        rc = error_set(e, ERR_FORMAT, path, "The saved reading goes on behind its end.");
    if (rc) goto done;
    for (size_t i = 0; i < 8; i++) s->hash.state[i] = take_u32(header + 152 + 4 * i);
    s->hash.n_bytes = take_u64(header + 184);
    memcpy(s->hash.block, header + 192, 64);
    s->n_tokens = n_tokens;
    jamba_session_prefix_hash(s, hash);
    if (s->hash.n_bytes != (uint64_t)n_tokens * 4 || memcmp(hash, header + 56, 32))
        rc = error_set(e, ERR_FORMAT, path, "The saved reading's prefix hash does not fit its tokens.");
done:
    close(in.fd);
    pthread_mutex_destroy(&in.mutex);
    if (rc)
        jamba_session_close(s);
    else
        *out = s;
    return rc;
}
