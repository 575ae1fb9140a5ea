/* route_findings.c: findings and their reviews. Owns the anchor by which a verdict finds its finding again in a later
 * report: a hash of the class and, for each side, of the document's name, the section, the quote and its marked words,
 * all without white space and whichever side comes first. It holds over another order of documents, a new version of a
 * file with the same statement, and a newer program that reads the same words; a changed statement is a new finding. */
#include "api/api.h"

#include <string.h>

static const char *const state_names[STORE_REVIEW_STATES] = {"new", "confirmed", "dismissed", "resolved",
                                                             "needs_review"};

/* ---- anchors ---- */
static void hash_text(struct sha256 *h, struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (strchr(" \n\t\r\f", s.data[i]) == NULL || s.data[i] == '\0') sha256_update(h, &s.data[i], 1);
    sha256_update(h, "", 1);
}

static struct slice text_at(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? (struct slice){json_string_value(v), json_string_length(v)} : (struct slice){"", 0};
}

static void side_digest(const json_t *side, uint8_t out[32]) {
    struct sha256 h;
    struct slice quote = text_at(side, "quote");
    /* marks are in the document's characters; the quote ends where the statement does */
    int64_t first = json_integer_value(json_object_get(side, "end")) - (int64_t)utf8_count(quote.data, quote.len);
    const json_t *mark;
    size_t i;
    sha256_init(&h);
    hash_text(&h, text_at(side, "document"));
    hash_text(&h, text_at(side, "section"));
    hash_text(&h, quote);
    json_array_foreach(json_object_get(side, "marks"), i, mark) {
        size_t from = utf8_offset(quote.data, quote.len, json_integer_value(json_object_get(mark, "start")) - first);
        size_t to = utf8_offset(quote.data, quote.len, json_integer_value(json_object_get(mark, "end")) - first);
        if (from < to) hash_text(&h, (struct slice){quote.data + from, to - from});
    }
    sha256_final(&h, out);
}

static void finding_key(const json_t *finding, struct store_finding_key *k) {
    static const char *const sides[STORE_FINDING_SIDES] = {"a", "b", "by"};
    uint8_t a[32], b[32];
    struct sha256 h;
    side_digest(json_object_get(finding, "a"), a);
    side_digest(json_object_get(finding, "b"), b);
    bool swap = memcmp(a, b, sizeof a) > 0;
    sha256_init(&h);
    hash_text(&h, text_at(finding, "class"));
    sha256_update(&h, swap ? b : a, sizeof a);
    sha256_update(&h, swap ? a : b, sizeof a);
    sha256_final(&h, k->anchor);
    for (int i = 0; i < STORE_FINDING_SIDES; i++)
        k->documents[i] = json_integer_value(json_object_get(json_object_get(finding, sides[i]), "document_id"));
    /* a side is what stands there, not where the report put it */
    if (swap) {
        int64_t first = k->documents[0];
        k->documents[0] = k->documents[1];
        k->documents[1] = first;
    }
}

static json_t *review_json(const struct store_review *r) {
    unsigned state = (unsigned)r->state < STORE_REVIEW_STATES ? (unsigned)r->state : 0;
    return json_pack("{s:s, s:s%, s:s%, s:I}", "state", state_names[state], "reason", r->reason.data, r->reason.len,
                     "note", r->note.data, r->note.len, "reviewed_at", (json_int_t)r->at);
}

static json_t *finding_review_json(const struct store_finding *f) {
    json_t *o = review_json(&f->review);
    if (o != NULL) json_object_set_new(o, "revision", json_integer((json_int_t)f->revision));
    return o;
}

/* One key for each of the report's findings, in their order. */
static int report_keys(const json_t *report, struct arena *arena, struct store_finding_key **out, struct error *e) {
    const json_t *list = json_object_get(report, "findings"), *one;
    size_t i;
    *out = arena_array(arena, json_array_size(list) + 1, sizeof **out);
    if (*out == NULL) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    json_array_foreach(list, i, one) finding_key(one, &(*out)[i]);
    return 0;
}

