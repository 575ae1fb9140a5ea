/* sandbox.h: what the child gives up before it looks at a foreign file. */
#ifndef ANTINOMY_INGEST_SANDBOX_H
#define ANTINOMY_INGEST_SANDBOX_H

#include <stdbool.h>

/* No new privileges, no sockets, no writes anywhere, reads only of the system's programs, fonts and libraries and of
 * the file on input_fd; no exec unless may_exec. Returns a note on what the kernel could not do ("" when all holds),
 * NULL when not even seccomp works. */
const char *sandbox_enter(int input_fd, bool may_exec);

#endif
