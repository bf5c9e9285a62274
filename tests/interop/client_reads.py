"""Our tuf-client reads what python-tuf publishes, and refuses what it must.

usage: client_reads.py CLIENT [WORD…]

CLIENT is the path of tuf-client. With words, only cases whose name has one of them are run. Each case makes a
repository with python-tuf, changes it, and looks at the client's verdict, at the files that it trusts, at what it
downloaded and at what it asked for. Cases about a later time need `faketime`, and are counted as skipped without it.
"""

import datetime
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from published import Repository, Server, days

CASES = []
SERVER = Server()
FAKETIME = shutil.which("faketime")


class NeedsFaketime(Exception):
    pass


def case(function):
    CASES.append((function.__name__, function, ()))
    return function


def cases(**variants):
    """One case for each named variant."""

    def wrap(function):
        for name, variant in variants.items():
            CASES.append((f"{function.__name__}[{name}]", function, (variant,)))
        return function

    return wrap


class Client:
    """One client with its own folders."""

    def __init__(self, repository: Repository, root: bytes | None = None) -> None:
        SERVER.repository = repository
        self.folder = tempfile.TemporaryDirectory()
        base = pathlib.Path(self.folder.name)
        self.metadata, self.out, self.root = base / "metadata", base / "out", base / "root.json"
        self.metadata.mkdir()
        self.out.mkdir()
        self.root.write_bytes(root or repository.files["1.root.json"])
        self.init_status = self.run("init", str(self.root))

    def run(self, *arguments: str, at: datetime.datetime | None = None) -> int:
        command = [sys.argv[1], "--metadata-dir", str(self.metadata), *arguments]
        if at:
            if not FAKETIME:
                raise NeedsFaketime
            command = [FAKETIME, f"{at}", *command]
        self.last = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return self.last.returncode

    def refresh(self, at=None) -> int:
        return self.run("--metadata-url", f"{SERVER.url}/metadata/", "refresh", at=at)

    def download(self, *paths: str, at=None) -> int:
        names = [part for path in paths for part in ("--target-name", path)]
        urls = ["--metadata-url", f"{SERVER.url}/metadata", "--target-base-url", f"{SERVER.url}/targets/"]
        return self.run(*urls, *names, "--target-dir", str(self.out), "download", at=at)

    def trusted(self) -> dict[str, int]:
        """Versions of all trusted files, by name."""
        files = sorted(self.metadata.glob("*.json"))
        return {file.stem: json.loads(file.read_bytes())["signed"]["version"] for file in files}

    def bytes_of(self, role: str) -> bytes:
        return (self.metadata / f"{role}.json").read_bytes()

    def downloaded(self) -> list[bytes]:
        return sorted(file.read_bytes() for file in self.out.rglob("*") if file.is_file())


def asked(repository: Repository) -> list[str]:
    """The metadata files asked for since the last time."""
    names = [path.removeprefix("metadata/") for path in repository.requests if path.startswith("metadata/")]
    repository.requests.clear()
    return names


def started(**options):
    repository = Repository()
    for name, value in options.items():
        setattr(repository, name, value)
    client = Client(repository)
    assert client.init_status == 0, client.last.stderr
    return repository, client


def refreshed(**options):
    repository, client = started(**options)
    assert client.refresh() == 0, client.last.stderr
    asked(repository)
    return repository, client


def trusts(client: Client, **versions: int) -> None:
    found = client.trusted()
    assert found == versions, f"trusts {found}, expected {versions}"


# The workflow


@case
def first_refresh_asks_for_each_role_once():
    repository, client = started()
    assert client.refresh() == 0
    assert asked(repository) == ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
    for role in ["root", "timestamp", "snapshot", "targets"]:
        assert client.bytes_of(role) == repository.current(role)


@case
def unchanged_repository_costs_two_requests():
    repository, client = refreshed()
    assert client.refresh() == 0
    assert asked(repository) == ["2.root.json", "timestamp.json"]


