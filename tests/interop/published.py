"""A repository that python-tuf publishes, served on loopback: what our client has to read.

Everything is made with python-tuf's own objects and serializer, so that its idea of a file is what is tested. Change a
role, `publish` it, and run the client.
"""

import datetime
import hashlib
import http.server
import threading
import urllib.parse

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

TOP = ["root", "timestamp", "snapshot", "targets"]
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def days(count: float) -> datetime.datetime:
    """A moment `count` days from now."""
    return NOW + datetime.timedelta(days=count)


class Repository:
    """Roles that may be changed, and the files that were published."""

    def __init__(self) -> None:
        self.roles = {
            "root": Metadata(Root(expires=days(30))),
            "timestamp": Metadata(Timestamp(expires=days(30))),
            "snapshot": Metadata(Snapshot(expires=days(30))),
            "targets": Metadata(Targets(expires=days(30))),
        }
        self.signers: dict[str, list[CryptoSigner]] = {}
        self.files: dict[str, bytes] = {}
        self.targets: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.with_hashes = False
        self.compact = False
        for role in TOP:
            self.add_key(role)
        for role in ["targets", "snapshot", "timestamp", "root"]:
            self.serve(role)

    def __getitem__(self, role: str):
        """The signed part of a role."""
        return self.roles[role].signed

    # Keys

    def add_key(self, role: str, signer: CryptoSigner | None = None) -> CryptoSigner:
        """One more key for a top-level role."""
        signer = signer or CryptoSigner.generate_ecdsa()
        self["root"].add_key(signer.public_key, role)
        self.signers.setdefault(role, []).append(signer)
        return signer

    def rotate(self, role: str) -> None:
        """Another key instead of all that a top-level role has."""
        self["root"].roles[role].keyids.clear()
        self.signers[role] = []
        self.add_key(role)

    # Delegations

    def delegate(self, parent: str, name: str, paths: list[str] | None = None, *, terminating=False, prefixes=None):
        """Delegates to a role, which is made if it is new."""
        signer = CryptoSigner.generate_ed25519()
        if self[parent].delegations is None:
            self[parent].delegations = Delegations({}, roles={})
        self[parent].delegations.roles[name] = DelegatedRole(name, [], 1, terminating, paths, prefixes)
        self[parent].add_key(signer.public_key, name)
        self.signers.setdefault(name, []).append(signer)
        self.roles.setdefault(name, Metadata(Targets(expires=days(30))))

    def delegate_succinctly(self, parent: str, bits: int, prefix: str) -> None:
        """Delegates to 2^bits bins (TAP 15)."""
        signer = CryptoSigner.generate_ed25519()
        bins = SuccinctRoles([], 1, bits, prefix)
        self[parent].delegations = Delegations({}, succinct_roles=bins)
        self[parent].add_key(signer.public_key)
        for name in bins.get_roles():
            self.roles[name] = Metadata(Targets(expires=days(30)))
            self.signers[name] = [signer]

    def add_target(self, role: str, path: str, content: bytes, algorithms=("sha256",)) -> TargetFile:
        """Vouches for a target and serves it."""
        target = TargetFile.from_data(path, content, list(algorithms))
        self[role].targets[path] = target
        folder, _, name = path.rpartition("/")
        for digest in target.hashes.values():
            self.targets["/".join(filter(None, [folder, f"{digest}.{name}"]))] = content
        self.targets[path] = content
        return target

    # Publishing

    def publish(self, *roles: str) -> None:
        """Publishes the next version of these roles, in this order."""
        for role in roles:
            self[role].version += 1
            self.serve(role)

    def publish_all(self) -> None:
        """Publishes the next version of everything but the root."""
        self.publish(*[role for role in self.roles if role not in TOP], "targets", "snapshot", "timestamp")

    def text(self, role: str) -> bytes:
        """The role's file, signed."""
        metadata = self.roles[role]
        metadata.signatures.clear()
        for signer in self.signers[role]:
            metadata.sign(signer, append=True)
        return metadata.to_bytes(JSONSerializer(compact=self.compact))

    def serve(self, role: str) -> None:
        """Signs and serves a role as it is, and lists it."""
        text, version = self.text(role), self[role].version
        listed = MetaFile(version)
        if self.with_hashes:
            listed = MetaFile(version, len(text), {"sha256": hashlib.sha256(text).hexdigest()})
        if role == "snapshot":
            self["timestamp"].snapshot_meta = listed
        elif role not in TOP or role == "targets":
            self["snapshot"].meta[f"{role}.json"] = listed
        self.files[self.file_name(role)] = text

    def file_name(self, role: str) -> str:
        """Where a role is served."""
        consistent = role == "root" or (self["root"].consistent_snapshot and role != "timestamp")
        return f"{self[role].version}.{role}.json" if consistent else f"{role}.json"

    def current(self, role: str) -> bytes:
        """The file that is served for the role's version."""
        return self.files[self.file_name(role)]


class Server:
    """Serves one repository at a time on loopback."""

    def __init__(self) -> None:
        self.repository: Repository | None = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *args) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, handler) -> None:
        repository = self.repository
        raw = handler.path.lstrip("/")
        repository.requests.append(raw)
        kind, _, name = raw.partition("/")
        # A role named ../a is asked for as ..%2Fa: one part of the path, unescaped only here.
        one_part = kind == "metadata" and "/" not in name and "?" not in name and "#" not in name
        name = urllib.parse.unquote(name)
        content = repository.files.get(name) if one_part else repository.targets.get(name)
        if content is None:
            handler.send_error(404)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
