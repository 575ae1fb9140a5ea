/* lexicon.c: words -> lexemes. Owns the stems, a light thesaurus of general and legal English, the list of words that
 * carry little, and the groups of qualifiers that exclude each other ("initial"/"renewal", "gross"/"net").
 *
 * The stemmer is our own: it cuts plural, -ing, -ed and the commonest derivations so that "terminate", "terminated" and
 * "termination" meet. It need not give words, only the same string for the same word. Nothing here is tied to a
 * document.
 */
#include "engine/analysis/detect.h"

#include <stdlib.h>
#include <string.h>

#define LEXICON_SLOTS 4096
#define WORD_MAX 63

static bool is_vowel(char c) {
    return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u' || c == 'y';
}
static bool has_vowel(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (is_vowel(s[i])) return true;
    return false;
}
static bool ends(const char *s, size_t n, const char *suffix) {
    size_t k = strlen(suffix);
    return n >= k && memcmp(s + n - k, suffix, k) == 0;
}
/* Cuts the suffix if at least `keep` letters stay. */
static bool cut(const char *s, size_t *n, const char *suffix, size_t keep) {
    size_t k = strlen(suffix);
    if (!ends(s, *n, suffix) || *n < k + keep) return false;
    *n -= k;
    return true;
}

size_t lexicon_stem(const char *s, size_t len, char out[64]) {
    size_t n = len > WORD_MAX ? WORD_MAX : len;
    for (size_t i = 0; i < n; i++) out[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
    if (n <= 3) return n;
    /* plural */
    if (ends(out, n, "ies") && n > 4) {
        n -= 2;
        out[n - 1] = 'y';
    } else if (ends(out, n, "sses") || ends(out, n, "xes") || ends(out, n, "ches") || ends(out, n, "shes")) {
        n -= 2;
    } else if (out[n - 1] == 's' && !ends(out, n, "ss") && !ends(out, n, "us") && !ends(out, n, "is")) {
        n--;
    }
    /* -ing, -ed */
    if (ends(out, n, "ied") && n > 4) {
        n -= 2;
        out[n - 1] = 'y';
    } else if ((ends(out, n, "ing") && n > 5 && has_vowel(out, n - 3) && (n -= 3)) ||
               (ends(out, n, "ed") && !ends(out, n, "eed") && n > 4 && has_vowel(out, n - 2) && (n -= 2))) {
        if (n > 3 && out[n - 1] == out[n - 2] && !strchr("lsz", out[n - 1])) n--;
    }
    /* derivations, longest first */
    if (cut(out, &n, "isation", 3) || cut(out, &n, "ization", 3) || cut(out, &n, "ise", 4) || cut(out, &n, "ize", 4)) {
    } else if (cut(out, &n, "fication", 3) || cut(out, &n, "fy", 3)) {
    } else if (cut(out, &n, "ation", 4)) {
    } else if (ends(out, n, "tion") && n > 6) {
        n -= 3;
    } else if (ends(out, n, "sion") && n > 6) {
        n -= 3;
    } else if (cut(out, &n, "ment", 3) || cut(out, &n, "ance", 4) || cut(out, &n, "ence", 4) ||
               cut(out, &n, "ness", 4)) {
    } else if (cut(out, &n, "able", 3) || cut(out, &n, "ible", 4) || cut(out, &n, "ability", 4)) {
    } else if (cut(out, &n, "ery", 4)) {
        out[n++] = 'e';
        out[n++] = 'r';
    } else if (cut(out, &n, "ally", 4) || cut(out, &n, "ly", 4) || cut(out, &n, "al", 4)) {
    }
    if (n > 7) cut(out, &n, "ive", 5);
    if (n > 6) cut(out, &n, "ate", 4);
    if (n > 5) cut(out, &n, "at", 4);
    if (n > 3 && out[n - 1] == 'e') n--;
    if (n > 3 && out[n - 1] == 'y') out[n - 1] = 'i';
    if (n > 4 && out[n - 1] == 'l' && out[n - 2] == 'l') n--;
    return n;
}

/* ---- tables ---- */
static const char *const function_words = "a an the this that these those such any all each every both either neither "
                                          "other another some no not nor only own same so than too very "
                                          "and or but if unless while as at by for from in into of off on onto out "
                                          "over to under up upon with within without about above after again "
                                          "against among before behind below between beyond during except inside near "
                                          "per since through throughout toward towards until till via "
                                          "i you he she it we they me him her us them my your his its our their mine "
                                          "yours hers ours theirs who whom whose which what where when why how "
                                          "is am are was were be been being do does did doing done have has had having "
                                          "shall will must may might can could should would ought need "
                                          "there here hereby herein hereof hereto hereunder hereinafter thereof "
                                          "therein thereto thereunder thereafter therefor therefore thereby "
                                          "wherein whereas whereby whereof also else even ever just more most much "
                                          "many less least few further then once thus hence however "
                                          "already yet still always never often whether because although though s t d "
                                          "ll re ve etc eg ie viz namely respectively accordingly "
                                          "including include includes included without limitation limited "
                                          "notwithstanding provided providing subject according pursuant "
                                          "accordance respect regard regarding concerning relating related relation "
                                          "connection case event extent purpose purposes one ones "
                                          "cannot nothing none nobody well set forth make makes made making get gets "
                                          "got give gives given giving take takes taken taking took "
                                          "applicable apply applies applied relevant respective certain various "
                                          "following foregoing aforesaid said mentioned above-mentioned "
                                          "approximately approx circa about around roughly nearly almost exactly up-to";
/* Words that occur everywhere in such documents and say little about what a statement is about. */
static const char *const light_words =
    "agreement contract document section clause article paragraph schedule exhibit appendix annex part chapter "
    "subsection party parties term "
    "terms condition conditions provision provisions date day days week weeks month months year years time times "
    "period amount amounts number "
    "sum value percent percentage rate total unit units way manner means mean kind type case use used using "
    "basis "
    "person persons company least most entitled required require requires shall obliged obligated permitted allowed "
    "allow allows "
    "duty obligation written writing entitle relevant calculated equal equals amounting amount reach reaches remain "
    "remains hold held "
    "state states stated specified specify described describe set fixed agreed agree agrees come comes go goes be "
    "become becomes see "
    "maximum minimum necessary due provide provides ensure ensures include general current currently present new "
    "additional interval frequency item task "
    "appropriate reasonable business calendar "
    "usd eur gbp chf jpy dollar dollars euro euros pound pounds cent cents million billion thousand hundred";

static const char *const months =
    "january february march april may june july august september october november december";
static const char *const weekdays = "monday tuesday wednesday thursday friday saturday sunday";
static const char *const company_words = "inc incorporated ltd limited llc llp lp plc corp corporation co company gmbh "
                                         "ag kg sa sarl srl spa bv nv as asa ab oy pty pte sas se na "
                                         "kgaa aps oyj sro doo zoo group holding holdings";
static const char *const number_words =
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty "
    "thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half dozen";

/* One meaning a line; the first word stands for all. General words of trade, law and technology, no names of roles that
 * could be two parties of one deal. */
static const char *const thesaurus[] = {
    "end expire expiry expiration lapse cease",
    "begin began begun commence commencement start",
    "mature matures maturity",
    "buy bought purchase procure",
    "fee charge",
    "warranty guarantee warrant",
    "notify notice notification inform",
    "deliver delivery ship shipment dispatch despatch",
    "pay payment paid settle remit",
    "invoice bill",
    "repair fix mend remedy rectify",
    "employee staff personnel worker",
    "yearly annual annually annum",
    "monthly month",
    "weekly week",
    "daily day",
    "quarterly quarter",
    "hourly hour",
    "maximum max ceiling cap limit highest largest greatest",
    "minimum min floor lowest smallest",
    "confidential confidentiality secrecy secret nondisclosure",
    "renew renewal prolong extend extension",
    "permit allow permission authorise authorize",
    "prohibit forbid forbidden prohibited ban",
    "liable liability",
    "subcontract subcontractor outsource",
    "retain keep kept store retention preserve",
    "overdue late delayed delay arrears",
    "rent rental",
    "salary wage remuneration compensation",
    "holiday vacation",
    "loan borrowing",
    "borrower debtor",
    "lender creditor",
    "repay repaid repayment reimburse reimbursement refund",
    "price cost pricing",
    "rebate discount reduction",
    "temperature temp",
    "weight weigh weighs mass",
    "operate operation operating",
    "replace replacement substitute exchange",
    "inspect inspection examine examination",
    "defect defective fault faulty",
    "assign assignment transfer",
    "insure insurance coverage",
    "reply respond response answer",
    "maintain maintenance service servicing",
    "receive receipt",
    "consent approval approve",
    "breach default violation violate",
    "audit auditor",
    "train training course",
    "recall withdrawal revoke revocation",
    "copy duplicate",
    "resign resignation",
    "vote voting",
    "store storage",
    "speed velocity",
    "torque tightening",
    "own owner ownership",
    "ton tonne",
    "electricity electrical",
    "return give-back redelivery redeliver",
    "report reporting",
    "request ask",
    "client customer",
    "lessee tenant",
    "lessor landlord",
    "vendor seller supplier",
    "purchaser buyer",
    "licence license licensing",
    "programme program",
    "grant award",
    "claim demand",
    "consignment shipment",
    "increase raise rise",
    "decrease lower reduce fall",
    "accept acceptance",
    "reject refuse refusal",
    "test testing",
    "submit submission",
    "disclose disclosure",
    "use used usage utilise utilize",
    "publish publication",
    "sell sold sale",
    "send sent",
    "build built",
    "lend lent",
    "choose chosen choice",
    "withdraw withdrawn",
    "draw drawn drew",
    "lose lost loss",
    "break broken",
    "spend spent",
    "meet met",
    "wear worn",
    "write written wrote",
    "undertake undertaken undertook",
    "teach taught",
    "bind bound",
    "bear borne bore",
    "run ran",
    "wind wound",
    "freeze frozen froze",
    "drive driven drove",
    "choose chose",
};

/* Words of one line exclude each other when one side has the one and the other side the other. '/' separates members;
 * words of one member mean the same here. */
static const char *const groups[] = {
    "initial first original base primary / renewal extended subsequent additional successive further / second "
    "secondary / third / fourth / fifth / sixth / final last",
    "annual yearly year / monthly month / quarterly quarter / weekly week / daily / hourly hour / biennial / "
    "semiannual half-yearly",
    "gross / net",
    "minimum least min / maximum max most cap ceiling",
    "late overdue / early prepayment premature advance / timely",
    "domestic national inland / international foreign export overseas abroad cross-border",
    "inbound incoming / outbound outgoing",
    "upper top / lower bottom / middle",
    "front / rear back",
    "left / right-hand",
    "senior / junior",
    "full-time fulltime / part-time parttime",
    "adult / child children minor",
    "single / double / triple",
    "standard regular ordinary basic / express expedited urgent rush priority / premium enhanced gold platinum / "
    "enterprise professional",
    "direct / indirect consequential",
    "internal / external",
    "input inlet intake suction / output outlet discharge exhaust",
    "import / export",
    "summer / winter / spring / autumn",
    "peak / off-peak offpeak",
    "fixed / variable floating",
    "opening / closing",
    "primary / backup standby spare",
    "permanent / temporary interim",
    "hot / cold",
    "charging / discharging",
    "public / private",
    "voluntary / involuntary compulsory",
    "oral / written",
    "material / immaterial non-material",
    "residential / commercial industrial",
    "residents resident / visitors visitor",
    "employer / employee",
    "lender creditor / borrower debtor",
    "landlord lessor / tenant lessee",
    "supplier vendor seller / customer buyer purchaser client",
    "licensor / licensee",
    "contractor / employer owner",
    "assignor / assignee",
    "franchisor / franchisee",
    "insurer / insured policyholder",
    "indoor indoors / outdoor outdoors",
    "paid / unpaid",
    "taxable / exempt",
    "minor / major / critical / serious",
    "north northern / south southern / east eastern / west western",
    "short short-term / long long-term medium",
    "physical / electronic digital / paper",
    "hardware / software firmware",
    "tangible / intangible",
    "current / non-current noncurrent former previous prior preceding / next following future",
    "actual / budgeted planned forecast target estimated projected",
    "production / development / staging",
    "claim occurrence event incident / aggregate",
    "men male / women female",
    "morning / afternoon evening / night",
    "weekday weekdays / weekend weekends",
    "rated nominal / peak / continuous",
    "primary / tertiary",
    "dry / wet",
    "new / used renewed refurbished / existing",
    "disclosing / receiving",
    "convenience / cause breach default",
    "death / disability / resignation / retirement",
    "installation / removal dismantling",
    "entry arrival check-in / exit departure check-out",
    "storage / operation operating transport",
    "purchase buying / sale selling / lease rental hire",
    "principal / interest",
    "revenue income / expense expenses cost / profit",
    "assets / liabilities",
};

#define FUNCTION_KEY '\x02'

static uint32_t known(const struct lexicon *x, const char *s, size_t len) {
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    size_t mask = x->n_slots - 1;
    for (size_t k = (size_t)(h ^ (h >> 32)) & mask; x->slots[k]; k = (k + 1) & mask) {
        const struct lexeme *l = &x->items[x->slots[k] - 1];
        if (l->stem.len == len && memcmp(l->stem.data, s, len) == 0) return x->slots[k] - 1;
    }
    return UINT32_MAX;
}

static uint32_t find(struct lexicon *x, const char *s, size_t len) {
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    size_t mask = x->n_slots - 1, k = (size_t)(h ^ (h >> 32)) & mask;
    for (; x->slots[k]; k = (k + 1) & mask) {
        const struct lexeme *l = &x->items[x->slots[k] - 1];
        if (l->stem.len == len && memcmp(l->stem.data, s, len) == 0) return x->slots[k] - 1;
    }
    /* new: grow at half full, then insert */
    if ((x->n + 1) * 2 > x->n_slots) {
        size_t n_slots = x->n_slots * 2;
        uint32_t *slots = calloc(n_slots, sizeof *slots);
        if (!slots) return UINT32_MAX;
        for (size_t i = 0; i < x->n; i++) {
            uint64_t g = 1469598103934665603u;
            for (size_t j = 0; j < x->items[i].stem.len; j++)
                g = (g ^ (unsigned char)x->items[i].stem.data[j]) * 1099511628211u;
            size_t q = (size_t)(g ^ (g >> 32)) & (n_slots - 1);
            while (slots[q]) q = (q + 1) & (n_slots - 1);
            slots[q] = (uint32_t)i + 1;
        }
        free(x->slots);
        x->slots = slots;
        x->n_slots = n_slots;
        mask = n_slots - 1;
        k = (size_t)(h ^ (h >> 32)) & mask;
        while (x->slots[k]) k = (k + 1) & mask;
    }
    void *items = x->items;
    if (array_grow(&items, &x->cap, x->n + 1, sizeof *x->items, NULL)) return UINT32_MAX;
    x->items = items;
    struct slice copy = arena_slice(x->arena, (struct slice){s, len});
    if (!copy.data) return UINT32_MAX;
    x->items[x->n] = (struct lexeme){.stem = copy};
    x->slots[k] = (uint32_t)++x->n;
    return (uint32_t)x->n - 1;
}

uint32_t lexicon_exact(struct lexicon *x, const char *s, size_t len) {
    return find(x, s, len);
}

/* A synonym keeps its own lexeme, marked by group[0] = SYNONYM; its df is then the id of the word that stands for it.
 */
#define SYNONYM UINT16_MAX

/* Function words are known as they are written, not by stem: "apply" is none because "applicable" is. Their key begins
 * with a control character that no word has. Returns the id or UINT32_MAX. */
static uint32_t function_word(struct lexicon *x, const char *s, size_t len, bool add) {
    char key[24] = {FUNCTION_KEY};
    if (len + 1 >= sizeof key) return UINT32_MAX;
    for (size_t i = 0; i < len; i++) key[i + 1] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
    return add ? find(x, key, len + 1) : known(x, key, len + 1);
}

uint32_t lexicon_word(struct lexicon *x, const char *s, size_t len) {
    uint32_t function = function_word(x, s, len, false);
    if (function != UINT32_MAX) return function;
    char stem[64];
    size_t n = lexicon_stem(s, len, stem);
    uint32_t id = find(x, stem, n);
    if (id == UINT32_MAX) return id;
    return x->items[id].group[0] == SYNONYM ? x->items[id].df : id;
}

static int mark_all(struct lexicon *x, const char *words, uint32_t flag, bool stem) {
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        uint32_t id = stem ? lexicon_word(x, p, n) : find(x, p, n);
        if (id == UINT32_MAX) return ERR_NOMEM;
        x->items[id].flags |= flag;
        p += n;
        p += strspn(p, " ");
    }
    return 0;
}

