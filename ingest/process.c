/* process.c: see process.h. posix_spawn, so that threads of the caller don't matter; a process group of its own, so
 * that one kill ends the program and all it started. */
#include "ingest/process.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nothing of the caller's environment: it may hold keys. The mark keeps a program that forgets ingest_child_main from
 * starting itself for ever (extract.c); leaks of the child are not looked for, as that needs ptrace, which it may not
 * use. */
static char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", PROCESS_MARK "=1",
                                    "ASAN_OPTIONS=detect_leaks=0", NULL};

#define GROUP_GRACE_MS 2000 /* after its stdout closed the program has this long to exit */

static void set_limit(pid_t pid, int what, uint64_t value) {
    struct rlimit r = {value, value};
    prlimit(pid, (__rlimit_resource_t)what, &r, NULL); /* a limit the kernel refuses to lower is already lower */
}

static int spawn(const char *const argv[], int input, int out, int err, pid_t *pid) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    int rc = posix_spawn_file_actions_init(&files);
    if (rc) return rc;
    if ((rc = posix_spawnattr_init(&attributes)) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return rc;
    }
    sigemptyset(&none);
    sigfillset(&defaults);
    sigdelset(&defaults, SIGKILL);
    sigdelset(&defaults, SIGSTOP);
    /* the descriptors here are all above 10, so none is overwritten before it is used */
    rc = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (!rc) rc = posix_spawn_file_actions_adddup2(&files, out, 1);
    if (!rc) rc = posix_spawn_file_actions_adddup2(&files, err, 2);
    if (!rc && input >= 0) rc = posix_spawn_file_actions_adddup2(&files, input, PROCESS_INPUT_FD);
    if (!rc)
        rc = posix_spawn_file_actions_addclosefrom_np(&files, input >= 0 ? PROCESS_INPUT_FD + 1 : PROCESS_INPUT_FD);
    if (!rc)
        rc = posix_spawnattr_setflags(&attributes,
                                      POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!rc) rc = posix_spawnattr_setpgroup(&attributes, 0);
    if (!rc) rc = posix_spawnattr_setsigmask(&attributes, &none);
    if (!rc) rc = posix_spawnattr_setsigdefault(&attributes, &defaults);
    if (!rc) rc = posix_spawn(pid, argv[0], &files, &attributes, (char *const *)(uintptr_t)argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

static int high_pipe(int fd[2]) {
    int low[2];
    if (pipe2(low, O_CLOEXEC)) return -1;
    fd[0] = fcntl(low[0], F_DUPFD_CLOEXEC, 10);
    fd[1] = fcntl(low[1], F_DUPFD_CLOEXEC, 10);
    close(low[0]);
    close(low[1]);
    if (fd[0] >= 0 && fd[1] >= 0) return 0;
    if (fd[0] >= 0) close(fd[0]);
    if (fd[1] >= 0) close(fd[1]);
    return -1;
}

static void take_errors(struct process_result *r, size_t *n, int fd, bool *open) {
    char piece[4096];
    ssize_t k = read(fd, piece, sizeof piece);
    if (k < 0 && errno == EINTR) return;
    if (k <= 0) {
        *open = false;
        return;
    }
    size_t room = sizeof r->errors - 1 - *n, take = (size_t)k < room ? (size_t)k : room;
    memcpy(r->errors + *n, piece, take);
    *n += take;
    r->errors[*n] = 0;
}

int process_run(const char *const argv[], int input, const struct process_limits *limits, process_sink sink,
                void *context, struct process_result *r, struct error *e) {
    int out[2] = {-1, -1}, err[2] = {-1, -1}, in = -1;
    pid_t pid = -1;
    memset(r, 0, sizeof *r);
    r->exit_status = -1;
    double deadline = clock_seconds() + limits->timeout_s;
    int rc = 0;
    if (high_pipe(out) || high_pipe(err) || (input >= 0 && (in = fcntl(input, F_DUPFD_CLOEXEC, 10)) < 0)) rc = errno;
    if (!rc) rc = spawn(argv, in, out[1], err[1], &pid);
    if (in >= 0) close(in);
    if (out[1] >= 0) close(out[1]);
    if (err[1] >= 0) close(err[1]);
    if (rc) {
        if (out[0] >= 0) close(out[0]);
        if (err[0] >= 0) close(err[0]);
        return error_set(e, ERR_IO, argv[0], "the program %s cannot be started: %s", argv[0], strerror(rc));
    }
    /* a few microseconds of it ran without limits, which opens nothing yet */
    if (limits->memory_bytes) set_limit(pid, RLIMIT_AS, limits->memory_bytes);
    if (limits->cpu_s) set_limit(pid, RLIMIT_CPU, limits->cpu_s);
    set_limit(pid, RLIMIT_CORE, 0);
    set_limit(pid, RLIMIT_FSIZE, limits->max_file);
    if (!limits->may_fork) set_limit(pid, RLIMIT_NPROC, 0);

    bool out_open = true, err_open = true, kill_it = false;
    uint64_t total = 0;
    size_t n_errors = 0;
    while ((out_open || err_open) && !kill_it) {
        struct pollfd p[2] = {{out_open ? out[0] : -1, POLLIN, 0}, {err_open ? err[0] : -1, POLLIN, 0}};
        double left = deadline - clock_seconds();
        if (left <= 0) {
            r->timed_out = kill_it = true;
            break;
        }
        int n = poll(p, 2, left > 60 ? 60000 : (int)ceil(left * 1000));
        if (n < 0 && errno != EINTR) kill_it = true;
        if (n <= 0) continue;
        if (p[1].revents) take_errors(r, &n_errors, err[0], &err_open);
        if (!p[0].revents) continue;
        char piece[65536];
        ssize_t k = read(out[0], piece, sizeof piece);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) {
            out_open = false;
        } else {
            total += (uint64_t)k;
            if (total > limits->max_output)
                r->too_much = kill_it = true;
            else if (sink(context, piece, (size_t)k))
                r->stopped = kill_it = true;
        }
    }
    close(out[0]);
    close(err[0]);
    if (kill_it) kill(-pid, SIGKILL);
    int status = 0;
    double grace = clock_seconds() + GROUP_GRACE_MS / 1000.0;
    for (;;) {
        pid_t w = waitpid(pid, &status, kill_it ? 0 : WNOHANG);
        if (w == pid || (w < 0 && errno != EINTR)) break;
        if (!kill_it && clock_seconds() > grace) {
            kill(-pid, SIGKILL);
            kill_it = true;
        } else if (!kill_it) {
            poll(NULL, 0, 1);
        }
    }
    kill(-pid, SIGKILL); /* what it may have left behind */
    if (WIFEXITED(status)) r->exit_status = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) r->signal = WTERMSIG(status);
    return 0;
}
