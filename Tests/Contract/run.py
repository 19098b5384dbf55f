#!/usr/bin/env python3
"""Holds a real server to its OpenAPI document.

Starts a server with directories of its own, makes a few sandboxes with processes and files for the requests to meet,
lets schemathesis send what the document allows and what it does not, and removes everything. Run by scripts/contract.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
from reasons import REASONS  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
READY_SECONDS = 30
STOP_SECONDS = 30


class Failure(Exception):
    pass


class Server:
    """The program under test, with data and sockets in a temporary directory."""

    def __init__(self, programs, templates):
        self.program = os.path.join(programs, "nightjar")
        self.programs = programs
        self.directory = tempfile.mkdtemp(prefix="contract-", dir=os.environ.get("TMPDIR", "/tmp"))
        os.makedirs(self.directory + "/data/templates")
        os.makedirs(self.directory + "/run")
        for name in os.listdir(templates):
            os.symlink(os.path.join(templates, name), f"{self.directory}/data/templates/{name}")
        self.log = self.directory + "/server.log"
        self.process = None
        self.url = None
        self.key = None

    def start(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NIGHTJAR_") or k == "NIGHTJAR_TEST_RUN"}
        environment["NIGHTJAR_LIBEXEC"] = self.programs
        command = [
            self.program, "serve", "--data-dir", self.directory + "/data", "--run-dir", self.directory + "/run",
            "--listen", "127.0.0.1:0",
        ]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            if self.process.poll() is not None:
                raise Failure("the server ended at once:\n" + self.tail())
            found = re.search(r"is ready: .*127\.0\.0\.1:(\d+)", self.tail())
            if found and os.path.exists(self.directory + "/data/api-key"):
                self.url = f"http://127.0.0.1:{found.group(1)}"
                with open(self.directory + "/data/api-key") as file:
                    self.key = file.read().strip()
                return
            if time.monotonic() > deadline:
                raise Failure(f"the server was not ready within {READY_SECONDS} s:\n" + self.tail())
            time.sleep(0.05)

    def tail(self, count=40):
        with open(self.log, errors="replace") as file:
            return "".join(file.readlines()[-count:])

    def call(self, method, path, body=None):
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("Authorization", "Bearer " + self.key)
        if data is not None:
            request.add_header("Content-Type", kind)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise Failure(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from error
        return json.loads(content) if content else None

    def remove_sandboxes(self):
        while items := self.call("GET", "/v1/sandboxes?limit=200")["items"]:
            for item in items:
                self.call("DELETE", "/v1/sandboxes/" + item["id"])
        return None

    def stop(self):
        """Removes all sandboxes, ends the server and deletes its directories."""
        problem = None
        try:
            if self.process and self.process.poll() is None:
                if self.url:
                    self.remove_sandboxes()
                self.process.send_signal(signal.SIGTERM)
                code = self.process.wait(STOP_SECONDS)
                problem = f"the server ended with {code}" if code else None
        except (Failure, OSError, subprocess.TimeoutExpired) as error:
            problem = f"the server could not be ended in order: {error}"
            self.process.kill()
            self.process.wait()
        if problem:
            raise Failure(problem + "\n" + self.tail())
        shutil.rmtree(self.directory)


# The script of the first process: it changes a file and says a word ten times a second, so that whoever follows its
# output or watches the directory soon sees something.
TICKER = "i=0; while :; do i=$((i+1)); echo $i; echo $i > /tmp/contract/tick; sleep 0.1; done"


def prepare(server):
    """Sandboxes for the requests to meet; hooks.py names them and their processes."""
    awake = {"idle_timeout": 3600}
    for name in ("contract-run", "contract-files", "contract-life"):
        server.call("POST", "/v1/sandboxes", {"name": name, "labels": {"made": "contract"}, "lifecycle": awake})
        base = f"/v1/sandboxes/{name}"
        server.call("POST", base + "/files/mkdir", {"path": "/tmp/contract/folder", "parents": True, "mode": "0777"})
        server.call("PUT", base + "/files?path=/tmp/contract/file", b"0123456789" * 10)
        commands = [
            {"command": ["sh", "-c", TICKER]},
            {"command": ["sh", "-c", "echo out; echo err >&2; exit 3"]},
            {"command": ["cat"], "open_stdin": True},
            {"command": ["sleep", "3600"], "terminal": {"columns": 80, "rows": 24}},
        ]
        for command in commands:
            server.call("POST", base + "/processes", command)
        server.call("GET", base + "/processes/2/wait")


def unused_reasons(excused):
    """Reasons that excused nothing."""
    used = set()
    if os.path.exists(excused):
        with open(excused) as file:
            used = {int(line) for line in file}
    return [reason for number, reason in enumerate(REASONS) if number not in used]


def test(server, arguments):
    excused = server.directory + "/excused"
    environment = {
        **os.environ, "SCHEMATHESIS_HOOKS": os.path.join(HERE, "hooks.py"), "CONTRACT_EXCUSED": excused,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        os.path.join(os.path.dirname(sys.executable), "schemathesis"),
        "--config-file", os.path.join(HERE, "schemathesis.toml"), "run", server.url + "/v1/openapi.yaml",
        "--header", "Authorization: Bearer " + server.key, *arguments.rest,
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, cwd=server.directory)
    try:
        code = process.wait(arguments.deadline)
        if not arguments.rest:
            # Some depend on the machine, so this is a note.
            for check, codes, _, why in unused_reasons(excused):
                print(f"note: this reason excused nothing: {check} of {', '.join(codes)}: {why}", file=sys.stderr)
        return code
    except subprocess.TimeoutExpired:
        raise Failure(f"the requests were not done within {arguments.deadline} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True, help="directory of nightjar, nightjar-init and nightjar-shim")
    parser.add_argument("--templates", required=True, help="directory of built templates")
    parser.add_argument("--deadline", type=int, default=300, help="seconds for all requests")
    parser.add_argument("rest", nargs="*", help="passed to schemathesis")
    arguments = parser.parse_args()
    # An end from outside goes the way of every other: nothing is left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server = Server(arguments.programs, arguments.templates)
    code = 1
    try:
        server.start()
        prepare(server)
        code = test(server, arguments)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
    finally:
        try:
            server.stop()
        except Failure as failure:
            print(f"error: {failure}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
