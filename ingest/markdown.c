/* markdown.c: Markdown -> headings, paragraphs, lists with their numbers, pipe tables, code. The blocks follow
 * CommonMark 0.30 and the tables of GitHub's spec (4.10); link targets, images' addresses, HTML tags, comments and
 * front matter are not in the text, what they show is. Refuses nothing. Departures, on purpose: an item's continuation
 * needs no exact indent, and lines indented by four are code only outside lists, since people who write policies indent
 * by eye. */
#include "ingest/reader.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <libxml/HTMLparser.h>

#define MD_MAX_LISTS 32 /* nesting; deeper items stay at this level */

struct md_list {
    size_t content; /* column of the item's text */
    size_t indent;  /* column of its mark */
    bool ordered;
    unsigned long next;
};

struct md {
    struct writer *w;
    struct md_list lists[MD_MAX_LISTS];
    size_t n_lists;  /* open items */
    size_t alive;    /* lists that may take a further item */
    struct buf para; /* raw text of the open paragraph */
    bool open;       /* a paragraph is open */
    bool quote, blank;
    enum ingest_block_kind kind;
    uint32_t level;
    struct slice number;
    char number_text[24];
    bool ordered;
};

/* ---- inline ---- */
static size_t entity(struct slice s, struct buf *out) {
    const char *semi = memchr(s.data, ';', s.len < 40 ? s.len : 40);
    if (!semi || semi - s.data < 2) return 0;
    size_t n = (size_t)(semi - s.data) + 1;
    char name[40], b[4];
    uint32_t cp = 0;
    memcpy(name, s.data + 1, n - 2);
    name[n - 2] = 0;
    if (name[0] == '#') {
        char *end;
        bool hex = name[1] == 'x' || name[1] == 'X';
        if (!isxdigit((unsigned char)name[hex ? 2 : 1])) return 0;
        unsigned long v = strtoul(name + (hex ? 2 : 1), &end, hex ? 16 : 10);
        if (*end) return 0;
        cp = v > 0x10ffff ? 0xfffd : (uint32_t)v;
    } else {
        const htmlEntityDesc *d = htmlEntityLookup((const xmlChar *)name);
        if (!d) return 0;
        cp = d->value;
    }
    int k = utf8_encode(cp, b);
    if (k > 0) buf_append(out, b, (size_t)k);
    return n;
}

/* Length of an HTML tag or comment at s, 0 when '<' is only a character. */
static size_t html_tag(struct slice s) {
    if (s.len >= 4 && !memcmp(s.data, "<!--", 4)) {
        const char *end = memmem(s.data, s.len, "-->", 3);
        return end ? (size_t)(end - s.data) + 3 : s.len;
    }
    size_t i = 1;
    if (i < s.len && s.data[i] == '/') i++;
    if (i >= s.len || !isalpha((unsigned char)s.data[i])) return 0;
    char in = 0;
    for (; i < s.len; i++) {
        char c = s.data[i];
        if (in) {
            if (c == in) in = 0;
        } else if (c == '"' || c == '\'') {
            in = c;
        } else if (c == '>') {
            return i + 1;
        } else if (c == '<') {
            return 0;
        }
    }
    return 0;
}

