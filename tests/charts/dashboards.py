"""Grafana dashboards from short tables of panels. `tests/charts/run --update` writes the JSON that the chart installs.

A row is (title, unit, what to look for, {legend: PromQL}); `$service` and `$__rate_interval` are Grafana's to fill in.
"""

S = 'service=~"$service"'
RATE = "[$__rate_interval]"


def _p(quantile: str, histogram: str, by: str) -> str:
    return f"histogram_quantile({quantile}, sum by (le, {by}) (rate({histogram}_bucket{{{S}}}{RATE})))"


def _rate(counter: str, by: str, extra: str = "") -> str:
    return f"sum by ({by}) (rate({counter}{{{S}{extra}}}{RATE}))"


SERVICES = {  # of every service: rate, errors, duration, saturation, then its stores
    "Health": [
        ("Ready", "short", "Pods that say ready.", {"{{service}}": f"sum by (service) (sluice_service_ready{{{S}}})"}),
        ("Checks that fail", "short", "Why a pod is not ready, by check.",
         {"{{service}} {{check}}": f"sum by (service, check) (1 - sluice_readiness_check_ready{{{S}}})"}),
    ],
    "Operators' REST": [
        ("Requests", "reqps", "", {"{{method}} {{route}}": _rate("sluice_http_requests_total", "method, route")}),
        ("Errors", "reqps", "5xx is ours; 4xx is the callers'.",
         {"{{status}} {{route}}": _rate("sluice_http_requests_total", "status, route", ', status=~"4xx|5xx"')}),
        ("Duration, p99", "s", "", {"{{route}}": _p("0.99", "sluice_http_request_duration_seconds", "route")}),
        ("Refused before the handler", "reqps", "By reason: limits, sign-in, ill-formed requests.",
         {"{{reason}}": _rate("sluice_http_refused_total", "reason")}),
        ("Waiting for a thread", "short", "Above zero for long: too few threads or a slow store.",
         {"{{service}}": f"sum by (service) (sluice_http_requests_waiting{{{S}}})"}),
    ],
    "gRPC": [
        ("Calls", "reqps", "", {"{{method}} {{code}}": _rate("sluice_grpc_server_calls_total", "method, code")}),
        ("Duration, p99", "s", "", {"{{method}}": _p("0.99", "sluice_grpc_server_call_seconds", "method")}),
        ("Refused before the handler", "reqps", "Callers that may not, overload, drain.",
         {"{{cause}}": _rate("sluice_grpc_server_refused_total", "cause")}),
    ],
    "Stores": [
        ("PostgreSQL transactions", "ops", "unknown: the connection broke during COMMIT.",
         {"{{outcome}}": _rate("sluice_postgres_transactions_total", "outcome")}),
        ("PostgreSQL transaction, p99", "s", "", {"{{service}}": _p("0.99", "sluice_postgres_transaction_seconds", "service")}),
        ("Connections in use", "short", "At the pool's size callers wait.",
         {"{{service}}": f"sum by (service) (sluice_postgres_connections_in_use{{{S}}})"}),
        ("Kafka acknowledgement, p99", "s", "From the record handed over to all replicas holding it.",
         {"{{service}}": _p("0.99", "sluice_kafka_producer_ack_latency_seconds", "service")}),
        ("Kafka records", "ops", "", {"{{service}} acked": _rate("sluice_kafka_producer_acked_total", "service"),
                                      "{{service}} failed {{reason}}": _rate("sluice_kafka_producer_failed_total", "service, reason")}),
        ("Consumer lag", "short", "Records between what is durable and the end of the topic.",
         {"{{service}} {{topic}}": f"sum by (service, topic) (sluice_kafka_consumer_lag_records{{{S}}})"}),
    ],
    "Process": [
        ("CPU", "percentunit", "Of one core.", {"{{service}} {{instance}}": f"rate(process_cpu_seconds_total{{{S}}}{RATE})"}),
        ("Memory", "bytes", "", {"{{service}} {{instance}}": f"process_resident_memory_bytes{{{S}}}"}),
    ],
}

REGISTRY = {
    "Devices at the door": [
        ("Questions of the fronts", "reqps", "By what was answered; refusals rise when someone guesses.",
         {"{{method}} {{outcome}}": "sum by (method, outcome) (rate(sluice_registry_verdicts_total[$__rate_interval]))"}),
        ("Operators' sign-ins", "reqps", "",
         {"{{method}} {{outcome}}": 'sum by (method, outcome) (rate(sluice_auth_attempts_total{service="device-registry"}[$__rate_interval]))'}),
    ],
    "Changes": [
        ("Published changes", "ops", "Records of the outbox that Kafka has.",
         {"published": "sum(rate(sluice_registry_outbox_published_total[$__rate_interval]))"}),
        ("Publishing instances", "short", "One; none for more than a moment means that fronts learn of no change.",
         {"leaders": "sum(sluice_registry_outbox_leader)"}),
        ("Imports", "short", "", {"pending": "sum(sluice_registry_imports_pending)",
                                  "{{outcome}}": "sum by (outcome) (increase(sluice_registry_imports_total[$__rate_interval]))"}),
    ],
}

WIDTH, HEIGHT = 8, 8  # three panels a row of Grafana's 24 columns


def all_dashboards() -> dict[str, dict]:
    return {"services": _dashboard("Sluice services", SERVICES, with_service=True),
            "device-registry": _dashboard("Sluice device-registry", REGISTRY, with_service=False)}


def _dashboard(title: str, rows: dict, with_service: bool) -> dict:
    panels, top = [], 0
    for row, entries in rows.items():
        panels.append({"type": "row", "title": row, "gridPos": {"h": 1, "w": 24, "x": 0, "y": top}, "panels": []})
        for index, (name, unit, description, queries) in enumerate(entries):
            position = {"h": HEIGHT, "w": WIDTH, "x": index % 3 * WIDTH, "y": top + 1 + index // 3 * HEIGHT}
            panels.append(_panel(name, unit, description, queries, position))
        top += 1 + -(-len(entries) // 3) * HEIGHT
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    variables = [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}]
    if with_service:
        variables.append({"name": "service", "type": "query", "label": "Service", "includeAll": True, "multi": True,
                          "datasource": {"type": "prometheus", "uid": "$datasource"},
                          "query": "label_values(sluice_service_ready, service)", "refresh": 2,
                          "current": {"text": "All", "value": "$__all"}})
    return {"title": title, "uid": title.lower().replace(" ", "-"), "tags": ["sluice"], "timezone": "browser",
            "schemaVersion": 39, "refresh": "30s", "time": {"from": "now-1h", "to": "now"},
            "templating": {"list": variables}, "panels": panels}


def _panel(title: str, unit: str, description: str, queries: dict[str, str], position: dict) -> dict:
    return {"type": "timeseries", "title": title, "description": description, "gridPos": position,
            "datasource": {"type": "prometheus", "uid": "$datasource"},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
            "targets": [{"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend}
                        for index, (legend, query) in enumerate(queries.items())]}
