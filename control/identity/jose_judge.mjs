// jose_judge.mjs: for differential_test.py: npm's jose on a pipe. node jose_judge.mjs JOSE-FOLDER JWKS-FILE ISSUER AUDIENCE NOW ALG...
// Each input line is a token in hex; each output line is "none" when jose accepts it, else its error's code.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [folder, file, issuer, audience, now, ...algorithms] = process.argv.slice(2);
const { createLocalJWKSet, jwtVerify } = await import(createRequire(folder + '/package.json').resolve(folder));
const keys = createLocalJWKSet(JSON.parse(readFileSync(file, 'utf8')));
const options = { issuer, audience, algorithms, clockTolerance: 30, currentDate: new Date(1000 * now), requiredClaims: ['exp', 'iat', 'sub'] };

for await (const line of createInterface({ input: process.stdin })) {
  let answer = 'none';
  try {
    await jwtVerify(Buffer.from(line, 'hex').toString('latin1'), keys, options);
  } catch (e) {
    answer = e.code ?? e.name;
  }
  console.log(answer);
}
