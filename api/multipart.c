/* multipart.c: reads multipart/form-data as it arrives; holds at most one part's headers in memory, file bytes go
 * through. Refuses nested multiparts (they are data here), transfer encodings, headers above API_MAX_PART_HEADER, more
 * than API_MAX_PARTS parts. Source: RFC 7578 (form-data), RFC 2046 section 5.1.1 (boundaries); names are escaped as
 * browsers do it (WHATWG HTML, "multipart form data": %22, %0D, %0A).
 *
 *     PREAMBLE -delimiter-> AFTER -CRLF-> HEADERS -empty line-> DATA -delimiter-> AFTER -"--"-> END
 */
#include "api/multipart.h"

#include <string.h>
#include <strings.h>

enum { PREAMBLE, AFTER, HEADERS, DATA, END };

int multipart_open(struct multipart *m, const char *content_type, const struct multipart_events *events,
                   struct error *e) {
    memset(m, 0, sizeof *m);
    m->events = *events;
    const char *p = content_type != NULL ? content_type : "";
    size_t n = sizeof "multipart/form-data" - 1;
    if (strncasecmp(p, "multipart/form-data", n) != 0 || (p[n] != ';' && p[n] != ' '))
        return error_set(e, ERR_ARG, "Content-Type", "An upload must be sent as multipart/form-data.");
    p += n;
    const char *value = NULL;
    while (*p == ';' || *p == ' ' || *p == '\t') {
        while (*p == ';' || *p == ' ' || *p == '\t') p++;
        if (strncasecmp(p, "boundary=", 9) == 0) {
            value = p + 9;
            break;
        }
        while (*p != '\0' && *p != ';') p++;
    }
    size_t len = 0;
    if (value != NULL && *value == '"') {
        value++;
        while (value[len] != '\0' && value[len] != '"') len++;
        if (value[len] != '"') len = 0;
    } else if (value != NULL) {
        while (value[len] != '\0' && value[len] != ';' && value[len] != ' ' && value[len] != '\t') len++;
    }
    bool good = len >= 1 && len <= 70;
    for (size_t i = 0; good && i < len; i++) good = value[i] >= 0x20 && value[i] < 0x7f;
    if (!good) return error_set(e, ERR_ARG, "Content-Type", "The upload names no boundary of 1 to 70 characters.");
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, value, len);
    m->delimiter_len = len + 4;
    m->state = PREAMBLE;
    m->matched = 2; /* the first boundary may stand at the very start, without a line end before it */
    return 0;
}

void multipart_free(struct multipart *m) {
    buf_free(&m->header);
}

/* Value of a parameter of a header line (name="x"); unescapes what browsers escape. false when it is not there. */
static bool parameter(const char *line, const char *key, char *out, size_t cap) {
    size_t n_key = strlen(key);
    const char *p = strchr(line, ';');
    while (p != NULL && *p == ';') {
        p++;
        while (*p == ' ' || *p == '\t') p++;
        const char *k = p;
        while (*p != '\0' && *p != '=' && *p != ';') p++;
        bool match = (size_t)(p - k) == n_key && strncasecmp(k, key, n_key) == 0;
        if (*p != '=') {
            p = strchr(p, ';');
            continue;
        }
        p++;
        size_t n = 0;
        bool quoted = *p == '"';
        if (quoted) p++;
        while (*p != '\0' && (quoted ? *p != '"' : *p != ';')) {
            char c = *p++;
            if (quoted && c == '\\' && (*p == '"' || *p == '\\')) c = *p++;
            if (c == '%' && strncmp(p, "22", 2) == 0) c = '"', p += 2;
            if (c == '%' && strncasecmp(p, "0d", 2) == 0) c = ' ', p += 2;
            if (c == '%' && strncasecmp(p, "0a", 2) == 0) c = ' ', p += 2;
            if (match && n + 1 < cap) out[n++] = c;
        }
        if (quoted && *p == '"') p++;
        while (*p == ' ' || *p == '\t') p++;
        if (match) {
            out[n] = '\0';
            return true;
        }
    }
    return false;
}

