-- Columns are TEXT and BIGINT only, so that both databases read the same text. Times are Unix milliseconds.
-- A row that is gone keeps its uid for ever: `*_fold` is the uid without case, and stays unique.

CREATE TABLE issuers (
    id TEXT NOT NULL PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    team_uid TEXT,
    max_age BIGINT NOT NULL,
    export_lag BIGINT NOT NULL,
    clock_error BIGINT NOT NULL,
    oldest_snapshot BIGINT NOT NULL,
    publish_before_sign BIGINT NOT NULL,
    keep_after_sign BIGINT NOT NULL,
    rotation_period BIGINT NOT NULL,
    x5c BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT
);
-- One shared issuer per installation.
CREATE UNIQUE INDEX issuers_shared ON issuers (kind) WHERE kind = 'shared' AND deleted_at IS NULL;

CREATE TABLE signing_keys (
    -- Unique across issuers: a key never serves two of them.
    kid TEXT NOT NULL PRIMARY KEY,
    issuer_id TEXT NOT NULL REFERENCES issuers (id),
    algorithm TEXT NOT NULL,
    bits BIGINT NOT NULL,
    public_first TEXT NOT NULL,
    public_second TEXT NOT NULL,
    certificate TEXT,
    sealed_private TEXT NOT NULL,
    publish_from BIGINT NOT NULL,
    sign_from BIGINT NOT NULL,
    sign_until BIGINT,
    publish_until BIGINT,
    revoked_at BIGINT,
    created_at BIGINT NOT NULL
);
CREATE INDEX signing_keys_issuer ON signing_keys (issuer_id);

CREATE TABLE administrators (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    bootstrap BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    version BIGINT NOT NULL
);
CREATE UNIQUE INDEX administrators_bootstrap ON administrators (bootstrap) WHERE bootstrap = 1 AND revoked_at IS NULL;

CREATE TABLE teams (
    uid TEXT NOT NULL PRIMARY KEY,
    uid_fold TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    policy TEXT NOT NULL,
    external_id TEXT NOT NULL UNIQUE,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    disabled_at BIGINT,
    deleted_at BIGINT
);

CREATE TABLE users (
    uid TEXT NOT NULL PRIMARY KEY,
    uid_fold TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    email TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    disabled_at BIGINT,
    deleted_at BIGINT
);

CREATE TABLE memberships (
    team_uid TEXT NOT NULL REFERENCES teams (uid),
    user_uid TEXT NOT NULL REFERENCES users (uid),
    created_at BIGINT NOT NULL,
    removed_at BIGINT
);
CREATE UNIQUE INDEX memberships_live ON memberships (team_uid, user_uid) WHERE removed_at IS NULL;
CREATE INDEX memberships_user ON memberships (user_uid);

CREATE TABLE service_accounts (
    uid TEXT NOT NULL PRIMARY KEY,
    uid_fold TEXT NOT NULL UNIQUE,
    team_uid TEXT NOT NULL REFERENCES teams (uid),
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    disabled_at BIGINT,
    deleted_at BIGINT
);
CREATE INDEX service_accounts_team ON service_accounts (team_uid, uid);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    user_uid TEXT NOT NULL REFERENCES users (uid),
    origin TEXT NOT NULL,
    device TEXT,
    address TEXT,
    user_agent TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX sessions_user ON sessions (user_uid);

-- Every opaque secret: only its SHA-256 is here.
CREATE TABLE credentials (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    administrator_id TEXT REFERENCES administrators (id),
    user_uid TEXT REFERENCES users (uid),
    session_id TEXT REFERENCES sessions (id),
    service_account_uid TEXT REFERENCES service_accounts (uid),
    created_by TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX credentials_service_account ON credentials (service_account_uid);
CREATE INDEX credentials_administrator ON credentials (administrator_id);
CREATE INDEX credentials_session ON credentials (session_id);

CREATE TABLE worker_keys (
    credential_id TEXT NOT NULL PRIMARY KEY REFERENCES credentials (id),
    audience TEXT NOT NULL,
    version BIGINT NOT NULL
);

CREATE TABLE worker_key_teams (
    credential_id TEXT NOT NULL REFERENCES worker_keys (credential_id),
    team_uid TEXT NOT NULL REFERENCES teams (uid),
    PRIMARY KEY (credential_id, team_uid)
);
CREATE INDEX worker_key_teams_team ON worker_key_teams (team_uid);

CREATE TABLE enrolment_codes (
    id TEXT NOT NULL PRIMARY KEY,
    secret_hash TEXT NOT NULL UNIQUE,
    user_uid TEXT NOT NULL REFERENCES users (uid),
    created_by TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    redeemed_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX enrolment_codes_user ON enrolment_codes (user_uid);

-- One row per layer; the team's own has an empty service_account_uid.
CREATE TABLE provider_settings (
    team_uid TEXT NOT NULL REFERENCES teams (uid),
    service_account_uid TEXT NOT NULL,
    layer TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (team_uid, service_account_uid)
);

-- What a create answered, without its secret, so that a repeat answers the same.
CREATE TABLE idempotency_keys (
    credential_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_sha256 TEXT NOT NULL,
    resource TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (credential_id, idempotency_key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
