#!/usr/bin/python3
"""What fails, and what then happens (policy.md 4, journal.md 10): control dies or stands still, the journal's volume fills up, the
target's certificate is wrong, the data plane dies. Nothing that is guarded passes for it, and whoever asks is told."""
import os
import random
import re
import signal
import subprocess
import sys
import time

import scene
from protocol_test import Bare, code
from tap import need, world

VOLUME = 24 << 20
DBS = {  # addresses of the target's namespace, each with a PostgreSQL of its own certificate
    'expired-db': ('10', 'expired-db.example'), 'other-name-db': ('11', 'right-name.example'), 'other-ca-db': ('12', 'other-ca-db.example'),
    'plain-db': ('13', 'plain-db.example'), 'rootless-db': ('14', 'rootless-db.example'), 'reset-db': ('15', 'reset-db.example'),
}
FALSE_SERVER = '''
import socket, ssl, struct, sys, threading
address, kind, cert, key = sys.argv[1:5]
s = socket.create_server((address, 5432), backlog=16)
print('ready', flush=True)
def serve(c):
    try:
        c.recv(8)
        if kind == 'plain':
            c.sendall(b'N')
            c.recv(1)
        elif kind == 'reset':
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        else:
            c.sendall(b'S')
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            c = context.wrap_socket(c, server_side=True)
            print('GOT', c.recv(1000), flush=True)
    except OSError:
        pass
    c.close()
while True:
    c, _ = s.accept()
    threading.Thread(target=serve, args=(c,), daemon=True).start()
'''


def services():
    return ''.join(f'''  {{ name = "{name}"; protocol = "postgres"; listen = [ "10.79.0.{host}:5432" ]; tls = "required"; upstream_name = "{cert}"; login = "shop_app"; }},
''' for name, (host, cert) in DBS.items())


def edit(text, it):
    subnet = it.wire.target_address.rpartition('.')[0]
    return text.replace('10.79.0.', f'{subnet}.1')


# --- The target's certificate ---

def issue(authority, name, alternatives, days):
    """As Authority.issue, for a certificate that is out of date."""
    cert, key = authority.issue(name, alternatives)
    if days < 0:
        old = authority.dir / f'{name}-old.pem'
        index, serial = authority.dir / 'index', authority.dir / 'serial'
        index.write_text('')
        serial.write_text('01\n')
        conf = authority.dir / 'ca.cnf'
        conf.write_text(f'[ca]\ndefault_ca=d\n[d]\ndatabase={index}\nserial={serial}\nnew_certs_dir={authority.dir}\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n')
        world.run('openssl', 'ca', '-batch', '-config', conf, '-in', authority.dir / f'{name}.csr', '-cert', authority.cert, '-keyfile', authority.key,
                  '-startdate', '20200101000000Z', '-enddate', '20210101000000Z', '-extfile', authority.dir / f'{name}.ext', '-out', old, '-notext')
        cert = old
    return cert, key


def false_servers(it):
    other = world.Authority(it.lab.dir / 'other-ca', 'another CA')
    script = it.lab.dir / 'false.py'
    script.write_text(FALSE_SERVER)
    it.false = {}
    for name, (host, cert_name) in DBS.items():
        address = it.wire.target_address.rpartition('.')[0] + f'.1{host}'
        world.run('ip', '-n', it.wire.target, 'addr', 'add', f'{address}/24', 'dev', it.wire.inner)
        authority = other if name == 'other-ca-db' else it.db.authority
        presented = 'wrong-name.example' if name == 'other-name-db' else cert_name
        cert, key = issue(authority, presented, f'DNS:{presented}', -1 if name == 'expired-db' else 2)
        kind = 'plain' if name == 'plain-db' else 'reset' if name == 'reset-db' else 'tls'
        process = it.spawn(it.wire.target, '/usr/bin/python3', script, address, kind, cert, key, log=it.lab.dir / f'{name}.log')
        world.wait_for(name, lambda process=process: process.need_alive() and 'ready' in world.tail(process.log), 30)
        it.false[name] = (address, process.log)


