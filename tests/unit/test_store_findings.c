/* test_store_findings.c: verdicts find their findings again, come in order, and go with the documents. */
#include "tests/unit/store_fixture.h"

static struct store_finding_key key(uint8_t anchor, int64_t a, int64_t b, int64_t by) {
    return (struct store_finding_key){.anchor = {anchor}, .documents = {a, b, by}};
}

static struct store_finding find(struct fixture *f, struct store_finding_key k) {
    struct store_finding out;
    OK(store_findings(f->s, &f->a, f->set, &k, 1, &out, &err));
    return out;
}

static const struct store_review dismissed = {STORE_REVIEW_DISMISSED, {"qzreason", 8}, {"qznote", 6}, 0};

static void test_a_finding_keeps_its_id_and_its_last_review(void **state) {
    struct fixture *f = *state;
    int64_t a = add_ready(f->s, f->set, "a.txt", "One.\n"), b = add_ready(f->s, f->set, "b.txt", "Two.\n"), other;
    struct store_finding_key keys[] = {key(1, a, b, 0), key(2, a, a, b), key(1, a, b, 0)};
    struct store_finding out[3], one;
    struct store_review *history;
    size_t n;
    OK(store_findings(f->s, &f->a, f->set, keys, 3, out, &err));
    assert_true(out[0].id > 0 && out[1].id > 0 && out[0].id != out[1].id);
    assert_int_equal(out[2].id, out[0].id);
    assert_int_equal(out[0].revision, 0);
    assert_int_equal(out[0].review.state, STORE_REVIEW_NEW);
    OK(store_finding_review(f->s, out[0].id, &dismissed, 0, &err));
    FAILS(ERR_CANCELLED, store_finding_review(f->s, out[0].id, &dismissed, 0, &err)); /* not the last any more */
    FAILS(ERR_NOT_FOUND, store_finding_review(f->s, 99, &dismissed, 0, &err));
    one = find(f, keys[0]);
    assert_int_equal(one.review.state, STORE_REVIEW_DISMISSED);
    assert_true(slice_equal(one.review.reason, dismissed.reason) && slice_equal(one.review.note, dismissed.note));
    assert_true(one.review.at > 0 && one.revision > 0);
    struct store_review again = {STORE_REVIEW_CONFIRMED, {"", 0}, {"", 0}, 0};
    OK(store_finding_review(f->s, one.id, &again, one.revision, &err));
    store_close(f->s);
    OK(store_open(&f->s, f->dir, &err));
    OK(store_finding_find(f->s, &f->a, out[0].id, &one, &history, &n, &err));
    assert_int_equal(one.set, f->set);
    assert_int_equal(n, 2);
    assert_int_equal(history[0].state, STORE_REVIEW_DISMISSED);
    assert_int_equal(history[1].state, STORE_REVIEW_CONFIRMED);
    assert_int_equal(one.review.state, STORE_REVIEW_CONFIRMED);
    assert_int_equal(find(f, keys[1]).review.state, STORE_REVIEW_NEW);
    /* the same anchor in another set is another finding */
    OK(store_set_create(f->s, SLICE_LITERAL("other"), &other, &err));
    int64_t c = add_ready(f->s, other, "a.txt", "One.\n");
    struct store_finding_key there = key(1, c, c, 0);
    OK(store_findings(f->s, &f->a, other, &there, 1, &one, &err));
    assert_int_not_equal(one.id, out[0].id);
    /* a document of another set, or none, makes none */
    assert_int_equal(find(f, key(7, a, c, 0)).id, 0);
    assert_int_equal(find(f, key(8, a, 99, 0)).id, 0);
}

