/* test_cuda_golden.c: the eight random checkpoints of tests/golden/checkpoints through the CUDA backend, layer by
 * layer. They are small and odd (head_dim 8, d_state 4, dt_rank 3 and 5, d_ff 48, 2 to 4 experts), so they also test
 * what cuda_pad.c does about it.
 *
 * transformers computed in f32; the GPU keeps weights and activations in bf16. So there is a reference between the two
 * here, a plain forward pass that rounds where the GPU rounds, or nowhere: without rounding it must give what
 * transformers gave (tested everywhere), with rounding what the GPU gives (tested where there is one). Without a GPU
 * the rest is skipped; REQUIRE_GPU=1 makes that a failure.
 */
#include "tests/unit/cuda_fixture.h"

#ifdef ANTINOMY_CUDA
#include "engine/jamba/cuda_backend.h"
#else
#include "engine/jamba/cuda_pad.c" /* host code: it is tested in every build */
#endif

#define GOLDEN "tests/golden/checkpoints/"
static const char *const names[] = {"dense",     "dense_tied",  "mqa",       "mha_dt5", "moe_with_attention",
                                    "moe_fused", "bf16_shards", "conv3_top1"};
#define N_NAMES (sizeof names / sizeof names[0])

/* ---- a checkpoint and what transformers computed ---- */
struct golden {
    struct jamba_model *m;
    struct buf file;
    const int32_t *ids;
    size_t n_tokens, n_layer, d_model, n_vocab;
    const float *hidden, *logits; /* [n_layer + 2][n_tokens][d_model], [n_vocab] */
};
static void golden_open(struct golden *g, const char *name, const char *device) {
    struct jamba_model_options o = {.device = device, .path = "scalar", .n_threads = 1, .kv_tokens = 4096};
    char path[200];
    *g = (struct golden){0};
    snprintf(path, sizeof path, GOLDEN "%s/expected.bin", name);
    OK(file_read(path, 4 << 20, &g->file, &err));
    const int32_t *head = (const int32_t *)(const void *)g->file.data;
    g->n_tokens = (size_t)head[0], g->n_layer = (size_t)head[1], g->d_model = (size_t)head[2];
    g->n_vocab = (size_t)head[3], g->ids = head + 4;
    g->hidden = (const float *)(const void *)(g->ids + g->n_tokens);
    g->logits = g->hidden + (g->n_layer + 2) * g->n_tokens * g->d_model;
    snprintf(path, sizeof path, GOLDEN "%s", name);
    if (jamba_model_open(&g->m, path, &o, &err)) fail_msg("%s on %s: %s (%s)", name, device, err.message, err.where);
}
static void golden_close(struct golden *g) {
    jamba_model_close(g->m);
    buf_free(&g->file);
}

/* ---- the plain forward pass ---- */
struct plain {
    const struct golden *g;
    bool rounds;    /* to bf16, where the GPU does */
    bool steps;     /* where its decode kernels do: they take gate and up from the sums, unrounded */
    double *hidden; /* [n_layer + 1][n_tokens][d_model]: behind the embedding, each layer */
    double *logits; /* [n_vocab] */
};
static double rounded(const struct plain *p, double v) {
    float f = (float)v;
    uint32_t u;
    if (!p->rounds) return v;
    memcpy(&u, &f, 4);
    u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u;
    memcpy(&f, &u, 4);
    return (double)f;
}
static double sigmoid(double v) {
    return 1 / (1 + exp(-v));
}
/* y[n_out] (+)= x[n_in] W^T for matrix `expert` of t. */
static void product(const struct plain *p, const struct tensor *t, size_t expert, const double *x, double *y, bool add,
                    double weight) {
    float row[4096];
    for (uint64_t o = 0; o < t->ne[1]; o++) {
        double s = 0;
        tensor_row_to_f32(t->type, (const char *)tensor_matrix(t, expert) + o * tensor_row_bytes(t->type, t->ne[0]),
                          row, t->ne[0]);
        for (uint64_t i = 0; i < t->ne[0]; i++) s += x[i] * rounded(p, (double)row[i]);
        y[o] = add ? y[o] + weight * s : s;
    }
}
static void round_all(const struct plain *p, double *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = rounded(p, x[i]);
}
static void rms_norm(const struct plain *p, const double *x, const float *w, double *y, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += x[i] * x[i];
    s = 1 / sqrt(s / (double)n + (double)p->g->m->config.rms_norm_eps);
    for (size_t i = 0; i < n; i++) y[i] = x[i] * s * (double)w[i];
}
static const float *values(const struct tensor *t) {
    assert_int_equal(t->type, TENSOR_F32);
    return t->data;
}

