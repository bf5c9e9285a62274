"""Writes signatures.json: one good signature for each key type and scheme, made by another implementation.

usage: python signatures.py > signatures.json     (needs the package cryptography; keys are made anew each time)
"""

import json
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

MESSAGE = b"perennial signature vector"


def pem(key) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def vector(keytype: str, scheme: str, public: str, signature: bytes, good: bool = True) -> dict:
    key = {"keytype": keytype, "scheme": scheme, "keyval": {"public": public}}
    return {"key": key, "message": MESSAGE.hex(), "signature": signature.hex(), "good": good}


def main() -> None:
    vectors = []
    edwards = ed25519.Ed25519PrivateKey.generate()
    raw = edwards.public_key().public_bytes_raw().hex()
    vectors.append(vector("ed25519", "ed25519", raw, edwards.sign(MESSAGE)))
    for keytypes, scheme, curve, digest in [
        (["ecdsa", "ecdsa-sha2-nistp256"], "ecdsa-sha2-nistp256", ec.SECP256R1(), hashes.SHA256()),
        (["ecdsa", "ecdsa-sha2-nistp384"], "ecdsa-sha2-nistp384", ec.SECP384R1(), hashes.SHA384()),
    ]:
        key = ec.generate_private_key(curve)
        for keytype in keytypes:
            vectors.append(vector(keytype, scheme, pem(key), key.sign(MESSAGE, ec.ECDSA(digest))))
    # Another curve under a name that we know.
    other = ec.generate_private_key(ec.SECP256K1())
    vectors.append(vector("ecdsa", "ecdsa-sha2-nistp256", pem(other), other.sign(MESSAGE, ec.ECDSA(hashes.SHA256())), False))
    for bits in [2048, 4096, 1024]:
        key = rsa.generate_private_key(65537, bits)
        digests = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
        for name, digest in digests.items():
            if bits == 1024 and name == "sha512":
                continue  # its PSS form has no room in such a key
            pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
            good = bits >= 2048
            vectors.append(vector("rsa", f"rsassa-pss-{name}", pem(key), key.sign(MESSAGE, pss, digest), good))
            v15 = key.sign(MESSAGE, padding.PKCS1v15(), digest)
            vectors.append(vector("rsa", f"rsa-pkcs1v15-{name}", pem(key), v15, good))
    json.dump(vectors, sys.stdout, indent=1)
    print()


main()
