/* database.h: inside of store/: the struct, its connections and locks, and the few helpers every file here uses. Not
 * for other folders.
 *
 * Locks, always taken in this order:
 *   write_lock  one thread writes. Held from store_write_begin to store_write_end, and by a deletion until nothing is
 * left. visit       shared by every reading call, taken alone by a deletion while it vacuums and truncates the WAL (no
 * reader may hold an old snapshot then). A thread that reads must not call a writing function before store_read_end.
 *   pool_lock   the idle reader connections; held for a few instructions.
 */
#ifndef ANTINOMY_STORE_DATABASE_H
#define ANTINOMY_STORE_DATABASE_H

#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>

/* ---- limits ---- */
enum {
    STORE_NAME_BYTES = 1000,       /* a set's or document's name */
    STORE_IDLE_READERS = 8,        /* connections kept open between calls */
    STORE_BUSY_MS = 10000,         /* another program (a backup, the sqlite3 shell) holds the file: wait so long */
    STORE_WAL_BYTES = 64 << 20,    /* the WAL is cut back to this after a checkpoint */
    STORE_RESERVE_BYTES = 4 << 20, /* kept free for deletes on a full disk */
    STORE_JOB_ATTEMPTS = 3,        /* a job that died so often fails */
    STORE_JOBS_KEPT = 1000,        /* ended jobs that are kept for people to look at */
    STORE_EMBEDDING_DIM = 8192,    /* keeps the integer dot product below 2^31, see embeddings.c */
    STORE_QUERY_WORDS = 64,        /* words of a question that count */
    STORE_QUERY_ITEMS = 16,        /* numbers, dates, clause numbers, quoted phrases of a question that count */
    STORE_QUERY_PHRASES = STORE_QUERY_WORDS + 8 * STORE_QUERY_ITEMS,
    STORE_HITS = 10000 /* top_k at most */
};
#define STORE_SCHEMA_VERSION 3
#define STORE_APPLICATION_ID 0x416e7469 /* "Anti" */

struct store {
    char *dir, *path; /* the data directory, its antinomy.db */
    int lock_fd;
    sqlite3 *writer;
    pthread_mutex_t write_lock;
    pthread_rwlock_t visit;
    pthread_mutex_t pool_lock;
    sqlite3 *idle[STORE_IDLE_READERS];
    int n_idle;
};

/* ---- lock.c ---- */
int store_lock(const char *dir, int *fd, struct error *e); /* ERR_BUSY names the process that holds it */

/* ---- migrate.c ---- */
int store_migrate(sqlite3 *db, struct error *e);

/* ---- database.c: connections ---- */
int db_open(sqlite3 **out, const char *path, bool writer, struct error *e);
int store_write_begin(struct store *s, struct error *e); /* locks and begins; nothing is held on failure */
int store_write_end(struct store *s, int rc,
                    struct error *e); /* commits when rc is 0, else rolls back; unlocks; returns the outcome */
int store_read_begin(struct store *s, sqlite3 **db, struct error *e); /* one snapshot until store_read_end */
void store_read_end(struct store *s, sqlite3 *db);
void store_readers_close(struct store *s);

/* ---- database.c: statements. Arguments by `types`: i int64_t, d double, t struct slice, T struct slice where empty
 * means NULL, b const void *, size_t. ---- */
int db_error(sqlite3 *db, int rc, const char *what, struct error *e);
int db_query(sqlite3 *db, sqlite3_stmt **out, struct error *e, const char *sql, const char *types, ...);
int db_row(sqlite3_stmt *st, bool *row, struct error *e); /* steps */
int db_run(sqlite3 *db, struct error *e, const char *sql, const char *types, ...);
int db_one(sqlite3 *db, int64_t *value, struct error *e, const char *sql, const char *types,
           ...); /* ERR_NOT_FOUND (message left to the caller) */
