// Signs people in on our pages with a real Chromium, as a person would: without a script of ours anywhere, by mouse and
// by keyboard, in light and dark and at the width of a phone; and tries what a foreign page would try.
//
// Flags: --issuer URL --chromium PROGRAM --screenshots FOLDER --code CODE (as often as codes are needed: six)
// Prints {"ok": true, …} with what each way ended in, every finding of axe, and every complaint of the browser about a
// page (`violations`), or {"ok": false, "message": …}.

import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import { parseArgs } from 'node:util';

import { open, tell } from './chromium.mjs';

const { values: flags } = parseArgs({
  options: {
    issuer: { type: 'string' },
    chromium: { type: 'string' },
    screenshots: { type: 'string' },
    code: { type: 'string', multiple: true },
  },
});
const codes = [...flags.code];
const opened = await open(flags);
const { oauth, device, poll, look, looking, plain } = opened;

// The pages as they are, looked at one by one.
async function gallery() {
  const { context, page } = await looking();
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
  await page.goto(`${flags.issuer}/sign-in/nowhere`);
  await look(page, 'no-such-page');
  // As long as a name may be, with a word in it that no line holds.
  const long = await device(`Build host ${'0123456789abcdef'.repeat(8)} of the night shift in the second basement`);
  await page.goto(long.verification_uri_complete);
  await page.getByRole('button', { name: 'Yes, it is the same' }).click();
  await look(page, 'sign-in-long');
  await page.getByLabel('Enrolment code').fill(codes.pop());
  await page.getByRole('button', { name: 'Continue with the code' }).click();
  await look(page, 'confirm-long');
  await page.keyboard.press('Tab');
  await look(page, 'confirm-focus');
  await page.getByRole('button', { name: 'Deny' }).click();
  await context.close();
  return { here: await poll(here), elsewhere: await poll(elsewhere) };
}

// A device let in by keyboard alone: the page gives the focus to its field, and Enter sends it.
async function byKeyboard() {
  const { context, page } = await plain();
  const asked = await device('laptop');
  await page.goto(asked.verification_uri);
  // Chromium gives the focus with the first frame that it draws, which may come after the page has loaded.
  await page.locator('input[name=user_code]:focus').waitFor();
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
    // In place of what may not be framed Chromium shows a page of its own.
    const framed = tab.frames()[1].url().startsWith(flags.issuer) ? 1 : 0;
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

await tell(opened, async () => ({
  shown: await gallery(),
  keyboard: await byKeyboard(),
  approved: await terminal('Approve'),
  denied: await terminal('Deny'),
  foreign: await attacked(),
}));
