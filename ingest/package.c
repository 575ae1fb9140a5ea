/* package.c: the ZIP container of DOCX, XLSX, PPTX (ECMA-376 part 2), ODT (OpenDocument part 3) and EPUB (OCF 3.3) and
 * its XML parts, by libzip and expat. Owns the limits on hostile archives: entries, size and ratio of what is unpacked,
 * names, nesting, no DTD at all. Says what other ZIP files are. Nothing is ever unpacked to disk. */
#include "ingest/package.h"

#include <expat.h>
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

/* What the main part's place says of the format. */
static const struct {
    const char *name, *folder, *main;
    const char *another;    /* a part that no such file lacks */
    const char *properties; /* where the title stands */
} formats[] = {
    [PACKAGE_DOCX] = {"DOCX", "word/", "word/document.xml", "word/styles.xml", "/docProps/core.xml"},
    [PACKAGE_XLSX] = {"XLSX", "xl/", "xl/workbook.xml", "xl/styles.xml", "/docProps/core.xml"},
    [PACKAGE_PPTX] = {"PPTX", "ppt/", "ppt/presentation.xml", "ppt/presProps.xml", "/docProps/core.xml"},
    [PACKAGE_EPUB] = {"EPUB", "META-INF/container.xml", "META-INF/container.xml", "META-INF/encryption.xml", ""},
    [PACKAGE_ODT] = {"OpenDocument", "content.xml", "content.xml", "META-INF/manifest.xml", "/meta.xml"}};
#define N_FORMATS (sizeof formats / sizeof *formats)

struct package {
    zip_t *zip;
    struct writer *w;
    enum package_kind kind;
    char main[300];
    uint64_t unpacked;
};

