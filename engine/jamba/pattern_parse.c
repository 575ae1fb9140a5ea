/* pattern_parse.c: a regular expression to Thompson's automaton over bytes.
 *
 *     alternatives = concat ("|" concat)*
 *     concat       = (atom repeat?)*
 *     repeat       = "*" | "+" | "?" | "{m}" | "{m,}" | "{m,n}"      a "?" behind it (lazy) changes nothing here
 *     atom         = "(" alternatives ")" | "(?:" alternatives ")" | class | "." | escape | a character
 *     class        = "[" "^"? (character | escape | character "-" character)+ "]"
 *     escape       = \n \t \r \f \a, \xHH \x{H...} \uHHHH, \d \w \s \D \W \S (ASCII), \ and a punctuation mark or space
 *
 * The whole text must match, so "^" at the very front and "$" at the very end may stand and mean nothing. "." is every
 * character but \n. What other engines read and this one does not (back references, look-around, \b, possessive
 * repeats, [:names:], a bare "{") is refused by name rather than taken for something else.
 *
 * The parsed tree is written out back to front: each node is told where to go on and returns where it begins.
 */
#include "engine/jamba/pattern.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct range {
    uint32_t lo, hi; /* code points */
};
struct node {
    enum { NODE_CLASS, NODE_CONCAT, NODE_ALTERNATIVES, NODE_REPEAT } kind;
    struct node *child, *next; /* first child; sibling. A concat's children stand last one first */
    size_t at;                 /* in the pattern */
    uint32_t min, max;         /* UINT32_MAX: no end */
    struct range *ranges;      /* ascending, apart */
    size_t n_ranges;
};

struct parser {
    const char *text;
    size_t len, at, n_groups; /* open ones */
    struct arena arena;
    struct range *ranges; /* the class that is being read */
    size_t n_ranges, cap_ranges;
    struct nfa *nfa;
    size_t work;       /* nodes written out */
    size_t class_from; /* first state of the class that is being written out */
    struct error *e;
    int rc;
};

static struct node *fail(struct parser *p, int code, size_t at, const char *what) {
    char where[40];
    snprintf(where, sizeof where, "pattern, byte %zu", at);
    if (!p->rc) p->rc = error_set(p->e, code, where, "%s", what);
    return NULL;
}

static struct node *node_new(struct parser *p, int kind) {
    struct node *n = p->rc ? NULL : arena_alloc(&p->arena, sizeof *n);
    if (n)
        n->kind = kind, n->at = p->at;
    else
        fail(p, ERR_NOMEM, p->at, "There is no memory for the pattern.");
    return n;
}

static bool looking_at(const struct parser *p, const char *s) {
    size_t n = strlen(s);
    return p->at + n <= p->len && memcmp(p->text + p->at, s, n) == 0;
}

/* ---- sets of code points ---- */
static void add(struct parser *p, uint32_t lo, uint32_t hi) {
    if (p->rc) return;
    void *items = p->ranges;
    p->rc = array_grow(&items, &p->cap_ranges, p->n_ranges + 1, sizeof *p->ranges, p->e);
    p->ranges = items;
    if (!p->rc) p->ranges[p->n_ranges++] = (struct range){lo, hi};
}

static void add_without(struct parser *p, const struct range *sorted, size_t n) { /* all but these */
    uint32_t from = 0;
    for (size_t i = 0; i < n; i++) {
        if (sorted[i].lo > from) add(p, from, sorted[i].lo - 1);
        if (sorted[i].hi + 1 > from) from = sorted[i].hi + 1;
    }
    if (from <= 0x10ffff) add(p, from, 0x10ffff);
}

