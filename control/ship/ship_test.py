#!/usr/bin/python3
"""ship_test.py: sluice-export against a real rsyslog with TLS on both sides; this file plays sluice-control.

usage: ship_test.py SLUICE_EXPORT. TAP on stdout. Wants Debian's rsyslog and rsyslog-openssl.
"""
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROGRAM = str(Path(sys.argv[1]).resolve())
count = failed = 0


def check(good, what, more=''):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {what}" + ('' if good else f' # {more}'), flush=True)


def until(ready, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return True
        time.sleep(0.05)
    return False


def openssl(*argv):
    subprocess.run(['openssl', *map(str, argv)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def authority(folder, name):
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', 2, '-subj', f'/CN={name}', '-keyout', folder / f'{name}.key',
            '-out', folder / f'{name}.pem')


def certificate(folder, ca, name, alt):
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/CN={name}', '-keyout', folder / f'{name}.key', '-out', folder / f'{name}.csr')
    (folder / 'ext').write_text(f'subjectAltName = {alt}\n')
    openssl('x509', '-req', '-in', folder / f'{name}.csr', '-CA', folder / f'{ca}.pem', '-CAkey', folder / f'{ca}.key', '-CAcreateserial', '-days', 2, '-extfile', folder / 'ext',
            '-out', folder / f'{name}.pem')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Rsyslog:
    def __init__(self, folder, port, server='server', ca='ca'):
        self.folder, self.port, self.server, self.ca, self.process = folder, port, server, ca, None
        self.out = folder / 'received'

    def start(self):
        (self.folder / 'work').mkdir(exist_ok=True)
        conf = self.folder / 'rsyslog.conf'
        conf.write_text(f'''global(workDirectory="{self.folder}/work" maxMessageSize="64k" defaultNetstreamDriver="ossl"
 defaultNetstreamDriverCAFile="{self.folder}/{self.ca}.pem" defaultNetstreamDriverCertFile="{self.folder}/{self.server}.pem" defaultNetstreamDriverKeyFile="{self.folder}/{self.server}.key")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/name" permittedPeer=["sluice.example"])
template(name="raw" type="string" string="%rawmsg%\\n")
main_queue(queue.type="direct")
input(type="imtcp" address="127.0.0.1" port="{self.port}" ruleset="keep")
ruleset(name="keep") {{ action(type="omfile" file="{self.out}" template="raw" asyncWriting="off" flushOnTXEnd="on") }}
''')
        log = open(self.folder / 'rsyslog.log', 'ab')
        self.process = subprocess.Popen(['rsyslogd', '-n', '-f', str(conf), '-i', str(self.folder / 'rsyslog.pid')], stdout=log, stderr=log)
        if not until(lambda: self.listens() or self.process.poll() is not None, 20) or self.process.poll() is not None:
            raise RuntimeError('rsyslogd does not start: ' + (self.folder / 'rsyslog.log').read_text()[-500:])

    def listens(self):
        with socket.socket() as s:
            return s.connect_ex(('127.0.0.1', self.port)) == 0

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(30)

    def lines(self):
        return [line for line in self.out.read_text(errors='replace').split('\n') if line] if self.out.exists() else []

    def indexes(self):
        return [int(re.search(r'idx="(\d+)"', line)[1]) for line in self.lines()]


def message(index, text=''):
    return f'<110>1 2026-11-20T10:00:00Z node sluice - cmd [sluice@32473 idx="{index}"] {{"n":{index}{text}}}'.encode()


class Control:
    """The other end of the helper's socket: gives records [next, size) from where it is asked, takes confirmations, starts the helper again."""

    def __init__(self, folder, port, state, host='127.0.0.1'):
        self.folder, self.port, self.host, self.state = folder, port, host, state
        self.size, self.confirmed, self.starts, self.ending, self.process, self.asked, self.given = 0, 0, 0, False, None, [], 0
        self.log = open(folder / 'helper.log', 'ab')
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def start(self):
        ours, theirs = socket.socketpair()

        def on_three():
            os.dup2(theirs.fileno(), 3)

        self.process = subprocess.Popen([PROGRAM, '--name', 'siem', '--state', self.state, '--host', self.host, '--port', str(self.port), '--ca', self.folder / 'ca.pem',
                                         '--certificate', self.folder / 'client.pem', '--key', self.folder / 'client.key'], pass_fds=[3] if theirs.fileno() == 3 else [],
                                        close_fds=False, preexec_fn=on_three, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        theirs.close()
        self.starts += 1
        return ours

    def run(self):
        while not self.ending:
            sock = self.start()
            at, rest, first = None, b'', True
            while not self.ending:
                want = at is not None and at < self.size
                can_read, can_write, _ = select.select([sock], [sock] if want and not rest or rest else [], [], 0.1)
                if can_read:
                    try:
                        got = sock.recv(8)
                    except ConnectionResetError:
                        got = b''
                    if len(got) < 8:
                        break
                    at = struct.unpack('>Q', got)[0] if first else at
                    self.confirmed = struct.unpack('>Q', got)[0]
                    self.asked += [at] if first else []
                    first = False
                if can_write:
                    while len(rest) < 65536 and at < self.size:
                        text = message(at, f',"t":"{"x" * 9000}"' if at % 500 == 77 else '')
                        rest += struct.pack('>QBI', at, 1, len(text)) + text
                        at += 1
                    try:
                        rest = rest[sock.send(rest, socket.MSG_DONTWAIT):]
                    except BlockingIOError:
                        pass
                    except OSError:
                        break
                    self.given = at
            sock.close()
            self.process.kill()
            self.process.wait()
            time.sleep(0.2)

    def stop(self):
        self.ending = True
        self.thread.join(20)


def once_and_in_order(folder, rsyslog, control):
    control.size = 3000
    good = until(lambda: control.confirmed == 3000)
    found = rsyslog.indexes()
    check(good and found == list(range(3000)), 'every index arrives once and in order', (control.confirmed, len(found), found[:5], (folder / 'helper.log').read_text()[-400:]))
    long = [line for line in rsyslog.lines() if 'idx="577"' in line]
    check(len(long) == 1 and long[0].endswith('"}') and len(long[0]) > 9000, 'a long message is whole', [len(line) for line in long])
    check((folder / 'state' / 'siem.next').read_text() == '3000\n', 'the cursor is what was confirmed')
    check(control.starts == 1, 'by one process', control.starts)


def no_gap(rsyslog, size):
    """All of them, and apart from what begins anew each begins where the last one ended."""
    found = rsyslog.indexes()
    steps = [b for a, b in zip(found, found[1:]) if b > a + 1]
    return sorted(set(found)) == list(range(size)) and not steps, (len(found), len(set(found)), steps[:5])


def over_restarts(folder, rsyslog, control):
    for turn, how in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)):
        control.size += 20000
        until(lambda: control.given > control.size - 15000 - 1000 * turn)
        rsyslog.stop(how)
        control.size += 500
        time.sleep(1)
        rsyslog.start()
    good = until(lambda: control.confirmed == control.size, 60)
    whole, more = no_gap(rsyslog, control.size)
    check(good and whole, 'over restarts of rsyslog nothing is missing', (control.confirmed, control.size, more, (folder / 'helper.log').read_text()[-600:]))
    for turn in range(3):
        control.size += 20000
        until(lambda: control.given > control.size - 15000)
        control.process.kill()
    good = until(lambda: control.confirmed == control.size, 60)
    whole, more = no_gap(rsyslog, control.size)
    check(good and whole and control.asked == sorted(control.asked), 'nor over deaths of the helper, which goes on at its cursor', (control.confirmed, control.size, more, control.asked))
    check(control.starts > 5, 'and they did die', control.starts)


def stands_still(folder, control_state):
    """A receiver that accepts and reads nothing: nothing is confirmed, and what is not taken stays with control."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()
        control = Control(folder, s.getsockname()[1], control_state)
        control.size = 1000000
        time.sleep(3)
        given = control.given
        check(control.confirmed == 0 and given < 20000 and control.starts == 1, 'a receiver that stands still gets nothing confirmed, and control keeps what is not taken',
              (control.confirmed, given, control.starts))
        control.stop()


def refused(folder, port, name, **changes):
    """A receiver that is not who it has to be gets nothing."""
    rsyslog = Rsyslog(folder, port, **changes)
    rsyslog.out = folder / f'received-{name}'
    rsyslog.start()
    state = folder / f'state-{name}'
    state.mkdir()
    (folder / 'helper.log').write_text('')
    control = Control(folder, port, state)
    control.size = 10
    until(lambda: 'TLS handshake' in (folder / 'helper.log').read_text(), 10)
    time.sleep(0.5)
    said = (folder / 'helper.log').read_text()
    control.stop()
    rsyslog.stop()
    check(control.confirmed == 0 and not rsyslog.lines() and 'TLS handshake' in said, f'{name} gets nothing', (control.confirmed, rsyslog.lines()[:2], said[-300:]))
    return said


def main():
    if not any(os.access(f'{d}/rsyslogd', os.X_OK) for d in ('/usr/sbin', '/sbin', '/usr/bin')):
        print('1..0 # SKIP rsyslog and rsyslog-openssl are not installed')
        return 0
    os.environ['PATH'] += ':/usr/sbin'
    with tempfile.TemporaryDirectory(prefix='sluice-ship-') as name:
        folder = Path(name)
        authority(folder, 'ca')
        authority(folder, 'other')
        certificate(folder, 'ca', 'server', 'IP:127.0.0.1')
        certificate(folder, 'ca', 'client', 'DNS:sluice.example')
        certificate(folder, 'other', 'foreign', 'IP:127.0.0.1')
        certificate(folder, 'ca', 'elsewhere', 'DNS:elsewhere.example')
        (folder / 'state').mkdir()
        rsyslog = Rsyslog(folder, free_port())
        rsyslog.start()
        control = Control(folder, rsyslog.port, folder / 'state')
        once_and_in_order(folder, rsyslog, control)
        over_restarts(folder, rsyslog, control)
        control.stop()
        rsyslog.stop()
        (folder / 'state-still').mkdir()
        stands_still(folder, folder / 'state-still')
        refused(folder, free_port(), 'a receiver with a certificate of another authority', server='foreign')
        said = refused(folder, free_port(), 'a receiver with a certificate for another name', server='elsewhere')
        check('mismatch' in said.lower(), 'and it is said why', said[-300:])
    print(f'1..{count}')
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
