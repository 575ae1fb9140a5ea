/* answer.c: a question over a set to JSON: answered, not in the documents, or the documents disagree; step 10 of the
 * reader's path. Owns the order of the steps and what may be said; refuses to show anything that is not a verified
 * place of a document.
 *
 *   search   statements ranked by vectors, BM25 and exact facts
 *   read     the whole set (restored when it was read before), or what search chose of it
 *   decide   P(none) against P(quote): on the reading, or on a short reading of its own (the card's decide_window);
 *            none as well for a question in a script that neither model nor set knows (the card's known_words)
 *   quote    the first statement of the search, or decoded under the pointer constraint (the card's evidence_by)
 *   compare  what the rules know about the quoted statement: a conflict elsewhere, an amendment that replaced it
 *   answer   a short answer, shown only where it stands in the quote
 */
#include "engine/analysis/inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEARCH_TOP = 48, /* statements asked of the search: enough to fill a window with sections */
    NEAREST = 3,     /* shown beside the answer, or instead of one */
    QUESTION_MAX_BYTES = 8192,
    ITEMS_MAX = 12 /* of a list, shown behind the statement that leads it in */
};

struct answer {
    struct analysis *an;
    struct corpus *c;
    struct slice question;
    const struct analysis_events *ev;
    struct arena *a;
    bool with_model;
    struct place *places;
    size_t n_places;
    struct reading reading;
    float p_none;
    bool decided;        /* p_none was measured */
    uint64_t decided_on; /* tokens of the short reading */
    struct jamba_session *behind_question;
    struct place *evidence;
    size_t n_evidence;
    struct slice said; /* the model's short answer, unchecked */
    double t_search, t_read, t_decide, t_answer;
};

/* ---- decide ---- */
static int decide(struct answer *x, struct error *e) {
    struct analysis *an = x->an;
    struct run_holder run;
    run_init(&run, x->ev, NULL, 0, 0);
    struct jamba_session *whole = NULL, *brief = NULL;
    int32_t *ids = NULL;
    size_t n = 0, n_read = 0;
    event_stage(x->ev, "decide", 0, 1);
    double t = clock_seconds();
    /* The reading itself is always asked: with a model that reads far its word counts, and the next question starts
     * from its state. */
    int rc = jamba_session_fork(&whole, x->reading.session, e);
    if (!rc) rc = ask_none(an, whole, x->question, &run.run, &x->p_none, &n_read, e);
    if (rc) goto done;
    x->reading.newly_read += n_read;
    x->decided = true;
    x->behind_question = whole;
    whole = NULL;
    if (an->card.decide_window == 0 || x->reading.tokens_read <= an->card.decide_window || x->n_places == 0) goto done;
    struct passage *ps = NULL;
    size_t n_ps = 0;
    rc = passages_around(an, x->c, x->places, x->n_places, an->card.decide_window, an->card.decide_passages, x->a, &ps,
                         &n_ps, e);
    if (!rc) rc = passages_sequence(an, x->c, ps, n_ps, &ids, &n, e);
    if (!rc) rc = jamba_session_open(&brief, an->model, (uint32_t)n + 2048, e);
    if (!rc) rc = jamba_session_prefill(brief, ids, n, &run.run, e);
    n_read = 0;
    if (!rc) rc = ask_none(an, brief, x->question, &run.run, &x->p_none, &n_read, e);
    if (rc) goto done;
    x->decided_on = n;
    if (!an->card.evidence_by_reading) { /* the short answer too comes from the short reading: fewer tokens between */
        jamba_session_close(x->behind_question);
        x->behind_question = brief;
        brief = NULL;
    }
done:
    x->t_decide = clock_seconds() - t;
    event_stage(x->ev, "decide", 1, 1);
    free(ids);
    jamba_session_close(whole);
    jamba_session_close(brief);
    return rc;
}

