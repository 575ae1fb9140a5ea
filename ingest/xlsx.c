/* xlsx.c: an Excel workbook (XLSX, XLSM) -> its sheets, each a page labelled with its name (ECMA-376 part 1, 18). A
 * cell is shown as Excel stored it last: its cached value in the cell's number format (number_format.c), in its place
 * (ingest_word). Formulas stand behind the tables of their sheet, in a table of their own; one filled down a column is
 * said once. Hidden sheets, rows and columns are read and named in warnings; struck-through text is left out as in
 * DOCX; comments, pictures, charts and text boxes are not read (a warning says so). Where tables begin and end:
 * sheet.c.
 *
 * Traps: strings lie in a part of their own and may have runs and phonetics; a formula's value may be missing (programs
 * that never calculated); a shared formula has its text in one cell only; the position of a cell may be left out; dates
 * are numbers in a format, counted from 1900 or 1904. */
#include "ingest/package.h"
#include "ingest/sheet.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XLSX_MAX_SHEETS 2000u
#define XLSX_MAX_STRINGS 4000000u
#define XLSX_MAX_FORMATS 70000u /* Excel allows 65,490 */
#define XLSX_MAX_MERGES 200000u /* of a sheet */
#define XLSX_MAX_FORMULAS 300u  /* of a sheet, as told; a fill counts once */
#define XLSX_CODE 256           /* bytes of a number format */
#define XLSX_MAX_HIDDEN 100u    /* ranges of hidden columns of a sheet; further ones are not told */
#define XLSX_FORMULA 1000       /* bytes of a formula that are told */

struct string { /* in strings_text */
    size_t at, len;
};
struct style {
    unsigned format;  /* id of a number format */
    const char *code; /* of the format, once a cell has asked for it */
    bool bold, struck;
};
struct code {
    unsigned id;
    char text[XLSX_CODE];
};
struct sheet_part {
    char name[200], part[300], id[64]; /* id: the relationship's, until it is resolved */
    bool hidden;
};
struct formula {
    uint32_t row, column;
    size_t text, len;    /* in formula_text: as written in its cell */
    size_t key, key_len; /* the same with relative places: equal for the cells of a fill */
};
struct shared {
    long id;
    size_t formula; /* its master */
};

struct book {
    struct writer *w;
    struct package *package;
    struct buf strings_text;
    struct string *strings;
    size_t n_strings, cap_strings;
    struct style *styles, *fonts, plain; /* plain: of a cell whose style is not there */
    size_t n_styles, cap_styles, n_fonts, cap_fonts;
    struct code *codes;
    size_t n_codes, cap_codes;
    struct sheet_part *sheets;
    size_t n_sheets, cap_sheets;
    char styles_part[300], strings_part[300];
    bool date1904;
    /* while a part is read */
    struct buf text; /* of the element that is open */
    bool in_text, in_run, run_struck, phonetic, struck;
    bool in_fonts, in_xfs;
    /* the sheet being read */
    struct sheet sheet;
    struct ingest_cells *merges;
    size_t n_merges, cap_merges;
    struct formula *formulas;
    size_t n_formulas, cap_formulas;
    struct shared *shared;
    size_t n_shared, cap_shared;
    struct buf formula_text;
    bool drawing, comments;
    uint32_t row, column; /* of the cell that is open, or the next one */
    unsigned style;
    char type[12];
    struct buf value, formula;
    bool in_value, in_formula, has_formula, in_inline, in_cell, row_hidden;
    long shared_id;
    bool is_shared;
    size_t n_uncalculated, n_hidden_rows, n_hidden;
    uint32_t first_hidden_row;
    struct {
        uint32_t from, to;
    } hidden[XLSX_MAX_HIDDEN]; /* columns */
};

static bool is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static int nomem(struct book *b) {
    return writer_fail(b->w, ERR_NOMEM, b->w->o->name, "out of memory while reading XLSX");
}

