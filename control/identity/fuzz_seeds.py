#!/usr/bin/python3
"""fuzz_seeds.py: valid samples for jwt_fuzz and jwk_fuzz, and a dictionary.

usage: fuzz_seeds.py DIRECTORY     writes DIRECTORY/jwt/*, DIRECTORY/jwk/* and DIRECTORY/dictionary; corpus/ was made by it
"""
import json
import os
import sys

from jwcrypto import jwk, jwt

CLAIMS = {"iss": "https://a", "aud": ["x"], "sub": "u", "iat": 1800000000, "nbf": 1800000000, "exp": 1800000300, "azp": "c", "jti": "j",
          "p": "alice", "r": "run-1", "g": {"h": ["dba", "ops"]}, "https://q": "why", "acr": "gold", "amr": ["pwd"],
          "act": {"sub": "agent", "act": {"sub": "before", "iss": "https://b"}}, "may_act": {"sub": "agent"},
          "cnf": {"x5t#S256": "A" * 43}, "_claim_names": {"g": "src"}}


def put(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/{name}", "wb") as f:
        f.write(data)


def main():
    out = sys.argv[1]
    kinds = {"es256": ("ES256", {"kty": "EC", "crv": "P-256"}), "rs256": ("RS256", {"kty": "RSA", "size": 2048})}
    keys = []
    for name, (alg, kind) in kinds.items():
        key = jwk.JWK.generate(**kind, kid=name, use="sig", alg=alg)
        keys.append(dict(json.loads(key.export_public()), key_ops=["verify"]))
        header = {"alg": alg, "typ": "at+jwt", "kid": name}
        token = jwt.JWT(header=header, claims=CLAIMS)
        token.make_signed_token(key)
        put(f"{out}/jwt", f"token-{name}", b"\0" + token.serialize().encode())
        put(f"{out}/jwt", f"parts-{name}", b"\1" + json.dumps(header).encode() + b"\0" + json.dumps(CLAIMS).encode() + b"\0" + bytes(64))
    put(f"{out}/jwt", "payload", b"\2" + json.dumps(CLAIMS).encode())
    put(f"{out}/jwk", "set", json.dumps({"keys": keys}).encode())
    for i, key in enumerate(keys):
        put(f"{out}/jwk", f"set-{i}", json.dumps({"keys": [key]}).encode())
    put(f"{out}/jwk", "discovery", json.dumps({"issuer": "https://a", "jwks_uri": "https://a/keys"}).encode())
    words = sorted({*CLAIMS, *keys[0], *keys[1], "keys", "jwks_uri", "issuer", "crit", "b64", "zip", "jku", "alg", "none", "oct", "OKP", "d", "\\\\u0061lg"})
    put(out, "dictionary", "".join(f'"\\"{w}\\""\n' if "#" not in w else f'"{w}"\n' for w in words).encode())


if __name__ == "__main__":
    main()
