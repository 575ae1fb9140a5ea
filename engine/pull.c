/* pull.c: a model's files from a hub, by libcurl. One call lists them (GET /api/models/ORG/NAME?blobs=true), then each
 * comes from /ORG/NAME/resolve/COMMIT/FILE, so that all are of one commit. What the hub tells of a file (as its own
 * client reads it: huggingface_hub, hf_api.py, file_download.py, utils/_http.py):
 *
 *     listing    {"sha": commit, "siblings": [{"rfilename", "size", "blobId", "lfs": {"sha256", "size"}}]}
 *                lfs: large files; the others have git's SHA-1 of "blob SIZE\0" and the bytes as blobId
 *     resolve    a large file is a redirect to another host, with X-Linked-Size and X-Linked-Etag (SHA-256)
 *     refusal    401 or 403 with X-Error-Code: GatedRepo (terms to accept first), RepoNotFound (also what is private)
 *
 * A token ($HF_TOKEN) goes to the hub alone: libcurl drops it where a redirect leads to another host or port. An
 * unfinished file is ".FILE.KEY.part", KEY being of its checksum or commit: what is gone on with is the same file
 * (RFC 9110, 14.2: Range). Refuses: names that lead out of the folder, plain http to other machines, more bytes than
 * listed, wrong checksums. */
#include "engine/pull.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    PULL_REDIRECTS = 5,
    PULL_ATTEMPTS = 5, /* of one file, in one call */
    PULL_CONNECT_S = 30,
    PULL_STALL_S = 60, /* without a byte: the attempt is over */
    PULL_LISTING_BYTES = 16 << 20,
    PULL_FILES = 4096,            /* in a listing */
    PULL_NAME = 200,              /* bytes of a file's or repository's name */
    PULL_UNSIZED_BYTES = 64 << 20 /* of a file whose size the listing leaves out */
};
#define PULL_TOTAL_BYTES ((uint64_t)2000 << 30)
#define PULL_HUB "https://huggingface.co"

struct pull_file {
    char path[PULL_NAME + 1]; /* in the repository */
    const char *name;         /* here: path's last part */
    uint64_t size;
    bool sized, hashed;
    char sha256[65], blob[41]; /* blob: git's SHA-1, "" when not told */
};

struct pull {
    struct pull_options o;
    const char *name, *base, *token, *authorities; /* token: NULL without; authorities: a file of certificates */
    char dir[1024], commit[65];
    struct pull_file *files;
    size_t n_files, cap;
    CURL *curl;
};

/* ---- names ---- */
/* One part of a path: letters, digits and . _ - +; no leading dot (our own files begin with one), so neither "." nor
 * "..". */
static bool safe_part(const char *s, size_t len) {
    if (len == 0 || len > PULL_NAME || s[0] == '.' || s[0] == '-') return false;
    for (size_t i = 0; i < len; i++) {
        bool good = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') ||
                    (s[i] != '\0' && strchr("._-+", s[i]));
        if (!good) return false;
    }
    return true;
}

static bool safe_path(const char *s) {
    if (strlen(s) > PULL_NAME) return false;
    for (;;) {
        size_t len = strcspn(s, "/");
        if (!safe_part(s, len)) return false;
        if (s[len] == '\0') return true;
        s += len + 1;
    }
}

/* A name that may stand in a listing but is not taken: hidden files, spaces, other scripts. What leads out of a folder
 * may not stand there. */
static bool hostile_path(const char *s) {
    if (*s == '\0' || *s == '/' || strlen(s) > 1024) return true;
    for (const char *p = s; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == '\\') return true;
    for (;;) {
        size_t len = strcspn(s, "/");
        if (len == 0 || (len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.')) return true;
        if (s[len] == '\0') return false;
        s += len + 1;
    }
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static int make_folder(const char *path, struct error *e) {
    char copy[1024];
    snprintf(copy, sizeof copy, "%s", path);
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != '\0') continue;
        char was = *p;
        *p = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST)
            return error_set(e, ERR_IO, copy, "The models folder cannot be made: %s.", strerror(errno));
        *p = was;
        if (was == '\0') return 0;
    }
}

