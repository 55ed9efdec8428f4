"""Sessions with a Triton server: pictures go by shared memory, answers come by gRPC.

A session outlives the server it talks to. It waits for a server that is starting, restarting or
swapping a model, registers its memory again, and follows a model whose input size has changed;
after ``deadline_s`` without an answer it raises TritonUnavailableError.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException

from plugins.errors import InvalidModelError, TritonUnavailableError
from plugins.inference.model_import import read_record
from plugins.inference.served_model import ServedModel, served_model
from plugins.inference.shared_memory import SharedRegion, sweep_regions

LOG = logging.getLogger(__name__)
T = TypeVar("T")
Array = npt.NDArray[np.generic]
Pixels = npt.NDArray[np.uint8]
REQUEST_TIMEOUT_S = 20.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
# INTERNAL is what a model process that was killed answers until its server is restarted.
RETRIED = frozenset({"UNAVAILABLE", "NOT_FOUND", "INTERNAL", "DEADLINE_EXCEEDED", "CANCELLED"})
CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    # Otherwise a new channel inherits the backoff of an older one to the same address.
    ("grpc.use_local_subchannel_pool", 1),
]


class Triton:
    """A server's address and how long to wait for it. ``url`` is ``host:port`` of gRPC.

    Connects when first needed. ``repository`` is the server's model repository where this process
    can read it: it makes model versions exact (see ``ModelSession.model_version``).
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_s: float = 30.0,
        use_shared_memory: bool = True,
        repository: Path | None = None,
    ) -> None:
        self.url = url.removeprefix("grpc://")
        self.deadline_s = deadline_s
        self.use_shared_memory = use_shared_memory
        self.repository = repository
        self._sessions: list[ModelSession] = []
        if use_shared_memory:
            sweep_regions()

    def session(self, model: str, max_batch: int) -> "ModelSession":
        """A session for one thread with one model; closed with this object."""
        session = ModelSession(self, model, max_batch)
        self._sessions.append(session)
        return session

    def end(self, session: "ModelSession") -> None:
        """Close one session before the others."""
        self._sessions.remove(session)
        session.close()

    def is_ready(self, model: str) -> bool:
        """Whether the server answers now and has the model."""
        try:
            with self.client() as client:
                return bool(client.is_model_ready(model, client_timeout=2))
        except InferenceServerException:
            return False

    def versions(self, model: str) -> set[int]:
        """Versions of the model that the server answers with now; none where it is away."""
        try:
            with self.client() as client:
                index = client.get_model_repository_index(client_timeout=2).models
        except InferenceServerException:
            return set()
        return {int(e.version) for e in index if e.name == model and e.state == "READY"}

    def load(self, model: str) -> None:
        """Have the server load the newest version of the model; the old one serves meanwhile.

        InvalidModelError with the server's words if it refuses; TritonUnavailableError if it is
        away.
        """
        try:
            with self.client() as client:
                client.load_model(model, client_timeout=120)
        except InferenceServerException as error:
            if status_of(error) in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}:
                raise self.unavailable(model, error) from error
            raise InvalidModelError(
                f"Triton at {self.url} cannot load '{model}': {error.message()}; remove the bad "
                "version or import another"
            ) from error

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A gRPC client of its own, closed afterwards."""
        client = grpcclient.InferenceServerClient(self.url, channel_args=CHANNEL_OPTIONS)
        try:
            yield client
        finally:
            client.close()

    def unavailable(self, model: str, error: Exception) -> TritonUnavailableError:
        """The error for a server that did not give an answer in time."""
        reason = error.message() if isinstance(error, InferenceServerException) else str(error)
        return TritonUnavailableError(
            f"Triton at {self.url} does not answer for '{model}' ({reason}): check that it runs, "
            "that TRITON_URL is its gRPC address, and that 'spoton models list' shows a version"
        )

    def close(self) -> None:
        """Close all sessions and unlink their memory."""
        while self._sessions:
            self._sessions.pop().close()


class ModelSession:
    """One thread's conversation with one model. Waits for the model; InvalidModelError if it does
    not keep the contract.
    """

    def __init__(self, triton: Triton, model: str, max_batch: int) -> None:
        self._triton = triton
        self._model = model
        self._wanted_batch = max_batch
        self._client = grpcclient.InferenceServerClient(triton.url, channel_args=CHANNEL_OPTIONS)
        self._region: SharedRegion | None = None
        self._is_registered = False
        self._pixels: Pixels = np.empty(0, np.uint8)
        self._digest = ("", "")
        self._version = ""
        self.served: ServedModel = self._patiently(self._read_metadata)
        self._prepare()

    @property
    def max_batch(self) -> int:
        """Most pictures in one request."""
        return min(self._wanted_batch, self.served.max_batch)

    @property
    def uses_shared_memory(self) -> bool:
        """Whether pictures go by shared memory; False with a server on another host."""
        return self._region is not None

    @property
    def model_version(self) -> str:
        """``model/version/sha256`` (first 12 digits) of the model that answered last.

        Without the server's repository at hand the digest is left out.
        """
        version = self._version or self.served.version
        if self._digest[0] != version:
            self._digest = (version, self._read_digest(version))
        return "/".join(part for part in (self._model, *self._digest) if part)

    def run(self, count: int, fill: Callable[[Pixels], None]) -> dict[str, Array]:
        """Outputs for ``count`` pictures (1..max_batch) that ``fill`` draws.

        ``fill`` gets uint8 (count, 3, H, W) to write every byte of; it is called again, with
        another size, if the server has changed to a model of that size meanwhile.
        """
        return self._patiently(lambda: self._run_once(count, fill))

    def close(self) -> None:
        """Unregister and unlink the memory, close the connection."""
        try:
            self._release_region()
        finally:
            self._client.close()

    def _run_once(self, count: int, fill: Callable[[Pixels], None]) -> dict[str, Array]:
        self._register()
        fill(self._batch(count))
        try:
            result = self._client.infer(
                self._model, [self._input(count)], client_timeout=REQUEST_TIMEOUT_S
            )
        except InferenceServerException as error:
            self._recover(error)
            raise
        self._version = result.get_response().model_version
        return {name: result.as_numpy(name) for name in self.served.outputs}

    def _recover(self, error: InferenceServerException) -> None:
        """Take note of a server that forgot our memory or changed its model.

        InvalidModelError if the server refuses the request for good.
        """
        if "shared memory region" in error.message():
            self._is_registered = False
        elif status_of(error) == "INVALID_ARGUMENT":
            before = self.served
            self.served = self._read_metadata()
            if (self.served.size_hw, self.served.max_batch) == (before.size_hw, before.max_batch):
                raise InvalidModelError(
                    f"Triton at {self._triton.url} refuses '{self._model}': {error.message()}"
                ) from error
            LOG.info("%s now takes %dx%d pictures", self._model, *self.served.size_hw)
            self._prepare()

    def _patiently(self, action: Callable[[], T]) -> T:
        """Try until the deadline; TritonUnavailableError after it."""
        deadline = time.monotonic() + self._triton.deadline_s
        pause = FIRST_PAUSE_S
        while True:
            try:
                return action()
            except InferenceServerException as error:
                may_pass = status_of(error) in RETRIED | {"INVALID_ARGUMENT"}
                if not may_pass or time.monotonic() + pause > deadline:
                    raise self._triton.unavailable(self._model, error) from error
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _read_metadata(self) -> ServedModel:
        metadata = self._client.get_model_metadata(self._model, client_timeout=REQUEST_TIMEOUT_S)
        config = self._client.get_model_config(self._model, client_timeout=REQUEST_TIMEOUT_S)
        return served_model(self._triton.url, metadata, config.config.max_batch_size)

    def _read_digest(self, version: str) -> str:
        if self._triton.repository is None or not version:
            return ""
        record = read_record(self._triton.repository / self._model / version)
        return record.sha256[:12] if record else ""

    def _prepare(self) -> None:
        """Memory for a full batch of the served size."""
        self._release_region()
        size = self.served.picture_bytes * self.max_batch
        if self._triton.use_shared_memory:
            try:
                self._region = SharedRegion(self._model, size)
            except OSError as error:
                LOG.warning("no shared memory for %s (%s): sending by gRPC", self._model, error)
        self._pixels = self._region.pixels if self._region else np.empty(size, np.uint8)

    def _batch(self, count: int) -> Pixels:
        size = count * self.served.picture_bytes
        return self._pixels[:size].reshape(count, 3, *self.served.size_hw)

    def _input(self, count: int) -> grpcclient.InferInput:
        served = self.served
        tensor = grpcclient.InferInput(served.input_name, [count, 3, *served.size_hw], "UINT8")
        if self._region is not None:
            tensor.set_shared_memory(self._region.name, count * served.picture_bytes)
        else:
            tensor.set_data_from_numpy(self._batch(count))
        return tensor

    def _register(self) -> None:
        """Tell the server about our memory, once per server; without it, fall back to gRPC."""
        region = self._region
        if region is None or self._is_registered:
            return
        try:
            self._client.unregister_system_shared_memory(region.name)
            self._client.register_system_shared_memory(
                region.name, f"/{region.name}", region.byte_size
            )
            self._is_registered = True
        except InferenceServerException as error:
            if status_of(error) in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}:
                raise
            LOG.warning("%s cannot use shared memory (%s)", self._triton.url, error.message())
            self._release_region()
            self._pixels = np.empty(region.byte_size, np.uint8)

    def _release_region(self) -> None:
        region, self._region = self._region, None
        if region is None:
            return
        if self._is_registered:
            self._is_registered = False
            try:
                self._client.unregister_system_shared_memory(region.name, client_timeout=1)
            except InferenceServerException as error:
                LOG.debug("%s was not unregistered: %s", region.name, error.message())
        region.close()


def status_of(error: InferenceServerException) -> str:
    """GRPC status name of an error, such as ``UNAVAILABLE``."""
    return str(error.status() or "").removeprefix("StatusCode.")
