/* server.c: libmicrohttpd around api_handle: one daemon on 127.0.0.1, one on the data directory's Unix socket (0600).
 * One thread a connection (bounded), so a slow reader holds only its own thread; an event stream's work has a thread of
 * its own and a bounded queue between (sse.c).
 *
 * Refuses before a route sees anything: a Host that is no loopback name (DNS rebinding), a foreign Origin or cross-site
 * fetch (CSRF), bodies without need, too large, of the wrong type, both Content-Length and Transfer-Encoding. File
 * bytes go to incoming/ as they come. */
#include "api/api.h"
#include "api/multipart.h"
#include "api/sse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HEADER_MEMORY (32u << 10) /* of a connection: request line and headers */
#define SHUTDOWN_S 20             /* then the process ends as by kill -9, which loses nothing either */

struct listener {
    struct api *api;
    bool is_unix;
};

/* One request on its way in. Made when the request line is known, freed when MHD says it is completed. */
struct exchange {
    char *uri;
    struct api_request q;
    bool begun, is_upload, multipart_open;
    struct multipart multipart;
    int fd; /* the file being received, -1 */
    struct buf json;
    uint64_t n_body;
    struct error failed; /* the body was refused: said when it has all come */
    double start;
    int status;
    char method[8];
};

/* ---- headers ---- */
static const char *header(struct MHD_Connection *c, const char *name) {
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* "localhost", "127.0.0.1", "[::1]", each with or without a port. */
static bool host_is_loopback(const char *host) {
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; host != NULL && i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (strncasecmp(host, names[i], n) != 0) continue;
        if (host[n] == '\0') return true;
        if (host[n] != ':') continue;
        size_t digits = strspn(host + n + 1, "0123456789");
        if (digits >= 1 && digits <= 5 && host[n + 1 + digits] == '\0') return true;
    }
    return false;
}

static bool origin_is_own(const char *origin, const char *host) {
    return strncasecmp(origin, "http://", 7) == 0 && strcasecmp(origin + 7, host) == 0;
}

