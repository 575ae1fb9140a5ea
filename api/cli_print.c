/* cli_print.c: answers, reports and progress for people. Foreign text goes out without its control characters: a
 * document must not be able to steer a terminal. */
#include "api/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR 24
#define PROGRESS_S 0.1 /* the bar is drawn at most this often */

/* ---- progress ---- */
static struct {
    bool drawn;
    double at;
    char what[80];
} progress;

void cli_progress(const struct cli *c, const char *what, uint64_t done, uint64_t total) {
    if (c->quiet) return;
    double now = clock_seconds();
    bool other = strcmp(what, progress.what) != 0;
    if (!isatty(STDERR_FILENO)) { /* a line a stage that has something to count; "3 of 8, index" is for the bar */
        if (other && total > 1 && strchr(what, ' ') == NULL)
            fprintf(stderr, "antinomy: %s (%llu)\n", what, (unsigned long long)total);
        snprintf(progress.what, sizeof progress.what, "%s", what);
        return;
    }
    if (!other && done != total && now - progress.at < PROGRESS_S) return;
    snprintf(progress.what, sizeof progress.what, "%s", what);
    progress.at = now;
    if (total > 0) {
        char bar[BAR + 1];
        uint64_t filled = done >= total ? BAR : done * BAR / total;
        memset(bar, ' ', BAR);
        memset(bar, '=', filled);
        bar[BAR] = '\0';
        fprintf(stderr, "\r\033[K[%s] %3.0f %%  %s", bar, (double)(done > total ? total : done) * 100.0 / (double)total,
                what);
    } else {
        fprintf(stderr, "\r\033[K%s ...", what);
    }
    fflush(stderr);
    progress.drawn = true;
}

void cli_progress_end(const struct cli *c) {
    (void)c;
    if (progress.drawn) fprintf(stderr, "\r\033[K");
    fflush(stderr);
    progress.drawn = false;
    progress.what[0] = '\0';
}

/* ---- text ---- */
static bool printable(uint32_t cp) {
    return cp >= 0x20 && !(cp >= 0x7f && cp < 0xa0) && !(cp >= 0x202a && cp <= 0x202e) &&
           !(cp >= 0x2066 && cp <= 0x2069);
}

void cli_put(FILE *f, const char *s) {
    size_t len = s != NULL ? strlen(s) : 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        int n = utf8_decode(s + i, len - i, &cp);
        if (n <= 0) {
            fputc('?', f);
            i++;
            continue;
        }
        if (printable(cp))
            fwrite(s + i, 1, (size_t)n, f);
        else
            fputc(' ', f);
        i += (size_t)n;
    }
}

static bool marked_at(const json_t *marks, int64_t at) {
    for (size_t i = 0; i < json_array_size(marks); i++) {
        const json_t *m = json_array_get(marks, i);
        if (at >= json_integer_value(json_object_get(m, "start")) && at < json_integer_value(json_object_get(m, "end")))
            return true;
    }
    return false;
}

/* offset: the document's character that text's first character is; marks are in the document's characters. */
void cli_print_marked(FILE *f, bool terminal, const char *indent, struct slice text, const json_t *marks,
                      int64_t offset) {
    bool on = false, space = false, start = true;
    fputs(indent, f);
    int64_t at = offset;
    for (size_t i = 0; i < text.len; at++) {
        uint32_t cp;
        int n = utf8_decode(text.data + i, text.len - i, &cp);
        if (n <= 0) n = 1, cp = '?';
        bool blank = cp == ' ' || cp == '\n' || cp == '\t' || !printable(cp);
        bool want = marked_at(marks, at);
        if (on && !want) fputs(terminal ? "\033[22m" : "»", f);
        if (on && !want) on = false;
        if (blank) {
            space = !start;
        } else {
            if (space) fputc(' ', f);
            space = start = false;
            if (want && !on) fputs(terminal ? "\033[1m" : "«", f);
            on = want;
            fwrite(text.data + i, 1, (size_t)n, f);
        }
        i += (size_t)n;
    }
    if (on) fputs(terminal ? "\033[22m" : "»", f);
    fputc('\n', f);
}

static bool bold(void) {
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

static const char *text_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? s : "";
}

static long long number_of(const json_t *o, const char *key) {
    return json_integer_value(json_object_get(o, key));
}

/* ---- JSON and errors ---- */
void cli_print_json(const json_t *o) {
    char *text = json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    puts(text != NULL ? text : "{}");
    free(text);
}

