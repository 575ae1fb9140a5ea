/* eval.c: `make eval`: how good are answers and judgements, in three columns: the model, random weights of the same
 * shapes, no model (BM25 and rules). Issue 5, acceptance 10. Not a test: it prints tables, on data that no training row
 * came from (../shared/data/eval).
 *
 *   pairs_dev.jsonl   statement pairs with a label: accuracy of the three classes (both orders averaged), precision and
 * recall of "contradiction" when both orders are above a threshold; agreement with the f32 reference's decisions
 *   quotes_dev.jsonl  questions over 1 to 3 passages, or over all passages as one set (--pool): right statement at 1
 * and among 5, right document, abstention right and wrong, the short answers that were shown
 *
 *   tests/eval/questions.jsonl   questions over whole real documents (../shared/data/samples): the same columns, and
 * the answers that showed another statement than the right one; in groups: dev (the rules were chosen on them), held
 * (looked at while they were), fresh (asked only after), later (asked only after the next attempt), near (over the
 * sample set; most have no answer, but a statement that nearly is one), script (in another language or script than the
 * documents)
 *
 * The program's own path is measured: a store in a temporary directory, ingest, analysis_ask.
 */
#include "engine/analysis/inside.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COLUMNS = 3, ROW_MAX = 1 << 20, FILE_MAX = 1 << 28 };
static const char *const column_names[COLUMNS] = {"model", "random weights", "without model"};

struct options {
    const char *data, *samples, *model, *golden, *task, *path;
    size_t limit;
    bool pool, column[COLUMNS], verbose;
    int threads;
};

static void die(const struct error *e) {
    fprintf(stderr, "eval: %s%s%s\n", e->message, e->where[0] ? " - " : "", e->where);
    exit(1);
}

static json_t **rows_of(const char *dir, const char *name, size_t *n) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    struct buf b = {0};
    struct error e;
    if (file_read(path, FILE_MAX, &b, &e)) die(&e);
    json_t **rows = NULL;
    size_t cap = 0;
    *n = 0;
    for (char *line = b.data, *end; line && *line; line = end) {
        end = strchr(line, '\n');
        size_t len = end ? (size_t)(end - line) : strlen(line);
        end = end ? end + 1 : line + len;
        if (!len) continue;
        json_t *j = json_loadb(line, len, 0, NULL);
        if (!j) continue;
        if (array_grow((void **)&rows, &cap, *n + 1, sizeof *rows, &e)) die(&e);
        rows[(*n)++] = j;
    }
    buf_free(&b);
    return rows;
}

static void rows_free(json_t **rows, size_t n) {
    for (size_t i = 0; i < n; i++) json_decref(rows[i]);
    free(rows);
}