static void plain_mamba(const struct plain *p, const struct jamba_layer *l, const double *x, double *h) {
    const struct jamba_config *c = &p->g->m->config;
    const size_t T = p->g->n_tokens, D = c->d_inner, N = c->d_state, R = c->dt_rank, K = c->d_conv, H = c->d_model;
    double *xz = calloc(T * 2 * D, 8), *state = calloc(D * N, 8), *u = calloc(D, 8), *y = calloc(D, 8),
           *dbc = calloc(R + 2 * N, 8), *dt = calloc(D, 8);
    const float *conv = values(l->ssm_conv1d), *bias = values(l->ssm_conv1d_bias), *A = values(l->ssm_a),
                *skip = values(l->ssm_d), *dt_bias = values(l->ssm_dt_bias);
    for (size_t t = 0; t < T; t++) {
        product(p, l->ssm_in, 0, x + t * H, xz + t * 2 * D, false, 0);
        round_all(p, xz + t * 2 * D, 2 * D);
        for (size_t i = 0; i < D; i++) {
            double v = (double)bias[i];
            for (size_t j = 0; j < K; j++)
                if (t + j + 1 >= K) v += (double)conv[i * K + j] * xz[(t + j + 1 - K) * 2 * D + i];
            u[i] = rounded(p, v * sigmoid(v));
        }
        product(p, l->ssm_x, 0, u, dbc, false, 0);
        rms_norm(p, dbc, values(l->ssm_dt_norm), dbc, R);
        rms_norm(p, dbc + R, values(l->ssm_b_norm), dbc + R, N);
        rms_norm(p, dbc + R + N, values(l->ssm_c_norm), dbc + R + N, N);
        round_all(p, dbc, R);
        product(p, l->ssm_dt, 0, dbc, dt, false, 0);
        round_all(p, dt, D);
        for (size_t i = 0; i < D; i++) {
            const double raw = dt[i] + (double)dt_bias[i], delta = raw > 20 ? raw : log1p(exp(raw)),
                         z = xz[t * 2 * D + D + i];
            double v = (double)skip[i] * u[i];
            for (size_t n = 0; n < N; n++) {
                double *s = &state[i * N + n];
                *s = exp(delta * (double)A[i * N + n]) * *s + delta * dbc[R + n] * u[i];
                v += *s * dbc[R + N + n];
            }
            y[i] = rounded(p, v * z * sigmoid(z));
        }
        product(p, l->ssm_out, 0, y, h + t * H, true, 1);
    }
    free(xz), free(state), free(u), free(y), free(dbc), free(dt);
}

static void plain_attention(const struct plain *p, const struct jamba_layer *l, const double *x, double *h) {
    const struct jamba_config *c = &p->g->m->config;
    const size_t T = p->g->n_tokens, d = c->head_dim, q = c->n_head * d, kv = c->n_kv_head * d, H = c->d_model;
    double *Q = calloc(T * q, 8), *K = calloc(T * kv, 8), *V = calloc(T * kv, 8), *o = calloc(q, 8), s[64];
    for (size_t t = 0; t < T; t++) {
        product(p, l->q, 0, x + t * H, Q + t * q, false, 0);
        product(p, l->k, 0, x + t * H, K + t * kv, false, 0);
        product(p, l->v, 0, x + t * H, V + t * kv, false, 0);
        round_all(p, Q + t * q, q), round_all(p, K + t * kv, kv), round_all(p, V + t * kv, kv);
        for (size_t a = 0; a < c->n_head; a++) {
            const size_t g = a / (c->n_head / c->n_kv_head) * d;
            double most = -INFINITY, sum = 0;
            for (size_t j = 0; j <= t; j++) {
                s[j] = 0;
                for (size_t i = 0; i < d; i++) s[j] += Q[t * q + a * d + i] * K[j * kv + g + i];
                s[j] /= sqrt((double)d);
                most = fmax(most, s[j]);
            }
            for (size_t j = 0; j <= t; j++) sum += s[j] = exp(s[j] - most);
            for (size_t i = 0; i < d; i++) {
                double v = 0;
                for (size_t j = 0; j <= t; j++) v += rounded(p, s[j]) * V[j * kv + g + i];
                o[a * d + i] = rounded(p, v / sum);
            }
        }
        product(p, l->o, 0, o, h + t * H, true, 1);
    }
    free(Q), free(K), free(V), free(o);
}