/* P(none) above which the documents do not say. The search is evidence too (measured: tests/eval/RESULTS.md): a
 * statement that is merely the least distant, hardly before the next, seldom answers, a very distant one hardly ever; a
 * near one that states a value of the kind that is asked for, with the question's own figures, mostly does. Without
 * vectors the cosine is NaN and none of that is said. */
static float none_threshold(const struct answer *x) {
    const struct card *card = &x->an->card;
    if (!x->n_places) return card->none_threshold;
    const struct place *first = x->places;
    if (first->cosine >= card->value.cosine &&
        states_value(x->c->docs[first->doc].doc, first->statement, asked_values(x->question)) &&
        states_figures(place_text(x->c, first, x->a), x->question))
        return card->value.threshold;
    if (first->cosine < card->remote.cosine) return card->remote.threshold;
    bool far =
        x->n_places > 1 && first->cosine < card->far.cosine && first->score - x->places[1].score < card->far_lead;
    return far ? card->far.threshold : card->none_threshold;
}

/* ---- what the rules know about a statement ---- */
static bool same_place(const struct corpus *c, const struct analysis_side *s, const struct place *p) {
    if (s->document == p->doc && s->statement == p->statement) return true;
    struct place other = {.doc = s->document, .statement = s->statement};
    struct slice a = ingest_text(c->docs[p->doc].doc, place_statement(c, p)->span),
                 b = ingest_text(c->docs[other.doc].doc, place_statement(c, &other)->span);
    return a.len > 24 && slice_equal(a, b);
}

/* The side that holds now, when one replaced the other: the document that amends; else the newer one. */
static const struct analysis_side *operative_side(const struct corpus *c, const struct analysis_pair *p) {
    if (p->by.document != INGEST_NONE && p->by.document == p->a.document && p->a.document != p->b.document)
        return &p->a;
    if (p->by.document != INGEST_NONE && p->by.document == p->b.document && p->a.document != p->b.document)
        return &p->b;
    int32_t da = c->docs[p->a.document].date, db = c->docs[p->b.document].date;
    return da > db ? &p->a : &p->b;
}

static json_t *relation_json(const struct answer *x, const struct analysis_pair *p) {
    json_t *j = json_object();
    json_object_set_new(j, "class", json_string(analysis_class_name(p->class)));
    json_object_set_new(j, "status", json_string(analysis_status_name(p->status)));
    json_object_set_new(j, "why", json_slice(p->why));
    if (p->by.document != INGEST_NONE) {
        struct place by = {.doc = p->by.document, .statement = p->by.statement};
        struct error ignored;
        json_t *c = place_citation(x->c, &by, &p->by.span, p->by.span.end > p->by.span.start, false, &ignored);
        if (c) json_object_set_new(j, "by", c);
    }
    return j;
}

struct conflict {
    const struct analysis_pair *pair;
    const struct analysis_side *own, *other;
};

/* The strongest thing the rules say about place p: a conflict that stands before one that is settled. */
static int find_conflict(struct answer *x, const struct place *p, struct conflict *out, struct error *e) {
    *out = (struct conflict){0};
    struct corpus *c = x->c;
    int rc = corpus_pairs(c, e);
    if (rc) return rc;
    for (size_t i = 0; i < c->n_pairs; i++) {
        const struct analysis_pair *q = &c->pairs[i];
        bool is_a = same_place(c, &q->a, p), is_b = !is_a && same_place(c, &q->b, p);
        if (!is_a && !is_b) continue;
        if (q->status == ANALYSIS_UNCERTAIN) continue;
        if (q->status == ANALYSIS_CONTRADICTION && !q->decided) {
            if (!x->with_model) continue;
            struct place pa = {.doc = q->a.document, .statement = q->a.statement},
                         pb = {.doc = q->b.document, .statement = q->b.statement};
            struct judge_pair j = {.a = place_text(c, &pa, x->a), .b = place_text(c, &pb, x->a)};
            if ((rc = judge_pairs(x->an, &j, 1, NULL, e))) return rc;
            if (j.ab[0] <= x->an->card.pair_possible || j.ba[0] <= x->an->card.pair_possible) continue;
        }
        bool better =
            !out->pair || (q->status == ANALYSIS_CONTRADICTION && out->pair->status != ANALYSIS_CONTRADICTION);
        if (better) *out = (struct conflict){q, is_a ? &q->a : &q->b, is_a ? &q->b : &q->a};
    }
    return 0;
}