/* One more item of an array, zeroed; NULL after an error. */
static void *grow(struct book *b, void *items, size_t *n, size_t *cap, size_t size, size_t most, const char *what) {
    if (b->w->code) return NULL;
    void **array = items;
    if (*n >= most) {
        writer_fail(b->w, ERR_LIMIT, b->w->o->name, "the workbook has more than %zu %s", most, what);
        return NULL;
    }
    if (array_grow(array, cap, *n + 1, size, b->w->e)) {
        nomem(b);
        return NULL;
    }
    void *item = (char *)*array + (*n)++ * size;
    memset(item, 0, size);
    return item;
}
#define GROW(b, list, most, what) grow(b, &(b)->list, &(b)->n_##list, &(b)->cap_##list, sizeof *(b)->list, most, what)

/* "A1:F300" */
static bool range_of(const char *s, struct ingest_cells *r) {
    size_t n = s ? sheet_reference(s, &r->row, &r->column) : 0;
    if (!n) return false;
    r->row_end = r->row + 1, r->column_end = r->column + 1;
    if (s[n] != ':') return true;
    uint32_t row, column;
    if (!sheet_reference(s + n + 1, &row, &column) || row < r->row || column < r->column) return false;
    r->row_end = row + 1, r->column_end = column + 1;
    return true;
}

/* "_x000D_" stands for a character that XML forbids (22.9.2.19); "_x005F_" for "_" before such a thing. */
static void append_escaped(struct buf *out, struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '_' && i + 7 <= s.len && s.data[i + 1] == 'x' && s.data[i + 6] == '_' &&
            strspn(s.data + i + 2, "0123456789abcdefABCDEF") >= 4) {
            unsigned long c =
                strtoul((char[]){s.data[i + 2], s.data[i + 3], s.data[i + 4], s.data[i + 5], 0}, NULL, 16);
            if (c < 0x80) {
                char one = c < 0x20 ? ' ' : (char)c;
                buf_append(out, &one, 1);
                i += 6;
                continue;
            }
        }
        buf_append(out, s.data + i, 1);
    }
}

/* ---- workbook.xml and its relationships ---- */
static void book_start(void *context, const char *name, const char **a) {
    struct book *b = context;
    if (is(name, "workbookPr")) b->date1904 = package_true(a, "date1904");
    if (!is(name, "sheet")) return;
    struct sheet_part *s = GROW(b, sheets, XLSX_MAX_SHEETS, "sheets");
    const char *title = package_attribute(a, "name"), *state = package_attribute(a, "state"),
               *id = package_relation_id(a, "id");
    if (!s) return;
    snprintf(s->name, sizeof s->name, "%s", title ? title : "");
    snprintf(s->id, sizeof s->id, "%s", id ? id : "");
    s->hidden = state && !is(state, "visible");
}

static void book_relation(void *context, const char *id, const char *type, const char *target) {
    struct book *b = context;
    if (is(type, "styles")) snprintf(b->styles_part, sizeof b->styles_part, "%s", target);
    if (is(type, "sharedStrings")) snprintf(b->strings_part, sizeof b->strings_part, "%s", target);
    for (size_t i = 0; i < b->n_sheets; i++)
        if (is(type, "worksheet") && b->sheets[i].id[0] && is(b->sheets[i].id, id))
            snprintf(b->sheets[i].part, sizeof b->sheets[i].part, "%s", target);
}

/* ---- styles.xml ---- */
static void styles_start(void *context, const char *name, const char **a) {
    struct book *b = context;
    if (is(name, "numFmt")) {
        struct code *c = GROW(b, codes, XLSX_MAX_FORMATS, "number formats");
        const char *code = package_attribute(a, "formatCode");
        if (!c) return;
        c->id = (unsigned)package_number(a, "numFmtId", 0, LONG_MAX);
        snprintf(c->text, sizeof c->text, "%s", code ? code : "General");
    } else if (is(name, "fonts")) {
        b->in_fonts = true;
    } else if (is(name, "font") && b->in_fonts) {
        GROW(b, fonts, XLSX_MAX_FORMATS, "fonts");
    } else if (is(name, "b") && b->in_fonts && b->n_fonts) {
        b->fonts[b->n_fonts - 1].bold = package_on(a);
    } else if (is(name, "strike") && b->in_fonts && b->n_fonts) {
        b->fonts[b->n_fonts - 1].struck = package_on(a);
    } else if (is(name, "cellXfs")) {
        b->in_xfs = true;
    } else if (is(name, "xf") && b->in_xfs) {
        struct style *s = GROW(b, styles, XLSX_MAX_FORMATS, "cell formats");
        long font = package_number(a, "fontId", 0, LONG_MAX);
        if (!s) return;
        if ((size_t)font < b->n_fonts) *s = b->fonts[font];
        s->format = (unsigned)package_number(a, "numFmtId", 0, LONG_MAX);
    }
}

