"""nginx and HAProxy: as peers with the same two routes, and nginx as the upstream that answers."""

from pathlib import Path

from benchmarks.certificate import certificate
from benchmarks.mesh import SUBSETS, Setup

HELLO = "hello from the mesh, this is a small response body\\n"
NGINX = """\
worker_processes {workers};
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
daemon off;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  default_type text/plain;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
{body}
}}
"""
LOG_FORMAT = """\
  log_format mesh '[$time_iso8601] "$request" $status "$request_length" $bytes_sent $request_time '
                  '$upstream_response_time "$http_x_forwarded_for" "$http_user_agent" "$request_id" "$host" '
                  '"$upstream_addr" $server_addr $remote_addr $route';
  access_log {log} mesh buffer=64k flush=1s;
"""


def nginx_upstream(directory: Path, port: int) -> str:
    """Small answers by default, `/bytes/N` from files; `x-from` says which endpoint answered."""
    listens = "".join(f"    listen {address}:{port} reuseport;\n" for group in SUBSETS.values() for address in group)
    body = f"""\
  sendfile on;
  tcp_nodelay on;
  server {{
{listens}    client_max_body_size 0;
    add_header x-from $server_addr;
    location / {{ return 200 "{HELLO}"; }}
    location /bytes/ {{ root {directory}; }}
  }}"""
    return NGINX.format(directory=directory, workers=1, body=body)


def nginx_proxy(setup: Setup, directory: Path, *, port: int, upstream_port: int, workers: int, access_log: Path) -> str:
    pools = "".join(
        f"  upstream {subset} {{\n    zone {subset} 64k;\n    random two least_conn;\n    keepalive 600;\n"
        f"    keepalive_requests 1000000000;\n"
        + "".join(f"    server {address}:{upstream_port};\n" for address in group)
        + "  }\n"
        for subset, group in SUBSETS.items()
    )
    log = LOG_FORMAT.format(log=access_log) if setup.access_log else ""
    secured = ""
    if setup.edge == "tls":
        chain, key = certificate()
        secured = f" ssl;\n    ssl_certificate {chain};\n    ssl_certificate_key {key}"
    body = f"""\
  map $http_end_user $route {{ default v3; jason v2; }}
{log}{pools}  server {{
    listen 127.0.0.1:{port} reuseport{secured};
    client_max_body_size 0;
    location / {{
      proxy_pass http://$route;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Forwarded-Proto http;
      proxy_next_upstream error;
    }}
  }}"""
    return NGINX.format(directory=directory, workers=workers, body=body)


def haproxy(setup: Setup, *, port: int, upstream_port: int, workers: int) -> str:
    log = "  log stdout format raw local0\n  option httplog\n" if setup.access_log else ""
    backends = "".join(
        f"backend {subset}\n  balance random(2)\n  http-reuse always\n"
        + "".join(f"  server {subset}-{n} {address}:{upstream_port}\n" for n, address in enumerate(group))
        for subset, group in SUBSETS.items()
    )
    return f"""\
global
  expose-experimental-directives
  nbthread {workers}
  maxconn 8192
defaults
  mode http
  timeout connect 10s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  retry-on conn-failure
  retries 2
{log}frontend mesh
  bind 127.0.0.1:{port}
  http-request normalize-uri path-strip-dotdot full
  http-request set-header X-Forwarded-Proto http
  use_backend v2 if {{ req.hdr(end-user) -m str jason }}
  default_backend v3
{backends}"""
