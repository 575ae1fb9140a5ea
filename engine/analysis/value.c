/* value.c: what a figure in a text amounts to. Owns the normalisation (scale, time, units, rates) and the question
 * whether two values can both hold: bounds, ranges, rounding, "about", business against calendar days.
 *
 *   day, week, hour, minute and month, quarter, year are exact among themselves; across them a month is 28 to 31 days,
 * a year 365 to 366. Currencies are never converted. A bound against a bound of the same side is compared as a value:
 * "at least 30 days' notice" against "at least 60" are two rules for one thing.
 */
#include "engine/analysis/value.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- units ---- */
struct unit {
    const char *name, *base;
    double factor, offset;
};
static const struct unit units[] = {
    {"mm", "m", 1e-3, 0},
    {"cm", "m", 1e-2, 0},
    {"m", "m", 1, 0},
    {"km", "m", 1e3, 0},
    {"µm", "m", 1e-6, 0},
    {"μm", "m", 1e-6, 0},
    {"in", "m", 0.0254, 0},
    {"ft", "m", 0.3048, 0},
    {"yd", "m", 0.9144, 0},
    {"mi", "m", 1609.344, 0},
    {"mg", "kg", 1e-6, 0},
    {"µg", "kg", 1e-9, 0},
    {"g", "kg", 1e-3, 0},
    {"kg", "kg", 1, 0},
    {"t", "kg", 1e3, 0},
    {"ton", "kg", 1e3, 0},
    {"tonne", "kg", 1e3, 0},
    {"lb", "kg", 0.45359237, 0},
    {"oz", "kg", 0.028349523, 0},
    {"Pa", "Pa", 1, 0},
    {"hPa", "Pa", 100, 0},
    {"kPa", "Pa", 1e3, 0},
    {"MPa", "Pa", 1e6, 0},
    {"bar", "Pa", 1e5, 0},
    {"mbar", "Pa", 100, 0},
    {"psi", "Pa", 6894.757, 0},
    {"W", "W", 1, 0},
    {"kW", "W", 1e3, 0},
    {"MW", "W", 1e6, 0},
    {"J", "J", 1, 0},
    {"kJ", "J", 1e3, 0},
    {"MJ", "J", 1e6, 0},
    {"kWh", "J", 3.6e6, 0},
    {"MWh", "J", 3.6e9, 0},
    {"V", "V", 1, 0},
    {"mV", "V", 1e-3, 0},
    {"kV", "V", 1e3, 0},
    {"A", "A", 1, 0},
    {"mA", "A", 1e-3, 0},
    {"Ah", "Ah", 1, 0},
    {"mAh", "Ah", 1e-3, 0},
    {"Hz", "Hz", 1, 0},
    {"kHz", "Hz", 1e3, 0},
    {"MHz", "Hz", 1e6, 0},
    {"GHz", "Hz", 1e9, 0},
    {"ml", "l", 1e-3, 0},
    {"l", "l", 1, 0},
    {"L", "l", 1, 0},
    {"gal", "l", 3.785411784, 0},
    {"m3", "l", 1e3, 0},
    {"m³", "l", 1e3, 0},
    {"m2", "m2", 1, 0},
    {"m²", "m2", 1, 0},
    {"sqm", "m2", 1, 0},
    {"ha", "m2", 1e4, 0},
    {"hectare", "m2", 1e4, 0},
    {"N", "N", 1, 0},
    {"kN", "N", 1e3, 0},
    {"°C", "K", 1, 273.15},
    {"K", "K", 1, 0},
    {"°F", "K", 5.0 / 9.0, 255.372222},
    {"kB", "B", 1e3, 0},
    {"KB", "B", 1e3, 0},
    {"MB", "B", 1e6, 0},
    {"GB", "B", 1e9, 0},
    {"TB", "B", 1e12, 0},
    {"km/h", "m/s", 1 / 3.6, 0},
    {"m/s", "m/s", 1, 0},
    {"mph", "m/s", 0.44704, 0},
    {"kbps", "bps", 1e3, 0},
    {"Mbps", "bps", 1e6, 0},
    {"Gbps", "bps", 1e9, 0},
};

