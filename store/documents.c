/* documents.c: uploaded files and what ingest made of them. Steps 2 and 7 of the reader's path in architecture.md.
 *
 * Same bytes in any set and under any name are one content, ingested once; every name is an entry. Same name, other
 * bytes: the entry that held the name points to its successor and leaves search. Same name, same bytes: the entry that
 * is there. */
#include "store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ---- */
static int original_path(struct store *s, const uint8_t sha256[32], char *out, size_t cap) {
    char hex[65];
    hex_encode(sha256, 32, hex);
    return snprintf(out, cap, "%s/originals/%s", s->dir, hex);
}

static int file_hash(const char *path, uint8_t sha256[32], uint64_t *n_bytes, struct error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0; /* O_NONBLOCK: a FIFO must not hang us */
    if (fd < 0)
        return error_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, path, "Cannot open the file: %s",
                         strerror(errno));
    struct sha256 h;
    struct stat st;
    uint8_t *chunk = malloc(64 << 10);
    sha256_init(&h);
    *n_bytes = 0;
    if (!chunk) rc = store_nomem(e);
    if (rc == 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
        rc = error_set(e, ERR_ARG, path, "This is not a regular file");
    while (rc == 0) {
        ssize_t n = read(fd, chunk, 64 << 10);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) rc = error_set(e, ERR_IO, path, "Cannot read the file: %s", strerror(errno));
        if (n <= 0) break;
        sha256_update(&h, chunk, (size_t)n);
        *n_bytes += (uint64_t)n;
    }
    /* on the disk before the row that promises it */
    if (rc == 0 && fsync(fd) != 0 && errno != EROFS && errno != EINVAL)
        rc = error_set(e, ERR_IO, path, "Cannot write the file to the disk: %s", strerror(errno));
    sha256_final(&h, sha256);
    free(chunk);
    close(fd);
    return rc;
}

static int directory_sync(const char *dir, const char *sub, struct error *e) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, sub);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    if (fd < 0 || fsync(fd) != 0)
        rc = error_set(e, ERR_IO, path, "Cannot write the folder to the disk: %s", strerror(errno));
    if (fd >= 0) close(fd);
    return rc;
}

/* From another file system: copy under a temporary name, then rename. The source stays until the row is committed. */
static int file_copy(const char *from, const char *to, struct error *e) {
    char tmp[4112];
    snprintf(tmp, sizeof tmp, "%s.tmp", to);
    int rc = 0, in = open(from, O_RDONLY | O_CLOEXEC), out = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *chunk = malloc(64 << 10);
    if (in < 0) rc = error_set(e, ERR_IO, from, "Cannot open the file: %s", strerror(errno));
    if (rc == 0 && out < 0) rc = error_set(e, ERR_IO, tmp, "Cannot create the file: %s", strerror(errno));
    if (rc == 0 && !chunk) rc = store_nomem(e);
    while (rc == 0) {
        ssize_t n = read(in, chunk, 64 << 10), done = 0;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) rc = error_set(e, ERR_IO, from, "Cannot read the file: %s", strerror(errno));
        if (n <= 0) break;
        while (done < n && rc == 0) {
            ssize_t w = write(out, chunk + done, (size_t)(n - done));
            if (w < 0 && errno == EINTR) continue;
            if (w <= 0)
                rc = error_set(e, ERR_IO, tmp, "Cannot keep the file: %s", w < 0 ? strerror(errno) : "nothing written");
            done += w > 0 ? w : 0;
        }
    }
    if (rc == 0 && (fsync(out) != 0 || rename(tmp, to) != 0))
        rc = error_set(e, ERR_IO, to, "Cannot keep the file: %s", strerror(errno));
    if (rc && out >= 0) unlink(tmp);
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    free(chunk);
    return rc;
}

/* ---- add ---- */
static int name_check(struct slice name, struct error *e) {
    if (slice_trim(name).len == 0) return error_set(e, ERR_ARG, "", "A document needs a name");
    if (name.len > STORE_NAME_BYTES)
        return error_set(e, ERR_ARG, "", "The document's name is longer than %d bytes", STORE_NAME_BYTES);
    if (!utf8_valid(name.data, name.len) || memchr(name.data, 0, name.len))
        return error_set(e, ERR_ARG, "", "The document's name is not valid UTF-8 text");
    return 0;
}