@case
def download_refreshes_first():
    repository, client = started()
    assert client.download("nonexistent artifact") == 1
    assert asked(repository) == ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]
    trusts(client, root=1, timestamp=1, snapshot=1, targets=1)


@case
def files_are_kept_byte_for_byte():
    repository, client = started()
    repository.files["timestamp.json"] += b" \n"
    assert client.refresh() == 0
    assert client.bytes_of("timestamp") == repository.files["timestamp.json"]


@cases(indented=False, compact=True)
def any_layout_of_json_is_read(compact):
    repository, client = started(compact=compact)
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert client.refresh() == 0
    trusts(client, root=2, timestamp=2, snapshot=2, targets=2)


@case
def initial_root_that_is_malformed_leads_to_no_request():
    repository = Repository()
    root = json.loads(repository.files["1.root.json"])
    del root["signed"]["version"]
    client = Client(repository, json.dumps(root).encode())
    assert client.refresh() == 1 and not repository.requests


@case
def initial_root_that_is_not_signed_leads_to_no_request():
    repository = Repository()
    root = json.loads(repository.files["1.root.json"])
    root["signatures"][0]["sig"] = "30" * 70
    client = Client(repository, json.dumps(root).encode())
    assert client.refresh() == 1 and not repository.requests


UNSIGNED = {
    "root": dict(root=1),
    "timestamp": dict(root=2),
    "snapshot": dict(root=2, timestamp=2),
    "targets": dict(root=2, timestamp=2, snapshot=2),
}


@cases(**{role: (role, trusted) for role, trusted in UNSIGNED.items()})
def unsigned_role_is_refused(variant):
    role, trusted = variant
    repository, client = started()
    repository.signers[role].pop()
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert client.refresh() == 1
    trusts(client, **trusted)


@cases(**{role: (role, trusted) for role, trusted in UNSIGNED.items() if role != "timestamp"})
def version_other_than_in_the_name_is_refused(variant):
    role, trusted = variant
    repository, client = started()
    for name in ["root", "targets", "snapshot", "timestamp"]:
        repository[name].version = 2
        repository.serve(name)
    repository[role].version = 3
    repository.files[f"2.{role}.json"] = repository.text(role)
    assert client.refresh() == 1
    trusts(client, **trusted)


@case
def timestamp_of_the_same_version_is_not_replaced():
    repository, client = refreshed()
    kept = client.bytes_of("timestamp")
    repository["timestamp"].snapshot_meta.version = 100
    repository.serve("timestamp")
    assert client.refresh() == 0
    assert client.bytes_of("timestamp") == kept
    assert asked(repository)[-1] == "timestamp.json"


@case
def hashes_and_lengths_of_metadata_count():
    repository, client = started(with_hashes=True)
    repository.publish("targets", "snapshot", "timestamp")
    assert client.refresh() == 0
    repository.publish("targets")
    repository["snapshot"].meta["targets.json"].hashes["sha256"] = "46" * 32
    repository.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    trusts(client, root=1, timestamp=3, snapshot=3, targets=2)


@case
def unlisted_targets_version_is_not_asked_for():
    repository, client = refreshed()
    repository.publish("targets")
    assert client.refresh() == 0
    assert asked(repository)[-1] == "timestamp.json"
    trusts(client, root=1, timestamp=1, snapshot=1, targets=1)


@case
def unknown_fields_are_covered_by_signatures():
    repository, client = refreshed()
    signer = CryptoSigner.generate_ed25519()
    signer.public_key.unrecognized_fields["extra"] = {"a": 1, "b": [True, None, "é"]}
    repository.add_key("root", signer)
    repository["root"].unrecognized_fields["custom"] = "value"
    repository["root"].roles["root"].unrecognized_fields["another"] = -7
    repository.publish("root")
    assert client.refresh() == 0
    trusts(client, root=2, timestamp=1, snapshot=1, targets=1)


