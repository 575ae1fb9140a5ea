/* test_ingest_xlsx.c: spreadsheets become titles, tables with their headers and cells that know their place; numbers
 * are written as their cells show them; bad workbooks get one clear reason each. */
#include "tests/unit/ingest_fixture.h"

#include "ingest/sheet.h"

#define MAIN "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\""
#define REL "xmlns:r=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships\""
#define TYPE "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
#define RELS(list)                                                                                                     \
    "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">" list "</Relationships>"
static const char workbook_xml[] =
    "<workbook " MAIN " " REL "><sheets><sheet name=\"Prices\" sheetId=\"7\" r:id=\"rId3\"/>"
    "<sheet name=\"Q1 'old'\" sheetId=\"2\" state=\"hidden\" r:id=\"rId1\"/></sheets></workbook>";
static const char workbook_rels[] =
    RELS("<Relationship Id=\"rId1\" Type=\"" TYPE "worksheet\" Target=\"/xl/worksheets/sheet2.xml\"/>"
         "<Relationship Id=\"rId3\" Type=\"" TYPE "worksheet\" Target=\"worksheets/sheet1.xml\"/>"
         "<Relationship Id=\"rId4\" Type=\"" TYPE "sharedStrings\" Target=\"strings.xml\"/>");
/* Formats of cells: 1 euros, 2 percent, 3 date in figures, 4 month by name, 5 bold, 6 struck, 7 dollars in brackets */
static const char styles_xml[] =
    "<styleSheet " MAIN
    "><numFmts><numFmt numFmtId=\"170\" formatCode=\"#,##0.00\\ [$€-407]\"/><numFmt numFmtId=\"171\" "
    "formatCode=\"dd.mm.yyyy\"/><numFmt numFmtId=\"172\" formatCode=\"d mmmm yyyy\"/><numFmt numFmtId=\"173\" "
    "formatCode=\"_($* #,##0.00_);_($* (#,##0.00);_($* &quot;-&quot;??_);_(@_)\"/></numFmts>"
    "<fonts><font/><font><b/></font><font><strike/></font></fonts>"
    "<cellXfs><xf numFmtId=\"0\" fontId=\"0\"/><xf numFmtId=\"170\" fontId=\"0\"/><xf numFmtId=\"10\" fontId=\"0\"/>"
    "<xf numFmtId=\"171\" fontId=\"0\"/><xf numFmtId=\"172\" fontId=\"0\"/><xf numFmtId=\"0\" fontId=\"1\"/>"
    "<xf numFmtId=\"0\" fontId=\"2\"/><xf numFmtId=\"173\" fontId=\"0\"/></cellXfs></styleSheet>";
static const char strings_xml[] =
    "<sst " MAIN "><si><t>Article</t></si><si><r><t>Unit </t></r><r><rPr><b/></rPr><t>price</t></r></si>"
    "<si><t>net</t><rPh sb=\"0\" eb=\"1\"><t>NETTO</t></rPh></si><si><t>gross</t></si><si><t>Pump_x000D_ P-1</t></si>"
    "<si><r><t>Valve </t></r><r><rPr><strike/></rPr><t>V-0</t></r><r><t>V-1</t></r></si></sst>";

static char file[4 << 20];
static size_t workbook(const char *sheet1, const char *sheet2) {
    const struct entry entries[] = {{"xl/workbook.xml", workbook_xml},    {"xl/_rels/workbook.xml.rels", workbook_rels},
                                    {"xl/styles.xml", styles_xml},        {"xl/strings.xml", strings_xml},
                                    {"xl/worksheets/sheet1.xml", sheet1}, {"xl/worksheets/sheet2.xml", sheet2}};
    return make_zip(file, sizeof file, entries, sheet2 ? 6 : 5);
}

static struct ingest_document *load(const char *name, size_t n) {
    struct ingest_document *d = NULL;
    struct error e;
    int code = load_bytes(&d, name, file, n, NULL, &e);
    if (code) print_message("%s: %s\n", name, e.message);
    assert_int_equal(code, 0);
    return d;
}

