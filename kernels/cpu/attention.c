/* attention.c: grouped-query causal attention over KV pages; no positions enter it (Jamba has no RoPE). Pages in order
 * inside segments, then segments in order (kernels.h says why), so that a row sums alike in any prefill chunk and in a
 * decode step. The paths differ in attention_page; the driver, the merge of segments and the scalar page step are here.
 */
#include "kernels/cpu/cpu.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PAGE ((size_t)KERNEL_KV_PAGE)
#define SEGMENT ((size_t)KERNEL_KV_SEGMENT)
/* A call with at most this many rows an item is a decode step: its segments are shared among threads. */
#define SPLIT_ROWS ((size_t)4)

/* A head's part of a page. */
static size_t head_bytes(const struct kernel_device *dev, size_t head_dim) {
    return head_dim * PAGE * 2 * dev->kv->value_bytes + dev->kv->scale_bytes;
}
size_t kernel_kv_page_bytes(const struct kernel_device *dev, size_t n_kv_head, size_t head_dim) {
    return n_kv_head * head_bytes(dev, head_dim);
}

/* ---- append ---- */
struct attention {
    struct kernel_device *dev;
    const struct kernel_attention *a;
    const struct kernel_attention_item *items;
    size_t n_items, heads; /* query heads a KV head */
};

static char *head_page(const struct attention *x, const struct kernel_attention_item *it, size_t position,
                       size_t kv_head) {
    return (char *)it->page[position / PAGE] + x->a->page_offset + kv_head * head_bytes(x->dev, x->a->head_dim);
}

static void append_task(void *ctx, size_t task, int thread) {
    (void)thread;
    struct attention *x = ctx;
    const struct kernel_attention *a = x->a;
    const struct kernel_attention_item *it = &x->items[task / a->n_kv_head];
    size_t head = task % a->n_kv_head, hd = a->head_dim;
    for (size_t r = 0; r < it->n_rows; r++)
        x->dev->kv->append(a->k + (it->row + r) * a->ldk + head * hd, a->v + (it->row + r) * a->ldv + head * hd,
                           head_page(x, it, it->position + r, head), (it->position + r) % PAGE, hd);
}

void kernel_kv_append(struct kernel_device *dev, const struct kernel_attention *a,
                      const struct kernel_attention_item *items, size_t n_items) {
    struct attention x = {dev, a, items, n_items, a->n_head / a->n_kv_head};
    pool_run(dev->pool, n_items * a->n_kv_head, append_task, &x);
}

/* ---- f32, scalar ---- */
static void f32_append(const float *k, const float *v, void *page, size_t slot, size_t hd) {
    float *keys = page, *values = keys + hd * PAGE + slot * hd;
    for (size_t d = 0; d < hd; d++) keys[d * PAGE + slot] = k[d];
    memcpy(values, v, hd * sizeof *v);
}

void scalar_attention_page(const struct attention_page *p) {
    size_t hd = p->head_dim;
    for (size_t i = 0; i < p->n_q; i++) {
        const float *q = p->q + i * hd;
        float *state = p->state + i * ATTENTION_STATE(hd), *o = state + 16, *s = p->scores + i * PAGE;
        size_t seen = (size_t)p->seen[i];
        for (size_t j = 0; j < seen; j++) s[j] = 0;
        for (size_t d = 0; d < hd; d++)
            for (size_t j = 0; j < seen; j++) s[j] += q[d] * p->k[d * PAGE + j];
        float max = state[0];
        for (size_t j = 0; j < seen; j++) max = fmaxf(max, s[j]);
        float shrink = exp2f(state[0] - max);
        state[0] = max;
        state[1] *= shrink;
        for (size_t d = 0; d < hd; d++) o[d] *= shrink;
        for (size_t j = 0; j < seen; j++) {
            float w = exp2f(s[j] - max);
            state[1] += w;
            for (size_t d = 0; d < hd; d++) o[d] += w * p->v[j * hd + d];
        }
    }
}

static void f32_step(struct attention_page *p, const void *page, float *k, float *v) {
    (void)k, (void)v;
    p->k = page;
    p->v = p->k + p->head_dim * PAGE;
    scalar_attention_page(p);
}
const struct kv_ops kv_ops_f32 = {.value_bytes = 4, .append = f32_append, .step = f32_step};

/* ---- the driver ---- */
static void state_clear(float *state, size_t hd) {
    memset(state, 0, ATTENTION_STATE(hd) * sizeof(float));
    state[0] = -INFINITY;
}

/* total += part: both are (max, sum, output) over disjoint keys, the part behind the total. */
static void state_merge(float *total, const float *part, size_t hd) {
    if (part[0] == -INFINITY) return;
    if (total[0] == -INFINITY) {
        memcpy(total, part, ATTENTION_STATE(hd) * sizeof(float));
        return;
    }
    float max = fmaxf(total[0], part[0]), a = exp2f(total[0] - max), b = exp2f(part[0] - max);
    total[0] = max;
    total[1] = total[1] * a + part[1] * b;
    for (size_t d = 16; d < 16 + hd; d++) total[d] = total[d] * a + part[d] * b;
}

