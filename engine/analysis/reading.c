/* reading.c: the whole set in one pass, kept: step 8 of the reader's path. Owns the choice of the longest saved reading
 * that is an exact prefix of the set, the extension, the saving; refuses to hand out the kept session itself: askers
 * get a fork.
 *
 * A reading is named by SHA-256 over its token ids (little-endian int32), which covers titles, order and control
 * tokens. A Mamba state cannot be rewound, so a reading is saved at the end, and once at the document border nearest
 * the middle of a long set: when the last document goes or changes, half of the work is still there. A set larger than
 * the window is read by what the search chose for the question: such a reading is not kept.
 */
#include "engine/analysis/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    QUESTION_ROOM = 4096,      /* tokens behind the documents: question, quotes, answer */
    SAVE_FROM_TOKENS = 256,    /* shorter readings are quicker read than restored */
    MIDDLE_FROM_TOKENS = 4000, /* sets from here on are also saved near the middle */
};
static const uint64_t QUOTA_BYTES = (uint64_t)8 << 30; /* of saved readings, all sets together; oldest use goes first */

static void hash_ids(const int32_t *ids, size_t n, uint8_t out[32]) {
    struct sha256 h;
    sha256_init(&h);
    sha256_update(&h, ids, n * sizeof *ids);
    sha256_final(&h, out);
}

static uint32_t room_for(const struct analysis *an, size_t n) {
    uint64_t want = n + (n < an->card.effective_window ? an->card.effective_window : 0) + QUESTION_ROOM;
    return want > UINT32_MAX ? UINT32_MAX : (uint32_t)want;
}

/* Saves the session's state under a fresh path. A failure loses nothing but time later: it is not the asker's error. */
static void save(struct analysis *an, const struct corpus *c, struct jamba_session *s, const int32_t *ids, size_t n,
                 size_t n_docs_read) {
    struct arena a = {0};
    struct error ignored;
    struct slice path = {0};
    uint8_t hash[32];
    int64_t *contents = arena_array(&a, n_docs_read ? n_docs_read : 1, sizeof *contents);
    size_t m = 0;
    bool written = false;
    if (!contents) goto done;
    for (size_t i = 0, read = 0; i < c->n_docs && read < n_docs_read; i++) {
        if (c->docs[i].duplicate) continue;
        contents[m++] = c->docs[i].entry.content;
        read++;
    }
    hash_ids(ids, n, hash);
    if (store_reading_path(an->store, &a, &path, &ignored) || !path.data) goto done;
    if (jamba_session_save(s, path.data, &ignored)) goto done;
    written = true;
    if (store_reading_add(an->store, c->set, jamba_model_id(an->model), hash, (uint32_t)n, contents, m, path,
                          &ignored)) {
        unlink(path.data); /* a document went meanwhile: its text must not stay in a snapshot */
        goto done;
    }
    store_readings_evict(an->store, QUOTA_BYTES, &ignored);
done:
    (void)written;
    arena_free(&a);
}

static bool is_prefix(const int32_t *ids, size_t n, const uint8_t hash[32], size_t n_prefix) {
    if (n_prefix == 0 || n_prefix > n) return false;
    uint8_t h[32];
    hash_ids(ids, n_prefix, h);
    return memcmp(h, hash, 32) == 0;
}

/* The longest state that the set begins with: the kept session or a saved one. *out NULL: none, start afresh. */
static int restore(struct analysis *an, struct corpus *c, const int32_t *ids, size_t n, uint32_t room,
                   struct jamba_session **out, size_t *n_restored, bool *saved, struct error *e) {
    struct arena a = {0};
    struct store_reading *rs = NULL;
    size_t n_rs = 0, best = 0;
    *out = NULL;
    *n_restored = 0;
    *saved = false;
    struct reading_kept *k = &an->kept;
    bool kept = k->session && k->set == c->set && k->n_ids <= n && k->max_tokens >= n + QUESTION_ROOM &&
                memcmp(k->ids, ids, k->n_ids * sizeof *ids) == 0;
    if (kept) best = k->n_ids;
    int rc = store_readings(an->store, &a, c->set, jamba_model_id(an->model), &rs, &n_rs, e);
    if (rc) goto done;
    for (size_t tries = 0; tries < n_rs; tries++) { /* longest first; a damaged file is passed over */
        const struct store_reading *r = NULL;
        for (size_t i = 0; i < n_rs; i++)
            if (rs[i].n_tokens > best && (!r || rs[i].n_tokens > r->n_tokens) &&
                is_prefix(ids, n, rs[i].prefix_hash, rs[i].n_tokens))
                r = &rs[i];
        if (!r) break;
        struct error why;
        if (jamba_session_restore(out, an->model, r->path.data, room, &why) == 0) {
            if (jamba_session_n_tokens(*out) == r->n_tokens) {
                *n_restored = r->n_tokens;
                *saved = true;
                store_reading_use(an->store, r->id, &why);
                goto done;
            }
            jamba_session_close(*out);
            *out = NULL;
        }
        rs[r - rs].n_tokens = 0;
    }
    if (kept) {
        rc = jamba_session_fork(out, k->session, e);
        *n_restored = k->n_ids;
        *saved = true;
    }
done:
    arena_free(&a);
    return rc;
}

/* Takes reading_lock; an asker who wants to stop need not wait for another's reading. */
static int lock_reading(struct analysis *an, const struct analysis_events *ev, struct error *e) {
    for (;;) {
        struct timespec at;
        clock_gettime(CLOCK_REALTIME, &at);
        at.tv_nsec += 200 * 1000 * 1000;
        if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
        int rc = pthread_mutex_timedlock(&an->reading_lock, &at);
        if (rc == 0) return 0;
        if (rc != ETIMEDOUT) return error_set(e, ERR_IO, "", "The reading's lock failed.");
        if (event_cancelled(ev))
            return error_set(e, ERR_CANCELLED, "", "Stopped on request while another reading was under way.");
    }
}

