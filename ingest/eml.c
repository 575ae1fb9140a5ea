/* eml.c: an e-mail message (RFC 5322, MIME: RFC 2045 to 2047, 2231) -> its headers as people see them (From, To, Cc,
 * Date, Subject, the attachments' names), its text, then each attachment as pages of its own. Of several forms of one
 * text the plain one is read, else HTML. An attachment is read like a file of its own, in a document of its own, so
 * that a bad one takes nothing else with it; one that cannot be read is told in a warning, never passed over. Lines
 * quoted from the message before ("> ") are quotes. Refuses encrypted messages and messages too deep in each other. */
#include "ingest/html.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- limits ---- */
#define MAIL_MAX_DEPTH 16                 /* multiparts in each other; people's programs make 4 */
#define MAIL_MAX_PARTS 1000u              /* of one message */
#define MAIL_MAX_NESTED 4u                /* messages attached to messages; RFC 5322 knows no limit */
#define MAIL_MAX_FIELD ((size_t)64 << 10) /* bytes read of one header field */
#define MAIL_NAME 120                     /* bytes kept of an attachment's name */

enum item_kind { ITEM_PLAIN, ITEM_HTML, ITEM_FILE, ITEM_MESSAGE };

struct entity { /* a message or a part of one */
    struct slice head, body;
    char type[80], charset[40], boundary[200], encoding[24]; /* lower case but the boundary */
    char name[MAIL_NAME];                                    /* UTF-8; empty where it has none */
    bool attached, in_page; /* Content-Disposition; Content-ID: a picture of the text */
    enum item_kind kind;
};

struct mail {
    struct writer *w;
    struct entity *items;
    size_t n_items, cap_items;
    unsigned n_parts, n_pictures;
    bool cut; /* a multipart's last boundary is missing */
    bool struck;
};

static int nomem(struct writer *w) {
    return writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading the message");
}

/* ---- lines and headers ---- */
static struct slice take_line(struct slice *s) {
    const char *end = memchr(s->data, '\n', s->len);
    struct slice line = {s->data, end ? (size_t)(end - s->data) : s->len};
    size_t used = line.len + (end ? 1 : 0);
    s->data += used, s->len -= used;
    if (line.len && line.data[line.len - 1] == '\r') line.len--;
    return line;
}

static void split_head(struct slice s, struct entity *e) {
    e->head.data = s.data;
    while (s.len) {
        const char *at = s.data;
        if (take_line(&s).len) continue;
        e->head.len = (size_t)(at - e->head.data);
        e->body = s;
        return;
    }
    e->head.len = (size_t)(s.data - e->head.data);
    e->body = s;
}

/* The first field of this name, its lines joined; false when there is none. */
static bool field(struct slice head, const char *name, struct buf *out) {
    size_t n = strlen(name);
    out->len = 0;
    while (head.len) {
        struct slice line = take_line(&head);
        if (line.len <= n || strncasecmp(line.data, name, n) || line.data[n] != ':') continue;
        buf_append(out, line.data + n + 1, line.len - n - 1);
        while (head.len && (head.data[0] == ' ' || head.data[0] == '\t') && out->len < MAIL_MAX_FIELD) {
            line = take_line(&head);
            buf_append(out, line.data, line.len);
        }
        if (out->len > MAIL_MAX_FIELD) out->len = MAIL_MAX_FIELD;
        return true;
    }
    return false;
}

/* ---- encodings of bytes ---- */
static int hex(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* `escape` is '=' (quoted-printable, and with `header` the Q encoding of RFC 2047, whose '_' is a space) or '%'. */
static void unquote(struct slice s, char escape, bool header, struct buf *out) {
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == escape && i + 2 < s.len && hex(s.data[i + 1]) >= 0 && hex(s.data[i + 2]) >= 0) {
            c = (char)(hex(s.data[i + 1]) * 16 + hex(s.data[i + 2]));
            i += 2;
        } else if (c == '=' && escape == '=' && !header) { /* a soft line break, blanks before its end dropped */
            size_t k = i + 1;
            while (k < s.len && (s.data[k] == ' ' || s.data[k] == '\t' || s.data[k] == '\r')) k++;
            if (k == s.len) return;
            if (s.data[k] == '\n') {
                i = k;
                continue;
            }
        } else if (c == '_' && header) {
            c = ' ';
        }
        buf_append(out, &c, 1);
    }
}

