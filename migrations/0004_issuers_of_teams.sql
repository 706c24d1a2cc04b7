-- One private issuer a team, for ever: its tombstone keeps the place and the URL, so that a URL which a customer's
-- account may still trust never gets other keys.
CREATE UNIQUE INDEX issuers_team ON issuers (team_uid) WHERE team_uid IS NOT NULL;
