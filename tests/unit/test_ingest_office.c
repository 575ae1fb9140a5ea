/* test_ingest_office.c: OpenDocument texts, slides and e-books become headings, numbered items, tables and notes as
 * their pages show them; what is left out is told. Expected texts of tests/data/ingest were written by somebody else
 * (MANIFEST.tsv). */
#include "tests/unit/ingest_fixture.h"

static char bytes[1 << 20];

/* ---- ODT ---- */
#define ODF "urn:oasis:names:tc:opendocument:xmlns:"
#define ODF_NAMES                                                                                                      \
    " xmlns:office=\"" ODF "office:1.0\" xmlns:text=\"" ODF "text:1.0\" xmlns:table=\"" ODF "table:1.0\""              \
    " xmlns:style=\"" ODF "style:1.0\" xmlns:draw=\"" ODF "drawing:1.0\""                                              \
    " xmlns:fo=\"" ODF "xsl-fo-compatible:1.0\" xmlns:svg=\"" ODF "svg-compatible:1.0\""
#define CONTENT(styles, body)                                                                                          \
    "<office:document-content" ODF_NAMES "><office:automatic-styles>" styles                                           \
    "</office:automatic-styles><office:body><office:text>" body                                                        \
    "</office:text></office:body></office:document-content>"

static void check_odt(const char *content, const char *styles, const char *expected) {
    const struct entry entries[] = {
        {"mimetype", "application/vnd.oasis.opendocument.text"}, {"content.xml", content}, {"styles.xml", styles}};
    check_document("a.odt", bytes, make_zip(bytes, sizeof bytes, entries, styles ? 3 : 2), expected);
}

static const char outline_xml[] =
    "<office:document-styles" ODF_NAMES "><office:styles><style:style style:name=\"Heading_20_1\" "
    "style:family=\"paragraph\" style:default-outline-level=\"1\" style:list-style-name=\"\"><style:text-properties "
    "fo:font-weight=\"bold\"/></style:style><style:style style:name=\"Bare\" style:family=\"paragraph\" "
    "style:parent-style-name=\"Heading_20_1\" style:list-style-name=\"\"/><text:outline-style "
    "style:name=\"Outline\"><text:outline-level-style text:level=\"1\" style:num-format=\"1\" "
    "style:num-suffix=\".\" text:start-value=\"4\"/><text:outline-level-style text:level=\"2\" style:num-format=\"1\" "
    "text:display-levels=\"2\"/></text:outline-style><text:list-style style:name=\"L\"><text:list-level-style-number "
    "text:level=\"1\" style:num-format=\"a\" style:num-prefix=\"(\" style:num-suffix=\")\"/>"
    "<text:list-level-style-number text:level=\"2\" style:num-format=\"i\" num-list-format=\"%1%.%2%)\"/>"
    "<text:list-level-style-bullet text:level=\"3\" text:bullet-char=\"*\"/></text:list-style></office:styles>"
    "</office:document-styles>";

