/* test_facts_modality.c: who must, may, must not do what: one sentence, the facts it must give. */
#include "tests/unit/facts_render.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

struct facts_case {
    const char *text, *facts; /* facts as render_fact writes them */
};

static const struct facts_case sentences[] = {
    {"The Supplier shall deliver the goods.", "MODAL obligation | Supplier -> deliver the goods\n"},
    {"The Supplier shall not subcontract the work.", "MODAL prohibition NEG | Supplier -> subcontract the work\n"},
    {"The Buyer may terminate this Agreement.", "MODAL permission | Buyer -> terminate this Agreement\n"},
    {"The Buyer may not assign its rights.", "MODAL prohibition NEG | Buyer -> assign its rights\n"},
    {"The Tenant must keep the premises clean.", "MODAL obligation | Tenant -> keep the premises clean\n"},
    {"The Tenant must not sublet the premises.", "MODAL prohibition NEG | Tenant -> sublet the premises\n"},
    {"Employees cannot carry over unused leave.", "MODAL prohibition NEG | Employees -> carry over unused leave\n"},
    {"The Contractor will indemnify the Owner.", "MODAL obligation | Contractor -> indemnify the Owner\n"},
    {"The Licensee is entitled to one backup copy.", "MODAL permission | Licensee -> one backup copy\n"},
    {"The Licensee is entitled to make one backup copy.", "MODAL permission | Licensee -> make one backup copy\n"},
    {"The Licensee is not entitled to sublicense the Software.",
     "MODAL prohibition NEG | Licensee -> sublicense the Software\n"},
    {"The Borrower is required to maintain insurance.", "MODAL obligation | Borrower -> maintain insurance\n"},
    {"The Borrower is not required to maintain insurance.",
     "MODAL no_obligation NEG | Borrower -> maintain insurance\n"},
    {"The Seller need not deliver the documents.", "MODAL no_obligation NEG | Seller -> deliver the documents\n"},
    {"The Seller has no obligation to repurchase the goods.",
     "MODAL no_obligation NEG | Seller -> repurchase the goods\n"},
    {"The Bank shall have no obligation to lend.", "MODAL no_obligation NEG | Bank -> lend\n"},
    {"The Bank shall not be required to lend.", "MODAL no_obligation NEG | Bank -> lend\n"},
    {"No employee may disclose confidential information.",
     "MODAL prohibition NEG | No employee -> disclose confidential information\n"},
    {"Neither party shall assign this Agreement.", "MODAL prohibition NEG | Neither party -> assign this Agreement\n"},
    {"Smoking is prohibited in the warehouse.", "MODAL prohibition | Smoking -> in the warehouse\n"},
    {"Visitors are not permitted to enter the laboratory.",
     "MODAL prohibition NEG | Visitors -> enter the laboratory\n"},
    {"The Agent is prohibited from acting for a competitor.", "MODAL prohibition | Agent -> acting for a competitor\n"},
    {"The Company reserves the right to change the fees.", "MODAL permission | Company -> change the fees\n"},
    {"The Consultant agrees to devote full time to the project.",
     "MODAL obligation | Consultant -> devote full time to the project\n"},
    {"The Executive agrees not to compete with the Company.",
     "MODAL prohibition NEG | Executive -> compete with the Company\n"},
    {"\"Affiliate\" shall mean any entity under common control.",
     "MODAL declaration | Affiliate -> entity under common control\n"},
    {"A notice shall be deemed received on the third day.",
     "MODAL declaration | notice -> received on the third day\n"},
    {"In no event shall the Supplier be liable for lost profits.",
     "MODAL prohibition NEG | Supplier -> be liable for lost profits\n"},
    {"Under no circumstances may the valve be opened.", "MODAL prohibition NEG | valve -> be opened\n"},
    {"The Supplier shall in no event disclose the formula.",
     "MODAL prohibition NEG | Supplier -> disclose the formula\n"},
    {"The Supplier shall deliver the goods and shall insure them.", "MODAL obligation | Supplier -> deliver the goods\n"
                                                                    "MODAL obligation | Supplier -> insure them\n"},
    {"The Supplier shall deliver the goods, and the Buyer shall pay for them.",
     "MODAL obligation | Supplier -> deliver the goods\n"
     "MODAL obligation | Buyer -> pay for them\n"},
    {"If the Buyer is late, the Supplier may suspend delivery.",
     "MODAL permission COND | Supplier -> suspend delivery\n"},
    {"Unless otherwise agreed, the Buyer shall bear the costs.", "MODAL obligation COND | Buyer -> bear the costs\n"},
    {"The Buyer shall pay the fee, provided that the goods are accepted.",
     "MODAL obligation COND | Buyer -> pay the fee, provided that the goods are accepted\n"},
    {"Do not open the valve.", "MODAL prohibition NEG -> open the valve\n"},
    {"Never use pure water.", "MODAL prohibition NEG -> use pure water\n"},
    {"Always wear gloves.", "MODAL obligation -> wear gloves\n"},
    {"Tighten the bolts to 25 Nm.", "MODAL obligation -> Tighten the bolts to 25 Nm\n"},
    {"The meeting took place in May 2020.", ""},
    {"His last will was read.", ""},
    {"The can was empty.", ""},
    {"Damages that may arise are excluded.", ""},
    {"The Seller alleges that the Buyer must pay the costs.", "MODAL obligation ATTR | Buyer -> pay the costs\n"},
    {"According to the Buyer, the Supplier must pay the costs.", "MODAL obligation ATTR | Supplier -> pay the costs\n"},
    {"Backup copies are mandatory.", "MODAL obligation | Backup copies\n"},
    {"Use of the gym is optional.", "MODAL no_obligation | Use of the gym\n"},
    {"The Lessee shall be entitled to a refund.", "MODAL permission | Lessee -> refund\n"},
    {"The Lessee shall not be entitled to a refund.", "MODAL prohibition NEG | Lessee -> refund\n"},
    {"The Lessee does not have to return the keys.", "MODAL no_obligation NEG | Lessee -> return the keys\n"},
    {"You should back up your data.", "MODAL obligation | You -> back up your data\n"},
    {"Subject to Section 5, the Agent may appoint sub-agents.",
     "MODAL permission COND | Agent -> appoint sub-agents\n"},
    {"The Landlord shall, at its own cost, repair the roof.",
     "MODAL obligation | Landlord -> at its own cost, repair the roof\n"},
    {"Each party shall keep the terms confidential and shall not disclose them to third parties.",
     "MODAL obligation | party -> keep the terms confidential\n"
     "MODAL prohibition NEG | party -> disclose them to third parties\n"},
    {"The Company is responsible for the maintenance of the lift.",
     "MODAL obligation | Company -> maintenance of the lift\n"},
    {"Overtime is not allowed.", "MODAL prohibition NEG | Overtime\n"},
    {"The Supplier shall promptly notify the Buyer.", "MODAL obligation | Supplier -> promptly notify the Buyer\n"},
    {"Members may only use the hall on weekdays.", "MODAL permission | Members -> only use the hall on weekdays\n"},
    {"Overtime does not require approval.", "MODAL no_obligation NEG | Overtime -> approval\n"},
    {"Travel requires written approval.", "MODAL obligation | Travel -> written approval\n"},
};
static const struct facts_case lists[] = {
    {"The Supplier shall:\n(a) deliver the goods;\n(b) not disclose the terms; and\n(c) keep records.",
     "MODAL obligation | Supplier\n"
     "MODAL obligation | Supplier -> deliver the goods\n"
     "MODAL prohibition NEG | Supplier -> disclose the terms\n"
     "MODAL obligation | Supplier -> keep records\n"},
    {"The Supplier shall not:\n(a) disclose the terms;\n(b) subcontract the work,\nunless the Buyer agrees.",
     "MODAL prohibition NEG | Supplier\n"
     "MODAL prohibition NEG COND | Supplier -> disclose the terms\n"
     "MODAL prohibition NEG COND | Supplier -> subcontract the work,/unless the Buyer agrees\n"},
    {"The Buyer may:\n- return the goods;\n- ask for a refund.", "MODAL permission | Buyer\n"
                                                                 "MODAL permission | Buyer -> return the goods\n"
                                                                 "MODAL permission | Buyer -> ask for a refund\n"},
    {"The lease ends if:\n(a) the Tenant fails to pay; or\n(b) the premises burn down.", ""},
};

static void check(const struct facts_case *cases, size_t n, uint32_t mask) {
    size_t failed = 0;
    for (size_t i = 0; i < n; i++) failed += rendered_wrong(cases[i].text, cases[i].text, cases[i].facts, mask);
    assert_int_equal(failed, 0);
}

static void test_modal_phrases_actor_and_action(void **state) {
    (void)state;
    check(sentences, sizeof sentences / sizeof *sentences, 1u << INGEST_MODALITY);
}
static void test_items_take_the_modal_of_their_lead_in(void **state) {
    (void)state;
    check(lists, sizeof lists / sizeof *lists, 1u << INGEST_MODALITY);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modal_phrases_actor_and_action),
        cmocka_unit_test(test_items_take_the_modal_of_their_lead_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
