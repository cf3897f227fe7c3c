#!/usr/bin/python3
"""The units under a systemd that boots: as README's "Between two real NICs" puts them onto a machine, with two veth pairs as its NICs.

Who each process runs as and what it may do; traffic; kill -9 of each process; reload, stop, start; a configuration that is missing or
wrong; a witness's socket."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import types
from pathlib import Path

from box import CONF, LATER, OUR, PORT, PROCESSES, booted, configure, ports_of, token
from tap import need, world


# --- Before there is a configuration ---

def enabled(box):
    units = [f'{u}.service' for u in OUR] + ['sluice-witness.socket']
    box.systemctl('enable', *units)
    wanted = [box.systemctl('is-enabled', u, check=False).stdout.strip() for u in units]
    need(wanted == ['enabled'] * 4, f'{wanted}')
    box.systemctl('disable', 'sluice-witness.socket')
    return ', '.join(units)


def members(box):
    """systemd-sysusers has run at boot."""
    groups = {line.split(':')[0]: line.split(':')[3] for line in box.machine.path('/etc/group').read_text().splitlines()}
    need('sluice-dataplane' in groups['sluice'].split(','), f'group sluice has {groups["sluice"]!r}')
    return f'group sluice: {groups["sluice"]}'


def unconfigured(box):
    """No file: said clearly, and not tried over and over."""
    told = []
    for unit in OUR:
        box.systemctl('start', unit, check=False)
        world.wait_for(f'{unit} to give up', lambda: box.show(unit, 'ActiveState') == 'failed', 20)
        restarts, status = box.show(unit, 'NRestarts', 'ExecMainStatus')
        need(restarts == '0' and status == '2', f'{unit}: started again {restarts} times, status {status}')
        need('/etc/sluice/sluice.conf' in box.said(unit), f'{unit} says {box.said(unit)!r}')
        told.append(next(line for line in box.said(unit).splitlines() if 'sluice.conf' in line))
    box.systemctl('reset-failed')
    return told[0]


def portless(box):
    """A configuration without wire ports, and one without a standby: the same."""
    good = CONF.format(*box.wire.ports)
    for unit, text, word in (('sluice-dataplane', re.sub(r'dataplane : \{[^}]*\};', '', good), 'no wire ports'),
                             ('sluice-standby', good.replace('lcores', 'standby = "off"; lcores'), 'standby is "off"'),
                             ('sluice-standby', good.replace('net_af_packet1,iface=', 'net_tap1,iface='), 'no interface of the kernel')):
        box.write('/etc/sluice/sluice.conf', text)
        begin = box.now()
        box.systemctl('start', '--job-mode=ignore-dependencies', unit)
        world.wait_for(f'{unit} to give up', lambda: box.show(unit, 'ActiveState') == 'failed', 20)
        restarts, status = box.show(unit, 'NRestarts', 'ExecMainStatus')
        need(restarts == '0' and status == '2', f'{unit}: started again {restarts} times, status {status}')
        need(word in box.said(unit, begin), f'{unit} says {box.said(unit)!r}')
        box.systemctl('reset-failed')


# --- At work ---

def active(box):
    box.systemctl('start', *OUR)
    box.works()
    states = [box.show(unit, 'ActiveState', 'NRestarts') for unit in OUR]
    need(states == [['active', '0']] * 3, f'{dict(zip(OUR, states))}: {box.said("sluice-*")[-1500:]}')


def confined(box):
    """Users, capabilities, filters."""
    for unit, wanted in PROCESSES.items():
        found = world.wait_for(f'the processes of {unit}', lambda: (lambda f: set(f) >= wanted and f)(box.processes(unit)), 20)
        need(set(found) == wanted, f'{unit}: {sorted(found)}')
        for (program, user), status in found.items():
            need(status['Seccomp'] == '2' and status['NoNewPrivs'] == '1', f'{program} of {user}: Seccomp {status["Seccomp"]}, NoNewPrivs {status["NoNewPrivs"]}')
            need(user == 'root' or int(status['CapEff'], 16) == int(status['CapPrm'], 16) == 0, f'{program} of {user}: capabilities {status["CapEff"]}')
            limit = Path(f'/proc/{status["pid"]}/limits').read_text()
            need(re.search(r'^Max core file size +0 ', limit, re.M), f'{program} of {user}: it may leave a core file')
    return f'{sum(map(len, PROCESSES.values()))} processes, each its own user; of root only control\'s monitor'


def traffic(box):
    with box.connect() as connection:
        box.echo(connection, os.urandom(100000))
        sessions = world.wait_for('the session', lambda: box.sessions('--open'), 10)
    box.bridged()
    return f'session {sessions[0]["id"]}; 1400 bytes of what no service names'


def outside(box):
    """Control has no network; sluice-export delivers events all the same, and sluice-egress fetches an issuer's keys."""
    mine = os.readlink(f'/proc/{box.machine.leader}/ns/net')
    for unit, wanted in PROCESSES.items():
        for (program, user), status in box.processes(unit).items():
            inside = os.readlink(f'/proc/{status["pid"]}/ns/net') == mine
            need(inside == (unit != 'sluice-control'), f'{program} of {user}: {"it has" if inside else "it has not"} the machine\'s network')
    receiver = box.beside['receiver']
    world.wait_for('an event', lambda: receiver.need_alive() and '"class_uid"' in receiver.log.read_text(errors='replace'), 60)
    said = world.wait_for('the keys of the issuer', lambda: re.search('issuer idp: 1 keys', box.said('sluice-control')), 90)
    return f'{receiver.log.read_text(errors="replace").count("class_uid")} events; {said[0]}'


