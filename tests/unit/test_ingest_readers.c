/* test_ingest_readers.c: text, Markdown, HTML, XML and DOCX become the right blocks; bad files get one clear reason
 * each; the child process is confined and ends on time. Expected texts of tests/data/ingest were written by somebody
 * else (MANIFEST.tsv). */
#include "tests/unit/ingest_fixture.h"

#include "ingest/blob.h"
#include "ingest/reader.h"

#include <pthread.h>

/* ---- text ---- */
static void test_wrapped_lines_become_paragraphs(void **state) {
    (void)state;
    CHECK("a.txt",
          "SUPPLY AGREEMENT\r\n\r\nThis agreement is made between the Supplier and the Buyer on the\r\nfirst day of "
          "May and is wrapped by hand at about this column, so\r\n"
          "that its lines are one paragraph.\r\n\r\n(a) the first item which is long enough to go on over the line "
          "and\r\nends here;\r\n(b) the second item.\r\n\r\nAcme Limited\r\n12 Main Street\r\nDublin\r\n",
          "P SUPPLY AGREEMENT\nP This agreement is made between the Supplier and the Buyer on the first day of May and "
          "is wrapped by hand at about this column, so that "
          "its lines are one paragraph.\nP (a) the first item which is long enough to go on over the line and ends "
          "here;\nP (b) the second item.\nP Acme Limited\nP 12 Main Street\nP Dublin\n");
}

static void test_unwrapped_lines_are_paragraphs(void **state) {
    (void)state;
    char text[1200], expected[1300] = "";
    size_t n = 0;
    for (int i = 0; i < 3; i++) {
        size_t from = n;
        n += (size_t)snprintf(text + n, sizeof text - n, "%d. ", i + 1);
        for (int k = 0; k < 30; k++)
            n += (size_t)snprintf(text + n, sizeof text - n, "word%d%s", k, k < 29 ? " " : ".");
        strcat(expected, "P ");
        strncat(expected, text + from, n - from);
        strcat(expected, "\n");
        text[n++] = '\n';
    }
    check_blocks("b.txt", text, n, expected);
}

static void test_form_feeds_are_pages_and_their_numbers_go(void **state) {
    (void)state;
    struct ingest_document *d = NULL;
    struct error e;
    static const char text[] =
        "The first page says that the Buyer shall\n\n- 1 -\n\fpay the price on time.\n\n- 2 -\n\fThird page.\n";
    assert_int_equal(load_bytes(&d, "c.txt", text, sizeof text - 1, NULL, &e), 0);
    assert_int_equal(d->n_pages, 3);
    assert_string_equal(d->text.data, "The first page says that the Buyer shall pay the price on time.\nThird page.");
    assert_int_equal(ingest_page_at(d, 0), 0);
    assert_int_equal(ingest_page_at(d, d->pages[1].span.start), 1);
    assert_int_equal(ingest_page_at(d, (uint32_t)d->text.len - 1), 2);
    ingest_document_free(d);
}

static void test_encodings(void **state) {
    (void)state;
    CHECK("d.txt", "Caf\xe9 \x80 5, \x93quoted\x94\n",
          "P Caf\xc3\xa9 \xe2\x82\xac 5, \xe2\x80\x9cquoted\xe2\x80\x9d\n");
    CHECK("d.txt",
          "\xff\xfe"
          "C\0a\0f\0\xe9\0",
          "P Caf\xc3\xa9\n");
    CHECK("d.txt", "\xfe\xff\0C\0a\0f\0\xe9", "P Caf\xc3\xa9\n");
    CHECK("d.txt",
          "\xef\xbb\xbf"
          "Caf\xc3\xa9",
          "P Caf\xc3\xa9\n");
    CHECK("d.html", "<html><head><meta charset=\"iso-8859-2\"></head><p>\xb1\xe6", "P \xc4\x85\xc4\x87\n");
}

