"""`meshproxy routes | clusters | endpoints | listeners`: tables, JSON, exit codes."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.plans import API, REVIEWS, plan, virtual_service

from meshproxy.cli.main import main
from meshproxy.plan.dump import plan_as_json

RULES = """
- name: jason
  match: [{headers: {end-user: {exact: jason}}, uri: {exact: /a}}]
  route: [{destination: {host: reviews, subset: v2}}]
  timeout: 2s
- match: [{uri: {regex: '/b.*'}}]
  redirect: {uri: /c}
- route: [{destination: {host: reviews}}]
"""
SUBSETS = f"{API}\nkind: DestinationRule\nmetadata: {{name: rule}}\nspec: {{host: reviews, subsets: [{{name: v2}}]}}\n"
GATEWAY = f"""
{API}
kind: Gateway
metadata: {{name: gw}}
spec: {{servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"]}}]}}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("---\n".join((REVIEWS, virtual_service(RULES), SUBSETS, GATEWAY)))
    return path


def shown(capsys, *argv):
    assert main(argv) == 0
    return capsys.readouterr().out


def rows(text):
    """The cells of every line; columns are at least five blanks apart."""
    return [[cell.strip() for cell in line.split("     ") if cell.strip()] for line in text.splitlines()]


def test_routes(capsys, config):
    table = rows(shown(capsys, "routes", "-f", str(config)))
    assert table[0] == ["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"]
    host, domains = "reviews.default.svc.cluster.local:9080", "reviews, reviews.default + 3 more..."
    assert table[1:] == [
        ["mesh", host, domains, "/a [header end-user exact jason]", "reviews.default"],
        ["mesh", host, domains, "regex /b.*", "reviews.default"],
        ["mesh", host, domains, "/*", "reviews.default"],
    ]


def test_clusters(capsys, config):
    table = rows(shown(capsys, "clusters", "-f", str(config)))
    assert table == [
        ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"],
        ["reviews.default.svc.cluster.local", "9080", "-", "outbound", "STATIC", "rule.default"],
        ["reviews.default.svc.cluster.local", "9080", "v2", "outbound", "STATIC", "rule.default"],
    ]


def test_endpoints(capsys, config):
    table = rows(shown(capsys, "endpoints", "-f", str(config), "--map", "reviews:v2=[::1]:9082"))
    assert table[0] == ["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"]
    assert table[2] == ["[::1]:9082", "HEALTHY", "OK", "outbound|9080|v2|reviews.default.svc.cluster.local"]


def test_listeners(capsys, config):
    table = rows(shown(capsys, "listeners", "-f", str(config), "--bind", "80=127.0.0.1:7000"))
    assert table == [
        ["ADDRESSES", "PORT", "MATCH", "DESTINATION"],
        ["127.0.0.1", "15001", "ALL", "Route: mesh"],
        ["127.0.0.1", "7000", "ALL", "Route: http.80"],
    ]


def test_json_shows_actions_policies_and_origins(capsys, config):
    (mesh, gateway) = json.loads(shown(capsys, "routes", "-f", str(config), "-o", "json"))
    first, second, _ = mesh["virtual_hosts"][0]["routes"]
    assert first["timeout"] == 2.0 and first["name"] == "jason"
    assert first["path"] == {"exact": "/a"}
    assert first["conditions"] == [{"header": "end-user", "exact": "jason"}]
    assert first["action"]["route"][0]["subset"] == "v2"
    assert first["origin"]["file"] == str(config) and first["origin"]["rule"] == 0
    assert second["action"] == {"redirect": {"status": 301, "path": "/c", "keep_host": False}}
    assert gateway["name"] == "http.80"


@pytest.mark.parametrize("verb", ["routes", "clusters", "endpoints", "listeners"])
def test_every_table_is_json_too(capsys, config, verb):
    assert isinstance(json.loads(shown(capsys, verb, "-f", str(config), "-o", "json")), list)


@pytest.mark.parametrize(
    "text", ["kind: [", "apiVersion: networking.istio.io/v1\nkind: VirtualService\nspec: {hostz: []}\n"]
)
def test_invalid_configuration_is_told_with_its_place(capsys, tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert main(["routes", "-f", str(path)]) == 65
    assert f"{path}:" in capsys.readouterr().err


def test_a_missing_file_is_told(capsys, tmp_path):
    assert main(["routes", "-f", str(tmp_path / "absent.yaml")]) == 65
    assert "absent.yaml" in capsys.readouterr().err


def test_a_wrong_map_is_bad_usage(capsys, config):
    with pytest.raises(SystemExit) as stopped:
        main(["routes", "-f", str(config), "--map", "reviews"])
    assert stopped.value.code == 64
    assert "reviews" in capsys.readouterr().err


def test_an_admin_port_that_does_not_answer_is_told(capsys):
    assert main(["routes", "--admin", "127.0.0.1:1"]) == 1
    assert "127.0.0.1:1" in capsys.readouterr().err


@pytest.fixture
def admin():
    """An admin port that serves a plan; its address, and the status it answers with."""
    answer = [200]
    body = json.dumps(plan_as_json(plan(REVIEWS, virtual_service(RULES), SUBSETS))).encode()

    class Admin(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(answer[0] if self.path == "/config_dump" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Admin) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"127.0.0.1:{server.server_port}", answer
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("verb", ["routes", "clusters", "endpoints"])
def test_a_running_proxy_shows_the_same_tables(capsys, config, admin, verb):
    assert shown(capsys, verb, "--admin", admin[0]) == shown(capsys, verb, "-f", str(config))


def test_an_admin_port_that_refuses_is_told(capsys, admin):
    admin[1][0] = 503
    assert main(["routes", "--admin", admin[0]]) == 1
    assert "503" in capsys.readouterr().err