static void plain_ffn(const struct plain *p, const struct jamba_layer *l, const double *x, double *h) {
    const struct jamba_config *c = &p->g->m->config;
    const size_t I = c->d_ff, E = l->is_moe ? c->n_expert : 1, H = c->d_model;
    double *gate = calloc(I, 8), *up = calloc(I, 8), *out = calloc(H, 8), score[64], sum = 0, most = -INFINITY;
    for (size_t t = 0; t < p->g->n_tokens; t++) {
        const double *row = x + t * H;
        bool taken[64] = {false};
        if (l->is_moe) {
            product(p, l->ffn_router, 0, row, score, false, 0);
            most = -INFINITY, sum = 0;
            for (size_t i = 0; i < E; i++) most = fmax(most, score[i]);
            for (size_t i = 0; i < E; i++) sum += score[i] = exp(score[i] - most);
        }
        for (size_t k = 0; k < (l->is_moe ? c->n_expert_used : 1); k++) {
            size_t best = 0;
            if (l->is_moe)
                for (size_t i = 1; i < E; i++)
                    if (taken[best] || (!taken[i] && score[i] > score[best])) best = i;
            taken[best] = true;
            product(p, l->is_moe ? l->ffn_gate_exps : l->ffn_gate, best, row, gate, false, 0);
            product(p, l->is_moe ? l->ffn_up_exps : l->ffn_up, best, row, up, false, 0);
            for (size_t i = 0; i < I; i++) {
                const double a = p->steps ? gate[i] : rounded(p, gate[i]), b = p->steps ? up[i] : rounded(p, up[i]);
                gate[i] = rounded(p, a * sigmoid(a) * b);
            }
            product(p, l->is_moe ? l->ffn_down_exps : l->ffn_down, best, gate, out, false, 0);
            if (l->is_moe) round_all(p, out, H);
            for (size_t i = 0; i < H; i++) h[t * H + i] += (l->is_moe ? score[best] / sum : 1) * out[i];
        }
    }
    free(gate), free(up), free(out);
}

static void plain_open(struct plain *p, const struct golden *g, bool rounds, bool steps) {
    const struct jamba_model *m = g->m;
    const size_t T = g->n_tokens, H = g->d_model;
    *p = (struct plain){g, rounds, steps, calloc((g->n_layer + 1) * T * H, 8), calloc(g->n_vocab, 8)};
    double *x = calloc(T * H, 8), *h = p->hidden;
    float row[4096];
    assert_true(p->hidden && p->logits && x && T <= 64 && H <= 4096);
    for (size_t t = 0; t < T; t++) {
        const struct tensor *e = m->weights.token_embd;
        tensor_row_to_f32(e->type, (const char *)e->data + (size_t)g->ids[t] * tensor_row_bytes(e->type, e->ne[0]), row,
                          H);
        for (size_t i = 0; i < H; i++) h[t * H + i] = rounded(p, (double)row[i]);
    }
    for (size_t k = 0; k < g->n_layer; k++) {
        const struct jamba_layer *l = &m->weights.layers[k];
        memcpy(h + T * H, h, T * H * 8);
        h += T * H;
        for (size_t t = 0; t < T; t++) rms_norm(p, h + t * H, values(l->attn_norm), x + t * H, H);
        round_all(p, x, T * H);
        if (l->is_attention)
            plain_attention(p, l, x, h);
        else
            plain_mamba(p, l, x, h);
        for (size_t t = 0; t < T; t++) rms_norm(p, h + t * H, values(l->ffn_norm), x + t * H, H);
        round_all(p, x, T * H);
        plain_ffn(p, l, x, h);
    }
    rms_norm(p, h + (T - 1) * H, values(m->weights.output_norm), x, H);
    round_all(p, x, H);
    product(p, m->weights.output, 0, x, p->logits, false, 0);
    free(x);
}
static void plain_close(struct plain *p) {
    free(p->hidden), free(p->logits);
}

