#!/usr/bin/python3
"""The policy is replaced under open sessions; a broken one changes nothing; `check` and `explain` say what the wire does."""
import os
import re
import signal
import subprocess
import sys
import threading
import time

import scene
from scene import OPAQUE_PORT, in_namespace
from tap import need, world

AS = 'person=p-alice,agent=agent-7,issuer=lab,group=agents,run=run-7'
# Each a change of the good policy that makes it wrong, and words of the message.
BROKEN = (
    ('a word that is not known', 'action = "allow"', 'action = "alow"'),
    ('a setting that is not known', 'policy : { format = 1;', 'policy : { format = 1; frobnicate = 3;'),
    ('a syntax error', 'rules = (', 'rules = ('),
    ('a class that is not there', 'mask = [ "pii.email"', 'mask = [ "pii.nose"'),
    ('a detector that is not there', 'detector = "us_ssn"', 'detector = "us_nose"'),
    ('an approval that is not there', 'approval = "one-dba"', 'approval = "two-dba"'),
    ('a rule twice', 'id = "write-orders"', 'id = "read"'),
    ('an include', 'policy : {', '@include "/etc/passwd"\npolicy : {'),
    ('inspected and open on failure', 'fail = "closed"', 'fail = "open"'),
)


def broken_text(good, name, old, new):
    need(old in good, f'{name}: the policy has no {old}')
    text = good.replace(old, new, 1)
    return text + '\n"' if name == 'a syntax error' else text


def in_force(it):
    return it.json('policy', 'show')


def reload(it, text, check=True):
    it.sluice.policy.write_text(text)
    return it.sluice.cli('policy', 'reload', check=check)


def generation(it):
    return len(re.findall(r'policy generation \d+ is in force', it.log_text()))


def reload_good(it, text):
    before = generation(it)
    reload(it, text)
    world.wait_for('the new policy at the worker', lambda: generation(it) > before, 60)


def check_verb(it, good):
    path = it.lab.dir / 'candidate.cfg'
    path.write_text(good)
    done = it.sluice.cli('policy', 'check', path, check=False)
    need(done.returncode == 0, f'the good policy: {done.returncode} {done.stdout}{done.stderr}')
    for name, old, new in BROKEN:
        path.write_text(broken_text(good, name, old, new))
        done = it.sluice.cli('policy', 'check', path, check=False)
        need(done.returncode == 2, f'{name}: status {done.returncode}')
        need(re.search(r'candidate\.cfg:\d+', done.stdout + done.stderr), f'{name}: no file and line: {done.stdout}{done.stderr}')
    done = it.sluice.cli('policy', 'check', it.lab.dir / 'nothing-here.cfg', check=False)
    need(done.returncode == 2, f'a file that is not there: status {done.returncode}')
    return f'0 for the good one, 2 with file and line for {len(BROKEN)} broken ones, 2 for none'


def refused(it, good):
    session = it.session()
    before = in_force(it)
    for name, old, new in BROKEN:
        done = reload(it, broken_text(good, name, old, new), check=False)
        text = done.stdout + done.stderr
        need(done.returncode == 2, f'{name}: status {done.returncode}: {text}')
        need(re.search(r'policy\.cfg:\d+', text), f'{name}: no file and line: {text}')
        need(in_force(it) == before, f'{name}: the policy in force changed')
    need(session.say('SELECT count(*) FROM orders;').strip() == '200', 'the old policy does not work')
    need('no-ddl' in session.say('DROP TABLE orders;'), 'the old policy does not work')
    session.close()
    it.sluice.policy.write_text(good)
    return f'{len(BROKEN)} times status 2 with file and line; the old one stays'


def hash_of(it, text):
    """The policy's hash in the record of the command that holds `text`."""
    found = [r for r in it.records('--type', 'cmd') if text in r['op']['norm']]
    need(found, f'no record of {text}')
    return found[-1]['pol']


