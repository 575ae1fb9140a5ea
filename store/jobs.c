/* jobs.c: leased jobs that survive kill -9.
 *
 *   QUEUED --take--> RUNNING --finish / document_write--> DONE | FAILED | CANCELLED
 *   RUNNING --yield--> QUEUED
 *   RUNNING --lease over, or the process is gone (store_open)--> QUEUED, the third time FAILED
 *   QUEUED --cancel--> CANCELLED; RUNNING --cancel--> its next progress returns ERR_CANCELLED
 *
 * An ingest job belongs to a content (the bytes), not to one name of it; its outcome is the content's state. */
#include "store/database.h"

#include <string.h>

static int job_missing(int64_t job, struct error *e) {
    return error_set(e, ERR_NOT_FOUND, "", "There is no job %lld", (long long)job);
}

static int content_fail(sqlite3 *db, int64_t content, struct slice code, struct slice message, struct slice where,
                        struct error *e) {
    return db_run(
        db, e,
        "UPDATE contents SET state = ?, error_code = ?, error_message = ?, error_where = ? WHERE id = ? AND state = ?",
        "itttii", (int64_t)STORE_FAILED, code, message, where, content, (int64_t)STORE_QUEUED);
}

int jobs_requeue(sqlite3 *db, bool all, struct error *e) {
    static const char message[] = "Work on this ended the program three times, so it is not tried again by itself; "
                                  "retry it, or leave the file out";
    struct slice code = slice_of(error_name(ERR_LIMIT)), text = slice_of(message);
    double now = now_exact();
    int rc =
        db_run(db, e,
               "UPDATE contents SET state = ?, error_code = ?, error_message = ?, error_where = ''"
               " WHERE state = ? AND id IN (SELECT content FROM jobs WHERE state = ? AND kind = ? AND attempts >= ?"
               " AND (? OR lease_until < ?))",
               "ittiiiiid", (int64_t)STORE_FAILED, code, text, (int64_t)STORE_QUEUED, (int64_t)STORE_JOB_RUNNING,
               (int64_t)STORE_JOB_INGEST, (int64_t)STORE_JOB_ATTEMPTS, (int64_t)all, now);
    if (rc == 0)
        rc = db_run(db, e,
                    "UPDATE jobs SET state = ?, error_code = ?, error_message = ?, finished_at = ?"
                    " WHERE state = ? AND attempts >= ? AND (? OR lease_until < ?)",
                    "ittiiiid", (int64_t)STORE_JOB_FAILED, code, text, now_seconds(), (int64_t)STORE_JOB_RUNNING,
                    (int64_t)STORE_JOB_ATTEMPTS, (int64_t)all, now);
    /* asked to stop, then died: it has stopped */
    if (rc == 0)
        rc = db_run(
            db, e,
            "UPDATE contents SET state = ?, error_code = ?, error_message = 'Stopped when asked to', error_where = ''"
            " WHERE state = ? AND id IN (SELECT content FROM jobs WHERE state = ? AND kind = ? AND cancel AND (? OR "
            "lease_until < ?))",
            "itiiiid", (int64_t)STORE_FAILED, slice_of(error_name(ERR_CANCELLED)), (int64_t)STORE_QUEUED,
            (int64_t)STORE_JOB_RUNNING, (int64_t)STORE_JOB_INGEST, (int64_t)all, now);
    if (rc == 0)
        rc = db_run(
            db, e, "UPDATE jobs SET state = ?, finished_at = ? WHERE state = ? AND cancel AND (? OR lease_until < ?)",
            "iiiid", (int64_t)STORE_JOB_CANCELLED, now_seconds(), (int64_t)STORE_JOB_RUNNING, (int64_t)all, now);
    if (rc == 0)
        rc = db_run(
            db, e,
            "UPDATE jobs SET state = ?, stage = '', done = 0, total = 0 WHERE state = ? AND (? OR lease_until < ?)",
            "iiid", (int64_t)STORE_JOB_QUEUED, (int64_t)STORE_JOB_RUNNING, (int64_t)all, now);
    return rc;
}

