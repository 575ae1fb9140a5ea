/* store.h: one SQLite file and the files beside it: sets, documents, search, jobs, readings, answers, findings. Knows no HTTP, no model.
 *
 * Data directory: antinomy.db (WAL), originals/<sha256>, readings/<id>, pages/<sha256>-<page>-<dpi>.png, reserve, lock, socket.
 * One process owns it (store_open takes the lock file); inside, one connection writes and checkpoints, readers have their own.
 * All functions may be called from any thread; writes queue on the writer's lock.
 * Rows come back through plain structs whose slices live in the caller's arena.
 *
 *     struct store *s; struct error e;
 *     if (store_open(&s, "/var/lib/antinomy", &e) == ERR_BUSY) ...   // somebody else owns it: speak to their socket
 *     store_set_create(s, "acme", &set_id, &e);
 *     store_close(s);
 */
#ifndef ANTINOMY_STORE_H
#define ANTINOMY_STORE_H

#include "base.h"
#include "ingest/ingest.h"

struct store;

/* Creates the directory (0700) and the database when missing, migrates by user_version, runs quick_check, finishes deletes that a crash
 * cut short, requeues running jobs (who ran them is gone), unlinks files no row names. ERR_BUSY: locked by a living process. ERR_FORMAT: a newer schema or a damaged file. ERR_IO. */
int store_open(struct store **out, const char *dir, struct error *e);
void store_close(struct store *s); /* truncates the WAL */
const char *store_dir(const struct store *s);

/* ---- sets ---- */
struct store_set {
    int64_t id;
    struct slice name;
    int64_t n_documents, n_tokens, created_at; /* unix seconds */
};
int store_set_create(struct store *s, struct slice name, int64_t *id, struct error *e); /* existing name: its id, success */
int store_set_find(struct store *s, struct slice name, int64_t *id, struct error *e);   /* ERR_NOT_FOUND */
int store_sets(struct store *s, struct arena *a, struct store_set **out, size_t *n, struct error *e);
int store_set_delete(struct store *s, int64_t set, struct error *e); /* its documents too, unless another set holds them */

/* ---- documents: stored once by SHA-256, an entry a set and name ---- */
enum store_document_state { STORE_QUEUED, STORE_READY, STORE_FAILED };
struct store_document {
    int64_t id;       /* the entry */
    int64_t content;  /* the bytes: equal for duplicates */
    int64_t set;
    struct slice name, title, mime;
    uint8_t sha256[32];
    uint64_t n_bytes;
    enum store_document_state state;
    uint32_t n_pages, n_statements, n_tokens, n_pages_without_text;
    struct slice error_code, error_message, error_where; /* STORE_FAILED */
    int64_t duplicate_of; /* entry of the same set with the same bytes, 0 = none */
    int64_t replaced_by;  /* newer document that took the name, 0 = current */
    struct ingest_warning *warnings; /* [n_warnings] what of it was not read, or was guessed */
    size_t n_warnings;
    int64_t added_at;
};
/* Registers an uploaded file: hashes it, moves it into originals/ (or drops it when the bytes are known), adds the entry and an ingest
 * job in one transaction. `path` is consumed on success. Same name with other bytes replaces: the old entry gets replaced_by.
 * Same name with the same bytes: *document is the entry that is there. *job is the job that will make it ready (that of the first upload while
 * it is still waiting), 0 when it is ready already; bytes whose ingest failed are tried once more. */
int store_document_add(struct store *s, int64_t set, const char *path, struct slice name, int64_t *document, int64_t *job, struct error *e);
int store_documents(struct store *s, struct arena *a, int64_t set, struct store_document **out, size_t *n, struct error *e);
int store_document_find(struct store *s, struct arena *a, int64_t document, struct store_document *out, struct error *e);
/* The current document of that name; when only replaced versions are left, the newest of them. */
int store_document_by_name(struct store *s, struct arena *a, int64_t set, struct slice name, struct store_document *out, struct error *e);
/* Everything an ingested document is, back as one ingest_document (own arena). */
int store_document_load(struct store *s, int64_t document, struct ingest_document **out, struct error *e);
struct slice store_document_path(struct store *s, struct arena *a, const struct store_document *d); /* of the original file */
/* Writes text, pages, words, sections, statements, facts, search rows and ends the job, in one transaction. tokens: the number of tokens
 * of its text for the model in use. Called once per content; entries that share it become ready together. */
