#!/usr/bin/python3
"""A flood of SYNs at a guarded service: what is open goes on, new clients get through, memory stays bounded, and when the flood is over
nothing of it is left."""
import re
import sys
import time

import scene
import tap
from scene import OPAQUE_PORT
from tap import need, world

SIZE = 20 << 20
SECONDS = 200  # at most: it is ended when it was measured
PER_SECOND = 20000  # at most; more starves the two kernels of a small machine before it does the worker


def speed(it, seconds):
    """MB/s of streams through the wire for at least that long, each compared byte for byte."""
    begin, moved = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        it.bulk(SIZE)
        moved += 2 * SIZE
    return moved / (time.monotonic() - begin) / 1e6


def flood(it, seconds):
    program = it.lab.dir / 'flood'
    if not program.exists():
        world.run('cc', '-O2', '-o', program, tap.ROOT / 'tests/system/flood.c')
    mac = world.run('ip', '-n', it.wire.target, '-o', 'link', 'show', it.wire.inner).stdout
    mac = re.search(r'link/ether (\S+)', mac)[1]
    # What the server answers to the forged senders: back over the wire, where nobody has asked.
    world.run('ip', '-n', it.wire.target, 'route', 'replace', '10.200.0.0/16', 'via', it.wire.agent_address)
    process = it.spawn(it.wire.agent, program, it.wire.inner, mac, it.wire.target_address, OPAQUE_PORT, '10.200', seconds, PER_SECOND, log=it.lab.dir / 'flood.log')
    world.wait_for('the flood', lambda: process.need_alive() and 'ready' in world.tail(process.log), 30)
    return process


def worker(it):
    return it.json('show', 'workers')['workers'][0]


def drops(it):
    return {row['drop']: row['frames'] for row in it.json('show', 'drops')['drops']}


def under_flood(it):
    session = it.session()
    need(session.say('SELECT 1;').strip() == '1', 'the session does not work')
    before = speed(it, 4)
    process = flood(it, SECONDS)
    during = speed(it, 8)
    most = 0
    for number in range(20):
        need(session.say(f'SELECT {number} + 1;').strip() == str(number + 1), 'the open session does not answer')
        most = max(most, worker(it)['flows_opening'])
    new = [it.psql('SELECT 41 + 1', timeout=60) for _ in range(3)]
    need(all(done.stdout == '42\n' for done in new), f'a new session during the flood: {new[0].stderr}')
    need(process.alive(), 'the flood ended before it was measured')
    state = worker(it)
    process.stop()
    shed = drops(it)
    session.close()
    need(shed['opening_shed'] > 0 and shed['syn_shed'] > 0, f'nothing was shed: {shed}')
    need(most <= state['flows_max'] // 2, f'{most} half-open flows of {state["flows_max"]}')
    return (f'streams {before:.0f} MB/s before, {during:.0f} during; {world.tail(process.log).split()[-1]} SYNs sent; at most {most} half open of '
            f'{state["flows_max"]}; shed {shed["syn_shed"]} SYNs and {shed["opening_shed"]} half-open flows; worst look-up {state["probe_longest"]} slots')


def over(it):
    """Half-open flows end with their retries; the memory is back."""
    world.wait_for('the end of all half-open flows', lambda: worker(it)['flows_opening'] == 0, 240, 1)
    world.wait_for('the end of all flows', lambda: worker(it)['flows_open'] == 0, 240, 1)
    state = worker(it)
    need(state['chunks_used'] == 0 and state['sessions_used'] == 0, f'not given back: {state}')
    it.healthy()
    return f'0 flows, {state["chunks_used"]} chunks, {state["sessions_used"]} sessions'


def run(it, result):
    it.bulk_server()
    result.check('sessions work', lambda: it.healthy())
    result.check('under a flood', lambda: under_flood(it))
    result.check('after the flood', lambda: over(it))


if __name__ == '__main__':
    sys.exit(scene.main('flood', run, services=scene.OPAQUE))
