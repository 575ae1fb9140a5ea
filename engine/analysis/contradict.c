/* contradict.c: the contradiction report of a set as JSON; step 11 of the reader's path. Owns the thresholds' meaning,
 * the findings' keys, order, severity and coverage; refuses a finding without two verified quotes. The rules propose
 * (detect.c), the model judges (judge.c).
 *
 *   a pair the rules decided         stands as they say
 *   a pair they only propose         both orders above the card's pair_possible: it stands; the orders disagree:
 * uncertain; else dropped a pair only the model proposes   both orders above pair_sure, asked for with `possible`:
 * uncertain, marked "possible"
 *
 * No time, path or number of an order of work is in the JSON: the same documents, model and kernel path give the same
 * bytes.
 */
#include "engine/analysis/inside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    POSSIBLE_PAIRS_MAX = 600, /* judged at most when the model proposes */
    POSSIBLE_PER_STATEMENT = 3,
    POSSIBLE_MIN_BYTES = 24
};
static const float POSSIBLE_COSINE =
    0.6f; /* of two statements about the same thing; below it pairs are nearly all unrelated */

enum severity { SEVERITY_HIGH, SEVERITY_MEDIUM, SEVERITY_LOW };
static const char *const severity_names[] = {"high", "medium", "low"};

struct finding {
    struct analysis_pair pair;
    struct slice quote_a, quote_b;
    struct judge_pair judged;
    bool was_judged, possible, drop;
    enum severity severity;
    struct slice reason; /* of the severity */
    char key[33];
};

/* ---- key: the same finding in a later run has the same key, whatever its number or the order of the documents ---- */
static void hash_words(struct sha256 *h, struct slice s) {
    bool space = false;
    for (size_t i = 0; i < s.len; i++) {
        char ch = s.data[i];
        if (ch == ' ' || ch == '\n' || ch == '\t' || ch == '\r') {
            space = true;
            continue;
        }
        if (space) sha256_update(h, " ", 1);
        space = false;
        sha256_update(h, &ch, 1);
    }
    sha256_update(h, "\0", 1);
}

static void side_digest(const struct corpus *c, const struct analysis_side *s, struct slice quote, uint8_t out[32]) {
    struct sha256 h;
    sha256_init(&h);
    hash_words(&h, quote);
    sha256_update(&h, c->docs[s->document].entry.sha256, 32);
    sha256_final(&h, out);
}

static void set_key(const struct corpus *c, struct finding *f) {
    uint8_t a[32], b[32], out[32];
    side_digest(c, &f->pair.a, f->quote_a, a);
    side_digest(c, &f->pair.b, f->quote_b, b);
    const char *class = analysis_class_name(f->pair.class);
    bool swap = memcmp(a, b, 32) > 0;
    struct sha256 h;
    sha256_init(&h);
    sha256_update(&h, swap ? b : a, 32);
    sha256_update(&h, swap ? a : b, 32);
    sha256_update(&h, class, strlen(class));
    /* Two conflicts of one class inside one pair of statements differ by their words; both sides', in the same order as
     * the quotes. */
    const struct analysis_side *x = swap ? &f->pair.b : &f->pair.a, *y = swap ? &f->pair.a : &f->pair.b;
    hash_words(&h, ingest_text(c->docs[x->document].doc, x->span));
    hash_words(&h, ingest_text(c->docs[y->document].doc, y->span));
    sha256_final(&h, out);
    hex_encode(out, 16, f->key);
}

/* ---- severity: rules only, with the reason said ---- */
static const struct ingest_fact *side_fact(const struct corpus *c, const struct analysis_side *s) {
    const struct ingest_document *d = c->docs[s->document].doc;
    return s->fact != INGEST_NONE && s->fact < d->n_facts ? &d->facts[s->fact] : NULL;
}

