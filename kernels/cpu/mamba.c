/* mamba.c: the causal convolution and the selective scan of Mamba-1 (Gu and Dao 2023, section 3; Jamba adds norms on
 * dt, B and C, which the caller applies). Cut into channels: a channel's recurrence is serial over time, channels are
 * independent. Scalar reference here. */
#include "kernels/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* Channels of one task: a multiple of every path's vector length. */
#define TASK_CHANNELS ((size_t)64)

static float silu(float v) {
    return v / (1.0f + expf(-v));
}

/* Row t of an item's input, where t counts from the item's first row and t < 0 lies in the state. */
static const float *conv_row(const struct kernel_conv1d *a, const struct kernel_mamba_item *it, ptrdiff_t t) {
    if (t < 0) return it->conv_state + (size_t)(t + (ptrdiff_t)a->d_conv - 1) * a->d_inner;
    return a->x + (it->row + (size_t)t) * a->ldx;
}

void scalar_conv1d(const struct kernel_conv1d *a, const struct kernel_mamba_item *it, size_t c0, size_t c1) {
    size_t K = a->d_conv;
    for (size_t t = 0; t < it->n_rows; t++) {
        float *y = a->y + (it->row + t) * a->ldy;
        for (size_t c = c0; c < c1; c++) {
            float sum = a->bias[c];
            for (size_t j = 0; j < K; j++)
                sum += a->weight[j * a->d_inner + c] * conv_row(a, it, (ptrdiff_t)(t + j) - (ptrdiff_t)(K - 1))[c];
            y[c] = silu(sum);
        }
    }
}

/* The state takes the last K-1 raw inputs; ascending order reads old state rows before they are overwritten. */
static void conv_state_move(const struct kernel_conv1d *a, const struct kernel_mamba_item *it, size_t c0, size_t c1) {
    size_t keep = a->d_conv - 1;
    for (size_t j = 0; j < keep; j++) {
        const float *from = conv_row(a, it, (ptrdiff_t)(it->n_rows + j) - (ptrdiff_t)keep);
        memmove(it->conv_state + j * a->d_inner + c0, from + c0, (c1 - c0) * sizeof(float));
    }
}

void scalar_scan(const struct kernel_scan *a, const struct kernel_mamba_item *it, size_t c0, size_t c1) {
    size_t D = a->d_inner, N = a->d_state;
    for (size_t t = 0; t < it->n_rows; t++) {
        size_t row = it->row + t;
        const float *b = a->b + row * a->ldbc, *cc = a->c + row * a->ldbc;
        for (size_t c = c0; c < c1; c++) {
            float raw = a->dt[row * a->lddt + c] + a->dt_bias[c];
            float delta = raw > 20 ? raw : log1pf(expf(raw));
            float u = a->u[row * a->ldu + c], y = 0;
            for (size_t n = 0; n < N; n++) {
                float *h = it->ssm_state + n * D + c;
                *h = expf(delta * a->a[n * D + c]) * *h + delta * b[n] * u;
                y += cc[n] * *h;
            }
            a->y[row * a->ldy + c] = (y + a->d[c] * u) * silu(a->z[row * a->ldz + c]);
        }
    }
}

struct mamba {
    struct kernel_device *dev;
    const struct kernel_conv1d *conv;
    const struct kernel_scan *scan;
    const struct kernel_mamba_item *items;
    size_t tasks_an_item;
};

static void conv_task(void *ctx, size_t task, int thread) {
    (void)thread;
    struct mamba *m = ctx;
    const struct kernel_mamba_item *it = &m->items[task / m->tasks_an_item];
    size_t c0 = task % m->tasks_an_item * TASK_CHANNELS,
           c1 = c0 + TASK_CHANNELS < m->conv->d_inner ? c0 + TASK_CHANNELS : m->conv->d_inner;
    m->dev->ops->conv1d(m->conv, it, c0, c1);
    conv_state_move(m->conv, it, c0, c1);
}

void kernel_conv1d_silu(struct kernel_device *dev, const struct kernel_conv1d *a, const struct kernel_mamba_item *items,
                        size_t n_items) {
    struct mamba m = {
        .dev = dev, .conv = a, .items = items, .tasks_an_item = (a->d_inner + TASK_CHANNELS - 1) / TASK_CHANNELS};
    pool_run(dev->pool, n_items * m.tasks_an_item, conv_task, &m);
}

static void scan_task(void *ctx, size_t task, int thread) {
    (void)thread;
    struct mamba *m = ctx;
    const struct kernel_mamba_item *it = &m->items[task / m->tasks_an_item];
    size_t c0 = task % m->tasks_an_item * TASK_CHANNELS,
           c1 = c0 + TASK_CHANNELS < m->scan->d_inner ? c0 + TASK_CHANNELS : m->scan->d_inner;
    m->dev->ops->scan(m->scan, it, c0, c1);
}

void kernel_selective_scan(struct kernel_device *dev, const struct kernel_scan *a,
                           const struct kernel_mamba_item *items, size_t n_items) {
    struct mamba m = {
        .dev = dev, .scan = a, .items = items, .tasks_an_item = (a->d_inner + TASK_CHANNELS - 1) / TASK_CHANNELS};
    pool_run(dev->pool, n_items * m.tasks_an_item, scan_task, &m);
}
