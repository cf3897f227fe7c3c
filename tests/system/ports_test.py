#!/usr/bin/python3
"""The wire ports: each driver with huge pages and without. Per pair: bridging, then a session with the database and a stream
through the wire. Then what the operator reads when a port or memory is missing, and that a killed data plane leaves nothing.

net_tap makes its interfaces itself: a cable ties each to the wire's end. Huge pages are reserved here, and given back.
net_virtio_user has offloads, two queues and two workers: far.c holds its far ends, and hands on what the kernel leaves to a device."""
import re
import signal
import sys
from pathlib import Path

import scene
import tap
import wire_test
from tap import need, world

PAGES = Path('/sys/kernel/mm/hugepages/hugepages-2048kB')
PAGES_WANTED = 192
NO_HUGE = ['--no-huge', '-m', '256', '--no-shconf', '--no-pci']


def pages(name):
    return int((PAGES / name).read_text())


def reserve(it):
    """Pages of 2 MiB beside those that others have; what was there before is there again at the end."""
    before = pages('nr_hugepages')
    it.lab.own(lambda: (PAGES / 'nr_hugepages').write_text(str(before)))
    (PAGES / 'nr_hugepages').write_text(str(before + PAGES_WANTED))
    need(pages('free_hugepages') >= PAGES_WANTED, f'{pages("free_hugepages")} of {PAGES_WANTED} pages: memory is in pieces')
    return f'{PAGES_WANTED} pages of 2 MiB'


def configure(it, ports, eal):
    """Other ports and memory in sluice.conf; the data plane must not run."""
    words = ', '.join(f'"{word}"' for word in eal)
    text = it.sluice.conf.read_text()
    names, memory = ', '.join(f'"{port}"' for port in ports), f' eal = [ {words} ];' if eal else ''
    text = re.sub(r'ports = \[.*?\];( eal = \[.*?\];)?', lambda _: f'ports = [ {names} ];{memory}', text)
    it.sluice.conf.write_text(text)


def devices(it, driver):
    if driver == 'net_tap':
        return [f'net_tap{i},iface={port}t' for i, port in enumerate(it.wire.ports)]
    return [f'{driver}{i},iface={port}' for i, port in enumerate(it.wire.ports)]


def start(it, driver, eal):
    configure(it, devices(it, driver), eal)
    it.sluice.process = None
    (it.lab.dir / 'sluice.log').unlink(missing_ok=True)
    it.start()
    cables = []
    if driver == 'net_tap':
        for port in it.wire.ports:
            world.run('sysctl', '-qw', f'net.ipv6.conf.{port}t.disable_ipv6=1', check=False)
            world.run('ip', 'link', 'set', f'{port}t', 'up', 'promisc', 'on')
            cables.append(it.cable(None, f'{port}t', port))
    return cables


def streams(it):
    """A session with the database, whose answer is masked, and a stream that is not inspected."""
    told = wire_test.database(it, it.wire.target_address)
    it.bulk(3 << 20)
    return told


def session(it, driver, memory, eal, result):
    name = f'{driver}, {memory}'
    cables = []
    free = pages('free_hugepages') if memory == 'huge pages' else None
    if result.check(f'{name}: starts', lambda: cables.extend(start(it, driver, eal))):
        if free is not None:
            result.check(f'{name}: they are in use', lambda: need(pages('free_hugepages') < free, f'{pages("free_hugepages")} of {free} are free'))
        result.check(f'{name}: ARP, ND, ping, VLAN', lambda: wire_test.pings(it))
        result.check(f'{name}: UDP echo over IPv4, IPv6 and a tag', lambda: wire_test.datagrams(it))
        result.check(f'{name}: TCP of hosts that no service names', lambda: wire_test.streams(it))
        result.check(f'{name}: frames that are not IP', lambda: wire_test.raw_frames(it))
        result.check(f'{name}: guarded services', lambda: streams(it))
        if free is not None:
            def killed():
                it.kill('sluice-dataplane')
                it.sluice.stop()
                world.wait_for('the huge pages', lambda: pages('free_hugepages') == free, 30)
            result.check(f'{name}: a killed data plane leaves none behind', killed)
    for cable in cables:
        cable.stop()
    it.sluice.stop()


# --- Offloads ---

FAR_QUEUES = 2
VIRTIO = 'virtio_user and vhost, two workers'
OFFLOADS = ['rx_checksum', 'tx_checksum', 'tso', 'lro']
BULK_BYTES = 24 << 20


