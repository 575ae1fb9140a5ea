/* fuzz_gguf.c: bytes as a GGUF file, through config, binding and vocabulary. Seeds: `tests/fuzz/seeds.sh`, or any small
 * model. */
#include "engine/jamba/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct jamba_model m = {0};
    struct tensor_list l;
    struct gguf g;
    struct error e;
    bool *is_attention;
    char path[64];
    int fd = memfd_create("model.gguf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, len) != (ssize_t)len) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    tensor_list_init(&l, &m.arena);
    int rc = gguf_open(&g, &l, path, &e);
    if (!rc) rc = gguf_config(&g, &l, &m.config, &is_attention, &e);
    if (!rc && !(rc = tokenizer_from_gguf(&m.tokenizer, &g, &e))) {
        const char text[] = "the \xc3\xa9 12 <|doc|>, abc<think>\n  in";
        int32_t *ids;
        uint32_t *ends;
        size_t n;
        if (!jamba_tokenize(&m, text, sizeof text - 1, &ids, &ends, &n, &e)) free(ids), free(ends);
        if (!jamba_tokenize_prompt(&m, text, sizeof text - 1, &ids, &n, &e)) free(ids);
        tokenizer_free(m.tokenizer);
        rc = 0;
    }
    if (!rc) rc = weights_bind(&m, &l, is_attention, &e);
    if (!rc) rc = weights_randomize(&m, 1, &e);
    tensor_list_free(&l);
    arena_free(&m.arena);
    close(fd);
    return 0;
}
