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
    postgres_dir=$(mktemp -d /tmp/brevet-postgres.XXXXXX)
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
