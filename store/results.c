/* results.c: answers and contradiction reports as they were shown. They quote documents, so delete.c removes them with
 * any of them. */
#include "store/database.h"

#include <string.h>

enum result_kind { RESULT_ANSWER, RESULT_REPORT };

static int result_add(struct store *s, enum result_kind kind, int64_t set, struct slice question, struct slice json,
                      const int64_t *contents, size_t n, int64_t *id, struct error *e) {
    int64_t found;
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = set_check(s->writer, set, e);
    if (rc == 0)
        rc =
            db_run(s->writer, e, "INSERT INTO results(kind, set_id, question, json, created_at) VALUES (?, ?, ?, ?, ?)",
                   "iitti", (int64_t)kind, set, question, json, now_seconds());
    *id = rc == 0 ? (int64_t)sqlite3_last_insert_rowid(s->writer) : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        /* deleted while it was being made: its words must not come back */
        rc = db_one(s->writer, &found, e, "SELECT id FROM entries WHERE content = ? AND set_id = ?", "ii", contents[i],
                    set);
        if (rc == ERR_NOT_FOUND)
            error_set(e, rc, "", "A document this result quotes was deleted meanwhile; the result is not kept");
        if (rc == 0)
            rc = db_run(s->writer, e,
                        "INSERT INTO result_contents(result, content) VALUES (?, ?) ON CONFLICT DO NOTHING", "ii", *id,
                        contents[i]);
    }
    rc = store_write_end(s, rc, e);
    if (rc) *id = 0;
    return rc;
}

#define RESULT_COLUMNS "id, set_id, question, json, created_at FROM results "

static int result_row(sqlite3_stmt *st, struct arena *a, struct store_answer *r, struct error *e) {
    bool failed = false;
    *r = (struct store_answer){.id = sqlite3_column_int64(st, 0),
                               .set = sqlite3_column_int64(st, 1),
                               .question = db_text(st, 2, a, &failed),
                               .json = db_text(st, 3, a, &failed),
                               .asked_at = sqlite3_column_int64(st, 4)};
    return failed ? store_nomem(e) : 0;
}

static int result_read(struct store *s, struct arena *a, const char *sql, int64_t key, enum result_kind kind,
                       struct store_answer *out, const char *missing, struct error *e) {
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    bool row = false;
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    rc = db_query(db, &st, e, sql, "ii", key, (int64_t)kind);
    if (rc == 0) rc = db_row(st, &row, e);
    if (rc == 0 && !row) rc = error_set(e, ERR_NOT_FOUND, "", missing, (long long)key);
    if (rc == 0) rc = result_row(st, a, out, e);
    sqlite3_finalize(st);
    store_read_end(s, db);
    return rc;
}

int store_answer_add(struct store *s, int64_t set, struct slice question, struct slice json, const int64_t *contents,
                     size_t n, int64_t *id, struct error *e) {
    return result_add(s, RESULT_ANSWER, set, question, json, contents, n, id, e);
}

int store_answer_find(struct store *s, struct arena *a, int64_t id, struct store_answer *out, struct error *e) {
    return result_read(s, a, "SELECT " RESULT_COLUMNS "WHERE id = ? AND kind = ?", id, RESULT_ANSWER, out,
                       "There is no answer %lld (an answer goes with any document it rests on)", e);
}

int store_answers(struct store *s, struct arena *a, int64_t set, int64_t before, size_t limit,
                  struct store_answer **out, size_t *n, bool *more, struct error *e) {
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    bool row = true;
    *n = 0;
    *more = false;
    if (!(*out = arena_array(a, limit, sizeof **out))) return store_nomem(e);
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    rc = set_check(db, set, e);
    if (rc == 0)
        rc = db_query(db, &st, e,
                      "SELECT " RESULT_COLUMNS "WHERE set_id = ? AND kind = ? AND id < ? ORDER BY id DESC LIMIT ?",
                      "iiii", set, (int64_t)RESULT_ANSWER, before ? before : INT64_MAX, (int64_t)limit + 1);
    while (rc == 0 && (rc = db_row(st, &row, e)) == 0 && row && !*more) {
        *more = *n == limit;
        if (!*more) rc = result_row(st, a, &(*out)[(*n)++], e);
    }
    sqlite3_finalize(st);
    store_read_end(s, db);
    return rc;
}

int store_report_add(struct store *s, int64_t set, struct slice json, const int64_t *contents, size_t n, int64_t *id,
                     struct error *e) {
    return result_add(s, RESULT_REPORT, set, SLICE_LITERAL(""), json, contents, n, id, e);
}

int store_report_latest(struct store *s, struct arena *a, int64_t set, struct store_answer *out, struct error *e) {
    return result_read(s, a, "SELECT " RESULT_COLUMNS "WHERE set_id = ? AND kind = ? ORDER BY id DESC LIMIT 1", set,
                       RESULT_REPORT, out,
                       "There is no report for set %lld yet (a report goes with any document it quotes)", e);
}

int store_report_find(struct store *s, struct arena *a, int64_t id, struct store_answer *out, struct error *e) {
    return result_read(s, a, "SELECT " RESULT_COLUMNS "WHERE id = ? AND kind = ?", id, RESULT_REPORT, out,
                       "There is no report %lld (a report goes with any document it quotes)", e);
}

int store_report_before(struct store *s, struct arena *a, int64_t report, struct store_answer *out, struct error *e) {
    return result_read(s, a,
                       "SELECT " RESULT_COLUMNS "WHERE id < ?1 AND kind = ?2"
                       " AND set_id = (SELECT set_id FROM results WHERE id = ?1) ORDER BY id DESC LIMIT 1",
                       report, RESULT_REPORT, out, "There is no report before report %lld", e);
}
