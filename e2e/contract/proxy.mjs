// Stands between a bot and a GitHub, in both directions, changes nothing and judges everything.
//
//   node proxy.mjs GITHUB-URL WEBHOOK-SECRET
//
// prints one line of JSON: `api` (what the bot takes for GitHub), `hooks` (what GitHub takes for the bot), `control`.
// `POST control/bot {"url"}` says where webhooks go on to; until then they are answered 202 here.
// `GET control/report` waits until nothing is on its way and tells what was seen and found. It ends when stdin does.

import { createServer, request as call } from 'node:http';
import { Judge } from './judge.mjs';

const [github, secret] = process.argv.slice(2);
if (!github || !secret) {
  process.stderr.write('usage: node proxy.mjs GITHUB-URL WEBHOOK-SECRET\n');
  process.exit(2);
}

const judge = new Judge();
let bot = null;
let underWay = 0;
const troubles = [];

const collect = (stream) =>
  new Promise((resolve, reject) => {
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => resolve(Buffer.concat(chunks)));
    stream.on('error', reject);
    stream.on('aborted', () => reject(new Error('aborted')));
  });

/** Headers as they came: every value, under names in lower case. */
function listed(raw) {
  const headers = {};
  for (let at = 0; at < raw.length; at += 2) (headers[raw[at].toLowerCase()] ??= []).push(raw[at + 1]);
  return headers;
}

/** Sends a request on as it came; resolves to the whole answer, or to null where the other side did not give one. */
function pass(base, incoming, body, outgoing) {
  return new Promise((resolve) => {
    const target = new URL(base);
    const prefix = target.pathname.replace(/\/$/, '');
    const raw = [];
    for (let at = 0; at < incoming.rawHeaders.length; at += 2) {
      if (!/^(host|connection|x-contract-on-purpose)$/i.test(incoming.rawHeaders[at])) raw.push(incoming.rawHeaders[at], incoming.rawHeaders[at + 1]);
    }
    raw.push('Host', target.host, 'Connection', 'close');
    const onward = call({ host: target.hostname, port: target.port, method: incoming.method, path: prefix + incoming.url, headers: raw, setHost: false });
    const broken = () => {
      // What was cut on one side is cut on the other.
      outgoing.destroy();
      resolve(null);
    };
    outgoing.on('close', () => onward.destroy());
    onward.on('error', broken);
    onward.on('response', (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('error', broken);
      answer.on('end', () => {
        if (!answer.complete) return broken();
        resolve({ status: answer.statusCode, raw: answer.rawHeaders, headers: listed(answer.rawHeaders), body: Buffer.concat(chunks) });
      });
    });
    onward.end(body);
  });
}

function listen(handle) {
  const server = createServer((incoming, outgoing) => {
    underWay += 1;
    handle(incoming, outgoing)
      .catch((why) => {
        if (why.message !== 'aborted') troubles.push(why.stack);
        outgoing.destroy();
      })
      .finally(() => {
        underWay -= 1;
      });
  });
  // A client that keeps connections open must not find one closed under its hands because the judge took its time.
  server.keepAliveTimeout = 120_000;
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`)));
}

function answer(outgoing, response) {
  if (outgoing.destroyed) return;
  const raw = [];
  for (let at = 0; at < response.raw.length; at += 2) {
    if (!/^(connection|keep-alive|transfer-encoding)$/i.test(response.raw[at])) raw.push(response.raw[at], response.raw[at + 1]);
  }
  outgoing.writeHead(response.status, raw);
  outgoing.end(response.body);
}

const api = await listen(async (incoming, outgoing) => {
  const body = await collect(incoming);
  const request = { method: incoming.method, target: incoming.url, headers: listed(incoming.rawHeaders), body };
  // A call that is wrong on purpose says so, and only its answer is judged.
  const onPurpose = 'x-contract-on-purpose' in request.headers;
  const response = await pass(github, incoming, body, outgoing);
  judge.exchange(request, response, onPurpose);
  if (response) answer(outgoing, response);
});

const hooks = await listen(async (incoming, outgoing) => {
  const body = await collect(incoming);
  judge.webhook(listed(incoming.rawHeaders), body, secret);
  if (!bot) {
    outgoing.writeHead(202);
    outgoing.end();
    return;
  }
  const response = await pass(bot, incoming, body, outgoing);
  if (response) answer(outgoing, response);
});

const control = await listen(async (incoming, outgoing) => {
  const body = await collect(incoming);
  outgoing.setHeader('content-type', 'application/json');
  if (incoming.method === 'POST' && incoming.url === '/bot') {
    bot = JSON.parse(body).url;
    return void outgoing.end('{}');
  }
  // This call itself is one of those under way.
  for (let waited = 0; underWay > 1 && waited < 100; waited += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  outgoing.end(JSON.stringify({ ...judge.report(), troubles }));
});

process.stdout.write(`${JSON.stringify({ api, hooks, control })}\n`);
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
