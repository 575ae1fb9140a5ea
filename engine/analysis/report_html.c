/* report_html.c: the contradiction report as one page that stands alone: no script, no font, no picture from elsewhere;
 * prints. Owns its look; refuses nothing of the JSON's text: every byte of a document is escaped, and what is missing
 * is left out.
 *
 * In: the JSON of contradict.c. Groups in the order of what a reader must act on: contradictions, uncertain, possible,
 * resolved, superseded. The words that conflict are marked inside the whole statement.
 */
#include "engine/analysis/inside.h"

#include <stdlib.h>
#include <string.h>

static const char STYLE[] =
    ":root{--ink:#1c2430;--soft:#5b6675;--line:#d9dee6;--paper:#fff;--ground:#f4f6f9;--mark:#ffe08a;--red:#b3261e;--"
    "amber:#8a5a00;"
    "--blue:#1f5aa6;--green:#1e6b3a}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,-apple-system,\"Segoe "
    "UI\",Roboto,\"DejaVu Sans\",sans-serif}"
    "main{max-width:1120px;margin:0 auto;padding:32px 20px 64px}"
    "h1{font-size:28px;line-height:1.2;margin:0 0 6px}h2{font-size:20px;margin:40px 0 4px}h2 "
    ".n{color:var(--soft);font-weight:400}"
    ".lede{color:var(--soft);margin:0 0 20px;max-width:70ch}.group{color:var(--soft);margin:0 0 "
    "14px;font-size:15px;max-width:80ch}"
    ".counts{display:flex;flex-wrap:wrap;gap:10px;margin:20px 0}"
    ".count{flex:1 1 120px;background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:10px "
    "14px;color:inherit;text-decoration:none}"
    ".count b{display:block;font-size:24px;line-height:1.2}.count span{color:var(--soft);font-size:14px}"
    ".count.contradiction b{color:var(--red)}.count.uncertain b{color:var(--amber)}"
    ".finding{background:var(--paper);border:1px solid var(--line);border-left:5px solid "
    "var(--soft);border-radius:8px;margin:0 0 16px;"
    "break-inside:avoid;overflow:hidden}"
    ".finding.contradiction{border-left-color:var(--red)}.finding.uncertain{border-left-color:var(--amber)}"
    ".finding.resolved{border-left-color:var(--green)}.finding.superseded{border-left-color:var(--blue)}"
    ".head{display:flex;flex-wrap:wrap;align-items:baseline;gap:6px 12px;padding:12px 16px;border-bottom:1px solid "
    "var(--line)}"
    ".class{font-weight:650;text-transform:capitalize}.why{flex:1 1 300px}"
    ".severity{font-size:13px;border:1px solid var(--line);border-radius:99px;padding:1px "
    "10px;color:var(--soft);white-space:nowrap}"
    ".severity.high{color:var(--red);border-color:var(--red)}.severity.medium{color:var(--amber);border-color:var(--"
    "amber)}"
    ".sides{display:grid;grid-template-columns:1fr 1fr}"
    ".side{padding:14px 16px;min-width:0}.side+.side{border-left:1px solid var(--line)}"
    ".where{font-size:14px;margin:0 0 8px;overflow-wrap:anywhere}.where b{font-weight:650}.where "
    "span{color:var(--soft)}"
    "blockquote{margin:0;font:16px/1.55 Georgia,\"DejaVu Serif\",serif;white-space:pre-line;overflow-wrap:anywhere}"
    "mark{background:var(--mark);color:inherit;padding:1px "
    "2px;border-radius:2px;box-decoration-break:clone;-webkit-box-decoration-break:clone}"
    ".foot{padding:8px 16px;border-top:1px solid var(--line);font-size:13px;color:var(--soft);overflow-wrap:anywhere}"
    ".by{padding:10px 16px;border-top:1px solid var(--line);background:var(--ground)}.by p{margin:0 0 "
    "4px;font-size:14px}"
    ".empty{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:16px}"
    "table{border-collapse:collapse;width:100%;background:var(--paper);border:1px solid "
    "var(--line);border-radius:8px;font-size:14px}"
    "th,td{text-align:left;padding:6px 10px;border-bottom:1px solid "
    "var(--line);vertical-align:top;overflow-wrap:anywhere}th{color:var(--soft);font-weight:600}"
    "td.num,th.num{text-align:right;white-space:nowrap}.scroll{overflow-x:auto}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:8px 0 "
    "16px;font-size:15px}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}"
    "@media(max-width:640px){main{padding:20px 12px 48px}h1{font-size:23px}.sides{grid-template-columns:1fr}"
    ".side+.side{border-left:0;border-top:1px solid "
    "var(--line)}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:8px}.counts{display:grid;grid-template-columns:"
    "1fr 1fr}}"
    "@media print{body{background:#fff;font-size:11pt}main{max-width:none;padding:0}.counts a{color:inherit}"
    "mark{-webkit-print-color-adjust:exact;print-color-adjust:exact;border-bottom:1px solid #000}}";

