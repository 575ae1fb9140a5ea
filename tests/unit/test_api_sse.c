/* Event streams: what is written is read back, in pieces of any size; a slow reader costs progress events, never the
 * result. */
#include "api/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static bool collect(void *ctx, const char *name, struct slice data) {
    buf_printf(ctx, "<%s:%.*s>", name, (int)data.len, data.data);
    return true;
}

static void test_events_are_read_back_in_pieces_of_any_size(void **state) {
    (void)state;
    struct buf wire = {0};
    sse_format(&wire, 1, "stage", SLICE_LITERAL("{\"a\":1}"));
    buf_puts(&wire, ": ping\n\n");
    sse_format(&wire, 2, "done", SLICE_LITERAL("{\n  \"b\": 2\n}"));
    buf_puts(&wire, "data: crlf\r\n\r\nevent: empty\n\ndata:no space\rdata: two\r\r");
    for (size_t step = 1; step <= wire.len; step++) {
        struct sse_reader r = {0};
        struct buf seen = {0};
        for (size_t i = 0; i < wire.len; i += step)
            assert_true(sse_reader_feed(&r, wire.data + i, wire.len - i < step ? wire.len - i : step, collect, &seen));
        assert_string_equal(seen.data, "<stage:{\"a\":1}><done:{\n  \"b\": 2\n}><message:crlf><message:no space\ntwo>");
        sse_reader_free(&r);
        buf_free(&seen);
    }
    buf_free(&wire);
}

static void test_line_ends_in_data_cannot_make_another_event(void **state) {
    (void)state;
    struct buf wire = {0}, seen = {0};
    struct sse_reader r = {0};
    sse_format(&wire, 1, "answer", SLICE_LITERAL("x\n\nevent: done\rdata: forged"));
    assert_true(sse_reader_feed(&r, wire.data, wire.len, collect, &seen));
    assert_string_equal(seen.data, "<answer:x\n\nevent: done\ndata: forged>");
    sse_reader_free(&r);
    buf_free(&wire);
    buf_free(&seen);
}

static void test_a_slow_reader_loses_progress_but_not_the_result(void **state) {
    (void)state;
    struct sse_stream *s = sse_stream_new();
    char big[1000];
    memset(big, 'p', sizeof big);
    for (int i = 0; i < 1000; i++) assert_true(sse_stream_put(s, "stage", (struct slice){big, sizeof big}));
    assert_true(sse_stream_put(s, "done", SLICE_LITERAL("result")));
    sse_stream_end(s);
    struct buf all = {0};
    char block[777];
    for (long n; (n = sse_stream_read(s, block, sizeof block, 1)) >= 0;) buf_append(&all, block, (size_t)n);
    assert_true(all.len < 100000); /* 1000 x 1000 bytes were not kept */
    assert_non_null(strstr(all.data, "event: done\ndata: result\n\n"));
    buf_free(&all);
    sse_stream_drop(s);
    sse_stream_drop(s);
}

static void test_a_reader_that_never_reads_is_given_up(void **state) {
    (void)state;
    struct sse_stream *s = sse_stream_new();
    size_t n = 1u << 20;
    char *big = calloc(1, n);
    memset(big, 'x', n);
    bool ok = true;
    for (int i = 0; ok && i < 40; i++) ok = sse_stream_put(s, "finding", (struct slice){big, n});
    assert_false(ok);
    assert_true(sse_stream_abandoned(s));
    free(big);
    sse_stream_drop(s);
    sse_stream_drop(s);
}

static void test_nothing_to_say_gives_a_ping(void **state) {
    (void)state;
    struct sse_stream *s = sse_stream_new();
    char block[16];
    assert_int_equal(sse_stream_read(s, block, sizeof block, 0.01), 0);
    sse_stream_abandon(s);
    assert_int_equal(sse_stream_read(s, block, sizeof block, 1), -1);
    assert_false(sse_stream_put(s, "stage", SLICE_LITERAL("{}")));
    sse_stream_drop(s);
    sse_stream_drop(s);
}

static void *writer(void *ctx) {
    for (int i = 0; i < 2000; i++) sse_stream_put(ctx, "citation", SLICE_LITERAL("{\"n\":1}"));
    sse_stream_end(ctx);
    sse_stream_drop(ctx);
    return NULL;
}

static bool count(void *ctx, const char *name, struct slice data) {
    (void)name;
    (void)data;
    ++*(int *)ctx;
    return true;
}

static void test_two_threads_hand_over_every_event(void **state) {
    (void)state;
    struct sse_stream *s = sse_stream_new();
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, writer, s), 0);
    struct sse_reader r = {0};
    int n_events = 0;
    char block[100];
    for (long n; (n = sse_stream_read(s, block, sizeof block, 5)) >= 0;)
        assert_true(sse_reader_feed(&r, block, (size_t)n, count, &n_events));
    assert_int_equal(n_events, 2000);
    pthread_join(t, NULL);
    sse_reader_free(&r);
    sse_stream_drop(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_are_read_back_in_pieces_of_any_size),
        cmocka_unit_test(test_line_ends_in_data_cannot_make_another_event),
        cmocka_unit_test(test_a_slow_reader_loses_progress_but_not_the_result),
        cmocka_unit_test(test_a_reader_that_never_reads_is_given_up),
        cmocka_unit_test(test_nothing_to_say_gives_a_ping),
        cmocka_unit_test(test_two_threads_hand_over_every_event),
    };
    return cmocka_run_group_tests_name("api_sse", tests, NULL, NULL);
}
