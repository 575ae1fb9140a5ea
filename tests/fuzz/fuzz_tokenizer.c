/* fuzz_tokenizer.c: bytes as text for the bundled vocabulary. Holds: valid UTF-8 is read and invalid refused; document
 * text yields no control token; ends ascend to the text's length; the tokens' bytes are the text, but for bytes the
 * vocabulary lacks. */
#include "engine/jamba/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static struct jamba_model model;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static struct tensor_list l; /* stays mapped */
    static struct arena a;
    struct gguf g;
    struct error e;
    (void)argc, (void)argv;
    tensor_list_init(&l, &a);
    if (gguf_open(&g, &l, "engine/models/antinomy-jamba-160m-q4-00001-of-00003.gguf", &e)) abort();
    return tokenizer_from_gguf(&model.tokenizer, &g, &e) ? 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    const char *text = (const char *)data;
    int32_t *ids;
    uint32_t *ends;
    size_t n;
    struct error e;
    int rc = jamba_tokenize(&model, text, len, &ids, &ends, &n, &e);
    if ((rc == 0) != utf8_valid(text, len)) abort();
    if (rc) return 0;
    uint32_t last = 0;
    for (size_t i = 0; i < n; i++) {
        struct slice b = jamba_token_bytes(&model, ids[i]);
        if (ids[i] < 17 || ends[i] <= last || ends[i] > len || b.len > ends[i]) abort();
        if (memcmp(text + ends[i] - b.len, b.data, b.len) != 0 && ends[i] - b.len == last) abort();
        last = ends[i];
    }
    free(ids);
    free(ends);
    if (!jamba_tokenize_prompt(&model, text, len, &ids, &n, &e)) free(ids);
    return 0;
}