@case
def deprecated_keyid_hash_algorithms_mean_nothing():
    repository, client = started()
    repository["root"].roles["snapshot"].keyids.clear()
    repository.signers["snapshot"].clear()
    signer = CryptoSigner.generate_ecdsa()
    signer.public_key.unrecognized_fields = {"keyid_hash_algorithms": "md5"}
    repository.add_key("snapshot", signer)
    repository.publish("root", "snapshot", "timestamp")
    assert client.refresh() == 0
    trusts(client, root=2, timestamp=2, snapshot=2, targets=1)


@case
def opaque_key_ids_are_taken():
    repository, client = refreshed()
    signer = CryptoSigner.generate_ed25519()
    signer.public_key.keyid = "anything/but a hash".replace(" ", "_")
    repository.add_key("timestamp", signer)
    repository.signers["timestamp"] = [signer]
    repository.publish("root", "timestamp")
    assert client.refresh() == 0


@cases(snapshot="snapshot", targets="targets", timestamp="timestamp")
def missing_role_is_an_error(role):
    repository, client = refreshed()
    if role == "timestamp":
        del repository.files["timestamp.json"]
    elif role == "snapshot":
        repository["timestamp"].snapshot_meta.version += 1
        repository.publish("timestamp")
    else:
        repository["snapshot"].meta["targets.json"].version += 1
        repository.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    versions = {
        "snapshot": dict(root=1, snapshot=1, targets=1, timestamp=2),
        "targets": dict(root=1, snapshot=2, targets=1, timestamp=2),
        "timestamp": dict(root=1, snapshot=1, targets=1, timestamp=1),
    }
    trusts(client, **versions[role])


@case
def another_type_under_a_role_s_name_is_refused():
    repository, client = started()
    repository.add_key("snapshot", repository.signers["timestamp"][0])
    repository.publish("root", "snapshot")
    repository.files["timestamp.json"] = repository.current("snapshot")
    assert client.refresh() == 1
    trusts(client, root=2)


# Keys


ROOTS = {
    "one rotated": [([1], 1, [1]), ([2], 1, [2, 1]), ([2], 1, [2])],
    "unused signatures": [([1], 1, [3, 1, 4]), ([2], 1, [3, 2, 1, 4]), ([2], 1, [3, 2, 4])],
    "3 of 5, other combinations": [([0, 1, 2, 3, 4], 3, sigs) for sigs in ([0, 2, 4], [0, 4, 1], [0, 1, 3])],
    "3 of 5, one rotated": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 1])],
    "3 of 5, all rotated": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7])],
    "threshold rises": [([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [1, 2])],
    "threshold falls": [([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1, 2]), ([1, 2, 3], 1, [1])],
    "not by the old key": [([1], 1, [1]), ([2], 1, [2, 3, 4], False)],
    "not by the new key": [([1], 1, [1]), ([2], 1, [1, 3, 4], False)],
    "too few new keys": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 2, 4], False)],
    "too few old keys": [([0, 1, 2, 3, 4], 3, [0, 2, 4]), ([0, 1, 3, 4, 5], 3, [0, 4, 5], False)],
    "new threshold not reached": [([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [2], False)],
    "old threshold not reached": [([1, 2, 3], 2, [1, 2]), ([1, 2, 3], 1, [1], False)],
}


@cases(**ROOTS)
def root_chain(versions):
    signers = [CryptoSigner.generate_ed25519() for _ in range(10)]
    repository = Repository()
    repository["root"].version = 0
    for keys, threshold, sigs, *_ in versions:
        role = repository["root"].roles["root"]
        role.keyids.clear()
        role.threshold = threshold
        for i in keys:
            repository["root"].add_key(signers[i].public_key, "root")
        repository.signers["root"] = [signers[i] for i in sigs]
        repository.publish("root")
    client = Client(repository)
    good = len(versions[-1]) == 3
    assert client.refresh() == (0 if good else 1), client.last.stderr
    last = len(versions) if good else len(versions) - 1
    assert client.bytes_of("root") == repository.files[f"{last}.root.json"]


