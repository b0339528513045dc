-- The registry's tables. Every table is one tenant's rows beside another's, kept apart twice: by the
-- condition of each statement, and by row security, which compares tenant_id with the variable
-- sluice.tenant that each transaction sets ('*' for the platform's own work across tenants). FORCE binds the
-- owner of the tables too, so that the service itself cannot forget it; an unset variable shows nothing.

-- One sequence for all revisions: a thing made anew under an old id never has an old revision.
CREATE SEQUENCE revision AS bigint;

CREATE FUNCTION may_see(tenant text) RETURNS boolean
  LANGUAGE sql STABLE PARALLEL SAFE
  RETURN tenant = current_setting('sluice.tenant', true) OR current_setting('sluice.tenant', true) = '*';

-- Ids are compared byte by byte: they are names for programs, and an index of them must not change its
-- order with a library's collation. Times have milliseconds, the precision of every wire format of ours.

CREATE TABLE tenants (
  tenant_id   text COLLATE "C" PRIMARY KEY,
  name        text,
  status      text NOT NULL DEFAULT 'active' CONSTRAINT tenants_status CHECK (status IN ('active', 'suspended')),
  metadata    jsonb NOT NULL DEFAULT '{}',
  revision    bigint NOT NULL DEFAULT nextval('revision'),
  created_at  timestamptz(3) NOT NULL DEFAULT now(),
  updated_at  timestamptz(3) NOT NULL DEFAULT now()
);

CREATE TABLE topic_policies (
  tenant_id        text COLLATE "C" NOT NULL CONSTRAINT topic_policies_tenant REFERENCES tenants,
  topic_policy_id  text COLLATE "C" NOT NULL,
  name             text,
  rules            jsonb NOT NULL,
  metadata         jsonb NOT NULL DEFAULT '{}',
  revision         bigint NOT NULL DEFAULT nextval('revision'),
  created_at       timestamptz(3) NOT NULL DEFAULT now(),
  updated_at       timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, topic_policy_id)
);

CREATE TABLE device_classes (
  tenant_id        text COLLATE "C" NOT NULL CONSTRAINT device_classes_tenant REFERENCES tenants,
  device_class_id  text COLLATE "C" NOT NULL,
  name             text,
  schema_id        text COLLATE "C",
  topic_policy_id  text COLLATE "C",
  max_qos          smallint NOT NULL DEFAULT 2,
  is_lossy         boolean NOT NULL DEFAULT false,
  limits           jsonb,
  retention        jsonb,
  metadata         jsonb NOT NULL DEFAULT '{}',
  revision         bigint NOT NULL DEFAULT nextval('revision'),
  created_at       timestamptz(3) NOT NULL DEFAULT now(),
  updated_at       timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, device_class_id),
  CONSTRAINT device_classes_topic_policy
    FOREIGN KEY (tenant_id, topic_policy_id) REFERENCES topic_policies
);
-- For deleting a policy: who refers to it?
CREATE INDEX device_classes_by_policy ON device_classes (tenant_id, topic_policy_id);

CREATE TABLE fleets (
  tenant_id           text COLLATE "C" NOT NULL CONSTRAINT fleets_tenant REFERENCES tenants,
  fleet_id            text COLLATE "C" NOT NULL,
  name                text,
  routing_rules_json  jsonb,
  metadata            jsonb NOT NULL DEFAULT '{}',
  revision            bigint NOT NULL DEFAULT nextval('revision'),
  created_at          timestamptz(3) NOT NULL DEFAULT now(),
  updated_at          timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, fleet_id)
);

