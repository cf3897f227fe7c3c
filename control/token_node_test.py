#!/usr/bin/python3
"""token_node_test.py: a node whose P-256 key lies in a PKCS#11 token: the real sluice-control, sluice-signer, sluice-token, and SoftHSM.

usage: token_node_test.py SLUICE SLUICE_CONTROL WORKER_TOOL CLASSES FAKE_MODULE HELPER...
What an operator and an auditor see of it: checkpoints, bundles, a token that is gone, one that hangs, a wrong PIN. TAP on stdout.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from node_test import World, ending, scratch

MODULE = '/usr/lib/softhsm/libsofthsm2.so'
PIN = 'PIN-CANARY-4711'


class TokenWorld(World):
    """With p256.uri in the signer's directory before the first start."""
    fake = None

    def start(self):
        signer, hsm = self.dir / 'state' / 'signer', self.dir / 'hsm'
        if not signer.exists():
            signer.mkdir(mode=0o710)
            hsm.mkdir()
            (hsm / 'tokens').mkdir()
            (hsm / 'softhsm2.conf').write_text(f'directories.tokendir = {hsm}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n')
            self.give_pin(PIN)
            if not self.fake:
                self.tool('softhsm2-util', '--init-token', '--free', '--label', 'node', '--so-pin', '87654321', '--pin', PIN)
                self.tool('pkcs11-tool', '--module', MODULE, '--token-label', 'node', '--login', '--pin', PIN, '--keypairgen', '--key-type', 'EC:prime256v1',
                          '--label', 'journal', '--id', '01', '--usage-sign')
            (signer / 'p256.uri').write_text(f'pkcs11:token=node;object=journal?module-path={MODULE}&pin-source=file:{hsm}/pin\nSOFTHSM2_CONF={hsm}/softhsm2.conf\n' if not self.fake else
                                             f'pkcs11:token=fake;object=k?module-path={self.fake}&pin-source=file:{hsm}/pin\nFAKE_DOES=hang-open\n')
        super().start()

    def tool(self, *argv):
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, 'SOFTHSM2_CONF': str(self.dir / 'hsm' / 'softhsm2.conf')})

    def give_pin(self, pin):
        path = self.dir / 'hsm' / 'pin'
        path.unlink(missing_ok=True)
        path.write_text(pin + '\n')
        path.chmod(0o400)

    def health(self):
        return self.ask('show', 'health')

    def said(self):
        return (self.dir / 'log').read_text(errors='replace')

    def record(self):
        """One more: a reading is one."""
        self.ask('session', 'list')

    def signed(self, seconds=30):
        """A new record gets under a checkpoint."""
        self.record()
        size = self.health()['journal']['size']
        return self.until(lambda: self.health()['journal']['checkpoint_size'] >= size, seconds)


def signs(w):
    w.check(w.until(lambda: all(w.health()['helpers'].values()) and w.health()['journal']['checkpoint_size'], 60), 'it starts and signs', w.said()[-1500:])
    note = (w.dir / 'state' / 'journal' / 'checkpoint').read_text()
    w.check(len(re.findall('^— test.example/journal/t ', note, re.M)) == 2, 'with two lines', note)
    w.check(len(w.find('sluice-token')) == 1 and not (w.dir / 'state' / 'signer' / 'p256.pem').exists(), 'one sluice-token, and no p256.pem', w.find('sluice-token'))
    w.tool('pkcs11-tool', '--module', MODULE, '--token-label', 'node', '--read-object', '--type', 'pubkey', '--id', '01', '-o', w.dir / 'public.der')
    key = subprocess.run(['openssl', 'pkey', '-pubin', '-in', w.dir / 'state' / 'journal' / 'log-p256.pem', '-outform', 'DER'], stdout=subprocess.PIPE, check=True).stdout
    w.check(key == (w.dir / 'public.der').read_bytes(), "log-p256.pem is the token's key")


