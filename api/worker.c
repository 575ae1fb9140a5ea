/* worker.c: what goes on in the background. The first thread ingests, the second makes reports and readings.
 * Jobs live in the store and are leased, so a kill -9 loses nothing: the next owner of the directory takes them again.
 *
 * Order: documents before reports before readings (a reading of a set that still grows would be read twice). A reading
 * gives way when somebody asks about another set: the model does one thing at a time, and a person waits. */
#include "api/api.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LEASE_S 60.0
#define RENEW_S 0.25      /* progress goes to the database at most this often */
#define IDLE_S 5          /* looks for jobs at least this often */
#define DELETE_WAIT_S 30  /* for a reading to stop; it looks up about once a second */
#define REPORT_ATTEMPTS 3 /* where documents are deleted while it is made */
#define RETRY_S 30        /* after a failure that is not a job's (no model, disk full) */

struct worker_job {
    struct api *api;
    int64_t id, set;
    enum store_job_kind kind;
    double renewed;
    char stage[24];
    uint64_t done, total;
    bool cancelled; /* a person stopped it */
    bool yielded;   /* we did: a question waits, or the program ends */
};

/* Waits for work or the end; false when it is time to end. */
static bool worker_wait(struct api *api, int seconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&api->lock);
    if (!atomic_load(&api->stopping)) pthread_cond_timedwait(&api->wake, &api->lock, &until);
    pthread_mutex_unlock(&api->lock);
    return !atomic_load(&api->stopping);
}

