/* chat_reply.c: a chat model's reply taken apart: answer, thought, tool calls, citations. Owns the marks; refuses
 * nothing that a model can write: what is not understood is kept and named.
 *
 * A mark counts where the model wrote its control token; the same characters written as text are text. A block runs
 * from its mark to its closing mark, to the next opening mark, or to the end.
 *
 *     ChatML   <think> thought </think> content <tool_call> {"name", "arguments"} </tool_call> ...  (one call each)
 *     Mini     content <tool_calls>[ {...}, {...} ]</tool_calls> <citations>[0, 2]</citations>
 */
#include "engine/jamba/chat.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLY_MAX_CALLS = 256, REPLY_MAX_CITATIONS = 4096 };

enum block { BLOCK_CONTENT, BLOCK_THOUGHT, BLOCK_CALLS, BLOCK_CALL, BLOCK_CITATIONS };
static const struct {
    const char *open, *close;
    const char *what;
} BLOCKS[] = {
    [BLOCK_CONTENT] = {"", "", "answer"},
    [BLOCK_THOUGHT] = {"<think>", "</think>", "thought"},
    [BLOCK_CALLS] = {"<tool_calls>", "</tool_calls>", "tool calls"},
    [BLOCK_CALL] = {"<tool_call>", "</tool_call>", "tool call"},
    [BLOCK_CITATIONS] = {"<citations>", "</citations>", "citations"},
};
enum { N_BLOCKS = sizeof BLOCKS / sizeof *BLOCKS };

struct reader {
    enum jamba_chat_style style;
    struct arena *a;
    struct jamba_chat_reply *out;
    struct buf content, thought, block;
    bool has_thought;
    bool behind_thought; /* line ends in front of the answer belong to the template */
    enum block in;
    bool failed; /* no memory */
};

static void flaw(struct reader *r, const char *text, struct slice not_read) {
    struct jamba_chat_reply *o = r->out;
    if (o->flaw.data) return; /* the first one is enough for a person */
    o->flaw = arena_slice_printf(r->a, "%s", text);
    o->not_read = arena_slice(r->a, not_read);
    r->failed = r->failed || !o->flaw.data || !o->not_read.data;
}

