/* cli_link.c: a command's way to the data: itself, when it gets the directory's lock; else the server that has it, over
 * its Unix socket; else, while another command works there, a bounded wait. Owns Ctrl-C: the first asks for an orderly
 * end, the second ends. */
#include "api/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig) {
    interrupted = 1;
    signal(sig, SIG_DFL);
}

void cli_catch_interrupts(void) {
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
}

bool cli_interrupted(void) {
    return interrupted != 0;
}

int cli_link_open(struct cli *c, bool work, struct error *e) {
    double until = clock_seconds() + c->wait_s;
    bool said = false;
    cli_catch_interrupts();
    for (;;) {
        int fd, rc = api_open(&c->owner, &c->api, e);
        if (rc == 0 && work) rc = api_workers_start(c->owner, e);
        if (rc == 0) c->linked = true;
        if (rc != ERR_BUSY) return rc;
        struct error none;
        if (client_connect(c->data_dir, &fd, &none) == 0) { /* a server: it closes this one as an empty request */
            close(fd);
            c->linked = true;
            return 0;
        }
        if (clock_seconds() >= until || interrupted)
            return error_set(
                e, ERR_BUSY, c->data_dir,
                "Another antinomy command uses this data directory; try again when it has ended (waited %d s).",
                c->wait_s);
        if (!said && !c->quiet) fprintf(stderr, "antinomy: waiting for another command that uses %s\n", c->data_dir);
        said = true;
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    }
}

void cli_link_close(struct cli *c) {
    api_close(c->owner);
    c->owner = NULL;
}

/* A problem's JSON back to an error. */
static int problem_error(const json_t *o, int status, struct error *e) {
    const char *code = json_string_value(json_object_get(o, "code")),
               *detail = json_string_value(json_object_get(o, "detail"));
    const char *where = json_string_value(json_object_get(o, "where"));
    int rc = ERR_IO;
    for (int i = ERR_NOMEM; i <= ERR_ENCRYPTED; i++)
        if (code != NULL && strcmp(code, error_name(i)) == 0) rc = i;
    if (detail == NULL) return error_set(e, rc, "", "The server answered with status %d.", status);
    return error_set(e, rc, where != NULL ? where : "", "%s", detail);
}

int cli_call(struct cli *c, struct api_request *q, json_t **out, const struct api_sink *sink, struct error *e) {
    struct api_response r = {0};
    int rc = 0;
    *out = NULL;
    if (c->owner != NULL) {
        api_handle(c->owner, q, &r);
        if (r.work != NULL) {
            rc = r.work->run(r.work, sink, &r.body, e);
        }
    } else {
        rc = client_call(c->data_dir, q, &r, sink, e);
    }
    if (rc == 0) {
        struct slice body = r.fixed.data != NULL ? r.fixed : buf_slice(&r.body);
        json_error_t je;
        json_t *o = json_loadb(body.data, body.len, 0, &je);
        bool problem = r.content_type != NULL && strcmp(r.content_type, "application/problem+json") == 0;
        if (r.status >= 400 || problem) {
            rc = problem_error(o, r.status, e);
            json_decref(o);
        } else if (o == NULL) {
            rc = error_set(e, ERR_FORMAT, "", "The answer is not JSON (byte %d: %s).", je.position, je.text);
        } else {
            *out = o;
        }
    }
    api_response_free(&r);
    return rc;
}

int cli_ask_for(struct cli *c, enum api_method method, const char *path, json_t *body, json_t **out, struct error *e) {
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    bool wanted = body != NULL;
    json_decref(body);
    if (wanted && text == NULL) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    struct api_request q = {.method = method, .path = path, .body = slice_of(text)};
    int rc = cli_call(c, &q, out, NULL, e);
    free(text);
    return rc;
}