OTHERS = {
    "rotated": ([2], 1, [2], 0),
    "unused signatures": ([1], 1, [3, 1, 4], 0),
    "not by the new key": ([2], 1, [1, 3, 4], 1),
    "one signature of a stranger": ([0, 1, 3, 4, 5], 3, [0, 2, 4], 1),
    "too few signatures": ([0, 1, 3, 4, 5], 3, [0, 4], 1),
    "first combination": ([0, 1, 2, 3, 4], 3, [0, 2, 4], 0),
    "last combination": ([0, 1, 2, 3, 4], 3, [2, 3, 4], 0),
}


@cases(**OTHERS)
def keys_of_other_roles(variant):
    keys, threshold, sigs, status = variant
    signers = [CryptoSigner.generate_ed25519() for _ in range(6)]
    repository, client = started()
    for name in ["timestamp", "snapshot", "targets"]:
        role = repository["root"].roles[name]
        role.keyids.clear()
        role.threshold = threshold
        for i in keys:
            repository["root"].add_key(signers[i].public_key, name)
        repository.signers[name] = [signers[i] for i in sigs]
        repository.publish("root", "targets", "snapshot", "timestamp")
        assert client.refresh() == status, client.last.stderr
        if status == 0:
            assert client.bytes_of(name) == repository.current(name)


@cases(timestamp="timestamp", snapshot="snapshot", targets="targets")
def keys_change_and_the_version_does_not(role):
    repository, client = refreshed()
    repository.rotate(role)
    repository.publish("root")
    repository.serve(role)
    assert client.refresh() == 0, client.last.stderr
    assert client.bytes_of(role) == repository.current(role)


@case
def signatures_below_the_threshold():
    repository, client = started()
    repository["root"].roles["snapshot"].threshold = 3
    repository.add_key("snapshot")
    repository.add_key("snapshot")
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert client.refresh() == 0
    repository.signers["snapshot"].pop()
    repository.publish("targets", "snapshot", "timestamp")
    assert client.refresh() == 1
    trusts(client, root=2, timestamp=3, snapshot=2, targets=2)


@case
def threshold_above_the_number_of_keys():
    repository, client = started()
    for _ in range(4):
        repository.add_key("snapshot")
    repository["root"].roles["snapshot"].threshold = 6
    repository.publish("root", "snapshot", "timestamp")
    assert client.refresh() == 1
    trusts(client, root=2, timestamp=2)


@case
def one_key_listed_many_times_counts_once():
    repository, client = started()
    signer = repository.add_key("snapshot")
    repository["root"].roles["snapshot"].threshold = 6
    repository["root"].version = 2
    root = json.loads(repository.text("root"))
    repository["root"].roles["snapshot"].keyids += [signer.public_key.keyid] * 8
    repository.files["2.root.json"] = repository.text("root")
    assert len(json.loads(repository.files["2.root.json"])["signed"]["roles"]["snapshot"]["keyids"]) == 10, root
    repository.publish("snapshot", "timestamp")
    text = json.loads(repository.current("snapshot"))
    text["signatures"] += [text["signatures"][-1]] * 8
    repository.files["2.snapshot.json"] = json.dumps(text).encode()
    assert client.refresh() == 1
    assert "snapshot" not in client.trusted()


@case
def two_signatures_with_one_key_id_are_refused():
    repository, client = started()
    text = json.loads(repository.current("snapshot"))
    text["signatures"].append(text["signatures"][0])
    repository.files["1.snapshot.json"] = json.dumps(text).encode()
    assert client.refresh() == 1
    trusts(client, root=1, timestamp=1)


