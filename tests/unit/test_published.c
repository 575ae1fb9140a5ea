/* test_published.c: every published Jamba by its config.json. The config is written with the release's keys and numbers
 * and read: kinds of layers, experts, ends, and the count of weights, which must equal the published total to the last
 * one. Then the same keys with small sizes and noise as weights, in the release's layout of tensors, are opened and
 * run.
 *
 * Source of keys and numbers: jamba-spec, 1.1 to 1.3 and 2 (1.5 Mini: the published file, key for key; others: its keys
 * with the numbers known of them; what is inferred there is so here: Large's intermediate_size, the ends of Jamba2).
 */
#include "engine/jamba/safetensors.h"
#include "engine/jamba/shape.h"
#include "tests/unit/tiny_model.h"

#include <jansson.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum keys {
    KEYS_COMMUNITY, /* what the first forks wrote: n_ctx, mamba_inner_layernorms, calc_logits_for_entire_prompt */
    KEYS_4,         /* transformers 4.40: num_logits_to_keep, torch_dtype */
    KEYS_5          /* transformers 5: dtype, layer_types */
};
enum layout { PER_EXPERT, FUSED, FIRST_NAMES /* `moe`, `pre_moe_layernorm`, `B_layernorm` */ };

struct geometry {
    uint32_t hidden, ff, layers, heads, kv_heads, dt_rank, experts, top_k, attn_period, attn_offset, vocab;
    bool tied;
    uint32_t small_hidden, small_ff, small_heads; /* in the files that are run; KV heads in the same proportion */
};
static const struct geometry MINI = {4096, 14336, 32, 32, 8, 256, 16, 2, 8, 4, 65536, false, 32, 48, 8},
                             LARGE = {8192, 24576, 72, 64, 8, 512, 16, 2, 8, 4, 65536, false, 32, 48, 8},
                             B3 = {2560, 8192, 28, 20, 1, 160, 1, 1, 14, 7, 65536, true, 80, 96, 20},
                             DEV = {512, 2048, 16, 8, 2, 32, 8, 2, 8, 4, 65536, false, 32, 48, 4},
                             COMMUNITY = {256, 1024, 16, 8, 8, 16, 8, 2, 3, 1, 32000, false, 32, 48, 4};
#define MINI_ATTENTION "4 12 20 28"
#define LARGE_ATTENTION "4 12 20 28 36 44 52 60 68"

static const struct release {
    const char *name;
    const struct geometry *g;
    enum keys keys;
    enum layout layout;
    int n_shards;
    bool auto_rank, stores_head,
        generation_config; /* "auto"; lm_head although tied; the second end stands there only */
    int32_t eos[2];        /* eos[1] -1: one number, no list */
    const char *attention; /* layers that attend */
    uint64_t parameters;   /* published; 0: not known */
} releases[] = {
    {"Jamba-v0.1", &MINI, KEYS_4, PER_EXPERT, 3, false, false, false, {2, -1}, MINI_ATTENTION, 51570323328},
    {"AI21-Jamba-1.5-Mini", &MINI, KEYS_4, PER_EXPERT, 4, false, false, false, {2, 518}, MINI_ATTENTION, 51570323328},
    {"AI21-Jamba-1.5-Large",
     &LARGE,
     KEYS_4,
     PER_EXPERT,
     5,
     false,
     false,
     false,
     {2, 518},
     LARGE_ATTENTION,
     398555145696},
    {"AI21-Jamba-Mini-1.6", &MINI, KEYS_4, PER_EXPERT, 2, false, false, false, {2, 518}, MINI_ATTENTION, 51570323328},
    {"AI21-Jamba-Large-1.6",
     &LARGE,
     KEYS_4,
     PER_EXPERT,
     2,
     true,
     false,
     false,
     {2, 518},
     LARGE_ATTENTION,
     398555145696},
    {"AI21-Jamba-Mini-1.7", &MINI, KEYS_4, PER_EXPERT, 3, false, false, true, {2, 518}, MINI_ATTENTION, 51570323328},
    {"AI21-Jamba-Large-1.7",
     &LARGE,
     KEYS_4,
     PER_EXPERT,
     9,
     false,
     false,
     true,
     {2, 518},
     LARGE_ATTENTION,
     398555145696},
    {"AI21-Jamba-Reasoning-3B", &B3, KEYS_4, PER_EXPERT, 2, false, true, false, {2, 519}, "7 21", 3029337472},
    {"AI21-Jamba2-3B", &B3, KEYS_5, PER_EXPERT, 1, false, false, false, {2, 519}, "7 21", 3029337472},
    {"AI21-Jamba2-Mini", &MINI, KEYS_5, PER_EXPERT, 3, false, false, false, {2, 519}, MINI_ATTENTION, 51570323328},
    {"AI21-Jamba-Large (Jamba2)",
     &LARGE,
     KEYS_5,
     FUSED,
     4,
     false,
     false,
     false,
     {2, 519},
     LARGE_ATTENTION,
     398555145696},
    {"Jamba-tiny-dev", &DEV, KEYS_4, PER_EXPERT, 1, true, false, false, {2, -1}, "4 12", 318688640},
    {"Mini-Jamba-v2", &COMMUNITY, KEYS_COMMUNITY, FIRST_NAMES, 1, true, false, false, {2, -1}, "1 4 7 10 13", 0},
};
enum { N_RELEASES = sizeof releases / sizeof releases[0], SMALL_VOCAB = 704 };

