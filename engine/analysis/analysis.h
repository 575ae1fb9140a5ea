/* analysis.h: what the product does with documents and a model: read, answer with verified quotes, report contradictions. Knows no HTTP.
 *
 * `struct analysis` joins one store and one model (the model may be NULL: search and rules alone still answer and report, and say so).
 * Thread rule: any thread; model work queues on the model.
 *
 *     struct analysis *an; struct error e; struct arena a = {0}; struct slice json;
 *     if (analysis_open(&an, store, model, &e)) fail(&e);
 *     if (analysis_ask(an, set, slice_of("What is the notice period?"), NULL, &a, &json, &e)) fail(&e);
 *     fwrite(json.data, 1, json.len, stdout);
 */
#ifndef ANTINOMY_ANALYSIS_H
#define ANTINOMY_ANALYSIS_H

#include "base.h"
#include "engine/jamba/jamba.h"
#include "ingest/ingest.h"
#include "store/store.h"

struct analysis;

int analysis_open(struct analysis **out, struct store *s, struct jamba_model *m, struct error *e);
void analysis_close(struct analysis *an);

/* Events while it works. All may be NULL. */
struct analysis_events {
    void (*stage)(void *ctx, const char *stage, uint64_t done, uint64_t total); /* "search", "read", "decide", "quote", "judge" ... */
    void (*part)(void *ctx, const char *name, struct slice json);               /* "citation", "answer", "finding": as soon as verified */
    bool (*cancelled)(void *ctx);
    void *ctx;
};

/* ---- ingest a queued job: extract, structure, write, embed. The worker's loop body; the CLI and the service both call it. ---- */
/* Takes one ingest job and runs it; *worked = false when none was queued. A bad file fails its job, not the call. */
int analysis_ingest_next(struct analysis *an, const struct analysis_events *ev, bool *worked, struct error *e);

/* ---- reading: the whole set in one pass, kept ---- */
struct analysis_coverage {
    uint64_t tokens_in_set, tokens_read;
    const char *chosen_by; /* "whole_set", "search" */
    uint32_t documents, documents_failed, pages_without_text;
};
/* Reads the set (or what fits of it) and saves the state; cheap when a saved reading fits. */
int analysis_read(struct analysis *an, int64_t set, const struct analysis_events *ev, struct analysis_coverage *cov, struct error *e);

/* ---- ask ---- */
struct analysis_ask_options {
    bool without_model; /* search and words alone (for evaluation columns) */
};
/* JSON as documented in the README: status answered | not_in_documents | documents_disagree, answer, citations, coverage, reading, timings. */
int analysis_ask(struct analysis *an, int64_t set, struct slice question, const struct analysis_ask_options *o,
                 const struct analysis_events *ev, struct arena *a, struct slice *json, struct error *e);

/* ---- contradictions ---- */
struct analysis_report_options {
    bool without_model; /* rules alone */
    bool possible;      /* also list pairs that only the model proposes */
    bool must_keep;     /* a report that could not be kept is an error (ERR_NOT_FOUND: a document was deleted meanwhile); else the caller has it */
};
int analysis_contradictions(struct analysis *an, int64_t set, const struct analysis_report_options *o, const struct analysis_events *ev,
                            struct arena *a, struct slice *json, struct error *e);
/* The report as one self-contained HTML page, from its JSON. */
int analysis_report_html(struct slice json, struct arena *a, struct slice *html, struct error *e);

/* ---- the rules alone, over documents in memory (contradict.c): knows no store, no model ---- */
enum analysis_class { ANALYSIS_AMOUNT, ANALYSIS_DATE, ANALYSIS_PERIOD, ANALYSIS_PERCENTAGE, ANALYSIS_MODALITY, ANALYSIS_QUANTITY, ANALYSIS_TOTAL,
                      ANALYSIS_TERM, ANALYSIS_REFERENCE, ANALYSIS_PARTY, ANALYSIS_SEMANTIC };
enum analysis_status { ANALYSIS_CONTRADICTION, ANALYSIS_RESOLVED, ANALYSIS_SUPERSEDED, ANALYSIS_UNCERTAIN };
struct analysis_side {
    uint32_t document;  /* index into the documents given */
    uint32_t statement;
    struct ingest_span span; /* the words that conflict: marked inside the statement */
    uint32_t fact;      /* index or INGEST_NONE */
};
struct analysis_pair {
    enum analysis_class class;
    enum analysis_status status; /* what the rules make of it: SUPERSEDED and RESOLVED carry `by` */
    struct analysis_side a, b;   /* a before b in (document, statement) order */
    float sameness;              /* 0..1: how sure the rules are that both speak of the same thing */
    bool decided;                /* the rules alone suffice (typed conflict, same subject); else the judge must agree */
    struct analysis_side by;     /* the clause that amends or gives precedence; document INGEST_NONE = none */
    struct slice why;            /* one line for a person: normalised values and computed arithmetic; in the arena */
};
int analysis_detect(const struct ingest_document *const *docs, size_t n_docs, struct arena *a, struct analysis_pair **out, size_t *n, struct error *e);

const char *analysis_class_name(enum analysis_class c);
const char *analysis_status_name(enum analysis_status s);

#endif