static double time_days(struct slice unit, bool *long_unit) {
    static const struct {
        const char *name;
        double days;
        bool is_long;
    } times[] = {{"second", 1.0 / 86400, false},
                 {"minute", 1.0 / 1440, false},
                 {"hour", 1.0 / 24, false},
                 {"day", 1, false},
                 {"week", 7, false},
                 {"fortnight", 14, false},
                 {"month", 1, true},
                 {"quarter", 3, true},
                 {"year", 12, true},
                 {"decade", 120, true},
                 {"half-year", 6, true}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (slice_equal(unit, slice_of(times[i].name))) {
            *long_unit = times[i].is_long;
            return times[i].days;
        }
    return 0;
}

int32_t value_civil(int y, int m, int d) { /* after H. Hinnant's published algorithm */
    y -= m <= 2;
    int era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

const struct ingest_fact *value_fact(const struct detect_set *s, const struct frame *f) {
    return &s->docs[s->units[f->unit].doc]->facts[f->fact];
}

/* ---- frames ---- */
/* Half of the last written digit, in the value's own scale: 1.2 million -> 50,000; 0 where the figure is written out.
 */
static double half_digit(struct slice t, double value) {
    double last = 0, printed = 0, scale = 1;
    bool point = false, digits = false;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.data[i];
        if (c >= '0' && c <= '9') {
            digits = true;
            printed = printed * 10 + (c - '0');
            if (point) scale *= 10;
        } else if (c == '.' && digits && i + 1 < t.len && isdigit((unsigned char)t.data[i + 1])) {
            point = true;
        } else if (c == ',' && digits) {
            continue;
        } else if (digits) {
            break;
        }
    }
    if (!digits || printed == 0) return 0;
    last = fabs(value) / printed; /* what one unit of the last written digit stands for */
    if (last <= 1 && !point) return 0;
    return last / 2;
}

static bool stem_is(const struct detect_set *s, uint32_t id, const char *word) {
    return slice_equal(s->lexicon.items[id].stem, slice_of(word));
}

static void read_rate(struct detect_set *s, struct frame *fr, const struct ingest_fact *f) {
    const struct subject_statement *u = &s->units[fr->unit];
    uint32_t from = 0, to = 0;
    struct slice basis = ingest_text(s->docs[u->doc], f->object);
    bool rate = slice_starts_with(basis, slice_of("per ")) || slice_starts_with(basis, slice_of("a ")) ||
                slice_starts_with(basis, slice_of("an ")) || slice_starts_with(basis, slice_of("each ")) ||
                slice_starts_with(basis, slice_of("every ")) || slice_starts_with(basis, slice_of("for each ")) ||
                slice_starts_with(basis, slice_of("for every ")) || slice_starts_with(basis, slice_of("p.")) ||
                slice_starts_with(basis, slice_of("/")) || f->kind == INGEST_AMOUNT || f->kind == INGEST_PERCENTAGE;
    rate &= unit_statement(s, u)->kind != INGEST_TABLE_ROW; /* there the object is the column's head */
    for (uint32_t i = 0; i < u->n_words && rate; i++) {
        const struct word *w = &s->words[u->word + i];
        if (f->object.end > f->object.start && w->start >= f->object.start && w->end <= f->object.end) {
            if (!to) from = i;
            to = i + 1;
        }
    }
    if (!to) { /* "per X", "a month", "for each X", "X each" behind the value */
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->start < f->span.end) continue;
            if (w->flags & (WORD_EDGE | WORD_BREAK)) break;
            struct slice t = detect_text(s, u->doc, w->start, w->end);
            uint32_t next = i + 1 < u->n_words && !(w[1].flags & WORD_EDGE) ? s->words[u->word + i + 1].id : UINT32_MAX;
            bool time = next != UINT32_MAX && (s->lexicon.items[next].flags & LEXICON_TIME ||
                                               stem_is(s, next, "year") || stem_is(s, next, "annum"));
            if (slice_equal_nocase(t, slice_of("per")) || slice_equal_nocase(t, slice_of("every")))
                from = i, to = i + 2;
            else if ((slice_equal_nocase(t, slice_of("a")) || slice_equal_nocase(t, slice_of("an")) ||
                      slice_equal_nocase(t, slice_of("each"))) &&
                     time)
                from = i, to = i + 2;
            else if (slice_equal_nocase(t, slice_of("for")) && i + 1 < u->n_words &&
                     slice_equal_nocase(detect_text(s, u->doc, w[1].start, w[1].end), slice_of("each")))
                from = i + 1, to = i + 4;
            break;
        }
        if (to > u->n_words) to = u->n_words;
    }
    for (uint32_t i = from; i < to; i++) {
        const struct word *w = &s->words[u->word + i];
        struct slice t = detect_text(s, u->doc, w->start, w->end);
        static const struct {
            const char *word;
            double days;
        } rates[] = {{"hour", 1.0 / 24},
                     {"hourly", 1.0 / 24},
                     {"day", 1},
                     {"daily", 1},
                     {"week", 7},
                     {"weekly", 7},
                     {"month", 365.25 / 12},
                     {"monthly", 365.25 / 12},
                     {"quarter", 365.25 / 4},
                     {"quarterly", 365.25 / 4},
                     {"year", 365.25},
                     {"yearly", 365.25},
                     {"annum", 365.25},
                     {"annual", 365.25},
                     {"annually", 365.25}};
        for (size_t k = 0; k < sizeof rates / sizeof *rates; k++)
            if (slice_equal_nocase(t, slice_of(rates[k].word))) fr->per_days = rates[k].days;
        if (fr->per_days > 0) break;
        if (w->class == WORD_CONTENT && !(fr->per && f->kind == INGEST_PERCENTAGE))
            fr->per = w->id; /* "1 % of the commitment on the closing date" is of the commitment */
    }
    if (f->object.end > f->object.start && fr->per_days == 0) {
        struct slice t = ingest_text(s->docs[u->doc], f->object);
        if (memmem(t.data, t.len, "p.a", 3)) fr->per_days = 365.25;
    }
    if (fr->per_days == 0 && fr->class != ANALYSIS_PERIOD) /* "a monthly fee of" */
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->start > f->span.start) break;
            if (f->span.start - w->end > 40) continue;
            struct slice t = detect_text(s, u->doc, w->start, w->end);
            double days = slice_equal_nocase(t, slice_of("monthly")) ? 365.25 / 12
                          : slice_equal_nocase(t, slice_of("annual")) || slice_equal_nocase(t, slice_of("yearly"))
                              ? 365.25
                          : slice_equal_nocase(t, slice_of("weekly"))    ? 7
                          : slice_equal_nocase(t, slice_of("quarterly")) ? 365.25 / 4
                          : slice_equal_nocase(t, slice_of("daily"))     ? 1
                          : slice_equal_nocase(t, slice_of("hourly"))    ? 1.0 / 24
                                                                         : 0;
            if (days > 0) fr->per_days = days;
        }
}

