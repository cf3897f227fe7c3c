#!/usr/bin/python3
"""https_server.py: hostile HTTPS servers on loopback for egress_test, then runs that test against them.

usage: https_server.py EGRESS_TEST SLUICE_EGRESS

Makes two certificate authorities and five certificates with openssl(1) in a temporary directory, listens on six ports of
127.0.0.1 (good, other-ca, wrong-name, expired, tls11, plain), and hands the test its ports in the environment.
"""
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zlib

hits = {}
BIG = 200 << 20


def openssl(*args, **kw):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)


def make_ca(folder, name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem")


def make_cert(folder, name, ca, san, days):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr")
    with open(f"{folder}/{name}.ext", "w") as f:
        f.write(f"subjectAltName={san}\n")
    openssl("x509", "-req", "-in", f"{folder}/{name}.csr", "-CA", f"{folder}/{ca}.pem", "-CAkey", f"{folder}/{ca}.key", "-CAcreateserial",
            "-days", str(days), "-extfile", f"{folder}/{name}.ext", "-out", f"{folder}/{name}.pem")


def answer(conn, status, headers=(), body=b""):
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    conn.sendall((head + "".join(f"{h}\r\n" for h in headers) + "\r\n").encode() + body)


def drip(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(20):
        conn.sendall(b"x")
        time.sleep(0.5)


def flood(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    block = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    for _ in range(BIG // 65536):
        conn.sendall(block)


PAGES = {
    "/ok": lambda c: answer(c, "200 OK", ["Content-Type: application/json"], b'{"keys":[]}'),
    "/html": lambda c: answer(c, "200 OK", ["Content-Type: text/html; charset=utf-8"], b"<html></html>"),
    "/long-type": lambda c: answer(c, "200 OK", ["Content-Type: " + "t" * 500], b"x"),
    "/empty": lambda c: answer(c, "200 OK"),
    "/302": lambda c: answer(c, "302 Found", ["Location: /target"], b"moved"),
    "/302-http": lambda c: answer(c, "302 Found", ["Location: http://127.0.0.1/"], b"moved"),
    "/target": lambda c: answer(c, "200 OK", [], b"target"),
    "/404": lambda c: answer(c, "404 Not Found", [], b"no"),
    "/500": lambda c: answer(c, "500 Oops", [], b"no"),
    "/exact": lambda c: answer(c, "200 OK", [], b"x" * (256 << 10)),
    "/over": lambda c: answer(c, "200 OK", [], b"x" * ((256 << 10) + 1)),
    "/said-200mb": lambda c: c.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n".encode() + b"x" * 1000),
    "/chunked-200mb": flood,
    "/slow": drip,
    "/stall": lambda c: time.sleep(12),
    "/cut": lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
    "/garbage": lambda c: c.sendall(b"\x00\xff not http at all\r\n\r\n"),
    "/http09": lambda c: c.sendall(b"<html>no status line</html>"),
    "/headers": lambda c: answer(c, "200 OK", ["X-%d: %s" % (i, "y" * 900) for i in range(60)], b"x"),
    "/gzip": lambda c: answer(c, "200 OK", ["Content-Encoding: gzip"], zlib.compress(b"\0" * 100000)),
    "/cookie": lambda c: answer(c, "200 OK", ["Set-Cookie: a=b"], b"set"),
}


def serve_one(conn, context):
    try:
        conn.settimeout(15)
        if context:
            conn = context.wrap_socket(conn, server_side=True)
        else:
            conn.recv(4096)
            return answer(conn, "400 Bad Request", [], b"this port speaks plain HTTP")
        request = b""
        while b"\r\n\r\n" not in request:
            part = conn.recv(4096)
            if not part:
                return
            request += part
        head, _, body = request.partition(b"\r\n\r\n")
        wanted = sum(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        while len(body) < wanted:
            body += conn.recv(4096)
        request = head + b"\r\n\r\n" + body
        path = request.split(b" ")[1].decode()
        hits[path] = hits.get(path, 0) + 1
        if path.startswith("/hits"):
            answer(conn, "200 OK", [], str(hits.get(path[5:], 0)).encode())
        elif path == "/echo":
            answer(conn, "200 OK", [], request)
        else:
            PAGES[path](conn)
    except (OSError, KeyError, IndexError):
        pass
    finally:
        conn.close()


def listen(context):
    server = socket.create_server(("127.0.0.1", 0))

    def loop():
        while True:
            conn, _ = server.accept()
            threading.Thread(target=serve_one, args=(conn, context), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()
    return str(server.getsockname()[1])


def context_of(folder, name, old=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if old:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
    return context


def main():
    test, egress = sys.argv[1:3]
    warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.1, which is the point
    with tempfile.TemporaryDirectory(prefix="sluice-egress-") as folder:
        ours = f"{folder}/ca"
        os.mkdir(ours)
        make_ca(folder, "root")
        make_ca(folder, "other")
        san = "DNS:localhost,IP:127.0.0.1"
        make_cert(folder, "good", "root", san, 2)
        make_cert(folder, "foreign", "other", san, 2)
        make_cert(folder, "wrong", "root", "DNS:elsewhere.example", 2)
        make_cert(folder, "expired", "root", san, -1)
        with open(f"{folder}/root.pem") as f, open(f"{ours}/root.pem", "w") as g:
            g.write(f.read())
        with open(f"{folder}/secret.pem", "w") as f:
            f.write("outside of the directory")
        os.symlink("root.pem", f"{ours}/link.pem")
        with open(f"{ours}/junk.pem", "w") as f:
            f.write("not a certificate\n")
        with open(f"{ours}/large.pem", "w") as f:
            f.write("x" * (300 << 10))
        os.mkdir(f"{ours}/folder.pem")
        # A machine whose OpenSSL would speak TLS 1.0: the limit has to be ours.
        with open(f"{folder}/openssl.cnf", "w") as f:
            f.write("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n")
        os.chmod(folder, 0o755)
        env = dict(os.environ, OPENSSL_CONF=f"{folder}/openssl.cnf", EGRESS_PROGRAM=egress, EGRESS_CA_DIR=ours, PORT_GOOD=listen(context_of(folder, "good")),
                   PORT_FOREIGN=listen(context_of(folder, "foreign")), PORT_WRONG=listen(context_of(folder, "wrong")),
                   PORT_EXPIRED=listen(context_of(folder, "expired")), PORT_TLS11=listen(context_of(folder, "good", old=True)),
                   PORT_PLAIN=listen(None), HTTPS_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9")
        return subprocess.run([test], env=env).returncode


if __name__ == "__main__":
    sys.exit(main())
