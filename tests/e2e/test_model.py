#!/usr/bin/python3
"""With the bundled model: readings in the background, kept and restored; questions that come while a set is read; a document that goes
takes its reading with it."""
import json
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import *  # noqa: E402,F403

LEASE = b"""# Lease of Mill House

1.1 The Tenant shall pay rent of USD 900 a month.

1.2 The Tenant shall not sublet the house without the Landlord's written consent.

2.1 The Landlord may terminate this Lease by giving ninety days' notice.

3.1 The Tenant shall keep the garden. Pets are not allowed, except guide dogs.
"""


@test
def test_the_model_is_described(folder):
    data = os.path.join(folder, "data")
    info = command(data, "model", "info", "--json", model=True).json()["model"]
    check(info["name"] and info["kernel_path"] and len(info["id"]) == 64 and info["config"]["n_layer"] > 0, "the model: %r" % info)
    equal((info["device"], info["layers"], info["tokenizer"]), ("cpu", {"mamba": 20, "attention": 10, "with_experts": 0}, "byte-level BPE"))
    check(159e6 < info["parameters"] < 160e6, "parameters: %d" % info["parameters"])
    equal([t["type"] for t in info["types"]], ["Q4_0", "Q8_0", "F32"])
    held = sum(os.path.getsize(os.path.join(info["path"], n)) for n in os.listdir(info["path"]) if n.endswith(".gguf"))
    check(0.9 * held < info["bytes"] < 1.15 * held, "weights are held once: %d of a file of %d" % (info["bytes"], held))
    memory = info["memory"]
    equal((memory["context"], memory["total"]), (info["config"]["context_length"], memory["weights"] + memory["state"]))
    short, twice = (command(data, "model", "info", "--json", "--context", str(n), model=True).json()["model"]["memory"] for n in (16384, 32768))
    equal((short["context"], short["weights"]), (16384, memory["weights"]))
    # 10 attention layers, 3 KV heads of 64, keys and values in 2 bytes (and what the kernel path keeps beside them); 20 Mamba layers' states in f32
    check(16384 * 7680 <= twice["state"] - short["state"] <= 16384 * 7680 * 1.1, "KV of a context twice as long: %r" % twice)
    check(2 * short["state"] - twice["state"] >= 20 * 4 * 1152 * (16 + 3), "states of the Mamba layers: %r" % short)
    text = command(data, "model", "info", "--context", "12000", model=True).out
    for words in ("device       cpu", "parameters   159.4 million", "20 Mamba, 10 attention", "byte-level BPE, 49152 tokens", "130 Q4_0", "for 12000 tokens of context"):
        check(words in text, "%s in %s" % (words, text))
    for line in (["sets", "--context", "5"], ["model", "info", "--context", "many"], ["model", "info", "a", "b"]):
        command(data, *line, model=True, status=2)


@test
def test_a_second_question_restores_the_reading(folder):
    data = os.path.join(folder, "data")
    path = os.path.join(folder, "lease.md")
    with open(path, "wb") as f:
        f.write(LEASE)
    command(data, "ingest", "lease", path, os.path.join(SAMPLES, "github-dmca.md"), model=True)
    question = "May the Tenant sublet the house?"
    first = command(data, "ask", "lease", question, "--json", model=True).json()
    equal(first["status"], "answered")
    check("shall not sublet" in first["citations"][0]["quote"], "the negation is shown: %r" % first["citations"][0])
    check(first["reading"]["newly_read"] >= first["coverage"]["tokens_read"] > 1000, "the first question reads: %r" % first["reading"])
    second = command(data, "ask", "lease", "Are pets allowed in the house?", "--json", model=True).json()
    check(second["reading"]["restored"] >= first["coverage"]["tokens_read"] * 0.99 and second["reading"]["newly_read"] < 100, "the second restores: %r" % second["reading"])
    check("except guide dogs" in second["citations"][0]["quote"], "the exception is shown: %r" % second["citations"])
    again = command(data, "ask", "lease", question, "--json", model=True).json()
    equal((again["status"], again["answer"], again["citations"]), (first["status"], first["answer"], first["citations"]), "the same question again")
    equal(again["decision"], first["decision"], "and the same probability to the last digit")
    check(found_in(os.path.join(data, "readings"), "") != [], "a snapshot is kept")
    for name in ("lease.md", "github-dmca.md"):
        command(data, "delete", "lease", name, model=True)
    equal(os.listdir(os.path.join(data, "readings")), [], "snapshots go with their documents")


