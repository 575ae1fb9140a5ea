/* pattern.c: the pattern constraint: what is decoded must match a regular expression, whole.
 *
 * The automaton of pattern_parse.c is made deterministic as it is used: a state here is the set of automaton states
 * that the bytes so far can have reached. Bytes that no range tells apart share a column of the table. The tokens that
 * may come next are those along whose bytes some state stays alive: the vocabulary's tree (token_trie.c) is walked,
 * a branch left at its first dead byte, and the list kept with the state.
 *
 * Alive means that the end can still be reached, one token at a time: bytes that are no token by themselves count as
 * impossible (no vocabulary of ours lacks one that UTF-8 needs), so a choice never leads into a corner.
 *
 * All memory is taken at the start and bounded. When states or lists fill it they are forgotten and made again as
 * needed (as RE2 does); what was accepted so far is kept apart. So a step allocates nothing and cannot fail.
 */
#include "engine/jamba/pattern.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Untouched memory costs nothing: most patterns use a few kilobytes of these. */
#ifndef PATTERN_STATES            /* the test of forgetting makes them small */
#define PATTERN_STATES 4096       /* deterministic states kept */
#define PATTERN_MEMBERS (1 << 21) /* members of their sets */
#define PATTERN_LISTED (1 << 20)  /* tokens in kept lists */
#endif

#define DEAD UINT32_MAX
#define UNKNOWN (UINT32_MAX - 1)
#define FULL (UINT32_MAX - 2)

struct dfa_state {
    uint32_t set_at, n_set; /* in members, ascending */
    uint32_t list_at, n_list;
    bool is_end, listed;
};

struct jamba_pattern {
    const struct jamba_model *model;
    struct nfa nfa;
    const struct token_trie *trie;
    bool *alive; /* [nfa.n] the end can be reached from here */
    uint8_t column[256], byte_of[256];
    bool possible[256]; /* by column */
    uint32_t n_columns;

    struct dfa_state *states; /* [cap_states] */
    uint32_t n_states, cap_states;
    uint16_t *members; /* [cap_members] */
    uint32_t n_members, cap_members;
    uint32_t *next;  /* [cap_states][n_columns] state, DEAD or UNKNOWN */
    uint32_t *slots; /* [n_slots] state + 1 by hash of its set */
    uint32_t n_slots;
    int32_t *lists; /* [cap_lists] */
    uint32_t n_lists, cap_lists;

    uint16_t *now; /* the accepted tokens' set, whatever is forgotten */
    uint32_t n_now, now_id;
    bool ended; /* an end token was accepted */

    uint64_t *seen;         /* [nfa.n] bits */
    uint16_t *stack, *set;  /* [nfa.n] */
    uint32_t *path;         /* [max_depth + 1] states along a token */
    uint8_t *path_bytes;    /* [max_depth] */
    uint64_t *allowed;      /* bits of ids */
    uint32_t allowed_words; /* of 64 ids */
};

void jamba_pattern_close(struct jamba_pattern *p) {
    if (!p) return;
    nfa_free(&p->nfa);
    free(p->alive);
    free(p->states);
    free(p->members);
    free(p->next);
    free(p->slots);
    free(p->lists);
    free(p->now);
    free(p->seen);
    free(p->stack);
    free(p->set);
    free(p->path);
    free(p->path_bytes);
    free(p->allowed);
    free(p);
}

/* ---- sets of automaton states ---- */
/* Marks what is reached from s without reading a byte. */
static void reach(struct jamba_pattern *p, uint16_t s) {
    size_t n = 0;
    p->stack[n++] = s;
    while (n > 0) {
        s = p->stack[--n];
        if (!p->alive[s] || (p->seen[s / 64] >> s % 64 & 1)) continue;
        p->seen[s / 64] |= (uint64_t)1 << s % 64;
        if (p->nfa.states[s].kind != NFA_FORK) continue;
        p->stack[n++] = p->nfa.states[s].out; /* at most one more waits for each fork that was marked */
        p->stack[n++] = p->nfa.states[s].other;
    }
}

