/* models.c: the models folder: what lies in it, a model found by its name, and a model copied into it. Refuses what
 * does not begin like a model.
 *
 * A copy grows in local/.NAME and is renamed to local/NAME when it is whole. Whoever copies holds a flock on the hidden
 * folder, which the kernel drops when the process ends in whatever way: a hidden folder that nobody holds is what a
 * killed import left, and the next import removes it.
 */
#include "engine/pull.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { IMPORT_FILES = 4096, MODEL_PATH = 1024 };

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}
static bool of_model(const char *name) {
    return name[0] != '.' && (ends_with(name, ".gguf") || ends_with(name, ".json") || ends_with(name, ".safetensors") ||
                              ends_with(name, ".model"));
}

size_t model_stem(const char *s) {
    static const char pattern[] = "-00000-of-00000";
    size_t n = strlen(s), k = sizeof pattern - 1;
    if (!ends_with(s, ".gguf")) return n;
    n -= 5;
    if (n < k) return n;
    for (size_t i = 0; i < k; i++) {
        char c = s[n - k + i];
        if (pattern[i] == '0' ? c < '0' || c > '9' : c != pattern[i]) return n;
    }
    return n - k;
}

bool model_same(const char *a, const char *b) {
    size_t n = model_stem(a), all = strlen(a);
    if (strcmp(a, b) == 0) return true;
    /* all but the shard's own number, "-00001" */
    return n + 20 == all && strlen(b) == all && model_stem(b) == n && strncmp(a, b, n) == 0 &&
           strcmp(a + n + 6, b + n + 6) == 0;
}

/* Somebody holds DIR/.lock: a pull is at work. */
static bool being_fetched(const char *dir) {
    char path[MODEL_PATH + 300];
    snprintf(path, sizeof path, "%s/.lock", dir);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    bool held = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0) close(fd);
    return held;
}

/* Adds DIR to the list when it holds weights. */
static int list_folder(json_t *out, const char *dir, const char *name, struct error *e) {
    DIR *d = opendir(dir);
    const struct dirent *entry;
    uint64_t bytes = 0;
    bool weights = false, complete = true;
    if (d == NULL) return 0;
    while ((entry = readdir(d)) != NULL) {
        char path[MODEL_PATH + 300];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (strcmp(entry->d_name, ".incomplete") == 0) complete = false;
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || !of_model(entry->d_name)) continue;
        bytes += (uint64_t)st.st_size;
        weights = weights || ends_with(entry->d_name, ".gguf") || ends_with(entry->d_name, ".safetensors");
    }
    closedir(d);
    if (!weights && complete) return 0;
    const char *state_now = complete ? "ready" : being_fetched(dir) ? "fetching" : "incomplete";
    json_t *m = json_pack("{s:s, s:s, s:I, s:b, s:s}", "name", name, "path", dir, "bytes", (json_int_t)bytes,
                          "complete", (int)complete, "state", state_now);
    return m != NULL && json_array_append_new(out, m) == 0 ? 0
                                                           : error_set(e, ERR_NOMEM, "", "There is not enough memory.");
}

int model_list(const char *models_dir, json_t **out, struct error *e) {
    struct dirent **orgs = NULL, **names = NULL;
    char dir[MODEL_PATH], path[MODEL_PATH], name[600];
    int rc = 0, n_orgs = scandir(models_dir, &orgs, NULL, alphasort);
    *out = json_array();
    if (*out == NULL) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    if (n_orgs < 0 && errno != ENOENT && rc == 0)
        rc = error_set(e, ERR_IO, models_dir, "The models folder cannot be read: %s.", strerror(errno));
    for (int i = 0; i < n_orgs; i++) {
        if (rc == 0 && orgs[i]->d_name[0] != '.' &&
            snprintf(dir, sizeof dir, "%s/%s", models_dir, orgs[i]->d_name) < MODEL_PATH) {
            int n = scandir(dir, &names, NULL, alphasort);
            for (int k = 0; k < n; k++) {
                snprintf(name, sizeof name, "%s/%s", orgs[i]->d_name, names[k]->d_name);
                if (rc == 0 && names[k]->d_name[0] != '.' &&
                    snprintf(path, sizeof path, "%s/%s", models_dir, name) < MODEL_PATH)
                    rc = list_folder(*out, path, name, e);
                free(names[k]);
            }
            if (n >= 0) free(names);
        }
        free(orgs[i]);
    }
    if (n_orgs >= 0) free(orgs);
    if (rc != 0) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}

