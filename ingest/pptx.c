/* pptx.c: the slides of a PPTX file in their order (ECMA-376 part 1, 19) -> a page for each ("slide 3"): its title,
 * then the text of its shapes in the order in which a screen reader says them (the tree's), with computed numbers,
 * tables, charts as tables of their values, diagrams; a slide without a title is headed "Slide 3". Speaker's notes are
 * pages of their own ("notes of slide 3"). Hidden slides and shapes, struck-through text, comments, embedded objects,
 * footers and slide numbers are out, the document says so in warnings; a slide of pictures alone counts as a page
 * without text. */
#include "ingest/package.h"
#include "ingest/sheet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PPTX_MAX_SLIDES 20000u
#define PPTX_MAX_LINKS 64      /* charts, diagrams, notes, comments of one slide */
#define PPTX_MAX_POINTS 50000u /* names and values of one chart */
#define PPTX_LEVELS 9

enum pass { PASS_TITLE, PASS_BODY, PASS_NOTES };

struct slide {
    char id[64], part[300];
};
struct link {
    char id[64], type[40], target[300];
};
struct para {
    struct runs runs;
    int level;
    bool dot, plain; /* a bullet said; none said */
    char count[24];  /* "arabicPeriod"; empty: not counted */
    long start;
    bool bold, struck, raised; /* of the run */
};
struct deck {
    struct writer *w;
    struct package *package;
    struct slide *slides;
    size_t n_slides, cap_slides;
    long first; /* number of the first slide */
    struct link links[PPTX_MAX_LINKS];
    size_t n_links;
    /* the part being read */
    enum pass pass;
    int depth, skip;      /* skip > 0: in what older programs show instead */
    int hidden;           /* depth of the hidden shape, 0: none */
    char placeholder[16]; /* of the shape: "title", "body", "ftr" ...; empty: a shape of its own */
    bool in_para, in_text, slide_hidden, pictures, notes_begun;
    struct para para;
    struct buf title;
    long count[PPTX_LEVELS]; /* 0: not begun */
    char counted[PPTX_LEVELS][24];
    struct table table;
    int tables;
    bool first_row, covered;
    uint32_t n_rows;
    char label[40];
    unsigned n_comments, n_hidden, n_objects;
    bool struck;
};

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static bool ends(const char *s, const char *with) {
    size_t n = strlen(s), m = strlen(with);
    return n >= m && is(s + n - m, with);
}

static int nomem(struct writer *w) {
    return writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading PPTX");
}

/* ---- charts ---- */
struct point {
    uint32_t series, index;
    bool value; /* else the name of its row */
    size_t at, len;
};
struct chart {
    struct writer *w;
    struct buf title, text, v, format, names; /* names: of the series, each with '\n' behind it */
    struct point *points;
    size_t n_points, cap_points;
    uint32_t n_series, index;
    bool in_plot, in_title, in_series_name, in_names, in_values, in_v, in_format, in_t;
};

static void chart_start(void *context, const char *name, const char **a) {
    struct chart *c = context;
    if (is(name, "chart:plotArea"))
        c->in_plot = true;
    else if (is(name, "chart:title"))
        c->in_title = !c->in_plot; /* those behind belong to axes */
    else if (is(name, "chart:ser"))
        c->n_series++;
    else if (is(name, "chart:tx"))
        c->in_series_name = c->in_plot;
    else if (is(name, "chart:cat") || is(name, "chart:xVal"))
        c->in_names = true;
    else if (is(name, "chart:val") || is(name, "chart:yVal"))
        c->in_values = true;
    else if (is(name, "chart:strCache") || is(name, "chart:numCache"))
        c->format.len = 0;
    else if (is(name, "chart:formatCode"))
        c->in_format = true;
    else if (is(name, "chart:pt"))
        c->index = (uint32_t)package_number(a, "idx", 0, 1000000);
    else if (is(name, "chart:v"))
        c->in_v = true, c->v.len = 0;
    else if (is(name, "t"))
        c->in_t = c->in_title;
}