/* \d \w \s and their opposites; false: c is none of them. */
static bool add_shorthand(struct parser *p, char c) {
    static const struct range digits[] = {{'0', '9'}}, word[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                              space[] = {{'\t', '\r'}, {' ', ' '}};
    const struct range *r = digits;
    size_t n = 1;
    switch (tolower((unsigned char)c)) {
    case 'd':
        break;
    case 'w':
        r = word, n = sizeof word / sizeof word[0];
        break;
    case 's':
        r = space, n = sizeof space / sizeof space[0];
        break;
    default:
        return false;
    }
    if (c == 'D' || c == 'W' || c == 'S')
        add_without(p, r, n);
    else
        for (size_t i = 0; i < n; i++) add(p, r[i].lo, r[i].hi);
    return true;
}

static int by_lo(const void *a, const void *b) {
    const struct range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

/* The ranges read so far as a node: sorted, merged, negated, without the surrogates, which UTF-8 does not have. */
static struct node *class_node(struct parser *p, bool negated, size_t at) {
    size_t n = 0;
    if (p->rc) return NULL;
    if (p->n_ranges) qsort(p->ranges, p->n_ranges, sizeof *p->ranges, by_lo);
    for (size_t i = 0; i < p->n_ranges; i++) {
        if (n && p->ranges[i].lo <= p->ranges[n - 1].hi + 1) {
            if (p->ranges[i].hi > p->ranges[n - 1].hi) p->ranges[n - 1].hi = p->ranges[i].hi;
        } else {
            p->ranges[n++] = p->ranges[i];
        }
    }
    p->n_ranges = n;
    if (negated) {
        void *items = p->ranges; /* room for all that is added behind the n: none of it may move them */
        p->rc = array_grow(&items, &p->cap_ranges, 2 * n + 1, sizeof *p->ranges, p->e);
        p->ranges = items;
        if (p->rc) return NULL;
        add_without(p, p->ranges, n);
        if (p->rc) return NULL;
        memmove(p->ranges, p->ranges + n, (p->n_ranges - n) * sizeof *p->ranges);
        p->n_ranges -= n;
    }
    struct node *c = node_new(p, NODE_CLASS);
    if (c) c->ranges = arena_array(&p->arena, p->n_ranges + 1, sizeof *c->ranges);
    if (c && !c->ranges) return fail(p, ERR_NOMEM, at, "There is no memory for the pattern.");
    for (size_t i = 0; c && i < p->n_ranges; i++) {
        struct range r = p->ranges[i];
        if (r.lo < 0xd800) c->ranges[c->n_ranges++] = (struct range){r.lo, r.hi < 0xd800 ? r.hi : 0xd7ff};
        if (r.hi > 0xdfff) c->ranges[c->n_ranges++] = (struct range){r.lo > 0xdfff ? r.lo : 0xe000, r.hi};
    }
    if (c && !c->n_ranges) return fail(p, ERR_ARG, at, "This class matches no character.");
    return c;
}

/* ---- characters ---- */
static uint32_t hex(struct parser *p, size_t from, size_t n) {
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        char c = from + i < p->len ? p->text[from + i] : 0;
        if (!isxdigit((unsigned char)c)) {
            fail(p, ERR_ARG, from + i, "A hexadecimal digit must stand here.");
            return 0;
        }
        v = v << 4 | (uint32_t)(isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
    }
    return v;
}

/* Behind a backslash: one character, or (true) a set that was added to the ranges. */
static bool escape(struct parser *p, uint32_t *cp) {
    static const char names[] = "ntrfa", values[] = "\n\t\r\f\a";
    size_t at = p->at - 1;
    *cp = 0;
    if (p->at == p->len) {
        fail(p, ERR_ARG, at, "A backslash stands at the end.");
        return false;
    }
    char c = p->text[p->at++];
    if (add_shorthand(p, c)) return true;
    const char *name = c ? strchr(names, c) : NULL;
    if (name) {
        *cp = (uint8_t)values[name - names];
    } else if (c == 'x' && looking_at(p, "{")) {
        size_t from = p->at + 1, n = 0;
        while (from + n < p->len && p->text[from + n] != '}' && n < 7) n++;
        if (n < 1 || n > 6 || from + n == p->len || p->text[from + n] != '}')
            fail(p, ERR_ARG, at, "\\x{...} holds one to six hexadecimal digits.");
        else
            *cp = hex(p, from, n);
        p->at = from + n + 1;
    } else if (c == 'x' || c == 'u') {
        size_t n = c == 'x' ? 2 : 4;
        *cp = hex(p, p->at, n);
        p->at += n;
    } else if (ispunct((unsigned char)c) || c == ' ') {
        *cp = (uint8_t)c;
    } else {
        fail(p, isalnum((unsigned char)c) ? ERR_UNSUPPORTED : ERR_ARG, at, "This escape is not known here.");
    }
    if (!p->rc && (*cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))) fail(p, ERR_ARG, at, "This is no character.");
    return false;
}

static uint32_t character(struct parser *p) { /* the text is valid UTF-8 and not at its end */
    uint32_t cp = 0;
    int n = utf8_decode(p->text + p->at, p->len - p->at, &cp);
    p->at += n > 0 ? (size_t)n : 1;
    return cp;
}

static struct node *parse_class(struct parser *p) { /* behind the "[" */
    size_t from = p->at - 1;
    bool negated = looking_at(p, "^"), first = true;
    p->at += negated;
    p->n_ranges = 0;
    for (; !p->rc; first = false) {
        size_t at = p->at;
        if (p->at >= p->len) return fail(p, ERR_ARG, from, "The class that begins here does not end.");
        if (looking_at(p, "]") && !first) break;
        if (looking_at(p, "[:")) return fail(p, ERR_UNSUPPORTED, at, "Named classes ([:alpha:]) are not known here.");
        uint32_t lo = character(p), hi;
        bool set = lo == '\\' && escape(p, &lo);
        bool to = looking_at(p, "-") && p->at + 1 < p->len && p->text[p->at + 1] != ']';
        if (!to) {
            if (!set) add(p, lo, lo);
            continue;
        }
        p->at++;
        if (looking_at(p, "[:")) return fail(p, ERR_UNSUPPORTED, p->at, "Named classes are not known here.");
        hi = character(p);
        if (set || (hi == '\\' && escape(p, &hi)))
            return fail(p, ERR_ARG, at, "A range goes from one character to another; write \\- for a hyphen.");
        if (!p->rc && hi < lo) return fail(p, ERR_ARG, at, "This range ends before it begins.");
        add(p, lo, hi);
    }
    p->at++;
    return class_node(p, negated, from);
}

/* ---- the tree ---- */
static struct node *parse_alternatives(struct parser *p);

static struct node *parse_atom(struct parser *p) {
    size_t at = p->at;
    uint32_t c = character(p);
    p->n_ranges = 0;
    switch (c) {
    case '(': {
        if (looking_at(p, "?:"))
            p->at += 2;
        else if (looking_at(p, "?"))
            return fail(p, ERR_UNSUPPORTED, at, "Of the groups that begin with \"(?\", only \"(?:\" is known here.");
        if (++p->n_groups > PATTERN_MAX_GROUPS)
            return fail(p, ERR_LIMIT, at, "Groups stand too deep inside each other.");
        struct node *n = parse_alternatives(p);
        if (!p->rc && !looking_at(p, ")")) return fail(p, ERR_ARG, at, "The group that begins here does not end.");
        p->n_groups--;
        p->at++;
        return n;
    }
    case '[':
        return parse_class(p);
    case '.':
        add(p, '\n', '\n');
        return class_node(p, true, at);
    case '\\':
        if (!escape(p, &c)) add(p, c, c);
        return class_node(p, false, at);
    case '*':
    case '+':
    case '?':
        return fail(p, ERR_ARG, at, "There is nothing to repeat.");
    case '{':
        return fail(p, ERR_ARG, at, "There is nothing to repeat; write \\{ for the character.");
    case '^':
    case '$':
        return fail(p, ERR_UNSUPPORTED, at,
                    "The whole text must match, so ^ and $ stand at its ends only; write \\^ and \\$ for the "
                    "characters.");
    default:
        add(p, c, c);
        return class_node(p, false, at);
    }
}

static bool number(struct parser *p, uint32_t *v) {
    size_t from = p->at;
    for (*v = 0; p->at < p->len && isdigit((unsigned char)p->text[p->at]) && *v <= PATTERN_MAX_REPEAT; p->at++)
        *v = *v * 10 + (uint32_t)(p->text[p->at] - '0');
    return p->at > from;
}

/* What stands behind an atom. */
static struct node *parse_repeat(struct parser *p, struct node *atom) {
    size_t at = p->at;
    uint32_t min = 0, max = UINT32_MAX;
    if (p->rc || at == p->len || !strchr("*+?{", p->text[at]) || !p->text[at]) return atom;
    p->at++;
    if (p->text[at] == '+') min = 1;
    if (p->text[at] == '?') max = 1;
    if (p->text[at] == '{') {
        bool good = number(p, &min);
        max = min;
        if (good && looking_at(p, ",")) {
            p->at++;
            if (!number(p, &max)) max = UINT32_MAX;
        }
        if (min > PATTERN_MAX_REPEAT || (max > PATTERN_MAX_REPEAT && max != UINT32_MAX))
            return fail(p, ERR_LIMIT, at, "A repeat counts to 1000 at most.");
        if (!good || !looking_at(p, "}"))
            return fail(p, ERR_ARG, at, "A repeat is {m}, {m,} or {m,n}; write \\{ for the character.");
        if (max < min) return fail(p, ERR_ARG, at, "This repeat ends before it begins.");
        p->at++;
    }
    if (looking_at(p, "?"))
        p->at++;
    else if (looking_at(p, "+"))
        return fail(p, ERR_UNSUPPORTED, p->at, "Possessive repeats are not known here.");
    if (p->at < p->len && p->text[p->at] && strchr("*+?{", p->text[p->at]))
        return fail(p, ERR_ARG, p->at, "A repeat of a repeat needs a group around the inner one.");
    struct node *n = node_new(p, NODE_REPEAT);
    if (!n) return NULL;
    n->child = atom, n->min = min, n->max = max;
    return n;
}

static struct node *parse_concat(struct parser *p) {
    struct node *n = node_new(p, NODE_CONCAT);
    while (!p->rc && p->at < p->len && !looking_at(p, "|") && !looking_at(p, ")")) {
        if (p->at == p->len - 1 && looking_at(p, "$") && !p->n_groups) {
            p->at++;
            break;
        }
        struct node *item = parse_repeat(p, parse_atom(p));
        if (p->rc || !item) break;
        item->next = n->child;
        n->child = item;
    }
    return n;
}

static struct node *parse_alternatives(struct parser *p) {
    struct node *n = node_new(p, NODE_ALTERNATIVES), **link = n ? &n->child : NULL;
    while (!p->rc) {
        *link = parse_concat(p);
        if (p->rc || !looking_at(p, "|")) break;
        link = &(*link)->next;
        p->at++;
    }
    return n;
}

/* ---- the automaton ---- */
static uint16_t state_new(struct parser *p, struct nfa_state s) {
    if (p->nfa->n == PATTERN_MAX_STATES)
        fail(p, ERR_LIMIT, p->at, "The pattern is too large once its repeats are written out.");
    if (p->rc) return 0;
    p->nfa->states[p->nfa->n] = s;
    return (uint16_t)p->nfa->n++;
}
static uint16_t fork_new(struct parser *p, uint16_t a, uint16_t b) {
    return state_new(p, (struct nfa_state){.kind = NFA_FORK, .out = a, .other = b});
}
/* Ends of characters are shared inside a class: [^"] takes 12 states and not 25. */
static uint16_t bytes_new(struct parser *p, uint8_t lo, uint8_t hi, uint16_t out) {
    for (size_t i = p->class_from; i < p->nfa->n; i++) {
        const struct nfa_state *s = &p->nfa->states[i];
        if (s->kind == NFA_BYTES && s->lo == lo && s->hi == hi && s->out == out) return (uint16_t)i;
    }
    return state_new(p, (struct nfa_state){.kind = NFA_BYTES, .lo = lo, .hi = hi, .out = out});
}

static uint16_t either(struct parser *p, uint16_t a, uint16_t b, bool first) {
    return first || a == b ? a : fork_new(p, a, b);
}

/* Adds the code points lo..hi, all of n bytes: while the bytes behind the first do not run through their whole range,
 * the range is cut where they do (Ken Thompson's way, as in RE2's and Rust's compilers). */
static uint16_t emit_range(struct parser *p, uint32_t lo, uint32_t hi, int n, uint16_t out, uint16_t entry,
                           bool *first) {
#ifndef MUTANT_UTF8_RANGE
    for (int i = 1; i < n; i++) {
        uint32_t mask = (1u << 6 * i) - 1;
        if ((lo & ~mask) == (hi & ~mask)) continue;
        if (lo & mask) {
            entry = emit_range(p, lo, lo | mask, n, out, entry, first);
            return emit_range(p, (lo | mask) + 1, hi, n, out, entry, first);
        }
        if ((hi & mask) != mask) {
            entry = emit_range(p, lo, (hi & ~mask) - 1, n, out, entry, first);
            return emit_range(p, hi & ~mask, hi, n, out, entry, first);
        }
    }
#endif
    char a[4], b[4];
    uint16_t at = out;
    utf8_encode(lo, a);
    utf8_encode(hi, b);
    for (int i = n; i-- > 0;) at = bytes_new(p, (uint8_t)a[i], (uint8_t)b[i], at);
    entry = either(p, at, entry, *first);
    *first = false;
    return entry;
}

static uint16_t emit_class(struct parser *p, const struct node *n, uint16_t out) {
    static const uint32_t ends[4] = {0x7f, 0x7ff, 0xffff, 0x10ffff};
    uint16_t entry = out;
    bool first = true;
    p->class_from = p->nfa->n;
    for (size_t i = 0; i < n->n_ranges; i++)
        for (int k = 0; k < 4 && !p->rc; k++) {
            uint32_t lo = n->ranges[i].lo, hi = n->ranges[i].hi;
            if (k && lo <= ends[k - 1]) lo = ends[k - 1] + 1;
            if (hi > ends[k]) hi = ends[k];
            if (lo <= hi) entry = emit_range(p, lo, hi, k + 1, out, entry, &first);
        }
    return entry;
}

static uint16_t emit(struct parser *p, const struct node *n, uint16_t out);

static uint16_t emit_repeat(struct parser *p, const struct node *n, uint16_t out) {
    uint16_t at = out;
    if (n->max == UINT32_MAX) { /* a loop, which may be left at each turn */
        uint16_t loop = fork_new(p, 0, out);
        uint16_t body = emit(p, n->child, loop);
        if (p->rc) return out;
        p->nfa->states[loop].out = body;
        at = loop;
    } else {
        for (uint32_t i = n->min; i < n->max && !p->rc; i++) {
            uint16_t body = emit(p, n->child, at);
            at = fork_new(p, body, out);
        }
    }
    for (uint32_t i = 0; i < n->min && !p->rc; i++) at = emit(p, n->child, at);
    return at;
}

static uint16_t emit(struct parser *p, const struct node *n, uint16_t out) {
    p->at = n->at;
    if (++p->work > PATTERN_MAX_WORK) fail(p, ERR_LIMIT, p->at, "The pattern's repeats multiply too far.");
    if (p->rc) return out;
    switch (n->kind) {
    case NODE_CLASS:
        return emit_class(p, n, out);
    case NODE_CONCAT:
        for (const struct node *c = n->child; c && !p->rc; c = c->next) out = emit(p, c, out);
        return out;
    case NODE_REPEAT:
        return emit_repeat(p, n, out);
    case NODE_ALTERNATIVES:
        break;
    }
    uint16_t entry = out;
    bool first = true;
    for (const struct node *c = n->child; c && !p->rc; c = c->next, first = false)
        entry = either(p, emit(p, c, out), entry, first);
    return entry;
}

void nfa_free(struct nfa *nfa) {
    free(nfa->states);
    *nfa = (struct nfa){0};
}

int nfa_parse(struct nfa *out, struct slice pattern, struct error *e) {
    struct parser p = {.text = pattern.data, .len = pattern.len, .nfa = out, .e = e};
    struct node *tree = NULL;
    *out = (struct nfa){0};
    p.arena.limit = (size_t)1 << 26;
    if (pattern.len > PATTERN_MAX_BYTES)
        return error_set(e, ERR_LIMIT, "pattern", "A pattern has %d bytes at most; this one has %zu.",
                         PATTERN_MAX_BYTES, pattern.len);
    for (size_t i = 0; i < pattern.len;) {
        uint32_t cp;
        int n = utf8_decode(pattern.data + i, pattern.len - i, &cp);
        if (n <= 0) {
            fail(&p, ERR_FORMAT, i, "The pattern is not valid UTF-8.");
            return p.rc;
        }
        i += (size_t)n;
    }
    out->states = malloc(PATTERN_MAX_STATES * sizeof *out->states);
    if (!out->states) return error_set(e, ERR_NOMEM, "pattern", "There is no memory for the pattern.");
    if (looking_at(&p, "^")) p.at++;
    tree = parse_alternatives(&p);
    if (!p.rc && p.at < p.len) fail(&p, ERR_ARG, p.at, "This parenthesis closes nothing.");
    if (!p.rc) {
        uint16_t end = state_new(&p, (struct nfa_state){.kind = NFA_END});
        out->start = emit(&p, tree, end);
    }
    free(p.ranges);
    arena_free(&p.arena);
    if (p.rc) nfa_free(out);
    return p.rc;
}
