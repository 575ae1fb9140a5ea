/* Which kind of value a question asks for, and whether a statement states one. No model, no files. */
#include "engine/analysis/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum {
    AMOUNT = 1 << INGEST_AMOUNT,
    RATE = 1 << INGEST_PERCENTAGE,
    NUMBER = 1 << INGEST_NUMBER,
    DATE = 1 << INGEST_DATE
};
enum { PERIOD = 1 << INGEST_PERIOD, TOTAL = 1 << INGEST_TOTAL, SUM = AMOUNT | RATE | NUMBER | TOTAL };

struct row {
    const char *question;
    unsigned kinds;
};

static void check(const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned kinds = asked_values(slice_of(rows[i].question));
        if (kinds != rows[i].kinds) fail_msg("\"%s\": %#x, expected %#x", rows[i].question, kinds, rows[i].kinds);
    }
}

static void test_a_question_for_a_value_says_so_by_its_words(void **state) {
    (void)state;
    const struct row rows[] = {
        {"How long may the tenant stay?", PERIOD},
        {"Within how many days is a complaint answered?", PERIOD},
        {"HOW MANY calendar months does the warranty run?", PERIOD},
        {"For how much time is the room kept?", PERIOD},
        {"How many keys are handed over?", NUMBER | TOTAL},
        {"How far is the depot?", SUM},
        {"How old must a signer be?", NUMBER | TOTAL | PERIOD},
        {"How much is the deposit?", SUM},
        {"What deposit is due?", SUM},
        {"What penalty applies to late rent?", SUM},
        {"What does a second key cost?", SUM},
        {"What must the tenant pay for the garage?", SUM},
        {"At what age may a child sign?", NUMBER | TOTAL | PERIOD},
        {"And what's the yearly rent for the garage?", SUM},
        {"What percentage of the rent is kept?", RATE},
        {"Which share of the costs does the owner bear?", RATE},
        {"When does the lease end?", DATE | PERIOD},
        {"By when must the flat be empty?", DATE | PERIOD},
        {"The keys are lost. When is the lock changed?", DATE | PERIOD},
        {"On which day is the rent due?", DATE | PERIOD},
        {"What is the notice period?", PERIOD},
    };
    check(rows, sizeof rows / sizeof *rows);
}

static void test_other_questions_ask_for_none(void **state) {
    (void)state;
    const struct row rows[] = {
        {"", 0},
        {"?", 0},
        {"how", 0},
        {"What", 0},
        {"Who pays the deposit?", 0},
        {"May the tenant keep a dog when the owner objects?", 0},
        {"How is the deposit paid back?", 0},
        {"What happens to the rent when the roof leaks?", 0},
        {"What does the owner have to repair?", 0},
        {"Under which register number is the flat entered?", 0},
        {"Which law applies?", 0},
        {"Combien coûte le dépôt ?", 0},
        {"Wie lange läuft der Vertrag?", 0},
        {"an averyveryverylongwordthatstandsinnolist", 0},
    };
    check(rows, sizeof rows / sizeof *rows);
}

static void test_a_statement_states_the_kinds_of_its_own_facts(void **state) {
    (void)state;
    struct ingest_fact facts[] = {
        {.kind = INGEST_PERIOD, .statement = 1},
        {.kind = INGEST_MODALITY, .statement = 2},
        {.kind = INGEST_AMOUNT, .statement = 2},
        {.kind = INGEST_DATE, .statement = 5},
    };
    const struct ingest_document d = {.facts = facts, .n_facts = 4}, empty = {0};
    assert_true(states_value(&d, 1, PERIOD));
    assert_true(states_value(&d, 2, AMOUNT | DATE));
    assert_true(states_value(&d, 5, DATE));
    assert_false(states_value(&d, 2, PERIOD | DATE));
    assert_false(states_value(&d, 0, ~0u));
    assert_false(states_value(&d, 3, ~0u));
    assert_false(states_value(&d, 6, ~0u));
    assert_false(states_value(&d, 2, 0));
    assert_false(states_value(&empty, 0, ~0u));
}

/* The neighbouring year's figure is the nearest miss there is. */
static void test_every_figure_of_the_question_must_stand_in_the_statement(void **state) {
    (void)state;
    static const char text[] = "Under section 4.2 the rent rose to 1,250 euros in 2018 and 2019.";
    const struct {
        const char *question;
        bool stand;
    } rows[] = {
        {"How much was the rent in 2019?", true},
        {"How much was the rent in 2020?", false},
        {"How much was the rent?", true},
        {"What does 4.2 say about the 1,250?", true},
        {"What does 4 say?", false},
        {"How much in 201?", false},
        {"What of 2018, 2019.", true},
        {"What of 2018 and 2017?", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (states_figures(slice_of(text), slice_of(rows[i].question)) != rows[i].stand)
            fail_msg("\"%s\"", rows[i].question);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_question_for_a_value_says_so_by_its_words),
        cmocka_unit_test(test_other_questions_ask_for_none),
        cmocka_unit_test(test_a_statement_states_the_kinds_of_its_own_facts),
        cmocka_unit_test(test_every_figure_of_the_question_must_stand_in_the_statement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
