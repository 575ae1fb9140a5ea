/* test_chat.c: chat templates against renderings of the published templates (tests/golden/chat), as text and, where
 * AI21's vocabulary is at hand, as ids; foreign text that spells control tokens; replies, whole and broken. */
#include "engine/jamba/chat.h"
#include "engine/jamba/tokenizer.h"
#include "tests/unit/toy_vocabulary.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GOLDEN "tests/golden/chat/"
#define BOS "<|startoftext|>"

static struct error err;

/* ---- golden cases: the published templates' arguments as JSON ---- */
struct golden {
    json_t *row;
    struct arena a;
    struct jamba_chat chat;
};

static struct slice text_of(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_string(v) ? (struct slice){json_string_value(v), json_string_length(v)} : (struct slice){0};
}

static struct jamba_chat_message message_of(struct arena *a, const json_t *j) {
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    struct jamba_chat_message m = {
        .content = text_of(j, "content"), .name = text_of(j, "name"), .thought = text_of(j, "reasoning_content")};
    const json_t *calls = json_object_get(j, "tool_calls"), *cited = json_object_get(j, "citations"), *one;
    size_t i;
    while (strcmp(roles[m.role], json_string_value(json_object_get(j, "role"))) != 0) m.role++;
    m.n_calls = json_array_size(calls);
    struct jamba_chat_call *c = arena_array(a, m.n_calls + 1, sizeof *c);
    json_array_foreach(calls, i, one) {
        const json_t *f = json_object_get(one, "function");
        c[i] = (struct jamba_chat_call){text_of(f, "name"), text_of(f, "arguments")};
    }
    m.calls = c;
    m.cited = cited != NULL;
    m.n_citations = json_array_size(cited);
    uint32_t *ids = arena_array(a, m.n_citations + 1, sizeof *ids);
    json_array_foreach(cited, i, one) ids[i] = (uint32_t)json_integer_value(json_object_get(one, "document_id"));
    m.citations = ids;
    return m;
}

static struct jamba_chat_document document_of(struct arena *a, json_t *j) {
    struct jamba_chat_document d = {.title = text_of(j, "title"), .text = text_of(j, "text")};
    struct jamba_chat_field *f = arena_array(a, json_object_size(j) + 1, sizeof *f);
    const char *key;
    json_t *v;
    json_object_foreach(j, key, v) {
        if (strcmp(key, "title") != 0 && strcmp(key, "text") != 0)
            f[d.n_fields++] = (struct jamba_chat_field){slice_of(key), text_of(j, key)};
    }
    d.fields = f;
    return d;
}

static void golden_read(struct golden *g, json_t *row) {
    const json_t *list = json_object_get(row, "messages"), *knobs = json_object_get(row, "knobs"), *one;
    struct jamba_chat *c = &g->chat;
    size_t i;
    *g = (struct golden){.row = row};
    c->n_messages = json_array_size(list);
    struct jamba_chat_message *m = arena_array(&g->a, c->n_messages + 1, sizeof *m);
    json_array_foreach(list, i, one) m[i] = message_of(&g->a, one);
    c->messages = m;
    list = json_object_get(row, "documents");
    c->n_documents = json_array_size(list);
    struct jamba_chat_document *d = arena_array(&g->a, c->n_documents + 1, sizeof *d);
    for (i = 0; i < c->n_documents; i++) d[i] = document_of(&g->a, json_array_get(list, i));
    c->documents = d;
    list = json_object_get(row, "tools");
    c->n_tools = json_array_size(list);
    struct slice *tools = arena_array(&g->a, c->n_tools + 1, sizeof *tools);
    json_array_foreach(list, i, one) {
        char *s = json_dumps(one, JSON_COMPACT);
        tools[i] = arena_slice(&g->a, slice_of(s));
        free(s);
    }
    c->tools = tools;
    c->modes = json_is_true(json_object_get(knobs, "is_set"));
    struct slice mode = text_of(knobs, "citation_mode");
    c->citations = slice_equal(mode, SLICE_LITERAL("fast"))  ? JAMBA_CITATIONS_FAST
                   : slice_equal(mode, SLICE_LITERAL("off")) ? JAMBA_CITATIONS_OFF
                                                             : JAMBA_CITATIONS_UNSAID;
    c->json_mode = text_of(knobs, "response_format").len > 0;
    c->no_reply = json_is_false(json_object_get(row, "add_generation_prompt"));
    c->reply = text_of(row, "generation_preamble");
}