/* The date of the document itself ("This Lease is made on", "Prepared on"): it differs from document to document by
 * nature. */
static bool own_date(const struct detect_set *s, const struct subject_statement *u, const struct ingest_fact *f) {
    static const char *const cues[] = {"made",     "dated",  "prepared",  "issued",  "entered",
                                       "executed", "signed", "published", "updated", "written",
                                       "printed",  "status", "version",   "revision"};
    const struct family_document *fam = &s->family[u->doc];
    if (f->year && f->month && fam->date == value_civil(f->year, f->month, f->day ? f->day : 1) &&
        fam->title_statement == u->statement) {
        uint32_t seen = 0;
        for (uint32_t i = u->n_words; i-- > 0 && seen < 5;) {
            const struct word *w = &s->words[u->word + i];
            if (w->end > f->span.start) continue;
            seen++;
            for (size_t k = 0; k < sizeof cues / sizeof *cues; k++)
                if (slice_equal_nocase(detect_text(s, u->doc, w->start, w->end), slice_of(cues[k]))) return true;
        }
        if (seen < 5 && u->statement < 3 && !(u->marks & MARK_VERB)) return true;
    }
    { /* "Version effective date: 27 May 2025" */
        bool generic = true;
        for (uint32_t i = 0; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if ((w->start >= f->span.start && w->end <= f->span.end) || w->class == WORD_FUNCTION ||
                w->class == WORD_SKIP || w->class == WORD_NUMBER)
                continue;
            static const char *const words[] = {"effective", "version", "issue",     "issued",  "revision",
                                                "updated",   "last",    "published", "printed", "approved",
                                                "date",      "signed",  "valid",     "from",    "status"};
            bool known = s->lexicon.items[w->id].flags & LEXICON_LIGHT;
            for (size_t k = 0; k < sizeof words / sizeof *words; k++)
                known |= slice_equal_nocase(detect_text(s, u->doc, w->start, w->end), slice_of(words[k]));
            generic &= known;
        }
        if (generic && !(u->marks & MARK_VERB)) return true; /* wherever it stands */
    }
    return false;
}

/* "Pressure (bar) | 1.5": the unit in brackets in a row's label or a column's head. */
static struct slice unit_in_brackets(const struct ingest_document *d, const struct ingest_fact *f) {
    for (int k = 0; k < 2; k++) {
        struct slice t = ingest_text(d, k ? f->object : f->subject);
        for (size_t i = t.len; i-- > 0;) {
            if ((t.data[i] != '(' && t.data[i] != '[') || i == 0 || t.data[i - 1] != ' ')
                continue; /* "loans(a)" is a footnote */
            size_t e = i + 1;
            while (e < t.len && t.data[e] != ')' && t.data[e] != ']') e++;
            struct slice name = slice_trim((struct slice){t.data + i + 1, e - i - 1});
            for (size_t q = 0; q < sizeof units / sizeof *units; q++)
                if (slice_equal(name, slice_of(units[q].name))) return slice_of(units[q].name);
            if (slice_equal(name, slice_of("h")) || slice_equal(name, slice_of("hours"))) return slice_of("hour");
            if (slice_equal(name, slice_of("min")) || slice_equal(name, slice_of("minutes"))) return slice_of("minute");
            if (slice_equal(name, slice_of("days"))) return slice_of("day");
            if (slice_equal(name, slice_of("months"))) return slice_of("month");
            if (slice_equal(name, slice_of("years"))) return slice_of("year");
            if (slice_equal(name, slice_of("weeks"))) return slice_of("week");
            break;
        }
    }
    return (struct slice){"", 0};
}

