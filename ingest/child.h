/* child.h: what extract.c and render.c share about the child process. */
#ifndef ANTINOMY_INGEST_CHILD_H
#define ANTINOMY_INGEST_CHILD_H

#include "ingest/process.h"

#define PDFTOPPM "/usr/bin/pdftoppm"
#define CHILD_MEMORY ((uint64_t)3 << 30)     /* address space; the largest filing took 0.5 GiB */
#define CHILD_MAX_FILE ((uint64_t)256 << 20) /* an attachment, in memory: none on disk can be opened to write */
#define CHILD_MAX_PNG ((uint64_t)96 << 20)   /* 20 megapixels of noise are 60 MiB */

/* Runs this program as the child with `arguments` (up to NULL) behind INGEST_CHILD_ARGUMENT. */
int child_run(const char *const arguments[], int input, double timeout_s, uint64_t max_output, process_sink sink,
              void *context, struct process_result *result, struct error *e);

#endif