static json_t *golden_file(const char *path) {
    json_error_t je;
    json_t *all = json_load_file(path, 0, &je);
    if (!json_is_array(all)) fail_msg("%s: %s", path, je.text);
    return all;
}

static void check_texts(enum jamba_chat_style style, const char *path, size_t at_least) {
    json_t *all = golden_file(path), *row;
    size_t i;
    json_array_foreach(all, i, row) {
        struct golden g;
        struct jamba_chat_rendering r;
        struct slice want = text_of(row, "text"), name = text_of(row, "name");
        golden_read(&g, row);
        if (jamba_chat_render(style, BOS, &g.chat, &r, &err)) fail_msg("%s: %s", name.data, err.message);
        if (!slice_equal(buf_slice(&r.text), want))
            fail_msg("%s, \"%s\":\n%s\nwanted:\n%s", path, name.data, r.text.data, want.data);
        size_t at = 0; /* pieces lie end to end */
        for (size_t k = 0; k < r.n_pieces; k++) {
            assert_int_equal(r.pieces[k].start, at);
            assert_true(r.pieces[k].end > at);
            at = r.pieces[k].end;
        }
        assert_int_equal(at, r.text.len);
        jamba_chat_rendering_free(&r);
        arena_free(&g.a);
    }
    assert_true(json_array_size(all) >= at_least);
    json_decref(all);
}

static void test_mini_renders_as_published(void **state) {
    (void)state;
    check_texts(JAMBA_CHAT_MINI, GOLDEN "mini.json", 33);
}

static void test_reasoning_renders_as_published(void **state) {
    (void)state;
    check_texts(JAMBA_CHAT_REASONING, GOLDEN "reasoning.json", 25);
}

/* Jamba2 is the same without the thought: no words in front of a question, no <think> where the reply begins. */
static void test_jamba2_is_chatml_without_thinking(void **state) {
    json_t *all = golden_file(GOLDEN "reasoning.json"), *row;
    size_t i;
    (void)state;
    json_array_foreach(all, i, row) {
        static const char ask[] = "Begin by thinking about the reasoning process in the mind within <think> </think> "
                                  "tags and then proceed to give your response.\n",
                          open[] = "<|im_start|>assistant\n<think>\n";
        struct golden g;
        struct jamba_chat_rendering r;
        struct slice from = text_of(row, "text");
        struct buf want = {0};
        for (size_t k = 0; k < from.len;) {
            struct slice rest = {from.data + k, from.len - k};
            if (slice_starts_with(rest, slice_of(ask))) {
                k += sizeof ask - 1;
            } else if (slice_equal(rest, slice_of(open))) {
                buf_puts(&want, "<|im_start|>assistant\n");
                break;
            } else {
                buf_append(&want, from.data + k++, 1);
            }
        }
        golden_read(&g, row);
        if (jamba_chat_render(JAMBA_CHAT_CHATML, BOS, &g.chat, &r, &err)) fail_msg("%s", err.message);
        assert_string_equal(r.text.data, want.data);
        jamba_chat_rendering_free(&r);
        buf_free(&want);
        arena_free(&g.a);
    }
    json_decref(all);
}

/* ---- ids ---- */
static void check_ids(const struct jamba_model *m, const json_t *want, const int32_t *ids, size_t n, const char *name) {
    size_t k = 0;
    while (k < n && ids[k] == json_integer_value(json_array_get(want, k))) k++;
    if (k < n || n != json_array_size(want))
        fail_msg("%s: token %zu is %d (%.*s), wanted %d; %zu against %zu", name, k, k < n ? ids[k] : -1,
                 k < n ? (int)jamba_token_bytes(m, ids[k]).len : 0, k < n ? jamba_token_bytes(m, ids[k]).data : "",
                 (int)json_integer_value(json_array_get(want, k)), n, json_array_size(want));
}

