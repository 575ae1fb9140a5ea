/* A question in a script that neither the model nor the set knows is told from every other one. No model, no files. */
#include "engine/analysis/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const char ENGLISH[] = "The Executive reports to the board. Written by Димитрий Орлов, see appendix α.";
static const char FRENCH[] = "Le salaire de base est de 50 000 euros. L’employé peut démissionner à tout moment.";
static const char CHINESE[] = "公司应当在三十日内支付全部费用。合同期限为两年。";
static const char RUSSIAN[] =
    "Срок действия лицензии составляет два года. Какой бы ни был повод, расходы несёт лицензиат.";

struct row {
    const char *documents, *question;
    bool known;
};

static void check(const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct ingest_document d = {.text = slice_of(rows[i].documents)}, empty = {.text = slice_of("")};
        struct corpus_document docs[] = {{.doc = &empty}, {.doc = &d}};
        struct corpus c = {.docs = docs, .n_docs = 2};
        if (words_known(&c, slice_of(rows[i].question), 0.25f) != rows[i].known)
            fail_msg("\"%s\" over \"%s\": expected %sknown", rows[i].question, rows[i].documents,
                     rows[i].known ? "" : "un");
        assert_true(words_known(&c, slice_of(rows[i].question), 0)); /* a model that reads all scripts */
    }
}

static void test_a_question_in_another_script_is_unknown(void **state) {
    (void)state;
    const struct row rows[] = {
        {ENGLISH, "公司的注册资本是多少？", false},
        {ENGLISH, "Каков срок испытания для нового сотрудника?", false},
        {ENGLISH, "Ποιος πληρώνει τους φόρους;", false},
        {ENGLISH, "من يدفع التأمين الصحي؟", false},
        {ENGLISH, "איזה חוק חל על ההסכם?", false},
        {ENGLISH, "계약은 언제 종료됩니까?", false},
        {ENGLISH, "許諾料はいくらですか。", false},
        {FRENCH, "公司的注册资本是多少？", false},
        {CHINESE, "Кто платит расходы?", false},
        {RUSSIAN, "公司的注册资本是多少？", false},
    };
    check(rows, sizeof rows / sizeof *rows);
}

static void test_the_documents_own_script_is_known(void **state) {
    (void)state;
    const struct row rows[] = {
        {CHINESE, "合同的期限是多久？", true},
        {RUSSIAN, "Какой срок действия у лицензии?", true},
        {FRENCH, "Quel est le salaire de base de l'employé ?", true},
        {ENGLISH, "Who is Димитрий Орлов?", true},
    };
    check(rows, sizeof rows / sizeof *rows);
}

/* Another word of the same meaning may stand in the set, and names and numbers are seldom in it. */
static void test_latin_words_are_known_even_where_the_set_has_none_of_them(void **state) {
    (void)state;
    const struct row rows[] = {
        {ENGLISH, "vacation?", true},
        {ENGLISH, "Zylox-7 B1250/99", true},
        {ENGLISH, "42", true},
        {ENGLISH, "Quel est le taux d'intérêt applicable ?", true},
        {CHINESE, "What is the term of the contract?", true},
        {ENGLISH, "¿Cuánto? …", true},
        {ENGLISH, "?", true},
        {"", "salary", true},
    };
    check(rows, sizeof rows / sizeof *rows);
}

/* A foreign name inside a question, or a Latin one inside a foreign question: the share decides. */
static void test_the_share_of_words_decides(void **state) {
    (void)state;
    const struct row rows[] = {
        {ENGLISH, "Does 北京 sign?", true},                      /* two of four */
        {ENGLISH, "Primus KK 支付多少？", true},                 /* two of six */
        {ENGLISH, "Primus 需要支付多少许可费？", false},         /* one of ten */
        {ENGLISH, "Кто такой Димитрий, сотрудник?", true},       /* one of four */
        {ENGLISH, "Кто такой этот Димитрий, сотрудник?", false}, /* one of five */
    };
    check(rows, sizeof rows / sizeof *rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_question_in_another_script_is_unknown),
        cmocka_unit_test(test_the_documents_own_script_is_known),
        cmocka_unit_test(test_latin_words_are_known_even_where_the_set_has_none_of_them),
        cmocka_unit_test(test_the_share_of_words_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
