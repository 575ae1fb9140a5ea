/* cuda_plan.c: before anything is loaded: which layers go to which device, what each device will hold, and what context
 * fits. The sums follow what cuda_weights.c, cuda_state.c and cuda_stage.c allocate; bench_gpu prints them beside the
 * measured memory.
 */
#include "engine/jamba/cuda_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESERVE_BYTES                                                                                                  \
    ((uint64_t)512 << 20) /* cuBLAS, modules, states of sessions: kept free, not counted in the total */
#define GEMM_WORKSPACE_BYTES ((uint64_t)64 << 20)
#define GIB(x) ((double)(x) / (1 << 30))

/* cudaMalloc hands out large pieces in steps of 2 MiB, small ones in steps of 512 bytes. */
static uint64_t piece(uint64_t bytes) {
    const uint64_t step = bytes > (1u << 20) ? 2u << 20 : 512;
    return (bytes + step - 1) / step * step;
}
static uint64_t matrix(uint64_t n_out, uint64_t n_in, enum cuda_form form) {
    return form == CUDA_BF16 ? piece(n_out * n_in * 2) : piece(n_out * n_in) + piece(n_out * 4);
}

/* -1: there is none of this name. */
static int form_of(const char *quantize) {
    return !quantize || strcmp(quantize, "none") == 0 ? CUDA_BF16
           : strcmp(quantize, "int8") == 0            ? CUDA_INT8
           : strcmp(quantize, "fp8") == 0             ? CUDA_E4M3
                                                      : -1;
}
/* x_proj gives dt, B and C, on which the state depends step after step, and is a 300th of the work. */
enum cuda_form cuda_form_x_proj(enum cuda_form form) {
    return form == CUDA_E4M3 ? CUDA_BF16 : form;
}
/* Read once a step and in no pass: int8 is as small as e4m3 and nearer. */
enum cuda_form cuda_form_head(enum cuda_form form) {
    return form == CUDA_E4M3 ? CUDA_INT8 : form;
}

void cuda_stage_init(struct cuda_stage *cm, const struct jamba_model *m, int index, int n_stages, uint32_t first,
                     uint32_t end) {
    cm->m = (struct jamba_model *)m;
    cm->index = index;
    cm->is_last = index == n_stages - 1;
    cm->first = first, cm->end = end;
    for (uint32_t i = 0; i < end; i++) {
        const bool attention = m->weights.layers[i].is_attention;
        *(i < first   ? attention ? &cm->first_attention : &cm->first_mamba
          : attention ? &cm->n_attention
                      : &cm->n_mamba) += 1;
    }
}

static uint64_t weights_bytes(const struct cuda_stage *cm, uint64_t *largest_quantised) {
    const struct jamba_config *c = &cm->m->config;
    const struct jamba_weights *w = &cm->m->weights;
    const uint64_t H = c->d_model, I = c->d_ff, D = c->d_inner, R = c->dt_rank, V = c->n_vocab, E = c->n_expert;
    const uint64_t q = (uint64_t)c->n_head * c->head_dim, kv = (uint64_t)c->n_kv_head * c->head_dim;
    const bool tied = w->output == w->token_embd;
    const enum cuda_form form = cm->form, form_x = cuda_form_x_proj(form), form_head = cuda_form_head(form);
    uint64_t sum = cm->index == 0 || (cm->is_last && tied) ? matrix(V, H, CUDA_BF16) : 0, most = 0;
#define MATRIX(N_OUT, N_IN, FORM)                                                                                      \
    do {                                                                                                               \
        sum += matrix((N_OUT), (N_IN), (FORM));                                                                        \
        if ((FORM) != CUDA_BF16 && (N_OUT) * (N_IN) > most) most = (N_OUT) * (N_IN);                                   \
    } while (0)
    if (cm->is_last) sum += piece(H * 4);
    if (cm->is_last && !tied) MATRIX(V, H, form_head);
    for (uint32_t i = cm->first; i < cm->end; i++) {
        const struct jamba_layer *l = &w->layers[i];
        sum += 2 * piece(H * 4);
        if (l->is_attention) {
            MATRIX(q + 2 * kv, H, form);
            MATRIX(H, q, form);
        } else {
            sum += piece(D * c->d_conv * 4) + 3 * piece(D * 4) + piece(D * c->d_state * 4) + piece(R * 4) +
                   2 * piece(c->d_state * 4) + matrix(D, R, CUDA_BF16);
            MATRIX(2 * D, H, form);
            MATRIX(R + 2 * c->d_state, D, form_x);
            MATRIX(H, D, form);
        }
        if (l->is_moe) {
            sum += matrix(E, H, CUDA_BF16) + matrix(2 * I * E, H, form) + matrix(H * E, I, form);
            if (form != CUDA_BF16 && 2 * I * H > most) most = 2 * I * H;
        } else {
            MATRIX(2 * I, H, form);
            MATRIX(H, I, form);
        }
    }
#undef MATRIX
    *largest_quantised = most;
    return sum;
}

