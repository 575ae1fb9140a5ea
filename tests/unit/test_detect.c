/* test_detect.c: the rules over whole sets of documents. The gold lists under tests/data/detect say what must be
 * found with which status, and which look-alikes must never be called a contradiction; most were written before the
 * detectors ran on them, but some labels were changed after a run. Words stand in the statement.
 */
#include "engine/analysis/analysis.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DOCS_MAX 8

struct set {
    struct ingest_document *docs[DOCS_MAX];
    size_t n;
    struct arena arena;
    struct analysis_pair *pairs;
    size_t n_pairs;
};

static void set_load(struct set *s, const char *folder, const char *const *names) {
    memset(s, 0, sizeof *s);
    for (; names[s->n]; s->n++) {
        char path[200];
        struct error e = {0};
        snprintf(path, sizeof path, "tests/data/detect/%s/%s", folder, names[s->n]);
        struct ingest_options o = ingest_options_default();
        o.in_process = true;
        if (ingest_document_load(&s->docs[s->n], path, &o, &e)) fail_msg("%s: %s", path, e.message);
    }
    struct error e = {0};
    if (analysis_detect((const struct ingest_document *const *)s->docs, s->n, &s->arena, &s->pairs, &s->n_pairs, &e))
        fail_msg("%s", e.message);
}

static void set_free(struct set *s) {
    for (size_t i = 0; i < s->n; i++) ingest_document_free(s->docs[i]);
    arena_free(&s->arena);
}

static struct slice statement_text(const struct set *s, const struct analysis_side *side) {
    const struct ingest_document *d = s->docs[side->document];
    return ingest_text(d, d->statements[side->statement].span);
}

static bool has(struct slice t, const char *words) {
    return memmem(t.data, t.len, words, strlen(words)) != NULL;
}

static bool is_pair(const struct set *s, const struct analysis_pair *p, const char *x, const char *y) {
    struct slice a = statement_text(s, &p->a), b = statement_text(s, &p->b);
    return (has(a, x) && has(b, y)) || (has(a, y) && has(b, x));
}

/* Every promise of the interface that can be checked without knowing the documents. */
static void check_shape(const struct set *s) {
    for (size_t i = 0; i < s->n_pairs; i++) {
        const struct analysis_pair *p = &s->pairs[i];
        assert_true(p->sameness >= 0 && p->sameness <= 1);
        assert_true(p->why.len > 0);
        const struct analysis_side *sides[] = {&p->a, &p->b};
        for (int k = 0; k < 2; k++) {
            assert_true(sides[k]->document < s->n);
            const struct ingest_document *d = s->docs[sides[k]->document];
            assert_true(sides[k]->statement < d->n_statements);
            assert_true(sides[k]->span.start < sides[k]->span.end);
            const struct ingest_statement *st = &d->statements[sides[k]->statement];
            bool inside = sides[k]->span.start >= st->span.start && sides[k]->span.end <= st->span.end;
            bool lead = sides[k]->span.start >= st->lead_in.start && sides[k]->span.end <= st->lead_in.end;
            assert_true(inside || lead);
        }
        assert_true(p->a.document < p->b.document ||
                    (p->a.document == p->b.document && p->a.statement <= p->b.statement));
        bool by = p->by.document != INGEST_NONE;
        assert_int_equal(by, p->status == ANALYSIS_SUPERSEDED || p->status == ANALYSIS_RESOLVED);
        if (by) assert_true(p->by.document < s->n && p->by.statement < s->docs[p->by.document]->n_statements);
    }
}

static const char *const statuses[] = {"contradiction", "resolved", "superseded", "uncertain"};

/* Runs a gold list: all but `missing` are found with their status; no look-alike is a contradiction; nothing else is
 * decided. */
