#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the vectors of store/README.md from its text alone, with libsodium's functions and none of hushfs's code.

    format_vectors.py         prints them as they stand in README.md
    format_vectors.py --c     prints them as the header that test_format.c includes
"""
import ctypes
import struct
import sys

sodium = ctypes.CDLL("libsodium.so.23")
sodium.sodium_init()


def kdf(key, number, context):
    out = ctypes.create_string_buffer(32)
    sodium.crypto_kdf_derive_from_key(out, ctypes.c_size_t(32), ctypes.c_uint64(number), context, key)
    return out.raw


def blake2b(size, key, data):
    out = ctypes.create_string_buffer(size)
    sodium.crypto_generichash(out, ctypes.c_size_t(size), data, ctypes.c_ulonglong(len(data)), key,
                              ctypes.c_size_t(len(key)))
    return out.raw


def poly1305(key, data):
    out = ctypes.create_string_buffer(16)
    sodium.crypto_onetimeauth(out, data, ctypes.c_ulonglong(len(data)), key)
    return out.raw


def seal(key, nonce, ad, plain):
    out = ctypes.create_string_buffer(len(plain) + 16)
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(out, None, plain, ctypes.c_ulonglong(len(plain)), ad,
                                                      ctypes.c_ulonglong(len(ad)), None, nonce, key)
    return nonce + out.raw


def argon2id(passphrase, salt, passes, kib):
    out = ctypes.create_string_buffer(32)
    sodium.crypto_pwhash(out, ctypes.c_ulonglong(32), passphrase, ctypes.c_ulonglong(len(passphrase)), salt,
                         ctypes.c_ulonglong(passes), ctypes.c_size_t(kib * 1024), 2)
    return out.raw


def padded(size):
    if size <= 256:
        return 256
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask


ROOT = bytes(range(32))
STORE = bytes(range(0x10, 0x20))
EPOCH = 1
NONCE = bytes(range(0x40, 0x58))
SUBKEYS = ["value", "record", "manifest", "row-id", "row-hash", "value-hash", "nonce", "header-mac", "anchor", "value-sum"]
KEYS = {name: kdf(ROOT, number, b"hushroot") for number, name in enumerate(SUBKEYS, 1)}


def row_id(kind, mesh, name):
    return blake2b(16, KEYS["row-id"], bytes([kind]) + mesh + b"\0" + name + b"\0")


def row_ad(table, identity, generation):
    return b"hushfs 1" + STORE + struct.pack("<IB3x", EPOCH, table) + identity + struct.pack("<Q", generation)


def value_row(identity, generation, value, uid, mtime, nanoseconds):
    plain = struct.pack("<IIqI12x", len(value), uid, mtime, nanoseconds) + value
    plain = plain.ljust(padded(len(plain)), b"\0")
    return struct.pack("<I", EPOCH) + seal(KEYS["value"], NONCE, row_ad(3, identity, generation), plain)


def record_plain(kind, mesh, name, generation, created, size, value_hash, inodes):
    plain = struct.pack("<HBBB3xQQI4x", 1, kind, len(mesh), len(name), generation, created, size) + value_hash
    for uid, gid, mode, mtime, ctime, atime in inodes:
        plain += struct.pack("<III4xqqqIII4x", uid, gid, mode, mtime[0], ctime[0], atime[0], mtime[1], ctime[1], atime[1])
    return (plain + mesh.ljust(64, b"\0") + name.ljust(256, b"\0")).ljust(1024, b"\0")


def record_row(identity, generation, plain):
    return struct.pack("<IQ", EPOCH, generation) + seal(KEYS["record"], NONCE, row_ad(2, identity, generation), plain)


def value_hash(value):
    return blake2b(32, KEYS["value-hash"], poly1305(KEYS["value-sum"], value))


def row_hash(key, data):
    return blake2b(32, KEYS["row-hash"], bytes([len(key)]) + key + data[:{2: 36, 3: 28}[key[0]]] + data[-16:])


def manifest_row(generation, rows, total):
    plain = struct.pack("<QQ", generation, rows) + total + bytes(16)
    return struct.pack("<I", EPOCH) + seal(KEYS["manifest"], NONCE, row_ad(1, bytes(16), 0), plain)


def anchor_slot(generation, total):
    front = b"HUSHANCH" + struct.pack("<HHI", 1, 0, EPOCH) + STORE
    return front + seal(KEYS["anchor"], NONCE, front, struct.pack("<Q", generation) + total + bytes(16))


def header(key_file):
    slots = b""
    ad = b"hushslot" + STORE + struct.pack("<IB11x", EPOCH, 0)
    front = struct.pack("<B3xIII", 1, 0, 0, 0) + bytes(range(0x60, 0x70))
    commitment = blake2b(32, kdf(key_file, 2, b"hushslot"), ad + front)
    slots += (front + commitment + seal(kdf(key_file, 1, b"hushslot"), NONCE, ad, ROOT)).ljust(160, b"\0")
    plain = b"HUSHSTOR" + struct.pack("<HHI", 2, 0, 0) + STORE + struct.pack("<I4x", EPOCH) + slots.ljust(1280, b"\0")
    return plain + blake2b(32, KEYS["header-mac"], plain)


WEB = row_id(3, b"default", b"web")
KEY_FILE = bytes(range(0x80, 0xa0))
TIMES = ((1700000000, 1), (1700000001, 2), (1700000002, 3))
RECORD = record_plain(3, b"default", b"web", 7, 5, 5, value_hash(b"hello"),
                      [(1000, 100, 0o640, *TIMES), (0, 0, 0, *[(0, 0)] * 3), (0, 0, 0, *[(0, 0)] * 3)])
VALUE_ROW = value_row(WEB, 7, b"hello", 1000, 1700000000, 1)
RECORD_ROW = record_row(WEB, 7, RECORD)
VALUE_KEY = b"\3" + WEB + struct.pack(">Q", 7)
HASHES = row_hash(VALUE_KEY, VALUE_ROW), row_hash(b"\2" + WEB, RECORD_ROW)
SUM = (sum(int.from_bytes(h, "little") for h in HASHES) % (1 << 256)).to_bytes(32, "little")
HEADER = header(KEY_FILE)

VECTORS = {
    **{f"subkey {name}": key for name, key in KEYS.items()},
    "row id of Secret default/web": WEB,
    "row id of GlobalSecret web": row_id(4, b"", b"web"),
    "row id of Mesh default": row_id(2, b"", b"default"),
    "associated data of the value": row_ad(3, WEB, 7),
    "row key of the value": VALUE_KEY,
    "value hash of hello": value_hash(b"hello"),
    "row hash of the value": HASHES[0],
    "row hash of the record": HASHES[1],
    "sum of both": SUM,
    "manifest row": manifest_row(7, 2, SUM),
    "slot 0 of the header": HEADER[40:40 + 136],
    "MAC of the header": HEADER[-32:],
    "slot of an anchor": anchor_slot(7, SUM),
    "KEK of a passphrase": argon2id(b"correct horse", bytes(range(0x60, 0x70)), 1, 64),
}
LONG = {"value row": VALUE_ROW, "record row": RECORD_ROW, "header": HEADER}

if sys.argv[1:] == ["--c"]:
    print("/* SPDX-License-Identifier: Apache-2.0\n * format_vectors: made by format_vectors.py --c. */")
    for name, data in {**VECTORS, **LONG}.items():
        print(f"#define VECTOR_{name.upper().replace(' ', '_').replace('/', '_').replace('-', '_')} \\")
        text = data.hex()
        lines = [f'\t"{text[i:i + 100]}"' for i in range(0, len(text), 100)]
        print(" \\\n".join(lines))
else:
    for name, data in VECTORS.items():
        text = data.hex()
        print(f"    {name}:")
        for i in range(0, len(text), 96):
            print(f"        {text[i:i + 96]}")