/* "thirty (30) days (supply.pdf) against forty-five (45) days (prices.pdf)": each side's own words. */
static struct slice both_sides(const struct answer *x, const struct conflict *k) {
    struct slice words[2], names[2];
    const struct analysis_side *sides[2] = {k->own, k->other};
    for (int i = 0; i < 2; i++) {
        struct place p = {.doc = sides[i]->document, .statement = sides[i]->statement};
        /* "shall" against "may" says too little by itself */
        words[i] = k->pair->class == ANALYSIS_MODALITY ? place_text(x->c, &p, x->a)
                                                       : side_words(x->c, &p, sides[i]->span, x->a);
        names[i] = x->c->docs[p.doc].entry.name;
    }
    return arena_slice_printf(x->a, "%.*s (%.*s) against %.*s (%.*s)", (int)words[0].len, words[0].data,
                              (int)names[0].len, names[0].data, (int)words[1].len, words[1].data, (int)names[1].len,
                              names[1].data);
}

/* ---- JSON ---- */
static json_t *coverage_json(const struct answer *x) {
    const struct corpus *c = x->c;
    json_t *j = json_object();
    json_object_set_new(j, "tokens_in_set", json_integer((json_int_t)c->n_tokens));
    json_object_set_new(j, "tokens_read", json_integer((json_int_t)x->reading.tokens_read));
    json_object_set_new(j, "chosen_by", json_string(x->reading.whole ? "whole_set" : "search"));
    json_object_set_new(j, "documents", json_integer((json_int_t)c->n_docs));
    json_object_set_new(j, "documents_failed", json_integer(c->n_failed));
    json_object_set_new(j, "documents_queued", json_integer(c->n_queued));
    json_object_set_new(j, "pages_without_text", json_integer(c->pages_without_text));
    json_t *not_read = json_array();
    for (size_t i = 0; i < c->n_others; i++) {
        const struct store_document *d = &c->others[i];
        if (d->replaced_by || d->state == STORE_READY) continue;
        json_t *o = json_object();
        json_object_set_new(o, "document", json_slice(d->name));
        json_object_set_new(o, "reason",
                            d->state == STORE_FAILED ? json_slice(d->error_message) : json_string("not ingested yet"));
        json_array_append_new(not_read, o);
    }
    json_object_set_new(j, "not_read", not_read);
    return j;
}

static json_t *nearest_json(struct answer *x, struct error *e) {
    json_t *all = json_array();
    for (size_t i = 0, shown = 0; i < x->n_places && shown < NEAREST; i++) {
        bool used = false;
        for (size_t k = 0; k < x->n_evidence; k++)
            used |= x->evidence[k].doc == x->places[i].doc && x->evidence[k].statement == x->places[i].statement;
        if (used) continue;
        json_t *c = place_citation(x->c, &x->places[i], NULL, 0, false, e);
        if (!c) continue; /* unverified: not shown */
        json_array_append_new(all, c);
        shown++;
    }
    return all;
}

static const char *model_word(const struct answer *x) {
    return x->with_model ? jamba_model_name(x->an->model) : "none";
}

/* ---- the steps behind the decision ---- */
static int choose_evidence(struct answer *x, struct error *e) {
    struct run_holder run;
    run_init(&run, x->ev, NULL, 0, 0);
    if (x->with_model && x->an->card.evidence_by_reading) {
        struct jamba_session *s = NULL;
        int rc = jamba_session_fork(&s, x->behind_question, e);
        if (!rc)
            rc = ask_pointer(x->an, x->c, s, &run.run, x->a, x->reading.whole ? NULL : x->reading.passages,
                             x->reading.n_passages, &x->evidence, &x->n_evidence, &x->said, e);
        jamba_session_close(s);
        if (rc || x->n_evidence) return rc;
    }
    x->evidence = x->places;
    x->n_evidence = x->n_places ? 1 : 0;
    return 0;
}

