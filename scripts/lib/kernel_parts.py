"""The parts of a kernel that a machine is started with.

kernel_parts.py vmlinux VMLINUZ OUT     the uncompressed kernel out of Debian's compressed one
kernel_parts.py modules OUT FILE...     an initramfs with these modules in this order, and the places that an init needs
kernel_parts.py describe DIR KEY=VALUE...   DIR/kernel.json, with the sizes and hashes of the parts in DIR
"""

import datetime
import gzip
import hashlib
import json
import lzma
import os
import stat
import struct
import subprocess
import sys


def tool(*command):
    def run(data):
        return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout

    return run


# How the kernel's payload begins, and what unpacks it. The kernel's LZ4 is the tool's legacy format.
COMPRESSIONS = [
    (b"\x02\x21\x4c\x18", tool("lz4", "-dc")),
    (b"\x28\xb5\x2f\xfd", tool("zstd", "-dcq")),
    (b"\xfd7zXZ\0", lzma.decompress),
    (b"\x1f\x8b", gzip.decompress),
]


def decompressed(data, what):
    for magic, decompress in COMPRESSIONS:
        if data.startswith(magic):
            return decompress(data)
    sys.exit(f"error: the compression of {what} is not known: it begins with {data[:6].hex()}")


def vmlinux(source, target):
    """The boot protocol (2.08 and newer) says where the payload is; its last four bytes are its size unpacked."""
    with open(source, "rb") as file:
        image = file.read()
    if image[0x202:0x206] != b"HdrS" or struct.unpack_from("<H", image, 0x206)[0] < 0x208:
        sys.exit(f"error: {source} is not a kernel for x86, or too old")
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    payload, size = image[start : start + length - 4], image[start + length - 4 : start + length]
    kernel = decompressed(payload, source)
    if len(kernel) != struct.unpack("<I", size)[0] or not kernel.startswith(b"\x7fELF"):
        sys.exit(f"error: what {source} holds is not the kernel that its header tells of")
    # The note by which a machine without firmware finds the entry.
    if b"\x12\0\0\0Xen\0" not in kernel:
        sys.exit(f"error: {source} cannot be started directly (it has no PVH entry)")
    with open(target, "wb") as file:
        file.write(kernel)


class Archive:
    """A cpio archive of the kind that the kernel unpacks ("newc"): of root's, without times, the same every time."""

    def __init__(self):
        self.bytes = bytearray()
        self.count = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.count += 1
        fields = [self.count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
        self.bytes += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        self.pad()
        self.bytes += data
        self.pad()

    def pad(self):
        self.bytes += bytes(-len(self.bytes) % 4)

    def finish(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.bytes)


def modules(target, files):
    archive = Archive()
    for name in ("dev", "layers", "modules", "new", "proc", "sys"):
        archive.add(name, stat.S_IFDIR | 0o755)
    archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    names = []
    for path in files:
        with open(path, "rb") as file:
            data = file.read()
        name = os.path.basename(path)
        stem = name[: name.index(".ko") + 3]
        archive.add(f"modules/{stem}", stat.S_IFREG | 0o644, data if data.startswith(b"\x7fELF") else decompressed(data, name))
        names.append(stem)
    archive.add("modules/order", stat.S_IFREG | 0o644, "".join(name + "\n" for name in names).encode())
    with open(target, "wb") as file:
        file.write(archive.finish())


def describe(directory, pairs):
    description = dict(pair.split("=", 1) for pair in pairs)
    description["modules"] = description["modules"].split()
    description["created_at"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    description["parts"] = {}
    for name in ("vmlinux", "modules.cpio"):
        with open(os.path.join(directory, name), "rb") as file:
            data = file.read()
        description["parts"][name] = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    with open(os.path.join(directory, "kernel.json"), "w", encoding="utf-8") as file:
        json.dump(description, file, indent=2)
        file.write("\n")


def main(arguments):
    match arguments:
        case ["vmlinux", source, target]:
            vmlinux(source, target)
        case ["modules", target, *files] if files:
            modules(target, files)
        case ["describe", directory, *pairs]:
            describe(directory, pairs)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