/* "H1 Prices", "P A1 text", "T0.2* A4 Article | B4:C4 Unit price": each cell behind its place; * marks header rows. */
static void dump_places(const struct ingest_document *d, struct buf *out) {
    for (size_t i = 0; i < d->n_blocks; i++) {
        const struct ingest_block *b = &d->blocks[i];
        struct slice t = ingest_text(d, b->span);
        struct ingest_cells cells;
        if (b->kind == INGEST_BLOCK_CELL && b->column == 0)
            buf_printf(out, "T%u.%u%s", b->table, b->row, b->flags & INGEST_BLOCK_HEADER ? "*" : "");
        else
            buf_puts(out, b->kind == INGEST_BLOCK_CELL ? " |" : block_kinds[b->kind]);
        if (b->level) buf_printf(out, "%u", b->level);
        if (t.len && ingest_cells_at(d, b->span, &cells)) {
            buf_puts(out, " ");
            ingest_cells_name(out, &cells);
        }
        if (t.len) buf_printf(out, " %.*s", (int)t.len, t.data);
        const struct ingest_block *next = i + 1 < d->n_blocks ? b + 1 : NULL;
        if (!next || next->kind != INGEST_BLOCK_CELL || next->column == 0) buf_puts(out, "\n");
    }
}

static void check_dump(const struct ingest_document *d, const char *expected) {
    struct buf out = {0};
    dump_places(d, &out);
    assert_string_equal(out.data ? out.data : "", expected);
    buf_free(&out);
}

#define SHEET(inside) "<worksheet " MAIN " " REL ">" inside "</worksheet>"
#define TEXT(place, text) "<c r=\"" place "\" t=\"inlineStr\"><is><t>" text "</t></is></c>"
#define NUMBER(place, v) "<c r=\"" place "\"><v>" v "</v></c>"
static const char small[] = SHEET("<sheetData><row r=\"1\"><c r=\"A1\" t=\"str\"><v>x</v></c></row></sheetData>");

