/* test_detect_pairs.c: one statement against another: what can both hold and what cannot. Each row is two documents of
 * one sentence (or a few) with the class of the conflict, or none. Also the parts: stems, references to sections.
 */
#include "engine/analysis/detect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct ingest_document *document(const char *name, const char *text) {
    struct ingest_document *d = calloc(1, sizeof *d);
    struct error e = {0};
    assert_non_null(d);
    d->name = slice_of(name);
    d->title = slice_of("");
    d->text = arena_slice(&d->arena, slice_of(text));
    d->pages = arena_array(&d->arena, 1, sizeof *d->pages);
    d->n_pages = 1;
    d->pages[0].span.end = (uint32_t)d->text.len;
    assert_int_equal(ingest_structure(d, &e), 0);
    assert_int_equal(ingest_facts(d, &e), 0);
    return d;
}

/* Class of the surest contradiction between the two texts, -1 for none; *decided as the rules say. */
static int conflict_of(struct ingest_document *docs[2], bool *decided, char why[200]) {
    struct arena arena = {0};
    struct analysis_pair *pairs;
    size_t n;
    struct error e = {0};
    assert_int_equal(analysis_detect((const struct ingest_document *const *)docs, 2, &arena, &pairs, &n, &e), 0);
    int class = -1;
    float best = 0;
    *decided = false;
    why[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].status != ANALYSIS_CONTRADICTION || pairs[i].sameness <= best) continue;
        best = pairs[i].sameness;
        class = (int)pairs[i].class;
        *decided = pairs[i].decided;
        snprintf(why, 200, "%.*s", (int)pairs[i].why.len, pairs[i].why.data);
    }
    arena_free(&arena);
    for (int i = 0; i < 2; i++) ingest_document_free(docs[i]);
    return class;
}

static int conflict(const char *a, const char *b, bool *decided, char why[200]) {
    struct ingest_document *docs[] = {document("a.txt", a), document("b.txt", b)};
    return conflict_of(docs, decided, why);
}

