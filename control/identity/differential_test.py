#!/usr/bin/python3
"""differential_test.py: mutated tokens, judged by us, by python3-jwcrypto and by npm's jose: we never accept what one of them refuses.

usage: differential_test.py TOKEN_TOOL [SEED] [COUNT]

jose is the one that the lab's OpenID provider brings (platform/lab, npm ci); without it that half is skipped.
Mutations of the text, of the header and of the payload; the latter two are signed again, so that they are judged for what
they say. What jwcrypto accepts and we refuse is classified by our reason; a reason that is not one of our stricter rules
is a failure too: it would mean that good tokens are turned away. TAP on stdout.
"""
import base64
import collections
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import jwcrypto.jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from jwcrypto import jwk, jwt

ISS, AUD = "https://idp.example/a", "sluice:prod"
ALGS = ["ES256", "RS256", "PS256", "ES384"]
NOW = int(time.time())
jwcrypto.jwt.time = types.SimpleNamespace(time=lambda: NOW)  # both judge by one clock

# Where our rules are stricter than jwcrypto's, by intent (identity.md 2 to 6).
STRICTER = {
    "token_alphabet", "token_not_canonical", "token_too_long", "header_duplicate", "header_space", "header_member_refused", "header_member_unknown",
    "header_member_type", "header_not_json", "header_depth", "payload_duplicate", "payload_not_json", "payload_depth", "typ_missing", "typ_wrong",
    "alg_not_of_key", "kid_absent", "kid_unknown", "kid_too_long", "iss_missing", "issuer_unknown", "aud_wrong", "aud_type", "aud_missing", "client_missing",
    "client_wrong", "client_type", "exp_type", "exp_missing", "exp_passed", "iat_type", "iat_missing", "iat_future", "nbf_type", "nbf_future",
    "auth_time_type", "lifetime_negative", "lifetime_too_long", "sub_missing", "sub_too_long", "claim_type", "claim_too_long", "claim_unprintable",
    "id_token", "act_type", "act_no_sub", "act_depth", "act_loop", "act_is_subject", "may_act_mismatch", "cnf_type", "cnf_unknown", "cnf_no_certificate",
    "signature_missing",
}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Key:
    def __init__(self, kid, alg):
        self.kid, self.alg = kid, alg
        if alg.startswith("ES"):
            self.private = ec.generate_private_key(ec.SECP256R1() if alg == "ES256" else ec.SECP384R1())
            self.half = 32 if alg == "ES256" else 48
        else:
            self.private = rsa.generate_private_key(65537, 2048)
        self.jwk = jwk.JWK.from_pyca(self.private.public_key())
        self.public = dict(json.loads(self.jwk.export_public()), kid=kid, alg=alg, use="sig")

    def sign(self, data, alg=None):
        alg = alg or self.alg
        if hasattr(self, "half"):
            digest = hashes.SHA384() if alg == "ES384" else hashes.SHA256()
            r, s = utils.decode_dss_signature(self.private.sign(data, ec.ECDSA(digest)))
            return r.to_bytes(self.half, "big") + s.to_bytes(self.half, "big")
        pad = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if alg == "PS256" else padding.PKCS1v15()
        return self.private.sign(data, pad, hashes.SHA256())

    def token(self, header, payload, alg=None):
        data = b64(header) + b"." + b64(payload)
        return data + b"." + b64(self.sign(data, alg))


def claims():
    return {"iss": ISS, "aud": AUD, "sub": "u-17", "iat": NOW, "nbf": NOW, "exp": NOW + 300, "client_id": "psql", "jti": "j",
            "act": {"sub": "agent"}, "groups": ["dba"]}


VALUES = [None, True, False, 0, 1, -1, 1.5, 1e10, 2**31, 2**53, 2**53 + 1, 2**63, "", "x", "1", [], [1], ["x"], {}, {"sub": "a"}, ISS, ISS + "/", AUD, [AUD],
          [AUD, "b"], [AUD, 1], NOW, NOW - 1, NOW - 29, NOW - 31, NOW - 3600, NOW + 29, NOW + 31, NOW + 3600, NOW + 3601, float(NOW + 300), str(NOW + 300),
          "a\u0000b", "a\u001b[2J", "\u202e", "s" * 256, {"sub": "u-17"}, {"act": {}}, "none", "ES256", "RS256", "k1", "at+jwt", "JWT"]
