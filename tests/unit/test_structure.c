/* test_structure.c: numbers and headings become a section tree; whatever the document, nothing is lost and every range
 * fits. */
#include "ingest/blocks.h"
#include "tests/unit/facts_render.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

struct document_case {
    const char *name, *text, *result;
};

static const struct document_case documents[] = {
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
     "1 ARTICLE I: DEFINITIONS\n"
     "2 Section 1.01: Defined Terms\n"
     "2 Section 1.02: Accounting Terms\n"
     "1 ARTICLE II: THE LOANS\n"
     "2 Section 2.01: Commitments\n"
     "3 Section 2.01(a): \n"
     "3 Section 2.01(b): \n"
     "4 Section 2.01(b)(i): \n"
     "4 Section 2.01(b)(ii): \n"
     "2 Section 2.02: Fees\n"
     "1 EXHIBIT A: FORM OF NOTE\n"
     "2 EXHIBIT A > 1: \n"
     "2 EXHIBIT A > 2: \n"
     "1 Schedule 2: \n"
     "2 Schedule 2 > 3: Commitments\n"},
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
     "1 1: Definitions\n"
     "2 1.1: \n"
     "2 1.2: \n"
     "1 2: Term\n"
     "2 2.1: \n"
     "2 2.2: \n"
     "3 2.2.1: \n"
     "3 2.2.2: \n"
     "1 3: Payment Terms\n"
     "1 4: Notices\n"},
    {"letters",
     "TERMS OF USE\n"
     "A. Accounts\n"
     "1. You must be 13 or older.\n"
     "2. You must not share your password.\n"
     "B. Content\n"
     "1. You own your content.\n"
     "(a) We may copy it.\n"
     "(b) We may delete it.\n"
     "(c) We may show it.\n"
     "(d) Fine.\n"
     "(e) Fine.\n"
     "(f) Fine.\n"
     "(g) Fine.\n"
     "(h) Fine.\n"
     "(i) This is the ninth.\n"
     "(j) This is the tenth.\n"
     "2. We own ours.\n",
     "1 A: Accounts\n"
     "2 A > 1: \n"
     "2 A > 2: \n"
     "1 B: Content\n"
     "2 B > 1: \n"
     "3 B > 1(a): \n"
     "3 B > 1(b): \n"
     "3 B > 1(c): \n"
     "3 B > 1(d): \n"
     "3 B > 1(e): \n"
     "3 B > 1(f): \n"
     "3 B > 1(g): \n"
     "3 B > 1(h): \n"
     "3 B > 1(i): \n"
     "3 B > 1(j): \n"
     "2 B > 2: \n"},
    {"no space behind the stop",
     "1.Definitions\n"
     "In this Licence the following terms have the following meaning.\n"
     "2.Scope of the rights\n"
     "The Licensor grants the licence below in full and without any charge.\n",
     "1 1: Definitions\n"
     "1 2: Scope of the rights\n"},
    {"an amendment quotes clauses out of sequence",
     "Article 6 of the Agreement shall be replaced by the following.\n"
     "6.1\n"
     "Claims Procedure\n"
     "A claimant who has not received benefits shall make a claim as follows.\n"
     "6.1.1\n"
     "Initiation\n"
     "The claimant initiates a claim in writing and sends it to the Administrator.\n"
     "6.1.2\n"
     "Timing of Response\n"
     "The Administrator shall respond to the claimant within ninety days thereof.\n",
     "1 6.1: Claims Procedure\n"
     "2 6.1.1: Initiation\n"
     "2 6.1.2: Timing of Response\n"},
    {"roman",
     "I. RECITALS\n"
     "The parties met.\n"
     "II. TERMS\n"
     "(i) First roman.\n"
     "(ii) Second roman.\n"
     "(iii) Third roman.\n"
     "III. END\n",
     "1 I: RECITALS\n"
     "1 II: TERMS\n"
     "2 II(i): \n"
     "2 II(ii): \n"
     "2 II(iii): \n"
     "1 III: END\n"},
    {"regulation",
     "§ 1013.1 Authority.\n"
     "(a) Authority. The regulation is issued by the Bureau.\n"
     "(b) Scope. It applies to:\n"
     "(1) lessors;\n"
     "(2) lessees.\n"
     "§ 1013.2 Definitions.\n"
     "(a) Act means the Truth in Lending Act.\n"
     "As required by § 1013.4 the lessor shall disclose the amount.\n",
     "1 § 1013.1: Authority\n"
     "2 § 1013.1(a): Authority\n"
     "2 § 1013.1(b): Scope\n"
     "3 § 1013.1(b)(1): \n"
     "3 § 1013.1(b)(2): \n"
     "1 § 1013.2: Definitions\n"
     "2 § 1013.2(a): \n"},
    {"headings",
     "Staff Handbook\n"
     "Working Hours\n"
     "The normal working week has 37.5 hours and is spread over five days, Monday to Friday, for all staff.\n"
     "ANNUAL LEAVE\n"
     "All staff have 25 days of leave.\n",
     "1 Working Hours: Working Hours\n"
     "1 ANNUAL LEAVE: ANNUAL LEAVE\n"},
    {"letter_decimals",
     "PRICE SCHEDULE\n"
     "A. Pumps and seals\n"
     "A.1 The pump costs USD 5.\n"
     "B. Commercial terms\n"
     "B.1 The minimum is USD 6.\n"
     "B.2 Invoices are payable within 45 days.\n"
     "B.3 Freight is free.\n"
     "1. Apples\n"
     "2. Pears\n"
     "3. Plums\n",
     "1 A: Pumps and seals\n"
     "2 A.1: \n"
     "1 B: Commercial terms\n"
     "2 B.1: \n"
     "2 B.2: \n"
     "2 B.3: \n"
     "3 B.3 > 1: Apples\n"
     "3 B.3 > 2: Pears\n"
     "3 B.3 > 3: Plums\n"},
    {"list_inside_a_clause",
     "1. Introduction\n"
     "1.1 Getting started\n"
     "The steps are these:\n"
     "1. You open the program.\n"
     "2. You type a command.\n"
     "3. You leave.\n"
     "1.2 Getting help\n"
     "Ask for it whenever you need it, at any time of the day and in any office.\n"
     "2. Reference\n"
     "2.1 The commands are listed.\n",
     "1 1: Introduction\n"
     "2 1.1: Getting started\n"
     "3 1.1 > 1: \n"
     "3 1.1 > 2: \n"
     "3 1.1 > 3: \n"
     "2 1.2: Getting help\n"
     "1 2: Reference\n"
     "2 2.1: \n"},
};

