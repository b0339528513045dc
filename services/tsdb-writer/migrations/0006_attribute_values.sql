-- Which values the attributes of a tenant's devices have, or had: the labels that PromQL offers, and what the limits of names
-- and values are counted by. Filled by reading control.devices from its beginning, which a position in `offsets` is missing for.
CREATE TABLE attribute_values (
  tenant  text COLLATE "C" NOT NULL,
  name    text COLLATE "C" NOT NULL,
  value   text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant, name, value)
);
ALTER TABLE attribute_values ENABLE ROW LEVEL SECURITY;
ALTER TABLE attribute_values FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON attribute_values USING (may_see(tenant));
