/* choose.c: one of n tokens by its logits; the rule is in kernels/choose.h. The edge of the nucleus is found digit by
 * digit of the keys, so that nothing is sorted. */
#include "kernels/choose.h"
#include "kernels/kernels.h"

/* The nucleus: keys above `key`, and the first `n_ties` of those that equal it. */
struct nucleus {
    uint32_t key;
    uint64_t n_ties, weight;
};

static struct nucleus find_nucleus(const float *logits, size_t n, float max, float temperature, float top_p,
                                   uint64_t all) {
    const uint64_t goal = choose_goal(top_p, all);
    uint64_t above = 0, key = 0, tie = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        uint64_t mass[256] = {0};
        for (size_t i = 0; i < n; i++) {
            const uint64_t k = choose_key(logits[i]);
            if (k >> (shift + 8) == key)
                mass[k >> shift & 255] += choose_weight(choose_distance(logits[i], max, temperature));
        }
        uint64_t digit = 255;
        while (digit > 0 && above + mass[digit] < goal) above += mass[digit--];
        key = key << 8 | digit;
        tie = mass[digit];
    }
    /* all that have this key weigh the same */
    uint64_t n_equal = 0;
    for (size_t i = 0; i < n; i++) n_equal += choose_key(logits[i]) == key;
    const uint64_t one = n_equal ? tie / n_equal : 0;
#ifdef MUTANT_NUCLEUS_TIES
    const uint64_t n_ties = n_equal;
#else
    const uint64_t n_ties = one ? (goal - above + one - 1) / one : 0;
#endif
    return (struct nucleus){(uint32_t)key, n_ties, above + n_ties * one};
}

size_t kernel_choose(const float *logits, size_t n, float temperature, float top_p, double u, float *logprob) {
    size_t best = 0;
    uint64_t sum = 0, all = 0;
    for (size_t i = 1; i < n; i++)
#ifdef MUTANT_CHOICE_TIE
        if (choose_key(logits[i]) >= choose_key(logits[best])) best = i;
#else
        if (choose_key(logits[i]) > choose_key(logits[best])) best = i;
#endif
    const float max = logits[best];
    for (size_t i = 0; i < n; i++) sum += choose_weight(choose_distance(logits[i], max, 1));
    size_t chosen = best;
    if (temperature > 0 && sum) {
        struct nucleus e = {0, UINT64_MAX, 0};
        for (size_t i = 0; i < n; i++) all += choose_weight(choose_distance(logits[i], max, temperature));
        e.weight = all;
        if (top_p > 0 && top_p < 1) e = find_nucleus(logits, n, max, temperature, top_p, all);
        const uint64_t place = choose_place(u, e.weight);
        uint64_t before = 0, ties = 0;
        for (size_t i = 0; i < n; i++) {
            const uint32_t k = choose_key(logits[i]);
            if (k < e.key || (k == e.key && ties++ >= e.n_ties)) continue;
            before += choose_weight(choose_distance(logits[i], max, temperature));
            if (before <= place) continue;
            chosen = i;
            break;
        }
    }
    *logprob = sum ? choose_logprob(logits[chosen], max, sum) : 0;
    return chosen;
}
