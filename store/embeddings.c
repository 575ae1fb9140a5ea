/* embeddings.c: one vector of signed bytes a statement and model, and the exact dot product over them.
 *
 * A vector of length 1 becomes round(v / scale), scale = max|v| / 127. The query keeps 11 bits and a sign. The product
 * of both is summed in 32-bit integers, so it is the same number on every processor and in every order: rankings never
 * depend on the machine. No overflow: |sum| <= |q| |v| <= 2047 sqrt(d) * 127 sqrt(d) = 259,969 d < 2^31 for d <= 8,192
 * (STORE_EMBEDDING_DIM). */
#include "store/database.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float largest(const float *v, uint32_t dim) {
    float max = 0;
    for (uint32_t i = 0; i < dim; i++)
        if (fabsf(v[i]) > max) max = fabsf(v[i]); /* NaN compares false */
    return max;
}

static int quantise(float v, float inverse, int limit) {
    float x = v * inverse;
    if (!(x > (float)-limit)) return x == x ? -limit : 0;
    return x >= (float)limit ? limit : (int)lrintf(x);
}

float embedding_quantise(int8_t *out, const float *v, uint32_t dim) {
    float max = largest(v, dim), inverse = max > 0 ? 127 / max : 0;
    if (!isfinite(inverse)) inverse = 0;
    for (uint32_t i = 0; i < dim; i++) out[i] = (int8_t)quantise(v[i], inverse, 127);
    return inverse > 0 ? max / 127 : 0;
}

float embedding_quantise_query(int16_t *out, const float *v, uint32_t dim) {
    float max = largest(v, dim), inverse = max > 0 ? 2047 / max : 0;
    if (!isfinite(inverse)) inverse = 0;
    for (uint32_t i = 0; i < dim; i++) out[i] = (int16_t)quantise(v[i], inverse, 2047);
    return inverse > 0 ? max / 2047 : 0;
}

static int32_t dot_plain(const int16_t *q, const int8_t *v, uint32_t dim) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < dim; i++) sum += (int32_t)q[i] * (int32_t)v[i];
    return sum;
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static int32_t dot_avx2(const int16_t *q, const int8_t *v, uint32_t dim) {
    __m256i sums = _mm256_setzero_si256();
    uint32_t i = 0;
    for (; i + 16 <= dim; i += 16) { /* 16 products, added in pairs to 8 sums */
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(q + i));
        __m256i b = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(v + i)));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(a, b));
    }
    int32_t eight[8], sum = 0;
    _mm256_storeu_si256((__m256i *)(void *)eight, sums);
    for (int k = 0; k < 8; k++) sum += eight[k];
    return sum + dot_plain(q + i, v + i, dim - i);
}
#endif

int32_t embedding_dot(const int16_t *q, const int8_t *v, uint32_t dim) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) return dot_avx2(q, v, dim);
#endif
    return dot_plain(q, v, dim);
}

