-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- What people said of requests from the command line: who, as far as that can be known, and why. Rows are only ever added;
-- what came of each is in its effects.
CREATE TABLE reviews (
    id              INTEGER PRIMARY KEY,
    organization_id INTEGER NOT NULL,
    request_id      INTEGER NOT NULL,
    -- Of what exactly: a request that was changed since is not meant.
    fingerprint     TEXT    NOT NULL,
    verdict         TEXT    NOT NULL,
    -- What is sent along.
    reason          TEXT    NOT NULL,
    -- Why soft rules were overridden; NULL: nothing was.
    override_why    TEXT,
    operator        TEXT    NOT NULL,
    -- What the rules said; NULL: no rules were in force.
    decision_id     INTEGER,
    at              INTEGER NOT NULL
);
CREATE INDEX reviews_of ON reviews (organization_id, request_id);

-- An effect may be an operator's word, and that may come where no rules are in force.
CREATE TABLE effects_2 (
    organization_id INTEGER NOT NULL,
    request_id      INTEGER NOT NULL,
    fingerprint     TEXT    NOT NULL,
    effect          TEXT    NOT NULL,
    ordinal         INTEGER NOT NULL,
    decision_id     INTEGER,
    target_id       INTEGER NOT NULL,
    reason          TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    detail          TEXT    NOT NULL DEFAULT '',
    recorded_at     INTEGER NOT NULL,
    sent_at         INTEGER,
    ended_at        INTEGER,
    review_id       INTEGER,
    PRIMARY KEY (organization_id, request_id, fingerprint, effect, ordinal)
);
INSERT INTO effects_2 (organization_id, request_id, fingerprint, effect, ordinal, decision_id, target_id, reason, state,
        attempts, detail, recorded_at, sent_at, ended_at)
    SELECT organization_id, request_id, fingerprint, effect, ordinal, decision_id, target_id, reason, state,
        attempts, detail, recorded_at, sent_at, ended_at FROM effects;
DROP TABLE effects;
ALTER TABLE effects_2 RENAME TO effects;
CREATE INDEX effects_unfinished ON effects (organization_id) WHERE state IN ('recorded', 'sent');