static void test_mini_ids_are_those_of_ai21(void **state) {
    const char *path = getenv("JAMBA_TOKENIZER");
    if (!path) path = "../shared/data/tokenizer/jamba.model";
    struct buf b = {0};
    struct jamba_model m = {.name = "mini", .config = {.bos = 1, .eos = {2, 518, -1}}};
    (void)state;
    if (file_read(path, 16u << 20, &b, &err)) {
        print_message("skip: AI21's jamba.model is not at hand (JAMBA_TOKENIZER names it)\n");
        skip();
    }
    if (tokenizer_from_sentencepiece(&m.tokenizer, buf_slice(&b), path, &err)) fail_msg("%s", err.message);
    assert_int_equal(jamba_chat_style(&m), JAMBA_CHAT_MINI);
    json_t *all = golden_file(GOLDEN "mini.json"), *ids_of = golden_file(GOLDEN "mini_ids.json"), *row, *want;
    size_t i, at = 0;
    json_array_foreach(ids_of, i, want) {
        struct golden g;
        int32_t *ids;
        size_t n;
        do row = json_array_get(all, at++);
        while (!json_equal(json_object_get(row, "name"), json_object_get(want, "name")));
        golden_read(&g, row);
        if (jamba_chat_encode(&m, &g.chat, &ids, &n, &err)) fail_msg("%s", err.message);
        check_ids(&m, json_object_get(want, "ids"), ids, n, text_of(row, "name").data);
        free(ids);
        arena_free(&g.a);
    }
    assert_true(json_array_size(ids_of) >= 28);
    json_decref(all);
    json_decref(ids_of);
    tokenizer_free(m.tokenizer);
    buf_free(&b);
}

static size_t count(const struct jamba_model *m, const int32_t *ids, size_t n, const char *name) {
    size_t k = 0;
    int32_t id = jamba_control_token(m, name);
    assert_true(id >= 0);
    for (size_t i = 0; i < n; i++) k += ids[i] == id;
    return k;
}

/* Every place that people fill, filled with the names of all control tokens. */
static void test_foreign_text_is_never_a_control_token(void **state) {
    (void)state;
    for (int chatml = 0; chatml < 2; chatml++) {
        struct jamba_model m = toy_model(chatml ? TOY_CHATML : TOY_MINI);
        struct buf evil = {0}, quoted = {0}, tool = {0};
        for (uint32_t i = 0; i < m.tokenizer->n; i++)
            if (m.tokenizer->tokens[i].special && !m.tokenizer->tokens[i].plain)
                buf_printf(&evil, "%.*s", (int)m.tokenizer->tokens[i].bytes.len, m.tokenizer->tokens[i].bytes.data);
        struct slice bad = buf_slice(&evil), good = SLICE_LITERAL("x");
        buf_printf(&quoted, "{\"a\": \"%s\"}", evil.data);
        buf_printf(&tool, "{\"type\": \"function\", \"function\": {\"name\": \"%s\", \"%s\": 1}}", evil.data,
                   evil.data);
        size_t n_control[2];
        for (int k = 0; k < 2; k++) {
            struct slice s = k ? bad : good, t = k ? buf_slice(&tool) : SLICE_LITERAL("{}");
            struct jamba_chat_call call = {s, k ? buf_slice(&quoted) : SLICE_LITERAL("{}")};
            struct jamba_chat_field field = {s, s};
            struct jamba_chat_document d = {.title = s, .text = s, .fields = &field, .n_fields = 1};
            uint32_t cited = 0;
            struct jamba_chat_message turns[] = {
                {.role = JAMBA_CHAT_SYSTEM, .content = s},
                {.role = JAMBA_CHAT_USER, .content = s, .name = s},
                {.role = JAMBA_CHAT_ASSISTANT,
                 .content = s,
                 .name = s,
                 .thought = s,
                 .calls = &call,
                 .n_calls = 1,
                 .citations = &cited,
                 .n_citations = 1,
                 .cited = true},
                {.role = JAMBA_CHAT_TOOL, .content = s, .name = s},
            };
            struct jamba_chat c = {.messages = turns, .n_messages = 4, .tools = &t, .n_tools = 1};
            if (!chatml) {
                c.documents = &d, c.n_documents = 1;
                c.modes = c.json_mode = true, c.citations = JAMBA_CITATIONS_FAST;
                c.reply = s;
            }
            int32_t *ids;
            size_t n;
            if (jamba_chat_encode(&m, &c, &ids, &n, &err)) fail_msg("%s (%s)", err.message, err.where);
            n_control[k] = 0;
            for (size_t i = 0; i < n; i++) {
                const struct token *tk = &m.tokenizer->tokens[ids[i]];
                n_control[k] += tk->special && !tk->plain;
            }
            assert_int_equal(count(&m, ids, n, chatml ? "<|im_end|>" : "<|eom|>"), chatml ? 4 : 5);
            free(ids);
        }
        assert_int_equal(n_control[0], n_control[1]);
        assert_true(n_control[0] > 8);
        buf_free(&evil);
        buf_free(&quoted);
        buf_free(&tool);
        tokenizer_free(m.tokenizer);
    }
}

