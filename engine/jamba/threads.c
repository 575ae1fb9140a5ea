/* threads.c: work on several threads (threads.h). */
#include "engine/jamba/threads.h"

#include <pthread.h>

enum { MAX_THREADS = 256 };

void threads_run(int n, void *(*work)(void *ctx), void *ctx) {
    pthread_t threads[MAX_THREADS];
    int started = 0;
    for (n = n < MAX_THREADS ? n : MAX_THREADS; started < n - 1; started++)
        if (pthread_create(&threads[started], NULL, work, ctx)) break;
    work(ctx);
    for (int i = 0; i < started; i++) pthread_join(threads[i], NULL);
}
