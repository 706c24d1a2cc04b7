-- Who may ask beside people's sessions and service accounts' keys. Every column that old code does not know is
-- nullable or has a default, so that it runs on beside the new.

-- 'operator' or 'auditor'.
ALTER TABLE administrators ADD COLUMN role TEXT NOT NULL DEFAULT 'operator';
-- 'member', 'admin' or 'auditor'.
ALTER TABLE memberships ADD COLUMN role TEXT NOT NULL DEFAULT 'member';

-- What a credential derives from; it is alive only while that is. An access token of a service account has exactly one
-- of the first three, the bearer of a run has the last.
ALTER TABLE credentials ADD COLUMN parent_id TEXT REFERENCES credentials (id);
ALTER TABLE credentials ADD COLUMN public_key_id TEXT;
ALTER TABLE credentials ADD COLUMN trust_rule_id TEXT;
ALTER TABLE credentials ADD COLUMN run_id TEXT;
CREATE INDEX credentials_parent ON credentials (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX credentials_trust_rule ON credentials (trust_rule_id) WHERE trust_rule_id IS NOT NULL;
CREATE INDEX credentials_run ON credentials (run_id) WHERE run_id IS NOT NULL;

-- Public keys by which a service account signs its own assertions (RFC 7523): a JWK, or where to fetch a JWKS.
CREATE TABLE public_keys (
    id TEXT NOT NULL PRIMARY KEY,
    service_account_uid TEXT NOT NULL REFERENCES service_accounts (uid),
    name TEXT NOT NULL,
    jwk TEXT,
    jwks_uri TEXT,
    created_by TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX public_keys_service_account ON public_keys (service_account_uid);

-- Whose tokens, of which foreign issuer, stand for a service account (RFC 8693).
CREATE TABLE trust_rules (
    id TEXT NOT NULL PRIMARY KEY,
    service_account_uid TEXT NOT NULL REFERENCES service_accounts (uid),
    name TEXT NOT NULL,
    issuer TEXT NOT NULL,
    rule TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    last_used_at BIGINT,
    disabled_at BIGINT,
    deleted_at BIGINT
);
CREATE INDEX trust_rules_service_account ON trust_rules (service_account_uid);
CREATE INDEX trust_rules_issuer ON trust_rules (issuer);

-- Tokens that were presented and must not be again, or not more often than their rule allows.
CREATE TABLE presented_tokens (
    -- As what it was presented; a token counts once in each scope.
    scope TEXT NOT NULL,
    issuer TEXT NOT NULL,
    token_id TEXT NOT NULL,
    uses BIGINT NOT NULL,
    remember_until BIGINT NOT NULL,
    PRIMARY KEY (scope, issuer, token_id)
);
CREATE INDEX presented_tokens_age ON presented_tokens (remember_until);

CREATE TABLE platform_keys (
    credential_id TEXT NOT NULL PRIMARY KEY REFERENCES credentials (id),
    -- Words of a closed list, with a comma between.
    rights TEXT NOT NULL,
    version BIGINT NOT NULL
);
CREATE TABLE platform_key_teams (
    credential_id TEXT NOT NULL REFERENCES platform_keys (credential_id),
    team_uid TEXT NOT NULL REFERENCES teams (uid),
    PRIMARY KEY (credential_id, team_uid)
);
CREATE INDEX platform_key_teams_team ON platform_key_teams (team_uid);

-- One execution of an agent, or of a person's tool.
CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    team_uid TEXT NOT NULL REFERENCES teams (uid),
    -- '<actor type>:<uid>', and the one of the two that it is.
    principal TEXT NOT NULL,
    user_uid TEXT REFERENCES users (uid),
    service_account_uid TEXT REFERENCES service_accounts (uid),
    -- By which credential it was opened; the run lives only while that one's owner does.
    opener_kind TEXT NOT NULL,
    opener_id TEXT NOT NULL REFERENCES credentials (id),
    opener_session_id TEXT REFERENCES sessions (id),
    -- JSON: audiences, labels, provider layer.
    audiences TEXT NOT NULL,
    labels TEXT NOT NULL,
    layer TEXT,
    role_arn TEXT,
    lifetime_cap BIGINT,
    tokens_max BIGINT,
    tokens_issued BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX runs_team ON runs (team_uid, id);
CREATE INDEX runs_opener ON runs (opener_id);