static const char *str(const json_t *o, const char *name) {
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* The i-th of n rows when only `limit` are wanted: spread over the file, whose neighbours are alike. */
static size_t spread(size_t i, size_t n, size_t limit) {
    return limit && limit < n ? i * n / limit : i;
}

static struct jamba_model *open_model(const struct options *o, int column) {
    if (column == 2) return NULL;
    struct jamba_model *m;
    struct error e;
    struct jamba_model_options mo = {
        .n_threads = o->threads, .path = o->path, .random_weights = column == 1, .random_seed = 1};
    if (jamba_model_open(&m, o->model, &mo, &e)) die(&e);
    return m;
}

/* ---- pairs ---- */
static int class_of(const char *label) {
    return strcmp(label, "contradiction") == 0 ? 0 : strcmp(label, "consistent") == 0 ? 1 : 2;
}

static int largest(const float p[3]) {
    return p[0] >= p[1] && p[0] >= p[2] ? 0 : p[1] >= p[2] ? 1 : 2;
}

static struct ingest_document *document_of(const char *text, const char *name) {
    struct ingest_document *d = calloc(1, sizeof *d);
    struct error e;
    if (!d) exit(1);
    d->text = arena_slice(&d->arena, slice_of(text));
    d->name = d->title = arena_slice(&d->arena, slice_of(name));
    d->pages = arena_array(&d->arena, 1, sizeof *d->pages);
    d->n_pages = 1;
    d->pages[0].span.end = (uint32_t)d->text.len;
    d->pages[0].label = SLICE_LITERAL("1");
    if (ingest_structure(d, &e) || ingest_facts(d, &e)) die(&e);
    return d;
}

/* The rules' word on two statements that stand in two documents of one set. */
static bool rules_find(const char *a, const char *b, bool *decided) {
    struct ingest_document *d[2] = {document_of(a, "a.txt"), document_of(b, "b.txt")};
    const struct ingest_document *docs[2] = {d[0], d[1]};
    struct arena arena = {0};
    struct analysis_pair *pairs = NULL;
    size_t n = 0;
    struct error e;
    if (analysis_detect(docs, 2, &arena, &pairs, &n, &e)) die(&e);
    bool found = false;
    *decided = false;
    for (size_t i = 0; i < n; i++)
        if (pairs[i].status == ANALYSIS_CONTRADICTION) found = true, *decided |= pairs[i].decided;
    arena_free(&arena);
    ingest_document_free(d[0]);
    ingest_document_free(d[1]);
    return found;
}

static void pairs(const struct options *o) {
    size_t n_all, n_golden = 0;
    json_t **rows = rows_of(o->data, "pairs_dev.jsonl", &n_all),
           **golden = o->golden ? rows_of(o->golden, "pairs_dev.jsonl", &n_golden) : NULL;
    size_t n = o->limit && o->limit < n_all ? o->limit : n_all;
    printf("\npairs_dev.jsonl: %zu of %zu pairs\n", n, n_all);
    printf("%-16s %9s  %22s  %22s  %22s  %12s %8s\n", "", "3 classes", "contradiction > .5", "> .8", "> .95", "as f32",
           "pairs/s");
    for (int col = 0; col < COLUMNS; col++) {
        if (!o->column[col]) continue;
        struct judge_pair *p = calloc(n, sizeof *p);
        if (!p) exit(1);
        struct jamba_model *m = open_model(o, col);
        struct analysis *an = NULL;
        struct error e;
        double t = clock_seconds();
        for (size_t i = 0; i < n; i++) {
            const json_t *r = rows[spread(i, n_all, o->limit)];
            p[i].a = slice_of(str(r, "a"));
            p[i].b = slice_of(str(r, "b"));
        }
        if (m) {
            if (analysis_open(&an, NULL, m, &e) || judge_pairs(an, p, n, NULL, &e)) die(&e);
        } else {
            for (size_t i = 0; i < n; i++) {
                bool decided;
                bool found = rules_find(str(rows[spread(i, n_all, o->limit)], "a"),
                                        str(rows[spread(i, n_all, o->limit)], "b"), &decided);
                p[i].ab[0] = p[i].ba[0] = found ? (decided ? 1.0f : 0.6f) : 0;
                p[i].ab[2] = p[i].ba[2] = 1 - p[i].ab[0];
            }
        }
        t = clock_seconds() - t;
        size_t right = 0, as_golden = 0, compared = 0;
        size_t tp[3] = {0}, fp[3] = {0}, positives = 0;
        static const float at[3] = {0.5f, 0.8f, 0.95f};
        for (size_t i = 0; i < n; i++) {
            size_t row = spread(i, n_all, o->limit);
            int want = class_of(str(rows[row], "label"));
            float mean[3];
            for (int k = 0; k < 3; k++) mean[k] = (p[i].ab[k] + p[i].ba[k]) / 2;
            right += largest(mean) == want;
            positives += want == 0;
            for (int k = 0; k < 3; k++)
                if (p[i].ab[0] > at[k] && p[i].ba[0] > at[k]) *(want == 0 ? &tp[k] : &fp[k]) += 1;
            if (row < n_golden) {
                float g[2][3];
                for (int k = 0; k < 3; k++) {
                    g[0][k] = (float)json_number_value(json_array_get(json_object_get(golden[row], "ab"), (size_t)k));
                    g[1][k] = (float)json_number_value(json_array_get(json_object_get(golden[row], "ba"), (size_t)k));
                }
                compared += 2;
                as_golden += (size_t)(largest(g[0]) == largest(p[i].ab)) + (size_t)(largest(g[1]) == largest(p[i].ba));
            }
        }
        char cell[3][64], same[32] = "-";
        for (int k = 0; k < 3; k++)
            snprintf(cell[k], sizeof cell[k], "P %.0f %% R %.0f %%",
                     tp[k] + fp[k] ? 100.0 * (double)tp[k] / (double)(tp[k] + fp[k]) : 0.0,
                     positives ? 100.0 * (double)tp[k] / (double)positives : 0.0);
        if (col == 0 && compared) snprintf(same, sizeof same, "%.1f %%", 100.0 * (double)as_golden / (double)compared);
        printf("%-16s %7.1f %%  %22s  %22s  %22s  %12s %8.1f\n", column_names[col], 100.0 * (double)right / (double)n,
               cell[0], cell[1], cell[2], same, (double)n / t);
        fflush(stdout);
        analysis_close(an);
        jamba_model_close(m);
        free(p);
    }
    rows_free(rows, n_all);
    rows_free(golden, n_golden);
}

/* ---- quotes ---- */
static void remove_tree(const char *path) {
    DIR *d = opendir(path);
    if (!d) return;
    for (struct dirent *x; (x = readdir(d));) {
        char sub[1200];
        if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0) continue;
        snprintf(sub, sizeof sub, "%s/%s", path, x->d_name);
        struct stat st;
        if (lstat(sub, &st) == 0 && S_ISDIR(st.st_mode))
            remove_tree(sub);
        else
            unlink(sub);
    }
    closedir(d);
    rmdir(path);
}

