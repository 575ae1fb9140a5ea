/* The report's page: escaping, marks at the right words, groups, honest emptiness. No model, no store. */
#include "engine/analysis/analysis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <cmocka.h>

static const char REPORT[] =
    "{\"findings\":[{\"key\":\"0123456789abcdef0123456789abcdef\",\"class\":\"period\",\"status\":\"contradiction\","
    "\"severity\":\"medium\","
    "\"severity_reason\":\"the two values lie 33.3 % apart\","
    "\"a\":{\"document\":\"agreement "
    "<draft>.pdf\",\"document_id\":1,\"page\":4,\"page_label\":\"iv\",\"section\":\"7.2 Payment\","
    "\"quote\":\"The Buyer shall: pay each “undisputed” invoice within thirty (30) "
    "days;\",\"start\":117,\"end\":171,\"marks\":[{\"start\":147,\"end\":170}]},"
    "\"b\":{\"document\":\"policy.docx\",\"document_id\":2,\"page\":1,\"page_label\":\"\",\"section\":\"\","
    "\"quote\":\"Invoices <script>alert(1)</script> are paid within 45 "
    "days.\",\"start\":0,\"end\":59,\"marks\":[{\"start\":44,\"end\":58}]},"
    "\"why\":\"30 days & 45 days\",\"judged\":{\"a_b\":0.98,\"b_a\":0.97}},"
    "{\"key\":\"ffffffffffffffffffffffffffffffff\",\"class\":\"amount\",\"status\":\"superseded\",\"severity\":\"low\","
    "\"severity_reason\":\"a later document "
    "replaced one "
    "side\",\"a\":{\"document\":\"a.pdf\",\"page\":1,\"page_label\":\"1\",\"section\":\"\",\"quote\":\"The price is "
    "USD 5.\",\"start\":0,\"end\":19,"
    "\"marks\":[]},\"b\":{\"document\":\"b.pdf\",\"page\":1,\"page_label\":\"1\",\"section\":\"\",\"quote\":\"The "
    "price is USD 6.\",\"start\":0,\"end\":19,\"marks\":[]},"
    "\"why\":\"USD 5 against USD "
    "6\",\"by\":{\"document\":\"b.pdf\",\"page\":1,\"page_label\":\"1\",\"section\":\"1\",\"quote\":\"Section 3 is "
    "replaced.\",\"start\":30,"
    "\"end\":52,\"marks\":[]}}],"
    "\"coverage\":{\"tokens_in_set\":1200,\"tokens_read\":1200,\"documents\":2,\"documents_failed\":1,\"pages_without_"
    "text\":0,\"statements\":40,\"facts\":22,"
    "\"pairs_proposed\":5,\"pairs_judged\":4,\"classes_checked\":[\"amount\",\"date\"],\"model\":\"m\",\"kernel_path\":"
    "\"avx2\","
    "\"read\":[{\"document\":\"a.pdf\",\"title\":\"A\",\"pages\":3,\"pages_without_text\":0,\"statements\":20}],"
    "\"not_read\":[{\"document\":\"locked.pdf\",\"reason\":\"It asks for a password.\"}]}}";

static char *page(const char *json, struct arena *a) {
    struct slice html;
    struct error e = {0};
    int rc = analysis_report_html(slice_of(json), a, &html, &e);
    if (rc) print_error("%s\n", e.message);
    assert_int_equal(rc, 0);
    const char *file = getenv("REPORT_PAGE"); /* to look at it */
    if (file && *file) assert_int_equal(file_write_atomic(file, html.data, html.len, &e), 0);
    return (char *)(uintptr_t)html.data;
}

static void test_marks_stand_on_the_words_behind_a_lead_in(void **state) {
    (void)state;
    struct arena a = {0};
    char *h = page(REPORT, &a);
    /* 17 characters of lead-in and space stand before the item; quotation marks are one character and three bytes each
     */
    assert_non_null(strstr(h, "invoice <mark>within thirty (30) days</mark>;"));
    assert_non_null(strstr(h, "are paid <mark>within 45 days</mark>."));
    arena_free(&a);
}

static void test_text_of_documents_is_escaped(void **state) {
    (void)state;
    struct arena a = {0};
    char *h = page(REPORT, &a);
    assert_null(strstr(h, "<script"));
    assert_non_null(strstr(h, "&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_non_null(strstr(h, "agreement &lt;draft&gt;.pdf"));
    assert_non_null(strstr(h, "30 days &amp; 45 days"));
    arena_free(&a);
}

static void test_groups_come_in_the_order_to_act_on(void **state) {
    (void)state;
    struct arena a = {0};
    char *h = page(REPORT, &a);
    char *first = strstr(h, "<section id=\"contradiction\">"), *second = strstr(h, "<section id=\"superseded\">");
    assert_non_null(first);
    assert_non_null(second);
    assert_true(first < second);
    assert_null(strstr(h, "<section id=\"uncertain\">"));
    assert_non_null(strstr(h, "locked.pdf"));
    assert_non_null(strstr(h, "It asks for a password."));
    assert_non_null(strstr(h, "page iv"));
    arena_free(&a);
}

static void test_an_empty_report_does_not_claim_that_all_is_well(void **state) {
    (void)state;
    struct arena a = {0};
    char *h = page("{\"findings\":[],\"coverage\":{\"documents\":1}}", &a);
    assert_non_null(strstr(h, "may still be there"));
    arena_free(&a);
}

static void test_marks_outside_the_statement_are_left_out(void **state) {
    (void)state;
    struct arena a = {0};
    char *h = page("{\"findings\":[{\"key\":\"k\",\"class\":\"date\",\"status\":\"uncertain\",\"severity\":\"low\","
                   "\"a\":{\"quote\":\"abc\",\"start\":5,\"end\":8,"
                   "\"marks\":[{\"start\":6,\"end\":99},{\"start\":1,\"end\":2},{\"start\":7,\"end\":6}]},\"b\":{"
                   "\"quote\":\"x\",\"start\":9,\"end\":3000,\"marks\":"
                   "[{\"start\":10,\"end\":20}]},\"why\":\"\"}],\"coverage\":{}}",
                   &a);
    assert_null(strstr(h, "<mark>"));
    arena_free(&a);
}

static void test_what_is_no_report_is_refused(void **state) {
    (void)state;
    struct arena a = {0};
    struct slice html;
    struct error e = {0};
    assert_int_equal(analysis_report_html(slice_of("{\"x\":1}"), &a, &html, &e), ERR_FORMAT);
    assert_int_equal(analysis_report_html(slice_of("not json"), &a, &html, &e), ERR_FORMAT);
    assert_int_equal(analysis_report_html((struct slice){0}, &a, &html, &e), ERR_FORMAT);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks_stand_on_the_words_behind_a_lead_in),
        cmocka_unit_test(test_text_of_documents_is_escaped),
        cmocka_unit_test(test_groups_come_in_the_order_to_act_on),
        cmocka_unit_test(test_an_empty_report_does_not_claim_that_all_is_well),
        cmocka_unit_test(test_marks_outside_the_statement_are_left_out),
        cmocka_unit_test(test_what_is_no_report_is_refused),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
