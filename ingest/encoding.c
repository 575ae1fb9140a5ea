/* encoding.c: any bytes of text -> UTF-8. Order: byte order mark, a declared charset, UTF-8 if the bytes are valid,
 * UTF-16 if every other byte is zero, else Windows-1252 (WHATWG Encoding Standard, index windows-1252). Refuses nothing
 * but too much: bytes that the charset does not know become U+FFFD. */
#include "ingest/reader.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

#define DECLARED_MAX 40 /* a charset's name */

/* 0x80-0x9f of Windows-1252; the five unused ones are the C1 controls, as in the WHATWG index (they are dropped later).
 */
static const uint16_t windows_1252[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                          0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0x8d,   0x17d,  0x8f,
                                          0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                          0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};

static void put_cp(struct buf *out, uint32_t cp) {
    char b[4];
    int n = utf8_encode(cp, b);
    if (n > 0)
        buf_append(out, b, (size_t)n);
    else
        buf_puts(out, "\xef\xbf\xbd");
}

static void from_1252(struct slice s, struct buf *out) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        put_cp(out, c >= 0x80 && c < 0xa0 ? windows_1252[c - 0x80] : c);
    }
}

static void from_utf16(struct slice s, bool big, struct buf *out) {
    for (size_t i = 0; i + 1 < s.len; i += 2) {
        const unsigned char *p = (const unsigned char *)s.data + i;
        uint32_t u = big ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
        if (u >= 0xd800 && u < 0xdc00 && i + 3 < s.len) {
            uint32_t v = big ? (uint32_t)p[2] << 8 | p[3] : (uint32_t)p[3] << 8 | p[2];
            if (v >= 0xdc00 && v < 0xe000) {
                u = 0x10000 + ((u - 0xd800) << 10) + (v - 0xdc00);
                i += 2;
            }
        }
        put_cp(out, u);
    }
}

static void from_utf8(struct slice s, struct buf *out) {
    size_t i = 0;
    while (i < s.len) {
        size_t start = i;
        uint32_t cp;
        int n = 1;
        while (i < s.len && (n = utf8_decode(s.data + i, s.len - i, &cp)) > 0) i += (size_t)n;
        buf_append(out, s.data + start, i - start);
        if (i < s.len) {
            buf_puts(out, "\xef\xbf\xbd");
            i++;
        }
    }
}

static bool from_iconv(const char *charset, struct slice s, struct buf *out) {
    iconv_t cd = iconv_open("UTF-8", charset);
    if (cd == (iconv_t)-1) return false;
    char *in = (char *)(uintptr_t)s.data;
    size_t left = s.len;
    while (left && !out->failed) {
        char piece[8192], *to = piece;
        size_t room = sizeof piece;
        size_t r = iconv(cd, &in, &left, &to, &room);
        int err = errno;
        buf_append(out, piece, (size_t)(to - piece));
        if (r != (size_t)-1) continue;
        if (err == EILSEQ || err == EINVAL) {
            buf_puts(out, "\xef\xbf\xbd");
            in++, left--;
        } else if (err != E2BIG) {
            break;
        }
    }
    iconv_close(cd);
    return true;
}

/* A charset name of a file is foreign: letters, digits and -_.: only, so that "//TRANSLIT" and paths never reach iconv.
 */
static bool charset_name(const char *declared, char out[DECLARED_MAX]) {
    size_t n = strlen(declared);
    if (n == 0 || n >= DECLARED_MAX) return false;
    for (size_t i = 0; i < n; i++) {
        char c = declared[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-_.:", c);
        if (!ok) return false;
    }
    memcpy(out, declared, n + 1);
    return true;
}

/* Zero bytes at every odd (or every even) place of the first kilobyte: UTF-16 of mostly Latin text without a mark. */
static int utf16_without_mark(struct slice s) {
    size_t n = s.len < 1024 ? s.len & ~(size_t)1 : 1024, even = 0, odd = 0;
    if (n < 8) return 0;
    for (size_t i = 0; i < n; i += 2) even += s.data[i] == 0, odd += s.data[i + 1] == 0;
    if (odd > n * 2 / 5 && even < n / 20) return 1;
    if (even > n * 2 / 5 && odd < n / 20) return 2;
    return 0;
}

int encoding_decode(struct slice s, const char *declared, struct buf *out, struct error *e) {
    const unsigned char *p = (const unsigned char *)s.data;
    char name[DECLARED_MAX];
    int utf16;
    if (s.len >= 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf) {
        from_utf8((struct slice){s.data + 3, s.len - 3}, out);
    } else if (s.len >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff))) {
        from_utf16((struct slice){s.data + 2, s.len - 2}, p[0] == 0xfe, out);
    } else if ((utf16 = utf16_without_mark(s)) != 0) {
        from_utf16(s, utf16 == 2, out);
    } else if (declared && (!strncasecmp(declared, "iso-2022-", 9) || !strcasecmp(declared, "utf-7")) &&
               charset_name(declared, name) && from_iconv(name, s, out)) {
        /* 7-bit charsets look like ASCII */
    } else if (utf8_valid(s.data, s.len)) {
        /* a wrong declaration is common, bytes that are valid UTF-8 by accident are not */
        from_utf8(s, out);
    } else if (declared && charset_name(declared, name)) {
        if (!strcasecmp(name, "utf-8") || !strcasecmp(name, "utf8"))
            from_utf8(s, out);
        else if (!strcasecmp(name, "iso-8859-1") || !strcasecmp(name, "latin1") || !strcasecmp(name, "us-ascii") ||
                 !strcasecmp(name, "ascii") || !strncasecmp(name, "utf-16", 6) || !from_iconv(name, s, out))
            from_1252(s, out); /* browsers read Latin-1 as Windows-1252 too */
    } else {
        from_1252(s, out);
    }
    return out->failed ? error_set(e, ERR_NOMEM, "", "out of memory while decoding the text") : 0;
}
