/* test_ingest_pdf.c: PDFs drawn here at known coordinates, read back: the rectangles of a quote lie exactly around its
 * words, over columns, line ends, pages and rotation. The widths of Helvetica's letters are Adobe's (Core14 AFM), so
 * that each word's place is known without asking poppler. Skips where pdftotext is missing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "ingest/blocks.h"
#include "ingest/ingest.h"
#include "ingest/pdf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- drawing ---- */
static const int helvetica[95] = {/* widths of ' ' to '~' in thousandths of the size */
                                  278,  278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
                                  556,  556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
                                  1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
                                  667,  778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
                                  333,  556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
                                  556,  556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584};

static double text_width(const char *s, size_t n, double size) {
    double w = 0;
    for (size_t i = 0; i < n; i++) w += helvetica[s[i] - ' '] * size / 1000;
    return w;
}

struct drawing {
    struct buf pages[16];
    int rotate[16];
    size_t n;
};

static void page(struct drawing *d) {
    d->n++;
}

/* Baseline at y points from the page's top (A4: 595 x 842). */
static void text_at(struct drawing *d, double x, double y, double size, const char *s) {
    struct buf *b = &d->pages[d->n - 1];
    buf_printf(b, "BT /F1 %.2f Tf %.3f %.3f Td (", size, x, 842 - y);
    for (; *s; s++) {
        if (strchr("()\\", *s)) buf_puts(b, "\\");
        buf_append(b, s, 1);
    }
    buf_puts(b, ") Tj ET\n");
}

static void save(struct drawing *d, const char *path) {
    struct buf out = {0};
    size_t at[64], n = 0;
    buf_puts(&out, "%PDF-1.4\n");
    at[++n] = out.len;
    buf_puts(&out, "1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n");
    at[++n] = out.len;
    buf_puts(&out, "2 0 obj <</Type/Pages/Kids[");
    for (size_t i = 0; i < d->n; i++) buf_printf(&out, "%zu 0 R ", 4 + 2 * i);
    buf_printf(&out, "]/Count %zu>> endobj\n", d->n);
    at[++n] = out.len;
    buf_puts(&out, "3 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>> endobj\n");
    for (size_t i = 0; i < d->n; i++) {
        at[++n] = out.len;
        buf_printf(&out,
                   "%zu 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Rotate %d/Resources<</Font<</F1 3 0 "
                   "R>>>>/Contents %zu 0 R>> endobj\n",
                   4 + 2 * i, d->rotate[i], 5 + 2 * i);
        at[++n] = out.len;
        buf_printf(&out, "%zu 0 obj <</Length %zu>> stream\n", 5 + 2 * i, d->pages[i].len);
        buf_append(&out, d->pages[i].data, d->pages[i].len);
        buf_puts(&out, "endstream endobj\n");
        buf_free(&d->pages[i]);
    }
    size_t xref = out.len;
    buf_printf(&out, "xref\n0 %zu\n0000000000 65535 f \n", n + 1);
    for (size_t i = 1; i <= n; i++) buf_printf(&out, "%010zu 00000 n \n", at[i]);
    buf_printf(&out, "trailer <</Size %zu/Root 1 0 R>>\nstartxref\n%zu\n%%%%EOF\n", n + 1, xref);
    struct error e;
    assert_int_equal(file_write_atomic(path, out.data, out.len, &e), 0);
    buf_free(&out);
}

static char path[64];
static struct ingest_document *load(struct drawing *d) {
    struct ingest_document *doc = NULL;
    struct error e = {0};
    if (access("/usr/bin/pdftotext", X_OK)) skip(); /* poppler-utils is not installed */
    snprintf(path, sizeof path, "/tmp/antinomy-test-%d.pdf", (int)getpid());
    save(d, path);
    int code = ingest_document_load(&doc, path, NULL, &e);
    unlink(path);
    if (code) print_message("%s (%s)\n", e.message, e.where);
    assert_int_equal(code, 0);
    return doc;
}

static struct ingest_span find(const struct ingest_document *d, const char *s) {
    const char *at = memmem(d->text.data, d->text.len, s, strlen(s));
    if (!at) print_message("not in the text: \"%s\"\ntext:\n%s\n", s, d->text.data);
    assert_non_null(at);
    uint32_t start = (uint32_t)(at - d->text.data);
    return (struct ingest_span){start, start + (uint32_t)strlen(s)};
}

