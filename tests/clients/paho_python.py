"""Paho for Python against one listener; the argument says which. Prints a JSON object for each case."""

import json
import queue
import ssl
import sys

import paho.mqtt.client as mqtt

DEADLINE_S = 10


class Client:
    def __init__(self, setup: dict, version: int, name: str, will: str | None = None):
        transport = "websockets" if setup["scheme"].startswith("ws") else "tcp"
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=version, transport=transport)
        if transport == "websockets":
            self.client.ws_set_options(path="/mqtt")
        if "ca" in setup:
            self.client.tls_set(ca_certs=setup["ca"], certfile=setup.get("cert"), keyfile=setup.get("key"), tls_version=ssl.PROTOCOL_TLS_CLIENT)
        if will:
            self.client.will_set(will, "gone", qos=1)
        self.messages: queue.Queue = queue.Queue()
        self._events: queue.Queue = queue.Queue()
        self.client.on_connect = lambda *_: self._events.put("connected")
        self.client.on_subscribe = lambda *_: self._events.put("subscribed")
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        self.client.connect("localhost", setup["port"], keepalive=30)
        self.client.loop_start()
        self._await("connected")

    def _await(self, event: str) -> None:
        assert self._events.get(timeout=DEADLINE_S) == event

    def subscribe(self, topic: str) -> None:
        self.client.subscribe(topic, qos=2)
        self._await("subscribed")

    def publish(self, topic: str, payload: str, qos: int, retain: bool = False) -> None:
        self.client.publish(topic, payload, qos, retain).wait_for_publish(DEADLINE_S)

    def message(self) -> tuple[str, int, bool]:
        got = self.messages.get(timeout=DEADLINE_S)
        return got.payload.decode(), got.qos, got.retain

    def end(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def lose(self) -> None:
        self.client.loop_stop()
        self.client.socket().close()


def try_qos(setup: dict, version: int, base: str, qos: int) -> str | None:
    client = Client(setup, version, f"{base}-{qos}")
    client.subscribe(f"{base}/{qos}")
    client.publish(f"{base}/{qos}", "hello", qos)
    got = client.message()
    client.end()
    return None if got == ("hello", qos, False) else f"got {got}"


def try_retained(setup: dict, version: int, base: str) -> str | None:
    publisher = Client(setup, version, f"{base}-retainer")
    publisher.publish(f"{base}/kept", "kept", 1, retain=True)
    publisher.end()
    subscriber = Client(setup, version, f"{base}-late")
    subscriber.subscribe(f"{base}/kept")
    got = subscriber.message()
    subscriber.end()
    return None if got == ("kept", 1, True) else f"got {got}"


def try_will(setup: dict, version: int, base: str) -> str | None:
    subscriber = Client(setup, version, f"{base}-mourner")
    subscriber.subscribe(f"{base}/will")
    Client(setup, version, f"{base}-dying", will=f"{base}/will").lose()
    got = subscriber.message()
    subscriber.end()
    return None if got == ("gone", 1, False) else f"got {got}"


def main() -> None:
    setup = json.loads(sys.argv[1])
    for version, said in ((mqtt.MQTTv31, "MQTT 3.1"), (mqtt.MQTTv311, "MQTT 3.1.1"), (mqtt.MQTTv5, "MQTT 5")):
        base = f"paho-python-{setup['port']}-{setup['scheme']}-{version}"
        cases = {f"QoS {qos}": lambda qos=qos: try_qos(setup, version, base, qos) for qos in (0, 1, 2)}
        cases |= {"retained": lambda: try_retained(setup, version, base), "will": lambda: try_will(setup, version, base)}
        for case, attempt in cases.items():
            try:
                fault = attempt()
            except Exception as error:  # a client's own error is a failed case, and the next is still tried
                fault = f"{type(error).__name__} {error}"
            print(json.dumps({"case": f"{said}: {case}", "fault": fault}), flush=True)


if __name__ == "__main__":
    main()