/* ---- git's checksum: SHA-1 (FIPS 180-4, 6.1); tells a damaged file from a whole one, no forgery ---- */
struct sha1 {
    uint32_t h[5];
    uint64_t n;
    uint8_t block[64];
};

static uint32_t left(uint32_t x, int n) {
    return x << n | x >> (32 - n);
}

static void sha1_block(struct sha1 *s) {
    uint32_t w[80], a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3], e = s->h[4];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)s->block[4 * i] << 24 | (uint32_t)s->block[4 * i + 1] << 16 |
               (uint32_t)s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
    for (int i = 16; i < 80; i++) w[i] = left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
        uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
        uint32_t next = left(a, 5) + f + e + k + w[i];
        e = d, d = c, c = left(b, 30), b = a, a = next;
    }
    s->h[0] += a, s->h[1] += b, s->h[2] += c, s->h[3] += d, s->h[4] += e;
}

static void sha1_update(struct sha1 *s, const void *data, size_t len) {
    for (const uint8_t *p = data; len > 0; len--) {
        s->block[s->n++ % 64] = *p++;
        if (s->n % 64 == 0) sha1_block(s);
    }
}

static void sha1_hex(struct sha1 *s, char hex[41]) {
    uint8_t end[8], sum[20];
    for (int i = 0; i < 8; i++) end[i] = (uint8_t)(s->n * 8 >> (56 - 8 * i));
    sha1_update(s, "\x80", 1);
    while (s->n % 64 != 56) sha1_update(s, "", 1);
    sha1_update(s, end, 8);
    for (int i = 0; i < 20; i++) sum[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
    hex_encode(sum, 20, hex);
}

/* git's name of the bytes in fd; leaves the position at the end. "" when they cannot be read. */
static void git_blob(int fd, uint64_t len, char hex[41]) {
    struct sha1 s = {.h = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
    char block[8192];
    ssize_t k = snprintf(block, sizeof block, "blob %llu", (unsigned long long)len) + 1;
    hex[0] = '\0';
    if (lseek(fd, 0, SEEK_SET) != 0) return;
    do sha1_update(&s, block, (size_t)k);
    while ((k = read(fd, block, sizeof block)) > 0);
    if (k == 0) sha1_hex(&s, hex);
}

/* ---- transfers ---- */
static bool hex_only(const char *s, size_t min, size_t max) {
    size_t n = s ? strlen(s) : 0;
    return n >= min && n <= max && strspn(s, "0123456789abcdef") == n;
}

struct transfer {
    struct pull *p;
    struct pull_file *file; /* NULL: the listing, into text */
    struct buf text;
    struct sha256 hash;
    int fd, disk_error;
    uint64_t at, limit, reported;
    bool ranged, started, too_much, stopped, misplaced, disagree;
    char refusal[32]; /* X-Error-Code of the last response */
};

/* X-Linked-Etag and X-Linked-Size: of the hub, whose answer is the first of a chain of redirects to say so. They stand
 * in where the listing told no checksum or size, and must not contradict it. */
static void linked_sum(struct transfer *t, const char *value) {
    struct pull_file *f = t->file;
    char sum[65];
    if (f == NULL) return;
    if (strncmp(value, "W/", 2) == 0) value += 2;
    if (*value == '"') value++;
    snprintf(sum, sizeof sum, "%.*s", (int)strcspn(value, "\" \r\n"), value);
    if (!hex_only(sum, 64, 64)) return;
    if (f->hashed && strcmp(f->sha256, sum) != 0) t->disagree = true;
    if (!f->hashed) memcpy(f->sha256, sum, sizeof sum);
    f->hashed = true;
}

static void linked_size(struct transfer *t, const char *value) {
    struct pull_file *f = t->file;
    char *end;
    unsigned long long size = strtoull(value, &end, 10);
    if (f == NULL || end == value || size > t->p->o.max_bytes) return;
    if (f->sized && f->size != size) t->disagree = true;
    if (!f->sized) t->limit = f->size = size;
    f->sized = true;
}

static size_t on_header(char *data, size_t size, size_t n, void *context) {
    struct transfer *t = context;
    size_t len = size * n;
    unsigned long long from = 0;
    char line[128];
    snprintf(line, sizeof line, "%.*s", (int)(len < 127 ? len : 127), data);
    const char *value = line + strcspn(line, ":");
    value += *value == ':';
    value += strspn(value, " \t");
    if (strncasecmp(line, "http/", 5) == 0) t->refusal[0] = '\0'; /* the next response */
    if (strncasecmp(line, "content-range:", 14) == 0 && sscanf(value, "bytes %llu-", &from) == 1 && from != t->at)
        t->misplaced = true;
    if (strncasecmp(line, "x-linked-etag:", 14) == 0) linked_sum(t, value);
    if (strncasecmp(line, "x-linked-size:", 14) == 0) linked_size(t, value);
    if (strncasecmp(line, "x-error-code:", 13) == 0)
        snprintf(t->refusal, sizeof t->refusal, "%.*s", (int)strcspn(value, " \r\n"), value);
    return len;
}

static size_t on_data(char *data, size_t size, size_t n, void *context) {
    struct transfer *t = context;
    size_t len = size * n, done = 0;
    long status = 0;
    curl_easy_getinfo(t->p->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206) return len; /* an error's page is not kept; its number is told later */
    if (t->disagree) return 0;
    if (t->misplaced || (status == 206 && !t->ranged)) {
        t->misplaced = true;
        return 0;
    }
    if (!t->started && t->ranged && status == 200) { /* the server knows no ranges: from the beginning */
        if (ftruncate(t->fd, 0) != 0 || lseek(t->fd, 0, SEEK_SET) != 0) {
            t->disk_error = errno;
            return 0;
        }
        sha256_init(&t->hash);
        t->at = 0;
    }
    t->started = true;
    if (len > t->limit - t->at) {
        t->too_much = true;
        return 0;
    }
    if (t->file == NULL) {
        buf_append(&t->text, data, len);
        t->at += len;
        return t->text.failed ? 0 : len;
    }
    while (done < len) {
        ssize_t k = write(t->fd, data + done, len - done);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) {
            t->disk_error = errno;
            return 0;
        }
        done += (size_t)k;
    }
    sha256_update(&t->hash, data, len);
    t->at += len;
    return len;
}

static int on_progress(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up) {
    struct transfer *t = context;
    (void)total, (void)now, (void)up_total, (void)up;
    const struct pull_options *o = &t->p->o;
    if (o->progress && !o->progress(o->ctx, t->file ? t->file->name : "", t->at, t->file ? t->file->size : 0))
        t->stopped = true;
    return t->stopped;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void curl_begin(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Why the hub does not give it, and what the person can do. */
static int refused(const struct transfer *t, long status, const char *url, struct error *e) {
    const struct pull *p = t->p;
    if (strcmp(t->refusal, "GatedRepo") == 0 && p->token == NULL)
        return error_set(e, ERR_NOT_FOUND, url,
                         "The model is given to those who accept its terms: accept them at %.150s/%.60s and put your "
                         "access token into HF_TOKEN (answer %ld).",
                         p->base, p->name, status);
    if (strcmp(t->refusal, "GatedRepo") == 0)
        return error_set(
            e, ERR_NOT_FOUND, url,
            "The account behind HF_TOKEN has not been given this model: ask for it at %.150s/%.60s (answer "
            "%ld).",
            p->base, p->name, status);
    if (p->token == NULL)
        return error_set(
            e, ERR_NOT_FOUND, url,
            "The hub has no such model, or does not show it to everyone (answer %ld): check the name, or put "
            "your access token into HF_TOKEN.",
            status);
    return error_set(e, ERR_NOT_FOUND, url,
                     "The hub has no such model, or does not show it to the account behind HF_TOKEN (answer %ld).",
                     status);
}

/* One attempt. *again: the same request may succeed later. */
static int transfer(struct transfer *t, const char *url, bool *again, struct error *e) {
    CURL *c = t->p->curl;
    char message[CURL_ERROR_SIZE] = "", range[32];
    long status = 0;
    bool plain = strncmp(url, "http://", 7) == 0;
    *again = false;
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, plain ? "http,https" : "https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, plain ? "http,https" : "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)PULL_REDIRECTS);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)PULL_CONNECT_S);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)PULL_STALL_S);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "antinomy");
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, message);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    if (t->p->authorities) curl_easy_setopt(c, CURLOPT_CAINFO, t->p->authorities);
    if (t->p->token) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, t->p->token);
    }
    t->started = t->misplaced = t->disagree = false;
    t->ranged = t->at > 0;
    snprintf(range, sizeof range, "%llu-", (unsigned long long)t->at);
    if (t->ranged) curl_easy_setopt(c, CURLOPT_RANGE, range);
    CURLcode rc = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (t->stopped)
        return error_set(e, ERR_CANCELLED, url, "The download was stopped; the next one goes on from here.");
    if (t->disk_error)
        return error_set(e, ERR_IO, t->p->dir, "The download cannot be stored: %s.", strerror(t->disk_error));
    if (t->text.failed) return error_set(e, ERR_NOMEM, url, "There is not enough memory.");
    if (t->too_much)
        return t->file && t->file->sized
                   ? error_set(e, ERR_FORMAT, url, "The server sends more bytes than the hub's listing says.")
                   : error_set(e, ERR_LIMIT, url, "The server sends more than %llu bytes.",
                               (unsigned long long)t->limit);
    if (t->disagree)
        return error_set(e, ERR_FORMAT, t->file->path,
                         "The hub tells two different checksums or sizes of this file; it was not fetched.");
    if (t->misplaced)
        return error_set(e, ERR_FORMAT, url, "The server sends another part of the file than was asked for.");
    if (rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CACERT_BADFILE)
        return error_set(e, ERR_IO, url,
                         "The server's certificate is not trusted here: %.150s. A certificate authority of your own is "
                         "named by CURL_CA_BUNDLE or SSL_CERT_FILE.",
                         message[0] ? message : curl_easy_strerror(rc));
    if (rc == CURLE_TOO_MANY_REDIRECTS)
        return error_set(e, ERR_IO, url, "The server sends on from address to address, more than %d times.",
                         PULL_REDIRECTS);
    if (rc == CURLE_UNSUPPORTED_PROTOCOL || rc == CURLE_URL_MALFORMAT)
        return error_set(e, ERR_ARG, url, "The address cannot be loaded: %s.",
                         message[0] ? message : curl_easy_strerror(rc));
    if (rc != 0) {
        *again = true;
        return error_set(e, ERR_IO, url, "The download broke off: %s. The same command goes on with it.",
                         message[0] ? message : curl_easy_strerror(rc));
    }
    if (status == 401 || status == 403) return refused(t, status, url, e);
    if (status == 404 || status == 410)
        return error_set(e, ERR_NOT_FOUND, url, "The hub has no such model or file (answer %ld).", status);
    if (status != 200 && status != 206) {
        *again = status == 429 || status >= 500;
        return error_set(e, ERR_IO, url, "The server answered %ld.", status);
    }
    return 0;
}

