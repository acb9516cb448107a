-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- How far the deliveries, which have a file of their own, have been read into the tables below.
CREATE TABLE cursors (
    name  TEXT    NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
);
INSERT INTO cursors (name, value) VALUES ('deliveries', 0);

-- Deliveries that were signed and not understood.
CREATE TABLE unread_deliveries (
    seq   INTEGER NOT NULL PRIMARY KEY,
    event TEXT    NOT NULL,
    why   TEXT    NOT NULL,
    at    INTEGER NOT NULL
);

CREATE TABLE installations (
    organization_id INTEGER NOT NULL PRIMARY KEY,
    installation_id INTEGER NOT NULL,
    login           TEXT    NOT NULL,
    suspended       INTEGER NOT NULL,
    -- When its pending requests were listed for the first time.
    looked_at       INTEGER,
    seen_at         INTEGER NOT NULL
);

-- Who may work on an organization now, and under which number: every write of a worker names it.
CREATE TABLE leases (
    organization_id INTEGER NOT NULL PRIMARY KEY,
    holder          TEXT    NOT NULL,
    number          INTEGER NOT NULL,
    until           INTEGER NOT NULL
);

-- Until when GitHub asked us to leave an installation alone, and what its answers said of the hourly limit
-- by then; nothing, when they said nothing.
CREATE TABLE rate_limits (
    installation_id INTEGER NOT NULL PRIMARY KEY,
    parked_until    INTEGER,
    call_limit      INTEGER,
    remaining       INTEGER,
    resets_at       INTEGER
);

-- One row for each request that we ever heard of.
CREATE TABLE requests (
    organization_id INTEGER NOT NULL,
    request_id      INTEGER NOT NULL,
    login           TEXT    NOT NULL,
    token_id        INTEGER,
    token_name      TEXT    NOT NULL,
    owner_id        INTEGER NOT NULL,
    owner_login     TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    outcome         TEXT,
    settled_by      TEXT,
    actor           TEXT,
    fingerprint     TEXT,
    shape           TEXT,
    decision_id     INTEGER,
    judged_under    TEXT,
    -- What a call of ours said whose answer we never heard: 'approve' or 'deny'.
    in_doubt        TEXT,
    in_doubt_since  INTEGER,
    looks           INTEGER NOT NULL DEFAULT 0,
    failures        INTEGER NOT NULL DEFAULT 0,
    refusals        INTEGER NOT NULL DEFAULT 0,
    note            TEXT    NOT NULL DEFAULT '',
    -- One of many that a first run or a changed policy would act on at once: nothing is sent before
    -- somebody confirms.
    unconfirmed     INTEGER NOT NULL DEFAULT 0,
    due_at          INTEGER,
    woken_at        INTEGER NOT NULL,
    state_since     INTEGER NOT NULL,
    listed          TEXT,
    PRIMARY KEY (organization_id, request_id)
);
-- Asked after every delivery, so none may look at rows that are over: which organizations have something due, what
-- is due of one, what is open of one.
CREATE INDEX requests_due ON requests (due_at, organization_id) WHERE due_at IS NOT NULL;
CREATE INDEX requests_due_of ON requests (organization_id, due_at, request_id) WHERE due_at IS NOT NULL;
CREATE INDEX requests_open ON requests (organization_id, request_id) WHERE state NOT IN ('settled', 'gone');
-- What an owner asked for lately, and what came of it: rules count both.
CREATE INDEX requests_heard_of ON requests (organization_id, owner_id, woken_at);
CREATE INDEX requests_moved ON requests (organization_id, owner_id, state_since);

-- What was decided, on what grounds, under which policy. Rows are only ever added.
CREATE TABLE decisions (
    id              INTEGER PRIMARY KEY,
    organization_id INTEGER NOT NULL,
    request_id      INTEGER NOT NULL,
    fingerprint     TEXT    NOT NULL,
    effect          TEXT    NOT NULL,
    mode            TEXT    NOT NULL,
    acts            INTEGER NOT NULL,
    policy_hash     TEXT    NOT NULL,
    -- Where its files came from: a path, or a repository and its commit.
    policy_source   TEXT    NOT NULL,
    request         TEXT    NOT NULL,
    facts           TEXT    NOT NULL,
    decision        TEXT    NOT NULL,
    trace           TEXT    NOT NULL,
    decided_at      INTEGER NOT NULL
);
CREATE INDEX decisions_of_request ON decisions (request_id, organization_id);

