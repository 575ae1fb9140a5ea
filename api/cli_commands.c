/* cli_commands.c: what each command does, in calls of the HTTP API (cli_link.c decides who answers them). */
#include "api/cli.h"
#include "engine/pull.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define URL_TIMEOUT_S 120

/* Percent-encodes everything but letters and digits. */
static void query_value(struct buf *b, const char *s) {
    for (; *s != '\0'; s++) {
        unsigned char ch = (unsigned char)*s;
        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9'))
            buf_append(b, s, 1);
        else
            buf_printf(b, "%%%02X", ch);
    }
}

/* The set of that name; ERR_NOT_FOUND names those there are. */
static int set_by_name(struct cli *c, const char *name, int64_t *id, struct error *e) {
    struct buf path = {0};
    json_t *o = NULL;
    if (strlen(name) > API_MAX_SET_NAME) return error_set(e, ERR_NOT_FOUND, "", "There is no set of that name.");
    buf_puts(&path, "/api/v1/sets?name=");
    query_value(&path, name);
    int rc = path.failed ? error_set(e, ERR_NOMEM, "", "There is not enough memory.")
                         : cli_ask_for(c, API_GET, path.data, NULL, &o, e);
    if (rc == 0) {
        json_t *first = json_array_get(json_object_get(o, "sets"), 0);
        *id = json_integer_value(json_object_get(first, "id"));
        if (first == NULL)
            rc = error_set(e, ERR_NOT_FOUND, "",
                           "There is no set '%.150s'; 'antinomy sets' lists them, 'antinomy ingest' makes one.", name);
    }
    json_decref(o);
    buf_free(&path);
    return rc;
}

/* ---- ingest ---- */
struct ingest_file {
    char *path, *name;
    int64_t document, job;
    json_t *result; /* what --json says of it */
    bool failed;
};
struct ingest_list {
    struct ingest_file *items;
    size_t n, cap;
};

static int list_add(struct ingest_list *l, const char *path, const char *name, struct error *e) {
    if (array_grow((void **)&l->items, &l->cap, l->n + 1, sizeof *l->items, e) != 0) return ERR_NOMEM;
    struct ingest_file *f = &l->items[l->n];
    memset(f, 0, sizeof *f);
    f->path = strdup(path);
    f->name = strdup(name);
    l->n++;
    return f->path != NULL && f->name != NULL ? 0 : error_set(e, ERR_NOMEM, "", "There is not enough memory.");
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A folder's files, deep, in the order of their names; hidden ones and links are left out. Names are paths from the
 * folder. */
static int list_folder(struct ingest_list *l, const char *path, const char *prefix, int depth, struct error *e) {
    DIR *d = opendir(path);
    if (d == NULL) return error_set(e, ERR_IO, path, "The folder cannot be read: %s.", strerror(errno));
    char **names = NULL;
    size_t n = 0, cap = 0;
    int rc = depth > 40 ? error_set(e, ERR_LIMIT, path, "The folders are nested too deep.") : 0;
    for (struct dirent *f; rc == 0 && (f = readdir(d)) != NULL;) {
        if (f->d_name[0] == '.') continue;
        rc = array_grow((void **)&names, &cap, n + 1, sizeof *names, e);
        if (rc == 0 && (names[n] = strdup(f->d_name)) == NULL)
            rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
        if (rc == 0) n++;
    }
    closedir(d);
    if (n > 1) qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        char *full = NULL, *name = NULL;
        struct stat st;
        if (rc == 0 && (asprintf(&full, "%s/%s", path, names[i]) < 0 || asprintf(&name, "%s%s", prefix, names[i]) < 0))
            rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
        if (rc == 0 && lstat(full, &st) == 0) {
            if (S_ISREG(st.st_mode)) rc = list_add(l, full, name, e);
            if (S_ISDIR(st.st_mode)) {
                char *deeper;
                if (asprintf(&deeper, "%s/", name) < 0)
                    rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
                else {
                    rc = list_folder(l, full, deeper, depth + 1, e);
                    free(deeper);
                }
            }
        }
        free(full);
        free(name);
        free(names[i]);
    }
    free(names);
    return rc;
}

static bool is_url(const char *s) {
    return strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0;
}

