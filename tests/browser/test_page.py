#!/usr/bin/python3
"""The page in headless Chromium: from making a set and uploading files to a highlighted citation and the report side by side; deleting;
a failed file and its reason; keyboard; no sideways scroll at 1280 and 390 px."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from page import *  # noqa: E402,F403


def walk(folder, width, height):
    tag = "%d" % width
    with opened(folder, width, height, model=bool(os.environ.get("ANTINOMY_BROWSER_MODEL"))) as page:
        driver = page.d
        page.one("#documents .hint")
        page.fits("the empty page")
        page.shot("1-empty-" + tag)

        # a set, by keyboard
        page.new_set("Pump supply 2024")

        bad = os.path.join(folder, "locked-up.pdf")
        with open(bad, "wb") as f:
            f.write(b"%PDF-1.7\nnothing more\n")
        warned = os.path.join(folder, "freight-note.html")
        with open(warned, "wb") as f:
            f.write(b"<p>Freight is <s>USD 5</s> USD 6 a pallet.</p>")
        page.upload(*[os.path.join(SAMPLES, n) for n in ("supply-agreement.pdf", "price-schedule.pdf", "quality-policy.html", "amendment.docx")], warned, bad)
        until(lambda: page.script("""const n = s => document.querySelectorAll('#documents .document.' + s).length;
              return n('ready') === 5 && n('failed') === 1 && n('queued') === 0 && !document.querySelector('#uploads li')"""), "five files read, one refused")
        reason = page.script("return document.querySelector('#documents .document.failed .document-state').textContent")
        check(len(reason) > 10, "the reason of the failed one: " + reason)
        page.fits("the documents")
        warnings = page.one("#documents .warnings")
        check("struck-through text was not read" not in warnings.text and "1 warning" in warnings.text, "folded: " + warnings.text)
        warnings.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
        until(lambda: "struck-through text was not read" in page.one("#documents .warnings").text, "the warning in the list")
        page.shot("2-documents-" + tag)
        page.one("#documents .document-name[title='Open freight-note.html']").click()
        check("struck-through text was not read" in page.one("#viewer-warnings .warnings").text, "the warning beside the document")
        page.shot("2b-warnings-" + tag)
        page.one("#viewer-close").click()

        # a question
        box = page.one("#question")
        box.send_keys("What is the minimum purchase commitment of the Buyer?", Keys.ENTER)
        page.one("#answers .card .coverage")
        places = [e.text for e in page.all("#answers .card > .citations .place")]
        check(places and any(".pdf" in p for p in places), "a cited place: %r" % places)
        page.fits("the answer")
        page.shot("3-answer-" + tag)

        shown = marks(page)
        check(shown, "words are marked")

        # the citation opens its page with the words marked
        button = next(e for e in page.all("#answers .card > .citations .place") if ".pdf" in e.text)
        name = button.text.split(",")[0]
        quote = button.find_element(By.XPATH, "..").find_element(By.CSS_SELECTOR, ".quote").text
        button.click()
        page.one("#viewer .page img")
        until(lambda: page.script("const i = document.querySelector('#viewer .page img'); return i && i.complete && i.naturalWidth > 0"), "the page image")
        rects = until(lambda: page.script("""
            const img = document.querySelector('#viewer .page img').getBoundingClientRect();
            return [...document.querySelectorAll('#viewer rect.words')].map(r => { const b = r.getBoundingClientRect();
              return [(b.left - img.left) / img.width, (b.top - img.top) / img.height, (b.right - img.left) / img.width, (b.bottom - img.top) / img.height]; });"""), "marked words")
        for x0, y0, x1, y1 in rects:
            check(-0.01 <= x0 < x1 <= 1.01 and -0.01 <= y0 < y1 <= 1.01, "marks lie on the page: %r" % rects)
        check_ink(page, rects, quote)
        check(page.in_view("#viewer rect.words"), "the first mark is in view")
        page.shot("4-citation-" + tag)
        driver.switch_to.active_element.send_keys(Keys.ESCAPE)
        until(lambda: not page.script("return document.querySelector('#viewer').open"), "Escape closes the page")
        check(page.script("return document.activeElement && document.activeElement.classList.contains('place')"), "focus is back on the citation of " + name)

        # a document without pages opens as text, with the words marked
        box.clear()
        box.send_keys("How long does the Supplier keep production records?", Keys.ENTER)
        until(lambda: len(page.all("#answers .card")) == 2 and page.all("#answers .card:first-child .coverage"), "the second answer")
        text = next((e for e in page.all("#answers .place") if "quality-policy.html" in e.text and e.is_displayed()), None)
        if text:
            text.click()
            mark = page.one("#viewer .text-page mark")
            check("records" in mark.text or "years" in mark.text, "the marked words: " + mark.text)
            page.shot("5-text-" + tag)
            page.one("#viewer-close").click()

        # the address opens the answer again, with the same marks
        driver.refresh()
        page.one("#answers .card .coverage")
        check("production records" in page.one("#answers .card .asked").text, "the last answer, from the address")
        page.one("#history summary").send_keys(Keys.ENTER)
        earlier = page.all("#history a")
        equal([e.text.split(" ")[0] for e in earlier], ["How", "What"], "newest first")
        page.fits("the history")
        page.shot("5b-history-" + tag)
        earlier[1].click()
        until(lambda: len(page.all("#answers .card")) == 2, "the earlier answer")
        equal(marks(page), shown, "the same words are marked")
        driver.back()
        until(lambda: "answer=" in driver.current_url and len(page.all("#answers .card")) == 2, "back to the last one")

        # the report
        page.one("#tab-report").click()
        page.one("#make-report").click()
        page.one("#findings .finding")
        first = page.one("#findings .finding")
        check(len(first.find_elements(By.CSS_SELECTOR, ".side")) == 2 and len(first.find_elements(By.CSS_SELECTOR, ".side .quote")) == 2, "both quotes side by side")
        check(page.all("#findings .side mark"), "the conflicting words are marked")
        row = page.script("return [...document.querySelectorAll('#findings .side .quote')].map(e => e.innerText).find(t => t.includes('Unit price') && t.includes('18,400')) || ''")
        check(row.split("\n")[0].strip().endswith("Weight (kg)") and row.split("\n")[-1].startswith("HP-200"), "a table's header has a line of its own: %r" % row)
        sides = page.script("return [...document.querySelector('#findings .sides').children].map(e => e.getBoundingClientRect().top)")
        check((abs(sides[0] - sides[1]) < 2) == (width > 760), "side by side on a desk, one below the other on a phone")
        page.fits("the report")
        page.shot("6-report-" + tag)
        # a review, by keyboard
        page.script("document.querySelector('#findings .finding').focus()")
        ident = driver.switch_to.active_element.get_attribute("data-finding")
        mine = ".finding[data-finding='%s']" % ident
        driver.switch_to.active_element.send_keys("c")
        until(lambda: page.script("return document.activeElement.dataset.review") == "confirmed", "confirmed, focus kept")
        driver.switch_to.active_element.send_keys("d")
        page.one("#review-reason").send_keys("different pumps")
        page.one("#review-note").send_keys("asked the <b>buyer</b>")
        page.one("#review-save").click()
        until(lambda: page.all(mine + "[data-review=dismissed]"), "dismissed with a reason")
        check("different pumps" in page.one(mine + " .review-state").text and page.one(mine + " .review-note").text == "asked the <b>buyer</b>", "reason and note as typed")
        page.one(mine + " .review summary").click()
        until(lambda: len(page.all(mine + " .review li")) == 2, "the history")
        page.fits("the review")
        page.script("arguments[0].scrollIntoView({block: 'center'})", page.one(mine + " .review"))
        page.shot("6b-review-" + tag)
        page.script("arguments[0].focus()", page.one(mine))
        driver.switch_to.active_element.send_keys("j")
        check(page.script("return document.activeElement.dataset.finding") != ident, "j goes to the next")
        page.one("#make-report").click()
        until(lambda: not page.script("return document.querySelector('#make-report').disabled") and page.all(mine + "[data-review=dismissed]"), "the verdict in the next report")
        check("0 new, 0 gone" in page.one("#report .diff").text, "what changed since: " + page.one("#report .diff").text)
        before = len(page.all("#findings .finding"))
        page.one(".filters input[name=contradiction]").click()
        check(len(page.all("#findings .finding[data-status=contradiction]")) == 0 < before, "the filter hides them")
        page.one(".filters input[name=contradiction]").click()
        page.all("#findings .side .place")[0].click()
        page.one("#viewer-body > div")
        page.one("#viewer-close").click()

        # delete
        if width < 500:
            page.one("#documents-toggle").click()
        victim = page.one("#documents .document.failed .remove")
        victim.click()
        page.one("#delete-yes").click()
        until(lambda: len(page.all("#documents .document.failed")) == 0, "the document to go")
        equal(page.script("return performance.getEntriesByType('resource').filter(e => !e.name.startsWith(location.origin)).length"), 0, "requests to elsewhere")
        unnamed = page.script("""return [...document.querySelectorAll('button, input, select, textarea, a[href]')].filter(e => {
            if (e.type === 'hidden') return false;
            const label = e.getAttribute('aria-label') || (e.labels && e.labels.length && e.labels[0].textContent) || e.textContent || e.title;
            return !label.trim(); }).map(e => e.outerHTML.slice(0, 80))""")
        equal(unnamed, [], "controls without a name")


def marks(page):
    """The marked words of the first answer."""
    return page.script("return [...document.querySelectorAll('#answers .card:first-child > .citations mark')].map(e => e.textContent)")


def check_ink(page, rects, quote):
    """The image under the marks holds dark text, and marks cover about as much as the words need: not the whole page."""
    ink = page.script("""
        const img = document.querySelector('#viewer .page img'), c = document.createElement('canvas');
        c.width = img.naturalWidth; c.height = img.naturalHeight;
        const x = c.getContext('2d'); x.drawImage(img, 0, 0);
        return arguments[0].map(r => {
          const w = Math.max(1, Math.round((r[2] - r[0]) * c.width)), h = Math.max(1, Math.round((r[3] - r[1]) * c.height));
          const d = x.getImageData(Math.round(r[0] * c.width), Math.round(r[1] * c.height), w, h).data;
          let dark = 0; for (let i = 0; i < d.length; i += 4) if (d[i] + d[i + 1] + d[i + 2] < 300) dark++;
          return dark / (w * h); });""", rects)
    check(all(0.02 < i < 0.7 for i in ink), "text under every mark: %r" % ink)
    area = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in rects)
    check(area < 0.15 and len(rects) <= 12, "only the quoted words are marked: %.3f of the page for %d characters" % (area, len(quote)))


@test
def test_page_on_a_desk(folder):
    walk(folder, *DESK)


@test
def test_page_on_a_phone(folder):
    walk(folder, *PHONE)


if __name__ == "__main__":
    sys.exit(main())