def swap(it, good):
    """One session, five policies: judged by the new one at its next statement, in the middle of a transaction."""
    session = it.session()
    need('ada@calc.io' not in session.say("SELECT email AS one FROM customers WHERE id = 1;"), 'not masked')
    session.say('BEGIN;')
    session.say('UPDATE orders SET cents = 1 WHERE id = 1;')
    first = in_force(it)

    reload_good(it, good.replace('verbs = [ "select",', 'verbs = [ "lock",').replace('version = 1', 'version = 2'))
    answer = session.say('SELECT email AS two FROM customers WHERE id = 1;')
    need('42501' in answer, f'the new policy does not hold for the next statement: {answer}')
    need(in_force(it) != first, 'show policy tells the old one')
    session.say('ROLLBACK;')

    reload_good(it, good.replace('version = 1', 'version = 3'))
    answer = session.say('SELECT email AS three, 7 FROM customers WHERE id = 1;')
    need('|7' in answer and 'ada@calc.io' not in answer, f'the session did not live on: {answer}')

    reload_good(it, good.replace('version = 1', 'version = 4').replace('mask = [ "pii.email", "pii.ssn", "pii.card", "pii.phone", "pii.iban" ]', 'mask = [ "pii.ssn" ]'))
    answer = session.say('SELECT email AS four, ssn FROM customers WHERE id = 1;')
    need('ada@calc.io' in answer and '536-22-8726' not in answer, f'the masks are not the new policy\'s: {answer}')

    reload_good(it, good.replace('version = 1', 'version = 5'))
    answer = session.say('SELECT email AS five FROM customers WHERE id = 1;')
    need('ada@calc.io' not in answer, f'the masks are not the newest policy\'s: {answer}')
    session.close()
    hashes = [hash_of(it, f'as {word} from') if word in ('one', 'two', 'five') else hash_of(it, f'as {word},') for word in ('one', 'two', 'three', 'four', 'five')]
    need(len(set(hashes)) == 5, f'hashes: {hashes}')
    return 'refused, allowed, unmasked, masked again in one session; each record carries its policy\'s hash'