/* Rows of one upload, inside the transaction. */
static int add_rows(sqlite3 *db, int64_t set, struct slice name, const uint8_t sha256[32], uint64_t n_bytes,
                    int64_t *document, int64_t *job, struct error *e) {
    int64_t content = 0, state = STORE_QUEUED, current = 0, current_content = 0;
    int rc = set_check(db, set, e);
    if (rc == 0)
        rc = db_run(
            db, e,
            "INSERT INTO contents(sha256, n_bytes, state, added_at) VALUES (?, ?, ?, ?) ON CONFLICT(sha256) DO NOTHING",
            "biii", (const void *)sha256, (size_t)32, (int64_t)n_bytes, (int64_t)STORE_QUEUED, now_seconds());
    if (rc == 0)
        rc = db_one(db, &content, e, "SELECT id FROM contents WHERE sha256 = ?", "b", (const void *)sha256, (size_t)32);
    if (rc == 0) rc = db_one(db, &state, e, "SELECT state FROM contents WHERE id = ?", "i", content);
    if (rc) return rc;
    rc = db_one(db, &current, e, "SELECT id FROM entries WHERE set_id = ? AND name = ? AND replaced_by = 0", "it", set,
                name);
    if (rc == 0) rc = db_one(db, &current_content, e, "SELECT content FROM entries WHERE id = ?", "i", current);
    if (rc && rc != ERR_NOT_FOUND) return rc;
    rc = 0;
    if (current && current_content == content) {
        *document = current;
    } else {
        /* the old entry gives up the name first: one current entry a name */
        if (current) rc = db_run(db, e, "UPDATE entries SET replaced_by = -1 WHERE id = ?", "i", current);
        if (rc == 0)
            rc = db_run(db, e, "INSERT INTO entries(set_id, content, name, added_at) VALUES (?, ?, ?, ?)", "iiti", set,
                        content, name, now_seconds());
        *document = (int64_t)sqlite3_last_insert_rowid(db);
        if (rc == 0 && current)
            rc = db_run(db, e, "UPDATE entries SET replaced_by = ? WHERE id = ?", "ii", *document, current);
    }
    if (rc == 0 && state != STORE_READY) rc = job_open_of(db, content, job, e);
    if (rc == 0 && state != STORE_READY && *job == 0) { /* new, or failed before: the upload asks once more */
        rc = db_run(db, e,
                    "UPDATE contents SET state = ?, error_code = '', error_message = '', error_where = '' WHERE id = ?",
                    "ii", (int64_t)STORE_QUEUED, content);
        if (rc == 0) rc = job_insert_ingest(db, set, *document, content, job, e);
    }
    return rc;
}

int store_document_add(struct store *s, int64_t set, const char *path, struct slice name, int64_t *document,
                       int64_t *job, struct error *e) {
    uint8_t sha256[32];
    uint64_t n_bytes = 0;
    char original[4096];
    bool moved = false, copied = false;
    *document = *job = 0;
    int rc = name_check(name, e);
    if (rc == 0) rc = file_hash(path, sha256, &n_bytes, e);
    if (rc) return rc;
    original_path(s, sha256, original, sizeof original);
    rc = store_write_begin(s, e);
    if (rc) return rc;
    rc = add_rows(s->writer, set, name, sha256, n_bytes, document, job, e);
    struct stat st;
    if (rc == 0 && stat(original, &st) != 0) {
        if (rename(path, original) == 0) {
            moved = true;
            chmod(original, 0600);
        } else if (errno == EXDEV) {
            rc = file_copy(path, original, e);
            copied = rc == 0;
        } else {
            rc = error_set(e, ERR_IO, original, "Cannot keep the file: %s", strerror(errno));
        }
        if (rc == 0) rc = directory_sync(s->dir, "originals", e);
    }
    int outcome = rc;
    rc = store_write_end(s, rc, e);
    if (rc) { /* the caller keeps the file */
        if (moved && rename(original, path) != 0 && outcome == 0) moved = false;
        if (copied) unlink(original);
        *document = *job = 0;
    } else if (!moved) {
        unlink(path);
    }
    return rc;
}

