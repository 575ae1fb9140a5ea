/* unicode.c: cleans foreign text on its way into a document: NFC (Unicode Standard Annex 15), ligatures as letters, one
 * kind of space, no invisible characters. Owns the tables of nfc_table.h. Refuses nothing: an invalid byte becomes
 * U+FFFD.
 *
 * Why before anything else: one spelling of a word per document makes quotes, search and detectors agree ("office" set
 * with the ligature U+FB03 is the same word). Quotation marks and dashes stay as printed; only the two hyphens that
 * look like '-' become it. */
#include "ingest/reader.h"
#include "ingest/nfc_table.h"

#include <stdlib.h>
#include <string.h>

#define N_PAIRS (sizeof nfc_pairs / sizeof *nfc_pairs)
#define N_COMPOSED (sizeof nfc_composed / sizeof *nfc_composed)
#define N_CLASSES (sizeof nfc_classes / sizeof *nfc_classes)

/* Hangul syllables compose by arithmetic (Unicode Standard 3.12). */
enum {
    S_BASE = 0xAC00,
    L_BASE = 0x1100,
    V_BASE = 0x1161,
    T_BASE = 0x11A7,
    L_N = 19,
    V_N = 21,
    T_N = 28,
    S_N = L_N * V_N * T_N
};

static uint32_t combining_class(uint32_t cp) {
    if (cp < 0x300) return 0;
    size_t lo = 0, hi = N_CLASSES;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > nfc_classes[mid].last)
            lo = mid + 1;
        else if (cp < nfc_classes[mid].first)
            hi = mid;
        else
            return nfc_classes[mid].ccc;
    }
    return 0;
}

