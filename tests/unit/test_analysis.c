/* Questions and reports end to end, with the bundled model, over small documents written here: places, offsets,
 * negation, readings that are kept bit for bit, abstention, the set that is larger than the window, a bad file beside a
 * good one. */
#include "engine/analysis/inside.h"

#include "tests/unit/store_fixture.h"

static char *dir;
static struct store *store;
static struct jamba_model *model;
static struct analysis *an;

static const char AGREEMENT[] =
    "SUPPLY AGREEMENT\n\n"
    "This Agreement is dated 4 March 2023 and is made between Brightwater Pumps Ltd (the “Supplier”) and Harrow Foods "
    "plc (the “Buyer”).\n\n"
    "1. Delivery\n\n"
    "1.1 The Supplier shall deliver the pumps to the Buyer’s plant in Leeds within forty-five (45) days of each "
    "order.\n\n"
    "1.2 Risk in the goods passes to the Buyer on delivery.\n\n"
    "2. Payment\n\n"
    "2.1 The Buyer shall pay each invoice within thirty (30) days of receipt.\n\n"
    "2.2 Late sums bear interest at 6 % a year.\n\n"
    "3. Liability\n\n"
    "3.1 The Supplier shall not be liable for loss of profit or for any indirect loss.\n\n"
    "3.2 The Supplier’s total liability is limited to £250,000.\n\n"
    "4. General\n\n"
    "4.1 All notices must be sent in writing to the registered office of the other party.\n";
static const char POLICY[] = "Purchasing policy\n\n"
                             "Effective 1 July 2024\n\n"
                             "Orders above £10,000 need the signature of the finance director.\n\n"
                             "All notices must be sent in writing to the registered\noffice of the other party.\n\n"
                             "Every supplier’s warehouse is inspected once a year.\n";
static const char GUIDE[] = "Guide for café staff\n\n"
                            "Effective 9 May 2022\n\n"
                            "The café opens at 7 a.m. on weekdays. Dogs are welcome on the terrace.\n\n"
                            "All notices must be sent in writing to the registered office of the other party.\n";

static int64_t add(int64_t set, const char *name, const void *text, size_t len) {
    char path[600];
    int64_t doc, job;
    snprintf(path, sizeof path, "%s/upload", dir);
    OK(file_write_atomic(path, text, len, &err));
    OK(store_document_add(store, set, path, slice_of(name), &doc, &job, &err));
    return doc;
}

static void ingest_all(void) {
    for (bool worked = true; worked;) OK(analysis_ingest_next(an, NULL, &worked, &err));
}

static int64_t new_set(const char *name, size_t n_docs) {
    static const char *const names[] = {"agreement.txt", "policy.txt", "guide.txt"};
    static const char *const texts[] = {AGREEMENT, POLICY, GUIDE};
    int64_t set;
    OK(store_set_create(store, slice_of(name), &set, &err));
    for (size_t i = 0; i < n_docs; i++) add(set, names[i], texts[i], strlen(texts[i]));
    ingest_all();
    return set;
}

static int open_all(void **state) {
    (void)state;
#ifdef __SANITIZE_THREAD__
    /* TSan's shadow memory does not fit the child's limits: there the plain program is the child. */
    if (getenv("ANTINOMY")) ingest_child_program(getenv("ANTINOMY"));
#endif
    dir = dir_new();
    OK(store_open(&store, dir, &err));
    OK(jamba_model_open(&model, "engine/models", NULL, &err));
    OK(analysis_open(&an, store, model, &err));
    return 0;
}

static int close_all(void **state) {
    (void)state;
    analysis_close(an);
    jamba_model_close(model);
    store_close(store);
    dir_free(dir);
    return 0;
}

static json_t *ask(int64_t set, const char *question, bool without_model) {
    struct arena a = {0};
    struct slice json = {0};
    struct analysis_ask_options o = {.without_model = without_model};
    OK(analysis_ask(an, set, slice_of(question), &o, NULL, &a, &json, &err));
    json_t *j = json_loadb(json.data, json.len, 0, NULL);
    assert_non_null(j);
    arena_free(&a);
    return j;
}