#define ROW_FIGURES_MAX 5 /* wider rows are accounts: the same figure for many times and parts */

/* The head of the column a byte of a row stands in says something in letters. */
static bool column_has_words(const struct ingest_document *d, const struct ingest_statement *st, uint32_t at) {
    const char *t = d->text.data;
    uint32_t column = 0, from = st->lead_in.start;
    for (uint32_t i = st->span.start; i < at && i < st->span.end; i++) column += t[i] == '|';
    if (st->lead_in.end <= st->lead_in.start) return false;
    for (; column && from < st->lead_in.end; from++) column -= t[from] == '|';
    if (column) return false;
    for (; from < st->lead_in.end && t[from] != '|'; from++)
        if ((t[from] | 32) >= 'a' && (t[from] | 32) <= 'z') return true;
    return false;
}

int value_frame(struct detect_set *s, uint32_t unit, uint32_t fact) {
    const struct subject_statement *u = &s->units[unit];
    const struct ingest_document *d = s->docs[u->doc];
    const struct ingest_fact *f = &d->facts[fact];
    struct ingest_fact labelled;
    if (f->kind == INGEST_NUMBER && !f->unit.len && f->bound != INGEST_ABOUT) { /* "3.2 t" */
        const char *x = d->text.data;
        uint32_t k = f->span.end;
        if (k + 1 < d->text.len && x[k] == ' ' && x[k + 1] == 't' &&
            (k + 2 >= d->text.len || !isalnum((unsigned char)x[k + 2]))) {
            labelled = *f;
            labelled.unit = SLICE_LITERAL("t");
            f = &labelled;
        }
    }
    if (f->kind == INGEST_NUMBER && !f->unit.len && unit_statement(s, u)->kind == INGEST_TABLE_ROW) {
        labelled = *f;
        labelled.unit = unit_in_brackets(d, f);
        bool is_long;
        if (time_days(labelled.unit, &is_long) > 0) labelled.kind = INGEST_PERIOD;
        f = &labelled;
    }
    struct frame fr = {.unit = unit,
                       .fact = fact,
                       .bound = f->bound,
                       .actor = u->actor,
                       .noun = UINT32_MAX,
                       .given = f->value,
                       .unit_name = f->unit};
    char key[64];
    fr.low = f->value;
    fr.high = isnan(f->value2) || f->value2 <= f->value ? f->value : f->value2;
    double factor = 1, offset = 0;
    switch (f->kind) {
    case INGEST_AMOUNT:
        if (!f->unit.len) return 0;
        fr.class = ANALYSIS_AMOUNT;
        snprintf(key, sizeof key, "$%.*s", (int)f->unit.len, f->unit.data);
        break;
    case INGEST_PERCENTAGE:
        fr.class = ANALYSIS_PERCENTAGE;
        snprintf(key, sizeof key, "%%");
        break;
    case INGEST_PERIOD: {
        fr.class = ANALYSIS_PERIOD;
        bool is_long;
        if (time_days(f->unit, &is_long) <= 0) return 0;
        snprintf(key, sizeof key, "time");
        break;
    }
    case INGEST_DATE: {
        if (!f->month && !f->year) return 0;
        if (f->year && !f->month) return 0; /* a bare year says when, not what */
        fr.class = ANALYSIS_DATE;
        snprintf(key, sizeof key, "date%s", f->year ? "" : " of each year");
        int y = f->year ? f->year : 2001;
        int first = f->day ? f->day : 1, last = f->day ? f->day : 31;
        fr.low = value_civil(y, f->month, first);
        fr.high = value_civil(y, f->month, last > 28 && !f->day ? 28 : last) + (f->day ? 0 : 3);
        break;
    }
    case INGEST_NUMBER: {
        if (memchr(d->text.data + f->span.start, '-', f->span.end - f->span.start) && f->value > 0 &&
            f->bound == INGEST_EXACT && isnan(f->value2))
            return 0; /* "the 13-bar version" names a thing */
        fr.class = ANALYSIS_QUANTITY;
        struct slice unit_name = f->unit;
        snprintf(key, sizeof key, "#"); /* counts of all things: the thing counted is a word of the frame */
        if (unit_name.len) {
            fr.noun = lexicon_word(&s->lexicon, unit_name.data, unit_name.len);
            if (fr.noun == UINT32_MAX) return error_set(s->error, ERR_NOMEM, "", "out of memory");
        } else if (f->subject.end <= f->subject.start) {
            return 0;
        }
        for (uint32_t i = 0; i < u->n_words && !unit_name.len; i++) { /* "Sarno 4" */
            const struct word *w = &s->words[u->word + i];
            if (w->start >= f->span.start && w->end <= f->span.end && w->class == WORD_CODE) return 0;
        }
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (slice_equal(unit_name, slice_of(units[i].name))) {
                snprintf(key, sizeof key, "=%s", units[i].base);
                fr.noun = UINT32_MAX;
                factor = units[i].factor;
                offset = units[i].offset;
                break;
            }
        break;
    }
    default:
        return 0;
    }
    if (f->kind != INGEST_DATE && isnan(f->value)) return 0;
    struct slice t = ingest_text(d, f->span);
    fr.digits = f->kind == INGEST_DATE || f->kind == INGEST_PERIOD ? 0 : (float)(half_digit(t, f->value) * factor);
    if (f->kind == INGEST_AMOUNT && fr.digits <= 0.51f) fr.digits = 0;
    fr.about = f->bound == INGEST_ABOUT;
    fr.business = f->flags & INGEST_BUSINESS;
    for (size_t i = 0; i + 8 <= t.len; i++)
        fr.calendar |= slice_equal_nocase((struct slice){t.data + i, 8}, slice_of("calendar"));
    fr.low = fr.low * factor + offset;
    fr.high = fr.high * factor + offset;
    /* a figure of a row means something only under a head of its own; a line of figures without a verb is a torn table
     */
    {
        const struct ingest_statement *st = unit_statement(s, u);
        uint32_t figures = 0;
        for (uint32_t i = u->first_fact; i < u->first_fact + u->n_facts; i++)
            figures += subject_is_value(d->facts[i].kind) && d->facts[i].kind != INGEST_TOTAL;
        if (st->kind == INGEST_TABLE_ROW) {
            bool head = column_has_words(d, st, f->span.start);
            if (!head && (figures >= 2 || (f->kind == INGEST_NUMBER && !f->unit.len))) return 0;
            if (figures >= ROW_FIGURES_MAX && f->kind != INGEST_DATE) return 0;
        } else if (figures >= 2 && !(u->marks & MARK_VERB) &&
                   (f->kind == INGEST_AMOUNT || f->kind == INGEST_PERCENTAGE || !f->unit.len) &&
                   !memchr(d->text.data + st->span.start, ':', st->span.end - st->span.start)) {
            return 0;
        }
    }
    /* lines that state nothing: contents, signatures, headings */
    bool row = unit_statement(s, u)->kind == INGEST_TABLE_ROW, states = row || u->marks & MARK_VERB;
    uint32_t content = 0;
    for (uint32_t i = 0; i < u->n_words; i++)
        content += s->words[u->word + i].class != WORD_FUNCTION && s->words[u->word + i].class != WORD_NUMBER &&
                   s->words[u->word + i].class != WORD_SKIP &&
                   !(s->lexicon.items[s->words[u->word + i].id].flags & LEXICON_TIME) &&
                   !words_in(s, u->doc, &s->words[u->word + i], "ended ending") && /* "Three months ended 31 March" */
                   !(s->words[u->word + i].start >= f->span.start && s->words[u->word + i].end <= f->span.end);
    bool label = memchr(d->text.data + d->statements[u->statement].span.start, ':',
                        f->span.start - d->statements[u->statement].span.start) != NULL;
    if (f->kind == INGEST_NUMBER && !f->unit.len) {
        struct slice line = ingest_text(d, d->statements[u->statement].span);
        size_t upper = 0, lower = 0;
        for (size_t i = 0; i < line.len; i++)
            upper += line.data[i] >= 'A' && line.data[i] <= 'Z', lower += line.data[i] >= 'a' && line.data[i] <= 'z';
        if (!states || upper > lower) return 0;
    } else if (f->kind == INGEST_NUMBER && !row &&
               d->statements[u->statement].span.end - d->statements[u->statement].span.start > 60) {
        struct slice line = ingest_text(d, d->statements[u->statement].span);
        size_t upper = 0, lower = 0; /* surveyors' descriptions of land, in capitals: a walk from point to point */
        for (size_t i = 0; i < line.len; i++)
            upper += line.data[i] >= 'A' && line.data[i] <= 'Z', lower += line.data[i] >= 'a' && line.data[i] <= 'z';
        if (upper > lower * 2) return 0;
    }
    for (uint32_t i = 0; f->kind == INGEST_PERIOD && i < u->n_words; i++) { /* "three months ended 31 March" */
        const struct word *w = &s->words[u->word + i];
        if (w->start < f->span.end) continue;
        if (words_in(s, u->doc, w, "ended ending")) return 0;
        break;
    }
    if (f->kind == INGEST_PERIOD && u->n_words) /* "this 90-day period" was set elsewhere */
        for (uint32_t i = 1; i < u->n_words; i++) {
            const struct word *w = &s->words[u->word + i];
            if (w->start < f->span.start) continue;
            struct slice before = detect_text(s, u->doc, w[-1].start, w[-1].end);
            if (slice_equal_nocase(before, slice_of("this")) || slice_equal_nocase(before, slice_of("such")) ||
                slice_equal_nocase(before, slice_of("that")) || slice_equal_nocase(before, slice_of("said")) ||
                slice_equal_nocase(before, slice_of("initial")))
                return 0;
            break;
        }
    if (f->kind == INGEST_DATE && !row && u->n_words) { /* "At 31 December 2022, ...": says when, not what */
        uint32_t at = 0, first = 0;
        while (first < u->n_words &&
               (s->words[u->word + first].flags & WORD_LEAD || s->words[u->word + first].class == WORD_SKIP))
            first++;
        while (at < u->n_words && s->words[u->word + at].start < f->span.start) at++;
        uint32_t k = f->span.end;
        while (k < d->text.len && d->text.data[k] == ' ') k++;
        if (at < first + 9 && first < u->n_words && k < d->text.len && d->text.data[k] == ',' &&
            words_in(s, u->doc, &s->words[u->word + first],
                     "during at as on in for since by from until effective before after"))
            return 0;
    }
    if (f->kind == INGEST_DATE && !row && content < 2) return 0; /* "Expires 6 July": of what? */
    if (f->kind == INGEST_DATE) /* a line of an index of exhibits: "(incorporated by reference to Exhibit 3.1 ...)" */
        for (uint32_t i = 1; i + 1 < u->n_words; i++)
            if (words_in(s, u->doc, &s->words[u->word + i], "by") &&
                words_in(s, u->doc, &s->words[u->word + i - 1], "incorporated herein") &&
                words_in(s, u->doc, &s->words[u->word + i + 1], "reference"))
                return 0;
    if (!states && !label && (content < 2 || f->kind == INGEST_DATE)) return 0;
    { /* "150 x 4.6 mm": one of several measures of a thing */
        const char *x = d->text.data;
        uint32_t i = f->span.start, k = f->span.end;
        while (i > 0 && x[i - 1] == ' ') i--;
        while (k < d->text.len && x[k] == ' ') k++;
        bool before = i >= 2 && (memcmp(x + i - 2, "\xc3\x97", 2) == 0 || (x[i - 1] == 'x' && x[i - 2] == ' '));
        bool behind = k + 1 < d->text.len && (memcmp(x + k, "\xc3\x97", 2) == 0 || (x[k] == 'x' && x[k + 1] == ' '));
        if (before || behind) return 0;
    }
    fr.dimension = lexicon_exact(&s->lexicon, key, strlen(key));
    if (fr.dimension == UINT32_MAX) return error_set(s->error, ERR_NOMEM, "", "out of memory");
    if (f->kind != INGEST_DATE) read_rate(s, &fr, f);
    if (subject_frame_words(s, &fr, f)) return ERR_NOMEM;
    if (!fr.n_words) return 0;
    if (f->kind == INGEST_DATE && d->statements[f->statement].kind != INGEST_TABLE_ROW && u->statement < 6 &&
        own_date(s, u, f))
        return 0;
    if (fr.bound == INGEST_EXACT) /* "the minimum order is", "maximum pressure" */
        for (uint32_t k = 0; k < fr.n_words; k++) {
            const struct frame_word *w = &s->frame_words[fr.word + k];
            if (w->place < 2 && w->near && stem_is(s, w->id, "minimum")) fr.bound = INGEST_AT_LEAST;
            if (w->place < 2 && w->near && stem_is(s, w->id, "maximum")) fr.bound = INGEST_AT_MOST;
        }
    void *p = s->frames;
    if (array_grow(&p, &s->cap_frames, s->n_frames + 1, sizeof fr, s->error)) return ERR_NOMEM;
    s->frames = p;
    s->frames[s->n_frames++] = fr;
    return 0;
}