static char folder[64];

static const char *in_folder(const char *name) {
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_json(const char *name, json_t *o) {
    char *text = json_dumps(o, JSON_INDENT(2));
    assert_non_null(text);
    assert_int_equal(tiny_write(in_folder(name), text, strlen(text)), 0);
    free(text);
}

/* ---- config.json ---- */
static bool attends(const struct geometry *g, uint32_t i) {
    return i % g->attn_period == g->attn_offset;
}

static json_t *config_of(const struct release *r, bool small) {
    const struct geometry *g = r->g;
    uint32_t hidden = small ? g->small_hidden : g->hidden, heads = small ? g->small_heads : g->heads;
    json_t *o = json_pack(
        "{s:[s], s:f, s:i, s:i, s:i, s:i, s:i, s:s, s:i, s:f, s:i, s:b, s:i, s:i, s:i, s:b, s:s, s:i, s:i, s:i, s:i, "
        "s:i, s:b, s:i, s:f, s:f, s:n, s:b, s:b, s:b, s:i}",
        "architectures", "JambaForCausalLM", "attention_dropout", 0.0, "attn_layer_offset", (int)g->attn_offset,
        "attn_layer_period", (int)g->attn_period, "bos_token_id", 1, "expert_layer_offset", 1, "expert_layer_period", 2,
        "hidden_act", "silu", "hidden_size", (int)hidden, "initializer_range", 0.02, "intermediate_size",
        (int)(small ? g->small_ff : g->ff), "mamba_conv_bias", 1, "mamba_d_conv", 4, "mamba_d_state", 16,
        "mamba_expand", 2, "mamba_proj_bias", 0, "model_type", "jamba", "num_attention_heads", (int)heads,
        "num_experts", (int)g->experts, "num_experts_per_tok", (int)g->top_k, "num_hidden_layers", (int)g->layers,
        "num_key_value_heads", (int)(heads / (g->heads / g->kv_heads)), "output_router_logits", 0, "pad_token_id", 0,
        "rms_norm_eps", 1e-6, "router_aux_loss_coef", 0.001, "sliding_window", "tie_word_embeddings", (int)g->tied,
        "use_cache", 1, "use_mamba_kernels", 1, "vocab_size", small ? SMALL_VOCAB : (int)g->vocab);
    assert_non_null(o);
    json_object_set_new(o, "mamba_dt_rank",
                        r->auto_rank ? json_string("auto") : json_integer(small ? hidden / 16 : g->dt_rank));
    json_object_set_new(o, "eos_token_id",
                        r->eos[1] < 0 || r->generation_config ? json_integer(r->eos[0])
                                                              : json_pack("[i, i]", r->eos[0], r->eos[1]));
    if (r->keys == KEYS_COMMUNITY) {
        json_object_set_new(o, "n_ctx", json_integer(262144));
        json_object_set_new(o, "mamba_inner_layernorms", json_true());
        json_object_set_new(o, "calc_logits_for_entire_prompt", json_false());
        json_object_set_new(o, "auto_map", json_pack("{s:s}", "AutoConfig", "configuration_jamba.JambaConfig"));
    } else {
        json_object_set_new(o, "max_position_embeddings", json_integer(262144));
    }
    if (r->keys == KEYS_4) json_object_set_new(o, "num_logits_to_keep", json_integer(1));
    json_object_set_new(o, r->keys == KEYS_5 ? "dtype" : "torch_dtype", json_string("bfloat16"));
    json_object_set_new(o, "transformers_version", json_string(r->keys == KEYS_5 ? "5.0.0" : "4.40.2"));
    if (r->keys == KEYS_5) {
        json_t *kinds = json_array();
        for (uint32_t i = 0; i < g->layers; i++)
            json_array_append_new(kinds, json_string(attends(g, i) ? "full_attention" : "mamba"));
        json_object_set_new(o, "layer_types", kinds);
    }
    return o;
}

static void write_config(const struct release *r, bool small) {
    json_t *o = config_of(r, small);
    write_json("config.json", o);
    json_decref(o);
    o = json_pack("{s:b, s:i, s:[i, i], s:i}", "_from_model_config", 1, "bos_token_id", 1, "eos_token_id", r->eos[0],
                  r->eos[1], "pad_token_id", 0);
    if (r->generation_config)
        write_json("generation_config.json", o);
    else
        unlink(in_folder("generation_config.json"));
    json_decref(o);
}

static void check_ends(const struct release *r, const struct jamba_config *c) {
    assert_int_equal(c->bos, 1);
    assert_int_equal(c->pad, 0);
    assert_int_equal(c->eos[0], r->eos[0]);
    assert_int_equal(c->eos[1], r->eos[1]);
    assert_int_equal(c->eos[2], -1);
}

static void test_published_configs_give_the_published_model(void **state) {
    (void)state;
    for (size_t i = 0; i < N_RELEASES; i++) {
        const struct release *r = &releases[i];
        const struct geometry *g = r->g;
        struct arena a = {0};
        struct jamba_config c;
        struct error e = {0};
        bool *is_attention, *is_moe;
        char attention[100] = "";
        uint32_t n_moe = 0;
        write_config(r, false);
        if (config_from_json(&a, folder, &c, &is_attention, &is_moe, &e)) fail_msg("%s: %s", r->name, e.message);
        assert_int_equal(c.n_layer, g->layers);
        for (uint32_t k = 0; k < c.n_layer; k++) {
            if (is_attention[k])
                snprintf(attention + strlen(attention), sizeof attention - strlen(attention), "%s%u",
                         *attention ? " " : "", k);
            assert_int_equal(is_moe[k], g->experts > 1 && k % 2 == 1);
            n_moe += is_moe[k];
        }
        assert_string_equal(attention, r->attention);
        assert_int_equal(c.d_model, g->hidden);
        assert_int_equal(c.d_inner, 2 * g->hidden);
        assert_int_equal(c.dt_rank, g->dt_rank);
        assert_int_equal(c.head_dim * c.n_head, g->hidden);
        assert_int_equal(c.n_kv_head, g->kv_heads);
        assert_int_equal(c.context_length, 262144);
        assert_int_equal(c.tied_embeddings, g->tied);
        check_ends(r, &c);
        uint64_t n = config_parameters(&c, n_moe);
        if (r->parameters && n != r->parameters)
            fail_msg("%s: %llu parameters, published are %llu", r->name, (unsigned long long)n,
                     (unsigned long long)r->parameters);
        if (r->stores_head) assert_true(n + (uint64_t)c.n_vocab * c.d_model == 3197109632); /* with the stored head */
        arena_free(&a);
    }
}

static void test_shapes_for_measuring_are_the_published_ones(void **state) {
    static const struct {
        const char *shape;
        uint64_t n;
    } want[] = {{"mini", 51570323328}, {"large", 398555145696}, {"3b", 3029337472}};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        uint64_t n;
        struct error e;
        assert_int_equal(jamba_shape_parameters(want[i].shape, &n, &e), 0);
        assert_true(n == want[i].n);
    }
    struct jamba_model *m;
    struct error e;
    assert_int_equal(jamba_model_open(&m, "engine/models", NULL, &e), 0);
    uint64_t n;
    assert_int_equal(jamba_shape_parameters("bundled", &n, &e), 0);
    assert_true(n == config_parameters(jamba_model_config(m), 0));
    jamba_model_close(m);
    assert_int_equal(jamba_shape_parameters("huge", &n, &e), ERR_ARG);
}

