/* delete.c: a deletion leaves nothing. architecture.md, rule 6.
 *
 *   1. one transaction: rows out, words out of FTS5 (as delete markers), a tombstone in. Now nothing of it is found.
 *   2. FTS5 'optimize', twice: 3.40 keeps the deleted words in the index until all segments are one.
 *   3. unlink every file that no row names: original, page images, snapshots, and snapshots being written.
 *   4. alone with the file: VACUUM (secure_delete zeroes freed cells, but balancing a b-tree leaves copies in the
 *      gaps of pages), then cut the WAL to nothing.
 *   5. mark the tombstone finished.
 *
 * 2 to 5 can be repeated: store_open does it for every tombstone a crash left unfinished. A tombstone holds counts and
 * a SHA-256, no name and no word. */
#include "store/database.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct removed {
    struct slice name; /* in the arena of the receipt */
    uint8_t sha256[32];
    int64_t id, set, content, n_bytes, others, n_statements, n_embeddings, n_results, n_readings;
};

/* ---- step 1 ---- */
static int entry_read(sqlite3 *db, int64_t entry, struct arena *a, struct removed *r, struct error *e) {
    sqlite3_stmt *st;
    bool row = false, failed = false;
    *r = (struct removed){.id = entry};
    int rc = db_query(db, &st, e,
                      "SELECT e.set_id, e.content, e.name, c.sha256, c.n_bytes,"
                      " (SELECT count(*) FROM entries o WHERE o.content = e.content AND o.id <> e.id)"
                      " FROM entries e JOIN contents c ON c.id = e.content WHERE e.id = ?",
                      "i", entry);
    if (rc == 0) rc = db_row(st, &row, e);
    if (rc == 0 && !row) rc = error_set(e, ERR_NOT_FOUND, "", "There is no document %lld", (long long)entry);
    if (rc == 0) {
        r->set = sqlite3_column_int64(st, 0);
        r->content = sqlite3_column_int64(st, 1);
        if (a) r->name = db_text(st, 2, a, &failed);
        struct slice sha = db_lend(st, 3);
        memcpy(r->sha256, sha.data, sha.len < 32 ? sha.len : 32);
        r->n_bytes = sqlite3_column_int64(st, 4);
        r->others = sqlite3_column_int64(st, 5);
        if (failed) rc = store_nomem(e);
    }
    sqlite3_finalize(st);
    return rc;
}

/* Answers and reports that hold the content, or readings: all of them, or those of one set. */
static int results_delete(sqlite3 *db, struct removed *r, int64_t set, struct error *e) {
    int rc = db_run(
        db, e,
        "DELETE FROM results WHERE id IN (SELECT result FROM result_contents WHERE content = ?) AND ? IN (0, set_id)",
        "ii", r->content, set);
    r->n_results = sqlite3_changes64(db);
    return rc;
}

static int readings_delete(sqlite3 *db, struct removed *r, int64_t set, struct error *e) {
    int rc = db_run(db, e,
                    "DELETE FROM readings WHERE id IN (SELECT reading FROM reading_contents WHERE content = ?) AND ? "
                    "IN (0, set_id)",
                    "ii", r->content, set);
    r->n_readings = sqlite3_changes64(db);
    return rc;
}

/* Findings of which a side has no bytes left, with their reviews. */
static int findings_delete(sqlite3 *db, const struct removed *r, int64_t set, struct error *e) {
    int rc = db_run(db, e,
                    "DELETE FROM findings WHERE ? IN (0, set_id) AND id IN (SELECT c.finding FROM finding_contents c"
                    " WHERE c.content = ? AND NOT EXISTS (SELECT 1 FROM finding_contents o WHERE o.finding = c.finding"
                    " AND o.side = c.side AND o.content <> c.content))",
                    "ii", set, r->content);
    if (rc == 0)
        rc = db_run(db, e,
                    "DELETE FROM finding_contents WHERE content = ?"
                    " AND finding IN (SELECT id FROM findings WHERE ? IN (0, set_id))",
                    "ii", r->content, set);
    return rc;
}