/* ---- can both hold? ---- */
static int side_of_bound(enum ingest_bound b) {
    return b == INGEST_AT_MOST || b == INGEST_LESS_THAN ? -1 : b == INGEST_AT_LEAST || b == INGEST_MORE_THAN ? 1 : 0;
}

/* Values as ranges of one measure: periods in days or months, rates per day. */
bool value_first_day(const struct detect_set *s, const struct frame *f) {
    const struct subject_statement *u = &s->units[f->unit];
    const struct ingest_document *d = s->docs[u->doc];
    const uint32_t at = value_fact(s, f)->span.start;
    bool banned = false, before = false;
    for (uint32_t k = u->first_fact; k < u->first_fact + u->n_facts; k++)
        banned |= d->facts[k].kind == INGEST_MODALITY && d->facts[k].modality == INGEST_PROHIBITION &&
                  d->facts[k].span.start < at;
    for (uint32_t i = 0; i < u->n_words; i++)
        if (s->words[u->word + i].end <= at) before = words_in(s, u->doc, &s->words[u->word + i], "before");
    return banned && before;
}

/* Which end of a time a day is: 2 its beginning ("from"), -2 its end ("until"), 1 after, -1 before. */
static int date_role(const struct detect_set *s, const struct frame *f) {
    const struct subject_statement *u = &s->units[f->unit];
    const uint32_t at = value_fact(s, f)->span.start;
    if (value_first_day(s, f)) return 2;
    static const struct {
        const char *word;
        int role;
    } roles[] = {{"from", 2}, {"since", 2},   {"until", -2}, {"till", -2}, {"through", -2},
                 {"to", -2},  {"before", -1}, {"by", -1},    {"than", -1}, {"after", 1}};
    for (uint32_t i = u->n_words; i-- > 0;) {
        const struct word *w = &s->words[u->word + i];
        if (w->end > at) continue;
        for (size_t k = 0; k < sizeof roles / sizeof *roles; k++)
            if (slice_equal_nocase(detect_text(s, u->doc, w->start, w->end), slice_of(roles[k].word)))
                return roles[k].role;
        return 0;
    }
    return 0;
}

