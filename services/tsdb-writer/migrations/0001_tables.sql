-- The time series. What is stored, and why like this: README.md, "Storage". Times are event times in UTC but for `arrival`,
-- which is the database's own clock when a row was written.

CREATE FUNCTION may_see(tenant text) RETURNS boolean
  LANGUAGE sql STABLE PARALLEL SAFE
  RETURN tenant = current_setting('sluice.tenant', true) OR current_setting('sluice.tenant', true) = '*';

-- How the big tables are cut into partitions. Decided once, when the schema is made, since no table can be turned from one
-- kind into the other: where TimescaleDB is installed in this database its hypertables, else PostgreSQL's own partitions.
CREATE TABLE layout (
  only_row           boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  partition_manager  text NOT NULL CHECK (partition_manager IN ('plain', 'hypertable'))
);
INSERT INTO layout (partition_manager)
  SELECT CASE WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN 'hypertable' ELSE 'plain' END;

-- How long each tier is kept; NULL is for ever. Numbers are part of table names and never used again for another policy.
CREATE TABLE policies (
  policy          smallint PRIMARY KEY CHECK (policy BETWEEN 1 AND 999),
  name            text COLLATE "C" NOT NULL UNIQUE,
  keep_raw        interval,
  keep_rollup_1m  interval,
  keep_rollup_1h  interval,
  keep_rollup_1d  interval
);
INSERT INTO policies VALUES
  (1, 'standard', '48 hours', '30 days', '365 days', NULL),  -- dashboards of days, trends of a year; the default
  (2, 'short',    '24 hours', '30 days', NULL,       NULL),  -- many devices on little disk
  (3, 'long',     '7 days',   '90 days', NULL,       NULL),  -- raw values for a week; older raw is the archive's
  (4, 'month',    '30 days',  '90 days', '365 days', NULL);  -- raw values for a month, as stores with a TTL keep them

-- Which policy devices of a class get; a class that is not here gets 'standard'.
CREATE TABLE class_policies (
  tenant       text COLLATE "C" NOT NULL,
  device_type  text COLLATE "C" NOT NULL,
  policy       smallint NOT NULL REFERENCES policies,
  PRIMARY KEY (tenant, device_type)
);

-- 8 bytes instead of two texts in every row of the big tables. A key is never used again.
CREATE TABLE devices (
  device_key   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant       text COLLATE "C" NOT NULL,
  device       text COLLATE "C" NOT NULL,
  fleet        text COLLATE "C" NOT NULL DEFAULT '',
  device_type  text COLLATE "C" NOT NULL DEFAULT '',
  policy       smallint NOT NULL DEFAULT 1 REFERENCES policies,
  first_seen   timestamptz(3) NOT NULL DEFAULT now(),
  UNIQUE (tenant, device)
);
CREATE INDEX devices_by_fleet ON devices (tenant, fleet);
CREATE INDEX devices_by_class ON devices (tenant, device_type);

-- A metric of a class of devices. `type` is series::ColumnType (0 double, 1 int64, 2 bool, 3 string, 4 bytes): a metric that
-- changed its type has two keys, so that neither's values are bent to fit, and readers ask by name for all of them.
CREATE TABLE metrics (
  metric_key   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant       text COLLATE "C" NOT NULL,
  device_type  text COLLATE "C" NOT NULL,
  name         text COLLATE "C" NOT NULL,
  type         smallint NOT NULL CHECK (type BETWEEN 0 AND 4),
  unit         text COLLATE "C" NOT NULL DEFAULT '',
  UNIQUE (tenant, device_type, name, type)
);
CREATE INDEX metrics_by_name ON metrics (tenant, name);

-- Rows of the big tables have no tenant: whoever may not see a device never learns its key.
ALTER TABLE class_policies ENABLE ROW LEVEL SECURITY;
ALTER TABLE class_policies FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON class_policies USING (may_see(tenant));
ALTER TABLE devices ENABLE ROW LEVEL SECURITY;
ALTER TABLE devices FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON devices USING (may_see(tenant));
ALTER TABLE metrics ENABLE ROW LEVEL SECURITY;
ALTER TABLE metrics FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON metrics USING (may_see(tenant));

-- Everything below next_offset of a partition is in the tables; written in the transaction that put it there. -1: nothing yet.
CREATE TABLE offsets (
  topic        text COLLATE "C" NOT NULL,
  partition    integer NOT NULL,
  next_offset  bigint NOT NULL,
  updated_at   timestamptz(3) NOT NULL DEFAULT now(),
  PRIMARY KEY (topic, partition)
);

-- Orders what was written: of two values of one device, metric and time, that of the higher flush stays. No cache, lest a
-- later flush draw a lower number.
CREATE SEQUENCE flush AS bigint;

-- An arrival hour of `hot`. Writers hold FOR SHARE on its row while they write into it; compaction sets is_sealed (and so
-- waits for them) before it reads, and a writer that finds its hour sealed writes into the next. next_device_key:
-- compaction has dealt with every device below it.
CREATE TABLE hot_hours (
  arrival_hour     timestamptz PRIMARY KEY,
  is_sealed        boolean NOT NULL DEFAULT false,
  next_device_key  bigint NOT NULL DEFAULT 0
);

