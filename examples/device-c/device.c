/* A device: publishes a temperature every few seconds and obeys commands. Usage: device FOLDER DEVICE_ID */
#include <mosquitto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *device;

static void on_connect(struct mosquitto *client, void *context, int reason)
{
    char filter[256];
    (void)context;
    if (reason != 0) {
        printf("refused: %s\n", mosquitto_connack_string(reason));
        return;
    }
    /* Subscribing here also holds after a reconnect. */
    snprintf(filter, sizeof filter, "devices/%s/commands/#", device);
    mosquitto_subscribe(client, NULL, filter, 1);
    puts("connected");
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *message)
{
    const char *command = strrchr(message->topic, '/');
    (void)client;
    (void)context;
    printf("command %s: %.*s\n", command ? command + 1 : message->topic, message->payloadlen,
           message->payload ? (const char *)message->payload : "");
}

int main(int argc, char **argv)
{
    const char *host = getenv("ROLLCALL_HOST");
    const char *port = getenv("ROLLCALL_PORT");
    char ca[4096], certificate[4096], key[4096], topic[256], reading[16];

    if (argc != 3) {
        fprintf(stderr, "usage: %s FOLDER DEVICE_ID\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    device = argv[2];
    snprintf(ca, sizeof ca, "%s/ca.crt", argv[1]);
    snprintf(certificate, sizeof certificate, "%s/device.crt", argv[1]);
    snprintf(key, sizeof key, "%s/device.key", argv[1]);

    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(device, true, NULL);
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_message_callback_set(client, on_message);
    mosquitto_reconnect_delay_set(client, 1, 60, true);
    int error = mosquitto_tls_set(client, ca, NULL, certificate, key, NULL);
    if (error == MOSQ_ERR_SUCCESS)
        error = mosquitto_connect(client, host ? host : "127.0.0.1", port ? atoi(port) : 8883, 60);
    if (error == MOSQ_ERR_SUCCESS)
        error = mosquitto_loop_start(client);
    if (error != MOSQ_ERR_SUCCESS) {
        fprintf(stderr, "cannot connect: %s\n", mosquitto_strerror(error));
        return 1;
    }
    snprintf(topic, sizeof topic, "devices/%s/temperature", device);
    for (;;) {
        snprintf(reading, sizeof reading, "%.1f", 18.0 + (double)rand() / RAND_MAX * 6.0);
        mosquitto_publish(client, NULL, topic, (int)strlen(reading), reading, 1, false);
        sleep(5);
    }
}
