/* test_statements.c: where sentences, list items, table rows and headings begin and end, and what introduces them. */
#include "tests/unit/facts_render.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

struct document_case {
    const char *name, *text, *result;
};

static const struct document_case documents[] = {
    {"lists",
     "The Supplier shall not:\n"
     "(a) disclose the terms;\n"
     "(b) subcontract the work; or\n"
     "(c) assign this Agreement,\n"
     "unless the Buyer agrees in writing.\n"
     "The Buyer pays.\n",
     "SENT The Supplier shall not:\n"
     "ITEM <The Supplier shall not:> (a) disclose the terms;\n"
     "ITEM <The Supplier shall not:> (b) subcontract the work; or\n"
     "ITEM <The Supplier shall not:> (c) assign this Agreement,/unless the Buyer agrees in writing.\n"
     "SENT The Buyer pays.\n"},
    {"bullets",
     "You must not:\n"
     "- share your password;\n"
     "- run bots, except those we list.\n"
     "You may leave.\n",
     "SENT You must not:\n"
     "ITEM <You must not:> - share your password;\n"
     "ITEM <You must not:> - run bots, except those we list.\n"
     "SENT You may leave.\n"},
    {"abbrev",
     "Acme Inc. shall deliver the goods to Borg Ltd. and its agents. The Buyer pays approx. 5 % of the costs, i.e. "
     "very little. See Section 4.2. Mr. J. P. Smith signed for Acme Inc. The Agreement is valid. He came at 5 p.m. The "
     "shop was closed. Is it true? Yes! The form is Exhibit B. The U.S. Government may inspect. The price is 4.25 "
     "dollars. \"This is final.\" Done (see No. 7 of Art. 5. in full). End.\n",
     "SENT Acme Inc. shall deliver the goods to Borg Ltd. and its agents.\n"
     "SENT The Buyer pays approx. 5 % of the costs, i.e. very little.\n"
     "SENT See Section 4.2.\n"
     "SENT Mr. J. P. Smith signed for Acme Inc.\n"
     "SENT The Agreement is valid.\n"
     "SENT He came at 5 p.m.\n"
     "SENT The shop was closed.\n"
     "SENT Is it true?\n"
     "SENT Yes!\n"
     "SENT The form is Exhibit B.\n"
     "SENT The U.S. Government may inspect.\n"
     "SENT The price is 4.25 dollars.\n"
     "SENT \"This is final.\"\n"
     "SENT Done (see No. 7 of Art. 5. in full).\n"
     "SENT End.\n"},
    {"inline",
     "The Borrower shall, for so long as any amount is outstanding under this Agreement or any Commitment remains in "
     "effect, and at its own cost and expense in each case, do the following: (a) deliver to the Agent within 120 days "
     "after the end of each fiscal year a copy of its audited consolidated balance sheet; (b) maintain insurance with "
     "responsible and reputable insurance companies in such amounts as is usual; and (c) permit the Agent to visit its "
     "properties and to inspect its books and records at all reasonable times.\n",
     "SENT The Borrower shall, for so long as any amount is outstanding under this Agreement or any Commitment remains "
     "in effect, and at its own cost and expense in each case, do the following:\n"
     "ITEM <The Borrower shall, for so long as any amount is outstanding under this Agreement or any Commitment "
     "remains in effect, and at its own cost and expense in each case, do the following:> (a) deliver to the Agent "
     "within 120 days after the end of each fiscal year a copy of its audited consolidated balance sheet;\n"
     "ITEM <The Borrower shall, for so long as any amount is outstanding under this Agreement or any Commitment "
     "remains in effect, and at its own cost and expense in each case, do the following:> (b) maintain insurance with "
     "responsible and reputable insurance companies in such amounts as is usual; and\n"
     "ITEM <The Borrower shall, for so long as any amount is outstanding under this Agreement or any Commitment "
     "remains in effect, and at its own cost and expense in each case, do the following:> (c) permit the Agent to "
     "visit its properties and to inspect its books and records at all reasonable times.\n"},
    {"inline_kept",
     "The Borrower shall, for so long as any amount is outstanding under this Agreement or any Commitment remains in "
     "effect, and at its own cost and expense in each case, do the following: (a) deliver to the Agent within 120 days "
     "after the end of each fiscal year a copy of its audited consolidated balance sheet; (b) maintain insurance with "
     "responsible and reputable insurance companies in such amounts as is usual; and (c) permit the Agent to visit its "
     "properties and to inspect its books, except that no visit is allowed at night.\n",
     "SENT The Borrower shall, for so long as any amount is outstanding under this Agreement or any Commitment remains "
     "in effect, and at its own cost and expense in each case, do the following: (a) deliver to the Agent within 120 "
     "days after the end of each fiscal year a copy of its audited consolidated balance sheet; (b) maintain insurance "
     "with responsible and reputable insurance companies in such amounts as is usual; and (c) permit the Agent to "
     "visit its properties and to inspect its books, except that no visit is allowed at night.\n"},
    {"inline_short", "The Supplier shall (a) deliver the goods, (b) insure them and (c) replace defective ones.\n",
     "SENT The Supplier shall (a) deliver the goods, (b) insure them and (c) replace defective ones.\n"},
    {"nested",
     "The Tenant may not, without consent:\n"
     "(a) sublet the premises;\n"
     "(b) keep:\n"
     "(i) dogs;\n"
     "(ii) snakes.\n",
     "SENT The Tenant may not, without consent:\n"
     "ITEM <The Tenant may not, without consent:> (a) sublet the premises;\n"
     "ITEM <The Tenant may not, without consent:> (b) keep:\n"
     "ITEM <The Tenant may not, without consent:/(a) sublet the premises;/(b) keep:> (i) dogs;\n"
     "ITEM <The Tenant may not, without consent:/(a) sublet the premises;/(b) keep:> (ii) snakes.\n"},
    {"continued",
     "The fee is due on November 13,\n"
     "2007. It is not refunded\n"
     "except where the event is cancelled. The rest follows.\n",
     "SENT The fee is due on November 13,/2007. It is not refunded/except where the event is cancelled.\n"
     "SENT The rest follows.\n"},
    {"contract",
     "The parties agree as follows:\n"
     "1. Definitions. \"Goods\" means goods.\n"
     "2. Term. It lasts a year.\n",
     "SENT The parties agree as follows:\n"
     "HEAD 1. Definitions.\n"
     "SENT \"Goods\" means goods.\n"
     "HEAD 2. Term.\n"
     "SENT It lasts a year.\n"},
    {"table",
     "Prices are in EUR.\n"
     "Item | Price | Quantity\n"
     "Pump | 18,900 | 4\n"
     "Seal | 12.50 | 100\n"
     "Delivery is free.\n",
     "SENT Prices are in EUR.\n"
     "ROW Item | Price | Quantity\n"
     "ROW <Item | Price | Quantity> Pump | 18,900 | 4\n"
     "ROW <Item | Price | Quantity> Seal | 12.50 | 100\n"
     "SENT Delivery is free.\n"},
    {"broken",
     "(2)\n"
     "Perimeter fences: The parties raise the price.\n"
     "(3)\n"
     "The parties amend the contract.\n",
     "SENT (2)/Perimeter fences: The parties raise the price.\n"
     "SENT (3)/The parties amend the contract.\n"},
    {"articles",
     "CREDIT AGREEMENT\n"
     "ARTICLE I\n"
     "DEFINITIONS\n"
     "Section 1.01 Defined Terms. As used herein, the following terms have the meanings below.\n"
     "Section 1.02 Accounting Terms. All terms are construed under GAAP.\n"
     "ARTICLE II – THE LOANS\n"
     "Section 2.01 Commitments. Subject to the terms hereof, each Lender agrees to lend:\n"
     "(a) on the Closing Date, $5,000,000; and\n"
     "(b) thereafter, up to $1,000,000, of which:\n"
     "(i) half is for equipment; and\n"
     "(ii) half is for land.\n"
     "Section 2.02 Fees. The fee is 1%.\n"
     "EXHIBIT A\n"
     "FORM OF NOTE\n"
     "1. The Maker promises to pay $5,000.\n"
     "2. Interest accrues at 5%.\n"
     "Schedule 2\n"
     "3. Commitments\n",
     "HEAD CREDIT AGREEMENT\n"
     "HEAD ARTICLE I\n"
     "HEAD DEFINITIONS\n"
     "HEAD Section 1.01 Defined Terms.\n"
     "SENT As used herein, the following terms have the meanings below.\n"
     "HEAD Section 1.02 Accounting Terms.\n"
     "SENT All terms are construed under GAAP.\n"
     "HEAD ARTICLE II – THE LOANS\n"
     "HEAD Section 2.01 Commitments.\n"
     "SENT Subject to the terms hereof, each Lender agrees to lend:\n"
     "ITEM <Subject to the terms hereof, each Lender agrees to lend:> (a) on the Closing Date, $5,000,000; and\n"
     "ITEM <Subject to the terms hereof, each Lender agrees to lend:> (b) thereafter, up to $1,000,000, of which:\n"
     "ITEM <Subject to the terms hereof, each Lender agrees to lend:/(a) on the Closing Date, $5,000,000; and/(b) "
     "thereafter, up to $1,000,000, of which:> (i) half is for equipment; and\n"
     "ITEM <Subject to the terms hereof, each Lender agrees to lend:/(a) on the Closing Date, $5,000,000; and/(b) "
     "thereafter, up to $1,000,000, of which:> (ii) half is for land.\n"
     "HEAD Section 2.02 Fees.\n"
     "SENT The fee is 1%.\n"
     "HEAD EXHIBIT A\n"
     "HEAD FORM OF NOTE\n"
     "ITEM 1. The Maker promises to pay $5,000.\n"
     "ITEM 2. Interest accrues at 5%.\n"
     "HEAD Schedule 2\n"
     "HEAD 3. Commitments\n"},
    {"decimal",
     "1. Definitions\n"
     "1.1 \"Goods\" means the goods listed in Schedule 1.\n"
     "1.2 \"Price\" means the price of the Goods.\n"
     "2. Term\n"
     "2.1 This Agreement lasts two years.\n"
     "30 days before its end either party may object.\n"
     "2019 was the first year of trade between the parties.\n"
     "1,250 units were sold.\n"
     "2.2 It is renewed for one year.\n"
     "2.2.1 Renewal needs no form.\n"
     "2.2.2 Notice must be given.\n"
     "3. Payment Terms. The Buyer shall pay within 30 days.\n"
     "4. Notices. Notices are in writing.\n",
     "HEAD 1. Definitions\n"
     "ITEM 1.1 \"Goods\" means the goods listed in Schedule 1.\n"
     "ITEM 1.2 \"Price\" means the price of the Goods.\n"
     "HEAD 2. Term\n"
     "ITEM 2.1 This Agreement lasts two years.\n"
     "SENT 30 days before its end either party may object.\n"
     "SENT 2019 was the first year of trade between the parties.\n"
     "SENT 1,250 units were sold.\n"
     "ITEM 2.2 It is renewed for one year.\n"
     "ITEM 2.2.1 Renewal needs no form.\n"
     "ITEM 2.2.2 Notice must be given.\n"
     "HEAD 3. Payment Terms.\n"
     "SENT The Buyer shall pay within 30 days.\n"
     "HEAD 4. Notices.\n"
     "SENT Notices are in writing.\n"},
    {"regulation",
     "§ 1013.1 Authority.\n"
     "(a) Authority. The regulation is issued by the Bureau.\n"
     "(b) Scope. It applies to:\n"
     "(1) lessors;\n"
     "(2) lessees.\n"
     "§ 1013.2 Definitions.\n"
     "(a) Act means the Truth in Lending Act.\n"
     "As required by § 1013.4 the lessor shall disclose the amount.\n",
     "HEAD § 1013.1 Authority.\n"
     "HEAD (a) Authority.\n"
     "SENT The regulation is issued by the Bureau.\n"
     "HEAD (b) Scope.\n"
     "SENT It applies to:\n"
     "ITEM <It applies to:> (1) lessors;\n"
     "ITEM <It applies to:> (2) lessees.\n"
     "HEAD § 1013.2 Definitions.\n"
     "ITEM (a) Act means the Truth in Lending Act.\n"
     "SENT As required by § 1013.4 the lessor shall disclose the amount.\n"},
    {"headings",
     "Staff Handbook\n"
     "Working Hours\n"
     "The normal working week has 37.5 hours and is spread over five days, Monday to Friday, for all staff.\n"
     "ANNUAL LEAVE\n"
     "All staff have 25 days of leave.\n",
     "HEAD Staff Handbook\n"
     "HEAD Working Hours\n"
     "SENT The normal working week has 37.5 hours and is spread over five days, Monday to Friday, for all staff.\n"
     "HEAD ANNUAL LEAVE\n"
     "SENT All staff have 25 days of leave.\n"},
};