/* Letters and digits only, small: white space, quotes and dashes differ between a file and its text. */
static struct slice letters(struct arena *a, struct slice s) {
    char *out = arena_alloc(a, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < s.len; i++) {
        unsigned char ch = (unsigned char)s.data[i];
        if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z'))
            out[n++] = (char)ch;
        else if (ch >= 'A' && ch <= 'Z')
            out[n++] = (char)(ch - 'A' + 'a');
    }
    return (struct slice){out, out ? n : 0};
}

/* A statement is right when it holds a gold quote or lies inside one. */
static bool right_statement(struct slice shown, const json_t *quotes) {
    struct arena a = {0};
    bool ok = false;
    struct slice s = letters(&a, shown);
    for (size_t i = 0; !ok && i < json_array_size(quotes); i++) {
        const json_t *q = json_array_get(quotes, i);
        struct slice g = letters(&a, (struct slice){json_string_value(q), json_string_length(q)});
        if (!g.len || s.len < 8) continue;
        ok = memmem(s.data, s.len, g.data, g.len) || memmem(g.data, g.len, s.data, s.len);
    }
    arena_free(&a);
    return ok;
}

/* Word F1 of a short answer. */
static double f1(const char *a, const char *b) {
    struct arena arena = {0};
    const char *side[2] = {a, b};
    struct slice *words[2];
    size_t n[2] = {0};
    for (int k = 0; k < 2; k++) {
        words[k] = arena_array(&arena, strlen(side[k]) + 1, sizeof **words);
        for (const char *s = side[k]; words[k] && *s;) {
            size_t len = strcspn(s, " \n\t,;:()\"");
            while (len && (s[len - 1] == '.')) len--;
            if (len) words[k][n[k]++] = letters(&arena, (struct slice){s, len});
            s += len;
            s += *s ? 1 : 0;
        }
    }
    size_t same = 0;
    for (size_t i = 0; i < n[0]; i++)
        for (size_t j = 0; j < n[1]; j++)
            if (words[1][j].data && slice_equal(words[0][i], words[1][j])) {
                words[1][j].data = NULL;
                same++;
                break;
            }
    double p = n[0] ? (double)same / (double)n[0] : 0, r = n[1] ? (double)same / (double)n[1] : 0;
    arena_free(&arena);
    return p + r > 0 ? 2 * p * r / (p + r) : 0;
}

