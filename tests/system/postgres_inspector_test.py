#!/usr/bin/python3
"""The PostgreSQL inspector between real clients and a real server, with sanitizers: builds what it needs and runs postgres/run.py.

Two lanes side by side, each with a server and a loopback of its own: messages as they come, and the same in pieces and slowly.
"""
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / 'build-test'
HERE = ROOT / 'tests' / 'system' / 'postgres'
LANES = ('whole', 'segment=7,segment=1,slow')


def build():
    if not (BUILD / 'build.ninja').exists():
        subprocess.run(['meson', 'setup', BUILD, '-Dbuildtype=debug', '-Doptimization=1', '-Dwerror=false', '-Db_sanitize=address,undefined',
                        '-Db_lundef=false'], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(['ninja', '-C', BUILD, 'tests/system/postgres/postgres_proxy', 'hyperscan-rules/classes.hsdb'], check=True, stdout=subprocess.DEVNULL)


class Lanes:
    """One TAP stream of several: results are numbered anew as they come."""

    def __init__(self):
        self.count, self.well, self.lock = 0, True, threading.Lock()

    def tell(self, line):
        """Passes a line on; the plan of a lane is taken away, and a lane that ends without one has failed."""
        with self.lock:
            start, number, rest = line.partition(' - ')
            if number and start.rpartition(' ')[0] in ('ok', 'not ok'):
                self.count += 1
                line = f'{start.rpartition(" ")[0]} {self.count} - {rest}'
            print(line, end='', flush=True)

    def lane(self, modes):
        argv = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', sys.executable, HERE / 'run.py', modes,
                BUILD / 'tests/system/postgres/postgres_proxy', HERE / 'policy.cfg', BUILD / 'hyperscan-rules/classes.hsdb', *sys.argv[1:]]
        done = False
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
            for line in child.stdout:
                if line.startswith('1..'):
                    done = True
                else:
                    self.tell(line)
        self.well &= done and child.returncode == 0


def main():
    build()
    lanes = Lanes()
    threads = [threading.Thread(target=lanes.lane, args=(modes,)) for modes in LANES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f'1..{lanes.count}')
    return 0 if lanes.well else 1


if __name__ == '__main__':
    sys.exit(main())