static void test_text_is_cleaned(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {{"e\xcc\x81", "\xc3\xa9"}, /* NFC */
                 {"\xef\xac\x83"
                  "ce",
                  "ffice"},                        /* ligature */
                 {"con\xc2\xadtract", "contract"}, /* soft hyphen */
                 {"a\xc2\xa0"
                  "b",
                  "a b"}, /* no-break space */
                 {"non\xe2\x80\x91"
                  "exclusive",
                  "non-exclusive"},                                        /* no-break hyphen */
                 {"A\xcc\x8a", "\xc3\x85"},                                /* A with ring */
                 {"\xe2\x84\xab", "\xc3\x85"},                             /* the angstrom sign is the same letter */
                 {"q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"},               /* canonical order */
                 {"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c"}, /* Hangul */
                 {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},                 /* not UTF-8 */
                 {"a\x01"
                  "b",
                  "ab"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        text_clean(&out, slice_of(cases[i].in), false);
        assert_string_equal(out.data ? out.data : "", cases[i].out);
        buf_free(&out);
    }
}

/* ---- Markdown, HTML, XML ---- */
static void test_markdown(void **state) {
    (void)state;
    CHECK("e.md",
          "---\ntitle: Policy\n---\n# Terms *of* Use #\n\nYou **must** not [copy](http://x.y/z \"t\")\nthe "
          "`code`.\n\n1. First\n   more of it\n2. Second\n   - inner &amp; more\n"
          "1. Third\n\n> quoted\n\n| Plan | Price |\n|---|---:|\n| Basic | $5 |\n| Pro | \\| $9 |\n\n```\nif (x)\n  "
          "y();\n```\n<!-- gone -->\nLast[^1] \\*line\\*.\n\nOld style\n=========\n",
          "H1 Terms of Use\nP You must not copy the code.\nL1[1.] 1. First more of it\nL1[2.] 2. Second\nL2[-] - inner "
          "& more\nL1[3.] 3. Third\nQ quoted\n"
          "C0.0.0* Plan\nC0.0.1* Price\nC0.1.0 Basic\nC0.1.1 $5\nC0.2.0 Pro\nC0.2.1 | $9\nPRE if (x)\n  y();\nP "
          "Last[1] *line*.\nH1 Old style\n");
}

static void test_html(void **state) {
    (void)state;
    CHECK("f.html",
          "<!DOCTYPE html><html><head><title>T</title><style>p{}</style></head><body><nav>Menu</nav><h2>Fees &amp; "
          "more</h2>"
          "<p>Pay <s>$4,000</s><del>at once</del> <b>$5,000</b><sup>1</sup> now.<br>Then rest.</p><p hidden>x</p><div "
          "style='display: "
          "none'>y</div><script>z()</script>"
          "<ol type=a start=3><li>one<li><p>two</p><p>still "
          "two</p></ol><table><tr><th>Item<th>Fee<tr><td>A<td>$<td></table>"
          "<table><thead><tr><td>Item<td colspan=2>Fee</thead><tr><td>A<td>$<td>5</tr><tr><td>B<td>$<td>6</table>"
          "<table><tr><td>(a)<td>The Supplier shall pay.</table><pre>x\n  y</pre></body></html>",
          "H2 Fees & more\nP Pay $5,000\xc2\xb9 now.\nP Then rest.\nL1[c.] c. one\nL1[d.] d. two\nL1 still "
          "two\nC0.0.0* Item\nC0.0.1* Fee\nC0.1.0 A\nC0.1.1 $\n"
          "C1.0.0* Item\nC1.0.1* Fee\nC1.1.0 A\nC1.1.1 $5\nC1.2.0 B\nC1.2.1 $6\nP (a) The Supplier shall pay.\nPRE x\n "
          " y\n");
}

/* Lines wrapped wider than any editor does (copied out of a browser): a sentence is not cut where a line begins with a
 * capital; a paragraph a line stays one. */
static void test_wide_lines_are_joined(void **state) {
    (void)state;
    static const char wide[] =
        "The Administrative Agent shall give each Lender prompt notice of the terms thereof and shall, on request of "
        "the "
        "Borrower or of the Majority Lenders, send to the\n"
        "Trustee a copy of each notice that it has received under this Agreement, together with a list of the Loans "
        "that "
        "stand open on that day, and shall not charge the\n"
        "Borrower for it. The Borrower shall pay the fees that the Fee Letter names, on the days that are named there, "
        "to "
        "the account that the Administrative Agent\n"
        "Office names, and shall pay them in Dollars without any set-off and without any deduction for the Taxes that "
        "are not Excluded\n"
        "Taxes.\n"
        "\n"
        "\xe2\x80\x9c"
        "Excluded\n"
        "Taxes\xe2\x80\x9d means taxes on income.\n";
    CHECK(
        "wide.txt", wide,
        "P The Administrative Agent shall give each Lender prompt notice of the terms thereof and shall, on request of "
        "the Borrower or of the Majority Lenders, send to the Trustee a copy of each notice that it has received under "
        "this Agreement, together with a list of the Loans that stand open on that day, and shall not charge the "
        "Borrower for it. The Borrower shall pay the fees that the Fee Letter names, on the days that are named there, "
        "to the account that the Administrative Agent Office names, and shall pay them in Dollars without any set-off "
        "and without any deduction for the Taxes that are not Excluded Taxes.\n"
        "P \xe2\x80\x9c"
        "Excluded Taxes\xe2\x80\x9d means taxes on income.\n");
    static const char whole[] = "The Supplier shall deliver the goods to the warehouse of the Buyer on the first day "
                                "of each month, unless that "
                                "day is a Sunday or a public holiday at the place of the warehouse.\n"
                                "Payment Terms\n"
                                "The Buyer shall pay each invoice within thirty days after its receipt and not before "
                                "the delivery of the goods "
                                "that the invoice is for, by transfer to the account that is named there.\n"
                                "Liability of the Parties\n"
                                "The Supplier is not liable for indirect damages, whatever their cause, and whoever "
                                "claims them here, be it the "
                                "Buyer itself, a company of its group or anybody else who uses the goods.\n"
                                "Notices\n"
                                "Notices are in writing.\n";
    CHECK(
        "whole.txt", whole,
        "P The Supplier shall deliver the goods to the warehouse of the Buyer on the first day of each month, unless "
        "that day is a Sunday or a public holiday at the place of the warehouse.\n"
        "P Payment Terms\n"
        "P The Buyer shall pay each invoice within thirty days after its receipt and not before the delivery of the "
        "goods that the invoice is for, by transfer to the account that is named there.\n"
        "P Liability of the Parties\n"
        "P The Supplier is not liable for indirect damages, whatever their cause, and whoever claims them here, be it "
        "the Buyer itself, a company of its group or anybody else who uses the goods.\n"
        "P Notices\n"
        "P Notices are in writing.\n");
}

/* A page nested deeper than the parser's own limit is whole up to ours, and refused beyond it: never cut in silence. */
static void test_deep_html_is_whole_or_refused(void **state) {
    (void)state;
    static const int depths[] = {200, 250, 300, 5000};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        struct buf b = {0};
        struct error e = {0};
        struct ingest_document *d = NULL;
        buf_puts(&b, "<p>Top text.</p>");
        for (int k = 0; k < depths[i]; k++) buf_puts(&b, "<div>");
        buf_puts(&b, "<p>The deep fee is USD 9.</p>");
        for (int k = 0; k < depths[i]; k++) buf_puts(&b, "</div>");
        buf_puts(&b, "<p>Bottom text.</p>");
        struct ingest_options o = ingest_options_default();
        int rc = load_bytes(&d, "deep.html", b.data, b.len, &o, &e);
        if (depths[i] < 254) {
            assert_int_equal(rc, 0);
            assert_true(slice_equal(d->text, SLICE_LITERAL("Top text.\nThe deep fee is USD 9.\nBottom text.")));
            ingest_document_free(d);
        } else {
            assert_int_equal(rc, ERR_LIMIT);
        }
        buf_free(&b);
    }
}

