"""The real binary as a process: free ports, files of its own, and a log that must stay clean."""

import atexit
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import httpx

from wait import DEADLINE

SERVICES = ("api", "notifier", "worker")


def binary(name: str) -> Path:
    """The binary: from the folder TBX_TEST_BINARIES, else from cargo's target folder."""
    target = os.environ.get("CARGO_TARGET_DIR") or Path(__file__).resolve().parents[3] / "target"
    path = Path(os.environ.get("TBX_TEST_BINARIES") or Path(target) / "debug") / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: cargo build --workspace --bins")
    return path


class Tbx:
    """Api, worker and notifier in one process. `end()` it."""

    def __init__(self, **settings: str) -> None:
        self.folder = tempfile.mkdtemp(prefix="tbx-clients-")
        self.settings = settings
        self.addresses: dict[str, str] = {}
        self.log: list[str] = []
        atexit.register(self._kill)
        self.start()

    @property
    def api(self) -> str:
        return f"http://{self.addresses['api']}"

    @property
    def notifier(self) -> str:
        return f"http://{self.addresses['notifier']}"

    def start(self) -> None:
        """Starts it; a second time on the same ports and files as before."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("TBX_")}
        env |= {f"TBX_{service.upper()}_LISTEN": self.addresses.get(service, "127.0.0.1:0") for service in SERVICES}
        env |= {
            "TBX_DATABASE_URL": f"sqlite:{self.folder}/tbx.db",
            "TBX_HISTORY_URL": f"sqlite:{self.folder}/history.db",
            "TBX_LOG_FORMAT": "json",
        }
        self.process = subprocess.Popen(
            [binary("tbx")],
            cwd=self.folder,
            env=env | self.settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._note = Path(os.environ["TBX_CLIENTS_PIDS"], str(self.process.pid)) if "TBX_CLIENTS_PIDS" in os.environ else None
        if self._note:
            # For `run`, in case this process is killed itself.
            self._note.touch()
        self._listening: set[str] = set()
        self._reader = threading.Thread(target=self._follow, args=(self.process.stderr,), daemon=True)
        self._reader.start()
        self._until("the services listen", lambda: len(self._listening) == len(SERVICES))
        for service in SERVICES:
            self._until(f"{service} is ready", lambda: self._ready(service))

    def stop(self) -> None:
        """Stops it in good order."""
        self.process.send_signal(signal.SIGTERM)
        self.stopped()

    def stopped(self) -> None:
        code = self.process.wait(DEADLINE)
        self._reader.join()
        self.process.stderr.close()
        if self._note:
            self._note.unlink(missing_ok=True)
        assert code == 0, f"tbx ended with {code}\n" + "\n".join(self.log)

    def end(self) -> None:
        """Stops it, removes its files and looks through its log."""
        try:
            if self.process.poll() is None:
                self.stop()
            bad = [line for line in self.log if "panicked at" in line or parsed(line).get("level") == "ERROR"]
            assert not bad, "the log has errors:\n" + "\n".join(bad)
        finally:
            self._kill()
            atexit.unregister(self._kill)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _follow(self, stderr) -> None:
        for line in stderr:
            self.log.append(line.rstrip("\n"))
            entry = parsed(line)
            if entry.get("message") == "listening":
                self.addresses[entry["service"]] = entry["addr"]
                self._listening.add(entry["service"])

    def _ready(self, service: str) -> bool:
        try:
            return httpx.get(f"http://{self.addresses[service]}/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def _until(self, what: str, condition) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            log = "\n".join(self.log)
            assert self.process.poll() is None, f"tbx ended before it was ready\n{log}"
            assert time.monotonic() < end, f"not within {DEADLINE} s: {what}\n{log}"
            time.sleep(0.005)

    def _kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def parsed(line: str) -> dict:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