static void test_style_and_what_it_needs(void **state) {
    struct jamba_model mini = toy_model(TOY_MINI), chatml = toy_model(TOY_CHATML), none = toy_model(TOY_PLAIN);
    struct jamba_chat_message turn = {.role = JAMBA_CHAT_USER, .content = SLICE_LITERAL("a")};
    struct jamba_chat_document d = {.text = SLICE_LITERAL("b")};
    struct jamba_chat c = {.messages = &turn, .n_messages = 1};
    struct jamba_chat_rendering r;
    int32_t *ids;
    size_t n;
    (void)state;
    assert_int_equal(jamba_chat_style(&mini), JAMBA_CHAT_MINI);
    assert_int_equal(jamba_chat_style(&chatml), JAMBA_CHAT_CHATML);
    chatml.name = (char *)"AI21-Jamba-Reasoning-3B";
    assert_int_equal(jamba_chat_style(&chatml), JAMBA_CHAT_REASONING);
    assert_int_equal(jamba_chat_style(&none), JAMBA_CHAT_NONE);
    assert_int_equal(jamba_chat_encode(&none, &c, &ids, &n, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "no chat template"));
    assert_null(ids);
    c.documents = &d, c.n_documents = 1;
    assert_int_equal(jamba_chat_encode(&chatml, &c, &ids, &n, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "documents"));
    /* a vocabulary with <|bom|> that lacks one of the others */
    struct jamba_model cut = toy_model(TOY_MINI_WITHOUT_DOCUMENTS);
    assert_int_equal(jamba_chat_encode(&cut, &c, &ids, &n, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "\"mini\" needs the control token <documents>"));
    c.n_documents = 0;
    assert_int_equal(jamba_chat_encode(&cut, &c, &ids, &n, &err), 0);
    free(ids);
    struct jamba_chat_call call = {SLICE_LITERAL("f"), SLICE_LITERAL("{}")};
    turn.calls = &call, turn.n_calls = 1;
    assert_int_equal(jamba_chat_render(JAMBA_CHAT_MINI, "", &c, &r, &err), ERR_ARG);
    turn.n_calls = 0;
    turn.content = SLICE_LITERAL("\xff");
    assert_int_equal(jamba_chat_render(JAMBA_CHAT_MINI, "", &c, &r, &err), ERR_FORMAT);
    turn.content = SLICE_LITERAL("a");
    static const char *const tools[] = {"", "[]", "{\"type\": \"magic\"}", "{\"type\": \"function\"}", "{"};
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        struct slice t = slice_of(tools[i]);
        c.tools = &t, c.n_tools = 1;
        assert_int_equal(jamba_chat_render(JAMBA_CHAT_MINI, "", &c, &r, &err), ERR_FORMAT);
        assert_string_equal(err.where, "tool 0");
        assert_null(r.text.data);
    }
    tokenizer_free(mini.tokenizer);
    tokenizer_free(chatml.tokenizer);
    tokenizer_free(none.tokenizer);
    tokenizer_free(cut.tokenizer);
}