/* One value is the other times a number that stands in the statements: "EUR 12,000 for ten days" and "EUR 1,200 a day".
 */
static bool multiplied(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    double x = fabs(a->given), y = fabs(b->given), ratio = x > y ? x / y : y / x;
    if (!(ratio > 1.5)) return false;
    for (int k = 0; k < 2; k++) {
        const struct frame *f = k ? b : a;
        const struct subject_statement *u = &s->units[f->unit];
        const struct ingest_document *d = s->docs[u->doc];
        for (uint32_t i = u->first_fact; i < u->first_fact + u->n_facts; i++) {
            const struct ingest_fact *g = &d->facts[i];
            if (i == f->fact || (g->kind != INGEST_NUMBER && g->kind != INGEST_PERIOD) || !(g->value > 1.5)) continue;
            if (fabs(g->value - ratio) < 1e-6 * ratio) return true;
        }
    }
    return false;
}

void value_measure(const struct frame *a, const struct frame *b, double out[4]) {
    out[0] = a->low, out[1] = a->high, out[2] = b->low, out[3] = b->high;
    if (a->class == ANALYSIS_PERIOD) {
        bool la, lb;
        double da = time_days(a->unit_name, &la), db = time_days(b->unit_name, &lb);
        if (a->business && slice_equal(a->unit_name, slice_of("week"))) da = b->business ? 5 : da;
        if (b->business && slice_equal(b->unit_name, slice_of("week"))) db = a->business ? 5 : db;
        if (la == lb) {
            out[0] *= da, out[1] *= da, out[2] *= db, out[3] *= db;
        } else { /* a month is 28 to 31 days, but twelve of them 365 or 366, and people count 30 */
            double *x = la ? out : out + 2, dx = la ? da : db, *y = la ? out + 2 : out, dy = la ? db : da;
            double months_low = x[0] * dx, months_high = x[1] * dx;
            x[0] = months_low < 12 ? months_low * 28 : months_low * 30;
            x[1] = months_high < 12 ? months_high * 31 : months_high * 30.5;
            y[0] *= dy, y[1] *= dy;
        }
    } else if (a->per_days > 0 && b->per_days > 0 && a->per_days != b->per_days) {
        out[0] /= a->per_days, out[1] /= a->per_days, out[2] /= b->per_days, out[3] /= b->per_days;
    }
}