static void escape(struct buf *b, const char *s, size_t len) {
    size_t from = 0;
    for (size_t i = 0; i < len; i++) {
        const char *r = NULL;
        switch (s[i]) {
        case '&':
            r = "&amp;";
            break;
        case '<':
            r = "&lt;";
            break;
        case '>':
            r = "&gt;";
            break;
        case '"':
            r = "&quot;";
            break;
        case '\'':
            r = "&#39;";
            break;
        default:
            if ((unsigned char)s[i] < 0x20 && s[i] != '\n' && s[i] != '\t') r = " ";
            break;
        }
        if (!r) continue;
        buf_append(b, s + from, i - from);
        buf_puts(b, r);
        from = i + 1;
    }
    buf_append(b, s + from, len - from);
}

static void put_text(struct buf *b, const json_t *o, const char *name) {
    const json_t *v = json_object_get(o, name);
    if (json_is_string(v))
        escape(b, json_string_value(v), json_string_length(v));
    else if (json_is_integer(v))
        buf_printf(b, "%lld", (long long)json_integer_value(v));
}

static bool has_text(const json_t *o, const char *name) {
    return json_string_length(json_object_get(o, name)) > 0;
}

/* Only words of our own become class names. */
static const char *word_of(const json_t *o, const char *name, const char *const *known, size_t n) {
    const char *s = json_string_value(json_object_get(o, name));
    for (size_t i = 0; s && i < n; i++)
        if (strcmp(s, known[i]) == 0) return known[i];
    return "";
}

/* The quote with its marks. The statement is the quote's tail: a lead-in may stand before it (contradict.c). */
static void put_quote(struct buf *b, const json_t *side) {
    const json_t *q = json_object_get(side, "quote"), *marks = json_object_get(side, "marks");
    struct slice s = {json_string_value(q), json_string_length(q)};
    if (!s.data) return;
    json_int_t start = json_integer_value(json_object_get(side, "start")),
               end = json_integer_value(json_object_get(side, "end"));
    json_int_t lead = (json_int_t)utf8_count(s.data, s.len) - (end - start);
    size_t at = 0;
    for (size_t i = 0; lead >= 0 && i < json_array_size(marks); i++) {
        const json_t *m = json_array_get(marks, i);
        json_int_t from = json_integer_value(json_object_get(m, "start")),
                   to = json_integer_value(json_object_get(m, "end"));
        if (from < start || to > end || from >= to) continue;
        size_t f = utf8_offset(s.data, s.len, lead + from - start), t = utf8_offset(s.data, s.len, lead + to - start);
        if (f < at) continue;
        escape(b, s.data + at, f - at);
        buf_puts(b, "<mark>");
        escape(b, s.data + f, t - f);
        buf_puts(b, "</mark>");
        at = t;
    }
    escape(b, s.data + at, s.len - at);
}

