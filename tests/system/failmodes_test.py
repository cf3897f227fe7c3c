#!/usr/bin/python3
"""What fails, and what then happens (policy.md 4, journal.md 10): control dies or stands still, the journal's volume stalls, becomes read-only
or fills up, the clock is stepped, the target's certificate is wrong, the data plane dies. Nothing that is guarded passes for it, and whoever asks is told.

The journal's disk is an ext4 of its own, which errors make read-only, later a small tmpfs; stalled flushes and clock steps are put into the real control by
fault.c. STALL in the environment: how many seconds a flush stands still (5)."""
import ctypes
import mmap
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import scene
from protocol_test import Bare, code
from tap import need, world

VOLUME = 24 << 20
DISK = 30 << 20
STALL_S = float(os.environ.get('STALL', 5))
STEP_S = 900
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
        time.sleep(0.5)  # what comes before the worker has seen it is withheld, and ends the session (stall_test.py)
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


# --- The journal's disk and the clock ---

class Faults:
    """The page of fault.c, shared with this scene's control."""

    def __init__(self, lab):
        program, file = lab.dir / 'fault.so', lab.dir / 'fault.page'
        world.run('cc', '-O2', '-shared', '-fPIC', '-o', program, Path(__file__).parent / 'fault.c', '-ldl')
        file.write_bytes(bytes(4096))
        with open(file, 'r+b') as f:
            self.page = mmap.mmap(f.fileno(), 4096)
        self.env = {**os.environ, 'LD_PRELOAD': str(program), 'FAULT_PAGE': str(file)}

    def flushes_stall(self, on):
        ctypes.c_uint64.from_buffer(self.page, 0).value = on  # one store: struct.pack_into writes byte by byte

    def clock(self, seconds):
        ctypes.c_int64.from_buffer(self.page, 8).value = seconds * 1000000

    def stalled(self):
        return ctypes.c_uint64.from_buffer(self.page, 16).value


def database_log(it):
    return (it.lab.dir / 'postgres.log').read_text(errors='replace')


def refused(it, session, *says):
    """A statement, and a new session, that have no way to the database now; who sent them is told why."""
    mark = random.randrange(10**9, 2 * 10**9)
    answer = session.say(f'SELECT {mark};')
    need('ERROR' in answer and any(word in answer for word in says), f'not told: {answer}')
    done = it.psql(f'SELECT {mark}')
    need(done.returncode == 2 and any(word in done.stderr for word in says), f'a new session: {done.stdout}{done.stderr}')
    need(str(mark) not in database_log(it), 'it reached the database')
    return ' '.join(answer.split())[:110]


def goes_on(it, session):
    it.healthy(120)
    need(session.say('SELECT 4;').strip() == '4', 'the session did not live on')
    session.close()
    need(it.json('show', 'journal')['journal']['stop'] == '', 'it is stopped still')


def flush_stalls(it):
    """A flush that stands still: what was not acknowledged is not released, and nobody waits for the disk to be told."""
    session = it.session()
    need(session.say('SELECT 1;').strip() == '1', 'no session')
    begin = time.monotonic()
    it.faults.flushes_stall(1)
    try:
        told = refused(it, session, 'the control plane does not answer')
        need(it.faults.stalled() > 0, 'no flush stalled')
        lines = database_log(it).count('LOG:')
        time.sleep(max(0, STALL_S - (time.monotonic() - begin)))
        need(database_log(it).count('LOG:') == lines, 'something passed while no record could be made durable')
    finally:
        it.faults.flushes_stall(0)
    goes_on(it, session)
    slow = [int(r['data']['ms']) for r in it.records('--type', 'journal.alarm') if r['data']['alarm'] == 'slow_flush']
    need(slow and max(slow) > 2000, f'no alarm: {slow}')
    return f'{told}; the alarm says {max(slow)} ms'


def clock_steps(it):
    """The wall clock steps forward: nothing happens; by more than a year, nothing is destroyed for its age. Back: stopped, with the reason, until it is where it was; and a restart is clean."""
    session = it.session()
    need(session.say('SELECT 1;').strip() == '1', 'no session')
    it.sluice.cli('journal', 'hold', 'add', '--matter', 'clock', '--reason', 'stays through a stop', '--from', '0', '--to', '1')
    try:
        it.faults.clock(STEP_S)
        time.sleep(1.5)
        need(session.say('SELECT 2;').strip() == '2' and it.psql('SELECT 3').stdout == '3\n', 'a step forward stopped it')
        it.faults.clock(-STEP_S)
        world.wait_for('the stop', lambda: level(it)['stop'] == 'clock', 30)
        told = refused(it, session, 'journal cannot be written')
        health = it.sluice.cli('--json', 'show', 'health', check=False)
        need(health.returncode == 1 and '"blocking"' in health.stdout and 'clock' in health.stdout, f'{health.returncode} {health.stdout[:400]}')
        need('journal: the clock went back: commands are refused' in it.log_text(), 'the log does not tell')
        it.faults.clock(STEP_S)
        world.wait_for('a resume', lambda: level(it)['stop'] == '', 30)
        goes_on(it, session)
        it.faults.clock(500 * 86400)
        ahead = world.wait_for('the alarm of a clock set ahead', lambda: [r for r in it.records('--type', 'journal.alarm') if r['data']['alarm'] == 'clock_step'], 30)
        need([r['data']['state'] for r in ahead] == ['ahead'], f'{ahead}')
    finally:
        it.faults.clock(0)
    world.wait_for('a second stop', lambda: level(it)['stop'] == 'clock', 30)
    os.kill(core(it)[1], signal.SIGKILL)
    it.healthy(120)
    said = [r for kind in ('stop', 'resume') for r in it.records('--type', f'journal.{kind}') if r['data']['cause'] == 'clock']
    kinds = [r['t'] for r in said]
    # Back to the true time was a second step back: a new process begins where the clock is, and says that it goes on.
    need(kinds.count('journal.stop') == 2 and kinds.count('journal.resume') == 2, f'not on record: {kinds}')
    need(said[-1]['data']['detail'] == 'a new process' and int(said[-1]['data']['seconds']) < 600, f'the resume: {said[-1]["data"]}')
    need(level(it)['stop'] == '', 'stopped after the restart')
    need('stays through a stop' in it.sluice.cli('--json', 'journal', 'hold', 'list').stdout, 'what is kept of the stop took the place of a hold')
    return told


