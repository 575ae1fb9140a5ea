/* route_jobs.c: background jobs: list, look, follow, cancel. A job's events are snapshots of its row: a client that
 * comes late, was slow or comes back (Last-Event-ID) misses nothing that still matters, and no queue grows for it. */
#include "api/api.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS 200 /* how often a followed job's row is read */

static const char *kind_name(enum store_job_kind k) {
    static const char *const names[] = {"ingest", "read", "report"};
    return (unsigned)k < 3 ? names[k] : "unknown";
}

static const char *state_name(enum store_job_state s) {
    static const char *const names[] = {"queued", "running", "done", "failed", "cancelled"};
    return (unsigned)s < 5 ? names[s] : "unknown";
}

json_t *api_job_json(const struct store_job *j) {
    json_t *o =
        json_pack("{s:I, s:s, s:s, s:I, s:s%, s:I, s:I, s:I, s:I, s:I, s:I}", "id", (json_int_t)j->id, "kind",
                  kind_name(j->kind), "state", state_name(j->state), "set", (json_int_t)j->set, "stage",
                  j->stage.data != NULL ? j->stage.data : "", j->stage.len, "done", (json_int_t)j->done, "total",
                  (json_int_t)j->total, "attempts", (json_int_t)j->attempts, "created_at", (json_int_t)j->created_at,
                  "started_at", (json_int_t)j->started_at, "finished_at", (json_int_t)j->finished_at);
    if (o != NULL && j->document != 0) json_object_set_new(o, "document", json_integer((json_int_t)j->document));
    if (o != NULL && j->error_code.len > 0)
        json_object_set_new(o, "error",
                            json_pack("{s:s%, s:s%, s:s%}", "code", j->error_code.data, j->error_code.len, "message",
                                      j->error_message.data != NULL ? j->error_message.data : "", j->error_message.len,
                                      "where", j->error_where.data != NULL ? j->error_where.data : "",
                                      j->error_where.len));
    return o;
}

static bool ended(const struct store_job *j) {
    return j->state == STORE_JOB_DONE || j->state == STORE_JOB_FAILED || j->state == STORE_JOB_CANCELLED;
}

int route_jobs(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
               struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_job *jobs;
    size_t n;
    int rc = store_jobs(api->store, &arena, a->id[0], &jobs, &n, e);
    if (rc == 0) {
        json_t *list = json_array();
        for (size_t i = 0; i < n && i < 1000; i++) json_array_append_new(list, api_job_json(&jobs[i]));
        api_respond(r, 200, json_pack("{s:o}", "jobs", list));
    }
    arena_free(&arena);
    return rc;
}

int route_job(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
              struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_job job;
    int rc = store_job_find(api->store, &arena, a->id[0], &job, e);
    if (rc == 0) api_respond(r, 200, api_job_json(&job));
    arena_free(&arena);
    return rc;
}

int route_job_cancel(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                     struct error *e) {
    int rc = store_job_cancel(api->store, a->id[0], e);
    return rc != 0 ? rc : route_job(api, q, a, r, e);
}

/* ---- following ---- */
struct follow {
    struct api_work work;
    struct api *api;
    int64_t job;
};

static int follow_run(struct api_work *w, const struct api_sink *sink, struct buf *json, struct error *e) {
    struct follow *f = (struct follow *)w;
    struct buf last = {0};
    int rc = 0;
    for (bool end = false; rc == 0 && !end;) {
        struct arena a = {0};
        struct store_job job;
        rc = store_job_find(f->api->store, &a, f->job, &job, e);
        json_t *o = rc == 0 ? api_job_json(&job) : NULL;
        char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
        if (rc == 0 && text == NULL) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
        if (rc == 0) {
            end = ended(&job);
            if (last.data == NULL || strcmp(last.data, text) != 0) {
                last.len = 0;
                buf_puts(&last, text);
                if (sink != NULL && !end && !sink->event(sink->ctx, "job", slice_of(text))) end = true;
            }
            if (job.state <= STORE_JOB_RUNNING && !f->api->options.background) {
                /* Nobody else would say why the queue stands still; a job whose end could not be written (disk full) is
                 * still "running", though nobody runs it. */
                pthread_mutex_lock(&f->api->lock);
                if (!f->api->ingesting && f->api->ingest_failure.code != 0) {
                    *e = f->api->ingest_failure;
                    rc = e->code;
                }
                pthread_mutex_unlock(&f->api->lock);
            }
        }
        free(text);
        json_decref(o);
        arena_free(&a);
        if (rc == 0 && !end) {
            if (atomic_load(&f->api->stopping) || (sink != NULL && sink->cancelled(sink->ctx)))
                rc = error_set(e, ERR_CANCELLED, "",
                               "Nobody follows this job any more; it goes on when the program runs again.");
            else
                nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
        }
    }
    if (rc == 0) buf_append(json, last.data, last.len);
    if (rc == 0 && (last.failed || json->failed)) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    buf_free(&last);
    return rc;
}

static void follow_free(struct api_work *w) {
    free(w);
}

int route_job_events(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                     struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_job job;
    int rc = store_job_find(api->store, &arena, a->id[0], &job, e);
    arena_free(&arena);
    if (rc != 0) return rc;
    struct follow *f = calloc(1, sizeof *f);
    if (f == NULL) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    f->work = (struct api_work){follow_run, follow_free};
    f->api = api;
    f->job = a->id[0];
    r->status = 200;
    r->work = &f->work;
    return 0;
}
