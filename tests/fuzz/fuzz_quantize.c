/* fuzz_quantize.c: bytes as a file of quantised weights (quantize.h). The first byte says the form (1: q4, else int8)
 * and what is put right before the file is tried, because no fuzzer guesses a checksum: 2 = header and table, 4 = the
 * matrices' checksums, 8 = the table's checksum, 16 = the length. The rest is the file.
 *
 * Holds: a refusal says what and where, and leaves nothing open; what is taken is laid out as this model and form ask
 * and carries the checksums of what stands in it; each start gives weights, those of a file that was refused are the
 * ones made without it, and the start behind it takes them from the file. A model over weights that were taken
 * computes: their checksums guard against accidents, so their values are anybody's, and must choose no expert that is
 * none.
 *
 * Seeds: FUZZ_SEEDS=CORPUS build/fuzz/fuzz_quantize -runs=1 writes a good file of each form into CORPUS. */
#include "engine/jamba/quantize.c" /* for its layout; the library's own copy is then not linked */
#include "tests/fuzz/folder.h"
#include "tests/unit/tiny_model.h"

static struct jamba_model *model;
static char model_file[100], cache_file[2][200];
static struct buf good[3]; /* by form */

static void must(int rc, const struct error *e) {
    if (rc == 0) return;
    fprintf(stderr, "fuzz_quantize: %s (%s)\n", e->message, e->where);
    abort();
}

static void put_right(uint8_t *f, const struct quantized *q, enum quantize_form form, unsigned what) {
    uint64_t end = table_end(q->n_matrices);
    uint8_t *head = expected_head(q, model, form);
    if (!head) abort();
    if (what & 2) {
        memcpy(f, head, HEADER);
        for (size_t i = 0; i < q->n_matrices; i++)
            memcpy(f + HEADER + ENTRY * i, head + HEADER + ENTRY * i, ENTRY_CHECKSUM);
        memset(f + end + 8, 0, (size_t)(q->matrices[0].offset - end - 8));
    }
    for (size_t i = 0; i < q->n_matrices && what & 4; i++) {
        const struct quantized_matrix *x = &q->matrices[i];
        put_u64(f + HEADER + ENTRY * i + ENTRY_CHECKSUM, block_checksum(f + x->offset, (size_t)aligned(x->bytes), i));
    }
    if (what & 8) put_u64(f + end, block_checksum(f, (size_t)end, q->n_matrices));
    free(head);
}

/* What was taken is laid out as asked, lies in its file, and its checksums hold. */
static void check_taken(const struct quantized *q, const uint8_t *file, size_t len) {
    uint64_t at = aligned(table_end(q->n_matrices) + 8);
    if (q->len != len || memcmp(q->base, file, len) != 0 || !q->from_cache || !q->kept) abort();
    for (size_t i = 0; i < q->n_matrices; i++) {
        const struct quantized_matrix *x = &q->matrices[i];
        if (x->offset != at || x->bytes > len - at || quantized_find(q, x->source, x->expert) != x) abort();
        if (take_u64(file + HEADER + ENTRY * i + ENTRY_CHECKSUM) !=
            block_checksum(file + at, (size_t)aligned(x->bytes), i))
            abort();
        at += aligned(x->bytes);
    }
    if (at != len) abort();
}

/* Over weights that may be anything: infinite scales too. */
static void compute(enum quantize_form form) {
    const int32_t ids[3] = {5, 6, 7};
    struct jamba_model_options o = {.n_threads = 1, .quantize = quantize_form_name(form)};
    struct jamba_model *m;
    struct jamba_session *s;
    struct error e = {0};
    float logits[1];
    must(jamba_model_open(&m, model_file, &o, &e), &e);
    must(jamba_session_open(&s, m, 8, &e), &e);
    must(jamba_session_prefill(s, ids, 3, NULL, &e), &e);
    must(jamba_session_logits_rows(s, ids, 1, logits, &e), &e);
    must(jamba_generate(s, NULL, NULL, 2, NULL, NULL, NULL, &e), &e);
    jamba_session_close(s);
    jamba_model_close(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    if (len == 0) return 0;
    const unsigned what = *data++;
    const enum quantize_form form = what & 1 ? QUANTIZE_Q4 : QUANTIZE_INT8;
    const char *file = cache_file[what & 1];
    const struct buf *want = &good[form];
    struct quantized q = {0};
    struct error e = {0}, why;
    size_t n = --len;
    if (what & 16) n = want->len;
    uint8_t *bytes = calloc(1, n ? n : 1);
    if (!bytes) abort();
    memcpy(bytes, data, len < n ? len : n);
    must(lay_out(&q, model, form, &e), &e);
    if (n == q.len) put_right(bytes, &q, form, what);
    quantized_close(&q);
    write_file(path_base(file), bytes, n);

    bool taken = quantized_map(&q, model, form, 1, file, &e) == 0;
    if (taken)
        check_taken(&q, bytes, n);
    else if (q.base || q.matrices || q.from_cache || e.code != ERR_FORMAT || !e.message[0] || strcmp(e.where, file))
        abort();
    quantized_close(&q);
    if (taken) compute(form);

    must(quantized_open(&q, model, form, 1, file, &why, &e), &e);
    if (q.from_cache != taken || !q.kept || (why.code == 0) != taken) abort();
    if (!taken && (q.len != want->len || memcmp(q.base, want->data, q.len) != 0)) abort();
    quantized_close(&q);
    if (!taken) {
        must(quantized_map(&q, model, form, 1, file, &e), &e);
        check_taken(&q, (const uint8_t *)want->data, want->len);
        quantized_close(&q);
    }
    free(bytes);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    struct tiny_model t = TINY_MODEL;
    struct error e = {0}, why;
    struct jamba_model_options o = {.n_threads = 1};
    const char *seeds = getenv("FUZZ_SEEDS");
    if (folder_open() || setenv("ANTINOMY_CACHE", folder, 1)) abort();
    t.n_layer = 3, t.d_model = 32, t.d_ff = 32, t.d_inner = 32, t.d_state = 4, t.n_vocab = 270;
    t.n_expert = 2, t.n_expert_used = 1; /* files of about 36 KB */
    snprintf(model_file, sizeof model_file, "%s", in_folder("model.gguf"));
    must(tiny_model_write(&t, model_file), &e);
    must(jamba_model_open(&model, model_file, &o, &e), &e);
    for (int form = QUANTIZE_INT8; form <= QUANTIZE_Q4; form++) {
        struct quantized q;
        char *file = cache_file[form == QUANTIZE_Q4];
        quantize_cache_file(model, (enum quantize_form)form, file, sizeof cache_file[0]);
        must(quantized_open(&q, model, (enum quantize_form)form, 1, file, &why, &e), &e);
        buf_append(&good[form], q.base, q.len);
        quantized_close(&q);
        struct buf seed = {0};
        buf_append(&seed, form == QUANTIZE_Q4 ? "\x1f" : "\x1e", 1);
        buf_append(&seed, good[form].data, good[form].len);
        if (seed.failed || good[form].failed) abort();
        char path[512];
        snprintf(path, sizeof path, "%s/%s", seeds ? seeds : "", quantize_form_name((enum quantize_form)form));
        if (seeds) must(file_write_atomic(path, seed.data, seed.len, &e), &e);
        buf_free(&seed);
    }
    return 0;
}
