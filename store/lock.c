/* lock.c: one process owns a data directory. flock on DIR/lock: the kernel drops it when the process ends in whatever
 * way, so a file left by kill -9 is no obstacle. The number of the process is written into it for people; nothing ever
 * believes it. The descriptor is close-on-exec: a child that reads a document must not keep the directory locked. */
#include "store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

int store_lock(const char *dir, int *fd, struct error *e) {
    char path[4096], text[32] = "";
    if (snprintf(path, sizeof path, "%s/lock", dir) >= (int)sizeof path)
        return error_set(e, ERR_ARG, "", "The path of the data directory is too long");
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return error_set(e, ERR_IO, path, "Cannot open the lock file of the data directory: %s", strerror(errno));
    int rc = 0;
    while (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR) continue;
        if (errno == EWOULDBLOCK) {
            ssize_t n = pread(*fd, text, sizeof text - 1, 0);
            text[n > 0 ? n : 0] = 0;
            long pid = strtol(text, NULL, 10);
            rc = pid > 0 ? error_set(e, ERR_BUSY, dir, "The data directory is in use by process %ld", pid)
                         : error_set(e, ERR_BUSY, dir, "The data directory is in use by another process");
        } else {
            rc = error_set(e, ERR_IO, path, "Cannot lock the data directory: %s", strerror(errno));
        }
        close(*fd);
        *fd = -1;
        return rc;
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(*fd, 0) != 0 ||
        pwrite(*fd, text, (size_t)n, 0) != n) { /* only a courtesy: a full disk must not stop a start */
    }
    return 0;
}
