"""XMPP: ejabberd and Prosody, with stream management (XEP-0198) and their own offline storage.

`<a/>` says that the server has handled a message: given it to the recipient's link, or put it into offline storage.
Neither waits for a disk. When ejabberd is killed, the repair of its table of offline messages (Mnesia, so Dets) loses
many of them, also some that were stored seconds before: https://github.com/erlang/otp/pull/11220.
"""

from __future__ import annotations

import base64
import os
import re
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final

from bench.load import Heard
from bench.peers.common import Peer, connect, secured, write_certificate
from bench.tls_socket import TlsSocket

HOST: Final = "localhost"
PASSWORD: Final = "secret"
EJABBERD: Final = """
hosts: [localhost]
loglevel: error
certfiles: ["{home}/both.pem"]
listen:
  - {{port: {port}, ip: "127.0.0.1", module: ejabberd_c2s, tls: {tls}, backlog: 1024, max_stanza_size: infinity}}
auth_method: mnesia
auth_password_format: plain
shaper_rules:
  max_user_offline_messages: infinity
modules:
  mod_offline: {{access_max_user_messages: max_user_offline_messages}}
  mod_stream_mgmt: {{max_ack_queue: infinity, resend_on_timeout: if_offline}}
"""
BOOT: Final = """
{ok, _} = application:ensure_all_started(ejabberd),
{ok, Names} = file:consult("accounts"),
[ejabberd_auth:try_register(Name, <<"localhost">>, <<"secret">>) || Name <- Names],
ok = mnesia:sync_log(),
ok = file:write_file("ready", <<>>).
"""
PROSODY: Final = """
run_as_root = true
data_path = "{home}/data"
pidfile = "{home}/ready"
log = {{ error = "{home}/error.log" }}
plugin_paths = {{}}
modules_enabled = {{ "roster", "saslauth", "smacks" }}
modules_disabled = {{ "s2s" }}
authentication = "internal_plain"
storage = "internal"
storage_archive_item_limit = 1000000000
gc = {{ mode = "incremental", threshold = 200 }} -- Lua's own; Prosody's 105 costs half of the throughput
network_settings = {{ nagle = false; tcp_backlog = 1024 }}
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
c2s_interfaces = {{ "127.0.0.1" }}
c2s_direct_tls_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {plain_port} }}
c2s_direct_tls_ports = {{ {tls_port} }}
c2s_direct_tls_ssl = {{ certificate = "{home}/certificate.pem", key = "{home}/key.pem", protocol = "tlsv1_3" }}
VirtualHost "localhost"
"""


class XmppServer(Peer, ABC):
    """What both have in common. Each writes a file `ready` in the end."""

    port: ClassVar[int]
    command: ClassVar[list[str]]  # replaces itself with the server: its process is the server's

    def __init__(self, home: Path, accounts: list[str], *, pin: int, tls: bool) -> None:
        write_certificate(home)
        self.home, self.pin, self.tls = home, pin, tls
        self.prepare(accounts)
        self.start()

    @abstractmethod
    def prepare(self, accounts: list[str]) -> None:
        """Write the configuration and the accounts."""

    def start(self) -> None:
        (self.home / "ready").unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["taskset", "-c", str(self.pin), *self.command], cwd=self.home, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for _ in range(2400):
            assert self.process.poll() is None, self.command
            if (self.home / "ready").exists():
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", self.port)).close()
                    return
            time.sleep(0.05)
        self.kill()
        raise TimeoutError(self.command)

    def log_in(self, user_id: str, partner: str, *, size: int = 1024) -> XmppClient:
        return XmppClient(self, user_id, partner, size)

    def stop(self) -> None:
        for _ in range(15):  # Prosody can miss one that arrives just before it waits for its sockets
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(2)
                return
        self.kill()


class EjabberdServer(XmppServer):
    """Without `ejabberdctl`, which changes the user and stays the parent; without a node name, so without `epmd`."""

    port = 18831
    command: ClassVar = [
        "sh", "-c", 'ERL_LIBS=$(dirname /usr/lib/*/ejabberd-* | head -n 1) exec "$@"', "sh",
        "env", "EJABBERD_CONFIG_PATH=ejabberd.yml", "EJABBERD_LOG_PATH=ejabberd.log", "ERL_CRASH_DUMP_BYTES=0",
        "erl", "+K", "true", "+P", "250000", "-noinput", "-mnesia", "dir", '"mnesia"', "-eval", BOOT,
    ]  # fmt: skip

    def prepare(self, accounts: list[str]) -> None:
        (self.home / "ejabberd.yml").write_text(
            EJABBERD.format(home=self.home, port=self.port, tls=str(self.tls).lower())
        )
        (self.home / "accounts").write_text("".join(f'<<"{name}">>.\n' for name in accounts))


