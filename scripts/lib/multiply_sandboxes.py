"""Multiplies the sleeping sandbox `seed` of a data directory whose server is stopped.

multiply_sandboxes.py DATA-DIRECTORY COUNT

The copies are named copy-1, copy-2 and so on; there are COUNT sandboxes at the end. The images of their memory, which
nobody writes to, are hard links; the manifests are made anew, because they name the sandbox; all else is copied.
"""

import json
import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import sys

MASK = (1 << 64) - 1
PRIMES = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def xxh64(data, seed=0):
    """The checksum that the server uses."""
    first, second, third, fourth, fifth = PRIMES

    def rotate(value, bits):
        return ((value << bits) | (value >> (64 - bits))) & MASK

    def mix(lane, word):
        return rotate((lane + word * second) & MASK, 31) * first & MASK

    position, size = 0, len(data)
    if size >= 32:
        lanes = [(seed + first + second) & MASK, (seed + second) & MASK, seed, (seed - first) & MASK]
        while position + 32 <= size:
            for index in range(4):
                lanes[index] = mix(lanes[index], int.from_bytes(data[position : position + 8], "little"))
                position += 8
        result = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            result = ((result ^ mix(0, lane)) * first + fourth) & MASK
    else:
        result = (seed + fifth) & MASK
    result = (result + size) & MASK
    while position + 8 <= size:
        result ^= mix(0, int.from_bytes(data[position : position + 8], "little"))
        result = (rotate(result, 27) * first + fourth) & MASK
        position += 8
    if position + 4 <= size:
        result ^= int.from_bytes(data[position : position + 4], "little") * first & MASK
        result = (rotate(result, 23) * second + third) & MASK
        position += 4
    for byte in data[position:]:
        result = rotate(result ^ (byte * fifth & MASK), 11) * first & MASK
    for shift, prime in ((33, second), (29, third)):
        result = (result ^ (result >> shift)) * prime & MASK
    return result ^ (result >> 32)


CHECKSUM_LINE = re.compile(r'  "checksum" : "([0-9a-f]{16})",\n')


def reseal(text, old, new):
    """A manifest for another sandbox. Its checksum is over the text without the line that holds it."""
    line = CHECKSUM_LINE.search(text)
    bare = CHECKSUM_LINE.sub("", text)
    if line is None or int(line.group(1), 16) != xxh64(bare.encode()):
        sys.exit("error: the manifest is not as expected")
    bare = bare.replace(f'"{old}"', f'"{new}"')
    return text[: line.start()] + f'  "checksum" : "{xxh64(bare.encode()):016x}",\n' + bare[line.start() :]


def copy_sandbox(source, target, old, new):
    os.mkdir(target, 0o700)
    for entry in os.scandir(source):
        there = os.path.join(target, entry.name)
        if entry.name == "checkpoint":
            copy_memory(entry.path, there, old, new)
        else:
            subprocess.run(["cp", "-a", "--sparse=always", entry.path, there], check=True)


def copy_memory(source, target, old, new):
    for folder, _, names in os.walk(source):
        place = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        os.mkdir(place, 0o700)
        for name in names:
            here, there = os.path.join(folder, name), os.path.join(place, name)
            if name != "manifest.json":
                os.link(here, there)
                continue
            with open(here, encoding="utf-8") as file:
                text = reseal(file.read(), old, new)
            with open(there, "w", encoding="utf-8") as file:
                file.write(text)
            shutil.copymode(here, there)


def token():
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(20))


def main():
    data, count = sys.argv[1], int(sys.argv[2])
    database = sqlite3.connect(os.path.join(data, "nightjar.sqlite"))
    database.row_factory = sqlite3.Row
    seed = dict(database.execute("SELECT * FROM sandboxes WHERE name = 'seed'").fetchone())
    columns = list(seed)
    places = os.path.join(data, "sandboxes")
    for number in range(1, count):
        identifier, name = "sb_" + token(), f"copy-{number}"
        spec = json.loads(seed["spec"])
        spec["name"] = name
        row = seed | {"id": identifier, "name": name, "spec": json.dumps(spec), "created_at": seed["created_at"] + number}
        marks = ", ".join("?" for _ in columns)
        database.execute(
            f"INSERT INTO sandboxes ({', '.join(columns)}) VALUES ({marks})", [row[column] for column in columns]
        )
        copy_sandbox(os.path.join(places, seed["id"]), os.path.join(places, identifier), seed["id"], identifier)
    database.commit()
    database.close()


if __name__ == "__main__":
    main()
