#!/usr/bin/python3
"""units_test.py: the systemd units without a systemd: well formed, tight, and of programs and users that are installed.

usage: units_test.py UNIT_FOLDER BUILD_FOLDER
`systemd-analyze verify` and `security --offline` on copies, whose ExecStart is a program that is here. TAP on stdout.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Tenths, as they are: they may not get worse. R8 is 15: what reads the kernel's ports is above it still.
EXPOSURE_MAX = {'sluice-control.service': 15, 'sluice-egress@.service': 12, 'sluice-export@.service': 12, 'sluice-dataplane.service': 14, 'sluice-standby.service': 18, 'sluice-witness@.service': 4}
# The data plane's with a drop-in for ports of the kernel's, control's with that of a token.
DROP_IN_MAX = {'ports-packet.conf': ('sluice-dataplane', 25), 'ports-xdp.conf': ('sluice-dataplane', 31), 'token.conf': ('sluice-control', 15)}
failed = 0


def check(number, good, what, more=''):
    global failed
    failed += not good
    print(f"{'ok' if good else 'not ok'} {number} - {what}" + ('' if good else f' # {" | ".join(str(more).strip().splitlines())}'), flush=True)


def run(*argv):
    env = {**os.environ, 'SYSTEMD_COLORS': '0', 'SYSTEMD_PAGER': 'cat'}
    done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    return done.returncode, done.stdout


def installed(build):
    """What meson installs, below its prefix."""
    prefix = next(o['value'] for o in json.loads(run('meson', 'introspect', '--buildoptions', build)[1]) if o['name'] == 'prefix')
    files = json.loads(run('meson', 'introspect', '--installed', build)[1]).values()
    return {'/usr/' + os.path.relpath(f, prefix) for f in files}


def with_drop_in(unit, drop_in, most):
    """What is said of a copy of a unit that has the drop-in's settings as well, and whether verify is silent."""
    both = unit.with_name(f'{drop_in.stem}.service')
    both.write_text(unit.read_text().split('[Install]')[0] + drop_in.read_text())
    wrong, told = run('systemd-analyze', 'verify', '--man=no', '--recursive-errors=no', both)
    code, said = run('systemd-analyze', 'security', '--offline=true', f'--threshold={most}', '--no-pager', both)
    return wrong or code or bool(told.strip()), said.strip().splitlines()[-1] if said.strip() else 'nothing said', told + said[-3000:]


def main():
    units, build = Path(sys.argv[1]).resolve(), sys.argv[2]
    files, users = installed(build), re.findall(r'^u (\S+)', (units / 'sluice.sysusers').read_text(), re.M)
    names = sorted(u.name for u in units.iterdir() if u.suffix in ('.service', '.socket'))
    with tempfile.TemporaryDirectory(prefix='sluice-units-') as folder:
        copies = {}
        for name in names:
            copy = Path(folder) / name
            copies[name] = Path(folder) / name.replace('@.', '@1.')
            copy.write_text(re.sub(r'^ExecStart=\S+', 'ExecStart=/usr/bin/true', (units / name).read_text(), flags=re.M))
            copies[name].write_text(copy.read_text())
        number = 0
        for name in names:
            text = (units / name).read_text()
            number += 1
            code, said = run('systemd-analyze', 'verify', '--man=no', '--recursive-errors=no', copies[name])
            check(number, code == 0 and not said.strip(), f'{name}: systemd-analyze verify says nothing', said)
            number += 1
            programs = re.findall(r'^Exec(?:Start|Reload)=(\S+)', text, re.M)
            wanted = {p for p in programs if 'sluice' in p} | {f'/usr/lib/systemd/system/{name}'}
            check(number, wanted <= files, f'{name}: it and its programs are installed', wanted - files)
            number += 1
            owners = set(re.findall(r'^(?:User|Group)=(\S+)', text, re.M))
            check(number, owners <= set(users), f'{name}: its users are made', owners - set(users))
            if name.endswith('.service'):
                number += 1
                code, said = run('systemd-analyze', 'security', '--offline=true', f'--threshold={EXPOSURE_MAX[name]}', '--no-pager', copies[name])
                check(number, code == 0, f'{name}: {said.strip().splitlines()[-1] if said.strip() else "nothing said"}, at most {EXPOSURE_MAX[name] / 10}', said[-3000:])
        for name, (unit, most) in DROP_IN_MAX.items():
            number += 1
            code, said, more = with_drop_in(copies[f'{unit}.service'], units / name, most)
            check(number, code == 0 and f'/usr/share/sluice/systemd/{name}' in files, f'{unit}.service with {name}: {said}, at most {most / 10}', more)
    number += 1
    code, said = run('systemd-sysusers', '--dry-run', units / 'sluice.sysusers')
    check(number, code == 0, 'the users: systemd-sysusers takes them', said)
    number += 1
    wanted = {f'/usr/lib/{kind}.d/sluice.conf' for kind in ('sysusers', 'tmpfiles')}
    check(number, wanted <= files, 'the users and the directories: installed', wanted - files)
    print(f'1..{number}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
