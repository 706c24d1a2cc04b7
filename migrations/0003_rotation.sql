-- What rotation needs beside the instants of the first migration. The version before runs on this schema: it reads a
-- standby whose turn is not planned as one that signs at the end of time.

-- Since when, and until which look, the key is seen at the public jwks_uri without a gap.
ALTER TABLE signing_keys ADD COLUMN seen_from BIGINT;
ALTER TABLE signing_keys ADD COLUMN seen_until BIGINT;
-- Made with its issuer: no verifier holds an older JWKS.
ALTER TABLE signing_keys ADD COLUMN made_first BIGINT NOT NULL DEFAULT 0;
-- Since when the private half is destroyed; sealed_private then seals nothing.
ALTER TABLE signing_keys ADD COLUMN forgotten_at BIGINT;
-- Until now an issuer's keys were made with it, and only then.
UPDATE signing_keys SET made_first = 1;

-- Counts every change of the issuer's numbers and keys, looks at the public jwks_uri apart that only prolong.
ALTER TABLE issuers ADD COLUMN keys_version BIGINT NOT NULL DEFAULT 1;
-- The last look at the public jwks_uri that was answered, whoever looked.
ALTER TABLE issuers ADD COLUMN probed_at BIGINT;

CREATE TABLE replicas (
    id TEXT NOT NULL PRIMARY KEY,
    version TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);

-- Which state of an issuer's keys a replica publishes and signs with.
CREATE TABLE replica_keys (
    replica_id TEXT NOT NULL REFERENCES replicas (id) ON DELETE CASCADE,
    issuer_id TEXT NOT NULL REFERENCES issuers (id),
    keys_version BIGINT NOT NULL,
    PRIMARY KEY (replica_id, issuer_id)
);
