-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- Whether somebody closed an issue while its request was pending, and it was not opened again yet.
ALTER TABLE review_issues ADD COLUMN shut INTEGER NOT NULL DEFAULT FALSE;
-- When the last comment that was read was written, by GitHub's clock.
ALTER TABLE review_issues ADD COLUMN read_to_at INTEGER;
-- Whether there are more comments than were read at once.
ALTER TABLE review_issues ADD COLUMN behind INTEGER NOT NULL DEFAULT FALSE;
-- How often it was looked at within the hour that began then.
ALTER TABLE review_issues ADD COLUMN looks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE review_issues ADD COLUMN looks_from INTEGER NOT NULL DEFAULT 0;

-- The other repository that was found under the name since, and not asked in.
ALTER TABLE review_repositories ADD COLUMN refused_id INTEGER;