KEY_TYPES = {
    "ed25519": CryptoSigner.generate_ed25519,
    "ecdsa": CryptoSigner.generate_ecdsa,
    "rsa-pss": CryptoSigner.generate_rsa,
    "rsa-pkcs1v15": lambda: CryptoSigner.generate_rsa(scheme="rsa-pkcs1v15-sha256"),
}


@cases(**KEY_TYPES)
def key_type(generate):
    repository, client = started()
    signer = repository.add_key("root", generate())
    repository["root"].roles["root"].threshold = 2
    repository.publish("root")
    assert client.refresh() == 0, client.last.stderr
    repository.publish("root")
    metadata = Metadata.from_bytes(repository.files["3.root.json"])
    good = metadata.signatures[signer.public_key.keyid].signature
    metadata.signatures[signer.public_key.keyid].signature = good[:-4] + ("0000" if good[-4:] != "0000" else "1111")
    repository.files["3.root.json"] = metadata.to_bytes()
    assert client.refresh() == 1
    assert client.trusted()["root"] == 2


@cases(wrong="30" * 70, empty="")
def bad_signature_beside_a_good_one_harms_nothing(signature):
    repository, client = started()
    repository.add_key("timestamp")
    repository.publish("root", "timestamp")
    metadata = Metadata.from_bytes(repository.files["timestamp.json"])
    metadata.signatures[repository.signers["timestamp"][0].public_key.keyid].signature = signature
    repository.files["timestamp.json"] = metadata.to_bytes()
    assert client.refresh() == 0, client.last.stderr
    assert client.trusted()["timestamp"] == 2


# Rollback, and the way back after a fast-forward


@case
def timestamp_rollback():
    repository, client = started()
    repository.publish("timestamp")
    assert client.refresh() == 0
    asked(repository)
    repository["timestamp"].version = 1
    repository.serve("timestamp")
    assert client.refresh() == 1
    assert client.trusted()["timestamp"] == 2 and asked(repository)[-1] == "timestamp.json"


@cases(plain=False, hashes=True)
def snapshot_rollback(hashes):
    repository, client = started(with_hashes=hashes)
    repository.publish("snapshot", "timestamp")
    assert client.refresh() == 0
    asked(repository)
    repository["snapshot"].version = 0
    repository.publish("snapshot", "timestamp")
    assert client.refresh() == 1
    trusts(client, root=1, timestamp=2, snapshot=2, targets=1)
    assert asked(repository)[-1] == "timestamp.json"


@cases(plain=False, hashes=True)
def targets_rollback(hashes):
    repository, client = started(with_hashes=hashes)
    repository.publish("targets", "snapshot", "timestamp")
    assert client.refresh() == 0
    repository["targets"].version = 0
    repository.publish("targets", "snapshot", "timestamp")
    assert client.refresh() == 1
    trusts(client, root=1, timestamp=3, snapshot=2, targets=2)


@cases(
    targets=("targets", ["snapshot"]),
    snapshot=("snapshot", ["snapshot", "timestamp"]),
    timestamp=("timestamp", ["timestamp"]),
)
def fast_forward_and_recovery(variant):
    role, rotated = variant
    repository, client = started()
    repository[role].version = 99_999
    repository.publish(*[name for name in ["targets", "snapshot", "timestamp"] if name == role or role != "timestamp"])
    assert client.refresh() == 0
    assert client.trusted()[role] == 100_000
    for name in rotated:
        repository.rotate(name)
    repository[role].version = 0
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert client.refresh() == 0, client.last.stderr
    assert client.trusted()[role] == 1


# Expiry


@cases(root="root", timestamp="timestamp", snapshot="snapshot", targets="targets")
def expired_role_is_refused(role):
    repository, client = refreshed()
    repository[role].expires = days(-5)
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert client.refresh() == 1
    newer = {
        "root": ["root"],
        "timestamp": ["root"],
        "snapshot": ["root", "timestamp"],
        "targets": ["root", "timestamp", "snapshot"],
    }
    names = ["root", "timestamp", "snapshot", "targets"]
    trusts(client, **{name: 2 if name in newer[role] else 1 for name in names})