#define H(attributes, text) "<text:h" attributes ">" text "</text:h>"
#define P(text) "<text:p>" text "</text:p>"
#define LIST(attributes, entries) "<text:list" attributes ">" entries "</text:list>"
#define ENTRY(attributes, body) "<text:list-item" attributes ">" body "</text:list-item>"
#define ITEM(text) ENTRY("", P(text))
static void test_odt_numbers_are_computed(void **state) {
    (void)state;
    check_odt(
        CONTENT("",
                H(" text:style-name=\"Heading_20_1\" text:outline-level=\"1\"",
                  "Payment") H(" text:outline-level=\"2\"", "Invoices") P("The Buyer shall:")
                    LIST(" xml:id=\"l1\" text:style-name=\"L\"",
                         ITEM("pay;") ENTRY("", P("report:") P("in writing") LIST("", ITEM("monthly") ITEM("yearly"))))
                        P("Words between.") LIST(" text:continue-list=\"l1\"", ITEM("insure."))
                            LIST(" text:style-name=\"L\" text:continue-numbering=\"true\"", ITEM("store."))
                                LIST(" text:style-name=\"L\"",
                                     "<text:list-header>" P("No number") "</text:list-header>" ENTRY(
                                         " text:start-value=\"28\"",
                                         P("far<text:line-break/>Down") LIST("", ENTRY("", LIST("", ITEM("dot"))))))
                                    H(" text:outline-level=\"2\"",
                                      "Interest") H(" text:style-name=\"Bare\" text:outline-level=\"1\"", "Bare")
                                        H(" text:outline-level=\"1\" text:is-list-header=\"true\"",
                                          "Annex") H(" text:outline-level=\"1\"", "Term")
                                            H(" text:outline-level=\"2\"", "<text:number>5.7</text:number>Renewal")),
        outline_xml,
        "H1[4.] 4. Payment\nH2[4.1] 4.1 Invoices\nP The Buyer shall:\nL1[(a)] (a) pay;\nL1[(b)] (b) report:\nL1 in "
        "writing\nL2[b.i)] b.i) monthly\nL2[b.ii)] b.ii) yearly\nP Words between.\nL1[(c)] (c) insure.\nL1[(d)] (d) "
        "store.\nL1 No number\nL1[(ab)] (ab) far\nL1 Down\nL3[-] - dot\nH2[4.2] 4.2 Interest\nH1 Bare\nH1 "
        "Annex\nH1[5.] 5. "
        "Term\nH2[5.7] 5.7 Renewal\n");
}

static void test_odt_shows_what_its_page_shows(void **state) {
    (void)state;
    check_odt(
        CONTENT("<style:style style:name=\"S\" style:family=\"text\"><style:text-properties "
                "style:text-line-through-style=\"solid\"/></style:style><style:style style:name=\"H\" "
                "style:family=\"text\"><style:text-properties text:display=\"none\"/></style:style><style:style "
                "style:name=\"U\" style:family=\"text\" style:parent-style-name=\"V\"/><style:style style:name=\"V\" "
                "style:family=\"text\"><style:text-properties style:text-position=\"super 58%\"/></style:style>"
                "<style:style style:name=\"N\" style:family=\"paragraph\"><style:text-properties "
                "text:display=\"none\"/></style:style>",
                "<text:tracked-changes><text:changed-region><text:deletion><text:p>The price is "
                "100.</text:p></text:deletion></text:changed-region></text:tracked-changes>"
                "<text:table-of-content><text:index-body><text:p>Payment 3</text:p></text:index-body></"
                "text:table-of-content><text:p text:style-name=\"N\">Hidden.</text:p>"
                "<text:p>The<text:s text:c=\"2\"/>price<text:change text:change-id=\"1\"/> is\n<text:span "
                "text:style-name=\"S\">not </text:span><text:span text:style-name=\"H\">never</text:span>200<text:note "
                "text:note-class=\"footnote\"><text:note-citation>7</text:note-citation><text:note-body><text:p>Net of "
                "tax.</text:p><text:p>Twice.</text:p></text:note-body></text:note> euros a m<text:span "
                "text:style-name=\"U\">2</text:span>.<office:annotation><text:p>Really?</text:p></office:annotation>"
                "<draw:frame><draw:text-box><text:p>Boxed.</text:p></draw:text-box></draw:frame><draw:frame>"
                "<draw:object><office:x/></draw:object><svg:desc>A chart</svg:desc></draw:frame></text:p>"
                "<text:section text:display=\"none\"><text:p>Secret.</text:p></text:section><text:section>"
                "<text:p>Open.</text:p></text:section>"),
        NULL,
        "P Boxed.\nP The price is 200\xe2\x81\xb7 euros a m\xc2\xb2.\nF[7] 7 Net of tax. Twice.\nP Open.\n! the "
        "document "
        "has tracked changes: insertions were read, deletions were not\n! struck-through text was not read\n! comments "
        "were not read (1)\n! embedded objects (charts, formulas) were not read (1)\n");
}

