-- Revisions from the clock instead of a sequence. A database restored from a backup, or a standby that took over without the
-- last transactions, had its sequence set back and gave revisions out again, and workers ignored what came under one they had
-- seen. The time goes on across a restore.

-- Microseconds since the epoch. An update takes at least one more than the row has, so that a clock that is set back reorders
-- nothing.
CREATE FUNCTION next_revision() RETURNS bigint LANGUAGE sql VOLATILE
  RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

ALTER TABLE schemas ALTER COLUMN revision SET DEFAULT next_revision();
ALTER TABLE schema_versions ALTER COLUMN revision SET DEFAULT next_revision();
ALTER TABLE units ALTER COLUMN revision SET DEFAULT next_revision();
ALTER TABLE outlier_policies ALTER COLUMN revision SET DEFAULT next_revision();

-- An instance of before that still runs answers writes with an error, having done nothing, until it is replaced: its revisions
-- would be lower than those of its successors, and workers would ignore what it changed.
DROP SEQUENCE revision;
