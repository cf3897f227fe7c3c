"""wire.py: PostgreSQL's protocol 3.0 by hand, so that tests can send what no driver sends. Every byte received is kept."""
import socket
import struct


def cstr(text):
    return (text.encode() if isinstance(text, str) else text) + b"\0"


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def Q(sql): return message("Q", cstr(sql))
def P(sql, name="", oids=()): return message("P", cstr(name) + cstr(sql) + struct.pack("!H", len(oids)) + b"".join(struct.pack("!I", o) for o in oids))


def B(portal="", name="", values=(), formats=(), results=()):
    body = cstr(portal) + cstr(name) + struct.pack("!H", len(formats)) + b"".join(struct.pack("!H", f) for f in formats)
    body += struct.pack("!H", len(values))
    for v in values:
        v = v.encode() if isinstance(v, str) else v
        body += struct.pack("!i", -1) if v is None else struct.pack("!I", len(v)) + v
    return message("B", body + struct.pack("!H", len(results)) + b"".join(struct.pack("!H", f) for f in results))


def D(kind="P", name=""): return message("D", kind.encode() + cstr(name))
def E(portal="", rows=0): return message("E", cstr(portal) + struct.pack("!I", rows))
def C(kind="S", name=""): return message("C", kind.encode() + cstr(name))
def F(oid): return message("F", struct.pack("!IHHH", oid, 0, 0, 0))
def d(data): return message("d", data.encode() if isinstance(data, str) else data)


S, H, X, c = message("S"), message("H"), message("X"), message("c")
def f(text="no"): return message("f", cstr(text))


class Wire:
    def __init__(self, port, user="agent", database="shop", password="good-token", parameters=(), go=True):
        self.sock = socket.create_connection(("127.0.0.1", port), 60)
        self.sock.settimeout(60)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.all = bytearray(), bytearray()
        body = struct.pack("!I", 196608) + cstr("user") + cstr(user) + cstr("database") + cstr(database)
        for k, v in parameters:
            body += cstr(k) + cstr(v)
        self.send(struct.pack("!I", len(body) + 5) + body + b"\0")
        self.password, self.parameters, self.key = password, {}, None
        if go:
            self.login()

    def login(self):
        while True:
            kind, body = self.read()
            if kind == "R" and body[:4] == b"\0\0\0\3":
                self.send(message("p", cstr(self.password)))
            elif kind == "S":
                k, v = body.split(b"\0")[:2]
                self.parameters[k.decode()] = v.decode()
            elif kind == "K":
                self.key = body
            elif kind == "E":
                raise PermissionError(fields(body))
            elif kind == "Z":
                return

    def send(self, *parts):
        self.sock.sendall(b"".join(parts))

    def read(self):
        while len(self.buffer) < 5 or len(self.buffer) < 1 + struct.unpack("!I", self.buffer[1:5])[0]:
            got = self.sock.recv(1 << 20)
            if not got:
                raise EOFError
            self.buffer += got
            self.all += got
        n = 1 + struct.unpack("!I", self.buffer[1:5])[0]
        out = chr(self.buffer[0]), bytes(self.buffer[5:n])
        del self.buffer[:n]
        return out

    def until(self, kind="Z", count=1):
        out = []
        while count:
            out.append(self.read())
            count -= out[-1][0] == kind
        return out

    def ask(self, *parts, count=1):
        self.send(*parts)
        return self.until(count=count)

    def close(self):
        self.sock.close()


def fields(body):
    return {p[:1].decode(): p[1:].decode(errors="replace") for p in body.split(b"\0") if p}


def shape(messages):
    """What a client sees of the course of things: kinds, transaction status, SQLSTATEs."""
    out = []
    for kind, body in messages:
        if kind in "SNA":
            continue
        out.append(kind + (body.decode() if kind == "Z" else "") + (fields(body)["C"] if kind == "E" else ""))
    return " ".join(out)


def cells(body):
    n, at, out = struct.unpack("!H", body[:2])[0], 2, []
    for _ in range(n):
        (length,) = struct.unpack("!i", body[at:at + 4])
        at += 4
        out.append(None if length < 0 else body[at:at + length])
        at += max(length, 0)
    return out


def rows(messages):
    return [cells(body) for kind, body in messages if kind == "D"]
