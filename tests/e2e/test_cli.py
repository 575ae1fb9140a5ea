#!/usr/bin/python3
"""The commands, one after another and beside each other: what they print, how they end, that nothing of a deleted document stays."""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403


def write(folder, name, data):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    return path


NOTICE = b"""# Services Agreement

1.1 The Client may terminate this Agreement by giving sixty (60) days' written notice to the Provider.

1.2 The Provider shall not be liable for loss of profit, except where it acted with gross negligence.

2.1 The monthly fee is EUR 4,200.
"""


@test
def test_usage_errors_end_with_2(folder):
    data = os.path.join(folder, "data")
    for line in ([], ["frob"], ["ask", "x"], ["sets", "extra"], ["sets", "--port", "1"], ["--nonsense"], ["serve", "--port", "70000"],
                 ["ask", "x", "y", "--wait", "soon"], ["ask", "x", "y", "--model"], ["model", "frob"], ["model", "pull"]):
        done = Result(subprocess.run([PROGRAM, *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        equal(done.status, 2, "status of antinomy " + " ".join(line))
        check(done.err, "a reason on stderr")
        equal(done.out, "", "stdout of a usage error")
    helped = Result(subprocess.run([PROGRAM, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    equal(helped.status, 0)
    for word in ("ingest", "ask", "contradictions", "serve", "sets", "documents", "delete", "model info", "default"):
        check(word in helped.out, "--help names " + word)
    check(max(map(len, helped.out.splitlines())) <= 90, "--help fits a terminal")
    check(not os.path.exists(data), "no data directory was made")


@test
def test_a_question_gets_its_whole_statement(folder):
    data, path = os.path.join(folder, "data"), write(folder, "services.md", NOTICE)
    done = command(data, "ingest", "deal", path)
    check(re.search(r"^services\.md: 1 page, \d+ statements, \d+ tokens", done.out, re.M), "one line of result: " + done.out)
    answer = command(data, "ask", "deal", "Is the Provider liable for loss of profit?", "--json").json()
    first = answer["citations"][0]
    equal(first["document"], "services.md")
    check("shall not be liable" in first["quote"] and "except where" in first["quote"], "negation and exception are shown: " + first["quote"])
    for key in ("status", "answer", "citations", "coverage", "reading", "timings"):
        check(key in answer, "the answer has " + key)
    text = command(data, "ask", "deal", "Is the Provider liable for loss of profit?").out
    check("services.md" in text and "1.2" in text and "shall not be liable" in text, "the printed answer: " + text)
    equal(command(data, "documents", "deal", "--json").json()["documents"][0]["state"], "ready")
    check("deal: 1 document" in command(data, "sets").out, "sets lists it")


@test
def test_the_document_ranges_of_a_citation_are_its_words(folder):
    data, path = os.path.join(folder, "data"), write(folder, "caf\u00e9.txt", "1. Le caf\u00e9 co\u00fbte 3 \u20ac.\n\n2. The Tenant shall pay \u20ac 910 by 5 May 2024.\n".encode())
    command(data, "ingest", "deal", path)
    citation = command(data, "ask", "deal", "What shall the Tenant pay?", "--json").json()["citations"][0]
    server = Server(data)
    window = server.get("/api/v1/documents/%d/text?start=%d&end=%d" % (citation["document_id"], citation["start"], citation["end"]))
    equal(citation["quote"][-(citation["end"] - citation["start"]):], window["text"], "the characters of the range")
    check("\u20ac 910" in window["text"], "the sentence: " + window["text"])
    server.stop()


@test
def test_bad_files_beside_a_good_one(folder):
    data = os.path.join(folder, "data")
    inbox = os.path.join(folder, "inbox")
    write(inbox, "good.md", NOTICE)
    write(inbox, "empty.pdf", b"")
    write(inbox, "noise.bin", bytes(range(256)) * 40)
    write(inbox, "broken.docx", b"PK\x03\x04 this is no archive")
    with open(os.path.join(SAMPLES, "supply-agreement.pdf"), "rb") as f:
        pdf = f.read()
    write(inbox, "cut.pdf", pdf[:len(pdf) // 3])
    encrypted = (b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
                 b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\n"
                 b"4 0 obj<</Filter/Standard/V 1/R 2/P -4/O<" + b"41" * 32 + b">/U<" + b"42" * 32 + b">>>endobj\n")
    xref = len(encrypted)
    offsets = [encrypted.index(b"%d 0 obj" % i) for i in (1, 2, 3, 4)]
    encrypted += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % o for o in offsets)
    encrypted += b"trailer<</Size 5/Root 1 0 R/Encrypt 4 0 R/ID[<00><00>]>>\nstartxref\n%d\n%%%%EOF\n" % xref
    write(inbox, "locked.pdf", encrypted)
    bomb = os.path.join(inbox, "bomb.docx")
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("[Content_Types].xml", "<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>")
        with z.open("word/document.xml", "w", force_zip64=True) as f:
            f.write(b"<w:document xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'><w:body><w:p><w:r><w:t>")
            for _ in range(400):
                f.write(b"a" * (1 << 20))
            f.write(b"</w:t></w:r></w:p></w:body></w:document>")
    done = command(data, "ingest", "deal", inbox, os.path.join(folder, "missing.pdf"), status=1)
    equal(re.findall(r"^(\S+): \d+ page", done.out, re.M), ["good.md"], "only the good one is in")
    for name in ("empty.pdf", "noise.bin", "broken.docx", "cut.pdf", "locked.pdf", "bomb.docx", "missing.pdf"):
        lines = [line for line in done.err.splitlines() if line.startswith(name + ": ")]
        equal(len(lines), 1, "one reason for " + name + " in " + done.err)
        check(len(lines[0]) > len(name) + 15, "a reason a person understands: " + lines[0])
        print("   " + lines[0])
    check("password" in [line for line in done.err.splitlines() if line.startswith("locked.pdf")][0], "a locked PDF asks for a password")
    result = command(data, "documents", "deal", "--json").json()["documents"]
    equal(sorted(d["name"] for d in result if d["state"] == "ready"), ["good.md"])
    check(all(d["error"]["code"] and d["error"]["message"] for d in result if d["state"] == "failed"), "each failed one has code and message")
    answer = command(data, "ask", "deal", "How is the Agreement terminated?", "--json").json()
    check(len(answer["coverage"]["not_read"]) >= 6, "the answer says what was not read")


@test
def test_what_was_not_read_is_said_after_ingest_and_in_the_list(folder):
    data = os.path.join(folder, "data")
    old = write(folder, "old.html", b"<p>The rent is <s>USD 5</s> USD 6 a month.</p>")
    done = command(data, "ingest", "deal", old, write(folder, "plain.md", NOTICE))
    for out in (done.out, command(data, "documents", "deal").out):
        lines = out.splitlines()
        at = [i for i, line in enumerate(lines) if "old.html" in line]
        equal(lines[at[0] + 1].strip(), "warning: struck-through text was not read", "below its document")
        equal(out.count("warning"), 1, "only there")


@test
def test_earlier_answers_are_listed_and_shown_again(folder):
    data = os.path.join(folder, "data")
    command(data, "ingest", "deal", write(folder, "services.md", NOTICE))
    first = command(data, "ask", "deal", "What is the monthly fee?")
    command(data, "ask", "deal", "How is the Agreement terminated?")
    lines = command(data, "answers", "deal").out.splitlines()
    equal([line.split("  ")[-1] for line in lines], ["How is the Agreement terminated?", "What is the monthly fee?"], "newest first")
    number = lines[1].split()[0]
    again = command(data, "answer", number).out
    check(again.split("\n\n", 1)[0].endswith("What is the monthly fee?"), "the question: " + again)
    equal(again.split("\n\n", 1)[1], first.out, "the answer as it was shown")
    equal(command(data, "answer", number, "--json").json()["id"], int(number))
    equal(len(command(data, "answers", "deal", "--json").json()["questions"]), 2)
    command(data, "answer", "x", status=1)
    command(data, "answer", "999", status=1)
    command(data, "delete", "deal", "services.md")
    equal(command(data, "answers", "deal").out, "", "they go with the document")


@test
def test_delete_leaves_no_word(folder):
    data = os.path.join(folder, "data")
    secret = NOTICE + b"\n3.1 The password of the vault is Quxolotl-Brannigrifft and must not be told.\n"
    path, other = write(folder, "secret.md", secret), write(folder, "other.md", contract(1))
    command(data, "ingest", "deal", path, other)
    command(data, "ask", "deal", "What is the password of the vault?")
    command(data, "contradictions", "deal")
    check(found_in(data, "Brannigrifft"), "it is there before")
    receipt = command(data, "delete", "deal", "secret.md").json()
    equal(receipt["name"], "secret.md")
    check(receipt["content_removed"], "the receipt says that its content went")
    for word in ("Brannigrifft", "brannigrifft", "Quxolotl", "quxolotl"):
        equal(found_in(data, word), [], "files with the word after the delete")
    equal([d["name"] for d in command(data, "documents", "deal", "--json").json()["documents"]], ["other.md"])
    command(data, "delete", "deal", "secret.md", status=1)

    command(data, "ingest", "deal", path)
    server = Server(data)
    document = [d for d in server.get("/api/v1/sets/1/documents")["documents"] if d["name"] == "secret.md"][0]
    server.post("/api/v1/sets/1/questions", {"question": "What is the password of the vault?"}, 200)
    server.call("DELETE", "/api/v1/documents/%d" % document["id"], want=200)
    for word in ("Brannigrifft", "brannigrifft"):
        equal(found_in(data, word), [], "files with the word while the server runs")
    server.stop()
    equal(found_in(data, "rannigrifft"), [], "files with the word after the server")


@test
def test_commands_beside_a_server_say_the_same(folder):
    data, path = os.path.join(folder, "data"), write(folder, "services.md", NOTICE)
    command(data, "ingest", "deal", path, os.path.join(SAMPLES, "quality-policy.html"))
    lines = (["sets"], ["documents", "deal"], ["sets", "--json"], ["documents", "deal", "--json"], ["contradictions", "deal", "--json"],
             ["contradictions", "deal"], ["ask", "deal", "What is the monthly fee?"], ["delete", "deal", "nothing.md"], ["documents", "nowhere"],
             ["ask", "nowhere", "What?", "--json"])
    seconds = re.compile(r'("(search|read|decide|answer|total)": [0-9.e-]+)|(; [0-9.]+ s)')
    alone = [command(data, *line, status=None) for line in lines]
    server = Server(data)
    for line, before in zip(lines, alone):
        now = command(data, *line, status=None)
        equal(now.status, before.status, "status of " + " ".join(line))
        equal(seconds.sub("", now.out), seconds.sub("", before.out), "output of " + " ".join(line))
    done = command(data, "ingest", "deal", write(folder, "new.md", contract(7)))
    check("new.md: 1 page" in done.out, "ingest through the server: " + done.out + done.err)
    check("already runs" in command(data, "serve", "--port", "0", status=1).err, "a second server is refused")
    server.stop()
    check(any(d["name"] == "new.md" for d in command(data, "documents", "deal", "--json").json()["documents"]), "it stays")


@test
def test_many_commands_at_once_never_clash(folder):
    data = os.path.join(folder, "data")
    command(data, "ingest", "deal", write(folder, "a.md", NOTICE))
    results, lock = [], threading.Lock()

    def work(n):
        for k in range(3):
            line = (["sets"], ["ask", "deal", "What is the monthly fee?"], ["ingest", "deal", write(folder, "n%d-%d.md" % (n, k), contract(10 * n + k))],
                    ["documents", "deal"])[(n + k) % 4]
            done = command(data, *line, "--wait", "300", status=None)
            with lock:
                results.append((line[0], done.status, done.err))

    def run(count):
        threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
        for t in threads:
            t.start()
        return threads

    for t in run(4):
        t.join()
    server = Server(data)
    for t in run(4):
        t.join()
    server.stop()
    for name, status, err in results:
        check(status == 0 and "locked" not in err.lower().replace("unlocked", ""), "%s ended with %d: %s" % (name, status, err))


@test
def test_a_busy_directory_is_said_after_the_wait(folder):
    data = os.path.join(folder, "data")
    command(data, "sets")
    import fcntl
    with open(os.path.join(data, "lock"), "r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        done = command(data, "sets", "--wait", "1", status=1)
    check("try again" in done.err, done.err)
    command(data, "sets")


@test
def test_reports_are_written_as_html_and_json(folder):
    data = os.path.join(folder, "data")
    command(data, "ingest", "deal", os.path.join(SAMPLES, "quality-policy.html"), write(folder, "services.md", NOTICE))
    page, plain = os.path.join(folder, "report.html"), os.path.join(folder, "report.json")
    command(data, "contradictions", "deal", "-o", page)
    command(data, "contradictions", "deal", "-o", plain)
    html = open(page, encoding="utf-8").read()
    check(html.lstrip().lower().startswith("<!doctype html") and "<script" not in html.lower(), "one self-contained page")
    report = json.load(open(plain, encoding="utf-8"))
    for finding in report["findings"]:
        for side in ("a", "b"):
            check(finding[side]["quote"] and finding[side]["document"], "two quotes a finding")
        check(finding["status"] in ("contradiction", "resolved", "superseded", "uncertain") and finding["why"] and finding["key"], "a finding is whole")
    again = command(data, "contradictions", "deal", "--json").json()
    equal(again["findings"], report["findings"], "the same report again")
    command(data, "contradictions", "deal", "-o", "/nonexistent/folder/x.json", status=1)


@test
def test_a_folder_keeps_its_paths_as_names(folder):
    data, inbox = os.path.join(folder, "data"), os.path.join(folder, "inbox")
    for i, name in enumerate(("a/terms.md", "b/terms.md", ".hidden.md", "a/.git/config", "z.txt")):
        write(inbox, name, contract(i))
    os.symlink("/etc/passwd", os.path.join(inbox, "link.txt"))
    done = command(data, "ingest", "deal", inbox, "--json").json()
    equal([d["name"] for d in done["documents"]], ["a/terms.md", "b/terms.md", "z.txt"])
    again = command(data, "ingest", "deal", inbox, "--json").json()
    equal(len(command(data, "documents", "deal", "--json").json()["documents"]), 3, "the same folder again adds nothing")
    equal([d["state"] for d in again["documents"]], ["ready"] * 3)


@test
def test_errors_are_json_with_json(folder):
    data = os.path.join(folder, "data")
    for line, code in ((["documents", "none"], "not_found"), (["ask", "none", "x"], "not_found")):
        done = command(data, *line, "--json", status=1)
        equal(done.json()["error"]["code"], code)
    done = Result(subprocess.run([PROGRAM, "model", "info", "--json", "--data", data, "--model", "/nonexistent"], stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    equal(done.status, 1)
    check(done.json()["error"]["code"] in ("not_found", "io"), done.out)
    done = Result(subprocess.run([PROGRAM, "sets", "--data", "/proc/none"], stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    equal(done.status, 1, "a data directory that cannot be made")


@test
def test_a_broken_model_folder_is_named(folder):
    data, model = os.path.join(folder, "data"), os.path.join(folder, "model")
    shards = sorted(n for n in os.listdir(os.path.join(ROOT, "engine", "models")) if n.endswith(".gguf"))
    with open(os.path.join(ROOT, "engine", "models", shards[0]), "rb") as f:
        write(model, shards[0], f.read(1 << 16))
    done = Result(subprocess.run([PROGRAM, "ingest", "deal", write(folder, "a.md", NOTICE), "--data", data, "--model", model],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    equal(done.status, 1)
    check(shards[0][:12] in done.err or "shard" in done.err.lower(), "which file is broken: " + done.err)


@test
def test_a_full_disk_loses_nothing(folder):
    mount = os.path.join(folder, "small")
    os.mkdir(mount)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", mount], stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("cannot make a small file system here (needs root and mount)")
    try:
        data = os.path.join(mount, "data")
        command(data, "ingest", "deal", write(folder, "first.md", NOTICE))
        done = command(data, "ingest", "deal", write(folder, "large.md", contract(3, 60000)), status=1)
        check("full" in done.err.lower() or "space" in done.err.lower(), "the reason: " + done.err)
        documents = {d["name"]: d["state"] for d in command(data, "documents", "deal", "--json").json()["documents"]}
        equal(documents.get("first.md"), "ready", "what was there is there")
        check("4,200" in command(data, "ask", "deal", "What is the monthly fee?").out, "and answers")
    finally:
        subprocess.run(["umount", mount], check=False)


@test
def test_a_terminal_gets_a_bar_and_bold_words(folder):
    import pty
    data, path = os.path.join(folder, "data"), write(folder, "services.md", NOTICE)
    shown = b""
    for line in (["ingest", "deal", path], ["contradictions", "deal"], ["ask", "deal", "What is the monthly fee?"]):
        pid, fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm", NO_COLOR="")
            os.execv(PROGRAM, [PROGRAM, *line, "--data", data, "--no-model"])
        try:
            while True:
                block = os.read(fd, 65536)
                if not block:
                    break
                shown += block
        except OSError:
            pass
        os.close(fd)
        equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, " ".join(line[:1]))
    check(b"%" in shown and b"\r\x1b[K" in shown, "a bar that goes away: %r" % shown[:300])
    plain = command(data, "ask", "deal", "What is the monthly fee?")
    check("\x1b" not in plain.out and "\x1b" not in plain.err, "no escapes in a pipe")


@test
def test_an_interrupted_ingest_says_so(folder):
    data, inbox = os.path.join(folder, "data"), os.path.join(folder, "inbox")
    for i in range(30):
        write(inbox, "c%02d.md" % i, contract(i, 2500))
    process = subprocess.Popen([PROGRAM, "ingest", "deal", inbox, "--data", data, "--no-model"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S)
    equal(process.returncode, 1)
    check(b"nterrupted" in err, err)
    command(data, "ask", "deal", "What shall the Carrier deliver?")
    equal({d["state"] for d in command(data, "documents", "deal", "--json").json()["documents"]}, {"ready"})


@test
def test_web_addresses_are_fetched_but_not_private_ones_unasked(folder):
    import http.server
    data = os.path.join(folder, "data")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/terms.md"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(NOTICE if found else b"no")

        def log_message(self, *args):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d/terms.md" % web.server_port
    try:
        refused = command(data, "ingest", "deal", url, status=1)
        check("private" in refused.err, refused.err)
        done = command(data, "ingest", "deal", url, url + ".gone", "--allow-private", status=1)
        check(url + ": 1 page" in done.out and "404" in done.err, done.out + done.err)
        equal(os.listdir(os.path.join(data, "incoming")), [], "nothing half fetched is left")
    finally:
        web.shutdown()
        web.server_close()


if __name__ == "__main__":
    sys.exit(main())
