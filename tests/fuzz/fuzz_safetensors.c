/* fuzz_safetensors.c: the first line as config.json, the rest as model.safetensors, up to bound weights. Seed: the two
 * files of a folder of tests/golden/checkpoints, the first without line ends. */
#include "engine/jamba/safetensors.h"
#include "tests/fuzz/folder.h"

#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    return folder_open();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    struct jamba_model m = {0};
    struct tensor_list l;
    struct error e;
    bool *is_attention, *is_moe;
    const uint8_t *end = memchr(data, '\n', len);
    if (!end) return 0;
    write_file("config.json", data, (size_t)(end - data));
    write_file("model.safetensors", end + 1, len - (size_t)(end + 1 - data));
    m.arena.limit = (size_t)1 << 28;
    tensor_list_init(&l, &m.arena);
    int rc = config_from_json(&m.arena, folder, &m.config, &is_attention, &is_moe, &e);
    if (!rc) rc = safetensors_open(&l, folder, &m.config, is_attention, is_moe, &e);
    if (!rc) weights_bind(&m, &l, is_attention, &e);
    tensor_list_free(&l);
    arena_free(&m.arena);
    return 0;
}