static double off_d(const double *a, const float *b, size_t n) { /* 2-norm of the difference over that of b */
    double d = 0, all = 0;
    for (size_t i = 0; i < n; i++)
        d += (a[i] - (double)b[i]) * (a[i] - (double)b[i]), all += (double)b[i] * (double)b[i];
    return sqrt(d / all);
}

/* ---- everywhere ---- */
static void test_the_plain_pass_computes_what_transformers_does(void **state) {
    (void)state;
    for (size_t i = 0; i < N_NAMES; i++) {
        struct golden g;
        struct plain p, q;
        golden_open(&g, names[i], "cpu");
        const size_t n = g.n_tokens * g.d_model;
        plain_open(&p, &g, false, false);
        plain_open(&q, &g, true, false);
        for (size_t k = 0; k <= g.n_layer; k++) {
            const double off = off_d(p.hidden + k * n, g.hidden + k * n, n);
            if (!(off <= 1e-5)) fail_msg("%s: behind layer %zu the plain pass is off by %g", names[i], k, off);
        }
        assert_true(off_d(p.logits, g.logits, g.n_vocab) <= 1e-5);
        print_message("%s: rounding to bf16 moves the last layer by %.1e, the logits by %.1e\n", names[i],
                      off_d(q.hidden + g.n_layer * n, g.hidden + g.n_layer * n, n),
                      off_d(q.logits, g.logits, g.n_vocab));
        plain_close(&p), plain_close(&q);
        golden_close(&g);
    }
}

/* Values where cuda_pad.c says, zeros elsewhere. */
static void test_padding_adds_zeros_and_moves_nothing_else(void **state) {
    (void)state;
    for (size_t i = 0; i < N_NAMES; i++) {
        struct golden g;
        golden_open(&g, names[i], "cpu");
        const struct jamba_config *c = &g.m->config;
        struct jamba_model wide = {0};
        struct jamba_model_options o = {0};
        OK(cuda_pad_model(&wide, g.m, &o, &err));
        assert_int_equal(wide.config.head_dim, 64);
        assert_int_equal(wide.config.d_state, 16);
        assert_int_equal(wide.config.dt_rank, 16);
        assert_int_equal(wide.config.d_ff, 64);
        assert_ptr_equal(wide.weights.token_embd, g.m->weights.token_embd);
        for (uint32_t k = 0; k < c->n_layer; k++) {
            const struct jamba_layer *a = &g.m->weights.layers[k], *b = &wide.weights.layers[k];
            const struct tensor *from[] = {a->q,
                                           a->k,
                                           a->v,
                                           a->o,
                                           a->ssm_x,
                                           a->ssm_dt,
                                           a->ssm_dt_norm,
                                           a->ssm_a,
                                           a->ssm_b_norm,
                                           a->ssm_c_norm,
                                           a->ffn_gate,
                                           a->ffn_down,
                                           a->ffn_up,
                                           a->ffn_up_exps,
                                           a->ffn_gate_exps,
                                           a->ffn_down_exps},
                                *to[] = {b->q,
                                         b->k,
                                         b->v,
                                         b->o,
                                         b->ssm_x,
                                         b->ssm_dt,
                                         b->ssm_dt_norm,
                                         b->ssm_a,
                                         b->ssm_b_norm,
                                         b->ssm_c_norm,
                                         b->ffn_gate,
                                         b->ffn_down,
                                         b->ffn_up,
                                         b->ffn_up_exps,
                                         b->ffn_gate_exps,
                                         b->ffn_down_exps};
            for (size_t t = 0; t < sizeof to / sizeof to[0]; t++) {
                double sums[2] = {0, 0};
                size_t nonzero[2] = {0, 0};
                for (int side = 0; side < 2; side++) {
                    const struct tensor *w = side ? to[t] : from[t];
                    float row[4096];
                    for (uint64_t r = 0; w && r < w->ne[1] * w->ne[2]; r++) {
                        tensor_row_to_f32(w->type,
                                          (const char *)tensor_matrix(w, r / w->ne[1]) +
                                              r % w->ne[1] * tensor_row_bytes(w->type, w->ne[0]),
                                          row, w->ne[0]);
                        for (uint64_t x = 0; x < w->ne[0]; x++)
                            sums[side] += fabs((double)row[x]), nonzero[side] += row[x] != 0;
                    }
                }
                assert_int_equal(nonzero[0], nonzero[1]);
                assert_true(fabs(sums[0] - sums[1]) <= 1e-9 * sums[0]);
            }
            float was[4096], is[4096];
            const uint32_t d = c->head_dim, R = c->dt_rank, N = c->d_state, D = c->d_inner;
            if (a->is_attention) { /* the last head's second row of q; the same place in the columns of o */
                const uint32_t head = c->n_head - 1;
                const uint64_t bytes = tensor_row_bytes(a->q->type, a->q->ne[0]);
                tensor_row_to_f32(a->q->type, (const char *)a->q->data + (head * d + 1) * bytes, was, c->d_model);
                assert_memory_equal(was, (const float *)b->q->data + (head * 64 + 1) * c->d_model, c->d_model * 4);
                tensor_row_to_f32(a->o->type, a->o->data, was, a->o->ne[0]);
                tensor_row_to_f32(b->o->type, b->o->data, is, b->o->ne[0]);
                assert_true(was[head * d + 1] == is[head * 64 + 1]);
            } else { /* the first row of C in x_proj, the last of A */
                tensor_row_to_f32(a->ssm_x->type,
                                  (const char *)a->ssm_x->data + (R + N) * tensor_row_bytes(a->ssm_x->type, D), was, D);
                assert_memory_equal(was, (const float *)b->ssm_x->data + (16 + 16) * D, D * 4);
                assert_memory_equal((const float *)a->ssm_a->data + (D - 1) * N,
                                    (const float *)b->ssm_a->data + (D - 1) * 16, N * 4);
            }
        }
        arena_free(&wide.arena);
        golden_close(&g);
    }
}

