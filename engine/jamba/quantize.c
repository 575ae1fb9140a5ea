/* quantize.c: quantises a model's matrices at load and keeps the result in a file, so that the next start maps it.
 *
 * Quantised are the linear layers (attention, Mamba's projections, FFN, experts) and the head, where the source is F32,
 * F16 or BF16 and a row is a whole number of blocks of 32. Left alone: the router, norms, convolution, A, D, dt's bias,
 * the embedding's lookup, and whatever a GGUF file has quantised already. "int8" is one scale a row; "q4" one scale
 * each 32 values, but the head in int8: its logits are the answer, and no layer behind it averages its error away.
 *
 * The file (little-endian; Mini's is some 50 GB in int8):
 *
 *       0  "ANTQNT01"
 *       8  version u32   12 form u32   16 number of matrices u64   24 bytes of the file u64
 *      32  model id [32]
 *      64  table, 48 bytes a matrix: type u64, n_in u64, n_out u64, offset u64, bytes u64, checksum u64
 *       .  checksum u64 of all before it, zeros up to a multiple of 64, then the matrices, each at a multiple of 64
 *
 * Every number but the checksums follows from the model and the form. So the reader computes what must stand there and
 * compares: no offset or size is ever taken from the file. The id samples the weights (weights_id), so a file that was
 * changed in a few single weights by hand needs its cache removed. The checksums guard against accidents, not forgers.
 */
#include "engine/jamba/quantize.h"
#include "engine/jamba/checked.h"
#include "engine/jamba/threads.h"
#include "engine/jamba/weights.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CACHE_VERSION 1u /* also of the rounding: another choice of scales is another version */
enum { HEADER = 64, ENTRY = 48, ENTRY_CHECKSUM = 40, ALIGN = 64, BLOCK_VALUES = 32 };
static const char magic[8] = {'A', 'N', 'T', 'Q', 'N', 'T', '0', '1'};

int quantize_form_of(const char *name, enum quantize_form *out, struct error *e) {
    *out = QUANTIZE_NONE;
    if (!name || !*name || strcmp(name, "none") == 0) return 0;
    for (int f = QUANTIZE_INT8; f <= QUANTIZE_Q4; f++)
        if (strcmp(name, quantize_form_name((enum quantize_form)f)) == 0) {
            *out = (enum quantize_form)f;
            return 0;
        }
    return error_set(e, ERR_ARG, name,
                     "The CPU knows no quantisation of this name; \"none\", \"int8\" and \"q4\" can be.");
}

const char *quantize_form_name(enum quantize_form form) {
    return form == QUANTIZE_INT8 ? "int8" : form == QUANTIZE_Q4 ? "q4" : "none";
}

/* ---- rows ---- */
/* To the nearest, ties to even, for |v| < 2^22: behind this sum a float has no bits below one. */
static float rounded(float v) {
    return v + 0x1.8p23f - 0x1.8p23f;
}

/* To the nearest, ties to even; f is finite and below 65520. */
static uint16_t f16_of(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    uint32_t sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
    if (magnitude < 0x38800000) /* below 2^-14: a multiple of 2^-24 */
        return (uint16_t)(sign | (uint32_t)rounded(fabsf(f) * 0x1p24f));
    magnitude += 0xfff + (magnitude >> 13 & 1);
    return (uint16_t)(sign | ((magnitude - 0x38000000) >> 13));
}
static float f32_of(uint16_t h) {
    float f;
    tensor_row_to_f32(TENSOR_F16, &h, &f, 1);
    return f;
}

/* The largest magnitude, or INFINITY where a value is not a number. */
static float absmax(const float *x, uint64_t n) {
    float max = 0;
    bool bad = false;
    for (uint64_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        bad |= isnan(a);
        max = a > max ? a : max;
    }
    return bad ? INFINITY : max;
}

bool quantize_row_int8(const float *x, uint64_t n, uint8_t *out) {
    float max = absmax(x, n);
    if (!(max <= 127 * 65504.0f)) return false;
    uint16_t h = f16_of(max / 127);
    if (max > 127.5f * f32_of(h)) h++; /* an f16 near zero may lie far below: the largest value would be cut */
    float d = f32_of(h);
    for (uint64_t i = 0; i < n; i += BLOCK_VALUES, out += 34) {
        memcpy(out, &h, 2);
        for (int j = 0; j < BLOCK_VALUES; j++) {
            float q = max > 0 ? rounded(x[i + (uint64_t)j] / d) : 0;
            out[2 + j] = (uint8_t)(int8_t)(q < -127 ? -127 : q > 127 ? 127 : q);
        }
    }
    return true;
}