static void add_citation(struct answer *x, json_t *list, const struct place *p, const struct ingest_span *mark,
                         bool with_also, struct error *e) {
    json_t *c = place_citation(x->c, p, mark, mark && mark->end > mark->start, with_also, e);
    if (!c) return;
    event_part(x->ev, "citation", c);
    json_array_append_new(list, c);
}

/* The list items that the statement leads in ("... if:"): without them half a sentence would be shown. Returns how many
 * follow it. */
static uint32_t items_below(const struct corpus *c, const struct place *p) {
    const struct ingest_document *d = c->docs[p->doc].doc;
    struct ingest_span s = d->statements[p->statement].span;
    uint32_t n = 0;
    for (uint32_t i = p->statement + 1; i < d->n_statements && n < ITEMS_MAX; i++, n++) {
        struct ingest_span lead = d->statements[i].lead_in;
        if (d->statements[i].kind != INGEST_LIST_ITEM || lead.end <= lead.start || lead.start < s.start ||
            lead.end > s.end)
            break;
    }
    return n;
}

/* A spreadsheet's row answers only when it is the one asked for; else the first row found that is takes its place. */
static bool right_row(struct answer *x) {
    if (!column_row(x->c, &x->evidence[0]) || column_row_asked(x->c, &x->evidence[0], x->question)) return true;
    for (size_t i = 0; i < x->n_places; i++) {
        if (!column_row(x->c, &x->places[i]) || !column_row_asked(x->c, &x->places[i], x->question)) continue;
        x->evidence = &x->places[i];
        x->n_evidence = 1;
        x->said = (struct slice){0};
        return true;
    }
    return false;
}