/* ---- the listing ---- */
static bool wanted(const struct pull *p, const char *path) {
    if (!safe_path(path)) return false;
    if (p->o.file) return ends_with(path, ".gguf") && model_same(path, p->o.file);
    if (strchr(path, '/')) return false;
    return ends_with(path, ".json") || ends_with(path, ".safetensors") || ends_with(path, ".gguf") ||
           ends_with(path, ".model");
}

static int listing_read(struct pull *p, const char *url, struct slice text, struct error *e) {
    json_t *o = json_loadb(text.data, text.len, 0, NULL), *siblings = json_object_get(o, "siblings"), *s;
    const char *commit = json_string_value(json_object_get(o, "sha")), *gguf = NULL;
    size_t i;
    uint64_t total = 0;
    int rc = 0;
    bool safetensors = false;
    if (!json_is_array(siblings) || !hex_only(commit, 40, 64)) {
        rc = error_set(e, ERR_FORMAT, url, "The server's answer is no listing of a model's files.");
        goto done;
    }
    if (json_array_size(siblings) > PULL_FILES) {
        rc = error_set(e, ERR_LIMIT, url, "The model has more than %d files.", PULL_FILES);
        goto done;
    }
    snprintf(p->commit, sizeof p->commit, "%s", commit);
    json_array_foreach(siblings, i, s) {
        const char *path = json_string_value(json_object_get(s, "rfilename"));
        const json_t *lfs = json_object_get(s, "lfs"), *size = json_object_get(lfs, "size");
        const char *sha256 = json_string_value(json_object_get(lfs, "sha256")),
                   *blob = json_string_value(json_object_get(s, "blobId"));
        if (!json_is_integer(size)) size = json_object_get(s, "size");
        if (path == NULL || hostile_path(path)) {
            rc = error_set(e, ERR_FORMAT, url,
                           "The listing holds a file name that leads out of the model's folder; nothing was fetched.");
            goto done;
        }
        if (!wanted(p, path)) continue;
        if ((sha256 && (!hex_only(sha256, 64, 64))) || json_integer_value(size) < 0) {
            rc = error_set(e, ERR_FORMAT, path, "The listing's checksum or size of this file is none.");
            goto done;
        }
        if ((rc = array_grow((void **)&p->files, &p->cap, p->n_files + 1, sizeof *p->files, e)) != 0) goto done;
        struct pull_file *f = &p->files[p->n_files++];
        *f = (struct pull_file){
            .size = (uint64_t)json_integer_value(size), .sized = json_is_integer(size), .hashed = sha256 != NULL};
        snprintf(f->path, sizeof f->path, "%s", path);
        if (sha256) snprintf(f->sha256, sizeof f->sha256, "%s", sha256);
        if (!json_is_object(lfs) && hex_only(blob, 40, 40)) snprintf(f->blob, sizeof f->blob, "%s", blob);
        safetensors = safetensors || ends_with(path, ".safetensors");
        if (ends_with(path, ".gguf")) {
            if (gguf && !model_same(gguf, path)) {
                rc = error_set(e, ERR_ARG, p->name,
                               "The repository holds several models, such as %.80s and %.80s: name the file behind the "
                               "model's name.",
                               gguf, path);
                goto done;
            }
            gguf = path;
        }
        if (f->size > p->o.max_bytes - total) {
            rc = error_set(e, ERR_LIMIT, p->name, "The model's files are larger than the limit of %llu bytes.",
                           (unsigned long long)p->o.max_bytes);
            goto done;
        }
        total += f->size;
    }
    if (!safetensors && gguf == NULL)
        rc = error_set(e, ERR_NOT_FOUND, p->name,
                       p->o.file ? "The repository has no GGUF file of that name."
                                 : "The repository holds no model in safetensors or GGUF.");
    else if (safetensors && gguf)
        rc = error_set(e, ERR_ARG, p->name,
                       "The repository holds the model twice, as safetensors and as GGUF: name the GGUF file (%.80s) "
                       "behind the model's name.",
                       gguf);
done:
    json_decref(o);
    return rc;
}