/* The marked ones, without forks, into p->set. */
static uint32_t collect(struct jamba_pattern *p) {
    uint32_t n = 0;
    for (size_t w = 0; w <= p->nfa.n / 64; w++)
        for (uint64_t bits = p->seen[w]; bits; bits &= bits - 1) {
            size_t s = w * 64 + (size_t)__builtin_ctzll(bits);
            if (p->nfa.states[s].kind != NFA_FORK) p->set[n++] = (uint16_t)s;
        }
    return n;
}

static void forget_marks(struct jamba_pattern *p) {
    memset(p->seen, 0, (p->nfa.n / 64 + 1) * sizeof *p->seen);
}

/* ---- deterministic states ---- */
/* The state of a set; FULL when a new one has no room. */
static uint32_t intern(struct jamba_pattern *p, const uint16_t *set, uint32_t n) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (uint32_t i = 0; i < n; i++) hash = (hash ^ set[i]) * 16777619u;
    uint32_t slot = (hash ^ hash >> 15) & (p->n_slots - 1);
    for (; p->slots[slot]; slot = (slot + 1) & (p->n_slots - 1)) {
        const struct dfa_state *q = &p->states[p->slots[slot] - 1];
        if (q->n_set == n && memcmp(p->members + q->set_at, set, n * sizeof *set) == 0) return p->slots[slot] - 1;
    }
    if (p->n_states == p->cap_states || p->cap_members - p->n_members < n) return FULL;
    uint32_t id = p->n_states++;
    struct dfa_state *q = &p->states[id];
    *q = (struct dfa_state){.set_at = p->n_members, .n_set = n};
    memcpy(p->members + p->n_members, set, n * sizeof *set);
    p->n_members += n;
    for (uint32_t i = 0; i < n && !q->is_end; i++) q->is_end = p->nfa.states[set[i]].kind == NFA_END;
    for (uint32_t c = 0; c < p->n_columns; c++) p->next[(size_t)id * p->n_columns + c] = UNKNOWN;
    p->slots[slot] = id + 1;
    return id;
}

static void forget(struct jamba_pattern *p) {
    memset(p->slots, 0, p->n_slots * sizeof *p->slots);
    p->n_states = p->n_members = p->n_lists = 0;
    p->now_id = intern(p, p->now, p->n_now);
}

static uint32_t step(struct jamba_pattern *p, uint32_t id, uint8_t column) {
    uint32_t *next = &p->next[(size_t)id * p->n_columns + column];
    if (*next != UNKNOWN) return *next;
    const struct dfa_state *q = &p->states[id];
    uint8_t b = p->byte_of[column];
    forget_marks(p);
    for (uint32_t i = 0; i < q->n_set && p->possible[column]; i++) {
        const struct nfa_state *s = &p->nfa.states[p->members[q->set_at + i]];
        if (s->kind == NFA_BYTES && s->lo <= b && b <= s->hi) reach(p, s->out);
    }
    uint32_t n = collect(p);
    uint32_t to = n ? intern(p, p->set, n) : DEAD;
    if (to != FULL) *next = to;
    return to;
}

/* step along a text, whatever has to be forgotten for it. */
static uint32_t run(struct jamba_pattern *p, uint32_t id, const char *text, size_t len) {
    for (size_t i = 0; i < len && id != DEAD; i++) {
        uint32_t to = step(p, id, p->column[(uint8_t)text[i]]);
        if (to == FULL) { /* p->set holds the new set */
            uint32_t n = collect(p);
            forget(p);
            to = intern(p, p->set, n);
        }
        id = to;
    }
    return id;
}

/* ---- opening ---- */
/* Which states lead to the end over bytes that can be written. */
static void find_alive(struct jamba_pattern *p) {
    for (bool more = true; more;) {
        more = false;
        for (size_t s = 0; s < p->nfa.n; s++) { /* forward: a state's successors mostly have lower numbers */
            const struct nfa_state *q = &p->nfa.states[s];
            bool alive = q->kind == NFA_END || (q->kind == NFA_FORK && p->alive[q->other]);
            if (q->kind == NFA_BYTES)
                for (int b = q->lo; b <= q->hi && !alive; b++) alive = p->trie->single[b] && p->alive[q->out];
            else if (q->kind == NFA_FORK)
                alive = alive || p->alive[q->out];
            if (alive && !p->alive[s]) p->alive[s] = more = true;
        }
    }
}

