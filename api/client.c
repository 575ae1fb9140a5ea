/* client.c: a command speaks to the server that owns the data directory, over its Unix socket. HTTP/1.0 and one request
 * a connection: the answer ends when the connection does, so there is no framing to get wrong. Only our own server is
 * ever at the other end, but what it sends is still bounded. */
#include "api/api.h"
#include "api/sse.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_HEADERS (64u << 10)
#define MAX_BODY (256u << 20)

int client_socket_address(const char *data_dir, void *out, int *dir_fd, struct error *e) {
    struct sockaddr_un *a = out;
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    *dir_fd = -1;
    int n = snprintf(a->sun_path, sizeof a->sun_path, "%s/socket", data_dir);
    if (n > 0 && (size_t)n < sizeof a->sun_path) return 0;
    *dir_fd = open(data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dir_fd < 0)
        return error_set(e, ERR_NOT_FOUND, data_dir, "The data directory cannot be opened: %s.", strerror(errno));
    snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/socket", *dir_fd);
    return 0;
}

int client_connect(const char *data_dir, int *fd, struct error *e) {
    struct sockaddr_un a;
    int dir_fd;
    *fd = -1;
    int rc = client_socket_address(data_dir, &a, &dir_fd, e);
    if (rc != 0) return rc;
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0 || connect(*fd, (struct sockaddr *)&a, sizeof a) != 0) {
        if (*fd >= 0) close(*fd);
        *fd = -1;
        rc = error_set(e, ERR_NOT_FOUND, data_dir, "No server listens in this data directory.");
    }
    if (dir_fd >= 0) close(dir_fd);
    return rc;
}

static int send_all(int fd, const void *data, size_t len) {
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1; /* it may have answered already: the caller reads on */
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The head of one part; the name's quotes and line ends escaped as browsers do. */
static void part_head(struct buf *b, const char *boundary, const char *name) {
    buf_printf(b, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"", boundary);
    for (const char *p = name; *p != '\0'; p++) {
        if (*p == '"')
            buf_puts(b, "%22");
        else if (*p == '\r')
            buf_puts(b, "%0D");
        else if (*p == '\n')
            buf_puts(b, "%0A");
        else
            buf_append(b, p, 1);
    }
    buf_puts(b, "\"\r\nContent-Type: application/octet-stream\r\n\r\n");
}

static int send_request(int fd, const struct api_request *q, struct error *e) {
    static const char *const methods[] = {"GET", "POST", "DELETE", "PATCH"};
    struct buf head = {0}, part = {0};
    struct stat st;
    int file = -1, rc = 0;
    char boundary[48], tail[64];
    uint64_t length = q->body.len;
    snprintf(boundary, sizeof boundary, "antinomy-%ld-%.0f", (long)getpid(), clock_seconds() * 1e9);
    if (q->n_uploads > 0) {
        const struct api_upload *u = &q->uploads[0];
        file = open(u->path, O_RDONLY | O_CLOEXEC);
        if (file < 0 || fstat(file, &st) != 0) {
            rc = error_set(e, ERR_IO, u->name, "The file cannot be read: %s.", strerror(errno));
            goto done;
        }
        part_head(&part, boundary, u->name);
        snprintf(tail, sizeof tail, "\r\n--%s--\r\n", boundary);
        length = part.len + (uint64_t)st.st_size + strlen(tail);
    }
    buf_printf(&head, "%s %s HTTP/1.0\r\nHost: localhost\r\n", methods[q->method], q->path);
    if (q->wants_events) buf_puts(&head, "Accept: text/event-stream\r\n");
    if (q->n_uploads > 0)
        buf_printf(&head, "Content-Type: multipart/form-data; boundary=%s\r\n", boundary);
    else if (q->body.len > 0)
        buf_puts(&head, "Content-Type: application/json\r\n");
    if (q->method == API_POST || q->method == API_PATCH)
        buf_printf(&head, "Content-Length: %llu\r\n", (unsigned long long)length);
    buf_puts(&head, "\r\n");
    buf_append(&head, part.data, part.len);
    buf_append(&head, q->body.data, q->body.len);
    if (head.failed || part.failed) {
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
        goto done;
    }
    if (send_all(fd, head.data, head.len) != 0 || file < 0) goto done;
    char block[65536];
    uint64_t left = (uint64_t)st.st_size;
    while (left > 0) {
        ssize_t n = read(file, block, left < sizeof block ? (size_t)left : sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            rc = error_set(e, ERR_IO, q->uploads[0].name, "The file changed while it was read.");
            goto done;
        }
        if (send_all(fd, block, (size_t)n) != 0) goto done;
        left -= (uint64_t)n;
    }
    send_all(fd, tail, strlen(tail));
done:
    if (file >= 0) close(file);
    buf_free(&head);
    buf_free(&part);
    return rc;
}

/* ---- the answer ---- */
struct answer {
    struct api_response *r;
    const struct api_sink *sink;
    bool finished; /* "done" or "error" has come */
};

static bool answer_event(void *ctx, const char *name, struct slice data) {
    struct answer *a = ctx;
    bool failed = strcmp(name, "error") == 0;
    if (failed || strcmp(name, "done") == 0) {
        buf_append(&a->r->body, data.data, data.len);
        a->r->content_type = failed ? "application/problem+json" : "application/json";
        if (failed) a->r->status = 500;
        a->finished = true;
        return !a->r->body.failed;
    }
    return a->sink == NULL || a->sink->event(a->sink->ctx, name, data);
}

/* Reads some bytes, waking now and then to see whether the user has had enough. 0: the end. */
static ssize_t read_some(int fd, char *block, size_t cap, const struct api_sink *sink, struct error *e) {
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n = poll(&p, 1, 250);
        if (sink != NULL && sink->cancelled(sink->ctx)) {
            error_set(e, ERR_CANCELLED, "", "Stopped on request.");
            return -1;
        }
        if (n <= 0) continue;
        ssize_t got = recv(fd, block, cap, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) error_set(e, ERR_IO, "", "The connection to the server broke: %s.", strerror(errno));
        return got;
    }
}

