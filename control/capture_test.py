#!/usr/bin/python3
"""capture_test.py: `sluice capture` against the real sluice-control; this script plays the worker on `capture-0`.

usage: as node_test.py, whose world it is. TAP on stdout. Wants tcpdump.

The offsets are those of struct capture_file (platform/contract/capture.h).
"""
import ctypes
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import threading
import time

from node_test import World, ending, scratch

WANTED, TAIL, REQUEST, ANSWERED, HEAD, MATCHED, OVERRUNS, SLOTS = 64, 72, 80, 1728, 1744, 1752, 1768, 1792
SLOT_BYTES, SLOT_COUNT = 256, 16384
CLIENT, PORT, TARGET_OF = REQUEST + 24, REQUEST + 96, REQUEST + 104
# 10.1.0.7:40000 to 10.1.0.200:5432, a SYN.
SYN = bytes.fromhex('020000000002' '020000000001' '0800' '4500002800010000400600000a0100070a0100c8' '9c40153800000001000000005002ffff00000000')


class FrameWorker:
    """Answers requests as a worker does, and writes what it is told to."""

    def __init__(self, run_dir):
        with open(run_dir / 'capture-0', 'r+b') as f:
            self.memory = mmap.mmap(f.fileno(), 0)
        self.ending, self.deaf = False, False
        self.thread = threading.Thread(target=self.turn, daemon=True)
        self.thread.start()

    def get(self, at):
        return struct.unpack_from('Q', self.memory, at)[0]

    def put(self, at, value):
        ctypes.c_uint64.from_buffer(self.memory, at).value = value  # one store; struct.pack_into zeroes first, and control sees the zero

    def turn(self):
        while not self.ending:
            wanted = self.get(WANTED)
            if not self.deaf and wanted % 2 == 0 and wanted != self.get(ANSWERED):
                self.put(ANSWERED, wanted)
            time.sleep(0.001)

    def snap(self):
        return struct.unpack_from('<I', self.memory, REQUEST)[0]

    def frame(self, data=SYN, port=0, direction=0, original=None, flow=0x1234):
        head, now = self.get(HEAD), int(time.time() * 1e6)
        self.put(MATCHED + 8 * port, self.get(MATCHED + 8 * port) + 1)
        if head - self.get(TAIL) >= SLOT_COUNT:
            self.put(OVERRUNS + 8 * port, self.get(OVERRUNS + 8 * port) + 1)
            return
        at = SLOTS + head % SLOT_COUNT * SLOT_BYTES
        struct.pack_into('<QQQIHBB', self.memory, at, now, now, flow, original or len(data), len(data), port, direction)
        self.memory[at + 32:at + 32 + len(data)] = data
        self.put(HEAD, head + 1)

    def large(self, data, port=0):
        """A frame in as many records as it takes, all of them readable at once."""
        head, now = self.get(HEAD), int(time.time() * 1e6)
        pieces = [data[at:at + 224] for at in range(0, len(data), 224)]
        self.put(MATCHED + 8 * port, self.get(MATCHED + 8 * port) + 1)
        for i, piece in enumerate(pieces):
            at = SLOTS + (head + i) % SLOT_COUNT * SLOT_BYTES
            struct.pack_into('<QQQIHBB', self.memory, at, now, now, 0x1234, len(data), len(piece), port, 0x80 if i + 1 < len(pieces) else 0)
            self.memory[at + 32:at + 32 + len(piece)] = piece
        self.put(HEAD, head + len(pieces))

    def close(self):
        self.ending = True
        self.thread.join()
        self.memory.close()


def fails(w, what, status, text, *argv):
    done = w.cli('capture', *argv)
    w.check(done.returncode == status and text in done.stderr and done.stdout == '', what, (done.returncode, done.stdout, done.stderr))


def refused(w):
    fails(w, 'capture: no reason', 2, '--reason', 'start', '--service', 'db')
    fails(w, 'capture: of nothing', 2, 'give --service or --filter', 'start', '--reason', 'to see it')
    fails(w, 'capture: a service that is none', 2, 'the policy in force has none', 'start', '--service', 'frob', '--reason', 'to see it')
    fails(w, 'capture: an unknown field, and where', 2, '--filter: position 5: not a field', 'start', '--filter', 'tcp frob', '--reason', 'to see it')
    fails(w, 'capture: payload, without a token', 3, 'two other persons', 'start', '--service', 'db', '--payload', '--reason', 'to see it')
    for more in (('--for', '25h'), ('--for', '0s'), ('--for', 'soon'), ('--max', '17Gi'), ('--max', '1Ki'), ('--max', 'much')):
        fails(w, f'capture: {" ".join(more)}', 2, more[0], 'start', '--service', 'db', *more, '--reason', 'to see it')
    fails(w, 'capture: a short reason', 2, '4 to 500', 'start', '--service', 'db', '--reason', 'x')
    fails(w, 'capture: stop of none', 1, 'there is none', 'stop', 'abcdef', '--reason', 'to see it')
    fails(w, 'capture: save of none', 1, 'there is none', 'save', 'abcdef')
    w.check(w.json('capture', 'list') == {'captures': []} and w.json('show', 'health')['captures'] == [], 'capture: so nothing was begun')
    w.check(w.json('journal', 'search', '--type', 'capture.')['records'] == [], 'capture: nor recorded')


