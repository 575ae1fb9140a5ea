/* model.c: opens a model: finds its files, reads config, tokenizer and weights, starts a backend. Owns struct
 * jamba_model.
 *
 * A path is a .gguf file, the first of its shards, or a folder that holds exactly one model. `card.json` beside the
 * files is the model's card and is handed on as text.
 */
#include "engine/jamba/model.h"
#include "engine/jamba/gguf.h"
#include "engine/jamba/pattern.h"
#include "engine/jamba/safetensors.h"
#include "engine/jamba/tokenizer.h"
#include "engine/jamba/weights.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CARD_MAX_BYTES = 1 << 20, VOCABULARY_MAX_BYTES = 256 << 20 };

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* "-0000K-of-0000N.gguf" with K > 1: a shard that belongs to another file. */
static bool is_later_shard(const char *name) {
    const char *tail = "-00001-of-00001.gguf";
    size_t n = strlen(name), m = strlen(tail);
    if (n < m) return false;
    const char *p = name + n - m;
    return p[0] == '-' && memcmp(p + 6, "-of-", 4) == 0 && strspn(p + 1, "0123456789") == 5 &&
           memcmp(p + 1, "00001", 5) != 0;
}

/* The one model in a folder: *file is its first .gguf. */
static int find_in_folder(struct arena *a, const char *folder, const char **file, struct error *e) {
    DIR *d = opendir(folder);
    if (!d) return error_set(e, ERR_IO, folder, "The model folder cannot be read: %s.", strerror(errno));
    int rc = 0;
    const struct dirent *entry;
    bool later = false;
    char first[256] = "";
    *file = NULL;
    while (!rc && (entry = readdir(d)) != NULL) {
        if (!ends_with(entry->d_name, ".gguf") || entry->d_name[0] == '.') continue;
        if (is_later_shard(entry->d_name)) {
            later = true;
            continue;
        }
        if (*file) {
            rc = error_set(e, ERR_ARG, folder, "The folder holds several models (%.100s and %.100s). Name the file.",
                           first, entry->d_name);
        } else {
            snprintf(first, sizeof first, "%s", entry->d_name);
            *file = arena_slice_printf(a, "%s/%s", folder, entry->d_name).data;
            if (!**file) rc = error_set(e, ERR_NOMEM, folder, "Out of memory.");
        }
    }
    closedir(d);
    if (!rc && !*file && later)
        rc = error_set(e, ERR_NOT_FOUND, folder, "The first shard (…-00001-of-….gguf) of the model is missing.");
    if (!rc && !*file) { /* Hugging Face's layout */
        *file = arena_slice_printf(a, "%s/config.json", folder).data;
        if (access(*file, F_OK))
            rc = error_set(e, ERR_NOT_FOUND, folder,
                           "The folder holds no model (a .gguf file, or config.json with safetensors).");
    }
    return rc;
}

static const char *folder_of(struct arena *a, const char *file) {
    const char *slash = strrchr(file, '/');
    return slash ? arena_slice_printf(a, "%.*s", (int)(slash - file), file).data : ".";
}

static int load_card(struct jamba_model *m, const char *file, struct error *e) {
    struct buf b = {0};
    const char *slash = strrchr(file, '/');
    struct slice path = arena_slice_printf(&m->arena, "%.*scard.json", slash ? (int)(slash + 1 - file) : 0, file);
    if (!path.len) return error_set(e, ERR_NOMEM, "", "Out of memory.");
    int rc = file_read(path.data, CARD_MAX_BYTES, &b, e);
    if (rc == ERR_NOT_FOUND) rc = 0;
    if (!rc && b.len && !utf8_valid(b.data, b.len))
        rc = error_set(e, ERR_FORMAT, path.data, "The model's card is not UTF-8 text.");
    if (!rc) m->card = strdup(b.data ? b.data : "");
    if (!rc && !m->card) rc = error_set(e, ERR_NOMEM, "", "Out of memory.");
    buf_free(&b);
    return rc;
}

static int open_gguf(struct jamba_model *m, struct tensor_list *l, const char *file, struct error *e) {
    struct gguf g;
    bool *is_attention;
    int rc = gguf_open(&g, l, file, e);
    if (!rc) rc = gguf_config(&g, l, &m->config, &is_attention, e);
    if (!rc) rc = weights_bind(m, l, is_attention, e);
    if (!rc) rc = tokenizer_from_gguf(&m->tokenizer, &g, e);
    if (rc) return rc;
    struct slice name = gguf_string(&g, "general.name");
    if (!name.len || !utf8_valid(name.data, name.len)) name = slice_of(path_base(file));
    m->name = strndup(name.data, name.len < 200 ? name.len : 200);
    return m->name ? 0 : error_set(e, ERR_NOMEM, g.file, "Out of memory.");
}