#define ROW(cells) "<table:table-row>" cells "</table:table-row>"
#define SPAN(attributes, body) "<table:table-cell" attributes ">" body "</table:table-cell>"
#define CELL(text) SPAN("", P(text))
#define COVERED "<table:covered-table-cell/>"
static void test_odt_tables(void **state) {
    (void)state;
    check_odt(
        CONTENT("", "<table:table><table:table-header-rows>" ROW(CELL("Item") CELL("Price") CELL(
                        "Note")) "</table:table-header-rows>" ROW(SPAN(" table:number-rows-spanned=\"2\"", P("Pump"))
                                                                      CELL("5") SPAN("", LIST(" text:style-name=\"L\"",
                                                                                              ITEM("new") ITEM("old"))))
                        ROW(COVERED SPAN(" table:number-columns-spanned=\"2\"",
                                         "<table:table>" ROW(CELL("6") CELL("7")) "</table:table>")
                                COVERED) "</table:table>" P("After.")),
        outline_xml,
        "C0.0.0* Item\nC0.0.1* Price\nC0.0.2* Note\nC0.1.0 Pump\nC0.1.1 5\nC0.1.2 (a) new (b) old\nC0.2.0 \nC0.2.1 6 "
        "7\nP After.\n");
}

static void test_odt_of_another_program(void **state) {
    (void)state;
    /* theirs counts on where the file has a bullet */
    check_published_but("text_document_01.odt", "233numberedlist3", "23numberedlist3");
}

static void test_odt_has_the_title_of_its_properties(void **state) {
    (void)state;
    const struct entry entries[] = {
        {"content.xml", CONTENT("", "<text:h>Payment</text:h>")},
        {"meta.xml", "<office:document-meta" ODF_NAMES " xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><office:meta>"
                     "<dc:title>Supply &amp; Service</dc:title></office:meta></office:document-meta>"}};
    struct ingest_document *d = NULL;
    struct error e;
    assert_int_equal(load_bytes(&d, "a.odt", bytes, make_zip(bytes, sizeof bytes, entries, 2), NULL, &e), 0);
    assert_string_equal(d->title.data, "Supply & Service");
    assert_int_equal(d->format, INGEST_ODT);
    ingest_document_free(d);
}

static void test_opendocuments_that_are_refused(void **state) {
    (void)state;
    const struct entry sheet[] = {{"content.xml",
                                   "<office:document-content" ODF_NAMES
                                   "><office:body><office:spreadsheet/></office:body></office:document-content>"}};
    refuse("a.ods", bytes, make_zip(bytes, sizeof bytes, sheet, 1), ERR_UNSUPPORTED, "OpenDocument spreadsheet");
    const struct entry locked[] = {{"content.xml", "\x8f\x12\x03"},
                                   {"META-INF/manifest.xml",
                                    "<manifest:manifest xmlns:manifest=\"" ODF "manifest:1.0\"><manifest:file-entry>"
                                    "<manifest:encryption-data/></manifest:file-entry></manifest:manifest>"}};
    refuse("a.odt", bytes, make_zip(bytes, sizeof bytes, locked, 2), ERR_ENCRYPTED, "password");
    refuse("b.odt", bytes, make_zip(bytes, sizeof bytes, locked + 1, 1), ERR_FORMAT, "main part is missing");
    const struct entry laughs[] = {{"content.xml", "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><x>&a;</x>"}};
    refuse("c.odt", bytes, make_zip(bytes, sizeof bytes, laughs, 1), ERR_FORMAT, "document type");
}

/* ---- PPTX ---- */
#define OOXML "http://schemas.openxmlformats.org/"
#define PML                                                                                                            \
    " xmlns:p=\"" OOXML "presentationml/2006/main\" xmlns:a=\"" OOXML "drawingml/2006/main\""                          \
    " xmlns:r=\"" OOXML "officeDocument/2006/relationships\" xmlns:mc=\"" OOXML "markup-compatibility/2006\""
