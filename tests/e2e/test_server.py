#!/usr/bin/python3
"""The server: its routes, kill -9 in the middle of work, and what strangers on the loopback may try."""
import json
import os
import re
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403

NOTE = b"# Lease\n\n1.1 The Tenant shall pay rent of USD 900 a month.\n\n2.1 The Tenant shall pay rent of USD 950 a month.\n"


def lease(server, name="lease.md"):
    made = server.post("/api/v1/sets", {"name": "deal"})
    server.upload(made["id"], [(name, NOTE)])
    return made["id"], server.idle(made["id"])[0]


def new_report(server, set_id):
    reports = "/api/v1/sets/%d/reports" % set_id
    server.call("POST", reports, {}, {"Accept": "text/event-stream"}, 200)
    return server.get(reports)


@test
def test_from_upload_to_answer_report_and_delete(folder):
    server = Server(os.path.join(folder, "data"))
    made = server.post("/api/v1/sets", {"name": "deal"}, 201)
    equal(server.post("/api/v1/sets", {"name": " deal "}, 200)["id"], made["id"], "the same name is the same set")
    answer = server.upload(made["id"], [("lease.md", NOTE), ("sub/lease2.md", NOTE + b"\n3.1 Pets are not allowed.\n")])
    uploads = json.loads(answer.data)["uploads"]
    equal([u["document"]["name"] for u in uploads], ["lease.md", "sub/lease2.md"])
    equal(answer.getheader("Location"), "/api/v1/jobs/%d" % uploads[0]["job"])
    for u in uploads:
        events = server.call("GET", "/api/v1/jobs/%d/events" % u["job"], headers={"Accept": "text/event-stream"}, want=200)
        check(events.getheader("Content-Type") == "text/event-stream" and b"event: done" in events.data and b"id: 1\n" in events.data, "job events: %r" % events.data[:200])
        equal(server.get("/api/v1/jobs/%d" % u["job"])["state"], "done")
    documents = server.idle(made["id"])
    equal([d["state"] for d in documents], ["ready", "ready"])
    plain = server.post("/api/v1/sets/%d/questions" % made["id"], {"question": "What rent shall the Tenant pay?"}, 200)
    stream = server.call("POST", "/api/v1/sets/%d/questions" % made["id"], {"question": "What rent shall the Tenant pay?"}, {"Accept": "text/event-stream"}, 200)
    events = re.findall(rb"event: (\w+)\ndata: (.*)\n\n", stream.data)
    names = [name.decode() for name, _ in events]
    check("stage" in names and "citation" in names and "answer" in names and names[-1] == "done", "events: %r" % names)
    equal(json.loads(events[-1][1])["citations"], plain["citations"], "streamed and plain answers agree")
    check(len(plain["citations"][0]["also"]) >= 1, "every place is listed")
    equal(server.get("/api/v1/sets/%d/reports" % made["id"]), {"id": 0, "report": None}, "no report yet")
    job = server.call("POST", "/api/v1/sets/%d/reports" % made["id"], {}, want=202)
    until(lambda: server.get(job.getheader("Location"))["state"] == "done", "the report")
    report = server.get("/api/v1/sets/%d/reports" % made["id"])
    check(any(f["class"] == "amount" for f in report["report"]["findings"]), "USD 900 against USD 950 is found: %r" % report["report"]["findings"])
    page = server.call("GET", "/api/v1/reports/%d.html" % report["id"], want=200)
    check(b"950" in page.data and "script" not in page.getheader("Content-Security-Policy").replace("default-src 'none'", ""), "the printable report")
    equal(server.call("GET", "/api/v1/documents/%d/pages/1.png" % documents[0]["id"]).status, 415, "a page of a text has no image")
    equal(server.get("/api/v1/documents/%d/rects?start=0&end=10" % documents[0]["id"])["pages"], [])
    equal(server.get("/api/v1/documents/%d" % documents[0]["id"])["warnings"], [])
    server.upload(made["id"], [("old.html", b"<p>The rent is <s>USD 5</s> USD 6 a month.</p>")])
    struck = server.idle(made["id"])[-1]
    equal(struck["warnings"], [{"message": "struck-through text was not read"}], "the list's")
    equal(server.get("/api/v1/documents/%d" % struck["id"])["warnings"], struck["warnings"])
    equal(server.get("/api/v1/documents/%d/text" % struck["id"])["text"], "The rent is USD 6 a month.")
    receipt = json.loads(server.call("DELETE", "/api/v1/documents/%d" % documents[0]["id"], want=200).data)
    equal(receipt["name"], "lease.md")
    server.call("GET", "/api/v1/documents/%d" % documents[0]["id"], want=404)
    server.call("DELETE", "/api/v1/sets/%d" % made["id"], want=200)
    equal(server.get("/api/v1/sets")["sets"], [])
    server.stop()


