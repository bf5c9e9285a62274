"""A repository that python-tuf makes and writes into a folder, for our signer to take over.

usage: make.py OUT

Writes OUT/metadata, OUT/targets and OUT/keys/ROLE.pem, a plain ed25519 key for each role. The product `thermostat` belongs
to a role of its own and has a few targets, as a repository has that never heard of our formats; its root has been through a
rotation of its timestamp key.
"""

import pathlib
import sys

from published import TOP, Repository
from securesystemslib.signer import CryptoSigner


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    repository = Repository()
    repository.with_hashes = True
    for role in TOP:
        repository["root"].roles[role].keyids.clear()
        repository.signers[role] = []
        repository.add_key(role, CryptoSigner.generate_ed25519())
    repository["root"].keys = {
        keyid: key
        for keyid, key in repository["root"].keys.items()
        if any(keyid in role.keyids for role in repository["root"].roles.values())
    }
    # The simulation's first root, with keys that our signer has no use for, is nobody's.
    repository.files.clear()
    repository.serve("root")
    repository["root"].roles["timestamp"].keyids.clear()
    repository.signers["timestamp"] = []
    repository.add_key("timestamp", CryptoSigner.generate_ed25519())
    repository.publish("root")
    repository.delegate("targets", "thermostat", ["thermostat/*"], terminating=True)
    repository.add_target("thermostat", "thermostat/firmware-1.bin", b"their first firmware\n" * 1000)
    repository.add_target("thermostat", "thermostat/firmware-2.bin", b"their second firmware\n" * 1000)
    repository.publish_all()
    for folder, files in [("metadata", repository.files), ("targets", repository.targets)]:
        for name, content in files.items():
            place = out / folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    (out / "keys").mkdir()
    for role, signers in repository.signers.items():
        place = out / "keys" / f"{role}.pem"
        place.touch(mode=0o600)
        place.write_bytes(signers[-1].private_bytes)


main()
