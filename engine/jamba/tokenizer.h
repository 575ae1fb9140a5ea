/* tokenizer.h: inside engine/jamba only. Text to token ids and back; the public functions (jamba.h) are in tokenizer.c.
 */
#ifndef ANTINOMY_JAMBA_TOKENIZER_H
#define ANTINOMY_JAMBA_TOKENIZER_H

#include "engine/jamba/gguf.h"

struct tokenizer;

/* From a GGUF's tokenizer.ggml.* keys. Token texts may be borrowed from the mapped file: it must outlive the tokenizer.
 */
int tokenizer_from_gguf(struct tokenizer **out, const struct gguf *g, struct error *e);
void tokenizer_free(struct tokenizer *t);
const uint8_t *tokenizer_digest(const struct tokenizer *t); /* [32] SHA-256 of what decides about ids */

#endif
