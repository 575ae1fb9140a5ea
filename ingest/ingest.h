/* ingest.h: bytes of a foreign document -> text, pages, words with boxes, sections, statements, facts.
 *
 * One text per document (UTF-8, NFC, lines joined, running heads out) is the truth; every other thing is a range [start, end) of
 * BYTE offsets into it. Ranges lie on code point borders. Boxes are never computed by searching text: a range meets the words it overlaps.
 * Knows no database and no model.
 *
 * The extraction of a file runs in a child process (limits, no network, no writes): the program must call ingest_child_main first
 * thing in main when argv[1] is INGEST_CHILD_ARGUMENT.
 *
 *     struct ingest_document *d; struct error e;
 *     if (ingest_document_load(&d, "contract.pdf", NULL, &e)) return report(&e);
 *     for (size_t i = 0; i < d->n_statements; i++) puts_slice(ingest_text(d, d->statements[i].span));
 *     ingest_document_free(d);
 */
#ifndef ANTINOMY_INGEST_H
#define ANTINOMY_INGEST_H

#include "base.h"

#define INGEST_CHILD_ARGUMENT "--ingest-child"
/* Bump when text, statements or facts of an unchanged file would come out differently (findings are compared by it). */
#define INGEST_VERSION 2
#define INGEST_NONE UINT32_MAX

struct ingest_span {
    uint32_t start, end; /* bytes into the document's text, end exclusive */
};

enum ingest_format { /* stored: new ones at the end */
    INGEST_TEXT,
    INGEST_MARKDOWN,
    INGEST_HTML,
    INGEST_PDF,
    INGEST_DOCX,
    INGEST_XLSX,
    INGEST_CSV,
    INGEST_EML,
    INGEST_ODT,
    INGEST_PPTX,
    INGEST_EPUB,
    INGEST_FORMATS /* how many */
};

struct ingest_page {
    struct ingest_span span;
    struct slice label;         /* what is printed or stored as the page's label: "iv", "12"; a sheet's name; page number if
                                 * there is none */
    float width_pt, height_pt;  /* 0 where the format has no pages (then there is exactly one) */
};

struct ingest_word { /* only where the format gives boxes: PDF, spreadsheets */
    struct ingest_span span;
    uint32_t page;              /* index into pages */
    float x0, y0, x1, y1;       /* points (1/72 inch), origin at the page's top left, as displayed (rotation applied); of a
                                 * spreadsheet the columns and rows that the cell covers, from 0, ends exclusive */
};

/* Section tree in document order; section 0 is the document itself (empty number, heading = title). */
struct ingest_section {
    struct ingest_span span;    /* heading and everything below it, subsections included */
    struct ingest_span heading; /* the heading's own text, without its number; may be empty */
    uint32_t parent;            /* index; INGEST_NONE for section 0 */
    uint32_t level;             /* 0 = document, 1 = top clause ... */
    struct slice number;        /* as printed, without trailing dot: "4.2", "(a)", "Section 9.03", "§ 1013.4"; may be empty */
    struct slice path;          /* full reference: "4.2(a)" or "Exhibit B > 3"; for people */
};

enum ingest_statement_kind {
    INGEST_SENTENCE,
    INGEST_LIST_ITEM, /* has a lead_in when its sentence begins above the list */
    INGEST_TABLE_ROW, /* has a header: the row of column names (lead_in) */
    INGEST_HEADING
};
/* The smallest piece that is ever shown. `span` is contiguous and whole: negation, exceptions and conditions are inside it or in lead_in. */
struct ingest_statement {
    struct ingest_span span;
    struct ingest_span lead_in; /* "The Supplier shall:" or a table's header row; empty when start == end */
    uint32_t section;
    uint32_t page;              /* of its first byte */
    enum ingest_statement_kind kind;
    uint32_t table;             /* number of the table it is a row of, else INGEST_NONE */
};