static void test_what_no_padding_helps_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *word;
        uint32_t head_dim, d_state, dt_rank, d_model, d_conv, n_expert;
        const char *quantize;
    } cases[] = {{"head dimensions", 192, 16, 16, 64, 4, 1, NULL}, {"d_state", 64, 32, 16, 64, 4, 1, NULL},
                 {"dt_rank", 64, 16, 1024, 64, 4, 1, NULL},        {"d_model", 64, 16, 16, 48, 4, 1, NULL},
                 {"quantised", 64, 16, 16, 96, 4, 1, "int8"},      {"taps", 64, 16, 16, 64, 5, 1, NULL},
                 {"experts", 64, 16, 16, 64, 4, 65, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jamba_model m = {.config = {.n_layer = 0,
                                           .n_attention_layer = 1,
                                           .n_head = 1,
                                           .n_kv_head = 1,
                                           .d_ff = 64,
                                           .head_dim = cases[i].head_dim,
                                           .d_state = cases[i].d_state,
                                           .dt_rank = cases[i].dt_rank,
                                           .d_model = cases[i].d_model,
                                           .d_inner = 2 * cases[i].d_model,
                                           .d_conv = cases[i].d_conv,
                                           .n_expert = cases[i].n_expert,
                                           .n_expert_used = 1}},
                           out = {0};
        struct jamba_model_options o = {.quantize = cases[i].quantize};
        assert_int_equal(cuda_pad_model(&out, &m, &o, &err), ERR_UNSUPPORTED);
        if (!strstr(err.message, cases[i].word)) fail_msg("\"%s\" should speak of %s", err.message, cases[i].word);
    }
}

