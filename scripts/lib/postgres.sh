# A PostgreSQL server of one's own in a temporary folder. Sourced after stage.sh and packages.sh.
#
# It listens on a free loopback port and on a socket in its folder, with a password of its own. PostgreSQL refuses to
# run as root, so for root it runs as an ordinary user. It stops when the script ends, also when the script is killed.

postgres_dir=
postgres_pid=
postgres_url=
postgres_again=()
# Nothing of it outlives the run, so it does not wait for the disk; whoever measures that takes these away.
postgres_options=(-c fsync=off -c full_page_writes=off)

# postgres_start: sets postgres_url, a superuser's URL.
postgres_start() {
    local bin as_user=() dies_with_us=() user=postgres password port tries
    bin=$(postgres_folder) || die "no PostgreSQL server here (no initdb found)"
    # A drill may want it on a disk that it can fill.
    postgres_dir=$(mktemp -d "${BREVET_POSTGRES_IN:-/tmp}/brevet-postgres.XXXXXX")
    at_exit postgres_stop
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s\n' "$password" >"$postgres_dir/password"
    if ((EUID == 0)); then
        id -u "$user" >/dev/null 2>&1 || user=nobody
        as_user=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups)
        chown -R "$user" "$postgres_dir"
    fi
    if setpriv --help 2>/dev/null | grep -q pdeathsig; then
        # SIGINT is PostgreSQL's fast shutdown.
        dies_with_us=(setpriv --pdeathsig INT)
    fi

    # PostgreSQL's programs complain where they cannot read the working directory.
    if ! (cd "$postgres_dir" && ${as_user[@]+"${as_user[@]}"} "$bin/initdb" --pgdata=data --username=brevet \
        --pwfile=password --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync) \
        >"$postgres_dir/initdb.log" 2>&1; then
        cat "$postgres_dir/initdb.log" >&2
        die "initdb failed"
    fi

    for ((tries = 0; tries < 20; tries++)); do
        port=$((20000 + RANDOM % 12000))
        if postgres_launch "$bin" "$port" ${as_user[@]+"${as_user[@]}"} ${dies_with_us[@]+"${dies_with_us[@]}"}; then
            postgres_url="postgres://brevet:$password@127.0.0.1:$port/postgres"
            postgres_again=("$bin" "$port" ${as_user[@]+"${as_user[@]}"} ${dies_with_us[@]+"${dies_with_us[@]}"})
            return
        fi
        # Most likely the port was taken; another one is tried.
    done
    cat "$postgres_dir/server.log" >&2
    die "PostgreSQL did not start"
}

pgbouncer_pid=
pgbouncer_url=

# pgbouncer_start: a pooler in transaction mode before the server, with fewer connections than its clients have; sets
# pgbouncer_url. Every database of the server is there by its name.
pgbouncer_start() {
    local program port tries user=() folder=$postgres_dir/pgbouncer
    program=$(pgbouncer_program) || die "no PgBouncer here: scripts/install brings it"
    mkdir -p "$folder"
    if ((EUID == 0)); then
        # It refuses to run as root, and gives up its rights itself.
        user=(-u nobody)
        chmod 0711 "$postgres_dir"
        chown nobody "$folder"
    fi
    for ((tries = 0; tries < 20; tries++)); do
        port=$((20000 + RANDOM % 12000))
        # PostgreSQL would answer there in its place.
        ((port != postgres_again[1])) || continue
        cat >"$folder/pgbouncer.ini" <<END
[databases]
* = host=127.0.0.1 port=${postgres_again[1]} user=brevet password=$(cat "$postgres_dir/password")
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 8
max_client_conn = 1000
server_idle_timeout = 5
END
        ((EUID != 0)) || chown nobody "$folder/pgbouncer.ini"
        chmod 0600 "$folder/pgbouncer.ini"
        "$program" "${user[@]}" "$folder/pgbouncer.ini" >"$folder/log" 2>&1 </dev/null &
        pgbouncer_pid=$!
        at_exit pgbouncer_stop
        if pgbouncer_answers "$port"; then
            pgbouncer_url="postgres://brevet@127.0.0.1:$port/postgres"
            return
        fi
        # It may be silent and still run.
        pgbouncer_stop
    done
    cat "$folder/log" >&2
    die "PgBouncer did not start"
}

