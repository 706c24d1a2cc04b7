-- How people sign in: providers and the people they vouch for, sessions that refresh, the ways through a browser.
-- Every new column of an old table is nullable, so that old code runs on beside the new.

-- Keys of the installation that sign nothing: the one under which short user codes are kept.
CREATE TABLE installation_keys (
    name TEXT NOT NULL PRIMARY KEY,
    sealed_key TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- OIDC providers at which people sign in, of the operator's choosing.
CREATE TABLE upstream_providers (
    uid TEXT NOT NULL PRIMARY KEY,
    uid_fold TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    issuer TEXT NOT NULL,
    client_id TEXT NOT NULL,
    sealed_client_secret TEXT,
    -- JSON: scopes, claims, the domains that are the operator's to tie to it, how long sessions last.
    settings TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    disabled_at BIGINT,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX upstream_providers_client ON upstream_providers (issuer, client_id) WHERE deleted_at IS NULL;

-- Who a provider's subject is here. Never by e-mail address.
CREATE TABLE upstream_identities (
    provider_uid TEXT NOT NULL REFERENCES upstream_providers (uid),
    subject TEXT NOT NULL,
    user_uid TEXT NOT NULL REFERENCES users (uid),
    created_by TEXT,
    created_at BIGINT NOT NULL,
    signed_in_at BIGINT,
    PRIMARY KEY (provider_uid, subject)
);
CREATE INDEX upstream_identities_user ON upstream_identities (user_uid);

-- The sign-in behind a session; none of these for one that an enrolment code opened.
ALTER TABLE sessions ADD COLUMN provider_uid TEXT REFERENCES upstream_providers (uid);
ALTER TABLE sessions ADD COLUMN upstream_subject TEXT;
ALTER TABLE sessions ADD COLUMN upstream_sid TEXT;
-- JSON list of words (RFC 8176).
ALTER TABLE sessions ADD COLUMN amr TEXT;
ALTER TABLE sessions ADD COLUMN signed_in_at BIGINT;
-- When it ends unless it is refreshed before; none for sessions of before.
ALTER TABLE sessions ADD COLUMN idle_at BIGINT;
CREATE INDEX sessions_upstream ON sessions (provider_uid, upstream_subject) WHERE provider_uid IS NOT NULL;

-- A refresh token that was shown has a successor; shown again once in time, it gets another in that one's place.
ALTER TABLE credentials ADD COLUMN replaced_at BIGINT;
ALTER TABLE credentials ADD COLUMN replaced_by TEXT;
ALTER TABLE credentials ADD COLUMN retried_at BIGINT;

-- RFC 8628. Only hashes of the codes are here; the short one's under a key of the installation, because it could be guessed.
CREATE TABLE device_grants (
    id TEXT NOT NULL PRIMARY KEY,
    device_code_hash TEXT NOT NULL UNIQUE,
    user_code_mac TEXT NOT NULL UNIQUE,
    client_id TEXT NOT NULL,
    device TEXT,
    address TEXT,
    user_agent TEXT,
    team_uid TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    interval_seconds BIGINT NOT NULL,
    polled_at BIGINT,
    -- Who approved, and how they had signed in (JSON).
    user_uid TEXT REFERENCES users (uid),
    signed_in TEXT,
    approved_at BIGINT,
    denied_at BIGINT,
    redeemed_at BIGINT
);
CREATE INDEX device_grants_age ON device_grants (expires_at);

-- One browser's way through the pages, by the hash of what its cookie holds.
CREATE TABLE sign_ins (
    browser_hash TEXT NOT NULL PRIMARY KEY,
    -- JSON: the device grant or the authorization request that it is for.
    asked TEXT NOT NULL,
    provider_uid TEXT,
    user_uid TEXT REFERENCES users (uid),
    signed_in TEXT,
    address TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE INDEX sign_ins_age ON sign_ins (expires_at);

CREATE TABLE authorization_codes (
    code_hash TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    device TEXT,
    user_uid TEXT NOT NULL REFERENCES users (uid),
    signed_in TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    redeemed_at BIGINT,
    -- Ended when the code is shown again (RFC 6749, section 4.1.2).
    session_id TEXT REFERENCES sessions (id)
);
CREATE INDEX authorization_codes_age ON authorization_codes (expires_at);
