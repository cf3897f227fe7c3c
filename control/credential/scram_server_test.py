#!/usr/bin/python3
"""scram_server_test.py: SCRAM against a real PostgreSQL 15, the proofs computed by scram_tool.

usage: scram_server_test.py SCRAM_TOOL

Makes a throw-away cluster (TLS, scram-sha-256 only) on a free loopback port, and logs in with and without channel
binding, with few and many iterations, with a wrong password, and with a binding to another certificate. TAP on stdout.
"""
import base64
import hashlib
import hmac
import os
import pwd
import secrets
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

BIN = "/usr/lib/postgresql/15/bin"
PASSWORD = "correct horse, battery=staple "


def verifier(password, iterations):
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    b64 = lambda b: base64.b64encode(b).decode()
    return f"SCRAM-SHA-256${iterations}:{b64(salt)}${b64(stored)}:{b64(server)}"


class Cluster:
    def __init__(self, folder):
        self.folder = folder
        self.data = f"{folder}/data"
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def run(self, *args, text=None):
        return subprocess.run([*self.as_user, *args], input=text, check=True, capture_output=True, text=True, cwd=self.folder).stdout

    def start(self):
        self.run(f"{BIN}/initdb", "-D", self.data, "-U", "boss", "--auth-local=trust", "--auth-host=scram-sha-256", "-N")
        self.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                 "-sha256", "-keyout", f"{self.data}/server.key", "-out", f"{self.data}/server.crt")
        self.run("chmod", "0600", f"{self.data}/server.key")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c ssl=on -c fsync=off -c huge_pages=off"
        self.run(f"{BIN}/pg_ctl", "-D", self.data, "-o", options, "-l", f"{self.folder}/log", "-w", "-t", "30", "start")

    def stop(self):
        subprocess.run([*self.as_user, f"{BIN}/pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop"], capture_output=True, cwd=self.folder)

    def sql(self, text):
        self.run(f"{BIN}/psql", "-h", self.folder, "-p", str(self.port), "-U", "boss", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-q", "-f", "-", text=text)


def message(sock, kind, body):
    sock.sendall(kind + struct.pack("!i", len(body) + 4) + body)


def receive(sock):
    def exactly(n):
        data = b""
        while len(data) < n:
            part = sock.recv(n - len(data))
            if not part:
                raise EOFError("server closed")
            data += part
        return data

    head = exactly(5)
    return head[:1], exactly(struct.unpack("!i", head[1:])[0] - 4)


def connect(port, tls):
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(10)
    if not tls:
        return sock, b""
    sock.sendall(struct.pack("!ii", 8, 80877103))  # SSLRequest
    assert sock.recv(1) == b"S"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sock = context.wrap_socket(sock)
    return sock, hashlib.sha256(sock.getpeercert(binary_form=True)).digest()


def refusal(data):
    return "server refuses: " + [f[1:].decode() for f in data.split(b"\0") if f[:1] == b"C"][0]


def log_in(port, tool, user, binding, wrong_hash=False):
    """'in', or what stopped it."""
    sock, cert_hash = connect(port, tls=binding is not None)
    with sock:
        body = struct.pack("!i", 196608) + b"user\0" + user.encode() + b"\0database\0postgres\0\0"
        sock.sendall(struct.pack("!i", len(body) + 4) + body)
        kind, data = receive(sock)
        assert kind == b"R" and data[:4] == struct.pack("!i", 10), (kind, data)
        gs2 = (binding or "n,,").encode()
        name = b"SCRAM-SHA-256-PLUS" if gs2.startswith(b"p=") else b"SCRAM-SHA-256"
        assert name in data[4:].split(b"\0")
        bare = "n=,r=" + base64.b64encode(secrets.token_bytes(18)).decode()
        first = gs2 + bare.encode()
        message(sock, b"p", name + b"\0" + struct.pack("!i", len(first)) + first)
        kind, data = receive(sock)
        if kind == b"E":
            return refusal(data)
        assert kind == b"R" and data[:4] == struct.pack("!i", 11), (kind, data)
        if gs2.startswith(b"p="):
            gs2 += bytes(32) if wrong_hash else cert_hash
        tool.stdin.write(f"{bare}\t{data[4:].decode()}\t{gs2.hex()}\n")
        tool.stdin.flush()
        final, signature = tool.stdout.readline().rstrip("\n").split("\t")
        if final == "refused":
            return f"we refuse: {signature}"
        message(sock, b"p", final.encode())
        kind, data = receive(sock)
        if kind == b"E":
            return refusal(data)
        assert kind == b"R" and data[:4] == struct.pack("!i", 12), (kind, data)
        if data[4:].decode() != "v=" + signature:
            return "server signature differs"
        kind, data = receive(sock)
        return "in" if kind == b"R" and data == struct.pack("!i", 0) else f"odd answer {kind} {data}"


def tool_for(path, folder, user, password):
    name = f"{folder}/{user}.login"
    with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as f:
        f.write(f"user {user}\npassword {password}\n")
    return subprocess.Popen([path, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main():
    if not os.path.exists(f"{BIN}/initdb"):
        print("1..0 # SKIP no PostgreSQL 15")
        return 0
    plus = "p=tls-server-end-point,,"
    rows = [
        # user, password given to the tool, GS2 header (None: without TLS), wrong hash, expected
        ("plain", PASSWORD, None, False, "in"),
        ("plain", PASSWORD, None, False, "in"),  # from memory
        ("plain", PASSWORD, "n,,", False, "in"),
        ("plain", PASSWORD, plus, False, "in"),
        ("plain", PASSWORD, plus, True, "server refuses: 28000"),
        ("plain", PASSWORD, "y,,", False, "server refuses: 28000"),  # it does offer -PLUS: a downgrade was attempted
        ("wrong", "not it", "n,,", False, "server refuses: 28P01"),
        ("many", PASSWORD, "n,,", False, "in"),
        ("limit", PASSWORD, "n,,", False, "in"),
        ("few", PASSWORD, "n,,", False, "we refuse: fewer than 4,096 iterations"),
        ("over", PASSWORD, "n,,", False, "we refuse: more than 600,000 iterations"),
        ("nobody", PASSWORD, "n,,", False, "server refuses: 28P01"),
    ]
    counts = {"plain": 4096, "wrong": 4096, "many": 100000, "limit": 600000, "few": 4095, "over": 600001}
    print(f"1..{len(rows)}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="sluice-scram-") as private, tempfile.TemporaryDirectory(prefix="sluice-scram-pg-") as folder:
        cluster = Cluster(folder)
        tools = {}
        try:
            cluster.start()
            cluster.sql("".join(f"CREATE ROLE \"{u}\" LOGIN PASSWORD '{verifier(PASSWORD, n)}';\n" for u, n in counts.items()))
            for i, (user, password, binding, wrong_hash, expected) in enumerate(rows, 1):
                if user not in tools:
                    tools[user] = tool_for(sys.argv[1], private, user, password)
                start = time.monotonic()
                got = log_in(cluster.port, tools[user], user, binding, wrong_hash)
                failed += got != expected
                print(f"{'ok' if got == expected else 'not ok'} {i} - {user}, {binding}: {got} ({(time.monotonic() - start) * 1000:.0f} ms)", flush=True)
        finally:
            for tool in tools.values():
                tool.stdin.close()
                tool.wait(10)
            cluster.stop()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
