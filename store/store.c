/* store.c: opens and closes a data directory: lock, database, migration, jobs and deletes that a crash cut short, files
 * without a row.
 *
 * Start, in this order: lock; open the writer (SQLite replays the WAL); quick_check; migrate; requeue running jobs (the
 * lock proves that whoever ran them is gone); finish begun deletes; unlink files no row names. */
#include "store/database.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int directory_make(const char *path, struct error *e) {
    struct buf b = {0};
    buf_puts(&b, path);
    if (b.failed) return store_nomem(e);
    int rc = 0;
    for (char *p = b.data + 1; rc == 0 && b.len > 0; p++) {
        if (*p != '/' && *p != 0) continue;
        char was = *p;
        *p = 0;
        if (mkdir(b.data, 0700) != 0 && errno != EEXIST)
            rc = error_set(e, ERR_IO, b.data, "Cannot create the folder: %s", strerror(errno));
        *p = was;
        if (was == 0) break;
    }
    buf_free(&b);
    struct stat st;
    if (rc == 0 && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
        rc = error_set(e, ERR_IO, path, "This is not a folder");
    return rc;
}

/* The data directory may be an older one that others can enter. The WAL takes the database's mode. */
static int file_private(const char *path, struct error *e) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return error_set(e, ERR_IO, path, "Cannot open the database: %s", strerror(errno));
    int rc =
        fchmod(fd, 0600) == 0 ? 0 : error_set(e, ERR_IO, path, "Cannot make the database private: %s", strerror(errno));
    close(fd);
    return rc;
}

static int quick_check(sqlite3 *db, struct error *e) {
    sqlite3_stmt *st;
    bool row;
    int rc = db_query(db, &st, e, "PRAGMA quick_check(1)", "");
    if (rc == 0) rc = db_row(st, &row, e);
    if (rc == 0 && row) {
        struct slice said = db_lend(st, 0);
        if (!slice_equal(said, SLICE_LITERAL("ok")))
            rc = error_set(e, ERR_FORMAT, sqlite3_db_filename(db, "main"),
                           "The database is damaged (%.*s); restore it from a backup",
                           (int)(said.len < 200 ? said.len : 200), said.data);
    }
    sqlite3_finalize(st);
    return rc;
}

/* The originals are worth more than the rows: with documents lying there, a missing database is not replaced by an
 * empty one (which would take them for litter). */
static int originals_are_known(struct store *s, struct error *e) {
    int64_t tables = 0;
    int rc = db_one(s->writer, &tables, e, "SELECT count(*) FROM sqlite_schema", "");
    if (rc || tables > 0) return rc;
    char path[4096];
    snprintf(path, sizeof path, "%s/originals", s->dir);
    DIR *dir = opendir(path);
    if (!dir) return 0;
    for (struct dirent *f; (f = readdir(dir)) && rc == 0;)
        if (f->d_name[0] != '.')
            rc = error_set(e, ERR_FORMAT, s->path,
                           "The database is missing, but documents lie in %s; restore it, or remove the folder", path);
    closedir(dir);
    return rc;
}

static int recover(struct store *s, struct error *e) {
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = jobs_requeue(s->writer, true, e);
    rc = store_write_end(s, rc, e);
    if (rc) return rc;
    /* A begun delete that cannot end (disk full) waits for the next delete or start: refusing to start would bar the
     * way to free space. */
    struct error ignored;
    pthread_mutex_lock(&s->write_lock);
    store_wipe(s, &ignored);
    rc = store_sweep(s, e);
    pthread_mutex_unlock(&s->write_lock);
    return rc;
}

static int database_ready(struct store *s, struct error *e) {
    int rc = file_private(s->path, e);
    if (rc == 0) rc = db_open(&s->writer, s->path, true, e);
    if (rc == 0) rc = quick_check(s->writer, e);
    if (rc == 0) rc = originals_are_known(s, e);
    if (rc == 0) rc = store_migrate(s->writer, e);
    if (rc == 0) rc = recover(s, e);
    return rc;
}

int store_open(struct store **out, const char *dir, struct error *e) {
    *out = NULL;
    if (!dir || !*dir) return error_set(e, ERR_ARG, "", "No data directory is given");
    if (sqlite3_threadsafe() == 0)
        return error_set(e, ERR_UNSUPPORTED, "", "This SQLite library is built without threads");
    if (strlen(dir) > 3500) return error_set(e, ERR_ARG, "", "The path of the data directory is too long");
    struct store *s = calloc(1, sizeof *s);
    if (!s) return store_nomem(e);
    s->lock_fd = -1;
    pthread_mutex_init(&s->write_lock, NULL);
    pthread_mutex_init(&s->pool_lock, NULL);
    pthread_rwlockattr_t fair; /* readers come all the time: a waiting deletion goes first */
    pthread_rwlockattr_init(&fair);
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s->visit, &fair);
    pthread_rwlockattr_destroy(&fair);

    static const char *const folders[] = {"originals", "readings", "pages"};
    int rc = 0;
    s->dir = strdup(dir);
    size_t len = strlen(dir) + sizeof "/antinomy.db";
    s->path = malloc(len);
    if (!s->dir || !s->path) {
        rc = store_nomem(e);
        goto done;
    }
    for (size_t n = strlen(s->dir); n > 1 && s->dir[n - 1] == '/'; n--) s->dir[n - 1] = 0;
    snprintf(s->path, len, "%s/antinomy.db", s->dir);
    if ((rc = directory_make(s->dir, e))) goto done;
    if ((rc = store_lock(s->dir, &s->lock_fd, e))) goto done;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && rc == 0; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", s->dir, folders[i]);
        rc = directory_make(path, e);
    }
    if (rc == 0) rc = database_ready(s, e);
    /* a disk filled to the last byte must not bar the way to the delete that frees it */
    if (rc == ERR_IO && store_reserve_spend(s)) {
        sqlite3_close(s->writer);
        s->writer = NULL;
        rc = database_ready(s, e);
    }
    if (rc == 0) store_reserve(s);
done:
    if (rc) {
        store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s) {
    if (!s) return;
    store_readers_close(s);
    if (s->writer) {
        sqlite3_wal_checkpoint_v2(s->writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        sqlite3_close(s->writer);
    }
    if (s->lock_fd >= 0) close(s->lock_fd);
    pthread_rwlock_destroy(&s->visit);
    pthread_mutex_destroy(&s->pool_lock);
    pthread_mutex_destroy(&s->write_lock);
    free(s->path);
    free(s->dir);
    free(s);
}

const char *store_dir(const struct store *s) {
    return s->dir;
}
