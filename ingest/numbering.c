/* numbering.c: styles.xml and numbering.xml of a DOCX file: which paragraphs are headings, and the numbers that Word
 * computes and shows but never writes into the text (ECMA-376 part 1, 17.7 and 17.9). Owns the counters. */
#include "ingest/docx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_STYLES 20000u
#define MAX_NUMS 50000u

struct reading {
    struct docx_numbering *n;
    struct writer *w;
    struct docx_style *style;
    struct docx_abstract *abstract;
    struct docx_num *num;
    int level;
    bool in_ppr;
};

static void copy(char *out, size_t cap, const char *s) {
    snprintf(out, cap, "%s", s ? s : "");
}

static void nomem(struct reading *r) {
    writer_fail(r->w, ERR_NOMEM, r->w->o->name, "out of memory while reading DOCX");
}

static void style_start(void *context, const char *name, const char **a) {
    struct reading *r = context;
    struct docx_numbering *n = r->n;
    if (!strcmp(name, "style")) {
        if (n->n_styles >= MAX_STYLES) return;
        if (array_grow((void **)&n->styles, &n->cap_styles, n->n_styles + 1, sizeof *n->styles, r->w->e)) {
            nomem(r);
            return;
        }
        r->style = &n->styles[n->n_styles++];
        memset(r->style, 0, sizeof *r->style);
        r->style->outline = r->style->num = r->style->level = -1;
        copy(r->style->id, sizeof r->style->id, package_attribute(a, "styleId"));
    } else if (!r->style) {
        return;
    } else if (!strcmp(name, "name")) {
        copy(r->style->name, sizeof r->style->name, package_attribute(a, "val"));
    } else if (!strcmp(name, "basedOn")) {
        copy(r->style->based_on, sizeof r->style->based_on, package_attribute(a, "val"));
    } else if (!strcmp(name, "outlineLvl")) {
        r->style->outline = (int)package_number(a, "val", -1, 9);
    } else if (!strcmp(name, "numId")) {
        r->style->num = (int)package_number(a, "val", -1, 1 << 30);
    } else if (!strcmp(name, "ilvl")) {
        r->style->level = (int)package_number(a, "val", -1, 8);
    } else if (!strcmp(name, "b")) {
        r->style->bold = package_on(a);
    }
}

static void style_end(void *context, const char *name) {
    struct reading *r = context;
    if (!strcmp(name, "style")) r->style = NULL;
}

static struct docx_level *current_level(struct reading *r) {
    return r->abstract && r->level >= 0 ? &r->abstract->levels[r->level] : NULL;
}

static void numbering_start(void *context, const char *name, const char **a) {
    struct reading *r = context;
    struct docx_numbering *n = r->n;
    struct docx_level *l = current_level(r);
    if (!strcmp(name, "abstractNum") && n->n_abstracts < MAX_NUMS) {
        if (array_grow((void **)&n->abstracts, &n->cap_abstracts, n->n_abstracts + 1, sizeof *n->abstracts, r->w->e)) {
            nomem(r);
            return;
        }
        r->abstract = &n->abstracts[n->n_abstracts++];
        memset(r->abstract, 0, sizeof *r->abstract);
        r->abstract->id = (int)package_number(a, "abstractNumId", -1, 1 << 30);
        for (int i = 0; i < DOCX_LEVELS; i++) r->abstract->levels[i].start = 1;
        r->level = -1;
    } else if (!strcmp(name, "lvl") && r->abstract && !r->num) {
        r->level = (int)package_number(a, "ilvl", -1, DOCX_LEVELS - 1);
    } else if (!strcmp(name, "start") && l && !r->num) {
        l->start = package_number(a, "val", 1, 1000000);
    } else if (!strcmp(name, "numFmt") && l && !r->num) {
        copy(l->format, sizeof l->format, package_attribute(a, "val"));
    } else if (!strcmp(name, "lvlText") && l && !r->num) {
        copy(l->text, sizeof l->text, package_attribute(a, "val"));
    } else if (!strcmp(name, "isLgl") && l && !r->num) {
        l->legal = package_on(a);
    } else if (!strcmp(name, "num") && n->n_nums < MAX_NUMS) {
        if (array_grow((void **)&n->nums, &n->cap_nums, n->n_nums + 1, sizeof *n->nums, r->w->e)) {
            nomem(r);
            return;
        }
        r->num = &n->nums[n->n_nums++];
        memset(r->num, 0, sizeof *r->num);
        r->num->id = (int)package_number(a, "numId", -1, 1 << 30);
        r->num->abstract = -1;
        for (int i = 0; i < DOCX_LEVELS; i++) r->num->override[i] = -1;
        r->level = -1;
    } else if (!strcmp(name, "abstractNumId") && r->num) {
        r->num->abstract = (int)package_number(a, "val", -1, 1 << 30);
    } else if (!strcmp(name, "lvlOverride") && r->num) {
        r->level = (int)package_number(a, "ilvl", -1, DOCX_LEVELS - 1);
    } else if (!strcmp(name, "startOverride") && r->num && r->level >= 0) {
        r->num->override[r->level] = package_number(a, "val", 1, 1000000);
    }
}

