"""The image built and run without an engine: buildah builds it, unshare and chroot run it as Kubernetes would.

It runs as the image's own user, as PID 1, on a root that cannot be written. It shares the network.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.kubeconfig import kubeconfig
from tests.support.observing import Observed

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "image"
CERTIFICATES = Path("/etc/ssl/certs")
GRACE_SECONDS = 30.0  # Kubernetes' default
MOUNTED = "/mnt"
"""Where a container finds the folder that it is given."""

# $1 is the root, $2 the folder to mount, $3 user:group; then comes the command.
START = f"""
set -e
mount --bind "$1" "$1"
mount --rbind /dev "$1/dev"
mount --bind "$2" "$1{MOUNTED}"
mount -t proc proc "$1/proc"
mount -o remount,bind,ro "$1"
root=$1 user=$3
shift 3
exec chroot --groups= --userspec="$user" "$root" "$@"
"""


@dataclass(frozen=True)
class Image:
    """An image: its id, the digests of its layers, its configuration, its files, and what was written about it."""

    id: str
    layers: list[str]
    config: dict[str, Any]
    files: Path
    papers: Path

    def command(self, *words: str, folder: Path, environment: dict[str, str] | None = None) -> list[str]:
        """What runs the image, as its PID 1, with these words instead of its own, and `folder` at MOUNTED."""
        variables = [*self.config["Env"], *(f"{name}={value}" for name, value in (environment or {}).items())]
        inside = ["env", "--ignore-environment", *variables, *self.config["Entrypoint"], *words]
        outside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", START, "sh"]
        return [*outside, str(self.files), str(folder), self.config["User"], *inside]

    def run(self, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(self.command(*words, folder=folder), capture_output=True, text=True, check=False)


@contextmanager
def storage(folder: Path) -> Iterator[dict[str, str]]:
    """The environment for buildah to keep all it makes in `folder`, and to need nothing of the kernel."""
    config = folder / "storage.conf"
    config.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n')
    yield {**os.environ, "CONTAINERS_STORAGE_CONF": str(config), "BUILDAH_ISOLATION": "chroot", "ENGINE": "buildah"}
    shutil.rmtree(folder, ignore_errors=True)


def buildah(environment: dict[str, str], *words: str) -> str:
    """Run buildah; its stdout."""
    done = subprocess.run(["buildah", *words], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def make_base(environment: dict[str, str], archive: str) -> str:
    """The name of an image with the files of `archive`."""
    container = buildah(environment, "from", "scratch")
    buildah(environment, "add", container, archive, "/")
    buildah(environment, "config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", container)
    buildah(environment, "commit", "--rm", container, "localhost/base")
    return "localhost/base"


def build(environment: dict[str, str], base: str, name: str, papers: Path) -> Image:
    """The image as scripts/image builds it, with this machine's way to the package index."""
    environment = {**environment, "OUTPUT": str(papers)}
    volume = f"{CERTIFICATES}:{CERTIFICATES}:ro"
    arguments = ["--tag", name, "--build-arg", f"PYTHON_IMAGE={base}", "--volume", volume]
    for variable in ("PIP_CERT", "PIP_INDEX_URL"):
        if variable in os.environ:
            arguments += ["--build-arg", f"{variable}={os.environ[variable]}"]
    done = subprocess.run([SCRIPT, "build", *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    described = json.loads(buildah(environment, "inspect", "--type", "image", name))
    files = buildah(environment, "mount", buildah(environment, "from", name))
    return Image(
        described["FromImageID"],
        described["Docker"]["rootfs"]["diff_ids"],
        described["Docker"]["config"],
        Path(files),
        papers,
    )


class Container(Observed):
    """The image as it runs."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        super().__init__(url)
        self._process = process
        (self._pid_1,) = _children(process)

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far."""
        fields = Path(f"/proc/{self._pid_1}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def status(self) -> dict[str, list[str]]:
        """What the kernel says of it: /proc/PID/status, word by word."""
        lines = Path(f"/proc/{self._pid_1}/status").read_text(encoding="ascii").splitlines()
        return {line.split(":")[0]: line.split(":", 1)[1].split() for line in lines}

    def terminate(self) -> None:
        """As the kubelet does: SIGTERM to PID 1."""
        os.kill(self._pid_1, signal.SIGTERM)

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.to_thread(self._process.wait, GRACE_SECONDS)

    async def wait_for_log(self, message: str) -> None:
        """Read its log up to this message."""
        assert self._process.stderr is not None
        while f"msg={message}" not in (line := await asyncio.to_thread(self._process.stderr.readline)):
            assert line, f"its log ended before {message}"


@contextmanager
def running(image: Image, folder: Path, server: str, *flags: str, **environment: str) -> Iterator[Container]:
    """`run` in the image, against a server; on entry it listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    kubeconfig(folder, server)
    folder.chmod(0o755)
    words = ["run", "--kubeconfig", f"{MOUNTED}/kubeconfig", "--web.listen-address", address, *flags]
    command = image.command(*words, folder=folder, environment=environment)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            first = process.stderr.readline()
            assert "msg=listening" in first, first + process.stderr.read()
            yield Container(process, f"http://{address}")
        finally:
            # --kill-child does not survive the change of the user.
            for child in _children(process):
                os.kill(child, signal.SIGKILL)
            process.kill()


def _children(process: subprocess.Popen[str]) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