static void check(const struct document_case *cases, size_t n) {
    size_t failed = 0;
    for (size_t i = 0; i < n; i++)
        failed += rendered_wrong(cases[i].name, cases[i].text, cases[i].result, RENDER_SECTIONS);
    assert_int_equal(failed, 0);
}

static void test_numbers_and_headings_make_the_section_tree(void **state) {
    (void)state;
    check(documents, sizeof documents / sizeof *documents);
}

/* Marks of a reader: heading levels, list items with computed numbers, cells. */
static void test_marks_of_the_readers_are_followed(void **state) {
    (void)state;
    static const char text[] = "Handbook\nLeave\nAll staff have 25 days.\nStaff must:\n- ask early\n- wait\nSick "
                               "leave\nIllness is reported.\nGrade | Days\nA | 30\nB | 25";
    struct ingest_block blocks[16];
    size_t n = 0;
    const char *p = text;
    static const struct {
        enum ingest_block_kind kind;
        uint32_t level, number;
    } lines[] = {{INGEST_BLOCK_HEADING, 1, 0},   {INGEST_BLOCK_HEADING, 2, 0},   {INGEST_BLOCK_PARAGRAPH, 0, 0},
                 {INGEST_BLOCK_PARAGRAPH, 0, 0}, {INGEST_BLOCK_LIST_ITEM, 1, 1}, {INGEST_BLOCK_LIST_ITEM, 1, 1},
                 {INGEST_BLOCK_HEADING, 3, 0},   {INGEST_BLOCK_PARAGRAPH, 0, 0}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *nl = strchr(p, '\n');
        uint32_t start = (uint32_t)(p - text), end = (uint32_t)(nl - text);
        blocks[n++] = (struct ingest_block){.span = {start, end},
                                            .kind = lines[i].kind,
                                            .level = lines[i].level,
                                            .number = {start, start + lines[i].number},
                                            .table = INGEST_NONE,
                                            .n_columns = 1};
        p = nl + 1;
    }
    for (uint32_t row = 0; row < 3; row++)
        for (uint32_t column = 0; column < 2; column++) {
            size_t len = strcspn(p, "|\n");
            while (len && p[len - 1] == ' ') len--;
            uint32_t start = (uint32_t)(p - text);
            blocks[n++] = (struct ingest_block){.span = {start, start + (uint32_t)len},
                                                .kind = INGEST_BLOCK_CELL,
                                                .number = {start, start},
                                                .table = 0,
                                                .row = row,
                                                .column = column,
                                                .n_columns = 1,
                                                .flags = row ? 0 : INGEST_BLOCK_HEADER};
            p += strcspn(p, "|\n");
            p += strspn(p, "| \n");
        }
    struct ingest_document d = {.text = slice_of(text), .blocks = blocks, .n_blocks = n};
    struct error e;
    struct buf b = {0};
    assert_int_equal(ingest_structure(&d, &e), 0);
    assert_null(structure_flaw(&d));
    render_sections(&b, &d);
    render_statements(&b, &d);
    render_facts(&b, &d, 1u << INGEST_NUMBER | 1u << INGEST_PERIOD, true);
    assert_string_equal(b.data, "1 Leave: Leave\n"
                                "2 Leave > Sick leave: Sick leave\n"
                                "HEAD Handbook\n"
                                "HEAD Leave\n"
                                "SENT All staff have 25 days.\n"
                                "SENT Staff must:\n"
                                "ITEM <Staff must:> - ask early\n"
                                "ITEM <Staff must:> - wait\n"
                                "HEAD Sick leave\n"
                                "SENT Illness is reported.\n"
                                "ROW Grade | Days\n"
                                "ROW <Grade | Days> A | 30\n"
                                "ROW <Grade | Days> B | 25\n"
                                "\"25 days\" PERIOD 25 day | All staff have\n"
                                "\"30\" PERIOD 30 day | A -> Days\n"
                                "\"25\" PERIOD 25 day | B -> Days\n");
    buf_free(&b);
    arena_free(&d.arena);
}