static void styles_end(void *context, const char *name) {
    struct book *b = context;
    if (is(name, "fonts")) b->in_fonts = false;
    if (is(name, "cellXfs")) b->in_xfs = false;
}

static const char *code_of(const struct book *b, struct style *style) {
    for (size_t i = 0; i < b->n_codes && !style->code; i++)
        if (b->codes[i].id == style->format) style->code = b->codes[i].text;
    if (!style->code) style->code = number_format_builtin(style->format);
    if (!style->code) style->code = "General";
    return style->code;
}

/* ---- text with runs: <si> of the shared strings, <is> of a cell ---- */
static void text_start(struct book *b, const char *name, const char **a) {
    if (is(name, "r")) {
        b->in_run = true;
        b->run_struck = false;
    } else if (is(name, "strike") && b->in_run && package_on(a)) {
        b->run_struck = b->struck = true;
    } else if (is(name, "rPh")) {
        b->phonetic = true;
    } else if (is(name, "t")) {
        b->in_text = !b->phonetic && !b->run_struck;
    }
}

static void text_end(struct book *b, const char *name) {
    if (is(name, "r")) b->in_run = b->run_struck = false;
    if (is(name, "rPh")) b->phonetic = false;
    if (is(name, "t")) b->in_text = false;
}

static void add_text(struct book *b, struct buf *to, const char *s, int len) {
    if (to->len + (size_t)len > b->w->o->max_text)
        writer_fail(b->w, ERR_LIMIT, b->w->o->name, "a cell has more text than is read");
    else
        buf_append(to, s, (size_t)len);
}

static void strings_start(void *context, const char *name, const char **a) {
    struct book *b = context;
    if (is(name, "si"))
        b->text.len = 0;
    else
        text_start(b, name, a);
}

static void strings_text(void *context, const char *s, int len) {
    struct book *b = context;
    if (b->in_text) add_text(b, &b->text, s, len);
}

static void strings_end(void *context, const char *name) {
    struct book *b = context;
    text_end(b, name);
    if (!is(name, "si")) return;
    struct string *s = GROW(b, strings, XLSX_MAX_STRINGS, "strings");
    if (!s) return;
    s->at = b->strings_text.len;
    append_escaped(&b->strings_text, buf_slice(&b->text));
    s->len = b->strings_text.len - s->at;
    if (b->strings_text.len > b->w->o->max_text * 2)
        writer_fail(b->w, ERR_LIMIT, b->w->o->name, "the workbook's strings have more than %.0f MiB",
                    (double)b->w->o->max_text * 2 / 1048576.0);
    if (b->strings_text.failed || b->text.failed) nomem(b);
}

