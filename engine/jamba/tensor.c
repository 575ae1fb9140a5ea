/* tensor.c: the block types of ggml as this engine reads them, mapped files, and the list of a model's tensors.
 *
 * A row of ne[0] values is a whole number of blocks; scales are little-endian fp16. Layouts after ggml's ggml-common.h
 * and ggml-quants.c, written down in MODEL.md. tensor_row_to_f32 is the plain reference; fast kernels are tested
 * against it. Little-endian hosts only.
 */
#include "engine/jamba/weights.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are little-endian and are read in place"
#endif

static const struct {
    enum tensor_type type;
    const char *name;
    uint32_t values, bytes; /* of one block */
} TYPES[] = {
    {TENSOR_F32, "F32", 1, 4},       {TENSOR_F16, "F16", 1, 2},       {TENSOR_BF16, "BF16", 1, 2},
    {TENSOR_Q4_0, "Q4_0", 32, 18},   {TENSOR_Q4_1, "Q4_1", 32, 20},   {TENSOR_Q5_0, "Q5_0", 32, 22},
    {TENSOR_Q5_1, "Q5_1", 32, 24},   {TENSOR_Q8_0, "Q8_0", 32, 34},   {TENSOR_Q4_K, "Q4_K", 256, 144},
    {TENSOR_Q5_K, "Q5_K", 256, 176}, {TENSOR_Q6_K, "Q6_K", 256, 210},
};
enum { N_TYPES = sizeof TYPES / sizeof TYPES[0] };

uint64_t tensor_row_bytes(enum tensor_type type, uint64_t n) {
    for (int i = 0; i < N_TYPES; i++) {
        if (TYPES[i].type != type) continue;
        if (n % TYPES[i].values) return 0;
        uint64_t blocks = n / TYPES[i].values;
        return blocks > UINT64_MAX / TYPES[i].bytes ? 0 : blocks * TYPES[i].bytes;
    }
    return 0;
}

const char *tensor_type_name(enum tensor_type type) {
    for (int i = 0; i < N_TYPES; i++)
        if (TYPES[i].type == type) return TYPES[i].name;
    return type == TENSOR_Q2_K ? "Q2_K" : type == TENSOR_Q3_K ? "Q3_K" : "unknown";
}

/* ---- numbers of 16 bits ---- */
static uint16_t read_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static float bits_f32(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 1023;
    if (exponent == 31) return bits_f32(sign | 0x7f800000u | mantissa << 13);
    if (exponent) return bits_f32(sign | (exponent + 112) << 23 | mantissa << 13);
    float f = (float)mantissa * 0x1p-24f; /* subnormal, exact */
    return sign ? -f : f;
}

/* ---- blocks ---- */
static void q4_0(const uint8_t *b, float *y) {
    float d = f16_to_f32(read_u16(b));
    for (int j = 0; j < 16; j++) {
        y[j] = (float)((b[2 + j] & 15) - 8) * d;
        y[j + 16] = (float)((b[2 + j] >> 4) - 8) * d;
    }
}

static void q4_1(const uint8_t *b, float *y) {
    float d = f16_to_f32(read_u16(b)), m = f16_to_f32(read_u16(b + 2));
    for (int j = 0; j < 16; j++) {
        y[j] = (float)(b[4 + j] & 15) * d + m;
        y[j + 16] = (float)(b[4 + j] >> 4) * d + m;
    }
}

/* The fifth bit of value j is bit j of the little-endian word qh. */
static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void q5_0(const uint8_t *b, float *y) {
    float d = f16_to_f32(read_u16(b));
    uint32_t qh = read_u32(b + 2);
    for (int j = 0; j < 16; j++) {
        int lo = (b[6 + j] & 15) | (int)((qh >> j & 1) << 4), hi = (b[6 + j] >> 4) | (int)((qh >> (j + 16) & 1) << 4);
        y[j] = (float)(lo - 16) * d;
        y[j + 16] = (float)(hi - 16) * d;
    }
}

static void q5_1(const uint8_t *b, float *y) {
    float d = f16_to_f32(read_u16(b)), m = f16_to_f32(read_u16(b + 2));
    uint32_t qh = read_u32(b + 4);
    for (int j = 0; j < 16; j++) {
        int lo = (b[8 + j] & 15) | (int)((qh >> j & 1) << 4), hi = (b[8 + j] >> 4) | (int)((qh >> (j + 16) & 1) << 4);
        y[j] = (float)lo * d + m;
        y[j + 16] = (float)hi * d + m;
    }
}

static void q8_0(const uint8_t *b, float *y) {
    float d = f16_to_f32(read_u16(b));
    for (int j = 0; j < 32; j++) y[j] = (float)(int8_t)b[2 + j] * d;
}