/* The rectangle of text drawn at x, baseline y. Poppler's heights come from the font's ascent and descent: around the
 * baseline. */
static void check_rect(struct ingest_rect r, uint32_t page_index, double x0, double x1, double baseline, double size) {
    assert_int_equal(r.page, page_index);
    assert_true(fabs((double)r.x0 - x0) < 0.3);
    assert_true(fabs((double)r.x1 - x1) < 0.3);
    assert_true((double)r.y0 < baseline - 0.6 * size && (double)r.y0 > baseline - 1.1 * size);
    assert_true((double)r.y1 > baseline && (double)r.y1 < baseline + 0.4 * size);
}

/* ---- tests ---- */
static void test_rectangle_lies_exactly_around_the_quoted_words(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    const char *line = "The Buyer shall pay USD 1,250 within thirty days.";
    page(&d);
    text_at(&d, 72, 100, 12, line);
    text_at(&d, 72, 140, 12, "Another paragraph stands below it.");
    struct ingest_document *doc = load(&d);
    struct ingest_rect r[4];
    size_t n = ingest_rects(doc, find(doc, "pay USD 1,250"), r, 4);
    assert_int_equal(n, 1);
    double x = 72 + text_width(line, 16, 12);
    check_rect(r[0], 0, x, x + text_width("pay USD 1,250", 13, 12), 100, 12);
    /* half a word is marked with the whole word, and never a letter more */
    n = ingest_rects(doc, find(doc, "irty"), r, 4);
    assert_int_equal(n, 1);
    x = 72 + text_width(line, 37, 12);
    check_rect(r[0], 0, x, x + text_width("thirty", 6, 12), 100, 12);
    assert_int_equal(ingest_rects(doc, (struct ingest_span){0, 0}, r, 4), 0);
    ingest_document_free(doc);
}

static void test_quote_over_two_lines_gives_two_rectangles(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    page(&d);
    const char *a = "The Supplier shall not be liable for any loss of profit that the Buyer may suffer under",
               *b = "this Agreement or in connection with it.";
    text_at(&d, 72, 100, 12, a);
    text_at(&d, 72, 115, 12, b);
    struct ingest_document *doc = load(&d);
    struct ingest_rect r[4];
    size_t n = ingest_rects(doc, find(doc, "Buyer may suffer under this Agreement"), r, 4);
    assert_int_equal(n, 2);
    size_t at = (size_t)(strstr(a, "Buyer") - a);
    check_rect(r[0], 0, 72 + text_width(a, at, 12), 72 + text_width(a, strlen(a), 12), 100, 12);
    check_rect(r[1], 0, 72, 72 + text_width(b, 14, 12), 115, 12);
    ingest_document_free(doc);
}

static const char *const left[] = {"The left column tells first of all that",
                                   "the goods are delivered by the Supplier",
                                   "to the works of the Buyer at the price",
                                   "that both have agreed in the schedule.",
                                   "Nothing in it binds any third party to",
                                   "pay more than its share of these costs.",
                                   NULL};
static const char *const right[] = {"The right column goes on with payments",
                                    "which are due thirty days after receipt",
                                    "of each invoice unless the parties agree",
                                    "on a later day in writing and sign that.",
                                    "Interest runs from the due date at eight",
                                    "percent a year until it is all paid off.",
                                    NULL};

static void test_columns_are_read_one_after_the_other(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    page(&d);
    text_at(&d, 200, 60, 18, "Terms of Delivery");
    for (int i = 0; left[i]; i++) {
        text_at(&d, 72, 100 + 14 * i, 11, left[i]);
        text_at(&d, 320, 100 + 14 * i, 11, right[i]);
    }
    struct ingest_document *doc = load(&d);
    assert_true(find(doc, "share of these costs.").start < find(doc, "The right column").start);
    assert_true(find(doc, "Terms of Delivery").start < find(doc, "The left column").start);
    struct ingest_rect r[4];
    size_t n = ingest_rects(doc, find(doc, "first of all that the goods"), r, 4);
    assert_int_equal(n, 2); /* two lines of the left column, nothing of the right one */
    check_rect(r[0], 0, 72 + text_width(left[0], 22, 11), 72 + text_width(left[0], strlen(left[0]), 11), 100, 11);
    check_rect(r[1], 0, 72, 72 + text_width("the goods", 9, 11), 114, 11);
    ingest_document_free(doc);
}

