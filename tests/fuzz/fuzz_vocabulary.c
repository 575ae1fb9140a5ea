/* fuzz_vocabulary.c: bytes as tokenizer.json or SentencePiece .model; what loads must encode without harm and never
 * yield a control token from document text. Seeds: tests/golden/vocabularies. */
#include "engine/jamba/tokenizer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    static const char text[] = "the \xc3\xa9 12 <|doc|>, abc<think>\n  in \xe2\x96\x81 <|end|>";
    struct slice file = {(const char *)data, len};
    for (int kind = 0; kind < 2; kind++) {
        struct jamba_model m = {0};
        struct error e;
        int32_t *ids;
        uint32_t *ends;
        size_t n;
        if ((kind ? tokenizer_from_json : tokenizer_from_sentencepiece)(&m.tokenizer, file, "fuzz", &e)) continue;
        if (!jamba_tokenize(&m, text, sizeof text - 1, &ids, &ends, &n, &e)) {
            for (size_t i = 0; i < n; i++)
                if (m.tokenizer->tokens[ids[i]].type == TOKEN_CONTROL) abort();
            free(ids);
            free(ends);
        }
        if (!jamba_tokenize_prompt(&m, text, sizeof text - 1, &ids, &n, &e)) free(ids);
        tokenizer_free(m.tokenizer);
    }
    return 0;
}
