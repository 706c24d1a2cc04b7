-- Roles of members, and what administration by others than operators needs.

-- A disabled membership is one that is removed and remembered: whoever asks who may act in a team goes on asking for
-- rows without removed_at, older versions among them.
ALTER TABLE memberships ADD COLUMN disabled_at BIGINT;
ALTER TABLE memberships ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

-- The team whose admin made the code; none where an operator did.
ALTER TABLE enrolment_codes ADD COLUMN team_uid TEXT REFERENCES teams (uid);
-- The session that was opened with it.
ALTER TABLE enrolment_codes ADD COLUMN session_id TEXT REFERENCES sessions (id);