/* Integers for the scale 1 / inverse, then the scale that suits them best as an f16; returns the squared error left. */
static float try_scale(const float *x, float inverse, uint16_t *h, float q[BLOCK_VALUES]) {
    float xq = 0, qq = 0, error = 0;
    for (int j = 0; j < BLOCK_VALUES; j++) {
        float v = rounded(x[j] * inverse);
        q[j] = v < -8 ? -8 : v > 7 ? 7 : v;
        xq += x[j] * q[j];
        qq += q[j] * q[j];
    }
    float d = qq > 0 ? xq / qq : 0;
    *h = f16_of(fabsf(d) < 65504 ? d : copysignf(65504, d));
    d = f32_of(*h);
    for (int j = 0; j < BLOCK_VALUES; j++) {
        float left = x[j] - d * q[j];
        error += left * left;
    }
    return error;
}

bool quantize_row_q4(const float *x, uint64_t n, uint8_t *out) {
    /* Which integer the largest magnitude becomes: -8 and beyond cuts it for the sake of the others, 7 keeps it. Both
     * signs of the scale, since -8 has no +8. */
    static const float at[] = {-8, -7.5f, -8.5f, -9, -7, 7, 7.5f, 8, 8.5f};
    for (uint64_t i = 0; i < n; i += BLOCK_VALUES, out += 18) {
        const float *b = x + i;
        float max = absmax(b, BLOCK_VALUES), best_error = INFINITY, q[BLOCK_VALUES], best[BLOCK_VALUES] = {0};
        if (!(max <= 7 * 65504.0f)) return false;
        uint16_t h = 0, best_h = 0;
        float largest = max;
        for (int j = 0; j < BLOCK_VALUES; j++)
            if (fabsf(b[j]) == max) {
                largest = b[j];
                break;
            }
        for (size_t k = 0; max > 0 && k < sizeof at / sizeof at[0] && best_error > 0; k++) {
            float error = isfinite(at[k] / largest) ? try_scale(b, at[k] / largest, &h, q) : INFINITY;
            if (error < best_error) {
                best_error = error, best_h = h;
                memcpy(best, q, sizeof best);
            }
        }
        memcpy(out, &best_h, 2);
        for (int j = 0; j < 16; j++) out[2 + j] = (uint8_t)((int)best[j] + 8 + (((int)best[j + 16] + 8) << 4));
    }
    return true;
}

/* ---- which matrices, and where they stand ---- */
static uint64_t aligned(uint64_t n) {
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}
static uint64_t table_end(size_t n_matrices) {
    return HEADER + ENTRY * (uint64_t)n_matrices;
}

/* Adds the matrices of t (may be NULL); with no room they are only counted. */
static void add(struct quantized *q, bool store, const struct tensor *t, enum tensor_type to) {
    if (!t || (t->type != TENSOR_F32 && t->type != TENSOR_F16 && t->type != TENSOR_BF16)) return;
    if (t->ne[0] % BLOCK_VALUES) return;
    for (uint64_t i = 0; i < t->ne[2]; i++, q->n_matrices++)
        if (store)
            q->matrices[q->n_matrices] = (struct quantized_matrix){
                .source = t, .expert = i, .to = to, .bytes = t->ne[1] * tensor_row_bytes(to, t->ne[0])};
}

static void list(struct quantized *q, bool store, const struct jamba_model *m, enum quantize_form form) {
    enum tensor_type to = form == QUANTIZE_INT8 ? TENSOR_Q8_0 : TENSOR_Q4_0;
    q->n_matrices = 0;
    add(q, store, m->weights.output, TENSOR_Q8_0);
    for (uint32_t i = 0; i < m->config.n_layer; i++) {
        const struct jamba_layer *l = &m->weights.layers[i];
        const struct tensor *all[] = {
            l->q,       l->k,        l->v,      l->o,        l->ssm_in,        l->ssm_x,       l->ssm_dt,
            l->ssm_out, l->ffn_gate, l->ffn_up, l->ffn_down, l->ffn_gate_exps, l->ffn_up_exps, l->ffn_down_exps};
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) add(q, store, all[k], to);
    }
}

