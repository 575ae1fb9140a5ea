/* test_analysis_cells.c: citations of spreadsheets name the cell; a question that names a column is answered by the
 * cell under it; a row is read behind its header however far above that stands. No model, no store. */
#include "tests/unit/ingest_fixture.h"

#include "engine/analysis/inside.h"

static struct ingest_document *load(const char *text) {
    struct ingest_document *d = NULL;
    struct error e;
    assert_int_equal(load_bytes(&d, "parts.csv", text, strlen(text), NULL, &e), 0);
    return d;
}

static const char text[] =
    "Part,Net price,Gross price,Lead time (days),Last order,Stock\nValve B-109,9.50,11.40,18,2024-05-01,9\n"
    "Valve B-110,8,9.60,20,2024-06-01,7\nLast one,1,2,3,4,5\n";

static void test_the_column_that_the_question_names(void **state) {
    (void)state;
    static const struct {
        uint32_t statement;
        const char *question, *cell; /* NULL: none is named */
    } cases[] = {{1, "What is the lead time of valve B-109?", "18"},
                 {1, "What is the net price of valve B-109?", "9.50"},
                 {1, "What does valve B-109 cost gross?", "11.40"},
                 {1, "When was valve B-109 last ordered?", "2024-05-01"},
                 {2, "How many of B-110 are in stock?", "7"},
                 {1, "What is the price of valve B-109?", NULL},
                 {1, "Who makes valve B-109?", NULL},
                 {3, "What is the stock of the last one?", "5"}, /* "last" says the row */
                 {0, "What is the stock?", NULL}};
    struct ingest_document *d = load(text);
    struct corpus_document doc = {.doc = d};
    struct corpus c = {.docs = &doc, .n_docs = 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct place p = {.statement = cases[i].statement};
        struct ingest_span cell = {0, 0};
        bool found = column_named(&c, &p, slice_of(cases[i].question), &cell);
        if (found != (cases[i].cell != NULL)) print_message("%s\n", cases[i].question);
        assert_int_equal(found, cases[i].cell != NULL);
        if (found) assert_true(slice_equal(ingest_text(d, cell), slice_of(cases[i].cell)));
    }
    struct place p = {.statement = 1};
    const char *stock = strstr(d->text.data, "| 9\n"), *days = strstr(d->text.data, "18");
    uint32_t nine = (uint32_t)(stock - d->text.data) + 2, eighteen = (uint32_t)(days - d->text.data);
    assert_true(column_repeats(&c, &p, (struct ingest_span){nine, nine + 1})); /* "9" is in B-109 and 9.50 too */
    assert_false(column_repeats(&c, &p, (struct ingest_span){eighteen, eighteen + 2}));
    ingest_document_free(d);
}

static void test_another_row_is_no_answer(void **state) {
    (void)state;
    static const struct {
        const char *question;
        bool asked;
    } cases[] = {{"What is the lead time of valve B-109?", true},
                 {"What is the lead time of valve B-110?", false},
                 {"How long must one wait for B-109?", true},
                 {"What is the stock of golden cogs?", false},
                 {"What is the net price of a golden valve?", true},
                 {"What is the average net price?", false},
                 {"Is it cheap?", true}}; /* names no column: no reason to think of another row */
    struct ingest_document *d = load(text);
    struct corpus_document doc = {.doc = d};
    struct corpus c = {.docs = &doc, .n_docs = 1};
    struct place p = {.statement = 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool asked = column_row_asked(&c, &p, slice_of(cases[i].question));
        if (asked != cases[i].asked) print_message("%s\n", cases[i].question);
        assert_int_equal(asked, cases[i].asked);
    }
    p.statement = 0; /* the names of the columns */
    assert_false(column_row_asked(&c, &p, SLICE_LITERAL("What is the highest stock?")));
    ingest_document_free(d);
}

static void check_place(const struct corpus *c, struct ingest_span mark, bool marked, const char *cell) {
    struct error e;
    struct place p = {.statement = 1};
    json_t *j = place_citation(c, &p, &mark, marked, false, &e);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "cell")), cell);
    assert_string_equal(json_string_value(json_object_get(j, "page_label")), cell); /* a CSV file has no sheet's name */
    assert_null(json_object_get(j, "sheet"));
    json_decref(j);
}

static void test_citations_name_the_cell(void **state) {
    (void)state;
    struct ingest_document *d = load(text);
    struct corpus_document doc = {.doc = d};
    struct corpus c = {.docs = &doc, .n_docs = 1};
    uint32_t at = (uint32_t)(strstr(d->text.data, "18") - d->text.data);
    check_place(&c, (struct ingest_span){at, at + 2}, true, "D2");
    check_place(&c, (struct ingest_span){0, 0}, false, "A2:F2");
    ingest_document_free(d);
}

static void test_a_row_is_read_behind_its_header(void **state) {
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "Part,Price,Stock\n");
    for (int i = 0; i < 500; i++) buf_printf(&b, "Valve number %d,%d.50,%d\n", i, i, i % 7);
    struct ingest_document *d = load(b.data);
    struct corpus_document doc = {.doc = d};
    struct corpus c = {.docs = &doc, .n_docs = 1};
    struct arena a = {0};
    struct passage *passages;
    size_t n;
    struct error e;
    struct place places[] = {{.statement = 300}, {.statement = 4}};
    assert_int_equal(passages_sections(NULL, &c, places, 2, 2, &a, &passages, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(passages[0].header.end, 0); /* stands near: read with it */
    assert_int_equal(passages[0].span.start, 0);
    assert_true(slice_equal(ingest_text(d, passages[1].header), SLICE_LITERAL("Part | Price | Stock")));
    assert_true(slice_starts_with(ingest_text(d, passages[1].span), SLICE_LITERAL("Valve number 299 |")));
    arena_free(&a);
    ingest_document_free(d);
    buf_free(&b);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], INGEST_CHILD_ARGUMENT) == 0) return ingest_child_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_column_that_the_question_names),
        cmocka_unit_test(test_another_row_is_no_answer),
        cmocka_unit_test(test_citations_name_the_cell),
        cmocka_unit_test(test_a_row_is_read_behind_its_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
