/* linear.c: y = x W^T. Packs weights, prepares activations, cuts the product into (group of outputs, run of rows)
 * tasks, and the scalar reference. Quantised blocks are multiplied as they are, integers by integers: a block's sum
 * is exact in int32, and only the sums of blocks meet in f32, one fma a block in order. So all int8 paths agree bit for
 * bit. Block layouts: ggml's Q4_0 and Q8_0; the others are in quants.c. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/quants.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows of one task of a prefill, a multiple of PANEL: a task should be a few 10 microseconds, so that two threads end
 * together. */
#define TASK_ROWS 128
/* Groups of one task of a decode step (one to PANEL rows). */
#define TASK_GROUPS 4

/* ---- packing ---- */
static void pack_block_q4(uint8_t *out, size_t r, const uint8_t *block) {
    for (size_t v = 0; v < 4; v++)
        for (size_t j = 0; j < 4; j++) {
            size_t k0 = 8 * v + j,
                   k1 = k0 + 4; /* element k < 16 is the low nibble of byte k, else the high one of byte k - 16 */
            unsigned a = k0 < 16 ? block[2 + k0] & 15u : block[2 + k0 - 16] >> 4u;
            unsigned b = k1 < 16 ? block[2 + k1] & 15u : block[2 + k1 - 16] >> 4u;
            out[64 * v + 4 * r + j] = (uint8_t)(a | b << 4);
        }
}
static void pack_block_q8(uint8_t *out, size_t r, const uint8_t *block) {
    for (size_t v = 0; v < 8; v++) memcpy(out + 64 * v + 4 * r, block + 2 + 4 * v, 4);
}

struct pack {
    struct kernel_matrix *m;
};
static void pack_task(void *ctx, size_t group, int thread) {
    (void)thread;
    struct kernel_matrix *m = ((struct pack *)ctx)->m;
    const struct kernel_source *s = &m->source;
    uint8_t *out = m->packed + group * m->group_bytes;
    size_t rows = s->n_out - group * GROUP < GROUP ? s->n_out - group * GROUP : GROUP;
    if (rows < GROUP) {
        memset(out, 0, m->group_bytes);
    }
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *row = (const uint8_t *)s->data + (group * GROUP + r) * s->row_bytes;
        if (s->type == KERNEL_F32)
            for (size_t k = 0; k < s->n_in; k++) memcpy(out + (k * GROUP + r) * 4, row + 4 * k, 4);
        if (s->type == KERNEL_F16 || s->type == KERNEL_BF16)
            for (size_t k = 0; k < s->n_in; k++) memcpy(out + (k * GROUP + r) * 2, row + 2 * k, 2);
        quants_pack_row(s->type, row, s->n_in, out, r);
        if (s->type != KERNEL_Q4_0 && s->type != KERNEL_Q8_0) continue;
        size_t n_blocks = s->n_in / BLOCK, values = s->type == KERNEL_Q4_0 ? Q4_GROUP_BLOCK : Q8_GROUP_BLOCK;
        for (size_t b = 0; b < n_blocks; b++) {
            const uint8_t *block = row + b * (s->type == KERNEL_Q4_0 ? 18 : 34);
            if (s->type == KERNEL_Q4_0)
                pack_block_q4(out + b * values, r, block);
            else
                pack_block_q8(out + b * values, r, block);
            memcpy(out + n_blocks * values + b * 32 + 2 * r, block, 2);
        }
    }
}

int kernel_matrix_open(struct kernel_matrix *m, struct kernel_device *dev, const struct kernel_source *s,
                       struct error *e) {
    *m = (struct kernel_matrix){.source = *s};
    if (s->n_in > dev->tile_n_in) { /* a longer row than any before: grow the threads' tiles */
        for (int t = 0; t < dev->n_threads; t++) {
            kernel_free(dev->tile[t]);
            dev->tile[t] = kernel_alloc((s->n_in * GROUP + s->n_in) * sizeof(float));
            if (!dev->tile[t]) {
                dev->tile_n_in = 0;
                return error_set(e, ERR_NOMEM, "", "There is no memory to unpack weights.");
            }
        }
        dev->tile_n_in = s->n_in;
    }
    bool block = (s->type == KERNEL_Q4_0 || s->type == KERNEL_Q8_0) && s->n_in % BLOCK == 0;
    m->group_bytes = quants_group_bytes(s->type, s->n_in);
    m->int8 = (block || m->group_bytes) && dev->ops->int8;
    if (s->type == KERNEL_Q4_0) m->group_bytes = s->n_in / BLOCK * (Q4_GROUP_BLOCK + 32);
    if (s->type == KERNEL_Q8_0) m->group_bytes = s->n_in / BLOCK * (Q8_GROUP_BLOCK + 32);
    if (s->type == KERNEL_F32) m->group_bytes = s->n_in * GROUP * 4;
    bool half = (s->type == KERNEL_F16 && dev->ops->gemm_f16) || (s->type == KERNEL_BF16 && dev->ops->gemm_bf16);
    if (half) m->group_bytes = s->n_in * GROUP * 2;
    if (!m->int8 && !half && !(s->type == KERNEL_F32 && dev->ops->int8))
        return 0; /* the reference reads the source itself */
    size_t groups = (s->n_out + GROUP - 1) / GROUP;
    m->bytes = groups * m->group_bytes;
    m->packed = aligned_alloc(64, (m->bytes + 63) & ~(uint64_t)63);
    if (!m->packed)
        return error_set(e, ERR_NOMEM, "", "There is no memory for %llu bytes of weights.",
                         (unsigned long long)m->bytes);
    pool_run(dev->pool, groups, pack_task, &(struct pack){m});
    return 0;
}