static void from_base64(struct slice s, struct buf *out) {
    uint32_t bits = 0;
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        int v = c >= 'A' && c <= 'Z'   ? c - 'A'
                : c >= 'a' && c <= 'z' ? c - 'a' + 26
                : c >= '0' && c <= '9' ? c - '0' + 52
                : c == '+'             ? 62
                : c == '/'             ? 63
                                       : -1;
        if (c == '=') n = 0; /* the end, or that of one of several run together */
        if (v < 0) continue;
        bits = bits << 6 | (uint32_t)v;
        n += 6;
        if (n < 8) continue;
        n -= 8;
        char byte = (char)(bits >> n & 0xff);
        buf_append(out, &byte, 1);
    }
}

/* The part's bytes; false when it is sent in an encoding that is not known (x-uuencode). */
static bool content(const struct entity *e, struct buf *out) {
    if (!strcmp(e->encoding, "base64"))
        from_base64(e->body, out);
    else if (!strcmp(e->encoding, "quoted-printable"))
        unquote(e->body, '=', false, out);
    else if (!e->encoding[0] || !strcmp(e->encoding, "7bit") || !strcmp(e->encoding, "8bit") ||
             !strcmp(e->encoding, "binary"))
        buf_append(out, e->body.data, e->body.len);
    else
        return false;
    return true;
}

/* Its text as UTF-8. */
static bool content_text(struct mail *m, const struct entity *e, struct buf *out) {
    struct buf bytes = {0};
    bool known = content(e, &bytes);
    if (bytes.failed)
        nomem(m->w);
    else if (known && encoding_decode(buf_slice(&bytes), e->charset[0] ? e->charset : NULL, out, m->w->e))
        nomem(m->w);
    buf_free(&bytes);
    return known;
}

/* "=?utf-8?Q?Caf=C3=A9?=" (RFC 2047). Words of one charset side by side are one: characters are cut between them. */
static void decode_words(struct slice s, struct buf *out) {
    struct buf bytes = {0};
    struct error ignored;
    char charset[40] = "";
    size_t plain = 0, i = 0; /* where the text that is not encoded begins */
    for (;;) {
        const char *at = i < s.len ? memmem(s.data + i, s.len - i, "=?", 2) : NULL;
        size_t from = at ? (size_t)(at - s.data) : s.len, c = from + 2, q, end;
        struct slice text = {"", 0};
        char name[40] = "", how = 0;
        if (at) {
            for (q = c; q < s.len && s.data[q] != '?' && !isspace((unsigned char)s.data[q]);) q++;
            if (q + 2 < s.len && s.data[q] == '?' && s.data[q + 2] == '?' && q - c < sizeof name) {
                const char *close = memmem(s.data + q + 3, s.len - q - 3, "?=", 2);
                how = (char)tolower((unsigned char)s.data[q + 1]);
                if (close && (how == 'q' || how == 'b')) {
                    snprintf(name, sizeof name, "%.*s", (int)(q - c), s.data + c);
                    name[strcspn(name, "*")] = 0; /* RFC 2231: a language behind the charset */
                    text = (struct slice){s.data + q + 3, (size_t)(close - (s.data + q + 3))};
                }
            }
            if (!name[0]) { /* no encoded word */
                i = from + 2;
                continue;
            }
        }
        end = at ? (size_t)(text.data + text.len + 2 - s.data) : s.len;
        struct slice between = {s.data + plain, from - plain};
        bool adjacent = at && bytes.len && slice_trim(between).len == 0;
        if (!adjacent || strcasecmp(charset, name)) {
            if (bytes.len) encoding_decode(buf_slice(&bytes), charset, out, &ignored);
            bytes.len = 0;
        }
        if (!adjacent && between.len) encoding_decode(between, NULL, out, &ignored);
        if (!at) break;
        snprintf(charset, sizeof charset, "%s", name);
        if (how == 'q')
            unquote(text, '=', true, &bytes);
        else
            from_base64(text, &bytes);
        plain = i = end;
    }
    if (bytes.failed) out->failed = true;
    buf_free(&bytes);
}

