"""A device: publishes a temperature every few seconds and obeys commands. Usage: device.py FOLDER DEVICE_ID"""

import os
import random
import ssl
import sys
import time

import paho.mqtt.client as mqtt

folder, device = sys.argv[1:3]
host = os.environ.get("ROLLCALL_HOST", "127.0.0.1")
port = int(os.environ.get("ROLLCALL_PORT", "8883"))


def on_connect(client, userdata, flags, reason, *properties):
    if reason != 0:
        print(f"refused: {reason}", flush=True)  # an operator runs `rollcall explain DEVICE_ID` to learn why
        return
    # Subscribing here also holds after a reconnect.
    client.subscribe(f"devices/{device}/commands/#", qos=1)
    print("connected", flush=True)


def on_message(client, userdata, message):
    print(f"command {message.topic.rsplit('/', 1)[-1]}: {message.payload.decode()}", flush=True)


versions = getattr(mqtt, "CallbackAPIVersion", None)  # Paho 2 asks which callbacks these are
client = mqtt.Client(versions.VERSION2, client_id=device) if versions else mqtt.Client(client_id=device)
client.tls_set(
    f"{folder}/ca.crt", f"{folder}/device.crt", f"{folder}/device.key", tls_version=ssl.PROTOCOL_TLS_CLIENT
)
client.on_connect = on_connect
client.on_message = on_message
client.reconnect_delay_set(min_delay=1, max_delay=60)
client.connect(host, port, keepalive=60)
client.loop_start()
while True:
    client.publish(f"devices/{device}/temperature", f"{random.uniform(18, 24):.1f}", qos=1)
    time.sleep(5)
