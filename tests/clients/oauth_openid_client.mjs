// Completes the machine flows with openid-client, which finds everything by the issuer URL (RFC 8414).
//
// Flags: --issuer URL --client-id ID --secret KEY --key FILE [--kid K] [--subject-token T --audience A]
// FILE is a P-256 private key in PKCS #8 PEM. Prints {"ok": true, "metadata": …, "tokens": {…}} with what each flow
// answered ("revoked" among them, whose token was given up), or {"ok": false, "error": CODE, "message": …}.
// BREVET_TEST_NODE_MODULES names the folder that holds openid-client.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const installed = createRequire(`${process.env.BREVET_TEST_NODE_MODULES}/x.js`);
const client = await import(pathToFileURL(installed.resolve('openid-client')));

const names = ['issuer', 'client-id', 'secret', 'key', 'kid', 'subject-token', 'audience'];
const options = Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
const { values: flags } = parseArgs({ options });
for (const name of names.slice(0, 4)) {
  if (flags[name] === undefined) throw new Error(`--${name} is missing`);
}

// Plain http is for loopback issuers of tests; everything else is as an ordinary user would have it.
const discover = (authentication) =>
  client.discovery(new URL(flags.issuer), flags['client-id'], undefined, authentication, {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
    timeout: 120,
  });

async function privateKey() {
  const pem = readFileSync(flags.key, 'utf8');
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
  return crypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}

async function flows() {
  const basic = await discover(client.ClientSecretBasic(flags.secret));
  const posted = await discover(client.ClientSecretPost(flags.secret));
  const key = await privateKey();
  const signed = await discover(client.PrivateKeyJwt({ key, kid: flags.kid }));
  const tokens = {
    basic: await client.clientCredentialsGrant(basic),
    post: await client.clientCredentialsGrant(posted),
    private_key_jwt: await client.clientCredentialsGrant(signed),
    revoked: await client.clientCredentialsGrant(signed),
  };
  await client.tokenRevocation(signed, tokens.revoked.access_token);
  // Once more: it is as good as given up.
  await client.tokenRevocation(basic, tokens.revoked.access_token, { token_type_hint: 'access_token' });
  if (flags['subject-token'] !== undefined) {
    const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange';
    const type = (name) => `urn:ietf:params:oauth:token-type:${name}`;
    const offered = { subject_token: flags['subject-token'], subject_token_type: type('jwt') };
    const anonymous = await discover(client.None());
    tokens.exchanged = await client.genericGrantRequest(anonymous, exchange, offered);
  }
  return { ok: true, metadata: basic.serverMetadata(), tokens };
}

const answer = await flows().catch((fault) => ({
  ok: false,
  error: fault.error ?? fault.code ?? fault.name,
  message: [fault.message, fault.error_description, fault.cause?.message].filter(Boolean).join(': '),
}));
console.log(JSON.stringify(answer));