enum ingest_fact_kind {
    INGEST_AMOUNT,     /* money: value in minor units scaled out (see value), currency in unit */
    INGEST_PERCENTAGE, /* value = percent, 12.5 for "12.5 %" and "twelve and one half percent" */
    INGEST_NUMBER,     /* a bare or technical quantity: value, unit ("Nm", "mm", "°C", "units", "copies"); unit empty for a plain count */
    INGEST_DATE,       /* year, month, day; month or day 0 when not said. "03/04/2020": year only, value and value2 = the two fields as
                        * printed. A quarter: unit "quarter", value 1..4. A day of every month: only day set */
    INGEST_PERIOD,     /* value with unit "day" "week" "month" "year" "hour" "minute" and business flag; may be a deadline or a duration */
    INGEST_MODALITY,   /* obligation, permission, prohibition ...; actor, action in `subject`, `object` */
    INGEST_TERM,       /* defines a term: subject = the term, object = its definition's range */
    INGEST_REFERENCE,  /* "Section 4.2", "Exhibit B", "clause 7(a) of the Agreement": subject = the target as printed */
    INGEST_PARTY,      /* names a party: subject = full name, object = its defined short name or role when given */
    INGEST_TOTAL       /* a table's or sentence's total: value, unit; subject = its label */
};
enum ingest_modality { INGEST_OBLIGATION = 1, INGEST_PERMISSION, INGEST_PROHIBITION, INGEST_NO_OBLIGATION, INGEST_DECLARATION };
enum ingest_bound { INGEST_EXACT, INGEST_AT_MOST, INGEST_AT_LEAST, INGEST_MORE_THAN, INGEST_LESS_THAN, INGEST_ABOUT };

enum ingest_fact_flag {
    INGEST_NEGATED = 1,      /* under "not", "no", "never", "neither" */
    INGEST_BUSINESS = 2,     /* business / working days */
    INGEST_CONDITIONAL = 4,  /* under "if", "unless", "except", "subject to", "provided that", "notwithstanding" */
    INGEST_ATTRIBUTED = 8,   /* somebody alleges or claims it */
    INGEST_WORDS_DIFFER = 16 /* "ten (15) days": words and figures disagree; value is of the words, value2 of the figures */
};

struct ingest_fact {
    enum ingest_fact_kind kind;
    uint32_t statement;
    struct ingest_span span;    /* exact words: "USD 1,250,000", "within thirty (30) days" */
    /* Kind-specific, may be empty; ranges of the text. For values (amount, percentage, number, date, period, total):
     * subject = what it measures: the noun it belongs to ("monthly rent"), the verb phrase ("pay each invoice"), a defined term,
     *           in a table the row's label (then inside span's row);
     * object  = what it is measured by: "per month" of an amount, the whole of a percentage or count ("gross wages"), the anchor of a
     *           period ("after receipt of the invoice"), else the action a notice belongs to; in a table the column's header cell. */
    struct ingest_span subject;
    struct ingest_span object;
    double value, value2;       /* value2: upper end of a range ("5 to 7 days"); NaN when absent */
    struct slice unit;          /* ISO 4217 for money ("USD"); singular name for periods; SI symbol for quantities; may be empty */
    int32_t year, month, day;   /* dates */
    enum ingest_modality modality;
    enum ingest_bound bound;
    uint32_t flags;             /* enum ingest_fact_flag */
};

/* A flaw that did not stop the document: "page 7 has no text layer", "2 words without a Unicode mapping on page 3". */
struct ingest_warning {
    uint32_t page; /* index or INGEST_NONE */
    struct slice message;
};

struct ingest_block; /* what the readers leave for ingest_structure: blocks.h, inside ingest only */

struct ingest_document {
    struct arena arena; /* owns everything below */
    enum ingest_format format;
    struct slice name;  /* file name or URL as given */
    struct slice title; /* from metadata or first heading; falls back to name */
    uint8_t sha256[32]; /* of the original bytes */
    uint64_t n_bytes;
    struct slice text;
    struct ingest_page *pages;
    size_t n_pages;
    struct ingest_word *words; /* in reading order; words are disjoint, ascending ranges of the text */
    size_t n_words;
    struct ingest_section *sections;
    size_t n_sections;
    struct ingest_statement *statements; /* ascending, disjoint */
    size_t n_statements;
    struct ingest_fact *facts; /* ascending by statement, then start */
    size_t n_facts;
    struct ingest_block *blocks; /* ascending, disjoint; none when the text came from a caller */
    size_t n_blocks;
    struct ingest_warning *warnings;
    size_t n_warnings;
    uint32_t n_pages_without_text; /* scans: not read */
};

