/* Uploads as browsers and curl send them, whole and one byte at a time; broken ones are refused with a reason. */
#include "api/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seen {
    struct buf log; /* "[name|filename]" + bytes + "." */
};

static int on_begin(void *ctx, const char *name, const char *filename, struct error *e) {
    (void)e;
    buf_printf(&((struct seen *)ctx)->log, "[%s|%s]", name, filename != NULL ? filename : "-");
    return 0;
}

static int on_data(void *ctx, const char *bytes, size_t n, struct error *e) {
    (void)e;
    buf_append(&((struct seen *)ctx)->log, bytes, n);
    return 0;
}

static int on_end(void *ctx, struct error *e) {
    (void)e;
    buf_puts(&((struct seen *)ctx)->log, ".");
    return 0;
}

static int parse(const char *type, const char *body, size_t len, size_t step, char *out, size_t cap, struct error *e) {
    struct seen s = {0};
    struct multipart m;
    struct multipart_events ev = {on_begin, on_data, on_end, &s};
    int rc = multipart_open(&m, type, &ev, e);
    if (rc == 0) {
        for (size_t i = 0; rc == 0 && i < len; i += step)
            rc = multipart_feed(&m, body + i, len - i < step ? len - i : step, e);
        if (rc == 0) rc = multipart_close(&m, e);
        multipart_free(&m);
    }
    snprintf(out, cap, "%s", s.log.data != NULL ? s.log.data : "");
    buf_free(&s.log);
    return rc;
}

static const char type[] = "multipart/form-data; boundary=XyZ";

static void test_parts_come_out_the_same_in_pieces_of_any_size(void **state) {
    (void)state;
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: "
         "text/plain\r\n\r\nhello\r\n--XyZ--\r\n",
         "[file|a.txt]hello."},
        {"--XyZ\r\ncontent-disposition: form-data; name=\"x\"\r\n\r\n\r\n--XyZ\r\nContent-Disposition: form-data; "
         "filename=\"b\"; name=f\r\n\r\n"
         "1\r\n\r\n--Xy\r\r\n--XyQ\r\n--XyZ--",
         "[x|-].[f|b]1\r\n\r\n--Xy\r\r\n--XyQ."},
        {"preamble\r\n--XyZ  \r\nContent-Disposition: form-data; name=\"f\"; "
         "filename=\"q%22uo%0D%0Ate\\\".pdf\"\r\n\r\n\r\n\r\n--XyZ--epilogue --XyZ",
         "[f|q\"uo  te\".pdf]\r\n."},
        {"--XyZ--", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len = strlen(cases[i].body);
        for (size_t step = 1; step <= len; step++) {
            char out[512];
            struct error e = {0};
            assert_int_equal(parse(type, cases[i].body, len, step, out, sizeof out, &e), 0);
            assert_string_equal(out, cases[i].want);
        }
    }
}

static void test_broken_uploads_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *type, *body;
        int code;
    } cases[] = {
        {"multipart/form-data", "", ERR_ARG},
        {"multipart/form-data; boundary=", "", ERR_ARG},
        {"multipart/form-data; boundary=\"a", "", ERR_ARG},
        {"multipart/mixed; boundary=a", "", ERR_ARG},
        {NULL, "", ERR_ARG},
        {"multipart/form-data; boundary=0123456789012345678901234567890123456789012345678901234567890123456789x", "",
         ERR_ARG},
        {type, "--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\ncut", ERR_FORMAT},
        {type, "--XyZ\r\nContent-Type: text/plain\r\n\r\nno name\r\n--XyZ--", ERR_FORMAT},
        {type, "--XyZ\r\n\r\nno headers\r\n--XyZ--", ERR_FORMAT},
        {type, "--XyZabc\r\n", ERR_FORMAT},
        {type, "", ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[512];
        struct error e = {0};
        assert_int_equal(parse(cases[i].type, cases[i].body, strlen(cases[i].body), 3, out, sizeof out, &e),
                         cases[i].code);
        assert_true(e.message[0] != '\0');
    }
}

static void test_limits_of_headers_and_parts_hold(void **state) {
    (void)state;
    struct buf body = {0};
    char out[64];
    struct error e = {0};
    buf_puts(&body, "--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"");
    for (int i = 0; i < 9000; i++) buf_puts(&body, "a");
    buf_puts(&body, "\"\r\n\r\nx\r\n--XyZ--");
    assert_int_equal(parse(type, body.data, body.len, 100, out, sizeof out, &e), ERR_LIMIT);
    body.len = 0;
    for (int i = 0; i <= API_MAX_PARTS; i++)
        buf_puts(&body, "--XyZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nx\r\n");
    buf_puts(&body, "--XyZ--");
    assert_int_equal(parse(type, body.data, body.len, 1000, out, sizeof out, &e), ERR_LIMIT);
    buf_free(&body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_come_out_the_same_in_pieces_of_any_size),
        cmocka_unit_test(test_broken_uploads_are_refused),
        cmocka_unit_test(test_limits_of_headers_and_parts_hold),
    };
    return cmocka_run_group_tests_name("api_multipart", tests, NULL, NULL);
}