static const struct nfc_pair *decomposition(uint32_t cp) {
    if (cp < 0xC0) return NULL;
    size_t lo = 0, hi = N_PAIRS;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (nfc_pairs[mid].cp == cp) return &nfc_pairs[mid];
        if (nfc_pairs[mid].cp < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static uint32_t compose(uint32_t a, uint32_t b) {
    if (a >= L_BASE && a < L_BASE + L_N && b >= V_BASE && b < V_BASE + V_N)
        return S_BASE + ((a - L_BASE) * V_N + (b - V_BASE)) * T_N;
    if (a >= S_BASE && a < S_BASE + S_N && (a - S_BASE) % T_N == 0 && b > T_BASE && b < T_BASE + T_N)
        return a + (b - T_BASE);
    size_t lo = 0, hi = N_COMPOSED;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct nfc_pair *p = &nfc_pairs[nfc_composed[mid]];
        if (p->first == a && p->second == b) return p->cp;
        if (p->first < a || (p->first == a && p->second < b))
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0;
}

/* One cluster at a time: a starter and the marks behind it. 64 is four times the longest cluster of real writing; a
 * longer run of marks is cut into clusters, which changes nothing but its canonical order. */
#define CLUSTER_MAX 64
struct cluster {
    uint32_t cp[CLUSTER_MAX];
    uint32_t ccc[CLUSTER_MAX];
    size_t n;
};

static void put_cp(struct buf *out, uint32_t cp) {
    char b[4];
    int n = utf8_encode(cp, b);
    if (n > 0) buf_append(out, b, (size_t)n);
}

static void cluster_flush(struct cluster *c, struct buf *out) {
    for (size_t i = 1; i < c->n; i++) /* canonical order: stable insertion by class */
        for (size_t j = i; j > 0 && c->ccc[j] && c->ccc[j - 1] > c->ccc[j]; j--) {
            uint32_t t = c->cp[j], k = c->ccc[j];
            c->cp[j] = c->cp[j - 1], c->ccc[j] = c->ccc[j - 1];
            c->cp[j - 1] = t, c->ccc[j - 1] = k;
        }
    size_t starter = 0, n = 0;
    bool have = false;
    for (size_t i = 0; i < c->n; i++) {
        uint32_t last = n ? c->ccc[n - 1] : 0;
        bool blocked = have && n > starter + 1 && (last == 0 || last >= c->ccc[i]);
        uint32_t made = have && !blocked ? compose(c->cp[starter], c->cp[i]) : 0;
        if (made) {
            c->cp[starter] = made;
        } else {
            if (c->ccc[i] == 0) starter = n, have = true;
            c->cp[n] = c->cp[i], c->ccc[n] = c->ccc[i];
            n++;
        }
    }
    for (size_t i = 0; i < n; i++) put_cp(out, c->cp[i]);
    c->n = 0;
}

static void cluster_add(struct cluster *c, uint32_t cp, struct buf *out) {
    if (cp >= S_BASE && cp < S_BASE + S_N) { /* a syllable is composed; a final consonant may still join it */
        cluster_flush(c, out);
        c->cp[0] = cp, c->ccc[0] = 0, c->n = 1;
        return;
    }
    const struct nfc_pair *p = decomposition(cp);
    if (p) {
        cluster_add(c, p->first, out); /* depth: decompositions nest at most 4 deep */
        if (p->second) cluster_add(c, p->second, out);
        return;
    }
    uint32_t ccc = combining_class(cp);
    bool final =
        cp > T_BASE && cp < T_BASE + T_N && c->n && c->cp[c->n - 1] >= V_BASE && c->cp[c->n - 1] < V_BASE + V_N;
    bool joins = c->n && (ccc || final || compose(c->cp[c->n - 1], cp));
    if (c->n == CLUSTER_MAX || (c->n && !joins)) cluster_flush(c, out);
    c->cp[c->n] = cp, c->ccc[c->n] = ccc, c->n++;
}

/* What a code point becomes: itself, ' ', several letters, or nothing. */
static const char *replacement(uint32_t cp, bool keep_lines) {
    if (cp == '\n') return keep_lines ? "\n" : " ";
    if (cp == '\t') return keep_lines ? "    " : " ";
    if (cp == '\r' || cp == '\f' || cp == '\v' || cp == ' ') return " ";
    if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) return cp == 0x85 ? " " : "";
    if (cp < 0xa0) return NULL;
    if (cp == 0x2028 || cp == 0x2029) return keep_lines ? "\n" : " ";
    if ((cp >= 0x2000 && cp <= 0x200a) || cp == 0xa0 || cp == 0x1680 || cp == 0x202f || cp == 0x205f || cp == 0x3000)
        return " ";
    if (cp == 0xad || cp == 0x200b || cp == 0x2060 || cp == 0xfeff)
        return ""; /* soft hyphen, zero widths, byte-order mark */
    if ((cp >= 0x200e && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069))
        return ""; /* direction */
    if (cp == 0x2010 || cp == 0x2011) return "-";
    static const char *const ligatures[] = {"ff", "fi", "fl", "ffi", "ffl", "st", "st"};
    if (cp >= 0xfb00 && cp <= 0xfb06) return ligatures[cp - 0xfb00];
    /* bullets of the Symbol and Wingdings fonts, which fall into the private use area */
    if (cp == 0xf0b7 || cp == 0xf0a7 || cp == 0xf0d8 || cp == 0xf076 || cp == 0xf0fc) return "\xe2\x80\xa2";
    if ((cp & 0xfffe) == 0xfffe || (cp >= 0xfdd0 && cp <= 0xfdef)) return ""; /* noncharacters */
    return NULL;
}

void text_clean(struct buf *out, struct slice s, bool keep_lines) {
    struct cluster c = {.n = 0};
    size_t i = 0;
    while (i < s.len) {
        size_t plain = i;
        while (i < s.len && s.data[i] > 0x20 && s.data[i] < 0x7f) i++;
        if (i > plain) { /* the last ASCII letter may take a mark that follows */
            cluster_flush(&c, out);
            buf_append(out, s.data + plain, i - plain - 1);
            c.cp[0] = (uint32_t)s.data[i - 1], c.ccc[0] = 0, c.n = 1;
            continue;
        }
        uint32_t cp;
        int n = utf8_decode(s.data + i, s.len - i, &cp);
        if (n == 0) cp = 0xfffd, n = 1;
        i += (size_t)n;
        const char *r = replacement(cp, keep_lines);
        if (!r) {
            cluster_add(&c, cp, out);
        } else if (*r) {
            cluster_flush(&c, out);
            buf_puts(out, r);
        }
    }
    cluster_flush(&c, out);
}

void text_clean_line(struct buf *out, struct slice s) {
    size_t from = out->len, n = from;
    text_clean(out, s, false);
    if (out->failed || out->len == from) return;
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] != ' ' || (n > from && out->data[n - 1] != ' ')) out->data[n++] = out->data[i];
    if (n > from && out->data[n - 1] == ' ') n--;
    out->data[n] = 0;
    out->len = n;
}

void text_superscript(struct buf *out, struct slice s) {
    static const char *const raised[] = {"\xe2\x81\xb0", "\xc2\xb9",     "\xc2\xb2",     "\xc2\xb3",
                                         "\xe2\x81\xb4", "\xe2\x81\xb5", "\xe2\x81\xb6", "\xe2\x81\xb7",
                                         "\xe2\x81\xb8", "\xe2\x81\xb9"};
    bool figures = s.len > 0;
    for (size_t i = 0; i < s.len; i++) figures = figures && s.data[i] >= '0' && s.data[i] <= '9';
    if (!figures) {
        buf_append(out, s.data, s.len);
        return;
    }
    for (size_t i = 0; i < s.len; i++) buf_puts(out, raised[s.data[i] - '0']);
}

bool text_is_year(struct slice s) {
    return s.len == 4 && (!memcmp(s.data, "19", 2) || !memcmp(s.data, "20", 2)) && s.data[2] >= '0' &&
           s.data[2] <= '9' && s.data[3] >= '0' && s.data[3] <= '9';
}

struct slice text_cut(struct slice s, size_t max) {
    if (s.len <= max) return s;
    s.len = max;
    while (s.len && ((unsigned char)s.data[s.len] & 0xc0) == 0x80) s.len--;
    return s;
}
