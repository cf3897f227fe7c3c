#!/usr/bin/python3
"""run.py: the PostgreSQL inspector between real clients and a real server, as TAP.

usage: run.py MODES POSTGRES_PROXY POLICY CLASSES [CHECK ...]

MODES, with commas between: how the proxy cuts and delays the bytes: whole, segment=7, segment=1, slow.
Each check names what it attacks. A check that is a generator is many: it gives a name and a function for each.
"""
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path

import checks
import rig
from checks import check, need

import login_checks  # noqa: F401
import mask_checks  # noqa: F401
import copy_taint_checks  # noqa: F401
import refusal_checks  # noqa: F401
import copy_checks  # noqa: F401
import copy_option_checks  # noqa: F401
import hold_checks  # noqa: F401
import lists  # noqa: F401
import predicate_checks  # noqa: F401
import limit_checks  # noqa: F401
import long_checks  # noqa: F401
import driver_checks  # noqa: F401

# What is too slow byte by byte, and what no segmentation changes.
NOT_IN_PIECES = ("a_large_copy_is_byte_exact", "long_messages_are_refused_by_name", "long_rows", "rows_longer_than_are_read_whole")
NOT_BY_BYTE = ("psql_and_pgbench",)
NOT_SLOWLY = ("asyncpg_decodes_every_masked_type", "copy_options_are_kept")
# Drivers and lists; what sessions do to one another; megabytes, which long_test.c has in every segmentation.
ONCE = ("driver_", "lists", "taint_follows_the_transaction", "long_values", "long_lines")


class Rig:
    pass


@check
def every_command_is_answered_once(r):
    time.sleep(0.5)
    judged, answered = {}, {}
    session = {}
    for line in r.proxy.lines():
        m = re.match(r"(judge|response) (\d+) (\d+) (.*)", line)
        key = (m[2], m[3])
        if m[1] == "judge":
            if m[3] == "0":
                session[m[2]] = session.get(m[2], 0) + 1
            judged[(session[m[2]], *key)] = m[4]
        else:
            answered[(session[m[2]], *key)] = answered.get((session[m[2]], *key), 0) + 1
    need(all(n == 1 for n in answered.values()), [k for k, n in answered.items() if n != 1][:5])
    missing = [judged[k] for k in judged if k not in answered and " hold " not in judged[k]]
    need(not missing, missing[:5])
    need(not [k for k in answered if k not in judged])
    return f"{len(judged)} commands"


def left_out(name, options):
    if any(name.startswith(x) for x in ONCE):
        return bool(options)
    if "slow" in options and name in NOT_SLOWLY:
        return True
    return ("segment=1" in options and name in NOT_BY_BYTE) or (options[:1] in (["segment=1"], ["segment=7"]) and name in NOT_IN_PIECES)


class Run:
    def __init__(self, program, policy, classes, only):
        self.program, self.policy, self.classes, self.only = program, policy, classes, only
        self.count = self.failed = 0
        self.rig = Rig()
        self.rig.program, self.rig.classes = program, classes

    def one(self, name, options, function):
        self.count += 1
        begin = time.monotonic()
        label = f"{self.count} - {name} {' '.join(options)}".strip()
        try:
            told = function(self.rig)
            print(f"ok {label}" + (f": {told}" if told else "") + f" ({time.monotonic() - begin:.1f} s)", flush=True)
        except Exception as e:
            self.failed += 1
            here = Path(__file__).parent
            lines = [f"{Path(x.filename).name}:{x.lineno}" for x in traceback.extract_tb(e.__traceback__) if Path(x.filename).parent == here]
            print(f"not ok {label}: {type(e).__name__}: {str(e)[:600]} ({' '.join(lines[1:])})", flush=True)
            if self.rig.proxy.process.poll() is not None:
                print("# " + self.rig.proxy.stderr()[:4000].replace("\n", "\n# "), flush=True)
                self.rig.proxy = rig.Proxy(self.program, self.rig.cluster, self.policy, self.classes, *options)

    def mode(self, options):
        self.rig.options = options
        self.rig.proxy = rig.Proxy(self.program, self.rig.cluster, self.policy, self.classes, *options)
        for function in checks.checks:
            name = function.__name__
            if (self.only and name not in self.only) or left_out(name, options):
                continue
            if not getattr(function, "many", False):
                self.one(name, options, function)
                continue
            for each, run in function(self.rig):
                self.one(each, options, run)
        self.count += 1
        well = self.rig.proxy.stop()
        if getattr(self.rig, "open", None):
            well &= self.rig.open.stop()
            self.rig.open = None
        self.failed += not well
        print(f"{'ok' if well else 'not ok'} {self.count} - the proxy is still there {' '.join(options)}", flush=True)
        if not well:
            print("# " + self.rig.proxy.stderr()[:4000].replace("\n", "\n# "), flush=True)


def main():
    modes = sys.argv[1].split(",")
    if set(modes) - {"whole", "segment=7", "segment=1", "slow"}:
        sys.exit(__doc__)
    run = Run(*sys.argv[2:5], sys.argv[5:])
    run.rig.cluster = rig.Cluster(rig.folder())
    try:
        run.rig.cluster.start()
        for mode in modes:
            run.mode([] if mode == "whole" else [mode])
    finally:
        run.rig.cluster.stop()
        subprocess.run(["rm", "-rf", run.rig.cluster.folder])
    print(f"1..{run.count}")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
