// What a person does in a browser to have an App: registers it on the page of `patwarden setup` and on GitHub's, or installs
// it. Says what was seen, as one line of JSON. With PICTURES=FOLDER it takes pictures of each page on the way.

import { Browser } from './browser.mjs';

const [what, url, ...more] = process.argv.slice(2);
const browser = await Browser.start();
const picture = async (name) => {
  if (process.env.PICTURES) await browser.pictures(process.env.PICTURES, name);
};

async function register(webhook, rules) {
  await browser.open(url);
  await browser.see('#organization');
  await picture('choose');
  await browser.type('#organization', 'nobody/at/all');
  await browser.click('button');
  await browser.see('.bad');
  await picture('problems');
  const refused = await browser.text();
  await browser.type('#organization', 'acme');
  await browser.type('#webhook', webhook);
  await browser.type('#rules', rules);
  await browser.click('button');
  await browser.see('input[name=manifest]');
  await picture('review');
  const review = await browser.text();
  await browser.click('button');
  await browser.click('#create');
  await browser.see('#install');
  await picture('done');
  const page = { refused, review, done: await browser.text() };
  const install = await browser.evaluate("document.querySelector('#install').href");
  return { ...page, install, title: await browser.evaluate('document.title') };
}

async function install(organization, repository) {
  await browser.open(url);
  await browser.click(`a[href$="/${organization}"]`);
  await browser.click('input[value=selected]');
  await browser.click(`input[value=${repository}]`);
  await browser.click('#install');
  await browser.see('#installed');
  return { installed: await browser.text() };
}

try {
  const seen = await { register, install }[what](...more);
  console.log(JSON.stringify({ ...seen, complaints: browser.complaints }));
} finally {
  await browser.end();
}
