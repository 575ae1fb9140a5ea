/* fuzz_snapshot.c: bytes as a saved reading (jamba_session_restore). The first byte says what is put right before the
 * file is tried, because no fuzzer guesses a checksum: 1 = block checksums, 2 = magic, version, model and kernel path,
 * 4 = the prefix hash, 8 = the payload's length. The rest is the file.
 *
 * Seeds: FUZZ_SEEDS=CORPUS build/fuzz/fuzz_snapshot -runs=1 writes readings of several lengths into CORPUS. Run with
 * -malloc_limit_mb=64: no header may make the reader take more. */
#include "engine/jamba/snapshot.c" /* for its layout; the library's own copy is then not linked */
#include "tests/unit/tiny_model.h"

#include <sys/mman.h>

#define MAX_TOKENS 150u

static struct jamba_model *model;
static int file;
static char path[64];

static void must(int rc, const struct error *e) {
    if (rc == 0) return;
    fprintf(stderr, "fuzz_snapshot: %s (%s)\n", e->message, e->where);
    abort();
}

static void write_file(const uint8_t *data, size_t len) {
    if (ftruncate(file, 0) || pwrite(file, data, len, 0) != (ssize_t)len) abort();
}

static void put_right(uint8_t *f, size_t len, unsigned what) {
    if (len < BLOCK_BYTES) return;
    if (what & 2) {
        memcpy(f, magic, 8);
        put_u32(f + 8, SNAPSHOT_VERSION);
        memcpy(f + 24, jamba_model_id(model), 32);
        memset(f + 88, 0, 64);
        snprintf((char *)f + 88, 64, "%s", jamba_model_kernel_path(model));
    }
    if (what & 4) {
        struct jamba_session s = {.model = model};
        for (size_t i = 0; i < 8; i++) s.hash.state[i] = take_u32(f + 152 + 4 * i);
        put_u64(f + 184, (uint64_t)take_u32(f + 12) * 4);
        s.hash.n_bytes = take_u64(f + 184);
        memcpy(s.hash.block, f + 192, 64);
        jamba_session_prefix_hash(&s, f + 56);
    }
    if (what & 8)
        put_u64(f + 16,
                (len - BLOCK_BYTES) / BLOCK_BYTES * BLOCK + ((len % BLOCK_BYTES) > 8 ? len % BLOCK_BYTES - 8 : 0));
    if (what & 1)
        for (size_t at = 0, number = 0; len - at > 8; number++) {
            size_t n = len - at < BLOCK_BYTES ? len - at - 8 : BLOCK;
            put_u64(f + at + n, block_checksum(f + at, n, number));
            at += n + 8;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (len == 0) return 0;
    uint8_t *bytes = malloc(len);
    if (!bytes) abort();
    memcpy(bytes, data + 1, len - 1);
    put_right(bytes, len - 1, data[0]);
    write_file(bytes, len - 1);
    free(bytes);
    struct error e = {0};
    struct jamba_session *s = (struct jamba_session *)(void *)path; /* a failure must clear it */
    if (jamba_session_restore(&s, model, path, MAX_TOKENS, &e)) {
        if (s || !e.message[0] || strcmp(e.where, path)) abort();
        return 0;
    }
    /* taken: then it must be good for what sessions are good for */
    const int32_t ids[3] = {5, 6, 7};
    uint32_t before = jamba_session_n_tokens(s);
    float logits[1];
    if (before > MAX_TOKENS) abort();
    int rc = jamba_session_prefill(s, ids, 3, NULL, &e);
    if (rc && rc != ERR_LIMIT) must(rc, &e);
    if ((rc == ERR_LIMIT) != (before + 3 > MAX_TOKENS)) abort();
    if (!rc) must(jamba_session_logits_rows(s, ids, 1, logits, &e), &e);
    jamba_session_close(s);
    return 0;
}

static void write_seeds(const char *folder) {
    const uint32_t lengths[] = {0, 1, 64, 65, MAX_TOKENS, MAX_TOKENS + 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct error e = {0};
        struct jamba_session *s;
        struct buf saved = {0}, seed = {0};
        char name[512];
        must(jamba_session_open(&s, model, MAX_TOKENS + 1, &e), &e);
        for (uint32_t t = 0; t < lengths[i]; t++) {
            int32_t id = 5 + (int32_t)(t * 7 % 250);
            must(jamba_session_prefill(s, &id, 1, NULL, &e), &e);
        }
        snprintf(name, sizeof name, "%s/tokens-%u", folder, lengths[i]);
        must(jamba_session_save(s, name, &e), &e);
        must(file_read(name, 1u << 20, &saved, &e), &e);
        buf_append(&seed, i % 2 ? "\x0f" : "\x01", 1);
        buf_append(&seed, saved.data, saved.len);
        must(file_write_atomic(name, seed.data, seed.len, &e), &e);
        buf_free(&saved);
        buf_free(&seed);
        jamba_session_close(s);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    struct tiny_model t = TINY_MODEL;
    struct error e = {0};
    struct jamba_model_options o = {.n_threads = 1};
    t.n_layer = 2;
    t.d_model = 32, t.d_ff = 32, t.d_inner = 64; /* small readings: 6 to 20 KB */
    must(tiny_model_open(&model, &t, &o, &e), &e);
    file = memfd_create("reading", MFD_CLOEXEC);
    if (file < 0) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (getenv("FUZZ_SEEDS")) write_seeds(getenv("FUZZ_SEEDS"));
    return 0;
}
