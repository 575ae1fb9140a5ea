/* jamba.h: the Jamba runtime. Weights, tokenizer, timelines, snapshots, constrained decoding. Knows no document.
 *
 * A model is read-only and shareable between threads. A session is one timeline: KV pages of the attention layers, conv and SSM state
 * of the Mamba layers, its position. A Mamba state cannot be rewound: fork or save a session where you will want to come back.
 * Invariance: what a token's row computes depends on the tokens before it, the weights and the kernel path, never on chunk cuts,
 * batch mates or thread count, bit for bit.
 * One call at a time computes on a model; calls queue and take turns, a chunk each, in the order they came. A session must not be used by two threads at once.
 *
 *     struct jamba_model *m; struct jamba_session *s; struct error e;
 *     if (jamba_model_open(&m, "engine/models", NULL, &e)) fail(&e);
 *     if (jamba_session_open(&s, m, 12000, &e)) fail(&e);
 *     if (jamba_session_prefill(s, ids, n, NULL, &e)) fail(&e);
 *     if (jamba_session_logits(s, logits, &e)) fail(&e);       // [n_vocab], of the next token
 */
#ifndef ANTINOMY_JAMBA_H
#define ANTINOMY_JAMBA_H

#include "base.h"

struct jamba_model;
struct jamba_session;

struct jamba_config {
    uint32_t n_layer, d_model, d_ff, n_vocab;
    uint32_t n_head, n_kv_head, head_dim;
    uint32_t d_inner, d_state, d_conv, dt_rank;
    uint32_t n_expert, n_expert_used; /* n_expert 0 or 1: every FFN dense */
    uint32_t n_attention_layer;
    uint32_t context_length;
    float rms_norm_eps;
    bool tied_embeddings;
    int32_t bos, eos[4], pad; /* -1 when absent; eos ends with -1 */
};

struct jamba_model_options {
    int n_threads;          /* 0: the CPUs this process may use */
    const char *device;     /* NULL or "cpu"; where built with it "cuda" (one card where the model and its context fit, else all), "cuda:1", "cuda:0,1" (layers split), "cuda:all" */
    const char *path;       /* kernel path: NULL or "auto"; "scalar", "avx2", "avx512-vnni", "avx512-bf16", ... (kernels.h). ERR_UNSUPPORTED when the processor lacks it */
    bool random_weights;    /* keep shapes and tokenizer, replace every weight by noise of the same scale (for evaluation columns) */
    uint64_t random_seed;
    const char *quantize;   /* NULL or "none" = weights as they are (GPU: bf16); "int8" = all linear layers, experts included, int8 with a scale a row.
                             * CPU also "q4" = 4 bits with a scale each 32 values (the head int8): F32, F16 and BF16 alone, a GGUF file's own blocks stay. The
                             * blocks are kept in $ANTINOMY_CACHE, $XDG_CACHE_HOME/antinomy or ~/.cache/antinomy and mapped at the next start (quantize.h).
                             * GPU also "fp8" = e4m3, and prefill multiplies in it. Another name: ERR_ARG. The kernel path names it ("avx2+int8") */
    void (*note)(void *ctx, const char *text); /* CPU: told at opening, in the caller's thread, what is no error but worth a line in a log (a cache that cannot be written, or was damaged and made anew); NULL: nobody */
    void *note_ctx;
    uint64_t session_bytes; /* CPU: what all sessions of the model may take together; 0 = no limit. Counted: a session's Mamba state when it
                             * is opened, forked or restored, pages of 64 positions' keys and values as they are read, a page that forks
                             * share once. What does not fit is refused (ERR_NOMEM: needed and free bytes) and changes nothing: the
                             * session stands where it stood and goes on when others were closed. On a GPU kv_tokens says it */
    uint32_t kv_tokens;     /* GPU: positions that all sessions together may hold; 0 = the model's context and some forks */
};

/* path: a .gguf file, the first of its shards, or a folder that holds one model (GGUF or safetensors with config.json).
 * The folder's `card.json`, if there is one, is the model's card (jamba_model_card).
 * ERR_NOT_FOUND, ERR_FORMAT (which file, which tensor), ERR_UNSUPPORTED, ERR_NOMEM, ERR_DEVICE. */
int jamba_model_open(struct jamba_model **out, const char *path, const struct jamba_model_options *o, struct error *e);
void jamba_model_close(struct jamba_model *m); /* all its sessions must be closed before */
const struct jamba_config *jamba_model_config(const struct jamba_model *m);
const char *jamba_model_name(const struct jamba_model *m);        /* general.name or the file's name */
const char *jamba_model_kernel_path(const struct jamba_model *m); /* "scalar", "avx2", "avx512-vnni", "cuda sm_90", ... */
const uint8_t *jamba_model_id(const struct jamba_model *m);       /* [32] SHA-256 over config, tensor table and sampled weights */
const char *jamba_model_card(const struct jamba_model *m);        /* card.json's text, or "" */
uint64_t jamba_model_bytes(const struct jamba_model *m);          /* weights in memory, mapped and repacked */

