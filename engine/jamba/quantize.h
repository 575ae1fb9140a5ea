/* quantize.h: inside engine/jamba only. A model's F32, F16 and BF16 matrices as blocks of GGUF that the CPU's kernels
 * multiply as they are, made at load and kept in a file for the next start.
 *
 *     struct quantized q; struct error why = {0};
 *     if (quantized_open(&q, m, QUANTIZE_INT8, threads, cache_file, &why, &e)) return e.code;
 *     const struct tensor *t = quantized_find(&q, layer->ffn_gate_exps, &index); // NULL: stays as it is
 *     quantized_close(&q);
 *
 * One thread at a time per struct. Sources: int8 a row of all linear layers, experts included, the router as it is:
 * Jamba-1.5 (arXiv 2408.12570), section on ExpertsInt8. Q4_0 and Q8_0: ggml-common.h, written down in MODEL.md.
 */
#ifndef ANTINOMY_JAMBA_QUANTIZE_H
#define ANTINOMY_JAMBA_QUANTIZE_H

#include "engine/jamba/model.h"

enum quantize_form { QUANTIZE_NONE, QUANTIZE_INT8, QUANTIZE_Q4 };
/* NULL, "none", "int8", "q4". ERR_ARG for another name. */
int quantize_form_of(const char *name, enum quantize_form *out, struct error *e);
const char *quantize_form_name(enum quantize_form form);

/* One row of n values (n a multiple of 32) as Q8_0 blocks that all carry the row's scale, absmax / 127 as an f16;
 * values are rounded by that f16, so nothing is lost twice. False: a value is not finite, or too large for an f16
 * scale. */
bool quantize_row_int8(const float *x, uint64_t n, uint8_t *out);
/* The same as Q4_0 blocks, each block's scale the one of a few candidates that leaves the least squared error. A row
 * that came out of Q4_0 comes out as it was. */
bool quantize_row_q4(const float *x, uint64_t n, uint8_t *out);

/* All matrices of a model that the form changes, in one piece of memory: a mapped file, or anonymous. */
struct quantized {
    uint8_t *base; /* header, table, then the matrices, each at a multiple of 64 (quantize.c) */
    size_t len;
    bool from_cache; /* it stood in the file and fitted */
    bool kept;       /* it stands in the file now */
    struct quantized_matrix {
        const struct tensor *source;
        uint64_t expert;     /* of a stack; else 0 */
        enum tensor_type to; /* TENSOR_Q8_0, TENSOR_Q4_0 */
        uint64_t offset, bytes;
    } * matrices;
    size_t n_matrices; /* 0: everything is quantised already, or no row is a multiple of 32 */
};

/* Where the blocks of a model and a form are kept: $ANTINOMY_CACHE, else $XDG_CACHE_HOME/antinomy, else
 * ~/.cache/antinomy; out is empty when none of them is set or the name is too long. */
void quantize_cache_file(const struct jamba_model *m, enum quantize_form form, char *out, size_t len);

/* Maps `file` when it holds this model in this form, whole; else quantises with n_threads and writes it (file.tmp,
 * fsync, rename; folders are made). An empty name: in memory alone. What kept the file from being used or written is no
 * error: `why` then holds the reason (code 0: nothing to say). ERR_FORMAT (a weight that is not finite, or too large:
 * which tensor), ERR_NOMEM. */
int quantized_open(struct quantized *q, const struct jamba_model *m, enum quantize_form form, int n_threads,
                   const char *file, struct error *why, struct error *e);
/* The file alone, nothing made: ERR_NOT_FOUND, ERR_IO, ERR_FORMAT (cut short, damaged, of another model or form:
 * which), ERR_NOMEM. */
int quantized_map(struct quantized *q, const struct jamba_model *m, enum quantize_form form, int n_threads,
                  const char *file, struct error *e);
/* The matrix that stands for matrix `expert` of t, or NULL. Borrowed. */
const struct quantized_matrix *quantized_find(const struct quantized *q, const struct tensor *t, uint64_t expert);
/* The matrix was repacked and is not read again: its whole pages go back to the system. Returns their bytes. */
uint64_t quantized_drop(struct quantized *q, const struct quantized_matrix *x);
void quantized_close(struct quantized *q);

#endif