static const struct row {
    int class; /* -1: both can hold */
    const char *a, *b;
} rows[] = {
    /* how often, also alone in a cell; what is said of the same thing in other places of the sentence */
    {ANALYSIS_QUANTITY, "The trunnion pins shall be greased once a week.",
     "| Task | Interval |\n|---|---|\n| Grease the trunnion pins | monthly |"},
    {-1, "The trunnion pins shall be greased once a month.",
     "| Task | Interval |\n|---|---|\n| Grease the trunnion pins | monthly |"},
    {ANALYSIS_QUANTITY, "The rotor chamber shall be cleaned once a week with a neutral agent.",
     "The rotor chamber is cleaned every day after the run."},
    {ANALYSIS_QUANTITY, "The scaffolding shall be inspected by an engineer every month.",
     "The scaffolding is inspected by the engineer once in three months."},
    {-1, "The scaffolding shall be inspected by an engineer every three months.",
     "The scaffolding is inspected by the engineer once in three months."},
    {-1, "The filter is cleaned once a week in the workshop.", "The filter is cleaned once a day in the kitchen."},
    {ANALYSIS_PERIOD,
     "The contract is extended unless it is terminated by giving three months' notice to the end of the term.",
     "The contract may be terminated on six months' notice to the end of the term."},
    {ANALYSIS_AMOUNT, "The annual fee is EUR 9,600, payable in advance by 31 January of each year.",
     "The annual fee is EUR 8,600."},
    {ANALYSIS_PERIOD, "For twelve months after he ceases to be employed, the founder shall not sell beer in Kent.",
     "For six months after the termination of his employment, the founder shall not sell beer in Kent."},
    {ANALYSIS_DATE, "The company shall not pay any dividend before 1 January 2026.",
     "The company may pay a dividend from 1 January 2025."},
    {-1, "The company shall not pay any dividend before 1 January 2026.",
     "The company may pay a dividend from 1 January 2026."},
    {ANALYSIS_PERCENTAGE, "The operator guarantees an availability of 98 % in each year.",
     "The operator guarantees an availability of 97 %."},
    /* another verb for the same, the rest of something else, a proviso against a ban */
    {ANALYSIS_PERIOD,
     "After transport, leave the machine at room temperature for at least three hours before it is started.",
     "After transport the machine must stand at room temperature for at least 12 hours before it is started."},
    {ANALYSIS_PERIOD,
     "On termination the processor shall return the data within 30 days and shall delete every remaining copy.",
     "Within 14 days after termination the processor shall return the data."},
    {ANALYSIS_MODALITY, "The Customer may withhold a disputed payment, provided that it notifies the Supplier.",
     "The Customer shall not withhold a disputed payment."},
    /* lines that name a day and state nothing */
    {-1,
     "3.1 Certificate (incorporated by reference to Exhibit 3.1 to the Quarterly Report for the quarter ended 31 March "
     "2000).",
     "3.2 Certificate (incorporated by reference to Exhibit 3.1 to the Quarterly Report for the quarter ended 31 March "
     "2013)."},
    {-1, "Three months ended 31 March 2021", "Three months ended 31 March 2020"},
    {-1, "The rent is EUR 1,050 per hectare per year.", "The yearly rent is EUR 65,100."},
    {ANALYSIS_AMOUNT, "The rent is EUR 1,050 per hectare per year.", "The yearly rent is EUR 1,200 per hectare."},
    {-1, "Half of the retention is released on completion.", "The retention is 5 % of each payment."},
    /* amounts: scale, rate, currency, rounding */
    {ANALYSIS_AMOUNT, "The annual licence fee is EUR 48,000.", "The annual licence fee amounts to EUR 52,000."},
    {-1, "The purchase price is USD 1.5 million.", "The purchase price is USD 1,500,000."},
    {-1, "The purchase price is USD 1,534,200.", "The purchase price is about USD 1.5 million."},
    {-1, "The cleaning fee is EUR 500 per month.", "The cleaning fee is EUR 6,000 per year."},
    {ANALYSIS_AMOUNT, "The cleaning fee is EUR 500 per month.", "The cleaning fee is EUR 7,200 per year."},
    {-1, "The entry fee is EUR 20.", "The entry fee is CHF 25."},
    {-1, "The fee for the first year is EUR 400.", "The fee for the second year is EUR 500."},
    {-1, "The gross salary is EUR 60,000.", "The net salary is EUR 39,000."},
    {-1, "The rent of the workshop is EUR 900.", "The rent of the showroom is EUR 1,400."},
    {-1, "The price of model K-20 is EUR 90.", "The price of model K-30 is EUR 120."},
    /* bounds */
    {ANALYSIS_AMOUNT, "The insured sum must be at least EUR 2,000,000.",
     "The insured sum must be at least EUR 3,000,000."},
    {-1, "The insured sum must be at least EUR 2,000,000.", "The insured sum is EUR 2,500,000."},
    {ANALYSIS_AMOUNT, "The insured sum must be at least EUR 2,000,000.", "The insured sum is EUR 1,500,000."},
    /* periods */
    {ANALYSIS_PERIOD, "Claims must be reported within 14 days of the accident.",
     "Claims must be reported within 30 days of the accident."},
    {-1, "The guarantee period is 24 months.", "The guarantee period is two years."},
    {-1, "Access codes are valid for 72 hours.", "Access codes are valid for three days."},
    {ANALYSIS_PERIOD, "Access codes are valid for 72 hours.", "Access codes are valid for five days."},
    {-1, "The trial period is one month.", "The trial period is 30 days."},
    {-1, "The answer is due within five business days.", "The answer is due within one week."},
    {-1, "The cooling-off period is 14 days.", "Before the reform the previous cooling-off period was seven days."},
    {-1, "For example, a deposit paid on Monday is returned within 3 days.", "A deposit is returned within 10 days."},
    {-1, "The notice period for tenants is three months.", "The notice period for landlords is six months."},
    /* percentages */
    {ANALYSIS_PERCENTAGE, "The royalty is 7 % of net sales.", "The royalty is 9 % of net sales."},
    {-1, "The royalty is 7 % of net sales.", "The royalty is 5 % of gross sales."},
    {-1, "The spread is 0.5 %.", "The spread is 50 basis points."},
    /* dates */
    {ANALYSIS_DATE, "The concession expires on 30 April 2029.", "The concession expires on 31 May 2029."},
    {-1, "The concession begins on 1 May 2019.", "The concession expires on 30 April 2029."},
    /* quantities */
    {ANALYSIS_QUANTITY, "The maximum load of the crane is 3.2 t.", "The maximum load of the crane is 2,800 kg."},
    {-1, "The maximum load of the crane is 3.2 t.", "The maximum load of the crane is 3,200 kg."},
    {-1, "The hose is at least 5 m long.", "The length of the hose is 7 m."},
    {-1, "The inlet pressure is 6 bar.", "The outlet pressure is 2 bar."},
    /* modality */
    {ANALYSIS_MODALITY, "The Licensee may sublicense the software.", "The Licensee shall not sublicense the software."},
    {ANALYSIS_MODALITY, "The carrier must seal the containers.", "The carrier need not seal the containers."},
    {-1, "The Licensee may sublicense the software with the consent of the Licensor.",
     "The Licensee shall not sublicense the software without the consent of the Licensor."},
    {-1, "The Supplier may assign its claims.", "The Customer shall not assign its claims."},
    {-1, "The load must not exceed 40 kg.", "The load shall be at most 40 kg."},
    {-1, "Members may vote by letter.", "Guests may not vote by letter."},
    {-1, "The Bank may refuse the transfer if the account is overdrawn.",
     "The Bank shall not refuse the transfer if the account has cover."},
    /* attributed speech */
    {-1, "The Contractor alleges that the delay was 40 days.", "The delay was 12 days."},
};

