/* test_store_threads.c: several threads upload, ingest, search, load, embed and delete in one store at once. Run it
 * under TSan too. Nothing may fail but for reasons that the others' work gives (a document deleted meanwhile), and the
 * end must add up. */
#include "tests/unit/store_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

enum { UPLOADERS = 2, FILES = 12, READERS = 3, WORKERS = 2 };

struct shared {
    struct store *s;
    const char *dir;
    int64_t set;
    atomic_int uploaded, ingested, deleted, uploaders_left, bad;
    atomic_bool stop;
};

struct thread {
    struct shared *x;
    int number;
};

static void complain(struct shared *x, const char *what,
                     const struct error *e) { /* cmocka's asserts belong to the main thread */
    fprintf(stderr, "%s: %s: %s [%s]\n", what, error_name(e->code), e->message, e->where);
    atomic_fetch_add(&x->bad, 1);
}

static void *upload_thread(void *p) {
    struct thread *t = p;
    struct error e;
    for (int i = 0; i < FILES; i++) {
        char path[600], name[32], text[200];
        int64_t document, job;
        snprintf(path, sizeof path, "%s.upload%d", t->x->dir, t->number);
        snprintf(name, sizeof name, "%d-%d.txt", t->number, i);
        snprintf(text, sizeof text, "# 1 Turbines\nTurbine %d of maker%d is green.\nPump %d is qzrare%dx%d.\n", i,
                 t->number, i, t->number, i);
        if (file_write_atomic(path, text, strlen(text), &e) ||
            store_document_add(t->x->s, t->x->set, path, slice_of(name), &document, &job, &e))
            complain(t->x, "upload", &e);
        atomic_fetch_add(&t->x->uploaded, 1);
    }
    atomic_fetch_sub(&t->x->uploaders_left, 1);
    return NULL;
}

static void *work_thread(void *p) {
    struct thread *t = p;
    struct error e;
    for (;;) {
        struct arena a = {0};
        struct store_job job;
        struct store_document row;
        struct buf b = {0};
        bool last = atomic_load(&t->x->uploaders_left) == 0; /* before looking: nothing comes after */
        int rc = store_job_take(t->x->s, &a, STORE_JOB_INGEST, 60, &job, &e);
        if (rc == ERR_NOT_FOUND && last) break;
        if (rc == ERR_NOT_FOUND) {
            usleep(1000);
            continue;
        }
        if (rc || store_document_find(t->x->s, &a, job.document, &row, &e) ||
            file_read(store_document_path(t->x->s, &a, &row).data, 1 << 20, &b, &e) ||
            store_job_progress(t->x->s, job.id, "index", 0, 1, 60, &e)) {
            complain(t->x, "take", &e);
            break;
        }
        struct ingest_document *d = doc_new("x", b.data);
        if (store_document_write(t->x->s, job.id, d, 9, &e)) complain(t->x, "write", &e);
        atomic_fetch_add(&t->x->ingested, 1);
        doc_free(d);
        buf_free(&b);
        arena_free(&a);
    }
    return NULL;
}

static void *read_thread(void *p) {
    struct thread *t = p;
    struct error e;
    uint8_t model[32] = {1};
    for (int i = 0; !atomic_load(&t->x->stop); i++) {
        struct arena a = {0};
        struct store_hit *hits;
        struct store_set *sets;
        struct store_statement *missing;
        struct ingest_document *d;
        size_t n, m;
        float v[64] = {1};
        struct store_query q = {.text = SLICE_LITERAL("green turbine"),
                                .vector = i % 2 ? v : NULL,
                                .dim = 4,
                                .model_id = model,
                                .top_k = 5};
        if (store_search(t->x->s, &a, t->x->set, &q, &hits, &n, &e)) complain(t->x, "search", &e), n = 0;
        if (n) {
            int rc = store_document_load(t->x->s, hits[0].document, &d, &e);
            if (rc == 0) {
                if (d->n_statements != 2) atomic_fetch_add(&t->x->bad, 1);
                doc_free(d);
            } else if (rc != ERR_NOT_FOUND) { /* deleted meanwhile */
                complain(t->x, "load", &e);
            }
        }
        if (store_embeddings_missing(t->x->s, &a, t->x->set, model, &missing, &m, &e))
            complain(t->x, "missing", &e), m = 0;
        if (m > 16) m = 16;
        if (m && store_embeddings_add(t->x->s, model, missing, v, m, 4, &e)) complain(t->x, "embed", &e);
        if (store_sets(t->x->s, &a, &sets, &m, &e)) complain(t->x, "sets", &e);
        arena_free(&a);
        usleep(500);
    }
    return NULL;
}