/* ---- find ---- */
#define DOCUMENT_COLUMNS                                                                                               \
    "e.id, e.content, e.set_id, e.name, coalesce(c.title, e.name), c.mime, c.sha256, c.n_bytes, c.state, c.n_pages, "  \
    "c.n_statements,"                                                                                                  \
    " c.n_tokens, c.n_pages_without_text, c.error_code, c.error_message, c.error_where,"                               \
    " coalesce((SELECT min(d.id) FROM entries d WHERE d.set_id = e.set_id AND d.content = e.content AND d.id < e.id "  \
    "AND d.replaced_by = 0), 0),"                                                                                      \
    " e.replaced_by, e.added_at, c.warnings FROM entries e JOIN contents c ON c.id = e.content "

static int document_read(sqlite3_stmt *st, struct arena *a, struct store_document *d, struct error *e) {
    bool failed = false;
    *d = (struct store_document){.id = sqlite3_column_int64(st, 0),
                                 .content = sqlite3_column_int64(st, 1),
                                 .set = sqlite3_column_int64(st, 2),
                                 .name = db_text(st, 3, a, &failed),
                                 .title = db_text(st, 4, a, &failed),
                                 .mime = db_text(st, 5, a, &failed),
                                 .n_bytes = (uint64_t)sqlite3_column_int64(st, 7),
                                 .state = (enum store_document_state)sqlite3_column_int(st, 8),
                                 .n_pages = (uint32_t)sqlite3_column_int64(st, 9),
                                 .n_statements = (uint32_t)sqlite3_column_int64(st, 10),
                                 .n_tokens = (uint32_t)sqlite3_column_int64(st, 11),
                                 .n_pages_without_text = (uint32_t)sqlite3_column_int64(st, 12),
                                 .error_code = db_text(st, 13, a, &failed),
                                 .error_message = db_text(st, 14, a, &failed),
                                 .error_where = db_text(st, 15, a, &failed),
                                 .duplicate_of = sqlite3_column_int64(st, 16),
                                 .replaced_by = sqlite3_column_int64(st, 17),
                                 .added_at = sqlite3_column_int64(st, 18)};
    struct slice sha = db_lend(st, 6);
    if (sha.len != 32)
        return error_set(e, ERR_FORMAT, "",
                         "The database is damaged (a document without its SHA-256); restore it from a backup");
    memcpy(d->sha256, sha.data, 32);
    if (failed) return store_nomem(e);
    /* damaged ones are told when the text is loaded: the document must still be listed, so that it can be deleted */
    struct error damaged;
    int rc = body_warnings(db_lend(st, 19), a, &d->warnings, &d->n_warnings, &damaged);
    if (rc) d->n_warnings = 0;
    return rc == ERR_NOMEM ? store_nomem(e) : 0;
}

int store_documents(struct store *s, struct arena *a, int64_t set, struct store_document **out, size_t *n,
                    struct error *e) {
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    int64_t count = 0;
    bool row;
    *out = NULL;
    *n = 0;
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    rc = set_check(db, set, e);
    if (rc == 0) rc = db_one(db, &count, e, "SELECT count(*) FROM entries WHERE set_id = ?", "i", set);
    if (rc == 0 && !(*out = arena_array(a, (size_t)count, sizeof **out))) rc = store_nomem(e);
    if (rc == 0) rc = db_query(db, &st, e, "SELECT " DOCUMENT_COLUMNS "WHERE e.set_id = ? ORDER BY e.id", "i", set);
    while (rc == 0 && *n < (size_t)count && (rc = db_row(st, &row, e)) == 0 && row)
        rc = document_read(st, a, &(*out)[(*n)++], e);
    sqlite3_finalize(st);
    store_read_end(s, db);
    return rc;
}

int store_document_find(struct store *s, struct arena *a, int64_t document, struct store_document *out,
                        struct error *e) {
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    bool row = false;
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    rc = db_query(db, &st, e, "SELECT " DOCUMENT_COLUMNS "WHERE e.id = ?", "i", document);
    if (rc == 0) rc = db_row(st, &row, e);
    if (rc == 0)
        rc = row ? document_read(st, a, out, e)
                 : error_set(e, ERR_NOT_FOUND, "", "There is no document %lld", (long long)document);
    sqlite3_finalize(st);
    store_read_end(s, db);
    return rc;
}

