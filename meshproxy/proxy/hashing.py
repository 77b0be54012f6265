"""What a request is hashed by, of a route that wants its requests to stay with their endpoints."""

from __future__ import annotations

from collections.abc import Iterable

from meshproxy.base.headers import Fields
from meshproxy.base.message import Request
from meshproxy.plan.hashing import Client, CookieHash, HashPolicy, hash_of
from meshproxy.proxy import client as downstream


def hashed(
    policies: Iterable[HashPolicy], request: Request, client: downstream.Client, *, is_gateway: bool
) -> tuple[int | None, Fields]:
    """The hash, and the cookies that the answer sets."""
    known = Client(_source(request, client, is_gateway), client.remote_address, client.local_address)
    cookies = (policy.set_cookie(request, known) for policy in policies if isinstance(policy, CookieHash))
    return hash_of(policies, request, known), [(b"set-cookie", cookie) for cookie in cookies if cookie is not None]


def _source(request: Request, client: downstream.Client, is_gateway: bool) -> bytes:
    """A sidecar believes X-Forwarded-For: its last address is the client's (Envoy without `use_remote_address`)."""
    forwarded = request.values(b"x-forwarded-for") if not is_gateway else ()
    last = forwarded[-1].rpartition(b",")[2].strip() if forwarded else b""
    return last or client.remote_ip
