/* render.c: a page of a PDF as PNG, by poppler's pdftoppm inside the same child process and limits as reading. The page
 * is drawn as displayed (crop box, rotation), so that the words' boxes fit it: pixels = points * dpi / 72. */
#include "ingest/child.h"
#include "ingest/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RENDER_SECONDS 30.0
#define RENDER_MAX_PIXELS 20e6
#define RENDER_MIN_DPI 36
#define RENDER_MAX_DPI 300

struct png {
    struct buf *out;
    size_t start;
    bool too_large;
};

static uint32_t big_endian(const unsigned char *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int sink(void *context, const char *data, size_t len) {
    struct png *p = context;
    buf_append(p->out, data, len);
    if (p->out->failed) return 1;
    const unsigned char *png = (const unsigned char *)p->out->data + p->start;
    size_t n = p->out->len - p->start;
    if (n >= 24 && (double)big_endian(png + 16) * (double)big_endian(png + 20) > RENDER_MAX_PIXELS) p->too_large = true;
    return p->too_large;
}

int ingest_page_render(const char *path, uint32_t page_index, int dpi, struct buf *png, struct error *e) {
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    char where[200];
    snprintf(where, sizeof where, "%s, page %u", name, page_index + 1);
    if (dpi < RENDER_MIN_DPI || dpi > RENDER_MAX_DPI)
        return error_set(e, ERR_ARG, where, "a page is drawn with %d to %d dpi, not %d", RENDER_MIN_DPI, RENDER_MAX_DPI,
                         dpi);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, where, "the file cannot be opened: %s",
                         strerror(errno));
    char page[16], resolution[16], seconds[16];
    snprintf(page, sizeof page, "%u", page_index);
    snprintf(resolution, sizeof resolution, "%d", dpi);
    snprintf(seconds, sizeof seconds, "%.1f", RENDER_SECONDS);
    const char *const arguments[] = {"render", page, resolution, seconds, NULL};
    struct png p = {.out = png, .start = png->len};
    struct process_result r;
    int code = child_run(arguments, fd, RENDER_SECONDS + 3, CHILD_MAX_PNG, sink, &p, &r, e);
    close(fd);
    size_t n = png->len - p.start;
    if (!code) {
        if (png->failed)
            code = error_set(e, ERR_NOMEM, where, "out of memory while drawing the page");
        else if (p.too_large || r.too_much)
            code = error_set(e, ERR_LIMIT, where, "the page would have more than 20 megapixels at %d dpi", dpi);
        else if (r.timed_out || r.signal == SIGXCPU)
            code = error_set(e, ERR_CANCELLED, where, "drawing the page took longer than %.0f seconds and was stopped",
                             RENDER_SECONDS);
        else if (strstr(r.errors, "Incorrect password"))
            code = error_set(e, ERR_ENCRYPTED, where, "this PDF asks for a password");
        else if (strstr(r.errors, "Wrong page range"))
            code = error_set(e, ERR_NOT_FOUND, where, "the PDF has no such page");
        else if (r.exit_status != 0 || n < 24 || memcmp(png->data + p.start, "\x89PNG", 4))
            code = error_set(e, ERR_FORMAT, where, "the page cannot be drawn: the file is no PDF or is damaged");
    }
    if (code) png->len = p.start;
    return code;
}
