/* vocabulary.c: the English that the readers of facts know: classes, values and units of words. Everything is lower
 * case.
 *
 * One table of lines "classes, words"; at first use it becomes an open-addressed hash table (built once, then only
 * read, so any thread may look up). A word may stand in several lines: its classes are joined. Refuses nothing: an
 * unknown word has no class. Currency codes are ISO 4217 (the codes that contracts in English are likely to name). */
#include "ingest/lex.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

struct line {
    uint32_t classes;
    const char *words;
};

static const struct line lines[] = {
    {LEX_C_MODAL, "shall must will may can could should would might cannot can't won't mustn't needn't shan't "
                  "shouldn't couldn't wouldn't"},
    {LEX_C_NEGATION, "not no never neither nor without none cannot can't won't don't doesn't didn't isn't aren't "
                     "wasn't weren't hasn't haven't hadn't mustn't "
                     "needn't shan't shouldn't couldn't wouldn't"},
    {LEX_C_DETERMINER, "the a an this that these those each every any all no some such either neither both another "
                       "other his her its their our your my said "
                       "certain same"},
    {LEX_C_PREPOSITION,
     "of in on at by for with from to into onto upon within without under over above below between among during after "
     "before until till "
     "through throughout against about per via toward towards beyond behind beside besides across along around near "
     "since as than "
     "pursuant regarding concerning respecting including excluding following notwithstanding despite like"},
    {LEX_C_CONJUNCTION, "and or but nor yet so because although though whereas while if unless whether until once"},
    {LEX_C_PRONOUN, "it he she they we you i them him us me who whom it's they're we're you're itself himself herself "
                    "themselves ourselves yourself "
                    "anyone everyone someone nobody nothing anything everything"},
    {LEX_C_RELATIVE, "which that who whom whose where when"},
    {LEX_C_BE, "is are was were be been being am isn't aren't wasn't weren't"},
    {LEX_C_CONDITION,
     "if unless except excepting provided notwithstanding subject excluding absent save otherwise failing until"},
    {LEX_C_ATTRIBUTION, "alleges allege alleged alleging allegedly claims claimed contends contend contended "
                        "contending asserts assert asserted asserting "
                        "argues argued argue denies denied deny maintains maintained believes believed purports "
                        "purported purportedly disputes disputed "
                        "testified testifies insists insisted submits submitted suggests reportedly says said"},
    {LEX_C_REFERENCE, "section sections sec article articles art clause clauses paragraph paragraphs para paras "
                      "subsection subsections subparagraph "
                      "subparagraphs subclause exhibit exhibits schedule schedules annex annexes annexure appendix "
                      "appendices attachment attachments "
                      "chapter chapters part parts title rule rules item items addendum figure table page pages note "
                      "footnote recital recitals amendment "
                      "form line step volume vol subpart subchapter"},
    {LEX_C_ABBREVIATION, "inc ltd co corp llc plc llp lp no nos sec secs art arts approx vs v st mr mrs ms dr jr sr "
                         "prof hon gov gen capt col lt sgt rev est dept "
                         "div fig figs vol pp para paras cl cls ch ed eds et al cf viz ca max min tel fax ext ave blvd "
                         "rd ste bldg jan feb mar apr jun jul aug sep "
                         "sept oct nov dec mon tue wed thu fri sat sun bros assn govt ins acct amt univ rs incl excl "
                         "resp subd subsec pt pts app exh sch reg regs "
                         "stat supp dist cir ct cal tex fla mass mich wis minn conn del pa va md ill ind kan ky la "
                         "tenn ariz colo ga esq messrs cie nr ref"},
    {LEX_C_COMPANY, "inc incorporated ltd limited corp corporation company co llc l.l.c. plc llp l.l.p. lp l.p. gmbh "
                    "ag sa s.a. nv n.v. bv b.v. bank n.a. "
                    "trust partnership association fund kg oy ab as a/s spa s.p.a. pty pte sarl s.a.r.l. kk k.k. "
                    "s.p.a. s.r.l. srl foundation "
                    "institute university authority "
                    "commission council ministry department agency"},
    {LEX_C_NUMBER, "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
                   "sixteen seventeen eighteen nineteen "
                   "twenty thirty forty fourty fifty sixty seventy eighty ninety"},
    {LEX_C_SCALE, "hundred thousand million millions billion billions trillion dozen hundreds thousands"},
    {LEX_C_FRACTION, "half halves third thirds quarter quarters fourth fourths fifth fifths sixth sixths eighth "
                     "eighths tenth tenths sixteenth sixteenths "
                     "twelfth twelfths hundredth hundredths thousandth thousandths"},
    {LEX_C_ORDINAL, "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
                    "fourteenth fifteenth sixteenth "
                    "seventeenth eighteenth nineteenth twentieth thirtieth"},
    {LEX_C_TIME, "day days week weeks month months year years hour hours minute minutes second seconds quarter "
                 "quarters fortnight fortnights decade "
                 "decades hrs hr h mins yrs yr mos weekday weekdays anniversary"},
    {LEX_C_MONTH, "january february march april may june july august september october november december jan feb mar "
                  "apr jun jul aug sep sept oct nov "
                  "dec"},
    {LEX_C_BUSINESS, "business working banking trading work"},
    {LEX_C_ADVERB,
     "promptly immediately solely only also hereby thereby herein hereof hereunder thereof therein thereto hereto "
     "thereunder forthwith then "
     "now always generally reasonably otherwise further however therefore at least jointly severally exclusively "
     "automatically "
     "not never fully duly expressly thereafter hereinafter annually monthly quarterly weekly daily already still ever "
     "again together "
     "too very approximately about nearly almost roughly respectively individually collectively directly indirectly"},
    {LEX_C_TOTAL, "total totals subtotal sub-total sum aggregate totalling totaling"},
    {LEX_C_VERB, "pay pays paid paying payable make makes made making give gives gave given giving provide provides "
                 "provided providing deliver delivers "
                 "delivered delivering have has had having do does did done doing bear bears bore borne bearing accrue "
                 "accrues accrued accruing charge "
                 "charges charged charging receive receives received receiving maintain maintains maintained keep "
                 "keeps kept retain retains retained "
                 "exceed exceeds exceeded exceeding equal equals equaled equalling total totals totaled amount amounts "
                 "amounted amounting cost costs "
                 "become becomes became remain remains remained continue continues continued continuing begin begins "
                 "began commence commences commenced "
                 "commencing end ends ended ending expire expires expired expiring terminate terminates terminated "
                 "terminating last lasts lasted run runs "
                 "ran require requires required requiring entitle entitles entitled notify notifies notified notifying "
                 "send sends sent submit submits "
                 "submitted respond responds responded reply replies use uses used using take takes took taken hold "
                 "holds held obtain obtains obtained "
                 "issue issues issued issuing grant grants granted granting sell sells sold selling buy buys bought "
                 "purchase purchases purchased "
                 "reimburse reimburses reimbursed return returns returned refund refunds refunded replace replaces "
                 "replaced remedy remedies remedied "
                 "cure cures cured notified apply applies applied applying agree agrees agreed agreeing mean means "
                 "meant include includes included "
                 "increase increases increased decrease decreases decreased reduce reduces reduced reach reaches "
                 "reached set sets fix fixes fixed "
                 "limit limits limited cap caps capped consist consists comprise comprises comprised contain contains "
                 "contained allow allows allowed "
                 "permit permits permitted prohibit prohibits prohibited forbid forbids forbidden occur occurs "
                 "occurred fall falls fell arise arises "
                 "arose enter enters entered execute executes executed sign signs signed date dated effective perform "
                 "performs performed complete "
                 "completes completed file files filed accept accepts accepted reject rejects rejected appoint "
                 "appoints appointed elect elects elected "
                 "exercise exercises exercised renew renews renewed extend extends extended cease ceases ceased comply "
                 "complies complied ensure ensures "
                 "ensured cause causes caused store stores stored delete deletes deleted ship ships shipped install "
                 "installs installed tighten tightens "
                 "tightened torque operate operates operated serve serves served work works worked earn earns earned "
                 "owe owes owed lend borrow repay "
                 "repays repaid deduct deducts deducted withhold withholds withheld award awards awarded vest vests "
                 "vested constitute constitutes get "
                 "gets got go goes went come comes came stand stands stood amend amends amended read reads say says "
                 "said know known show shows shown "
                 "find finds found call calls called need needs needed contribute contributes contributed invest "
                 "invests invested report reports "
                 "reported represent represents represented carry carries carried indemnify indemnifies indemnified"},
    {LEX_C_UNIT,
     "nm n·m mm cm m km µm μm in inch inches ft foot feet yd yard yards mile miles mi kg g mg µg lb lbs "
     "pound-force oz tonne tonnes ton tons "
     "kw w mw kwh mwh kva v mv kv volt volts a ma amp amps ampere amperes ah mah hz khz mhz ghz bar mbar "
     "psi pa kpa mpa hpa rpm ml l litre "
     "litres liter liters gal gallon gallons °c °f celsius fahrenheit kelvin db dba lm lux ohm ohms ω n kn "
     "j kj mj cd ppm kb mb gb tb kib "
     "mib gib tib byte bytes bit bits mbit mbps gbps kbps px dpi pixels sqm m2 m3 m² m³ sf hectare "
     "hectares ha acre acres km/h mph m/s l/min "
     "ms µs ntu ppb mmol mol mbar kcal cal joule joules newton newtons lumen lumens pascal milligram milligrams "
     "microgram micrograms millilitre millilitres milliliter milliliters hectopascal "
     "watt watts kilowatt kilowatts megawatt megawatts kilogram kilograms kilogramme kilogrammes gram "
     "grams metre metres meter meters "
     "millimetre millimetres millimeter millimeters centimetre centimetres centimeter centimeters "
     "kilometre kilometres kilometer kilometers "
     "degree degrees cycles cycle revolutions decibels "
     "unit units copy copies seat seats user users page pages share shares option options employee "
     "employees person persons people member "
     "members licence licences license licenses piece pieces item items device devices set sets vote votes "
     "room rooms vehicle vehicles "
     "barrel barrels bushel bushels shipment shipments installment installments instalment instalments "
     "payment payments director "
     "directors warrant warrants character characters word words line lines file files record records "
     "request requests node nodes server "
     "servers processor processors core cores lot lots set-up visit visits time times occasion occasions "
     "point points step steps "
     "bond bonds note notes apartment apartments parking space spaces square cubic site sites location "
     "locations system systems "
     "sample samples sheet sheets bag bags box boxes pallet pallets container containers nurse nurses "
     "worker workers student students "
     "patient patients child children guest guests bed beds turn turns bolt bolts screw screws"},
};

