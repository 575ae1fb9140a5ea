/* test_store_search.c: what is found, what never is (other sets, replaced, unread), that no question is a syntax error,
 * and the vectors against a plain computation in double. */
#include "tests/unit/store_fixture.h"

#include "store/database.h"

static const char agreement[] = "# 1 Definitions\n"
                                "\"Products\" means the turbines listed in Exhibit B.\n" /* 0 */
                                "The Effective Date is 1 May 2024.\n"                    /* 1 */
                                "# 4.2 Renewal\n"
                                "This Agreement continues for further years.\n" /* 2 */
                                "# 4.2(a) Objection\n"
                                "Either side may object in writing.\n" /* 3 */
                                "# 14.2 Notices\n"
                                "Letters go to the registered office.\n" /* 4 */
                                "# 7 Payment\n"
                                "The Buyer pays USD 1,250,000 to Acme Holdings Limited.\n" /* 5 */
                                "The deposit is GBP 300000.\n"                             /* 6 */
                                "~The Supplier shall:\n"
                                "- deliver quarterly;\n"                      /* 7 */
                                "Late sums bear interest of 12.5% a year.\n"; /* 8 */

static int first_of(struct fixture *f, const char *question) {
    struct store_hit *hits;
    size_t n = search(f->s, &f->a, f->set, question, &hits);
    return n ? (int)hits[0].statement : -1;
}

static void test_words_headings_and_exact_items_find_their_statement(void **state) {
    struct fixture *f = *state;
    add_ready(f->s, f->set, "agreement.txt", agreement);
    static const struct {
        const char *question;
        int statement;
    } cases[] = {
        {"Where do letters go?", 4},
        {"registered offices", 4},                /* stem */
        {"What does the renewal clause say?", 2}, /* by its heading */
        {"What is in section 4.2(a)?", 3},        /* by its number, though 4.2 and 14.2 stand near */
        {"clause 14.2", 4},
        {"Clause 4.2", 2},
        {"\xc2\xa7 4.2(a)", 3},
        {"Who gets 1250000 dollars?", 5}, /* 1,250,000 */
        {"Who gets $1.25 million?", 5},
        {"What is the sum of 300,000 for?", 6}, /* 300000 */
        {"0.3 million", 6},
        {"What happens on May 1, 2024?", 1}, /* 1 May 2024 */
        {"2024-05-01", 1},
        {"What is a \"listed in exhibit\"?", 0},
        {"Exhibit B", 0},
        {"Who is Acme Holdings?", 5},
        {"supplier quarterly", 7}, /* lead-in and item */
        {"12.5 %", 8},
        {"the", -1}, /* a small word alone is looked for, and does not stand first anywhere */
        {"zebra", -1},
        {"", -1},
        {"?!", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(cases[i].question, "the") == 0) {
            assert_true(first_of(f, "the") >= 0);
            continue;
        }
        int got = first_of(f, cases[i].question);
        if (got != cases[i].statement)
            fail_msg("\"%s\": statement %d, not %d", cases[i].question, got, cases[i].statement);
    }
}

static void test_accents_and_case_do_not_matter(void **state) {
    struct fixture *f = *state;
    add_ready(f->s, f->set, "de.txt", "# 1 A\nDie K\xc3\xbcndigungsfrist betr\xc3\xa4gt drei Monate.\nSonst nichts.\n");
    assert_int_equal(first_of(f, "kundigungsfrist"), 0);
    assert_int_equal(first_of(f, "K\xc3\x9cNDIGUNGSFRIST"), 0);
}

static void test_only_the_set_the_current_and_the_ready_are_found(void **state) {
    struct fixture *f = *state;
    struct store_hit *hits;
    int64_t other, d, job;
    OK(store_set_create(f->s, SLICE_LITERAL("other"), &other, &err));
    add_ready(f->s, f->set, "a.txt", "# 1 A\nThe old turbine clause.\n");
    int64_t now = add_ready(f->s, f->set, "a.txt", "# 1 A\nThe new turbine clause.\n");
    add_ready(f->s, other, "b.txt", "# 1 A\nThe foreign turbine clause of qzvornite.\n");
    upload(f->s, f->set, "c.txt", "# 1 A\nThe unread turbine clause.\n", &d, &job);
    assert_int_equal(search(f->s, &f->a, f->set, "turbine", &hits), 1);
    assert_int_equal(hits[0].document, now);
    assert_int_equal(search(f->s, &f->a, f->set, "qzvornite", &hits), 0);
    assert_int_equal(search(f->s, &f->a, f->set, "\"foreign turbine\"", &hits),
                     1); /* by its words; the phrase is not there */
    assert_int_equal(hits[0].document, now);
    struct store_query q = {.text = SLICE_LITERAL("x")};
    size_t n;
    FAILS(ERR_NOT_FOUND, store_search(f->s, &f->a, 77, &q, &hits, &n, &err));
}

