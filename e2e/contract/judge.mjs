// Holds one exchange, or one webhook, against GitHub's published descriptions. Knows nothing of sockets.

import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import Ajv from 'ajv';
import addFormats from 'ajv-formats';
import { ANYWHERE, KNOWN } from './known.mjs';

/** The descriptions that must all agree: github.com, Enterprise Cloud, the oldest and the newest server in the package. */
export const VERSIONS = ['api.github.com', 'ghec', 'ghes-3.17', 'ghes-3.19'];

// Documentation, and what JSON Schema reads differently from OpenAPI 3.0.
const NOT_A_RULE = new Set(['example', 'examples', 'discriminator', 'externalDocs', 'deprecated', 'xml', 'description', 'summary']);
/** What an error looks like where the description does not say. */
const ERROR = { 'application/json': { schema: { $ref: '#/components/schemas/basic-error' } } };

// Names that say what a value is for, not what it looks like.
const NO_FORMAT = ['timestamp', 'repo.nwo', 'binary', 'ip', 'hostname'];

const packages = createRequire(import.meta.url);
const read = (name, file) => JSON.parse(readFileSync(join(dirname(packages.resolve(`${name}/package.json`)), 'generated', file), 'utf8'));
const pointer = (text) => text.replace(/~1/g, '/').replace(/~0/g, '~');

/** One published description: finds what a reference means, and compiles schemas when they are first needed. */
class Description {
  constructor(name, document, known, used) {
    Object.assign(this, { name, document, known, used });
    this.ajv = new Ajv({ strict: false, allErrors: true, validateFormats: true, logger: false });
    addFormats(this.ajv);
    for (const format of NO_FORMAT) this.ajv.addFormat(format, true);
    this.prepared = new Map();
    this.compiled = new Map();
  }