/* ---- replies ---- */
static void check_reply(enum jamba_chat_style style, const char *text, const char *content, const char *thought,
                        const char *calls, const char *citations, const char *flaw) {
    struct jamba_model m = toy_model(style == JAMBA_CHAT_MINI ? TOY_MINI : TOY_CHATML);
    if (style == JAMBA_CHAT_REASONING) m.name = (char *)"reasoning";
    for (int by_ids = 0; by_ids < 2; by_ids++) {
        struct arena a = {0};
        struct jamba_chat_reply r;
        struct buf b = {0};
        int rc;
        if (by_ids) {
            int32_t *ids;
            size_t n;
            assert_int_equal(jamba_tokenize_prompt(&m, text, strlen(text), &ids, &n, &err), 0);
            rc = jamba_chat_parse(&m, ids, n, &a, &r, &err);
            free(ids);
        } else {
            rc = jamba_chat_parse_text(style, slice_of(text), &a, &r, &err);
        }
        if (rc) fail_msg("%s", err.message);
        assert_string_equal(r.content.data, content);
        if (thought)
            assert_string_equal(r.thought.data, thought);
        else
            assert_null(r.thought.data);
        for (size_t i = 0; i < r.n_calls; i++)
            buf_printf(&b, "%s(%s)", r.calls[i].name.data, r.calls[i].arguments.data);
        assert_string_equal(b.data ? b.data : "", calls);
        b.len = 0;
        for (size_t i = 0; i < r.n_citations; i++) buf_printf(&b, "%u.", r.citations[i]);
        if (r.cited) buf_puts(&b, "!");
        assert_string_equal(b.len ? b.data : "", citations);
        if (flaw)
            assert_true(r.flaw.data && strstr(r.flaw.data, flaw));
        else
            assert_null(r.flaw.data);
        buf_free(&b);
        arena_free(&a);
    }
    tokenizer_free(m.tokenizer);
}

static void test_mini_replies(void **state) {
    enum jamba_chat_style s = JAMBA_CHAT_MINI;
    (void)state;
    check_reply(s, "", "", NULL, "", "", NULL);
    check_reply(s, " Thirty days.", "Thirty days.", NULL, "", "", NULL);
    check_reply(s, "  two", " two", NULL, "", "", NULL);
    check_reply(s, " Yes.<citations>[0, 12]</citations>", "Yes.", NULL, "", "0.12.!", NULL);
    check_reply(s, " No.<citations>[]</citations>", "No.", NULL, "", "!", NULL);
    check_reply(s, " No.<citations>[1", "No.", NULL, "", "", "citations");
    check_reply(s, " No.<citations>[1]", "No.", NULL, "", "1.!", NULL); /* whole, but for its end */
    check_reply(s, " No.<citations>[-1]</citations>", "No.", NULL, "", "", "citations");
    check_reply(s, " a</citations>b", "ab", NULL, "", "", "had not begun");
    check_reply(
        s, "<tool_calls>[\n    {\"name\": \"f\", \"arguments\": {\"x\": 1.5}},\n {\"name\": \"g\"}\n]</tool_calls>", "",
        NULL, "f({\"x\": 1.5})g({})", "", NULL);
    check_reply(s, " See.<tool_calls>[{\"name\": \"f\", \"arguments\": \"{}\"}, 7]</tool_calls>", "See.", NULL, "f({})",
                "", "tool call");
    check_reply(s, "<tool_calls><citations>[3]</citations>", "", NULL, "", "3.!", "tool call");
    check_reply(s, " <think>a</think><tool_call>", "<think>a</think><tool_call>", NULL, "", "",
                NULL); /* no marks of Mini's */
}

static void test_chatml_replies(void **state) {
    enum jamba_chat_style s = JAMBA_CHAT_CHATML;
    (void)state;
    check_reply(s, "Hello!", "Hello!", NULL, "", "", NULL);
    check_reply(s, " Hello", " Hello", NULL, "", "", NULL);
    check_reply(s,
                "Let me see.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": "
                "\"b\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"g\", \"arguments\": []}\n</tool_call>",
                "Let me see.", NULL, "f({\"a\": \"b\"})g([])", "", NULL);
    check_reply(s, "<tool_call>{\"name\": 3}</tool_call>", "", NULL, "", "", "tool call");
    check_reply(s, "<tool_call>{\"name\": \"f\"", "", NULL, "", "", "tool call");
    check_reply(s, "<think>\nwhy\n</think>\n\nbecause", "because", "why", "", "", NULL);
    check_reply(JAMBA_CHAT_REASONING, "why\n</think>\n\nbecause", "because", "why", "", "", NULL);
    check_reply(JAMBA_CHAT_REASONING, "why", "", "why", "", "", "inside its thought");
    check_reply(JAMBA_CHAT_REASONING, "<think>why", "", "why", "", "", "inside its thought");
}

