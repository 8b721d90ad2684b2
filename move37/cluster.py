"""Ray for workers: started here, or a cluster that is joined, and what is wrong with that one."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, suppress
from importlib.metadata import PackageNotFoundError, version
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from move37.errors import UserError, in_one_line
from rollouts.placement import forget_gpus

if TYPE_CHECKING:
    from move37.origin import Origin

PACKAGES = ("agents", "envs", "llm_rl", "move37", "rollouts", "search")
ANSWER_SECONDS = 120.0
"""Within which every machine must have said which versions it has: a process must start there first."""
TRIES = 3
"""Of joining by `ray://`, whose server now and then fails to start a client's process."""
CLIENT = "ray://"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
"""What either side of HTTP/2 begins with, empty here: a frame of length 0 and type 4 (RFC 9113, 6.5)."""


def start_ray(address: str, workers: int, origin: Origin) -> bool:
    """Join the cluster at `address`, or start one here with a core for every worker.

    Returns whether that was done: False where Ray ran here already, which is then used as it is.
    Raises `UserError` where there is none, where it asks for another token, and where its machines have other
    versions of Python, Ray or move37 than this one.
    """
    import logging

    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # its chatter goes to stdout, which is ours
    if address != "none":
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # else it insists on a wrong token for 20 s
    import ray

    if ray.is_initialized():
        return False
    quiet: Any = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "none":
        cores = max(workers, os.cpu_count() or 1)
        with _our_sigterm():
            ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
        return True
    place = origin.place("cluster", "", "address")
    with _our_sigterm(), _silent():
        _join(address, place, quiet)
    try:
        check_machines(place)
    except UserError:
        ray.shutdown()
        raise
    return True


@contextmanager
def _our_sigterm() -> Iterator[None]:
    """What is to happen at SIGTERM stays as it was where that was said: Ray has ideas of its own."""
    ours = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(ours) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ours)


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing on stderr, on which Ray's libraries tell at length of what is raised then."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def stop_ray() -> None:
    """End the Ray that was started here, or leave the cluster that was joined."""
    import ray

    forget_gpus()
    _gauges.clear()
    ray.shutdown()


def _join(address: str, place: str, quiet: Mapping[str, Any]) -> None:
    """Join a cluster, or say in a `UserError` what is in the way."""
    import ray

    where = address
    try:
        where = _address_of(address)
        _knock(where)
        if where.startswith(CLIENT):
            _join_as_client(where, quiet)
        else:
            ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(f"{place}: {_why_not(address, where, error)}") from None


def _join_as_client(address: str, quiet: Mapping[str, Any]) -> None:
    import ray

    for k in range(TRIES):
        try:
            with redirect_stderr(StringIO()):  # it warns there before it raises the same
                ray.init(address=address, **quiet)
            return
        except ConnectionAbortedError:
            if k == TRIES - 1:
                raise


def _address_of(address: str) -> str:
    """What `auto` stands for: `RAY_ADDRESS`, or the cluster that runs on this machine."""
    if address != "auto":
        return address
    if os.environ.get("RAY_ADDRESS"):
        return os.environ["RAY_ADDRESS"]
    from ray._private.services import canonicalize_bootstrap_address  # nothing public says it

    return canonicalize_bootstrap_address("auto") or ""


def _knock(address: str) -> None:
    """Raises `OSError` where nobody answers at `host:port`, or not as Ray's servers do (HTTP/2, as gRPC is).

    Ray itself would try for minutes.
    """
    host, colon, port = address.removeprefix(CLIENT).rpartition(":")
    if not colon:
        return
    with socket.create_connection((host, int(port)), timeout=10) as line:
        if os.environ.get("RAY_USE_TLS", "0") != "0":
            return
        line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS)
        said = b""
        with line.makefile("rb") as answer, suppress(TimeoutError):
            said = answer.read(len(SETTINGS))
    if said[3:4] != SETTINGS[3:4]:
        raise ConnectionError("something else listens there; Ray's own port is 6379, or 10001 for ray://")


def _why_not(address: str, where: str, error: Exception) -> str:
    """In a line, why a cluster could not be joined."""
    at = f"'{address}'" if where in ("", address) else f"'{address}', which is {where} here"
    said = _all_words(error)
    if any(sign in said for sign in ("InvalidAuthToken", "AuthenticationError", "Unauthenticated")):
        return f"the Ray cluster at {at} asks for a token: {_about_token()}"
    if "ersion mismatch" in said or "versions do not match" in said:
        return f"the Ray cluster at {at} has other versions: {' '.join(str(error).split())}"
    if where.startswith(CLIENT) and "timeout" in said:
        said = f"something listens at {at}, but no Ray Client server answered within 30 seconds"
        said += " (its port is 10001, unless said otherwise; 6379 goes without ray://)"
        return f"{said}. If the cluster asks for a token: {_about_token()}"
    told = _last_line(error) if "Traceback" in str(error) else in_one_line(error)
    return f"no Ray cluster at {at}; cluster.address=none starts one here ({told})"


def _all_words(error: BaseException | None) -> str:
    """What an error and all that caused it say."""
    said = ""
    while error is not None:
        said, error = f"{said}\n{type(error).__name__}: {error}", error.__cause__ or error.__context__
    return said