  deref(node) {
    let at = node;
    for (let steps = 0; at && typeof at.$ref === 'string'; steps += 1) {
      if (steps > 20) throw new Error(`${this.name}: a reference that never ends: ${node.$ref}`);
      at = at.$ref.replace(/^#\//, '').split('/').reduce((value, key) => value?.[pointer(key)], this.document);
    }
    if (at === undefined) throw new Error(`${this.name}: ${node.$ref} leads nowhere`);
    return at;
  }

  /** A schema of OpenAPI as JSON Schema: `nullable`, deviations mended, references to schemas of our own. */
  prepare(node) {
    if (Array.isArray(node)) return node.map((item) => this.prepare(item));
    if (!node || typeof node !== 'object') return node;
    if (typeof node.$ref === 'string') return { $ref: this.name_of(node.$ref) };
    const out = {};
    for (const [key, value] of Object.entries(node)) {
      if (NOT_A_RULE.has(key) || key.startsWith('x-')) continue;
      if (key === 'properties') {
        out[key] = Object.fromEntries(Object.entries(value).map(([name, schema]) => [name, this.prepare(schema)]));
      } else if (key === 'enum' || key === 'required' || key === 'default' || key === 'const') {
        out[key] = value;
      } else {
        out[key] = this.prepare(value);
      }
    }
    for (const deviation of this.known) {
      if (deviation.mend?.(out)) this.used.add(deviation.id);
    }
    const nullable = out.nullable === true;
    delete out.nullable;
    if (!nullable) return out;
    if (typeof out.type === 'string' && !out.allOf && !out.anyOf && !out.oneOf) {
      return { ...out, type: [out.type, 'null'], ...(out.enum && !out.enum.includes(null) ? { enum: [...out.enum, null] } : {}) };
    }
    return { anyOf: [out, { type: 'null' }] };
  }

  name_of(reference) {
    const [, , kind, name, ...rest] = reference.split('/');
    if (kind !== 'schemas' || rest.length > 0) throw new Error(`${this.name}: an unexpected reference ${reference}`);
    const id = `schema:${name}`;
    if (!this.prepared.has(id)) {
      this.prepared.set(id, null);
      const schema = this.prepare(this.deref({ $ref: reference }));
      this.prepared.set(id, schema);
      this.ajv.addSchema(schema, id);
    }
    return id;
  }

  /** What is wrong with `value`, as `{at, what}`: the schema's rules, and fields that no schema has. */
  wrongs(key, schema, value) {
    if (!this.compiled.has(key)) {
      const prepared = this.prepare(schema);
      this.compiled.set(key, { prepared, check: this.ajv.compile(prepared) });
    }
    const { prepared, check } = this.compiled.get(key);
    const found = [];
    if (!check(value)) {
      for (const error of check.errors) found.push({ at: error.instancePath || '/', what: `${error.message}${detail(error.params)}` });
    }
    this.invented(prepared, value, '', found);
    return found;
  }

  /** Fields that no alternative of the schema names, where it names any. */
  invented(schema, value, at, found) {
    if (Array.isArray(value)) {
      for (const part of this.parts(schema)) {
        if (part.items) value.forEach((item, index) => this.invented(part.items, item, `${at}/${index}`, found));
      }
      return;
    }
    if (!value || typeof value !== 'object') return;
    const parts = this.parts(schema);
    const open = parts.some((part) => part.additionalProperties !== undefined && part.additionalProperties !== false);
    const named = new Map();
    for (const part of parts) {
      for (const [name, inner] of Object.entries(part.properties ?? {})) named.set(name, [...(named.get(name) ?? []), inner]);
    }
    for (const [name, item] of Object.entries(value)) {
      if (named.has(name)) {
        this.invented({ anyOf: named.get(name) }, item, `${at}/${name}`, found);
      } else if (!open && named.size > 0) {
        found.push({ at: `${at}/${name}`, what: 'is a field that the description does not have' });
      }
    }
  }

  /** A schema and everything it is put together from. */
  parts(schema, seen = new Set()) {
    if (!schema || typeof schema !== 'object' || seen.has(schema)) return [];
    seen.add(schema);
    if (schema.$ref) return this.parts(this.prepared.get(schema.$ref), seen);
    const inner = [...(schema.allOf ?? []), ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
    return [schema, ...inner.flatMap((part) => this.parts(part, seen))];
  }
}

function detail(params) {
  if (params.allowedValues) return ` (${params.allowedValues.join(', ')})`;
  return params.additionalProperty ? ` (${params.additionalProperty})` : '';
}

/** All descriptions together, and everything that was found and seen. */
export class Judge {
  constructor({ versions = VERSIONS, known = KNOWN } = {}) {
    this.known = known;
    this.used = new Set();
    this.apis = versions.map((name) => new Description(name, read('@octokit/openapi', `${name}.json`), known, this.used));
    this.hooks = versions.map((name) => new Description(name, read('@octokit/openapi-webhooks', `${name}.json`), known, this.used));
    this.routes = new Map(this.apis.map((api) => [api, routes(api.document)]));
    this.findings = new Map();
    this.operations = new Map();
    this.events = new Map();
    this.checks = 0;
  }

  /** Notes a deviation, once a place. */
  finding(version, where, at, what, sample) {
    const place = at.replace(/\/\d+(?=\/|$)/g, '/*');
    const allowed = this.known.find((deviation) => deviation.allow?.({ version, where, at: place, what, sample }));
    if (allowed) {
      this.used.add(allowed.id);
      return;
    }
    const key = `${where}: ${place} ${what}`;
    const known = this.findings.get(key);
    if (known) {
      known.times += 1;
      if (!known.versions.includes(version)) known.versions.push(version);
    } else {
      this.findings.set(key, { where, at: place, what, sample: short(sample), versions: [version], times: 1 });
    }
  }

  /** The operation of a request in one description, with its path parameters. */
  match(api, method, path) {
    const bare = path.replace(/^\/api\/v3(?=\/|$)/, '') || '/';
    // What `Link` and `repositories_url` name by number, the description names by login.
    const named = bare.replace(/^\/organizations\/\d+(?=\/)/, '/orgs/by-number').replace(/^\/repositories\/\d+(?=\/|$)/, '/repos/by/number');
    return this.routes.get(api).find(method, named);
  }

  /**
   * `{method, target, headers, body}` of a request, and `{status, headers, body}` of its answer, or null where none
   * came whole. Of a call that is wrong on purpose only the answer is judged.
   */
  exchange(request, response, onPurpose = false) {
    const url = new URL(request.target, 'http://judged');
    for (const api of this.apis) {
      const found = this.match(api, request.method, url.pathname);
      if (!found) {
        this.finding(api.name, `${request.method} ${url.pathname.replace(/\/\d+/g, '/*')}`, 'path', 'is not in the description');
        continue;
      }
      const { operation, parameters, item } = found;
      const where = operation.operationId;
      if (!onPurpose) this.request(api, where, operation, item, parameters, url, request);
      if (response) this.response(api, where, operation, request, response);
      if (api === this.apis[0]) {
        const seen = this.operations.get(where) ?? { requests: 0, statuses: {} };
        seen.requests += 1;
        const status = response ? String(response.status) : 'none';
        seen.statuses[status] = (seen.statuses[status] ?? 0) + 1;
        this.operations.set(where, seen);
      }
    }
  }

  request(api, where, operation, item, path, url, request) {
    this.checks += 1;
    const wrong = (at, what, sample) => this.finding(api.name, `${where} request`, at, what, sample);
    const described = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((parameter) => api.deref(parameter));
    const given = queries(url.search, wrong);
    for (const parameter of described) {
      const { name, schema } = parameter;
      let value;
      if (parameter.in === 'path') {
        value = convert(api.deref(schema), path.get(name));
      } else if (parameter.in === 'query') {
        const values = given.get(name);
        given.delete(name);
        if (!values) {
          if (parameter.required) wrong(`query ${name}`, 'is required');
          continue;
        }
        value = this.query(api, parameter, values, wrong);
      } else {
        continue;
      }
      for (const { at, what } of api.wrongs(`${where} ${parameter.in} ${name}`, schema, value)) {
        wrong(`${parameter.in} ${name}${at === '/' ? '' : at}`, what, value);
      }
      if (name === 'per_page' && !(value >= 1 && value <= 100)) wrong('query per_page', 'must be 1 to 100, says its text', value);
    }
    for (const name of given.keys()) wrong(`query ${name}`, 'is not a parameter of this operation');
    this.request_head(where, request, wrong);
    this.request_body(api, where, operation, request, wrong);
  }

  query(api, parameter, values, wrong) {
    const schema = api.deref(parameter.schema);
    const list = schema.type === 'array' || schema.oneOf?.some((one) => one.type === 'array');
    if (!list) {
      if (values.length > 1 || values.some((value) => value.list)) wrong(`query ${parameter.name}`, 'is given more than once');
      return convert(schema, values[0].text);
    }
    // GitHub reads a list only from `name[]=`: an example in the description says so, its parameter's name does not.
    if (values.some((value) => !value.list)) wrong(`query ${parameter.name}`, 'is a list and must be sent as name[]=');
    return values.map((value) => convert(api.deref(schema.items ?? {}), value.text));
  }

  request_head(where, request, wrong) {
    const agents = request.headers['user-agent'] ?? [];
    if (agents.length !== 1 || agents[0] === '') wrong('header User-Agent', 'must be there once');
    const versions = request.headers['x-github-api-version'] ?? [];
    if (versions.length > 1) wrong('header X-GitHub-Api-Version', 'is given more than once', versions);
    if (versions.some((version) => version !== '2022-11-28')) wrong('header X-GitHub-Api-Version', 'is not the version of the description', versions);
    for (const type of request.headers.accept ?? []) {
      if (!/^(\*\/\*|application\/json|application\/vnd\.github(\.v3)?(\.(raw|sha))?(\+json)?)$/.test(type)) wrong('header Accept', 'is no type GitHub knows', type);
    }
    const credentials = request.headers.authorization ?? [];
    if (credentials.length > 1) wrong('header Authorization', 'is given more than once');
    if (credentials.length === 1 && !/^(Bearer|token) \S+$/i.test(credentials[0])) wrong('header Authorization', 'is neither Bearer nor token');
    // An endpoint of the App itself takes a JWT; everything else an installation's token.
    const jwt = /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/i.test(credentials[0] ?? '');
    if (/^apps\//.test(where) && credentials.length === 1 && !jwt) wrong('header Authorization', 'must be a JWT');
  }

  request_body(api, where, operation, request, wrong) {
    const described = operation.requestBody ? api.deref(operation.requestBody) : undefined;
    if (request.body.length === 0) {
      if (described?.required) wrong('body', 'is required');
      return;
    }
    if (!described) {
      // A POST without a described body may carry an empty object.
      if (request.body.toString('utf8').trim() !== '{}') wrong('body', 'is given where none is described');
      return;
    }
    const type = (request.headers['content-type'] ?? [])[0] ?? '';
    if (!/^application\/json\b/.test(type)) wrong('header Content-Type', 'is not application/json', type);
    const body = json(request.body);
    if (body === undefined) return wrong('body', 'is not JSON');
    for (const { at, what } of api.wrongs(`${where} body`, described.content['application/json'].schema, body)) wrong(`body ${at}`, what, dig(body, at));
  }

  response(api, where, operation, request, response) {
    this.checks += 1;
    const { status } = response;
    const wrong = (at, what, sample) => this.finding(api.name, `${where} ${status}`, at, what, sample);
    let described = operation.responses[String(status)];
    if (described) described = api.deref(described);
    else if (ANYWHERE.has(status)) described = { content: ERROR };
    else return wrong('status', 'is not in the description', response.body.toString('utf8'));
    this.response_head(described, response, wrong);
    let content = described.content ?? {};
    if (Object.keys(content).length === 0) {
      if (response.body.length === 0) return;
      wrong('body', 'is given where none is described', response.body.toString('utf8'));
      if (status < 400) return;
      content = ERROR;
    }
    if (status === 200 && /\.(raw|sha)\b/.test(request.headers.accept?.[0] ?? '')) return;
    const type = (response.headers['content-type'] ?? [])[0] ?? '';
    if (!/^application\/(scim\+)?json; charset=utf-8$/.test(type)) wrong('header Content-Type', 'is not application/json; charset=utf-8', type);
    const body = json(response.body);
    if (body === undefined) return wrong('body', 'is not JSON', response.body.toString('utf8'));
    const media = content['application/json'] ?? Object.values(content)[0];
    for (const { at, what } of api.wrongs(`${where} ${status}`, media.schema, body)) wrong(`body ${at}`, what, dig(body, at));
    if (Array.isArray(body) && described.headers?.Link && body.length > page(request)) wrong('body', 'has more rows than a page', body.length);
    // Prose, not schema: an error says its own status, as a string.
    if (status >= 400 && body?.status !== undefined && body.status !== String(status)) wrong('body /status', 'is not the status', body.status);
    if (status >= 400 && !(typeof body?.message === 'string' && body.message)) wrong('body /message', 'is missing');
  }

  response_head(described, response, wrong) {
    if (response.status === 304 || response.status === 204) {
      if (response.body.length > 0) wrong('body', 'is given with a status that has none');
    }
    for (const link of response.headers.link ?? []) {
      if (!described.headers?.Link) wrong('header Link', 'is not described for this answer', link);
      for (const part of link.split(/,\s*/)) {
        if (!/^<https?:\/\/[^<>\s]+>; rel="(next|prev|first|last)"$/.test(part)) wrong('header Link', 'is malformed', part);
      }
    }
    for (const name of ['limit', 'remaining', 'used', 'reset']) {
      const values = response.headers[`x-ratelimit-${name}`] ?? [];
      if (values.length > 1 || values.some((value) => !/^\d+$/.test(value))) wrong(`header x-ratelimit-${name}`, 'is not one whole number', values);
    }
    if ((response.headers['x-github-request-id'] ?? []).length !== 1) wrong('header x-github-request-id', 'must be there once');
  }

  /** A webhook: headers as `{name: [values]}`, the raw body, and the secret it must be signed with. */
  webhook(headers, raw, secret) {
    const event = headers['x-github-event']?.[0] ?? '';
    const form = /^application\/x-www-form-urlencoded\b/.test(headers['content-type']?.[0] ?? '');
    const text = form ? new URLSearchParams(raw.toString('utf8')).get('payload') ?? '' : raw.toString('utf8');
    const body = json(Buffer.from(text));
    const name = [event, body?.action].filter(Boolean).join('-').replace(/_/g, '-');
    this.events.set(name, (this.events.get(name) ?? 0) + 1);
    for (const hook of this.hooks) {
      this.checks += 1;
      const wrong = (at, what, sample) => this.finding(hook.name, `webhook ${name}`, at, what, sample);
      const described = (hook.document.webhooks ?? hook.document['x-webhooks'])[name];
      if (!described) {
        wrong('event', 'is not in the description', event);
        continue;
      }
      for (const parameter of described.post.parameters.map((one) => hook.deref(one)).filter((one) => one.in === 'header')) {
        const values = headers[parameter.name.toLowerCase()] ?? [];
        if (values.length !== 1 && parameter.required) wrong(`header ${parameter.name}`, 'must be there once');
      }
      const signature = `sha256=${createHmac('sha256', secret).update(raw).digest('hex')}`;
      if (headers['x-hub-signature-256']?.[0] !== signature) wrong('header X-Hub-Signature-256', 'is not the signature of the body');
      if (!form && !/^application\/json$/.test(headers['content-type']?.[0] ?? '')) wrong('header Content-Type', 'is neither JSON nor a form', headers['content-type']);
      if (body === undefined) {
        wrong('body', 'is not JSON', text);
        continue;
      }
      const { schema } = described.post.requestBody.content['application/json'];
      for (const { at, what } of hook.wrongs(`webhook ${name}`, schema, body)) wrong(`body ${at}`, what, dig(body, at));
    }
  }

  report() {
    return {
      checks: this.checks,
      operations: Object.fromEntries([...this.operations].sort()),
      events: Object.fromEntries([...this.events].sort()),
      findings: [...this.findings.values()],
      known_used: [...this.used].sort(),
      known_unused: this.known.map((deviation) => deviation.id).filter((id) => !this.used.has(id)),
    };
  }
}

/** Finds the operation of a path; a literal segment goes before a parameter. */
function routes(document) {
  const byLength = new Map();
  for (const [path, item] of Object.entries(document.paths)) {
    const segments = path.split('/').slice(1);
    const key = segments.length;
    byLength.set(key, [...(byLength.get(key) ?? []), { segments, item }]);
  }
  const contents = document.paths['/repos/{owner}/{repo}/contents/{path}'];
  return {
    find(method, path) {
      const given = path.split('/').slice(1);
      let best;
      for (const { segments, item } of byLength.get(given.length) ?? []) {
        const operation = item[method.toLowerCase()];
        if (!operation) continue;
        const parameters = new Map();
        let literal = 0;
        const fits = segments.every((segment, index) => {
          if (!segment.startsWith('{')) {
            literal += segment === given[index] ? 1 : 0;
            return segment === given[index];
          }
          parameters.set(segment.slice(1, -1), decodeURIComponent(given[index]));
          return given[index] !== '';
        });
        if (fits && (!best || literal > best.literal)) best = { operation, item, parameters, literal };
      }
      // The one parameter that goes over slashes.
      const file = /^\/repos\/([^/]+)\/([^/]+)\/contents\/(.*)$/.exec(path);
      if (!best && file && method === 'GET' && contents) {
        const [, owner, repo, name] = file;
        best = { operation: contents.get, item: contents, parameters: new Map([['owner', owner], ['repo', repo], ['path', decodeURIComponent(name)]]) };
      }
      return best;
    },
  };
}

/** Query parameters by name without `[]`, each with whether it had them. */
function queries(search, wrong) {
  const found = new Map();
  for (const [name, text] of new URLSearchParams(search)) {
    const list = name.endsWith('[]');
    const bare = list ? name.slice(0, -2) : name;
    if (text === '' && !list) wrong(`query ${bare}`, 'is empty');
    found.set(bare, [...(found.get(bare) ?? []), { text, list }]);
  }
  return found;
}

/** What a text in a path or query means to its schema; what does not fit stays text and is found wrong. */
function convert(schema, text) {
  if (schema.type === 'integer' && /^-?\d+$/.test(text)) return Number(text);
  if (schema.type === 'number' && text !== '' && !Number.isNaN(Number(text))) return Number(text);
  if (schema.type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

/** How many rows a page has that a request asks for. */
function page(request) {
  const asked = Number(new URL(request.target, 'http://judged').searchParams.get('per_page') ?? 30);
  return Math.min(asked, 100);
}

function json(buffer) {
  try {
    return JSON.parse(buffer.toString('utf8'));
  } catch {
    return undefined;
  }
}

function dig(value, at) {
  return at.split('/').slice(1).filter(Boolean).reduce((inner, key) => inner?.[pointer(key)], value);
}

function short(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text === undefined ? undefined : text.slice(0, 200);
}