/* A thread's scratch, carved up. */
struct scratch {
    float *q, *part, *total, *scores, *k, *v;
    int32_t *seen;
};
static size_t scratch_floats(size_t hd, size_t heads) {
    size_t n = ATTENTION_ROWS * heads;
    return n * hd + 2 * n * ATTENTION_STATE(hd) + n * PAGE + 2 * hd * PAGE + (n + 15) / 16 * 16;
}
static struct scratch scratch_of(float *f, size_t hd, size_t heads) {
    size_t n = ATTENTION_ROWS * heads;
    struct scratch s;
    s.k = f, f += hd * PAGE;
    s.v = f, f += hd * PAGE;
    s.scores = f, f += n * PAGE;
    s.q = f, f += n * hd;
    s.part = f, f += n * ATTENTION_STATE(hd);
    s.total = f, f += n * ATTENTION_STATE(hd);
    s.seen = (int32_t *)(void *)f;
    return s;
}

int kernel_attention_reserve(struct kernel_device *dev, size_t n_head, size_t head_dim, size_t max_rows,
                             size_t max_position, struct error *e) {
    size_t floats = scratch_floats(head_dim, n_head); /* enough for any grouping */
    if (floats > dev->attention_floats) {
        for (int t = 0; t < dev->n_threads; t++) {
            kernel_free(dev->attention[t]);
            dev->attention[t] = kernel_alloc(floats * sizeof(float));
            if (!dev->attention[t]) {
                dev->attention_floats = 0;
                return error_set(e, ERR_NOMEM, "", "There is no memory for the scratch of attention.");
            }
        }
        dev->attention_floats = floats;
    }
    size_t partial = (max_position / SEGMENT + 1) * n_head * max_rows * ATTENTION_STATE(head_dim);
    if (partial > dev->partial_floats) {
        kernel_free(dev->partial);
        dev->partial = kernel_alloc(partial * sizeof(float));
        dev->partial_floats = dev->partial ? partial : 0;
        if (!dev->partial) return error_set(e, ERR_NOMEM, "", "There is no memory for the scratch of attention.");
    }
    return 0;
}

static void load_queries(const struct attention *x, const struct kernel_attention_item *it, size_t kv_head, size_t row,
                         size_t n_rows, float *q) {
    const struct kernel_attention *a = x->a;
    size_t hd = a->head_dim;
    float scale = a->scale * 0x1.715476p+0f; /* times log2 e: the softmax is over powers of two */
    for (size_t r = 0; r < n_rows; r++)
        for (size_t h = 0; h < x->heads; h++) {
            const float *from = a->q + (it->row + row + r) * a->ldq + (kv_head * x->heads + h) * hd;
            for (size_t d = 0; d < hd; d++) q[(r * x->heads + h) * hd + d] = from[d] * scale;
        }
    if (x->dev->kv->queries) x->dev->kv->queries(q, n_rows * x->heads, hd);
}

/* The part of one segment for n_rows rows from `row` on into s->part. */
static void run_segment(const struct attention *x, const struct kernel_attention_item *it, size_t kv_head, size_t row,
                        size_t n_rows, size_t segment, struct scratch *s) {
    const struct kernel_attention *a = x->a;
    size_t hd = a->head_dim, heads = x->heads, last = it->position + row + n_rows - 1, n_q = n_rows * heads;
    for (size_t i = 0; i < n_q; i++) state_clear(s->part + i * ATTENTION_STATE(hd), hd);
    for (size_t p = segment * SEGMENT; p < (segment + 1) * SEGMENT && p <= last; p += PAGE) {
        size_t first = p > it->position + row ? p - it->position - row : 0; /* first row that sees a key of this page */
        for (size_t i = first * heads; i < n_q; i++) {
            size_t seen = it->position + row + i / heads + 1 - p;
            s->seen[i] = (int32_t)(seen < PAGE ? seen : PAGE);
        }
        struct attention_page page = {.n_q = n_q - first * heads,
                                      .head_dim = hd,
                                      .q = s->q + first * heads * hd,
                                      .seen = s->seen + first * heads,
                                      .state = s->part + first * heads * ATTENTION_STATE(hd),
                                      .scores = s->scores};
        x->dev->kv->step(&page, head_page(x, it, p, kv_head), s->k, s->v);
    }
}

static void write_out(const struct attention *x, const struct kernel_attention_item *it, size_t kv_head, size_t row,
                      size_t n_rows, const float *total) {
    const struct kernel_attention *a = x->a;
    size_t hd = a->head_dim;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t h = 0; h < x->heads; h++) {
            const float *state = total + (r * x->heads + h) * ATTENTION_STATE(hd);
            float *out = a->out + (it->row + row + r) * a->ldout + (kv_head * x->heads + h) * hd,
                  inverse = 1.0f / state[1];
            for (size_t d = 0; d < hd; d++) out[d] = state[16 + d] * inverse;
        }
}

static size_t item_row_tiles(const struct kernel_attention_item *it) {
    return (it->n_rows + ATTENTION_ROWS - 1) / ATTENTION_ROWS;
}
/* An item's rows are shared evenly among its tiles: behind a long context a tile of 32 and one of 8 would keep one
 * thread waiting for the other. */