static void test_a_finding_goes_with_the_last_bytes_of_a_side(void **state) {
    struct fixture *f = *state;
    struct store_finding one;
    struct store_review *history;
    size_t n;
    int64_t a = add_ready(f->s, f->set, "a.txt", "One.\n"), b = add_ready(f->s, f->set, "b.txt", "Two.\n");
    int64_t by = add_ready(f->s, f->set, "by.txt", "Three.\n");
    int64_t id = find(f, key(1, a, b, 0)).id, settled = find(f, key(2, a, b, by)).id;
    OK(store_finding_review(f->s, id, &dismissed, 0, &err));
    int64_t newer = add_ready(f->s, f->set, "a.txt", "One, and more.\n");
    OK(store_document_delete(f->s, by, &f->a, NULL, &err));
    FAILS(ERR_NOT_FOUND, store_finding_find(f->s, &f->a, settled, &one, &history, &n, &err));
    assert_int_equal(find(f, key(1, newer, b, 0)).id, id); /* found again in the newer version */
    OK(store_document_delete(f->s, a, &f->a, NULL, &err));
    assert_int_equal(find(f, key(1, newer, b, 0)).review.state, STORE_REVIEW_DISMISSED);
    assert_false(nowhere(f->dir, "qznote"));
    OK(store_document_delete(f->s, newer, &f->a, NULL, &err));
    FAILS(ERR_NOT_FOUND, store_finding_find(f->s, &f->a, id, &one, &history, &n, &err));
    assert_true(nowhere(f->dir, "qznote"));
    assert_true(nowhere(f->dir, "qzreason"));
}

static void test_findings_go_with_their_set_not_with_another(void **state) {
    struct fixture *f = *state;
    int64_t other, a = add_ready(f->s, f->set, "a.txt", "One.\n");
    struct store_finding_key k = key(1, a, a, 0), there;
    struct store_finding one;
    OK(store_finding_review(f->s, find(f, k).id, &dismissed, 0, &err));
    OK(store_set_create(f->s, SLICE_LITERAL("other"), &other, &err));
    int64_t b = add_ready(f->s, other, "a.txt", "One.\n");
    there = key(1, b, b, 0);
    OK(store_findings(f->s, &f->a, other, &there, 1, &one, &err));
    OK(store_set_delete(f->s, other, &err));
    assert_int_equal(find(f, k).review.state, STORE_REVIEW_DISMISSED);
    OK(store_findings(f->s, &f->a, other, &there, 1, &one, &err));
    assert_int_equal(one.id, 0);
    OK(store_set_delete(f->s, f->set, &err));
    assert_true(nowhere(f->dir, "qznote"));
}

static void review_and_close(void *dir) {
    struct store *s;
    if (store_open(&s, dir, &err)) return;
    struct arena a = {0};
    struct store_finding_key k = key(1, 1, 1, 0);
    struct store_finding one;
    if (store_findings(s, &a, 1, &k, 1, &one, &err) == 0 && one.revision == 0)
        store_finding_review(s, one.id, &dismissed, 0, &err);
    arena_free(&a);
    store_close(s);
}

/* Killed before any statement, a review is whole or not there. */
static void test_a_review_that_died_is_whole_or_not_there(void **state) {
    struct fixture *f = *state;
    int64_t a = add_ready(f->s, f->set, "a.txt", "One.\n");
    assert_int_equal(a, 1);
    store_close(f->s);
    for (int n = 1; !survives(n, review_and_close, f->dir); n++) {
        OK(store_open(&f->s, f->dir, &err));
        struct store_finding one = find(f, key(1, a, a, 0));
        assert_true(one.id > 0);
        assert_true(one.revision == 0 || slice_equal(one.review.note, dismissed.note));
        store_close(f->s);
    }
    OK(store_open(&f->s, f->dir, &err));
    assert_int_equal(find(f, key(1, a, a, 0)).review.state, STORE_REVIEW_DISMISSED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_finding_keeps_its_id_and_its_last_review),
        TEST(test_a_finding_goes_with_the_last_bytes_of_a_side),
        TEST(test_findings_go_with_their_set_not_with_another),
        TEST(test_a_review_that_died_is_whole_or_not_there),
    };
    return cmocka_run_group_tests_name("store_findings", tests, NULL, NULL);
}
