/* fuzz_chat.c: bytes as a conversation and as a reply. Holds: a rendering that succeeds holds as many control tokens as
 * the template wrote, whatever the text says, and its pieces lie end to end; every reply is read. Seeds:
 * tests/golden/chat. */
#include "engine/jamba/chat.h"
#include "tests/unit/toy_vocabulary.h"

static struct jamba_model models[3];

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    models[0] = toy_model(TOY_MINI);
    models[1] = toy_model(TOY_CHATML);
    models[2] = toy_model(TOY_CHATML);
    models[2].name = (char *)"reasoning";
    return 0;
}

static struct slice take(const uint8_t **data, size_t *len) {
    size_t n = *len ? **data : 0;
    if (*len) ++*data, --*len;
    if (n > *len) n = *len;
    struct slice s = {(const char *)*data, n};
    *data += n, *len -= n;
    return s;
}

static bool is_control(const struct jamba_model *m, int32_t id) {
    const struct token *t = &m->tokenizer->tokens[id];
    return t->special && !t->plain;
}

static void render(const struct jamba_model *m, const uint8_t *data, size_t len) {
    struct jamba_chat_message turns[6] = {0};
    struct jamba_chat_call call = {take(&data, &len), take(&data, &len)};
    struct slice tool = take(&data, &len);
    struct jamba_chat_field field = {take(&data, &len), take(&data, &len)};
    struct jamba_chat_document doc = {
        .title = take(&data, &len), .text = take(&data, &len), .fields = &field, .n_fields = 1};
    uint8_t bits = len ? *data : 0;
    struct jamba_chat c = {.messages = turns, .tools = &tool, .n_tools = bits & 1, .no_reply = bits & 2};
    if (m == &models[0] && bits & 4) c.documents = &doc, c.n_documents = 1;
    if (m == &models[0] && bits & 8)
        c.modes = true, c.json_mode = bits & 16,
        c.citations = bits >> 5 & 1 ? JAMBA_CITATIONS_FAST : JAMBA_CITATIONS_OFF;
    while (len && c.n_messages < 6) {
        struct jamba_chat_message *t = &turns[c.n_messages++];
        *t = (struct jamba_chat_message){.role = *data % 4, .cited = *data & 4};
        if (*data & 8 && t->role == JAMBA_CHAT_ASSISTANT) t->calls = &call, t->n_calls = 1;
        ++data, --len;
        t->content = take(&data, &len);
        if (t->content.len & 1) t->name = t->thought = take(&data, &len);
    }
    struct jamba_chat_rendering r;
    struct error e;
    int32_t *ids;
    size_t n, wanted = 0, got = 0, at = 0;
    if (jamba_chat_render(jamba_chat_style(m), "<|startoftext|>", &c, &r, &e)) return;
    for (size_t i = 0; i < r.n_pieces; i++) {
        char name[64];
        const struct jamba_chat_piece *p = &r.pieces[i];
        if (p->start != at || p->end <= at) abort();
        at = p->end;
        if (p->kind != JAMBA_PIECE_CONTROL) continue;
        snprintf(name, sizeof name, "%.*s", (int)(p->end - p->start), r.text.data + p->start);
        wanted += jamba_control_token(m, name) >= 0;
    }
    if (at != r.text.len) abort();
    jamba_chat_rendering_free(&r);
    if (jamba_chat_encode(m, &c, &ids, &n, &e)) abort();
    for (size_t i = 0; i < n; i++) got += is_control(m, ids[i]);
    if (got != wanted) abort();
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    for (int k = 0; k < 3; k++) {
        const struct jamba_model *m = &models[k];
        struct arena a = {0};
        struct jamba_chat_reply r;
        struct error e;
        int32_t *ids;
        size_t n;
        render(m, data, len);
        if (jamba_chat_parse_text(jamba_chat_style(m), (struct slice){(const char *)data, len}, &a, &r, &e)) abort();
        if (!jamba_tokenize_prompt(m, (const char *)data, len, &ids, &n, &e)) {
            if (jamba_chat_parse(m, ids, n, &a, &r, &e) || !r.content.data) abort();
            free(ids);
        }
        arena_free(&a);
    }
    return 0;
}
