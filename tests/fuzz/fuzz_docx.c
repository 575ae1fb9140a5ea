/* fuzz_docx.c: DOCX files. Bytes that begin with PK are taken as the whole archive; others are the main part, packed
 * here, so that the fuzzer needn't learn to make archives. Parts are separated by a zero byte: document, numbering,
 * styles, footnotes. */
#include "ingest/blob.h"
#include "ingest/reader.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zip.h>

static uint8_t *packed(const uint8_t *data, size_t size, size_t *len) {
    static const char *const names[] = {"word/document.xml", "word/numbering.xml", "word/styles.xml",
                                        "word/footnotes.xml"};
    zip_error_t error;
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_t *z = source ? zip_open_from_source(source, ZIP_TRUNCATE, &error) : NULL;
    if (!z) return NULL;
    zip_source_keep(source);
    for (size_t i = 0; i < 4 && size; i++) {
        const uint8_t *end = memchr(data, 0, size);
        size_t n = end ? (size_t)(end - data) : size;
        zip_int64_t at = zip_file_add(z, names[i], zip_source_buffer(z, data, n, 0), 0);
        if (at >= 0) zip_set_file_compression(z, (zip_uint64_t)at, ZIP_CM_STORE, 0);
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
    o.name = "fuzz.docx";
    if (d && written == (ssize_t)len) {
        writer_open(&w, d, &o, &e);
        zip_read(&w, fd);
        int code = writer_finish(&w);
        writer_close(&w);
        if (!code) {
            struct buf blob = {0};
            struct ingest_document *again = NULL;
            blob_write(&blob, d, 0, &e);
            code = blob_read(buf_slice(&blob), &o, &again, &e);
            assert(code == 0);
            ingest_document_free(again);
            buf_free(&blob);
        }
    }
    ingest_document_free(d);
    close(fd);
    return 0;
}