HEADER_NAMES = ["alg", "typ", "kid", "cty", "x5t", "crit", "b64", "zip", "jku", "jwk", "enc", "iss", "exp"]
CLAIM_NAMES = list(claims()) + ["auth_time", "azp", "nonce", "cnf", "may_act", "typ", "acr", "amr", "_claim_names", "at_hash"]


def text_of(rng, members):
    """JSON of the members, sometimes with a twin, an escape, or white space."""
    text = json.dumps(members, separators=rng.choice([(",", ":"), (", ", ": ")]), ensure_ascii=rng.random() < 0.5)
    kind = rng.randrange(16)
    if kind == 0 and members:
        name = rng.choice(list(members))
        text = text[:-1] + "," + json.dumps(name) + ":" + json.dumps(rng.choice(VALUES)) + "}"
    elif kind == 1 and members:
        name = rng.choice(list(members))
        text = text[:-1] + ',"\\u%04x%s":1}' % (ord(name[0]), name[1:])
    elif kind == 2:
        text = rng.choice([" ", "\n", "\ufeff"]) + text
    elif kind == 3:
        text += rng.choice([" ", "\n", "{}", "\0", ","])
    elif kind == 4:
        text = text[:-1] + ',"deep":' + "[" * 9 + "]" * 9 + "}"
    return text.encode("utf-8", "surrogatepass")


def mutate_json(rng, keys):
    key = rng.choice(keys)
    header, payload = {"alg": key.alg, "typ": "at+jwt", "kid": key.kid}, claims()
    for _ in range(rng.randrange(3)):
        target, names = rng.choice([(header, HEADER_NAMES), (payload, CLAIM_NAMES)])
        name = rng.choice(names)
        if rng.random() < 0.3:
            target.pop(name, None)
        else:
            target[name] = rng.choice(VALUES)
    if rng.random() < 0.1:
        header["alg"] = rng.choice(["none", "None", "NONE", "nOnE", "HS256", "ES256K", "EdDSA", *ALGS])
    if rng.random() < 0.1:
        header["kid"] = rng.choice(keys).kid
    signer = rng.choice(keys) if rng.random() < 0.05 else key
    alg = header["alg"] if header.get("alg") in ("RS256", "PS256") and not hasattr(signer, "half") else None
    return signer.token(text_of(rng, header), text_of(rng, payload), alg)


