"""A system test as a list of checks: `ok N - name` or `not ok N - name` lines, and status 1 when one failed."""
import os
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / 'platform' / 'lab'))
import lab as world  # noqa: E402,F401

BUILD = ROOT / 'build-release'


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def check(self, name, function):
        """Runs `function`; an exception is a failure, a returned text is told."""
        self.count += 1
        begin = time.monotonic()
        try:
            told = function()
            print(f'ok {self.count} - {name}' + (f': {" ".join(str(told).split())}' if told else '') + f' ({time.monotonic() - begin:.1f} s)', flush=True)
            return True
        except Exception as error:  # every failure is one line, with where
            self.failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f'not ok {self.count} - {name}: {type(error).__name__}: {" ".join(str(error).split())} ({Path(where.filename).name}:{where.lineno})', flush=True)
            return False

    def done(self):
        print(f'1..{self.count}')
        return 1 if self.failed or not self.count else 0


def need(condition, text):
    if not condition:
        raise AssertionError(text)


def build():
    """The release build that demo, tests and benches share."""
    if 'SLUICE_BUILT' not in os.environ:
        world.run(ROOT / 'platform' / 'lab' / 'build', BUILD)
    return BUILD / 'stage'
