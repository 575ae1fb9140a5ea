/* family.c: the graph of the documents of a set. Owns parties and their names, kind, date and version of a document,
 * and how two documents stand to each other: same deal, perhaps the same, versions of one text, unrelated. Refuses to
 * connect documents whose known parties differ, unless one names the other.
 */
#include "engine/analysis/entity.h"
#include "engine/analysis/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPENING_STATEMENTS 14 /* where a document says who, when and what it changes */
#define SHINGLE_WORDS 4

/* Tokens of a range without keeping them: the words lie behind s->n_words until the next call. */
static int glance(struct detect_set *s, uint32_t doc, struct ingest_span span, struct word **w, uint32_t *n) {
    size_t before = s->n_words;
    if (subject_tokenise(s, doc, span.start, span.end, 0)) return ERR_NOMEM;
    *w = s->words + before;
    *n = (uint32_t)(s->n_words - before);
    s->n_words = before;
    return 0;
}

static int add_alias(struct detect_set *s, const uint32_t *ids, uint32_t n, uint32_t entity, uint32_t doc, bool role) {
    for (uint32_t k = s->lexicon.items[ids[0]].first_alias; k; k = s->aliases[k - 1].next) {
        const struct alias *al = &s->aliases[k - 1];
        if (al->entity == entity && al->doc == doc && al->n == n && memcmp(al->ids, ids, n * sizeof *ids) == 0)
            return 0;
    }
    void *p = s->aliases;
    if (array_grow(&p, &s->cap_aliases, s->n_aliases + 1, sizeof *s->aliases, s->error)) return ERR_NOMEM;
    s->aliases = p;
    struct alias *al = &s->aliases[s->n_aliases++];
    *al = (struct alias){
        .n = n, .entity = entity, .doc = doc, .role = role, .next = s->lexicon.items[ids[0]].first_alias};
    memcpy(al->ids, ids, n * sizeof *ids);
    s->lexicon.items[ids[0]].first_alias = (uint32_t)s->n_aliases;
    return 0;
}

static uint32_t find_entity(const struct detect_set *s, const uint32_t *key, uint32_t n) {
    for (uint32_t i = 0; i < s->n_entities; i++) {
        const struct entity *en = &s->entities[i];
        uint32_t k = en->n_key < n ? en->n_key : n;
        if (memcmp(en->key, key, k * sizeof *key) == 0) return i; /* equal, or the one is the beginning of the other */
    }
    return UINT32_MAX;
}

/* Names of more words are soon cut short: "Acme" of Acme Steel Limited, "the Trust" of the one party that is a trust. A
 * word that two parties share, or that names a role, is no name of either. */
static int brief_names(struct detect_set *s) {
    static const char *const kinds[] = {"trust",      "association", "foundation", "bank",    "council",
                                        "university", "hospital",    "institute",  "society", "authority"};
    uint32_t kind_ids[sizeof kinds / sizeof *kinds];
    for (size_t c = 0; c < sizeof kinds / sizeof *kinds; c++) {
        kind_ids[c] = lexicon_word(&s->lexicon, kinds[c], strlen(kinds[c]));
        if (kind_ids[c] == UINT32_MAX) return error_set(s->error, ERR_NOMEM, "", "out of memory");
    }
    for (uint32_t i = 0; i < s->n_entities; i++) {
        const struct entity *en = &s->entities[i];
        for (int last = 0; last < 2 && en->n_key > 1; last++) {
            uint32_t id = en->key[last ? en->n_key - 1 : 0];
            bool kind = false, taken = false;
            for (size_t c = 0; c < sizeof kinds / sizeof *kinds; c++) kind |= kind_ids[c] == id;
            for (uint32_t k = 0; k < s->n_entities; k++)
                for (uint32_t q = 0; q < s->entities[k].n_key && k != i; q++) taken |= s->entities[k].key[q] == id;
            for (size_t k = 0; k < s->n_aliases; k++)
                taken |= s->aliases[k].n == 1 && s->aliases[k].ids[0] == id && s->aliases[k].entity != i;
            if (taken || kind != (last == 1) || (!kind && s->lexicon.items[id].flags)) continue;
            size_t before = s->n_aliases;
            if (add_alias(s, &id, 1, i, INGEST_NONE, false)) return ERR_NOMEM;
            if (s->n_aliases > before) s->aliases[before].brief = true;
        }
    }
    return 0;
}