#define RELS(x) "<Relationships xmlns=\"" OOXML "package/2006/relationships\">" x "</Relationships>"
#define REL(id, type, target)                                                                                          \
    "<Relationship Id=\"" id "\" Type=\"" OOXML "officeDocument/2006/relationships/" type "\" Target=\"" target "\"/>"
#define SLIDE(body) "<p:sld" PML "><p:cSld><p:spTree>" body "</p:spTree></p:cSld></p:sld>"
#define SHAPE(ph, body)                                                                                                \
    "<p:sp><p:nvSpPr><p:cNvPr id=\"1\"/><p:nvPr>" ph "</p:nvPr></p:nvSpPr><p:txBody><a:lstStyle><a:lvl1pPr><a:buChar " \
    "char=\"o\"/></a:lvl1pPr></a:lstStyle>" body "</p:txBody></p:sp>"
#define PARA(properties, text) "<a:p><a:pPr" properties "</a:pPr><a:r><a:rPr/><a:t>" text "</a:t></a:r></a:p>"
#define AUTO(lvl, type) " lvl=\"" #lvl "\"><a:buAutoNum type=\"" type "\"/>"
#define GROUP(shapes) "<p:grpSp><p:grpSpPr/>" shapes "</p:grpSp>"
#define NEWER(shapes, instead)                                                                                         \
    "<mc:AlternateContent><mc:Choice>" shapes "</mc:Choice><mc:Fallback>" instead "</mc:Fallback></"                   \
    "mc:AlternateContent>"
#define DECK                                                                                                           \
    {"ppt/presentation.xml", "<p:presentation" PML " firstSlideNum=\"5\"><p:sldIdLst><p:sldId id=\"256\" "             \
                             "r:id=\"rId7\"/><p:sldId id=\"257\" r:id=\"rId2\"/></p:sldIdLst></p:presentation>"},      \
    {                                                                                                                  \
        "ppt/_rels/presentation.xml.rels",                                                                             \
            RELS(REL("rId2", "slide", "slides/slide1.xml") REL("rId7", "slide", "/ppt/slides/slide9.xml"))             \
    }

static void test_slides_are_pages_in_their_order(void **state) {
    (void)state;
    const struct entry entries[] = {
        DECK,
        {"ppt/slides/slide9.xml",
         SLIDE(SHAPE("<p:ph type=\"ftr\"/>", PARA(">", "Confidential"))
                   SHAPE("<p:ph idx=\"1\"/>",
                         PARA(">", "The Buyer shall:") PARA(" lvl=\"1\">", "pay") PARA(" lvl=\"1\"><a:buNone/>", "Now.")
                             PARA(AUTO(0, "alphaUcParenBoth"), "one") PARA(AUTO(1, "romanLcPeriod"), "deep")
                                 PARA(AUTO(0, "alphaUcParenBoth"), "two") PARA("><a:buChar char=\"*\"/>", "dot")
                                     PARA(AUTO(0, "alphaUcParenBoth"), "again"))
                       SHAPE("<p:ph type=\"title\"/>", "<a:p><a:r><a:rPr/><a:t>Pay</a:t></"
                                                       "a:r><a:br/><a:r><a:t>ment</a:t></a:r></"
                                                       "a:p>"))},
        {"ppt/slides/_rels/slide9.xml.rels",
         RELS(REL("rId1", "notesSlide", "../notesSlides/n.xml") REL("rId3", "comments", "../comments/c.xml"))},
        {"ppt/notesSlides/n.xml", "<p:notes" PML "><p:cSld><p:spTree>" SHAPE("<p:ph type=\"sldNum\"/>", PARA(">", "5"))
                                      SHAPE("<p:ph type=\"body\"/>", PARA(">", "Say this.")) "</p:spTree></p:cSld></"
                                                                                             "p:notes>"},
        {"ppt/comments/c.xml", "<p:cmLst" PML "><p:cm><p:text>Really?</p:text></p:cm></p:cmLst>"},
        {"ppt/slides/slide1.xml",
         SLIDE("<p:sp><p:nvSpPr><p:cNvPr id=\"4\" hidden=\"1\"/></p:nvSpPr><p:txBody>" PARA(
             ">", "Hidden.") "</p:txBody></p:sp>" GROUP(SHAPE("", "<a:p><a:r><a:rPr strike=\"sngStrike\"/><a:t>Not "
                                                                  "</a:t></a:r><a:r><a:rPr b=\"1\"/>"
                                                                  "<a:t>EUR 5 a m</a:t></a:r><a:r><a:rPr "
                                                                  "baseline=\"30000\"/><a:t>2</a:t></a:r></a:p>"))
                   NEWER(SHAPE("", PARA(">", "New.")),
                         SHAPE("", PARA(">", "Old."))) "<p:graphicFrame><p:oleObj/></p:graphicFrame>")}};
    check_document(
        "a.pptx", bytes, make_zip(bytes, sizeof bytes, entries, sizeof entries / sizeof *entries),
        "@ slide 5\nH1 Pay ment\nP The Buyer shall:\nL2[-] - pay\nP Now.\nL1[(A)] (A) one\nL2[i.] i. "
        "deep\nL1[(B)] (B) two\nL1[-] - dot\nL1[(A)] (A) again\n@ notes of slide 5\nP Say this.\n@ slide 6\nH1 "
        "Slide 6\nP EUR 5 a m\xc2\xb2\nP New.\n! struck-through text was not read\n! comments were not read "
        "(1)\n! embedded objects and charts without values were not read (1)\n");
}