def offload(it, word):
    """What the kernel leaves to its ends of the wire, both ways."""
    for prefix, device in [((), port) for port in it.wire.ports] + [(('ip', 'netns', 'exec', n), it.wire.inner) for n in (it.wire.agent, it.wire.target)]:
        world.run(*prefix, 'ethtool', '-K', device, 'rx', word, 'tx', word, 'tso', word, 'gso', word, 'gro', word, check=False)


def virtio_start(it):
    program, sockets = it.lab.dir / 'far', [it.lab.dir / f'far{i}.sock' for i in range(2)]
    flags = world.run('pkg-config', '--cflags', '--libs', 'libdpdk').stdout.split()
    world.run('cc', '-O2', '-o', program, tap.ROOT / 'tests/system/far.c', *flags)
    offload(it, 'on')
    far = it.spawn(None, program, it.wire.ports[0], sockets[0], it.wire.ports[1], sockets[1], FAR_QUEUES, log=it.lab.dir / 'far.log')
    world.wait_for('the far ends', lambda: far.need_alive() and 'ready' in world.tail(far.log, 100), 60)
    configure(it, [f'net_virtio_user{i},path={s},queues={FAR_QUEUES}' for i, s in enumerate(sockets)], NO_HUGE)
    text = it.sluice.conf.read_text()
    text = text.replace('workers = 1;', 'workers = 2;').replace('splice = "on"', 'splice = "off"')
    it.sluice.conf.write_text(re.sub(r'lcores = "[^"]*"', 'lcores = "0@0,1@0,2@1"', text))
    it.sluice.process = None
    (it.lab.dir / 'sluice.log').unlink(missing_ok=True)
    it.start()
    return far


def used(it):
    """What is used is shown, and said at the start."""
    for row in it.json('show', 'ports')['ports']:
        need(row['offloads'] == OFFLOADS and row['queues'] == FAR_QUEUES, f'{row}')
    text = it.sluice.cli('show', 'ports').stdout
    need(', '.join(OFFLOADS) in text, text)
    need(it.log_text().count('offloads: ' + ' '.join(OFFLOADS)) == 2, 'not in the log')


def dropped(it, name):
    return sum(row['frames'] for row in it.json('show', 'drops')['drops'] if row['drop'] == name)


def damaged(it, far):
    """Frames that come with their checksum, of which some are damaged on the way: they are dropped, and the stream is whole."""
    offload(it, 'off')
    before = dropped(it, 'bad_tcp_checksum')
    far.child.send_signal(signal.SIGUSR1)
    try:
        it.bulk(2 << 20)
    finally:
        far.child.send_signal(signal.SIGUSR1)
    world.wait_for('the drops to be shown', lambda: dropped(it, 'bad_tcp_checksum') > before, 30)
    return f'{dropped(it, "bad_tcp_checksum") - before} frames dropped'


def far_counts(far):
    """What the far ends counted since they were asked last: a dict for each end."""
    before = far.log.read_text().count('told')
    far.child.send_signal(signal.SIGUSR2)
    world.wait_for('the counts of the far ends', lambda: far.need_alive() and far.log.read_text().count('told') > before, 30)
    lines = [line.split(': ')[1].split() for line in far.log.read_text().splitlines() if line.startswith('end ')][-2:]
    ends = [{k: int(v) for k, v in zip(line[::2], line[1::2])} for line in lines]
    for end in ends:
        need(end['out_too_long'] == 0, f'longer than the MTU on a wire: {end}')
    return ends


def large(it, far, function, frames):
    """What the kernel leaves to do comes in, and Sluice leaves as much to do on both sides."""
    far_counts(far)
    told = function()
    for end in far_counts(far):
        need(end['in_large'] >= frames and end['in_partial'] > end['in_large'], f'the kernel left nothing to do: {end}')
        need(end['out_large'] >= frames and end['out_longest'] > 10000 and end['out_partial'] >= end['out_large'], f'Sluice left nothing to do: {end}')
        told = f'{told or "whole"}; out {end["out"]}, large {end["out_large"]}, longest {end["out_longest"]}'
    return told


def spliced(it, far):
    """Another data plane over the same sockets, which splices."""
    it.sluice.conf.write_text(it.sluice.conf.read_text().replace('splice = "off"', 'splice = "on"'))
    it.kill_and_wait('sluice-dataplane')
    it.healthy()
    before = sum(row['spliced'] for row in it.json('show', 'workers')['workers'])
    told = large(it, far, lambda: it.bulk(BULK_BYTES), 50)
    need(sum(row['spliced'] for row in it.json('show', 'workers')['workers']) > before + 100, 'not spliced')
    return told


