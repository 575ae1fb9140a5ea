/* child.c: the child process is not there yet; files are read in the caller's process. */
#include "ingest/reader.h"

int ingest_child_main(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return 1;
}
void ingest_child_program(const char *path) {
    (void)path;
}
int ingest_fetch(const char *url, const char *path, uint64_t max_bytes, double timeout_s, bool allow_private,
                 char name[256], struct error *e) {
    (void)path, (void)max_bytes, (void)timeout_s, (void)allow_private, (void)name;
    return error_set(e, ERR_UNSUPPORTED, url, "downloading is not there yet");
}
int ingest_page_render(const char *path, uint32_t page_index, int dpi, struct buf *png, struct error *e) {
    (void)page_index, (void)dpi, (void)png;
    return error_set(e, ERR_UNSUPPORTED, path, "drawing pages is not there yet");
}
