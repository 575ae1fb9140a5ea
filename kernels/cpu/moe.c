/* moe.c: Jamba's router (softmax over all experts in f32, then top-k, weights as they are: their sum is below 1) and
 * the row moves around the experts. */
#include "kernels/cpu/cpu.h"

#include <assert.h>
#include <math.h>
#include <string.h>

void kernel_router_top_k(const float *logits, size_t ld, size_t n_rows, size_t n_expert, size_t top_k, int32_t *expert,
                         float *weight) {
    assert(top_k <= n_expert);
    for (size_t row = 0; row < n_rows; row++) {
        const float *l = logits + row * ld;
        int32_t *ex = expert + row * top_k;
        float *we = weight + row * top_k, max = l[0], sum = 0;
        for (size_t i = 1; i < n_expert; i++) max = fmaxf(max, l[i]);
        for (size_t i = 0; i < n_expert; i++) sum += expf(l[i] - max);
        for (size_t k = 0; k < top_k; k++) {
            size_t best = SIZE_MAX;
            for (size_t i = 0; i < n_expert; i++) {
                bool taken = false;
                for (size_t j = 0; j < k; j++) taken |= (size_t)ex[j] == i;
#ifdef MUTANT_TOPK_TIE
                if (!taken && (best == SIZE_MAX || l[i] >= l[best])) best = i;
#else
                if (!taken && (best == SIZE_MAX || l[i] > l[best])) best = i; /* a tie keeps the lower index */
#endif
            }
            ex[k] = (int32_t)best;
            we[k] = expf(l[best] - max) / sum;
        }
#ifdef MUTANT_EXPERT_SWAP
        if (top_k > 1) {
            int32_t first = ex[0];
            ex[0] = ex[1], ex[1] = first;
        }
#endif
#ifdef MUTANT_RENORMALISE_ROUTER
        float total = 0;
        for (size_t k = 0; k < top_k; k++) total += we[k];
        for (size_t k = 0; k < top_k; k++) we[k] /= total;
#endif
    }
}

void kernel_gather_rows(struct kernel_device *dev, const float *x, size_t ldx, const int32_t *rows, size_t n_rows,
                        size_t n, float *y, size_t ldy) {
    (void)dev; /* memory-bound and short */
    for (size_t i = 0; i < n_rows; i++) memcpy(y + i * ldy, x + (size_t)rows[i] * ldx, n * sizeof(float));
}

void kernel_scatter_add(struct kernel_device *dev, const float *x, size_t ldx, const int32_t *rows, const float *weight,
                        size_t n_rows, size_t n, float *y, size_t ldy) {
    (void)dev;
    for (size_t i = 0; i < n_rows; i++)
        for (size_t k = 0; k < n; k++) y[(size_t)rows[i] * ldy + k] += weight[i] * x[i * ldx + k];
}
