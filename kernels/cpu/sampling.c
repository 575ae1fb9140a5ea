/* sampling.c: log-sum-exp over the vocabulary, a piece at a time. The sum is f64, so that 49,152 small terms do not
 * drown in f32. */
#include "kernels/cpu/cpu.h"

#include <math.h>

void scalar_log_sum_exp(const float *x, size_t n, float *max, double *sum) {
    float m = *max;
    for (size_t i = 0; i < n; i++) m = fmaxf(m, x[i]);
    double s = *max == m ? *sum : *sum * exp((double)*max - (double)m); /* exp(-inf) = 0 for the first piece */
    for (size_t i = 0; i < n; i++) s += (double)expf(x[i] - m);
    *max = m;
    *sum = s;
}

struct log_sum_exp {
    struct kernel_device *dev;
    const float *x;
    size_t ld, n_rows, n;
    float *max;
    double *sum;
};
static void log_sum_exp_task(void *ctx, size_t row, int thread) {
    (void)thread;
    struct log_sum_exp *a = ctx;
    a->dev->ops->log_sum_exp(a->x + row * a->ld, a->n, &a->max[row], &a->sum[row]);
}

void kernel_log_sum_exp(struct kernel_device *dev, const float *x, size_t ld, size_t n_rows, size_t n, float *max,
                        double *sum) {
    struct log_sum_exp a = {dev, x, ld, n_rows, n, max, sum};
    pool_run(dev->pool, n_rows, log_sum_exp_task, &a);
}
