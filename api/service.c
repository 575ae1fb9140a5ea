/* service.c: what a running Antinomy holds: the store (which owns the data directory), the model and the analysis, both
 * opened when a request first needs them, so that `sets` or `delete` never load weights. Owns incoming/, where bytes
 * lie until the store takes them; what a crash left there is removed at start. */
#include "api/api.h"
#include "engine/pull.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool folder_holds_model(const char *path) {
    DIR *d = opendir(path);
    if (d == NULL) return false;
    bool found = false;
    for (struct dirent *f; !found && (f = readdir(d)) != NULL;) {
        size_t n = strlen(f->d_name);
        found = (n > 5 && strcmp(f->d_name + n - 5, ".gguf") == 0) ||
                (n > 12 && strcmp(f->d_name + n - 12, ".safetensors") == 0);
    }
    closedir(d);
    return found;
}

/* In this order: --model, ANTINOMY_MODEL, the source tree the binary was built in (build/antinomy -> engine/models), an
 * installation (bin/antinomy -> share/antinomy/models). What was named by a person is a path, or the name of a model in
 * the data directory's models folder. */
int api_model_path(const struct api_options *o, char **path, struct error *e) {
    *path = NULL;
    const char *named = o->model_path != NULL ? o->model_path : getenv("ANTINOMY_MODEL");
    if (named != NULL && named[0] != '\0') {
        char *models = NULL;
        if (asprintf(&models, "%s/models", o->data_dir) < 0)
            return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
        int rc = model_find(models, named, path, e);
        free(models);
        return rc;
    }
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n > 0) {
        exe[n] = '\0';
        for (int up = 0; up < 2; up++) {
            char *cut = strrchr(exe, '/');
            if (cut == NULL) break;
            *cut = '\0';
            static const char *const places[] = {"engine/models", "share/antinomy/models"};
            for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
                char *p;
                if (asprintf(&p, "%s/%s", exe, places[i]) < 0)
                    return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
                if (folder_holds_model(p)) {
                    *path = p;
                    return 0;
                }
                free(p);
            }
        }
    }
    return error_set(
        e, ERR_NOT_FOUND, "",
        "No model was found beside this program; name its folder with --model DIR or ANTINOMY_MODEL, or work "
        "with search and rules alone by --no-model.");
}

int api_write(int fd, const void *data, size_t len, const char *what, struct error *e) {
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == ENOSPC || errno == EDQUOT))
            return error_set(e, ERR_IO, what, "The disk is full; nothing of this file was kept.");
        if (n < 0) return error_set(e, ERR_IO, what, "The file could not be written: %s.", strerror(errno));
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int api_incoming(const char *data_dir, char **path, int *fd, struct error *e) {
    *path = NULL;
    *fd = -1;
    char *folder = NULL;
    int rc = 0;
    if (asprintf(&folder, "%s/incoming", data_dir) < 0 || asprintf(path, "%s/XXXXXX", folder) < 0) {
        *path = NULL;
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
        goto done;
    }
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        rc = error_set(e, ERR_IO, folder, "The folder could not be made: %s.", strerror(errno));
        goto done;
    }
    *fd = mkostemp(*path, O_CLOEXEC);
    if (*fd < 0)
        rc = error_set(e, ERR_IO, folder, "A file for incoming bytes could not be made: %s.",
                       errno == ENOSPC ? "the disk is full" : strerror(errno));
done:
    if (rc != 0) {
        free(*path);
        *path = NULL;
    }
    free(folder);
    return rc;
}

/* Only the owner of the lock may do this. A client that is just now fetching a URL for us would have its file unlinked
 * only when the server started in the same moment; its upload then fails with a reason, and nothing is half done. */
static void incoming_clear(const char *data_dir) {
    char *folder;
    if (asprintf(&folder, "%s/incoming", data_dir) < 0) return;
    DIR *d = opendir(folder);
    if (d != NULL) {
        for (struct dirent *f; (f = readdir(d)) != NULL;)
            if (f->d_name[0] != '.') unlinkat(dirfd(d), f->d_name, 0);
        closedir(d);
    }
    free(folder);
}

int api_open(struct api **out, const struct api_options *o, struct error *e) {
    *out = NULL;
    struct api *api = calloc(1, sizeof *api);
    if (api == NULL) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    api->options = *o;
    pthread_mutex_init(&api->lock, NULL);
    pthread_mutex_init(&api->render, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&api->wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = store_open(&api->store, o->data_dir, e);
    if (rc != 0) {
        api_close(api);
        return rc;
    }
    incoming_clear(o->data_dir);
    *out = api;
    return 0;
}

void api_close(struct api *api) {
    if (api == NULL) return;
    api_workers_stop(api);
    if (api->analysis != NULL) analysis_close(api->analysis);
    if (api->model != NULL) jamba_model_close(api->model);
    if (api->store != NULL) store_close(api->store);
    pthread_cond_destroy(&api->wake);
    pthread_mutex_destroy(&api->render);
    pthread_mutex_destroy(&api->lock);
    free(api);
}

static void note_of_model(void *ctx, const char *text) {
    (void)ctx;
    log_line(LOG_WARNING, "model_note", "message", text, NULL);
}

int api_analysis(struct api *api, struct analysis **out, struct error *e) {
    *out = NULL;
    char *path = NULL;
    int rc = 0;
    pthread_mutex_lock(&api->lock);
    if (api->analysis != NULL) goto done;
    if (!api->options.no_model && api->model == NULL) {
        rc = api_model_path(&api->options, &path, e);
        if (rc != 0) goto done;
        double start = clock_seconds();
        struct jamba_model_options mo = {.n_threads = api->options.n_threads,
                                         .path = api->options.kernels,
                                         .device = api->options.device,
                                         .quantize = api->options.quantize,
                                         .note = note_of_model};
        rc = jamba_model_open(&api->model, path, &mo, e);
        if (rc != 0) {
            atomic_store(&api->model_failed, true);
            goto done;
        }
        char ms[32];
        snprintf(ms, sizeof ms, "%.0f", (clock_seconds() - start) * 1e3);
        log_line(LOG_INFO, "model", "name", jamba_model_name(api->model), "kernels",
                 jamba_model_kernel_path(api->model), "ms#", ms, NULL);
    }
    rc = analysis_open(&api->analysis, api->store, api->model, e);
done:
    *out = api->analysis;
    pthread_mutex_unlock(&api->lock);
    free(path);
    return rc;
}
