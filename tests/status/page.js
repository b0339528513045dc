'use strict';
// Drives the status page in a real browser: page.js SETUP, with {url, token, metrics: {service: url}, profile}. Prints a line of JSON
// for each case, {case, fault}; a line {do} asks whoever started it to do something to Prometheus, and waits for a line back.

const http = require('node:http');
const readline = require('node:readline');
const { chromium } = require('playwright-core');

const DEADLINE_MS = 60_000;
const CHARTS = ['messages', 'validation', 'stored', 'devices', 'puback', 'delay', 'lag', 'cpu'];
const setup = JSON.parse(process.argv[2]);
const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function check(ok, why) {
  if (!ok) throw new Error(why);
}

async function ask(what) {
  console.log(JSON.stringify({ do: what }));
  check(!(await answers.next()).done, `nobody did ${what}`);
}

/** The sum of a metric over its labels, as the service itself tells it. */
function metric(service, name) {
  return new Promise((resolve, reject) => {
    http.get(setup.metrics[service], { headers: { Authorization: `Bearer ${setup.token}` } }, (answer) => {
      let text = '';
      answer.on('data', (piece) => { text += piece; });
      answer.on('end', () => resolve(text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)));
    }).on('error', reject);
  });
}

class Page {
  /** `path`: behind the address, such as a fragment. Everything that the page does is noted. */
  static async open(browser, path, options = {}) {
    const self = new Page();
    self.context = await browser.newContext(options);
    self.page = await self.context.newPage();
    self.page.setDefaultTimeout(DEADLINE_MS);
    self.requests = [];
    self.console = [];
    self.page.on('request', (request) => self.requests.push(request.url()));
    self.page.on('console', (message) => self.console.push(`${message.type()}: ${message.text()}`));
    self.page.on('pageerror', (error) => self.console.push(`exception: ${error.message}`));
    await self.page.goto(setup.url + path);
    return self;
  }
  until(what, argument) { return this.page.waitForFunction(what, argument, { polling: 100 }); }
  state(wanted) { return this.until((state) => document.getElementById('state').dataset.state === state, wanted); }
  /** Until each of these charts has a line that is drawn. */
  drawn(ids) { return this.until((all) => all.every((id) => [...document.querySelectorAll(`#chart-${id} .line`)].some((line) => line.getAttribute('d'))), ids); }
  text(selector) { return this.page.locator(selector).innerText(); }
  close() { return this.context.close(); }
}

/** What the page has drawn of a line, newest last. */
const drawnValues = (page, id, line) => page.page.evaluate(([chart, name]) =>
  charts.get(chart).data.lines.find((one) => one.name === name).values.filter((value) => value !== null), [id, line]);

/** The last moment that the page has drawn, in milliseconds; `moment` is for conditions within the page. */
const newestMoment = (page) => page.page.evaluate(() => {
  window.moment = () => { const { grid } = charts.get('messages'); return grid.first_ms + grid.step_ms * (grid.count - 1); };
  return window.moment();
});

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

