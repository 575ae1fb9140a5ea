/* route_documents.c: documents: upload, list, delete, text, page images, rectangles of a range.
 * Offsets in addresses and JSON are characters (Unicode code points) of the document's text, as in an answer's
 * citations; inside they are bytes. Page images are drawn when first asked for and kept in pages/ until their document
 * is deleted. */
#include "api/api.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *state_name(enum store_document_state s) {
    static const char *const names[] = {"queued", "ready", "failed"};
    return (unsigned)s < 3 ? names[s] : "unknown";
}

static json_t *slice_json(struct slice s) {
    json_t *j = json_stringn(s.data != NULL ? s.data : "", s.len);
    return j != NULL ? j : json_string("");
}

json_t *api_document_json(const struct store_document *d) {
    char sha[65];
    hex_encode(d->sha256, 32, sha);
    json_t *o =
        json_pack("{s:I, s:I, s:o, s:o, s:o, s:s, s:I, s:s}", "id", (json_int_t)d->id, "set", (json_int_t)d->set,
                  "name", slice_json(d->name), "title", slice_json(d->title.len > 0 ? d->title : d->name), "mime",
                  slice_json(d->mime), "sha256", sha, "bytes", (json_int_t)d->n_bytes, "state", state_name(d->state));
    if (o == NULL) return NULL;
    json_object_set_new(o, "pages", json_integer(d->n_pages));
    json_object_set_new(o, "pages_without_text", json_integer(d->n_pages_without_text));
    json_object_set_new(o, "statements", json_integer(d->n_statements));
    json_object_set_new(o, "tokens", json_integer(d->n_tokens));
    json_object_set_new(o, "added_at", json_integer((json_int_t)d->added_at));
    json_t *warnings = json_array();
    for (size_t i = 0; i < d->n_warnings; i++) {
        json_t *w = json_pack("{s:o}", "message", slice_json(d->warnings[i].message));
        if (d->warnings[i].page != INGEST_NONE)
            json_object_set_new(w, "page", json_integer((json_int_t)d->warnings[i].page + 1));
        json_array_append_new(warnings, w);
    }
    json_object_set_new(o, "warnings", warnings);
    if (d->duplicate_of != 0) json_object_set_new(o, "duplicate_of", json_integer((json_int_t)d->duplicate_of));
    if (d->replaced_by != 0) json_object_set_new(o, "replaced_by", json_integer((json_int_t)d->replaced_by));
    if (d->state == STORE_FAILED)
        json_object_set_new(o, "error",
                            json_pack("{s:o, s:o, s:o}", "code", slice_json(d->error_code), "message",
                                      slice_json(d->error_message), "where", slice_json(d->error_where)));
    return o;
}

int route_documents(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                    struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_set *sets;
    struct store_document *docs;
    size_t n, n_sets;
    int rc = store_sets(api->store, &arena, &sets, &n_sets, e);
    bool known = false;
    for (size_t i = 0; rc == 0 && i < n_sets; i++) known = known || sets[i].id == a->id[0];
    if (rc == 0 && !known) rc = error_set(e, ERR_NOT_FOUND, "", "There is no set %lld.", (long long)a->id[0]);
    if (rc == 0) rc = store_documents(api->store, &arena, a->id[0], &docs, &n, e);
    if (rc == 0) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++) json_array_append_new(list, api_document_json(&docs[i]));
        api_respond(r, 200, json_pack("{s:o}", "documents", list));
    }
    arena_free(&arena);
    return rc;
}

int route_document(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                   struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_document d;
    int rc = store_document_find(api->store, &arena, a->id[0], &d, e);
    if (rc == 0) api_respond(r, 200, api_document_json(&d));
    arena_free(&arena);
    return rc;
}

/* All files of a request or, at the first failure, those before it: each is a transaction of its own and says so in the
 * answer. */
