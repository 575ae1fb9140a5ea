/* tokenizer_merge.c: the merge loop of BPE: the best adjacent pair first, the leftmost among equals.
 *
 * Short words (nearly all) keep each pair's priority in an array and scan it; long ones use a heap whose stale entries
 * are recognised by their length, so a megabyte without a space still takes n log n.
 */
#include "engine/jamba/tokenizer.h"

#include <math.h>
#include <string.h>

enum { MERGE_SCAN_MAX = 32 };
#define NO_SYMBOL UINT32_MAX

static uint64_t mix(uint64_t x) {
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 32;
}

/* Priority of merging a and b (lower first, INFINITY: never) and the token they become. */
static double pair_priority(const struct tokenizer *t, const char *text, const struct merge_symbol *a,
                            const struct merge_symbol *b, int32_t *id) {
    if (!t->by_merges) {
        *id = tokenizer_find(t, text + a->from, (size_t)a->len + b->len);
        return *id < 0 ? (double)INFINITY : -(double)t->tokens[*id].score;
    }
    if (a->id < 0 || b->id < 0) return (double)INFINITY;
    uint64_t pair = (uint64_t)(uint32_t)a->id << 32 | (uint32_t)b->id;
    for (size_t i = mix(pair) & (t->n_merge_slots - 1); t->merge_slots[i].id >= 0;
         i = (i + 1) & (t->n_merge_slots - 1)) {
        if (t->merge_slots[i].pair != pair) continue;
        *id = t->merge_slots[i].id;
        return t->merge_slots[i].rank;
    }
    return (double)INFINITY;
}

/* Symbol a swallows the one behind it. */
static void join(struct merge_symbol *s, uint32_t a, int32_t id) {
    uint32_t b = s[a].next;
    s[a].len += s[b].len;
    s[a].end = s[b].end;
    s[a].id = id;
    s[a].next = s[b].next;
    if (s[b].next != NO_SYMBOL) s[s[b].next].prev = a;
    s[b].len = 0;
}

static void merge_by_scan(const struct tokenizer *t, const char *text, struct merge_symbol *s, uint32_t n) {
    double priority[MERGE_SCAN_MAX]; /* of symbol i with the next one */
    int32_t id[MERGE_SCAN_MAX];
    for (uint32_t i = 0; i < n; i++)
        priority[i] = i + 1 < n ? pair_priority(t, text, &s[i], &s[i + 1], &id[i]) : (double)INFINITY;
    for (;;) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < n; i++)
            if (priority[i] < priority[best]) best = i;
        if (isinf(priority[best])) return;
        uint32_t gone = s[best].next;
        join(s, best, id[best]);
        priority[gone] = (double)INFINITY;
        uint32_t next = s[best].next, prev = s[best].prev;
        priority[best] = next == NO_SYMBOL ? (double)INFINITY : pair_priority(t, text, &s[best], &s[next], &id[best]);
        if (prev != NO_SYMBOL) priority[prev] = pair_priority(t, text, &s[prev], &s[best], &id[prev]);
    }
}

static bool before(const struct merge_candidate *a, const struct merge_candidate *b) {
    return a->priority < b->priority || (a->priority == b->priority && a->left < b->left);
}

static int push(const struct tokenizer *t, const char *text, struct merge_work *w, uint32_t left, struct error *e) {
    struct merge_symbol *s = w->symbols;
    struct merge_candidate c = {.left = left};
    if (left == NO_SYMBOL || s[left].next == NO_SYMBOL) return 0;
    c.priority = pair_priority(t, text, &s[left], &s[s[left].next], &c.id);
    if (isinf(c.priority)) return 0;
    c.len = s[left].len + s[s[left].next].len;
    int rc = array_grow((void **)&w->heap, &w->cap_heap, w->n_heap + 1, sizeof *w->heap, e);
    if (rc) return rc;
    size_t i = w->n_heap++;
    for (; i && before(&c, &w->heap[(i - 1) / 2]); i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
    return 0;
}

static struct merge_candidate pop(struct merge_work *w) {
    struct merge_candidate top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->n_heap; i = child) {
        if (child + 1 < w->n_heap && before(&w->heap[child + 1], &w->heap[child])) child++;
        if (!before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
    }
    if (w->n_heap) w->heap[i] = last;
    return top;
}

static int merge_by_heap(const struct tokenizer *t, const char *text, struct merge_work *w, struct error *e) {
    struct merge_symbol *s = w->symbols;
    int rc = 0;
    w->n_heap = 0;
    for (size_t i = 0; !rc && i + 1 < w->n; i++) rc = push(t, text, w, (uint32_t)i, e);
    while (!rc && w->n_heap) {
        struct merge_candidate c = pop(w);
        uint32_t next = s[c.left].next;
        /* stale: one of the two was merged since. Its length tells: symbols only grow. A swallowed one has none. */
        if (!s[c.left].len || next == NO_SYMBOL || s[c.left].len + s[next].len != c.len) continue;
        int32_t id = -1;
        if (pair_priority(t, text, &s[c.left], &s[next], &id) != c.priority || id != c.id) continue;
        join(s, c.left, c.id);
        rc = push(t, text, w, s[c.left].prev, e);
        if (!rc) rc = push(t, text, w, c.left, e);
    }
    return rc;
}

int tokenizer_merge(const struct tokenizer *t, const char *text, struct merge_work *w, struct error *e) {
    for (size_t i = 0; i < w->n; i++) {
        w->symbols[i].prev = i ? (uint32_t)i - 1 : NO_SYMBOL;
        w->symbols[i].next = i + 1 < w->n ? (uint32_t)i + 1 : NO_SYMBOL;
    }
    if (w->n <= 1 || (t->by_merges && !t->n_merges)) return 0;
    if (w->n > MERGE_SCAN_MAX) return merge_by_heap(t, text, w, e);
    merge_by_scan(t, text, w->symbols, (uint32_t)w->n);
    return 0;
}