static void put_where(struct buf *b, const json_t *side) {
    buf_puts(b, "<p class=\"where\"><b>");
    put_text(b, side, "document");
    const char *label = json_string_value(json_object_get(side, "page_label"));
    /* "slide 3" and a cell's place say what they are */
    buf_puts(b, has_text(side, "cell") || (label && strchr(label, ' ')) ? "</b> <span>· " : "</b> <span>· page ");
    put_text(b, side, has_text(side, "page_label") ? "page_label" : "page");
    /* a sheet's name stands in its cell's place already */
    if (has_text(side, "section") && !json_equal(json_object_get(side, "section"), json_object_get(side, "sheet"))) {
        buf_puts(b, " · ");
        put_text(b, side, "section");
    }
    buf_puts(b, "</span></p>");
}

static void put_side(struct buf *b, const json_t *side) {
    buf_puts(b, "<div class=\"side\">");
    put_where(b, side);
    buf_puts(b, "<blockquote>");
    put_quote(b, side);
    buf_puts(b, "</blockquote></div>\n");
}

static const char *const statuses[] = {"contradiction", "uncertain", "resolved", "superseded"};
static const char *const severities[] = {"high", "medium", "low"};

/* What a person decided, where the report carries it (store.h, reviews). */
static void put_review(struct buf *b, const json_t *review) {
    const char *state = json_string_value(json_object_get(review, "state"));
    if (!state || (strcmp(state, "new") == 0 && !has_text(review, "note"))) return;
    buf_puts(b, "<div class=\"by\"><p><b>Review: ");
    escape(b, state, strcspn(state, "_"));
    if (strcmp(state, "needs_review") == 0) buf_puts(b, " review");
    buf_puts(b, "</b>");
    static const char *const words[] = {"reason", "note"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!has_text(review, words[i])) continue;
        buf_puts(b, "<br>");
        put_text(b, review, words[i]);
    }
    buf_puts(b, "</p></div>");
}

static void put_finding(struct buf *b, const json_t *f) {
    const char *status = word_of(f, "status", statuses, 4), *severity = word_of(f, "severity", severities, 3);
    buf_printf(b, "<article class=\"finding %s\" id=\"f-", status);
    put_text(b, f, "key");
    buf_puts(b, "\"><div class=\"head\"><span class=\"class\">");
    put_text(b, f, "class");
    buf_puts(b, "</span><span class=\"why\">");
    put_text(b, f, "why");
    buf_printf(b, "</span><span class=\"severity %s\" title=\"", severity);
    put_text(b, f, "severity_reason");
    buf_printf(b, "\">%s</span></div>\n<div class=\"sides\">", severity);
    put_side(b, json_object_get(f, "a"));
    put_side(b, json_object_get(f, "b"));
    buf_puts(b, "</div>");
    const json_t *by = json_object_get(f, "by");
    if (json_is_object(by)) {
        buf_printf(b, "<div class=\"by\"><p><b>%s</b></p>",
                   strcmp(status, "superseded") == 0 ? "Replaced by"
                   : strcmp(status, "resolved") == 0 ? "Settled by"
                                                     : "See also");
        put_where(b, by);
        buf_puts(b, "<blockquote>");
        put_quote(b, by);
        buf_puts(b, "</blockquote></div>");
    }
    put_review(b, json_object_get(f, "review"));
    buf_puts(b, "<div class=\"foot\">");
    if (severity[0]) {
        buf_printf(b, "Severity %s", severity);
        if (has_text(f, "severity_reason")) buf_puts(b, ": ");
        put_text(b, f, "severity_reason");
        buf_puts(b, " · ");
    }
    const json_t *judged = json_object_get(f, "judged");
    if (json_is_object(judged))
        buf_printf(b, "judged by the model, both orders: %.2f and %.2f · ",
                   json_number_value(json_object_get(judged, "a_b")),
                   json_number_value(json_object_get(judged, "b_a")));
    else
        buf_puts(b, "decided by rules · ");
    buf_puts(b, "key ");
    put_text(b, f, "key");
    buf_puts(b, "</div></article>\n");
}