int store_document_by_name(struct store *s, struct arena *a, int64_t set, struct slice name, struct store_document *out,
                           struct error *e) {
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    bool row = false;
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    /* the current one; when that is deleted, the newest of its old versions, so that they can be deleted by name too */
    rc = db_query(db, &st, e,
                  "SELECT " DOCUMENT_COLUMNS
                  "WHERE e.set_id = ? AND e.name = ? ORDER BY e.replaced_by = 0 DESC, e.id DESC LIMIT 1",
                  "it", set, name);
    if (rc == 0) rc = db_row(st, &row, e);
    if (rc == 0)
        rc = row ? document_read(st, a, out, e)
                 : error_set(e, ERR_NOT_FOUND, "", "There is no document \"%.*s\" in this set",
                             (int)(name.len < 200 ? name.len : 200), name.data);
    sqlite3_finalize(st);
    store_read_end(s, db);
    return rc;
}

struct slice store_document_path(struct store *s, struct arena *a, const struct store_document *d) {
    char path[4096];
    original_path(s, d->sha256, path, sizeof path);
    return arena_slice(a, slice_of(path));
}

/* ---- write and load the ingested document ---- */
static const char *mime_of(enum ingest_format format) {
    switch (format) {
    case INGEST_TEXT:
        return "text/plain";
    case INGEST_MARKDOWN:
        return "text/markdown";
    case INGEST_HTML:
        return "text/html";
    case INGEST_PDF:
        return "application/pdf";
    case INGEST_DOCX:
        return "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    case INGEST_XLSX:
        return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    case INGEST_CSV:
        return "text/csv";
    case INGEST_EML:
        return "message/rfc822";
    case INGEST_ODT:
        return "application/vnd.oasis.opendocument.text";
    case INGEST_PPTX:
        return "application/vnd.openxmlformats-officedocument.presentationml.presentation";
    case INGEST_EPUB:
        return "application/epub+zip";
    case INGEST_FORMATS:
        break;
    }
    return "application/octet-stream";
}

static int write_rows(sqlite3 *db, int64_t job, const struct ingest_document *d, const struct body *b,
                      uint32_t n_tokens, struct error *e) {
    int64_t content = 0, going = 0, same = 1, n_words, n_section_words;
    static const uint8_t unknown[32];
    int rc = db_one(db, &content, e, "SELECT content FROM jobs WHERE id = ? AND kind = ?", "ii", job,
                    (int64_t)STORE_JOB_INGEST);
    if (rc == 0)
        rc = db_one(db, &going, e, "SELECT state = ? AND NOT cancel FROM jobs WHERE id = ?", "ii",
                    (int64_t)STORE_JOB_RUNNING, job);
    if (rc == ERR_NOT_FOUND || (rc == 0 && !going))
        return error_set(e, ERR_CANCELLED, "", "The job was stopped, or its document deleted");
    if (rc == 0 && memcmp(d->sha256, unknown, 32) != 0)
        rc = db_one(db, &same, e, "SELECT sha256 = ? FROM contents WHERE id = ?", "bi", (const void *)d->sha256,
                    (size_t)32, content);
    if (rc == 0 && !same)
        rc = error_set(e, ERR_ARG, "", "The document that was read is not the one of this job (its SHA-256 differs)");
    if (rc == 0)
        rc = db_run(db, e,
                    "INSERT INTO bodies(content, version, ingest_version, format, text, pages, words, sections, "
                    "statements, facts)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    "iiiibbbbbb", content, (int64_t)BODY_VERSION, (int64_t)INGEST_VERSION, (int64_t)d->format,
                    (const void *)d->text.data, d->text.len, (const void *)b->pages.data, b->pages.len,
                    (const void *)b->words.data, b->words.len, (const void *)b->sections.data, b->sections.len,
                    (const void *)b->statements.data, b->statements.len, (const void *)b->facts.data, b->facts.len);
    if (rc == 0) rc = index_write(db, content, d, &n_words, &n_section_words, e);
    /* a title that is only the file's name is each entry's own */
    struct slice title = slice_equal(d->title, d->name) ? SLICE_LITERAL("") : d->title;
    if (rc == 0)
        rc = db_run(db, e,
                    "UPDATE contents SET state = ?, title = ?, mime = ?, n_pages = ?, n_statements = ?, n_tokens = ?, "
                    "n_pages_without_text = ?,"
                    " n_words = ?, n_section_words = ?, warnings = ? WHERE id = ?",
                    "iTtiiiiiibi", (int64_t)STORE_READY, title, slice_of(mime_of(d->format)), (int64_t)d->n_pages,
                    (int64_t)d->n_statements, (int64_t)n_tokens, (int64_t)d->n_pages_without_text, n_words,
                    n_section_words, (const void *)b->warnings.data, b->warnings.len, content);
    if (rc == 0)
        rc = db_run(db, e, "UPDATE jobs SET state = ?, done = total, finished_at = ? WHERE id = ?", "iii",
                    (int64_t)STORE_JOB_DONE, now_seconds(), job);
    return rc;
}