static size_t item_tile_rows(const struct kernel_attention_item *it) {
    size_t tiles = item_row_tiles(it);
    return (it->n_rows + tiles - 1) / tiles;
}
static size_t item_segments(const struct kernel_attention_item *it) {
    return (it->position + it->n_rows - 1) / SEGMENT + 1;
}

/* Prefill: a task is a run of rows of a KV head, through all segments. Late rows cost most, so they are taken first. */
static void rows_task(void *ctx, size_t task, int thread) {
    struct attention *x = ctx;
    const struct kernel_attention *a = x->a;
    const struct kernel_attention_item *it = x->items;
    while (task >= item_row_tiles(it) * a->n_kv_head) task -= item_row_tiles(it++) * a->n_kv_head;
    size_t tile = item_row_tiles(it) - 1 - task / a->n_kv_head, kv_head = task % a->n_kv_head, hd = a->head_dim;
    size_t rows = item_tile_rows(it), row = tile * rows;
    if (row >= it->n_rows) return; /* evenly, rounded up, may need a tile less */
    size_t n_rows = it->n_rows - row < rows ? it->n_rows - row : rows, n_q = n_rows * x->heads;
    struct scratch s = scratch_of(x->dev->attention[thread], hd, x->heads);
    load_queries(x, it, kv_head, row, n_rows, s.q);
    for (size_t i = 0; i < n_q; i++) state_clear(s.total + i * ATTENTION_STATE(hd), hd);
    for (size_t segment = 0; segment * SEGMENT <= it->position + row + n_rows - 1; segment++) {
        run_segment(x, it, kv_head, row, n_rows, segment, &s);
        for (size_t i = 0; i < n_q; i++)
            state_merge(s.total + i * ATTENTION_STATE(hd), s.part + i * ATTENTION_STATE(hd), hd);
    }
    write_out(x, it, kv_head, row, n_rows, s.total);
}

/* Decode: a task is one segment of a KV head; the parts are merged afterwards. */
static size_t partial_at(const struct attention *x, const struct kernel_attention_item *it) {
    size_t at = 0;
    for (const struct kernel_attention_item *i = x->items; i < it; i++)
        at += item_segments(i) * i->n_rows * x->a->n_head;
    return at;
}
static void segment_task(void *ctx, size_t task, int thread) {
    struct attention *x = ctx;
    const struct kernel_attention *a = x->a;
    const struct kernel_attention_item *it = x->items;
    while (task >= item_segments(it) * a->n_kv_head) task -= item_segments(it++) * a->n_kv_head;
    size_t segment = task / a->n_kv_head, kv_head = task % a->n_kv_head, hd = a->head_dim, n_q = it->n_rows * x->heads;
    struct scratch s = scratch_of(x->dev->attention[thread], hd, x->heads);
    load_queries(x, it, kv_head, 0, it->n_rows, s.q);
    s.part = x->dev->partial + (partial_at(x, it) + (segment * a->n_kv_head + kv_head) * n_q) * ATTENTION_STATE(hd);
    run_segment(x, it, kv_head, 0, it->n_rows, segment, &s);
}
static void merge_task(void *ctx, size_t task, int thread) {
    struct attention *x = ctx;
    const struct kernel_attention *a = x->a;
    const struct kernel_attention_item *it = &x->items[task / a->n_kv_head];
    size_t kv_head = task % a->n_kv_head, hd = a->head_dim, n_q = it->n_rows * x->heads, state = ATTENTION_STATE(hd);
    struct scratch s = scratch_of(x->dev->attention[thread], hd, x->heads);
    for (size_t i = 0; i < n_q; i++) {
        state_clear(s.total + i * state, hd);
        for (size_t segment = 0; segment < item_segments(it); segment++)
            state_merge(s.total + i * state,
                        x->dev->partial + (partial_at(x, it) + (segment * a->n_kv_head + kv_head) * n_q + i) * state,
                        hd);
    }
    write_out(x, it, kv_head, 0, it->n_rows, s.total);
}

void kernel_attention(struct kernel_device *dev, const struct kernel_attention *a,
                      const struct kernel_attention_item *items, size_t n_items) {
    struct attention x = {dev, a, items, n_items, a->n_head / a->n_kv_head};
    assert(scratch_floats(a->head_dim, x.heads) <= dev->attention_floats);
    size_t tiles = 0, segments = 0, partial = 0;
    bool split = true;
    for (size_t i = 0; i < n_items; i++) {
        tiles += item_row_tiles(&items[i]);
        segments += item_segments(&items[i]);
        partial += item_segments(&items[i]) * items[i].n_rows * a->n_head * ATTENTION_STATE(a->head_dim);
        split &= items[i].n_rows <= SPLIT_ROWS;
    }
    if (split && segments > n_items && partial <= dev->partial_floats) {
        pool_run(dev->pool, segments * a->n_kv_head, segment_task, &x);
        pool_run(dev->pool, n_items * a->n_kv_head, merge_task, &x);
    } else {
        pool_run(dev->pool, tiles * a->n_kv_head, rows_task, &x);
    }
}