#define TC(attributes, text) "<a:tc" attributes "><a:txBody>" PARA(">", text) "</a:txBody></a:tc>"
static void test_slides_with_tables_and_pictures(void **state) {
    (void)state;
    const struct entry entries[] = {
        DECK,
        {"ppt/slides/slide9.xml",
         SLIDE("<p:graphicFrame><a:graphic><a:tbl><a:tblPr firstRow=\"1\"/><a:tr>" TC("", "Item")
                   TC(" gridSpan=\"2\"", "Price") TC(" hMerge=\"1\"", "") "</a:tr><a:tr>" TC(" rowSpan=\"2\"", "Pump")
                       TC("", "5") TC("", "6") "</a:tr><a:tr>" TC(" vMerge=\"1\"", "x") TC("", "7")
                           TC("", "8") "</a:tr></a:tbl></a:graphic></p:graphicFrame>")},
        {"ppt/slides/slide1.xml", SLIDE("<p:pic/>")}};
    check_document(
        "a.pptx", bytes, make_zip(bytes, sizeof bytes, entries, sizeof entries / sizeof *entries),
        "@ slide 5\nH1 Slide 5\nC0.0.0* Item\nC0.0.1* Price\nC0.1.0 Pump\nC0.1.1 5\nC0.1.2 6\nC0.2.0 \nC0.2.1 "
        "7\nC0.2.2 8\n@ slide 6\nH1 Slide 6\n! slide 6 has pictures and no text\n");
    const struct entry hidden[] = {
        DECK,
        {"ppt/slides/slide9.xml", SLIDE(SHAPE("", PARA(">", "Shown.")))},
        {"ppt/slides/slide1.xml",
         "<p:sld" PML " show=\"0\"><p:cSld><p:spTree>" SHAPE("", PARA(">", "Secret.")) "</p:spTree></p:cSld></p:sld>"}};
    check_document("a.pptx", bytes, make_zip(bytes, sizeof bytes, hidden, 4),
                   "H1 Slide 5\nP Shown.\n! hidden slides were not read (1)\n");
    refuse("cut.pptx", bytes, make_zip(bytes, sizeof bytes, hidden, 3), ERR_FORMAT, "its slide 6 is missing");
}