int family_entities(struct detect_set *s) {
    s->family = arena_array(&s->scratch, s->n_docs, sizeof *s->family);
    if (s->n_docs && !s->family) return error_set(s->error, ERR_NOMEM, "", "out of memory");
    struct role {
        uint32_t id, entity;
        bool clash;
    } roles[64];
    size_t n_roles = 0;
    for (uint32_t d = 0; d < s->n_docs; d++) {
        const struct ingest_document *doc = s->docs[d];
        struct family_document *fam = &s->family[d];
        fam->date = INT32_MIN;
        fam->amends = INGEST_NONE;
        for (size_t i = 0; i < doc->n_facts; i++) {
            const struct ingest_fact *f = &doc->facts[i];
            if (f->kind != INGEST_PARTY || f->subject.end <= f->subject.start) continue;
            struct word *w;
            uint32_t n, key[ALIAS_WORDS], n_key = 0, full[ALIAS_WORDS], n_full = 0;
            if (glance(s, d, f->subject, &w, &n)) return ERR_NOMEM;
            /* "This policy of Corvane Desalination Limited": the name is the last run of capitals */
            uint32_t begin = 0;
            for (uint32_t k = 0; k + 1 < n; k++)
                if ((!(w[k].flags & WORD_CAPITAL) && !(s->lexicon.items[w[k].id].flags & LEXICON_FUNCTION)) ||
                    words_in(s, d, &w[k], "by")) /* "adopted by the" */
                    begin = k + 1;
            while (begin + 1 < n && s->lexicon.items[w[begin].id].flags & LEXICON_FUNCTION) begin++;
            if (begin + 2 < n && words_in(s, d, &w[begin], "board") && words_in(s, d, &w[begin + 1], "of")) begin += 2;
            bool capitals = false;
            for (uint32_t k = begin; k < n; k++) capitals |= (w[k].flags & WORD_CAPITAL) != 0;
            if (!capitals) begin = 0;
            while (begin + 1 < n && s->lexicon.items[w[begin].id].flags & LEXICON_FUNCTION) begin++;
            w += begin;
            n -= begin;
            for (uint32_t k = 0; k < n; k++) {
                uint32_t flags = s->lexicon.items[w[k].id].flags;
                if (k == 0 && flags & LEXICON_FUNCTION) continue;
                if (flags & LEXICON_COMPANY) {
                    if (n_key) break;
                    continue;
                }
                if (n_key < ALIAS_WORDS && !(flags & LEXICON_FUNCTION)) key[n_key++] = w[k].id;
                if (n_full < ALIAS_WORDS) full[n_full++] = w[k].id;
            }
            if (!n_key || !n_full) continue;
            uint32_t en = find_entity(s, key, n_key);
            if (en == UINT32_MAX) {
                void *p = s->entities;
                if (array_grow(&p, &s->cap_entities, s->n_entities + 1, sizeof *s->entities, s->error))
                    return ERR_NOMEM;
                s->entities = p;
                en = (uint32_t)s->n_entities;
                char name[24];
                int len = snprintf(name, sizeof name, "@%u", en);
                s->entities[en] = (struct entity){.id = lexicon_exact(&s->lexicon, name, (size_t)len), .n_key = n_key};
                if (s->entities[en].id == UINT32_MAX) return error_set(s->error, ERR_NOMEM, "", "out of memory");
                memcpy(s->entities[en].key, key, n_key * sizeof *key);
                s->n_entities++;
            }
            if (add_alias(s, full, n_full, en, INGEST_NONE, false)) return ERR_NOMEM;
            bool known = false;
            for (uint32_t k = 0; k < fam->n_parties; k++) known |= fam->parties[k] == en;
            if (!known && fam->n_parties < FAMILY_PARTIES) fam->parties[fam->n_parties++] = en;
            if (f->object.end > f->object.start) {
                uint32_t ids[ALIAS_WORDS], m = 0;
                if (glance(s, d, f->object, &w, &n)) return ERR_NOMEM;
                for (uint32_t k = 0; k < n && m < ALIAS_WORDS; k++)
                    if (m || !(s->lexicon.items[w[k].id].flags & LEXICON_FUNCTION)) ids[m++] = w[k].id;
                if (!m) continue;
                bool role = m == 1 && ids[0] != key[0];
                if (add_alias(s, ids, m, en, role ? d : INGEST_NONE, role)) return ERR_NOMEM;
                if (!role) continue;
                size_t r = 0;
                while (r < n_roles && roles[r].id != ids[0]) r++;
                if (r == n_roles && n_roles < sizeof roles / sizeof *roles)
                    roles[n_roles++] = (struct role){ids[0], en, false};
                else if (r < n_roles && roles[r].entity != en)
                    roles[r].clash = true;
            }
        }
    }
    if (brief_names(s)) return ERR_NOMEM;
    /* a role that one party alone has in the whole set is that party in documents that do not define it, too */
    for (size_t r = 0; r < n_roles; r++)
        if (!roles[r].clash && add_alias(s, &roles[r].id, 1, roles[r].entity, INGEST_NONE, true)) return ERR_NOMEM;
    return 0;
}

