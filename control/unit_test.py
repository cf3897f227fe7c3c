#!/usr/bin/python3
"""unit_test.py: sluice-control with no other system calls than its systemd unit leaves it.

usage: unit_test.py UNIT_FILTER UNIT_FOLDER SLUICE SLUICE_CONTROL WORKER_TOOL CLASSES HELPER...
A call that is missing ends it at once (SIGSYS), which nobody sees where systemd is not the first process. TAP on stdout.
"""
import os
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / 'tests'))
import node_test
import unit_file


class World(node_test.World):
    def start(self):
        names = self.dir / 'calls'
        names.write_text('\n'.join(sorted(unit_file.allowed(self.unit))) + '\n')
        # Looking for leaks traces the process.
        env = {**os.environ, 'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'}
        self.process = subprocess.Popen([self.filter, names, self.dir / 'bin' / 'sluice-control', '-c', self.dir / 'sluice.conf'], stdout=self.log, stderr=self.log, env=env)


def main():
    with node_test.scratch('unit') as folder:
        paths = [os.path.abspath(path) for path in sys.argv[1:]]
        World.filter, World.unit = paths[0], Path(paths[1]) / 'sluice-control.service'
        w = World(folder, *paths[2:6], paths[6:])
        try:
            health = w.until(lambda: (lambda h: h if h['policy'] and all(h['helpers'].values()) and h['journal']['checkpoint_size'] else None)(w.json('show', 'health')), 60)
            w.check(health, 'it starts, its helpers run, and it signs', (w.dir / 'log').read_text()[-1500:])
            w.check(w.process.poll() is None, 'and lives', w.process.poll())
            w.process.terminate()
            w.check(w.process.wait(60) == 0, 'and ends when it is told to', w.process.returncode)
        finally:
            if w.process.poll() is None:
                w.process.kill()
        print(f'1..{w.count}')
        return 1 if w.failed else 0


if __name__ == '__main__':
    sys.exit(main())
