/* fuzz_readers.c: the text readers on any bytes, by the first byte: plain text, Markdown, HTML, XML, mail, CSV,
 * poppler's output, or the whole way of a file that is none of them (encoding, sniffing). What comes out must hold as a
 * document (blob_read checks every range). */
#include "ingest/pdf.h"
#include "ingest/reader.h"
#include "tests/fuzz/document.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    struct ingest_options o = options_resolve(NULL);
    struct error e = {0};
    struct buf text = {0};
    struct writer w;
    struct ingest_document *d = calloc(1, sizeof *d);
    if (!d) return 0;
    o.name = "fuzz";
    o.max_text = 1 << 20;
    enum sniffed what;
    sniff((struct slice){(const char *)data + 1, size - 1}, size - 1, "fuzz", &what, &e);
    int code =
        encoding_decode((struct slice){(const char *)data + 1, size - 1}, data[0] & 8 ? "utf-16le" : NULL, &text, &e);
    writer_open(&w, d, &o, &e);
    struct pdf p = {0};
    if (!code) switch (data[0] & 7) {
        case 0:
            text_read(&w, buf_slice(&text));
            break;
        case 1:
            markdown_read(&w, buf_slice(&text));
            break;
        case 2:
            html_read(&w, buf_slice(&text));
            break;
        case 3:
            xml_read(&w, buf_slice(&text));
            break;
        case 4:
            eml_read(&w, (struct slice){(const char *)data + 1, size - 1});
            break;
        case 5: {
            char delimiter = ',';
            csv_delimiter(buf_slice(&text), &delimiter);
            csv_read(&w, buf_slice(&text), delimiter);
            break;
        }
        default:
            if (pdf_words_parse(&p, (struct slice){(const char *)data + 1, size - 1}, &o, &e) == 0) pdf_write(&w, &p);
        }
    code = code ? code : writer_finish(&w);
    writer_close(&w);
    pdf_free(&p);
    buf_free(&text);
    if (!code) check_holds(d, &o);
    ingest_document_free(d);
    return 0;
}
