/* fetch.c: a web address -> a file, by libcurl. Refuses other schemes than http and https, also after a redirect,
 * addresses of private networks and of this machine (checked on the address that is connected to, so that a name cannot
 * point there), too many bytes, too much time. Text with a charset in its Content-Type is stored as UTF-8 with a byte
 * order mark, as the file keeps no headers. */
#include "ingest/reader.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define FETCH_REDIRECTS 5L
#define FETCH_CONNECT_S 15L

struct fetch {
    int fd;
    uint64_t n, max;
    bool too_much, disk, private_address, allow_private;
    int error;
};

/* Loopback, link-local, private (RFC 1918, RFC 4193), shared (RFC 6598), multicast, documentation and reserved ranges.
 */
static bool private_ipv4(uint32_t a) {
    static const struct {
        uint32_t net;
        int bits;
    } nets[] = {{0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
                {0xac100000, 12}, {0xc0000000, 24}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xc0000200, 24},
                {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 4},  {0xf0000000, 4}};
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        if (((a ^ nets[i].net) >> (32 - nets[i].bits)) == 0) return true;
    return false;
}

static bool private_address(const struct sockaddr *sa) {
    if (sa->sa_family == AF_INET)
        return private_ipv4(ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr));
    if (sa->sa_family != AF_INET6) return true;
    const uint8_t *a = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr;
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (!memcmp(a, mapped, 12) || !memcmp(a, nat64, 12))
        return private_ipv4((uint32_t)a[12] << 24 | (uint32_t)a[13] << 16 | (uint32_t)a[14] << 8 | a[15]);
    if (a[0] == 0x20 && a[1] == 0x02)
        return private_ipv4((uint32_t)a[2] << 24 | (uint32_t)a[3] << 16 | (uint32_t)a[4] << 8 | a[5]); /* 6to4 */
    return (a[0] & 0xe0) != 0x20 ||
           (a[0] == 0x20 && a[1] == 0x01 && a[2] == 0 && a[3] == 0); /* global unicast is 2000::/3; not Teredo */
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    struct fetch *f = context;
    (void)purpose;
    if (!f->allow_private && private_address(&address->addr)) {
        f->private_address = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t on_data(char *data, size_t size, size_t count, void *context) {
    struct fetch *f = context;
    size_t n = size * count;
    if (f->n + n > f->max) {
        f->too_much = true;
        return 0;
    }
    for (size_t at = 0; at < n;) {
        ssize_t k = write(f->fd, data + at, n - at);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) {
            f->disk = true, f->error = errno;
            return 0;
        }
        at += (size_t)k;
    }
    f->n += n;
    return n;
}

/* "report.pdf" of the address's path, made harmless; else the host's name. */
static void file_name(const char *url, const char *type, char name[256]) {
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    size_t n = strcspn(start, "?#");
    const char *slash = NULL;
    for (size_t i = 0; i < n; i++)
        if (start[i] == '/') slash = start + i + 1;
    const char *from = slash && slash < start + n ? slash : start;
    size_t len = slash && slash < start + n ? (size_t)(start + n - slash) : strcspn(start, "/?#:");
    size_t k = 0;
    for (size_t i = 0; i < len && k < 200; i++) {
        unsigned char c = (unsigned char)from[i];
        if (c == '%' && i + 2 < len && isxdigit((unsigned char)from[i + 1]) && isxdigit((unsigned char)from[i + 2])) {
            char hex[3] = {from[i + 1], from[i + 2], 0};
            c = (unsigned char)strtoul(hex, NULL, 16);
            i += 2;
        }
        name[k++] = c < 0x20 || c == 0x7f || strchr("/\\:*?\"<>|", c) ? '_' : (char)c;
    }
    name[k] = 0;
    if (!utf8_valid(name, k) || k == 0 || !strcmp(name, ".") || !strcmp(name, "..")) snprintf(name, 256, "download");
    if (!strchr(name, '.') || from == start) {
        const char *ending = type && strstr(type, "html")         ? ".html"
                             : type && strstr(type, "pdf")        ? ".pdf"
                             : type && strstr(type, "markdown")   ? ".md"
                             : type && strstr(type, "text/plain") ? ".txt"
                                                                  : "";
        strncat(name, ending, 255 - strlen(name));
    }
}

