#!/bin/sh
# Writes the environment files of the systemd units from a .env of deploy/init-env.sh, each with its own secrets only.
# Run it as root: systemd reads the files before it gives up its rights, so nobody else needs to.
# Usage: deploy/systemd/env-files.sh ENV_FILE [DIR] [DATABASE_HOST:PORT]
set -eu
umask 077

[ $# -ge 1 ] || { sed -n '2,4p' "$0"; exit 2; }
dir=${2:-/etc/jobtide}
database=${3:-127.0.0.1:5432}

users="ADAPTER INGEST JOBSTORE ARCHIVER METRICSTORE GATEWAY OPERATOR"
env=$1
[ -r "$env" ] || { echo "env-files.sh: cannot read $env" >&2; exit 1; }

value() { sed -n "s/^$1=//p" "$env" | tail -n 1; }

# All of them before anything is written: half of the files would be worse than none.
for name in POSTGRES_PASSWORD JWT_PUBLIC_KEY JWT_PRIVATE_KEY SESSION_KEY $(printf 'NATS_%s_PASSWORD ' $users); do
  [ -n "$(value "$name")" ] || { echo "env-files.sh: $env has no $name" >&2; exit 1; }
done
mkdir -p "$dir"

for user in $users; do
  echo "NATS_${user}_PASSWORD=$(value "NATS_${user}_PASSWORD")"
done >"$dir/nats.env"

for user in ingest jobstore archiver metricstore gateway operator; do
  upper=$(echo "$user" | tr '[:lower:]' '[:upper:]')
  {
    echo "JOBTIDE_NATS_USER=$user"
    echo "JOBTIDE_NATS_PASSWORD=$(value "NATS_${upper}_PASSWORD")"
    [ "$user" = ingest ] || [ "$user" = metricstore ] || echo "JOBTIDE_DATABASE_URL=postgresql://jobtide:$(value POSTGRES_PASSWORD)@$database/jobtide"
    echo "JOBTIDE_ARCHIVE_PATH=/var/lib/jobtide/archive"
    case $user in
      metricstore) echo "JOBTIDE_METRICSTORE_PATH=/var/lib/jobtide/samples" ;;
      gateway)
        echo "JOBTIDE_GATEWAY_JWT_PUBLIC_KEY=$(value JWT_PUBLIC_KEY)"
        echo "JOBTIDE_GATEWAY_JWT_PRIVATE_KEY=$(value JWT_PRIVATE_KEY)"
        echo "JOBTIDE_AUTH_SESSION_KEY=$(value SESSION_KEY)"
        ;;
      operator) echo "JOBTIDE_GATEWAY_JWT_PRIVATE_KEY=$(value JWT_PRIVATE_KEY)" ;;
    esac
  } >"$dir/$user.env"
done
echo "$dir: environment files of the broker, five services and the operator"
