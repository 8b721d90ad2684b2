"""Joining a cluster: two real machines by the recipe of docs/cluster.md, and all that may be wrong."""

import json
import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import types
from contextlib import suppress
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import yaml
from gymnasium.envs.classic_control import CartPoleEnv

import move37
from move37 import cluster
from move37.checkpoint import CheckpointFolder
from move37.config import make_config
from move37.crew import Crew
from move37.dashboard import panel
from move37.errors import UserError
from move37.guard import interruptible
from move37.origin import Origin
from move37.progress import Progress
from rollouts.fleet import Fleet
from rollouts.worker import here
from tests.move37.runs import plain
from tests.move37.test_tournament import lines

ROOT = Path(__file__).parents[2]
ORIGIN = Origin("run.yaml", ("cluster.address=x:1",))
PPO = {
    "device": "cpu",
    "threads": 1,
    "env": {"id": "CartPole-v1", "n": 8},
    "agent": {"kind": "ppo", "n_steps": 16, "epochs": 1, "network": {"kind": "vector", "hidden": [8]}},
    "sampler": {"workers": 4},
    "budget": {"env_steps": 1280},
    "log": {"every": 0},
}
CUP = {
    "env": {"id": "board/TicTacToe-v0"},
    "entrants": {"random": "random", "uct 10": "uct:10", "uct 30": "uct:30"},
    "pairs": 8,
}
TRIES = {
    "env": {"id": "text/Parity-v0", "level": 1},
    "problems": {"new": {"count": 4}},
    "policies": {"chance": "solver"},
    "base": "chance",
    "samples": 4,
}


# -- what is wrong, without a cluster --------------------------------------------------------------------


@pytest.mark.parametrize("address", ["none", "auto", "10.0.0.1:6379", "ray://head:10001"])
def test_addresses_of_clusters(address):
    assert make_config(PPO | {"cluster": {"address": address}}).cluster.address == address


@pytest.mark.parametrize("address", ["ray://", "ray://head", "head", "http://head:1", ":1", "ray://a:1/b"])
def test_other_addresses_are_told(address):
    with pytest.raises(
        UserError, match=r"cluster.address: must be none, auto or host:port, or ray://host:port"
    ):
        make_config(PPO | {"cluster": {"address": address}})


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_where_nobody_listens_is_told(scheme):
    with pytest.raises(
        UserError,
        match=f"cluster.address: no Ray cluster at '{scheme}127.0.0.1:[0-9]+'; cluster.address=none starts",
    ):
        cluster.start_ray(f"{scheme}127.0.0.1:{free_port()}", 2, ORIGIN)


