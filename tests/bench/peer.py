"""python-tuf does what `perennial-signer release propose` and `sign` do, for tests/bench/signer.

usage: peer.py make FOLDER COUNT    a repository whose product `thermostat` has COUNT targets, with its keys as PKCS#8 beside it
       peer.py add FOLDER           adds three targets to the product, signs product and snapshot, writes both

Targets have no files: a figure of this benchmark leaves hashing out.
"""

import hashlib
import pathlib
import sys
from datetime import datetime, timedelta, timezone

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

PRODUCT = "thermostat"
ROLES = ("root", "targets", "snapshot", "timestamp", PRODUCT)


def expires() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)


def signer(folder: pathlib.Path, role: str) -> CryptoSigner:
    return CryptoSigner(load_pem_private_key((folder / f"{role}.pem").read_bytes(), None))


def target(path: str) -> TargetFile:
    return TargetFile(4096, {"sha256": hashlib.sha256(path.encode()).hexdigest()}, path)


def write(folder: pathlib.Path, role: str, signed, by: CryptoSigner) -> int:
    metadata = Metadata(signed)
    metadata.sign(by)
    data = metadata.to_bytes()
    name = "timestamp.json" if role == "timestamp" else f"{signed.version}.{role}.json"
    (folder / "metadata" / name).write_bytes(data)
    return len(data)


def make(folder: pathlib.Path, count: int) -> None:
    (folder / "metadata").mkdir(parents=True)
    for role in ROLES:
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{role}.pem").write_bytes(pem)
    keys = {role: signer(folder, role) for role in ROLES}
    root = Root(expires=expires())
    for role in ROLES[:4]:
        root.add_key(keys[role].public_key, role)
    top = Targets(expires=expires())
    team = DelegatedRole(PRODUCT, [], 1, True, [f"{PRODUCT}/*"])
    top.delegations = Delegations({}, {PRODUCT: team})
    top.add_key(keys[PRODUCT].public_key, PRODUCT)
    product = Targets(expires=expires())
    for number in range(count):
        path = f"{PRODUCT}/0.0.{number}.rev-a.image.zst"
        product.targets[path] = target(path)
    snapshot = Snapshot(expires=expires())
    for role, signed in (("root", root), ("targets", top), (PRODUCT, product)):
        length = write(folder, role, signed, keys[role])
        if role != "root":
            snapshot.meta[f"{role}.json"] = MetaFile(1, length)
    length = write(folder, "snapshot", snapshot, keys["snapshot"])
    timestamp = Timestamp(expires=expires(), snapshot_meta=MetaFile(1, length))
    write(folder, "timestamp", timestamp, keys["timestamp"])


def newest(folder: pathlib.Path, role: str) -> Metadata:
    files = (folder / "metadata").glob(f"*.{role}.json")
    return Metadata.from_file(str(max(files, key=lambda path: int(path.name.split(".")[0]))))


def add(folder: pathlib.Path) -> None:
    product = newest(folder, PRODUCT).signed
    product.version += 1
    product.expires = expires()
    for part in ("release.json", "rev-a.image.zst", "rev-a.image.index"):
        path = f"{PRODUCT}/9.{product.version}.0.{part}"
        product.targets[path] = target(path)
    length = write(folder, PRODUCT, product, signer(folder, PRODUCT))
    snapshot = newest(folder, "snapshot").signed
    snapshot.version += 1
    snapshot.meta[f"{PRODUCT}.json"] = MetaFile(product.version, length)
    write(folder, "snapshot", snapshot, signer(folder, "snapshot"))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(pathlib.Path(sys.argv[2]), int(sys.argv[3]))
    else:
        add(pathlib.Path(sys.argv[2]))
