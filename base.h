/* base.h: the little that every folder shares: error, arena, byte slice, buffer, UTF-8, SHA-256, clock.
 *
 * Rules that hold everywhere: a function that can fail returns 0 for success or one of the ERR_ codes and takes `struct error *e`
 * last (never NULL in our own calls; error_set tolerates NULL). Text is UTF-8 and travels as slices (pointer + length in bytes, not
 * NUL-terminated). What is made with `new/open/load` is ended with `free/close`; a plain noun lends.
 * Every function here may be called from any thread; objects are not shared between threads without a lock of the caller's.
 *
 *     struct arena a = {0};
 *     struct slice s = arena_slice_printf(&a, "page %d", 3);
 *     if (s.len == 0) return error_set(e, ERR_NOMEM, "", "out of memory");
 *     arena_free(&a);
 */
#ifndef ANTINOMY_BASE_H
#define ANTINOMY_BASE_H

#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors: the code tells the caller what to do ---- */
enum error_code {
    ERR_OK = 0,
    ERR_NOMEM,       /* no memory, or a memory budget refused it */
    ERR_IO,          /* the file system or the network failed; try again may help */
    ERR_FORMAT,      /* foreign bytes are not what they claim to be */
    ERR_LIMIT,       /* foreign bytes exceed a named limit */
    ERR_UNSUPPORTED, /* well formed, but not something this program handles */
    ERR_ARG,         /* the caller's (the user's) argument is wrong */
    ERR_DEVICE,      /* GPU or processor */
    ERR_BUSY,        /* somebody else holds it; try later */
    ERR_CANCELLED,   /* the caller asked to stop, or a deadline passed */
    ERR_NOT_FOUND,   /* no such set, document, file */
    ERR_ENCRYPTED    /* the document asks for a password */
};

struct error {
    int code;          /* enum error_code */
    char message[400]; /* one sentence for a person: what is wrong and what to do */
    char where[200];   /* file, page, byte, tensor: "contract.pdf, page 3"; may be empty */
};

/* Fills e (if not NULL) and returns code, so that `return error_set(...)` reads well. */
int error_set(struct error *e, int code, const char *where, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Stable short name of a code for JSON and logs: "format", "limit", "not_found"... */
const char *error_name(int code);

/* ---- byte slice: borrowed, not NUL-terminated ---- */
struct slice {
    const char *data;
    size_t len;
};
#define SLICE_LITERAL(s) ((struct slice){(s), sizeof(s) - 1})
struct slice slice_of(const char *cstr); /* NULL gives an empty slice */
bool slice_equal(struct slice a, struct slice b);
bool slice_equal_nocase(struct slice a, struct slice b); /* ASCII case only */
bool slice_starts_with(struct slice s, struct slice prefix);
struct slice slice_trim(struct slice s); /* ASCII white space and U+00A0 off both ends */

/* ---- arena: many small allocations, one free ---- */
struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used;  /* bytes handed out */
    size_t limit; /* 0 = none; else allocations past it fail */
};
/* Zeroed memory aligned to 16 bytes; NULL when memory or the limit is exhausted. */
void *arena_alloc(struct arena *a, size_t len);
void *arena_array(struct arena *a, size_t n, size_t size); /* overflow-checked n * size */
struct slice arena_slice(struct arena *a, struct slice s); /* a copy, NUL-terminated behind its end */
struct slice arena_slice_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a);

/* ---- growing byte buffer; after a failed append `failed` stays set and later appends do nothing ---- */
struct buf {
    char *data; /* NUL-terminated when not NULL */
    size_t len, cap;
    bool failed;
};
void buf_append(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *cstr);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_free(struct buf *b);
struct slice buf_slice(const struct buf *b);
/* Makes room for `*cap >= want` items of `size` bytes in a malloc'd array, doubling; ERR_NOMEM on failure (array unchanged). */
int array_grow(void **items, size_t *cap, size_t want, size_t size, struct error *e);

/* ---- UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF) ---- */
/* Decodes one code point at s (len > 0): returns bytes used (1..4), or 0 for an invalid sequence. */
int utf8_decode(const char *s, size_t len, uint32_t *cp);
int utf8_encode(uint32_t cp, char out[4]); /* bytes written, 0 for an invalid code point */
bool utf8_valid(const char *s, size_t len);
size_t utf8_count(const char *s, size_t len); /* code points (invalid bytes count one each) */
size_t utf8_offset(const char *s, size_t len, int64_t n); /* bytes of the first n code points: 0 when n < 0, at most len */

/* ---- SHA-256 (FIPS 180-4): the identity of documents, models and token prefixes.
 * Ours, because kernels/ and engine/jamba/ must build where no crypto library is. ---- */
struct sha256 {
    uint32_t state[8];
    uint64_t n_bytes;
    uint8_t block[64];
};
void sha256_init(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *data, size_t len);
void sha256_final(struct sha256 *h, uint8_t out[32]);
void hex_encode(const uint8_t *data, size_t len, char *out); /* writes 2 * len + 1 bytes */

/* ---- files and time ---- */
/* Reads a whole file of at most max_bytes into b. ERR_NOT_FOUND, ERR_IO, ERR_LIMIT, ERR_NOMEM. */
int file_read(const char *path, size_t max_bytes, struct buf *b, struct error *e);
/* Writes path.tmp, fsyncs, renames: readers see the old or the new file, never half of one. ERR_IO names errno (disk full). */
int file_write_atomic(const char *path, const void *data, size_t len, struct error *e);
double clock_seconds(void); /* monotonic */

#ifdef __cplusplus
}
#endif
#endif
