-- What events tell of devices: who is connected, who was seen when. A table of its own, because it changes
-- with every connect: a device's row, its revision and what is published of it stay as they are, and so do
-- the indexes of devices.

CREATE TABLE device_presence (
  tenant_id          text COLLATE "C" NOT NULL,
  device_id          uuid NOT NULL,
  -- Of the latest session told of; 0 where none was. A lower one never takes the place of a higher one.
  session_epoch      bigint NOT NULL DEFAULT 0,
  connected_at       timestamptz(3),             -- null: its beginning was not told
  front              text COLLATE "C" NOT NULL DEFAULT '',
  protocol           text COLLATE "C" NOT NULL DEFAULT '',
  credential_id      text COLLATE "C" NOT NULL DEFAULT '',
  address            text COLLATE "C" NOT NULL DEFAULT '',
  disconnected_at    timestamptz(3),             -- null: its end was not told
  disconnect_reason  text COLLATE "C" NOT NULL DEFAULT '',
  last_seen_at       timestamptz(3),
  provisioned_at     timestamptz(3),             -- when the device's first certificate was handed out
  connected          boolean NOT NULL GENERATED ALWAYS AS (connected_at IS NOT NULL AND disconnected_at IS NULL) STORED,
  PRIMARY KEY (tenant_id, device_id),
  CONSTRAINT device_presence_device FOREIGN KEY (tenant_id, device_id)
    REFERENCES devices (tenant_id, device_id) ON DELETE CASCADE
);
-- Who is connected, in the order of pages.
CREATE INDEX device_presence_connected ON device_presence (tenant_id, device_id) WHERE connected;

ALTER TABLE device_presence ENABLE ROW LEVEL SECURITY;
ALTER TABLE device_presence FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON device_presence USING (may_see(tenant_id)) WITH CHECK (may_see(tenant_id));

-- Nothing has ever written them.
ALTER TABLE devices DROP COLUMN provisioned_at, DROP COLUMN last_seen_at;

-- A device is found by its id and by its external id, so one device's external id must not be another's id.
-- That needs no lock: an id of ours is random, and told to nobody before its device is committed, so who
-- writes it as an external id writes later and sees the device. (What is asked of devices is asked as text
-- made at run time, so that it is planned for the table as it is: a kept plan of an import's first batch would
-- read the whole table for each later one.)
CREATE FUNCTION refuse_shared_names() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  is_shared boolean;
BEGIN
  EXECUTE $sql$
    SELECT EXISTS (
      SELECT FROM (SELECT tenant_id, device_id, external_id::uuid AS named FROM fresh
                   WHERE external_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$') AS f
      JOIN devices AS d ON d.tenant_id = f.tenant_id AND d.device_id = f.named
      WHERE d.device_id <> f.device_id)
  $sql$ INTO is_shared;
  IF is_shared THEN
    RAISE unique_violation USING
      CONSTRAINT = 'devices_external_id_is_device_id', MESSAGE = 'an external id is the id of another device';
  END IF;
  IF TG_OP = 'INSERT' THEN
    EXECUTE $sql$
      SELECT EXISTS (
        SELECT FROM fresh AS f
        JOIN devices AS d ON d.tenant_id = f.tenant_id AND d.external_id = f.device_id::text
        WHERE d.device_id <> f.device_id)
    $sql$ INTO is_shared;
    IF is_shared THEN
      RAISE unique_violation USING
        CONSTRAINT = 'devices_device_id_is_external_id', MESSAGE = 'an id is the external id of another device';
    END IF;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER devices_names_inserted AFTER INSERT ON devices
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION refuse_shared_names();
CREATE TRIGGER devices_names_updated AFTER UPDATE ON devices
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION refuse_shared_names();