/* Copies the file into incoming/ (the store takes it over from there) and sends it. */
static int upload_local(struct cli *c, const struct ingest_file *f, struct api_upload *u, struct error *e) {
    int from = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), to = -1, rc = 0;
    struct stat st;
    if (from < 0 || fstat(from, &st) != 0) {
        rc = errno == ENOENT ? error_set(e, ERR_NOT_FOUND, f->path, "There is no such file.")
                             : error_set(e, ERR_IO, f->path, "The file cannot be opened: %s.", strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        rc = error_set(e, ERR_UNSUPPORTED, f->path, "This is not a regular file.");
    } else if ((uint64_t)st.st_size > API_MAX_UPLOAD) {
        rc = error_set(e, ERR_LIMIT, f->path, "The file has %.0f MiB; at most %llu are read.",
                       (double)st.st_size / (1 << 20), API_MAX_UPLOAD >> 20);
    }
    if (rc == 0 && c->owner == NULL) { /* the server copies */
        u->path = strdup(f->path);
        u->taken = true;
        if (u->path == NULL) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    } else if (rc == 0) {
        rc = api_incoming(c->data_dir, &u->path, &to, e);
        char block[65536];
        while (rc == 0) {
            ssize_t n = read(from, block, sizeof block);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) rc = error_set(e, ERR_IO, f->path, "The file cannot be read: %s.", strerror(errno));
            if (n <= 0) break;
            rc = api_write(to, block, (size_t)n, f->path, e);
        }
    }
    if (to >= 0) close(to);
    if (from >= 0) close(from);
    return rc;
}

static int upload_url(struct cli *c, struct ingest_file *f, struct api_upload *u, struct error *e) {
    int fd;
    char name[256];
    int rc = api_incoming(c->data_dir, &u->path, &fd, e);
    if (rc != 0) return rc;
    close(fd);
    cli_progress(c, "fetch", 0, 0);
    rc = ingest_fetch(f->path, u->path, API_MAX_UPLOAD, URL_TIMEOUT_S, c->allow_private, name, e);
    if (rc == 0 &&
        strlen(f->name) > API_MAX_NAME) { /* a document is known by its address, unless that is too long for a name */
        char *shorter = strdup(name);
        if (shorter == NULL) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
        free(f->name);
        f->name = shorter;
    }
    return rc;
}

static int ingest_send(struct cli *c, int64_t set, struct ingest_file *f, struct error *e) {
    struct api_upload *u = calloc(1, sizeof *u);
    struct api_request q = {.method = API_POST, .uploads = u, .n_uploads = 1};
    char path[64];
    json_t *o = NULL;
    if (u == NULL) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    snprintf(path, sizeof path, "/api/v1/sets/%lld/documents", (long long)set);
    q.path = path;
    int rc = is_url(f->path) ? upload_url(c, f, u, e) : upload_local(c, f, u, e);
    struct slice name = slice_of(f->name);
    if (rc == 0) rc = api_name_check(&name, API_MAX_NAME, "file", e);
    if (rc == 0) memcpy(u->name, name.data, name.len);
    if (rc == 0) rc = cli_call(c, &q, &o, NULL, e);
    if (rc == 0) {
        json_t *first = json_array_get(json_object_get(o, "uploads"), 0);
        f->document = json_integer_value(json_object_get(json_object_get(first, "document"), "id"));
        f->job = json_integer_value(json_object_get(first, "job"));
    }
    json_decref(o);
    api_request_free(&q); /* unlinks what nobody took (a fetched file when a server copied it) */
    return rc;
}

struct ingest_watch {
    struct cli *c;
    size_t at, n;
};

static bool watch_event(void *ctx, const char *name, struct slice json) {
    struct ingest_watch *w = ctx;
    json_t *o = strcmp(name, "job") == 0 ? json_loadb(json.data, json.len, 0, NULL) : NULL;
    const char *stage = json_string_value(json_object_get(o, "stage"));
    char what[80];
    snprintf(what, sizeof what, "%zu of %zu%s%.30s", w->at + 1, w->n, stage != NULL && stage[0] != '\0' ? ", " : "",
             stage != NULL ? stage : "");
    cli_progress(w->c, what, w->at, w->n);
    json_decref(o);
    return true;
}

static bool watch_cancelled(void *ctx) {
    (void)ctx;
    return cli_interrupted();
}

