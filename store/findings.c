/* findings.c: what people decided about findings. A finding is known by its anchor, a hash that the caller makes of
 * both quotes and their places, so that a verdict outlives reports, new versions of a document and a newer program. No
 * word of a document is here; notes are people's own. A finding goes with the last bytes of either side (delete.c). */
#include "store/database.h"

#include <string.h>

#define REVIEW_COLUMNS "coalesce(r.state, 0), coalesce(r.reason, ''), coalesce(r.note, ''), coalesce(r.at, 0)"
#define FINDING_COLUMNS "f.id, f.set_id, coalesce(r.id, 0), " REVIEW_COLUMNS
#define REVIEW_LAST "LEFT JOIN reviews r ON r.id = (SELECT max(id) FROM reviews WHERE finding = f.id) "

static int review_row(sqlite3_stmt *st, int column, struct arena *a, struct store_review *r, struct error *e) {
    bool failed = false;
    *r = (struct store_review){.state = (enum store_review_state)sqlite3_column_int(st, column),
                               .reason = db_text(st, column + 1, a, &failed),
                               .note = db_text(st, column + 2, a, &failed),
                               .at = sqlite3_column_int64(st, column + 3)};
    return failed ? store_nomem(e) : 0;
}

static int finding_row(sqlite3_stmt *st, struct arena *a, struct store_finding *f, struct error *e) {
    f->id = sqlite3_column_int64(st, 0);
    f->set = sqlite3_column_int64(st, 1);
    f->revision = sqlite3_column_int64(st, 2);
    return review_row(st, 3, a, &f->review, e);
}

/* One finding, when it is there (else *f stays as it is); *whole: with a link to the content of each of its documents.
 */
static int finding_read(sqlite3 *db, struct arena *a, int64_t set, const struct store_finding_key *k,
                        struct store_finding *f, bool *whole, struct error *e) {
    sqlite3_stmt *st;
    bool row = false;
    int want = 0;
    for (int side = 0; side < STORE_FINDING_SIDES; side++) want += k->documents[side] != 0;
    *whole = false;
    int rc = db_query(
        db, &st, e,
        "SELECT " FINDING_COLUMNS ", (SELECT count(*) FROM finding_contents c JOIN entries x ON x.content = c.content"
        "   WHERE c.finding = f.id AND (c.side, x.id) IN (VALUES (0, ?), (1, ?), (2, ?)))"
        " FROM findings f " REVIEW_LAST "WHERE f.set_id = ? AND f.anchor = ?",
        "iiiib", k->documents[0], k->documents[1], k->documents[2], set, (const void *)k->anchor, sizeof k->anchor);
    if (rc == 0) rc = db_row(st, &row, e);
    if (rc == 0 && row) {
        *whole = sqlite3_column_int(st, 7) == want;
        rc = finding_row(st, a, f, e);
    }
    sqlite3_finalize(st);
    return rc;
}

