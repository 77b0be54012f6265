"""Gateway: its servers, their ports, hosts and TLS."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from meshproxy.model.checks import UNIX, dns_label, ip_address, known_protocol, unix_path
from meshproxy.model.fields import message, messages, text, text_map, texts, whole
from meshproxy.model.problem import Problem
from meshproxy.model.protocols import Protocol, parse_protocol
from meshproxy.model.reader import Message
from meshproxy.model.references import gateway_host_problem
from meshproxy.model.resource import Resource
from meshproxy.model.server_tls import ServerTLSSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Port(Message):
    number: int = whole(0, 65535)
    protocol: str = text(known_protocol, required=True)
    name: str = text(required=True)
    target_port: int = whole()

    def rules(self) -> Iterator[Problem]:
        if self.target_port:
            yield self.at.error("target_port", "targetPort has no effect on a Gateway: remove it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Message):
    port: Port | None = message(Port, required=True)
    bind: str = text()
    hosts: tuple[str, ...] = texts(gateway_host_problem, required=True)
    tls: ServerTLSSettings | None = message(ServerTLSSettings)
    default_endpoint: str = text()
    name: str = text()

    def rules(self) -> Iterator[Problem]:
        if self.port is not None:
            yield from self._bind_problems(self.port)
            yield from self._tls_problems(parse_protocol(self.port.protocol))

    def _bind_problems(self, port: Port) -> Iterator[Problem]:
        if self.bind.startswith(UNIX):
            if wrong := unix_path(self.bind.removeprefix(UNIX)):
                yield self.at.error("bind", wrong)
            if port.number:
                yield port.at.error("number", "a server on a unix socket has the port number 0")
            return
        if self.bind and (wrong := ip_address(self.bind)):
            yield self.at.error("bind", wrong)
        if not port.number:
            yield port.at.error("number", "a port needs a number from 1 to 65535")

    def _tls_problems(self, protocol: Protocol) -> Iterator[Problem]:
        if protocol is Protocol.UNSUPPORTED:
            return
        if self.tls is None:
            if protocol.is_tls:
                yield self.at.error("tls", f"a server with protocol {protocol.value} needs tls settings")
            return
        if not protocol.is_http and self.tls.https_redirect:
            yield self.tls.at.warning("https_redirect", "httpsRedirect is only for HTTP servers")
        if protocol.is_tls:
            return
        if not protocol.is_http:
            yield self.at.error("tls", f"a server with protocol {protocol.value} has no tls: write TLS or HTTPS")
        elif self.tls.mode not in ("", "PASSTHROUGH") or self.tls.has_files:
            message = "a plain-text HTTP server can only have tls.httpsRedirect: write the protocol HTTPS for TLS"
            yield self.at.error("tls", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway(Resource):
    servers: tuple[Server, ...] = messages(Server, required=True)
    selector: Mapping[str, str] = text_map()

    def rules(self) -> Iterator[Problem]:
        if wrong := dns_label(self.meta.name):
            yield self.meta.at.error("name", wrong)
        names: set[str] = set()
        for server in self.servers:
            if server.port is not None and server.port.name:
                if server.port.name in names:
                    yield server.port.at.error("name", f'the port name "{server.port.name}" stands here twice')
                names.add(server.port.name)