int route_upload(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                 struct error *e) {
    if (q->n_uploads == 0)
        return error_set(e, ERR_ARG, "body", "Send at least one file, as multipart/form-data with a file name.");
    json_t *list = json_array();
    int rc = 0;
    int64_t first_job = 0;
    for (size_t i = 0; rc == 0 && i < q->n_uploads; i++) {
        int64_t document = 0, job = 0;
        struct arena arena = {0};
        struct store_document d;
        struct slice name = slice_of(q->uploads[i].name);
        rc = store_document_add(api->store, a->id[0], q->uploads[i].path, name, &document, &job, e);
        if (rc == 0) {
            q->uploads[i].taken = true;
            if (first_job == 0) first_job = job;
            rc = store_document_find(api->store, &arena, document, &d, e);
        }
        if (rc == 0)
            json_array_append_new(list,
                                  json_pack("{s:o, s:I}", "document", api_document_json(&d), "job", (json_int_t)job));
        arena_free(&arena);
    }
    if (json_array_size(list) > 0 && rc != 0) { /* some are in: the answer must name them */
        json_array_append_new(list, json_pack("{s:o}", "error", api_error_json(e)));
        rc = 0;
    }
    if (rc != 0) {
        json_decref(list);
        return rc;
    }
    int64_t reading;
    struct error ignored;
    store_job_add(api->store, STORE_JOB_READ, a->id[0], &reading, &ignored);
    api_workers_wake(api);
    if (first_job != 0) snprintf(r->location, sizeof r->location, "/api/v1/jobs/%lld", (long long)first_job);
    api_respond(r, 202, json_pack("{s:o}", "uploads", list));
    return 0;
}

int route_document_retry(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                         struct error *e) {
    (void)q;
    int64_t job, reading;
    struct arena arena = {0};
    struct store_document d;
    struct error ignored;
    int rc = store_document_find(api->store, &arena, a->id[0], &d, e);
    if (rc == 0) rc = store_job_retry(api->store, a->id[0], &job, e);
    if (rc == 0) {
        store_job_add(api->store, STORE_JOB_READ, d.set, &reading, &ignored);
        api_workers_wake(api);
        snprintf(r->location, sizeof r->location, "/api/v1/jobs/%lld", (long long)job);
        api_respond(r, 202, json_pack("{s:I}", "job", (json_int_t)job));
    }
    arena_free(&arena);
    return rc;
}

int route_document_delete(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                          struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct slice receipt = {0};
    struct store_document d;
    int rc = store_document_find(api->store, &arena, a->id[0], &d, e);
    if (rc == 0) {
        api_delete_begin(api, d.set);
        rc = store_document_delete(api->store, a->id[0], &arena, &receipt, e);
        api_delete_end(api, d.set, true);
    }
    if (rc == 0) {
        json_t *o =
            json_loadb(receipt.data != NULL ? receipt.data : "{}", receipt.data != NULL ? receipt.len : 2, 0, NULL);
        api_respond(r, 200, o != NULL ? o : json_object());
    }
    arena_free(&arena);
    return rc;
}

/* ---- text ---- */
static int range(const struct api_args *a, const struct ingest_document *d, struct ingest_span *bytes,
                 int64_t *start_character, int64_t longest, struct error *e) {
    int64_t start, end;
    int rc = api_query_number(a->query, "start", UINT32_MAX, 0, &start, e);
    if (rc == 0) rc = api_query_number(a->query, "end", UINT32_MAX, start + longest, &end, e);
    if (rc != 0) return rc;
    if (end < start) return error_set(e, ERR_ARG, "end", "The range ends before it begins.");
    if (end - start > longest)
        return error_set(e, ERR_LIMIT, "end", "A range may have at most %lld characters.", (long long)longest);
    bytes->start = (uint32_t)utf8_offset(d->text.data, d->text.len, start);
    bytes->end =
        bytes->start + (uint32_t)utf8_offset(d->text.data + bytes->start, d->text.len - bytes->start, end - start);
    *start_character = start;
    return 0;
}

/* A spreadsheet's cells in the range: [start, end, sheet from 1, row, column, row end, column end], rows and columns
 * from 0; `character` is that of byte `span.start`. */