@case
def time_comes_from_the_system():
    repository, client = started()
    repository["root"].expires = days(7)
    repository.publish("root")
    assert client.refresh() == 0
    assert client.refresh(at=days(8)) == 1
    assert client.refresh() == 0


@case
def expired_files_here_are_a_floor_and_no_hindrance():
    repository, client = started()
    repository["timestamp"].expires = days(7)
    repository.publish("timestamp")
    assert client.refresh() == 0
    repository["timestamp"].expires = days(21)
    repository.publish("targets", "snapshot", "timestamp")
    assert client.refresh(at=days(18)) == 0
    trusts(client, root=1, timestamp=3, snapshot=2, targets=2)


@case
def expired_timestamp_here_still_stops_a_rollback():
    repository, client = started()
    repository["timestamp"].expires = days(7)
    repository["timestamp"].version = 4
    repository.publish("timestamp")
    assert client.refresh() == 0
    repository["timestamp"].expires = days(21)
    repository["timestamp"].version = 3
    repository.serve("timestamp")
    assert client.refresh(at=days(18)) == 1
    assert client.trusted()["timestamp"] == 5


def delegated_expiring(expires):
    repository, client = started()
    repository.delegate("targets", "delegated", ["delegated/*"])
    repository["delegated"].expires = expires
    repository.add_target("delegated", "delegated/first", b"first")
    repository.add_target("delegated", "delegated/second", b"second")
    repository.publish_all()
    return repository, client


@case
def expired_delegated_role_is_refused():
    _, client = delegated_expiring(days(-1))
    assert client.refresh() == 0
    assert client.download("delegated/first") == 1
    trusts(client, root=1, timestamp=2, snapshot=2, targets=2)
    assert client.downloaded() == []


@case
def delegated_role_that_expires_is_used_no_longer():
    _, client = delegated_expiring(days(7))
    assert client.download("delegated/first") == 0
    assert client.download("delegated/second", at=days(18)) == 1
    assert client.downloaded() == [b"first"]


@case
def delegated_role_that_expired_here_is_replaced():
    repository, client = delegated_expiring(days(7))
    assert client.download("delegated/first") == 0
    repository["delegated"].expires = days(21)
    repository.publish("delegated", "snapshot", "timestamp")
    assert client.download("delegated/second", at=days(18)) == 0
    assert client.downloaded() == [b"first", b"second"]


# Delegations

GRAPHS = {
    "one": ([("targets", "A")], "A"),
    "two": ([("targets", "A"), ("targets", "B")], "AB"),
    "two levels": ([("targets", "A"), ("targets", "B"), ("B", "C")], "ABC"),
    "depth first": ([("targets", "A"), ("targets", "B"), ("A", "C"), ("A", "D")], "ACDB"),
    "three levels": ([("targets", "A"), ("targets", "B"), ("A", "C"), ("C", "D")], "ACDB"),
    "terminating": ([("targets", "A"), ("targets", "B"), ("A", "C", "*", True), ("A", "D")], "AC"),
    "terminating, descendants": ([("targets", "A"), ("targets", "B"), ("A", "C", "*", True), ("C", "D")], "ACD"),
    "other paths": ([("targets", "A", "*.py"), ("targets", "B"), ("A", "C")], "B"),
    "other paths below": ([("targets", "A"), ("targets", "B"), ("A", "C", "*.py"), ("C", "D")], "AB"),
    "circle": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("C", "D"), ("D", "B")], "ABCD"),
    "two ways": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C")], "ACB"),
    "two ways, one covers": ([("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C", "*.py")], "ABC"),
}


@cases(**GRAPHS)
def search_order(variant):
    delegations, visited = variant
    repository, client = started()
    for parent, name, *rest in delegations:
        repository.delegate(parent, name, [rest[0] if rest else "*"], terminating=len(rest) > 1)
    repository.publish_all()
    assert client.download("missingpath") == 1
    assert asked(repository)[4:] == [f"2.{name}.json" for name in visited]
    assert set(client.trusted()) == {"root", "timestamp", "snapshot", "targets", *visited}