class ProsodyServer(XmppServer):
    port = 18832
    command: ClassVar = ["prosody", "-F", "--config", "prosody.cfg.lua"]

    def prepare(self, accounts: list[str]) -> None:
        plain_port, tls_port = ("", self.port) if self.tls else (self.port, "")
        configuration = PROSODY.format(home=self.home, plain_port=plain_port, tls_port=tls_port)
        (self.home / "prosody.cfg.lua").write_text(configuration)
        folder = self.home / "data" / HOST / "accounts"
        folder.mkdir(parents=True)
        for name in accounts:
            (folder / f"{name}.dat").write_text(f'return {{ ["password"] = "{PASSWORD}" }};\n')


HEADER: Final = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    b"to='localhost' version='1.0'>"
)
REQUEST: Final = b"<r xmlns='urn:xmpp:sm:3'/>"
NUMBERS: Final = re.compile(rb"<message [^>]*?\bid='(\d+)'")
ACKNOWLEDGED: Final = re.compile(rb"<a [^>]*?\bh='(\d+)'")


class XmppClient:
    def __init__(self, server: XmppServer, user_id: str, partner: str, size: int) -> None:
        raw = connect(server.port)
        self.sock: socket.socket | TlsSocket = secured(raw) if server.tls else raw
        self._rest = b""
        self._came = 0  # stanzas since stream management began
        self._accepted = 1  # of ours that the server has handled: the presence
        self._log_in(user_id)
        before, after = f"<message to='{partner}@{HOST}' type='chat' id='", "'><body>"
        end = "</body></message>"
        length = size - len(before + "00000" + after + end)
        self._before, self._after = before.encode(), after.encode()
        self._after += base64.b64encode(os.urandom(length))[:length] + end.encode() + REQUEST

    def _log_in(self, user_id: str) -> None:
        proof = base64.b64encode(f"\0{user_id}\0{PASSWORD}".encode())
        sasl = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + proof + b"</auth>"
        bind = (
            b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>b</resource></bind></iq>"
        )
        self._ask(HEADER, b"</stream:features>")
        self._ask(sasl, b"<success")
        self._ask(HEADER, b"</stream:features>")
        self._ask(bind, b"</iq>")
        self._ask(b"<enable xmlns='urn:xmpp:sm:3'/>", b"<enabled")
        self._ask(b"<presence/>" + REQUEST, b"<a ", drop=False)
        self.sock.sendall(REQUEST)  # so that something comes in, and what came with the answer before is heard

    def _ask(self, data: bytes, mark: bytes, *, drop: bool = True) -> None:
        self.sock.sendall(data)
        heard = bytearray(self._rest)
        at = 0
        while (found := heard.find(mark, at)) < 0:
            at = max(0, len(heard) - len(mark))
            piece = self.sock.recv(64 * 1024)
            assert piece, bytes(heard[-1000:])
            heard += piece
        self._rest = bytes(heard[found + len(mark) :] if drop else heard)

    def message(self, number: int) -> bytes:
        return b"%b%05d%b" % (self._before, number, self._after)

    def hear(self, data: bytes) -> Heard:
        data = self._rest + data
        end = data.rfind(b"</message>") + 1
        cut = data.find(b"<message", end)  # one that is not all there
        if cut < 0:
            cut = data.rfind(b"<", end)  # something else that is not all there
            if cut < 0 or data.find(b">", cut) >= 0:
                cut = len(data)
        data, self._rest = data[:cut], data[cut:]
        assert b"type='error'" not in data, data[:2000]
        heard = Heard(delivered=[int(number) for number in NUMBERS.findall(data)])
        if acknowledged := ACKNOWLEDGED.findall(data):
            handled = int(acknowledged[-1])
            heard.accepted, self._accepted = handled - self._accepted, handled
        self._came += len(heard.delivered) + data.count(b"<presence") + data.count(b"<iq")
        if b"<r " in data or b"<r>" in data:
            heard.answer = b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % self._came
        return heard
