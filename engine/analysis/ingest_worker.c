/* ingest_worker.c: one ingest job from the queue to a searchable document: extract, count tokens, write, embed. Steps 2
 * to 7 of the architecture's reader's path meet here. Owns the job's life: lease, stages, failure; refuses nothing: a
 * bad file fails its own job.
 *
 * The lease is renewed by a thread of its own, since extraction may take two minutes inside one call. Order of the
 * stages and what a crash leaves:
 *
 *     extract  nothing; the lease runs out and the job starts again
 *     index    nothing or all: store_document_write is one transaction and ends the job
 *     embed    a document that is found by words; the missing vectors are filled at the next ingest or question
 */
#include "engine/analysis/inside.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEASE_S = 60, RENEW_S = 15, BYTES_A_TOKEN = 4 };

struct lease {
    struct store *store;
    int64_t job;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *stage;
    int64_t done, total;
    bool stop, cancelled;
};

static void *lease_thread(void *arg) {
    struct lease *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        struct timespec at;
        clock_gettime(CLOCK_REALTIME, &at);
        at.tv_sec += RENEW_S;
        pthread_cond_timedwait(&l->changed, &l->lock, &at);
        if (l->stop) break;
        const char *stage = l->stage;
        int64_t done = l->done, total = l->total;
        pthread_mutex_unlock(&l->lock);
        struct error e;
        int rc = store_job_progress(l->store, l->job, stage, done, total, LEASE_S, &e);
        pthread_mutex_lock(&l->lock);
        if (rc == ERR_CANCELLED) l->cancelled = true;
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static int lease_stage(struct lease *l, const char *stage, int64_t done, int64_t total, struct error *e) {
    pthread_mutex_lock(&l->lock);
    l->stage = stage;
    l->done = done;
    l->total = total;
    bool cancelled = l->cancelled;
    pthread_mutex_unlock(&l->lock);
    if (cancelled) return error_set(e, ERR_CANCELLED, "", "Stopped on request.");
    return store_job_progress(l->store, l->job, stage, done, total, LEASE_S, e);
}

static int extract_and_write(struct analysis *an, const struct store_job *job, const struct store_document *doc,
                             struct lease *l, const struct analysis_events *ev, struct arena *a, struct error *e) {
    struct ingest_document *d = NULL;
    int32_t *ids = NULL;
    char *name = NULL;
    int rc = lease_stage(l, "extract", 0, 0, e);
    if (rc) goto done;
    event_stage(ev, "extract", 0, 0);
    struct slice path = store_document_path(an->store, a, doc);
    struct ingest_options o = ingest_options_default();
    name = strndup(doc->name.data ? doc->name.data : "", doc->name.len);
    if (!path.data || !name) {
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory to read the file.");
        goto done;
    }
    o.name = name;
    if ((rc = ingest_document_load(&d, path.data, &o, e))) goto done;
    if (event_cancelled(ev)) {
        rc = error_set(e, ERR_CANCELLED, name, "Stopped on request.");
        goto done;
    }
    if ((rc = lease_stage(l, "index", 0, (int64_t)d->n_statements, e))) goto done;
    event_stage(ev, "index", 0, d->n_statements);
    size_t n_tokens = d->text.len / BYTES_A_TOKEN;
    if (an->model && (rc = jamba_tokenize(an->model, d->text.data, d->text.len, &ids, NULL, &n_tokens, e))) goto done;
    rc = store_document_write(an->store, job->id, d, (uint32_t)n_tokens, e);
done:
    free(name);
    free(ids);
    ingest_document_free(d);
    return rc;
}

int analysis_ingest_next(struct analysis *an, const struct analysis_events *ev, bool *worked, struct error *e) {
    *worked = false;
    struct arena a = {0};
    struct store_job job;
    struct store_document doc;
    int rc = store_job_take(an->store, &a, STORE_JOB_INGEST, LEASE_S, &job, e);
    if (rc) {
        arena_free(&a);
        return rc == ERR_NOT_FOUND ? 0 : rc;
    }
    *worked = true;
    struct lease l = {.store = an->store, .job = job.id, .stage = "extract"};
    pthread_mutex_init(&l.lock, NULL);
    pthread_cond_init(&l.changed, NULL);
    pthread_t thread;
    bool has_thread = pthread_create(&thread, NULL, lease_thread, &l) == 0;

    struct error failed = {0};
    rc = store_document_find(an->store, &a, job.document, &doc, &failed);
    if (!rc) rc = extract_and_write(an, &job, &doc, &l, ev, &a, &failed);

    if (has_thread) {
        pthread_mutex_lock(&l.lock);
        l.stop = true;
        pthread_cond_signal(&l.changed);
        pthread_mutex_unlock(&l.lock);
        pthread_join(thread, NULL);
    }
    pthread_mutex_destroy(&l.lock);
    pthread_cond_destroy(&l.changed);
    if (rc) {
        /* The file's fault, or ours: either way it is this job's end, said with code, message and place. */
        struct error ignored;
        rc = store_job_finish(an->store, job.id, &failed, &ignored);
        if (rc == ERR_NOT_FOUND || rc == ERR_CANCELLED) rc = 0; /* deleted or cancelled meanwhile */
        if (rc && e) *e = ignored;
    } else if ((rc = embed_missing(an, job.set, ev, NULL, NULL, e))) {
        if (rc == ERR_CANCELLED) rc = 0; /* the document is in; vectors follow at the next question */
    }
    arena_free(&a);
    return rc;
}
