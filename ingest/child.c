/* child.c: the child process's side: gives up its rights (sandbox.c), reads the file on descriptor 3 (read.c) or has a
 * page of it drawn, and writes the answer to stdout. Step 3 of the path from bytes to an answer.
 *
 *     program --ingest-child read NAME MAX_BYTES MAX_PAGES MAX_TEXT SECONDS     -> a blob (blob.h)
 *     program --ingest-child render PAGE DPI SECONDS                            -> PNG */
#include "ingest/blob.h"
#include "ingest/child.h"
#include "ingest/process.h"
#include "ingest/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static int write_all(const char *s, size_t n) {
    while (n) {
        ssize_t k = write(STDOUT_FILENO, s, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return 1;
        s += k, n -= (size_t)k;
    }
    return 0;
}

static bool may_be_pdf(const char *name) {
    static char head[65536];
    ssize_t n = pread(PROCESS_INPUT_FD, head, sizeof head, 0);
    return n > 0 && sniff_may_be_pdf((struct slice){head, (size_t)n}, name);
}

static void limit(int what, uint64_t value) {
    struct rlimit r = {value, value};
    setrlimit((__rlimit_resource_t)what, &r);
}

static int child_read(char **argv) {
    struct ingest_options o = ingest_options_default();
    struct error e = {0};
    o.name = argv[0];
    o.max_bytes = strtoull(argv[1], NULL, 10);
    o.max_pages = (uint32_t)strtoul(argv[2], NULL, 10);
    o.max_text = strtoull(argv[3], NULL, 10);
    o.timeout_s = strtod(argv[4], NULL);
    o.in_process = true;
    o = options_resolve(&o);
    struct ingest_document *d = calloc(1, sizeof *d);
    struct buf out = {0};
    const char *note = sandbox_enter(PROCESS_INPUT_FD, may_be_pdf(o.name));
    int code = 0;
    if (!d)
        code = error_set(&e, ERR_NOMEM, o.name, "out of memory");
    else if (!note)
        code = error_set(
            &e, ERR_UNSUPPORTED, o.name,
            "files are not read here: this system allows no seccomp filter, so a hostile file could not be confined");
    else
        code = document_read(d, PROCESS_INPUT_FD, &o, &e);
    blob_write(&out, d, code, &e);
    int rc = out.failed ? 1 : write_all(out.data, out.len);
    buf_free(&out);
    ingest_document_free(d);
    return rc;
}

static int png_sink(void *context, const char *data, size_t len) {
    (void)context;
    return write_all(data, len);
}

static int child_render(char **argv) {
    struct error e;
    struct process_result r;
    double seconds = strtod(argv[2], NULL);
    if (!sandbox_enter(PROCESS_INPUT_FD, true)) return 3;
    char page[24], dpi[24];
    snprintf(page, sizeof page, "%lu", strtoul(argv[0], NULL, 10) + 1);
    snprintf(dpi, sizeof dpi, "%lu", strtoul(argv[1], NULL, 10));
    const char *const run[] = {PDFTOPPM, "-png", "-cropbox", "-f", page, "-l", page, "-r", dpi, "/dev/fd/3", NULL};
    struct process_limits limits = {.timeout_s = seconds,
                                    .memory_bytes = (uint64_t)2 << 30,
                                    .cpu_s = (uint64_t)seconds + 1,
                                    .max_output = CHILD_MAX_PNG};
    if (process_run(run, PROCESS_INPUT_FD, &limits, png_sink, NULL, &r, &e)) return 1;
    if (write(STDERR_FILENO, r.errors, strlen(r.errors)) < 0) return 1;
    return r.exit_status == 0 ? 0 : 2;
}

int ingest_child_main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    limit(RLIMIT_NOFILE, 64);
    limit(RLIMIT_CORE, 0);
    signal(SIGPIPE, SIG_DFL);
    if (argc >= 8 && !strcmp(argv[2], "read")) return child_read(argv + 3);
    if (argc >= 6 && !strcmp(argv[2], "render")) return child_render(argv + 3);
    fprintf(stderr, "%s: this is not for people: the program starts itself so\n", INGEST_CHILD_ARGUMENT);
    return 2;
}