@test
def test_an_answer_given_before_is_opened_again(folder):
    server = Server(os.path.join(folder, "data"))
    set_id, _ = lease(server)
    questions = "/api/v1/sets/%d/questions" % set_id
    equal(server.get(questions), {"questions": [], "has_more": False})
    asked = [server.post(questions, {"question": "What rent shall the Tenant pay%s" % ("?" * (i + 1))}, 200) for i in range(3)]
    page = server.get(questions + "?limit=2")
    equal(([q["id"] for q in page["questions"]], page["has_more"]), ([asked[2]["id"], asked[1]["id"]], True))
    page = server.get(questions + "?limit=2&after=%d" % asked[1]["id"])
    equal(([q["question"] for q in page["questions"]], page["has_more"]), (["What rent shall the Tenant pay?"], False))
    equal(page["questions"][0]["status"], asked[0]["status"])
    server.kill()
    server = Server(os.path.join(folder, "data"))
    again = server.get("/api/v1/questions/%d" % asked[0]["id"])
    equal({k: again[k] for k in asked[0]}, asked[0], "the same answer, to its last mark")
    equal((again["question"], again["set"], again["replaced"]), ("What rent shall the Tenant pay?", set_id, []))
    server.upload(set_id, [("lease.md", NOTE + b"\n3.1 Pets are not allowed.\n")])
    server.idle(set_id)
    again = server.get("/api/v1/questions/%d" % asked[0]["id"])
    equal(again["replaced"], ["lease.md"], "what was replaced since is said")
    cited = again["citations"][0]
    text = server.get("/api/v1/documents/%d/text" % cited["document_id"])["text"]
    check(text[cited["start"]:cited["end"]] in cited["quote"], "its marks lie in the version that was read")
    server.call("DELETE", "/api/v1/documents/%d" % cited["document_id"], want=200)
    server.call("GET", "/api/v1/questions/%d" % asked[0]["id"], want=404)
    equal(server.get(questions)["questions"], [], "answers go with the document they quote")
    server.call("GET", "/api/v1/sets/99/questions", want=404)
    server.stop()


