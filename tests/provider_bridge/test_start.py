"""What a start of the provider's process costs and does. It is paid two to five times per Terraform command."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from provider_bridge.framework.servicer import Servicer
from provider_bridge.protocol import certificate, serve
from provider_bridge.resources.provider import ExclaveProvider

COOKIE = dict([serve._COOKIE])


def client_certificate() -> str:
    return certificate.create().pem.decode()


def start(**environment: str) -> "subprocess.Popen[str]":
    base = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "PLUGIN_", "EXCLAVE_"))}
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "provider_bridge"],
        env={**base, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_start_imports_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys, provider_bridge.resources.provider, provider_bridge.framework.servicer, provider_bridge.protocol.serve;"
        "print(' '.join(name for name in sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.split()
    unwanted = (
        "pydantic",
        "httpx",
        "cryptography",
        "http.client",
        "urllib.request",
        "api",
        "agent",
        "click",
        "pathlib",
        "tempfile",
        "yaml",
        "asyncio",
        "grpc",
        "traceback",
        "decimal",
        "provider_bridge.framework.ephemeral",
        "provider_bridge.framework.functions",
        "provider_bridge.framework.listing",
        "provider_bridge.framework.meaning",
    )
    assert [name for name in unwanted if name in loaded] == []


def test_a_start_loads_nothing_of_what_only_its_dependencies_ask_for() -> None:
    """Serve as Terraform would have it, and look at what is loaded by the time of the handshake."""
    code = (
        "import os, sys; from provider_bridge import __main__; from provider_bridge.later import _Later;"
        "__main__.load_later(*__main__._NEVER_USED); from provider_bridge.protocol import serve;"
        "serve._run = lambda listener, hello, done, wanted, load: (load(), listener.close(), print(hello));"
        "names = __main__._NEVER_USED;"
        "os._exit = lambda code: print(*[name for name in names if type(sys.modules[name]) is not _Later]);"
        "__main__.main()"
    )
    environment = {**os.environ, **COOKIE, "PLUGIN_CLIENT_CERT": client_certificate()}
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[1] == "", "these were loaded"


def test_the_handshake_comes_before_the_load_of_what_only_calls_need() -> None:
    code = (
        "import os, sys; from provider_bridge import __main__; from provider_bridge.protocol import serve;"
        "names = 'google.protobuf', 'msgpack', 'provider_bridge.framework.servicer', 'provider_bridge.resources.provider';"
        "told = lambda: print([name for name in names if name in sys.modules]);"
        "serve._run = lambda listener, hello, done, wanted, load: (told(), load(), told(), listener.close());"
        "os._exit = lambda code: None;"
        "__main__.main()"
    )
    environment = {**os.environ, **COOKIE, "PLUGIN_CLIENT_CERT": client_certificate()}
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, env=environment)
    before, after = done.stdout.splitlines()
    assert before == "[]"
    assert after.count(",") == 3


def test_a_call_waits_until_what_answers_it_is_loaded() -> None:
    loading = serve._Loading()
    answerer = Servicer(ExclaveProvider({}))
    found: list[object] = []
    call = threading.Thread(target=lambda: found.append(loading.loaded()))
    call.start()
    loading.load(lambda: answerer)
    call.join()
    assert found == [answerer]


def test_where_loading_fails_calls_are_refused_and_the_process_ends() -> None:
    loading = serve._Loading()
    with pytest.raises(ZeroDivisionError):
        loading.load(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    assert loading.loaded() is None
    assert serve._method(loading.loaded, threading.Event(), "/tfplugin6.Provider/GetProviderSchema") is None
    code = (
        "import sys; from provider_bridge import __main__; sys.modules['provider_bridge.resources.provider'] = None;"
        "__main__.main()"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **COOKIE, "PLUGIN_CLIENT_CERT": client_certificate()},
    )
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
    assert not Path(done.stdout.split("|")[3]).exists()


def test_what_is_loaded_later_is_what_it_stands_for() -> None:
    code = (
        "from provider_bridge.later import load_later; load_later('asyncio', 'inspect'); import asyncio, inspect, sys;"
        "from asyncio import sslproto; late = asyncio.run; assert sys.modules['asyncio'].run is late;"
        "assert inspect.signature(len); print(asyncio.sslproto is sslproto, asyncio.run(asyncio.sleep(0, 'slept')))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True slept\n"


def test_a_start_by_hand_is_refused_in_words() -> None:
    with start() as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert not output
    assert "it is started by `terraform` or `tofu`" in errors


def test_a_terraform_of_another_protocol_is_refused_in_words() -> None:
    with start(**COOKIE, PLUGIN_PROTOCOL_VERSIONS="5") as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert not output
    assert "plugin protocol 6" in errors


def test_the_handshake_names_a_private_socket_and_a_certificate() -> None:
    with start(**COOKIE, PLUGIN_PROTOCOL_VERSIONS="5,6", PLUGIN_CLIENT_CERT=client_certificate()) as process:
        assert process.stdout
        core, protocol, network, socket, kind, certificate = process.stdout.readline().strip().split("|")
        assert (core, protocol, network, kind) == ("1", "6", "unix", "grpc")
        assert certificate
        assert "=" not in certificate
        folder = Path(socket).parent
        assert folder.stat().st_mode & 0o777 == 0o700
        process.terminate()
        process.wait(60)
        assert not folder.exists()


def test_a_client_without_a_certificate_is_refused_in_words(tmp_path: Path) -> None:
    with start(**COOKIE, PLUGIN_CLIENT_CERT="none", TMPDIR=str(tmp_path)) as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    assert "PLUGIN_CLIENT_CERT holds no certificate" in errors
    assert not list(tmp_path.iterdir())


def test_a_long_temporary_folder_does_not_break_the_socket(tmp_path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    with start(**COOKIE, TMPDIR=str(long)) as process:
        assert process.stdout
        socket = process.stdout.readline().split("|")[3]
        assert len(socket) < 104
        process.terminate()


def test_a_signal_whose_exception_is_lost_while_the_rest_loads_ends_the_process() -> None:
    """It went on for good: a callback of Python's own import machinery had been interrupted, and can't pass an exception on."""
    code = """
