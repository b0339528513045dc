"""What the processes of a run are told, and who is registered before its first message."""

import feed
from parts.postgres import snake
from parts.process import secret
from run import new_api_key, new_key_ring

TENANT, OTHER_TENANT = feed.TENANT, "bystander"
# Who comes to Kafka through a proxy: devices' side and stream processors apart, so that one can be cut off alone.
DOORS = {"FRONTS": ("mqtt-front",), "WORKERS": ("schema-validator", "tsdb-writer")}
# Settings that a run of minutes needs: refusals, rebalances and figures within seconds.
TUNING = {
    "connects_per_client": "0", "flapping_disconnects": "0", "loops": "2", "session_store": "redis",
    "kafka_producer_delivery_timeout": "10s", "kafka_consumer_session_timeout": "6s", "kafka_consumer_commit_interval": "200ms",
    "kafka_consumer_lag_interval": "500ms", "mqtt_client_certificates": "optional", "http_rate_per_second": "0", "readiness_period": "500ms",
    "query_max_devices": "2000",
}


async def settings_for(world, member) -> dict[str, str]:
    """Values of settings; a service that lacks one is not given it."""
    certificate, key = await world.authority.identity(member.service)
    web_certificate, web_key = await world.authority.web()
    secrets = world.data / "secrets"
    door = next((door for door, members in DOORS.items() if member.service in members), None)
    brokers = ",".join(proxy.address for proxy in world.proxies(door)) if door else world.kafka.address
    return TUNING | {
        "kafka_brokers": brokers,
        "postgres_url": f"postgresql://sluice_{snake(member.service)}@{world.proxies('postgres')[0].address}/sluice",
        "postgres_password_file": str(world.postgres.password_file(member.service)),
        "redis_url": f"redis://{world.proxies('redis')[0].address}",
        "redis_password_file": str(world.redis.password_file),
        "tls_ca_file": str(world.ca), "tls_cert_file": str(certificate), "tls_key_file": str(key),
        "http_tls_cert_file": str(web_certificate), "http_tls_key_file": str(web_key),
        "mqtt_tls_cert_file": str(web_certificate), "mqtt_tls_key_file": str(web_key), "mqtt_client_ca_file": str(world.ca),
        "device_registry_address": world.registry.address("grpc"),
        "bootstrap_admin_key_file": str(secret(secrets / "operator-key", new_api_key)),
        "vault_key_ring_file": str(secret(secrets / "vault-ring", new_key_ring)),
        "mqtt_ticket_key_file": str(secret(secrets / "tickets", new_key_ring)),
    }


def register(world) -> None:
    """The fleet's tenant and devices, a device of our own in it, and a tenant that must see nothing of either."""
    secrets = world.data / "secrets"
    registry = world.api(world.registry)
    admin = (secrets / "operator-key").read_text().strip()
    for tenant in (TENANT, OTHER_TENANT):
        registry.make(admin, "/v1/tenants", {"tenant_id": tenant, "name": tenant})
        made = registry.call(admin, "POST", f"/v1/tenants/{tenant}/api-keys", {"name": "chaos", "role": "admin"})
        feed.write_secret(secrets / f"{tenant}-key", made["key"] + "\n")
    world.devices_file = feed.devices_file(registry, world.key(TENANT), world.devices, world.ca, secrets)
    prober = registry.call(world.key(TENANT), "POST", "/v1/devices", {"external_id": "prober", "device_class": "prober"})
    world.prober = prober["device_id"], prober["auth_token"]
