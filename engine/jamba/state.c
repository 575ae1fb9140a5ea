/* state.c: a session's state on the CPU: conv and SSM state of the Mamba layers, the last final-norm row, and the KV
 * pages, which forks share. Serialised as: has_last (u32), conv, ssm, last, then the pages that hold n_tokens
 * positions, each whole. The KV type and so the page size depend on the kernel path, which the snapshot's header names.
 */
#include "engine/jamba/cpu.h"
#include "engine/jamba/threads.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((size_t)KERNEL_KV_PAGE)

/* ---- pages ---- */
void kv_pool_init(struct kv_pool *p) {
    memset(p, 0, sizeof *p);
    pthread_mutex_init(&p->mutex, NULL);
}

static void slab_free(const struct kv_pool *p, struct kv_slab *s) {
    if (s->memory && p->page_bytes) munmap(s->memory, s->n_pages * p->page_bytes);
    free(s);
}

void kv_pool_close(struct kv_pool *p) {
    while (p->slabs) {
        struct kv_slab *next = p->slabs->next;
        slab_free(p, p->slabs);
        p->slabs = next;
    }
    pthread_mutex_destroy(&p->mutex);
}

/* Promises n pages. */
static int pool_reserve(struct kv_pool *p, size_t n, struct error *e) {
    int rc = 0;
    pthread_mutex_lock(&p->mutex);
    if (p->total < p->reserved + n) {
        size_t more = p->reserved + n - p->total;
        struct kv_slab *s = calloc(1, sizeof *s + more * sizeof s->pages[0]);
        if (s && p->page_bytes) {
            s->memory = mmap(NULL, more * p->page_bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (s->memory == MAP_FAILED) {
                free(s);
                s = NULL;
            } else {
                /* Only a hint. Fewer page faults: 16,384 tokens (126 MB) restored in 0.083 s in place of 0.118. */
                madvise(s->memory, more * p->page_bytes, MADV_HUGEPAGE);
            }
        }
        if (!s) {
            rc = error_set(e, ERR_NOMEM, "", "There is no memory to keep %zu tokens of attention state (%zu MB).",
                           more * PAGE, (size_t)(more * p->page_bytes >> 20));
        } else {
            s->n_pages = s->n_free = more;
            for (size_t i = more; i-- > 0;) {
                s->pages[i] = (struct kv_page){
                    .slab = s, .data = s->memory ? s->memory + i * p->page_bytes : NULL, .next_free = p->free};
                p->free = &s->pages[i];
            }
            s->next = p->slabs;
            p->slabs = s;
            p->total += more;
        }
    }
    if (!rc) p->reserved += n;
    pthread_mutex_unlock(&p->mutex);
    return rc;
}

/* Gives a promise back, and slabs that nobody uses or was promised. */
static void pool_release(struct kv_pool *p, size_t n) {
    pthread_mutex_lock(&p->mutex);
    p->reserved -= n;
    for (struct kv_slab **link = &p->slabs; *link;) {
        struct kv_slab *s = *link;
        if (s->n_free < s->n_pages || p->total - s->n_pages < p->reserved) {
            link = &s->next;
            continue;
        }
        for (struct kv_page **f = &p->free; *f;) {
            if ((*f)->slab == s)
                *f = (*f)->next_free;
            else
                f = &(*f)->next_free;
        }
        p->total -= s->n_pages;
        *link = s->next;
        slab_free(p, s);
    }
    pthread_mutex_unlock(&p->mutex);
}

static struct kv_page *page_take(struct kv_pool *p, struct cpu_state *s) {
    pthread_mutex_lock(&p->mutex);
    assert(s->granted); /* session.c asks before it reads */
    s->granted--;
    struct kv_page *page = p->free;
    assert(page); /* reserved when the session was opened */
    p->free = page->next_free;
    page->slab->n_free--;
    pthread_mutex_unlock(&p->mutex);
    if (page->used && page->data) memset(page->data, 0, p->page_bytes); /* nothing of another document stays readable */
    page->used = true;
    atomic_store(&page->refs, 1);
    return page;
}

static void page_drop(struct kv_pool *p, struct kv_page *page) {
    if (atomic_fetch_sub(&page->refs, 1) != 1) return;
    pthread_mutex_lock(&p->mutex);
    page->next_free = p->free;
    p->free = page;
    page->slab->n_free++;
    p->charged -= p->page_bytes;
    pthread_mutex_unlock(&p->mutex);
}

/* ---- the budget ---- */
static int pool_charge(struct kv_pool *p, uint64_t n, struct error *e) {
    pthread_mutex_lock(&p->mutex);
    uint64_t budget = p->budget, free = p->charged < budget ? budget - p->charged : 0;
    bool fits = !budget || n <= free;
    if (fits) p->charged += n;
    pthread_mutex_unlock(&p->mutex);
    if (fits) return 0;
    return error_set(
        e, ERR_NOMEM, "",
        "This needs %llu more bytes for its reading; of the %llu that all readings together may take, %llu "
        "are free.",
        (unsigned long long)n, (unsigned long long)budget, (unsigned long long)free);
}
static void pool_discharge(struct kv_pool *p, uint64_t n) {
    pthread_mutex_lock(&p->mutex);
    p->charged -= n;
    pthread_mutex_unlock(&p->mutex);
}

int cpu_state_grant(void *ctx, void *state, size_t n, struct error *e) {
    struct kv_pool *p = &((struct cpu_model *)ctx)->pool;
    struct cpu_state *s = state;
    size_t need = 0;
    int rc = 0;
    if (s->max_pages && n) {
        size_t pages = (s->n_tokens + n + PAGE - 1) / PAGE;
        need = pages > s->n_pages ? pages - s->n_pages : 0;
        need += s->n_tokens % PAGE && atomic_load(&s->pages[s->n_tokens / PAGE]->refs) > 1; /* its own copy */
    }
    if (need > s->granted)
        rc = pool_charge(p, (uint64_t)(need - s->granted) * p->page_bytes, e);
    else if (need < s->granted)
        pool_discharge(p, (uint64_t)(s->granted - need) * p->page_bytes);
    if (!rc) s->granted = need;
    return rc;
}

/* ---- state ---- */
int cpu_state_open(void **state, void *ctx, uint32_t max_tokens, struct error *e) {
    struct cpu_model *cm = ctx;
    const struct jamba_config *c = &cm->m->config;
    *state = NULL;
    struct cpu_state *s = calloc(1, sizeof *s);
    if (!s) return error_set(e, ERR_NOMEM, "", "There is no memory for a session.");
    s->max_tokens = max_tokens;
    s->max_pages = c->n_attention_layer ? (max_tokens + PAGE - 1) / PAGE : 0;
    s->conv = kernel_alloc(cpu_n_mamba(c) * cpu_conv_floats(c) * sizeof(float));
    s->ssm = kernel_alloc(cpu_n_mamba(c) * cpu_ssm_floats(c) * sizeof(float));
    s->last = kernel_alloc(c->d_model * sizeof(float));
    s->pages = calloc(s->max_pages + 1, sizeof(struct kv_page *));
    s->page_data = calloc(s->max_pages + 1, sizeof(void *));
    int rc = s->conv && s->ssm && s->last && s->pages && s->page_data
                 ? 0
                 : error_set(e, ERR_NOMEM, "", "There is no memory for a session.");
    uint64_t bytes = (uint64_t)cpu_n_mamba(c) * (cpu_conv_floats(c) + cpu_ssm_floats(c)) * sizeof(float) +
                     c->d_model * sizeof(float);
    if (!rc) rc = pool_charge(&cm->pool, bytes, e);
    if (!rc) s->charged_bytes = bytes;
    /* A fork may hold its own copy of a page it shares; max_pages of its own cover that, because pages count once a
     * session. */
    size_t reserve = s->max_pages;
    if (!rc) rc = pool_reserve(&cm->pool, reserve, e);
    if (rc) {
        s->max_pages = 0;
        cpu_state_close(ctx, s);
        return rc;
    }
    *state = s;
    return 0;
}

int cpu_state_fork(void **out, void *ctx, const void *state, struct error *e) {
    struct cpu_model *cm = ctx;
    const struct cpu_state *from = state;
    const struct jamba_config *c = &cm->m->config;
    int rc = cpu_state_open(out, ctx, from->max_tokens, e);
    if (rc) return rc;
    struct cpu_state *s = *out;
    s->n_tokens = from->n_tokens;
    s->has_last = from->has_last;
    memcpy(s->conv, from->conv, cpu_n_mamba(c) * cpu_conv_floats(c) * sizeof(float));
    memcpy(s->ssm, from->ssm, cpu_n_mamba(c) * cpu_ssm_floats(c) * sizeof(float));
    memcpy(s->last, from->last, c->d_model * sizeof(float));
    for (size_t i = 0; i < from->n_pages; i++) {
        s->pages[i] = from->pages[i];
        s->page_data[i] = from->page_data[i];
        atomic_fetch_add(&s->pages[i]->refs, 1);
    }
    s->n_pages = from->n_pages;
    return 0;
}

void cpu_state_close(void *ctx, void *state) {
    struct cpu_model *cm = ctx;
    struct cpu_state *s = state;
    if (!s) return;
    for (size_t i = 0; i < s->n_pages; i++) page_drop(&cm->pool, s->pages[i]);
    pool_discharge(&cm->pool, s->charged_bytes + (uint64_t)s->granted * cm->pool.page_bytes);
    if (s->max_pages) pool_release(&cm->pool, s->max_pages);
    kernel_free(s->conv);
    kernel_free(s->ssm);
    kernel_free(s->last);
    free(s->pages);
    free(s->page_data);
    free(s);
}

void cpu_state_extend(struct cpu_model *cm, struct cpu_state *s, size_t n) {
    if (!s->max_pages) return;
    size_t need = (s->n_tokens + n + PAGE - 1) / PAGE;
    assert(need <= s->max_pages);
#ifndef MUTANT_NO_COPY_ON_WRITE
    if (s->n_tokens % PAGE && atomic_load(&s->pages[s->n_tokens / PAGE]->refs) > 1) {
        size_t i = s->n_tokens / PAGE;
        struct kv_page *copy = page_take(&cm->pool, s);
        memcpy(copy->data, s->page_data[i], cm->pool.page_bytes);
        page_drop(&cm->pool, s->pages[i]);
        s->pages[i] = copy;
        s->page_data[i] = copy->data;
    }
#endif
    for (; s->n_pages < need; s->n_pages++) {
        s->pages[s->n_pages] = page_take(&cm->pool, s);
        s->page_data[s->n_pages] = s->pages[s->n_pages]->data;
    }
}

/* ---- serialised ---- */
static size_t pages_of(const struct jamba_config *c, uint32_t n_tokens) {
    return c->n_attention_layer ? (n_tokens + PAGE - 1) / PAGE : 0;
}

uint64_t cpu_state_bytes(void *ctx, const void *state, uint32_t n_tokens) {
    struct cpu_model *cm = ctx;
    const struct jamba_config *c = &cm->m->config;
    (void)state;
    return 4 + (uint64_t)cpu_n_mamba(c) * (cpu_conv_floats(c) + cpu_ssm_floats(c)) * 4 + (uint64_t)c->d_model * 4 +
           (uint64_t)pages_of(c, n_tokens) * cm->layer_kv_bytes * c->n_attention_layer;
}

int cpu_state_write(void *ctx, const void *state, uint32_t n_tokens, int (*put)(void *, const void *, size_t),
                    void *put_ctx, struct error *e) {
    struct cpu_model *cm = ctx;
    const struct jamba_config *c = &cm->m->config;
    const struct cpu_state *s = state;
    (void)e; /* put has said what failed */
    assert(n_tokens == s->n_tokens);
    uint32_t has_last = s->has_last;
    int rc = put(put_ctx, &has_last, 4);
    if (!rc) rc = put(put_ctx, s->conv, cpu_n_mamba(c) * cpu_conv_floats(c) * 4);
    if (!rc) rc = put(put_ctx, s->ssm, cpu_n_mamba(c) * cpu_ssm_floats(c) * 4);
    if (!rc) rc = put(put_ctx, s->last, c->d_model * 4);
    for (size_t i = 0; !rc && i < pages_of(c, n_tokens); i++)
        rc = put(put_ctx, s->page_data[i], cm->layer_kv_bytes * c->n_attention_layer);
    return rc;
}

/* Pages on their way from a file, shared by threads. */
struct page_work {
    struct cpu_state *s;
    int (*get)(void *, void *, size_t, uint64_t);
    void *get_ctx;
    uint64_t at;  /* of the first page */
    size_t bytes; /* a page */
    atomic_size_t next;
    atomic_int rc;
};
static void *read_pages(void *ctx) {
    struct page_work *w = ctx;
    for (size_t i; !atomic_load(&w->rc) && (i = atomic_fetch_add(&w->next, 1)) < w->s->n_pages;) {
        int rc = w->get(w->get_ctx, w->s->page_data[i], w->bytes, w->at + i * w->bytes);
        if (rc) atomic_store(&w->rc, rc);
    }
    return NULL;
}

int cpu_state_read(void *ctx, void *state, uint32_t n_tokens, int (*get)(void *, void *, size_t, uint64_t),
                   void *get_ctx, struct error *e) {
    struct cpu_model *cm = ctx;
    const struct jamba_config *c = &cm->m->config;
    struct cpu_state *s = state;
    assert(s->n_tokens == 0 && n_tokens <= s->max_tokens);
    uint32_t has_last = 0;
    const struct {
        void *to;
        size_t len;
    } head[] = {{&has_last, 4},
                {s->conv, cpu_n_mamba(c) * cpu_conv_floats(c) * 4},
                {s->ssm, cpu_n_mamba(c) * cpu_ssm_floats(c) * 4},
                {s->last, c->d_model * 4}};
    uint64_t at = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof head / sizeof head[0]; at += head[i++].len)
        rc = get(get_ctx, head[i].to, head[i].len, at);
    if (!rc) rc = cpu_state_grant(ctx, s, n_tokens, e);
    if (rc) return rc;
    cpu_state_extend(cm, s, n_tokens);
    struct page_work w = {
        .s = s, .get = get, .get_ctx = get_ctx, .at = at, .bytes = cm->layer_kv_bytes * c->n_attention_layer};
    threads_run(s->n_pages > 1 ? kernel_device_threads(cm->dev) : 1, read_pages, &w);
    s->n_tokens = n_tokens;
    s->has_last = has_last != 0;
    return atomic_load(&w.rc);
}
