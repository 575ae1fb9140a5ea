/* chat.c: a conversation to text and to token ids, as the published chat templates render it. Owns the templates'
 * words; refuses what a template has no place for.
 *
 * MINI (Jamba 1.5, 1.6, 1.7; the template of AI21-Jamba-Mini-1.7, read in r-rojo/rampipe, jamba-spec 4.4):
 *
 *     bos <|bom|><|system|> S [tools]                       always, S may be empty
 *     <|eom|><|bom|><|system|> [documents] [modes]          in front of the last user message
 *     <|eom|><|bom|><|ROLE|> (name)content[calls][citations]
 *     <|eom|><|bom|><|assistant|>                           the model writes the space behind it
 *
 * CHATML and REASONING (Jamba2; Reasoning-3B, whose template stands in several public programs, jamba-spec 4.5):
 *
 *     bos <|im_start|>ROLE\n content<|im_end|>\n ... <|im_start|>assistant\n
 *
 * with tools in the system message and tool results in a user message. REASONING asks for a thought in front of the
 * last user message and opens <think> where the reply begins. A thought is rendered only behind the last question, so
 * what a model wrote and what it is shown later differ: a snapshot worth keeping stands in front of a user message.
 *
 * JSON is written as Python's json.dumps writes it (separators ", " and ": ", shortest floats, nothing but quotes,
 * backslashes and control characters escaped), because the models were trained on that.
 */
#include "engine/jamba/chat.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHAT_MAX_TEXT = 1 << 30, TOOL_MAX_DEPTH = 64 };

const char *jamba_chat_style_name(enum jamba_chat_style style) {
    static const char *const names[] = {"none", "mini", "chatml", "reasoning"};
    return (size_t)style < sizeof names / sizeof *names ? names[style] : "none";
}

static bool name_has(const char *name, const char *word) {
    for (; *name; name++) {
        size_t i = 0;
        while (word[i] && (name[i] | 0x20) == word[i]) i++;
        if (!word[i]) return true;
    }
    return false;
}

enum jamba_chat_style jamba_chat_style(const struct jamba_model *m) {
    if (jamba_control_token(m, "<|bom|>") >= 0) return JAMBA_CHAT_MINI;
    if (jamba_control_token(m, "<|im_start|>") < 0) return JAMBA_CHAT_NONE;
    return name_has(jamba_model_name(m), "reasoning") ? JAMBA_CHAT_REASONING : JAMBA_CHAT_CHATML;
}

/* ---- pieces ---- */
struct renderer {
    const struct jamba_chat *c;
    struct jamba_chat_rendering *out;
    struct error *e;
    int rc;
};

static void put(struct renderer *r, int kind, bool optional, struct slice s) {
    struct jamba_chat_rendering *o = r->out;
    if (r->rc || !s.len) return;
    if (s.len > CHAT_MAX_TEXT - o->text.len) {
        r->rc =
            error_set(r->e, ERR_LIMIT, "", "A conversation of more than %d bytes cannot be rendered.", CHAT_MAX_TEXT);
        return;
    }
    if (o->n_pieces == o->cap &&
        (r->rc = array_grow((void **)&o->pieces, &o->cap, o->n_pieces + 1, sizeof *o->pieces, r->e)))
        return;
    struct jamba_chat_piece *p = &o->pieces[o->n_pieces++];
    p->kind = kind == JAMBA_PIECE_CONTROL    ? JAMBA_PIECE_CONTROL
              : kind == JAMBA_PIECE_TEMPLATE ? JAMBA_PIECE_TEMPLATE
                                             : JAMBA_PIECE_FOREIGN;
    p->optional = optional;
    p->start = o->text.len;
    buf_append(&o->text, s.data, s.len);
    p->end = o->text.len;
    if (o->text.failed) r->rc = error_set(r->e, ERR_NOMEM, "", "There is not enough memory for the conversation.");
}