/* ---- kind, date, version ---- */
static bool has_phrase(struct slice t, const char *phrase) {
    size_t n = strlen(phrase);
    for (size_t i = 0; i + n <= t.len; i++)
        if (slice_equal_nocase((struct slice){t.data + i, n}, (struct slice){phrase, n}) &&
            (i == 0 || !((t.data[i - 1] | 32) >= 'a' && (t.data[i - 1] | 32) <= 'z')))
            return true;
    return false;
}

static double version_in(struct slice t) {
    static const char *const cues[] = {"version ", "revision ", "rev. ", "rev ", "edition ", "issue ", "release ", "v"};
    for (size_t c = 0; c < sizeof cues / sizeof *cues; c++) {
        size_t n = strlen(cues[c]);
        for (size_t i = 0; i + n < t.len; i++) {
            if (!slice_equal_nocase((struct slice){t.data + i, n}, (struct slice){cues[c], n})) continue;
            if (i && ((t.data[i - 1] | 32) >= 'a' && (t.data[i - 1] | 32) <= 'z')) continue;
            size_t k = i + n;
            if (k + 3 < t.len && slice_equal_nocase((struct slice){t.data + k, 3}, SLICE_LITERAL("no."))) k += 3;
            while (k < t.len && t.data[k] == ' ') k++;
            if (k < t.len && t.data[k] >= '0' && t.data[k] <= '9') {
                double v = 0, scale = 1;
                for (; k < t.len && t.data[k] >= '0' && t.data[k] <= '9'; k++) v = v * 10 + (t.data[k] - '0');
                if (k + 1 < t.len && t.data[k] == '.')
                    for (k++; k < t.len && t.data[k] >= '0' && t.data[k] <= '9'; k++)
                        v += (t.data[k] - '0') * (scale *= 0.01);
                if (v > 0 && v < 1900) return v;
            }
        }
    }
    return 0;
}

static int32_t date_in_name(struct slice name) {
    for (size_t i = 0; i + 4 <= name.len; i++) {
        const char *p = name.data + i;
        if ((p[0] != '1' && p[0] != '2') || (p[1] != '9' && p[1] != '0')) continue;
        if (i && p[-1] >= '0' && p[-1] <= '9') continue;
        int digits[8], n = 0;
        size_t k = i;
        for (; k < name.len && n < 8; k++) {
            if (name.data[k] >= '0' && name.data[k] <= '9')
                digits[n++] = name.data[k] - '0';
            else if (!((name.data[k] == '-' || name.data[k] == '_' || name.data[k] == '.') && (n == 4 || n == 6)))
                break;
        }
        if (n < 4) continue;
        int y = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3],
            m = n >= 6 ? digits[4] * 10 + digits[5] : 1, dd = n >= 8 ? digits[6] * 10 + digits[7] : 1;
        if (y < 1950 || y > 2100) continue;
        if (m < 1 || m > 12) m = 1;
        if (dd < 1 || dd > 31) dd = 1;
        return value_civil(y, m, dd);
    }
    return INT32_MIN;
}

