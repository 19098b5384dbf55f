"""Attacks of clients on the server's TCP port. Each takes (target, size, seconds), lasts about `seconds`, and returns what
it reached. What needs a key uses that of one tenant, who may use sandboxes and is bound by the rates of a key."""

import asyncio
import json
import os
import socket
import threading
import time

from hostile_client import frame


def together(count, work):
    """Runs work(number) in `count` threads; the sum of what they return."""
    sums = [0] * count

    def one(number):
        sums[number] = work(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(sums)


async def hold(port, count, seconds, speak):
    """Opens connections, each looked after by `speak(reader, writer, end)`; how many were open at once at the most."""
    end = time.monotonic() + seconds
    state = {"open": 0, "most": 0, "made": 0}
    gate = asyncio.Semaphore(256)

    async def one():
        while time.monotonic() < end:
            try:
                async with gate:
                    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 30)
            except (OSError, asyncio.TimeoutError):
                await asyncio.sleep(0.5)
                continue
            state["open"] += 1
            state["made"] += 1
            state["most"] = max(state["most"], state["open"])
            try:
                await asyncio.wait_for(speak(reader, writer, end), max(0.01, end - time.monotonic()))
            except (OSError, asyncio.TimeoutError):
                pass
            state["open"] -= 1
            writer.transport.abort()
            await asyncio.sleep(0.2)

    await asyncio.gather(*(one() for _ in range(count)))
    return f"{state['most']} open at once, {state['made']} made"


def idle(target, size, seconds):
    async def speak(reader, writer, end):
        await reader.read(1)
    return asyncio.run(hold(target.port, size["idle"], seconds, speak))


def idle_after_request(target, size, seconds):
    """Connections that have shown a key and then wait."""
    async def speak(reader, writer, end):
        writer.write(target.head("GET", "/v1/version"))
        while await reader.read(1 << 16):
            pass
    return asyncio.run(hold(target.port, size["idle"], seconds, speak))


def trickle(first):
    def attack(target, size, seconds):
        async def speak(reader, writer, end):
            writer.write(first(target))
            waiting = asyncio.ensure_future(reader.read(1 << 16))
            try:
                while time.monotonic() < end and not waiting.done():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.wait([waiting], timeout=1)
            finally:
                waiting.cancel()
        return asyncio.run(hold(target.port, size["slow"], seconds, speak))
    return attack


slow_heads = trickle(lambda target: b"GET /v1/version HTTP/1.1\r\nHost: x\r\nX: ")
slow_bodies = trickle(lambda target: target.head(
    "POST", target.base + "/exec", "Content-Type: application/json", "Content-Length: 1000000"))


def bodies(size, fields, path):
    """Sends bodies of `size` bytes as fast as the server takes them, answers unread until the end."""
    def attack(target, sizes, seconds):
        end, part = time.monotonic() + seconds, b" " * (1 << 16)

        def work(number):
            sent = 0
            while time.monotonic() < end:
                try:
                    with target.raw() as opened:
                        chunked = fields(number)
                        opened.sendall(target.head(*path(target), *chunked))
                        whole = b"10000\r\n" + part + b"\r\n" if "Transfer-Encoding: chunked" in chunked else part
                        for _ in range(size >> 16):
                            opened.sendall(whole)
                            sent += len(part)
                        opened.settimeout(10)
                        opened.recv(4096)
                except OSError:
                    time.sleep(0.01)
            return sent
        return f"{together(8, work) >> 20} MiB taken"
    return attack


LARGE = 100 << 20
json_bodies = bodies(
    LARGE, lambda number: ["Content-Type: application/json",
                           "Transfer-Encoding: chunked" if number % 2 else f"Content-Length: {LARGE}"],
    lambda target: ("POST", target.base + "/exec"))


def uploads(target, size, seconds):
    """Files of 100 MB, four at a time, and all read again."""
    end, content = time.monotonic() + seconds, os.urandom(1 << 20) * 100

    def work(number):
        moved = 0
        while time.monotonic() < end:
            path = f"{target.base}/files?path=/tmp/upload{number % 2}"
            status, _ = target.call("PUT", path, content, headers={"Content-Type": "application/octet-stream"})
            moved += len(content) if status < 300 else 0
            status, data = target.call("GET", path)
            moved += len(data)
        return moved
    return f"{together(4, work) >> 20} MiB moved"


