"""checks.py: the list of checks, and what they have in common.

Canaries are the values of tagged columns: none may be in any byte that a client receives.
"""
import base64
import hashlib
import struct
import socket

import psycopg2

import rig
from wire import B, D, E, P, Q, S, Wire, message

CANARIES = [b"ada@example.com", b"bob@example.org", b"kid@example.net", b"536-22-872", b"4111111111111111", b"5500005555555559", b"Lovelace", b"Weird",
            b"Kid Name", b"canary"]
DENY = "drop table orders"
FAIL = "select * from nosuch"
checks = []


def check(function):
    checks.append(function)
    return function


def need(condition, told=""):
    if not condition:
        raise AssertionError(told)


def clean(wire_or_bytes, but=()):
    data = wire_or_bytes.all if isinstance(wire_or_bytes, Wire) else wire_or_bytes
    for canary in CANARIES:
        need(canary in but or canary not in data, f"{canary} reached the client")


# A canary in other clothes.
DISGUISED = [f(v) for v in (b"Ada Lovelace", b"ada@example.com", b"536-22-8726") for f in (
    lambda x: x[::-1], lambda x: x.hex().encode(), lambda x: base64.b64encode(x), lambda x: hashlib.md5(x).hexdigest().encode(), bytes.upper)]


def clean_in_every_form(w, but=()):
    clean(w, but)
    for canary in DISGUISED:
        need(canary not in w.all, f"{canary} reached the client")


def both(text, **options):
    """The same in the simple and in the extended protocol, text and binary."""
    return [Q(text), P(text) + B() + D() + E() + S, P(text) + B(results=[1]) + E() + S, P(text) + B() + E(rows=1) + E() + S]


def connect(r, **options):
    return psycopg2.connect(host="127.0.0.1", port=r.proxy.port, user="agent", password=rig.TOKEN, dbname="shop", **options)


def rebuild(part, sql):
    out, at = b"", 0
    while at < len(part):
        n = 1 + struct.unpack("!I", part[at + 1:at + 5])[0]
        out += message(chr(part[at]), part[at + 5:at + n].replace(b"{}", sql.encode()))
        at += n
    return out


def cancel(r, w):
    s = socket.create_connection(("127.0.0.1", r.proxy.port))
    s.sendall(struct.pack("!II", 16, 80877102) + w.key)
    try:
        s.recv(1)
    except OSError:
        pass
    s.close()
