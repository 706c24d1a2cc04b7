# What the tests need of the system beside Rust, and how Debian provides it. Sourced after stage.sh.

postgres_folder() {
    local folder newest=
    for folder in /usr/lib/postgresql/*/bin; do
        [[ -x $folder/initdb ]] && newest=$folder
    done
    if [[ -z $newest ]] && command -v initdb >/dev/null; then
        # A link may stand on the PATH; the programs beside its target are what is wanted.
        newest=$(dirname "$(readlink -f "$(command -v initdb)")")
    fi
    [[ -n $newest ]] && printf '%s\n' "$newest"
}

# The first Python that can make an environment of its own.
python_with_venv() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            printf '%s\n' "$python"
            return
        fi
    done
    return 1
}

# first_program PROGRAM...: the first that is there and can be run.
first_program() {
    local program
    for program in "$@"; do
        if [[ -n $program && -x $program ]]; then
            printf '%s\n' "$program"
            return
        fi
    done
    return 1
}

# The nginx at hand, if any: Debian keeps it where ordinary users do not look.
nginx_program() {
    first_program "$(command -v nginx)" /usr/sbin/nginx "$target/clients/nginx/usr/sbin/nginx"
}

# The Chromium at hand, if any.
chromium_program() {
    local program
    for program in chromium chromium-browser google-chrome; do
        if command -v "$program"; then return; fi
    done
    return 1
}

# PgBouncer, if any: as a program of the system, or unpacked by scripts/install with its libraries.
pgbouncer_program() {
    first_program "$(command -v pgbouncer)" /usr/sbin/pgbouncer "$target/clients/pgbouncer/run"
}

# missing_packages [--no-postgres] [--no-clients]: Debian packages to install, one a line.
missing_packages() {
    command -v cc >/dev/null || echo build-essential
    if [[ " $* " != *" --no-postgres "* ]]; then
        postgres_folder >/dev/null || echo postgresql
    fi
    if [[ " $* " != *" --no-clients "* ]]; then
        python_with_venv >/dev/null || echo python3-venv
        command -v node >/dev/null || echo nodejs
        command -v npm >/dev/null || echo npm
        chromium_program >/dev/null || echo chromium
    fi
}

# What puts a command in front that may install packages; fails where nothing can.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# Asks for sudo's password while a terminal is there to answer; later steps run in the background.
ask_for_root() {
    if ((EUID != 0)) && [[ -t 0 ]] && command -v sudo >/dev/null; then
        say "installing $*: sudo may ask for your password"
        sudo -v || true
    fi
}

# install_packages PACKAGE...
install_packages() {
    local impossible="missing: $*. Install them yourself (Debian: apt-get install $*) and run this again"
    command -v apt-get >/dev/null || die "$impossible"
    as_root true || die "$impossible: this is not root, and sudo does not let us"
    if [[ " $* " == *" postgresql "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
        # Debian's package would start a server of its own; the tests bring theirs and leave none behind.
        say "telling Debian to make no cluster of its own: /etc/postgresql-common/createcluster.conf"
        as_root mkdir -p /etc/postgresql-common
        as_root sh -c 'echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf'
    fi
    local apt=(env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 apt-get -q -y
        -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold)
    as_root "${apt[@]}" update
    as_root "${apt[@]}" install --no-install-recommends "$@"
}