/* tokenizer.json is what transformers loads, so it comes first; the .model stands in where its rules are not ours. */
static int load_vocabulary(struct jamba_model *m, const char *folder, struct error *e) {
    static const struct {
        const char *name;
        int (*read)(struct tokenizer **out, struct slice file, const char *where, struct error *e);
    } files[] = {{"tokenizer.json", tokenizer_from_json}, {"tokenizer.model", tokenizer_from_sentencepiece}};
    int rc = ERR_NOT_FOUND;
    for (size_t i = 0; i < 2 && rc; i++) {
        struct buf b = {0};
        struct error now = {0};
        struct slice path = arena_slice_printf(&m->arena, "%s/%s", folder, files[i].name);
        int failed = path.len ? file_read(path.data, VOCABULARY_MAX_BYTES, &b, &now)
                              : error_set(&now, ERR_NOMEM, "", "Out of memory.");
        if (!failed) failed = files[i].read(&m->tokenizer, buf_slice(&b), files[i].name, &now);
        buf_free(&b);
        if (rc == ERR_NOT_FOUND || !failed) {
            rc = failed;
            if (e && failed) *e = now;
        }
    }
    if (rc == ERR_NOT_FOUND)
        return error_set(e, rc, folder, "The folder holds no vocabulary (tokenizer.json or tokenizer.model).");
    if (!rc && m->tokenizer->n > m->config.n_vocab)
        return error_set(e, ERR_FORMAT, folder, "The vocabulary has %u tokens, the model %u.", m->tokenizer->n,
                         m->config.n_vocab);
    return rc;
}

static int open_safetensors(struct jamba_model *m, struct tensor_list *l, const char *folder, struct error *e) {
    bool *is_attention, *is_moe;
    int rc = config_from_json(&m->arena, folder, &m->config, &is_attention, &is_moe, e);
    if (!rc) rc = safetensors_open(l, folder, &m->config, is_attention, is_moe, e);
    if (!rc) rc = weights_bind(m, l, is_attention, e);
    if (!rc) rc = load_vocabulary(m, folder, e);
    if (rc) return rc;
    size_t n = strlen(folder);
    while (n > 1 && folder[n - 1] == '/') n--;
    size_t from = n;
    while (from && folder[from - 1] != '/') from--;
    m->name = strndup(folder + from, n - from < 200 ? n - from : 200);
    return m->name ? 0 : error_set(e, ERR_NOMEM, folder, "Out of memory.");
}

static int choose_backend(struct jamba_model *m, const struct jamba_model_options *o, struct error *e) {
    const char *device = o->device && *o->device ? o->device : "cpu";
    if (strcmp(device, "cpu") == 0) {
        m->backend = &backend_cpu;
    } else if (strncmp(device, "cuda", 4) == 0 && (device[4] == 0 || device[4] == ':')) {
#ifdef ANTINOMY_CUDA
        m->backend = &backend_cuda;
#else
        return error_set(e, ERR_UNSUPPORTED, device, "This program was built without CUDA; it runs on the CPU.");
#endif
    } else {
        return error_set(e, ERR_ARG, device, "There is no device of this name; \"cpu\" and \"cuda\" can be.");
    }
    return m->backend->open(&m->backend_ctx, m, o, e);
}

int jamba_model_open(struct jamba_model **out, const char *path, const struct jamba_model_options *o, struct error *e) {
    static const struct jamba_model_options defaults = {0};
    struct stat st;
    struct tensor_list l;
    const char *file = path;
    if (!o) o = &defaults;
    *out = NULL;
    if (stat(path, &st))
        return error_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, path, "The model cannot be opened: %s.",
                         strerror(errno));
    struct jamba_model *m = calloc(1, sizeof *m);
    if (!m) return error_set(e, ERR_NOMEM, path, "Out of memory.");
    if (pthread_mutex_init(&m->lock, NULL)) {
        free(m);
        return error_set(e, ERR_NOMEM, path, "Out of memory.");
    }
    tensor_list_init(&l, &m->arena);
    int rc = S_ISDIR(st.st_mode) ? find_in_folder(&m->arena, path, &file, e) : 0;
    if (!rc)
        rc = ends_with(file, "/config.json") ? open_safetensors(m, &l, folder_of(&m->arena, file), e)
                                             : open_gguf(m, &l, file, e);
    if (!rc) rc = load_card(m, file, e);
    if (!rc && o->random_weights) rc = weights_randomize(m, o->random_seed, e);
    if (!rc) rc = weights_id(m, m->tokenizer->digest, m->id, e);
    m->maps = l.maps; /* tensors and vocabulary point into them */
    m->n_maps = l.n_maps;
    l.maps = NULL;
    l.n_maps = 0;
    tensor_list_free(&l);
    if (!rc) rc = choose_backend(m, o, e);
    if (!rc)
        *out = m;
    else
        jamba_model_close(m);
    return rc;
}

void jamba_model_close(struct jamba_model *m) {
    if (!m) return;
    if (m->backend && m->backend_ctx) m->backend->close(m->backend_ctx);
    token_trie_free(m->trie);
    tokenizer_free(m->tokenizer);
    for (size_t i = 0; i < m->n_maps; i++) model_map_close(&m->maps[i]);
    free(m->maps);
    free(m->name);
    free(m->card);
    arena_free(&m->arena);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

const struct jamba_config *jamba_model_config(const struct jamba_model *m) {
    return &m->config;
}

const char *jamba_model_name(const struct jamba_model *m) {
    return m->name;
}

const char *jamba_model_kernel_path(const struct jamba_model *m) {
    return m->backend && m->backend_ctx ? m->backend->path(m->backend_ctx) : "none";
}

const uint8_t *jamba_model_id(const struct jamba_model *m) {
    return m->id;
}

const char *jamba_model_card(const struct jamba_model *m) {
    return m->card;
}

uint64_t jamba_model_bytes(const struct jamba_model *m) {
    uint64_t n = m->arena.used + (m->backend && m->backend_ctx ? m->backend->bytes(m->backend_ctx) : 0);
    for (size_t i = 0; i < m->n_maps; i++) n += m->maps[i].len;
    return n - m->given_back;
}
