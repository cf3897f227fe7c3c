"""predicate_checks.py: what can be asked about a value without being shown it (common.md C6; postgres.md 8: L23, M5, M6, M9, M10), against a real server.

The table vault is under a rule that masks its column email and does not say oracle = "allow"."""
import rig
from checks import check, need
from wire import B, D, E, P, Q, S, Wire, rows, shape

rig.SAMPLE += """
create table vault (id int primary key, email text unique, note text, n int, tags text[]);
insert into vault values (1, 'zoe@vault.example', 'first', 10, '{a,b}'), (2, 'yan@vault.example', 'second', 20, null), (3, null, 'third', 30, '{}');
create table vault_kid () inherits (vault);
create view vault_view as select id, email as mail from vault;
"""

SECRETS = [b"zoe", b"yan@", b"vault.example"]

REFUSED = [
    # L23: an error or none
    "select 1/(case when substr(email,1,1)='z' then 0 else 1 end) from vault where id = 1",
    "select email::int from vault where id = 1", "select cast(substr(email, 2) as date) from vault", "select email::text from vault",
    # L24: time
    "select case when email like 'z%' then pg_sleep(0) end from vault where id = 1",
    # M5: order
    "select id from vault order by email limit 1 offset 1", "select id, email from vault order by 2", "select * from vault order by 2",
    "select id, lower(email) as x from vault order by x desc", "select id from (select id, email as e from vault) s order by s.e",
    "select id, row_number() over (order by email) from vault", "select id from vault order by (vault).email", "table vault order by email",
    # M6: conditions
    "select count(*) from vault where email like 'z%'", "select count(*) from vault where email ~ '^z'", "select id from vault where email > 'm'",
    "select count(*) from vault where to_tsvector('simple', email) @@ to_tsquery('simple', 'zoe')", "select id from vault where email = 'zoe@vault.example'",
    "select id from vault v where v.email is not null", "select id from vault where vault::text like '%zoe%'", "select count(*) filter (where email like 'z%') from vault",
    "select id from vault where (id, email) = (1, 'zoe@vault.example')", "select id from only vault where email = 'x'",
    "select id from vault where case when email = 'x' then true else false end", "select id from vault where coalesce(email, 'x') = 'x'",
    "with a as (select id, email as e from vault) select id from a where e like 'z%'", "select 1 where exists (select 1 from vault where email like 'z%')",
    "select (select count(*) from vault where email like 'z%')", "select 'zoe@vault.example' in (select email from vault)",
    "select id from vault_view where mail like 'z%'", "select id from vault_kid where email like 'z%'", "select nullif(email, 'zoe@vault.example') from vault",
    "select email = 'zoe@vault.example' from vault", "select greatest(email, 'y') from vault", "select substring(email from '^z') from vault",
    "select count(email) from vault", "select max(email) from vault", "select string_agg(email, ',') from vault", "select to_json(email) from vault",
    "select row_to_json(v) from vault v", "select position('z' in email) from vault", "select id, tags from vault limit (select length(email) from vault where id = 1)",
    "select id from vault, generate_series(1, length(email)) g", "explain select id from vault where email like 'z%'",
    # groups
    "select count(*) from vault group by email", "select email, count(*) from vault group by 1", "select 1 from vault having max(email) > 'm'",
    # M9: set operations
    "select email from vault union select 'zoe@vault.example'", "select email from vault intersect select 'zoe@vault.example'",
    "select email from vault except select 'zoe@vault.example'", "select distinct email from vault", "select distinct on (email) id from vault",
    "select count(*) from (select email from vault union select 'zoe@vault.example') s",
    # M10: joins
    "select a.id from vault a join vault b on a.email < b.email", "select a.id from vault a join vault b using (email)",
    "select vault.id from vault natural join (values (1, 'zoe@vault.example')) v(id, email)", "select vault.id from vault join plain on t = email",
    "select v.id from (values ('zoe@vault.example')) x(e), vault v where v.email = x.e", "select plain.id from plain, vault where plain.t = vault.email",
    "select id from vault where id in (select vault.id from plain where plain.t = vault.email)",
    # changes
    "update vault set n = 1 where email like 'z%'", "delete from vault where email like 'z%'", "update vault set n = 1/(length(email) - 17) where id = 1",
    "insert into vault (id, email) values (9, 'zoe@vault.example') on conflict do nothing",
    "insert into vault (id, email) values (9, 'zoe@vault.example') on conflict (email) do update set n = 0",
    "update vault set n = 1 where id = 1 returning email like 'z%'", "insert into plain select id, note from vault where email like 'z%'",
    "merge into vault using plain on vault.email = plain.t when matched then do nothing",
    # elsewhere
    "copy (select id from vault where email like 'z%') to stdout", "declare c cursor for select id from vault order by email",
    "prepare po as select id from vault where email = $1", "create table made.vo as select id from vault where email like 'z%'",
    "do $$ begin if (select email from vault where id = 1) like 'z%' then perform 1/0; end if; end $$",
    "do $$ declare v text; begin select email into v from vault where id = 1; if v like 'z%' then perform 1/0; end if; end $$",
]