static bool is_fraction(const struct detect_set *s, const struct frame *f) {
    const struct subject_statement *u = &s->units[f->unit];
    const struct ingest_span v = value_fact(s, f)->span;
    for (uint32_t i = 0; i < u->n_words; i++) {
        const struct word *w = &s->words[u->word + i];
        if (w->start >= v.start && w->end <= v.end && words_in(s, u->doc, w, "half third thirds quarter quarters"))
            return true;
    }
    return false;
}

enum verdict value_compare(const struct detect_set *s, const struct frame *a, const struct frame *b) {
    double v[4];
    value_measure(a, b, v);
    double scale_a = a->low != 0 ? v[0] / a->low : 1, scale_b = b->low != 0 ? v[2] / b->low : 1;
    double tolerance = 1e-6 * fmax(fabs(v[0]), fabs(v[2]));
    if (a->class == ANALYSIS_DATE) tolerance = 0.1, scale_a = scale_b = 0;
    if (a->class == ANALYSIS_QUANTITY || (a->per_days > 0 && b->per_days > 0 && a->per_days != b->per_days))
        tolerance = 0.006 * fmax(fabs(v[0]), fabs(v[2]));
    /* rounding: the coarser figure stands for all that round to it */
    double half = fmax(a->digits * fabs(scale_a), b->digits * fabs(scale_b));
    if (a->class != ANALYSIS_PERCENTAGE && half < 0.06 * fmax(fabs(v[0]), fabs(v[2])))
        tolerance = fmax(tolerance, half * 1.001);
    if (a->about || b->about) tolerance = fmax(tolerance, 0.1 * fmax(fabs(v[0]), fabs(v[2])));
    bool low = fabs(v[0] - v[2]) <= tolerance, high = fabs(v[1] - v[3]) <= tolerance;
    bool range_a = v[1] > v[0], range_b = v[3] > v[2];
    bool mixed = a->class == ANALYSIS_PERIOD && range_a != range_b; /* months against days became a range */
    if (a->per_days > 0 && b->per_days > 0) {
    } else if (a->class != ANALYSIS_PERIOD && a->per && b->per && a->per != b->per) {
        return VERDICT_NONE;
    }
    /* "half of the retention" is of another whole than "a retention of 5 %" */
    if (a->class == ANALYSIS_PERCENTAGE && is_fraction(s, a) != is_fraction(s, b)) return VERDICT_NONE;
    /* a price of one against the price of all: "EUR 1,050 per hectare" and a rent that speaks of no hectare */
    if (a->class == ANALYSIS_AMOUNT && (a->per != 0) != (b->per != 0)) {
        const struct frame *one = a->per ? a : b, *all = one == a ? b : a;
        if (!(s->lexicon.items[one->per].flags & LEXICON_TIME) && !subject_mentions(s, all, one->per) &&
            unit_statement(s, &s->units[all->unit])->kind != INGEST_TABLE_ROW)
            return VERDICT_NONE;
    }
    if (a->noun != UINT32_MAX && b->noun != UINT32_MAX && a->noun != b->noun)
        return VERDICT_NONE; /* seats against pages */
    if (a->class == ANALYSIS_QUANTITY && (a->noun == UINT32_MAX) != (b->noun == UINT32_MAX)) {
        const struct frame *bare = a->noun == UINT32_MAX ? a : b, *named = bare == a ? b : a;
        bool found = false;
        for (uint32_t k = 0; k < bare->n_words && !found; k++) found = s->frame_words[bare->word + k].id == named->noun;
        if (!found) return VERDICT_NONE;
    }
    int ba = side_of_bound(a->bound), bb = side_of_bound(b->bound);
    if (a->class == ANALYSIS_DATE) {
        int ra = date_role(s, a), rb = date_role(s, b);
        if (ra * rb == -4) return VERDICT_NONE; /* a beginning and an end */
        ba = ra == 1 || ra == -1 ? ra : 0;
        bb = rb == 1 || rb == -1 ? rb : 0;
    } else if (multiplied(s, a, b)) {
        return VERDICT_NONE;
    }
    if (low && high) {
        if (a->class == ANALYSIS_PERIOD && ((a->business && b->calendar) || (b->business && a->calendar)))
            return VERDICT_CONFLICT;
        return VERDICT_AGREE;
    }
    if (range_a || range_b) {
        bool overlap = v[0] <= v[3] + tolerance && v[2] <= v[1] + tolerance;
        if (overlap && (range_a != range_b || a->class == ANALYSIS_DATE || mixed)) return VERDICT_AGREE;
        if (overlap && !low && !high) return VERDICT_SOFT;
        return VERDICT_CONFLICT;
    }
    if (a->class == ANALYSIS_PERIOD && a->business != b->business) { /* five business days are a week */
        double most = fmax(v[0], v[2]), least = fmin(v[0], v[2]);
        bool business_is_less = a->business ? v[0] < v[2] : v[2] < v[0];
        if (business_is_less && most <= least * 1.6 && most >= least * 1.2) return VERDICT_AGREE;
    }
    if (ba == 0 && bb != 0) { /* keep the bound on side a */
        int t = ba;
        ba = bb, bb = t;
        double x0 = v[0], x1 = v[1];
        v[0] = v[2], v[1] = v[3], v[2] = x0, v[3] = x1;
    }
    if (ba && bb) {
        if (ba == bb) return VERDICT_CONFLICT;
        double min = ba > 0 ? v[0] : v[2], max = ba > 0 ? v[2] : v[0];
        return max < min - tolerance ? VERDICT_CONFLICT : VERDICT_NONE;
    }
    if (ba) {
        bool holds = ba < 0 ? v[2] <= v[0] + tolerance : v[3] >= v[0] - tolerance;
        if (!holds) return VERDICT_CONFLICT;
        return a->class == ANALYSIS_PERIOD ? VERDICT_SOFT : VERDICT_NONE;
    }
    return VERDICT_CONFLICT;
}