def wrong(it, name, sqlstate, says):
    """The client has a clear error, the record says why, and the server was sent nothing."""
    address, log = it.false[name]
    done = it.psql('SELECT 1', options=['-v', 'VERBOSITY=verbose'], host=address)
    need(done.returncode == 2 and done.stdout == '', f'a session: {done.stdout}')
    need('FATAL' in done.stderr and says in done.stderr, f'the client was told: {done.stderr}')
    need('operator' in done.stderr, f'not what to do: {done.stderr}')
    c = Bare(it, address=address, name=DBS[name][1])
    need(code(c.start()) == sqlstate, 'another SQLSTATE')
    c.close()
    need('GOT' not in log.read_text() or "GOT b''" in log.read_text(), f'it was sent something: {log.read_text()}')
    texts = [r['data']['text'] for r in it.records('--type', 'session.close') if r['svc'] == name]
    need(texts and all(says.split(':')[-1].strip() in t or says in t for t in texts), f'the record does not say why: {texts}')
    need(scene.PASSWORD not in done.stderr, 'a secret')
    return next(line for line in done.stderr.splitlines() if 'FATAL' in line).split('FATAL:')[-1].strip()


def unreachable(it):
    """A closed port is refused by the server itself: the client sees what it would see without Sluice."""
    subnet = it.wire.target_address.rpartition('.')[0]
    address, log = it.false['rootless-db']
    world.run('ip', '-n', it.wire.target, 'addr', 'add', f'{subnet}.199/24', 'dev', it.wire.inner, check=False)
    text = it.sluice.policy.read_text().replace(f'listen = [ "{address}:5432" ]', f'listen = [ "{address}:5432", "{subnet}.199:5432" ]')
    it.sluice.policy.write_text(text)
    need(it.sluice.cli('policy', 'reload', check=False).returncode == 0, 'the policy was not taken')
    done = it.psql('SELECT 1', host=f'{subnet}.199')
    need(done.returncode == 2 and 'refused' in done.stderr, f'{done.stderr}')
    return done.stderr.strip().splitlines()[0]


# --- Control ---

def core(it):
    from kill_test import core as find
    return find(it)


def control_gone(it):
    """control is killed and does not come back: an open session is told at once, lives on, and works when control is there again."""
    session = it.session()
    need(session.say('SELECT 1;').strip() == '1', 'no session')
    pids = it.pids('sluice-control')
    runner = it.sluice.process.child.pid
    os.kill(runner, signal.SIGSTOP)  # nobody starts it again meanwhile
    try:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        answer = session.say('SELECT 1;')
        need('the control plane does not answer' in answer and 'ERROR' in answer, f'not told: {answer}')
        need('the control plane does not answer' in session.say('SELECT 1;'), 'not told a second time')
        done = it.psql('SELECT 1')
        need(done.returncode == 2 and 'control plane' in done.stderr, f'a new session: {done.stdout}{done.stderr}')
    finally:
        os.kill(runner, signal.SIGCONT)
    it.healthy()
    need(session.say('SELECT 2;').strip() == '2', 'the session did not live on')
    session.close()
    return answer.strip().splitlines()[0][:140]


def control_stands(it):
    session = it.session()
    need(session.say('SELECT 1;').strip() == '1', 'no session')
    pids, mark = it.pids('sluice-control'), random.randrange(10**9, 2 * 10**9)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        answer = session.say(f'SELECT {mark};')
        need('the control plane does not answer' in answer, f'not told: {answer}')
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    it.healthy()
    need(str(mark) not in (it.lab.dir / 'postgres.log').read_text(), 'it reached the database')
    need(session.say('SELECT 2;').strip() == '2', 'the session did not live on')
    session.close()
    return answer.strip().splitlines()[0][:140]


def control_waits(it):
    """on_control_lost = "wait": the command is answered by the next control, with its record."""
    text = it.sluice.policy.read_text()
    it.sluice.policy.write_text(text.replace('defaults : {', 'defaults : { on_control_lost = "wait";'))
    need(it.sluice.cli('policy', 'reload', check=False).returncode == 0, 'the policy was not taken')
    it.healthy()
    session, mark = it.session(), random.randrange(10**9, 2 * 10**9)
    need(session.say('SELECT 1;').strip() == '1', 'no session')
    os.kill(core(it)[1], signal.SIGKILL)
    answer = session.say(f'SELECT {mark};', 60)
    need(answer.strip() == str(mark), f'not waited for: {answer}')
    session.close()
    it.sluice.policy.write_text(text)
    it.sluice.cli('policy', 'reload')
    it.healthy()
    return 'released after the restart'


# --- The journal's volume ---

def fill(it, percent):
    """A file of ours on the journal's volume, until so much of it is used."""
    volume = it.sluice.state / 'journal'
    v = os.statvfs(volume)
    used = v.f_blocks - v.f_bfree
    wanted = (v.f_blocks * percent + 99) // 100 - used
    if wanted > 0:
        with open(volume / f'filler-{percent}', 'wb') as f:
            os.posix_fallocate(f.fileno(), 0, wanted * v.f_frsize)