def begin(w, *more):
    done = w.cli('--json', 'capture', 'start', '--reason', 'slow logins', *more)
    w.check(done.returncode == 0, f'capture start {" ".join(more)}', done.stderr)
    return json.loads(done.stdout)['capture'] if done.returncode == 0 else ''


def row(w, capture):
    return next(r for r in w.json('capture', 'list')['captures'] if r['id'] == capture)


def records(w, capture, kind=''):
    return [r for r in w.json('journal', 'search', '--type', 'capture.' + kind)['records'] if r['data']['capture'] == capture]


def ended(w, capture):
    return w.until(lambda: (lambda r: r if r['state'] == 'ended' else None)(row(w, capture)))


def tcpdump(path):
    return subprocess.run(['tcpdump', '-nn', '-r', path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def whole_life(w):
    """Start, frames, stop, save; the records; what the worker was asked."""
    frames = FrameWorker(w.dir / 'run')
    capture = begin(w, '--service', 'db', '--filter', 'client 10.1.0.0/24 and tcp')
    w.check(w.until(lambda: frames.snap() == 1), 'capture: the worker is asked')
    started = records(w, capture, 'start')
    w.check(len(started) == 1 and started[0]['data'] == {**started[0]['data'], 'reason': 'slow logins', 'service': 'db', 'filter': 'client 10.1.0.0/24 and tcp',
                                                        'for_s': '300', 'max_bytes': str(256 << 20), 'what': 'headers'} and started[0]['who']['sub'] == f'uid:{os.geteuid()}',
            'capture: with its record before', started)
    place = struct.unpack_from('<16sBBHHH', frames.memory, TARGET_OF)
    client = struct.unpack_from('<16sBBHHH', frames.memory, CLIENT)
    w.check(place[0][:4] == bytes([10, 1, 0, 200]) and place[1:] == (4, 32, 5432, 0xffff, 0) and client[0][:4] == bytes([10, 1, 0, 0]) and client[1:4] == (4, 24, 0) and
            struct.unpack_from('<HHB', frames.memory, PORT) == (0, 0xffff, 6), 'capture: for the service and the filter', (place, client))
    fails(w, 'capture: one at a time', 1, 'is running', 'start', '--service', 'db', '--reason', 'to see it')
    for i in range(300):
        frames.frame(port=i % 2, direction=i % 2, original=1514)
    health = w.until(lambda: (lambda h: h if h and h[0]['frames'] == 300 else None)(w.json('show', 'health')['captures']))
    w.check(health and health[0]['id'] == capture and health[0]['state'] == 'running', 'capture: show health lists it', health)
    fails(w, 'capture: stop wants a reason', 2, '--reason', 'stop', capture)
    done = w.cli('capture', 'stop', capture[:8], '--reason', 'seen enough')
    now = ended(w, capture)
    w.check(done.returncode == 0 and now and now['cause'] == 'stopped' and now['frames'] == 300 and now['overruns'] == 0 and now['whole'], 'capture stop', (done.stderr, now))
    w.check(frames.snap() == 0 and frames.memory[SLOTS:] == bytes(SLOT_BYTES * SLOT_COUNT), 'capture: the worker is told, and the ring is zeroed')
    saves(w, capture)
    kinds = [(r['t'], r['data'].get('reason'), r['data'].get('cause'), r['data'].get('frames')) for r in records(w, capture)]
    w.check(kinds == [('capture.start', 'slow logins', None, None), ('capture.stop', 'seen enough', None, None), ('capture.end', None, 'stopped', '300'),
                      ('capture.save', None, None, None), ('capture.read', None, None, None)], 'capture: each act is a record', kinds)
    return frames, capture


def saves(w, capture):
    path = w.dir / 'frames.pcapng'
    done = w.cli('capture', 'save', capture, '--out', path)
    seen = tcpdump(path)
    w.check(done.returncode == 0 and len(seen.stdout.splitlines()) == 300 and
            all('IP 10.1.0.7.40000 > 10.1.0.200.5432: Flags [S], seq 1, win 65535' in line for line in seen.stdout.splitlines()), 'capture save: tcpdump reads it',
            (done.stderr, seen.stdout[:300], seen.stderr))
    w.check(path.stat().st_mode & 0o777 == 0o600, 'capture save: for root alone')
    done = w.cli('capture', 'save', capture, '--out', path)
    w.check(done.returncode == 1 and 'File exists' in done.stderr, 'capture save: over no file', done.stderr)
    piped = subprocess.run([w.sluice, '-c', w.dir / 'sluice.conf', 'capture', 'save', capture], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    w.check(piped.stdout == path.read_bytes() and piped.stderr == b'', 'capture save: the same on standard output', piped.stderr)
    blob = path.read_bytes()
    w.check(b'flow 0000000000001234' in blob and b'faces agents' in blob and capture.encode() in blob, 'capture save: with flows, ports and its name in it')
    kept = b''.join(p.read_bytes() for p in (w.dir / 'state' / 'captures').iterdir())
    w.check(len(kept) > 100 and SYN[:12] not in kept and b'faces agents' not in kept, 'capture: on disk it is sealed')


def limits(w, frames):
    capture = begin(w, '--filter', 'vlan 7', '--for', '1s')
    now = ended(w, capture)
    w.check(now['cause'] == 'time' and now['frames'] == 0, 'capture: ends by its time', now)
    capture = begin(w, '--filter', 'vlan 7', '--max', '16Ki')
    w.until(lambda: frames.snap() == 1)
    for _ in range(1000):
        frames.frame()
    now = ended(w, capture)
    w.check(now['cause'] == 'size' and 50 < now['frames'] < 200 and now['bytes'] <= 16384 and now['whole'], 'capture: ends by its size', now)
    capture = begin(w, '--filter', 'udp')
    w.until(lambda: frames.snap() == 1)
    frames.put(OVERRUNS + 8, frames.get(OVERRUNS + 8) + 77)
    w.cli('capture', 'stop', capture, '--reason', 'seen enough')
    now = ended(w, capture)
    saved = subprocess.run([w.sluice, '-c', w.dir / 'sluice.conf', 'capture', 'save', capture], stdout=subprocess.PIPE).stdout
    w.check(now['overruns'] == 77 and b'77 frames are missing: a ring was full' in saved and records(w, capture, 'end')[0]['data']['overruns'] == '77',
            'capture: what found no room is in the list, the file and the record', now)
    capture = begin(w, '--filter', 'icmp')
    w.until(lambda: frames.snap() == 1)
    frames.put(HEAD, frames.get(HEAD) + (1 << 40))
    now = ended(w, capture)
    w.check(now['cause'] == 'ring', 'capture: a worker that lies ends it', now)
    frames.put(HEAD, frames.get(HEAD) - (1 << 40))
    frames.deaf = True
    capture = begin(w, '--filter', 'icmp', '--for', '1s')
    ended(w, capture)
    w.check(records(w, capture, 'end')[0]['data']['silent_workers'] == '1', 'capture: a worker that never answered is on record')
    frames.deaf = False


def with_payload(w, frames):
    """Whole frames: an investigator asks, two others agree, and it begins by itself; the record names the approval."""
    asking = ('capture', 'start', '--service', 'db', '--filter', 'tcp', '--for', '90s', '--max', '1Mi', '--payload', '--reason', 'case 7 O 12/26')
    done = w.cli(*asking, '--token-file', w.token_file('carol', ['dba']))
    w.check(done.returncode == 3 and "an administrator's" in done.stderr, 'capture --payload: no administrator asks for it', done.stderr)
    fails(w, 'capture --payload: of a service that is none', 2, 'none of this name', 'start', '--service', 'frob', '--payload', '--reason', 'to see it', '--token-file',
          w.token_file('ivan', ['probe']))
    done = w.cli('--json', *asking, '--token-file', w.token_file('ivan', ['probe']))
    asked = json.loads(done.stdout) if done.returncode == 0 else {}
    w.check(asked.get('state') == 'requested' and asked.get('operation') == 'capture.start', 'capture --payload: an investigator asks', (asked, done.stderr))
    shown = w.cli('approval', 'show', asked['approval'], '--token-file', w.token_file('bob', ['dba'])).stdout
    w.check('{"args":{"filter":"tcp","for_s":90,"max_bytes":1048576,"service":"db"},"operation":"capture.start"}' in shown and 'case 7 O 12/26' in shown,
            'capture --payload: the approvers see what it is to be', shown)

    def votes(person):
        return w.cli('approval', 'approve', asked['approval'], '--reason', 'seen', '--token-file', w.token_file(person, ['dba']))
    votes('bob')
    w.check(frames.snap() == 0 and not any(r['state'] == 'running' for r in w.json('capture', 'list')['captures']), 'capture --payload: one person is not enough')
    done = votes('dora')
    w.check(done.returncode == 0 and w.until(lambda: frames.snap() == 2), 'capture --payload: with two the worker is asked for whole frames', done.stderr)
    over = w.until(lambda: (lambda a: a if a['state'] == 'executed' else None)(w.json('approval', 'show', asked['approval'])))
    capture = next(r['id'] for r in w.json('capture', 'list')['captures'] if r['state'] == 'running')
    started = records(w, capture, 'start')
    w.check(over and over['result'] == 'done' and len(started) == 1 and started[0]['data']['what'] == 'frames' and started[0]['data']['reason'] == 'case 7 O 12/26' and
            started[0]['who']['person'] == 'ivan' and started[0]['appr']['id'] == asked['approval'], 'capture --payload: its record names who asked, and the approval', (over, started))
    w.check({k: started[0]['data'][k] for k in ('service', 'filter', 'for_s', 'max_bytes')} == {'service': 'db', 'filter': 'tcp', 'for_s': '90', 'max_bytes': '1048576'},
            'capture --payload: and it is the one that was approved', started[0]['data'])
    frame = SYN + bytes(range(256)) * 5 + b'KANARIENVOGEL'
    frames.large(frame)
    frames.frame(SYN)
    w.until(lambda: row(w, capture)['frames'] == 2)
    w.cli('capture', 'stop', capture, '--reason', 'seen enough')
    now = ended(w, capture)
    saved = subprocess.run([w.sluice, '-c', w.dir / 'sluice.conf', 'capture', 'save', capture], stdout=subprocess.PIPE).stdout
    w.check(now and now['frames'] == 2 and now['whole'] and now['what'] == 'frames' and frame in saved, 'capture --payload: every byte of it is in the file', now)
    w.check(b'KANARIENVOGEL' not in b''.join(p.read_bytes() for p in (w.dir / 'state' / 'captures').iterdir()) and frames.memory[SLOTS:] == bytes(SLOT_BYTES * SLOT_COUNT),
            'capture --payload: and nowhere in clear')
    again = [votes('dora'), votes('emma')]
    w.check(all(d.returncode != 0 for d in again) and w.json('approval', 'show', asked['approval'])['state'] == 'executed' and frames.snap() == 0 and
            len([r for r in w.json('journal', 'search', '--type', 'capture.start')['records'] if r['data']['what'] == 'frames']) == 1,
            'capture --payload: an approval is used once', [(d.returncode, d.stderr) for d in again])
    is_its_own(w, frames)
    done = w.cli('--json', *asking, '--token-file', w.token_file('ivan', ['probe']))
    denied = json.loads(done.stdout)['approval']
    w.cli('approval', 'deny', denied, '--reason', 'no', '--token-file', w.token_file('bob', ['dba']))
    w.check(w.until(lambda: w.json('approval', 'show', denied)['state'] == 'denied') and frames.snap() == 0, 'capture --payload: denied, nothing begins')


def is_its_own(w, frames):
    """Of two that wait, the one that is approved begins, as its own statement has it; the other one and another deed's approval begin nothing."""
    def asks(*argv, who=('ivan', ['probe'])):
        done = w.cli('--json', *argv, '--reason', 'case 8 O 12/26', '--token-file', w.token_file(*who))
        w.check(done.returncode == 0, f'asks for {" ".join(argv[:2])}', done.stderr)
        return json.loads(done.stdout)['approval']

    def agree(approval):
        return [w.cli('approval', 'approve', approval, '--reason', 'seen', '--token-file', w.token_file(person, ['dba'])) for person in ('bob', 'dora')]
    capture = 'capture', 'start', '--service', 'db', '--payload'
    wide, narrow = asks(*capture, '--for', '80s', '--max', '2Mi'), asks(*capture, '--filter', 'icmp', '--for', '70s', '--max', '64Ki')
    other = asks('journal', 'rotate-key', who=('carol', ['dba']))
    agree(other)
    w.check(w.until(lambda: w.json('approval', 'show', other)['state'] == 'executed') and w.json('approval', 'show', other)['result'] == 'done' and frames.snap() == 0 and not any(r['state'] == 'running' for r in w.json('capture', 'list')['captures']),
            'capture --payload: the approval of another deed begins none')
    agree(narrow)
    w.check(w.until(lambda: frames.snap() == 2), 'capture --payload: one of two begins')
    running = [r['id'] for r in w.json('capture', 'list')['captures'] if r['state'] == 'running']
    said = records(w, running[0], 'start')[0]
    w.check(len(running) == 1 and said['appr']['id'] == narrow and {k: said['data'][k] for k in ('filter', 'for_s', 'max_bytes')} == {'filter': 'icmp', 'for_s': '70', 'max_bytes': '65536'} and
            w.json('approval', 'show', wide)['state'] in ('requested', 'pending'), 'capture --payload: the one that was approved, and not the other', (said, wide))
    w.cli('capture', 'stop', running[0], '--reason', 'seen enough')
    ended(w, running[0])
    w.cli('approval', 'deny', wide, '--reason', 'no', '--token-file', w.token_file('bob', ['dba']))
    w.check(frames.snap() == 0, 'capture --payload: and nothing else begins')


def roles(w, capture):
    """Another user of the node's group sees the list and nothing else."""
    (w.dir / 'run').chmod(0o755)
    (w.dir / 'run' / 'control.sock').chmod(0o666)
    other = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', w.sluice, '-c', str(w.dir / 'sluice.conf')]

    def run(*argv):
        return subprocess.run([*other, 'capture', *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    before = len(w.json('journal', 'search', '--type', 'admin.refused')['records'])
    done = [run('start', '--service', 'db', '--reason', 'curious'), run('stop', capture, '--reason', 'curious'), run('save', capture)]
    w.check([d.returncode for d in done] == [3, 3, 3] and all('not permitted for uid 65534' in d.stderr for d in done), 'capture: for administrators of the machine',
            [(d.returncode, d.stderr) for d in done])
    w.check(len(w.json('journal', 'search', '--type', 'admin.refused')['records']) == before + 3, 'capture: and each refusal is a record')
    w.check(capture in run('list').stdout, 'capture list: for whoever may see the node', run('list').stderr)


def outlives(w, frames, first):
    """kill -9 of control in the middle: the file ends where it ends, with a record; the worker is told by the next."""
    capture = begin(w, '--service', 'db')
    w.until(lambda: frames.snap() == 1)
    for _ in range(50):
        frames.frame()
    w.until(lambda: row(w, capture)['frames'] == 50)
    time.sleep(1.2)  # what is a second old is sealed
    os.kill(w.find('sluice-control')[-1], signal.SIGKILL)
    now = w.until(lambda: row(w, capture), 30)
    w.check(now and now['state'] == 'ended' and now['cause'] == 'control_lost' and not now['whole'], 'capture: control is killed: it has ended', now)
    w.check([r['data']['cause'] for r in records(w, capture, 'end')] == ['control_lost'] and w.until(lambda: frames.snap() == 0), 'capture: with a record, and for the worker')
    path = w.dir / 'cut.pcapng'
    done = w.cli('capture', 'save', capture, '--out', path)
    w.check(done.returncode == 0 and 'did not end it' in done.stderr and len(tcpdump(path).stdout.splitlines()) == 50, 'capture: what was sealed can be read', done.stderr)
    w.check(row(w, first)['frames'] is None and row(w, first)['bytes'] > 0, 'capture: older files are still listed')
    day = next(p for p in (w.dir / 'state' / 'payload-keys').iterdir() if p.name[:2] == '20')
    day.rename(w.dir / 'key-aside')
    fails(w, 'capture: without its key nobody reads it', 1, 'its key is gone', 'save', first)
    (w.dir / 'key-aside').rename(day)


def all_of_it(w):
    w.check(w.until(lambda: w.json('show', 'health')['policy']), 'it starts and has a policy')
    refused(w)
    frames, capture = whole_life(w)
    limits(w, frames)
    with_payload(w, frames)
    roles(w, capture)
    outlives(w, frames, capture)
    frames.close()
    # What the signer signed when control was killed is stored with the next checkpoint, a second after its start.
    w.until(lambda: w.cli('journal', 'verify').returncode == 0)
    done = w.cli('journal', 'verify')
    w.check(done.returncode == 0, 'journal verify', done.stdout + done.stderr)


def main():
    paths = [os.path.abspath(path) for path in sys.argv[1:]]
    with scratch('capture') as folder, ending(World(folder, *paths[:4], paths[4:])) as w:
        all_of_it(w)
    print(f'1..{w.count}')
    return 1 if w.failed else 0


if __name__ == '__main__':
    sys.exit(main())