/* ORG/NAME, or ORG/NAME/FILE.gguf: parts that cannot lead out of the folder. */
static bool model_name(const char *s) {
    size_t n_parts = 0;
    if (strlen(s) > 400) return false;
    for (;; s++) {
        size_t len = strcspn(s, "/");
        if (len == 0 || s[0] == '.') return false;
        n_parts++;
        s += len;
        if (*s == '\0') return n_parts == 2 || n_parts == 3;
    }
}

int model_find(const char *models_dir, const char *name, char **path, struct error *e) {
    struct stat st;
    char *dir = NULL, *mark = NULL;
    int rc = 0;
    *path = NULL;
    if (stat(name, &st) == 0 || !model_name(name)) { /* a path, whose errors are the engine's */
        *path = strdup(name);
        return *path ? 0 : error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    }
    const char *file = strchr(strchr(name, '/') + 1, '/');
    int n = file ? (int)(file - name) : (int)strlen(name);
    if (asprintf(&dir, "%s/%s", models_dir, name) < 0) dir = NULL;
    if (asprintf(&mark, "%s/%.*s/.incomplete", models_dir, n, name) < 0) mark = NULL;
    if (dir == NULL || mark == NULL)
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    else if (stat(dir, &st) != 0)
        rc = error_set(e, ERR_NOT_FOUND, name,
                       "There is neither a file or folder nor a pulled or imported model of this name; 'antinomy model "
                       "list' shows what is here.");
    else if (stat(mark, &st) == 0)
        rc = error_set(e, ERR_BUSY, name, "The model is not complete: 'antinomy model pull %.*s' goes on with it.", n,
                       name);
    if (rc == 0) {
        *path = dir;
        dir = NULL;
    }
    free(dir);
    free(mark);
    return rc;
}

/* ---- import ---- */
/* Blocks shared where the file system can (reflink), copied in the kernel elsewhere, by hand where even that is not
 * possible. In steps, so that a copy of 100 GB grows visibly. */
static int copy_file(const char *from, const char *to, struct error *e) {
    static const size_t step = 16 << 20;
    int in = open(from, O_RDONLY | O_CLOEXEC), out = -1, rc = 0;
    ssize_t k = 0;
    char *block = NULL;
    if (in < 0 || (out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0)
        rc = error_set(e, ERR_IO, in < 0 ? from : to, "The file cannot be copied: %s.", strerror(errno));
    while (rc == 0 && (k = copy_file_range(in, NULL, out, NULL, step, 0)) > 0) {
    }
    bool by_hand = rc == 0 && k < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP);
    if (rc == 0 && k < 0 && !by_hand) rc = error_set(e, ERR_IO, to, "The file cannot be copied: %s.", strerror(errno));
    if (by_hand && (block = malloc(step)) == NULL) rc = error_set(e, ERR_NOMEM, to, "There is not enough memory.");
    while (rc == 0 && by_hand && (k = read(in, block, step)) > 0)
        for (ssize_t done = 0, w; rc == 0 && done < k; done += w)
            if ((w = write(out, block + done, (size_t)(k - done))) <= 0) {
                rc = error_set(e, ERR_IO, to, "The file cannot be copied: %s.", strerror(errno));
                break;
            }
    if (rc == 0 && (k < 0 || fsync(out) != 0))
        rc = error_set(e, ERR_IO, from, "The file cannot be copied: %s.", strerror(errno));
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    free(block);
    return rc;
}

/* Removes a hidden folder of copies and what lies in it (files only: an import makes no folders). */
static void remove_copy(const char *dir) {
    DIR *d = opendir(dir);
    const struct dirent *entry;
    while (d != NULL && (entry = readdir(d)) != NULL) unlinkat(dirfd(d), entry->d_name, 0);
    if (d != NULL) closedir(d);
    rmdir(dir);
}

/* The hidden folder, held: -1 when another process holds it or has just renamed it. */
static int hold(const char *dir) {
    struct stat held, there;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &held) == 0 && stat(dir, &there) == 0 &&
        held.st_ino == there.st_ino && held.st_dev == there.st_dev)
        return fd;
    if (fd >= 0) close(fd);
    return -1;
}