CREATE TABLE devices (
  device_id         uuid PRIMARY KEY,
  tenant_id         text COLLATE "C" NOT NULL,
  external_id       text COLLATE "C",
  fleet_id          text COLLATE "C",
  device_class      text COLLATE "C" NOT NULL,
  schema_id         text COLLATE "C",
  model             text COLLATE "C",
  firmware_version  text COLLATE "C",
  status            text COLLATE "C" NOT NULL DEFAULT 'active'
    CONSTRAINT devices_status CHECK (status IN ('active', 'inactive', 'quarantined', 'revoked')),
  status_reason     text,
  metadata          jsonb NOT NULL DEFAULT '{}',
  revision          bigint NOT NULL DEFAULT nextval('revision'),
  registered_at     timestamptz(3) NOT NULL DEFAULT now(),
  provisioned_at    timestamptz(3),
  last_seen_at      timestamptz(3),
  updated_at        timestamptz(3) NOT NULL DEFAULT now(),
  CONSTRAINT devices_in_tenant UNIQUE (tenant_id, device_id),
  CONSTRAINT devices_external_id UNIQUE (tenant_id, external_id),
  CONSTRAINT devices_device_class FOREIGN KEY (tenant_id, device_class) REFERENCES device_classes,
  CONSTRAINT devices_fleet FOREIGN KEY (tenant_id, fleet_id) REFERENCES fleets
);
-- Each ends in device_id, the default order, so that a page is read from the index and no more than it.
-- They serve the filters and the foreign keys' question who refers to a class or a fleet.
CREATE INDEX devices_by_class ON devices (tenant_id, device_class, device_id);
CREATE INDEX devices_by_fleet ON devices (tenant_id, fleet_id, device_id) WHERE fleet_id IS NOT NULL;
CREATE INDEX devices_by_model ON devices (tenant_id, model, firmware_version, device_id) WHERE model IS NOT NULL;
-- Nearly all are active, so the index of the others stays small.
CREATE INDEX devices_by_status ON devices (tenant_id, status, device_id) WHERE status <> 'active';
CREATE INDEX devices_by_registered_at ON devices (tenant_id, registered_at, device_id);

-- Search by attributes: one row per scalar in a device's metadata, its path and value hashed to a number
-- (core/attributes.h). A GIN index of the column itself would never be used: under row security PostgreSQL
-- evaluates only operators that are marked leakproof before the policy, which those of jsonb are not
-- and those of bigint are. Comes in the order of device_id, as pages do.
CREATE TABLE device_attributes (
  tenant_id  text COLLATE "C" NOT NULL,
  term       bigint NOT NULL,
  device_id  uuid NOT NULL,
  PRIMARY KEY (tenant_id, term, device_id)
);
-- For replacing and removing a device's terms. No foreign key: the rows are written and removed by the
-- statements that write and remove the device, and a check of each would double the work of an import.
CREATE INDEX device_attributes_by_device ON device_attributes (device_id);

CREATE TABLE credentials (
  credential_id       text COLLATE "C" NOT NULL,
  tenant_id           text COLLATE "C" NOT NULL,
  device_id           uuid NOT NULL,
  kind                text NOT NULL CONSTRAINT credentials_kind CHECK (kind IN ('token', 'psk', 'certificate', 'jwt')),
  lookup_key          text COLLATE "C" NOT NULL,
  psk_identity        text,
  fingerprint_sha256  text,
  common_name         text,
  serial              text,
  issuer              text,
  salt                bytea,
  secret_hash         bytea,
  sealed_secret       bytea,
  public_key          text,
  revision            bigint NOT NULL DEFAULT nextval('revision'),
  created_at          timestamptz(3) NOT NULL DEFAULT now(),
  expires_at          timestamptz(3),
  revoked_at          timestamptz(3),
  PRIMARY KEY (tenant_id, credential_id),
  CONSTRAINT credentials_device FOREIGN KEY (tenant_id, device_id)
    REFERENCES devices (tenant_id, device_id) ON DELETE CASCADE
);
-- The one look of every sign-in. Not unique: two tenants may register the same certificate, and a device may
-- have several keys for its JSON Web Tokens.
CREATE INDEX credentials_by_lookup_key ON credentials (lookup_key, tenant_id);
CREATE INDEX credentials_by_device ON credentials (tenant_id, device_id, credential_id);
-- A token's id and a PSK identity name one credential in the whole platform.
CREATE UNIQUE INDEX credentials_lookup_key ON credentials (lookup_key) WHERE kind IN ('token', 'psk');