@test
def test_the_server_reads_in_the_background_and_questions_come_first(folder):
    server = Server(os.path.join(folder, "data"), model=True)
    one, two = (server.post("/api/v1/sets", {"name": name})["id"] for name in ("one", "two"))
    server.upload(two, [("lease.md", LEASE)])
    server.idle(two)
    with open(os.path.join(SAMPLES, "github-dmca.md"), "rb") as f, open(os.path.join(SAMPLES, "github-acceptable-use.md"), "rb") as g:
        server.upload(one, [("dmca.md", f.read()), ("use.md", g.read())])
    answers = []
    threads = [threading.Thread(target=lambda s=s, q=q: answers.append(server.post("/api/v1/sets/%d/questions" % s, {"question": q}, 200)))
               for s, q in ((two, "How much rent shall the Tenant pay?"), (one, "What is a takedown notice?"), (two, "Are pets allowed?"))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    equal(len(answers), 3, "every question has its answer")
    server.idle(one)

    def read():
        jobs = server.get("/api/v1/sets/%d/jobs" % one)["jobs"] + server.get("/api/v1/sets/%d/jobs" % two)["jobs"]
        return all(j["state"] not in ("queued", "running") for j in jobs) and [j for j in jobs if j["kind"] == "read" and j["state"] == "done"]
    until(read, "both sets to be read")
    answer = server.post("/api/v1/sets/%d/questions" % one, {"question": "Who may send a counter notice?"}, 200)
    check(answer["reading"]["restored"] > 1000 and answer["reading"]["newly_read"] < 100, "the background reading serves the question: %r" % answer["reading"])
    check(json.loads(server.call("GET", "/readyz", want=200).data)["checks"]["model"] == "ok", "ready")
    server.kill()
    server = Server(os.path.join(folder, "data"), model=True)
    answer = server.post("/api/v1/sets/%d/questions" % one, {"question": "Who may send a takedown notice?"}, 200)
    check(answer["reading"]["restored"] > 1000, "and after a restart: %r" % answer["reading"])
    server.stop()


@test
def test_a_stop_while_reading_is_quick_and_loses_nothing(folder):
    data = os.path.join(folder, "data")
    server = Server(data, model=True)
    made = server.post("/api/v1/sets", {"name": "long"})["id"]
    server.upload(made, [("c%d.md" % i, contract(i, 40)) for i in range(3)])
    server.idle(made)
    until(lambda: any(j["kind"] == "read" and j["state"] == "running" for j in server.get("/api/v1/sets/%d/jobs" % made)["jobs"])
          or any(j["kind"] == "read" and j["state"] == "done" for j in server.get("/api/v1/sets/%d/jobs" % made)["jobs"]), "the reading to begin")
    server.stop()
    server = Server(data, model=True)
    until(lambda: any(j["kind"] == "read" and j["state"] == "done" for j in server.get("/api/v1/sets/%d/jobs" % made)["jobs"]), "the reading to end")
    equal({d["state"] for d in server.idle(made)}, {"ready"})
    server.stop()


@test
def test_a_document_deleted_while_it_is_read_leaves_nothing(folder):
    data = os.path.join(folder, "data")
    server = Server(data, model=True)
    made = server.post("/api/v1/sets", {"name": "long"})["id"]
    server.upload(made, [("keep.md", contract(1, 40)), ("secret.md", contract(2, 40) + b"\n99.1 The word is Quxolotl.\n")])
    documents = server.idle(made)
    until(lambda: any(j["kind"] == "read" and j["state"] in ("running", "done") for j in server.get("/api/v1/sets/%d/jobs" % made)["jobs"]), "the reading to begin")
    secret = [d["id"] for d in documents if d["name"] == "secret.md"][0]
    server.call("DELETE", "/api/v1/documents/%d" % secret, want=200)
    equal(found_in(data, "uxolotl"), [], "files with its word")
    until(lambda: all(j["state"] in ("done", "failed", "cancelled") for j in server.get("/api/v1/sets/%d/jobs" % made)["jobs"]), "the new reading")
    left = command(data, "ask", "long", "What shall the Carrier deliver?", "--json", model=True).json()
    check(left["coverage"]["documents"] == 1 and left["reading"]["newly_read"] < 100, "what is left was read again: %r %r" % (left["coverage"], left["reading"]))
    server.stop()


if __name__ == "__main__":
    sys.exit(main())
