/* route_answers.c: questions and contradiction reports. Each is a piece of work that streams its events when the client
 * asks for a stream (Accept: text/event-stream): "stage" {stage, done, total}, "citation", "answer", "finding" as
 * analysis verifies them, then "done" with the whole result, or "error" with a problem. Without a stream the result is
 * the body. A report is also to be had as a background job. */
#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct inquiry {
    struct api_work work;
    struct api *api;
    int64_t set;
    char *question; /* NULL: a report */
    size_t question_len;
    struct analysis_ask_options ask;
    struct analysis_report_options report;
    const struct api_sink *sink;
    bool gone; /* nobody listens */
};

static void inquiry_stage(void *ctx, const char *stage, uint64_t done, uint64_t total) {
    struct inquiry *w = ctx;
    char text[120];
    if (w->sink == NULL) return;
    int n = snprintf(text, sizeof text, "{\"stage\":\"%s\",\"done\":%llu,\"total\":%llu}", stage,
                     (unsigned long long)done, (unsigned long long)total);
    if (n > 0 && (size_t)n < sizeof text && !w->sink->event(w->sink->ctx, "stage", slice_of(text))) w->gone = true;
}

static void inquiry_part(void *ctx, const char *name, struct slice json) {
    struct inquiry *w = ctx;
    if (w->sink != NULL && !w->sink->event(w->sink->ctx, name, json)) w->gone = true;
}

static bool inquiry_cancelled(void *ctx) {
    struct inquiry *w = ctx;
    return w->gone || atomic_load(&w->api->stopping) || (w->sink != NULL && w->sink->cancelled(w->sink->ctx));
}

/* The set may be being read in the background at this moment; then wait for that and say how far it is, instead of
 * queueing in silence. */
static int wait_for_reading(struct inquiry *w, struct error *e) {
    struct api *api = w->api;
    uint64_t shown = UINT64_MAX;
    pthread_mutex_lock(&api->lock);
    while (api->reading_set == w->set) {
        uint64_t done = api->reading_done, total = api->reading_total;
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 250000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_unlock(&api->lock);
        if (done != shown) inquiry_stage(w, "read", done, total);
        shown = done;
        if (inquiry_cancelled(w)) return error_set(e, ERR_CANCELLED, "", "The question was withdrawn.");
        pthread_mutex_lock(&api->lock);
        if (api->reading_set == w->set) pthread_cond_timedwait(&api->wake, &api->lock, &until);
    }
    pthread_mutex_unlock(&api->lock);
    return 0;
}

static int inquiry_run(struct api_work *work, const struct api_sink *sink, struct buf *json, struct error *e) {
    struct inquiry *w = (struct inquiry *)work;
    struct api *api = w->api;
    struct arena arena = {0};
    struct slice out = {0};
    struct analysis *an;
    struct analysis_events ev = {
        .stage = inquiry_stage, .part = inquiry_part, .cancelled = inquiry_cancelled, .ctx = w};
    w->sink = sink;
    atomic_store(&api->question_set, w->set);
    atomic_fetch_add(&api->n_questions, 1);
    int rc = api_analysis(api, &an, e);
    if (rc == 0 && api->options.background) rc = wait_for_reading(w, e);
    if (rc == 0 && w->question != NULL)
        rc = analysis_ask(an, w->set, (struct slice){w->question, w->question_len}, &w->ask, &ev, &arena, &out, e);
    else if (rc == 0)
        rc = analysis_contradictions(an, w->set, &w->report, &ev, &arena, &out, e);
    atomic_fetch_sub(&api->n_questions, 1);
    api_workers_wake(api); /* readings that gave way go on */
    if (rc == 0) {
        buf_append(json, out.data, out.len);
        if (json->failed) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    }
    arena_free(&arena);
    return rc;
}

static void inquiry_free(struct api_work *work) {
    struct inquiry *w = (struct inquiry *)work;
    free(w->question);
    free(w);
}

static int set_exists(struct api *api, int64_t id, struct error *e) {
    struct arena arena = {0};
    struct store_set *sets;
    size_t n;
    int rc = store_sets(api->store, &arena, &sets, &n, e);
    bool found = false;
    for (size_t i = 0; rc == 0 && i < n; i++) found = found || sets[i].id == id;
    arena_free(&arena);
    if (rc == 0 && !found) rc = error_set(e, ERR_NOT_FOUND, "", "There is no set %lld.", (long long)id);
    return rc;
}

