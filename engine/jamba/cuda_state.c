/* cuda_state.c: a session's state on the device of a stage: page table into the model's KV pool, conv and SSM state,
 * the last final-norm row. Full pages are shared between forks and never written again; a page that is not full is
 * copied when a session is forked. A stage without attention layers counts pages as the others do, of no bytes: what
 * the first stage has room for, all have, so a full pool is met before anything is read. */
#include "engine/jamba/cuda_backend.h"

#include <stdlib.h>
#include <string.h>

int cuda_pool_open(struct cuda_stage *cm, uint32_t positions, struct error *e) {
    const struct jamba_config *c = &cm->m->config;
    int n = (int)((positions + CUDA_KV_PAGE - 1) / CUDA_KV_PAGE);
    cm->kv = (struct cuda_kv){NULL, n, (int)cm->n_attention, (int)c->n_kv_head, (int)c->head_dim};
    cm->page_bytes = (size_t)cm->n_attention * 2 * CUDA_KV_PAGE * c->n_kv_head * c->head_dim * 2;
    cm->page_refs = calloc((size_t)n, sizeof *cm->page_refs);
    cm->page_free = malloc((size_t)n * sizeof *cm->page_free);
    if (!cm->page_refs || !cm->page_free)
        return error_set(e, ERR_NOMEM, "", "There is no memory for the table of pages.");
    for (int i = 0; i < n; i++) cm->page_free[i] = n - 1 - i;
    cm->n_page_free = n;
    cm->kv_bytes = (uint64_t)n * cm->page_bytes;
    int rc = cuda_alloc((void **)&cm->kv.pool, cm->kv_bytes, e);
    /* Rows that no token has filled are read and weighted with 0: they must hold numbers. */
    return rc ? rc : cuda_zero(cm->kv.pool, cm->kv_bytes, cm->stream, e);
}

void cuda_pool_close(struct cuda_stage *cm) {
    cuda_free(cm->kv.pool);
    free(cm->page_refs);
    free(cm->page_free);
}

static int page_take(struct cuda_stage *cm, int32_t *page, struct error *e) {
    int rc = 0;
    pthread_mutex_lock(&cm->pool_lock);
    if (cm->n_page_free == 0) {
        rc = error_set(e, ERR_NOMEM, "KV pages",
                       "The GPU's memory for readings is full: it holds %d tokens in all sessions. Close one or open "
                       "the model with more.",
                       cm->kv.n_pages * CUDA_KV_PAGE);
    } else {
        *page = cm->page_free[--cm->n_page_free];
        cm->page_refs[*page] = 1;
    }
    pthread_mutex_unlock(&cm->pool_lock);
    return rc;
}
static void page_release(struct cuda_stage *cm, int32_t page) {
    pthread_mutex_lock(&cm->pool_lock);
    if (--cm->page_refs[page] == 0) cm->page_free[cm->n_page_free++] = page;
    pthread_mutex_unlock(&cm->pool_lock);
}

int cuda_state_open(struct cuda_state **state, struct cuda_stage *cm, uint32_t max_tokens, struct error *e) {
    const struct jamba_config *c = &cm->m->config;
    *state = NULL;
    struct cuda_state *s = calloc(1, sizeof *s);
    if (!s) return error_set(e, ERR_NOMEM, "", "There is no memory for a session.");
    s->max_tokens = max_tokens;
    s->max_pages = (int)((max_tokens + CUDA_KV_PAGE - 1) / CUDA_KV_PAGE);
    s->pages = malloc((size_t)s->max_pages * sizeof *s->pages);
    size_t conv = cm->n_mamba * cuda_conv_elements(c) * 2, ssm = cm->n_mamba * cuda_ssm_elements(c) * 4;
    int rc =
        s->pages ? cuda_device_set(cm->device, e) : error_set(e, ERR_NOMEM, "", "There is no memory for a session.");
    if (!rc) rc = cuda_alloc((void **)&s->pages_device, (size_t)s->max_pages * sizeof *s->pages, e);
    if (!rc) rc = cuda_alloc((void **)&s->conv, conv, e);
    if (!rc) rc = cuda_alloc((void **)&s->ssm, ssm, e);
    if (!rc) rc = cuda_alloc((void **)&s->last, c->d_model * sizeof(float), e);
    if (!rc) rc = cuda_zero(s->conv, conv, cm->stream, e);
    if (!rc) rc = cuda_zero(s->ssm, ssm, cm->stream, e);
    if (rc)
        cuda_state_close(cm, s);
    else
        *state = s;
    return rc;
}