/* Queued ingest jobs of all sets. */
static int ingest_waiting(struct api *api, size_t *waiting, struct error *e) {
    struct arena a = {0};
    struct store_job *jobs;
    size_t n = 0;
    *waiting = 0;
    int rc = store_jobs(api->store, &a, 0, &jobs, &n, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        *waiting += jobs[i].kind == STORE_JOB_INGEST && jobs[i].state == STORE_JOB_QUEUED;
    arena_free(&a);
    return rc;
}

/* A document is never broken off in the middle (its job would end as failed): only the vectors behind it are, which can
 * follow later. */
struct ingest_run {
    struct api *api;
    bool embedding;
};

static void ingest_stage(void *ctx, const char *stage, uint64_t done, uint64_t total) {
    (void)done;
    (void)total;
    ((struct ingest_run *)ctx)->embedding = strcmp(stage, "embed") == 0;
}

static bool ingest_stopped(void *ctx) {
    struct ingest_run *run = ctx;
    return run->embedding && atomic_load(&run->api->stopping);
}

static void *ingest_main(void *ctx) {
    struct api *api = ctx;
    do {
        struct error e = {0};
        struct analysis *an;
        bool worked = true;
        pthread_mutex_lock(&api->lock);
        api->ingesting = true;
        pthread_mutex_unlock(&api->lock);
        /* The model is opened for a job only: a directory without work is served at once. */
        size_t waiting;
        int rc = ingest_waiting(api, &waiting, &e);
        if (rc == 0 && waiting > 0) rc = api_analysis(api, &an, &e);
        struct ingest_run run = {.api = api};
        struct analysis_events ev = {.stage = ingest_stage, .cancelled = ingest_stopped, .ctx = &run};
        while (rc == 0 && waiting > 0 && worked && !atomic_load(&api->stopping)) {
            double start = clock_seconds();
            run.embedding = false;
            rc = analysis_ingest_next(an, &ev, &worked, &e);
            char ms[32];
            snprintf(ms, sizeof ms, "%.0f", (clock_seconds() - start) * 1e3);
            if (rc == 0 && worked) log_line(LOG_INFO, "ingest", "ms#", ms, NULL);
        }
        pthread_mutex_lock(&api->lock);
        api->ingesting = false;
        api->ingest_failure = rc != 0 ? e : (struct error){0};
        pthread_cond_broadcast(&api->wake);
        pthread_mutex_unlock(&api->lock);
        if (rc != 0 && rc != ERR_CANCELLED)
            log_line(LOG_ERROR, "ingest", "code", error_name(e.code), "message", e.message, "where", e.where, NULL);
        if (!worker_wait(api, rc != 0 ? RETRY_S : IDLE_S)) break;
    } while (true);
    return NULL;
}

/* ---- reports and readings ---- */
/* Writes progress and renews the lease, now and then; learns whether somebody cancelled. */
static void job_renew(struct worker_job *j) {
    double now = clock_seconds();
    if (now - j->renewed < RENEW_S) return;
    j->renewed = now;
    struct error e;
    if (store_job_progress(j->api->store, j->id, j->stage, (int64_t)j->done, (int64_t)j->total, LEASE_S, &e) ==
        ERR_CANCELLED)
        j->cancelled = true;
}

static void job_stage(void *ctx, const char *stage, uint64_t done, uint64_t total) {
    struct worker_job *j = ctx;
    snprintf(j->stage, sizeof j->stage, "%s", stage);
    j->done = done;
    j->total = total;
    if (j->kind == STORE_JOB_READ) {
        pthread_mutex_lock(&j->api->lock);
        j->api->reading_done = done;
        j->api->reading_total = total;
        pthread_mutex_unlock(&j->api->lock);
    }
    job_renew(j);
}

static bool job_cancelled(void *ctx) {
    struct worker_job *j = ctx;
    struct api *api = j->api;
    job_renew(j);
    if (atomic_load(&api->stopping)) j->yielded = true;
    if (j->kind == STORE_JOB_READ && atomic_load(&api->n_questions) > 0 && atomic_load(&api->question_set) != j->set)
        j->yielded = true;
    if (atomic_load(&api->deleting_set) == j->set) j->yielded = true;
    return j->cancelled || j->yielded;
}

static int job_run(struct worker_job *j, struct error *e) {
    struct api *api = j->api;
    struct analysis_events ev = {.stage = job_stage, .cancelled = job_cancelled, .ctx = j};
    struct analysis *an;
    int rc = api_analysis(api, &an, e);
    if (rc != 0) return rc;
    if (j->kind == STORE_JOB_READ) {
        struct analysis_coverage cov;
        pthread_mutex_lock(&api->lock);
        api->reading_set = j->set;
        api->reading_done = api->reading_total = 0;
        pthread_mutex_unlock(&api->lock);
        rc = analysis_read(an, j->set, &ev, &cov, e);
        pthread_mutex_lock(&api->lock);
        api->reading_set = 0;
        pthread_cond_broadcast(&api->wake);
        pthread_mutex_unlock(&api->lock);
        return rc;
    }
    const struct analysis_report_options kept = {.must_keep = true};
    rc = ERR_NOT_FOUND;
    for (int i = 0; rc == ERR_NOT_FOUND && i < REPORT_ATTEMPTS; i++) { /* a document was deleted: of what is left */
        struct arena a = {0};
        struct slice json;
        rc = analysis_contradictions(an, j->set, &kept, &ev, &a, &json, e);
        arena_free(&a);
    }
    return rc;
}

/* Ends a job in the store. One that we stopped ourselves waits in the queue again, under its number: whoever follows it
 * sees it end when it has. */
static void job_end(struct worker_job *j, int rc, const struct error *failed) {
    struct error e = {0};
    if (rc != 0 && j->yielded && !j->cancelled) {
        store_job_yield(j->api->store, j->id, &e);
    } else if (!(rc == ERR_CANCELLED && j->cancelled)) {
        store_job_finish(j->api->store, j->id, rc == 0 ? NULL : failed, &e);
    } else {
        struct error stop = {0};
        error_set(&stop, ERR_CANCELLED, "", "Somebody stopped this job.");
        store_job_finish(j->api->store, j->id, &stop, &e);
    }
}

/* Takes one job of the kind and runs it; false when there was none. */
static bool take_and_run(struct api *api, enum store_job_kind kind) {
    struct arena a = {0};
    struct store_job job;
    struct error e = {0};
    bool worked = false;
    if (store_job_take(api->store, &a, kind, LEASE_S, &job, &e) == 0) {
        struct worker_job j = {.api = api, .id = job.id, .set = job.set, .kind = kind};
        snprintf(j.stage, sizeof j.stage, kind == STORE_JOB_READ ? "read" : "rules");
        double start = clock_seconds();
        int rc = job_run(&j, &e);
        job_end(&j, rc, &e);
        char ms[32], id[32];
        snprintf(ms, sizeof ms, "%.0f", (clock_seconds() - start) * 1e3);
        snprintf(id, sizeof id, "%lld", (long long)job.id);
        log_line(rc != 0 && !j.yielded && !j.cancelled ? LOG_WARNING : LOG_INFO,
                 kind == STORE_JOB_READ ? "read" : "report", "job#", id, "ms#", ms, "result",
                 rc == 0 ? "ok" : error_name(e.code), NULL);
        worked = true;
    }
    arena_free(&a);
    return worked;
}

static bool busy_ingesting(struct api *api) {
    struct error e = {0};
    size_t waiting;
    if (ingest_waiting(api, &waiting, &e) == 0 && waiting > 0) return true;
    pthread_mutex_lock(&api->lock);
    bool busy = api->ingesting;
    pthread_mutex_unlock(&api->lock);
    return busy;
}

static void *reading_main(void *ctx) {
    struct api *api = ctx;
    do {
        while (!atomic_load(&api->stopping)) {
            /* each of them wakes us: when the queue is empty, when the delete is over */
            if (busy_ingesting(api) || atomic_load(&api->deleting_set) != 0) break;
            if (take_and_run(api, STORE_JOB_REPORT)) continue;
            if (atomic_load(&api->n_questions) > 0) break;
            if (!take_and_run(api, STORE_JOB_READ)) break;
        }
    } while (worker_wait(api, IDLE_S));
    return NULL;
}

int api_workers_start(struct api *api, struct error *e) {
    void *(*const mains[])(void *) = {ingest_main, reading_main};
    int want = api->options.background ? 2 : 1;
    while (api->n_workers < want) {
        if (pthread_create(&api->workers[api->n_workers], NULL, mains[api->n_workers], api) != 0)
            return error_set(e, ERR_NOMEM, "", "A thread could not be started.");
        api->n_workers++;
    }
    return 0;
}

void api_workers_wake(struct api *api) {
    pthread_mutex_lock(&api->lock);
    pthread_cond_broadcast(&api->wake);
    pthread_mutex_unlock(&api->lock);
}

void api_workers_stop(struct api *api) {
    atomic_store(&api->stopping, true);
    api_workers_wake(api);
    for (int i = 0; i < api->n_workers; i++) pthread_join(api->workers[i], NULL);
    api->n_workers = 0;
}

int api_workers_drain(struct api *api, struct error *e) {
    int rc = 0;
    for (bool idle = false; rc == 0 && !idle;) {
        size_t waiting;
        rc = ingest_waiting(api, &waiting, e);
        if (rc != 0) break;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 1;
        pthread_mutex_lock(&api->lock);
        idle = waiting == 0 && !api->ingesting;
        if (waiting > 0 && !api->ingesting && api->ingest_failure.code != 0) {
            *e = api->ingest_failure;
            rc = e->code;
        }
        if (rc == 0 && !idle) pthread_cond_timedwait(&api->wake, &api->lock, &until);
        pthread_mutex_unlock(&api->lock);
        if (atomic_load(&api->stopping)) break;
    }
    return rc;
}

void api_delete_begin(struct api *api, int64_t set) {
    double until = clock_seconds() + DELETE_WAIT_S;
    pthread_mutex_lock(&api->render); /* no page of it is being drawn; and one delete at a time */
    atomic_store(&api->deleting_set, set);
    pthread_mutex_lock(&api->lock);
    while (api->reading_set == set && clock_seconds() < until) {
        struct timespec at;
        clock_gettime(CLOCK_MONOTONIC, &at);
        at.tv_sec += 1;
        pthread_cond_timedwait(&api->wake, &api->lock, &at);
    }
    pthread_mutex_unlock(&api->lock);
}

void api_delete_end(struct api *api, int64_t set, bool set_stays) {
    struct error ignored;
    int64_t job;
    atomic_store(&api->deleting_set, 0);
    pthread_mutex_unlock(&api->render);
    if (set_stays) store_job_add(api->store, STORE_JOB_READ, set, &job, &ignored);
    api_workers_wake(api);
}
