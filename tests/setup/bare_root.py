# SPDX-License-Identifier: Apache-2.0
"""A bare Debian in a folder, by debootstrap, and programs that run in it.

systemd is installed there but does not run: a service is started as its unit says, by hand. What is
mounted there lies in a mount namespace of each program's own, so nothing stays behind.
"""
import os
import re
import shlex
import shutil
import signal
import subprocess
import time

# $0 is the root; the rest is the command.
ENTER = """for name in proc sys dev; do mount --rbind "/$name" "$0/$name" || exit 125; done
exec chroot "$@"
"""


class Unavailable(Exception):
    """Why there can be no bare root here."""


def release_and_mirror():
    """This machine's release, and where its apt fetches it: nothing where apt doesn't say."""
    with open("/etc/os-release", encoding="utf-8") as file:
        codename = re.search(r'(?m)^VERSION_CODENAME="?(\w+)', file.read())
    if not codename:
        raise Unavailable("/etc/os-release names no release of Debian or Ubuntu")
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)",
         "Created-By: Packages"], capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        suite, component, address = line.split(maxsplit=2)
        if (suite, component) == (codename.group(1), "main"):
            return suite, [address]
    return codename.group(1), []


def failed(command):
    """What a command said last, where it failed; nothing where it did not."""
    run = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=False)
    return "" if run.returncode == 0 else (run.stdout.strip().splitlines() or ["it failed"])[-1]


class BareRoot:
    def __init__(self, folder):
        """Raises Unavailable with a reason that is not coppice's."""
        self.folder = folder
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        if os.geteuid() != 0:
            raise Unavailable("it takes root")
        for tool in ("debootstrap", "unshare", "chroot", "apt-get"):
            if not shutil.which(tool):
                raise Unavailable(f"there is no {tool}; tools/setup.sh tests installs debootstrap")
        if said := failed(["unshare", "--mount", "true"]):
            raise Unavailable(f"mounts of its own are not allowed here: {said}")
        suite, mirror = release_and_mirror()
        if said := failed(["unshare", "--mount", "debootstrap", "--variant=minbase",
                           "--include=systemd", suite, folder, *mirror]):
            raise Unavailable(f"debootstrap could not make {suite}: {said}")
        if said := failed(self.entering("root", ["true"])):
            raise Unavailable(f"nothing runs in a root made here: {said}")

    @staticmethod
    def variables(more=None):
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/",
                "DEBIAN_FRONTEND": "noninteractive", **(more or {})}

    def entering(self, user, command):
        return ["unshare", "--mount", "sh", "-c", ENTER, str(self.folder),
                f"--userspec={user}:{user}", str(self.folder), *map(str, command)]

    def run(self, *command, user="root", expect=0):
        """Runs a command to its end and gives what it wrote."""
        done = subprocess.run(self.entering(user, command), capture_output=True, text=True,
                              timeout=300, check=False, env=self.variables())
        if done.returncode != expect:
            raise AssertionError(f"{command}: {done.returncode}, not {expect}: "
                                 f"{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, log, *command, user="root", variables=None):
        return Running(log, self.entering(user, command), self.variables(variables))

    def start_service(self, log, unit, *flags):
        """As systemd would by the unit: its user, variables and command, and `flags` after it."""
        text = (self.folder / "lib/systemd/system" / unit).read_text(encoding="utf-8")
        said = dict(re.findall(r"(?m)^(\w+)=(.*)$", text))
        assert (self.folder / said["ConditionPathExists"].lstrip("/")).exists(), unit
        settings = self.folder / said["EnvironmentFile"].lstrip("-/")
        variables = dict(re.findall(r"(?m)^(\w+)=(.*)$", settings.read_text(encoding="utf-8")))
        words = []
        for word in said["ExecStart"].split():
            words += shlex.split(variables.get(word[1:], "")) if word[0] == "$" else [word]
        return self.start(log, *words, *flags, user=said["User"], variables=variables)


class Running:
    """A program in the background, its output in a file."""

    def __init__(self, log, command, variables):
        self.log = log
        with open(log, "wb") as out:
            # Each program on the way replaces itself by the next: the child is the last of them.
            self.child = subprocess.Popen(command, stdout=out, stderr=out, env=variables)

    def output(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, seconds):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s: {self.output()}") from None

    def wait_for(self, words, seconds=60):
        deadline = time.monotonic() + seconds
        while words not in self.output():
            if time.monotonic() > deadline or self.child.poll() is not None:
                raise AssertionError(f"no '{words}' within {seconds} s: {self.output()}")
            time.sleep(0.05)

    def stop(self):
        """As systemd stops a service."""
        self.child.send_signal(signal.SIGTERM)
        return self.wait(60)

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