/* Waits for the file's job and fetches what became of the document. */
static int ingest_wait(struct cli *c, struct ingest_file *f, size_t at, size_t n, struct error *e) {
    char path[80];
    json_t *o = NULL;
    int rc = 0;
    if (f->job != 0) {
        struct ingest_watch w = {c, at, n};
        struct api_sink sink = {watch_event, watch_cancelled, &w};
        snprintf(path, sizeof path, "/api/v1/jobs/%lld/events", (long long)f->job);
        struct api_request q = {.method = API_GET, .path = path, .wants_events = true};
        rc = cli_call(c, &q, &o, &sink, e);
        json_decref(o);
    }
    if (rc != 0) return rc;
    snprintf(path, sizeof path, "/api/v1/documents/%lld", (long long)f->document);
    return cli_ask_for(c, API_GET, path, NULL, &f->result, e);
}

/* What of a document was not read or was guessed, a line each. */
static void print_warnings(const json_t *document) {
    const json_t *w;
    size_t i;
    json_array_foreach(json_object_get(document, "warnings"), i, w) {
        const json_t *page = json_object_get(w, "page");
        printf("        warning: ");
        if (page != NULL) printf("page %lld: ", (long long)json_integer_value(page));
        cli_put(stdout, json_string_value(json_object_get(w, "message")));
        printf("\n");
    }
}

static void ingest_report(struct cli *c, struct ingest_file *f) {
    const json_t *o = f->result;
    const char *state = json_string_value(json_object_get(o, "state"));
    const json_t *error = json_object_get(o, "error");
    cli_progress_end(c);
    f->failed = error != NULL || state == NULL || strcmp(state, "ready") != 0;
    if (f->failed) {
        if (error != NULL)
            cli_print_error(f->name, error);
        else
            fprintf(stderr, "%s: not read: %s\n", f->name, state != NULL ? state : "no answer");
        return;
    }
    if (c->json) return;
    long long pages = json_integer_value(json_object_get(o, "pages")),
              blind = json_integer_value(json_object_get(o, "pages_without_text"));
    cli_put(stdout, f->name);
    printf(": %lld page%s, %lld statements, %lld tokens", pages, pages == 1 ? "" : "s",
           (long long)json_integer_value(json_object_get(o, "statements")),
           (long long)json_integer_value(json_object_get(o, "tokens")));
    if (blind > 0) printf("; %lld page%s without text, not read", blind, blind == 1 ? "" : "s");
    if (json_object_get(o, "duplicate_of") != NULL)
        printf("; the same bytes as document %lld", (long long)json_integer_value(json_object_get(o, "duplicate_of")));
    printf(" (id %lld)\n", (long long)f->document);
    print_warnings(o);
    fflush(stdout);
}

static void ingest_failed(struct cli *c, struct ingest_file *f, const struct error *e) {
    f->failed = true;
    cli_progress_end(c);
    f->result = json_pack("{s:s, s:s, s:o}", "name", f->name, "state", "failed", "error", api_error_json(e));
    cli_print_error(f->name, json_object_get(f->result, "error"));
}

