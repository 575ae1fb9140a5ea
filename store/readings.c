/* readings.c: files that hold an engine's state after reading documents. A snapshot is the text of what it read: it
 * goes with any of it.
 *
 * A file gets its row only when it is whole; until then it is litter that store_open, or a deletion, unlinks. */
#include "store/database.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

int store_reading_path(struct store *s, struct arena *a, struct slice *path, struct error *e) {
    uint8_t random[16];
    char name[33];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(e, ERR_IO, s->dir, "The system gave no random numbers: %s", strerror(errno));
    hex_encode(random, sizeof random, name);
    *path = arena_slice_printf(a, "%s/readings/%s", s->dir, name);
    return path->len ? 0 : store_nomem(e);
}

/* The file's name when `path` is one that store_reading_path gives out. */
static const char *own_name(struct store *s, const char *path) {
    size_t n = strlen(s->dir);
    if (strncmp(path, s->dir, n) != 0 || strncmp(path + n, "/readings/", 10) != 0) return NULL;
    const char *name = path + n + 10;
    return strlen(name) == 32 && strspn(name, "0123456789abcdef") == 32 ? name : NULL;
}

static int add_rows(struct store *s, int64_t set, const uint8_t model_id[32], const uint8_t prefix_hash[32],
                    uint32_t n_tokens, const int64_t *contents, size_t n_contents, const char *name, int64_t bytes,
                    char old[64], struct error *e) {
    sqlite3 *db = s->writer;
    sqlite3_stmt *st;
    int64_t reading = 0, found;
    bool row = false;
    old[0] = 0;
    for (size_t i = 0; i < n_contents; i++) {
        int rc =
            db_one(db, &found, e, "SELECT id FROM entries WHERE content = ? AND set_id = ?", "ii", contents[i], set);
        if (rc == ERR_NOT_FOUND)
            error_set(e, rc, "", "A document of this reading was deleted meanwhile; the reading is not kept");
        if (rc) return rc;
    }
    int rc = db_query(db, &st, e, "SELECT id, file FROM readings WHERE set_id = ? AND model_id = ? AND prefix_hash = ?",
                      "ibb", set, (const void *)model_id, (size_t)32, (const void *)prefix_hash, (size_t)32);
    if (rc == 0) rc = db_row(st, &row, e);
    if (rc == 0 && row) {
        struct slice file = db_lend(st, 1);
        reading = sqlite3_column_int64(st, 0);
        snprintf(old, 64, "%.*s", (int)file.len, file.data);
    }
    sqlite3_finalize(st);
    if (rc == 0 && reading) rc = db_run(db, e, "DELETE FROM readings WHERE id = ?", "i", reading);
    if (rc == 0)
        rc = db_run(db, e,
                    "INSERT INTO readings(set_id, model_id, prefix_hash, n_tokens, bytes, file, created_at, used_at)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, (SELECT coalesce(max(used_at), 0) + 1 FROM readings))",
                    "ibbiiti", set, (const void *)model_id, (size_t)32, (const void *)prefix_hash, (size_t)32,
                    (int64_t)n_tokens, bytes, slice_of(name), now_seconds());
    reading = (int64_t)sqlite3_last_insert_rowid(db);
    for (size_t i = 0; i < n_contents && rc == 0; i++)
        rc = db_run(db, e, "INSERT INTO reading_contents(reading, n, content) VALUES (?, ?, ?)", "iii", reading,
                    (int64_t)i, contents[i]);
    return rc;
}

int store_reading_add(struct store *s, int64_t set, const uint8_t model_id[32], const uint8_t prefix_hash[32],
                      uint32_t n_tokens, const int64_t *contents, size_t n_contents, struct slice path,
                      struct error *e) {
    char file[4200], old[64];
    if (path.len >= 4096) return error_set(e, ERR_ARG, "", "The path of the reading is too long");
    memcpy(file, path.data, path.len);
    file[path.len] = 0;
    const char *name = own_name(s, file);
    if (!name) return error_set(e, ERR_ARG, file, "This is not a path that store_reading_path gave out");
    struct stat st;
    int rc = store_write_begin(s, e);
    if (rc) {
        unlink(file);
        return rc;
    }
    if (stat(file, &st) != 0)
        rc = error_set(e, ERR_NOT_FOUND, file, "The reading was not written, or went with a deleted document");
    if (rc == 0)
        rc = add_rows(s, set, model_id, prefix_hash, n_tokens, contents, n_contents, name, (int64_t)st.st_size, old, e);
    rc = store_write_end(s, rc, e);
    if (rc) {
        unlink(file); /* it may hold a deleted document's text */
    } else if (old[0]) {
        snprintf(file, sizeof file, "%s/readings/%s", s->dir, old);
        unlink(file);
    }
    return rc;
}