static const char *what_else(zip_t *z) {
    static const struct {
        const char *entry, *what;
    } kinds[] = {
        {"xl/workbook.bin", "an Excel workbook (XLSB), which is not read; save it as XLSX"},
        {"visio/document.xml", "a Visio drawing, which is not read; save it as PDF"},
        {"AndroidManifest.xml", "an Android program"},
        {"META-INF/MANIFEST.MF", "a Java program"},
        {"Index/Document.iwa", "an Apple Pages, Numbers or Keynote file, which is not read; save it as DOCX or PDF"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (zip_name_locate(z, kinds[i].entry, 0) >= 0) return kinds[i].what;
    return "a ZIP archive; unpack it and load the documents in it";
}

static int fail(struct package *p, int code, const char *part, const char *fmt, ...) {
    char where[1200], message[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    snprintf(where, sizeof where, "%s%s%s", p->w->o->name, part[0] ? ", part " : "", part);
    return writer_fail(p->w, code, where, "%s", message);
}

struct place { /* of the main part, where the file names it */
    char name[300];
};

static void main_relation(void *context, const char *id, const char *type, const char *target) {
    struct place *main = context;
    (void)id;
    if (!strcmp(type, "officeDocument") && target[0] && !main->name[0])
        snprintf(main->name, sizeof main->name, "%s", target + 1);
}

static void container_start(void *context, const char *name, const char **attributes) {
    struct place *book = context;
    const char *path = package_attribute(attributes, "full-path");
    if (!strcmp(package_bare(name), "rootfile") && path && !book->name[0])
        snprintf(book->name, sizeof book->name, "%s", path);
}

/* The package document that an EPUB's container names. */
static int find_book(struct package *p) {
    struct place book = {""};
    if (package_parse(p, "", container_start, NULL, NULL, &book)) return p->w->code;
    if (!book.name[0] || zip_name_locate(p->zip, book.name, 0) < 0)
        return fail(p, ERR_FORMAT, p->main, "this EPUB file is damaged: its main part is missing");
    snprintf(p->main, sizeof p->main, "%s", book.name);
    return 0;
}

/* The main part and with it the format: by the package's relationships, else by the usual place. */
static int find_main(struct package *p) {
    struct place place = {""};
    if (package_relations(p, "/", main_relation, &place)) return p->w->code;
    for (size_t i = 0; i < N_FORMATS; i++) {
        bool named = !strncmp(place.name, formats[i].folder, strlen(formats[i].folder));
        snprintf(p->main, sizeof p->main, "%s", named ? place.name : formats[i].main);
        p->kind = (enum package_kind)i;
        if (zip_name_locate(p->zip, p->main, 0) >= 0) return p->kind == PACKAGE_EPUB ? find_book(p) : 0;
        if (zip_name_locate(p->zip, formats[i].another, 0) >= 0)
            return fail(p, ERR_FORMAT, p->main, "this %s file is damaged: its main part is missing", formats[i].name);
    }
    if (zip_get_num_entries(p->zip, 0) == 0) return fail(p, ERR_FORMAT, "", "this ZIP file is empty");
    return fail(p, ERR_UNSUPPORTED, "", "this is %s", what_else(p->zip));
}

int package_open(struct package **out, struct writer *w, int fd) {
    struct package *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p) return writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while opening the file");
    p->w = w;
    int own = dup(fd), err = 0;
    if (own >= 0) lseek(own, 0, SEEK_SET);
    p->zip = own < 0 ? NULL : zip_fdopen(own, 0, &err);
    if (!p->zip) {
        if (own >= 0) close(own);
        fail(p, ERR_FORMAT, "",
             "this ZIP file (DOCX, XLSX, PPTX, ODT, EPUB) is damaged or cut off: its directory cannot be read");
        goto failed;
    }
    zip_int64_t n = zip_get_num_entries(p->zip, 0);
    if (n > ZIP_MAX_ENTRIES) {
        fail(p, ERR_LIMIT, "", "this ZIP file has more than 10,000 entries and is refused");
        goto failed;
    }
    uint64_t total = 0;
    bool locked = false;
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
        locked = locked || ((st.valid & ZIP_STAT_ENCRYPTION_METHOD) && st.encryption_method != ZIP_EM_NONE);
    }
    if (find_main(p)) goto failed;
    if (locked) {
        fail(p, ERR_ENCRYPTED, "", "this file asks for a password; save it without one and load it again");
        goto failed;
    }
    *out = p;
    return 0;
failed:
    package_close(p);
    return w->code;
}

enum package_kind package_kind(const struct package *p) {
    return p->kind;
}

void package_close(struct package *p) {
    if (!p) return;
    if (p->zip) zip_discard(p->zip);
    free(p);
}

/* ---- XML ---- */
struct parse {
    struct package *package;
    const char *name; /* of the part */
    XML_Parser xml;
    package_start start;
    package_end end;
    package_text text;
    void *context;
    int depth;
    const char *stopped;
    int code;
};

/* "http://.../main|p" -> "p"; other namespaces keep their last word: ".../markup-compatibility/2006|Fallback" ->
 * "2006:Fallback". */
static const char *local(enum package_kind kind, const char *name, char *out, size_t cap) {
    const char *bar = strrchr(name, '|');
    if (!bar) return name;
    static const char *const own[] = {
        "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
        "http://purl.oclc.org/ooxml/wordprocessingml/main", "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://purl.oclc.org/ooxml/spreadsheetml/main", "http://schemas.openxmlformats.org/presentationml/2006/main",
        "http://purl.oclc.org/ooxml/presentationml/main",
        /* the text of slides and charts; a document's drawings are no text of its own */
        "http://schemas.openxmlformats.org/drawingml/2006/main", "http://purl.oclc.org/ooxml/drawingml/main"};
    for (size_t i = 0; i < sizeof own / sizeof *own - (kind == PACKAGE_PPTX ? 0 : 2); i++)
        if ((size_t)(bar - name) == strlen(own[i]) && !memcmp(name, own[i], (size_t)(bar - name))) return bar + 1;
    const char *slash = bar, *odf = "urn:oasis:names:tc:opendocument:xmlns:";
    if (!strncmp(name, odf, strlen(odf))) { /* "urn:...:xmlns:text:1.0|p" -> "text:p" */
        name += strlen(odf);
        snprintf(out, cap, "%.*s:%s", (int)strcspn(name, ":|"), name, bar + 1);
        return out;
    }
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
    if (p->start) p->start(p->context, local(p->package->kind, name, out, sizeof out), attributes);
}

static void XMLCALL on_end(void *context, const XML_Char *name) {
    struct parse *p = context;
    char out[200];
    p->depth--;
    if (p->end && !p->package->w->code) p->end(p->context, local(p->package->kind, name, out, sizeof out));
}

static void XMLCALL on_text(void *context, const XML_Char *s, int len) {
    struct parse *p = context;
    if (p->text && !p->package->w->code) p->text(p->context, s, len);
}

static void XMLCALL on_doctype(void *context, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid,
                               int internal) {
    struct parse *p = context;
    (void)name, (void)sysid, (void)pubid;
    if (p->package->kind == PACKAGE_EPUB && !internal) return; /* it may name one; nothing is ever fetched */
    p->stopped = "it declares a document type, which the format forbids (an attack by entities)", p->code = ERR_FORMAT;
    XML_StopParser(p->xml, XML_FALSE);
}

const char *package_bare(const char *name) {
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

const char *package_attribute(const char **attributes, const char *name) {
    for (; attributes && attributes[0]; attributes += 2) {
        const char *bar = strrchr(attributes[0], '|');
        if (!strcmp(bar ? bar + 1 : attributes[0], name)) return attributes[1];
    }
    return NULL;
}

long package_number(const char **attributes, const char *name, long fallback, long max) {
    const char *v = package_attribute(attributes, name);
    char *end;
    long x = v ? strtol(v, &end, 10) : -1;
    return x < 0 || x > max || end == v ? fallback : x;
}

bool package_true(const char **attributes, const char *name) {
    const char *v = package_attribute(attributes, name);
    return v && (!strcmp(v, "1") || !strcmp(v, "true"));
}

bool package_on(const char **attributes) {
    const char *v = package_attribute(attributes, "val");
    return !v || !(!strcmp(v, "0") || !strcmp(v, "false") || !strcmp(v, "off") || !strcmp(v, "none"));
}

static void part_name(const struct package *p, const char *part, char *name, size_t cap) {
    const char *slash = strrchr(p->main, '/');
    if (part[0] == '/')
        snprintf(name, cap, "%s", part + 1);
    else if (part[0] == 0)
        snprintf(name, cap, "%s", p->main);
    else
        snprintf(name, cap, "%.*s%s", slash ? (int)(slash - p->main) + 1 : 0, p->main, part);
}

bool package_has(struct package *p, const char *part) {
    char name[700];
    part_name(p, part, name, sizeof name);
    return zip_name_locate(p->zip, name, 0) >= 0;
}

/* Gets a part piece by piece; false when it has failed. */
typedef bool (*sink)(void *context, const char *s, size_t n, bool last);

/* What to call the file; its format is not known before the main part is. */
static const char *format_name(const struct package *p) {
    return p->main[0] ? formats[p->kind].name : "ZIP";
}

static int unpack(struct package *p, const char *name, sink take, void *context) {
    zip_stat_t st;
    if (zip_stat(p->zip, name, 0, &st)) return 0;
    zip_file_t *f = zip_fopen(p->zip, name, 0);
    if (!f) {
        bool locked = zip_error_code_zip(zip_get_error(p->zip)) == ZIP_ER_NOPASSWD;
        if (locked)
            return fail(p, ERR_ENCRYPTED, name, "this file asks for a password; save it without one and load it again");
        return fail(p, ERR_FORMAT, name, "this %s file is damaged: a part of it cannot be unpacked", format_name(p));
    }
    uint64_t bytes = 0, packed = (st.valid & ZIP_STAT_COMP_SIZE) ? st.comp_size : 0;
    for (bool more = true; more && !p->w->code;) {
        char piece[32768];
        zip_int64_t n = zip_fread(f, piece, sizeof piece);
        if (n < 0) {
            fail(p, ERR_FORMAT, name, "this %s file is damaged: a part of it cannot be unpacked", format_name(p));
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
        if (!take(context, piece, (size_t)n, !more)) break;
    }
    zip_fclose(f);
    return p->w->code;
}

static bool parse_piece(void *context, const char *s, size_t n, bool last) {
    struct parse *x = context;
    struct package *p = x->package;
    if (XML_Parse(x->xml, s, (int)n, last) == XML_STATUS_OK) return true;
    if (x->stopped)
        fail(p, x->code, x->name, "this %s file is refused: %s", format_name(p), x->stopped);
    else
        fail(p, ERR_FORMAT, x->name, "this %s file is damaged: its XML goes wrong at line %lu (%s)", format_name(p),
             XML_GetCurrentLineNumber(x->xml), XML_ErrorString(XML_GetErrorCode(x->xml)));
    return false;
}

int package_parse(struct package *p, const char *part, package_start start, package_end end, package_text text,
                  void *context) {
    char name[700];
    part_name(p, part, name, sizeof name);
    struct parse x = {.package = p, .name = name, .start = start, .end = end, .text = text, .context = context};
    x.xml = XML_ParserCreateNS(NULL, '|');
    if (!x.xml) return fail(p, ERR_NOMEM, name, "out of memory while reading a part of this file");
    XML_SetUserData(x.xml, &x);
    XML_SetElementHandler(x.xml, on_start, on_end);
    XML_SetCharacterDataHandler(x.xml, on_text);
    XML_SetStartDoctypeDeclHandler(x.xml, on_doctype);
    unpack(p, name, parse_piece, &x);
    XML_ParserFree(x.xml);
    return p->w->code;
}

static bool append_piece(void *context, const char *s, size_t n, bool last) {
    (void)last;
    buf_append(context, s, n);
    return true;
}

int package_read(struct package *p, const char *part, struct buf *out) {
    char name[700];
    part_name(p, part, name, sizeof name);
    if (!unpack(p, name, append_piece, out) && out->failed)
        fail(p, ERR_NOMEM, name, "out of memory while reading a part of this file");
    return p->w->code;
}

void package_main(const struct package *p, char *out, size_t cap) {
    snprintf(out, cap, "/%s", p->main);
}

void package_resolve(const char *from, const char *target, char *out, size_t cap) {
    char path[1400];
    const char *slash = target[0] == '/' ? NULL : strrchr(from, '/');
    size_t n = 0;
    snprintf(path, sizeof path, "%.*s/%s", slash ? (int)(slash - from) : 0, from, target);
    for (const char *s = path; *s;) { /* segment by segment; ".." takes the last one back */
        size_t len;
        while (*s == '/') s++;
        len = strcspn(s, "/");
        if (len == 2 && !memcmp(s, "..", 2)) {
            while (n && out[--n] != '/') continue;
        } else if (len && !(len == 1 && *s == '.') && n + len + 2 < cap) {
            out[n++] = '/';
            memcpy(out + n, s, len);
            n += len;
        }
        s += len;
    }
    out[n] = 0;
}

/* ---- relationships ---- */
struct relations {
    const char *from;
    package_relation relation;
    void *context;
};

static void relation_start(void *context, const char *name, const char **a) {
    const struct relations *r = context;
    if (strcmp(package_bare(name), "Relationship")) return;
    const char *id = package_attribute(a, "Id"), *target = package_attribute(a, "Target"),
               *type = package_attribute(a, "Type"), *mode = package_attribute(a, "TargetMode");
    if (!id || !target || !type) return;
    if (mode && !strcmp(mode, "External")) return;
    const char *word = strrchr(type, '/');
    char part[600];
    package_resolve(r->from, target, part, sizeof part);
    r->relation(r->context, id, word ? word + 1 : type, part);
}

int package_relations(struct package *p, const char *part, package_relation relation, void *context) {
    char from[700] = "/", rels[800];
    part_name(p, part, from + 1, sizeof from - 1);
    const char *base = strrchr(from, '/') + 1;
    snprintf(rels, sizeof rels, "%.*s_rels/%s.rels", (int)(base - from), from, base);
    struct relations r = {from, relation, context};
    return package_parse(p, rels, relation_start, NULL, NULL, &r);
}

const char *package_relation_id(const char **attributes, const char *name) {
    for (; attributes && attributes[0]; attributes += 2) {
        const char *bar = strrchr(attributes[0], '|'), *slash = strrchr(attributes[0], '/');
        if (bar && slash && !strncmp(slash, "/relationships|", 15) && !strcmp(bar + 1, name)) return attributes[1];
    }
    return NULL;
}

/* ---- title ---- */
struct title {
    struct buf text;
    bool in;
};
static void title_start(void *context, const char *name, const char **a) {
    struct title *t = context;
    (void)a;
    t->in = strstr(name, ":title") != NULL && !t->text.len; /* a book may have several; the first is the main one */
}
static void title_end(void *context, const char *name) {
    (void)name;
    ((struct title *)context)->in = false;
}
static void title_text(void *context, const char *s, int len) {
    struct title *t = context;
    if (t->in && t->text.len < 300) buf_append(&t->text, s, (size_t)len);
}

int package_title(struct package *p) {
    struct title t = {.in = false};
    struct buf clean = {0};
    if (!package_parse(p, formats[p->kind].properties, title_start, title_end, title_text, &t)) {
        text_clean(&clean, slice_trim(buf_slice(&t.text)), false);
        if (clean.len) p->w->d->title = arena_slice(&p->w->d->arena, buf_slice(&clean));
    }
    buf_free(&clean);
    buf_free(&t.text);
    return p->w->code;
}