static int put_reviews(struct api *api, int64_t set, json_t *report, const struct store_finding_key *keys,
                       struct arena *arena, struct error *e) {
    json_t *list = json_object_get(report, "findings"), *one;
    size_t i, n = json_array_size(list);
    struct store_finding *found = arena_array(arena, n + 1, sizeof *found);
    if (found == NULL) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    int rc = store_findings(api->store, arena, set, keys, n, found, e);
    if (rc != 0 && rc != ERR_IO) return rc; /* a full disk hides no report; new ones are reviewed when there is room */
    json_array_foreach(list, i, one) {
        if (found[i].id == 0) continue;
        json_object_set_new(one, "id", json_integer((json_int_t)found[i].id));
        json_object_set_new(one, "review", finding_review_json(&found[i]));
    }
    return 0;
}

int api_report_reviews(struct api *api, int64_t set, json_t *report, struct error *e) {
    struct arena arena = {0};
    struct store_finding_key *keys;
    int rc = report_keys(report, &arena, &keys, e);
    if (rc == 0) rc = put_reviews(api, set, report, keys, &arena, e);
    arena_free(&arena);
    return rc;
}

/* ---- one finding ---- */
int route_finding(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                  struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_finding f;
    struct store_review *history;
    size_t n;
    int rc = store_finding_find(api->store, &arena, a->id[0], &f, &history, &n, e);
    if (rc == 0) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++) json_array_append_new(list, review_json(&history[i]));
        api_respond(r, 200,
                    json_pack("{s:I, s:I, s:o, s:o}", "id", (json_int_t)f.id, "set", (json_int_t)f.set, "review",
                              finding_review_json(&f), "history", list));
    }
    arena_free(&arena);
    return rc;
}

static int words(const json_t *body, const char *key, struct slice *out, struct error *e) {
    const json_t *v = json_object_get(body, key);
    if (v == NULL) return 0;
    if (!json_is_string(v)) return error_set(e, ERR_ARG, key, "This must be text.");
    *out = slice_trim(text_at(body, key));
    return out->len <= API_MAX_REVIEW ? 0
                                      : error_set(e, ERR_LIMIT, key, "This may have at most %d bytes.", API_MAX_REVIEW);
}

/* What is not given stays: {"state", "reason", "note", "revision"}. A reason belongs to a dismissal alone. */
int route_finding_review(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                         struct error *e) {
    struct arena arena = {0};
    struct store_finding f;
    struct store_review *history;
    json_t *body = NULL;
    size_t n;
    int rc = api_json_body(q->body, &body, e);
    if (rc == 0) rc = store_finding_find(api->store, &arena, a->id[0], &f, &history, &n, e);
    if (rc != 0) goto done;
    const json_t *state = json_object_get(body, "state"), *revision = json_object_get(body, "revision");
    struct store_review next = f.review;
    if (state != NULL) {
        int found = -1;
        for (int i = 0; i < STORE_REVIEW_STATES; i++)
            if (json_is_string(state) && strcmp(json_string_value(state), state_names[i]) == 0) found = i;
        if (found < 0)
            rc = error_set(e, ERR_ARG, "state",
                           "The state must be new, confirmed, dismissed, resolved or needs_review.");
        else
            next.state = (enum store_review_state)found;
    }
    if (rc == 0) rc = words(body, "reason", &next.reason, e);
    if (rc == 0) rc = words(body, "note", &next.note, e);
    if (rc == 0 && next.state != STORE_REVIEW_DISMISSED) next.reason = (struct slice){"", 0};
    if (rc == 0 && next.state == STORE_REVIEW_DISMISSED && next.reason.len == 0)
        rc = error_set(e, ERR_ARG, "reason", "A finding is dismissed with a reason.");
    if (rc == 0 && revision != NULL && !json_is_integer(revision))
        rc = error_set(e, ERR_ARG, "revision", "This must be the number that came with the finding.");
    if (rc == 0)
        rc = store_finding_review(api->store, f.id, &next, revision ? json_integer_value(revision) : f.revision, e);
    if (rc == 0) rc = route_finding(api, q, a, r, e);
done:
    json_decref(body);
    arena_free(&arena);
    return rc;
}