int command_ingest(struct cli *c) {
    struct ingest_list list = {0};
    struct error e = {0};
    json_t *set = NULL;
    bool failed = false;
    int status = 0, rc = 0;
    struct slice name = slice_of(c->args[0]);
    if (api_name_check(&name, API_MAX_SET_NAME, "set", &e) != 0) return cli_fail(c, &e);

    rc = cli_link_open(c, false, &e);
    if (rc == 0 && c->owner != NULL) { /* a model that cannot be opened is said before anything is copied */
        struct analysis *an;
        rc = api_analysis(c->owner, &an, &e);
        if (rc == 0) rc = api_workers_start(c->owner, &e);
    }
    if (rc == 0)
        rc = cli_ask_for(c, API_POST, "/api/v1/sets", json_pack("{s:s%}", "name", name.data, name.len), &set, &e);
    for (int i = 1; rc == 0 && i < c->n_args; i++) {
        const char *path = c->args[i];
        struct stat st;
        if (!is_url(path) && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            rc = list_folder(&list, path, "", 0, &e);
        } else {
            const char *slash = is_url(path) ? NULL : strrchr(path, '/');
            rc = list_add(&list, path, slash != NULL && slash[1] != '\0' ? slash + 1 : path, &e);
        }
    }
    if (rc == 0 && list.n == 0) rc = error_set(&e, ERR_NOT_FOUND, c->args[1], "There is no file in this folder.");
    int64_t id = json_integer_value(json_object_get(set, "id"));
    for (size_t i = 0; rc == 0 && i < list.n && !cli_interrupted(); i++) {
        cli_progress(c, "copy", i, list.n);
        struct error fe = {0};
        if (ingest_send(c, id, &list.items[i], &fe) != 0) ingest_failed(c, &list.items[i], &fe);
    }
    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        struct ingest_file *f = &list.items[i];
        struct error fe = {0};
        if (f->document == 0) continue;
        int frc = ingest_wait(c, f, i, list.n, &fe);
        if (frc == ERR_CANCELLED && cli_interrupted()) {
            rc = error_set(&e, ERR_CANCELLED, "", "Interrupted; what was not read yet is read at the next command.");
        } else if (frc != 0) {
            ingest_failed(c, f, &fe);
        } else {
            ingest_report(c, f);
        }
    }
    if (rc == 0 && c->owner != NULL) rc = api_workers_drain(c->owner, &e); /* the vectors of the last document */
    cli_progress_end(c);
    json_t *documents = json_array();
    for (size_t i = 0; i < list.n; i++) {
        failed = failed || list.items[i].failed;
        if (list.items[i].result != NULL) json_array_append_new(documents, list.items[i].result);
        free(list.items[i].path);
        free(list.items[i].name);
    }
    free(list.items);
    if (rc != 0) {
        status = cli_fail(c, &e);
        json_decref(documents);
    } else {
        json_t *o = json_pack("{s:{s:I, s:O}, s:o}", "set", "id", (json_int_t)id, "name", json_object_get(set, "name"),
                              "documents", documents);
        if (c->json) cli_print_json(o);
        json_decref(o);
        if (failed) status = EXIT_FAILED;
    }
    json_decref(set);
    return status;
}

/* ---- ask, contradictions ---- */
static bool show_event(void *ctx, const char *name, struct slice json) {
    struct cli *c = ctx;
    if (strcmp(name, "stage") != 0) return true;
    json_t *o = json_loadb(json.data, json.len, 0, NULL);
    const char *stage = json_string_value(json_object_get(o, "stage"));
    cli_progress(c, stage != NULL ? stage : "", (uint64_t)json_integer_value(json_object_get(o, "done")),
                 (uint64_t)json_integer_value(json_object_get(o, "total")));
    json_decref(o);
    return true;
}

/* Opens the directory, ends what an interrupted ingest left, posts to the set's questions or reports, streaming. */
static int inquire(struct cli *c, const char *what, json_t *body, json_t **out, struct error *e) {
    char path[80];
    int64_t set = 0;
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    int rc = text == NULL ? error_set(e, ERR_NOMEM, "", "There is not enough memory.") : cli_link_open(c, false, e);
    if (rc == 0) rc = set_by_name(c, c->args[0], &set, e);
    if (rc == 0 && c->owner != NULL) {
        struct analysis *an;
        rc = api_analysis(c->owner, &an, e);
        if (rc == 0) rc = api_workers_start(c->owner, e);
        if (rc == 0) rc = api_workers_drain(c->owner, e);
    }
    if (rc == 0) {
        struct api_sink sink = {show_event, watch_cancelled, c};
        snprintf(path, sizeof path, "/api/v1/sets/%lld/%s", (long long)set, what);
        struct api_request q = {.method = API_POST, .path = path, .body = slice_of(text), .wants_events = true};
        rc = cli_call(c, &q, out, &sink, e);
    }
    cli_progress_end(c);
    free(text);
    return rc;
}

int command_ask(struct cli *c) {
    struct error e = {0};
    json_t *o = NULL;
    if (!utf8_valid(c->args[1], strlen(c->args[1]))) {
        error_set(&e, ERR_ARG, "", "The question is not valid UTF-8.");
        return cli_fail(c, &e);
    }
    json_t *body = json_pack("{s:s, s:b}", "question", c->args[1], "without_model", (int)c->api.no_model);
    if (inquire(c, "questions", body, &o, &e) != 0) return cli_fail(c, &e);
    if (c->json)
        cli_print_json(o);
    else
        cli_print_answer(o);
    json_decref(o);
    return 0;
}

