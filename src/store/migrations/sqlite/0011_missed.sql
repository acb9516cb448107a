-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- Webhooks of which GitHub says that they did not arrive, and how often they were asked for again. `state` is 'waiting',
-- 'arrived', 'refused' (GitHub will not send it again) or 'given-up'.
CREATE TABLE missed_deliveries (
    guid            TEXT    NOT NULL PRIMARY KEY,
    -- The newest attempt that failed: by its id it is asked for again.
    attempt_id      INTEGER NOT NULL,
    event           TEXT    NOT NULL,
    action          TEXT,
    installation_id INTEGER,
    -- When that attempt was made.
    delivered_at    INTEGER NOT NULL,
    state           TEXT    NOT NULL,
    asked           INTEGER NOT NULL DEFAULT 0,
    asked_at        INTEGER,
    due_at          INTEGER NOT NULL,
    note            TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX missed_deliveries_due ON missed_deliveries (due_at) WHERE state = 'waiting';

-- Up to which moment GitHub's list of deliveries was read to its end.
INSERT INTO cursors (name, value) VALUES ('github-deliveries', 0);

-- Organizations on which the App is installed and which the settings do not name.
CREATE TABLE ignored_installations (
    organization_id INTEGER NOT NULL PRIMARY KEY,
    login           TEXT    NOT NULL,
    seen_at         INTEGER NOT NULL
);

-- What is old is looked for by these.
CREATE INDEX requests_over ON requests (state_since) WHERE state IN ('settled', 'gone');
CREATE INDEX tokens_gone ON tokens (gone_at) WHERE gone_at IS NOT NULL;
