/* inside.h: between the files of engine/analysis only: the model's card, how it is asked, a set held in memory, places
 * in it, readings, the judge.
 *
 * The path of a question (answer.c): corpus -> search (search.c) -> reading (reading.c) -> short reading that decides
 * (passages.c) -> quote (quote.c) -> short answer (short_answer.c) -> JSON. The path of a report (contradict.c): corpus
 * -> analysis_detect -> judge.c
 * -> findings.
 *
 * Offsets inside are bytes into a document's text, as in ingest.h. JSON shows characters (code points): quote.c
 * converts, once.
 */
#ifndef ANTINOMY_ANALYSIS_INSIDE_H
#define ANTINOMY_ANALYSIS_INSIDE_H

#include "engine/analysis/analysis.h"

#include <jansson.h>
#include <pthread.h>

/* ---- card.c: how a model is used; numbers belong to it, not to the code ---- */
enum prompting {
    PROMPT_CONTROL_TOKENS, /* "antinomy-control-tokens": trained for this program */
    PROMPT_CHAT            /* "chat": asked in plain English through its chat template */
};
struct card_bound { /* what the first statement's cosine says of P(none) */
    float cosine, threshold;
};
struct card {
    enum prompting prompts;
    bool embeds;               /* trained for vectors; else search is by words, and only the rules propose pairs */
    uint32_t effective_window; /* tokens a whole set may have to be read in one pass */
    uint32_t search_window;    /* tokens that search fills with whole sections when the set is larger */
    uint32_t decide_window;   /* tokens of the short reading that decides whether the documents answer; 0: decide on the
                                 reading itself */
    uint32_t decide_passages; /* passages of the short reading */
    float none_threshold;     /* P(none) above it: not in the documents */
    struct card_bound far;    /* the threshold where its cosine is below this and its score less than far_lead above
                                 the second's: the search found nothing near */
    float far_lead;
    struct card_bound remote; /* the threshold where its cosine is below this, whether it leads or not */
    struct card_bound value; /* the threshold where its cosine is at least this, and a value is asked for, and it states
                                one of that kind and every figure of the question */
    float known_words;       /* share of the question's words that must be of Latin script or stand in the set; 0: none
                                need (a model that reads other scripts) */
    bool evidence_by_reading; /* the quote is decoded under the pointer constraint; else the first statement of the
                                 search */
    bool short_answers;       /* force quote and answer, show it when it stands in the quote */
    float pair_possible, pair_sure;
    float vector_weight, bm25_weight, exact_weight;
    float value_weight; /* added where the statement states a value of a kind that the question asks for */
    uint32_t embed_max_tokens, pair_max_tokens;
};
/* by: how a model with this vocabulary can be asked; context: its longest. */
void card_default(struct card *c, enum prompting by, uint32_t context);
/* "" keeps the defaults, which are those of the way of asking that the card names, else of `by`; ERR_FORMAT,
 * ERR_UNSUPPORTED (other prompts) */
int card_parse(struct card *c, const char *json, enum prompting by, uint32_t context, struct error *e);

/* ---- prompt.c: what is said to the model, as token ids ---- */
struct id_run {
    int32_t *ids; /* owned */
    size_t n;
};
struct prompts {
    int32_t doc;         /* in front of a document's title; -1: the title says that a document begins */
    int32_t end_quote;   /* ends a quote (and where it starts the short answer, that) */
    int32_t next_quote;  /* starts another quote; -1: one quote alone */
    int32_t decide[2];   /* the documents do not say; they do */
    int32_t relation[3]; /* contradiction, consistent, unrelated */
    int32_t embed_question, embed_doc, embed;
    struct id_run docs;          /* in front of the documents */
    struct id_run before_quote;  /* between the decision and a forced or decoded quote */
    struct id_run before_answer; /* between a quote that has ended with end_quote and the short answer */
    struct id_run behind_pair;   /* CHAT: what the reply begins with */
    struct id_run behind_question;
    bool quote_is_chosen; /* the model itself says none or quote where a quote may begin, before_quote is that token */
};