void cuda_state_close(struct cuda_stage *cm, struct cuda_state *s) {
    struct error ignored;
    if (!s) return;
    cuda_device_set(cm->device, &ignored);
    for (int i = 0; i < s->n_pages; i++) page_release(cm, s->pages[i]);
    cuda_free(s->pages_device);
    cuda_free(s->conv);
    cuda_free(s->ssm);
    cuda_free(s->last);
    free(s->pages);
    free(s);
}

static int pages_grow(struct cuda_stage *cm, struct cuda_state *s, int want, struct error *e) {
    int rc = 0, had = s->n_pages;
    while (!rc && s->n_pages < want) {
        rc = page_take(cm, &s->pages[s->n_pages], e);
        if (!rc) s->n_pages++;
    }
    if (!rc && s->n_pages > had)
        rc = cuda_upload(s->pages_device, s->pages, (size_t)s->n_pages * sizeof *s->pages, cm->stream, e);
    return rc;
}

int cuda_state_extend(struct cuda_stage *cm, struct cuda_state *s, size_t n_more, struct error *e) {
    if (!cm->m->config.n_attention_layer) return 0;
    return pages_grow(cm, s, (int)((s->n_tokens + n_more + CUDA_KV_PAGE - 1) / CUDA_KV_PAGE), e);
}

int cuda_state_fork(struct cuda_state **out, struct cuda_stage *cm, const struct cuda_state *from, struct error *e) {
    const struct jamba_config *c = &cm->m->config;
    int rc = cuda_state_open(out, cm, from->max_tokens, e);
    if (rc) return rc;
    struct cuda_state *s = *out;
    s->n_tokens = from->n_tokens;
    s->has_last = from->has_last;
    int full = (int)(from->n_tokens / CUDA_KV_PAGE);
    if (!c->n_attention_layer) full = 0;
    pthread_mutex_lock(&cm->pool_lock);
    for (int i = 0; i < full; i++) {
        s->pages[i] = from->pages[i];
        cm->page_refs[s->pages[i]]++;
    }
    s->n_pages = full;
    pthread_mutex_unlock(&cm->pool_lock);
    rc = cuda_upload(s->pages_device, s->pages, (size_t)full * sizeof *s->pages, cm->stream, e);
    if (!rc && c->n_attention_layer && from->n_tokens % CUDA_KV_PAGE) {
        rc = pages_grow(cm, s, full + 1, e);
        if (!rc)
            rc = cuda_copy(cm->kv.pool + (size_t)s->pages[full] * cm->page_bytes / 2,
                           cm->kv.pool + (size_t)from->pages[full] * cm->page_bytes / 2, cm->page_bytes, cm->stream, e);
    }
    if (!rc) rc = cuda_copy(s->conv, from->conv, cm->n_mamba * cuda_conv_elements(c) * 2, cm->stream, e);
    if (!rc) rc = cuda_copy(s->ssm, from->ssm, cm->n_mamba * cuda_ssm_elements(c) * 4, cm->stream, e);
    if (!rc) rc = cuda_copy(s->last, from->last, c->d_model * sizeof(float), cm->stream, e);
    if (!rc) rc = cuda_sync(cm->stream, e);
    if (rc) {
        cuda_state_close(cm, s);
        *out = NULL;
    }
    return rc;
}