# --- With a person, a credential and a parser ---

def postgres(box):
    """The demo's policy before a real PostgreSQL: who asks is known by a token, the credential is root's alone, the parser classifies."""
    db = world.Database(box.lab, box.wire, 10, box.password)
    box.write('/etc/sluice/shop-db-ca.pem', db.authority.cert.read_text())
    box.write('/etc/sluice/policy.cfg', world.policy_text(box.wire, types.SimpleNamespace(issuer='https://localhost:6515'), ISSUER_CA='none.pem'))
    box.systemctl('reload', 'sluice-control')

    def psql(sql):
        env = {**os.environ, 'PGPASSWORD': token(box), 'PGSSLMODE': 'require', 'PGCONNECT_TIMEOUT': '20'}
        return subprocess.run(['ip', 'netns', 'exec', box.wire.agent, 'psql', '-X', '-At', '-h', box.wire.target_address, '-U', 'alice', '-d', 'shop', '-c', sql],
                              env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    world.wait_for('a statement that is answered', lambda: psql('SELECT 41 + 1').stdout == '42\n', 60, 0.3)
    masked = psql('SELECT email FROM customers LIMIT 1').stdout.strip()
    need(masked and 'calc.io' not in masked, f'not masked: {masked!r}')
    refused = psql('DROP TABLE customers')
    need(refused.returncode and 'database team' in refused.stderr, f'{refused}')
    box.policy(1, PORT)
    box.systemctl('reload', 'sluice-control')
    box.works()
    return f'{masked}; {refused.stderr.splitlines()[0]}'


# --- Killed ---

def killed(box, unit, program, user):
    """kill -9: another comes, guarded traffic works, and the journal has all of it. Only the data plane's death ends what is open."""
    old = box.pid(unit, program, user)
    restarts = int(box.show(unit, 'NRestarts')) if program == unit else None
    others = {u: box.show(u, 'MainPID') for u in OUR if u != unit}
    with box.connect() as lives:
        box.echo(lives)
        os.kill(old, signal.SIGKILL)
        world.wait_for(f'another {program}', lambda: (lambda s: s and s['pid'] != old)(box.processes(unit).get((program, user))), 30)
        box.works()
        if unit != 'sluice-dataplane':
            box.echo(lives)
    box.bridged()
    if program == unit:
        need(int(box.show(unit, 'NRestarts')) == restarts + 1, f'{unit}: started again {box.show(unit, "NRestarts")} times')
    need({u: box.show(u, 'MainPID') for u in others} == others, f'other units were started again with {unit}')
    return verified(box)


def verified(box):
    told = box.sluice('journal', 'verify').stdout.strip().splitlines()[-1]
    need(told.startswith('good'), told)
    found = box.sluice('--json', 'journal', 'search', '--type', 'session.open', '--limit', '1000', '--dir', '/var/lib/sluice/journal')
    sessions = len(json.loads(found.stdout)['records'])
    need(sessions >= box.carried, f'{box.carried} connections have carried bytes, {sessions} sessions are on record')
    return f'{sessions} sessions, {told}'


def bridged_meanwhile(box):
    """The data plane is stopped: its standby is not, and bridges."""
    box.systemctl('stop', 'sluice-dataplane')
    box.bridged()
    need(box.show('sluice-standby', 'ActiveState') == 'active', 'the standby was stopped too')
    box.systemctl('start', 'sluice-dataplane')
    box.works()


def xdp(box):
    """The other kind of ports of the kernel's, with its drop-in."""
    box.systemctl('stop', 'sluice-dataplane')
    box.write('/etc/sluice/sluice.conf', CONF.format(*box.wire.ports).replace('net_af_packet', 'net_af_xdp'))
    if box.machine.memlock() != 'unlimited':  # where this runs no limit can be raised: LimitMEMLOCK=infinity does nothing
        box.write('/etc/systemd/system/sluice-dataplane.service.d/memlock.conf', '[Service]\nCapabilityBoundingSet=CAP_IPC_LOCK\n')
    ports_of(box, 'xdp')
    box.systemctl('start', 'sluice-dataplane')
    box.works()
    box.bridged()
    return confined(box)


def unkernelled(box):
    """The unit as it stands, for a NIC that the kernel does not drive: no network, no capability. There is none here: net_null."""
    good = CONF.format(*box.wire.ports)
    box.systemctl('stop', *OUR)
    box.machine.run('rm', '-r', '/etc/systemd/system/sluice-dataplane.service.d')
    box.systemctl('daemon-reload')
    box.write('/etc/sluice/sluice.conf', re.sub(r'ports = .*?\]', 'ports = [ "net_null0", "net_null1" ]', good))
    begin = box.now()
    box.systemctl('start', 'sluice-control', 'sluice-dataplane')
    world.wait_for('the workers to poll', lambda: 'is in force' in box.said('sluice-dataplane', begin), 30)
    (_, status), = box.processes('sluice-dataplane').items()
    need(int(status['CapBnd'], 16) == 1 << 6 | 1 << 7, f'it starts with the capabilities {status["CapBnd"]}')
    net = [os.readlink(f'/proc/{pid}/ns/net') for pid in (status['pid'], box.machine.leader)]
    need(net[0] != net[1], 'it sees the machine\'s network')
    box.systemctl('stop', *OUR)
    box.write('/etc/sluice/sluice.conf', good)
    ports_of(box, 'packet')
    box.systemctl('start', *OUR)
    box.works()


# --- Reload ---

def reloaded(box):
    box.policy(2, PORT, LATER)
    box.systemctl('reload', 'sluice-control')
    box.works(LATER)
    world.wait_for('its session', lambda: [s for s in box.sessions() if s['service'] == f'stream-{LATER}'], 20)


def refused(box):
    main = box.show('sluice-control', 'MainPID')
    box.write('/etc/sluice/policy.cfg', 'policy : { format = 1; name = "boot"; version = 3; surplus = 1; };')
    box.systemctl('reload', 'sluice-control')
    world.wait_for('a word about it', lambda: 'surplus' in box.said('sluice-control'), 20)
    box.works(LATER)
    need(box.show('sluice-control', 'ActiveState', 'MainPID') == ['active', main], 'control was started again')
    box.policy(2, PORT, LATER)
    return next(line for line in box.said('sluice-control').splitlines() if 'surplus' in line)


# --- Ended ---

def restarted(box):
    mains = [box.show(unit, 'MainPID') for unit in OUR]
    box.systemctl('restart', *OUR)
    box.works()
    need(not set(mains) & {box.show(unit, 'MainPID') for unit in OUR}, 'a process is the old one')
    return verified(box)


def stopped(box):
    begin = time.monotonic()
    box.systemctl('stop', *OUR)
    took = time.monotonic() - begin
    for unit in OUR:
        state, result, status = box.show(unit, 'ActiveState', 'Result', 'ExecMainStatus')
        need((state, result, status) == ('inactive', 'success', '0'), f'{unit}: {state}, {result}, status {status}')
    for unit in PROCESSES:
        world.wait_for(f'the last process of {unit}', lambda: not box.machine.processes(unit), 10)
    need('killed' not in (said := box.said('sluice-control')).splitlines()[-1], said[-300:])
    return f'{took:.1f} s; {verified(box)}'


def rebooted(box):
    """The machine loses its power, boots, and what is enabled runs: users, directories and the standby's page are there in time."""
    box.systemctl('start', *OUR)
    box.works()
    box.machine.reboot()
    box.works()
    world.wait_for('the standby', lambda: box.show('sluice-standby', 'ActiveState') == 'active', 20)
    states = [box.show(unit, 'ActiveState', 'NRestarts') for unit in OUR]
    need(states == [['active', '0']] * 3, f'{dict(zip(OUR, states))}')
    confined(box)
    return verified(box)


def quiet(box):
    """Nothing that only systemd sees: cores, failed mounts, refused calls."""
    said = box.machine.run('journalctl', '-q', '-o', 'cat', '-p', 'warning', check=False).stdout
    bad = [line for line in said.splitlines() if re.search(r'sluice.*(SYS|core-dump|dumped|NAMESPACE|SECCOMP|Unknown|unit configures|not-found)', line)]
    need(not bad, f'{bad[:3]}')


# --- The witness ---

def witness(box):
    inside = box.machine
    box.write('/etc/sluice/witness.env', 'SLUICE_WITNESS_NAME=witness.example/w1\n')
    inside.run('install', '-d', '-o', 'sluice-witness', '-g', 'sluice-witness', '-m', '0700', '/var/lib/sluice-witness')
    inside.run('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', '/var/lib/sluice-witness/ed25519.pem')
    inside.run('chown', 'sluice-witness:', '/var/lib/sluice-witness/ed25519.pem')
    inside.run('chmod', '0400', '/var/lib/sluice-witness/ed25519.pem')
    box.systemctl('start', 'sluice-witness.socket')
    body = b'old 0\n\nnobody.example/journal/x\n1\nAAAA\n\n'
    headers = b''.join(f'{k}\0{v}\0'.encode() for k, v in {'CONTENT_LENGTH': len(body), 'SCGI': 1, 'REQUEST_METHOD': 'POST', 'REQUEST_URI': '/sluice/add-checkpoint'}.items())
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(inside.path('/run/sluice-witness.sock')))
        s.sendall(b'%d:%s,' % (len(headers), headers) + body)
        answer = b''.join(iter(lambda: s.recv(65536), b'')).decode()
    need(re.match(r'Status: 4\d\d', answer), f'{answer!r}: {box.said("sluice-witness@*")}')
    return answer.splitlines()[0]