/* End of "(address "title")" behind a link's text, or of "[label]"; 0 when neither stands there. */
static size_t link_target(struct slice s) {
    if (s.len == 0) return 0;
    if (s.data[0] == '[') {
        const char *end = memchr(s.data, ']', s.len);
        return end ? (size_t)(end - s.data) + 1 : 0;
    }
    if (s.data[0] != '(') return 0;
    size_t depth = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == '\\') {
            i++;
        } else if (s.data[i] == '(') {
            depth++;
        } else if (s.data[i] == ')' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

static size_t bracket_end(struct slice s) { /* s begins with '[' */
    size_t depth = 0;
    for (size_t i = 0; i < s.len && i < 4000; i++) {
        if (s.data[i] == '\\') {
            i++;
        } else if (s.data[i] == '[') {
            depth++;
        } else if (s.data[i] == ']' && --depth == 0) {
            return i;
        }
    }
    return 0;
}

static bool word_byte(struct slice s, size_t i) {
    return i < s.len && (isalnum((unsigned char)s.data[i]) || (unsigned char)s.data[i] >= 0x80);
}

static void inlines(struct slice s, struct buf *out, int depth) {
    size_t i = 0;
    while (i < s.len) {
        char c = s.data[i];
        struct slice rest = {s.data + i, s.len - i};
        size_t n;
        if (c == '\\' && i + 1 < s.len && ispunct((unsigned char)s.data[i + 1])) {
            buf_append(out, s.data + i + 1, 1);
            i += 2;
        } else if (c == '`') {
            size_t ticks = 0;
            while (ticks < rest.len && rest.data[ticks] == '`') ticks++;
            const char *end = memmem(rest.data + ticks, rest.len - ticks, rest.data, ticks);
            if (end) {
                buf_append(out, rest.data + ticks, (size_t)(end - rest.data) - ticks);
                i += (size_t)(end - rest.data) + ticks;
            } else {
                buf_append(out, rest.data, ticks);
                i += ticks;
            }
        } else if (c == '&' && (n = entity(rest, out)) > 0) {
            i += n;
        } else if (c == '<' && rest.len > 8 &&
                   (!strncasecmp(rest.data, "<http", 5) || !strncasecmp(rest.data, "<mailto:", 8)) &&
                   memchr(rest.data, '>', rest.len)) {
            size_t end = (size_t)((const char *)memchr(rest.data, '>', rest.len) - rest.data);
            buf_append(out, rest.data + 1, end - 1);
            i += end + 1;
        } else if (c == '<' && (n = html_tag(rest)) > 0) {
            if (rest.len > 3 && !strncasecmp(rest.data, "<br", 3)) buf_puts(out, " ");
            i += n;
        } else if ((c == '[' || (c == '!' && rest.len > 1 && rest.data[1] == '[')) && depth < 8) {
            struct slice from = c == '!' ? (struct slice){rest.data + 1, rest.len - 1} : rest;
            size_t end = bracket_end(from);
            struct slice behind = {from.data + end + 1, from.len - end - 1};
            size_t target = end ? link_target(behind) : 0;
            if (end > 1 && from.data[1] == '^') { /* [^1]: a footnote's mark */
                buf_puts(out, "[");
                buf_append(out, from.data + 2, end - 2);
                buf_puts(out, "]");
                i += (size_t)(behind.data - rest.data);
            } else if (target) {
                inlines((struct slice){from.data + 1, end - 1}, out, depth + 1);
                i += (size_t)(behind.data - rest.data) + target;
            } else {
                buf_append(out, &c, 1);
                i++;
            }
        } else if (c == '*' || c == '_' || (c == '~' && rest.len > 1 && rest.data[1] == '~')) {
            /* emphasis is beside a word, not between blanks, and '_' not inside one */
            size_t run = 0;
            while (run < rest.len && rest.data[run] == c) run++;
            bool before = i > 0 && !isspace((unsigned char)s.data[i - 1]),
                 after = run < rest.len && !isspace((unsigned char)rest.data[run]);
            bool inside = c == '_' && i > 0 && word_byte(s, i - 1) && word_byte(s, i + run);
            bool blank_line = c == '_' && run >= 3; /* ____ to be filled in */
            if ((!before && !after) || inside || blank_line) buf_append(out, rest.data, run);
            i += run;
        } else {
            buf_append(out, &c, 1);
            i++;
        }
    }
}

static void put_inlines(struct writer *w, struct slice s) {
    struct buf out = {0};
    inlines(s, &out, 0);
    if (out.failed)
        writer_fail(w, ERR_NOMEM, w->o->name, "out of memory while reading Markdown");
    else
        writer_text(w, buf_slice(&out));
    buf_free(&out);
}

/* ---- blocks ---- */
static bool all_bold(struct slice s) {
    if (s.len < 5 || memcmp(s.data, "**", 2) || memcmp(s.data + s.len - 2, "**", 2)) return false;
    return memmem(s.data + 2, s.len - 4, "**", 2) == NULL;
}

static void close_para(struct md *m) {
    if (!m->open) return;
    m->open = false;
    struct slice s = slice_trim(buf_slice(&m->para));
    struct ingest_block *b = writer_begin(m->w, m->kind, m->level);
    if (b) {
        if (m->ordered) b->flags |= INGEST_BLOCK_ORDERED;
        if (all_bold(s)) b->flags |= INGEST_BLOCK_BOLD;
        writer_number(m->w, m->number);
        put_inlines(m->w, s);
        writer_end(m->w);
    }
    if (m->para.failed) writer_fail(m->w, ERR_NOMEM, m->w->o->name, "out of memory while reading Markdown");
    m->para.len = 0;
    m->number.len = 0;
}

static void open_para(struct md *m, enum ingest_block_kind kind, uint32_t level) {
    close_para(m);
    m->open = true;
    m->kind = kind;
    m->level = level;
    m->ordered = false;
    m->number.len = 0;
}

/* Where a list item's text begins behind its mark; 0 when the line is none. */
static size_t item_mark(struct slice s, bool *ordered, unsigned long *number) {
    size_t i = 0;
    if (s.len == 0) return 0;
    *ordered = false;
    if (strchr("-*+", s.data[0])) {
        i = 1;
    } else {
        while (i < s.len && i < 9 && isdigit((unsigned char)s.data[i])) i++;
        if (i == 0 || i >= s.len || (s.data[i] != '.' && s.data[i] != ')')) return 0;
        *ordered = true;
        *number = strtoul(s.data, NULL, 10);
        i++;
    }
    if (i < s.len && s.data[i] != ' ') return 0;
    size_t mark = i;
    while (i < s.len && s.data[i] == ' ') i++;
    return i == s.len || i - mark > 4 ? mark + 1 : i;
}

static bool thematic_break(struct slice s) {
    size_t n = 0;
    if (s.len < 3 || !strchr("-*_", s.data[0])) return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] == s.data[0])
            n++;
        else if (s.data[i] != ' ')
            return false;
    }
    return n >= 3;
}