/* The value as the chart shows it: by its number format. */
static void put_value(struct chart *c) {
    char *end;
    double x = c->v.len ? strtod(c->v.data, &end) : 0;
    if (c->format.len && c->v.len && !*end)
        number_format(c->format.data, x, false, &c->text);
    else
        buf_append(&c->text, c->v.data, c->v.len);
}

static void chart_end(void *context, const char *name) {
    struct chart *c = context;
    if (is(name, "chart:title")) {
        c->in_title = false;
    } else if (is(name, "chart:tx")) {
        c->in_series_name = false;
    } else if (is(name, "chart:cat") || is(name, "chart:xVal")) {
        c->in_names = false;
    } else if (is(name, "chart:val") || is(name, "chart:yVal")) {
        c->in_values = false;
    } else if (is(name, "chart:ser")) {
        buf_puts(&c->names, "\n");
    } else if (is(name, "chart:formatCode")) {
        c->in_format = false;
    } else if (is(name, "t")) {
        c->in_t = false;
    } else if (is(name, "chart:v")) {
        c->in_v = false;
        if (c->in_series_name) buf_append(&c->names, c->v.data, c->v.len);
        if (!(c->in_names || c->in_values) || !c->n_series || c->n_series >= READER_MAX_COLUMNS) return;
        if (c->n_points >= PPTX_MAX_POINTS) return;
        if (array_grow((void **)&c->points, &c->cap_points, c->n_points + 1, sizeof *c->points, c->w->e)) {
            nomem(c->w);
            return;
        }
        struct point *p = &c->points[c->n_points++];
        *p = (struct point){c->n_series, c->index, c->in_values, c->text.len, 0};
        put_value(c);
        p->len = c->text.len - p->at;
    }
}

static void chart_text(void *context, const char *s, int len) {
    struct chart *c = context;
    if (c->in_v)
        buf_append(&c->v, s, (size_t)len);
    else if (c->in_format)
        buf_append(&c->format, s, (size_t)len);
    else if (c->in_t)
        buf_append(&c->title, s, (size_t)len);
}

static int by_place(const void *a, const void *b) {
    const struct point *x = a, *y = b;
    if (x->index != y->index) return x->index < y->index ? -1 : 1;
    if (x->value != y->value) return x->value ? 1 : -1;
    return (x->series > y->series) - (x->series < y->series);
}

static void chart_cell(struct chart *c, struct table *t, struct slice text, uint32_t flags) {
    table_cell(c->w, t, 1, 1, flags);
    table_text(c->w, t, text);
    table_cell_end(t);
}

/* A row for each name, a column for each series. */
static void write_chart(struct chart *c) {
    struct table t = {0};
    if (c->title.len)
        writer_paragraph(c->w, INGEST_BLOCK_PARAGRAPH, 0, INGEST_BLOCK_CAPTION, (struct slice){"", 0},
                         buf_slice(&c->title));
    qsort(c->points, c->n_points, sizeof *c->points, by_place);
    table_row(c->w, &t);
    chart_cell(c, &t, (struct slice){"", 0}, INGEST_BLOCK_HEADER);
    struct slice names = buf_slice(&c->names);
    for (uint32_t i = 0; i < c->n_series && i + 1 < READER_MAX_COLUMNS; i++) {
        const char *end = memchr(names.data, '\n', names.len);
        size_t n = end ? (size_t)(end - names.data) : names.len;
        chart_cell(c, &t, (struct slice){names.data, n}, INGEST_BLOCK_HEADER);
        n += end != NULL;
        names.data += n, names.len -= n;
    }
    for (size_t i = 0; i < c->n_points && !c->w->code;) {
        uint32_t index = c->points[i].index, series = 0;
        struct slice name = {"", 0};
        table_row(c->w, &t);
        for (; i < c->n_points && c->points[i].index == index && !c->points[i].value; i++)
            if (!name.len) name = (struct slice){c->text.data + c->points[i].at, c->points[i].len};
        chart_cell(c, &t, name, INGEST_BLOCK_ROW_HEADER);
        for (; i < c->n_points && c->points[i].index == index; i++) {
            const struct point *p = &c->points[i];
            if (p->series <= series) continue; /* said twice */
            while (++series < p->series) chart_cell(c, &t, (struct slice){"", 0}, 0);
            chart_cell(c, &t, (struct slice){c->text.data + p->at, p->len}, 0);
        }
    }
    table_write(c->w, &t);
}