static json_t *cells_json(const struct ingest_document *d, struct ingest_span span, int64_t character) {
    json_t *cells = json_array();
    uint32_t at = span.start; /* characters are counted once, forwards */
    for (size_t i = 0; i < d->n_words; i++) {
        const struct ingest_word *w = &d->words[i];
        struct ingest_cells c;
        if (w->span.start < span.start || w->span.end > span.end || !ingest_cells_at(d, w->span, &c)) continue;
        character += (int64_t)utf8_count(d->text.data + at, w->span.start - at);
        int64_t length = (int64_t)utf8_count(d->text.data + w->span.start, w->span.end - w->span.start);
        json_array_append_new(cells, json_pack("[I, I, i, i, i, i, i]", (json_int_t)character,
                                               (json_int_t)(character + length), (int)w->page + 1, (int)c.row,
                                               (int)c.column, (int)c.row_end, (int)c.column_end));
        character += length;
        at = w->span.end;
    }
    return cells;
}

int route_document_text(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                        struct error *e) {
    (void)q;
    struct ingest_document *d = NULL;
    struct ingest_span span;
    int64_t start;
    int rc = store_document_load(api->store, a->id[0], &d, e);
    if (rc == 0) rc = range(a, d, &span, &start, API_TEXT_WINDOW, e);
    if (rc == 0) {
        struct slice text = ingest_text(d, span);
        json_t *headings = json_array();
        uint32_t at = span.start; /* characters are counted once, forwards */
        int64_t character = start;
        for (size_t i = 0; i < d->n_statements; i++) {
            const struct ingest_statement *s = &d->statements[i];
            if (s->kind != INGEST_HEADING || s->span.start < span.start || s->span.end > span.end || s->span.start < at)
                continue;
            character += (int64_t)utf8_count(d->text.data + at, s->span.start - at);
            int64_t length = (int64_t)utf8_count(d->text.data + s->span.start, s->span.end - s->span.start);
            json_array_append_new(headings,
                                  json_pack("[I, I]", (json_int_t)character, (json_int_t)(character + length)));
            character += length;
            at = s->span.end;
        }
        json_int_t n = (json_int_t)utf8_count(text.data, text.len);
        json_int_t before = (json_int_t)utf8_count(d->text.data, span.start);
        json_int_t behind = (json_int_t)utf8_count(d->text.data + span.end, d->text.len - span.end);
        json_t *o = json_pack("{s:I, s:I, s:I, s:o, s:o}", "start", before, "end", before + n, "length",
                              before + n + behind, "headings", headings, "text", slice_json(text));
        if (d->format == INGEST_XLSX || d->format == INGEST_CSV) {
            json_t *sheets = json_array();
            for (size_t i = 0; i < d->n_pages; i++) json_array_append_new(sheets, slice_json(d->pages[i].label));
            json_object_set_new(o, "cells", cells_json(d, span, start));
            json_object_set_new(o, "sheets", sheets);
        }
        api_respond(r, 200, o);
    }
    ingest_document_free(d);
    return rc;
}

/* ---- pages ---- */
int route_document_rects(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                         struct error *e) {
    (void)q;
    struct ingest_document *d = NULL;
    struct ingest_rect *rects = NULL;
    struct ingest_span span;
    int64_t start;
    int rc = store_document_load(api->store, a->id[0], &d, e);
    if (rc == 0) rc = range(a, d, &span, &start, API_TEXT_WINDOW, e);
    if (rc == 0) {
        rects = calloc(API_MAX_RECTS, sizeof *rects);
        if (rects == NULL) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    }
    if (rc == 0) {
        size_t n = ingest_rects(d, span, rects, API_MAX_RECTS);
        if (n > API_MAX_RECTS) n = API_MAX_RECTS;
        json_t *pages = json_array();
        for (size_t i = 0; i < n;) {
            uint32_t page = rects[i].page;
            json_t *list = json_array();
            for (; i < n && rects[i].page == page; i++)
                json_array_append_new(list, json_pack("[f, f, f, f]", (double)rects[i].x0, (double)rects[i].y0,
                                                      (double)rects[i].x1, (double)rects[i].y1));
            json_array_append_new(pages,
                                  json_pack("{s:I, s:o, s:f, s:f, s:o}", "page", (json_int_t)page + 1, "label",
                                            slice_json(d->pages[page].label), "width", (double)d->pages[page].width_pt,
                                            "height", (double)d->pages[page].height_pt, "rects", list));
        }
        api_respond(r, 200, json_pack("{s:o}", "pages", pages));
    }
    free(rects);
    ingest_document_free(d);
    return rc;
}

