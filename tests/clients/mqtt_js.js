// mqtt.js against one listener; the argument says which. Prints a JSON object for each case.
'use strict';

const fs = require('fs');
const mqtt = require('mqtt');

const DEADLINE_MS = 10000;
const setup = JSON.parse(process.argv[2]);

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function read(file) {
  return file ? fs.readFileSync(file) : undefined;
}

async function connect(protocolVersion, clientId, will) {
  const path = setup.scheme.startsWith('ws') ? '/mqtt' : '';
  return within(mqtt.connectAsync(`${setup.scheme}://localhost:${setup.port}${path}`, {
    protocolVersion, clientId, will, reconnectPeriod: 0, protocolId: protocolVersion === 3 ? 'MQIsdp' : 'MQTT',
    ca: read(setup.ca), cert: read(setup.cert), key: read(setup.key),
  }), 'CONNACK');
}

function nextMessage(client) {
  return within(new Promise((resolve) => {
    client.once('message', (topic, payload, packet) => resolve(`${payload} ${packet.qos} ${packet.retain}`));
  }), 'a message');
}

async function tryQos(version, base, qos) {
  const client = await connect(version, `${base}-${qos}`);
  await client.subscribeAsync(`${base}/${qos}`, { qos: 2 });
  const message = nextMessage(client);
  await client.publishAsync(`${base}/${qos}`, 'hello', { qos });
  const got = await message;
  await client.endAsync();
  return got === `hello ${qos} false` ? null : `got ${got}`;
}

async function tryRetained(version, base) {
  const publisher = await connect(version, `${base}-retainer`);
  await publisher.publishAsync(`${base}/kept`, 'kept', { qos: 1, retain: true });
  await publisher.endAsync();
  const subscriber = await connect(version, `${base}-late`);
  const message = nextMessage(subscriber);
  await subscriber.subscribeAsync(`${base}/kept`, { qos: 1 });
  const got = await message;
  await subscriber.endAsync();
  return got === 'kept 1 true' ? null : `got ${got}`;
}

async function tryWill(version, base) {
  const subscriber = await connect(version, `${base}-mourner`);
  await subscriber.subscribeAsync(`${base}/will`, { qos: 1 });
  const message = nextMessage(subscriber);
  const dying = await connect(version, `${base}-dying`, { topic: `${base}/will`, payload: 'gone', qos: 1 });
  dying.on('error', () => {});
  dying.stream.destroy();
  const got = await message;
  await subscriber.endAsync();
  return got === 'gone 1 false' ? null : `got ${got}`;
}

async function main() {
  for (const [version, said] of [[3, 'MQTT 3.1'], [4, 'MQTT 3.1.1'], [5, 'MQTT 5']]) {
    const base = `mqtt-js-${setup.port}-${setup.scheme}-${version}`;
    const cases = [0, 1, 2].map((qos) => [`QoS ${qos}`, () => tryQos(version, base, qos)]);
    cases.push(['retained', () => tryRetained(version, base)], ['will', () => tryWill(version, base)]);
    for (const [name, attempt] of cases) {
      let fault = null;
      try {
        fault = await attempt();
      } catch (error) {
        fault = String(error);
      }
      console.log(JSON.stringify({ case: `${said}: ${name}`, fault }));
    }
  }
  process.exit(0); // clients of failed cases would keep the process
}

main();
