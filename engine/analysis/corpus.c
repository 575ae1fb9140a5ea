/* corpus.c: a set in memory: its current documents in the order they are read, their tokens, and white-space-folded
 * text to find the same words elsewhere. Owns that cache (the last set used stays); refuses nothing: what is not ready
 * is counted, not read.
 *
 * Order: by entry id. A document that is added later comes last, so a saved reading of the others stays a prefix.
 * One reading is <|docs|> then for each document <|doc|> title "\n" text. Title and text are tokenised apart: a line
 * end and the first word never share a token, and so a document's tokens do not depend on its title.
 */
#include "engine/analysis/inside.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES_A_TOKEN = 4 /* English, bundled tokenizer: 4.3; only without a model */, DATE_STATEMENTS = 40 };

static void document_free(struct corpus_document *d) {
    ingest_document_free(d->doc);
    free(d->title_ids);
    free(d->ids);
    free(d->ends);
}

static void corpus_free(struct corpus *c) {
    if (!c) return;
    for (size_t i = 0; i < c->n_docs; i++) document_free(&c->docs[i]);
    pthread_mutex_destroy(&c->pairs_lock);
    arena_free(&c->arena);
    free(c);
}

/* ---- building ---- */
static void hash_number(struct sha256 *h, int64_t v) {
    sha256_update(h, &v, sizeof v);
}

/* What a change of the set changes: entries, their bytes, their names (a title may fall back to it), states and counts.
 */
static void sign(const struct store_document *docs, size_t n, uint8_t out[32]) {
    struct sha256 h;
    sha256_init(&h);
    for (size_t i = 0; i < n; i++) {
        const struct store_document *d = &docs[i];
        hash_number(&h, d->id);
        hash_number(&h, d->content);
        hash_number(&h, (int64_t)d->state);
        hash_number(&h, d->replaced_by);
        hash_number(&h, (int64_t)d->n_statements);
        hash_number(&h, (int64_t)d->name.len);
        sha256_update(&h, d->name.data, d->name.len);
        sha256_update(&h, d->sha256, 32);
    }
    sha256_final(&h, out);
}

static bool is_space(unsigned char ch) {
    return ch == ' ' || ch == '\n' || ch == '\t' || ch == '\r' || ch == '\f' || ch == '\v';
}

static int fold(struct corpus *c, struct corpus_document *d, struct error *e) {
    struct slice t = d->doc->text;
    char *out = arena_alloc(&c->arena, t.len + 1);
    uint32_t *at = arena_array(&c->arena, t.len + 1, sizeof *at);
    if (!out || !at) return error_set(e, ERR_NOMEM, "", "There is not enough memory for the set.");
    size_t n = 0;
    for (size_t i = 0; i < t.len; i++) {
        bool nbsp = (unsigned char)t.data[i] == 0xC2 && i + 1 < t.len && (unsigned char)t.data[i + 1] == 0xA0;
        if (nbsp || is_space((unsigned char)t.data[i])) {
            if (n == 0 || out[n - 1] != ' ') {
                at[n] = (uint32_t)i;
                out[n++] = ' ';
            }
            if (nbsp) i++;
        } else {
            at[n] = (uint32_t)i;
            out[n++] = t.data[i];
        }
    }
    at[n] = (uint32_t)t.len;
    d->folded = (struct slice){out, n};
    d->folded_at = at;
    return 0;
}

/* The date a document gives itself: the first whole date among its first statements, one behind "effective", "dated",
 * "as of" or "version" before any other. Only to order places that say the same. */
static int32_t own_date(const struct ingest_document *doc) {
    int32_t first = 0;
    for (size_t i = 0; i < doc->n_facts; i++) {
        const struct ingest_fact *f = &doc->facts[i];
        if (f->statement >= DATE_STATEMENTS) break;
        if (f->kind != INGEST_DATE || !f->year || !f->month || !f->day) continue;
        int32_t date = f->year * 10000 + f->month * 100 + f->day;
        uint32_t from = f->span.start > 48 ? f->span.start - 48 : 0;
        struct buf b = {0};
        for (uint32_t k = from; k < f->span.start; k++) {
            char ch = doc->text.data[k];
            if (ch >= 'A' && ch <= 'Z') ch = (char)(ch - 'A' + 'a');
            buf_append(&b, &ch, 1);
        }
        bool strong = b.data && (strstr(b.data, "effective") || strstr(b.data, "dated") || strstr(b.data, "as of") ||
                                 strstr(b.data, "version") || strstr(b.data, "updated"));
        buf_free(&b);
        if (strong) return date;
        if (!first) first = date;
    }
    return first;
}

