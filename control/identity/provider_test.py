#!/usr/bin/python3
"""provider_test.py: tokens of a provider on loopback HTTPS: discovery, key set, rotation, flood and outage, end to end.

usage: provider_test.py PROVIDER_TOOL SLUICE_EGRESS

The provider is this script: its own certificate authority, discovery document and key set, whose behaviour the steps
change; it counts requests. Verifier, egress client and sluice-egress are the real ones. TAP on stdout.
"""
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jwcrypto import jwk, jwt


class Provider(BaseHTTPRequestHandler):
    counts = {"discovery": 0, "keys": 0}
    keys = []
    mode = "good"
    issuer = None

    def do_GET(self):
        kind = "keys" if self.path == "/keys" else "discovery"
        self.counts[kind] += 1
        body = json.dumps({"keys": self.keys} if kind == "keys" else {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}).encode()
        status, headers = 200, {}
        if kind == "keys" and self.mode == "redirect":
            status, headers, body = 302, {"Location": f"{self.issuer}/elsewhere"}, b""
        elif kind == "keys" and self.mode == "html":
            headers, body = {"Content-Type": "text/html"}, b"<html>maintenance</html>"
        elif kind == "keys" and self.mode == "empty":
            body = b'{"keys":[]}'
        elif kind == "keys" and self.mode == "huge":
            body += b" " * (300 << 10)
        elif kind == "keys" and self.mode == "stall":
            time.sleep(7)
        elif self.mode == "error":
            status, body = 500, b"{}"
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *args):
        pass


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        pass


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def listen(folder):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/ca/provider.pem")
    server = Quiet(("127.0.0.1", 0), Provider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/ca/provider.pem", f"{folder}/key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"https://localhost:{server.server_address[1]}"


def public(key):
    return json.loads(key.export_public())


class Steps:
    def __init__(self, tool):
        self.tool, self.count, self.failed = tool, 0, 0

    def check(self, good, what):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {what}", flush=True)

    def say(self, line):
        self.tool.stdin.write(line + "\n")
        self.tool.stdin.flush()

    def verify(self, token, expected, what):
        self.say("token " + token.encode().hex())
        got = self.tool.stdout.readline().strip()
        self.check(got.startswith(expected), f"{what}: {got}")


def token(key, kid, serial=[0], **changes):
    now = int(time.time())
    serial[0] += 1
    claims = {"iss": Provider.issuer, "aud": "sluice", "sub": "u-17", "iat": now, "exp": now + 300, "jti": str(serial[0]), **changes}
    t = jwt.JWT(header={"alg": "ES256", "typ": "at+jwt", "kid": kid}, claims=claims)
    t.make_signed_token(key)
    return t.serialize()


def run(s):
    first, second = (jwk.JWK.generate(kty="EC", crv="P-256", kid=kid) for kid in ("k1", "k2"))
    counts = Provider.counts
    Provider.keys = [public(first)]
    s.verify(token(first, "k1"), "accepted none u-17", "first token loads discovery and keys")
    s.check(counts == {"discovery": 1, "keys": 1}, f"by one request each: {counts}")
    s.verify(token(first, "k1", aud="other"), "refused aud_wrong", "wrong audience")
    s.verify(token(first, "k1", exp=int(time.time()) - 40, iat=int(time.time()) - 100), "refused exp_passed", "expired")
    s.verify(token(second, "k1"), "refused signature_bad", "signed by another key")
    Provider.keys = [public(first), public(second)]
    s.verify(token(second, "k2"), "refused kid_unknown", "new key within 30 s of the last request")
    s.say("clock 31")
    s.verify(token(second, "k2"), "accepted none", "new key after that")
    for i in range(300):
        s.say("token " + token(first, f"random-{i}").encode().hex())
    refused = [s.tool.stdout.readline().strip() for _ in range(300)]
    s.check(all(r.startswith("refused kid_unknown") for r in refused), "300 unknown kids are refused")
    s.check(counts == {"discovery": 1, "keys": 2}, f"and cause no request: {counts}")
    Provider.keys = [public(second)]
    s.say("clock 31")
    s.verify(token(second, "k3"), "refused kid_unknown", "an unknown kid refreshes the set")
    s.verify(token(first, "k1"), "refused kid_unknown", "a key that was taken out is revoked")
    for mode in ("redirect", "html", "empty", "huge", "stall", "error"):
        Provider.mode = mode
        s.say("clock 40")
        before = counts["keys"]
        s.verify(token(second, f"absent-{mode}"), "refused kid_unknown", f"key set is {mode}: unknown stays unknown")
        s.check(counts["keys"] == before + 1, "after one request")
        s.verify(token(second, "k2"), "accepted none", "and the last good set stays in use")
    Provider.mode = "stall"
    s.say("clock 40")
    s.say("kill")
    s.verify(token(second, "absent-kill"), "refused kid_unknown", "egress dies: its request has failed")
    Provider.mode = "good"
    Provider.keys = [public(first), public(second)]
    s.say("clock 40")
    s.verify(token(first, "k1"), "accepted none", "and a new egress serves the next one")
    Provider.mode = "error"
    s.say(f"clock {24 * 3600 + 60}")
    s.verify(token(first, "k1"), "refused keys_stale", "a set of more than 24 hours is not used")
    Provider.mode = "good"
    s.say("clock 40")
    s.verify(token(first, "k1"), "accepted none", "until the provider is back")


def main():
    tool, egress = sys.argv[1:3]
    with tempfile.TemporaryDirectory(prefix="sluice-provider-") as folder:
        os.mkdir(f"{folder}/ca")
        os.chmod(folder, 0o755)
        Provider.issuer = listen(folder)
        command = [tool, egress, f"{folder}/ca", Provider.issuer, "sluice", "provider.pem"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            s = Steps(process)
            run(s)
            process.stdin.close()
            s.check(process.wait(15) == 0, "the tool ends well")
    print(f"1..{s.count}")
    return 1 if s.failed else 0


if __name__ == "__main__":
    sys.exit(main())