static void test_other_sets_change_no_score(void **state) {
    struct fixture *f = *state;
    struct store_hit *before, *after;
    int64_t other;
    static const char question[] = "turbines listed in the Agreement with the Buyer";
    add_ready(f->s, f->set, "a.txt", agreement);
    size_t n = search(f->s, &f->a, f->set, question, &before);
    OK(store_set_create(f->s, SLICE_LITERAL("other"), &other, &err));
    for (int i = 0; i < 5; i++) {
        char name[16], text[256];
        snprintf(name, sizeof name, "%d", i);
        snprintf(text, sizeof text, "# 1 Turbines\nListed turbines, turbines and turbines.\nBuyer %d.\n", i);
        add_ready(f->s, other, name, text);
    }
    assert_int_equal(search(f->s, &f->a, f->set, question, &after), n);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) assert_memory_equal(&before[i], &after[i], sizeof *before);
}

static uint32_t seed = 3;
static uint32_t roll(uint32_t n) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void test_no_question_is_a_syntax_error(void **state) {
    struct fixture *f = *state;
    add_ready(f->s, f->set, "a.txt", agreement);
    static const char *const parts[] = {"\"",
                                        "\"\"",
                                        "*",
                                        "^",
                                        "NEAR(",
                                        ")",
                                        "(",
                                        " AND ",
                                        " OR ",
                                        " NOT ",
                                        "text:",
                                        "{",
                                        "}",
                                        "+",
                                        "-",
                                        "'",
                                        ";",
                                        "--",
                                        "%",
                                        "\xff",
                                        "\xe2\x80\x9c",
                                        "\xe2\x80\x9d",
                                        "1.2.3",
                                        "1,,2",
                                        "((a)",
                                        "4.2(",
                                        "$",
                                        "\xc2\xa7",
                                        "Section ",
                                        "99999999999999999999",
                                        "1e400",
                                        "0.0000001 million",
                                        "May ",
                                        "31 ",
                                        "2024 ",
                                        "Exhibit ",
                                        "\xf0\x9f\x98\x80",
                                        "\n",
                                        "turbines",
                                        "the ",
                                        "A",
                                        "store_terms(",
                                        "rank",
                                        "\x01"};
    for (int round = 0; round < 3000; round++) {
        struct buf b = {0};
        struct store_hit *hits;
        size_t n;
        for (uint32_t k = roll(12); k > 0; k--) buf_puts(&b, parts[roll(sizeof parts / sizeof *parts)]);
        if (roll(20) == 0) buf_append(&b, "\0turbines\0", 10);
        if (roll(200) == 0)
            for (int k = 0; k < 500; k++)
                buf_printf(&b, " w%d %d.%d \"q%d\" Big Name%d", k, k, k, k, k); /* past every limit */
        struct store_query q = {.text = buf_slice(&b), .top_k = 3};
        int rc = store_search(f->s, &f->a, f->set, &q, &hits, &n, &err);
        if (rc) fail_msg("\"%s\": %s [%s]", b.data, err.message, err.where);
        assert_true(n <= 3);
        buf_free(&b);
        if (round % 100 == 0) arena_free(&f->a);
    }
}

/* ---- vectors ---- */
static void random_unit(float *v, uint32_t dim) {
    double sum = 0;
    for (uint32_t i = 0; i < dim; i++) {
        v[i] = ((float)roll(2001) - 1000) / 1000;
        sum += (double)v[i] * (double)v[i];
    }
    for (uint32_t i = 0; i < dim; i++) v[i] = (float)((double)v[i] / sqrt(sum));
}

