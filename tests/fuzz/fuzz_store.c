/* fuzz_store.c: a damaged database never crashes the program, hangs it, or gives a range outside a text.
 *
 * The first input byte chooses: even = the rest patches bytes of a good antinomy.db (3 bytes of position, 1 of value
 * each), before the store opens it; odd = the rest becomes the arrays of the one document (behind SQLite's back, so
 * that its own checks see nothing wrong). Then everything is read, searched and deleted; each call may fail, with a
 * message. */
#include "store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char base[256], dir[256];
static struct buf good;

static void die(const char *what) {
    perror(what);
    abort();
}

static void run(const char *command) {
    if (system(command) != 0) die(command);
}

static void write_file(const char *path, const char *data, size_t len) {
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, len, f) != len || fclose(f)) die(path);
}

static void make_good(void) {
    static char text[] = "The Supplier shall deliver turbines within thirty days.\nThe fee is USD 1,250,000.\n";
    struct ingest_page page = {.span = {0, sizeof text - 1}, .label = {"1", 1}};
    struct ingest_word words[] = {{.span = {0, 3}, .x1 = 10, .y1 = 10}, {.span = {4, 12}, .x1 = 20, .y1 = 10}};
    struct ingest_section section = {.span = {0, sizeof text - 1},
                                     .heading = {4, 12},
                                     .parent = INGEST_NONE,
                                     .number = {"4.2", 3},
                                     .path = {"4.2", 3}};
    struct ingest_statement statements[] = {{.span = {0, 55}, .table = INGEST_NONE},
                                            {.span = {56, 81}, .lead_in = {0, 12}, .table = 3}};
    struct ingest_fact fact = {
        .kind = INGEST_AMOUNT, .statement = 1, .span = {67, 80}, .value = 125000000, .unit = {"USD", 3}};
    struct ingest_warning warning = {.page = INGEST_NONE, .message = {"no text layer", 13}};
    struct ingest_document d = {.name = {"a.txt", 5},
                                .title = {"Supply", 6},
                                .text = {text, sizeof text - 1},
                                .pages = &page,
                                .n_pages = 1,
                                .words = words,
                                .n_words = 2,
                                .sections = &section,
                                .n_sections = 1,
                                .statements = statements,
                                .n_statements = 2,
                                .facts = &fact,
                                .n_facts = 1,
                                .warnings = &warning,
                                .n_warnings = 1};
    struct error e;
    struct store *s;
    struct store_job job;
    struct store_statement *st;
    struct arena a = {0};
    int64_t set, document, id;
    size_t n;
    float v[8] = {1, 0, 0, 0, 0, 1, 0, 0};
    uint8_t model[32] = {1};
    char path[300];
    snprintf(path, sizeof path, "%s.upload", base);
    write_file(path, text, sizeof text - 1);
    if (store_open(&s, base, &e) || store_set_create(s, SLICE_LITERAL("acme"), &set, &e) ||
        store_document_add(s, set, path, SLICE_LITERAL("a.txt"), &document, &id, &e) ||
        store_job_take(s, &a, STORE_JOB_INGEST, 60, &job, &e) || store_document_write(s, job.id, &d, 20, &e) ||
        store_embeddings_missing(s, &a, set, model, &st, &n, &e) || store_embeddings_add(s, model, st, v, n, 4, &e) ||
        store_answer_add(s, set, SLICE_LITERAL("q"), SLICE_LITERAL("{}"), &(int64_t){1}, 1, &id, &e))
        die(e.message);
    store_close(s);
    arena_free(&a);
    snprintf(path, sizeof path, "%s/antinomy.db", base);
    if (file_read(path, 1 << 24, &good, &e)) die(e.message);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(base, sizeof base, "%s/fuzz-store-%ld-base", where, (long)getpid());
    snprintf(dir, sizeof dir, "%s/fuzz-store-%ld", where, (long)getpid());
    make_good();
    char command[600];
    snprintf(command, sizeof command, "cp -r '%s' '%s'", base, dir);
    run(command);
    return 0;
}