static void print_time(const json_t *seconds) {
    time_t at = (time_t)json_integer_value(seconds);
    struct tm local;
    char text[32] = "";
    if (localtime_r(&at, &local) != NULL) strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
    fputs(text, stdout);
}

/* The whole list, page by page. */
int command_answers(struct cli *c) {
    struct error e = {0};
    int64_t set = 0;
    json_int_t after = 0;
    json_t *all = json_array(), *o = NULL, *one;
    size_t i;
    int rc = cli_link_open(c, false, &e);
    if (rc == 0) rc = set_by_name(c, c->args[0], &set, &e);
    for (bool more = true; rc == 0 && more; json_decref(o)) {
        char path[96];
        snprintf(path, sizeof path, "/api/v1/sets/%lld/questions?limit=%d&after=%lld", (long long)set, API_MAX_LISTED,
                 (long long)after);
        rc = cli_ask_for(c, API_GET, path, NULL, &o, &e);
        json_array_extend(all, json_object_get(o, "questions"));
        after = json_integer_value(json_object_get(json_array_get(all, json_array_size(all) - 1), "id"));
        more = json_is_true(json_object_get(o, "has_more"));
    }
    if (rc == 0 && c->json) {
        json_t *whole = json_pack("{s:O}", "questions", all);
        cli_print_json(whole);
        json_decref(whole);
    } else if (rc == 0) {
        json_array_foreach(all, i, one) {
            printf("%6lld  ", (long long)json_integer_value(json_object_get(one, "id")));
            print_time(json_object_get(one, "asked_at"));
            const char *status = json_string_value(json_object_get(one, "status"));
            printf("  %s  ", status != NULL ? status : "");
            cli_put(stdout, json_string_value(json_object_get(one, "question")));
            printf("\n");
        }
    }
    json_decref(all);
    return rc == 0 ? 0 : cli_fail(c, &e);
}

