// Calls every endpoint of a fakehub through the judging proxy, rightly and wrongly, as any client would.
//
//   node surface.mjs FAKEHUB-JSON PROXY-JSON
//
// takes the lines that `fakehub --json` and proxy.mjs print. Says what answered otherwise than it should, and
// exits 1 then; what the proxy found is the proxy's to tell.

import { createSign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request as call } from 'node:http';

const [fakehub, proxy] = process.argv.slice(2, 4).map((text) => JSON.parse(text));
const key = readFileSync(fakehub.private_key_path);
const wrong = [];

const base64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

function jwt({ iat = -60, exp = 540, iss = fakehub.client_id } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const signed = `${base64({ alg: 'RS256', typ: 'JWT' })}.${base64({ iat: now + iat, exp: now + exp, iss })}`;
  return `${signed}.${createSign('RSA-SHA256').update(signed).sign(key).toString('base64url')}`;
}

/** One call over a connection of its own: one that is kept may be closed while the next call is on its way. */
function send(base, method, path, { token, body, headers, purpose } = {}) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const request = call(base + path, {
      method,
      agent: false,
      headers: {
        'user-agent': 'contract',
        accept: 'application/vnd.github+json',
        'x-github-api-version': '2022-11-28',
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        ...(purpose ? { 'x-contract-on-purpose': '1' } : {}),
        ...headers,
      },
    });
    request.on('error', (why) => reject(new Error(`${method} ${path}: ${why.message}`)));
    request.on('response', async (response) => {
      const chunks = [];
      for await (const chunk of response) chunks.push(chunk);
      const raw = Buffer.concat(chunks).toString('utf8');
      let value = raw;
      try {
        value = JSON.parse(raw);
      } catch {
        // Not every answer has a body, and the proxy has looked at it already.
      }
      resolve({ status: response.statusCode, body: value, link: response.headers.link ?? '', etag: response.headers.etag });
    });
    request.end(text);
  });
}

/** A call through the proxy; anything but `status` is noted. */
async function expect(status, method, path, options = {}) {
  const answer = await send(proxy.api, method, path, options);
  if (answer.status !== status) wrong.push(`${method} ${path}: ${answer.status} instead of ${status}: ${JSON.stringify(answer.body).slice(0, 300)}`);
  return answer;
}