static void *delete_thread(void *p) { /* every third ready document goes while all others work */
    struct thread *t = p;
    struct error e;
    while (!atomic_load(&t->x->stop)) {
        struct arena a = {0};
        struct store_document *list;
        size_t n;
        if (store_documents(t->x->s, &a, t->x->set, &list, &n, &e)) complain(t->x, "list", &e), n = 0;
        for (size_t i = 0; i < n; i++) {
            if (list[i].id % 3 != 0 || list[i].state != STORE_READY) continue;
            if (store_document_delete(t->x->s, list[i].id, &a, NULL, &e)) complain(t->x, "delete", &e);
            atomic_fetch_add(&t->x->deleted, 1);
        }
        arena_free(&a);
        usleep(2000);
    }
    return NULL;
}

static void test_all_at_once(void **state) {
    (void)state;
    char *dir = dir_new();
    struct shared x = {.dir = dir, .uploaders_left = UPLOADERS};
    struct thread t[UPLOADERS + WORKERS + READERS + 1];
    pthread_t threads[UPLOADERS + WORKERS + READERS + 1];
    size_t n = 0, first_reader;
    OK(store_open(&x.s, dir, &err));
    OK(store_set_create(x.s, SLICE_LITERAL("acme"), &x.set, &err));
#define START(function)                                                                                                \
    (t[n] = (struct thread){&x, (int)n}, assert_int_equal(pthread_create(&threads[n], NULL, function, &t[n]), 0), n++)
    for (int i = 0; i < UPLOADERS; i++) START(upload_thread);
    for (int i = 0; i < WORKERS; i++) START(work_thread);
    first_reader = n;
    for (int i = 0; i < READERS; i++) START(read_thread);
    START(delete_thread);
    for (size_t i = 0; i < first_reader; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 3000 && atomic_load(&x.deleted) == 0; i++) usleep(10000);
    atomic_store(&x.stop, true);
    for (size_t i = first_reader; i < n; i++) pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&x.bad), 0);
    assert_int_equal(atomic_load(&x.uploaded), UPLOADERS * FILES);
    assert_int_equal(atomic_load(&x.ingested), UPLOADERS * FILES);
    assert_true(atomic_load(&x.deleted) > 0);

    struct arena a = {0};
    struct store_document *list;
    struct store_hit *hits;
    size_t left;
    OK(store_documents(x.s, &a, x.set, &list, &left, &err));
    assert_int_equal(left, UPLOADERS * FILES - atomic_load(&x.deleted));
    struct store_query q = {.text = SLICE_LITERAL("green"), .top_k = 1000};
    OK(store_search(x.s, &a, x.set, &q, &hits, &n, &err));
    assert_int_equal(n, 2 * left); /* the sentence and, by its section, the other */
    store_close(x.s);
    for (int u = 0; u < UPLOADERS; u++)
        for (int i = 0; i < FILES; i++) {
            char word[32], name[32];
            bool there = false;
            snprintf(word, sizeof word, "zrare%dx%d.", u, i);
            snprintf(name, sizeof name, "%d-%d.txt", u, i);
            for (size_t k = 0; k < left; k++) there = there || slice_equal(list[k].name, slice_of(name));
            assert_int_equal(nowhere(dir, word), !there);
        }
    arena_free(&a);
    dir_free(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_at_once)};
    return cmocka_run_group_tests_name("store_threads", tests, NULL, NULL);
}
