/* score.c: a contradiction report against a gold list of planted pairs and look-alikes: per class found, missed, false, uncertain; one column
 * a report. `make demo` runs it on the sample set; any set with a gold.json of the same form can be scored.
 *
 *     score GOLD.json NAME=REPORT.json [NAME=REPORT.json ...]
 *
 * A finding is a planted pair when the quote of one side holds the planted words of one, and the other's the other's, in the named documents. found: with
 * the planted status. uncertain: found, but with status "uncertain". missed: not found, or with another status. false: findings of status
 * "contradiction" that were not planted. Other findings that were not planted (superseded, resolved, uncertain) are listed, not counted as false.
 */
#include "base.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* White space folded, so that a line break in a quote does not hide the words. */
static char *folded(const char *s) {
    char *out = malloc(strlen(s) + 1), *p = out;
    if (!out) exit(1);
    for (; *s; s++) {
        bool space = *s == ' ' || *s == '\n' || *s == '\t' || *s == '\r';
        if (space && (p == out || p[-1] == ' ')) continue;
        *p++ = space ? ' ' : *s;
    }
    *p = 0;
    return out;
}

static bool side_is(const json_t *side, const json_t *planted) {
    char *quote = folded(text(side, "quote")), *words = folded(text(planted, "words"));
    bool is = strcmp(text(side, "document"), text(planted, "document")) == 0 && strstr(quote, words);
    free(quote);
    free(words);
    return is;
}

static bool pair_is(const json_t *finding, const json_t *planted) {
    const json_t *a = json_object_get(finding, "a"), *b = json_object_get(finding, "b");
    const json_t *pa = json_object_get(planted, "a"), *pb = json_object_get(planted, "b");
    return (side_is(a, pa) && side_is(b, pb)) || (side_is(a, pb) && side_is(b, pa));
}

struct count {
    const char *class;
    int planted, found[4], uncertain[4], missed[4], wrong[4];
};
static struct count counts[32];
static size_t n_counts;
static struct count *count_of(const char *class) {
    for (size_t i = 0; i < n_counts; i++)
        if (strcmp(counts[i].class, class) == 0) return &counts[i];
    if (n_counts == sizeof counts / sizeof counts[0]) {
        fprintf(stderr, "more classes than expected\n");
        exit(1);
    }
    counts[n_counts].class = strdup(class); /* outlives the report it was read from */
    return &counts[n_counts++];
}

static void show(const char *what, const json_t *a, const json_t *b, const char *key) {
    printf("  %-10s %s: %.70s | %s: %.70s\n", what, text(a, "document"), text(a, key), text(b, "document"), text(b, key));
}

int main(int argc, char **argv) {
    json_error_t je;
    const char *names[4] = {0};
    int n_reports = argc - 2, look_hit[4] = {0}, other[4] = {0};
    if (n_reports < 1 || n_reports > 4) {
        fprintf(stderr, "usage: score GOLD.json NAME=REPORT.json [NAME=REPORT.json ...]\n");
        return 2;
    }
    json_t *gold = json_load_file(argv[1], JSON_REJECT_DUPLICATES, &je);
    if (!gold) {
        fprintf(stderr, "%s: %s\n", argv[1], je.text);
        return 1;
    }
    const json_t *planted = json_object_get(gold, "planted"), *looks = json_object_get(gold, "lookalikes");
    size_t i, k;
    json_t *p, *f;
    json_array_foreach(planted, i, p) count_of(strcmp(text(p, "status"), "contradiction") ? text(p, "status") : text(p, "class"))->planted++;
    for (int r = 0; r < n_reports; r++) {
        char *eq = strchr(argv[r + 2], '=');
        if (!eq) {
            fprintf(stderr, "a report is given as NAME=FILE\n");
            return 2;
        }
        *eq = 0;
        names[r] = argv[r + 2];
        json_t *report = json_load_file(eq + 1, JSON_REJECT_DUPLICATES, &je);
        const json_t *findings = json_object_get(report, "findings");
        if (!json_is_array(findings)) {
            fprintf(stderr, "%s: %s\n", eq + 1, report ? "no findings in it" : je.text);
            return 1;
        }
        size_t n = json_array_size(findings);
        bool *used = calloc(n + 1, sizeof *used);
        printf("%s:\n", names[r]);
        json_array_foreach(planted, i, p) {
            const char *want = text(p, "status"), *got = NULL;
            struct count *c = count_of(strcmp(want, "contradiction") ? want : text(p, "class"));
            json_array_foreach(findings, k, f) {
                if (!pair_is(f, p)) continue;
                used[k] = true;
                if (!got || strcmp(text(f, "status"), want) == 0) got = text(f, "status");
            }
            if (got && strcmp(got, want) == 0)
                c->found[r]++;
            else if (got && strcmp(got, "uncertain") == 0)
                c->uncertain[r]++;
            else
                c->missed[r]++;
            if (!got || strcmp(got, want)) show(got ? got : "missed", json_object_get(p, "a"), json_object_get(p, "b"), "words");
        }
        json_array_foreach(findings, k, f) {
            if (used[k]) continue;
            bool contradiction = strcmp(text(f, "status"), "contradiction") == 0;
            if (contradiction) {
                count_of(text(f, "class"))->wrong[r]++;
                show("false", json_object_get(f, "a"), json_object_get(f, "b"), "quote");
            } else {
                other[r]++;
            }
            json_array_foreach(looks, i, p) if (contradiction && pair_is(f, p)) {
                look_hit[r]++;
                break;
            }
        }
        free(used);
        json_decref(report);
    }
    printf("\n%-12s %8s", "class", "planted");
    for (int r = 0; r < n_reports; r++) printf(" | %-31s", names[r]);
    printf("\n%-12s %8s", "", "");
    for (int r = 0; r < n_reports; r++) printf(" | found missed false uncertain  ");
    struct count sum = {.class = "all"};
    for (i = 0; i <= n_counts; i++) {
        struct count *c = i < n_counts ? &counts[i] : &sum;
        printf("\n%-12s %8d", c->class, c->planted);
        for (int r = 0; r < n_reports; r++) {
            printf(" | %5d %6d %5d %9d  ", c->found[r], c->missed[r], c->wrong[r], c->uncertain[r]);
            sum.found[r] += c->found[r], sum.missed[r] += c->missed[r], sum.wrong[r] += c->wrong[r], sum.uncertain[r] += c->uncertain[r];
        }
        sum.planted += c->planted;
    }
    printf("\nlook-alikes %zu, reported as contradictions:", json_array_size(looks));
    for (int r = 0; r < n_reports; r++) printf(" %s %d;", names[r], look_hit[r]);
    printf(" other findings that were not planted (superseded, resolved, uncertain):");
    for (int r = 0; r < n_reports; r++) printf(" %s %d%s", names[r], other[r], r + 1 < n_reports ? ";" : "\n");
    json_decref(gold);
    return 0;
}