void kernel_matrix_close(struct kernel_matrix *m) {
    free(m->packed);
    *m = (struct kernel_matrix){0};
}

/* ---- activations ---- */
int kernel_rows_open(struct kernel_rows *r, size_t max_rows, size_t max_n, struct error *e) {
    *r = (struct kernel_rows){.max_rows = (max_rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS,
                              .max_n = (max_n + BLOCK - 1) / BLOCK * BLOCK};
    size_t values = r->max_rows * r->max_n;
    r->q = kernel_alloc(values);
    r->d = kernel_alloc(values / BLOCK * sizeof *r->d);
    r->s = kernel_alloc(values / BLOCK * sizeof *r->s);
    r->t = aligned_alloc(64, (values + 64) / 64 * 64); /* never touched on most paths, so it takes no memory there */
    if (r->q && r->d && r->s && r->t) return 0;
    kernel_rows_close(r);
    return error_set(e, ERR_NOMEM, "", "There is no memory for %zu rows of activations.", max_rows);
}

void kernel_rows_close(struct kernel_rows *r) {
    kernel_free(r->q);
    kernel_free(r->d);
    kernel_free(r->s);
    kernel_free(r->t);
    *r = (struct kernel_rows){0};
}

static int8_t *rows_q(const struct kernel_rows *r, size_t row) {
    return r->q + row / PANEL * PANEL * r->n + row % PANEL * 4;
}
static size_t rows_block(const struct kernel_rows *r, size_t row) {
    return row / PANEL * PANEL * (r->n / BLOCK) + row % PANEL;
}

static int8_t *rows_t(const struct kernel_rows *r, size_t row) {
    return r->t + row / TILE_ROWS * TILE_ROWS * r->n + row % TILE_ROWS * BLOCK;
}

struct prepare {
    struct kernel_device *dev;
    struct kernel_rows *r;
};
static void prepare_task(void *ctx, size_t panel, int thread) {
    (void)thread;
    struct prepare *p = ctx;
    struct kernel_rows *r = p->r;
    for (size_t row = panel * PANEL; row < (panel + 1) * PANEL && row < r->n_rows; row++)
        p->dev->ops->quantize(r->x + row * r->ldx, r->n, rows_q(r, row), r->d + rows_block(r, row),
                              r->s + rows_block(r, row));
    if (p->dev->ops->tile && r->n_rows > PANEL)
        p->dev->ops->tile(rows_q(r, panel * PANEL), r->n, rows_t(r, panel * PANEL));
}

void kernel_rows_prepare(struct kernel_device *dev, struct kernel_rows *r, const float *x, size_t ldx, size_t n_rows,
                         size_t n, bool quantize) {
    assert(n_rows <= r->max_rows && n <= r->max_n);
    r->x = x;
    r->ldx = ldx;
    r->n_rows = n_rows;
    r->n = n;
    if (quantize) pool_run(dev->pool, (n_rows + PANEL - 1) / PANEL, prepare_task, &(struct prepare){dev, r});
}

/* d = absmax / 127 and q = round(x * (127 / absmax)): |q| <= 127, so that 15 * 127 * 16 stays inside int16 and -128
 * never occurs. */
void scalar_quantize(const float *x, size_t n, int8_t *q, float *d, int32_t *s) {
    for (size_t b = 0; b < n / BLOCK; b++) {
        float max = 0;
        for (size_t k = 0; k < BLOCK; k++) max = fmaxf(max, fabsf(x[b * BLOCK + k]));
        float inverse = max > 0 ? 127.0f / max : 0;
        int32_t sum = 0;
        for (size_t k = 0; k < BLOCK; k++) {
            int32_t v = (int32_t)lrintf(x[b * BLOCK + k] * inverse);
            q[(b * BLOCK + k) / 4 * (4 * PANEL) + k % 4] = (int8_t)v;
            sum += v;
        }
        d[b * PANEL] = max / 127.0f;
        s[b * PANEL] = -8 * sum;
    }
}

/* ---- one group, scalar ---- */
static void gemm_row_end(const struct gemm *g, size_t row, const float acc[GROUP]) {
    float *y = g->y + row * g->ldy;
    for (size_t r = 0; r < g->n_out; r++) y[r] = g->add ? y[r] + acc[r] : acc[r];
}

static int32_t gemm_q(const struct gemm *g, size_t row, size_t k) {
    return g->q[row / PANEL * PANEL * g->n_in + row % PANEL * 4 + k / 4 * (4 * PANEL) + k % 4];
}

void scalar_gemm_q4(const struct gemm *g) {
    size_t n_blocks = g->n_in / BLOCK;
    for (size_t row = 0; row < g->n_rows; row++) {
        float acc[GROUP] = {0};
        for (size_t b = 0; b < n_blocks; b++) {
            const uint8_t *w = g->w + b * Q4_GROUP_BLOCK;
            size_t at = row / PANEL * PANEL * n_blocks + row % PANEL + b * PANEL;
            for (size_t r = 0; r < GROUP; r++) {
                int32_t sum = g->s[at];
                for (size_t k = 0; k < BLOCK; k++) {
                    uint8_t byte = w[k / 8 * 64 + 4 * r + k % 4];
                    sum += (k % 8 < 4 ? byte & 15 : byte >> 4) * gemm_q(g, row, b * BLOCK + k);
                }
                uint16_t scale;
                memcpy(&scale, g->w + n_blocks * Q4_GROUP_BLOCK + b * 32 + 2 * r, 2);
                acc[r] = fmaf((float)sum, f16_to_f32(scale) * g->d[at], acc[r]);
            }
        }
        gemm_row_end(g, row, acc);
    }
}

void scalar_gemm_q8(const struct gemm *g) {
    size_t n_blocks = g->n_in / BLOCK;
    for (size_t row = 0; row < g->n_rows; row++) {
        float acc[GROUP] = {0};
        for (size_t b = 0; b < n_blocks; b++) {
            const uint8_t *w = g->w + b * Q8_GROUP_BLOCK;
            size_t at = row / PANEL * PANEL * n_blocks + row % PANEL + b * PANEL;
            for (size_t r = 0; r < GROUP; r++) {
                int32_t sum = 0;
                for (size_t k = 0; k < BLOCK; k++)
                    sum += (int8_t)w[k / 4 * 64 + 4 * r + k % 4] * gemm_q(g, row, b * BLOCK + k);
                uint16_t scale;
                memcpy(&scale, g->w + n_blocks * Q8_GROUP_BLOCK + b * 32 + 2 * r, 2);
                acc[r] = fmaf((float)sum, f16_to_f32(scale) * g->d[at], acc[r]);
            }
        }
        gemm_row_end(g, row, acc);
    }
}

void scalar_gemm_f32(const struct gemm *g) {
    const float *w = (const float *)(const void *)g->w;
    for (size_t row = 0; row < g->n_rows; row++) {
        const float *x = g->x + row * g->ldx;
        float acc[GROUP] = {0};
        for (size_t k = 0; k < g->n_in; k++)
            for (size_t r = 0; r < GROUP; r++) acc[r] += x[k] * w[k * GROUP + r];
        gemm_row_end(g, row, acc);
    }
}

/* ---- the product in tasks ---- */
/* Unpacks a group of any type into the thread's tile [n_in][16]. */
static const float *dequantised_group(struct kernel_device *dev, const struct kernel_matrix *m, size_t group,
                                      int thread) {
    const struct kernel_source *s = &m->source;
    float *tile = dev->tile[thread], *row = tile + s->n_in * GROUP;
    for (size_t r = 0; r < GROUP; r++) {
        size_t out = group * GROUP + r;
        if (out < s->n_out) s->row_to_f32(s->type, (const uint8_t *)s->data + out * s->row_bytes, row, s->n_in);
        for (size_t k = 0; k < s->n_in; k++) tile[k * GROUP + r] = out < s->n_out ? row[k] : 0;
    }
    return tile;
}

static void group_times_rows(struct kernel_device *dev, const struct kernel_matrix *m, size_t group,
                             const struct kernel_rows *x, size_t row, size_t n_rows, float *y, size_t ldy, size_t n_out,
                             bool add, int thread) {
    struct gemm g = {.type = m->source.type,
                     .n_in = m->source.n_in,
                     .n_rows = n_rows,
                     .y = y,
                     .ldy = ldy,
                     .n_out = n_out,
                     .add = add};
    if (m->int8) {
        g.w = m->packed + group * m->group_bytes;
        g.q = rows_q(x, row);
        g.d = x->d + rows_block(x, row);
        g.s = x->s + rows_block(x, row);
        if (dev->ops->tile && x->n_rows > PANEL && row % TILE_ROWS == 0) g.t = rows_t(x, row);
        if (m->source.type == KERNEL_Q4_0)
            dev->ops->gemm_q4(&g);
        else if (m->source.type == KERNEL_Q8_0)
            dev->ops->gemm_q8(&g);
        else
            dev->ops->gemm_quants(&g);
        return;
    }
    g.w = m->packed ? m->packed + group * m->group_bytes : (const uint8_t *)dequantised_group(dev, m, group, thread);
    g.x = x->x + row * x->ldx;
    g.ldx = x->ldx;
    if (m->packed && m->source.type == KERNEL_F16)
        dev->ops->gemm_f16(&g);
    else if (m->packed && m->source.type == KERNEL_BF16)
        dev->ops->gemm_bf16(&g);
    else
        dev->ops->gemm_f32(&g);
}

struct linear {
    struct kernel_device *dev;
    const struct kernel_rows *x;
    const struct kernel_output *out;
    size_t n_out, task_rows, row_tasks, task_groups;
};
static size_t output_groups(const struct kernel_output *o) {
    return ((o->count ? o->count : o->w->source.n_out) + GROUP - 1) / GROUP;
}
static void linear_task(void *ctx, size_t task, int thread) {
    struct linear *l = ctx;
    size_t part = task % l->row_tasks, bundle = task / l->row_tasks;
    const struct kernel_output *o = l->out;
    for (;; o++) {
        size_t bundles = (output_groups(o) + l->task_groups - 1) / l->task_groups;
        if (bundle < bundles) break;
        bundle -= bundles;
    }
    size_t row = part * l->task_rows, n_rows = l->x->n_rows - row < l->task_rows ? l->x->n_rows - row : l->task_rows;
    size_t count = o->count ? o->count : o->w->source.n_out, groups = output_groups(o);
    for (size_t i = bundle * l->task_groups; i < (bundle + 1) * l->task_groups && i < groups; i++) {
        size_t n_out = count - i * GROUP < GROUP ? count - i * GROUP : GROUP;
        group_times_rows(l->dev, o->w, o->first / GROUP + i, l->x, row, n_rows, o->y + row * o->ldy + i * GROUP, o->ldy,
                         n_out, o->add, thread);
    }
}

void kernel_linear(struct kernel_device *dev, const struct kernel_rows *x, const struct kernel_output *out,
                   size_t n_out) {
    struct linear l = {dev, x, out, n_out, TASK_ROWS, (x->n_rows + TASK_ROWS - 1) / TASK_ROWS, 1};
    if (x->n_rows <= PANEL) l.task_groups = TASK_GROUPS;
    size_t bundles = 0;
    for (size_t i = 0; i < n_out; i++) {
        assert(out[i].first % GROUP == 0 && x->n == out[i].w->source.n_in);
        bundles += (output_groups(&out[i]) + l.task_groups - 1) / l.task_groups;
        if (!out[i].w->packed) { /* unpacking a group costs more than a few rows of it: keep all rows in one task */
            l.task_rows = x->n_rows;
            l.row_tasks = x->n_rows > 0;
        }
    }
    pool_run(dev->pool, bundles * l.row_tasks, linear_task, &l);
}

struct picked {
    struct kernel_device *dev;
    const struct kernel_rows *x;
    size_t row;
    const struct kernel_matrix *w;
    const int32_t *ids;
    size_t n_ids;
    float *y;
};
#define PICKED_TASK ((size_t)64)
static void picked_task(void *ctx, size_t task, int thread) {
    struct picked *p = ctx;
    float out[GROUP];
    size_t have = SIZE_MAX;
    for (size_t i = task * PICKED_TASK; i < (task + 1) * PICKED_TASK && i < p->n_ids; i++) {
        size_t id = (size_t)p->ids[i], group = id / GROUP;
        if (group != have) {
            group_times_rows(p->dev, p->w, group, p->x, p->row, 1, out, GROUP, GROUP, false, thread);
            have = group;
        }
        p->y[i] = out[id % GROUP];
    }
}

void kernel_linear_picked(struct kernel_device *dev, const struct kernel_rows *x, size_t row,
                          const struct kernel_matrix *w, const int32_t *ids, size_t n_ids, float *y) {
    struct picked p = {dev, x, row, w, ids, n_ids, y};
    pool_run(dev->pool, (n_ids + PICKED_TASK - 1) / PICKED_TASK, picked_task, &p);
}

void kernel_embedding(struct kernel_device *dev, const struct kernel_source *table, const int32_t *ids, size_t n,
                      float *out, size_t ld) {
    (void)dev; /* a few microseconds: not worth the workers */
    for (size_t i = 0; i < n; i++)
        table->row_to_f32(table->type, (const uint8_t *)table->data + (size_t)ids[i] * table->row_bytes, out + i * ld,
                          table->n_in);
}
