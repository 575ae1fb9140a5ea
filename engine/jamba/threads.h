/* threads.h: inside engine/jamba only. One piece of work done by several threads of its own: at opening, or when a
 * reading is restored, beside a computation that holds the kernels' pool. */
#ifndef ANTINOMY_JAMBA_THREADS_H
#define ANTINOMY_JAMBA_THREADS_H

/* work(ctx) on n threads at once, the caller's among them; returns when all are done. work shares its tasks out itself;
 * a thread that cannot be started is missed only by the clock. Any thread. */
void threads_run(int n, void *(*work)(void *ctx), void *ctx);

#endif