/* How the model can be asked: ERR_UNSUPPORTED when its vocabulary knows neither way. */
int prompting_of(const struct jamba_model *m, enum prompting *out, struct error *e);
/* Fills an->prompts for an->card.prompts. ERR_UNSUPPORTED: which token the vocabulary lacks. */
int prompts_open(struct analysis *an, struct error *e);
void prompts_close(struct prompts *p);
/* Malloc'd tokens: a document's title (n_before: documents read in front of it), a question behind the documents, a
 * pair of statements. */
int prompt_title(const struct analysis *an, size_t n_before, struct slice title, int32_t **ids, size_t *n,
                 struct error *e);
int prompt_question(const struct analysis *an, struct slice question, int32_t **ids, size_t *n, struct error *e);
int prompt_pair(const struct analysis *an, struct slice a, struct slice b, int32_t **ids, size_t *n, struct error *e);
/* A token that ends what the model says in its own words: any control token. */
bool prompt_stops(const struct jamba_model *m, int32_t id);

/* ---- corpus.c: a set in memory: documents, their tokens, what stands where ---- */
struct corpus_document {
    struct store_document entry; /* slices in the corpus' arena */
    struct ingest_document *doc;
    bool duplicate;     /* same bytes as an earlier entry: not read twice, but named as a place */
    int32_t *title_ids; /* title and line end; owned */
    size_t n_title_ids;
    int32_t *ids;   /* tokens of the text; owned */
    uint32_t *ends; /* byte end of each in the text */
    size_t n_ids;
    struct slice folded; /* text with each run of white space as one space; in the corpus' arena */
    uint32_t *folded_at; /* byte of the text for each byte of folded, and one behind the end */
    int32_t date;        /* yyyymmdd the document says of itself, 0 = unknown */
};
struct corpus {
    struct arena arena;
    int64_t set;
    uint8_t signature[32]; /* of entries, contents and states: equal = nothing changed */
    struct corpus_document
        *docs; /* ready and current, by entry id: a new document comes last, so a reading is extended */
    size_t n_docs;
    struct store_document *others; /* failed, queued or replaced entries */
    size_t n_others;
    uint32_t n_failed, n_queued, pages_without_text;
    uint32_t n_open;   /* tokens in front of the documents */
    uint64_t n_tokens; /* of the whole reading, control tokens and titles too; an estimate without a model */
    int refs;          /* guarded by analysis.lock */
    pthread_mutex_t pairs_lock;
    bool pairs_done;
    struct analysis_pair *pairs; /* analysis_detect over docs; in the arena */
    size_t n_pairs;
};

struct reading_kept { /* the last whole reading: never asked itself, only forked */
    struct jamba_session *session;
    int64_t set;
    int32_t *ids;
    size_t n_ids;
    uint32_t max_tokens;
};

struct analysis {
    struct store *store;
    struct jamba_model *model; /* NULL: search and rules alone */
    struct card card;
    struct prompts prompts;
    pthread_mutex_t lock;         /* corpus */
    struct corpus *corpus;        /* the last one used */
    pthread_mutex_t reading_lock; /* kept; held while a set is read, so that two askers do not read it twice */
    struct reading_kept kept;
    pthread_mutex_t embed_lock; /* one fills the missing vectors at a time */
};

/* The set as it is now. Release what you get. ERR_NOT_FOUND, ERR_NOMEM. */
int corpus_acquire(struct analysis *an, int64_t set, struct corpus **out, struct error *e);
void corpus_release(struct analysis *an, struct corpus *c);
/* The rules' pairs, computed once a corpus. */
int corpus_pairs(struct corpus *c, struct error *e);
size_t corpus_find_content(const struct corpus *c, int64_t content); /* index of the first with it, SIZE_MAX */
/* Tokens of a byte range: [*first, *last) in docs[doc].ids. */
void corpus_tokens(const struct corpus_document *d, struct ingest_span span, size_t *first, size_t *last);
/* The tokens of the whole reading (malloc'd), and for each document that is read where it ends in them (may be NULL).
 */
int corpus_sequence(const struct analysis *an, const struct corpus *c, int32_t **ids, size_t *n, struct error *e);