static void test_rows(void **state) {
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool decided;
        char why[200];
        int class = conflict(rows[i].a, rows[i].b, &decided, why);
        if (class != rows[i].class) {
            print_message("row %zu: want %d, have %d: %s | %s (%s)\n", i, rows[i].class, class, rows[i].a, rows[i].b,
                          why);
            wrong++;
        }
        /* the sides are exchangeable */
        assert_int_equal(conflict(rows[i].b, rows[i].a, &decided, why), class);
    }
    assert_int_equal(wrong, 0);
}

static void test_why_computes(void **state) {
    (void)state;
    bool decided;
    char why[200];
    assert_int_equal(conflict("The annual licence fee is EUR 48,000.", "The annual licence fee amounts to EUR 52,000.",
                              &decided, why),
                     ANALYSIS_AMOUNT);
    assert_true(decided);
    assert_non_null(strstr(why, "EUR 48,000"));
    assert_non_null(strstr(why, "difference EUR 4,000"));
    assert_int_equal(
        conflict("The concession expires on 30 April 2029.", "The concession expires on 31 May 2029.", &decided, why),
        ANALYSIS_DATE);
    assert_non_null(strstr(why, "31 days apart"));
}

static void test_words_against_figures_in_one_sentence(void **state) {
    (void)state;
    bool decided;
    char why[200];
    assert_int_equal(
        conflict("The tenant shall give notice within thirty (45) days.", "The garden is open to all.", &decided, why),
        ANALYSIS_PERIOD);
    assert_true(decided);
    assert_non_null(strstr(why, "the words say 30, the figures 45"));
    assert_int_equal(
        conflict("The tenant shall give notice within thirty (30) days.", "The garden is open to all.", &decided, why),
        -1);
}

static void test_exception_that_names_the_section_is_no_conflict(void **state) {
    (void)state;
    bool decided;
    char why[200];
    assert_int_equal(conflict("1. The Bank shall pay interest of 2 % on deposits.\n2. Notwithstanding Section 1, the "
                              "Bank shall pay interest of 1 % on deposits.\n",
                              "The garden is open to all.", &decided, why),
                     -1);
}