static void test_integer_dot_is_the_same_on_every_path_and_near_the_truth(void **state) {
    (void)state;
    static const uint32_t dims[] = {1, 2, 3, 15, 16, 17, 31, 33, 576, 1000, STORE_EMBEDDING_DIM};
    static float a[STORE_EMBEDDING_DIM], b[STORE_EMBEDDING_DIM];
    static int8_t v[STORE_EMBEDDING_DIM];
    static int16_t q[STORE_EMBEDDING_DIM];
    for (size_t k = 0; k < sizeof dims / sizeof *dims; k++) {
        uint32_t dim = dims[k];
        random_unit(a, dim);
        random_unit(b, dim);
        for (uint32_t i = 0; i < dim; i++)
            b[i] = 0.6f * a[i] + 0.4f * b[i]; /* somewhat alike, as a question and its answer */
        double scale = (double)embedding_quantise(v, a, dim) * (double)embedding_quantise_query(q, b, dim), truth = 0;
        int64_t sum = 0;
        for (uint32_t i = 0; i < dim; i++) {
            truth += (double)a[i] * (double)b[i];
            sum += (int64_t)q[i] * v[i];
        }
        assert_int_equal(embedding_dot(q, v, dim), sum);
        assert_true(fabs(scale * (double)sum - truth) < 0.01);
    }
    /* the worst case of the overflow bound: all components at their largest */
    for (uint32_t i = 0; i < STORE_EMBEDDING_DIM; i++) a[i] = b[i] = -1 / sqrtf(STORE_EMBEDDING_DIM);
    embedding_quantise(v, a, STORE_EMBEDDING_DIM);
    embedding_quantise_query(q, b, STORE_EMBEDDING_DIM);
    assert_int_equal(v[0], -127);
    assert_int_equal(q[0], -2047);
    assert_int_equal(embedding_dot(q, v, STORE_EMBEDDING_DIM), 127 * 2047 * STORE_EMBEDDING_DIM);
    /* nonsense in, numbers out */
    float odd[4] = {NAN, INFINITY, -INFINITY, 1};
    float s = embedding_quantise(v, odd, 4);
    assert_true(isfinite(s));
    float zero[4] = {0};
    assert_true(embedding_quantise(v, zero, 4) == 0);
}

static void test_vectors_rank_by_cosine_and_belong_to_their_model(void **state) {
    struct fixture *f = *state;
    enum { DIM = 48, N = 9 };
    static const uint8_t model[32] = {1}, other_model[32] = {2};
    float vectors[N * DIM], question[DIM];
    struct store_statement *missing;
    struct store_hit *hits;
    size_t n;
    add_ready(f->s, f->set, "a.txt", agreement);
    OK(store_embeddings_missing(f->s, &f->a, f->set, model, &missing, &n, &err));
    assert_int_equal(n, N);
    assert_true(
        slice_equal(missing[7].text, SLICE_LITERAL("The Supplier shall: deliver quarterly;"))); /* lead-in and item */
    for (int i = 0; i < N; i++) random_unit(vectors + i * DIM, DIM);
    random_unit(question, DIM);
    OK(store_embeddings_add(f->s, model, missing, vectors, 5, DIM, &err));
    OK(store_embeddings_missing(f->s, &f->a, f->set, model, &missing, &n, &err));
    assert_int_equal(n, N - 5);
    assert_int_equal(missing[0].statement, 5);
    OK(store_embeddings_add(f->s, model, missing, vectors + 5 * DIM, n, DIM, &err));
    OK(store_embeddings_missing(f->s, &f->a, f->set, model, &missing, &n, &err));
    assert_int_equal(n, 0);
    OK(store_embeddings_missing(f->s, &f->a, f->set, other_model, &missing, &n, &err));
    assert_int_equal(n, N);

    struct store_query q = {.vector = question, .dim = DIM, .model_id = model, .top_k = 100};
    OK(store_search(f->s, &f->a, f->set, &q, &hits, &n, &err));
    assert_int_equal(n, N);
    for (size_t i = 0; i < n; i++) {
        double truth = 0;
        for (int k = 0; k < DIM; k++)
            truth += (double)question[k] * (double)vectors[hits[i].statement * DIM + (uint32_t)k];
        assert_true(fabs((double)hits[i].cosine - truth) < 0.01);
        assert_true(isnan(hits[i].bm25));
        assert_true(i == 0 || hits[i - 1].score >= hits[i].score);
    }
    /* fused as store.h says: weights of the query */
    q.text = SLICE_LITERAL("registered office letters");
    q.vector_weight = 0.25f, q.bm25_weight = 2;
    OK(store_search(f->s, &f->a, f->set, &q, &hits, &n, &err));
    assert_int_equal(hits[0].statement, 4);
    assert_true(fabs((double)hits[0].score - (0.25 * (double)hits[0].cosine + 2)) < 1e-5);
    assert_true(hits[0].bm25 > 0);
    /* the same vectors, words alone: no cosine */
    q.vector = NULL;
    OK(store_search(f->s, &f->a, f->set, &q, &hits, &n, &err));
    assert_true(isnan(hits[0].cosine));
    /* another model has none; wrong sizes are refused */
    q = (struct store_query){.vector = question, .dim = DIM, .model_id = other_model};
    OK(store_search(f->s, &f->a, f->set, &q, &hits, &n, &err));
    assert_int_equal(n, 0);
    q.model_id = model;
    q.dim = DIM - 1;
    FAILS(ERR_ARG, store_search(f->s, &f->a, f->set, &q, &hits, &n, &err));
    q.model_id = NULL;
    FAILS(ERR_ARG, store_search(f->s, &f->a, f->set, &q, &hits, &n, &err));
    OK(store_embeddings_missing(f->s, &f->a, f->set, other_model, &missing, &n, &err));
    FAILS(ERR_ARG, store_embeddings_add(f->s, model, missing, vectors, 1, DIM - 1, &err));
    FAILS(ERR_LIMIT, store_embeddings_add(f->s, model, missing, vectors, 1, STORE_EMBEDDING_DIM + 1, &err));
}