static void read_chart(struct deck *d, const char *part) {
    struct chart c = {.w = d->w};
    if (!package_parse(d->package, part, chart_start, chart_end, chart_text, &c)) {
        if (c.title.failed || c.text.failed || c.v.failed || c.format.failed || c.names.failed)
            nomem(d->w);
        else if (c.n_points)
            write_chart(&c);
        else
            d->n_objects++; /* a chart without values kept in it */
    }
    buf_free(&c.title);
    buf_free(&c.text);
    buf_free(&c.v);
    buf_free(&c.format);
    buf_free(&c.names);
    free(c.points);
}

/* ---- paragraphs ---- */
static bool wanted(const struct deck *d) {
    static const char *const others[] = {"dt", "ftr", "sldNum", "hdr", "sldImg", NULL};
    const char *p = d->placeholder;
    bool title = is(p, "title") || is(p, "ctrTitle");
    if (d->pass != PASS_BODY) return d->pass == PASS_TITLE ? title : is(p, "body");
    for (const char *const *o = others; *o; o++)
        if (is(p, *o)) return false;
    return !title;
}

/* "alphaLcParenR" -> "a)" (ECMA-376 part 1, 20.1.10.61) */
static void counted_mark(const char *type, long n, char *out, size_t cap) {
    char figure[32];
    bool upper = strstr(type, "Uc") != NULL;
    if (!strncmp(type, "alpha", 5))
        ordinal_letters((unsigned long)n, upper, true, figure, sizeof figure);
    else if (!strncmp(type, "roman", 5) && n < 5000)
        ordinal_roman((unsigned long)n, upper, figure, sizeof figure);
    else
        snprintf(figure, sizeof figure, "%ld", n);
    snprintf(out, cap, "%s%s%s", ends(type, "ParenBoth") ? "(" : "", figure,
             ends(type, "ParenBoth") || ends(type, "ParenR") ? ")"
             : ends(type, "Period")                          ? "."
                                                             : "");
}

/* Counts on while paragraphs of its level are counted alike, with deeper ones between them at most. */
static void find_mark(struct deck *d, char *out, size_t cap) {
    struct para *p = &d->para;
    long *n = &d->count[p->level];
    out[0] = 0;
    for (int i = p->level + 1; i < PPTX_LEVELS; i++) d->count[i] = 0;
    if (p->count[0]) {
        bool on = *n > 0 && is(d->counted[p->level], p->count);
        *n = on ? *n + 1 : p->start;
        snprintf(d->counted[p->level], sizeof d->counted[p->level], "%s", p->count);
        counted_mark(p->count, *n, out, cap);
        return;
    }
    *n = 0;
    /* a deeper paragraph of a text placeholder has its layout's dot */
    if (p->dot || (p->level > 0 && !p->plain && d->placeholder[0] && !d->tables)) snprintf(out, cap, "-");
}

