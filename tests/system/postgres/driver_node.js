// What node-postgres, pg-cursor and pg-query-stream hand their callers, as one JSON text. Connection facts come from the environment.
const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');
const QueryStream = require('pg-query-stream');

async function main() {
  const out = [];
  const client = new Client();
  await client.connect();
  for (const binary of [false, true]) {
    out.push((await client.query({ text: 'select id, i2, i8, f8, b, u, j, jb, ta, tx, by from t order by id', values: [], binary })).rows);
  }
  const all = await client.query('select * from t order by id; select count(*) from t');
  out.push(all.map((x) => [x.command, x.rowCount, x.fields.map((f) => [f.name, f.dataTypeID])]), all[0].rows);
  for (let i = 0; i < 5; i++) {
    out.push((await client.query({ name: 'named', text: 'select id, tx from t where id = $1', values: [i] })).rows);
  }
  const cursor = client.query(new Cursor('select id, tx from t order by id'));
  for (let rows = await cursor.read(7); rows.length; rows = await cursor.read(7)) out.push(rows);
  await cursor.close();
  const stream = client.query(new QueryStream('select g from generate_series(1, $1::int) g', [3000], { batchSize: 100 }));
  let sum = 0;
  for await (const row of stream) sum += row.g;
  out.push(sum);
  const early = client.query(new Cursor('select g from generate_series(1, 100000) g'));
  out.push(await early.read(3));
  await early.close();
  await client.query('begin');
  for (const text of ['select nosuch from t', 'select 1']) {
    try {
      await client.query(text, []);
    } catch (e) {
      out.push([e.code, e.message, e.severity, e.position]);
    }
  }
  await client.query('rollback');
  await client.end();
  const pool = new Pool({ max: 8 });
  const many = await Promise.all([...Array(60).keys()].map((i) => pool.query('select $1::int * 2 as x', [i])));
  out.push(many.map((x) => x.rows[0].x));
  await pool.end();
  process.stdout.write(JSON.stringify(out));
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