static void test_cells_are_shown_as_stored_and_know_their_place(void **state) {
    (void)state;
    static const char sheet[] = SHEET("<sheetData><row r=\"1\">" TEXT("A1", "Price list") "</row><row r=\"2\">" TEXT(
        "A2",
        "All prices without tax.") "</row>"
                                   "<row r=\"4\"><c r=\"A4\" t=\"s\"><v>0</v></c><c r=\"B4\" t=\"s\"><v>1</v></c>" TEXT(
                                       "D4", "Discount") TEXT("E4", "Since")
                                          TEXT("F4",
                                               "Sold") "</row>"
                                                       "<row r=\"5\"><c r=\"B5\" t=\"s\"><v>2</v></c><c r=\"C5\" "
                                                       "t=\"s\"><v>3</v></c></row>"
                                                       "<row r=\"6\"><c r=\"A6\" t=\"s\"><v>4</v></c><c r=\"B6\" "
                                                       "s=\"1\"><v>1234.5</v></c><c r=\"C6\" s=\"1\"><f>B6*1.2</f>"
                                                       "<v>1481.4000000000001</v></c><c r=\"D6\" "
                                                       "s=\"2\"><v>0.125</v></c><c r=\"E6\" s=\"3\"><v>45382</v></c><c "
                                                       "r=\"F6\" "
                                                       "t=\"b\"><v>1</v></c></row>"
                                                       "<row r=\"7\" hidden=\"1\"><c r=\"A7\" t=\"s\"><v>5</v></c><c "
                                                       "r=\"B7\" s=\"7\"><v>-5</v></c><c r=\"C7\"><f>B7*1.2</f>"
                                                       "</c><c r=\"D7\" t=\"e\"><v>#DIV/0!</v></c><c r=\"E7\" "
                                                       "s=\"4\"><v>60</v></c><c r=\"F7\" s=\"6\" t=\"str\"><v>old</v>"
                                                       "</c></row></sheetData><mergeCells><mergeCell "
                                                       "ref=\"A4:A5\"/><mergeCell ref=\"B4:C4\"/></mergeCells>");
    struct ingest_document *d = load("prices.xlsx", workbook(sheet, small));
    assert_int_equal(d->format, INGEST_XLSX);
    assert_int_equal(d->n_pages, 2);
    check_dump(d, "H1 Prices\nH2 A1 Price list\nP A2 All prices without tax.\n"
                  "T0.0* A4 Article | B4:C4 Unit price | D4 Discount | E4 Since | F4 Sold\n"
                  "T0.1* A5 Article | B5 net | C5 gross | | |\n"
                  "T0.2 A6 Pump P-1 | B6 1,234.50 € | C6 1,481.40 € | D6 12.50% | E6 2024-03-31 | F6 TRUE\n"
                  "T0.3 A7 Valve V-1 | B7 $(5.00) | C7 =B7*1.2 | D7 #DIV/0! | E7 29 February 1900 |\n"
                  "H2 Formulas\nT1.0* C6:C7 Cell | C6:C7 What | C6:C7 Formula\n"
                  "T1.1 C6:C7 C6:C7 | C6:C7 gross | C6:C7 =B6*1.2, and so in each cell\n"
                  "H1 Q1 'old' (hidden sheet)\nP A1 x\n");
    struct buf place = {0};
    ingest_cells_place(&place, d, (struct ingest_span){(uint32_t)d->text.len - 1, (uint32_t)d->text.len});
    assert_string_equal(place.data, "'Q1 ''old'''!A1");
    buf_free(&place);
    static const char *const warnings[] = {"hidden rows, the first is row 7", "formulas without a stored value: 1",
                                           "the sheet is hidden", "struck-through"};
    assert_int_equal(d->n_warnings, 4);
    for (size_t i = 0; i < 4; i++) assert_non_null(strstr(d->warnings[i].message.data, warnings[i]));
    for (size_t i = 0; i < d->n_facts; i++) { /* a formula is no value, nor are the figures in it */
        const struct ingest_fact *f = &d->facts[i];
        assert_true(f->value != 1.2);
        if (f->kind != INGEST_AMOUNT || f->value != 1234.5) continue;
        assert_true(slice_equal(ingest_text(d, f->subject), SLICE_LITERAL("Pump P-1")));
        assert_true(slice_equal(ingest_text(d, f->object), SLICE_LITERAL("net")));
        assert_true(slice_equal(f->unit, SLICE_LITERAL("EUR")));
    }
    ingest_document_free(d);
}

static void test_tables_of_a_sheet_are_told_apart(void **state) {
    (void)state;
    static const char sheet[] = SHEET(
        "<sheetData><row>" TEXT("A1", "Region") NUMBER("B1", "2023") NUMBER("C1", "2024") TEXT("E1", "Bird")
            TEXT("F1", "Seen") "</row><row>" TEXT("A2", "North") NUMBER("B2", "10") NUMBER("C2", "20")
                TEXT("E2", "Duck") NUMBER("F2", "7") "</row><row>" TEXT("A3", "South") NUMBER("B3", "30")
                    NUMBER("C3", "40") TEXT("E3", "Swan") NUMBER("F3", "8") "</row><row r=\"5\">" TEXT("A5", "East")
                        NUMBER("B5", "50") NUMBER("C5", "60") "</row><row r=\"6\">" TEXT(
                            "A6", "Source: the sales department") "</row><row r=\"9\">" TEXT("A9", "Supplier")
                            TEXT("B9", "Acme") "</row><row r=\"10\">" TEXT("A10", "Item") TEXT("B10", "Count")
                                TEXT("C10", "Weight") "</row><row r=\"11\">" TEXT("A11", "Nut") NUMBER("B11", "5")
                                    NUMBER("C11", "1.5") "</row><row r=\"12\">" TEXT("A12", "Bolt") NUMBER("B12", "6")
                                        NUMBER("C12", "2.5") "</row></sheetData>");
    struct ingest_document *d = load("birds.xlsx", workbook(sheet, small));
    d->n_blocks -= 2; /* the second sheet */
    check_dump(
        d,
        "H1 Prices\nT0.0* A1 Region | B1 2023 | C1 2024\nT0.1 A2 North | B2 10 | C2 20\nT0.2 A3 South | B3 30 | C3 40\n"
        "T1.0* E1 Bird | F1 Seen\nT1.1 E2 Duck | F2 7\nT1.2 E3 Swan | F3 8\n"
        "T2.0 A5 East | B5 50 | C5 60\nP A6 Source: the sales department\n"
        "T3.0 A9 Supplier | B9 Acme\nT4.0* A10 Item | B10 Count | C10 Weight\nT4.1 A11 Nut | B11 5 | C11 1.5\n"
        "T4.2 A12 Bolt | B12 6 | C12 2.5\n");
    ingest_document_free(d);
}