/* The values are those of pptx_chart.pptx.expected.md, which shows the second chart as a picture. */
static void test_charts_are_tables_of_their_values(void **state) {
    (void)state;
    struct buf file = {0};
    struct error e;
    assert_int_equal(file_read("tests/data/ingest/pptx_chart.pptx", 1 << 20, &file, &e), 0);
    check_document(
        "a.pptx", file.data, file.len,
        "@ slide 1\nH1 Quarterly Duck Survey\nP Wild Duck Observations by Year\nC0.0.0* \nC0.0.1* Freshwater "
        "Ducks\nC0.0.2* Saltwater Ducks\nC0.1.0 2019\nC0.1.1 120\nC0.1.2 80\nC0.2.0 2020\nC0.2.1 130\nC0.2.2 "
        "95\nC0.3.0 2021\nC0.3.1 150\nC0.3.2 110\nC0.4.0 2022\nC0.4.1 175\nC0.4.2 130\n@ slide 2\nH1 Quarterly "
        "revenue\nC1.0.0* \nC1.0.1* 2026\nC1.1.0 Q1\nC1.1.1 10\nC1.2.0 Q2\nC1.2.1 20\nC1.3.0 Q3\nC1.3.1 30\n");
    buf_free(&file);
}

static void test_relationships_name_the_main_part(void **state) {
    (void)state;
    static const char *const places[] = {"word/main.xml", "/word/main.xml", "word/../word/./main.xml"};
    static const char body[] = "<w:document xmlns:w=\"" OOXML "wordprocessingml/2006/main\"><w:p><w:r><w:t>Words.</w:t>"
                               "</w:r></w:p></w:document>";
    char rels[500];
    const struct entry entries[] = {{"_rels/.rels", rels}, {"word/main.xml", body}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(rels, sizeof rels, RELS(REL("a", "officeDocument", "%s") REL("b", "officeDocument", "other.xml")),
                 places[i]);
        check_document("a.docx", bytes, make_zip(bytes, sizeof bytes, entries, 2), "P Words.\n");
    }
    snprintf(rels, sizeof rels, RELS(REL("a", "officeDocument", "..")));
    refuse("a.docx", bytes, make_zip(bytes, sizeof bytes, entries, 2), ERR_UNSUPPORTED, "ZIP archive");
}

/* Marks the last of the archive's entries, or all, as encrypted (APPNOTE.TXT 4.4.4). */
static size_t lock(char *zip, size_t n, bool all) {
    char *local = NULL, *central = NULL;
    for (size_t i = 0; i + 9 < n; i++) {
        if (!memcmp(zip + i, "PK\3\4", 4)) local = zip + i + 6;
        if (!memcmp(zip + i, "PK\1\2", 4)) central = zip + i + 8;
        if (all && local) *local |= 1;
        if (all && central) *central |= 1;
    }
    *local |= 1, *central |= 1;
    return n;
}