struct group {
    const char *status, *id, *title, *says;
    bool possible;
};
static const struct group groups[] = {
    {"contradiction", "contradiction", "Contradictions", "Two statements about the same thing that cannot both hold.",
     false},
    {"uncertain", "uncertain", "Uncertain",
     "Candidates where the rules and the two readings of the model do not agree. Please look.", false},
    {"uncertain", "possible", "Possible", "Pairs that only the model proposes.", true},
    {"resolved", "resolved", "Resolved by precedence", "They differ, and the documents say which one prevails.", false},
    {"superseded", "superseded", "Superseded", "They differ because a later text replaced the earlier one.", false},
};
enum { N_GROUPS = sizeof groups / sizeof *groups };

static bool in_group(const json_t *f, const struct group *g) {
    return strcmp(word_of(f, "status", statuses, 4), g->status) == 0 &&
           json_is_true(json_object_get(f, "possible")) == g->possible;
}

static size_t group_size(const json_t *findings, const struct group *g) {
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(findings); i++) n += in_group(json_array_get(findings, i), g);
    return n;
}

static void put_coverage(struct buf *b, const json_t *c) {
    buf_puts(b, "<h2 id=\"coverage\">What was checked</h2><p class=\"group\">A report says what it looked at. What is "
                "not listed here was not looked at.</p><dl>");
    buf_puts(b, "<dt>Documents</dt><dd>");
    put_text(b, c, "documents");
    buf_puts(b, " read, ");
    put_text(b, c, "documents_failed");
    buf_puts(b, " could not be read</dd><dt>Tokens</dt><dd>");
    put_text(b, c, "tokens_read");
    buf_puts(b, " of ");
    put_text(b, c, "tokens_in_set");
    buf_puts(b, "</dd><dt>Statements</dt><dd>");
    put_text(b, c, "statements");
    buf_puts(b, " with ");
    put_text(b, c, "facts");
    buf_puts(b, " typed facts</dd><dt>Pages without text</dt><dd>");
    put_text(b, c, "pages_without_text");
    buf_puts(b, json_integer_value(json_object_get(c, "pages_without_text")) ? " (scans: not read)" : "");
    buf_puts(b, "</dd><dt>Pairs</dt><dd>");
    put_text(b, c, "pairs_proposed");
    buf_puts(b, " proposed, ");
    put_text(b, c, "pairs_judged");
    buf_puts(b, " judged by the model in both orders</dd><dt>Classes checked</dt><dd>");
    const json_t *classes = json_object_get(c, "classes_checked");
    for (size_t i = 0; i < json_array_size(classes); i++) {
        const json_t *k = json_array_get(classes, i);
        if (i) buf_puts(b, ", ");
        if (json_is_string(k)) escape(b, json_string_value(k), json_string_length(k));
    }
    buf_puts(b, "</dd><dt>Model</dt><dd>");
    put_text(b, c, "model");
    if (has_text(c, "kernel_path")) {
        buf_puts(b, " (");
        put_text(b, c, "kernel_path");
        buf_puts(b, ")");
    }
    buf_puts(b, "</dd></dl>");
    const json_t *read = json_object_get(c, "read"), *not_read = json_object_get(c, "not_read");
    if (json_array_size(read)) {
        buf_puts(b, "<div class=\"scroll\"><table><thead><tr><th>Document</th><th>Title</th><th "
                    "class=\"num\">Pages</th><th class=\"num\">Without text</th>"
                    "<th class=\"num\">Statements</th></tr></thead><tbody>");
        for (size_t i = 0; i < json_array_size(read); i++) {
            const json_t *d = json_array_get(read, i);
            buf_puts(b, "<tr><td>");
            put_text(b, d, "document");
            if (json_is_true(json_object_get(d, "duplicate"))) buf_puts(b, " (same bytes as another)");
            buf_puts(b, "</td><td>");
            put_text(b, d, "title");
            buf_puts(b, "</td><td class=\"num\">");
            put_text(b, d, "pages");
            buf_puts(b, "</td><td class=\"num\">");
            put_text(b, d, "pages_without_text");
            buf_puts(b, "</td><td class=\"num\">");
            put_text(b, d, "statements");
            buf_puts(b, "</td></tr>");
        }
        buf_puts(b, "</tbody></table></div>");
    }
    if (json_array_size(not_read)) {
        buf_puts(b, "<h2>Not read</h2><div "
                    "class=\"scroll\"><table><thead><tr><th>Document</th><th>Why</th></tr></thead><tbody>");
        for (size_t i = 0; i < json_array_size(not_read); i++) {
            buf_puts(b, "<tr><td>");
            put_text(b, json_array_get(not_read, i), "document");
            buf_puts(b, "</td><td>");
            put_text(b, json_array_get(not_read, i), "reason");
            buf_puts(b, "</td></tr>");
        }
        buf_puts(b, "</tbody></table></div>");
    }
}

