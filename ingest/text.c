/* text.c: plain text -> paragraphs. Owns the question of which lines belong together: hard-wrapped lines are joined,
 * lists and short lines (addresses, signatures) stay apart, tables drawn with spaces stay line by line. Form feeds, and
 * the <PAGE> lines of EDGAR filings (SEC, EDGAR Filer Manual, "ASCII document tags"), are page breaks. Headings and
 * numbers are structure.c's business, except titles underlined with a row of '=' or '-'. Refuses nothing. */
#include "ingest/reader.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WIDE_LINE = 60 }; /* no title is longer */

struct line {
    struct slice s; /* without white space at its ends */
    size_t indent;  /* columns before it */
    size_t width;   /* code points, indent included */
    bool page;      /* a page begins before it */
    bool gapped;    /* columns: runs of 3 or more spaces, or tabs, inside */
    bool drawn;     /* a rule or frame: only -=_+|. and spaces */
    bool table;     /* between <TABLE> and </TABLE> */
};

/* ---- marks ---- */
static bool roman(struct slice s) {
    if (s.len == 0 || s.len > 6) return false;
    bool lower = islower((unsigned char)s.data[0]) != 0;
    for (size_t i = 0; i < s.len; i++)
        if (!strchr(lower ? "ivxlc" : "IVXLC", s.data[i]) || !s.data[i]) return false;
    return true;
}

size_t list_mark(struct slice s) {
    size_t n = 0;
    if (s.len == 0) return 0;
    unsigned char c = (unsigned char)s.data[0];
    if (c == '-' || c == '*' || c == '+') {
        n = 1;
    } else if (c >= 0xc2) {
        static const char *const bullets[] = {"\xe2\x80\xa2", "\xe2\x97\xa6", "\xe2\x96\xaa", "\xe2\x80\xa3",
                                              "\xc2\xb7",     "\xe2\x96\xa0", "\xe2\x97\x8f", "\xe2\x97\x8b",
                                              "\xe2\x80\x93", "\xe2\x80\x94", "\xe2\x9e\xa2", "\xef\x82\xb7"};
        for (size_t i = 0; i < sizeof bullets / sizeof *bullets; i++)
            if (slice_starts_with(s, slice_of(bullets[i]))) n = strlen(bullets[i]);
    } else if (c == '(') {
        size_t i = 1;
        while (i < s.len && i < 7 && isalnum((unsigned char)s.data[i])) i++;
        struct slice in = {s.data + 1, i - 1};
        bool number = i > 1 && isdigit((unsigned char)s.data[1]);
        for (size_t j = 0; j < in.len && number; j++) number = isdigit((unsigned char)in.data[j]) != 0;
        bool same = in.len == 2 && in.data[0] == in.data[1]; /* (aa) */
        if (i < s.len && s.data[i] == ')' && ((number && in.len <= 3) || in.len == 1 || same || roman(in))) n = i + 1;
    } else if (isdigit(c)) {
        size_t i = 0, dots = 0;
        for (;;) {
            size_t from = i;
            while (i < s.len && i - from < 3 && isdigit((unsigned char)s.data[i])) i++;
            if (i == from) break;
            if (i + 1 < s.len && s.data[i] == '.' && isdigit((unsigned char)s.data[i + 1])) {
                i++, dots++;
                continue;
            }
            if (i < s.len && (s.data[i] == '.' || s.data[i] == ')')) i++, dots++;
            break;
        }
        if (dots) n = i;
    } else if (isalpha(c)) {
        size_t i = 0;
        while (i < s.len && i < 6 && isalpha((unsigned char)s.data[i])) i++;
        if (i < s.len && (s.data[i] == '.' || s.data[i] == ')') && (i == 1 || roman((struct slice){s.data, i})))
            n = i + 1;
        if (i == 1 && n == 2 && s.data[1] == '.' && n < s.len &&
            isdigit((unsigned char)s.data[n])) { /* "B.7", "A.1.2" */
            while (n < s.len && (isdigit((unsigned char)s.data[n]) ||
                                 (s.data[n] == '.' && n + 1 < s.len && isdigit((unsigned char)s.data[n + 1]))))
                n++;
            if (n < s.len && s.data[n] == '.') n++;
        }
    }
    return n && n < s.len && (s.data[n] == ' ' || s.data[n] == '\t') ? n : 0;
}