static void test_hyphenated_word_is_one_word_with_two_boxes(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    page(&d);
    text_at(&d, 72, 100, 12, "Each party may end this contract when the other one fails to meet its obli-");
    text_at(&d, 72, 115, 12, "gations under it; a self-evident breach of a long-");
    text_at(&d, 72, 130, 12, "term duty ends it. A long term is one of ten years.");
    struct ingest_document *doc = load(&d);
    struct ingest_rect r[4];
    assert_int_equal(ingest_rects(doc, find(doc, "obligations"), r, 4), 2);
    check_rect(r[1], 0, 72, 72 + text_width("gations", 7, 12), 115, 12);
    find(doc, "self-evident");
    find(doc, "long-term duty"); /* both halves are words of the document: the hyphen is the word's own */
    ingest_document_free(doc);
}

static void test_paragraph_goes_over_the_page_break_without_heads(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    static const char *const lasts[] = {
        "The Supplier shall bring the goods to the place that the schedule names for each of them",
        "Where the place is not open on a working day the driver waits for two hours and then goes",
        "Until the Buyer has paid in full the title to the goods remains with the Supplier, who may"};
    static const char *const firsts[] = {"and the Buyer shall take them over at the place that is named there.",
                                         "back to the works with all of them.",
                                         "fetch them at any time during the day."};
    char foot[32];
    for (int i = 0; i < 4; i++) {
        page(&d);
        text_at(&d, 72, 40, 9, "Frame Contract 2024");
        snprintf(foot, sizeof foot, "Page %d of 4", i + 1);
        text_at(&d, 270, 810, 9, foot);
        if (i) text_at(&d, 72, 80, 12, firsts[i - 1]);
        for (int k = 0; k < 10; k++)
            text_at(&d, 72, 110 + 40 * k, 12,
                    k % 2 ? "This sentence fills the page with words that mean nothing." : "Another short one.");
        if (i < 3) text_at(&d, 72, 770, 12, lasts[i]);
    }
    struct ingest_document *doc = load(&d);
    assert_int_equal(doc->n_pages, 4);
    assert_null(memmem(doc->text.data, doc->text.len, "Frame Contract", 14));
    assert_null(memmem(doc->text.data, doc->text.len, "of 4", 4));
    struct ingest_span s = find(doc, "for each of them and the Buyer shall");
    assert_int_equal(ingest_page_at(doc, s.start), 0);
    assert_int_equal(ingest_page_at(doc, s.end - 1), 1);
    struct ingest_rect r[4];
    assert_int_equal(ingest_rects(doc, s, r, 4), 2);
    assert_int_equal(r[0].page, 0);
    assert_int_equal(r[1].page, 1);
    assert_true(slice_equal(doc->pages[2].label, SLICE_LITERAL("3")));
    ingest_document_free(doc);
}

/* Left and right pages carry their number at the outer edge, beside a year and the name of a form. */
static void test_a_year_in_the_foot_is_no_page_number(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    for (int i = 0; i < 6; i++) {
        char foot[80];
        page(&d);
        for (int k = 0; k < 10; k++) text_at(&d, 72, 80 + 40 * k, 12, "A sentence that fills the page with its words.");
        snprintf(foot, sizeof foot,
                 i % 2 ? "2022 Annual Report on Form 10-K     %d" : "%d     2022 Annual Report on Form 10-K", i + 10);
        text_at(&d, 72, 810, 9, foot);
    }
    struct ingest_document *doc = load(&d);
    assert_int_equal(doc->n_pages, 6);
    assert_null(memmem(doc->text.data, doc->text.len, "Annual", 6));
    for (uint32_t i = 0; i < 6; i++) {
        char label[16];
        snprintf(label, sizeof label, "%u", i + 10);
        assert_int_equal(doc->pages[i].label.len, strlen(label));
        assert_memory_equal(doc->pages[i].label.data, label, strlen(label));
    }
    ingest_document_free(doc);
}

