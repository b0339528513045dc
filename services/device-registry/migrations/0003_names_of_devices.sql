-- The check that one device's external id is not another's id looked every new id up among all external ids: in a
-- tenant of a million devices that was half the cost of an import. Only an external id of an id's length can be one,
-- and few are, so those alone are looked at, in an index that is mostly empty.
CREATE INDEX devices_external_ids_like_ids ON devices (tenant_id, external_id) WHERE length(external_id) = 36;

-- Row by row through the indexes, whatever the statistics believe: a plan that reads all of such an index is right
-- while it is empty and ruinous once every external id is a UUID.
CREATE OR REPLACE FUNCTION refuse_shared_names() RETURNS trigger LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
  is_shared boolean;
BEGIN
  EXECUTE $sql$
    SELECT EXISTS (
      SELECT FROM (SELECT tenant_id, device_id, external_id::uuid AS named FROM fresh
                   WHERE length(external_id) = 36
                     AND external_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$') AS f
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
        WHERE length(d.external_id) = 36 AND d.device_id <> f.device_id)
    $sql$ INTO is_shared;
    IF is_shared THEN
      RAISE unique_violation USING
        CONSTRAINT = 'devices_device_id_is_external_id', MESSAGE = 'an id is the external id of another device';
    END IF;
  END IF;
  RETURN NULL;
END $$;
