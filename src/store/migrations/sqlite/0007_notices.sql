-- Times are Unix milliseconds. Ids are GitHub's. Nothing secret is ever in here.

-- The mail in the outbox that tells an owner of a token. Several tokens of one owner share one.
ALTER TABLE notices ADD COLUMN mail TEXT;
CREATE INDEX notices_on_the_way ON notices (mail) WHERE mail IS NOT NULL AND delivered_at IS NULL;

-- When the owners of the revoked tokens were told, as far as their addresses are known. What ended before anybody could
-- be told is not told now.
ALTER TABLE revocations ADD COLUMN owners_told_at INTEGER;
UPDATE revocations SET owners_told_at = planned_at WHERE state NOT IN ('planned', 'waiting', 'running');
CREATE INDEX revocations_to_tell ON revocations (id) WHERE state = 'done' AND owners_told_at IS NULL;
