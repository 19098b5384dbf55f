"""Multiplies the sleeping sandbox `seed` of a data directory whose server is stopped.

multiply_sandboxes.py DATA-DIRECTORY COUNT

The copies are named copy-1, copy-2 and so on; there are COUNT sandboxes at the end. Their files are hard links, but for
the manifests of the memory, which name the sandbox.
"""

import json
import os
import secrets
import sqlite3
import sys


def token():
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(20))


def copy_tree(source, target, identifier):
    os.mkdir(target, os.stat(source).st_mode & 0o7777)
    for entry in os.scandir(source):
        there = os.path.join(target, entry.name)
        if entry.is_dir(follow_symlinks=False):
            copy_tree(entry.path, there, identifier)
        elif entry.name == "manifest.json":
            with open(entry.path, encoding="utf-8") as file:
                manifest = json.load(file)
            manifest["sandbox"] = identifier
            with open(there, "w", encoding="utf-8") as file:
                json.dump(manifest, file)
        else:
            os.link(entry.path, there, follow_symlinks=False)


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
        copy_tree(os.path.join(places, seed["id"]), os.path.join(places, identifier), identifier)
    database.commit()
    database.close()


main()
