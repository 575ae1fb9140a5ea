/* pdf.h: a PDF's words on their way to paragraphs: pdf_words.c gets them from poppler, pdf_heads.c takes running heads
 * off, pdf_table.c finds tables, pdf.c makes lines and paragraphs. Coordinates: points, origin at the page's top left,
 * as displayed. */
#ifndef ANTINOMY_INGEST_PDF_H
#define ANTINOMY_INGEST_PDF_H

#include "ingest/reader.h"

enum pdf_word_flag {
    PDF_HEAD = 1,     /* running head or foot: not in the text */
    PDF_TABLE = 2,    /* taken by a table */
    PDF_VERTICAL = 4, /* set upright or on its side */
    PDF_RAISED = 8,   /* a raised figure: a footnote's mark */
    PDF_DONE = 16     /* moved into another line */
};

struct pdf_word {
    float x0, y0, x1, y1;
    uint32_t text, len;         /* in pdf.text */
    uint32_t flow, block, line; /* of poppler's layout, numbered through the document */
    uint32_t flags;
};

struct pdf_row { /* words side by side, whatever poppler made of them */
    float x0, y0, x1, y1;
    uint32_t first, n; /* in pdf_page.order */
};

struct pdf_page {
    uint32_t first, n; /* words */
    float width, height;
    uint32_t *order; /* [n] words by row, left to right; indices into pdf.words */
    struct pdf_row *rows;
    uint32_t n_rows;
    float gutter;   /* between two columns of prose; 0: none (set by pdf_tables) */
    char label[16]; /* printed page number, when one was found */
};

struct pdf {
    struct pdf_word *words;
    size_t n_words, cap_words;
    struct pdf_page *pages;
    size_t n_pages, cap_pages;
    struct buf text;
    struct buf title; /* of the file's metadata */
    bool *turned;     /* by page: displayed a quarter turn away from how it is stored */
    size_t n_turned;
    float body; /* height of most words */
};

static inline struct slice pdf_text(const struct pdf *p, const struct pdf_word *w) {
    return (struct slice){p->text.data + w->text, w->len};
}

int pdf_words_read(struct pdf *p, int fd, const struct ingest_options *o, struct error *e);
/* The same from poppler's output in memory: for tests and fuzzers. */
int pdf_words_parse(struct pdf *p, struct slice bbox, const struct ingest_options *o, struct error *e);
void pdf_free(struct pdf *p);

/* Fills order and rows of each page. */
int pdf_rows(struct pdf *p, struct error *e);
/* Marks PDF_HEAD and fills labels. */
int pdf_heads(struct pdf *p, struct error *e);

/* A table's cell: words of one or more rows, in reading order. */
struct pdf_cell {
    uint32_t row, column, n_columns;
    uint32_t first, n; /* in pdf_table.words */
};
struct pdf_table {
    uint32_t page;
    float x0, y0, x1, y1;
    uint32_t first_word; /* lowest index of its words: its place in reading order */
    struct pdf_cell *cells;
    size_t n_cells, cap_cells;
    uint32_t *words;
    size_t n_words, cap_words;
    uint32_t n_columns;
};
/* Tables of one page, top to bottom; marks their words PDF_TABLE. */
int pdf_tables(struct pdf *p, uint32_t page, struct pdf_table **out, size_t *n, struct error *e);
void pdf_tables_free(struct pdf_table *t, size_t n);

/* Layout of what has been parsed into blocks of the writer. */
int pdf_write(struct writer *w, struct pdf *p);

#endif
