#!/usr/bin/python3
"""The PostgreSQL inspector between real clients and a real server, with sanitizers: builds what it needs and runs postgres/run.py."""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / 'build-test'
if not (BUILD / 'build.ninja').exists():
    subprocess.run(['meson', 'setup', BUILD, '-Dbuildtype=debugoptimized', '-Db_sanitize=address,undefined', '-Db_lundef=false'], cwd=ROOT,
                   check=True, stdout=subprocess.DEVNULL)
subprocess.run(['ninja', '-C', BUILD, 'tests/system/postgres/postgres_proxy', 'hyperscan-rules/classes.hsdb'], check=True, stdout=subprocess.DEVNULL)
here = ROOT / 'tests' / 'system' / 'postgres'
os.execv(sys.executable, [sys.executable, here / 'run.py', BUILD / 'tests/system/postgres/postgres_proxy', here / 'policy.cfg',
                          BUILD / 'hyperscan-rules/classes.hsdb'])
