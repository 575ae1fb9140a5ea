/* api.h: the inside of api/. One door for everybody: the command line, the TCP socket and the Unix socket all send a
 * `struct api_request` to api_handle and get a `struct api_response`. So a command prints the same whether it owns the
 * data directory or asks the server that does.
 *
 * Names of the parts:
 *     service.c   what a running Antinomy holds: store, model (opened when first needed), analysis
 *     worker.c    the two background threads: ingest; reports and readings
 *     routes.c    path -> function, error -> status; route_*.c the functions
 *     sse.c       event streams, written and read
 *     server.c    libmicrohttpd around api_handle;  client.c  the same over the Unix socket, from the other side
 */
#ifndef ANTINOMY_API_H
#define ANTINOMY_API_H

#include "base.h"
#include "engine/analysis/analysis.h"
#include "engine/jamba/jamba.h"
#include "ingest/ingest.h"
#include "store/store.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#define API_VERSION "0.1.0"

/* ---- limits: what a stranger on the loopback may make us hold ---- */
#define API_MAX_UPLOAD (256ull << 20)  /* bytes of one request with files; ingest's own limit of a file is the same */
#define API_MAX_JSON (64u << 10)       /* bytes of a JSON body */
#define API_MAX_PATH 1024              /* bytes of path and query */
#define API_MAX_PARTS 200              /* files in one upload */
#define API_MAX_PART_HEADER (8u << 10) /* bytes of one part's header lines */
#define API_MAX_NAME 255               /* bytes of a file's name */
#define API_MAX_SET_NAME 120           /* bytes of a set's name */
#define API_MAX_QUESTION 2000          /* bytes of a question */
#define API_MAX_REVIEW 4000            /* bytes of a review's reason, of its note */
#define API_MAX_CONNECTIONS 96         /* on the TCP socket; as many on the Unix socket */
#define API_MAX_STREAMS 24             /* event streams and computations at once */
#define API_MAX_RECTS 4000             /* rectangles of one range */
#define API_MAX_LISTED 100             /* items of one page of a list that is read in pages */
#define API_TEXT_WINDOW (64u << 10)    /* characters of text that one request gets at most */
#define API_TIMEOUT_S 30               /* a connection that does nothing */
#define API_PING_S 10                  /* an event stream with nothing to say says ": ping" */

/* ---- one request, one response ---- */
enum api_method { API_GET, API_POST, API_DELETE, API_PATCH };

/* A file that has arrived: already under the data directory, to be taken over by the store. */
struct api_upload {
    char *path; /* malloc'd; the file is unlinked with the request unless the store took it */
    char name[API_MAX_NAME + 1];
    bool taken;
};

struct api_request {
    enum api_method method;
    const char *path;  /* "/api/v1/sets?name=acme", as it came; never used as a file name */
    struct slice body; /* JSON, at most API_MAX_JSON */
    struct api_upload *uploads;
    size_t n_uploads;
    bool wants_events; /* Accept: text/event-stream */
    char request_id[40];
};

/* Where a long answer's events go. event returns false when nobody listens any more. */
struct api_sink {
    bool (*event)(void *ctx, const char *name, struct slice json);
    bool (*cancelled)(void *ctx);
    void *ctx;
};

/* Work that a response still has to do: run it with a sink (events, then the result in `json`) or with NULL (only the
 * result). */
struct api_work {
    int (*run)(struct api_work *w, const struct api_sink *sink, struct buf *json, struct error *e);
    void (*free)(struct api_work *w);
};

struct api_response {
    int status;
    const char *content_type; /* a literal */
    struct buf body;
    struct slice fixed; /* instead of body: bytes that live as long as the program */
    char location[80];
    const char *csp;       /* Content-Security-Policy, a literal; NULL for data */
    const char *cache;     /* Cache-Control, a literal; NULL: no-store */
    struct api_work *work; /* not NULL: run it; body is not filled yet */
};

/* ---- the service: what a running Antinomy holds ---- */
struct api_options {
    const char *data_dir;
    const char *model_path; /* NULL: look for one (service.c says where) */
    const char *kernels;    /* kernel path, NULL: the best the processor has */
    const char *device;     /* "cpu", "cuda", "cuda:1", "cuda:all" (jamba.h); NULL: the CPU */
    const char *quantize;   /* "int8", "q4": of weights that are not quantised yet (jamba.h); NULL: as they are */
    bool no_model;
    int n_threads;
    bool background; /* run readings in the background (serve); else only what a command asks for */
};

struct api {
    struct store *store;
    struct api_options options;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* work was queued, a reading ended, or we stop */
    struct jamba_model *model;
    struct analysis *analysis;
    pthread_t workers[2];
    int n_workers;
    bool ingesting;              /* the first worker is on a document */
    struct error ingest_failure; /* why it is not, when that was no document's fault (a full disk) */
    int64_t reading_set;         /* what the second worker reads, 0 = nothing */
    uint64_t reading_done, reading_total;
    pthread_mutex_t render; /* one page is drawn at a time */
    atomic_bool stopping;
    atomic_int n_streams;
    atomic_int n_questions;
    _Atomic int64_t deleting_set; /* a document of it is about to go: its reading stops */
    _Atomic int64_t question_set; /* the set last asked about */
    atomic_bool model_failed;
};