static bool ends_sentence(struct slice s) {
    while (s.len && strchr("\"')]", s.data[s.len - 1])) s.len--;
    if (s.len >= 3 && !memcmp(s.data + s.len - 3, "\xe2\x80\x9d", 3)) s.len -= 3; /* closing quotation mark */
    return s.len && strchr(".;:?!", s.data[s.len - 1]) != NULL;
}

static bool starts_lower(struct slice s) {
    return s.len && islower((unsigned char)s.data[0]);
}

/* "12", "- 12 -", "Page 3 of 9", "iv", "A-12": what stands alone beside a page break. */
static bool page_number_line(struct slice s) {
    if (s.len == 0 || s.len > 24) return false;
    bool digit = false;
    size_t letters = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (isdigit(c))
            digit = true;
        else if (isalpha(c))
            letters++;
        else if (!strchr(" -./", c))
            return false;
    }
    if (roman(s)) return true;
    if (!digit) return false;
    if (letters == 0) return true;
    if (s.len >= 4 && !strncasecmp(s.data, "page", 4)) return true;
    return letters == 1 && s.len <= 6; /* */
}

/* ---- lines ---- */
static void measure(struct line *l, struct slice raw) {
    size_t i = 0, column = 0;
    while (i < raw.len && (raw.data[i] == ' ' || raw.data[i] == '\t')) {
        column = raw.data[i] == '\t' ? (column / 8 + 1) * 8 : column + 1;
        i++;
    }
    l->s = slice_trim(raw);
    l->indent = column;
    l->width = column + utf8_count(l->s.data, l->s.len);
    l->drawn = l->s.len >= 3;
    size_t run = 0, mark = list_mark(l->s);
    for (size_t j = 0; j < l->s.len; j++) {
        char c = l->s.data[j];
        if (!strchr("-=_+|. ", c) || !c) l->drawn = false;
        if (c == ' ' || c == '\t') {
            run += c == '\t' ? 3 : 1;
        } else {
            if (run >= 3 && j - run > mark) l->gapped = true;
            run = 0;
        }
    }
}

/* Lines of EDGAR's own markup: passed over. */
static bool edgar_tag(struct slice s, struct line *next, bool *table) {
    if (s.len < 3 || s.data[0] != '<') return false;
    if (!strncasecmp(s.data, "<PAGE>", s.len < 6 ? s.len : 6) && s.len >= 6 && s.len < 16) {
        next->page = true;
        return true;
    }
    if (slice_equal_nocase(s, SLICE_LITERAL("<TABLE>"))) return *table = true;
    if (slice_equal_nocase(s, SLICE_LITERAL("</TABLE>"))) {
        *table = false;
        return true;
    }
    if (slice_equal_nocase(s, SLICE_LITERAL("<CAPTION>"))) return true;
    if (!*table || s.len < 3 || strncasecmp(s.data, "<S>", 3)) return false;
    for (size_t i = 0; i < s.len; i++) /* "<S>   <C>   <C>" marks columns; "<S> text" is a row */
        if (!strchr(" \t<>SC", s.data[i])) return false;
    return true;
}

