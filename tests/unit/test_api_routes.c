/* Paths, queries, names and bodies: what is refused before any route runs; the table from error code to status; marked
 * quotes. */
#include "api/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static int status_of(enum api_method method, const char *path) {
    struct api_request q = {.method = method, .path = path, .request_id = "r1"};
    struct api_response r = {0};
    api_handle(NULL, &q, &r); /* none of these may reach the store */
    int status = r.status;
    if (status >= 400) {
        assert_string_equal(r.content_type, "application/problem+json");
        json_t *o = json_loadb(r.body.data, r.body.len, 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(o, "status")), status);
        assert_string_equal(json_string_value(json_object_get(o, "request_id")), "r1");
        json_decref(o);
    }
    api_response_free(&r);
    return status;
}

static void test_paths_that_are_no_route_touch_nothing(void **state) {
    (void)state;
    static const char *const paths[] = {
        "/api/v1/sets/",
        "/api/v1/sets/0",
        "/api/v1/sets/01",
        "/api/v1/sets/-1",
        "/api/v1/sets/1x",
        "/api/v1/sets/9999999999999999999",
        "/api/v1/documents/1/pages/../../lock",
        "/api/v1/documents/1/pages/1.png/../x",
        "/../antinomy.db",
        "//",
        "/index.html",
        "/api/v1/documents/1/pages/%2e%2e/1.png",
        "/api/v1/sets%00",
        "",
        "/api",
        "/api/v1/sets/1/documents/..",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) assert_int_equal(status_of(API_GET, paths[i]), 404);
    assert_int_equal(status_of(API_DELETE, "/api/v1/sets"), 405);
    assert_int_equal(status_of(API_POST, "/api/v1/documents/3/text"), 405);
    assert_int_equal(status_of(API_DELETE, "/api/v1/questions/3"), 405);
    assert_int_equal(status_of(API_GET, "/api/v1/questions/0"), 404);
    assert_int_equal(status_of(API_PATCH, "/api/v1/documents/3"), 405);
    assert_int_equal(status_of(API_PATCH, "/api/v1/findings/3"), 400); /* no body */
    assert_int_equal(status_of(API_DELETE, "/api/v1/findings/3"), 405);
    assert_int_equal(status_of(API_GET, "/api/v1/sets/1/questions?limit=0"), 400);
    assert_int_equal(status_of(API_GET, "/api/v1/sets/1/questions?limit=101"), 400);
    assert_int_equal(status_of(API_GET, "/api/v1/sets/1/questions?after=-1"), 400);
    assert_int_equal(status_of(API_GET, "/healthz"), 200);
    assert_int_equal(status_of(API_GET, "/"), 200);
    assert_int_equal(status_of(API_GET, "/app.js?v=1"), 200);
    char *longer = malloc(API_MAX_PATH + 20);
    memset(longer, 'a', API_MAX_PATH + 10);
    longer[0] = '/';
    longer[API_MAX_PATH + 10] = '\0';
    assert_int_equal(status_of(API_GET, longer), 414);
    free(longer);
}