/* Takes the data directory. ERR_BUSY: somebody else has it. */
int api_open(struct api **out, const struct api_options *o, struct error *e);
void api_close(struct api *api); /* stops the workers first */
/* The analysis with its model, opened at the first call. */
int api_analysis(struct api *api, struct analysis **out, struct error *e);
/* Where a model is looked for; the first that is there. path is malloc'd. */
int api_model_path(const struct api_options *o, char **path, struct error *e);
/* The model as people and programs see it; n_tokens: the context whose memory is told. NULL without memory. */
json_t *api_model_json(const struct jamba_model *m, const char *path, uint32_t n_tokens);
/* A fresh file under the data directory for bytes that arrive; path malloc'd, *fd open for writing. */
int api_incoming(const char *data_dir, char **path, int *fd, struct error *e);
/* Writes all of it; a full disk is said in words. */
int api_write(int fd, const void *data, size_t len, const char *what, struct error *e);

/* ---- background ---- */
int api_workers_start(struct api *api, struct error *e);
void api_workers_stop(struct api *api);
void api_workers_wake(struct api *api);
/* Around a delete: a reading of the set that runs in the background stops (it would write down what is to go), and
 * begins again behind. */
void api_delete_begin(struct api *api, int64_t set);
void api_delete_end(struct api *api, int64_t set, bool set_stays);
/* Returns when nothing is left to ingest (vectors too), or when that fails for a reason of ours. */
int api_workers_drain(struct api *api, struct error *e);

/* ---- routes ---- */
/* Always leaves a response (problem+json on failure). The response is to be ended with api_response_free. Any thread.
 */
void api_handle(struct api *api, struct api_request *q, struct api_response *r);
void api_response_free(struct api_response *r);
void api_request_free(struct api_request *q); /* uploads that nobody took are unlinked */
void api_problem(struct api_response *r, const struct error *e, const char *request_id);
void api_problem_status(struct api_response *r, int status, const char *code, const char *detail,
                        const char *request_id);
int api_status(int error_code);
const char *api_status_title(int status);
/* The error's JSON object, as in problem+json and in `--json`. */
json_t *api_error_json(const struct error *e);
void api_respond(struct api_response *r, int status, json_t *body); /* steals body; NULL: out of memory */

/* A route's arguments: the numbers in its path and its query. */
struct api_args {
    int64_t id[2];
    const char *query; /* behind '?', may be "" */
};
/* The value of a query parameter, percent-decoded into out; false when it is not there (or broken or too long: then
 * *bad). */
bool api_query(const char *query, const char *key, char *out, size_t cap, bool *bad);
/* A number 0..max of a query parameter; absent: fallback. */
int api_query_number(const char *query, const char *key, int64_t max, int64_t fallback, int64_t *out, struct error *e);
/* A name of a set or a file: trimmed, UTF-8, no control characters, not too long. */
int api_name_check(struct slice *name, size_t max, const char *what, struct error *e);
int api_json_body(struct slice body, json_t **out, struct error *e);

typedef int (*api_route)(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                         struct error *e);
/* route_sets.c */
int route_sets(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_set_create(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                     struct error *);
int route_set(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_set_delete(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                     struct error *);
int route_model(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_ready(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
/* route_documents.c */
int route_documents(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_upload(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_document(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_document_delete(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                          struct error *);
int route_document_retry(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                         struct error *);
int route_document_text(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                        struct error *);
int route_document_page(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                        struct error *);
int route_document_rects(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                         struct error *);
/* route_jobs.c */
int route_jobs(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_job(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_job_cancel(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                     struct error *);
int route_job_events(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                     struct error *);
/* route_answers.c */
int route_question(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_answers(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_answer(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
/* An answer or a report (`what`) as the store kept it: an object for the caller to free. */
int api_kept_json(struct slice text, const char *what, json_t **out, struct error *e);
int route_report_create(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                        struct error *);
int route_report(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_report_html(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                      struct error *);

/* route_findings.c */
int route_finding(struct api *, struct api_request *, const struct api_args *, struct api_response *, struct error *);
int route_finding_review(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                         struct error *);
int route_report_diff(struct api *, struct api_request *, const struct api_args *, struct api_response *,
                      struct error *);
/* Puts "id" and "review" into each finding of the set's report. */
int api_report_reviews(struct api *api, int64_t set, json_t *report, struct error *e);

json_t *api_job_json(const struct store_job *j);
json_t *api_document_json(const struct store_document *d);

/* ---- the page (web.c) ---- */
bool web_page(const char *path, struct api_response *r);

/* ---- server ---- */
struct server_options {
    int port;  /* 0: any free one */
    bool json; /* say where it listens as JSON */
};
/* Serves until SIGTERM or SIGINT; returns 0 for a clean end. */
int server_run(struct api *api, const struct server_options *o, struct error *e);

/* ---- client: the same requests over the Unix socket ---- */
/* ERR_NOT_FOUND: nobody listens there. */
int client_connect(const char *data_dir, int *fd, struct error *e);
/* One request, one connection. Events of a streamed answer go to the sink as they come; its result is the body. */
int client_call(const char *data_dir, struct api_request *q, struct api_response *r, const struct api_sink *sink,
                struct error *e);
/* Unix sockets have short names: fills a path of any length through /proc/self/fd. dir_fd stays open for the call. */
int client_socket_address(const char *data_dir, void *sockaddr_un, int *dir_fd, struct error *e);

/* ---- log: JSON lines on stderr, never a word of a document or a question ---- */
enum log_level { LOG_INFO, LOG_WARNING, LOG_ERROR };
void log_open(bool on);
/* Pairs of key, value as strings, ended by NULL; a key that ends in '#' has its value written as a number. */
void log_line(enum log_level level, const char *event, ...) __attribute__((sentinel));

#endif
