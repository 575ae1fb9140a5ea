#!/usr/bin/env python3
"""Writes nfc_table.h from the Unicode Character Database that Python carries. Run: python3 ingest/nfc_table.py > ingest/nfc_table.h"""
import unicodedata as u

pairs, classes = [], []
for cp in range(0x110000):
    if 0xAC00 <= cp < 0xD7A4 or 0xD800 <= cp < 0xE000:
        continue
    d = u.decomposition(chr(cp))
    if d and not d.startswith("<"):
        parts = [int(x, 16) for x in d.split()]
        composes = len(parts) == 2 and u.normalize("NFC", chr(cp)) == chr(cp)
        pairs.append((cp, parts[0], parts[1] if len(parts) > 1 else 0, composes))
    c = u.combining(chr(cp))
    if c:
        if classes and classes[-1][1] == cp - 1 and classes[-1][2] == c:
            classes[-1][1] = cp
        else:
            classes.append([cp, cp, c])

print("/* nfc_table.h: made by nfc_table.py from the Unicode Character Database %s; do not edit.\n"
      " * nfc_pairs: code point, its canonical decomposition (second 0: a singleton), 1 when the pair composes again; ascending.\n"
      " * nfc_composed: indices of the pairs that compose, ascending by (first, second).\n"
      " * nfc_classes: first, last, canonical combining class (ranges not listed: 0). */" % u.unidata_version)
print("#ifndef ANTINOMY_INGEST_NFC_TABLE_H\n#define ANTINOMY_INGEST_NFC_TABLE_H\n#include <stdint.h>\n")


def table(decl, items):
    print(decl + " = {")
    line = "    "
    for it in items:
        if len(line) + len(it) > 118:
            print(line.rstrip())
            line = "    "
        line += it + ", "
    print(line.rstrip(" ,") + "};\n")


table("static const struct nfc_pair {\n    uint32_t cp, first, second, composes;\n} nfc_pairs[]",
      ["{0x%x, 0x%x, 0x%x, %d}" % (a, b, c, d) for a, b, c, d in pairs])
comp = sorted((p[1], p[2], i) for i, p in enumerate(pairs) if p[3])
table("static const uint16_t nfc_composed[]", [str(i) for _, _, i in comp])
table("static const struct nfc_class {\n    uint32_t first, last, ccc;\n} nfc_classes[]",
      ["{0x%x, 0x%x, %d}" % tuple(c) for c in classes])
print("#endif")
