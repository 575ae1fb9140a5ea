/* base.c: see base.h. SHA-256 after FIPS 180-4; UTF-8 after RFC 3629. */
#include "base.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int error_set(struct error *e, int code, const char *where, const char *fmt, ...) {
    if (!e) return code;
    e->code = code;
    snprintf(e->where, sizeof e->where, "%s", where ? where : "");
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->message, sizeof e->message, fmt, ap);
    va_end(ap);
    return code;
}

const char *error_name(int code) {
    switch (code) {
    case ERR_OK: return "ok";
    case ERR_NOMEM: return "out_of_memory";
    case ERR_IO: return "io";
    case ERR_FORMAT: return "format";
    case ERR_LIMIT: return "limit";
    case ERR_UNSUPPORTED: return "unsupported";
    case ERR_ARG: return "argument";
    case ERR_DEVICE: return "device";
    case ERR_BUSY: return "busy";
    case ERR_CANCELLED: return "cancelled";
    case ERR_NOT_FOUND: return "not_found";
    case ERR_ENCRYPTED: return "encrypted";
    default: return "unknown";
    }
}

struct slice slice_of(const char *cstr) {
    return (struct slice){cstr ? cstr : "", cstr ? strlen(cstr) : 0};
}

bool slice_equal(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static char ascii_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool slice_equal_nocase(struct slice a, struct slice b) {
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i])) return false;
    return true;
}

bool slice_starts_with(struct slice s, struct slice prefix) {
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct slice slice_trim(struct slice s) {
    for (;;) {
        if (s.len >= 1 && is_space(s.data[0])) {
            s.data++, s.len--;
        } else if (s.len >= 2 && memcmp(s.data, "\xc2\xa0", 2) == 0) {
            s.data += 2, s.len -= 2;
        } else {
            break;
        }
    }
    for (;;) {
        if (s.len >= 1 && is_space(s.data[s.len - 1])) {
            s.len--;
        } else if (s.len >= 2 && memcmp(s.data + s.len - 2, "\xc2\xa0", 2) == 0) {
            s.len -= 2;
        } else {
            break;
        }
    }
    return s;
}

/* ---- arena ---- */
struct arena_block {
    struct arena_block *next;
    size_t len, cap;
};
#define ARENA_HEADER ((sizeof(struct arena_block) + 15) & ~(size_t)15)
#define ARENA_BLOCK_BYTES ((size_t)64 << 10)

void *arena_alloc(struct arena *a, size_t len) {
    if (len > SIZE_MAX / 4) return NULL;
    len = (len + 15) & ~(size_t)15;
    if (len == 0) len = 16;
    if (a->limit && a->used + len > a->limit) return NULL;
    struct arena_block *b = a->head;
    if (!b || b->cap - b->len < len) {
        size_t cap = len > ARENA_BLOCK_BYTES ? len : ARENA_BLOCK_BYTES;
        struct arena_block *n = calloc(1, ARENA_HEADER + cap);
        if (!n) return NULL;
        n->cap = cap;
        if (b && len > ARENA_BLOCK_BYTES) { /* keep filling the current block after a large one */
            n->next = b->next;
            b->next = n;
        } else {
            n->next = b;
            a->head = n;
        }
        b = n;
    }
    void *p = (char *)b + ARENA_HEADER + b->len;
    b->len += len;
    a->used += len;
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size) {
    if (size && n > SIZE_MAX / size) return NULL;
    return arena_alloc(a, n * size);
}

struct slice arena_slice(struct arena *a, struct slice s) {
    char *p = arena_alloc(a, s.len + 1);
    if (!p) return (struct slice){"", 0};
    if (s.len) memcpy(p, s.data, s.len);
    return (struct slice){p, s.len};
}

struct slice arena_slice_printf(struct arena *a, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p) vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p ? (struct slice){p, (size_t)n} : (struct slice){"", 0};
}

void arena_free(struct arena *a) {
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    a->head = NULL;
    a->used = 0;
}

/* ---- buffer ---- */
static bool buf_reserve(struct buf *b, size_t more) {
    if (b->failed) return false;
    if (more > SIZE_MAX / 4 || b->len + more + 1 > SIZE_MAX / 4) {
        b->failed = true;
        return false;
    }
    size_t want = b->len + more + 1;
    if (want > b->cap) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap < want) cap *= 2;
        char *p = realloc(b->data, cap);
        if (!p) {
            b->failed = true;
            return false;
        }
        b->data = p;
        b->cap = cap;
    }
    return true;
}

void buf_append(struct buf *b, const void *data, size_t len) {
    if (!buf_reserve(b, len)) return;
    if (len) memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
}

void buf_puts(struct buf *b, const char *cstr) {
    buf_append(b, cstr, strlen(cstr));
}

void buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
    } else if (buf_reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_free(struct buf *b) {
    free(b->data);
    *b = (struct buf){0};
}

struct slice buf_slice(const struct buf *b) {
    return (struct slice){b->data ? b->data : "", b->len};
}

int array_grow(void **items, size_t *cap, size_t want, size_t size, struct error *e) {
    if (want <= *cap) return 0;
    size_t n = *cap ? *cap : 16;
    while (n < want) n *= 2;
    if (n > SIZE_MAX / 2 / size) return error_set(e, ERR_NOMEM, "", "An array of %zu items is too large", n);
    void *p = realloc(*items, n * size);
    if (!p) return error_set(e, ERR_NOMEM, "", "Out of memory for %zu bytes", n * size);
    *items = p;
    *cap = n;
    return 0;
}

/* ---- UTF-8 ---- */
int utf8_decode(const char *s, size_t len, uint32_t *cp) {
    const uint8_t *p = (const uint8_t *)s;
    assert(len > 0);
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    int n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (n == 0 || p[0] > 0xf4 || (size_t)n > len) return 0;
    uint32_t c = p[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
    *cp = c;
    return n;
}

int utf8_encode(uint32_t cp, char out[4]) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        if (cp >= 0xd800 && cp < 0xe000) return 0;
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    if (cp > 0x10ffff) return 0;
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

bool utf8_valid(const char *s, size_t len) {
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        int n = utf8_decode(s + i, len - i, &cp);
        if (n == 0) return false;
        i += (size_t)n;
    }
    return true;
}

size_t utf8_count(const char *s, size_t len) {
    size_t count = 0;
    for (size_t i = 0; i < len; count++) {
        uint32_t cp;
        int n = utf8_decode(s + i, len - i, &cp);
        i += n ? (size_t)n : 1;
    }
    return count;
}

size_t utf8_offset(const char *s, size_t len, int64_t n) {
    size_t i = 0;
    for (; i < len && n > 0; n--) {
        uint32_t cp;
        int k = utf8_decode(s + i, len - i, &cp);
        i += k ? (size_t)k : 1;
    }
    return i;
}

/* ---- SHA-256 ---- */
static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotr(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static void sha256_block(uint32_t state[8], const uint8_t *p) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    uint32_t v[8];
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = rotr(v[4], 6) ^ rotr(v[4], 11) ^ rotr(v[4], 25);
        uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha256_k[i] + w[i];
        uint32_t s0 = rotr(v[0], 2) ^ rotr(v[0], 13) ^ rotr(v[0], 22);
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

void sha256_init(struct sha256 *h) {
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(h->state, start, sizeof start);
    h->n_bytes = 0;
}

void sha256_update(struct sha256 *h, const void *data, size_t len) {
    const uint8_t *p = data;
    size_t fill = (size_t)(h->n_bytes & 63);
    h->n_bytes += len;
    if (fill) {
        size_t take = 64 - fill < len ? 64 - fill : len;
        memcpy(h->block + fill, p, take);
        p += take, len -= take, fill += take;
        if (fill < 64) return;
        sha256_block(h->state, h->block);
    }
    for (; len >= 64; p += 64, len -= 64) sha256_block(h->state, p);
    if (len) memcpy(h->block, p, len);
}

void sha256_final(struct sha256 *h, uint8_t out[32]) {
    uint64_t n_bits = h->n_bytes * 8;
    static const uint8_t pad[64] = {0x80};
    size_t fill = (size_t)(h->n_bytes & 63);
    sha256_update(h, pad, fill < 56 ? 56 - fill : 120 - fill);
    uint8_t tail[8];
    for (int i = 0; i < 8; i++) tail[i] = (uint8_t)(n_bits >> (56 - 8 * i));
    sha256_update(h, tail, 8);
    for (int i = 0; i < 32; i++) out[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

void hex_encode(const uint8_t *data, size_t len, char *out) {
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digit[data[i] >> 4];
        out[2 * i + 1] = digit[data[i] & 15];
    }
    out[2 * len] = 0;
}

/* ---- files and time ---- */
int file_read(const char *path, size_t max_bytes, struct buf *b, struct error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, path, "Cannot open the file: %s", strerror(errno));
    int rc = 0;
    struct stat st;
    if (fstat(fd, &st) != 0 || S_ISDIR(st.st_mode)) {
        rc = error_set(e, ERR_IO, path, "This is a folder or cannot be read");
        goto done;
    }
    for (;;) {
        if (b->len > max_bytes) {
            rc = error_set(e, ERR_LIMIT, path, "The file is larger than the limit of %zu bytes", max_bytes);
            goto done;
        }
        if (!buf_reserve(b, 64 << 10)) {
            rc = error_set(e, ERR_NOMEM, path, "Out of memory while reading the file");
            goto done;
        }
        ssize_t n = read(fd, b->data + b->len, b->cap - b->len - 1);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            rc = error_set(e, ERR_IO, path, "Cannot read the file: %s", strerror(errno));
            goto done;
        }
        if (n == 0) break;
        b->len += (size_t)n;
        b->data[b->len] = 0;
    }
    if (b->data) b->data[b->len] = 0;
done:
    close(fd);
    return rc;
}

int file_write_atomic(const char *path, const void *data, size_t len, struct error *e) {
    struct buf tmp = {0};
    buf_printf(&tmp, "%s.tmp", path);
    if (tmp.failed) return error_set(e, ERR_NOMEM, path, "Out of memory");
    int rc = 0, fd = open(tmp.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = error_set(e, ERR_IO, path, "Cannot create the file: %s", strerror(errno));
        goto done;
    }
    const char *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            rc = error_set(e, ERR_IO, path, "Cannot write the file: %s", n < 0 ? strerror(errno) : "nothing written");
            goto done;
        }
        p += n, len -= (size_t)n;
    }
    if (fsync(fd) != 0 || rename(tmp.data, path) != 0)
        rc = error_set(e, ERR_IO, path, "Cannot write the file: %s", strerror(errno));
done:
    if (fd >= 0) close(fd);
    if (rc && fd >= 0) unlink(tmp.data);
    buf_free(&tmp);
    return rc;
}

double clock_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