import os, signal
from provider_bridge.protocol import serve

class Callback:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass  # the handler runs here at the latest

serve.serve_terraform(lambda: Callback() and None, os.environ)
print("ended")
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, **COOKIE}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert output.splitlines()[1:] == ["ended"]


def test_the_process_ends_when_terraform_is_killed() -> None:
    script = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:]); print(p.pid, flush=True); sys.stdin.read()"
    environment = {**os.environ, **COOKIE}
    with subprocess.Popen(
        [sys.executable, "-c", script, sys.executable, "-I", "-m", "provider_bridge"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as terraform:
        assert terraform.stdout
        lines = [terraform.stdout.readline(), terraform.stdout.readline()]
        assert any(line.startswith("1|6|unix|") for line in lines)
        terraform.kill()
        # The provider holds the other end of this pipe, so it reads to its end once both are gone.
        assert terraform.stdout.read() == ""


def test_the_process_ends_when_nobody_reads_what_it_says_any_more() -> None:
    with start(**COOKIE) as process:
        assert process.stdout
        folder = Path(process.stdout.readline().split("|")[3]).parent
        process.stdout.close()  # as when Terraform is killed, whoever the parent is then
        assert process.wait(60) == 0
        assert not folder.exists()


def test_the_process_ends_when_terraform_was_killed_before_it_could_ask_for_its_parent() -> None:
    orphan = (
        "import os, sys, time\nwhile os.getppid() == int(sys.argv[1]): time.sleep(0.01)\nos.execv(sys.argv[2], sys.argv[2:])"
    )
    killed = (
        "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid()), *sys.argv[2:]])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", killed, orphan, sys.executable, "-I", "-m", "provider_bridge"],
        env={**os.environ, **COOKIE},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as terraform:
        assert terraform.stdout
        folder = Path(terraform.stdout.readline().split("|")[3]).parent
        assert terraform.wait(60) == 0
        terraform.stdout.close()
        # The provider holds the other end of stderr, so it reads to its end once that is gone, too.
        assert terraform.communicate(timeout=60)[1] == ""
        assert not folder.exists()