static const char *str(const json_t *o, const char *name) {
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static json_int_t number(const json_t *o, const char *name) {
    return json_integer_value(json_object_get(o, name));
}

static size_t byte_at(struct slice s, json_int_t characters) {
    size_t i = 0;
    for (; characters > 0; characters--) {
        uint32_t cp;
        int k = utf8_decode(s.data + i, s.len - i, &cp);
        assert_true(k > 0);
        i += (size_t)k;
    }
    return i;
}

/* What everyone who reads the JSON may rely on: characters start..end of the document's text are the quote's last
 * words, exactly. */
static void check_citation(int64_t set, const json_t *c) {
    struct arena a = {0};
    struct store_document d;
    struct ingest_document *doc;
    OK(store_document_by_name(store, &a, set, slice_of(str(c, "document")), &d, &err));
    assert_int_equal(number(c, "document_id"), d.id);
    OK(store_document_load(store, d.id, &doc, &err));
    size_t from = byte_at(doc->text, number(c, "start")), to = byte_at(doc->text, number(c, "end"));
    const char *quote = str(c, "quote");
    assert_true(to > from && to - from <= strlen(quote));
    assert_memory_equal(doc->text.data + from, quote + strlen(quote) - (to - from), to - from);
    /* all of them: the quote, or, where a lead-in stands before it, the statement from its first character on */
    uint32_t st = ingest_statement_at(doc, (uint32_t)from);
    assert_true(st != INGEST_NONE);
    assert_true(to - from == strlen(quote) || doc->statements[st].span.start == from);
    assert_true(number(c, "page") == 1);
    const json_t *marks = json_object_get(c, "marks"), *also = json_object_get(c, "also");
    for (size_t i = 0; i < json_array_size(marks); i++) {
        const json_t *m = json_array_get(marks, i);
        assert_true(number(m, "start") < number(m, "end"));
    }
    for (size_t i = 0; i < json_array_size(also); i++) check_citation(set, json_array_get(also, i));
    ingest_document_free(doc);
    arena_free(&a);
}

static const json_t *first_citation(int64_t set, const json_t *j) {
    const json_t *list = json_object_get(j, "citations");
    if (json_array_size(list) == 0) {
        char *text = json_dumps(j, JSON_INDENT(1));
        print_error("%s\n", text);
        free(text);
    }
    assert_true(json_array_size(list) > 0);
    for (size_t i = 0; i < json_array_size(list); i++) check_citation(set, json_array_get(list, i));
    return json_array_get(list, 0);
}

static void test_an_answer_is_a_quote_with_its_place(void **state) {
    (void)state;
    int64_t set = new_set("place", 3);
    json_t *j = ask(set, "Within how many days must the Buyer pay an invoice?", false);
    assert_string_equal(str(j, "status"), "answered");
    const json_t *c = first_citation(set, j);
    assert_string_equal(str(c, "document"), "agreement.txt");
    assert_non_null(strstr(str(c, "quote"), "within thirty (30) days of receipt"));
    assert_non_null(strstr(str(c, "section"), "2"));
    assert_non_null(strstr(str(c, "quote"), str(j, "answer"))); /* the answer's words stand in what is shown */
    const json_t *coverage = json_object_get(j, "coverage");
    assert_string_equal(str(coverage, "chosen_by"), "whole_set");
    assert_int_equal(number(coverage, "tokens_read"), number(coverage, "tokens_in_set"));
    assert_true(number(coverage, "tokens_read") > 200);
    json_decref(j);
}

static void test_one_sentence_in_three_documents_gives_all_places(void **state) {
    (void)state;
    int64_t set = new_set("three", 3);
    json_t *j = ask(set, "How must notices be sent?", false);
    assert_string_equal(str(j, "status"), "answered");
    const json_t *c = first_citation(set, j), *also = json_object_get(c, "also");
    assert_non_null(strstr(str(c, "quote"), "All notices must be sent in writing"));
    assert_int_equal(json_array_size(also), 2);
    unsigned seen = 0;
    const char *names[] = {"agreement.txt", "policy.txt", "guide.txt"};
    for (unsigned k = 0; k < 3; k++) {
        if (strcmp(str(c, "document"), names[k]) == 0) seen |= 1u << k;
        for (size_t i = 0; i < 2; i++)
            if (strcmp(str(json_array_get(also, i), "document"), names[k]) == 0) seen |= 1u << k;
    }
    assert_int_equal(seen, 7);
    /* of the other two the newer document comes first: policy 2024, agreement 2023, guide 2022 */
    if (strcmp(str(c, "document"), "policy.txt") == 0)
        assert_string_equal(str(json_array_get(also, 0), "document"), "agreement.txt");
    else
        assert_string_equal(str(json_array_get(also, 0), "document"), "policy.txt");
    json_decref(j);
}

static void test_a_shall_not_stays_in_view(void **state) {
    (void)state;
    int64_t set = new_set("negation", 1);
    json_t *j = ask(set, "Is the Supplier liable for loss of profit?", false);
    const json_t *c = first_citation(set, j);
    assert_non_null(strstr(str(c, "quote"), "shall not be liable for loss of profit"));
    assert_non_null(strstr(str(j, "answer"), "not"));
    json_decref(j);
}

static void test_what_the_documents_do_not_say_is_said(void **state) {
    (void)state;
    int64_t set = new_set("none", 1);
    json_t *j = ask(set, "Which colour must the delivery vans be painted?", false);
    assert_string_equal(str(j, "status"), "not_in_documents");
    assert_int_equal(json_array_size(json_object_get(j, "citations")), 0);
    const json_t *near = json_object_get(j, "nearest");
    assert_true(json_array_size(near) > 0);
    for (size_t i = 0; i < json_array_size(near); i++) check_citation(set, json_array_get(near, i));
    assert_string_equal(str(j, "answer"), "The documents do not say.");
    json_decref(j);
}

/* Where the search found nothing near, and nothing that leads, another threshold holds; "decision" says which. */
static void test_what_the_search_found_moves_the_threshold(void **state) {
    (void)state;
    static const char question[] = "Is the Supplier liable for loss of profit?";
    int64_t set = new_set("near and far", 1);
    struct card card = an->card;
    const struct {
        float cosine, lead, far;
        double threshold;
        const char *status;
    } rows[] = {
        {2, 100, 0, 0, "not_in_documents"},
        {2, 100, 1, 1, "answered"},
        {2, 0, 0, 0.5, "answered"},
        {-2, 100, 0, 0.5, "answered"}, /* it leads; it is near */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        an->card.far.cosine = rows[i].cosine;
        an->card.far_lead = rows[i].lead;
        an->card.far.threshold = rows[i].far;
        json_t *j = ask(set, question, false);
        double threshold = json_number_value(json_object_get(json_object_get(j, "decision"), "threshold"));
        if (threshold != rows[i].threshold || strcmp(str(j, "status"), rows[i].status) != 0)
            fail_msg("row %zu: %s, threshold %g", i, str(j, "status"), threshold);
        json_decref(j);
    }
    an->card.remote = (struct card_bound){2, 0}; /* whether it leads or not */
    json_t *j = ask(set, question, false);
    assert_string_equal(str(j, "status"), "not_in_documents");
    json_decref(j);
    an->card = card;
}

/* Among statements about the same matter the one that states the kind of value that is asked for stands first; near and
 * with the question's own figures it is shown although P(none) is high. */
static void test_a_statement_with_the_value_that_is_asked_for_is_preferred(void **state) {
    (void)state;
    static const char desk[] = "Service desk\n\nA complaint about a pump is answered by the service desk in writing. "
                               "The desk replies within ten "
                               "(10) working days. The manager reads each complaint about a pump.\n";
    static const char question[] = "How quickly is a complaint about a pump answered?";
    int64_t set;
    OK(store_set_create(store, slice_of("service desk"), &set, &err));
    add(set, "desk.txt", desk, strlen(desk));
    ingest_all();
    struct card card = an->card;
    const struct {
        const char *question;
        float weight;
        bool first;
    } rows[] = {{question, 0, false}, {question, 1, true}, {"Who reads each complaint about a pump?", 1, false}};
    OK(embed_missing(an, set, NULL, NULL, NULL, &err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena a = {0};
        struct corpus *c;
        struct place *places;
        size_t n;
        an->card.value_weight = rows[i].weight;
        OK(corpus_acquire(an, set, &c, &err));
        OK(search_places(an, c, slice_of(rows[i].question), true, 2, &a, &places, &n, &err));
        assert_int_equal(n, 2);
        assert_true(places[0].score >= places[1].score);
        struct slice first = place_text(c, &places[0], &a);
        if ((memmem(first.data, first.len, "ten (10)", 8) != NULL) != rows[i].first)
            fail_msg("row %zu: %.*s", i, (int)first.len, first.data);
        corpus_release(an, c);
        arena_free(&a);
    }
    const struct {
        const char *question;
        float cosine;
        double threshold;
    } near[] = {
        {question, -2, 1},
        {question, 2, 0.5},
        {"How quickly is a complaint about 7 pumps answered?", -2, 0.5},
        {"Who reads each complaint about a pump?", -2, 0.5},
    };
    an->card.far.cosine = an->card.remote.cosine = -2;
    an->card.value.threshold = 1;
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        an->card.value.cosine = near[i].cosine;
        json_t *j = ask(set, near[i].question, false);
        double threshold = json_number_value(json_object_get(json_object_get(j, "decision"), "threshold"));
        if (threshold != near[i].threshold) fail_msg("row %zu: threshold %g", i, threshold);
        if (threshold == 1) assert_string_equal(str(j, "status"), "answered");
        json_decref(j);
    }
    an->card = card;
}

/* The bundled model reads neither script, and P(none) does not notice: the set has no such word. A capable model (its
 * card) is asked; so is this one where the set itself is written so. */
static void test_a_question_in_a_script_that_nobody_reads_is_not_answered(void **state) {
    (void)state;
    int64_t set = new_set("scripts", 1);
    static const char *const foreign[] = {"买方应在多少天内付款？", "Кто несёт риск?"};
    for (size_t i = 0; i < 2; i++) {
        json_t *j = ask(set, foreign[i], false);
        assert_string_equal(str(j, "answer"), "The documents do not say.");
        assert_int_equal(json_array_size(json_object_get(j, "citations")), 0);
        json_decref(j);
    }
    struct card card = an->card;
    an->card.none_threshold = an->card.far.threshold = an->card.remote.threshold =
        1; /* the script alone is tested here */
    static const char notice[] = "Примечание\n\nРиск несёт покупатель. Расходы делятся пополам.\n";
    int64_t own;
    OK(store_set_create(store, slice_of("own script"), &own, &err));
    add(own, "notice.txt", notice, strlen(notice));
    ingest_all();
    json_t *j = ask(own, foreign[1], false);
    assert_string_equal(str(j, "status"), "answered");
    json_decref(j);
    an->card.known_words = 0;
    j = ask(set, foreign[1], false);
    assert_string_equal(str(j, "status"), "answered");
    json_decref(j);
    an->card = card;
}

static void test_a_set_larger_than_the_window_is_read_in_parts(void **state) {
    (void)state;
    int64_t set = new_set("large", 3);
    struct card card = an->card;
    an->card.effective_window = an->card.search_window = 150;
    json_t *j = ask(set, "Within how many days must the Buyer pay an invoice?", false);
    const json_t *coverage = json_object_get(j, "coverage");
    assert_string_equal(str(coverage, "chosen_by"), "search");
    assert_true(number(coverage, "tokens_read") > 0 && number(coverage, "tokens_read") <= 160);
    assert_non_null(strstr(str(first_citation(set, j), "quote"), "thirty (30) days"));
    json_decref(j);
    j = ask(set, "Which colour must the delivery vans be painted?", false);
    if (strcmp(str(j, "status"), "not_in_documents") == 0)
        assert_string_equal(str(j, "answer"), "Not in the parts read.");
    json_decref(j);
    an->card = card;
}

static void test_evidence_by_reading_is_a_run_of_the_documents(void **state) {
    (void)state;
    int64_t set = new_set("pointer", 3);
    struct card card = an->card;
    an->card.evidence_by_reading = true;
    an->card.none_threshold = an->card.far.threshold = 1; /* the first token's choice is not what is tested here */
    json_t *j = ask(set, "How much may orders cost without the signature of the finance director?", false);
    first_citation(set, j);
    json_decref(j);
    an->card = card;
}

/* ---- readings ---- */
static void behind_question(struct jamba_session *s, const char *question, float *logits) {
    float p;
    size_t n = 0;
    OK(ask_none(an, s, slice_of(question), NULL, &p, &n, &err));
    OK(jamba_session_logits(s, logits, &err));
}

static void logits_of(int64_t set, const char *question, float *logits, struct reading *r) {
    struct corpus *c;
    struct arena a = {0};
    OK(corpus_acquire(an, set, &c, &err));
    OK(reading_acquire(an, c, NULL, 0, NULL, &a, r, &err));
    behind_question(r->session, question, logits);
    reading_close(r);
    corpus_release(an, c);
    arena_free(&a);
}

static void test_a_second_question_restores_the_reading_bit_for_bit(void **state) {
    (void)state;
    int64_t set = new_set("twice", 3);
    size_t n_vocab = jamba_model_config(model)->n_vocab;
    float *fresh = malloc(n_vocab * sizeof *fresh), *again = malloc(n_vocab * sizeof *again);
    struct reading r;
    struct corpus *c;
    int32_t *ids;
    size_t n;
    const char *question = "Where are the pumps delivered?";
    logits_of(set, "How much interest do late sums bear?", again, &r);
    assert_int_equal(r.restored, 0);
    uint64_t total = r.tokens_read;
    assert_true(total > 300);

    OK(corpus_acquire(an, set, &c, &err));
    OK(corpus_sequence(an, c, &ids, &n, &err));
    corpus_release(an, c);
    assert_int_equal(n, total);
    struct jamba_session *s; /* a reading of its own, cut elsewhere */
    OK(jamba_session_open(&s, model, (uint32_t)n + 100, &err));
    for (size_t at = 0, step = 37; at < n; at += step)
        OK(jamba_session_prefill(s, ids + at, n - at < step ? n - at : step, NULL, &err));
    behind_question(s, question, fresh);
    jamba_session_close(s);
    free(ids);

    logits_of(set, question, again, &r); /* from memory */
    assert_int_equal(r.restored, total);
    assert_int_equal(r.newly_read, 0);
    assert_memory_equal(again, fresh, n_vocab * sizeof *fresh);

    analysis_close(an); /* from the file: as after a restart */
    OK(analysis_open(&an, store, model, &err));
    logits_of(set, question, again, &r);
    assert_int_equal(r.restored, total);
    assert_memory_equal(again, fresh, n_vocab * sizeof *fresh);
    free(fresh);
    free(again);
}

static void test_a_new_document_extends_the_reading(void **state) {
    (void)state;
    int64_t set = new_set("grows", 2);
    size_t n_vocab = jamba_model_config(model)->n_vocab;
    float *logits = malloc(n_vocab * sizeof *logits);
    struct reading r;
    logits_of(set, "Who signs?", logits, &r);
    uint64_t two = r.tokens_read;
    int64_t guide = add(set, "guide.txt", GUIDE, strlen(GUIDE));
    ingest_all();
    logits_of(set, "Who signs?", logits, &r);
    assert_int_equal(r.restored, two);
    assert_true(r.newly_read > 0 && r.tokens_read == two + r.newly_read);
    /* and when it goes, the reading of the first two is still there */
    struct arena a = {0};
    OK(store_document_delete(store, guide, &a, NULL, &err));
    arena_free(&a);
    logits_of(set, "Who signs?", logits, &r);
    assert_int_equal(r.tokens_read, two);
    assert_int_equal(r.restored, two);
    free(logits);
}

static void test_the_answer_reports_restored_and_newly_read_tokens(void **state) {
    (void)state;
    int64_t set = new_set("reported", 2);
    json_t *j = ask(set, "What does the policy say about the signature of the finance director?", false);
    json_int_t read = number(json_object_get(j, "coverage"), "tokens_read");
    assert_int_equal(number(json_object_get(j, "reading"), "restored"), 0);
    assert_true(number(json_object_get(j, "reading"), "newly_read") >= read);
    json_decref(j);
    j = ask(set, "How often is a warehouse inspected?", false);
    assert_int_equal(number(json_object_get(j, "reading"), "restored"), read);
    assert_true(number(json_object_get(j, "reading"), "newly_read") < 40); /* the question */
    json_decref(j);
}

/* ---- without a model, bad input ---- */
static void test_words_alone_answer_without_a_model(void **state) {
    (void)state;
    int64_t set = new_set("words", 3);
    json_t *j = ask(set, "How must notices be sent in writing?", true);
    assert_string_equal(str(j, "status"), "answered");
    assert_string_equal(str(j, "model"), "none");
    assert_non_null(strstr(str(first_citation(set, j), "quote"), "All notices"));
    assert_true(str(j, "note")[0] != 0);
    json_decref(j);
    struct analysis *bare;
    OK(analysis_open(&bare, store, NULL, &err));
    struct arena a = {0};
    struct slice json;
    struct analysis_coverage cov;
    OK(analysis_ask(bare, set, slice_of("When does the café open?"), NULL, NULL, &a, &json, &err));
    OK(analysis_read(bare, set, NULL, &cov, &err));
    assert_int_equal(cov.tokens_read, 0);
    OK(analysis_contradictions(bare, set, NULL, NULL, &a, &json, &err));
    arena_free(&a);
    analysis_close(bare);
}

struct deletion {
    int64_t document;
};
static void delete_at_detect(void *ctx, const char *stage, uint64_t done, uint64_t total) {
    struct deletion *x = ctx;
    (void)total;
    if (strcmp(stage, "detect") != 0 || done != 0 || !x->document) return;
    OK(store_document_delete(store, x->document, NULL, NULL, &err));
    x->document = 0;
}

/* What a deleted document said does not come back with a report that was under way; who needs it kept is told. */
static void test_a_report_is_not_kept_when_a_document_goes_meanwhile(void **state) {
    (void)state;
    int64_t set = new_set("going", 1);
    struct arena a = {0};
    struct slice json;
    struct store_answer kept;
    for (int must = 0; must < 2; must++) {
        struct deletion x = {add(set, "policy.txt", POLICY, strlen(POLICY))};
        struct analysis_events ev = {.stage = delete_at_detect, .ctx = &x};
        struct analysis_report_options o = {.without_model = true, .must_keep = must == 1};
        ingest_all();
        int rc = analysis_contradictions(an, set, &o, &ev, &a, &json, &err);
        assert_int_equal(x.document, 0);
        assert_int_equal(rc, must ? ERR_NOT_FOUND : 0);
        if (must) assert_non_null(strstr(err.message, "deleted meanwhile"));
        FAILS(ERR_NOT_FOUND, store_report_latest(store, &a, set, &kept, &err));
    }
    struct analysis_report_options o = {.without_model = true, .must_keep = true};
    OK(analysis_contradictions(an, set, &o, NULL, &a, &json, &err)); /* of what is left */
    OK(store_report_latest(store, &a, set, &kept, &err));
    assert_null(memmem(kept.json.data, kept.json.len, "policy.txt", 10));
    arena_free(&a);
}

/* A table of contents has the question's words next to each other, and says nothing. */
static void test_a_table_of_contents_is_no_evidence(void **state) {
    (void)state;
    static const char toc[] = "Contents\n"
                              "4 Quarantine of damaged pallets ........................ 12\n"
                              "5 Insurance of damaged pallets ........................ 13\n\n"
                              "The warehouse keeps damaged pallets in quarantine for nine days.\n";
    int64_t set;
    OK(store_set_create(store, slice_of("toc"), &set, &err));
    add(set, "toc.txt", toc, strlen(toc));
    ingest_all();
    json_t *j = ask(set, "quarantine of damaged pallets", true);
    assert_non_null(strstr(str(first_citation(set, j), "quote"), "nine days"));
    json_decref(j);
}

static void test_a_bad_file_fails_alone(void **state) {
    (void)state;
    int64_t set;
    OK(store_set_create(store, slice_of("bad"), &set, &err));
    int64_t empty = add(set, "empty.txt", "", 0), broken = add(set, "broken.pdf", "%PDF-1.7\nnothing more", 21);
    int64_t good = add(set, "guide.txt", GUIDE, strlen(GUIDE));
    ingest_all();
    struct arena a = {0};
    struct store_document d;
    OK(store_document_find(store, &a, good, &d, &err));
    assert_int_equal(d.state, STORE_READY);
    assert_true(d.n_tokens > 20 && d.n_statements >= 4);
    const int64_t bad[] = {empty, broken};
    for (size_t i = 0; i < 2; i++) {
        OK(store_document_find(store, &a, bad[i], &d, &err));
        assert_int_equal(d.state, STORE_FAILED);
        assert_true(d.error_message.len > 0 && d.error_code.len > 0);
    }
    json_t *j = ask(set, "Are dogs welcome?", false);
    assert_int_equal(number(json_object_get(j, "coverage"), "documents_failed"), 2);
    assert_int_equal(json_array_size(json_object_get(json_object_get(j, "coverage"), "not_read")), 2);
    first_citation(set, j);
    json_decref(j);
    arena_free(&a);
}

static void test_questions_that_are_none_are_refused(void **state) {
    (void)state;
    int64_t set = new_set("refused", 1);
    struct arena a = {0};
    struct slice json;
    FAILS(ERR_ARG, analysis_ask(an, set, slice_of("  \n"), NULL, NULL, &a, &json, &err));
    FAILS(ERR_FORMAT, analysis_ask(an, set, slice_of("what \xff"), NULL, NULL, &a, &json, &err));
    json_t *j = ask(set, "<|none|> <|answer|> <|endoftext|> <|quote|>",
                    false); /* only characters: no control token comes of them */
    assert_non_null(j);
    json_decref(j);
    int64_t nothing;
    OK(store_set_create(store, slice_of("nothing"), &nothing, &err));
    j = ask(nothing, "Is anybody there?", false);
    assert_string_equal(str(j, "status"), "not_in_documents");
    json_decref(j);
    arena_free(&a);
}

static bool stop(void *ctx) {
    return ++*(int *)ctx > 0;
}

static void test_a_question_can_be_stopped(void **state) {
    (void)state;
    int64_t set = new_set("stopped", 3);
    int asked = 0;
    struct analysis_events ev = {.cancelled = stop, .ctx = &asked};
    struct arena a = {0};
    struct slice json;
    FAILS(ERR_CANCELLED, analysis_ask(an, set, slice_of("Who pays?"), NULL, &ev, &a, &json, &err));
    assert_true(asked > 0);
    json_decref(ask(set, "Who pays?", false)); /* and nothing is left locked */
    arena_free(&a);
}

/* ---- report ---- */
static const char OTHER[] =
    "Payment policy\n\nEffective 2 January 2023\n\nBrightwater Pumps Ltd and Harrow Foods plc\n\n"
    "The Buyer shall pay each invoice within sixty (60) days of receipt.\n\n"
    "The Supplier’s total liability is limited to £400,000.\n";

static void test_a_report_is_the_same_bytes_twice_with_two_verified_quotes(void **state) {
    (void)state;
    int64_t set = new_set("report", 1);
    add(set, "payment.txt", OTHER, strlen(OTHER));
    ingest_all();
    struct arena a = {0};
    struct slice first, second, html;
    OK(analysis_contradictions(an, set, NULL, NULL, &a, &first, &err));
    analysis_close(an);
    OK(analysis_open(&an, store, model, &err));
    OK(analysis_contradictions(an, set, NULL, NULL, &a, &second, &err));
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    json_t *j = json_loadb(first.data, first.len, 0, NULL);
    const json_t *findings = json_object_get(j, "findings");
    assert_true(json_array_size(findings) >= 1);
    for (size_t i = 0; i < json_array_size(findings); i++) {
        const json_t *f = json_array_get(findings, i);
        check_citation(set, json_object_get(f, "a"));
        check_citation(set, json_object_get(f, "b"));
        assert_int_equal(strlen(str(f, "key")), 32);
        assert_true(str(f, "why")[0] && str(f, "severity")[0]);
    }
    struct store_answer kept;
    OK(store_report_latest(store, &a, set, &kept, &err));
    assert_true(slice_equal(kept.json, first));
    OK(analysis_report_html(first, &a, &html, &err));
    json_decref(j);
    arena_free(&a);
}

static void test_a_conflict_is_shown_from_both_sides(void **state) {
    (void)state;
    int64_t set = new_set("disagree", 1);
    add(set, "payment.txt", OTHER, strlen(OTHER));
    ingest_all();
    json_t *j = ask(set, "Within how many days must the Buyer pay an invoice?", false);
    assert_string_equal(str(j, "status"), "documents_disagree");
    first_citation(set, j);
    const json_t *list = json_object_get(j, "citations");
    assert_true(json_array_size(list) >= 2);
    assert_string_not_equal(str(json_array_get(list, 0), "document"), str(json_array_get(list, 1), "document"));
    json_decref(j);
}

struct asker {
    pthread_t thread;
    int64_t set;
    const char *question;
    int rc;
    char status[32];
};

static void *asker_run(void *ctx) {
    struct asker *x = ctx;
    struct arena a = {0};
    struct slice json = {0};
    struct error e = {0};
    x->rc = x->question ? analysis_ask(an, x->set, slice_of(x->question), NULL, NULL, &a, &json, &e)
                        : analysis_contradictions(an, x->set, NULL, NULL, &a, &json, &e);
    json_t *j = x->rc ? NULL : json_loadb(json.data, json.len, 0, NULL);
    snprintf(x->status, sizeof x->status, "%.31s", j ? str(j, "status") : "");
    json_decref(j);
    arena_free(&a);
    return NULL;
}

static void test_many_ask_at_once(void **state) {
    (void)state;
    int64_t one = new_set("askers one", 2), two = new_set("askers two", 1);
    struct asker x[] = {{.set = one, .question = "Within how many days must the Buyer pay an invoice?"},
                        {.set = one, .question = "Within how many days must the Buyer pay an invoice?"},
                        {.set = two, .question = "Within how many days must the Buyer pay an invoice?"},
                        {.set = one}};
    enum { N = sizeof x / sizeof *x };
    for (size_t i = 0; i < N; i++) assert_int_equal(pthread_create(&x[i].thread, NULL, asker_run, &x[i]), 0);
    for (size_t i = 0; i < N; i++) pthread_join(x[i].thread, NULL);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(x[i].rc, 0);
        if (!x[i].question) continue;
        json_t *j = ask(x[i].set, x[i].question, false); /* alone: the same */
        assert_string_equal(x[i].status, str(j, "status"));
        json_decref(j);
    }
}