def mutate_text(rng, keys):
    key = rng.choice(keys)
    header = json.dumps({"alg": key.alg, "typ": "at+jwt", "kid": key.kid}).encode()
    token = bytearray(key.token(header, json.dumps(claims()).encode()))
    kind = rng.randrange(9)
    if kind == 0:
        token[rng.randrange(len(token))] = rng.choice(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/. \n\0\xff")
    elif kind == 1:
        token += rng.choice([b"=", b"==", b"\n", b" ", b".", b".AA", b"A", b"AA", b"AAAA", b"\0"])
    elif kind == 2:
        token = rng.choice([b" ", b"\n", b"=", b"A", b".", b"Bearer "]) + token
    elif kind == 3:
        del token[rng.randrange(len(token)):]
    elif kind == 4:
        at = rng.randrange(len(token))
        del token[at:at + rng.randrange(1, 5)]
    elif kind == 5:
        parts = bytes(token).split(b".")
        rng.shuffle(parts)
        token = b".".join(parts)
    elif kind == 6:
        token[-1] = rng.choice(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    elif kind == 7:
        parts = bytes(token).split(b".")
        signature = rng.choice([b"", bytes(64), bytes(96), bytes(256), b"\xff" * 64, bytes(1)])
        token = b".".join([parts[0], parts[1], b64(signature)])
    return bytes(token)


def candidates(token, keys):
    """Without a kid jwcrypto tries every key with the token's algorithm, whatever the key's own `alg` says (RFC 7517 4.4)."""
    header = json.loads(base64.urlsafe_b64decode(token.split(b".")[0] + b"=="))
    return keys if header.get("kid") else [key for key in keys if key.alg == header.get("alg")]


def theirs(token, keys):
    """None when jwcrypto accepts; it gets the same algorithms, times, audience and issuer."""
    try:
        keyset = jwk.JWKSet()
        for key in candidates(token, keys):
            keyset.add(jwk.JWK(**key.public))
        t = jwt.JWT(check_claims={"exp": None, "iat": None, "sub": None, "iss": ISS, "aud": AUD}, algs=ALGS)
        t.leeway = 30
        t.deserialize(token.decode("ascii"), keyset)
        return None
    except Exception as e:  # jwcrypto raises many kinds for bad input, among them TypeError and UnicodeDecodeError
        return type(e).__name__


class Jose:
    """npm's jose in a process of its own; None when it is not installed."""
    FOLDER = Path(__file__).resolve().parents[2] / "platform" / "lab" / "node_modules" / "jose"

    def __init__(self, jwks):
        judge = Path(__file__).resolve().with_name("jose_judge.mjs")
        self.process = subprocess.Popen(["node", judge, self.FOLDER, jwks, ISS, AUD, str(NOW), *ALGS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def judge(self, token):
        self.process.stdin.write(token.hex() + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def main():
    tool = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1500
    rng = random.Random(seed)
    keys = [Key("k1", "ES256"), Key("k2", "RS256"), Key("k3", "PS256"), Key("k4", "ES384")]
    bad, odd, both, reasons = [], [], 0, collections.Counter()
    bad_jose, odd_jose, both_jose = [], [], 0
    print("1..6", flush=True)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump({"keys": [k.public for k in keys]}, f)
        f.flush()
        jose = Jose(f.name) if Jose.FOLDER.exists() else None
        with subprocess.Popen([tool, f.name, ISS, AUD, str(NOW), *ALGS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ours, \
                contextlib.closing(jose) if jose else contextlib.nullcontext():
            for _ in range(count):
                token = (mutate_json if rng.random() < 0.7 else mutate_text)(rng, keys)
                ours.stdin.write(token.hex() + "\n")
                ours.stdin.flush()
                mine = ours.stdout.readline().strip()
                other = theirs(token, keys)
                if mine == "none" and other:
                    bad.append((other, token))
                elif mine != "none" and not other:
                    reasons[mine] += 1
                    if mine not in STRICTER:
                        odd.append((mine, token))
                both += mine == "none" and not other
                if not jose:
                    continue
                third = jose.judge(token)
                if mine == "none" and third != "none":
                    bad_jose.append((third, token))
                elif mine not in STRICTER and mine != "none" and third == "none":
                    odd_jose.append((mine, token))
                both_jose += mine == "none" and third == "none"
            ours.stdin.close()
    print(f"# seed {seed}: {count} tokens, {both} accepted by both; stricter: {dict(reasons.most_common())}")
    for what, rows in (("accepted here, refused by jwcrypto", bad), ("refused here for no rule of ours", odd), ("accepted here, refused by jose", bad_jose),
                       ("accepted by jose, refused here for no rule of ours", odd_jose)):
        for why, token in rows[:5]:
            print(f"# {what}: {why}: {token!r}")
    print(f"{'not ok' if bad else 'ok'} 1 - nothing is accepted that jwcrypto refuses")
    print(f"{'not ok' if odd else 'ok'} 2 - what jwcrypto accepts and we refuse, a stricter rule refuses")
    print(f"{'ok' if both > count // 20 else 'not ok'} 3 - enough tokens are accepted by both for this to mean something")
    skip = "" if jose else " # SKIP no jose: npm ci in platform/lab"
    print(f"{'not ok' if bad_jose else 'ok'} 4 - nothing is accepted that jose refuses{skip}")
    print(f"{'not ok' if odd_jose else 'ok'} 5 - what jose accepts and we refuse, a stricter rule refuses{skip}")
    print(f"{'ok' if not jose or both_jose > count // 20 else 'not ok'} 6 - and enough tokens are accepted by both{skip}")
    return 1 if bad or odd or bad_jose or odd_jose or both <= count // 20 or (jose and both_jose <= count // 20) else 0


if __name__ == "__main__":
    sys.exit(main())
