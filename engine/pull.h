/* pull.h: models on this machine's disk: fetched from a hub, copied in from a path, listed. They lie in a models
 * folder, ORG/NAME each. Any thread; two pulls of one model at a time are refused (ERR_BUSY).
 *
 *     struct error e;
 *     if (model_pull("data/models", "ai21labs/AI21-Jamba2-3B", NULL, &e) != 0) fail(&e);
 */
#ifndef ANTINOMY_PULL_H
#define ANTINOMY_PULL_H

#include "base.h"

#include <jansson.h>

struct pull_options {
    const char *base_url; /* NULL: $ANTINOMY_HUB, else the public hub. https; plain http only to this machine */
    const char *file; /* of a repository with several GGUF files: which one (of shards: any); NULL: there is only one */
    uint64_t max_bytes; /* all files together; 0: 2 TB */
    bool (*progress)(void *ctx, const char *file, uint64_t done,
                     uint64_t total); /* of this file; false stops the download */
    void *ctx;
};

/* Fetches the model's files into models_dir/ORG/NAME. What an earlier call left unfinished is gone on with; a file is
 * put under its name only when its size, and its SHA-256 where the hub tells it, are right. ERR_ARG, ERR_NOT_FOUND,
 * ERR_IO (try again: it goes on), ERR_FORMAT (listing or checksum wrong), ERR_LIMIT, ERR_CANCELLED, ERR_BUSY. */
int model_pull(const char *models_dir, const char *name, const struct pull_options *o, struct error *e);
/* Length of a GGUF file's name without "-00001-of-00003.gguf" or ".gguf"; of another name all of it. */
size_t model_stem(const char *name);
/* Whether two names are one GGUF file, or shards of one model. */
bool model_same(const char *a, const char *b);
/* Copies a .gguf file (with its other shards) or a model's folder into models_dir/local/NAME. What killed imports left
 * is removed first. ERR_ARG when it is there already, ERR_BUSY while another process imports a model of that name,
 * ERR_FORMAT when it is no model, ERR_NOT_FOUND, ERR_IO (a full disk before the first byte is copied). */
int model_import(const char *models_dir, const char *path, char name[256], struct error *e);
/* Where a model lies that a person named: a path that is there, else ORG/NAME or ORG/NAME/FILE.gguf in the models
 * folder (what pull and import call it). path is malloc'd. ERR_NOT_FOUND, ERR_BUSY when its download is not complete;
 * what looks like a path is handed on as it is. */
int model_find(const char *models_dir, const char *name, char **path, struct error *e);
/* [{"name","path","bytes","complete","state"}], sorted by name; state: "ready", "fetching" (a pull is at work),
 * "incomplete" (a pull broke off). An empty array when there is no models folder. The caller decrefs. */
int model_list(const char *models_dir, json_t **out, struct error *e);

#endif