static void find_columns(struct jamba_pattern *p) {
    bool begins[257] = {true};
    for (size_t s = 0; s < p->nfa.n; s++)
        if (p->nfa.states[s].kind == NFA_BYTES) begins[p->nfa.states[s].lo] = begins[p->nfa.states[s].hi + 1] = true;
    for (int b = 1; b < 256; b++) begins[b] = begins[b] || p->trie->single[b] != p->trie->single[b - 1];
    for (int b = 0; b < 256; b++) {
        if (begins[b]) {
            p->byte_of[p->n_columns] = (uint8_t)b;
            p->possible[p->n_columns++] = p->trie->single[b];
        }
        p->column[b] = (uint8_t)(p->n_columns - 1);
    }
}

int jamba_pattern_open(struct jamba_pattern **out, struct jamba_model *m, struct slice pattern, struct error *e) {
    *out = NULL;
    if (m->config.eos[0] < 0)
        return error_set(e, ERR_UNSUPPORTED, "pattern", "The model has no end token, so a text could not end.");
    struct jamba_pattern *p = calloc(1, sizeof *p);
    if (!p) return error_set(e, ERR_NOMEM, "pattern", "There is no memory for the pattern.");
    p->model = m;
    int rc = nfa_parse(&p->nfa, pattern, e);
    if (!rc) rc = token_trie_of(&p->trie, m, e);
    if (rc) goto done;
    size_t n = p->nfa.n, depth = p->trie->max_depth;
    find_columns(p);
    /* a walk down one token must fit beside what was accepted */
    p->cap_states = PATTERN_STATES > depth + 3 ? PATTERN_STATES : (uint32_t)depth + 3;
    p->cap_members = PATTERN_MEMBERS > (depth + 3) * n ? PATTERN_MEMBERS : (uint32_t)((depth + 3) * n);
    p->cap_lists = PATTERN_LISTED > p->trie->n + 4 ? PATTERN_LISTED : p->trie->n + 4;
    for (p->n_slots = 16; p->n_slots < 2 * p->cap_states; p->n_slots *= 2) {
    }
    p->allowed_words = m->config.n_vocab / 64 + 1;
    p->alive = calloc(n, sizeof *p->alive);
    p->states = malloc(p->cap_states * sizeof *p->states);
    p->members = malloc(p->cap_members * sizeof *p->members);
    p->next = malloc((size_t)p->cap_states * p->n_columns * sizeof *p->next);
    p->slots = calloc(p->n_slots, sizeof *p->slots);
    p->lists = malloc(p->cap_lists * sizeof *p->lists);
    p->now = malloc(n * sizeof *p->now);
    p->seen = malloc((n / 64 + 1) * sizeof *p->seen);
    p->stack = malloc((n + 2) * sizeof *p->stack);
    p->set = malloc(n * sizeof *p->set);
    p->path = malloc((depth + 1) * sizeof *p->path);
    p->path_bytes = malloc(depth + 1);
    p->allowed = malloc(p->allowed_words * sizeof *p->allowed);
    if (!p->alive || !p->states || !p->members || !p->next || !p->slots || !p->lists || !p->now || !p->seen ||
        !p->stack || !p->set || !p->path || !p->path_bytes || !p->allowed) {
        rc = error_set(e, ERR_NOMEM, "pattern", "There is no memory for the pattern.");
        goto done;
    }
    find_alive(p);
    if (!p->alive[p->nfa.start]) {
        rc = error_set(e, ERR_UNSUPPORTED, "pattern", "No text that this model's vocabulary can write matches.");
        goto done;
    }
    jamba_pattern_reset(p);
    *out = p;
    p = NULL;
done:
    jamba_pattern_close(p);
    return rc;
}

/* ---- decoding ---- */
void jamba_pattern_reset(struct jamba_pattern *p) {
    forget_marks(p);
    reach(p, p->nfa.start);
    p->n_now = collect(p);
    memcpy(p->now, p->set, p->n_now * sizeof *p->now);
    p->ended = false;
    p->now_id = intern(p, p->now, p->n_now);
    if (p->now_id == FULL) forget(p);
}