static void read_opening(struct detect_set *s, uint32_t d) {
    const struct ingest_document *doc = s->docs[d];
    struct family_document *fam = &s->family[d];
    struct slice title = doc->title;
    fam->title_text = title;
    for (int k = 0; k < 2; k++) {
        struct slice t = k ? doc->name : title;
        if (has_phrase(t, "amendment") || has_phrase(t, "addendum") || has_phrase(t, "deed of variation") ||
            has_phrase(t, "variation agreement") || has_phrase(t, "side letter") ||
            has_phrase(t, "supplemental agreement") || has_phrase(t, "modification agreement") ||
            has_phrase(t, "change order") || has_phrase(t, "corrigendum") || has_phrase(t, "erratum"))
            fam->amendment = true;
        if (has_phrase(t, "amended and restated") || has_phrase(t, "restated")) fam->restated = true;
        if (has_phrase(t, "term sheet") || has_phrase(t, "letter of intent") ||
            has_phrase(t, "memorandum of understanding") || has_phrase(t, "heads of terms") ||
            has_phrase(t, "proposal") || has_phrase(t, "quotation") || has_phrase(t, "draft"))
            fam->preliminary = true;
        if (fam->version == 0) fam->version = version_in(t);
    }
    if (fam->restated) fam->amendment = false;
    int best = 0;
    for (size_t i = 0; i < doc->n_facts && doc->facts[i].statement < OPENING_STATEMENTS; i++) {
        const struct ingest_fact *f = &doc->facts[i];
        if (f->kind != INGEST_DATE || f->year < 1900 || f->month < 1) continue;
        struct slice t = ingest_text(doc, doc->statements[f->statement].span);
        int rank = 1;
        if (has_phrase(t, "effective") || has_phrase(t, "dated") || has_phrase(t, "made on") ||
            has_phrase(t, "made as of") || has_phrase(t, "entered into") || has_phrase(t, "in force") ||
            has_phrase(t, "last updated") || has_phrase(t, "valid from") || has_phrase(t, "applies from") ||
            has_phrase(t, "issued") || has_phrase(t, "takes effect"))
            rank = 2;
        if (rank <= best) continue;
        best = rank;
        fam->date = value_civil(f->year, f->month, f->day ? f->day : 1);
        fam->title_statement = f->statement;
    }
    int32_t named = date_in_name(doc->name);
    if (best < 2 && named != INT32_MIN) fam->date = named;
    for (size_t i = 0; i < doc->n_statements && i < OPENING_STATEMENTS; i++) {
        struct slice t = ingest_text(doc, doc->statements[i].span);
        if (fam->version == 0 && (i < 4 || t.len < 80)) fam->version = version_in(t);
    }
}

static int cmp_u32(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static int build_shingles(struct detect_set *s, uint32_t d) {
    struct family_document *fam = &s->family[d];
    uint32_t from = s->first_unit[d], to = s->first_unit[d + 1];
    size_t n = 0;
    for (uint32_t u = from; u < to; u++) n += s->units[u].n_words;
    fam->shingles = arena_array(&s->scratch, n + 1, sizeof *fam->shingles);
    if (!fam->shingles) return error_set(s->error, ERR_NOMEM, "", "out of memory");
    const uint32_t mask =
        s->n_words > 400000 ? 7 : 0; /* in a large set every eighth by hash value, the same in all documents */
    size_t m = 0;
    uint32_t ring[SHINGLE_WORDS] = {0}, k = 0;
    for (uint32_t u = from; u < to; u++) {
        for (uint32_t i = 0; i < s->units[u].n_words; i++) {
            const struct word *w = &s->words[s->units[u].word + i];
            if (w->class == WORD_SKIP || w->class == WORD_NUMBER || w->flags & WORD_LEAD) continue;
            ring[k++ % SHINGLE_WORDS] = w->id;
            if (k < SHINGLE_WORDS) continue;
            uint32_t h = 2166136261u;
            for (uint32_t q = 0; q < SHINGLE_WORDS; q++)
                h = (h ^ ring[(k + q) % SHINGLE_WORDS]) * 16777619u, h ^= h >> 15;
            if ((h & mask) == 0) fam->shingles[m++] = h;
        }
    }
    qsort(fam->shingles, m, sizeof *fam->shingles, cmp_u32);
    size_t kept = 0;
    for (size_t i = 0; i < m; i++)
        if (!kept || fam->shingles[kept - 1] != fam->shingles[i]) fam->shingles[kept++] = fam->shingles[i];
    fam->n_shingles = kept;
    return 0;
}

size_t family_shared(const uint32_t *a, size_t na, const uint32_t *b, size_t nb) {
    size_t both = 0;
    for (size_t i = 0, k = 0; i < na && k < nb;)
        if (a[i] == b[k])
            both++, i++, k++;
        else if (a[i] < b[k])
            i++;
        else
            k++;
    return both;
}

static void overlap(const uint32_t *a, size_t na, const uint32_t *b, size_t nb, double *jaccard, double *cover) {
    size_t both = family_shared(a, na, b, nb);
    *jaccard = na + nb ? (double)both / (double)(na + nb - both) : 0;
    *cover = na && nb ? (double)both / (double)(na < nb ? na : nb) : 0;
}

/* How much of document b's title stands in the opening of document a (title included), 0..1; light words count a
 * quarter. */
static float names_title(const struct detect_set *s, uint32_t a, uint32_t b) {
    const struct family_document *fa = &s->family[a], *fb = &s->family[b];
    float have = 0, all = 0;
    uint32_t heavy = 0;
    for (size_t i = 0; i < fb->n_title; i++) {
        const struct lexeme *l = &s->lexicon.items[fb->title[i]];
        float w = l->flags & LEXICON_LIGHT ? 0.25f : 1;
        bool found = false;
        for (size_t k = 0; k < fa->n_title && !found; k++) found = fa->title[k] == fb->title[i];
        uint32_t to = s->first_unit[a] + OPENING_STATEMENTS < s->first_unit[a + 1]
                          ? s->first_unit[a] + OPENING_STATEMENTS
                          : s->first_unit[a + 1];
        for (uint32_t u = s->first_unit[a]; u < to && !found; u++)
            for (uint32_t k = 0; k < s->units[u].n_words && !found; k++)
                found = s->words[s->units[u].word + k].id == fb->title[i];
        all += w;
        if (found) have += w, heavy += w >= 1;
    }
    return all > 0 && heavy ? have / all : 0;
}

/* Shared words of the two titles alone, without figures: 0..1. */
static float same_title(const struct detect_set *s, uint32_t a, uint32_t b) {
    const struct family_document *f[2] = {&s->family[a], &s->family[b]};
    float sum[2] = {0}, both = 0;
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < f[k]->n_title; i++) {
            const struct lexeme *l = &s->lexicon.items[f[k]->title[i]];
            bool digit = false;
            for (size_t q = 0; q < l->stem.len; q++) digit |= l->stem.data[q] >= '0' && l->stem.data[q] <= '9';
            if (digit || l->flags & LEXICON_MONTH || slice_equal(l->stem, slice_of("version")) ||
                slice_equal(l->stem, slice_of("effectiv")) || slice_equal(l->stem, slice_of("restat")) ||
                slice_equal(l->stem, slice_of("amend")) || slice_equal(l->stem, slice_of("revis")))
                continue;
            float w = l->flags & LEXICON_LIGHT ? 0.4f : 1;
            sum[k] += w;
            if (k) continue;
            for (size_t q = 0; q < f[1]->n_title; q++)
                if (f[1]->title[q] == f[0]->title[i]) both += w;
        }
    return sum[0] + sum[1] > 0 ? 2 * both / (sum[0] + sum[1]) : 0;
}