int analysis_report_html(struct slice json, struct arena *a, struct slice *html, struct error *e) {
    *html = (struct slice){0};
    json_error_t je;
    json_t *j = json_loadb(json.data ? json.data : "", json.len, 0, &je);
    if (!json_is_object(j) || !json_is_array(json_object_get(j, "findings"))) {
        json_decref(j);
        return error_set(e, ERR_FORMAT, "", "This is not a contradiction report: %s.",
                         j ? "it has no findings" : je.text);
    }
    const json_t *findings = json_object_get(j, "findings"), *coverage = json_object_get(j, "coverage");
    struct buf b = {0};
    buf_puts(&b, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                 "content=\"width=device-width,initial-scale=1\">"
                 "<title>Contradiction report</title><style>");
    buf_puts(&b, STYLE);
    buf_puts(&b, "</style></head><body><main><h1>Contradiction report</h1><p class=\"lede\">Each finding shows both "
                 "statements whole, as they stand in the "
                 "documents, with the words that conflict marked. Every quote was checked word for word.</p><nav "
                 "class=\"counts\">");
    for (int g = 0; g < N_GROUPS; g++) {
        size_t n = group_size(findings, &groups[g]);
        if (groups[g].possible && !n) continue;
        buf_printf(&b, "<a class=\"count %s\" href=\"#%s\"><b>%zu</b><span>%s</span></a>", groups[g].id,
                   n ? groups[g].id : "coverage", n, groups[g].title);
    }
    buf_puts(&b, "</nav>\n");
    if (json_array_size(findings) == 0)
        buf_puts(&b, "<p class=\"empty\">Nothing was found by the classes of checks listed below, in the documents "
                     "listed below. Conflicts of other kinds, and "
                     "anything on pages that could not be read, may still be there.</p>");
    for (int g = 0; g < N_GROUPS; g++) {
        size_t n = group_size(findings, &groups[g]);
        if (!n) continue;
        buf_printf(&b, "<section id=\"%s\"><h2>%s <span class=\"n\">%zu</span></h2><p class=\"group\">%s</p>\n",
                   groups[g].id, groups[g].title, n, groups[g].says);
        for (size_t i = 0; i < json_array_size(findings); i++)
            if (in_group(json_array_get(findings, i), &groups[g])) put_finding(&b, json_array_get(findings, i));
        buf_puts(&b, "</section>\n");
    }
    put_coverage(&b, coverage);
    buf_puts(&b, "</main></body></html>\n");
    if (!b.failed) *html = arena_slice(a, buf_slice(&b));
    buf_free(&b);
    json_decref(j);
    return html->data ? 0 : error_set(e, ERR_NOMEM, "", "There is not enough memory for the report's page.");
}