@test
def test_a_review_outlives_reports_versions_and_restarts_but_not_its_documents(folder):
    server = Server(os.path.join(folder, "data"))
    set_id, document = lease(server)

    def review(finding, body, want=200):
        return json.loads(server.call("PATCH", "/api/v1/findings/%d" % finding["id"], body, want=want).data)

    rent = [f for f in new_report(server, set_id)["report"]["findings"] if f["class"] == "amount"][0]
    equal((rent["review"]["state"], rent["review"]["revision"]), ("new", 0))
    review(rent, {"state": "dismissed"}, 400)
    review(rent, {"state": "wrong"}, 400)
    review(rent, {"note": 3}, 400)
    review(rent, {"note": "n" * 5000}, 413)
    done = review(rent, {"state": "dismissed", "reason": "other flats Qxreason", "note": "asked <Ms> Qxnote", "revision": 0})
    check(done["review"]["revision"] > 0 and done["review"]["reviewed_at"] > 0, "written down: %r" % done)
    review(rent, {"state": "confirmed", "revision": 0}, 409)
    done = review(rent, {"note": "asked <Ms> Qxnote twice"})
    equal((done["review"]["state"], done["review"]["reason"]), ("dismissed", "other flats Qxreason"), "what is not given stays")
    equal([r["note"] for r in done["history"]], ["asked <Ms> Qxnote", "asked <Ms> Qxnote twice"])
    server.kill()
    server = Server(os.path.join(folder, "data"))
    later = new_report(server, set_id)
    equal([f for f in later["report"]["findings"] if f["id"] == rent["id"]][0]["review"], done["review"], "a later report")
    page = server.call("GET", "/api/v1/reports/%d.html" % later["id"], want=200).data
    check(b"Review: dismissed" in page and b"Qxreason" in page and b"&lt;Ms&gt; Qxnote twice" in page, "the printable report has it")
    server.upload(set_id, [("lease.md", NOTE.replace(b"# Lease\n", b"# Lease\n\nMade in May.\n") + b"\n3.1 Pets are not allowed.\n")])
    new = [d for d in server.idle(set_id) if "replaced_by" not in d][0]
    check(new["id"] != document["id"], "a new version")
    equal([f["review"] for f in new_report(server, set_id)["report"]["findings"] if f["id"] == rent["id"]], [done["review"]], "found again in the new version")
    server.call("DELETE", "/api/v1/documents/%d" % document["id"], want=200)
    equal(server.get("/api/v1/findings/%d" % rent["id"])["review"], done["review"], "the new version still holds both sides")
    server.call("DELETE", "/api/v1/documents/%d" % new["id"], want=200)
    server.call("GET", "/api/v1/findings/%d" % rent["id"], want=404)
    review(rent, {"state": "confirmed"}, 404)
    server.stop()
    equal(found_in(os.path.join(folder, "data"), "Qxnote"), [], "notes go with the documents")
    equal(found_in(os.path.join(folder, "data"), "Qxreason"), [], "reasons too")


@test
def test_two_reports_are_compared(folder):
    server = Server(os.path.join(folder, "data"))
    set_id, _ = lease(server)
    first = new_report(server, set_id)
    n = len(first["report"]["findings"])
    equal(server.get("/api/v1/reports/%d/diff" % first["id"]), {"report": first["id"], "base": 0}, "the first has none before it")
    server.call("GET", "/api/v1/reports/999/diff", want=404)
    second = new_report(server, set_id)
    server.call("GET", "/api/v1/reports/%d.html" % first["id"], want=404)
    diff = server.get("/api/v1/reports/%d/diff" % second["id"])
    equal(diff, {"report": second["id"], "base": first["id"], "new": [], "gone": [], "unchanged": n, "documents_added": [], "documents_gone": [], "other_program": False})
    server.upload(set_id, [("lease.md", NOTE.replace(b"USD 950", b"USD 900") + b"\n3.1 The Tenant shall give notice within 30 days.\n\n4.1 The Tenant shall give notice within 60 days.\n")])
    server.idle(set_id)
    third = new_report(server, set_id)
    diff = server.get("/api/v1/reports/%d/diff" % third["id"])
    equal(([f["class"] for f in diff["gone"]], diff["documents_added"], diff["documents_gone"]), (["amount"], ["lease.md"], ["lease.md"]))
    equal([f["id"] for f in diff["new"]], [f["id"] for f in third["report"]["findings"]], "the new ones, as in the report")
    check(diff["new"], "there are new ones")
    back = server.get("/api/v1/reports/%d/diff?base=%d" % (first["id"], third["id"]))
    equal((back["new"], back["gone"]), (diff["gone"], diff["new"]), "the other way round")
    other = server.post("/api/v1/sets", {"name": "other"})["id"]
    server.upload(other, [("lease.md", NOTE)])
    server.idle(other)
    server.call("GET", "/api/v1/reports/%d/diff?base=%d" % (new_report(server, other)["id"], first["id"]), want=400)
    server.stop()


@test
def test_the_description_names_every_route(folder):
    server = Server(os.path.join(folder, "data"))
    described = server.get("/openapi.json")["paths"]
    with open(os.path.join(ROOT, "api", "routes.c"), encoding="utf-8") as f:
        routes = re.findall(r'\{API_(\w+), "([^"]+)", route_', f.read())
    check(len(routes) > 15, "the table of routes was found")
    known = {(re.sub(r"\{\w+\}", "#", path), method) for path, item in described.items() for method in item}
    for method, pattern in routes:
        check((pattern, method.lower()) in known, "openapi.json lacks %s %s" % (method, pattern))
    equal(len(known), len(routes) + 2, "paths described: those of the table, /healthz and /openapi.json")
    server.stop()