/* ---- parameters: boundary="...", name*=utf-8''..., name*0="..." (RFC 2231) ---- */
static struct slice next_parameter(struct slice *s, struct slice *name) {
    const char *semicolon = memchr(s->data, ';', s->len);
    *name = (struct slice){"", 0};
    if (!semicolon) {
        s->len = 0;
        return *name;
    }
    s->len -= (size_t)(semicolon + 1 - s->data), s->data = semicolon + 1;
    size_t n = 0;
    while (n < s->len && s->data[n] != '=' && s->data[n] != ';') n++;
    *name = slice_trim((struct slice){s->data, n});
    if (n == s->len || s->data[n] == ';') {
        s->data += n, s->len -= n;
        return (struct slice){"", 0};
    }
    n++;
    while (n < s->len && isspace((unsigned char)s->data[n])) n++;
    size_t from = n;
    struct slice value;
    if (n < s->len && s->data[n] == '"') {
        for (from = ++n; n < s->len && s->data[n] != '"'; n++) n += s->data[n] == '\\' && n + 1 < s->len;
        value = (struct slice){s->data + from, n - from};
    } else {
        while (n < s->len && s->data[n] != ';') n++;
        value = slice_trim((struct slice){s->data + from, n - from});
    }
    s->data += n, s->len -= n;
    return value;
}

static bool parameter(struct slice value, const char *name, struct buf *out) {
    struct slice n, v;
    struct buf coded = {0};
    size_t len = strlen(name);
    bool extended = false;
    out->len = 0;
    while (value.len) {
        v = next_parameter(&value, &n);
        if (n.len < len || strncasecmp(n.data, name, len)) continue;
        if (n.len == len) {
            for (size_t i = 0; i < v.len; i++)
                if (v.data[i] != '\\' || i + 1 == v.len || !strchr("\"\\", v.data[i + 1]))
                    buf_append(out, v.data + i, 1);
        } else if (n.data[len] == '*') {
            bool percent = n.data[n.len - 1] == '*';
            extended = extended || (percent && coded.len == 0);
            if (percent)
                unquote(v, '%', false, &coded);
            else
                buf_append(&coded, v.data, v.len);
        }
    }
    if (coded.len) { /* charset'language'text */
        struct slice s = buf_slice(&coded);
        char charset[40] = "";
        const char *tick = extended ? memchr(s.data, '\'', s.len) : NULL;
        const char *second = tick ? memchr(tick + 1, '\'', s.len - (size_t)(tick + 1 - s.data)) : NULL;
        if (second) {
            if ((size_t)(tick - s.data) < sizeof charset)
                snprintf(charset, sizeof charset, "%.*s", (int)(tick - s.data), s.data);
            s = (struct slice){second + 1, s.len - (size_t)(second + 1 - s.data)};
        }
        struct error ignored;
        out->len = 0;
        encoding_decode(s, charset[0] ? charset : NULL, out, &ignored);
    }
    if (coded.failed) out->failed = true;
    buf_free(&coded);
    return out->len > 0;
}

/* A token of RFC 2045: ASCII in lower case, what is none as '?', so that it may stand in a warning. */
static void lower(char *out, size_t cap, struct slice s) {
    size_t n = 0;
    for (s = slice_trim(s); n < s.len && n + 1 < cap; n++)
        out[n] = s.data[n] > ' ' && s.data[n] < 0x7f ? (char)tolower((unsigned char)s.data[n]) : '?';
    out[n] = 0;
}

