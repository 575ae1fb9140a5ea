/* ask.c: what is asked of the model behind a reading: does it answer at all, which words (pointer decoding), what short
 * answer. What is said to it is prompt.c's; refuses any token inside a quote that does not go on a run of the corpus.
 *
 * States of the constraint over one answer, and the token that moves on:
 *
 *     START   none -> end        quote -> QUOTE
 *     QUOTE   a corpus token -> QUOTE; after QUOTE_MIN tokens: quote -> QUOTE (a new run), answer -> ANSWER
 *     ANSWER  any token of text -> ANSWER; end -> done
 *
 * A model asked by chat starts in QUOTE, quotes once, and its ANSWER is a turn of its own.
 */
#include "engine/analysis/inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUOTE_MIN = 3,   /* tokens a quote has before it may end (the model's README) */
    QUOTE_MAX = 200, /* tokens after which a quote must end */
    QUOTES_MAX = 4,
    ANSWER_MAX = 40,    /* tokens of a short answer */
    STATEMENT_MAX = 400 /* tokens of a forced quote: the tail of a longer one is not read */
};

int ask_none(struct analysis *an, struct jamba_session *s, struct slice question, const struct jamba_run *run,
             float *p_none, size_t *n_read, struct error *e) {
    int32_t *ids = NULL;
    size_t n = 0;
    int rc = prompt_question(an, question, &ids, &n, e);
    if (!rc) rc = jamba_session_prefill(s, ids, n, run, e);
    free(ids);
    if (rc) return rc;
    float logit[2];
    if ((rc = jamba_session_logits_rows(s, an->prompts.decide, 2, logit, e))) return rc;
    *p_none = 1.0f / (1.0f + expf(logit[1] - logit[0]));
    *n_read += n;
    return 0;
}

static int read_run(struct jamba_session *s, struct id_run r, const struct jamba_run *run, struct error *e) {
    return r.n ? jamba_session_prefill(s, r.ids, r.n, run, e) : 0;
}

/* ---- free short answer behind a forced quote ---- */
struct collect {
    const struct analysis *an;
    struct buf text;
};

static bool collect_token(void *ctx, int32_t id, float logprob) {
    struct collect *c = ctx;
    (void)logprob;
    if (prompt_stops(c->an->model, id)) return false;
    struct slice b = jamba_token_bytes(c->an->model, id);
    buf_append(&c->text, b.data, b.len);
    return true;
}

static int collected(struct collect *c, struct arena *a, struct slice *answer, struct error *e) {
    struct slice s = slice_trim(buf_slice(&c->text));
    while (s.len && !utf8_valid(s.data, s.len)) s.len--; /* a token may end inside a character */
    *answer = arena_slice(a, s);
    return c->text.failed || (s.len && !answer->data)
               ? error_set(e, ERR_NOMEM, "", "There is not enough memory for the answer.")
               : 0;
}

int ask_short_answer(struct analysis *an, const struct corpus *c, const struct place *p, struct jamba_session *s,
                     const struct jamba_run *run, struct arena *a, struct slice *answer, struct error *e) {
    struct slice shown = place_text(c, p, a);
    int32_t *ids = NULL;
    size_t n = 0;
    struct collect got = {.an = an};
    int rc = jamba_tokenize(an->model, shown.data, shown.len, &ids, NULL, &n, e);
    if (!rc) rc = read_run(s, an->prompts.before_quote, run, e);
    if (!rc) rc = read_run(s, (struct id_run){ids, n < STATEMENT_MAX ? n : STATEMENT_MAX}, run, e);
    if (!rc) rc = jamba_session_prefill(s, &an->prompts.end_quote, 1, run, e);
    if (!rc) rc = read_run(s, an->prompts.before_answer, run, e);
    if (!rc) rc = jamba_generate(s, NULL, NULL, ANSWER_MAX, collect_token, &got, run, e);
    if (!rc) rc = collected(&got, a, answer, e);
    free(ids);
    buf_free(&got.text);
    return rc;
}

/* ---- pointer decoding ---- */
enum pointer_state { POINTER_START, POINTER_QUOTE, POINTER_ANSWER };
struct pointer_ctx {
    const struct analysis *an;
    struct jamba_pointer *pointer;
    enum pointer_state state;
    int32_t *allowed; /* pointer's tokens and the two that end a quote, ascending */
    size_t cap;
    struct {
        uint32_t start, n; /* first candidate position and its length in corpus tokens */
    } quotes[QUOTES_MAX];
    size_t n_quotes;
    bool none, failed;
    const uint32_t *starts; /* where a quote may begin: the first tokens of statements that were read */
    size_t n_starts;
    struct collect answer;
};

