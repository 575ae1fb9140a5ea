/* ordinals.c: the letters and Roman figures that lists are counted in. */
#include "ingest/reader.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void ordinal_roman(unsigned long n, bool upper, char *out, size_t cap) {
    static const struct {
        unsigned long value;
        const char *s;
    } steps[] = {{1000, "m"}, {900, "cm"}, {500, "d"}, {400, "cd"}, {100, "c"}, {90, "xc"}, {50, "l"},
                 {40, "xl"},  {10, "x"},   {9, "ix"},  {5, "v"},    {4, "iv"},  {1, "i"}};
    size_t j = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (; n >= steps[i].value && j + 3 < cap; n -= steps[i].value)
            for (const char *p = steps[i].s; *p; p++) out[j++] = upper ? (char)toupper((unsigned char)*p) : *p;
    out[j] = 0;
}

void ordinal_letters(unsigned long n, bool upper, bool doubled, char *out, size_t cap) {
    char a = upper ? 'A' : 'a', rev[16];
    size_t k = 0, j = 0;
    if (doubled && n) {
        size_t times = (n - 1) / 26 + 1;
        for (; j < times && j < 8 && j + 1 < cap; j++) out[j] = (char)(a + (int)((n - 1) % 26));
    } else {
        for (; n && k < sizeof rev; n = (n - 1) / 26) rev[k++] = (char)(a + (int)((n - 1) % 26));
        while (k && j + 1 < cap) out[j++] = rev[--k];
    }
    out[j] = 0;
}
