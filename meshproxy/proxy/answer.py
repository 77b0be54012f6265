"""The way down: what an answer, the upstream's or our own, becomes on the client's connection.

Owns the head that is sent, with the fields and operations that belong to it, and the relaying of the body. Whether
there is an answer, and when it is over, is the exchange's.
"""

from __future__ import annotations

from meshproxy.base.headers import Fields
from meshproxy.base.message import CHUNKED, Response
from meshproxy.base.plain import PlainResponse
from meshproxy.plan.route import Destination, Route
from meshproxy.proxy import heads, local
from meshproxy.proxy.attempt import Attempting
from meshproxy.proxy.heads import plain_answer
from meshproxy.proxy.reply import Reply
from meshproxy.wire.http1_framing import chunk, forwardable_trailers, last_chunk, response_head

_JOIN_BELOW = 16 * 1024
"""Up to this size head and body are joined for one write; above, copying costs more than a second buffer."""


class Answering(Attempting):
    """The part of an exchange that deals with its client."""

    _cors_origin: bytes | None = None
    _interim_sent = False
    _destination: Destination | None = None

    def _send_answer(self, response: Response) -> None:
        """The upstream's, as far as it is there."""
        took = int((self.upstream_service_time or 0.0) * 1000)
        self.details = "via_upstream"
        if type(response) is PlainResponse and self._is_nearly_plain():
            self._send_plain(response, took)
            return
        response.fields += (
            (b"date", response.date or self._context.date),
            self.client.server,
            (b"x-envoy-upstream-service-time", b"%d" % took),
        )
        self._send_response(response)

    def _is_nearly_plain(self) -> bool:
        """Whether nothing special is asked of the way down, whatever was of the way up."""
        request, route = self.request, self.route
        if route is None or not route.plain or not request.complete or request.version != b"HTTP/1.1":
            return False
        return self._context.as_usual and not self.client.blocked

    def _send_plain(self, response: PlainResponse, took: int) -> None:
        client, context = self.client, self._context
        self.status = response.status
        self.bytes_sent = response.content_length
        data = plain_answer(response, client.server_line, context.date, took, self.keep)
        context.outbox.write(client.transport, data)
        if context.access_log is not None:
            self.response_fields = response.sent_fields()

    def _send_response(self, response: Response) -> None:
        """The response's head, with what is there of its body."""
        fields = response.fields
        if self.route is not None and not self.route.plain:
            self.status = response.status
            fields = self._adorned([*fields, *self._cookies], self.route)
        self._write_head(response, fields)
        if response.body or response.content_length < 0:
            self._relay(response)

    def _adorned(self, fields: Fields, route: Route) -> Fields:
        """With what CORS says of an allowed origin, and the header operations."""
        if self._cors_origin is not None and route.cors is not None:
            fields = local.with_cors(fields, route.cors, self._cors_origin)
        own = self._destination.response_headers if self._destination is not None else None
        fields = heads.applied(fields, (own, route.response_headers), self._looking_at_response)
        server = self.client.server  # whatever was said of it: Envoy has the last word
        return fields if server in fields else [pair for pair in fields if pair[0].lower() != b"server"] + [server]

    def _write_head(self, response: Response, fields: Fields) -> None:
        client, context, length = self.client, self._context, response.content_length
        fields = self._reconsider(response, fields)
        self.status = response.status
        self.response_fields = fields
        framing = heads.response_framing(self.request, response, keep=self.keep)
        head = response_head(response.status, fields, framing)
        if 0 < length <= _JOIN_BELOW and response.body:
            body = b"".join(response.body)
            response.body = []
            self.bytes_sent = len(body)
            head += body
        if response.complete and self.keep and not response.body and length >= 0 and response.upgrade is None:
            context.outbox.write(client.transport, head)
        else:
            context.outbox.flush()
            client.transport.write(head)

    def _reconsider(self, response: Response, fields: Fields) -> Fields:
        """What is seldom so: whether the connection can be kept behind this response after all, whether the
        client keeps up, whether somebody wants an explanation."""
        request, client, context = self.request, self.client, self._context
        unsure = not request.complete and request.expects_continue and not self._interim_sent  # will the body come?
        unframed = response.content_length == CHUNKED and request.version == b"HTTP/1.0"
        if context.draining or unsure or unframed:
            self.keep = False
        if client.blocked and self.connection is not None:
            self.connection.pause_reading(True)
        if context.explain is None:
            return fields
        return context.explain(request, client.remote_ip, self.listener_name, self._live.snapshot, fields)

    def _relay(self, response: Response) -> None:
        """Passes on what has arrived of the response's body, and its end."""
        self.client.touch()
        transport = self.client.transport
        parts, response.body = response.body, []
        chunked = response.content_length == CHUNKED and self.request.version == b"HTTP/1.1"
        if parts:
            self.bytes_sent += sum(map(len, parts))
            transport.writelines(chunk(parts) if chunked else parts)
        if response.complete and chunked:
            self.response_trailers = forwardable_trailers(response.trailers)
            transport.write(last_chunk(self.response_trailers))

    def _pass_informational(self) -> None:
        """1xx heads go on as they are; HTTP/1.0 knows none."""
        assert self.connection is not None
        reader = self.connection.reader
        interim, reader.informational = reader.informational, []
        self._context.outbox.flush()
        for head in interim:
            if self.request.version == b"HTTP/1.1" and not self.status:
                self._interim_sent = True
                self.client.transport.write(response_head(head.status, head.fields, b""))

    # ---- answers of our own

    def _reply(self, reply: Reply, *, operations: bool = True) -> None:
        """An answer we author, with the route's response header operations."""
        self.flag(reply.flag)
        self.details = reply.details
        if self.flags.startswith("DI") or self.transport_failure:
            self.bytes_received += sum(map(len, self.request.body))  # that came while we waited
        self.keep = self.keep and not reply.close
        response = local.response(reply, self.request)
        if not self.upstream_fields and self.request.method:
            self.upstream_fields = self.client.forwarded(self.request, self.client)  # as it would go on, for the log
        fields = [*response.fields, (b"date", self._context.date), self.client.server]
        if self.route is not None and operations:
            fields = self._adorned(fields, self.route)
        self._write_head(response, local.typed(fields, reply.body, self.request))
