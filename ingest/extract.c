/* extract.c: ingest_document_load: opens the file and has it read by a child process (child.c), which is this program
 * started anew: a hostile file takes down or takes over only that process, which has no network, cannot write, and is
 * killed on time. What it answers is checked by blob.c before anything uses it. */
#include "ingest/blob.h"
#include "ingest/child.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHILD_GRACE_S 5.0 /* the child's own limit comes first and says more than a kill does */

static pthread_mutex_t program_lock = PTHREAD_MUTEX_INITIALIZER;
static char program[4096] = "/proc/self/exe";

void ingest_child_program(const char *path) {
    pthread_mutex_lock(&program_lock);
    snprintf(program, sizeof program, "%s", path ? path : "/proc/self/exe");
    pthread_mutex_unlock(&program_lock);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* the sanitizers' shadow memory takes terabytes of address space */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

int child_run(const char *const arguments[], int input, double timeout_s, uint64_t max_output, process_sink sink,
              void *context, struct process_result *result, struct error *e) {
    char path[sizeof program];
    const char *argv[16];
    size_t n = 0;
    pthread_mutex_lock(&program_lock);
    memcpy(path, program, sizeof path);
    pthread_mutex_unlock(&program_lock);
    argv[n++] = path;
    argv[n++] = INGEST_CHILD_ARGUMENT;
    for (; *arguments && n < 15; arguments++) argv[n++] = *arguments;
    argv[n] = NULL;
    struct process_limits limits = {.timeout_s = timeout_s,
                                    .memory_bytes = SANITIZED ? 0 : CHILD_MEMORY,
                                    .cpu_s = (uint64_t)ceil(timeout_s) + 2,
                                    .max_output = max_output,
                                    .max_file = CHILD_MAX_FILE,
                                    .may_fork = true};
    return process_run(argv, input, &limits, sink, context, result, e);
}

static int sink(void *context, const char *data, size_t len) {
    struct buf *b = context;
    buf_append(b, data, len);
    return b->failed;
}

static int load_by_child(struct ingest_document **out, int fd, const struct ingest_options *o, struct error *e) {
    char bytes[32], pages[32], text[32], seconds[32];
    struct buf blob = {0};
    struct process_result r;
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)o->max_bytes);
    snprintf(pages, sizeof pages, "%u", o->max_pages);
    snprintf(text, sizeof text, "%llu", (unsigned long long)o->max_text);
    snprintf(seconds, sizeof seconds, "%.3f", o->timeout_s);
    const char *const arguments[] = {"read", o->name, bytes, pages, text, seconds, NULL};
    /* a word of 2 bytes with its box, facts and statements takes 60 bytes of the blob at most */
    uint64_t max_blob = o->max_text * 64 + ((uint64_t)64 << 20);
    int code = child_run(arguments, fd, o->timeout_s + CHILD_GRACE_S, max_blob, sink, &blob, &r, e);
    if (code) {
        /* e is filled */
    } else if (blob.failed) {
        code = error_set(e, ERR_NOMEM, o->name, "out of memory while taking over the document");
    } else if (r.timed_out || r.signal == SIGXCPU) {
        code = error_set(e, ERR_CANCELLED, o->name, "reading the file took longer than %.0f seconds and was stopped",
                         o->timeout_s);
    } else if (r.too_much) {
        code = error_set(e, ERR_LIMIT, o->name, "the file has more text than is read; split it and load the parts");
    } else if (r.signal) {
        code = error_set(e, ERR_FORMAT, o->name,
                         "the file brought its reader down (signal %d); it is damaged or hostile and was not taken",
                         r.signal);
    } else if (r.exit_status != 0 || blob.len == 0) {
        code = error_set(e, ERR_IO, o->name, "the reader of this file ended without an answer (exit status %d)",
                         r.exit_status);
    } else {
        code = blob_read(buf_slice(&blob), o, out, e);
    }
    buf_free(&blob);
    return code;
}

int ingest_document_load(struct ingest_document **out, const char *path, const struct ingest_options *options,
                         struct error *e) {
    struct ingest_options o = options_resolve(options);
    *out = NULL;
    if (!o.name) o.name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO, o.name,
                         "the file cannot be opened: %s", strerror(errno));
    int code;
    if (!o.in_process && getenv(PROCESS_MARK)) {
        code =
            error_set(e, ERR_ARG, o.name,
                      "a child process would start another one: the program must call ingest_child_main first of all");
    } else if (!o.in_process) {
        code = load_by_child(out, fd, &o, e);
    } else {
        struct ingest_document *d = calloc(1, sizeof *d);
        code = d ? document_read(d, fd, &o, e) : error_set(e, ERR_NOMEM, o.name, "out of memory");
        if (code)
            ingest_document_free(d);
        else
            *out = d;
    }
    close(fd);
    return code;
}
