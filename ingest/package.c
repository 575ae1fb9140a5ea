/* package.c: the ZIP container of a DOCX file (ECMA-376 part 2) and its XML parts, by libzip and expat. Owns the limits
 * on hostile archives: entries, size and ratio of what is unpacked, names, nesting, no DTD at all. Says what other ZIP
 * files are. Nothing is ever unpacked to disk. */
#include "ingest/docx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zip.h>

#define ZIP_MAX_ENTRIES 10000
#define ZIP_MAX_PART ((uint64_t)256 << 20)  /* bytes of one part, unpacked */
#define ZIP_MAX_TOTAL ((uint64_t)512 << 20) /* bytes of all entries, as they claim */
#define ZIP_MAX_RATIO 400 /* unpacked / packed of a part over 16 MiB; text reaches 30, XML of tables 100 */
#define XML_MAX_DEPTH 512

struct docx_package {
    zip_t *zip;
    struct writer *w;
    char main[300];
    uint64_t unpacked;
};

static const char *what_else(zip_t *z) {
    static const struct {
        const char *entry, *what;
    } kinds[] = {
        {"xl/workbook.xml", "an Excel workbook (XLSX), which is not read; print the sheets to PDF"},
        {"xl/workbook.bin", "an Excel workbook (XLSB), which is not read; print the sheets to PDF"},
        {"ppt/presentation.xml", "a PowerPoint file (PPTX), which is not read; save it as PDF"},
        {"META-INF/container.xml", "an e-book (EPUB), which is not read; convert it to PDF or HTML"},
        {"content.xml", "an OpenDocument file (ODT, ODS, ODP), which is not read; save it as DOCX or PDF"},
        {"visio/document.xml", "a Visio drawing, which is not read; save it as PDF"},
        {"AndroidManifest.xml", "an Android program"},
        {"META-INF/MANIFEST.MF", "a Java program"},
        {"Index/Document.iwa", "an Apple Pages, Numbers or Keynote file, which is not read; save it as DOCX or PDF"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (zip_name_locate(z, kinds[i].entry, 0) >= 0) return kinds[i].what;
    return "a ZIP archive; unpack it and load the documents in it";
}

static int fail(struct docx_package *p, int code, const char *part, const char *message) {
    char where[1200];
    snprintf(where, sizeof where, "%s%s%s", p->w->o->name, part[0] ? ", part " : "", part);
    return writer_fail(p->w, code, where, "%s", message);
}

struct rels {
    char target[300];
};

static void rels_start(void *context, const char *name, const char **attributes) {
    struct rels *r = context;
    const char *colon = strrchr(name, ':');
    if (strcmp(colon ? colon + 1 : name, "Relationship") || r->target[0]) return;
    const char *type = docx_attribute(attributes, "Type"), *target = docx_attribute(attributes, "Target");
    if (!type || !target) return;
    size_t n = strlen(type);
    if (n >= 15 && !strcmp(type + n - 15, "/officeDocument"))
        snprintf(r->target, sizeof r->target, "%s", target[0] == '/' ? target + 1 : target);
}

int docx_package_open(struct docx_package **out, struct writer *w, int fd) {
    struct docx_package *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p) return writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while opening the file");
    p->w = w;
    int own = dup(fd), err = 0;
    if (own >= 0) lseek(own, 0, SEEK_SET);
    p->zip = own < 0 ? NULL : zip_fdopen(own, 0, &err);
    if (!p->zip) {
        if (own >= 0) close(own);
        fail(p, ERR_FORMAT, "", "this DOCX or ZIP file is damaged or cut off: its directory cannot be read");
        goto failed;
    }
    zip_int64_t n = zip_get_num_entries(p->zip, 0);
    if (n > ZIP_MAX_ENTRIES) {
        fail(p, ERR_LIMIT, "", "this ZIP file has more than 10,000 entries and is refused");
        goto failed;
    }
    uint64_t total = 0;
    for (zip_int64_t i = 0; i < n; i++) {
        zip_stat_t st;
        const char *name = zip_get_name(p->zip, (zip_uint64_t)i, 0);
        if (!name) continue;
        if (name[0] == '/' || !strncmp(name, "../", 3) || strstr(name, "/../")) {
            fail(p, ERR_FORMAT, "",
                 "this ZIP file names entries outside itself (\"..\"), which no document does; it is refused");
            goto failed;
        }
        if (zip_stat_index(p->zip, (zip_uint64_t)i, 0, &st)) continue;
        if (st.valid & ZIP_STAT_SIZE) total += st.size > ZIP_MAX_TOTAL ? ZIP_MAX_TOTAL + 1 : st.size;
        if (total > ZIP_MAX_TOTAL) {
            fail(p, ERR_LIMIT, "",
                 "this file would unpack to more than 512 MiB (a \"zip bomb\" or huge pictures) and is refused");
            goto failed;
        }
        if ((st.valid & ZIP_STAT_ENCRYPTION_METHOD) && st.encryption_method != ZIP_EM_NONE &&
            !strncmp(name, "word/", 5)) {
            fail(p, ERR_ENCRYPTED, "", "this file asks for a password; save it without one and load it again");
            goto failed;
        }
    }
    struct rels r = {""};
    if (zip_name_locate(p->zip, "_rels/.rels", 0) >= 0 &&
        docx_package_parse(p, "/_rels/.rels", rels_start, NULL, NULL, &r))
        goto failed;
    snprintf(p->main, sizeof p->main, "%s", strncmp(r.target, "word/", 5) ? "word/document.xml" : r.target);
    if (zip_name_locate(p->zip, p->main, 0) < 0) {
        char message[200];
        bool word = zip_name_locate(p->zip, "word/styles.xml", 0) >= 0;
        snprintf(message, sizeof message, "this is %s", what_else(p->zip));
        if (word)
            fail(p, ERR_FORMAT, p->main, "this DOCX file is damaged: its main part is missing");
        else
            fail(p, n == 0 ? ERR_FORMAT : ERR_UNSUPPORTED, "", n == 0 ? "this ZIP file is empty" : message);
        goto failed;
    }
    *out = p;
    return 0;
failed:
    docx_package_close(p);
    return w->code;
}

void docx_package_close(struct docx_package *p) {
    if (!p) return;
    if (p->zip) zip_discard(p->zip);
    free(p);
}

/* ---- XML ---- */
struct parse {
    struct docx_package *package;
    XML_Parser xml;
    docx_start start;
    docx_end end;
    docx_text text;
    void *context;
    int depth;
    const char *stopped;
    int code;
};

/* "http://.../main|p" -> "p"; other namespaces keep their last word: ".../markup-compatibility/2006|Fallback" ->
 * "2006:Fallback". */
static const char *local(const char *name, char *out, size_t cap) {
    const char *bar = strrchr(name, '|');
    if (!bar) return name;
    static const char *const word[] = {"http://schemas.openxmlformats.org/wordprocessingml/2006/main",
                                       "http://purl.oclc.org/ooxml/wordprocessingml/main"};
    for (size_t i = 0; i < 2; i++)
        if ((size_t)(bar - name) == strlen(word[i]) && !memcmp(name, word[i], (size_t)(bar - name))) return bar + 1;
    const char *slash = bar;
    while (slash > name && slash[-1] != '/') slash--;
    snprintf(out, cap, "%.*s:%s", (int)(bar - slash), slash, bar + 1);
    return out;
}

static void XMLCALL on_start(void *context, const XML_Char *name, const XML_Char **attributes) {
    struct parse *p = context;
    char out[200];
    if (++p->depth > XML_MAX_DEPTH) {
        p->stopped = "its elements nest deeper than 512", p->code = ERR_LIMIT;
        XML_StopParser(p->xml, XML_FALSE);
        return;
    }
    if (p->package->w->code) {
        XML_StopParser(p->xml, XML_FALSE);
        return;
    }
    if (p->start) p->start(p->context, local(name, out, sizeof out), attributes);
}

static void XMLCALL on_end(void *context, const XML_Char *name) {
    struct parse *p = context;
    char out[200];
    p->depth--;
    if (p->end && !p->package->w->code) p->end(p->context, local(name, out, sizeof out));
}

static void XMLCALL on_text(void *context, const XML_Char *s, int len) {
    struct parse *p = context;
    if (p->text && !p->package->w->code) p->text(p->context, s, len);
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid,
                               int internal) {
    struct parse *p = context;
    (void)name, (void)sysid, (void)pubid, (void)internal;
    p->stopped = "it declares a document type, which DOCX forbids (an attack by entities)", p->code = ERR_FORMAT;
    XML_StopParser(p->xml, XML_FALSE);
}

const char *docx_attribute(const char **attributes, const char *name) {
    for (; attributes && attributes[0]; attributes += 2) {
        const char *bar = strrchr(attributes[0], '|');
        if (!strcmp(bar ? bar + 1 : attributes[0], name)) return attributes[1];
    }
    return NULL;
}

bool docx_on(const char **attributes) {
    const char *v = docx_attribute(attributes, "val");
    return !v || !(!strcmp(v, "0") || !strcmp(v, "false") || !strcmp(v, "off") || !strcmp(v, "none"));
}

int docx_package_parse(struct docx_package *p, const char *part, docx_start start, docx_end end, docx_text text,
                       void *context) {
    char name[700];
    if (part[0] == '/') {
        snprintf(name, sizeof name, "%s", part + 1);
    } else if (part[0] == 0) {
        snprintf(name, sizeof name, "%s", p->main);
    } else {
        const char *slash = strrchr(p->main, '/');
        snprintf(name, sizeof name, "%.*s%s", slash ? (int)(slash - p->main) + 1 : 0, p->main, part);
    }
    zip_stat_t st;
    if (zip_stat(p->zip, name, 0, &st)) return 0;
    zip_file_t *f = zip_fopen(p->zip, name, 0);
    if (!f) {
        bool locked = zip_error_code_zip(zip_get_error(p->zip)) == ZIP_ER_NOPASSWD;
        return fail(p, locked ? ERR_ENCRYPTED : ERR_FORMAT, name,
                    locked ? "this file asks for a password; save it without one and load it again"
                           : "this DOCX file is damaged: a part of it cannot be unpacked");
    }
    struct parse x = {.package = p, .start = start, .end = end, .text = text, .context = context};
    x.xml = XML_ParserCreateNS(NULL, '|');
    if (!x.xml) {
        zip_fclose(f);
        return fail(p, ERR_NOMEM, name, "out of memory while reading DOCX");
    }
    XML_SetUserData(x.xml, &x);
    XML_SetElementHandler(x.xml, on_start, on_end);
    XML_SetCharacterDataHandler(x.xml, on_text);
    XML_SetStartDoctypeDeclHandler(x.xml, on_doctype);
    uint64_t bytes = 0, packed = (st.valid & ZIP_STAT_COMP_SIZE) ? st.comp_size : 0;
    for (bool more = true; more && !p->w->code;) {
        char piece[32768];
        zip_int64_t n = zip_fread(f, piece, sizeof piece);
        if (n < 0) {
            fail(p, ERR_FORMAT, name, "this DOCX file is damaged: a part of it cannot be unpacked");
            break;
        }
        more = n > 0;
        bytes += (uint64_t)n;
        p->unpacked += (uint64_t)n;
        if (bytes > ZIP_MAX_PART || p->unpacked > ZIP_MAX_TOTAL ||
            (bytes > ((uint64_t)16 << 20) && packed && bytes / packed > ZIP_MAX_RATIO)) {
            fail(p, ERR_LIMIT, name, "this file unpacks to far more than its size (a \"zip bomb\") and is refused");
            break;
        }
        if (XML_Parse(x.xml, piece, (int)n, !more) == XML_STATUS_OK) continue;
        char message[300];
        if (x.stopped)
            snprintf(message, sizeof message, "this DOCX file is refused: %s", x.stopped);
        else
            snprintf(message, sizeof message, "this DOCX file is damaged: its XML goes wrong at line %lu (%s)",
                     XML_GetCurrentLineNumber(x.xml), XML_ErrorString(XML_GetErrorCode(x.xml)));
        fail(p, x.stopped ? x.code : ERR_FORMAT, name, message);
    }
    XML_ParserFree(x.xml);
    zip_fclose(f);
    return p->w->code;
}