static int build(struct answer *x, json_t *out, struct error *e) {
    int rc;
    json_t *citations = json_array();
    struct slice text = {0};
    struct ingest_span mark = {0};
    struct conflict conflict = {0};
    const char *status = "answered";
    bool is_short = false, disagree = false;
    bool none = x->n_places == 0 || (x->decided && x->p_none > none_threshold(x)) ||
                (x->with_model && !words_known(x->c, x->question, x->an->card.known_words));
    if (!none) {
        if ((rc = choose_evidence(x, e))) goto fail;
        none = x->with_model && x->n_evidence && !right_row(x);
    }
    if (none) {
        status = "not_in_documents";
        x->n_evidence = 0;
        bool all = x->reading.whole || x->c->n_docs == 0;
        text = x->c->n_docs == 0 ? SLICE_LITERAL("The set has no readable document yet.")
               : all             ? SLICE_LITERAL("The documents do not say.")
                                 : SLICE_LITERAL("Not in the parts read.");
        goto finish;
    }
    struct place first = x->evidence[0];
    if ((rc = find_conflict(x, &first, &conflict, e))) goto fail;
    if (conflict.pair && conflict.pair->status == ANALYSIS_SUPERSEDED) {
        const struct analysis_side *now = operative_side(x->c, conflict.pair);
        if (now == conflict.other) { /* the search found what was replaced: what holds now is the answer */
            first = (struct place){now->document, now->statement, first.score, first.cosine};
            conflict.other = conflict.own;
            conflict.own = now;
            x->said = (struct slice){0};
        }
    }
    if (x->with_model && x->an->card.short_answers && x->behind_question && !x->said.len) {
        struct run_holder run;
        run_init(&run, x->ev, NULL, 0, 0);
        if ((rc = ask_short_answer(x->an, x->c, &first, x->behind_question, &run.run, x->a, &x->said, e))) goto fail;
    }
    uint32_t n_items = items_below(x->c, &first);
    is_short = x->said.len && n_items == 0 && short_answer_place(x->c, &first, x->said, &mark);
    /* in a spreadsheet the column that the question names says more than the model does */
    if (x->with_model && column_named(x->c, &first, x->question, &mark))
        is_short = true;
    else if (is_short)
        is_short = !column_repeats(x->c, &first, mark);
    if (is_short)
        text = ingest_text(x->c->docs[first.doc].doc, mark);
    else
        text = place_text(x->c, &first, x->a);
    for (uint32_t i = 1; i <= n_items; i++) {
        struct place item = {first.doc, first.statement + i, NAN, NAN};
        struct slice body = ingest_text(x->c->docs[item.doc].doc, place_statement(x->c, &item)->span);
        text = arena_slice_printf(x->a, "%.*s\n%.*s", (int)text.len, text.data, (int)body.len, body.data);
    }
    /* A conflict about other words of the statement than the ones that answer is not this question's. */
    if (conflict.pair && is_short && conflict.own->span.end > conflict.own->span.start &&
        (mark.end <= conflict.own->span.start || mark.start >= conflict.own->span.end))
        conflict.pair = NULL;
    if (conflict.pair && conflict.pair->status == ANALYSIS_CONTRADICTION) {
        status = "documents_disagree";
        text = both_sides(x, &conflict);
    } else if (conflict.pair && conflict.pair->status == ANALYSIS_RESOLVED) {
        text = both_sides(x, &conflict); /* which one prevails is said by the clause cited below */
    }
    disagree = conflict.pair && conflict.pair->status == ANALYSIS_CONTRADICTION;
    struct ingest_span own_mark = is_short && !disagree ? mark
                                  : conflict.pair       ? conflict.own->span
                                                        : (struct ingest_span){0};
    add_citation(x, citations, &first, &own_mark, true, e);
    if (conflict.pair) {
        struct place other = {conflict.other->document, conflict.other->statement, NAN, NAN};
        add_citation(x, citations, &other, &conflict.other->span, true, e);
        if (conflict.pair->status == ANALYSIS_RESOLVED && conflict.pair->by.document != INGEST_NONE) {
            struct place by = {conflict.pair->by.document, conflict.pair->by.statement, NAN, NAN};
            add_citation(x, citations, &by, &conflict.pair->by.span, false, e);
        }
    }
    for (uint32_t i = 1; i <= n_items; i++) {
        struct place item = {first.doc, first.statement + i, NAN, NAN};
        add_citation(x, citations, &item, NULL, true, e);
    }
    for (size_t i = 1; i < x->n_evidence; i++) add_citation(x, citations, &x->evidence[i], NULL, true, e);
    x->evidence[0] = first;
    if (json_array_size(citations) == 0) {
        rc = error_set(e, ERR_FORMAT, "",
                       "The quote could not be verified against the document's text, so no answer is shown.");
        goto fail;
    }
finish:
    json_object_set_new(out, "status", json_string(status));
    json_object_set_new(out, "answer", json_slice(text));
    event_part(x->ev, "answer", json_object_get(out, "answer"));
    const char *kind = "the_quote";
    if (strcmp(status, "not_in_documents") == 0)
        kind = "none";
    else if (disagree || (conflict.pair && conflict.pair->status == ANALYSIS_RESOLVED))
        kind = "both_sides";
    else if (is_short)
        kind = "words_of_the_quote";
    json_object_set_new(out, "answer_is", json_string(kind));
    json_object_set_new(out, "citations", citations);
    if (conflict.pair) json_object_set_new(out, "conflict", relation_json(x, conflict.pair));
    json_object_set_new(out, "nearest", nearest_json(x, e));
    return 0;
fail:
    json_decref(citations);
    return rc;
}

/* Kept for the history, under the id returned; the answer stands without (0). It names every document of the set
 * (coverage), so it goes with any of them. */