static int split_lines(struct writer *w, struct slice t, struct line **out, size_t *n_out) {
    struct line *lines = NULL, next = {.page = false};
    size_t n = 0, cap = 0, i = 0;
    bool table = false;
    while (i <= t.len) {
        size_t end = i;
        while (end < t.len && t.data[end] != '\n' && t.data[end] != '\r' && t.data[end] != '\f') end++;
        struct slice raw = {t.data + i, end - i};
        bool feed = end < t.len && t.data[end] == '\f';
        i = end + 1;
        if (end + 1 < t.len && t.data[end] == '\r' && t.data[end + 1] == '\n') i++;
        if (!edgar_tag(slice_trim(raw), &next, &table) && !(feed && slice_trim(raw).len == 0)) {
            if (array_grow((void **)&lines, &cap, n + 1, sizeof *lines, w->e)) {
                free(lines);
                return writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading the text");
            }
            measure(&next, raw);
            next.table = table;
            lines[n++] = next;
            next = (struct line){.page = false};
        }
        if (feed) next.page = true;
    }
    *out = lines;
    *n_out = n;
    return 0;
}

/* Takes page numbers off beside page breaks: the last line before and the first line behind one. */
static void drop_page_numbers(struct line *lines, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (!lines[i].page) continue;
        size_t j = i;
        while (j > 0 && lines[j - 1].s.len == 0 && !lines[j - 1].page) j--;
        if (j > 0 && page_number_line(lines[j - 1].s)) lines[j - 1].s.len = 0;
        j = i;
        while (j < n && lines[j].s.len == 0) j++;
        if (j < n && page_number_line(lines[j].s)) lines[j].s.len = 0;
    }
    size_t last = n;
    while (last > 0 && lines[last - 1].s.len == 0) last--;
    bool paged = false;
    for (size_t i = 0; i < n; i++) paged = paged || lines[i].page;
    if (paged && last > 0 && page_number_line(lines[last - 1].s)) lines[last - 1].s.len = 0;
}

static int ascending(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* The column at which the text was wrapped: nine tenths of the lines that have a line below are no longer. 0: not
 * wrapped (a line is a paragraph): the longest lines of wrapped text are alike, those of paragraphs are not, and few
 * editors wrap beyond 140. */
static size_t wrap_width(const struct line *lines, size_t n) {
    size_t *widths = malloc((n + 1) * sizeof *widths), m = 0, result = 0;
    if (!widths) return 0;
    for (size_t i = 0; i + 1 < n; i++)
        if (lines[i].s.len && lines[i + 1].s.len && !lines[i].gapped && !lines[i].drawn) widths[m++] = lines[i].width;
    if (m >= 2) {
        qsort(widths, m, sizeof *widths, ascending);
        result = widths[m * 9 / 10];
        if (result > 140 || result < 20) result = 0;
    }
    free(widths);
    return result;
}

static size_t first_word(struct slice s) {
    size_t i = 0;
    while (i < s.len && s.data[i] != ' ' && s.data[i] != '\t') i++;
    return utf8_count(s.data, i);
}

/* Every word of four letters or more begins with a capital. */
static bool title_case(struct slice s) {
    for (size_t i = 0; i < s.len;) {
        size_t from = i;
        while (i < s.len && isalpha((unsigned char)s.data[i])) i++;
        if (i - from >= 4 && islower((unsigned char)s.data[from])) return false;
        if (i == from) i++;
    }
    return true;
}

/* Wrapped too, but wider than wrap_width() believes or without a margin (a page copied out of a browser): most of the
 * long lines that have a line below break off in the middle of a sentence. */
static bool wrapped_wide(const struct line *lines, size_t n) {
    size_t whole = 0, broken = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        if (lines[i].width <= WIDE_LINE || !lines[i + 1].s.len || lines[i].gapped || lines[i].drawn) continue;
        if (ends_sentence(lines[i].s))
            whole++;
        else
            broken++;
    }
    return broken >= 4 && broken > whole;
}

struct joining {
    size_t wrap;  /* of the document */
    bool wide;    /* wrap is 0, yet lines are not paragraphs */
    size_t group; /* widest line between blank lines */
};

/* A line that ends with a word that asks for another one ("received by the Trustee and", "under this") ends no
 * paragraph, however long the lines are. */
