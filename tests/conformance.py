#!/usr/bin/env python3
"""Runs the recorded answers of stock Falco against the release build.

    tests/conformance.py FOLDER [--strict]

FOLDER holds `run.py` and its data. Every difference must stand in `tests/compat/known-differences.txt`, and every line there must
still differ, so that the list stays true. Ends with 1 otherwise.
"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
KNOWN = ROOT / "tests" / "compat" / "known-differences.txt"


def key(difference):
    """`section name`: what identifies a case of the runner, without the details of how it differs."""
    section, item = difference["section"], difference["item"]
    patterns = {
        "diff": r"(?:rule )?(\S+?):? ",
        "validate": r"(\S+) ",
        "payload": r"(line \d+)",
        "modes": r"(\S+) ",
        "facts": r"field (\S+)",
    }
    found = re.match(patterns[section], item + " ")
    return f"{section} {found.group(1) if found else item}"


def known():
    lines = (line.split("#", 1)[0].strip() for line in KNOWN.read_text().splitlines())
    return {line for line in lines if line}


def main():
    folder, *options = sys.argv[1:]
    release = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    with tempfile.TemporaryDirectory() as work:
        found = pathlib.Path(work) / "differences"
        # One job: with more, two cases of the runner can write their configurations into one file at the same time.
        command = [sys.executable, f"{folder}/run.py", str(release / "shikra"), str(release), "--jobs", "1", "--all-diffs", str(found), *options]
        print("+", *command, flush=True)
        subprocess.run(command)
        if not found.exists():
            sys.exit("the runner ended without a result")
        differences = {key(json.loads(line)) for line in found.read_text().splitlines()}
    unexpected, gone = sorted(differences - known()), sorted(known() - differences)
    for difference in unexpected:
        print(f"not listed in {KNOWN.relative_to(ROOT)}: {difference}")
    for line in gone:
        print(f"listed, but does not differ any more: {line}")
    print(f"{len(differences) - len(unexpected)} known differences, {len(unexpected)} others")
    sys.exit(bool(unexpected or gone))


if __name__ == "__main__":
    main()