int store_document_write(struct store *s, int64_t job, const struct ingest_document *d, uint32_t n_tokens, struct error *e);
/* Removes entry, and with its last entry all that came of its bytes: rows, search words (FTS5 optimize), embeddings, answers and findings
 * that quote it, readings that held it, original, page images; truncates the WAL; vacuums. On return nothing of it is in the directory.
 * receipt: JSON of what was removed (names, counts, sha256 of the content; no text), in the arena; may be NULL. */
int store_document_delete(struct store *s, int64_t document, struct arena *a, struct slice *receipt, struct error *e);

/* ---- embeddings: one int8 vector a statement ---- */
/* A spreadsheet (XLSX, CSV) with more rows of tables than this has none for its rows: they are found by their words. 3,000
 * rows took 4.5 minutes of two cores with the bundled model, and rows differ in names and figures, which words tell. */
#define STORE_SHEET_ROWS 300
/* Statements of the set that have no vector for this model yet and shall have one. */
struct store_statement {
    int64_t content;
    uint32_t statement; /* index in its document */
    struct slice text;  /* lead-in and span, joined by a space */
};
int store_embeddings_missing(struct store *s, struct arena *a, int64_t set, const uint8_t model_id[32], struct store_statement **out,
                             size_t *n, struct error *e);
int store_embeddings_add(struct store *s, const uint8_t model_id[32], const struct store_statement *st, const float *vectors /* [n, dim], L2 = 1 */,
                         size_t n, uint32_t dim, struct error *e);

/* ---- search: BM25 over statements and their sections, exact vector scan, fused ---- */
struct store_query {
    struct slice text;
    const float *vector; /* [dim], L2 = 1; NULL = words only */
    uint32_t dim;
    const uint8_t *model_id;
    float vector_weight, bm25_weight, exact_weight; /* the model card's; 0,0,0 = defaults of the store */
    uint32_t top_k;
};
struct store_hit {
    int64_t document; /* entry (the current one of the set) */
    int64_t content;
    uint32_t statement;
    float score, cosine, bm25; /* fused; parts (NaN when absent) */
};
int store_search(struct store *s, struct arena *a, int64_t set, const struct store_query *q, struct store_hit **out, size_t *n, struct error *e);

/* ---- jobs: leased, survive kill -9 ---- */
enum store_job_kind { STORE_JOB_INGEST, STORE_JOB_READ, STORE_JOB_REPORT };
enum store_job_state { STORE_JOB_QUEUED, STORE_JOB_RUNNING, STORE_JOB_DONE, STORE_JOB_FAILED, STORE_JOB_CANCELLED };
struct store_job {
    int64_t id, set, document; /* document 0 for READ and REPORT */
    enum store_job_kind kind;
    enum store_job_state state;
    struct slice stage; /* "extract", "index", "embed", "read", "judge" */
    int64_t done, total, attempts, created_at, started_at, finished_at;
    struct slice error_code, error_message, error_where;
};
/* Takes the oldest queued job of a kind and leases it for lease_s; ERR_NOT_FOUND when there is none. A job that died three times fails. */
int store_job_take(struct store *s, struct arena *a, enum store_job_kind kind, double lease_s, struct store_job *out, struct error *e);
int store_job_progress(struct store *s, int64_t job, const char *stage, int64_t done, int64_t total, double lease_s, struct error *e); /* renews; ERR_CANCELLED when asked to stop */
int store_job_finish(struct store *s, int64_t job, const struct error *failed /* NULL = done */, struct error *e);
/* Back into the queue, as if it had not been taken: for work that gave way. 0 too when the job has ended meanwhile. */
int store_job_yield(struct store *s, int64_t job, struct error *e);
int store_job_add(struct store *s, enum store_job_kind kind, int64_t set, int64_t *job, struct error *e); /* one queued job a set and kind: else its id */
int store_job_cancel(struct store *s, int64_t job, struct error *e);
int store_job_find(struct store *s, struct arena *a, int64_t job, struct store_job *out, struct error *e);
int store_jobs(struct store *s, struct arena *a, int64_t set, struct store_job **out, size_t *n, struct error *e); /* 0 = all sets; newest first */
int store_job_retry(struct store *s, int64_t document, int64_t *job, struct error *e); /* a failed document once more */

