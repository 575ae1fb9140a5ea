/* csv.c: text whose lines are rows and whose fields stand between commas, semicolons, tabs or bars (RFC 4180 and what
 * programs write instead) -> a sheet. Owns: which of these parts the fields, fields in quotation marks over several
 * lines, a decimal comma. A field's place is its cell ("B17"): lines are counted as a spreadsheet program counts them.
 * Refuses what has no shape (then it is plain text).
 *
 * A file whose figures are written with a decimal comma ("1.234,50") comes with a point ("1,234.50"), as everything
 * behind the readers takes figures in English notation; a warning says so. */
#include "ingest/sheet.h"

#include <ctype.h>
#include <string.h>

#define CSV_LOOK 65536    /* bytes that are looked at to find the delimiter */
#define CSV_ROWS 500      /* and rows */
#define CSV_FIELD 1048576 /* bytes of a field in quotation marks; a longer one was never closed */

/* Takes the field at *at; *last: it ends its row. A field in quotation marks is unfolded into `text`. */
static struct slice next_field(struct slice s, size_t *at, char delimiter, struct buf *text, bool *last) {
    size_t i = *at;
    struct slice out;
    text->len = 0;
    while (i < s.len && s.data[i] == ' ' && delimiter != ' ') i++;
    if (i < s.len && s.data[i] == '"') {
        size_t from = i + 1, k = from, piece = from;
        for (; k < s.len && k - from < CSV_FIELD; k++) {
            if (s.data[k] != '"') continue;
            if (k + 1 < s.len && s.data[k + 1] == '"') { /* "" is one */
                buf_append(text, s.data + piece, k + 1 - piece);
                piece = k + 2;
                k++;
                continue;
            }
            size_t end = k + 1;
            while (end < s.len && s.data[end] == ' ') end++;
            if (end < s.len && s.data[end] != delimiter && s.data[end] != '\n' && s.data[end] != '\r') break;
            buf_append(text, s.data + piece, k - piece);
            out = buf_slice(text);
            i = end;
            goto ended;
        }
        text->len = 0; /* never closed, or goes on behind its end: marks like any other */
    }
    size_t end = i;
    while (end < s.len && s.data[end] != delimiter && s.data[end] != '\n' && s.data[end] != '\r') end++;
    out = (struct slice){s.data + i, end - i};
    i = end;
ended:
    *last = i >= s.len || s.data[i] != delimiter;
    if (i < s.len && s.data[i] == '\r' && i + 1 < s.len && s.data[i + 1] == '\n') i++;
    *at = i + 1;
    return out;
}

/* How well the delimiter parts the text: rows of the commonest number of fields, of all rows that are not empty. */
static void shape(struct slice s, char delimiter, size_t *alike, size_t *rows, size_t *fields) {
    size_t counts[64] = {0};
    struct buf text = {0};
    *rows = *alike = *fields = 0;
    if (s.len > CSV_LOOK) {
        s.len = CSV_LOOK;
        while (s.len && s.data[s.len - 1] != '\n') s.len--;
    }
    for (size_t at = 0; at < s.len && *rows < CSV_ROWS;) {
        size_t n = 0, bytes = 0;
        bool last = false;
        while (!last && at <= s.len) {
            bytes += slice_trim(next_field(s, &at, delimiter, &text, &last)).len;
            n++;
        }
        if (!bytes) continue;
        ++*rows;
        counts[n < 64 ? n : 63]++;
    }
    for (size_t k = 2; k < 64; k++)
        if (counts[k] >= *alike) *alike = counts[k], *fields = k;
    buf_free(&text);
}

/* "sep=;" in the first line, as Excel reads it. */
static bool said(struct slice *s, char *delimiter) {
    if (s->len < 6 || memcmp(s->data, "sep=", 4) || (s->data[5] != '\r' && s->data[5] != '\n')) return false;
    *delimiter = s->data[4];
    return true;
}