int command_answer(struct cli *c) {
    struct error e = {0};
    json_t *o = NULL, *name;
    size_t i, digits = strspn(c->args[0], "0123456789");
    char path[64];
    if (digits == 0 || digits > 18 || c->args[0][digits] != '\0' || c->args[0][0] == '0') {
        error_set(&e, ERR_ARG, "", "'%.40s' is not the number of an answer; 'antinomy answers SET' lists them.",
                  c->args[0]);
        return cli_fail(c, &e);
    }
    snprintf(path, sizeof path, "/api/v1/questions/%s", c->args[0]);
    int rc = cli_link_open(c, false, &e);
    if (rc == 0) rc = cli_ask_for(c, API_GET, path, NULL, &o, &e);
    if (rc != 0) return cli_fail(c, &e);
    if (c->json) {
        cli_print_json(o);
    } else {
        print_time(json_object_get(o, "asked_at"));
        printf("  ");
        cli_put(stdout, json_string_value(json_object_get(o, "question")));
        printf("\n\n");
        cli_print_answer(o);
        json_array_foreach(json_object_get(o, "replaced"), i, name) {
            printf("Replaced since by a newer version: ");
            cli_put(stdout, json_string_value(name));
            printf("\n");
        }
    }
    json_decref(o);
    return 0;
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static int write_report(const struct cli *c, const json_t *o, struct error *e) {
    struct arena a = {0};
    struct slice html;
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    int rc = text == NULL ? error_set(e, ERR_NOMEM, "", "There is not enough memory.") : 0;
    struct slice out = slice_of(text);
    if (rc == 0 && (ends_with(c->output, ".html") || ends_with(c->output, ".htm"))) {
        rc = analysis_report_html(out, &a, &html, e);
        if (rc == 0) out = html;
    }
    if (rc == 0) rc = file_write_atomic(c->output, out.data, out.len, e);
    free(text);
    arena_free(&a);
    return rc;
}

int command_contradictions(struct cli *c) {
    struct error e = {0};
    json_t *o = NULL;
    json_t *body = json_pack("{s:b, s:b}", "without_model", (int)c->api.no_model, "possible", (int)c->possible);
    if (inquire(c, "reports", body, &o, &e) != 0) return cli_fail(c, &e);
    int status = 0;
    if (c->output != NULL && write_report(c, o, &e) != 0)
        status = cli_fail(c, &e);
    else if (c->json)
        cli_print_json(o);
    else {
        cli_print_report(o);
        if (c->output != NULL) printf("\nThe report is in %s\n", c->output);
    }
    json_decref(o);
    return status;
}

/* ---- the short ones ---- */
int command_serve(struct cli *c) {
    struct error e = {0};
    struct analysis *an;
    c->api.background = true;
    int fd, rc = api_open(&c->owner, &c->api, &e);
    if (rc == ERR_BUSY) {
        struct error none;
        if (client_connect(c->data_dir, &fd, &none) == 0) {
            close(fd);
            error_set(&e, ERR_BUSY, c->data_dir, "A server already runs on this data directory.");
        }
    }
    if (rc == 0) {
        log_open(!c->quiet);
        rc = api_analysis(c->owner, &an, &e);
    }
    if (rc == 0) rc = server_run(c->owner, &(struct server_options){.port = c->port, .json = c->json}, &e);
    return rc != 0 ? cli_fail(c, &e) : 0;
}

int command_sets(struct cli *c) {
    struct error e = {0};
    json_t *o = NULL, *s;
    size_t i;
    if (cli_link_open(c, false, &e) != 0 || cli_ask_for(c, API_GET, "/api/v1/sets", NULL, &o, &e) != 0)
        return cli_fail(c, &e);
    if (c->json)
        cli_print_json(o);
    else if (json_array_size(json_object_get(o, "sets")) == 0)
        printf("No sets yet; 'antinomy ingest SET PATH' makes one.\n");
    else
        json_array_foreach(json_object_get(o, "sets"), i, s) {
            long long n = json_integer_value(json_object_get(s, "documents"));
            cli_put(stdout, json_string_value(json_object_get(s, "name")));
            printf(": %lld document%s, %lld tokens\n", n, n == 1 ? "" : "s",
                   (long long)json_integer_value(json_object_get(s, "tokens")));
        }
    json_decref(o);
    return 0;
}

static int documents_of(struct cli *c, const char *name, json_t **o, struct error *e) {
    int64_t set;
    char path[64];
    int rc = cli_link_open(c, false, e);
    if (rc == 0) rc = set_by_name(c, name, &set, e);
    if (rc != 0) return rc;
    snprintf(path, sizeof path, "/api/v1/sets/%lld/documents", (long long)set);
    return cli_ask_for(c, API_GET, path, NULL, o, e);
}

int command_documents(struct cli *c) {
    struct error e = {0};
    json_t *o = NULL, *d;
    size_t i;
    if (documents_of(c, c->args[0], &o, &e) != 0) return cli_fail(c, &e);
    if (c->json)
        cli_print_json(o);
    else
        json_array_foreach(json_object_get(o, "documents"), i, d) {
            const char *state = json_string_value(json_object_get(d, "state"));
            printf("%6lld  ", (long long)json_integer_value(json_object_get(d, "id")));
            cli_put(stdout, json_string_value(json_object_get(d, "name")));
            printf("  %s", state != NULL ? state : "");
            if (state != NULL && strcmp(state, "ready") == 0)
                printf(", %lld pages, %lld statements, %lld tokens",
                       (long long)json_integer_value(json_object_get(d, "pages")),
                       (long long)json_integer_value(json_object_get(d, "statements")),
                       (long long)json_integer_value(json_object_get(d, "tokens")));
            if (json_object_get(d, "replaced_by") != NULL)
                printf(", replaced by document %lld", (long long)json_integer_value(json_object_get(d, "replaced_by")));
            if (json_object_get(d, "duplicate_of") != NULL)
                printf(", the same bytes as document %lld",
                       (long long)json_integer_value(json_object_get(d, "duplicate_of")));
            const char *message = json_string_value(json_object_get(json_object_get(d, "error"), "message"));
            if (message != NULL) {
                printf(": ");
                cli_put(stdout, message);
            }
            printf("\n");
            print_warnings(d);
        }
    json_decref(o);
    return 0;
}

int command_delete(struct cli *c) {
    struct error e = {0};
    json_t *o = NULL, *d, *receipt = NULL;
    size_t i;
    int64_t id = 0;
    const char *wanted = c->args[1];
    if (documents_of(c, c->args[0], &o, &e) != 0) return cli_fail(c, &e);
    /* The current document of that name; else one that was replaced; else the one with that id. */
    json_array_foreach(json_object_get(o, "documents"), i, d) {
        const char *name = json_string_value(json_object_get(d, "name"));
        if (name == NULL || strcmp(name, wanted) != 0) continue;
        if (id == 0 || json_object_get(d, "replaced_by") == NULL) id = json_integer_value(json_object_get(d, "id"));
    }
    json_array_foreach(json_object_get(o, "documents"), i, d) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(json_object_get(d, "id")));
        if (id == 0 && strcmp(number, wanted) == 0) id = json_integer_value(json_object_get(d, "id"));
    }
    json_decref(o);
    if (id == 0) {
        error_set(&e, ERR_NOT_FOUND, c->args[0],
                  "This set has no document '%.200s'; 'antinomy documents SET' lists them.", wanted);
        return cli_fail(c, &e);
    }
    char path[64];
    snprintf(path, sizeof path, "/api/v1/documents/%lld", (long long)id);
    if (cli_ask_for(c, API_DELETE, path, NULL, &receipt, &e) != 0) return cli_fail(c, &e);
    cli_print_json(receipt); /* the receipt is a record: the same for people and programs */
    json_decref(receipt);
    return 0;
}

