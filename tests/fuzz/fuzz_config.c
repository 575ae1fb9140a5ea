/* fuzz_config.c: the first line as generation_config.json (may be empty), the rest as config.json of a checkpoint. What
 * is taken keeps the limits of weights.h, its layers' kinds add up, and its weights can be counted. Seeds: config.json
 * of the folders of tests/golden/checkpoints behind an empty line. */
#include "engine/jamba/safetensors.h"
#include "engine/jamba/weights.h"
#include "tests/fuzz/folder.h"

#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    return folder_open();
}

static bool is_token(int32_t id, const struct jamba_config *c) {
    return id >= 0 && (uint32_t)id < c->n_vocab;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    const uint8_t *end = memchr(data, '\n', len);
    if (!end) return 0;
    write_file("generation_config.json", data, (size_t)(end - data));
    write_file("config.json", end + 1, len - (size_t)(end + 1 - data));
    struct arena a = {.limit = 1 << 20};
    struct jamba_config c;
    struct error e = {0};
    bool *is_attention, *is_moe;
    if (config_from_json(&a, folder, &c, &is_attention, &is_moe, &e)) {
        if (!e.code || !e.message[0] || !e.where[0]) abort(); /* a refusal says what and where */
    } else {
        if (config_check(&c, "again", &e)) abort();
        uint32_t n_attention = 0, n_moe = 0;
        for (uint32_t i = 0; i < c.n_layer; i++) n_attention += is_attention[i], n_moe += is_moe[i];
        if (n_attention != c.n_attention_layer || (n_moe && c.n_expert < 2)) abort();
        if ((c.bos != -1 && !is_token(c.bos, &c)) || (c.pad != -1 && !is_token(c.pad, &c))) abort();
        size_t n_eos = 0;
        while (c.eos[n_eos] >= 0)
            if (!is_token(c.eos[n_eos++], &c) || n_eos == 4) abort();
        uint64_t n = config_parameters(&c, n_moe);
        if (n < (uint64_t)c.n_vocab * c.d_model || n >> 62) abort(); /* a product ran over */
    }
    arena_free(&a);
    return 0;
}