static void control(struct renderer *r, const char *name) {
    put(r, JAMBA_PIECE_CONTROL, false, slice_of(name));
}

/* A mark of the ChatML line. That the vocabulary may lack it is no error: its template holds it as text. */
static void mark(struct renderer *r, const char *name) {
    put(r, JAMBA_PIECE_CONTROL, true, slice_of(name));
}

static void words(struct renderer *r, const char *text) {
    put(r, JAMBA_PIECE_TEMPLATE, false, slice_of(text));
}

/* What people wrote. */
static void foreign(struct renderer *r, struct slice s, const char *what) {
    if (!r->rc && !utf8_valid(s.data, s.len))
        r->rc = error_set(r->e, ERR_FORMAT, what, "The %s is not valid UTF-8.", what);
    put(r, JAMBA_PIECE_FOREIGN, false, s);
}

/* ---- JSON as Python writes it ---- */
static void json_write_string(struct buf *b, const char *s, size_t len) {
    buf_puts(b, "\"");
    for (size_t i = 0; i < len; i++) {
        static const char plain[] = "\"\\\n\r\t\b\f", escaped[] = "\"\\nrtbf";
        const char *at = s[i] ? strchr(plain, s[i]) : NULL;
        if (at)
            buf_printf(b, "\\%c", escaped[at - plain]);
        else if ((unsigned char)s[i] < 0x20)
            buf_printf(b, "\\u%04x", (unsigned)(unsigned char)s[i]);
        else
            buf_append(b, &s[i], 1);
    }
    buf_puts(b, "\"");
}

/* float.__repr__: the fewest digits that read back, an exponent below 1e-4 and from 1e16 on. */
static void json_write_real(struct buf *b, double v) {
    char s[40];
    int digits = 1;
    for (; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*e", digits - 1, v);
        if (strtod(s, NULL) == v) break;
    }
    int exponent = atoi(strchr(s, 'e') + 1);
    if (exponent >= -4 && exponent < 16) {
        int decimals = digits > 17 ? 1 : digits - 1 - exponent;
        buf_printf(b, "%.*f", decimals < 1 ? 1 : decimals, v);
    } else {
        buf_puts(b, s); /* Python too writes at least two digits of exponent */
    }
}

