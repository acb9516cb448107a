-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- What was said of a commit for a pull request that proposes it: 'part' for somebody who may not know what is on record,
-- 'all' for others. Several pull requests may propose the same commit.
CREATE TABLE checked_changes (
    repository_id INTEGER NOT NULL,
    commit_sha    TEXT    NOT NULL,
    number        INTEGER NOT NULL,
    told          TEXT    NOT NULL,
    checked_at    INTEGER NOT NULL,
    PRIMARY KEY (repository_id, commit_sha, number)
);
INSERT INTO checked_changes (repository_id, commit_sha, number, told, checked_at)
    SELECT repository_id, commit_sha, number, 'all', checked_at FROM checked_commits;
DROP TABLE checked_commits;
CREATE INDEX checked_changes_old ON checked_changes (repository_id, checked_at);

-- When somebody last said something of a pull request.
ALTER TABLE rule_changes ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;
UPDATE rule_changes SET seen_at = CAST(strftime('%s', 'now') AS INTEGER) * 1000;

-- Each check run that was written, for as long as it counts against the limit of its commit.
CREATE TABLE check_runs (
    repository_id INTEGER NOT NULL,
    commit_sha    TEXT    NOT NULL,
    written_at    INTEGER NOT NULL
);
CREATE INDEX check_runs_of ON check_runs (repository_id, commit_sha, written_at);
