/* Short answers: shown only where they stand in the quote, never without a negation. And the card's numbers. No model,
 * no store. */
#include "engine/analysis/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

struct row {
    const char *shown, *answer, *expected; /* NULL: not shown */
};

static void check(const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t start = 0, end = 0;
        bool ok = short_answer_find(slice_of(rows[i].shown), slice_of(rows[i].answer), &start, &end);
        char got[300] = "(the quote)";
        if (ok) {
            assert_true(start < end && end <= strlen(rows[i].shown) && end - start < sizeof got);
            memcpy(got, rows[i].shown + start, end - start);
            got[end - start] = 0;
        }
        const char *want = rows[i].expected ? rows[i].expected : "(the quote)";
        if (strcmp(got, want) != 0)
            print_error("\"%s\" in \"%s\": got \"%s\", want \"%s\"\n", rows[i].answer, rows[i].shown, got, want);
        assert_string_equal(got, want);
    }
}

static void test_an_answer_must_stand_in_the_quote(void **state) {
    (void)state;
    const struct row rows[] = {
        {"The Fee is USD 1,250 per month.", "USD 1,250", "USD 1,250"},
        {"The Fee is USD 1,250 per month.", "usd 1,250.", "USD 1,250"},
        {"The Fee is USD 1,250 per month.", "USD 1,25", NULL},
        {"The Fee is USD 1,250 per month.", "250", NULL},
        {"The Fee is 1.5 per cent.", "1", NULL},
        {"The Fee is USD 1,250 per month.", "USD 2,000", NULL},
        {"The Fee is USD 1,250 per month.", "", NULL},
        {"The Fee is USD 1,250 per month.", ".", NULL},
        {"The Term begins on  1 March\n2024 and runs for 3 years.", "1 March 2024", "1 March\n2024"},
        {"It is governed by the “laws of Malta” alone.", "Laws of Malta", "laws of Malta"},
        {"The party’s notice period is long.", "party's notice period", "party’s notice period"},
        {"The rate is 5–7 percent a year.", "5-7 percent", "5–7 percent"},
    };
    check(rows, sizeof rows / sizeof *rows);
}

static void test_figures_in_brackets_read_either_way(void **state) {
    (void)state;
    const struct row rows[] = {
        {"The Buyer pays within thirty (30) days of receipt of the invoice.", "30 days", "thirty (30) days"},
        {"The Buyer pays within thirty (30) days of receipt of the invoice.", "within thirty days",
         "within thirty (30) days"},
        {"The Buyer pays within thirty (30) days of receipt of the invoice.", "thirty (30) days", "thirty (30) days"},
        {"A fine of twenty-five thousand dollars ($25,000) may be imposed.", "$25,000", "$25,000"},
        {"The rate is twelve percent (12%) per year on the whole balance.", "12% per year",
         "twelve percent (12%) per year"},
    };
    check(rows, sizeof rows / sizeof *rows);
}

static void test_a_negation_is_never_dropped(void **state) {
    (void)state;
    const struct row rows[] = {
        {"The Supplier shall not be liable for loss of profit.", "be liable for loss of profit",
         "not be liable for loss of profit"},
        {"The Supplier shall not be liable for loss of profit.", "liable", "not be liable"},
        {"Under no circumstances may the Buyer assign this Agreement to an affiliate or to any other person "
         "whatsoever.",
         "may the Buyer assign", "no circumstances may the Buyer assign"},
        {"The Supplier accepts liability for nothing that happens there.", "The Supplier accepts liability", NULL},
        {"The Supplier doesn’t warrant fitness for use.", "warrant fitness", "doesn’t warrant fitness"},
        {"Payment is due no later than 30 days after receipt.", "30 days", "no later than 30 days"},
        {"The deposit of USD 400 is not refundable.", "USD 400", "USD 400"},
        {"The deposit is not refundable; the term is 3 years in every case.", "3 years", "3 years"},
        {"Neither party may, whether by operation of law or in any other way and without regard to the reason given, "
         "assign its rights.",
         "assign its rights", NULL},
    };
    check(rows, sizeof rows / sizeof *rows);
}

static void test_the_whole_quote_is_no_short_answer(void **state) {
    (void)state;
    const struct row rows[] = {{"The Fee is USD 5.", "The Fee is USD 5", NULL}};
    check(rows, 1);
}