def _about_token() -> str:
    """What is missing here for a cluster that asks for a token."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        keep = "give the cluster's to Ray here (~/.ray/auth_token, or RAY_AUTH_TOKEN)"
        return f"{keep}, and export RAY_AUTH_MODE=token"
    if os.environ.get("RAY_AUTH_TOKEN"):
        held = "RAY_AUTH_TOKEN"
    else:
        held = os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token"
        if not Path(held).expanduser().is_file():
            return f"there is none here; copy the cluster's to {held}"
    return f"the one here ({held}) is not that of the cluster; copy the cluster's"


# -- what there is ---------------------------------------------------------------------------------------


def check_room(address: str, asked: Mapping[str, float], who: str, place: str) -> None:
    """`UserError` where Ray has, in all, fewer cores (`CPU`) or `GPU`s than are `asked` for.

    `who` needs them, as in `4 workers`; `place` is the key to look at. Where Ray was started here (`none`) it
    has a core for everybody, however many there are.
    """
    import ray

    if not ray.is_initialized():
        return
    units = {"CPU": "cores", "GPU": "GPUs"}
    if address == "none":
        del units["CPU"]  # a Ray of our own has as many as are asked for
    for name, unit in units.items():
        machines = {node: there.get(name, 0.0) for node, there in _resources()}
        if asked.get(name, 0.0) > sum(machines.values()):
            each = ", ".join(f"{count:g} on {node}" for node, count in machines.items())
            said = (
                f"{who} need {asked[name]:g} {unit}, and Ray has {sum(machines.values()):g} in all ({each})"
            )
            raise UserError(f"{place}: {said}; use fewer, or more machines")


def _resources() -> list[tuple[str, Mapping[str, float]]]:
    """By machine what it has; several on one address are told apart by a number."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    names = [str(node["NodeManagerAddress"]) for node in alive]
    seen = [names[:k].count(name) for k, name in enumerate(names)]
    return [
        (f"{name} ({k + 1})" if names.count(name) > 1 else name, node["Resources"])
        for name, k, node in zip(names, seen, alive)
    ]


# -- who runs what ---------------------------------------------------------------------------------------


def versions() -> dict[str, str]:
    """The versions here of what must be the same on every machine; of move37 also a hash of its sources.

    And `folder`, where these are.
    """
    import ray

    try:
        ours = version("move37")
    except PackageNotFoundError:  # a clone that is on the path only
        ours = "of no version"
    root = Path(__file__).resolve().parent.parent
    return {
        "Python": platform.python_version(),
        "Ray": ray.__version__,
        "move37": f"{ours} (sources {_source_hash(root)})",
        "folder": f"{platform.node()}:{root}",
    }


def _source_hash(root: Path) -> str:
    """A short hash of all Python files of the suite."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """`Python 3.12.1, here 3.11.9`; nothing where all is the same."""
    names = ["Python", "Ray"] + ["move37"] * (
        here["folder"] != there["folder"]
    )  # files may be edited meanwhile
    return " and ".join(f"{k} {there[k]}, here {here[k]}" for k in names if there[k] != here[k])


def check_machines(place: str) -> None:
    """`UserError` where a machine of the cluster has other versions than this one, or gives no answer.

    Each is asked by a task that needs no core. Those that have gone by then are passed over.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ask: Any = ray.remote(num_cpus=0, max_retries=0)(versions)
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[ask.options(scheduling_strategy=there).remote()] = node["NodeManagerAddress"]
    limit, here = time.monotonic() + ANSWER_SECONDS, versions()
    for answer, name in asked.items():
        try:
            found = differences(here, ray.get(answer, timeout=max(limit - time.monotonic(), 0.1)))
        except ray.exceptions.GetTimeoutError:
            said = f"{name}, a machine of the cluster, gave no answer within {ANSWER_SECONDS:g} seconds"
            raise UserError(f"{place}: {said}: `ray status` says how it is") from None
        except (ray.exceptions.RayTaskError, ray.exceptions.RaySystemError) as error:
            raise UserError(f"{place}: move37 does not run on {name}: {_last_line(error)}") from None
        except ray.exceptions.RayError:  # it has gone
            continue
        if found:
            raise UserError(f"{place}: {name} has {found}; all machines need the same")


def _last_line(error: Exception) -> str:
    """What was raised in a task, from the end of what Ray says of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "Error: " in line), lines[-1] if lines else "")


# -- what it shows ---------------------------------------------------------------------------------------


def show(run: str, record: Mapping[str, float]) -> None:
    """Put the `fleet/…` metrics of a line on Ray's dashboard (Prometheus), by `run` and `worker`."""
    from ray.util.metrics import Gauge

    for name, value in record.items():
        section, _, rest = name.partition("/")
        if section != "fleet" or not math.isfinite(value):
            continue
        worker, _, what = rest.rpartition("/") if rest.startswith("worker_") else ("", "", rest)
        metric = f"move37_{what.replace('/', '_')}"
        if metric not in _gauges:
            _gauges[metric] = Gauge(metric, f"fleet/{what} of move37", tag_keys=("run", "worker"))
        _gauges[metric].set(value, tags={"run": run, "worker": worker.removeprefix("worker_")})


_gauges: dict[str, Any] = {}
