-- What compaction and retention keep in mind between their steps.

-- Everything of a table before this is gone, or will be in a moment: it is moved on before partitions are dropped and never
-- goes back, not even when a policy is made to keep more. Nothing is written below it, and no roll-up is made anew from
-- raw values that are below theirs.
ALTER TABLE tier_tables ADD COLUMN dropped_before timestamptz NOT NULL DEFAULT 'epoch';

-- A coarser tier is kept at least as long as a finer one: a roll-up whose source outlived it could not be brought up to date.
ALTER TABLE policies ADD CONSTRAINT policies_coarser_is_kept_longer CHECK (
  keep_raw >= interval '1 hour'
  AND coalesce(keep_raw, interval '9999 years') <= coalesce(keep_rollup_1m, interval '9999 years')
  AND coalesce(keep_rollup_1m, interval '9999 years') <= coalesce(keep_rollup_1h, interval '9999 years')
  AND coalesce(keep_rollup_1h, interval '9999 years') <= coalesce(keep_rollup_1d, interval '9999 years'));

-- Policies that a device had before its class got another: rows that were written then are still in their tables.
ALTER TABLE devices ADD COLUMN earlier_policies smallint[] NOT NULL DEFAULT '{}';

-- Rows of `hot` that no chunk could be made of (more event times in an hour than a chunk takes, or bytes that are no chunk),
-- kept out of the way of all others and never looked at again by the program.
CREATE TABLE set_aside (
  flush_id    bigint NOT NULL,
  device_key  bigint NOT NULL,
  event_hour  timestamptz NOT NULL,
  arrival     timestamptz NOT NULL,
  chunk       bytea STORAGE EXTERNAL NOT NULL,
  reason      text NOT NULL,
  set_aside_at timestamptz(3) NOT NULL DEFAULT now()
);

-- Who gave which policy to a class, and when.
CREATE TABLE class_policy_changes (
  change       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant       text COLLATE "C" NOT NULL,
  device_type  text COLLATE "C" NOT NULL,
  policy       smallint NOT NULL REFERENCES policies,
  actor        text NOT NULL,
  changed_at   timestamptz(3) NOT NULL DEFAULT now()
);
CREATE INDEX class_policy_changes_by_class ON class_policy_changes (tenant, device_type);
ALTER TABLE class_policy_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE class_policy_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON class_policy_changes USING (may_see(tenant));
