/* index.c: the rows that make a document findable: its statements and its sections, with their words in FTS5.
 *
 * A section's row holds its path, the headings from the document's title down to its own, and its own statements (not
 * those of subsections), so that "Termination" above a clause helps every sentence under it. */
#include "store/database.h"

#include <stdlib.h>
#include <string.h>

#define HEADINGS_UP 32 /* levels of headings that a section carries */

size_t count_words(struct slice text) {
    size_t n = 0;
    bool in = false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool word = c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        n += word && !in;
        in = word;
    }
    return n;
}

static void statement_text(struct buf *b, const struct ingest_document *d, const struct ingest_statement *s) {
    if (s->lead_in.end > s->lead_in.start) {
        struct slice lead = ingest_text(d, s->lead_in);
        buf_append(b, lead.data, lead.len);
        buf_append(b, " ", 1);
    }
    struct slice own = ingest_text(d, s->span);
    buf_append(b, own.data, own.len);
}

static void section_text(struct buf *b, const struct ingest_document *d, size_t section, const uint32_t *of_section,
                         size_t n) {
    uint32_t up[HEADINGS_UP];
    size_t depth = 0;
    for (uint32_t at = (uint32_t)section; at != INGEST_NONE && depth < HEADINGS_UP; at = d->sections[at].parent)
        up[depth++] = at;
    buf_append(b, d->sections[section].path.data, d->sections[section].path.len);
    while (depth-- > 0) {
        struct slice heading = ingest_text(d, d->sections[up[depth]].heading);
        buf_append(b, "\n", 1);
        buf_append(b, heading.data, heading.len);
    }
    for (size_t i = 0; i < n; i++) {
        const struct ingest_statement *s = &d->statements[of_section[i]];
        if (s->kind == INGEST_HEADING) continue;
        struct slice own = ingest_text(d, s->span);
        buf_append(b, "\n", 1);
        buf_append(b, own.data, own.len);
    }
}

int index_write(sqlite3 *db, int64_t content, const struct ingest_document *d, int64_t *n_words,
                int64_t *n_section_words, struct error *e) {
    sqlite3_stmt *row = NULL, *words = NULL;
    struct buf b = {0};
    uint32_t *first = calloc(d->n_sections + 2, sizeof *first), *order = calloc(d->n_statements + 1, sizeof *order);
    int rc = first && order ? 0 : store_nomem(e);
    *n_words = *n_section_words = 0;
    if (rc == 0)
        rc = db_query(db, &row, e, "INSERT INTO statements(content, n, section, kind, text) VALUES (?, ?, ?, ?, ?)",
                      "iiiit", content, (int64_t)0, (int64_t)0, (int64_t)0, SLICE_LITERAL(""));
    if (rc == 0)
        rc = db_query(db, &words, e, "INSERT INTO statements_fts(rowid, text) VALUES (?, ?)", "it", (int64_t)0,
                      SLICE_LITERAL(""));
    for (size_t i = 0; i < d->n_statements && rc == 0; i++) {
        const struct ingest_statement *s = &d->statements[i];
        b.len = 0;
        statement_text(&b, d, s);
        if (b.failed) rc = store_nomem(e);
        struct slice text = buf_slice(&b);
        *n_words += (int64_t)count_words(text);
        if (rc == 0)
            rc = db_rebind_run(row, e, "iiiit", content, (int64_t)i, (int64_t)s->section, (int64_t)s->kind, text);
        if (rc == 0) rc = db_rebind_run(words, e, "it", (int64_t)sqlite3_last_insert_rowid(db), text);
        if (d->n_sections) first[s->section + 1]++;
    }
    sqlite3_finalize(row);
    sqlite3_finalize(words);
    row = words = NULL;
    if (rc) goto done;

    /* statements by section: counting sort */
    for (size_t i = 0; i < d->n_sections; i++) first[i + 1] += first[i];
    for (size_t i = d->n_statements; i-- > 0 && d->n_sections;)
        order[--first[d->statements[i].section + 1]] = (uint32_t)i;
    rc = db_query(db, &row, e, "INSERT INTO sections(content, n, number, path, text) VALUES (?, ?, ?, ?, ?)", "iittt",
                  content, (int64_t)0, SLICE_LITERAL(""), SLICE_LITERAL(""), SLICE_LITERAL(""));
    if (rc == 0)
        rc = db_query(db, &words, e, "INSERT INTO sections_fts(rowid, text) VALUES (?, ?)", "it", (int64_t)0,
                      SLICE_LITERAL(""));
    for (size_t i = 0; i < d->n_sections && rc == 0; i++) {
        /* after the sort first[i + 1] is where section i begins */
        size_t from = first[i + 1], to = i + 2 <= d->n_sections ? first[i + 2] : d->n_statements;
        b.len = 0;
        section_text(&b, d, i, order + from, to - from);
        if (b.failed) rc = store_nomem(e);
        struct slice text = buf_slice(&b);
        *n_section_words += (int64_t)count_words(text);
        if (rc == 0)
            rc = db_rebind_run(row, e, "iittt", content, (int64_t)i, d->sections[i].number, d->sections[i].path, text);
        if (rc == 0) rc = db_rebind_run(words, e, "it", (int64_t)sqlite3_last_insert_rowid(db), text);
    }
done:
    sqlite3_finalize(row);
    sqlite3_finalize(words);
    buf_free(&b);
    free(first);
    free(order);
    return rc;
}

int index_delete(sqlite3 *db, int64_t content, struct error *e) {
    int rc = db_run(db, e,
                    "INSERT INTO statements_fts(statements_fts, rowid, text)"
                    " SELECT 'delete', id, text FROM statements WHERE content = ?",
                    "i", content);
    if (rc == 0)
        rc = db_run(db, e,
                    "INSERT INTO sections_fts(sections_fts, rowid, text) SELECT 'delete', id, text FROM sections WHERE "
                    "content = ?",
                    "i", content);
    return rc;
}

/* FTS5's tables behind the index, as they are after CREATE: no segment (record 10), no totals (record 1). Needed where
 * the list of segments itself is damaged, because then FTS5 refuses even 'rebuild'. */
int index_anew(sqlite3 *db, struct error *e) {
    static const char empty[] =
        "DELETE FROM statements_fts_data; DELETE FROM statements_fts_idx; DELETE FROM statements_fts_docsize;"
        "INSERT INTO statements_fts_data(id, block) VALUES (1, x''), (10, x'00000000000000');"
        "DELETE FROM sections_fts_data; DELETE FROM sections_fts_idx; DELETE FROM sections_fts_docsize;"
        "INSERT INTO sections_fts_data(id, block) VALUES (1, x''), (10, x'00000000000000');";
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL); /* they are ours to write only here */
    int q = sqlite3_exec(db, empty, NULL, NULL, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    int rc = q == SQLITE_OK ? 0 : db_error(db, q, "Cannot make the word index anew", e);
    if (rc == 0) rc = db_run(db, e, "INSERT INTO statements_fts(statements_fts) VALUES ('rebuild')", "");
    if (rc == 0) rc = db_run(db, e, "INSERT INTO sections_fts(sections_fts) VALUES ('rebuild')", "");
    return rc;
}
