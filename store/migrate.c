/* migrate.c: brings antinomy.db to STORE_SCHEMA_VERSION by user_version, each step in its own transaction with the
 * number. An empty file gets schema.sql. A file of a newer program, or of another program, is refused and left as it
 * is. */
#include "store/database.h"

#include <stdio.h>
#include <string.h>

extern const char _binary_store_schema_sql_start[], _binary_store_schema_sql_end[];

/* steps[i] leads from version i + 1 to i + 2. */
static const char *const steps[] = {
    "ALTER TABLE contents ADD COLUMN warnings BLOB NOT NULL DEFAULT x'00';"
    "UPDATE contents SET warnings = (SELECT warnings FROM bodies WHERE content = contents.id)"
    " WHERE id IN (SELECT content FROM bodies);"
    "ALTER TABLE bodies DROP COLUMN warnings",
    "CREATE TABLE findings ( id INTEGER PRIMARY KEY AUTOINCREMENT, set_id INTEGER NOT NULL REFERENCES sets(id), anchor "
    "BLOB NOT NULL, made_at INTEGER NOT NULL, UNIQUE (set_id, anchor) ) STRICT;"
    "CREATE TABLE finding_contents ( finding INTEGER NOT NULL REFERENCES findings(id) ON DELETE CASCADE, side INTEGER "
    "NOT NULL, content INTEGER NOT NULL REFERENCES contents(id), PRIMARY KEY (finding, side, content) ) STRICT, "
    "WITHOUT ROWID;"
    "CREATE INDEX finding_contents_content ON finding_contents(content);"
    "CREATE TABLE reviews ( id INTEGER PRIMARY KEY AUTOINCREMENT, finding INTEGER NOT NULL REFERENCES findings(id) ON "
    "DELETE CASCADE, state INTEGER NOT NULL, reason TEXT NOT NULL, note TEXT NOT NULL, at INTEGER NOT NULL ) STRICT;"
    "CREATE INDEX reviews_finding ON reviews(finding, id);",
    NULL};
#define N_STEPS (sizeof steps / sizeof *steps - 1)
_Static_assert(N_STEPS == STORE_SCHEMA_VERSION - 1, "one step a version");

static int run_script(sqlite3 *db, const char *sql, int64_t version, struct error *e) {
    char *message = NULL;
    int rc = 0;
    char tail[128];
    snprintf(tail, sizeof tail, "PRAGMA application_id=%d; PRAGMA user_version=%lld; COMMIT", STORE_APPLICATION_ID,
             (long long)version);
    int q = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (q == SQLITE_OK) q = sqlite3_exec(db, sql, NULL, NULL, &message);
    if (q == SQLITE_OK) q = sqlite3_exec(db, tail, NULL, NULL, &message);
    if (q != SQLITE_OK) {
        rc = db_error(db, q, "Cannot bring the database to this version", e);
        if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    sqlite3_free(message);
    return rc;
}

int store_migrate(sqlite3 *db, struct error *e) {
    const char *where = sqlite3_db_filename(db, "main");
    int64_t version = 0, application = 0, tables = 0;
    int rc = db_one(db, &version, e, "PRAGMA user_version", "");
    if (rc == 0) rc = db_one(db, &application, e, "PRAGMA application_id", "");
    if (rc == 0) rc = db_one(db, &tables, e, "SELECT count(*) FROM sqlite_schema", "");
    if (rc) return rc;
    if (tables > 0 && application != STORE_APPLICATION_ID)
        return error_set(e, ERR_FORMAT, where, "This is a database of another program; choose another data directory");
    if (version > STORE_SCHEMA_VERSION)
        return error_set(
            e, ERR_FORMAT, where,
            "The database was written by a newer version (%lld, this program knows %d); update the program",
            (long long)version, STORE_SCHEMA_VERSION);
    if (version < 0 || (tables > 0 && version == 0))
        return error_set(e, ERR_FORMAT, where, "The database has no valid version number; restore it from a backup");
    if (tables == 0) {
        struct buf sql = {0};
        buf_append(&sql, _binary_store_schema_sql_start,
                   (size_t)(_binary_store_schema_sql_end - _binary_store_schema_sql_start));
        rc = sql.failed ? store_nomem(e) : run_script(db, sql.data, STORE_SCHEMA_VERSION, e);
        buf_free(&sql);
        return rc;
    }
    for (; rc == 0 && version < STORE_SCHEMA_VERSION; version++)
        rc = run_script(db, steps[version - 1], version + 1, e);
    return rc;
}
