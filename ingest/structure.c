/* structure.c: text with block marks -> section tree, statements, facts. Step 5 and 6 of the reader's path.
 *
 * Owns the order of work: pieces (a block each; for a text without blocks, a line each), then sections.c opens sections
 * at headings and numbers, statements.c cuts pieces into statements, facts.c types them. Everything is linear in the
 * text. Refuses texts over 4 GiB (offsets are 32 bits). Idempotent: the arrays of an earlier run are replaced (they
 * stay in the arena until the document ends). */
#include "ingest/structure.h"

#include <stdlib.h>
#include <string.h>

static int add_piece(struct structure *s, const struct ingest_block *b, struct error *e) {
    if (array_grow((void **)&s->pieces, &s->cap_pieces, s->n_pieces + 1, sizeof *s->pieces, e)) return ERR_NOMEM;
    s->pieces[s->n_pieces++] = (struct piece){.block = *b};
    return 0;
}

static struct ingest_span trimmed(const char *text, uint32_t start, uint32_t end) {
    struct slice t = slice_trim((struct slice){text + start, end - start});
    if (t.len == 0) return (struct ingest_span){start, start};
    uint32_t at = (uint32_t)(t.data - text);
    return (struct ingest_span){at, at + (uint32_t)t.len};
}

/* Lines of a text: each a paragraph; used where no reader left blocks, and inside INGEST_BLOCK_PRE. */
static int add_lines(struct structure *s, struct ingest_span span, enum ingest_block_kind kind, struct error *e) {
    const char *text = s->d->text.data;
    uint32_t i = span.start;
    while (i < span.end) {
        const char *nl = memchr(text + i, '\n', span.end - i);
        uint32_t end = nl ? (uint32_t)(nl - text) : span.end;
        struct ingest_block b = {.kind = kind, .span = trimmed(text, i, end), .table = INGEST_NONE, .n_columns = 1};
        b.number = (struct ingest_span){b.span.start, b.span.start};
        if (!span_empty(b.span) && add_piece(s, &b, e)) return ERR_NOMEM;
        i = end + 1;
    }
    return 0;
}

static int add_pieces(struct structure *s, struct error *e) {
    const struct ingest_document *d = s->d;
    if (d->n_blocks == 0)
        return add_lines(s, (struct ingest_span){0, (uint32_t)d->text.len}, INGEST_BLOCK_PARAGRAPH, e);
    for (size_t i = 0; i < d->n_blocks; i++) {
        const struct ingest_block *b = &d->blocks[i];
        if (b->kind == INGEST_BLOCK_PRE) {
            if (add_lines(s, b->span, INGEST_BLOCK_PRE, e)) return ERR_NOMEM;
        } else if (b->kind == INGEST_BLOCK_CELL) {
            if (add_piece(s, b, e)) return ERR_NOMEM; /* empty cells too: they hold the column */
        } else {
            struct ingest_block t = *b;
            t.span = trimmed(d->text.data, b->span.start, b->span.end);
            if (!span_empty(t.span) && add_piece(s, &t, e)) return ERR_NOMEM;
        }
    }
    return 0;
}

bool structure_leaders(struct slice t) {
    size_t dots = 0;
    for (size_t i = 0; i < t.len; i++) {
        if (t.data[i] == '.') {
            if (++dots >= 5) return true;
        } else if (i + 2 < t.len && memcmp(t.data + i, "\xe2\x80\xa6", 3) == 0) {
            if ((dots += 3) >= 5) return true;
            i += 2;
        } else if (t.data[i] != ' ') {
            dots = 0;
        }
    }
    return false;
}

static void *into_arena(struct arena *a, const void *items, size_t n, size_t size) {
    void *p = arena_array(a, n ? n : 1, size);
    if (p && n) memcpy(p, items, n * size);
    return p;
}

int ingest_structure(struct ingest_document *d, struct error *e) {
    struct structure s = {.d = d};
    int rc = 0;
    if (d->text.len >= UINT32_MAX / 2)
        return error_set(e, ERR_LIMIT, "", "The text of this document is %zu bytes long; at most 2 GiB can be handled.",
                         d->text.len);
    if ((rc = add_pieces(&s, e)) || (rc = sections_build(&s, e)) || (rc = statements_build(&s, e))) goto done;
    struct ingest_section *sections = into_arena(&d->arena, s.sections, s.n_sections, sizeof *sections);
    struct ingest_statement *statements = into_arena(&d->arena, s.statements, s.n_statements, sizeof *statements);
    if (!sections || !statements) {
        rc = error_set(e, ERR_NOMEM, "", "Out of memory while the text was cut into statements.");
        goto done;
    }
    d->sections = sections, d->n_sections = s.n_sections;
    d->statements = statements, d->n_statements = s.n_statements;
    d->facts = NULL, d->n_facts = 0;
    rc = ingest_facts(d, e);
done:
    free(s.pieces);
    free(s.sections);
    free(s.statements);
    lex_free(&s.lex);
    return rc;
}