/* ---- values ---- */
static const struct {
    const char *word;
    double value;
} values[] = {
    {"zero", 0},         {"one", 1},           {"two", 2},
    {"three", 3},        {"four", 4},          {"five", 5},
    {"six", 6},          {"seven", 7},         {"eight", 8},
    {"nine", 9},         {"ten", 10},          {"eleven", 11},
    {"twelve", 12},      {"thirteen", 13},     {"fourteen", 14},
    {"fifteen", 15},     {"sixteen", 16},      {"seventeen", 17},
    {"eighteen", 18},    {"nineteen", 19},     {"twenty", 20},
    {"thirty", 30},      {"forty", 40},        {"fourty", 40},
    {"fifty", 50},       {"sixty", 60},        {"seventy", 70},
    {"eighty", 80},      {"ninety", 90},       {"hundred", 100},
    {"hundreds", 100},   {"dozen", 12},        {"thousand", 1e3},
    {"thousands", 1e3},  {"million", 1e6},     {"millions", 1e6},
    {"billion", 1e9},    {"billions", 1e9},    {"trillion", 1e12},
    {"half", 0.5},       {"halves", 0.5},      {"third", 3},
    {"thirds", 3},       {"quarter", 4},       {"quarters", 4},
    {"fourth", 4},       {"fourths", 4},       {"fifth", 5},
    {"fifths", 5},       {"sixth", 6},         {"sixths", 6},
    {"eighth", 8},       {"eighths", 8},       {"tenth", 10},
    {"tenths", 10},      {"sixteenth", 16},    {"sixteenths", 16},
    {"twelfth", 12},     {"twelfths", 12},     {"hundredth", 100},
    {"hundredths", 100}, {"thousandth", 1000}, {"thousandths", 1000},
    {"first", 1},        {"second", 2},        {"seventh", 7},
    {"ninth", 9},        {"eleventh", 11},     {"thirteenth", 13},
    {"fourteenth", 14},  {"fifteenth", 15},    {"seventeenth", 17},
    {"eighteenth", 18},  {"nineteenth", 19},   {"twentieth", 20},
    {"thirtieth", 30},
};