/* Marks in p->allowed every token that keeps a state alive. */
static void walk(struct jamba_pattern *p) {
    const struct token_trie *t = p->trie;
    memset(p->allowed, 0, p->allowed_words * sizeof *p->allowed);
    p->path[0] = p->now_id;
    for (uint32_t i = 0; i < t->n_nodes;) {
        const struct trie_node *node = &t->nodes[i];
        size_t d = node->depth;
        uint32_t to = step(p, p->path[d - 1], p->column[node->byte]);
        if (to == FULL) { /* forget, and come back along the path */
            forget(p);
            p->path[0] = p->now_id;
            for (size_t k = 1; k < d; k++) p->path[k] = step(p, p->path[k - 1], p->column[p->path_bytes[k - 1]]);
            to = step(p, p->path[d - 1], p->column[node->byte]);
            assert(to != FULL); /* cap_states, cap_members */
        }
        if (to == DEAD) {
            i = node->end;
            continue;
        }
        p->path[d] = to;
        p->path_bytes[d - 1] = node->byte;
        for (uint32_t k = node->first; k < node[1].first; k++)
            p->allowed[t->ids[k] / 64] |= (uint64_t)1 << t->ids[k] % 64;
        i++;
    }
}

size_t jamba_pattern_next(struct jamba_pattern *p, const int32_t **ids) {
    if (p->ended) return 0;
    if (!p->states[p->now_id].listed) {
        uint32_t n = 0;
        walk(p);
        struct dfa_state *q = &p->states[p->now_id];
        for (uint32_t w = 0; w < p->allowed_words; w++) n += (uint32_t)__builtin_popcountll(p->allowed[w]);
#ifndef MUTANT_PATTERN_FORGETS_END
        if (q->is_end) {
            const int32_t *eos = p->model->config.eos;
            for (int i = 0; i < (n ? 4 : 1) && eos[i] >= 0; i++) /* forced: the first */
                p->allowed[eos[i] / 64] |= (uint64_t)1 << eos[i] % 64;
        }
#endif
        if (p->cap_lists - p->n_lists < n + 4) {
            for (uint32_t i = 0; i < p->n_states; i++) p->states[i].listed = false;
            p->n_lists = 0;
        }
        q->listed = true;
        q->list_at = p->n_lists;
        q->n_list = 0;
        for (uint32_t w = 0; w < p->allowed_words; w++)
            for (uint64_t bits = p->allowed[w]; bits; bits &= bits - 1)
                p->lists[q->list_at + q->n_list++] = (int32_t)(w * 64 + (uint32_t)__builtin_ctzll(bits));
        p->n_lists += q->n_list;
    }
    *ids = p->lists + p->states[p->now_id].list_at;
    return p->states[p->now_id].n_list;
}

bool jamba_pattern_accept(struct jamba_pattern *p, int32_t id) {
    if (p->ended || id < 0) return false;
    if (config_is_eos(&p->model->config, id)) return (p->ended = p->states[p->now_id].is_end);
    if ((uint32_t)id >= p->trie->n_vocab || !(p->trie->is_text[id / 8] >> id % 8 & 1)) return false;
    struct slice bytes = jamba_token_bytes(p->model, id);
    uint32_t to = run(p, p->now_id, bytes.data, bytes.len);
    if (to == DEAD) return false;
    p->n_now = p->states[to].n_set;
    memcpy(p->now, p->members + p->states[to].set_at, p->n_now * sizeof *p->now);
    p->now_id = to;
    return true;
}

bool jamba_pattern_complete(const struct jamba_pattern *p) {
    return p->states[p->now_id].is_end;
}

bool jamba_pattern_matches(struct jamba_pattern *p, struct slice text) {
    forget_marks(p);
    reach(p, p->nfa.start);
    uint32_t n = collect(p), id = intern(p, p->set, n);
    if (id == FULL) {
        forget(p);
        id = intern(p, p->set, n);
    }
    id = run(p, id, text.data, text.len);
    return id != DEAD && p->states[id].is_end;
}