/* ---- rows ---- */
int store_embeddings_missing(struct store *s, struct arena *a, int64_t set, const uint8_t model_id[32],
                             struct store_statement **out, size_t *n, struct error *e) {
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    struct store_statement *items = NULL;
    size_t cap = 0;
    bool row, failed = false;
    *out = NULL;
    *n = 0;
    int rc = store_read_begin(s, &db, e);
    if (rc) return rc;
    rc = db_query(db, &st, e,
                  "SELECT s.content, s.n, s.text FROM statements s WHERE s.content IN"
                  " (SELECT e.content FROM entries e JOIN contents c ON c.id = e.content WHERE e.set_id = ? AND "
                  "e.replaced_by = 0 AND c.state = ?)"
                  " AND NOT EXISTS (SELECT 1 FROM embeddings v WHERE v.statement = s.id AND v.model ="
                  "   (SELECT id FROM models WHERE model_id = ?))"
                  " AND NOT (s.kind = ? AND s.content IN (SELECT b.content FROM bodies b WHERE b.format IN (?, ?) AND"
                  "   (SELECT count(*) FROM statements r WHERE r.content = b.content AND r.kind = ?) > ?))"
                  " ORDER BY s.content, s.n",
                  "iibiiiii", set, (int64_t)STORE_READY, (const void *)model_id, (size_t)32, (int64_t)INGEST_TABLE_ROW,
                  (int64_t)INGEST_XLSX, (int64_t)INGEST_CSV, (int64_t)INGEST_TABLE_ROW, (int64_t)STORE_SHEET_ROWS);
    while (rc == 0 && (rc = db_row(st, &row, e)) == 0 && row) {
        rc = array_grow((void **)&items, &cap, *n + 1, sizeof *items, e);
        if (rc) break;
        items[*n] = (struct store_statement){.content = sqlite3_column_int64(st, 0),
                                             .statement = (uint32_t)sqlite3_column_int64(st, 1),
                                             .text = db_text(st, 2, a, &failed)};
        (*n)++;
        if (failed) rc = store_nomem(e);
    }
    sqlite3_finalize(st);
    store_read_end(s, db);
    if (rc == 0 && !(*out = arena_array(a, *n, sizeof **out))) rc = store_nomem(e);
    if (rc == 0 && *n) memcpy(*out, items, *n * sizeof *items);
    free(items);
    if (rc) *n = 0;
    return rc;
}

static int model_row(sqlite3 *db, const uint8_t model_id[32], uint32_t dim, int64_t *model, struct error *e) {
    int64_t known = 0;
    int rc = db_run(db, e, "INSERT INTO models(model_id, dim) VALUES (?, ?) ON CONFLICT(model_id) DO NOTHING", "bi",
                    (const void *)model_id, (size_t)32, (int64_t)dim);
    if (rc == 0)
        rc = db_one(db, model, e, "SELECT id FROM models WHERE model_id = ?", "b", (const void *)model_id, (size_t)32);
    if (rc == 0) rc = db_one(db, &known, e, "SELECT dim FROM models WHERE id = ?", "i", *model);
    if (rc == 0 && known != dim)
        rc =
            error_set(e, ERR_ARG, "", "This model's vectors have %lld values, not %u", (long long)known, (unsigned)dim);
    return rc;
}

int store_embeddings_add(struct store *s, const uint8_t model_id[32], const struct store_statement *items,
                         const float *vectors, size_t n, uint32_t dim, struct error *e) {
    if (dim == 0 || dim > STORE_EMBEDDING_DIM)
        return error_set(e, ERR_LIMIT, "", "A vector must have 1 to %d values, not %u", STORE_EMBEDDING_DIM,
                         (unsigned)dim);
    sqlite3_stmt *st = NULL;
    int64_t model = 0;
    int8_t *q = malloc(dim);
    int rc = q ? store_write_begin(s, e) : store_nomem(e);
    if (rc) {
        free(q);
        return rc;
    }
    rc = model_row(s->writer, model_id, dim, &model, e);
    /* selects no row when the document was deleted meanwhile: then there is nothing to keep */
    if (rc == 0)
        rc = db_query(s->writer, &st, e,
                      "INSERT INTO embeddings(statement, model, scale, vector) SELECT id, ?, ?, ? FROM statements "
                      "WHERE content = ? AND n = ?"
                      " ON CONFLICT DO UPDATE SET scale = excluded.scale, vector = excluded.vector",
                      "idbii", model, 0.0, (const void *)q, (size_t)dim, (int64_t)0, (int64_t)0);
    for (size_t i = 0; i < n && rc == 0; i++) {
        double scale = (double)embedding_quantise(q, vectors + i * dim, dim);
        rc = db_rebind_run(st, e, "idbii", model, scale, (const void *)q, (size_t)dim, items[i].content,
                           (int64_t)items[i].statement);
    }
    sqlite3_finalize(st);
    rc = store_write_end(s, rc, e);
    free(q);
    return rc;
}