def is_audited(w):
    w.signed()
    done = w.cli('journal', 'verify')
    w.check(done.returncode == 0 and 'good' in done.stdout, 'journal verify', done.stdout + done.stderr)
    bundle = w.dir / 'bundle'
    done = w.cli('export', 'bundle', '--out', bundle)
    w.check(done.returncode == 0 and (bundle / 'VERIFY.md').exists() and (bundle / 'trust' / 'log-p256.pem').exists(), 'a bundle, with both keys', done.stderr)
    checked = subprocess.run(['sh', 'verify.sh', '1'], cwd=bundle, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    w.check(checked.returncode == 0 and 'all checks passed' in checked.stdout and 'Verified OK' in checked.stdout, 'whose commands pass', checked.stdout[-600:])


def comes_back(w):
    before = w.find('sluice-token')
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    w.check(w.signed(60), 'sluice-token is killed: the next checkpoint is signed', w.said()[-800:])
    w.check(w.find('sluice-token') != before and len(w.find('sluice-token')) == 1, 'by another one', (before, w.find('sluice-token')))
    w.check('sluice-token is gone' in w.said(), 'and the log has it', w.said()[-800:])


def is_pulled_out(w):
    (w.dir / 'hsm' / 'tokens').rename(w.dir / 'hsm' / 'away')
    (w.dir / 'hsm' / 'tokens').mkdir()
    for pid in w.find('sluice-token'):
        os.kill(pid, signal.SIGKILL)
    w.record()
    w.check(w.until(lambda: not w.health()['helpers']['signer'], 30), 'a token that is pulled out: no signer', w.health())
    w.check(w.until(lambda: w.said().count('no token that is plugged in') >= 2, 30), 'which says why, at each try', w.said()[-800:])
    health, slowest = w.health(), 0
    for _ in range(30):
        begin = time.monotonic()
        w.record()
        slowest = max(slowest, time.monotonic() - begin)
        time.sleep(0.1)
    after = w.health()
    w.check('checkpoints are not signed' in after['reasons'] and after['journal']['checkpoint_size'] == health['journal']['checkpoint_size'], 'no checkpoint, not one with a line less', after)
    w.check(after['journal']['size'] >= health['journal']['size'] + 30 and slowest < 1, 'records go on, and nobody waits', (slowest, after['journal']))
    w.check(not w.json('journal', 'search', '--type', 'journal.refused')['records'] and 'longer journal' not in w.said(), 'and nobody is told of a journal that was cut back')
    (w.dir / 'hsm' / 'tokens').rmdir()
    (w.dir / 'hsm' / 'away').rename(w.dir / 'hsm' / 'tokens')
    w.check(w.signed(60), 'plugged in again: all is signed', w.said()[-800:])
    backs = [r for r in w.json('journal', 'search', '--type', 'node.health')['records'] if r['data'].get('helper') == 'sluice-signer']
    w.check(len(backs) == 2, 'each return is one record, however many tries it took', backs)


def has_a_wrong_pin(w):
    w.give_pin('wrong')
    for pid in w.find('sluice-signer'):
        os.kill(pid, signal.SIGKILL)
    w.check(w.until(lambda: w.said().count('was wrong, and is not tried again') >= 3, 60), 'a wrong PIN: control starts the signer again and again', w.said()[-800:])
    w.check(w.said().count("the token's login: ") == 1, 'and the token sees it once', w.said()[-800:])
    w.give_pin(PIN)
    w.check(w.signed(60) and not (w.dir / 'state' / 'signer' / 'state.p256-pin').exists(), 'the right one is taken', w.said()[-800:])


def rotates(w):
    """To another key of the token, by the operator's command and two persons."""
    signer, old = w.dir / 'state' / 'signer', (w.dir / 'state' / 'journal' / 'vkey').read_text()
    w.tool('pkcs11-tool', '--module', MODULE, '--token-label', 'node', '--login', '--pin', PIN, '--keypairgen', '--key-type', 'EC:prime256v1', '--label', 'second', '--id', '02', '--usage-sign')
    (signer / 'next-p256.uri').write_text((signer / 'p256.uri').read_text().replace('object=journal', 'object=second'))
    asked = json.loads(w.cli('--json', 'journal', 'rotate-key', '--reason', 'the second key', '--token-file', w.token_file('carol', ['dba'])).stdout)
    for person in ('bob', 'dora'):
        w.cli('approval', 'approve', asked['approval'], '--reason', 'seen', '--token-file', w.token_file(person, ['dba']))
    keys = lambda: w.ask('show', 'health')['journal']['keys']
    w.check(w.until(lambda: keys()['phase'] == 'overlap', 40) and w.signed(), 'a rotation to another key of the token begins', (keys(), w.said()[-800:]))
    note = (w.dir / 'state' / 'journal' / 'checkpoint').read_text()
    w.check(len(re.findall('^— test.example/journal/t ', note, re.M)) == 4 and len(w.find('sluice-token')) == 2, 'four lines, and a sluice-token for each key', note)
    w.check(w.until(lambda: keys()['phase'] == 'stable' and (w.dir / 'state' / 'journal' / 'vkey').read_text() != old, 60) and w.signed(), 'and ends', (keys(), w.said()[-800:]))
    w.tool('pkcs11-tool', '--module', MODULE, '--token-label', 'node', '--read-object', '--type', 'pubkey', '--id', '02', '-o', w.dir / 'second.der')
    key = subprocess.run(['openssl', 'pkey', '-pubin', '-in', w.dir / 'state' / 'journal' / 'log-p256.pem', '-outform', 'DER'], stdout=subprocess.PIPE, check=True).stdout
    w.check(key == (w.dir / 'second.der').read_bytes() and len(w.find('sluice-token')) == 1 and {p.name for p in signer.iterdir()} == {'ed25519.pem', 'p256.uri', 'state'},
            'with the new key alone', list(signer.iterdir()))
    w.check(w.cli('journal', 'verify').returncode == 0, 'journal verify goes on over it')
    w.cli('export', 'bundle', '--out', w.dir / 'rotated')
    said = subprocess.run(['sh', 'verify.sh', '1'], cwd=w.dir / 'rotated', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    w.check(said.returncode == 0 and '10. keys: 1 rotation' in said.stdout, 'and so do the commands of a bundle', said.stdout[-800:])


def ends(w):
    w.process.send_signal(signal.SIGTERM)
    w.check(w.process.wait(30) == 0 and not w.find('sluice-token'), 'it ends in order')
    done = w.cli('journal', 'verify', '--json')
    found = json.loads(done.stdout)
    w.check(found['good'] and found['covered'] == found['size'], 'and every record is under a checkpoint', done.stdout)
    left = subprocess.run(['grep', '-rlaF', 'CANARY-4711', *(w.dir / place for place in ('state', 'log', 'run', 'bundle'))], stdout=subprocess.PIPE, text=True).stdout
    w.check(left == '', 'the PIN is nowhere but in its file', left)


def hangs(w):
    """The start of a signer may take its token's time; control's other work must not."""
    w.check(w.until(lambda: w.health()['policy'] and w.find('sluice-token'), 60), 'a token that never answers: the node starts', w.said()[-800:])
    slowest, end = 0, time.monotonic() + 13
    while time.monotonic() < end:
        begin = time.monotonic()
        w.record()
        slowest = max(slowest, time.monotonic() - begin)
        time.sleep(0.05)
    w.check(slowest < 1, 'and answers at any time', slowest)
    w.check(w.until(lambda: 'the token does not answer in time' in w.said(), 30), 'and says why it does not sign', w.said()[-800:])
    w.check(w.until(lambda: w.find('sluice-token'), 20), 'and tries again')


def world(paths, fake, parts, count=0, failed=0):
    TokenWorld.fake = fake
    with scratch('token') as folder, ending(TokenWorld(folder, *paths[:4], paths[5:], conf='key_overlap = "6s";')) as w:
        w.count, w.failed = count, failed
        for part in parts:
            part(w)
    return w.count, w.failed


def main():
    paths = [os.path.abspath(path) for path in sys.argv[1:]]
    count, failed = world(paths, None, (signs, is_audited, comes_back, is_pulled_out, has_a_wrong_pin, rotates, ends))
    count, failed = world(paths, paths[4], (hangs,), count, failed)
    print(f'1..{count}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