def volume_read_only(it):
    """The file system becomes read-only under load, as ext4 does by itself after an error; then it is repaired."""
    from kill_test import bench
    session, running = it.session(), bench(it, 'simple', 20)
    need(session.say('SELECT 1;').strip() == '1', 'no session')
    world.wait_for('pgbench', lambda: database_log(it).count('UPDATE orders') > 100, 60)
    world.run('mount', '-o', 'remount,abort', it.volume.directory)
    world.wait_for('read-only', it.volume.read_only, 10)
    told = refused(it, session, 'journal cannot be written', 'the control plane does not answer')
    lines = database_log(it).count('LOG:')
    running.kill()
    running.communicate()
    time.sleep(1)
    need(database_log(it).count('LOG:') == lines, 'statements passed')
    log = it.log_text()
    need('journal: stopped (' in log, f'no alarm: {log[-500:]}')
    runner = it.sluice.process.child.pid
    os.kill(runner, signal.SIGSTOP)  # as an operator does who stops the service: nobody starts control meanwhile, on a directory without its volume
    try:
        world.wait_for('control to be gone', lambda: not it.pids('sluice-control'), 60)
        it.volume.repair()
    finally:
        os.kill(runner, signal.SIGCONT)
    goes_on(it, session)
    said = [r['data'] for kind in ('stop', 'resume') for r in it.records('--type', f'journal.{kind}') if r['data']['cause'] == 'failed']
    need(len(said) >= 2, f'neither stop nor resume is a record: {said}')
    return f'{told}; on record: {said[-1]}'


def all_on_record(it):
    from kill_test import compare
    return compare(it, 1, 100)


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
    running = bench(it, 'simple', 12, rate=150)  # on a fast machine its records alone would fill the volume for good
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
    result.check('a flush of the journal stalls', lambda: flush_stalls(it))
    result.check('the clock steps forward and back', lambda: clock_steps(it))
    result.check('the journal\'s disk becomes read-only under load', lambda: volume_read_only(it))
    result.check('every statement is on record', lambda: all_on_record(it))
    result.check('the journal\'s volume fills up', lambda: volume_fills(it))
    result.check('the journal\'s volume is full', lambda: volume_full(it))
    result.check('the journal\'s volume breaks under load', lambda: volume_breaks(it))
    result.check('the data plane dies: the next packet is reset', lambda: midstream(it))
    result.check('the journal is good', lambda: it.sluice.cli('journal', 'verify').stdout.strip().splitlines()[-1])


class Volume:
    """The journal's directory as a file system of its own: first an ext4, which an error makes read-only; once that is repaired, a small tmpfs
    that can be filled to the percent."""

    def __init__(self, it):
        self.lab, self.directory, self.image = it.lab, it.sluice.state / 'journal', it.lab.dir / 'journal.img'
        self.directory.mkdir(exist_ok=True)
        with open(self.image, 'wb') as f:
            f.truncate(DISK)
        world.run('mkfs.ext4', '-q', '-b', '4096', '-N', '512', '-m', '0', '-J', 'size=4', self.image)
        self.mount(self.directory, '-o', 'loop,errors=remount-ro', self.image)
        (self.directory / 'lost+found').rmdir()
        self.own()

    def mount(self, where, *argv):
        world.run('mount', *argv, where)
        self.lab.own(lambda: world.run('umount', '-l', where, check=False))

    def own(self):
        world.run('chown', 'sluice:sluice', self.directory)
        self.directory.chmod(0o700)

    def read_only(self):
        """No flag of the mount tells: newer kernels keep it for a remount by hand."""
        try:
            os.close(os.open(self.directory / 'probe', os.O_WRONLY | os.O_CREAT))
        except OSError:
            return True
        return False

    def repair(self):
        """As an operator does: the disk is checked, and what it holds goes to another. What runs in a namespace may keep it mounted there, so it
        is its copy that is read."""
        old, image = self.lab.dir / 'old', self.lab.dir / 'journal.copy'
        world.wait_for('the volume to be free', lambda: subprocess.run(['umount', self.directory], stderr=subprocess.DEVNULL).returncode == 0, 60)
        shutil.copy(self.image, image)
        world.run('e2fsck', '-p', image, check=False)
        old.mkdir()
        self.mount(old, '-o', 'loop,ro', image)
        new = self.lab.dir / 'new'
        new.mkdir()
        self.mount(new, '-t', 'tmpfs', '-o', f'size={VOLUME},mode=0700', 'tmpfs')
        world.run('cp', '-a', f'{old}/.', new)
        self.mount(self.directory, '--bind', new)
        self.own()


class Small(scene.Scene):
    def start(self):
        self.volume, self.faults = Volume(self), Faults(self.lab)
        self.sluice.env = self.faults.env
        super().start()


if __name__ == '__main__':
    scene.Scene = Small
    sys.exit(scene.main('failt', run, services=services(), edit=edit, upstreams=[n for n in ('shop-db', *DBS) if n != 'rootless-db'],
                        settings="log_statement = 'all'\nlog_line_prefix = '%u %p '\n"))