static bool ends_open(struct slice s) {
    size_t i = s.len, opened = 0;
    for (size_t k = 0; k + 3 <= s.len; k++) { /* a term in quotation marks is not cut */
        if (!memcmp(s.data + k, "\xe2\x80\x9c", 3)) opened++;
        if (!memcmp(s.data + k, "\xe2\x80\x9d", 3) && opened) opened--;
    }
    if (opened && s.len <= 200) return true;
    while (i > 0 && isalpha((unsigned char)s.data[i - 1])) i--;
    if (i == 0 || s.data[i - 1] != ' ') return false; /* the whole line is one word, or part of one */
    struct slice word = {s.data + i, s.len - i};
    static const char *const words[] = {"a",     "an",   "and",  "any",  "at",     "by",    "for",   "from", "in",
                                        "its",   "nor",  "not",  "of",   "or",     "shall", "such",  "than", "that",
                                        "the",   "this", "to",   "upon", "with",   "which", "whose", "each", "under",
                                        "their", "must", "will", "into", "unless", "if"};
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (slice_equal(word, slice_of(words[k]))) return true;
    return false;
}

/* Does line b carry on the paragraph of line a? They stand without a blank line between them. */
static bool continues(const struct line *a, const struct line *b, struct joining j) {
    if (ends_open(a->s) && !list_mark(b->s)) return true;
    if (j.wrap == 0)
        return !ends_sentence(a->s) && a->width > WIDE_LINE && (j.wide || starts_lower(b->s)) && !list_mark(b->s);
    size_t need = a->width + 1 + first_word(b->s);
    bool full = need * 100 > j.wrap * 93 || (j.group * 10 >= j.wrap * 6 && need * 100 > j.group * 97);
    if (list_mark(b->s) && (ends_sentence(a->s) || !full)) return false;
    if (full) return true;
    if (ends_sentence(a->s)) return false;
    if (starts_lower(b->s)) return true;
    /* a line cut short by a lost first-line indent, before a long one or the sentence's end; headings are capitalised
     * all through */
    return a->width * 100 >= j.wrap * 45 && !title_case(a->s) &&
           (b->width * 100 >= j.wrap * 80 || (ends_sentence(b->s) && b->s.len > 20));
}

static bool underline(struct slice s, char *c) {
    if (s.len < 3 || (s.data[0] != '=' && s.data[0] != '-' && s.data[0] != '~')) return false;
    for (size_t i = 1; i < s.len; i++)
        if (s.data[i] != s.data[0]) return false;
    *c = s.data[0];
    return true;
}

/* A run of lines is a table or form when most of its lines have columns; a single line when its neighbours over blank
 * lines do too. */
static bool is_pre(const struct line *lines, size_t from, size_t end) {
    size_t gapped = 0, drawn = 0, table = 0, n = end - from;
    for (size_t i = from; i < end; i++) {
        gapped += lines[i].gapped;
        drawn += lines[i].drawn;
        table += lines[i].table;
    }
    if (table == n) return gapped > 0 || n > 1;
    return n >= 2 && gapped >= 1 && (gapped + drawn) * 10 >= n * 6;
}

/* A line with columns alone between blank lines: a table's row when the next such line has columns too. */
static bool one_row_of_many(const struct line *lines, size_t n, size_t at) {
    size_t next = at + 1;
    while (next < n && lines[next].s.len == 0) next++;
    return next < n && next - at <= 3 && lines[next].gapped &&
           (next + 1 == n || lines[next + 1].s.len == 0 || lines[next + 1].gapped);
}

static void put_pre(struct writer *w, const struct line *lines, size_t from, size_t end) {
    writer_begin(w, INGEST_BLOCK_PRE, 0);
    for (size_t i = from; i < end && !w->code; i++) {
        static const char spaces[] = "                                                                                ";
        if (i > from) writer_text(w, SLICE_LITERAL("\n"));
        size_t indent = lines[i].indent < sizeof spaces ? lines[i].indent : sizeof spaces - 1;
        writer_text(w, (struct slice){spaces, indent});
        writer_text(w, lines[i].s);
    }
    writer_end(w);
}

