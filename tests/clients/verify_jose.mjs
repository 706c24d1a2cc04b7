// Verifies a token with jose, its key found through createRemoteJWKSet.
//
// Flags: --token T --audience A --issuer URL [--jwks-uri URL]. Without --jwks-uri the issuer's discovery document is
// read. Prints {"ok": true, "header": …, "claims": …} or {"ok": false, "error": CODE, "message": …}.
// BREVET_TEST_NODE_MODULES names the folder that holds jose.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const installed = createRequire(`${process.env.BREVET_TEST_NODE_MODULES}/x.js`);
const { createRemoteJWKSet, jwtVerify } = await import(pathToFileURL(installed.resolve('jose')));

const text = { type: 'string' };
const { values: flags } = parseArgs({ options: { token: text, issuer: text, audience: text, 'jwks-uri': text } });
for (const name of ['token', 'issuer', 'audience']) {
  if (flags[name] === undefined) throw new Error(`--${name} is missing`);
}

async function jwksUri(issuer) {
  const answer = await fetch(`${issuer}/.well-known/openid-configuration`, { redirect: 'error' });
  if (!answer.ok) throw new Error(`discovery answered ${answer.status}`);
  const document = await answer.json();
  if (document.issuer !== issuer) throw new Error(`discovery names ${JSON.stringify(document.issuer)}`);
  return document.jwks_uri;
}

async function verify() {
  const uri = new URL(flags['jwks-uri'] ?? (await jwksUri(flags.issuer)));
  const keys = createRemoteJWKSet(uri, { timeoutDuration: 120_000 });
  const { payload, protectedHeader } = await jwtVerify(flags.token, keys, {
    issuer: flags.issuer,
    audience: flags.audience,
    algorithms: ['RS256', 'ES256'],
    typ: 'JWT',
    requiredClaims: ['exp', 'nbf', 'iat', 'aud', 'iss', 'sub', 'jti'],
  });
  return { ok: true, header: protectedHeader, claims: payload };
}

const answer = await verify().catch((fault) => ({
  ok: false,
  error: fault.code ?? fault.name,
  message: fault.cause ? `${fault.message}: ${fault.cause.message}` : fault.message,
}));
console.log(JSON.stringify(answer));
