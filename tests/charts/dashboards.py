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
         {"published": 'sum(rate(sluice_outbox_published_total{service="device-registry"}[$__rate_interval]))'}),
        ("Publishing instances", "short", "One; none for more than a moment means that fronts learn of no change.",
         {"leaders": 'sum(sluice_outbox_leader{service="device-registry"})'}),
        ("Imports", "short", "", {"pending": "sum(sluice_registry_imports_pending)",
                                  "{{outcome}}": "sum by (outcome) (increase(sluice_registry_imports_total[$__rate_interval]))"}),
    ],
}

F = '{service="mqtt-front"}'


def _front(counter: str, by: str = "") -> str:
    """Of all fronts together, or `by` a label; the names of these metrics are theirs alone."""
    return f"sum{f' by ({by}) ' if by else ''}(rate({counter}{RATE}))"


FRONT = {
    "Devices at the door": [
        ("Connections", "short", "Devices that are connected, by pod.", {"{{instance}}": "sum by (instance) (sluice_mqtt_connections)"}),
        ("Accepted", "cps", "Connections answered with success, and those that ended an older one of the same device.",
         {"accepted": _front("sluice_mqtt_accepted_total"), "taken over": _front("sluice_mqtt_takeovers_total")}),
        ("Refused", "cps", "By the reason that the device was told.", {"{{reason}}": _front("sluice_mqtt_refused_total", "reason")}),
        ("Ended", "cps", "Accepted connections that ended, by reason.", {"{{reason}}": _front("sluice_mqtt_ended_total", "reason")}),
        ("Sockets", "cps", "refused: over connections_per_second or handshakes_at_once, before TLS.",
         {"{{listener}} {{outcome}}": _front("sluice_net_accepts_total", "listener, outcome")}),
        ("Handshakes", "cps", "Full ones cost most: after an outage they should mostly be resumed.",
         {"{{listener}} {{kind}}": _front("sluice_net_handshakes_total", "listener, kind")}),
        ("Handshakes that failed", "cps", "", {"{{listener}} {{reason}}": _front("sluice_net_handshake_failures_total", "listener, reason")}),
        ("Questions to the registry", "cps", "About who connects; what is remembered asks nothing.",
         {"asked": _front("sluice_mqtt_registry_questions_total"), "unanswered": _front("sluice_mqtt_registry_failures_total")}),
        ("Certificate chains", "cps", "cached: verified before, so that only the proof of the key was to be checked.",
         {"{{outcome}}": _front("sluice_net_chain_verifications_total", "outcome")}),
    ],
    "Messages": [
        ("In", "mps", "PUBLISH packets from devices.", {"QoS {{qos}}": _front("sluice_mqtt_received_total", "qos")}),
        ("In, payload", "Bps", "", {"payload": _front("sluice_mqtt_received_bytes_total")}),
        ("Out", "mps", "PUBLISH packets to devices.", {"sent": _front("sluice_mqtt_sent_total")}),
        ("Dropped", "mps", "Not passed on: rights, limits, receivers that are full or too slow.",
         {"{{reason}}": _front("sluice_mqtt_dropped_total", "reason")}),
        ("Slowed", "mps", "Messages after which the device was not read for a while, by limit.",
         {"{{limit}}": _front("sluice_mqtt_slowed_total", "limit")}),
    ],
    "Acknowledgements": [
        ("Kafka's acknowledgement", "s", "A PUBACK waits for this and little else.",
         {f"p{quantile}": f"histogram_quantile(0.{quantile}, sum by (le) (rate(sluice_kafka_producer_ack_latency_seconds_bucket{F}{RATE})))"
          for quantile in (50, 99)}),
        ("Stored", "mps", "not stored: the device was told so and sends again.",
         {"stored": _front("sluice_mqtt_ingested_total"), "not stored": _front("sluice_mqtt_not_stored_total")}),
        ("In flight", "short", "Records that Kafka has not acknowledged.",
         {"{{instance}}": f"sum by (instance) (sluice_kafka_producer_in_flight_records{F})"}),
        ("Waiting for room", "short", "Above zero: the producer is full and sockets are not read.",
         {"{{instance}}": "sum by (instance) (sluice_mqtt_waiting_records)"}),
    ],
    "Sessions": [
        ("Sessions", "short", "With Redis those that a pod owns.", {"{{instance}}": "sum by (instance) (sluice_mqtt_session_store_sessions)"}),
        ("Overdue", "short", "Past their expiry and not ended yet; of the store in memory.",
         {"{{instance}}": "sum by (instance) (sluice_mqtt_session_store_overdue_sessions)"}),
        ("Claims", "ops", "taken_over, owned: devices that move between pods.",
         {"{{outcome}}": _front("sluice_mqtt_session_store_claims_total", "outcome")}),
        ("Lease", "short", "1 while a pod may act as an owner of sessions.",
         {"{{instance}}": "min by (instance) (sluice_mqtt_session_store_lease_valid)"}),
        ("Refused writes", "ops", "By the bound that was reached, and those of sessions with a later owner.",
         {"{{bound}}": _front("sluice_mqtt_session_store_refused_total", "bound"),
          "fenced": _front("sluice_mqtt_session_store_fenced_total")}),
        ("Redis", "ops", "Commands by outcome.", {"{{outcome}}": f"sum by (outcome) (rate(sluice_redis_commands_total{F}{RATE}))"}),
    ],
    "Loops": [
        ("CPU", "percentunit", "Of one core; a pod can use as many as it has loops.",
         {"{{instance}}": f"rate(process_cpu_seconds_total{F}{RATE})"}),
        ("Memory", "bytes", "", {"{{instance}}": f"process_resident_memory_bytes{F}"}),
        ("Events per turn", "short", "Rises with load: a busy loop handles more at once.",
         {"{{instance}}": f"sum by (instance) (rate(sluice_net_loop_events_total{RATE})) / sum by (instance) (rate(sluice_net_loop_turns_total{RATE}))"}),
        ("Descriptors", "percentunit", "Of those that the process may open; each connection is one.",
         {"{{instance}}": f"process_open_fds{F} / process_max_fds{F}"}),
    ],
}

