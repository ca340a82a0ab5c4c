"""A SLURM cluster of two nodes on this machine, on loopback, without accounts: for tests. Needs root and the packages
slurmctld, slurmd, slurm-client and munge."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol")
PORT = 16817

CONF = """
ClusterName=onebox
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={d}/state
SlurmdSpoolDir={d}/spool.%n
SlurmctldPidFile={d}/slurmctld.pid
SlurmdPidFile={d}/slurmd.%n.pid
SlurmctldLogFile={d}/log/slurmctld.log
SlurmdLogFile={d}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
SchedulerParameters=sched_interval=2,bf_interval=2
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
KillWait=15
MinJobAge=60
MaxArraySize=5
SlurmdTimeout=20
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={one} CPUs=1 RealMemory=2000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={two} CPUs=1 RealMemory=2000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def lacking() -> str:
    """Why there can be no cluster here, or ""."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"SLURM is not installed here ({', '.join(missing)})"
    return "" if os.geteuid() == 0 else "starting SLURM's daemons needs root"


@dataclass
class OneBox:
    """The running cluster. daemons: name -> process."""

    folder: Path
    environment: Mapping[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        """Start a daemon in the foreground."""
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **self.environment}
            )

    def end(self, name: str) -> None:
        """End a daemon."""
        child = self.daemons.pop(name)
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(10)
        child.kill()
        child.wait()

    def call(self, *command: str) -> str:
        """What a command of SLURM says."""
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **self.environment}, timeout=120, check=False
        )
        return done.stdout + done.stderr

    def up(self) -> bool:
        """Whether both nodes take jobs."""
        return self.call("sinfo", "-h", "-N", "-o", "%N %T").count(" idle") == 2


@contextmanager
def onebox(folder: Path) -> Iterator[OneBox]:
    """The cluster, up; its daemons end with the block."""
    for name in ("state", "log", "spool.n1", "spool.n2", "run"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    conf = folder / "slurm.conf"
    ports = {"port": PORT, "one": PORT + 4, "two": PORT + 5}
    conf.write_text(CONF.format(host=socket.gethostname(), d=folder, **ports))
    box = OneBox(folder, {"SLURM_CONF": str(conf)})
    run = Path("/run/munge")
    run.mkdir(exist_ok=True)
    shutil.chown(run, "munge", "munge")
    try:
        if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode != 0:
            box.start("munged", "runuser", "-u", "munge", "--", "munged", "--foreground", "--force")
            time.sleep(1)
        box.start("slurmctld", "slurmctld", "-D", "-c")
        for node in ("n1", "n2"):
            box.start(node, "slurmd", "-D", "-c", "-N", node)
        until = time.monotonic() + 90
        while not box.up():
            if time.monotonic() > until:
                raise RuntimeError(f"SLURM did not start: {box.call('sinfo', '-N', '-l')}")
            time.sleep(1)
        yield box
    finally:
        for name in reversed(list(box.daemons)):
            box.end(name)
