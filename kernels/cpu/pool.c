/* pool.c: the device's worker threads. A call's tasks are taken one by one from a shared counter, so which thread
 * computes a task is left to chance; that is harmless because no sum crosses a task (kernels.h). Workers spin for a
 * moment between calls, because a layer makes half a dozen of them, and then sleep. */
#include "kernels/cpu/cpu.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* About 30 microseconds: longer than the gap between two operations of a decode step, shorter than anything a person
 * notices. */
#define SPIN_ROUNDS 2000

struct pool {
    int n_threads;
    pthread_t *threads; /* [n_threads - 1] */
    int n_started;
    pool_task fn; /* of the current call; published by `generation` */
    void *ctx;
    size_t n_tasks;
    atomic_size_t next;
    atomic_uint generation;
    atomic_int active; /* workers that have not finished the current generation */
    atomic_int sleeping;
    atomic_bool stop;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};
struct worker {
    struct pool *pool;
    int thread;
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void work(struct pool *p, int thread) {
    for (;;) {
        size_t task = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (task >= p->n_tasks) return;
        p->fn(p->ctx, task, thread);
    }
}

static void *worker_main(void *arg) {
    struct worker w = *(struct worker *)arg;
    free(arg);
    struct pool *p = w.pool;
    unsigned seen = 0;
    for (;;) {
        unsigned now = atomic_load(&p->generation);
        for (int i = 0; now == seen && i < SPIN_ROUNDS; i++) {
            relax();
            now = atomic_load(&p->generation);
        }
        if (now == seen) {
            pthread_mutex_lock(&p->mutex);
            atomic_fetch_add(&p->sleeping, 1);
            while ((now = atomic_load(&p->generation)) == seen) pthread_cond_wait(&p->wake, &p->mutex);
            atomic_fetch_sub(&p->sleeping, 1);
            pthread_mutex_unlock(&p->mutex);
        }
        seen = now;
        if (atomic_load(&p->stop)) return NULL;
        work(p, w.thread);
        atomic_fetch_sub(&p->active, 1);
    }
}

static void publish(struct pool *p) {
    atomic_fetch_add(&p->generation, 1);
    if (atomic_load(&p->sleeping) > 0) { /* a worker raises `sleeping` before it looks at `generation` once more */
        pthread_mutex_lock(&p->mutex);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->mutex);
    }
}

int pool_open(struct pool **out, int n_threads, struct error *e) {
    *out = NULL;
    struct pool *p = calloc(1, sizeof *p);
    if (!p) return error_set(e, ERR_NOMEM, "", "There is no memory for the worker threads.");
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->n_threads = n_threads;
    p->threads = calloc((size_t)n_threads, sizeof *p->threads);
    int rc = p->threads ? 0 : error_set(e, ERR_NOMEM, "", "There is no memory for the worker threads.");
    for (int t = 1; rc == 0 && t < n_threads; t++) {
        struct worker *w = malloc(sizeof *w);
        if (w) *w = (struct worker){p, t};
        if (!w || pthread_create(&p->threads[p->n_started], NULL, worker_main, w)) {
            free(w);
            rc = error_set(e, ERR_NOMEM, "", "The system refuses to start %d worker threads.", n_threads - 1);
        } else {
            p->n_started++;
        }
    }
    if (rc) {
        pool_close(p);
        return rc;
    }
    *out = p;
    return 0;
}

void pool_close(struct pool *p) {
    if (!p) return;
    atomic_store(&p->stop, true);
    publish(p);
    for (int t = 0; t < p->n_started; t++) pthread_join(p->threads[t], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->mutex);
    free(p->threads);
    free(p);
}

void pool_run(struct pool *p, size_t n_tasks, pool_task fn, void *ctx) {
    if (n_tasks <= 1 || p->n_threads == 1) {
        for (size_t task = 0; task < n_tasks; task++) fn(ctx, task, 0);
        return;
    }
    p->fn = fn;
    p->ctx = ctx;
    p->n_tasks = n_tasks;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store(&p->active, p->n_threads - 1);
    publish(p);
    work(p, 0);
    for (unsigned i = 0; atomic_load(&p->active) > 0; i++) {
        if (i > SPIN_ROUNDS)
            sched_yield();
        else
            relax();
    }
}
