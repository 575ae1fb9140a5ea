#!/usr/bin/python3
"""Slides, an e-book, an OpenDocument text and a mail with an attachment in headless Chromium: each answer names the slide, the chapter or
the attachment, and opens the text with the words marked and in view."""
import os
import sys
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from page import *  # noqa: E402,F403

OOXML = "http://schemas.openxmlformats.org/"
FILLING = ["Matters of the %s shall be settled by the parties in good faith and in writing." % word for word in
           "garden roof cellar stairs kitchen attic hallway balcony garage porch terrace bathroom pantry fence gate well".split()]


def pack(path, parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, text in parts:
            z.writestr(name, text)
    return path


def slide(title, lines):
    shape = "<p:sp><p:nvSpPr><p:nvPr>%s</p:nvPr></p:nvSpPr><p:txBody>%s</p:txBody></p:sp>"
    para = "<a:p><a:r><a:t>%s</a:t></a:r></a:p>"
    return ('<p:sld xmlns:p="%spresentationml/2006/main" xmlns:a="%sdrawingml/2006/main">' % (OOXML, OOXML) +
            shape % ('<p:ph type="title"/>', para % title) + shape % ("", "".join(para % x for x in lines)) + "</p:sld>")


def deck(path):
    link = OOXML + "officeDocument/2006/relationships"
    return pack(path, [
        ("ppt/presentation.xml", '<p:presentation xmlns:p="%spresentationml/2006/main" xmlns:r="%s"><p:sldId r:id="a"/><p:sldId r:id="b"/>'
                                 "</p:presentation>" % (OOXML, link)),
        ("ppt/_rels/presentation.xml.rels", '<Relationships><Relationship Id="a" Type="%s/slide" Target="1.xml"/>'
                                            '<Relationship Id="b" Type="%s/slide" Target="2.xml"/></Relationships>' % (link, link)),
        ("ppt/1.xml", slide("Plan", FILLING)),
        ("ppt/2.xml", slide("Timber", ["The timber for the roof costs EUR 14,300 and is ordered in March."]))])


def book(path):
    page = "<html><body><h1>%s</h1>%s</body></html>"
    return pack(path, [
        ("META-INF/container.xml", '<container><rootfile full-path="b.opf"/></container>'),
        ("b.opf", '<package><manifest><item id="1" href="1.xhtml" media-type="application/xhtml+xml"/><item id="2" href="2.xhtml" '
                  'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="1"/><itemref idref="2"/></spine></package>'),
        ("1.xhtml", page % ("Seasons", "".join("<p>%s</p>" % x for x in FILLING))),
        ("2.xhtml", page % ("Bees", "<p>The hives of the orchard hold 48 colonies of bees.</p>"))])


def text(path):
    names = "".join(' xmlns:%s="urn:oasis:names:tc:opendocument:xmlns:%s:1.0"' % (x, x) for x in ("office", "text"))
    return pack(path, [("content.xml", "<office:document-content%s><office:body><office:text>%s<text:h>Ferry</text:h><text:p>The ferry to the "
                        "island leaves at 7:40 every Tuesday.</text:p></office:text></office:body></office:document-content>"
                        % (names, "".join("<text:p>%s</text:p>" % x for x in FILLING)))])


def mail(path):
    with open(path, "w") as f:
        f.write("From: Ann <ann@example.org>\nTo: Bob <bob@example.org>\nSubject: Insurance\nMIME-Version: 1.0\nContent-Type: multipart/mixed; "
                "boundary=b\n\n--b\n\nDear Bob,\n\nthe policy is attached.\n\nAnn\n\n--b\nContent-Type: text/plain; name=policy.txt\n\n%s\n\n"
                "The insurer bears at most EUR 2,450,000 for each fire.\n--b--\n" % "\n\n".join(FILLING))
    return path


ASKED = [("What does the timber for the roof cost?", "EUR 14,300", "deck.pptx, slide 2"),
         ("How many colonies of bees do the hives of the orchard hold?", "48", "book.epub, chapter Bees"),
         ("When does the ferry to the island leave?", "7:40", "ferry.odt"),
         ("How much does the insurer bear for each fire?", "EUR 2,450,000", "policy.eml, attached policy.txt")]


def walk_office(folder, width, height):
    paths = [make(os.path.join(folder, name)) for make, name in
             ((deck, "deck.pptx"), (book, "book.epub"), (text, "ferry.odt"), (mail, "policy.eml"))]
    with opened(folder, width, height, model=True) as page:
        page.new_set("House")
        page.upload(*paths)
        until(lambda: page.script("return document.querySelectorAll('#documents .document.ready').length === 4"), "the documents read")
        for i, (question, words, place) in enumerate(ASKED):
            box = page.one("#question")
            box.clear()
            box.send_keys(question, Keys.ENTER)
            until(lambda: len(page.all("#answers .card .coverage")) == i + 1, "an answer")
            button = page.one("#answers .card > .citations .place")
            check(button.text.startswith(place), "the place of %r: %r" % (question, button.text))
            check(", page " not in button.text, "a place says what it is: " + button.text)
            button.click()
            mark = page.one("#viewer .text-page mark")
            check(words in mark.text, "the marked words: " + mark.text)
            check(page.in_view("#viewer mark"), "they are in view")
            page.fits("the text")
            page.shot("office-%d-%d" % (i + 1, width))
            page.script("document.querySelector('#viewer').close()")


@test
def test_office_files_on_a_desk(folder):
    walk_office(folder, *DESK)


if __name__ == "__main__":
    sys.exit(main())