/* A file's name without its folders, clean, cut between characters. */
static void keep_name(char out[MAIL_NAME], struct slice s) {
    struct buf words = {0}, clean = {0};
    for (size_t i = s.len; i > 0; i--)
        if (s.data[i - 1] == '/' || s.data[i - 1] == '\\') {
            s = (struct slice){s.data + i, s.len - i};
            break;
        }
    decode_words(s, &words);
    text_clean(&clean, buf_slice(&words), false);
    s = text_cut(slice_trim(buf_slice(&clean)), MAIL_NAME - 1);
    snprintf(out, MAIL_NAME, "%.*s", (int)s.len, s.data);
    buf_free(&words);
    buf_free(&clean);
}

static void read_entity(struct mail *m, struct slice bytes, const char *type, struct entity *e) {
    struct buf value = {0}, p = {0};
    memset(e, 0, sizeof *e);
    split_head(bytes, e);
    snprintf(e->type, sizeof e->type, "%s", type);
    if (field(e->head, "Content-Disposition", &value)) {
        struct slice v = slice_trim(buf_slice(&value));
        e->attached = v.len >= 10 && !strncasecmp(v.data, "attachment", 10);
        if (parameter(v, "filename", &p)) keep_name(e->name, buf_slice(&p));
    }
    if (field(e->head, "Content-Type", &value)) {
        struct slice v = buf_slice(&value);
        const char *semicolon = memchr(v.data, ';', v.len);
        lower(e->type, sizeof e->type, (struct slice){v.data, semicolon ? (size_t)(semicolon - v.data) : v.len});
        if (!strchr(e->type, '/')) snprintf(e->type, sizeof e->type, "%s", type); /* RFC 2045, 5.2 */
        if (parameter(v, "charset", &p)) lower(e->charset, sizeof e->charset, buf_slice(&p));
        if (parameter(v, "boundary", &p)) snprintf(e->boundary, sizeof e->boundary, "%s", p.data);
        if (!e->name[0] && parameter(v, "name", &p)) keep_name(e->name, buf_slice(&p));
    }
    if (field(e->head, "Content-Transfer-Encoding", &value)) lower(e->encoding, sizeof e->encoding, buf_slice(&value));
    e->in_page = field(e->head, "Content-ID", &value);
    if (value.failed || p.failed) nomem(m->w);
    buf_free(&value);
    buf_free(&p);
}

/* ---- the parts, in order ---- */
static bool begins(const char *s, const char *with) {
    return strncmp(s, with, strlen(with)) == 0;
}

static bool is_attachment(const struct entity *e) {
    return e->kind == ITEM_FILE || e->kind == ITEM_MESSAGE;
}

static void add(struct mail *m, const struct entity *e, enum item_kind kind) {
    if (array_grow((void **)&m->items, &m->cap_items, m->n_items + 1, sizeof *m->items, m->w->e)) {
        nomem(m->w);
        return;
    }
    m->items[m->n_items] = *e;
    m->items[m->n_items++].kind = kind;
}

/* The next part between two boundary lines; false behind the last. *s begins behind a boundary line. last: whether the
 * line that ends it is the multipart's end; END_MISSING when there is none, and what is there counts. */
enum parts_end { END_NOT_YET, END_SAID, END_MISSING };
static bool next_part(struct slice *s, const char *boundary, struct slice *part, enum parts_end *last) {
    size_t n = strlen(boundary);
    const char *from = s->data;
    if (*last != END_NOT_YET) return false;
    while (s->len) {
        const char *at = s->data;
        struct slice line = take_line(s);
        if (line.len < n + 2 || memcmp(line.data, "--", 2) || memcmp(line.data + 2, boundary, n)) continue;
        struct slice rest = slice_trim((struct slice){line.data + n + 2, line.len - n - 2});
        bool end = slice_equal(rest, SLICE_LITERAL("--"));
        if (rest.len && !end) continue; /* of another boundary that begins alike */
        if (end) *last = END_SAID;
        size_t len = (size_t)(at - from);
        if (len && from[len - 1] == '\n') len--; /* the line break belongs to the boundary */
        if (len && from[len - 1] == '\r') len--;
        *part = (struct slice){from, len};
        return true;
    }
    *last = END_MISSING;
    *part = (struct slice){from, (size_t)(s->data - from)};
    return part->len > 0;
}

