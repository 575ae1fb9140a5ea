/* cuda_choose.c: the next token chosen on the device that has the head, so that an id and a log-probability come back
 * and no row of logits. Under a constraint with few allowed tokens only their rows of the head are multiplied, in the
 * whole head's order of sums: the logits are the same bits either way.
 */
#include "engine/jamba/cuda_backend.h"
#include "kernels/kernels.h"

#include <string.h>

/* Allowed tokens are a gather of the head's rows when they are at most this part of the vocabulary. The gather reads
 * and writes what the product then reads once more: from a third on the whole head would be less. */
#define PICK_PART 4

int cuda_stage_choose(struct cuda_stage *cm, const struct cuda_state *s, const int32_t *ids, size_t n_ids,
                      float temperature, float top_p, double u, size_t *index, float *logprob, struct error *e) {
    const struct jamba_config *c = &cm->m->config;
    const int H = (int)c->d_model, V = (int)c->n_vocab, n = (int)n_ids;
    const size_t row_bytes = c->d_model * (cm->head.bf16 ? 2u : 1u),
                 wide_bytes = (size_t)cm->chunk_rows * 2 * c->d_inner * sizeof *cm->wide; /* at least; free here */
    const bool picks =
        ids && n_ids <= c->n_vocab / PICK_PART && n_ids <= (size_t)cm->chunk_rows && n_ids * row_bytes <= wide_bytes;
    const bool fits = !ids || picks || (2 * n_ids * sizeof(int32_t) <= wide_bytes);
    struct {
        int32_t index;
        float logprob;
    } *chosen = (void *)cm->logits_host; /* pinned: the device writes there */
    float *logits = cm->logits;
    int rc = cuda_to_bf16(cm->x, s->last, (size_t)H, cm->stream, e);
    if (!rc && picks) {
        struct cuda_matrix rows = {.n_out = n, .n_in = H, .sum_as = V, .scale = cm->head.scale ? cm->logprob : NULL};
        if (cm->head.bf16)
            rows.bf16 = cm->wide;
        else if (cm->head.i8)
            rows.i8 = (int8_t *)cm->wide;
        else
            rows.e4m3 = (uint8_t *)cm->wide;
        rc = cuda_upload(cm->targets, ids, n_ids * sizeof *ids, cm->stream, e);
        if (!rc) rc = cuda_pick_rows(cm->wide, rows.scale, &cm->head, cm->targets, n, cm->stream, e);
        if (!rc) rc = cuda_gemv(&rows, cm->x, H, 1, NULL, cm->logits, n, false, cm->stream, e);
    } else if (!rc) {
        rc = cuda_gemv(&cm->head, cm->x, H, 1, NULL, cm->logits, V, false, cm->stream, e);
    }
    if (!rc && ids && !picks && fits) {
        int32_t *device = (int32_t *)(void *)cm->wide;
        logits = (float *)(device + n_ids);
        rc = cuda_upload(device, ids, n_ids * sizeof *ids, cm->stream, e);
        if (!rc) rc = cuda_pick(logits, cm->logits, device, n, cm->stream, e);
    }
    if (rc) return rc;
    if (!fits) { /* a workspace too small for the list of ids */
        float *host = cm->logits_host;
        rc = cuda_download(host, cm->logits, c->n_vocab * sizeof *host, cm->stream, e);
        for (size_t i = 0; !rc && i < n_ids; i++) host[i] = host[ids[i]]; /* ids rise, so ids[i] >= i is still there */
        if (!rc) *index = kernel_choose(host, n_ids, temperature, top_p, u, logprob);
        return rc;
    }
    rc = cuda_choose(&chosen->index, &chosen->logprob, logits, n, temperature, top_p, u, cm->stream, e);
    if (!rc) rc = cuda_sync(cm->stream, e);
    if (!rc) *index = (size_t)chosen->index, *logprob = chosen->logprob;
    return rc;
}