static void test_unrelated_parties_do_not_meet(void **state) {
    (void)state;
    bool decided;
    char why[200];
    const char *a = "This Lease is made between Orlin Estates Limited (the \"Landlord\") and Pfeil Design Limited (the "
                    "\"Tenant\").\nThe deposit is EUR 9,000.\n";
    const char *b = "This Lease is made between Vantor Homes Limited (the \"Landlord\") and Quist Foods Limited (the "
                    "\"Tenant\").\nThe deposit is EUR 12,000.\n";
    const char *c = "This Note is made between Orlin Estates Limited (the \"Landlord\") and Pfeil Design Limited (the "
                    "\"Tenant\").\nThe deposit is EUR 12,000.\n";
    assert_int_equal(conflict(a, b, &decided, why), -1);
    assert_int_equal(conflict(a, c, &decided, why), ANALYSIS_AMOUNT);
}

/* Class of the contradiction inside one Markdown file, -1 for none. */
static int conflict_inside(const char *text) {
    char path[] = "/tmp/antinomy-detect-XXXXXX.md", why[200];
    int fd = mkstemps(path, 3);
    bool decided;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct ingest_document *docs[] = {NULL, document("b.txt", "The garden is open to all.")};
    struct error e = {0};
    struct ingest_options o = ingest_options_default();
    o.in_process = true;
    assert_int_equal(ingest_document_load(&docs[0], path, &o, &e), 0);
    unlink(path);
    return conflict_of(docs, &decided, why);
}

static void test_totals(void **state) {
    (void)state;
    bool decided;
    char why[200];
    assert_int_equal(
        conflict("We subscribe for 25,000 shares at a price of GBP 48 per share, a total of GBP 1,250,000.",
                 "The garden is open to all.", &decided, why),
        ANALYSIS_TOTAL);
    assert_int_equal(
        conflict("We subscribe for 25,000 shares at a price of GBP 48 per share, a total of GBP 1,200,000.",
                 "The garden is open to all.", &decided, why),
        -1);
    /* heads of columns that are no names */
    assert_int_equal(
        conflict_inside("The salary of the director is EUR 96,000.\n\n| Subject | Figure |\n|---|---|\n| Salary "
                        "of the director | EUR 98,000 |\n"),
        ANALYSIS_AMOUNT);
    assert_int_equal(conflict_inside("| Item | EUR |\n|---|---|\n| Rent | 500 |\n| Heating | 120 |\n| Total | 640 |\n"),
                     ANALYSIS_TOTAL);
    /* prices of options and their mean; a row whose label is the end of the row before */
    assert_int_equal(conflict_inside("| Plan | Price |\n|---|---|\n| Approved | 75.70 |\n| Others | 43.60 |\n| Total | "
                                     "74.28 |\n"),
                     -1);
    assert_int_equal(
        conflict_inside("| Debt | EUR |\n|---|---|\n| Notes (due | 500 |\n| 2022 and 2023) | 120 |\n| Total "
                        "debt | 640 |\n"),
        -1);
}

/* In a long report a short sentence goes on with what the one before it names; in a contract it does not. */
static void test_topic_of_a_long_report(void **state) {
    (void)state;
    for (int lines = 10; lines <= 400; lines += 390) {
        struct buf b = {0};
        buf_puts(&b, "REPORT\n\nIn May we bought Orlin, a maker of pumps.\n\nThe discount rate applied was 9.5 %.\n\n");
        for (int i = 0; i < lines; i++) buf_printf(&b, "Line %d of the report names nothing of note.\n\n", i);
        buf_puts(&b, "In June the sellers of Pfeil gave us their valves.\n\nThe discount rate applied was 16 %.\n");
        char *text = strndup(b.data, b.len);
        buf_free(&b);
        assert_non_null(text);
        bool decided;
        char why[200];
        int class = conflict(text, "The garden is open to all.", &decided, why);
        if ((lines < LONG_STATEMENTS) != (class == ANALYSIS_PERCENTAGE && decided))
            fail_msg("%d lines: class %d, decided %d, %s", lines, class, decided, why);
        free(text);
    }
}