static int read_whole(struct analysis *an, struct corpus *c, const struct analysis_events *ev, struct reading *out,
                      struct error *e) {
    int32_t *ids = NULL;
    size_t n = 0, done = 0;
    struct jamba_session *s = NULL;
    bool saved = false;
    int rc = corpus_sequence(an, c, &ids, &n, e);
    if (rc) return rc;
    uint32_t room = room_for(an, n);
    if ((rc = lock_reading(an, ev, e))) {
        free(ids);
        return rc;
    }
    if ((rc = restore(an, c, ids, n, room, &s, &done, &saved, e))) goto end;
    out->restored = done;
    uint32_t max_tokens = room;
    if (s && an->kept.session && an->kept.n_ids == done)
        max_tokens = an->kept.max_tokens < room ? an->kept.max_tokens : room;
    if (!s && (rc = jamba_session_open(&s, an->model, room, e))) goto end;
    /* The middle border: the end of the document nearest to half of the set. */
    size_t middle = 0, middle_docs = 0, at = an->prompts.docs.n, n_read_docs = 0;
    for (size_t i = 0; i < c->n_docs; i++) {
        if (c->docs[i].duplicate) continue;
        at += (an->prompts.doc >= 0) + c->docs[i].n_title_ids + c->docs[i].n_ids;
        n_read_docs++;
        size_t d_new = at > n / 2 ? at - n / 2 : n / 2 - at, d_old = middle > n / 2 ? middle - n / 2 : n / 2 - middle;
        if (at < n && d_new < d_old) middle = at, middle_docs = n_read_docs;
    }
    struct run_holder run;
    if (n >= MIDDLE_FROM_TOKENS && middle > done && middle >= SAVE_FROM_TOKENS) {
        run_init(&run, ev, "read", done, n);
        if ((rc = jamba_session_prefill(s, ids + done, middle - done, &run.run, e))) goto end;
        done = middle;
        save(an, c, s, ids, middle, middle_docs);
    }
    if (done < n) {
        run_init(&run, ev, "read", done, n);
        if ((rc = jamba_session_prefill(s, ids + done, n - done, &run.run, e))) goto end;
        if (n >= SAVE_FROM_TOKENS) save(an, c, s, ids, n, n_read_docs);
    }
    event_stage(ev, "read", n, n);
    if ((rc = jamba_session_fork(&out->session, s, e))) goto end;
    out->whole = true;
    out->tokens_read = n;
    out->newly_read = n - out->restored;
    jamba_session_close(an->kept.session);
    free(an->kept.ids);
    an->kept = (struct reading_kept){.session = s, .set = c->set, .ids = ids, .n_ids = n, .max_tokens = max_tokens};
    s = NULL;
    ids = NULL;
end:
    pthread_mutex_unlock(&an->reading_lock);
    jamba_session_close(s);
    free(ids);
    return rc;
}

static int read_chosen(struct analysis *an, struct corpus *c, const struct place *places, size_t n_places,
                       const struct analysis_events *ev, struct arena *a, struct reading *out, struct error *e) {
    int32_t *ids = NULL;
    size_t n = 0;
    int rc = passages_sections(an, c, places, n_places, an->card.search_window, a, &out->passages, &out->n_passages, e);
    if (!rc) rc = passages_sequence(an, c, out->passages, out->n_passages, &ids, &n, e);
    if (!rc) rc = jamba_session_open(&out->session, an->model, (uint32_t)(n + QUESTION_ROOM), e);
    if (!rc) {
        struct run_holder run;
        run_init(&run, ev, "read", 0, n);
        rc = jamba_session_prefill(out->session, ids, n, &run.run, e);
    }
    free(ids);
    if (rc) return rc;
    out->tokens_read = out->newly_read = n;
    return 0;
}

int reading_acquire(struct analysis *an, struct corpus *c, const struct place *places, size_t n_places,
                    const struct analysis_events *ev, struct arena *a, struct reading *out, struct error *e) {
    *out = (struct reading){0};
    double t = clock_seconds();
    int rc = c->n_tokens <= an->card.effective_window ? read_whole(an, c, ev, out, e)
                                                      : read_chosen(an, c, places, n_places, ev, a, out, e);
    out->seconds = clock_seconds() - t;
    if (rc) reading_close(out);
    return rc;
}

void reading_close(struct reading *r) {
    jamba_session_close(r->session);
    r->session = NULL;
}

int analysis_read(struct analysis *an, int64_t set, const struct analysis_events *ev, struct analysis_coverage *cov,
                  struct error *e) {
    struct corpus *c = NULL;
    struct arena a = {0};
    struct reading r = {0};
    if (cov) *cov = (struct analysis_coverage){.chosen_by = "whole_set"};
    int rc = corpus_acquire(an, set, &c, e);
    if (rc) return rc;
    if (an->model && c->n_docs && c->n_tokens <= an->card.effective_window)
        rc = reading_acquire(an, c, NULL, 0, ev, &a, &r, e);
    if (cov) {
        cov->tokens_in_set = c->n_tokens;
        cov->tokens_read = r.tokens_read;
        cov->chosen_by = c->n_tokens <= an->card.effective_window && an->model ? "whole_set" : "search";
        cov->documents = (uint32_t)c->n_docs;
        cov->documents_failed = c->n_failed;
        cov->pages_without_text = c->pages_without_text;
    }
    reading_close(&r);
    corpus_release(an, c);
    arena_free(&a);
    return rc;
}
