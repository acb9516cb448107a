-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- Requests that people are asked about: one row for each, as it is asked about now. Another fingerprint begins another round.
CREATE TABLE escalations (
    organization_id INTEGER NOT NULL,
    request_id      INTEGER NOT NULL,
    fingerprint     TEXT    NOT NULL,
    -- The decision that left it to people; NULL: none, GitHub refused what was decided.
    decision_id     INTEGER,
    asked_at        INTEGER NOT NULL,
    due_at          INTEGER,
    -- How often something failed, in a row, and what.
    failures        INTEGER NOT NULL DEFAULT 0,
    note            TEXT    NOT NULL DEFAULT '',
    -- What silence comes to, as the rules in force have it: when it denies, and when another group is asked.
    denies_at       INTEGER,
    asks_next_at    INTEGER,
    -- When everything was said and closed.
    ended_at        INTEGER,
    PRIMARY KEY (organization_id, request_id)
);
CREATE INDEX escalations_due ON escalations (due_at, organization_id) WHERE due_at IS NOT NULL;

-- Who is asked in this round. `instead_of`: the group whose silence had it asked.
CREATE TABLE escalation_groups (
    organization_id INTEGER NOT NULL,
    request_id      INTEGER NOT NULL,
    name            TEXT    NOT NULL,
    instead_of      TEXT,
    -- How many must approve, as the rules in force have it.
    quorum          INTEGER NOT NULL DEFAULT 1,
    -- Since when somebody of it is verifiably reached, under rules that are enforced.
    reached_at      INTEGER,
    reminded_at     INTEGER,
    PRIMARY KEY (organization_id, request_id, name)
);

-- What reviewers answered, of which fingerprint, in which comment. Rows are only ever added; `void` says why one does not count.
CREATE TABLE escalation_votes (
    organization_id INTEGER NOT NULL,
    request_id      INTEGER NOT NULL,
    comment_id      INTEGER NOT NULL,
    fingerprint     TEXT    NOT NULL,
    user_id         INTEGER NOT NULL,
    login           TEXT    NOT NULL,
    verdict         TEXT    NOT NULL,
    comment         TEXT    NOT NULL,
    -- The groups in which it counts, as JSON.
    counts_in       TEXT    NOT NULL,
    url             TEXT    NOT NULL,
    at              INTEGER NOT NULL,
    void            TEXT,
    PRIMARY KEY (organization_id, request_id, comment_id)
);

-- Issues in which reviewers are asked: of one request, or a list of many (`request_id` NULL).
CREATE TABLE review_issues (
    id              INTEGER PRIMARY KEY,
    organization_id INTEGER NOT NULL,
    request_id      INTEGER,
    repository_id   INTEGER NOT NULL,
    -- As it was called when it was looked up last.
    repository      TEXT    NOT NULL,
    private         INTEGER NOT NULL,
    -- 'recorded': to be made. 'sent': the call was begun, its answer is not known. 'open', 'closed'. 'lost': gone from GitHub.
    state           TEXT    NOT NULL,
    number          INTEGER,
    -- GitHub's own id of it, which it loses when it is moved.
    github_id       INTEGER,
    url             TEXT    NOT NULL DEFAULT '',
    -- A hash of the title, body and state that GitHub has, as far as we know.
    written         TEXT    NOT NULL DEFAULT '',
    -- The fingerprint that it shows, and the comment of ours since which it does.
    shows           TEXT    NOT NULL,
    shows_since     INTEGER NOT NULL DEFAULT 0,
    -- The last comment that was read, and whether there may be more.
    read_to         INTEGER NOT NULL DEFAULT 0,
    look            INTEGER NOT NULL DEFAULT TRUE,
    looked_at       INTEGER,
    -- How often somebody closed it while its request was pending.
    reopened        INTEGER NOT NULL DEFAULT 0,
    recorded_at     INTEGER NOT NULL,
    sent_at         INTEGER
);
CREATE INDEX review_issues_of ON review_issues (organization_id, request_id);
CREATE INDEX review_issues_by_number ON review_issues (repository_id, number) WHERE number IS NOT NULL;

-- Which requests a list names.
CREATE TABLE listed_requests (
    issue_id        INTEGER NOT NULL,
    organization_id INTEGER NOT NULL,
    request_id      INTEGER NOT NULL,
    PRIMARY KEY (organization_id, request_id, issue_id)
);
CREATE INDEX listed_requests_of ON listed_requests (issue_id);

-- The outbox of comments. A key names one comment of an issue for ever.
CREATE TABLE review_comments (
    issue_id    INTEGER NOT NULL,
    key         TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    -- 'recorded', 'sent', 'done', or 'void': there is no issue any more.
    state       TEXT    NOT NULL,
    comment_id  INTEGER,
    recorded_at INTEGER NOT NULL,
    sent_at     INTEGER,
    PRIMARY KEY (issue_id, key)
);
CREATE INDEX review_comments_unsent ON review_comments (issue_id) WHERE state IN ('recorded', 'sent');

-- Whose word a review was: an operator's, reviewers', or silence.
ALTER TABLE reviews ADD COLUMN voice TEXT NOT NULL DEFAULT 'operator';