def virtio(it, result):
    fars = []
    if result.check(f'{VIRTIO}: starts', lambda: fars.append(virtio_start(it))):
        far = fars[0]
        result.check(f'{VIRTIO}: offloads are used and shown', lambda: used(it))
        result.check(f'{VIRTIO}: ARP, ND, ping, VLAN', lambda: wire_test.pings(it))
        result.check(f'{VIRTIO}: UDP echo over IPv4, IPv6 and a tag', lambda: wire_test.datagrams(it))
        result.check(f'{VIRTIO}: TCP of hosts that no service names', lambda: large(it, far, lambda: wire_test.streams(it), 3))
        result.check(f'{VIRTIO}: frames that are not IP', lambda: wire_test.raw_frames(it))
        result.check(f'{VIRTIO}: guarded services', lambda: streams(it))
        result.check(f'{VIRTIO}: a stream in large segments', lambda: large(it, far, lambda: it.bulk(BULK_BYTES), 50))
        result.check(f'{VIRTIO}: the same, spliced', lambda: spliced(it, far))
        result.check(f'{VIRTIO}: damaged frames', lambda: damaged(it, far))
        result.check(f'{VIRTIO}: nothing came in pieces', lambda: need(dropped(it, 'rx_split') == 0, f'{dropped(it, "rx_split")} frames'))
    it.sluice.stop()
    for far in fars:
        far.stop()
    offload(it, 'off')
    it.sluice.conf.write_text(it.sluice.conf.read_text().replace('workers = 2;', 'workers = 1;'))


# --- What the operator reads ---

def said(it, ports, eal):
    """The data plane alone, which must refuse to start: its last line, and all that it said."""
    configure(it, ports, eal)
    done = world.run(it.sluice.tool('sluice-dataplane'), '-c', it.sluice.conf, check=False, timeout=60)
    need(done.returncode == 1, f'status {done.returncode}: {done.stderr[-300:]}')
    return [line for line in done.stderr.splitlines() if line.startswith('sluice-dataplane: ')][-1], done.stderr


def refusals(it, result):
    good = devices(it, 'net_af_packet')
    rows = (
        ('an interface that is not there', [good[0], 'net_af_packet1,iface=nonesuch0'], NO_HUGE, ('net_af_packet1,iface=nonesuch0', 'no network interface nonesuch0', 'ip link')),
        ('a PCI address that is not there', ['0000:fe:1f.7', good[1]], [w for w in NO_HUGE if w != '--no-pci'], ('0000:fe:1f.7', 'no PCI device', 'dpdk-devbind.py')),
        ('a driver that is not there', ['net_nosuch0', good[1]], NO_HUGE, ('net_nosuch0', 'no driver takes it', 'PCI address')),
        ('a memif whose far end is not there', [f'net_memif0,role=client,socket={it.lab.dir}/nonesuch,socket-abstract=no', good[1]], NO_HUGE, ('net_memif0', 'cannot start', "driver's own message")),
        ('the same interface twice', [good[0], good[0].replace('packet0', 'packet1')], NO_HUGE, ('ports', 'the same device twice', 'name two')),
        ('too little memory for the frames', good, ['--no-huge', '-m', '16', '--no-shconf', '--no-pci'], ('no memory', 'frames', '-m')),
    )
    for name, ports, eal, wanted in rows:
        def one(ports=ports, eal=eal, wanted=wanted):
            line, everything = said(it, ports, eal)
            for text in wanted:
                need(text in line, f'"{text}" is not in: {line}; all of it: {everything[-900:]}')
            return line
        result.check(f'refused and explained: {name}', one)


def no_pages(it):
    if pages('free_hugepages') > 0:
        return 'others on this machine have huge pages: not shown here'
    line, _ = said(it, devices(it, 'net_af_packet'), [])
    for text in ('no free huge page', '/sys/kernel/mm/hugepages', '--hugepages', '--no-huge'):
        need(text in line, f'"{text}" is not in: {line}')
    return line


def run(it, result):
    wire_test.addresses(it)
    wire_test.serve(it)
    it.bulk_server()
    result.check('refused and explained: no huge pages', lambda: no_pages(it))
    refusals(it, result)
    drivers = sys.argv[1:] or ['net_af_packet', 'net_af_xdp', 'net_tap', 'net_virtio_user']
    if 'net_virtio_user' in drivers:
        drivers.remove('net_virtio_user')
        virtio(it, result)
    if not drivers:
        return
    for driver in drivers:
        session(it, driver, 'no huge pages', NO_HUGE, result)
    if result.check('huge pages are reserved', lambda: reserve(it)):
        for driver in drivers:
            session(it, driver, 'huge pages', [], result)


if __name__ == '__main__':
    sys.exit(scene.main('ports', run, services=scene.OPAQUE, start=False))
