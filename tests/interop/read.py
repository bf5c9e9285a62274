"""python-tuf reads a repository of ours: the other implementation's verdict on what our signer publishes.

usage: read.py REPOSITORY ROOT STATE

REPOSITORY has metadata/ and targets/, and is served on loopback while this runs. ROOT is the root that a client was born
with. STATE is the client's folder: given again, the client goes on from there, as a device would that saw an earlier state.
Every target of every role is looked up from the top and downloaded; python-tuf compares lengths and digests.
Prints one line for each, and how many there were; any refusal is python-tuf's own exception.
"""

import functools
import http.server
import json
import pathlib
import sys
import tempfile
import threading

from tuf.ngclient import Updater


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def latest(metadata: pathlib.Path, role: str) -> dict:
    """The newest published file of a role."""
    files = sorted(metadata.glob(f"*.{role}.json"), key=lambda path: int(path.name.split(".")[0]))
    return json.loads(files[-1].read_bytes())["signed"]


def vouched_for(metadata: pathlib.Path) -> list[str]:
    """Every target path that any role of the snapshot names."""
    roles = [name.removesuffix(".json") for name in latest(metadata, "snapshot")["meta"]]
    return sorted(path for role in roles for path in latest(metadata, role)["targets"])


def main() -> None:
    repository, root, state = (pathlib.Path(argument) for argument in sys.argv[1:])
    handler = functools.partial(Quiet, directory=str(repository))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as downloads:
        updater = Updater(
            metadata_dir=str(state),
            metadata_base_url=f"{base}/metadata/",
            target_dir=downloads,
            target_base_url=f"{base}/targets/",
            bootstrap=root.read_bytes(),
        )
        updater.refresh()
        paths = vouched_for(repository / "metadata")
        for path in paths:
            info = updater.get_targetinfo(path)
            if info is None:
                sys.exit(f"error: python-tuf finds no way to {path}")
            updater.download_target(info)
            print(f"python-tuf accepts {path} ({info.length} bytes)")
        if not paths:
            sys.exit("error: the repository vouches for no target at all")
    print(f"{len(paths)} targets read")


main()