int cli_fail(const struct cli *c, const struct error *e) {
    cli_progress_end(c);
    fprintf(stderr, "antinomy: ");
    if (e->where[0] != '\0') {
        cli_put(stderr, e->where);
        fprintf(stderr, ": ");
    }
    cli_put(stderr, e->message);
    fprintf(stderr, "\n");
    if (c->json) {
        json_t *o = json_pack("{s:o}", "error", api_error_json(e));
        cli_print_json(o);
        json_decref(o);
    }
    return EXIT_FAILED;
}

void cli_print_error(const char *subject, const json_t *error) {
    const char *where = text_of(error, "where");
    cli_put(stderr, subject);
    fprintf(stderr, ": ");
    cli_put(stderr, text_of(error, "message"));
    if (where[0] != '\0' && strcmp(where, subject) != 0) {
        fprintf(stderr, " [");
        cli_put(stderr, where);
        fprintf(stderr, "]");
    }
    fprintf(stderr, " (%s)\n", text_of(error, "code"));
}

/* ---- places ---- */
static void print_place(const json_t *c) {
    const char *label = text_of(c, "page_label"), *section = text_of(c, "section");
    cli_put(stdout, text_of(c, "document"));
    if (label[0] != '\0') {
        printf(text_of(c, "cell")[0] != '\0' || strchr(label, ' ') ? ", " : ", page "); /* "slide 3" says it itself */
        cli_put(stdout, label);
    } else if (number_of(c, "page") > 0) {
        printf(", page %lld", number_of(c, "page"));
    }
    if (section[0] != '\0' &&
        strcmp(section, text_of(c, "sheet")) != 0) { /* a sheet's name stands in the cell's place */
        printf(", section ");
        cli_put(stdout, section);
    }
    printf("\n");
}

/* The quote is the statement, behind its lead-in and a space if it has one, a table's row behind its header on a line
 * of its own; marks are ranges of the document. */
static void print_quote(const json_t *c, const char *indent) {
    const json_t *jq = json_object_get(c, "quote"), *marks = json_object_get(c, "marks");
    struct slice quote = {json_string_value(jq) != NULL ? json_string_value(jq) : "", json_string_length(jq)};
    int64_t own = number_of(c, "end") - number_of(c, "start"), all = (int64_t)utf8_count(quote.data, quote.len);
    int64_t offset = number_of(c, "start") - (all - own);
    size_t lead = utf8_offset(quote.data, quote.len, all - own);
    for (const char *end; lead > 0 && (end = memchr(quote.data, '\n', lead)) != NULL;) { /* the header, line by line */
        struct slice line = {quote.data, (size_t)(end - quote.data)};
        cli_print_marked(stdout, bold(), indent, line, marks, offset);
        offset += (int64_t)utf8_count(line.data, line.len) + 1;
        quote = (struct slice){end + 1, quote.len - line.len - 1};
        lead -= line.len + 1;
    }
    cli_print_marked(stdout, bold(), indent, quote, marks, offset);
}

static void print_citation(const json_t *c, size_t n) {
    const json_t *place;
    size_t i;
    printf("[%zu] ", n);
    print_place(c);
    print_quote(c, "    ");
    json_array_foreach(json_object_get(c, "also"), i, place) {
        printf("    also in ");
        print_place(place);
    }
}

static void print_coverage(const json_t *o) {
    const json_t *v = json_object_get(o, "coverage"), *n;
    size_t i;
    if (!json_is_object(v)) return;
    long long in_set = number_of(v, "tokens_in_set"), read = number_of(v, "tokens_read"),
              documents = number_of(v, "documents");
    const char *chosen = text_of(v, "chosen_by");
    if (strcmp(text_of(o, "model"), "none") == 0 && read == 0)
        printf("Searched: %lld tokens, %lld document%s; no model read them", in_set, documents,
               documents == 1 ? "" : "s");
    else
        printf("Read: %lld of %lld tokens%s, %lld document%s", read, in_set,
               strcmp(chosen, "whole_set") == 0 ? " (the whole set)"
               : strcmp(chosen, "search") == 0  ? " (chosen by search)"
                                                : "",
               documents, documents == 1 ? "" : "s");
    if (number_of(v, "pages_without_text") > 0)
        printf("; %lld pages without text not read", number_of(v, "pages_without_text"));
    printf(".\n");
    const json_t *classes = json_object_get(v, "classes_checked");
    if (json_is_array(classes)) { /* "none found" says what was looked for */
        printf("Checked: ");
        json_array_foreach(classes, i, n) {
            printf("%s", i > 0 ? ", " : "");
            cli_put(stdout, json_string_value(n));
        }
        printf("; %lld pairs about the same thing, %lld judged by the model.\n", number_of(v, "pairs_proposed"),
               number_of(v, "pairs_judged"));
    }
    json_array_foreach(json_object_get(v, "not_read"), i, n) {
        printf("Not read: ");
        cli_put(stdout, text_of(n, "document"));
        printf(": ");
        cli_put(stdout, text_of(n, "reason"));
        printf("\n");
    }
}