pgbouncer_answers() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        kill -0 "$pgbouncer_pid" 2>/dev/null || return 1
        # Where somebody else answers at its port, it has ended.
        "${postgres_again[0]}/pg_isready" -q -h 127.0.0.1 -p "$1" 2>/dev/null &&
            kill -0 "$pgbouncer_pid" 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}

pgbouncer_stop() {
    if [[ -n $pgbouncer_pid ]]; then
        kill -TERM "$pgbouncer_pid" 2>/dev/null || true
        wait "$pgbouncer_pid" 2>/dev/null || true
        pgbouncer_pid=
    fi
}

# postgres_launch BIN PORT [PREFIX...]: starts the server on what is in the folder and waits until it answers.
postgres_launch() {
    local bin=$1 port=$2
    set -m
    (
        cd "$postgres_dir" || exit
        exec "${@:3}" "$bin/postgres" -D data -h 127.0.0.1 -p "$port" -k "$postgres_dir" -N 400 \
            ${postgres_options[@]+"${postgres_options[@]}"} -c timezone=UTC -c log_timezone=UTC >server.log 2>&1 </dev/null
    ) &
    postgres_pid=$!
    set +m
    postgres_answers "$bin" "$port" && return
    wait "$postgres_pid" 2>/dev/null || true
    postgres_pid=
    return 1
}

# postgres_kill: ends the server as a crash would: connections are cut, and the next start recovers.
postgres_kill() {
    kill -QUIT "$postgres_pid" 2>/dev/null || true
    wait "$postgres_pid" 2>/dev/null || true
    postgres_pid=
}

# postgres_resume: starts it again, on the same port and folder.
postgres_resume() { postgres_launch "${postgres_again[@]}"; }

# postgres_children: the processes that the server has made, each of which leads a group of its own.
postgres_children() { cat "/proc/$postgres_pid/task/$postgres_pid/children" 2>/dev/null || true; }

# postgres_signal SIGNAL: sends it to the server's every process, its first one first, so that no more are made meanwhile.
postgres_signal() {
    local children
    kill -"$1" "$postgres_pid"
    read -ra children <<<"$(postgres_children)"
    # One of them may just have ended.
    kill -"$1" ${children[@]+"${children[@]}"} 2>/dev/null || true
}

# postgres_slay: SIGKILL of the server's first process; the others notice and end.
postgres_slay() {
    local children child tries
    read -ra children <<<"$(postgres_children)"
    kill -KILL "$postgres_pid" 2>/dev/null || true
    wait "$postgres_pid" 2>/dev/null || true
    for child in ${children[@]+"${children[@]}"}; do
        # The next start refuses while one of them still holds the shared memory.
        for ((tries = 0; tries < 100; tries++)); do
            kill -0 "$child" 2>/dev/null || break
            sleep 0.1
        done
    done
    postgres_pid=
}

# postgres_slay_backend: SIGKILL of a process that serves a connection of ours; the server ends all others and recovers.
postgres_slay_backend() {
    local child
    for child in $(postgres_children); do
        if [[ $(tr '\0' ' ' 2>/dev/null <"/proc/$child/cmdline") == "postgres: brevet "* ]]; then
            kill -KILL "$child"
            return
        fi
    done
    die "no connection is being served"
}

# postgres_revive: starts the server again where it has ended by itself.
postgres_revive() {
    if kill -0 "$postgres_pid" 2>/dev/null; then return; fi
    wait "$postgres_pid" 2>/dev/null || true
    postgres_resume
}

standby_pid=
standby_url=