/* n_before: documents that are read in front of this one. */
static int tokenise(struct analysis *an, struct corpus_document *d, size_t n_before, struct error *e) {
    struct slice title = slice_trim(d->doc->title), text = slice_trim(d->doc->text);
    /* A file name says nothing, and a title that the text begins with is not read twice. */
    if (slice_equal(title, d->doc->name) || slice_equal(title, d->entry.name) || slice_starts_with(text, title))
        title.len = 0;
    int rc = prompt_title(an, n_before, title, &d->title_ids, &d->n_title_ids, e);
    if (!rc) rc = jamba_tokenize(an->model, d->doc->text.data, d->doc->text.len, &d->ids, &d->ends, &d->n_ids, e);
    return rc;
}

static int corpus_build(struct analysis *an, struct corpus *c, struct store_document *docs, size_t n, struct error *e) {
    c->docs = arena_array(&c->arena, n ? n : 1, sizeof *c->docs);
    c->others = arena_array(&c->arena, n ? n : 1, sizeof *c->others);
    if (!c->docs || !c->others) return error_set(e, ERR_NOMEM, "", "There is not enough memory for the set.");
    c->n_tokens = c->n_open = an->model ? (uint32_t)an->prompts.docs.n : 1;
    size_t n_read = 0;
    for (size_t i = 0; i < n; i++) {
        struct store_document *s = &docs[i];
        if (s->state != STORE_READY || s->replaced_by) {
            if (s->state == STORE_FAILED && !s->replaced_by) c->n_failed++;
            if (s->state == STORE_QUEUED) c->n_queued++;
            c->others[c->n_others++] = *s;
            continue;
        }
        struct corpus_document *d = &c->docs[c->n_docs];
        int rc = store_document_load(an->store, s->id, &d->doc, e);
        if (rc) return rc;
        c->n_docs++; /* from here corpus_free sees it */
        d->entry = *s;
        for (size_t k = 0; k + 1 < c->n_docs; k++)
            if (c->docs[k].entry.content == s->content) d->duplicate = true;
        if ((rc = fold(c, d, e))) return rc;
        d->date = own_date(d->doc);
        if (an->model && (rc = tokenise(an, d, n_read, e))) return rc;
        if (d->duplicate) continue;
        n_read++;
        c->n_tokens +=
            an->model ? (an->prompts.doc >= 0) + d->n_title_ids + d->n_ids : 1 + d->doc->text.len / BYTES_A_TOKEN;
        c->pages_without_text += d->doc->n_pages_without_text;
    }
    return 0;
}