static int jobs_prune(sqlite3 *db, struct error *e) {
    return db_run(db, e,
                  "DELETE FROM jobs WHERE state >= ? AND id <= (SELECT id FROM jobs WHERE state >= ? ORDER BY id DESC "
                  "LIMIT 1 OFFSET ?)",
                  "iii", (int64_t)STORE_JOB_DONE, (int64_t)STORE_JOB_DONE, (int64_t)STORE_JOBS_KEPT);
}

int job_open_of(sqlite3 *db, int64_t content, int64_t *job, struct error *e) {
    *job = 0;
    int rc = db_one(db, job, e, "SELECT id FROM jobs WHERE content = ? AND kind = ? AND state <= ? ORDER BY id LIMIT 1",
                    "iii", content, (int64_t)STORE_JOB_INGEST, (int64_t)STORE_JOB_RUNNING);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int job_insert_ingest(sqlite3 *db, int64_t set, int64_t document, int64_t content, int64_t *job, struct error *e) {
    int rc =
        db_run(db, e, "INSERT INTO jobs(kind, set_id, document, content, state, created_at) VALUES (?, ?, ?, ?, ?, ?)",
               "iiiiii", (int64_t)STORE_JOB_INGEST, set, document, content, (int64_t)STORE_JOB_QUEUED, now_seconds());
    *job = rc == 0 ? (int64_t)sqlite3_last_insert_rowid(db) : 0;
    if (rc == 0) rc = jobs_prune(db, e);
    return rc;
}

#define JOB_COLUMNS                                                                                                    \
    "id, set_id, coalesce(document, 0), kind, state, stage, done, total, attempts, created_at, started_at, "           \
    "finished_at,"                                                                                                     \
    " error_code, error_message, error_where"

static int job_read(sqlite3_stmt *st, struct arena *a, struct store_job *j, struct error *e) {
    bool failed = false;
    *j = (struct store_job){.id = sqlite3_column_int64(st, 0),
                            .set = sqlite3_column_int64(st, 1),
                            .document = sqlite3_column_int64(st, 2),
                            .kind = (enum store_job_kind)sqlite3_column_int(st, 3),
                            .state = (enum store_job_state)sqlite3_column_int(st, 4),
                            .stage = db_text(st, 5, a, &failed),
                            .done = sqlite3_column_int64(st, 6),
                            .total = sqlite3_column_int64(st, 7),
                            .attempts = sqlite3_column_int64(st, 8),
                            .created_at = sqlite3_column_int64(st, 9),
                            .started_at = sqlite3_column_int64(st, 10),
                            .finished_at = sqlite3_column_int64(st, 11),
                            .error_code = db_text(st, 12, a, &failed),
                            .error_message = db_text(st, 13, a, &failed),
                            .error_where = db_text(st, 14, a, &failed)};
    return failed ? store_nomem(e) : 0;
}

static int job_find(sqlite3 *db, struct arena *a, int64_t job, struct store_job *out, struct error *e) {
    sqlite3_stmt *st;
    bool row = false;
    int rc = db_query(db, &st, e, "SELECT " JOB_COLUMNS " FROM jobs WHERE id = ?", "i", job);
    if (rc == 0) rc = db_row(st, &row, e);
    if (rc == 0) rc = row ? job_read(st, a, out, e) : job_missing(job, e);
    sqlite3_finalize(st);
    return rc;
}

int store_job_take(struct store *s, struct arena *a, enum store_job_kind kind, double lease_s, struct store_job *out,
                   struct error *e) {
    int64_t job = 0;
    bool none = false;
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = jobs_requeue(s->writer, false, e);
    if (rc == 0) {
        rc = db_one(s->writer, &job, e, "SELECT id FROM jobs WHERE state = ? AND kind = ? ORDER BY id LIMIT 1", "ii",
                    (int64_t)STORE_JOB_QUEUED, (int64_t)kind);
        none = rc == ERR_NOT_FOUND;
        if (none) rc = 0;
    }
    if (rc == 0 && !none)
        rc = db_run(s->writer, e,
                    "UPDATE jobs SET state = ?, attempts = attempts + 1, lease_until = ?, started_at = ? WHERE id = ?",
                    "idii", (int64_t)STORE_JOB_RUNNING, now_exact() + lease_s, now_seconds(), job);
    if (rc == 0 && !none) rc = job_find(s->writer, a, job, out, e);
    rc = store_write_end(s, rc, e); /* commits the requeueing even when there is nothing to take */
    return rc == 0 && none ? error_set(e, ERR_NOT_FOUND, "", "No job is waiting") : rc;
}

int store_job_progress(struct store *s, int64_t job, const char *stage, int64_t done, int64_t total, double lease_s,
                       struct error *e) {
    int64_t going = 0;
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = db_one(s->writer, &going, e, "SELECT state = ? AND NOT cancel FROM jobs WHERE id = ?", "ii",
                (int64_t)STORE_JOB_RUNNING, job);
    if (rc == ERR_NOT_FOUND)
        rc = error_set(e, ERR_CANCELLED, "", "The job's document was deleted");
    else if (rc == 0 && !going)
        rc = error_set(e, ERR_CANCELLED, "", "Stopped when asked to");
    if (rc == 0)
        rc = db_run(s->writer, e, "UPDATE jobs SET stage = ?, done = ?, total = ?, lease_until = ? WHERE id = ?",
                    "tiidi", slice_of(stage), done, total, now_exact() + lease_s, job);
    return store_write_end(s, rc, e);
}

int store_job_finish(struct store *s, int64_t job, const struct error *failed, struct error *e) {
    int64_t state = 0, content = 0;
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = db_one(s->writer, &state, e, "SELECT state FROM jobs WHERE id = ?", "i", job);
    if (rc == ERR_NOT_FOUND) job_missing(job, e);
    if (rc == 0) rc = db_one(s->writer, &content, e, "SELECT coalesce(content, 0) FROM jobs WHERE id = ?", "i", job);
    if (rc == 0 && state > STORE_JOB_RUNNING) goto done; /* store_document_write ended it, or it was cancelled */
    if (rc == 0 && !failed && content) {
        int64_t ready = 0;
        rc = db_one(s->writer, &ready, e, "SELECT state = ? FROM contents WHERE id = ?", "ii", (int64_t)STORE_READY,
                    content);
        if (rc == 0 && !ready)
            rc = error_set(e, ERR_ARG, "", "An ingest job is done when its document is written, not before");
    }
    if (rc == 0) {
        bool cancelled = failed && failed->code == ERR_CANCELLED;
        int64_t to = !failed ? STORE_JOB_DONE : cancelled ? STORE_JOB_CANCELLED : STORE_JOB_FAILED;
        struct slice code = failed ? slice_of(error_name(failed->code)) : SLICE_LITERAL("");
        struct slice message = failed ? slice_of(failed->message) : SLICE_LITERAL("");
        struct slice where = failed ? slice_of(failed->where) : SLICE_LITERAL("");
        rc = db_run(s->writer, e,
                    "UPDATE jobs SET state = ?, finished_at = ?, error_code = ?, error_message = ?, error_where = ? "
                    "WHERE id = ?",
                    "iittti", to, now_seconds(), code, message, where, job);
        if (rc == 0 && failed && content) rc = content_fail(s->writer, content, code, message, where, e);
    }
done:
    return store_write_end(s, rc, e);
}

int store_job_yield(struct store *s, int64_t job, struct error *e) {
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = db_run(s->writer, e,
                "UPDATE jobs SET state = ?, attempts = attempts - 1, stage = '', done = 0, total = 0 WHERE id = ? AND "
                "state = ?",
                "iii", (int64_t)STORE_JOB_QUEUED, job, (int64_t)STORE_JOB_RUNNING);
    return store_write_end(s, rc, e);
}

int store_job_add(struct store *s, enum store_job_kind kind, int64_t set, int64_t *job, struct error *e) {
    if (kind == STORE_JOB_INGEST) return error_set(e, ERR_ARG, "", "An ingest job comes with its document");
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = set_check(s->writer, set, e);
    if (rc == 0) {
        rc = db_one(s->writer, job, e, "SELECT id FROM jobs WHERE state = ? AND kind = ? AND set_id = ? LIMIT 1", "iii",
                    (int64_t)STORE_JOB_QUEUED, (int64_t)kind, set);
        if (rc == ERR_NOT_FOUND) {
            rc = db_run(s->writer, e, "INSERT INTO jobs(kind, set_id, state, created_at) VALUES (?, ?, ?, ?)", "iiii",
                        (int64_t)kind, set, (int64_t)STORE_JOB_QUEUED, now_seconds());
            *job = (int64_t)sqlite3_last_insert_rowid(s->writer);
            if (rc == 0) rc = jobs_prune(s->writer, e);
        }
    }
    return store_write_end(s, rc, e);
}

int store_job_cancel(struct store *s, int64_t job, struct error *e) {
    int64_t state = 0, content = 0;
    struct slice code = slice_of(error_name(ERR_CANCELLED)), message = SLICE_LITERAL("Stopped when asked to");
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = db_one(s->writer, &state, e, "SELECT state FROM jobs WHERE id = ?", "i", job);
    if (rc == ERR_NOT_FOUND) job_missing(job, e);
    if (rc == 0 && state == STORE_JOB_RUNNING)
        rc = db_run(s->writer, e, "UPDATE jobs SET cancel = 1 WHERE id = ?", "i", job);
    if (rc == 0 && state == STORE_JOB_QUEUED) {
        rc = db_run(s->writer, e, "UPDATE jobs SET state = ?, finished_at = ? WHERE id = ?", "iii",
                    (int64_t)STORE_JOB_CANCELLED, now_seconds(), job);
        if (rc == 0)
            rc = db_one(s->writer, &content, e, "SELECT coalesce(content, 0) FROM jobs WHERE id = ?", "i", job);
        if (rc == 0 && content) rc = content_fail(s->writer, content, code, message, SLICE_LITERAL(""), e);
    }
    return store_write_end(s, rc, e);
}

int store_job_find(struct store *s, struct arena *a, int64_t job, struct store_job *out, struct error *e) {
    sqlite3 *db;
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    rc = job_find(db, a, job, out, e);
    store_read_end(s, db);
    return rc;
}

int store_jobs(struct store *s, struct arena *a, int64_t set, struct store_job **out, size_t *n, struct error *e) {
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    int64_t count = 0;
    bool row;
    *out = NULL;
    *n = 0;
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    rc = db_one(db, &count, e, "SELECT count(*) FROM jobs WHERE ? IN (0, set_id)", "i", set);
    if (rc == 0 && !(*out = arena_array(a, (size_t)count, sizeof **out))) rc = store_nomem(e);
    if (rc == 0)
        rc = db_query(db, &st, e, "SELECT " JOB_COLUMNS " FROM jobs WHERE ? IN (0, set_id) ORDER BY id DESC", "i", set);
    while (rc == 0 && *n < (size_t)count && (rc = db_row(st, &row, e)) == 0 && row)
        rc = job_read(st, a, &(*out)[(*n)++], e);
    sqlite3_finalize(st);
    store_read_end(s, db);
    return rc;
}

int store_job_retry(struct store *s, int64_t document, int64_t *job, struct error *e) {
    int64_t set = 0, content = 0, state = 0;
    *job = 0;
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = db_one(s->writer, &content, e, "SELECT content FROM entries WHERE id = ?", "i", document);
    if (rc == ERR_NOT_FOUND) error_set(e, rc, "", "There is no document %lld", (long long)document);
    if (rc == 0) rc = db_one(s->writer, &set, e, "SELECT set_id FROM entries WHERE id = ?", "i", document);
    if (rc == 0) rc = db_one(s->writer, &state, e, "SELECT state FROM contents WHERE id = ?", "i", content);
    if (rc == 0 && state == STORE_READY) rc = error_set(e, ERR_ARG, "", "This document is already read");
    if (rc == 0 && state == STORE_QUEUED) rc = job_open_of(s->writer, content, job, e);
    if (rc == 0 && *job == 0) {
        rc = db_run(s->writer, e,
                    "UPDATE contents SET state = ?, error_code = '', error_message = '', error_where = '' WHERE id = ?",
                    "ii", (int64_t)STORE_QUEUED, content);
        if (rc == 0) rc = job_insert_ingest(s->writer, set, document, content, job, e);
    }
    return store_write_end(s, rc, e);
}