/* Lines of a letter right above a table: shorter than its header, which is the first whole row of names. */
static void test_a_header_under_other_lines(void **state) {
    (void)state;
    static const char sheet[] = SHEET(
        "<cols><col min=\"2\" max=\"2\" hidden=\"1\"/><col min=\"9\" max=\"16384\" hidden=\"1\"/></cols>"
        "<sheetData><row>" TEXT("A1", "Dear") TEXT("B1", "reader") TEXT("D1", "notes") "</row><row>" TEXT("A2", "Name")
            TEXT("B2", "Trade") TEXT("C2", "Age") TEXT("D2", "Wage") "</row><row>" TEXT("A3", "Ann") TEXT("B3", "Smith")
                NUMBER("C3", "60") NUMBER("D3", "7") "</row></sheetData>");
    struct ingest_document *d = load("letter.xlsx", workbook(sheet, small));
    d->n_blocks -= 2;
    check_dump(d, "H1 Prices\nT0.0 A1 Dear | B1 reader | D1 notes\nT1.0* A2 Name | B2 Trade | C2 Age | D2 Wage\n"
                  "T1.1 A3 Ann | B3 Smith | C3 60 | D3 7\n");
    assert_non_null(strstr(d->warnings[0].message.data, "hidden columns, the first is column B"));
    ingest_document_free(d);
}

static void test_a_table_goes_on_behind_an_empty_row(void **state) {
    (void)state;
    static const char sheet[] = SHEET("<sheetData><row>" TEXT("A1", "Region") TEXT("B1", "Sales")
                                          TEXT("C1", "Costs") "</row><row>" TEXT("A2", "North") NUMBER("B2", "10")
                                              NUMBER("C2", "20") "</row><row r=\"4\">" TEXT("A4", "South")
                                                  NUMBER("B4", "30") NUMBER("C4", "40") "</row></sheetData>");
    struct ingest_document *d = load("rows.xlsx", workbook(sheet, small));
    d->n_blocks -= 2;
    check_dump(d, "H1 Prices\nT0.0* A1 Region | B1 Sales | C1 Costs\nT0.1 A2 North | B2 10 | C2 20\n"
                  "T0.2 A4 South | B4 30 | C4 40\n");
    ingest_document_free(d);
}