static void check_gold(const char *folder, const char *const *names, int missing) {
    struct set s;
    set_load(&s, folder, names);
    check_shape(&s);
    char path[200], line[600];
    snprintf(path, sizeof path, "tests/data/detect/%s/gold.tsv", folder);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    bool *explained = calloc(s.n_pairs + 1, sizeof *explained);
    int missed = 0, wanted = 0;
    while (fgets(line, sizeof line, f)) {
        char *fields[5] = {0}, *save = NULL;
        if (line[0] == '#') continue;
        line[strcspn(line, "\n")] = 0;
        int n = 0;
        for (char *t = strtok_r(line, "\t", &save); t && n < 5; t = strtok_r(NULL, "\t", &save)) fields[n++] = t;
        if (n < 5) continue;
        bool find = !strcmp(fields[0], "find"), found = false;
        for (size_t i = 0; i < s.n_pairs; i++) {
            if (!is_pair(&s, &s.pairs[i], fields[3], fields[4])) continue;
            if (find) {
                explained[i] = true;
                found |= !strcmp(statuses[s.pairs[i].status], fields[2]);
            } else if (s.pairs[i].status == ANALYSIS_CONTRADICTION) {
                fail_msg("%s: look-alike taken for a contradiction: %s | %s: %.*s", folder, fields[3], fields[4],
                         (int)s.pairs[i].why.len, s.pairs[i].why.data);
            }
        }
        if (!find) continue;
        wanted++;
        if (!found) {
            missed++;
            print_message("%s: not found as %s: %s | %s\n", folder, fields[2], fields[3], fields[4]);
        }
    }
    fclose(f);
    for (size_t i = 0; i < s.n_pairs; i++)
        if (!explained[i] && s.pairs[i].status == ANALYSIS_CONTRADICTION)
            fail_msg("%s: reported, but not planted: %.*s", folder, (int)s.pairs[i].why.len, s.pairs[i].why.data);
    free(explained);
    print_message("%s: %d of %d found\n", folder, wanted - missed, wanted);
    assert_true(missed <= missing);
    set_free(&s);
}

static void test_lease_with_amendment_rules_and_summary(void **state) {
    (void)state;
    const char *const names[] = {"lease.md", "amendment.md", "house-rules.md", "summary.md", NULL};
    check_gold("lease", names, 0);
}
static void test_manual_against_datasheet_and_bulletin(void **state) {
    (void)state;
    const char *const names[] = {"manual.md", "datasheet.md", "service.md", NULL};
    check_gold("pump", names,
               1); /* "The battery runs the pump for at least eight hours" against a row "Battery operating time" */
}
static void test_facility_term_sheet_and_fee_letter(void **state) {
    (void)state;
    const char *const names[] = {"facility.md", "term-sheet.md", "fee-letter.md", "compliance.md", NULL};
    check_gold("loan", names, 0);
}
static void test_services_with_an_order_of_precedence(void **state) {
    (void)state;
    const char *const names[] = {"msa.md", "dpa.md", "sow.md", "guide.md", "security.md", "security-old.md", NULL};
    check_gold("services", names, 1); /* notice of subprocessors against their consent: two conditions */
}
static void test_contract_handbook_and_offer(void **state) {
    (void)state;
    const char *const names[] = {"contract.md", "handbook.md", "offer.md", NULL};
    check_gold("hr", names,
               2); /* "employed from" against "you start on"; "must be approved" against "does not require approval" */
}

static void test_protocol_consent_and_pharmacy_manual(void **state) {
    (void)state;
    const char *const names[] = {"protocol.md", "consent.md", "pharmacy.md", NULL};
    check_gold("trial", names,
               2); /* "240 people will take part at 20 sites", "increased to a maximum of": said in quite other words */
}
static void test_policy_schedule_and_brokers_summary(void **state) {
    (void)state;
    const char *const names[] = {"policy.md", "schedule.md", "broker.md", NULL};
    check_gold("insurance", names, 0);
}

static bool side_holds(const struct set *s, const struct analysis_side *x, const json_t *planted) {
    const char *doc = json_string_value(json_object_get(planted, "document")),
               *words = json_string_value(json_object_get(planted, "words"));
    struct slice name = s->docs[x->document]->name;
    size_t n = strlen(doc);
    return name.len >= n && !memcmp(name.data + name.len - n, doc, n) && has(statement_text(s, x), words);
}