struct pair {
    const char *word, *means;
};

static const struct pair currencies[] = {
    {"$", "USD"},       {"€", "EUR"},       {"£", "GBP"},      {"¥", "JPY"},        {"₹", "INR"},
    {"₩", "KRW"},       {"₽", "RUB"},     {"₺", "TRY"},      {"₪", "ILS"},        {"us$", "USD"},
    {"u.s.$", "USD"},   {"usd", "USD"},     {"dollar", "USD"}, {"dollars", "USD"},  {"euro", "EUR"},
    {"euros", "EUR"},   {"eur", "EUR"},     {"gbp", "GBP"},    {"sterling", "GBP"}, {"pounds", "GBP"},
    {"pound", "GBP"},   {"chf", "CHF"},     {"francs", "CHF"}, {"franc", "CHF"},    {"jpy", "JPY"},
    {"yen", "JPY"},     {"cad", "CAD"},     {"aud", "AUD"},    {"nzd", "NZD"},      {"hkd", "HKD"},
    {"sgd", "SGD"},     {"cny", "CNY"},     {"rmb", "CNY"},    {"renminbi", "CNY"}, {"yuan", "CNY"},
    {"inr", "INR"},     {"rs", "INR"},      {"rupee", "INR"},  {"rupees", "INR"},   {"sek", "SEK"},
    {"nok", "NOK"},     {"dkk", "DKK"},     {"pln", "PLN"},    {"zloty", "PLN"},    {"czk", "CZK"},
    {"huf", "HUF"},     {"ron", "RON"},     {"mxn", "MXN"},    {"pesos", "MXN"},    {"brl", "BRL"},
    {"reais", "BRL"},   {"zar", "ZAR"},     {"rand", "ZAR"},   {"krw", "KRW"},      {"won", "KRW"},
    {"ils", "ILS"},     {"shekels", "ILS"}, {"aed", "AED"},    {"dirhams", "AED"},  {"sar", "SAR"},
    {"try", "TRY"},     {"thb", "THB"},     {"baht", "THB"},   {"rub", "RUB"},      {"rubles", "RUB"},
    {"roubles", "RUB"}, {"kronor", "SEK"},  {"kroner", "NOK"}, {"twd", "TWD"},      {"myr", "MYR"},
    {"idr", "IDR"},     {"php", "PHP"},     {"dem", "DEM"},    {"frf", "FRF"},      {"cop", "COP"},
    {"clp", "CLP"},     {"ars", "ARS"},     {"kes", "KES"},    {"ngn", "NGN"},      {"egp", "EGP"},
    {"isk", "ISK"},     {"bgn", "BGN"},     {"uah", "UAH"},    {"kwd", "KWD"},      {"qar", "QAR"},
    {"vnd", "VND"},
};