/* An eos token ends the reply; a mark that was written as text is text; a thought's bytes come whole. */
static void test_reply_by_ids(void **state) {
    struct jamba_model m = toy_model(TOY_MINI);
    struct arena a = {0};
    struct jamba_chat_reply r;
    int32_t *ids, *rest, all[200];
    size_t n, n_rest;
    (void)state;
    assert_int_equal(jamba_tokenize(&m, " <citations>[1]</citations>\xc3\xa9", 29, &ids, NULL, &n, &err), 0);
    assert_int_equal(jamba_tokenize_prompt(&m, "<citations>[2]</citations><|eom|> more", 38, &rest, &n_rest, &err), 0);
    assert_true(n + n_rest < 200);
    memcpy(all, ids, n * sizeof *ids);
    memcpy(all + n, rest, n_rest * sizeof *rest);
    assert_int_equal(jamba_chat_parse(&m, all, n + n_rest, &a, &r, &err), 0);
    assert_string_equal(r.content.data, "<citations>[1]</citations>\xc3\xa9");
    assert_int_equal(r.n_citations, 1);
    assert_int_equal(r.citations[0], 2);
    m.config.eos[1] = -1; /* as a GGUF says it */
    assert_int_equal(jamba_chat_parse(&m, all, n + n_rest, &a, &r, &err), 0);
    assert_string_equal(r.content.data, "<citations>[1]</citations>\xc3\xa9");
    struct jamba_model none = toy_model(TOY_PLAIN);
    assert_int_equal(jamba_chat_parse(&none, all, 1, &a, &r, &err), ERR_UNSUPPORTED);
    free(ids);
    free(rest);
    arena_free(&a);
    tokenizer_free(m.tokenizer);
    tokenizer_free(none.tokenizer);
}

/* What is read from a reply, rendered as history, is what the model wrote. */
static void test_reply_round_trip(void **state) {
    static const char reply[] = " See.<tool_calls>[\n    {\"name\": \"f\", \"arguments\": {\"x\": 1}}\n]</tool_calls>";
    struct arena a = {0};
    struct jamba_chat_reply r;
    struct jamba_chat_rendering text;
    (void)state;
    assert_int_equal(jamba_chat_parse_text(JAMBA_CHAT_MINI, slice_of(reply), &a, &r, &err), 0);
    struct jamba_chat_message turns[] = {
        {.role = JAMBA_CHAT_USER, .content = SLICE_LITERAL("q")},
        {.role = JAMBA_CHAT_ASSISTANT, .content = r.content, .calls = r.calls, .n_calls = r.n_calls}};
    struct jamba_chat c = {.messages = turns, .n_messages = 2, .no_reply = true};
    assert_int_equal(jamba_chat_render(JAMBA_CHAT_MINI, NULL, &c, &text, &err), 0);
    const char *at = strstr(text.text.data, "<|assistant|>");
    assert_non_null(at);
    assert_memory_equal(at + 13, reply, sizeof reply - 1);
    jamba_chat_rendering_free(&text);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mini_renders_as_published),
        cmocka_unit_test(test_reasoning_renders_as_published),
        cmocka_unit_test(test_jamba2_is_chatml_without_thinking),
        cmocka_unit_test(test_mini_ids_are_those_of_ai21),
        cmocka_unit_test(test_foreign_text_is_never_a_control_token),
        cmocka_unit_test(test_style_and_what_it_needs),
        cmocka_unit_test(test_mini_replies),
        cmocka_unit_test(test_chatml_replies),
        cmocka_unit_test(test_reply_by_ids),
        cmocka_unit_test(test_reply_round_trip),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* tests/mutants.sh runs single ones */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