@test
def test_a_page_image_has_its_marks_in_the_right_place(folder):
    server = Server(os.path.join(folder, "data"))
    made = server.post("/api/v1/sets", {"name": "deal"})
    with open(os.path.join(SAMPLES, "supply-agreement.pdf"), "rb") as f:
        server.upload(made["id"], [("supply-agreement.pdf", f.read())])
    document = server.idle(made["id"])[0]
    equal(document["state"], "ready", "the PDF: %r" % document.get("error"))
    text = server.get("/api/v1/documents/%d/text" % document["id"])
    at = text["text"].index("1,250,000")
    rects = server.get("/api/v1/documents/%d/rects?start=%d&end=%d" % (document["id"], at, at + 9))["pages"]
    equal(len(rects), 1, "one page")
    page = rects[0]
    x0, y0, x1, y1 = page["rects"][0]
    check(0 <= x0 < x1 <= page["width"] and 0 <= y0 < y1 <= page["height"] and x1 - x0 < 120 and y1 - y0 < 30, "a small box on the page: %r" % page)
    image = server.call("GET", "/api/v1/documents/%d/pages/%d.png?dpi=96" % (document["id"], page["page"]), want=200)
    check(image.data.startswith(b"\x89PNG"), "a PNG")
    width, height = int.from_bytes(image.data[16:20], "big"), int.from_bytes(image.data[20:24], "big")
    check(abs(width - page["width"] * 96 / 72) < 3 and abs(height - page["height"] * 96 / 72) < 3, "the image has the page's size: %dx%d for %r" % (width, height, page))
    cached = os.listdir(os.path.join(folder, "data", "pages"))
    equal(len(cached), 1, "kept images")
    for path, status in (("pages/999.png", 404), ("pages/1.png?dpi=5000", 400), ("pages/0.png", 404), ("rects?start=9&end=3", 400), ("rects?start=0&end=99999999999", 400), ("text?start=x", 400)):
        equal(server.call("GET", "/api/v1/documents/%d/%s" % (document["id"], path)).status, status, path)
    server.call("DELETE", "/api/v1/documents/%d" % document["id"], want=200)
    equal(os.listdir(os.path.join(folder, "data", "pages")), [], "images go with their document")
    server.stop()


@test
def test_kill_9_during_ingest_of_20_files(folder):
    """Killed three times at different moments; in the end all 20 are read, none twice."""
    data = os.path.join(folder, "data")
    server = Server(data)
    set_id = server.post("/api/v1/sets", {"name": "deal"})["id"]
    names = ["file-%02d.md" % i for i in range(20)]
    server.upload(set_id, [(name, contract(i, 1500)) for i, name in enumerate(names[:12])])
    until(lambda: sum(d["state"] == "ready" for d in server.get("/api/v1/sets/%d/documents" % set_id)["documents"]) >= 2, "two files")
    server.kill()
    server = Server(data)
    server.upload(set_id, [(name, contract(12 + i, 1500)) for i, name in enumerate(names[12:])])
    until(lambda: sum(d["state"] == "ready" for d in server.get("/api/v1/sets/%d/documents" % set_id)["documents"]) >= 7, "seven files")
    server.kill()
    server = Server(data)
    time.sleep(0.1)
    server.kill()
    server = Server(data)
    documents = server.idle(set_id)
    equal(sorted(d["name"] for d in documents), names, "every file once")
    equal({d["state"] for d in documents}, {"ready"}, "all are read: %r" % [d for d in documents if d["state"] != "ready"])
    equal({d["statements"] for d in documents if d["statements"] < 1000}, set(), "whole documents")
    done = [j for j in server.get("/api/v1/sets/%d/jobs" % set_id)["jobs"] if j["kind"] == "ingest"]
    equal(len(done), 20, "a job a file")
    equal({j["state"] for j in done}, {"done"})
    equal(os.listdir(os.path.join(data, "incoming")), [], "nothing half received is left")
    equal(len(os.listdir(os.path.join(data, "originals"))), 20, "an original a file")
    server.stop()


