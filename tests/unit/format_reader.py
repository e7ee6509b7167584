#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Opens a store with its key file: written from store/README.md alone, with Python's own library, so with none of hushfs's code or libsodium's.

    format_reader.py STORE KEYFILE     a line a resource: kind, mesh, name, size, versions; an error if anything is not as that page has it
"""
import hashlib
import sqlite3
import struct
import sys

SUBKEYS = ["value", "record", "manifest", "row-id", "row-hash", "value-hash", "nonce", "header-mac", "anchor", "value-sum"]
KINDS = {1: "Root", 2: "Mesh", 3: "Secret", 4: "GlobalSecret"}


# --- XChaCha20-Poly1305 (RFC 8439, draft-irtf-cfrg-xchacha) and BLAKE2b ----------------------------------------------

def rounds(state):
    """The twenty rounds of ChaCha on sixteen words."""
    x = list(state)

    def quarter(a, b, c, d):
        for (i, j, k), turn in (((a, b, d), 16), ((c, d, b), 12), ((a, b, d), 8), ((c, d, b), 7)):
            x[i] = (x[i] + x[j]) & 0xffffffff
            x[k] ^= x[i]
            x[k] = (x[k] << turn | x[k] >> (32 - turn)) & 0xffffffff
    for _ in range(10):
        for columns in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                        (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*columns)
    return x


def chacha20(key, nonce, counter, size):
    stream = b""
    while len(stream) < size:
        state = struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce)
        stream += struct.pack("<16I", *((a + b) & 0xffffffff for a, b in zip(rounds(state), state)))
        counter += 1
    return stream[:size]


def poly1305(key, message):
    r, s = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff, int.from_bytes(key[16:], "little")
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i:i + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return ((total + s) % (1 << 128)).to_bytes(16, "little")


def unseal(key, sealed, ad):
    """AEAD of a nonce (24), ciphertext, tag (16)."""
    nonce, text, tag = sealed[:24], sealed[24:-16], sealed[-16:]
    words = rounds(struct.unpack("<16I", b"expand 32-byte k" + key + nonce[:16]))
    key, nonce = struct.pack("<8I", *words[:4], *words[12:]), bytes(4) + nonce[16:]
    padded = b"".join(part + bytes(-len(part) % 16) for part in (ad, text)) + struct.pack("<QQ", len(ad), len(text))
    assert poly1305(chacha20(key, nonce, 0, 32), padded) == tag, "does not open"
    return bytes(a ^ b for a, b in zip(text, chacha20(key, nonce, 1, len(text))))


def keyed(size, key, data):
    return hashlib.blake2b(data, digest_size=size, key=key).digest()


def kdf(key, number, context):
    return hashlib.blake2b(b"", digest_size=32, key=key, salt=struct.pack("<Q", number), person=context).digest()


# --- the format ------------------------------------------------------------------------------------------------------

def open_header(header, key_file):
    """Its store id, epoch and subkeys."""
    magic, version, zero, features = struct.unpack_from("<8sHHI", header)
    assert (len(header), magic, version, zero, features) == (1352, b"HUSHSTOR", 2, 0, 0), "another header"
    store, (epoch,) = header[16:32], struct.unpack_from("<I", header, 32)
    for number in range(8):
        slot = header[40 + 160 * number:200 + 160 * number]
        ad = b"hushslot" + store + struct.pack("<IB11x", epoch, number)
        if slot[0] == 1 and keyed(32, kdf(key_file, 2, b"hushslot"), ad + slot[:32]) == slot[32:64]:
            root = unseal(kdf(key_file, 1, b"hushslot"), slot[64:136], ad)
            keys = {name: kdf(root, i, b"hushroot") for i, name in enumerate(SUBKEYS, 1)}
            assert keyed(32, keys["header-mac"], header[:1320]) == header[1320:], "another header's MAC"
            return store, epoch, keys
    raise AssertionError("no slot for this key file")


class Store:
    """self.resources: by (kind, mesh, name), a dict of what its record says, with `value` and `versions` (generation: value)."""

    def __init__(self, path, key_file):
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        assert db.execute("PRAGMA application_id").fetchone()[0] == 0x68757368, "not a store"
        rows = dict(db.execute("SELECT key, data FROM row"))
        db.close()
        self.store, self.epoch, self.keys = open_header(rows[b"\0"], key_file)
        manifest = self.open(b"\1", rows[b"\1"], "manifest", 4, bytes(16), 0)
        self.generation, count, total = struct.unpack("<QQ32s16x", manifest)
        others = {key: data for key, data in rows.items() if key != b"\1"}
        hashes = (keyed(32, self.keys["row-hash"], bytes([len(key)]) + key + self.hashed(key, data)) for key, data in others.items())
        assert (count, int.from_bytes(total, "little")) == (
            len(others), sum(int.from_bytes(h, "little") for h in hashes) % (1 << 256)), "not the rows of the manifest"
        values = {}
        for key, data in others.items():
            if key[0] == 3:
                assert len(key) == 25
                generation, = struct.unpack(">Q", key[17:])
                values.setdefault(key[1:17], {})[generation] = self.value(key, data, generation)
        self.resources = dict(self.record(key, data, values.pop(key[1:], {})) for key, data in others.items() if key[0] == 2)
        for kind, mesh, _ in self.resources:
            assert kind != "Secret" or ("Mesh", "", mesh) in self.resources, "a secret without its mesh"
        self.left_over = values  # of resources that are no more

    @staticmethod
    def hashed(key, data):
        """Of a sealed row all but the ciphertext."""
        return data if key == b"\0" else data[:{2: 36, 3: 28}[key[0]]] + data[-16:]

    def open(self, key, data, subkey, head, identity, generation):
        assert struct.unpack_from("<I", data) == (self.epoch,), "another epoch"
        ad = b"hushfs 1" + self.store + struct.pack("<IB3x", self.epoch, key[0]) + identity + struct.pack("<Q", generation)
        return unseal(self.keys[subkey], data[head:], ad)

    def value(self, key, data, generation):
        plain = self.open(key, data, "value", 4, key[1:17], generation)
        size, uid, seconds, nanoseconds = struct.unpack_from("<IIqI", plain)
        exponent = max(32 + size, 1).bit_length() - 1
        step = 1 << (exponent - exponent.bit_length())
        assert len(plain) == max(256, -(-(32 + size) // step) * step), "padded to another size"
        assert not any(plain[20:32]) and not any(plain[32 + size:]), "no zeros"
        return {"data": plain[32:32 + size], "uid": uid, "mtime": seconds * 10**9 + nanoseconds}

    def record(self, key, data, versions):
        generation, = struct.unpack_from("<Q", data, 4)
        plain = self.open(key, data, "record", 12, key[1:], generation)
        version, kind, mesh, name, current, created, size = struct.unpack_from("<HBBB3xQQI", plain)
        assert len(plain) == 1024 and version == 1
        mesh, name = plain[232:232 + mesh].decode(), plain[296:296 + name].decode()
        identity = bytes([kind]) + mesh.encode() + b"\0" + name.encode() + b"\0"
        assert keyed(16, self.keys["row-id"], identity) == key[1:], "another resource's id"
        value = versions[current]["data"]
        assert len(value) == size and keyed(32, self.keys["value-hash"], poly1305(self.keys["value-sum"], value)) == plain[32:64], "another value"
        inodes = []
        for i in range(3):
            uid, gid, mode, *times = struct.unpack_from("<III4xqqqIII", plain, 64 + 56 * i)
            inodes.append({"uid": uid, "gid": gid, "mode": mode, "mtime": times[0] * 10**9 + times[3]})
        born = struct.unpack_from("<qI", plain, 792)
        return (KINDS[kind], mesh, name), {
            "value": value, "versions": {g: v["data"] for g, v in versions.items() if g >= created}, "inodes": inodes,
            "born": born[0] * 10**9 + born[1], "acls": self.acls(plain[552:792])}

    @staticmethod
    def acls(plain):
        """By inode and whether it is a default ACL: bits, and the names as (is a group, id): permission."""
        found = {}
        while plain and plain[0]:
            which, count, bits = struct.unpack_from("<BBH", plain)
            names = (struct.unpack_from("<BI", plain, 4 + 5 * i) for i in range(count))
            found[(which - 1) // 2, which % 2 == 0] = (bits, {(bool(byte & 8), number): byte & 7 for byte, number in names})
            plain = plain[4 + 5 * count:]
        assert not any(plain)
        return found


if __name__ == "__main__":
    with open(sys.argv[2], "rb") as file:
        for (kind, mesh, name), resource in sorted(Store(sys.argv[1], file.read()).resources.items()):
            print(kind, mesh or "-", name or "-", len(resource["value"]), len(resource["versions"]))
