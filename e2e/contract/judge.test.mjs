// That the judge can find something, and finds nothing where all is well.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import test from 'node:test';
import { Judge } from './judge.mjs';

const one = { versions: ['api.github.com'] };
const judge = new Judge(one);

const HEAD = { 'user-agent': ['test'], authorization: ['Bearer ghs_x'], 'content-type': ['application/json'] };
const LIST = '/orgs/acme/personal-access-token-requests';

const user = {
  login: 'kim', id: 1, node_id: 'U_1', avatar_url: 'http://a.test/1', gravatar_id: null, url: 'http://a.test/2', html_url: 'http://a.test/3',
  followers_url: 'http://a.test/4', following_url: 'http://a.test/5', gists_url: 'http://a.test/6', starred_url: 'http://a.test/7',
  subscriptions_url: 'http://a.test/8', organizations_url: 'http://a.test/9', repos_url: 'http://a.test/10', events_url: 'http://a.test/11',
  received_events_url: 'http://a.test/12', type: 'User', site_admin: false,
};
const row = {
  id: 7, reason: null, owner: user, repository_selection: 'all', repositories_url: 'http://a.test/repos', permissions: { repository: { contents: 'read' } },
  created_at: '2026-01-01T00:00:00Z', token_id: 8, token_name: 'x', token_expired: false, token_expires_at: null, token_last_used_at: null,
};
const LINK = '<http://a.test/x?page=2>; rel="next", <http://a.test/x?page=3>; rel="last"';

const request = (change = {}) => ({ method: 'GET', target: LIST, headers: HEAD, body: Buffer.alloc(0), ...change });
const answer = (body, change = {}) => ({
  status: 200, headers: { 'content-type': ['application/json; charset=utf-8'], 'x-github-request-id': ['A'], link: [LINK] },
  body: body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body)), ...change,
});
const review = (body, change = {}) => request({ method: 'POST', target: `${LIST}/7`, body: Buffer.from(JSON.stringify(body)), ...change });
const done = { ...answer(undefined), status: 204, headers: { 'x-github-request-id': ['A'] } };

/** What is found in one exchange, or by one act, as lines. */
function found(act) {
  judge.findings.clear();
  act();
  return [...judge.findings.values()].map((finding) => `${finding.where}: ${finding.at} ${finding.what}`);
}

test('what is right is let through', () => {
  assert.deepEqual(found(() => judge.exchange(request(), answer([row]))), []);
  assert.deepEqual(found(() => judge.exchange(request({ target: `${LIST}?per_page=100&token_id%5B%5D=8&owner[]=kim` }), answer([row]))), []);
  assert.deepEqual(found(() => judge.exchange(review({ action: 'deny', reason: 'no' }), done)), []);
  assert.deepEqual(found(() => judge.exchange(request({ target: '/organizations/3/personal-access-token-requests' }), answer([row]))), []);
  assert.deepEqual(found(() => judge.exchange(request({ target: `/api/v3${LIST}` }), null)), []);
});

