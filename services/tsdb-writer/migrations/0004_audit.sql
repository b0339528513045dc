-- What operators changed, until Kafka's topic `audit` has it: written in the transaction that changed it.
CREATE TABLE outbox (
  outbox_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id    text COLLATE "C" NOT NULL DEFAULT current_setting('sluice.tenant', true),
  topic        text NOT NULL,  -- without the namespace
  key          text NOT NULL,
  value        bytea,          -- NULL: a tombstone
  traceparent  text NOT NULL   -- of the request that caused it; may be empty
);
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON outbox USING (may_see(tenant_id)) WITH CHECK (may_see(tenant_id));