static void test_a_slip_a_page_is_text_and_no_running_head(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    char line[80], foot[16];
    for (int i = 0; i < 5; i++) {
        page(&d);
        snprintf(line, sizeof line, "Slip %d. Net pay of the month: USD %d", i + 1, 2000 + 10 * i);
        text_at(&d, 72, 60, 12, line);
        snprintf(foot, sizeof foot, "%d", i + 1);
        text_at(&d, 290, 810, 9, foot);
    }
    struct ingest_document *doc = load(&d);
    for (uint32_t i = 0; i < 5; i++) {
        snprintf(line, sizeof line, "Slip %u. Net pay of the month: USD %u", i + 1, 2000 + 10 * i);
        assert_int_equal(ingest_page_at(doc, find(doc, line).start), i);
    }
    ingest_document_free(doc);
}

static void test_a_page_without_a_number_is_counted_between_two(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    for (int i = 0; i < 6; i++) {
        char foot[16];
        page(&d);
        for (int k = 0; k < 10; k++)
            text_at(&d, 72, 80 + 40 * k, 12, k % 2 ? "Words of no weight stand here." : "And there are more of them.");
        snprintf(foot, sizeof foot, "%d", i < 4 ? i + 10 : i + 50); /* the last two belong to another count */
        if (i != 2) text_at(&d, 290, 810, 9, foot);
    }
    struct ingest_document *doc = load(&d);
    static const char *const labels[] = {"10", "11", "12", "13", "54", "55"};
    for (uint32_t i = 0; i < 6; i++) assert_true(slice_equal(doc->pages[i].label, slice_of(labels[i])));
    ingest_document_free(doc);
}

static void test_short_document_keeps_its_first_and_last_lines(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    for (int i = 0; i < 2; i++) {
        page(&d);
        text_at(&d, 72, 40, 12, "Annex to the Agreement");
        text_at(&d, 72, 400, 12, i ? "The second page says more." : "The first page says little.");
        text_at(&d, 72, 800, 12, "Signed by both parties");
    }
    struct ingest_document *doc = load(&d);
    find(doc, "Annex to the Agreement");
    find(doc, "Signed by both parties");
    ingest_document_free(doc);
}

static void test_rotated_page_gives_boxes_as_displayed(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    page(&d);
    d.rotate[0] = 90;
    /* drawn upright for a reader of the rotated page: along the page's left side, upwards */
    buf_puts(&d.pages[0], "BT /F1 12 Tf 0 1 -1 0 100 72 Tm (Payment is due) Tj ET\n");
    struct ingest_document *doc = load(&d);
    assert_true(fabs((double)doc->pages[0].width_pt - 842) < 1 && fabs((double)doc->pages[0].height_pt - 595) < 1);
    struct ingest_rect r[2];
    assert_int_equal(ingest_rects(doc, find(doc, "Payment is due"), r, 2), 1);
    check_rect(r[0], 0, 72, 72 + text_width("Payment is due", 14, 12), 100, 12);
    ingest_document_free(doc);
}

static void test_price_table_comes_out_as_rows_of_cells(void **state) {
    (void)state;
    static const char *const rows[][3] = {{"Item", "Unit", "Price (EUR)"},
                                          {"Pump", "piece", "1,250.00"},
                                          {"Seal kit", "set", "80.50"},
                                          {"Hose, reinforced", "metre", "12.00"}};
    struct drawing d = {.n = 0};
    page(&d);
    text_at(&d, 72, 80, 12, "The prices below are net of value added tax and hold for one year.");
    for (int i = 0; i < 4; i++) {
        text_at(&d, 72, 120 + 18 * i, 11, rows[i][0]);
        text_at(&d, 250, 120 + 18 * i, 11, rows[i][1]);
        text_at(&d, 450 - text_width(rows[i][2], strlen(rows[i][2]), 11), 120 + 18 * i, 11, rows[i][2]);
    }
    struct ingest_document *doc = load(&d);
    find(doc, "\nHose, reinforced | metre | 12.00");
    size_t n_cells = 0;
    for (size_t i = 0; i < doc->n_blocks; i++) {
        const struct ingest_block *b = &doc->blocks[i];
        if (b->kind != INGEST_BLOCK_CELL) continue;
        assert_int_equal(b->row, n_cells / 3);
        assert_int_equal(b->column, n_cells % 3);
        assert_int_equal((b->flags & INGEST_BLOCK_HEADER) != 0, n_cells < 3);
        n_cells++;
    }
    assert_int_equal(n_cells, 12);
    struct ingest_rect r[4];
    assert_int_equal(ingest_rects(doc, find(doc, "80.50"), r, 4), 1);
    check_rect(r[0], 0, 450 - text_width("80.50", 5, 11), 450, 156, 11);
    ingest_document_free(doc);
}