/* File order: conv, ssm of all layers, last; then page by page, layer by layer, the K rows in use and the V rows in
 * use. */
uint64_t cuda_session_bytes(const struct cuda_model *model, uint32_t n_tokens) {
    const struct jamba_config *c = &model->m->config;
    return (c->n_layer - c->n_attention_layer) * (cuda_conv_elements(c) * 2 + cuda_ssm_elements(c) * 4) +
           c->d_model * 4 + (uint64_t)n_tokens * c->n_attention_layer * 2 * c->n_kv_head * c->head_dim * 2;
}

/* Moves a state through a host buffer, one way or the other. */
struct mover {
    void *host;
    int (*put)(void *, const void *, size_t);
    int (*get)(void *, void *, size_t, uint64_t);
    void *ctx;
    uint64_t at; /* of get */
};
static int move(struct mover *m, struct cuda_stage *cm, void *device, size_t bytes, struct error *e) {
    const size_t step = (size_t)16 << 20;
    int rc = cuda_device_set(cm->device, e);
    for (size_t at = 0; !rc && at < bytes; at += step) {
        size_t n = bytes - at < step ? bytes - at : step;
        if (m->put) {
            rc = cuda_download(m->host, (char *)device + at, n, cm->stream, e);
            if (!rc) rc = m->put(m->ctx, m->host, n); /* says itself what went wrong, as does get */
        } else {
            rc = m->get(m->ctx, m->host, n, m->at);
            m->at += n;
            if (!rc) rc = cuda_upload((char *)device + at, m->host, n, cm->stream, e);
        }
    }
    return rc;
}
int cuda_session_move(struct cuda_model *model, struct cuda_session *s, uint32_t n_tokens,
                      int (*put)(void *, const void *, size_t), int (*get)(void *, void *, size_t, uint64_t), void *ctx,
                      struct error *e) {
    const struct jamba_config *c = &model->m->config;
    const size_t width = (size_t)c->n_kv_head * c->head_dim;
    struct mover m = {malloc((size_t)16 << 20), put, get, ctx, 0};
    int rc = m.host ? 0 : error_set(e, ERR_NOMEM, "", "There is no memory for the snapshot.");
    for (int k = 0; !rc && get && k < model->n_stages; k++) {
        rc = cuda_device_set(model->stage[k]->device, e);
        if (!rc) rc = cuda_state_extend(model->stage[k], s->part[k], n_tokens, e);
    }
    for (int k = 0; !rc && k < model->n_stages; k++)
        rc = move(&m, model->stage[k], s->part[k]->conv, model->stage[k]->n_mamba * cuda_conv_elements(c) * 2, e);
    for (int k = 0; !rc && k < model->n_stages; k++)
        rc = move(&m, model->stage[k], s->part[k]->ssm, model->stage[k]->n_mamba * cuda_ssm_elements(c) * 4, e);
    if (!rc) rc = move(&m, model->stage[model->n_stages - 1], s->part[model->n_stages - 1]->last, c->d_model * 4, e);
    for (uint32_t t = 0, p = 0; !rc && c->n_attention_layer && t < n_tokens; t += CUDA_KV_PAGE, p++) {
        size_t rows = n_tokens - t < CUDA_KV_PAGE ? n_tokens - t : CUDA_KV_PAGE;
        for (int k = 0; !rc && k < model->n_stages; k++) {
            struct cuda_stage *cm = model->stage[k];
            for (size_t half = 0; !rc && half < 2 * (size_t)cm->n_attention; half++)
                rc = move(&m, cm,
                          cm->kv.pool + (size_t)s->part[k]->pages[p] * cm->page_bytes / 2 + half * CUDA_KV_PAGE * width,
                          rows * width * 2, e);
        }
    }
    free(m.host);
    for (int k = 0; !rc && get && k < model->n_stages; k++)
        s->part[k]->n_tokens = n_tokens, s->part[k]->has_last = n_tokens > 0;
    return rc;
}