-- The outbox and its journal: what is to be sent, what was sent, what came of it.
CREATE TABLE effects (
    organization_id INTEGER NOT NULL,
    request_id      INTEGER NOT NULL,
    fingerprint     TEXT    NOT NULL,
    effect          TEXT    NOT NULL,
    ordinal         INTEGER NOT NULL,
    decision_id     INTEGER NOT NULL,
    target_id       INTEGER NOT NULL,
    reason          TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    detail          TEXT    NOT NULL DEFAULT '',
    recorded_at     INTEGER NOT NULL,
    sent_at         INTEGER,
    ended_at        INTEGER,
    PRIMARY KEY (organization_id, request_id, fingerprint, effect, ordinal)
);
CREATE INDEX effects_unfinished ON effects (organization_id) WHERE state IN ('recorded', 'sent');

-- Which team a slug named when a rule first asked for it. `team` as rules of this organization write it: `slug`
-- for one of its own, `organization/slug` for another's.
CREATE TABLE teams (
    organization_id INTEGER NOT NULL,
    team            TEXT    NOT NULL,
    team_id         INTEGER NOT NULL,
    seen_at         INTEGER NOT NULL,
    PRIMARY KEY (organization_id, team)
);

-- Under which names a repository was seen, in lower case, and when first.
CREATE TABLE repository_names (
    organization_id INTEGER NOT NULL,
    repository_id   INTEGER NOT NULL,
    name            TEXT    NOT NULL,
    seen_at         INTEGER NOT NULL,
    PRIMARY KEY (organization_id, repository_id, name)
);

-- The policies under which decisions were made, as they were written.
CREATE TABLE policies (
    hash    TEXT    NOT NULL PRIMARY KEY,
    sources TEXT    NOT NULL,
    seen_at INTEGER NOT NULL
);

-- The places of rules that the settings name, by whose they are: 'enterprise', 'everybody', or 'organization' and a
-- login.
CREATE TABLE policy_places (
    whose           TEXT    NOT NULL PRIMARY KEY,
    -- As the settings say it: at another place, nothing of this row counts.
    place           TEXT    NOT NULL,
    -- Which organization had the login when the place was first used for it.
    organization_id INTEGER,
    -- The repository that is followed, and who had it; nothing, for a place on disk or before the first success.
    repository_id   INTEGER,
    owner_id        INTEGER,
    pinned_by       TEXT,
    full_name       TEXT,
    default_branch  TEXT,
    public          INTEGER NOT NULL DEFAULT FALSE,
    -- The last files that were in force, and the commit that has them.
    files           TEXT,
    commit_sha      TEXT,
    url             TEXT,
    loaded_at       INTEGER,
    -- Why what is there now is not accepted, and what it is: what `policy trust` would accept.
    refused         TEXT,
    refused_at      INTEGER,
    found_id        INTEGER,
    found_owner_id  INTEGER,
    found_name      TEXT
);

-- What is in force for each organization on which the App is installed.
CREATE TABLE policies_in_force (
    organization_id INTEGER NOT NULL PRIMARY KEY,
    login           TEXT    NOT NULL,
    whose           TEXT,
    source          TEXT    NOT NULL,
    hash            TEXT,
    mode            TEXT,
    -- Why it cannot be confirmed, or why there is none.
    broken          TEXT,
    since           INTEGER NOT NULL
);

-- Pull requests against rules, and when each is to be looked at next.
CREATE TABLE rule_changes (
    repository_id INTEGER NOT NULL,
    number        INTEGER NOT NULL,
    due_at        INTEGER,
    attempts      INTEGER NOT NULL DEFAULT 0,
    -- Somebody wants the check of its commit again.
    again         INTEGER NOT NULL DEFAULT FALSE,
    PRIMARY KEY (repository_id, number)
);
CREATE INDEX rule_changes_due ON rule_changes (due_at) WHERE due_at IS NOT NULL;

-- The commits of which a check run says something.
CREATE TABLE checked_commits (
    repository_id INTEGER NOT NULL,
    commit_sha    TEXT    NOT NULL,
    number        INTEGER NOT NULL,
    checked_at    INTEGER NOT NULL,
    PRIMARY KEY (repository_id, commit_sha)
);
