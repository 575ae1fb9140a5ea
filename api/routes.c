/* routes.c: path -> function, error code -> status. The one table of each.
 * Owns: what a path may look like (letters, digits, '/', '.', '-', '_': nothing in it is ever a file name), queries,
 * JSON bodies, problem+json (RFC 9457). Refuses everything else before a function sees it. */
#include "api/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    enum api_method method;
    const char *pattern; /* '#' stands for a number */
    api_route function;
} table[] = {
    {API_GET, "/api/v1/sets", route_sets},
    {API_POST, "/api/v1/sets", route_set_create},
    {API_GET, "/api/v1/sets/#", route_set},
    {API_DELETE, "/api/v1/sets/#", route_set_delete},
    {API_GET, "/api/v1/sets/#/documents", route_documents},
    {API_POST, "/api/v1/sets/#/documents", route_upload},
    {API_GET, "/api/v1/sets/#/questions", route_answers},
    {API_POST, "/api/v1/sets/#/questions", route_question},
    {API_GET, "/api/v1/questions/#", route_answer},
    {API_POST, "/api/v1/sets/#/reports", route_report_create},
    {API_GET, "/api/v1/sets/#/reports", route_report},
    {API_GET, "/api/v1/sets/#/jobs", route_jobs},
    {API_GET, "/api/v1/reports/#.html", route_report_html},
    {API_GET, "/api/v1/reports/#/diff", route_report_diff},
    {API_GET, "/api/v1/findings/#", route_finding},
    {API_PATCH, "/api/v1/findings/#", route_finding_review},
    {API_GET, "/api/v1/documents/#", route_document},
    {API_DELETE, "/api/v1/documents/#", route_document_delete},
    {API_POST, "/api/v1/documents/#/retry", route_document_retry},
    {API_GET, "/api/v1/documents/#/text", route_document_text},
    {API_GET, "/api/v1/documents/#/pages/#.png", route_document_page},
    {API_GET, "/api/v1/documents/#/rects", route_document_rects},
    {API_GET, "/api/v1/jobs/#", route_job},
    {API_DELETE, "/api/v1/jobs/#", route_job_cancel},
    {API_GET, "/api/v1/jobs/#/events", route_job_events},
    {API_GET, "/api/v1/model", route_model},
    {API_GET, "/readyz", route_ready},
};

static const struct {
    int code, status;
} statuses[] = {
    {ERR_NOMEM, 503},       {ERR_IO, 500},        {ERR_FORMAT, 422},    {ERR_LIMIT, 413},
    {ERR_UNSUPPORTED, 415}, {ERR_ARG, 400},       {ERR_DEVICE, 500},    {ERR_BUSY, 503},
    {ERR_CANCELLED, 409},   {ERR_NOT_FOUND, 404}, {ERR_ENCRYPTED, 422},
};

int api_status(int error_code) {
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].code == error_code) return statuses[i].status;
    return 500;
}

const char *api_status_title(int status) {
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 421:
        return "Misdirected Request";
    case 422:
        return "Unprocessable Content";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

/* ---- responses ---- */
void api_respond(struct api_response *r, int status, json_t *body) {
    r->status = status;
    r->content_type = "application/json";
    r->body.len = 0;
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT | JSON_ENSURE_ASCII * 0) : NULL;
    if (text != NULL) buf_puts(&r->body, text);
    if (text == NULL || r->body.failed) {
        buf_free(&r->body);
        r->status = 503;
        r->content_type = "application/problem+json";
        r->fixed = SLICE_LITERAL("{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
                                 "\"code\":\"nomem\",\"detail\":\"There is not enough memory.\"}");
    }
    free(text);
    json_decref(body);
}

json_t *api_error_json(const struct error *e) {
    return json_pack("{s:s, s:s, s:s}", "code", error_name(e->code), "message", e->message, "where", e->where);
}

static void problem(struct api_response *r, int status, const char *code, const char *detail, const char *where,
                    const char *request_id) {
    if (r->work != NULL) {
        r->work->free(r->work);
        r->work = NULL;
    }
    r->fixed = (struct slice){0};
    r->location[0] = '\0';
    r->csp = NULL;
    r->cache = NULL;
    json_t *o = json_pack("{s:s, s:s, s:i, s:s, s:s}", "type", "about:blank", "title", api_status_title(status),
                          "status", status, "code", code, "detail", detail);
    if (o != NULL && where[0] != '\0') json_object_set_new(o, "where", json_string(where));
    if (o != NULL && request_id[0] != '\0') json_object_set_new(o, "request_id", json_string(request_id));
    api_respond(r, status, o);
    r->content_type = "application/problem+json";
}

void api_problem(struct api_response *r, const struct error *e, const char *request_id) {
    problem(r, api_status(e->code), error_name(e->code), e->message, e->where, request_id);
}

void api_problem_status(struct api_response *r, int status, const char *code, const char *detail,
                        const char *request_id) {
    problem(r, status, code, detail, "", request_id);
}

void api_response_free(struct api_response *r) {
    if (r->work != NULL) r->work->free(r->work);
    buf_free(&r->body);
    memset(r, 0, sizeof *r);
}

void api_request_free(struct api_request *q) {
    for (size_t i = 0; i < q->n_uploads; i++) {
        if (!q->uploads[i].taken && q->uploads[i].path != NULL) unlink(q->uploads[i].path);
        free(q->uploads[i].path);
    }
    free(q->uploads);
    q->uploads = NULL;
    q->n_uploads = 0;
}

