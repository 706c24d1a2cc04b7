// Signs people in on our pages with a real Chromium, as a person would: without a script of ours anywhere, by mouse and
// by keyboard, in light and dark and at the width of a phone; and tries what a foreign page would try.
//
// Flags: --issuer URL --chromium PROGRAM --screenshots FOLDER --code CODE (as often as codes are given: five)
// Prints {"ok": true, …} with what each way ended in, every finding of axe, and every complaint of the browser about a
// page (`violations`), or {"ok": false, "message": …}. BREVET_TEST_NODE_MODULES names the folder of playwright-core and
// axe-core.

import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const installed = createRequire(`${process.env.BREVET_TEST_NODE_MODULES}/x.js`);
const { chromium } = await import(pathToFileURL(installed.resolve('playwright-core')));
const axe = readFileSync(installed.resolve('axe-core/axe.min.js'), 'utf8');

const { values: flags } = parseArgs({
  options: {
    issuer: { type: 'string' },
    chromium: { type: 'string' },
    screenshots: { type: 'string' },
    code: { type: 'string', multiple: true },
  },
});
mkdirSync(flags.screenshots, { recursive: true });
const codes = [...flags.code];
const findings = [];
const violations = [];

// A form of an OAuth client; from another address of this machine where one is given.
function oauth(path, members, localAddress) {
  const body = new URLSearchParams({ client_id: 'brevet-cli', ...members }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const request = http.request(flags.issuer + path, { method: 'POST', headers, localAddress }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve(JSON.parse(text)));
    });
    request.on('error', reject);
    request.end(body);
  });
}

const device = (name, from) => oauth('/oauth2/device_authorization', { device_name: name, team: 'red' }, from);
const poll = (asked) =>
  oauth('/oauth2/token', {
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
    device_code: asked.device_code,
  });

const browser = await chromium.launch({ executablePath: flags.chromium, args: ['--no-sandbox'] });

// Every page in every dress: a picture of it, axe's opinion, and whether it must be scrolled sideways. Pages hold no
// script; that this one may run some is for axe alone.
const DRESSES = [
  ['light', 'light', 1100, 860],
  ['dark', 'dark', 1100, 860],
  ['phone', 'light', 360, 740],
  ['phone-dark', 'dark', 360, 740],
];
async function look(page, name) {
  for (const [dress, colorScheme, width, height] of DRESSES) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height });
    await page.screenshot({ path: `${flags.screenshots}/${name}-${dress}.png`, fullPage: true });
    await page.evaluate(axe);
    const { violations: found } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
    for (const { id, impact, nodes } of found) findings.push({ name, dress, id, impact, at: nodes.map((node) => node.target) });
    if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) {
      findings.push({ name, dress, id: 'scrolls-sideways', impact: 'serious', at: [] });
    }
  }
  await page.setViewportSize({ width: 1100, height: 860 });
}

// The pages as they are, looked at one by one.
async function gallery() {
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  const here = await device('Ann’s laptop');
  await page.goto(`${flags.issuer}/device`);
  await look(page, 'device');
  await page.getByLabel('Code').fill('BCDF-GHJK');
  await page.getByRole('button', { name: 'Continue' }).click();
  await look(page, 'device-wrong');
  await page.goto(here.verification_uri_complete);
  await look(page, 'device-linked');
  await page.getByRole('button', { name: 'Yes, it is the same' }).click();
  await look(page, 'sign-in');
  await page.getByLabel('Enrolment code').fill('bvt_en_mistyped');
  await page.getByRole('button', { name: 'Continue with the code' }).click();
  await look(page, 'sign-in-wrong');
  await page.getByLabel('Enrolment code').fill(codes.pop());
  await page.getByRole('button', { name: 'Continue with the code' }).click();
  await look(page, 'confirm');
  await page.getByRole('button', { name: 'Approve' }).click();
  await look(page, 'done');
  const elsewhere = await device('build box 7', '127.0.0.2');
  await page.goto(elsewhere.verification_uri_complete);
  await page.getByRole('button', { name: 'Yes, it is the same' }).click();
  await page.getByLabel('Enrolment code').fill(codes.pop());
  await page.getByRole('button', { name: 'Continue with the code' }).click();
  await look(page, 'confirm-elsewhere');
  await page.getByRole('button', { name: 'Approve' }).click();
  await look(page, 'confirm-elsewhere-wrong');
  await page.getByRole('button', { name: 'Deny' }).click();
  await look(page, 'denied');
  await page.goto(`${flags.issuer}/sign-in`);
  await look(page, 'over');
  await page.goto(`${flags.issuer}/oauth2/authorize?client_id=brevet-cli&redirect_uri=https://evil.example/`);
  await look(page, 'unanswerable');
  await context.close();
  return { here: await poll(here), elsewhere: await poll(elsewhere) };
}