def empty(it):
    for path in (it.sluice.state / 'journal').glob('filler-*'):
        path.unlink()


def level(it):
    return it.json('show', 'journal')['journal']


def volume_fills(it):
    session = it.session()
    need(session.say('SELECT 1;').strip() == '1', 'no session')
    for percent, word in ((83, 'alarm'), (92, 'digest'), (96, 'no_sessions')):
        fill(it, percent)
        world.wait_for(word, lambda word=word: level(it)['level'] == word, 30)
        world.wait_for('the alarm', lambda word=word: [r for r in it.records('--type', 'journal.alarm') if r['data'].get('level') == word], 30)
        if word == 'digest':
            mark = random.randrange(10**9, 2 * 10**9)
            need(session.say(f'SELECT {mark};').strip() == str(mark), 'an open session')
    world.wait_for('no new session', lambda: 'no room for new sessions' in it.psql('SELECT 1').stderr, 30)
    need(session.say('SELECT 3;').strip() == '3', 'an open session ended')
    health = it.json('show', 'health')
    need(health['state'] == 'degraded' and health['journal']['level'] == 'no_sessions', f'{health["state"]} {health["journal"]}')
    it.full = session
    return 'alarm, digest, no new sessions; the open one lives'


def volume_full(it):
    session, mark = it.full, random.randrange(10**9, 2 * 10**9)
    fill(it, 99)
    world.wait_for('full', lambda: level(it)['stop'] == 'full', 30)
    answer = session.say(f'SELECT {mark};')
    need('ERROR' in answer and 'journal cannot be written' in answer, f'not refused: {answer}')
    need(str(mark) not in (it.lab.dir / 'postgres.log').read_text(), 'it reached the database')
    done = it.sluice.cli('--json', 'show', 'health', check=False)
    need(done.returncode == 1 and '"blocking"' in done.stdout, f'{done.returncode} {done.stdout[:200]}')
    need(it.records('--type', 'journal.stop'), 'the stop is no record')
    empty(it)
    world.wait_for('a resume', lambda: level(it)['stop'] == '', 30)
    world.wait_for('the record of it', lambda: it.records('--type', 'journal.resume'), 30)
    need(session.say('SELECT 4;').strip() == '4', 'the session did not live on')
    session.close()
    it.healthy()
    resumed = it.records('--type', 'journal.resume')[-1]['data']
    return f'{answer.strip().splitlines()[0][:100]}; resumed: {resumed}'


def volume_breaks(it):
    """The volume has no byte left at once, under load: within one commit nothing passes any more; nothing that was acknowledged is lost."""
    from kill_test import bench
    running = bench(it, 'simple', 12)
    time.sleep(2)
    volume = it.sluice.state / 'journal'
    with open(volume / 'filler-all', 'wb', buffering=0) as f:
        try:
            while True:
                f.write(bytes(1 << 16))
        except OSError:
            pass
    mark = random.randrange(10**9, 2 * 10**9)
    done = it.psql(f'SELECT {mark}')
    time.sleep(3)
    need(str(mark) not in (it.lab.dir / 'postgres.log').read_text() or done.returncode != 0, 'a session while the disk is full')
    before = (it.lab.dir / 'postgres.log').read_text().count('LOG:')
    time.sleep(2)
    after = (it.lab.dir / 'postgres.log').read_text().count('LOG:')
    running.kill()
    running.communicate()
    empty(it)
    it.healthy(120)
    need(after == before, f'{after - before} statements passed while the disk was full')
    told = it.sluice.cli('journal', 'verify').stdout.strip().splitlines()[-1]
    need(told.startswith('good'), told)
    world.wait_for('a resume', lambda: it.records('--type', 'journal.resume'), 30)
    return f'nothing passed; {told}'


# --- The data plane ---

def midstream(it):
    """An idle client whose data plane died sends again: reset at once, no time-out."""
    session = it.session()
    need(session.say('SELECT 1;').strip() == '1', 'no session')
    it.kill_and_wait('sluice-dataplane')
    it.healthy()
    try:
        told = session.say('SELECT 1;', 60)
    except (AssertionError, BrokenPipeError) as error:
        told = str(error)
    need('closed the connection' in told or 'reset' in told or 'lost' in told or 'ended' in told, f'not told: {told}')
    return told.strip().splitlines()[0][:120]


