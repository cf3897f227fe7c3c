#!/usr/bin/python3
"""provider_test.py: tokens of a provider on loopback HTTPS: discovery, key set, SPIFFE bundle, rotation, flood and outage, end to end.

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
    counts = {"discovery": 0, "keys": 0, "bundle": 0}
    bundle = {}
    keys = []
    mode = "good"
    issuer = None

    def do_GET(self):
        kind = {"/keys": "keys", "/bundle": "bundle"}.get(self.path, "discovery")
        self.counts[kind] += 1
        if kind == "bundle":
            return self.reply(200, {"Content-Type": "application/json"}, json.dumps(self.bundle).encode())
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
        elif kind == "keys" and self.mode == "200mb":
            return self.flood()
        elif kind == "keys" and self.mode == "wrong type":
            headers = {"Content-Type": "image/png"}
        elif kind == "keys" and self.mode == "stall":
            time.sleep(7)
        elif self.mode == "error":
            status, body = 500, b"{}"
        self.reply(status, headers, body)

    def flood(self):
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(200 << 20))
            self.end_headers()
            for _ in range(200):
                self.wfile.write(b" " * (1 << 20))
        except OSError:
            pass

    def reply(self, status, headers, body):
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


def certificate(key, out):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", out)


def listen(folder):
    certificate(f"{folder}/key.pem", f"{folder}/ca/provider.pem")
    certificate(f"{folder}/foreign-key.pem", f"{folder}/foreign.pem")
    server = Quiet(("127.0.0.1", 0), Provider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Provider.certify = lambda foreign: context.load_cert_chain(*((f"{folder}/foreign.pem", f"{folder}/foreign-key.pem") if foreign else
                                                                 (f"{folder}/ca/provider.pem", f"{folder}/key.pem")))
    Provider.certify(False)
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
    s.check((counts["discovery"], counts["keys"]) == (1, 1), f"by one request each: {counts}")
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
    s.check((counts["discovery"], counts["keys"]) == (1, 2), f"and cause no request: {counts}")
    before = counts["keys"]
    for i in range(121):
        s.say("clock 1")
        s.say("token " + token(first, f"flood-{i}").encode().hex())
        s.tool.stdout.readline()
    s.check(2 <= counts["keys"] - before <= 4, f"a flood of unknown kids over two minutes makes {counts['keys'] - before} requests")
    Provider.keys = [public(second)]
    s.say("clock 31")
    s.verify(token(second, "k3"), "refused kid_unknown", "an unknown kid refreshes the set")
    s.verify(token(first, "k1"), "refused kid_unknown", "a key that was taken out is revoked")
    for mode in ("redirect", "html", "empty", "huge", "200mb", "stall", "error"):
        Provider.mode = mode
        s.say("clock 40")
        before = counts["keys"]
        s.verify(token(second, f"absent-{mode}"), "refused kid_unknown", f"key set is {mode}: unknown stays unknown")
        s.check(counts["keys"] == before + 1, "after one request")
        s.verify(token(second, "k2"), "accepted none", "and the last good set stays in use")
    Provider.mode = "good"
    Provider.certify(True)
    s.say("clock 40")
    before = counts["keys"]
    s.verify(token(second, "absent-tls"), "refused kid_unknown", "a certificate of somebody else: unknown stays unknown")
    s.check(counts["keys"] == before, "and nothing was asked of it")
    s.verify(token(second, "k2"), "accepted none", "and the last good set stays in use")
    Provider.certify(False)
    Provider.mode = "wrong type"
    Provider.keys = [public(first), public(second)]
    s.say("clock 40")
    s.verify(token(first, "k1"), "accepted none", "the content of a key set counts, not the type it is sent as")
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


SPIFFE = "spiffe://example.org/agent/billing-1"


def svid(key, kid, **changes):
    now = int(time.time())
    claims = {"aud": ["sluice"], "sub": SPIFFE, "iat": now, "exp": now + 300, **changes}
    t = jwt.JWT(header={"alg": key["kty"] == "EC" and "ES256" or "RS256", "kid": kid}, claims={k: v for k, v in claims.items() if v is not None})
    t.make_signed_token(key)
    return t.serialize()


def svid_key(key, use="jwt-svid"):
    return {**public(key), "use": use}


def run_spiffe(s):
    first, second, x509 = (jwk.JWK.generate(kty="EC", crv="P-256", kid=kid) for kid in ("a", "b", "c"))
    rsa = jwk.JWK.generate(kty="RSA", size=2048, kid="r")
    counts = Provider.counts
    Provider.bundle = {"keys": [svid_key(first), svid_key(x509, "x509-svid"), svid_key(rsa)], "spiffe_sequence": 1, "spiffe_refresh_hint": 60}
    s.verify(svid(first, "a"), f"accepted none {SPIFFE} {SPIFFE}", "an SVID is its workload's, and the workload is the agent")
    s.check(counts["bundle"] == 1 and counts["discovery"] == 0, f"by one request for the bundle: {counts}")
    s.verify(svid(rsa, "r"), "accepted none", "by an RSA key too")
    s.verify(svid(x509, "c"), "refused kid_unknown", "a key for X.509-SVIDs signs no token")
    s.verify(svid(first, "a", aud=None), "refused aud_missing", "no aud")
    s.verify(svid(first, "a", aud=["other"]), "refused aud_wrong", "an aud of another")
    s.verify(svid(first, "a", sub="spiffe://evil.example/agent"), "refused iss_missing", "another trust domain")
    s.verify(svid(first, "a", sub="spiffe://example.org/../x"), "refused sub_not_spiffe", "no SPIFFE id")
    s.verify(svid(second, "a"), "refused signature_bad", "signed by another key")
    Provider.bundle = {"keys": [svid_key(second)], "spiffe_sequence": 2}
    s.say("clock 61")
    s.verify(svid(second, "b"), "accepted none", "rotation: the new key after the bundle's own pace")
    s.verify(svid(first, "a"), "refused kid_unknown", "and the old one is gone")
    Provider.bundle = {"keys": [{k: v for k, v in svid_key(first).items() if k != "use"}]}
    s.say("clock 601")
    s.verify(svid(first, "a"), "refused kid_unknown", "a bundle whose keys are for nothing is no bundle")
    s.verify(svid(second, "b"), "accepted none", "and the last good one stays in use")


def with_tool(command, steps, count, failed):
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        s = Steps(process)
        s.count, s.failed = count, failed
        steps(s)
        process.stdin.close()
        s.check(process.wait(15) == 0, "the tool ends well")
    return s.count, s.failed


def main():
    tool, egress = sys.argv[1:3]
    with tempfile.TemporaryDirectory(prefix="sluice-provider-") as folder:
        os.mkdir(f"{folder}/ca")
        os.chmod(folder, 0o755)
        Provider.issuer = listen(folder)
        command = [tool, egress, f"{folder}/ca", Provider.issuer, "sluice", "provider.pem"]
        mesh = [tool, egress, f"{folder}/ca", f"{Provider.issuer}/bundle", "sluice", "provider.pem", "example.org"]
        count, failed = with_tool(mesh, run_spiffe, 0, 0)
        count, failed = with_tool(command, run, count, failed)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
