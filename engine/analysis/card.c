/* card.c: the model's card: how a model is used, in numbers that were measured on it. Owns the defaults and the check
 * of foreign values; refuses prompts that this program does not know. Format: engine/models/card.json (a JSON object;
 * every field may be absent). A model without a card has the defaults of the way in which its vocabulary can be asked.
 *
 * The defaults are careful ones for a model of unknown quality. */
#include "engine/analysis/inside.h"

#include <string.h>

enum {
    WINDOW_MIN = 256,
    WINDOW_MAX = 4 * 1024 * 1024,
    CHAT_ROOM = 8192,
    PASSAGES_MAX = 64,
    STATEMENT_TOKENS_MAX = 4096
};

void card_default(struct card *c, enum prompting by, uint32_t context) {
    *c = (struct card){
        .prompts = by,
        .embeds = true,
        .effective_window = 12000,
        .search_window = 4000,
        .decide_window = 1000,
        .decide_passages = 4,
        .none_threshold = 0.5f,
        .far = {-2, 0.5f}, /* no cosine is so low, */
        .remote = {-2, 0.5f},
        .value = {2, 0.5f}, /* none so high */
        .evidence_by_reading = false,
        .short_answers = true,
        .pair_possible = 0.5f,
        .pair_sure = 0.95f,
        .vector_weight = 1.0f,
        .bm25_weight = 0.5f,
        .exact_weight = 0.5f,
        .embed_max_tokens = 150,
        .pair_max_tokens = 200,
    };
    if (by != PROMPT_CHAT) return;
    /* A published model reads all of its context, quotes what it finds there, and has no vectors. Of its context a part
     * is left for the question, quotes and answers. */
    c->embeds = false;
    c->effective_window = context - (context / 4 < CHAT_ROOM ? context / 4 : CHAT_ROOM);
    if (c->effective_window < WINDOW_MIN) c->effective_window = WINDOW_MIN;
    c->search_window = c->effective_window;
    c->decide_window = 0;
    c->evidence_by_reading = true;
    c->vector_weight = 0;
}

static int read_count(const json_t *j, const char *name, uint32_t min, uint32_t max, uint32_t *out, struct error *e) {
    const json_t *v = json_object_get(j, name);
    if (!v) return 0;
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
        return error_set(e, ERR_FORMAT, "card.json", "The model's card: \"%s\" must be a whole number from %u to %u.",
                         name, min, max);
    *out = (uint32_t)json_integer_value(v);
    return 0;
}

static int read_number(const json_t *j, const char *name, double min, double max, float *out, struct error *e) {
    const json_t *v = json_object_get(j, name);
    if (!v) return 0;
    if (!json_is_number(v) || json_number_value(v) < min || json_number_value(v) > max)
        return error_set(e, ERR_FORMAT, "card.json", "The model's card: \"%s\" must be a number from %g to %g.", name,
                         min, max);
    *out = (float)json_number_value(v);
    return 0;
}

static int read_bound(const json_t *j, struct card_bound *b, struct error *e) {
    int rc = read_number(j, "cosine", -2, 2, &b->cosine, e);
    return rc ? rc : read_number(j, "threshold", 0, 1, &b->threshold, e);
}

int card_parse(struct card *c, const char *json, enum prompting by, uint32_t context, struct error *e) {
    static const char *const ways[] = {[PROMPT_CONTROL_TOKENS] = "antinomy-control-tokens", [PROMPT_CHAT] = "chat"};
    card_default(c, by, context);
    if (!json || !*json) return 0;
    json_error_t je;
    json_t *j = json_loads(json, JSON_REJECT_DUPLICATES, &je);
    if (!json_is_object(j)) {
        json_decref(j);
        return error_set(e, ERR_FORMAT, "card.json", "The model's card is not a JSON object: %s (line %d).", je.text,
                         je.line);
    }
    int rc;
    const json_t *prompts = json_object_get(j, "prompts");
    const char *way = prompts ? json_string_value(prompts) : ways[by];
    for (by = PROMPT_CONTROL_TOKENS; way && by <= PROMPT_CHAT && strcmp(way, ways[by]) != 0;) by++;
    if (way && by <= PROMPT_CHAT) {
        card_default(c, by, context);
    } else {
        rc = error_set(e, ERR_UNSUPPORTED, "card.json",
                       "The model's card names a way of prompting that this program does not know: %s.",
                       json_is_string(prompts) ? json_string_value(prompts) : "(no name)");
        goto done;
    }
    if ((rc = read_count(j, "effective_window", WINDOW_MIN, WINDOW_MAX, &c->effective_window, e))) goto done;
    c->search_window = c->effective_window;
    if ((rc = read_count(j, "search_window", WINDOW_MIN, WINDOW_MAX, &c->search_window, e)) ||
        (rc = read_count(j, "decide_window", 0, WINDOW_MAX, &c->decide_window, e)) ||
        (rc = read_count(j, "decide_passages", 1, PASSAGES_MAX, &c->decide_passages, e)) ||
        (rc = read_number(j, "none_threshold", 0, 1, &c->none_threshold, e)) ||
        (rc = read_number(j, "known_words", 0, 1, &c->known_words, e)) ||
        (rc = read_number(j, "pair_possible", 0, 1, &c->pair_possible, e)) ||
        (rc = read_number(j, "pair_sure", 0, 1, &c->pair_sure, e)) ||
        (rc = read_count(j, "embed_max_tokens", 8, STATEMENT_TOKENS_MAX, &c->embed_max_tokens, e)) ||
        (rc = read_count(j, "pair_max_tokens", 8, STATEMENT_TOKENS_MAX, &c->pair_max_tokens, e)))
        goto done;
    if (c->search_window > c->effective_window) c->search_window = c->effective_window;
    const json_t *evidence = json_object_get(j, "evidence_by");
    if (evidence) {
        const char *s = json_is_string(evidence) ? json_string_value(evidence) : "";
        if (strcmp(s, "search") != 0 && strcmp(s, "reading") != 0) {
            rc = error_set(e, ERR_FORMAT, "card.json",
                           "The model's card: \"evidence_by\" must be \"search\" or \"reading\".");
            goto done;
        }
        c->evidence_by_reading = strcmp(s, "reading") == 0;
    }
    const json_t *sa = json_object_get(j, "short_answers");
    if (sa) c->short_answers = json_is_true(sa);
    const json_t *far = json_object_get(j, "none_far");
    if ((rc = read_bound(far, &c->far, e)) || (rc = read_number(far, "lead", 0, 100, &c->far_lead, e)) ||
        (rc = read_bound(json_object_get(j, "none_remote"), &c->remote, e)) ||
        (rc = read_bound(json_object_get(j, "none_value"), &c->value, e)))
        goto done;
    const json_t *w = json_object_get(j, "search");
    if (w && ((rc = read_number(w, "vector", 0, 100, &c->vector_weight, e)) ||
              (rc = read_number(w, "bm25", 0, 100, &c->bm25_weight, e)) ||
              (rc = read_number(w, "exact", 0, 100, &c->exact_weight, e)) ||
              (rc = read_number(w, "value", 0, 100, &c->value_weight, e))))
        goto done;
done:
    json_decref(j);
    return rc;
}