/* ---- readings: the engine's snapshots ---- */
struct store_reading {
    int64_t id, set;
    uint8_t model_id[32], prefix_hash[32];
    uint32_t n_tokens;
    uint64_t bytes;
    int64_t *contents; /* what it holds, in order */
    size_t n_contents;
    struct slice path;
};
/* A fresh path for a snapshot file; then, once written, add it with all contents it holds. */
int store_reading_path(struct store *s, struct arena *a, struct slice *path, struct error *e);
int store_reading_add(struct store *s, int64_t set, const uint8_t model_id[32], const uint8_t prefix_hash[32], uint32_t n_tokens,
                      const int64_t *contents, size_t n_contents, struct slice path, struct error *e);
int store_readings(struct store *s, struct arena *a, int64_t set, const uint8_t model_id[32], struct store_reading **out, size_t *n, struct error *e);
int store_reading_use(struct store *s, int64_t reading, struct error *e); /* it was restored: it is now the youngest for eviction */
int store_readings_evict(struct store *s, uint64_t max_bytes, struct error *e); /* oldest use first */

/* ---- kept results: JSON as it was shown; deleted with any document they quote ---- */
int store_answer_add(struct store *s, int64_t set, struct slice question, struct slice json, const int64_t *contents, size_t n, int64_t *id, struct error *e);
struct store_answer {
    int64_t id, set, asked_at; /* unix seconds */
    struct slice question, json;
};
int store_answer_find(struct store *s, struct arena *a, int64_t id, struct store_answer *out, struct error *e); /* ERR_NOT_FOUND */
/* The set's answers, newest first, at most limit of those older than `before` (0 = from the newest); *more: there are older ones still. */
int store_answers(struct store *s, struct arena *a, int64_t set, int64_t before, size_t limit, struct store_answer **out, size_t *n, bool *more,
                  struct error *e);
int store_report_add(struct store *s, int64_t set, struct slice json, const int64_t *contents, size_t n, int64_t *id, struct error *e);
/* Reports by set, by id, and the one of the same set made last before that one; their question is empty. ERR_NOT_FOUND. */
int store_report_latest(struct store *s, struct arena *a, int64_t set, struct store_answer *out, struct error *e);
int store_report_find(struct store *s, struct arena *a, int64_t id, struct store_answer *out, struct error *e);
int store_report_before(struct store *s, struct arena *a, int64_t report, struct store_answer *out, struct error *e);

/* ---- findings and what people decided about them ---- */
enum store_review_state { STORE_REVIEW_NEW, STORE_REVIEW_CONFIRMED, STORE_REVIEW_DISMISSED, STORE_REVIEW_RESOLVED, STORE_REVIEW_NEEDS_REVIEW };
#define STORE_REVIEW_STATES 5
#define STORE_FINDING_SIDES 3 /* a, b, and the clause that settles it */
struct store_review {
    enum store_review_state state;
    struct slice reason, note;
    int64_t at; /* unix seconds, 0 = never reviewed */
};
struct store_finding {
    int64_t id, set, revision; /* revision: changes with every review, 0 = none yet */
    struct store_review review; /* the last one */
};
struct store_finding_key {
    uint8_t anchor[32]; /* the caller's hash: the same for the same finding in every report of the set */
    int64_t documents[STORE_FINDING_SIDES]; /* entries its sides stand in; 0 = no such side */
};
/* The findings of those keys, out[n]; made when first asked for. id 0: a document of it is gone. ERR_IO (a full disk): out holds those that
 * were there. */
int store_findings(struct store *s, struct arena *a, int64_t set, const struct store_finding_key *keys, size_t n, struct store_finding *out,
                   struct error *e);
/* One, with its reviews in order. ERR_NOT_FOUND. */
int store_finding_find(struct store *s, struct arena *a, int64_t id, struct store_finding *out, struct store_review **history, size_t *n,
                       struct error *e);
/* Writes a review down behind those there are (r->at is not read). revision: the one it was made on; ERR_CANCELLED when it is not the last. */
int store_finding_review(struct store *s, int64_t id, const struct store_review *r, int64_t revision, struct error *e);

#endif
