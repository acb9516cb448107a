// A Chromium with one page, driven over the DevTools protocol. It speaks over two pipes, so that no port is opened and
// nothing has to be installed beside node and the browser.
//
// https://chromedevtools.github.io/devtools-protocol/

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PATIENCE = 20_000;

export class Browser {
  #child;
  #folder;
  #session;
  #number = 0;
  #waiting = new Map();
  /** What a page's own policy forbids of what is in it: scripts, styles, forms. */
  complaints = [];

  static async start() {
    const browser = new Browser();
    browser.#folder = await mkdtemp(join(tmpdir(), 'patwarden-e2e-'));
    const flags = [
      '--headless=new',
      '--remote-debugging-pipe',
      `--user-data-dir=${browser.#folder}`,
      '--no-first-run',
      '--no-default-browser-check',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      // Chromium's sandbox refuses to run as root, as in a container; what is opened here is our own.
      ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
    ];
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'];
    browser.#child = spawn(process.env.CHROMIUM ?? 'chromium', flags, { stdio });
    let rest = '';
    browser.#child.stdio[4].setEncoding('utf8').on('data', (text) => {
      const messages = (rest + text).split('\0');
      rest = messages.pop();
      for (const message of messages) browser.#heard(JSON.parse(message));
    });
    const { targetId } = await browser.#say('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.#say('Target.attachToTarget', { targetId, flatten: true });
    browser.#session = sessionId;
    for (const domain of ['Page', 'Runtime', 'Log']) await browser.#say(`${domain}.enable`);
    return browser;
  }

  #say(method, params = {}) {
    const id = ++this.#number;
    const message = { id, method, params, sessionId: this.#session };
    this.#child.stdio[3].write(`${JSON.stringify(message)}\0`);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${method}: no answer`)), PATIENCE);
      this.#waiting.set(id, { resolve, reject, late });
    });
  }

  #heard({ id, result, error, method, params }) {
    if (method === 'Log.entryAdded' && params.entry.text.includes('Content Security Policy')) {
      this.complaints.push(params.entry.text);
    }
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.late);
    if (error) waiting.reject(new Error(error.message));
    else waiting.resolve(result);
  }

  /** What an expression comes to in the page. */
  async evaluate(expression) {
    const { result, exceptionDetails } = await this.#say('Runtime.evaluate', { expression, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.text}`);
    return result.value;
  }

  async open(url) {
    const { errorText } = await this.#say('Page.navigate', { url });
    if (errorText) throw new Error(`${url}: ${errorText}`);
  }

  /** Waits until an element is there. Between two pages nothing is. */
  async see(selector) {
    const deadline = Date.now() + PATIENCE;
    const there = `document.readyState === 'complete' && !!document.querySelector(${JSON.stringify(selector)})`;
    while (!(await this.evaluate(there).catch(() => false))) {
      if (Date.now() > deadline) {
        const where = await this.evaluate('location.href + "\\n" + document.body.innerText').catch(() => '');
        throw new Error(`${selector} does not come; the page is ${where}\n${this.complaints.join('\n')}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }

  /** Clicks as a person does: with the mouse, in the middle. */
  async click(selector) {
    await this.see(selector);
    const { x, y } = await this.evaluate(`(() => {
      const one = document.querySelector(${JSON.stringify(selector)});
      one.scrollIntoView({ block: 'center' });
      const { x, y, width, height } = one.getBoundingClientRect();
      return { x: x + width / 2, y: y + height / 2 };
    })()`);
    for (const type of ['mousePressed', 'mouseReleased']) {
      await this.#say('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
    }
  }

  /** Types into a field in place of what is in it. */
  async type(selector, text) {
    await this.see(selector);
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).select()`);
    await this.#say('Input.insertText', { text });
  }

  text() {
    return this.evaluate('document.body.innerText');
  }

  /** Pictures of the whole page: by day and night, on a desk and on a phone. */
  async pictures(folder, name) {
    for (const scheme of ['light', 'dark']) {
      const features = [{ name: 'prefers-color-scheme', value: scheme }];
      await this.#say('Emulation.setEmulatedMedia', { features });
      for (const [device, width, mobile] of [['desk', 1000, false], ['phone', 390, true]]) {
        const metrics = { width, height: 800, deviceScaleFactor: 1, mobile };
        await this.#say('Emulation.setDeviceMetricsOverride', metrics);
        const { data } = await this.#say('Page.captureScreenshot', { captureBeyondViewport: true });
        await writeFile(join(folder, `${name}-${scheme}-${device}.png`), Buffer.from(data, 'base64'));
      }
    }
    await this.#say('Emulation.clearDeviceMetricsOverride');
    await this.#say('Emulation.setEmulatedMedia', { features: [] });
  }

  async end() {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#say('Browser.close').catch(() => {});
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