/* ---- what changed from one report to another ---- */
struct keyed_report {
    json_t *json;
    struct store_finding_key *keys; /* [n findings] */
};

/* With what people decided about its findings. */
static int report_load(struct api *api, const struct store_answer *kept, struct arena *arena, struct keyed_report *out,
                       struct error *e) {
    int rc = api_kept_json(kept->json, "report", &out->json, e);
    if (rc == 0) rc = report_keys(out->json, arena, &out->keys, e);
    if (rc == 0) rc = put_reviews(api, kept->set, out->json, out->keys, arena, e);
    return rc;
}

static size_t n_findings(const struct keyed_report *r) {
    return json_array_size(json_object_get(r->json, "findings"));
}

/* The findings of one report that the other has not. */
static json_t *only_in(const struct keyed_report *report, const struct keyed_report *other) {
    json_t *list = json_array(), *one;
    size_t i;
    json_array_foreach(json_object_get(report->json, "findings"), i, one) {
        bool both = false;
        for (size_t k = 0; k < n_findings(other) && !both; k++)
            both = memcmp(report->keys[i].anchor, other->keys[k].anchor, sizeof other->keys[k].anchor) == 0;
        if (!both) json_array_append(list, one);
    }
    return list;
}

/* Names of the documents that one report read and the other did not, by their bytes. */
static json_t *read_only_in(const json_t *report, const json_t *other) {
    const json_t *mine = json_object_get(json_object_get(report, "coverage"), "read"),
                 *theirs = json_object_get(json_object_get(other, "coverage"), "read");
    json_t *list = json_array(), *one, *two;
    size_t i, k;
    json_array_foreach(mine, i, one) {
        bool both = false;
        json_array_foreach(theirs, k, two) both =
            both || json_equal(json_object_get(one, "sha256"), json_object_get(two, "sha256"));
        if (!both) json_array_append(list, json_object_get(one, "document"));
    }
    return list;
}

static bool same_program(const json_t *x, const json_t *y) {
    static const char *const keys[] = {"model", "rules_version"};
    x = json_object_get(x, "coverage");
    y = json_object_get(y, "coverage");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!json_equal(json_object_get(x, keys[i]), json_object_get(y, keys[i]))) return false;
    return true;
}

/* Against ?base=ID, or the report made before. */
int route_report_diff(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                      struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_answer report, base;
    struct keyed_report now = {0}, then = {0};
    int64_t base_id;
    int rc = api_query_number(a->query, "base", INT64_MAX, 0, &base_id, e);
    if (rc == 0) rc = store_report_find(api->store, &arena, a->id[0], &report, e);
    if (rc == 0 && base_id != 0) rc = store_report_find(api->store, &arena, base_id, &base, e);
    if (rc == 0 && base_id == 0) {
        rc = store_report_before(api->store, &arena, report.id, &base, e);
        if (rc == ERR_NOT_FOUND) { /* the first one is no error */
            api_respond(r, 200, json_pack("{s:I, s:i}", "report", (json_int_t)report.id, "base", 0));
            arena_free(&arena);
            return 0;
        }
    }
    if (rc == 0 && base.set != report.set) rc = error_set(e, ERR_ARG, "base", "That report is of another set.");
    if (rc == 0) rc = report_load(api, &report, &arena, &now, e);
    if (rc == 0) rc = report_load(api, &base, &arena, &then, e);
    if (rc == 0) {
        json_t *fresh = only_in(&now, &then);
        api_respond(r, 200,
                    json_pack("{s:I, s:I, s:o, s:o, s:I, s:o, s:o, s:b}", "report", (json_int_t)report.id, "base",
                              (json_int_t)base.id, "new", fresh, "gone", only_in(&then, &now), "unchanged",
                              (json_int_t)(n_findings(&now) - json_array_size(fresh)), "documents_added",
                              read_only_in(now.json, then.json), "documents_gone", read_only_in(then.json, now.json),
                              "other_program", (int)!same_program(now.json, then.json)));
    }
    json_decref(now.json);
    json_decref(then.json);
    arena_free(&arena);
    return rc;
}