/* ---- events ---- */
void event_stage(const struct analysis_events *ev, const char *stage, uint64_t done, uint64_t total);
void event_part(const struct analysis_events *ev, const char *name, json_t *json);
bool event_cancelled(const struct analysis_events *ev);
/* A jamba_run that reports as `stage` and asks ev->cancelled. The holder must outlive the run. */
struct run_holder {
    struct jamba_run run;
    const struct analysis_events *ev;
    const char *stage;
    uint64_t base, total;
};
void run_init(struct run_holder *h, const struct analysis_events *ev, const char *stage, uint64_t base, uint64_t total);

/* ---- embed.c ---- */
/* One vector for a text: as_question chooses the prompt. out [d_model], L2 = 1. */
int embed_text(struct analysis *an, struct slice text, bool as_question, float *out, const struct jamba_run *run,
               struct error *e);
/* Gives every statement of the set that lacks one its vector. */
int embed_missing(struct analysis *an, int64_t set, const struct analysis_events *ev,
                  int (*progress)(void *ctx, size_t done, size_t total, struct error *e), void *ctx, struct error *e);

/* ---- places: a statement of a document of the corpus ---- */
struct place {
    size_t doc; /* index in the corpus */
    uint32_t statement;
    float score, cosine; /* of the search, when it comes from there */
};
/* Ranked statements for a question; headings left out. *n <= top_k. In the arena. */
int search_places(struct analysis *an, struct corpus *c, struct slice question, bool with_model, uint32_t top_k,
                  struct arena *a, struct place **out, size_t *n, struct error *e);

/* ---- quote.c ---- */
struct ingest_statement *place_statement(const struct corpus *c, const struct place *p);
/* Lead-in and statement as shown, joined by a space; in the arena. */
struct slice place_text(const struct corpus *c, const struct place *p, struct arena *a);
bool place_has_lead_in(const struct corpus *c, const struct place *p);
/* Byte for byte: the tokens that the model read there spell exactly the words that are shown. Without tokens: the span
 * lies in the text. */
bool place_verify(const struct corpus *c, const struct place *p);
/* Every other place where the same words stand (white space apart), newest operative document first. In the arena. */
struct span_place {
    size_t doc;
    struct ingest_span span;
};
int places_same(const struct corpus *c, const struct place *p, struct arena *a, struct span_place **out, size_t *n,
                struct error *e);
/* {"document","document_id","page","page_label","section","quote","start","end","marks","also"}, in spreadsheets "cell"
 * and "sheet" too; NULL on no memory. */
json_t *place_citation(const struct corpus *c, const struct place *p, const struct ingest_span *marks, size_t n_marks,
                       bool with_also, struct error *e);
uint64_t text_characters(const struct ingest_document *d, uint32_t offset);  /* byte offset -> character offset */
uint32_t text_page_number(const struct ingest_document *d, uint32_t offset); /* 1-based */
struct slice text_page_label(const struct ingest_document *d, uint32_t offset);
struct slice statement_section(const struct ingest_document *d, uint32_t statement, struct arena *a);
json_t *json_slice(struct slice s);
int json_to_arena(json_t *j, struct arena *a, struct slice *out, struct error *e);

/* ---- passages.c: part of a set, chosen by the search ---- */
struct passage {
    size_t doc;
    struct ingest_span span;
    struct ingest_span header; /* of the table whose rows begin the span, when it stands far above; else empty */
    uint32_t n_tokens;         /* with its control token and title */
};
/* Ranges around the best statements, grown by neighbours, in document order, at most `window` tokens together. */
int passages_around(struct analysis *an, const struct corpus *c, const struct place *places, size_t n, uint32_t window,
                    uint32_t max_passages, struct arena *a, struct passage **out, size_t *n_out, struct error *e);
/* Whole sections of the best statements until the window is full. */
int passages_sections(struct analysis *an, const struct corpus *c, const struct place *places, size_t n,
                      uint32_t window, struct arena *a, struct passage **out, size_t *n_out, struct error *e);