/* ---- formulas ---- */
/* The formula with its places relative to the cell: "C2*D2" in E2 -> "R0C-2*R0C-1"; fixed places stay as they are. */
static void relative(struct buf *out, struct slice f, uint32_t row, uint32_t column) {
    for (size_t i = 0; i < f.len;) {
        char c = f.data[i];
        if (c == '"' || c == '\'') { /* a string, or a sheet's name */
            const char *close = memchr(f.data + i + 1, c, f.len - i - 1);
            size_t n = close ? (size_t)(close - f.data) + 1 - i : f.len - i;
            buf_append(out, f.data + i, n);
            i += n;
        } else if (isalpha((unsigned char)c) || c == '$' || c == '_') {
            uint32_t r, k;
            size_t n = 0, used;
            while (i + n < f.len && (isalnum((unsigned char)f.data[i + n]) || strchr("$_.", f.data[i + n]))) n++;
            char word[24];
            snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : 0), f.data + i);
            used = n < sizeof word ? sheet_reference(word, &r, &k) : 0;
            bool call = i + n < f.len && (f.data[i + n] == '(' || f.data[i + n] == '!');
            if (used == n && n && !call) {
                const char *second = strrchr(word, '$');
                bool column_fixed = word[0] == '$', row_fixed = second && second != word;
                buf_printf(out, row_fixed ? "R%ld" : "R[%ld]", row_fixed ? (long)r : (long)r - (long)row);
                buf_printf(out, column_fixed ? "C%ld" : "C[%ld]", column_fixed ? (long)k : (long)k - (long)column);
            } else {
                buf_append(out, f.data + i, n ? n : 1);
            }
            i += n ? n : 1;
        } else if (isdigit((unsigned char)c)) {
            size_t n = 0; /* "1E5" is no place */
            while (i + n < f.len && (isalnum((unsigned char)f.data[i + n]) || f.data[i + n] == '.')) n++;
            buf_append(out, f.data + i, n);
            i += n;
        } else {
            buf_append(out, &c, 1);
            i++;
        }
    }
}

/* The formula of the cell that ends; NULL where it has none. */
static const struct formula *formula_end(struct book *b) {
    struct slice text = slice_trim(buf_slice(&b->formula));
    const struct shared *master = NULL;
    for (size_t i = b->is_shared ? b->n_shared : 0; i-- > 0 && !master;)
        if (b->shared[i].id == b->shared_id) master = &b->shared[i];
    if (!text.len && !master) return NULL;
    text = text_cut(text, XLSX_FORMULA);
    struct formula *f = GROW(b, formulas, SHEET_MAX_CELLS, "formulas");
    if (!f) return NULL;
    f->row = b->row, f->column = b->column;
    if (!text.len) { /* a cell of the fill; its own text is never told, as its master stands before it */
        const struct formula *of = &b->formulas[master->formula];
        f->text = of->text, f->len = of->len, f->key = of->key, f->key_len = of->key_len;
        return f;
    }
    f->text = b->formula_text.len;
    buf_append(&b->formula_text, text.data, text.len);
    f->len = text.len;
    f->key = b->formula_text.len;
    relative(&b->formula_text, text, b->row, b->column);
    f->key_len = b->formula_text.len - f->key;
    if (b->is_shared && !master) {
        size_t index = b->n_formulas - 1;
        struct shared *s = GROW(b, shared, XLSX_MAX_FORMATS, "shared formulas");
        if (s) *s = (struct shared){b->shared_id, index};
    }
    if (b->formula_text.len > b->w->o->max_text * 2)
        writer_fail(b->w, ERR_LIMIT, b->w->o->name, "a sheet's formulas have more text than is read");
    if (b->formula_text.failed || b->formula.failed) nomem(b);
    return b->w->code ? NULL : f;
}

