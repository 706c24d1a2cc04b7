// What both programs that drive Chromium share: the browser, the device that asks, and an eye for pages.
//
// BREVET_TEST_NODE_MODULES names the folder of playwright-core and axe-core.

import { mkdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const installed = createRequire(`${process.env.BREVET_TEST_NODE_MODULES}/x.js`);
const { chromium } = (await import(pathToFileURL(installed.resolve('playwright-core')))).default;
const axe = readFileSync(installed.resolve('axe-core/axe.min.js'), 'utf8');

// Every page in every dress.
const DRESSES = [
  ['light', 'light', 1100, 860],
  ['dark', 'dark', 1100, 860],
  ['phone', 'light', 360, 740],
  ['phone-dark', 'dark', 360, 740],
];

// A browser before `issuer`, whose pictures go to the folder `screenshots`.
export async function open({ issuer, chromium: executablePath, screenshots }) {
  mkdirSync(screenshots, { recursive: true });
  // As below, far beyond what it takes on a busy machine.
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'], timeout: 180_000 });
  const findings = [];
  const violations = [];

  // A form of an OAuth client; from another address of this machine where one is given.
  function oauth(path, members, localAddress) {
    const body = new URLSearchParams({ client_id: 'brevet-cli', ...members }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const request = http.request(issuer + path, { method: 'POST', headers, localAddress }, (response) => {
        let text = '';
        response.on('data', (chunk) => (text += chunk));
        response.on('end', () => resolve(JSON.parse(text)));
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  const device = (name, from) => oauth('/oauth2/device_authorization', { device_name: name, team: 'red' }, from);
  const poll = ({ device_code }) =>
    oauth('/oauth2/token', { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code });

  // A picture of the page in every dress, axe's opinion, and whether it must be scrolled sideways. Pages hold no script;
  // that this one may run some is for axe alone, so it must come of `looking`.
  async function look(page, name) {
    for (const [dress, colorScheme, width, height] of DRESSES) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height });
      await page.screenshot({ path: `${screenshots}/${name}-${dress}.png`, fullPage: true });
      await page.evaluate(axe);
      const { violations: found } = await page.evaluate(() =>
        globalThis.axe.run(document, { resultTypes: ['violations'] }),
      );
      for (const { id, impact, nodes } of found) {
        findings.push({ name, dress, id, impact, at: nodes.map((node) => node.target) });
      }
      if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) {
        findings.push({ name, dress, id: 'scrolls-sideways', impact: 'serious', at: [] });
      }
    }
    await page.setViewportSize({ width: 1100, height: 860 });
  }

  // Nothing leaves this machine, whatever a page of a provider would like to load.
  async function context(options) {
    const made = await browser.newContext(options);
    made.setDefaultTimeout(120_000);
    await made.route(({ hostname }) => hostname !== '127.0.0.1' && hostname !== 'localhost', (route) => route.abort());
    return made;
  }

  async function looking() {
    const made = await context({ bypassCSP: true });
    return { context: made, page: await made.newPage() };
  }

  // The page of a person who runs no scripts at all, under the policy that the pages come with.
  async function plain() {
    const made = await context({ javaScriptEnabled: false });
    const page = await made.newPage();
    page.on('console', (message) => violations.push(message.text()));
    return { context: made, page };
  }

  return { browser, findings, violations, oauth, device, poll, look, looking, plain };
}

// Prints what `ways` came to, or how it failed, and ends the browser.
export async function tell(opened, ways) {
  const { browser, findings, violations } = opened;
  const answer = await ways()
    .then((ended) => ({ ok: true, ...ended, findings, violations }))
    .catch((fault) => ({ ok: false, message: fault.stack }));
  await browser.close();
  console.log(JSON.stringify(answer));
}