static void para_end(struct deck *d) {
    struct para *p = &d->para;
    struct writer *w = d->w;
    struct slice text = slice_trim(buf_slice(&p->runs.text));
    char mark[40];
    d->in_para = false;
    if (p->runs.text.failed) nomem(w);
    if (!text.len || w->code) return;
    if (d->pass == PASS_TITLE) {
        if (d->title.len) buf_puts(&d->title, " ");
        buf_append(&d->title, text.data, text.len);
        return;
    }
    bool bold = runs_bold(&p->runs);
    find_mark(d, mark, sizeof mark);
    if (d->tables) {
        table_paragraph(w, &d->table, slice_of(mark), text, bold);
        return;
    }
    if (d->pass == PASS_NOTES && !d->notes_begun) {
        char label[60];
        snprintf(label, sizeof label, "notes of %s", d->label);
        writer_page(w, slice_of(label), 0, 0);
        d->notes_begun = true;
    }
    writer_paragraph(w, mark[0] ? INGEST_BLOCK_LIST_ITEM : INGEST_BLOCK_PARAGRAPH, mark[0] ? (uint32_t)p->level + 1 : 0,
                     (bold ? INGEST_BLOCK_BOLD : 0) | (p->count[0] ? INGEST_BLOCK_ORDERED : 0), slice_of(mark), text);
}

static void add(struct deck *d, struct slice s) {
    struct para *p = &d->para;
    d->struck = d->struck || p->struck;
    if (!p->struck) runs_add(d->w, &p->runs, s, p->raised, p->bold);
}

/* ---- elements ---- */
static const char *target_of(const struct deck *d, const char *id) {
    for (size_t i = 0; id && i < d->n_links; i++)
        if (is(d->links[i].id, id)) return d->links[i].target;
    return NULL;
}

static void on_start(void *context, const char *name, const char **a);
static void on_end(void *context, const char *name);
static void on_text(void *context, const char *s, int len);

static void cell_start(struct deck *d, const char **a) {
    d->covered = package_true(a, "hMerge") || package_true(a, "vMerge");
    if (d->covered) return; /* under the span of another, which table.c knows */
    table_cell(d->w, &d->table, (uint32_t)package_number(a, "gridSpan", 1, READER_MAX_COLUMNS),
               (uint32_t)package_number(a, "rowSpan", 1, 65534),
               d->first_row && d->n_rows == 1 ? INGEST_BLOCK_HEADER : 0);
}

static void para_start(struct deck *d) {
    struct buf text = d->para.runs.text;
    memset(&d->para, 0, sizeof d->para);
    text.len = 0;
    d->para.runs.text = text;
    d->in_para = true;
}

static void paragraph_property(struct para *p, const char *name, const char **a) {
    const char *v = package_attribute(a, "type");
    if (is(name, "pPr"))
        p->level = (int)package_number(a, "lvl", 0, PPTX_LEVELS - 1);
    else if (is(name, "buChar"))
        p->dot = true;
    else if (is(name, "buNone"))
        p->plain = true;
    else if (is(name, "buAutoNum")) {
        snprintf(p->count, sizeof p->count, "%s", v ? v : "arabicPeriod");
        p->start = package_number(a, "startAt", 1, 32767);
    } else if (is(name, "r") || is(name, "fld"))
        p->bold = p->struck = p->raised = false;
    else if (is(name, "rPr")) {
        const char *strike = package_attribute(a, "strike");
        p->bold = package_true(a, "b");
        p->struck = strike && !is(strike, "noStrike");
        p->raised = package_number(a, "baseline", 0, 1000000) > 0;
    }
}