static void test_queries_are_decoded_strictly(void **state) {
    (void)state;
    static const struct {
        const char *query, *want; /* NULL: absent */
        bool bad;
    } cases[] = {
        {"name=a", "a", false},
        {"x=1&name=a%20b+c", "a b c", false},
        {"name=", "", false},
        {"names=a", NULL, false},
        {"", NULL, false},
        {"name", NULL, false},
        {"name=%zz", NULL, true},
        {"name=%0", NULL, true},
        {"name=%00", NULL, true},
        {"name=%C3%A9", "\xc3\xa9", false},
        {"name=123456789", NULL, true},
        {"x=name=a&name=b", "b", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[8];
        bool bad;
        bool there = api_query(cases[i].query, "name", out, sizeof out, &bad);
        assert_int_equal(bad, cases[i].bad);
        assert_int_equal(there, cases[i].want != NULL);
        if (there) assert_string_equal(out, cases[i].want);
    }
}

static void test_numbers_of_queries_have_bounds(void **state) {
    (void)state;
    struct error e;
    int64_t v;
    assert_int_equal(api_query_number("start=17", "start", 100, 5, &v, &e), 0);
    assert_int_equal(v, 17);
    assert_int_equal(api_query_number("", "start", 100, 5, &v, &e), 0);
    assert_int_equal(v, 5);
    static const char *const bad[] = {
        "start=101", "start=-1", "start=1x", "start=", "start= 1", "start=99999999999999999999999", "start=%"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(api_query_number(bad[i], "start", 100, 5, &v, &e), ERR_ARG);
}

static void test_names_are_for_people(void **state) {
    (void)state;
    struct error e;
    struct slice ok = SLICE_LITERAL("  Vertrag \xc3\xa9 2024.pdf ");
    assert_int_equal(api_name_check(&ok, 40, "file", &e), 0);
    assert_int_equal(ok.len, sizeof "Vertrag \xc3\xa9 2024.pdf" - 1);
    static const char *const bad[] = {"",
                                      "   ",
                                      "a\nb",
                                      "a\x1b[2J",
                                      "a\x7f",
                                      "\xc2\x85",
                                      "\xe2\x80\xae"
                                      "fdp.exe",
                                      "\xff",
                                      "12345678901234567890123456789012345678901"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct slice s = slice_of(bad[i]);
        assert_int_equal(api_name_check(&s, 40, "file", &e), ERR_ARG);
    }
}

static void test_bodies_must_be_one_json_object(void **state) {
    (void)state;
    struct error e;
    json_t *o;
    assert_int_equal(api_json_body(SLICE_LITERAL("{\"name\":\"x\"}"), &o, &e), 0);
    json_decref(o);
    static const char *const bad[] = {
        "", "[]", "3", "{", "{\"a\":1,\"a\":2}", "{} x", "{\"a\":\"\\ud800\"}", "{\"a\":\"\xff\"}", "{'a':1}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(api_json_body(slice_of(bad[i]), &o, &e), ERR_ARG);
    struct buf deep = {0};
    for (int i = 0; i < 5000; i++) buf_puts(&deep, "[");
    assert_int_equal(api_json_body(buf_slice(&deep), &o, &e), ERR_ARG);
    buf_free(&deep);
}

static void test_every_error_code_has_a_status(void **state) {
    (void)state;
    for (int code = ERR_NOMEM; code <= ERR_ENCRYPTED; code++) {
        int status = api_status(code);
        assert_in_range(status, 400, 599);
        assert_true(code == ERR_IO || code == ERR_DEVICE || status != 500);
    }
}

static void marked(const char *text, const char *marks, long offset, const char *want) {
    char *out = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&out, &n);
    json_t *m = json_loads(marks, 0, NULL);
    cli_print_marked(f, false, "", slice_of(text), m, offset);
    fclose(f);
    assert_string_equal(out, want);
    json_decref(m);
    free(out);
}

static void test_marks_are_characters_and_foreign_text_cannot_steer_the_terminal(void **state) {
    (void)state;
    marked("shall not pay", "[]", 0, "shall not pay\n");
    marked("shall not pay", "[{\"start\":106,\"end\":109}]", 100, "shall «not» pay\n");
    marked("Bu\xc3\xb1uel pays \xe2\x82\xac 5 now", "[{\"start\":12,\"end\":15}]", 0,
           "Bu\xc3\xb1uel pays «\xe2\x82\xac 5» now\n");
    marked("a\n  b\t c", "[{\"start\":4,\"end\":5}]", 0, "a «b» c\n");
    marked("x \x1b[31m red \xc2\x9b"
           "1m",
           "[]", 0, "x [31m red 1m\n");
    marked("all of it", "[{\"start\":0,\"end\":99}]", 0, "«all of it»\n");
}

static void test_characters_and_bytes_lead_to_each_other(void **state) {
    (void)state;
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xff\xf0\x9f\x98\x80z"; /* of 1 to 4 bytes, one invalid */
    static const size_t begins[] = {0, 1, 3, 6, 7, 11, 12};
    size_t len = sizeof text - 1;
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        assert_int_equal(utf8_offset(text, len, (int64_t)i), begins[i]);
        assert_int_equal(utf8_count(text, begins[i]), i);
    }
    assert_int_equal(utf8_offset(text, len, INT64_MAX), len);
    assert_int_equal(utf8_offset(text, len, INT64_MIN), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_that_are_no_route_touch_nothing),
        cmocka_unit_test(test_queries_are_decoded_strictly),
        cmocka_unit_test(test_numbers_of_queries_have_bounds),
        cmocka_unit_test(test_names_are_for_people),
        cmocka_unit_test(test_bodies_must_be_one_json_object),
        cmocka_unit_test(test_every_error_code_has_a_status),
        cmocka_unit_test(test_marks_are_characters_and_foreign_text_cannot_steer_the_terminal),
        cmocka_unit_test(test_characters_and_bytes_lead_to_each_other),
    };
    return cmocka_run_group_tests_name("api_routes", tests, NULL, NULL);
}