static bool add_call(struct reader *r, const json_t *j) {
    struct jamba_chat_reply *o = r->out;
    const json_t *name = json_object_get(j, "name"), *arguments = json_object_get(j, "arguments");
    if (!json_is_string(name) || o->n_calls == REPLY_MAX_CALLS) return false;
    if (!o->calls && !(o->calls = arena_array(r->a, REPLY_MAX_CALLS, sizeof *o->calls))) {
        r->failed = true;
        return true;
    }
    char *text = json_is_string(arguments) || !arguments
                     ? NULL
                     : json_dumps(arguments, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    struct slice said = text ? slice_of(text)
                        : json_is_string(arguments)
                            ? (struct slice){json_string_value(arguments), json_string_length(arguments)}
                            : SLICE_LITERAL("{}");
    struct jamba_chat_call *c = &o->calls[o->n_calls++];
    c->name = arena_slice(r->a, (struct slice){json_string_value(name), json_string_length(name)});
    c->arguments = arena_slice(r->a, said);
    r->failed = r->failed || !c->name.data || !c->arguments.data;
    free(text);
    return true;
}

static void read_calls(struct reader *r, struct slice s) {
    json_t *j = json_loadb(s.data ? s.data : "", s.len, 0, NULL), *one;
    size_t i;
    bool good = json_is_object(j) || json_is_array(j);
    if (json_is_object(j)) good = add_call(r, j);
    json_array_foreach(j, i, one) good = add_call(r, one) && good;
    if (!good) flaw(r, "A tool call in the reply could not be read.", s);
    json_decref(j);
}

static void read_citations(struct reader *r, struct slice s) {
    struct jamba_chat_reply *o = r->out;
    json_t *j = json_loadb(s.data ? s.data : "", s.len, 0, NULL), *one;
    size_t i, n = json_array_size(j);
    bool good = json_is_array(j) && n <= REPLY_MAX_CITATIONS;
    json_array_foreach(j, i, one) good =
        good && json_is_integer(one) && json_integer_value(one) >= 0 && json_integer_value(one) <= UINT32_MAX;
    if (good && !(o->citations = arena_array(r->a, n ? n : 1, sizeof *o->citations))) r->failed = true;
    if (good && !r->failed) {
        o->cited = true;
        o->n_citations = n;
        json_array_foreach(j, i, one) o->citations[i] = (uint32_t)json_integer_value(one);
    }
    if (!good) flaw(r, "The citations in the reply could not be read.", s);
    json_decref(j);
}

static void close_block(struct reader *r) {
    struct slice s = slice_trim(buf_slice(&r->block));
    if (r->in == BLOCK_CALLS || r->in == BLOCK_CALL) read_calls(r, s);
    if (r->in == BLOCK_CITATIONS) read_citations(r, s);
    r->behind_thought = r->in == BLOCK_THOUGHT;
    r->in = BLOCK_CONTENT;
    r->block.len = 0;
}

static void on_open(struct reader *r, enum block b) {
    if (r->in != BLOCK_CONTENT) close_block(r);
    r->has_thought = r->has_thought || b == BLOCK_THOUGHT;
    if (b == BLOCK_CALL && r->content.len && r->content.data[r->content.len - 1] == '\n')
        r->content.len--; /* the template's line end in front of a call */
    r->in = b;
}

static void on_close(struct reader *r, enum block b) {
    if (r->in == b) {
        close_block(r);
        return;
    }
    if (b == BLOCK_THOUGHT && r->in == BLOCK_CONTENT && !r->has_thought) {
        /* the thought was opened by the prompt */
        buf_append(&r->thought, r->content.data, r->content.len);
        r->content.len = 0;
        r->has_thought = r->behind_thought = true;
        return;
    }
    char text[80];
    snprintf(text, sizeof text, "The reply ends %s that it had not begun.", BLOCKS[b].what);
    flaw(r, text, (struct slice){"", 0});
}

static void on_text(struct reader *r, struct slice s) {
    while (r->in == BLOCK_CONTENT && r->behind_thought && s.len && *s.data == '\n') s.data++, s.len--;
    if (s.len && r->in == BLOCK_CONTENT) r->behind_thought = false;
    buf_append(r->in == BLOCK_CONTENT ? &r->content : r->in == BLOCK_THOUGHT ? &r->thought : &r->block, s.data, s.len);
}

/* The mark that a name is: block, *closes; BLOCK_CONTENT = none of this style. */
static enum block block_of(enum jamba_chat_style style, struct slice name, bool *closes) {
    for (int b = BLOCK_THOUGHT; b < N_BLOCKS; b++) {
        bool mini = b == BLOCK_CALLS || b == BLOCK_CITATIONS;
        if (mini != (style == JAMBA_CHAT_MINI)) continue;
        *closes = slice_equal(name, slice_of(BLOCKS[b].close));
        if (*closes || slice_equal(name, slice_of(BLOCKS[b].open))) return (enum block)b;
    }
    return BLOCK_CONTENT;
}

static int finish(struct reader *r, struct error *e) {
    struct jamba_chat_reply *o = r->out;
    if (r->in != BLOCK_CONTENT) {
        char text[80];
        enum block in = r->in;
        snprintf(text, sizeof text, "The reply ends inside its %s.", BLOCKS[in].what);
        close_block(r);
        if (in == BLOCK_THOUGHT) flaw(r, text, (struct slice){"", 0}); /* the others: what was read of them counts */
    } else if (r->style == JAMBA_CHAT_REASONING && !r->has_thought) {
        buf_append(&r->thought, r->content.data, r->content.len); /* the prompt opened <think> */
        r->content.len = 0;
        r->has_thought = true;
        flaw(r, "The reply ends inside its thought.", (struct slice){"", 0});
    }
    struct slice content = buf_slice(&r->content), thought = buf_slice(&r->thought);
    if (r->style == JAMBA_CHAT_MINI && content.len && *content.data == ' ') content.data++, content.len--;
    while (thought.len && *thought.data == '\n') thought.data++, thought.len--;
    while (thought.len && thought.data[thought.len - 1] == '\n') thought.len--;
    o->content = arena_slice(r->a, content);
    if (r->has_thought) o->thought = arena_slice(r->a, thought);
    if (r->failed || r->content.failed || r->thought.failed || r->block.failed || !o->content.data ||
        (r->has_thought && !o->thought.data))
        return error_set(e, ERR_NOMEM, "", "There is not enough memory for the reply.");
    return 0;
}

static int start(struct reader *r, struct error *e) {
    *r->out = (struct jamba_chat_reply){0};
    return r->style == JAMBA_CHAT_NONE
               ? error_set(e, ERR_UNSUPPORTED, "", "The model has no chat template, so its reply has no parts.")
               : 0;
}

static void end(struct reader *r) {
    buf_free(&r->content);
    buf_free(&r->thought);
    buf_free(&r->block);
}

int jamba_chat_parse(const struct jamba_model *m, const int32_t *ids, size_t n, struct arena *a,
                     struct jamba_chat_reply *out, struct error *e) {
    struct reader r = {.style = jamba_chat_style(m), .a = a, .out = out};
    const struct jamba_config *c = jamba_model_config(m);
    struct jamba_text text = {0};
    struct buf b = {0};
    int rc = start(&r, e);
    /* also where the config does not count it as an eos, as in a GGUF, which names one alone */
    int32_t end_of_message = jamba_control_token(m, r.style == JAMBA_CHAT_MINI ? "<|eom|>" : "<|im_end|>");
    bool stop = false;
    for (size_t i = 0; !rc && !stop && i < n; i++) {
        struct slice name = jamba_token_bytes(m, ids[i]);
        char s[64] = "";
        bool closes = false;
        stop = ids[i] == end_of_message;
        for (int k = 0; k < 4 && c->eos[k] >= 0; k++) stop = stop || ids[i] == c->eos[k];
        if (stop) break;
        enum block what = block_of(r.style, name, &closes);
        if (what != BLOCK_CONTENT) {
            memcpy(s, name.data, name.len < sizeof s ? name.len : 0);
            if (jamba_control_token(m, s) != ids[i]) what = BLOCK_CONTENT;
        }
        b.len = 0;
        if (what == BLOCK_CONTENT) {
            jamba_text_push(&text, m, ids[i], &b); /* other control tokens give no text */
        } else {
            jamba_text_end(&text, &b);
            text = (struct jamba_text){0};
        }
        if (b.len) on_text(&r, buf_slice(&b));
        if (what != BLOCK_CONTENT && closes) on_close(&r, what);
        if (what != BLOCK_CONTENT && !closes) on_open(&r, what);
    }
    b.len = 0;
    jamba_text_end(&text, &b);
    if (b.len) on_text(&r, buf_slice(&b));
    r.failed = r.failed || b.failed;
    if (!rc) rc = finish(&r, e);
    buf_free(&b);
    end(&r);
    return rc;
}

int jamba_chat_parse_text(enum jamba_chat_style style, struct slice text, struct arena *a, struct jamba_chat_reply *out,
                          struct error *e) {
    struct reader r = {.style = style, .a = a, .out = out};
    int rc = start(&r, e);
    size_t from = 0;
    for (size_t i = 0; !rc && i < text.len; i++) {
        if (text.data[i] != '<') continue;
        size_t n = 1;
        while (i + n < text.len && n < 16 && text.data[i + n - 1] != '>') n++;
        bool closes = false;
        enum block what = block_of(style, (struct slice){text.data + i, n}, &closes);
        if (what == BLOCK_CONTENT) continue;
        if (i > from) on_text(&r, (struct slice){text.data + from, i - from});
        if (closes)
            on_close(&r, what);
        else
            on_open(&r, what);
        from = i + n;
        i = from - 1;
    }
    if (!rc && text.len > from) on_text(&r, (struct slice){text.data + from, text.len - from});
    if (!rc) rc = finish(&r, e);
    end(&r);
    return rc;
}