/* ---- weights: noise that depends on the tensor's name alone, so that layouts can be compared ---- */
struct writer {
    enum tensor_type type; /* BF16, F16 or F32: always of the same values */
    enum layout layout;
    int n_shards;
    uint64_t pad; /* bytes before the first tensor: data that is not aligned */
    struct {
        json_t *entry;
        char name[100];
    } tensors[6000];
    size_t n;
    struct buf data;
};

static float noise(uint32_t *seed) { /* in -1 .. 1, exact in F16 and BF16 */
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(int32_t)(*seed >> 25) / 64 - 1;
}

static void values(struct writer *w, const char *seed_name, uint64_t n, float scale, float base) {
    uint32_t seed = 2166136261u;
    for (const char *s = seed_name; *s; s++) seed = (seed ^ (uint8_t)*s) * 16777619u;
    for (uint64_t i = 0; i < n; i++) {
        float f = base + scale * noise(&seed);
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        u &= 0xffff0000u; /* BF16's values */
        memcpy(&f, &u, sizeof f);
        uint16_t top = (uint16_t)(u >> 16), half = tiny_f16(f);
        if (w->type == TENSOR_BF16)
            buf_append(&w->data, &top, 2);
        else if (w->type == TENSOR_F16)
            buf_append(&w->data, &half, 2);
        else
            buf_append(&w->data, &f, 4);
    }
}

/* Everything appended to data since `from` is the tensor; the shape ends with 0. */
static void entry(struct writer *w, const char *name, const uint32_t shape[4], size_t from) {
    json_t *dims = json_array();
    for (int i = 0; i < 4 && shape[i]; i++) json_array_append_new(dims, json_integer(shape[i]));
    assert_true(w->n < sizeof w->tensors / sizeof w->tensors[0]);
    snprintf(w->tensors[w->n].name, sizeof w->tensors[0].name, "%s", name);
    w->tensors[w->n++].entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype",
                                         w->type == TENSOR_BF16  ? "BF16"
                                         : w->type == TENSOR_F16 ? "F16"
                                                                 : "F32",
                                         "shape", dims, "data_offsets", (json_int_t)from, (json_int_t)w->data.len);
}

static void tensor(struct writer *w, int layer, const char *name, uint32_t a, uint32_t b, uint32_t c, float scale,
                   float base) {
    char full[100];
    size_t from = w->data.len;
    if (layer < 0)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "model.layers.%d.%s", layer, name);
    values(w, full, (uint64_t)a * (b ? b : 1) * (c ? c : 1), scale, base);
    entry(w, full, (const uint32_t[]){a, b, c, 0}, from);
    if (w->layout != FIRST_NAMES) return; /* the seed was the usual name; the file has the first one */
    static const char *const OLD[][2] = {{"pre_ff_layernorm", "pre_moe_layernorm"},
                                         {"b_layernorm", "B_layernorm"},
                                         {"c_layernorm", "C_layernorm"},
                                         {"feed_forward.router", "moe.router"},
                                         {"feed_forward.experts", "moe.experts"},
                                         {"feed_forward", "moe.experts.0"}};
    for (size_t i = 0; i < sizeof OLD / sizeof OLD[0]; i++) {
        const char *at = strstr(full, OLD[i][0]);
        if (!at) continue;
        snprintf(w->tensors[w->n - 1].name, sizeof w->tensors[0].name, "%.*s%s%s", (int)(at - full), full, OLD[i][1],
                 at + strlen(OLD[i][0]));
        return;
    }
}

