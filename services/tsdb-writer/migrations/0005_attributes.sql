-- What fleets can be grouped by: a device's attributes, as the device registry tells them on control.devices. A table of its own,
-- since they are known before the device sends anything, and most devices have none.
CREATE TABLE device_attributes (
  tenant      text COLLATE "C" NOT NULL,
  device      text COLLATE "C" NOT NULL,
  revision    bigint NOT NULL,
  attributes  jsonb NOT NULL,  -- texts by name
  PRIMARY KEY (tenant, device)
);
ALTER TABLE device_attributes ENABLE ROW LEVEL SECURITY;
ALTER TABLE device_attributes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON device_attributes USING (may_see(tenant));