static void test_the_card_is_checked(void **state) {
    (void)state;
    struct card c;
    struct error e = {0};
    assert_int_equal(card_parse(&c, "", PROMPT_CONTROL_TOKENS, 0, &e), 0);
    assert_int_equal(c.effective_window, 12000);
    assert_false(c.evidence_by_reading);
    assert_int_equal(
        card_parse(
            &c,
            "{\"effective_window\":262144,\"decide_window\":0,\"evidence_by\":\"reading\",\"search\":{\"bm25\":0.25}}",
            PROMPT_CONTROL_TOKENS, 0, &e),
        0);
    assert_int_equal(c.effective_window, 262144);
    assert_int_equal(c.search_window, 262144);
    assert_int_equal(c.decide_window, 0);
    assert_true(c.evidence_by_reading);
    assert_true(c.bm25_weight == 0.25f);
    assert_true(c.known_words == 0);
    assert_true(c.far.cosine < -1); /* without the card's word no statement is far */
    assert_int_equal(
        card_parse(&c, "{\"none_far\":{\"cosine\":0.5,\"lead\":0.25,\"threshold\":0}}", PROMPT_CONTROL_TOKENS, 0, &e),
        0);
    assert_true(c.far.cosine == 0.5f && c.far_lead == 0.25f && c.far.threshold == 0);
    assert_int_equal(card_parse(&c, "{\"none_far\":{\"threshold\":2}}", PROMPT_CONTROL_TOKENS, 0, &e), ERR_FORMAT);
    assert_int_equal(card_parse(&c, "{\"none_far\":{\"cosine\":\"low\"}}", PROMPT_CONTROL_TOKENS, 0, &e), ERR_FORMAT);
    assert_true(c.remote.cosine < -1 && c.value.cosine > 1 &&
                c.value_weight == 0); /* nor near, nor preferred for a value */
    assert_int_equal(card_parse(&c,
                                "{\"none_remote\":{\"cosine\":0.25,\"threshold\":0},\"none_value\":{\"cosine\":0.5,"
                                "\"threshold\":0.75},\"search\":{\"value\":0.25}}",
                                PROMPT_CONTROL_TOKENS, 0, &e),
                     0);
    assert_true(c.remote.cosine == 0.25f && c.remote.threshold == 0);
    assert_true(c.value.cosine == 0.5f && c.value.threshold == 0.75f && c.value_weight == 0.25f);
    assert_int_equal(card_parse(&c, "{\"none_value\":{\"threshold\":-1}}", PROMPT_CONTROL_TOKENS, 0, &e), ERR_FORMAT);
    assert_int_equal(card_parse(&c, "{\"effective_window\":\"many\"}", PROMPT_CONTROL_TOKENS, 0, &e), ERR_FORMAT);
    assert_int_equal(card_parse(&c, "{\"none_threshold\":7}", PROMPT_CONTROL_TOKENS, 0, &e), ERR_FORMAT);
    assert_int_equal(card_parse(&c, "{\"known_words\":25}", PROMPT_CONTROL_TOKENS, 0, &e), ERR_FORMAT);
    assert_int_equal(card_parse(&c, "{\"evidence_by\":\"guessing\"}", PROMPT_CONTROL_TOKENS, 0, &e), ERR_FORMAT);
    assert_int_equal(card_parse(&c, "{\"prompts\":\"chatml\"}", PROMPT_CONTROL_TOKENS, 0, &e), ERR_UNSUPPORTED);
    assert_int_equal(card_parse(&c, "[1", PROMPT_CONTROL_TOKENS, 0, &e), ERR_FORMAT);
    struct buf b = {0};
    assert_int_equal(file_read("engine/models/card.json", 1 << 20, &b, &e), 0);
    assert_int_equal(card_parse(&c, b.data, PROMPT_CONTROL_TOKENS, 0, &e), 0);
    buf_free(&b);
}

/* The place of a statement, as a person cites it: a heading without a number stands there once. */
static void test_a_section_is_named_once(void **state) {
    (void)state;
    static const char text[] = "Savings Notices";
    struct ingest_section sections[] = {
        {.parent = INGEST_NONE},
        {.heading = {0, 7}, .parent = 0, .level = 1, .path = SLICE_LITERAL("Savings")},
        {.heading = {8, 15}, .parent = 1, .level = 2, .path = SLICE_LITERAL("Savings > Notices")},
        {.heading = {8, 15}, .parent = 0, .level = 1, .number = SLICE_LITERAL("4.2"), .path = SLICE_LITERAL("4.2")},
        {.heading = {8, 8}, .parent = 3, .level = 2, .number = SLICE_LITERAL("(a)"), .path = SLICE_LITERAL("4.2(a)")}};
    static const char *const expected[] = {"", "Savings", "Savings > Notices", "4.2 Notices", "4.2(a)"};
    struct ingest_statement statements[5];
    memset(statements, 0, sizeof statements);
    for (uint32_t i = 0; i < 5; i++) statements[i].section = i;
    struct ingest_document d = {.text = slice_of(text), .sections = sections, .n_sections = 5};
    d.statements = statements, d.n_statements = 5;
    struct arena a = {0};
    for (uint32_t i = 0; i < 5; i++) assert_true(slice_equal(statement_section(&d, i, &a), slice_of(expected[i])));
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_must_stand_in_the_quote),
        cmocka_unit_test(test_figures_in_brackets_read_either_way),
        cmocka_unit_test(test_a_negation_is_never_dropped),
        cmocka_unit_test(test_the_whole_quote_is_no_short_answer),
        cmocka_unit_test(test_the_card_is_checked),
        cmocka_unit_test(test_a_section_is_named_once),
    };
    return cmocka_run_group_tests_name("short_answer", tests, NULL, NULL);
}