static int lay_out(struct quantized *q, const struct jamba_model *m, enum quantize_form form, struct error *e) {
    list(q, false, m, form);
    if (!q->n_matrices) return 0;
    q->matrices = calloc(q->n_matrices, sizeof *q->matrices);
    if (!q->matrices) return error_set(e, ERR_NOMEM, "", "There is no memory to quantise the model.");
    list(q, true, m, form);
    uint64_t at = aligned(table_end(q->n_matrices) + 8);
    for (size_t i = 0; i < q->n_matrices; i++) {
        q->matrices[i].offset = at;
        at += aligned(q->matrices[i].bytes);
    }
    q->len = (size_t)at;
    return 0;
}

/* Header and table but for the checksums, which stay 0: [table_end] bytes. */
static uint8_t *expected_head(const struct quantized *q, const struct jamba_model *m, enum quantize_form form) {
    uint8_t *p = calloc(1, (size_t)table_end(q->n_matrices));
    if (!p) return NULL;
    memcpy(p, magic, sizeof magic);
    put_u64(p + 8, CACHE_VERSION | (uint64_t)form << 32);
    put_u64(p + 16, q->n_matrices);
    put_u64(p + 24, q->len);
    memcpy(p + 32, m->id, 32);
    for (size_t i = 0; i < q->n_matrices; i++) {
        const struct quantized_matrix *x = &q->matrices[i];
        uint64_t numbers[] = {x->to, x->source->ne[0], x->source->ne[1], x->offset, x->bytes};
        for (size_t k = 0; k < 5; k++) put_u64(p + HEADER + ENTRY * i + 8 * k, numbers[k]);
    }
    return p;
}

const struct quantized_matrix *quantized_find(const struct quantized *q, const struct tensor *t, uint64_t expert) {
    for (size_t i = 0; i < q->n_matrices; i++) /* experts of a tensor stand side by side */
        if (q->matrices[i].source == t) {
            assert(expert < t->ne[2]);
            return &q->matrices[i + expert];
        }
    return NULL;
}

uint64_t quantized_drop(struct quantized *q, const struct quantized_matrix *x) {
    uint64_t first = (x->offset + 4095) & ~(uint64_t)4095, end = (x->offset + x->bytes) & ~(uint64_t)4095;
    if (first >= end || madvise(q->base + first, (size_t)(end - first), MADV_DONTNEED)) return 0;
    return end - first;
}

void quantized_close(struct quantized *q) {
    if (q->base) munmap(q->base, q->len);
    free(q->matrices);
    *q = (struct quantized){0};
}

/* ---- the work, shared by threads: a matrix a time ---- */
struct work {
    const struct quantized *q;
    bool check;              /* of what is mapped; else quantise and write the checksums */
    atomic_size_t next, bad; /* bad: SIZE_MAX, or a matrix that could not be quantised or whose checksum differs */
    atomic_bool no_memory;
};

static bool quantize_matrix(const struct quantized *q, const struct quantized_matrix *x, float *row) {
    const struct tensor *t = x->source;
    const uint8_t *from = tensor_matrix(t, x->expert);
    uint64_t n = t->ne[0], in = tensor_row_bytes(t->type, n), to = tensor_row_bytes(x->to, n);
    for (uint64_t r = 0; r < t->ne[1]; r++) {
        uint8_t *out = q->base + x->offset + r * to;
        tensor_row_to_f32(t->type, from + r * in, row, n);
        if (!(x->to == TENSOR_Q8_0 ? quantize_row_int8(row, n, out) : quantize_row_q4(row, n, out))) return false;
    }
    return true;
}