/* What a model is made of, for people and for planning (summary.c). */
struct jamba_summary {
    uint64_t n_parameters; /* a tied output head once */
    uint32_t n_moe_layer;
    const char *device;    /* "cpu"; the GPUs with their layers: "cuda:0 NVIDIA H200 sm_90, layers 0 to 31, 52.1 GiB" */
    const char *tokenizer; /* "byte-level BPE", "SentencePiece BPE" */
    struct jamba_type_count {
        const char *type; /* as the matrices are stored; what is small (norms, convolutions, A, D, router) counts as F32 */
        uint32_t n_tensors;
        uint64_t bytes; /* in the file */
    } types[16];        /* the most bytes first */
    size_t n_types;
};
void jamba_model_summary(const struct jamba_model *m, struct jamba_summary *out);
/* Bytes that one session keeps for n_tokens: KV in whole pages, conv and SSM state. Also a snapshot's size, without its header and
 * checksums. */
uint64_t jamba_session_bytes(const struct jamba_model *m, uint32_t n_tokens);

/* ---- tokenizer (any thread) ---- */
/* Encodes document text: never yields a control token. ids and ends are malloc'd, the caller frees; ends[i] is the byte offset behind
 * token i in the text (ends may be NULL). A token may end inside a UTF-8 character. ERR_NOMEM, ERR_FORMAT (invalid UTF-8: byte). */
int jamba_tokenize(const struct jamba_model *m, const char *text, size_t len, int32_t **ids, uint32_t **ends, size_t *n, struct error *e);
/* Encodes a prompt of our own making: names of control tokens become their ids. Never for foreign text. */
int jamba_tokenize_prompt(const struct jamba_model *m, const char *text, size_t len, int32_t **ids, size_t *n, struct error *e);
/* The bytes of a token (control tokens: their name). Borrowed from the model. */
struct slice jamba_token_bytes(const struct jamba_model *m, int32_t id);
/* Id of a control token by name ("<|quote|>"), -1 when the model has none of that name. */
int32_t jamba_control_token(const struct jamba_model *m, const char *name);

/* Text of tokens as they come, in whole UTF-8 characters: an unfinished one is held back until the next token; bytes that can be none
 * become U+FFFD. Control tokens give no text. Starts zeroed; out is appended to. */
struct jamba_text {
    char held[4];
    unsigned n_held;
};
void jamba_text_push(struct jamba_text *t, const struct jamba_model *m, int32_t id, struct buf *out);
void jamba_text_end(struct jamba_text *t, struct buf *out); /* what is still held becomes U+FFFD */

/* ---- sessions ---- */
/* Opening, forking, restoring and reading: ERR_NOMEM where the model's session_bytes would not do. */
int jamba_session_open(struct jamba_session **out, struct jamba_model *m, uint32_t max_tokens, struct error *e);
/* A second timeline that goes on from the same state; KV pages are shared, not copied. */
int jamba_session_fork(struct jamba_session **out, const struct jamba_session *s, struct error *e);
void jamba_session_close(struct jamba_session *s);
uint32_t jamba_session_n_tokens(const struct jamba_session *s);
/* SHA-256 chain over the exact tokens read so far. */
void jamba_session_prefix_hash(const struct jamba_session *s, uint8_t out[32]);

/* How to run: all fields may be zero. Checked between chunks of a prefill, so a cancel takes effect within about a second. On
 * ERR_CANCELLED the session stands at a chunk border: jamba_session_n_tokens says how far it came; it may go on from there. */
struct jamba_run {
    bool (*cancelled)(void *ctx);
    void (*progress)(void *ctx, uint32_t done, uint32_t total);
    void *ctx;
    double deadline; /* clock_seconds() value, 0 = none */
    uint32_t chunk;  /* tokens a chunk, 0 = the engine's choice */
};

int jamba_session_prefill(struct jamba_session *s, const int32_t *ids, size_t n, const struct jamba_run *run, struct error *e);
/* Logits of the next token after everything read: [n_vocab] f32. With rows: only those n_rows ids, out[i] belongs to rows[i].
 * ERR_ARG for a session that has read nothing. */
int jamba_session_logits(struct jamba_session *s, float *out, struct error *e);
int jamba_session_logits_rows(struct jamba_session *s, const int32_t *rows, size_t n_rows, float *out, struct error *e);
/* Final-norm hidden state at the last position: [d_model] f32. */
int jamba_session_hidden(struct jamba_session *s, float *out, struct error *e);

