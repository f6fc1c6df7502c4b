#!/bin/sh
# Write the secrets of docker-compose.yml, one file each, with random passwords:
#
#     sh deploy/secrets.sh
#
# They are made once: where the folder is there already, nothing is changed. A changed password must stand in each file
# that holds it. The files can be read by every container's user, the folder by its owner alone.
set -eu

folder=${1:-.secrets}
if [ -e "$folder" ]; then
    echo "$folder is there already, and stays as it is"
    exit 0
fi

random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

umask 077
new="$folder.new.$$"
mkdir "$new"
for name in wabus gateway agents postgres worker grafana; do
    random > "$new/${name}_password"
done
password() {
    cat "$new/$1_password"
}
random > "$new/WHATSAPP_ACCESS_TOKEN"
printf 'amqp://wabus:%s@rabbitmq:5672/' "$(password wabus)" > "$new/RABBITMQ_URL"
printf 'postgresql://wabus_app:%s@postgres:5432/wabus' "$(password worker)" > "$new/DATABASE_URL"
printf 'postgresql://postgres:%s@postgres:5432/wabus' "$(password postgres)" > "$new/MIGRATION_DATABASE_URL"
sed "s/@wabus@/$(password wabus)/; s/@gateway@/$(password gateway)/; s/@agents@/$(password agents)/" \
    "$(dirname "$0")/rabbitmq/definitions.json" > "$new/rabbitmq_definitions.json"
rm "$new/wabus_password"
chmod 644 "$new"/*
mv "$new" "$folder"
echo "wrote $folder"