static void json_write(struct buf *b, const json_t *v, int indent, int depth) {
    const bool object = json_is_object(v);
    if (json_is_string(v)) {
        json_write_string(b, json_string_value(v), json_string_length(v));
    } else if (json_is_integer(v)) {
        buf_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    } else if (json_is_real(v)) {
        json_write_real(b, json_real_value(v));
    } else if (!object && !json_is_array(v)) {
        buf_puts(b, json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
    } else if (depth > TOOL_MAX_DEPTH) {
        b->failed = true;
    } else {
        size_t n = object ? json_object_size(v) : json_array_size(v);
        void *at = object ? json_object_iter((json_t *)v) : NULL;
        buf_puts(b, object ? "{" : "[");
        for (size_t i = 0; i < n; i++) {
            if (i) buf_puts(b, indent ? "," : ", ");
            if (indent) buf_printf(b, "\n%*s", indent * (depth + 1), "");
            if (object) {
                json_write_string(b, json_object_iter_key(at), strlen(json_object_iter_key(at)));
                buf_puts(b, ": ");
            }
            json_write(b, object ? json_object_iter_value(at) : json_array_get(v, i), indent, depth + 1);
            if (object) at = json_object_iter_next((json_t *)v, at);
        }
        if (indent && n) buf_printf(b, "\n%*s", indent * depth, "");
        buf_puts(b, object ? "}" : "]");
    }
}

static void tool(struct renderer *r, size_t i, bool inner, int indent) {
    char where[40];
    json_error_t je;
    if (r->rc) return;
    snprintf(where, sizeof where, "tool %zu", i);
    struct slice s = r->c->tools[i];
    json_t *j = json_loadb(s.data ? s.data : "", s.len, JSON_REJECT_DUPLICATES, &je);
    const json_t *type = json_object_get(j, "type"), *what = j;
    struct buf b = {0};
    if (!json_is_object(j))
        r->rc = error_set(r->e, ERR_FORMAT, where, "A tool is a JSON object; this is none%s%s.", j ? "" : ": ",
                          j ? "" : je.text);
    else if (type && !(json_is_string(type) && strcmp(json_string_value(type), "function") == 0))
        r->rc = error_set(r->e, ERR_FORMAT, where, "The only type of tool that the models know is \"function\".");
    else if (inner && type && !json_is_object(what = json_object_get(j, "function")))
        r->rc = error_set(r->e, ERR_FORMAT, where, "A tool of type function needs an object \"function\".");
    if (!r->rc) {
        json_write(&b, what, indent, 0);
        if (b.failed) r->rc = error_set(r->e, ERR_LIMIT, where, "The tool's definition is nested too deep.");
    }
    foreign(r, buf_slice(&b), "tool");
    buf_free(&b);
    json_decref(j);
}

static struct slice role_name(enum jamba_chat_role role) {
    static const char *const names[] = {"system", "user", "assistant", "tool"};
    return slice_of(names[role]);
}

/* ---- MINI ---- */
static void mini_open(struct renderer *r, enum jamba_chat_role role) {
    static const char *const names[] = {"<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"};
    control(r, "<|bom|>");
    control(r, names[role]);
}

static void mini_tools(struct renderer *r) {
    control(r, "<tool_definitions>");
    words(r, "\n# Tools\n\n## Functions");
    for (size_t i = 0; i < r->c->n_tools; i++) {
        words(r, "\n\n");
        tool(r, i, true, 2);
    }
    words(r, "\n");
    control(r, "</tool_definitions>");
}

/* Jinja's "title" of a key: the first letter of each word large, the others small; words part at spaces, "-" and
 * opening brackets. Letters outside ASCII stay as they are. */
static void key_in_title_case(struct renderer *r, struct slice key) {
    struct buf b = {0};
    bool first = true;
    for (size_t i = 0; i < key.len; i++) {
        char ch = key.data[i];
        if (ch >= 'a' && ch <= 'z' && first) ch = (char)(ch - 'a' + 'A');
        if (ch >= 'A' && ch <= 'Z' && !first) ch = (char)(ch - 'A' + 'a');
        first = strchr("- \t\n\r\f\v({[<", ch) != NULL && ch;
        buf_append(&b, &ch, 1);
    }
    if (b.failed && !r->rc) r->rc = error_set(r->e, ERR_NOMEM, "", "There is not enough memory for the conversation.");
    foreign(r, buf_slice(&b), "document field's name");
    buf_free(&b);
}

static void mini_documents(struct renderer *r) {
    control(r, "<documents>");
    words(r, "\n# Documents\n\nYou can use the following documents for reference:");
    for (size_t i = 0; i < r->c->n_documents; i++) {
        const struct jamba_chat_document *d = &r->c->documents[i];
        char number[40];
        snprintf(number, sizeof number, "\n\n## Document ID: %zu", i);
        words(r, number);
        if (d->title.data) {
            words(r, "\nTitle: ");
            foreign(r, d->title, "document's title");
        }
        for (size_t k = 0; k < d->n_fields; k++) {
            words(r, "\n");
            key_in_title_case(r, d->fields[k].key);
            words(r, ": ");
            foreign(r, d->fields[k].value, "document field");
        }
        words(r, "\nText: ");
        foreign(r, d->text, "document's text");
    }
    words(r, "\n");
    control(r, "</documents>");
}

static void mini_modes(struct renderer *r) {
    control(r, "<active_output_modes>");
    words(r, "\n# Active Modes\n\nThe following modes configure the format or style of your responses. You should "
             "adhere to all currently active modes simultaneously.");
    if (r->c->citations == JAMBA_CITATIONS_FAST) {
        words(r, "\n\n## Citation Mode\n\nProvide a list of references only for the documents you base your response "
                 "on. Format your response with the original answer followed by a citation section. Use this "
                 "template: `{answer}");
        control(r, "<citations>");
        words(r, "DOCUMENT_IDS");
        control(r, "</citations>");
        words(r, "`, where DOCUMENT_IDS are the relevant document numbers (e.g. [2, 5, 9]), or [] if the answer cannot "
                 "be supported by the provided documents.");
    }
    if (r->c->json_mode)
        words(r, "\n\n## JSON Mode\n\nProvide your response in JSON format. Adhere strictly to any schema given by the "
                 "user. If an appropriate JSON format exists, use it without modification.");
    words(r, "\n");
    control(r, "</active_output_modes>");
}

static void mini_message(struct renderer *r, const struct jamba_chat_message *m) {
    control(r, "<|eom|>");
    mini_open(r, m->role);
    words(r, " ");
    if (m->name.data) {
        words(r, "(");
        foreign(r, m->name, "message's name");
        words(r, ")");
    }
    foreign(r, m->content, "message");
    if (m->role != JAMBA_CHAT_ASSISTANT) return;
    if (m->n_calls) {
        control(r, "<tool_calls>");
        words(r, "[\n");
        for (size_t i = 0; i < m->n_calls; i++) {
            words(r, i ? ",\n    {\"name\": \"" : "    {\"name\": \"");
            foreign(r, m->calls[i].name, "tool call's name");
            words(r, "\", \"arguments\": ");
            foreign(r, m->calls[i].arguments, "tool call's arguments");
            words(r, "}");
        }
        words(r, "\n]");
        control(r, "</tool_calls>");
    }
    if (m->cited && r->c->modes && r->c->citations != JAMBA_CITATIONS_OFF) {
        control(r, "<citations>");
        words(r, "[");
        for (size_t i = 0; i < m->n_citations; i++) {
            char number[24];
            snprintf(number, sizeof number, i ? ", %u" : "%u", m->citations[i]);
            words(r, number);
        }
        words(r, "]");
        control(r, "</citations>");
    }
}

static void mini(struct renderer *r) {
    const struct jamba_chat *c = r->c;
    size_t first = c->n_messages && c->messages[0].role == JAMBA_CHAT_SYSTEM ? 1 : 0, last_user = first;
    mini_open(r, JAMBA_CHAT_SYSTEM);
    words(r, " ");
    if (first) foreign(r, c->messages[0].content, "message");
    if (c->n_tools) {
        if (first && c->messages[0].content.len) words(r, "\n\n");
        mini_tools(r);
    }
    for (size_t i = first; i < c->n_messages; i++)
        if (c->messages[i].role == JAMBA_CHAT_USER) last_user = i;
    for (size_t i = first; i < c->n_messages; i++) {
        if (i == last_user && (c->n_documents || c->modes)) {
            control(r, "<|eom|>");
            mini_open(r, JAMBA_CHAT_SYSTEM);
            words(r, " ");
            if (c->n_documents) mini_documents(r);
            if (c->n_documents && c->modes) words(r, "\n\n");
            if (c->modes) mini_modes(r);
        }
        mini_message(r, &c->messages[i]);
    }
    control(r, "<|eom|>");
    if (c->no_reply) return;
    mini_open(r, JAMBA_CHAT_ASSISTANT);
    if (slice_trim(c->reply).len) {
        words(r, " ");
        foreign(r, c->reply, "beginning of the reply");
    }
}

/* ---- CHATML, REASONING ---- */
static const char *find(struct slice s, const char *word) {
    return s.len ? memmem(s.data, s.len, word, strlen(word)) : NULL;
}

static struct slice strip_newlines(struct slice s, bool front, bool back) {
    while (front && s.len && *s.data == '\n') s.data++, s.len--;
    while (back && s.len && s.data[s.len - 1] == '\n') s.len--;
    return s;
}

/* Content of an assistant that holds a thought in text: content behind the last </think>, thought in front of the first
 * (and behind the last <think> of that). */
static void split_thought(const struct jamba_chat_message *m, struct slice *content, struct slice *thought) {
    const char *at = find(m->content, "</think>");
    *content = m->content;
    *thought = m->thought;
    if (thought->data || !at) return;
    *thought = (struct slice){m->content.data, (size_t)(at - m->content.data)};
    for (struct slice rest = m->content; (at = find(rest, "</think>"));) {
        rest = (struct slice){at + 8, (size_t)(rest.data + rest.len - at) - 8};
        *content = rest;
    }
    *content = strip_newlines(*content, true, false);
    *thought = strip_newlines(*thought, false, true);
    while ((at = find(*thought, "<think>")))
        *thought = (struct slice){at + 7, (size_t)(thought->data + thought->len - at) - 7};
    *thought = strip_newlines(*thought, true, false);
}

static void role_open(struct renderer *r, enum jamba_chat_role role, bool line) {
    control(r, "<|im_start|>");
    put(r, JAMBA_PIECE_CONTROL, true, role_name(role)); /* Jamba2's vocabulary has a token "assistant" */
    if (line) words(r, "\n");
}

static void role_close(struct renderer *r) {
    control(r, "<|im_end|>");
    words(r, "\n");
}

static void chatml_tools(struct renderer *r) {
    words(r, "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with "
             "function signatures within <tools></tools> XML tags:\n<tools>");
    for (size_t i = 0; i < r->c->n_tools; i++) {
        words(r, "\n");
        tool(r, i, false, 0);
    }
    words(r, "\n</tools>\n\nFor each function call, return a json object with function name and arguments within ");
    mark(r, "<tool_call>");
    mark(r, "</tool_call>");
    words(r, " XML tags:\n");
    mark(r, "<tool_call>");
    words(r, "\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n");
    mark(r, "</tool_call>");
}

static bool starts_thinking(const struct jamba_chat_message *m) {
    return (m->role == JAMBA_CHAT_ASSISTANT && slice_starts_with(m->content, SLICE_LITERAL("<think>"))) ||
           m->thought.data;
}

static void chatml_assistant(struct renderer *r, const struct jamba_chat_message *m, bool behind_question) {
    struct slice content, thought;
    split_thought(m, &content, &thought);
    role_open(r, JAMBA_CHAT_ASSISTANT, true);
    if (behind_question && thought.len) {
        mark(r, "<think>");
        words(r, "\n");
        foreign(r, strip_newlines(thought, true, true), "thought");
        words(r, "\n");
        mark(r, "</think>");
        words(r, "\n\n");
        foreign(r, strip_newlines(content, true, false), "message");
    } else {
        foreign(r, content, "message");
    }
    for (size_t i = 0; i < m->n_calls; i++) {
        if (i || content.len) words(r, "\n");
        mark(r, "<tool_call>");
        words(r, "\n{\"name\": \"");
        foreign(r, m->calls[i].name, "tool call's name");
        words(r, "\", \"arguments\": ");
        foreign(r, m->calls[i].arguments, "tool call's arguments");
        words(r, "}\n");
        mark(r, "</tool_call>");
    }
    role_close(r);
}

static bool is_tool_response(struct slice s) {
    static const char open[] = "<tool_response>", close[] = "</tool_response>";
    return slice_starts_with(s, slice_of(open)) && s.len >= sizeof close - 1 &&
           memcmp(s.data + s.len - (sizeof close - 1), close, sizeof close - 1) == 0;
}

static void chatml(struct renderer *r, bool thinks) {
    const struct jamba_chat *c = r->c;
    bool system = c->n_messages && c->messages[0].role == JAMBA_CHAT_SYSTEM;
    if (system || c->n_tools) {
        role_open(r, JAMBA_CHAT_SYSTEM, true);
        if (system) foreign(r, c->messages[0].content, "message");
        if (system && c->n_tools) words(r, "\n\n");
        if (c->n_tools) chatml_tools(r);
        role_close(r);
    }
    size_t question = c->n_messages ? c->n_messages - 1 : 0; /* the last user message that is no tool's result */
    for (size_t i = c->n_messages; i-- > 0;)
        if (c->messages[i].role == JAMBA_CHAT_USER && !is_tool_response(c->messages[i].content)) {
            question = i;
            break;
        }
    for (size_t i = system ? 1 : 0; i < c->n_messages; i++) {
        const struct jamba_chat_message *m = &c->messages[i], *next = i + 1 < c->n_messages ? m + 1 : NULL;
        switch (m->role) {
        case JAMBA_CHAT_SYSTEM:
        case JAMBA_CHAT_USER:
            role_open(r, m->role, true);
            if (thinks && m->role == JAMBA_CHAT_USER && !find(m->content, "<think>") &&
                (!next || starts_thinking(next))) {
                words(r, "Begin by thinking about the reasoning process in the mind within ");
                mark(r, "<think>");
                words(r, " ");
                mark(r, "</think>");
                words(r, " tags and then proceed to give your response.\n");
            }
            foreign(r, m->content, "message");
            role_close(r);
            break;
        case JAMBA_CHAT_ASSISTANT:
            chatml_assistant(r, m, i > question);
            break;
        case JAMBA_CHAT_TOOL:
            if (i == 0 || m[-1].role != JAMBA_CHAT_TOOL) role_open(r, JAMBA_CHAT_USER, false);
            words(r, "\n");
            mark(r, "<tool_response>");
            words(r, "\n");
            foreign(r, m->content, "message");
            words(r, "\n");
            mark(r, "</tool_response>");
            if (!next || next->role != JAMBA_CHAT_TOOL) role_close(r);
            break;
        }
    }
    if (c->no_reply) return;
    role_open(r, JAMBA_CHAT_ASSISTANT, true);
    if (!thinks) return;
    mark(r, "<think>");
    words(r, "\n");
}

/* ---- the public functions ---- */
static int check(enum jamba_chat_style style, const struct jamba_chat *c, struct error *e) {
    const char *lacks = c->n_documents ? "documents" : c->modes ? "modes" : c->reply.len ? "a given beginning" : NULL;
    if (style == JAMBA_CHAT_NONE)
        return error_set(e, ERR_UNSUPPORTED, "",
                         "The model has no chat template: its vocabulary has neither <|bom|> nor <|im_start|>.");
    if (style != JAMBA_CHAT_MINI && lacks)
        return error_set(e, ERR_UNSUPPORTED, jamba_chat_style_name(style), "The chat template has no place for %s.",
                         lacks);
    for (size_t i = 0; i < c->n_messages; i++) {
        char where[40];
        snprintf(where, sizeof where, "message %zu", i);
        if ((unsigned)c->messages[i].role > JAMBA_CHAT_TOOL)
            return error_set(e, ERR_ARG, where, "The message's role is unknown.");
        if (c->messages[i].n_calls && c->messages[i].role != JAMBA_CHAT_ASSISTANT)
            return error_set(e, ERR_ARG, where, "Only an assistant calls tools.");
    }
    return 0;
}

int jamba_chat_render(enum jamba_chat_style style, const char *bos, const struct jamba_chat *c,
                      struct jamba_chat_rendering *out, struct error *e) {
    *out = (struct jamba_chat_rendering){0};
    struct renderer r = {.c = c, .out = out, .e = e};
    int rc = check(style, c, e);
    if (rc) return rc;
    if (bos && *bos) control(&r, bos);
    if (style == JAMBA_CHAT_MINI)
        mini(&r);
    else
        chatml(&r, style == JAMBA_CHAT_REASONING);
    if (r.rc) jamba_chat_rendering_free(out);
    return r.rc;
}

void jamba_chat_rendering_free(struct jamba_chat_rendering *r) {
    buf_free(&r->text);
    free(r->pieces);
    *r = (struct jamba_chat_rendering){0};
}

struct id_list {
    int32_t *ids;
    size_t n, cap;
};

static int add_ids(struct id_list *l, const int32_t *ids, size_t n, struct error *e) {
    if (!n) return 0;
    if (l->n + n > l->cap) {
        int rc = array_grow((void **)&l->ids, &l->cap, l->n + n, sizeof *l->ids, e);
        if (rc) return rc;
    }
    memcpy(l->ids + l->n, ids, n * sizeof *ids);
    l->n += n;
    return 0;
}

static int add_text(const struct jamba_model *m, struct id_list *l, struct slice s, struct error *e) {
    int32_t *ids = NULL;
    size_t n = 0;
    if (!s.len) return 0;
#ifdef MUTANT_CHAT_TEXT_AS_PROMPT
    int rc = jamba_tokenize_prompt(m, s.data, s.len, &ids, &n, e);
#else
    int rc = jamba_tokenize(m, s.data, s.len, &ids, NULL, &n, e);
#endif
    if (!rc) rc = add_ids(l, ids, n, e);
    free(ids);
    return rc;
}

int jamba_chat_encode_pieces(const struct jamba_model *m, const struct jamba_chat_rendering *r, size_t first,
                             size_t last, int32_t **ids, size_t *n, struct error *e) {
    struct id_list l = {0};
    int rc = 0;
    *ids = NULL;
    *n = 0;
    size_t from = first < last ? r->pieces[first].start : 0, end = from; /* of the span without control tokens */
    for (size_t i = first; !rc && i < last; i++) {
        const struct jamba_chat_piece *p = &r->pieces[i];
        char name[64];
        end = p->end;
        if (p->kind != JAMBA_PIECE_CONTROL) continue;
        snprintf(name, sizeof name, "%.*s", (int)(p->end - p->start), r->text.data + p->start);
        int32_t id = jamba_control_token(m, name);
        if (id < 0 && p->optional) continue; /* text to this vocabulary, and so to the reference */
        if (id < 0)
            rc = error_set(e, ERR_UNSUPPORTED, jamba_model_name(m),
                           "The chat template \"%s\" needs the control token %s, which the model's vocabulary lacks.",
                           jamba_chat_style_name(jamba_chat_style(m)), name);
        if (!rc) rc = add_text(m, &l, (struct slice){r->text.data + from, p->start - from}, e);
        if (!rc) rc = add_ids(&l, &id, 1, e);
        from = p->end;
    }
    if (!rc && end > from) rc = add_text(m, &l, (struct slice){r->text.data + from, end - from}, e);
    if (rc) {
        free(l.ids);
        return rc;
    }
    *ids = l.ids;
    *n = l.n;
    return 0;
}

/* The name of the config's bos token, "" without one. */
static const char *bos_name(const struct jamba_model *m, char out[64]) {
    int32_t bos = jamba_model_config(m)->bos;
    struct slice name = bos >= 0 ? jamba_token_bytes(m, bos) : (struct slice){0};
    snprintf(out, 64, "%.*s", (int)name.len, name.len ? name.data : "");
    return jamba_control_token(m, out) == bos ? out : "";
}

int jamba_chat_render_for(const struct jamba_model *m, const struct jamba_chat *c, struct jamba_chat_rendering *out,
                          struct error *e) {
    char bos[64];
    return jamba_chat_render(jamba_chat_style(m), bos_name(m, bos), c, out, e);
}

int jamba_chat_encode(const struct jamba_model *m, const struct jamba_chat *c, int32_t **ids, size_t *n,
                      struct error *e) {
    struct jamba_chat_rendering r;
    *ids = NULL;
    *n = 0;
    int rc = jamba_chat_render_for(m, c, &r, e);
    if (rc) return rc;
    rc = jamba_chat_encode_pieces(m, &r, 0, r.n_pieces, ids, n, e);
    jamba_chat_rendering_free(&r);
    return rc;
}
