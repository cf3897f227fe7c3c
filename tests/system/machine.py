"""A machine that boots: a systemd as process 1 of namespaces of its own, below a root of its own that is thrown away.

The programs are this machine's and Sluice's, as `meson install` puts them; /etc, /var and /run are new, and of Debian's units only
those start that ours stand on. Nothing of it is left: the root is a memory file system of its own mount namespace.
"""
import os
import signal
import subprocess
import time
from pathlib import Path

from tap import need, world

# What systemd starts by itself and this machine has no use for: devices, consoles, file systems of the host's kernel.
MASKED = ['dev-hugepages.mount', 'dev-mqueue.mount', 'kmod-static-nodes.service', 'proc-sys-fs-binfmt_misc.automount', 'sys-fs-fuse-connections.mount',
          'sys-kernel-config.mount', 'sys-kernel-debug.mount', 'sys-kernel-tracing.mount', 'systemd-ask-password-console.path', 'systemd-binfmt.service',
          'systemd-firstboot.service', 'systemd-journal-flush.service', 'systemd-machine-id-commit.service', 'systemd-modules-load.service',
          'systemd-random-seed.service', 'systemd-repart.service', 'systemd-sysctl.service', 'systemd-udev-trigger.service', 'systemd-udevd.service',
          'systemd-update-utmp.service', 'systemd-update-utmp-runlevel.service', 'systemd-logind.service', 'dbus.service', 'dbus.socket', 'getty.target',
          'systemd-udevd-control.socket', 'systemd-udevd-kernel.socket', 'systemd-initctl.socket', 'systemd-journald-audit.socket',
          'systemd-networkd.service', 'systemd-timesyncd.service', 'systemd-resolved.service', 'systemd-user-sessions.service', 'timers.target',
          'systemd-ask-password-wall.path', 'systemd-tmpfiles-setup-dev.service', 'cryptsetup.target', 'integritysetup.target', 'veritysetup.target']
# Of this machine's /etc: what libraries read.
KEPT = ['alternatives', 'host.conf', 'ld.so.cache', 'ld.so.conf', 'ld.so.conf.d', 'nsswitch.conf', 'protocols', 'services', 'ssl']

# As process 1 of new namespaces, before it becomes systemd. Arguments: the new root, what is installed into it, what else lies there.
BOOT = r'''
set -eu
root=$1 stage=$2 files=$3
mount --make-rprivate /
mount -t tmpfs -o mode=755 machine "$root"
cd "$root"
mkdir -p usr proc sys dev run tmp root etc var/lib var/log/journal var/cache var/tmp var/spool .upper .work .old
chmod 1777 tmp var/tmp
for link in bin sbin lib lib32 lib64; do [ ! -L "/$link" ] || cp -P "/$link" .; done
mount -t overlay -o "lowerdir=/usr,upperdir=$root/.upper,workdir=$root/.work" overlay usr
cp -a "$stage/usr/." usr/
cp -a "$files/." .
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o nosuid,nodev,noexec,ro sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755,nosuid dev dev
for node in null zero full random urandom tty; do cp -a "/dev/$node" dev/; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755,nosuid,nodev run run
pivot_root . .old
umount -l /.old
exec env -i PATH=/usr/sbin:/usr/bin container=sluice-test /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal </dev/null
'''


def cgroup_root():
    """Where this machine's unified cgroups are."""
    for line in Path('/proc/mounts').read_text().splitlines():
        where, kind = line.split()[1:3]
        if kind == 'cgroup2':
            return Path(where)
    raise world.LabError('no cgroup2 file system is mounted: mount one, as mount -t cgroup2 none /sys/fs/cgroup/unified')