static void collect(struct mail *m, struct slice bytes, const char *type, bool files_only, int depth);

/* Of forms of one text: the first plain one with words, else the last that can be read, as the best comes last. */
static size_t choose(struct mail *m, struct slice body, const char *boundary) {
    struct slice part;
    size_t chosen = SIZE_MAX, i = 0;
    enum parts_end last = END_NOT_YET;
    next_part(&body, boundary, &part, &last); /* the preamble */
    for (; next_part(&body, boundary, &part, &last) && !m->w->code && i < MAIL_MAX_PARTS; i++) {
        struct entity e;
        read_entity(m, part, "text/plain", &e);
        if (!strcmp(e.type, "text/plain")) {
            struct buf text = {0};
            bool words = content_text(m, &e, &text) && slice_trim(buf_slice(&text)).len > 0;
            buf_free(&text);
            if (words) return i;
        } else if (!strcmp(e.type, "text/html") || begins(e.type, "multipart/")) {
            chosen = i;
        }
    }
    return chosen;
}

static void collect_parts(struct mail *m, const struct entity *e, bool files_only, int depth) {
    bool alternative = !strcmp(e->type, "multipart/alternative");
    enum parts_end last = END_NOT_YET;
    struct slice body = e->body, part = e->body;
    if (depth > MAIL_MAX_DEPTH) {
        writer_fail(m->w, ERR_LIMIT, m->w->o->name, "the parts of this message lie too deep in each other");
        return;
    }
    if (!e->boundary[0] || (next_part(&body, e->boundary, &part, &last) && last == END_MISSING)) {
        struct entity whole = *e; /* no parts where they should be: it is one text */
        whole.body = part;
        if (!files_only) add(m, &whole, ITEM_PLAIN);
        m->cut = true;
        return;
    }
    size_t chosen = alternative && !files_only ? choose(m, e->body, e->boundary) : SIZE_MAX;
    for (size_t i = 0; next_part(&body, e->boundary, &part, &last) && !m->w->code; i++)
        collect(m, part, !strcmp(e->type, "multipart/digest") ? "message/rfc822" : "text/plain",
                files_only || (alternative && i != chosen), depth + 1);
    m->cut = m->cut || last == END_MISSING;
}

static void collect(struct mail *m, struct slice bytes, const char *type, bool files_only, int depth) {
    struct entity e;
    if (++m->n_parts > MAIL_MAX_PARTS) {
        writer_fail(m->w, ERR_LIMIT, m->w->o->name, "this message has more than %u parts", MAIL_MAX_PARTS);
        return;
    }
    read_entity(m, bytes, type, &e);
    if (m->w->code) return;
    bool text = !strcmp(e.type, "text/plain") || !strcmp(e.type, "text/html");
    if (!strcmp(e.type, "multipart/encrypted") || (depth == 0 && strstr(e.type, "pkcs7-mime"))) {
        writer_fail(m->w, ERR_ENCRYPTED, m->w->o->name,
                    "this message is encrypted (%s); save it decrypted and load it again", e.type);
    } else if (begins(e.type, "multipart/")) {
        collect_parts(m, &e, files_only, depth);
    } else if (strstr(e.type, "pgp-signature") || strstr(e.type, "pkcs7-signature")) {
        return; /* says nothing that is read */
    } else if (begins(e.type, "image/") && e.in_page && !e.attached) {
        m->n_pictures++;
    } else if (!strcmp(e.type, "message/rfc822") || !strcmp(e.type, "message/global")) {
        add(m, &e, ITEM_MESSAGE);
    } else if (text && !e.attached && !e.name[0]) {
        if (!files_only) add(m, &e, !strcmp(e.type, "text/html") ? ITEM_HTML : ITEM_PLAIN);
    } else {
        add(m, &e, ITEM_FILE);
    }
}

