// Opens the address that `brevet login` gave, with a real Chromium and no script, and decides as told.
//
// Flags: --issuer URL --chromium PROGRAM --screenshots FOLDER --open ADDRESS --code CODE --decision Approve|Deny
// Prints {"ok": true, "at": URL, "title": TEXT, "violations": […]} of the page on which it ended, or {"ok": false, …}.

import { parseArgs } from 'node:util';

import { open, tell } from './chromium.mjs';

const names = ['issuer', 'chromium', 'screenshots', 'open', 'code', 'decision'];
const { values: flags } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: 'string' }])) });
const opened = await open(flags);

await tell(opened, async () => {
  const { context, page } = await opened.plain();
  await page.goto(flags.open);
  if (new URL(flags.open).pathname.endsWith('/device')) {
    await page.getByRole('button', { name: 'Yes, it is the same' }).click();
  }
  await page.getByLabel('Enrolment code').fill(flags.code);
  await page.getByRole('button', { name: 'Continue with the code' }).click();
  await page.waitForURL('**/sign-in/confirm');
  await page.getByRole('button', { name: flags.decision, exact: true }).click();
  // By way of the page that goes on by itself, where a terminal waits on loopback.
  await page.waitForURL((url) => /^\/sign-in\/(done|denied)$/.test(url.pathname));
  const title = await page.locator('h1').textContent();
  const at = page.url();
  await context.close();
  return { at, title };
});