/* The names a document uses most: what it is about where no parties are listed. */
static void find_names(struct detect_set *s, uint32_t d) {
    struct family_document *fam = &s->family[d];
    uint32_t ids[256], counts[256], n = 0;
    for (uint32_t u = s->first_unit[d]; u < s->first_unit[d + 1]; u++)
        for (uint32_t k = 0; k < s->units[u].n_words; k++) {
            const struct word *w = &s->words[s->units[u].word + k];
            if (w->class != WORD_NAME || w->flags & WORD_LEAD) continue;
            uint32_t q = 0;
            while (q < n && ids[q] != w->id) q++;
            if (q == n && n < 256) ids[n] = w->id, counts[n++] = 0;
            if (q < n) counts[q]++;
        }
    for (uint32_t k = 0; k < 8; k++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t q = 0; q < n; q++)
            if (counts[q] >= 2 && (best == UINT32_MAX || counts[q] > counts[best])) best = q;
        if (best == UINT32_MAX) break;
        fam->names[fam->n_names++] = ids[best];
        counts[best] = 0;
    }
}

/* One product, study or project in both titles: "NVX-301". */
static bool same_code(const struct detect_set *s, uint32_t a, uint32_t b) {
    for (size_t i = 0; i < s->family[a].n_title; i++) {
        const struct lexeme *l = &s->lexicon.items[s->family[a].title[i]];
        bool digit = false, letter = false;
        for (size_t q = 0; q < l->stem.len; q++) {
            digit |= l->stem.data[q] >= '0' && l->stem.data[q] <= '9';
            letter |= (l->stem.data[q] | 32) >= 'a' && (l->stem.data[q] | 32) <= 'z';
        }
        bool name = l->n_upper > 1 && l->n_lower == 0 && !l->flags && !l->group[0];
        if (!(digit && letter && l->stem.len >= 3) && !name) continue;
        for (size_t k = 0; k < s->family[b].n_title; k++)
            if (s->family[b].title[k] == s->family[a].title[i]) return true;
    }
    return false;
}

/* Both have names of their own and know few of each other's. */
static bool knows(const struct detect_set *s, uint32_t doc, uint32_t id) {
    size_t lo = s->vocabulary_first[doc], hi = s->vocabulary_first[doc + 1];
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->vocabulary[mid] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < s->vocabulary_first[doc + 1] && s->vocabulary[lo] == id) return true;
    for (size_t k = 0; k < s->family[doc].n_title; k++)
        if (s->family[doc].title[k] == id) return true;
    return false;
}

/* Annual reports and the like list no parties and share most of their words; each is about whom it names most often. Of
 * long documents only: the short ones of a deal name different people. */
