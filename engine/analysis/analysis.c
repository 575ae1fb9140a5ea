/* analysis.c: joins a store and a model: the card, the prompts, the locks; names of classes; events. Owns
 * `struct analysis`. */
#include "engine/analysis/inside.h"

#include <stdlib.h>
#include <string.h>

/* The card, which may name a way of asking; without one the vocabulary decides. */
static int open_model(struct analysis *an, struct error *e) {
    const char *card = jamba_model_card(an->model);
    enum prompting by = PROMPT_CONTROL_TOKENS;
    int rc = prompting_of(an->model, &by, e);
    if (!rc) rc = card_parse(&an->card, card, by, jamba_model_config(an->model)->context_length, e);
    if (!rc) rc = prompts_open(an, e);
    if (rc) prompts_close(&an->prompts);
    return rc;
}

int analysis_open(struct analysis **out, struct store *s, struct jamba_model *m, struct error *e) {
    *out = NULL;
    struct analysis *an = calloc(1, sizeof *an);
    if (!an) return error_set(e, ERR_NOMEM, "", "There is not enough memory.");
    an->store = s;
    an->model = m;
    card_default(&an->card, PROMPT_CONTROL_TOKENS, 0);
    int rc = 0;
    if (m && (rc = open_model(an, e))) {
        free(an);
        return rc;
    }
    pthread_mutex_init(&an->lock, NULL);
    pthread_mutex_init(&an->reading_lock, NULL);
    pthread_mutex_init(&an->embed_lock, NULL);
    *out = an;
    return 0;
}

void analysis_close(struct analysis *an) {
    if (!an) return;
    jamba_session_close(an->kept.session);
    free(an->kept.ids);
    if (an->corpus) corpus_release(an, an->corpus);
    pthread_mutex_destroy(&an->lock);
    pthread_mutex_destroy(&an->reading_lock);
    pthread_mutex_destroy(&an->embed_lock);
    prompts_close(&an->prompts);
    free(an);
}

/* ---- events ---- */
void event_stage(const struct analysis_events *ev, const char *stage, uint64_t done, uint64_t total) {
    if (ev && ev->stage) ev->stage(ev->ctx, stage, done, total);
}

void event_part(const struct analysis_events *ev, const char *name, json_t *json) {
    if (!ev || !ev->part || !json) return;
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text) ev->part(ev->ctx, name, slice_of(text));
    free(text);
}

bool event_cancelled(const struct analysis_events *ev) {
    return ev && ev->cancelled && ev->cancelled(ev->ctx);
}

static bool run_cancelled(void *ctx) {
    return event_cancelled(((struct run_holder *)ctx)->ev);
}

static void run_progress(void *ctx, uint32_t done, uint32_t total) {
    struct run_holder *h = ctx;
    (void)total;
    event_stage(h->ev, h->stage, h->base + done, h->total);
}

void run_init(struct run_holder *h, const struct analysis_events *ev, const char *stage, uint64_t base,
              uint64_t total) {
    *h = (struct run_holder){.ev = ev, .stage = stage, .base = base, .total = total};
    h->run.cancelled = run_cancelled;
    h->run.progress = stage ? run_progress : NULL;
    h->run.ctx = h;
}

/* ---- JSON ---- */
json_t *json_slice(struct slice s) {
    json_t *j = json_stringn(s.data ? s.data : "", s.len);
    return j ? j : json_string(""); /* not UTF-8: cannot come from the store, whose text is checked */
}

int json_to_arena(json_t *j, struct arena *a, struct slice *out, struct error *e) {
    char *text = j ? json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    if (text) *out = arena_slice(a, slice_of(text));
    bool ok = text && out->data;
    free(text);
    return ok ? 0 : error_set(e, ERR_NOMEM, "", "There is not enough memory for the result.");
}

/* ---- names, as they stand in JSON ---- */
const char *analysis_class_name(enum analysis_class c) {
    static const char *const names[] = {
        [ANALYSIS_AMOUNT] = "amount",         [ANALYSIS_DATE] = "date",         [ANALYSIS_PERIOD] = "period",
        [ANALYSIS_PERCENTAGE] = "percentage", [ANALYSIS_MODALITY] = "modality", [ANALYSIS_QUANTITY] = "quantity",
        [ANALYSIS_TOTAL] = "total",           [ANALYSIS_TERM] = "term",         [ANALYSIS_REFERENCE] = "reference",
        [ANALYSIS_PARTY] = "party",           [ANALYSIS_SEMANTIC] = "semantic"};
    return (size_t)c < sizeof names / sizeof *names ? names[c] : "unknown";
}

const char *analysis_status_name(enum analysis_status s) {
    static const char *const names[] = {[ANALYSIS_CONTRADICTION] = "contradiction",
                                        [ANALYSIS_RESOLVED] = "resolved",
                                        [ANALYSIS_SUPERSEDED] = "superseded",
                                        [ANALYSIS_UNCERTAIN] = "uncertain"};
    return (size_t)s < sizeof names / sizeof *names ? names[s] : "unknown";
}
