#!/usr/bin/python3
"""test_models.py: model pull, import, list and info, against a hub of our own on 127.0.0.1 that misbehaves as told."""
import hashlib
import http.server
import json
import os
import signal
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import PROGRAM, ROOT, WAIT_S, Server, Skip, check, command, equal, main, test, until

COMMIT = "c0ffee" + "0" * 34
WEIGHTS = b"GGUF" + bytes(i * 7 % 251 for i in range(3_000_000))


class Hub:
    """files: name -> bytes. listed: what the listing says, name -> changes of its entry. cut: break off behind so many bytes, once.
    cut_always: every time. no_ranges: Range is ignored. redirects: hops before a file. elsewhere: where weights are sent on to.
    certificate: (file, key), then it speaks https. token: who brings another or none gets refusal: (status, X-Error-Code).
    linked: tells weights' checksum and size with the answer. hold: an event that weights wait for, half sent."""

    def __init__(self, files, **how):
        self.files, self.how, self.requests, self.tokens, self.was_cut = files, how, [], [], False
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *a):
                pass

            def do_GET(self):
                hub.answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        if "certificate" in how:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*how["certificate"])
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.server.handle_error = lambda *a: None  # who does not trust us hangs up
            self.url = "https://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, h):
        self.requests.append((h.path, h.headers.get("Range")))
        self.tokens.append(h.headers.get("Authorization"))
        if h.path == "/api/models/org/small?blobs=true":
            siblings = []
            for name, data in self.files.items():
                entry = {"rfilename": name, "size": len(data), "lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}
                if name.endswith(".json"):
                    del entry["lfs"]
                    entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
                entry.update(self.how.get("listed", {}).get(name, {}))
                siblings.append({k: v for k, v in entry.items() if v is not None})
            return self.send(h, 200, json.dumps({"sha": COMMIT, "siblings": siblings}).encode())
        prefix, hops = "/org/small/resolve/%s/" % COMMIT, 0
        path, _, query = h.path.partition("?")
        if query.isdigit():
            hops = int(query)
        name = path[len(prefix):]
        if not path.startswith(prefix) or name not in self.files or name in self.how.get("missing", ()):
            return self.send(h, 404, b"no")
        if "token" in self.how and h.headers.get("Authorization") != "Bearer " + self.how["token"]:
            return self.send(h, self.how["refusal"][0], b"no", headers={"X-Error-Code": self.how["refusal"][1]})
        if "elsewhere" in self.how and name.endswith(".gguf"):
            h.send_response(302)
            h.send_header("Location", self.how["elsewhere"] + path)
            h.send_header("Content-Length", "0")
            for header, value in self.how.get("linked", {}).items():
                h.send_header(header, value)
            return h.end_headers()
        if hops < self.how.get("redirects", 0):
            h.send_response(302)
            h.send_header("Location", self.how.get("location") or "%s?%d" % (path, hops + 1))
            h.send_header("Content-Length", "0")
            return h.end_headers()
        data, start, status = self.files[name], 0, 200
        if h.headers.get("Range") and not self.how.get("no_ranges"):
            start, status = int(h.headers["Range"][len("bytes="):-1]), 206
        start += self.how.get("shift", 0) if status == 206 else 0
        self.send(h, status, data[start:], start, len(data), self.how.get("cut") if name.endswith(".gguf") else None,
                  self.how.get("hold") if name.endswith(".gguf") else None)

    def send(self, h, status, data, start=0, total=0, cut=None, hold=None, headers=None):
        h.send_response(status)
        for header, value in (headers or {}).items():
            h.send_header(header, value)
        h.send_header("Content-Length", str(len(data)))
        if status == 206:
            h.send_header("Content-Range", "bytes %d-%d/%d" % (start, total - 1, total))
        h.end_headers()
        if cut and (not self.was_cut or self.how.get("cut_always")):
            self.was_cut = True
            data = data[:cut]
            h.close_connection = True
        try:
            if hold:
                h.wfile.write(data[:len(data) // 2])
                hold.wait(WAIT_S)
                data = data[len(data) // 2:]
            h.wfile.write(data)
        except OSError:
            pass


def pull(folder, hub, *args, status=0, env=None):
    for name in ("HF_TOKEN", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "ANTINOMY_MODEL"):
        os.environ.pop(name, None)
    return command(os.path.join(folder, "data"), "model", "pull", *(args or ("org/small",)), "--json", status=status, env={"ANTINOMY_HUB": hub.url, **(env or {})})


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
def what_was_pulled_opens(folder):
    checkpoint = os.path.join(ROOT, "tests", "golden", "checkpoints", "bf16_shards")
    names = [n for n in os.listdir(checkpoint) if n != "expected.bin"]
    with Hub({n: open(os.path.join(checkpoint, n), "rb").read() for n in names}) as hub:
        pull(folder, hub)
    equal(files(folder), sorted(names))
    info = command(os.path.join(folder, "data"), "model", "info", "org/small", "--json").json()["model"]
    equal((info["name"], info["layers"], info["types"][0]["type"], info["card"]), ("small", {"mamba": 3, "attention": 1, "with_experts": 2}, "BF16", None))


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


# ---- https ----
def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Authority:
    """A certificate authority that lives as long as the test."""

    def __init__(self, folder):
        self.folder, self.file, self.key = folder, os.path.join(folder, "ca.pem"), os.path.join(folder, "ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=Test authority",
                "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", self.key, "-out", self.file)

    def certificate(self, names):
        base = os.path.join(self.folder, hashlib.sha256(names.encode()).hexdigest()[:8])
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=hub", "-keyout", base + ".key", "-out", base + ".csr")
        with open(base + ".ext", "w") as f:
            f.write("subjectAltName=%s\n" % names)
        openssl("x509", "-req", "-in", base + ".csr", "-CA", self.file, "-CAkey", self.key, "-CAcreateserial", "-days", "2", "-extfile", base + ".ext", "-out", base + ".pem")
        return base + ".pem", base + ".key"


@test
def https_needs_a_certificate_that_is_trusted(folder):
    authority = Authority(folder)
    with Hub(SMALL, certificate=authority.certificate("IP:127.0.0.1")) as hub:
        error = pull(folder, hub, status=1).json()["error"]
        check("certificate" in error["message"] and "CURL_CA_BUNDLE" in error["message"], error["message"])
        equal(hub.requests, [], "nothing is said to a server that is not trusted")
        pull(folder, hub, env={"CURL_CA_BUNDLE": authority.file})
        equal(files(folder), ["config.json", "weights.gguf"])
        equal(open(os.path.join(place(folder), "weights.gguf"), "rb").read(), WEIGHTS)
        pull(folder, hub, env={"SSL_CERT_FILE": authority.file})
        check("trusted" in pull(folder, hub, status=1, env={"SSL_CERT_FILE": os.path.join(folder, "none.pem")}).json()["error"]["message"], "no such file")
    with Hub(SMALL, certificate=authority.certificate("DNS:models.example")) as hub:
        check("trusted" in pull(folder, hub, status=1, env={"CURL_CA_BUNDLE": authority.file}).json()["error"]["message"], "another machine's certificate")
        equal(hub.requests, [])


@test
def https_is_not_left_for_plain_http(folder):
    authority = Authority(folder)
    with Hub(SMALL) as plain, Hub(SMALL, certificate=authority.certificate("IP:127.0.0.1"), elsewhere=plain.url) as hub:
        pull(folder, hub, status=1, env={"CURL_CA_BUNDLE": authority.file})
        equal(plain.requests, [])
    check("weights.gguf" not in files(folder), "no file")


@test
def the_token_goes_to_the_hub_alone_and_a_cut_download_goes_on_behind_a_redirect(folder):
    authority = Authority(folder)
    certificate, env = authority.certificate("IP:127.0.0.1,DNS:localhost"), {"CURL_CA_BUNDLE": authority.file, "HF_TOKEN": "hf_secret"}
    with Hub(SMALL, certificate=certificate, cut=1_000_000) as store:
        for host in ("127.0.0.1", "localhost"):  # another port, another host
            elsewhere = store.url.replace("127.0.0.1", host)
            with Hub(SMALL, certificate=certificate, elsewhere=elsewhere, token="hf_secret", refusal=(401, "GatedRepo")) as hub:
                pull(folder, hub, env=env)
                equal(set(hub.tokens), {"Bearer hf_secret"})
            equal(open(os.path.join(place(folder), "weights.gguf"), "rb").read(), WEIGHTS)
            os.unlink(os.path.join(place(folder), "weights.gguf"))
        equal(set(store.tokens), {None}, "the token stays with the hub")
        equal([r for _, r in store.requests], [None, "bytes=1000000-", None])
    with Hub(SMALL) as hub:
        equal(pull(folder, hub, status=1, env={"HF_TOKEN": "two\nlines"}).json()["error"]["where"], "HF_TOKEN")
        equal(hub.requests, [])


@test
def what_is_not_for_everyone_says_what_to_do(folder):
    for status, code, token, words in ((401, "GatedRepo", "", ("accept", "HF_TOKEN", "/org/small")), (403, "GatedRepo", "hf_mine", ("ask for it", "/org/small")),
                                       (401, "RepoNotFound", "", ("no such model", "HF_TOKEN")), (403, "", "hf_mine", ("does not show it",))):
        with Hub(SMALL, token="hf_other", refusal=(status, code)) as hub:
            error = pull(folder, hub, status=1, env={"HF_TOKEN": token}).json()["error"]
            equal(error["code"], "not_found")
            check(all(w in error["message"] for w in words), "%s: %s" % (words, error["message"]))
            check("hf_mine" not in json.dumps(error), "a token is never shown")


# ---- checksums that the hub tells elsewhere ----
@test
def small_files_are_checked_by_gits_checksum(folder):
    with Hub({**SMALL, "config.json": b"{}" * 5000}, listed={"config.json": {"blobId": "0" * 40}}) as hub:
        error = pull(folder, hub, status=1).json()["error"]
        equal((error["code"], error["where"]), ("format", "config.json"))
    check("config.json" not in files(folder), "no file")
    with Hub({**SMALL, "config.json": b"{ }" * 41}) as hub:  # 123 bytes, and the checksum's own end in a second block
        pull(folder, hub)
        n = len(hub.requests)
        pull(folder, hub)
        equal(len(hub.requests), n + 1, "what is right is not fetched again")
        with open(os.path.join(place(folder), "config.json"), "r+b") as f:
            f.write(b"[")
        pull(folder, hub)
        equal(open(os.path.join(place(folder), "config.json"), "rb").read(), b"{ }" * 41, "what was damaged is")


@test
def a_listing_without_checksums_is_completed_by_the_answer(folder):
    bare, right = {"weights.gguf": {"lfs": None, "size": None}}, hashlib.sha256(WEIGHTS).hexdigest()
    with Hub(SMALL) as store:
        linked = {"X-Linked-Etag": '"%s"' % right, "X-Linked-Size": str(len(WEIGHTS))}
        with Hub(SMALL, listed=bare, elsewhere=store.url, linked=linked) as hub:
            pull(folder, hub)
        equal(open(os.path.join(place(folder), "weights.gguf"), "rb").read(), WEIGHTS)
        os.unlink(os.path.join(place(folder), "weights.gguf"))
        with Hub(SMALL, listed=bare, elsewhere=store.url, linked={**linked, "X-Linked-Etag": '"%s"' % ("0" * 64)}) as hub:
            error = pull(folder, hub, status=1).json()["error"]
            equal((error["code"], error["where"]), ("format", "weights.gguf"))
        check("weights.gguf" not in files(folder), "no file")
        with Hub(SMALL, elsewhere=store.url, linked={**linked, "X-Linked-Etag": '"%s"' % ("0" * 64)}) as hub:
            check("two different" in pull(folder, hub, status=1).json()["error"]["message"], "listing and answer contradict each other")
        check("weights.gguf" not in files(folder), "no file")


@test
def a_full_disk_is_said_and_what_came_is_kept(folder):
    data = os.path.join(folder, "data")
    os.mkdir(data)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", data], stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("cannot make a small file system here (needs root and mount)")
    try:
        with Hub(SMALL) as hub:
            check("needs" in pull(folder, hub, status=1).json()["error"]["message"], "before the first byte, where the size is known")
            equal(len(hub.requests), 1)
        with Hub(SMALL, listed={"weights.gguf": {"lfs": None, "size": None}}) as hub:
            error = pull(folder, hub, status=1).json()["error"]
            equal(error["code"], "io")
            check("space" in error["message"].lower(), error["message"])
        equal([m["state"] for m in listed(folder)], ["incomplete"])
        equal(command(data, "model", "import", slow_source(folder), "--json", status=1).json()["error"]["code"], "io")
        equal([n for n in os.listdir(os.path.join(data, "models", "local"))], [], "nothing is left of an import that found no room")
    finally:
        subprocess.run(["umount", data], check=False)


@test
def one_pull_of_a_model_at_a_time(folder):
    hold = threading.Event()
    with Hub(SMALL, hold=hold) as hub:
        first = threading.Thread(target=lambda: results.append(pull(folder, hub, status=None)))
        results = []
        first.start()
        until(lambda: [m["state"] for m in listed(folder)] == ["fetching"], "the first one to fetch")
        equal(pull(folder, hub, status=1).json()["error"]["code"], "busy")
        hold.set()
        first.join()
        equal(results[0].status, 0)
        equal([m["state"] for m in listed(folder)], ["ready"])


@test
def an_interrupted_pull_says_that_it_goes_on(folder):
    hold = threading.Event()
    with Hub(SMALL, hold=hold) as hub:
        process = subprocess.Popen([PROGRAM, "model", "pull", "org/small", "--json", "--data", os.path.join(folder, "data")], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, env={**os.environ, "ANTINOMY_HUB": hub.url})
        until(lambda: any(f.endswith(".part") and os.path.getsize(os.path.join(place(folder), f)) > 0 for f in files(folder)), "the first bytes")
        process.send_signal(signal.SIGINT)
        error = json.loads(process.communicate(timeout=WAIT_S)[0])["error"]
        equal((error["code"], process.returncode), ("cancelled", 1))
        hold.set()
    with Hub(SMALL) as hub:
        pull(folder, hub)
        (part,) = [r for path, r in hub.requests if "gguf" in path]
        check(part and int(part[len("bytes="):-1]) > 0, "the next one goes on: %r" % part)
    equal(open(os.path.join(place(folder), "weights.gguf"), "rb").read(), WEIGHTS)


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
    # a name that looks like a shard's where it is none
    for name in ("terms-of-law-00001-of-00002.gguf", "terms-of-law-00002-of-00002.gguf", "terms-of-war-00002-of-00002.gguf", "terms-of-law.gguf", "te-of-law.gguf"):
        open(os.path.join(source, name), "wb").write(WEIGHTS[:1000])
    equal(command(data, "model", "import", os.path.join(source, "terms-of-law-00002-of-00002.gguf"), "--json").json()["name"], "local/terms-of-law")
    equal(sorted(os.listdir(os.path.join(data, "models", "local", "terms-of-law"))),
          ["terms-of-law-00001-of-00002.gguf", "terms-of-law-00002-of-00002.gguf"])
    equal(command(data, "model", "import", os.path.join(source, "te-of-law.gguf"), "--json").json()["name"], "local/te-of-law")


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
    equal(command(data, "model", "info", name, "--json", model=True).json()["model"]["id"], of_path["id"])
    check("%s  " % name in command(data, "model", "list").out and "ready" in command(data, "model", "list").out, "the list says its state")
    server = Server(data)
    equal(command(data, "model", "info", "--json").json()["model"], None, "the server answers for the model it has")
    equal(command(data, "model", "info", name, "--json").json()["model"]["id"], of_path["id"], "another one is opened beside it")
    server.stop()
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