// A page of a person who runs no scripts at all, under the policy that the pages come with.
async function plain() {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  page.on('console', (message) => violations.push(message.text()));
  return { context, page };
}

// A device let in by keyboard alone: the page gives the focus to its field, and Enter sends it.
async function byKeyboard() {
  const { context, page } = await plain();
  const asked = await device('laptop');
  await page.goto(asked.verification_uri);
  await page.keyboard.type(asked.user_code.toLowerCase());
  await page.keyboard.press('Enter');
  await page.waitForURL('**/sign-in');
  await page.keyboard.press('Tab');
  await page.keyboard.type(codes.pop());
  await page.keyboard.press('Enter');
  await page.waitForURL('**/sign-in/confirm');
  const [cookie] = await context.cookies();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/sign-in/done');
  const kept = await context.cookies();
  await context.close();
  const { name, path, domain, httpOnly, secure, sameSite } = cookie;
  return { tokens: await poll(asked), cookie: { name, path, domain, httpOnly, secure, sameSite }, kept: kept.length };
}

// A terminal with a loopback listener, as `brevet login` has one.
async function terminal(decision) {
  const answers = [];
  const listener = http.createServer((request, response) => {
    answers.push(Object.fromEntries(new URL(request.url, 'http://127.0.0.1').searchParams));
    response.end('Back at the terminal.');
  });
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const redirect_uri = `http://127.0.0.1:${listener.address().port}/done`;
  const code_verifier = randomBytes(32).toString('base64url');
  const { context, page } = await plain();
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: 'brevet-cli',
    redirect_uri,
    code_challenge: createHash('sha256').update(code_verifier).digest('base64url'),
    code_challenge_method: 'S256',
    state: 'a state & more',
    device_name: 'laptop',
  });
  await page.goto(`${flags.issuer}/oauth2/authorize?${query}`);
  if (decision === 'Approve') {
    await page.getByLabel('Enrolment code').fill(codes.pop());
    await page.getByRole('button', { name: 'Continue with the code' }).click();
    await page.getByRole('button', { name: decision, exact: true }).click();
  } else {
    await page.getByRole('button', { name: 'Turn the device away' }).click();
  }
  await page.waitForURL('**/done?**');
  const arrived = await page.textContent('body');
  await context.close();
  listener.closeAllConnections();
  listener.close();
  const [answer] = answers;
  const { code, ...told } = answer;
  const grant = { grant_type: 'authorization_code', code, code_verifier, redirect_uri };
  return { arrived, told, tokens: code === undefined ? null : await oauth('/oauth2/token', grant) };
}

// What a page of somebody else's does to a browser that is about to decide.
async function attacked() {
  const { context, page } = await plain();
  const asked = await device('laptop');
  await page.goto(asked.verification_uri_complete);
  await page.getByRole('button', { name: 'Yes, it is the same' }).click();
  await page.getByLabel('Enrolment code').fill(codes.pop());
  await page.getByRole('button', { name: 'Continue with the code' }).click();
  await page.waitForURL('**/sign-in/confirm');
  // The worst case: it has even got hold of the token of the form.
  const token = await page.locator('input[name=form]').first().inputValue();
  const evil = http.createServer((request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<iframe src="${flags.issuer}/sign-in/confirm"></iframe>
      <form method="post" action="${flags.issuer}/sign-in/confirm"><input name="form" value="${token}">
      <button name="decision" value="approve">win</button></form>`);
  });
  await new Promise((resolve) => evil.listen(0, '127.0.0.1', resolve));
  const results = [];
  // Another site, and another origin of the same site: Lax keeps the cookie from the first alone.
  for (const host of ['localhost', '127.0.0.1']) {
    const tab = await context.newPage();
    await tab.goto(`http://${host}:${evil.address().port}/`);
    const framed = await tab.frames()[1].locator('h1').count();
    const [answer] = await Promise.all([tab.waitForResponse('**/sign-in/confirm'), tab.getByText('win').click()]);
    const sent = await answer.request().allHeaders();
    results.push({ host, framed, status: answer.status(), cookie: sent.cookie !== undefined });
    await tab.close();
  }
  evil.closeAllConnections();
  evil.close();
  const after = await poll(asked);
  // It is still the person's own to decide.
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.waitForURL('**/sign-in/done');
  await context.close();
  return { results, after: after.error };
}

const answer = await (async () => {
  const shown = await gallery();
  const keyboard = await byKeyboard();
  const approved = await terminal('Approve');
  const denied = await terminal('Deny');
  const foreign = await attacked();
  return { ok: true, shown, keyboard, approved, denied, foreign, findings, violations };
})().catch((fault) => ({ ok: false, message: fault.stack }));
await browser.close();
console.log(JSON.stringify(answer));