struct tally {
    size_t shown_wrong; /* answerable, answered, but with another statement than the right one */
    size_t answerable, unanswerable, at1, at5, document, none_right, none_wrong, shown_short, quote_checked;
    double f1_short, seconds;
    float *p_none;
    bool *is_answerable;
    size_t n;
};

static void add_document(struct store *s, int64_t set, const char *dir, const char *name, struct slice bytes) {
    char path[1200];
    struct error e;
    int64_t doc, job;
    snprintf(path, sizeof path, "%s/upload", dir);
    if (file_write_atomic(path, bytes.data, bytes.len, &e) ||
        store_document_add(s, set, path, slice_of(name), &doc, &job, &e))
        die(&e);
}

static void ingest_all(struct analysis *an) {
    struct error e;
    for (bool worked = true; worked;)
        if (analysis_ingest_next(an, NULL, &worked, &e)) die(&e);
}

/* A name for a passage: equal passages of many rows are one document. */
static void name_of(const char *text, char out[32]) {
    struct sha256 h;
    uint8_t d[32];
    char hex[65];
    sha256_init(&h);
    sha256_update(&h, text, strlen(text));
    sha256_final(&h, d);
    hex_encode(d, 6, hex);
    snprintf(out, 32, "%.12s.txt", hex);
}

/* One row: ranks by the search, then the whole answer. */
static void ask_row(struct analysis *an, int64_t set, const json_t *r, bool with_model, struct tally *t, bool verbose) {
    const json_t *quotes = json_object_get(r, "quotes"), *docs = json_object_get(r, "docs");
    bool answerable = json_array_size(quotes) > 0;
    struct arena a = {0};
    struct error e;
    struct corpus *c;
    struct place *places;
    size_t n;
    struct slice q = slice_of(str(r, "q")), json;
    if (corpus_acquire(an, set, &c, &e) || search_places(an, c, q, with_model, 5, &a, &places, &n, &e)) die(&e);
    bool hit1 = false, hit5 = false, doc_right = false;
    for (size_t i = 0; answerable && i < n; i++) {
        bool ok = right_statement(place_text(c, &places[i], &a), quotes);
        hit5 |= ok;
        if (i == 0) hit1 = ok;
    }
    if (answerable && n && docs) {
        const json_t *gold = json_array_get(docs, (size_t)json_integer_value(json_object_get(r, "gold_doc")));
        struct slice text = letters(&a, c->docs[places[0].doc].doc->text),
                     want = letters(&a, slice_of(json_string_value(gold)));
        size_t tail = want.len < 120 ? want.len : 120; /* the passage with or without its title line */
        doc_right = memmem(text.data, text.len, want.data + want.len - tail, tail) != NULL;
    }
    if (answerable && n && !docs) doc_right = right_statement(c->docs[places[0].doc].doc->text, quotes);
    struct analysis_ask_options ao = {.without_model = !with_model};
    double at = clock_seconds();
    if (analysis_ask(an, set, q, &ao, NULL, &a, &json, &e)) die(&e);
    t->seconds += clock_seconds() - at;
    json_t *j = json_loadb(json.data, json.len, 0, NULL);
    bool none = strcmp(str(j, "status"), "not_in_documents") == 0;
    const json_t *cite = json_array_get(json_object_get(j, "citations"), 0);
    bool shown_right = answerable && !none && right_statement(slice_of(str(cite, "quote")), quotes);
    if (an->card.evidence_by_reading && with_model && !none) hit1 = shown_right;
    if (answerable && !none && !shown_right) t->shown_wrong++;
    t->p_none[t->n] = (float)json_number_value(json_object_get(json_object_get(j, "decision"), "p_none"));
    t->is_answerable[t->n++] = answerable;
    *(answerable ? &t->answerable : &t->unanswerable) += 1;
    t->at1 += hit1;
    t->at5 += hit5;
    t->document += doc_right;
    if (answerable)
        t->none_wrong += none;
    else
        t->none_right += none;
    bool is_short = strcmp(str(j, "answer_is"), "words_of_the_quote") == 0;
    if (is_short && answerable && hit1 && json_object_get(r, "answer")) {
        t->shown_short++;
        t->f1_short += f1(str(j, "answer"), str(r, "answer"));
    }
    if (verbose)
        fprintf(stderr, "%c%c p_none %.2f %-18s %s\n      gold: %s | %s\n      got%s: %s\n      said: %s\n",
                answerable ? 'A' : '-',
                hit1   ? '1'
                : hit5 ? '5'
                       : '.',
                (double)t->p_none[t->n - 1], str(j, "status"), str(r, "q"),
                answerable ? json_string_value(json_array_get(quotes, 0)) : "-", str(r, "answer"),
                is_short ? " (short)" : "", str(j, "answer"), n ? place_text(c, &places[0], &a).data : "");
    json_decref(j);
    corpus_release(an, c);
    arena_free(&a);
}