static void experts(struct writer *w, int layer, uint32_t n, uint32_t H, uint32_t I) {
    char name[100];
    if (w->layout != FUSED) {
        for (uint32_t x = 0; x < n; x++) {
            snprintf(name, sizeof name, "feed_forward.experts.%u.gate_proj.weight", x);
            tensor(w, layer, name, I, H, 0, 0.25f, 0);
            snprintf(name, sizeof name, "feed_forward.experts.%u.up_proj.weight", x);
            tensor(w, layer, name, I, H, 0, 0.25f, 0);
            snprintf(name, sizeof name, "feed_forward.experts.%u.down_proj.weight", x);
            tensor(w, layer, name, H, I, 0, 0.125f, 0);
        }
        return;
    }
    for (int down = 0; down < 2; down++) {
        size_t from = w->data.len;
        for (uint32_t x = 0; x < n; x++)
            for (int part = down ? 2 : 0; part < (down ? 3 : 2); part++) {
                static const char *const PARTS[] = {"gate", "up", "down"};
                snprintf(name, sizeof name, "model.layers.%d.feed_forward.experts.%u.%s_proj.weight", layer, x,
                         PARTS[part]);
                values(w, name, (uint64_t)H * I, down ? 0.125f : 0.25f, 0);
            }
        snprintf(name, sizeof name, "model.layers.%d.feed_forward.experts.%s", layer,
                 down ? "down_proj" : "gate_up_proj");
        entry(w, name, down ? (const uint32_t[]){n, H, I, 0} : (const uint32_t[]){n, 2 * I, H, 0}, from);
    }
}

static void write_shards(struct writer *w) {
    json_t *map = json_object();
    size_t per = (w->n + (size_t)w->n_shards - 1) / (size_t)w->n_shards;
    for (int k = 0; k < w->n_shards; k++) {
        char file[60] = "model.safetensors";
        if (w->n_shards > 1) snprintf(file, sizeof file, "model-%05d-of-%05d.safetensors", k + 1, w->n_shards);
        json_t *head = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
        size_t start = (size_t)k * per, end = start + per < w->n ? start + per : w->n, base = 0, stop = 0;
        for (size_t i = start; i < end; i++) {
            json_t *offsets = json_object_get(w->tensors[i].entry, "data_offsets");
            json_int_t from = json_integer_value(json_array_get(offsets, 0)),
                       to = json_integer_value(json_array_get(offsets, 1));
            if (i == start) base = (size_t)from;
            stop = (size_t)to;
            json_array_set_new(offsets, 0, json_integer(from - (json_int_t)base));
            json_array_set_new(offsets, 1, json_integer(to - (json_int_t)base));
            json_object_set_new(head, w->tensors[i].name, w->tensors[i].entry);
            json_object_set_new(map, w->tensors[i].name, json_string(file));
        }
        char *text = json_dumps(head, JSON_COMPACT);
        struct buf b = {0};
        uint64_t len = strlen(text);
        while ((len + 8) % 8 != w->pad) len++; /* spaces behind the table, as the format's writers do */
        buf_append(&b, &len, sizeof len);
        buf_puts(&b, text);
        while (b.len < len + 8) buf_puts(&b, " ");
        buf_append(&b, w->data.data + base, stop - base);
        assert_int_equal(tiny_write(in_folder(file), b.data, b.len), 0);
        buf_free(&b);
        free(text);
        json_decref(head);
    }
    json_t *index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)w->data.len, "weight_map", map);
    if (w->n_shards > 1) write_json("model.safetensors.index.json", index);
    json_decref(index);
    buf_free(&w->data);
}

struct how {
    enum tensor_type type;
    enum layout layout;
    int n_shards;
    bool head;
    uint64_t pad;
};

static void clear_folder(void) {
    char line[200];
    snprintf(line, sizeof line, "rm -rf %s/*", folder);
    assert_int_equal(system(line), 0);
}