@pytest.mark.parametrize("scheme", ["", "ray://"])
@pytest.mark.parametrize("answer", [b"HTTP/1.0 400 Bad Request\r\n\r\n", b""])
def test_where_something_else_listens_is_told_at_once(scheme, answer):
    """Such as the dashboard, or a program that hangs up."""

    class Other(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(100)
            self.request.sendall(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request).start()
        began, address = time.monotonic(), f"{scheme}127.0.0.1:{server.server_address[1]}"
        with pytest.raises(UserError, match=f"no Ray cluster at '{address}'; .*something else listens"):
            cluster.start_ray(address, 2, ORIGIN)
    assert time.monotonic() < began + 10


@pytest.mark.parametrize("failures", [2, 3])
def test_a_client_whose_process_does_not_start_there_is_begun_again(monkeypatch, failures):
    """It happens in Ray's proxy now and then, which raises anything."""
    import ray

    said, tried = "from server:\nTraceback (most recent call last):\n  ...\npsutil.ZombieProcess: PID 7\n", []

    def init(**options):
        tried.append(options)
        if len(tried) <= failures:
            raise ConnectionAbortedError(said)

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(cluster, "_knock", lambda address: None)
    if failures < cluster.TRIES:
        cluster._join("ray://a:1", "x", {})
    else:
        with pytest.raises(UserError, match=r"no Ray cluster at .* \(psutil.ZombieProcess: PID 7\)$"):
            cluster._join("ray://a:1", "x", {})
    assert len(tried) == 3


def test_sigterm_is_ours_where_ray_starts_after_us(monkeypatch):
    import ray

    def init(**options):
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with interruptible() as stopped:
        cluster.start_ray("none", 2, ORIGIN)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopped()


def test_auto_says_which_cluster_it_looked_for(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{free_port()}")
    with pytest.raises(
        UserError, match=f"no Ray cluster at 'auto', which is {os.environ['RAY_ADDRESS']} here"
    ):
        cluster.start_ray("auto", 2, ORIGIN)


def test_what_differs_between_machines_is_named():
    there = {"Python": "3.11.9", "Ray": "2.60.0", "move37": "0.1.0 (sources ab)", "folder": "a:/x"}
    assert cluster.differences(there, there) == ""
    other = there | {"Python": "3.12.1", "move37": "0.1.0 (sources cd)", "folder": "b:/x"}
    said = "Python 3.12.1, here 3.11.9 and move37 0.1.0 (sources cd), here 0.1.0 (sources ab)"
    assert cluster.differences(there, other) == said
    assert cluster.differences(there, other | {"folder": "a:/x"}) == "Python 3.12.1, here 3.11.9"


# -- on a Ray of this machine ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def test_too_few_cores_and_gpus_are_told_at_once(ray):
    with pytest.raises(UserError) as told:
        cluster.check_room("auto", {"CPU": 4}, "4 workers", "run.yaml: sampler.workers")
    said = r"run\.yaml: sampler\.workers: 4 workers need 4 cores, and Ray has 2 in all \(2 on [\d.]+\); use "
    assert re.match(said, str(told.value))
    with pytest.raises(UserError, match=r"2 workers need 999 GPUs, and Ray has "):
        cluster.check_room("auto", {"CPU": 2, "GPU": 999}, "2 workers", "x")
    cluster.check_room("auto", {"CPU": 2}, "2 workers", "x")
    cluster.check_room("none", {"CPU": 4}, "4 workers", "x")  # who starts Ray has room made


def test_equal_machines_pass(ray):
    cluster.check_machines("x")


def test_a_module_that_only_the_driver_has_is_told(ray, monkeypatch):
    module = types.ModuleType("only_here")
    module.Mine = CartPoleEnv
    monkeypatch.setitem(sys.modules, "only_here", module)
    Fleet({"id": "only_here:Mine"}, n=2, workers=1, local=True).close()
    with pytest.raises(
        ValueError, match=r"no module named 'only_here' \(in a worker on .*: a module must be on "
    ):
        Fleet({"id": "only_here:Mine"}, n=2, workers=1)


def test_an_id_that_only_the_driver_registered_is_told(ray):
    gymnasium.register("OnlyHere-v0", entry_point=CartPoleEnv)
    try:
        with pytest.raises(UserError) as told:
            move37.train(PPO | {"sampler": {"workers": 2}}, ["env.id=OnlyHere-v0"], out="never")
    finally:
        del gymnasium.registry["OnlyHere-v0"]
    assert str(told.value).startswith(
        "override 'env.id=OnlyHere-v0': env.id: unknown environment 'OnlyHere-v0'"
    )
    assert "name its module, as in my_module:My-v0" in str(told.value)
    assert not Path("never").exists()


def test_a_file_that_a_worker_cannot_read_is_told_with_the_machine(ray):
    with pytest.raises(ValueError, match=r"none\.jsonl.* \(in a worker on [\d.]+\)"):
        Fleet({"id": "text/Problems-v0", "path": "/none.jsonl"}, n=2, workers=1)
    said = here(ValueError(), ["/nowhere/at/all"])
    assert said.endswith("which has no folder /nowhere/at/all: files and modules of yours must be there too")


class Opens:
    """Does its job only where a file is."""

    def open(self, path):
        if not os.path.exists(path):
            raise UserError(f"{path}: no run folder")

    def do(self, job):
        return os.getcwd(), job


def test_a_crew_works_in_the_drivers_folder_and_says_what_it_lacks(ray, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    where = {"workers": 2, "address": "none", "origin": ORIGIN}
    crew = Crew(Opens, ["mine"], **where)
    assert list(crew.do([1, 2, 3])) == [(str(tmp_path), 1), (str(tmp_path), 2), (str(tmp_path), 3)]
    crew.close()
    with pytest.raises(UserError, match=r"^yours: no run folder \(in a worker on [\d.]+\)$"):
        Crew(Opens, ["yours"], **where)


def test_metrics_reach_rays_own_dashboard(ray):
    told = {"fleet/worker_1/lag": 2.0, "fleet/queue": 1.0, "fleet/object_store/bytes": 3.0, "return": 4.0}
    cluster.show("runs/x", told | {"fleet/lag": np.nan})
    assert sorted(cluster._gauges) == ["move37_lag", "move37_object_store_bytes", "move37_queue"]


def test_the_dashboard_has_a_line_of_workers():
    from rich.console import Console

    progress = Progress()
    progress.start({"path": "x"}, 0.0)
    record = {"env_steps": 1, "fleet/workers": 2, "fleet/restarts": 1, "fleet/lag": 1.5, "fleet/queue": 0.0}
    record |= {"fleet/worker_0/steps_per_second": 500.0, "fleet/worker_1/steps_per_second": 120.0}
    progress.update(record | {"fleet/object_store/share": 0.03}, 1.0)
    console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(panel(progress))
    assert "workers 2  restarts 1  lag 1.5  queue 0  store 3%  steps/s 500 120" in console.export_text()


def test_the_manifest_has_the_fields_of_a_cluster():
    volume, whole = yaml.safe_load_all((ROOT / "docs" / "kuberay.yaml").read_text())
    assert (whole["apiVersion"], whole["kind"]) == ("ray.io/v1", "RayCluster")
    (players,) = whole["spec"]["workerGroupSpecs"]
    groups = [whole["spec"]["headGroupSpec"], players]
    assert all("rayStartParams" in group for group in groups)
    assert not whole["spec"]["enableInTreeAutoscaling"]
    assert players["minReplicas"] == players["replicas"] == players["maxReplicas"]
    pods = [group["template"]["spec"] for group in groups]
    for pod in pods:
        (container,) = pod["containers"]
        names = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == names
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == volume["metadata"]["name"]
        assert [entry["name"] for entry in container["env"]] == ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN"]
    assert pods[0]["containers"][0]["image"] == pods[1]["containers"][0]["image"]


# -- two machines by hand --------------------------------------------------------------------------------


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def recipe():
    """The commands for the first machine and for the second, as docs/cluster.md prints them."""
    page = (ROOT / "docs" / "cluster.md").read_text().partition("## Two machines by hand")[2]
    first, second, *_ = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    return first, second


class Machines:
    """Two on this one, each with a home and a folder of its own, joined by the recipe."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="m37-", dir="/tmp"))  # sockets lie there: a short path
        self.port, self.client = free_port(), free_port()
        (self.folder / "bin").mkdir()
        scp = self.folder / "bin" / "scp"
        scp.write_text(f'#!/bin/sh\ncp "{self.folder}/first/${{1#*:}}" "$2"\n')
        scp.chmod(0o755)
        self.address, self.client_address = f"127.0.0.1:{self.port}", f"ray://127.0.0.1:{self.client}"
        more = f"--ray-client-server-port={self.client} --include-dashboard=false --disable-usage-stats"
        try:
            self._start("first", recipe()[0], more)
            self.start_second()
        except BaseException:
            self.close()
            raise

    def start_second(self, **variables):
        self._start("second", recipe()[1], "", **variables)

    def environment(self, home="first", **variables):
        """What a person's shell on a machine has."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        path = f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {"HOME": str(self.folder / home), "XDG_CACHE_HOME": cache, "PATH": path, "OMP_NUM_THREADS": "1"}
        return kept | own | {"RAY_AUTH_MODE": "token"} | variables

    def _start(self, name, commands, more, **variables):
        (self.folder / name / "work").mkdir(parents=True, exist_ok=True)
        environment = self.environment(name, **variables)
        del environment["RAY_AUTH_MODE"]  # the recipe has it
        own = f"--num-cpus=2 --object-store-memory=100000000 --temp-dir={self.folder / name / 'ray'} {more}"
        script = commands.replace("6379", str(self.port)).replace("192.168.0.10", "127.0.0.1")
        script = script.replace("ray start", f"ray start {own}")
        where = {"cwd": self.folder / name / "work", "env": environment}
        done = subprocess.run(["bash", "-ec", script], **where, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr

    def processes(self, name):
        """Those of a machine: Ray's own, and the workers that they began."""
        found, parents = set(), {}
        signs = [f"{self.folder / name / 'ray'}/", *([f"--port={self.client}"] if name == "first" else [])]
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_text()
            except (OSError, IndexError):
                continue
            if any(sign in command for sign in signs):
                found.add(int(folder.name))
        return found | {pid for pid, parent in parents.items() if parent in found}

    def kill(self, name):
        """As if the power had gone."""
        for pid in self.processes(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def run(self, folder, *arguments, **variables):
        """What a command of move37 says on the first machine, and its exit code."""
        command = [sys.executable, "-m", "move37", *map(str, arguments)]
        more = {
            "env": self.environment(**{"PYTHONPATH": str(ROOT), **variables}),
            "capture_output": True,
            "text": True,
        }
        done = subprocess.run(command, cwd=folder, timeout=280, **more)
        return done.returncode, done.stdout + done.stderr

    def close(self):
        self.kill("second")
        self.kill("first")
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def machines():
    made = Machines()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path):
    for name, config in (("ppo", PPO), ("cup", CUP), ("tries", TRIES)):
        (tmp_path / f"{name}.yaml").write_text(json.dumps(config))
    return tmp_path


def lines_of(path):
    return path.read_text().count("\n") if path.exists() else 0


@pytest.mark.slow
def test_two_machines_train_in_step_as_one_does(machines, folder):
    at = f"cluster.address={machines.address}"
    code, said = machines.run(folder, "train", "ppo.yaml", at, "--out", "there")
    assert code == 0, said
    code, said = machines.run(
        folder, "train", "ppo.yaml", at.replace(machines.address, machines.client_address), "--out", "client"
    )
    assert code == 0, said
    code, said = machines.run(folder, "train", "ppo.yaml", "--out", "alone")
    assert code == 0, said
    alone, there, client = (move37.Run.load(folder / k).metrics() for k in ("alone", "there", "client"))
    assert plain(there) == plain(client) == plain(alone)
    assert there[-1]["env_steps"] == 1280
    assert there[-1]["fleet/workers"] == 4  # of two cores each


@pytest.mark.slow
def test_two_machines_play_a_tournament_and_sample(machines, folder):
    more = [f"cluster.address={machines.address}", "workers=4"]
    for place, overrides in (("there", more), ("alone", [])):
        for command, config in (("tournament", "cup.yaml"), ("passk", "tries.yaml")):
            code, said = machines.run(folder, command, config, *overrides, "--out", f"{command}-{place}")
            assert code == 0, said
    there, alone = lines(folder / "tournament-there"), lines(folder / "tournament-alone")
    assert there == alone
    assert len(there) == 3 * 2 * 8
    there, alone = (
        json.loads((folder / f"passk-{k}" / "passk.json").read_text()) for k in ("there", "alone")
    )
    assert there == alone


@pytest.mark.slow
@pytest.mark.parametrize("by_client", [False, True])
def test_a_machine_that_dies_costs_its_workers_and_no_counts(machines, folder, by_client):
    address = machines.client_address if by_client else machines.address
    overrides = [f"cluster.address={address}", "sampler.async=true", "budget.env_steps=1000000000"]
    command = [sys.executable, "-m", "move37", "train", "ppo.yaml", *overrides]
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    environment = machines.environment(PYTHONPATH=str(ROOT))
    training = subprocess.Popen(command, cwd=folder, env=environment, **more)
    path = folder / "runs" / "ppo"
    try:
        while not (
            lines_of(path / "metrics.jsonl") > 5 and move37.Run.load(path).metrics()[-1]["fleet/workers"] == 4
        ):
            assert training.poll() is None
            time.sleep(0.2)
        machines.kill("second")
        limit = time.monotonic() + 300
        while move37.Run.load(path).metrics()[-1]["fleet/restarts"] < 2:
            assert training.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.2)
        seen = lines_of(path / "metrics.jsonl")
        while lines_of(path / "metrics.jsonl") < seen + 20:
            assert training.poll() is None
            time.sleep(0.2)
        training.send_signal(signal.SIGTERM)
        said, _ = training.communicate(timeout=60)
    finally:
        training.kill()
        machines.start_second()
    assert training.returncode == 130, said
    assert said.count("was lost (") == 2
    told, state = move37.Run.load(path).metrics(), CheckpointFolder(path).load()
    assert [line["updates"] for line in told] == list(range(1, len(told) + 1))
    made = np.diff([0, *(line["env_steps"] for line in told)])
    assert set(made) <= {32, 64, 96, 128}  # whole fragments of 16 rows and two slots
    assert told[-1]["env_steps"] == state["tally"]["env_steps"]
    assert told[-1]["fleet/workers"] == 2  # there are two cores left
    assert told[-1]["fleet/restarts"] == state["sampler"]["restarts"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"RAY_AUTH_MODE": ""},
            r"asks for a token: give the cluster's to Ray here .* export RAY_AUTH_MODE=token",
        ),
        (
            {"RAY_AUTH_TOKEN": "0" * 64},
            r"asks for a token: the one here \(RAY_AUTH_TOKEN\) is not that of the cl",
        ),
        (
            {"RAY_AUTH_TOKEN_PATH": "/none"},
            r"asks for a token: there is none here; copy the cluster's to /none",
        ),
    ],
)
def test_a_token_that_is_missing_or_wrong_is_told(machines, folder, variables, said):
    code, told = machines.run(folder, "train", "ppo.yaml", f"cluster.address={machines.address}", **variables)
    assert code == 2
    assert re.search(f"cluster.address: the Ray cluster at '{machines.address}' {said}", told)
    assert "Traceback" not in told
    assert not (folder / "runs" / "ppo").exists()


@pytest.mark.slow
def test_more_workers_than_cores_are_told_before_the_first_step(machines, folder):
    override = f"cluster.address={machines.address}"
    code, told = machines.run(folder, "train", "ppo.yaml", override, "sampler.workers=8")
    assert code == 2
    assert re.search(
        r"sampler.workers: 8 workers need 8 cores, and Ray has 4 in all \(2 on .* 2 on .*\); use", told
    )
    assert not (folder / "runs" / "ppo").exists()


@pytest.mark.slow
def test_a_machine_with_another_move37_is_told(machines, folder):
    copy = folder / "copy"
    for package in cluster.PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "agents" / "ppo.py").open("a").write("# another line\n")
    machines.kill("second")
    try:
        machines.start_second(PYTHONPATH=str(copy))
        code, told = machines.run(
            folder, "train", "ppo.yaml", f"cluster.address={machines.address}", PYTHONPATH=""
        )
    finally:
        machines.kill("second")
        machines.start_second()
    assert code == 2
    assert re.search(
        r"cluster.address: [\d.]+ has move37 .* \(sources \w+\), here .*; all machines need the same", told
    )