static double area(const struct tally *t) {
    double wins = 0, pairs_n = 0;
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < t->n; k++)
            if (!t->is_answerable[i] && t->is_answerable[k]) {
                pairs_n++;
                wins += t->p_none[i] > t->p_none[k] ? 1 : t->p_none[i] == t->p_none[k] ? 0.5 : 0;
            }
    return pairs_n > 0 ? wins / pairs_n : 0;
}

static double percent(size_t a, size_t b) {
    return b ? 100.0 * (double)a / (double)b : 0;
}

/* A store in a temporary directory and the column's model over it. */
struct bench {
    char dir[32];
    struct store *s;
    struct jamba_model *m; /* NULL: without model */
    struct analysis *an;
};

static void bench_open(struct bench *b, const struct options *o, int column) {
    struct error e;
    *b = (struct bench){.dir = "/tmp/antinomy-eval-XXXXXX"};
    if (!mkdtemp(b->dir)) exit(1);
    b->m = open_model(o, column);
    if (store_open(&b->s, b->dir, &e) || analysis_open(&b->an, b->s, b->m, &e)) die(&e);
}

static void bench_close(struct bench *b) {
    analysis_close(b->an);
    jamba_model_close(b->m);
    store_close(b->s);
    remove_tree(b->dir);
}

/* All passages as one set. Passages with a title line and without it are the same passage: the longer one stays. */
static int64_t pool_set(struct analysis *an, struct store *s, const char *dir, json_t **rows, size_t n_all) {
    struct error e;
    int64_t pool;
    if (store_set_create(s, slice_of("pool"), &pool, &e)) die(&e);
    for (size_t i = 0; i < n_all; i++) {
        const json_t *docs = json_object_get(rows[i], "docs");
        for (size_t k = 0; k < json_array_size(docs); k++) {
            const char *text = json_string_value(json_array_get(docs, k));
            bool covered = false;
            for (size_t x = 0; !covered && x < n_all; x++) {
                const json_t *other = json_object_get(rows[x], "docs");
                for (size_t y = 0; !covered && y < json_array_size(other); y++) {
                    const char *longer = json_string_value(json_array_get(other, y));
                    size_t a = strlen(longer), b = strlen(text);
                    covered = a > b && strcmp(longer + (a - b), text) == 0;
                }
            }
            char name[32];
            name_of(text, name);
            struct arena a = {0};
            struct store_document seen;
            struct error none;
            if (!covered && store_document_by_name(s, &a, pool, slice_of(name), &seen, &none) != 0)
                add_document(s, pool, dir, name, slice_of(text));
            arena_free(&a);
        }
    }
    ingest_all(an);
    return pool;
}