static void patch_blobs(const char *path, const uint8_t *data, size_t size) {
    static const char *const updates[] = {
        "UPDATE bodies SET pages = ?",      "UPDATE bodies SET words = ?",
        "UPDATE bodies SET sections = ?",   "UPDATE bodies SET statements = ?",
        "UPDATE bodies SET facts = ?",      "UPDATE bodies SET warnings = ?",
        "UPDATE embeddings SET vector = ?", "UPDATE statements SET n = length(?) + n"};
    sqlite3 *db;
    sqlite3_stmt *st;
    if (size == 0) return;
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_prepare_v2(db, updates[data[0] % 8], -1, &st, NULL) != SQLITE_OK)
        die("patch");
    sqlite3_bind_blob(st, 1, data + 1, (int)(size - 1), SQLITE_STATIC);
    sqlite3_step(st);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

static void use(struct store *s) {
    struct error e;
    struct arena a = {0};
    struct store_set *sets;
    struct store_document *documents;
    struct store_hit *hits;
    struct store_job *jobs;
    struct store_reading *readings;
    struct store_statement *missing;
    struct slice json;
    size_t n_sets, n, n_jobs;
    uint8_t model[32] = {1};
    float v[4] = {1};
    if (store_sets(s, &a, &sets, &n_sets, &e)) n_sets = 0;
    for (size_t i = 0; i < n_sets && i < 4; i++) {
        struct store_query q = {.text = SLICE_LITERAL("turbines clause 4.2 $1,250,000"),
                                .vector = v,
                                .dim = 4,
                                .model_id = model,
                                .top_k = 9};
        store_search(s, &a, sets[i].id, &q, &hits, &n, &e);
        store_embeddings_missing(s, &a, sets[i].id, model, &missing, &n, &e);
        store_readings(s, &a, sets[i].id, model, &readings, &n, &e);
        store_jobs(s, &a, sets[i].id, &jobs, &n_jobs, &e);
        if (store_documents(s, &a, sets[i].id, &documents, &n, &e)) n = 0;
        for (size_t k = 0; k < n && k < 4; k++) {
            struct ingest_document *d;
            if (store_document_load(s, documents[k].id, &d, &e) == 0) {
                uint32_t sum = 0;
                for (size_t j = 0; j < d->n_statements; j++) { /* ASan watches */
                    struct slice t = ingest_text(d, d->statements[j].span);
                    for (size_t c = 0; c < t.len; c++) sum += (uint8_t)t.data[c];
                    if (d->n_sections) sum += d->sections[d->statements[j].section].level;
                }
                for (size_t j = 0; j < d->n_facts; j++) sum += d->statements[d->facts[j].statement].page;
                *(volatile uint32_t *)&sum = sum;
                arena_free(&d->arena);
                free(d);
            }
            store_document_delete(s, documents[k].id, &a, &json, &e);
        }
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[300], extra[320];
    struct error e;
    struct store *s;
    if (size < 2) return 0;
    snprintf(path, sizeof path, "%s/antinomy.db", dir);
    static const char *const left[] = {"-wal", "-shm", "-journal"};
    for (int i = 0; i < 3; i++) {
        snprintf(extra, sizeof extra, "%s%s", path, left[i]);
        unlink(extra);
    }
    if (data[0] % 2) {
        write_file(path, good.data, good.len);
        patch_blobs(path, data + 1, size - 1);
    } else {
        char *bytes = malloc(good.len);
        if (!bytes) return 0;
        memcpy(bytes, good.data, good.len);
        for (size_t i = 1; i + 4 <= size; i += 4)
            bytes[((size_t)data[i] << 16 | (size_t)data[i + 1] << 8 | data[i + 2]) % good.len] = (char)data[i + 3];
        write_file(path, bytes, good.len);
        free(bytes);
    }
    if (store_open(&s, dir, &e) == 0) {
        use(s);
        store_close(s);
    } else if (e.message[0] == 0) {
        abort(); /* a refusal says why */
    }
    return 0;
}
