-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- Every token that was ever listed with access to an organization: one row for each grant, as it was listed last.
CREATE TABLE tokens (
    organization_id      INTEGER NOT NULL,
    grant_id             INTEGER NOT NULL,
    token_id             INTEGER NOT NULL,
    token_name           TEXT    NOT NULL,
    owner_id             INTEGER NOT NULL,
    owner_login          TEXT    NOT NULL,
    repository_selection TEXT    NOT NULL,
    permissions          TEXT    NOT NULL,
    expired              INTEGER NOT NULL,
    expires_at           INTEGER,
    last_used_at         INTEGER,
    access_granted_at    INTEGER NOT NULL,
    first_seen_at        INTEGER NOT NULL,
    gone_at              INTEGER,
    -- The repositories of a subset, and for which access_granted_at they were read.
    repositories         TEXT,
    repositories_of      INTEGER,
    repositories_read_at INTEGER,
    -- What the approve rules say of it: 'yes', 'no' or 'unknown', why, under which grounds and when; NULL: not yet judged.
    covered              TEXT,
    covered_why          TEXT,
    covered_under        TEXT,
    covered_at           INTEGER,
    -- The grounds under which a rule last covered it: that it is covered no longer is told once.
    covered_last_under   TEXT,
    PRIMARY KEY (organization_id, grant_id)
);
CREATE INDEX tokens_active ON tokens (organization_id, grant_id) WHERE gone_at IS NULL;
CREATE INDEX tokens_by_token ON tokens (organization_id, token_id);
-- Who approved a token is asked of the requests.
CREATE INDEX requests_by_token ON requests (organization_id, token_id) WHERE token_id IS NOT NULL;

-- What happened to a token's access: 'first-seen', 'changed', 'gone', 'back'; `detail` says what changed, as JSON.
CREATE TABLE token_events (
    id              INTEGER PRIMARY KEY,
    organization_id INTEGER NOT NULL,
    grant_id        INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    what            TEXT    NOT NULL,
    detail          TEXT    NOT NULL
);
CREATE INDEX token_events_of ON token_events (organization_id, grant_id);

-- The last time that all tokens of an organization were listed to the end, and what that came to.
CREATE TABLE token_listings (
    organization_id INTEGER NOT NULL PRIMARY KEY,
    began_at        INTEGER NOT NULL,
    ended_at        INTEGER NOT NULL,
    active          INTEGER NOT NULL,
    calls           INTEGER NOT NULL,
    -- Rows that could not be read: nothing is known of those tokens.
    unreadable      INTEGER NOT NULL
);

-- Who is a member of an organization, and who was.
CREATE TABLE members (
    organization_id INTEGER NOT NULL,
    user_id         INTEGER NOT NULL,
    login           TEXT    NOT NULL,
    role            TEXT    NOT NULL,
    seen_at         INTEGER NOT NULL,
    gone_at         INTEGER,
    PRIMARY KEY (organization_id, user_id)
);

-- When both lists of members (owners, and the others) were last read to the end.
CREATE TABLE member_listings (
    organization_id INTEGER NOT NULL PRIMARY KEY,
    ended_at        INTEGER NOT NULL
);