/* ---- one file ---- */
/* Hashes what stands in fd from the beginning; leaves the position at the end. */
static int hash_file(int fd, struct sha256 *h, uint64_t *len, const char *where, struct error *e) {
    static const size_t step = 1 << 20;
    char *block = malloc(step);
    ssize_t k = 0;
    sha256_init(h);
    *len = 0;
    if (block == NULL) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    while ((k = read(fd, block, step)) > 0) {
        sha256_update(h, block, (size_t)k);
        *len += (uint64_t)k;
    }
    int rc = k < 0 ? error_set(e, ERR_IO, where, "The file cannot be read: %s.", strerror(errno)) : 0;
    free(block);
    return rc;
}

static bool right(const struct pull_file *f, struct sha256 h, uint64_t len, int fd) {
    uint8_t sum[32];
    char hex[65];
    if (f->sized && len != f->size) return false;
    if (f->hashed) {
        sha256_final(&h, sum);
        hex_encode(sum, 32, hex);
        return strcmp(hex, f->sha256) == 0;
    }
    if (f->blob[0]) {
        git_blob(fd, len, hex);
        return strcmp(hex, f->blob) == 0;
    }
    return true;
}

static int pull_one(struct pull *p, struct pull_file *f, struct error *e) {
    char final[1400], part[1400], url[2048];
    struct transfer t = {.p = p, .file = f, .fd = -1, .limit = f->sized ? f->size : PULL_UNSIZED_BYTES};
    int rc = 0;
    bool again = true;
    f->name = strrchr(f->path, '/') ? strrchr(f->path, '/') + 1 : f->path;
    snprintf(final, sizeof final, "%s/%s", p->dir, f->name);
    snprintf(part, sizeof part, "%s/.%s.%.16s.part", p->dir, f->name, f->hashed ? f->sha256 : p->commit);
    snprintf(url, sizeof url, "%s/%s/resolve/%s/%s", p->base, p->name, p->commit, f->path);
    if ((f->hashed || f->blob[0]) && (t.fd = open(final, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) >= 0) {
        rc = hash_file(t.fd, &t.hash, &t.at, final, e); /* there already? */
        bool there = rc == 0 && right(f, t.hash, t.at, t.fd);
        close(t.fd);
        if (rc != 0 || there) return rc;
    }
    t.fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (t.fd < 0) return error_set(e, ERR_IO, part, "The download cannot be stored: %s.", strerror(errno));
    if ((rc = hash_file(t.fd, &t.hash, &t.at, part, e)) != 0) goto done;
    if (t.at > t.limit || (!f->sized && t.at > 0)) { /* not ours, or no telling where its end is */
        if (ftruncate(t.fd, 0) != 0 || lseek(t.fd, 0, SEEK_SET) != 0) {
            rc = error_set(e, ERR_IO, part, "The download cannot be stored: %s.", strerror(errno));
            goto done;
        }
        sha256_init(&t.hash);
        t.at = 0;
    }
    for (int i = 0; !(f->sized && t.at == f->size) && again; i++) {
        rc = transfer(&t, url, &again, e);
        if (rc == 0 && f->sized && t.at < f->size) {
            again = true;
            rc = error_set(e, ERR_IO, url, "The download ended early. The same command goes on with it.");
        } else if (rc == 0) {
            break;
        }
        if (i + 1 == PULL_ATTEMPTS) again = false;
        if (again) usleep(200000u << i);
    }
    if (f->sized && t.at == f->size) rc = 0;
    if (rc != 0) goto done;
    if (!right(f, t.hash, t.at, t.fd)) {
        unlink(part);
        rc = error_set(e, ERR_FORMAT, f->path,
                       "The file's %s is not the one that the hub tells; what came was thrown away.",
                       f->hashed ? "SHA-256" : "checksum");
        goto done;
    }
    if (fsync(t.fd) != 0 || rename(part, final) != 0)
        rc = error_set(e, ERR_IO, final, "The download cannot be stored: %s.", strerror(errno));
done:
    close(t.fd);
    return rc;
}

/* ---- a model ---- */
static bool base_allowed(const char *base) {
    if (strncmp(base, "https://", 8) == 0 && base[8] != '\0') return true;
    if (strncmp(base, "http://", 7) != 0) return false;
    size_t n = strcspn(base + 7, ":/");
    return (n == 9 && (memcmp(base + 7, "127.0.0.1", 9) == 0 || memcmp(base + 7, "localhost", 9) == 0)) &&
           strchr(base, '@') == NULL;
}

int model_pull(const char *models_dir, const char *name, const struct pull_options *o, struct error *e) {
    struct pull p = {.name = name};
    struct transfer t = {.p = &p, .fd = -1, .limit = PULL_LISTING_BYTES};
    char url[1024], path[1400];
    struct statvfs space;
    uint64_t total = 0;
    int rc = 0, lock = -1;
    bool again = true;
    if (o) p.o = *o;
    if (p.o.max_bytes == 0) p.o.max_bytes = PULL_TOTAL_BYTES;
    p.base = p.o.base_url ? p.o.base_url : getenv("ANTINOMY_HUB");
    if (p.base == NULL || *p.base == '\0') p.base = PULL_HUB;
    p.authorities = getenv("CURL_CA_BUNDLE"); /* libcurl itself reads neither of them */
    if (p.authorities == NULL || *p.authorities == '\0') p.authorities = getenv("SSL_CERT_FILE");
    if (p.authorities && *p.authorities == '\0') p.authorities = NULL;
    p.token = getenv("HF_TOKEN");
    if (p.token && *p.token == '\0') p.token = NULL;
    const char *slash = strchr(name, '/');
    if (!safe_path(name) || slash == NULL || strchr(slash + 1, '/'))
        return error_set(e, ERR_ARG, "", "A model's name is ORG/NAME, such as ai21labs/AI21-Jamba2-3B.");
    if (p.o.file && (!safe_path(p.o.file) || !ends_with(p.o.file, ".gguf")))
        return error_set(e, ERR_ARG, "", "The file behind a model's name is one of its GGUF files.");
    for (const char *s = p.token; s && *s; s++)
        if (*s <= ' ' || *s > '~') return error_set(e, ERR_ARG, "HF_TOKEN", "This is no access token.");
    if (!base_allowed(p.base) || strlen(p.base) > 400)
        return error_set(e, ERR_ARG, p.base, "Models come over https; plain http only from this machine.");
    if (strlen(models_dir) > 500) return error_set(e, ERR_ARG, models_dir, "The models folder's path is too long.");
    pthread_once(&curl_once, curl_begin);
    if ((p.curl = curl_easy_init()) == NULL) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    snprintf(p.dir, sizeof p.dir, "%s/%s", models_dir, name);
    snprintf(url, sizeof url, "%s/api/models/%s?blobs=true", p.base, name);
    for (int i = 0; again && i < PULL_ATTEMPTS; i++) {
        buf_free(&t.text);
        t.text = (struct buf){0};
        t.at = 0;
        if (i > 0) usleep(100000u << i);
        rc = transfer(&t, url, &again, e);
    }
    if (rc != 0 || (rc = listing_read(&p, url, buf_slice(&t.text), e)) != 0 || (rc = make_folder(p.dir, e)) != 0)
        goto done;
    snprintf(path, sizeof path, "%s/.lock", p.dir);
    lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0) {
        rc = lock < 0 ? error_set(e, ERR_IO, path, "The download cannot be stored: %s.", strerror(errno))
                      : error_set(e, ERR_BUSY, p.dir, "Another command fetches this model already.");
        goto done;
    }
    for (size_t i = 0; i < p.n_files; i++) {
        struct stat st;
        snprintf(path, sizeof path, "%s/.%s.%.16s.part", p.dir, p.files[i].path,
                 p.files[i].hashed ? p.files[i].sha256 : p.commit);
        uint64_t have = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
        snprintf(path, sizeof path, "%s/%s", p.dir, p.files[i].path);
        if (stat(path, &st) == 0) have = p.files[i].size;
        total += p.files[i].size > have ? p.files[i].size - have : 0;
    }
    if (statvfs(p.dir, &space) == 0 && total > (uint64_t)space.f_bavail * space.f_frsize) {
        rc = error_set(e, ERR_IO, p.dir, "The disk has %.1f GB free, the model needs %.1f GB more.",
                       (double)space.f_bavail * (double)space.f_frsize / 1e9, (double)total / 1e9);
        goto done;
    }
    snprintf(path, sizeof path, "%s/.incomplete", p.dir); /* is there until every file is */
    if ((rc = file_write_atomic(path, p.commit, strlen(p.commit), e)) != 0) goto done;
    for (size_t i = 0; rc == 0 && i < p.n_files; i++) rc = pull_one(&p, &p.files[i], e);
    if (rc == 0 && unlink(path) != 0)
        rc = error_set(e, ERR_IO, path, "The file cannot be removed: %s.", strerror(errno));
done:
    if (lock >= 0) close(lock);
    curl_easy_cleanup(p.curl);
    buf_free(&t.text);
    free(p.files);
    return rc;
}