/* ---- batches: several timelines advance together, one GEMM for all rows ---- */
enum jamba_want {
    JAMBA_WANT_NOTHING,
    JAMBA_WANT_LOGITS,  /* out [n_rows or n_vocab]: logits of the next token behind the item's last token */
    JAMBA_WANT_HIDDEN,  /* out [d_model]: final-norm hidden state at the last token */
    JAMBA_WANT_LOGPROBS /* out [n_tokens]: natural log-probability of each of the item's tokens given all before it; the first one needs a
                         * session that has read something */
};
struct jamba_batch_item {
    struct jamba_session *session; /* each session at most once in a batch */
    const int32_t *tokens;
    size_t n_tokens; /* > 0 */
    enum jamba_want want;
    const int32_t *rows; /* LOGITS: only these ids; NULL = all */
    size_t n_rows;
    float *out;
};
/* To judge given continuations of one reading, fork it once for each and score them in one batch:
 *
 *     for (size_t i = 0; i < n; i++) {
 *         if (jamba_session_fork(&fork[i], reading, &e)) fail(&e);
 *         items[i] = (struct jamba_batch_item){fork[i], ids[i], n_ids[i], JAMBA_WANT_LOGPROBS, .out = logprobs[i]};
 *     }
 *     if (jamba_batch_run(m, items, n, NULL, &e)) fail(&e);    // the sum of logprobs[i] is the log-likelihood of text i
 *
 * Items share rounds in the order they stand; a refused batch (ERR_ARG, ERR_LIMIT, ERR_NOMEM by budget) has read nothing. Cancel and
 * deadline are asked between rounds: the first items are then done, one may stand inside its tokens, the last are untouched. */
int jamba_batch_run(struct jamba_model *m, struct jamba_batch_item *items, size_t n_items, const struct jamba_run *run, struct error *e);

/* ---- snapshots: a session's whole state in a file ---- */
/* Written to path.tmp, fsynced, renamed. The file names model id, kernel path, prefix hash and token count and carries a checksum a
 * block. ERR_IO. */
int jamba_session_save(const struct jamba_session *s, const char *path, struct error *e);
/* The restored session goes on as the unbroken one would, bit for bit. ERR_FORMAT (corrupt, cut short: where), ERR_UNSUPPORTED (another
 * model or kernel path: names both), ERR_LIMIT (more tokens than max_tokens). */
int jamba_session_restore(struct jamba_session **out, struct jamba_model *m, const char *path, uint32_t max_tokens, struct error *e);

/* ---- constrained decoding ---- */
/* A constraint says which tokens may come next. `allowed` returns their number and lends their ids (ascending, distinct) until the next
 * call; SIZE_MAX means every token; 0 ends decoding. `accept` is told what was chosen. Three kinds stand below: pointer, choice,
 * pattern. Each object is used by one thread at a time and none of them computes, so they are the same on every device.
 *
 *     struct jamba_choice *c; struct slice words[2] = {slice_of(" yes"), slice_of(" no")};
 *     if (jamba_choice_open(&c, m, words, 2, &e)) fail(&e);
 *     struct jamba_constraint one_of = jamba_choice_constraint(c);
 *     if (jamba_generate(s, &one_of, NULL, 16, NULL, NULL, NULL, &e)) fail(&e);
 *     size_t which = jamba_choice_index(c);                    // 0 or 1
 */
struct jamba_constraint {
    size_t (*allowed)(void *ctx, const int32_t **ids);
    void (*accept)(void *ctx, int32_t id);
    void *ctx;
};
struct jamba_sampling {
    float temperature; /* 0 = greedy, lowest id on ties */
    float top_p;       /* 0 or 1 = off */
    uint64_t seed;
};
/* Decodes up to max_tokens; stops behind an eos token, when `allowed` gives 0, or when on_token returns false. A forced token (one
 * allowed) costs no logits; a forced run is read in one prefill (of 256 tokens at a time), to the same bits as token by token. On
 * success the session has read every token handed out, an eos token too. logprob is the natural log-probability within the allowed
 * tokens, at temperature 1 and before top_p: 0 for a forced token. What the whole vocabulary would have given a text is
 * JAMBA_WANT_LOGPROBS. Cancel and deadline are asked before each reading; ERR_CANCELLED leaves the session behind what it has read,
 * which can lack the last tokens handed out (jamba_session_n_tokens). */
int jamba_generate(struct jamba_session *s, const struct jamba_constraint *c, const struct jamba_sampling *sampling, uint32_t max_tokens,
                   bool (*on_token)(void *ctx, int32_t id, float logprob), void *ctx, const struct jamba_run *run, struct error *e);