static int content_delete(sqlite3 *db, struct removed *r, struct error *e) {
    int rc = db_one(db, &r->n_statements, e, "SELECT count(*) FROM statements WHERE content = ?", "i", r->content);
    if (rc == 0)
        rc = db_one(db, &r->n_embeddings, e,
                    "SELECT count(*) FROM embeddings WHERE statement IN (SELECT id FROM statements WHERE content = ?)",
                    "i", r->content);
    if (rc == 0) rc = results_delete(db, r, 0, e);
    if (rc == 0) rc = readings_delete(db, r, 0, e);
    if (rc == 0) rc = findings_delete(db, r, 0, e);
    /* A damaged word index must not stand in the way: then it is made anew from what is left. */
    bool anew = rc == 0 && (rc = index_delete(db, r->content, e)) == ERR_FORMAT;
    if (anew) rc = 0;
    if (rc == 0) rc = db_run(db, e, "DELETE FROM jobs WHERE content = ?", "i", r->content);
    if (rc == 0) rc = db_run(db, e, "DELETE FROM entries WHERE id = ?", "i", r->id);
    /* bodies, statements, sections, embeddings with it */
    if (rc == 0) rc = db_run(db, e, "DELETE FROM contents WHERE id = ?", "i", r->content);
    if (rc == 0 && anew) rc = index_anew(db, e);
    return rc;
}

static int entry_delete(sqlite3 *db, struct removed *r, struct error *e) {
    int64_t heir = 0, in_set = 0;
    int rc;
    if (r->others == 0) {
        rc = content_delete(db, r, e);
    } else {
        rc = db_one(db, &in_set, e, "SELECT count(*) FROM entries WHERE content = ? AND set_id = ? AND id <> ?", "iii",
                    r->content, r->set, r->id);
        /* even where the set keeps the bytes: what was shown names this entry and leads to it */
        if (rc == 0) rc = results_delete(db, r, r->set, e);
        if (rc == 0 && in_set == 0) rc = readings_delete(db, r, r->set, e);
        if (rc == 0 && in_set == 0) rc = findings_delete(db, r, r->set, e);
        /* work on the bytes goes on in the name of another entry that has them */
        if (rc == 0)
            rc = db_one(db, &heir, e, "SELECT min(id) FROM entries WHERE content = ? AND id <> ?", "ii", r->content,
                        r->id);
        if (rc == 0)
            rc = db_run(db, e,
                        "UPDATE jobs SET document = ?, set_id = (SELECT set_id FROM entries WHERE id = ?) WHERE "
                        "document = ? AND state <= ?",
                        "iiii", heir, heir, r->id, (int64_t)STORE_JOB_RUNNING);
        if (rc == 0) rc = db_run(db, e, "DELETE FROM entries WHERE id = ?", "i", r->id); /* its ended jobs with it */
    }
    if (rc == 0)
        rc = db_run(
            db, e,
            "INSERT INTO tombstones(sha256, n_statements, n_results, n_readings, deleted_at) VALUES (?, ?, ?, ?, ?)",
            "biiii", (const void *)r->sha256, r->others ? (size_t)0 : (size_t)32, r->n_statements, r->n_results,
            r->n_readings, now_seconds());
    return rc;
}

/* ---- step 3 ---- */
static bool hex_decode(const char *hex, uint8_t out[32]) {
    for (int i = 0; i < 64; i++) {
        char c = hex[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0) return false; /* also at the end of a shorter name */
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
    }
    return true;
}

static int file_is_named(sqlite3 *db, const char *folder, const char *name, bool *named, struct error *e) {
    int64_t found;
    uint8_t sha256[32];
    int rc = ERR_NOT_FOUND;
    bool by_hash = strcmp(folder, "readings") != 0, whole = strcmp(folder, "originals") == 0;
    if (!by_hash)
        rc = db_one(db, &found, e, "SELECT id FROM readings WHERE file = ?", "t", slice_of(name));
    else if (hex_decode(name, sha256) && (!whole || name[64] == 0))
        rc = db_one(db, &found, e, "SELECT id FROM contents WHERE sha256 = ?", "b", (const void *)sha256, (size_t)32);
    *named = rc == 0;
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int store_sweep(struct store *s, struct error *e) {
    static const char *const folders[] = {"originals", "readings", "pages"};
    int rc = 0;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && rc == 0; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", s->dir, folders[i]);
        DIR *dir = opendir(path);
        if (!dir) return error_set(e, ERR_IO, path, "Cannot open the folder: %s", strerror(errno));
        bool gone = false;
        for (struct dirent *f; rc == 0 && (f = readdir(dir));) {
            bool named = true;
            if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0) continue;
            rc = file_is_named(s->writer, folders[i], f->d_name, &named, e);
            if (rc || named) continue;
            gone = true;
            if (unlinkat(dirfd(dir), f->d_name, 0) != 0 && errno != ENOENT)
                rc = error_set(e, ERR_IO, path, "Cannot remove the file %.80s: %s", f->d_name, strerror(errno));
        }
        if (rc == 0 && gone && fsync(dirfd(dir)) != 0)
            rc = error_set(e, ERR_IO, path, "Cannot write the folder: %s", strerror(errno));
        closedir(dir);
    }
    return rc;
}