static bool pull_progress(void *context, const char *file, uint64_t done, uint64_t total) {
    cli_progress(context, file, done, total);
    return !cli_interrupted();
}

/* What needs no data directory of ours: models are files beside the store. */
static int model_files(struct cli *c, const char *verb) {
    struct error e = {0};
    struct buf dir = {0};
    json_t *o = NULL;
    char name[256] = "";
    int rc = 0;
    buf_printf(&dir, "%s/models", c->data_dir);
    if (dir.failed) {
        rc = error_set(&e, ERR_NOMEM, "", "There is not enough memory.");
    } else if (strcmp(verb, "list") == 0) {
        rc = model_list(dir.data, &o, &e);
    } else if (strcmp(verb, "import") == 0) {
        rc = model_import(dir.data, c->args[1], name, &e);
    } else {
        struct pull_options pull = {.file = c->n_args > 2 ? c->args[2] : NULL, .progress = pull_progress, .ctx = c};
        cli_catch_interrupts();
        rc = model_pull(dir.data, c->args[1], &pull, &e);
        cli_progress_end(c);
        snprintf(name, sizeof name, "%.255s", c->args[1]);
    }
    if (rc == 0 && c->json) {
        json_t *whole = o != NULL
                            ? json_pack("{s:O}", "models", o)
                            : json_pack("{s:s, s:o}", "name", name, "path", json_sprintf("%s/%s", dir.data, name));
        cli_print_json(whole);
        json_decref(whole);
    } else if (rc == 0 && o == NULL) {
        printf("%s/%s\n", dir.data, name);
    } else if (rc == 0) {
        size_t i;
        json_t *m;
        if (json_array_size(o) == 0) printf("no models in %s; the bundled one is used\n", dir.data);
        json_array_foreach(o, i, m) {
            cli_put(stdout, json_string_value(json_object_get(m, "name")));
            const char *state = json_string_value(json_object_get(m, "state"));
            printf("  %.0f MB  %s\n", (double)json_integer_value(json_object_get(m, "bytes")) / 1e6,
                   strcmp(state, "incomplete") == 0 ? "not complete: pull it again" : state);
        }
    }
    json_decref(o);
    buf_free(&dir);
    return rc == 0 ? 0 : cli_fail(c, &e);
}

static void put_memory(const char *label, json_int_t bytes) {
    printf("%s%.*f %s", label, bytes < 100000000 ? 1 : 0, (double)bytes / (bytes < 10000000000 ? 1e6 : 1e9),
           bytes < 10000000000 ? "MB" : "GB");
}