static bool pair_holds(const struct set *s, const struct analysis_pair *p, const json_t *row) {
    const json_t *a = json_object_get(row, "a"), *b = json_object_get(row, "b");
    return (side_holds(s, &p->a, a) && side_holds(s, &p->b, b)) || (side_holds(s, &p->a, b) && side_holds(s, &p->b, a));
}

/* The sets of tests/eval by the rules alone, decided or not: at least `least` of the planted pairs with their status,
 * no look-alike decided, at most `extra` decided contradictions that are neither. tests/eval/RESULTS.md says which. */
static void check_eval_set(const char *folder, const char *const *names, int least, int extra) {
    struct set s;
    char path[200];
    snprintf(path, sizeof path, "../../eval/sets/%s", folder);
    set_load(&s, path, names);
    check_shape(&s);
    snprintf(path, sizeof path, "tests/eval/sets/%s/gold.json", folder);
    json_error_t je;
    json_t *gold = json_load_file(path, JSON_REJECT_DUPLICATES, &je), *row;
    assert_non_null(gold);
    int found = 0, others = 0;
    size_t i;
    bool *planted = calloc(s.n_pairs + 1, sizeof *planted);
    assert_non_null(planted);
    json_array_foreach(json_object_get(gold, "planted"), i, row) {
        bool hit = false;
        for (size_t k = 0; k < s.n_pairs; k++) {
            if (!pair_holds(&s, &s.pairs[k], row)) continue;
            planted[k] = true;
            hit |= !strcmp(statuses[s.pairs[k].status], json_string_value(json_object_get(row, "status")));
        }
        found += hit;
    }
    for (size_t k = 0; k < s.n_pairs; k++) {
        if (planted[k] || s.pairs[k].status != ANALYSIS_CONTRADICTION || !s.pairs[k].decided) continue;
        others++;
        json_array_foreach(json_object_get(gold, "lookalikes"), i, row) if (pair_holds(&s, &s.pairs[k], row)) fail_msg(
            "%s: look-alike taken for a contradiction: %.*s", folder, (int)s.pairs[k].why.len, s.pairs[k].why.data);
    }
    print_message("%s: %d found, %d others\n", folder, found, others);
    assert_true(found >= least);
    assert_true(others <= extra);
    free(planted);
    json_decref(gold);
    set_free(&s);
}

static void test_sets_written_for_measuring(void **state) {
    (void)state;
    static const char *const hosting[] = {"amendment-1.md", "charges.md",           "exit-plan.md",
                                          "framework.md",   "security-addendum.md", "service-levels.md",
                                          "sow-01.md",      "summary.md",           NULL};
    static const char *const centrifuge[] = {
        "annex.md",  "datasheet.md",     "installation.md",     "maintenance-plan.md",
        "manual.md", "safety-notice.md", "service-contract.md", "training.md",
        NULL};
    static const char *const brewery[] = {"articles.md",     "board-paper.md",  "bottling.md", "service.md",
                                          "shareholders.md", "subscription.md", NULL};
    static const char *const solar[] = {"epc.md",       "lease.md",        "lender-note.md",
                                        "operation.md", "requirements.md", NULL};
    static const char *const clinic[] = {"agreement.md",      "patient-guide.md", "policy.md",
                                         "staff-handbook.md", "variation.md",     NULL};
    static const char *const grant[] = {"budget.md", "guide.md", "letter.md", "minutes.md", "rules.md", NULL};
    static const char *const charter[] = {"addendum.md",     "charterparty.md", "checklist.md",
                                          "instructions.md", "manual.md",       NULL};
    check_eval_set("hosting", hosting, 20, 0);
    check_eval_set("centrifuge", centrifuge, 20, 0);
    check_eval_set("brewery", brewery, 10, 0);
    check_eval_set("solar", solar, 14, 0);
    check_eval_set("clinic", clinic, 13, 0);
    check_eval_set("grant", grant, 10, 0);
    check_eval_set("charter", charter, 10, 0);
}

