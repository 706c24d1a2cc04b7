-- The time is in the key as it is in PostgreSQL, where a partitioned table asks for it.
CREATE TABLE audit_events (
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    issuer_id TEXT NOT NULL,
    action TEXT NOT NULL,
    decision TEXT NOT NULL,
    reason TEXT,
    credential_kind TEXT,
    credential_id TEXT,
    worker_id TEXT,
    team_uid TEXT,
    principal TEXT,
    target TEXT,
    audience TEXT,
    lifetime_seconds BIGINT,
    token_id TEXT,
    kid TEXT,
    role_arn TEXT,
    run_id TEXT,
    signing_input_sha256 TEXT,
    address TEXT,
    user_agent TEXT,
    occurrences BIGINT NOT NULL,
    PRIMARY KEY (at, id)
) WITHOUT ROWID;
CREATE INDEX audit_events_token ON audit_events (token_id) WHERE token_id IS NOT NULL;
CREATE INDEX audit_events_team ON audit_events (team_uid, at);
CREATE INDEX audit_events_principal ON audit_events (principal, at);
