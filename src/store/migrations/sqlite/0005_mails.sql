-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- The outbox of mail. A key names a mail for ever: it is put in once, and sent until somebody has it.
CREATE TABLE mails (
    key             TEXT    NOT NULL PRIMARY KEY,
    organization_id INTEGER NOT NULL,
    recipient       TEXT    NOT NULL,
    subject         TEXT    NOT NULL,
    text            TEXT    NOT NULL,
    html            TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    note            TEXT    NOT NULL DEFAULT '',
    due_at          INTEGER NOT NULL,
    created_at      INTEGER NOT NULL
);
CREATE INDEX mails_due ON mails (due_at) WHERE state = 'waiting';