/* What a form prints large, or a template rules, is no heading. */
static void test_boxes_and_rules_open_no_section(void **state) {
    (void)state;
    static const char text[] = "FORM 10-K\n☐ Yes ☒ No\n____________\n* * *\nRisk factors\nPrices may fall.";
    struct ingest_block blocks[6];
    size_t n = 0;
    for (const char *p = text; n < 6; n++) {
        uint32_t start = (uint32_t)(p - text), len = (uint32_t)strcspn(p, "\n");
        blocks[n] = (struct ingest_block){.span = {start, start + len},
                                          .kind = n < 5 ? INGEST_BLOCK_HEADING : INGEST_BLOCK_PARAGRAPH,
                                          .level = n == 0 ? 1 : 2,
                                          .number = {start, start},
                                          .table = INGEST_NONE,
                                          .n_columns = 1};
        p += len + 1;
    }
    struct ingest_document d = {.text = slice_of(text), .blocks = blocks, .n_blocks = n};
    struct error e;
    struct buf b = {0};
    assert_int_equal(ingest_structure(&d, &e), 0);
    assert_null(structure_flaw(&d));
    render_sections(&b, &d);
    assert_string_equal(b.data, "1 Risk factors: Risk factors\n");
    buf_free(&b);
    b = (struct buf){0};
    render_statements(&b, &d); /* nothing of them is lost */
    assert_non_null(strstr(b.data, "☐ Yes ☒ No"));
    buf_free(&b);
    arena_free(&d.arena);
}

/* Real documents, and the same ones cut short at every kind of place: nothing lost, every range inside, facts in order.
 */
