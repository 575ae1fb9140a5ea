/* chat.h: conversations as a published Jamba was trained to read them, and its replies taken apart. The templates are
 * our own code, not Jinja: chat.c says which and from where. Knows no document store, no HTTP.
 *
 * What people wrote (messages, documents, names, tool definitions, arguments) stays text whatever it says: control
 * tokens come from the template alone. Text of the template and text of people beside it are encoded together, as a
 * whole rendering would be. Thread rule: any thread; everything here is plain data.
 *
 *     struct jamba_chat_message turns[] = {{.role = JAMBA_CHAT_USER, .content = slice_of("How long is the term?")}};
 *     struct jamba_chat chat = {.messages = turns, .n_messages = 1, .documents = docs, .n_documents = n};
 *     if (jamba_chat_encode(m, &chat, &ids, &n_ids, &e)) fail(&e);
 *     ... prefill, generate until an eos token ...
 *     if (jamba_chat_parse(m, reply_ids, n_reply, &arena, &reply, &e)) fail(&e);
 */
#ifndef ANTINOMY_JAMBA_CHAT_H
#define ANTINOMY_JAMBA_CHAT_H

#include "engine/jamba/jamba.h"

enum jamba_chat_style {
    JAMBA_CHAT_NONE,      /* the vocabulary has no chat tokens (the bundled model, base models) */
    JAMBA_CHAT_MINI,      /* <|bom|> ... <|eom|>: Jamba 1.5, 1.6, 1.7, Mini and Large */
    JAMBA_CHAT_CHATML,    /* <|im_start|> ... <|im_end|>: Jamba2 */
    JAMBA_CHAT_REASONING, /* the same, thinking first: Reasoning-3B */
};
/* From the vocabulary; Reasoning-3B and Jamba2 have the same one, so between those two the model's name decides
 * ("reasoning"). */
enum jamba_chat_style jamba_chat_style(const struct jamba_model *m);
const char *jamba_chat_style_name(enum jamba_chat_style style); /* "none", "mini", "chatml", "reasoning" */

enum jamba_chat_role { JAMBA_CHAT_SYSTEM, JAMBA_CHAT_USER, JAMBA_CHAT_ASSISTANT, JAMBA_CHAT_TOOL };
struct jamba_chat_call {
    struct slice name, arguments; /* arguments: JSON text, rendered as it stands */
};
struct jamba_chat_message {
    enum jamba_chat_role role;
    struct slice content;
    struct slice name;                   /* MINI: "(name)" before the content; data NULL = none */
    struct slice thought;                /* REASONING, CHATML: an assistant's; data NULL = none */
    const struct jamba_chat_call *calls; /* an assistant's */
    size_t n_calls;
    const uint32_t *citations; /* MINI: an assistant's, ids of documents */
    size_t n_citations;
    bool cited; /* n_citations counts, also where it is 0 */
};
struct jamba_chat_field {
    struct slice key, value;
};
struct jamba_chat_document {
    struct slice title; /* data NULL = none */
    struct slice text;
    const struct jamba_chat_field *fields; /* what else is known of it, in this order */
    size_t n_fields;
};
enum jamba_chat_citations { JAMBA_CITATIONS_UNSAID, JAMBA_CITATIONS_OFF, JAMBA_CITATIONS_FAST };
struct jamba_chat {
    const struct jamba_chat_message *messages; /* a system message stands first */
    size_t n_messages;
    const struct jamba_chat_document *documents; /* MINI */
    size_t n_documents;
    const struct slice *tools; /* JSON text of each: {"type": "function", "function": {...}} */
    size_t n_tools;
    bool modes; /* MINI: the block of active modes is rendered ("knobs.is_set"); the next two belong to it */
    enum jamba_chat_citations citations;
    bool json_mode;
    bool no_reply;      /* ends behind the last message; else where the assistant's reply begins */
    struct slice reply; /* MINI: the reply's first words, given; blank = none */
};

/* A rendering: text and what stands where in it. */
struct jamba_chat_piece {
    enum { JAMBA_PIECE_CONTROL, JAMBA_PIECE_TEMPLATE, JAMBA_PIECE_FOREIGN } kind;
    bool optional; /* CONTROL: a name that is plain text for a vocabulary without it (<tool_call>, <think>) */
    size_t start, end;
};
struct jamba_chat_rendering {
    struct buf text;
    struct jamba_chat_piece *pieces; /* in order, without gaps */
    size_t n_pieces, cap;
};
/* bos: the name of the beginning token, NULL or "" = none. ERR_UNSUPPORTED (the style has no place for documents,
 * modes, a given beginning; style none), ERR_ARG (a role where it cannot stand), ERR_FORMAT (a tool that is no JSON
 * object of type function; text that is not UTF-8: which), ERR_LIMIT, ERR_NOMEM. */
int jamba_chat_render(enum jamba_chat_style style, const char *bos, const struct jamba_chat *c,
                      struct jamba_chat_rendering *out, struct error *e);
void jamba_chat_rendering_free(struct jamba_chat_rendering *r);
/* The model's style, as token ids; malloc'd, the caller frees. As above, and ERR_UNSUPPORTED naming the template and
 * the token that the vocabulary lacks. */
int jamba_chat_encode(const struct jamba_model *m, const struct jamba_chat *c, int32_t **ids, size_t *n,
                      struct error *e);
/* jamba_chat_render in the model's style, with its bos; and a rendering's pieces [first, last) as ids: for prompts that
 * are read in parts. A part that ends beside text is encoded without that text. */
int jamba_chat_render_for(const struct jamba_model *m, const struct jamba_chat *c, struct jamba_chat_rendering *out,
                          struct error *e);
int jamba_chat_encode_pieces(const struct jamba_model *m, const struct jamba_chat_rendering *r, size_t first,
                             size_t last, int32_t **ids, size_t *n, struct error *e);

/* ---- the reply ---- */
struct jamba_chat_reply {
    struct slice content; /* without the one space that a MINI reply begins with */
    struct slice thought; /* data NULL = none */
    struct jamba_chat_call *calls;
    size_t n_calls;
    uint32_t *citations;
    size_t n_citations;
    bool cited;            /* a citations block was there, and was read */
    struct slice flaw;     /* what was not understood, for a person; data NULL = all was */
    struct slice not_read; /* the block's text; it is in no other field */
};
/* Never fails on what a model wrote. Slices and arrays in the arena. An eos token or the end of a message ends the
 * reply. ERR_NOMEM, ERR_UNSUPPORTED (no style). */
int jamba_chat_parse(const struct jamba_model *m, const int32_t *ids, size_t n, struct arena *a,
                     struct jamba_chat_reply *out, struct error *e);
/* The same from text in which the marks stand by name: for servers that hand out no token ids. Text cannot say whether
 * a mark was one. */
int jamba_chat_parse_text(enum jamba_chat_style style, struct slice text, struct arena *a, struct jamba_chat_reply *out,
                          struct error *e);

#endif