/* "prevails over X" settles a conflict with X, not with a third paper, whether X is in the set or not. */
static void test_only_the_named_paper_loses(void **state) {
    (void)state;
    static const char *const names[] = {"Requirements – Larkmoor", "Note for the lenders – Larkmoor"};
    for (int i = 0; i < 2; i++) {
        struct ingest_document *docs[] = {
            document("a.txt",
                     "In case of conflict this Contract prevails over the Employer's Requirements.\n\nThe defects "
                     "period is 24 months.\n"),
            document("b.txt", "The defects period is 36 months.\n")};
        docs[0]->title = slice_of("Construction Contract – Larkmoor");
        docs[1]->title = slice_of(names[i]);
        bool decided;
        char why[200];
        assert_int_equal(conflict_of(docs, &decided, why), i ? ANALYSIS_PERIOD : -1);
    }
}

/* A note that repeats what the contract says shares its rank: against the requirements, not for a figure of its own. */
static void test_a_note_repeats_what_prevails(void **state) {
    (void)state;
    static const char *const notes[] = {"The defects period is 24 months.\n", "The defects period is 48 months.\n"};
    for (int i = 0; i < 2; i++) {
        struct ingest_document *docs[] = {
            document("a.txt", "In case of conflict this Contract prevails over the Employer's Requirements.\n\nThe "
                              "defects period is 24 months.\n"),
            document("b.txt", "The defects period is 36 months.\n"), document("c.txt", notes[i])};
        static const char *const titles[] = {"Construction Contract – Larkmoor", "Requirements – Larkmoor",
                                             "Note for the lenders – Larkmoor"};
        struct arena arena = {0};
        struct analysis_pair *pairs;
        size_t n;
        struct error e = {0};
        int note = -1;
        for (int k = 0; k < 3; k++) docs[k]->title = slice_of(titles[k]);
        assert_int_equal(analysis_detect((const struct ingest_document *const *)docs, 3, &arena, &pairs, &n, &e), 0);
        for (size_t k = 0; k < n; k++)
            if (pairs[k].a.document == 1 && pairs[k].b.document == 2) {
                note = (int)pairs[k].status;
                if (!i) assert_int_equal(pairs[k].by.document, 0);
            }
        assert_int_equal(note, i ? ANALYSIS_CONTRADICTION : ANALYSIS_RESOLVED);
        arena_free(&arena);
        for (int k = 0; k < 3; k++) ingest_document_free(docs[k]);
    }
}

/* Two contracts of the same parties in other roles each have their own sums: never decided by the rules alone. */
static void test_two_contracts_in_other_roles(void **state) {
    (void)state;
    static const char *const roles[][2] = {{"Employer", "Contractor"}, {"Customer", "Operator"}};
    for (int i = 0; i < 2; i++) {
        struct ingest_document *docs[2];
        for (int k = 0; k < 2; k++) {
            char text[600];
            const char *const *r = roles[i ? k : 0];
            snprintf(text, sizeof text,
                     "This is made between Larkmoor Energy Limited (the \"%s\") and Sunvale Construction plc (the "
                     "\"%s\").\n\nThe %s shall maintain liability insurance of at least GBP %d,000,000.\n",
                     r[0], r[1], r[1], k ? 5 : 10);
            docs[k] = document(k ? "operation.txt" : "building.txt", text);
        }
        bool decided;
        char why[200];
        conflict_of(docs, &decided, why);
        assert_int_equal(decided, i == 0);
    }
}

/* conflict() of an agreement and a summary of it, a sentence of the row in each. */
static int conflict_of_deal(const struct row *r, char why[200]) {
    static const char *const deal = "between Orlin Estates Limited (the \"Supplier\") and Pfeil Design Limited (the "
                                    "\"Customer\").\n\n";
    char a[600], b[600];
    bool decided;
    snprintf(a, sizeof a, "This Agreement is made %s%s\n", deal, r->a);
    snprintf(b, sizeof b, "Summary of the contract %s%s\n", deal, r->b);
    return conflict(a, b, &decided, why);
}