int db_rebind_run(sqlite3_stmt *st, struct error *e, const char *types, ...); /* resets, binds, runs: for loops */
struct slice db_text(sqlite3_stmt *st, int column, struct arena *a,
                     bool *failed);                 /* a copy; *failed is set when memory is out */
struct slice db_lend(sqlite3_stmt *st, int column); /* valid until the next step */
int64_t now_seconds(void);
double now_exact(void);
int store_nomem(struct error *e);

/* ---- sets.c ---- */
int set_check(sqlite3 *db, int64_t set, struct error *e); /* ERR_NOT_FOUND, with its message, when there is none */

/* ---- body.c: an ingest_document as BLOBs ---- */
#define BODY_VERSION 1
struct body {
    struct buf pages, words, sections, statements, facts, warnings;
};
int body_encode(struct body *b, const struct ingest_document *d, struct error *e);
void body_free(struct body *b);
/* Fills the arrays of d (text, name and title are set by the caller before) from BLOBs; checks every range and index.
 */
struct body_blobs {
    struct slice pages, words, sections, statements, facts, warnings;
};
int body_decode(struct ingest_document *d, const struct body_blobs *b, struct error *e);
int body_check(const struct ingest_document *d, struct error *e);
int body_warnings(struct slice blob, struct arena *a, struct ingest_warning **out, size_t *n, struct error *e);

/* ---- index.c: rows for search ---- */
int index_write(sqlite3 *db, int64_t content, const struct ingest_document *d, int64_t *n_words,
                int64_t *n_section_words, struct error *e);
int index_delete(sqlite3 *db, int64_t content, struct error *e); /* words out of FTS5; the rows go with contents */
int index_anew(sqlite3 *db, struct error *e); /* throws the words away and makes them from the rows */
size_t count_words(struct slice text);

/* ---- query.c: free text -> FTS5 expression ---- */
struct query_item {
    struct slice clause; /* normalised clause number to compare with sections, or empty */
};
struct query_terms {
    struct buf match;                     /* FTS5 expression; empty = nothing to look for */
    size_t n_words;                       /* phrases [0, n_words) are single words */
    size_t n_phrases;                     /* the rest are forms of items */
    uint8_t item_of[STORE_QUERY_PHRASES]; /* phrase -> item, for phrases >= n_words */
    struct query_item items[STORE_QUERY_ITEMS];
    size_t n_items;
    struct arena arena;
};
int query_parse(struct query_terms *q, struct slice text, struct error *e);
void query_free(struct query_terms *q);
struct slice clause_normalise(struct slice text, char *out, size_t cap);
/* Registers the FTS5 function store_terms(table): BLOB of uint32 length and uint8 count a phrase (255 = or more). */
int query_register(sqlite3 *db, struct error *e);

/* ---- embeddings.c ---- */
float embedding_quantise(int8_t *out, const float *v, uint32_t dim);
float embedding_quantise_query(int16_t *out, const float *v, uint32_t dim);
int32_t embedding_dot(const int16_t *q, const int8_t *v, uint32_t dim);

/* ---- jobs.c ---- */
int jobs_requeue(sqlite3 *db, bool all,
                 struct error *e); /* inside a transaction: lease ran out, or every running one */
int job_insert_ingest(sqlite3 *db, int64_t set, int64_t document, int64_t content, int64_t *job, struct error *e);
int job_open_of(sqlite3 *db, int64_t content, int64_t *job, struct error *e); /* queued or running ingest job, or 0 */

/* ---- readings.c, delete.c ---- */
int store_wipe(struct store *s, struct error *e); /* finishes begun deletes; write_lock held, no transaction */
void store_reserve(struct store *s);              /* allocates it where it is missing and there is room */
bool store_reserve_spend(struct store *s);        /* gives it up for room; false when there is none */
int store_sweep(struct store *s,
                struct error *e); /* unlinks files that no row names; write_lock held or not yet shared */

#endif