const head = (change) => request({ headers: { ...HEAD, ...change } });
for (const [what, exchange, where, at] of [
  ['a decision instead of an action', [review({ decision: 'approve' }), done], 'orgs/review-pat-grant-request request', 'body /decision'],
  ['no action', [review({}), done], 'orgs/review-pat-grant-request request', 'body /'],
  ['a reason that is too long', [review({ action: 'deny', reason: 'x'.repeat(1025) }), done], 'orgs/review-pat-grant-request request', 'body /reason'],
  ['a request id that is no number', [review({ action: 'deny' }, { target: `${LIST}/seven` }), done], 'orgs/review-pat-grant-request request', 'path pat_request_id'],
  ['an unknown parameter', [request({ target: `${LIST}?state=pending` }), null], 'orgs/list-pat-grant-requests request', 'query state'],
  ['a list without brackets', [request({ target: `${LIST}?owner=kim` }), null], 'orgs/list-pat-grant-requests request', 'query owner'],
  ['51 token ids', [request({ target: `${LIST}?${'token_id[]=1&'.repeat(51)}` }), null], 'orgs/list-pat-grant-requests request', 'query token_id'],
  ['a page of 101', [request({ target: `${LIST}?per_page=101` }), null], 'orgs/list-pat-grant-requests request', 'query per_page'],
  ['an unknown order', [request({ target: `${LIST}?sort=id` }), null], 'orgs/list-pat-grant-requests request', 'query sort'],
  ['two versions', [head({ 'x-github-api-version': ['2022-11-28', '2022-11-28'] }), null], 'orgs/list-pat-grant-requests request', 'header X-GitHub-Api-Version'],
  ['no user agent', [head({ 'user-agent': [] }), null], 'orgs/list-pat-grant-requests request', 'header User-Agent'],
  ['the App without a JWT', [request({ target: '/app' }), null], 'apps/get-authenticated request', 'header Authorization'],
  ['an unknown path', [request({ target: '/orgs/acme/tokens' }), null], 'GET /orgs/acme/tokens', 'path'],
  ['a status nobody described', [request(), answer({ message: 'x' }, { status: 418 })], 'orgs/list-pat-grant-requests 418', 'status'],
  ['a missing field', [request(), answer([{ ...row, token_id: undefined }])], 'orgs/list-pat-grant-requests 200', 'body /*'],
  ['a field of another type', [request(), answer([{ ...row, token_expired: 'no' }])], 'orgs/list-pat-grant-requests 200', 'body /*/token_expired'],
  ['a word that is not in the list', [request(), answer([{ ...row, repository_selection: 'selected' }])], 'orgs/list-pat-grant-requests 200', 'body /*/repository_selection'],
  ['a field that nobody described', [request(), answer([{ ...row, risk: 1 }])], 'orgs/list-pat-grant-requests 200', 'body /*/risk'],
  ['such a field far inside', [request(), answer([{ ...row, owner: { ...user, age: 3 } }])], 'orgs/list-pat-grant-requests 200', 'body /*/owner/age'],
  ['an address that is none', [request(), answer([{ ...row, owner: { ...user, html_url: 'over there' } }])], 'orgs/list-pat-grant-requests 200', 'body /*/owner/html_url'],
  ['half a body', [request(), answer([row], { body: Buffer.from('[{"id"') })], 'orgs/list-pat-grant-requests 200', 'body'],
  ['more than a page', [request({ target: `${LIST}?per_page=1` }), answer([row, row])], 'orgs/list-pat-grant-requests 200', 'body'],
  ['a page of HTML', [request(), answer([row], { headers: { ...answer([]).headers, 'content-type': ['text/html'] } })], 'orgs/list-pat-grant-requests 200', 'header Content-Type'],
  ['a Link that is malformed', [request(), answer([row], { headers: { ...answer([]).headers, link: ['</x?page=2>; rel=next'] } })], 'orgs/list-pat-grant-requests 200', 'header Link'],
  ['a body with 204', [review({ action: 'deny' }), { ...done, body: Buffer.from('{}') }], 'orgs/review-pat-grant-request 204', 'body'],
  ['an error with another status', [request(), answer({ message: 'x', status: '403' }, { status: 404 })], 'orgs/list-pat-grant-requests 404', 'body /status'],
  ['an error without a word', [request(), answer({}, { status: 500 })], 'orgs/list-pat-grant-requests 500', 'body /message'],
]) {
  test(`${what} is found, with operation and field`, () => {
    const lines = found(() => judge.exchange(...exchange));
    assert.ok(lines.some((line) => line.startsWith(`${where}: ${at} `)), `nothing begins with "${where}: ${at}" in\n${lines.join('\n')}`);
  });
}

test('a call that is wrong on purpose is not held against whoever tests, its answer is', () => {
  assert.deepEqual(found(() => judge.exchange(review({}), done, true)), []);
  assert.notDeepEqual(found(() => judge.exchange(review({}), { ...done, status: 299 }, true)), []);
});

const SECRET = 'a secret';
const hook = {
  action: 'created',
  personal_access_token_request: {
    id: 7, owner: user, permissions_added: {}, permissions_upgraded: {}, permissions_result: {}, repository_selection: 'none', repository_count: null,
    repositories: null, created_at: '2026-01-01T00:00:00Z', token_id: 8, token_name: 'x', token_expired: false, token_expires_at: null, token_last_used_at: null,
  },
  organization: {
    login: 'acme', id: 2, node_id: 'O_2', url: 'http://a.test/o', repos_url: 'http://a.test/r', events_url: 'http://a.test/e', hooks_url: 'http://a.test/h',
    issues_url: 'http://a.test/i', members_url: 'http://a.test/m', public_members_url: 'http://a.test/p', avatar_url: 'http://a.test/a', description: null,
  },
  sender: user,
};

function deliver(body, change = {}) {
  const raw = Buffer.from(JSON.stringify(body));
  const headers = {
    'user-agent': ['GitHub-Hookshot/1'], 'x-github-delivery': ['1'], 'x-github-event': ['personal_access_token_request'], 'x-github-hook-id': ['1'],
    'x-github-hook-installation-target-id': ['1'], 'x-github-hook-installation-target-type': ['integration'], 'content-type': ['application/json'],
    'x-hub-signature-256': [`sha256=${createHmac('sha256', SECRET).update(raw).digest('hex')}`], ...change,
  };
  return found(() => judge.webhook(headers, raw, SECRET));
}

test('a right webhook is let through', () => assert.deepEqual(deliver(hook), []));

const asked = (change) => ({ ...hook, personal_access_token_request: { ...hook.personal_access_token_request, ...change } });
for (const [what, lines, at] of [
  ['another signature', deliver(hook, { 'x-hub-signature-256': ['sha256=00'] }), 'header X-Hub-Signature-256'],
  ['no GUID', deliver(hook, { 'x-github-delivery': [] }), 'header X-GitHub-Delivery'],
  ['an action nobody described', deliver({ ...hook, action: 'doubted' }), 'event'],
  ['a missing organization', deliver({ ...hook, organization: undefined }), 'body /'],
  ['a selection by another name', deliver(asked({ repository_selection: 'selected' })), 'body /personal_access_token_request/repository_selection'],
  ['a reason, which webhooks do not carry', deliver(asked({ reason: 'because' })), 'body /personal_access_token_request/reason'],
]) {
  test(`a webhook with ${what} is found`, () => {
    assert.ok(lines.some((line) => line.includes(`: ${at} `)), `nothing of ${at} in\n${lines.join('\n')}`);
  });
}