/* ---- writing ---- */
static void put_field(struct writer *w, struct slice head, const char *name) {
    struct buf value = {0}, text = {0};
    if (field(head, name, &value)) decode_words(slice_trim(buf_slice(&value)), &text);
    if (value.failed || text.failed) {
        nomem(w);
    } else if (slice_trim(buf_slice(&text)).len && writer_begin(w, INGEST_BLOCK_PARAGRAPH, 0)) {
        writer_text(w, slice_of(name));
        writer_text(w, SLICE_LITERAL(": "));
        writer_text(w, buf_slice(&text));
        writer_end(w);
        if (!strcmp(name, "Subject")) {
            struct buf clean = {0};
            text_clean(&clean, buf_slice(&text), false);
            w->d->title = arena_slice(&w->d->arena, buf_slice(&clean));
            buf_free(&clean);
        }
    }
    buf_free(&value);
    buf_free(&text);
}

static void put_names(struct mail *m) {
    bool any = false;
    for (size_t i = 0; i < m->n_items && !m->w->code; i++) {
        const struct entity *e = &m->items[i];
        if (!is_attachment(e)) continue;
        if (!any && !writer_begin(m->w, INGEST_BLOCK_PARAGRAPH, 0)) return;
        writer_text(m->w, any ? SLICE_LITERAL(", ") : SLICE_LITERAL("Attachments: "));
        writer_text(m->w, slice_of(e->name));
        any = true;
    }
    if (any) writer_end(m->w);
}

/* How often the line is quoted ("> >", ">>"), and the line without its marks. */
static size_t quoted(struct slice *line) {
    size_t n = 0, i = 0;
    while (i < line->len && line->data[i] == '>') {
        n++, i++;
        if (i + 1 < line->len && line->data[i] == ' ' && line->data[i + 1] == '>') i++;
    }
    if (n && i < line->len && line->data[i] == ' ') i++;
    line->data += i, line->len -= i;
    return n;
}

static void put_run(struct writer *w, struct buf *run, size_t depth) {
    size_t from = w->n_blocks;
    if (run->failed) nomem(w);
    if (run->len && !w->code) text_read(w, buf_slice(run));
    for (size_t i = from; depth && i < w->n_blocks; i++)
        if (w->blocks[i].kind == INGEST_BLOCK_PARAGRAPH) w->blocks[i].kind = INGEST_BLOCK_QUOTE;
    run->len = 0;
}

/* Plain text, cut where the depth of quoting changes. */
static void put_plain(struct writer *w, struct slice text) {
    struct buf run = {0};
    size_t depth = 0;
    while (text.len && !w->code) {
        struct slice line = take_line(&text);
        bool stuffed = line.len > 5 && !memcmp(line.data, ">From ", 6); /* as mail stores write "From " */
        size_t n = stuffed ? 0 : quoted(&line);
        if (stuffed) line.data++, line.len--;
        if (n != depth && slice_trim(line).len) {
            put_run(w, &run, depth);
            depth = n;
        }
        for (size_t i = 0; i < line.len; i++) /* a message has no pages */
            buf_append(&run, line.data[i] == '\f' ? " " : line.data + i, 1);
        buf_puts(&run, "\n");
    }
    put_run(w, &run, depth);
    buf_free(&run);
}

static void put_body(struct mail *m, const struct entity *e) {
    struct buf text = {0};
    if (!content_text(m, e, &text))
        writer_warn(m->w, INGEST_NONE, "a part of the text was not read: it is sent as \"%s\", which is not known",
                    e->encoding);
    else if (e->kind == ITEM_HTML)
        html_read_part(m->w, buf_slice(&text), NULL, 0, &m->struck);
    else
        put_plain(m->w, buf_slice(&text));
    buf_free(&text);
}

/* ---- attachments ---- */
static void warn_unread(struct mail *m, const struct entity *e, const char *why) {
    writer_warn(m->w, INGEST_NONE, "the attachment \"%s\" was not read: %s", e->name, why);
}