/* Words over words: what the file marks as a table or a filter has a header; other words may be anything. */
static void test_headers_that_the_file_marks(void **state) {
    (void)state;
#define WORDS                                                                                                          \
    "<sheetData><row>" TEXT("A1", "Owner") TEXT("B1", "Task") "</row><row>" TEXT("A2", "Ann")                          \
        TEXT("B2", "Paint") "</row><row>" TEXT("A3", "Bob") TEXT("B3", "Plan") "</row></sheetData>"
    static const char *const sheets[] = {
        SHEET(WORDS), SHEET(WORDS "<autoFilter ref=\"A1:B3\"/>"),
        SHEET("<sheetViews><sheetView><pane ySplit=\"1\" state=\"frozen\"/></sheetView>"
              "</sheetViews>" WORDS),
        SHEET(WORDS "<tableParts><tablePart r:id=\"t1\"/></tableParts>")};
    for (size_t i = 0; i < 4; i++) {
        const struct entry entries[] = {
            {"xl/workbook.xml", workbook_xml},
            {"xl/_rels/workbook.xml.rels", workbook_rels},
            {"xl/worksheets/sheet1.xml", sheets[i]},
            {"xl/worksheets/sheet2.xml", small},
            {"xl/worksheets/_rels/sheet1.xml.rels",
             RELS("<Relationship Id=\"t1\" Type=\"" TYPE "table\" Target=\"../tables/table1.xml\"/>")},
            {"xl/tables/table1.xml", "<table " MAIN " ref=\"A1:B3\"/>"}};
        struct ingest_document *d = load("words.xlsx", make_zip(file, sizeof file, entries, i == 3 ? 6 : 4));
        assert_int_equal((d->blocks[1].flags & INGEST_BLOCK_HEADER) != 0, i > 0);
        assert_int_equal(d->blocks[3].flags & INGEST_BLOCK_HEADER, 0);
        ingest_document_free(d);
    }
}

static void test_three_thousand_rows_each_know_their_header(void **state) {
    (void)state;
    struct buf b = {0};
    buf_puts(&b, "<worksheet " MAIN "><sheetData><row r=\"1\">" TEXT("A1", "Part") TEXT("B1", "Price (EUR)")
                     TEXT("C1", "Double") "</row>");
    for (int r = 2; r <= 3001; r++)
        buf_printf(
            &b,
            "<row r=\"%d\"><c r=\"A%d\" t=\"inlineStr\"><is><t>Part %04d</t></is></c><c r=\"B%d\"><v>%d.25</v></c>"
            "<c r=\"C%d\"><f t=\"shared\" si=\"0\"%s</f><v>%d.5</v></c></row>",
            r, r, r, r, r, r, r == 2 ? " ref=\"C2:C3001\">B2*2" : ">", 2 * r);
    buf_puts(&b, "</sheetData></worksheet>");
    struct ingest_document *d = load("parts.xlsx", workbook(b.data, small));
    buf_free(&b);
    size_t rows = 0, formulas = 0;
    for (size_t i = 0; i < d->n_statements; i++) {
        const struct ingest_statement *s = &d->statements[i];
        if (s->kind != INGEST_TABLE_ROW || s->table != 0) continue;
        rows++;
        if (rows > 1)
            assert_true(slice_equal(ingest_text(d, s->lead_in), SLICE_LITERAL("Part | Price (EUR) | Double")));
    }
    assert_int_equal(rows, 3001);
    for (size_t i = 0; i < d->n_blocks; i++) formulas += (d->blocks[i].flags & INGEST_BLOCK_REMARK) != 0;
    assert_int_equal(formulas, 6); /* a header and one row for 3,000 formulas */
    bool found = false;
    for (size_t i = 0; i < d->n_facts; i++) {
        const struct ingest_fact *f = &d->facts[i];
        if (f->value != 17.25) continue;
        struct buf place = {0};
        ingest_cells_place(&place, d, f->span);
        assert_string_equal(place.data, "Prices!B17");
        buf_free(&place);
        assert_true(slice_equal(f->unit, SLICE_LITERAL("EUR")));
        assert_true(slice_equal(ingest_text(d, f->subject), SLICE_LITERAL("Part 0017")));
        found = true;
    }
    assert_true(found);
    ingest_document_free(d);
}

