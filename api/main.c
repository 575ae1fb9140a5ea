/* main.c: the one program. Started again as the child that reads a foreign file, it goes there before anything else is
 * touched. */
#include "api/cli.h"

#include <string.h>

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], INGEST_CHILD_ARGUMENT) == 0) return ingest_child_main(argc, argv);
    return cli_main(argc, argv);
}