static const struct pair times[] = {
    {"day", "day"},
    {"days", "day"},
    {"week", "week"},
    {"weeks", "week"},
    {"month", "month"},
    {"months", "month"},
    {"mos", "month"},
    {"year", "year"},
    {"years", "year"},
    {"yr", "year"},
    {"yrs", "year"},
    {"hour", "hour"},
    {"hours", "hour"},
    {"hr", "hour"},
    {"hrs", "hour"},
    {"h", "hour"},
    {"minute", "minute"},
    {"minutes", "minute"},
    {"mins", "minute"},
    {"second", "second"},
    {"seconds", "second"},
    {"quarter", "quarter"},
    {"quarters", "quarter"},
    {"fortnight", "fortnight"},
    {"fortnights", "fortnight"},
    {"decade", "decade"},
    {"decades", "decade"},
    {"weekday", "day"},
    {"weekdays", "day"},
};

/* Words whose canonical unit is not the word itself or its singular. */
static const struct pair units[] = {
    {"nm", "Nm"},
    {"n·m", "Nm"},
    {"millimetre", "mm"},
    {"millimetres", "mm"},
    {"millimeter", "mm"},
    {"millimeters", "mm"},
    {"centimetre", "cm"},
    {"centimetres", "cm"},
    {"centimeter", "cm"},
    {"centimeters", "cm"},
    {"metre", "m"},
    {"metres", "m"},
    {"meter", "m"},
    {"meters", "m"},
    {"kilometre", "km"},
    {"kilometres", "km"},
    {"kilometer", "km"},
    {"kilometers", "km"},
    {"inch", "in"},
    {"inches", "in"},
    {"foot", "ft"},
    {"feet", "ft"},
    {"yard", "yd"},
    {"yards", "yd"},
    {"mile", "mi"},
    {"miles", "mi"},
    {"kilogram", "kg"},
    {"kilograms", "kg"},
    {"kilogramme", "kg"},
    {"kilogrammes", "kg"},
    {"gram", "g"},
    {"grams", "g"},
    {"lbs", "lb"},
    {"tonnes", "t"},
    {"tonne", "t"},
    {"ton", "ton"},
    {"tons", "ton"},
    {"kw", "kW"},
    {"kilowatt", "kW"},
    {"kilowatts", "kW"},
    {"w", "W"},
    {"watt", "W"},
    {"watts", "W"},
    {"mw", "MW"},
    {"megawatt", "MW"},
    {"megawatts", "MW"},
    {"kwh", "kWh"},
    {"mwh", "MWh"},
    {"kva", "kVA"},
    {"v", "V"},
    {"volt", "V"},
    {"volts", "V"},
    {"mv", "mV"},
    {"kv", "kV"},
    {"a", "A"},
    {"amp", "A"},
    {"amps", "A"},
    {"ampere", "A"},
    {"amperes", "A"},
    {"ma", "mA"},
    {"ah", "Ah"},
    {"mah", "mAh"},
    {"hz", "Hz"},
    {"khz", "kHz"},
    {"mhz", "MHz"},
    {"ghz", "GHz"},
    {"pa", "Pa"},
    {"kpa", "kPa"},
    {"mpa", "MPa"},
    {"hpa", "hPa"},
    {"celsius", "°C"},
    {"°c", "°C"},
    {"°f", "°F"},
    {"fahrenheit", "°F"},
    {"degree", "°"},
    {"degrees", "°"},
    {"kelvin", "K"},
    {"litre", "l"},
    {"litres", "l"},
    {"liter", "l"},
    {"liters", "l"},
    {"gallon", "gal"},
    {"gallons", "gal"},
    {"db", "dB"},
    {"dba", "dB(A)"},
    {"decibels", "dB"},
    {"ohm", "Ω"},
    {"ohms", "Ω"},
    {"ω", "Ω"},
    {"n", "N"},
    {"kn", "kN"},
    {"j", "J"},
    {"kj", "kJ"},
    {"mj", "MJ"},
    {"kb", "kB"},
    {"mb", "MB"},
    {"gb", "GB"},
    {"tb", "TB"},
    {"bytes", "byte"},
    {"bits", "bit"},
    {"m2", "m²"},
    {"sqm", "m²"},
    {"m3", "m³"},
    {"hectare", "ha"},
    {"hectares", "ha"},
    {"μm", "µm"},
    {"people", "person"},
    {"persons", "person"},
    {"copies", "copy"},
    {"licences", "licence"},
    {"licenses", "licence"},
    {"license", "licence"},
    {"instalment", "installment"},
    {"instalments", "installment"},
    {"children", "child"},
    {"boxes", "box"},
    {"mbit", "Mbit"},
    {"mbps", "Mbit/s"},
    {"gbps", "Gbit/s"},
    {"kbps", "kbit/s"},
    {"rpm", "rpm"},
    {"ntu", "NTU"},
    {"joule", "J"},
    {"joules", "J"},
    {"newton", "N"},
    {"newtons", "N"},
    {"pascal", "Pa"},
    {"milligram", "mg"},
    {"milligrams", "mg"},
    {"microgram", "µg"},
    {"micrograms", "µg"},
    {"millilitre", "ml"},
    {"millilitres", "ml"},
    {"milliliter", "ml"},
    {"milliliters", "ml"},
    {"lumens", "lumen"},
    {"lux", "lux"},
    {"psi", "psi"},
    {"bus", "bus"},
};