/* Not made where a document has gone meanwhile. */
static int finding_make(sqlite3 *db, int64_t set, const struct store_finding_key *k, struct error *e) {
    int64_t id = 0, content[STORE_FINDING_SIDES] = {0};
    int rc = 0;
    for (int side = 0; side < STORE_FINDING_SIDES && rc == 0; side++)
        if (k->documents[side])
            rc = db_one(db, &content[side], e, "SELECT content FROM entries WHERE id = ? AND set_id = ?", "ii",
                        k->documents[side], set);
    if (rc == ERR_NOT_FOUND) return 0;
    if (rc == 0)
        rc = db_run(db, e, "INSERT INTO findings(set_id, anchor, made_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                    "ibi", set, (const void *)k->anchor, sizeof k->anchor, now_seconds());
    if (rc == 0)
        rc = db_one(db, &id, e, "SELECT id FROM findings WHERE set_id = ? AND anchor = ?", "ib", set,
                    (const void *)k->anchor, sizeof k->anchor);
    for (int side = 0; side < STORE_FINDING_SIDES && rc == 0; side++)
        if (content[side])
            rc = db_run(db, e,
                        "INSERT INTO finding_contents(finding, side, content) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                        "iii", id, (int64_t)side, content[side]);
    return rc;
}

static int findings_read(struct store *s, struct arena *a, int64_t set, const struct store_finding_key *keys, size_t n,
                         struct store_finding *out, bool *whole, struct error *e) {
    sqlite3 *db;
    for (size_t i = 0; i < n; i++) out[i] = (struct store_finding){.set = set};
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    *whole = true;
    for (size_t i = 0; i < n && rc == 0; i++) {
        bool one;
        rc = finding_read(db, a, set, &keys[i], &out[i], &one, e);
        *whole = *whole && one;
    }
    store_read_end(s, db);
    return rc;
}

int store_findings(struct store *s, struct arena *a, int64_t set, const struct store_finding_key *keys, size_t n,
                   struct store_finding *out, struct error *e) {
    bool whole;
    int rc = findings_read(s, a, set, keys, n, out, &whole, e);
    if (rc || whole) return rc;
    rc = store_write_begin(s, e);
    if (rc) return rc;
    for (size_t i = 0; i < n && rc == 0; i++) rc = finding_make(s->writer, set, &keys[i], e);
    rc = store_write_end(s, rc, e);
    return rc ? rc : findings_read(s, a, set, keys, n, out, &whole, e);
}

int store_finding_find(struct store *s, struct arena *a, int64_t id, struct store_finding *out,
                       struct store_review **history, size_t *n, struct error *e) {
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    int64_t count = 0;
    bool row = false;
    *n = 0;
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    rc = db_query(db, &st, e, "SELECT " FINDING_COLUMNS " FROM findings f " REVIEW_LAST "WHERE f.id = ?", "i", id);
    if (rc == 0) rc = db_row(st, &row, e);
    if (rc == 0)
        rc = row ? finding_row(st, a, out, e)
                 : error_set(e, ERR_NOT_FOUND, "", "There is no finding %lld (a finding goes with its documents)",
                             (long long)id);
    sqlite3_finalize(st);
    st = NULL;
    if (rc == 0) rc = db_one(db, &count, e, "SELECT count(*) FROM reviews WHERE finding = ?", "i", id);
    if (rc == 0 && !(*history = arena_array(a, (size_t)count, sizeof **history))) rc = store_nomem(e);
    if (rc == 0)
        rc = db_query(db, &st, e, "SELECT " REVIEW_COLUMNS " FROM reviews r WHERE finding = ? ORDER BY id", "i", id);
    while (rc == 0 && *n < (size_t)count && (rc = db_row(st, &row, e)) == 0 && row)
        rc = review_row(st, 0, a, &(*history)[(*n)++], e);
    sqlite3_finalize(st);
    store_read_end(s, db);
    return rc;
}

int store_finding_review(struct store *s, int64_t id, const struct store_review *r, int64_t revision, struct error *e) {
    int64_t found, last = 0;
    int rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = db_one(s->writer, &found, e, "SELECT id FROM findings WHERE id = ?", "i", id);
    if (rc == ERR_NOT_FOUND)
        error_set(e, rc, "", "There is no finding %lld (a finding goes with its documents)", (long long)id);
    if (rc == 0)
        rc = db_one(s->writer, &last, e, "SELECT coalesce(max(id), 0) FROM reviews WHERE finding = ?", "i", id);
    if (rc == 0 && last != revision)
        rc = error_set(e, ERR_CANCELLED, "revision",
                       "Somebody else has reviewed this finding meanwhile; look at it again");
    if (rc == 0)
        rc = db_run(s->writer, e, "INSERT INTO reviews(finding, state, reason, note, at) VALUES (?, ?, ?, ?, ?)",
                    "iitti", id, (int64_t)r->state, r->reason, r->note, now_seconds());
    return store_write_end(s, rc, e);
}
