/* reader.h: what the readers of the formats share: the writer that builds a document's text, blocks, pages and words,
 * the cleaning of text on its way in, and the readers' entry points. Inside ingest only.
 *
 *     writer_begin(w, INGEST_BLOCK_LIST_ITEM, 1);
 *     writer_number(w, SLICE_LITERAL("(a)"));
 *     writer_text(w, SLICE_LITERAL("the  Supplier"));      white space is collapsed, text is cleaned (unicode.h)
 *     writer_end(w);                                       an empty block leaves nothing behind
 *
 * The writer's errors stick: after the first every call does nothing, and writer_finish returns it.
 */
#ifndef ANTINOMY_INGEST_READER_H
#define ANTINOMY_INGEST_READER_H

#include "ingest/blocks.h"
#include "ingest/ingest.h"

/* ---- limits of all readers; a longer input is refused whole ---- */
#define READER_MAX_BLOCKS 4000000u /* a 5,000-page filing has some 300,000 */
#define READER_MAX_WORDS 20000000u /* 5,000 dense pages have some 4 million */
#define READER_MAX_COLUMNS 1000u
#define READER_MAX_WARNINGS 200u /* further ones are counted in the last */
#define READER_MAX_DEPTH 256     /* nesting of elements, lists, tables */

struct writer {
    struct ingest_document *d;
    const struct ingest_options *o;
    struct error *e;
    int code;        /* first error */
    unsigned nested; /* how many messages this document is attached to, one in the other */
    struct buf text;
    struct ingest_block *blocks;
    size_t n_blocks, cap_blocks;
    struct ingest_word *words;
    size_t n_words, cap_words;
    struct ingest_page *pages;
    size_t n_pages, cap_pages;
    bool page_pending; /* the last page's start is not known before its first byte comes */
    struct ingest_warning *warnings;
    size_t n_warnings, cap_warnings;
    size_t n_more_warnings;
    /* the block being written */
    bool in_block, space, any; /* space: one is due before the next bytes; any: the block has bytes */
    size_t block_text;         /* text.len when the block began, before its separator */
    size_t block_words;
    struct buf raw; /* text of the block not yet cleaned (cleaning needs to see whole clusters) */
    /* the table being written */
    bool in_table, in_row, cell_separator;
    uint32_t n_tables, row, column;
    size_t table_block, row_block, row_text;
    bool row_any;
};

