/* toy_vocabulary.h: a vocabulary of SentencePiece's kind that is small enough to see through: the control tokens of a
 * chat style, a user token ",", the 256 bytes, one piece a printable ASCII character, no merges. */
#ifndef ANTINOMY_TOY_VOCABULARY_H
#define ANTINOMY_TOY_VOCABULARY_H

#include "engine/jamba/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum toy_vocabulary { TOY_PLAIN, TOY_MINI, TOY_MINI_WITHOUT_DOCUMENTS, TOY_CHATML };

static inline const char *const *toy_names(enum toy_vocabulary kind) {
    static const char *const plain[] = {NULL},
                             *const mini[] = {"<|eom|>",
                                              "<|bom|>",
                                              "<|system|>",
                                              "<|user|>",
                                              "<|assistant|>",
                                              "<|tool|>",
                                              "<tool_definitions>",
                                              "</tool_definitions>",
                                              "<active_output_modes>",
                                              "</active_output_modes>",
                                              "<citations>",
                                              "</citations>",
                                              "<tool_calls>",
                                              "</tool_calls>",
                                              "<documents>",
                                              "</documents>",
                                              NULL},
                             *const chatml[] = {"<|im_start|>", "<|im_end|>",      "<tool_call>",
                                                "</tool_call>", "<tool_response>", "</tool_response>",
                                                "<think>",      "</think>",        NULL};
    return kind == TOY_PLAIN ? plain : kind == TOY_CHATML ? chatml : mini;
}

/* Free the tokenizer. bos 1, eos 2 and the end of a message. */
static inline struct jamba_model toy_model(enum toy_vocabulary kind) {
    static const char *const first[] = {"<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|unk|>"};
    struct jamba_model m = {.name = (char *)"toy", .config = {.bos = 1, .eos = {2, -1}}};
    struct error e;
    const char *const *names = toy_names(kind);
    uint32_t n_names = 0, id = 0;
    while (names[n_names]) n_names++;
    if (kind == TOY_MINI_WITHOUT_DOCUMENTS) n_names -= 2;
    uint32_t n = 4 + n_names + 1 + 256 + 95;
    int rc = tokenizer_new(&m.tokenizer, TOKENIZER_PIECES, n, 0, &e);
    for (uint32_t i = 0; !rc && i < 4; i++)
        rc = tokenizer_set(m.tokenizer, id++, slice_of(first[i]), i == 3 ? TOKEN_UNKNOWN : TOKEN_CONTROL, 0, &e);
    for (uint32_t i = 0; !rc && i < n_names; i++)
        rc = tokenizer_set(m.tokenizer, id++, slice_of(names[i]), TOKEN_CONTROL, 0, &e);
    if (!rc) rc = tokenizer_set(m.tokenizer, id++, slice_of(","), TOKEN_USER, 0, &e);
    for (uint32_t i = 0; !rc && i < 256; i++) {
        char s[16];
        snprintf(s, sizeof s, "<0x%02X>", i);
        rc = tokenizer_set(m.tokenizer, id++, slice_of(s), TOKEN_BYTE, 0, &e);
    }
    for (char ch = ' '; !rc && ch <= '~'; ch++)
        rc = tokenizer_set(m.tokenizer, id++, ch == ' ' ? slice_of("\xe2\x96\x81") : (struct slice){&ch, 1},
                           ch == ',' ? TOKEN_UNUSED : TOKEN_NORMAL, -(float)ch, &e);
    if (!rc) rc = tokenizer_index(m.tokenizer, "toy", &e);
    if (rc) abort();
    tokenizer_seal(m.tokenizer);
    m.config.n_vocab = n;
    if (n_names)
        m.config.eos[1] = jamba_control_token(&m, kind == TOY_CHATML ? "<|im_end|>" : "<|eom|>"), m.config.eos[2] = -1;
    return m;
}

#endif