/* Pointer constraint: the tokens must continue a run that stands in the corpus. All candidate positions are kept. */
struct jamba_pointer;
/* corpus is borrowed and must outlive it. breaks: ascending positions that a run must not cross (starts of documents). */
int jamba_pointer_open(struct jamba_pointer **out, const int32_t *corpus, size_t n, const uint32_t *breaks, size_t n_breaks, struct error *e);
void jamba_pointer_close(struct jamba_pointer *p);
void jamba_pointer_reset(struct jamba_pointer *p);                          /* every position is a candidate again */
int jamba_pointer_start_at(struct jamba_pointer *p, const uint32_t *at, size_t n, struct error *e); /* only runs that begin there */
size_t jamba_pointer_next(struct jamba_pointer *p, const int32_t **ids);    /* tokens that continue a candidate */
bool jamba_pointer_accept(struct jamba_pointer *p, int32_t id);             /* false: no candidate continues so, nothing changed */
size_t jamba_pointer_length(const struct jamba_pointer *p);                 /* tokens accepted since reset */
size_t jamba_pointer_positions(struct jamba_pointer *p, const uint32_t **starts); /* where the accepted run stands */
struct jamba_constraint jamba_pointer_constraint(struct jamba_pointer *p);  /* ends only where no candidate goes on: stop by on_token */

/* Choice constraint: the text is one of the strings, then an eos token. Each string in its canonical tokenisation alone, that of
 * jamba_tokenize for the string by itself (a space in front of a word belongs to the string), so the model is asked only where the
 * strings part. Where a string is the beginning of another, eos stands among the allowed tokens; where nothing else can follow, the
 * config's first eos is forced. Equal strings count as the first of them. */
struct jamba_choice;
/* strings are read now and not kept. ERR_ARG (none), ERR_FORMAT (no UTF-8), ERR_LIMIT (65,536 strings, 4 M tokens), ERR_UNSUPPORTED (a
 * vocabulary that cannot write a string; a model without eos), ERR_NOMEM. */
int jamba_choice_open(struct jamba_choice **out, const struct jamba_model *m, const struct slice *strings, size_t n, struct error *e);
void jamba_choice_close(struct jamba_choice *c);
void jamba_choice_reset(struct jamba_choice *c);
size_t jamba_choice_next(struct jamba_choice *c, const int32_t **ids);
bool jamba_choice_accept(struct jamba_choice *c, int32_t id); /* false: not allowed, nothing changed */
size_t jamba_choice_index(const struct jamba_choice *c);      /* which string stands here complete; SIZE_MAX: none (yet) */
struct jamba_constraint jamba_choice_constraint(struct jamba_choice *c);

/* Pattern constraint: the text, whole, matches a regular expression, then an eos token. eos is allowed exactly where the text so far
 * matches (and forced, the config's first, where nothing can follow). Every tokenisation of a matching text is allowed; control tokens,
 * and tokens of more than 1,024 bytes, are not. Known: characters, escapes (\n \t \r \f \a \xHH \x{H...} \uHHHH, punctuation), ".",
 * classes with ranges and ^, \d \w \s \D \W \S (ASCII), * + ? {m} {m,} {m,n}, |, ( ) and (?: ), ^ and $ at the ends. Classes hold
 * code points, so a text ends in whole UTF-8 characters; a token in between may end inside one. The grammar: pattern_parse.c. */
struct jamba_pattern;
/* ERR_ARG, ERR_UNSUPPORTED, ERR_FORMAT, ERR_LIMIT: `where` names the byte of the pattern ("pattern, byte 7"). Limits: 64 KB of pattern,
 * repeats to 1,000, 16,384 states with repeats written out. ERR_NOMEM: all memory (about 14 MB, most of it untouched; more for large patterns) is
 * taken here, so decoding cannot fail for lack of it. The first pattern of a model also builds the vocabulary's tree. */
int jamba_pattern_open(struct jamba_pattern **out, struct jamba_model *m, struct slice pattern, struct error *e);
void jamba_pattern_close(struct jamba_pattern *p);
void jamba_pattern_reset(struct jamba_pattern *p);
size_t jamba_pattern_next(struct jamba_pattern *p, const int32_t **ids);
bool jamba_pattern_accept(struct jamba_pattern *p, int32_t id);                 /* false: not allowed, nothing changed */
bool jamba_pattern_complete(const struct jamba_pattern *p);                     /* what was accepted matches as it stands */
bool jamba_pattern_matches(struct jamba_pattern *p, struct slice text);         /* of any text; what was accepted stays */
struct jamba_constraint jamba_pattern_constraint(struct jamba_pattern *p);

#endif
