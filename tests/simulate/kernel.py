#!/usr/bin/python3
"""Two Linux kernels with the pair between them: namespaces, veth, a bad wire, real sockets.

usage: kernel.py BRIDGE [--bytes N] [--case NAME]

Prints TAP. Exits 77 (skip) without root. Every case sends N bytes each way at once, checks them, closes, and then looks at
how both ends and the bridge were left.
"""
import argparse
import hashlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

TAG = "tcpk%d" % (os.getpid() % 10000)
A, B = TAG + "a", TAG + "b"
CLIENT, SERVER = "10.231.7.1", "10.231.7.2"
CLIENT6, SERVER6 = "fd00:231::1", "fd00:231::2"
C = TAG + "c"  # beyond B, which routes there over a link that carries less than the server says of itself
BEYOND, BEYOND6 = "10.231.8.2", "fd00:232::2"

SHORT = 2000  # short connections

# Wanted of the bridge's summary. Where packets are lost a moment with something in flight need not come, nor one at which a flow is handed over: a case
# whose bytes are right but that did not show what is wanted is run again.
TRIES = 4
HANDED = r"handed over [1-9]\d*, \d+ in flight, taken back [1-9]"
BOTH_WAYS = r"handed over \d+, [1-9]\d* in flight, taken back \d+, [1-9]\d* in flight"

# Impairment is loss, reordering, duplication, corruption (parts per million) and delay (microseconds), in each direction
# of each of the two wires.
CASES = {
    "clean": {},
    "ipv6": {"impair": (10000, 20000, 0, 0, 200), "address": SERVER6},
    "loss": {"impair": (20000, 100000, 10000, 0, 300)},
    # "ragged": the last ACKs may still be on their way, lost again and again, when the bridge is stopped
    "heavy-loss": {"impair": (100000, 0, 0, 0, 200), "share": 0.01, "ragged": True},
    "one-in-five": {"impair": (200000, 50000, 20000, 10000, 200), "share": 0.01, "ragged": True},
    "no-sack": {"impair": (10000, 0, 0, 0, 200), "sysctl": {"tcp_sack": 0}, "share": 0.2},
    "no-timestamps": {"impair": (10000, 20000, 0, 0, 200), "sysctl": {"tcp_timestamps": 0}},
    "no-scaling": {"impair": (10000, 0, 0, 0, 200), "sysctl": {"tcp_window_scaling": 0}, "share": 0.3},
    "bare": {
        "impair": (10000, 0, 0, 0, 200),
        "sysctl": {"tcp_window_scaling": 0, "tcp_sack": 0, "tcp_timestamps": 0},
        "share": 0.2,
    },
    "corrupt": {"impair": (10000, 0, 0, 10000, 200), "share": 0.5},
    "copy": {"impair": (10000, 0, 0, 0, 200), "mode": "copy"},
    "64-KiB-segments": {"mode": "whole", "offload": True},
    "tiny-buffers": {"buffers": 4096, "share": 0.05},
    # handed over to forwarding and taken back, again and again; with something in flight, of ours and not of ours
    "splice": {"mode": "splice", "share": 2, "gaps": 10000, "wants": BOTH_WAYS},
    "splice-loss": {"mode": "splice", "impair": (20000, 100000, 10000, 5000, 300), "gaps": 10000, "wants": BOTH_WAYS},
    # A large segment that is lost twice looks like a black hole (RFC 8899 4.3): a flow whose segments were made smaller stays, so none may be handed over.
    "splice-heavy-loss": {"mode": "splice", "impair": (100000, 50000, 20000, 10000, 200), "share": 0.1, "gaps": 2000, "ragged": True},
    "splice-bare": {
        "mode": "splice",
        "impair": (10000, 20000, 0, 0, 200),
        "sysctl": {"tcp_window_scaling": 0, "tcp_sack": 0, "tcp_timestamps": 0},
        "share": 0.2,
        "gaps": 5000,
        "wants": HANDED,
    },
    "splice-tiny-buffers": {"mode": "splice", "impair": (10000, 0, 0, 0, 200), "buffers": 4096, "share": 0.2, "gaps": 10000},
    # frames of 9,000 bytes; "wants": what the bridge must have seen
    "jumbo": {"mtu": (9000, 9000)},
    "jumbo-loss": {"mtu": (9000, 9000), "impair": (20000, 50000, 10000, 10000, 200), "share": 0.5},
    "jumbo-64-KiB-segments": {"mtu": (9000, 9000), "mode": "whole", "offload": True},
    "jumbo-agents": {"mtu": (9000, 1500), "impair": (10000, 0, 0, 0, 200), "share": 0.5},
    "jumbo-targets": {"mtu": (1500, 9000), "mode": "whole", "offload": True},
    # both ends believe in more than the bridge's second interface takes: what they are told of one another must be that
    "jumbo-narrow-port": {"mtu": (9000, 9000), "port": 1500, "impair": (10000, 0, 0, 0, 200), "share": 0.5},
    "jumbo-path": {"mtu": (9000, 9000), "address": BEYOND, "wants": r"paths lowered [1-9]"},
    "jumbo-path-loss": {"mtu": (9000, 9000), "address": BEYOND, "impair": (20000, 0, 0, 0, 200), "share": 0.5, "wants": r"paths lowered [1-9]"},
    "jumbo-path-ipv6": {"mtu": (9000, 9000), "address": BEYOND6, "wants": r"paths lowered [1-9]"},
}