static void *work_thread(void *ctx) {
    struct work *w = ctx;
    const struct quantized *q = w->q;
    uint64_t longest = 1;
    for (size_t i = 0; i < q->n_matrices; i++)
        if (q->matrices[i].source->ne[0] > longest) longest = q->matrices[i].source->ne[0];
    float *row = w->check ? NULL : malloc((size_t)longest * sizeof *row);
    if (!w->check && !row) {
        atomic_store(&w->no_memory, true);
        return NULL;
    }
    for (size_t i; (i = atomic_fetch_add(&w->next, 1)) < q->n_matrices;) {
        const struct quantized_matrix *x = &q->matrices[i];
        uint8_t *saved = q->base + HEADER + ENTRY * i + ENTRY_CHECKSUM;
        bool good = w->check || quantize_matrix(q, x, row);
        uint64_t sum = block_checksum(q->base + x->offset, (size_t)aligned(x->bytes), i);
        if (w->check)
            good = take_u64(saved) == sum;
        else
            put_u64(saved, sum);
        if (!good) {
            atomic_store(&w->bad, i);
            break;
        }
    }
    free(row);
    return NULL;
}

static void work_run(struct work *w, int n_threads) {
    atomic_store(&w->bad, SIZE_MAX);
    threads_run(n_threads, work_thread, w);
}