static void request_id(struct MHD_Connection *c, char out[40]) {
    const char *given = header(c, "X-Request-Id");
    size_t n = given != NULL ? strspn(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") : 0;
    if (n >= 1 && n <= 36 && given[n] == '\0') {
        memcpy(out, given, n + 1);
        return;
    }
    uint8_t bytes[8] = {0};
    if (getrandom(bytes, sizeof bytes, 0) < 0) memcpy(bytes, &(uintptr_t){(uintptr_t)c}, sizeof(uintptr_t));
    hex_encode(bytes, sizeof bytes, out);
}

/* ---- sending ---- */
static enum MHD_Result send_response(struct MHD_Connection *c, struct exchange *x, struct api_response *r, bool close) {
    struct MHD_Response *m;
    if (r->fixed.data != NULL) {
        m = MHD_create_response_from_buffer(r->fixed.len, (void *)(uintptr_t)r->fixed.data, MHD_RESPMEM_PERSISTENT);
    } else {
        m = MHD_create_response_from_buffer(r->body.len, r->body.data,
                                            r->body.data != NULL ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
        if (m != NULL) r->body = (struct buf){0};
    }
    if (m == NULL) return MHD_NO;
    MHD_add_response_header(m, "Content-Type", r->content_type);
    MHD_add_response_header(m, "X-Request-Id", x->q.request_id);
    MHD_add_response_header(m, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(m, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(m, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(m, "Cache-Control", r->cache != NULL ? r->cache : "no-store");
    MHD_add_response_header(m, "Content-Security-Policy",
                            r->csp != NULL ? r->csp : "default-src 'none'; frame-ancestors 'none'");
    if (r->location[0] != '\0') MHD_add_response_header(m, "Location", r->location);
    if (r->status == 503) MHD_add_response_header(m, "Retry-After", "2");
    if (r->status == 405) MHD_add_response_header(m, "Allow", "GET, POST, DELETE");
    if (close) MHD_add_response_header(m, "Connection", "close");
    x->status = r->status;
    enum MHD_Result ok = MHD_queue_response(c, (unsigned)r->status, m);
    MHD_destroy_response(m);
    return ok;
}

static enum MHD_Result refuse(struct MHD_Connection *c, struct exchange *x, int status, const char *code,
                              const char *detail) {
    struct api_response r = {0};
    api_problem_status(&r, status, code, detail, x->q.request_id);
    enum MHD_Result ok = send_response(c, x, &r, true);
    api_response_free(&r);
    return ok;
}

/* ---- event streams ---- */
struct task {
    struct api *api;
    struct sse_stream *stream;
    struct api_work *work;
    char request_id[40];
};

static bool task_event(void *ctx, const char *name, struct slice json) {
    return sse_stream_put(((struct task *)ctx)->stream, name, json);
}

static bool task_cancelled(void *ctx) {
    return sse_stream_abandoned(((struct task *)ctx)->stream);
}

static void *task_main(void *ctx) {
    struct task *t = ctx;
    struct api_sink sink = {task_event, task_cancelled, t};
    struct buf json = {0};
    struct error e = {0};
    int rc = t->work->run(t->work, &sink, &json, &e);
    if (rc == 0) {
        sse_stream_put(t->stream, "done", buf_slice(&json));
    } else {
        struct api_response r = {0};
        api_problem(&r, &e, t->request_id);
        sse_stream_put(t->stream, "error", r.fixed.data != NULL ? r.fixed : buf_slice(&r.body));
        api_response_free(&r);
    }
    buf_free(&json);
    t->work->free(t->work);
    sse_stream_end(t->stream);
    sse_stream_drop(t->stream);
    struct api *api = t->api;
    free(t);
    atomic_fetch_sub(&api->n_streams, 1); /* the last thing: the server may now go */
    return NULL;
}

static ssize_t stream_read(void *cls, uint64_t pos, char *out, size_t max) {
    (void)pos;
    long n = sse_stream_read(cls, out, max, API_PING_S);
    if (n < 0) return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0 && max >= 8) {
        memcpy(out, ": ping\n\n", 8);
        n = 8;
    }
    return n;
}

static void stream_free(void *cls) {
    sse_stream_abandon(cls);
    sse_stream_drop(cls);
}

static bool stream_slot(struct api *api) {
    if (atomic_fetch_add(&api->n_streams, 1) < API_MAX_STREAMS) return true;
    atomic_fetch_sub(&api->n_streams, 1);
    return false;
}

static enum MHD_Result send_stream(struct api *api, struct MHD_Connection *c, struct exchange *x,
                                   struct api_response *r) {
    struct task *t = calloc(1, sizeof *t);
    struct sse_stream *s = sse_stream_new();
    struct MHD_Response *m =
        s != NULL ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, stream_read, s, stream_free) : NULL;
    pthread_t thread;
    if (t == NULL || m == NULL) {
        free(t);
        if (m != NULL)
            MHD_destroy_response(m); /* drops one owner */
        else
            sse_stream_drop(s);
        sse_stream_drop(s);
        atomic_fetch_sub(&api->n_streams, 1);
        return refuse(c, x, 503, "nomem", "There is not enough memory.");
    }
    *t = (struct task){.api = api, .stream = s, .work = r->work};
    memcpy(t->request_id, x->q.request_id, sizeof t->request_id);
    r->work = NULL;
    MHD_add_response_header(m, "Content-Type", "text/event-stream");
    MHD_add_response_header(m, "Cache-Control", "no-cache");
    MHD_add_response_header(m, "X-Accel-Buffering", "no");
    MHD_add_response_header(m, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(m, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(m, "X-Request-Id", x->q.request_id);
    if (pthread_create(&thread, NULL, task_main, t) != 0) {
        t->work->free(t->work);
        free(t);
        sse_stream_drop(s);
        MHD_destroy_response(m);
        atomic_fetch_sub(&api->n_streams, 1);
        return refuse(c, x, 503, "nomem", "A thread could not be started; try again.");
    }
    pthread_detach(thread);
    x->status = 200;
    enum MHD_Result ok = MHD_queue_response(c, 200, m);
    MHD_destroy_response(m);
    return ok;
}

/* ---- receiving ---- */
static int part_begin(void *ctx, const char *name, const char *filename, struct error *e) {
    struct exchange *x = ctx;
    (void)name;
    if (filename == NULL) return 0;             /* plain fields say nothing to us */
    const char *back = strrchr(filename, '\\'); /* a whole Windows path: its last part is the name */
    struct slice s = slice_of(back != NULL ? back + 1 : filename);
    while (s.len > 0 && s.data[0] == '/') s.data++, s.len--;
    int rc = api_name_check(&s, API_MAX_NAME, "file", e);
    if (rc != 0) return rc;
    struct api_upload *more = realloc(x->q.uploads, (x->q.n_uploads + 1) * sizeof *more);
    if (more == NULL) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    x->q.uploads = more;
    struct api_upload *u = &more[x->q.n_uploads];
    memset(u, 0, sizeof *u);
    memcpy(u->name, s.data, s.len);
    rc = api_incoming((const char *)x->json.data, &u->path, &x->fd, e);
    if (rc == 0) x->q.n_uploads++;
    return rc;
}

static int part_data(void *ctx, const char *bytes, size_t n, struct error *e) {
    struct exchange *x = ctx;
    return x->fd < 0 ? 0 : api_write(x->fd, bytes, n, x->q.uploads[x->q.n_uploads - 1].name, e);
}

static int part_end(void *ctx, struct error *e) {
    struct exchange *x = ctx;
    int rc = 0;
    if (x->fd >= 0 && close(x->fd) != 0)
        rc = error_set(e, ERR_IO, "", "The file could not be written: %s.", strerror(errno));
    x->fd = -1;
    return rc;
}

/* Everything that can be refused from the headers. 0: go on; else a response was queued and *result is what the handler
 * returns. */
static bool check_headers(struct listener *l, struct MHD_Connection *c, struct exchange *x, const char *method,
                          enum MHD_Result *result) {
    request_id(c, x->q.request_id);
    const char *host = header(c, "Host"), *origin = header(c, "Origin"), *site = header(c, "Sec-Fetch-Site");
    const char *type = header(c, "Content-Type"), *length = header(c, "Content-Length"),
               *coding = header(c, "Transfer-Encoding");
    const char *accept = header(c, "Accept"), *mode = header(c, "Sec-Fetch-Mode");
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    x->q.wants_events = accept != NULL && strstr(accept, "text/event-stream") != NULL;
    x->q.method = get                            ? API_GET
                  : strcmp(method, "POST") == 0  ? API_POST
                  : strcmp(method, "PATCH") == 0 ? API_PATCH
                                                 : API_DELETE;
    if (x->q.method == API_DELETE && strcmp(method, "DELETE") != 0) {
        *result = refuse(c, x, 405, "arg", "Only GET, HEAD, POST, PATCH and DELETE are known here.");
        return false;
    }
    if (x->uri == NULL) {
        *result = refuse(c, x, 414, "limit", "The address is too long.");
        return false;
    }
    x->q.path = x->uri;
    if (!l->is_unix) {
        if (!host_is_loopback(host)) {
            *result = refuse(c, x, 421, "host", "This service answers to localhost, 127.0.0.1 and [::1] only.");
            return false;
        }
        bool foreign = site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0 &&
                       !(get && mode != NULL && strcmp(mode, "navigate") == 0);
        if (foreign || (!get && origin != NULL && !origin_is_own(origin, host))) {
            *result = refuse(c, x, 403, "origin", "Requests from other sites are refused.");
            return false;
        }
    }
    uint64_t n = 0;
    if (length != NULL) {
        char *end;
        errno = 0;
        n = strtoull(length, &end, 10);
        if (errno != 0 || *end != '\0' || length[0] < '0' || length[0] > '9' || coding != NULL) {
            *result = refuse(c, x, 400, "arg", "The length of the body is not clear.");
            return false;
        }
    }
    bool body = n > 0 || coding != NULL;
    if (body && x->q.method != API_POST && x->q.method != API_PATCH) {
        *result = refuse(c, x, 400, "arg", "Only POST and PATCH may have a body.");
        return false;
    }
    if (!body) return true;
    x->is_upload = type != NULL && strncasecmp(type, "multipart/form-data", 19) == 0;
    size_t n_type = sizeof "application/json" - 1;
    bool json = type != NULL && strncasecmp(type, "application/json", n_type) == 0 &&
                (type[n_type] == '\0' || type[n_type] == ';' || type[n_type] == ' ');
    if (!json && !x->is_upload) {
        *result =
            refuse(c, x, 415, "unsupported", "The body must be application/json, or multipart/form-data for files.");
        return false;
    }
    if (n > (x->is_upload ? API_MAX_UPLOAD : API_MAX_JSON)) {
        *result = refuse(c, x, 413, "limit",
                         x->is_upload ? "An upload may have at most 256 MiB." : "A JSON body may have at most 64 KiB.");
        return false;
    }
    if (x->is_upload) {
        struct error e = {0};
        struct multipart_events ev = {part_begin, part_data, part_end, x};
        if (multipart_open(&x->multipart, type, &ev, &e) != 0) {
            *result = refuse(c, x, 400, "arg", e.message);
            return false;
        }
        x->multipart_open = true;
        buf_puts(&x->json, store_dir(l->api->store)); /* where the files go; an upload has no JSON */
    }
    return true;
}

static void receive(struct exchange *x, const char *bytes, size_t n) {
    x->n_body += n;
    if (x->failed.code != 0) return; /* let the rest of a refused body pass, so that the client reads why */
    if (x->n_body > (x->is_upload ? API_MAX_UPLOAD : API_MAX_JSON)) {
        error_set(&x->failed, ERR_LIMIT, "body", "The body is too long.");
    } else if (x->is_upload) {
        multipart_feed(&x->multipart, bytes, n, &x->failed);
    } else {
        buf_append(&x->json, bytes, n);
        if (x->json.failed) error_set(&x->failed, ERR_NOMEM, "", "There is not enough memory.");
    }
}

static enum MHD_Result handler(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                               const char *version, const char *upload, size_t *n_upload, void **con_cls) {
    (void)url;
    (void)version;
    struct listener *l = cls;
    struct api *api = l->api;
    struct exchange *x = *con_cls;
    enum MHD_Result result = MHD_NO;
    if (x == NULL) return MHD_NO;
    if (!x->begun) {
        x->begun = true;
        snprintf(x->method, sizeof x->method, "%s", method);
        return check_headers(l, c, x, method, &result) ? MHD_YES : result;
    }
    if (*n_upload > 0) {
        receive(x, upload, *n_upload);
        *n_upload = 0;
        /* a body without end: stop listening */
        return x->n_body > (x->is_upload ? API_MAX_UPLOAD : API_MAX_JSON) + (1u << 20) ? MHD_NO : MHD_YES;
    }
    struct api_response r = {0};
    if (x->is_upload && x->failed.code == 0) multipart_close(&x->multipart, &x->failed);
    if (x->fd >= 0) close(x->fd);
    x->fd = -1;
    if (!x->is_upload) x->q.body = buf_slice(&x->json);
    if (x->failed.code != 0) {
        api_problem(&r, &x->failed, x->q.request_id);
    } else {
        /* What may take long must not be taken for an idle connection. */
        MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
        api_handle(api, &x->q, &r);
        if (r.work != NULL && !stream_slot(api)) {
            api_problem_status(&r, 503, "busy", "Too many questions at once; try again in a moment.", x->q.request_id);
        } else if (r.work != NULL && x->q.wants_events) {
            result = send_stream(api, c, x, &r);
            MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)API_TIMEOUT_S);
            api_response_free(&r);
            return result;
        } else if (r.work != NULL) {
            struct error e = {0};
            if (r.work->run(r.work, NULL, &r.body, &e) != 0) {
                buf_free(&r.body);
                api_problem(&r, &e, x->q.request_id);
            } else {
                r.content_type = "application/json";
            }
            atomic_fetch_sub(&api->n_streams, 1);
        }
        MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)API_TIMEOUT_S);
    }
    result = send_response(c, x, &r, false);
    api_response_free(&r);
    return result;
}

static void *request_line(void *cls, const char *uri, struct MHD_Connection *c) {
    (void)cls;
    (void)c;
    struct exchange *x = calloc(1, sizeof *x);
    if (x == NULL) return NULL;
    x->fd = -1;
    x->start = clock_seconds();
    if (strlen(uri) <= API_MAX_PATH) x->uri = strdup(uri);
    return x;
}

static void completed(void *cls, struct MHD_Connection *c, void **con_cls, enum MHD_RequestTerminationCode why) {
    (void)c;
    struct listener *l = cls;
    struct exchange *x = *con_cls;
    if (x == NULL) return;
    char status[16], ms[32], path[128];
    snprintf(status, sizeof status, "%d", x->status);
    snprintf(ms, sizeof ms, "%.1f", (clock_seconds() - x->start) * 1e3);
    size_t n = x->uri != NULL ? strcspn(x->uri, "?") : 0; /* a query may name a set */
    snprintf(path, sizeof path, "%.*s", (int)(n < sizeof path ? n : sizeof path - 1), x->uri != NULL ? x->uri : "");
    log_line(LOG_INFO, "request", "request_id", x->q.request_id, "via", l->is_unix ? "socket" : "http", "method",
             x->method, "path", path, "status#", status, "ms#", ms, "end",
             why == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "ok" : "broken", NULL);
    if (x->fd >= 0) close(x->fd);
    if (x->multipart_open) multipart_free(&x->multipart);
    api_request_free(&x->q);
    buf_free(&x->json);
    free(x->uri);
    free(x);
    *con_cls = NULL;
}

/* ---- listening ---- */
static int listen_tcp(int *port, int *fd, struct error *e) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof a;
    int one = 1;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0) return error_set(e, ERR_IO, "", "A socket could not be made: %s.", strerror(errno));
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(*fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(*fd, 64) != 0 ||
        getsockname(*fd, (struct sockaddr *)&a, &len) != 0) {
        int rc =
            errno == EADDRINUSE
                ? error_set(e, ERR_BUSY, "", "Port %d is taken by another program; choose one with --port N.", *port)
                : error_set(e, ERR_IO, "", "Port %d cannot be opened: %s.", *port, strerror(errno));
        close(*fd);
        *fd = -1;
        return rc;
    }
    *port = ntohs(a.sin_port);
    return 0;
}

