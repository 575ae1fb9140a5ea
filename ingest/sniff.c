/* sniff.c: what a file is, from its first bytes. Owns the list of formats we name but don't read, so that a refusal
 * says what the file is in plain words. Reads nothing behind the head; libmagic is not used, as its parsers are one
 * more thing to feed hostile bytes. */
#include "ingest/reader.h"

#include <string.h>
#include <strings.h>

struct signature {
    size_t offset;
    const char *bytes;
    size_t len;
    const char *what;
};
#define SIG(offset, bytes, what)                                                                                       \
    { offset, bytes, sizeof(bytes) - 1, what }
static const struct signature known[] = {
    SIG(0, "\x89PNG\r\n\x1a\n", "a PNG image"),
    SIG(0, "\xff\xd8\xff", "a JPEG image"),
    SIG(0, "GIF8", "a GIF image"),
    SIG(0, "II*\0", "a TIFF image"),
    SIG(0, "MM\0*", "a TIFF image"),
    SIG(8, "WEBP", "a WebP image"),
    SIG(4, "ftyp", "a video or HEIC image"),
    SIG(0, "8BPS", "a Photoshop image"),
    SIG(0, "{\\rtf", "a Rich Text (RTF) file; save it as DOCX or PDF"),
    SIG(0, "%!PS", "a PostScript file; convert it to PDF"),
    SIG(0, "AT&TFORM", "a DjVu file"),
    SIG(0, "\x1f\x8b", "a gzip archive; unpack it first"),
    SIG(0, "BZh", "a bzip2 archive; unpack it first"),
    SIG(0,
        "\xfd"
        "7zXZ",
        "an xz archive; unpack it first"),
    SIG(0, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    SIG(0, "Rar!", "a RAR archive; unpack it first"),
    SIG(0, "\x28\xb5\x2f\xfd", "a Zstandard archive; unpack it first"),
    SIG(257, "ustar", "a tar archive; unpack it first"),
    SIG(0,
        "\x7f"
        "ELF",
        "a program"),
    SIG(0, "MZ", "a Windows program"),
    SIG(0, "SQLite format 3", "a SQLite database"),
    SIG(0, "RIFF", "a sound or video file"),
    SIG(0, "OggS", "a sound or video file"),
    SIG(0, "ID3", "a sound file"),
    SIG(0, "fLaC", "a sound file"),
    SIG(0, "\x1a\x45\xdf\xa3", "a video file"),
    SIG(0, "!BDN", "an Outlook mail store"),
    SIG(0, "\xca\xfe\xba\xbe", "a program"),
    SIG(0, "wOFF", "a font"),
};

static bool contains(struct slice s, const char *bytes, size_t len) {
    return memmem(s.data, s.len, bytes, len) != NULL;
}

static bool begins_nocase(struct slice s, const char *word) {
    size_t n = strlen(word);
    return s.len >= n && strncasecmp(s.data, word, n) == 0;
}

/* OLE2 files ([MS-CFB]) name their streams in UTF-16: old Office files, and the wrapper of encrypted new ones. */
static int ole(struct slice head, const char *where, struct error *e) {
    static const char encrypted[] = "E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e";
    static const char word[] = "W\0o\0r\0d\0D\0o\0c\0u\0m\0e\0n\0t";
    static const char book[] = "W\0o\0r\0k\0b\0o\0o\0k";
    static const char slides[] = "P\0o\0w\0e\0r\0P\0o\0i\0n\0t";
    static const char mail[] = "_\0_\0s\0u\0b\0s\0t\0g";
    if (contains(head, encrypted, sizeof encrypted))
        return error_set(e, ERR_ENCRYPTED, where,
                         "this Office file asks for a password; save it without one and load it again");
    if (contains(head, word, sizeof word))
        return error_set(e, ERR_UNSUPPORTED, where, "this is an old Word file (.doc); save it as DOCX or PDF");
    if (contains(head, book, sizeof book))
        return error_set(e, ERR_UNSUPPORTED, where, "this is an old Excel workbook (.xls); save it as XLSX or PDF");
    if (contains(head, slides, sizeof slides))
        return error_set(e, ERR_UNSUPPORTED, where, "this is an old PowerPoint file (.ppt); save it as PPTX or PDF");
    if (contains(head, mail, sizeof mail))
        return error_set(e, ERR_UNSUPPORTED, where, "this is an Outlook message (.msg); save it as EML or PDF");
    return error_set(e, ERR_UNSUPPORTED, where,
                     "this is an old Office or other OLE file (.doc, .xls, .ppt, .msg); save it as DOCX or PDF");
}

#define MAIL_HEAD_LINES 1000 /* relays and filters put some 200 before the sender's */

/* A message: header lines from the first byte on, From among them, and MIME-Version or Received unless it is called
 * .eml. */
static bool is_mail(struct slice s, const char *name) {
    const char *dot = strrchr(name, '.');
    bool mime = dot && !strcasecmp(dot, ".eml"), from = false;
    size_t i = 0, n_lines = 0;
    while (i < s.len && n_lines < MAIL_HEAD_LINES) {
        const char *end = memchr(s.data + i, '\n', s.len - i);
        struct slice line = {s.data + i, end ? (size_t)(end - (s.data + i)) : s.len - i};
        i += line.len + 1;
        struct slice t = slice_trim(line);
        if (t.len == 0) break;
        if (line.data[0] != ' ' && line.data[0] != '\t') {
            const char *colon = memchr(line.data, ':', line.len);
            if (!colon || memchr(line.data, ' ', (size_t)(colon - line.data))) return false;
            mime = mime || begins_nocase(line, "MIME-Version:") || begins_nocase(line, "Received:");
            from = from || begins_nocase(line, "From:");
        } else if (n_lines == 0) {
            return false;
        }
        n_lines++;
    }
    return mime && from;
}

/* The first tag decides between HTML and other XML; <?xml and comments before it are passed over. */
static enum sniffed markup(struct slice s) {
    bool xml = false;
    s = slice_trim(s);
    for (;;) {
        const char *end = NULL;
        size_t skip = 0;
        if (begins_nocase(s, "<?")) {
            xml = xml || begins_nocase(s, "<?xml");
            end = memmem(s.data, s.len, "?>", 2), skip = 2;
        } else if (begins_nocase(s, "<!--")) {
            end = memmem(s.data, s.len, "-->", 3), skip = 3;
        } else {
            break;
        }
        if (!end) return SNIFF_TEXT;
        s.len -= (size_t)(end - s.data) + skip;
        s.data = end + skip;
        s = slice_trim(s);
    }
    static const char *const html[] = {"<!doctype html", "<html",  "<head", "<body", "<title", "<meta",
                                       "<div",           "<table", "<p>",   "<p ",   "<h1",    "<h2"};
    for (size_t i = 0; i < sizeof html / sizeof *html; i++)
        if (begins_nocase(s, html[i]) && !(xml && i > 1)) return SNIFF_HTML;
    if (xml && s.len && s.data[0] == '<')
        return contains(s, "http://www.w3.org/1999/xhtml", 28) ? SNIFF_HTML : SNIFF_XML;
    return SNIFF_TEXT;
}

/* ISO 32000-1 H.3, note 13: the header may stand anywhere in the first 1,024 bytes */
static bool is_pdf(struct slice head) {
    if (head.len > 1024) head.len = 1024;
    return contains(head, "%PDF-", 5);
}

bool sniff_may_be_pdf(struct slice head, const char *name) {
    return is_pdf(head) || is_mail(head, name);
}

int sniff(struct slice head, uint64_t n_bytes, const char *where, enum sniffed *out, struct error *e) {
    if (n_bytes == 0) return error_set(e, ERR_FORMAT, where, "the file is empty (0 bytes)");
    size_t zeros = 0;
    while (zeros < head.len && head.data[zeros] == 0) zeros++;
    if (zeros == head.len)
        return error_set(e, ERR_FORMAT, where, "the file holds only zero bytes; the copy or upload was cut off");
    if (head.len >= 4 && memcmp(head.data, "PK", 2) == 0 && (head.data[2] == 3 || head.data[2] == 5)) {
        *out = SNIFF_ZIP;
        return 0;
    }
    if (head.len >= 8 && memcmp(head.data, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8) == 0) return ole(head, where, e);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct signature *k = &known[i];
        if (k->offset + k->len <= head.len && memcmp(head.data + k->offset, k->bytes, k->len) == 0 &&
            !(strcmp(k->bytes, "MZ") == 0 && !contains(head, "\0", 1)) &&
            !(strcmp(k->bytes, "BZh") == 0 && !contains(head, "\0", 1)) &&
            !(strcmp(k->bytes, "ID3") == 0 && !contains(head, "\0", 1)) &&
            !(strcmp(k->bytes, "RIFF") == 0 && !contains(head, "\0", 1)))
            return error_set(e, ERR_UNSUPPORTED, where, "this is %.*s, which is not read%s", (int)strcspn(k->what, ";"),
                             k->what, k->what + strcspn(k->what, ";"));
    }
    if (is_mail(head, where)) { /* before PDF: one may be attached as it is */
        *out = SNIFF_MAIL;
        return 0;
    }
    if (is_pdf(head)) {
        *out = SNIFF_PDF;
        return 0;
    }
    struct error ignored;
    struct buf text = {0};
    int code = encoding_decode(head, NULL, &text, &ignored);
    if (code) {
        buf_free(&text);
        return error_set(e, code, where, "out of memory while looking at the file");
    }
    struct slice t = buf_slice(&text);
    size_t strange = 0;
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.data[i];
        strange += (c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1a) || c == 0x7f;
    }
    /* one in a hundred: text has none, random bytes have one in ten */
    if (strange * 100 > t.len) {
        code = error_set(e, ERR_UNSUPPORTED, where,
                         "this is a binary file of a kind that is not known; PDF, Office and OpenDocument files, "
                         "e-books, mail, HTML and text are read");
    } else {
        *out = markup(t);
    }
    buf_free(&text);
    return code;
}