def run(box, result):
    result.check('systemctl enable', lambda: enabled(box))
    result.check('the users and groups are made', lambda: members(box))
    result.check('without a configuration: a clear word, no second try', lambda: unconfigured(box))
    result.check('without wire ports, without a standby: the same', lambda: portless(box))
    configure(box)
    if not result.check('systemctl start: all are active, traffic passes', lambda: active(box)):
        return
    result.check('users, capabilities, filters', lambda: confined(box))
    result.check('a session, and what is bridged', lambda: traffic(box))
    result.check('helpers that go out', lambda: outside(box))
    result.check('PostgreSQL, with a token', lambda: postgres(box))
    for unit, program, user in (('sluice-egress@', 'sluice-egress', 'sluice-egress'), ('sluice-control', 'sluice-sqlparse', 'sluice-sqlparse'), ('sluice-control', 'sluice-signer', 'sluice-signer'),
                                ('sluice-control', 'sluice-control', 'sluice'), ('sluice-control', 'sluice-control', 'root'),
                                ('sluice-dataplane', 'sluice-dataplane', 'sluice-dataplane'), ('sluice-standby', 'sluice-standby', 'sluice-dataplane')):
        result.check(f'kill -9 {program} of {user}', lambda: killed(box, unit, program, user))
    result.check('the data plane is stopped, the wire lives', lambda: bridged_meanwhile(box))
    result.check('ports of net_af_xdp', lambda: xdp(box))
    result.check('ports that the kernel does not drive', lambda: unkernelled(box))
    result.check('systemctl reload with another policy', lambda: reloaded(box))
    result.check('systemctl reload with a broken policy', lambda: refused(box))
    result.check('systemctl restart', lambda: restarted(box))
    result.check('systemctl stop', lambda: stopped(box))
    result.check('after a loss of power and a boot what is enabled runs', lambda: rebooted(box))
    result.check('the witness answers on its socket', lambda: witness(box))
    result.check('nothing was forbidden that is needed', lambda: quiet(box))


if __name__ == '__main__':
    sys.exit(booted('boot', run))