/* ---- weights of the fused search: the grid that the card's numbers were chosen from ---- */
static void weights(const struct options *o) {
    static const float grid[][3] = {{1, 0, 0},       {0, 1, 0},       {0, 1, 0.5f},    {1, 0.1f, 0},    {1, 0.2f, 0},
                                    {1, 0.3f, 0},    {1, 0.5f, 0},    {1, 0.5f, 0.5f}, {1, 0.2f, 0.1f}, {1, 0.3f, 0.1f},
                                    {1, 0.3f, 0.2f}, {1, 0.3f, 0.5f}, {1, 1, 0},       {1, 1, 0.5f}};
    enum { GRID = sizeof grid / sizeof *grid, TOP = 30 };
    size_t n_all, at[GRID][3] = {{0}}, n = 0;
    json_t **rows = rows_of(o->data, "quotes_dev.jsonl", &n_all);
    struct error e;
    struct bench b;
    bench_open(&b, o, 0);
    struct jamba_model *m = b.m;
    struct analysis *an = b.an;
    int64_t pool = pool_set(an, b.s, b.dir, rows, n_all);
    struct corpus *c;
    if (corpus_acquire(an, pool, &c, &e)) die(&e);
    size_t statements = 0;
    for (size_t i = 0; i < c->n_docs; i++) statements += c->docs[i].doc->n_statements;
    for (size_t i = 0; i < n_all; i++) {
        const json_t *quotes = json_object_get(rows[i], "quotes");
        if (json_array_size(quotes) == 0 || (o->limit && n >= o->limit)) continue;
        struct arena a = {0};
        struct slice q = slice_of(str(rows[i], "q"));
        n++;
        float *v = arena_array(&a, jamba_model_config(m)->d_model, sizeof *v);
        if (!v || embed_text(an, q, true, v, NULL, &e)) die(&e);
        for (size_t g = 0; g < GRID; g++) {
            struct store_query query = {.text = q,
                                        .vector = grid[g][0] > 0 ? v : NULL,
                                        .dim = jamba_model_config(m)->d_model,
                                        .model_id = jamba_model_id(m),
                                        .vector_weight = grid[g][0],
                                        .bm25_weight = grid[g][1],
                                        .exact_weight = grid[g][2],
                                        .top_k = TOP};
            struct store_hit *hits;
            size_t n_hits, rank = 0;
            if (store_search(b.s, &a, pool, &query, &hits, &n_hits, &e)) die(&e);
            for (size_t k = 0; k < n_hits && rank < 10; k++) {
                struct place p = {.doc = corpus_find_content(c, hits[k].content), .statement = hits[k].statement};
                if (p.doc == SIZE_MAX || place_statement(c, &p)->kind == INGEST_HEADING) continue;
                if (right_statement(place_text(c, &p, &a), quotes)) {
                    at[g][0] += rank < 1;
                    at[g][1] += rank < 5;
                    at[g][2]++;
                    break;
                }
                rank++;
            }
        }
        arena_free(&a);
    }
    printf("\nquotes_dev.jsonl: %zu answerable questions over all passages as one set: %zu documents, %zu statements\n",
           n, c->n_docs, statements);
    printf("%8s %8s %8s %8s %8s %8s\n", "vector", "bm25", "exact", "@1", "@5", "@10");
    for (size_t g = 0; g < GRID; g++)
        printf("%8.2f %8.2f %8.2f %6.1f %% %6.1f %% %6.1f %%\n", (double)grid[g][0], (double)grid[g][1],
               (double)grid[g][2], percent(at[g][0], n), percent(at[g][1], n), percent(at[g][2], n));
    corpus_release(an, c);
    bench_close(&b);
    rows_free(rows, n_all);
}

static void print_tally(const char *name, const struct tally *t, bool judged) {
    char shown[32] = "-";
    if (t->shown_short)
        snprintf(shown, sizeof shown, "%.2f (%zu)", t->f1_short / (double)t->shown_short, t->shown_short);
    printf("%-22s %10.0f %% %6.0f %% %8.0f %% %12.0f %% %10.0f %% %16s %10.2f %11.0f %%\n", name,
           percent(t->at1, t->answerable), percent(t->at5, t->answerable), percent(t->document, t->answerable),
           percent(t->none_right, t->unanswerable), percent(t->none_wrong, t->answerable), shown,
           t->seconds / (double)t->n, percent(t->shown_wrong, t->answerable));
    if (judged) {
        printf("%-22s P(none): area under the curve %.3f;", "", area(t));
        static const float at[] = {0.3f, 0.5f, 0.7f, 0.9f};
        for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
            size_t right = 0, wrong = 0;
            for (size_t i = 0; i < t->n; i++)
                if (t->p_none[i] > at[k]) *(t->is_answerable[i] ? &wrong : &right) += 1;
            printf(" > %.1f: right %.0f, wrong %.0f%s", (double)at[k], percent(right, t->unanswerable),
                   percent(wrong, t->answerable), k + 1 < sizeof at / sizeof *at ? ";" : "\n");
        }
    }
    fflush(stdout);
}