struct ingest_options {
    uint64_t max_bytes;   /* of the file; default 256 MiB */
    uint32_t max_pages;   /* default 5,000: a longer file is refused with ERR_LIMIT, whole */
    uint64_t max_text;    /* bytes of extracted text; default 64 MiB */
    double timeout_s;     /* wall clock for the child; default 120 */
    bool in_process;      /* no child: for tests, fuzzers and inside the child itself; default false */
    const char *name;     /* the name people know the file by (an upload's stored path is not); default: the last part of path */
};
/* All defaults above; NULL options mean these. */
struct ingest_options ingest_options_default(void);

/* Reads one file. The format is found from its bytes, not its name (the name only tells Markdown from text).
 * ERR_NOT_FOUND, ERR_IO, ERR_FORMAT (not what it claims; says byte, page or part), ERR_ENCRYPTED, ERR_LIMIT (which limit),
 * ERR_UNSUPPORTED (says what it is), ERR_CANCELLED (took longer than timeout_s), ERR_NOMEM. Any thread. */
int ingest_document_load(struct ingest_document **out, const char *path, const struct ingest_options *o, struct error *e);
void ingest_document_free(struct ingest_document *d);

/* Entry of the child process; returns its exit status. */
int ingest_child_main(int argc, char **argv);
/* Starts the current program again as the child unless told otherwise (tests name another binary). */
void ingest_child_program(const char *path);

/* Downloads an http(s) URL to `path` (libcurl; at most max_bytes, timeout_s in all, at most 5 redirects, never to another scheme;
 * private and loopback addresses only when allow_private). On success *name is a file name for it, owned by the caller's buffer. */
int ingest_fetch(const char *url, const char *path, uint64_t max_bytes, double timeout_s, bool allow_private, char name[256],
                 struct error *e);

/* Renders a page of a PDF to PNG in a child with the same limits: `dpi` 36..300, the result at most 20 megapixels. Appends to png. */
int ingest_page_render(const char *path, uint32_t page_index, int dpi, struct buf *png, struct error *e);

/* ---- lookups ---- */
static inline struct slice ingest_text(const struct ingest_document *d, struct ingest_span s) {
    return (struct slice){d->text.data + s.start, s.end - s.start};
}
/* Page that holds the byte; statement that holds it or INGEST_NONE; innermost section. Binary search. */
uint32_t ingest_page_at(const struct ingest_document *d, uint32_t offset);
uint32_t ingest_statement_at(const struct ingest_document *d, uint32_t offset);
uint32_t ingest_section_at(const struct ingest_document *d, uint32_t offset);
/* Index of the first word that ends behind the byte; n_words when there is none. */
size_t ingest_word_at(const struct ingest_document *d, uint32_t offset);
/* Rectangles of a range, one a line and page, exactly around the words it overlaps, in reading order. Returns how many there are
 * (may exceed cap; only cap are written). 0 where the format has no boxes. */
struct ingest_rect {
    uint32_t page;
    float x0, y0, x1, y1;
};
size_t ingest_rects(const struct ingest_document *d, struct ingest_span span, struct ingest_rect *out, size_t cap);

/* Where a range stands in a spreadsheet: the least rectangle of cells around its words on the sheet of the first; false in
 * other formats and where no cell is met. Rows and columns from 0, ends exclusive. */
struct ingest_cells {
    uint32_t row, column, row_end, column_end;
};
bool ingest_cells_at(const struct ingest_document *d, struct ingest_span span, struct ingest_cells *out);
void ingest_cells_name(struct buf *out, const struct ingest_cells *c); /* appends "B17", "A17:F17" */
/* Appends "Prices!B17", "'Q1 2024'!A17:F17", in CSV "B17"; nothing where ingest_cells_at finds none. */
void ingest_cells_place(struct buf *out, const struct ingest_document *d, struct ingest_span span);

/* ---- parts, public for the tests and for whoever has plain text already ---- */
/* Builds sections, statements and facts over d->text, d->pages (and block marks left by the readers). Idempotent. */
int ingest_structure(struct ingest_document *d, struct error *e);
int ingest_facts(struct ingest_document *d, struct error *e);

#endif