/* ---- steps 2 to 5; write_lock held, no transaction ---- */
static int vacuum_alone(struct store *s, struct error *e) {
    int rc = 0, log = 0, done = 0;
    pthread_rwlock_wrlock(&s->visit);
    store_readers_close(s); /* their caches hold pages of it; and none may keep the WAL from being cut */
    int q = sqlite3_exec(s->writer, "VACUUM", NULL, NULL, NULL);
    if (q == SQLITE_OK) q = sqlite3_wal_checkpoint_v2(s->writer, NULL, SQLITE_CHECKPOINT_TRUNCATE, &log, &done);
    if (q != SQLITE_OK) rc = db_error(s->writer, q, "Cannot clear free space", e);
    sqlite3_db_release_memory(s->writer);
    pthread_rwlock_unlock(&s->visit);
    return rc;
}

int store_wipe(struct store *s, struct error *e) {
    int64_t pending = 0, last = 0;
    struct error inner = {0};
    int rc = db_one(s->writer, &pending, e, "SELECT count(*) FROM tombstones WHERE finished_at = 0", "");
    if (rc || pending == 0) return rc;
    rc = db_one(s->writer, &last, e, "SELECT max(id) FROM tombstones", "");
    if (rc) return rc;
    rc = store_sweep(s, &inner); /* files first: they are the most, and need no free disk */
    if (rc == 0) rc = db_run(s->writer, &inner, "INSERT INTO statements_fts(statements_fts) VALUES ('optimize')", "");
    if (rc == 0) rc = db_run(s->writer, &inner, "INSERT INTO sections_fts(sections_fts) VALUES ('optimize')", "");
    if (rc == 0) rc = vacuum_alone(s, &inner);
    if (rc == 0)
        rc = db_run(s->writer, &inner, "UPDATE tombstones SET finished_at = ? WHERE id <= ? AND finished_at = 0", "ii",
                    now_seconds(), last);
    if (rc)
        return error_set(e, rc, inner.where,
                         "The document is removed and no longer found, but traces of it may remain on the disk until "
                         "the next delete or start: %.200s",
                         inner.message);
    return 0;
}

/* Commits and wipes under one hold of write_lock, so that nobody writes a snapshot or a row between. */
static int end_and_wipe(struct store *s, int rc, bool *committed, struct error *e) {
    if (rc) return store_write_end(s, rc, e);
    int q = sqlite3_exec(s->writer, "COMMIT", NULL, NULL, NULL);
    if (q != SQLITE_OK) return store_write_end(s, db_error(s->writer, q, "Cannot delete", e), e);
    *committed = true;
    rc = store_wipe(s, e);
    pthread_mutex_unlock(&s->write_lock);
    return rc;
}

/* A delete must write before it frees anything. Where the disk is so full that it cannot, DIR/reserve is given up for
 * it. */
void store_reserve(struct store *s) {
    char path[4096];
    snprintf(path, sizeof path, "%s/reserve", s->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return;
    if (posix_fallocate(fd, 0, STORE_RESERVE_BYTES) != 0) unlink(path); /* half of one would only be in the way */
    close(fd);
}

bool store_reserve_spend(struct store *s) {
    char path[4096];
    snprintf(path, sizeof path, "%s/reserve", s->dir);
    return unlink(path) == 0;
}

/* ---- the receipt: what was removed, no text ---- */
static void json_string(struct buf *b, struct slice s) {
    buf_puts(b, "\"");
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c == '"' || c == '\\') {
            buf_printf(b, "\\%c", c);
        } else if (c < 0x20) {
            buf_printf(b, "\\u%04x", c);
        } else {
            buf_append(b, &s.data[i], 1);
        }
    }
    buf_puts(b, "\"");
}