int lexicon_init(struct lexicon *x, struct arena *a, struct error *e) {
    *x = (struct lexicon){.arena = a, .n_slots = LEXICON_SLOTS};
    x->slots = calloc(x->n_slots, sizeof *x->slots);
    if (!x->slots) return error_set(e, ERR_NOMEM, "", "out of memory");
    for (const char *p = function_words; *p;) {
        size_t n = strcspn(p, " ");
        uint32_t id = function_word(x, p, n, true);
        if (id == UINT32_MAX) goto nomem;
        x->items[id].flags |= LEXICON_FUNCTION;
        p += n;
        p += strspn(p, " ");
    }
    /* a synonym's lexeme points to the first word of its line; a word already placed stays where it is */
    for (size_t i = 0; i < sizeof thesaurus / sizeof *thesaurus; i++) {
        uint32_t head = UINT32_MAX;
        for (const char *p = thesaurus[i]; *p;) {
            size_t n = strcspn(p, " ");
            if (head == UINT32_MAX) {
                head = lexicon_word(x, p, n);
                if (head == UINT32_MAX) goto nomem;
            } else {
                char stem[64];
                size_t k = lexicon_stem(p, n, stem);
                uint32_t id = find(x, stem, k);
                if (id == UINT32_MAX) goto nomem;
                if (id != head && x->items[id].group[0] != SYNONYM) {
                    x->items[id].group[0] = SYNONYM;
                    x->items[id].df = head;
                }
            }
            p += n;
            p += strspn(p, " ");
        }
    }
    if (mark_all(x, light_words, LEXICON_LIGHT, true) || mark_all(x, months, LEXICON_MONTH, true) ||
        mark_all(x, weekdays, LEXICON_WEEKDAY, true) || mark_all(x, company_words, LEXICON_COMPANY, true) ||
        mark_all(x, number_words, LEXICON_NUMBER, true) ||
        mark_all(x, "not no never neither nor without cannot none nothing nobody non", LEXICON_NEGATION, true) ||
        mark_all(x, "day week month year hour minute second quarter", LEXICON_TIME, true))
        goto nomem;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        uint16_t member = 1;
        for (const char *p = groups[i]; *p;) {
            size_t n = strcspn(p, " ");
            if (n == 1 && *p == '/') {
                member++;
            } else {
                uint32_t id = lexicon_word(x, p, n);
                if (id == UINT32_MAX) goto nomem;
                struct lexeme *l = &x->items[id];
                int slot = l->group[0] == 0 ? 0 : l->group[1] == 0 ? 1 : -1;
                if (slot >= 0 && l->group[0] != (uint16_t)(i + 1)) {
                    l->group[slot] = (uint16_t)(i + 1);
                    l->member[slot] = member;
                }
            }
            p += n;
            p += strspn(p, " ");
        }
    }
    return 0;
nomem:
    return error_set(e, ERR_NOMEM, "", "out of memory");
}

void lexicon_free(struct lexicon *x) {
    free(x->items);
    free(x->slots);
    *x = (struct lexicon){0};
}

/* A group of qualifiers that names the two sides of a deal. */
bool lexicon_is_role(uint16_t group) {
    static const char *const roles[] = {"employer",   "lender",   "landlord",   "supplier", "licensor",
                                        "contractor", "assignor", "franchisor", "insurer"};
    if (group < 1 || group > sizeof groups / sizeof *groups) return false;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strncmp(groups[group - 1], roles[i], strlen(roles[i])) == 0) return true;
    return false;
}