def under_load(it, good):
    """Reloads while an opaque stream and pgbench run: nobody notices."""
    box = {}

    def stream():
        try:
            box['stream'] = it.bulk(400 << 20)
        except Exception as error:
            box['error'] = error
    thread = threading.Thread(target=stream)
    script = it.lab.dir / 'read.sql'
    script.write_text('\\set id random(1, 200)\nSELECT item FROM orders WHERE id = :id;\n')
    bench = subprocess.Popen(['ip', 'netns', 'exec', it.wire.agent, 'pgbench', '-n', '-h', it.wire.target_address, '-U', 'alice', '-f', str(script), '-c', '4',
                              '-t', '500', 'shop'], env=it.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    thread.start()
    reloads = 0
    while bench.poll() is None or reloads < 5:
        reloads += 1
        reload(it, good.replace('version = 1', f'version = {10 + reloads}'))
        time.sleep(0.2)  # a session that is opening reads the catalogue again for each policy, and gives up after three
    out, err = bench.communicate()
    thread.join()
    need(bench.returncode == 0 and '2000/2000' in out, f'pgbench: {out[-300:]}{err[-300:]}')
    need('stream' in box, f'the stream: {box.get("error")}')
    return f'{reloads} reloads, 2000 of 2000 transactions, {box["stream"]}'


def removed_service(it, good):
    """A service that is taken out of the policy: its address is guarded no more by it; new connections find no way in."""
    s = in_namespace(it.wire.agent, lambda: __import__('socket').create_connection((it.wire.target_address, OPAQUE_PORT), 60))
    s.close()
    reload_good(it, re.sub(r'\n\s*\{ name = "bulk";.*', '', good).replace('version = 1', 'version = 30'))

    def talk():
        try:
            __import__('socket').create_connection((it.wire.target_address, OPAQUE_PORT), 4).close()
        except TimeoutError:
            return
        raise AssertionError('a port that no service names any more is reached')
    in_namespace(it.wire.agent, talk)
    reload_good(it, good.replace('version = 1', 'version = 31'))
    it.bulk(1 << 20)
    return 'out: not reachable; in again: reachable'


def restarted(it, good):
    """Control dies after many reloads: a session that is open meanwhile, and later reloads, are judged as before."""
    session = it.session()
    need(session.say('SELECT 50;').strip() == '50', 'no session')
    for pid in it.pids('sluice-control'):
        os.kill(pid, signal.SIGKILL)
    world.wait_for('control', lambda: len(it.pids('sluice-control')) == 2, 60)
    it.healthy()
    need(session.say('SELECT 51;').strip() == '51', 'the session did not live on')
    reload_good(it, good.replace('verbs = [ "select",', 'verbs = [ "lock",').replace('version = 1', 'version = 5000'))
    need('42501' in session.say('SELECT 52;'), 'the reload after the restart does not hold')
    reload_good(it, good.replace('version = 1', 'version = 5001'))
    need(session.say('SELECT 53;').strip() == '53', 'the second reload after the restart does not hold')
    session.close()


def explains(it, good):
    """explain and the wire agree on each statement."""
    it.sluice.policy.write_text(good)
    rows = (('SELECT item FROM orders WHERE id = 1', 'allow'), ('SELECT email FROM customers', 'allow'), ('UPDATE orders SET cents = 2 WHERE id = 2', 'allow'),
            ('UPDATE customers SET name = $$x$$', 'block'), ('DELETE FROM orders WHERE id = 3', 'hold'), ('DELETE FROM customers', 'block'),
            ('DROP TABLE orders', 'block'), ('TRUNCATE orders', 'block'), ('SELEKT 1', 'block'), ('DO $$ BEGIN EXECUTE $q$DROP TABLE orders$q$; END $$', 'block'),
            ('SELECT 1; DROP TABLE orders', 'block'), ('GRANT SELECT ON orders TO PUBLIC', 'block'), ('COPY orders TO PROGRAM $$cat$$', 'block'))
    for text, want in rows:
        done = it.sluice.cli('policy', 'explain', '--as', AS, '--service', 'shop-db', '--database', 'shop', '--text', text, check=False)
        said = re.search(r'\b(allow|block|hold)(?:ed|s)?\b', done.stdout)
        need(said and said[1] == want, f'{text}: explain says {done.stdout.strip()[:300]}{done.stderr}, not {want}')
        if want == 'hold':
            running = it.psql_open(text)
            number = it.pending()[0]
            it.vote('deny', number)
            out, err = running.communicate(timeout=120)
            need('ERROR' in err, f'{text}: not held: {out}{err}')
        else:
            wire = it.psql(text)
            need((wire.returncode == 0) == (want == 'allow'), f'{text}: the wire says {wire.stdout}{wire.stderr}')
    return f'{len(rows)} statements'


def run(it, result):
    good = it.sluice.policy.read_text()
    it.bulk_server()
    result.check('policy check: exit status, file and line', lambda: check_verb(it, good))
    result.check('a broken policy is refused at reload', lambda: refused(it, good))
    result.check('an open session is judged by the new policy', lambda: swap(it, good))
    result.check('explain agrees with the wire', lambda: (reload_good(it, good.replace('version = 1', 'version = 6')), explains(it, good))[1])
    result.check('a service is removed and comes back', lambda: removed_service(it, good))
    result.check('reloads drop no flow', lambda: under_load(it, good))
    result.check('reloads after control was killed', lambda: restarted(it, good))
    result.check('the journal is good', lambda: it.sluice.cli('journal', 'verify').stdout.strip().splitlines()[-1])


if __name__ == '__main__':
    sys.exit(scene.main('polit', run, services=scene.OPAQUE))