static void test_page_without_text_is_counted_not_failed(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    page(&d);
    text_at(&d, 72, 100, 12, "Only this page has words.");
    page(&d);
    buf_puts(&d.pages[1], "0 0 100 100 re f\n");
    struct ingest_document *doc = load(&d);
    assert_int_equal(doc->n_pages, 2);
    assert_int_equal(doc->n_pages_without_text, 1);
    assert_int_equal(doc->n_warnings, 1);
    ingest_document_free(doc);
}

static void test_page_is_drawn_at_the_size_of_its_boxes(void **state) {
    (void)state;
    struct drawing d = {.n = 0};
    struct buf png = {0};
    struct error e = {0};
    if (access("/usr/bin/pdftoppm", X_OK)) skip(); /* poppler-utils is not installed */
    page(&d);
    text_at(&d, 72, 100, 12, "A page to look at.");
    snprintf(path, sizeof path, "/tmp/antinomy-test-%d.pdf", (int)getpid());
    save(&d, path);
    assert_int_equal(ingest_page_render(path, 0, 72, &png, &e), 0);
    const unsigned char *p = (const unsigned char *)png.data;
    assert_true(png.len > 24 && p[1] == 'P');
    assert_int_equal(p[18] << 8 | p[19], 595);
    assert_int_equal(p[22] << 8 | p[23], 842);
    assert_int_equal(ingest_page_render(path, 7, 72, &png, &e), ERR_NOT_FOUND);
    assert_int_equal(ingest_page_render(path, 0, 1000, &png, &e), ERR_ARG);
    unlink(path);
    buf_free(&png);
}

/* ---- poppler's output, without poppler ---- */
static void test_broken_output_of_poppler_is_survived(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "<doc>",
        "<doc><page width=\"1e99\" height=\"nan\"><word xMin=\"5\" yMin=\"5\" xMax=\"4\" yMax=\"9\">x</word>",
        "<word xMin=\"1\">before any page</word>",
        "<doc><page ><flow><block ><line ><word >&lt;&amp;\x01</word></page>",
        "<doc><page width=\"100\" height=\"100\"><word xMin=\"0\" yMin=\"0\" xMax=\"9\" yMax=\"9\">cut"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pdf p = {0};
        struct error e = {0};
        struct ingest_options o = options_resolve(NULL);
        struct ingest_document *d = calloc(1, sizeof *d);
        struct writer w;
        o.name = "bad";
        assert_int_equal(pdf_words_parse(&p, slice_of(bad[i]), &o, &e), 0);
        writer_open(&w, d, &o, &e);
        pdf_write(&w, &p);
        writer_finish(&w);
        writer_close(&w);
        pdf_free(&p);
        ingest_document_free(d);
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], INGEST_CHILD_ARGUMENT) == 0) return ingest_child_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rectangle_lies_exactly_around_the_quoted_words),
        cmocka_unit_test(test_quote_over_two_lines_gives_two_rectangles),
        cmocka_unit_test(test_columns_are_read_one_after_the_other),
        cmocka_unit_test(test_hyphenated_word_is_one_word_with_two_boxes),
        cmocka_unit_test(test_paragraph_goes_over_the_page_break_without_heads),
        cmocka_unit_test(test_short_document_keeps_its_first_and_last_lines),
        cmocka_unit_test(test_a_year_in_the_foot_is_no_page_number),
        cmocka_unit_test(test_a_slip_a_page_is_text_and_no_running_head),
        cmocka_unit_test(test_a_page_without_a_number_is_counted_between_two),
        cmocka_unit_test(test_rotated_page_gives_boxes_as_displayed),
        cmocka_unit_test(test_price_table_comes_out_as_rows_of_cells),
        cmocka_unit_test(test_page_without_text_is_counted_not_failed),
        cmocka_unit_test(test_page_is_drawn_at_the_size_of_its_boxes),
        cmocka_unit_test(test_broken_output_of_poppler_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
