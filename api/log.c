/* log.c: the service's log. One JSON object a line on stderr: time, level, event, then ids, stages and milliseconds.
 * Refuses to know document text, questions and file names: callers pass ids. */
#include "api/api.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool log_on;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

void log_open(bool on) {
    log_on = on;
}

/* JSON string: what must be escaped is; bytes that are not UTF-8 become '?', so that a line is always valid JSON. */
static void put_string(struct buf *b, const char *s) {
    size_t len = strlen(s);
    buf_puts(b, "\"");
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        int n = utf8_decode(s + i, len - i, &cp);
        if (n <= 0) {
            buf_puts(b, "?");
            i++;
            continue;
        }
        if (cp == '"' || cp == '\\') {
            buf_printf(b, "\\%c", (char)cp);
        } else if (cp < 0x20 || cp == 0x7f) {
            buf_printf(b, "\\u%04x", (unsigned)cp);
        } else {
            buf_append(b, s + i, (size_t)n);
        }
        i += (size_t)n;
    }
    buf_puts(b, "\"");
}

void log_line(enum log_level level, const char *event, ...) {
    if (!log_on) return;
    static const char *const names[] = {"info", "warning", "error"};
    struct buf b = {0};
    struct timespec now;
    struct tm tm;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(&b, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"event\":", stamp, now.tv_nsec / 1000000, names[level]);
    put_string(&b, event);
    va_list ap;
    va_start(ap, event);
    for (const char *key; (key = va_arg(ap, const char *)) != NULL;) {
        const char *value = va_arg(ap, const char *);
        size_t n = strlen(key);
        bool number = n > 0 && key[n - 1] == '#';
        buf_printf(&b, ",\"%.*s\":", (int)(number ? n - 1 : n), key);
        if (number) {
            buf_puts(&b, value != NULL && value[0] != '\0' ? value : "0");
        } else {
            put_string(&b, value != NULL ? value : "");
        }
    }
    va_end(ap);
    buf_puts(&b, "}\n");
    pthread_mutex_lock(&log_lock);
    if (!b.failed) {
        fwrite(b.data, 1, b.len, stderr);
        fflush(stderr);
    }
    pthread_mutex_unlock(&log_lock);
    buf_free(&b);
}