static void test_order_of_documents_changes_nothing(void **state) {
    (void)state;
    const char *const forth[] = {"facility.md", "term-sheet.md", "fee-letter.md", "compliance.md", NULL};
    const char *const back[] = {"compliance.md", "fee-letter.md", "term-sheet.md", "facility.md", NULL};
    struct set a, b;
    set_load(&a, "loan", forth);
    set_load(&b, "loan", back);
    assert_int_equal(a.n_pairs, b.n_pairs);
    for (size_t i = 0; i < a.n_pairs; i++) {
        bool found = false;
        for (size_t k = 0; k < b.n_pairs; k++)
            found |= a.pairs[i].class == b.pairs[k].class && a.pairs[i].status == b.pairs[k].status &&
                     ((slice_equal(statement_text(&a, &a.pairs[i].a), statement_text(&b, &b.pairs[k].a)) &&
                       slice_equal(statement_text(&a, &a.pairs[i].b), statement_text(&b, &b.pairs[k].b))) ||
                      (slice_equal(statement_text(&a, &a.pairs[i].a), statement_text(&b, &b.pairs[k].b)) &&
                       slice_equal(statement_text(&a, &a.pairs[i].b), statement_text(&b, &b.pairs[k].a))));
        assert_true(found);
    }
    set_free(&a);
    set_free(&b);
}

static void test_two_runs_give_the_same(void **state) {
    (void)state;
    const char *const names[] = {"lease.md", "amendment.md", "house-rules.md", "summary.md", NULL};
    struct set a, b;
    set_load(&a, "lease", names);
    set_load(&b, "lease", names);
    assert_int_equal(a.n_pairs, b.n_pairs);
    for (size_t i = 0; i < a.n_pairs; i++) {
        assert_true(slice_equal(a.pairs[i].why, b.pairs[i].why));
        assert_true(a.pairs[i].sameness == b.pairs[i].sameness);
        assert_int_equal(a.pairs[i].a.statement, b.pairs[i].a.statement);
        assert_int_equal(a.pairs[i].b.statement, b.pairs[i].b.statement);
    }
    set_free(&a);
    set_free(&b);
}

static void test_no_documents_no_pairs(void **state) {
    (void)state;
    struct arena a = {0};
    struct analysis_pair *pairs;
    size_t n = 7;
    struct error e = {0};
    assert_int_equal(analysis_detect(NULL, 0, &a, &pairs, &n, &e), 0);
    assert_int_equal(n, 0);
    struct ingest_document empty = {
        .name = SLICE_LITERAL("empty.txt"), .title = SLICE_LITERAL("empty.txt"), .text = SLICE_LITERAL("")};
    struct ingest_section root = {.parent = INGEST_NONE};
    empty.sections = &root;
    empty.n_sections = 1;
    const struct ingest_document *docs[] = {&empty, &empty};
    assert_int_equal(analysis_detect(docs, 2, &a, &pairs, &n, &e), 0);
    assert_int_equal(n, 0);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease_with_amendment_rules_and_summary),
        cmocka_unit_test(test_manual_against_datasheet_and_bulletin),
        cmocka_unit_test(test_facility_term_sheet_and_fee_letter),
        cmocka_unit_test(test_services_with_an_order_of_precedence),
        cmocka_unit_test(test_contract_handbook_and_offer),
        cmocka_unit_test(test_protocol_consent_and_pharmacy_manual),
        cmocka_unit_test(test_policy_schedule_and_brokers_summary),
        cmocka_unit_test(test_sets_written_for_measuring),
        cmocka_unit_test(test_order_of_documents_changes_nothing),
        cmocka_unit_test(test_two_runs_give_the_same),
        cmocka_unit_test(test_no_documents_no_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