static int listen_unix(const char *dir, int *fd, struct error *e) {
    struct sockaddr_un a;
    int dir_fd = -1;
    int rc = client_socket_address(dir, &a, &dir_fd, e);
    if (rc != 0) return rc;
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd >= 0) fchmod(*fd, 0600); /* on Linux the mode of the file that bind makes */
    unlink(a.sun_path);              /* we hold the lock, so nobody listens there */
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&a, sizeof a) != 0 || chmod(a.sun_path, 0600) != 0 ||
        listen(*fd, 64) != 0) {
        rc = error_set(e, ERR_IO, dir, "The socket for other commands could not be opened: %s.", strerror(errno));
        if (*fd >= 0) close(*fd);
        *fd = -1;
    }
    if (dir_fd >= 0) close(dir_fd);
    return rc;
}

static struct MHD_Daemon *daemon_start(struct listener *l, int fd) {
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
    return MHD_start_daemon(flags, 0, NULL, NULL, handler, l, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)API_MAX_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_MEMORY,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)API_TIMEOUT_S, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                            (unsigned)(l->is_unix ? 0 : API_MAX_CONNECTIONS - 8), MHD_OPTION_NOTIFY_COMPLETED,
                            completed, l, MHD_OPTION_URI_LOG_CALLBACK, request_line, l, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                            MHD_OPTION_END);
}