static void read_attachment(struct mail *m, const struct entity *e, struct slice bytes) {
    struct writer *w = m->w;
    struct error why = {0};
    struct ingest_options o = *w->o;
    struct ingest_document *d = calloc(1, sizeof *d);
    int fd = memfd_create("attachment", MFD_CLOEXEC);
    o.name = e->name;
    o.max_text -= w->text.len;
    o.max_pages -= (uint32_t)w->n_pages;
    if (!d || fd < 0) {
        nomem(w);
        goto done;
    }
    for (size_t at = 0; at < bytes.len;) {
        ssize_t n = write(fd, bytes.data + at, bytes.len - at);
        if (n <= 0) {
            nomem(w);
            goto done;
        }
        at += (size_t)n;
    }
    int code = document_blocks(d, fd, bytes.len, &o, w->nested + 1, &why);
    if (!code && d->n_pages > o.max_pages)
        code = error_set(&why, ERR_LIMIT, e->name, "with it the message has too many pages");
    if (code == ERR_NOMEM)
        nomem(w);
    else if (code)
        warn_unread(m, e, why.message);
    else
        writer_append(w, d, e->name);
done:
    if (fd >= 0) close(fd);
    ingest_document_free(d);
}

static void put_attachment(struct mail *m, const struct entity *e) {
    struct buf bytes = {0};
    bool text = begins(e->type, "text/");
    if (!strcmp(e->type, "text/calendar"))
        warn_unread(m, e, "this is a calendar entry");
    else if (!strcmp(e->type, "text/vcard") || !strcmp(e->type, "text/x-vcard") || !strcmp(e->type, "text/directory"))
        warn_unread(m, e, "this is an address card");
    else if (!(text ? content_text(m, e, &bytes) : content(e, &bytes)))
        warn_unread(m, e, "it is sent in an encoding that is not known");
    else if (bytes.failed)
        nomem(m->w);
    else
        read_attachment(m, e, buf_slice(&bytes));
    buf_free(&bytes);
}

/* What has no name gets one that says what it is. Returns how many are attached. */
static unsigned name_attachments(struct mail *m) {
    unsigned n = 0;
    for (size_t i = 0; i < m->n_items; i++) {
        struct entity *e = &m->items[i];
        if (!is_attachment(e)) continue;
        n++;
        size_t len = strlen(e->name);
        if (e->kind == ITEM_MESSAGE && (len < 4 || strcasecmp(e->name + len - 4, ".eml")))
            snprintf(e->name, sizeof e->name, "message %u.eml", n);
        else if (!len)
            snprintf(e->name, sizeof e->name, "part %u (%s)", n, e->type);
    }
    return n;
}

int eml_read(struct writer *w, struct slice bytes) {
    static const char *const shown[] = {"From", "To", "Cc", "Bcc", "Date", "Subject"};
    struct mail m = {.w = w};
    struct entity top;
    if (w->nested > MAIL_MAX_NESTED)
        return writer_fail(w, ERR_LIMIT, w->o->name, "messages lie more than %u deep in each other", MAIL_MAX_NESTED);
    split_head(bytes, &top);
    collect(&m, bytes, "text/plain", false, 0);
    if (w->code) goto done;
    if (name_attachments(&m)) writer_page(w, SLICE_LITERAL("the message"), 0, 0);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) put_field(w, top.head, shown[i]);
    put_names(&m);
    for (size_t i = 0; i < m.n_items && !w->code; i++)
        if (!is_attachment(&m.items[i])) put_body(&m, &m.items[i]);
    if (m.cut) writer_warn(w, INGEST_NONE, "the message breaks off before its end or does not say how it is parted");
    if (m.struck) writer_warn(w, INGEST_NONE, "struck-through text was not read");
    if (m.n_pictures) writer_warn(w, INGEST_NONE, "pictures in the text were not read (%u)", m.n_pictures);
    for (size_t i = 0; i < m.n_items && !w->code; i++)
        if (is_attachment(&m.items[i])) put_attachment(&m, &m.items[i]);
done:
    free(m.items);
    return w->code;
}
