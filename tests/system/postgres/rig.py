"""rig.py: a private PostgreSQL 15 with sample tables, and the inspector's proxy in front of it."""
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time

BIN = "/usr/lib/postgresql/15/bin"
TOKEN = "good-token"

SAMPLE = """
create role app login superuser;
create schema made;
create table customers (id int primary key, name text, email varchar(60) unique, ssn text, card text, phone text, notes text, extra jsonb);
insert into customers values
 (1, 'Ada Lovelace', 'ada@example.com', '536-22-8726', '4111111111111111', '+49 30 901820', 'call ada@example.com', '{"mail": "ada@example.com", "vip": true, "n": 5}'),
 (2, 'Bob Weird, "Jr"', 'bob@example.org', '536-22-8727', '5500005555555559', '+1 212 555 0100', 'card 5500005555555559', '{"deep": [{"email": "bob@example.org"}]}'),
 (3, null, null, null, null, null, null, null);
create table orders (id int primary key, customer_id int references customers, what text);
insert into orders select g, 1 + g % 2, 'thing ' || g from generate_series(1, 50) g;
create view people as select id, name as who, email as mail from customers;
create table kids () inherits (customers);
insert into kids values (11, 'Kid Name', 'kid@example.net', '536-22-8728', null, null, null, null);
create table plain (id int, t text);
insert into plain select g, 'text ' || g from generate_series(1, 2000) g;
create table typed (id int, secret_i2 int2, secret_i4 int4, secret_i8 int8, secret_f4 float4, secret_f8 float8, secret_num numeric, secret_bool bool,
 secret_date date, secret_ts timestamp, secret_tz timestamptz, secret_uuid uuid, secret_json json, secret_jsonb jsonb, secret_inet inet, secret_cidr cidr,
 secret_bytes bytea, secret_ta text[], secret_ia int4[], secret_na numeric[], secret_name name, secret_v varchar(5), secret_int4r int4range, secret_xml xml,
 secret_interval interval, secret_money money, secret_char char(8), secret_ja jsonb[]);
insert into typed values (1, 7, 77, 777, 7.5, 77.5, 777.75, true, '2001-02-03', '2001-02-03 04:05:06', '2001-02-03 04:05:06+00', '11111111-2222-3333-4444-555555555555',
 '{"a": "canary", "b": [1, 2], "c": null}', '{"a": "canary"}', '10.1.2.3', '10.1.2.0/24', 'canary', '{canary,"can,ary",NULL}', '{1,2,3}', '{1.5,2.5}', 'canary', 'canar',
 '[3,9)', '<a>canary</a>', '3 days', 12.34, 'canary', array['{"a":"canary"}'::jsonb]);
analyze;
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Cluster:
    def __init__(self, folder):
        self.folder, self.data, self.port = folder, f"{folder}/data", free_port()
        self.password = secrets.token_hex(12)
        root = os.geteuid() == 0
        self.as_user = ["runuser", "-u", "postgres", "--"] if root else []
        if root:
            shutil.chown(folder, "postgres")

    def run(self, *args, text=None):
        done = subprocess.run([*self.as_user, *args], input=text, capture_output=True, text=True, cwd=self.folder)
        if done.returncode:
            raise RuntimeError(f"{args[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self):
        self.run(f"{BIN}/initdb", "-D", self.data, "-U", "boss", "--auth-local=trust", "--auth-host=scram-sha-256", "-N", "-E", "UTF8", "--locale=C.UTF-8")
        options = (f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off -c huge_pages=off "
                   "-c shared_buffers=32MB -c autovacuum=off")
        self.run(f"{BIN}/pg_ctl", "-D", self.data, "-o", options, "-l", f"{self.folder}/log", "-w", "-t", "60", "start")
        self.sql("create database shop", "postgres")
        self.sql(SAMPLE + f"alter role app password '{self.password}';")

    def sql(self, text, database="shop"):
        return self.run(f"{BIN}/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port), "-U", "boss", "-d", database, text=text)

    def stop(self):
        subprocess.run([*self.as_user, f"{BIN}/pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop"], capture_output=True, cwd=self.folder)


class Proxy:
    def __init__(self, program, cluster, policy, classes, *options):
        self.port, self.log = free_port(), f"{cluster.folder}/proxy-{secrets.token_hex(4)}.log"
        env = {**os.environ, "PGPROXY_PASSWORD": cluster.password}
        self.errors = open(self.log + ".err", "w+")
        self.process = subprocess.Popen([program, str(self.port), str(cluster.port), policy, classes, self.log, *options], env=env, stderr=self.errors)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise RuntimeError("proxy: " + self.stderr())

    def stderr(self):
        self.errors.flush()
        return open(self.log + ".err").read()

    def lines(self):
        return open(self.log).read().splitlines()

    def stop(self):
        """True when it was still well."""
        well = self.process.poll() is None
        self.process.terminate()
        self.process.wait()
        return well


def folder():
    f = tempfile.mkdtemp(prefix="sluice-pg-")
    os.chmod(f, 0o755)
    return f