/* ---- the hash table ---- */
#define SLOTS 8192u
struct entry {
    const char *word;
    uint16_t len;
    uint32_t classes;
    double value;
    const char *currency, *time, *unit;
};
static struct entry table[SLOTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t hash(const char *s, size_t len) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < len; i++) h = (h ^ (uint8_t)s[i]) * 16777619u;
    return h;
}

static struct entry *slot(const char *s, size_t len) {
    uint32_t i = hash(s, len) % SLOTS;
    while (table[i].word && (table[i].len != len || memcmp(table[i].word, s, len) != 0)) i = (i + 1) % SLOTS;
    return &table[i];
}

static struct entry *add(const char *s, size_t len) {
    struct entry *t = slot(s, len);
    if (!t->word) *t = (struct entry){.word = s, .len = (uint16_t)len, .value = NAN};
    return t;
}

static void build(void) {
    size_t n = 0;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *p = lines[i].words;
        while (*p) {
            size_t len = strcspn(p, " ");
            if (len) add(p, len)->classes |= lines[i].classes, n++;
            p += len;
            p += strspn(p, " ");
        }
    }
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        add(values[i].word, strlen(values[i].word))->value = values[i].value;
    for (size_t i = 0; i < sizeof currencies / sizeof *currencies; i++) {
        struct entry *t = add(currencies[i].word, strlen(currencies[i].word));
        t->currency = currencies[i].means;
        t->classes |= LEX_C_CURRENCY;
    }
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        add(times[i].word, strlen(times[i].word))->time = times[i].means;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct entry *t = add(units[i].word, strlen(units[i].word));
        t->unit = units[i].means;
        t->classes |= LEX_C_UNIT;
    }
    assert(n < SLOTS / 2);
}