static void end_now(int sig) {
    (void)sig;
    _exit(1);
}

int server_run(struct api *api, const struct server_options *o, struct error *e) {
    struct listener tcp = {api, false}, local = {api, true};
    struct MHD_Daemon *daemons[2] = {NULL, NULL};
    int port = o->port, tcp_fd = -1, unix_fd = -1;
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL); /* before any thread: all inherit it, only we wait for them */
    int rc = listen_tcp(&port, &tcp_fd, e);
    if (rc == 0) rc = listen_unix(api->options.data_dir, &unix_fd, e);
    if (rc == 0) rc = api_workers_start(api, e);
    if (rc == 0) {
        daemons[0] = daemon_start(&tcp, tcp_fd);
        daemons[1] = daemon_start(&local, unix_fd);
        if (daemons[0] != NULL) tcp_fd = -1; /* the daemons' now */
        if (daemons[1] != NULL) unix_fd = -1;
        if (daemons[0] == NULL || daemons[1] == NULL)
            rc = error_set(e, ERR_IO, "", "The HTTP service could not be started.");
    }
    if (rc == 0) {
        if (o->json)
            printf("{\"url\":\"http://127.0.0.1:%d/\",\"port\":%d,\"pid\":%ld}\n", port, port, (long)getpid());
        else
            printf("Antinomy is at http://127.0.0.1:%d/ (Ctrl-C ends it)\n", port);
        fflush(stdout);
        char text[16];
        snprintf(text, sizeof text, "%d", port);
        log_line(LOG_INFO, "start", "port#", text, NULL);
        int sig;
        sigwait(&stop, &sig);
        log_line(LOG_INFO, "stop", NULL);
    }
    /* The end: a second signal, or a document that takes too long, ends us at once. The store is made for that. */
    struct sigaction now = {.sa_handler = end_now};
    sigaction(SIGTERM, &now, NULL);
    sigaction(SIGINT, &now, NULL);
    sigaction(SIGALRM, &now, NULL);
    pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
    alarm(SHUTDOWN_S);
    atomic_store(&api->stopping, true);
    api_workers_wake(api);
    for (int i = 0; i < 2; i++)
        if (daemons[i] != NULL) MHD_stop_daemon(daemons[i]);
    if (tcp_fd >= 0) close(tcp_fd);
    if (unix_fd >= 0) close(unix_fd);
    while (atomic_load(&api->n_streams) > 0) nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    api_workers_stop(api);
    struct sockaddr_un a;
    int dir_fd = -1;
    struct error ignored;
    if (client_socket_address(api->options.data_dir, &a, &dir_fd, &ignored) == 0) unlink(a.sun_path);
    if (dir_fd >= 0) close(dir_fd);
    return rc;
}