static void test_xml_of_a_regulation(void **state) {
    (void)state;
    CHECK("g.xml",
          "<?xml "
          "version='1.0'?><reg><meta><date>2015-01-01</date><agency>CFPB</agency><effectiveDate>2015-02-01</"
          "effectiveDate></meta><section><subject>\xc2\xa7 1 Scope.</subject>"
          "<paragraph marker='(a)'><title>Coverage.</title><content>A lease of <ref>property</ref> is "
          "covered.</content><paragraph marker='(1)'><content>Not more than "
          "$55,800.</content></paragraph></paragraph></section></reg>",
          "P Date: 2015-01-01\nP Agency: CFPB\nP Effective date: 2015-02-01\nH1 \xc2\xa7 1 Scope.\nL1[(a)] (a) "
          "Coverage. A lease of property is covered.\nL2[(1)] (1) Not more than $55,800.\n");
}

/* ---- somebody else's expected text ---- */
static void test_published_files_give_their_expected_text(void **state) {
    (void)state;
    static const char *const files[] = {"docx_lists.docx", "unit_test_headers_numbered.docx",
                                        "html_description_list.html"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) check_published(files[i]);
}

/* ---- DOCX made here ---- */
#define W "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\""
static const char numbering_xml[] =
    "<w:numbering " W "><w:abstractNum w:abstractNumId=\"7\"><w:lvl w:ilvl=\"0\"><w:start w:val=\"4\"/><w:numFmt "
    "w:val=\"decimal\"/><w:lvlText w:val=\"%1.\"/></w:lvl>"
    "<w:lvl w:ilvl=\"1\"><w:start w:val=\"1\"/><w:numFmt w:val=\"decimal\"/><w:lvlText w:val=\"%1.%2\"/></w:lvl>"
    "<w:lvl w:ilvl=\"2\"><w:start w:val=\"1\"/><w:numFmt w:val=\"lowerLetter\"/><w:lvlText "
    "w:val=\"(%3)\"/></w:lvl></w:abstractNum><w:num w:numId=\"3\"><w:abstractNumId w:val=\"7\"/></w:num></w:numbering>";