/* ---- the file ---- */
void quantize_cache_file(const struct jamba_model *m, enum quantize_form form, char *out, size_t len) {
    const char *own = getenv("ANTINOMY_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char id[65];
    int n = 0;
    hex_encode(m->id, 32, id);
    const char *form_name = quantize_form_name(form);
    out[0] = 0;
    if (own && *own)
        n = snprintf(out, len, "%s/%.32s-%s.quantized", own, id, form_name);
    else if (xdg && *xdg == '/')
        n = snprintf(out, len, "%s/antinomy/%.32s-%s.quantized", xdg, id, form_name);
    else if (home && *home == '/')
        n = snprintf(out, len, "%s/.cache/antinomy/%.32s-%s.quantized", home, id, form_name);
    if (n < 0 || (size_t)n >= len) out[0] = 0;
}

/* What must stand there is compared, then every checksum. */
static int check_mapped(const struct quantized *q, const uint8_t *head, int n_threads, const char *file,
                        struct error *e) {
    uint64_t end = table_end(q->n_matrices);
    bool same = memcmp(q->base, head, HEADER) == 0;
    for (size_t i = 0; same && i < q->n_matrices; i++)
        same = memcmp(q->base + HEADER + ENTRY * i, head + HEADER + ENTRY * i, ENTRY_CHECKSUM) == 0;
    if (!same)
        return error_set(e, ERR_FORMAT, file,
                         "The quantised weights that were kept are of another model or version; they are made anew.");
    bool whole = take_u64(q->base + end) == block_checksum(q->base, (size_t)end, q->n_matrices);
    for (uint64_t i = end + 8; i < q->matrices[0].offset; i++) whole &= q->base[i] == 0;
    if (!whole)
        return error_set(e, ERR_FORMAT, file,
                         "The table of the quantised weights that were kept is damaged; they are made anew.");
    struct work w = {.q = q, .check = true};
    work_run(&w, n_threads);
    size_t bad = atomic_load(&w.bad);
    if (bad == SIZE_MAX) return 0;
    return error_set(e, ERR_FORMAT, file, "The quantised weights that were kept are damaged (%s); they are made anew.",
                     q->matrices[bad].source->name);
}

int quantized_map(struct quantized *q, const struct jamba_model *m, enum quantize_form form, int n_threads,
                  const char *file, struct error *e) {
    struct stat st;
    *q = (struct quantized){0};
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, file,
                         "The quantised weights that were kept cannot be opened: %s.", strerror(errno));
    int rc = lay_out(q, m, form, e);
    uint8_t *head = rc ? NULL : expected_head(q, m, form);
    if (!rc && !head) rc = error_set(e, ERR_NOMEM, file, "There is no memory for the table of quantised weights.");
    void *p = MAP_FAILED;
    if (!rc && (!q->n_matrices || fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != q->len))
        rc = error_set(e, ERR_FORMAT, file,
                       "The quantised weights that were kept are cut short or of another model; they are made anew.");
    else if (!rc && (p = mmap(NULL, q->len, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        rc = error_set(e, ERR_IO, file, "The quantised weights that were kept cannot be mapped: %s.", strerror(errno));
    close(fd);
    if (!rc) q->base = p;
    if (!rc) rc = check_mapped(q, head, n_threads, file, e);
    free(head);
    q->from_cache = q->kept = !rc;
    if (rc) quantized_close(q);
    return rc;
}

static void make_folders(const char *file) {
    char path[4096];
    size_t n = strlen(file);
    if (n >= sizeof path) return;
    memcpy(path, file, n + 1);
    for (size_t i = 1; i < n; i++)
        if (path[i] == '/') {
            path[i] = 0;
            (void)mkdir(path, 0700); /* what fails here fails again, and is reported, when the file is created */
            path[i] = '/';
        }
}

/* Creates file.tmp with room for everything and maps it; -1 and `why` where that cannot be. Whoever holds its lock
 * writes; another process meanwhile does without. */
static int create_tmp(struct quantized *q, const char *tmp, struct error *why) {
    struct stat here, there;
    make_folders(tmp);
    int fd = open(tmp, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600), code = 0;
    void *p = MAP_FAILED;
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB))
        code = errno;
    else if (fstat(fd, &here) || stat(tmp, &there) || here.st_ino != there.st_ino || here.st_dev != there.st_dev)
        code = EWOULDBLOCK; /* another has just put it in place */
    else if (ftruncate(fd, 0) == 0 && (code = posix_fallocate(fd, 0, (off_t)q->len)) == 0)
        p = mmap(NULL, q->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!code && p == MAP_FAILED) code = errno;
    if (!code) {
        q->base = p;
        return fd;
    }
    error_set(why, code == EWOULDBLOCK ? ERR_BUSY : ERR_IO, tmp,
              "Quantised weights are not kept for the next start: %s.",
              code == EWOULDBLOCK ? "another process writes them now" : strerror(code));
    if (fd >= 0) {
        if (code != EWOULDBLOCK) unlink(tmp);
        close(fd);
    }
    return -1;
}

/* Fills base, anonymous or the file's. */
static int make(struct quantized *q, const struct jamba_model *m, enum quantize_form form, int n_threads,
                struct error *e) {
    uint64_t end = table_end(q->n_matrices);
    uint8_t *head = expected_head(q, m, form);
    if (!head) return error_set(e, ERR_NOMEM, "", "There is no memory to quantise the model.");
    memcpy(q->base, head, (size_t)end);
    free(head);
    struct work w = {.q = q};
    work_run(&w, n_threads);
    size_t bad = atomic_load(&w.bad);
    if (atomic_load(&w.no_memory)) return error_set(e, ERR_NOMEM, "", "There is no memory to quantise the model.");
    if (bad != SIZE_MAX)
        return error_set(e, ERR_FORMAT, q->matrices[bad].source->name,
                         "The tensor holds a value that is not a number, or too large to be quantised.");
    put_u64(q->base + end, block_checksum(q->base, (size_t)end, q->n_matrices));
    return 0;
}

int quantized_open(struct quantized *q, const struct jamba_model *m, enum quantize_form form, int n_threads,
                   const char *file, struct error *why, struct error *e) {
    char tmp[4096];
    *q = (struct quantized){0};
    *why = (struct error){0};
    if (form == QUANTIZE_NONE) return 0;
    int rc = *file ? quantized_map(q, m, form, n_threads, file, why) : ERR_NOT_FOUND, fd = -1;
    if (!rc) return 0;
    bool absent = rc == ERR_NOT_FOUND;
    rc = lay_out(q, m, form, e);
    if (absent || !q->n_matrices) *why = (struct error){0}; /* no file is wanted where there is nothing to quantise */
    if (rc || !q->n_matrices) return rc;
    if (*file && snprintf(tmp, sizeof tmp, "%s.tmp", file) < (int)sizeof tmp) fd = create_tmp(q, tmp, why);
    if (fd < 0) {
        void *p = mmap(NULL, q->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            rc = error_set(e, ERR_NOMEM, "", "There is no memory for %zu bytes of quantised weights.", q->len);
        else
            q->base = p;
    }
    if (!rc) rc = make(q, m, form, n_threads, e);
    if (!rc && fd >= 0) {
        q->kept = !msync(q->base, q->len, MS_SYNC) && !fsync(fd) && !rename(tmp, file);
        if (!q->kept)
            error_set(why, ERR_IO, file, "Quantised weights are not kept for the next start: %s.", strerror(errno));
    }
    if (fd >= 0) {
        if (!q->kept) unlink(tmp);
        close(fd);
    }
    if (rc)
        quantized_close(q);
    else
        (void)mprotect(q->base, q->len, PROT_READ);
    return rc;
}
