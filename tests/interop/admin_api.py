"""Waits for the server, hands it a bundle, tells it of a device, steers the rollout of the bundle's release, and asks without a
token for everything that needs one."""

import json
import sys
import time
import urllib.error
import urllib.request

ADMIN, LAB, TOKEN = sys.argv[1], sys.argv[2], open(sys.argv[3]).read().strip()
BEARER = {"Authorization": f"Bearer {TOKEN}"}
RELEASE = f"{ADMIN}/api/v1/rollouts/cam/1.0.0"


def ask(method, url, body=None, headers=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def wait(url):
    for _ in range(100):
        try:
            return ask("GET", url)
        except OSError:
            time.sleep(0.1)
    sys.exit(f"nothing answers at {url}")


wait(f"{ADMIN}/healthz")
report = {
    "format": "perennial.report/1", "requires": [], "device": "d-1", "sequence": 1, "at": "2026-11-22T10:00:00Z",
    "product": "cam", "hardware": "a", "version": "1.0.0", "manifest": "ab" * 32, "outcome": "started",
}
queue = {"format": "perennial.reports/1", "requires": [], "device": "d-1", "reports": [report]}
status, text = ask("POST", f"{LAB}/v1/reports", json.dumps(queue).encode())
assert status == 200, text

with open(sys.argv[4], "rb") as bundle:
    status, text = ask("POST", f"{ADMIN}/api/v1/bundles", bundle.read(), BEARER)
assert status == 200, text


def rollout(method, url, why=None):
    body = None if why is None else json.dumps({"why": why}).encode()
    status, text = ask(method, url, body, {**BEARER, "Content-Type": "application/json"})
    assert status == 200, (method, url, status, text)
    return json.loads(text)


# It is taken up within a turn or two of the server's.
for _ in range(100):
    if [it["state"] for it in rollout("GET", f"{ADMIN}/api/v1/rollouts")["rollouts"]] == ["running"]:
        break
    time.sleep(0.1)
told = rollout("GET", RELEASE)
assert told["state"] == "running", told
for wish, state in [("pause", "paused"), ("resume", "running"), ("halt", "halted"), ("resume", "running")]:
    assert rollout("POST", f"{RELEASE}/{wish}", "a drill")["state"] == state, wish
assert rollout("GET", f"{RELEASE}/explain")["sentences"]

status, text = ask("GET", f"{ADMIN}/api/v1/openapi.json", headers=BEARER)
assert status == 200, text
# On loopback, probes and figures need no token.
OPEN = {"/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"}
asked = 0
for path, methods in json.loads(text)["paths"].items():
    for method in methods:
        if path in OPEN:
            continue
        url = ADMIN + path.replace("{id}", "d-1").replace("{name}", "admin")
        url = url.replace("{product}", "cam").replace("{version}", "1.0.0")
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            for _ in range(20):
                status, text = ask(method.upper(), url, b"" if method == "post" else None, headers)
                if status != 429:
                    break
                time.sleep(0.5)
            assert status in (401, 403), (method, path, status, text)
            asked += 1
print(f"{asked} requests without a token, or with a wrong one, were refused")
