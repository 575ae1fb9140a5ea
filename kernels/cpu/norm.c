/* norm.c: RMSNorm (Zhang and Sennrich 2019; no bias, no +1 on the weight) and SwiGLU, with their scalar reference. */
#include "kernels/cpu/cpu.h"

#include <math.h>

/* Rows of one task: a row is a few hundred nanoseconds. */
#define TASK_ROWS 16

void scalar_rms_norm(const float *x, const float *weight, float *y, size_t n, float eps) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    float scale = 1.0f / sqrtf((float)(sum / (double)n) + eps);
    for (size_t i = 0; i < n; i++) y[i] = x[i] * scale * weight[i];
}

void scalar_swiglu(const float *gate, const float *up, float *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

struct norm {
    struct kernel_device *dev;
    const float *x, *weight, *up;
    float *y;
    size_t ldx, ldy, n_rows, n;
    float eps;
};

static void norm_task(void *ctx, size_t task, int thread) {
    (void)thread;
    struct norm *a = ctx;
    for (size_t r = task * TASK_ROWS; r < (task + 1) * TASK_ROWS && r < a->n_rows; r++)
        a->dev->ops->rms_norm(a->x + r * a->ldx, a->weight, a->y + r * a->ldy, a->n, a->eps);
}

void kernel_rms_norm(struct kernel_device *dev, const float *x, size_t ldx, const float *weight, float *y, size_t ldy,
                     size_t n_rows, size_t n, float eps) {
    struct norm a = {
        .dev = dev, .x = x, .weight = weight, .y = y, .ldx = ldx, .ldy = ldy, .n_rows = n_rows, .n = n, .eps = eps};
    pool_run(dev->pool, (n_rows + TASK_ROWS - 1) / TASK_ROWS, norm_task, &a);
}

static void swiglu_task(void *ctx, size_t task, int thread) {
    (void)thread;
    struct norm *a = ctx;
    for (size_t r = task * TASK_ROWS; r < (task + 1) * TASK_ROWS && r < a->n_rows; r++)
        a->dev->ops->swiglu(a->x + r * a->ldx, a->up + r * a->ldx, a->y + r * a->ldy, a->n);
}

void kernel_swiglu(struct kernel_device *dev, const float *gate, const float *up, size_t ld, float *y, size_t ldy,
                   size_t n_rows, size_t n) {
    struct norm a = {.dev = dev, .x = gate, .up = up, .y = y, .ldx = ld, .ldy = ldy, .n_rows = n_rows, .n = n};
    pool_run(dev->pool, (n_rows + TASK_ROWS - 1) / TASK_ROWS, swiglu_task, &a);
}