static struct tally tally_new(size_t n) {
    struct tally t = {.p_none = calloc(n + 1, sizeof(float)), .is_answerable = calloc(n + 1, sizeof(bool))};
    if (!t.p_none || !t.is_answerable) exit(1);
    return t;
}

static void tally_free(struct tally *t) {
    free(t->p_none);
    free(t->is_answerable);
}

/* The row's own set: its passages, or the files that it names. */
static int64_t set_of(struct bench *b, const struct options *o, const json_t *r, size_t i) {
    char name[1200];
    struct error e;
    int64_t set;
    const json_t *docs = json_object_get(r, "docs"), *files = json_object_get(r, "files");
    snprintf(name, sizeof name, "row %zu", i);
    if (store_set_create(b->s, slice_of(name), &set, &e)) die(&e);
    for (size_t k = 0; k < json_array_size(docs); k++) {
        const char *text = json_string_value(json_array_get(docs, k));
        name_of(text, name);
        add_document(b->s, set, b->dir, name, slice_of(text));
    }
    for (size_t k = 0; k < json_array_size(files); k++) {
        struct buf bytes = {0};
        const char *file = json_string_value(json_array_get(files, k));
        bool ours = strncmp(file, "tests/", 6) == 0; /* the sample set lies in the repository */
        snprintf(name, sizeof name, "%s/%s", ours ? "." : o->samples, file);
        if (file_read(name, FILE_MAX, &bytes, &e)) die(&e);
        add_document(b->s, set, b->dir, strrchr(name, '/') + 1, buf_slice(&bytes));
        buf_free(&bytes);
    }
    ingest_all(b->an);
    return set;
}

/* Rows over the same files follow one another and share a set. */
static void questions(const struct options *o, const char *folder, const char *file) {
    static const char *const groups[] = {"", "dev", "held", "fresh", "later", "near", "script"};
    enum { GROUPS = sizeof groups / sizeof *groups };
    size_t n_all;
    json_t **rows = rows_of(folder, file, &n_all);
    size_t n = o->limit && o->limit < n_all ? o->limit : n_all;
    printf("\n%s: %zu of %zu questions, %s\n", file, n, n_all,
           o->pool ? "all passages in one set" : "each over its own documents");
    printf("%-22s %12s %8s %10s %14s %12s %16s %10s %13s\n", "", "statement@1", "among 5", "document", "none: right",
           "wrong", "short answers F1", "s/question", "shown wrong");
    for (int col = 0; col < COLUMNS; col++) {
        if (!o->column[col]) continue;
        struct error e;
        struct bench b;
        struct tally t[GROUPS];
        bench_open(&b, o, col);
        for (size_t g = 0; g < GROUPS; g++) t[g] = tally_new(n);
        const json_t *files = NULL;
        int64_t set = o->pool ? pool_set(b.an, b.s, b.dir, rows, n_all) : 0;
        for (size_t i = 0; i < n; i++) {
            const json_t *r = rows[spread(i, n_all, o->limit)];
            bool shared = files && json_equal(files, json_object_get(r, "files"));
            files = json_object_get(r, "files");
            if (!o->pool && !shared) {
                if (b.m) store_readings_evict(b.s, 0, &e);
                set = set_of(&b, o, r, i);
            }
            size_t g = 0;
            while (g + 1 < GROUPS && strcmp(str(r, "group"), groups[g]) != 0) g++;
            ask_row(b.an, set, r, b.m != NULL, &t[g], o->verbose);
            if (isatty(2)) fprintf(stderr, "\r%s %zu/%zu ", column_names[col], i + 1, n);
        }
        for (size_t g = 0; g < GROUPS; g++) {
            char name[64];
            snprintf(name, sizeof name, "%s%s%s", groups[g], g ? ", " : "", column_names[col]);
            if (t[g].n) print_tally(name, &t[g], b.m != NULL);
            tally_free(&t[g]);
        }
        bench_close(&b);
    }
    rows_free(rows, n_all);
}

