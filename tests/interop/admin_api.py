"""Waits for the server, tells it of a device, and asks without a token for everything that needs one."""

import json
import sys
import time
import urllib.error
import urllib.request

ADMIN, LAB, TOKEN = sys.argv[1], sys.argv[2], open(sys.argv[3]).read().strip()


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

status, text = ask("GET", f"{ADMIN}/api/v1/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"})
assert status == 200, text
# On loopback, probes and figures need no token.
OPEN = {"/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"}
asked = 0
for path, methods in json.loads(text)["paths"].items():
    for method in methods:
        if path in OPEN:
            continue
        url = ADMIN + path.replace("{id}", "d-1").replace("{name}", "admin")
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            for _ in range(20):
                status, text = ask(method.upper(), url, b"" if method == "post" else None, headers)
                if status != 429:
                    break
                time.sleep(0.5)
            assert status in (401, 403), (method, path, status, text)
            asked += 1
print(f"{asked} requests without a token, or with a wrong one, were refused")