static void test_real_documents_lose_nothing(void **state) {
    (void)state;
    static const char *const files[] = {
        "tests/data/structure/employment-agreement.txt",   "tests/data/structure/severance-agreement.txt",
        "tests/data/structure/cloud-service-agreement.md", "tests/data/structure/EUPL-1.2.txt",
        "tests/data/structure/CC-BY-SA-4.0.txt",           "tests/data/samples/github-dmca.md",
        "tests/data/samples/regulation-m-2015.html"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct buf file = {0};
        struct error e;
        assert_int_equal(file_read(files[i], 1 << 20, &file, &e), 0);
        for (size_t len = file.len; len > 0; len = len > 4001 ? len - 4001 : 0) {
            while (len && ((uint8_t)file.data[len < file.len ? len : len - 1] & 0xC0) == 0x80) len--;
            struct ingest_document d = {.text = {file.data, len}};
            assert_int_equal(ingest_structure(&d, &e), 0);
            const char *flaw = structure_flaw(&d);
            if (flaw) fail_msg("%s, first %zu bytes: %s", files[i], len, flaw);
            arena_free(&d.arena);
        }
        buf_free(&file);
    }
}

static void test_real_contract_has_its_sections(void **state) {
    (void)state;
    struct ingest_options o = ingest_options_default();
    o.in_process = true;
    struct ingest_document *d;
    struct error e;
    assert_int_equal(ingest_document_load(&d, "tests/data/structure/employment-agreement.txt", &o, &e), 0);
    size_t top = 0, found = 0;
    for (size_t i = 1; i < d->n_sections; i++) {
        top += d->sections[i].level == 1;
        found += slice_equal(d->sections[i].path, SLICE_LITERAL("V > C > 1(b)")) ||
                 slice_equal(d->sections[i].path, SLICE_LITERAL("XVII"));
    }
    assert_int_equal(top, 17); /* I. to XVII. */
    assert_int_equal(found, 2);
    ingest_document_free(d);
}

static void test_structure_is_idempotent_and_takes_empty_text(void **state) {
    (void)state;
    struct ingest_document d = {.text = SLICE_LITERAL("1. Term. It lasts 2 years.\n2. Fee. It is $5.")};
    struct error e;
    assert_int_equal(ingest_structure(&d, &e), 0);
    size_t sections = d.n_sections, statements = d.n_statements, facts = d.n_facts;
    assert_int_equal(ingest_structure(&d, &e), 0);
    assert_int_equal(ingest_facts(&d, &e), 0);
    assert_int_equal(d.n_sections, sections);
    assert_int_equal(d.n_statements, statements);
    assert_int_equal(d.n_facts, facts);
    assert_int_equal(facts, 2);
    arena_free(&d.arena);
    static const char *const odd[] = {"",   "\n\n", "   ",  "|", "(", "(a)", "1.",  "\xc2\xa0", "§",
                                      "\"", "“”",   "a\nb", "$", "%", "-",   "| |", "1 | 2 | 3"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct ingest_document o = {.text = slice_of(odd[i])};
        assert_int_equal(ingest_structure(&o, &e), 0);
        assert_null(structure_flaw(&o));
        arena_free(&o.arena);
    }
}

/* Memory that ends at the n-th byte is an error, never a crash. */
static void test_memory_that_ends_is_an_error(void **state) {
    (void)state;
    for (size_t limit = 16; limit < 6000; limit += 160) {
        struct ingest_document d = {
            .arena = {.limit = limit},
            .text = SLICE_LITERAL("1. Term. It lasts 2 years.\n(a) The fee is 5 kg/h.\nA | B\n1 | 2")};
        struct error e = {0};
        int rc = ingest_structure(&d, &e);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        arena_free(&d.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_and_headings_make_the_section_tree),
        cmocka_unit_test(test_marks_of_the_readers_are_followed),
        cmocka_unit_test(test_boxes_and_rules_open_no_section),
        cmocka_unit_test(test_real_documents_lose_nothing),
        cmocka_unit_test(test_real_contract_has_its_sections),
        cmocka_unit_test(test_structure_is_idempotent_and_takes_empty_text),
        cmocka_unit_test(test_memory_that_ends_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