static void check(const struct document_case *cases, size_t n) {
    size_t failed = 0;
    for (size_t i = 0; i < n; i++) failed += rendered_wrong(cases[i].name, cases[i].text, cases[i].result, RENDER_STATEMENTS);
    assert_int_equal(failed, 0);
}

static void test_sentences_items_rows_and_headings(void **state) {
    (void)state;
    check(documents, sizeof documents / sizeof *documents);
}

/* The exception stands in the same statement as its rule, wherever the line breaks. */
static void test_exceptions_stay_with_their_clause(void **state) {
    (void)state;
    static const char *const texts[] = {
        "The Supplier is not liable for delay,\nexcept where it acted wilfully.",
        "The fee is due at once,\nunless the Buyer objects.",
        "The Tenant may keep pets, provided, however, that no pet is larger than a cat. More follows.",
        "The Agent may resign at any time (subject to Section 4. and the notice in it) by letter.",
        "No waiver of a breach is valid\nunless it is in writing.",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ingest_document d = {.text = slice_of(texts[i])};
        struct error e;
        assert_int_equal(ingest_structure(&d, &e), 0);
        static const char *const words[] = {"except", "unless", "provided", "subject to"};
        for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
            const char *hit = strstr(texts[i], words[w]);
            if (!hit) continue;
            uint32_t at = ingest_statement_at(&d, (uint32_t)(hit - texts[i]));
            assert_int_equal(at, 0);
            assert_int_equal(d.statements[0].span.start, 0);
        }
        arena_free(&d.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences_items_rows_and_headings),
        cmocka_unit_test(test_exceptions_stay_with_their_clause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