/* What killed imports left goes. */
static void remove_stale(const char *local) {
    DIR *d = opendir(local);
    const struct dirent *entry;
    while (d != NULL && (entry = readdir(d)) != NULL) {
        char path[2 * MODEL_PATH];
        if (entry->d_name[0] != '.' || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(path, sizeof path, "%s/%s", local, entry->d_name);
        int fd = hold(path);
        if (fd < 0) continue;
        remove_copy(path);
        close(fd);
    }
    if (d != NULL) closedir(d);
}

static bool begins_with_gguf(const char *path) {
    char head[4] = "";
    FILE *f = fopen(path, "rb");
    bool yes = f != NULL && fread(head, 1, 4, f) == 4 && memcmp(head, "GGUF", 4) == 0;
    if (f != NULL) fclose(f);
    return yes;
}

int model_import(const char *models_dir, const char *path, char name[256], struct error *e) {
    char source[MODEL_PATH], dir[MODEL_PATH], temp[MODEL_PATH + 8], from[MODEL_PATH + 300], to[MODEL_PATH + 300],
        base[200] = "";
    const char *only = NULL;
    const struct dirent *entry;
    DIR *d = NULL;
    struct stat st;
    struct statvfs space;
    uint64_t bytes = 0;
    int rc = 0, n = 0, n_weights = 0;
    if (strlen(path) >= sizeof source || strlen(models_dir) > 500 || stat(path, &st) != 0)
        return error_set(e, ERR_NOT_FOUND, path, "There is no such file or folder.");
    snprintf(source, sizeof source, "%s", path);
    for (size_t k = strlen(source); k > 1 && source[k - 1] == '/'; k--) source[k - 1] = '\0';
    char *last = strrchr(source, '/');
    snprintf(base, sizeof base, "%.190s", last ? last + 1 : source);
    if (S_ISREG(st.st_mode)) {
        if (!ends_with(source, ".gguf") || !begins_with_gguf(source))
            return error_set(e, ERR_FORMAT, path,
                             "This is no GGUF file; a model in safetensors is imported as its folder.");
        only = path + (strrchr(path, '/') ? strrchr(path, '/') + 1 - path : 0);
        if (last == NULL)
            snprintf(source, sizeof source, ".");
        else
            last[last == source ? 1 : 0] = '\0';
        base[model_stem(base)] = '\0';
    }
    if (base[0] == '.' || base[0] == '\0')
        return error_set(e, ERR_ARG, path, "The model's file or folder needs a name that does not begin with a dot.");
    snprintf(name, 256, "local/%s", base);
    snprintf(dir, sizeof dir, "%s/%s", models_dir, name);
    snprintf(temp, sizeof temp, "%s/local/.%s", models_dir, base);
    if (stat(dir, &st) == 0) return error_set(e, ERR_ARG, dir, "A model of this name is there already.");
    snprintf(to, sizeof to, "%s/local", models_dir);
    if ((mkdir(models_dir, 0700) != 0 && errno != EEXIST) || (mkdir(to, 0700) != 0 && errno != EEXIST))
        return error_set(e, ERR_IO, to, "The model's folder cannot be made: %s.", strerror(errno));
    remove_stale(to);
    if (mkdir(temp, 0700) != 0 && errno != EEXIST)
        return error_set(e, ERR_IO, temp, "The model's folder cannot be made: %s.", strerror(errno));
    int held = hold(temp);
    if (held < 0) return error_set(e, ERR_BUSY, dir, "Another command imports a model of this name just now.");
    if ((d = opendir(source)) == NULL)
        rc = error_set(e, ERR_IO, source, "The folder cannot be read: %s.", strerror(errno));
    for (int pass = 0; rc == 0 && pass < 2; pass++) { /* first the sizes, then the bytes */
        rewinddir(d);
        while (rc == 0 && (entry = readdir(d)) != NULL) {
            snprintf(from, sizeof from, "%s/%s", source, entry->d_name);
            snprintf(to, sizeof to, "%s/%s", temp, entry->d_name);
            if (!(only ? model_same(only, entry->d_name) : of_model(entry->d_name)) || stat(from, &st) != 0 ||
                !S_ISREG(st.st_mode))
                continue;
            if (pass == 1) {
                rc = copy_file(from, to, e);
                continue;
            }
            bytes += (uint64_t)st.st_size;
            n_weights += ends_with(entry->d_name, ".safetensors") ||
                         (ends_with(entry->d_name, ".gguf") && begins_with_gguf(from));
            if (++n > IMPORT_FILES)
                rc = error_set(e, ERR_LIMIT, source, "The folder has more than %d files.", IMPORT_FILES);
        }
        if (rc == 0 && n_weights == 0)
            rc = error_set(e, ERR_FORMAT, path, "There is no model in this folder (GGUF or safetensors).");
        if (rc == 0 && pass == 0 && statvfs(temp, &space) == 0 && bytes > (uint64_t)space.f_bavail * space.f_frsize)
            rc = error_set(e, ERR_IO, temp, "The disk has %.1f GB free, the model needs %.1f GB.",
                           (double)space.f_bavail * (double)space.f_frsize / 1e9, (double)bytes / 1e9);
    }
    if (rc == 0 && rename(temp, dir) != 0)
        rc = error_set(e, ERR_IO, dir, "The model cannot be stored: %s.", strerror(errno));
    if (rc != 0) remove_copy(temp);
    if (d != NULL) closedir(d);
    close(held);
    return rc;
}
