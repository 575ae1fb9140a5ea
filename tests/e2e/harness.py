"""harness.py: runs the real program from outside. Python's standard library only.

A test is a function under @test; it gets a fresh data directory. Lines printed: "ok NAME", "not ok NAME: why", "skip: reason".
ANTINOMY names the program (default build/antinomy); run from anywhere."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("ANTINOMY", os.path.join(ROOT, "build", "antinomy"))
SAMPLES = os.path.join(ROOT, "tests", "data", "samples")
WAIT_S = 120  # for anything that should happen soon; slow machines and sanitizers included

tests = []


class Skip(Exception):
    pass


def test(function):
    tests.append(function)
    return function


def main():
    only = sys.argv[2] if len(sys.argv) > 2 and sys.argv[1] == "--only" else None
    failed = 0
    if not os.access(PROGRAM, os.X_OK):
        print("not ok start: there is no program at " + PROGRAM)
        return 1
    for function in tests:
        if only and function.__name__ != only:
            continue
        folder = tempfile.mkdtemp(prefix="antinomy-e2e-")
        try:
            function(folder)
            print("ok " + function.__name__, flush=True)
        except Skip as reason:
            print("skip: %s" % reason, flush=True)
        except Exception as error:
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print("   files: " + " ".join("%s:%d" % (os.path.relpath(f, folder), os.path.getsize(f)) for f in list(files_below(folder))[:40] if os.path.exists(f)))
            print("not ok %s: %s" % (function.__name__, str(error).replace("\n", " ")[:300]), flush=True)
        finally:
            for server in list(Server.running):
                server.kill()
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


def equal(got, want, what=""):
    if got != want:
        raise AssertionError("%s: got %r, want %r" % (what or "value", got, want))


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def until(condition, what, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain: " + what)
        time.sleep(0.05)


class Result:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()
        self.raw = done.stdout

    def json(self):
        return json.loads(self.out)


def command(data, *args, model=False, status=0, env=None, timeout=600):
    """Runs the program; status None: any."""
    line = [PROGRAM, *args, "--data", data] + ([] if model else ["--no-model"])
    result = Result(subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=timeout,
                                   env={**os.environ, **(env or {})}))
    if status is not None and result.status != status:
        raise AssertionError("%s ended with %d, not %d: %s" % (" ".join(args)[:80], result.status, status, result.err[-300:]))
    return result


class Server:
    running = []

    def __init__(self, data, *args, model=False):
        self.data = data
        self.log = open(os.path.join(os.path.dirname(data), os.path.basename(data) + ".log"), "ab")
        self.process = subprocess.Popen([PROGRAM, "serve", "--port", "0", "--json", "--data", data, *args] + ([] if model else ["--no-model"]),
                                        stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.DEVNULL)
        Server.running.append(self)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the server did not start; status %s" % self.process.wait())
        self.port = json.loads(line)["port"]

    def end(self, number):
        self.process.send_signal(number)
        status = self.process.wait(timeout=WAIT_S)
        self.process.stdout.close()
        self.log.close()
        Server.running.remove(self)
        return status

    def stop(self):
        equal(self.end(signal.SIGTERM), 0, "status of a server that was asked to stop")

    def kill(self):
        self.end(signal.SIGKILL)

    def alive(self):
        return self.process.poll() is None

    def call(self, method, path, body=None, headers=None, want=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if want is not None and answer.status != want:
            raise AssertionError("%s %s: status %d, not %d: %s" % (method, path, answer.status, want, data[:300]))
        answer.data = data
        return answer

    def get(self, path, want=200):
        return json.loads(self.call("GET", path, want=want).data)

    def post(self, path, body, want=None):
        return json.loads(self.call("POST", path, body, want=want).data)

    def upload(self, set_id, files, want=202):
        boundary = "e2e-boundary"
        body = b""
        for name, data in files:
            body += ('--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n' % (boundary, name)).encode() + data + b"\r\n"
        body += ("--%s--\r\n" % boundary).encode()
        return self.call("POST", "/api/v1/sets/%d/documents" % set_id, body, {"Content-Type": "multipart/form-data; boundary=" + boundary}, want)

    def idle(self, set_id):
        """Waits until every document of the set is read or refused."""
        return until(lambda: (lambda d: d if d and all(x["state"] != "queued" for x in d) else None)(
            self.get("/api/v1/sets/%d/documents" % set_id)["documents"]), "documents to be read")

    def raw(self, data, shut=False, seconds=10):
        """Sends bytes as they are; returns what comes back."""
        s = socket.create_connection(("127.0.0.1", self.port), timeout=seconds)
        try:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        got = b""
        try:
            while True:
                block = s.recv(65536)
                if not block:
                    break
                got += block
        except OSError:
            pass
        s.close()
        return got


def files_below(folder):
    for base, _, names in os.walk(folder):
        for name in names:
            yield os.path.join(base, name)


def found_in(folder, word):
    """Files of the folder that hold the word's bytes (as grep -a finds them)."""
    hits = []
    for path in files_below(folder):
        try:
            with open(path, "rb") as f:
                if word.encode() in f.read():
                    hits.append(os.path.relpath(path, folder))
        except OSError:
            pass
    return hits


def contract(n, paragraphs=40):
    """A made-up agreement, different for each n."""
    lines = ["# Agreement %d" % n, ""]
    for i in range(1, paragraphs + 1):
        lines.append("%d.1 The Carrier shall deliver consignment %d-%d within %d days after the order and invoice USD %d,%03d for it." %
                     (i, n, i, 3 + (i * 7 + n) % 60, 1 + (i + n) % 90, (i * 37 + n) % 1000))
        lines.append("")
    return "\n".join(lines).encode()
