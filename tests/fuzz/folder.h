/* folder.h: a folder of a fuzzer's own for inputs that are files, in memory where the system has /dev/shm; it and what
 * lies in it are gone at the end. */
#ifndef ANTINOMY_FUZZ_FOLDER_H
#define ANTINOMY_FUZZ_FOLDER_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64];

static inline const char *in_folder(const char *name) { /* lent until the next call */
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static inline void write_file(const char *name, const void *data, size_t len) {
    FILE *f = fopen(in_folder(name), "wb");
    if (!f || fwrite(data, 1, len, f) != len || fclose(f)) abort();
}

static inline void folder_remove(void) {
    DIR *d = opendir(folder);
    for (const struct dirent *entry; d && (entry = readdir(d)) != NULL;)
        if (entry->d_name[0] != '.') unlink(in_folder(entry->d_name));
    if (d) closedir(d);
    rmdir(folder);
}

static inline int folder_open(void) {
    snprintf(folder, sizeof folder, "%s/antinomy-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(folder) ? atexit(folder_remove) : 1;
}

#endif