static const char styles_xml[] =
    "<w:styles " W "><w:style w:styleId=\"H\"><w:name w:val=\"heading 1\"/><w:pPr><w:numPr><w:numId "
    "w:val=\"3\"/></w:numPr></w:pPr></w:style></w:styles>";
#define P(level, text)                                                                                                 \
    "<w:p><w:pPr><w:numPr><w:ilvl w:val=\"" #level "\"/><w:numId w:val=\"3\"/></w:numPr></w:pPr><w:r><w:t>" text       \
    "</w:t></w:r></w:p>"
static const char document_xml[] =
    "<w:document " W
    "><w:body><w:p><w:pPr><w:pStyle w:val=\"H\"/></w:pPr><w:r><w:t>Payment</w:t></w:r></w:p>" P(1, "The Buyer shall:")
        P(2, "pay; and") P(2, "report.")
            P(1, "Late payment.") "<w:p><w:r><w:t xml:space=\"preserve\">The price is "
                                  "</w:t></w:r><w:del><w:r><w:delText>100</w:delText></w:r></"
                                  "w:del><w:ins><w:r><w:t>200</w:t></w:r></w:ins>"
                                  "<w:r><w:footnoteReference w:id=\"2\"/><w:commentReference "
                                  "w:id=\"0\"/></w:r><w:r><w:t xml:space=\"preserve\"> "
                                  "euros</w:t></w:r><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></"
                                  "w:r><w:r><w:rPr><w:strike/><w:vanish w:val=\"0\"/></w:rPr><w:t> a "
                                  "year</w:t></w:r><w:r><w:rPr><w:strike w:val=\"0\"/></w:rPr><w:t>.</"
                                  "w:t></w:r></w:p>"
                                  "<w:tbl><w:tr><w:trPr><w:tblHeader/></w:trPr><w:tc><w:p><w:r><w:t>Item</w:t></w:r></"
                                  "w:p></w:tc><w:tc><w:p><w:r><w:t>Price</w:t></w:r></w:p></w:tc></w:tr>"
                                  "<w:tr><w:tc><w:tcPr><w:vMerge "
                                  "w:val=\"restart\"/></w:tcPr><w:p><w:r><w:t>Pump</w:t></w:r></w:p></"
                                  "w:tc><w:tc><w:p><w:r><w:t>5</w:t></w:r></w:p></w:tc></w:tr>"
                                  "<w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr><w:p/></w:tc><w:tc><w:p><w:r><w:t>6</w:t></"
                                  "w:r></w:p></w:tc></w:tr></w:tbl></w:body></w:document>";
