/* cpu.h: inside the CPU backend only (cpu.c, state.c): the repacked model, and what a session's state is on the CPU. */
#ifndef ANTINOMY_JAMBA_CPU_H
#define ANTINOMY_JAMBA_CPU_H

#include "engine/jamba/model.h"
#include "engine/jamba/quantize.h"
#include "kernels/kernels.h"

#include <stdatomic.h>

/* Rows of one forward call at most; a prefill is cut into chunks of this. 256 rows keep a layer's activations (about 10
 * MB) near the processor while the unpacking of weights is spread over enough rows. */
#define CPU_MAX_ROWS 256

struct cpu_layer {
    struct kernel_matrix q, k, v, o;
    struct kernel_matrix ssm_in, ssm_x, ssm_dt, ssm_out;
    float *conv1d;                       /* [d_conv, d_inner] */
    float *a;                            /* [d_state, d_inner] */
    struct kernel_matrix gate, up, down; /* dense */
    struct kernel_matrix router;
    struct kernel_matrix *experts; /* [n_expert][3]: gate, up, down */
};

/* ---- KV pages: KERNEL_KV_PAGE positions of all attention layers; shared between forks, copied before a shared one is
 * written ---- */
struct kv_page {
    atomic_int refs;
    struct kv_slab *slab;
    void *data;
    struct kv_page *next_free;
    bool used; /* its memory may hold something: cleared before the next owner gets it */
};
struct kv_slab {
    struct kv_slab *next;
    size_t n_pages, n_free;
    char *memory;
    struct kv_page pages[];
};
/* Sessions reserve the pages of their max_tokens when they are opened (address space; the system gives memory on first
 * use), so that a decode step never allocates. */
struct kv_pool {
    pthread_mutex_t mutex;
    size_t page_bytes, reserved, total; /* pages promised; pages in slabs */
    uint64_t budget, charged;           /* bytes: what all sessions may take (0: no limit); states, and pages in use or
                                           granted for the call that runs, a shared page once */
    struct kv_slab *slabs;
    struct kv_page *free;
};
void kv_pool_init(struct kv_pool *p); /* then set page_bytes, a multiple of 4096 */
void kv_pool_close(struct kv_pool *p);

struct cpu_model {
    struct jamba_model *m;
    struct kernel_device *dev;
    struct kernel_source embedding;
    struct kernel_matrix head;
    struct cpu_layer *layers;
    uint64_t bytes;
    struct quantized quantized; /* what option quantize made; the matrices that are not repacked are read there */
    char path[64];              /* the device's, and "+int8" or "+q4" where that changed a matrix */
    struct kv_pool pool;
    size_t layer_kv_bytes; /* of one attention layer in a page */

    /* scratch of one forward call, [CPU_MAX_ROWS, ...] */
    struct kernel_rows rows;
    float *x, *h;        /* residual stream; normed or mixed rows */
    float *wide;         /* xz | qkv | gate, up */
    float *u, *dt, *dbc; /* conv output and scan output; dt; (dt, B, C) */
    float *logits, *max; /* [rows, LOGITS_PIECE]; [rows] */
    double *sum;
    float *target;
    float *router_logits, *router_weight, *expert_in, *expert_out, *expert_weight;
    int32_t *router_expert, *expert_rows;
    size_t wide_ld, u_ld, dbc_ld, h_ld;
};

struct cpu_state {
    uint32_t n_tokens, max_tokens;
    bool has_last;
    float *conv; /* [n_mamba][d_conv - 1][d_inner] raw inputs, oldest first */
    float *ssm;  /* [n_mamba][d_state][d_inner] */
    float *last; /* [d_model]: final-norm hidden state of the last token */
    struct kv_page **pages;
    void **page_data; /* [n_pages]: pages[i]->data, as the kernels want it */
    size_t n_pages, max_pages;
    size_t granted;         /* pages charged for the call that runs and not taken yet */
    uint64_t charged_bytes; /* of the state itself */
};

static inline size_t cpu_n_mamba(const struct jamba_config *c) {
    return c->n_layer - c->n_attention_layer;
}
static inline size_t cpu_conv_floats(const struct jamba_config *c) { /* a layer's */
    return (size_t)(c->d_conv - 1) * c->d_inner;
}
static inline size_t cpu_ssm_floats(const struct jamba_config *c) {
    return (size_t)c->d_state * c->d_inner;
}

int cpu_state_open(void **state, void *ctx, uint32_t max_tokens, struct error *e);
int cpu_state_fork(void **out, void *ctx, const void *state, struct error *e);
void cpu_state_close(void *ctx, void *state);
uint64_t cpu_state_bytes(void *ctx, const void *state, uint32_t n_tokens);
int cpu_state_write(void *ctx, const void *state, uint32_t n_tokens, int (*put)(void *, const void *, size_t),
                    void *put_ctx, struct error *e);
int cpu_state_read(void *ctx, void *state, uint32_t n_tokens, int (*get)(void *, void *, size_t, uint64_t), void *get_ctx,
                   struct error *e);
/* Charges the pages that n more tokens take to the model's budget, or gives back what such a call did not use (n = 0).
 * ERR_NOMEM: the budget refuses; nothing changed. */
int cpu_state_grant(void *ctx, void *state, size_t n, struct error *e);
/* Pages for n more tokens, the page they start in unshared. Takes from the reservation: never allocates. */
void cpu_state_extend(struct cpu_model *cm, struct cpu_state *s, size_t n);

#endif