/* One of a few resolutions, so that the kept images of a page are few. */
static int dpi_of(const struct api_args *a, int *dpi, struct error *e) {
    static const int allowed[] = {72, 96, 144, 192};
    int64_t v;
    int rc = api_query_number(a->query, "dpi", 300, 144, &v, e);
    for (size_t i = 0; rc == 0 && i < sizeof allowed / sizeof *allowed; i++) {
        if (allowed[i] != v) continue;
        *dpi = allowed[i];
        return 0;
    }
    return rc != 0 ? rc : error_set(e, ERR_ARG, "dpi", "The resolution must be 72, 96, 144 or 192.");
}

int route_document_page(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                        struct error *e) {
    (void)q;
    struct arena arena = {0};
    struct store_document d;
    char *path = NULL, *folder = NULL, sha[65];
    int dpi = 144;
    struct buf png = {0};
    int rc = store_document_find(api->store, &arena, a->id[0], &d, e);
    if (rc == 0) rc = dpi_of(a, &dpi, e);
    if (rc == 0 && d.state != STORE_READY)
        rc = error_set(e, ERR_NOT_FOUND, "", "This document has not been read (yet).");
    if (rc == 0 && a->id[1] > (int64_t)d.n_pages)
        rc = error_set(e, ERR_NOT_FOUND, "", "This document has %u pages.", (unsigned)d.n_pages);
    if (rc != 0) {
        arena_free(&arena);
        return rc;
    }
    if (!slice_equal(d.mime, SLICE_LITERAL("application/pdf"))) {
        arena_free(&arena);
        return error_set(e, ERR_UNSUPPORTED, "",
                         "Only pages of PDF files are drawn; this document has its text instead.");
    }
    hex_encode(d.sha256, 32, sha);
    if (asprintf(&folder, "%s/pages", store_dir(api->store)) < 0) folder = NULL;
    if (folder == NULL || asprintf(&path, "%s/%s-%lld-%d.png", folder, sha, (long long)a->id[1] - 1, dpi) < 0) {
        path = NULL;
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
        goto done;
    }
    pthread_mutex_lock(&api->render);
    struct error miss;
    if (file_read(path, 64u << 20, &png, &miss) != 0) {
        png.len = 0;
        struct slice original = store_document_path(api->store, &arena, &d);
        rc = original.data == NULL ? error_set(e, ERR_NOMEM, "", "There is not enough memory.")
                                   : ingest_page_render(original.data, (uint32_t)(a->id[1] - 1), dpi, &png, e);
        /* Under the same lock as deletes, and only while the document is there: no image outlives it. */
        struct arena again = {0};
        struct store_document still;
        if (rc == 0 && store_document_find(api->store, &again, a->id[0], &still, &miss) == 0) {
            mkdir(folder, 0700);
            file_write_atomic(path, png.data, png.len, &miss); /* a full disk costs only time */
        }
        arena_free(&again);
    }
    pthread_mutex_unlock(&api->render);
    if (rc != 0) { /* a stored file's path says nothing to a person */
        struct error why = *e;
        error_set(e, rc, "", "Page %lld of %.*s cannot be drawn: %.250s", (long long)a->id[1],
                  (int)(d.name.len < 80 ? d.name.len : 80), d.name.data, why.message);
    }
    if (rc == 0) {
        r->status = 200;
        r->content_type = "image/png";
        r->cache = "private, max-age=3600";
        r->body = png;
        png = (struct buf){0};
    }
done:
    buf_free(&png);
    free(path);
    free(folder);
    arena_free(&arena);
    return rc;
}