static void on_start(void *context, const char *name, const char **a) {
    struct deck *d = context;
    d->depth++;
    if (d->skip || is(name, "2006:Fallback")) {
        d->skip++;
        return;
    }
    if (is(name, "sld") && package_attribute(a, "show")) d->slide_hidden = !package_true(a, "show");
    if (is(name, "cNvPr") && package_true(a, "hidden") && !d->hidden) d->hidden = d->depth - 2; /* its shape */
    if (d->hidden) return;
    if (is(name, "sp") || is(name, "graphicFrame") || is(name, "pic")) {
        d->placeholder[0] = 0;
        d->pictures = d->pictures || is(name, "pic");
    } else if (is(name, "ph")) {
        const char *type = package_attribute(a, "type");
        snprintf(d->placeholder, sizeof d->placeholder, "%s", type ? type : "obj");
    } else if (!wanted(d)) {
        return;
    } else if (is(name, "txBody")) {
        memset(d->count, 0, sizeof d->count);
    } else if (is(name, "p")) {
        para_start(d);
    } else if (d->in_para && is(name, "t")) {
        d->in_text = true;
    } else if (d->in_para && is(name, "br")) {
        add(d, SLICE_LITERAL("\n"));
    } else if (d->in_para) {
        paragraph_property(&d->para, name, a);
    } else if (d->pass != PASS_BODY) {
        return;
    } else if (is(name, "tbl")) {
        d->tables++;
        d->n_rows = 0;
        d->first_row = false;
    } else if (is(name, "tblPr")) {
        d->first_row = package_true(a, "firstRow");
    } else if (is(name, "tr")) {
        table_row(d->w, &d->table);
        d->n_rows++;
    } else if (is(name, "tc")) {
        cell_start(d, a);
    } else if (is(name, "chart:chart")) {
        const char *part = target_of(d, package_relation_id(a, "id"));
        if (part) read_chart(d, part);
    } else if (is(name, "diagram:relIds")) {
        const char *part = target_of(d, package_relation_id(a, "dm"));
        if (part) package_parse(d->package, part, on_start, on_end, on_text, d);
    } else if (is(name, "oleObj")) {
        d->n_objects++;
    }
}

static void on_end(void *context, const char *name) {
    struct deck *d = context;
    int depth = d->depth--;
    if (d->skip) {
        d->skip--;
        return;
    }
    if (d->hidden) {
        if (depth == d->hidden) d->hidden = 0;
        return;
    }
    if (is(name, "t")) {
        d->in_text = false;
    } else if (is(name, "p") && d->in_para) {
        para_end(d);
    } else if (is(name, "tc") && d->tables) {
        if (!d->covered) table_cell_end(&d->table);
        d->covered = false;
    } else if (is(name, "tbl") && d->tables) {
        d->tables--;
        table_write(d->w, &d->table);
    }
}

static void on_text(void *context, const char *s, int len) {
    struct deck *d = context;
    if (d->in_text && d->in_para && !d->skip && !d->hidden && !d->covered) add(d, (struct slice){s, (size_t)len});
}

static void comment_start(void *context, const char *name, const char **a) {
    struct deck *d = context;
    (void)a;
    d->n_comments += is(name, "cm") || ends(name, ":cm") || ends(name, ":reply");
}

/* ---- the deck ---- */
static void deck_start(void *context, const char *name, const char **a) {
    struct deck *d = context;
    if (is(name, "presentation")) d->first = package_number(a, "firstSlideNum", 1, 9999);
    if (!is(name, "sldId")) return;
    const char *id = package_relation_id(a, "id");
    if (d->n_slides >= PPTX_MAX_SLIDES) {
        writer_fail(d->w, ERR_LIMIT, d->w->o->name, "the presentation has more than %u slides", PPTX_MAX_SLIDES);
        return;
    }
    if (array_grow((void **)&d->slides, &d->cap_slides, d->n_slides + 1, sizeof *d->slides, d->w->e)) {
        nomem(d->w);
        return;
    }
    struct slide *s = &d->slides[d->n_slides++];
    memset(s, 0, sizeof *s);
    snprintf(s->id, sizeof s->id, "%s", id ? id : "");
}

static void deck_relation(void *context, const char *id, const char *type, const char *target) {
    struct deck *d = context;
    for (size_t i = 0; is(type, "slide") && i < d->n_slides; i++)
        if (is(d->slides[i].id, id)) snprintf(d->slides[i].part, sizeof d->slides[i].part, "%s", target);
}

