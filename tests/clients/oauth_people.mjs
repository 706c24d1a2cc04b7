// Completes the flows of a person's terminal with openid-client, which finds everything by the issuer URL (RFC 8414).
//
// Flags: --issuer URL --ask FILE --device NAME
// The device grant: what a device would show goes into FILE as JSON ({user_code, verification_uri, …}); somebody then
// approves it. Then two refreshes, and the newest refresh token is given up. Prints {"ok": true, "metadata": …,
// "asked": …, "tokens": {…}}, or {"ok": false, "error": CODE, "message": …, "asked": …}.
// BREVET_TEST_NODE_MODULES names the folder that holds openid-client.

import { renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const installed = createRequire(`${process.env.BREVET_TEST_NODE_MODULES}/x.js`);
const client = await import(pathToFileURL(installed.resolve('openid-client')));

const names = ['issuer', 'ask', 'device'];
const options = Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
const { values: flags } = parseArgs({ options });
for (const name of names) {
  if (flags[name] === undefined) throw new Error(`--${name} is missing`);
}

let asked;

async function flows() {
  // Plain http is for loopback issuers of tests; everything else is as an ordinary user would have it.
  const config = await client.discovery(new URL(flags.issuer), 'brevet-cli', undefined, client.None(), {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
    timeout: 120,
  });
  asked = await client.initiateDeviceAuthorization(config, { device_name: flags.device });
  writeFileSync(`${flags.ask}.new`, JSON.stringify(asked));
  renameSync(`${flags.ask}.new`, flags.ask);
  const device = await client.pollDeviceAuthorizationGrant(config, asked);
  const refreshed = await client.refreshTokenGrant(config, device.refresh_token);
  const again = await client.refreshTokenGrant(config, refreshed.refresh_token);
  await client.tokenRevocation(config, again.refresh_token, { token_type_hint: 'refresh_token' });
  const gone = await client.refreshTokenGrant(config, again.refresh_token).catch((fault) => fault.error);
  return { ok: true, metadata: config.serverMetadata(), asked, tokens: { device, refreshed, again }, gone };
}

const answer = await flows().catch((fault) => ({
  ok: false,
  error: fault.error ?? fault.code ?? fault.name,
  message: [fault.message, fault.error_description, fault.cause?.message].filter(Boolean).join(': '),
  asked,
}));
console.log(JSON.stringify(answer));