static int parse_head(char *head, struct api_response *r, bool *events, struct error *e) {
    if (sscanf(head, "HTTP/1.%*1[01] %d", &r->status) != 1)
        return error_set(e, ERR_FORMAT, "", "The server's answer cannot be read; is it another program's socket?");
    r->content_type = "application/json";
    for (char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, "Location: ", 10) == 0) {
            size_t n = strcspn(line + 10, "\r\n");
            if (n < sizeof r->location) {
                memcpy(r->location, line + 10, n);
                r->location[n] = '\0';
            }
        }
        if (strncasecmp(line, "Content-Type: ", 14) == 0) {
            *events = strncasecmp(line + 14, "text/event-stream", 17) == 0;
            if (strncasecmp(line + 14, "text/html", 9) == 0) r->content_type = "text/html; charset=utf-8";
        }
    }
    return 0;
}

int client_call(const char *data_dir, struct api_request *q, struct api_response *r, const struct api_sink *sink,
                struct error *e) {
    struct buf head = {0};
    struct sse_reader reader = {0};
    struct answer answer = {r, sink, false};
    bool in_body = false, events = false;
    int fd;
    int rc = client_connect(data_dir, &fd, e);
    if (rc != 0) return rc;
    rc = send_request(fd, q, e);
    while (rc == 0) {
        char block[16384];
        ssize_t n = read_some(fd, block, sizeof block, sink, e);
        if (n < 0) rc = e->code;
        if (n <= 0) break;
        const char *bytes = block;
        size_t len = (size_t)n;
        if (!in_body) {
            size_t before = head.len;
            buf_append(&head, block, len);
            char *end = head.failed ? NULL : strstr(head.data, "\r\n\r\n");
            if (end == NULL) {
                if (head.failed || head.len > MAX_HEADERS)
                    rc = error_set(e, ERR_FORMAT, "", "The server's answer cannot be read.");
                continue;
            }
            in_body = true;
            size_t n_head = (size_t)(end - head.data) + 4;
            bytes = block + (n_head - before);
            len = head.len - n_head;
            end[2] = '\0';
            rc = parse_head(head.data, r, &events, e);
            if (rc != 0) break;
        }
        if (events) {
            if (!sse_reader_feed(&reader, bytes, len, answer_event, &answer))
                rc = error_set(e, sink != NULL && sink->cancelled(sink->ctx) ? ERR_CANCELLED : ERR_LIMIT, "",
                               "The stream was given up.");
        } else {
            buf_append(&r->body, bytes, len);
            if (r->body.failed || r->body.len > MAX_BODY)
                rc = error_set(e, ERR_LIMIT, "", "The server's answer is too long.");
        }
    }
    if (rc == 0 && (!in_body || (events && !answer.finished)))
        rc = error_set(e, ERR_IO, "", "The server ended before it had answered; its log says why.");
    close(fd);
    buf_free(&head);
    sse_reader_free(&reader);
    return rc;
}
