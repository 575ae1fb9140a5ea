/* test_facts_terms.c: defined terms, parties and cross-references: one sentence, the facts it must give. */
#include "tests/unit/facts_render.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

struct facts_case {
    const char *text, *facts; /* facts as render_fact writes them */
};

static const struct facts_case sentences[] = {
    {"\"Business Day\" means a day on which banks are open in London.",
     "TERM | Business Day -> a day on which banks are open in London\n"},
    {"“Default Rate” shall mean a rate per annum equal to one and one-half percent (1.50%) over the Applicable Rate.",
     "TERM | Default Rate -> a rate per annum equal to one and one-half percent (1.50%) over the Applicable Rate\n"},
    {"The term \"Affiliate\" has the meaning given in Section 1.2.", "TERM | Affiliate -> given in Section 1.2\n"
                                                                     "REF | Section 1.2\n"},
    {"Halden Works AS (the \"Supplier\") and Borg Ltd (the \"Buyer\") agree.", "PARTY | Halden Works AS -> Supplier\n"
                                                                               "TERM | Supplier -> Halden Works AS\n"
                                                                               "PARTY | Borg Ltd -> Buyer\n"
                                                                               "TERM | Buyer -> Borg Ltd\n"},
    {"The parties sign a non-disclosure agreement (hereinafter the \"NDA\").",
     "TERM | NDA -> parties sign a non-disclosure agreement\n"},
    {"The Lenders and the Agent (collectively, the \"Finance Parties\") meet.",
     "TERM | Finance Parties -> Lenders and the Agent\n"},
    {"Residual value means the value of the leased property at the end of the lease term.",
     "TERM | Residual value -> the value of the leased property at the end of the lease term\n"},
    {"\"Goods\" or \"Products\" means the goods listed in Schedule 1.",
     "TERM | Goods -> the goods listed in Schedule 1\n"
     "TERM | Products -> the goods listed in Schedule 1\n"
     "REF | Schedule 1\n"},
    {"He said \"hello\" to the Buyer.", ""},
    {"It means that the fee is due.", ""},
    {"This Agreement is made between Acme Widgets, Inc., a Delaware corporation (the \"Supplier\"), and Borg Holdings "
     "Ltd, a company incorporated in England (the \"Buyer\").",
     "PARTY | Acme Widgets, Inc. -> Supplier\n"
     "TERM | Supplier -> Acme Widgets, Inc.\n"
     "PARTY | Borg Holdings Ltd -> Buyer\n"
     "TERM | Buyer -> Borg Holdings Ltd\n"},
    {"This Lease is entered into by and between Jane Q. Doe (\"Landlord\") and Oak Street Partners LLC (\"Tenant\").",
     "PARTY | Jane Q. Doe -> Landlord\n"
     "TERM | Landlord -> Jane Q. Doe\n"
     "PARTY | Oak Street Partners LLC -> Tenant\n"
     "TERM | Tenant -> Oak Street Partners LLC\n"},
    {"THIS AGREEMENT (the \"Agreement\") is dated 3 May 2020 among Alpha Bank plc (the \"Lender\"), Beta GmbH (the "
     "\"Borrower\") and Carl Gamma (the \"Guarantor\").",
     "TERM | Agreement -> THIS AGREEMENT\n"
     "PARTY | Alpha Bank plc -> Lender\n"
     "TERM | Lender -> Alpha Bank plc\n"
     "PARTY | Beta GmbH -> Borrower\n"
     "TERM | Borrower -> Beta GmbH\n"
     "PARTY | Carl Gamma -> Guarantor\n"
     "TERM | Guarantor -> Carl Gamma\n"},
    {"Supplier: Acme Tools GmbH", ""},
    {"The price difference between the models is small.", ""},
    {"As set out in Section 4.2(a)(ii) of the Credit Agreement, the fee is due.",
     "REF | Section 4.2(a)(ii) -> of the Credit Agreement\n"},
    {"Sections 4.2, 4.3 and 4.4 survive.", "REF | Sections 4.2\n"
                                           "REF | 4.3\n"
                                           "REF | 4.4\n"},
    {"The form in Exhibit B and Schedule 2 applies.", "REF | Exhibit B\n"
                                                      "REF | Schedule 2\n"},
    {"Under clause 7(a) hereof and § 1013.4 the lessor pays.", "REF | clause 7(a) -> hereof\n"
                                                               "REF | § 1013.4\n"},
    {"Article IV applies to Annex A.", "REF | Article IV\n"
                                       "REF | Annex A\n"},
    {"Subject to paragraphs (a) and (b) of this section, the fee is due.",
     "REF COND | paragraphs (a) -> of this section\n"
     "REF COND | (b) -> of this section\n"},
    {"Sections 3 through 6 apply for 30 days.", "REF | Sections 3\n"
                                                "REF | 6\n"},
    {"Part of the fee and article of clothing are prose.", ""},
    {"This section applies to every schedule.", ""},
    {"See Section 9.03 and Appendix C-1.", "REF | Section 9.03\n"
                                           "REF | Appendix C-1\n"},
};

static void check(const struct facts_case *cases, size_t n, uint32_t mask) {
    size_t failed = 0;
    for (size_t i = 0; i < n; i++) failed += rendered_wrong(cases[i].text, cases[i].text, cases[i].facts, mask);
    assert_int_equal(failed, 0);
}

static void test_terms_parties_and_references(void **state) {
    (void)state;
    check(sentences, sizeof sentences / sizeof *sentences,
          1u << INGEST_TERM | 1u << INGEST_REFERENCE | 1u << INGEST_PARTY);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_terms_parties_and_references)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