static int part_begin(struct multipart *m, struct error *e) {
    char name[64] = "", filename[1024];
    bool named = false, is_file = false;
    char *line = m->header.data != NULL ? m->header.data : (char *)"";
    while (*line != '\0') {
        char *end = strstr(line, "\r\n");
        if (end != NULL) *end = '\0';
        if (strncasecmp(line, "Content-Disposition:", 20) == 0) {
            named = parameter(line, "name", name, sizeof name);
            is_file = parameter(line, "filename", filename, sizeof filename);
        }
        if (end == NULL) break;
        line = end + 2;
    }
    m->header.len = 0;
    if (!named) return error_set(e, ERR_FORMAT, "", "A part of the upload has no name.");
    if (++m->n_parts > API_MAX_PARTS)
        return error_set(e, ERR_LIMIT, "", "One upload may hold at most %d files; send the others separately.",
                         API_MAX_PARTS);
    return m->events.begin(m->events.ctx, name, is_file ? filename : NULL, e);
}

int multipart_feed(struct multipart *m, const char *bytes, size_t n, struct error *e) {
    int rc = 0;
    size_t i = 0;
    while (rc == 0 && i < n) {
        switch (m->state) {
        case PREAMBLE:
        case DATA: {
            /* CR stands only at the delimiter's start, so a failed match can only begin again at the byte that broke
             * it. */
            size_t start = i;
            while (i < n && m->matched == 0 && bytes[i] != '\r') i++;
            if (i > start && m->state == DATA) rc = m->events.data(m->events.ctx, bytes + start, i - start, e);
            if (rc != 0 || i == n) break;
            if (bytes[i] == m->delimiter[m->matched]) {
                m->matched++;
                i++;
                if (m->matched == m->delimiter_len) {
                    if (m->state == DATA) rc = m->events.end(m->events.ctx, e);
                    m->matched = 0;
                    m->n_after = 0;
                    m->state = AFTER;
                }
            } else {
                size_t was = m->matched;
                m->matched = 0;
                if (was > 0 && m->state == DATA) rc = m->events.data(m->events.ctx, m->delimiter, was, e);
                if (was == 0) i++; /* cannot happen: matched 0 means bytes[i] is CR, the delimiter's first byte */
            }
            break;
        }
        case AFTER: {
            char c = bytes[i++];
            if (m->n_after == 0 && (c == ' ' || c == '\t')) break; /* transport padding */
            m->after[m->n_after++] = c;
            if (m->n_after < 2) break;
            if (memcmp(m->after, "\r\n", 2) == 0) {
                m->state = HEADERS;
                m->header.len = 0;
            } else if (memcmp(m->after, "--", 2) == 0) {
                m->state = END;
            } else {
                rc = error_set(e, ERR_FORMAT, "", "The upload is broken: a boundary does not end its line.");
            }
            break;
        }
        case HEADERS: {
            char c = bytes[i++];
            buf_append(&m->header, &c, 1);
            if (m->header.failed) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
            size_t len = m->header.len;
            if (len > API_MAX_PART_HEADER || c == '\0') {
                rc = error_set(e, ERR_LIMIT, "", "The upload is broken: the headers of a part are too long.");
            } else if (len >= 4 && memcmp(m->header.data + len - 4, "\r\n\r\n", 4) == 0) {
                m->state = DATA;
                m->matched = 0;
                rc = part_begin(m, e);
            } else if (len == 2 && memcmp(m->header.data, "\r\n", 2) == 0) {
                rc = error_set(e, ERR_FORMAT, "", "A part of the upload has no name.");
            }
            break;
        }
        default:
            i = n; /* the epilogue is nothing */
        }
    }
    return rc;
}

int multipart_close(struct multipart *m, struct error *e) {
    if (m->state != END)
        return error_set(e, ERR_FORMAT, "", "The upload ended before its last boundary; send it again.");
    return 0;
}