static int by_id(const void *a, const void *b) {
    const struct store_document *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static void release_locked(struct corpus *c) {
    if (c && --c->refs == 0) corpus_free(c);
}

int corpus_acquire(struct analysis *an, int64_t set, struct corpus **out, struct error *e) {
    *out = NULL;
    struct corpus *c = calloc(1, sizeof *c);
    if (!c) return error_set(e, ERR_NOMEM, "", "There is not enough memory for the set.");
    pthread_mutex_init(&c->pairs_lock, NULL);
    c->set = set;
    struct store_document *docs = NULL;
    size_t n = 0;
    int rc = store_documents(an->store, &c->arena, set, &docs, &n, e);
    if (rc) {
        corpus_free(c);
        return rc;
    }
    if (n) qsort(docs, n, sizeof *docs, by_id);
    sign(docs, n, c->signature);
    pthread_mutex_lock(&an->lock);
    if (an->corpus && an->corpus->set == set && memcmp(an->corpus->signature, c->signature, 32) == 0) {
        *out = an->corpus;
        an->corpus->refs++;
        pthread_mutex_unlock(&an->lock);
        corpus_free(c);
        return 0;
    }
    pthread_mutex_unlock(&an->lock);
    if ((rc = corpus_build(an, c, docs, n, e))) {
        corpus_free(c);
        return rc;
    }
    pthread_mutex_lock(&an->lock);
    release_locked(an->corpus);
    an->corpus = c;
    c->refs = 2; /* the cache's and the caller's */
    pthread_mutex_unlock(&an->lock);
    *out = c;
    return 0;
}

void corpus_release(struct analysis *an, struct corpus *c) {
    if (!c) return;
    pthread_mutex_lock(&an->lock);
    release_locked(c);
    pthread_mutex_unlock(&an->lock);
}

/* ---- asking it ---- */
size_t corpus_find_content(const struct corpus *c, int64_t content) {
    for (size_t i = 0; i < c->n_docs; i++)
        if (c->docs[i].entry.content == content) return i;
    return SIZE_MAX;
}

void corpus_tokens(const struct corpus_document *d, struct ingest_span span, size_t *first, size_t *last) {
    size_t lo = 0, hi = d->n_ids; /* first token that ends behind span.start */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (d->ends[mid] <= span.start)
            lo = mid + 1;
        else
            hi = mid;
    }
    *first = lo;
    hi = d->n_ids; /* first token that ends at or behind span.end */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (d->ends[mid] < span.end)
            lo = mid + 1;
        else
            hi = mid;
    }
    *last = span.end > span.start ? (lo < d->n_ids ? lo + 1 : d->n_ids) : *first;
}

int corpus_sequence(const struct analysis *an, const struct corpus *c, int32_t **ids, size_t *n, struct error *e) {
    int32_t *out = malloc((size_t)(c->n_tokens + 1) * sizeof *out);
    if (!out) return error_set(e, ERR_NOMEM, "", "There is not enough memory for the reading.");
    size_t k = 0;
    memcpy(out, an->prompts.docs.ids, an->prompts.docs.n * sizeof *out);
    k += an->prompts.docs.n;
    for (size_t i = 0; i < c->n_docs; i++) {
        const struct corpus_document *d = &c->docs[i];
        if (d->duplicate) continue;
        if (an->prompts.doc >= 0) out[k++] = an->prompts.doc;
        if (d->n_title_ids) memcpy(out + k, d->title_ids, d->n_title_ids * sizeof *out);
        k += d->n_title_ids;
        if (d->n_ids) memcpy(out + k, d->ids, d->n_ids * sizeof *out);
        k += d->n_ids;
    }
    *ids = out;
    *n = k;
    return 0;
}

int corpus_pairs(struct corpus *c, struct error *e) {
    pthread_mutex_lock(&c->pairs_lock);
    int rc = 0;
    if (!c->pairs_done) {
        const struct ingest_document **docs = calloc(c->n_docs ? c->n_docs : 1, sizeof *docs);
        if (!docs) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory for the rules.");
        size_t n = 0;
        /* A duplicate is compared with nothing: it says word for word what its first copy says. */
        uint32_t *index = calloc(c->n_docs ? c->n_docs : 1, sizeof *index);
        if (!rc && !index) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory for the rules.");
        for (size_t i = 0; !rc && i < c->n_docs; i++)
            if (!c->docs[i].duplicate) {
                index[n] = (uint32_t)i;
                docs[n++] = c->docs[i].doc;
            }
        if (!rc) rc = analysis_detect(docs, n, &c->arena, &c->pairs, &c->n_pairs, e);
        if (!rc) {
            for (size_t i = 0; i < c->n_pairs; i++) {
                struct analysis_pair *p = &c->pairs[i];
                p->a.document = index[p->a.document];
                p->b.document = index[p->b.document];
                if (p->by.document != INGEST_NONE) p->by.document = index[p->by.document];
            }
            c->pairs_done = true;
        }
        free(docs);
        free(index);
    }
    pthread_mutex_unlock(&c->pairs_lock);
    return rc;
}