/* What only one can be or have, in two papers of one deal; -1: both can hold. */
static void test_roles(void **state) {
    (void)state;
    static const struct row roles[] = {
        {ANALYSIS_SEMANTIC, "This Agreement is governed by the law of England and Wales.",
         "The contract is governed by the law of Scotland."},
        {ANALYSIS_SEMANTIC, "This Agreement is governed by the law of England and Wales.",
         "The agreement of the parties is governed by the law of Scotland."},
        {ANALYSIS_PARTY, "The cost of fuel for private journeys is borne by the Customer.",
         "The Supplier pays for all fuel of the car, private journeys included."},
        {ANALYSIS_SEMANTIC, "The law of Scotland governs this Agreement.",
         "The contract is governed by the law of England."},
        {ANALYSIS_PARTY, "The risk of loss of the goods lies with the Supplier.",
         "The risk of loss of the goods is borne by the Customer."},
        {-1, "This Agreement is governed by English law.", "The contract is governed by the law of England."},
        {-1, "This Agreement is governed by Dutch law.", "The contract is governed by the law of the Netherlands."},
        {-1, "This Agreement is governed by the law of Norway.", "The guarantee is governed by the law of Denmark."},
        {-1, "This Agreement is governed by the law of Norway.", "This Agreement is governed by the law of Denmark."},
        {ANALYSIS_SEMANTIC, "The seat of the arbitration shall be London.", "The seat of arbitration is Zurich."},
        {ANALYSIS_MODALITY, "The Supplier is appointed on a non-exclusive basis.",
         "Orlin Estates Limited is the exclusive supplier of steel."},
        {-1, "The Supplier grants an exclusive licence to use the Designs.",
         "The Customer grants a non-exclusive licence to use its Marks."},
        {-1, "The prices are exclusive of value added tax.", "The Supplier is appointed on a non-exclusive basis."},
        {ANALYSIS_PARTY, "The Customer shall bear the risk of loss of the goods.",
         "The risk of loss of the goods is borne by the Supplier."},
        {-1, "The Customer shall bear the risk of loss of the goods.",
         "The Supplier shall bear the risk of loss of the samples."},
        {-1, "The Customer shall bear the cost of the tests.",
         "If a test fails, the Supplier shall bear the cost of the tests."},
        {ANALYSIS_PARTY, "All rights in the drawings vest in the Customer.",
         "The rights in the drawings remain with the Supplier."},
        {-1, "All rights in the drawings vest in the Customer.", "All rights in the tools remain with the Supplier."},
        {ANALYSIS_PARTY, "The Supplier shall provide the network connection of the workshop at no additional charge.",
         "The Customer shall provide the network connection of the workshop at its own expense."},
        {ANALYSIS_MODALITY, "Spare parts are not included in the annual fee.",
         "The Supplier supplies all spare parts without charge."},
        {-1, "Spare parts are not included in the annual fee.", "Lubricants are supplied free of charge."},
        {ANALYSIS_QUANTITY, "The Customer may extend the initial term once, by two years.",
         "The initial term can be extended twice, each time by two years."},
        {-1, "The pumps are tested once a year.", "The pumps are tested twice before delivery."},
        {ANALYSIS_SEMANTIC, "Any dispute shall be referred to arbitration in Bergen.",
         "Disputes go to arbitration in Turku."},
        {ANALYSIS_SEMANTIC, "Disputes shall be settled by arbitration in Bergen.",
         "A dispute between the parties is decided by the courts of Norway."},
        {-1, "Disputes shall be settled by arbitration in Bergen.",
         "A party may ask the courts of Norway for the seizure of goods."},
        {-1, "Disputes shall be settled by arbitration in Bergen.", "Any dispute goes to arbitration in Bergen."},
        {ANALYSIS_PARTY, "Copyright in the drawings of the tower vests in the Customer.",
         "The Supplier holds the copyright in the drawings of the tower."},
        {-1, "Copyright in the drawings of the tower vests in the Customer.",
         "The Supplier holds the copyright in the drawings of the pumps."},
        /* parties by one word of their names */
        {ANALYSIS_PERIOD, "The Customer shall pay each invoice within 30 days of its receipt.",
         "All in all, Pfeil pays invoices of Orlin within 45 days of receipt."},
        {ANALYSIS_PARTY, "The risk of loss of the goods is borne by the Customer.",
         "The risk of loss of the goods is borne by Orlin."},
        {-1, "The risk of loss of the goods is borne by the Supplier.",
         "The risk of loss of the goods is borne by Orlin."},
        {-1, "The Supplier shall keep the plans of the other party confidential.",
         "The Customer shall keep the plans of the other party confidential."},
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        char why[200];
        int class = conflict_of_deal(&roles[i], why);
        if (class != roles[i].class)
            fail_msg("%s | %s: want %d, have %d %s", roles[i].a, roles[i].b, roles[i].class, class, why);
    }
}

