#!/usr/bin/with-contenv bashio
# Settings from the add-on's page and the broker of Home Assistant, into a file; then the service in this process.
umask 077
password=/data/mqtt-password
bashio::services mqtt "password" >"$password"
scheme=mqtt
if bashio::var.true "$(bashio::services mqtt "ssl")"; then scheme=mqtts; fi
exec edgepose run \
  --source "$(bashio::config 'source')" \
  --camera "$(bashio::config 'camera')" \
  --model "$(bashio::config 'model')" \
  --device homeassistant \
  --broker "${scheme}://$(bashio::services mqtt "host"):$(bashio::services mqtt "port")" \
  --sink.mqtt.username "$(bashio::services mqtt "username")" \
  --sink.mqtt.password_file "$password" \
  --sink.mqtt.spool /data \
  --home_assistant.on
