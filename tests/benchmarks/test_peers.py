"""What the peers are made of is pinned to the byte, and says nothing of where it was fetched."""

import json

from benchmarks.peers import HERE


def test_every_package_of_the_npm_peer_has_its_hash_and_no_address() -> None:
    lock = json.loads((HERE / "sync_engine" / "package-lock.json").read_text())
    wanted = json.loads((HERE / "sync_engine" / "package.json").read_text())["dependencies"]
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert lock["packages"][""]["dependencies"] == wanted
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert not any("resolved" in package for package in packages.values())


def test_every_package_of_the_python_peer_has_its_hashes_and_no_address() -> None:
    text = (HERE / "dj_stripe" / "requirements.lock").read_text()
    wanted = (HERE / "dj_stripe" / "requirements.txt").read_text().split()
    pinned = [line for line in text.replace("\\\n", " ").splitlines() if "==" in line]
    assert all("--hash=sha256:" in line for line in pinned)
    assert {line.partition("[")[0].partition("==")[0].lower() for line in wanted} <= {
        line.partition("[")[0].partition("==")[0].lower() for line in pinned
    }
    assert "://" not in text