/* ---- a sheet ---- */
static void cell_end(struct book *b) {
    struct sheet_cell c = {.row = b->row, .column = b->column, .kind = SHEET_TEXT};
    struct style *style = b->style < b->n_styles ? &b->styles[b->style] : &b->plain;
    const struct formula *formula = b->has_formula ? formula_end(b) : NULL;
    struct slice value = slice_trim(buf_slice(&b->value));
    struct buf text = {0};
    b->in_cell = false;
    c.bold = style->bold;
    if (is(b->type, "s")) {
        unsigned long i = value.len ? strtoul(b->value.data, NULL, 10) : XLSX_MAX_STRINGS;
        if (i < b->n_strings) buf_append(&text, b->strings_text.data + b->strings[i].at, b->strings[i].len);
    } else if (is(b->type, "str") || is(b->type, "inlineStr") || is(b->type, "e")) {
        append_escaped(&text, value);
        if (is(b->type, "e")) c.kind = SHEET_FIGURE;
    } else if (is(b->type, "b")) {
        if (value.len) buf_puts(&text, value.data[0] == '1' || value.data[0] == 't' ? "TRUE" : "FALSE");
    } else if (is(b->type, "d")) {
        size_t day = value.len;
        if (value.len > 10 && value.data[10] == 'T' && value.len >= 19 && !memcmp(value.data + 11, "00:00:00", 8))
            day = 10;
        buf_append(&text, value.data, day);
        c.kind = SHEET_DATE;
    } else if (value.len) {
        char *end = NULL;
        double v = strtod(b->value.data, &end);
        if (end == b->value.data)
            buf_append(&text, value.data, value.len);
        else
            c.kind = number_format(code_of(b, style), v, b->date1904, &text);
    }
    if (!value.len && formula && !is(b->type, "str")) {
        buf_puts(&text, "=");
        buf_append(&text, b->formula_text.data + formula->text, formula->len);
        c.kind = SHEET_FIGURE;
        b->n_uncalculated++;
    }
    if (c.kind == SHEET_TEXT && !is(b->type, "b")) c.kind = sheet_kind_of(buf_slice(&text));
    if (style->struck && text.len)
        b->struck = true;
    else
        sheet_add(b->w, &b->sheet, c, buf_slice(&text));
    if (text.failed || b->value.failed) nomem(b);
    buf_free(&text);
    b->column++;
}

static void sheet_start(void *context, const char *name, const char **a) {
    struct book *b = context;
    const char *v;
    if (b->in_inline) {
        text_start(b, name, a);
    } else if (is(name, "row")) {
        long r = package_number(a, "r", (long)(uint32_t)(b->row + 2), LONG_MAX);
        b->row = r >= 1 && r <= (long)SHEET_MAX_ROWS ? (uint32_t)r - 1 : SHEET_MAX_ROWS;
        b->column = 0;
        b->row_hidden = package_true(a, "hidden");
    } else if (is(name, "c")) {
        uint32_t row, column;
        if ((v = package_attribute(a, "r")) && sheet_reference(v, &row, &column)) b->row = row, b->column = column;
        b->in_cell = b->row < SHEET_MAX_ROWS && b->column < SHEET_MAX_COLUMNS;
        b->style = (unsigned)package_number(a, "s", 0, LONG_MAX);
        v = package_attribute(a, "t");
        snprintf(b->type, sizeof b->type, "%s", v ? v : "n");
        b->value.len = b->formula.len = 0;
        b->has_formula = b->is_shared = false;
    } else if (is(name, "v") && b->in_cell) {
        b->in_value = true;
    } else if (is(name, "is") && b->in_cell) {
        b->in_inline = true;
    } else if (is(name, "f") && b->in_cell) {
        v = package_attribute(a, "t");
        b->in_formula = b->has_formula = !v || !is(v, "dataTable");
        b->is_shared = v && is(v, "shared");
        b->shared_id = package_number(a, "si", 0, LONG_MAX);
    } else if (is(name, "mergeCell")) {
        struct ingest_cells r;
        struct ingest_cells *m =
            range_of(package_attribute(a, "ref"), &r) ? GROW(b, merges, XLSX_MAX_MERGES, "merged cells") : NULL;
        if (m) *m = r;
    } else if (is(name, "autoFilter")) {
        struct ingest_cells r;
        if (range_of(package_attribute(a, "ref"), &r)) sheet_hint(b->w, &b->sheet, r);
    } else if (is(name, "pane")) {
        v = package_attribute(a, "state");
        if (v && !strncmp(v, "frozen", 6)) b->sheet.frozen_rows = (uint32_t)package_number(a, "ySplit", 0, LONG_MAX);
    } else if (is(name, "col") && package_true(a, "hidden")) {
        long from = package_number(a, "min", 0, LONG_MAX), to = package_number(a, "max", from, LONG_MAX);
        if (from && to >= from && from <= (long)SHEET_MAX_COLUMNS && b->n_hidden < XLSX_MAX_HIDDEN) {
            b->hidden[b->n_hidden].from = (uint32_t)from - 1;
            b->hidden[b->n_hidden++].to = (uint32_t)(to < (long)SHEET_MAX_COLUMNS ? to : (long)SHEET_MAX_COLUMNS) - 1;
        }
    } else if (is(name, "drawing")) {
        b->drawing = true;
    }
}

