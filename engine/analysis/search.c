/* search.c: statements ranked for a question by the store's fused search. Owns what may be evidence: whole statements
 * that say something; refuses headings (they name, they do not say), the lines of a table of contents ("Notices ....
 * 12") and entries that a newer document replaced.
 *
 * A question for a value ("how long") prefers statements that state one of its kind to their neighbours that are only
 * about the same matter (the card's value_weight; measured: tests/eval/RESULTS.md). */
#include "engine/analysis/inside.h"

#include <stdlib.h>
#include <string.h>

/* Dots that lead to a page number: five in a row, spaces between them or not. */
static bool leads_to_page(struct slice t) {
    size_t dots = 0;
    for (size_t i = 0; i < t.len; i++) {
        if (t.data[i] == '.') {
            if (++dots == 5) return true;
        } else if (t.data[i] != ' ') {
            dots = 0;
        }
    }
    return false;
}

int search_places(struct analysis *an, struct corpus *c, struct slice question, bool with_model, uint32_t top_k,
                  struct arena *a, struct place **out, size_t *n, struct error *e) {
    *out = NULL;
    *n = 0;
    float *vector = NULL;
    int rc = 0;
    struct store_query q = {.text = question,
                            .top_k = top_k + top_k / 2 + 8 /* headings and replaced entries fall out */};
    if (with_model && an->model && an->card.embeds) {
        q.dim = jamba_model_config(an->model)->d_model;
        q.model_id = jamba_model_id(an->model);
        q.vector_weight = an->card.vector_weight;
        q.bm25_weight = an->card.bm25_weight;
        q.exact_weight = an->card.exact_weight;
        vector = arena_array(a, q.dim, sizeof *vector);
        if (!vector) return error_set(e, ERR_NOMEM, "", "There is not enough memory for the search.");
        if ((rc = embed_text(an, question, true, vector, NULL, e))) return rc;
        q.vector = vector;
    }
    struct store_hit *hits = NULL;
    size_t n_hits = 0;
    if ((rc = store_search(an->store, a, c->set, &q, &hits, &n_hits, e))) return rc;
    *out = arena_array(a, n_hits ? n_hits : 1, sizeof **out);
    if (!*out) return error_set(e, ERR_NOMEM, "", "There is not enough memory for the search.");
    unsigned kinds = q.vector && an->card.value_weight > 0 ? asked_values(question) : 0;
    for (size_t i = 0; i < n_hits; i++) {
        size_t doc = corpus_find_content(c, hits[i].content);
        if (doc == SIZE_MAX || hits[i].statement >= c->docs[doc].doc->n_statements) continue;
        const struct ingest_document *d = c->docs[doc].doc;
        const struct ingest_statement *st = &d->statements[hits[i].statement];
        if (st->kind == INGEST_HEADING || leads_to_page(ingest_text(d, st->span))) continue;
        struct place p = {doc, hits[i].statement, hits[i].score, hits[i].cosine};
        if (states_value(d, p.statement, kinds)) p.score += an->card.value_weight;
        size_t at = (*n)++;
        for (; at > 0 && (*out)[at - 1].score < p.score; at--) (*out)[at] = (*out)[at - 1];
        (*out)[at] = p;
    }
    if (*n > top_k) *n = top_k;
    return 0;
}
