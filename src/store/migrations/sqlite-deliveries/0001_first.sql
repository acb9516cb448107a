-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- Which deliveries we have. Apart from the bodies, so that the large table has no second index.
CREATE TABLE delivery_keys (
    guid    BLOB    NOT NULL,
    hook_id INTEGER NOT NULL,
    PRIMARY KEY (guid, hook_id)
) WITHOUT ROWID;

-- Their bodies, in order of arrival. The row with the highest number is never to be deleted: the next number is
-- one more, and no number may be given twice. (AUTOINCREMENT would see to that with another page for each commit.)
CREATE TABLE deliveries (
    seq         INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL,
    guid        BLOB    NOT NULL,
    hook_id     INTEGER NOT NULL,
    event       TEXT    NOT NULL,
    body        BLOB    NOT NULL
);