static struct inquiry *inquiry_new(struct api *api, int64_t set) {
    struct inquiry *w = calloc(1, sizeof *w);
    if (w == NULL) return NULL;
    w->work = (struct api_work){inquiry_run, inquiry_free};
    w->api = api;
    w->set = set;
    return w;
}

int route_question(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                   struct error *e) {
    json_t *body = NULL;
    struct inquiry *w = NULL;
    int rc = set_exists(api, a->id[0], e);
    if (rc == 0) rc = api_json_body(q->body, &body, e);
    if (rc != 0) goto done;
    json_t *jq = json_object_get(body, "question");
    struct slice question = {json_string_value(jq), json_string_length(jq)};
    if (json_is_string(jq)) question = slice_trim(question);
    if (!json_is_string(jq) || question.len == 0)
        rc = error_set(e, ERR_ARG, "question", "There is no question: {\"question\": \"...\"}.");
    else if (question.len > API_MAX_QUESTION)
        rc = error_set(e, ERR_LIMIT, "question", "A question may have at most %d bytes.", API_MAX_QUESTION);
    if (rc != 0) goto done;
    w = inquiry_new(api, a->id[0]);
    if (w != NULL) w->question = strndup(question.data, question.len);
    if (w == NULL || w->question == NULL) {
        if (w != NULL) inquiry_free(&w->work);
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
        goto done;
    }
    w->question_len = question.len;
    w->ask.without_model = json_is_true(json_object_get(body, "without_model"));
    r->status = 200;
    r->work = &w->work;
done:
    json_decref(body);
    return rc;
}

/* Streamed (the client waits and sees), or queued as a job. A job has no options: those belong to somebody who waits.
 */
int route_report_create(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                        struct error *e) {
    json_t *body = NULL;
    int rc = set_exists(api, a->id[0], e);
    if (rc == 0 && q->body.len > 0) rc = api_json_body(q->body, &body, e);
    if (rc == 0 && q->wants_events) {
        struct inquiry *w = inquiry_new(api, a->id[0]);
        if (w == NULL) {
            rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
        } else {
            w->report.without_model = json_is_true(json_object_get(body, "without_model"));
            w->report.possible = json_is_true(json_object_get(body, "possible"));
            r->status = 200;
            r->work = &w->work;
        }
    } else if (rc == 0) {
        int64_t job;
        rc = store_job_add(api->store, STORE_JOB_REPORT, a->id[0], &job, e);
        if (rc == 0) {
            api_workers_wake(api);
            snprintf(r->location, sizeof r->location, "/api/v1/jobs/%lld", (long long)job);
            api_respond(r, 202, json_pack("{s:I}", "job", (json_int_t)job));
        }
    }
    json_decref(body);
    return rc;
}

int route_report(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                 struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct slice json;
    int64_t id;
    int rc = set_exists(api, a->id[0], e);
    if (rc != 0) return rc;
    rc = store_report_latest(api->store, &arena, a->id[0], &id, &json, e);
    if (rc == ERR_NOT_FOUND) { /* none yet is no error */
        api_respond(r, 200, json_pack("{s:i, s:n}", "id", 0, "report"));
        arena_free(&arena);
        return 0;
    }
    json_t *o = rc == 0 ? json_loadb(json.data, json.len, 0, NULL) : NULL;
    if (rc == 0 && o == NULL) rc = error_set(e, ERR_FORMAT, "", "The kept report cannot be read; make a new one.");
    if (rc == 0) api_respond(r, 200, json_pack("{s:I, s:o}", "id", (json_int_t)id, "report", o));
    arena_free(&arena);
    return rc;
}

int route_report_html(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                      struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_set *sets;
    size_t n;
    int rc = store_sets(api->store, &arena, &sets, &n, e);
    struct slice json = {0}, html;
    for (size_t i = 0; rc == 0 && i < n && json.data == NULL; i++) {
        int64_t id = 0;
        struct slice found;
        struct error none;
        if (store_report_latest(api->store, &arena, sets[i].id, &id, &found, &none) == 0 && id == a->id[0])
            json = found;
    }
    if (rc == 0 && json.data == NULL)
        rc = error_set(e, ERR_NOT_FOUND, "", "There is no report %lld, or a newer one has taken its place.",
                       (long long)a->id[0]);
    if (rc == 0) rc = analysis_report_html(json, &arena, &html, e);
    if (rc == 0) {
        r->status = 200;
        r->content_type = "text/html; charset=utf-8";
        r->csp = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors "
                 "'none'";
        buf_append(&r->body, html.data, html.len);
        if (r->body.failed) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    }
    arena_free(&arena);
    return rc;
}