static void numbering_end(void *context, const char *name) {
    struct reading *r = context;
    if (!strcmp(name, "abstractNum")) r->abstract = NULL;
    if (!strcmp(name, "num")) r->num = NULL;
}

int docx_numbering_read(struct docx_numbering *n, struct package *p, struct writer *w) {
    struct reading r = {.n = n, .w = w, .level = -1};
    int code = package_parse(p, "styles.xml", style_start, style_end, NULL, &r);
    if (!code) code = package_parse(p, "numbering.xml", numbering_start, numbering_end, NULL, &r);
    return code;
}

void docx_numbering_free(struct docx_numbering *n) {
    free(n->styles);
    free(n->abstracts);
    free(n->nums);
    memset(n, 0, sizeof *n);
}

const struct docx_style *docx_style(const struct docx_numbering *n, const char *id) {
    for (size_t i = 0; id[0] && i < n->n_styles; i++)
        if (!strcmp(n->styles[i].id, id)) return &n->styles[i];
    return NULL;
}

/* ---- numbers ---- */
static void format_number(const struct docx_level *l, long v, bool legal, char *out, size_t cap) {
    out[0] = 0;
    if (v < 0) v = 0;
    if (legal || !l->format[0] || !strcmp(l->format, "decimal"))
        snprintf(out, cap, "%ld", v);
    else if (!strcmp(l->format, "decimalZero"))
        snprintf(out, cap, "%02ld", v);
    else if (!strcmp(l->format, "lowerLetter") && v > 0)
        ordinal_letters((unsigned long)v, false, true, out, cap);
    else if (!strcmp(l->format, "upperLetter") && v > 0)
        ordinal_letters((unsigned long)v, true, true, out, cap);
    else if (!strcmp(l->format, "lowerRoman") && v < 5000)
        ordinal_roman((unsigned long)v, false, out, cap);
    else if (!strcmp(l->format, "upperRoman") && v < 5000)
        ordinal_roman((unsigned long)v, true, out, cap);
    else if (!strcmp(l->format, "ordinal"))
        snprintf(out, cap, "%ld%s", v,
                 v % 100 / 10 == 1 ? "th"
                 : v % 10 == 1     ? "st"
                 : v % 10 == 2     ? "nd"
                 : v % 10 == 3     ? "rd"
                                   : "th");
    else if (strcmp(l->format, "none"))
        snprintf(out, cap, "%ld", v);
}

bool docx_number(struct docx_numbering *n, int num_id, int level, char *out, size_t cap, bool *bullet) {
    struct docx_num *num = NULL;
    struct docx_abstract *abstract = NULL;
    out[0] = 0;
    *bullet = false;
    if (num_id <= 0) return false;
    if (level < 0) level = 0;
    if (level >= DOCX_LEVELS) level = DOCX_LEVELS - 1;
    for (size_t i = 0; i < n->n_nums; i++)
        if (n->nums[i].id == num_id) num = &n->nums[i];
    for (size_t i = 0; num && i < n->n_abstracts; i++)
        if (n->abstracts[i].id == num->abstract) abstract = &n->abstracts[i];
    if (!abstract) return false;
    struct docx_level *l = &abstract->levels[level];
    long start = num->override[level] >= 0 ? num->override[level] : l->start;
    if (num->override[level] >= 0 && !num->used[level])
        abstract->count[level] = start;
    else
        abstract->count[level] = abstract->begun[level] ? abstract->count[level] + 1 : start;
    num->used[level] = true;
    abstract->begun[level] = true;
    for (int i = level + 1; i < DOCX_LEVELS; i++) abstract->begun[i] = false;
    if (!strcmp(l->format, "bullet")) {
        *bullet = true;
        snprintf(out, cap, "-");
        return true;
    }
    if (!strcmp(l->format, "none") && !strchr(l->text, '%')) return false;
    size_t k = 0;
    for (const char *t = l->text; *t && k + 24 < cap; t++) {
        if (*t == '%' && t[1] >= '1' && t[1] <= '9') {
            int which = t[1] - '1';
            struct docx_level *from = &abstract->levels[which];
            if (!abstract->begun[which]) { /* a level that was skipped shows its start */
                abstract->count[which] = from->start;
                abstract->begun[which] = which < level;
            }
            format_number(from, abstract->count[which], l->legal, out + k, cap - k);
            k += strlen(out + k);
            t++;
        } else {
            out[k++] = *t;
        }
    }
    out[k] = 0;
    return k > 0;
}