static void sheet_text_of(void *context, const char *s, int len) {
    struct book *b = context;
    if (b->in_value || (b->in_inline && b->in_text))
        add_text(b, &b->value, s, len);
    else if (b->in_formula)
        add_text(b, &b->formula, s, len);
}

static void sheet_end(void *context, const char *name) {
    struct book *b = context;
    if (b->in_inline && !is(name, "is")) {
        text_end(b, name);
    } else if (is(name, "is")) {
        b->in_inline = false;
    } else if (is(name, "v")) {
        b->in_value = false;
    } else if (is(name, "f")) {
        b->in_formula = false;
    } else if (is(name, "c") && b->in_cell) {
        size_t before = b->sheet.n_cells;
        uint32_t row = b->row;
        cell_end(b);
        if (b->row_hidden && b->sheet.n_cells > before) {
            b->row_hidden = false; /* once a row */
            if (!b->n_hidden_rows++) b->first_hidden_row = row;
        }
    }
}

static void table_start(void *context, const char *name, const char **a) {
    struct book *b = context;
    struct ingest_cells r;
    if (is(name, "table") && package_number(a, "headerRowCount", 1, LONG_MAX) > 0 &&
        range_of(package_attribute(a, "ref"), &r))
        sheet_hint(b->w, &b->sheet, r);
}

static void sheet_relation(void *context, const char *id, const char *type, const char *target) {
    struct book *b = context;
    (void)id;
    b->comments = b->comments || is(type, "comments");
    if (is(type, "table")) package_parse(b->package, target, table_start, NULL, NULL, b);
}

/* ---- formulas told ---- */
struct fill { /* cells with one formula */
    struct ingest_cells r;
    const struct formula *f;
};

