#!/usr/bin/env python3
"""Makes the sample set from src/ (run by hand; its output is committed, so nothing here is needed to build or test).

    python3 make_samples.py REGULATION_2011.xml REGULATION_2015.xml ACCEPTABLE_USE.md DMCA.md

PDF by headless Chromium (print), DOCX by the standard library's zipfile, HTML and Markdown as they are. The regulation files are
12 CFR 1013 (Regulation M), public domain; the policies are GitHub's site policies, CC0-1.0. Of those four documents a part is taken
(which one is said in MANIFEST.tsv), so that the whole set stays under 12,000 tokens.
"""
import html, os, re, subprocess, sys, tempfile, zipfile
import xml.etree.ElementTree as ET

HERE = os.path.dirname(os.path.abspath(__file__))
SRC = os.path.join(HERE, "src")
NS = "{eregs}"

PAGE = """<style>@page{size:A4;margin:22mm 22mm 20mm 22mm}body{font:10.5pt 'DejaVu Serif';line-height:1.35}
h1{font-size:15pt}h2{font-size:11.5pt;margin:12pt 0 3pt}p{margin:4pt 0}
table{border-collapse:collapse;margin:6pt 0}td,th{border:.5pt solid #555;padding:2pt 7pt;text-align:left;font-size:9.5pt}
td:nth-child(n+3),th:nth-child(n+3){text-align:right}
.page,.page>thead>tr>td,.page>tbody>tr>td{border:0;padding:0;margin:0;font-size:10.5pt;text-align:left}
.page>thead>tr>td{font-size:8pt;color:#333;padding-bottom:6mm}</style>"""  # a table's head is printed on each page


def pdf(name, running_head):
    text = open(os.path.join(SRC, name + ".html"), encoding="utf-8").read()
    text = text.replace("</head>", PAGE + "</head>")
    text = text.replace("<body>", '<body><table class="page"><thead><tr><td>%s</td></tr></thead><tbody><tr><td>' % running_head)
    text = text.replace("</body>", "</td></tr></tbody></table></body>")
    with tempfile.TemporaryDirectory() as d:
        page = os.path.join(d, "page.html")
        open(page, "w", encoding="utf-8").write(text)
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
                        "--print-to-pdf=" + os.path.join(HERE, name + ".pdf"), page], check=True, capture_output=True)


def docx(name, title):
    """Headings by style, clause numbers by numbering.xml: the number is not in the text, a reader has to compute it."""
    w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    body = []
    for line in open(os.path.join(SRC, name + ".txt"), encoding="utf-8").read().splitlines():
        m = re.match(r"(#+) (.*)", line)
        n = re.match(r"\d+\. (.*)", line)
        if m:
            style, text = '<w:pStyle w:val="%s"/>' % ("Title" if len(m[1]) == 1 else "Heading1"), m[2]
        elif n:
            style, text = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>', n[1]
        else:
            style, text = "", line
        body.append('<w:p><w:pPr>%s</w:pPr><w:r><w:t xml:space="preserve">%s</w:t></w:r></w:p>' % (style, html.escape(text, False)))
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/><Override PartName="/word/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.styles+xml"/><Override PartName="/word/numbering.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.numbering+xml"/><Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/><Relationship Id="r2" Type="http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties" Target="docProps/core.xml"/></Relationships>',
        "docProps/core.xml": '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>%s</dc:title></cp:coreProperties>' % title,
        "word/_rels/document.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/><Relationship Id="r2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/numbering" Target="numbering.xml"/></Relationships>',
        "word/styles.xml": '<w:styles %s><w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/></w:style><w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style></w:styles>' % w,
        "word/numbering.xml": '<w:numbering %s><w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%%1."/></w:lvl></w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>' % w,
        "word/document.xml": "<w:document %s><w:body>%s</w:body></w:document>" % (w, "".join(body)),
    }
    with zipfile.ZipFile(os.path.join(HERE, name + ".docx"), "w", zipfile.ZIP_DEFLATED) as z:
        for path, text in parts.items():
            z.writestr(zipfile.ZipInfo(path, (2025, 1, 20, 0, 0, 0)), '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n' + text)


def plain(node):
    return re.sub(r"\s+", " ", "".join(node.itertext())).strip()


def regulation(path, out):
    root = ET.parse(path).getroot()
    effective = root.find(".//%seffectiveDate" % NS).text
    want = ["1013-1", "1013-2-e", "1013-8"]
    rows = ["<h1>Regulation M: Consumer Leasing (12 CFR Part 1013)</h1>", "<p>Bureau of Consumer Financial Protection. Effective date: %s.</p>" % effective]

    def paragraphs(node, level):
        for p in node:
            tag = p.tag.replace(NS, "")
            if tag in ("paragraph", "interpParagraph"):
                title, content = p.find(NS + "title"), p.find(NS + "content")
                text = " ".join(x for x in [p.get("marker") or "", plain(title) if title is not None else "", plain(content) if content is not None else ""] if x)
                if text:
                    rows.append("<p>%s</p>" % html.escape(text, False))
                paragraphs(p, level + 1)

    for label in want:
        for node in root.iter():
            if node.get("label") == label and node.tag in (NS + "section", NS + "paragraph"):
                subject = node.find(NS + "subject")
                if subject is not None:
                    rows.append("<h2>%s</h2>" % html.escape(plain(subject), False))
                    paragraphs(node, 1)
                else:
                    rows.append("<h2>§ 1013.2 Definitions.</h2>")
                    holder = ET.Element("x")
                    holder.append(node)
                    paragraphs(holder, 1)
    rows.append("<h2>Official interpretation of paragraph 2(e)</h2>")
    for node in root.iter(NS + "interpParagraph"):
        if node.get("label") == "1013-2-e-Interp-9":
            holder = ET.Element("x")
            holder.append(node)
            paragraphs(holder, 1)
    open(os.path.join(HERE, out), "w", encoding="utf-8").write(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Regulation M, effective %s</title></head><body>\n%s\n</body></html>\n' % (effective, "\n".join(rows)))


def policy(path, out, first, last):
    """Sections from heading `first` up to, not including, heading `last`."""
    text = open(path, encoding="utf-8").read()
    title = re.search(r"^title: (.*)$", text, re.M)[1]
    body = text[text.index("\n## " + first) : text.index("\n## " + last)]
    body = re.sub(r"<!--.*?-->\n*", "", body, flags=re.S)
    open(os.path.join(HERE, out), "w", encoding="utf-8").write("# %s\n%s\n" % (title, body.rstrip()))


if __name__ == "__main__":
    pdf("supply-agreement", "Supply Agreement Halden / Corvane &mdash; confidential")
    pdf("price-schedule", "Price Schedule Halden / Corvane &mdash; confidential")
    docx("amendment", "Amendment No. 1 to the Supply Agreement")
    open(os.path.join(HERE, "quality-policy.html"), "w", encoding="utf-8").write(open(os.path.join(SRC, "quality-policy.html"), encoding="utf-8").read())
    regulation(sys.argv[1], "regulation-m-2011.html")
    regulation(sys.argv[2], "regulation-m-2015.html")
    policy(sys.argv[3], "github-acceptable-use.md", "5. Site", "11. User")
    policy(sys.argv[4], "github-dmca.md", "C. What about", "G. Submitting")
