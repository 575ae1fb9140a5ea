/* process.h: runs another program with limits: what extract.c needs for our own child and pdf_words.c for
 * poppler-utils. */
#ifndef ANTINOMY_INGEST_PROCESS_H
#define ANTINOMY_INGEST_PROCESS_H

#include "base.h"

#define PROCESS_MARK "ANTINOMY_INGEST_CHILD" /* environment variable that is set in every program started here */
#define PROCESS_INPUT_FD 3 /* the program finds its input opened here */

struct process_limits {
    double timeout_s;      /* wall clock; the whole process group is killed then */
    uint64_t memory_bytes; /* RLIMIT_AS; 0 = none */
    uint64_t cpu_s;        /* RLIMIT_CPU; 0 = none */
    uint64_t max_output;   /* bytes of stdout; more is ERR_LIMIT */
    uint64_t max_file;     /* bytes it may write into a file; pipes are none */
    bool may_fork;         /* else RLIMIT_NPROC 0 where it can be set */
};

struct process_result {
    int exit_status;                   /* of exit(), or -1 */
    int signal;                        /* that ended it, or 0 */
    bool timed_out, too_much, stopped; /* stopped: the sink asked for it */
    char errors[2000];                 /* the beginning of its stderr */
};

/* Gets what the program writes to stdout, piece by piece; anything but 0 stops the program. */
typedef int (*process_sink)(void *context, const char *data, size_t len);

/* Starts argv[0] (a path) with stdin from /dev/null and `input` as PROCESS_INPUT_FD, feeds its stdout to sink, waits
 * for its end. Returns 0 when it ran, however it ended; ERR_IO when it could not be started. Safe in programs with
 * threads: nothing runs between fork and exec. */
int process_run(const char *const argv[], int input, const struct process_limits *limits, process_sink sink,
                void *context, struct process_result *result, struct error *e);

#endif