# postgres_standby: makes a standby in the same folder, for which every commit of the server waits; sets standby_url.
postgres_standby() {
    local bin=${postgres_again[0]} port=${postgres_again[1]} as_user=("${postgres_again[@]:2}") free tries
    local password
    password=$(cat "$postgres_dir/password")
    (
        cd "$postgres_dir" || exit
        export PGPASSWORD=$password
        ${as_user[@]+"${as_user[@]}"} "$bin/pg_basebackup" --pgdata=standby --write-recovery-conf --no-sync \
            --checkpoint=fast --wal-method=stream \
            --dbname="host=127.0.0.1 port=$port user=brevet application_name=standby"
    ) >"$postgres_dir/basebackup.log" 2>&1 </dev/null || die "pg_basebackup failed: $(cat "$postgres_dir/basebackup.log")"
    for ((tries = 0; tries < 20; tries++)); do
        free=$((20000 + RANDOM % 12000))
        mkdir -p "$postgres_dir/standby-socket"
        chmod 0777 "$postgres_dir/standby-socket"
        set -m
        (
            cd "$postgres_dir" || exit
            exec ${as_user[@]+"${as_user[@]}"} "$bin/postgres" -D standby -h 127.0.0.1 -p "$free" \
                -k "$postgres_dir/standby-socket" -N 400 -c fsync=off -c timezone=UTC -c log_timezone=UTC \
                >standby.log 2>&1 </dev/null
        ) &
        standby_pid=$!
        set +m
        at_exit standby_stop
        if standby_answers "$bin" "$free"; then
            standby_url="postgres://brevet:$password@127.0.0.1:$free/postgres"
            postgres_ask "$port" "ALTER SYSTEM SET synchronous_standby_names = 'standby'"
            postgres_ask "$port" "SELECT pg_reload_conf()"
            return
        fi
    done
    die "the standby did not start: $(cat "$postgres_dir/standby.log")"
}

# postgres_ask PORT STATEMENT
postgres_ask() {
    PGPASSWORD=$(cat "$postgres_dir/password") "${postgres_again[0]}/psql" --quiet --no-psqlrc --tuples-only \
        --host=127.0.0.1 --port="$1" --username=brevet --dbname=postgres --command="$2" >/dev/null
}

standby_answers() {
    local tries
    for ((tries = 0; tries < 300; tries++)); do
        kill -0 "$standby_pid" 2>/dev/null || return 1
        "$1/pg_isready" -q -h "$postgres_dir/standby-socket" -p "$2" 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}

# postgres_promote: makes the standby a primary that waits for nobody.
postgres_promote() {
    local port=${standby_url##*:}
    port=${port%%/*}
    postgres_ask "$port" "SELECT pg_promote(true, 60)"
    postgres_ask "$port" "ALTER SYSTEM SET synchronous_standby_names = ''"
    postgres_ask "$port" "SELECT pg_reload_conf()"
}

standby_stop() {
    if [[ -n $standby_pid ]]; then
        kill -INT "$standby_pid" 2>/dev/null || true
        wait "$standby_pid" 2>/dev/null || true
        standby_pid=
    fi
}

# Waits for our own server, not for whoever else listens there: that one leaves no socket in our folder.
postgres_answers() {
    local bin=$1 port=$2 tries
    for ((tries = 0; tries < 300; tries++)); do
        kill -0 "$postgres_pid" 2>/dev/null || return 1
        "$bin/pg_isready" -q -h "$postgres_dir" -p "$port" 2>/dev/null && return 0
        sleep 0.1
    done
    kill -QUIT "$postgres_pid" 2>/dev/null || true
    return 1
}

postgres_stop() {
    local tries
    if [[ -n $postgres_pid ]]; then
        # A frozen one hears nothing else.
        postgres_signal CONT 2>/dev/null || true
        kill -INT "$postgres_pid" 2>/dev/null || true
        for ((tries = 0; tries < 100; tries++)); do
            kill -0 "$postgres_pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$postgres_pid" 2>/dev/null || true
        wait "$postgres_pid" 2>/dev/null || true
    fi
    rm -rf "$postgres_dir"
}