/* The release with small sizes, whole: config, weights, vocabulary (that of the golden checkpoints, 701 tokens). */
static void write_checkpoint(const struct release *r, const struct how *how) {
    static struct writer w;
    const struct geometry *g = r->g;
    const uint32_t H = g->small_hidden, I = g->small_ff, d = 2 * H, R = (H + 15) / 16, N = 16,
                   kv = H / (g->heads / g->kv_heads);
    struct buf b = {0};
    struct error e;
    clear_folder();
    write_config(r, true);
    assert_int_equal(file_read("tests/golden/checkpoints/dense/tokenizer.json", 1 << 20, &b, &e), 0);
    assert_int_equal(tiny_write(in_folder("tokenizer.json"), b.data, b.len), 0);
    buf_free(&b);
    w = (struct writer){.type = how->type, .layout = how->layout, .n_shards = how->n_shards, .pad = how->pad};
    tensor(&w, -1, "model.embed_tokens.weight", SMALL_VOCAB, H, 0, 1, 0);
    tensor(&w, -1, "model.final_layernorm.weight", H, 0, 0, 0.25f, 1);
    if (how->head) tensor(&w, -1, "lm_head.weight", SMALL_VOCAB, H, 0, 0.5f, 0);
    for (int i = 0; i < (int)g->layers; i++) {
        tensor(&w, i, "input_layernorm.weight", H, 0, 0, 0.25f, 1);
        tensor(&w, i, "pre_ff_layernorm.weight", H, 0, 0, 0.25f, 1);
        if (attends(g, (uint32_t)i)) {
            tensor(&w, i, "self_attn.q_proj.weight", H, H, 0, 0.25f, 0);
            tensor(&w, i, "self_attn.k_proj.weight", kv, H, 0, 0.25f, 0);
            tensor(&w, i, "self_attn.v_proj.weight", kv, H, 0, 0.25f, 0);
            tensor(&w, i, "self_attn.o_proj.weight", H, H, 0, 0.25f, 0);
        } else {
            tensor(&w, i, "mamba.in_proj.weight", 2 * d, H, 0, 0.25f, 0);
            tensor(&w, i, "mamba.conv1d.weight", d, 1, 4, 0.5f, 0);
            tensor(&w, i, "mamba.conv1d.bias", d, 0, 0, 0.125f, 0);
            tensor(&w, i, "mamba.x_proj.weight", R + 2 * N, d, 0, 0.25f, 0);
            tensor(&w, i, "mamba.dt_layernorm.weight", R, 0, 0, 0.25f, 1);
            tensor(&w, i, "mamba.b_layernorm.weight", N, 0, 0, 0.25f, 1);
            tensor(&w, i, "mamba.c_layernorm.weight", N, 0, 0, 0.25f, 1);
            tensor(&w, i, "mamba.dt_proj.weight", d, R, 0, 0.5f, 0);
            tensor(&w, i, "mamba.dt_proj.bias", d, 0, 0, 1, -2);
            tensor(&w, i, "mamba.A_log", d, N, 0, 1, 1);
            tensor(&w, i, "mamba.D", d, 0, 0, 0.5f, 1);
            tensor(&w, i, "mamba.out_proj.weight", H, d, 0, 0.25f, 0);
        }
        if (g->experts > 1 && i % 2 == 1) {
            tensor(&w, i, "feed_forward.router.weight", g->experts, H, 0, 0.5f, 0);
            experts(&w, i, g->experts, H, I);
        } else {
            tensor(&w, i, "feed_forward.gate_proj.weight", I, H, 0, 0.25f, 0);
            tensor(&w, i, "feed_forward.up_proj.weight", I, H, 0, 0.25f, 0);
            tensor(&w, i, "feed_forward.down_proj.weight", H, I, 0, 0.125f, 0);
        }
    }
    write_shards(&w);
}

/* ---- opening and running ---- */
enum { N_TOKENS = 24 };

static struct jamba_model *opened(const char *what, const char *path) {
    struct jamba_model_options o = {.path = path, .n_threads = 1};
    struct jamba_model *m;
    struct error e = {0};
    if (jamba_model_open(&m, folder, &o, &e)) fail_msg("%s: %s (%s)", what, e.message, e.where);
    return m;
}

static void run(struct jamba_model *m, float *logits) {
    struct jamba_session *s;
    struct error e = {0};
    int32_t ids[N_TOKENS];
    for (int i = 0; i < N_TOKENS; i++) ids[i] = (i * 131 + 7) % 700;
    if (jamba_session_open(&s, m, 64, &e) || jamba_session_prefill(s, ids, N_TOKENS, NULL, &e) ||
        jamba_session_logits(s, logits, &e))
        fail_msg("%s (%s)", e.message, e.where);
    jamba_session_close(s);
}

static bool mapped(const struct jamba_model *m, const void *p) {
    for (size_t i = 0; i < m->n_maps; i++)
        if ((const uint8_t *)p >= m->maps[i].base && (const uint8_t *)p < m->maps[i].base + m->maps[i].len) return true;
    return false;
}

/* Matrices are the file's own bytes: nothing was converted, nothing copied. */
static void check_mapped(const struct jamba_model *m, const struct tensor *t, const char *what) {
    if (!t) return;
    if (t->type != TENSOR_BF16) fail_msg("%s: %s is no longer BF16", what, t->name);
    for (uint64_t i = 0; i < t->ne[2]; i++)
        if (!mapped(m, tensor_matrix(t, i))) fail_msg("%s: %s was copied", what, t->name);
}

