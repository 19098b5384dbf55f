"""Mixed load on one server, and what it does to the server's memory and descriptors.

soak.py SOCKET SERVER-PID MINUTES
"""

import http.client
import json
import os
import random
import socket
import sys
import threading
import time

SOCKET, SERVER, MINUTES = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
END = time.monotonic() + MINUTES * 60
counts, failures, lock = {}, [], threading.Lock()


class Connection(http.client.HTTPConnection):
    def __init__(self):
        super().__init__("localhost", timeout=120)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(120)
        self.sock.connect(SOCKET)


class Client:
    """One connection, as a program would keep it."""

    def __init__(self):
        self.connection = Connection()

    def call(self, what, method, path, body=None, raw=False, expect=(200, 201, 204)):
        headers = {}
        if body is not None and not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        for attempt in range(20):
            self.connection.request(method, "/v1/" + path, body=body, headers=headers)
            answer = self.connection.getresponse()
            data = answer.read()
            if answer.status != 503:
                break
            # Refused because the machine is full: that is an answer, too, and told as such.
            with lock:
                counts["refused for now"] = counts.get("refused for now", 0) + 1
            time.sleep(0.5 + attempt * 0.25)
        with lock:
            counts[what] = counts.get(what, 0) + 1
        if answer.status not in expect:
            raise RuntimeError(f"{what}: {answer.status} {data[:300]!r}")
        return data if raw else json.loads(data) if data else None

    def run(self, sandbox, *command):
        result = self.call("exec", "POST", f"sandboxes/{sandbox}/exec", {"command": list(command)})
        if result["exit_code"] != 0:
            raise RuntimeError(f"{command} ended with {result['exit_code']}: {result['stderr'][:200]}")
        return result["stdout"]


def check(condition, text):
    if not condition:
        raise RuntimeError(text)


def short_lived(client):
    """Made, used, thrown away."""
    sandbox = client.call("create", "POST", "sandboxes", {"labels": {"soak": "short"}})["id"]
    try:
        check(client.run(sandbox, "echo", "hello") == "hello\n", "a wrong answer")
        content = os.urandom(random.randint(1, 2_000_000))
        path = f"sandboxes/{sandbox}/files?path=/home/file"
        client.call("write", "PUT", path, content)
        check(client.call("read", "GET", path, raw=True) == content, "a file came back changed")
        client.run(sandbox, "python3", "-c", "print(sum(range(100000)))")
    finally:
        client.call("delete", "DELETE", f"sandboxes/{sandbox}")


def sleeper(client, state):
    """One sandbox that falls asleep and wakes, again and again, with something in its memory."""
    if "id" not in state:
        state["id"] = client.call("create", "POST", "sandboxes", {"name": state["name"]})["id"]
        script = "import signal,itertools\nfor n in itertools.count(1):\n open('/tmp/count','w').write(str(n))\n signal.pause() if 0 else signal.sigwait([signal.SIGUSR1])\n"
        script = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n" + script
        body = {"command": ["python3", "-c", script], "background": True}
        state["process"] = client.call("start", "POST", f"sandboxes/{state['id']}/processes", body)["id"]
        state["count"] = 1
        time.sleep(0.5)
    sandbox = state["id"]
    client.call("standby", "POST", f"sandboxes/{sandbox}/standby", expect=(200, 409))
    client.run(sandbox, "true")
    body = {"signal": "USR1"}
    client.call("signal", "POST", f"sandboxes/{sandbox}/processes/{state['process']}/signal", body)
    state["count"] += 1
    for _ in range(100):
        seen = int(client.run(sandbox, "cat", "/tmp/count") or 0)
        if seen == state["count"]:
            break
        time.sleep(0.05)
    check(seen == state["count"], f"the memory says {seen} instead of {state['count']}")


def talker(client, state):
    """Much output, read while it is written and again afterwards."""
    if "id" not in state:
        state["id"] = client.call("create", "POST", "sandboxes", {"labels": {"soak": "talker"}})["id"]
    sandbox = state["id"]
    result = client.call(
        "exec", "POST", f"sandboxes/{sandbox}/exec", {"command": ["bash", "-c", "head -c 500000 /dev/zero | base64"]}
    )
    check(len(result["stdout"]) > 600_000, "output is missing")
    client.call("list processes", "GET", f"sandboxes/{sandbox}/processes")
    if random.random() < 0.05:
        client.call("delete", "DELETE", f"sandboxes/{sandbox}")
        del state["id"]


def looker(client):
    """Looks at everything, as a dashboard does."""
    for item in client.call("list", "GET", "sandboxes?limit=200")["items"]:
        client.call("get", "GET", f"sandboxes/{item['id']}", expect=(200, 404))
    client.call("events", "GET", "events?limit=200")
    client.call("health", "GET", "health")
    time.sleep(0.2)


def worker(body, *arguments):
    client = Client()
    while time.monotonic() < END and len(failures) < 10:
        try:
            body(client, *arguments)
        except Exception as error:  # pylint: disable=broad-except
            with lock:
                failures.append(f"{body.__name__}: {error!r}")
            client = Client()
            time.sleep(1)


def measure():
    with open(f"/proc/{SERVER}/status", encoding="utf-8") as file:
        status = dict(line.split(":", 1) for line in file if ":" in line)
    resident = int(status["VmRSS"].split()[0]) / 1024
    return resident, len(os.listdir(f"/proc/{SERVER}/fd")), int(status["Threads"])


def plot(name, values, height=8, width=72):
    """Columns of the means of as many parts of the time."""
    parts = [values[i * len(values) // width : max((i + 1) * len(values) // width, i * len(values) // width + 1)] for i in range(width)]
    means = [sum(part) / len(part) for part in parts if part]
    top = max(means) * 1.1 or 1
    print(f"\n{name} (0 to {top:.0f})")
    for row in range(height, 0, -1):
        line = "".join("#" if mean > top * (row - 0.5) / height else " " for mean in means)
        print(f"{top * row / height:8.0f} |{line}")
    print(" " * 9 + "+" + "-" * len(means))


def grown(values):
    """From the second quarter to the last: the first one fills caches."""
    quarter = max(1, len(values) // 4)
    before, after = values[quarter : 2 * quarter] or values[:1], values[-quarter:]
    return sum(before) / len(before), sum(after) / len(after)


def main():
    jobs = [
        (short_lived,), (short_lived,), (sleeper, {"name": "soak-1"}), (sleeper, {"name": "soak-2"}), (talker, {}),
        (looker,),
    ]
    threads = [threading.Thread(target=worker, args=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    samples = []
    pace = min(5.0, max(0.5, MINUTES * 60 / 360))
    while any(thread.is_alive() for thread in threads):
        samples.append(measure())
        time.sleep(pace)
    client = Client()
    for item in client.call("list", "GET", "sandboxes?limit=200")["items"]:
        client.call("delete", "DELETE", f"sandboxes/{item['id']}", expect=(204, 404))
    memory, descriptors, _ = (list(column) for column in zip(*samples))
    plot("server's memory, MiB RSS", memory)
    plot("server's descriptors", descriptors)
    print("\nrequests: " + ", ".join(f"{value} {key}" for key, value in sorted(counts.items())))
    for failure in failures:
        print(f"FAILED {failure}")
    ok = not failures
    for name, values, slack in [("memory", memory, 8), ("descriptors", descriptors, 16)]:
        before, after = grown(values)
        flat = after <= before * 1.1 + slack
        ok = ok and flat
        print(f"{name}: {before:.1f} in the second quarter, {after:.1f} in the last: {'flat' if flat else 'GROWING'}")
    sys.exit(0 if ok else 1)


main()
