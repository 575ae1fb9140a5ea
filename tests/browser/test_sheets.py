#!/usr/bin/python3
"""A spreadsheet in headless Chromium: the answer cites the cell, and the citation opens the sheet as a grid with that cell marked."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from page import *  # noqa: E402,F403

ROWS = [("Valve", "brass"), ("Pump", "steel"), ("Filter", "paper"), ("Gasket", "rubber"), ("Shaft", "steel")]


def walk_sheet(folder, width, height):
    path = os.path.join(folder, "spare-parts.csv")
    with open(path, "w") as f:
        f.write("Part,Net price (EUR),Lead time (days),Stock\n")
        for i in range(60):
            name, of = ROWS[i % len(ROWS)]
            f.write("%s of %s K-%d,%d.50,%d,%d\n" % (name, of, 300 + i, 20 + i, 3 + i % 9, i * 7 % 90))
    with opened(folder, width, height, model=True) as page:
        page.new_set("Parts")
        page.upload(path)
        until(lambda: page.script("return document.querySelectorAll('#documents .document.ready').length === 1"), "the sheet read")
        page.one("#question").send_keys("What is the lead time of the gasket of rubber K-353?", Keys.ENTER)
        page.one("#answers .card .coverage")
        button = page.one("#answers .card > .citations .place")
        check("spare-parts.csv, C55" in button.text, "the cell is cited: " + button.text)
        page.shot("sheet-1-answer-%d" % width)
        button.click()
        cell = page.one("#viewer .sheets td.words")
        equal(cell.text, "11", "the marked cell")
        equal(len(page.all("#viewer .sheets td.words")), 1, "marked cells")
        at = page.script("""const td = document.querySelector('#viewer .sheets td.words'), tr = td.parentNode, head = tr.parentNode.rows[0];
            return head.cells[td.cellIndex].textContent + tr.cells[0].textContent;""")
        equal(at, "C55", "letters and numbers beside it")
        check(page.in_view("#viewer td.words"), "the cell is in view")
        equal(len(page.all("#viewer .sheets td.statement")), 3, "the rest of its row, lightly marked")
        page.fits("the sheet")
        page.shot("sheet-2-cell-%d" % width)


@test
def test_a_cell_on_a_desk(folder):
    walk_sheet(folder, *DESK)


@test
def test_a_cell_on_a_phone(folder):
    walk_sheet(folder, *PHONE)


if __name__ == "__main__":
    sys.exit(main())
