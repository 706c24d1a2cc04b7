// Verifies a stream of tokens with jose, as a relying party does that runs for long: createRemoteJWKSet with its own
// cache and cool-down, one for each issuer.
//
// Flags: --audience A --max-age SECONDS. Reads {"id", "issuer", "token"} a line and answers each with
// {"id", "ok": true, "kid"} or {"id", "ok": false, "kid", "error": CODE, "message"}.
// BREVET_TEST_NODE_MODULES names the folder that holds jose.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const installed = createRequire(`${process.env.BREVET_TEST_NODE_MODULES}/x.js`);
const { createRemoteJWKSet, decodeProtectedHeader, errors, jwtVerify } = await import(
  pathToFileURL(installed.resolve('jose'))
);

const text = { type: 'string' };
const { values: flags } = parseArgs({ options: { audience: text, 'max-age': text } });
for (const name of ['audience', 'max-age']) if (flags[name] === undefined) throw new Error(`--${name} is missing`);

const sets = new Map();
function keysOf(issuer) {
  if (!sets.has(issuer)) {
    const options = { cacheMaxAge: 1000 * Number(flags['max-age']), timeoutDuration: 120_000 };
    sets.set(issuer, createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), options));
  }
  return sets.get(issuer);
}

// Only jose's own verdicts on a token or a key count; who is slow is asked again, and a proxy that has just lost an
// upstream.
const isVerdict = (fault) =>
  fault instanceof errors.JOSEError && fault.code !== 'ERR_JWKS_TIMEOUT' && !/200 OK/.test(fault.message);

async function verified(token, issuer) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await jwtVerify(token, keysOf(issuer), {
        issuer,
        audience: flags.audience,
        algorithms: ['RS256', 'ES256'],
        typ: 'JWT',
        requiredClaims: ['exp', 'nbf', 'iat', 'aud', 'iss', 'sub', 'jti'],
      });
    } catch (fault) {
      // For a minute.
      if (isVerdict(fault) || attempt === 1200) throw fault;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, issuer, token } = JSON.parse(line);
  const answer = { id, ok: false, kid: null };
  try {
    answer.kid = decodeProtectedHeader(token).kid;
    await verified(token, issuer);
    answer.ok = true;
  } catch (fault) {
    answer.error = fault.code ?? fault.name;
    answer.message = fault.message;
  }
  console.log(JSON.stringify(answer));
}
