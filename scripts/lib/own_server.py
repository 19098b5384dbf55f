"""A server of one's own, with data and sockets in a temporary directory, for tests and measurements in Python."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

READY_SECONDS = 60
STOP_SECONDS = 60


class Failure(Exception):
    pass


class Server:
    """The program under test. `options` are further ones of `nightjar serve`."""

    def __init__(self, programs, templates, options=()):
        self.program = os.path.join(programs, "nightjar")
        self.programs = programs
        self.options = list(options)
        self.directory = tempfile.mkdtemp(prefix="server-", dir=os.environ.get("TMPDIR", "/tmp"))
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
        environment["NIGHTJAR_ISOLATION"] = "gvisor"
        command = [
            self.program, "serve", "--data-dir", self.directory + "/data", "--run-dir", self.directory + "/run",
            "--listen", "127.0.0.1:0", *self.options,
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

    def sweep(self):
        """Ends what still names this server's directory after a bad end. A frozen process must be thawed."""
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if self.directory.encode() + b"/" not in file.read() or int(pid) == os.getpid():
                        continue
                with open(f"/proc/{pid}/cgroup") as file:
                    frozen = re.search(r":freezer:(\S+)", file.read())
                state = f"/sys/fs/cgroup/freezer{frozen.group(1)}/freezer.state" if frozen else ""
                if os.path.exists(state):
                    with open(state, "w") as file:
                        file.write("THAWED")
                os.kill(int(pid), signal.SIGKILL)
            except OSError:
                continue

    def stop(self):
        """Removes all sandboxes, ends the server and deletes its directories. A server that had ended by itself, or could
        not be ended in order, is started again to remove its sandboxes; it is a failure all the same."""
        problem = None
        for attempt in range(2 if self.process else 0):
            try:
                if self.process.poll() is not None:
                    problem = problem or f"the server ended by itself with {self.process.returncode}\n{self.tail()}"
                    self.start()
                self.remove_sandboxes()
                self.process.send_signal(signal.SIGTERM)
                code = self.process.wait(STOP_SECONDS)
                if code:
                    problem = problem or f"the server ended with {code}\n{self.tail()}"
                break
            except (Failure, OSError, subprocess.TimeoutExpired) as error:
                problem = problem or f"the server could not be ended in order: {error}\n{self.tail()}"
                self.process.kill()
                self.process.wait()
        if problem:
            self.sweep()
        shutil.rmtree(self.directory)
        if problem:
            raise Failure(problem)