/* Scale and minimum j of the eight sub-blocks, 6 bits each, packed in 12 bytes. */
static void k_scale_min(const uint8_t *s, int j, int *scale, int *min) {
    if (j < 4) {
#ifdef MUTANT_K_SCALE
        *scale = s[j + 1] & 63;
#else
        *scale = s[j] & 63;
#endif
        *min = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *min = (s[j + 4] >> 4) | (s[j] >> 6) << 4;
    }
}

/* qh == NULL: Q4_K; else Q5_K, where sub-block j takes bit j of qh[l] as its values' fifth bit. */
static void q45_k(const uint8_t *b, const uint8_t *qh, const uint8_t *qs, float *y) {
    float d = f16_to_f32(read_u16(b)), dmin = f16_to_f32(read_u16(b + 2));
    for (int j = 0; j < 8; j++) {
        int scale, min;
        k_scale_min(b + 4, j, &scale, &min);
        float ds = d * (float)scale, m = dmin * (float)min;
        const uint8_t *q = qs + 32 * (j / 2);
        for (int l = 0; l < 32; l++) {
            int v = j & 1 ? q[l] >> 4 : q[l] & 15;
            if (qh) v |= (qh[l] >> j & 1) << 4;
            y[32 * j + l] = ds * (float)v - m;
        }
    }
}

static void q6_k(const uint8_t *b, float *y) {
    float d = f16_to_f32(read_u16(b + 208));
    for (int half = 0; half < 2; half++, y += 128) {
        const uint8_t *ql = b + 64 * half, *qh = b + 128 + 32 * half;
        const int8_t *sc = (const int8_t *)b + 192 + 8 * half;
        for (int l = 0; l < 32; l++) {
            int is = l / 16;
            int q0 = (ql[l] & 15) | (qh[l] & 3) << 4, q1 = (ql[l + 32] & 15) | (qh[l] >> 2 & 3) << 4;
            int q2 = (ql[l] >> 4) | (qh[l] >> 4 & 3) << 4, q3 = (ql[l + 32] >> 4) | (qh[l] >> 6 & 3) << 4;
            y[l] = d * (float)sc[is] * (float)(q0 - 32);
            y[l + 32] = d * (float)sc[is + 2] * (float)(q1 - 32);
            y[l + 64] = d * (float)sc[is + 4] * (float)(q2 - 32);
            y[l + 96] = d * (float)sc[is + 6] * (float)(q3 - 32);
        }
    }
}

void tensor_row_to_f32(enum tensor_type type, const void *row, float *out, uint64_t n) {
    const uint8_t *b = row;
    assert(n == 0 || tensor_row_bytes(type, n));
    switch (type) {
    case TENSOR_F32:
        memcpy(out, row, n * sizeof *out);
        return;
    case TENSOR_F16:
        for (uint64_t i = 0; i < n; i++) out[i] = f16_to_f32(read_u16(b + 2 * i));
        return;
    case TENSOR_BF16:
        for (uint64_t i = 0; i < n; i++) out[i] = bits_f32((uint32_t)read_u16(b + 2 * i) << 16);
        return;
    case TENSOR_Q4_0:
        for (uint64_t i = 0; i < n; i += 32, b += 18) q4_0(b, out + i);
        return;
    case TENSOR_Q4_1:
        for (uint64_t i = 0; i < n; i += 32, b += 20) q4_1(b, out + i);
        return;
    case TENSOR_Q5_0:
        for (uint64_t i = 0; i < n; i += 32, b += 22) q5_0(b, out + i);
        return;
    case TENSOR_Q5_1:
        for (uint64_t i = 0; i < n; i += 32, b += 24) q5_1(b, out + i);
        return;
    case TENSOR_Q8_0:
        for (uint64_t i = 0; i < n; i += 32, b += 34) q8_0(b, out + i);
        return;
    case TENSOR_Q4_K:
        for (uint64_t i = 0; i < n; i += 256, b += 144) q45_k(b, NULL, b + 16, out + i);
        return;
    case TENSOR_Q5_K:
        for (uint64_t i = 0; i < n; i += 256, b += 176) q45_k(b, b + 16, b + 48, out + i);
        return;
    case TENSOR_Q6_K:
        for (uint64_t i = 0; i < n; i += 256, b += 210) q6_k(b, out + i);
        return;
    case TENSOR_Q2_K:
    case TENSOR_Q3_K:
        break;
    }
    assert(!"a type that the reader does not let in");
}