static int receipt_write(const struct removed *r, struct arena *a, struct slice *receipt, struct error *e) {
    struct buf b = {0};
    char hex[65];
    hex_encode(r->sha256, 32, hex);
    buf_printf(&b, "{\"document\":%lld,\"name\":", (long long)r->id);
    json_string(&b, r->name);
    buf_printf(&b,
               ",\"sha256\":\"%s\",\"bytes\":%lld,\"content_removed\":%s,\"entries_left\":%lld,\"statements\":%lld,"
               "\"embeddings\":%lld,"
               "\"answers_and_reports\":%lld,\"readings\":%lld,\"deleted_at\":%lld}",
               hex, (long long)r->n_bytes, r->others ? "false" : "true", (long long)r->others,
               (long long)r->n_statements, (long long)r->n_embeddings, (long long)r->n_results,
               (long long)r->n_readings, (long long)now_seconds());
    int rc = b.failed ? store_nomem(e) : 0;
    if (rc == 0) *receipt = arena_slice(a, buf_slice(&b));
    if (rc == 0 && receipt->len != b.len) rc = store_nomem(e);
    buf_free(&b);
    return rc;
}

static int document_delete(struct store *s, int64_t document, struct arena *a, struct slice *receipt, bool *committed,
                           struct error *e) {
    struct removed r;
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = entry_read(s->writer, document, receipt ? a : NULL, &r, e);
    if (rc == 0) rc = entry_delete(s->writer, &r, e);
    if (rc == 0 && receipt) rc = receipt_write(&r, a, receipt, e);
    return end_and_wipe(s, rc, committed, e);
}

static int set_delete(struct store *s, int64_t set, bool *committed, struct error *e) {
    int64_t entry = 0;
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = set_check(s->writer, set, e);
    while (rc == 0 && (rc = db_one(s->writer, &entry, e, "SELECT id FROM entries WHERE set_id = ? ORDER BY id LIMIT 1",
                                   "i", set)) == 0) {
        struct removed r;
        rc = entry_read(s->writer, entry, NULL, &r, e);
        if (rc == 0) rc = entry_delete(s->writer, &r, e);
    }
    /* the loop ends with "no entry left"; a set that is missing never enters it */
    if (rc == ERR_NOT_FOUND && set_check(s->writer, set, e) == 0) rc = 0;
    if (rc == 0) rc = db_run(s->writer, e, "DELETE FROM results WHERE set_id = ?", "i", set);
    if (rc == 0) rc = db_run(s->writer, e, "DELETE FROM readings WHERE set_id = ?", "i", set);
    if (rc == 0) rc = db_run(s->writer, e, "DELETE FROM findings WHERE set_id = ?", "i", set);
    if (rc == 0) rc = db_run(s->writer, e, "DELETE FROM sets WHERE id = ?", "i", set); /* its jobs with it */
    if (rc == 0)
        rc = db_run(
            s->writer, e,
            "INSERT INTO tombstones(sha256, n_statements, n_results, n_readings, deleted_at) VALUES (NULL, 0, 0, 0, ?)",
            "i", now_seconds());
    return end_and_wipe(s, rc, committed, e);
}

int store_document_delete(struct store *s, int64_t document, struct arena *a, struct slice *receipt, struct error *e) {
    bool committed = false;
    int rc = document_delete(s, document, a, receipt, &committed, e);
    if (rc == ERR_IO && !committed && store_reserve_spend(s))
        rc = document_delete(s, document, a, receipt, &committed, e);
    if (committed) store_reserve(s);
    return rc;
}

int store_set_delete(struct store *s, int64_t set, struct error *e) {
    bool committed = false;
    int rc = set_delete(s, set, &committed, e);
    if (rc == ERR_IO && !committed && store_reserve_spend(s)) rc = set_delete(s, set, &committed, e);
    if (committed) store_reserve(s);
    return rc;
}
