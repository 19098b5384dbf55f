/// An init that speaks the protocol with bad intent, for sandboxes of the template `base`, which has Python.
///
/// It answers as it should until a process is to be started. Then it does what the sandbox's name says.
enum EvilInit {
    static let program = #"""
        #!/usr/bin/python3
        import os, random, struct, time

        # Both are one socket, and gVisor may hand it over as one that does not wait.
        os.set_blocking(0, True)
        os.set_blocking(1, True)

        MARKER = b"\x01NJ-HOST-SESSION"
        OPEN, DATA, CREDIT, MESSAGE, CLOSE, PING, PONG = range(1, 8)
        FINAL, MORE, END = 4, 8, 2
        sequence, mode, nonce = 0, "", b""

        def write(data):
            while data:
                data = data[os.write(1, data):]

        def frame(kind, stream, payload=b"", flags=0, length=None):
            global sequence
            trailer = (~(sequence ^ 0x5A17C3E9) & 0xFFFFFFFF) | 1
            head = struct.pack("<HBBIII", 0x4A4E, kind, flags, stream, len(payload) if length is None else length, sequence)
            sequence += 1
            return head + payload + struct.pack("<I", trailer)

        def text(value):
            return struct.pack("<I", len(value)) + value

        def process():
            return (struct.pack("<II", 1, 2) + struct.pack("<I", 0) + text(b"/") + text(b"root") + text(b"")
                    + b"\0" + struct.pack("<qqqI", 1, 0, 0, 1) + b"\0")

        STARTED = struct.pack("<H", 3) + process()
        HUGE = struct.pack("<iBBqQQQ", 1, 0, 0, -2**63, 2**64 - 1, 2**64 - 1, 2**64 - 1)

        def attack(stream):
            if mode == "length": write(frame(DATA, stream, b"x", length=0xFFFFFFFF))
            if mode == "unknown": write(frame(DATA, 99999, b"x"))
            if mode == "unopened": write(frame(MESSAGE, 99999, struct.pack("<H", 2), FINAL))
            if mode == "early": write(frame(DATA, stream, bytes(65536)))
            if mode == "late": write(frame(MESSAGE, stream, STARTED) + frame(DATA, stream, b"", END) + frame(DATA, stream, b"x"))
            if mode == "credit":
                for _ in range(4): write(frame(CREDIT, stream, struct.pack("<I", 0x7FFFFFFF)))
            if mode == "marker": write(b"\x01NJ-GUEST-ANSWER" + nonce + b"\x01NJ-GUEST-ANSWER" + nonce)
            if mode == "count": write(frame(MESSAGE, stream, struct.pack("<HI", 6, 0x00FFFFFF) + bytes(60000), FINAL))
            if mode == "numbers": write(frame(MESSAGE, stream, STARTED) + frame(MESSAGE, stream, struct.pack("<H", 5) + HUGE, FINAL))
            if mode == "pings":
                while True: write(b"".join(frame(PING, 0) for _ in range(2000)))
            if mode == "empty":
                write(frame(MESSAGE, stream, STARTED))
                while True: write(b"".join(frame(DATA, stream) for _ in range(2000)))
            if mode == "parts":
                while True: write(frame(MESSAGE, stream, bytes(65536), MORE))
            if mode == "noise":
                while True: write(random.randbytes(65536))
            if mode == "services":
                while True: write(b"".join(frame(OPEN, 2 * n + 2, struct.pack("<H", 20) + text(b"metadata")) for n in range(500)))
            if mode == "silent":
                while True: os.read(0, 65536)

        def request(stream, payload):
            global mode
            kind = struct.unpack_from("<H", payload)[0]
            if kind == 24: mode = payload[6:].decode()
            if kind == 1: attack(stream)
            if kind == 1: return
            if kind == 6: reply = struct.pack("<HI", 6, 0)
            elif kind == 26: reply = struct.pack("<HI", 10, 0)
            elif kind == 25: reply = struct.pack("<HQQQQIQQQ", 9, *[2**64 - 1] * 4, 2**32 - 1, *[2**64 - 1] * 3)
            else: reply = struct.pack("<H", 2)
            write(frame(MESSAGE, stream, reply, FINAL))

        data, begun, ends = b"", False, 0
        while True:
            piece = os.read(0, 1 << 20)
            ends = 0 if piece else ends + 1
            if ends: time.sleep(0.1)
            if ends > 50: break
            data += piece
            place = data.rfind(MARKER)
            if place >= 0 and len(data) >= place + 32:
                nonce, data, begun, sequence = data[place + 16:place + 32], data[place + 32:], True, 0
                write(b"\x01NJ-GUEST-ANSWER" + nonce)
                write(frame(MESSAGE, 0, struct.pack("<HHH", 1, 1, 1) + text(b"evil") + struct.pack("<Q", 7)))
            while begun and len(data) >= 20 and data[:2] == b"NJ":
                kind, flags, stream, length, _ = struct.unpack_from("<BBIII", data, 2)
                if len(data) < 20 + length: break
                payload, data = data[16:16 + length], data[20 + length:]
                if kind == OPEN: request(stream, payload)
                if kind == PING: write(frame(PONG, 0, payload))
        """#
}
