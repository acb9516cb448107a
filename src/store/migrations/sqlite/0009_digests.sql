-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- The digests of each organization: one row for each day of which somebody saw to it, whether a mail came of it or not.
CREATE TABLE digests (
    organization_id INTEGER NOT NULL,
    -- Of which day, as the calendar in the digest's zone has it: 2026-11-21.
    date            TEXT    NOT NULL,
    -- When it was due, and when it was made.
    slot_at         INTEGER NOT NULL,
    made_at         INTEGER NOT NULL,
    -- 'begun': it was due before anybody looked, and nothing was sent; 'sent'; 'quiet': there was nothing to say; 'nobody':
    -- there was, and nobody could be reached.
    state           TEXT    NOT NULL,
    -- How many tokens had access by then, and how many of those nobody used for long.
    active          INTEGER NOT NULL,
    stale           INTEGER NOT NULL,
    PRIMARY KEY (organization_id, date)
);
CREATE INDEX digests_by_time ON digests (organization_id, slot_at);

-- A digest asks what ended since the last one.
CREATE INDEX requests_settled ON requests (organization_id, state_since, request_id) WHERE state = 'settled';

-- Mails of a list name it, so that people can sort and mute them. Empty: a mail to one person.
ALTER TABLE mails ADD COLUMN list TEXT NOT NULL DEFAULT '';
