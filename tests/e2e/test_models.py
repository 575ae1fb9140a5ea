#!/usr/bin/python3
"""test_models.py: model pull, import and list, against a hub of our own on 127.0.0.1 that misbehaves as told."""
import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PROGRAM, ROOT, check, command, equal, main, test, until

COMMIT = "c0ffee" + "0" * 34
WEIGHTS = b"GGUF" + bytes(i * 7 % 251 for i in range(3_000_000))


class Hub:
    """files: name -> bytes. listed: what the listing says, name -> changes of its entry. cut: break off behind so many bytes, once.
    cut_always: every time. no_ranges: Range is ignored. redirects: hops before a file."""

    def __init__(self, files, **how):
        self.files, self.how, self.requests, self.was_cut = files, how, [], False
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *a):
                pass

            def do_GET(self):
                hub.answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, h):
        self.requests.append((h.path, h.headers.get("Range")))
        if h.path == "/api/models/org/small?blobs=true":
            siblings = []
            for name, data in self.files.items():
                entry = {"rfilename": name, "size": len(data), "lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}
                if name.endswith(".json"):
                    del entry["lfs"]
                entry.update(self.how.get("listed", {}).get(name, {}))
                siblings.append(entry)
            return self.send(h, 200, json.dumps({"sha": COMMIT, "siblings": siblings}).encode())
        prefix, hops = "/org/small/resolve/%s/" % COMMIT, 0
        path, _, query = h.path.partition("?")
        if query.isdigit():
            hops = int(query)
        name = path[len(prefix):]
        if not path.startswith(prefix) or name not in self.files or name in self.how.get("missing", ()):
            return self.send(h, 404, b"no")
        if hops < self.how.get("redirects", 0):
            h.send_response(302)
            h.send_header("Location", self.how.get("location") or "%s?%d" % (path, hops + 1))
            h.send_header("Content-Length", "0")
            return h.end_headers()
        data, start, status = self.files[name], 0, 200
        if h.headers.get("Range") and not self.how.get("no_ranges"):
            start, status = int(h.headers["Range"][len("bytes="):-1]), 206
        start += self.how.get("shift", 0) if status == 206 else 0
        self.send(h, status, data[start:], start, len(data), self.how.get("cut") if name.endswith(".gguf") else None)

    def send(self, h, status, data, start=0, total=0, cut=None):
        h.send_response(status)
        h.send_header("Content-Length", str(len(data)))
        if status == 206:
            h.send_header("Content-Range", "bytes %d-%d/%d" % (start, total - 1, total))
        h.end_headers()
        if cut and (not self.was_cut or self.how.get("cut_always")):
            self.was_cut = True
            data = data[:cut]
            h.close_connection = True
        try:
            h.wfile.write(data)
        except OSError:
            pass


def pull(folder, hub, *args, status=0):
    return command(os.path.join(folder, "data"), "model", "pull", *(args or ("org/small",)), "--json", status=status, env={"ANTINOMY_HUB": hub.url})


def place(folder):
    return os.path.join(folder, "data", "models", "org", "small")


def files(folder):
    return sorted(f for f in os.listdir(place(folder)) if f != ".lock") if os.path.isdir(place(folder)) else []


def listed(folder):
    return command(os.path.join(folder, "data"), "model", "list", "--json").json()["models"]


SMALL = {"config.json": b"{}", "weights.gguf": WEIGHTS, "README.md": b"no"}


@test
def pull_fetches_checks_and_lists(folder):
    equal(listed(folder), [])
    with Hub(SMALL) as hub:
        equal(pull(folder, hub).json()["name"], "org/small")
        equal(files(folder), ["config.json", "weights.gguf"])
        equal(open(os.path.join(place(folder), "weights.gguf"), "rb").read(), WEIGHTS)
        (m,) = listed(folder)
        equal((m["name"], m["bytes"], m["complete"]), ("org/small", len(WEIGHTS) + 2, True))
        n = len(hub.requests)
        pull(folder, hub)
        check(not any("gguf" in path for path, _ in hub.requests[n:]), "what is there is not fetched again")


@test
def a_broken_download_goes_on_where_it_broke(folder):
    with Hub(SMALL, cut=1_000_000) as hub:
        pull(folder, hub)
        equal([r for path, r in hub.requests if "gguf" in path], [None, "bytes=1000000-"])
    equal(open(os.path.join(place(folder), "weights.gguf"), "rb").read(), WEIGHTS)


@test
def a_later_command_goes_on_too(folder):
    with Hub(SMALL, cut=100_000, cut_always=True) as hub:
        equal(pull(folder, hub, status=1).json()["error"]["code"], "io")
        check("weights.gguf" not in files(folder), "half a file has no name")
        equal([m["complete"] for m in listed(folder)], [False])
    with Hub(SMALL) as hub:
        pull(folder, hub)
        equal([r for path, r in hub.requests if "gguf" in path], ["bytes=500000-"])
    equal(files(folder), ["config.json", "weights.gguf"])
    equal(open(os.path.join(place(folder), "weights.gguf"), "rb").read(), WEIGHTS)


@test
def a_server_without_ranges_starts_over(folder):
    with Hub(SMALL, cut=1_000_000, no_ranges=True) as hub:
        pull(folder, hub)
    equal(open(os.path.join(place(folder), "weights.gguf"), "rb").read(), WEIGHTS)


@test
def another_part_than_asked_for_is_refused(folder):
    with Hub(SMALL, cut=1_000_000, shift=5) as hub:
        equal(pull(folder, hub, status=1).json()["error"]["code"], "format")
    check("weights.gguf" not in files(folder), "no file")


@test
def a_wrong_checksum_is_refused(folder):
    with Hub(SMALL, listed={"weights.gguf": {"lfs": {"sha256": "0" * 64, "size": len(WEIGHTS)}}}) as hub:
        error = pull(folder, hub, status=1).json()["error"]
        equal(error["code"], "format")
        check("SHA-256" in error["message"], error["message"])
    equal([f for f in files(folder) if "gguf" in f], [])


@test
def more_bytes_than_listed_are_refused(folder):
    with Hub(SMALL, listed={"weights.gguf": {"lfs": {"sha256": "0" * 64, "size": 1000}}}) as hub:
        equal(pull(folder, hub, status=1).json()["error"]["code"], "format")
    check("weights.gguf" not in files(folder), "no file")


@test
def missing_models_and_files_are_not_found(folder):
    with Hub(SMALL, missing=("weights.gguf",)) as hub:
        equal(pull(folder, hub, "org/other", status=1).json()["error"]["code"], "not_found")
        equal(pull(folder, hub, status=1).json()["error"]["code"], "not_found")


@test
def redirects_are_followed_up_to_a_limit(folder):
    with Hub(SMALL, redirects=3) as hub:
        pull(folder, hub)
    equal(files(folder), ["config.json", "weights.gguf"])
    with Hub({**SMALL, "weights.gguf": b"GGUF2"}, redirects=9) as hub:
        check("address to address" in pull(folder, hub, status=1).json()["error"]["message"], "says why")
    with Hub({**SMALL, "weights.gguf": b"GGUF3"}, redirects=9, location="file:///etc/passwd") as hub:
        pull(folder, hub, status=1)


@test
def hostile_names_fetch_nothing(folder):
    for name in ("../../evil.gguf", "/etc/evil.gguf", "a/../../evil.gguf", "a\\evil.gguf", "..", "a//b.gguf", "x\ny.gguf", ""):
        with Hub({**SMALL, name: b"GGUF"}) as hub:
            equal(pull(folder, hub, status=1).json()["error"]["code"], "format", name)
            equal(len(hub.requests), 1)
        equal(files(folder), [])
    with Hub(SMALL) as hub:
        for name in ("small", "../small", "org/..", "org/small/more", "org/.hidden"):
            equal(pull(folder, hub, name, status=1).json()["error"]["code"], "argument", name)
        equal(hub.requests, [])


@test
def one_of_several_models_is_named(folder):
    several = {"a-Q4_0.gguf": b"GGUFa", "b-00001-of-00002.gguf": b"GGUF1", "b-00002-of-00002.gguf": b"GGUF2"}
    with Hub(several) as hub:
        equal(pull(folder, hub, status=1).json()["error"]["code"], "argument")
        pull(folder, hub, "org/small", "b-00001-of-00002.gguf")
    equal(files(folder), ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"])


@test
def plain_http_to_other_machines_is_refused(folder):
    for base in ("http://models.example", "ftp://127.0.0.1", "http://127.0.0.1:1@models.example", "http://127.0.0.1.models.example"):
        r = command(os.path.join(folder, "data"), "model", "pull", "org/small", "--json", status=1, env={"ANTINOMY_HUB": base})
        equal(r.json()["error"]["code"], "argument", base)


@test
def import_copies_a_file_its_shards_or_a_folder(folder):
    data, source = os.path.join(folder, "data"), os.path.join(folder, "in")
    os.mkdir(source)
    for name in ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "other.gguf"):
        open(os.path.join(source, name), "wb").write(WEIGHTS[:1000])
    open(os.path.join(source, "fake.gguf"), "wb").write(b"not a model")
    command(data, "model", "import", os.path.join(source, "m-00001-of-00002.gguf"))
    command(data, "model", "import", source + "/")
    equal([(m["name"], m["bytes"]) for m in listed(folder)], [("local/in", 3011), ("local/m", 2000)])
    equal(command(data, "model", "import", source, "--json", status=1).json()["error"]["code"], "argument")
    equal(command(data, "model", "import", os.path.join(source, "fake.gguf"), "--json", status=1).json()["error"]["code"], "format")
    equal(command(data, "model", "import", data, "--json", status=1).json()["error"]["code"], "format")
    equal(command(data, "model", "import", "/nowhere/x", "--json", status=1).json()["error"]["code"], "not_found")
    equal(sorted(os.listdir(os.path.join(data, "models", "local"))), ["in", "m"])


def slow_source(folder, name="large"):
    """A file that takes a while to copy: 4 GB, of which the disk holds nothing yet."""
    path = os.path.join(folder, name + ".gguf")
    with open(path, "wb") as f:
        f.write(b"GGUF")
        f.truncate(4 << 30)
    return path


def importing(data, path, name="large"):
    """An import that has begun to copy, stopped there."""
    process = subprocess.Popen([PROGRAM, "model", "import", path, "--data", data, "--no-model"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    copy = os.path.join(data, "models", "local", "." + name, name + ".gguf")
    until(lambda: (os.path.exists(copy) and os.path.getsize(copy) > 0) or process.poll() is not None, "the copy to begin")
    process.send_signal(signal.SIGSTOP)
    equal(process.poll(), None, "it still copies")
    return process


@test
def a_killed_import_is_no_obstacle(folder):
    data, local = os.path.join(folder, "data"), os.path.join(folder, "data", "models", "local")
    process = importing(data, slow_source(folder))
    again = command(data, "model", "import", os.path.join(folder, "large.gguf"), "--json", status=1).json()["error"]
    equal(again["code"], "busy", "while the other one lives: " + again["message"])
    check(".large" in os.listdir(local), "its copy is left alone")
    equal(listed(folder), [], "half a model is no model")
    process.kill()
    process.wait()
    check(".large" in os.listdir(local), "a killed import leaves its copy")
    with open(os.path.join(folder, "large.gguf"), "wb") as f:
        f.write(WEIGHTS[:1000])
    equal(command(data, "model", "import", os.path.join(folder, "large.gguf"), "--json").json()["name"], "local/large")
    equal(os.listdir(local), ["large"])
    equal([(m["name"], m["bytes"], m["state"]) for m in listed(folder)], [("local/large", 1000, "ready")])


@test
def an_import_removes_what_killed_ones_left_and_nothing_else(folder):
    data, local = os.path.join(folder, "data"), os.path.join(folder, "data", "models", "local")
    dead = importing(data, slow_source(folder, "dead"), "dead")
    dead.kill()
    dead.wait()
    alive = importing(data, slow_source(folder, "alive"), "alive")
    open(os.path.join(folder, "other.gguf"), "wb").write(WEIGHTS[:1000])
    command(data, "model", "import", os.path.join(folder, "other.gguf"))
    equal(sorted(os.listdir(local)), [".alive", "other"])
    alive.kill()
    alive.wait()
    open(os.path.join(folder, "third.gguf"), "wb").write(WEIGHTS[:1000])
    command(data, "model", "import", os.path.join(folder, "third.gguf"))
    equal(sorted(os.listdir(local)), ["other", "third"])


@test
def a_model_is_named_as_it_was_pulled_or_imported(folder):
    data = os.path.join(folder, "data")
    bundled = os.path.join(ROOT, "engine", "models")
    shard = sorted(n for n in os.listdir(bundled) if n.endswith(".gguf"))[0]
    name = command(data, "model", "import", os.path.join(bundled, shard), "--json").json()["name"]
    check(name.startswith("local/"), name)
    of_name, of_file, of_path = (command(data, "model", "info", "--json", "--model", m, model=True).json()["model"]
                                 for m in (name, name + "/" + shard, os.path.join(data, "models", name)))
    equal(of_name["id"], of_path["id"])
    equal(of_file["id"], of_path["id"])
    equal(of_name["path"], os.path.join(data, "models", name))
    by_environment = command(data, "model", "info", "--json", model=True, env={"ANTINOMY_MODEL": name}).json()["model"]
    equal(by_environment["id"], of_path["id"])
    unknown = command(data, "model", "info", "--json", "--model", "org/none", model=True, status=1).json()["error"]
    equal(unknown["code"], "not_found")
    check("org/none" in unknown["where"] and "model list" in unknown["message"], "says so: %r" % unknown)
    with Hub(SMALL, cut=100_000, cut_always=True) as hub:
        pull(folder, hub, status=1)
    half = command(data, "model", "info", "--json", "--model", "org/small", model=True, status=1).json()["error"]
    check("model pull org/small" in half["message"], "says how to go on: %r" % half)


if __name__ == "__main__":
    sys.exit(main())