static int usage(FILE *f) {
    fputs("usage: eval [options]\n"
          "  --data DIR       quotes_dev.jsonl and pairs_dev.jsonl (default: $ANTINOMY_EVAL_DATA, else "
          "../shared/data/eval)\n"
          "  --golden DIR     pairs_dev.jsonl of the f32 reference (default: tests/golden/bundled; - for none)\n"
          "  --model PATH     (default: engine/models)\n"
          "  --samples DIR    the documents of tests/eval/questions.jsonl (default: $ANTINOMY_SAMPLES, else "
          "../shared/data/samples)\n"
          "  --task NAME      pairs, quotes, pool, documents, weights or all (default: all, without weights; pool: all "
          "passages of quotes_dev in one set;\n"
          "                   weights: the search alone over a grid of weights)\n"
          "  --limit N        rows of each file, spread over it (default: 0 = all)\n"
          "  --columns LIST   of model,random,none (default: all three)\n"
          "  --path NAME      kernel path: scalar, avx2, ... (default: the best one)\n"
          "  --threads N      (default: 0 = the processors there are)\n"
          "  --verbose        every question with what was shown, on stderr\n",
          f);
    return f == stdout ? 0 : 2;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], INGEST_CHILD_ARGUMENT) == 0) return ingest_child_main(argc, argv);
    const char *env = getenv("ANTINOMY_EVAL_DATA"), *samples = getenv("ANTINOMY_SAMPLES");
    struct options o = {.data = env ? env : "../shared/data/eval",
                        .samples = samples ? samples : "../shared/data/samples",
                        .model = "engine/models",
                        .golden = "tests/golden/bundled",
                        .task = "all",
                        .column = {true, true, true}};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--help") == 0) return usage(stdout);
        if (strcmp(a, "--verbose") == 0) {
            o.verbose = true;
            continue;
        }
        if (!v) return usage(stderr);
        i++;
        if (strcmp(a, "--data") == 0)
            o.data = v;
        else if (strcmp(a, "--golden") == 0)
            o.golden = strcmp(v, "-") == 0 ? NULL : v;
        else if (strcmp(a, "--samples") == 0)
            o.samples = v;
        else if (strcmp(a, "--model") == 0)
            o.model = v;
        else if (strcmp(a, "--task") == 0)
            o.task = v;
        else if (strcmp(a, "--path") == 0)
            o.path = v;
        else if (strcmp(a, "--limit") == 0)
            o.limit = (size_t)strtoull(v, NULL, 10);
        else if (strcmp(a, "--threads") == 0)
            o.threads = atoi(v);
        else if (strcmp(a, "--columns") == 0) {
            o.column[0] = strstr(v, "model") != NULL;
            o.column[1] = strstr(v, "random") != NULL;
            o.column[2] = strstr(v, "none") != NULL;
        } else
            return usage(stderr);
    }
    bool all = strcmp(o.task, "all") == 0;
    if (all || strcmp(o.task, "pairs") == 0) pairs(&o);
    if (all || strcmp(o.task, "quotes") == 0) questions(&o, o.data, "quotes_dev.jsonl");
    if (strcmp(o.task, "weights") == 0) weights(&o);
    if (all || strcmp(o.task, "documents") == 0) questions(&o, "tests/eval", "questions.jsonl");
    if (all || strcmp(o.task, "pool") == 0) {
        o.pool = true;
        questions(&o, o.data, "quotes_dev.jsonl");
    }
    return 0;
}
