/* blocks.h: the marks that the readers leave for ingest_structure: what each stretch of the text was in the file.
 *
 * Readers (pdf, docx, html, markdown, text) write them into d->blocks; structure.c and statements.c read them. Blocks
 * are disjoint, ascending ranges of the text and cover all of it but the separators between them. The text is laid out
 * like this:
 *
 *   - one '\n' between two blocks; inside a block there is no '\n', except in INGEST_BLOCK_PRE, whose lines stay lines;
 *   - a paragraph is one block even where it runs over lines, columns or pages (a page's span may begin inside a
 * block);
 *   - a list item's or heading's computed number stands in the text, as people see it: "4.2 Payment", "(a) the
 * Supplier", "- item". `number` is the range of exactly the mark ("4.2", "(a)", "-"); it is empty where the reader saw
 * none. A PDF or plain text has no list structure, so its readers mark neither list nor number ("(a) pay" is a
 * paragraph there); structure.c decides by pattern;
 *   - a table row is one line: its cells, each a block of kind INGEST_BLOCK_CELL with equal `table` and `row`, with " |
 * " between them. Empty cells are blocks with an empty span, so that column numbers stay true. A cell that spans
 * columns is one block with n_columns > 1. A cell continued from the row above (vertical merge) is empty with
 * INGEST_BLOCK_CONTINUED;
 *   - a footnote or endnote stands behind the block that calls it, its mark as `number` ("1");
 *   - running heads, feet and page numbers, tracked deletions, comments, scripts and navigation are not in the text at
 * all.
 *
 * A document made by a caller from plain text has no blocks (n_blocks == 0): then each line of the text is a paragraph.
 */
#ifndef ANTINOMY_INGEST_BLOCKS_H
#define ANTINOMY_INGEST_BLOCKS_H

#include "ingest/ingest.h"

enum ingest_block_kind {
    INGEST_BLOCK_PARAGRAPH,
    INGEST_BLOCK_HEADING,   /* level 1.. */
    INGEST_BLOCK_LIST_ITEM, /* level 1..; a further paragraph of the same item is an item of the same level without a
                               number */
    INGEST_BLOCK_CELL,      /* table, row, column */
    INGEST_BLOCK_PRE,       /* code, ASCII tables, forms: lines kept as they are */
    INGEST_BLOCK_FOOTNOTE,
    INGEST_BLOCK_QUOTE, /* quoted paragraph of an amendment or the like (blockquote) */
    INGEST_BLOCK_KINDS
};

enum ingest_block_flag {
    INGEST_BLOCK_HEADER = 1,     /* cell of a header row (or header column when INGEST_BLOCK_ROW_HEADER) */
    INGEST_BLOCK_ROW_HEADER = 2, /* cell that names its row (<th scope=row>, first column marked as such) */
    INGEST_BLOCK_CONTINUED = 4,  /* empty cell under a vertical merge */
    INGEST_BLOCK_GUESSED = 8,    /* the kind was read from looks (size, alignment), not from a mark in the file */
    INGEST_BLOCK_TITLE = 16,     /* the document's title (HEADING level 1) */
    INGEST_BLOCK_CENTERED = 32,  /* PDF, DOCX: set in the middle of its column */
    INGEST_BLOCK_BOLD =
        64, /* DOCX, HTML, Markdown: the whole block is bold (often a heading without a heading style) */
    INGEST_BLOCK_ORDERED = 128, /* list item of a numbered list */
    INGEST_BLOCK_CAPTION = 256, /* a table's or figure's caption */
    INGEST_BLOCK_REMARK = 512   /* cell that says no value itself: of a table about cells (a sheet's formulas), or one
                                   that shows a formula because its value is not known */
};

struct ingest_block {
    struct ingest_span span;
    enum ingest_block_kind kind;
    uint32_t flags;            /* enum ingest_block_flag */
    struct ingest_span number; /* the mark at the block's start, inside span: "4.2", "(a)", "-"; empty when none */
    uint32_t level;            /* heading 1..9, list item 1..9; else 0 */
    uint32_t table;            /* cells: number of the table in the document from 0; else INGEST_NONE */
    uint32_t row, column;      /* cells: from 0 */
    uint32_t n_columns;        /* cells: columns spanned, at least 1 */
    float size_pt;             /* PDF: height of its lines (a cue for headings); 0 where unknown */
    float indent_pt;           /* PDF: left edge, from the page's left; 0 where unknown */
};

#endif