FOUND = {
    "here": ("targetfile", [], True),
    "by pattern": ("README.md", ["A"], True),
    "by folder": ("releases/x/x_v1", ["B", "C"], True),
    "by folder and name": ("releases/y/y_v1.zip", ["B", "D"], True),
    "not delegated all the way": ("releases/z/z_v1.zip", ["B"], False),
}


@cases(**FOUND)
def target_in_a_tree(variant):
    path, visited, found = variant
    repository, client = started()
    repository.delegate("targets", "A", ["*.doc", "*.md"])
    repository.delegate("targets", "B", ["releases/*/*"])
    repository.delegate("B", "C", ["releases/x/*"])
    repository.delegate("B", "D", ["releases/y/*.zip"])
    for role, name in [("targets", "targetfile"), ("A", "README.md"), ("C", "releases/x/x_v1")]:
        repository.add_target(role, name, name.encode())
    for name in ["releases/y/y_v1.zip", "releases/z/z_v1.zip"]:
        repository.add_target("D", name, name.encode())
    repository.publish_all()
    assert client.download(path) == (0 if found else 1), client.last.stderr
    assert asked(repository)[4:] == [f"2.{name}.json" for name in visited]
    assert client.downloaded() == ([path.encode()] if found else [])


@case
def several_targets_share_one_refresh_and_stop_at_the_first_failure():
    repository, client = started()
    for name in ["a", "b", "c"]:
        repository.add_target("targets", name, name.encode())
    repository.publish_all()
    assert client.download("a", "missing", "c") == 1
    assert asked(repository) == ["2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json"]
    assert client.downloaded() == [b"a"]


@cases(question="?", hash="#", slash="/delegated", above="../delegated", space="a b", percent="%2e", accent="é")
def odd_role_name(name):
    repository, client = started()
    repository.delegate("targets", name, ["*"])
    repository.publish_all()
    assert client.download("nonexistent target") == 1
    quoted = "".join(c if c.isascii() and (c.isalnum() or c in "_.-~") else "".join(f"%{b:02X}" for b in c.encode()) for c in name)
    assert asked(repository)[4:] == [f"2.{quoted}.json"]
    assert len(client.trusted()) == 5
    assert not list(client.metadata.parent.glob("*delegated*"))


@case
def hashed_bins():
    repository, client = started()
    for number in range(16):
        repository.delegate("targets", f"bin-{number:x}", prefixes=[f"{number:x}"])
    from hashlib import sha256

    for path in ["a/one", "a/two", "three"]:
        repository.add_target(f"bin-{sha256(path.encode()).hexdigest()[0]}", path, path.encode())
    repository.publish_all()
    assert client.download("a/one", "a/two", "three") == 0, client.last.stderr
    assert client.downloaded() == sorted([b"a/one", b"a/two", b"three"])


@cases(one=1, five=5, eleven=11)
def succinct_bins(bits):
    repository, client = started()
    repository.delegate_succinctly("targets", bits, "bin")
    bins = repository["targets"].delegations.succinct_roles
    paths = ["a/one", "a/two", "three"]
    for path in paths:
        repository.add_target(bins.get_role_for_target(path), path, path.encode())
    repository.publish_all()
    assert client.download(*paths) == 0, client.last.stderr
    assert client.downloaded() == sorted(path.encode() for path in paths)
    visited = list(dict.fromkeys(bins.get_role_for_target(path) for path in paths))
    assert asked(repository)[4:] == [f"2.{name}.json" for name in visited]


# Targets


@case
def target_in_a_folder():
    repository, client = started()
    repository.add_target("targets", "path/to/a/target file.txt", b"content")
    repository.publish_all()
    assert client.download("path/to/a/target file.txt") == 0, client.last.stderr
    assert client.downloaded() == [b"content"]


