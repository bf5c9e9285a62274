# A PostgreSQL cluster of its own, on a free port of loopback, with TLS: sourced after tests/lib.sh, never run.

# PostgreSQL doesn't run as root.
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

# cluster_start: $BIN has its programs, $DIR its files, among them the scripts `start` and `kill` and the certificate `tls.pem`;
# $PORT is its port, and $START the command that starts it again
cluster_start() {
  if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then need_debian postgresql; fi
  BIN=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -1)")
  command -v python3 >/dev/null || need_debian python3
  command -v openssl >/dev/null || need_debian openssl
  DIR=$(mktemp -d); PORT=$(free_port)
  [ "$(id -u)" != 0 ] || chown postgres: "$DIR"
  chmod 700 "$DIR"
  cat > "$DIR/start" <<END
#!/bin/sh
# A postmaster that was killed leaves children for a moment, who hold what the next one needs.
for try in 1 2 3 4 5 6 7 8 9 10; do
  "$BIN/pg_ctl" -D "$DIR/data" -w -t 60 -l "$DIR/log" start -o "-p $PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=$DIR -c dynamic_shared_memory_type=mmap -c ssl=on -c ssl_cert_file=$DIR/tls.pem -c ssl_key_file=$DIR/tls.key" && exit 0
  sleep 1
done
exit 1
END
  cat > "$DIR/kill" <<END
#!/bin/sh
kill -9 "\$(head -1 "$DIR/data/postmaster.pid")"
END
  chmod 755 "$DIR/start" "$DIR/kill"
  if [ "$(id -u)" = 0 ]; then START="runuser -u postgres -- $DIR/start"; else START=$DIR/start; fi
  as "$BIN/initdb" -D "$DIR/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$DIR.initdb" 2>&1 || { cat "$DIR.initdb"; exit 1; }
  rm -f "$DIR.initdb"
  as openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -keyout "$DIR/tls.key" \
    -out "$DIR/tls.pem" -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE 2>/dev/null
  as chmod 600 "$DIR/tls.key"
  $START >/dev/null
}

# cluster_stop: ends it and removes what it left
cluster_stop() { [ -n "${DIR:-}" ] || return 0; as "$BIN/pg_ctl" -D "$DIR/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$DIR"; }

# cluster_database NAME FILE: a new database, and its URL in a file
cluster_database() {
  as "$BIN/createdb" -h 127.0.0.1 -p "$PORT" -U postgres "$1"
  printf 'postgresql://postgres@127.0.0.1:%s/%s?sslmode=disable\n' "$PORT" "$1" > "$2"
}
