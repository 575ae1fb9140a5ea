/* fuzz_gguf.c: bytes as a GGUF file, through config, binding and vocabulary. Seeds: FUZZ_SEEDS=CORPUS
 * build/fuzz/fuzz_gguf -runs=1 writes small models of several storages into CORPUS. */
#include "engine/jamba/tokenizer.h"
#include "tests/unit/tiny_model.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static const enum tensor_type types[] = {TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_Q8_0, TENSOR_Q4_0};
    const char *folder = getenv("FUZZ_SEEDS");
    (void)argc, (void)argv;
    for (size_t i = 0; folder && i < sizeof types / sizeof types[0]; i++) {
        struct tiny_model t = TINY_MODEL;
        char path[512];
        t.n_layer = 2, t.d_model = 32, t.d_ff = 32, t.d_inner = 32, t.d_state = 4, t.matrix = types[i];
        if (i % 2) t.n_expert = 2, t.n_expert_used = 1;
        snprintf(path, sizeof path, "%s/tiny-%zu.gguf", folder, i);
        if (tiny_model_write(&t, path)) abort();
    }
    return 0;
}

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