static void test_vectors_do_not_depend_on_the_batch(void **state) {
    (void)state;
    enum { N = 5 };
    const char *texts[N] = {"A short one.",
                            "The Supplier shall deliver the pumps within forty-five (45) days of each order.", "x",
                            "Risk passes on delivery.",
                            "Late sums bear interest at 6 % a year, counted from the day after the invoice fell due."};
    uint32_t dim = jamba_model_config(model)->d_model;
    float *one = malloc(dim * sizeof *one), *two = malloc(dim * sizeof *two);
    for (size_t i = 0; i < N; i++) {
        OK(embed_text(an, slice_of(texts[i]), false, one, NULL, &err));
        OK(embed_text(an, slice_of(texts[i]), false, two, NULL, &err));
        assert_memory_equal(one, two, dim * sizeof *one);
        double s = 0;
        for (uint32_t k = 0; k < dim; k++) s += (double)one[k] * one[k];
        assert_true(fabs(s - 1) < 1e-4);
    }
    struct judge_pair alone = {.a = slice_of(texts[1]), .b = slice_of(texts[4])}, many[N];
    OK(judge_pairs(an, &alone, 1, NULL, &err));
    for (size_t i = 0; i < N; i++)
        many[i] = (struct judge_pair){.a = slice_of(texts[i]), .b = slice_of(texts[(i + 3) % N])};
    OK(judge_pairs(an, many, N, NULL, &err));
    assert_memory_equal(alone.ab, many[1].ab, sizeof alone.ab);
    assert_memory_equal(alone.ba, many[1].ba, sizeof alone.ba);
    free(one);
    free(two);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], INGEST_CHILD_ARGUMENT) == 0) return ingest_child_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_is_a_quote_with_its_place),
        cmocka_unit_test(test_one_sentence_in_three_documents_gives_all_places),
        cmocka_unit_test(test_a_shall_not_stays_in_view),
        cmocka_unit_test(test_what_the_documents_do_not_say_is_said),
        cmocka_unit_test(test_what_the_search_found_moves_the_threshold),
        cmocka_unit_test(test_a_statement_with_the_value_that_is_asked_for_is_preferred),
        cmocka_unit_test(test_a_question_in_a_script_that_nobody_reads_is_not_answered),
        cmocka_unit_test(test_a_set_larger_than_the_window_is_read_in_parts),
        cmocka_unit_test(test_evidence_by_reading_is_a_run_of_the_documents),
        cmocka_unit_test(test_a_second_question_restores_the_reading_bit_for_bit),
        cmocka_unit_test(test_a_new_document_extends_the_reading),
        cmocka_unit_test(test_the_answer_reports_restored_and_newly_read_tokens),
        cmocka_unit_test(test_words_alone_answer_without_a_model),
        cmocka_unit_test(test_a_table_of_contents_is_no_evidence),
        cmocka_unit_test(test_a_report_is_not_kept_when_a_document_goes_meanwhile),
        cmocka_unit_test(test_a_bad_file_fails_alone),
        cmocka_unit_test(test_questions_that_are_none_are_refused),
        cmocka_unit_test(test_a_question_can_be_stopped),
        cmocka_unit_test(test_a_report_is_the_same_bytes_twice_with_two_verified_quotes),
        cmocka_unit_test(test_a_conflict_is_shown_from_both_sides),
        cmocka_unit_test(test_many_ask_at_once),
        cmocka_unit_test(test_vectors_do_not_depend_on_the_batch),
    };
    if (getenv("ONLY_TEST")) cmocka_set_test_filter(getenv("ONLY_TEST")); /* "test_many*" */
    cmocka_set_test_filter(getenv("TEST_FILTER"));                        /* tests/mutants.sh runs single ones */
    return cmocka_run_group_tests_name("analysis", tests, open_all, close_all);
}
