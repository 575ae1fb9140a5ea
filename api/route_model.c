/* route_model.c: what the model is: name, card, kernels, weights counted, and the memory it wants at a length of
 * context. */
#include "api/api.h"

#include <stdlib.h>
#include <string.h>

json_t *api_model_json(const struct jamba_model *m, const char *path, uint32_t n_tokens) {
    const struct jamba_config *c = jamba_model_config(m);
    struct jamba_summary s;
    char id[65];
    uint64_t weights = jamba_model_bytes(m), state = jamba_session_bytes(m, n_tokens);
    jamba_model_summary(m, &s);
    hex_encode(jamba_model_id(m), 32, id);
    json_t *config =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "n_layer",
                  (json_int_t)c->n_layer, "n_attention_layer", (json_int_t)c->n_attention_layer, "d_model",
                  (json_int_t)c->d_model, "d_ff", (json_int_t)c->d_ff, "n_vocab", (json_int_t)c->n_vocab, "n_head",
                  (json_int_t)c->n_head, "n_kv_head", (json_int_t)c->n_kv_head, "d_inner", (json_int_t)c->d_inner,
                  "d_state", (json_int_t)c->d_state, "d_conv", (json_int_t)c->d_conv, "dt_rank", (json_int_t)c->dt_rank,
                  "n_expert", (json_int_t)c->n_expert, "context_length", (json_int_t)c->context_length);
    json_t *types = json_array();
    for (size_t i = 0; i < s.n_types; i++)
        json_array_append_new(types,
                              json_pack("{s:s, s:I, s:I}", "type", s.types[i].type, "tensors",
                                        (json_int_t)s.types[i].n_tensors, "bytes", (json_int_t)s.types[i].bytes));
    json_t *card = json_loads(jamba_model_card(m), 0, NULL);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:{s:I, s:I, s:I}, s:s, s:o, s:{s:I, s:I, s:I, s:I}, s:o, s:o}", "name",
        jamba_model_name(m), "id", id, "path", path, "device", s.device, "kernel_path", jamba_model_kernel_path(m),
        "bytes", (json_int_t)weights, "parameters", (json_int_t)s.n_parameters, "layers", "mamba",
        (json_int_t)(c->n_layer - c->n_attention_layer), "attention", (json_int_t)c->n_attention_layer, "with_experts",
        (json_int_t)s.n_moe_layer, "tokenizer", s.tokenizer, "types", types, "memory", "weights", (json_int_t)weights,
        "context", (json_int_t)n_tokens, "state", (json_int_t)state, "total", (json_int_t)(weights + state), "config",
        config, "card", card != NULL ? card : json_null());
}

int route_model(struct api *api, struct api_request *q, const struct api_args *a, struct api_response *r,
                struct error *e) {
    (void)q;
    struct analysis *an;
    int64_t n_tokens;
    int rc = api_query_number(a->query, "context", INT32_MAX, 0, &n_tokens, e);
    if (rc == 0) rc = api_analysis(api, &an, e);
    if (rc != 0) return rc;
    if (api->model == NULL) {
        api_respond(r, 200, json_pack("{s:n}", "model"));
        return 0;
    }
    char *path = NULL;
    struct error ignored;
    api_model_path(&api->options, &path, &ignored);
    if (n_tokens == 0) n_tokens = jamba_model_config(api->model)->context_length;
    api_respond(r, 200, json_pack("{s:o}", "model", api_model_json(api->model, path ? path : "", (uint32_t)n_tokens)));
    free(path);
    return 0;
}
