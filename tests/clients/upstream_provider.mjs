// A company's OpenID provider for tests: node's oidc-provider with its own pages for login and consent.
//
// Flags: --port PORT --client-id ID --secret SECRET --redirect URI --logout URI [--late]
// With --late its codes live for a second, and it takes three to send a browser back with one.
// Whoever signs in as NAME is the subject NAME with the verified address NAME@acme.example, in the group eng. Prints
// {"ok": true, "issuer": URL} once it listens, and serves until it is ended; a fault ends it with {"ok": false, …}.
// BREVET_TEST_NODE_MODULES names the folder that holds oidc-provider.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const installed = createRequire(`${process.env.BREVET_TEST_NODE_MODULES}/x.js`);
const { default: Provider } = await import(pathToFileURL(installed.resolve('oidc-provider')));

const names = ['port', 'client-id', 'secret', 'redirect', 'logout'];
const options = Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
const { values: flags } = parseArgs({ options: { ...options, late: { type: 'boolean' } } });
for (const name of names) {
  if (flags[name] === undefined) throw new Error(`--${name} is missing`);
}

const issuer = `http://127.0.0.1:${flags.port}`;
const account = (id) => ({
  accountId: id,
  claims: () => ({
    sub: id,
    name: `Person ${id}`,
    email: `${id}@acme.example`,
    email_verified: true,
    groups: ['eng'],
  }),
});

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: flags['client-id'],
      client_secret: flags.secret,
      redirect_uris: [flags.redirect],
      post_logout_redirect_uris: [],
      backchannel_logout_uri: flags.logout,
      backchannel_logout_session_required: true,
    },
  ],
  claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: ['name'] },
  // The ID token says it all: nobody asks the userinfo endpoint.
  conformIdTokenClaims: false,
  cookies: { keys: ['only for tests'] },
  features: { backchannelLogout: { enabled: true }, devInteractions: { enabled: true } },
  findAccount: (_, id) => account(id),
  // Its own 2.5 s for a logout that it tells of are little on a busy machine.
  httpOptions: () => ({ signal: AbortSignal.timeout(120_000) }),
  pkce: { required: () => true },
  ttl: { AuthorizationCode: flags.late ? 1 : 60 },
});

if (flags.late) {
  provider.use(async (context, next) => {
    await next();
    if (context.response.get('location').startsWith(flags.redirect)) {
      await new Promise((resolve) => setTimeout(resolve, 3000));
    }
  });
}

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
for (const event of ['server_error', 'backchannel.error']) {
  provider.on(event, (...what) => process.stderr.write(`${event} ${what.map((part) => part?.message ?? '').join(' ')}\n`));
}
provider.listen(Number(flags.port), '127.0.0.1', () => say({ ok: true, issuer }));
