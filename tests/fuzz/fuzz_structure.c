/* fuzz_structure.c: any text becomes sections, statements and facts without a crash, a leak or a lost byte. */
#include "ingest/ingest.h"
#include "tests/unit/facts_render.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!utf8_valid((const char *)data, size)) return 0; /* the readers give valid text only */
    char *copy = malloc(size ? size : 1);                /* exact size: a read behind the end is seen */
    if (!copy) return 0;
    memcpy(copy, data, size);
    struct ingest_document d = {.text = {copy, size}};
    struct error e;
    if (ingest_structure(&d, &e) != 0) abort();
    if (structure_flaw(&d)) {
        fprintf(stderr, "%s\n", structure_flaw(&d));
        abort();
    }
    arena_free(&d.arena);
    free(copy);
    return 0;
}