void cli_print_answer(const json_t *o) {
    const char *status = text_of(o, "status"), *answer = text_of(o, "answer");
    const json_t *c;
    size_t i;
    bool none = strcmp(status, "not_in_documents") == 0;
    if (strcmp(status, "documents_disagree") == 0) printf("The documents disagree.\n");
    if (none || strcmp(text_of(o, "answer_is"), "the_quote") != 0) {
        printf("%s", bold() ? "\033[1m" : "");
        cli_put(stdout, answer);
        printf("%s\n", bold() ? "\033[22m" : "");
    }
    if (json_array_size(json_object_get(o, "citations")) > 0) printf("\n");
    json_array_foreach(json_object_get(o, "citations"), i, c) print_citation(c, i + 1);
    const json_t *conflict = json_object_get(o, "conflict");
    if (text_of(conflict, "why")[0] != '\0') {
        printf("\n%s: ", text_of(conflict, "status"));
        cli_put(stdout, text_of(conflict, "why"));
        printf("\n");
        if (json_is_object(json_object_get(conflict, "by"))) print_citation(json_object_get(conflict, "by"), i + 1);
    }
    if (none && json_array_size(json_object_get(o, "nearest")) > 0) {
        printf("\nThe nearest passages:\n");
        json_array_foreach(json_object_get(o, "nearest"), i, c) print_citation(c, i + 1);
    }
    printf("\n");
    print_coverage(o);
    if (text_of(o, "note")[0] != '\0') printf("%s\n", text_of(o, "note"));
    const json_t *r = json_object_get(o, "reading"), *t = json_object_get(json_object_get(o, "timings"), "total");
    if (number_of(r, "restored") + number_of(r, "newly_read") == 0) r = NULL;
    if (json_is_object(r))
        printf("Reading: %lld tokens restored, %lld newly read", number_of(r, "restored"), number_of(r, "newly_read"));
    if (json_is_object(r) && json_is_number(t)) printf("; %.1f s", json_number_value(t));
    if (json_is_object(r)) printf(".\n");
}

void cli_print_report(const json_t *o) {
    static const char *const order[] = {"contradiction", "uncertain", "resolved", "superseded"};
    const json_t *f, *list = json_object_get(o, "findings");
    size_t i, n = 0;
    printf("%zu finding%s", json_array_size(list), json_array_size(list) == 1 ? "" : "s");
    for (size_t k = 0; k < 4; k++) {
        size_t count = 0;
        json_array_foreach(list, i, f) count += strcmp(text_of(f, "status"), order[k]) == 0;
        if (count > 0) printf("%s %zu %s", n++ == 0 ? ":" : ",", count, order[k]);
    }
    printf("\n");
    n = 0;
    for (size_t k = 0; k < 4; k++) json_array_foreach(list, i, f) {
            if (strcmp(text_of(f, "status"), order[k]) != 0) continue;
            const char *severity = text_of(f, "severity");
            printf("\n%zu. %s, %s%s%s\n", ++n, order[k], text_of(f, "class"), severity[0] != '\0' ? ", severity " : "",
                   severity);
            const json_t *review = json_object_get(f, "review");
            const char *state = text_of(review, "state");
            if (state[0] != '\0' && strcmp(state, "new") != 0) {
                printf("   reviewed: %s%s", strcmp(state, "needs_review") == 0 ? "needs review" : state,
                       text_of(review, "reason")[0] != '\0' ? ": " : "");
                cli_put(stdout, text_of(review, "reason"));
                printf("\n");
            }
            printf("   ");
            cli_put(stdout, text_of(f, "why"));
            printf("\n   ");
            print_place(json_object_get(f, "a"));
            print_quote(json_object_get(f, "a"), "      ");
            printf("   ");
            print_place(json_object_get(f, "b"));
            print_quote(json_object_get(f, "b"), "      ");
            if (json_is_object(json_object_get(f, "by"))) {
                printf("   by ");
                print_place(json_object_get(f, "by"));
                print_quote(json_object_get(f, "by"), "      ");
            }
        }
    printf("\n");
    print_coverage(o);
}
