#!/usr/bin/python3
"""The standby forwarder: while there is no data plane the wire lives, and what is guarded stays closed. For each driver whose
ports the kernel drives as well."""
import json
import re
import socket
import sys
import threading
import time

import ports_test
import scene
import wire_test
from scene import OPAQUE_PORT, in_namespace
from tap import need, world

BEAT = 0.001


class Beats:
    """A datagram each millisecond from the agent to a host that no service names, and when each arrived."""

    def __init__(self, it):
        self.stop, self.seen, self.sent = threading.Event(), [], 0
        self.receiver = in_namespace(it.wire.target, self.listen)
        self.sender = in_namespace(it.wire.agent, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.threads = [threading.Thread(target=self.send), threading.Thread(target=self.receive)]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def listen():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((wire_test.OTHER, 7997))
        s.settimeout(0.2)
        return s

    def send(self):
        while not self.stop.is_set():
            self.sender.sendto(str(self.sent).encode(), (wire_test.OTHER, 7997))
            self.sent += 1
            time.sleep(BEAT)

    def receive(self):
        while not self.stop.is_set():
            try:
                number = int(self.receiver.recv(100))
                self.seen.append((time.monotonic(), number))
            except TimeoutError:
                continue

    def end(self):
        """(the longest silence in ms, lost, twice)"""
        time.sleep(0.3)
        self.stop.set()
        for thread in self.threads:
            thread.join()
        self.sender.close()
        self.receiver.close()
        gap = max((b[0] - a[0] for a, b in zip(self.seen, self.seen[1:])), default=99)
        numbers = [number for _, number in self.seen]
        return gap * 1000, self.sent - len(set(numbers)), len(numbers) - len(set(numbers))


def broken(it):
    """A sluice.conf with which no data plane starts; the good text is returned."""
    good = it.sluice.conf.read_text()
    it.sluice.conf.write_text(re.sub(r'ports = \[.*?\]', 'ports = [ "net_af_packet0,iface=nonesuch0", "net_af_packet1,iface=nonesuch1" ]', good))
    return good


def standby(it):
    return json.loads(it.sluice.cli('--json', 'show', 'health', check=False).stdout)["standby"]  # status 1 while no worker lives


def kill(it):
    """The data plane dies and does not come back."""
    need(standby(it)['state'] == 'watching', f'{standby(it)}')
    beats, good = Beats(it), broken(it)
    world.wait_for('the first beats', lambda: len(beats.seen) > 100, 30)
    it.kill('sluice-dataplane')
    world.wait_for('the standby', lambda: standby(it)['state'] == 'bridging', 30)
    before = len(beats.seen)
    world.wait_for('beats over the standby', lambda: len(beats.seen) > before + 200, 30)
    gap, lost, twice = beats.end()
    told = standby(it)
    it.good = good
    return f'longest silence {gap:.1f} ms of a beat each ms, {lost} of {beats.sent} lost, {twice} twice; death seen to bridging {told["takeover_us"]} us'


def closed(it, held):
    """New connections to guarded services find nobody, and one that was open gets no byte through."""
    def attempt():
        for port in (5432, OPAQUE_PORT, wire_test.UNNAMED_PORT):
            try:
                socket.create_connection((it.wire.target_address, port), 3).close()
            except TimeoutError:
                continue
            raise AssertionError(f'port {port} of the guarded target was reached')
        held.settimeout(3)
        held.sendall(b'x')
        try:
            got = held.recv(10)
        except TimeoutError:
            return 'three ports are not reachable, the open connection is silent'
        raise AssertionError(f'an answer: {got}')
    return in_namespace(it.wire.agent, attempt)


def back(it):
    """The data plane comes back and takes the wire; nothing is sent by both for long."""
    beats = Beats(it)
    world.wait_for('the first beats', lambda: len(beats.seen) > 100, 30)
    it.sluice.conf.write_text(it.good)
    world.wait_for('the standby yields', lambda: standby(it)['state'] == 'watching', 60)
    before = len(beats.seen)
    world.wait_for('beats over the data plane', lambda: len(beats.seen) > before + 200, 30)
    gap, lost, twice = beats.end()
    it.healthy()
    return f'longest silence {gap:.1f} ms, {lost} of {beats.sent} lost, {twice} twice'


def reset(it, held):
    """The connection of the time before is told once the data plane is back."""
    def talk():
        held.settimeout(60)
        try:
            held.sendall(b'x')
            need(held.recv(10) == b'', 'an answer from nowhere')
        except (ConnectionResetError, BrokenPipeError):
            return 'reset'
        return 'ended'
    return in_namespace(it.wire.agent, talk)


def standby_dies(it):
    """The standby itself is killed: it is back, knows whom to watch, and takes over all the same."""
    it.kill_and_wait('sluice-standby')
    world.wait_for('it watches', lambda: standby(it)['state'] == 'watching', 30)
    takeovers = standby(it)['takeovers']
    it.good = broken(it)
    it.kill('sluice-dataplane')
    world.wait_for('the standby', lambda: standby(it)['state'] == 'bridging', 30)
    wire_test.pings(it)
    it.sluice.conf.write_text(it.good)
    it.healthy()
    need(standby(it)['takeovers'] > takeovers, f'{standby(it)}')


def one(it, driver, result):
    if not result.check(f'{driver}: starts', lambda: ports_test.start(it, driver, ports_test.NO_HUGE) and None):
        return
    result.check(f'{driver}: sessions work', lambda: it.healthy())

    def open_one():
        s = socket.create_connection((it.wire.target_address, OPAQUE_PORT), 60)
        s.sendall(b'\0' * 7)
        return s
    held = in_namespace(it.wire.agent, open_one)
    if result.check(f'{driver}: the data plane is killed: the wire lives', lambda: kill(it)):
        wire_test.bridged(it, result, f'{driver}, no data plane')
        result.check(f'{driver}: guarded services are closed', lambda: closed(it, held))
        result.check(f'{driver}: the data plane is back', lambda: back(it))
        result.check(f'{driver}: an old connection is ended', lambda: reset(it, held))
        result.check(f'{driver}: the standby is killed', lambda: standby_dies(it))
    held.close()
    it.sluice.stop()


def run(it, result):
    wire_test.addresses(it)
    wire_test.serve(it)
    it.bulk_server()
    for driver in sys.argv[1:] or ['net_af_packet', 'net_af_xdp']:
        one(it, driver, result)


if __name__ == '__main__':
    sys.exit(scene.main('stand', run, services=scene.OPAQUE, start=False))