static void test_published_layouts_open_and_run(void **state) {
    (void)state;
    for (size_t i = 0; i < N_RELEASES; i++) {
        const struct release *r = &releases[i];
        struct how how = {TENSOR_BF16, r->layout, r->n_shards, !r->g->tied || r->stores_head, 0};
        write_checkpoint(r, &how);
        struct jamba_model *m = opened(r->name, NULL);
        const struct jamba_weights *w = &m->weights;
        float logits[SMALL_VOCAB], low = 0, high = 0;
        uint64_t n = 0;
        uint32_t n_moe = 0;
        assert_int_equal(m->config.n_layer, r->g->layers);
        check_ends(r, &m->config);
        for (uint32_t k = 0; k < m->config.n_layer; k++) {
            const struct jamba_layer *l = &w->layers[k];
            assert_int_equal(l->is_attention, attends(r->g, k));
            assert_int_equal(l->is_moe, r->g->experts > 1 && k % 2 == 1);
            n_moe += l->is_moe;
            const struct tensor *matrices[] = {
                l->q,       l->k,        l->v,      l->o,        l->ssm_in,        l->ssm_x,       l->ssm_dt,
                l->ssm_out, l->ffn_gate, l->ffn_up, l->ffn_down, l->ffn_gate_exps, l->ffn_up_exps, l->ffn_down_exps};
            for (size_t j = 0; j < sizeof matrices / sizeof matrices[0]; j++) check_mapped(m, matrices[j], r->name);
        }
        check_mapped(m, w->token_embd, r->name);
        check_mapped(m, w->output, r->name);
        assert_int_equal(w->output == w->token_embd, r->g->tied);
        struct jamba_summary summary;
        jamba_model_summary(m, &summary);
        assert_true(summary.n_parameters == config_parameters(&m->config, n_moe));
        assert_int_equal(summary.n_moe_layer, n_moe);
        assert_string_equal(summary.device, "cpu");
        assert_string_equal(summary.tokenizer, "byte-level BPE");
        assert_int_equal(summary.n_types, 2); /* matrices, and what became F32 */
        for (size_t k = 0; k < 2; k++) {
            bool bf16 = strcmp(summary.types[k].type, "BF16") == 0;
            n += summary.types[k].bytes / (bf16 ? 2 : 4);
            if (!bf16) assert_string_equal(summary.types[k].type, "F32");
        }
        assert_true(n == summary.n_parameters);
        run(m, logits);
        for (int k = 0; k < SMALL_VOCAB; k++) {
            if (!isfinite(logits[k])) fail_msg("%s: logit %d is not finite", r->name, k);
            low = fminf(low, logits[k]);
            high = fmaxf(high, logits[k]);
        }
        assert_true(high - low > 0.1f && high - low < 1000);
        jamba_model_close(m);
    }
}

static void test_layouts_of_the_same_weights_are_the_same_model(void **state) {
    static const struct {
        const char *what;
        struct how how;
        bool same_id; /* the id knows the type of the tensors */
    } cases[] = {
        {"one tensor an expert", {TENSOR_BF16, PER_EXPERT, 1, true, 0}, true},
        {"fused", {TENSOR_BF16, FUSED, 1, true, 0}, true},
        {"fused, sharded", {TENSOR_BF16, FUSED, 3, true, 0}, true},
        {"sharded", {TENSOR_BF16, PER_EXPERT, 7, true, 0}, true},
        {"the first names", {TENSOR_BF16, FIRST_NAMES, 2, true, 0}, true},
        {"not aligned", {TENSOR_BF16, PER_EXPERT, 2, true, 1}, true},
        {"fused, not aligned", {TENSOR_BF16, FUSED, 1, true, 3}, true},
        {"f16", {TENSOR_F16, PER_EXPERT, 1, true, 0}, false},
        {"f32, fused", {TENSOR_F32, FUSED, 1, true, 2}, false},
    };
    float want[SMALL_VOCAB], got[SMALL_VOCAB], shuffled[2][SMALL_VOCAB];
    uint8_t id[32];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_checkpoint(&releases[11], &cases[i].how); /* tiny-dev: 8 experts, 16 layers */
        struct jamba_model *m = opened(cases[i].what, "scalar");
        run(m, i ? got : want);
        if (!i) memcpy(id, jamba_model_id(m), 32);
        if ((memcmp(id, jamba_model_id(m), 32) == 0) != cases[i].same_id) fail_msg("%s: the id", cases[i].what);
        jamba_model_close(m);
        if (i && memcmp(want, got, sizeof got) != 0) fail_msg("%s: other logits", cases[i].what);
        if (!cases[i].same_id) continue;
        struct jamba_model_options o = {.path = "scalar", .n_threads = 1, .random_weights = true, .random_seed = 7};
        struct error e = {0};
        if (jamba_model_open(&m, folder, &o, &e)) fail_msg("%s: %s", cases[i].what, e.message);
        run(m, shuffled[i > 0]); /* the same noise from experts that lie apart and from experts in one piece */
        jamba_model_close(m);
        if (i && memcmp(shuffled[0], shuffled[1], sizeof shuffled[0]) != 0) fail_msg("%s: other noise", cases[i].what);
        assert_true(memcmp(shuffled[0], want, sizeof want) != 0);
    }
}

static void test_a_stored_head_of_a_tied_model_changes_nothing(void **state) {
    float with[SMALL_VOCAB], without[SMALL_VOCAB];
    (void)state;
    for (int head = 0; head < 2; head++) {
        write_checkpoint(&releases[7], &(struct how){TENSOR_BF16, PER_EXPERT, 2, head, 0});
        struct jamba_model *m = opened("tied", "scalar");
        run(m, head ? with : without);
        jamba_model_close(m);
    }
    assert_memory_equal(with, without, sizeof with);
}

