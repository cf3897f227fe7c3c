#!/usr/bin/python3
"""The wire ports: each driver with huge pages and without. Per pair: bridging, then a session with the database and a stream
through the wire. Then what the operator reads when a port or memory is missing, and that a killed data plane leaves nothing.

net_tap makes its interfaces itself: a cable ties each to the wire's end. Huge pages are reserved here, and given back."""
import re
import sys
from pathlib import Path

import scene
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


# --- What the operator reads ---

def said(it, ports, eal):
    """The data plane alone, which must refuse to start: its last line."""
    configure(it, ports, eal)
    done = world.run(it.sluice.tool('sluice-dataplane'), '-c', it.sluice.conf, check=False, timeout=60)
    need(done.returncode == 1, f'status {done.returncode}: {done.stderr[-300:]}')
    return [line for line in done.stderr.splitlines() if line.startswith('sluice-dataplane: ')][-1]


def refusals(it, result):
    good = devices(it, 'net_af_packet')
    rows = (
        ('an interface that is not there', [good[0], 'net_af_packet1,iface=nonesuch0'], NO_HUGE, ('net_af_packet1,iface=nonesuch0', 'no network interface nonesuch0', 'ip link')),
        ('a PCI address that is not there', ['0000:fe:1f.7', good[1]], [w for w in NO_HUGE if w != '--no-pci'], ('0000:fe:1f.7', 'no PCI device', 'dpdk-devbind.py')),
        ('a driver that is not there', ['net_nosuch0', good[1]], NO_HUGE, ('net_nosuch0', 'no driver takes it', 'PCI address')),
        ('the same interface twice', [good[0], good[0].replace('packet0', 'packet1')], NO_HUGE, ('ports', 'the same device twice', 'name two')),
        ('too little memory for the frames', good, ['--no-huge', '-m', '16', '--no-shconf', '--no-pci'], ('no memory', 'frames', '-m')),
    )
    for name, ports, eal, wanted in rows:
        def one(ports=ports, eal=eal, wanted=wanted):
            line = said(it, ports, eal)
            for text in wanted:
                need(text in line, f'"{text}" is not in: {line}')
            return line
        result.check(f'refused and explained: {name}', one)


def no_pages(it):
    if pages('free_hugepages') > 0:
        return 'others on this machine have huge pages: not shown here'
    line = said(it, devices(it, 'net_af_packet'), [])
    for text in ('no free huge page', '/sys/kernel/mm/hugepages', '--hugepages', '--no-huge'):
        need(text in line, f'"{text}" is not in: {line}')
    return line


def run(it, result):
    wire_test.addresses(it)
    wire_test.serve(it)
    it.bulk_server()
    result.check('refused and explained: no huge pages', lambda: no_pages(it))
    refusals(it, result)
    drivers = sys.argv[1:] or ['net_af_packet', 'net_af_xdp', 'net_tap']
    for driver in drivers:
        session(it, driver, 'no huge pages', NO_HUGE, result)
    if result.check('huge pages are reserved', lambda: reserve(it)):
        for driver in drivers:
            session(it, driver, 'huge pages', [], result)


if __name__ == '__main__':
    sys.exit(scene.main('ports', run, services=scene.OPAQUE, start=False))
