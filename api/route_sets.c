/* route_sets.c: sets, readiness. */
#include "api/api.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

static json_t *set_json(const struct store_set *s) {
    return json_pack("{s:I, s:s%, s:I, s:I, s:I}", "id", (json_int_t)s->id, "name", s->name.data, s->name.len,
                     "documents", (json_int_t)s->n_documents, "tokens", (json_int_t)s->n_tokens, "created_at",
                     (json_int_t)s->created_at);
}

int route_sets(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
               struct error *e) {
    (void)q;
    char name[API_MAX_SET_NAME + 1];
    bool bad, only = api_query(a->query, "name", name, sizeof name, &bad);
    if (bad) return error_set(e, ERR_ARG, "name", "No set can have such a name.");
    struct arena arena = {0};
    struct store_set *sets;
    size_t n;
    int rc = store_sets(api->store, &arena, &sets, &n, e);
    if (rc == 0) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++)
            if (!only || slice_equal(sets[i].name, slice_of(name))) json_array_append_new(list, set_json(&sets[i]));
        api_respond(r, 200, json_pack("{s:o}", "sets", list));
    }
    arena_free(&arena);
    return rc;
}

static int set_find(struct api *api, int64_t id, struct arena *arena, struct store_set *out, struct error *e) {
    struct store_set *sets;
    size_t n;
    int rc = store_sets(api->store, arena, &sets, &n, e);
    if (rc != 0) return rc;
    for (size_t i = 0; i < n; i++) {
        if (sets[i].id != id) continue;
        *out = sets[i];
        return 0;
    }
    return error_set(e, ERR_NOT_FOUND, "", "There is no set %lld.", (long long)id);
}

int route_set(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
              struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_set s;
    int rc = set_find(api, a->id[0], &arena, &s, e);
    if (rc == 0) api_respond(r, 200, set_json(&s));
    arena_free(&arena);
    return rc;
}

int route_set_create(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                     struct error *e) {
    (void)a;
    json_t *body;
    struct arena arena = {0};
    int rc = api_json_body(q->body, &body, e);
    if (rc != 0) return rc;
    json_t *jname = json_object_get(body, "name");
    int64_t id, before;
    struct store_set s;
    struct slice name = {json_string_value(jname), json_string_length(jname)};
    struct error ignored;
    if (!json_is_string(jname))
        rc = error_set(e, ERR_ARG, "name", "A set needs a name: {\"name\": \"...\"}.");
    else
        rc = api_name_check(&name, API_MAX_SET_NAME, "set", e);
    bool existed = rc == 0 && store_set_find(api->store, name, &before, &ignored) == 0;
    if (rc == 0) rc = store_set_create(api->store, name, &id, e);
    if (rc == 0) rc = set_find(api, id, &arena, &s, e);
    if (rc == 0) api_respond(r, existed ? 200 : 201, set_json(&s));
    json_decref(body);
    arena_free(&arena);
    return rc;
}

int route_set_delete(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                     struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_set s;
    int rc = set_find(api, a->id[0], &arena, &s, e);
    if (rc == 0) {
        api_delete_begin(api, a->id[0]);
        rc = store_set_delete(api->store, a->id[0], e);
        api_delete_end(api, a->id[0], rc != 0);
    }
    if (rc == 0)
        api_respond(r, 200,
                    json_pack("{s:I, s:s%, s:I}", "deleted_set", (json_int_t)s.id, "name", s.name.data, s.name.len,
                              "documents", (json_int_t)s.n_documents));
    arena_free(&arena);
    return rc;
}

/* Ready: the database answers, the model (when one is wanted) is loaded, the disk has room for an upload. */
int route_ready(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                struct error *e) {
    (void)q;
    (void)a;
    (void)e;
    struct arena arena = {0};
    struct store_set *sets;
    size_t n;
    struct error se;
    bool database = store_sets(api->store, &arena, &sets, &n, &se) == 0;
    arena_free(&arena);
    struct statvfs vfs;
    bool disk = statvfs(store_dir(api->store), &vfs) == 0 && (uint64_t)vfs.f_bavail * vfs.f_frsize > (64ull << 20);
    const char *model = "none";
    if (!api->options.no_model) {
        pthread_mutex_lock(&api->lock);
        model = api->model != NULL ? "ok" : atomic_load(&api->model_failed) ? "failed" : "not_loaded";
        pthread_mutex_unlock(&api->lock);
    }
    bool ready = database && disk && strcmp(model, "failed") != 0;
    api_respond(r, ready ? 200 : 503,
                json_pack("{s:b, s:{s:s, s:s, s:s}}", "ready", ready, "checks", "database", database ? "ok" : "failed",
                          "disk", disk ? "ok" : "full", "model", model));
    return 0;
}
