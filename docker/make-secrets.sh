#!/bin/sh
# Writes the secrets that compose.yaml mounts, each once: nothing that is there is changed.
# The folder is the owner's alone; the files in it can be read by the containers' user.
set -eu
folder=${1:-.spoton/secrets}
mkdir -p "$folder"
chmod 700 "$folder"

random() { head -c "$1" /dev/urandom | od -An -tx1 | tr -d ' \n'; }
write() { # name content
  [ -e "$folder/$1" ] || { printf '%s' "$2" > "$folder/$1"; echo "wrote $folder/$1"; }
  chmod 644 "$folder/$1"
}

write database_password "$(random 16)"
write database_url "postgresql://spoton:$(cat "$folder/database_password")@database:5432/spoton"
write redis_password "$(random 16)"
write redis_url "redis://:$(cat "$folder/redis_password")@redis:6379/0"
write signing_key "$(random 32)"
write admin_password "$(random 10)"
write data_key "$(random 32)"
write grafana_password "$(random 10)"
write s3_key "$(random 10)"
write s3_secret "$(random 20)"
key=$(cat "$folder/s3_key") secret=$(cat "$folder/s3_secret")
write aws_credentials "[default]
aws_access_key_id = $key
aws_secret_access_key = $secret
"
write s3_config "{\"identities\": [{\"name\": \"spoton\", \"actions\": [\"Admin\", \"Read\", \"Write\", \"List\"],
  \"credentials\": [{\"accessKey\": \"$key\", \"secretKey\": \"$secret\"}]}]}
"