/* Stores text that names its charset only in the header as UTF-8 with a mark. */
static int to_utf8(const char *path, const char *type, uint64_t max, struct error *e) {
    const char *charset = type ? strcasestr(type, "charset=") : NULL;
    if (!charset || !(strncasecmp(type, "text/", 5) == 0 || strstr(type, "xml"))) return 0;
    char name[40];
    size_t n = 0;
    for (charset += 8;
         *charset && n + 1 < sizeof name && (isalnum((unsigned char)*charset) || strchr("-_.:\"'", *charset));
         charset++)
        if (*charset != '"' && *charset != '\'') name[n++] = *charset;
    name[n] = 0;
    if (n == 0 || !strcasecmp(name, "utf-8") || !strcasecmp(name, "utf8")) return 0;
    struct buf bytes = {0}, text = {0};
    int code = file_read(path, (size_t)max + 1, &bytes, e);
    if (!code && !(bytes.len >= 3 && !memcmp(bytes.data, "\xef\xbb\xbf", 3))) {
        buf_puts(&text, "\xef\xbb\xbf");
        code = encoding_decode(buf_slice(&bytes), name, &text, e);
        if (!code) code = file_write_atomic(path, text.data, text.len, e);
    }
    buf_free(&bytes);
    buf_free(&text);
    return code;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void curl_begin(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

int ingest_fetch(const char *url, const char *path, uint64_t max_bytes, double timeout_s, bool allow_private,
                 char name[256], struct error *e) {
    if (strncasecmp(url, "http://", 7) && strncasecmp(url, "https://", 8))
        return error_set(e, ERR_ARG, url, "only http and https addresses can be loaded");
    pthread_once(&curl_once, curl_begin);
    struct fetch f = {.max = max_bytes ? max_bytes : ingest_options_default().max_bytes,
                      .allow_private = allow_private};
    f.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (f.fd < 0) return error_set(e, ERR_IO, path, "the download cannot be stored: %s", strerror(errno));
    CURL *c = curl_easy_init();
    int code = 0;
    long status = 0;
    char message[CURL_ERROR_SIZE] = "";
    if (!c) {
        close(f.fd);
        unlink(path);
        return error_set(e, ERR_NOMEM, url, "out of memory while downloading");
    }
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, strncasecmp(url, "https://", 8) ? "http,https" : "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, FETCH_REDIRECTS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)((timeout_s > 0 ? timeout_s : 60) * 1000));
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, FETCH_CONNECT_S);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROXY, ""); /* a proxy would hide the address that is asked for */
    curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(c, CURLOPT_USERAGENT, "antinomy");
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, message);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &f);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, &f);
    CURLcode rc = curl_easy_perform(c);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (f.private_address)
        code = error_set(e, ERR_ARG, url,
                         "this address leads to a private network or to this machine, from which nothing is loaded");
    else if (f.too_much)
        code = error_set(e, ERR_LIMIT, url, "the download has more than %.1f MiB", (double)f.max / 1048576.0);
    else if (f.disk)
        code = error_set(e, ERR_IO, path, "the download cannot be stored: %s", strerror(f.error));
    else if (rc == CURLE_OPERATION_TIMEDOUT)
        code =
            error_set(e, ERR_CANCELLED, url, "the download took longer than %.0f seconds and was stopped", timeout_s);
    else if (rc == CURLE_UNSUPPORTED_PROTOCOL || rc == CURLE_TOO_MANY_REDIRECTS || rc == CURLE_URL_MALFORMAT)
        code = error_set(e, ERR_ARG, url, "the address cannot be loaded: %s",
                         message[0] ? message : curl_easy_strerror(rc));
    else if (rc)
        code = error_set(e, ERR_IO, url, "the download failed: %s", message[0] ? message : curl_easy_strerror(rc));
    else if (status >= 400)
        code = error_set(e, status == 404 || status == 410 ? ERR_NOT_FOUND : ERR_IO, url,
                         "the server answered %ld instead of the document", status);
    if (close(f.fd) && !code) code = error_set(e, ERR_IO, path, "the download cannot be stored: %s", strerror(errno));
    if (!code) {
        char *last = NULL, *type = NULL;
        curl_easy_getinfo(c, CURLINFO_EFFECTIVE_URL, &last);
        curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &type);
        file_name(last ? last : url, type, name);
        code = to_utf8(path, type, f.max, e);
    }
    curl_easy_cleanup(c);
    if (code) unlink(path);
    return code;
}
