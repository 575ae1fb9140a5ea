/* sets.c: named sets of documents. Deleting one is in delete.c. */
#include "store/database.h"

#include <string.h>

static int name_check(struct slice name, struct error *e) {
    if (name.len == 0 || slice_trim(name).len == 0) return error_set(e, ERR_ARG, "", "A set needs a name");
    if (name.len > STORE_NAME_BYTES)
        return error_set(e, ERR_ARG, "", "The name of the set is longer than %d bytes", STORE_NAME_BYTES);
    if (!utf8_valid(name.data, name.len) || memchr(name.data, 0, name.len))
        return error_set(e, ERR_ARG, "", "The name of the set is not valid UTF-8 text");
    return 0;
}

int set_check(sqlite3 *db, int64_t set, struct error *e) {
    int64_t found;
    int rc = db_one(db, &found, e, "SELECT id FROM sets WHERE id = ?", "i", set);
    return rc == ERR_NOT_FOUND ? error_set(e, rc, "", "There is no set %lld", (long long)set) : rc;
}

int store_set_create(struct store *s, struct slice name, int64_t *id, struct error *e) {
    int rc = name_check(name, e);
    if (rc) return rc;
    rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = db_run(s->writer, e, "INSERT INTO sets(name, created_at) VALUES (?, ?) ON CONFLICT(name) DO NOTHING", "ti",
                name, now_seconds());
    if (rc == 0) rc = db_one(s->writer, id, e, "SELECT id FROM sets WHERE name = ?", "t", name);
    return store_write_end(s, rc, e);
}

int store_set_find(struct store *s, struct slice name, int64_t *id, struct error *e) {
    sqlite3 *db;
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    rc = db_one(db, id, e, "SELECT id FROM sets WHERE name = ?", "t", name);
    if (rc == ERR_NOT_FOUND)
        error_set(e, rc, "", "There is no set named \"%.*s\"", (int)(name.len < 200 ? name.len : 200), name.data);
    store_read_end(s, db);
    return rc;
}

int store_sets(struct store *s, struct arena *a, struct store_set **out, size_t *n, struct error *e) {
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    int64_t count = 0;
    bool row = true, failed = false;
    *out = NULL;
    *n = 0;
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    rc = db_one(db, &count, e, "SELECT count(*) FROM sets", "");
    if (rc == 0 && !(*out = arena_array(a, (size_t)count, sizeof **out))) rc = store_nomem(e);
    /* tokens once a content, however many names it has in the set */
    if (rc == 0)
        rc = db_query(db, &st, e,
                      "SELECT id, name, created_at,"
                      " (SELECT count(*) FROM entries WHERE set_id = sets.id AND replaced_by = 0),"
                      " (SELECT coalesce(sum(n_tokens), 0) FROM contents WHERE id IN"
                      "   (SELECT content FROM entries WHERE set_id = sets.id AND replaced_by = 0))"
                      " FROM sets ORDER BY name, id",
                      "");
    while (rc == 0 && *n < (size_t)count && (rc = db_row(st, &row, e)) == 0 && row) {
        struct store_set *set = &(*out)[(*n)++];
        set->id = sqlite3_column_int64(st, 0);
        set->name = db_text(st, 1, a, &failed);
        set->created_at = sqlite3_column_int64(st, 2);
        set->n_documents = sqlite3_column_int64(st, 3);
        set->n_tokens = sqlite3_column_int64(st, 4);
        if (failed) rc = store_nomem(e);
    }
    sqlite3_finalize(st);
    store_read_end(s, db);
    return rc;
}