/* What a session keeps is said before there is one: the size of its snapshot says the same. */
static void test_a_sessions_memory_is_known_before(void **state) {
    (void)state;
    write_checkpoint(&releases[1], &(struct how){TENSOR_BF16, PER_EXPERT, 1, true, 0});
    struct jamba_model *m = opened("Mini", NULL);
    uint64_t last = 0;
    for (uint32_t n = 100; n <= 1600; n *= 4) {
        struct jamba_session *s;
        struct error e = {0};
        int32_t ids[1600];
        for (uint32_t i = 0; i < n; i++) ids[i] = (int32_t)(i * 131 + 7) % 700;
        uint64_t bytes = jamba_session_bytes(m, n);
        if (jamba_session_open(&s, m, n, &e) || jamba_session_prefill(s, ids, n, NULL, &e) ||
            jamba_session_save(s, in_folder("snapshot"), &e))
            fail_msg("%s (%s)", e.message, e.where);
        struct stat st;
        assert_int_equal(stat(in_folder("snapshot"), &st), 0);
        uint64_t blocks = (bytes + 4095) / 4096; /* a checksum each, of 32 bytes at most, and a header */
        assert_true((uint64_t)st.st_size >= bytes && (uint64_t)st.st_size <= bytes + blocks * 32 + 3 * 4096);
        assert_true(bytes > last);
        last = bytes;
        jamba_session_close(s);
    }
    jamba_model_close(m);
}

/* What cannot be run says which key or tensor. */
static void test_what_is_not_published_so_is_refused(void **state) {
    static const struct {
        const char *key, *value, *word;
        int code;
    } cases[] = {
        {"quantization_config", "{\"quant_method\":\"compressed-tensors\",\"format\":\"float-quantized\"}",
         "quantization_config", ERR_UNSUPPORTED}, /* Jamba2-Mini-FP8 */
        {"sliding_window", "4096", "sliding window", ERR_UNSUPPORTED},
        {"mamba_proj_bias", "true", "biases", ERR_UNSUPPORTED},
        {"hidden_act", "\"gelu\"", "silu", ERR_UNSUPPORTED},
        {"model_type", "\"mamba2\"", "no Jamba", ERR_UNSUPPORTED},
        {"mamba_dt_rank", "\"large\"", "mamba_dt_rank", ERR_FORMAT},
        {"attn_layer_offset", "8", "smaller than its period", ERR_FORMAT},
        {"num_experts_per_tok", "9", "num_experts_per_tok", ERR_FORMAT},
        {"layer_types", "[\"mamba\"]", "layer_types", ERR_FORMAT},
        {"layers_block_type",
         "[\"mamba\",\"mamba\",\"mamba\",\"mamba\",\"sliding_attention\",\"mamba\",\"mamba\","
         "\"mamba\",\"mamba\",\"mamba\",\"mamba\",\"mamba\",\"attention\",\"mamba\",\"mamba\","
         "\"mamba\"]",
         "sliding_attention", ERR_UNSUPPORTED},
        {"num_experts", "9", "experts", ERR_FORMAT},
        {"num_hidden_layers", "17", "model.layers.16.", ERR_FORMAT},
    };
    (void)state;
    const struct release *r = &releases[11];
    write_checkpoint(r, &(struct how){TENSOR_BF16, PER_EXPERT, 2, true, 0});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jamba_model *m;
        struct error e = {0};
        json_t *o = config_of(r, true);
        json_object_set_new(o, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        write_json("config.json", o);
        json_decref(o);
        assert_int_equal(jamba_model_open(&m, folder, NULL, &e), cases[i].code);
        if (!strstr(e.message, cases[i].word) && !strstr(e.where, cases[i].word))
            fail_msg("%s: \"%s\" (%s) should say %s", cases[i].key, e.message, e.where, cases[i].word);
    }
    write_config(r, true);
    struct jamba_model *m = opened("whole again", NULL);
    jamba_model_close(m);
    unlink(in_folder("model-00002-of-00002.safetensors"));
    struct error e = {0};
    assert_int_equal(jamba_model_open(&m, folder, NULL, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.where, "model-00002-of-00002.safetensors"));
}

