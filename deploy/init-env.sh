#!/bin/sh
# Writes .env beside docker-compose.yml, with a new secret for every name that .env.example leaves empty.
# Never overwrites: an existing .env keeps its values, and gets only the names that it does not have yet.
# Needs openssl. Usage: deploy/init-env.sh [FILE]
set -eu
umask 077

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
example=$root/.env.example
env=${1:-$root/.env}
command -v openssl >/dev/null || { echo "init-env.sh: openssl is not installed" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# nats-server reads a password like a word of its configuration, and the database's stands in a URL:
# a letter first, then letters and digits only.
password() { printf 'p%s' "$(openssl rand -hex 24)"; }

# Public: base64 of the 32 raw bytes. Private: base64 of seed and public key, 64 bytes.
openssl genpkey -algorithm ed25519 -outform DER -out "$work/key"
openssl pkey -inform DER -in "$work/key" -pubout -outform DER -out "$work/pub"
tail -c 32 "$work/key" >"$work/seed"
tail -c 32 "$work/pub" >"$work/public"
public=$(openssl base64 -A -in "$work/public")
private=$(cat "$work/seed" "$work/public" | openssl base64 -A)

if [ -e "$env" ]; then cat "$env" >"$work/env"; else : >"$work/env"; fi
has_keys=$(grep -c '^JWT_P[A-Z]*_KEY=.' "$work/env" || true)
[ "$has_keys" != 1 ] || { echo "init-env.sh: $env has one half of a key pair; remove it or add the other" >&2; exit 1; }

added=0
while IFS= read -r line; do
  name=${line%%=*}
  case $line in
    [A-Z]*=)
      ! grep -q "^$name=." "$work/env" || continue
      grep -v "^$name=\$" "$work/env" >"$work/kept" || true
      mv "$work/kept" "$work/env"
      case $name in
        JWT_PUBLIC_KEY) value=$public ;;
        JWT_PRIVATE_KEY) value=$private ;;
        SESSION_KEY) value=$(openssl rand -base64 32) ;;
        *_PASSWORD) value=$(password) ;;
        *) continue ;;  # a secret of something else, which only a person knows
      esac
      printf '%s=%s\n' "$name" "$value" >>"$work/env"
      added=$((added + 1))
      ;;
  esac
done <"$example"

cp "$work/env" "$env.new"
mv "$env.new" "$env"
echo "$env: $added new secrets, readable by you alone"