static void begin_quote(struct pointer_ctx *x) {
    struct error ignored;
    if (jamba_pointer_start_at(x->pointer, x->starts, x->n_starts, &ignored)) x->failed = true;
}

static size_t pointer_allowed(void *ctx, const int32_t **ids) {
    struct pointer_ctx *x = ctx;
    const int32_t *next = NULL;
    size_t n = 0;
    if (x->state == POINTER_ANSWER) return SIZE_MAX;
    if (x->state == POINTER_QUOTE && jamba_pointer_length(x->pointer) < QUOTE_MAX)
        n = jamba_pointer_next(x->pointer, &next);
    if (n + 2 > x->cap) {
        int32_t *grown = realloc(x->allowed, (n + 2) * 2 * sizeof *grown);
        if (!grown) {
            x->failed = true;
            return 0;
        }
        x->allowed = grown;
        x->cap = (n + 2) * 2;
    }
    bool may_end = x->state == POINTER_QUOTE && jamba_pointer_length(x->pointer) >= QUOTE_MIN;
    int32_t extra[2];
    size_t n_extra = 0;
    const struct prompts *p = &x->an->prompts;
    if (x->state == POINTER_START) extra[n_extra++] = p->decide[0];
    if (x->state == POINTER_START || (may_end && p->next_quote >= 0 && x->n_quotes + 1 < QUOTES_MAX))
        extra[n_extra++] = p->next_quote;
    if (may_end || (x->state == POINTER_QUOTE && n == 0)) extra[n_extra++] = p->end_quote;
    if (n_extra == 2 && extra[0] > extra[1]) {
        int32_t t = extra[0];
        extra[0] = extra[1];
        extra[1] = t;
    }
    size_t k = 0, i = 0, m = 0; /* merge, ascending; corpus tokens are never control tokens */
    while (i < n || k < n_extra)
        x->allowed[m++] = k < n_extra && (i == n || extra[k] < next[i]) ? extra[k++] : next[i++];
    *ids = x->allowed;
    return m;
}

static void end_quote(struct pointer_ctx *x) {
    const uint32_t *starts = NULL;
    size_t n = jamba_pointer_positions(x->pointer, &starts);
    if (n && x->n_quotes < QUOTES_MAX && jamba_pointer_length(x->pointer)) {
        x->quotes[x->n_quotes].start = starts[0];
        x->quotes[x->n_quotes++].n = (uint32_t)jamba_pointer_length(x->pointer);
    }
}

static void pointer_accept(void *ctx, int32_t id) {
    struct pointer_ctx *x = ctx;
    if (x->state == POINTER_START) {
        x->none = id == x->an->prompts.decide[0];
        x->state = POINTER_QUOTE;
        begin_quote(x);
    } else if (x->state == POINTER_QUOTE) {
        if (id == x->an->prompts.end_quote) {
            end_quote(x);
            x->state = POINTER_ANSWER;
        } else if (id == x->an->prompts.next_quote) {
            end_quote(x);
            begin_quote(x);
        } else if (!jamba_pointer_accept(x->pointer, id)) {
            x->failed = true;
        }
    }
}

static bool pointer_token(void *ctx, int32_t id, float logprob) {
    struct pointer_ctx *x = ctx;
    if (x->none || x->failed) return false;
    if (x->state != POINTER_ANSWER) return true;
    if (id == x->an->prompts.end_quote)
        return x->an->prompts.before_answer.n == 0; /* else the answer is asked for in a turn of its own */
    return collect_token(&x->answer, id, logprob);
}

/* Statements that a run of corpus tokens touches; the corpus is all documents' tokens in order. */
static size_t quote_places(const struct corpus *c, uint32_t start, uint32_t n, struct place *out, size_t cap) {
    size_t base = 0, m = 0;
    for (size_t i = 0; i < c->n_docs; i++) {
        const struct corpus_document *d = &c->docs[i];
        if (d->duplicate) continue;
        if (start >= base + d->n_ids) {
            base += d->n_ids;
            continue;
        }
        size_t first = start - base, last = first + n - 1;
        if (last >= d->n_ids) last = d->n_ids - 1;
        uint32_t from = first ? d->ends[first - 1] : 0, to = d->ends[last];
        while (from < to && d->doc->text.data[from] == ' ') from++; /* the space before a word belongs to its token */
        uint32_t st = d->doc->n_statements ? ingest_statement_at(d->doc, from) : INGEST_NONE;
        if (st == INGEST_NONE) { /* between two statements: the next one */
            for (st = 0; st < d->doc->n_statements && d->doc->statements[st].span.end <= from; st++) continue;
        }
        for (; st < d->doc->n_statements && d->doc->statements[st].span.start < to && m < cap; st++)
            out[m++] = (struct place){i, st, 0, NAN};
        break;
    }
    return m;
}

