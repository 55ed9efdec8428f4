"""The embedded Triton server as a child process that never outlives its launcher."""

import contextlib
import logging
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from plugins.errors import InvalidModelError, PortInUseError, TritonUnavailableError
from plugins.inference.model_import import warm_up_serving
from plugins.inference.triton_runtime import (
    ADDRESS,
    Ports,
    assemble_backends,
    find_installation,
    free_ports,
    loadable_models,
    require_free,
    server_command,
    server_environment,
    shared_memory_prefix,
    sweep_shared_memory,
)

LOG = logging.getLogger(__name__)
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 15.0
# Asks the kernel for SIGTERM when the launcher goes, then becomes the server.
_TIED_TO_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the launcher is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


class TritonServer:
    """Starts, watches over and stops one ``tritonserver`` on ``repository``.

    ``python`` is the interpreter of the server's own environment; ``runtime_folder`` receives the
    backends and ``triton.log`` and belongs to one server at a time. Free ports are chosen where
    none are given. Raises UnavailableError where the environment is not set up.
    """

    def __init__(
        self, python: Path, repository: Path, runtime_folder: Path, ports: Ports | None = None
    ) -> None:
        self.installation = find_installation(python)
        self.repository = repository.resolve()
        self.runtime_folder = runtime_folder.resolve()
        self.ports = ports or free_ports()
        self.log_path = self.runtime_folder / "triton.log"
        self.models: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        # The kernel ties the child to the thread that forked it, so one thread does, and stays.
        self._launcher = ThreadPoolExecutor(1, thread_name_prefix="triton-launcher")

    @property
    def url(self) -> str:
        """GRPC address for clients."""
        return f"{ADDRESS}:{self.ports.grpc}"

    @property
    def metrics_url(self) -> str:
        """Prometheus page of the server."""
        return f"http://{ADDRESS}:{self.ports.metrics}/metrics"

    @property
    def pid(self) -> int | None:
        """Process id of the running server."""
        return self._process.pid if self._process and self.is_running() else None

    def is_running(self) -> bool:
        """Whether the process is there; it need not be ready."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process and return at once. PortInUseError if a port is taken."""
        if self.is_running():
            return
        require_free(self.ports)
        self.runtime_folder.mkdir(parents=True, exist_ok=True)
        prefix = shared_memory_prefix(self.runtime_folder)
        if swept := sweep_shared_memory(prefix):
            LOG.info("removed %d shared memory regions of an earlier Triton server", swept)
        backends = assemble_backends(self.installation, self.runtime_folder)
        self.models = loadable_models(self.repository)
        self._write_warmups()
        if not self.models:
            LOG.warning("no model in %s has a version yet: import one", self.repository)
        command = server_command(
            self.installation,
            self.repository,
            backends,
            ports=self.ports,
            models=self.models,
            memory_prefix=prefix,
        )
        self._process = self._launcher.submit(self._spawn, command).result()

    def _write_warmups(self) -> None:
        """Somebody may have put another version in charge by hand; a warm-up of the wrong size
        would keep Triton from loading it.
        """
        for model in self.models:
            try:
                warm_up_serving(self.repository / model)
            except OSError as error:
                LOG.info("the warm-up of %s stays as it is: %s", model, error)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        tied = [str(self.installation.python), "-c", _TIED_TO_PARENT, str(os.getpid()), *command]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                tied,
                env=server_environment(self.installation, self.repository),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return when the server and every model it was to load are ready.

        TritonUnavailableError, with the log's last lines, if the process ends or the time passes;
        PortInUseError if it ended because another program was faster on a port; InvalidModelError
        if the server is up but could not load a model.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_up():
            if not self.is_running():
                raise self._start_error("ended while starting")
            if time.monotonic() > deadline:
                raise self._start_error(f"was not ready after {timeout_s:.0f} s")
            time.sleep(0.05)
        if missing := self.missing_models():
            raise InvalidModelError(
                f"Triton could not load {', '.join(missing)} from {self.repository}: remove the "
                f"newest version or import another; {self.log_path} says why"
            )

    def is_up(self) -> bool:
        """Whether the server answers and has tried to load all its models."""
        try:
            with grpcclient.InferenceServerClient(self.url) as client:
                return bool(client.is_server_ready(client_timeout=1))
        except InferenceServerException:
            return False

    def missing_models(self) -> list[str]:
        """Models that the running server was to load and has not."""
        with grpcclient.InferenceServerClient(self.url) as client:
            return [
                model for model in self.models if not client.is_model_ready(model, client_timeout=5)
            ]

    def _start_error(self, what: str) -> Exception:
        tail = self.log_tail()
        if "Address already in use" in tail or "failed to bind" in tail.lower():
            return PortInUseError(
                f"Triton found one of its ports {self.ports} in use: choose other ports"
            )
        return TritonUnavailableError(
            f"the Triton server on {self.url} {what}; see {self.log_path}: {tail[-600:]}"
        )

    def log_tail(self, size: int = 4000) -> str:
        """The end of the server's log."""
        if not self.log_path.is_file():
            return ""
        return self.log_path.read_bytes()[-size:].decode(errors="replace").strip()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End the server, kindly first, by force after ``timeout_s``; it may be started again."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                LOG.warning("Triton did not stop within %.0f s and is killed", timeout_s)
        if process is not None:
            self._end_group(process)
        sweep_shared_memory(shared_memory_prefix(self.runtime_folder))

    def _end_group(self, process: subprocess.Popen[bytes]) -> None:
        """No model process may be left, whichever way the server ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._launcher.shutdown()