WIDTH, HEIGHT = 8, 8  # three panels a row of Grafana's 24 columns


def _writer(counter: str, by: str = "") -> str:
    return f'sum by ({by}) (rate({counter}[$__rate_interval]))' if by else f'sum(rate({counter}[$__rate_interval]))'


WRITER = {
    "Written": [
        ("Samples", "cps", "Committed, a second.", {"samples": _writer("sluice_tsdb_writer_samples_total")}),
        ("Records", "cps", "Messages committed, a second.", {"records": _writer("sluice_tsdb_writer_records_total")}),
        ("Bytes per sample", "bytes", "Of the hot rows' chunks, before compaction.",
         {"chunk": f'{_writer("sluice_tsdb_writer_chunk_bytes_total")} / {_writer("sluice_tsdb_writer_samples_total")}'}),
        ("Samples per row", "short", "How many share a row's overhead.",
         {"samples": f'{_writer("sluice_tsdb_writer_samples_total")} / {_writer("sluice_tsdb_writer_rows_total")}'}),
    ],
    "Pressure": [
        ("Oldest in memory", "s", "Since ingest, by pod.", {"{{instance}}": "sluice_tsdb_writer_lag_seconds"}),
        ("In memory", "short", "Samples that are not committed, by pod.", {"{{instance}}": "sluice_tsdb_writer_held_samples"}),
        ("Behind", "short", "Records between what is stored and the end of the topic.",
         {"{{topic}}": 'sum by (topic) (sluice_kafka_consumer_lag_records{service="tsdb-writer"})'}),
        ("Flush", "s", "Encoding, COPY and commit of a batch.",
         {f"p{quantile}": f"histogram_quantile(0.{quantile}, sum by (le) (rate(sluice_tsdb_writer_flush_seconds_bucket{RATE})))" for quantile in (50, 99)}),
        ("Why batches were written", "cps", "", {"{{reason}}": _writer("sluice_tsdb_writer_flushes_total", "reason")}),
        ("Pauses and failures", "cps", "Reading stopped for want of room; attempts that failed.",
         {"pauses": _writer("sluice_tsdb_writer_pauses_total"), "failures": _writer("sluice_tsdb_writer_flush_failures_total")}),
    ],
    "Refused and left out": [
        ("Messages refused", "cps", "By reason.", {"{{reason}}": _writer("sluice_tsdb_writer_messages_refused_total", "reason")}),
        ("Readings refused", "cps", "By reason.", {"{{reason}}": _writer("sluice_tsdb_writer_readings_refused_total", "reason")}),
        ("Stored already", "cps", "Partitions left out of a flush, after rebalances and lost answers.",
         {"partitions": _writer("sluice_tsdb_writer_spans_already_stored_total")}),
        ("Attributes", "cps", "States of devices from control.devices.",
         {"stored": _writer("sluice_tsdb_writer_attribute_changes_total"), "left out": _writer("sluice_tsdb_writer_attribute_changes_left_out_total")}),
    ],
    "Compaction, roll-ups and retention": [
        ("Debt", "s", "Since the oldest arrival hour that is not compacted was over.", {"oldest": "max(sluice_tsdb_compaction_debt_seconds)"}),
        ("Debt on disk", "bytes", "Of those hours in `hot`, indexes included.", {"hot": "max(sluice_tsdb_compaction_debt_bytes)"}),
        ("Bytes per sample", "bytes", "Of the warm chunks written.",
         {"chunk": f'{_writer("sluice_tsdb_compaction_chunk_bytes_total")} / {_writer("sluice_tsdb_compaction_chunk_samples_total")}'}),
        ("Compacted", "cps", "Samples taken from `hot`, a second.", {"samples": _writer("sluice_tsdb_compaction_samples_total")}),
        ("Roll-ups", "cps", "Rows written, and hours into which late samples were merged for want of raw values.",
         {"rows": _writer("sluice_tsdb_compaction_rollup_rows_total"), "merged hours": _writer("sluice_tsdb_compaction_merged_hours_total")}),
        ("A slice", "s", "One transaction of compaction.",
         {f"p{quantile}": f"histogram_quantile(0.{quantile}, sum by (le) (rate(sluice_tsdb_compaction_slice_seconds_bucket{RATE})))" for quantile in (50, 99)}),
        ("Set aside", "short", "Rows that no chunk could be made of, an hour.", {"rows": "sum(increase(sluice_tsdb_compaction_set_aside_rows_total[1h]))"}),
        ("Partitions dropped", "short", "By retention, an hour.", {"partitions": "sum(increase(sluice_tsdb_retention_dropped_partitions_total[1h]))"}),
    ],
    "Queries": [
        ("Queries", "reqps", "By endpoint.", {"{{endpoint}}": _writer("sluice_tsdb_queries_total", "endpoint")}),
        ("Not answered", "reqps", "By what ended them.",
         {"{{endpoint}} {{outcome}}": f'sum by (endpoint, outcome) (rate(sluice_tsdb_queries_total{{outcome!="ok"}}{RATE}))'}),
        ("Duration, p99", "s", "From the request to the last byte of its answer, a slow reader's time included.",
         {"{{endpoint}}": f"histogram_quantile(0.99, sum by (le, endpoint) (rate(sluice_tsdb_query_seconds_bucket{RATE})))"}),
        ("Tiers", "reqps", "Which tiers answered: raw costs most.", {"{{tier}}": _writer("sluice_tsdb_query_tiers_total", "tier")}),
        ("Values answered", "cps", "", {"values": _writer("sluice_tsdb_query_points_total")}),
        ("Bytes", "Bps", "Read from tables, and sent.",
         {"read": _writer("sluice_tsdb_query_read_bytes_total"), "sent": _writer("sluice_tsdb_query_answer_bytes_total")}),
    ],
}