static bool setext_rule(struct slice s) { /* ==== or ---- under a heading */
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] != s.data[0]) return false;
    return s.len && (s.data[0] == '=' || s.data[0] == '-');
}

static bool table_rule(struct slice s) { /* |---|:--:| */
    bool dash = false, pipe = false;
    for (size_t i = 0; i < s.len; i++) {
        if (!strchr("-|: ", s.data[i]) || !s.data[i]) return false;
        dash = dash || s.data[i] == '-';
        pipe = pipe || s.data[i] == '|';
    }
    return dash && pipe;
}

static void pipe_row(struct md *m, struct slice s, bool header) {
    writer_row_begin(m->w);
    if (s.len && s.data[0] == '|') s.data++, s.len--;
    if (s.len && s.data[s.len - 1] == '|' && !(s.len > 1 && s.data[s.len - 2] == '\\')) s.len--;
    size_t from = 0;
    bool code = false;
    for (size_t i = 0; i <= s.len && !m->w->code; i++) {
        if (i < s.len && s.data[i] == '\\') {
            i++;
            continue;
        }
        if (i < s.len && s.data[i] == '`') code = !code;
        if (i < s.len && (s.data[i] != '|' || code)) continue;
        struct ingest_block *b = writer_cell(m->w, 1);
        if (!b) break;
        struct slice cell = slice_trim((struct slice){s.data + from, i - from});
        if (header) b->flags |= INGEST_BLOCK_HEADER;
        if (all_bold(cell)) b->flags |= INGEST_BLOCK_BOLD;
        put_inlines(m->w, cell);
        writer_end(m->w);
        from = i + 1;
    }
    writer_row_end(m->w);
}

static bool next_line(struct slice t, size_t *i, struct slice *line) {
    if (*i >= t.len) return false;
    size_t end = *i;
    while (end < t.len && t.data[end] != '\n') end++;
    *line = (struct slice){t.data + *i, end - *i};
    if (line->len && line->data[line->len - 1] == '\r') line->len--;
    *i = end + 1;
    return true;
}

static size_t indent_of(struct slice line, size_t *bytes) {
    size_t column = 0, i = 0;
    while (i < line.len && (line.data[i] == ' ' || line.data[i] == '\t')) {
        column = line.data[i] == '\t' ? (column / 4 + 1) * 4 : column + 1;
        i++;
    }
    *bytes = i;
    return column;
}

static struct slice right_trim(struct slice s) {
    while (s.len && isspace((unsigned char)s.data[s.len - 1])) s.len--;
    return s;
}

/* Front matter: "---", YAML, "---" at the very start; its title names the document. */
static size_t front_matter(struct writer *w, struct slice t) {
    size_t i = 0;
    struct slice line;
    if (!next_line(t, &i, &line) || !slice_equal(right_trim(line), SLICE_LITERAL("---"))) return 0;
    while (next_line(t, &i, &line)) {
        struct slice s = right_trim(line);
        if (slice_equal(s, SLICE_LITERAL("---")) || slice_equal(s, SLICE_LITERAL("..."))) return i;
        if (slice_starts_with(s, SLICE_LITERAL("title:"))) {
            s = slice_trim((struct slice){s.data + 6, s.len - 6});
            if (s.len >= 2 && (s.data[0] == '"' || s.data[0] == '\'') && s.data[s.len - 1] == s.data[0])
                s.data++, s.len -= 2;
            w->d->title = arena_slice(&w->d->arena, s);
        }
        if (i > 65536) break;
    }
    w->d->title = (struct slice){"", 0};
    return 0;
}