bool csv_delimiter(struct slice s, char *delimiter) {
    static const char candidates[] = {',', ';', '\t', '|'};
    size_t best = 0, best_fields = 0;
    if (said(&s, delimiter)) return true;
    for (size_t i = 0; i < sizeof candidates; i++) {
        size_t alike, rows, fields;
        shape(s, candidates[i], &alike, &rows, &fields);
        if (rows < 2 || alike * 2 < rows) continue; /* half of the rows: a report has lines above its table */
        if (alike * 10 > best * 11 || (alike * 11 >= best * 10 && fields > best_fields)) {
            best = alike, best_fields = fields;
            *delimiter = candidates[i];
        }
    }
    return best > 0;
}

/* ---- decimal comma ---- */
/* The digits and marks of a figure, without signs, currency and percent: "1.234,50" of "EUR -1.234,50". */
static struct slice body(struct slice t) {
    size_t from = 0, end = t.len;
    while (from < end && !isdigit((unsigned char)t.data[from])) from++;
    while (end > from && !isdigit((unsigned char)t.data[end - 1])) end--;
    return (struct slice){t.data + from, end - from};
}

/* Digits in groups of three behind `group`, at most one `point`; *decimals: behind the point, -1 without one. */
static bool written_with(struct slice t, char group, char point, bool *grouped, int *decimals) {
    size_t run = 0;
    *grouped = false;
    *decimals = -1;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.data[i];
        if (isdigit((unsigned char)c)) {
            if (*decimals >= 0)
                ++*decimals;
            else
                run++;
        } else if (c == group && *decimals < 0 && run >= 1 && run <= 3 && (!*grouped || run == 3)) {
            *grouped = true;
            run = 0;
        } else if (c == point && *decimals < 0 && run && (!*grouped || run == 3)) {
            *decimals = 0;
        } else {
            return false;
        }
    }
    return t.len && *decimals != 0 && (!*grouped || *decimals > 0 || run == 3);
}

static void count_points(struct slice t, size_t *commas, size_t *points) {
    bool grouped;
    int decimals;
    t = body(t);
    if (written_with(t, '.', ',', &grouped, &decimals) && decimals > 0 && (grouped || decimals != 3)) ++*commas;
    if (written_with(t, ',', '.', &grouped, &decimals) && decimals > 0 && (grouped || decimals != 3)) ++*points;
}

/* Exchanges '.' and ',' in the figure. */
static void exchange(struct slice t, char *at) {
    bool grouped;
    int decimals;
    struct slice b = body(t);
    if (!written_with(b, '.', ',', &grouped, &decimals)) return;
    for (size_t i = 0; i < b.len; i++) {
        char *c = at + (b.data - t.data) + i;
        *c = *c == '.' ? ',' : *c == ',' ? '.' : *c;
    }
}

int csv_read(struct writer *w, struct slice utf8, char delimiter) {
    struct sheet s = {.first_row_names = true};
    struct buf text = {0};
    uint32_t row = 0, column = 0;
    size_t commas = 0, points = 0, at = 0;
    char ignored;
    if (said(&utf8, &ignored)) { /* a row for spreadsheet programs alone */
        while (at < utf8.len && utf8.data[at] != '\n') at++;
        at++;
    }
    while (at < utf8.len && !w->code) {
        bool last = false;
        struct slice field = slice_trim(next_field(utf8, &at, delimiter, &text, &last));
        if (text.failed) writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading CSV");
        if (row >= SHEET_MAX_ROWS || column >= SHEET_MAX_COLUMNS)
            writer_fail(w, ERR_LIMIT, w->o->name, "the file has more than %u rows or %u columns", SHEET_MAX_ROWS,
                        SHEET_MAX_COLUMNS);
        enum sheet_kind kind = sheet_kind_of(field);
        if (kind == SHEET_FIGURE) count_points(field, &commas, &points);
        sheet_add(w, &s, (struct sheet_cell){.row = row, .column = column++, .kind = kind}, field);
        if (last) row++, column = 0;
    }
    if (!w->code && commas > points * 10) {
        for (size_t i = 0; i < s.n_cells; i++)
            if (s.cells[i].kind == SHEET_FIGURE) exchange(sheet_text(&s, &s.cells[i]), s.text.data + s.cells[i].text);
        writer_warn(w, INGEST_NONE, "the file writes figures with a decimal comma; here they stand with a point");
    }
    sheet_write(w, &s);
    sheet_free(&s);
    buf_free(&text);
    return w->code;
}