static const struct entry *find(const char *word, size_t len) {
    pthread_once(&once, build);
    const struct entry *t = slot(word, len);
    return t->word ? t : NULL;
}

uint32_t vocabulary_classes(const char *word, size_t len) {
    const struct entry *t = find(word, len);
    return t ? t->classes : 0;
}

double vocabulary_number(const char *word, size_t len) {
    const struct entry *t = find(word, len);
    return t ? t->value : NAN;
}

const char *vocabulary_currency(const char *word, size_t len) {
    const struct entry *t = find(word, len);
    return t ? t->currency : NULL;
}

struct slice vocabulary_unit(const char *word, size_t len) {
    const struct entry *t = find(word, len);
    if (!t || !(t->classes & LEX_C_UNIT)) return (struct slice){"", 0};
    if (t->unit) return slice_of(t->unit);
    if (len > 3 && word[len - 1] == 's' && word[len - 2] != 's') { /* the singular, when the vocabulary has it */
        const struct entry *s = find(word, len - 1);
        if (s && (s->classes & LEX_C_UNIT)) return s->unit ? slice_of(s->unit) : (struct slice){s->word, s->len};
    }
    return (struct slice){t->word, t->len};
}

const char *vocabulary_time(const char *word, size_t len) {
    const struct entry *t = find(word, len);
    return t ? t->time : NULL;
}

int vocabulary_month(const char *word, size_t len) {
    static const char prefix[12][4] = {"jan", "feb", "mar", "apr", "may", "jun",
                                       "jul", "aug", "sep", "oct", "nov", "dec"};
    const struct entry *t = find(word, len);
    if (!t || !(t->classes & LEX_C_MONTH)) return 0;
    for (int m = 0; m < 12; m++)
        if (memcmp(word, prefix[m], 3) == 0) return m + 1;
    return 0;
}