static double period_days(const struct ingest_fact *f) {
    static const struct {
        const char *unit;
        double days;
    } units[] = {{"day", 1},       {"week", 7},        {"month", 30.4375},
                 {"year", 365.25}, {"hour", 1.0 / 24}, {"minute", 1.0 / 1440}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (slice_equal(f->unit, slice_of(units[i].unit))) return f->value * units[i].days;
    return f->value;
}

static void set_severity(const struct corpus *c, struct finding *f, struct arena *a) {
    const struct ingest_fact *x = side_fact(c, &f->pair.a), *y = side_fact(c, &f->pair.b);
    const char *class = analysis_class_name(f->pair.class);
    enum severity s = SEVERITY_MEDIUM;
    struct slice reason = {0};
    switch (f->pair.class) {
    case ANALYSIS_MODALITY:
        s = SEVERITY_HIGH;
        reason = slice_of("one side binds or forbids what the other leaves free");
        break;
    case ANALYSIS_PARTY:
        s = SEVERITY_HIGH;
        reason = slice_of("it is unclear who is bound");
        break;
    case ANALYSIS_AMOUNT:
    case ANALYSIS_PERCENTAGE:
    case ANALYSIS_PERIOD:
    case ANALYSIS_QUANTITY:
    case ANALYSIS_TOTAL:
        if (x && y && isfinite(x->value) && isfinite(y->value)) {
            bool period = f->pair.class == ANALYSIS_PERIOD;
            double v = fabs(period ? period_days(x) : x->value), w = fabs(period ? period_days(y) : y->value);
            double larger = v > w ? v : w, apart = larger > 0 ? fabs(v - w) / larger * 100 : 0;
            bool money = f->pair.class == ANALYSIS_AMOUNT || f->pair.class == ANALYSIS_TOTAL ||
                         f->pair.class == ANALYSIS_PERCENTAGE;
            s = apart < 1 ? SEVERITY_LOW : apart < 10 ? SEVERITY_MEDIUM : money ? SEVERITY_HIGH : SEVERITY_MEDIUM;
            if (apart > 0) reason = arena_slice_printf(a, "the two values lie %.3g %% apart", apart);
        }
        if (!reason.len) reason = arena_slice_printf(a, "values of class %s differ", class);
        break;
    case ANALYSIS_DATE:
        reason = slice_of("a date decides when rights begin or end");
        break;
    case ANALYSIS_TERM:
        reason = slice_of("a defined term has two meanings");
        break;
    case ANALYSIS_REFERENCE:
        s = SEVERITY_LOW;
        reason = slice_of("a reference leads elsewhere than it says");
        break;
    case ANALYSIS_SEMANTIC:
        reason = f->possible ? slice_of("only the model sees the conflict")
                             : slice_of("two laws or places cannot both decide");
        break;
    }
    if (f->pair.status == ANALYSIS_SUPERSEDED || f->pair.status == ANALYSIS_RESOLVED) {
        s = SEVERITY_LOW;
        reason = slice_of(f->pair.status == ANALYSIS_SUPERSEDED ? "a later document replaced one side"
                                                                : "a stated order of precedence settles it");
    } else if (f->pair.status == ANALYSIS_UNCERTAIN && s < SEVERITY_LOW) {
        s++;
        reason = arena_slice_printf(a, "%.*s; one step lower because it is uncertain", (int)reason.len, reason.data);
    }
    f->severity = s;
    f->reason = reason;
}

/* ---- the model's part ---- */
/* A typed conflict about what is this surely the same thing is shown as uncertain even when the model sees no conflict:
 * the small judge denies some plain ones ("24 months" against "18 months"). Measured on 12 sets: three true pairs kept
 * at 0.70 and above, no false one; below it eight false ones of real contracts would come back for two true ones. */
#define SAME_ENOUGH 0.70f

static void settle(const struct analysis *an, struct finding *f, bool with_model) {
    enum analysis_status *st = &f->pair.status;
    if (f->pair.decided) return;
    if (!with_model) {
        if (*st == ANALYSIS_CONTRADICTION) *st = ANALYSIS_UNCERTAIN;
        return;
    }
    float low = fminf(f->judged.ab[0], f->judged.ba[0]), high = fmaxf(f->judged.ab[0], f->judged.ba[0]);
    bool both = low > an->card.pair_possible, one = high > an->card.pair_possible;
    bool keep = one || f->pair.sameness >= SAME_ENOUGH;
    switch (*st) {
    case ANALYSIS_CONTRADICTION:
        if (!keep)
            f->drop = true;
        else if (!both)
            *st = ANALYSIS_UNCERTAIN;
        break;
    case ANALYSIS_UNCERTAIN: /* the rules doubt that both speak of the same thing: only a sure judge settles it */
        if (low > an->card.pair_sure)
            *st = ANALYSIS_CONTRADICTION;
        else if (!keep)
            f->drop = true;
        break;
    case ANALYSIS_SUPERSEDED:
    case ANALYSIS_RESOLVED:
        if (!keep) f->drop = true;
        break;
    }
}

static int judge_all(struct analysis *an, struct finding *fs, size_t n, const struct analysis_events *ev,
                     size_t *n_judged, struct error *e) {
    struct judge_pair *pairs = calloc(n ? n : 1, sizeof *pairs);
    size_t *of = calloc(n ? n : 1, sizeof *of);
    size_t m = 0;
    int rc = 0;
    if (!pairs || !of) {
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory to judge the pairs.");
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        if (fs[i].pair.decided) continue;
        pairs[m] = (struct judge_pair){.a = fs[i].quote_a, .b = fs[i].quote_b};
        of[m++] = i;
    }
    if ((rc = judge_pairs(an, pairs, m, ev, e))) goto done;
    for (size_t k = 0; k < m; k++) {
        fs[of[k]].judged = pairs[k];
        fs[of[k]].was_judged = true;
    }
    *n_judged += m;
done:
    free(pairs);
    free(of);
    return rc;
}

/* ---- pairs only the model proposes ---- */
struct possible {
    struct place a, b;
    float cosine;
};

static int by_cosine(const void *x, const void *y) {
    const struct possible *p = x, *q = y;
    if (p->cosine != q->cosine) return p->cosine > q->cosine ? -1 : 1;
    if (p->a.doc != q->a.doc) return p->a.doc < q->a.doc ? -1 : 1;
    if (p->a.statement != q->a.statement) return p->a.statement < q->a.statement ? -1 : 1;
    if (p->b.doc != q->b.doc) return p->b.doc < q->b.doc ? -1 : 1;
    return (p->b.statement > q->b.statement) - (p->b.statement < q->b.statement);
}

static bool proposed_already(const struct corpus *c, const struct place *a, const struct place *b) {
    for (size_t i = 0; i < c->n_pairs; i++) {
        const struct analysis_pair *p = &c->pairs[i];
        if (p->a.document == a->doc && p->a.statement == a->statement && p->b.document == b->doc &&
            p->b.statement == b->statement)
            return true;
    }
    return false;
}

static int propose(struct analysis *an, struct corpus *c, const struct analysis_events *ev, struct arena *a,
                   struct finding **out, size_t *n_out, struct error *e) {
    struct possible *all = NULL;
    size_t n = 0, cap = 0, total = 0, done_statements = 0;
    if (!an->card.embeds) { /* no vectors, no neighbours */
        *out = NULL;
        *n_out = 0;
        return 0;
    }
    int rc = embed_missing(an, c->set, ev, NULL, NULL, e);
    uint32_t dim = jamba_model_config(an->model)->d_model;
    float *vector = malloc(dim * sizeof *vector);
    if (!rc && !vector) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory to look for possible pairs.");
    for (size_t i = 0; i < c->n_docs; i++) total += c->docs[i].duplicate ? 0 : c->docs[i].doc->n_statements;
    for (size_t i = 0; !rc && i < c->n_docs; i++) {
        const struct ingest_document *d = c->docs[i].doc;
        for (uint32_t s = 0; !rc && !c->docs[i].duplicate && s < d->n_statements; s++) {
            struct place p = {.doc = i, .statement = s};
            event_stage(ev, "propose", done_statements++, total);
            if (event_cancelled(ev))
                rc = error_set(e, ERR_CANCELLED, "", "Stopped on request while pairs were being proposed.");
            if (rc || d->statements[s].kind == INGEST_HEADING ||
                d->statements[s].span.end - d->statements[s].span.start < POSSIBLE_MIN_BYTES)
                continue;
            struct arena scratch = {0};
            struct slice text = place_text(c, &p, &scratch);
            struct store_hit *hits = NULL;
            size_t n_hits = 0;
            rc = embed_text(an, text, false, vector, NULL, e);
            struct store_query q = {.vector = vector,
                                    .dim = dim,
                                    .model_id = jamba_model_id(an->model),
                                    .vector_weight = 1,
                                    .top_k = POSSIBLE_PER_STATEMENT + 4};
            if (!rc) rc = store_search(an->store, &scratch, c->set, &q, &hits, &n_hits, e);
            for (size_t k = 0, taken = 0; !rc && k < n_hits && taken < POSSIBLE_PER_STATEMENT; k++) {
                size_t doc = corpus_find_content(c, hits[k].content);
                if (doc == SIZE_MAX || isnan(hits[k].cosine) || hits[k].cosine < POSSIBLE_COSINE) continue;
                struct place o = {.doc = doc, .statement = hits[k].statement};
                if (o.doc < i || (o.doc == i && o.statement <= s)) continue; /* each pair once, from its first side */
                if (place_statement(c, &o)->kind == INGEST_HEADING || proposed_already(c, &p, &o)) continue;
                if ((rc = array_grow((void **)&all, &cap, n + 1, sizeof *all, e))) break;
                all[n++] = (struct possible){p, o, hits[k].cosine};
                taken++;
            }
            arena_free(&scratch);
        }
    }
    if (!rc && n) qsort(all, n, sizeof *all, by_cosine);
    if (n > POSSIBLE_PAIRS_MAX) n = POSSIBLE_PAIRS_MAX;
    struct finding *fs = rc ? NULL : arena_array(a, n ? n : 1, sizeof *fs);
    if (!rc && !fs) rc = error_set(e, ERR_NOMEM, "", "There is not enough memory to look for possible pairs.");
    for (size_t i = 0; !rc && i < n; i++) {
        struct finding *f = &fs[i];
        struct analysis_side none = {.document = INGEST_NONE, .fact = INGEST_NONE};
        f->pair = (struct analysis_pair){
            .class = ANALYSIS_SEMANTIC, .status = ANALYSIS_UNCERTAIN, .sameness = all[i].cosine, .by = none};
        f->pair.a = (struct analysis_side){(uint32_t)all[i].a.doc, all[i].a.statement,
                                           place_statement(c, &all[i].a)->span, INGEST_NONE};
        f->pair.b = (struct analysis_side){(uint32_t)all[i].b.doc, all[i].b.statement,
                                           place_statement(c, &all[i].b)->span, INGEST_NONE};
        f->possible = true;
        f->quote_a = place_text(c, &all[i].a, a);
        f->quote_b = place_text(c, &all[i].b, a);
    }
    free(all);
    free(vector);
    *out = fs;
    *n_out = rc ? 0 : n;
    return rc;
}

/* ---- order and JSON ---- */
static int status_rank(const struct finding *f) {
    static const int rank[] = {
        [ANALYSIS_CONTRADICTION] = 0, [ANALYSIS_UNCERTAIN] = 1, [ANALYSIS_RESOLVED] = 3, [ANALYSIS_SUPERSEDED] = 4};
    return f->possible ? 2 : rank[f->pair.status];
}

static int by_weight(const void *x, const void *y) {
    const struct finding *f = x, *g = y;
    int a = status_rank(f), b = status_rank(g);
    if (a != b) return a - b;
    if (f->severity != g->severity) return (int)f->severity - (int)g->severity;
    const uint32_t u[] = {f->pair.class,       f->pair.a.document,   f->pair.a.statement, f->pair.b.document,
                          f->pair.b.statement, f->pair.a.span.start, f->pair.b.span.start};
    const uint32_t v[] = {g->pair.class,       g->pair.a.document,   g->pair.a.statement, g->pair.b.document,
                          g->pair.b.statement, g->pair.a.span.start, g->pair.b.span.start};
    for (size_t i = 0; i < sizeof u / sizeof *u; i++)
        if (u[i] != v[i]) return u[i] < v[i] ? -1 : 1;
    return strcmp(f->key, g->key);
}

static json_t *side_json(const struct corpus *c, const struct analysis_side *s, struct error *e) {
    struct place p = {.doc = s->document, .statement = s->statement};
    const struct ingest_statement *st = place_statement(c, &p);
    bool marked = s->span.end > s->span.start && !(s->span.start == st->span.start && s->span.end == st->span.end);
    json_t *j = place_citation(c, &p, &s->span, marked, false, e);
    if (j) json_object_del(j, "also");
    return j;
}

static json_t *finding_json(const struct corpus *c, const struct finding *f, struct error *e) {
    json_t *a = side_json(c, &f->pair.a, e), *b = side_json(c, &f->pair.b, e);
    if (!a || !b) {
        json_decref(a);
        json_decref(b);
        return NULL;
    }
    json_t *j = json_object();
    json_object_set_new(j, "key", json_string(f->key));
    json_object_set_new(j, "class", json_string(analysis_class_name(f->pair.class)));
    json_object_set_new(j, "status", json_string(analysis_status_name(f->pair.status)));
    json_object_set_new(j, "severity", json_string(severity_names[f->severity]));
    json_object_set_new(j, "severity_reason", json_slice(f->reason));
    json_object_set_new(j, "a", a);
    json_object_set_new(j, "b", b);
    json_object_set_new(j, "why", json_slice(f->pair.why));
    if (f->possible) json_object_set_new(j, "possible", json_true());
    json_object_set_new(j, "proposed_by", json_string(f->possible ? "model" : "rules"));
    if (f->was_judged)
        json_object_set_new(j, "judged",
                            json_pack("{s:f,s:f}", "a_b", (double)f->judged.ab[0], "b_a", (double)f->judged.ba[0]));
    if (f->pair.by.document != INGEST_NONE) {
        json_t *by = side_json(c, &f->pair.by, e);
        if (by) json_object_set_new(j, "by", by);
    }
    return j;
}

static json_t *coverage_json(const struct analysis *an, const struct corpus *c, size_t proposed, size_t judged,
                             size_t unverified, bool with_model) {
    json_t *j = json_object(), *docs = json_array(), *not_read = json_array(), *classes = json_array();
    size_t statements = 0, facts = 0;
    for (size_t i = 0; i < c->n_docs; i++) {
        const struct corpus_document *d = &c->docs[i];
        char hex[65];
        hex_encode(d->entry.sha256, 32, hex);
        json_t *o = json_object();
        json_object_set_new(o, "document", json_slice(d->entry.name));
        json_object_set_new(o, "title", json_slice(d->doc->title));
        json_object_set_new(o, "pages", json_integer((json_int_t)d->doc->n_pages));
        json_object_set_new(o, "pages_without_text", json_integer(d->doc->n_pages_without_text));
        json_object_set_new(o, "statements", json_integer((json_int_t)d->doc->n_statements));
        json_object_set_new(o, "sha256", json_string(hex));
        if (d->duplicate) json_object_set_new(o, "duplicate", json_true());
        json_array_append_new(docs, o);
        if (!d->duplicate) statements += d->doc->n_statements, facts += d->doc->n_facts;
    }
    for (size_t i = 0; i < c->n_others; i++) {
        const struct store_document *d = &c->others[i];
        json_t *o = json_object();
        json_object_set_new(o, "document", json_slice(d->name));
        json_object_set_new(o, "reason",
                            d->replaced_by             ? json_string("replaced by a newer document of the same name")
                            : d->state == STORE_FAILED ? json_slice(d->error_message)
                                                       : json_string("not ingested yet"));
        json_array_append_new(not_read, o);
    }
    for (enum analysis_class k = ANALYSIS_AMOUNT; k < ANALYSIS_SEMANTIC; k++)
        json_array_append_new(classes, json_string(analysis_class_name(k)));
    json_object_set_new(j, "tokens_in_set", json_integer((json_int_t)c->n_tokens));
    json_object_set_new(j, "tokens_read",
                        json_integer((json_int_t)c->n_tokens)); /* the rules go over every statement */
    json_object_set_new(j, "chosen_by", json_string("whole_set"));
    json_object_set_new(j, "documents", json_integer((json_int_t)c->n_docs));
    json_object_set_new(j, "documents_failed", json_integer(c->n_failed));
    json_object_set_new(j, "pages_without_text", json_integer(c->pages_without_text));
    json_object_set_new(j, "statements", json_integer((json_int_t)statements));
    json_object_set_new(j, "facts", json_integer((json_int_t)facts));
    json_object_set_new(j, "pairs_proposed", json_integer((json_int_t)proposed));
    json_object_set_new(j, "pairs_judged", json_integer((json_int_t)judged));
    json_object_set_new(j, "pairs_unverified", json_integer((json_int_t)unverified));
    json_object_set_new(j, "classes_checked", classes);
    json_object_set_new(j, "read", docs);
    json_object_set_new(j, "not_read", not_read);
    json_object_set_new(j, "model", json_string(with_model ? jamba_model_name(an->model) : "none"));
    json_object_set_new(j, "kernel_path", json_string(with_model ? jamba_model_kernel_path(an->model) : "none"));
    json_object_set_new(j, "rules_version", json_integer(INGEST_VERSION));
    return j;
}

int analysis_contradictions(struct analysis *an, int64_t set, const struct analysis_report_options *o,
                            const struct analysis_events *ev, struct arena *a, struct slice *json, struct error *e) {
    *json = (struct slice){0};
    bool with_model = an->model && !(o && o->without_model);
    struct corpus *c = NULL;
    struct finding *fs = NULL, *more = NULL;
    size_t n = 0, n_more = 0, judged = 0, unverified = 0;
    json_t *out = NULL;
    int rc = corpus_acquire(an, set, &c, e);
    if (rc) return rc;
    event_stage(ev, "detect", 0, c->n_docs);
    if (event_cancelled(ev)) rc = error_set(e, ERR_CANCELLED, "", "Stopped on request.");
    if (!rc) rc = corpus_pairs(c, e);
    if (rc) goto done;
    event_stage(ev, "detect", c->n_docs, c->n_docs);
    if (o && o->possible && with_model && (rc = propose(an, c, ev, a, &more, &n_more, e))) goto done;
    fs = calloc(c->n_pairs + n_more + 1, sizeof *fs);
    if (!fs) {
        rc = error_set(e, ERR_NOMEM, "", "There is not enough memory for the report.");
        goto done;
    }
    for (size_t i = 0; i < c->n_pairs; i++) {
        struct place pa = {.doc = c->pairs[i].a.document, .statement = c->pairs[i].a.statement};
        struct place pb = {.doc = c->pairs[i].b.document, .statement = c->pairs[i].b.statement};
        if (!place_verify(c, &pa) || !place_verify(c, &pb)) {
            unverified++;
            continue;
        }
        fs[n].pair = c->pairs[i];
        fs[n].quote_a = place_text(c, &pa, a);
        fs[n++].quote_b = place_text(c, &pb, a);
    }
    for (size_t i = 0; i < n_more; i++) fs[n++] = more[i];
    size_t proposed = n;
    if (with_model && (rc = judge_all(an, fs, n, ev, &judged, e))) goto done;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct finding *f = &fs[i];
        if (f->possible) {
            f->drop = !(f->judged.ab[0] > an->card.pair_sure && f->judged.ba[0] > an->card.pair_sure);
            f->pair.why = slice_of(
                "Only the model proposes this pair: read in either order, it takes the two for contradictory.");
        } else {
            settle(an, f, with_model);
        }
        if (f->drop) continue;
        set_key(c, f);
        set_severity(c, f, a);
        fs[kept++] = *f;
    }
    n = kept;
    qsort(fs, n, sizeof *fs, by_weight);

    out = json_object();
    json_t *findings = json_array();
    size_t count[5] = {0};
    for (size_t i = 0; i < n; i++) {
        struct error why;
        json_t *j = finding_json(c, &fs[i], &why);
        if (!j) {
            unverified++;
            continue;
        }
        count[status_rank(&fs[i])]++;
        event_part(ev, "finding", j);
        json_array_append_new(findings, j);
    }
    json_object_set_new(out, "findings", findings);
    json_object_set_new(out, "coverage", coverage_json(an, c, proposed, judged, unverified, with_model));
    if (o && o->possible && with_model && !an->card.embeds)
        json_object_set_new(
            json_object_get(out, "coverage"), "not_checked",
            json_string("Pairs that only a model proposes: this model has no vectors to find them by."));
    json_object_set_new(out, "summary",
                        json_pack("{s:I,s:I,s:I,s:I,s:I}", "contradiction", (json_int_t)count[0], "uncertain",
                                  (json_int_t)count[1], "possible", (json_int_t)count[2], "resolved",
                                  (json_int_t)count[3], "superseded", (json_int_t)count[4]));
    if ((rc = json_to_arena(out, a, json, e))) goto done;
    int64_t *contents = arena_array(a, c->n_docs + c->n_others + 1, sizeof *contents), id;
    size_t m = 0;
    for (size_t i = 0; contents && i < c->n_docs; i++) contents[m++] = c->docs[i].entry.content;
    for (size_t i = 0; contents && i < c->n_others; i++) contents[m++] = c->others[i].content;
    struct error not_kept = {0};
    if (!contents)
        error_set(&not_kept, ERR_NOMEM, "", "There is not enough memory to keep the report.");
    else
        store_report_add(an->store, set, *json, contents, m, &id, &not_kept);
    if (not_kept.code && o && o->must_keep) {
        *e = not_kept;
        rc = e->code;
    }
done:
    json_decref(out);
    free(fs);
    corpus_release(an, c);
    return rc;
}