-- The big tables and how they are cut: by `time_column`, a partition per `width` counted from the epoch.
CREATE TABLE tier_tables (
  table_name   text COLLATE "C" PRIMARY KEY,
  tier         text COLLATE "C" NOT NULL CHECK (tier IN ('hot', 'warm', 'rollup_1m', 'rollup_1h', 'rollup_1d')),
  policy       smallint REFERENCES policies,  -- NULL for hot, which all policies share
  time_column  text COLLATE "C" NOT NULL,
  width        interval NOT NULL
);

CREATE FUNCTION make_tier_table(new_table text, tier text, policy smallint, columns text, time_column text, width interval)
  RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  extension_schema text;
BEGIN
  IF (SELECT partition_manager FROM layout) = 'plain' THEN
    EXECUTE format('CREATE TABLE %I (%s) PARTITION BY RANGE (%I)', new_table, columns, time_column);
  ELSE
    EXECUTE format('CREATE TABLE %I (%s)', new_table, columns);
    SELECT nspname INTO extension_schema FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'timescaledb';
    EXECUTE format('SELECT %I.create_hypertable($1, $2, chunk_time_interval => $3, create_default_indexes => false)', extension_schema)
      USING format('%I.%I', current_schema(), new_table)::regclass, time_column::name, width;
  END IF;
  INSERT INTO tier_tables VALUES (new_table, tier, policy, time_column, width);
END $$;

-- Chunks are compressed already: EXTERNAL spares PostgreSQL the attempt.
SELECT make_tier_table('hot', 'hot', NULL, $$
  flush_id    bigint NOT NULL,
  device_key  bigint NOT NULL,
  event_hour  timestamptz NOT NULL,
  ts_min      timestamptz NOT NULL,
  ts_max      timestamptz NOT NULL,
  arrival     timestamptz NOT NULL,
  n           integer NOT NULL,
  chunk       bytea STORAGE EXTERNAL NOT NULL
$$, 'arrival', '1 hour');
CREATE INDEX hot_by_device ON hot (device_key, event_hour);

-- The tables of one policy, and the views over all of them.
CREATE FUNCTION make_policy_tables(new_policy smallint) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  each_tier text;
BEGIN
  PERFORM make_tier_table('warm_p' || new_policy, 'warm', new_policy, $c$
    device_key  bigint NOT NULL,
    event_hour  timestamptz NOT NULL,
    ts_min      timestamptz NOT NULL,
    ts_max      timestamptz NOT NULL,
    n           integer NOT NULL,
    chunk       bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (device_key, event_hour) $c$, 'event_hour', '1 day');
  PERFORM make_tier_table('rollup_1m_p' || new_policy, 'rollup_1m', new_policy, $c$
    device_key  bigint NOT NULL,
    event_hour  timestamptz NOT NULL,
    data        bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (device_key, event_hour) $c$, 'event_hour', '1 day');
  PERFORM make_tier_table('rollup_1h_p' || new_policy, 'rollup_1h', new_policy, $c$
    device_key  bigint NOT NULL,
    event_day   timestamptz NOT NULL,
    data        bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (device_key, event_day) $c$, 'event_day', '30 days');
  PERFORM make_tier_table('rollup_1d_p' || new_policy, 'rollup_1d', new_policy, $c$
    device_key   bigint NOT NULL,
    event_month  timestamptz NOT NULL,
    data         bytea STORAGE EXTERNAL NOT NULL,
    PRIMARY KEY (device_key, event_month) $c$, 'event_month', '360 days');
  FOREACH each_tier IN ARRAY ARRAY['warm', 'rollup_1m', 'rollup_1h', 'rollup_1d'] LOOP
    EXECUTE format('CREATE OR REPLACE VIEW %I AS ', each_tier)
      || (SELECT string_agg(format('SELECT %s::smallint AS policy, * FROM %I', policy, table_name), ' UNION ALL ' ORDER BY policy)
          FROM tier_tables WHERE tier = each_tier);
  END LOOP;
END $$;

SELECT make_policy_tables(policy) FROM policies ORDER BY policy;

-- For layout 'plain': one partition, made beside the table and then attached, because CREATE … PARTITION OF would lock out
-- every reader and writer of the table. Nothing happens where it exists.
CREATE FUNCTION make_partition(of_table text, starts timestamptz, ends timestamptz)
  RETURNS boolean LANGUAGE plpgsql SET search_path FROM CURRENT SET timezone = 'UTC' AS $$
DECLARE
  new_table text := of_table || to_char(starts, '_YYYYMMDD"t"HH24');
BEGIN
  IF to_regclass(format('%I.%I', current_schema(), new_table)) IS NOT NULL THEN
    RETURN false;
  END IF;
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', new_table, of_table);
  EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', of_table, new_table, starts, ends);
  RETURN true;
END $$;

-- For layout 'plain': the partitions of a table, oldest first.
CREATE FUNCTION partitions_of(of_table text)
  RETURNS TABLE (name text, starts timestamptz, ends timestamptz, bytes bigint)
  LANGUAGE sql STABLE SET search_path FROM CURRENT
BEGIN ATOMIC
  SELECT c.relname::text, (bounds.of_it[1])::timestamptz, (bounds.of_it[2])::timestamptz, pg_total_relation_size(c.oid)
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid,
  LATERAL (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \(''([^'']+)''\) TO \(''([^'']+)''\)$') AS of_it) bounds
  WHERE i.inhparent = to_regclass(quote_ident(of_table))
  ORDER BY 2;
END;
