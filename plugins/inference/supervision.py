"""Keeps an embedded server answering: canary inferences, restarts.

Triton reports a model ready whose process was killed, and does not start it again; only an
inference tells. A server whose process is gone, or whose models fail twice in a row, is restarted.
"""

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from plugins.errors import SpotOnError
from plugins.inference.triton_client import CHANNEL_OPTIONS
from plugins.inference.triton_server import TritonServer

LOG = logging.getLogger(__name__)
CANARY_TIMEOUT_S = 10.0
FAILURES_BEFORE_RESTART = 2
LONGEST_PAUSE_S = 30.0
CALM_S = 60.0
BROKEN_STOP_S = 2.0
NOT_LOADED = "is not loaded; see the server's log"


@dataclass(frozen=True, slots=True)
class ServerState:
    """What /health shows of the server. ``models`` maps each loaded model to whether it answers;
    ``last_error`` is why the last restart was needed, empty if none was.
    """

    status: Literal["starting", "ready", "failing", "stopped"] = "starting"
    restarts: int = 0
    models: tuple[tuple[str, bool], ...] = ()
    last_error: str = ""


class Supervisor:
    """A thread that watches one started server. ``state`` and ``checks``, the number of checks
    made, may be read from any thread.
    """

    def __init__(self, server: TritonServer, *, interval_s: float = 1.0) -> None:
        self.state = ServerState()
        self.checks = 0
        self._server = server
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._failures = 0
        self._counts: dict[str, tuple[int, int]] = {}
        self._restarted_s: list[float] = []
        self._thread = threading.Thread(target=self._watch, name="triton-supervisor", daemon=True)

    def start(self) -> None:
        """Begin watching; the server must have been started."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and leave the server as it is."""
        self._stopping.set()
        self._thread.join()
        self.state = replace(self.state, status="stopped")

    def _watch(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._check()
            except Exception:
                # Nobody would watch the server if this thread ended.
                LOG.exception("checking the Triton server failed")
            self.checks += 1

    def _check(self) -> None:
        if not self._server.is_running():
            self._restart("the server's process ended")
            return
        problems = self._probe()
        broken = [f"{model}: {text}" for model, text in problems.items() if text]
        self.state = replace(
            self.state,
            status="failing" if broken else "ready",
            models=tuple((model, not text) for model, text in problems.items() if model),
        )
        # A version that cannot be loaded is for people to put right; a restart would not help.
        curable = [line for line in broken if NOT_LOADED not in line]
        self._failures = self._failures + 1 if curable else 0
        if self._failures >= FAILURES_BEFORE_RESTART:
            self._restart("; ".join(curable))

    def _probe(self) -> dict[str, str]:
        """What is wrong with each model, empty for those that answer; "" names the server."""
        with grpcclient.InferenceServerClient(
            self._server.url, channel_args=CHANNEL_OPTIONS
        ) as client:
            try:
                ready = ready_models(client)
            except InferenceServerException as error:
                return {"": f"the server does not answer: {first_line(error)}"}
            problems = {model: self._problem_of(client, model) for model in ready}
        missing = set(self._server.models) - set(ready)
        return problems | dict.fromkeys(sorted(missing), NOT_LOADED)

    def _problem_of(self, client: Any, model: str) -> str:
        """Empty if the model answers, else why not. Real traffic saves the canary's work."""
        try:
            served, failed = served_counts(client, model)
            before = self._counts.get(model)
            if before is None or served <= before[0] or failed > before[1]:
                run_canary(client, model)
                served += 1
            self._counts[model] = (served, failed)
        except InferenceServerException as error:
            return first_line(error)
        return ""

    def _restart(self, reason: str) -> None:
        LOG.warning("restarting Triton on %s: %s", self._server.url, reason)
        self.state = replace(
            self.state, status="starting", restarts=self.state.restarts + 1, last_error=reason
        )
        self._failures = 0
        self._counts.clear()
        self._stopping.wait(self._pause_before_restart())
        try:
            self._server.stop(timeout_s=BROKEN_STOP_S)
            if not self._stopping.is_set():
                self._server.start()
                self._server.wait_ready()
        except (SpotOnError, OSError) as error:
            LOG.warning("Triton did not start again: %s", error)
            self.state = replace(self.state, status="failing", last_error=str(error))

    def _pause_before_restart(self) -> float:
        """Nothing after a calm time, then 1, 2, 4 ... seconds."""
        now = time.monotonic()
        self._restarted_s = [then for then in self._restarted_s if now - then < CALM_S] + [now]
        earlier = len(self._restarted_s) - 1
        return min(2.0 ** (earlier - 1), LONGEST_PAUSE_S) if earlier else 0.0


def supervise(server: TritonServer, *, interval_s: float = 1.0) -> Supervisor:
    """Watch a started server until the returned supervisor is stopped."""
    supervisor = Supervisor(server, interval_s=interval_s)
    supervisor.start()
    return supervisor


def ready_models(client: Any) -> list[str]:
    """Names of the models the server says are ready."""
    index = client.get_model_repository_index(client_timeout=CANARY_TIMEOUT_S).models
    return sorted({entry.name for entry in index if entry.state == "READY"})


def served_counts(client: Any, model: str) -> tuple[int, int]:
    """How many requests of the model have succeeded and failed since it was loaded."""
    answer = client.get_inference_statistics(model, client_timeout=CANARY_TIMEOUT_S)
    statistics = [entry.inference_stats for entry in answer.model_stats]
    return sum(each.success.count for each in statistics), sum(
        each.fail.count for each in statistics
    )


def run_canary(client: Any, model: str) -> None:
    """One inference of a black picture; InferenceServerException if it fails."""
    metadata = client.get_model_metadata(model, client_timeout=CANARY_TIMEOUT_S)
    inputs = []
    for value in metadata.inputs:
        shape = [side if side > 0 else 1 for side in value.shape]
        tensor = grpcclient.InferInput(value.name, shape, value.datatype)
        tensor.set_data_from_numpy(np.zeros(shape, triton_to_np_dtype(value.datatype)))
        inputs.append(tensor)
    client.infer(model, inputs, client_timeout=CANARY_TIMEOUT_S)


def first_line(error: InferenceServerException) -> str:
    """The server's words, cut to a readable length."""
    return (str(error.message()).splitlines() or [""])[0][:200]
