/* cuda_weights.c: the model's tensors to a device: dequantised row by row to f32, rounded to bf16, perhaps quantised to
 * int8 or e4m3 there. A tensor without data (shapes for benchmarks, shape.c) is filled with noise on the device, of a
 * scale that keeps activations finite. */
#include "engine/jamba/cuda_backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STAGE_BYTES ((size_t)32 << 20)

static uint16_t to_bf16(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

struct upload {
    struct cuda_stage *cm;
    uint16_t *stage_host, *stage_device; /* STAGE_BYTES each */
    float *row;                          /* longest row, f32 */
    uint64_t seed;
};

static int device_alloc(struct cuda_stage *cm, void **p, size_t bytes, struct error *e) {
    int rc = cuda_alloc(p, bytes, e);
    if (!rc) cm->bytes += bytes;
    return rc;
}

static int matrix_alloc(struct upload *u, struct cuda_matrix *w, size_t n_out, size_t n_in, enum cuda_form form,
                        struct error *e) {
    w->n_in = (int)n_in;
    int rc = 0;
    if (form != CUDA_BF16) {
        void **to = form == CUDA_INT8 ? (void **)&w->i8 : (void **)&w->e4m3;
        rc = device_alloc(u->cm, to, n_out * n_in, e);
        if (!rc) rc = device_alloc(u->cm, (void **)&w->scale, n_out * sizeof(float), e);
    } else {
        rc = device_alloc(u->cm, (void **)&w->bf16, n_out * n_in * 2, e);
    }
    return rc;
}

/* n rows of bf16 in the device's staging place to rows `at` and on of a quantised matrix. */
static int quantise_staged(struct upload *u, struct cuda_matrix *w, size_t at, size_t n, struct error *e) {
    const size_t n_in = (size_t)w->n_in;
    return w->i8 ? cuda_quantise_rows(w->i8 + at * n_in, w->scale + at, u->stage_device, n, n_in, u->cm->stream, e)
                 : cuda_quantise_e4m3(w->e4m3 + at * n_in, w->scale + at, u->stage_device, n, n_in, u->cm->stream, e);
}

/* Rows first .. first + n - 1 of w from rows of one tensor (from its row `from`). */
static int fill_rows(struct upload *u, struct cuda_matrix *w, size_t first, const struct tensor *t, size_t from,
                     size_t n, struct error *e) {
    const size_t n_in = (size_t)w->n_in, batch = STAGE_BYTES / 2 / n_in;
    cuda_stream s = u->cm->stream;
    int rc = 0;
    if (!t->data) { /* unit variance in, unit variance out; outputs into the residual stream smaller */
        float scale = sqrtf(3.0f / (float)n_in) * (strstr(t->name, "down") || strstr(t->name, "out") ? 0.25f : 1.0f);
        u->seed++;
        if (w->bf16) return cuda_random_bf16(w->bf16 + first * n_in, n * n_in, scale, u->seed, s, e);
        if (w->e4m3) {
            for (size_t done = 0, take; !rc && done < n; done += take) {
                take = n - done < batch ? n - done : batch;
                rc = cuda_random_bf16(u->stage_device, take * n_in, scale, u->seed + (done << 32), s, e);
                if (!rc) rc = quantise_staged(u, w, first + done, take, e);
            }
            return rc;
        }
        rc = cuda_random_i8(w->i8 + first * n_in, n * n_in, u->seed, s, e);
        return rc ? rc : cuda_fill_f32(w->scale + first, n, scale / 127, s, e);
    }
    const size_t row_bytes = tensor_row_bytes(t->type, t->ne[0]);
    for (size_t done = 0; !rc && done < n;) {
        size_t take = n - done < batch ? n - done : batch;
        for (size_t r = 0; r < take; r++) {
            uint16_t *to = u->stage_host + r * n_in;
            size_t row = from + done + r;
            const char *matrix = tensor_matrix(t, row / t->ne[1]);
            tensor_row_to_f32(t->type, matrix + row % t->ne[1] * row_bytes, u->row, n_in);
            for (size_t i = 0; i < n_in; i++) to[i] = to_bf16(u->row[i]);
        }
        size_t at = first + done;
        if (w->bf16) {
            rc = cuda_upload(w->bf16 + at * n_in, u->stage_host, take * n_in * 2, s, e);
        } else {
            rc = cuda_upload(u->stage_device, u->stage_host, take * n_in * 2, s, e);
            if (!rc) rc = quantise_staged(u, w, at, take, e);
            if (!rc) rc = cuda_sync(s, e);
        }
        done += take;
    }
    return rc;
}

/* w = the given tensors' rows, one after another. */
static int upload_matrix(struct upload *u, struct cuda_matrix *w, const struct tensor *const *parts, size_t n_parts,
                         enum cuda_form form, struct error *e) {
    size_t n_out = 0, first = 0;
    for (size_t i = 0; i < n_parts; i++) n_out += parts[i]->ne[1];
    w->n_out = (int)n_out;
    int rc = matrix_alloc(u, w, n_out, parts[0]->ne[0], form, e);
    if (form != CUDA_BF16 && n_out * (size_t)w->n_in > u->cm->largest_matrix)
        u->cm->largest_matrix = n_out * (size_t)w->n_in;
    for (size_t i = 0; !rc && i < n_parts; i++) {
        rc = fill_rows(u, w, first, parts[i], 0, parts[i]->ne[1], e);
        first += parts[i]->ne[1];
    }
    return rc;
}
static int upload_one(struct upload *u, struct cuda_matrix *w, const struct tensor *t, enum cuda_form form,
                      struct error *e) {
    return upload_matrix(u, w, &t, 1, form, e);
}

/* Stacked experts: for each expert the rows of every part. */
static int upload_experts(struct upload *u, struct cuda_matrix *w, const struct tensor *const *parts, size_t n_parts,
                          enum cuda_form form, struct error *e) {
    size_t per = 0, n_expert = parts[0]->ne[2], first = 0;
    for (size_t i = 0; i < n_parts; i++) per += parts[i]->ne[1];
    w->n_out = (int)per;
    int rc = matrix_alloc(u, w, per * n_expert, parts[0]->ne[0], form, e);
    if (form != CUDA_BF16 && per * (size_t)w->n_in > u->cm->largest_matrix)
        u->cm->largest_matrix = per * (size_t)w->n_in;
    for (size_t x = 0; !rc && x < n_expert; x++)
        for (size_t i = 0; !rc && i < n_parts; i++) {
            rc = fill_rows(u, w, first, parts[i], x * parts[i]->ne[1], parts[i]->ne[1], e);
            first += parts[i]->ne[1];
        }
    return rc;
}

static int upload_f32(struct upload *u, float **out, const struct tensor *t, float otherwise, struct error *e) {
    size_t n = 1;
    for (int i = 0; i < 4; i++) n *= t->ne[i];
    int rc = device_alloc(u->cm, (void **)out, n * sizeof(float), e);
    if (rc) return rc;
    float *host = malloc(n * sizeof *host);
    if (!host) return error_set(e, ERR_NOMEM, t->name, "There is no memory for the model's weights.");
    if (t->data)
        memcpy(host, t->data, n * sizeof *host);
    else if (t->n_dims == 2 && strstr(t->name, "ssm_a")) /* S4D-real: A = -(1 .. d_state) in every channel */
        for (size_t i = 0; i < n; i++) host[i] = -(float)(i % t->ne[0] + 1);
    else if (t->n_dims == 2)
        for (size_t i = 0; i < n; i++) host[i] = 0.5f * (float)((double)((i * 2654435761u) % 1000) / 500 - 1);
    else
        for (size_t i = 0; i < n; i++) host[i] = otherwise;
    rc = cuda_upload(*out, host, n * sizeof *host, u->cm->stream, e);
    free(host);
    return rc;
}

static int upload_layer(struct upload *u, struct cuda_layer *to, const struct jamba_layer *l, struct error *e) {
    const enum cuda_form form = u->cm->form;
    int rc = upload_f32(u, &to->attn_norm, l->attn_norm, 1, e);
    if (!rc) rc = upload_f32(u, &to->ffn_norm, l->ffn_norm, 1, e);
    if (!rc && l->is_attention) {
        rc = upload_matrix(u, &to->qkv, (const struct tensor *const[]){l->q, l->k, l->v}, 3, form, e);
        if (!rc) rc = upload_one(u, &to->o, l->o, form, e);
    } else if (!rc) {
        const struct {
            float **to;
            const struct tensor *from;
            float otherwise;
        } vectors[] = {{&to->conv, l->ssm_conv1d, 0},
                       {&to->conv_bias, l->ssm_conv1d_bias, 0},
                       {&to->dt_bias, l->ssm_dt_bias, -4.6f},
                       {&to->a, l->ssm_a, 0},
                       {&to->d, l->ssm_d, 1},
                       {&to->dt_norm, l->ssm_dt_norm, 1},
                       {&to->b_norm, l->ssm_b_norm, 1},
                       {&to->c_norm, l->ssm_c_norm, 1}};
        for (size_t i = 0; !rc && i < sizeof vectors / sizeof vectors[0]; i++)
            rc = upload_f32(u, vectors[i].to, vectors[i].from, vectors[i].otherwise, e);
        if (!rc) rc = upload_one(u, &to->ssm_in, l->ssm_in, form, e);
        if (!rc) rc = upload_one(u, &to->ssm_x, l->ssm_x, cuda_form_x_proj(form), e);
        if (!rc) rc = upload_one(u, &to->ssm_dt, l->ssm_dt, CUDA_BF16, e);
        if (!rc) rc = upload_one(u, &to->ssm_out, l->ssm_out, form, e);
    }
    if (!rc && l->is_moe) {
        rc = upload_one(u, &to->router, l->ffn_router, CUDA_BF16, e);
        if (!rc)
            rc = upload_experts(u, &to->exps_gate_up, (const struct tensor *const[]){l->ffn_gate_exps, l->ffn_up_exps},
                                2, form, e);
        if (!rc) rc = upload_experts(u, &to->exps_down, &l->ffn_down_exps, 1, form, e);
    } else if (!rc) {
        rc = upload_matrix(u, &to->gate_up, (const struct tensor *const[]){l->ffn_gate, l->ffn_up}, 2, form, e);
        if (!rc) rc = upload_one(u, &to->down, l->ffn_down, form, e);
    }
    return rc;
}

int cuda_weights_open(struct cuda_stage *cm, struct error *e) {
    const struct jamba_config *c = &cm->m->config;
    const struct jamba_weights *w = &cm->m->weights;
    struct upload u = {.cm = cm};
    const size_t widths[] = {c->d_model, c->d_ff, c->d_inner, c->dt_rank, (size_t)c->n_head * c->head_dim};
    size_t longest = 0;
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        if (widths[i] > longest) longest = widths[i];
    int rc = 0;
    u.stage_host = malloc(STAGE_BYTES);
    u.row = malloc(longest * sizeof *u.row);
    cm->layers = calloc(cm->end - cm->first, sizeof *cm->layers);
    if (!u.stage_host || !u.row || !cm->layers)
        rc = error_set(e, ERR_NOMEM, "", "There is no memory to load the model.");
    if (!rc) rc = cuda_alloc((void **)&u.stage_device, STAGE_BYTES, e);
    /* noise: a layer's seed is its number, so that a shape has the same weights however it is cut */
    if (!rc && (cm->index == 0 || (cm->is_last && w->output == w->token_embd)))
        rc = upload_one(&u, &cm->embedding, w->token_embd, CUDA_BF16, e);
    u.seed = 1;
    if (cm->is_last && w->output == w->token_embd)
        cm->head = cm->embedding;
    else if (!rc && cm->is_last)
        rc = upload_one(&u, &cm->head, w->output, cuda_form_head(cm->form), e);
    if (!rc && cm->is_last) rc = upload_f32(&u, &cm->output_norm, w->output_norm, 1, e);
    for (uint32_t i = cm->first; !rc && i < cm->end; i++) {
        u.seed = (uint64_t)(i + 1) << 16;
        rc = upload_layer(&u, &cm->layers[i - cm->first], &w->layers[i], e);
    }
    if (!rc) rc = cuda_sync(cm->stream, e);
    cuda_free(u.stage_device);
    free(u.stage_host);
    free(u.row);
    return rc;
}

static void matrix_free(struct cuda_matrix *w) {
    cuda_free(w->bf16);
    cuda_free(w->i8);
    cuda_free(w->e4m3);
    cuda_free(w->scale);
}

void cuda_weights_close(struct cuda_stage *cm) {
    for (uint32_t i = 0; cm->layers && i < cm->end - cm->first; i++) {
        struct cuda_layer *l = &cm->layers[i];
        struct cuda_matrix *all[] = {&l->qkv,     &l->o,    &l->ssm_in, &l->ssm_x,        &l->ssm_dt,   &l->ssm_out,
                                     &l->gate_up, &l->down, &l->router, &l->exps_gate_up, &l->exps_down};
        float *vectors[] = {l->attn_norm, l->ffn_norm, l->conv,    l->conv_bias, l->dt_bias,
                            l->a,         l->d,        l->dt_norm, l->b_norm,    l->c_norm};
        for (size_t j = 0; j < sizeof all / sizeof all[0]; j++) matrix_free(all[j]);
        for (size_t j = 0; j < sizeof vectors / sizeof vectors[0]; j++) cuda_free(vectors[j]);
    }
    free(cm->layers);
    if (cm->head.i8 || cm->head.bf16 != cm->embedding.bf16) matrix_free(&cm->head);
    matrix_free(&cm->embedding);
    cuda_free(cm->output_norm);
}