static const char footnotes_xml[] =
    "<w:footnotes " W "><w:footnote w:type=\"separator\" w:id=\"0\"><w:p/></w:footnote><w:footnote "
    "w:id=\"2\"><w:p><w:r><w:t>Net of tax.</w:t></w:r></w:p></w:footnote></w:footnotes>";

static void test_docx_numbers_tables_footnotes_and_changes(void **state) {
    (void)state;
    static char bytes[65536];
    const struct entry entries[] = {{"word/document.xml", document_xml},
                                    {"word/numbering.xml", numbering_xml},
                                    {"word/styles.xml", styles_xml},
                                    {"word/footnotes.xml", footnotes_xml}};
    size_t n = make_zip(bytes, sizeof bytes, entries, 4);
    check_blocks("h.docx", bytes, n,
                 "H1[4.] 4. Payment\nL2[4.1] 4.1 The Buyer shall:\nL3[(a)] (a) pay; and\nL3[(b)] (b) report.\nL2[4.2] "
                 "4.2 Late payment.\nP The price is 200\xc2\xb9 euros.\nF[1] 1 Net of tax.\n"
                 "C0.0.0* Item\nC0.0.1* Price\nC0.1.0 Pump\nC0.1.1 5\nC0.2.0 \nC0.2.1 6\n");
    struct ingest_document *d = NULL;
    struct error e;
    assert_int_equal(load_bytes(&d, "h.docx", bytes, n, NULL, &e), 0);
    assert_int_equal(d->n_warnings, 3);
    assert_non_null(strstr(d->warnings[2].message.data, "comments were not read (1)"));
    assert_non_null(strstr(d->warnings[0].message.data, "tracked changes"));
    assert_non_null(strstr(d->warnings[1].message.data, "struck-through"));
    ingest_document_free(d);
}