static void slide_relation(void *context, const char *id, const char *type, const char *target) {
    struct deck *d = context;
    if (d->n_links == PPTX_MAX_LINKS || is(type, "image") || is(type, "slideLayout")) return;
    struct link *l = &d->links[d->n_links++];
    snprintf(l->id, sizeof l->id, "%s", id);
    snprintf(l->type, sizeof l->type, "%s", type);
    snprintf(l->target, sizeof l->target, "%s", target);
}

static int read_part(struct deck *d, const char *part, enum pass pass) {
    d->pass = pass;
    d->depth = d->skip = d->hidden = 0;
    d->in_para = d->in_text = d->covered = false;
    d->placeholder[0] = 0;
    return package_parse(d->package, part, on_start, on_end, on_text, d);
}

static void read_slide(struct deck *d, size_t i) {
    struct writer *w = d->w;
    const char *part = d->slides[i].part;
    d->n_links = 0;
    d->title.len = 0;
    d->slide_hidden = d->pictures = d->notes_begun = false;
    snprintf(d->label, sizeof d->label, "slide %ld", d->first + (long)i);
    if (!part[0] || !package_has(d->package, part)) {
        writer_fail(w, ERR_FORMAT, w->o->name, "this PPTX file is damaged: its %s is missing", d->label);
        return;
    }
    if (package_relations(d->package, part, slide_relation, d) || read_part(d, part, PASS_TITLE)) return;
    if (d->slide_hidden) {
        d->n_hidden++;
        return;
    }
    writer_page(w, slice_of(d->label), 0, 0);
    uint32_t page = (uint32_t)w->n_pages - 1;
    bool untitled = !d->title.len; /* what stands on it belongs to no section of the slide before */
    if (untitled) buf_printf(&d->title, "Slide %ld", d->first + (long)i);
    if (d->title.failed) nomem(w);
    writer_paragraph(w, INGEST_BLOCK_HEADING, 1, 0, (struct slice){"", 0}, buf_slice(&d->title));
    size_t n_blocks = w->n_blocks;
    if (read_part(d, part, PASS_BODY)) return;
    if (untitled && w->n_blocks == n_blocks && d->pictures) {
        w->d->n_pages_without_text++;
        writer_warn(w, page, "%s has pictures and no text", d->label);
    }
    for (size_t k = 0; k < d->n_links && !w->code; k++) {
        if (is(d->links[k].type, "notesSlide")) read_part(d, d->links[k].target, PASS_NOTES);
        if (is(d->links[k].type, "comments"))
            package_parse(d->package, d->links[k].target, comment_start, NULL, NULL, d);
    }
}

int pptx_read(struct writer *w, struct package *package) {
    struct deck *d = calloc(1, sizeof *d);
    if (!d) return nomem(w);
    d->w = w;
    d->package = package;
    d->first = 1;
    if (package_parse(package, "", deck_start, NULL, NULL, d) || package_relations(package, "", deck_relation, d))
        goto done;
    for (size_t i = 0; i < d->n_slides && !w->code; i++) read_slide(d, i);
    if (d->n_hidden) writer_warn(w, INGEST_NONE, "hidden slides were not read (%u)", d->n_hidden);
    if (d->struck) writer_warn(w, INGEST_NONE, "struck-through text was not read");
    if (d->n_comments) writer_warn(w, INGEST_NONE, "comments were not read (%u)", d->n_comments);
    if (d->n_objects)
        writer_warn(w, INGEST_NONE, "embedded objects and charts without values were not read (%u)", d->n_objects);
    package_title(package);
    if (slice_equal_nocase(w->d->title, SLICE_LITERAL("PowerPoint Presentation"))) w->d->title.len = 0; /* untitled */
done:
    free(d->slides);
    buf_free(&d->para.runs.text);
    buf_free(&d->title);
    table_free(&d->table);
    free(d);
    return w->code;
}