static bool was_read(size_t doc, struct ingest_span s, const struct passage *only, size_t n) {
    if (!only) return true;
    for (size_t i = 0; i < n; i++)
        if (only[i].doc == doc && s.start >= only[i].span.start && s.end <= only[i].span.end) return true;
    return false;
}

int ask_pointer(struct analysis *an, const struct corpus *c, struct jamba_session *s, const struct jamba_run *run,
                struct arena *a, const struct passage *only, size_t n_only, struct place **places, size_t *n,
                struct slice *answer, struct error *e) {
    *places = NULL;
    *n = 0;
    *answer = (struct slice){0};
    size_t total = 0, n_breaks = 0, n_statements = 0;
    for (size_t i = 0; i < c->n_docs; i++)
        if (!c->docs[i].duplicate) total += c->docs[i].n_ids, n_statements += c->docs[i].doc->n_statements;
    int32_t *corpus = malloc((total ? total : 1) * sizeof *corpus);
    uint32_t *breaks = malloc((c->n_docs ? c->n_docs : 1) * sizeof *breaks);
    uint32_t *starts = malloc((n_statements ? n_statements : 1) * sizeof *starts);
    struct pointer_ctx x = {.an = an, .answer = {.an = an}, .starts = starts};
    int rc = 0;
    if (!corpus || !breaks || !starts) {
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory to decode a quote.");
        goto done;
    }
    size_t k = 0;
    for (size_t i = 0; i < c->n_docs; i++) {
        if (c->docs[i].duplicate || !c->docs[i].n_ids) continue;
        if (k) breaks[n_breaks++] = (uint32_t)k;
        const struct ingest_document *d = c->docs[i].doc;
        for (size_t st = 0; st < d->n_statements; st++) {
            size_t first, last;
            corpus_tokens(&c->docs[i], d->statements[st].span, &first, &last);
            if (first < last && d->statements[st].kind != INGEST_HEADING &&
                was_read(i, d->statements[st].span, only, n_only))
                starts[x.n_starts++] = (uint32_t)(k + first);
        }
        memcpy(corpus + k, c->docs[i].ids, c->docs[i].n_ids * sizeof *corpus);
        k += c->docs[i].n_ids;
    }
    if ((rc = jamba_pointer_open(&x.pointer, corpus, total, breaks, n_breaks, e))) goto done;
    struct jamba_constraint constraint = {pointer_allowed, pointer_accept, &x};
    if (!an->prompts.quote_is_chosen) { /* decided already: the reply is a quote */
        if ((rc = read_run(s, an->prompts.before_quote, run, e))) goto done;
        x.state = POINTER_QUOTE;
        begin_quote(&x);
    }
    if ((rc = jamba_generate(s, &constraint, NULL, QUOTES_MAX * QUOTE_MAX + ANSWER_MAX, pointer_token, &x, run, e)))
        goto done;
    if (!x.failed && x.state == POINTER_ANSWER && an->prompts.before_answer.n && an->card.short_answers) {
        if ((rc = read_run(s, an->prompts.before_answer, run, e)) ||
            (rc = jamba_generate(s, NULL, NULL, ANSWER_MAX, collect_token, &x.answer, run, e)))
            goto done;
    }
    if (x.failed) {
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory to decode a quote.");
        goto done;
    }
    if (x.state == POINTER_QUOTE && !x.none) end_quote(&x); /* ran out of tokens inside it */
    enum { CAP = 16 };
    *places = arena_array(a, CAP, sizeof **places);
    if (!*places) {
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory to decode a quote.");
        goto done;
    }
    for (size_t i = 0; i < x.n_quotes && *n < CAP; i++)
        *n += quote_places(c, x.quotes[i].start, x.quotes[i].n, *places + *n, CAP - *n);
    rc = collected(&x.answer, a, answer, e);
done:
    jamba_pointer_close(x.pointer);
    buf_free(&x.answer.text);
    free(x.allowed);
    free(corpus);
    free(breaks);
    free(starts);
    return rc;
}