/* ---- bad files ---- */
static void test_bad_files_get_one_clear_reason_each(void **state) {
    (void)state;
    static char bytes[200000];
    static const char pdf[] = "%PDF-1.4\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n2 0 obj <</Type/Pa";
    refuse("empty.pdf", "", 0, ERR_FORMAT, "empty");
    refuse("zeros.txt", bytes, 5000, ERR_FORMAT, "zero bytes");
    refuse("cut.pdf", pdf, sizeof pdf - 1, ERR_FORMAT, "breaks off at byte 72");
    refuse("a.png", "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16, ERR_UNSUPPORTED, "PNG image");
    refuse("a.rtf", "{\\rtf1\\ansi Hello}", 18, ERR_UNSUPPORTED,
           "this is a Rich Text (RTF) file, which is not read; save it as DOCX or PDF");
    refuse("a.doc", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", 10, ERR_UNSUPPORTED, ".doc");
#define OLE "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    refuse("a.xls", OLE "W\0o\0r\0k\0b\0o\0o\0k\0", 24, ERR_UNSUPPORTED, "save it as XLSX or PDF");
    refuse("a.ppt", OLE "P\0o\0w\0e\0r\0P\0o\0i\0n\0t\0", 28, ERR_UNSUPPORTED, "save it as PPTX or PDF");
    refuse("a.msg", OLE "_\0_\0s\0u\0b\0s\0t\0g\0", 24, ERR_UNSUPPORTED, "save it as EML or PDF");
    for (size_t i = 0; i < 5000; i++) bytes[i] = (char)(i * 7919 >> 3);
    refuse("noise", bytes, 5000, ERR_UNSUPPORTED, "binary");
    refuse("white.txt", "  \n \n", 5, ERR_FORMAT, "no text");
    const struct entry sheet[] = {{"xl/workbook.bin", "x"}}, other[] = {{"readme.txt", "hello"}},
                       up[] = {{"../evil", "x"}};
    refuse("a.xlsb", bytes, make_zip(bytes, sizeof bytes, sheet, 1), ERR_UNSUPPORTED, "XLSB");
    refuse("a.zip", bytes, make_zip(bytes, sizeof bytes, other, 1), ERR_UNSUPPORTED, "ZIP archive");
    refuse("up.zip", bytes, make_zip(bytes, sizeof bytes, up, 1), ERR_FORMAT, "outside itself");
    const struct entry broken[] = {{"word/document.xml", "<w:document " W "><w:body><w:p>"}};
    refuse("broken.docx", bytes, make_zip(bytes, sizeof bytes, broken, 1), ERR_FORMAT, "line 1");
    const struct entry laughs[] = {
        {"word/document.xml", "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><x>&b;</x>"}};
    refuse("laughs.docx", bytes, make_zip(bytes, sizeof bytes, laughs, 1), ERR_FORMAT, "document type");
    size_t n = make_zip(bytes, sizeof bytes, (const struct entry[]){{"word/document.xml", document_xml}}, 1);
    refuse("cut.docx", bytes, n / 2, ERR_FORMAT, "cut off");
    struct ingest_document *d = NULL;
    struct error e = {0};
    assert_int_equal(ingest_document_load(&d, "tests/data/ingest/nothing-here.pdf", NULL, &e), ERR_NOT_FOUND);
    if (access("/usr/bin/pdftotext", X_OK) == 0) {
        assert_int_equal(ingest_document_load(&d, "tests/data/ingest/libreoffice-writer-password.pdf", NULL, &e),
                         ERR_ENCRYPTED);
        assert_string_equal(e.where, "libreoffice-writer-password.pdf");
    }
}

static void test_zip_bomb_is_refused(void **state) {
    (void)state;
    size_t n = (size_t)40 << 20;
    char *zeros = malloc(n + 1);
    static char bytes[200000];
    assert_non_null(zeros);
    memset(zeros, ' ', n);
    zeros[n] = 0;
    memcpy(zeros, "<x>", 3);
    size_t len = make_zip(bytes, sizeof bytes, (const struct entry[]){{"word/document.xml", zeros}}, 1);
    free(zeros);
    refuse("bomb.docx", bytes, len, ERR_LIMIT, "bomb");
}

static void test_limits_are_named(void **state) {
    (void)state;
    struct ingest_document *d = NULL;
    struct error e;
    struct ingest_options o = ingest_options_default();
    o.max_bytes = 10;
    assert_int_equal(load_bytes(&d, "l.txt", "twelve bytes", 12, &o, &e), ERR_LIMIT);
    o = ingest_options_default();
    o.max_text = 5;
    assert_int_equal(load_bytes(&d, "l.txt", "twelve bytes", 12, &o, &e), ERR_LIMIT);
    o = ingest_options_default();
    o.max_pages = 2;
    assert_int_equal(load_bytes(&d, "l.txt", "a\n\fb\n\fc\n\fd", 10, &o, &e), ERR_LIMIT);
    assert_non_null(strstr(e.message, "2 pages"));
}

/* ---- the child ---- */
static void test_child_and_process_give_the_same_document(void **state) {
    (void)state;
    struct ingest_document *a = NULL, *b = NULL;
    struct error e = {0};
    struct ingest_options o = ingest_options_default();
    const char *file = "tests/data/samples/quality-policy.html";
    assert_int_equal(ingest_document_load(&a, file, &o, &e), 0);
    o.in_process = true;
    assert_int_equal(ingest_document_load(&b, file, &o, &e), 0);
    struct buf x = {0}, y = {0};
    blob_write(&x, a, 0, &e);
    blob_write(&y, b, 0, &e);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    /* every cut of the blob is refused, and so is every one that claims more */
    for (size_t cut = 0; cut < x.len; cut += x.len / 97 + 1) {
        struct ingest_document *d = NULL;
        assert_int_not_equal(blob_read((struct slice){x.data, cut}, &o, &d, &e), 0);
        assert_null(d);
    }
    buf_free(&x);
    buf_free(&y);
    ingest_document_free(a);
    ingest_document_free(b);
}

static void test_a_child_that_never_answers_is_stopped(void **state) {
    (void)state;
    struct ingest_document *d = NULL;
    struct error e;
    struct ingest_options o = ingest_options_default();
    FILE *f;
    char program[128];
    snprintf(program, sizeof program, "/tmp/antinomy-sleeper-%d", (int)getpid());
    f = fopen(program, "w");
    assert_non_null(f);
    fputs("#!/bin/sh\nsleep 600\n", f);
    fclose(f);
    assert_int_equal(unlink(program), 0);
    f = fopen(program, "w");
    fputs("#!/bin/sh\nsleep 600 & wait\n", f);
    fclose(f);
    char command[200];
    snprintf(command, sizeof command, "chmod 700 %s", program);
    assert_int_equal(system(command), 0);
    o.timeout_s = 0.05; /* and the parent's grace behind it */
    ingest_child_program(program);
    int code = load_bytes(&d, "s.txt", "text", 4, &o, &e);
    ingest_child_program(NULL);
    unlink(program);
    assert_int_equal(code, ERR_CANCELLED);
    assert_non_null(strstr(e.message, "stopped"));
}

static void *load_in_thread(void *result) {
    struct ingest_document *d = NULL;
    struct error e = {0};
    int *code = result;
    for (int i = 0; i < 3 && !*code; i++) {
        *code = ingest_document_load(&d, "tests/data/samples/quality-policy.html", NULL, &e);
        ingest_document_free(d);
        d = NULL;
    }
    return NULL;
}

static void test_threads_load_at_once(void **state) {
    (void)state;
    pthread_t t[4];
    int code[4] = {0};
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&t[i], NULL, load_in_thread, &code[i]), 0);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    for (int i = 0; i < 4; i++) assert_int_equal(code[i], 0);
}