const cases = {
  async 'without a token it asks for one, says that a wrong one is wrong, and takes the right one'(browser) {
    const page = await Page.open(browser, '');
    await page.page.locator('#sign-in').waitFor();
    check((await page.text('#sign-in-fault')) === '', 'it complains of a token that nobody gave');
    check((await page.page.locator('figure').count()) === 0, 'it shows charts without a token');
    await page.page.fill('#token', 'not-the-token');
    await page.page.keyboard.press('Enter');
    await page.until(() => document.getElementById('sign-in-fault').textContent === 'That token was not accepted.');
    await page.page.fill('#token', setup.token);
    await page.page.keyboard.press('Enter');
    await page.drawn(['devices']);
    await page.page.reload();
    await page.drawn(['devices']);  // remembered for the tab
    check(page.console.every((line) => line.includes('401')), page.console.join('\n'));
    await page.close();
  },

  async 'all charts are drawn and go on, with nothing on the console and no request to anybody else'(browser) {
    const page = await Page.open(browser, `#token=${setup.token}`);
    await page.drawn(CHARTS);
    await page.state('ok');
    const before = await newestMoment(page);
    const line = await page.page.locator('#chart-messages .line').first().getAttribute('d');
    await page.until(([then, d]) => moment() >= then + 6000 &&
      document.querySelector('#chart-messages .line').getAttribute('d') !== d, [before, line]);
    check((await page.page.locator('#services li[data-health="good"]').count()) === Object.keys(setup.metrics).length, await page.text('#services'));
    check((await page.page.locator('#tiles div').count()) === 6, 'not all tiles are there');
    const origin = new URL(setup.url).origin;
    check(page.requests.length > 5 && page.requests.every((url) => new URL(url).origin === origin), page.requests.join('\n'));
    check(!page.page.url().includes(setup.token) && page.requests.every((url) => url.split('#')[0].indexOf(setup.token) < 0), 'the token is in an address');
    check(page.console.length === 0, page.console.join('\n'));
    await page.page.screenshot({ path: `${setup.profile}/status.png`, fullPage: true });
    await page.close();
  },

  async 'its figures are those of the services'(browser) {
    const page = await Page.open(browser, `#token=${setup.token}`);
    await page.drawn(CHARTS);
    const counters = [['mqtt-front', 'sluice_mqtt_received_total', 'messages', 'Published'], ['tsdb-writer', 'sluice_tsdb_writer_samples_total', 'stored', 'Stored']];
    const read = () => Promise.all(counters.map(async ([service, name]) => ({ at: Date.now(), value: await metric(service, name) })));
    const before = await read();
    const then = await newestMoment(page);
    await page.until((before) => moment() >= before + 20_000, then);
    const after = await read();
    for (const [i, [, name, id, line]] of counters.entries()) {
      const own = (after[i].value - before[i].value) / ((after[i].at - before[i].at) / 1000);
      const shown = mean((await drawnValues(page, id, line)).slice(-10));
      // Windows of eight seconds, seen two seconds apart, are not quite the same twenty seconds.
      check(own > 0 && Math.abs(shown - own) < 0.35 * own, `${name}: ${own} a second, and ${shown} on the page`);
    }
    for (let tries = 0; ; ++tries) {  // devices come and go
      const [own, shown] = [await metric('mqtt-front', 'sluice_mqtt_connections'), Number(await page.text('[data-tile="devices"] dd').then((text) => text.trim().split(/\s/)[0]))];
      if (own > 0 && own === shown) break;
      check(tries < 100, `${own} are connected, and ${shown} on the page`);
      await page.page.waitForTimeout(300);
    }
    await page.close();
  },

  async 'values are told at the pointer and by the arrow keys'(browser) {
    const page = await Page.open(browser, `#token=${setup.token}`);
    await page.drawn(CHARTS);
    const tip = page.page.locator('#chart-messages .tip');
    await page.page.locator('#chart-messages svg').hover();
    await tip.waitFor();
    check(/Published[^]*Acknowledged/.test(await tip.innerText()), await tip.innerText());
    check((await page.page.locator('.cross').count()) === CHARTS.length, 'the same moment is not marked in every chart');
    await page.page.mouse.move(0, 0);
    await tip.waitFor({ state: 'hidden' });
    await page.page.locator('#chart-devices svg').focus();
    await page.page.keyboard.press('ArrowLeft');
    const keyTip = page.page.locator('#chart-devices .tip');
    check(/Connected\s*\d/.test(await keyTip.innerText()), await keyTip.innerText());
    await page.page.keyboard.press('Escape');
    await keyTip.waitFor({ state: 'hidden' });
    const label = await page.page.locator('#chart-devices svg').getAttribute('aria-label');
    check(/^Connected devices: Connected \d/.test(label), label);
    await page.close();
  },

  async 'it fits a phone, and follows light and dark'(browser) {
    const page = await Page.open(browser, `#token=${setup.token}`, { viewport: { width: 360, height: 740 } });
    await page.drawn(CHARTS);
    for (const width of [360, 320, 820, 1440]) {
      await page.page.setViewportSize({ width, height: 740 });
      const wide = await page.page.evaluate(() => document.documentElement.scrollWidth);
      check(wide <= width, `${wide} pixels wide at ${width}`);
    }
    const shades = [];
    for (const colorScheme of ['light', 'dark']) {
      await page.page.emulateMedia({ colorScheme });
      shades.push(await page.page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    }
    check(shades[0] !== shades[1], `both are ${shades[0]}`);
    await page.page.setViewportSize({ width: 360, height: 740 });
    await page.page.screenshot({ path: `${setup.profile}/phone.png`, fullPage: true });
    await page.close();
  },

  async 'what is missing is said: no data, no Prometheus configured'(browser) {
    const page = await Page.open(browser, `#token=${setup.token}`);
    await page.drawn(CHARTS);
    await page.page.route('**/status/data', async (route) => {
      const answer = await route.fetch(), data = await answer.json();
      if (data.state === 'ok') data.charts.find((chart) => chart.id === 'stored').lines[0].values = [];
      await route.fulfill({ response: answer, json: data });
    });
    await page.until(() => document.querySelector('#chart-stored .empty')?.textContent === 'no data' && document.querySelector('[data-tile="stored"] dd').textContent.trim() === '–');
    await page.page.unroute('**/status/data');
    await page.page.route('**/status/data', (route) => route.fulfill({ json: { state: 'unset', why: 'Set prometheus_url' } }));
    await page.until(() => document.getElementById('notice').textContent === 'Set prometheus_url');
    await page.close();
  },

  async 'names in the data are text and never a part of the page'(browser) {
    const page = await Page.open(browser, `#token=${setup.token}`);
    await page.drawn(CHARTS);
    await page.page.route('**/status/data', async (route) => {
      const answer = await route.fetch(), data = await answer.json();
      if (data.state === 'ok') data.services[0].name = data.charts[0].lines[0].name = data.charts[0].title = '<img src=x onerror="window.broken=1">';
      await route.fulfill({ response: answer, json: data });
    });
    await page.until(() => document.querySelector('#chart-messages h2').textContent.includes('<img'));
    check((await page.page.locator('figure img, #services img').count()) === 0, 'a name became an element');
    await page.page.evaluate(() => document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.broken = 1' })));
    check((await page.page.evaluate(() => window.broken)) === undefined, 'a script that is not ours ran');
    await page.close();
  },

  async 'when Prometheus ends, or hangs, it says so, keeps what it has, and goes on by itself'(browser) {
    const page = await Page.open(browser, `#token=${setup.token}`);
    for (const [fault, repair] of [['kill', 'start'], ['stop', 'continue']]) {
      await page.drawn(CHARTS);
      await page.state('ok');
      await ask(fault);
      await page.state('stale');
      check(/^Prometheus does not answer \(.+\)\. Trying again\.$/.test(await page.text('#notice')), await page.text('#notice'));
      check((await page.page.locator('#chart-messages .line').first().getAttribute('d')).length > 0, 'the charts are gone');
      await ask(repair);
      await page.state('ok');
      check(!(await page.page.locator('#notice').isVisible()), 'it still complains');
    }
    check(page.console.length === 0, page.console.join('\n'));
    await page.close();
  },
};

async function main() {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium', headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  for (const [name, run] of Object.entries(cases)) {
    let fault = null;
    try {
      await run(browser);
    } catch (error) {
      fault = error.stack;
    }
    console.log(JSON.stringify({ case: name, fault }));
  }
  await browser.close();
  process.exit(0);
}

main();