/** The people of the story, over fakehub's control API: not GitHub's, so not through the proxy. */
async function people(method, path, body) {
  const answer = await send(fakehub.control_url, method, path, { body });
  if (answer.status >= 400) throw new Error(`${method} /_fakehub${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

const idle = () => people('GET', '/idle?wait_ms=5000');
/** Bulk calls take effect a while after their 202. */
async function until(what, holds) {
  for (let waited = 0; waited < 300; waited += 1) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  wrong.push(`${what}: not within 15 s`);
}

const next = (link) => /<([^>]+)>; rel="next"/.exec(link)?.[1];

/** Every page of a list, followed as `Link` says. */
async function pages(path, options) {
  const rows = [];
  let at = path;
  for (let page = 0; at && page < 50; page += 1) {
    const answer = await expect(200, 'GET', at, options);
    rows.push(...answer.body);
    const link = next(answer.link);
    at = link && new URL(link).pathname + new URL(link).search;
  }
  return rows;
}

const app = () => ({ token: jwt() });
const installation = fakehub.installations.acme;
const tokens = `/app/installations/${installation}/access_tokens`;

await people('PATCH', '/webhook', { url: proxy.hooks });
const minted = await expect(201, 'POST', tokens, { ...app(), body: {} });
const acme = { token: minted.body.token };
const REQUESTS = '/orgs/acme/personal-access-token-requests';
const PATS = '/orgs/acme/personal-access-tokens';

async function theApp() {
  await expect(200, 'GET', '/app', app());
  await expect(200, 'GET', '/app', { token: jwt({ iss: fakehub.app_id }) });
  await expect(401, 'GET', '/app', { purpose: true });
  await expect(401, 'GET', '/app', { token: jwt({ exp: 660 }), purpose: true });
  await expect(401, 'GET', '/app', { token: acme.token, purpose: true });
  await expect(200, 'GET', '/app/installations?per_page=1', app());
  await pages('/app/installations?per_page=1', app());
  await expect(200, 'GET', `/app/installations/${installation}`, app());
  await expect(404, 'GET', '/app/installations/1', app());
  await expect(200, 'GET', '/orgs/acme/installation', app());
  await expect(404, 'GET', '/orgs/nobody/installation', app());
  const web = await expect(200, 'GET', '/repos/acme/web', acme);
  await expect(201, 'POST', tokens, { ...app(), body: { repository_ids: [web.body.id], permissions: { metadata: 'read' } } });
  await expect(201, 'POST', tokens, { ...app(), body: { repositories: ['web', 'api'], permissions: { contents: 'read', members: 'read' } } });
  await expect(201, 'POST', tokens, app());
  await expect(422, 'POST', tokens, { ...app(), body: { permissions: { administration: 'write' } } });
  await expect(422, 'POST', tokens, { ...app(), body: { repositories: ['no-such-repository'] } });
  await expect(404, 'POST', '/app/installations/1/access_tokens', app());
  await expect(401, 'POST', tokens, { token: 'nonsense', purpose: true });
  await people('POST', '/installations', { organization: 'examplejs', action: 'suspend' });
  await expect(200, 'GET', '/app/installations', app());
  await expect(200, 'GET', `/app/installations/${fakehub.installations.examplejs}`, app());
  await expect(403, 'POST', `/app/installations/${fakehub.installations.examplejs}/access_tokens`, app());
  await people('POST', '/installations', { organization: 'examplejs', action: 'unsuspend' });
}

async function requests() {
  const ask = (spec) => people('POST', '/requests', { organization: 'acme', ...spec });
  const contents = { repository: { contents: 'read', issues: 'write' }, organization: { members: 'read' } };
  const made = [];
  for (const spec of [
    { by: 'kim', name: 'ci-build', repositories: ['web', 'api'], permissions: contents, reason: 'CHG-1' },
    { by: 'giulia', repositories: 'all', expires: 'never', permissions: contents },
    { by: 'elif', repositories: 'none', permissions: { organization: { members: 'write' } } },
    { by: 'ben', repositories: ['web'], permissions: contents },
    { by: 'hana', repositories: ['docs'], permissions: contents },
    { by: 'uma', name: 'a name ‮ that turns', repositories: ['docs'], permissions: contents, last_used: '2026-01-01T00:00:00Z' },
    { by: 'rosa', repositories: ['svc-pricing'], permissions: contents },
    { by: 'dmitri', repositories: ['svc-cart'], permissions: contents },
  ]) made.push(await ask(spec));
  await ask({ by: 'olga', repositories: ['web'], permissions: contents });
  const [subset, all, none, second, third, fourth, stale] = made.map((ids) => ids.request_id);

  await expect(200, 'GET', REQUESTS, acme);
  const paged = await pages(`${REQUESTS}?per_page=3&sort=created_at&direction=asc`, acme);
  if (paged.length < made.length) wrong.push(`${REQUESTS}: ${paged.length} rows in all pages, ${made.length} are pending`);
  for (const query of [
    'owner%5B%5D=kim&owner%5B%5D=elif',
    `token_id%5B%5D=${made[0].token_id}&token_id%5B%5D=${made[2].token_id}`,
    'repository=web',
    'permission=contents_read',
    'last_used_before=2026-06-01T00:00:00Z',
    'last_used_after=2025-06-01T00:00:00Z',
    'direction=desc&page=2&per_page=2',
  ]) await expect(200, 'GET', `${REQUESTS}?${query}`, acme);
  const tooMany = Array.from({ length: 51 }, (_, at) => `token_id%5B%5D=${at}`).join('&');
  await expect(422, 'GET', `${REQUESTS}?${tooMany}`, { ...acme, purpose: true });
  await expect(200, 'GET', `${REQUESTS}/${subset}/repositories`, acme);
  await expect(200, 'GET', `${REQUESTS}/${all}/repositories`, acme);
  await expect(404, 'GET', `${REQUESTS}/1/repositories`, acme);
  const pending = await expect(200, 'GET', `${REQUESTS}?token_id%5B%5D=${made[0].token_id}`, acme);
  await expect(200, 'GET', new URL(pending.body[0].repositories_url).pathname, acme);

  const review = (id, body, status, purpose) => expect(status, 'POST', `${REQUESTS}/${id}`, { ...acme, body, purpose });
  await review(subset, { action: 'approve' }, 204);
  await review(subset, { action: 'approve' }, 404);
  await people('PATCH', '/switches', { settled_review: 422 });
  await review(subset, { action: 'deny', reason: 'too late' }, 422);
  await people('PATCH', '/switches', { settled_review: 404 });
  await review(all, {}, 422, true);
  await review(all, { decision: 'approve' }, 422, true);
  await review(all, { action: 'deny', reason: 'x'.repeat(1025) }, 422, true);
  await review(all, { action: 'deny', reason: 'x'.repeat(1024) }, 204);
  await review(none, { action: 'deny', reason: null }, 204);
  const bulk = (body, status, purpose) => expect(status, 'POST', REQUESTS, { ...acme, body, purpose });
  await bulk({ pat_request_ids: [second, third], action: 'approve' }, 202);
  await bulk({ pat_request_ids: [fourth], action: 'deny', reason: 'not now' }, 202);
  await bulk({ pat_request_ids: [], action: 'deny' }, 422, true);
  await bulk({ pat_request_ids: Array.from({ length: 101 }, (_, at) => at + 1), action: 'deny' }, 422, true);
  await bulk({ pat_request_ids: [stale], action: 'maybe' }, 422, true);
  await bulk({ pat_request_ids: [1], action: 'approve' }, 422);
  await until('a bulk review', async () => (await people('GET', `/requests/${fourth}`)).outcome === 'denied');
  await people('DELETE', `/requests/${stale}`);
  await people('POST', `/requests/${made[7].request_id}/review`, { by: 'olga', action: 'deny', reason: 'by hand' });
  await people('PATCH', `/tokens/${made[0].token_id}`, { permissions: { repository: { contents: 'write', issues: 'read' } } });
  await expect(200, 'GET', REQUESTS, acme);
}

async function grants() {
  await expect(200, 'GET', PATS, acme);
  const rows = await pages(`${PATS}?per_page=2&sort=created_at&direction=asc`, acme);
  const subset = rows.find((row) => row.repository_selection === 'subset');
  for (const query of [
    `owner%5B%5D=${subset.owner.login}`,
    `token_id%5B%5D=${subset.token_id}`,
    'repository=web',
    'permission=contents_read',
    'last_used_before=2026-06-01T00:00:00Z',
  ]) await expect(200, 'GET', `${PATS}?${query}`, acme);
  await expect(200, 'GET', `${PATS}/${subset.id}/repositories?per_page=1`, acme);
  await expect(404, 'GET', `${PATS}/1/repositories`, acme);
  const [first, second, third, fourth] = rows.filter((row) => row.id !== subset.id);
  await expect(204, 'POST', `${PATS}/${first.id}`, { ...acme, body: { action: 'revoke' } });
  await expect(404, 'POST', `${PATS}/1`, { ...acme, body: { action: 'revoke' } });
  await expect(422, 'POST', `${PATS}/${second.id}`, { ...acme, body: {}, purpose: true });
  await expect(202, 'POST', PATS, { ...acme, body: { action: 'revoke', pat_ids: [second.id, third.id, fourth?.id].filter(Boolean) } });
  await expect(422, 'POST', PATS, { ...acme, body: { action: 'revoke', pat_ids: [] }, purpose: true });
  await expect(422, 'POST', PATS, { ...acme, body: { pat_ids: [subset.id] }, purpose: true });
  await until('a bulk revocation', async () => !(await people('GET', '/grants?organization=acme')).some((grant) => grant.id === second.id));
}

async function hooks() {
  await expect(200, 'GET', '/app/hook/config', app());
  await expect(200, 'PATCH', '/app/hook/config', { ...app(), body: { content_type: 'form' } });
  await people('POST', '/ping');
  await idle();
  await expect(200, 'PATCH', '/app/hook/config', { ...app(), body: { content_type: 'json', insecure_ssl: '0' } });
  await people('POST', '/ping');
  await people('PATCH', '/webhook', { url: 'http://127.0.0.1:9' });
  await people('POST', '/ping');
  await idle();
  await people('PATCH', '/webhook', { url: proxy.hooks });
  await expect(200, 'GET', '/app/hook/deliveries', app());
  await expect(200, 'GET', '/app/hook/deliveries?status=failure', app());
  await expect(200, 'GET', '/app/hook/deliveries?status=success&per_page=100', app());
  const all = await pages('/app/hook/deliveries?per_page=5', app());
  for (const delivery of [all[0], all[all.length - 1], all.find((one) => one.event === 'personal_access_token_request')]) {
    await expect(200, 'GET', `/app/hook/deliveries/${delivery.id}`, app());
  }
  await expect(404, 'GET', '/app/hook/deliveries/1', app());
  await expect(202, 'POST', `/app/hook/deliveries/${all[0].id}/attempts`, app());
  await expect(404, 'POST', '/app/hook/deliveries/1/attempts', { ...app(), purpose: true });
  await idle();
  await expect(200, 'GET', '/app/hook/deliveries?per_page=1', app());
}

async function theOrganization() {
  await expect(200, 'GET', '/orgs/acme', acme);
  await expect(404, 'GET', '/orgs/nobody', acme);
  await expect(200, 'GET', '/orgs/acme/members?role=admin', acme);
  await pages('/orgs/acme/members?per_page=10&role=member&filter=all', acme);
  await expect(204, 'GET', '/orgs/acme/members/kim', acme);
  await expect(404, 'GET', '/orgs/acme/members/nobody-at-all', acme);
  for (const login of ['kim', 'olga']) await expect(200, 'GET', `/orgs/acme/memberships/${login}`, acme);
  await expect(404, 'GET', '/orgs/acme/memberships/nobody-at-all', acme);
  await pages('/orgs/acme/teams?per_page=3', acme);
  await expect(200, 'GET', '/orgs/acme/teams/developers', acme);
  await expect(404, 'GET', '/orgs/acme/teams/no-such-team', acme);
  await pages('/orgs/acme/teams/developers/members?per_page=5', acme);
  await expect(200, 'GET', '/orgs/acme/teams/developers/members?role=maintainer', acme);
  await expect(404, 'GET', '/orgs/acme/teams/no-such-team/members', { ...acme, purpose: true });
  await expect(200, 'GET', '/orgs/acme/teams/developers/memberships/kim', acme);
  await expect(404, 'GET', '/orgs/acme/teams/developers/memberships/nobody-at-all', acme);
  await pages('/orgs/acme/repos?per_page=20', acme);
  await expect(200, 'GET', '/orgs/acme/repos?type=private&sort=full_name&direction=asc', acme);
  await expect(200, 'GET', '/orgs/acme/properties/schema', acme);
  await pages('/orgs/acme/properties/values?per_page=20', acme);
  await expect(200, 'GET', '/orgs/acme/properties/values?repository_query=repo%3Aacme%2Fweb', acme);
  await expect(200, 'GET', '/repos/acme/billing/properties/values', acme);
  await expect(404, 'GET', '/repos/acme/no-such-repository', acme);
  await people('POST', '/world', {
    organization: 'acme',
    repositories: [{ name: '.github-private', files: { 'policy/patwarden.toml': `schema = 1\n${'# long\n'.repeat(30)}`, 'policy/sub/other.toml': 'a' } }],
  });
  const contents = '/repos/acme/.github-private/contents';
  await expect(200, 'GET', `${contents}/policy/patwarden.toml`, acme);
  await expect(200, 'GET', `${contents}/policy`, acme);
  await expect(200, 'GET', `${contents}/policy/patwarden.toml?ref=main`, { ...acme, headers: { accept: 'application/vnd.github.raw+json' } });
  await expect(404, 'GET', `${contents}/policy/none.toml`, acme);
  await expect(200, 'GET', '/users/kim', acme);
  await expect(404, 'GET', '/users/nobody-at-all', acme);
  await expect(200, 'GET', '/rate_limit', acme);
  await expect(200, 'GET', '/meta');
  await expect(200, 'GET', '/');
}

/** What GitHub answers when it is unwell, or when we are not welcome. */
async function refusals() {
  for (const [status, what, more] of [
    [401, 'bad_credentials'],
    [403, 'missing_permission'],
    [403, 'rate_limited', { seconds: 1 }],
    [403, 'secondary_limit', { seconds: 1 }],
    [403, 'secondary_limit'],
    [429, 'too_many_requests', { seconds: 1 }],
    [500, 'status', { status: 500 }],
    [502, 'status', { status: 502 }],
    [503, 'status', { status: 503 }],
    [404, 'status', { status: 404 }],
    [422, 'status', { status: 422 }],
  ]) {
    await people('POST', '/faults', { on: 'orgs/list-pat-grant-requests', what, times: 1, ...more });
    await expect(status, 'GET', REQUESTS, acme);
  }
  await people('DELETE', '/faults');
  // An hour's limit set a second ago is over by now.
  await until('the end of a rate limit', async () => (await send(proxy.api, 'GET', REQUESTS, acme)).status === 200);
  await expect(401, 'GET', REQUESTS, { token: 'ghs_nonsense' });
  await expect(404, 'GET', '/orgs/nobody/personal-access-token-requests', acme);
  await people('POST', '/installations', { organization: 'acme', action: 'suspend' });
  await expect(403, 'GET', REQUESTS, acme);
  await people('POST', '/installations', { organization: 'acme', action: 'unsuspend' });
}

/** The same as GitHub Enterprise Server serves it, and by number. */
async function elsewhere() {
  await expect(200, 'GET', `/api/v3${REQUESTS}?per_page=2`, acme);
  await expect(200, 'GET', '/api/v3/app', app());
  const org = await expect(200, 'GET', '/orgs/acme', acme);
  await expect(200, 'GET', `/organizations/${org.body.id}/personal-access-token-requests`, acme);
}

const REPO = '/repos/acme/policy';
const policy = { organization: 'acme', repository: 'policy' };
const commit = (by, changes, more = {}) => people('POST', '/commits', { ...policy, by, changes, ...more });

/** Everything that reading rules from a repository takes; the App is asked for more permissions first. */
async function code() {
  const app = await send(proxy.api, 'GET', '/app', { token: jwt() });
  const events = ['check_run', 'check_suite', 'custom_property_values', 'issue_comment', 'issues', 'pull_request', 'push', 'repository', 'team'];
  const permissions = { checks: 'write', issues: 'write', pull_requests: 'read' };
  await people('PATCH', '/app', { permissions, events });
  await people('POST', '/installations', { organization: 'acme', permissions: { ...app.body.permissions, ...permissions } });
  acme.token = (await expect(201, 'POST', tokens, { token: jwt(), body: {} })).body.token;
  const files = { 'rules.toml': 'schema = 1\n', 'rules/other.toml': 'a = 1\nb = 2\nc = 3\n' };
  await people('POST', '/world', { organization: 'acme', repositories: [{ name: 'policy', files }, { name: 'empty' }, { name: 'reviewed', approvals: 1 }] });
  const first = (await expect(200, 'GET', `${REPO}/git/ref/heads%2Fmain`, acme)).body.object.sha;
  const { sha } = await commit('kim', { 'rules.toml': 'schema = 2\n', 'large.txt': 'x'.repeat(1024 * 1024 + 1) });
  await expect(200, 'GET', REPO, acme);
  await expect(404, 'GET', `${REPO}/git/ref/heads%2Fnowhere`, acme);
  await expect(409, 'GET', '/repos/acme/empty/git/ref/heads%2Fmain', acme);
  await expect(200, 'GET', `${REPO}/branches/main`, acme);
  await expect(200, 'GET', `${REPO}/rules/branches/main`, acme);
  await expect(200, 'GET', `/repos/acme/reviewed/rules/branches/main`, acme);
  await expect(404, 'GET', `${REPO}/branches/nowhere`, acme);
  for (const name of ['main', sha, first]) await expect(200, 'GET', `${REPO}/commits/${name}`, acme);
  await expect(422, 'GET', `${REPO}/commits/nowhere`, acme);
  await expect(409, 'GET', '/repos/acme/empty/commits/main', acme);
  await expect(200, 'GET', `${REPO}/commits/main`, { ...acme, headers: { accept: 'application/vnd.github.sha' } });
  await expect(200, 'GET', `${REPO}/git/trees/main`, acme);
  const tree = await expect(200, 'GET', `${REPO}/git/trees/${sha}?recursive=1`, acme);
  await expect(404, 'GET', `${REPO}/git/trees/nowhere`, acme);
  await expect(200, 'GET', `${REPO}/git/blobs/${tree.body.tree.find((entry) => entry.type === 'blob').sha}`, acme);
  await expect(404, 'GET', `${REPO}/git/blobs/${'0'.repeat(40)}`, acme);
  for (const path of ['rules.toml', 'large.txt', 'rules', '', `rules.toml?ref=${first}`, 'rules.toml?ref=refs%2Fheads%2Fmain']) await expect(200, 'GET', `${REPO}/contents/${path}`, acme);
  await expect(404, 'GET', `${REPO}/contents/rules.toml?ref=nowhere`, acme);
  const tagged = await expect(200, 'GET', `${REPO}/contents/rules.toml`, acme);
  await expect(304, 'GET', `${REPO}/contents/rules.toml`, { ...acme, headers: { 'if-none-match': tagged.etag } });
  for (const login of ['olga', 'kim']) await expect(200, 'GET', `${REPO}/collaborators/${login}/permission`, acme);
  await expect(404, 'GET', `${REPO}/collaborators/nobody-at-all/permission`, acme);
  await expect(200, 'GET', '/installation/repositories?per_page=5', acme);
}

async function pulls() {
  const changes = { 'rules.toml': 'schema = 3\n', 'rules/new.toml': 'a = 1\nb = 2\nc = 4\n', 'rules/other.toml': null, 'more.toml': '' };
  const one = await people('POST', '/pulls', { ...policy, by: 'kim', branch: 'looser', title: 'Looser', changes });
  await people('POST', '/pulls', { ...policy, by: 'ada', branch: 'patch-1', fork: true, changes: { 'rules.toml': null } });
  await pages(`${REPO}/pulls?per_page=1&state=all`, acme);
  await expect(200, 'GET', `${REPO}/pulls?state=open&head=acme%3Alooser&base=main&sort=updated&direction=asc`, acme);
  await expect(422, 'GET', `${REPO}/pulls?state=odd`, { ...acme, purpose: true });
  for (const number of [1, 2]) await expect(200, 'GET', `${REPO}/pulls/${number}`, acme);
  await expect(404, 'GET', `${REPO}/pulls/99`, acme);
  const files = await pages(`${REPO}/pulls/1/files?per_page=2`, acme);
  if (!files.some((file) => file.status === 'renamed' && file.previous_filename === 'rules/other.toml')) wrong.push('a rename is not shown as one');
  await checks(one.head_sha);
  const act = (number, action, more = {}) => people('POST', `/pulls/${number}`, { ...policy, by: 'olga', action, ...more });
  await act(1, 'push', { changes: { 'more.toml': 'x' } });
  await act(1, 'edit', { title: 'Not so loose' });
  await act(2, 'push', { changes: { 'more.toml': 'x' } });
  await act(2, 'close');
  await act(2, 'reopen');
  await act(1, 'merge');
  await expect(200, 'GET', `${REPO}/pulls/1`, acme);
  await expect(200, 'GET', `${REPO}/commits/main`, acme);
  await idle();
}

async function checks(sha) {
  const CHECKS = `${REPO}/check-runs`;
  const note = { path: 'rules.toml', start_line: 1, end_line: 1, start_column: 1, end_column: 4, annotation_level: 'warning', message: 'no', title: 't', raw_details: 'd' };
  const output = { title: 'Rules', summary: 's', text: 't', annotations: Array.from({ length: 50 }, () => note) };
  const actions = [{ label: 'Again', description: 'Judge again', identifier: 'again' }];
  const run = await expect(201, 'POST', CHECKS, { ...acme, body: { name: 'rules', head_sha: sha, status: 'in_progress', started_at: '2026-01-01T00:00:00Z', output, actions } });
  await expect(200, 'PATCH', `${CHECKS}/${run.body.id}`, { ...acme, body: { conclusion: 'failure', external_id: 'x', details_url: 'http://rules.invalid/', output: { summary: 'more', annotations: [note] } } });
  await expect(201, 'POST', CHECKS, { ...acme, body: { name: 'bare', head_sha: sha } });
  await expect(200, 'GET', `${CHECKS}/${run.body.id}`, acme);
  await expect(404, 'GET', `${CHECKS}/1`, acme);
  await pages(`${CHECKS}/${run.body.id}/annotations?per_page=20`, acme);
  await expect(200, 'GET', `${REPO}/commits/${sha}/check-runs?per_page=1`, acme);
  await expect(200, 'GET', `${REPO}/commits/looser/check-runs?check_name=rules&filter=all&status=completed&app_id=${fakehub.app_id}`, acme);
  const refused = (body) => expect(422, 'POST', CHECKS, { ...acme, body: { name: 'rules', head_sha: sha, ...body }, purpose: true });
  await refused({ head_sha: '0'.repeat(40) });
  await refused({ status: 'completed' });
  await refused({ output: { title: 't', summary: 's'.repeat(65_536) } });
  await refused({ output: { ...output, annotations: [...output.annotations, note] } });
  await refused({ output: { ...output, annotations: [{ ...note, end_line: 2 }] } });
  await people('POST', '/rerequest', { ...policy, by: 'kim', run: run.body.id });
  await people('POST', '/rerequest', { ...policy, by: 'kim', commit: sha });
}

/** Issues on which people are asked, and what they and other Apps answer. */
async function issues() {
  const ISSUES = `${REPO}/issues`;
  const said = (number, action, more = {}) => people('POST', `/issues/${number}`, { ...policy, by: 'olga', action, ...more });
  const asked = await expect(201, 'POST', ISSUES, { ...acme, body: { title: 'kim asks for a token', body: 'May she?', labels: ['review'], assignees: ['olga'] } });
  const { number } = asked.body;
  const at = `${ISSUES}/${number}`;
  await people('POST', '/issues', { ...policy, by: 'kim', title: 'Mine' });
  const mine = number + 1;
  await expect(200, 'GET', at, acme);
  await expect(404, 'GET', `${ISSUES}/99`, acme);
  await pages(`${ISSUES}?per_page=1&state=all&sort=updated&direction=asc`, acme);
  await expect(200, 'GET', `${ISSUES}?state=all&labels=review&since=2026-01-01T00:00:00Z&creator=patwarden%5Bbot%5D`, acme);
  await expect(422, 'GET', `${ISSUES}?creator=nobody-at-all`, acme);
  await expect(422, 'GET', `${ISSUES}?state=odd`, { ...acme, purpose: true });
  const { id } = await said(number, 'comment', { body: '/approve' });
  await said(number, 'comment', { app: 'chat', body: 'through an App' });
  await people('POST', `/issues/${number}`, { ...policy, action: 'comment', app: 'chat', body: 'beep' });
  await people('PATCH', `/comments/${id}`, { ...policy, by: 'olga', body: '/deny no' });
  const own = await expect(201, 'POST', `${at}/comments`, { ...acme, body: { body: 'Done.' } });
  const comment = `${ISSUES}/comments/${own.body.id}`;
  await expect(200, 'PATCH', comment, { ...acme, body: { body: 'Done!' } });
  await expect(200, 'GET', comment, acme);
  await pages(`${at}/comments?per_page=2&since=2026-01-01T00:00:00Z`, acme);
  await expect(204, 'DELETE', comment, acme);
  await expect(404, 'GET', comment, acme);
  await expect(404, 'GET', `${ISSUES}/99/comments`, acme);
  await people('DELETE', `/comments/${id}`, { ...policy, by: 'olga' });
  await expect(201, 'POST', `${at}/assignees`, { ...acme, body: { assignees: ['kim', 'nobody-at-all'] } });
  await expect(200, 'PATCH', at, { ...acme, body: { title: 'kim asked for a token', body: 'She may.', state: 'closed', state_reason: 'completed' } });
  const refused = (body, path = ISSUES) => expect(422, 'POST', path, { ...acme, body, purpose: true });
  await refused({ title: 't'.repeat(257) });
  await refused({ title: 't', body: 'b'.repeat(65_537) });
  await refused({ body: 'no title' });
  await refused({ body: 'b'.repeat(65_537) }, `${at}/comments`);
  for (const action of ['reopen', 'lock']) await said(number, action);
  await expect(403, 'POST', `${at}/comments`, { ...acme, body: { body: 'into the void' } });
  for (const action of ['unlock', 'close']) await said(number, action);
  await said(number, 'edit', { title: 'As it was' });
  await said(number, 'transfer', { to: 'empty' });
  await expect(301, 'GET', at, acme);
  await said(mine, 'delete');
  await expect(410, 'GET', `${ISSUES}/${mine}`, acme);
  await idle();
}

/** What owners do with repositories and teams. */
async function estate() {
  const { id } = (await expect(200, 'GET', REPO, acme)).body;
  await people('PATCH', '/repositories/acme/policy', { visibility: 'public', topics: ['rules'], properties: { tier: 'critical' }, collaborators: { ada: 'write' } });
  await people('PATCH', '/repositories/acme/policy', { visibility: 'private', archived: true, properties: { tier: null } });
  await people('PATCH', '/repositories/acme/policy', { archived: false });
  await commit('kim', { a: 'a' }, { branch: 'next' });
  await people('POST', '/branches', { ...policy, by: 'kim', branch: 'next', commit: 'main' });
  await people('POST', '/branches', { ...policy, by: 'kim', branch: 'other', commit: 'next' });
  await people('POST', '/branches', { ...policy, by: 'kim', branch: 'other' });
  await people('PATCH', '/repositories/acme/policy', { default_branch: 'next' });
  await people('PATCH', '/repositories/acme/policy', { name: 'rules' });
  await expect(301, 'GET', REPO, acme);
  await expect(301, 'GET', `${REPO}/branches/next`, acme);
  await expect(200, 'GET', `/repositories/${id}`, acme);
  await expect(200, 'GET', `/repositories/${id}/contents/rules.toml`, acme);
  await people('PATCH', '/repositories/acme/rules', { owner: 'examplejs' });
  await expect(404, 'GET', '/repos/acme/rules', acme);
  await people('PATCH', '/repositories/examplejs/rules', { owner: 'acme' });
  await people('DELETE', '/repositories/acme/rules');
  await people('POST', '/join', { organization: 'acme', user: 'newcomer' });
  await people('POST', '/join', { organization: 'acme', user: 'newcomer', team: 'docs' });
  await people('PATCH', '/teams/acme/docs', { name: 'Writers' });
  await people('DELETE', '/teams/acme/writers');
  await people('POST', '/installations', { organization: 'acme', action: 'choose', repositories: ['web'] });
  await expect(200, 'GET', '/app/installations', { token: jwt() });
  await people('POST', '/installations', { organization: 'acme', action: 'choose' });
  await idle();
}

/** Webhooks that no call above has caused. */
async function events() {
  await people('POST', '/leave', { organization: 'acme', user: 'gustavo' });
  await people('POST', '/leave', { organization: 'acme', user: 'zoe', team: 'frontend' });
  await people('PATCH', '/switches', { app_sender: 'ghost', webhook_repositories_cut: 1 });
  const asked = await people('POST', '/requests', { by: 'kim', repositories: ['web', 'api'], permissions: { repository: { contents: 'read' } } });
  await expect(204, 'POST', `${REQUESTS}/${asked.request_id}`, { ...acme, body: { action: 'approve' } });
  await people('PATCH', '/switches', { owner_token_sends_approved: true });
  await people('POST', '/requests', { by: 'olga', repositories: ['web'], permissions: { repository: { contents: 'read' } } });
  await people('POST', '/installations', { organization: 'examplejs', action: 'uninstall' });
  await people('POST', '/installations', { organization: 'examplejs', action: 'install' });
  await idle();
}

/** Last, since the App that all others call as is gone then. */
async function registration() {
  const manifest = JSON.stringify({
    name: 'warden',
    url: 'https://warden.example',
    hook_attributes: { url: 'https://warden.example/hook' },
    redirect_url: 'https://warden.example/back',
    default_events: ['push'],
    default_permissions: { contents: 'read', organization_personal_access_tokens: 'write' },
  });
  const page = `${fakehub.api_url}/organizations/acme/settings/apps/create`;
  const body = new URLSearchParams({ manifest, state: 'once' });
  const made = await fetch(page, { method: 'POST', body, redirect: 'manual' });
  const code = new URL(made.headers.get('location')).searchParams.get('code');
  await expect(201, 'POST', `/app-manifests/${code}/conversions`, { body: {} });
  await expect(404, 'POST', `/app-manifests/${code}/conversions`, { body: {} });
}

for (const part of [theApp, requests, grants, hooks, theOrganization, refusals, elsewhere, code, pulls, issues, estate, events, registration]) {
  try {
    await part();
  } catch (why) {
    wrong.push(`${part.name}: ${why.stack}`);
  }
}
for (const line of wrong) process.stdout.write(`${line}\n`);
process.exit(wrong.length ? 1 : 0);
