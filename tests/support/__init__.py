"""What the tests share: the proxy as a process, scriptable upstreams, a raw client, a real Envoy to compare with."""