static int by_column(const void *a, const void *b) {
    const struct formula *x = a, *y = b;
    if (x->column != y->column) return x->column < y->column ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int by_rows(const void *a, const void *b) {
    const struct fill *x = a, *y = b;
    if (x->r.row != y->r.row) return x->r.row < y->r.row ? -1 : 1;
    if (x->r.row_end != y->r.row_end) return x->r.row_end < y->r.row_end ? -1 : 1;
    return (x->r.column > y->r.column) - (x->r.column < y->r.column);
}

static bool same_formula(const struct book *b, const struct formula *x, const struct formula *y) {
    return x->key_len == y->key_len &&
           !memcmp(b->formula_text.data + x->key, b->formula_text.data + y->key, x->key_len);
}

/* Formulas -> fills: down the columns first, then over columns whose fills stand side by side. */
static struct fill *fills_of(struct book *b, size_t *n_out) {
    struct fill *fills = malloc(b->n_formulas * sizeof *fills);
    size_t n = 0, m = 0;
    *n_out = 0;
    if (!fills) {
        nomem(b);
        return NULL;
    }
    qsort(b->formulas, b->n_formulas, sizeof *b->formulas, by_column);
    for (size_t i = 0; i < b->n_formulas; i++) {
        const struct formula *f = &b->formulas[i];
        struct fill *last = n ? &fills[n - 1] : NULL;
        if (last && last->r.column == f->column && last->r.row_end == f->row && same_formula(b, last->f, f))
            last->r.row_end++;
        else
            fills[n++] = (struct fill){{f->row, f->column, f->row + 1, f->column + 1}, f};
    }
    qsort(fills, n, sizeof *fills, by_rows);
    for (size_t i = 0; i < n; i++) {
        struct fill *last = m ? &fills[m - 1] : NULL;
        if (last && last->r.row == fills[i].r.row && last->r.row_end == fills[i].r.row_end &&
            last->r.column_end == fills[i].r.column && same_formula(b, last->f, fills[i].f))
            last->r.column_end++;
        else
            fills[m++] = fills[i];
    }
    *n_out = m;
    return fills;
}

/* The words beside and above a fill: its row's label, its column's name. */
static void what_for(const struct book *b, const struct ingest_cells *r, struct buf *out) {
    const struct sheet_cell *label = NULL, *name = NULL;
    for (uint32_t c = 0; r->row_end == r->row + 1 && c < r->column && c < 50 && !label; c++) {
        label = sheet_at(&b->sheet, r->row, c);
        if (label && label->kind != SHEET_TEXT) label = NULL;
    }
    for (uint32_t k = r->row; r->column_end == r->column + 1 && k-- > 0 && r->row - k < 10000 && !name;) {
        name = sheet_at(&b->sheet, k, r->column);
        if (name && name->kind != SHEET_TEXT) name = NULL;
    }
    if (label) buf_append(out, sheet_text(&b->sheet, label).data, label->len);
    if (label && name) buf_puts(out, ", ");
    if (name) buf_append(out, sheet_text(&b->sheet, name).data, name->len);
}

static void put_remark(struct book *b, const struct ingest_cells *r, struct slice text, uint32_t flags) {
    struct ingest_block *k = writer_cell(b->w, 1);
    if (!k) return;
    k->flags |= INGEST_BLOCK_REMARK | flags;
    writer_word(b->w, (uint32_t)b->w->n_pages - 1, (float)r->column, (float)r->row, (float)r->column_end,
                (float)r->row_end, text, false);
    writer_end(b->w);
}

static void write_formulas(struct book *b) {
    static const char *const names[] = {"Cell", "What", "Formula"};
    struct writer *w = b->w;
    if (w->code || !b->n_formulas) return;
    size_t n = 0, told = 0;
    struct fill *fills = fills_of(b, &n);
    if (!fills) return;
    if (writer_begin(w, INGEST_BLOCK_HEADING, 2)) {
        writer_text(w, SLICE_LITERAL("Formulas"));
        writer_end(w);
    }
    writer_table_begin(w);
    writer_row_begin(w);
    for (size_t i = 0; i < 3; i++) put_remark(b, &fills[0].r, slice_of(names[i]), INGEST_BLOCK_HEADER);
    writer_row_end(w);
    for (; told < n && told < XLSX_MAX_FORMULAS && !w->code; told++) {
        const struct fill *f = &fills[told];
        struct buf cell = {0}, what = {0}, text = {0};
        ingest_cells_name(&cell, &f->r);
        what_for(b, &f->r, &what);
        buf_printf(&text, "=%.*s", (int)f->f->len, b->formula_text.data + f->f->text);
        if (f->r.row_end > f->r.row + 1 || f->r.column_end > f->r.column + 1) buf_puts(&text, ", and so in each cell");
        writer_row_begin(w);
        put_remark(b, &f->r, buf_slice(&cell), 0);
        put_remark(b, &f->r, buf_slice(&what), 0);
        put_remark(b, &f->r, buf_slice(&text), 0);
        writer_row_end(w);
        if (cell.failed || what.failed || text.failed) nomem(b);
        buf_free(&cell);
        buf_free(&what);
        buf_free(&text);
    }
    writer_table_end(w);
    if (told < n)
        writer_warn(w, (uint32_t)w->n_pages - 1,
                    "%zu of the sheet's %zu formulas were left out; their values were read", n - told, n);
    free(fills);
}

/* ---- all of it ---- */
static void sheet_reset(struct book *b) {
    sheet_free(&b->sheet);
    b->n_merges = b->n_formulas = b->n_shared = 0;
    b->formula_text.len = b->value.len = b->formula.len = 0;
    b->drawing = b->comments = b->in_value = b->in_formula = b->in_inline = b->in_cell = b->row_hidden = false;
    b->in_text = b->in_run = b->run_struck = b->phonetic = false;
    b->n_uncalculated = b->n_hidden_rows = b->n_hidden = 0;
    b->row = UINT32_MAX, b->column = 0; /* the next row is the first */
}

/* The first hidden column that holds something. */
static bool hidden_column(const struct book *b, uint32_t *first) {
    *first = UINT32_MAX;
    for (size_t k = 0; k < b->n_hidden; k++)
        for (size_t i = 0; i < b->sheet.n_cells; i++) {
            uint32_t column = b->sheet.cells[i].column;
            if (column >= b->hidden[k].from && column <= b->hidden[k].to && column < *first) *first = column;
        }
    return *first < UINT32_MAX;
}

static void warn_of_sheet(struct book *b, const struct sheet_part *part) {
    struct writer *w = b->w;
    uint32_t page = (uint32_t)w->n_pages - 1, first;
    char column[8];
    if (part->hidden) writer_warn(w, page, "the sheet is hidden in the workbook; it was read");
    if (b->n_hidden_rows)
        writer_warn(w, page, "the sheet has hidden rows, the first is row %u; they were read (%zu)",
                    b->first_hidden_row + 1, b->n_hidden_rows);
    if (hidden_column(b, &first)) {
        sheet_column_name(first, column);
        writer_warn(w, page, "the sheet has hidden columns, the first is column %s; they were read", column);
    }
    if (b->n_uncalculated)
        writer_warn(w, page,
                    "formulas without a stored value: %zu; open the workbook in a spreadsheet program and save it",
                    b->n_uncalculated);
    if (b->drawing) writer_warn(w, page, "pictures, charts and text boxes of the sheet were not read");
    if (b->comments) writer_warn(w, page, "comments on the sheet's cells were not read");
}

static int read_sheet(struct book *b, const struct sheet_part *part) {
    struct writer *w = b->w;
    sheet_reset(b);
    if (!package_has(b->package, part->part))
        return writer_fail(w, ERR_FORMAT, w->o->name, "this XLSX file is damaged: the sheet \"%.100s\" is missing",
                           part->name);
    if (package_parse(b->package, part->part, sheet_start, sheet_end, sheet_text_of, b)) return w->code;
    if (package_relations(b->package, part->part, sheet_relation, b)) return w->code;
    sheet_sort(&b->sheet);
    if (!b->sheet.n_cells) return w->code;
    for (size_t i = 0; i < b->n_merges; i++) sheet_merge(&b->sheet, b->merges[i]);
    writer_page(w, slice_of(part->name), 0, 0);
    if (writer_begin(w, INGEST_BLOCK_HEADING, 1)) {
        writer_text(w, slice_of(part->name));
        if (part->hidden) writer_text(w, SLICE_LITERAL(" (hidden sheet)"));
        writer_end(w);
    }
    sheet_write(w, &b->sheet);
    write_formulas(b);
    if (!w->code) warn_of_sheet(b, part);
    return w->code;
}

int xlsx_read(struct writer *w, struct package *package) {
    struct book *b = calloc(1, sizeof *b);
    if (!b) return writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading XLSX");
    b->w = w;
    b->package = package;
    snprintf(b->styles_part, sizeof b->styles_part, "styles.xml");
    snprintf(b->strings_part, sizeof b->strings_part, "sharedStrings.xml");
    if (package_parse(package, "", book_start, NULL, NULL, b) || package_relations(package, "", book_relation, b) ||
        package_parse(package, b->styles_part, styles_start, styles_end, NULL, b) ||
        package_parse(package, b->strings_part, strings_start, strings_end, strings_text, b))
        goto done;
    if (!b->n_sheets) writer_fail(w, ERR_FORMAT, w->o->name, "this XLSX file is damaged: it names no sheets");
    for (size_t i = 0; i < b->n_sheets && !w->code; i++)
        if (b->sheets[i].part[0]) read_sheet(b, &b->sheets[i]); /* chart and dialog sheets have no cells */
    if (b->struck) writer_warn(w, INGEST_NONE, "struck-through text was not read");
    if (!w->code) package_title(package);
    if (!w->d->title.len) w->d->title = w->d->name; /* a sheet's name says little: no heading is the title */
done:
    sheet_free(&b->sheet);
    free(b->strings), free(b->styles), free(b->fonts), free(b->codes), free(b->sheets);
    free(b->merges), free(b->formulas), free(b->shared);
    buf_free(&b->strings_text), buf_free(&b->text), buf_free(&b->value), buf_free(&b->formula);
    buf_free(&b->formula_text);
    free(b);
    return w->code;
}
