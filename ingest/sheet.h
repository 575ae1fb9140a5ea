/* sheet.h: a spreadsheet as the readers of XLSX and CSV fill it, cell by cell; sheet.c finds the tables in it and
 * writes them as blocks; number_format.c writes a stored number as its cell shows it. Inside ingest only. */
#ifndef ANTINOMY_INGEST_SHEET_H
#define ANTINOMY_INGEST_SHEET_H

#include "ingest/reader.h"

#define SHEET_MAX_CELLS 2000000u /* of one sheet, not empty */
#define SHEET_MAX_ROWS 1048576u  /* what Excel itself can hold */
#define SHEET_MAX_COLUMNS 16384u
#define SHEET_MAX_HINTS 1000u /* tables and filters that the file names */

enum sheet_kind { SHEET_TEXT, SHEET_FIGURE, SHEET_DATE };

struct sheet_cell {
    uint32_t row, column, n_rows, n_columns; /* more than 1: merged */
    enum sheet_kind kind;
    bool bold;
    size_t text, len; /* in sheet.text */
};
struct sheet {
    struct sheet_cell *cells; /* by row, then column, once sorted */
    size_t n_cells, cap_cells;
    struct buf text;
    struct ingest_cells *hints; /* their first row is a header */
    size_t n_hints, cap_hints;
    uint32_t frozen_rows; /* rows that stay when one scrolls: headers, mostly */
    bool first_row_names; /* CSV: a first row of words names the columns */
};

/* Adds a cell; one without text leaves nothing behind. Errors stick to the writer. */
void sheet_add(struct writer *w, struct sheet *s, struct sheet_cell cell, struct slice text);
void sheet_hint(struct writer *w, struct sheet *s, struct ingest_cells r);
/* Cells in order, each place once (the last one said). */
void sheet_sort(struct sheet *s);
/* The top left cell of the range covers all of it; what else is stored under it in its row is not seen. Sorted cells
 * only. */
void sheet_merge(struct sheet *s, struct ingest_cells r);
struct sheet_cell *sheet_at(const struct sheet *s, uint32_t row, uint32_t column); /* NULL: empty */
struct slice sheet_text(const struct sheet *s, const struct sheet_cell *c);
/* Writes the sheet's tables, titles and notes to the page begun last; each cell's text carries its place (ingest_word).
 */
void sheet_write(struct writer *w, const struct sheet *s);
void sheet_free(struct sheet *s);

/* "1,234.50", "(12)", "$5", "12 %", "2024-03-31": what stands in a column of figures. */
enum sheet_kind sheet_kind_of(struct slice text);

/* ---- places (cells.c) ---- */
/* "B17", "$B$17" -> row 16, column 1; the bytes used, 0 when it is none. */
size_t sheet_reference(const char *s, uint32_t *row, uint32_t *column);
void sheet_column_name(uint32_t column, char out[8]); /* 0 -> "A" */

/* ---- numbers (number_format.c) ---- */
/* The code of a built-in format (ECMA-376 part 1, 18.8.30); NULL for an id that has none. */
const char *number_format_builtin(unsigned id);
/* Appends the number as a cell of this format code shows it, in English notation ("1,234.50", "12.5%"). Dates whose
 * format writes the month in figures come as 2024-03-31, so that day and month can't be taken for each other. */
enum sheet_kind number_format(const char *code, double value, bool date1904, struct buf *out);

#endif
