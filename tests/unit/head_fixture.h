/* head_fixture.h: what test_golden.c and test_peer.c share: a model's output head on a path of its own, for the logits
 * behind every position whose final-norm row was traced. */
#ifndef ANTINOMY_TESTS_HEAD_FIXTURE_H
#define ANTINOMY_TESTS_HEAD_FIXTURE_H

#include "engine/jamba/model.h"
#include "kernels/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

enum { HEAD_ROWS = 50 }; /* at a time */
struct fixture_head {
    struct kernel_device *dev;
    struct kernel_matrix matrix;
    struct kernel_rows rows;
    size_t d_model, n_vocab;
    float *logits; /* [HEAD_ROWS, n_vocab] */
};

static void fixture_head_open(struct fixture_head *h, const struct jamba_model *m, const char *path) {
    struct error e = {0};
    const struct tensor *t = m->weights.output;
    struct kernel_source source = {
        .type = (int)t->type,
        .data = t->data,
        .n_out = t->ne[1],
        .n_in = t->ne[0],
        .row_bytes = tensor_row_bytes(t->type, t->ne[0]),
        .row_to_f32 = (void (*)(int, const void *, float *, uint64_t))(void (*)(void))tensor_row_to_f32};
    *h = (struct fixture_head){.d_model = t->ne[0], .n_vocab = t->ne[1]};
    assert_int_equal(kernel_device_open(&h->dev, path, 2, &e), 0);
    assert_int_equal(kernel_matrix_open(&h->matrix, h->dev, &source, &e), 0);
    assert_int_equal(kernel_rows_open(&h->rows, HEAD_ROWS, h->d_model, &e), 0);
    h->logits = malloc(HEAD_ROWS * h->n_vocab * sizeof *h->logits);
    assert_non_null(h->logits);
}

/* h->logits of n <= HEAD_ROWS final-norm rows [n, d_model]. */
static void fixture_head_run(struct fixture_head *h, const float *final, size_t n) {
    kernel_rows_prepare(h->dev, &h->rows, final, h->d_model, n, h->d_model, h->matrix.int8);
    kernel_linear(h->dev, &h->rows, &(struct kernel_output){.w = &h->matrix, .y = h->logits, .ldy = h->n_vocab}, 1);
}

static void fixture_head_close(struct fixture_head *h) {
    free(h->logits);
    kernel_rows_close(&h->rows);
    kernel_matrix_close(&h->matrix);
    kernel_device_close(h->dev);
}

#endif
