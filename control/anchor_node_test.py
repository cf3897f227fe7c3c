#!/usr/bin/python3
"""anchor_node_test.py: the real sluice-control with a real time-stamp authority (openssl ts behind HTTPS and HTTP) that also misbehaves.

usage: anchor_node_test.py SLUICE SLUICE_CONTROL WORKER_TOOL CLASSES HELPER...
Everything lives in one temporary directory. TAP on stdout.
"""
import calendar
import hashlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import node_test


def openssl(*args, **kw):
    return subprocess.run(['openssl', *map(str, args)], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **kw).stdout


class Authority:
    """openssl ts with one certificate, under its own CA."""
    def __init__(self, folder, name, end=None):
        self.dir = folder / name
        self.dir.mkdir()
        ec = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes')
        openssl('req', '-x509', *ec, '-days', 2, '-subj', f'/CN={name} CA', '-keyout', self.dir / 'ca.key', '-out', self.dir / 'ca.pem')
        openssl('req', *ec, '-subj', f'/CN={name}', '-keyout', self.dir / 'key.pem', '-out', self.dir / 'csr')
        (self.dir / 'ca.cnf').write_text(f'''[ca]\ndefault_ca=d\n[d]\ndatabase={self.dir}/index\nnew_certs_dir={self.dir}\nserial={self.dir}/ca.serial
default_md=sha256\npolicy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\nextendedKeyUsage=critical,timeStamping\n''')
        (self.dir / 'ca.serial').write_text('01\n')
        self.issue(end)
        (self.dir / 'cnf').write_text(f'''[tsa]\ndefault_tsa=t\n[t]\nserial={self.dir}/serial\nsigner_cert={self.dir}/cert.pem\nsigner_key={self.dir}/key.pem
signer_digest=sha256\ndefault_policy=1.2.3.4.1\ndigests=sha256\naccuracy=secs:1\n''')
        (self.dir / 'serial').write_text('01\n')
        self.lock = threading.Lock()

    def issue(self, end):
        """A certificate that is valid until then."""
        now = time.time()
        (self.dir / 'index').write_text('')
        stamp = [time.strftime('%y%m%d%H%M%SZ', time.gmtime(t)) for t in (now - 86400, end or now + 86400)]
        openssl('ca', '-batch', '-config', self.dir / 'ca.cnf', '-cert', self.dir / 'ca.pem', '-keyfile', self.dir / 'ca.key', '-in', self.dir / 'csr',
                '-startdate', stamp[0], '-enddate', stamp[1], '-out', self.dir / 'cert.pem', '-notext')

    def reply(self, query):
        with self.lock:
            (self.dir / 'query').write_bytes(query)
            openssl('ts', '-reply', '-config', self.dir / 'cnf', '-queryfile', self.dir / 'query', '-out', self.dir / 'answer')
            return (self.dir / 'answer').read_bytes()


class Tsa(BaseHTTPRequestHandler):
    mode, asked, types, good, other, expired = 'silence', 0, set(), None, None, None

    def answers(self, query):
        imprint = query[query.index(b'\x04\x20') + 2:][:32].hex()
        return {'good': lambda: self.good.reply(query), 'wrong CA': lambda: self.other.reply(query), 'expired': lambda: self.expired.reply(query),
                'wrong imprint': lambda: self.good.reply(query.replace(bytes.fromhex(imprint), bytes(32))),
                'wrong nonce': lambda: self.good.reply(openssl('ts', '-query', '-digest', imprint, '-sha256', '-cert')),
                'garbage': lambda: os.urandom(3000), 'cut': lambda: self.good.reply(query)[:-5], 'large': lambda: b'\x30\x83\x01\x00\x00' + bytes(65536)}

    def do_POST(self):
        query = self.rfile.read(int(self.headers['Content-Length']))
        type(self).asked += 1
        self.types.add((self.path, self.headers['Content-Type']))
        if self.mode == 'silence':
            time.sleep(7)
            return
        body = b'no' if self.mode == 'status' else self.answers(query)[self.mode]()
        self.send_response(500 if self.mode == 'status' else 200)
        self.send_header('Content-Type', 'application/timestamp-reply')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Witness(BaseHTTPRequestHandler):
    """sluice-witness as a web server's CGI; and a witness that misbehaves."""
    mode, program, folder, seen = 'good', None, None, []

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        status, answer = {'500': (500, b''), '422': (422, b''), 'garbage': (200, os.urandom(200)), 'other': (200, '\u2014 other AAAAAAAA\n'.encode()),
                          '409': (409, b'many'), '409 larger': (409, b'1000000000\n')}.get(self.mode, (0, b''))
        if not status:
            # One for each second: leaks are looked for until it has cosigned three times, and again after knows_other_sizes() begins.
            options = os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0' * (sum(status == 200 for _, _, status in self.seen) > 2)
            out = subprocess.run([self.program, '--dir', self.folder, '--name', f'witness.example/{self.folder.name}'], input=body, stdout=subprocess.PIPE,
                                 env={**os.environ, 'REQUEST_METHOD': 'POST', 'ASAN_OPTIONS': options}).stdout
            head, answer = out.split(b'\r\n\r\n', 1)
            status = int(head.split()[1])
        self.seen.append((self.path, body.split(b'\n')[0].decode(), status))
        self.send_response(status)
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


