/* database.c: connections to antinomy.db and the helpers around SQLite's C interface.
 *
 * SQLite 3.40 has the WAL-reset bug (fixed in 3.51.3): it needs two connections of which both write or checkpoint. Here
 * exactly one does: the writer, under write_lock. Readers are opened read-only with wal_autocheckpoint = 0 and are
 * closed before the writer, so that no reader is ever the last connection, which would checkpoint. Values reach SQL as
 * bound parameters only. */
#include "store/database.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t now_seconds(void) {
    return (int64_t)time(NULL);
}

double now_exact(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int store_nomem(struct error *e) {
    return error_set(e, ERR_NOMEM, "", "Out of memory");
}

int db_error(sqlite3 *db, int rc, const char *what, struct error *e) {
    const char *where = db ? sqlite3_db_filename(db, "main") : "";
    const char *say = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return error_set(e, ERR_IO, where, "%s: the disk is full. Nothing was changed; free some space and try again",
                         what);
    case SQLITE_NOMEM:
        return error_set(e, ERR_NOMEM, where, "%s: out of memory", what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(e, ERR_BUSY, where, "%s: another program holds the database (%s)", what, say);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
        return error_set(e, ERR_FORMAT, where, "%s: the database is damaged (%s); restore it from a backup", what, say);
    case SQLITE_TOOBIG:
        return error_set(e, ERR_LIMIT, where, "%s: too large for the database", what);
    case SQLITE_INTERRUPT:
        return error_set(e, ERR_CANCELLED, where, "%s: stopped", what);
    default:
        return error_set(e, ERR_IO, where, "%s: %s", what, say);
    }
}

/* ---- connections ---- */
int db_open(sqlite3 **out, const char *path, bool writer, struct error *e) {
    sqlite3 *db = NULL;
    int flags = SQLITE_OPEN_NOMUTEX | (writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
    int rc = sqlite3_open_v2(path, &db, flags, NULL);
    *out = NULL;
    if (rc != SQLITE_OK) {
        rc = db_error(db, rc, "Cannot open the database", e);
        sqlite3_close(db);
        return rc;
    }
    sqlite3_extended_result_codes(db, 1);
    sqlite3_busy_timeout(db, STORE_BUSY_MS);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* secure_delete is Debian's default; said again because a deletion rests on it. synchronous = FULL: a job that was
     * said to be done stays done when the power fails. */
    static const char writing[] = "PRAGMA cell_size_check=1; PRAGMA foreign_keys=1; PRAGMA secure_delete=1;"
                                  "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=1000;";
    static const char reading[] =
        "PRAGMA cell_size_check=1; PRAGMA query_only=1; PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY";
    int q = sqlite3_exec(db, writer ? writing : reading, NULL, NULL, NULL);
    if (q == SQLITE_OK && writer) {
        char limit[64];
        snprintf(limit, sizeof limit, "PRAGMA journal_size_limit=%d", STORE_WAL_BYTES);
        q = sqlite3_exec(db, limit, NULL, NULL, NULL);
    }
    rc = q == SQLITE_OK ? query_register(db, e) : db_error(db, q, "Cannot open the database", e);
    if (rc) {
        sqlite3_close(db);
        return rc;
    }
    *out = db;
    return 0;
}

int store_write_begin(struct store *s, struct error *e) {
    pthread_mutex_lock(&s->write_lock);
    int q = sqlite3_exec(s->writer, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (q == SQLITE_OK) return 0;
    int rc = db_error(s->writer, q, "Cannot write", e);
    pthread_mutex_unlock(&s->write_lock);
    return rc;
}

int store_write_end(struct store *s, int rc, struct error *e) {
    if (rc == 0) {
        int q = sqlite3_exec(s->writer, "COMMIT", NULL, NULL, NULL);
        if (q != SQLITE_OK) rc = db_error(s->writer, q, "Cannot write", e);
    }
    /* some errors (disk full) roll back by themselves */
    if (rc != 0 && !sqlite3_get_autocommit(s->writer)) sqlite3_exec(s->writer, "ROLLBACK", NULL, NULL, NULL);
    /* what a failed write left in the WAL is given back at once, so that a full disk lets a delete through */
    if (rc == ERR_IO && pthread_rwlock_trywrlock(&s->visit) == 0) {
        sqlite3_wal_checkpoint_v2(s->writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        pthread_rwlock_unlock(&s->visit);
    }
    pthread_mutex_unlock(&s->write_lock);
    return rc;
}

int store_read_begin(struct store *s, sqlite3 **db, struct error *e) {
    *db = NULL;
    pthread_rwlock_rdlock(&s->visit);
    pthread_mutex_lock(&s->pool_lock);
    if (s->n_idle > 0) *db = s->idle[--s->n_idle];
    pthread_mutex_unlock(&s->pool_lock);
    int rc = *db ? 0 : db_open(db, s->path, false, e);
    if (rc == 0) {
        int q = sqlite3_exec(*db, "BEGIN", NULL, NULL, NULL);
        if (q != SQLITE_OK) {
            rc = db_error(*db, q, "Cannot read", e);
            sqlite3_close(*db);
        }
    }
    if (rc) {
        *db = NULL;
        pthread_rwlock_unlock(&s->visit);
    }
    return rc;
}

void store_read_end(struct store *s, sqlite3 *db) {
    if (!db) return;
    if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_lock(&s->pool_lock);
    bool keep = s->n_idle < STORE_IDLE_READERS && sqlite3_get_autocommit(db);
    if (keep) s->idle[s->n_idle++] = db;
    pthread_mutex_unlock(&s->pool_lock);
    if (!keep) sqlite3_close(db);
    pthread_rwlock_unlock(&s->visit);
}

void store_readers_close(struct store *s) {
    pthread_mutex_lock(&s->pool_lock);
    while (s->n_idle > 0) sqlite3_close(s->idle[--s->n_idle]);
    pthread_mutex_unlock(&s->pool_lock);
}

/* ---- statements ---- */
static int bind_all(sqlite3_stmt *st, const char *types, va_list ap) {
    int rc = SQLITE_OK;
    assert((int)strlen(types) == sqlite3_bind_parameter_count(st));
    for (int i = 1; *types && rc == SQLITE_OK; types++, i++) {
        if (*types == 'i') {
            rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
        } else if (*types == 'd') {
            rc = sqlite3_bind_double(st, i, va_arg(ap, double));
        } else if (*types == 't' || *types == 'T') {
            struct slice text = va_arg(ap, struct slice);
            rc = *types == 'T' && text.len == 0
                     ? sqlite3_bind_null(st, i)
                     : sqlite3_bind_text64(st, i, text.data ? text.data : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
        } else {
            assert(*types == 'b');
            const void *data = va_arg(ap, const void *);
            size_t len = va_arg(ap, size_t);
            rc = len ? sqlite3_bind_blob64(st, i, data, len, SQLITE_STATIC) : sqlite3_bind_zeroblob(st, i, 0);
        }
    }
    return rc;
}

static int query_va(sqlite3 *db, sqlite3_stmt **out, struct error *e, const char *sql, const char *types, va_list ap) {
    *out = NULL;
    int q = sqlite3_prepare_v2(db, sql, -1, out, NULL);
    if (q == SQLITE_OK) q = bind_all(*out, types, ap);
    if (q == SQLITE_OK) return 0;
    int rc = db_error(db, q, "Cannot use the database", e);
    sqlite3_finalize(*out);
    *out = NULL;
    return rc;
}

int db_query(sqlite3 *db, sqlite3_stmt **out, struct error *e, const char *sql, const char *types, ...) {
    va_list ap;
    va_start(ap, types);
    int rc = query_va(db, out, e, sql, types, ap);
    va_end(ap);
    return rc;
}

int db_row(sqlite3_stmt *st, bool *row, struct error *e) {
    int q = sqlite3_step(st);
    *row = q == SQLITE_ROW;
    if (q == SQLITE_ROW || q == SQLITE_DONE) return 0;
    return db_error(sqlite3_db_handle(st), q, "Cannot use the database", e);
}

int db_run(sqlite3 *db, struct error *e, const char *sql, const char *types, ...) {
    sqlite3_stmt *st;
    va_list ap;
    va_start(ap, types);
    int rc = query_va(db, &st, e, sql, types, ap);
    va_end(ap);
    bool row = true;
    while (rc == 0 && row) rc = db_row(st, &row, e);
    sqlite3_finalize(st);
    return rc;
}

int db_one(sqlite3 *db, int64_t *value, struct error *e, const char *sql, const char *types, ...) {
    sqlite3_stmt *st;
    va_list ap;
    va_start(ap, types);
    int rc = query_va(db, &st, e, sql, types, ap);
    va_end(ap);
    bool row = false;
    if (rc == 0) rc = db_row(st, &row, e);
    if (rc == 0 && row) *value = sqlite3_column_int64(st, 0);
    if (rc == 0 && !row) rc = ERR_NOT_FOUND;
    sqlite3_finalize(st);
    return rc;
}

int db_rebind_run(sqlite3_stmt *st, struct error *e, const char *types, ...) {
    sqlite3_reset(st);
    va_list ap;
    va_start(ap, types);
    int q = bind_all(st, types, ap);
    va_end(ap);
    if (q != SQLITE_OK) return db_error(sqlite3_db_handle(st), q, "Cannot use the database", e);
    bool row = true;
    int rc = 0;
    while (rc == 0 && row) rc = db_row(st, &row, e);
    return rc;
}

struct slice db_lend(sqlite3_stmt *st, int column) {
    const void *p = sqlite3_column_blob(st, column); /* of TEXT: its UTF-8 bytes */
    int n = sqlite3_column_bytes(st, column);
    return p && n > 0 ? (struct slice){p, (size_t)n} : (struct slice){"", 0};
}

struct slice db_text(sqlite3_stmt *st, int column, struct arena *a, bool *failed) {
    struct slice lent = db_lend(st, column), copy = arena_slice(a, lent);
    if (copy.len != lent.len) *failed = true;
    return copy;
}
