/* web.c: the page and the API's description: files that the Makefile put into the program as they are (ld -r -b
 * binary). Nothing is loaded from elsewhere, no script stands in the HTML: the content security policy says so to the
 * browser. */
#include "api/api.h"

#include <string.h>

extern const char _binary_api_web_index_html_start[], _binary_api_web_index_html_end[];
extern const char _binary_api_web_app_css_start[], _binary_api_web_app_css_end[];
extern const char _binary_api_web_app_js_start[], _binary_api_web_app_js_end[];
extern const char _binary_api_web_openapi_json_start[], _binary_api_web_openapi_json_end[];

#define PAGE_CSP                                                                                                       \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri "     \
    "'none'; "                                                                                                         \
    "form-action 'none'; frame-ancestors 'none'"

bool web_page(const char *path, struct api_response *r) {
    const struct {
        const char *path, *type, *start, *end;
    } files[] = {
        {"/", "text/html; charset=utf-8", _binary_api_web_index_html_start, _binary_api_web_index_html_end},
        {"/app.css", "text/css; charset=utf-8", _binary_api_web_app_css_start, _binary_api_web_app_css_end},
        {"/app.js", "text/javascript; charset=utf-8", _binary_api_web_app_js_start, _binary_api_web_app_js_end},
        {"/openapi.json", "application/json", _binary_api_web_openapi_json_start, _binary_api_web_openapi_json_end},
    };
    size_t len = strcspn(path, "?");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (strlen(files[i].path) != len || memcmp(files[i].path, path, len) != 0) continue;
        r->status = 200;
        r->content_type = files[i].type;
        r->csp = PAGE_CSP;
        r->cache = "no-cache";
        r->fixed = (struct slice){files[i].start, (size_t)(files[i].end - files[i].start)};
        return true;
    }
    return false;
}
