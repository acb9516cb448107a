-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- Whether nobody can answer on an issue: it is locked, or its repository is archived.
ALTER TABLE review_issues ADD COLUMN locked INTEGER NOT NULL DEFAULT FALSE;
-- Of a list of many: whose requests it names.
ALTER TABLE review_issues ADD COLUMN owner_id INTEGER;

-- Before this moment silence denies nothing: its end came while nobody worked, so people are asked once more.
ALTER TABLE escalation_groups ADD COLUMN denies_from INTEGER;

-- What was said on an issue and did not count, and what was done to it: why, and whether it was answered. `user_id` 0: nobody
-- in particular.
CREATE TABLE review_remarks (
    issue_id   INTEGER NOT NULL,
    -- The comment's id, or the moment of what was done.
    remark_id  INTEGER NOT NULL,
    user_id    INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    answered   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (issue_id, kind, remark_id)
);

-- Which repository was meant when rules first named it so for reviews.
CREATE TABLE review_repositories (
    organization_id INTEGER NOT NULL,
    -- In small letters, without its owner's.
    name            TEXT    NOT NULL,
    repository_id   INTEGER NOT NULL,
    seen_at         INTEGER NOT NULL,
    PRIMARY KEY (organization_id, name)
);
-- Those in which people are asked already.
INSERT INTO review_repositories (organization_id, name, repository_id, seen_at)
    SELECT organization_id, lower(substr(repository, instr(repository, '/') + 1)), repository_id, MIN(recorded_at)
      FROM review_issues GROUP BY 1, 2;
