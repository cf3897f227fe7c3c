-- The sample database: people with personal data of many kinds, their orders, and a large table for streams.
CREATE TABLE customers (
  id integer PRIMARY KEY, name text, email varchar(120), ssn text, card text, phone text, iban text, notes text,
  profile jsonb, balance numeric(12,2), born date
);
INSERT INTO customers VALUES
 (1, 'Ada Lovelace',   'ada@calc.io',   '536-22-8726', '4539 1488 0343 6467', '+44 20 7946 0958', 'GB33BUKB20201555555555', 'prefers mail to ada@calc.io', '{"email": "ada@calc.io", "tier": "gold"}', 1250.50, '1815-12-10'),
 (2, 'Grace Hopper',   'grace@navy.org',   '532-81-3922', '5500005555555559',    '+1 202 456 1414',  'DE89370400440532013000', 'card 5500005555555559 on file', '{"ssn": "532-81-3922"}', 98.00, '1906-12-09'),
 (3, 'Alan Turing',    'alan@bletchley.uk','575-37-4181', '371449635398431',     '+44 1908 640404',  'FR1420041010050500013M02606', 'call +44 1908 640404', '{"tier": "basic"}', 0.00, '1912-06-23'),
 (4, 'Edsger Dijkstra','edsger@tue.nl', '518-62-9914', '6011000990139424',    '+31 40 247 9111',  'NL91ABNA0417164300', 'nothing special', '{"iban": "NL91ABNA0417164300"}', 77.77, '1930-05-11'),
 (5, 'Barbara Liskov', 'liskov@mit.edu', '549-73-2265', '3530111333300000',    '+1 617 253 0000',  'CH9300762011623852957', NULL, '{}', 31337.00, '1939-11-07');
CREATE TABLE orders (id integer PRIMARY KEY, customer integer REFERENCES customers, item text, cents integer, placed timestamptz DEFAULT now());
INSERT INTO orders SELECT i, 1 + i % 5, 'item ' || i, i * 100, '2026-01-01'::timestamptz + i * interval '1 hour' FROM generate_series(1, 200) i;
CREATE TABLE archive (id integer PRIMARY KEY, contact text, body text);
-- 200 MB of COPY text; a mail address in every thousandth row.
INSERT INTO archive SELECT i, CASE WHEN i % 1000 = 0 THEN 'user' || i || '@example.net' ELSE '-' END,
  repeat(md5(i::text) || '-', 3) FROM generate_series(1, :archive_rows) i;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO shop_app;
GRANT CREATE ON SCHEMA public TO shop_app;
ALTER TABLE customers OWNER TO shop_app;
ALTER TABLE orders OWNER TO shop_app;
ANALYZE;
