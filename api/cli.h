/* cli.h: between the files of the command line. */
#ifndef ANTINOMY_CLI_H
#define ANTINOMY_CLI_H

#include "api/api.h"

#include <stdio.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2

struct cli {
    struct api_options api;
    char *data_dir;
    bool json, quiet, allow_private, possible;
    int port, wait_s, context; /* context: tokens, 0 = the model's */
    const char *output;
    char **args; /* behind the command's name */
    int n_args;
    struct api *owner; /* we own the data directory; NULL: a server does */
    bool linked;
};

/* Runs the command line; returns the exit status. */
int cli_main(int argc, char **argv);

/* ---- cli_link.c: one call, to ourselves or to the server ---- */
/* Takes the data directory, or finds the server that has it; waits a bounded time for another command. work: start the
 * ingest worker. */
int cli_link_open(struct cli *c, bool work, struct error *e);
void cli_link_close(struct cli *c);
int cli_call(struct cli *c, struct api_request *q, json_t **out, const struct api_sink *sink, struct error *e);
/* The same for "METHOD path" with a JSON body or NULL (stolen). */
int cli_ask_for(struct cli *c, enum api_method method, const char *path, json_t *body, json_t **out, struct error *e);
void cli_catch_interrupts(void); /* from now on the first Ctrl-C only makes cli_interrupted true */
bool cli_interrupted(void);

/* ---- commands ---- */
int command_ingest(struct cli *c);
int command_ask(struct cli *c);
int command_answers(struct cli *c);
int command_answer(struct cli *c);
int command_contradictions(struct cli *c);
int command_serve(struct cli *c);
int command_sets(struct cli *c);
int command_documents(struct cli *c);
int command_delete(struct cli *c);
int command_model(struct cli *c);

/* ---- cli_print.c ---- */
int cli_fail(const struct cli *c, const struct error *e); /* says it (and as JSON with --json); returns EXIT_FAILED */
void cli_print_json(const json_t *o);
void cli_print_error(const char *subject, const json_t *error);
void cli_print_answer(const json_t *o);
void cli_print_report(const json_t *o);
/* A line or a bar on stderr that says how far it is. */
void cli_progress(const struct cli *c, const char *what, uint64_t done, uint64_t total);
void cli_progress_end(const struct cli *c);
/* Text with the marked character ranges set off: bold on a terminal, «so» elsewhere. Control characters of foreign text
 * are not passed on. */
void cli_print_marked(FILE *f, bool terminal, const char *indent, struct slice text, const json_t *marks,
                      int64_t offset);
/* Writes foreign text on one line, without control characters. */
void cli_put(FILE *f, const char *s);

#endif
