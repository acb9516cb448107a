// Where GitHub itself does not keep to its published descriptions. Nothing else may deviate.
//
// `mend` changes a schema before anything is held against it; `allow` takes a finding back. Each entry says why it
// is here. One that nothing needs fails the test of the whole surface, so that the list stays short and true.

/** Statuses that GitHub answers on every endpoint, whether its description lists them or not, with a `basic-error`. */
export const ANYWHERE = new Map([
  [401, 'a token that has expired or is unknown'],
  [403, 'a missing permission, a suspended installation, or a limit'],
  [404, 'something absent, or private and therefore said to be absent'],
  [429, 'a limit'],
  [500, 'GitHub is unwell'],
  [502, 'GitHub is unwell'],
  [503, 'GitHub is unwell'],
]);

const server = (version) => version.startsWith('ghes');

export const KNOWN = [
  {
    id: 'account-is-user-or-enterprise',
    why: 'GET /app/installations says that `account` is a user and an enterprise at once; the component `installation` says anyOf, and no account is both',
    mend(schema) {
      const titles = Array.isArray(schema.allOf) && schema.allOf.map((part) => part.title).join();
      if (titles !== 'Simple User,Enterprise') return false;
      schema.anyOf = schema.allOf;
      delete schema.allOf;
      return true;
    },
  },
  {
    id: 'installations-inline-copy-is-old',
    why: 'GET /app/installations holds a copy of `installation` made before `client_id` and some permissions; GET /app/installations/{id} refers to the component, which has them',
    allow: ({ where, at, what }) =>
      where === 'apps/list-installations 200' && what.startsWith('is a field') && /^body \/\*\/(client_id|permissions\/organization_custom_properties)$/.test(at),
  },
  {
    id: 'validation-error-has-a-status',
    why: '`basic-error` has the status as a string, `validation-error` does not, and github.com sends it with both',
    allow: ({ where, at, what }) => / 422$/.test(where) && at === 'body /status' && what.startsWith('is a field'),
  },
  {
    id: 'deliveries-are-paged-by-link',
    why: 'the prose of GET /app/hook/deliveries sends clients to the Link header for the cursor; its answer lists no headers',
    allow: ({ where, at, what }) => where === 'apps/list-webhook-deliveries 200' && at === 'header Link' && what.startsWith('is not described'),
  },
  {
    id: 'errors-have-bodies',
    why: 'two 404s are described without a body; GitHub answers every error with a `basic-error`, and that is what it is held against',
    allow: ({ where, at, what }) =>
      /^(orgs\/check-membership-for-user|teams\/get-membership-for-user-in-org) 404$/.test(where) && at === 'body' && what === 'is given where none is described',
  },
  {
    id: 'a-server-says-who-it-is',
    why: 'not a deviation: only GitHub Enterprise Server sends its version and host with a webhook, and the bodies alone are compared with its description',
    allow: ({ version, at, what }) => server(version) && /^header X-GitHub-Enterprise-(Version|Host)$/.test(at) && what === 'must be there once',
  },
  {
    id: 'a-server-has-no-addresses',
    why: 'not a deviation: GET /meta tells addresses on github.com only',
    allow: ({ version, where, at }) => server(version) && where === 'meta/get 200' && /^body \/(api|hooks|web)$/.test(at),
  },
  {
    id: 'check-runs-are-refused-with-422',
    why: 'the description of check runs has limits (50 annotations, 65,535 characters, a conclusion) and no answer for what breaks them; GitHub answers 422, as everywhere',
    allow: ({ where, at }) => /^checks\/(create|update) 422$/.test(where) && at === 'status',
  },
  {
    id: 'the-app-of-a-check-suite-is-an-old-copy',
    why: 'the event check_suite holds a copy of the App made before these permissions and events; the component `integration` leaves both open',
    allow: ({ where, at }) =>
      /^webhook check-suite-/.test(where) && /^body \/check_suite\/app\/(events\/\*|permissions\/organization_(custom_properties|personal_access_token(_request)?s))$/.test(at),
  },
  {
    id: 'the-app-of-an-issue-is-an-old-copy',
    why: 'the events issues and issue_comment hold a copy of the App made before these permissions and events; the component `integration` leaves both open',
    allow: ({ where, at }) =>
      /^webhook issue(s|-comment)-/.test(where) &&
      /\/performed_via_github_app\/(events\/\*|permissions\/organization_(custom_properties|personal_access_token(_request)?s))$/.test(at),
  },
  {
    id: 'a-property-without-a-value-is-null',
    why: 'the event custom_property_values has strings and arrays only; the same values are null in the description of the API where there is none',
    allow: ({ where, at, sample }) =>
      where === 'webhook custom-property-values-updated' && /^body \/(old|new)_property_values\/\*\/value$/.test(at) && sample === null,
  },
];