/* Work of a layer for one token in the middle of a full context, in operations. */
static double layer_cost(const struct jamba_config *c, const struct jamba_layer *l) {
    const double H = c->d_model, I = c->d_ff, D = c->d_inner, R = c->dt_rank, q = (double)c->n_head * c->head_dim,
                 kv = (double)c->n_kv_head * c->head_dim;
    double mixer =
        l->is_attention ? 2 * H * (2 * q + 2 * kv) + 2 * q * c->context_length : 2 * D * (3 * H + 2 * R + 32) + 150 * D;
    return mixer + 6 * H * I * (l->is_moe ? c->n_expert_used : 1);
}

static void cut(uint32_t border[CUDA_MAX_STAGES + 1], int n, const struct jamba_model *m) {
    const uint32_t L = m->config.n_layer;
    double total = 0, sum = 0;
    int k = 1;
    for (uint32_t i = 0; i < L; i++) total += layer_cost(&m->config, &m->weights.layers[i]);
    border[0] = 0;
    for (uint32_t i = 0; i < L && k < n; i++) {
        double cost = layer_cost(&m->config, &m->weights.layers[i]), goal = total * k / n;
        /* the border before layer i, when adding it would miss the goal by more than leaving it out; every stage gets a
         * layer */
        if (i > border[k - 1] && (sum + cost - goal > goal - sum || L - i <= (uint32_t)(n - k))) border[k++] = i;
        sum += cost;
    }
    border[n] = L;
}

static int parse_devices(int device[CUDA_MAX_STAGES], int *n, const char *option, struct error *e) {
    const int count = cuda_device_count();
    *n = 0;
    if (count == 0)
        return error_set(e, ERR_DEVICE, "cuda", "No GPU is available: no NVIDIA driver or no device was found.");
    if (strcmp(option, "all") == 0)
        for (; *n < count && *n < CUDA_MAX_STAGES; (*n)++) device[*n] = *n;
    for (const char *p = *n ? "" : option; *p;) {
        char *end;
        long d = strtol(p, &end, 10);
        if (end == p || d < 0 || d >= count || (*end && *end != ','))
            return error_set(e, ERR_ARG, option,
                             "The GPUs are numbers from 0 to %d with commas between them, as in cuda:0,1, or cuda:all.",
                             count - 1);
        if (*n == CUDA_MAX_STAGES)
            return error_set(e, ERR_LIMIT, option, "A model can be spread over at most %d GPUs.", CUDA_MAX_STAGES);
        device[(*n)++] = (int)d;
        p = *end ? end + 1 : end;
    }
    return *n ? 0 : error_set(e, ERR_ARG, option, "Behind cuda: no GPU is named; cuda:0,1 or cuda:all would be.");
}

/* Of all sessions together: the context, and a page for each of some forks. */
static uint32_t n_positions(const struct jamba_model *m, const struct jamba_model_options *o) {
    return o->kv_tokens ? o->kv_tokens : m->config.context_length + 32 * CUDA_KV_PAGE;
}