class Machine:
    def __init__(self, lab, stage, devices):
        """`stage`: what is installed, below usr/. `devices`: interfaces that are moved into it."""
        self.lab, self.name = lab, f'{lab.prefix}-box'
        self.root, self.files = lab.dir / 'root', lab.dir / 'files'
        self.etc = self.files / 'etc'
        self.process = self.leader = None
        self.stage = stage
        self.root.mkdir()
        self.group = cgroup_root() / self.name
        self.group.mkdir()
        lab.own(self.forget)
        world.run('ip', 'netns', 'add', self.name)
        lab.own(lambda: world.run('ip', 'netns', 'del', self.name, check=False))
        for device in devices:
            world.run('ip', 'link', 'set', device, 'netns', self.name)
            inside = ['ip', 'netns', 'exec', self.name]
            world.run(*inside, 'sysctl', '-qw', f'net.ipv6.conf.{device}.disable_ipv6=1', check=False)
            world.run(*inside, 'ip', 'link', 'set', device, 'up', 'promisc', 'on')
        world.run('ip', '-n', self.name, 'link', 'set', 'lo', 'up')
        self.fill_etc()

    def fill_etc(self):
        """A new machine's: Debian's own users, none of ours, and no unit that is enabled."""
        units = self.etc / 'systemd/system'
        units.mkdir(parents=True)
        for name in KEPT:
            if os.path.lexists(f'/etc/{name}'):
                world.run('cp', '-a', f'/etc/{name}', self.etc)
        for name in ('passwd', 'group'):
            lines = Path(f'/usr/share/base-passwd/{name}.master').read_text().replace('*', 'x')
            (self.etc / name).write_text(lines)
        (self.etc / 'hosts').write_text(f'127.0.0.1 localhost {self.name}\n')
        (self.etc / 'hostname').write_text(f'{self.name}\n')
        (self.etc / 'machine-id').write_text(os.urandom(16).hex() + '\n')
        for name in MASKED:
            (units / name).symlink_to('/dev/null')
        # The journal of this machine stays in memory, and keeps all that is said.
        (self.etc / 'systemd/journald.conf').write_text('[Journal]\nStorage=volatile\nRateLimitBurst=0\nAudit=no\n')

    def boot(self, seconds=60):
        script = self.lab.dir / 'boot.sh'
        script.write_text(BOOT)
        # Not by `ip netns exec`, which hides the cgroups.
        into = 'echo $$ >"$0/cgroup.procs" && exec nsenter --net="$1" unshare --mount --uts --ipc --pid --cgroup --fork --kill-child bash "${@:2}"'
        with open(self.lab.dir / 'boot.log', 'ab') as log:
            self.process = subprocess.Popen(['bash', '-c', into, self.group, f'/run/netns/{self.name}', script, self.root, self.stage, self.files],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd='/')
        if not self.leader:
            self.lab.own(self.off)
        world.wait_for('a systemd', self.find_leader, seconds)
        world.wait_for('the machine to boot', self.booted, seconds, 0.2)

    def find_leader(self):
        self.need_alive()
        children = Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children').read_text().split()
        if not children or os.path.basename(os.readlink(f'/proc/{children[0]}/exe')) != 'systemd':
            return False
        self.leader = int(children[0])
        return True

    def need_alive(self):
        need(self.process.poll() is None, f'the machine is off: {world.tail(self.lab.dir / "boot.log")}')

    def booted(self):
        self.need_alive()
        self.state = self.run('systemctl', 'is-system-running', check=False).stdout.strip()
        return self.state in ('running', 'degraded')

    def run(self, *argv, check=True, **options):
        """A command inside."""
        return world.run('nsenter', '-t', self.leader, '-m', '-u', '-i', '-n', '-p', '-C', '-r', '-w', 'env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C.UTF-8',
                         'SYSTEMD_COLORS=0', 'SYSTEMD_PAGER=', *argv, check=check, **options)

    def processes(self, unit):
        """Ids, as this machine has them, of a unit's processes. `unit` without .service; of a template up to its @: of all instances."""
        top, name = self.group / 'system.slice', unit.removesuffix('@')
        groups = [top / f'{unit}.service'] if name == unit else (top / f'system-{name}.slice'.replace('-', '\\x2d').replace('system\\x2d', 'system-')).glob(f'{unit}*.service')
        return [int(pid) for group in groups if (group / 'cgroup.procs').exists() for pid in (group / 'cgroup.procs').read_text().split()]

    def memlock(self):
        """How much a service with LimitMEMLOCK=infinity may lock."""
        return self.run('bash', '-c', 'ulimit -l unlimited 2>/dev/null; ulimit -l').stdout.strip()

    def path(self, name):
        """A file of its root, from outside."""
        return Path(f'/proc/{self.leader}/root{name}')

    def reboot(self):
        """Its process 1 dies; /etc and /var are as they were when the next one begins, the rest is new."""
        root = os.open(self.path('/'), os.O_PATH | os.O_DIRECTORY)  # its files outlive its processes by this
        self.off()
        for name in ('etc', 'var'):
            world.run('rm', '-rf', self.files / name)
            world.run('cp', '-a', f'/proc/{os.getpid()}/fd/{root}/{name}', self.files)
        os.close(root)
        self.forget()
        self.group.mkdir()
        self.boot()

    def off(self):
        """Its process 1 dies, and with it all others."""
        if self.leader:
            try:
                os.kill(self.leader, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.process.poll() is None:
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def forget(self):
        """Its cgroups, from the leaves, once the kernel has seen the last process off."""
        for _ in range(100):
            for folder, _, _ in os.walk(self.group, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            if not self.group.exists():
                return
            time.sleep(0.05)
        raise world.LabError(f'{self.group}: still in use')