/* "The Foundation", where one party of the set is one; a letter that lists only whom it is written to. */
static void test_parties_that_only_one_paper_lists(void **state) {
    (void)state;
    bool decided;
    char why[200];
    const char *rules =
        "Rules of the programme\n\nAdopted by the Board of the Varn Foundation (the \"Foundation\").\n\nThe "
        "Foundation retains 10 % of the grant until the report has been approved.\n";
    const char *letter =
        "Letter of grant\n\nFrom the Varn Foundation to the Skerrin Boat Association.\n\nThe Foundation "
        "grants the Skerrin Boat Association (the \"Grantee\") the sum of EUR 48,000.\n\nThe Foundation "
        "retains 5 % of the grant until the report has been approved.\n";
    const char *other =
        "Letter of grant\n\nFrom the Orlin Trust to the Skerrin Boat Association.\n\nThe Trust grants the "
        "Skerrin Boat Association (the \"Grantee\") the sum of EUR 48,000.\n\nThe Trust retains 5 % of the "
        "grant until the report has been approved.\n";
    assert_int_equal(conflict(rules, letter, &decided, why), ANALYSIS_PERCENTAGE);
    assert_true(decided);
    assert_int_equal(conflict(rules, other, &decided, why), -1);
    const char *deed = "This deed is made between Varn Trust (the \"Settlor\") and Pfeil Design Limited (the "
                       "\"Agent\").\n\nThe risk of loss of the boats is borne by the Agent.\n";
    char text[300];
    static const char *const articles[] = {"the", "each"};
    for (int i = 0; i < 2; i++) {
        snprintf(
            text, sizeof text,
            "Note on the deed between Varn Trust and Pfeil Design Limited.\n\nThe risk of loss of the boats is borne "
            "by %s Trust.\n",
            articles[i]);
        assert_int_equal(conflict(deed, text, &decided, why), i ? -1 : ANALYSIS_PARTY);
    }
}

/* The same term defined by two papers, each in the statement of the same number; one sentence in both is no drift. */
static void test_terms_of_two_papers(void **state) {
    (void)state;
    static const char *const night =
        "\"Night Work\" means welding, lifting and cable laying in the tunnel between dusk and dawn.";
    static const struct row terms[] = {
        {ANALYSIS_TERM, night,
         "\"Night Work\" means every task of a foreman whose shift begins behind the depot after supper."},
        {-1, night, night},
    };
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
        char why[200];
        assert_int_equal(conflict_of_deal(&terms[i], why), terms[i].class);
    }
}

/* "We", "the Company": somebody else in each report. */
static void test_reports_of_two_companies_do_not_meet(void **state) {
    (void)state;
    bool decided;
    char why[200];
    const char *a = "ANNUAL REPORT\n\nORLIN ESTATES INC.\n\n(Exact name of registrant as specified in its charter)\n\n"
                    "Our cash and cash equivalents are USD 12.9 million.\n";
    const char *b = "ANNUAL REPORT\n\nPFEIL DESIGN CORPORATION\n\n(Exact name of registrant as specified in its "
                    "charter)\n\nOur cash and cash equivalents are USD 2.6 million.\n";
    const char *c = "QUARTERLY REPORT\n\nOrlin Estates Inc.\n\nOur cash and cash equivalents are USD 2.6 million.\n";
    const char *d = "LENDER'S NOTE\n\nPfeil Design Corporation\n\nThe borrower is Orlin Estates Inc.\n\nIts cash and "
                    "cash equivalents are USD 2.6 million.\n";
    assert_int_equal(conflict(a, b, &decided, why), -1);
    assert_int_equal(conflict(a, c, &decided, why), ANALYSIS_AMOUNT);
    assert_int_equal(conflict(a, d, &decided, why), ANALYSIS_AMOUNT);
}