static void item(struct md *m, size_t indent, size_t text, bool ordered, unsigned long number, struct slice s) {
    size_t depth = m->n_lists < MD_MAX_LISTS ? m->n_lists : MD_MAX_LISTS - 1;
    struct md_list *l = &m->lists[depth];
    if (depth >= m->alive || l->ordered != ordered) l->next = ordered ? number : 0;
    l->ordered = ordered;
    l->indent = indent;
    l->content = indent + text;
    m->n_lists = m->alive = depth + 1;
    open_para(m, INGEST_BLOCK_LIST_ITEM, (uint32_t)depth + 1);
    m->ordered = ordered;
    if (ordered) {
        size_t digits = 0;
        while (isdigit((unsigned char)s.data[digits])) digits++;
        m->number.len = (size_t)snprintf(m->number_text, sizeof m->number_text, "%lu%c", l->next++, s.data[digits]);
    } else {
        m->number_text[0] = '-';
        m->number.len = 1;
    }
    m->number.data = m->number_text;
}

/* Code between fences; returns where it ends in t. */
static size_t fenced(struct md *m, struct slice t, size_t i, struct slice fence, size_t indent) {
    size_t n = 0;
    char c = fence.data[0];
    while (n < fence.len && fence.data[n] == c) n++;
    close_para(m);
    writer_begin(m->w, INGEST_BLOCK_PRE, 0);
    struct slice line;
    bool first = true;
    while (!m->w->code && next_line(t, &i, &line)) {
        size_t bytes;
        indent_of(line, &bytes);
        struct slice s = right_trim((struct slice){line.data + bytes, line.len - bytes});
        size_t k = 0;
        while (k < s.len && s.data[k] == c) k++;
        if (k >= n && k == s.len) break;
        size_t cut = bytes < indent ? bytes : indent;
        if (!first) writer_text(m->w, SLICE_LITERAL("\n"));
        writer_text(m->w, (struct slice){line.data + cut, line.len - cut});
        first = false;
    }
    if (m->w->in_block) writer_end(m->w);
    return i;
}