/* Rows of a long sheet are found by their words alone: their vectors would take minutes and tell them apart by nothing.
 */
static void test_rows_of_a_long_sheet_have_no_vectors(void **state) {
    struct fixture *f = *state;
    static const uint8_t model[32] = {1};
    for (size_t rows = STORE_SHEET_ROWS; rows <= STORE_SHEET_ROWS + 1; rows++) {
        int64_t document, job;
        struct store_job j;
        struct store_statement *missing;
        struct store_hit *hits;
        size_t n;
        struct buf text = {0};
        buf_puts(&text, "A note about the prices.\n");
        for (size_t i = 0; i < rows; i++) buf_printf(&text, "Valve%zu | %zu | %zu\n", i, i * 3, rows);
        upload(f->s, f->set, rows > STORE_SHEET_ROWS ? "long.xlsx" : "short.xlsx", text.data, &document, &job);
        OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j, &err));
        struct ingest_document *d = doc_new("sheet", text.data);
        d->format = INGEST_XLSX;
        for (size_t i = 1; i < d->n_statements; i++) d->statements[i].kind = INGEST_TABLE_ROW;
        OK(store_document_write(f->s, job, d, 1, &err));
        doc_free(d);
        buf_free(&text);
        OK(store_embeddings_missing(f->s, &f->a, f->set, model, &missing, &n, &err));
        assert_int_equal(n, rows > STORE_SHEET_ROWS ? STORE_SHEET_ROWS + 2 : STORE_SHEET_ROWS + 1);
        assert_true(search(f->s, &f->a, f->set, "Valve7", &hits) > 0);
        assert_int_equal(hits[0].statement, 8);
    }
}

static void test_headings_stand_behind_what_they_head(void **state) {
    struct fixture *f = *state;
    int64_t document, job;
    struct store_job j;
    struct store_hit *hits;
    static const char text[] = "# 1 A\nTermination.\nEach side may end this with notice of termination of 30 days.\n";
    upload(f->s, f->set, "a.txt", text, &document, &job);
    OK(store_job_take(f->s, &f->a, STORE_JOB_INGEST, 60, &j, &err));
    struct ingest_document *d = doc_new("a.txt", text);
    d->statements[0].kind = INGEST_HEADING;
    OK(store_document_write(f->s, job, d, 9, &err));
    doc_free(d);
    assert_int_equal(search(f->s, &f->a, f->set, "termination", &hits), 2);
    assert_int_equal(hits[0].statement, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_words_headings_and_exact_items_find_their_statement),
        TEST(test_accents_and_case_do_not_matter),
        TEST(test_only_the_set_the_current_and_the_ready_are_found),
        TEST(test_other_sets_change_no_score),
        TEST(test_no_question_is_a_syntax_error),
        TEST(test_integer_dot_is_the_same_on_every_path_and_near_the_truth),
        TEST(test_vectors_rank_by_cosine_and_belong_to_their_model),
        TEST(test_rows_of_a_long_sheet_have_no_vectors),
        TEST(test_headings_stand_behind_what_they_head),
    };
    return cmocka_run_group_tests_name("store_search", tests, NULL, NULL);
}
