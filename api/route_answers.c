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

int api_kept_json(struct slice text, const char *what, json_t **out, struct error *e) {
    *out = json_loadb(text.data, text.len, 0, NULL);
    if (json_is_object(*out)) return 0;
    json_decref(*out);
    *out = NULL;
    return error_set(e, ERR_FORMAT, "", "The kept %s cannot be read.", what);
}

/* The report with what people decided about its findings. */
static int reviewed(struct api *api, int64_t set, struct slice report, struct buf *out, struct error *e) {
    json_t *o = NULL;
    int rc = api_kept_json(report, "report", &o, e);
    if (rc == 0) rc = api_report_reviews(api, set, o, e);
    char *text = rc == 0 ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    if (text != NULL) buf_puts(out, text);
    if (rc == 0 && (text == NULL || out->failed)) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    free(text);
    json_decref(o);
    return rc;
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
    if (rc == 0 && w->question == NULL) rc = reviewed(api, w->set, out, json, e);
    if (rc == 0 && w->question != NULL) {
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

/* ---- answers given before ---- */
/* Newest first, in pages: ?after=ID goes on behind that one. */
int route_answers(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                  struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_answer *answers;
    int64_t limit, after;
    size_t n;
    bool more;
    int rc = api_query_number(a->query, "limit", API_MAX_LISTED, 20, &limit, e);
    if (rc == 0) rc = api_query_number(a->query, "after", INT64_MAX, 0, &after, e);
    if (rc == 0 && limit == 0) rc = error_set(e, ERR_ARG, "limit", "A page of the list has at least one item.");
    if (rc == 0) rc = store_answers(api->store, &arena, a->id[0], after, (size_t)limit, &answers, &n, &more, e);
    if (rc == 0) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++) {
            json_t *o =
                json_pack("{s:I, s:s%, s:I}", "id", (json_int_t)answers[i].id, "question", answers[i].question.data,
                          answers[i].question.len, "asked_at", (json_int_t)answers[i].asked_at);
            json_t *kept = json_loadb(answers[i].json.data, answers[i].json.len, 0, NULL);
            static const char *const shown[] = {"status", "answer"};
            for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
                if (json_is_string(json_object_get(kept, shown[k])))
                    json_object_set(o, shown[k], json_object_get(kept, shown[k]));
            json_decref(kept);
            json_array_append_new(list, o);
        }
        api_respond(r, 200, json_pack("{s:o, s:b}", "questions", list, "has_more", (int)more));
    }
    arena_free(&arena);
    return rc;
}

/* Documents the answer rests on that a newer one of the same name has replaced since. */
static int replaced_since(struct api *api, struct arena *arena, int64_t set, const json_t *answer, json_t **out,
                          struct error *e) {
    static const char *const lists[] = {"citations", "nearest"};
    struct store_document *docs;
    size_t n;
    int rc = store_documents(api->store, arena, set, &docs, &n, e);
    if (rc != 0) return rc;
    *out = json_array();
    for (size_t i = 0; i < n; i++) {
        bool cited = false;
        for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
            const json_t *list = json_object_get(answer, lists[k]);
            for (size_t m = 0; m < json_array_size(list) && !cited; m++)
                cited = json_integer_value(json_object_get(json_array_get(list, m), "document_id")) == docs[i].id;
        }
        if (cited && docs[i].replaced_by != 0)
            json_array_append_new(*out, json_stringn(docs[i].name.data, docs[i].name.len));
    }
    return 0;
}

int route_answer(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                 struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_answer kept;
    json_t *o = NULL, *replaced = NULL;
    int rc = store_answer_find(api->store, &arena, a->id[0], &kept, e);
    if (rc == 0) rc = api_kept_json(kept.json, "answer", &o, e);
    if (rc == 0) rc = replaced_since(api, &arena, kept.set, o, &replaced, e);
    if (rc == 0) {
        json_object_set_new(o, "id", json_integer((json_int_t)kept.id));
        json_object_set_new(o, "set", json_integer((json_int_t)kept.set));
        json_object_set_new(o, "question", json_stringn(kept.question.data, kept.question.len));
        json_object_set_new(o, "asked_at", json_integer((json_int_t)kept.asked_at));
        json_object_set_new(o, "replaced", replaced);
        api_respond(r, 200, o);
    } else {
        json_decref(o);
    }
    arena_free(&arena);
    return rc;
}

/* ---- reports ---- */
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
    struct store_answer latest;
    int rc = set_exists(api, a->id[0], e);
    if (rc != 0) return rc;
    rc = store_report_latest(api->store, &arena, a->id[0], &latest, e);
    if (rc == ERR_NOT_FOUND) { /* none yet is no error */
        api_respond(r, 200, json_pack("{s:i, s:n}", "id", 0, "report"));
        arena_free(&arena);
        return 0;
    }
    json_t *o = NULL;
    if (rc == 0) rc = api_kept_json(latest.json, "report", &o, e);
    if (rc == 0) rc = api_report_reviews(api, a->id[0], o, e);
    if (rc == 0)
        api_respond(r, 200, json_pack("{s:I, s:o}", "id", (json_int_t)latest.id, "report", o));
    else
        json_decref(o);
    arena_free(&arena);
    return rc;
}

int route_report_html(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                      struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_answer report, latest;
    struct slice html;
    struct buf whole = {0};
    int rc = store_report_find(api->store, &arena, a->id[0], &report, e);
    if (rc == 0) rc = store_report_latest(api->store, &arena, report.set, &latest, e);
    if (rc == ERR_NOT_FOUND || (rc == 0 && latest.id != report.id))
        rc = error_set(e, ERR_NOT_FOUND, "", "There is no report %lld, or a newer one has taken its place.",
                       (long long)a->id[0]);
    if (rc == 0) rc = reviewed(api, report.set, report.json, &whole, e);
    if (rc == 0) rc = analysis_report_html(buf_slice(&whole), &arena, &html, e);
    if (rc == 0) {
        r->status = 200;
        r->content_type = "text/html; charset=utf-8";
        r->csp = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors "
                 "'none'";
        buf_append(&r->body, html.data, html.len);
        if (r->body.failed) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    }
    buf_free(&whole);
    arena_free(&arena);
    return rc;
}
