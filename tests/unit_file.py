"""unit_file.py: what tests read of a systemd unit: its settings, and which system calls it leaves."""
import re
import subprocess

# What these settings forbid besides, by systemd's groups.
FORBIDS = {'ProtectClock': ['@clock'], 'ProtectKernelModules': ['@module'], 'ProtectKernelLogs': ['syslog'], 'PrivateDevices': ['@raw-io']}


def settings(path):
    """Name to values, in order."""
    out = {}
    for name, value in re.findall(r'^(\w+)=(.*)$', path.read_text(), re.M):
        out.setdefault(name, []).append(value)
    return out


def calls(word, seen=None):
    """The names of a group, or a name."""
    if not word.startswith('@'):
        return {word}
    text = subprocess.run(['systemd-analyze', 'syscall-filter', '--no-pager', word], check=True, stdout=subprocess.PIPE, text=True).stdout
    names = [line.strip() for line in text.splitlines()[1:] if line.strip() and not line.strip().startswith('#')]
    return set().union(*(calls(name) for name in names)) if names else set()


def allowed(path):
    """What its SystemCallFilter leaves; None: it has none, and everything is left."""
    unit = settings(path)
    if 'SystemCallFilter' not in unit:
        return None
    out = calls('@default')
    for line in unit['SystemCallFilter']:
        change = set().union(*(calls(word) for word in line.lstrip('~').split()))
        out = out - change if line.startswith('~') else out | change
    for name, groups in FORBIDS.items():
        if unit.get(name) == ['yes']:
            out -= set().union(*(calls(group) for group in groups))
    return out
