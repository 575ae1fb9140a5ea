/* config.c: the numbers that describe a Jamba, checked against limits and each other. What reads them from a file lies
 * with the file's format (gguf.c, safetensors.c). The limits stand in weights.h. */
#include "engine/jamba/weights.h"

static int bad(const char *where, struct error *e, const char *what) {
    return error_set(e, ERR_FORMAT, where, "The model's configuration cannot be: %s.", what);
}

int config_check(const struct jamba_config *c, const char *where, struct error *e) {
    if (!c->n_layer || c->n_layer > MODEL_MAX_LAYERS) return bad(where, e, "number of layers");
    if (!c->d_model || c->d_model > MODEL_MAX_D_MODEL) return bad(where, e, "hidden size");
    if (!c->d_ff || c->d_ff > MODEL_MAX_D_FF) return bad(where, e, "size of the feed-forward layer");
    if (!c->n_vocab || c->n_vocab > MODEL_MAX_VOCAB) return bad(where, e, "size of the vocabulary");
    if (!c->d_inner || c->d_inner > MODEL_MAX_D_INNER) return bad(where, e, "inner size of the Mamba layers");
    if (!c->d_state || c->d_state > MODEL_MAX_D_STATE) return bad(where, e, "state size of the Mamba layers");
    if (!c->d_conv || c->d_conv > MODEL_MAX_D_CONV) return bad(where, e, "convolution width of the Mamba layers");
    if (!c->dt_rank || c->dt_rank > MODEL_MAX_DT_RANK) return bad(where, e, "time step rank of the Mamba layers");
    if (c->n_expert > MODEL_MAX_EXPERTS) return bad(where, e, "number of experts");
    if (c->n_expert > 1 && (!c->n_expert_used || c->n_expert_used > c->n_expert))
        return bad(where, e, "number of experts used a token");
    if (!(c->rms_norm_eps > 0 && c->rms_norm_eps < 1)) return bad(where, e, "epsilon of the norms");
    if (c->n_attention_layer > c->n_layer) return bad(where, e, "number of attention layers");
    if (c->n_attention_layer) {
        if (!c->n_head || c->n_head > MODEL_MAX_HEADS) return bad(where, e, "number of attention heads");
        if (!c->n_kv_head || c->n_head % c->n_kv_head) return bad(where, e, "number of KV heads");
        if (!c->head_dim || c->head_dim > MODEL_MAX_HEAD_DIM) return bad(where, e, "size of an attention head");
    }
    return 0;
}
