-- The validator's tables. Every table is one tenant's rows beside another's, kept apart twice: by the condition of each
-- statement, and by row security, which compares tenant_id with the variable sluice.tenant that each transaction sets ('*'
-- for the platform's own work across tenants). FORCE binds the owner of the tables too; an unset variable shows nothing.

-- One sequence for all revisions: a thing made anew under an old name never has an old revision.
CREATE SEQUENCE revision AS bigint;

CREATE FUNCTION may_see(tenant text) RETURNS boolean
  LANGUAGE sql STABLE PARALLEL SAFE
  RETURN tenant = current_setting('sluice.tenant', true) OR current_setting('sluice.tenant', true) = '*';

-- Its row is what registrations of versions wait for each other at.
CREATE TABLE schemas (
  tenant_id   text COLLATE "C" NOT NULL,
  schema_id   text COLLATE "C" NOT NULL,
  revision    bigint NOT NULL DEFAULT nextval('revision'),
  created_at  timestamptz(3) NOT NULL DEFAULT now(),
  updated_at  timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, schema_id)
);

-- A document never changes once it is registered.
CREATE TABLE schema_versions (
  tenant_id      text COLLATE "C" NOT NULL,
  schema_id      text COLLATE "C" NOT NULL,
  major          integer NOT NULL,
  minor          integer NOT NULL,
  kind           text NOT NULL
    CONSTRAINT schema_versions_kind CHECK (kind IN ('json_schema', 'avro', 'metrics_table', 'protobuf')),
  document       text NOT NULL,
  registered_by  text NOT NULL,
  registered_at  timestamptz(3) NOT NULL DEFAULT now(),
  revision       bigint NOT NULL DEFAULT nextval('revision'),
  PRIMARY KEY (tenant_id, schema_id, major, minor),
  CONSTRAINT schema_versions_schema FOREIGN KEY (tenant_id, schema_id) REFERENCES schemas ON DELETE CASCADE
);

CREATE TABLE units (
  tenant_id   text COLLATE "C" NOT NULL,
  name        text COLLATE "C" NOT NULL,
  base        text NOT NULL,
  factor      double precision NOT NULL,
  shift       double precision NOT NULL,  -- added after the factor; "offset" is a word of SQL
  aliases     text[] NOT NULL DEFAULT '{}',
  revision    bigint NOT NULL DEFAULT nextval('revision'),
  updated_at  timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, name)
);

CREATE TABLE outlier_policies (
  tenant_id   text COLLATE "C" NOT NULL,
  schema_id   text COLLATE "C" NOT NULL,
  metric      text COLLATE "C" NOT NULL,
  settings    jsonb NOT NULL,
  revision    bigint NOT NULL DEFAULT nextval('revision'),
  updated_at  timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, schema_id, metric)
);

-- Where rejected messages are, for operators who look for them: an index of telemetry.rejected, which has the bytes. A
-- partition for each day, dropped when its time is over: deleting row by row would cost as much as writing.
CREATE TABLE rejections (
  tenant_id         text COLLATE "C" NOT NULL,
  rejected_at       timestamptz(3) NOT NULL,
  kafka_partition   integer NOT NULL,
  kafka_offset      bigint NOT NULL,       -- in telemetry.rejected
  device_id         text COLLATE "C" NOT NULL,
  message_id        uuid,                  -- null where the envelope could not be read
  received_at       timestamptz(3),
  reason            text COLLATE "C" NOT NULL,
  detail            text NOT NULL,
  pointer           text COLLATE "C" NOT NULL,
  schema_id         text COLLATE "C" NOT NULL,
  schema_version    text COLLATE "C" NOT NULL,
  PRIMARY KEY (rejected_at, kafka_partition, kafka_offset)
) PARTITION BY RANGE (rejected_at);
CREATE INDEX rejections_by_tenant ON rejections (tenant_id, rejected_at, kafka_partition, kafka_offset);
CREATE INDEX rejections_by_cause ON rejections (tenant_id, reason, schema_id, pointer);

CREATE FUNCTION make_rejections_day(day date) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF rejections FOR VALUES FROM (%L) TO (%L)',
                 'rejections_' || to_char(day, 'YYYYMMDD'), day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
END $$;

CREATE FUNCTION drop_rejections_before(day date) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  old record;
  dropped integer := 0;
BEGIN
  FOR old IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'rejections'::regclass
               AND c.relname ~ '^rejections_[0-9]{8}$' AND c.relname < 'rejections_' || to_char(day, 'YYYYMMDD') LOOP
    EXECUTE format('DROP TABLE %I', old.relname);
    dropped := dropped + 1;
  END LOOP;
  RETURN dropped;
END $$;

-- Selections of rejected messages that are sent to telemetry.raw once more.
CREATE TABLE redrives (
  tenant_id     text COLLATE "C" NOT NULL,
  redrive_id    text COLLATE "C" NOT NULL,
  selection     jsonb NOT NULL,
  state         text NOT NULL DEFAULT 'running'
    CONSTRAINT redrives_state CHECK (state IN ('running', 'succeeded', 'failed')),
  reason        text,
  selected      bigint NOT NULL DEFAULT 0,
  sent          bigint NOT NULL DEFAULT 0,
  missing       bigint NOT NULL DEFAULT 0,   -- gone from telemetry.rejected
  cursor_at     timestamptz(3),              -- the last that was sent: where a new owner goes on
  cursor_part   integer,
  cursor_offset bigint,
  requested_by  text NOT NULL,
  created_at    timestamptz(3) NOT NULL DEFAULT now(),
  updated_at    timestamptz(3) NOT NULL DEFAULT now(),
  finished_at   timestamptz(3),
  PRIMARY KEY (tenant_id, redrive_id)
);
CREATE INDEX redrives_running ON redrives (updated_at) WHERE state = 'running';

-- Answers to be given again. begun and not completed: in progress, or its process died (see begun_at).
CREATE TABLE answers (
  tenant_id     text COLLATE "C" NOT NULL,
  subject       text NOT NULL,
  key           text NOT NULL,
  request_hash  text NOT NULL,
  answer        text,
  begun_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, subject, key)
);
CREATE INDEX answers_by_age ON answers (begun_at);

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
  FOREACH t IN ARRAY ARRAY['schemas', 'schema_versions', 'units', 'outlier_policies', 'rejections', 'redrives', 'answers',
                           'outbox'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY own_tenant ON %I USING (may_see(tenant_id)) WITH CHECK (may_see(tenant_id))', t);
  END LOOP;
END $$;