static int plan_on(struct cuda_plan plan[CUDA_MAX_STAGES], int n, const int *device, const struct jamba_model *m,
                   const struct jamba_model_options *o, struct error *e) {
    const struct jamba_config *c = &m->config;
    const uint32_t positions = n_positions(m, o);
    const uint64_t kv_layer = 4ull * c->n_kv_head * c->head_dim; /* bytes a position and attention layer */
    uint32_t border[CUDA_MAX_STAGES + 1];
    if ((uint32_t)n > c->n_layer)
        return error_set(e, ERR_ARG, "cuda", "The model has fewer layers than GPUs were named.");
    struct cuda_stage *st = calloc((size_t)n, sizeof *st);
    if (!st) return error_set(e, ERR_NOMEM, "", "There is no memory for the model.");
    cut(border, n, m);
    size_t rows = n > 1 ? CUDA_PIPELINE_CHUNK : CUDA_MAX_CHUNK;
    if (rows > positions) rows = (positions + 127) / 128 * 128;
    int rc = 0, short_of = -1;
    for (int k = 0; !rc && k < n; k++) {
        struct cuda_plan *p = &plan[k];
        size_t f = 0, t = 0;
        uint64_t most = 0;
        *p = (struct cuda_plan){.device = device[k],
                                .first = border[k],
                                .end = border[k + 1],
                                .positions = positions,
                                .reserve = RESERVE_BYTES};
        cuda_stage_init(&st[k], m, k, n, border[k], border[k + 1]);
        st[k].form = p->form = (enum cuda_form)form_of(o->quantize);
        rc = cuda_device_use(device[k], p->name, &f, &t, e);
        p->free = f;
        p->weights = weights_bytes(&st[k], &most);
        p->scratch = piece(most * 2) + GEMM_WORKSPACE_BYTES;
        if (st[k].n_attention)
            p->scratch +=
                piece(cuda_attention_decode_scratch(CUDA_STEP_ROWS, (int)c->n_head, (int)c->head_dim, (int)positions));
        p->kv = piece((uint64_t)(positions + CUDA_KV_PAGE - 1) / CUDA_KV_PAGE * CUDA_KV_PAGE * kv_layer *
                      st[k].n_attention);
    }
    while (!rc) { /* a smaller workspace only means more passes */
        short_of = -1;
        for (int k = 0; k < n; k++) {
            uint64_t others = 0;
            plan[k].chunk_rows = (uint32_t)rows;
            plan[k].workspace = cuda_stage_workspace(&st[k], rows);
            plan[k].total = plan[k].weights + plan[k].kv + plan[k].scratch + plan[k].workspace;
            for (int j = 0; j < k; j++)
                if (device[j] == device[k]) others += plan[j].total;
            if (others + plan[k].total + RESERVE_BYTES > plan[k].free) short_of = k;
            uint64_t fixed = others + plan[k].total - plan[k].kv + RESERVE_BYTES,
                     left = plan[k].free > fixed ? plan[k].free - fixed : 0;
            uint64_t most = st[k].n_attention ? left / (kv_layer * st[k].n_attention) : UINT32_MAX;
            plan[k].max_positions = most > UINT32_MAX ? UINT32_MAX : (uint32_t)most;
        }
        if (short_of < 0 || rows <= 128) break;
        rows /= 2;
    }
    if (!rc && short_of >= 0) {
        const struct cuda_plan *p = &plan[short_of];
        rc = error_set(e, ERR_NOMEM, p->name,
                       "The model does not fit: %.1f GiB of weights, %.1f for %u tokens of context and %.1f to work in "
                       "are needed, %.1f GiB are free. "
                       "%s, ask for a shorter context or name more GPUs.",
                       GIB(p->weights), GIB(p->kv), positions, GIB(p->scratch + p->workspace + RESERVE_BYTES),
                       GIB(p->free), st[0].form != CUDA_BF16 ? "Close what else runs there" : "Load it as int8");
    }
    free(st);
    return rc;
}

/* No device was named: the first card that holds the model and its context and works in passes of full size; else the
 * one with the largest passes; else all cards together. A card is not touched before it is needed. */
static int plan_unnamed(struct cuda_plan plan[CUDA_MAX_STAGES], int *n_stages, const struct jamba_model *m,
                        const struct jamba_model_options *o, struct error *e) {
    int device[CUDA_MAX_STAGES], best = -1, n, rc = parse_devices(device, &n, "all", e), failed = 0;
    uint32_t rows = 0;
    const uint32_t full = n_positions(m, o) < CUDA_MAX_CHUNK ? n_positions(m, o) : CUDA_MAX_CHUNK;
    struct error why = {0}, now;
    for (int d = 0; !rc && d < n && rows < full; d++) {
        const int one = plan_on(plan, 1, &device[d], m, o, &now);
        if (one && !failed) failed = one, why = now; /* what the first card says */
        if (!one && plan[0].chunk_rows > rows) rows = plan[0].chunk_rows, best = d;
    }
    if (rc) return rc;
    *n_stages = best >= 0 ? 1 : n;
    if (best >= 0) return plan_on(plan, 1, &device[best], m, o, e);
    if (failed == ERR_NOMEM && n > 1 && (uint32_t)n > m->config.n_layer) *n_stages = n = (int)m->config.n_layer;
    if (failed == ERR_NOMEM && n > 1) return plan_on(plan, n, device, m, o, e);
    if (e) *e = why;
    return failed;
}

int cuda_plan_make(struct cuda_plan plan[CUDA_MAX_STAGES], int *n_stages, const struct jamba_model *m,
                   const struct jamba_model_options *o, struct error *e) {
    int device[CUDA_MAX_STAGES];
    const bool named = o->device && strncmp(o->device, "cuda:", 5) == 0;
    if (form_of(o->quantize) < 0)
        return error_set(e, ERR_ARG, o->quantize,
                         "There is no quantisation of this name on a GPU; \"none\", \"int8\" and \"fp8\" can be.");
    if (!named) return plan_unnamed(plan, n_stages, m, o, e);
    int rc = parse_devices(device, n_stages, o->device + 5, e);
    return rc ? rc : plan_on(plan, *n_stages, device, m, o, e);
}