def parser_dies(it):
    """The parser dies with a statement in its hands: the statement is unknown, so refused; the session lives."""
    session, parser = it.session(), it.pid('sluice-sqlparse')
    need(session.say('SELECT 1;').strip() == '1', 'no session')
    os.kill(parser, signal.SIGSTOP)
    number = session.send(f'SELECT {random.randrange(10**9, 2 * 10**9)} AS fresh, item FROM orders WHERE id = 1;')
    time.sleep(0.3)
    try:
        os.kill(parser, signal.SIGKILL)
    except ProcessLookupError:
        pass  # control found it stuck before
    answer = session.read(number)
    need('42501' in answer and 'fresh' not in answer.splitlines()[0], f'{answer}')
    need(session.say('SELECT 48;').strip() == '48', 'the session did not live on')
    reasons = [r['out']['reason'] for r in it.records('--type', 'cmd', '--verdict', 'blocked')]
    need('unknown' in reasons, f'no record of it: {reasons[-5:]}')
    session.close()
    return answer.strip().splitlines()[0][:120]


def reloads(it):
    """Sessions that open while the policy is replaced: none is refused for it."""
    text, stop, problems, done = it.sluice.policy.read_text(), [], [], [0]
    import threading

    def attack():
        while not stop:
            one = it.psql('SELECT 41 + 1')
            done[0] += 1
            if one.stdout != '42\n':
                problems.append(one.stderr)
    threads = [threading.Thread(target=attack) for _ in range(3)]
    for t in threads:
        t.start()
    try:
        for version in range(100, 112):
            it.sluice.policy.write_text(re.sub(r'version = \d+', f'version = {version}', text))
            need(it.sluice.cli('policy', 'reload', check=False).returncode == 0, 'not taken')
            time.sleep(0.4)
    finally:
        stop.append(1)
        for t in threads:
            t.join()
        it.sluice.policy.write_text(text)
    need(not problems, f'{len(problems)} of {done[0]} refused: {problems[:1]}')
    return f'{done[0]} sessions over 12 policies'


def run(it, result):
    it.healthy()
    result.check('false targets', lambda: false_servers(it))
    result.check('an expired certificate', lambda: wrong(it, 'expired-db', '08001', 'certificate refused: certificate has expired'))
    result.check('a certificate of another name', lambda: wrong(it, 'other-name-db', '08001', 'certificate refused: hostname mismatch'))
    result.check('a certificate of an unknown authority', lambda: wrong(it, 'other-ca-db', '08001', 'certificate refused: unable to get local issuer'))
    result.check('a target without TLS', lambda: wrong(it, 'plain-db', '08001', 'does not offer TLS'))
    result.check('a target whose roots nobody named', lambda: wrong(it, 'rootless-db', '08001', 'no roots are known'))
    result.check('a target that resets in the login', lambda: wrong(it, 'reset-db', '08006', 'the target'))
    result.check('a target that is not there', lambda: unreachable(it))
    result.check('sessions open while policies are replaced', lambda: reloads(it))
    result.check('the parser dies with a statement', lambda: parser_dies(it))
    result.check('control is gone: refused at once, the session lives', lambda: control_gone(it))
    result.check('control stands still', lambda: control_stands(it))
    result.check('control is lost, and the policy waits', lambda: control_waits(it))
    result.check('the journal\'s volume fills up', lambda: volume_fills(it))
    result.check('the journal\'s volume is full', lambda: volume_full(it))
    result.check('the journal\'s volume breaks under load', lambda: volume_breaks(it))
    result.check('the data plane dies: the next packet is reset', lambda: midstream(it))
    result.check('the journal is good', lambda: it.sluice.cli('journal', 'verify').stdout.strip().splitlines()[-1])


def small_volume(it):
    """The journal on a volume of its own, small enough to be filled."""
    directory = it.sluice.state / 'journal'
    directory.mkdir(exist_ok=True)
    world.run('mount', '-t', 'tmpfs', '-o', f'size={VOLUME},mode=0700', 'tmpfs', directory)
    it.lab.own(lambda: world.run('umount', '-l', directory, check=False))
    world.run('chown', 'sluice:sluice', directory)


class Small(scene.Scene):
    def start(self):
        small_volume(self)
        super().start()


if __name__ == '__main__':
    scene.Scene = Small
    sys.exit(scene.main('failt', run, services=services(), edit=edit, upstreams=[n for n in ('shop-db', *DBS) if n != 'rootless-db'],
                        settings="log_statement = 'all'\nlog_line_prefix = '%u %p '\n"))