int store_document_write(struct store *s, int64_t job, const struct ingest_document *d, uint32_t n_tokens,
                         struct error *e) {
    struct body b;
    int rc = body_encode(&b, d, e); /* before the lock: long, and needs no database */
    if (rc == 0) rc = store_write_begin(s, e);
    if (rc == 0) {
        rc = write_rows(s->writer, job, d, &b, n_tokens, e);
        rc = store_write_end(s, rc, e);
    }
    body_free(&b);
    return rc;
}

static int load_row(sqlite3_stmt *st, struct ingest_document *d, struct error *e) {
    bool failed = false;
    struct body_blobs b;
    if (sqlite3_column_int64(st, 0) != BODY_VERSION)
        return error_set(
            e, ERR_FORMAT, "",
            "This document is stored in a form this program does not know; delete it and add the file again");
    int format = sqlite3_column_int(st, 1);
    if (format < INGEST_TEXT || format >= INGEST_FORMATS)
        return error_set(e, ERR_FORMAT, "",
                         "The stored form of this document is damaged; delete it and add the file again");
    d->format = (enum ingest_format)format;
    d->text = db_text(st, 2, &d->arena, &failed);
    b.pages = db_lend(st, 3);
    b.words = db_lend(st, 4);
    b.sections = db_lend(st, 5);
    b.statements = db_lend(st, 6);
    b.facts = db_lend(st, 7);
    b.warnings = db_lend(st, 8);
    d->name = db_text(st, 9, &d->arena, &failed);
    d->title = sqlite3_column_type(st, 10) == SQLITE_NULL ? d->name : db_text(st, 10, &d->arena, &failed);
    struct slice sha = db_lend(st, 11);
    memcpy(d->sha256, sha.data, sha.len < 32 ? sha.len : 32);
    d->n_bytes = (uint64_t)sqlite3_column_int64(st, 12);
    d->n_pages_without_text = (uint32_t)sqlite3_column_int64(st, 13);
    return failed ? store_nomem(e) : body_decode(d, &b, e);
}

int store_document_load(struct store *s, int64_t document, struct ingest_document **out, struct error *e) {
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    int64_t state = STORE_READY;
    bool row = false;
    *out = NULL;
    struct ingest_document *d = calloc(1, sizeof *d);
    if (!d) return store_nomem(e);
    int rc = store_read_begin(s, &db, e);
    if (rc) {
        free(d);
        return rc;
    }
    rc = db_one(db, &state, e, "SELECT c.state FROM entries e JOIN contents c ON c.id = e.content WHERE e.id = ?", "i",
                document);
    if (rc == ERR_NOT_FOUND) error_set(e, rc, "", "There is no document %lld", (long long)document);
    if (rc == 0 && state == STORE_QUEUED)
        rc = error_set(e, ERR_BUSY, "", "Document %lld is still being read in", (long long)document);
    if (rc == 0 && state == STORE_FAILED)
        rc = error_set(e, ERR_NOT_FOUND, "", "Document %lld could not be read in, so it has no text",
                       (long long)document);
    if (rc == 0)
        rc = db_query(
            db, &st, e,
            "SELECT b.version, b.format, b.text, b.pages, b.words, b.sections, b.statements, b.facts, c.warnings, "
            "e.name, c.title,"
            " c.sha256, c.n_bytes, c.n_pages_without_text"
            " FROM entries e JOIN contents c ON c.id = e.content JOIN bodies b ON b.content = c.id WHERE e.id = ?",
            "i", document);
    if (rc == 0) rc = db_row(st, &row, e);
    if (rc == 0)
        rc = row ? load_row(st, d, e)
                 : error_set(e, ERR_FORMAT, "", "The text of document %lld is missing from the database",
                             (long long)document);
    sqlite3_finalize(st);
    store_read_end(s, db);
    if (rc) {
        arena_free(&d->arena);
        free(d);
        return rc;
    }
    *out = d;
    return 0;
}
