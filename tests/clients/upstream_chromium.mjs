// Signs people in at providers that nobody here wrote, with a real Chromium: login and consent, a second device, a
// denial, answers that belong to nobody or come too late, several providers, and the end of it all at the provider.
//
// Flags: --issuer URL --chromium PROGRAM --screenshots FOLDER --acme URL --globex URL --initech URL
// The providers are `upstream_provider.mjs`, known to the issuer as Acme (whose people join the team red), Globex (whose
// people nobody lets in) and Initech (whose codes are over when they arrive). Prints {"ok": true, …} with what each way
// ended in, or {"ok": false, "message": …}.

import { parseArgs } from 'node:util';

import { open, tell } from './chromium.mjs';

const names = ['issuer', 'chromium', 'screenshots', 'acme', 'globex', 'initech'];
const { values: flags } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: 'string' }])) });
const opened = await open(flags);
const { oauth, device, poll, look, looking, plain } = opened;

const heading = (page) => page.locator('h1').textContent();

// From a device's link to the page that offers providers.
async function begin(page) {
  const asked = await device('laptop');
  await page.goto(asked.verification_uri_complete);
  await page.getByRole('button', { name: 'Yes, it is the same' }).click();
  await page.waitForURL('**/sign-in');
  return asked;
}

const choose = (page, name) => page.getByRole('button', { name: `Continue with ${name}` }).click();

// The provider's own pages.
async function login(page, name) {
  await page.locator('input[name=login]').fill(name);
  await page.locator('input[name=password]').fill('any');
  await page.locator('button[type=submit]').click();
}
const consent = (page) => page.locator('button[type=submit]').click();

async function approve(page) {
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.waitForURL('**/sign-in/done');
}

// What the pages look like on the way to a provider and back.
async function gallery() {
  const { context, page } = await looking();
  await begin(page);
  await look(page, 'sign-in-providers');
  await page.route(`${flags.acme}/**`, (route) => route.abort('aborted'));
  await choose(page, 'Acme');
  await page.getByRole('heading', { name: 'Going to Acme' }).waitFor();
  await look(page, 'leave');
  await page.unroute(`${flags.acme}/**`);
  await page.goto(`${flags.issuer}/oauth2/callback/acme?code=made-up&state=made-up`);
  await look(page, 'not-signed-in');
  await context.close();
}

async function people() {
  const { context, page } = await plain();
  const first = await begin(page);
  await choose(page, 'Acme');
  await page.waitForURL(`${flags.acme}/**`);
  await login(page, 'ada');
  await page.waitForURL(`${flags.acme}/**`);
  // The address with which the provider sends the browser back, to be tried again later.
  const back = page.waitForRequest((request) => request.url().startsWith(`${flags.issuer}/oauth2/callback/acme`));
  await consent(page);
  const callback = (await back).url();
  await page.waitForURL('**/sign-in/confirm');
  const question = await page.locator('main').textContent();
  await approve(page);
  const tokens = await poll(first);

  // The answer once more, on another way of the same browser: it belongs to that one no more.
  await begin(page);
  await page.goto(callback);
  const replayed = await heading(page);

  // A second device: the provider knows the browser, nothing is typed.
  const second = await begin(page);
  await choose(page, 'Acme');
  await page.waitForURL('**/sign-in/confirm');
  await approve(page);
  const again = await poll(second);

  // The person ends it where they began it; every session that came of it ends here.
  await page.goto(`${flags.acme}/session/end`);
  await page.locator('button[name=logout]').first().click();
  await page.waitForLoadState();
  const refreshed = await Promise.all(
    [tokens, again].map(({ refresh_token }) =>
      oauth('/oauth2/token', { grant_type: 'refresh_token', refresh_token }).then(({ error }) => error),
    ),
  );
  await context.close();
  return { question, tokens, replayed, again, refreshed };
}

async function denied() {
  const { context, page } = await plain();
  const asked = await begin(page);
  await choose(page, 'Acme');
  await page.waitForURL(`${flags.acme}/**`);
  await page.getByText('Cancel').click();
  await page.waitForURL('**/oauth2/callback/acme?**');
  const told = await page.locator('main').textContent();
  await page.getByRole('link', { name: 'Try again' }).click();
  const after = await heading(page);
  const wrong = [];
  for (const query of ['code=made-up&state=made-up', 'code=made-up', 'error=access_denied', '']) {
    await page.goto(`${flags.issuer}/oauth2/callback/acme?${query}`);
    wrong.push(await heading(page));
  }
  await context.close();
  return { told, after, wrong, device: (await poll(asked)).error };
}

// Who signs in well at a provider that no team takes people from.
async function stranger() {
  const { context, page } = await plain();
  await begin(page);
  await choose(page, 'Globex');
  await page.waitForURL(`${flags.globex}/**`);
  await login(page, 'mallory');
  await page.waitForURL(`${flags.globex}/**`);
  await consent(page);
  await page.waitForURL('**/oauth2/callback/globex?**');
  const told = await page.locator('main').textContent();
  await context.close();
  return told;
}

// A browser that brings the provider's code when it is over, and its person, who goes on from there another way.
async function late() {
  const { context, page } = await looking();
  const asked = await begin(page);
  await choose(page, 'Initech');
  await page.waitForURL(`${flags.initech}/**`);
  await login(page, 'ada');
  await page.waitForURL(`${flags.initech}/**`);
  const [answer] = await Promise.all([page.waitForResponse('**/oauth2/callback/initech?**'), consent(page)]);
  await page.waitForLoadState();
  const [title, told] = [await heading(page), await page.locator('main').textContent()];
  await look(page, 'answer-expired');
  await page.getByRole('link', { name: 'Try again' }).click();
  const after = await heading(page);
  await choose(page, 'Acme');
  await page.waitForURL(`${flags.acme}/**`);
  await login(page, 'ada');
  await page.waitForURL(`${flags.acme}/**`);
  await consent(page);
  await page.waitForURL('**/sign-in/confirm');
  await approve(page);
  await context.close();
  return { status: answer.status(), title, told, after, tokens: await poll(asked) };
}

await tell(opened, async () => {
  await gallery();
  return { people: await people(), denied: await denied(), stranger: await stranger(), late: await late() };
});