/* ---- queries and bodies ---- */
static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool api_query(const char *query, const char *key, char *out, size_t cap, bool *bad) {
    *bad = false;
    size_t n_key = strlen(key);
    for (const char *p = query; *p != '\0';) {
        const char *end = strchr(p, '&');
        size_t len = end != NULL ? (size_t)(end - p) : strlen(p);
        if (len > n_key && memcmp(p, key, n_key) == 0 && p[n_key] == '=') {
            size_t n = 0;
            for (size_t i = n_key + 1; i < len; i++) {
                char c = p[i];
                if (c == '%') {
                    int hi = i + 1 < len ? hex_digit(p[i + 1]) : -1, lo = i + 2 < len ? hex_digit(p[i + 2]) : -1;
                    if (hi < 0 || lo < 0 || (hi == 0 && lo == 0)) *bad = true;
                    if (*bad) return false;
                    c = (char)(hi * 16 + lo);
                    i += 2;
                } else if (c == '+') {
                    c = ' ';
                }
                if (n + 1 >= cap) {
                    *bad = true;
                    return false;
                }
                out[n++] = c;
            }
            out[n] = '\0';
            return true;
        }
        if (end == NULL) break;
        p = end + 1;
    }
    return false;
}

int api_query_number(const char *query, const char *key, int64_t max, int64_t fallback, int64_t *out, struct error *e) {
    char text[24];
    bool bad;
    *out = fallback;
    if (!api_query(query, key, text, sizeof text, &bad))
        return bad ? error_set(e, ERR_ARG, key, "This parameter must be a number from 0 to %lld.", (long long)max) : 0;
    char *end = text;
    long long v = text[0] >= '0' && text[0] <= '9' ? strtoll(text, &end, 10) : -1;
    if (end == text || *end != '\0' || v < 0 || v > max)
        return error_set(e, ERR_ARG, key, "This parameter must be a number from 0 to %lld.", (long long)max);
    *out = v;
    return 0;
}

int api_name_check(struct slice *name, size_t max, const char *what, struct error *e) {
    *name = slice_trim(*name);
    if (name->len == 0) return error_set(e, ERR_ARG, "name", "A %s needs a name.", what);
    if (name->len > max)
        return error_set(e, ERR_ARG, "name", "The name of a %s may have at most %zu bytes.", what, max);
    if (!utf8_valid(name->data, name->len))
        return error_set(e, ERR_ARG, "name", "The name of a %s must be UTF-8.", what);
    for (size_t i = 0; i < name->len;) {
        uint32_t cp;
        i += (size_t)utf8_decode(name->data + i, name->len - i, &cp);
        /* control characters, and the marks that turn the reading direction: a name is shown to people */
        if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069))
            return error_set(e, ERR_ARG, "name", "The name of a %s must not hold control characters.", what);
    }
    return 0;
}

int api_json_body(struct slice body, json_t **out, struct error *e) {
    json_error_t je;
    *out = json_loadb(body.data != NULL ? body.data : "", body.len, JSON_REJECT_DUPLICATES, &je);
    if (*out == NULL)
        return error_set(e, ERR_ARG, "body", "The body is not valid JSON (byte %d: %s).", je.position, je.text);
    if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        return error_set(e, ERR_ARG, "body", "The body must be a JSON object.");
    }
    return 0;
}

/* ---- dispatch ---- */
/* Matches path (up to '?') against a pattern with '#' for numbers of 1 to 18 digits. */
static bool match(const char *pattern, const char *path, size_t len, struct api_args *a) {
    size_t i = 0;
    int n = 0;
    for (; *pattern != '\0'; pattern++) {
        if (*pattern != '#') {
            if (i >= len || path[i] != *pattern) return false;
            i++;
            continue;
        }
        size_t start = i;
        int64_t v = 0;
        while (i < len && path[i] >= '0' && path[i] <= '9' && i - start < 18) v = v * 10 + (path[i++] - '0');
        if (i == start || v == 0 || path[start] == '0') return false;
        a->id[n++] = v;
    }
    return i == len;
}

void api_handle(struct api *api, struct api_request *q, struct api_response *r) {
    size_t len = strcspn(q->path, "?");
    if (strlen(q->path) > API_MAX_PATH) {
        api_problem_status(r, 414, "limit", "The address is too long.", q->request_id);
        return;
    }
    if (q->method == API_GET && len == 8 && memcmp(q->path, "/healthz", 8) == 0) {
        api_respond(r, 200, json_pack("{s:s}", "status", "ok"));
        return;
    }
    if (q->method == API_GET && strncmp(q->path, "/api/", 5) != 0 && web_page(q->path, r)) return;
    bool other_method = false;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct api_args a = {.query = q->path[len] == '?' ? q->path + len + 1 : ""};
        if (!match(table[i].pattern, q->path, len, &a)) continue;
        if (table[i].method != q->method) {
            other_method = true;
            continue;
        }
        struct error e = {0};
        int rc = table[i].function(api, q, &a, r, &e);
        if (rc != 0) {
            if (e.code == 0) error_set(&e, rc, "", "The request failed.");
            api_problem(r, &e, q->request_id);
        }
        return;
    }
    if (other_method)
        api_problem_status(r, 405, "arg", "This address does not know that method.", q->request_id);
    else
        api_problem_status(r, 404, "not_found", "There is nothing at this address.", q->request_id);
}