SHOWN = [
    "select email from vault where id = 1", "select * from vault", "select id, email, note from vault order by id", "select upper(email), md5(email) from vault where id = 1",
    "select substr(email, 1, 1), left(email, 1), length(email), reverse(email) from vault where n > 5", "select coalesce(email, 'none') from vault",
    "select email || '' from vault", "select case when id = 1 then email else note end from vault", "select v from vault v", "select array[email], row(email) from vault",
    "select email from vault union all select 'x'", "select (select email from vault where id = 1)", "select email as x from vault v where v.id in (1, 2)",
    "select distinct note from vault", "select v.email from vault v join orders o on o.id = v.id where o.id = 1", "select email from vault where note like 'f%'",
    "with a as (select id, email as e from vault) select e from a where id = 1",
]


def clean(w):
    for secret in SECRETS:
        need(secret not in w.all, f"{secret} reached the client")


def forms(text):
    return [Q(text), P(text) + B() + D() + E() + S, P(text) + B(results=[1]) + E() + S]


def refusal(got, told):
    errors = [body for kind, body in got if kind == "E"]
    need(len(errors) == 1 and b"C42501\0" in errors[0], f"{told}: {shape(got)} {errors}")
    # A DO block may be refused for its code before its conditions are looked at.
    need(b'by rule "vault-read"' in errors[0] or told.startswith("do "), f"{told}: {errors}")
    need(not any(kind in "Dd" for kind, _ in got), f"{told}: rows came")
    need(b"email" not in errors[0], f"{told}: the refusal names the column")


@check
def oracles_are_refused(r):
    w = Wire(r.proxy.port)
    for text in REFUSED:
        w.all = b""
        answers = []
        for parts in forms(text) if "$1" not in text else [Q(text)]:
            got = w.ask(parts)
            refusal(got, text)
            answers.append([body for kind, body in got if kind == "E"])
        need(text.startswith("do ") or answers.count(answers[0]) == len(answers), text)
        clean(w)
        need(rows(w.ask(Q("select 1"))) == [[b"1"]], f"{text}: the session is not usable")
    return f"{len(REFUSED)} texts"


@check
def l23_gives_no_bit(r):
    """The server fails for one value and not for the other; behind Sluice both are the same answer."""
    text = "select 1/(case when substr(email,1,1)='{}' then 0 else 1 end) from vault where id = 1"
    answers = []
    w = Wire(r.proxy.port)
    for letter in "zy":
        answers.append(w.ask(Q(text.format(letter))))
    need(answers[0] == answers[1] and shape(answers[0]).startswith("E42501"), answers)
    need(r.cluster.sql(text.format("y")).strip() == "1")
    try:
        r.cluster.sql(text.format("z"))
        need(False, "the server did not fail")
    except RuntimeError as e:
        need("division by zero" in str(e), e)


@check
def parameters_are_no_way_round(r):
    w = Wire(r.proxy.port)
    for text in ("select id from vault where email = $1", "select id from vault where $1 = email", "select substring(email, $1) from vault where id = 1"):
        refusal(w.ask(P(text) + B(values=["zoe@vault.example"]) + E() + S), text)
    need(rows(w.ask(P("select note from vault where id = $1") + B(values=["1"]) + E() + S)) == [[b"first"]])
    clean(w)


@check
def values_are_still_shown_masked(r):
    w = Wire(r.proxy.port)
    for text in SHOWN:
        for parts in forms(text):
            got = w.ask(parts)
            need(any(kind == "D" for kind, _ in got) and not any(kind == "E" for kind, _ in got), f"{text}: {shape(got)}")
    clean(w)
    need(rows(w.ask(Q("select count(*) from vault"))) == [[b"3"]])
    need(rows(w.ask(Q("select id, note from vault order by id desc limit 1"))) == [[b"3", b"third"]])
    return f"{len(SHOWN)} texts"


@check
def copies_and_views_keep_their_oracle(r):
    w = Wire(r.proxy.port)
    try:
        w.ask(Q("create table made.vc as select id, email as q from vault"))
        w.ask(Q("create view made.vv as select id, email as q from vault"))
        for text in ("select id from made.vc where q like 'z%'", "select id from made.vv order by q"):
            got = w.ask(Q(text))
            need("E42501" in shape(got) and b'by rule "made-read"' in b"".join(b for _, b in got), f"{text}: {shape(got)} {got}")
    finally:
        r.cluster.sql("drop view if exists made.vv; drop table if exists made.vc")


@check
def an_oracle_that_a_rule_allows(r):
    w = Wire(r.proxy.port)
    got = w.ask(Q("select id from customers where email = 'ada@example.com'"))
    need(rows(got) == [[b"1"]], shape(got))