def sh(text, check=True):
    return subprocess.run(text, shell=True, check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def set_up():
    for ns, dev, address, address6 in ((A, TAG + "p0", CLIENT, CLIENT6), (B, TAG + "p1", SERVER, SERVER6)):
        sh(f"ip netns add {ns}")
        sh(f"ip link add {dev} type veth peer name eth0 netns {ns}")
        sh(f"ip -n {ns} addr add {address}/24 dev eth0")
        sh(f"ip -n {ns} addr add {address6}/64 dev eth0 nodad")
        sh(f"ip -n {ns} link set eth0 up; ip -n {ns} link set lo up; ip link set {dev} up")
        sh(f"ip netns exec {ns} ethtool -K eth0 tx off rx off tso off gso off gro off")
        sh(f"ethtool -K {dev} tx off rx off tso off gso off gro off")
        sh(f"sysctl -qw net.ipv6.conf.{dev}.disable_ipv6=1", check=False)


    sh(f"ip netns add {C}")
    sh(f"ip -n {B} link add beyond type veth peer name eth0 netns {C}")
    for ns, dev, address, address6 in ((B, "beyond", "10.231.8.1", "fd00:232::1"), (C, "eth0", BEYOND, BEYOND6)):
        sh(f"ip -n {ns} addr add {address}/24 dev {dev}")
        sh(f"ip -n {ns} addr add {address6}/64 dev {dev} nodad")
        sh(f"ip -n {ns} link set {dev} up; ip -n {ns} link set lo up")
        sh(f"ip netns exec {ns} ethtool -K {dev} tx off rx off tso off gso off gro off")
    sh(f"ip netns exec {B} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
    sh(f"ip -n {A} route add 10.231.8.0/24 via {SERVER}; ip -n {A} -6 route add fd00:232::/64 via {SERVER6}")
    sh(f"ip -n {C} route add 10.231.7.0/24 via 10.231.8.1 advmss 8960; ip -n {C} -6 route add fd00:231::/64 via fd00:232::1 advmss 8940")


def tear_down():
    sh(f"ip netns del {C}", check=False)
    for ns, dev in ((A, TAG + "p0"), (B, TAG + "p1")):
        sh(f"ip link del {dev}", check=False)
        sh(f"ip netns del {ns}", check=False)


def in_namespace(ns, function, *arguments):
    """Runs function in a child inside the namespace; the result comes back through a pipe."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            fd = os.open(f"/var/run/netns/{ns}", os.O_RDONLY)
            import ctypes
            if ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) != 0:
                raise OSError("setns")
            out = str(function(*arguments))
        except BaseException as e:  # the parent wants to know, whatever it was
            out = "error: %r" % (e,)
        os.write(write, out.encode())
        os._exit(0)
    os.close(write)
    return pid, read


def stream(seed, size, gaps=0):
    """The bytes of one direction; with gaps in pieces of less than so many bytes, and a pause behind each: a flow comes to rest now and then."""
    block = hashlib.shake_128(seed).digest(1 << 20)
    sent = 0
    while sent < size:
        at = sent % len(block)
        part = block[at : at + min(random.randrange(1, gaps) if gaps else len(block), size - sent)]
        yield part
        sent += len(part)
        if gaps:
            time.sleep(random.random() * 0.004)


def exchange(conn, mine, theirs, size, buffers, gaps):
    if buffers:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
    conn.settimeout(120)
    trouble = []

    def send():
        try:
            for part in stream(mine, size, gaps):
                conn.sendall(part)
            conn.shutdown(socket.SHUT_WR)
        except OSError as e:
            trouble.append("send: %r" % e)

    thread = threading.Thread(target=send)
    thread.start()
    want, got = hashlib.sha256(), hashlib.sha256()
    for part in stream(theirs, size):
        want.update(part)
    count = 0
    try:
        while True:
            data = conn.recv(1 << 18)
            if not data:
                break
            count += len(data)
            got.update(data)
    except OSError as e:
        trouble.append("recv: %r" % e)
    thread.join()
    conn.close()
    if trouble:
        return "; ".join(trouble) + " after %d bytes" % count
    if count != size or want.digest() != got.digest():
        return "got %d of %d bytes, or others" % (count, size)
    return "ok"


def serve(size, buffers, address, gaps):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, 5432))
    s.listen(16)
    s.settimeout(60)
    conn, _ = s.accept()
    return exchange(conn, b"server", b"client", size, buffers, gaps)


def connect(size, buffers, address, gaps):
    time.sleep(0.3)
    conn = socket.create_connection((address, 5432), timeout=60)
    return exchange(conn, b"client", b"server", size, buffers, gaps)


def refused():
    try:
        socket.create_connection((SERVER, 9), timeout=5)
    except ConnectionRefusedError:
        return "ok"
    except OSError as e:
        return "%r" % e
    return "connected"


def echo_server(count):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((SERVER, 5432))
    s.listen(256)
    s.settimeout(60)
    for _ in range(count):
        conn, _ = s.accept()
        conn.sendall(conn.recv(100))
        conn.close()  # the server closes first: TIME-WAIT is there
    return "ok"


def churn(count):
    """Thousands of connections from eight client ports: each 4-tuple is reused at once, no TIME-WAIT holds it."""
    time.sleep(0.3)
    for i in range(count):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((CLIENT, 40000 + i % 8))
        s.settimeout(10)
        try:
            s.connect((SERVER, 5432))
            s.sendall(b"hello %d" % i)
            if s.recv(100) != b"hello %d" % i or s.recv(1) != b"":
                return "wrong echo at %d" % i
        except OSError as e:
            return "%r at connection %d" % (e, i)
        s.close()
    return "ok"


def finish(jobs):
    out = []
    for pid, read in jobs:
        text = b""
        while True:
            part = os.read(read, 4096)
            if not part:
                break
            text += part
        os.waitpid(pid, 0)
        out.append(text.decode())
    return out


def run(name, case, bridge_path, size):
    sysctls = case.get("sysctl", {})
    for ns in (A, B):
        for key, value in sysctls.items():
            sh(f"ip netns exec {ns} sysctl -qw net.ipv4.{key}={value}")
    for ns, dev, mtu in zip((A, B), (TAG + "p0", TAG + "p1"), case.get("mtu", (1500, 1500))):
        offload = "on" if case.get("offload") else "off"
        sh(f"ip netns exec {ns} ethtool -K eth0 tx {offload} tso {offload} gso {offload}", check=False)
        sh(f"ip -n {ns} link set eth0 mtu {mtu}; ip link set {dev} mtu {case.get('port', mtu) if ns == B else mtu}")
        sh(f"ip -n {ns} route flush cache; ip -n {ns} -6 route flush cache", check=False)  # what was learned of paths
    command = [bridge_path, TAG + "p0", TAG + "p1", case.get("mode", "move"), *map(str, case.get("impair", ()))]
    bridge = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    bridge.stdout.readline()
    begin = time.time()
    try:
        if name == "refused":
            results = finish([in_namespace(A, refused)])
        elif name.endswith("reuse"):
            results = finish([in_namespace(B, echo_server, SHORT), in_namespace(A, churn, SHORT)])
        else:
            part = int(size * case.get("share", 1))
            buffers = case.get("buffers")
            address, gaps = case.get("address", SERVER), case.get("gaps", 0)
            where = C if address in (BEYOND, BEYOND6) else B
            results = finish([in_namespace(where, serve, part, buffers, address, gaps), in_namespace(A, connect, part, buffers, address, gaps)])
    finally:
        seconds = time.time() - begin
        time.sleep(1.0 if "impair" in case else 0.1)
        bridge.send_signal(signal.SIGTERM)
        summary = bridge.stdout.read().strip()
        bridge.wait()
        for ns in (A, B):
            for key in sysctls:
                sh(f"ip netns exec {ns} sysctl -qw net.ipv4.{key}=1")
    good = all(r == "ok" for r in results) and (summary.endswith("chunks held 0") or case.get("ragged", False))
    return good, re.search(case.get("wants", ""), summary) is not None, "%.1f s; %s; %s" % (seconds, " / ".join(results), summary)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bridge")
    parser.add_argument("--bytes", type=int, default=20_000_000)
    parser.add_argument("--case")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        return 0
    cases = {"refused": {}, "reuse": {}, "splice-reuse": {"mode": "splice", "wants": HANDED}, **CASES}
    if args.case:
        cases = {args.case: cases[args.case]}
    print("1..%d" % len(cases))
    failed = 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was made is removed then too
    try:
        set_up()
        for number, (name, case) in enumerate(cases.items(), 1):
            for tries in range(1, TRIES + 1):
                good, seen, text = run(name, case, args.bridge, args.bytes)
                if seen or not good:
                    break
            good = good and seen
            failed += not good
            text += "" if tries == 1 else "; try %d" % tries
            print("%s %d - %s: %s" % ("ok" if good else "not ok", number, name, text), flush=True)
    finally:
        tear_down()
    return 1 if failed else 0


sys.exit(main())
