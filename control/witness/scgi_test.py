#!/usr/bin/python3
"""scgi_test.py: the witness as its units start it: what ExecStart says, on a connection that systemd-socket-activate accepts as the socket unit says.

usage: scgi_test.py SLUICE_WITNESS UNIT_FOLDER UNIT_FILTER
No systemd is asked: only the paths of the program, of its directory and of the socket are others; the unit's system calls are all that it has. TAP on stdout.
"""
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / 'tests'))
import unit_file

NAME = 'witness.example/w1'


class World:
    def __init__(self, program, units, filter, folder):
        self.program, self.dir, self.count, self.failed = program, folder / 'state', 0, 0
        self.dir.mkdir(mode=0o700)
        subprocess.run(['openssl', 'genpkey', '-algorithm', 'ed25519', '-out', self.dir / 'ed25519.pem'], check=True, stderr=subprocess.DEVNULL)
        (self.dir / 'ed25519.pem').chmod(0o400)
        service, sock = ((units / f'sluice-witness{end}').read_text() for end in ('@.service', '.socket'))
        said = dict(re.findall(r'^(\w+)=(.*)$', service, re.M))
        self.check(said['StandardInput'] == 'socket' and 'StandardOutput' not in said and re.search('^Accept=yes$', sock, re.M), 'a process for each connection, which is its standard input and output')
        command = said['ExecStart'].replace('/usr/bin/sluice-witness', str(program)).replace('/var/lib/' + said['StateDirectory'], str(self.dir)).replace('${SLUICE_WITNESS_NAME}', NAME)
        self.path = folder / 'sock'
        (folder / 'calls').write_text('\n'.join(sorted(unit_file.allowed(units / 'sluice-witness@.service'))) + '\n')
        command = f'{filter} {folder}/calls {command}'
        environment = [f'-EASAN_OPTIONS={os.environ.get("ASAN_OPTIONS", "")}:detect_leaks=0', '-EUBSAN_OPTIONS']
        self.server = subprocess.Popen(['systemd-socket-activate', '-l', self.path, '--accept', '--inetd', *environment, *shlex.split(command)], stderr=subprocess.DEVNULL)
        while not self.path.exists():
            time.sleep(0.01)

    def check(self, good, what, more=''):
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {what}" + ('' if good else f' # {more}'), flush=True)

    def tool(self, *args):
        return subprocess.run([self.program, '--dir', self.dir, '--name', NAME, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def send(self, data, step=None):
        """What is answered to these bytes, in pieces of `step`."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(str(self.path))
            for at in range(0, len(data), step or len(data)):
                s.sendall(data[at:at + (step or len(data))])
            return b''.join(iter(lambda: s.recv(65536), b''))


def request(body, method='POST', **changes):
    headers = {'CONTENT_LENGTH': str(len(body)), 'SCGI': '1', 'REQUEST_METHOD': method, 'REQUEST_URI': '/sluice/add-checkpoint', **changes}
    text = b''.join(f'{k}\0{v}\0'.encode() for k, v in headers.items())
    return str(len(text)).encode() + b':' + text + b',' + body


def status(answer):
    return answer.split(b'\r\n')[0].decode()


def main():
    with tempfile.TemporaryDirectory(prefix='sluice-scgi-', dir='/dev/shm') as folder:
        w = World(Path(sys.argv[1]).resolve(), Path(sys.argv[2]), Path(sys.argv[3]).resolve(), Path(folder))
        try:
            key = w.tool('--key').stdout
            w.check(key.startswith(NAME + '+'), 'the key is printed', key)
            unknown = b'old 0\n\nunknown.example/log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\xe2\x80\x94 unknown.example/log AAAAAAAA\n'
            for step in (None, 1):
                w.check(status(w.send(request(unknown), step)) == 'Status: 404', f'a log that is not known, {"whole" if not step else "byte by byte"}', w.send(request(unknown)))
            w.check(status(w.send(request(b'old\n'))) == 'Status: 400', 'what is malformed')
            w.check(status(w.send(request(b'', 'GET'))) == 'Status: 405', 'what is no POST')
            w.check(status(w.send(request(unknown) + b'x')) == 'Status: 404', 'what comes behind the body is not read')
            for what, data in (('no netstring', b'GET / HTTP/1.1\r\n\r\n'), ('a length too long', b'100000:'), ('no comma', request(b'').replace(b',', b';')),
                               ('a body too long', request(b'', CONTENT_LENGTH='16385')), ('no length first', request(b'')[:3] + request(b'')[3:].replace(b'CONTENT_LENGTH', b'CONTENT_LENGTI')),
                               ('not SCGI 1', request(b'', SCGI='2')), ('a length that is none', request(b'', CONTENT_LENGTH='-1'))):
                w.check(status(w.send(data)) == 'Status: 400', what, w.send(data))
        finally:
            w.server.terminate()
            w.server.wait(10)
        print(f'1..{w.count}')
        return 1 if w.failed else 0


if __name__ == '__main__':
    sys.exit(main())