@test
def test_kill_9_of_a_command_leaves_work_for_the_next(folder):
    data = os.path.join(folder, "data")
    inbox = os.path.join(folder, "inbox")
    os.mkdir(inbox)
    for i in range(20):
        with open(os.path.join(inbox, "c%02d.md" % i), "wb") as f:
            f.write(contract(i, 1200))
    import subprocess
    process = subprocess.Popen([PROGRAM, "ingest", "deal", inbox, "--data", data, "--no-model"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for _ in range(2):
        process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    states = [d["state"] for d in command(data, "documents", "deal", "--json").json()["documents"]]
    equal(len(states), 20, "all were handed over before the first was read")
    command(data, "ask", "deal", "What shall the Carrier deliver?")
    states = [d["state"] for d in command(data, "documents", "deal", "--json").json()["documents"]]
    equal(states, ["ready"] * 20, "the next command ends the work")


@test
def test_strangers_are_refused(folder):
    server = Server(os.path.join(folder, "data"))
    set_id, document = lease(server)
    status = lambda *a, **k: server.call(*a, **k).status  # noqa: E731
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "10.0.0.1", "localhost:123456", "localhost:x", ""):
        equal(status("GET", "/api/v1/sets", headers={"Host": host}), 421, "Host " + host)
    for host in ("localhost", "localhost:9999", "127.0.0.1:1", "[::1]:8420"):
        equal(status("GET", "/api/v1/sets", headers={"Host": host}), 200, "Host " + host)
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        equal(status("POST", "/api/v1/sets", {"name": "x"}, headers=headers), 403, "POST with %r" % headers)
        equal(status("DELETE", "/api/v1/documents/%d" % document["id"], headers=headers), 403, "DELETE with %r" % headers)
    equal(status("POST", "/api/v1/sets", {"name": "x"}, headers={"Origin": "http://127.0.0.1:%d" % server.port, "Sec-Fetch-Site": "same-origin"}), 201)
    equal(status("GET", "/api/v1/sets", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}), 403)
    equal(status("GET", "/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}), 200, "a link to the page")
    page = server.call("GET", "/")
    check("script-src 'self'" in page.getheader("Content-Security-Policy") and "unsafe" not in page.getheader("Content-Security-Policy"), "the page's policy")
    equal(page.getheader("X-Content-Type-Options"), "nosniff")
    equal(server.call("GET", "/healthz", headers={"X-Request-Id": "abc-1"}).getheader("X-Request-Id"), "abc-1")
    check(server.call("GET", "/healthz", headers={"X-Request-Id": "a b\"<>"}).getheader("X-Request-Id") != "a b\"<>", "a strange id is not repeated")
    with socket.socket() as s:
        address = [x for x in open("/proc/net/tcp").read().splitlines()[1:] if x.split()[1].endswith(":%04X" % server.port) and x.split()[3] == "0A"]
        check(address and all(x.split()[1].startswith("0100007F:") for x in address), "listens on 127.0.0.1 only: %r" % address)
    mode = os.stat(os.path.join(folder, "data", "socket")).st_mode & 0o777
    equal(oct(mode), oct(0o600), "the socket's mode")
    server.stop()


@test
def test_broken_requests_get_a_problem_and_nothing_else(folder):
    server = Server(os.path.join(folder, "data"))
    set_id, document = lease(server)
    base = "/api/v1/sets/%d" % set_id
    cases = (
        ("POST", "/api/v1/sets", b"{", "application/json", 400), ("POST", "/api/v1/sets", b"[]", "application/json", 400),
        ("POST", "/api/v1/sets", b'{"name":3}', "application/json", 400), ("POST", "/api/v1/sets", b'{"name":""}', "application/json", 400),
        ("POST", "/api/v1/sets", b'{"name":"a\\u0000b"}', "application/json", 400), ("POST", "/api/v1/sets", b'{"name":"\xff"}', "application/json", 400),
        ("POST", "/api/v1/sets", b'{"name":"' + b"n" * 200 + b'"}', "application/json", 400), ("POST", "/api/v1/sets", b'{"name":"x"}', "text/plain", 415),
        ("POST", "/api/v1/sets", b'{"name":"x"}', "application/x-www-form-urlencoded", 415), ("POST", "/api/v1/sets", b'{"x":"' + b"y" * 70000 + b'"}', "application/json", 413),
        ("POST", base + "/questions", b'{"question":"   "}', "application/json", 400), ("POST", base + "/questions", b"", None, 400),
        ("POST", base + "/questions", json.dumps({"question": "q" * 2001}).encode(), "application/json", 413),
        ("POST", "/api/v1/sets/99/questions", b'{"question":"x"}', "application/json", 404), ("POST", "/api/v1/sets/99/reports", b"{}", "application/json", 404),
        ("POST", base + "/documents", b"{}", "application/json", 400), ("POST", base + "/documents", b"x", "multipart/form-data", 400),
        ("POST", base + "/documents", b"--b\r\nbroken", "multipart/form-data; boundary=b", 422), ("POST", base + "/documents", b"--b--\r\n", "multipart/form-data; boundary=b", 400),
        ("POST", "/api/v1/sets/99/documents", b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nx\r\n--b--', "multipart/form-data; boundary=b", 404),
        ("POST", base + "/documents", b'--b\r\nContent-Disposition: form-data; name="f"; filename="  "\r\n\r\nx\r\n--b--', "multipart/form-data; boundary=b", 400),
        ("GET", "/api/v1/documents/99", None, None, 404), ("DELETE", "/api/v1/jobs/9999", None, None, 404), ("GET", "/api/v1/jobs/9999/events", None, None, 404),
        ("GET", "/api/v1/reports/99.html", None, None, 404), ("GET", "/api/v1/sets/99/reports", None, None, 404), ("PUT", "/api/v1/sets", b"{}", "application/json", 405),
        ("GET", "/api/v1/documents/%d/pages/../../../lock" % document["id"], None, None, 404), ("GET", "/%2e%2e/%2e%2e/etc/passwd", None, None, 404),
        ("GET", "/api/v1/documents/..%2f..%2fantinomy.db", None, None, 404), ("GET", "/api/v1/sets?name=%ff%00", None, None, 400), ("GET", "/" + "a" * 3000, None, None, 414),
        ("GET", "/api/v1/sets", b"body", "application/json", 400), ("DELETE", "/api/v1/sets/%d" % set_id, b"{}", "application/json", 400),
    )
    for method, path, body, kind, want in cases:
        answer = server.call(method, path, body, {"Content-Type": kind} if kind else {})
        equal(answer.status, want, "%s %s %r" % (method, path[:60], (body or b"")[:40]))
        equal(answer.getheader("Content-Type"), "application/problem+json", path[:60])
        problem = json.loads(answer.data)
        check(problem["status"] == want and problem["title"] and problem["detail"] and problem["code"], "a whole problem: %r" % problem)
        check(problem["request_id"] == answer.getheader("X-Request-Id"), "the request's id")
        check(folder not in answer.data.decode(), "no path of ours: %r" % problem)
    equal(server.get("/api/v1/documents/%d" % document["id"])["state"], "ready", "the document is untouched")
    equal(os.listdir(os.path.join(folder, "data", "incoming")), [], "nothing of the refused uploads is left")
    server.stop()


@test
def test_raw_abuse_does_not_hurt(folder):
    server = Server(os.path.join(folder, "data"))
    set_id, document = lease(server)
    host = b"Host: localhost\r\n"
    cases = (
        b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * 200000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + host + b"".join(b"X-%d: y\r\n" % i for i in range(5000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"GET\r\n\r\n", b"\r\n\r\n\r\n", b"GET / HTTP/9.9\r\n" + host + b"\r\n", b"\x00" * 5000,
        b"POST /api/v1/sets HTTP/1.1\r\n" + host + b"Content-Type: application/json\r\nContent-Length: -5\r\n\r\n{}",
        b"POST /api/v1/sets HTTP/1.1\r\n" + host + b"Content-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/sets HTTP/1.1\r\n" + host + b"Content-Type: application/json\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /api/v1/sets HTTP/1.1\r\n" + host + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"name\":",
        b"POST /api/v1/sets/%d/documents HTTP/1.1\r\n" % set_id + host + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\nhalf of a file",
        b"POST /api/v1/sets/%d/documents HTTP/1.1\r\n" % set_id + host + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 999999999999\r\n\r\n",
        b"POST /api/v1/sets HTTP/1.1\r\n" + host + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + b"fff\r\n" + b"x" * 4095 + b"\r\n" * 1 + b"zz\r\n",
        b"GET /api/v1/sets HTTP/1.0\r\n\r\n", b"CONNECT evil.example:443 HTTP/1.1\r\n" + host + b"\r\n", b"GET http://evil.example/ HTTP/1.1\r\n" + host + b"\r\n",
    )
    for data in cases:
        got = server.raw(data, shut=True, seconds=5)
        first = got.split(b"\r\n", 1)[0]
        check(not got or re.match(rb"HTTP/1\.[01] (4\d\d|5\d\d)", first), "refused or closed: %r -> %r" % (data[:60], first))
        equal(server.call("GET", "/healthz").status, 200, "alive after %r" % data[:60])
    check(len(server.get("/api/v1/sets")["sets"]) == 1, "no set was made")
    until(lambda: os.listdir(os.path.join(folder, "data", "incoming")) == [], "half a file is removed")
    server.stop()


@test
def test_slow_and_silent_clients_hold_nobody_up(folder):
    server = Server(os.path.join(folder, "data"))
    set_id, document = lease(server)
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    for s in silent[:20]:
        s.sendall(b"GET / HTTP/1.1\r\nHost: localh")
    streams = []
    body = b'{"question":"What rent?"}'
    for _ in range(20):  # ask for streams and never read them
        s = socket.create_connection(("127.0.0.1", server.port))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        s.sendall(b"POST /api/v1/sets/%d/questions HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (set_id, len(body)) + body)
        streams.append(s)
    for _ in range(5):
        equal(server.post("/api/v1/sets/%d/questions" % set_id, {"question": "What rent?"}, 200)["status"] != "", True)
    for s in streams[:10]:
        s.close()
    equal(server.call("GET", "/healthz").status, 200)
    started = time.monotonic()
    server.stop()
    check(time.monotonic() - started < 25, "a stop does not wait for them")
    for s in silent + streams:
        s.close()


@test
def test_a_crowd_is_told_to_wait(folder):
    server = Server(os.path.join(folder, "data"))
    set_id, document = lease(server)
    statuses, lock = [], threading.Lock()

    def ask():
        for _ in range(4):
            try:
                answer = server.call("POST", "/api/v1/sets/%d/questions" % set_id, {"question": "What rent shall the Tenant pay?"})
                with lock:
                    statuses.append(answer.status)
            except (OSError, http.client.HTTPException):
                with lock:
                    statuses.append(0)

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check(set(statuses) <= {200, 503, 0} and statuses.count(200) >= 30, "answers: %r" % {s: statuses.count(s) for s in set(statuses)})
    equal(server.call("GET", "/readyz").status, 200)
    server.stop()


@test
def test_the_log_has_no_word_of_documents_or_questions(folder):
    server = Server(os.path.join(folder, "data"))
    made = server.post("/api/v1/sets", {"name": "Zyxquatra merger"})
    server.upload(made["id"], [("Wobblefrax.md", NOTE + b"\n5.1 The code word is Plimsnork.\n")])
    server.idle(made["id"])
    server.get("/api/v1/sets?name=Zyxquatra%20merger")
    server.post("/api/v1/sets/%d/questions" % made["id"], {"question": "What is the code word of Gribbleton?"}, 200)
    server.stop()
    log = open(os.path.join(folder, "data.log"), encoding="utf-8").read()
    lines = [json.loads(line) for line in log.splitlines()]
    check(len(lines) > 5 and all(line["time"] and line["event"] for line in lines), "JSON lines")
    for word in ("Zyxquatra", "Wobblefrax", "Plimsnork", "Gribbleton"):
        check(word not in log, word + " is in the log")


if __name__ == "__main__":
    sys.exit(main())