int passages_sequence(struct analysis *an, const struct corpus *c, const struct passage *ps, size_t n, int32_t **ids,
                      size_t *n_ids, struct error *e);

/* ---- reading.c ---- */
struct reading {
    struct jamba_session *session; /* a fork: yours */
    struct passage *passages;      /* chosen_by search: what was read; in the arena given */
    size_t n_passages;
    bool whole;
    uint64_t tokens_read, restored, newly_read;
    double seconds;
};
/* The whole set when it fits the card's window, else what the search chose. */
int reading_acquire(struct analysis *an, struct corpus *c, const struct place *places, size_t n_places,
                    const struct analysis_events *ev, struct arena *a, struct reading *out, struct error *e);
void reading_close(struct reading *r);

/* ---- decide and decode (ask.c) ---- */
/* Session must stand behind the documents: reads the question, then P(none) against P(quote). */
int ask_none(struct analysis *an, struct jamba_session *s, struct slice question, const struct jamba_run *run,
             float *p_none, size_t *n_read, struct error *e);
/* Decodes quotes and a short answer from a session behind the question, under the pointer constraint over the corpus.
 * places: whole statements the quotes fall into, in the order
 * they were quoted. only: what was read when that is not the whole corpus (quotes begin there); NULL = all. */
int ask_pointer(struct analysis *an, const struct corpus *c, struct jamba_session *s, const struct jamba_run *run,
                struct arena *a, const struct passage *only, size_t n_only, struct place **places, size_t *n,
                struct slice *answer, struct error *e);
/* Forces the statement as the quote, then decodes a short answer (session stands behind the question). */
int ask_short_answer(struct analysis *an, const struct corpus *c, const struct place *p, struct jamba_session *s,
                     const struct jamba_run *run, struct arena *a, struct slice *answer, struct error *e);

/* ---- known.c ---- */
/* Whether at least `share` of the question's words are of Latin script or stand in the set. */
bool words_known(const struct corpus *c, struct slice question, float share);

/* ---- column.c: the row and the cell of a spreadsheet that answer ---- */
bool column_row(const struct corpus *c, const struct place *p); /* a row of a spreadsheet's table */
/* false: another row is asked for: this one names the columns; a code that the question names ("B-109") stands neither
 * in this one nor above it; or the question names a column, and none of its other words stands in the row. */
bool column_row_asked(const struct corpus *c, const struct place *p, struct slice question);
/* The cell whose column the question names; false where it names none, or two alike. */
bool column_named(const struct corpus *c, const struct place *p, struct slice question, struct ingest_span *cell);
/* Do these words stand in more than one cell of the row? */
bool column_repeats(const struct corpus *c, const struct place *p, struct ingest_span words);

/* ---- asked.c ---- */
/* The kinds of value that an English question asks for, as bits 1 << enum ingest_fact_kind; 0: for no value. */
unsigned asked_values(struct slice question);
/* Whether the statement states a value of one of these kinds. */
bool states_value(const struct ingest_document *d, uint32_t statement, unsigned kinds);
/* Whether every figure of the question stands in the text ("2019", "1,000", "4.2"). */
bool states_figures(struct slice text, struct slice question);

/* ---- short_answer.c ---- */
/* Where the short answer stands in what is shown of the statement. false: it does not, or it would drop a negation:
 * show the quote. *words: range of the document's own words to show and mark. */
bool short_answer_place(const struct corpus *c, const struct place *p, struct slice answer, struct ingest_span *words);
/* The same over two plain texts; range in bytes of `shown`. */
bool short_answer_find(struct slice shown, struct slice answer, size_t *start, size_t *end);
/* Words of a statement that a finding marks, with a negation near before them; the whole statement when one would be
 * lost otherwise. */
struct slice side_words(const struct corpus *c, const struct place *p, struct ingest_span span, struct arena *a);

/* ---- judge.c ---- */
struct judge_pair {
    struct slice a, b;
    float ab[3], ba[3]; /* contradiction, consistent, unrelated; in the order a, b and b, a */
};
int judge_pairs(struct analysis *an, struct judge_pair *pairs, size_t n, const struct analysis_events *ev,
                struct error *e);

#endif