static bool about_others(const struct detect_set *s, uint32_t a, uint32_t b) {
    for (int side = 0; side < 2; side++) {
        uint32_t d = side ? b : a, o = side ? a : b;
        const struct family_document *f = &s->family[d], *g = &s->family[o];
        if (s->docs[d]->n_statements < LONG_STATEMENTS || !f->n_names || g->n_names < 2) return false;
        for (uint32_t i = 0; i < g->n_names; i++)
            if (g->names[i] == f->names[0]) return false;
    }
    return true;
}

static bool strangers(const struct detect_set *s, uint32_t a, uint32_t b) {
    if (about_others(s, a, b)) return true;
    for (int side = 0; side < 2; side++) {
        const struct family_document *f = &s->family[side ? b : a];
        uint32_t unknown = 0;
        if (f->n_names < 2) return false;
        for (uint32_t i = 0; i < f->n_names; i++) unknown += !knows(s, side ? a : b, f->names[i]);
        if (unknown < 2 || unknown * 5 < f->n_names * 3) return false;
    }
    return true;
}

/* A party has another role in each, and none has the same in both. */
static bool other_roles(const struct detect_set *s, uint32_t a, uint32_t b) {
    uint32_t same = 0, other = 0;
    for (size_t i = 0; i < s->n_aliases; i++)
        for (size_t k = 0; k < s->n_aliases; k++) {
            const struct alias *x = &s->aliases[i], *y = &s->aliases[k];
            if (!x->role || !y->role || x->doc != a || y->doc != b || x->entity != y->entity) continue;
            ++*(x->ids[0] == y->ids[0] ? &same : &other);
        }
    return other && !same;
}

/* ---- who speaks ---- */
#define TITLE_PAGE 40 /* statements; the cover of a filing names its registrant within the first twenty */

static bool states_name(const struct detect_set *s, const struct subject_statement *u, const uint32_t *name,
                        uint32_t n) {
    for (uint32_t i = 0; i + n <= u->n_words; i++) {
        uint32_t k = 0;
        while (k < n && s->words[u->word + i + k].id == name[k]) k++;
        if (k == n) return true;
    }
    return false;
}

/* The name that stands alone on a line: capitals only, "Inc." and the like left out. 0: the line is something else. */
static uint32_t name_of_line(const struct detect_set *s, const struct subject_statement *u, bool company,
                             uint32_t name[FAMILY_ISSUER]) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        uint32_t flags = s->lexicon.items[w->id].flags;
        if (w->flags & WORD_LEAD) continue;
        if (flags & LEXICON_COMPANY) {
            company |= i + 1 == u->n_words;
            continue;
        }
        if (w->class == WORD_FUNCTION || w->class == WORD_SKIP) continue;
        char first = s->docs[u->doc]->text.data[w->start];
        if ((first >= 'a' && first <= 'z') || words_digit((unsigned char)first) || n == FAMILY_ISSUER) return 0;
        name[n++] = w->id;
    }
    return company ? n : 0;
}

/* Reports list no parties: who says "we", "the Company", "the Registrant" stands on the title page. */
static void find_issuer(struct detect_set *s, uint32_t d) {
    struct family_document *fam = &s->family[d];
    for (uint32_t i = 0; i < TITLE_PAGE && i < s->docs[d]->n_statements && fam->n_parties == 0; i++) {
        const struct subject_statement *u = &s->units[s->first_unit[d] + i];
        struct slice next = i + 1 < s->docs[d]->n_statements
                                ? ingest_text(s->docs[d], s->docs[d]->statements[i + 1].span)
                                : (struct slice){0};
        bool charter = has_phrase(next, "exact name of registrant") || has_phrase(next, "name of issuer");
        if (!charter && i >= OPENING_STATEMENTS) continue;
        uint32_t name[FAMILY_ISSUER], n = name_of_line(s, u, charter, name);
        if (!n || (fam->n_issuer && !charter)) continue;
        memcpy(fam->issuer, name, n * sizeof *name);
        fam->n_issuer = n;
        if (charter) return;
    }
}

/* Reports of two companies that hardly speak of each other: "we" of the one is not "we" of the other. A lender or
 * supplier named once in a long report does not make it a paper of theirs. */
#define MENTION_EVERY 200 /* statements; the filings at hand name an outsider in less than one of a thousand */
static bool other_issuer(const struct detect_set *s, uint32_t a, uint32_t b) {
    const struct family_document *fa = &s->family[a], *fb = &s->family[b];
    uint32_t n = fa->n_issuer < fb->n_issuer ? fa->n_issuer : fb->n_issuer;
    if (!n || memcmp(fa->issuer, fb->issuer, n * sizeof *fa->issuer) == 0) return false;
    for (int side = 0; side < 2; side++) {
        uint32_t d = side ? b : a;
        const struct family_document *f = side ? fa : fb;
        if (!knows(s, d, f->issuer[0])) continue;
        uint32_t count = s->first_unit[d + 1] - s->first_unit[d], hits = 0;
        for (uint32_t i = 0; i < count; i++) {
            bool hit = states_name(s, &s->units[s->first_unit[d] + i], f->issuer, f->n_issuer);
            if (hit && i < TITLE_PAGE) return false;
            hits += hit;
        }
        if (hits && hits * MENTION_EVERY >= count) return false;
    }
    return true;
}

