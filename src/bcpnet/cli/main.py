"""From arguments to a verb's function, and from exceptions to one clear line and an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NoReturn

from bcpnet.cli.complain import complain, open_streams
from bcpnet.cli.interrupts import exit_code, interruptible
from bcpnet.errors import InputError, InputWarning, UsageError
from bcpnet.machine import default_threads

# What is not in the base install, and the extra that brings it.
_EXTRAS = {
    "torch": "train",
    "lightning_fabric": "train",
    "safetensors": "train",
    "tensorboard": "train",
    "onnx": "train",
    "onnx_ir": "train",
    "onnxscript": "train",
    "tflite": "train",
    "openvino": "openvino",
    "matplotlib": "paper",
    "starlette": "serve",
    "uvicorn": "serve",
    "h11": "serve",
    "multipart": "serve",
    "websockets": "serve",
    "pyarrow": "batch",
    "ray": "ray",
    "ai_edge_litert": "litert",
    "flatbuffers": "litert",
    "ncnn": "ncnn",
    "pnnx": "ncnn",
}
_NARROWEST = 40  # columns of a terminal that help is written for


@dataclass(frozen=True)
class Verb:
    """One command.

    Attributes:
        module: where in this package its options (a dataclass) and function (of those options) are.
        options: name of the dataclass.
        summary: one line for `bcpnet --help`.
    """

    module: str
    options: str
    summary: str


VERBS = {
    "predict": Verb("predict", "Predict", "segment images, folders and videos"),
    "batch": Verb("batch", "Batch", "segment an archive into Parquet, on one machine or many"),
    "evaluate": Verb("evaluate", "Evaluate", "score weights on a dataset: IoU per class, mIoU"),
    "train": Verb("train", "Train", "train a recipe, or go on with an interrupted run"),
    "export": Verb("export", "Export", "write weights as ONNX, checked against the network"),
    "serve": Verb("serve", "Serve", "segment images over HTTP"),
    "benchmark": Verb("benchmark", "Benchmark", "measure speed from frame in to class map out"),
    "paper": Verb("paper", "Paper", "measure the paper's comparison of twelve systems with BCPNet"),
    "info": Verb("info", "Info", "count a network's parameters and multiply-adds; describe weights"),
    "models": Verb("models", "Models", "list the weights that ship"),
    "data": Verb("data", "Data", "fetch a dataset, or check one"),
    "pretrained": Verb("pretrained", "Pretrained", "fetch weights that others trained"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `bcpnet VERB ...`; returns 0, 1 for bad input, 2 for a wrong call, 130 after Ctrl-C, 143 after SIGTERM."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    open_streams()
    _limit_threads()
    try:
        # These first end what they do, which may take longer than a watchdog waits.
        with interruptible(watched=words[:1] not in (["train"], ["serve"])) as check, warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")  # what libraries tell programmers; `python -W` brings it back
                warnings.simplefilter("default", InputWarning)
                warnings.showwarning = lambda message, *_, **__: complain(message)
            try:
                code = _run(words)
            except BaseException:  # which a library may have made of the signal's
                check()
                raise
        print(end="", flush=True)  # output that cannot be written shall fail here, not after the last line
        return code
    except UsageError as error:
        return _complain(error, 2)
    except InputError as error:
        return _complain(error, 1)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        return _complain(f'this needs the package {package}: in the checkout, pip install ".[{_EXTRAS[package]}]"', 2)
    except KeyboardInterrupt as stop:
        return _complain("interrupted", exit_code(stop))
    except MemoryError as error:
        return _complain("out of memory: choose a smaller size" + (f" ({error})" if str(error) else ""), 1)
    except BrokenPipeError:  # the reader of our output has gone (`| head`)
        _drop_output()
        return 0
    except OSError as error:  # of our own output, for one: files are read and written with messages of their own
        _drop_output()
        where = "cannot write the output" if error.filename is None else error.filename
        return _complain(f"{where}: {error.strerror or error}", 1)


def program() -> NoReturn:
    """`main` as a process of its own, which ends with its exit code."""
    code = main()
    if any(thread.daemon and thread.name.startswith("live") for thread in threading.enumerate()):
        # It waits inside FFmpeg for a source that says nothing, and would crash as Python is taken down around it.
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _limit_threads() -> None:
    """Lets the libraries that count cores as they are loaded, and the processes started here, heed a CPU quota."""
    threads = default_threads()
    if threads is not None:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, str(threads))


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else 2
    if words[0] == "--version":
        from bcpnet import __version__

        print(__version__)
        return 0
    name, rest = words[0], words[1:]
    if name not in VERBS:
        raise UsageError(f"unknown command {name!r}: choose one of {', '.join(VERBS)}")
    module = import_module(f"bcpnet.cli.{VERBS[name].module}")
    options = getattr(module, VERBS[name].options)
    default = None
    if hasattr(options, "defaults"):  # `train` takes its defaults from the recipe named first
        default, rest = options.defaults(rest)
        if default is None:
            return 0
    called = " ".join(["bcpnet", *words[: len(words) - len(rest)]])
    parsed = _parse(options, called, rest, default)
    if parsed is None:
        return 0
    run: Callable[[Any], int] = module.run
    return run(parsed)


def _parse(options: type[Any], called: str, words: list[str], default: Any) -> Any:
    """The options, or None after --help; `called` is the command so far ("bcpnet train streets").

    Raises UsageError with tyro's message in one line.
    """
    import tyro

    if shutil.get_terminal_size().columns < _NARROWEST:  # tyro would take many times as long, to write a letter a line
        os.environ["COLUMNS"] = str(_NARROWEST)
    complaint = io.StringIO()
    config = (tyro.conf.OmitArgPrefixes,)
    try:
        with contextlib.redirect_stderr(complaint):
            keywords = {} if default is None else {"default": default}
            return tyro.cli(options, prog=called, args=words, config=config, **keywords)
    except SystemExit as end:
        if not end.code:
            return None
        raise UsageError(f"{_one_line(complaint.getvalue())} (see {called} --help)") from None


def _one_line(box: str) -> str:
    """The text of the first section of one of tyro's boxes."""
    lines = [line.strip("│╭╮╰╯ ") for line in box.splitlines()]
    body = [line for line in lines if line and not line.endswith("──")]
    rule = next((i for i, line in enumerate(lines) if line and set(line) == {"─"}), len(lines))
    first = [line for line in lines[:rule] if line and not line.endswith("──")]
    return " ".join(first or body[:1]).partition(" Got errors:")[0]


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:{width}}  {verb.summary}" for name, verb in VERBS.items())
    return (
        "bcpnet: real-time semantic segmentation\n\nusage: bcpnet COMMAND [options]\n\n"
        f"{verbs}\n\nbcpnet COMMAND --help lists its options; bcpnet --version prints the version."
    )


def _drop_output() -> None:
    """Sends the rest of standard output nowhere if it cannot be written: Python would try again as it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(error: object, code: int) -> int:
    complain(error)
    return code