class Second(Witness):
    """Another one, with a key of its own; the policy wants both."""
    mode, folder, seen = 'good', None, []


def listen(handler, certificate=None):
    server = node_test.Quiet(('127.0.0.1', 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class World(node_test.World):
    def write_policy(self, version, **kwargs):
        super().write_policy(version, journal='journal : { checkpoint = "1s"; timestamp = "1s"; witnesses = 2; };', **kwargs)

    def stamp(self):
        return self.json('show', 'journal')['journal']['anchors']['timestamp']


def is_not_taken(w, mode, problem):
    """The authority misbehaves: said, asked again, and nothing stops."""
    Tsa.mode = mode
    before = w.stamp()
    said = w.until(lambda: problem in w.stamp()['problem'])
    w.check(said, f'{mode}: the answer is not taken', w.stamp())
    now = w.stamp()
    w.check(now['size'] == before['size'] and not now['alarm'], f'{mode}: nothing is anchored by it', now)
    w.check(w.json('show', 'health')['state'] != 'blocking', f'{mode}: nothing is blocked')


def stamps(w):
    worker = node_test.Worker(w.worker_tool, w.dir / 'run')
    worker.say('hello')
    worker.wait('snapshot')
    is_not_taken(w, 'silence', 'no complete answer in time')
    worker.say('allow 77 SELECT 1')
    w.check(worker.wait('durable')[-1], 'commands are released while the authority is silent')
    for mode, problem in (('status', 'HTTP status 500'), ('garbage', 'not an answer to a time-stamp query'), ('cut', 'not an answer'), ('large', 'larger than its limit'),
                          ('wrong imprint', 'message imprint mismatch'), ('wrong nonce', 'nonce mismatch'), ('wrong CA', 'certificate verify error'),
                          ('expired', 'certificate verify error')):
        is_not_taken(w, mode, problem)
    Tsa.mode = 'good'
    good = w.until(lambda: w.stamp()['size'] and w.stamp())
    w.check(good and good['problem'] == '' and good['token_time'], 'a good answer is kept', w.stamp())
    w.check(('/tsr?x=1', 'application/timestamp-query') in Tsa.types, 'the query is a POST of its own type', Tsa.types)
    told = [r['data'] for r in w.json('journal', 'search', '--type', 'journal.stamp')['records']]
    w.check([t['size'] for t in told] == [str(good['size'])] and len(told[0]['sha256']) == 64, 'and is on record by its hash, once', told)
    w.cli('journal', 'search', '--type', 'auth.')
    w.check(w.until(lambda: w.stamp()['size'] > good['size']), 'and the next checkpoint is stamped when its time comes', w.stamp())
    return worker


def cosigns(w):
    """A witness: unknown log, then trusted, wrong answers, and at last another history."""
    w.check(w.until(lambda: 'HTTP status 404' in row(w)['problem']), 'a witness that does not know the log', row(w))
    w.check(tells('--trust', w.dir / 'state' / 'journal' / 'vkey', Witness), 'is told to trust it')
    good = w.until(lambda: row(w)['size'] and row(w), 40)
    w.check(good and not good['problem'] and ('/sluice/add-checkpoint', 'old 0', 200) in Witness.seen, 'and cosigns', (row(w), Witness.seen[-3:]))
    w.cli('journal', 'search', '--type', 'auth.')
    w.check(w.until(lambda: row(w)['size'] > good['size'], 40) and any(line == f'old {good["size"]}' and status == 200 for _, line, status in Witness.seen),
            'then what extends it', Witness.seen[-3:])
    reaches_quorum(w)
    judges(w)
    rotates(w)
    size = row(w)['size']
    w.cli('export', 'bundle', '--from', str(size - 2), '--to', str(size), '--out', w.dir / 'cosigned')
    said = subprocess.run(['sh', 'verify.sh', '1'], cwd=w.dir / 'cosigned', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    w.check(said.returncode == 0 and f'witness witness.example/w1 saw the first {size} records' in said.stdout, 'a bundle proves it', said.stdout)
    knows_other_sizes(w)
    Witness.mode = '422'
    w.cli('journal', 'search', '--type', 'auth.')
    w.check(w.until(lambda: w.json('show', 'journal')['journal']['anchors']['fork'], 40), 'another history is a fork', row(w))
    alarms = [r['data'] for r in w.json('journal', 'search', '--type', 'journal.alarm')['records']]
    w.check(any(a['alarm'] == 'fork' for a in alarms), 'which is on record', alarms)
    before = w.json('show', 'journal')['journal']
    time.sleep(3)
    after = w.json('show', 'journal')['journal']
    w.check(after['checkpoint_size'] == before['checkpoint_size'] and after['size'] > after['checkpoint_size'], 'nothing is signed any more', after)
    w.check(w.json('show', 'health')['state'] == 'degraded', 'and traffic goes on', w.json('show', 'health')['reasons'])


def tells(mode, vkey, *witnesses):
    return all(subprocess.run([Witness.program, '--dir', it.folder, '--name', f'witness.example/w{1 + (it is Second)}', mode, vkey]).returncode == 0 for it in witnesses)


def anchors(w):
    return w.json('show', 'journal')['journal']['anchors']


def quorum_alarms(w):
    return [r['data'] for r in w.json('journal', 'search', '--type', 'journal.alarm')['records'] if r['data']['alarm'] == 'quorum']


def reaches_quorum(w):
    """Two are wanted: with one of them silent it is an alarm; then both cosign one and the same checkpoint, and audits say so."""
    journal, mine = w.dir / 'state' / 'journal', w.dir / 'mine.policy'
    said = w.json('journal', 'verify')
    w.check(said['good'] and said['quorum']['asks'] and said['quorum']['size'] == 0, 'one of two is no quorum', said['quorum'])
    done = w.cli('journal', 'verify', journal, '--witness-policy', journal / 'trust' / 'witness-policy')
    w.check(done.returncode == 1 and 'no checkpoint has the quorum of' in done.stdout, 'whoever brings the policy is told that it is wrong', done.stdout + done.stderr)
    alarm = w.until(lambda: quorum_alarms(w), 40)
    w.check(alarm and alarm[-1]['state'] == 'lost' and 'of 2 wanted' in alarm[-1]['detail'] and anchors(w)['quorum_alarm'], 'after a while it is an alarm', (alarm, anchors(w)))
    w.check(tells('--trust', journal / 'vkey', Second), 'the second is told to trust the log')
    w.check(w.until(lambda: anchors(w)['witnessed'], 40), 'then a checkpoint gets both', (anchors(w), Witness.seen[-3:], Second.seen[-3:]))
    w.check(w.until(lambda: quorum_alarms(w)[-1]['state'] == 'back', 20) and not anchors(w)['quorum_alarm'], 'and the alarm is over', quorum_alarms(w))
    said = w.json('journal', 'verify')['quorum']
    w.check(said['witnesses'] == 2 and said['size'] > 0, 'the audit says which', said)
    mine.write_text((journal / 'trust' / 'witness-policy').read_text())
    done = w.cli('journal', 'verify', journal, '--witness-policy', mine)
    w.check(done.returncode == 0 and 'by 2 witnesses, ' in done.stdout, 'and who brings the policy has it', done.stdout + done.stderr)
    mine.write_text(mine.read_text().replace('group witnesses 2', 'group witnesses 3'))
    done = w.cli('journal', 'verify', journal, '--witness-policy', mine)
    w.check(done.returncode == 2 and 'cannot reach' in done.stderr, 'a policy that nobody can meet is refused', done.stderr)


def kills(w, name):
    """kill -9 of one of ours; what stands in for it is found by `until`."""
    os.kill(w.find(name)[-1], signal.SIGKILL)


def keys(w):
    return w.json('show', 'journal')['journal']['keys']


def changes(w):
    return [(r['data']['step'], r) for r in w.json('journal', 'search', '--type', 'key.')['records'] if 'step' in r.get('data', {})]


def is_said(w, *steps):
    """The records of the rotation are exactly these."""
    return w.until(lambda: [step for step, _ in changes(w)] == list(steps), 40)


def is_approved(w):
    asking = ('journal', 'rotate-key', '--reason', 'the yearly change')
    done = w.cli(*asking)
    w.check(done.returncode == 3 and 'two other persons' in done.stderr, 'nobody rotates the keys without a token', done.stderr)
    done = w.cli(*asking, '--token-file', w.token_file('mallory', ['agents']))
    w.check(done.returncode == 3, 'nor with that of somebody', done.stderr)
    asked = json.loads(w.cli('--json', *asking, '--token-file', w.token_file('carol', ['dba'])).stdout)
    for person in ('bob', 'dora'):
        w.check(changes(w) == [], 'nothing begins before two approved it', changes(w))
        done = w.cli('approval', 'approve', asked['approval'], '--reason', 'seen', '--token-file', w.token_file(person, ['dba']))
        w.check(done.returncode == 0, f'{person} approves', done.stderr)
    over = w.until(lambda: (lambda a: a if a['state'] == 'executed' else None)(w.json('approval', 'show', asked['approval'])))
    w.check(over and over['result'] == 'done', 'and it begins', over)


def audits(w, *files):
    for path in files:
        done = w.cli('journal', 'verify', w.dir / 'state' / 'journal', '--key', path)
        w.check(done.returncode == 0, f'an auditor with {path.name} finds nothing wrong', done.stdout[-500:] + done.stderr)


def judges(w):
    """What `journal verify` says of the anchors: the node's own, a copy under keys that were given, and under others."""
    said = w.json('journal', 'verify')
    w.check(said['good'] and said['timestamps']['good'] and said['cosignatures']['good'] and not said['unverified_count'] and said['signer_compared'],
            'the audit judges time stamps and cosignatures', said)
    journal, key, other = w.dir / 'state' / 'journal', w.dir / 'w.vkey', w.dir / 'other.vkey'
    key.write_text(next((journal / 'trust').glob('witness-*.vkey')).read_text())
    other.write_text('other.example/w+9e2a16ab+BLiEhEzgWx5LZ0yvCGsX4AZLyH/gkOfDQIq6ixdNiPqP\n')
    done = w.cli('--json', 'journal', 'verify', journal, '--witness', key, '--tsa', Tsa.other.dir / 'ca.pem')
    said = json.loads(done.stdout)
    w.check(done.returncode == 0 and said['cosignatures']['good'] and said['unverified_count'] and {u['kind'] for u in said['unverified']} == {'unverified'},
            'time stamps of an authority that was not given are unverified', said)
    done = w.cli('journal', 'verify', journal, '--witness', other)
    w.check(done.returncode == 2 and 'give the keys of witnesses' in done.stderr, 'what is no key is refused', done.stderr)
    done = w.cli('journal', 'verify', journal, '--state', w.dir / 'state' / 'signer' / 'state')
    w.check(done.returncode == 0 and 'compared with its state' in done.stdout and 'cosignatures: ' in done.stdout, 'and says so to people', done.stdout + done.stderr)


def row(w):
    return w.json('show', 'journal')['journal']['anchors']['witnesses'][0]


def witnessed_on(w, what):
    size = row(w)['size']
    w.cli('journal', 'search', '--type', 'auth.')
    w.check(w.until(lambda: row(w)['size'] > size, 40), what, (row(w), Witness.seen[-3:]))


def rotates(w):
    """New checkpoint keys, with kills in between: audits, exports and the witness go on over it."""
    journal, old, new = w.dir / 'state' / 'journal', w.dir / 'old.vkey', w.dir / 'new.vkey'
    old.write_text((journal / 'vkey').read_text())
    is_approved(w)
    w.check(w.until(lambda: 'begin' in [step for step, _ in changes(w)]), 'both keys are named', changes(w))
    kills(w, 'sluice-control')
    both = w.until(lambda: (lambda k: k if k['phase'] == 'overlap' and k['next'] else None)(keys(w)), 40)
    w.check(both, 'control is killed: then both sign', (keys(w), (w.dir / 'log').read_text()[-800:]))
    new.write_text(both['next'] + '\n')
    w.check(is_said(w, 'prepare', 'begin'), 'each is said once', changes(w))
    begin = changes(w)[1][1]['data']
    w.check(begin['old'] + '\n' == old.read_text() and begin['new'] + '\n' == new.read_text(), 'the record names both', begin)
    w.check(w.until(lambda: sum(line.startswith('\u2014 test.example/journal/t ') for line in (journal / 'checkpoint').read_text().splitlines()) == 4), 'four signatures')
    done = w.cli('journal', 'rotate-key', '--reason', 'once more', '--token-file', w.token_file('carol', ['dba']))
    w.check(done.returncode == 1 and 'under way' in done.stderr, 'a second rotation has to wait', done.stderr)
    kills(w, 'sluice-signer')
    w.check(w.until(lambda: keys(w)['phase'] == 'overlap' and w.find('sluice-signer'), 20), 'the signer is killed: both sign', keys(w))
    witnessed_on(w, 'the witness goes on: it knows one of the two')
    audits(w, old, new)
    w.check(tells('--trust', new, Witness, Second), 'and is told the other in time')
    logs = [line.split()[1] for line in (journal / 'trust' / 'witness-policy').read_text().splitlines() if line.startswith('log ')]
    w.check(logs == [old.read_text().strip(), new.read_text().strip()], 'the witness policy has both keys of the log', logs)
    end = w.until(lambda: 'end' in [step for step, _ in changes(w)], 60)
    kills(w, 'sluice-control')
    w.check(end and w.until(lambda: keys(w)['phase'] == 'stable' and f"{keys(w)['key']}\n" == new.read_text(), 40), 'the old ones sign no more', keys(w))
    w.check(is_said(w, 'prepare', 'begin', 'end', 'destroyed'), 'which is on record', [step for step, _ in changes(w)])
    w.check(not list((w.dir / 'state' / 'signer').glob('next-*')) and (journal / 'vkey').read_text() == new.read_text(), 'and are gone', list((w.dir / 'state' / 'signer').iterdir()))
    w.check(tells('--distrust', old, Witness, Second), 'the witness forgets the old one')
    witnessed_on(w, 'and cosigns what the new one signed')
    audits(w, old, new)
    w.cli('export', 'bundle', '--out', w.dir / 'rotated')
    said = subprocess.run(['sh', 'verify.sh', '8'], cwd=w.dir / 'rotated', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    w.check(said.returncode == 0 and '10. keys: 1 rotation' in said.stdout, 'a bundle proves it all', said.stdout[-800:])


def forked(w):
    return w.json('show', 'journal')['journal']['anchors']['fork']


def knows_other_sizes(w):
    """409 (journal.md 8): a smaller size is where the question begins anew; a larger one, or another root for as many, is a fork."""
    state = next((Witness.folder / 'logs').glob('*/state'))
    older = state.read_bytes()
    witnessed_on(w, 'the witness gets on')
    state.write_bytes(older)
    del Witness.seen[:]
    witnessed_on(w, 'a witness that was set back knows a smaller size')
    w.check([status for _, _, status in Witness.seen][:2] == [409, 200] and not forked(w), 'it says 409, and cosigns what is sent anew from there', Witness.seen)
    Witness.mode = '409'
    w.cli('journal', 'search', '--type', 'auth.')
    w.check(w.until(lambda: '409 without a size' in row(w)['problem'], 40) and not forked(w), 'a 409 that names no size is no proof of anything', row(w))
    Witness.mode = '409 larger'
    w.check(w.until(lambda: forked(w), 40), 'a witness that knows a larger size has seen another history', row(w))
    alarm = [r['data'] for r in w.json('journal', 'search', '--type', 'journal.alarm')['records'] if r['data']['alarm'] == 'fork'][-1]
    w.check( 'longer journal' in alarm['detail'], 'which is on record', alarm)
    before = w.json('show', 'journal')['journal']['checkpoint_size']
    w.cli('journal', 'search', '--type', 'auth.')
    time.sleep(2)
    w.check(w.json('show', 'journal')['journal']['checkpoint_size'] == before, 'nothing is signed any more')
    Witness.mode = 'good'
    kills(w, 'sluice-control')
    w.check(w.until(lambda: not forked(w) and row(w)['size'] > before, 60), 'a new start asks again', row(w))


def survives_its_authority(w, away):
    """A bundle that is checked after the authority's certificate ended: good, because it is checked at the token's own time."""
    for life in (8, 30, 60):
        end = time.time() + life
        Tsa.good.issue(end)
        # The first one may have been asked for before: by the certificate that was there then.
        for _ in range(2):
            before = w.stamp()['size']
            w.cli('journal', 'search', '--type', 'auth.')
            stamped = w.until(lambda: w.stamp()['size'] > before, max(0.1, end - time.time()))
        if stamped and time.time() < end:
            break
    Tsa.mode = 'status'
    size = w.stamp()['size']
    w.cli('export', 'bundle', '--to', str(size), '--from', str(size - 2), '--out', w.dir / 'bundle')
    w.until(lambda: time.time() > end + 1, life + 5)
    stamped = w.dir / 'bundle' / 'checkpoints' / str(size)
    said = subprocess.run(['sh', 'verify.sh', '1'], cwd=w.dir / 'bundle', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    w.check(said.returncode == 0 and f'the first {size} records existed at' in said.stdout, 'a bundle outlives the certificate of its time stamp', said.stdout)
    plain = subprocess.run(['openssl', 'ts', '-verify', '-data', stamped, '-in', f'{stamped}.tsr', '-CAfile', away / 'roots.pem'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    w.check(plain.returncode != 0, 'which is over by now', plain.stdout)
    text = subprocess.run(['openssl', 'ts', '-reply', '-in', f'{stamped}.tsr', '-text'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    when = next(line for line in text.splitlines() if line.startswith('Time stamp: '))
    told = [r['data'] for r in w.json('journal', 'search', '--type', 'journal.stamp')['records'] if r['data']['size'] == str(size)]
    w.check(told == [{'sha256': hashlib.sha256(Path(f'{stamped}.tsr').read_bytes()).hexdigest(), 'size': str(size),
                      'time_s': str(calendar.timegm(time.strptime(when, 'Time stamp: %b %d %H:%M:%S %Y GMT')))}], 'its record holds the hash of that token, its size and its time', (told, when))


def stops(w):
    w.process.terminate()
    w.process.wait(60)


def is_cut_back(w, away):
    """The journal's directory is put back to a copy of itself, all of it, and the machine starts anew: only the signer knows that there was more."""
    journal = w.dir / 'state' / 'journal'
    stops(w)
    shutil.copytree(journal, away / 'older')
    w.start()
    w.check(w.until(lambda: w.json('show', 'health')['policy'], 60), 'control starts anew')
    before = w.json('show', 'journal')['journal']['checkpoint_size']
    w.cli('journal', 'search', '--type', 'auth.')
    w.check(w.until(lambda: w.json('show', 'journal')['journal']['checkpoint_size'] > before, 40), 'and signs', w.json('show', 'journal')['journal'])
    done = w.cli('journal', 'verify', '--token-file', w.token_file('olga', ['audit']))
    w.check(done.returncode == 0 and 'compared with its state' in done.stdout and 'quorum: ' in done.stdout, "its own audit knows the signer's state, and the quorum", done.stdout + done.stderr)
    stops(w)
    shutil.rmtree(journal)
    shutil.rmtree(w.dir / 'run')
    (w.dir / 'run').mkdir()
    (away / 'older').rename(journal)
    w.start()
    w.check(w.until(lambda: w.json('show', 'journal')['journal']['stop'] == 'signer', 60), 'put back, it releases nothing', (w.dir / 'log').read_text()[-800:])
    done = w.cli('journal', 'verify', '--token-file', w.token_file('olga', ['audit']))
    w.check(done.returncode == 1 and 'the signer has signed' in done.stdout, 'its own audit says that records, or a checkpoint, are gone', done.stdout + done.stderr)
    given = w.until(lambda: [r['data'] for r in w.json('journal', 'search', '--type', 'read.given')['records'] if r['data'].get('findings', '0') != '0'], 20)
    w.check(given and 'the signer has signed' in given[-1]['wrong'] and given[-1]['findings'] == '1', 'which is in its record', given)
    alarm = [r['data'] for r in w.json('journal', 'search', '--type', 'journal.alarm')['records'] if r['data']['alarm'] == 'audit']
    w.check(alarm and alarm[-1]['detail'] == given[-1]['wrong'] and alarm[-1]['of'] == given[-1]['of'], 'and an alarm', alarm)


def main():
    with node_test.scratch('anchor') as folder:
        away = Path(folder) / 'away'
        (away).mkdir()
        Tsa.good, Tsa.other, Tsa.expired = Authority(away, 'good'), Authority(away, 'other'), Authority(away, 'expired', time.time() - 60)
        # One file for both, so that it is the date alone that makes the expired one's answers worthless.
        (away / 'roots.pem').write_bytes((away / 'good' / 'ca.pem').read_bytes() + (away / 'expired' / 'ca.pem').read_bytes())
        paths = [os.path.abspath(path) for path in sys.argv[1:]]
        home = Path(folder) / 'home'
        home.mkdir()
        port = listen(Tsa)
        Witness.program, keys = paths.pop(), []
        for it, name in ((Witness, 'w1'), (Second, 'w2')):
            it.folder = away / name
            it.folder.mkdir(mode=0o700)
            openssl('genpkey', '-algorithm', 'ed25519', '-out', it.folder / 'ed25519.pem')
            (it.folder / 'ed25519.pem').chmod(0o400)
            keys.append(subprocess.run([Witness.program, '--dir', it.folder, '--name', f'witness.example/{name}', '--key'], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', 2, '-subj', '/CN=localhost', '-addext',
                'subjectAltName=DNS:localhost', '-keyout', away / 'web.key', '-out', away / 'web.pem')
        ports = [listen(it, (away / 'web.pem', away / 'web.key')) for it in (Witness, Second)]
        witnesses = ', '.join(f'{{ url = "https://localhost:{port}/sluice"; key = "{key}"; ca = "web.pem"; }}' for port, key in zip(ports, keys))
        w = World(home, *paths[:4], paths[4:], conf=f'key_overlap = "12s"; quorum_alarm = "2s"; witness = ( {witnesses} );\n'
                  f'timestamp : {{ url = "http://localhost:{port}/tsr?x=1"; roots = "{away}/roots.pem"; }};\n')
        with node_test.ending(w):
            (home / 'ca' / 'web.pem').write_bytes((away / 'web.pem').read_bytes())
            w.check(w.until(lambda: w.json('show', 'health')['policy']), 'it starts and has a policy', (w.dir / 'log').read_text()[-800:])
            stamps(w)
            survives_its_authority(w, away)
            cosigns(w)
            is_cut_back(w, away)
        print(f'1..{w.count}')
        return 1 if w.failed else 0


if __name__ == '__main__':
    sys.exit(main())