/* ---- mapped files ---- */
const char *path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int model_map_open(struct model_map *m, const char *path, struct error *e) {
    struct stat st;
    *m = (struct model_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, path_base(path),
                         "The model file cannot be opened: %s.", strerror(errno));
    int rc = 0;
    void *p = MAP_FAILED;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        rc = error_set(e, ERR_FORMAT, path_base(path), "The model file is not a plain file.");
    else if (st.st_size == 0)
        rc = error_set(e, ERR_FORMAT, path_base(path), "The model file is empty.");
    else if ((p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        rc = error_set(e, ERR_IO, path_base(path), "The model file cannot be mapped: %s.", strerror(errno));
    close(fd);
    if (rc) return rc;
    m->path = strdup(path);
    m->base = p;
    m->len = (size_t)st.st_size;
    if (m->path) return 0;
    model_map_close(m);
    return error_set(e, ERR_NOMEM, path_base(path), "Out of memory.");
}

void model_map_close(struct model_map *m) {
    if (m->base) munmap((void *)(uintptr_t)m->base, m->len);
    free(m->path);
    *m = (struct model_map){0};
}

/* ---- the list ---- */
int tensor_error(struct error *e, int code, const char *file, const char *tensor, const char *fmt, ...) {
    char what[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    error_set(e, code, "", "%s", what);
    if (e) snprintf(e->where, sizeof e->where, "%.90s, tensor %.90s", file, tensor);
    return code;
}

void tensor_list_init(struct tensor_list *l, struct arena *a) {
    *l = (struct tensor_list){.arena = a};
}

void tensor_list_free(struct tensor_list *l) {
    for (size_t i = 0; i < l->n_maps; i++) model_map_close(&l->maps[i]);
    free(l->maps);
    free(l->entries);
    free(l->slots);
    *l = (struct tensor_list){0};
}

int tensor_list_map(struct tensor_list *l, const char *path, size_t *index, struct error *e) {
    int rc = array_grow((void **)&l->maps, &l->cap_maps, l->n_maps + 1, sizeof *l->maps, e);
    if (!rc) rc = model_map_open(&l->maps[l->n_maps], path, e);
    if (!rc) *index = l->n_maps++;
    return rc;
}

static uint64_t name_hash(const char *s) {
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (; *s; s++) h = (h ^ (uint8_t)*s) * 1099511628211u;
    return h ^ h >> 29;
}

static size_t slot_of(const struct tensor_list *l, const char *name) {
    size_t i = name_hash(name) & (l->n_slots - 1);
    while (l->slots[i] && strcmp(l->entries[l->slots[i] - 1].tensor->name, name) != 0) i = (i + 1) & (l->n_slots - 1);
    return i;
}

static int grow_slots(struct tensor_list *l, struct error *e) {
    size_t n = l->n_slots ? 2 * l->n_slots : 1024;
    uint32_t *old = l->slots, *slots = calloc(n, sizeof *slots);
    if (!slots) return error_set(e, ERR_NOMEM, "", "Out of memory.");
    l->slots = slots;
    l->n_slots = n;
    for (size_t i = 0; i < l->n_tensors; i++) slots[slot_of(l, l->entries[i].tensor->name)] = (uint32_t)i + 1;
    free(old);
    return 0;
}

int tensor_list_add(struct tensor_list *l, const struct tensor *t, size_t map, struct error *e) {
    const char *file = map < l->n_maps ? path_base(l->maps[map].path) : "";
    if (l->n_tensors >= MODEL_MAX_TENSORS)
        return error_set(e, ERR_LIMIT, file, "The model has more than %d tensors.", MODEL_MAX_TENSORS);
    int rc = 0;
    if (2 * (l->n_tensors + 1) > l->n_slots) rc = grow_slots(l, e);
    if (!rc) rc = array_grow((void **)&l->entries, &l->cap_tensors, l->n_tensors + 1, sizeof *l->entries, e);
    if (rc) return rc;
    size_t slot = slot_of(l, t->name);
    if (l->slots[slot])
        return tensor_error(e, ERR_FORMAT, file, t->name, "The tensor occurs twice in the model's files.");
    struct tensor *copy = arena_alloc(l->arena, sizeof *copy);
    struct slice name = arena_slice(l->arena, slice_of(t->name));
    if (!copy || !name.len) return error_set(e, ERR_NOMEM, file, "Out of memory.");
    *copy = *t;
    copy->name = name.data;
    l->entries[l->n_tensors] = (struct tensor_entry){copy, map};
    l->slots[slot] = (uint32_t)++l->n_tensors;
    return 0;
}

struct tensor *tensor_list_find(const struct tensor_list *l, const char *name) {
    if (!l->n_slots) return NULL;
    uint32_t i = l->slots[slot_of(l, name)];
    return i ? l->entries[i - 1].tensor : NULL;
}

const char *tensor_list_file(const struct tensor_list *l, const struct tensor *t) {
    for (size_t i = 0; i < l->n_tensors; i++)
        if (l->entries[i].tensor == t)
            return l->entries[i].map < l->n_maps ? path_base(l->maps[l->entries[i].map].path) : "";
    return "";
}