-- Plans to take tokens' access away, and what came of each.
CREATE TABLE revocations (
    id              INTEGER PRIMARY KEY,
    organization_id INTEGER NOT NULL,
    login           TEXT    NOT NULL,
    -- The standing policy whose run it is; NULL: planned by hand.
    policy          TEXT,
    -- What selected the tokens, as people write it.
    filter          TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    planned_by      TEXT    NOT NULL,
    planned_at      INTEGER NOT NULL,
    -- How many tokens were active by then, and of how many nobody could say whether they are meant.
    active          INTEGER NOT NULL,
    cannot_say      INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    -- Whether a token that was used since it was planned is left out.
    spares_used     INTEGER NOT NULL DEFAULT 1,
    -- Under which rules a standing policy selected them; NULL: planned by hand.
    grounds         TEXT,
    confirmed_by    TEXT,
    confirmed_at    INTEGER,
    ended_at        INTEGER,
    -- What is in the way, for people.
    note            TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX revocations_of ON revocations (organization_id, id);
CREATE INDEX revocations_open ON revocations (organization_id, state) WHERE state IN ('waiting', 'running');
-- Of each standing policy one run at a time, whoever makes it.
CREATE UNIQUE INDEX revocations_one_open ON revocations (organization_id, policy)
    WHERE policy IS NOT NULL AND state IN ('waiting', 'running');
CREATE INDEX revocations_of_policies ON revocations (organization_id, policy, planned_at) WHERE policy IS NOT NULL;

-- The tokens of each: as they were when it was planned, and how far each got. Written before each call.
CREATE TABLE revocation_items (
    revocation_id INTEGER NOT NULL,
    grant_id      INTEGER NOT NULL,
    token_id      INTEGER NOT NULL,
    owner_login   TEXT    NOT NULL,
    token_name    TEXT    NOT NULL,
    planned       TEXT    NOT NULL,
    -- Why a standing policy selected it, for people.
    selected      TEXT    NOT NULL DEFAULT '',
    state         TEXT    NOT NULL,
    why           TEXT    NOT NULL DEFAULT '',
    attempts      INTEGER NOT NULL DEFAULT 0,
    sent_at       INTEGER,
    ended_at      INTEGER,
    PRIMARY KEY (revocation_id, grant_id)
);
CREATE INDEX revocation_items_open ON revocation_items (revocation_id, state, grant_id)
    WHERE state IN ('planned', 'sent', 'acknowledged');
-- Which tokens some revocation has called for: another leaves those alone.
CREATE INDEX revocation_items_called ON revocation_items (grant_id) WHERE state IN ('sent', 'acknowledged');

-- Who left an organization or a team, and is not back: `what` is 'organization', or 'team:' and the team as rules name it.
CREATE TABLE departures (
    organization_id INTEGER NOT NULL,
    user_id         INTEGER NOT NULL,
    what            TEXT    NOT NULL,
    at              INTEGER NOT NULL,
    PRIMARY KEY (organization_id, user_id, what)
);
CREATE INDEX departures_since ON departures (organization_id, at);

-- The lists of members of teams that rules name, as they were last read: to see who left since.
CREATE TABLE team_listings (
    organization_id INTEGER NOT NULL,
    team            TEXT    NOT NULL,
    team_id         INTEGER NOT NULL,
    read_at         INTEGER NOT NULL,
    PRIMARY KEY (organization_id, team)
);
CREATE TABLE team_members (
    organization_id INTEGER NOT NULL,
    team            TEXT    NOT NULL,
    user_id         INTEGER NOT NULL,
    PRIMARY KEY (organization_id, team, user_id)
);

-- When each standing policy was last asked of every token, and under which rules.
CREATE TABLE standing_runs (
    organization_id INTEGER NOT NULL,
    policy          TEXT    NOT NULL,
    grounds         TEXT    NOT NULL,
    ran_at          INTEGER NOT NULL,
    PRIMARY KEY (organization_id, policy)
);

-- The tokens that a standing policy selects, since when, and whether their owners were told. A token that is selected no
-- longer has no row any more, and would have to be told of anew.
CREATE TABLE notices (
    organization_id   INTEGER NOT NULL,
    policy            TEXT    NOT NULL,
    grant_id          INTEGER NOT NULL,
    access_granted_at INTEGER NOT NULL,
    selected_at       INTEGER NOT NULL,
    told_at           INTEGER,
    -- From this moment on `grace` runs.
    delivered_at      INTEGER,
    channel           TEXT,
    PRIMARY KEY (organization_id, policy, grant_id)
);

-- Tokens and standing policies that are left alone until a moment: of a token its number, of a policy its name.
CREATE TABLE holds (
    id              INTEGER PRIMARY KEY,
    organization_id INTEGER NOT NULL,
    token_id        INTEGER,
    policy          TEXT,
    until           INTEGER NOT NULL,
    why             TEXT    NOT NULL,
    held_by         TEXT    NOT NULL,
    held_at         INTEGER NOT NULL,
    released_by     TEXT,
    released_at     INTEGER
);
CREATE INDEX holds_of ON holds (organization_id) WHERE released_at IS NULL;