static void test_fetch_refuses_what_it_must(void **state) {
    (void)state;
    struct error e = {0};
    char name[256];
    char path[128];
    snprintf(path, sizeof path, "/tmp/antinomy-fetch-%d", (int)getpid());
    assert_int_equal(ingest_fetch("file:///etc/passwd", path, 1000, 5, true, name, &e), ERR_ARG);
    static const char *const private[] = {"http://127.0.0.1:1/x", "http://[::1]:1/x",
                                          "http://10.0.0.1/x",    "http://169.254.169.254/latest",
                                          "http://localhost:1/",  "http://[::ffff:127.0.0.1]:1/"};
    for (size_t i = 0; i < sizeof private / sizeof *private; i++) {
        int code = ingest_fetch(private[i], path, 1000, 5, false, name, &e);
        if (code != ERR_ARG) print_message("%s: %s\n", private[i], e.message);
        assert_int_equal(code, ERR_ARG);
        assert_int_not_equal(access(path, F_OK), 0);
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], INGEST_CHILD_ARGUMENT) == 0) return ingest_child_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrapped_lines_become_paragraphs),
        cmocka_unit_test(test_unwrapped_lines_are_paragraphs),
        cmocka_unit_test(test_form_feeds_are_pages_and_their_numbers_go),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_text_is_cleaned),
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_html),
        cmocka_unit_test(test_deep_html_is_whole_or_refused),
        cmocka_unit_test(test_wide_lines_are_joined),
        cmocka_unit_test(test_xml_of_a_regulation),
        cmocka_unit_test(test_published_files_give_their_expected_text),
        cmocka_unit_test(test_docx_numbers_tables_footnotes_and_changes),
        cmocka_unit_test(test_bad_files_get_one_clear_reason_each),
        cmocka_unit_test(test_zip_bomb_is_refused),
        cmocka_unit_test(test_limits_are_named),
        cmocka_unit_test(test_child_and_process_give_the_same_document),
        cmocka_unit_test(test_a_child_that_never_answers_is_stopped),
        cmocka_unit_test(test_threads_load_at_once),
        cmocka_unit_test(test_fetch_refuses_what_it_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