int store_reading_use(struct store *s, int64_t reading, struct error *e) {
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = db_run(s->writer, e, "UPDATE readings SET used_at = (SELECT max(used_at) + 1 FROM readings) WHERE id = ?", "i",
                reading);
    return store_write_end(s, rc, e);
}

static int read_contents(sqlite3 *db, struct arena *a, struct store_reading *r, struct error *e) {
    sqlite3_stmt *st = NULL;
    int64_t count = 0;
    bool row;
    int rc = db_one(db, &count, e, "SELECT count(*) FROM reading_contents WHERE reading = ?", "i", r->id);
    if (rc == 0 && !(r->contents = arena_array(a, (size_t)count, sizeof *r->contents))) rc = store_nomem(e);
    if (rc == 0)
        rc = db_query(db, &st, e, "SELECT content FROM reading_contents WHERE reading = ? ORDER BY n", "i", r->id);
    while (rc == 0 && r->n_contents < (size_t)count && (rc = db_row(st, &row, e)) == 0 && row)
        r->contents[r->n_contents++] = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return rc;
}

int store_readings(struct store *s, struct arena *a, int64_t set, const uint8_t model_id[32],
                   struct store_reading **out, size_t *n, struct error *e) {
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    int64_t count = 0;
    bool row, failed = false;
    *out = NULL;
    *n = 0;
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    rc = db_one(db, &count, e, "SELECT count(*) FROM readings WHERE set_id = ? AND model_id = ?", "ib", set,
                (const void *)model_id, (size_t)32);
    if (rc == 0 && !(*out = arena_array(a, (size_t)count, sizeof **out))) rc = store_nomem(e);
    if (rc == 0)
        rc = db_query(db, &st, e,
                      "SELECT id, prefix_hash, n_tokens, bytes, file FROM readings WHERE set_id = ? AND model_id = ?"
                      " ORDER BY n_tokens DESC, id DESC",
                      "ib", set, (const void *)model_id, (size_t)32);
    while (rc == 0 && *n < (size_t)count && (rc = db_row(st, &row, e)) == 0 && row) {
        struct store_reading *r = &(*out)[(*n)++];
        struct slice hash = db_lend(st, 1);
        r->id = sqlite3_column_int64(st, 0);
        r->set = set;
        memcpy(r->model_id, model_id, 32);
        memcpy(r->prefix_hash, hash.data, hash.len < 32 ? hash.len : 32);
        r->n_tokens = (uint32_t)sqlite3_column_int64(st, 2);
        r->bytes = (uint64_t)sqlite3_column_int64(st, 3);
        struct slice file = db_text(st, 4, a, &failed);
        r->path = arena_slice_printf(a, "%s/readings/%s", s->dir, file.data);
        rc = failed || r->path.len == 0 ? store_nomem(e) : read_contents(db, a, r, e);
    }
    sqlite3_finalize(st);
    store_read_end(s, db);
    return rc;
}

int store_readings_evict(struct store *s, uint64_t max_bytes, struct error *e) {
    for (;;) { /* one a round: the row goes first, so a crash between leaves litter, never a row without its file */
        int64_t total = 0, oldest = 0;
        char path[4200] = "";
        sqlite3_stmt *st = NULL;
        bool row = false;
        int rc = store_write_begin(s, e);
        if (rc) return rc;
        rc = db_one(s->writer, &total, e, "SELECT coalesce(sum(bytes), 0) FROM readings", "");
        if (rc == 0 && (uint64_t)total > max_bytes) {
            rc = db_query(s->writer, &st, e, "SELECT id, file FROM readings ORDER BY used_at, id LIMIT 1", "");
            if (rc == 0) rc = db_row(st, &row, e);
            if (rc == 0 && row) {
                struct slice file = db_lend(st, 1);
                oldest = sqlite3_column_int64(st, 0);
                snprintf(path, sizeof path, "%s/readings/%.*s", s->dir, (int)(file.len < 64 ? file.len : 64),
                         file.data);
            }
            sqlite3_finalize(st);
            if (rc == 0 && row) rc = db_run(s->writer, e, "DELETE FROM readings WHERE id = ?", "i", oldest);
        }
        rc = store_write_end(s, rc, e);
        if (rc || !row) return rc;
        unlink(path);
    }
}