/* A hospital's sheet on a machine and its maker's manual; two deals about such a machine are two deals. */
static void test_one_product_ties_maker_and_user(void **state) {
    (void)state;
    static const char *const texts[][2] = {
        {"This manual is published by Bremmer Laborbau GmbH (\"Bremmer\").\n\nUp to 99 programs can be stored.\n",
         "This sheet is issued by Ostenfeld Kliniken GmbH (\"Ostenfeld\").\n\nUp to 50 programs can be stored.\n"},
        {"This agreement is made between Bremmer Laborbau GmbH (the \"Seller\") and Halden Labor GmbH (the "
         "\"Buyer\").\n\nThe deposit is EUR 9,000.\n",
         "This agreement is made between Orlin Vertrieb GmbH (the \"Seller\") and Ostenfeld Kliniken GmbH (the "
         "\"Buyer\").\n\nThe deposit is EUR 12,000.\n"}};
    static const int classes[] = {ANALYSIS_QUANTITY, -1};
    for (int i = 0; i < 2; i++) {
        bool decided;
        char why[200];
        struct ingest_document *docs[] = {document("a.txt", texts[i][0]), document("b.txt", texts[i][1])};
        docs[0]->title = slice_of("Centrifuge TX-40: manual");
        docs[1]->title = slice_of("Users' sheet for the TX-40");
        assert_int_equal(conflict_of(docs, &decided, why), classes[i]);
    }
}

static void test_stems_meet(void **state) {
    (void)state;
    static const char *const same[][2] = {
        {"terminate", "termination"}, {"payment", "payable"},   {"deliveries", "deliver"},
        {"renewal", "renewed"},       {"invoices", "invoiced"}, {"buyer", "purchaser"},
        {"begins", "commence"},       {"paid", "payment"},      {"annual", "yearly"}};
    static const char *const other[][2] = {
        {"initial", "final"}, {"monthly", "yearly"}, {"supplier", "customer"}, {"rent", "interest"}};
    struct arena a = {0};
    struct lexicon x;
    struct error e = {0};
    assert_int_equal(lexicon_init(&x, &a, &e), 0);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (lexicon_word(&x, same[i][0], strlen(same[i][0])) != lexicon_word(&x, same[i][1], strlen(same[i][1])))
            fail_msg("%s %s", same[i][0], same[i][1]);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_true(lexicon_word(&x, other[i][0], strlen(other[i][0])) !=
                    lexicon_word(&x, other[i][1], strlen(other[i][1])));
    lexicon_free(&x);
    arena_free(&a);
}

static void test_old_text_stands_as_whole_words(void **state) {
    (void)state;
    assert_int_equal(precedence_find(slice_of("24 spaces"), slice_of("24")), 0);
    assert_true(precedence_find(slice_of("1,240 m"), slice_of("24")) == SIZE_MAX);
    assert_true(precedence_find(slice_of("124 m"), slice_of("24")) == SIZE_MAX);
    assert_true(precedence_find(slice_of("EUR 5,000,000"), slice_of("EUR 5,000")) == SIZE_MAX);
    assert_int_equal(precedence_find(slice_of("of EUR 5,000."), slice_of("EUR 5,000")), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_why_computes),
        cmocka_unit_test(test_words_against_figures_in_one_sentence),
        cmocka_unit_test(test_exception_that_names_the_section_is_no_conflict),
        cmocka_unit_test(test_unrelated_parties_do_not_meet),
        cmocka_unit_test(test_only_the_named_paper_loses),
        cmocka_unit_test(test_a_note_repeats_what_prevails),
        cmocka_unit_test(test_two_contracts_in_other_roles),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_terms_of_two_papers),
        cmocka_unit_test(test_parties_that_only_one_paper_lists),
        cmocka_unit_test(test_totals),
        cmocka_unit_test(test_topic_of_a_long_report),
        cmocka_unit_test(test_reports_of_two_companies_do_not_meet),
        cmocka_unit_test(test_one_product_ties_maker_and_user),
        cmocka_unit_test(test_stems_meet),
        cmocka_unit_test(test_old_text_stands_as_whole_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