static void test_a_package_with_a_password_is_refused_whatever_it_holds(void **state) {
    (void)state;
    static const char *const parts[][2] = {{"word/document.xml", "word/media/a.png"},
                                           {"xl/workbook.xml", "xl/media/a.png"},
                                           {"ppt/presentation.xml", "ppt/media/a.png"},
                                           {"content.xml", "Pictures/a.png"}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (int all = 0; all < 2; all++) {
            const struct entry entries[] = {{parts[i][0], "<x/>"}, {parts[i][1], "x"}};
            refuse("a", bytes, lock(bytes, make_zip(bytes, sizeof bytes, entries, 2), all), ERR_ENCRYPTED, "password");
        }
    const struct entry none[] = {{"a.txt", "Words."}};
    refuse("a", bytes, lock(bytes, make_zip(bytes, sizeof bytes, none, 1), true), ERR_UNSUPPORTED, "ZIP archive");
}

/* ---- EPUB ---- */
#define CONTAINER                                                                                                      \
    {                                                                                                                  \
        "META-INF/container.xml", "<container xmlns=\"" ODF "container:1.0\"><rootfiles><rootfile "                    \
                                  "full-path=\"OEBPS/book.opf\"/></rootfiles></container>"                             \
    }
#define OPF(manifest, spine)                                                                                           \
    "<!DOCTYPE package PUBLIC \"x\" \"y\"><package xmlns=\"http://www.idpf.org/2007/opf\" "                            \
    "xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><metadata><dc:title>Rules of the House</dc:title><dc:title>A "      \
    "subtitle</dc:title></metadata><manifest>" manifest "</manifest><spine toc=\"toc\">" spine "</spine></package>"
#define PART(id, href) "<item id=\"" id "\" href=\"" href "\" media-type=\"application/xhtml+xml\"/>"
#define REF(id) "<itemref idref=\"" id "\"/>"
#define XHTML(body)                                                                                                    \
    "<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\"><head><title/></head><body>" body             \
    "</body></html>"
#define POINT(label, src, more)                                                                                        \
    "<navPoint><navLabel><text>" label "</text></navLabel><content src=\"" src "\"/>" more "</navPoint>"

static void test_chapters_are_pages_of_the_spine(void **state) {
    (void)state;
    const struct entry entries[] = {
        CONTAINER,
        {"OEBPS/book.opf",
         OPF(PART("b", "text/b%20c.xhtml") PART("a", "text/../text/a.xhtml") PART("c", "c.xhtml") PART("d", "d.xhtml")
                 PART("e", "e.xhtml") "<item id=\"toc\" href=\"nav/toc.ncx\"/>"
                                      "<item id=\"p\" href=\"p.svg\" media-type=\"image/svg+xml\"/>",
             REF("p") REF("a") REF("b") REF("c") REF("d") REF("e"))},
        {"OEBPS/nav/toc.ncx",
         "<!DOCTYPE ncx PUBLIC \"-//NISO//DTD ncx 2005-1//EN\" \"http://x/ncx.dtd\"><ncx><navMap>" POINT(
             " Introduction\n ", "../text/a.xhtml", "")
             POINT("1.&#160;General\n rules", "../text/b%20c.xhtml#one",
                   POINT("Keys &amp; locks", "../text/b%20c.xhtml#two",
                         "")) "</navMap><pageList><pageTarget>" POINT("7", "../text/a.xhtml#p7",
                                                                      "") "</pageTarget></pageList></ncx>"},
        {"OEBPS/p.svg", "<svg/>"},
        {"OEBPS/text/a.xhtml", XHTML("<nav><a href=\"x\">Next</a></nav><h1>Welcome</h1><p id=\"p7\">Dogs&nbsp;may "
                                     "enter.<a href=\"#n\">1</a></p><aside id=\"n\"><p>Not cats.</p></aside>")},
        {"OEBPS/text/b c.xhtml",
         XHTML("<p>Before.</p><div id=\"one\"><p>Pay on the <del>2nd</del> 1st.</p></div><p>Still "
               "one. <a id=\"two\"></a>Two begins.</p><table><tr><td>Rent</td><td>5</td></tr><tr><td>"
               "Heat</td><td>6</td></tr></table>")},
        {"OEBPS/c.xhtml", XHTML("<p>It goes on.</p>")},
        {"OEBPS/d.xhtml", XHTML("<img src=\"x\"/>")},
        {"OEBPS/e.xhtml", XHTML("<h2>Annex</h2><p>Last.</p>")}};
    size_t n = make_zip(bytes, sizeof bytes, entries, sizeof entries / sizeof *entries);
    check_document(
        "a.epub", bytes, n,
        "@ chapter Introduction\nH1 Welcome\nP Dogs may enter.1\nP Not cats.\n@ 1. General rules\nP Before.\nP "
        "Pay on the 1st.\nP Still one. Two begins.\n@ Keys & locks\nC0.0.0 Rent\nC0.0.1 5\nC0.1.0 Heat\nC0.1.1 "
        "6\nP It goes on.\n@ chapter Annex\nH2 Annex\nP Last.\n! parts of the book that are no text were not "
        "read (1)\n! struck-through text was not read\n");
    struct ingest_document *d = NULL;
    struct error e;
    assert_int_equal(load_bytes(&d, "a.epub", bytes, n, NULL, &e), 0);
    assert_string_equal(d->title.data, "Rules of the House");
    /* a chapter may begin inside a paragraph */
    assert_int_equal(ingest_page_at(d, (uint32_t)(strstr(d->text.data, "Still") - d->text.data)), 1);
    assert_int_equal(ingest_page_at(d, (uint32_t)(strstr(d->text.data, "Two") - d->text.data)), 2);
    ingest_document_free(d);
}

static void test_a_navigation_document_names_the_chapters(void **state) {
    (void)state;
    const struct entry entries[] = {
        CONTAINER,
        {"OEBPS/book.opf", OPF("<item id=\"n\" href=\"nav.xhtml\" properties=\"scripted nav\" "
                               "media-type=\"application/xhtml+xml\"/>" PART("a", "a.xhtml") PART("b", "b.xhtml"),
                               REF("n") REF("b") REF("a"))},
        {"OEBPS/nav.xhtml", XHTML("<nav epub:type=\"landmarks\"><a href=\"a.xhtml\">Start</a></nav><nav "
                                  "epub:type=\"toc\"><ol><li><a href=\"b.xhtml\">Preface</a></li></ol></nav>")},
        {"OEBPS/a.xhtml", XHTML("<p>No heading.</p>")},
        {"OEBPS/b.xhtml", XHTML("<p>Before all.</p>")}};
    check_document("a.epub", bytes, make_zip(bytes, sizeof bytes, entries, 5), "P Before all.\nP No heading.\n");
    refuse("cut.epub", bytes, make_zip(bytes, sizeof bytes, entries, 4), ERR_FORMAT, "OEBPS/b.xhtml is missing");
    refuse("cut.epub", bytes, make_zip(bytes, sizeof bytes, entries, 1), ERR_FORMAT, "main part is missing");
}

static void test_protected_books_are_refused_and_veiled_fonts_are_not(void **state) {
    (void)state;
    char lock[200];
    static const char *const algorithms[] = {"http://www.idpf.org/2008/embedding",
                                             "http://www.w3.org/2001/04/xmlenc#aes128-cbc"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(lock, sizeof lock, "<encryption xmlns:e=\"x/y#\"><e:EncryptionMethod Algorithm=\"%s\"/></encryption>",
                 algorithms[i]);
        const struct entry entries[] = {CONTAINER,
                                        {"OEBPS/book.opf", OPF(PART("a", "a.xhtml"), REF("a"))},
                                        {"OEBPS/a.xhtml", XHTML("<p>Words.</p>")},
                                        {"META-INF/encryption.xml", lock}};
        size_t n = make_zip(bytes, sizeof bytes, entries, 4);
        if (i == 0)
            check_document("a.epub", bytes, n, "P Words.\n");
        else
            refuse("a.epub", bytes, n, ERR_ENCRYPTED, "protected");
    }
}

static void test_epub_of_another_program(void **state) {
    (void)state;
    check_published_but("epub_purvis_poetry.epub", "thestandardebookslogo", ""); /* a picture's alternative text */
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], INGEST_CHILD_ARGUMENT)) return ingest_child_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odt_numbers_are_computed),
        cmocka_unit_test(test_odt_shows_what_its_page_shows),
        cmocka_unit_test(test_odt_tables),
        cmocka_unit_test(test_odt_of_another_program),
        cmocka_unit_test(test_odt_has_the_title_of_its_properties),
        cmocka_unit_test(test_opendocuments_that_are_refused),
        cmocka_unit_test(test_slides_are_pages_in_their_order),
        cmocka_unit_test(test_slides_with_tables_and_pictures),
        cmocka_unit_test(test_charts_are_tables_of_their_values),
        cmocka_unit_test(test_relationships_name_the_main_part),
        cmocka_unit_test(test_a_package_with_a_password_is_refused_whatever_it_holds),
        cmocka_unit_test(test_chapters_are_pages_of_the_spine),
        cmocka_unit_test(test_a_navigation_document_names_the_chapters),
        cmocka_unit_test(test_protected_books_are_refused_and_veiled_fonts_are_not),
        cmocka_unit_test(test_epub_of_another_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