/* ---- on a GPU ---- */
#ifdef ANTINOMY_CUDA
static struct trace {
    float *rows;
    size_t n_tokens, d_model, seen;
    int n_layer, next, misplaced; /* next: the layer that comes next */
} trace;
static void keep_layer(void *ctx, int layer, const float *rows, size_t n_rows) {
    struct trace *t = ctx;
    if (layer != t->next || t->seen + n_rows > t->n_tokens) { /* written nowhere: its zeros are off by everything */
        t->misplaced++;
        return;
    }
    t->next = layer + 1 < t->n_layer ? layer + 1 : -1;
    memcpy(t->rows + ((size_t)(layer + 1) * t->n_tokens + t->seen) * t->d_model, rows, n_rows * t->d_model * 4);
}
/* The whole text in one pass of prefill, or token by token through the decode kernels. */
static void check_on_gpu(const char *name, const char *where, bool steps) {
    struct golden g, cpu;
    struct plain p;
    struct jamba_session *s;
    golden_open(&cpu, name, "cpu");
    golden_open(&g, name, where);
    plain_open(&p, &cpu, true, steps);
    const size_t T = g.n_tokens, H = g.d_model, n = T * H;
    float *logits = malloc(g.n_vocab * 4);
    trace = (struct trace){calloc((g.n_layer + 1) * n, 4), T, H, 0, (int)g.n_layer, -1, 0};
    assert_true(trace.rows && logits);
    OK(jamba_session_open(&s, g.m, 64, &err));
    jamba_trace = (struct jamba_trace){keep_layer, &trace};
    for (; trace.seen < T; trace.seen += steps ? 1 : T)
        OK(jamba_session_prefill(s, g.ids + trace.seen, steps ? 1 : T, NULL, &err));
    jamba_trace = (struct jamba_trace){0};
    assert_int_equal(trace.misplaced, 0);
    assert_int_equal(trace.next, -1);
    OK(jamba_session_logits(s, logits, &err));
    /* Sums in another order end on the other side of a bf16 border now and then: 2^-9 of one value among 32; then what
     * is made of it is rounded otherwise too, and a few layers of such weights carry it on. Where a router stands
     * between two experts such a step may turn it. So the two passes come apart, by less than either is from f32: half
     * of that is the limit. A factor or a column wrong somewhere is off by 0.1 and more. */
    double worst = off_d(p.logits, logits, g.n_vocab), most = off_d(p.logits, g.logits, g.n_vocab);
    for (size_t k = 0; k <= g.n_layer; k++) {
        worst = fmax(worst, off_d(p.hidden + k * n, trace.rows + k * n, n));
        most = fmax(most, off_d(p.hidden + k * n, g.hidden + k * n, n));
    }
    for (size_t k = 0; k <= g.n_layer; k++)
        print_message("%s, %s, %s: behind layer %zu %.1e from the pass that rounds alike, which is %.1e from f32\n",
                      name, where, steps ? "steps" : "prefill", k, off_d(p.hidden + k * n, trace.rows + k * n, n),
                      off_d(p.hidden + k * n, g.hidden + k * n, n));
    print_message("%s, %s, %s: logits %.1e, %.1e\n", name, where, steps ? "steps" : "prefill",
                  off_d(p.logits, logits, g.n_vocab), off_d(p.logits, g.logits, g.n_vocab));
    if (!(worst <= 0.5 * most)) fail_msg("%s: off by %g, limit %g", name, worst, 0.5 * most);
    jamba_session_close(s);
    plain_close(&p);
    golden_close(&g), golden_close(&cpu);
    free(trace.rows), free(logits);
}
static void test_checkpoints_on_a_gpu_equal_the_pass_that_rounds_alike(void **state) {
    (void)state;
    if (!device()) return;
    for (size_t i = 0; i < N_NAMES; i++) check_on_gpu(names[i], "cuda", false);
}
static void test_checkpoints_step_by_step_too(void **state) {
    (void)state;
    if (!device()) return;
    for (size_t i = 0; i < N_NAMES; i++) check_on_gpu(names[i], "cuda", true);
}
static void test_checkpoints_in_two_stages_too(void **state) {
    (void)state;
    if (!device()) return;
    for (size_t i = 0; i < N_NAMES; i++) check_on_gpu(names[i], "cuda:0,0", false);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_plain_pass_computes_what_transformers_does),
        cmocka_unit_test(test_padding_adds_zeros_and_moves_nothing_else),
        cmocka_unit_test(test_what_no_padding_helps_is_refused),
#ifdef ANTINOMY_CUDA
        cmocka_unit_test(test_checkpoints_on_a_gpu_equal_the_pass_that_rounds_alike),
        cmocka_unit_test(test_checkpoints_step_by_step_too),
        cmocka_unit_test(test_checkpoints_in_two_stages_too),
#endif
    };
    if (getenv("ONLY")) cmocka_set_test_filter(getenv("ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