void writer_open(struct writer *w, struct ingest_document *d, const struct ingest_options *o, struct error *e);
/* Moves everything into the document's arena; gives one page where none was begun. Returns the first error. */
int writer_finish(struct writer *w);
void writer_close(struct writer *w);
/* Notes an error; returns its code. The first one wins. */
int writer_fail(struct writer *w, int code, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void writer_warn(struct writer *w, uint32_t page, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A page begins with the next byte written. label may be empty: then the page's number is it. */
void writer_page(struct writer *w, struct slice label, float width_pt, float height_pt);

void writer_page_cancel(struct writer *w); /* takes the page back if nothing was written to it */

/* The block that is begun, for flags, size and so on; NULL after an error. Blocks don't nest: a begin ends the block
 * before. */
struct ingest_block *writer_begin(struct writer *w, enum ingest_block_kind kind, uint32_t level);
/* A whole paragraph. A line break in it ('\n') begins a block, unless this is a heading or the sentence clearly goes
 * on; the first has the number. */
void writer_paragraph(struct writer *w, enum ingest_block_kind kind, uint32_t level, uint32_t flags,
                      struct slice number, struct slice text);
void writer_number(struct writer *w, struct slice number); /* first thing in a block; a space follows */
void writer_text(struct writer *w, struct slice text);     /* UTF-8; white space collapses except in PRE */
void writer_word(struct writer *w, uint32_t page, float x0, float y0, float x1, float y1, struct slice text,
                 bool glued);
void writer_end(struct writer *w);

/* Appends a document that was read apart (an attachment called `name`): a heading with its name, then its blocks, pages
 * ("NAME, page 3") and warnings. Its words stay behind: their boxes lie on pages of another file. */
void writer_append(struct writer *w, const struct ingest_document *part, const char *name);

/* A paragraph's text while its runs come (DOCX, ODT, PPTX). */
struct runs {
    struct buf text;
    size_t n_letters, n_bold; /* letters and figures, and those of them in bold */
};
void runs_add(struct writer *w, struct runs *r, struct slice s, bool raised, bool bold);
bool runs_bold(const struct runs *r); /* all of it */

/* Tables: rows of cells; writer_cell begins a block. A row without any text leaves nothing behind. */
void writer_table_begin(struct writer *w);
void writer_row_begin(struct writer *w);
struct ingest_block *writer_cell(struct writer *w, uint32_t n_columns);
void writer_row_end(struct writer *w);
void writer_table_end(struct writer *w); /* guesses the header row where the file marks none */

/* ---- a table held until its end (table.c): only then it shows whether it is one. HTML and DOCX use tables for layout,
 * and split
 * "$ | 1,200" into two cells; those come out as paragraphs and as one cell. ---- */
struct table_cell {
    uint32_t row, column, n_columns, flags; /* flags of ingest_block */
    size_t text, len;                       /* raw, in table.text; '\n' between paragraphs */
};
struct table {
    struct table_cell *cells;
    size_t n_cells, cap_cells;
    struct buf text;
    uint32_t n_rows, column;
    uint32_t *spans; /* [READER_MAX_COLUMNS] rows that a cell above still covers */
    bool in_row, in_cell;
};
void table_row(struct writer *w, struct table *t);
void table_cell(struct writer *w, struct table *t, uint32_t n_columns, uint32_t n_rows, uint32_t flags);
void table_text(struct writer *w, struct table *t, struct slice text);
/* A paragraph of the cell; the cell is bold when all of them are. */
void table_paragraph(struct writer *w, struct table *t, struct slice number, struct slice text, bool bold);
void table_cell_end(struct table *t);
void table_write(struct writer *w, struct table *t); /* ends the table */
void table_free(struct table *t);

/* ---- cleaning (unicode.c) ---- */
/* Appends s as UTF-8 in NFC: ligatures as letters, soft hyphens, zero-width spaces, byte-order marks and control
 * characters out, every kind of space as ' ', invalid bytes as U+FFFD. keep_lines keeps '\n' (and expands tabs); else
 * it is a space. Spaces are not collapsed. */
void text_clean(struct buf *out, struct slice s, bool keep_lines);
void text_clean_line(struct buf *out, struct slice s); /* one line of it: spaces collapsed, none at its ends */
/* "12" -> "\u00b9\u00b2" for raised figures, so that a footnote's mark never becomes part of an amount; other text
 * unchanged. */
void text_superscript(struct buf *out, struct slice s);
bool text_is_year(struct slice s);                 /* "1998", "2024", as columns are called */
struct slice text_cut(struct slice s, size_t max); /* its first bytes, at most max, no character cut */
/* UTF-8 of any bytes: by byte order mark, else by `declared` (a charset's name or NULL), else UTF-8 if valid, else
 * Windows-1252. */
int encoding_decode(struct slice bytes, const char *declared, struct buf *out, struct error *e);
/* Length of a "(a)", "4.2", "-" or "•" at the start of s, without the space behind it; 0 when there is none. */
size_t list_mark(struct slice s);

/* ---- what lists count in (ordinals.c); 0 gives nothing ---- */
void ordinal_roman(unsigned long n, bool upper, char *out, size_t cap);
/* 27 is "aa"; 28 is "bb" where letters are doubled (Word), else "ab" (HTML, OpenDocument) */
void ordinal_letters(unsigned long n, bool upper, bool doubled, char *out, size_t cap);

/* ---- readers: bytes (decoded for the text formats) -> blocks ---- */
int text_read(struct writer *w, struct slice utf8);
int markdown_read(struct writer *w, struct slice utf8);
/* What parts the fields: ',', ';', tab or '|'; false when the text has no rows of fields. */
bool csv_delimiter(struct slice utf8, char *delimiter);
int csv_read(struct writer *w, struct slice utf8, char delimiter);
int html_read(struct writer *w, struct slice utf8);
int xml_read(struct writer *w, struct slice utf8);
int eml_read(struct writer *w, struct slice bytes); /* as they came: each part says its charset */
struct package;                                     /* package.h */
int docx_read(struct writer *w, struct package *p);
int xlsx_read(struct writer *w, struct package *p);
int pptx_read(struct writer *w, struct package *p);
int epub_read(struct writer *w, struct package *p);
int odt_read(struct writer *w, struct package *p);
int zip_read(struct writer *w, int fd); /* whatever format the archive holds (read.c) */
int pdf_read(struct writer *w, int fd);

/* The whole way for one opened file: sniff, decode, read, ingest_structure, ingest_facts (read.c). Runs in the child,
 * or in this process for tests. d is zeroed but for nothing; the caller frees it on failure too. */
int document_read(struct ingest_document *d, int fd, const struct ingest_options *o, struct error *e);
/* Its middle: text, blocks, pages, words, warnings of what the file holds, for a file of n_bytes that is attached to
 * `nested` messages. */
int document_blocks(struct ingest_document *d, int fd, uint64_t n_bytes, const struct ingest_options *o,
                    unsigned nested, struct error *e);
struct ingest_options options_resolve(const struct ingest_options *o); /* zero fields -> defaults */

/* ---- format from bytes (sniff.c) ---- */
enum sniffed { SNIFF_TEXT, SNIFF_HTML, SNIFF_XML, SNIFF_PDF, SNIFF_ZIP, SNIFF_MAIL };
/* Refuses what we don't read with ERR_UNSUPPORTED, ERR_ENCRYPTED or ERR_FORMAT that says what it is. head: the first
 * bytes (up to 64 KiB). */
int sniff(struct slice head, uint64_t n_bytes, const char *where, enum sniffed *out, struct error *e);
/* Whether reading it may take another program (poppler): a PDF, or a message, which may have one attached. For the
 * child before it is confined: it looks for a few words and decodes nothing. */
bool sniff_may_be_pdf(struct slice head, const char *name);

#endif