int family_build(struct detect_set *s) {
    for (uint32_t d = 0; d < s->n_docs; d++) {
        const struct ingest_document *doc = s->docs[d];
        struct family_document *fam = &s->family[d];
        read_opening(s, d);
        find_names(s, d);
        find_issuer(s, d);
        if (build_shingles(s, d)) return ERR_NOMEM;
        /* words of the title: they lie outside the text, so they are read by hand */
        fam->title = arena_array(&s->scratch, 48, sizeof *fam->title);
        if (!fam->title) return error_set(s->error, ERR_NOMEM, "", "out of memory");
        for (int k = 0; k < 2; k++) {
            struct slice t = k ? doc->name : doc->title;
            if (k) { /* the name without folders and ending */
                for (size_t i = t.len; i > 0; i--)
                    if (t.data[i - 1] == '/') {
                        t = (struct slice){t.data + i, t.len - i};
                        break;
                    }
                for (size_t i = t.len; i > 1; i--)
                    if (t.data[i - 1] == '.') {
                        t.len = i - 1;
                        break;
                    }
            }
            bool named = false;
            for (size_t i = 0; i < t.len && fam->n_title < 48;) {
                size_t j = i;
                bool digit = false, model = named; /* "Sarno 4" */
                while (j < t.len &&
                       ((t.data[j] >= '0' && t.data[j] <= '9' && (digit = true)) ||
                        ((t.data[j] | 32) >= 'a' && (t.data[j] | 32) <= 'z') || (unsigned char)t.data[j] >= 0x80 ||
                        (t.data[j] == '-' && j > i && digit == false && j + 1 < t.len && t.data[j + 1] >= '0' &&
                         t.data[j + 1] <= '9' && t.data[i] >= 'A' && t.data[i] <= 'Z')))
                    j++;
                if (j > i) {
                    uint32_t id = digit ? lexicon_exact(&s->lexicon, t.data + i, j - i)
                                        : lexicon_word(&s->lexicon, t.data + i, j - i);
                    if (id == UINT32_MAX) return error_set(s->error, ERR_NOMEM, "", "out of memory");
                    bool known = s->lexicon.items[id].flags & LEXICON_FUNCTION || (j - i == 1 && !digit) ||
                                 (digit && j - i < 2 && !model);
                    named = !digit && !(s->lexicon.items[id].flags & (LEXICON_FUNCTION | LEXICON_LIGHT)) &&
                            !slice_equal(s->lexicon.items[id].stem, slice_of("version")) &&
                            !slice_equal(s->lexicon.items[id].stem, slice_of("amend")) &&
                            !slice_equal(s->lexicon.items[id].stem, slice_of("revis"));
                    for (size_t q = 0; q < fam->n_title && !known; q++) known = fam->title[q] == id;
                    if (!known) fam->title[fam->n_title++] = id;
                }
                i = j > i ? j : i + 1;
            }
        }
        /* parties that are only named: in documents without their own list of parties; in a letter one alone is no list
         */
        if (fam->n_parties == 0 || (fam->n_parties == 1 && doc->n_statements < LONG_STATEMENTS)) {
            uint32_t to = s->first_unit[d] + OPENING_STATEMENTS < s->first_unit[d + 1]
                              ? s->first_unit[d] + OPENING_STATEMENTS
                              : s->first_unit[d + 1];
            for (uint32_t u = s->first_unit[d]; u < to; u++)
                for (uint32_t k = 0; k < s->units[u].n_words; k++) {
                    const struct word *w = &s->words[s->units[u].word + k];
                    if (w->class != WORD_ENTITY) continue;
                    uint32_t en = (uint32_t)strtoul(s->lexicon.items[w->id].stem.data + 1, NULL, 10);
                    bool known = false;
                    for (uint32_t q = 0; q < fam->n_parties; q++) known |= fam->parties[q] == en;
                    if (!known && fam->n_parties < FAMILY_PARTIES) fam->parties[fam->n_parties++] = en;
                }
        }
    }
    s->relation = arena_array(&s->scratch, s->n_docs * s->n_docs + 1, 1);
    if (!s->relation) return error_set(s->error, ERR_NOMEM, "", "out of memory");
    for (uint32_t a = 0; a < s->n_docs; a++) {
        for (uint32_t b = a + 1; b < s->n_docs; b++) {
            const struct family_document *fa = &s->family[a], *fb = &s->family[b];
            uint32_t both = 0;
            for (uint32_t i = 0; i < fa->n_parties; i++)
                for (uint32_t k = 0; k < fb->n_parties; k++) both += fa->parties[i] == fb->parties[k];
            enum document_relation r = RELATION_COMPATIBLE;
            uint32_t least = fa->n_parties < fb->n_parties ? fa->n_parties : fb->n_parties;
            float named = fmaxf(names_title(s, a, b), names_title(s, b, a));
            if (least > 0) {
                if (both == least)
                    r = RELATION_FAMILY;
                else if (both > 0 && (named > 0.7f || both * 2 > least))
                    r = RELATION_FAMILY;
                else
                    r = named > 0.9f ? RELATION_COMPATIBLE : RELATION_DIFFERENT;
                /* two contracts of one kind with each somebody else in them are two deals */
                uint32_t most = fa->n_parties > fb->n_parties ? fa->n_parties : fb->n_parties;
                if (r == RELATION_FAMILY && both < most && both < least && same_title(s, a, b) > 0.7f)
                    r = RELATION_DIFFERENT;
                if (both == least && least == 1 && fa->n_parties > 1 && fb->n_parties > 1) r = RELATION_DIFFERENT;
                /* what a maker and a user each say of one product; two deals about it are two deals */
                if (both == 0 && least == 1 && same_code(s, a, b) && same_title(s, a, b) <= 0.7f) r = RELATION_FAMILY;
            } else if (named > 0.7f) {
                r = RELATION_FAMILY;
            }
            if (r == RELATION_COMPATIBLE && strangers(s, a, b)) r = RELATION_DIFFERENT;
            if (r == RELATION_COMPATIBLE && same_code(s, a, b)) r = RELATION_FAMILY;
            if (other_issuer(s, a, b)) r = RELATION_DIFFERENT;
            if (r == RELATION_FAMILY && named <= 0.7f && !fa->amendment && !fb->amendment && other_roles(s, a, b))
                r = RELATION_SIBLING;
            double jaccard, cover;
            overlap(fa->shingles, fa->n_shingles, fb->shingles, fb->n_shingles, &jaccard, &cover);
            bool dated = (fa->date != INT32_MIN && fb->date != INT32_MIN && fa->date != fb->date) ||
                         (fa->version > 0 && fb->version > 0 && fa->version != fb->version);
            double titles = same_title(s, a, b);
            if (r != RELATION_DIFFERENT && !fa->amendment && !fb->amendment && fa->n_shingles > 5 &&
                fb->n_shingles > 5 && (dated || fa->restated != fb->restated) &&
                ((jaccard > 0.3 && titles > 0.45) || jaccard > 0.5 || (cover > 0.6 && titles > 0.45)))
                r = RELATION_VERSION;
            s->relation[a * s->n_docs + b] = s->relation[b * s->n_docs + a] = (uint8_t)r;
        }
    }
    /* what an amendment amends: the document of its family whose title it names best, never a later one */
    for (uint32_t a = 0; a < s->n_docs; a++) {
        if (!s->family[a].amendment) continue;
        float best = 0.3f;
        for (uint32_t b = 0; b < s->n_docs; b++) {
            if (a == b || s->family[b].amendment || s->relation[a * s->n_docs + b] == RELATION_DIFFERENT) continue;
            float score = names_title(s, a, b) + (s->relation[a * s->n_docs + b] == RELATION_FAMILY ? 0.25f : 0);
            double jaccard, cover; /* it repeats headings and clauses of what it amends */
            overlap(s->family[a].shingles, s->family[a].n_shingles, s->family[b].shingles, s->family[b].n_shingles,
                    &jaccard, &cover);
            score += (float)cover * 0.3f + (s->docs[b]->n_statements > s->docs[a]->n_statements ? 0.1f : 0);
            if (score > best) best = score, s->family[a].amends = b;
        }
        if (s->family[a].amends != INGEST_NONE) {
            size_t k = a * s->n_docs + s->family[a].amends, q = s->family[a].amends * s->n_docs + a;
            s->relation[k] = s->relation[q] = RELATION_FAMILY;
        }
    }
    return 0;
}

enum document_relation family_relation(const struct detect_set *s, uint32_t a, uint32_t b) {
    return a == b ? RELATION_SAME : (enum document_relation)s->relation[a * s->n_docs + b];
}
