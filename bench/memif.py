"""Rows over memif: our own clients and servers (generator.c) on both sides of what is measured, and no kernel between."""
import json
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'platform' / 'lab'))
import lab as world  # noqa: E402

OTHERS, BETWEEN = '0', '1'  # cores
TARGET = '10.77.0.10'       # the generator's servers
RING_BITS = 13              # of memif: 8,192 frames, so that whoever has no core for a moment loses none
CONFIG = 'net_memif, generator and control on one core'


class Between:
    """The generator, and one thing between its two ports: testpmd, or Sluice."""

    def __init__(self, lab, kind, build, start_sluice):  # start_sluice(devices)
        self.lab, self.build, self.sluice = lab, build, None
        self.sockets = [lab.dir / f'memif{i}.sock' for i in range(2)]
        with open(lab.dir / 'generator.log', 'wb') as log:
            self.child = subprocess.Popen(['taskset', '-c', OTHERS, build.parent / 'bench' / 'generator', *self.devices('server'), '--no-huge', '-m', '512', '--no-pci', '--no-shconf'],
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd='/')
        lab.own(self.stop)
        self.answer('ready', 30)
        if kind == 'testpmd':
            self.start_testpmd()
        else:
            self.sluice = start_sluice(self.devices('client'))

    def devices(self, role):
        return [f'net_memif{i},role={role},id=0,socket={path},socket-abstract=no,rsize={RING_BITS}' for i, path in enumerate(self.sockets)]

    def start_testpmd(self):
        process = world.Process('testpmd', ['dpdk-testpmd', '-l', f'{OTHERS},{BETWEEN}', '--no-huge', '-m', '256', '--no-pci', '--no-shconf',
                                            *[f'--vdev={device}' for device in self.devices('client')], '--', '--forward-mode=io', '--total-num-mbufs=8192',
                                            '--stats-period=60', '--no-mlockall'], self.lab.dir / 'testpmd.log')
        self.lab.own(process.stop)
        world.wait_for('testpmd', lambda: process.need_alive() and 'port statistics' in process.log.read_text(errors='replace').lower(), 30)

    def answer(self, what, seconds):
        """The generator's next line."""
        ready, _, _ = select.select([self.child.stdout], [], [], seconds)
        line = self.child.stdout.readline() if ready else ''
        if not line:
            raise world.LabError(f'generator: {what}: no answer: {world.tail(self.lab.dir / "generator.log")}')
        return line

    def load(self, *words):
        seconds = 60 + sum(float(w.split(':')[1]) for w in words if ':' in str(w))
        self.child.stdin.write(' '.join(str(w) for w in words) + '\n')
        self.child.stdin.flush()
        done = json.loads(self.answer(words[0], seconds))
        if done['wrong'] or done['bad_frames'] or done['left']:
            raise world.LabError(f'generator: {words[0]}: {done}')
        return done

    def stop(self):
        self.child.stdin.close()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def rest(self):
        """Waits until Sluice has nothing of the load any more. Returns how much it still had when patience ended: flows, chunks, sessions."""
        left, until = 1, time.monotonic() + 30
        while left and time.monotonic() < until:
            self.load('rest', 0.3)
            time.sleep(0.2)  # the worker shows itself ten times a second
            worker = json.loads(self.sluice.cli('--json', 'show', 'workers').stdout)['workers'][0]
            left = worker['flows_open'] + worker['chunks_used'] + worker['sessions_used']
        return left

    def drops(self):
        return {row['drop']: row['frames'] for row in json.loads(self.sluice.cli('--json', 'show', 'drops').stdout)['drops']}


def recovery_ms(phase):
    """From the beginning of a phase until its rate is kept, within a twentieth, for a whole second."""
    wanted = phase['rate'] / 10 * 0.95
    tenths = phase['tenths']
    for at in range(len(tenths) - 9):
        if statistics.mean(tenths[at:at + 10]) >= wanted:
            return at * 100
    return len(tenths) * 100