def sockets(target, size, seconds):
    """WebSockets to processes that read and to one that does not: input, pings, tiny and large messages, nothing read."""
    end = time.monotonic() + seconds
    reads = target.json("POST", target.base + "/processes", {"command": ["cat"], "open_stdin": True, "timeout": seconds + 30})
    deaf = target.json("POST", target.base + "/processes", {
        "command": ["sleep", str(seconds + 20)], "open_stdin": True, "timeout": seconds + 30})
    kinds = [frame(9, b"ping"), frame(2, b"\0x"), frame(2, b"\0" + b"y" * 1_000_000), frame(1, b'{"type":"resize"}'),
             frame(0, b"z"), frame(1, b"{"), frame(2, b"")]

    def work(number):
        count, kind = 0, kinds[number % len(kinds)]
        burst = kind * max(1, 16384 // len(kind))
        while time.monotonic() < end:
            process = (reads if number % 3 else deaf)["id"]
            opened = None
            try:
                opened = target.websocket(f"{target.base}/processes/{process}/attach", 5)
                while opened and time.monotonic() < end:
                    opened.sendall(burst)
                    count += len(burst)
            except OSError:
                pass
            if opened:
                opened.close()
            else:
                time.sleep(0.05)
        return count
    return f"{together(size['sockets'], work) >> 20} MiB of frames"


def come_and_go(target, size, seconds):
    """Connections that are reset at once, in the head, or right after the request."""
    end = time.monotonic() + seconds
    request = target.head("GET", "/v1/sandboxes?limit=200")

    def work(number):
        count = 0
        while time.monotonic() < end:
            try:
                with target.raw() as opened:
                    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    opened.sendall([b"", request[:20], request][count % 3])
                count += 1
            except OSError:
                time.sleep(0.01)
        return count
    return f"{together(8, work)} connections"


def cancelled(target, size, seconds):
    """Commands, creations and files that are asked for and left alone a moment later."""
    end = time.monotonic() + seconds
    shapes = [
        ("POST", target.base + "/exec", {"command": ["sleep", "5"]}),
        ("POST", "/v1/sandboxes", {"ephemeral": True, "labels": {"tenant": "attacker"}}),
        ("POST", target.base + "/processes", {"command": ["true"]}),
        ("GET", "/v1/events?follow=true", None),
    ]

    def work(number):
        count = 0
        while time.monotonic() < end:
            method, path, body = shapes[(number + count) % len(shapes)]
            data = b"" if body is None else json.dumps(body).encode()
            fields = ["Content-Type: application/json", f"Content-Length: {len(data)}"] if data else []
            try:
                with target.raw() as opened:
                    opened.sendall(target.head(method, path, *fields) + data)
                    time.sleep(0.02 * (count % 5))
                count += 1
            except OSError:
                time.sleep(0.01)
            if count % 4 == 3:
                time.sleep(0.2)
        return count
    return f"{together(8, work)} requests"


def header_bombs(target, size, seconds):
    end = time.monotonic() + seconds
    bomb = b"GET /v1/version HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 1000) for n in range(10_000))

    def work(number):
        count = 0
        while time.monotonic() < end:
            try:
                with target.raw() as opened:
                    opened.sendall(bomb)
            except OSError:
                pass
            count += 1
        return count
    return f"{together(8, work)} heads of 10 MB"


def wrong_keys(target, size, seconds):
    end = time.monotonic() + seconds

    def work(number):
        count = 0
        connection = target.connection()
        while time.monotonic() < end:
            try:
                target.call("GET", "/v1/sandboxes", connection=connection,
                            headers={"Authorization": f"Bearer nj_{'a' * 12}_{'b' * 52}"})
                count += 1
            except OSError:
                connection = target.connection()
        return count
    return f"{together(8, work)} requests"


def requests(target, size, seconds):
    """As many requests as one key can make on 16 connections: its rate is what bounds them."""
    end = time.monotonic() + seconds

    def work(number):
        count, connection = 0, target.connection()
        while time.monotonic() < end:
            target.call("GET", target.base, connection=connection)
            count += 1
        return count
    return f"{together(16, work)} requests"


ATTACKS = {
    "idle connections": idle,
    "idle, with a key": idle_after_request,
    "slow heads": slow_heads,
    "slow bodies": slow_bodies,
    "100 MB JSON bodies": json_bodies,
    "100 MB files": uploads,
    "WebSocket floods": sockets,
    "come and go": come_and_go,
    "cancelled requests": cancelled,
    "header bombs": header_bombs,
    "wrong keys": wrong_keys,
    "requests": requests,
}
