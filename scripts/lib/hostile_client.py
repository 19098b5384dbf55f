"""What scripts/bench-hostile speaks: plain HTTP/1.1 and WebSocket over TCP, a steady sampler, and figures of a process."""

import base64
import http.client
import json
import os
import socket
import struct
import threading
import time

TIMEOUT = 300


class Target:
    """A server's address, a key, and a sandbox of its holder."""

    def __init__(self, port, key, sandbox=None):
        self.port, self.key, self.sandbox = port, key, sandbox

    @property
    def base(self):
        return f"/v1/sandboxes/{self.sandbox}"

    def connection(self, timeout=TIMEOUT):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method, path, body=None, connection=None, headers=None):
        """Status and body; an own connection unless one is given."""
        used = connection or self.connection()
        sent = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        if isinstance(body, (dict, list)):
            sent["Content-Type"] = "application/json"
            body = json.dumps(body)
        used.request(method, path, body, sent)
        response = used.getresponse()
        data = response.read()
        if connection is None:
            used.close()
        return response.status, data

    def json(self, method, path, body=None):
        status, data = self.call(method, path, body)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {data[:300]!r}")
        return json.loads(data) if data else None

    def raw(self, timeout=30):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def head(self, method, path, *fields):
        """The head of a request, with the key."""
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {self.key}", *fields, "", ""]
        return "\r\n".join(lines).encode()

    def websocket(self, path, timeout=30):
        """A socket after the handshake, or None if it was refused."""
        opened = self.raw(timeout)
        nonce = base64.b64encode(os.urandom(16)).decode()
        opened.sendall(self.head("GET", path, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                 f"Sec-WebSocket-Key: {nonce}"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = opened.recv(4096)
            if not part:
                break
            answer += part
        if answer.startswith(b"HTTP/1.1 101"):
            return opened
        opened.close()
        return None


def frame(opcode, payload):
    """A frame of a client, with a mask of zeros, under which the payload stays as it is."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload


class Sampler(threading.Thread):
    """Makes the same call at a steady rate, and notes how long each took, in milliseconds. Every fifth call is on a new
    connection, as of a client that has just come. It has precedence, because elsewhere it has a machine of its own."""

    def __init__(self, target, rate, method, path, body=None):
        super().__init__(daemon=True)
        self.arguments = (target, rate, method, path, body)
        self.taken, self.lost, self.over = [], {}, threading.Event()

    def run(self):
        try:
            os.sched_setscheduler(threading.get_native_id(), os.SCHED_RR, os.sched_param(1))
        except PermissionError:
            print("(the sampler has no precedence in this control group: its own waits count, too)", flush=True)
        target, rate, method, path, body = self.arguments
        connection, number = None, 0
        while not self.over.is_set():
            began = time.monotonic()
            if connection is None or number % 5 == 0:
                if connection:
                    connection.close()
                connection = target.connection(timeout=60)
            number += 1
            try:
                status, _ = target.call(method, path, body, connection)
                problem = None if status == 200 else str(status)
            except (OSError, http.client.HTTPException) as error:
                problem, connection = type(error).__name__, None
            if problem:
                self.lost[problem] = self.lost.get(problem, 0) + 1
            self.taken.append((time.monotonic() - began) * 1000)
            self.over.wait(max(0, 1 / rate - (time.monotonic() - began)))

    def finish(self):
        self.over.set()
        self.join()
        return self.taken, self.lost


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def resident(pid):
    """Resident memory in MiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