int markdown_read(struct writer *w, struct slice t) {
    struct md m = {.w = w};
    size_t i = front_matter(w, t);
    struct slice line;
    while (!w->code && next_line(t, &i, &line)) {
        size_t bytes, indent = indent_of(line, &bytes);
        struct slice s = right_trim((struct slice){line.data + bytes, line.len - bytes});
        bool quote = false;
        while (s.len && s.data[0] == '>') {
            quote = true;
            size_t skip = s.len > 1 && s.data[1] == ' ' ? 2 : 1;
            s = (struct slice){s.data + skip, s.len - skip};
            indent = indent_of(s, &bytes);
            s = (struct slice){s.data + bytes, s.len - bytes};
        }
        if (quote != m.quote) {
            close_para(&m);
            m.n_lists = m.alive = 0;
            m.quote = quote;
        }
        if (s.len == 0) {
            close_para(&m);
            m.blank = true;
            continue;
        }
        bool ordered = false, blank = m.blank, lazy = m.open && !m.blank;
        unsigned long number = 0;
        m.blank = false;
        size_t mark = thematic_break(s) ? 0 : item_mark(s, &ordered, &number);
        if (mark && lazy && m.n_lists == 0 && ordered && number != 1) mark = 0; /* CommonMark 5.3: "...in\n1985. It" */
        bool head = s.data[0] == '#';
        if (mark || !lazy || head)
            while (m.n_lists && indent < m.lists[m.n_lists - 1].content &&
                   (mark ? indent <= m.lists[m.n_lists - 1].indent + 1 : indent <= m.lists[m.n_lists - 1].indent))
                m.n_lists--;
        size_t base = m.n_lists ? m.lists[m.n_lists - 1].content : 0;
        if (m.n_lists == 0 && !mark && !lazy && blank) m.alive = 0;

        size_t hashes = 0;
        while (hashes < s.len && s.data[hashes] == '#') hashes++;
        if (s.len >= 3 && (!memcmp(s.data, "```", 3) || !memcmp(s.data, "~~~", 3))) {
            i = fenced(&m, t, i, s, indent);
        } else if (s.len >= 4 && !memcmp(s.data, "<!--", 4)) {
            const char *end = memmem(s.data, (size_t)(t.data + t.len - s.data), "-->", 3);
            close_para(&m);
            i = end ? (size_t)(end - t.data) + 3 : t.len;
        } else if (hashes >= 1 && hashes <= 6 && (hashes == s.len || s.data[hashes] == ' ')) {
            open_para(&m, INGEST_BLOCK_HEADING, (uint32_t)hashes);
            struct slice h = slice_trim((struct slice){s.data + hashes, s.len - hashes});
            size_t end = h.len;
            while (end && h.data[end - 1] == '#') end--;
            if (end == 0 || h.data[end - 1] == ' ') h.len = end;
            buf_append(&m.para, h.data, h.len);
            close_para(&m);
            m.n_lists = m.alive = 0;
        } else if (lazy && m.kind == INGEST_BLOCK_PARAGRAPH && setext_rule(s) &&
                   !memchr(m.para.data, '\n', m.para.len)) {
            m.kind = INGEST_BLOCK_HEADING;
            m.level = s.data[0] == '=' ? 1 : 2;
            close_para(&m);
        } else if (thematic_break(s)) {
            close_para(&m);
            m.n_lists = m.alive = 0;
        } else if (mark) {
            struct slice inside = mark < s.len ? (struct slice){s.data + mark, s.len - mark} : (struct slice){"", 0};
            item(&m, indent, mark, ordered, number, s);
            buf_append(&m.para, inside.data, inside.len);
        } else if (!lazy && m.n_lists == 0 && indent >= base + 4) {
            close_para(&m);
            writer_begin(w, INGEST_BLOCK_PRE, 0);
            for (;;) { /* code by indent: up to the next line that is not indented */
                writer_text(w, (struct slice){line.data + (line.len > 4 ? (line.data[0] == '\t' ? 1 : 4) : 0),
                                              line.len > 4 ? line.len - (line.data[0] == '\t' ? 1 : 4) : line.len});
                size_t save = i;
                if (!next_line(t, &i, &line)) break;
                if (slice_trim(line).len && indent_of(line, &bytes) < 4) {
                    i = save;
                    break;
                }
                writer_text(w, SLICE_LITERAL("\n"));
            }
            if (w->in_block) writer_end(w);
        } else if (s.data[0] == '[' && !lazy && bracket_end(s) && bracket_end(s) + 1 < s.len &&
                   s.data[bracket_end(s) + 1] == ':' && s.data[1] != '^') {
            continue; /* a link's address */
        } else if (memchr(s.data, '|', s.len) && !lazy) {
            size_t ahead = i;
            struct slice rule;
            if (next_line(t, &ahead, &rule) && table_rule(slice_trim(rule))) {
                close_para(&m);
                writer_table_begin(w);
                pipe_row(&m, s, true);
                i = ahead;
                for (size_t save = i; !w->code && next_line(t, &i, &line); save = i) {
                    struct slice row = slice_trim(line);
                    if (row.len == 0 || !memchr(row.data, '|', row.len)) {
                        i = save;
                        break;
                    }
                    pipe_row(&m, row, false);
                }
                writer_table_end(w);
            } else {
                open_para(&m, quote ? INGEST_BLOCK_QUOTE : INGEST_BLOCK_PARAGRAPH, 0);
                buf_append(&m.para, s.data, s.len);
            }
        } else if (lazy && (isalpha((unsigned char)s.data[0]) || s.data[0] == '(') && (mark = list_mark(s)) > 0) {
            /* "a. ..." and "(i) ..." are no Markdown lists, yet at a line's start people mean one */
            open_para(&m, INGEST_BLOCK_LIST_ITEM, (uint32_t)m.n_lists + 1);
            m.ordered = true;
            m.number.len = (size_t)snprintf(m.number_text, sizeof m.number_text, "%.*s", (int)mark, s.data);
            m.number.data = m.number_text;
            buf_append(&m.para, s.data + mark, s.len - mark);
        } else if (lazy) {
            buf_puts(&m.para, "\n");
            buf_append(&m.para, s.data, s.len);
        } else {
            if (m.n_lists)
                open_para(&m, INGEST_BLOCK_LIST_ITEM, (uint32_t)m.n_lists);
            else
                open_para(&m, quote ? INGEST_BLOCK_QUOTE : INGEST_BLOCK_PARAGRAPH, 0);
            buf_append(&m.para, s.data, s.len);
        }
    }
    close_para(&m);
    buf_free(&m.para);
    return w->code;
}
