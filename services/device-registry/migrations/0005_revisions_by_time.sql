-- Revisions from the clock instead of a sequence. A database restored from a backup, or a standby that took over without the
-- last transactions, had its sequence set back and gave revisions out again, and whoever follows control.devices ignored what
-- came under one it had seen: a revocation among it. The time goes on across a restore, and needs neither a leader nor Kafka
-- to be asked before a revision is drawn.

-- Microseconds since the epoch. An update takes at least one more than the row has, so that a clock that is set back reorders
-- nothing.
CREATE FUNCTION next_revision() RETURNS bigint LANGUAGE sql VOLATILE
  RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['tenants', 'topic_policies', 'device_classes', 'fleets', 'devices', 'credentials', 'api_keys'] LOOP
    EXECUTE format('ALTER TABLE %I ALTER COLUMN revision SET DEFAULT next_revision()', t);
  END LOOP;
END $$;

-- An instance of before that still runs answers updates (":revoke" among them) and imports with an error, having done nothing,
-- until it is replaced: its revisions would be lower than those of its successors, and what it changed would be ignored.
DROP SEQUENCE revision;

-- Nothing has ever written or read it: how long data is kept is tsdb-writer's own to say.
ALTER TABLE device_classes DROP COLUMN retention;