CREATE TABLE api_keys (
  key_id       text COLLATE "C" PRIMARY KEY,
  tenant_id    text COLLATE "C" NOT NULL CONSTRAINT api_keys_tenant REFERENCES tenants,
  name         text NOT NULL,
  role         text NOT NULL CONSTRAINT api_keys_role CHECK (role IN ('viewer', 'operator', 'admin')),
  salt         bytea NOT NULL,
  secret_hash  bytea NOT NULL,
  revision     bigint NOT NULL DEFAULT nextval('revision'),
  created_at   timestamptz(3) NOT NULL DEFAULT now(),
  expires_at   timestamptz(3),
  revoked_at   timestamptz(3)
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, key_id);

-- Answers to be given again. begun and not completed: in progress, or its process died (see begun_at).
CREATE TABLE answers (
  tenant_id      text COLLATE "C" NOT NULL,
  subject        text NOT NULL,
  key            text NOT NULL,
  request_hash   text NOT NULL,
  sealed_answer  bytea,
  begun_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, subject, key)
);
CREATE INDEX answers_by_age ON answers (begun_at);

CREATE TABLE operations (
  operation_id     uuid PRIMARY KEY,
  tenant_id        text COLLATE "C" NOT NULL CONSTRAINT operations_tenant REFERENCES tenants ON DELETE CASCADE,
  kind             text NOT NULL,
  idempotency_key  text NOT NULL,
  request_hash     text NOT NULL,
  state            text NOT NULL DEFAULT 'running'
    CONSTRAINT operations_state CHECK (state IN ('running', 'succeeded', 'failed')),
  reason           text,
  lines_read       bigint NOT NULL DEFAULT 0,
  devices_written  bigint NOT NULL DEFAULT 0,
  devices_skipped  bigint NOT NULL DEFAULT 0,
  faulty_lines     bigint NOT NULL DEFAULT 0,
  faults           jsonb,
  result_parts     integer NOT NULL DEFAULT 0,  -- rows of operation_results that hold its result
  taken_at         timestamptz,                 -- first
  created_at       timestamptz(3) NOT NULL DEFAULT now(),
  reported_at      timestamptz(3) NOT NULL DEFAULT now(),
  finished_at      timestamptz(3)
);
-- One operation per key, unless it failed: that one may be begun anew.
CREATE UNIQUE INDEX operations_by_key ON operations (tenant_id, idempotency_key)
  WHERE idempotency_key <> '' AND state <> 'failed';
CREATE INDEX operations_by_age ON operations (created_at);

-- What an operation hands over, sealed in parts so that none of them is large. Written with what it tells of.
CREATE TABLE operation_results (
  tenant_id     text COLLATE "C" NOT NULL,
  operation_id  uuid NOT NULL CONSTRAINT operation_results_operation REFERENCES operations ON DELETE CASCADE,
  part          integer NOT NULL,
  sealed        bytea NOT NULL,
  PRIMARY KEY (operation_id, part)
);

-- What is to be published, in the order of its numbers; a row is gone once Kafka has it.
CREATE TABLE outbox (
  outbox_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id    text COLLATE "C" NOT NULL DEFAULT current_setting('sluice.tenant', true),
  topic        text NOT NULL,
  key          text NOT NULL,
  value        bytea,  -- null: a tombstone
  traceparent  text NOT NULL
);

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['tenants', 'topic_policies', 'device_classes', 'fleets', 'devices', 'device_attributes',
                           'credentials', 'api_keys', 'answers', 'operations', 'operation_results', 'outbox'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY own_tenant ON %I USING (may_see(tenant_id)) WITH CHECK (may_see(tenant_id))', t);
  END LOOP;
END $$;

-- The reserved tenant whose admins manage tenants.
SELECT set_config('sluice.tenant', '*', true);
INSERT INTO tenants (tenant_id, name) VALUES ('platform', 'The platform itself');