@case
def empty_target():
    repository, client = started()
    repository.add_target("targets", "empty", b"")
    repository.publish_all()
    assert client.download("empty") == 0, client.last.stderr
    assert client.downloaded() == [b""]


@case
def target_that_is_there_already_is_not_fetched_again():
    repository, client = started()
    repository.add_target("targets", "file", b"content")
    repository.publish_all()
    assert client.download("file") == 0
    assert client.download("file") == 0
    assert len([path for path in repository.requests if path.startswith("targets/")]) == 1


@cases(longer=b"malicious, and longer than it may be", same_length=b"CONTENT", shorter=b"c")
def substituted_target_is_refused(content):
    repository, client = started()
    repository.add_target("targets", "one", b"content")
    repository.add_target("targets", "two", b"content")
    repository.publish_all()
    assert client.download("one") == 0
    repository.targets = {name: content for name in repository.targets}
    client.download("one")
    assert client.download("two") == 1
    assert client.downloaded() == [b"content"]


@case
def target_that_changes_keeps_its_place():
    repository, client = started()
    for i in range(3):
        repository.add_target("targets", "file", f"content {i}".encode())
        repository.publish_all()
        assert client.download("file") == 0
        assert client.downloaded() == [f"content {i}".encode()]


@cases(sha256=["sha256"], sha512=["sha512"], both=["sha256", "sha512"])
def digest_algorithm(algorithms):
    repository, client = started()
    target = repository.add_target("targets", "file", b"content", algorithms)
    repository.publish_all()
    assert client.download("file") == 0, client.last.stderr
    fetched = [path for path in repository.requests if path.startswith("targets/")]
    assert len(fetched) == 1 and fetched[0] in [f"targets/{digest}.file" for digest in target.hashes.values()]


@case
def digest_algorithm_unknown_here():
    repository, client = started()
    target = repository.add_target("targets", "file", b"content", ["sha512"])
    target.hashes["unknown"] = target.hashes.pop("sha512")
    repository.publish_all()
    assert client.download("file") == 1
    assert client.downloaded() == []


@case
def without_consistent_snapshots():
    repository = Repository()
    repository["root"].consistent_snapshot = False
    repository.files.clear()
    for role in ["root", "targets", "snapshot", "timestamp"]:
        repository.serve(role)
    client = Client(repository)
    repository.delegate("targets", "a", ["folder/*"])
    repository.add_target("a", "folder/file", b"content")
    repository.publish_all()
    assert client.download("folder/file") == 0, client.last.stderr
    assert asked(repository) == ["2.root.json", "timestamp.json", "snapshot.json", "targets.json", "a.json"]
    assert client.downloaded() == [b"content"]


@case
def damaged_trust_state_fails_closed():
    repository, client = refreshed()
    states = [file for file in client.metadata.iterdir() if file.suffix != ".json"]
    states[0].write_bytes(states[0].read_bytes()[:-5])
    assert client.refresh() == 0, client.last.stderr
    for file in states:
        file.write_bytes(file.read_bytes()[:-5])
    asked(repository)
    assert client.refresh() == 1 and asked(repository) == []


def main() -> None:
    words = sys.argv[2:]
    failed, skipped, passed = [], 0, 0
    for name, function, arguments in CASES:
        if words and not any(word in name for word in words):
            continue
        try:
            function(*arguments)
            passed += 1
        except NeedsFaketime:
            skipped += 1
        except Exception as error:  # the verdict on one case; the others are run all the same
            failed.append(name)
            print(f"FAILED {name}: {type(error).__name__} {error}")
            if not str(error):
                import traceback

                print(traceback.format_exc(limit=-1))
    print(f"{passed} cases passed, {len(failed)} failed, {skipped} skipped for want of faketime")
    sys.exit(bool(failed) or not passed)


main()