VALIDATOR = {
    "Judged": [
        ("Messages", "mps", "By what became of them.", {"{{outcome}}": _writer("sluice_validator_messages_total", "outcome")}),
        ("Behind", "short", "Records between what is judged and the end of telemetry.raw.",
         {"{{topic}}": 'sum by (topic) (sluice_kafka_consumer_lag_records{service="schema-validator"})'}),
        ("Delay", "s", "From a message's record in telemetry.raw to its judgement.",
         {f"p{quantile}": f"histogram_quantile(0.{quantile}, sum by (le) (rate(sluice_validator_delay_seconds_bucket{RATE})))" for quantile in (50, 99)}),
        ("Samples and readings", "cps", "Sent to telemetry.valid.",
         {"samples": _writer("sluice_validator_samples_total"), "readings": _writer("sluice_validator_readings_total")}),
        ("Formats", "mps", "What payloads are written in.", {"{{format}}": _writer("sluice_validator_payloads_total", "format")}),
        ("CPU per message", "s", "Of the whole process.",
         {"{{instance}}": f'sum by (instance) (rate(process_cpu_seconds_total{{service="schema-validator"}}{RATE})) / '
                          f'sum by (instance) (rate(sluice_validator_messages_total{RATE}))'}),
    ],
    "Set aside": [
        ("Rejected", "mps", "By reason; /v1/rejection-groups says where in the payload.", {"{{reason}}": _writer("sluice_validator_rejected_total", "reason")}),
        ("Outliers", "cps", "Values, by the check they failed.", {"{{kind}}": _writer("sluice_validator_outliers_total", "kind")}),
        ("Without a schema", "mps", "Messages of devices that none was named for.", {"messages": _writer("sluice_validator_schemaless_total")}),
        ("Poisoned", "mps", "Judging them failed for a reason of ours.", {"messages": _writer("sluice_validator_poisoned_total")}),
        ("Re-driven", "mps", "Sent once more, and come back.",
         {"sent": _writer("sluice_validator_redriven_total"), "come": _writer("sluice_validator_redriven_messages_total"),
          "gone": _writer("sluice_validator_redrive_missing_total")}),
        ("Index of rejections", "mps", "What operators can look for.",
         {"indexed": _writer("sluice_validator_rejections_indexed_total"), "not": _writer("sluice_validator_rejections_unindexed_total")}),
    ],
    "Time and copies": [
        ("Copies", "cps", "Samples dropped as proven copies, and kept as possible ones.",
         {"dropped": _writer("sluice_validator_replayed_samples_total"), "kept": _writer("sluice_validator_maybe_duplicates_total")}),
        ("Clocks", "cps", "Device times not believed, and samples beyond the allowed lateness.",
         {"skewed": _writer("sluice_validator_clock_skewed_total"), "late": _writer("sluice_validator_late_total")}),
        ("Fill of the fullest filter", "percentunit", "At 1 it turns over before its day is over: raise state_filter.",
         {"{{instance}}": "sluice_validator_filter_fill_ratio"}),
    ],
    "States of devices": [
        ("Devices", "short", "Remembered, by pod.", {"{{instance}}": "sluice_validator_devices"}),
        ("Memory", "bytes", "Of their states, by pod.", {"{{instance}}": "sluice_validator_state_bytes"}),
        ("Written", "cps", "To validator.state, and deleted there.",
         {"written": _writer("sluice_validator_states_written_total"), "forgotten": _writer("sluice_validator_states_forgotten_total")}),
        ("Restored", "cps", "Read back with their partitions; unreadable ones begin anew.",
         {"restored": _writer("sluice_validator_states_restored_total"), "unreadable": _writer("sluice_validator_states_unreadable_total")}),
    ],
    "Workers and schemas": [
        ("Waits", "cps", "Too many outputs unacknowledged: Kafka is slow.", {"waits": _writer("sluice_validator_waits_total")}),
        ("Restarts and lost outputs", "cps", "A lost output makes its worker begin anew.",
         {"restarts": _writer("sluice_validator_worker_restarts_total"), "not stored": _writer("sluice_validator_outputs_unstored_total")}),
        ("Versions of schemas", "short", "In use, and those whose document cannot be compiled any more.",
         {"in use": "max(sluice_validator_schema_versions)", "broken": "max(sluice_validator_schema_versions_broken)"}),
        ("Age of the catalogue", "s", "Since the workers were last given another, by pod.",
         {"{{instance}}": "time() - sluice_validator_schemas_changed_timestamp_seconds"}),
        ("Unusable records", "cps", "Of control.schemas.", {"records": _writer("sluice_validator_schema_records_unusable_total")}),
    ],
}


def all_dashboards() -> dict[str, dict]:
    return {"services": _dashboard("Sluice services", SERVICES, with_service=True),
            "device-registry": _dashboard("Sluice device-registry", REGISTRY, with_service=False),
            "mqtt-front": _dashboard("Sluice mqtt-front", FRONT, with_service=False),
            "schema-validator": _dashboard("Sluice schema-validator", VALIDATOR, with_service=False),
            "tsdb-writer": _dashboard("Sluice tsdb-writer", WRITER, with_service=False)}


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