static void test_numbers_are_written_as_their_format_says(void **state) {
    (void)state;
    static const struct {
        const char *code;
        double value;
        const char *text;
    } cases[] = {{"General", 0.1 + 0.2, "0.3"},
                 {"General", 1234567, "1234567"},
                 {"General", 1e21, "1e+21"},
                 {"#,##0", 999, "999"},
                 {"#,##0", 1000, "1,000"},
                 {"#,##0.00", -1234567.891, "-1,234,567.89"},
                 {"0.00", -0.001, "0.00"},
                 {"0.##", 1.5, "1.5"},
                 {"#", 0, "0"},
                 {".00", 0.5, "0.50"},
                 {"00000", 123, "00123"},
                 {"0.0%", 0.125, "12.5%"},
                 {"\"$\"#,##0;(\"$\"#,##0)", -1200, "($1,200)"},
                 {"[$EUR] #,##0.00", 5, "EUR  5.00"},
                 {"#,##0.00;-#,##0.00;\"nil\"", 0, "nil"},
                 {"0.0,, \"m\"", 12345678, "12.3 m"},
                 {"000-00-0000", 123456789, "123-45-6789"},
                 {"[<=9999999]###-####;(###) ###-####", 5551234567, "(555) 123-4567"},
                 {"0.00E+00", 12345, "1.23E+04"},
                 {"# ?/?", 0.5, "0.5"},
                 {"@", 5, "5"},
                 {"m/d/yyyy", 45382, "2024-03-31"},
                 {"m/d/yyyy h:mm", 45382.5, "2024-03-31 12:00"},
                 {"dddd, d. mmmm yyyy", 45382, "31 March 2024"},
                 {"[$-409]d-mmm-yy;@", 45382, "31 March 2024"},
                 {"mmm-yy", 45382, "March 2024"},
                 {"yyyy", 45382, "2024"},
                 {"h:mm AM/PM", 0.75, "18:00"},
                 {"[h]:mm", 1.5, "36:00"},
                 {"mm:ss", 0.01, "14:24"},
                 {"dd.mm.yyyy", 1, "1900-01-01"},
                 {"dd.mm.yyyy", 59, "1900-02-28"},
                 {"dd.mm.yyyy", 60, "1900-02-29"},
                 {"dd.mm.yyyy", 61, "1900-03-01"},
                 {"dd.mm.yyyy", 2958465, "9999-12-31"},
                 {"dd.mm.yyyy", 2958466, "2958466"},
                 {"dd.mm.yyyy", -1, "-1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = {0};
        number_format(cases[i].code, cases[i].value, false, &out);
        if (strcmp(out.data, cases[i].text)) print_message("%s of %.17g\n", cases[i].code, cases[i].value);
        assert_string_equal(out.data, cases[i].text);
        buf_free(&out);
    }
    struct buf out = {0};
    number_format("yyyy-mm-dd", 0, true, &out);
    assert_string_equal(out.data, "1904-01-01");
    buf_free(&out);
    uint32_t row, column;
    assert_int_equal(sheet_reference("$XFD$1048576", &row, &column), 12);
    assert_int_equal(row, 1048575);
    assert_int_equal(column, 16383);
    static const char *const none[] = {"XFE1", "A0", "A1048577", "17", "B", ""};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(sheet_reference(none[i], &row, &column), 0);
}

static void test_bad_workbooks_get_one_clear_reason_each(void **state) {
    (void)state;
    refuse("cut.xlsx", file, workbook(small, small) / 2, ERR_FORMAT, "cut off");
    refuse("gone.xlsx", file, workbook(small, NULL), ERR_FORMAT, "\"Q1 'old'\" is missing");
    refuse("torn.xlsx", file, workbook("<worksheet " MAIN "><sheetData><row>", small), ERR_FORMAT, "line 1");
    refuse("laughs.xlsx", file, workbook("<!DOCTYPE x [<!ENTITY a \"aaaa\">]><x>&a;</x>", small), ERR_FORMAT,
           "document type");
    refuse("blank.xlsx", file, workbook(SHEET(""), SHEET("")), ERR_FORMAT, "no text");
    const struct entry none[] = {{"xl/workbook.xml", "<workbook " MAIN "/>"}}, lost[] = {{"xl/styles.xml", styles_xml}};
    refuse("none.xlsx", file, make_zip(file, sizeof file, none, 1), ERR_FORMAT, "names no sheets");
    refuse("lost.xlsx", file, make_zip(file, sizeof file, lost, 1), ERR_FORMAT, "main part is missing");
    size_t n = (size_t)40 << 20;
    char *bomb = malloc(n + 1);
    assert_non_null(bomb);
    memset(bomb, ' ', n);
    bomb[n] = 0;
    memcpy(bomb, "<x>", 3);
    refuse("bomb.xlsx", file, workbook(bomb, small), ERR_LIMIT, "bomb");
    free(bomb);
    /* places that are none, strings that are not there, a shared formula without its master: nothing is read of them */
    static const char odd[] = SHEET(
        "<sheetData><row r=\"99999999\"><c r=\"A99999999\"><v>1</v></c></row><row r=\"2\"><c r=\"ZZZZ1\"><v>2</v></c>"
        "<c r=\"B2\" t=\"s\"><v>99</v></c><c r=\"C2\"><f t=\"shared\" si=\"5\"/></c><c "
        "r=\"D2\"><v>4</v></c></row></sheetData>"
        "<mergeCells><mergeCell ref=\"D2:A1\"/><mergeCell ref=\"?\"/></mergeCells>");
    struct ingest_document *d = load("odd.xlsx", workbook(odd, small));
    d->n_blocks -= 2;
    check_dump(d, "H1 Prices\nT0.0 A2 2 | D2 4\n");
    ingest_document_free(d);
}

/* ---- CSV ---- */
static void check_csv(const char *name, const char *text, const char *expected) {
    struct ingest_document *d = NULL;
    struct error e;
    assert_int_equal(load_bytes(&d, name, text, strlen(text), NULL, &e), 0);
    assert_int_equal(d->format, INGEST_CSV);
    check_dump(d, expected);
    ingest_document_free(d);
}

static void test_csv_fields_are_cells(void **state) {
    (void)state;
    check_csv("a.csv", "\xef\xbb\xbfName,Role\r\nAnn,\"Head, sales\"\r\n\r\nBob,\"said \"\"no\"\"\r\ntwice\"\r\n",
              "T0.0* A1 Name | B1 Role\nT0.1 A2 Ann | B2 Head, sales\nT1.0 A4 Bob | B4 said \"no\" twice\n");
    check_csv("b.tsv", "part\tcost\n\"big\" bolt\t5\nnut\t\"7\nend\t9\n",
              "T0.0* A1 part | B1 cost\nT0.1 A2 \"big\" bolt | B2 5\nT0.2 A3 nut | B3 \"7\nT0.3 A4 end | B4 9\n");
    check_csv("c.csv", "sep=;\nName;Note\nA, Ltd;x, y, z\nB, Ltd;q, r\n",
              "T0.0* A1 Name | B1 Note\nT0.1 A2 A, Ltd | B2 x, y, z\nT0.2 A3 B, Ltd | B3 q, r\n");
    check_csv("d.csv", "Sales 2024\n\nRegion,Sales,Costs\nNorth,5,6\nSouth,7,8\n",
              "H2 A1 Sales 2024\nT0.0* A3 Region | B3 Sales | C3 Costs\nT0.1 A4 North | B4 5 | C4 6\n"
              "T0.2 A5 South | B5 7 | C5 8\n");
    check_csv("v.csv", /* a row whose cells show nothing is empty */
              "Name,Role\nAnn,Head\xe2\x80\x89 of  sales\n\xe2\x80\x8b,\xc2\xad\nBob,cook\n",
              "T0.0* A1 Name | B1 Role\nT0.1 A2 Ann | B2 Head of sales\nT1.0 A4 Bob | B4 cook\n");
    check_csv(
        "y.csv", "North;1998;2024\nSouth;3023;4023\nWest;3024;4024\n",
        "T0.0* A1 North | B1 1998 | C1 2024\nT0.1 A2 South | B2 3023 | C2 4023\nT0.2 A3 West | B3 3024 | C3 4024\n");
    check_csv(
        "z.csv", "North;1023;2045\nSouth;3023;4023\nWest;3024;4024\n", /* 1023 is no year */
        "T0.0 A1 North | B1 1023 | C1 2045\nT0.1 A2 South | B2 3023 | C2 4023\nT0.2 A3 West | B3 3024 | C3 4024\n");
    struct ingest_document *d = NULL;
    struct error e;
    static const char prose[] = "This is a note,\nwhich is no table.\nIt has three lines.\n";
    assert_int_equal(load_bytes(&d, "n.csv", prose, sizeof prose - 1, NULL, &e), 0);
    assert_int_equal(d->format, INGEST_TEXT);
    ingest_document_free(d);
}

/* A formula without its value says none; figures behind "=" in other formats are results. */
static void test_a_formula_is_no_value(void **state) {
    (void)state;
    struct ingest_document *d = NULL;
    struct error e;
    static const char sheet[] = "Region,Sales,Sum\nNorth,5,=B2*77\nSouth,6,=B3*77\n",
                      page[] = "<table><tr><th>Step</th><th>Result</th></tr><tr><td>A year</td><td>= 1,200 "
                               "EUR</td></tr></table>";
    assert_int_equal(load_bytes(&d, "sums.csv", sheet, sizeof sheet - 1, NULL, &e), 0);
    assert_int_equal(d->n_facts, 2);
    assert_true(d->facts[0].value == 5 && d->facts[1].value == 6);
    ingest_document_free(d);
    assert_int_equal(load_bytes(&d, "sums.html", page, sizeof page - 1, NULL, &e), 0);
    assert_int_equal(d->n_facts, 1);
    assert_true(d->facts[0].kind == INGEST_AMOUNT && d->facts[0].value == 1200);
    ingest_document_free(d);
}

static void test_a_decimal_comma_is_read_as_one(void **state) {
    (void)state;
    struct ingest_document *d = NULL;
    struct error e;
    static const char text[] =
        "Region;Betrag;Quote;Tag\nNord;1.234,50;12,5 %;31.12.2024\nWest;1.000;-3,125 %;1.1.2025\n";
    assert_int_equal(load_bytes(&d, "de.csv", text, sizeof text - 1, NULL, &e), 0);
    check_dump(
        d, "T0.0* A1 Region | B1 Betrag | C1 Quote | D1 Tag\nT0.1 A2 Nord | B2 1,234.50 | C2 12.5 % | D2 31.12.2024\n"
           "T0.2 A3 West | B3 1,000 | C3 -3.125 % | D3 1.1.2025\n");
    assert_int_equal(d->n_warnings, 1);
    assert_non_null(strstr(d->warnings[0].message.data, "decimal comma"));
    ingest_document_free(d);
    /* nothing says which it is: left as it stands */
    check_csv("who.csv", "A;B\nx;1,234\ny;5,678\n", "T0.0* A1 A | B1 B\nT0.1 A2 x | B2 1,234\nT0.2 A3 y | B3 5,678\n");
    check_csv("en.csv", "A;B\nx;1,234.5\ny;5.25\n", "T0.0* A1 A | B1 B\nT0.1 A2 x | B2 1,234.5\nT0.2 A3 y | B3 5.25\n");
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], INGEST_CHILD_ARGUMENT) == 0) return ingest_child_main(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells_are_shown_as_stored_and_know_their_place),
        cmocka_unit_test(test_tables_of_a_sheet_are_told_apart),
        cmocka_unit_test(test_a_header_under_other_lines),
        cmocka_unit_test(test_a_table_goes_on_behind_an_empty_row),
        cmocka_unit_test(test_headers_that_the_file_marks),
        cmocka_unit_test(test_three_thousand_rows_each_know_their_header),
        cmocka_unit_test(test_numbers_are_written_as_their_format_says),
        cmocka_unit_test(test_bad_workbooks_get_one_clear_reason_each),
        cmocka_unit_test(test_csv_fields_are_cells),
        cmocka_unit_test(test_a_formula_is_no_value),
        cmocka_unit_test(test_a_decimal_comma_is_read_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