/* ---- GGUF: the same schedules, blocks as llama.cpp's quantiser writes them ---- */
static void test_published_shapes_as_gguf(void **state) {
    static const struct {
        const char *what;
        struct tiny_model t;
        enum tensor_type matrix, dt; /* the type of most matrices, and of ssm_dt, whose rows K-quants do not fit */
    } cases[] = {
#define SHAPE(layers, d, ff, heads, kv, rank, experts, used, period, offset, is_tied)                                  \
    .n_layer = layers, .d_model = d, .d_ff = ff, .n_head = heads, .n_kv_head = kv, .d_inner = 2 * (d), .d_state = 16,  \
    .d_conv = 4, .dt_rank = rank, .n_expert = experts, .n_expert_used = used, .n_vocab = 300,                          \
    .attention_period = period, .attention_offset = offset, .expert_period = 2, .expert_offset = 1, .tied = is_tied,   \
    .fallback = true, .seed = 3
        {"Mini, Q8_0",
         {SHAPE(32, 64, 96, 8, 2, 32, 16, 2, 8, 4, false), .matrix = TENSOR_Q8_0},
         TENSOR_Q8_0,
         TENSOR_Q8_0},
        {"Mini, Q4_K",
         {SHAPE(32, 256, 256, 8, 2, 16, 16, 2, 8, 4, false), .matrix = TENSOR_Q4_K},
         TENSOR_Q4_K,
         TENSOR_F16},
        {"Large, Q4_0",
         {SHAPE(72, 64, 64, 8, 1, 32, 16, 2, 8, 4, false), .matrix = TENSOR_Q4_0},
         TENSOR_Q4_0,
         TENSOR_Q4_0},
        {"3B, Q4_K",
         {SHAPE(28, 256, 512, 8, 1, 160, 1, 1, 14, 7, true), .matrix = TENSOR_Q4_K},
         TENSOR_Q4_K,
         TENSOR_Q5_0},
        {"3B, Q5_K",
         {SHAPE(28, 256, 512, 8, 1, 160, 1, 1, 14, 7, true), .matrix = TENSOR_Q5_K},
         TENSOR_Q5_K,
         TENSOR_Q5_1},
        {"3B, Q6_K",
         {SHAPE(28, 256, 512, 8, 1, 160, 0, 0, 14, 7, true), .matrix = TENSOR_Q6_K},
         TENSOR_Q6_K,
         TENSOR_Q8_0},
        {"3B, BF16", {SHAPE(28, 80, 96, 20, 1, 5, 0, 0, 14, 7, true), .matrix = TENSOR_BF16}, TENSOR_BF16, TENSOR_BF16},
    };
    (void)state;
    clear_folder();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct tiny_model *t = &cases[i].t;
        float logits[300];
        assert_int_equal(tiny_model_write(t, in_folder("model.gguf")), 0);
        struct jamba_model *m = opened(cases[i].what, NULL);
        uint32_t n_moe = 0;
        for (uint32_t k = 0; k < t->n_layer; k++) {
            const struct jamba_layer *l = &m->weights.layers[k];
            assert_int_equal(l->is_attention, tiny_is_attention(t, k));
            assert_int_equal(l->is_moe, tiny_is_moe(t, k));
            n_moe += l->is_moe;
            if (l->is_attention) {
                assert_int_equal(l->q->type, cases[i].matrix);
            } else {
                assert_int_equal(l->ssm_in->type, cases[i].matrix);
                if (l->ssm_dt->type != cases[i].dt)
                    fail_msg("%s: ssm_dt is %s", cases[i].what, tensor_type_name(l->ssm_dt->type));
            }
        }
        assert_int_equal(m->config.n_attention_layer, t->n_layer / t->attention_period);
        struct jamba_summary summary;
        jamba_model_summary(m, &summary);
        assert_true(summary.n_parameters == config_parameters(&m->config, n_moe));
        assert_string_equal(summary.types[0].type, tensor_type_name(cases[i].matrix));
        struct jamba_session *s;
        struct error e = {0};
        int32_t ids[N_TOKENS];
        for (int k = 0; k < N_TOKENS; k++) ids[k] = (k * 131 + 7) % 290;
        if (jamba_session_open(&s, m, 64, &e) || jamba_session_prefill(s, ids, N_TOKENS, NULL, &e) ||
            jamba_session_logits(s, logits, &e))
            fail_msg("%s: %s (%s)", cases[i].what, e.message, e.where);
        jamba_session_close(s);
        for (int k = 0; k < 300; k++)
            if (!isfinite(logits[k])) fail_msg("%s: logit %d is not finite", cases[i].what, k);
        jamba_model_close(m);
    }
}

/* A model in shards is the model in one file, also where the first shard holds no tensor. */
static void test_gguf_shards_are_one_model(void **state) {
    struct tiny_model t = {SHAPE(16, 64, 96, 8, 2, 5, 8, 2, 8, 4, false), .matrix = TENSOR_Q8_0};
    float want[300], got[300];
    uint8_t id[32];
    (void)state;
    for (int k = 0; k < 4; k++) {
        struct jamba_session *s;
        struct error e = {0};
        const int32_t ids[] = {7, 138, 269, 110, 241, 82};
        clear_folder();
        t.n_shards = k == 1 ? 2 : k == 2 ? 7 : 4;
        t.bare_first = k == 3;
        if (k == 0) t.n_shards = 0;
        assert_int_equal(
            k ? tiny_model_write_shards(&t, in_folder("mini")) : tiny_model_write(&t, in_folder("mini.gguf")), 0);
        struct jamba_model *m = opened("shards", NULL);
        if (jamba_session_open(&s, m, 64, &e) || jamba_session_prefill(s, ids, 6, NULL, &e) ||
            jamba_session_logits(s, k ? got : want, &e))
            fail_msg("%s (%s)", e.message, e.where);
        jamba_session_close(s);
        if (k == 0) memcpy(id, jamba_model_id(m), 32);
        assert_memory_equal(id, jamba_model_id(m), 32);
        if (k) assert_memory_equal(want, got, sizeof got);
        jamba_model_close(m);
    }
    unlink(in_folder("mini-00003-of-00004.gguf"));
    struct jamba_model *m;
    struct error e = {0};
    assert_int_equal(jamba_model_open(&m, folder, NULL, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.where, "mini-00003-of-00004.gguf"));
}

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/antinomy-published-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}
static int remove_folder(void **state) {
    (void)state;
    clear_folder();
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_configs_give_the_published_model),
        cmocka_unit_test(test_shapes_for_measuring_are_the_published_ones),
        cmocka_unit_test(test_published_layouts_open_and_run),
        cmocka_unit_test(test_layouts_of_the_same_weights_are_the_same_model),
        cmocka_unit_test(test_a_stored_head_of_a_tied_model_changes_nothing),
        cmocka_unit_test(test_a_sessions_memory_is_known_before),
        cmocka_unit_test(test_what_is_not_published_so_is_refused),
        cmocka_unit_test(test_published_shapes_as_gguf),
        cmocka_unit_test(test_gguf_shards_are_one_model),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