int text_read(struct writer *w, struct slice utf8) {
    struct line *lines = NULL;
    size_t n = 0;
    if (split_lines(w, utf8, &lines, &n)) return w->code;
    drop_page_numbers(lines, n);
    struct joining j = {.wrap = wrap_width(lines, n)};
    j.wide = j.wrap == 0 && wrapped_wide(lines, n);
    bool paged = false;
    for (size_t k = 0; k < n; k++) paged = paged || lines[k].page;
    if (paged) writer_page(w, (struct slice){"", 0}, 0, 0);
    const struct line *last = NULL; /* of the open paragraph */
    for (size_t i = 0; i < n && !w->code;) {
        bool page = false;
        size_t from = i;
        while (from < n && lines[from].s.len == 0) page = page || lines[from].page, from++;
        if (from == n) break;
        size_t end = from;
        page = page || lines[from].page;
        while (end < n && lines[end].s.len && (end == from || !lines[end].page)) end++;
        j.group = 0;
        for (size_t k = from; k < end; k++)
            if (lines[k].width > j.group) j.group = lines[k].width;
        i = end;
        bool any = w->n_blocks > 0;
        char c;
        if (is_pre(lines, from, end) || (end - from == 1 && lines[from].gapped && one_row_of_many(lines, n, from))) {
            for (;;) { /* rows with blank lines between them are one table */
                size_t next = end, stop;
                while (next < n && lines[next].s.len == 0 && !lines[next].page) next++;
                if (next == n || lines[next].page || next - end > 2) break;
                for (stop = next; stop < n && lines[stop].s.len && (stop == next || !lines[stop].page);) stop++;
                if (!is_pre(lines, next, stop) && !(stop - next == 1 && lines[next].gapped)) break;
                end = stop;
            }
            i = end;
            if (w->in_block) writer_end(w);
            if (page && any) writer_page(w, (struct slice){"", 0}, 0, 0);
            put_pre(w, lines, from, end);
            last = NULL;
            continue;
        }
        /* over a blank line or page break a paragraph goes on only when nothing else is possible */
        bool goes_on = last && w->in_block && !ends_sentence(last->s) && starts_lower(lines[from].s) &&
                       !list_mark(lines[from].s) &&
                       (page || (j.wrap && (last->width + 1 + first_word(lines[from].s)) * 100 > j.wrap * 93));
        if (w->in_block && !goes_on) writer_end(w);
        if (page && any) writer_page(w, (struct slice){"", 0}, 0, 0);
        for (size_t k = from; k < end && !w->code; k++) {
            const struct line *l = &lines[k];
            if (l->drawn && !w->in_block) continue; /* a rule */
            if (w->in_block && last && underline(l->s, &c) && l->s.len + 4 >= last->s.len && last->s.len <= 100) {
                struct ingest_block *b = &w->blocks[w->n_blocks - 1];
                b->kind = INGEST_BLOCK_HEADING;
                b->level = c == '=' ? 1 : 2;
                b->flags |= INGEST_BLOCK_GUESSED;
                writer_end(w);
                last = NULL;
                continue;
            }
            if (l->drawn) {
                writer_end(w);
                last = NULL;
                continue;
            }
            if (w->in_block && k > from && !continues(last, l, j)) writer_end(w);
            if (!w->in_block)
                writer_begin(w, INGEST_BLOCK_PARAGRAPH, 0);
            else
                writer_text(w, SLICE_LITERAL(" "));
            if (w->code) break;
            writer_text(w, l->s);
            last = l;
        }
    }
    if (w->in_block) writer_end(w);
    free(lines);
    return w->code;
}