static void print_model(const json_t *m) {
    const json_t *config = json_object_get(m, "config"), *layers = json_object_get(m, "layers"),
                 *memory = json_object_get(m, "memory");
    const char *key;
    json_t *v;
    size_t i;
    printf("name         ");
    cli_put(stdout, json_string_value(json_object_get(m, "name")));
    printf("\nfrom         ");
    cli_put(stdout, json_string_value(json_object_get(m, "path")));
    printf("\nid           %.16s\n", json_string_value(json_object_get(m, "id")));
    printf("device       %s\n", json_string_value(json_object_get(m, "device")));
    printf("kernels      %s\n", json_string_value(json_object_get(m, "kernel_path")));
    printf("parameters   %.1f million\n", (double)json_integer_value(json_object_get(m, "parameters")) / 1e6);
    printf("layers       %lld: %lld Mamba, %lld attention; %lld of them with experts\n",
           (long long)json_integer_value(json_object_get(config, "n_layer")),
           (long long)json_integer_value(json_object_get(layers, "mamba")),
           (long long)json_integer_value(json_object_get(layers, "attention")),
           (long long)json_integer_value(json_object_get(layers, "with_experts")));
    printf("context      %lld tokens\n", (long long)json_integer_value(json_object_get(config, "context_length")));
    printf("tokenizer    %s, %lld tokens\n", json_string_value(json_object_get(m, "tokenizer")),
           (long long)json_integer_value(json_object_get(config, "n_vocab")));
    printf("tensors      ");
    json_array_foreach(json_object_get(m, "types"), i, v) {
        printf("%s%lld %s", i ? ", " : "", (long long)json_integer_value(json_object_get(v, "tensors")),
               json_string_value(json_object_get(v, "type")));
        put_memory(" (", json_integer_value(json_object_get(v, "bytes")));
        printf(")");
    }
    put_memory("\nmemory       ", json_integer_value(json_object_get(memory, "total")));
    printf(" for %lld tokens of context", (long long)json_integer_value(json_object_get(memory, "context")));
    put_memory(": weights ", json_integer_value(json_object_get(memory, "weights")));
    put_memory(", state ", json_integer_value(json_object_get(memory, "state")));
    printf("\nshape        ");
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)config, key, v) {
        printf("%s%s %lld", first ? "" : ", ", key, (long long)json_integer_value(v));
        first = false;
    }
    printf("\n");
    json_object_foreach(json_object_get(m, "card"), key, v) {
        char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        printf("card         ");
        cli_put(stdout, key);
        printf(": ");
        cli_put(stdout, text != NULL ? text : "");
        printf("\n");
        free(text);
    }
}

/* The model that answers, told by whoever has the data directory; one that was named is opened here, beside it. */
static int model_info(struct cli *c, json_t **o, struct error *e) {
    char route[64];
    snprintf(route, sizeof route, "/api/v1/model?context=%d", c->context);
    if (c->n_args == 1 && c->api.model_path == NULL) {
        int rc = cli_link_open(c, false, e);
        return rc ? rc : cli_ask_for(c, API_GET, route, NULL, o, e);
    }
    struct jamba_model_options options = {
        .n_threads = c->api.n_threads, .path = c->api.kernels, .device = c->api.device, .quantize = c->api.quantize};
    struct jamba_model *m = NULL;
    char *path = NULL;
    if (c->n_args == 2) c->api.model_path = c->args[1];
    int rc = api_model_path(&c->api, &path, e);
    if (rc == 0) rc = jamba_model_open(&m, path, &options, e);
    if (rc == 0) {
        uint32_t n_tokens = c->context ? (uint32_t)c->context : jamba_model_config(m)->context_length;
        *o = json_pack("{s:o}", "model", api_model_json(m, path, n_tokens));
        if (*o == NULL) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    }
    jamba_model_close(m);
    free(path);
    return rc;
}

int command_model(struct cli *c) {
    struct error e = {0};
    json_t *o = NULL;
    const char *verb = c->args[0];
    if ((strcmp(verb, "list") == 0 && c->n_args == 1) || (strcmp(verb, "import") == 0 && c->n_args == 2) ||
        (strcmp(verb, "pull") == 0 && c->n_args >= 2))
        return model_files(c, verb);
    if (strcmp(verb, "info") != 0 || c->n_args > 2) {
        fprintf(stderr, "antinomy: usage: antinomy model info [MODEL]|list|pull ORG/NAME [FILE]|import PATH\n");
        return EXIT_USAGE;
    }
    if (model_info(c, &o, &e) != 0) return cli_fail(c, &e);
    const json_t *m = json_object_get(o, "model");
    if (c->json)
        cli_print_json(o);
    else if (!json_is_object(m))
        printf("no model: search and rules alone\n");
    else
        print_model(m);
    json_decref(o);
    return 0;
}
