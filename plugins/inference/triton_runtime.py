"""Files, flags and ports of the embedded Triton server.

The ``tritonserver`` binary comes from the environment that ``make setup`` puts into
``.venv-triton`` and is run directly. Its backends folder is assembled from copies, because the
server refuses a backend library that is a link out of that folder.
"""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plugins.errors import PortInUseError, UnavailableError
from plugins.inference.model_import import MODELS, installed_versions

BACKEND_SOURCE = Path(__file__).parent / "onnxruntime_backend" / "model.py"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # where POSIX shared memory lives on Linux
ADDRESS = "127.0.0.1"
_DESCRIBE = """
import sys, sysconfig
print("%d.%d" % sys.version_info[:2])
print(sysconfig.get_path("purelib"))
print(sysconfig.get_config_var("LIBDIR"))
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports of the server on 127.0.0.1."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True, slots=True)
class Installation:
    """Where one server environment keeps its parts."""

    python: Path
    python_version: str
    site_packages: Path
    library_folder: str

    @property
    def triton(self) -> Path:
        """Root of the bundled server."""
        return self.site_packages / "pytriton" / "tritonserver"


def find_installation(python: Path) -> Installation:
    """The server environment whose Python is given; UnavailableError says how to set it up."""
    remedy = "run 'make setup', or point TRITON_URL at a running server"
    if not python.is_file():
        raise UnavailableError(f"the embedded Triton server is not set up ({python}): {remedy}")
    lines = subprocess.run(
        [str(python), "-c", _DESCRIBE], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    found = Installation(python, lines[0], Path(lines[1]), lines[2])
    if not (found.triton / "bin" / "tritonserver").is_file():
        raise UnavailableError(f"{python.parent.parent} holds no Triton server: {remedy}")
    return found


def assemble_backends(installation: Installation, runtime_folder: Path) -> Path:
    """Copy the Python backend and ours into ``runtime_folder/backends``; returns that folder."""
    triton = installation.triton
    python_backend = runtime_folder / "backends" / "python"
    own_backend = runtime_folder / "backends" / "onnxruntime"
    for folder in (python_backend, own_backend):
        folder.mkdir(parents=True, exist_ok=True)
    stub = triton / "python_backend_stubs" / installation.python_version
    for source in (
        triton / "backends" / "python" / "libtriton_python.so",
        triton / "backends" / "python" / "triton_python_backend_utils.py",
        stub / "triton_python_backend_stub",
    ):
        _replace_by_copy(source, python_backend / source.name)
    _replace_by_copy(BACKEND_SOURCE, own_backend / "model.py")
    return runtime_folder / "backends"


def _replace_by_copy(source: Path, target: Path) -> None:
    """A program that still runs cannot be written over, but its name can be given to another."""
    aside = target.with_name(f"{target.name}.new")
    shutil.copy2(source, aside)
    aside.replace(target)


def loadable_models(repository: Path) -> list[str]:
    """Models of the contract that have a configuration and at least one version."""
    return [
        model
        for model in MODELS
        if (repository / model / "config.pbtxt").is_file()
        and installed_versions(repository / model)
    ]


def free_ports() -> Ports:
    """Three ports nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind((ADDRESS, 0))
        return Ports(*(each.getsockname()[1] for each in sockets))


def require_free(ports: Ports) -> None:
    """PortInUseError naming the first port that something else listens on."""
    for use, port in (("HTTP", ports.http), ("gRPC", ports.grpc), ("metrics", ports.metrics)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ADDRESS, port))
            except OSError as error:
                raise PortInUseError(
                    f"port {port} on {ADDRESS}, wanted for Triton's {use}, is in use: stop the "
                    "program that listens there or choose another port"
                ) from error


def shared_memory_prefix(runtime_folder: Path) -> str:
    """Start of the names of this server's own regions in /dev/shm."""
    digest = hashlib.sha256(str(runtime_folder.resolve()).encode()).hexdigest()[:10]
    return f"spoton_triton_{digest}_"


def sweep_shared_memory(prefix: str) -> int:
    """Remove regions that a killed server of the same runtime folder left; returns how many."""
    stale = [path for path in SHARED_MEMORY.glob(f"{prefix}*") if path.is_file()]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def server_command(
    installation: Installation,
    repository: Path,
    backends: Path,
    *,
    ports: Ports,
    models: Sequence[str],
    memory_prefix: str,
) -> list[str]:
    """The server's command line; explicit model control, everything on the loopback address."""
    return [
        str(installation.triton / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={backends}",
        "--model-control-mode=explicit",
        "--model-config-name=cpu",
        *(f"--load-model={model}" for model in models),
        *(f"--{kind}-address={ADDRESS}" for kind in ("http", "grpc", "metrics")),
        f"--http-port={ports.http}",
        f"--grpc-port={ports.grpc}",
        f"--metrics-port={ports.metrics}",
        "--metrics-interval-ms=1000",
        "--allow-gpu-metrics=false",
        "--strict-readiness=false",
        "--exit-on-error=false",
        "--exit-timeout-secs=5",
        "--log-info=false",
        f"--backend-config=python,shm-region-prefix-name={memory_prefix}",
        f"--backend-config=onnxruntime,shm-region-prefix-name={memory_prefix}",
    ]


def server_environment(
    installation: Installation, repository: Path, base: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Environment in which the binary finds its libraries and the stub its Python."""
    libraries = [str(installation.site_packages / "nvidia_pytriton.libs")]
    libraries.append(installation.library_folder)
    if base.get("LD_LIBRARY_PATH"):
        libraries.append(base["LD_LIBRARY_PATH"])
    kept = {key: value for key, value in base.items() if not key.startswith("PYTHON")}
    return {
        **kept,
        "LD_LIBRARY_PATH": ":".join(libraries),
        "PATH": f"{installation.python.parent}:{base.get('PATH', os.defpath)}",
        "SPOTON_MODEL_REPOSITORY": str(repository),
    }
