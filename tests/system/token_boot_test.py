#!/usr/bin/python3
"""A checkpoint key in a PKCS#11 token on a systemd that boots: what sluice-token(8) says, step by step, with SoftHSM and the real users.

The unit of control confines the module as well; the drop-in gives back what SoftHSM needs."""
import json
import os
import re
import signal
import sys

from box import OUR, booted, configure
from tap import need, world
from units_boot_test import quiet

MODULE, PIN = '/usr/lib/softhsm/libsofthsm2.so', 'PIN-CANARY-4711'
AS_SIGNER = ['setpriv', '--reuid', 'sluice-signer', '--regid', 'sluice-signer', '--clear-groups', 'env', 'SOFTHSM2_CONF=/etc/sluice/softhsm2.conf']
SIGNER = '/var/lib/sluice/signer'


def key_made(box):
    """MAKING A KEY."""
    inside = box.machine
    inside.run('install', '-d', '-m', '0700', '-o', 'sluice-signer', '-g', 'sluice-signer', '/var/lib/sluice-token')
    box.write('/etc/sluice/softhsm2.conf', 'directories.tokendir = /var/lib/sluice-token\nobjectstore.backend = file\nlog.level = ERROR\n')
    inside.run(*AS_SIGNER, 'softhsm2-util', '--init-token', '--free', '--label', 'sluice', '--so-pin', '87654321', '--pin', PIN)
    inside.run(*AS_SIGNER, 'pkcs11-tool', '--module', MODULE, '--token-label', 'sluice', '--login', '--pin', PIN, '--keypairgen', '--key-type', 'EC:prime256v1',
               '--label', 'journal', '--id', '01', '--usage-sign')
    box.write('/etc/sluice/token-pin', PIN + '\n', 0o400)
    box.write(f'{SIGNER}/p256.uri', f'pkcs11:token=sluice;object=journal?module-path={MODULE}&pin-source=file:/etc/sluice/token-pin\n'
                                    'SOFTHSM2_CONF=/etc/sluice/softhsm2.conf\n', 0o400)
    inside.run('chown', 'sluice-signer:sluice-signer', '/etc/sluice/token-pin', f'{SIGNER}/p256.uri')


def without_drop_in(box):
    """SoftHSM reads and signs; its count of wrong PINs it cannot write."""
    box.systemctl('start', *OUR)
    box.works()
    world.wait_for('two lines', lambda: lines_of(box) == 2, 60)
    line = world.wait_for('what SoftHSM misses', lambda: re.search(r'.*Read-only file system.*', box.said('sluice-control')), 15)
    return line[0]


def lines_of(box):
    path = box.machine.path('/var/lib/sluice/journal/checkpoint')
    return len(re.findall('^— ', path.read_text(), re.M)) if path.exists() else 0


def health(box):
    return json.loads(box.sluice('--json', 'show', 'health').stdout)


def signed(box):
    """What is there now gets under a checkpoint."""
    size = health(box)['journal']['size']
    world.wait_for('a checkpoint', lambda: health(box)['journal']['checkpoint_size'] >= size, 60, 0.3)


def with_drop_in(box):
    box.machine.run('install', '-D', '-m', '0644', '-t', '/etc/systemd/system/sluice-control.service.d', '/usr/share/sluice/systemd/token.conf')
    box.systemctl('daemon-reload')
    begin = box.now()
    box.systemctl('restart', 'sluice-control')
    box.works()
    world.wait_for('two lines', lambda: lines_of(box) == 2, 60)
    signed(box)
    need('Read-only' not in box.said('sluice-control', begin), 'SoftHSM cannot write')
    names = {p.name for p in box.machine.path(SIGNER).iterdir()}
    need(names == {'ed25519.pem', 'p256.uri', 'state'}, f'{names}')
    return f'{lines_of(box)} lines'


def confined(box):
    pid = box.pid('sluice-control', 'sluice-token', 'sluice-signer')
    status = box.processes('sluice-control')['sluice-token', 'sluice-signer']
    need(status['Seccomp'] == '2' and status['NoNewPrivs'] == '1' and int(status['CapEff'], 16) == int(status['CapPrm'], 16) == 0, f'{status}')
    need(os.readlink(f'/proc/{pid}/ns/net') != os.readlink(f'/proc/{box.machine.leader}/ns/net'), 'it has the machine\'s network')
    return f'filters: {status["Seccomp_filters"].strip()}'


def audited(box):
    done = box.sluice('journal', 'verify')
    need('good' in done.stdout, f'{done.stdout}{done.stderr}')
    left = box.machine.run('grep', '-rlaF', 'CANARY-4711', '/var/lib/sluice', '/run/sluice', check=False).stdout
    need(left == '' and PIN not in box.said('sluice*'), f'the PIN is in {left}')


def killed(box):
    before = box.pid('sluice-control', 'sluice-token', 'sluice-signer')
    os.kill(before, signal.SIGKILL)
    box.works()
    signed(box)
    need(box.pid('sluice-control', 'sluice-token', 'sluice-signer') != before, 'it is the same one')


def rebooted(box):
    box.systemctl('enable', *(f'{u}.service' for u in OUR))
    box.machine.reboot()
    box.works(seconds=90)
    signed(box)
    need(lines_of(box) == 2 and 'good' in box.sluice('journal', 'verify').stdout, f'{lines_of(box)} lines')


def run(box, result):
    configure(box)
    result.check('a key is made as the manual page says', lambda: key_made(box))
    result.check('without the drop-in: two lines, and SoftHSM cannot count wrong PINs', lambda: without_drop_in(box))
    result.check('with it: it can; and there is no p256.pem', lambda: with_drop_in(box))
    result.check('sluice-token is confined', lambda: confined(box))
    result.check('the journal verifies, and the PIN is nowhere', lambda: audited(box))
    result.check('kill -9 sluice-token', lambda: killed(box))
    result.check('after a loss of power and a boot', lambda: rebooted(box))
    result.check('nothing was forbidden that is needed', lambda: quiet(box))


if __name__ == '__main__':
    sys.exit(booted('token', run))