static int64_t keep(struct answer *x, struct slice json) {
    const struct corpus *c = x->c;
    struct error ignored;
    int64_t id = 0, *contents = arena_array(x->a, c->n_docs + c->n_others + 1, sizeof *contents);
    size_t n = 0;
    if (!contents) return 0;
    for (size_t i = 0; i < c->n_docs; i++) contents[n++] = c->docs[i].entry.content;
    for (size_t i = 0; i < c->n_others; i++) contents[n++] = c->others[i].content;
    store_answer_add(x->an->store, c->set, x->question, json, contents, n, &id, &ignored);
    return id;
}

int analysis_ask(struct analysis *an, int64_t set, struct slice question, const struct analysis_ask_options *o,
                 const struct analysis_events *ev, struct arena *a, struct slice *json, struct error *e) {
    *json = (struct slice){0};
    question = slice_trim(question);
    if (!question.len) return error_set(e, ERR_ARG, "", "The question is empty.");
    if (question.len > QUESTION_MAX_BYTES)
        return error_set(e, ERR_LIMIT, "", "The question is longer than %d bytes.", QUESTION_MAX_BYTES);
    if (!utf8_valid(question.data, question.len))
        return error_set(e, ERR_FORMAT, "", "The question is not valid UTF-8.");
    struct answer x = {
        .an = an, .question = question, .ev = ev, .a = a, .with_model = an->model && !(o && o->without_model)};
    json_t *out = NULL;
    double t0 = clock_seconds();
    int rc = corpus_acquire(an, set, &x.c, e);
    if (rc) return rc;
    event_stage(ev, "search", 0, 1);
    if (x.with_model && (rc = embed_missing(an, set, ev, NULL, NULL, e))) goto done;
    if ((rc = search_places(an, x.c, question, x.with_model, SEARCH_TOP, a, &x.places, &x.n_places, e))) goto done;
    event_stage(ev, "search", 1, 1);
    x.t_search = clock_seconds() - t0;
    if (x.with_model && x.c->n_docs) {
        double t = clock_seconds();
        if ((rc = reading_acquire(an, x.c, x.places, x.n_places, ev, a, &x.reading, e))) goto done;
        x.t_read = clock_seconds() - t;
        if ((rc = decide(&x, e))) goto done;
    }
    double t = clock_seconds();
    event_stage(ev, "quote", 0, 1);
    out = json_object();
    if ((rc = build(&x, out, e))) goto done;
    event_stage(ev, "quote", 1, 1);
    x.t_answer = clock_seconds() - t;
    json_object_set_new(out, "coverage", coverage_json(&x));
    json_object_set_new(out, "reading",
                        json_pack("{s:I,s:I}", "restored", (json_int_t)x.reading.restored, "newly_read",
                                  (json_int_t)x.reading.newly_read));
    json_t *decision = json_object();
    json_object_set_new(decision, "p_none", x.decided ? json_real((double)x.p_none) : json_null());
    json_object_set_new(decision, "threshold", json_real((double)none_threshold(&x)));
    json_object_set_new(decision, "decided_on_tokens",
                        json_integer((json_int_t)(x.decided_on ? x.decided_on : x.reading.tokens_read)));
    json_object_set_new(out, "decision", decision);
    json_object_set_new(out, "model", json_string(model_word(&x)));
    if (!x.with_model)
        json_object_set_new(
            out, "note",
            json_string(
                "Without a model: the best statement of the word search is shown; whether it answers was not judged."));
    json_object_set_new(out, "timings",
                        json_pack("{s:f,s:f,s:f,s:f,s:f}", "search", x.t_search, "read", x.t_read, "decide", x.t_decide,
                                  "answer", x.t_answer, "total", clock_seconds() - t0));
    if ((rc = json_to_arena(out, a, json, e))) goto done;
    int64_t id = keep(&x, *json);
    if (id) {
        json_object_set_new(out, "id", json_integer((json_int_t)id));
        rc = json_to_arena(out, a, json, e);
    }
done:
    json_decref(out);
    jamba_session_close(x.behind_question);
    reading_close(&x.reading);
    corpus_release(an, x.c);
    return rc;
}
