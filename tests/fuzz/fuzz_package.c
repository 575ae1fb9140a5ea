/* fuzz_package.c: DOCX, ODT, PPTX, EPUB and XLSX files. Bytes that begin with PK are taken as the whole archive; others
 * are the parts, packed here, so that the fuzzer needn't learn to make archives: a digit for the format (none: DOCX),
 * then the parts with a zero byte between them. What only leads from one part to the next is given. */
#include "ingest/reader.h"
#include "tests/fuzz/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zip.h>

#define OOXML "http://schemas.openxmlformats.org/"
#define RELATION(id, type, target)                                                                                     \
    "<Relationship Id=\"" id "\" Type=\"" OOXML "officeDocument/2006/relationships/" type "\" Target=\"" target "\"/>"
static const struct format {
    const char *given[6], *names[6]; /* given: name, text, name, text ... */
} formats[] = {
    {{NULL}, {"word/document.xml", "word/numbering.xml", "word/styles.xml", "word/footnotes.xml"}},
    {{NULL}, {"content.xml", "styles.xml", "META-INF/manifest.xml", "meta.xml"}},
    {{"ppt/presentation.xml",
      "<p:presentation xmlns:p=\"" OOXML "presentationml/2006/main\" xmlns:r=\"" OOXML
      "officeDocument/2006/relationships\"><p:sldIdLst><p:sldId id=\"1\" r:id=\"a\"/></p:sldIdLst></p:presentation>",
      "ppt/_rels/presentation.xml.rels", "<r>" RELATION("a", "slide", "slides/s.xml") "</r>",
      "ppt/slides/_rels/s.xml.rels",
      "<r>" RELATION("c", "chart", "c.xml") RELATION("d", "diagramData", "d.xml") RELATION("n", "notesSlide", "n.xml")
          RELATION("m", "comments", "m.xml") "</r>"},
     {"ppt/slides/s.xml", "ppt/slides/c.xml", "ppt/slides/n.xml", "ppt/slides/d.xml", "ppt/slides/m.xml"}},
    {{"META-INF/container.xml", "<container><rootfile full-path=\"o/b.opf\"/></container>"},
     {"o/b.opf", "o/a.xhtml", "o/toc.ncx", "o/b.xhtml", "META-INF/encryption.xml"}},
    {{"xl/workbook.xml",
      "<workbook xmlns=\"" OOXML "spreadsheetml/2006/main\" xmlns:r=\"" OOXML
      "officeDocument/2006/relationships\"><sheets><sheet name=\"a\" r:id=\"a\"/></sheets></workbook>",
      "xl/_rels/workbook.xml.rels", "<r>" RELATION("a", "worksheet", "w/s.xml") "</r>", "xl/w/_rels/s.xml.rels",
      "<r>" RELATION("t", "table", "../t.xml") "</r>"},
     {"xl/w/s.xml", "xl/styles.xml", "xl/sharedStrings.xml", "xl/t.xml"}}};

static void put(zip_t *z, const char *name, const void *data, size_t n) {
    zip_int64_t at = zip_file_add(z, name, zip_source_buffer(z, data, n, 0), 0);
    if (at >= 0) zip_set_file_compression(z, (zip_uint64_t)at, ZIP_CM_STORE, 0);
}

static uint8_t *packed(const uint8_t *data, size_t size, size_t *len) {
    const struct format *f = &formats[0];
    if (size && data[0] >= '1' && data[0] <= '4') {
        f = &formats[data[0] - '0'];
        data++, size--;
    }
    zip_error_t error;
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_t *z = source ? zip_open_from_source(source, ZIP_TRUNCATE, &error) : NULL;
    if (!z) return NULL;
    zip_source_keep(source);
    for (size_t i = 0; i < 6 && f->given[i]; i += 2) put(z, f->given[i], f->given[i + 1], strlen(f->given[i + 1]));
    for (size_t i = 0; i < 6 && f->names[i] && size; i++) {
        const uint8_t *end = memchr(data, 0, size);
        size_t n = end ? (size_t)(end - data) : size;
        put(z, f->names[i], data, n);
        if (!end) break;
        data += n + 1, size -= n + 1;
    }
    if (zip_close(z)) {
        zip_discard(z);
        zip_source_free(source);
        return NULL;
    }
    zip_stat_t st;
    zip_source_open(source);
    zip_source_stat(source, &st);
    uint8_t *out = malloc(st.size + 1);
    *len = out ? (size_t)zip_source_read(source, out, st.size) : 0;
    zip_source_close(source);
    zip_source_free(source);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t len = size;
    uint8_t *bytes = size >= 2 && data[0] == 'P' && data[1] == 'K' ? NULL : packed(data, size, &len);
    int fd = memfd_create("fuzz", 0);
    if (fd < 0) return 0;
    ssize_t written = write(fd, bytes ? bytes : data, len);
    free(bytes);
    struct ingest_options o = options_resolve(NULL);
    struct error e = {0};
    struct writer w;
    struct ingest_document *d = calloc(1, sizeof *d);
    o.name = "fuzz.zip";
    if (d && written == (ssize_t)len) {
        writer_open(&w, d, &o, &e);
        zip_read(&w, fd);
        int code = writer_finish(&w);
        writer_close(&w);
        if (!code) check_holds(d, &o);
    }
    ingest_document_free(d);
    close(fd);
    return 0;
}
